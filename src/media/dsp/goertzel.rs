//! The power of single frequencies by Goertzel's recursion, and the DTMF digit a block of sound holds (ITU-T Q.23, Q.24).
use crate::media::dsp::tone::{DTMF_COLUMNS, DTMF_ROWS};
use crate::media::spec::Digit;
use std::f64::consts::PI;

/// Power of the part of `sound` at `hz`: a sine of amplitude 1 has 0.25, half of its mean square.
pub fn power(sound: &[f32], hz: f64, rate: f64) -> f64 {
    let omega = 2.0 * PI * hz / rate;
    let coefficient = 2.0 * omega.cos();
    let (mut s1, mut s2) = (0.0, 0.0);
    for sample in sound {
        let s0 = f64::from(*sample) + coefficient * s1 - s2;
        (s2, s1) = (s1, s0);
    }
    let n = sound.len().max(1) as f64;
    (s1 * s1 + s2 * s2 - coefficient * s1 * s2).max(0.0) / (n * n)
}

/// The DTMF digit sounding through the whole of a block, which should be 20 to 50 ms long.
///
/// Both tones must be there, within 8 dB of each other, stand out of their groups by 8 dB and hold most of the power.
pub fn digit(sound: &[f32], rate: f64) -> Option<Digit> {
    let strongest = |group: &[f32; 4]| {
        let mut powers = group.map(|hz| power(sound, f64::from(hz), rate)).into_iter().enumerate().collect::<Vec<_>>();
        powers.sort_by(|a, b| b.1.total_cmp(&a.1));
        (powers[0].1 > 6.3 * powers[1].1).then_some(powers[0])
    };
    let ((row, low), (column, high)) = (strongest(&DTMF_ROWS)?, strongest(&DTMF_COLUMNS)?);
    let total = sound.iter().map(|s| f64::from(s * s)).sum::<f64>() / sound.len().max(1) as f64;
    let twist = high / low;
    let clear = total > 1e-5 && 2.0 * (low + high) > 0.6 * total && (0.158..6.3).contains(&twist);
    let keys = [['1', '2', '3', 'A'], ['4', '5', '6', 'B'], ['7', '8', '9', 'C'], ['*', '0', '#', 'D']];
    clear.then(|| Digit::from_char(keys[row][column])).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mix(parts: &[(f64, f64)]) -> Vec<f32> {
        let at =
            |n: usize| parts.iter().map(|(hz, gain)| gain * (2.0 * PI * hz * n as f64 / 8_000.0).sin()).sum::<f64>();
        (0..320).map(|n| at(n) as f32).collect()
    }

    #[test]
    fn only_a_clean_pair_is_a_digit() {
        type Row = (&'static [(f64, f64)], Option<char>);
        let rows: [Row; 8] = [
            (&[], None),
            (&[(697.0, 0.3)], None),
            (&[(1_209.0, 0.3)], None),
            (&[(697.0, 0.3), (1_209.0, 0.05)], None),
            (&[(697.0, 0.1), (1_209.0, 0.1), (300.0, 0.5)], None),
            (&[(697.0, 0.3), (770.0, 0.3), (1_209.0, 0.3)], None),
            (&[(697.0, 0.3), (1_209.0, 0.2)], Some('1')),
            (&[(941.0, 0.1), (1_477.0, 0.1)], Some('#')),
        ];
        for (parts, expected) in rows {
            assert_eq!(digit(&mix(parts), 8_000.0).map(Digit::to_char), expected, "{parts:?}");
        }
    }

    #[test]
    fn power_of_a_sine_is_a_quarter_and_nothing_elsewhere() {
        let tone = mix(&[(1_000.0, 1.0)]);
        assert!((power(&tone, 1_000.0, 8_000.0) - 0.25).abs() < 1e-3);
        assert!(power(&tone, 2_000.0, 8_000.0) < 1e-6);
    }
}
