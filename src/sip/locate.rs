//! Where a request goes: from the next-hop URI to the question the resolver is asked (RFC 3263 §4).
//!
//! The answer is a list of flows, the best first. Names are looked up as addresses (A, AAAA).
use crate::base::net::Transport;
use crate::sip::message::{Headers, Host, Request, Scheme, Uri};

/// A host to be turned into flows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    pub host: Host,
    pub port: u16,
    pub transport: Transport,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LocateError {
    #[error("{0}: addresses need a protected transport, which this account does not have")]
    Scheme(String),
    #[error("transport \"{0}\" is not one this phone speaks")]
    Transport(String),
}

impl Question {
    /// The question for a URI; `preferred` is used where the URI names no transport.
    pub fn of(uri: &Uri, preferred: Transport) -> Result<Self, LocateError> {
        match &uri.scheme {
            Scheme::Sip => {}
            Scheme::Sips => return Err(LocateError::Scheme("sips".to_owned())),
            Scheme::Tel => return Err(LocateError::Scheme("tel".to_owned())),
            Scheme::Other(scheme) => return Err(LocateError::Scheme(scheme.clone())),
        }
        let transport = match uri.params.value("transport") {
            None => preferred,
            Some(token) if token.eq_ignore_ascii_case("udp") => Transport::Udp,
            Some(token) if token.eq_ignore_ascii_case("tcp") => Transport::Tcp,
            Some(token) => return Err(LocateError::Transport(token.to_owned())),
        };
        // `maddr` is not obeyed: it would let a peer choose where our requests go (RFC 3261 §26.1.5).
        Ok(Self { host: uri.host.clone(), port: uri.port.unwrap_or(transport.default_port()), transport })
    }
}

/// The URI a request is sent to: the topmost Route, else the Request-URI (RFC 3261 §8.1.2).
pub fn next_hop(request: &Request) -> Uri {
    first_route(&request.headers).unwrap_or_else(|| request.uri.clone())
}

fn first_route(headers: &Headers) -> Option<Uri> {
    headers.name_addrs("Route").ok()?.into_iter().next().map(|route| route.uri)
}
