//! Digits as tones in the sound (ITU-T Q.23, Q.24): two pure tones at a time, sent and found.
//!
//! ```text
//! blocks of 16 ms, one each 8 ms:   silence --> sounding --3 alike--> told, held --3 others--> silence
//! ```
use crate::media::dsp::goertzel::power;
use crate::media::dsp::resample::Downsampler;
use crate::media::dsp::tone::{DTMF_COLUMNS, DTMF_ROWS, dtmf};
use crate::media::frame::{FRAME_RATE, Frame};
use crate::media::spec::Digit;
use std::collections::VecDeque;
use std::f32::consts::TAU;
use std::time::Duration;

/// Amplitude of each tone: -8 dBm0, where 3.17 dBm0 is a sine of full scale (ITU-T G.711); no twist.
const LOUDNESS: f32 = 0.276;
/// No digit is sent shorter; ITU-T Q.24 has receivers take 40 ms.
pub const SHORTEST: Duration = Duration::from_millis(50);
/// Silence after each digit.
const PAUSE: Duration = Duration::from_millis(80);
/// Length of rise and fall \[samples\]: 2 ms.
const RAMP: usize = 96;
/// Digits waiting to be sent.
const QUEUE: usize = 64;

/// Sends digits one after another, in place of the sound.
#[derive(Clone, Debug, Default)]
pub struct ToneSender {
    queue: VecDeque<(Digit, Duration)>,
    /// What sounds now, and samples of it that are out.
    sounding: Option<(Digit, usize, usize)>,
}

impl ToneSender {
    /// One too many is dropped and `false` returned. A hook flash has no tones.
    pub fn send(&mut self, digit: Digit, duration: Duration) -> bool {
        let room = self.queue.len() < QUEUE && dtmf(digit).is_some();
        if room {
            self.queue.push_back((digit, duration.max(SHORTEST)));
        }
        room
    }

    /// Puts tones in the place of `frame` while there are any.
    pub fn replace(&mut self, frame: &mut Frame) {
        if self.sounding.is_none() && self.queue.is_empty() {
            return;
        }
        for sample in frame {
            *sample = self.sample().unwrap_or(*sample);
        }
    }

    fn sample(&mut self) -> Option<f32> {
        let (digit, tones, at) = match self.sounding.take() {
            Some(sounding) => sounding,
            None => {
                let (digit, duration) = self.queue.pop_front()?;
                (digit, samples(duration), 0)
            }
        };
        if at + 1 < tones + samples(PAUSE) {
            self.sounding = Some((digit, tones, at + 1));
        }
        if at >= tones {
            return Some(0.0);
        }
        let ramp = (at.min(tones - at) as f32 / RAMP as f32).min(1.0);
        let time = at as f32 / FRAME_RATE as f32;
        let pair = dtmf(digit).unwrap_or_default();
        Some(LOUDNESS * ramp * pair.iter().map(|hz| (TAU * (hz * time).fract()).sin()).sum::<f32>())
    }
}

fn samples(duration: Duration) -> usize {
    (duration.as_secs_f64() * f64::from(FRAME_RATE)) as usize
}

/// The rate tones are looked for at \[Hz\], the samples of a block (16 ms) and from one to the next (8 ms).
const RATE: f64 = 8_000.0;
const BLOCK: usize = 128;
const HOP: usize = 64;
/// Blocks of the same digit until it is told, and blocks without it until it may come again: 32 ms each.
const TOLD_AFTER: u32 = 3;
const GONE_AFTER: u32 = 3;
/// The weakest tone that counts: about -34 dBm0 each.
const WEAKEST: f64 = 5e-5;
/// High over low group, as factors of power: 5 dB and -9 dB. ITU-T Q.24 leaves them to each country; 4 and -8 dB, which are
/// usual, are inside.
const TWIST: std::ops::RangeInclusive<f64> = 0.126..=3.2;
/// How far a tone stands out of its group, as a factor of power: 10 dB.
const CLEAR: f64 = 10.0;
/// The least part of all power that is in both tones, which may be off by 1.5 %: speech that has them has more besides.
const PURE: f64 = 0.6;
/// The most a second harmonic may have of a tone: voices have many.
const HARMONIC: f64 = 0.06;

/// Finds digits in what is heard.
#[derive(Clone, Debug)]
pub struct ToneFinder {
    down: Downsampler,
    sound: Vec<f32>,
    state: Finding,
}

#[derive(Clone, Copy, Debug)]
enum Finding {
    Silence,
    /// Heard in so many blocks.
    Sounding {
        digit: Digit,
        blocks: u32,
    },
    /// Told; not heard in so many blocks.
    Held {
        digit: Digit,
        gone: u32,
    },
}

impl Default for ToneFinder {
    fn default() -> Self {
        Self { down: Downsampler::new(6), sound: Vec::with_capacity(2 * BLOCK), state: Finding::Silence }
    }
}

impl ToneFinder {
    /// Listens to a frame; a digit is told once, after it has sounded for 32 ms.
    pub fn listen(&mut self, frame: &Frame) -> Option<Digit> {
        self.down.process(frame, &mut self.sound);
        let mut told = None;
        while let Some(block) = self.sound.get(..BLOCK) {
            told = told.or(Self::step(&mut self.state, digit(block)));
            self.sound.drain(..HOP);
        }
        told
    }

    fn step(state: &mut Finding, heard: Option<Digit>) -> Option<Digit> {
        use Finding::{Held, Silence, Sounding};
        let (next, told) = match (*state, heard) {
            (Silence, None) => (Silence, None),
            (Silence, Some(digit)) => (Sounding { digit, blocks: 1 }, None),
            (Sounding { digit, blocks }, Some(same)) if same == digit && blocks + 1 >= TOLD_AFTER => {
                (Held { digit, gone: 0 }, Some(digit))
            }
            (Sounding { digit, blocks }, Some(same)) if same == digit => (Sounding { digit, blocks: blocks + 1 }, None),
            (Sounding { .. }, Some(digit)) => (Sounding { digit, blocks: 1 }, None),
            (Sounding { .. }, None) => (Silence, None),
            (Held { digit, .. }, Some(same)) if same == digit => (Held { digit, gone: 0 }, None),
            (Held { .. }, Some(digit)) => (Sounding { digit, blocks: 1 }, None),
            (Held { gone, .. }, None) if gone + 1 >= GONE_AFTER => (Silence, None),
            (Held { digit, gone }, None) => (Held { digit, gone: gone + 1 }, None),
        };
        *state = next;
        told
    }
}

/// The digit a block is made of, if of one and nothing else.
fn digit(block: &[f32]) -> Option<Digit> {
    let at = |hz: f32| power(block, f64::from(hz), RATE);
    let (row, low) = strongest(&DTMF_ROWS.map(at))?;
    let (column, high) = strongest(&DTMF_COLUMNS.map(at))?;
    let total = block.iter().map(|sample| f64::from(sample * sample)).sum::<f64>() / block.len() as f64;
    let clear = low.min(high) > WEAKEST && TWIST.contains(&(high / low)) && 2.0 * (low + high) > PURE * total;
    let harmonics = || at(2.0 * DTMF_ROWS[row]) < HARMONIC * low && at(2.0 * DTMF_COLUMNS[column]) < HARMONIC * high;
    let keys = [['1', '2', '3', 'A'], ['4', '5', '6', 'B'], ['7', '8', '9', 'C'], ['*', '0', '#', 'D']];
    (clear && harmonics()).then(|| Digit::from_char(keys[row][column])).flatten()
}

/// The strongest of a group, which stands clear of the others.
fn strongest(powers: &[f64; 4]) -> Option<(usize, f64)> {
    let (at, best) = powers.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let mut others = powers.iter().enumerate().filter(|(n, _)| *n != at).map(|(_, power)| *power);
    others.all(|other| best > CLEAR * other).then_some((at, best))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use crate::media::frame::{FRAME, SILENCE};

    const KEYS: &str = "123A456B789C*0#D";

    /// What is found in a sound of 48 kHz.
    fn found(sound: &[f32]) -> String {
        let mut finder = ToneFinder::default();
        let (frames, _) = sound.as_chunks::<FRAME>();
        frames.iter().filter_map(|frame| finder.listen(frame)).map(Digit::to_char).collect()
    }

    fn sent(digits: &str, milliseconds: u64) -> Vec<f32> {
        let mut sender = ToneSender::default();
        for digit in digits.chars().filter_map(Digit::from_char) {
            assert!(sender.send(digit, Duration::from_millis(milliseconds)));
        }
        let mut sound = Vec::new();
        for _ in 0..digits.len() * 30 + 20 {
            let mut frame = SILENCE;
            sender.replace(&mut frame);
            sound.extend_from_slice(&frame);
        }
        sound
    }

    /// Pairs of tones: low and high \[Hz\] with their amplitudes, on and off \[ms\], so many times.
    fn pairs((low, a): (f64, f64), (high, b): (f64, f64), on: usize, off: usize, times: usize) -> Vec<f32> {
        let at = |n: usize| {
            let (t, tau) = (n as f64 / 48_000.0, std::f64::consts::TAU);
            (a * (tau * low * t).sin() + b * (tau * high * t).sin()) as f32
        };
        let one = |k: usize| (0..on * 48).map(move |n| at(n + k)).chain((0..off * 48).map(|_| 0.0));
        (0..times).flat_map(|k| one(k * 37)).chain((0..9_600).map(|_| 0.0)).collect()
    }

    fn noise(level: f32, seconds: usize) -> Vec<f32> {
        let mut rng = Rng::from_u64(5);
        (0..seconds * 48_000).map(|_| level * (2.0 * rng.unit() as f32 - 1.0)).collect()
    }

    #[test]
    fn every_key_is_found_once_as_it_was_sent() {
        assert_eq!(found(&sent(KEYS, 100)), KEYS);
        assert_eq!(found(&sent("1122334455", 50)), "1122334455");
        assert_eq!(found(&sent("7", 5_000)), "7", "a key that is held is one digit");
        let mut sender = ToneSender::default();
        assert!(!sender.send(Digit::from_char('!').expect("a flash"), SHORTEST), "it has no tones");
        let (mut frame, speech) = ([0.25; FRAME], [0.25; FRAME]);
        sender.replace(&mut frame);
        assert_eq!(frame, speech, "where there is nothing to send, the sound passes");
    }

    #[test]
    fn the_tones_have_the_level_and_the_length_they_should() {
        let sound = sent("5", 100);
        let loud = |ms: usize| sound[ms * 48..(ms + 20) * 48].iter().fold(0.0_f32, |peak, s| peak.max(s.abs()));
        assert!(loud(40) > 0.5 && loud(40) < 0.56 && loud(105) == 0.0);
        let tone = &sound[960..3_840];
        let level = |hz| 10.0 * (4.0 * power(tone, hz, 48_000.0)).log10() + 3.17;
        assert!((level(770.0) + 8.0).abs() < 0.3 && (level(1_336.0) + 8.0).abs() < 0.3, "{}", level(770.0));
    }

    #[test]
    fn receivers_limits() {
        let a = 0.1;
        let weaker = |decibels: f64| a * 10_f64.powf(-decibels / 20.0);
        let taken = |low, high, on, off, times| found(&pairs(low, high, on, off, times)).len();
        // Length and pause of 40 ms and more, 1.5 % off, and the usual twist: taken.
        assert_eq!(taken((697.0, a), (1_209.0, a), 40, 40, 20), 20);
        for off in [0.985, 1.015] {
            assert_eq!(taken((697.0 * off, a), (1_209.0 * off, a), 60, 60, 10), 10, "{off}");
            assert_eq!(taken((941.0 * off, a), (1_633.0 * off, a), 60, 60, 10), 10, "{off}");
        }
        assert_eq!(taken((770.0, weaker(4.0)), (1_336.0, a), 60, 60, 10), 10);
        assert_eq!(taken((770.0, a), (1_336.0, weaker(8.0)), 60, 60, 10), 10);
        assert_eq!(taken((770.0, weaker(12.0)), (1_336.0, weaker(12.0)), 60, 60, 10), 10);
        // Too short, too far off, too uneven, too weak: not.
        assert_eq!(taken((697.0, a), (1_209.0, a), 20, 60, 20), 0);
        for off in [0.96, 1.04] {
            assert_eq!(taken((770.0 * off, a), (1_336.0 * off, a), 60, 60, 10), 0, "{off}");
        }
        assert_eq!(taken((770.0, weaker(8.0)), (1_336.0, a), 60, 60, 10), 0);
        assert_eq!(taken((770.0, a), (1_336.0, weaker(12.0)), 60, 60, 10), 0);
        assert_eq!(taken((770.0, weaker(35.0)), (1_336.0, weaker(35.0)), 60, 60, 10), 0);
        // A gap of 10 ms within a digit does not make it two.
        let broken: Vec<f32> = pairs((697.0, a), (1_209.0, a), 60, 10, 2);
        assert_eq!(found(&broken), "1");
    }

    #[test]
    fn digits_are_found_in_noise_and_noise_holds_none() {
        let noise = noise(0.1, 20);
        assert_eq!(found(&noise), "");
        // Tones of -8 dBm0 over noise of about -21 dBm0.
        let mixed: Vec<f32> = sent(KEYS, 100).iter().zip(&noise).map(|(tone, noise)| tone + noise).collect();
        assert_eq!(found(&mixed), KEYS);
    }

    #[test]
    fn speech_and_music_hold_no_digits() {
        let mut reader = hound::WavReader::open("assets/announcement.wav").expect("the announcement");
        let rate = reader.spec().sample_rate;
        let samples: Vec<f32> = reader.samples::<i16>().map(|s| f32::from(s.expect("whole")) / 32_768.0).collect();
        // As it is, and slower and faster by up to a half: other voices.
        for percent in (60..=150).step_by(15) {
            let step = f64::from(rate) / 48_000.0 * f64::from(percent) / 100.0;
            let count = (samples.len() as f64 / step) as usize;
            let voice: Vec<f32> = (0..count)
                .map(|n| {
                    let (at, part) = ((n as f64 * step) as usize, (n as f64 * step).fract() as f32);
                    let sample = |at| samples.get(at).copied().unwrap_or_default();
                    sample(at) * (1.0 - part) + sample(at + 1) * part
                })
                .collect();
            assert_eq!(found(&voice), "", "at {percent} %");
        }
        // Chords of up to four notes, each with its overtones, of 150 ms.
        let (mut rng, mut music) = (Rng::from_u64(8), Vec::new());
        for _ in 0..300 {
            let notes: Vec<f64> = (0..4).map(|_| 110.0 * 2_f64.powf(f64::from(rng.range(0, 48)) / 12.0)).collect();
            music.extend((0..7_200).map(|n| {
                let t = n as f64 / 48_000.0;
                let note = |hz: &f64| {
                    (1..=5).map(|k| (std::f64::consts::TAU * hz * f64::from(k) * t).sin() / f64::from(k)).sum::<f64>()
                };
                (0.05 * notes.iter().map(note).sum::<f64>()) as f32
            }));
        }
        assert_eq!(found(&music), "");
    }
}
