//! Changing the session: re-INVITE and UPDATE both ways, and glare (RFC 3261 §14, RFC 3311, RFC 6141).
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
//! A wish that comes in another state than Idle is kept, and granted when Idle is reached. Each early dialog has a machine of
//! its own: the offer goes by UPDATE there, else by re-INVITE after the answer.
use super::offer_answer::{Carrier, Exchange, OfferAnswer, Open};
use super::session::{Kind, Sent, Session, Side, Timer};
use super::session_timer::SessionTimer;
use super::{Body, Event};
use crate::sip::dialog::Fork;
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
    /// The wish is not worth asking the peer's user.
    by_update: bool,
}

impl Modify {
    pub const IDLE: Self = Self { state: State::Idle, again: false, glares: 0, by_update: false };
    pub const WISHED: Self = Self { state: State::Wished, ..Self::IDLE };

    fn step(&mut self, input: Input) {
        (self.state, self.again) = step(self.state, input, self.again);
    }

    /// The offer that is wished may be asked for.
    pub fn free(&mut self) {
        self.step(Input::Free);
    }

    pub fn offered(&mut self) {
        self.step(Input::Offer);
    }

    pub fn is_wished(&self) -> bool {
        self.state == State::Wished
    }
}

impl Session {
    /// Wishes to change the media (hold, resume, codec, address). `OfferWanted` is raised as soon as an offer may be sent:
    /// at once, after what is under way, and again after glare (491). `Answer` or `OfferRejected` tells the outcome. Before the
    /// answer the wish counts for every early dialog.
    pub fn reinvite(&mut self, now: Instant) {
        self.wish(now, false);
    }

    /// The same by UPDATE, where the peer takes it: its user need not be asked (RFC 3311 §5.1).
    pub fn update(&mut self, now: Instant) {
        self.wish(now, true);
    }

    fn wish(&mut self, now: Instant, by_update: bool) {
        if self.ended {
            return;
        }
        let wish = |exchange: &mut Exchange| {
            exchange.modify.step(Input::Wish);
            exchange.modify.by_update = by_update;
        };
        match &mut self.side {
            Side::Calling(calling) => {
                calling.wished = true;
                calling.exchanges.values_mut().for_each(wish);
            }
            Side::Ringing(_) | Side::Established | Side::Over => wish(&mut self.exchange),
        }
        self.settle(now);
    }

    pub(super) fn wish_declined(&mut self, fork: Fork) {
        if let Some(exchange) = self.exchange_of(fork) {
            exchange.modify.step(Input::Declined);
        }
    }

    pub(super) fn glare_elapsed(&mut self, fork: Fork) {
        if let Some(exchange) = self.exchange_of(fork) {
            exchange.modify.step(Input::Elapsed);
        }
    }

    /// Asks the user for its offer where one is wished and may be sent (RFC 3261 §14.1, RFC 3311 §5.1).
    pub(super) fn ask_for_offer(&mut self, now: Instant) {
        if self.ended {
            return;
        }
        for fork in self.free_forks() {
            self.want_offer(now, fork, Carrier::Ours);
        }
    }

    /// Asks the user for its offer in that dialog.
    pub(super) fn want_offer(&mut self, now: Instant, fork: Fork, carrier: Carrier) {
        let id = self.next_offer();
        let Some(exchange) = self.exchange_of(fork) else { return };
        exchange.modify.free();
        exchange.offers = OfferAnswer::Wanted(Open { id, carrier });
        self.timers.set(Timer::Answer(id), now + self.config.answer_limit);
        self.events.push_back(Event::OfferWanted { id, fork });
    }

    fn free_forks(&self) -> Vec<Fork> {
        let ready = |exchange: &Exchange| exchange.modify.is_wished() && exchange.offers.is_stable();
        let early = |exchange: &Exchange| ready(exchange) && exchange.begun && exchange.takes_updates;
        let is_free = match &self.side {
            Side::Established => ready(&self.exchange) && self.unacked.is_empty() && !self.is_inviting(),
            Side::Ringing(ringing) => early(&self.exchange) && !ringing.accepting && self.is_all_acknowledged(),
            Side::Over => false,
            Side::Calling(calling) => {
                let unanswered = |tag: &str| {
                    let mut pracks = self.requests.values().filter(|sent| sent.kind == Kind::Prack);
                    pracks.any(|sent| remote_tag(&sent.request).as_deref() == Some(tag))
                };
                let free = |fork: &Fork, exchange| {
                    early(exchange) && calling.forks.tag_of(*fork).is_some_and(|tag| !unanswered(tag))
                };
                return calling.exchanges.iter().filter(|(f, e)| free(f, e)).map(|(fork, _)| *fork).collect();
            }
        };
        is_free.then_some(self.fork).into_iter().collect()
    }

    /// Sends our offer: by UPDATE before the answer, or where it was wished so.
    pub(super) fn send_offer(&mut self, now: Instant, fork: Fork, offer: &Body) {
        let is_established = matches!(self.side, Side::Established);
        let Some(exchange) = self.exchange_of(fork) else { return };
        let by_update = !is_established || (exchange.modify.by_update && exchange.takes_updates);
        exchange.modify.step(Input::Offer);
        exchange.offers = OfferAnswer::Local;
        let Some(dialog) = self.dialog_of(fork) else { return };
        let (kind, method) = if by_update { (Kind::Offer, Method::Update) } else { (Kind::Reinvite, Method::Invite) };
        let (mut request, next_hop) = dialog.request(method);
        self.describe_request(&mut request.headers);
        offer.put(&mut request.headers, &mut request.body);
        if kind == Kind::Reinvite {
            self.timers.set(Timer::ModifyLimit, now + self.config.timers.limit());
        }
        self.send(Sent::new(kind, request, next_hop));
    }

    /// A 2xx to our UPDATE or PRACK with an offer.
    pub(super) fn offer_answered(&mut self, now: Instant, request: &Request, response: Response) {
        let Some(fork) = self.fork_of(request).filter(|_| !self.ended) else { return };
        if request.method == Method::Update {
            if let Some(dialog) = self.dialog_of(fork) {
                dialog.refresh(&response.headers);
            }
            if matches!(self.side, Side::Established) {
                self.session_timer.take(&response);
                self.restart_session_timer(now);
            }
        }
        self.offer_settled(fork);
        self.tell_answer(fork, response);
    }

    fn tell_answer(&mut self, fork: Fork, response: Response) {
        match Body::of(&response.headers, &response.body) {
            Ok(Some(body)) => self.events.push_back(Event::Answer { fork, body }),
            // An offer without an answer changes nothing (RFC 3264 §4).
            Ok(None) | Err(_) => {
                let (status, response) = (response.status, Some(Box::new(response)));
                self.events.push_back(Event::OfferRejected { fork, status, response });
            }
        }
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
        self.offer_settled(self.fork);
        self.tell_answer(self.fork, response);
    }

    /// A final response other than 2xx to an offer of ours, or none (`response` is `None`; 408 or 503).
    pub(super) fn offer_refused(&mut self, now: Instant, request: &Request, status: u16, response: Option<Response>) {
        let Some(fork) = self.fork_of(request).filter(|_| !self.ended) else { return };
        let Some(exchange) = self.exchange_of(fork) else { return };
        exchange.offers = OfferAnswer::Stable;
        let may_wait = exchange.modify.glares < MAX_GLARES;
        if request.method == Method::Invite {
            self.timers.stop(&Timer::ModifyLimit);
        }
        let retry_after = response.as_ref().and_then(|r| r.headers.number("Retry-After").ok().flatten());
        match (status, retry_after) {
            // RFC 3261 §14.1: the session is as it was, the dialog is gone.
            (408 | 481, _) if matches!(self.side, Side::Established) => return self.lost(status),
            (491, _) if may_wait => {
                let back_off = self.glare_back_off();
                return self.back_off(now, fork, back_off);
            }
            // The peer has an offer of its own under way (RFC 3261 §14.2, RFC 3311 §5.2).
            (500, Some(seconds @ 0..=10)) if may_wait => {
                let back_off = Duration::from_secs(seconds.into()).max(self.config.timers.t1);
                return self.back_off(now, fork, back_off);
            }
            (422, _) if response.as_ref().is_some_and(|response| self.session_timer.raise(response)) => {
                return self.back_off(now, fork, self.config.timers.t1);
            }
            // The wish is left to the re-INVITE.
            (405 | 501, _) if request.method == Method::Update => {
                if let Some(exchange) = self.exchange_of(fork) {
                    exchange.takes_updates = false;
                }
                return self.back_off(now, fork, self.config.timers.t1);
            }
            _ => {}
        }
        self.offer_settled(fork);
        self.events.push_back(Event::OfferRejected { fork, status, response: response.map(Box::new) });
    }

    fn offer_settled(&mut self, fork: Fork) {
        if matches!(self.side, Side::Established) {
            self.timers.stop(&Timer::ModifyLimit);
        }
        let Some(exchange) = self.exchange_of(fork) else { return };
        exchange.offers = OfferAnswer::Stable;
        exchange.modify.glares = 0;
        exchange.modify.step(Input::Settled);
    }

    fn back_off(&mut self, now: Instant, fork: Fork, delay: Duration) {
        let Some(exchange) = self.exchange_of(fork) else { return };
        exchange.modify.glares += 1;
        exchange.modify.step(Input::Glare);
        self.timers.set(Timer::Glare(fork), now + delay);
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
        let retry_after = self.rng.range(0, 10);
        self.exchange.offers.check_remote(retry_after)?;
        if SessionTimer::is_too_short(&request) {
            return Err(Refusal::SessionInterval);
        }
        if self.unacked.len() >= MAX_UNACKED || !matches!(self.side, Side::Established) {
            return Err(Refusal::Busy { retry_after });
        }
        let body = Body::of(&request.headers, &request.body)?;
        self.open_exchange(now, self.fork, body, Carrier::Invite { key, request: Box::new(request) });
        Ok(())
    }

    /// Raises `Offer`, or `OfferWanted` where the peer sent none.
    pub(super) fn open_exchange(&mut self, now: Instant, fork: Fork, body: Option<Body>, carrier: Carrier) {
        let id = self.next_offer();
        let Some(exchange) = self.exchange_of(fork) else { return };
        exchange.modify.step(Input::Overtaken);
        let open = Open { id, carrier };
        let (offers, event) = match body {
            Some(body) => (OfferAnswer::Remote(open), Event::Offer { id, fork, body }),
            None => (OfferAnswer::Wanted(open), Event::OfferWanted { id, fork }),
        };
        if let OfferAnswer::Wanted(ours) = std::mem::replace(&mut exchange.offers, offers) {
            self.timers.stop(&Timer::Answer(ours.id));
        }
        self.timers.set(Timer::Answer(id), now + self.config.answer_limit);
        self.events.push_back(event);
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
        self.exchange.offers = if is_offer { OfferAnswer::Local } else { OfferAnswer::Stable };
        self.send_success(now, key, response, is_offer, false);
        self.restart_session_timer(now);
        self.notify_identity(request);
    }
}

/// The peer's tag of a request of ours.
pub(super) fn remote_tag(request: &Request) -> Option<String> {
    request.headers.to().ok().and_then(|to| to.tag().map(str::to_owned))
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
