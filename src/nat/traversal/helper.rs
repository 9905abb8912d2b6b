//! What only the shell can do for a stream, and what it did: names looked up, connections to TURN servers.
use crate::nat::candidate::{Server, ServerTransport};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Which server a name or a connection is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Helper {
    Stun,
    Turn,
}

/// What only the shell can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    Resolve {
        helper: Helper,
        server: Server,
        /// `None`: what the records of the domain say.
        transport: Option<ServerTransport>,
    },
    Connect {
        connection: u8,
        address: SocketAddr,
        /// Over TLS, to a server of this name, with the file of more authorities to trust.
        tls: Option<(String, Option<PathBuf>)>,
    },
    Send {
        connection: u8,
        bytes: Vec<u8>,
    },
    Close {
        connection: u8,
    },
}

/// What the shell did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    Resolved { helper: Helper, addresses: Vec<(ServerTransport, SocketAddr)> },
    Connected { connection: u8 },
    Received { connection: u8, bytes: Vec<u8> },
    Closed { connection: u8, why: String },
}
