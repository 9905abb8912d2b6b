//! SIP sockets: UDP, TCP, TLS and WebSockets behind one manager that speaks in flows.
mod dial;
pub mod dns;
pub mod helper;
mod limit;
mod listen;
mod manager;
mod pool;
#[cfg(test)]
mod pool_tests;
mod router;
mod stream;
#[cfg(test)]
mod testing;
pub mod tls;
#[cfg(test)]
mod tls_tests;
mod udp;
mod unreachable;
mod verify;
mod websocket;
#[cfg(test)]
mod websocket_tests;

pub use listen::{Listen, Pages};
pub use manager::{Access, Net, NetConfig, NetError, NetEvent};
pub use router::{Router, Server};
