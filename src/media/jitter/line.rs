//! The line of decoded sound: what was played last, what is to be played next, and all that bends it: made-up sound
//! where some is missing, joins without a step, and time-stretching by whole periods of the voice.
use crate::media::dsp::pitch::correlation;
use crate::media::dsp::plc::Concealer;

/// Sound kept for play and concealment \[ms\].
const ROOM_MS: usize = 1_000;
/// The shortest and longest piece taken out or put in at once \[ms\].
const SHORTEST_MS: f32 = 2.5;
const LONGEST_MS: f32 = 15.0;
/// Length of the crossing from one piece to another \[ms\].
const CROSSING_MS: f32 = 5.0;
/// How alike both ends of a piece must be for the voice to go on unharmed without it.
const ALIKE: f32 = 0.85;
/// How much louder than the background a frame may be and still be quiet (power): 6 dB.
const QUIET: f32 = 4.0;
/// Below this power sound is quiet whatever the background: -66 dBov.
const INAUDIBLE: f32 = 2.5e-7;
/// The background is never taken for louder than this power: -36 dBov.
const LOUDEST_FLOOR: f32 = 2.5e-4;
/// By this factor the idea of the background rises with each frame: 2.6 dB a second.
const FLOOR_RISE: f32 = 1.006;

#[derive(Clone, Debug)]
pub struct Line {
    rate: u32,
    samples: Vec<f32>,
    /// The first sample not yet played.
    play: usize,
    concealer: Concealer,
    /// Samples by which the line was extended without knowing what comes.
    extended: usize,
    /// Power of the background noise.
    floor: f32,
    /// Samples of mere background played without a break.
    quiet: usize,
    scratch: Vec<f32>,
}

impl Line {
    /// - `rate`: of the sound \[Hz\].
    pub fn new(rate: u32) -> Self {
        let room = rate as usize * ROOM_MS / 1_000;
        Self {
            rate,
            samples: Vec::with_capacity(room),
            play: 0,
            concealer: Concealer::new(rate),
            extended: 0,
            floor: LOUDEST_FLOOR,
            quiet: 0,
            scratch: Vec::with_capacity(room),
        }
    }

    /// Samples ready to be played.
    pub fn pending(&self) -> usize {
        self.samples.len() - self.play
    }

    /// Samples made up at the end of the line since the last real one.
    pub fn extended(&self) -> usize {
        self.extended
    }

    /// Takes the next `count` samples, or as many as there are, to be played.
    pub fn take(&mut self, count: usize) -> &[f32] {
        let history = self.concealer.history();
        if self.play > 4 * history {
            self.samples.drain(..self.play - history);
            self.play = history;
        }
        let start = self.play;
        self.play = (start + count).min(self.samples.len());
        let taken = &self.samples[start..self.play];
        let power = power(taken);
        self.quiet = if self.is_background(power) { self.quiet + taken.len() } else { 0 };
        if self.extended == 0 {
            self.floor = (self.floor * FLOOR_RISE).min(power).clamp(1e-10, LOUDEST_FLOOR);
        }
        &self.samples[start..self.play]
    }

    /// Appends sound that follows what is there.
    pub fn push(&mut self, sound: &[f32]) {
        self.samples.extend_from_slice(sound);
        self.extended = 0;
    }

    /// Appends `count` made-up samples, not knowing what will follow.
    pub fn extend(&mut self, count: usize) {
        if self.extended == 0 {
            self.concealer.begin(&self.samples, self.floor.sqrt());
        }
        self.concealer.extend(count, &mut self.samples);
        self.extended += count;
    }

    /// Appends `gap` made-up samples and the sound that follows the gap.
    pub fn bridge(&mut self, gap: usize, sound: &[f32]) {
        self.scratch.clear();
        self.concealer.bridge(&self.samples, sound, gap, self.floor.sqrt(), &mut self.scratch);
        self.samples.extend_from_slice(&self.scratch);
        self.push(sound);
    }

    /// Appends sound that does not continue what is there: they cross over.
    ///
    /// Bringing them into phase first would cost delay, and did not sound better.
    pub fn join(&mut self, sound: &[f32]) {
        let crossing = self.samples_of(CROSSING_MS).min(sound.len());
        self.scratch.clear();
        if self.samples.is_empty() {
            self.scratch.resize(crossing, 0.0);
        } else {
            if self.extended == 0 {
                self.concealer.begin(&self.samples, self.floor.sqrt());
            }
            self.concealer.extend(crossing, &mut self.scratch);
        }
        let (first, rest) = sound.split_at(crossing);
        let crossed = self.scratch.iter().zip(first).enumerate().map(|(n, (old, new))| cross(*old, *new, n, crossing));
        self.samples.extend(crossed);
        self.push(rest);
    }

    /// Nothing but background is about to be played.
    pub fn is_quiet(&self) -> bool {
        let ahead = &self.samples[self.play..];
        let ahead = &ahead[..ahead.len().min(self.samples_of(30.0))];
        !ahead.is_empty() && ahead.chunks(self.samples_of(5.0)).all(|part| self.is_background(power(part)))
    }

    /// For how many samples nothing but background was played.
    pub fn quiet(&self) -> usize {
        self.quiet
    }

    fn is_background(&self, power: f32) -> bool {
        power < (QUIET * self.floor).max(INAUDIBLE)
    }

    /// Samples that must be pending for [`Self::shrink`].
    pub fn needed_to_shrink(&self) -> usize {
        self.samples_of(LONGEST_MS + 2.0 * CROSSING_MS)
    }

    /// Takes a piece of at most `most` samples out of what is to be played; returns its length, 0 when none fits.
    ///
    /// - `force`: take one out even where it can be heard.
    pub fn shrink(&mut self, most: usize, force: bool) -> usize {
        let (crossing, quiet) = (self.samples_of(CROSSING_MS), self.is_quiet());
        let least = self.samples_of(SHORTEST_MS);
        let most = most.min(self.samples_of(LONGEST_MS)).min(self.pending().saturating_sub(2 * crossing));
        if most < least {
            return 0;
        }
        let ahead = &self.samples[self.play..];
        let least = if quiet { most * 3 / 4 } else { least };
        let (lag, alike) =
            best_lag(&ahead[..most + 2 * crossing], &ahead[..2 * crossing], least, most, self.coarseness());
        if !quiet && !force && alike < ALIKE {
            return 0;
        }
        for n in 0..crossing {
            let (old, new) = (self.samples[self.play + n], self.samples[self.play + n + lag]);
            self.samples[self.play + n] = cross(old, new, n, crossing);
        }
        self.samples.drain(self.play + crossing..self.play + crossing + lag);
        lag
    }

    /// Puts a piece of at most `most` samples in before what is to be played; returns its length, 0 when none fits.
    pub fn grow(&mut self, most: usize, force: bool) -> usize {
        let (crossing, quiet) = (self.samples_of(CROSSING_MS), self.is_quiet());
        let least = self.samples_of(SHORTEST_MS);
        let most = most.min(self.samples_of(LONGEST_MS)).min(self.play);
        if most < least || self.pending() < crossing {
            return 0;
        }
        let least = if quiet { most * 3 / 4 } else { least };
        let window = self.pending().min(2 * crossing);
        // Reversed in sense: a lag counts back from the play position.
        let start = self.play - most;
        let (offset, alike) = best_lag(
            &self.samples[start..self.play - least + window],
            &self.samples[self.play..self.play + window],
            0,
            most - least,
            self.coarseness(),
        );
        if !quiet && !force && alike < ALIKE {
            return 0;
        }
        let lag = most - offset;
        self.scratch.clear();
        for n in 0..crossing {
            let (old, new) = (self.samples[self.play + n], self.samples[self.play + n - lag]);
            self.scratch.push(cross(old, new, n, crossing));
        }
        self.scratch.extend_from_slice(&self.samples[self.play + crossing - lag..self.play + crossing]);
        // The piece read again goes in front; the first crossing of the old sound is replaced.
        let after = self.play + crossing;
        self.samples.splice(self.play..after, self.scratch.iter().copied());
        lag
    }

    fn samples_of(&self, ms: f32) -> usize {
        (self.rate as f32 * ms / 1_000.0) as usize
    }

    /// Step of the first, coarse search for likeness \[samples\].
    fn coarseness(&self) -> usize {
        (self.rate / 8_000).max(1) as usize
    }
}

/// The place in `sound`, from `least` to `most`, most like `template`, and how alike it is.
fn best_lag(sound: &[f32], template: &[f32], least: usize, most: usize, step: usize) -> (usize, f32) {
    let score = |lag: usize| match sound.get(lag..lag + template.len()) {
        Some(part) => correlation(template, part),
        None => f32::MIN,
    };
    let better = |a: (usize, f32), b: (usize, f32)| if b.1 > a.1 { b } else { a };
    let coarse = (least..=most).step_by(step).map(|lag| (lag, score(lag))).fold((least, f32::MIN), better);
    if step == 1 {
        return coarse;
    }
    let (from, to) = (coarse.0.saturating_sub(step - 1).max(least), (coarse.0 + step - 1).min(most));
    (from..=to).map(|lag| (lag, score(lag))).fold(coarse, better)
}

fn power(sound: &[f32]) -> f32 {
    sound.iter().map(|s| s * s).sum::<f32>() / sound.len().max(1) as f32
}

/// From `old` to `new` along a raised cosine.
fn cross(old: f32, new: f32, n: usize, length: usize) -> f32 {
    let weight = 0.5 - 0.5 * (std::f32::consts::PI * (n as f32 + 0.5) / length as f32).cos();
    old + weight * (new - old)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::dsp::goertzel;
    use std::f32::consts::TAU;

    fn tone(hz: f32, rate: u32, from: usize, count: usize) -> Vec<f32> {
        (from..from + count).map(|n| 0.3 * (TAU * hz * n as f32 / rate as f32).sin()).collect()
    }

    fn noise(amplitude: f32, count: usize) -> Vec<f32> {
        let mut rng = crate::base::rng::Rng::from_u64(3);
        (0..count).map(|_| amplitude * (rng.unit() as f32 - 0.5)).collect()
    }

    fn steepest(sound: &[f32]) -> f32 {
        sound.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn stretching_takes_whole_periods_and_leaves_no_step() {
        for rate in [8_000, 48_000] {
            let period = rate as usize / 200;
            let sound = tone(200.0, rate, 0, rate as usize / 5);
            for grows in [true, false] {
                let mut line = Line::new(rate);
                line.push(&sound);
                line.take(rate as usize / 10);
                let before = line.pending();
                let most = rate as usize * 12 / 1_000;
                let by = if grows { line.grow(most, false) } else { line.shrink(most, false) };
                assert!(by > 0 && by.is_multiple_of(period), "{rate} grows {grows}: {by}");
                assert_eq!(line.pending(), if grows { before + by } else { before - by });
                assert!(steepest(&line.samples) < 1.05 * steepest(&sound));
                let level = goertzel::power(&line.samples[line.play..][..period * 4], 200.0, f64::from(rate));
                assert!((level / (0.25 * 0.09) - 1.0).abs() < 0.05);
            }
        }
    }

    #[test]
    fn noise_in_speech_is_stretched_only_by_force_and_quiet_freely() {
        let mut loud = Line::new(8_000);
        loud.push(&noise(0.5, 1_600));
        loud.take(800);
        assert_eq!((loud.shrink(80, false), loud.grow(80, false)), (0, 0));
        assert!(loud.shrink(80, true) > 0 && loud.grow(80, true) > 0);
        let mut quiet = Line::new(8_000);
        quiet.push(&noise(0.0005, 1_600));
        for _ in 0..10 {
            quiet.take(80);
        }
        assert!(quiet.is_quiet() && quiet.quiet() >= 800);
        assert!(quiet.shrink(80, false) >= 60 && quiet.grow(80, false) >= 60);
        // Too little to work with.
        assert_eq!((Line::new(8_000).shrink(80, true), Line::new(8_000).grow(80, true)), (0, 0));
    }

    #[test]
    fn made_up_sound_is_crossed_over_to_the_real_one() {
        for extended in [0, 80, 400, 4_000] {
            let (before, after) = (tone(200.0, 8_000, 0, 800), tone(200.0, 8_000, 13, 800));
            let mut line = Line::new(8_000);
            line.push(&before);
            line.extend(extended);
            assert_eq!(line.extended(), extended);
            line.join(&after);
            assert_eq!((line.extended(), line.pending()), (0, 1_600 + extended));
            assert!(steepest(&line.samples) < 1.5 * steepest(&before), "{extended}: {}", steepest(&line.samples));
            assert_eq!(line.samples.last(), after.last());
        }
        let mut line = Line::new(8_000);
        line.join(&tone(200.0, 8_000, 10, 800));
        assert!(line.samples[0].abs() < 0.01, "the first sound of all rises");
    }
}
