//! SIP messages: framing of one message, its start line, headers and body (RFC 3261 §7). The only home of `rsip`.
mod build;
mod headers;
mod lexer;
mod method;
mod name_addr;
mod params;
pub(crate) mod text;
mod uri;
mod via;

pub use build::reason_phrase;
pub use headers::{CSeq, HeaderError, Headers};
pub(crate) use lexer::head_length_from;
pub use lexer::{MAX_MESSAGE, ParseError, content_length, head_length, parse};
pub use method::Method;
pub use name_addr::NameAddr;
pub use params::Params;
pub use uri::{Host, Scheme, Uri, escape};
pub use via::Via;

use bytes::Bytes;

#[derive(Clone, Debug)]
pub enum Message {
    Request(Request),
    Response(Response),
}

#[derive(Clone, Debug)]
pub struct Request {
    pub method: Method,
    pub uri: Uri,
    pub headers: Headers,
    pub body: Bytes,
}

#[derive(Clone, Debug)]
pub struct Response {
    /// 100..=699
    pub status: u16,
    pub reason: String,
    pub headers: Headers,
    pub body: Bytes,
}
