//! The end of a call: hanging up in every state, and BYE both ways (RFC 3261 §15).
use super::offer_answer::{Carrier, OfferAnswer, Open};
use super::session::{Bye, Kind, Sent, Session, Side, Timer};
use super::{Cause, Event, Output, Reason};
use crate::sip::dialog::{Dialog, Fork};
use crate::sip::key::ServerKey;
use crate::sip::message::{Method, Request};
use crate::sip::options::name_software;
use std::time::Instant;

impl Session {
    /// Ends the call, whatever its state: CANCEL, a refusal (603), BYE. `reason` is a Reason header value, such as
    /// `SIP;cause=480;text="no media"`.
    pub fn hang_up(&mut self, now: Instant, reason: Option<&str>) {
        if self.ended {
            return;
        }
        match &self.side {
            Side::Calling(_) => self.cancel(now, Cause::Cancelled, reason),
            Side::Ringing(_) => {
                let headers: Vec<(&str, &str)> = reason.map(|value| ("Reason", value)).into_iter().collect();
                self.reject(now, 603, &headers);
            }
            Side::Established => {
                self.end(now, Cause::HungUp);
                self.say_bye(reason);
            }
            Side::Over => {}
        }
        self.settle(now);
    }

    /// The peer's BYE (RFC 3261 §15.1.2). While it rings, it is the caller that gives up.
    pub(super) fn handle_bye(&mut self, now: Instant, key: ServerKey, request: &Request) {
        let response = self.response(request, 200);
        self.outputs.push_back(Output::Response { key, response });
        let reasons = Reason::of(&request.headers);
        match &self.side {
            Side::Ringing(_) => self.refuse_invite(now, 487, &[], Cause::PeerCancelled { reasons }),
            Side::Established => {
                self.forget_unacked(true);
                self.bye = Bye::None;
                self.end(now, Cause::PeerHungUp { reasons });
            }
            // A callee may not end an early dialog so; the INVITE's own final response follows.
            Side::Calling(_) | Side::Over => {}
        }
    }

    /// Tells the user, once, and lets go of all that only a live call needs.
    pub(super) fn end(&mut self, now: Instant, cause: Cause) {
        if self.ended {
            return;
        }
        self.ended = true;
        self.abandon_exchanges(now);
        self.drop_challenged();
        self.forget_unacked(false);
        for timer in
            [Timer::Ring, Timer::Provisional, Timer::ModifyLimit, Timer::Refresh, Timer::Expiry, Timer::Reports]
        {
            self.timers.stop(&timer);
        }
        self.linger(now);
        self.events.push_back(Event::Ended { cause });
    }

    /// Waits long enough for a CANCEL or a BYE, its challenge, and the INVITE or 2xx before it to be given up.
    pub(super) fn linger(&mut self, now: Instant) {
        self.timers.set(Timer::Linger, now + self.config.timers.limit() * 3);
    }

    /// Ends a call whose offer and answer did not come together.
    pub(super) fn break_off(&mut self, now: Instant, why: &'static str) {
        self.end(now, Cause::Negotiation(why));
        self.say_bye(None);
    }

    /// Closes the exchanges that wait for the user.
    pub(super) fn abandon_exchanges(&mut self, now: Instant) {
        let forks: Vec<Fork> = match &self.side {
            Side::Calling(calling) => calling.exchanges.keys().copied().collect(),
            Side::Ringing(_) | Side::Established | Side::Over => vec![self.fork],
        };
        forks.into_iter().for_each(|fork| self.abandon_exchange(now, fork));
    }

    /// Closes the exchange of that dialog; a request of the peer in it is answered 487 (RFC 3261 §15.1.2).
    pub(super) fn abandon_exchange(&mut self, now: Instant, fork: Fork) {
        let Some(exchange) = self.exchange_of(fork) else { return };
        if exchange.offers.open().is_some()
            && let OfferAnswer::Remote(open) | OfferAnswer::Wanted(open) =
                std::mem::replace(&mut exchange.offers, OfferAnswer::Stable)
        {
            self.close(now, open);
        }
        self.timers.stop(&Timer::Glare(fork));
    }

    pub(super) fn close(&mut self, now: Instant, open: Open) {
        self.timers.stop(&Timer::Answer(open.id));
        match open.carrier {
            Carrier::Invite { key, request } | Carrier::Update { key, request } => {
                let response = self.response(&request, 487);
                self.outputs.push_back(Output::Response { key, response });
            }
            // The 2xx whose ACK waited for our answer still wants an ACK.
            Carrier::Ack { cseq } => self.acknowledge_late(now, cseq, None),
            Carrier::Initial | Carrier::Prack { .. } | Carrier::Ours => {}
        }
    }

    /// Sends BYE in our dialog, after the ACK of our 2xx if that is still awaited.
    pub(super) fn say_bye(&mut self, reason: Option<&str>) {
        self.bye = Bye::AfterAck(reason.map(str::to_owned));
        self.bye_after_ack();
    }

    pub(super) fn bye_after_ack(&mut self) {
        if !self.unacked.is_empty() {
            return;
        }
        if let Bye::AfterAck(reason) = std::mem::replace(&mut self.bye, Bye::None)
            && let Some(mut dialog) = self.dialog.take()
        {
            self.send_bye(&mut dialog, reason.as_deref());
            self.dialog = Some(dialog);
        }
    }

    pub(super) fn send_bye(&mut self, dialog: &mut Dialog, reason: Option<&str>) {
        let (mut request, next_hop) = dialog.request(Method::Bye);
        if let Some(reason) = reason {
            request.headers.push("Reason", reason);
        }
        name_software(&mut request.headers, "User-Agent", &self.config.user_agent);
        self.send(Sent::new(Kind::Bye, request, next_hop));
    }
}
