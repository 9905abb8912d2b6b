//! Reliable provisional responses: PRACK, both ways (RFC 3262).
//!
//! As the caller we say that we can, and acknowledge what comes reliably, each fork in its own order. As the callee we send
//! reliably where the caller insists on it, and descriptions where it can: one response at a time, repeated until its PRACK
//! comes. Offers and answers travel in both (RFC 3262 §5, RFC 6337 §2).
use super::offer_answer::{Carrier, OfferAnswer};
use super::session::{Kind, Sent, Session, Side, Timer, cseq_of};
use super::{Body, Cause, Event, Output};
use crate::sip::dialog::Fork;
use crate::sip::error::Refusal;
use crate::sip::key::ServerKey;
use crate::sip::message::{Headers, Method, Request, Response};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What a reliable provisional response means to the fork it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// It was not sent reliably.
    Unreliable,
    /// The next in order: it gets a PRACK with this RSeq.
    Next(u32),
    /// Seen before, or one before it is missing: it is not looked at (RFC 3262 §4).
    Ignored,
}

/// Whether a provisional response is the next of its fork; remembers it then.
pub(super) fn order(response: &Response, latest: &mut Option<u32>) -> Order {
    if !response.headers.has_token("Require", "100rel") {
        return Order::Unreliable;
    }
    match (response.headers.number("RSeq"), *latest) {
        (Ok(Some(rseq)), None) if rseq > 0 => {
            *latest = Some(rseq);
            Order::Next(rseq)
        }
        (Ok(Some(rseq)), Some(before)) if Some(rseq) == before.checked_add(1) => {
            *latest = Some(rseq);
            Order::Next(rseq)
        }
        _ => Order::Ignored,
    }
}

/// One response without its PRACK.
#[derive(Debug)]
struct Unacknowledged {
    rseq: u32,
    response: Response,
    /// Until it is sent again.
    interval: Duration,
    /// It carries our offer: the answer comes in the PRACK.
    is_offer: bool,
}

/// What we have sent reliably as the callee.
#[derive(Debug)]
pub(super) struct Reliable {
    invite: ServerKey,
    cseq: u32,
    /// The caller insists on it; else only descriptions go so.
    required: bool,
    next: u32,
    unacknowledged: Option<Unacknowledged>,
    /// Those that wait for it.
    waiting: VecDeque<Response>,
}

impl Reliable {
    /// `first`: the first RSeq, chosen at random (RFC 3262 §3).
    pub fn new(invite: ServerKey, cseq: u32, first: u32, required: bool) -> Self {
        Self { invite, cseq, required, next: first, unacknowledged: None, waiting: VecDeque::new() }
    }

    fn is_acknowledged_by(&self, prack: &Headers) -> bool {
        let mut words = prack.get("RAck").unwrap_or_default().split_ascii_whitespace();
        let mut number = || words.next().and_then(|word| word.parse::<u32>().ok());
        let (rseq, cseq) = (number(), number());
        let sent = self.unacknowledged.as_ref().map(|sent| sent.rseq);
        rseq.is_some() && rseq == sent && cseq == Some(self.cseq) && words.eq(["INVITE"])
    }
}

impl Session {
    pub(super) fn is_reliability_required(&self) -> bool {
        self.reliable.as_ref().is_some_and(|reliable| reliable.required)
    }

    /// Incoming, not answered yet: the caller insists on reliable provisional responses.
    pub fn insists_on_reliability(&self) -> bool {
        matches!(self.side, Side::Ringing(_)) && self.is_reliability_required()
    }

    /// Nothing that was sent reliably waits for its PRACK.
    pub(super) fn is_all_acknowledged(&self) -> bool {
        self.reliable.as_ref().is_none_or(|reliable| reliable.unacknowledged.is_none() && reliable.waiting.is_empty())
    }

    /// Acknowledges a reliable provisional response, with an answer or an offer of ours.
    pub(super) fn send_prack(&mut self, fork: Fork, rseq: u32, body: Option<(&Body, bool)>) {
        let cseq = self.invite.as_ref().map_or(0, |invite| cseq_of(&invite.headers));
        let Some(dialog) = self.dialog_of(fork) else { return };
        let (mut request, next_hop) = dialog.request(Method::Prack);
        request.headers.push("RAck", format_args!("{rseq} {cseq} INVITE"));
        let mut kind = Kind::Prack;
        if let Some((body, is_offer)) = body {
            body.put(&mut request.headers, &mut request.body);
            if is_offer && let Some(exchange) = self.exchange_of(fork) {
                kind = Kind::Offer;
                exchange.offers = OfferAnswer::Local;
                exchange.modify.offered();
            }
        }
        self.send(Sent::new(kind, request, next_hop));
    }

    /// Sends a provisional response reliably, or keeps it until the one before it is acknowledged.
    pub(super) fn send_reliably(&mut self, now: Instant, mut response: Response) {
        let is_offer = self.exchange.offers.is_local() && !response.body.is_empty();
        let Some(reliable) = &mut self.reliable else { return };
        if reliable.unacknowledged.is_some() {
            // The latest counts; a description must not be lost.
            reliable.waiting.retain(|waiting| !waiting.body.is_empty());
            return reliable.waiting.push_back(response);
        }
        response.headers.push("Require", "100rel");
        response.headers.push("RSeq", reliable.next);
        let (interval, rseq) = (self.config.timers.t1, reliable.next);
        let key = reliable.invite.clone();
        reliable.unacknowledged = Some(Unacknowledged { rseq, response: response.clone(), interval, is_offer });
        reliable.next = reliable.next.saturating_add(1);
        self.timers.set(Timer::Reliable, now + interval);
        self.timers.set(Timer::ReliableLimit, now + self.config.timers.limit());
        self.outputs.push_back(Output::Response { key, response });
    }

    /// The PRACK has not come: the response goes out again, each time after twice as long (RFC 3262 §3).
    pub(super) fn repeat_reliable(&mut self, now: Instant) {
        let Some(Reliable { invite, unacknowledged: Some(sent), .. }) = &mut self.reliable else { return };
        sent.interval *= 2;
        self.timers.set(Timer::Reliable, now + sent.interval);
        self.outputs.push_back(Output::Response { key: invite.clone(), response: sent.response.clone() });
    }

    /// It never came: the call is refused (RFC 3262 §3).
    pub(super) fn reliable_overdue(&mut self, now: Instant) {
        self.forget_reliable();
        self.refuse_invite(now, 504, &[], Cause::NoAck);
    }

    /// A final response ends the repeating.
    pub(super) fn forget_reliable(&mut self) {
        self.timers.stop(&Timer::Reliable);
        self.timers.stop(&Timer::ReliableLimit);
        if let Some(reliable) = &mut self.reliable {
            reliable.waiting.clear();
        }
    }

    /// The peer's PRACK: it may answer the offer of the response, or offer itself once that is allowed (RFC 3262 §5).
    pub(super) fn handle_prack(&mut self, now: Instant, key: ServerKey, request: &Request) -> Result<(), Refusal> {
        let reliable = self.reliable.as_mut().filter(|reliable| reliable.is_acknowledged_by(&request.headers));
        let Some(reliable) = reliable else { return Err(Refusal::NoDialog) };
        let is_offer = reliable.unacknowledged.take().is_some_and(|sent| sent.is_offer);
        let waiting = reliable.waiting.pop_front();
        self.timers.stop(&Timer::Reliable);
        self.timers.stop(&Timer::ReliableLimit);
        let taken = self.take_prack(now, key, request, is_offer);
        if let (Some(response), Side::Ringing(_)) = (waiting, &self.side) {
            self.send_reliably(now, response);
        }
        taken
    }

    fn take_prack(&mut self, now: Instant, key: ServerKey, request: &Request, is_offer: bool) -> Result<(), Refusal> {
        let (body, retry_after) = (Body::of(&request.headers, &request.body)?, self.rng.range(0, 10));
        let status = match (is_offer, body) {
            (false, None) => 200,
            (true, Some(body)) => {
                self.exchange.offers = OfferAnswer::Stable;
                self.events.push_back(Event::Answer { fork: self.fork, body });
                200
            }
            (true, None) => 200,
            (false, Some(_)) if !self.exchange.begun => 488,
            (false, Some(body)) => {
                self.exchange.offers.check_remote(retry_after)?;
                let carrier = Carrier::Update { key, request: Box::new(request.clone()) };
                self.open_exchange(now, self.fork, Some(body), carrier);
                return Ok(());
            }
        };
        let is_unanswered = is_offer && self.exchange.offers.is_local();
        let response = self.response(request, status);
        self.outputs.push_back(Output::Response { key, response });
        if is_unanswered {
            self.refuse_invite(now, 488, &[], Cause::Negotiation("the answer is missing"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::testing::request;

    #[test]
    fn each_fork_is_acknowledged_in_order_and_once() {
        let invite = request(
            "INVITE sip:bob@192.0.2.1 SIP/2.0
             Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKx
             From: <sip:alice@192.0.2.2>;tag=a
             To: <sip:bob@192.0.2.1>
             Call-ID: one
             CSeq: 7 INVITE",
        );
        let rows = [
            ("", None, Order::Unreliable),
            ("x", None, Order::Ignored),
            ("0", None, Order::Ignored),
            ("4294967296", None, Order::Ignored),
            ("5", Some(5), Order::Ignored),
            ("7", Some(5), Order::Ignored),
            ("6", Some(5), Order::Next(6)),
            ("4294967295", None, Order::Next(u32::MAX)),
            ("1", Some(u32::MAX), Order::Ignored),
        ];
        for (rseq, before, expected) in rows {
            let mut response = Response::to_request(&invite, 183, Some("b"));
            if !rseq.is_empty() {
                response.headers.push("Require", "100rel");
                response.headers.push("RSeq", rseq);
            }
            let mut latest = before;
            assert_eq!(order(&response, &mut latest), expected, "{rseq} after {before:?}");
            assert_eq!(latest, if let Order::Next(rseq) = expected { Some(rseq) } else { before });
        }
    }
}
