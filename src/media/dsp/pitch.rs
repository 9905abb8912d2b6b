//! The period of a voice, by normalised correlation of a signal with its own past.

/// Correlations are searched at about this rate, whatever the signal's \[Hz\].
const SEARCH_RATE: u32 = 8_000;
/// The periods looked for, 2.5 to 18 ms: voices from 55 to 400 Hz [samples at the search rate].
const SHORTEST: usize = 20;
const LONGEST: usize = 144;
/// Sound compared with its past [samples at the search rate].
const WINDOW: usize = 160;
/// A shorter period with this part of the best one's correlation is taken: the best is then a multiple of it.
const MULTIPLE: f32 = 0.88;

/// A period and how well the sound repeats after it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pitch {
    /// \[samples\]
    pub lag: usize,
    /// Normalised correlation, `0.0..=1.0`: near 1 is a voice, below 0.5 is noise.
    pub voicing: f32,
}

/// Finds the period of the end of a signal.
#[derive(Clone, Debug)]
pub struct PitchFinder {
    decimation: usize,
    slow: Vec<f32>,
}

impl PitchFinder {
    /// - `rate`: of the sound \[Hz\].
    pub fn new(rate: u32) -> Self {
        Self { decimation: (rate / SEARCH_RATE).max(1) as usize, slow: Vec::with_capacity(WINDOW + LONGEST) }
    }

    /// The shortest and the longest period found \[samples\].
    pub fn range(&self) -> (usize, usize) {
        (SHORTEST * self.decimation, LONGEST * self.decimation)
    }

    /// The period at the end of `sound`, of which the last 38 ms are looked at; shorter sound is taken for noise.
    pub fn find(&mut self, sound: &[f32]) -> Pitch {
        let want = (WINDOW + LONGEST) * self.decimation;
        let sound = &sound[sound.len().saturating_sub(want)..];
        let scale = 1.0 / self.decimation as f32;
        self.slow.clear();
        self.slow.extend(sound.rchunks_exact(self.decimation).map(|c| c.iter().sum::<f32>() * scale));
        self.slow.reverse();
        let noise = Pitch { lag: LONGEST * self.decimation / 2, voicing: 0.0 };
        let window = WINDOW.min(self.slow.len() / 2);
        if window < SHORTEST {
            return noise;
        }
        let longest = LONGEST.min(self.slow.len() - window);
        let template = &self.slow[self.slow.len() - window..];
        let mut scores = [0.0_f32; LONGEST + 1];
        for (lag, score) in scores.iter_mut().enumerate().take(longest + 1).skip(SHORTEST) {
            let past = &self.slow[self.slow.len() - window - lag..][..window];
            *score = correlation(template, past);
        }
        let best = scores.iter().copied().fold(0.0, f32::max);
        if best <= 0.0 {
            return noise;
        }
        let is_peak = |lag: usize| {
            scores[lag] >= scores[lag - 1] && scores.get(lag + 1).is_none_or(|after| scores[lag] >= *after)
        };
        let Some(coarse) = (SHORTEST..=longest).find(|lag| scores[*lag] >= MULTIPLE * best && is_peak(*lag)) else {
            return noise;
        };
        let lag = if self.decimation == 1 { coarse } else { refine(sound, coarse * self.decimation, self.decimation) };
        Pitch { lag, voicing: scores[coarse].min(1.0) }
    }
}

/// The best lag within `around` of `lag` at the full rate.
fn refine(sound: &[f32], lag: usize, around: usize) -> usize {
    let window = (sound.len() / 2).min(lag * 2).min(sound.len().saturating_sub(lag + around));
    let template = &sound[sound.len() - window..];
    let score = |lag: usize| correlation(template, &sound[sound.len() - window - lag..][..window]);
    (lag - around..=lag + around).max_by(|a, b| score(*a).total_cmp(&score(*b))).unwrap_or(lag)
}

/// Normalised correlation of two blocks of the same length: 1 when one is a positive multiple of the other.
pub fn correlation(a: &[f32], b: &[f32]) -> f32 {
    let (mut ab, mut aa, mut bb) = ([0.0_f32; 4], [0.0_f32; 4], [0.0_f32; 4]);
    for (a, b) in a.chunks(4).zip(b.chunks(4)) {
        for (i, (a, b)) in a.iter().zip(b).enumerate() {
            ab[i] += a * b;
            aa[i] += a * a;
            bb[i] += b * b;
        }
    }
    let sum = |s: [f32; 4]| (s[0] + s[1]) + (s[2] + s[3]);
    let power = sum(aa) * sum(bb);
    if power > 1e-18 { sum(ab) / power.sqrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    /// A buzz of many harmonics with period `lag`, and noise.
    fn voice(lag: f32, noise: f32, count: usize) -> Vec<f32> {
        let mut rng = Rng::from_u64(1);
        (0..count)
            .map(|n| {
                let t = std::f32::consts::TAU * n as f32 / lag;
                let buzz: f32 = (1..8).map(|h| (t * h as f32 + h as f32).cos() / h as f32).sum();
                0.2 * buzz + noise * (rng.unit() as f32 - 0.5)
            })
            .collect()
    }

    #[test]
    fn noise_silence_and_too_little_have_no_voice() {
        for sound in [vec![], vec![0.0; 30], vec![0.0; 480], voice(60.0, 10.0, 480)] {
            let pitch = PitchFinder::new(8_000).find(&sound);
            assert!(pitch.voicing < 0.5 && pitch.lag > 0, "{pitch:?}");
        }
    }

    #[test]
    fn the_fundamental_is_found_not_its_multiples() {
        for (rate, lag) in
            [(8_000, 25.0), (8_000, 40.0), (8_000, 61.0), (8_000, 120.0), (48_000, 240.0), (48_000, 493.0)]
        {
            let pitch = PitchFinder::new(rate).find(&voice(lag, 0.02, rate as usize / 20));
            assert!((pitch.lag as f32 - lag).abs() <= 1.0 && pitch.voicing > 0.9, "{rate} {lag}: {pitch:?}");
        }
    }
}
