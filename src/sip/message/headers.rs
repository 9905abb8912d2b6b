//! The headers of one message, in order, with typed views on those that steer the protocol (RFC 3261 §20).
//!
//! Names are given in their long form and compare without case; the lexer has expanded compact names and split
//! comma lists, so that every entry holds one value.
use super::text::{is_token, is_token_byte, number, split_outside, trim};
use super::{Method, NameAddr, Via};
use rsip::headers::{Header, UntypedHeader as _};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(rsip::Headers);

/// A header that is missing or cannot be read; the answer is 400 (RFC 3261 §21.4.1).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    #[error("header {0} is missing")]
    Missing(&'static str),
    #[error("header {0} cannot be read")]
    Malformed(&'static str),
    #[error("not a URI")]
    Uri,
}

impl HeaderError {
    /// The answer to a request with such a header.
    pub fn status(&self) -> u16 {
        400
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CSeq {
    pub number: u32,
    pub method: Method,
}

impl std::fmt::Display for CSeq {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.number, self.method)
    }
}

/// Names of the headers that rsip has an entry of its own for, and the way between text and entry.
macro_rules! known_headers {
    ($($entry:ident $name:literal,)*) => {
        fn entry(name: &str, value: String) -> Header {
            $(if name.eq_ignore_ascii_case($name) {
                return Header::$entry(rsip::headers::$entry::new(value));
            })*
            Header::Other(name.bytes().filter(|b| is_token_byte(*b)).map(char::from).collect(), value)
        }

        fn name_and_value(header: &Header) -> (&str, &str) {
            match header {
                $(Header::$entry(entry) => ($name, entry.value()),)*
                Header::Other(name, value) => (name, value),
            }
        }
    };
}

known_headers! {
    Via "Via",
    From "From",
    To "To",
    CallId "Call-ID",
    CSeq "CSeq",
    Contact "Contact",
    MaxForwards "Max-Forwards",
    Route "Route",
    RecordRoute "Record-Route",
    Accept "Accept",
    AcceptEncoding "Accept-Encoding",
    AcceptLanguage "Accept-Language",
    AlertInfo "Alert-Info",
    Allow "Allow",
    AuthenticationInfo "Authentication-Info",
    Authorization "Authorization",
    CallInfo "Call-Info",
    ContentDisposition "Content-Disposition",
    ContentEncoding "Content-Encoding",
    ContentLanguage "Content-Language",
    ContentLength "Content-Length",
    ContentType "Content-Type",
    Date "Date",
    ErrorInfo "Error-Info",
    Event "Event",
    Expires "Expires",
    InReplyTo "In-Reply-To",
    MimeVersion "MIME-Version",
    MinExpires "Min-Expires",
    Organization "Organization",
    Priority "Priority",
    ProxyAuthenticate "Proxy-Authenticate",
    ProxyAuthorization "Proxy-Authorization",
    ProxyRequire "Proxy-Require",
    ReplyTo "Reply-To",
    Require "Require",
    RetryAfter "Retry-After",
    Server "Server",
    Subject "Subject",
    SubscriptionState "Subscription-State",
    Supported "Supported",
    Timestamp "Timestamp",
    Unsupported "Unsupported",
    UserAgent "User-Agent",
    Warning "Warning",
    WwwAuthenticate "WWW-Authenticate",
}

/// One line without anything that could end it, and without blanks at its ends.
pub(super) fn one_line(value: impl std::fmt::Display) -> String {
    let mut text = value.to_string();
    if text.contains(['\r', '\n', '\0']) {
        text = text.replace(['\r', '\n', '\0'], " ");
    }
    let trimmed = trim(&text);
    if trimmed.len() == text.len() { text } else { trimmed.to_owned() }
}

fn has_name(header: &Header, name: &str) -> bool {
    name_and_value(header).0.eq_ignore_ascii_case(name)
}

impl Headers {
    /// The first value of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// All values of that name, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Appends. A CR, LF or NUL in the value is replaced by a space, so that no value can end its line.
    pub fn push(&mut self, name: &str, value: impl std::fmt::Display) {
        self.0.push(entry(name, one_line(value)));
    }

    /// Puts the value before all others of any name: Via and Record-Route of a proxy.
    pub fn push_front(&mut self, name: &str, value: impl std::fmt::Display) {
        self.edit(|entries| entries.insert(0, entry(name, one_line(value))));
    }

    /// Replaces all values of that name by one, where the first of them stands.
    pub fn set(&mut self, name: &str, value: impl std::fmt::Display) {
        let mut value = Some(entry(name, one_line(value)));
        self.edit(|entries| {
            entries.retain_mut(|e| {
                if !has_name(e, name) {
                    return true;
                }
                match value.take() {
                    Some(new) => {
                        *e = new;
                        true
                    }
                    None => false,
                }
            });
            entries.extend(value);
        });
    }

    /// Replaces the first value of that name: the topmost Via after it was stamped. Nothing happens when there is none.
    pub fn replace_first(&mut self, name: &str, value: impl std::fmt::Display) {
        if let Some(first) = self.0.iter_mut().find(|e| has_name(e, name)) {
            *first = entry(name, one_line(value));
        }
    }

    pub fn remove(&mut self, name: &str) {
        self.0.retain(|e| !has_name(e, name));
    }

    /// Takes the first value of that name away.
    pub fn remove_first(&mut self, name: &str) -> Option<String> {
        self.edit(|entries| {
            let at = entries.iter().position(|e| has_name(e, name))?;
            Some(name_and_value(&entries.remove(at)).1.to_owned())
        })
    }

    fn edit<T>(&mut self, change: impl FnOnce(&mut Vec<Header>) -> T) -> T {
        let mut entries = Vec::from(std::mem::take(&mut self.0));
        let result = change(&mut entries);
        self.0 = entries.into();
        result
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(name_and_value)
    }

    /// The topmost Via.
    pub fn via(&self) -> Result<Via, HeaderError> {
        Via::parse(self.require("Via")?)
    }

    pub fn from(&self) -> Result<NameAddr, HeaderError> {
        NameAddr::parse(self.require("From")?).map_err(|_| HeaderError::Malformed("From"))
    }

    pub fn to(&self) -> Result<NameAddr, HeaderError> {
        NameAddr::parse(self.require("To")?).map_err(|_| HeaderError::Malformed("To"))
    }

    pub fn call_id(&self) -> Result<&str, HeaderError> {
        let value = self.require("Call-ID")?;
        if value.is_empty() || value.contains([' ', '\t']) {
            return Err(HeaderError::Malformed("Call-ID"));
        }
        Ok(value)
    }

    pub fn cseq(&self) -> Result<CSeq, HeaderError> {
        let malformed = || HeaderError::Malformed("CSeq");
        let (count, method) = self.require("CSeq")?.split_once([' ', '\t']).ok_or_else(malformed)?;
        let (number, method) = (number(count).ok_or_else(malformed)?, trim(method));
        if !is_token(method) {
            return Err(malformed());
        }
        Ok(CSeq { number, method: method.into() })
    }

    /// Every value of a name-addr header (`Contact`, `Record-Route`, `Route`, `Path`, ...). `Contact: *` is not one: see `is_star_contact`.
    pub fn name_addrs(&self, name: &'static str) -> Result<Vec<NameAddr>, HeaderError> {
        self.all(name)
            .filter(|value| *value != "*")
            .map(|value| NameAddr::parse(value).map_err(|_| HeaderError::Malformed(name)))
            .collect()
    }

    pub fn is_star_contact(&self) -> bool {
        self.get("Contact") == Some("*")
    }

    /// A header of digits only (`Expires`, `Max-Forwards`, `Min-Expires`, `Min-SE`, `RSeq`); `None` when absent.
    /// Parameters and a comment after the digits (`Retry-After`, `Session-Expires`) are left out.
    pub fn number(&self, name: &'static str) -> Result<Option<u32>, HeaderError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let digits = value.split([';', '(', ' ', '\t']).next().unwrap_or_default();
        number(digits).map(Some).ok_or(HeaderError::Malformed(name))
    }

    /// Whether a token stands in a list header (`Supported`, `Require`, `Allow`, ...), without case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.tokens(name).any(|t| t.eq_ignore_ascii_case(token))
    }

    /// The tokens of a list header without their parameters.
    pub fn tokens<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.all(name)
            .flat_map(|value| split_outside(value, b','))
            .map(|t| trim(t.split(';').next().unwrap_or_default()))
            .filter(|t| !t.is_empty())
    }

    fn require(&self, name: &'static str) -> Result<&str, HeaderError> {
        self.get(name).ok_or(HeaderError::Missing(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(rows: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::default();
        rows.iter().for_each(|(name, value)| headers.push(name, value));
        headers
    }

    #[test]
    fn no_value_and_no_name_can_end_its_line() {
        let mut h = headers(&[("Subject", "x\r\nVia: evil\0"), ("X-A:b\r\nY", "1")]);
        h.set("Subject", "a\nb");
        h.push_front("Route", "c\rd");
        let all: Vec<_> = h.iter().collect();
        assert_eq!(all, [("Route", "c d"), ("Subject", "a b"), ("X-AbY", "1")]);
    }

    #[test]
    fn entries_are_edited_in_their_place() {
        let mut h = headers(&[("via", "1"), ("X-Other", "a"), ("VIA", "2"), ("x-more", "b")]);
        assert_eq!(h.all("Via").collect::<Vec<_>>(), ["1", "2"]);
        h.replace_first("Via", "0");
        assert_eq!(h.remove_first("via").as_deref(), Some("0"));
        h.set("X-OTHER", "c");
        h.set("Expires", 60);
        assert_eq!(h.iter().collect::<Vec<_>>(), [("X-OTHER", "c"), ("Via", "2"), ("x-more", "b"), ("Expires", "60")]);
        h.remove("x-more");
        assert_eq!(h.remove_first("Route"), None);
        assert_eq!(h.get("X-More"), None);
    }

    #[test]
    fn typed_views_refuse_what_they_cannot_read() {
        for bad in ["", "1", "INVITE", "-1 INVITE", "4294967296 INVITE", "1 IN VITE", "1 ", "0x1 INVITE", "+1 INVITE"] {
            assert_eq!(headers(&[("CSeq", bad)]).cseq(), Err(HeaderError::Malformed("CSeq")), "{bad:?}");
        }
        assert_eq!(Headers::default().cseq(), Err(HeaderError::Missing("CSeq")));
        let cseq = headers(&[("CSeq", "0009   INVITE")]).cseq().unwrap();
        assert_eq!(cseq, CSeq { number: 9, method: Method::Invite });
        for bad in ["", "-1", "1x", "100000000000000000000000000000000"] {
            assert!(headers(&[("Expires", bad)]).number("Expires").is_err(), "{bad:?}");
        }
        let h = headers(&[("Max-Forwards", "0068"), ("Retry-After", "120 (busy);duration=5"), ("Min-SE", "90;x")]);
        assert_eq!(h.number("Max-Forwards"), Ok(Some(68)));
        assert_eq!((h.number("Retry-After"), h.number("Min-SE")), (Ok(Some(120)), Ok(Some(90))));
        assert_eq!(h.number("RSeq"), Ok(None));
        assert!(headers(&[("Call-ID", "a b")]).call_id().is_err());
        assert!(headers(&[("Contact", "<sip:a@b>"), ("Contact", "x")]).name_addrs("Contact").is_err());
        let star = headers(&[("Contact", "*")]);
        assert!(star.is_star_contact() && star.name_addrs("Contact").unwrap().is_empty());
    }

    #[test]
    fn tokens_are_found_without_case_in_lists_and_lines() {
        let h =
            headers(&[("Supported", "path, 100rel"), ("Accept", "application/sdp;level=1"), ("Supported", "timer")]);
        assert!(h.has_token("supported", "100REL") && h.has_token("Supported", "timer"));
        assert!(h.has_token("Accept", "application/sdp") && !h.has_token("Supported", "100"));
    }
}
