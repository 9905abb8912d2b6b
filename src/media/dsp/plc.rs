//! Packet loss concealment on plain samples: sound made up after, or between, sound that is there.
use crate::media::dsp::pitch::{Pitch, PitchFinder};

/// Sound of the past that concealment looks at \[ms\].
pub const HISTORY_MS: usize = 64;
/// Periods repeated in turn, as the gap grows: one alone would buzz.
const MOST_PERIODS: usize = 3;
/// After this long one more period is taken into the turn \[ms\].
const PERIOD_STEP_MS: usize = 20;
/// Full strength until, and silence from \[ms\].
const FADE_FROM_MS: f32 = 50.0;
const FADE_TO_MS: f32 = 180.0;
/// Voicing at and below which sound counts as pure noise, and from which as pure voice.
const NOISE_VOICING: f32 = 0.2;
const VOICE_VOICING: f32 = 0.5;
/// Pieces noise is put together from \[ms\].
const PIECE_MS: usize = 6;

/// Continues a signal: periods of a voice in turn, noise for the rest, fading out.
#[derive(Clone, Debug)]
struct Extension {
    rate: u32,
    /// The end of the sound continued.
    past: Vec<f32>,
    pitch: Pitch,
    /// Samples made so far.
    made: usize,
    /// The block of whole periods read now, and the position in it \[samples\].
    block: usize,
    at: usize,
    /// What keeps the seam free of a step: added, decaying.
    seam: f32,
    noise: Noise,
    /// Amplitude that remains when all has faded.
    floor: f32,
    /// Root mean square of the end of `past`.
    strength: f32,
}

/// Noise with the spectrum of `past`: random pieces of it, faded into each other.
#[derive(Clone, Debug)]
struct Noise {
    piece: usize,
    at: usize,
    /// Where in `past` the two sounding pieces start, and whether they run backwards.
    pieces: [(usize, bool); 2],
    seed: u32,
}

impl Noise {
    fn next_piece(&mut self, past: usize) -> (usize, bool) {
        // A linear congruential generator is random enough for noise.
        self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let room = past.saturating_sub(2 * self.piece).max(1);
        ((self.seed >> 8) as usize % room, self.seed & 0x80 != 0)
    }

    fn sample(&mut self, past: &[f32]) -> f32 {
        if self.at == self.piece {
            (self.at, self.pieces[0]) = (0, self.pieces[1]);
            self.pieces[1] = self.next_piece(past.len());
        }
        let read = |(start, backwards): (usize, bool), offset: usize| {
            let offset = if backwards { 2 * self.piece - 1 - offset } else { offset };
            past.get(start + offset).copied().unwrap_or(0.0)
        };
        let phase = std::f32::consts::FRAC_PI_2 * (self.at as f32 + 0.5) / self.piece as f32;
        // Unrelated pieces: sine and cosine keep the power.
        let out =
            read(self.pieces[0], self.piece + self.at) * phase.cos() + read(self.pieces[1], self.at) * phase.sin();
        self.at += 1;
        out
    }
}

impl Extension {
    fn new(rate: u32) -> Self {
        let past = rate as usize * HISTORY_MS / 1_000;
        let noise =
            Noise { piece: rate as usize * PIECE_MS / 1_000, at: 0, pieces: [(0, false); 2], seed: 0x2545_f491 };
        Self {
            rate,
            past: Vec::with_capacity(past),
            pitch: Pitch { lag: 1, voicing: 0.0 },
            made: 0,
            block: 1,
            at: 0,
            seam: 0.0,
            noise,
            floor: 0.0,
            strength: 0.0,
        }
    }

    /// - `past`: ends where the extension begins.
    fn begin(&mut self, past: impl Iterator<Item = f32>, pitch: Pitch, floor: f32) {
        self.past.clear();
        self.past.extend(past);
        let recent = &self.past[self.past.len().saturating_sub(self.ms(20))..];
        self.strength = (recent.iter().map(|s| s * s).sum::<f32>() / recent.len().max(1) as f32).sqrt();
        (self.pitch, self.floor, self.made, self.at) = (pitch, floor, 0, 0);
        self.block = pitch.lag.clamp(1, self.past.len().max(1));
        let before = self.past.len().checked_sub(self.block + 1).map_or(0.0, |i| self.past[i]);
        self.seam = self.past.last().map_or(0.0, |last| last - before);
        // Noise comes from the newest 30 ms.
        self.noise.at = self.noise.piece;
        self.noise.pieces[1] = self.noise.next_piece(self.ms(30).min(self.past.len()));
    }

    fn ms(&self, ms: usize) -> usize {
        self.rate as usize * ms / 1_000
    }

    fn extend(&mut self, count: usize, out: &mut Vec<f32>) {
        let voice = ((self.pitch.voicing - NOISE_VOICING) / (VOICE_VOICING - NOISE_VOICING)).clamp(0.0, 1.0);
        let hiss = (1.0 - voice * voice).sqrt();
        let newest = self.past.len() - self.past.len().min(self.ms(30));
        let seam_length = (self.pitch.lag / 4).max(1) as f32;
        for _ in 0..count {
            let ms = self.made as f32 * 1_000.0 / self.rate as f32;
            let gain = ((FADE_TO_MS - ms) / (FADE_TO_MS - FADE_FROM_MS)).clamp(0.0, 1.0);
            let seam = self.seam * (1.0 - self.made as f32 / seam_length).max(0.0);
            let noise = self.noise.sample(&self.past[newest..]);
            let hush = if self.strength > 0.0 { (1.0 - gain) * (self.floor / self.strength).min(1.0) } else { 0.0 };
            out.push((voice * self.periodic() + hiss * noise) * gain + seam + hush * noise);
            self.made += 1;
        }
    }

    /// The next sample of the periods in turn.
    fn periodic(&mut self) -> f32 {
        let quarter = (self.pitch.lag / 4).max(1).min(self.block);
        let end = self.past.len();
        let sample = |block: usize, at: usize| (end + at).checked_sub(block).and_then(|i| self.past.get(i));
        let mut out = sample(self.block, self.at).copied().unwrap_or(0.0);
        // Towards its end the block fades into what precedes the block that follows.
        let next = self.next_block();
        let left = self.block - self.at;
        if left <= quarter
            && let Some(lead_in) = end.checked_sub(next + left).and_then(|i| self.past.get(i))
        {
            let weight = (quarter - left) as f32 / quarter as f32;
            out += weight * (lead_in - out);
        }
        self.at += 1;
        if self.at >= self.block {
            (self.at, self.block) = (0, next);
        }
        out
    }

    fn next_block(&self) -> usize {
        let periods = (1 + self.made / self.ms(PERIOD_STEP_MS)).min(MOST_PERIODS);
        let fit = (self.past.len() / self.pitch.lag.max(1)).max(1);
        (self.pitch.lag * periods.min(fit)).clamp(1, self.past.len().max(1))
    }
}

/// Makes up sound at one sample rate.
#[derive(Clone, Debug)]
pub struct Concealer {
    rate: u32,
    finder: PitchFinder,
    forward: Extension,
    backward: Extension,
    /// The future turned round, and both extensions.
    scratch: [Vec<f32>; 3],
}

impl Concealer {
    pub fn new(rate: u32) -> Self {
        let room = || Vec::with_capacity(rate as usize / 2);
        Self {
            rate,
            finder: PitchFinder::new(rate),
            forward: Extension::new(rate),
            backward: Extension::new(rate),
            scratch: [room(), room(), room()],
        }
    }

    /// Sound of the past worth giving \[samples\].
    pub fn history(&self) -> usize {
        self.rate as usize * HISTORY_MS / 1_000
    }

    /// Prepares [`Self::extend`].
    ///
    /// - `history`: the sound before the gap.
    /// - `floor`: root mean square of the background noise, to which the extension fades.
    pub fn begin(&mut self, history: &[f32], floor: f32) {
        let history = &history[history.len().saturating_sub(self.history())..];
        let pitch = self.finder.find(history);
        self.forward.begin(history.iter().copied(), pitch, floor);
    }

    /// Appends the next `count` samples of a gap whose end is not known.
    pub fn extend(&mut self, count: usize, out: &mut Vec<f32>) {
        self.forward.extend(count, out);
    }

    /// Appends the `gap` samples between `history` and `future`.
    pub fn bridge(&mut self, history: &[f32], future: &[f32], gap: usize, floor: f32, out: &mut Vec<f32>) {
        self.begin(history, floor);
        let future = &future[..future.len().min(self.history())];
        let [turned, ahead, back] = &mut self.scratch;
        turned.clear();
        turned.extend(future.iter().rev());
        let pitch = self.finder.find(turned);
        self.backward.begin(turned.iter().copied(), pitch, floor);
        ahead.clear();
        back.clear();
        self.forward.extend(gap, ahead);
        self.backward.extend(gap, back);
        // Turned out better than to bring both into phase or to cross over briefly where they are.
        for (n, (before, after)) in ahead.iter().zip(back.iter().rev()).enumerate() {
            let x = (n as f32 + 0.5) / gap as f32;
            let weight = 0.5 - 0.5 * (std::f32::consts::PI * x).cos();
            out.push(before + weight * (after - before));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::dsp::goertzel::power;
    use std::f32::consts::TAU;

    /// A voice at `hz`, from sample `from` on.
    fn voice(hz: f32, rate: u32, from: usize, count: usize) -> Vec<f32> {
        let at = |n: usize| {
            let t = TAU * hz * n as f32 / rate as f32;
            (1..6).map(|h| 0.1 * (t * h as f32 + h as f32).sin()).sum()
        };
        (from..from + count).map(at).collect()
    }

    fn strength(sound: &[f32]) -> f32 {
        (sound.iter().map(|s| s * s).sum::<f32>() / sound.len() as f32).sqrt()
    }

    fn steepest(sound: &[f32]) -> f32 {
        sound.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn a_voice_goes_on_at_its_pitch_fades_and_leaves_the_background() {
        for rate in [8_000, 48_000] {
            let ms = rate as usize / 1_000;
            let history = voice(125.0, rate, 0, 80 * ms);
            let (mut concealer, mut made) = (Concealer::new(rate), Vec::new());
            concealer.begin(&history, 0.001);
            for _ in 0..30 {
                concealer.extend(10 * ms, &mut made);
            }
            let expected = voice(125.0, rate, 80 * ms, 40 * ms);
            let error: Vec<f32> = expected.iter().zip(&made).map(|(a, b)| a - b).collect();
            assert!(strength(&error) < 0.15 * strength(&expected), "{rate}: {}", strength(&error));
            let joined = [history.as_slice(), &made].concat();
            assert!(steepest(&joined) < 1.2 * steepest(&history), "{rate}: {}", steepest(&joined));
            assert!(strength(&made[100 * ms..120 * ms]) < 0.8 * strength(&history));
            let rest = strength(&made[200 * ms..]);
            assert!((0.0005..0.002).contains(&rest), "{rate}: background {rest}");
        }
    }

    #[test]
    fn noise_goes_on_as_noise() {
        let mut rng = crate::base::rng::Rng::from_u64(9);
        let history: Vec<f32> = (0..640).map(|_| 0.2 * (rng.unit() as f32 - 0.5)).collect();
        let (mut concealer, mut made) = (Concealer::new(8_000), Vec::new());
        concealer.begin(&history, 0.0);
        concealer.extend(400, &mut made);
        let ratio = strength(&made) / strength(&history);
        assert!((0.8..1.25).contains(&ratio), "{ratio}");
        // No pitch appears where there was none.
        let strongest = (1..40).map(|n| power(&made, f64::from(n) * 100.0, 8_000.0)).fold(0.0, f64::max);
        assert!(strongest < 0.1 * f64::from(strength(&made) * strength(&made)), "{strongest}");
    }

    #[test]
    fn a_gap_in_a_voice_is_bridged_from_both_sides() {
        for (rate, gap_ms) in [(8_000, 10), (8_000, 20), (8_000, 60), (48_000, 20)] {
            let ms = rate as usize / 1_000;
            let whole = voice(125.0, rate, 0, 200 * ms);
            let (history, rest) = whole.split_at(80 * ms);
            let (lost, future) = rest.split_at(gap_ms * ms);
            let mut made = Vec::new();
            Concealer::new(rate).bridge(history, &future[..20 * ms], lost.len(), 0.0, &mut made);
            assert_eq!(made.len(), lost.len());
            let error: Vec<f32> = lost.iter().zip(&made).map(|(a, b)| a - b).collect();
            assert!(strength(&error) < 0.2 * strength(lost), "{rate} {gap_ms}: {}", strength(&error));
            let joined = [history, &made, future].concat();
            assert!(steepest(&joined) < 1.2 * steepest(&whole), "{rate} {gap_ms}: {}", steepest(&joined));
        }
    }

    #[test]
    fn too_little_sound_on_either_side_is_no_harm() {
        let some = voice(125.0, 8_000, 0, 5);
        for (history, future) in
            [(&[][..], &[][..]), (&some[..], &[][..]), (&[][..], &some[..]), (&[0.5][..], &[-0.5][..])]
        {
            let (mut concealer, mut made) = (Concealer::new(8_000), Vec::new());
            concealer.bridge(history, future, 160, 0.1, &mut made);
            concealer.bridge(history, future, 0, 0.1, &mut made);
            concealer.extend(100, &mut made);
            assert_eq!(made.len(), 260);
            assert!(made.iter().all(|s| s.is_finite() && s.abs() <= 1.0));
        }
    }
}
