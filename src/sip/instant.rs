//! Page-mode messages: a text to somebody, outside of any call (RFC 3428), and the envelope of RFC 3862 some put it into.
use super::dialog::outside;
use super::message::{Headers, Method, NameAddr, Request, Uri};
use super::options::name_software;
use crate::base::rng::Rng;
use crate::base::untrusted::Untrusted;

/// The bodies we read, as the Accept header of a 415 lists them.
pub const ACCEPT: [&str; 2] = [PLAIN, CPIM];
const PLAIN: &str = "text/plain";
const CPIM: &str = "message/cpim";
/// Who is typing, and whether a text of ours was seen: answered, and nothing comes of it (RFC 3994, RFC 5438).
const REMARKS: [&str; 2] = ["application/im-iscomposing+xml", "message/imdn+xml"];
/// The longest text that is sent or read \[bytes\]; what is longer belongs into a session (RFC 3428 §8).
pub const MAX_TEXT: usize = 8 * 1024;

/// A MESSAGE to `target`, and its next hop.
pub fn request(
    target: &Uri,
    from: NameAddr,
    route: &[NameAddr],
    text: &str,
    user_agent: &str,
    rng: &mut Rng,
) -> (Request, Uri) {
    let (from, to, call_id) = (from.with_tag(&rng.hex(16)), NameAddr::new(target.clone()), rng.hex(32));
    let (mut request, next_hop) = outside(Method::Message, target, route, &from, &to, &call_id, 1);
    put(&mut request, text, user_agent);
    (request, next_hop)
}

/// The text itself, in a request within a dialog or outside.
pub fn put(request: &mut Request, text: &str, user_agent: &str) {
    request.headers.push("Content-Type", "text/plain;charset=UTF-8");
    name_software(&mut request.headers, "User-Agent", user_agent);
    request.body = text.to_owned().into();
}

/// What a MESSAGE brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Text(Untrusted),
    /// Nothing for the user.
    Remark,
}

/// Why a MESSAGE is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// Its type, charset or coding is none we read.
    Type,
    TooLong,
    Malformed,
}

impl Unread {
    pub fn status(self) -> u16 {
        match self {
            Self::Type => 415,
            Self::TooLong => 413,
            Self::Malformed => 400,
        }
    }
}

impl Content {
    /// Reads a request's body.
    ///
    /// # Errors
    /// What the sender is to be told.
    pub fn of(request: &Request) -> Result<Self, Unread> {
        let headers = &request.headers;
        if request.body.len() > 2 * MAX_TEXT {
            return Err(Unread::TooLong);
        }
        let plain = headers.tokens("Content-Encoding").all(|coding| coding.eq_ignore_ascii_case("identity"));
        if !plain {
            return Err(Unread::Type);
        }
        match headers.get("Content-Type") {
            None if request.body.is_empty() => Ok(Self::Remark),
            None => Err(Unread::Malformed),
            Some(kind) if is(kind, CPIM) => unwrap(&request.body),
            Some(kind) => read(kind, &request.body),
        }
    }
}

fn is(kind: &str, name: &str) -> bool {
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(name))
}

fn read(kind: &str, body: &[u8]) -> Result<Content, Unread> {
    if REMARKS.iter().any(|remark| is(kind, remark)) {
        return Ok(Content::Remark);
    }
    let params = kind.split(';').skip(1).filter_map(|param| param.split_once('='));
    let charset = params.into_iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("charset"));
    let charset = charset.map_or("utf-8", |(_, value)| value.trim().trim_matches('"'));
    let readable = ["utf-8", "us-ascii"].iter().any(|known| charset.eq_ignore_ascii_case(known));
    if !is(kind, PLAIN) || !readable {
        return Err(Unread::Type);
    }
    if body.len() > MAX_TEXT {
        return Err(Unread::TooLong);
    }
    let text = Untrusted::from_bytes(body);
    Ok(if text.is_empty() { Content::Remark } else { Content::Text(text) })
}

/// The envelope: its headers, an empty line, the headers of the content, an empty line, the content (RFC 3862 §2).
fn unwrap(body: &[u8]) -> Result<Content, Unread> {
    let (_, rest) = head(body).ok_or(Unread::Malformed)?;
    let (inner, content) = head(rest).ok_or(Unread::Malformed)?;
    let inner = std::str::from_utf8(inner).map_err(|_| Unread::Malformed)?;
    let mut headers = Headers::default();
    for (name, value) in inner.lines().take(32).filter_map(|line| line.split_once(':')) {
        headers.push(name.trim(), value.trim());
    }
    match headers.get("Content-Type") {
        // An envelope within an envelope is nobody's need.
        Some(kind) => read(kind, content),
        None => read(PLAIN, content),
    }
}

/// What is before the first empty line, and what is behind it.
fn head(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let crlf = bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| (at, at + 4));
    let lf = bytes.windows(2).position(|window| window == b"\n\n").map(|at| (at, at + 2));
    let (end, next) = crlf.into_iter().chain(lf).min()?;
    Some((bytes.get(..end)?, bytes.get(next..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::testing::request as parsed;

    fn content(kind: &str, coding: &str, body: &str) -> Result<Content, Unread> {
        let mut request = parsed(
            "MESSAGE sip:a@h SIP/2.0
             Via: SIP/2.0/UDP h;branch=z9hG4bK1
             From: <sip:b@h>;tag=1
             To: <sip:a@h>
             Call-ID: 1
             CSeq: 1 MESSAGE",
        );
        for (name, value) in [("Content-Type", kind), ("Content-Encoding", coding)] {
            if !value.is_empty() {
                request.headers.push(name, value);
            }
        }
        request.body = body.to_owned().into();
        Content::of(&request)
    }

    #[test]
    fn only_plain_text_is_read() {
        let text = |text: &str| Ok(Content::Text(Untrusted::new(text)));
        let long = "x".repeat(MAX_TEXT + 1);
        let cpim =
            "From: <im:b@h>\r\nTo: <im:a@h>\r\n\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nhello\r\n\r\nyou";
        let nested = cpim.replace("text/plain", "message/cpim");
        let rows = [
            ("text/html", "", "<b>", Err(Unread::Type)),
            ("text/plain;charset=utf-16", "", "x", Err(Unread::Type)),
            ("text/plain", "gzip", "x", Err(Unread::Type)),
            ("", "", "x", Err(Unread::Malformed)),
            ("text/plain", "", &long, Err(Unread::TooLong)),
            ("message/cpim", "", "no envelope", Err(Unread::Malformed)),
            ("message/cpim", "", &nested, Err(Unread::Type)),
            ("", "", "", Ok(Content::Remark)),
            ("application/im-iscomposing+xml", "", "<isComposing/>", Ok(Content::Remark)),
            ("message/imdn+xml", "", "<imdn/>", Ok(Content::Remark)),
            ("Text/Plain; charset=\"UTF-8\"", "identity", "hello", text("hello")),
            ("message/cpim", "", cpim, text("hello\r\n\r\nyou")),
            ("Message/CPIM", "", "a: b\n\nc: d\n\nhello", text("hello")),
        ];
        for (kind, coding, body, expected) in rows {
            assert_eq!(content(kind, coding, body), expected, "{kind} {:?}", &body[..body.len().min(20)]);
        }
    }

    #[test]
    fn a_text_goes_without_a_contact() {
        let (target, mut rng) = (Uri::parse("sip:bob@h").expect("a URI"), Rng::from_u64(3));
        let from = NameAddr::parse("<sip:a@h>").expect("an address");
        let (request, _) = request(&target, from, &[], "žluť", "", &mut rng);
        assert_eq!((request.headers.get("Contact"), request.body.as_ref()), (None, "žluť".as_bytes()));
        assert_eq!(Content::of(&request), Ok(Content::Text(Untrusted::new("žluť"))));
    }
}
