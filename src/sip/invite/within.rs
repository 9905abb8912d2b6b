//! Requests of the peer inside of the dialog (RFC 3261 §12.2.2; UPDATE: RFC 3311; INFO: RFC 6086).
use super::modify::remote_tag;
use super::offer_answer::{Carrier, Open};
use super::session::{Session, Side};
use super::session_timer::SessionTimer;
use super::{Body, Event, Output};
use crate::sip::dialog::{Dialog, Fork};
use crate::sip::error::Refusal;
use crate::sip::key::ServerKey;
use crate::sip::message::{Method, Request};
use crate::sip::options::describe;
use std::time::Instant;

impl Session {
    /// `transaction::Event::Request` with this session's Call-ID and our tag in To. Every request is answered, those the
    /// session cannot serve with the status that says so (405, 481, 501, ...).
    pub fn handle_request(&mut self, now: Instant, key: ServerKey, request: Request) {
        let refusal = match self.check(&request) {
            Ok(()) => self.serve(now, &key, &request).err(),
            Err(refusal) => Some(refusal),
        };
        if let Some(refusal) = refusal {
            let response = refusal.answer(&request, &self.key.local_tag);
            self.outputs.push_back(Output::Response { key, response });
        }
        self.settle(now);
    }

    fn check(&mut self, request: &Request) -> Result<(), Refusal> {
        let tag = request.headers.from()?.tag().unwrap_or_default().to_owned();
        let ended = self.ended;
        let dialog = self.dialog_with(&tag).ok_or(Refusal::NoDialog)?;
        // BYEs that cross are both answered 200.
        if ended && request.method != Method::Bye {
            return Err(Refusal::NoDialog);
        }
        dialog.take_request(request)?;
        Refusal::check_extensions(request)
    }

    fn serve(&mut self, now: Instant, key: &ServerKey, request: &Request) -> Result<(), Refusal> {
        match &request.method {
            Method::Invite => return self.handle_reinvite(now, key.clone(), request.clone()),
            Method::Update => return self.handle_update(now, key.clone(), request.clone()),
            Method::Prack => return self.handle_prack(now, key.clone(), request),
            Method::Bye => self.handle_bye(now, key.clone(), request),
            Method::Info => return self.handle_info(key.clone(), request),
            Method::Options => {
                let mut response = self.response(request, 200);
                response.headers.push("Contact", &self.contact);
                describe(&mut response.headers);
                self.outputs.push_back(Output::Response { key: key.clone(), response });
            }
            Method::Refer => return self.handle_refer(key.clone(), request),
            Method::Notify => return self.handle_notify(now, key.clone(), request),
            method @ (Method::Ack
            | Method::Cancel
            | Method::Register
            | Method::Subscribe
            | Method::Publish
            | Method::Message
            | Method::Other(_)) => return Err(Refusal::Method(method.clone())),
        }
        Ok(())
    }

    fn handle_update(&mut self, now: Instant, key: ServerKey, request: Request) -> Result<(), Refusal> {
        if SessionTimer::is_too_short(&request) {
            return Err(Refusal::SessionInterval);
        }
        let retry_after = self.rng.range(0, 10);
        let is_established = matches!(self.side, Side::Established);
        let tag = request.headers.from()?.tag().unwrap_or_default().to_owned();
        let fork = self.fork_with(&tag).ok_or(Refusal::NoDialog)?;
        let exchange = self.exchange_of(fork).ok_or(Refusal::NoDialog)?;
        match Body::of(&request.headers, &request.body)? {
            // Its own earlier one is not answered yet (RFC 3311 §5.2).
            None if matches!(exchange.offers.open(), Some(Open { carrier: Carrier::Update { .. }, .. })) => {
                return Err(Refusal::Busy { retry_after });
            }
            None => self.accept_update(now, key, &request, None),
            Some(body) => {
                exchange.offers.check_remote(retry_after)?;
                // Our INVITE has no reliable answer yet: its offer, or its wish for one, is open.
                if !is_established && !exchange.begun {
                    return Err(Refusal::Pending);
                }
                self.open_exchange(now, fork, Some(body), Carrier::Update { key, request: Box::new(request) });
            }
        }
        Ok(())
    }

    /// Accepts the peer's UPDATE, or a PRACK with an offer.
    pub(super) fn accept_update(&mut self, now: Instant, key: ServerKey, request: &Request, body: Option<&Body>) {
        if request.method == Method::Prack {
            let mut response = self.response(request, 200);
            if let Some(body) = body {
                body.put(&mut response.headers, &mut response.body);
            }
            return self.outputs.push_back(Output::Response { key, response });
        }
        let response = self.success(request, body);
        let tag = request.headers.from().ok().and_then(|from| from.tag().map(str::to_owned)).unwrap_or_default();
        if let Some(dialog) = self.dialog_with(&tag) {
            dialog.refresh(&request.headers);
        }
        self.outputs.push_back(Output::Response { key, response });
        self.restart_session_timer(now);
        self.notify_identity(request);
    }

    /// Tells of a request that may name another party than before (RFC 3325; RFC 4916: by its From).
    pub(super) fn notify_identity(&mut self, request: &Request) {
        let asserted =
            ["P-Asserted-Identity", "Remote-Party-ID"].iter().any(|name| request.headers.get(name).is_some());
        let renamed = self.dialog.as_mut().is_some_and(|dialog| dialog.take_remote(&request.headers));
        if asserted || renamed {
            self.events.push_back(Event::Notified { request: Box::new(request.clone()) });
        }
    }

    /// Our dialog, or the early one with that tag of the peer.
    pub(super) fn dialog_with(&mut self, remote_tag: &str) -> Option<&mut Dialog> {
        match (&mut self.dialog, &mut self.side) {
            (Some(dialog), _) => Some(dialog).filter(|dialog| dialog.key().remote_tag == remote_tag),
            (None, Side::Calling(calling)) => calling.forks.get_mut(remote_tag).map(|early| &mut early.dialog),
            (None, Side::Ringing(_) | Side::Established | Side::Over) => None,
        }
    }

    /// The dialog with that tag of the peer.
    pub(super) fn fork_with(&self, remote_tag: &str) -> Option<Fork> {
        match (&self.dialog, &self.side) {
            (Some(dialog), _) => (dialog.key().remote_tag == remote_tag).then_some(self.fork),
            (None, Side::Calling(calling)) => calling.forks.fork_of(remote_tag),
            (None, Side::Ringing(_) | Side::Established | Side::Over) => None,
        }
    }

    /// The dialog that a request of ours was sent in.
    pub(super) fn fork_of(&self, request: &Request) -> Option<Fork> {
        self.fork_with(&remote_tag(request)?)
    }

    pub(super) fn dialog_of(&mut self, fork: Fork) -> Option<&mut Dialog> {
        match (&mut self.dialog, &mut self.side) {
            (Some(dialog), _) => Some(dialog).filter(|_| fork == self.fork),
            (None, Side::Calling(calling)) => calling.forks.named(fork).map(|early| &mut early.dialog),
            (None, Side::Ringing(_) | Side::Established | Side::Over) => None,
        }
    }
}
