//! The callee's side until the final response (RFC 3261 §13.3, §9.2).
//!
//! ```text
//!                      +---------+ ---+ provisional: 18x, again every minute
//!         INVITE ----> | Ringing | <--+
//!                      +---------+
//!            accept: 2xx |     | reject: 300-699; CANCEL or BYE: 487; rung too long: 480
//!                        v     v
//!            +-------------+  +------+
//!            | Established |  | Over |
//!            +-------------+  +------+
//! ```
use super::offer_answer::{Carrier, Exchange, OfferAnswer, Open};
use super::reliable::Reliable;
use super::session::{Session, Side, Timer, cseq_of};
use super::session_timer::SessionTimer;
use super::{Body, Cause, Config, OfferId, Output, Reason};
use crate::base::rng::Rng;
use crate::sip::dialog::Dialog;
use crate::sip::error::Refusal;
use crate::sip::key::{ServerKey, SessionKey};
use crate::sip::message::{NameAddr, Request, Response};
use crate::sip::options::ALLOW;
use std::time::{Duration, Instant};

/// Proxies forget a call that does not ring for three minutes; a provisional response keeps it (RFC 3261 §13.3.1.1).
const REPEAT_PROVISIONAL: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Ringing {
    pub key: ServerKey,
    request: Request,
    offer: Option<Body>,
    /// Our answer, once it was sent as early media.
    early: Option<Body>,
    latest: Option<Response>,
    /// The user has answered; the 2xx waits for what is under way in the early dialog (RFC 3262 §3, RFC 6337 §3.1).
    pub accepting: bool,
}

impl Session {
    /// Takes an INVITE that is outside of dialogs. 100 Trying is the transaction layer's; ringing is [`Session::provisional`].
    /// The offer is [`Session::offer`].
    ///
    /// # Errors
    /// The response to be sent when the INVITE cannot be taken (400, 415, 420).
    pub fn incoming(
        now: Instant,
        config: Config,
        contact: NameAddr,
        key: ServerKey,
        request: &Request,
        mut rng: Rng,
    ) -> Result<Self, Box<Response>> {
        let local_tag = rng.hex(16);
        let take = || -> Result<_, Refusal> {
            Refusal::check_extensions(request)?;
            Refusal::check_accept(request)?;
            if SessionTimer::is_too_short(request) {
                return Err(Refusal::SessionInterval);
            }
            let offer = Body::of(&request.headers, &request.body)?;
            if request.headers.to()?.tag().is_some() {
                return Err(Refusal::NoDialog);
            }
            Ok((offer, Dialog::of_server(request, &local_tag)?, request.headers.call_id()?.to_owned()))
        };
        let (offer, dialog, call_id) = take().map_err(|refusal| Box::new(refusal.answer(request, &local_tag)))?;
        let open = Open { id: OfferId(0), carrier: Carrier::Initial };
        let offers = if offer.is_some() { OfferAnswer::Remote(open) } else { OfferAnswer::Wanted(open) };
        let required = request.headers.has_token("Require", "100rel");
        let reliable = (required || request.headers.has_token("Supported", "100rel"))
            .then(|| Reliable::new(key.clone(), cseq_of(&request.headers), rng.range(1, 1 << 30), required));
        let ringing = Ringing { key, request: request.clone(), offer, early: None, latest: None, accepting: false };
        let side = Side::Ringing(Box::new(ringing));
        let mut session = Self::new(config, rng, SessionKey { call_id, local_tag }, contact, side);
        session.exchange = Exchange::new(offers, false);
        session.exchange.learn_methods(&request.headers);
        session.reliable = reliable;
        session.dialog = Some(dialog);
        session.timers.set(Timer::Ring, now + session.config.ring_limit);
        Ok(session)
    }

    /// Whether this is the INVITE transaction that a `Cancelled` event names.
    pub fn is_invited_by(&self, key: &ServerKey) -> bool {
        match &self.side {
            Side::Ringing(ringing) => ringing.key == *key,
            Side::Calling(_) | Side::Established | Side::Over => {
                matches!(self.exchange.offers.open(), Some(Open { carrier: Carrier::Invite { key: own, .. }, .. }) if own == key)
            }
        }
    }

    /// Incoming: the offer of the INVITE; `None` when the caller wants the offer from us, and after the final response.
    pub fn offer(&self) -> Option<&Body> {
        match &self.side {
            Side::Ringing(ringing) => ringing.offer.as_ref(),
            Side::Calling(_) | Side::Established | Side::Over => None,
        }
    }

    /// Incoming, not yet answered: sends 180, 183, ... The same response is repeated every minute. `body` is our answer as
    /// early media (RFC 6337 §3.1), or our offer where the INVITE had none; it is sent reliably where the caller can, and counts
    /// then: the 2xx has none, and other offers may follow. Without that an offer is left out.
    pub fn provisional(&mut self, now: Instant, status: u16, body: Option<Body>) {
        let Side::Ringing(ringing) = &self.side else { return };
        if self.ended || ringing.accepting || !(101..200).contains(&status) {
            return;
        }
        let (has_offer, begun) = (ringing.offer.is_some(), self.exchange.begun);
        let body = body.filter(|_| !begun && (has_offer || self.reliable.is_some()));
        // Reliably, the first response of a call without an offer has to bring ours (RFC 3262 §5).
        if self.is_reliability_required() && !has_offer && !begun && body.is_none() {
            return;
        }
        let mut response = self.response_to_invite(&ringing.request, status);
        let latest = response.clone();
        if let Some(body) = &body {
            body.put(&mut response.headers, &mut response.body);
        }
        let reliably = self.is_reliability_required() || (self.reliable.is_some() && body.is_some());
        if reliably && body.is_some() {
            self.exchange.begun = true;
            self.exchange.offers = if has_offer { OfferAnswer::Stable } else { OfferAnswer::Local };
        }
        if let Side::Ringing(ringing) = &mut self.side {
            ringing.latest = Some(if reliably { latest } else { response.clone() });
            ringing.early = body.filter(|_| !reliably).or(ringing.early.take());
        }
        self.send_provisional(now, response, reliably);
    }

    /// Incoming, not yet answered: sends 200. `body` is our answer, or our offer when the INVITE had none; `None` repeats
    /// the body given to `provisional`. Without any body the call is refused (500). After a reliable provisional response with a
    /// description the 2xx has none, and waits until nothing is open in the early dialog.
    pub fn accept(&mut self, now: Instant, body: Option<Body>) {
        let Side::Ringing(ringing) = &mut self.side else { return };
        if self.exchange.begun {
            ringing.accepting = true;
            return self.settle(now);
        }
        let Some(body) = body.or_else(|| ringing.early.clone()) else { return self.reject(now, 500, &[]) };
        let is_offer = ringing.offer.is_none();
        self.send_acceptance(now, Some(&body), is_offer);
    }

    pub(super) fn accept_when_agreed(&mut self, now: Instant) {
        let Side::Ringing(ringing) = &self.side else { return };
        if ringing.accepting && self.exchange.offers.is_stable() && self.is_all_acknowledged() {
            self.send_acceptance(now, None, false);
        }
    }

    fn send_acceptance(&mut self, now: Instant, body: Option<&Body>, is_offer: bool) {
        let Side::Ringing(ringing) = &self.side else { return };
        let (key, request) = (ringing.key.clone(), ringing.request.clone());
        let mut response = self.success(&request, body);
        record_route(&request, &mut response);
        self.timers.stop(&Timer::Ring);
        self.timers.stop(&Timer::Provisional);
        if body.is_some() {
            self.exchange.offers = if is_offer { OfferAnswer::Local } else { OfferAnswer::Stable };
        }
        self.side = Side::Established;
        self.forget_reliable();
        self.send_success(now, key, response, is_offer, true);
        self.restart_session_timer(now);
    }

    /// Incoming, not yet answered: refuses with a status from 300 on.
    pub fn reject(&mut self, now: Instant, status: u16, headers: &[(&str, &str)]) {
        let status = if (300..700).contains(&status) { status } else { 603 };
        self.refuse_invite(now, status, headers, Cause::Rejected { status });
    }

    /// `transaction::Event::Cancelled` for the INVITE of this session (or for a re-INVITE in it).
    pub fn handle_cancelled(&mut self, now: Instant, key: &ServerKey, cancel: &Request) {
        if !self.is_invited_by(key) {
            return;
        }
        match &self.side {
            Side::Ringing(_) => {
                let cause = Cause::PeerCancelled { reasons: Reason::of(&cancel.headers) };
                self.refuse_invite(now, 487, &[], cause);
            }
            Side::Calling(_) | Side::Established | Side::Over => self.abandon_exchange(now, self.fork),
        }
        self.settle(now);
    }

    /// Sends the final response other than 2xx, and ends the call.
    pub(super) fn refuse_invite(&mut self, now: Instant, status: u16, headers: &[(&str, &str)], cause: Cause) {
        let Side::Ringing(ringing) = &self.side else { return };
        let mut response = self.response(&ringing.request, status);
        headers.iter().for_each(|(name, value)| response.headers.push(name, value));
        let key = ringing.key.clone();
        self.outputs.push_back(Output::Response { key, response });
        self.forget_reliable();
        self.side = Side::Over;
        self.end(now, cause);
    }

    /// Sends the latest provisional response (again).
    pub(super) fn repeat_provisional(&mut self, now: Instant) {
        let Side::Ringing(ringing) = &self.side else { return };
        let Some(response) = ringing.latest.clone() else { return };
        self.send_provisional(now, response, self.is_reliability_required());
    }

    fn send_provisional(&mut self, now: Instant, response: Response, reliably: bool) {
        let Side::Ringing(ringing) = &self.side else { return };
        self.timers.set(Timer::Provisional, now + REPEAT_PROVISIONAL);
        if reliably {
            return self.send_reliably(now, response);
        }
        self.outputs.push_back(Output::Response { key: ringing.key.clone(), response });
    }

    /// Nobody answered, here or there.
    pub(super) fn unanswered(&mut self, now: Instant) {
        match &self.side {
            Side::Calling(_) => self.cancel(now, Cause::Unanswered, None),
            Side::Ringing(_) => self.refuse_invite(now, 480, &[], Cause::Unanswered),
            Side::Established | Side::Over => {}
        }
    }

    /// A response that makes a dialog (RFC 3261 §12.1.1).
    fn response_to_invite(&self, request: &Request, status: u16) -> Response {
        let mut response = self.response(request, status);
        record_route(request, &mut response);
        response.headers.push("Contact", &self.contact);
        response.headers.push("Allow", ALLOW);
        self.tell_packages(&mut response.headers);
        response
    }
}

fn record_route(request: &Request, response: &mut Response) {
    request.headers.all("Record-Route").for_each(|hop| response.headers.push("Record-Route", hop));
}
