//! Via: where the response goes (RFC 3261 §18.2.2, §20.42, RFC 3581).
use super::{HeaderError, Host, Params};
use std::fmt;
use std::net::SocketAddr;

#[derive(Clone, Debug)]
pub struct Via {
    /// Upper-cased: `UDP`, `TCP`, `WS`, ...
    pub transport: String,
    pub host: Host,
    pub port: Option<u16>,
    pub params: Params,
}

impl Via {
    /// `SIP/2.0/UDP host:port;branch=...;rport`
    pub fn new(_transport: &str, _sent_by: SocketAddr, _branch: &str) -> Self {
        unimplemented!()
    }
    pub fn parse(_value: &str) -> Result<Self, HeaderError> {
        unimplemented!()
    }
    pub fn branch(&self) -> Option<&str> {
        self.params.value("branch")
    }
    /// Records the source of a received request: `received` where it differs from sent-by, `rport` where it was asked for.
    pub fn stamp(&mut self, _source: SocketAddr) {
        unimplemented!()
    }
    /// The address a response goes to over an unreliable transport.
    pub fn response_address(&self, _default_port: u16) -> Option<SocketAddr> {
        unimplemented!()
    }
}

impl fmt::Display for Via {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        unimplemented!()
    }
}
