//! Addresses and datagrams as the pure core sees them: bytes with the flow they belong to.
use bytes::Bytes;
use std::net::SocketAddr;

/// A SIP transport (RFC 3261 §18).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    Udp,
    Tcp,
}

impl Transport {
    /// Whether the transport delivers by itself, so that the retransmission timers stay off (RFC 3261 §17).
    pub fn is_reliable(self) -> bool {
        !matches!(self, Self::Udp)
    }

    /// The token of the Via sent-protocol (RFC 3261 §20.42).
    pub fn via_token(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
        }
    }

    /// The value of the `transport` URI parameter (RFC 3261 §19.1.1).
    pub fn uri_token(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        }
    }

    /// The port used when none is named (RFC 3261 §19.1.2).
    pub fn default_port(self) -> u16 {
        5060
    }
}

/// Where a message goes or came from: the transport and both ends of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    pub transport: Transport,
    /// Our end: a bound address that the peer can answer to, never unspecified.
    pub local: SocketAddr,
    pub remote: SocketAddr,
}

/// Bytes to be sent on a flow: one datagram, or one whole message on a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    pub flow: Flow,
    pub bytes: Bytes,
}

/// Bytes that arrived: one datagram, or one message cut out of a stream by `sip::transport::framing`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub flow: Flow,
    pub bytes: Bytes,
}
