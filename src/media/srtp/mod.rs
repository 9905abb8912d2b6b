//! Protected media (RFC 3711): suites and keys, and the contexts that protect packets with them.
pub mod context;
pub mod sdes;
