//! What a recording takes of a stream, frame by frame, and the notice tone that tells the other side of it.
use crate::media::frame::{FRAME_RATE, Frame, SILENCE};
use std::f32::consts::TAU;

/// The tone telephone recorders announce themselves by \[Hz\].
const PITCH: f32 = 1_400.0;
/// Its amplitude, length and the time from one to the next \[frames\].
const LOUDNESS: f32 = 0.1;
const LENGTH: u32 = 20;
const PERIOD: u32 = 1_500;

/// The two sides of one stream in the latest frame.
#[derive(Debug)]
pub struct Tap {
    /// What the peer was told, the notice in it.
    pub told: Frame,
    pub said: Frame,
    notice: bool,
    frames: u32,
}

impl Tap {
    /// - `notice`: the peer hears a short tone at the start and every 15 s.
    pub fn new(notice: bool) -> Self {
        Self { told: SILENCE, said: SILENCE, notice, frames: 0 }
    }

    /// Takes what is about to be told, and adds the notice when it is time.
    pub fn tell(&mut self, frame: &mut Frame) {
        if self.notice && self.frames < LENGTH {
            let begin = self.frames as usize * frame.len();
            let total = LENGTH as usize * frame.len();
            for (n, sample) in (begin..).zip(frame.iter_mut()) {
                // Rises and falls over 5 ms, so that it does not click.
                let ramp = (n.min(total - n) as f32 / 240.0).min(1.0);
                *sample += LOUDNESS * ramp * (TAU * (PITCH * n as f32 / FRAME_RATE as f32).fract()).sin();
            }
        }
        self.frames = (self.frames + 1) % PERIOD;
        self.told = *frame;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::dsp::goertzel::power;

    #[test]
    fn the_notice_is_a_short_tone_every_fifteen_seconds_and_never_without_being_asked_for() {
        for notice in [false, true] {
            let mut tap = Tap::new(notice);
            let heard: Vec<usize> = (0..3_100)
                .filter(|_| {
                    let mut frame = SILENCE;
                    tap.tell(&mut frame);
                    assert_eq!(frame, tap.told);
                    power(&frame, 1_400.0, 48_000.0) > 1e-4
                })
                .collect();
            let expected: Vec<usize> =
                if notice { (0..20).chain(1_500..1_520).chain(3_000..3_020).collect() } else { Vec::new() };
            assert_eq!(heard, expected);
        }
    }

    #[test]
    fn speech_goes_on_below_the_notice() {
        let mut tap = Tap::new(true);
        let speech: Frame = std::array::from_fn(|n| 0.3 * (TAU * (300.0 * n as f32 / 48_000.0)).sin());
        let mut frame = speech;
        tap.tell(&mut frame);
        tap.tell(&mut frame);
        assert!(power(&frame, 300.0, 48_000.0) > 0.9 * power(&speech, 300.0, 48_000.0));
    }
}
