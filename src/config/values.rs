//! Values with a syntax of their own, in the file and on the command line alike.
use crate::media::spec::Codec;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use thiserror::Error;

/// What is wrong with a value; the place that reads it says whose value it is.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct ValueError(pub(super) String);

impl ValueError {
    pub(super) fn new(problem: impl Into<String>) -> Self {
        Self(problem.into())
    }
}

/// An address or a name to look up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    Ip(IpAddr),
    /// Lower-cased.
    Name(String),
}

/// A server: `pbx.example`, `192.0.2.1:5070`, `[2001:db8::1]:5060`, with or without `sip:` before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub host: Host,
    /// `None`: as the DNS says (RFC 3263), else 5060.
    pub port: Option<u16>,
}

/// Both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    pub low: u16,
    pub high: u16,
}

/// `ADDRESS:PORT`, `ADDRESS` or `:PORT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BindAddress {
    pub address: Option<IpAddr>,
    pub port: Option<u16>,
}

/// Codecs in order of preference, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodecList(pub Vec<Codec>);

/// A number of a port; what it may be is said in the error.
fn port(text: &str) -> Result<u16, ValueError> {
    match text.parse::<u64>() {
        Ok(number) => u16::try_from(number).map_err(|_| ValueError::new("port is above 65535")),
        Err(_) => Err(ValueError::new("port is not a number: HOST or HOST:PORT expected")),
    }
}

impl FromStr for Host {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
        if let Ok(ip) = bare.unwrap_or(text).parse() {
            return Ok(Self::Ip(ip));
        }
        let label =
            |l: &str| (1..=63).contains(&l.len()) && l.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        let name = text.strip_suffix('.').unwrap_or(text);
        let digits = name.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if name.len() > 253 || digits || !name.split('.').all(label) {
            return Err(ValueError::new("host name or IP address expected"));
        }
        Ok(Self::Name(name.to_ascii_lowercase()))
    }
}

impl FromStr for Server {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let lower = text.to_ascii_lowercase();
        if lower.starts_with("sips:") {
            return Err(ValueError::new("write HOST, and transport = \"tls\""));
        }
        let rest = if lower.starts_with("sip:") { text.get(4..).unwrap_or_default() } else { text };
        if rest.contains(['@', ';', '?']) {
            return Err(ValueError::new("only HOST or HOST:PORT; user and transport have keys of their own"));
        }
        let (host, number) = split_port(rest)?;
        let server = Self { host: host.parse()?, port: number.map(port).transpose()? };
        if server.port == Some(0) { Err(ValueError::new("port is 0: 1 to 65535 expected")) } else { Ok(server) }
    }
}

/// Cuts `host:port`; the colons of an IPv6 address are part of the host, with or without brackets.
pub(super) fn split_port(text: &str) -> Result<(&str, Option<&str>), ValueError> {
    if text.starts_with('[') {
        let (host, rest) = text.split_once(']').ok_or_else(|| ValueError::new("`]` is missing"))?;
        let host = text.get(..=host.len()).unwrap_or(text);
        return match rest.strip_prefix(':') {
            Some(number) => Ok((host, Some(number))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(ValueError::new("a port after `]` begins with a colon")),
        };
    }
    match text.split_once(':') {
        Some((_, rest)) if rest.contains(':') => Ok((text, None)),
        Some((host, number)) => Ok((host, Some(number))),
        None => Ok((text, None)),
    }
}

impl FromStr for PortRange {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (low, high) = text.split_once('-').ok_or_else(|| ValueError::new("LOW-HIGH expected, as 30000-31999"))?;
        let range = Self { low: port(low.trim())?, high: port(high.trim())? };
        match range {
            Self { low, .. } if low < 1024 => Err(ValueError::new("ports begin at 1024")),
            Self { low, high } if high <= low => {
                Err(ValueError::new("at least two ports are needed, the lower one first"))
            }
            range => Ok(range),
        }
    }
}

impl FromStr for BindAddress {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Ok(Self { address: Some(address.ip()), port: Some(address.port()) });
        }
        if let Some(number) = text.strip_prefix(':').filter(|t| !t.contains(':')) {
            return Ok(Self { address: None, port: Some(port(number)?) });
        }
        let (host, number) = split_port(text)?;
        match host.parse()? {
            Host::Ip(ip) => Ok(Self { address: Some(ip), port: number.map(port).transpose()? }),
            Host::Name(_) => Err(ValueError::new("an IP address of this machine expected, as 192.0.2.1:5060 or :5060")),
        }
    }
}

/// The unspecified address is no address to tell anybody.
pub(super) fn usable(ip: IpAddr) -> Option<IpAddr> {
    Some(ip).filter(|ip| !ip.is_unspecified())
}

/// Every codec by its name.
pub(super) const CODECS: [(&str, Codec); 3] = [("opus", Codec::Opus), ("pcmu", Codec::Pcmu), ("pcma", Codec::Pcma)];

impl CodecList {
    pub(super) fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, ValueError> {
        let mut list = Vec::new();
        for name in names.into_iter().map(str::trim) {
            let found = CODECS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            let (_, codec) = found.ok_or_else(|| ValueError::new(format!("`{name}` is none of opus, pcmu, pcma")))?;
            if list.contains(codec) {
                return Err(ValueError::new(format!("{name} is listed twice")));
            }
            list.push(*codec);
        }
        if list.is_empty() { Err(ValueError::new("at least one of opus, pcmu, pcma expected")) } else { Ok(Self(list)) }
    }
}

impl FromStr for CodecList {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        Self::new(text.split(','))
    }
}

impl fmt::Display for Host {
    /// IPv6 in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.host.fmt(f)?;
        self.port.iter().try_for_each(|port| write!(f, ":{port}"))
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.low, self.high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers() {
        let rows = [
            ("", Err("host name or IP address expected")),
            ("sip:", Err("host name or IP address expected")),
            ("sip:pbx:99999", Err("port is above 65535")),
            ("pbx:0", Err("port is 0: 1 to 65535 expected")),
            ("pbx:x", Err("port is not a number: HOST or HOST:PORT expected")),
            ("pbx:", Err("port is not a number: HOST or HOST:PORT expected")),
            ("sips:pbx", Err("write HOST, and transport = \"tls\"")),
            ("1001@pbx", Err("only HOST or HOST:PORT; user and transport have keys of their own")),
            ("pbx;transport=tcp", Err("only HOST or HOST:PORT; user and transport have keys of their own")),
            ("[::1", Err("`]` is missing")),
            ("[::1]5060", Err("a port after `]` begins with a colon")),
            ("192.0.2.256", Err("host name or IP address expected")),
            ("a b", Err("host name or IP address expected")),
            ("a..b", Err("host name or IP address expected")),
            ("PBX.Example.", Ok("pbx.example")),
            ("sip:pbx:5070", Ok("pbx:5070")),
            ("SIP:192.0.2.1", Ok("192.0.2.1")),
            ("2001:db8::1", Ok("[2001:db8::1]")),
            ("[2001:db8::1]:5070", Ok("[2001:db8::1]:5070")),
        ];
        for (text, expected) in rows {
            let got = text.parse::<Server>();
            assert_eq!(
                got.map(|s| s.to_string()).map_err(|e| e.0),
                expected.map(str::to_owned).map_err(str::to_owned),
                "{text}"
            );
        }
    }

    #[test]
    fn port_ranges() {
        for bad in ["", "5000", "5000-", "5000-x", "6000-5000", "5000-5000", "80-90", "5000-70000", "-1-5"] {
            assert!(bad.parse::<PortRange>().is_err(), "{bad}");
        }
        assert_eq!("20000 - 20001".parse(), Ok(PortRange { low: 20_000, high: 20_001 }));
    }

    #[test]
    fn bind_addresses() {
        for bad in ["", ":", "localhost:5060", "127.0.0.1:x", "127.0.0.1:70000", "[::1"] {
            assert!(bad.parse::<BindAddress>().is_err(), "{bad}");
        }
        let ip = |text: &str| Some(text.parse().unwrap());
        let rows = [
            ("127.0.0.1:5060", ip("127.0.0.1"), Some(5060)),
            ("127.0.0.1", ip("127.0.0.1"), None),
            ("0.0.0.0:5060", ip("0.0.0.0"), Some(5060)),
            (":5061", None, Some(5061)),
            ("[::1]:5060", ip("::1"), Some(5060)),
            ("::1", ip("::1"), None),
        ];
        for (text, address, port) in rows {
            assert_eq!(text.parse(), Ok(BindAddress { address, port }), "{text}");
        }
    }

    #[test]
    fn codec_lists() {
        for bad in ["", "g729", "pcmu,pcmu", "pcmu,,opus"] {
            assert!(bad.parse::<CodecList>().is_err(), "{bad}");
        }
        assert_eq!("PCMU, opus".parse(), Ok(CodecList(vec![Codec::Pcmu, Codec::Opus])));
    }
}
