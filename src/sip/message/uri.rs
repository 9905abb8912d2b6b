//! SIP, SIPS and tel URIs (RFC 3261 §19.1, RFC 3966). Keeps unknown schemes as they were written.
use std::fmt;
use std::net::IpAddr;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    Sip,
    Sips,
    Tel,
    /// Anything else; the URI is opaque then and only printed back.
    Other(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    Ip(IpAddr),
    /// Lower-cased.
    Name(String),
}

/// `;name=value` parameters in order; names compare without case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(Vec<(String, Option<String>)>);

#[derive(Clone, Debug)]
pub struct Uri {
    pub scheme: Scheme,
    /// Escapes as written; compare with [`Uri::matches`].
    pub user: Option<String>,
    pub password: Option<String>,
    pub host: Host,
    pub port: Option<u16>,
    pub params: Params,
    /// What follows `?`, as written.
    pub headers: Option<String>,
}

impl Params {
    pub fn get(&self, _name: &str) -> Option<Option<&str>> {
        unimplemented!()
    }
    /// The value; `None` when absent or without value.
    pub fn value(&self, _name: &str) -> Option<&str> {
        unimplemented!()
    }
    pub fn has(&self, _name: &str) -> bool {
        unimplemented!()
    }
    pub fn set(&mut self, _name: &str, _value: Option<&str>) {
        unimplemented!()
    }
    pub fn remove(&mut self, _name: &str) {
        unimplemented!()
    }
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v.as_deref()))
    }
}

impl Uri {
    /// `sip:user@host:port`
    pub fn sip(_user: Option<&str>, _host: Host, _port: Option<u16>) -> Self {
        unimplemented!()
    }
    /// Parses a bare URI (no angle brackets).
    pub fn parse(_text: &str) -> Result<Self, super::HeaderError> {
        unimplemented!()
    }
    /// URI equality of RFC 3261 §19.1.4.
    pub fn matches(&self, _other: &Uri) -> bool {
        unimplemented!()
    }
    pub fn is_loose_router(&self) -> bool {
        self.params.has("lr")
    }
}

impl fmt::Display for Host {
    /// IPv6 in brackets.
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        unimplemented!()
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        unimplemented!()
    }
}
