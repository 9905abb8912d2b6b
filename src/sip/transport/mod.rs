//! The transport rules that need no socket: cutting a stream into messages, and which transport a request takes (RFC 3261 §18).
pub mod framing;
pub mod size;
