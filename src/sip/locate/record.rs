//! What is asked of name servers, and what they answer (RFC 1035, RFC 2782, RFC 3403, RFC 3596).
use std::net::IpAddr;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Naptr,
    Srv,
    A,
    Aaaa,
}

/// One question to a name server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ask {
    pub kind: Kind,
    /// Lower case, without the final dot.
    pub name: String,
}

impl Ask {
    pub fn new(kind: Kind, name: &str) -> Self {
        Self { kind, name: name.trim_end_matches('.').to_ascii_lowercase() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    Naptr(Naptr),
    Srv(Srv),
    Address(IpAddr),
}

/// RFC 3403 §4.1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Naptr {
    pub order: u16,
    pub preference: u16,
    pub flags: String,
    pub services: String,
    pub regexp: String,
    pub replacement: String,
}

/// RFC 2782.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    pub priority: u16,
    pub weight: u16,
    pub port: u16,
    pub target: String,
}

/// The answer to an [`Ask`]; aliases (CNAME) are followed already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// With the time they may be kept: the smallest of all.
    Records(Vec<Record>, Duration),
    /// The name exists; it has nothing of that kind.
    Nothing,
    /// The name does not exist (NXDOMAIN).
    NoSuchName,
    /// The name server cannot or will not answer (SERVFAIL, REFUSED).
    Failed,
    /// Nothing came.
    Silence,
}
