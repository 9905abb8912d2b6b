//! Reliable provisional responses: PRACK, both ways (RFC 3262).
//!
//! As the caller we say that we can, and acknowledge what comes reliably, each fork in its own order. As the callee we send
//! reliably where the caller insists on it: one response at a time, repeated until its PRACK comes.
use super::session::{Kind, Sent, Session, Side, Timer};
use super::{Cause, Output};
use crate::sip::dialog::Early;
use crate::sip::error::Refusal;
use crate::sip::key::ServerKey;
use crate::sip::message::{Headers, Method, Request, Response};
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

/// The PRACK of a fork, with its next hop.
pub(super) fn prack(early: &mut Early, rseq: u32, cseq: u32) -> Sent {
    let (mut request, next_hop) = early.dialog.request(Method::Prack);
    request.headers.push("RAck", format_args!("{rseq} {cseq} INVITE"));
    Sent::new(Kind::Prack, request, next_hop)
}

/// What we have sent reliably as the callee.
#[derive(Debug)]
pub(super) struct Reliable {
    invite: ServerKey,
    cseq: u32,
    next: u32,
    /// Without its PRACK yet, and the time until it is sent again.
    unacknowledged: Option<(u32, Response, Duration)>,
    /// The latest that waits for it.
    waiting: Option<Response>,
}

impl Reliable {
    /// `first`: the first RSeq, chosen at random (RFC 3262 §3).
    pub fn new(invite: ServerKey, cseq: u32, first: u32) -> Self {
        Self { invite, cseq, next: first, unacknowledged: None, waiting: None }
    }

    fn is_acknowledged_by(&self, prack: &Headers) -> bool {
        let mut words = prack.get("RAck").unwrap_or_default().split_ascii_whitespace();
        let mut number = || words.next().and_then(|word| word.parse::<u32>().ok());
        let (rseq, cseq) = (number(), number());
        let sent = self.unacknowledged.as_ref().map(|(rseq, _, _)| *rseq);
        rseq.is_some() && rseq == sent && cseq == Some(self.cseq) && words.eq(["INVITE"])
    }
}

impl Session {
    /// Sends a provisional response reliably, or keeps it until the one before it is acknowledged.
    pub(super) fn send_reliably(&mut self, now: Instant, mut response: Response) {
        let Some(reliable) = &mut self.reliable else { return };
        if reliable.unacknowledged.is_some() {
            reliable.waiting = Some(response);
            return;
        }
        response.headers.push("Require", "100rel");
        response.headers.push("RSeq", reliable.next);
        let interval = self.config.timers.t1;
        let key = reliable.invite.clone();
        reliable.unacknowledged = Some((reliable.next, response.clone(), interval));
        reliable.next = reliable.next.saturating_add(1);
        self.timers.set(Timer::Reliable, now + interval);
        self.timers.set(Timer::ReliableLimit, now + self.config.timers.limit());
        self.outputs.push_back(Output::Response { key, response });
    }

    /// The PRACK has not come: the response goes out again, each time after twice as long (RFC 3262 §3).
    pub(super) fn repeat_reliable(&mut self, now: Instant) {
        let Some(Reliable { invite, unacknowledged: Some((_, response, interval)), .. }) = &mut self.reliable else {
            return;
        };
        *interval *= 2;
        self.timers.set(Timer::Reliable, now + *interval);
        self.outputs.push_back(Output::Response { key: invite.clone(), response: response.clone() });
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
            reliable.waiting = None;
        }
    }

    /// The peer's PRACK. It brings no description: our responses carry none that it could answer.
    pub(super) fn handle_prack(&mut self, now: Instant, key: ServerKey, request: &Request) -> Result<(), Refusal> {
        let reliable = self.reliable.as_mut().filter(|reliable| reliable.is_acknowledged_by(&request.headers));
        let Some(reliable) = reliable else { return Err(Refusal::NoDialog) };
        reliable.unacknowledged = None;
        let waiting = reliable.waiting.take();
        self.timers.stop(&Timer::Reliable);
        self.timers.stop(&Timer::ReliableLimit);
        let status = if request.body.is_empty() { 200 } else { 488 };
        let response = self.response(request, status);
        self.outputs.push_back(Output::Response { key, response });
        if let (Some(response), Side::Ringing(_)) = (waiting, &self.side) {
            self.send_reliably(now, response);
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
