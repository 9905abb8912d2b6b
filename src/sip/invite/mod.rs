//! The INVITE usage: one call as a machine, caller or callee (RFC 3261 §13 to §15, RFC 3264, RFC 6337).
//!
//! A [`Session`] owns the dialogs of one call, all forks of an outgoing one included. It hears what the transaction layer
//! reports for it, speaks through [`Output`], and tells facts through [`Event`]. It never looks into a body.
//!
//! # How to drive it
//! - Outgoing: [`Session::invite`]; incoming: [`Session::incoming`] for each INVITE without a To tag.
//! - Every other message finds its session by [`Session::key`]: `DialogKey::of_request(&headers)?.session()` for requests
//!   and ACKs, `DialogKey::of_response(&headers).session()` for stray 2xx. A CANCEL finds it by [`Session::is_invited_by`].
//!   A response finds it by the `RequestId` kept with the `ClientKey`.
//! - After each input drain `poll_output` and `poll_event`; call `handle_timeout` at `poll_timeout`.
//! - `Event::Ended` comes once, as soon as the call is over for the user. The session is kept and driven until
//!   [`Session::is_done`]: it may still have to send BYE (and answer a challenge to it) or to acknowledge late 2xx.
mod reason;

pub use crate::sip::body::Body;
pub use crate::sip::dialog::Fork;
pub use crate::sip::transaction::{Failure, Output, RequestId};
pub use reason::Reason;

use crate::base::rng::Rng;
use crate::sip::key::{ServerKey, SessionKey};
use crate::sip::message::{NameAddr, Request, Response, Uri};
use crate::sip::timer::Timers;
use std::time::{Duration, Instant};

#[derive(Clone, Debug)]
pub struct Config {
    pub timers: Timers,
    /// The User-Agent and Server header; empty: none.
    pub user_agent: String,
    /// How long an `Offer` or `OfferWanted` may wait for [`Session::answer`]; then it is refused.
    pub answer_limit: Duration,
    /// How long a call may ring, either way; then it is cancelled or refused (480).
    pub ring_limit: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            timers: Timers::default(),
            user_agent: String::new(),
            answer_limit: Duration::from_secs(10),
            ring_limit: Duration::from_secs(180),
        }
    }
}

/// An outgoing call.
#[derive(Clone, Debug)]
pub struct Invitation {
    pub request_uri: Uri,
    /// Our address-of-record, without tag.
    pub from: NameAddr,
    pub to: NameAddr,
    /// Where requests of this dialog reach us.
    pub contact: NameAddr,
    /// Route values, first hop first (an outbound proxy, a Service-Route); usually none.
    pub route: Vec<NameAddr>,
    /// Further headers of the INVITE (`P-Preferred-Identity`, `Privacy`, credentials sent unasked, ...).
    pub headers: Vec<(String, String)>,
    /// The offer; `None` asks the callee for one.
    pub body: Option<Body>,
}

/// Names one offer that waits for an answer, or one wish for an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfferId(pub u32);

/// What the user says to `Event::Offer` and `Event::OfferWanted`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The answer, or the offer that was wanted.
    Accept(Body),
    /// A status of refusal (488 Not Acceptable Here); the session goes on as it was, if there is one.
    Reject(u16),
}

/// Where the call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Outgoing, no final response yet (or a challenge or redirection to be dealt with).
    Calling,
    /// Incoming, not answered yet.
    Ringing,
    /// Answered: 2xx sent or received.
    Established,
    /// `Event::Ended` was told.
    Ended,
}

#[derive(Clone, Debug)]
pub enum Event {
    /// Outgoing: a provisional response above 100. `body` is what this fork would answer: early media may come, but only
    /// `Answer` counts (RFC 3261 §13.2.1). The response is there for P-Asserted-Identity and the like.
    Progress { fork: Fork, status: u16, body: Option<Body>, response: Box<Response> },
    /// Outgoing: a 2xx. `Answer` or, where the INVITE had no body, `Offer` follows. Other forks are over.
    Answered { fork: Fork, response: Box<Response> },
    /// Incoming: the ACK of the 2xx came.
    Confirmed,
    /// The peer's answer to our latest offer. If it cannot be used, hang up.
    Answer { fork: Fork, body: Body },
    /// The peer offers, inside of the dialog (or in the 2xx of an INVITE without body): call [`Session::answer`].
    Offer { id: OfferId, body: Body },
    /// An offer of ours is wanted: [`Session::reinvite`] may be sent now, or the peer sent a re-INVITE without body.
    /// Build it from what is true now and call [`Session::answer`].
    OfferWanted { id: OfferId },
    /// Our re-INVITE was refused; the session goes on as it was before.
    OfferRejected { status: u16, response: Option<Box<Response>> },
    /// 401 or 407 to a request of ours: call [`Session::authenticate`], or [`Session::give_up`] to let it count as a refusal.
    /// May come after `Ended`, for a BYE.
    Challenged { id: RequestId, request: Box<Request>, response: Box<Response> },
    /// Outgoing: a 3xx, best target first: call [`Session::follow`] with one of them, or [`Session::hang_up`].
    Redirected { contacts: Vec<NameAddr>, response: Box<Response> },
    /// An INFO, or an UPDATE or re-INVITE that may carry a new identity (connected line), was received and answered.
    Notified { request: Box<Request> },
    /// The call is over.
    Ended { cause: Cause },
}

/// Why a call is over. The Reason headers (RFC 3326) are those the peer gave.
#[derive(Clone, Debug)]
pub enum Cause {
    /// We hung up after the answer.
    HungUp,
    /// The peer hung up after the answer.
    PeerHungUp { reasons: Vec<Reason> },
    /// Outgoing: we gave up before the answer.
    Cancelled,
    /// Outgoing: refused, with the whole final response (status 300..=699; 422 has Min-SE, 503 may have Retry-After).
    Refused { response: Box<Response>, reasons: Vec<Reason> },
    /// Incoming: the caller gave up. `SIP;cause=200` among the reasons: answered by another phone.
    PeerCancelled { reasons: Vec<Reason> },
    /// Incoming: we refused with this status.
    Rejected { status: u16 },
    /// Nobody answered within `Config::ring_limit`.
    Unanswered,
    /// Outgoing: no response at all, or it could not be sent.
    Unreachable(Failure),
    /// Incoming: our 2xx was never acknowledged.
    NoAck,
    /// Offer and answer did not come together: what was missing or wrong, in words.
    Negotiation(&'static str),
    /// The peer no longer knows the dialog (481), or did not answer a request in it (408).
    DialogLost { status: u16 },
}

/// One call.
#[derive(Debug)]
pub struct Session {}

impl Session {
    /// Places a call.
    pub fn invite(_now: Instant, _config: Config, _invitation: Invitation, _rng: Rng) -> Self {
        unimplemented!()
    }

    /// Takes an INVITE that is outside of dialogs. 100 Trying is the transaction layer's; ringing is [`Session::provisional`].
    /// The offer is [`Session::offer`].
    ///
    /// # Errors
    /// The response to be sent when the INVITE cannot be taken (400, 415, 420).
    pub fn incoming(
        _now: Instant,
        _config: Config,
        _contact: NameAddr,
        _key: ServerKey,
        _request: &Request,
        _rng: Rng,
    ) -> Result<Self, Box<Response>> {
        unimplemented!()
    }

    /// Call-ID and our tag, the same from the first message to the last.
    pub fn key(&self) -> &SessionKey {
        unimplemented!()
    }

    /// Whether this is the INVITE transaction that a `Cancelled` event names.
    pub fn is_invited_by(&self, _key: &ServerKey) -> bool {
        unimplemented!()
    }

    pub fn phase(&self) -> Phase {
        unimplemented!()
    }

    /// Incoming: the offer of the INVITE; `None` when the caller wants the offer from us.
    pub fn offer(&self) -> Option<&Body> {
        unimplemented!()
    }

    /// Nothing left to send or to wait for: the session may be dropped.
    pub fn is_done(&self) -> bool {
        unimplemented!()
    }

    /// Changes the Contact of all later messages.
    pub fn set_contact(&mut self, _contact: NameAddr) {
        unimplemented!()
    }

    /// Incoming, not yet answered: sends 180, 183, ... The same response is repeated every minute. `body` is our answer as
    /// early media (RFC 6337 §3.1); it is left out when the INVITE had no offer.
    pub fn provisional(&mut self, _now: Instant, _status: u16, _body: Option<Body>) {
        unimplemented!()
    }

    /// Incoming, not yet answered: sends 200. `body` is our answer, or our offer when the INVITE had none; `None` repeats
    /// the body given to `provisional`. Without any body the call is refused (500).
    pub fn accept(&mut self, _now: Instant, _body: Option<Body>) {
        unimplemented!()
    }

    /// Incoming, not yet answered: refuses with a status from 300 on.
    pub fn reject(&mut self, _now: Instant, _status: u16, _headers: &[(&str, &str)]) {
        unimplemented!()
    }

    /// Answers `Event::Offer` or `Event::OfferWanted`, at once or later. Ignored when `id` is no longer open.
    pub fn answer(&mut self, _now: Instant, _id: OfferId, _answer: Answer) {
        unimplemented!()
    }

    /// Wishes to change the media (hold, resume, codec, address). `OfferWanted` is raised as soon as an offer may be sent:
    /// at once, after what is under way, and again after glare (491). `Answer` or `OfferRejected` tells the outcome.
    pub fn reinvite(&mut self, _now: Instant) {
        unimplemented!()
    }

    /// Ends the call, whatever its state: CANCEL, a refusal (603), BYE. `reason` is a Reason header value, such as
    /// `SIP;cause=480;text="no media"`.
    pub fn hang_up(&mut self, _now: Instant, _reason: Option<&str>) {
        unimplemented!()
    }

    /// Sends the challenged request again with these headers (`Authorization` or `Proxy-Authorization` and its value).
    pub fn authenticate(&mut self, _now: Instant, _id: RequestId, _headers: Vec<(String, String)>) {
        unimplemented!()
    }

    /// Lets a challenge count as a refusal.
    pub fn give_up(&mut self, _now: Instant, _id: RequestId) {
        unimplemented!()
    }

    /// After `Redirected`: calls that target instead.
    pub fn follow(&mut self, _now: Instant, _target: Uri) {
        unimplemented!()
    }

    /// `transaction::Event::Response` for a request of this session.
    pub fn handle_response(&mut self, _now: Instant, _id: RequestId, _response: Response) {
        unimplemented!()
    }

    /// `transaction::Event::Timeout` or `TransportError` for a request of this session.
    pub fn handle_failure(&mut self, _now: Instant, _id: RequestId, _failure: Failure) {
        unimplemented!()
    }

    /// `transaction::Event::StrayResponse` with this session's Call-ID and From tag.
    pub fn handle_stray_response(&mut self, _now: Instant, _response: Response) {
        unimplemented!()
    }

    /// `transaction::Event::Request` with this session's Call-ID and our tag in To. Every request is answered, those the
    /// session cannot serve with the status that says so (405, 481, 501, ...).
    pub fn handle_request(&mut self, _now: Instant, _key: ServerKey, _request: Request) {
        unimplemented!()
    }

    /// `transaction::Event::Ack` with this session's Call-ID and our tag in To.
    pub fn handle_ack(&mut self, _now: Instant, _request: Request) {
        unimplemented!()
    }

    /// `transaction::Event::Cancelled` for the INVITE of this session (or for a re-INVITE in it).
    pub fn handle_cancelled(&mut self, _now: Instant, _key: &ServerKey, _cancel: &Request) {
        unimplemented!()
    }

    pub fn handle_timeout(&mut self, _now: Instant) {
        unimplemented!()
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        unimplemented!()
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        unimplemented!()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        unimplemented!()
    }
}
