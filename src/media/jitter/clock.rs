//! The two clocks of playout, on one scale of 1/48000 s: the device's, read when it asks for sound, and the sender's,
//! read from RTP timestamps.
use std::time::{Duration, Instant};

/// A time or a length of time [1/48000 s].
pub type Ticks = i64;

/// Ticks in a millisecond.
pub const MS: Ticks = 48;
/// Ticks in a frame.
pub const FRAME_TICKS: Ticks = 480;
/// A second.
const SECOND: Ticks = 1_000 * MS;
/// A packet whose transit time differs by more from what is usual has a timestamp from another count.
const JUMP: Ticks = 5 * SECOND;

/// A length of time in ticks.
pub fn to_duration(ticks: Ticks) -> Duration {
    Duration::from_nanos(u64::try_from(ticks).unwrap_or(0).saturating_mul(1_000_000) / MS as u64)
}

/// Counts ticks from a first instant.
#[derive(Clone, Copy, Debug)]
pub struct Epoch(Instant);

impl Epoch {
    pub fn new(first: Instant) -> Self {
        Self(first)
    }

    /// Instants before the first are negative.
    pub fn ticks(&self, at: Instant) -> Ticks {
        let ticks = |d: Duration| i64::try_from(d.as_nanos() / 1_000 * MS as u128 / 1_000).unwrap_or(i64::MAX / 4);
        match at.checked_duration_since(self.0) {
            Some(after) => ticks(after),
            None => -ticks(self.0.duration_since(at)),
        }
    }
}

/// When frames are really wanted: the calls come early or late, some in pairs, but on average one a frame.
#[derive(Clone, Copy, Debug, Default)]
pub struct PullClock {
    /// When the next call should come.
    due: Option<Ticks>,
    /// How much earlier than due calls came, at worst, lately.
    early: Ticks,
}

impl PullClock {
    /// A call came at `now`; returns the time it should have come at.
    pub fn pull(&mut self, now: Ticks) -> Ticks {
        let due = match self.due {
            // The error is followed slowly, unless it is no jitter any more: the device was stopped.
            Some(due) if (now - due).abs() < 100 * MS => due + (now - due) / 32,
            _ => now,
        };
        self.due = Some(due + FRAME_TICKS);
        self.early = (self.early * 511 / 512).max(due - now);
        due
    }

    /// How much earlier than their average time calls come, at worst.
    pub fn early(&self) -> Ticks {
        self.early
    }
}

/// Turns RTP timestamps into ticks of the sender's clock.
///
/// The count starts at the arrival of the first packet, so that a transit time (arrival less media time) is a difference
/// to that packet's. A change of the clock rate, or a timestamp from another count, starts it anew without a step.
#[derive(Clone, Copy, Debug, Default)]
pub struct MediaClock(Option<Origin>);

#[derive(Clone, Copy, Debug)]
struct Origin {
    /// \[Hz\]
    clock_rate: u32,
    timestamp: u64,
    media: Ticks,
}

impl MediaClock {
    /// The media time of a packet.
    ///
    /// - `arrived`: its arrival.
    /// - `usual`: the usual transit time.
    pub fn media(&mut self, timestamp: u64, clock_rate: u32, arrived: Ticks, usual: Ticks) -> Ticks {
        if let Some(origin) = self.0.filter(|o| o.clock_rate == clock_rate) {
            let scale = SECOND / i64::from(clock_rate.max(1));
            let since = (timestamp.wrapping_sub(origin.timestamp) as i64).saturating_mul(scale);
            let media = origin.media.saturating_add(since);
            if arrived.saturating_sub(media).saturating_sub(usual).unsigned_abs() < JUMP as u64 {
                return media;
            }
        }
        let media = arrived - usual;
        self.0 = Some(Origin { clock_rate, timestamp, media });
        media
    }

    pub fn reset(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_count_from_the_first_both_ways() {
        let first = Instant::now() + Duration::from_secs(10);
        let epoch = Epoch::new(first);
        assert_eq!(epoch.ticks(first + Duration::from_millis(10)), FRAME_TICKS);
        assert_eq!(epoch.ticks(first - Duration::from_millis(10)), -FRAME_TICKS);
        assert_eq!(to_duration(FRAME_TICKS), Duration::from_millis(10));
        assert_eq!(to_duration(-1), Duration::ZERO);
    }

    #[test]
    fn calls_in_pairs_are_spread_out_and_their_haste_known() {
        let mut clock = PullClock::default();
        let mut last = 0;
        for n in 0..400 {
            let due = clock.pull(n / 2 * 2 * FRAME_TICKS);
            if n > 200 {
                assert!((due - last - FRAME_TICKS).abs() < 40, "step {}", due - last);
            }
            last = due;
        }
        // The second of a pair comes 10 ms early, of which the average takes half.
        assert!((4 * MS..=10 * MS).contains(&clock.early()), "{}", clock.early());
    }

    #[test]
    fn a_device_that_stood_still_is_not_caught_up_with() {
        let mut clock = PullClock::default();
        clock.pull(0);
        assert_eq!(clock.pull(1_000 * MS), 1_000 * MS);
    }

    #[test]
    fn timestamps_of_another_count_start_anew_without_a_step() {
        let mut clock = MediaClock::default();
        assert_eq!(clock.media(u64::MAX - 79, 8_000, 0, 0), 0);
        // Across the wrap; then back in time by an ordinary slip.
        assert_eq!(clock.media(80, 8_000, 20 * MS, 0), 20 * MS);
        assert_eq!(clock.media(0, 8_000, 40 * MS, 0), 10 * MS);
        // A jump by hours, forwards and backwards, and another clock rate.
        for (timestamp, rate) in [(1 << 32, 8_000), (5, 8_000), (u64::MAX / 2, 8_000), (12_345, 48_000)] {
            assert_eq!(clock.media(timestamp, rate, 100 * MS, 7 * MS), 93 * MS);
        }
        assert_eq!(clock.media(12_345 + 960, 48_000, 500 * MS, 7 * MS), 113 * MS);
    }
}
