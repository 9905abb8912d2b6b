//! Sample rate conversion between 48 kHz and the rates of narrower codecs, by whole factors, with state kept.
use std::f64::consts::PI;

/// Taps at the lower rate: what makes the transition 15 % of the lower rate wide and 70 dB deep.
const TAPS: usize = 28;
/// Kaiser window shape for 70 dB.
const KAISER_BETA: f64 = 6.76;

/// Raises the sample rate by a whole factor.
#[derive(Clone, Debug)]
pub struct Upsampler {
    factor: usize,
    /// `factor` rows of [`TAPS`], each reversed so that it runs along `history`.
    phases: Vec<f32>,
    /// The last `TAPS - 1` input samples, then the block in work.
    history: Vec<f32>,
}

impl Upsampler {
    pub fn new(factor: usize) -> Self {
        let factor = factor.max(1);
        let filter = low_pass(factor);
        let phases = (0..factor)
            .flat_map(|phase| {
                let filter = &filter;
                (0..TAPS).map(move |tap| filter[(TAPS - 1 - tap) * factor + phase] * factor as f32)
            })
            .collect();
        Self { factor, phases, history: vec![0.0; TAPS - 1] }
    }

    /// Converts `input`; `out` gets `factor` samples for each, as many as fit.
    pub fn process(&mut self, input: &[f32], out: &mut [f32]) {
        if self.factor == 1 {
            let fit = input.len().min(out.len());
            out[..fit].copy_from_slice(&input[..fit]);
            return;
        }
        self.history.extend_from_slice(input);
        for (window, out) in self.history.windows(TAPS).zip(out.chunks_mut(self.factor)) {
            for (row, out) in self.phases.chunks_exact(TAPS).zip(out) {
                *out = dot(row, window);
            }
        }
        self.history.drain(..input.len());
    }

    pub fn reset(&mut self) {
        self.history.fill(0.0);
    }

    /// Time by which the output lags the input, in samples of the higher rate.
    pub fn delay(&self) -> usize {
        if self.factor == 1 { 0 } else { TAPS * self.factor / 2 }
    }
}

/// Lowers the sample rate by a whole factor.
#[derive(Clone, Debug)]
pub struct Downsampler {
    factor: usize,
    filter: Vec<f32>,
    history: Vec<f32>,
}

impl Downsampler {
    pub fn new(factor: usize) -> Self {
        let factor = factor.max(1);
        let mut filter = low_pass(factor);
        filter.reverse();
        Self { factor, history: vec![0.0; filter.len() - 1], filter }
    }

    /// Converts `input`, whose length is a multiple of the factor, and appends to `out`.
    pub fn process(&mut self, input: &[f32], out: &mut Vec<f32>) {
        if self.factor == 1 {
            out.extend_from_slice(input);
            return;
        }
        self.history.extend_from_slice(input);
        out.extend(self.history.windows(self.filter.len()).step_by(self.factor).map(|w| dot(&self.filter, w)));
        self.history.drain(..input.len());
    }

    pub fn reset(&mut self) {
        self.history.fill(0.0);
    }
}

/// A windowed sinc of unity gain at zero, half power at the Nyquist frequency of the lower rate, `TAPS * factor` long.
fn low_pass(factor: usize) -> Vec<f32> {
    let length = TAPS * factor;
    let centre = (length - 1) as f64 / 2.0;
    let filter: Vec<f64> = (0..length)
        .map(|n| {
            let t = n as f64 - centre;
            let x = PI * t / factor as f64;
            let sinc = if x.abs() < 1e-9 { 1.0 } else { x.sin() / x };
            let r = t / (centre + 0.5);
            sinc * bessel_i0(KAISER_BETA * (1.0 - r * r).max(0.0).sqrt())
        })
        .collect();
    let gain: f64 = filter.iter().sum();
    filter.iter().map(|f| (f / gain) as f32).collect()
}

/// The modified Bessel function of the first kind and order zero.
fn bessel_i0(x: f64) -> f64 {
    let (mut sum, mut term, mut k) = (1.0, 1.0, 1.0);
    while term > 1e-12 * sum {
        term *= (x / (2.0 * k)) * (x / (2.0 * k));
        sum += term;
        k += 1.0;
    }
    sum
}

/// Four partial sums let the compiler use vector instructions.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 4];
    let (a4, b4) = (a.chunks_exact(4), b.chunks_exact(4));
    let rest: f32 = a4.remainder().iter().zip(b4.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a4.zip(b4) {
        for i in 0..4 {
            sums[i] += x[i] * y[i];
        }
    }
    (sums[0] + sums[2]) + (sums[1] + sums[3]) + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::dsp::goertzel::power;

    fn sine(hz: f64, rate: f64, count: usize) -> Vec<f32> {
        (0..count).map(|n| (2.0 * PI * hz * n as f64 / rate).sin() as f32).collect()
    }

    fn decibel(ratio: f64) -> f64 {
        10.0 * ratio.log10()
    }

    #[test]
    fn the_pass_band_is_flat_and_images_are_far_down() {
        for (factor, low) in [(6, 8_000.0), (3, 16_000.0)] {
            for part in [0.005, 0.0375, 0.125, 0.25, 0.375, 0.425] {
                let hz = part * low;
                let (mut up, mut out) = (Upsampler::new(factor), vec![0.0; 48_000]);
                let input = sine(hz, low, 48_000 / factor);
                for (i, o) in input.chunks(low as usize / 100).zip(out.chunks_mut(480)) {
                    up.process(i, o);
                }
                let steady = &out[4_800..43_200];
                let passed = decibel(power(steady, hz, 48_000.0) / 0.25);
                assert!(passed.abs() < 0.5, "x{factor} {hz} Hz: {passed} dB");
                for image in [low - hz, low + hz, 2.0 * low - hz] {
                    let image = decibel(power(steady, image, 48_000.0) / 0.25);
                    assert!(image < -50.0, "x{factor} {hz} Hz: image {image} dB");
                }
            }
        }
    }

    #[test]
    fn going_down_keeps_the_pass_band_and_folds_nothing_back() {
        for (factor, low) in [(6, 8_000.0), (3, 16_000.0)] {
            let rows =
                [(0.05, true), (0.25, true), (0.425, true), (0.576, false), (0.8, false), (1.3, false), (2.4, false)];
            for (part, passes) in rows {
                let (mut down, mut out) = (Downsampler::new(factor), Vec::new());
                for block in sine(part * low, 48_000.0, 48_000).chunks(480) {
                    down.process(block, &mut out);
                }
                let steady = &out[out.len() / 10..out.len() * 9 / 10];
                let level = decibel(steady.iter().map(|s| f64::from(s * s)).sum::<f64>() / steady.len() as f64 / 0.5);
                assert!(if passes { level.abs() < 0.5 } else { level < -60.0 }, "/{factor} {part}: {level} dB");
            }
        }
    }

    #[test]
    fn blocks_of_any_size_give_the_same_sound() {
        let input = sine(440.0, 8_000.0, 800);
        let (mut whole, mut parts) = (vec![0.0; 4_800], vec![0.0; 4_800]);
        Upsampler::new(6).process(&input, &mut whole);
        let mut up = Upsampler::new(6);
        let mut at = 0;
        for block in input.chunks(37) {
            up.process(block, &mut parts[at * 6..]);
            at += block.len();
        }
        assert_eq!(whole, parts);
    }
}
