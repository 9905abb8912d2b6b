//! How servers are reached: the transport, the path of a WebSocket, the marks on packets, the name server.
use super::values::{ValueError, split_port};
use crate::base::net::Transport;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// The port of name servers (RFC 1035 §4.2).
const DNS_PORT: u16 = 53;

/// What `transport` may say, in the file and on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransportChoice(
    /// `None`: what the records of the domain say.
    pub Option<Transport>,
);

impl TransportChoice {
    /// As it is written.
    pub fn name(self) -> &'static str {
        self.0.map_or("auto", Transport::name)
    }
}

impl FromStr for TransportChoice {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let word = text.to_ascii_lowercase();
        let known = Transport::ALL.into_iter().find(|transport| transport.name() == word);
        match known {
            Some(transport) => Ok(Self(Some(transport))),
            None if word == "auto" => Ok(Self(None)),
            None => Err(ValueError::new("auto, udp, tcp, tls, ws or wss expected")),
        }
    }
}

/// The path of a WebSocket, and the query if it has one (RFC 6455 §3).
pub(super) fn websocket_path(text: &str) -> Result<String, ValueError> {
    if text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic() && b != b'#') {
        Ok(text.to_owned())
    } else {
        Err(ValueError::new("a path expected as \"/ws\": it begins with / and has neither blanks nor #"))
    }
}

/// A code point by its name: `EF` (RFC 3246), `CS0` to `CS7` (RFC 2474 §4.2.2), `AF11` to `AF43` (RFC 2597 §6).
pub(super) fn dscp(text: &str) -> Result<u8, ValueError> {
    let digit = |b: &u8, most: u8| b.checked_sub(b'0').filter(|n| *n <= most);
    let point = match text.to_ascii_uppercase().as_bytes() {
        b"EF" => Some(46),
        [b'C', b'S', class] => digit(class, 7).map(|class| class * 8),
        [b'A', b'F', class, drop] => {
            digit(class, 4).zip(digit(drop, 3)).filter(|(c, d)| *c > 0 && *d > 0).map(|(c, d)| c * 8 + d * 2)
        }
        _ => None,
    };
    point.ok_or_else(|| ValueError::new("a whole number from 0 to 63, EF, CS0 to CS7 or AF11 to AF43 expected"))
}

/// `ADDRESS` or `ADDRESS:PORT`; `auto` is the system's.
pub(super) fn name_server(text: &str) -> Result<Option<SocketAddr>, ValueError> {
    if text == "auto" {
        return Ok(None);
    }
    let expected = || ValueError::new("auto, ADDRESS or ADDRESS:PORT of a name server expected, as 192.0.2.53");
    let (host, port) = split_port(text)?;
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let ip: IpAddr = bare.parse().map_err(|_| expected())?;
    let port = port.map_or(Ok(DNS_PORT), |port| port.parse().map_err(|_| expected()))?;
    if port == 0 || ip.is_unspecified() { Err(expected()) } else { Ok(Some(SocketAddr::new(ip, port))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports() {
        for bad in ["", "sctp", "sips", "udp tcp", "dtls"] {
            assert!(bad.parse::<TransportChoice>().is_err(), "{bad}");
        }
        assert_eq!("AUTO".parse(), Ok(TransportChoice(None)));
        for transport in Transport::ALL {
            let choice = TransportChoice(Some(transport));
            assert_eq!(choice.name().to_ascii_uppercase().parse(), Ok(choice));
        }
    }

    #[test]
    fn code_points() {
        for bad in ["", "ef1", "cs8", "af04", "af10", "af44", "af51", "cs", "46", "csx"] {
            assert!(dscp(bad).is_err(), "{bad}");
        }
        let rows = [("EF", 46), ("cs0", 0), ("CS3", 24), ("CS7", 56), ("AF11", 10), ("af31", 26), ("AF43", 38)];
        for (name, point) in rows {
            assert_eq!(dscp(name), Ok(point), "{name}");
        }
    }

    #[test]
    fn paths() {
        for bad in ["", "ws", "/a b", "/a\n", "/ä", "/a#b"] {
            assert!(websocket_path(bad).is_err(), "{bad}");
        }
        for good in ["/", "/ws", "/sip/ws?token=1"] {
            assert_eq!(websocket_path(good).as_deref(), Ok(good));
        }
    }

    #[test]
    fn name_servers() {
        for bad in ["", "dns.example", "192.0.2.53:", "192.0.2.53:x", "192.0.2.53:0", "0.0.0.0", "[::1"] {
            assert!(name_server(bad).is_err(), "{bad}");
        }
        let rows = [
            ("192.0.2.53", "192.0.2.53:53"),
            ("127.0.0.1:5353", "127.0.0.1:5353"),
            ("::1", "[::1]:53"),
            ("[::1]:5353", "[::1]:5353"),
        ];
        for (text, address) in rows {
            assert_eq!(name_server(text), Ok(Some(address.parse().unwrap())), "{text}");
        }
        assert_eq!(name_server("auto"), Ok(None));
    }
}
