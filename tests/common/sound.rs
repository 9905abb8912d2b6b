//! Sound as tests see it: test signals, WAV files, and measurements with a tolerance.
use std::f64::consts::TAU;
use std::path::Path;

/// Mono sound; full scale is 1.
#[derive(Clone, Debug)]
pub struct Sound {
    /// [Hz]
    pub rate: u32,
    pub samples: Vec<f32>,
}

impl Sound {
    pub fn silence(rate: u32, seconds: f64) -> Self {
        Self { rate, samples: vec![0.0; samples(rate, seconds)] }
    }

    /// - `level`: of the sine [dB below full scale], as a negative number.
    pub fn tone(rate: u32, seconds: f64, hz: f64, level: f64) -> Self {
        let amplitude = 10_f64.powf(level / 20.0);
        let sample = |n: usize| (amplitude * (TAU * hz * n as f64 / f64::from(rate)).sin()) as f32;
        Self { rate, samples: (0..samples(rate, seconds)).map(sample).collect() }
    }

    /// A linear sweep with soft ends: its correlation with itself is one sharp peak.
    pub fn chirp(rate: u32, seconds: f64, (from, to): (f64, f64)) -> Self {
        let count = samples(rate, seconds);
        let sample = |n: usize| {
            let t = n as f64 / f64::from(rate);
            let window = 0.5 - 0.5 * (TAU * n as f64 / count as f64).cos();
            (0.5 * window * (TAU * (from * t + (to - from) * t * t / (2.0 * seconds))).sin()) as f32
        };
        Self { rate, samples: (0..count).map(sample).collect() }
    }

    pub fn then(mut self, other: &Self) -> Self {
        assert_eq!(self.rate, other.rate);
        self.samples.extend_from_slice(&other.samples);
        self
    }

    /// The first channel of a WAV file.
    pub fn read(path: &Path) -> Self {
        let mut reader = hound::WavReader::open(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let spec = reader.spec();
        let all: Vec<f32> = match spec.sample_format {
            hound::SampleFormat::Float => reader.samples::<f32>().map(|s| s.expect("sample")).collect(),
            hound::SampleFormat::Int => {
                let scale = 2_f32.powi(i32::from(spec.bits_per_sample) - 1);
                reader.samples::<i32>().map(|s| s.expect("sample") as f32 / scale).collect()
            }
        };
        let samples = all.into_iter().step_by(usize::from(spec.channels)).collect();
        Self { rate: spec.sample_rate, samples }
    }

    /// 16 bit, mono.
    pub fn write(&self, path: &Path) {
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: self.rate,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(path, spec).expect("writes a WAV file");
        for sample in &self.samples {
            writer.write_sample((sample.clamp(-1.0, 1.0) * 32_767.0) as i16).expect("writes a sample");
        }
        writer.finalize().expect("ends a WAV file");
    }

    pub fn seconds(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.rate)
    }

    /// The part from `from` to `to` [s].
    pub fn part(&self, from: f64, to: f64) -> Self {
        let end = samples(self.rate, to).min(self.samples.len());
        let start = samples(self.rate, from).min(end);
        Self { rate: self.rate, samples: self.samples[start..end].to_vec() }
    }

    /// Mean power [dB to that of a full-scale sine]; silence is -120.
    pub fn level(&self) -> f64 {
        decibels(mean_square(&self.samples) * 2.0)
    }

    /// Level of one frequency by Goertzel's filter [dB to a full-scale sine]: in blocks of 50 ms, so that a shift of
    /// phase, which a skipped packet or another clock makes, does not wipe it out.
    pub fn tone_level(&self, hz: f64) -> f64 {
        let blocks: Vec<f64> = self.blocks().map(|block| block.amplitude(hz).powi(2)).collect();
        decibels(blocks.iter().sum::<f64>() / blocks.len().max(1) as f64)
    }

    /// The part of the power that lies at one frequency, `0.0..=1.0`; in the same blocks.
    pub fn tone_share(&self, hz: f64) -> f64 {
        let (mut tone, mut all) = (0.0, 0.0);
        for block in self.blocks() {
            tone += block.amplitude(hz).powi(2) / 2.0;
            all += mean_square(&block.samples);
        }
        if all > 0.0 { tone / all } else { 0.0 }
    }

    fn blocks(&self) -> impl Iterator<Item = Self> {
        let block = samples(self.rate, 0.05).max(1);
        self.samples.chunks_exact(block).map(|chunk| Self { rate: self.rate, samples: chunk.to_vec() })
    }

    fn amplitude(&self, hz: f64) -> f64 {
        let step = TAU * hz / f64::from(self.rate);
        let (coefficient, mut s1, mut s2) = (2.0 * step.cos(), 0.0, 0.0);
        for sample in &self.samples {
            (s1, s2) = (f64::from(*sample) + coefficient * s1 - s2, s1);
        }
        let power = s1 * s1 + s2 * s2 - coefficient * s1 * s2;
        2.0 * power.max(0.0).sqrt() / self.samples.len().max(1) as f64
    }

    /// Where `pattern` begins [s], and how well it fits, `0.0..=1.0`.
    pub fn find(&self, pattern: &Self) -> Option<(f64, f64)> {
        assert_eq!(self.rate, pattern.rate, "compare like with like: resample first");
        let length = pattern.samples.len();
        let energy = |s: &[f32]| s.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>();
        let own = energy(&pattern.samples);
        let fits = self.samples.windows(length).map(|window| {
            let dot: f64 = window.iter().zip(&pattern.samples).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            dot / (energy(window) * own).sqrt().max(1e-9)
        });
        let best = fits.enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
        Some((best.0 as f64 / f64::from(self.rate), best.1))
    }

    /// Every `factor`-th sample after a running mean: enough for finding a chirp of low pitch.
    pub fn decimate(&self, factor: usize) -> Self {
        let mean = |chunk: &[f32]| chunk.iter().sum::<f32>() / chunk.len() as f32;
        Self { rate: self.rate / factor as u32, samples: self.samples.chunks_exact(factor).map(mean).collect() }
    }
}

fn samples(rate: u32, seconds: f64) -> usize {
    (f64::from(rate) * seconds).round() as usize
}

fn mean_square(samples: &[f32]) -> f64 {
    samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len().max(1) as f64
}

fn decibels(power: f64) -> f64 {
    10.0 * power.max(1e-12).log10()
}
