//! Wall-clock time as one anchor, and the NTP time stamps of RTCP made from it (RFC 3550 §4).
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Seconds between the NTP epoch (1900) and the Unix epoch (1970).
const NTP_UNIX_OFFSET: u64 = 2_208_988_800;

/// Ties the monotonic clock to the wall clock once, so that the pure core needs no clock of its own.
#[derive(Clone, Copy, Debug)]
pub struct WallAnchor {
    pub instant: Instant,
    pub system: SystemTime,
}

impl WallAnchor {
    pub fn new(instant: Instant, system: SystemTime) -> Self {
        Self { instant, system }
    }

    pub fn wall(&self, at: Instant) -> SystemTime {
        if at >= self.instant { self.system + (at - self.instant) } else { self.system - (self.instant - at) }
    }

    /// Seconds since the Unix epoch \[s\].
    pub fn unix(&self, at: Instant) -> f64 {
        self.wall(at).duration_since(UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
    }

    /// The 64-bit NTP time stamp of `at`: seconds in the upper, fraction in the lower half.
    pub fn ntp(&self, at: Instant) -> u64 {
        let since = self.wall(at).duration_since(UNIX_EPOCH).unwrap_or_default();
        ((since.as_secs() + NTP_UNIX_OFFSET) << 32) | ((u64::from(since.subsec_nanos()) << 32) / 1_000_000_000)
    }

    /// The middle 32 bits of the NTP time stamp, as LSR carries them: units of 1/65536 s.
    pub fn ntp_middle(&self, at: Instant) -> u32 {
        (self.ntp(at) >> 16) as u32
    }
}

/// A duration in units of 1/65536 s, as DLSR and the RTT of RFC 3550 §6.4.1 are expressed.
pub fn to_ntp_short(duration: Duration) -> u32 {
    u32::try_from(duration.as_nanos() * 65_536 / 1_000_000_000).unwrap_or(u32::MAX)
}

/// The inverse of [`to_ntp_short`].
pub fn from_ntp_short(units: u32) -> Duration {
    Duration::from_nanos(u64::from(units) * 1_000_000_000 / 65_536)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ntp_of_the_unix_epoch_plus_half_a_second() {
        let now = Instant::now();
        let anchor = WallAnchor::new(now, UNIX_EPOCH + Duration::from_millis(500));
        assert_eq!(anchor.ntp(now), (2_208_988_800 << 32) | 0x8000_0000);
        assert_eq!(anchor.ntp_middle(now), ((2_208_988_800_u64 & 0xffff) << 16) as u32 | 0x8000);
    }

    #[test]
    fn short_format_round_trips_within_its_resolution() {
        let delay = Duration::from_micros(61_234);
        let back = from_ntp_short(to_ntp_short(delay));
        assert!(delay - back < Duration::from_micros(16));
    }
}
