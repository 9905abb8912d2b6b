//! Sound from packets and packets from sound: RTP, RTCP, codecs, the jitter buffer, and the session that joins them.
pub mod error;
pub mod event;
pub mod frame;
pub mod session;
pub mod spec;
pub mod stats;
