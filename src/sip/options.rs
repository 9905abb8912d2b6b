//! OPTIONS: what we can do, and asking what a peer can do (RFC 3261 §11).
use crate::base::rng::Rng;
use crate::base::untrusted::Untrusted;
use crate::sip::message::{Method, NameAddr, Request, Response, Uri};

/// The methods we serve, as the Allow header lists them (RFC 3261 §20.5).
pub const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, NOTIFY";
/// The body types we read, as the Accept header lists them (RFC 3261 §20.1).
pub const ACCEPT: &str = "application/sdp";

/// The answer to an OPTIONS request. `status` is the one an INVITE would get now: 200, or 486 when busy (RFC 3261 §11.2).
pub fn answer(_request: &Request, _status: u16, _contact: &NameAddr, _user_agent: &str, _rng: &mut Rng) -> Response {
    unimplemented!()
}

/// A question to a target; `route` as in `invite::Invitation`.
pub fn query(
    _target: Uri,
    _from: NameAddr,
    _contact: NameAddr,
    _route: &[NameAddr],
    _user_agent: &str,
    _rng: &mut Rng,
) -> Request {
    unimplemented!()
}

/// What a peer said of itself in its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    pub status: u16,
    pub reason: Untrusted,
    pub allow: Vec<Method>,
    pub accept: Vec<Untrusted>,
    pub supported: Vec<Untrusted>,
    /// Server or User-Agent.
    pub software: Option<Untrusted>,
}

impl Capabilities {
    pub fn of(_response: &Response) -> Self {
        unimplemented!()
    }
}
