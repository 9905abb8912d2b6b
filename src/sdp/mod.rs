//! SDP (RFC 8866) and offer/answer over it (RFC 3264, RFC 6337) for one audio stream.
//!
//! [`Negotiator`] is the way in: one per dialog, it makes and answers offers and says what was agreed.
mod agreed;
mod answer;
mod attribute;
mod browser;
mod bundle;
pub mod candidate;
pub mod codec;
mod crypto;
pub mod direction;
mod error;
mod extmap;
mod fingerprint;
mod fragment;
mod keying;
mod negotiator;
mod normalise;
mod offer;
mod payload_types;
mod protection;
mod reach;
pub mod session;

pub use agreed::Negotiated;
pub use candidate::{LocalIce, RemoteIce};
pub use error::SdpError;
pub use fragment::Fragment;
pub use negotiator::{LocalMedia, Negotiator};
pub use session::Session;
