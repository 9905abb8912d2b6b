//! The embedded registrar and stateful proxy (RFC 3261 §10 and §16): a pure machine on top of `sip::transaction`.
//!
//! It serves one set of users under one or more domain names. It forwards to the bindings of its own users, along dialogs
//! that passed through it, and nowhere else: it is no relay for strangers.
mod auth;
mod context;
mod dialogs;
mod limit;
mod location;
mod machine;
mod policy;
mod registrar;
mod routing;
mod snapshot;
#[cfg(test)]
mod tests;

pub use auth::Access;
pub use limit::Rate;
pub use machine::{Proxy, ProxyConfig};
pub use registrar::Lifetimes;
pub use snapshot::{BindingView, Counters, Snapshot};
