//! The caller's side until the first answer (RFC 3261 §13.2, §8.1.3.4, §9.1).
//!
//! ```text
//!                 1xx            +------------+
//!               +--------------- |  Inviting  | ---- 3xx ----> +------------+
//!               +--------------> |            | <-- follow --- | Redirected |
//!                                +------------+                +------------+
//!          authenticate  ^    |      |    |  |                       |
//!                 +------------+     |    |  | 2xx: ACK              | hang up
//!                 | Challenged | <---+    |  v                       v
//!                 +------------+  401,407 |  +-------------+   +---------+
//!                        | give up        |  | Established |   |         |
//!                        |                |  +-------------+   |         |
//!                        v                v 300-699, none      |  Over   |
//!                        +------------------------------------>|         |
//!   hang up, or rung too long: CANCEL; the call is ended for   |         |
//!   the user, a 2xx that crosses gets ACK and BYE              +---------+
//! ```
//!
//! After 488 or 606 another offer may be made in the same call, as after a redirection.
use super::offer_answer::{Carrier, Exchange, OfferAnswer};
use super::reliable::{self, Order};
use super::session::{Kind, Sent, Session, Side, Timer, cseq_of};
use super::{Body, Cause, Config, Event, Failure, Invitation, Output, Reason, RequestId};
use crate::base::rng::Rng;
use crate::sip::dialog::{Dialog, Fork, Forks, outside};
use crate::sip::key::SessionKey;
use crate::sip::message::{Method, NameAddr, Request, Response, Uri};
use std::collections::BTreeMap;
use std::time::Instant;

/// How often one call may be redirected.
const MAX_REDIRECTIONS: u32 = 5;
/// Late answers that are acknowledged and released; whoever sends more is no fork of ours.
const MAX_RELEASED: u32 = 32;

#[derive(Debug)]
pub(super) struct Calling {
    pub forks: Forks,
    /// Offers and answers of each.
    pub exchanges: BTreeMap<Fork, Exchange>,
    /// The user wishes to change what is agreed, in whatever dialog.
    pub wished: bool,
    invitation: Invitation,
    /// The 3xx that waits for the user.
    redirection: Option<Box<Response>>,
    /// The refusal of our offer that waits for the user.
    unacceptable: Option<Box<Response>>,
    /// Where the last 3xx leads else, the best first.
    alternatives: Vec<NameAddr>,
    redirections: u32,
}

impl Session {
    /// Places a call.
    pub fn invite(now: Instant, config: Config, invitation: Invitation, mut rng: Rng) -> Self {
        let key = SessionKey { call_id: rng.hex(32), local_tag: rng.hex(16) };
        let contact = invitation.contact.clone();
        let cseq = rng.range(1, 10_000);
        let target = invitation.request_uri.clone();
        let calling = Calling {
            forks: Forks::default(),
            exchanges: BTreeMap::new(),
            wished: false,
            invitation,
            redirection: None,
            unacceptable: None,
            alternatives: Vec::new(),
            redirections: 0,
        };
        let mut session = Self::new(config, rng, key, contact, Side::Calling(Box::new(calling)));
        session.timers.set(Timer::Ring, now + session.config.ring_limit);
        session.send_invite(&target, cseq);
        session
    }

    /// After `Redirected`: calls that target instead.
    pub fn follow(&mut self, now: Instant, target: Uri) {
        let Side::Calling(calling) = &mut self.side else { return };
        if calling.redirection.take().is_none() || self.ended {
            return;
        }
        calling.redirections += 1;
        calling.alternatives.retain(|other| !other.uri.matches(&target));
        (calling.forks, calling.exchanges) = (Forks::default(), BTreeMap::new());
        let cseq = self.invite.as_ref().map_or(1, |invite| cseq_of(&invite.headers)).saturating_add(1);
        self.timers.set(Timer::Ring, now + self.config.ring_limit);
        self.send_invite(&target, cseq);
    }

    fn send_invite(&mut self, target: &Uri, cseq: u32) {
        let Side::Calling(calling) = &self.side else { return };
        let Invitation { from, to, route, headers, body, .. } = &calling.invitation;
        let from = from.clone().with_tag(&self.key.local_tag);
        let (mut request, next_hop) = outside(Method::Invite, target, route, &from, to, &self.key.call_id, cseq);
        self.describe_request(&mut request.headers);
        headers.iter().for_each(|(name, value)| request.headers.push(name, value));
        if let Some(body) = body {
            body.put(&mut request.headers, &mut request.body);
        }
        self.send(Sent::new(Kind::Invite, request, next_hop));
    }

    /// A provisional response to the INVITE.
    pub(super) fn progress(&mut self, now: Instant, id: RequestId, response: &Response) {
        let is_invite = self.requests.get(&id).is_some_and(|sent| sent.kind == Kind::Invite);
        let (Side::Calling(calling), Some(invite)) = (&mut self.side, &self.invite) else { return };
        if !is_invite || self.ended || response.status == 100 {
            return;
        }
        // Beyond the limit of forks, or unreadable: nothing that the call depends on.
        let Ok(Some(early)) = calling.forks.take(invite, response) else { return };
        let rseq = match reliable::order(response, &mut early.rseq) {
            Order::Unreliable => None,
            Order::Ignored => return,
            Order::Next(rseq) => Some(rseq),
        };
        let (fork, status) = (early.fork, response.status);
        let (has_offer, wished) = (calling.invitation.body.is_some(), calling.wished);
        let exchange = calling.exchanges.entry(fork).or_insert_with(|| Exchange::calling(has_offer, wished));
        exchange.learn_methods(&response.headers);
        let body = Body::of(&response.headers, &response.body).ok().flatten().filter(|_| !exchange.begun);
        let (preview, offer) = if has_offer { (body, None) } else { (None, body.filter(|_| rseq.is_some())) };
        if preview.is_some() && rseq.is_some() {
            exchange.offers = OfferAnswer::Stable;
        }
        exchange.begun |= rseq.is_some() && (preview.is_some() || offer.is_some());
        let may_offer = exchange.begun && offer.is_none() && exchange.offers.is_stable() && exchange.modify.is_wished();
        self.events.push_back(Event::Progress { fork, status, body: preview, response: Box::new(response.clone()) });
        match (rseq, offer) {
            // Its answer goes with the PRACK.
            (Some(rseq), Some(body)) => self.open_exchange(now, fork, Some(body), Carrier::Prack { rseq }),
            (Some(rseq), None) if may_offer && status != 199 => self.want_offer(now, fork, Carrier::Prack { rseq }),
            (Some(rseq), None) => self.send_prack(fork, rseq, None),
            (None, _) => {}
        }
        // That fork is over, while others may still ring (RFC 6228).
        if status == 199 {
            self.abandon_exchange(now, fork);
            if let Side::Calling(calling) = &mut self.side {
                calling.exchanges.remove(&fork);
                calling.forks.forget(fork);
            }
        }
    }

    /// A 2xx to the INVITE that is not acknowledged yet.
    pub(super) fn answered(&mut self, now: Instant, cseq: u32, response: Response) {
        let Some(invite) = self.invite.clone() else { return };
        // A 2xx that cannot be read cannot be acknowledged; the callee gives up.
        let Ok(mut dialog) = Dialog::of_client(&invite, &response) else { return };
        let early = match &mut self.side {
            Side::Calling(calling) if !self.ended => calling.forks.remove(&dialog.key().remote_tag),
            // A late fork, or a 2xx that crossed our CANCEL.
            Side::Calling(_) | Side::Ringing(_) | Side::Established | Side::Over => {
                // The one whose ACK waits for the user's answer.
                if self.dialog.as_ref().is_some_and(|own| own.key() == dialog.key()) {
                    return;
                }
                self.keep_forks();
                self.release(now, &mut dialog, &invite);
                if matches!(self.side, Side::Calling(_)) {
                    self.side = Side::Over;
                }
                self.requests.retain(|_, sent| sent.kind != Kind::Invite);
                return;
            }
        };
        let preview = early.as_ref().and_then(|early| early.body.clone());
        let Side::Calling(calling) = &mut self.side else { return };
        self.fork = early.as_ref().map_or_else(|| calling.forks.name_new(), |early| early.fork);
        let (has_offer, wished) = (calling.invitation.body.is_some(), calling.wished);
        let own = calling.exchanges.remove(&self.fork);
        self.exchange = own.unwrap_or_else(|| Exchange::calling(has_offer, wished));
        self.exchange.learn_methods(&response.headers);
        // The other forks are over.
        self.abandon_exchanges(now);
        self.keep_forks();
        if let Some(early) = &early {
            dialog.continue_from(&early.dialog);
        }
        self.timers.stop(&Timer::Ring);
        self.requests.retain(|_, sent| sent.kind != Kind::Invite);
        self.side = Side::Established;
        self.dialog = Some(dialog);
        self.session_timer.take(&response);
        self.restart_session_timer(now);
        let body = Body::of(&response.headers, &response.body).ok().flatten();
        let (fork, settled) = (self.fork, self.exchange.begun);
        self.events.push_back(Event::Answered { fork, settled, response: Box::new(response) });
        match (has_offer, body) {
            _ if settled => self.acknowledge(now, &invite, None),
            // Our offer: the answer is in the 2xx, or was in a provisional response of the same fork.
            (true, body) => {
                self.acknowledge(now, &invite, None);
                self.exchange.offers = OfferAnswer::Stable;
                match body.or(preview) {
                    Some(body) => self.events.push_back(Event::Answer { fork, body }),
                    None => self.break_off(now, "the answer is missing"),
                }
            }
            (false, Some(body)) => self.open_exchange(now, fork, Some(body), Carrier::Ack { cseq }),
            (false, None) => {
                self.acknowledge(now, &invite, None);
                self.break_off(now, "the offer is missing");
            }
        }
        self.exchange.begun = true;
    }

    /// A 2xx to `invite`, which was sent to a server that was given up since: that dialog is ended before anybody notices it.
    pub fn release_late(&mut self, now: Instant, invite: &Request, response: &Response) {
        if self.acknowledge_again(cseq_of(&response.headers), response) {
            return;
        }
        // Another way to the callee who has answered already is not another dialog.
        if let Ok(mut dialog) = Dialog::of_client(invite, response)
            && self.dialog.as_ref().is_none_or(|own| own.key() != dialog.key())
        {
            self.release(now, &mut dialog, invite);
            self.settle(now);
        }
    }

    /// What early dialogs have counted holds for a 2xx of theirs that comes too late.
    fn keep_forks(&mut self) {
        if let Side::Calling(calling) = &mut self.side {
            self.late_forks = std::mem::take(&mut calling.forks);
        }
    }

    /// Ends a dialog nobody wants: ACK and BYE (RFC 3261 §13.2.2.4).
    fn release(&mut self, now: Instant, dialog: &mut Dialog, invite: &Request) {
        if self.released >= MAX_RELEASED {
            return;
        }
        if let Some(early) = self.late_forks.remove(&dialog.key().remote_tag) {
            dialog.continue_from(&early.dialog);
        }
        self.released += 1;
        self.acknowledge_with(now, dialog, invite, None);
        self.send_bye(dialog, None);
        if self.ended {
            self.linger(now);
        }
    }

    /// A final response other than 2xx to the INVITE.
    pub(super) fn invite_refused(&mut self, now: Instant, response: Response) {
        let Side::Calling(calling) = &mut self.side else { return };
        if self.ended {
            self.side = Side::Over;
            return;
        }
        if response.status == 422
            && self.session_timer.raise(&response)
            && let Some(invite) = &self.invite
        {
            let (target, cseq) = (invite.uri.clone(), cseq_of(&invite.headers).saturating_add(1));
            return self.send_invite(&target, cseq);
        }
        if matches!(response.status, 488 | 606) && self.config.offers_again && calling.invitation.body.is_some() {
            let response = Box::new(response);
            calling.unacceptable = Some(response.clone());
            self.events.push_back(Event::Unacceptable { response });
            return;
        }
        self.refused_for_good(now, response);
    }

    /// After `Unacceptable`: the same call with another offer (RFC 3261 §21.4.26).
    pub fn offer_again(&mut self, now: Instant, offer: Body) {
        let (Side::Calling(calling), Some(invite)) = (&mut self.side, &self.invite) else { return };
        if calling.unacceptable.take().is_none() || self.ended {
            return;
        }
        calling.invitation.body = Some(offer);
        (calling.forks, calling.exchanges) = (Forks::default(), BTreeMap::new());
        let (target, cseq) = (invite.uri.clone(), cseq_of(&invite.headers).saturating_add(1));
        self.timers.set(Timer::Ring, now + self.config.ring_limit);
        self.send_invite(&target, cseq);
    }

    /// After `Unacceptable`: there is no other offer.
    pub fn take_refusal(&mut self, now: Instant) {
        let Side::Calling(calling) = &mut self.side else { return };
        if let Some(response) = calling.unacceptable.take().filter(|_| !self.ended) {
            self.refused_for_good(now, *response);
        }
    }

    fn refused_for_good(&mut self, now: Instant, response: Response) {
        let Side::Calling(calling) = &mut self.side else { return };
        let contacts = match response.status {
            _ if calling.redirections >= MAX_REDIRECTIONS => Vec::new(),
            ..400 => by_preference(&response),
            // Nobody there, but perhaps at the next place the redirection named (RFC 3261 §8.1.3.4).
            400..600 => std::mem::take(&mut calling.alternatives),
            _ => Vec::new(),
        };
        if contacts.is_empty() {
            self.side = Side::Over;
            let reasons = Reason::of(&response.headers);
            self.end(now, Cause::Refused { response: Box::new(response), reasons });
        } else {
            let response = Box::new(response);
            calling.redirection = Some(response.clone());
            calling.alternatives = contacts.iter().filter(|contact| contact.uri.is_sip()).cloned().collect();
            self.events.push_back(Event::Redirected { contacts, response });
        }
    }

    /// No final response to the INVITE.
    pub(super) fn unreachable(&mut self, now: Instant, failure: Failure) {
        self.side = Side::Over;
        self.end(now, Cause::Unreachable(failure));
    }

    /// Ends a call that is not answered yet; the INVITE is cancelled where it is under way.
    pub(super) fn cancel(&mut self, now: Instant, cause: Cause, reason: Option<&str>) {
        self.drop_challenged();
        match self.requests.iter().find(|(_, sent)| sent.kind == Kind::Invite) {
            Some((id, _)) => {
                let reason = reason.map(str::to_owned);
                self.outputs.push_back(Output::Cancel { id: *id, reason });
            }
            None => self.side = Side::Over,
        }
        self.end(now, cause);
    }
}

/// The Contacts of a 3xx, the most preferred first (RFC 3261 §20.10).
fn by_preference(response: &Response) -> Vec<NameAddr> {
    let mut contacts: Vec<NameAddr> =
        response.headers.all("Contact").take(16).filter_map(|value| NameAddr::parse(value).ok()).collect();
    let q = |contact: &NameAddr| contact.params.value("q").and_then(|q| q.parse().ok()).unwrap_or(1.0_f64);
    contacts.sort_by(|a, b| q(b).total_cmp(&q(a)));
    contacts
}
