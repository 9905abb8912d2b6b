//! The transaction layer and its four machines (RFC 3261 §17, RFC 6026).
mod layer;
mod user;

pub use super::key::{ClientKey, ServerKey};
pub use layer::{Config, Counters, Event, Layer};
pub use user::{Failure, Output, RequestId};
