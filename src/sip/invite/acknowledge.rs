//! The third part of the INVITE handshake: ACKs for each 2xx received, and 2xx repeated until the ACK comes
//! (RFC 3261 §13.2.2.4, §13.3.1.4).
use super::offer_answer::OfferAnswer;
use super::session::{Bye, Session, Side, Timer, cseq_of};
use super::{Body, Cause, Event, Output};
use crate::sip::dialog::{Dialog, Forks};
use crate::sip::key::ServerKey;
use crate::sip::message::{Request, Response, Uri};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// ACKs kept for 2xx that come again.
const MAX_ACKNOWLEDGED: usize = 32;

/// An ACK that was sent.
#[derive(Debug)]
pub(super) struct Acknowledged {
    cseq: u32,
    remote_tag: String,
    request: Request,
    next_hop: Uri,
    /// Until then its 2xx may come again.
    until: Instant,
}

/// A 2xx of ours whose ACK has not come.
#[derive(Debug)]
pub(super) struct Unacknowledged {
    cseq: u32,
    key: ServerKey,
    response: Response,
    interval: Duration,
    /// It carries our offer: the answer comes in the ACK.
    is_offer: bool,
    /// It answers the INVITE that began the call.
    is_first: bool,
}

impl Session {
    /// Acknowledges the 2xx to `invite` in our own dialog.
    pub(super) fn acknowledge(&mut self, now: Instant, invite: &Request, body: Option<&Body>) {
        if let Some(dialog) = self.dialog.take() {
            self.acknowledge_with(now, &dialog, invite, body);
            self.dialog = Some(dialog);
        }
    }

    /// Acknowledges the 2xx that brought an offer, with our answer if there is one.
    pub(super) fn acknowledge_late(&mut self, now: Instant, cseq: u32, answer: Option<&Body>) {
        if let Some(invite) = self.invite.clone().filter(|invite| cseq_of(&invite.headers) == cseq) {
            self.acknowledge(now, &invite, answer);
        }
    }

    /// The ACK carries the credentials of its INVITE (RFC 3261 §13.2.2.4).
    pub(super) fn acknowledge_with(&mut self, now: Instant, dialog: &Dialog, invite: &Request, body: Option<&Body>) {
        let cseq = cseq_of(&invite.headers);
        let (mut request, next_hop) = dialog.ack(cseq);
        for name in ["Authorization", "Proxy-Authorization"] {
            invite.headers.all(name).for_each(|value| request.headers.push(name, value));
        }
        if let Some(body) = body {
            body.put(&mut request.headers, &mut request.body);
        }
        if self.acknowledged.len() >= MAX_ACKNOWLEDGED {
            self.acknowledged.pop_front();
        }
        let remote_tag = dialog.key().remote_tag.clone();
        self.outputs.push_back(Output::Ack { request: request.clone(), next_hop: next_hop.clone() });
        let until = now + self.config.timers.limit();
        self.acknowledged.push_back(Acknowledged { cseq, remote_tag, request, next_hop, until });
        self.timers.set(Timer::Copies, until);
    }

    /// Forgets ACKs whose 2xx cannot come again, and with the last of them the INVITE: no fork answers any longer
    /// (RFC 3261 §13.2.2.4). A call that only talks then holds no message, nor the room for one.
    pub(super) fn forget_acknowledged(&mut self, now: Instant) {
        self.acknowledged.retain(|ack| ack.until > now);
        if self.acknowledged.is_empty() && !matches!(self.side, Side::Calling(_)) {
            self.invite = None;
            self.late_forks = Forks::default();
            self.acknowledged.shrink_to_fit();
            self.outputs.shrink_to_fit();
            self.events.shrink_to_fit();
            if self.requests.is_empty() {
                // An empty map keeps the node that its entries lived in.
                self.requests = BTreeMap::new();
            }
        }
    }

    /// Sends the ACK of a repeated 2xx again; `false` when the 2xx is new.
    pub(super) fn acknowledge_again(&mut self, cseq: u32, response: &Response) -> bool {
        let Ok(to) = response.headers.to() else { return true };
        let tag = to.tag().unwrap_or_default();
        let Some(known) = self.acknowledged.iter().find(|ack| ack.cseq == cseq && ack.remote_tag == tag) else {
            return false;
        };
        let (request, next_hop) = (known.request.clone(), known.next_hop.clone());
        self.outputs.push_back(Output::Ack { request, next_hop });
        true
    }

    /// Sends a 2xx to an INVITE and goes on until the ACK comes.
    pub(super) fn send_success(
        &mut self,
        now: Instant,
        key: ServerKey,
        response: Response,
        is_offer: bool,
        is_first: bool,
    ) {
        let (cseq, interval) = (cseq_of(&response.headers), self.config.timers.t1);
        self.timers.set(Timer::Success(cseq), now + interval);
        self.timers.set(Timer::AckLimit(cseq), now + self.config.timers.limit());
        self.outputs.push_back(Output::Response { key: key.clone(), response: response.clone() });
        self.unacked.push(Unacknowledged { cseq, key, response, interval, is_offer, is_first });
    }

    /// Repeats a 2xx at intervals from T1 to T2, whatever the transport.
    pub(super) fn repeat_success(&mut self, now: Instant, cseq: u32) {
        let Some(waiting) = self.unacked.iter_mut().find(|waiting| waiting.cseq == cseq) else { return };
        waiting.interval = self.config.timers.backed_off(waiting.interval);
        self.timers.set(Timer::Success(cseq), now + waiting.interval);
        let (key, response) = (waiting.key.clone(), waiting.response.clone());
        self.outputs.push_back(Output::Response { key, response });
    }

    /// `transaction::Event::Ack` with this session's Call-ID and our tag in To.
    pub fn handle_ack(&mut self, now: Instant, request: Request) {
        let cseq = cseq_of(&request.headers);
        let from_peer = request.headers.from().is_ok_and(|from| {
            self.dialog.as_ref().is_some_and(|dialog| dialog.key().remote_tag == from.tag().unwrap_or_default())
        });
        if !from_peer {
            return;
        }
        // The ACK of a 2xx that was acknowledged before.
        let Some(waiting) = self.take_unacked(cseq) else { return };
        if !self.ended {
            if waiting.is_first {
                self.events.push_back(Event::Confirmed);
            }
            if waiting.is_offer {
                self.exchange.offers = OfferAnswer::Stable;
                match Body::of(&request.headers, &request.body) {
                    Ok(Some(body)) => self.events.push_back(Event::Answer { fork: self.fork, body }),
                    Ok(None) | Err(_) => self.break_off(now, "the answer is missing"),
                }
            }
        }
        self.settle(now);
    }

    /// RFC 3261 §13.3.1.4: no ACK after 64*T1: the session is ended.
    pub(super) fn ack_overdue(&mut self, now: Instant, cseq: u32) {
        if self.take_unacked(cseq).is_some() && !self.ended {
            self.end(now, Cause::NoAck);
            self.bye = Bye::AfterAck(None);
        }
    }

    /// Our answer to the INVITE that began the call may not have arrived.
    pub(super) fn is_first_unacked(&self) -> bool {
        self.unacked.iter().any(|waiting| waiting.is_first)
    }

    fn take_unacked(&mut self, cseq: u32) -> Option<Unacknowledged> {
        let at = self.unacked.iter().position(|waiting| waiting.cseq == cseq)?;
        self.timers.stop(&Timer::Success(cseq));
        self.timers.stop(&Timer::AckLimit(cseq));
        Some(self.unacked.remove(at))
    }

    /// Stops waiting for ACKs; for that of the first 2xx only when `first` too.
    pub(super) fn forget_unacked(&mut self, first: bool) {
        let (kept, dropped) = std::mem::take(&mut self.unacked).into_iter().partition(|w| w.is_first && !first);
        self.unacked = kept;
        let dropped: Vec<Unacknowledged> = dropped;
        for waiting in dropped {
            self.timers.stop(&Timer::Success(waiting.cseq));
            self.timers.stop(&Timer::AckLimit(waiting.cseq));
        }
    }
}
