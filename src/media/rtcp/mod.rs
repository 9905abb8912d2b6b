//! RTCP (RFC 3550 §6): compound packets, when to send them, and what both sides learn from them.
pub mod compound;
pub mod description;
pub mod schedule;
pub mod session;
