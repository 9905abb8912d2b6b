//! REFER: whom to call instead, and how that call fares (RFC 3515; Replaces within Refer-To: RFC 3891 §4, RFC 5589).
use super::message::{HeaderError, NameAddr, Uri, escape};
use bytes::Bytes;
use std::fmt;

/// The type of a body that reports on the call that was asked for (RFC 3420).
pub const FRAGMENT: &str = "message/sipfrag;version=2.0";

/// Whom the peer is to call.
#[derive(Clone, Debug)]
pub struct ReferTo {
    /// Without the headers that were written into it.
    pub uri: Uri,
    /// The dialog the new call takes the place of, as the Replaces header has it: an attended transfer.
    pub replaces: Option<String>,
}

impl ReferTo {
    /// Reads a Refer-To value, with or without angle brackets. Of the headers in the URI only Replaces is obeyed: any other
    /// would let the peer write our requests (RFC 3261 §19.1.5).
    ///
    /// # Errors
    /// When it is not a SIP URI that can be called, or its Replaces cannot be read.
    pub fn parse(value: &str) -> Result<Self, HeaderError> {
        let mut uri = match NameAddr::parse(value) {
            Ok(name_addr) => name_addr.uri,
            // Without brackets `?` may not occur, but it does.
            Err(_) => Uri::parse(value.trim())?,
        };
        let invites = uri.params.value("method").is_none_or(|method| method.eq_ignore_ascii_case("INVITE"));
        if !uri.is_sip() || !invites {
            return Err(HeaderError::Malformed("Refer-To"));
        }
        uri.params.remove("method");
        let headers = uri.headers.take().unwrap_or_default();
        let mut replaces = headers
            .split('&')
            .filter_map(|header| header.split_once('='))
            .filter(|(name, _)| name.eq_ignore_ascii_case("Replaces"))
            .map(|(_, value)| unescape(value).ok_or(HeaderError::Malformed("Replaces")));
        let found = replaces.next().transpose()?;
        if replaces.next().is_some() {
            return Err(HeaderError::Malformed("Replaces"));
        }
        Ok(Self { uri, replaces: found })
    }
}

impl fmt::Display for ReferTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.replaces {
            Some(replaces) => write!(f, "<{}?Replaces={}>", self.uri, escape(replaces, b"")),
            None => write!(f, "<{}>", self.uri),
        }
    }
}

/// What is reported of the call: its latest status line.
pub fn fragment(status: u16, reason: &str) -> Bytes {
    format!("SIP/2.0 {status} {reason}\r\n").into()
}

/// The status in a report.
pub fn status_of(fragment: &[u8]) -> Option<u16> {
    let line = fragment.split(|byte| matches!(byte, b'\r' | b'\n')).next()?;
    let rest = line.strip_prefix(b"SIP/2.0 ")?;
    let status: u16 = std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok()?;
    ((100..700).contains(&status) && rest.get(3).is_none_or(|byte| *byte == b' ')).then_some(status)
}

/// Text without controls; `None` for a broken escape.
fn unescape(text: &str) -> Option<String> {
    let (mut out, mut bytes) = (Vec::new(), text.bytes());
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
                u8::try_from(high * 16 + low).ok()?
            }
            _ => byte,
        };
        out.push(byte);
    }
    String::from_utf8(out).ok().filter(|text| !text.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_called_is_taken_and_nothing_but_replaces_is_obeyed() {
        let bad = [
            "",
            "tel:+1",
            "<sip:a@h;method=BYE>",
            "<sip:a@h?Replaces=x%0D%0AVia:y>",
            "<sip:a@h?Replaces=x%2>",
            "<sip:a@h?Replaces=x&Replaces=y>",
            "<http://h/>",
        ];
        for value in bad {
            assert!(ReferTo::parse(value).is_err(), "{value}");
        }
        let rows = [
            ("sip:602@192.0.2.1:5060", "sip:602@192.0.2.1:5060", None),
            ("\"Bob\" <sip:bob@h;method=INVITE>", "sip:bob@h", None),
            ("<sip:bob@h?Route=%3Csip:evil%3E&Subject=x>", "sip:bob@h", None),
            ("<sip:bob@h?replaces=c%40h%3Bto-tag%3Da%3Bfrom-tag%3Db>", "sip:bob@h", Some("c@h;to-tag=a;from-tag=b")),
            ("sip:bob@h?Replaces=c%3Bto-tag=a%3Bfrom-tag=b", "sip:bob@h", Some("c;to-tag=a;from-tag=b")),
        ];
        for (value, uri, replaces) in rows {
            let refer = ReferTo::parse(value).expect(value);
            assert_eq!((refer.uri.to_string().as_str(), refer.replaces.as_deref()), (uri, replaces), "{value}");
            let again = ReferTo::parse(&refer.to_string()).expect("what we write can be read");
            assert_eq!(again.replaces, refer.replaces);
        }
    }

    #[test]
    fn reports_are_status_lines() {
        for bad in ["", "SIP/2.0 20", "SIP/2.0 099 x", "SIP/2.0 2000 x", "HTTP/1.1 200 OK", "200 OK"] {
            assert_eq!(status_of(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(status_of(&fragment(180, "Ringing")), Some(180));
        assert_eq!(status_of(b"SIP/2.0 603\nContact: x"), Some(603));
    }
}
