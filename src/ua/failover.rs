//! When a server fails, the next one is tried (RFC 3263 §4.3): after 503 and a refused flow at once, after a while of
//! silence too. What a silent server answers late is cleaned up, unless it is the first answer of all.
//!
//! ```text
//!             503, refused, broken: avoided                           1xx: CANCEL
//!   +------+ ------------------------------> next server      +------+ ----------> 487
//!   | Sent |                                                  | Left |
//!   +------+ -- silent: avoided, next server (INVITE) ------> +------+ ----------> ACK, BYE
//!       ^                                                        |       2xx
//!       +---------- the first answer, or nobody else left -------+
//! ```
use super::sending::{Errand, Owner, Pending};
use super::{UserAgent, secure};
use crate::base::net::Flow;
use crate::sip::key::ClientKey;
use crate::sip::message::{Method, Response};
use std::time::{Duration, Instant};

impl UserAgent {
    /// A server did not take a request. Sends it to the next one, or waits for one that was left behind; gives it back
    /// where there is neither.
    ///
    /// - `elsewhere`: another transport of the same server will not help.
    pub(super) fn try_next(
        &mut self,
        now: Instant,
        pending: Pending,
        elsewhere: bool,
        why: &str,
    ) -> Result<(), Box<Pending>> {
        if !self.is_wanted(&pending.errand) {
            return Err(Box::new(pending));
        }
        let failed = pending.flow;
        let other = |flow: &Flow| !elsewhere || flow.remote != failed.remote;
        let mut flows = pending.alternatives.iter().copied().filter(other);
        if let Some(next) = flows.next() {
            let alternatives = flows.collect();
            self.out.log(format!(
                "{} {}: {why}; trying {} {}",
                failed.transport.name(),
                failed.remote,
                next.transport.name(),
                next.remote
            ));
            let mut errand = pending.errand;
            self.readdress(&mut errand, &next);
            let key = self.layer.send_request(now, errand.request.clone(), next);
            self.sending.sent(key, Pending::new(now, errand, next, alternatives));
            return Ok(());
        }
        match self.sending.silent_twin(&pending.errand) {
            Some(key) => {
                self.out.log(format!("{} {}: {why}", failed.transport.name(), failed.remote));
                self.take_back(key, Vec::new());
                Ok(())
            }
            None => Err(Box::new(pending)),
        }
    }

    /// 503: the server is avoided as long as it says, and another one is tried. 482: the server is one that was asked before
    /// by another way, and that one is waited for. `true` when nobody needs to hear of the response.
    pub(super) fn passes_over(&mut self, now: Instant, key: &ClientKey, response: &Response) -> bool {
        let Some(pending) = self.sending.pending(key) else { return false };
        let why = match response.status {
            503 => {
                let wait = response.headers.number("Retry-After").ok().flatten();
                let flow = pending.flow;
                self.sending.routes.avoid(now, &flow, wait.map(|seconds| Duration::from_secs(seconds.into())));
                "503, out of service"
            }
            482 if self.sending.silent_twin(&pending.errand).is_some() => "482, it was asked before",
            _ => {
                let flow = pending.flow;
                self.sending.routes.trust(&flow);
                return false;
            }
        };
        let Some(pending) = self.sending.finish(key) else { return false };
        match self.try_next(now, pending, true, why) {
            Ok(()) => true,
            Err(pending) => {
                self.sending.sent(key.clone(), *pending);
                false
            }
        }
    }

    /// Servers that have said nothing are given up for others.
    pub(super) fn lose_patience(&mut self, now: Instant) {
        for (key, pending) in self.sending.take_silent(now) {
            if !self.is_wanted(&pending.errand) {
                self.sending.sent(key, pending);
                continue;
            }
            self.sending.routes.avoid(now, &pending.flow, None);
            let left = Pending { alternatives: Vec::new(), ..pending.clone() };
            if let Err(pending) = self.try_next(now, pending, true, "silent") {
                self.sending.sent(key, *pending);
            } else if left.errand.request.method == Method::Invite {
                let calls = &self.calls;
                let is_open = |owner| matches!(owner, Owner::Call(number) if calls.contains_key(&number));
                self.sending.leave(key, left, is_open);
            } else {
                self.layer.abandon(&key);
            }
        }
    }

    /// A response to an INVITE that was left behind. `true` when it is dealt with.
    pub(super) fn answered_late(&mut self, now: Instant, key: &ClientKey, response: &Response) -> bool {
        let Some(left) = self.sending.left(key) else { return false };
        let errand = left.errand.clone();
        let from = left.flow.remote;
        let rival = errand.id.and_then(|id| self.sending.key_of(errand.owner, id));
        // Nobody else has answered: this is the server after all.
        if response.status != 503
            && let Some(rival) = rival.filter(|rival| self.sending.pending(rival).is_some_and(|p| !p.heard))
            && let Some(mut other) = self.sending.finish(&rival)
        {
            let alternatives = std::mem::take(&mut other.alternatives);
            self.sending.leave(rival, other, |_| true);
            self.take_back(key.clone(), alternatives);
            return false;
        }
        match response.status {
            ..200 => {
                self.sending.left_is_over(key);
                self.layer.cancel(now, key, None);
            }
            200..=299 => {
                self.out.log(format!("{from} answered too late: that branch of the call is ended"));
                if let Owner::Call(number) = errand.owner
                    && let Some(session) = self.calls.get_mut(&number).and_then(|c| c.session.as_mut())
                {
                    session.release_late(now, &errand.request, response);
                }
            }
            _ => {
                self.sending.take_left(key);
            }
        }
        true
    }

    /// An INVITE that was left behind is the one that is waited for again.
    fn take_back(&mut self, key: ClientKey, alternatives: Vec<Flow>) {
        let Some(mut left) = self.sending.take_left(&key) else { return };
        let flow = left.flow;
        self.readdress(&mut left.errand, &flow);
        self.sending.sent(key, Pending { alternatives, ..left });
    }

    /// A request outside of a dialog goes another way: there it must say where we are reached.
    pub(super) fn readdress(&mut self, errand: &mut Errand, flow: &Flow) {
        if errand.is_in_dialog() || !matches!(errand.request.method, Method::Invite | Method::Options) {
            return;
        }
        let Some(account) = self.account_of(errand.owner) else { return };
        let contact = secure::contact(account.contact(flow), &errand.request.uri);
        if errand.request.headers.get("Contact").is_some_and(|old| old != contact.to_string()) {
            errand.request.headers.set("Contact", &contact);
        }
        match errand.owner {
            Owner::Call(number) => {
                if let Some(call) = self.calls.get_mut(&number).filter(|call| call.flow != Some(*flow)) {
                    call.flow = Some(*flow);
                    if let Some(session) = &mut call.session {
                        session.set_contact(contact);
                    }
                }
            }
            Owner::Query(id) => {
                if let Some(query) = self.queries.get_mut(&id) {
                    query.flow = Some(*flow);
                }
            }
            Owner::Registration(..)
            | Owner::Probe(_)
            | Owner::Watch(_)
            | Owner::Publication(_)
            | Owner::Text(_)
            | Owner::Watcher(_) => {}
        }
    }
}
