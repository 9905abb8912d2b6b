//! DTMF digits over RTP.
pub mod telephone_event;
