//! From packets to a steady flow of sound: the buffer that waits for late packets, and what is played when they fail.
mod clock;
mod delay;
mod line;
mod playout;
mod store;
mod voice;

pub use playout::{Incoming, Playout, PlayoutStats};
