//! DTLS-SRTP (RFC 5763, RFC 5764): keys that the two ends agree on over the path of the media itself.
//!
//! The handshake runs on the media thread, where a tick lasts ten milliseconds; `tests/benches/srtp.rs` measures the arithmetic of
//! one and allows two.
pub mod association;
mod budget;
pub mod certificate;
pub mod fingerprint;
mod repeats;
