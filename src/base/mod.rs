//! Words and numbers shared by every layer: identifiers, time, randomness, addresses, untrusted text.
pub mod id;
pub mod net;
pub mod netem;
pub mod rng;
pub mod secret;
pub mod time;
pub mod timers;
pub mod untrusted;
