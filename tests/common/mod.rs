//! What tests with real sockets and real sound share: WAV files, measurements of sound, an impairing relay.
pub mod relay;
pub mod sip_text;
pub mod sound;
