//! DTMF digits over RTP.
pub mod inband;
pub mod telephone_event;
