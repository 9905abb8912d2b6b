//! Keeps a sum of sounds below full scale without the roughness of a clipped one.
use crate::media::frame::Frame;

/// Sums louder than this are turned down; below it they are left as they are.
const CEILING: f32 = 0.8;
/// How long it takes to turn down \[samples\]: 2 ms.
const ATTACK: usize = 96;
/// How far the gain recovers within a frame, as a factor: 6 dB in half a second.
const RELEASE: f32 = 1.014;

/// The gain of one sum, from frame to frame.
#[derive(Clone, Debug)]
pub struct Limiter {
    gain: f32,
}

impl Default for Limiter {
    fn default() -> Self {
        Self { gain: 1.0 }
    }
}

impl Limiter {
    /// It turned something down and has not come back yet.
    pub fn is_at_work(&self) -> bool {
        self.gain < 1.0
    }

    /// Turns `frame` down at once where it is too loud, and slowly up again. What is quiet stays untouched.
    pub fn apply(&mut self, frame: &mut Frame) {
        let peak = frame.iter().fold(0.0_f32, |peak, sample| peak.max(sample.abs()));
        let allowed = if peak > CEILING { CEILING / peak } else { 1.0 };
        let target = if allowed < self.gain { allowed } else { (self.gain * RELEASE).min(allowed) };
        if self.gain == 1.0 && target == 1.0 {
            return;
        }
        let steps = if target < self.gain { ATTACK } else { frame.len() };
        let step = (target - self.gain) / steps as f32;
        for (n, sample) in frame.iter_mut().enumerate() {
            *sample *= if n < steps { self.gain + step * n as f32 } else { target };
            bend(sample);
        }
        self.gain = target;
    }
}

/// Identity up to the ceiling, then ever flatter towards full scale.
pub fn bend(sample: &mut f32) {
    let over = sample.abs() - CEILING;
    if over > 0.0 {
        *sample = sample.signum() * (CEILING + (1.0 - CEILING) * (over / (1.0 - CEILING)).tanh());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::dsp::goertzel::power;
    use crate::media::frame::FRAME;
    use std::f32::consts::TAU;

    /// Tones of 0.3 each, whole periods to the frame.
    fn tones(hz: &[f32]) -> Frame {
        std::array::from_fn(|n| hz.iter().map(|hz| 0.3 * (TAU * (hz * n as f32 / 48_000.0).fract()).sin()).sum())
    }

    #[test]
    fn quiet_sound_is_untouched_and_loud_sound_stays_clean_once_it_is_turned_down() {
        let mut limiter = Limiter::default();
        let quiet = tones(&[400.0, 700.0]);
        let mut frame = quiet;
        limiter.apply(&mut frame);
        assert_eq!(frame, quiet);
        let loud = tones(&[400.0, 700.0, 1_100.0, 1_600.0, 2_300.0, 2_900.0]);
        assert!(loud.iter().any(|sample| sample.abs() > 1.0), "it would be clipped");
        for round in 0..10 {
            frame = loud;
            limiter.apply(&mut frame);
            assert!(frame.iter().all(|sample| sample.abs() <= 1.0));
            if round > 0 {
                let elsewhere = power(&frame, 3_700.0, 48_000.0) / power(&frame, 400.0, 48_000.0);
                assert!(elsewhere < 1e-6, "{elsewhere}");
            }
        }
        for _ in 0..200 {
            frame = quiet;
            limiter.apply(&mut frame);
        }
        assert_eq!(frame, quiet, "it comes back");
    }

    #[test]
    fn soft_sound_passes_and_louder_is_never_quieter() {
        let mut before = 0.0;
        for n in 0..400 {
            let mut sample = n as f32 / 100.0;
            bend(&mut sample);
            assert!(sample >= before && sample <= 1.0);
            assert!(n > 80 || sample == n as f32 / 100.0);
            before = sample;
        }
    }

    #[test]
    fn the_gain_never_jumps() {
        let mut limiter = Limiter::default();
        let mut last = 0.0;
        for level in [0.5, 3.0, 3.0, 0.2, 1.0, 0.5] {
            let mut frame = [level; FRAME];
            limiter.apply(&mut frame);
            let step = frame.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max);
            assert!(step < 0.05, "{step} at {level}");
            last = frame[FRAME - 1];
        }
        assert!(last < 0.5);
    }
}
