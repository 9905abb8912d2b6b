//! Via: where the response goes (RFC 3261 §18.2.2, §20.42, RFC 3581).
use super::text::{is_token, trim};
use super::{HeaderError, Host, Params};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

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
    pub fn new(transport: &str, host: Host, port: Option<u16>, branch: &str) -> Self {
        let mut params = Params::default();
        params.set("branch", Some(branch));
        params.set("rport", None);
        Self { transport: transport.to_ascii_uppercase(), host, port, params }
    }

    pub fn parse(value: &str) -> Result<Self, HeaderError> {
        Self::read(value).ok_or(HeaderError::Malformed("Via"))
    }

    /// Blanks may stand around the slashes, the colon and the semicolons.
    fn read(value: &str) -> Option<Self> {
        let (protocol, rest) = value.split_once('/')?;
        let (version, rest) = rest.split_once('/')?;
        let (transport, rest) = trim(rest).split_once([' ', '\t'])?;
        // Another version is readable, so that it can be told 505.
        let is_version = trim(version).bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if !trim(protocol).eq_ignore_ascii_case("SIP") || !is_version || !is_token(transport) {
            return None;
        }
        let (sent_by, params) = rest.split_at_checked(rest.find(';').unwrap_or(rest.len()))?;
        let sent_by: String = match sent_by.rsplit_once(':') {
            Some((host, port)) => format!("{}:{}", trim(host), trim(port)),
            None => trim(sent_by).to_owned(),
        };
        let (host, port) = Host::parse_with_port(&sent_by)?;
        Some(Self { transport: transport.to_ascii_uppercase(), host, port, params: Params::parse(params)? })
    }

    pub fn branch(&self) -> Option<&str> {
        self.params.value("branch")
    }

    /// Records the source of a received request: `received` where it differs from sent-by, `rport` where it was asked for.
    ///
    /// What the sender claimed in these parameters is overwritten.
    pub fn stamp(&mut self, source: SocketAddr) {
        let ip = source.ip().to_canonical();
        let wants_port = self.params.has("rport");
        if wants_port {
            self.params.set("rport", Some(&source.port().to_string()));
        }
        // RFC 3581 §4: with rport, `received` is there even when it says the same as sent-by.
        if wants_port || self.host != Host::Ip(ip) {
            self.params.set("received", Some(&ip.to_string()));
        } else {
            self.params.remove("received");
        }
    }

    /// The `received` address, with or without brackets (RFC 5118 §4.5).
    pub fn received(&self) -> Option<IpAddr> {
        let value = self.params.value("received")?;
        value.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }

    pub fn rport(&self) -> Option<u16> {
        self.params.value("rport")?.parse().ok()
    }

    /// The address a response goes to over an unreliable transport; `None` when sent-by is a name to be resolved.
    ///
    /// `maddr` is not followed: it would let a stranger aim our answers at a third party.
    pub fn response_address(&self, default_port: u16) -> Option<SocketAddr> {
        let ip = self.received().or_else(|| self.host.ip())?;
        Some(SocketAddr::new(ip, self.rport().or(self.port).unwrap_or(default_port)))
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIP/2.0/{} {}", self.transport, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        write!(f, "{}", self.params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_values_are_refused() {
        let rows = [
            "",
            ";",
            "SIP/2.0",
            "SIP/2.0/UDP",
            "SIP/2.0/UDP ",
            "SIP/2.0/UDP ;branch=x",
            "SIP/x.0/UDP h",
            "HTTP/2.0/UDP h",
            "SIP/2.0/UDP h:x",
            "SIP/2.0/UDP h h2",
            "SIP/2.0/U@P h",
            "SIP/2.0/UDP 2001:db8::1",
            "SIP/2.0/UDP h;branch=a b",
        ];
        for text in rows {
            assert!(Via::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn blanks_are_allowed_wherever_the_grammar_has_them() {
        let rows = [
            ("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1"),
            (
                "SIP  / 2.0  / TCP     spindle.example.com   ;  branch  =   z9hG4bK9ikj8  ",
                "SIP/2.0/TCP spindle.example.com;branch=z9hG4bK9ikj8",
            ),
            ("sip / 2.0 /udp  [2001:db8::9:1] : 5070 ; rport", "SIP/2.0/UDP [2001:db8::9:1]:5070;rport"),
            ("SIP/2.0/UNKNOWN t4.example.com;;", "SIP/2.0/UNKNOWN t4.example.com"),
        ];
        for (text, printed) in rows {
            assert_eq!(Via::parse(text).unwrap().to_string(), printed, "{text}");
        }
    }

    #[test]
    fn the_source_is_stamped_and_answered() {
        let rows = [
            // claims of the sender do not survive
            ("SIP/2.0/UDP 192.0.2.1;received=203.0.113.66", "192.0.2.1:9", "SIP/2.0/UDP 192.0.2.1", "192.0.2.1:5060"),
            (
                "SIP/2.0/UDP 192.0.2.1;rport=1;received=203.0.113.66",
                "192.0.2.1:9",
                "SIP/2.0/UDP 192.0.2.1;rport=9;received=192.0.2.1",
                "192.0.2.1:9",
            ),
            (
                "SIP/2.0/UDP h;maddr=203.0.113.66",
                "192.0.2.1:9",
                "SIP/2.0/UDP h;maddr=203.0.113.66;received=192.0.2.1",
                "192.0.2.1:5060",
            ),
            (
                "SIP/2.0/UDP 10.1.1.1:4540;rport",
                "192.0.2.1:9988",
                "SIP/2.0/UDP 10.1.1.1:4540;rport=9988;received=192.0.2.1",
                "192.0.2.1:9988",
            ),
            (
                "SIP/2.0/UDP 10.1.1.1:4540",
                "192.0.2.1:9988",
                "SIP/2.0/UDP 10.1.1.1:4540;received=192.0.2.1",
                "192.0.2.1:4540",
            ),
            ("SIP/2.0/UDP [::1]:5070", "[::1]:9", "SIP/2.0/UDP [::1]:5070", "[::1]:5070"),
            ("SIP/2.0/UDP 127.0.0.1:5070", "[::ffff:127.0.0.1]:9", "SIP/2.0/UDP 127.0.0.1:5070", "127.0.0.1:5070"),
        ];
        for (text, source, stamped, answer) in rows {
            let mut via = Via::parse(text).unwrap();
            via.stamp(source.parse().unwrap());
            assert_eq!(via.to_string(), stamped, "{text}");
            assert_eq!(via.response_address(5060), answer.parse().ok(), "{text}");
        }
        let bracketed = Via::parse("SIP/2.0/UDP h;received=[2001:db8::9:255]").unwrap();
        assert_eq!(bracketed.response_address(5060), "[2001:db8::9:255]:5060".parse().ok());
        assert_eq!(Via::parse("SIP/2.0/UDP h").unwrap().response_address(5060), None);
    }

    #[test]
    fn ours_asks_for_the_port() {
        let via = Via::new("udp", Host::Ip("::1".parse().unwrap()), Some(5070), "z9hG4bKx");
        assert_eq!(via.to_string(), "SIP/2.0/UDP [::1]:5070;branch=z9hG4bKx;rport");
        assert_eq!(via.branch(), Some("z9hG4bKx"));
    }
}
