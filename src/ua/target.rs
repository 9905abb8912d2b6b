//! What the user typed, made into a URI to call.
use crate::sip::message::{Host, Scheme, Uri, escape};
use std::net::IpAddr;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    #[error("there is nothing to call")]
    Empty,
    #[error("\"{0}\" is not an address: type a number, a name, name@host or a sip: URI")]
    NotAnAddress(String),
    #[error("this phone cannot call {0}: addresses")]
    Scheme(String),
    #[error("\"{0}\" needs an account or a host: type {0}@host")]
    NoDomain(String),
}

/// Reads a number, `user`, `user@host`, an IP address or a URI. Numbers and names belong to `domain`.
pub fn parse(typed: &str, domain: Option<(&Host, Option<u16>)>) -> Result<Uri, TargetError> {
    let typed = typed.trim();
    let not_an_address = || TargetError::NotAnAddress(typed.to_owned());
    if typed.is_empty() {
        return Err(TargetError::Empty);
    }
    if typed.chars().any(|c| c.is_control() || matches!(c, '<' | '>' | '"')) {
        return Err(not_an_address());
    }
    let lower = typed.to_ascii_lowercase();
    if lower.starts_with("sip:") || lower.starts_with("sips:") {
        return Uri::parse(typed).map_err(|_| not_an_address());
    }
    if let Some(number) = lower.strip_prefix("tel:") {
        let digits = number.split(';').next().and_then(digits).ok_or_else(not_an_address)?;
        return within(&digits, domain);
    }
    if let Some((scheme, _)) = lower.split_once(':')
        && !scheme.contains(['@', '.', '[', ']'])
        && scheme.chars().all(|c| c.is_ascii_alphanumeric())
        && matches!(Uri::parse(typed).map(|u| u.scheme), Ok(Scheme::Other(_)))
        && lower.rsplit(':').next().is_none_or(|port| port.parse::<u16>().is_err())
    {
        return Err(TargetError::Scheme(scheme.to_owned()));
    }
    if typed.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv6()) {
        return Uri::parse(&format!("sip:[{typed}]")).map_err(|_| not_an_address());
    }
    if typed.contains('@') || typed.parse::<IpAddr>().is_ok() || is_host_and_port(typed) {
        return Uri::parse(&format!("sip:{typed}")).map_err(|_| not_an_address());
    }
    match digits(typed) {
        Some(number) => within(&number, domain),
        None if typed.contains(char::is_whitespace) => Err(not_an_address()),
        None => within(typed, domain),
    }
}

/// The telephone number in what was typed, when it is one: what a dial plan is for.
pub fn number(typed: &str) -> Option<String> {
    let typed = typed.trim();
    if let Some(number) = typed.get(..4).filter(|scheme| scheme.eq_ignore_ascii_case("tel:")).and(typed.get(4..)) {
        return number.split(';').next().and_then(digits);
    }
    let is_address = typed.contains('@') || typed.parse::<IpAddr>().is_ok() || is_host_and_port(typed);
    if is_address { None } else { digits(typed) }
}

fn within(user: &str, domain: Option<(&Host, Option<u16>)>) -> Result<Uri, TargetError> {
    let (host, port) = domain.ok_or_else(|| TargetError::NoDomain(user.to_owned()))?;
    // The user part may hold a few reserved characters; an escape that was typed stays one. `#` may not stand there.
    // Printed and read again, so that what may not stand in it is found here.
    let port = port.map(|p| format!(":{p}")).unwrap_or_default();
    Uri::parse(&format!("sip:{}@{host}{port}", escape(user, b"&=+$,;?/%")))
        .map_err(|_| TargetError::NotAnAddress(user.to_owned()))
}

/// A telephone number without its visual separators (RFC 3966 §5.1.1).
fn digits(typed: &str) -> Option<String> {
    let number: String = typed.chars().filter(|c| !matches!(c, ' ' | '-' | '.' | '(' | ')' | '/')).collect();
    let rest = number.strip_prefix('+').unwrap_or(&number);
    let dialled = !rest.is_empty() && rest.chars().all(|c| c.is_ascii_digit() || matches!(c, '*' | '#'));
    dialled.then_some(number)
}

fn is_host_and_port(typed: &str) -> bool {
    typed.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty() && port.parse::<u16>().is_ok_and(|p| p > 0) && !host.contains(char::is_whitespace)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_from_addresses() {
        for other in ["", "bob", "tel:", "192.0.2.1", "600@h", "600:5060", "sip:600", "tel:bob", "60 a"] {
            assert_eq!(number(other), None, "{other}");
        }
        for typed in ["+49 30-12", "tel:+49-30-12;x=y", "TEL:+493012", " +49(30)12 "] {
            assert_eq!(number(typed).as_deref(), Some("+493012"), "{typed}");
        }
    }

    #[test]
    fn typed_targets() {
        let domain = Host::Name("pbx.example".to_owned());
        let rows = [
            ("", Err(TargetError::Empty)),
            ("two words", Err(TargetError::NotAnAddress("two words".to_owned()))),
            ("sip:", Err(TargetError::NotAnAddress("sip:".to_owned()))),
            ("sips:", Err(TargetError::NotAnAddress("sips:".to_owned()))),
            ("a\r\nb@h", Err(TargetError::NotAnAddress("a\r\nb@h".to_owned()))),
            ("mailto:bob", Err(TargetError::Scheme("mailto".to_owned()))),
            ("600", Ok("sip:600@pbx.example:5070")),
            ("+420 555-123 (4)", Ok("sip:+4205551234@pbx.example:5070")),
            ("*98#", Ok("sip:*98%23@pbx.example:5070")),
            ("tel:+1-201-555;phone-context=x", Ok("sip:+1201555@pbx.example:5070")),
            ("john.doe", Ok("sip:john.doe@pbx.example:5070")),
            ("alice@192.0.2.1", Ok("sip:alice@192.0.2.1")),
            ("192.0.2.1", Ok("sip:192.0.2.1")),
            ("192.0.2.1:5080", Ok("sip:192.0.2.1:5080")),
            ("2001:db8::1", Ok("sip:[2001:db8::1]")),
            ("sip:bob@h;transport=tcp", Ok("sip:bob@h;transport=tcp")),
            ("SIPS:bob@h:5071", Ok("sips:bob@h:5071")),
        ];
        for (typed, expected) in rows {
            let got = parse(typed, Some((&domain, Some(5070)))).map(|u| u.to_string());
            assert_eq!(got, expected.map(str::to_owned), "{typed:?}");
        }
        assert_eq!(parse("600", None).map(|u| u.to_string()), Err(TargetError::NoDomain("600".to_owned())));
    }
}
