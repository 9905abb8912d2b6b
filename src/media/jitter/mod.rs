//! From packets to a steady flow of sound: the buffer that waits for late packets, and what is played when they fail.
pub mod playout;

pub use playout::{Incoming, Playout, PlayoutStats};
