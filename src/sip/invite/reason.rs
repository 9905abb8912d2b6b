//! The Reason header: why a call is refused, cancelled or ended (RFC 3326).
use crate::base::untrusted::Untrusted;
use crate::sip::message::Headers;
use crate::sip::message::text::{is_token, quoted_string, split_outside, trim};

/// One reason, such as `Q.850;cause=16;text="Normal call clearing"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// `SIP`, `Q.850`, ... in upper case.
    pub protocol: String,
    /// A SIP status or a Q.850 cause.
    pub cause: Option<u16>,
    pub text: Option<Untrusted>,
}

impl Reason {
    /// Most reasons read from one message.
    const MAX: usize = 4;

    /// All that can be read of a message's Reason headers.
    pub fn of(headers: &Headers) -> Vec<Self> {
        headers.all("Reason").take(Self::MAX).filter_map(Self::parse).collect()
    }

    fn parse(value: &str) -> Option<Self> {
        let mut parts = split_outside(value, b';').map(trim);
        let protocol = parts.next().filter(|p| is_token(p))?.to_ascii_uppercase();
        let mut reason = Self { protocol, cause: None, text: None };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            let value = trim(value);
            match trim(name).to_ascii_lowercase().as_str() {
                "cause" => reason.cause = value.parse().ok(),
                "text" => {
                    let text = quoted_string(value).map_or_else(|| value.to_owned(), |(text, _)| text);
                    reason.text = Some(Untrusted::new(text));
                }
                _ => {}
            }
        }
        Some(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_servers_send() {
        type Read = Option<(&'static str, Option<u16>, Option<&'static str>)>;
        let rows: [(&str, Read); 8] = [
            ("", None),
            (";cause=3", None),
            ("\"Q.850\u{1}\";cause=3", None),
            ("Q.850;cause=banana", Some(("Q.850", None, None))),
            ("Q.850;cause=16", Some(("Q.850", Some(16), None))),
            (
                "sip ; cause=200 ; text=\"Call completed; elsewhere\"",
                Some(("SIP", Some(200), Some("Call completed; elsewhere"))),
            ),
            ("SIP;text=\"a \\\"b\\\"\";cause=480", Some(("SIP", Some(480), Some("a \"b\"")))),
            ("SIP;cause=487;text=plain", Some(("SIP", Some(487), Some("plain")))),
        ];
        for (value, expected) in rows {
            let expected = expected.map(|(protocol, cause, text)| Reason {
                protocol: protocol.into(),
                cause,
                text: text.map(Untrusted::new),
            });
            assert_eq!(Reason::parse(value), expected, "{value:?}");
        }
    }
}
