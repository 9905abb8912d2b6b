//! The one place that reads the clocks and the system's randomness for the core.
use crate::base::rng::Rng;
use crate::base::time::WallAnchor;
use std::time::{Duration, Instant, SystemTime};

/// Ties the two clocks together, now.
pub fn anchor() -> WallAnchor {
    WallAnchor::new(Instant::now(), SystemTime::now())
}

/// For how long this machine has slept since it was started: the clock that counts sleep, less the one that does not.
/// Systems that do not tell never sleep.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub fn asleep() -> Duration {
    let read = |clock| {
        // SAFETY: an all-zero timespec is valid, and the call writes to nothing else.
        let time = unsafe {
            let mut time: libc::timespec = std::mem::zeroed();
            libc::clock_gettime(clock, &raw mut time);
            time
        };
        let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0).min(999_999_999);
        Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), nanoseconds)
    };
    // In this order: a pause between the two reads must not look like sleep.
    let with_sleep = read(libc::CLOCK_BOOTTIME);
    with_sleep.saturating_sub(read(libc::CLOCK_MONOTONIC))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub fn asleep() -> Duration {
    Duration::ZERO
}

/// A generator nobody can predict.
///
/// # Errors
/// When the system gives no random bytes; nothing secure can be done then.
pub fn seeded_by_system() -> Result<Rng, getrandom::Error> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    Ok(Rng::from_seed(seed))
}
