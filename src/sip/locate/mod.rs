//! Where a request goes: from the next-hop URI to the servers that are tried, in order (RFC 3263 §4).
//!
//! A [`Question`] is made of a URI; a [`Search`] turns it into targets by asking for records.
mod order;
mod record;
mod search;

pub use record::{Ask, Heard, Kind, Naptr, Record, Srv};
pub use search::{Found, Search, Target};

use crate::base::net::{Flow, Transport};
use crate::sip::message::{Headers, Host, Request, Scheme, Uri};
use std::time::Duration;

/// Whose way in: the client certificate and the WebSocket path of one account, as the sockets number them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccessId(pub u16);

/// What kind of server is looked for: each has names of its own for the records of its services.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    #[default]
    Sip,
    /// RFC 8489 §8.
    Stun,
    /// RFC 8656 §5, RFC 5928.
    Turn,
}

impl Purpose {
    /// Where no record names a port.
    pub fn default_port(self, transport: Transport) -> u16 {
        match (self, transport.is_secure()) {
            (Self::Sip, _) => transport.default_port(),
            (Self::Stun | Self::Turn, false) => 3478,
            (Self::Stun | Self::Turn, true) => 5349,
        }
    }
}

/// A host to be turned into flows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    pub host: Host,
    pub port: Option<u16>,
    /// What the URI or the account insists on; else the records of the domain decide.
    pub transport: Option<Transport>,
    /// Only a protected transport will do: the URI was `sips:`.
    pub secure: bool,
    pub access: AccessId,
}

/// The answer to a [`Question`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The best first, never empty.
    pub flows: Vec<Flow>,
    /// How long the answer may be used.
    pub fresh: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LocateError {
    #[error("this phone cannot reach {0}: addresses")]
    Scheme(String),
    #[error("transport \"{0}\" is not one this phone speaks")]
    Transport(String),
    #[error("a sips: address is never reached over {0}, which is not protected")]
    Downgrade(&'static str),
    #[error(
        "a sips: address is reached over TLS or secure WebSockets only, and this account is set to {0}; call sip: instead, or set \
         transport = \"tls\""
    )]
    Unprotected(&'static str),
    #[error("the name {0} is not known")]
    NoSuchName(String),
    #[error("no server of {0} has an address")]
    NoAddress(String),
    #[error("{host} says that it cannot be reached over {transport}")]
    NotOffered { host: String, transport: &'static str },
    #[error("the name server does not answer for {0}")]
    Silence(String),
    #[error("the name server cannot say where {0} is")]
    ServerFailed(String),
}

impl Question {
    /// The question for a URI; `preferred` is used where the URI names no transport.
    pub fn of(uri: &Uri, preferred: Option<Transport>, access: AccessId) -> Result<Self, LocateError> {
        let secure = match &uri.scheme {
            Scheme::Sip => false,
            Scheme::Sips => true,
            Scheme::Tel => return Err(LocateError::Scheme("tel".to_owned())),
            Scheme::Other(scheme) => return Err(LocateError::Scheme(scheme.clone())),
        };
        let named = match uri.params.value("transport").map(str::to_ascii_lowercase).as_deref() {
            None => preferred,
            Some("udp") => Some(Transport::Udp),
            Some("tcp") => Some(Transport::Tcp),
            Some("tls") => Some(Transport::Tls),
            // The parameter does not tell the two apart: over TLS stays over TLS.
            Some("ws" | "wss") if preferred == Some(Transport::Wss) => Some(Transport::Wss),
            Some("ws") => Some(Transport::Ws),
            Some("wss") => Some(Transport::Wss),
            Some(token) => return Err(LocateError::Transport(token.to_owned())),
        };
        let transport = match named {
            // TLS runs on top of what the parameter of a sips URI names (RFC 3261 §26.2.2).
            Some(Transport::Tcp) if secure => Some(Transport::Tls),
            Some(Transport::Ws) if secure => Some(Transport::Wss),
            Some(Transport::Udp) if secure && uri.params.has("transport") => {
                return Err(LocateError::Downgrade("udp"));
            }
            Some(Transport::Udp) if secure => None,
            other => other,
        };
        // `maddr` is not obeyed: it would let a peer choose where our requests go (RFC 3261 §26.1.5).
        Ok(Self { host: uri.host.clone(), port: uri.port, transport, secure, access })
    }

    /// The transport where neither the URI nor any record says (RFC 3263 §4.1).
    pub fn transport_or_default(&self) -> Transport {
        self.transport.unwrap_or(if self.secure { Transport::Tls } else { Transport::Udp })
    }
}

/// The URI a request is sent to: the topmost Route, else the Request-URI (RFC 3261 §8.1.2).
pub fn next_hop(request: &Request) -> Uri {
    first_route(&request.headers).unwrap_or_else(|| request.uri.clone())
}

fn first_route(headers: &Headers) -> Option<Uri> {
    headers.name_addrs("Route").ok()?.into_iter().next().map(|route| route.uri)
}

#[cfg(test)]
mod tests;
