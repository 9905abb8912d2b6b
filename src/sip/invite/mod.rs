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
mod acceptor;
mod acknowledge;
mod ending;
mod inform;
mod initiator;
mod liveness;
mod modify;
mod offer_answer;
mod package;
mod reason;
mod reliable;
mod session;
mod session_timer;
mod transfer;
mod within;
mod written;

pub use crate::sip::body::Body;
pub use crate::sip::dialog::Fork;
pub use crate::sip::transaction::{Failure, Output, RequestId};
pub use package::{CANDIDATES, CANDIDATES_TYPE};
pub use reason::Reason;
pub use session::Session;
pub use session_timer::MIN_SE;

use crate::sip::info::Signal;
use crate::sip::message::{NameAddr, Request, Response, Uri};
use crate::sip::refer::ReferTo;
use crate::sip::timer::Timers;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Config {
    pub timers: Timers,
    /// The User-Agent and Server header; empty: none.
    pub user_agent: String,
    /// How long an `Offer` or `OfferWanted` may wait for [`Session::answer`]; then it is refused.
    pub answer_limit: Duration,
    /// How long a call may ring, either way; then it is cancelled or refused (480).
    pub ring_limit: Duration,
    /// The session interval asked for (RFC 4028); zero asks for none, and grants what the peer asks for.
    pub session_expires: Duration,
    /// Candidates of ICE may follow descriptions, both ways (RFC 8840).
    pub takes_candidates: bool,
    /// When the offer of a call we place is not acceptable, another one may be made.
    pub offers_again: bool,
    /// The number of the first request: those of two sessions that one call has after each other must differ.
    pub first_request: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            timers: Timers::default(),
            user_agent: String::new(),
            answer_limit: Duration::from_secs(10),
            ring_limit: Duration::from_secs(180),
            session_expires: Duration::from_secs(1800),
            takes_candidates: false,
            offers_again: false,
            first_request: 0,
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
    /// `Answer` counts, or the body of a reliable response (RFC 3261 §13.2.1). 199: this fork is over (RFC 6228). The response
    /// is there for P-Asserted-Identity and the like.
    Progress { fork: Fork, status: u16, body: Option<Body>, response: Box<Response> },
    /// Outgoing: a 2xx. `Answer` or, where the INVITE had no body, `Offer` follows, unless `settled`: offer and answer of this
    /// fork were exchanged in reliable provisional responses, and hold. Other forks are over.
    Answered { fork: Fork, settled: bool, response: Box<Response> },
    /// Incoming: the ACK of the 2xx came.
    Confirmed,
    /// The peer's answer to our latest offer. If it cannot be used, hang up.
    Answer { fork: Fork, body: Body },
    /// The peer offers, inside of the dialog (or in a response to an INVITE without body): call [`Session::answer`].
    Offer { id: OfferId, fork: Fork, body: Body },
    /// An offer of ours is wanted: [`Session::reinvite`] may be sent now, or the peer sent a re-INVITE without body.
    /// Build it from what is true now and call [`Session::answer`].
    OfferWanted { id: OfferId, fork: Fork },
    /// The peer, or a server on the way, no longer knows the dialog (481), or did not answer a request in it (408; 503 where
    /// nothing could be sent). The session goes on until [`Session::abandon`].
    Lost { status: u16 },
    /// The peer pressed a key, told by INFO.
    Signalled(Signal),
    /// The peer does not take our key by INFO.
    SignalRefused { status: u16 },
    /// The final status of a text of ours ([`Session::write`]), 408 or 503 where none came.
    Written { number: u32, status: u16, reason: String },
    /// The peer tells more candidates.
    Candidates { body: Body },
    /// The final status of [`Session::inform`].
    Informed { status: u16 },
    /// Nobody has refreshed the session in time (RFC 4028 §10): call [`Session::expire`], or let it go on when that is known
    /// to be a server's fault.
    Expired,
    /// The dialog is still there: the answer to [`Session::probe`].
    Alive,
    /// Our re-INVITE or UPDATE was refused; the session goes on as it was before.
    OfferRejected { fork: Fork, status: u16, response: Option<Box<Response>> },
    /// 401 or 407 to a request of ours: call [`Session::authenticate`], or [`Session::give_up`] to let it count as a refusal.
    /// May come after `Ended`, for a BYE.
    Challenged { id: RequestId, request: Box<Request>, response: Box<Response> },
    /// Outgoing: a 3xx, best target first: call [`Session::follow`] with one of them, or [`Session::hang_up`].
    Redirected { contacts: Vec<NameAddr>, response: Box<Response> },
    /// Outgoing, with [`Config::offers_again`]: 488 or 606. Call [`Session::offer_again`], or [`Session::take_refusal`].
    Unacceptable { response: Box<Response> },
    /// An INFO, or an UPDATE or re-INVITE that may carry a new identity (connected line), was received and answered.
    Notified { request: Box<Request> },
    /// The peer asks us to call somebody else, on whose behalf is its own word; answered with 202 already. Call them, and say how
    /// it goes by [`Session::report_transfer`].
    Referred { target: Box<ReferTo>, by: Option<Box<NameAddr>> },
    /// How the call fares that we asked the peer to place, or the status our REFER was refused with. `over`: the last word.
    TransferProgress { status: u16, over: bool },
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
    /// Incoming: our 2xx, or a provisional response that the caller wanted reliably, was never acknowledged.
    NoAck,
    /// Nobody refreshed the session in time (RFC 4028).
    SessionExpired,
    /// Offer and answer did not come together: what was missing or wrong, in words.
    Negotiation(&'static str),
    /// The peer no longer knows the dialog (481), or did not answer a request in it (408).
    DialogLost { status: u16 },
}

#[cfg(test)]
mod tests;
