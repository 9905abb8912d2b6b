//! What the user hears and says: the mix of the streams in focus and the phone's own tones, gains, mute and the meters.
use crate::media::dsp::level;
use crate::media::dsp::limit::{Limiter, bend};
use crate::media::dsp::tone::ToneGenerator;
use crate::media::frame::{Frame, SILENCE};
use crate::media::spec::Tone;
use std::time::{Duration, Instant};

/// How often the meters move.
const METER_INTERVAL: Duration = Duration::from_millis(100);
/// The largest gain, as a factor: 24 dB.
const MAX_GAIN: f32 = 16.0;

/// Peak levels of the last 100 ms \[dBov\].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Levels {
    pub capture: f32,
    pub playback: f32,
}

#[derive(Debug)]
pub struct Mixer {
    muted: bool,
    capture_gain: f32,
    playback_gain: f32,
    tones: ToneGenerator,
    /// Streams in the frame that is being mixed.
    sources: u32,
    limiter: Limiter,
    levels: Levels,
    metered: Option<Instant>,
}

impl Default for Mixer {
    fn default() -> Self {
        Self {
            muted: false,
            capture_gain: 1.0,
            playback_gain: 1.0,
            tones: ToneGenerator::default(),
            sources: 0,
            limiter: Limiter::default(),
            levels: QUIET,
            metered: None,
        }
    }
}

const QUIET: Levels = Levels { capture: level::SILENCE, playback: level::SILENCE };

impl Mixer {
    pub fn set_muted(&mut self, muted: bool) {
        self.muted = muted;
    }

    /// Factors; what is no number leaves the sound as it is.
    pub fn set_gains(&mut self, capture: f32, playback: f32) {
        let sane = |gain: f32| if gain.is_nan() { 1.0 } else { gain.clamp(0.0, MAX_GAIN) };
        (self.capture_gain, self.playback_gain) = (sane(capture), sane(playback));
    }

    pub fn play(&mut self, tone: Option<Tone>) {
        self.tones.play(tone);
    }

    /// What the streams in focus are to send of `frame`. The meter shows what the microphone hears, muted or not.
    pub fn capture(&mut self, frame: &Frame) -> Frame {
        let mut out = *frame;
        if self.capture_gain != 1.0 {
            amplify(&mut out, self.capture_gain);
            out.iter_mut().for_each(bend);
        }
        self.levels.capture = self.levels.capture.max(level::peak(&out));
        if self.muted { SILENCE } else { out }
    }

    /// Adds the sound of a stream to the frame being mixed, which began as silence.
    pub fn add(&mut self, mix: &mut Frame, sound: &Frame) {
        self.sources += 1;
        for (sum, sample) in mix.iter_mut().zip(sound) {
            *sum += sample;
        }
    }

    /// Adds the tones, applies the gain and sees that nothing overloads. One stream alone at gain 1 is left untouched.
    pub fn finish(&mut self, mix: &mut Frame) {
        let tones = !self.tones.is_idle();
        self.tones.mix(mix);
        let sources = std::mem::take(&mut self.sources) + u32::from(tones);
        if self.playback_gain != 1.0 {
            amplify(mix, self.playback_gain);
        }
        if sources > 1 || self.playback_gain != 1.0 || self.limiter.is_at_work() {
            self.limiter.apply(mix);
        }
        self.levels.playback = self.levels.playback.max(level::peak(mix));
    }

    /// The meters' next position, when it is time for one.
    pub fn poll_levels(&mut self, now: Instant) -> Option<Levels> {
        let metered = *self.metered.get_or_insert(now);
        if now.saturating_duration_since(metered) < METER_INTERVAL {
            return None;
        }
        self.metered = Some(now);
        Some(std::mem::replace(&mut self.levels, QUIET))
    }
}

fn amplify(frame: &mut Frame, gain: f32) {
    for sample in frame {
        *sample *= gain;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::frame::FRAME;

    #[test]
    fn one_stream_alone_is_left_untouched_and_two_never_overload() {
        let loud: Frame = std::array::from_fn(|n| if n % 2 == 0 { 1.0 } else { -0.95 });
        let mut mixer = Mixer::default();
        let mut mix = SILENCE;
        mixer.add(&mut mix, &loud);
        mixer.finish(&mut mix);
        assert_eq!(mix, loud);
        let mut mix = SILENCE;
        mixer.add(&mut mix, &loud);
        mixer.add(&mut mix, &loud);
        mixer.finish(&mut mix);
        assert!(mix.iter().all(|sample| sample.abs() <= 1.0 && sample.abs() > 0.5));
    }

    #[test]
    fn mute_and_gain_of_the_microphone() {
        let mut mixer = Mixer::default();
        let frame = [0.1; FRAME];
        assert_eq!(mixer.capture(&frame), frame);
        mixer.set_gains(2.0, f32::NAN);
        assert_eq!(mixer.capture(&frame), [0.2; FRAME]);
        mixer.set_muted(true);
        assert_eq!(mixer.capture(&frame), SILENCE);
        mixer.set_gains(f32::INFINITY, 1.0);
        mixer.set_muted(false);
        assert!(mixer.capture(&frame).iter().all(|sample| sample.abs() <= 1.0));
    }

    #[test]
    fn the_meters_show_the_peaks_of_the_last_tenth_of_a_second() {
        let (mut mixer, t0) = (Mixer::default(), Instant::now());
        assert_eq!(mixer.poll_levels(t0), None);
        mixer.capture(&[0.1; FRAME]);
        mixer.capture(&[0.01; FRAME]);
        let mut mix = SILENCE;
        mixer.finish(&mut mix);
        assert_eq!(mixer.poll_levels(t0 + METER_INTERVAL - Duration::from_millis(1)), None);
        let levels = mixer.poll_levels(t0 + METER_INTERVAL).expect("due");
        assert!((levels.capture + 20.0).abs() < 0.01);
        assert_eq!(levels.playback, level::SILENCE);
        assert_eq!(mixer.poll_levels(t0 + 2 * METER_INTERVAL), Some(QUIET));
    }

    #[test]
    fn tones_are_heard_without_any_stream() {
        let mut mixer = Mixer::default();
        mixer.play(Some(Tone::Busy));
        let mut heard = 0.0_f32;
        for _ in 0..10 {
            let mut mix = SILENCE;
            mixer.finish(&mut mix);
            heard = mix.iter().fold(heard, |peak, sample| peak.max(sample.abs()));
        }
        assert!(heard > 0.05, "{heard}");
    }
}
