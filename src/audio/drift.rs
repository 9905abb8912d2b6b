//! Steers the resampler so that a ring keeps its depth although two clocks disagree.
//!
//! The fill of the ring, smoothed over a second, is held at its target by a critically damped PI controller. Its
//! integral is the drift of the device's clock against ours.
use std::time::{Duration, Instant};

/// Readings are averaged over this long before the controller acts: single callbacks come early and late.
const WINDOW: Duration = Duration::from_secs(1);
/// Natural frequency of the loop [rad/s]: it settles in about a minute.
const OMEGA: f64 = 0.08;
/// In its first seconds the loop acts faster, since nothing is known yet [rad/s].
const OMEGA_START: f64 = 0.15;
const START: Duration = Duration::from_secs(20);
/// No correction is larger: a fifth of a per cent is 3.5 cents, which nobody hears.
const MAX_CORRECTION: f64 = 2e-3;
/// How far the correction may move in one step, so that a tone glides instead of jumping.
const MAX_STEP: f64 = 5e-4;

#[derive(Debug)]
pub struct Steer {
    /// Rate of the ring \[Hz\].
    rate: f64,
    started: Option<Instant>,
    window: Option<Instant>,
    sum: f64,
    count: u32,
    /// The device's clock against ours, as a factor less one, positive when it runs fast.
    drift: f64,
    correction: f64,
}

impl Steer {
    pub fn new(rate: u32) -> Self {
        Self {
            rate: f64::from(rate.max(1)),
            started: None,
            window: None,
            sum: 0.0,
            count: 0,
            drift: 0.0,
            correction: 0.0,
        }
    }

    /// Takes one reading of the fill and returns the correction to run with.
    ///
    /// - `short`: frames the device's side lacks against the target: of a playback ring that is too empty, or of a
    ///   capture ring that is too full, it is positive.
    pub fn handle_reading(&mut self, now: Instant, short: f64) -> f64 {
        let started = *self.started.get_or_insert(now);
        let window = *self.window.get_or_insert(now);
        self.sum += short;
        self.count += 1;
        let elapsed = now.saturating_duration_since(window);
        if elapsed < WINDOW {
            return self.correction;
        }
        let error = self.sum / f64::from(self.count) / self.rate;
        // A thread that was stopped for long must not turn one reading into a long one.
        let step = elapsed.min(2 * WINDOW).as_secs_f64();
        let omega = if now - started < START { OMEGA_START } else { OMEGA };
        let pull = 2.0 * omega * error;
        // A fill that is far off says nothing of the drift, and taken for it would overshoot.
        if pull.abs() < MAX_CORRECTION / 2.0 {
            self.drift = (self.drift + omega * omega * error * step).clamp(-MAX_CORRECTION, MAX_CORRECTION);
        }
        let wanted = (self.drift + pull).clamp(-MAX_CORRECTION, MAX_CORRECTION);
        self.correction += (wanted - self.correction).clamp(-MAX_STEP, MAX_STEP);
        (self.window, self.sum, self.count) = (Some(now), 0.0, 0);
        self.correction
    }

    /// Forgets the readings of the running window: the fill was set by hand.
    pub fn handle_jump(&mut self) {
        (self.window, self.sum, self.count) = (None, 0.0, 0);
    }

    pub fn correction(&self) -> f64 {
        self.correction
    }

    /// The device's clock against ours \[ppm\], once the loop had the time to find it.
    pub fn drift(&self, now: Instant) -> Option<f64> {
        (now.saturating_duration_since(self.started?) > 2 * START).then_some(self.drift * 1e6)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_drifts_is_found_and_held() {
        for ppm in [-1000.0, -300.0, 0.0, 50.0, 300.0] {
            let (t0, mut steer, mut short) = (Instant::now(), Steer::new(48_000), 0.0_f64);
            let (mut largest, mut step) = (0.0_f64, 0.0_f64);
            for tick in 1..=30_000_u32 {
                let now = t0 + Duration::from_millis(10) * tick;
                let before = steer.correction();
                // Callbacks that come up to 5 ms early or late.
                let noise = f64::from(tick * 7919 % 480) - 240.0;
                let correction = steer.handle_reading(now, short + noise);
                short += 480.0 * (ppm * 1e-6 - correction);
                largest = largest.max(short.abs());
                step = step.max((correction - before).abs());
            }
            let now = t0 + Duration::from_secs(300);
            let drift = steer.drift(now).expect("known by now");
            assert!((drift - ppm).abs() < 20.0, "{ppm} ppm measured as {drift:.1}");
            assert!(short.abs() < 48.0, "{ppm} ppm: {short:.0} frames off at the end");
            assert!(largest < 480.0, "{ppm} ppm: {largest:.0} frames off at the worst");
            assert!(step <= MAX_STEP * 1.001);
        }
    }

    #[test]
    fn a_fill_that_is_far_off_is_brought_back_without_overshoot() {
        for off in [-1_500.0, 1_500.0] {
            let (t0, mut steer, mut short, mut other_side) = (Instant::now(), Steer::new(48_000), off, 0.0_f64);
            for tick in 1..=12_000_u32 {
                let correction = steer.handle_reading(t0 + Duration::from_millis(10) * tick, short);
                short -= 480.0 * correction;
                other_side = other_side.min(short * off.signum());
            }
            assert!(short.abs() < 24.0, "{short:.0} frames off at the end");
            assert!(other_side > -100.0, "{other_side:.0} frames beyond");
        }
    }

    #[test]
    fn nothing_is_claimed_before_it_is_known() {
        let (t0, mut steer) = (Instant::now(), Steer::new(48_000));
        assert_eq!(steer.drift(t0), None);
        steer.handle_reading(t0, 0.0);
        assert_eq!(steer.drift(t0 + START), None);
    }

    #[test]
    fn a_stalled_thread_cannot_bend_the_pitch() {
        let (t0, mut steer) = (Instant::now(), Steer::new(48_000));
        steer.handle_reading(t0, 0.0);
        let correction = steer.handle_reading(t0 + Duration::from_secs(600), 1e9);
        assert!(correction <= MAX_STEP);
    }
}
