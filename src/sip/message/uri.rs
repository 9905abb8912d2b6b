//! SIP, SIPS and tel URIs (RFC 3261 §19.1, RFC 3966). Keeps unknown schemes as they were written.
use super::{HeaderError, Params};
use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    Sip,
    Sips,
    Tel,
    /// Anything else, as written; the URI is opaque then and only printed back.
    Other(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    Ip(IpAddr),
    /// Lower-cased. Empty in a tel or opaque URI.
    Name(String),
}

#[derive(Clone, Debug)]
pub struct Uri {
    pub scheme: Scheme,
    /// Escapes as written; compare with [`Uri::matches`]. The number of a tel URI; all of an opaque one.
    pub user: Option<String>,
    pub password: Option<String>,
    pub host: Host,
    pub port: Option<u16>,
    pub params: Params,
    /// What follows `?`, as written.
    pub headers: Option<String>,
}

impl Host {
    /// A name, an IPv4 address or a bracketed IPv6 address.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('[') {
            let inner = inner.strip_suffix(']')?;
            // RFC 5118 §4.10: an ABNF of old allowed three colons before an IPv4 tail.
            let address = inner.parse::<Ipv6Addr>().or_else(|_| inner.replacen(":::", "::", 1).parse());
            return address.ok().map(|v6| Self::Ip(v6.into()));
        }
        if let Ok(v4) = text.parse::<Ipv4Addr>() {
            return Some(Self::Ip(v4.into()));
        }
        let is_name = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
        is_name.then(|| Self::Name(text.to_ascii_lowercase()))
    }

    /// `host [":" port]`
    pub(super) fn parse_with_port(text: &str) -> Option<(Self, Option<u16>)> {
        let after_brackets = text.rfind(']').map_or(0, |at| at + 1);
        match text.get(after_brackets..)?.find(':') {
            None => Some((Self::parse(text)?, None)),
            Some(at) => {
                let (host, port) = text.split_at_checked(after_brackets + at)?;
                let port = u16::try_from(super::text::number(port.get(1..)?)?).ok()?;
                Some((Self::parse(host)?, Some(port)))
            }
        }
    }

    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip) => Some(*ip),
            Self::Name(_) => None,
        }
    }
}

impl Uri {
    /// `sip:user@host:port`
    pub fn sip(user: Option<&str>, host: Host, port: Option<u16>) -> Self {
        Self {
            scheme: Scheme::Sip,
            user: user.map(str::to_owned),
            password: None,
            host,
            port,
            params: Params::default(),
            headers: None,
        }
    }

    /// `sip:user@address:port`
    pub fn of_address(user: Option<&str>, address: SocketAddr) -> Self {
        Self::sip(user, Host::Ip(address.ip()), Some(address.port()))
    }

    /// Parses a bare URI (no angle brackets).
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        Self::read(text).ok_or(HeaderError::Uri)
    }

    fn read(text: &str) -> Option<Self> {
        if text.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"')) {
            return None;
        }
        let (scheme, rest) = text.split_once(':')?;
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
        if !is_scheme || rest.is_empty() {
            return None;
        }
        let mut uri = Self::sip(None, Host::Name(String::new()), None);
        match scheme.to_ascii_lowercase().as_str() {
            "sip" => uri.read_sip(rest)?,
            "sips" => {
                uri.scheme = Scheme::Sips;
                uri.read_sip(rest)?;
            }
            "tel" => {
                uri.scheme = Scheme::Tel;
                let (number, params) = rest.split_at_checked(rest.find(';').unwrap_or(rest.len()))?;
                let is_number = number.bytes().all(|b| b.is_ascii_hexdigit() || b"+-.()*#".contains(&b));
                if number.is_empty() || !is_number {
                    return None;
                }
                uri.user = Some(number.to_owned());
                uri.params = Params::parse(params)?;
            }
            _ => {
                uri.scheme = Scheme::Other(scheme.to_owned());
                uri.user = Some(rest.to_owned());
            }
        }
        Some(uri)
    }

    /// Reads what follows `sip:`. A user part may hold `;` and `?`, so that the first `@` decides (RFC 3261 §25.1).
    fn read_sip(&mut self, rest: &str) -> Option<()> {
        let after = match rest.split_once('@') {
            None => rest,
            Some((userinfo, after)) => {
                let (user, password) = match userinfo.split_once(':') {
                    Some((user, password)) => (user, Some(password)),
                    None => (userinfo, None),
                };
                if user.is_empty() {
                    return None;
                }
                self.user = Some(user.to_owned());
                self.password = password.map(str::to_owned);
                after
            }
        };
        let (after, headers) = match after.split_once('?') {
            Some((after, headers)) => (after, Some(headers)),
            None => (after, None),
        };
        let (host, params) = after.split_at_checked(after.find(';').unwrap_or(after.len()))?;
        (self.host, self.port) = Host::parse_with_port(host)?;
        self.params = Params::parse(params)?;
        self.headers = headers.map(str::to_owned);
        Some(())
    }

    /// URI equality of RFC 3261 §19.1.4 (RFC 3966 §4 for numbers).
    pub fn matches(&self, other: &Self) -> bool {
        /// Of these, one that stands in one URI only makes a difference.
        const DECISIVE: [&str; 6] = ["user", "ttl", "method", "maddr", "transport", "phone-context"];
        let users_match = match (&self.scheme, &other.scheme) {
            (Scheme::Sip, Scheme::Sip) | (Scheme::Sips, Scheme::Sips) => {
                self.user.as_deref().map(unescape) == other.user.as_deref().map(unescape)
                    && self.password.as_deref().map(unescape) == other.password.as_deref().map(unescape)
            }
            (Scheme::Tel, Scheme::Tel) => {
                self.user.as_deref().map(without_separators) == other.user.as_deref().map(without_separators)
            }
            (Scheme::Other(a), Scheme::Other(b)) => a.eq_ignore_ascii_case(b) && self.user == other.user,
            _ => false,
        };
        // Of a parameter that stands twice, which it may not, the first counts.
        let same_value = |name: &str| match (self.params.value(name), other.params.get(name)) {
            (Some(a), Some(Some(b))) => unescape(a).eq_ignore_ascii_case(&unescape(b)),
            (a, Some(b)) => a.is_none() && b.is_none(),
            (_, None) => !DECISIVE.iter().any(|d| d.eq_ignore_ascii_case(name)),
        };
        users_match
            && self.host == other.host
            && self.port == other.port
            && self.params.iter().all(|(name, _)| same_value(name))
            && DECISIVE.iter().all(|d| self.params.has(d) == other.params.has(d))
            && header_set(self.headers.as_deref()) == header_set(other.headers.as_deref())
    }

    /// The user part with the escapes of plain characters undone, to be compared and looked up; `None` when absent.
    pub fn plain_user(&self) -> Option<String> {
        self.user.as_deref().map(unescape)
    }

    pub fn is_loose_router(&self) -> bool {
        self.params.has("lr")
    }

    pub fn is_sip(&self) -> bool {
        matches!(self.scheme, Scheme::Sip | Scheme::Sips)
    }
}

/// Escapes all but the unreserved characters (RFC 3261 §25.1), and those which may stand in the place it is for as well.
pub fn escape(text: &str, also: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => out.push(char::from(byte)),
            _ if b"-_.!~*'()".contains(&byte) || also.contains(&byte) => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// Undoes the escapes of unreserved characters; escapes of reserved ones stay, in upper case, since they differ in
/// meaning from the plain character.
fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match (first, tail) {
            (b'%', [high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digit = |b: &u8| char::from(*b).to_digit(16).unwrap_or(0) as u8;
                let byte = digit(high) << 4 | digit(low);
                if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
                    out.push(byte);
                } else {
                    out.extend([b'%', high.to_ascii_uppercase(), low.to_ascii_uppercase()]);
                }
                rest = after;
            }
            _ => out.push(*first),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Digits of a telephone number without its visual separators (RFC 3966 §5.1.1).
fn without_separators(number: &str) -> String {
    number.chars().filter(|c| !matches!(c, '-' | '.' | '(' | ')')).map(|c| c.to_ascii_lowercase()).collect()
}

/// URI headers in an order that does not depend on how they were written.
fn header_set(headers: Option<&str>) -> Vec<(String, String)> {
    let split = |h: &str| {
        let (name, value) = h.split_once('=').unwrap_or((h, ""));
        (unescape(name).to_ascii_lowercase(), unescape(value))
    };
    let mut set: Vec<_> = headers.into_iter().flat_map(|h| h.split('&')).map(split).collect();
    set.sort();
    set
}

impl fmt::Display for Host {
    /// IPv6 in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V4(v4)) => v4.fmt(f),
            Self::Ip(IpAddr::V6(v6)) => write!(f, "[{v6}]"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sip => "sip",
            Self::Sips => "sips",
            Self::Tel => "tel",
            Self::Other(scheme) => scheme,
        })
    }
}

impl fmt::Display for Uri {
    /// Blanks, control characters, quotes and angle brackets, which no parsed URI holds, are escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = Escaping(f);
        write!(out, "{}:", self.scheme)?;
        if let Some(user) = &self.user {
            out.write_str(user)?;
            if let Some(password) = &self.password {
                write!(out, ":{password}")?;
            }
            if self.is_sip() {
                out.write_char('@')?;
            }
        }
        write!(out, "{}", self.host)?;
        if let Some(port) = self.port {
            write!(out, ":{port}")?;
        }
        write!(out, "{}", self.params)?;
        match &self.headers {
            Some(headers) => write!(out, "?{headers}"),
            None => Ok(()),
        }
    }
}

/// Escapes what would end the URI or the line it stands in.
struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl fmt::Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| {
            if !c.is_whitespace() && !c.is_control() && !matches!(c, '<' | '>' | '"') {
                return self.0.write_char(c);
            }
            c.encode_utf8(&mut [0; 4]).bytes().try_for_each(|byte| write!(self.0, "%{byte:02X}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> Uri {
        Uri::parse(text).unwrap_or_else(|_| panic!("{text}"))
    }

    #[test]
    fn what_is_not_a_uri_is_refused() {
        let rows = [
            "",
            "sip",
            "sip:",
            ":a@b",
            "1sip:a@b",
            "<sip:a@b>",
            "sip:a@",
            "sip:@b",
            "sip:a@b c",
            "sip:a@b:port",
            "sip:a@b:65536",
            "sip:a@b:",
            "sip:a@b@c",
            "sip:2001:db8::10",
            "sip:[::1",
            "sip:::1]",
            "sip:[::1]x",
            "sip:[::1]:x",
            "sip:[fe80::1%eth0]",
            "sip:a\0@b",
            "sip:a\r\n@b",
            "sip:a@b;=x",
            "tel:",
            "tel:x y",
            "tel:zz",
            "sip:a@exam\u{e4}ple",
        ];
        for text in rows {
            assert!(Uri::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn parts_are_found() {
        let rows = [
            ("sip:h", None, None, "h", None, "", None),
            ("SIPS:john.doe@Example.COM:5061", Some("john.doe"), None, "example.com", Some(5061), "", None),
            ("sip:a:pw@[2001:DB8::10]:5070;lr", Some("a"), Some("pw"), "[2001:db8::10]", Some(5070), ";lr", None),
            ("sip:[2001:db8::10:5070]", None, None, "[2001:db8::10:5070]", None, "", None),
            ("sip:u@[2001:db8:::192.0.2.1]", Some("u"), None, "[2001:db8::c000:201]", None, "", None),
            ("sip:user;par=u%40x@h", Some("user;par=u%40x"), None, "h", None, "", None),
            (
                "sip:a@h;transport=ws?Route=%3Csip:x%3E&b=c",
                Some("a"),
                None,
                "h",
                None,
                ";transport=ws",
                Some("Route=%3Csip:x%3E&b=c"),
            ),
            ("sip:a@[::ffff:192.0.2.2]", Some("a"), None, "[::ffff:192.0.2.2]", None, "", None),
        ];
        for (text, user, password, host, port, params, headers) in rows {
            let uri = uri(text);
            assert_eq!((uri.user.as_deref(), uri.password.as_deref()), (user, password), "{text}");
            assert_eq!((uri.host.to_string().as_str(), uri.port), (host, port), "{text}");
            assert_eq!((uri.params.to_string().as_str(), uri.headers.as_deref()), (params, headers), "{text}");
        }
        let tel = uri("tel:+1-201-555-0123;phone-context=example.com");
        assert_eq!((&tel.scheme, tel.user.as_deref()), (&Scheme::Tel, Some("+1-201-555-0123")));
        for text in ["tel:7042;phone-context=example.com", "soap.beep://192.0.2.103:3002", "nobodyKnows:totally@op;a?q"]
        {
            assert_eq!(uri(text).to_string(), text);
        }
    }

    #[test]
    fn equality_of_section_19_1_4() {
        let different = [
            ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
            ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
            ("sip:a@b;maddr=1.2.3.4", "sip:a@b"),
            ("sip:a@b", "sips:a@b"),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
            ("sip:a%40b@c", "sip:a@b"),
            ("sip:user%00@h", "sip:user@h"),
            ("tel:+1", "tel:1"),
        ];
        for (a, b) in different {
            assert!(uri_pair(a, b).is_none_or(|(a, b)| !a.matches(&b) && !b.matches(&a)), "{a} {b}");
        }
        let equal = [
            ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtlanTa.CoM;Transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;newparam=5"),
            (
                "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
                "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
            ),
            (
                "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
                "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
            ),
            ("tel:+1-201-555-0123", "tel:+1(201)5550123"),
            ("sip:a@b;transport=tcp;transport=udp", "sip:a@b;transport=tcp"),
            ("sip:a@b;x=1;x=2", "sip:a@b;x=1;x=2"),
        ];
        for (a, b) in equal {
            let (a, b) = uri_pair(a, b).unwrap();
            assert!(a.matches(&b) && b.matches(&a), "{a} {b}");
        }
    }

    fn uri_pair(a: &str, b: &str) -> Option<(Uri, Uri)> {
        Some((Uri::parse(a).ok()?, Uri::parse(b).ok()?))
    }

    #[test]
    fn printing_cannot_break_the_line() {
        let mut uri = Uri::sip(Some("a b\r\nX: y>\0"), Host::Name("h".into()), Some(5060));
        uri.params.set("x", Some("1\r\n\r\n"));
        assert_eq!(uri.to_string(), "sip:a%20b%0D%0AX:%20y%3E%00@h:5060;x=1%0D%0A%0D%0A");
    }
}
