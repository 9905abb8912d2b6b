//! DTLS-SRTP (RFC 5763, RFC 5764): keys that the two ends agree on over the path of the media itself.
//!
//! The handshake runs on the media thread: all the arithmetic of one takes well under a millisecond
//! (`tests/benches/srtp.rs` measures it), a tick lasts ten.
pub mod association;
mod budget;
pub mod certificate;
pub mod fingerprint;
mod repeats;
