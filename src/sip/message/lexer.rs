//! From bytes to a message: framing of header and body, unfolding, compact names, comma lists; and back.
use super::{Message, Request, Response};
use bytes::Bytes;

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

/// Reads exactly one message: a datagram, or what `sip::transport::framing` cut from a stream.
///
/// Guarantees of an `Ok` (RFC 3261 §8.1.1): Via, From, To, Call-ID and CSeq are there once and readable (Via at least once),
/// the CSeq method equals the method, and the body has exactly Content-Length bytes (all the rest of a datagram without one).
pub fn parse(_bytes: &Bytes) -> Result<Message, ParseError> {
    unimplemented!()
}

impl Request {
    /// Serialises; Content-Length is set from the body.
    pub fn to_bytes(&self) -> Bytes {
        unimplemented!()
    }
}

impl Response {
    /// The skeleton every response starts from (RFC 3261 §8.2.6.2): Via, From, To, Call-ID, CSeq copied; `to_tag` added to To
    /// when it has none and the status is above 100. `reason` defaults to the standard phrase of the status.
    pub fn to_request(_request: &Request, _status: u16, _to_tag: Option<&str>) -> Self {
        unimplemented!()
    }
    pub fn to_bytes(&self) -> Bytes {
        unimplemented!()
    }
}

/// The standard reason phrase of a status.
pub fn reason_phrase(_status: u16) -> &'static str {
    unimplemented!()
}
