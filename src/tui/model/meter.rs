//! A level meter: jumps up at once, falls back slowly, so that the eye can follow.
use std::time::Duration;

/// The lowest level shown \[dBov\].
pub const FLOOR: f32 = -60.0;
/// How fast it falls [dB/s].
const FALL: f32 = 45.0;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Meter {
    target: Option<f32>,
    shown: Option<f32>,
}

impl Meter {
    /// The level last measured \[dBov\]; `None` when there is no sound to measure.
    pub fn set(&mut self, level: Option<f32>) {
        self.target = level.filter(|v| v.is_finite()).map(|v| v.clamp(FLOOR, 0.0));
        self.shown = match (self.target, self.shown) {
            (Some(target), Some(shown)) => Some(shown.max(target)),
            (target, _) => target,
        };
    }

    pub fn advance(&mut self, passed: Duration) {
        if let (Some(target), Some(shown)) = (self.target, self.shown) {
            self.shown = Some((shown - FALL * passed.as_secs_f32()).max(target));
        }
    }

    /// \[dBov\]
    pub fn shown(&self) -> Option<f32> {
        self.shown
    }

    pub fn is_moving(&self) -> bool {
        self.shown != self.target
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn up_at_once_down_slowly_and_then_still() {
        let mut meter = Meter::default();
        assert!(!meter.is_moving());
        meter.set(Some(-10.0));
        assert_eq!((meter.shown(), meter.is_moving()), (Some(-10.0), false));
        meter.set(Some(-200.0));
        meter.advance(Duration::from_millis(100));
        assert_eq!(meter.shown(), Some(-14.5));
        meter.advance(Duration::from_secs(2));
        assert_eq!((meter.shown(), meter.is_moving()), (Some(FLOOR), false));
        meter.set(Some(f32::NAN));
        assert_eq!((meter.shown(), meter.is_moving()), (None, false));
    }
}
