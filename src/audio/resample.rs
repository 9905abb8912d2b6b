//! An asynchronous resampler: windowed sinc, polyphase, whose ratio may be moved a little at any time.
//!
//! It converts between the rate of a device and 48 kHz and follows the device's clock in the same step.
use std::f64::consts::PI;

/// Zero crossings of the sinc on each side at ratio 1.
const HALF_WIDTH: usize = 16;
/// Phases of the filter table; between two of them the result is interpolated (error below -80 dB).
const PHASES: usize = 128;
/// Kaiser window: about 80 dB of stop band.
const BETA: f64 = 8.0;
/// Input kept at most \[samples\]. More than anybody pushes before pulling.
const ROOM: usize = 16_384;
/// The longest filter: 192 kHz down to 8 kHz.
const MAX_TAPS: usize = 2 * HALF_WIDTH * 24;
/// Filters are a multiple of this long.
const LANES: usize = 8;

#[derive(Debug)]
pub struct Resampler {
    /// `PHASES + 1` filters of `taps` coefficients.
    table: Vec<f32>,
    taps: usize,
    /// Input that still matters; `position` is the place in it of the next output sample.
    input: Vec<f32>,
    position: f64,
    /// Input samples per output sample at nominal clocks, and as corrected.
    nominal: f64,
    step: f64,
}

impl Resampler {
    /// - `from`, `to`: rates of what is pushed and what is pulled \[Hz\].
    pub fn new(from: u32, to: u32) -> Self {
        Self::with_half_width(from, to, HALF_WIDTH)
    }

    /// A filter of another quality: of `half_width` zero crossings on each side.
    pub fn with_half_width(from: u32, to: u32, half_width: usize) -> Self {
        let nominal = f64::from(from.max(1)) / f64::from(to.max(1));
        // Going down, the filter ends at the lower Nyquist frequency and is as much longer.
        let stretch = nominal.max(1.0);
        let taps = ((half_width as f64 * stretch * 2.0) as usize).next_multiple_of(LANES).min(MAX_TAPS);
        let mut input = Vec::with_capacity(ROOM + taps);
        input.resize(taps / 2, 0.0);
        Self { table: table(taps, stretch), taps, input, position: 0.0, nominal, step: nominal }
    }

    /// Makes more (`correction` > 0) or fewer output samples out of the same input, as a factor `1 + correction`.
    pub fn correct(&mut self, correction: f64) {
        self.step = self.nominal / (1.0 + correction);
    }

    /// Samples to push before `count` can be pulled.
    pub fn needed(&self, count: usize) -> usize {
        let Some(last) = count.checked_sub(1) else { return 0 };
        let end = (self.position + self.step * last as f64) as usize + self.taps;
        end.saturating_sub(self.input.len())
    }

    /// Appends input; what exceeds the room is dropped.
    pub fn push(&mut self, samples: &[f32]) {
        let room = (ROOM + self.taps).saturating_sub(self.input.len()).min(samples.len());
        self.input.extend_from_slice(&samples[..room]);
    }

    /// Fills `out` from its start as far as the input goes, and returns how far that was.
    pub fn pull(&mut self, out: &mut [f32]) -> usize {
        let mut done = 0;
        for sample in out.iter_mut() {
            let at = self.position as usize;
            let Some(window) = self.input.get(at..at + self.taps) else { break };
            let phase = (self.position - at as f64) * PHASES as f64;
            let row = (phase as usize).min(PHASES - 1);
            let filters = &self.table[row * self.taps..(row + 2) * self.taps];
            *sample = interpolate(window, filters, (phase - row as f64) as f32);
            self.position += self.step;
            done += 1;
        }
        let used = (self.position as usize).min(self.input.len());
        self.input.drain(..used);
        self.position -= used as f64;
        done
    }
}

/// The products of `window` with two neighbouring filters, mixed `0.0..=1.0` of the second.
fn interpolate(window: &[f32], filters: &[f32], mix: f32) -> f32 {
    // Eight sums side by side, so that they fit the vector registers.
    let (first, second) = filters.split_at(window.len());
    let (mut a, mut b) = ([0.0_f32; LANES], [0.0_f32; LANES]);
    let (windows, firsts, seconds) =
        (window.as_chunks::<LANES>().0, first.as_chunks::<LANES>().0, second.as_chunks::<LANES>().0);
    for ((w, f), s) in windows.iter().zip(firsts).zip(seconds) {
        for lane in 0..LANES {
            a[lane] += w[lane] * f[lane];
            b[lane] += w[lane] * s[lane];
        }
    }
    let (a, b) = (a.iter().sum::<f32>(), b.iter().sum::<f32>());
    a + mix * (b - a)
}

/// Sinc under a Kaiser window, one row a phase, each of gain 1 at 0 Hz.
fn table(taps: usize, stretch: f64) -> Vec<f32> {
    let half = taps as f64 / 2.0;
    let mut table = Vec::with_capacity((PHASES + 1) * taps);
    for phase in 0..=PHASES {
        let fraction = phase as f64 / PHASES as f64;
        let row: Vec<f64> = (0..taps)
            .map(|tap| {
                // Distance of the tap from the output sample [input samples].
                let x = tap as f64 + 1.0 - half - fraction;
                let window = bessel(BETA * (1.0 - (x / half).powi(2)).max(0.0).sqrt()) / bessel(BETA);
                let angle = PI * x / stretch;
                window * if angle.abs() < 1e-9 { 1.0 } else { angle.sin() / angle }
            })
            .collect();
        let gain = row.iter().sum::<f64>();
        table.extend(row.iter().map(|c| (c / gain) as f32));
    }
    table
}

/// The modified Bessel function of the first kind, order 0.
fn bessel(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..40 {
        term *= (x / (2.0 * f64::from(k))).powi(2);
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Resamples one second of a sine and returns the ratio of the rest (all that is not that sine) to it \[dB\].
    fn distortion(from: u32, to: u32, hz: f64, correction: f64) -> f64 {
        let mut resampler = Resampler::new(from, to);
        resampler.correct(correction);
        let mut out = Vec::new();
        let sine: Vec<f32> =
            (0..from).map(|n| (2.0 * PI * hz * f64::from(n) / f64::from(from)).sin() as f32 * 0.5).collect();
        for piece in sine.chunks(from as usize / 100) {
            resampler.push(piece);
            let mut block = [0.0; 2_000];
            let made = resampler.pull(&mut block);
            out.extend_from_slice(&block[..made]);
        }
        let expected = f64::from(to) * (1.0 + correction);
        let short = expected - out.len() as f64;
        assert!((0.0..f64::from(to) / 50.0).contains(&short), "{from} -> {to}: {} samples", out.len());
        // Least squares fit of the sine at the frequency it must have now.
        let body = &out[1_000.min(out.len() / 4)..];
        let omega = 2.0 * PI * hz / expected;
        let (mut ss, mut cc, mut sc, mut ys, mut yc) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for (n, y) in body.iter().enumerate() {
            let (s, c, y) = ((omega * n as f64).sin(), (omega * n as f64).cos(), f64::from(*y));
            (ss, cc, sc, ys, yc) = (ss + s * s, cc + c * c, sc + s * c, ys + y * s, yc + y * c);
        }
        let det = ss * cc - sc * sc;
        let (a, b) = ((ys * cc - yc * sc) / det, (yc * ss - ys * sc) / det);
        let (mut signal, mut rest) = (0.0, 0.0);
        for (n, y) in body.iter().enumerate() {
            let fit = a * (omega * n as f64).sin() + b * (omega * n as f64).cos();
            (signal, rest) = (signal + fit * fit, rest + (f64::from(*y) - fit).powi(2));
        }
        assert!((signal / body.len() as f64 / 0.125 - 1.0).abs() < 0.02, "{from} -> {to}, {hz} Hz: level is kept");
        10.0 * (rest / signal).log10()
    }

    #[test]
    fn a_sine_stays_a_sine() {
        let rows = [
            (48_000, 48_000, 1_000.0, 0.0, -75.0),
            (48_000, 48_000, 1_000.0, 300e-6, -75.0),
            (48_000, 48_000, 15_000.0, -300e-6, -70.0),
            (44_100, 48_000, 1_000.0, 0.0, -75.0),
            (44_100, 48_000, 15_000.0, 0.0, -70.0),
            (48_000, 44_100, 10_000.0, 100e-6, -70.0),
            (8_000, 48_000, 1_000.0, 0.0, -70.0),
            (48_000, 8_000, 1_000.0, 0.0, -70.0),
            (96_000, 48_000, 10_000.0, 0.0, -70.0),
            (48_000, 192_000, 10_000.0, 0.0, -70.0),
        ];
        for (from, to, hz, correction, limit) in rows {
            let rest = distortion(from, to, hz, correction);
            assert!(rest < limit, "{from} -> {to}, {hz} Hz: {rest:.1} dB");
        }
    }

    #[test]
    fn needed_is_exactly_enough() {
        for (from, to) in [(48_000, 48_000), (44_100, 48_000), (8_000, 48_000), (96_000, 48_000)] {
            let mut resampler = Resampler::new(from, to);
            for round in 0..500 {
                resampler.correct(f64::from(round - 250) * 1e-5);
                let needed = resampler.needed(480);
                resampler.push(&vec![0.1; needed.saturating_sub(1)]);
                let mut out = [0.0; 480];
                if needed > 0 {
                    let made = resampler.pull(&mut out);
                    assert!(made < 480, "{from}: one sample less is not enough");
                    resampler.push(&[0.1]);
                    assert_eq!(resampler.pull(&mut out[made..]), 480 - made, "{from}");
                }
            }
        }
    }

    #[test]
    fn too_much_input_is_dropped_and_nothing_grows() {
        let mut resampler = Resampler::new(48_000, 48_000);
        for _ in 0..100 {
            resampler.push(&[0.0; 4_800]);
        }
        assert!(resampler.input.len() <= ROOM + resampler.taps);
        let mut out = vec![0.0; 2 * ROOM];
        assert!(resampler.pull(&mut out) <= ROOM + resampler.taps);
    }
}
