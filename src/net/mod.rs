//! SIP sockets: UDP and TCP behind one manager that speaks in flows.
pub mod dns;
mod limit;
mod manager;
mod tcp;
mod udp;
mod unreachable;

pub use manager::{Access, Net, NetConfig, NetError, NetEvent, Router, Server};
