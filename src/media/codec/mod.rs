//! Speech codecs: sound to payloads and back.
pub mod decoder;
pub mod encoder;
pub mod g711;
pub mod opus;

pub use decoder::Decoder;
pub use encoder::{Encoded, PacketEncoder};
