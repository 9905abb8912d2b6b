//! Where the pure core meets sockets, clocks and threads.
pub mod clock;
pub mod journal;
pub mod signalling;
pub mod storage;
