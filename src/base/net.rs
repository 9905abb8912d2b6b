//! Addresses and datagrams as the pure core sees them: bytes with the flow they belong to.
use bytes::Bytes;
use std::net::SocketAddr;

/// A SIP transport (RFC 3261 §18, RFC 7118).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    Udp,
    Tcp,
    Tls,
    Ws,
    Wss,
}

impl Transport {
    pub const ALL: [Self; 5] = [Self::Udp, Self::Tcp, Self::Tls, Self::Ws, Self::Wss];

    /// Whether the transport delivers by itself, so that the retransmission timers stay off (RFC 3261 §17).
    pub fn is_reliable(self) -> bool {
        !matches!(self, Self::Udp)
    }

    /// Whether nobody on the way can read or change what is said.
    pub fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }

    /// Whether the peer can only reach us on the connection we opened (RFC 7118 §5).
    pub fn is_websocket(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }

    /// The token of the Via sent-protocol (RFC 3261 §20.42, RFC 7118 §5.1).
    pub fn via_token(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Ws => "WS",
            Self::Wss => "WSS",
        }
    }

    /// The value of the `transport` URI parameter (RFC 3261 §19.1.1); both kinds of WebSocket say `ws` (RFC 7118 §5.2).
    pub fn uri_token(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws | Self::Wss => "ws",
        }
    }

    /// What a user calls it: in the configuration, in the log and on the screen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wss => "wss",
            other => other.uri_token(),
        }
    }

    /// The port used when none is named (RFC 3261 §19.1.2, RFC 7118 §5).
    pub fn default_port(self) -> u16 {
        match self {
            Self::Udp | Self::Tcp => 5060,
            Self::Tls => 5061,
            Self::Ws => 80,
            Self::Wss => 443,
        }
    }
}

/// Whom a connection was opened to, as the sockets number them: the same address may serve two domains, and a connection
/// that was verified for one of them is none to the other (RFC 5923 §9.2). Zero for datagrams, and for connections that others
/// opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub u32);

/// Where a message goes or came from: the transport and both ends of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    pub transport: Transport,
    /// Our end: a bound address that the peer can answer to, never unspecified.
    pub local: SocketAddr,
    pub remote: SocketAddr,
    pub peer: PeerId,
}

impl Flow {
    /// A flow to nobody in particular.
    pub fn new(transport: Transport, local: SocketAddr, remote: SocketAddr) -> Self {
        Self { transport, local, remote, peer: PeerId::default() }
    }
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
