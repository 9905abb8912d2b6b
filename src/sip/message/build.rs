//! From a message to bytes, and the skeleton of a response (RFC 3261 §7, §8.2.6.2).
use super::headers::one_line;
use super::text::is_token_byte;
use super::{Headers, Message, Request, Response};
use bytes::Bytes;

impl Request {
    /// Serialises; Content-Length is set from the body.
    pub fn to_bytes(&self) -> Bytes {
        let method: String = self.method.as_str().bytes().filter(|b| is_token_byte(*b)).map(char::from).collect();
        write(format!("{method} {} SIP/2.0\r\n", self.uri), &self.headers, &self.body)
    }
}

impl Response {
    /// The skeleton every response starts from (RFC 3261 §8.2.6.2): Via, From, To, Call-ID, CSeq copied; `to_tag` added to To
    /// when it has none and the status is above 100. `reason` defaults to the standard phrase of the status.
    pub fn to_request(request: &Request, status: u16, to_tag: Option<&str>) -> Self {
        Self::skeleton(&request.headers, status, to_tag)
    }

    pub(super) fn skeleton(of: &Headers, status: u16, to_tag: Option<&str>) -> Self {
        let mut headers = Headers::default();
        of.all("Via").for_each(|via| headers.push("Via", via));
        for name in ["From", "To", "Call-ID", "CSeq"] {
            let Some(value) = of.get(name) else { continue };
            match to_tag {
                // Appended to the text, so that the rest stays as the peer wrote it.
                Some(tag) if name == "To" && status > 100 && of.to().is_ok_and(|to| to.tag().is_none()) => {
                    headers.push(name, format_args!("{value};tag={tag}"));
                }
                _ => headers.push(name, value),
            }
        }
        if let (100, Some(timestamp)) = (status, of.get("Timestamp")) {
            headers.push("Timestamp", timestamp);
        }
        Self { status, reason: reason_phrase(status).to_owned(), headers, body: Bytes::new() }
    }

    pub fn to_bytes(&self) -> Bytes {
        write(format!("SIP/2.0 {} {}\r\n", self.status, one_line(&self.reason)), &self.headers, &self.body)
    }
}

impl Message {
    pub fn headers(&self) -> &Headers {
        match self {
            Self::Request(request) => &request.headers,
            Self::Response(response) => &response.headers,
        }
    }

    pub fn to_bytes(&self) -> Bytes {
        match self {
            Self::Request(request) => request.to_bytes(),
            Self::Response(response) => response.to_bytes(),
        }
    }
}

/// Of these, tokens that follow each other share a line: a long Allow or Supported need not cost a fragment.
const JOINED: [&str; 6] = ["Accept", "Allow", "Allow-Events", "Proxy-Require", "Require", "Supported"];
/// No token is added to a line longer than this \[bytes\].
const JOINED_LINE: usize = 1_000;

fn write(mut out: String, headers: &Headers, body: &Bytes) -> Bytes {
    let mut open_list: Option<(&str, usize)> = None;
    for (name, value) in headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("Content-Length")) {
        let may_join = JOINED.contains(&name) && !value.is_empty() && !value.contains(['"', '<', '>', '\\']);
        match open_list {
            Some((list, start)) if may_join && list == name && out.len() - start < JOINED_LINE => {
                out.truncate(out.len() - 2);
                out.push_str(", ");
            }
            _ => {
                open_list = may_join.then_some((name, out.len()));
                out.push_str(name);
                out.push_str(": ");
            }
        }
        out.push_str(value);
        out.push_str("\r\n");
    }
    out.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    let mut bytes = out.into_bytes();
    bytes.extend_from_slice(body);
    bytes.into()
}

/// The standard reason phrase of a status; that of its class when the status is not registered.
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Trying",
        180 => "Ringing",
        181 => "Call Is Being Forwarded",
        182 => "Queued",
        183 => "Session Progress",
        199 => "Early Dialog Terminated",
        200 => "OK",
        202 => "Accepted",
        204 => "No Notification",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        305 => "Use Proxy",
        380 => "Alternative Service",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        410 => "Gone",
        412 => "Conditional Request Failed",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Unsupported URI Scheme",
        417 => "Unknown Resource-Priority",
        420 => "Bad Extension",
        421 => "Extension Required",
        422 => "Session Interval Too Small",
        423 => "Interval Too Brief",
        428 => "Use Identity Header",
        429 => "Provide Referrer Identity",
        430 => "Flow Failed",
        433 => "Anonymity Disallowed",
        436 => "Bad Identity Info",
        437 => "Unsupported Credential",
        438 => "Invalid Identity Header",
        439 => "First Hop Lacks Outbound Support",
        440 => "Max-Breadth Exceeded",
        469 => "Bad Info Package",
        470 => "Consent Needed",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        482 => "Loop Detected",
        483 => "Too Many Hops",
        484 => "Address Incomplete",
        485 => "Ambiguous",
        486 => "Busy Here",
        487 => "Request Terminated",
        488 => "Not Acceptable Here",
        489 => "Bad Event",
        491 => "Request Pending",
        493 => "Undecipherable",
        494 => "Security Agreement Required",
        500 => "Server Internal Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Server Time-out",
        505 => "Version Not Supported",
        513 => "Message Too Large",
        555 => "Push Notification Service Not Supported",
        580 => "Precondition Failure",
        600 => "Busy Everywhere",
        603 => "Decline",
        604 => "Does Not Exist Anywhere",
        606 => "Not Acceptable",
        607 => "Unwanted",
        608 => "Rejected",
        _ => match status / 100 {
            1 => "Progress",
            2 => "Success",
            3 => "Redirection",
            4 => "Request Failure",
            5 => "Server Failure",
            _ => "Global Failure",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::message::{Host, Method, Uri};

    fn request() -> Request {
        let mut headers = Headers::default();
        for (name, value) in [
            ("Via", "SIP/2.0/UDP a;branch=z9hG4bK1"),
            ("Via", "SIP/2.0/UDP b"),
            ("To", "Bob <sip:b@h>"),
            ("From", "<sip:a@h>;tag=1"),
            ("Call-ID", "c@h"),
            ("CSeq", "1 INVITE"),
            ("Timestamp", "54.21"),
            ("Content-Length", "999"),
        ] {
            headers.push(name, value);
        }
        Request {
            method: Method::Invite,
            uri: Uri::sip(Some("b"), Host::Name("h".into()), None),
            headers,
            body: Bytes::new(),
        }
    }

    #[test]
    fn a_response_copies_what_section_8_2_6_2_names() {
        let trying = Response::to_request(&request(), 100, Some("t"));
        assert_eq!((trying.headers.get("To"), trying.headers.get("Timestamp")), (Some("Bob <sip:b@h>"), Some("54.21")));
        let mut busy = Response::to_request(&request(), 486, Some("t"));
        busy.reason = "Busy\r\nX: y".into();
        assert_eq!(
            busy.to_bytes(),
            "SIP/2.0 486 Busy  X: y\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nVia: SIP/2.0/UDP b\r\nFrom: <sip:a@h>;tag=1\r\n\
             To: Bob <sip:b@h>;tag=t\r\nCall-ID: c@h\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
        );
        let mut tagged = request();
        tagged.headers.set("To", "<sip:b@h>;tag=own");
        assert_eq!(Response::to_request(&tagged, 200, Some("t")).headers.get("To"), Some("<sip:b@h>;tag=own"));
    }

    #[test]
    fn lists_share_a_line_and_the_body_is_raw() {
        let mut request = request();
        request.method = Method::Other("X\r\nEvil: 1".into());
        request.headers = Headers::default();
        for (name, value) in [
            ("Allow", "INVITE"),
            ("Allow", "ACK"),
            ("Supported", ""),
            ("Supported", "path"),
            ("Route", "<sip:a;lr>"),
            ("Route", "<sip:b;lr>"),
        ] {
            request.headers.push(name, value);
        }
        request.body = Bytes::from_static(&[0xff, 0, b'\r']);
        assert_eq!(
            request.to_bytes(),
            &b"XEvil1 sip:b@h SIP/2.0\r\nAllow: INVITE, ACK\r\nSupported: \r\nSupported: path\r\nRoute: <sip:a;lr>\r\n\
            Route: <sip:b;lr>\r\nContent-Length: 3\r\n\r\n\xff\0\r"[..]
        );
    }
}
