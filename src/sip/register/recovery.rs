//! When to try again: briskly at first, so that the phone is back as soon as its server is, then rarely (RFC 5626 §4.5).
use crate::base::rng::Rng;
use std::time::{Duration, Instant};

/// How soon a flow that was lost is made anew.
const AT_ONCE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_millis(1000));
/// From one try to the next, as long as tries are brisk.
const PACE: (Duration, Duration) = (Duration::from_millis(4000), Duration::from_millis(4400));
/// How long tries are brisk after the first failure.
const BRISK: Duration = Duration::from_secs(120);
/// The shortest and the longest back-off (RFC 5626 §4.5).
const BASE: Duration = Duration::from_secs(30);
const MAX: Duration = Duration::from_secs(1800);
/// A flow that lived for less counts as one that failed (RFC 5626 §4.2.1).
const STEADY: Duration = Duration::from_secs(120);
/// So many flows in a row may die early before the server is given peace.
const PATIENCE: u32 = 3;
/// How long a brisk try may take; where there is another way to try, and where it only confirms what holds.
const TRY: Duration = Duration::from_secs(4);
const TRY_BEFORE_OTHERS: Duration = Duration::from_secs(3);
const REFRESH: Duration = Duration::from_secs(8);

/// What happened so far, as far as it decides about the next try.
#[derive(Clone, Debug, Default)]
pub(super) struct Recovery {
    up_since: Option<Instant>,
    /// Since the first failure after it worked last.
    down_since: Option<Instant>,
    tried: Option<Instant>,
    /// Failures since tries ceased to be brisk.
    slow: u32,
    /// Flows in a row that died early.
    short_lived: u32,
}

impl Recovery {
    /// A try begins. Returns until when it is waited for; `None` for as long as the transaction does.
    ///
    /// - `others`: there are other ways to try when this one fails.
    pub fn tried(&mut self, now: Instant, others: bool) -> Option<Instant> {
        self.tried = Some(now);
        match (self.up_since, others) {
            (Some(_), _) => Some(now + REFRESH),
            (None, true) => Some(now + TRY_BEFORE_OTHERS),
            // A server that takes longer than that is given all the time there is, later on.
            (None, false) => self.is_brisk(now).then(|| now + TRY),
        }
    }

    pub fn succeeded(&mut self, now: Instant) {
        self.up_since = self.up_since.or(Some(now));
        self.down_since = None;
        self.slow = 0;
    }

    /// It failed, or what worked was lost. Returns when to try again.
    pub fn failed(&mut self, now: Instant, rng: &mut Rng) -> Instant {
        if let Some(since) = self.up_since.take() {
            self.down_since = Some(now);
            let early = now.saturating_duration_since(since) < STEADY;
            self.short_lived = if early { self.short_lived + 1 } else { 0 };
            return now
                + match self.short_lived {
                    0 | 1 => between(AT_ONCE, rng),
                    early if early < PATIENCE => between(PACE, rng),
                    early => back_off(early - PATIENCE, rng),
                };
        }
        if self.is_brisk(now) {
            self.down_since = self.down_since.or(Some(now));
            return (self.tried.unwrap_or(now) + between(PACE, rng)).max(now);
        }
        self.slow += 1;
        now + back_off(self.slow - 1, rng)
    }

    fn is_brisk(&self, now: Instant) -> bool {
        let recent = self.down_since.is_none_or(|since| now.saturating_duration_since(since) < BRISK);
        recent && self.short_lived < PATIENCE
    }
}

fn between((least, most): (Duration, Duration), rng: &mut Rng) -> Duration {
    least + (most - least).mul_f64(rng.unit())
}

/// 30 s, 1 min, 2 min, ... 30 min, and of that a random part of at least one half.
fn back_off(failures: u32, rng: &mut Rng) -> Duration {
    (BASE * (1 << failures.min(6))).min(MAX).mul_f64(0.5 + 0.5 * rng.unit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn fresh() -> (Recovery, Instant, Rng) {
        (Recovery::default(), Instant::now(), Rng::from_u64(1))
    }

    #[test]
    fn tries_are_brisk_for_two_minutes_and_rare_then() {
        // How long each try takes before it fails [ms].
        for takes in [0, 50, 4_000] {
            let (mut recovery, start, mut rng) = fresh();
            let (mut now, mut tried, mut brisk) = (start, None::<Instant>, 0);
            while now - start < 119 * SECOND {
                if let Some(before) = tried {
                    assert!((4_000..4_401).contains(&(now - before).as_millis()), "{takes}");
                }
                tried = Some(now);
                assert!(recovery.tried(now, false).is_some_and(|until| until <= now + TRY));
                brisk += 1;
                now = recovery.failed(now + Duration::from_millis(takes), &mut rng);
            }
            assert!(brisk >= 27, "{takes}: {brisk}");
            now = now.max(start + 126 * SECOND);
            for step in 0..10 {
                let _ = recovery.tried(now, false);
                let retry = recovery.failed(now, &mut rng);
                let most = (30_000_u128 << step).min(1_800_000);
                assert!((most / 2..=most).contains(&(retry - now).as_millis()), "{step}: {:?}", retry - now);
                now = retry;
                assert_eq!(recovery.tried(now, false), None, "a slow server has all the time it needs");
            }
            recovery.succeeded(now);
            assert!(recovery.failed(now + 200 * SECOND, &mut rng) <= now + 201 * SECOND, "success forgets it all");
        }
    }

    #[test]
    fn who_closes_every_connection_is_not_hammered() {
        let (mut recovery, mut now, mut rng) = fresh();
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let _ = recovery.tried(now, false);
            recovery.succeeded(now);
            let lost = now + SECOND;
            now = recovery.failed(lost, &mut rng);
            pauses.push((now - lost).as_millis());
        }
        assert!(pauses[0] <= 1_000 && (4_000..=4_400).contains(&pauses[1]), "{pauses:?}");
        for (step, pause) in pauses[2..].iter().enumerate() {
            let most = 30_000_u128 << step;
            assert!((most / 2..=most).contains(pause), "{pauses:?}");
        }
        // One that lived is a good server again.
        recovery.succeeded(now);
        let lost = now + STEADY;
        assert!(recovery.failed(lost, &mut rng) - lost <= SECOND);
    }

    #[test]
    fn another_way_is_not_kept_waiting() {
        let (mut recovery, now, mut rng) = fresh();
        assert_eq!(recovery.tried(now, true), Some(now + 3 * SECOND));
        recovery.failed(now + 3 * SECOND, &mut rng);
        assert_eq!(recovery.tried(now, false), Some(now + 4 * SECOND));
        recovery.succeeded(now);
        assert_eq!(recovery.tried(now, false), Some(now + 8 * SECOND), "a refresh");
    }
}
