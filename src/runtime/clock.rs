//! The one place that reads the clocks and the system's randomness for the core.
use crate::base::rng::Rng;
use crate::base::time::WallAnchor;
use std::time::{Instant, SystemTime};

/// Ties the two clocks together, now.
pub fn anchor() -> WallAnchor {
    WallAnchor::new(Instant::now(), SystemTime::now())
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
