//! The transaction layer and its four machines (RFC 3261 §17, RFC 6026).
mod action;
mod client;
mod client_invite;
mod client_non_invite;
mod layer;
mod server;
mod server_invite;
mod server_non_invite;
mod user;

pub use super::key::{ClientKey, ServerKey};
pub use layer::{Config, Counters, Event, Layer};
pub use user::{Failure, Output, RequestId};

#[cfg(test)]
mod tests;
