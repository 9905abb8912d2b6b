//! Changing the session: re-INVITE both ways, and glare (RFC 3261 §14, RFC 6141).
//!
//! ```text
//!            wish             free: ask the user           offer: send re-INVITE
//!   +------+ ----> +--------+ -----------> +--------+ ---------------------------> +------+
//!   | Idle |       | Wished | <----------- | Asking |                              | Sent |
//!   +------+       +--------+  the peer's  +--------+ -- declined --> Idle         +------+
//!      ^               ^       own offer                                            |    |
//!      |               | time is up    +----------+  491, or 500 with Retry-After   |    |
//!      |               +-------------- | Back-off | <-------------------------------+    |
//!      |                               +----------+                                      |
//!      +---------------------------------------------------------------------------------+
//!                                  2xx or any other refusal
//! ```
//! A wish that comes in another state than Idle is kept, and granted when Idle is reached.
use super::offer_answer::{Carrier, OfferAnswer, Open};
use super::session::{Kind, Sent, Session, Side, Timer};
use super::session_timer::SessionTimer;
use super::{Body, Event};
use crate::sip::error::Refusal;
use crate::sip::key::ServerKey;
use crate::sip::message::{Method, Request, Response};
use std::time::{Duration, Instant};

/// After so many glares in a row the wish is given up.
const MAX_GLARES: u32 = 8;
/// 2xx responses to re-INVITEs that may wait for their ACK at a time.
const MAX_UNACKED: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Idle,
    Wished,
    Asking,
    Sent,
    BackOff,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    Wish,
    /// Neither an offer nor an INVITE is open.
    Free,
    /// The peer's own offer came while the user was asked.
    Overtaken,
    /// The user gave its offer.
    Offer,
    /// The user has none.
    Declined,
    /// A final response that settles it.
    Settled,
    Glare,
    /// The time of the back-off is up.
    Elapsed,
}

/// The next state, and whether a wish remains for later.
fn step(state: State, input: Input, again: bool) -> (State, bool) {
    match (state, input) {
        (State::Idle, Input::Wish) => (State::Wished, false),
        (State::Wished, Input::Free) => (State::Asking, false),
        (State::Asking, Input::Overtaken) => (State::Wished, false),
        (State::Asking, Input::Offer) => (State::Sent, again),
        (State::Sent, Input::Wish) => (State::Sent, true),
        (State::Asking, Input::Declined) | (State::Sent, Input::Settled) if again => (State::Wished, false),
        (State::Asking, Input::Declined) | (State::Sent, Input::Settled) => (State::Idle, false),
        (State::Sent, Input::Glare) => (State::BackOff, false),
        (State::BackOff, Input::Elapsed) => (State::Wished, false),
        // A wish before the offer was made is part of it; the rest cannot happen or has no meaning.
        (State::Idle, Input::Free | Input::Overtaken | Input::Offer | Input::Declined | Input::Settled)
        | (State::Idle, Input::Glare | Input::Elapsed)
        | (State::Wished, Input::Wish | Input::Overtaken | Input::Offer | Input::Declined | Input::Settled)
        | (State::Wished, Input::Glare | Input::Elapsed)
        | (State::Asking, Input::Wish | Input::Free | Input::Settled | Input::Glare | Input::Elapsed)
        | (State::Sent, Input::Free | Input::Overtaken | Input::Offer | Input::Declined | Input::Elapsed)
        | (State::BackOff, Input::Wish | Input::Free | Input::Overtaken | Input::Offer | Input::Declined)
        | (State::BackOff, Input::Settled | Input::Glare) => (state, again),
    }
}

#[derive(Debug)]
pub(super) struct Modify {
    state: State,
    again: bool,
    glares: u32,
}

impl Modify {
    pub const IDLE: Self = Self { state: State::Idle, again: false, glares: 0 };

    fn step(&mut self, input: Input) {
        (self.state, self.again) = step(self.state, input, self.again);
    }

    pub fn overtaken(&mut self) {
        self.step(Input::Overtaken);
    }

    pub fn declined(&mut self) {
        self.step(Input::Declined);
    }

    pub fn elapsed(&mut self) {
        self.step(Input::Elapsed);
    }
}

impl Session {
    /// Wishes to change the media (hold, resume, codec, address). `OfferWanted` is raised as soon as an offer may be sent:
    /// at once, after what is under way, and again after glare (491). `Answer` or `OfferRejected` tells the outcome.
    pub fn reinvite(&mut self, now: Instant) {
        if !self.ended {
            self.modify.step(Input::Wish);
            self.settle(now);
        }
    }

    /// Asks the user for its offer when one is wished and may be sent (RFC 3261 §14.1).
    pub(super) fn ask_for_offer(&mut self, now: Instant) {
        let free = matches!(self.side, Side::Established)
            && !self.ended
            && self.offers.is_stable()
            && self.unacked.is_empty()
            && !self.is_inviting();
        if self.modify.state == State::Wished && free {
            self.modify.step(Input::Free);
            let id = self.next_offer();
            self.offers = OfferAnswer::Wanted(Open { id, carrier: Carrier::Ours });
            self.timers.set(Timer::Answer, now + self.config.answer_limit);
            self.events.push_back(Event::OfferWanted { id });
        }
    }

    /// Sends a re-INVITE with the user's offer.
    pub(super) fn send_reinvite(&mut self, now: Instant, offer: &Body) {
        let Some(dialog) = &mut self.dialog else { return };
        self.modify.step(Input::Offer);
        let (mut request, next_hop) = dialog.request(Method::Invite);
        self.describe_request(&mut request.headers, true);
        offer.put(&mut request.headers, &mut request.body);
        self.offers = OfferAnswer::Local;
        self.timers.set(Timer::ModifyLimit, now + self.config.timers.limit());
        self.send(Sent::new(Kind::Reinvite, request, next_hop));
    }

    /// A 2xx to our re-INVITE.
    pub(super) fn reinvite_accepted(&mut self, now: Instant, sent: &Sent, response: Response) {
        let Some(dialog) = &mut self.dialog else { return };
        dialog.refresh(&response.headers);
        self.acknowledge(now, &sent.request, None);
        if self.ended {
            return;
        }
        self.session_timer.take(&response);
        self.restart_session_timer(now);
        self.reinvite_settled();
        match Body::of(&response.headers, &response.body) {
            Ok(Some(body)) => self.events.push_back(Event::Answer { fork: self.fork, body }),
            // An offer without an answer changes nothing (RFC 3264 §4).
            Ok(None) | Err(_) => {
                let (status, response) = (response.status, Some(Box::new(response)));
                self.events.push_back(Event::OfferRejected { status, response });
            }
        }
    }

    /// A final response other than 2xx to our re-INVITE, or none (`response` is `None`; 408 or 503).
    pub(super) fn reinvite_refused(&mut self, now: Instant, status: u16, response: Option<Response>) {
        if self.ended {
            return;
        }
        self.offers = OfferAnswer::Stable;
        self.timers.stop(&Timer::ModifyLimit);
        let retry_after = response.as_ref().and_then(|r| r.headers.number("Retry-After").ok().flatten());
        match (status, retry_after) {
            // RFC 3261 §14.1: the session is as it was, the dialog is gone.
            (408 | 481, _) => return self.lost(status),
            (491, _) if self.modify.glares < MAX_GLARES => {
                let back_off = self.glare_back_off();
                self.back_off(now, back_off);
                return;
            }
            // The peer has an offer of its own under way (RFC 3261 §14.2).
            (500, Some(seconds @ 0..=10)) if self.modify.glares < MAX_GLARES => {
                self.back_off(now, Duration::from_secs(seconds.into()).max(self.config.timers.t1));
                return;
            }
            (422, _) if response.as_ref().is_some_and(|response| self.session_timer.raise(response)) => {
                self.back_off(now, self.config.timers.t1);
                return;
            }
            _ => {}
        }
        self.reinvite_settled();
        self.events.push_back(Event::OfferRejected { status, response: response.map(Box::new) });
    }

    fn reinvite_settled(&mut self) {
        self.offers = OfferAnswer::Stable;
        self.timers.stop(&Timer::ModifyLimit);
        self.modify.glares = 0;
        self.modify.step(Input::Settled);
    }

    fn back_off(&mut self, now: Instant, delay: Duration) {
        self.modify.glares += 1;
        self.modify.step(Input::Glare);
        self.timers.set(Timer::Glare, now + delay);
    }

    /// RFC 3261 §14.1: the owner of the Call-ID waits 2.1 to 4 s, the other up to 2 s, in units of 10 ms.
    fn glare_back_off(&mut self) -> Duration {
        let units = if self.initiator { self.rng.range(210, 400) } else { self.rng.range(0, 200) };
        Duration::from_millis(u64::from(units) * 10)
    }

    /// The peer's re-INVITE (RFC 3261 §14.2).
    pub(super) fn handle_reinvite(&mut self, now: Instant, key: ServerKey, request: Request) -> Result<(), Refusal> {
        if self.is_inviting() {
            return Err(Refusal::Pending);
        }
        self.offers.check_remote(&mut self.rng)?;
        if SessionTimer::is_too_short(&request) {
            return Err(Refusal::SessionInterval);
        }
        if self.unacked.len() >= MAX_UNACKED || !matches!(self.side, Side::Established) {
            return Err(Refusal::Busy { retry_after: self.rng.range(0, 10) });
        }
        let body = Body::of(&request.headers, &request.body)?;
        self.open_exchange(now, body, Carrier::Invite { key, request: Box::new(request) });
        Ok(())
    }

    /// Raises `Offer`, or `OfferWanted` where the peer sent none.
    pub(super) fn open_exchange(&mut self, now: Instant, body: Option<Body>, carrier: Carrier) {
        self.modify.overtaken();
        let id = self.next_offer();
        let open = Open { id, carrier };
        self.timers.set(Timer::Answer, now + self.config.answer_limit);
        match body {
            Some(body) => {
                self.offers = OfferAnswer::Remote(open);
                self.events.push_back(Event::Offer { id, body });
            }
            None => {
                self.offers = OfferAnswer::Wanted(open);
                self.events.push_back(Event::OfferWanted { id });
            }
        }
    }

    /// Accepts the peer's re-INVITE. `is_offer`: the body is our offer, its answer comes in the ACK.
    pub(super) fn accept_reinvite(
        &mut self,
        now: Instant,
        key: ServerKey,
        request: &Request,
        body: &Body,
        is_offer: bool,
    ) {
        let response = self.success(request, Some(body));
        if let Some(dialog) = &mut self.dialog {
            dialog.refresh(&request.headers);
        }
        self.offers = if is_offer { OfferAnswer::Local } else { OfferAnswer::Stable };
        self.send_success(now, key, response, is_offer, false);
        self.restart_session_timer(now);
        self.notify_identity(request);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_and_input() {
        use Input::*;
        let rows = [
            (State::Idle, Wish, State::Wished),
            (State::Wished, Free, State::Asking),
            (State::Asking, Overtaken, State::Wished),
            (State::Asking, Offer, State::Sent),
            (State::Asking, Declined, State::Idle),
            (State::Sent, Settled, State::Idle),
            (State::Sent, Glare, State::BackOff),
            (State::BackOff, Elapsed, State::Wished),
        ];
        for state in [State::Idle, State::Wished, State::Asking, State::Sent, State::BackOff] {
            for input in [Wish, Free, Overtaken, Offer, Declined, Settled, Glare, Elapsed] {
                let row = rows.iter().find(|(s, i, _)| (*s, *i) == (state, input));
                assert_eq!(step(state, input, false).0, row.map_or(state, |row| row.2), "{state:?} {input:?}");
            }
        }
    }

    #[test]
    fn a_wish_while_a_reinvite_is_out_is_granted_after_it() {
        let rows = [(Input::Settled, State::Wished), (Input::Glare, State::BackOff)];
        for (input, expected) in rows {
            let (state, again) = step(State::Sent, Input::Wish, false);
            assert_eq!((state, again), (State::Sent, true));
            assert_eq!(step(state, input, again), (expected, false));
        }
    }
}
