//! From bytes to a message: framing of header and body, unfolding, compact names, comma lists (RFC 3261 §7, §18.3).
use super::headers::{Headers, one_line};
use super::text::{is_token, number, split_outside, trim};
use super::uri::Uri;
use super::{HeaderError, Message, Method, Request, Response, Via};
use bytes::Bytes;
use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// The largest message we read \[bytes\].
pub const MAX_MESSAGE: usize = 65_536;
/// The longest header, before its value is split: name and value \[bytes\].
const MAX_VALUE: usize = 8_192;
/// The longest Request-URI \[bytes\].
const MAX_URI: usize = 4_096;
/// Headers of one message, counted after lists were split.
const MAX_HEADERS: usize = 256;

/// Why bytes are not a message.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Keep-alive (CRLF) or nothing at all: not counted as an error.
    #[error("keep-alive")]
    KeepAlive,
    /// Nothing that could be answered: drop and count.
    #[error("not a SIP message: {0}")]
    Garbage(&'static str),
    /// A request that can be answered: `answer` is the complete response.
    #[error("refused with {}: {}", answer.status, answer.reason)]
    Refused { answer: Box<Response> },
}

/// What is wrong with a message, and the status that says so.
#[derive(Clone, Copy, Debug)]
struct Fault {
    status: u16,
    why: &'static str,
}

fn bad(why: &'static str) -> Fault {
    Fault { status: 400, why }
}

/// Reads exactly one message: a datagram, or what `sip::transport::framing` cut from a stream.
///
/// Guarantees of an `Ok` (RFC 3261 §8.1.1): Via, From, To, Call-ID and CSeq are there once and readable (Via at least once),
/// the CSeq method equals the method, and the body has exactly Content-Length bytes (all the rest of a datagram without one).
/// Content-Length itself is not among the headers: it follows from the body.
pub fn parse(bytes: &Bytes) -> Result<Message, ParseError> {
    let blank = bytes.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
    let message = bytes.slice(blank..);
    if message.iter().all(|b| matches!(b, b'\r' | b'\n' | b' ' | b'\0')) {
        return Err(ParseError::KeepAlive);
    }
    let within = message.get(..MAX_MESSAGE).unwrap_or(&message);
    let end = head_length(within);
    // Without an end the last line may be half of one: an answer goes by the whole lines only.
    let whole_lines = || within.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
    let head_length = end.unwrap_or_else(whole_lines);
    let head = message.get(..head_length).unwrap_or_default();

    let (line, rest) = first_line(head);
    let start = StartLine::read(&text(line)).map_err(ParseError::Garbage)?;
    let mut lines = HeadReader::default();
    lines.read(rest);
    if end.is_none() {
        lines.fault = Some(bad("The headers have no end"));
    }

    let body = message.slice(head_length..);
    let body = match lines.content_length {
        Some(length) if length <= body.len() => body.slice(..length),
        Some(_) => {
            lines.fault.get_or_insert(bad("Content-Length exceeds the message"));
            body
        }
        None => body,
    };
    if message.len() > MAX_MESSAGE {
        lines.fault = Some(Fault { status: 513, why: "Message Too Large" });
    }
    start.finish(lines, body)
}

/// The length of the head of a message, its empty line included; `None` when the empty line has not come yet.
///
/// `head` starts at the start line. A line ends with CRLF or a lone LF.
pub fn head_length(bytes: &[u8]) -> Option<usize> {
    head_length_from(bytes, 0)
}

/// As [`head_length`], for bytes of which those before `from` are known to hold no end.
pub(crate) fn head_length_from(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(found) = bytes.get(at..)?.iter().position(|b| *b == b'\n') {
        at += found + 1;
        match bytes.get(at..)? {
            [b'\n', ..] => return Some(at + 1),
            [b'\r', b'\n', ..] => return Some(at + 2),
            _ => {}
        }
    }
    None
}

/// The checked Content-Length of a head, for a reader of streams.
///
/// # Errors
/// When it is not a number, larger than [`MAX_MESSAGE`], or given twice with different values.
pub fn content_length(head: &[u8]) -> Result<Option<usize>, HeaderError> {
    let mut lines = HeadReader { lengths_only: true, ..HeadReader::default() };
    lines.read(first_line(head).1);
    match lines.fault {
        Some(_) => Err(HeaderError::Malformed("Content-Length")),
        None => Ok(lines.content_length),
    }
}

enum StartLine {
    Request { method: Method, uri: Result<Uri, Fault> },
    Status { status: u16, reason: String },
}

impl StartLine {
    fn read(line: &str) -> Result<Self, &'static str> {
        if line.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("SIP/")) {
            return Self::read_status(line).ok_or("the status line cannot be read");
        }
        let (method, rest) = line.split_once(' ').ok_or("the start line cannot be read")?;
        let (uri, version) = rest.rsplit_once(' ').ok_or("the start line cannot be read")?;
        if !is_token(method) {
            return Err("the method is not a token");
        }
        let uri = match trim(version) {
            // After trailing blanks the version stands before them, inside what was taken for the URI.
            "" => Err(bad("Malformed Request-Line")),
            v if v.eq_ignore_ascii_case("SIP/2.0") => read_request_uri(uri),
            v if is_sip_version(v) => Err(Fault { status: 505, why: "Version Not Supported" }),
            _ => return Err("the protocol is not SIP"),
        };
        Ok(Self::Request { method: method.into(), uri })
    }

    fn read_status(line: &str) -> Option<Self> {
        let (version, rest) = line.split_once(' ')?;
        let (status, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        let status = u16::try_from(number(status).filter(|_| status.len() == 3)?).ok()?;
        if !version.eq_ignore_ascii_case("SIP/2.0") || !(100..=699).contains(&status) {
            return None;
        }
        Some(Self::Status { status, reason: one_line(reason) })
    }

    fn finish(self, mut lines: HeadReader, body: Bytes) -> Result<Message, ParseError> {
        match self {
            Self::Status { status, reason } => {
                lines.check_core(None);
                match lines.fault {
                    Some(fault) => Err(ParseError::Garbage(fault.why)),
                    None => Ok(Message::Response(Response { status, reason, headers: lines.headers, body })),
                }
            }
            Self::Request { method, uri } => {
                let uri = uri.map_err(|fault| lines.fault = lines.fault.or(Some(fault)));
                lines.check_core(Some(&method));
                match (lines.fault, uri) {
                    (None, Ok(uri)) => Ok(Message::Request(Request { method, uri, headers: lines.headers, body })),
                    (fault, _) => Err(lines.refuse(&method, fault.unwrap_or(bad("Malformed Request-URI")))),
                }
            }
        }
    }
}

fn read_request_uri(text: &str) -> Result<Uri, Fault> {
    if text.len() > MAX_URI {
        return Err(Fault { status: 414, why: "Request-URI Too Long" });
    }
    let uri = Uri::parse(text).map_err(|_| bad("Malformed Request-URI"))?;
    // RFC 3261 §19.1.1: headers are not allowed here; they are never applied.
    if uri.headers.is_some() {
        return Err(bad("Request-URI carries headers"));
    }
    Ok(uri)
}

/// `SIP/` and a version that is not ours.
fn is_sip_version(text: &str) -> bool {
    let Some((name, version)) = text.split_once('/') else { return false };
    let is_digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    name.eq_ignore_ascii_case("SIP")
        && version.split_once('.').is_some_and(|(major, minor)| is_digits(major) && is_digits(minor))
}

/// Reads header lines; the first fault is kept, the reading goes on so that the request can be answered.
#[derive(Default)]
struct HeadReader {
    headers: Headers,
    count: usize,
    content_length: Option<usize>,
    fault: Option<Fault>,
    /// Only Content-Length is wanted.
    lengths_only: bool,
}

impl HeadReader {
    /// `rest`: the head after its start line.
    fn read(&mut self, mut rest: &[u8]) {
        let mut unfolded: Vec<u8> = Vec::new();
        while !rest.is_empty() {
            let (line, after) = first_line(rest);
            rest = after;
            if line.is_empty() {
                break;
            }
            unfolded.clear();
            unfolded.extend_from_slice(line);
            // A line that starts with a blank continues the one before (RFC 3261 §7.3.1).
            while matches!(rest.first(), Some(b' ' | b'\t')) {
                let (line, after) = first_line(rest);
                rest = after;
                unfolded.push(b' ');
                unfolded.extend_from_slice(line.trim_ascii_start());
            }
            self.line(&unfolded);
        }
    }

    fn line(&mut self, line: &[u8]) {
        let is_folded = matches!(line.first(), Some(b' ' | b'\t'));
        let Some((name, value)) =
            line.iter().position(|b| *b == b':').filter(|_| !is_folded).and_then(|at| line.split_at_checked(at))
        else {
            if !self.lengths_only {
                self.found(bad("Malformed header line"));
            }
            return;
        };
        let (name, value) = (text(name), text(value.get(1..).unwrap_or_default()));
        let (name, value) = (long_name(trim(&name)), trim(&value));
        if name == "Content-Length" {
            return self.length(value);
        }
        if self.lengths_only {
            return;
        }
        if !is_token(name) {
            return self.found(bad("Malformed header name"));
        }
        if name.len() + value.len() > MAX_VALUE {
            return self.found(Fault { status: 513, why: "Header Too Large" });
        }
        if !is_list(name) {
            return self.push(name, value);
        }
        let is_via = name == "Via";
        let mut any = false;
        for part in split_outside(value, b',').map(trim).filter(|p| is_via || !p.is_empty()) {
            any = true;
            self.push(name, part);
        }
        if !any {
            self.push(name, "");
        }
    }

    fn push(&mut self, name: &str, value: &str) {
        if self.count == MAX_HEADERS {
            return self.found(Fault { status: 513, why: "Too Many Headers" });
        }
        // These come back to their sender and must match there to the byte.
        if matches!(name, "Via" | "Call-ID") && !value.bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b)) {
            return self.found(bad("Malformed Via or Call-ID header"));
        }
        // A malformed Via is not copied into an answer.
        if name == "Via" && Via::parse(value).is_err() {
            return self.found(bad("Malformed Via header"));
        }
        self.count += 1;
        self.headers.push(name, value);
    }

    fn length(&mut self, value: &str) {
        let length = number(value).and_then(|n| usize::try_from(n).ok());
        match (length, self.content_length) {
            (None, _) => self.found(bad("Malformed Content-Length header")),
            (Some(new), Some(old)) if new != old => self.found(bad("Conflicting Content-Length headers")),
            (Some(new), _) => self.content_length = Some(new),
        }
    }

    fn found(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    /// What RFC 3261 §8.1.1 demands of every message.
    fn check_core(&mut self, method: Option<&Method>) {
        let fault = self.core_fault().map(bad).or_else(|| self.method_fault(method?));
        self.fault = self.fault.or(fault);
    }

    /// The CSeq must name the method; that the method is unknown is the better thing to say (RFC 4475 §3.1.2.18).
    fn method_fault(&self, method: &Method) -> Option<Fault> {
        if self.headers.cseq().is_ok_and(|cseq| cseq.method == *method) {
            return None;
        }
        Some(match method {
            Method::Other(_) => Fault { status: 501, why: "Not Implemented" },
            _ => bad("CSeq method does not match"),
        })
    }

    fn core_fault(&self) -> Option<&'static str> {
        let count = |name| self.headers.all(name).take(2).count();
        let core = [
            ("Via", "Missing Via header"),
            ("From", "Missing From header"),
            ("To", "Missing To header"),
            ("Call-ID", "Missing Call-ID header"),
            ("CSeq", "Missing CSeq header"),
        ];
        if let Some((_, missing)) = core.iter().find(|(name, _)| count(name) == 0) {
            return Some(missing);
        }
        if ["From", "To", "Call-ID", "CSeq", "Max-Forwards"].into_iter().any(|name| count(name) > 1) {
            return Some("Duplicate header");
        }
        if self.headers.from().is_err() {
            return Some("Malformed From header");
        }
        if self.headers.to().is_err() {
            return Some("Malformed To header");
        }
        if self.headers.call_id().is_err() {
            return Some("Malformed Call-ID header");
        }
        self.headers.cseq().err().map(|_| "Malformed CSeq header")
    }

    /// The answer to a request, unless it is an ACK or nobody could receive the answer.
    fn refuse(self, method: &Method, fault: Fault) -> ParseError {
        if *method == Method::Ack || self.headers.get("Via").is_none() {
            return ParseError::Garbage(fault.why);
        }
        // As a stateless server's, the tag is the same for a retransmission (RFC 3261 §8.2.7).
        let mut hasher = DefaultHasher::new();
        (self.headers.get("Via"), self.headers.get("Call-ID"), self.headers.get("CSeq")).hash(&mut hasher);
        let mut answer = Response::skeleton(&self.headers, fault.status, Some(&format!("{:016x}", hasher.finish())));
        answer.reason = fault.why.to_owned();
        ParseError::Refused { answer: Box::new(answer) }
    }
}

/// One line without its end, and what follows.
fn first_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (line, rest) = match bytes.iter().position(|b| *b == b'\n') {
        Some(at) => (bytes.get(..at).unwrap_or_default(), bytes.get(at + 1..).unwrap_or_default()),
        None => (bytes, &bytes[..0]),
    };
    (line.strip_suffix(b"\r").unwrap_or(line), rest)
}

/// Bytes that are not UTF-8 are read as Latin-1, which old peers write in display names; nothing is lost by it.
fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => bytes.iter().map(|b| char::from(*b)).collect(),
    }
}

/// Compact names written out (RFC 3261 §7.3.3 and the registry of header fields), known names in their usual case.
fn long_name(name: &str) -> &str {
    const COMPACT: [(&str, &str); 20] = [
        ("a", "Accept-Contact"),
        ("b", "Referred-By"),
        ("c", "Content-Type"),
        ("d", "Request-Disposition"),
        ("e", "Content-Encoding"),
        ("f", "From"),
        ("i", "Call-ID"),
        ("j", "Reject-Contact"),
        ("k", "Supported"),
        ("l", "Content-Length"),
        ("m", "Contact"),
        ("n", "Identity-Info"),
        ("o", "Event"),
        ("r", "Refer-To"),
        ("s", "Subject"),
        ("t", "To"),
        ("u", "Allow-Events"),
        ("v", "Via"),
        ("x", "Session-Expires"),
        ("y", "Identity"),
    ];
    const STEERING: [&str; 4] = ["Via", "Call-ID", "Content-Length", "Max-Forwards"];
    match name.len() {
        1 => COMPACT.iter().find(|(short, _)| short.eq_ignore_ascii_case(name)).map_or(name, |(_, long)| long),
        _ => STEERING.into_iter().find(|n| n.eq_ignore_ascii_case(name)).unwrap_or(name),
    }
}

/// Headers whose grammar is a comma list. All others keep their commas: dates, credentials, free text, the unknown.
fn is_list(name: &str) -> bool {
    const LISTS: [&str; 36] = [
        "Accept",
        "Accept-Contact",
        "Accept-Encoding",
        "Accept-Language",
        "Accept-Resource-Priority",
        "Alert-Info",
        "Allow",
        "Allow-Events",
        "Call-Info",
        "Contact",
        "Content-Encoding",
        "Content-Language",
        "Diversion",
        "Error-Info",
        "Geolocation",
        "History-Info",
        "In-Reply-To",
        "P-Asserted-Identity",
        "P-Associated-URI",
        "P-Preferred-Identity",
        "Path",
        "Proxy-Require",
        "Reason",
        "Record-Route",
        "Recv-Info",
        "Reject-Contact",
        "Remote-Party-ID",
        "Request-Disposition",
        "Require",
        "Resource-Priority",
        "Route",
        "Service-Route",
        "Supported",
        "Unsupported",
        "Via",
        "Warning",
    ];
    LISTS.iter().any(|list| list.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORE: &str = "Via: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\nCall-ID: c\r\nCSeq: 1 OPTIONS\r\n";

    fn read(text: impl Into<Vec<u8>>) -> Result<Message, ParseError> {
        parse(&Bytes::from(text.into()))
    }

    /// An OPTIONS with these lines after the core headers.
    fn options(lines: &str) -> Result<Message, ParseError> {
        read(format!("OPTIONS sip:b@h SIP/2.0\r\n{CORE}{lines}\r\n"))
    }

    fn headers(lines: &str) -> Headers {
        options(lines).unwrap_or_else(|e| panic!("{lines:?}: {e}")).headers().clone()
    }

    #[test]
    fn what_cannot_be_answered_is_dropped() {
        for keep_alive in ["", "\r\n", "\r\n\r\n", "\0", "\0\0\0\0", " \r\n"] {
            assert!(matches!(read(keep_alive), Err(ParseError::KeepAlive)), "{keep_alive:?}");
        }
        let core = CORE;
        let rows = [
            "x".into(),
            "\r\n\r\nx\r\n\r\n".into(),
            "GET / HTTP/1.1\r\nHost: h\r\n\r\n".into(),
            "OPTIONS sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1".into(),
            format!("SIP/2.0 200 OK\r\n{core}"),
            format!("OPT(IONS sip:b@h SIP/2.0\r\n{core}\r\n"),
            format!("OPTIONS sip:b@h SIP/two\r\n{core}\r\n"),
            "OPTIONS sip:b@h SIP/2.0\r\nFrom: x\r\n\r\n".into(),
            "ACK sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP h\r\n\r\n".into(),
            format!("SIP/2.0 99 x\r\n{core}\r\n"),
            format!("SIP/2.0 700 x\r\n{core}\r\n"),
            format!("SIP/2.0 4294967301 x\r\n{core}\r\n"),
            format!("SIP/2.0 +20 x\r\n{core}\r\n"),
            format!("SIP/3.0 200 x\r\n{core}\r\n"),
            format!("SIP/2.0 200 OK\r\n{core}Content-Length: 1\r\n\r\n"),
            "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h\r\n\r\n".into(),
        ];
        for text in rows {
            assert!(matches!(read(text.clone()), Err(ParseError::Garbage(_))), "{text:?}");
        }
    }

    #[test]
    fn a_bad_request_gets_the_status_that_says_why() {
        let start = |line: &str| format!("{line}\r\n{CORE}\r\n");
        let lines = |lines: &str| format!("OPTIONS sip:b@h SIP/2.0\r\n{CORE}{lines}\r\n\r\n");
        let rows = [
            (505, start("OPTIONS sip:b@h SIP/7.0")),
            (400, start("OPTIONS <sip:b@h> SIP/2.0")),
            (400, start("OPTIONS  sip:b@h SIP/2.0")),
            (400, start("OPTIONS sip:b@h; lr SIP/2.0")),
            (400, start("OPTIONS sip:b@h SIP/2.0 ")),
            (400, start("OPTIONS sip:b@h?Route=%3Csip:x%3E SIP/2.0")),
            (400, start("OPTIONS sip:2001:db8::10 SIP/2.0")),
            (400, start("INVITE sip:b@h SIP/2.0")),
            (501, start("BREW sip:b@h SIP/2.0")),
            (400, format!("OPTIONS sip:b@h SIP/2.0\r\n{CORE}")),
            (400, format!("OPTIONS sip:b@h SIP/2.0\r\n{CORE}Subject: cut of")),
            (414, start(&format!("OPTIONS sip:{}@h SIP/2.0", "b".repeat(MAX_URI)))),
            (400, start("OPTIONS sip:b@h SIP/2.0\r\n folded: start")),
            (400, lines("no colon")),
            (400, lines(": no name")),
            (400, lines("na me: x")),
            (400, lines("Call-ID: again")),
            (400, lines("Max-Forwards: 1\r\nMax-Forwards: 1")),
            (400, lines("Content-Length: -1")),
            (400, lines("Content-Length: 1")),
            (400, lines("Content-Length: 99999999999999999999")),
            (400, lines("Content-Length: 0\r\nl: 1")),
            (400, lines("Via: SIP/2.0/UDP h;;,;,,")),
            (400, lines("Via: SIP/2.0/UDP \0h")),
            (513, lines(&format!("Subject: {}", "x".repeat(MAX_VALUE + 1)))),
            (513, lines(&"X: y\r\n".repeat(MAX_HEADERS))),
            (513, lines(&format!("Supported: {}", "a,".repeat(MAX_HEADERS)))),
            (513, lines("X: y") + &"x".repeat(MAX_MESSAGE)),
            (400, CORE.replace("1 OPTIONS", "36893488147419103232 OPTIONS")),
            (400, CORE.replace("To: <", "To: \"Mr <")),
            (400, CORE.replace("From: <", "From: Bell, A <")),
            (400, CORE.replace("Call-ID: c", "Call-ID: c d")),
            (400, CORE.replace("Call-ID: c\r\n", "")),
        ];
        for (status, text) in rows {
            let text = if text.starts_with("Via") { format!("OPTIONS sip:b@h SIP/2.0\r\n{text}\r\n") } else { text };
            match read(text.clone()) {
                Err(ParseError::Refused { answer }) => {
                    assert_eq!(answer.status, status, "{text:?}: {}", answer.reason);
                    assert!(answer.headers.via().is_ok(), "{text:?}");
                    assert!(answer.headers.to().is_err() || answer.headers.to().unwrap().tag().is_some(), "{text:?}");
                }
                other => panic!("{text:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn lines_are_unfolded_expanded_and_split() {
        let h = headers(
            "s :  folded \r\n\t into one\r\nk: path , timer,,\r\nSupported:\r\nm: \"a,b\" <sip:a,b@h>, <sip:c@h>;q=1\r\n\
             Date: Sat, 13 Nov 2010 23:29:00 GMT\r\nX-List: a, b\r\nWWW-Authenticate: Digest a=\"1\", b=2\r\nroute: <sip:r;lr>\r\n",
        );
        assert_eq!(h.get("Subject"), Some("folded  into one"));
        assert_eq!(h.all("Supported").collect::<Vec<_>>(), ["path", "timer", ""]);
        assert_eq!(h.all("Contact").collect::<Vec<_>>(), ["\"a,b\" <sip:a,b@h>", "<sip:c@h>;q=1"]);
        assert_eq!(h.get("Date"), Some("Sat, 13 Nov 2010 23:29:00 GMT"));
        assert_eq!(h.get("X-List"), Some("a, b"));
        assert_eq!(h.all("WWW-Authenticate").count(), 1);
        assert_eq!(h.iter().last(), Some(("Route", "<sip:r;lr>")));
    }

    #[test]
    fn the_body_ends_where_content_length_says() {
        let body = |lines: &str, rest: &str| match read(format!("OPTIONS sip:b@h SIP/2.0\r\n{CORE}{lines}\r\n{rest}"))
            .unwrap()
        {
            Message::Request(request) => (request.body, request.headers.get("Content-Length").is_some()),
            Message::Response(_) => unreachable!(),
        };
        assert_eq!(body("Content-Length: 3\r\n", "abcINVITE"), (Bytes::from("abc"), false));
        assert_eq!(body("l:3\r\nContent-Length : 003\r\n", "abc"), (Bytes::from("abc"), false));
        assert_eq!(body("", "abc"), (Bytes::from("abc"), false));
    }

    #[test]
    fn harmless_oddities_are_tolerated() {
        let lf = format!("\r\n\nOPTIONS sip:b@h sip/2.0\n{}\n", CORE.replace('\r', ""));
        assert!(matches!(read(lf), Ok(Message::Request(_))));
        let mut latin = format!("OPTIONS sip:b@h SIP/2.0\r\n{CORE}Subject: M").into_bytes();
        latin.extend(b"\xfcller \0 \r x\r\n\r\n");
        let message = read(latin).unwrap();
        assert_eq!(message.headers().get("Subject"), Some("M\u{fc}ller     x"));
        for (line, reason) in [("SIP/2.0 200", ""), ("SIP/2.0 200 ", ""), ("sip/2.0 200 = 2**3 * 25", "= 2**3 * 25")] {
            match read(format!("{line}\r\n{CORE}\r\n")) {
                Ok(Message::Response(r)) => assert_eq!((r.status, r.reason.as_str()), (200, reason), "{line}"),
                other => panic!("{line}: {other:?}"),
            }
        }
        assert!(options("X-Unknown: ;;,,;;,;\r\n").is_ok());
    }

    #[test]
    fn a_stream_learns_the_length_from_the_head_alone() {
        let rows = [
            ("x\r\nContent-Length: -1\r\n\r\n", Err(HeaderError::Malformed("Content-Length"))),
            ("x\r\nl: 1\r\nContent-Length: 2\r\n\r\n", Err(HeaderError::Malformed("Content-Length"))),
            ("x\r\nno colon\r\n\r\n", Ok(None)),
            ("x\r\nL :\r\n  17\r\n\r\n", Ok(Some(17))),
            ("Content-Length: 1\r\n\r\n", Ok(None)),
        ];
        for (head, length) in rows {
            assert_eq!(content_length(head.as_bytes()), length, "{head:?}");
            assert_eq!(head_length(head.as_bytes()), Some(head.len()), "{head:?}");
        }
        assert_eq!(head_length(b"a\r\nb\r\n\r"), None);
        assert_eq!(head_length(b"a\n\nb"), Some(3));
    }
}
