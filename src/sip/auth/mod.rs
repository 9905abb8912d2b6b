//! Digest authentication of requests: the client that answers challenges and the server that issues them (RFC 3261 §22,
//! RFC 7616, RFC 8760).
mod challenge;
mod client;
mod digest;
mod server;

pub use challenge::{AuthValue, Challenge};
pub use client::{Client, Credentials, Password, Refusal};
pub use digest::{Algorithm, Hash, Qop};
pub use server::{Config as ServerConfig, Denial, Server, Verdict};
