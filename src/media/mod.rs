//! Sound from packets and packets from sound: RTP, RTCP, codecs, the jitter buffer, and the session that joins them.
pub mod event;
pub mod spec;
pub mod stats;
