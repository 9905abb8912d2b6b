//! RTP (RFC 3550, RFC 3551): packets, sequence numbers, what is received and what is sent.
pub mod demux;
pub mod extension;
pub mod loss;
pub mod packet;
pub mod receiver;
pub mod sender;
pub mod seq;
