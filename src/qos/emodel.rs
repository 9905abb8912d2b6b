//! The E-model: the transmission rating R and the mean opinion score made from it (ITU-T G.107, G.113).
//!
//! ```text
//! R = Ro - Is - Id - Ie,eff + A       Ro - Is = 93.2 with the default values of G.107 §7.7
//! ```
//!
//! What is measured here varies two terms: absolute delay (Idd) and codec with packet loss (Ie,eff). Everything else,
//! loudness, noise and echo among it, has the default of G.107. The scale is that of narrowband telephony for every
//! codec, so that calls compare: a wideband call without loss is rated like a perfect narrowband one, not higher.
use crate::media::spec::Codec;

/// R of a call without any impairment, with the default values (G.107 §7.7).
pub const DEFAULT_RATING: f64 = 93.2;
/// Below this absolute delay nobody is disturbed: `mT` with its default for telephony \[ms\].
const DELAY_THRESHOLD: f64 = 100.0;
/// The range G.107 gives for the burst ratio.
const BURST_RATIO_MAX: f64 = 8.0;

/// How a codec suffers from packet loss (G.113 §5, Appendix I).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Equipment {
    /// Impairment without loss: Ie.
    pub impairment: f64,
    /// Packet-loss robustness: Bpl [%], the loss at which half of what is left of the quality is gone.
    pub robustness: f64,
}

/// G.711 where a lost packet is silence (G.113 Appendix I, Table I.4).
pub const G711: Equipment = Equipment { impairment: 0.0, robustness: 4.3 };
/// G.711 with the concealment of its own Appendix I (G.113 Appendix I, Table I.4).
pub const G711_CONCEALED: Equipment = Equipment { impairment: 0.0, robustness: 25.1 };
/// G.113 (09/2024) has no values for Opus. On the narrowband scale it is taken as transparent (Ie 0); its robustness is
/// the provisional Bpl of the nearest relative that has one: EVS at 24.4 kbit/s, Bpl,fb 11.4 (G.113 Appendix V).
pub const OPUS: Equipment = Equipment { impairment: 0.0, robustness: 11.4 };

impl Equipment {
    /// The values for a codec with the concealment this phone has, which the far end is taken to have as well.
    pub fn of(codec: Codec) -> Self {
        match codec {
            Codec::Pcmu | Codec::Pcma => G711_CONCEALED,
            Codec::Opus => OPUS,
        }
    }

    /// Ie,eff (G.107 §7.5).
    ///
    /// - `loss`: packets that were neither received in time nor recovered, Ppl [%].
    /// - `burst_ratio`: see [`burst_ratio`].
    pub fn effective_impairment(self, loss: f64, burst_ratio: f64) -> f64 {
        let (loss, burst_ratio) = (loss.clamp(0.0, 100.0), burst_ratio.clamp(1.0, BURST_RATIO_MAX));
        self.impairment + (95.0 - self.impairment) * loss / (loss / burst_ratio + self.robustness)
    }
}

/// BurstR (G.107 §7.5): the mean run of losses as it was, to what it is when losses are independent.
///
/// - `mean_run`: \[packets\]
/// - `loss`: [%]
pub fn burst_ratio(mean_run: f64, loss: f64) -> f64 {
    (mean_run * (1.0 - loss.clamp(0.0, 100.0) / 100.0)).clamp(1.0, BURST_RATIO_MAX)
}

/// Idd (G.107 §7.4) for the absolute delay from mouth to ear, Ta \[ms\], with the default sensitivity sT = 1.
pub fn delay_impairment(delay: f64) -> f64 {
    if delay <= DELAY_THRESHOLD {
        return 0.0;
    }
    let x = (delay / DELAY_THRESHOLD).log2();
    let root = |x: f64| (1.0 + x.powi(6)).powf(1.0 / 6.0);
    25.0 * (root(x) - 3.0 * root(x / 3.0) + 2.0)
}

/// R, limited to `0..=100`.
///
/// - `delay`: mouth to ear \[ms\].
/// - `effective_impairment`: Ie,eff.
pub fn rating(delay: f64, effective_impairment: f64) -> f64 {
    (DEFAULT_RATING - delay_impairment(delay) - effective_impairment).clamp(0.0, 100.0)
}

/// MOS-CQE from R (G.107 Annex B).
pub fn mos(rating: f64) -> f64 {
    match rating {
        r if r <= 0.0 => 1.0,
        r if r >= 100.0 => 4.5,
        r => (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).max(1.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(value: f64, expected: f64, tolerance: f64) -> bool {
        (value - expected).abs() <= tolerance
    }

    /// The terms this module leaves constant, computed in full from the default values of G.107 §7.7.
    fn default_rating_in_full() -> f64 {
        let (slr, rlr, stmr, lstr, ds, telr, qdu) = (8.0_f64, 2.0_f64, 15.0_f64, 18.0_f64, 3.0_f64, 65.0_f64, 1.0_f64);
        let (nc, nfor, ps, pr) = (-70.0_f64, -64.0_f64, 35.0_f64, 35.0_f64);
        let olr = slr + rlr;
        let power = |db: f64| 10_f64.powf(db / 10.0);
        let nos = ps - slr - ds - 100.0 + 0.004 * (ps - olr - ds - 14.0).powi(2);
        let pre = pr + 10.0 * (1.0 + power(10.0 - lstr)).log10();
        let nor = rlr - 121.0 + pre + 0.008 * (pre - 35.0).powi(2);
        let nfo = nfor + rlr;
        let no = 10.0 * (power(nc) + power(nos) + power(nor) + power(nfo)).log10();
        let ro = 15.0 - 1.5 * (slr + no);
        let xolr = olr + 0.2 * (64.0 + no - rlr);
        let iolr = 20.0 * ((1.0 + (xolr / 8.0).powi(8)).powf(1.0 / 8.0) - xolr / 8.0);
        let stmro = -10.0 * (power(-stmr) + power(-telr)).log10();
        let ist = 12.0 * (1.0 + ((stmro - 13.0) / 6.0).powi(8)).powf(1.0 / 8.0)
            - 28.0 * (1.0 + ((stmro + 1.0) / 19.4).powi(35)).powf(1.0 / 35.0)
            - 13.0 * (1.0 + ((stmro - 3.0) / 33.0).powi(13)).powf(1.0 / 13.0)
            + 29.0;
        let q = 37.0 - 15.0 * qdu.log10();
        let g = 1.07 + 0.258 * q + 0.0602 * q * q;
        let iq = 15.0
            * (1.0 + 10_f64.powf((ro - 100.0) / 15.0 + 46.0 / 8.4 - g / 9.0) + 10_f64.powf(46.0 / 30.0 - g / 40.0))
                .log10();
        // Listener echo at its default weighs a little even without delay; talker echo does not.
        let (wepl, tr) = (110.0_f64, 0.0_f64);
        let rle = 10.5 * (wepl + 7.0) * (tr + 1.0).powf(-0.25);
        let idle = (ro - rle) / 2.0 + ((ro - rle).powi(2) / 4.0 + 169.0).sqrt();
        ro - (iolr + ist + iq) - idle
    }

    #[test]
    fn the_default_rating_is_that_of_the_full_formula() {
        let full = default_rating_in_full();
        assert!(near(full, DEFAULT_RATING, 0.01), "{full}");
        assert!(near(mos(rating(0.0, 0.0)), 4.41, 0.005));
    }

    #[test]
    fn mos_of_the_ratings_printed_in_annex_b() {
        let rows = [
            (-5.0, 1.0),
            (0.0, 1.0),
            (3.0, 1.0),
            (50.0, 2.58),
            (60.0, 3.10),
            (70.0, 3.60),
            (80.0, 4.03),
            (90.0, 4.34),
            (100.0, 4.5),
            (130.0, 4.5),
        ];
        for (r, expected) in rows {
            assert!(near(mos(r), expected, 0.007), "R {r}: {}", mos(r));
        }
    }

    #[test]
    fn delay_hurts_from_100_ms_on_and_ever_more() {
        // Closed form at the points where X is a whole number; then the order.
        let at_200 = 25.0 * (2_f64.powf(1.0 / 6.0) - 3.0 * (1.0 + 3_f64.powi(-6)).powf(1.0 / 6.0) + 2.0);
        let at_800 = 25.0 * ((1.0 + 729.0_f64).powf(1.0 / 6.0) - 3.0 * 2_f64.powf(1.0 / 6.0) + 2.0);
        for (delay, expected) in [(-5.0, 0.0), (0.0, 0.0), (100.0, 0.0), (200.0, at_200), (800.0, at_800)] {
            assert!(near(delay_impairment(delay), expected, 1e-9), "{delay}");
        }
        let curve: Vec<f64> = (0..200).map(|step| delay_impairment(f64::from(step) * 10.0)).collect();
        assert!(curve.is_sorted());
        assert!(near(rating(250.0, 0.0), 84.3, 0.1) && near(rating(400.0, 0.0), 69.1, 0.1));
    }

    #[test]
    fn equipment_impairment_follows_loss_codec_and_bursts() {
        let rows = [
            (G711, 0.0, 1.0, 0.0),
            (G711, 4.3, 1.0, 47.5),
            (G711_CONCEALED, 25.1, 1.0, 47.5),
            (G711_CONCEALED, 5.0, 1.0, 95.0 * 5.0 / 30.1),
            (G711_CONCEALED, 5.0, 2.0, 95.0 * 5.0 / 27.6),
            (OPUS, 11.4, 1.0, 47.5),
            // Out of range: held at the limits.
            (G711, -3.0, 1.0, 0.0),
            (G711, 250.0, 1.0, 95.0 * 100.0 / 104.3),
            (G711, 5.0, 0.1, 95.0 * 5.0 / 9.3),
        ];
        for (equipment, loss, burst, expected) in rows {
            let value = equipment.effective_impairment(loss, burst);
            assert!(near(value, expected, 1e-9), "{equipment:?} {loss} {burst}: {value}");
        }
    }

    #[test]
    fn independent_loss_has_the_burst_ratio_one() {
        for (run, loss, expected) in [(0.0, 5.0, 1.0), (1.25, 20.0, 1.0), (3.0, 10.0, 2.7), (900.0, 50.0, 8.0)] {
            assert!(near(burst_ratio(run, loss), expected, 1e-9), "{run} {loss}");
        }
    }
}
