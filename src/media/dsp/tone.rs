//! The sounds the phone makes by itself: call progress tones (ITU-T E.180) and DTMF pairs (ITU-T Q.23), without clicks.
use crate::media::frame::{FRAME_RATE, Frame};
use crate::media::spec::{Digit, Ring, Tone};
use std::f32::consts::TAU;

/// The low group: one row of the keypad each \[Hz\].
pub const DTMF_ROWS: [f32; 4] = [697.0, 770.0, 852.0, 941.0];
/// The high group: one column of the keypad each \[Hz\].
pub const DTMF_COLUMNS: [f32; 4] = [1_209.0, 1_336.0, 1_477.0, 1_633.0];

/// Amplitude of each of the (at most two) components.
const AMPLITUDE: f32 = 0.1;
/// Length of the rise and the fall of every burst \[samples\].
const RAMP: f32 = 240.0;
/// How long the acknowledgement of a digit sounds \[ms\].
const DIGIT_MS: u32 = 120;

/// Plays one [`Tone`] at a time into the frames it is given.
#[derive(Clone, Debug, Default)]
pub struct ToneGenerator {
    tone: Option<Tone>,
    /// What to play once the present tone has faded.
    next: Option<Option<Tone>>,
    /// Position in the tone's cadence \[samples\].
    position: u32,
    frequencies: [f32; 2],
    phases: [f32; 2],
    gain: f32,
}

impl ToneGenerator {
    /// Starts `tone`, or stops with `None`; what sounds now fades out first.
    pub fn play(&mut self, tone: Option<Tone>) {
        self.next = Some(tone);
    }

    /// Nothing sounds and nothing will.
    pub fn is_idle(&self) -> bool {
        self.tone.is_none() && self.gain == 0.0 && !matches!(self.next, Some(Some(_)))
    }

    /// Adds the next 10 ms to `frame`.
    pub fn mix(&mut self, frame: &mut Frame) {
        if self.is_idle() {
            self.next = None;
            return;
        }
        for sample in frame {
            *sample += self.sample();
        }
    }

    fn sample(&mut self) -> f32 {
        if self.gain == 0.0
            && let Some(next) = self.next.take()
        {
            (self.tone, self.position, self.phases) = (next, 0, [0.0; 2]);
        }
        let wanted = match (self.tone, self.next) {
            (Some(tone), None) => sounding(tone, self.position / (FRAME_RATE / 1_000)),
            _ => Sounding::Pause,
        };
        let target = match wanted {
            Sounding::Pair(frequencies) => {
                self.frequencies = frequencies;
                1.0
            }
            Sounding::Pause => 0.0,
            Sounding::End => {
                self.tone = None;
                0.0
            }
        };
        self.position = self.position.wrapping_add(1);
        self.gain =
            if target > self.gain { (self.gain + 1.0 / RAMP).min(1.0) } else { (self.gain - 1.0 / RAMP).max(target) };
        let mut sum = 0.0;
        for (phase, hz) in self.phases.iter_mut().zip(self.frequencies).filter(|(_, hz)| *hz > 0.0) {
            *phase = (*phase + hz / FRAME_RATE as f32).fract();
            sum += (TAU * *phase).sin();
        }
        // A raised cosine has no corner at either end of the ramp.
        let shape = 0.5 - 0.5 * (self.gain * TAU / 2.0).cos();
        AMPLITUDE * shape * sum
    }
}

enum Sounding {
    Pair([f32; 2]),
    Pause,
    End,
}

/// What a tone does `at` \[ms\] after its start.
fn sounding(tone: Tone, at: u32) -> Sounding {
    let burst = |on: bool| if on { Sounding::Pair([425.0, 0.0]) } else { Sounding::Pause };
    match tone {
        // Two notes in quick turn, 1 s, then 3 s of pause.
        Tone::Ring(ring) => ringing(ring, at),
        Tone::Intercom => match at {
            0..200 | 300..500 => Sounding::Pair([1_000.0, 0.0]),
            0..500 => Sounding::Pause,
            _ => Sounding::End,
        },
        Tone::Ringback => burst(at % 5_000 < 1_000),
        Tone::Busy => burst(at % 1_000 < 500),
        Tone::CallWaiting => burst(matches!(at % 5_600, 0..200 | 400..600)),
        Tone::Digit(_) if at >= DIGIT_MS => Sounding::End,
        Tone::Digit(digit) => dtmf(digit).map_or(Sounding::End, Sounding::Pair),
    }
}

/// Two notes in quick turn, then a pause; how often and how long tells the rings from each other.
fn ringing(ring: Ring, at: u32) -> Sounding {
    let cycle = if ring == Ring::Group { 5_000 } else { 4_000 };
    let at = at % cycle;
    let sounds = match ring {
        Ring::Usual => at < 1_000,
        Ring::Internal => matches!(at, 0..400 | 600..1_000),
        Ring::External => matches!(at, 0..300 | 500..800 | 1_000..1_300),
        Ring::Group => at < 2_000,
    };
    match sounds {
        true if (at / 50).is_multiple_of(2) => Sounding::Pair([880.0, 1_760.0]),
        true => Sounding::Pair([1_108.7, 2_217.5]),
        false => Sounding::Pause,
    }
}

/// The pair of frequencies of a digit; the hook flash has none.
pub fn dtmf(digit: Digit) -> Option<[f32; 2]> {
    let (row, column) = match digit.to_char() {
        c @ '1'..='9' => ((c as usize - '1' as usize) / 3, (c as usize - '1' as usize) % 3),
        c @ 'A'..='D' => (c as usize - 'A' as usize, 3),
        '*' => (3, 0),
        '0' => (3, 1),
        '#' => (3, 2),
        _ => return None,
    };
    Some([DTMF_ROWS[row], DTMF_COLUMNS[column]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::dsp::goertzel;
    use crate::media::frame::FRAME;

    fn render(generator: &mut ToneGenerator, milliseconds: usize) -> Vec<f32> {
        let mut out = Vec::new();
        for _ in 0..milliseconds / 10 {
            let mut frame = [0.0; FRAME];
            generator.mix(&mut frame);
            out.extend_from_slice(&frame);
        }
        out
    }

    fn started(tone: Tone) -> ToneGenerator {
        let mut generator = ToneGenerator::default();
        generator.play(Some(tone));
        generator
    }

    /// Milliseconds in which something sounds, of `sound`.
    fn audible(sound: &[f32]) -> usize {
        sound.chunks(48).filter(|c| c.iter().any(|s| s.abs() > 0.02)).count()
    }

    #[test]
    fn cadences_last_as_long_as_they_say() {
        for (tone, on, total) in [
            (Tone::Ring(Ring::Usual), 1_000, 4_000),
            (Tone::Ring(Ring::Internal), 800, 4_000),
            (Tone::Ring(Ring::External), 900, 4_000),
            (Tone::Ring(Ring::Group), 2_000, 5_000),
            (Tone::Ringback, 1_000, 5_000),
            (Tone::Busy, 500, 1_000),
            (Tone::CallWaiting, 400, 5_600),
        ] {
            let mut generator = started(tone);
            for _ in 0..2 {
                let heard = audible(&render(&mut generator, total));
                assert!(heard.abs_diff(on) <= 24, "{tone:?}: {heard} of {on} ms");
            }
        }
    }

    #[test]
    fn every_digit_is_heard_as_itself_and_ends() {
        for digit in (0..16).filter_map(Digit::from_event) {
            let mut generator = started(Tone::Digit(digit));
            let sound = render(&mut generator, 100);
            assert_eq!(goertzel::digit(&sound[960..3_360], 48_000.0), Some(digit));
            render(&mut generator, 50);
            assert!(generator.is_idle());
        }
    }

    #[test]
    fn the_beep_before_the_microphone_opens_ends() {
        let mut generator = started(Tone::Intercom);
        let heard = audible(&render(&mut generator, 600));
        assert!(heard.abs_diff(400) <= 8 && generator.is_idle(), "{heard} ms");
    }

    #[test]
    fn nothing_clicks_when_tones_start_change_and_stop() {
        let mut generator = started(Tone::Ringback);
        let mut sound = render(&mut generator, 330);
        generator.play(Some(Tone::Busy));
        sound.extend(render(&mut generator, 330));
        generator.play(None);
        sound.extend(render(&mut generator, 30));
        assert!(generator.is_idle());
        let step = sound.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max);
        // The steepest a sine of this amplitude gets, and a little for the ramp.
        assert!(step < 0.1 * TAU * 425.0 / 48_000.0 * 1.05, "{step}");
        assert_eq!(sound.last(), Some(&0.0));
    }
}
