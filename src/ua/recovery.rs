//! Keeping calls and registrations when the network changes, this machine slept, or a server has lost its memory.
//!
//! ```text
//!                    another address           re-INVITE with it            answered
//!   established ------------------> moving -----------------------> asked -----------> established
//!       |   the registrar is back                                     | 481, 408
//!       +------------------------> OPTIONS in the dialog ------------>+
//!       ^                                481, 408                     v
//!       |   2xx   INVITE with Replaces                      does sound arrive?  -- no --> ended, with the cause
//!       +------------------------------------------------------- yes, again and again
//! ```
use super::account::{Account, shown};
use super::call::{Act, Call};
use super::outgoing::session_config;
use super::{UserAgent, index};
use crate::base::id::{AccountId, CallNumber};
use crate::base::net::{Flow, Transport};
use crate::sdp::SdpError;
use crate::sip::invite::{self, Fork, Invitation, Phase, Session};
use crate::sip::key::{ServerKey, SessionKey};
use crate::sip::locate::Question;
use crate::sip::message::{Host, NameAddr, Request};
use crate::sip::replaces::{self, Replaces};
use crate::ua::event::Event;
use crate::ua::identity::Identity;
use crate::ua::snapshot::RegistrationState;
use std::time::Instant;

/// Sessions beside the one that is talked on, for one call.
const OTHERS: usize = 8;
/// A dialog that took the place of all forks of an INVITE of ours.
const TAKEN_OVER: Fork = Fork(u32::MAX);

impl UserAgent {
    /// Where the addresses that lead to servers and peers may have changed: accounts register from the new ones at once, and
    /// calls that have to move do.
    pub fn handle_network_changed(&mut self, now: Instant) {
        self.out.log("the network changed".to_owned());
        self.find_ways(now, false);
        self.settle(now);
    }

    /// This machine slept: whoever is on the way may have forgotten us.
    pub fn handle_woke(&mut self, now: Instant) {
        self.out.log("this machine slept".to_owned());
        self.find_ways(now, true);
        self.settle(now);
    }

    /// The flows of what is registered and talked on: whoever watches the network looks which of our addresses leads there.
    pub fn flows(&self) -> Vec<Flow> {
        let accounts = self.accounts.iter().flat_map(Account::flows);
        let calls = self.calls.values().filter(|call| !call.is_over()).filter_map(|call| call.flow);
        accounts.chain(calls).collect()
    }

    /// Calls whose way is doubted: another is looked for. Who is seen at another address tells its servers first, as if it
    /// had slept: a router on the way has forgotten its connections.
    pub(super) fn follow_moves(&mut self, now: Instant) {
        let mut questions = Vec::new();
        let mut moved = Vec::new();
        for call in self.calls.values_mut() {
            match call.take_doubt(now) {
                None => {}
                Some(Act::Search) => call.search_again(&mut self.out),
                Some(Act::Move) => {
                    moved.push(call.account);
                    let (Some(flow), Some(account)) = (call.flow, self.accounts.get(index(call.account))) else {
                        continue;
                    };
                    let question = way(account, &flow);
                    call.recovery.way = Some(question.clone());
                    call.recovery.repeat = true;
                    questions.push(question);
                }
            }
        }
        moved.dedup();
        for account in moved {
            self.renew_accounts(now, true, |id| id == account);
        }
        for question in questions {
            self.ask(now, question);
        }
    }

    fn find_ways(&mut self, now: Instant, repeat: bool) {
        self.renew_accounts(now, repeat, |_| true);
        let mut questions = Vec::new();
        for call in self.calls.values_mut().filter(|call| !call.is_over()) {
            let (Some(flow), Some(account)) = (call.flow, self.accounts.get(index(call.account))) else { continue };
            let question = way(account, &flow);
            call.recovery.way = Some(question.clone());
            call.recovery.repeat |= repeat;
            questions.push(question);
        }
        for question in questions {
            self.ask(now, question);
        }
    }

    /// The address that leads to the peers of some calls is known.
    pub(super) fn located_ways(&mut self, now: Instant, question: &Question, answer: &Result<Vec<Flow>, String>) {
        for call in self.calls.values_mut().filter(|call| call.recovery.way.as_ref() == Some(question)) {
            call.recovery.way = None;
            let Some(account) = self.accounts.get(index(call.account)).filter(|_| !call.is_over()) else {
                continue;
            };
            match answer.as_ref().map(|flows| nearest(flows, call.flow)) {
                Ok(Some(flow)) => {
                    let repeat = std::mem::take(&mut call.recovery.repeat);
                    if repeat || call.flow.is_none_or(|old| old.local != flow.local) {
                        call.move_to(now, flow, account.contact(&flow), &mut self.out);
                    }
                }
                Ok(None) => {}
                // The change that brings it back is told as well.
                Err(cause) => call.note(&format!("no way to the peer: {}", shown(cause, 80)), &mut self.out),
            }
        }
    }

    /// Notices servers that do not answer, and those that are back: they may have forgotten the calls that went over them.
    /// `true` when there was one.
    pub(super) fn watch_servers(&mut self) -> bool {
        let mut news = false;
        for account in &self.accounts {
            let id = account.id;
            let calls = self.calls.values_mut().filter(|call| call.account == id && call.is_established());
            match account.state {
                RegistrationState::Failed { status: None, .. } if self.dead.insert(id) => {
                    news = true;
                    for call in calls.filter(|call| call.recovery.note.is_empty()) {
                        call.note("the server does not answer: the call goes on without it", &mut self.out);
                    }
                }
                RegistrationState::Registered { .. } if self.dead.remove(&id) => {
                    news = true;
                    for call in calls.filter(|call| call.recovery.replacing.is_none()) {
                        call.note("the server is back: asking whether it knows the call", &mut self.out);
                        call.probe();
                    }
                }
                _ => {}
            }
        }
        news
    }

    /// A request in the dialog found no dialog, or nobody.
    pub(super) fn signalling_lost(&mut self, now: Instant, number: CallNumber, status: u16) {
        let Some(call) = self.calls.get_mut(&number).filter(|call| !call.is_over()) else { return };
        if call.recovery.replacing.is_some() || call.stays_silent(status, &mut self.out) {
            return;
        }
        call.withdraw_wishes(call.plan.fork(), status, &mut self.out);
        call.recovery.lost = Some(status);
        if !call.hears(now) {
            return call.end_lost(now, status, &self.anchor, &mut self.out);
        }
        if status != 481 && self.dead.contains(&call.account) {
            return call.go_on(now, "the server does not answer: the call goes on without it", &mut self.out);
        }
        let target = call.session.as_ref().and_then(Session::remote_target).cloned();
        let mut targets: Vec<_> = target.into_iter().chain([call.target.clone()]).collect();
        targets.iter_mut().for_each(|uri| uri.headers = None);
        targets.dedup_by_key(|uri| uri.to_string());
        call.recovery.targets = targets.into();
        self.replace(now, number);
    }

    /// Nobody refreshed the session in time: no wonder while the server is dead, and no reason to stop talking.
    pub(super) fn session_expired(&mut self, now: Instant, number: CallNumber) {
        let Some(call) = self.calls.get_mut(&number) else { return };
        if self.dead.contains(&call.account) && call.hears(now) {
            call.recovery.lost = Some(408);
            call.go_on(now, "the server does not answer: the call goes on without it", &mut self.out);
        } else {
            call.expire(now);
        }
    }

    /// Sends an INVITE that is to take the place of the lost dialog, to the next target.
    pub(super) fn replace(&mut self, now: Instant, number: CallNumber) {
        let Some(call) = self.calls.get_mut(&number).filter(|call| !call.is_over()) else { return };
        let (Some(account), Some(flow)) = (self.accounts.get(index(call.account)), call.flow) else { return };
        call.recovery.replacing = None;
        if let Some(cause) = call.recovery.ended.take() {
            return call.handle_end(now, &cause, &self.anchor, &mut self.out);
        }
        let lost = call.session.as_ref().and_then(Session::dialog).map(Replaces::of_ours);
        let (Some(lost), Some(target)) = (lost, call.recovery.targets.pop_front()) else {
            return call.go_on(now, "signalling lost: the call goes on while sound arrives", &mut self.out);
        };
        let Ok(offer) = call.plan.offer(call.direction()) else { return };
        call.note("signalling lost: setting the call up again", &mut self.out);
        let mut to = NameAddr::new(target.clone());
        to.uri.params = crate::sip::message::Params::default();
        let (from, mut headers) = account.presents(call.private, &flow);
        headers.push(("Replaces".to_owned(), lost.to_string()));
        headers.push(("Require".to_owned(), replaces::TAG.to_owned()));
        let invitation = Invitation {
            from,
            to,
            contact: account.contact(&flow),
            route: account.route(),
            headers,
            body: Some(offer),
            request_uri: target,
        };
        let config = invite::Config {
            first_request: call.number_session(),
            ..session_config(&self.settings.user_agent, account)
        };
        let session = Session::invite(now, config, invitation, self.rng.fork());
        self.sessions.insert(session.key().clone(), number);
        call.recovery.replacing = Some(session.key().clone());
        call.others.push(session);
    }

    /// What the sessions beside the one that is talked on have to tell.
    pub(super) fn other_event(&mut self, now: Instant, number: CallNumber, key: &SessionKey, event: invite::Event) {
        let Some(call) = self.calls.get_mut(&number) else { return };
        let is_replacing = call.recovery.replacing.as_ref() == Some(key);
        match event {
            invite::Event::Challenged { .. } | invite::Event::Written { .. } => self.session_event(now, number, event),
            invite::Event::Answered { .. } if is_replacing && !call.is_over() => {
                let Some(at) = call.others.iter().position(|session| session.key() == key) else { return };
                let session = call.others.remove(at);
                // The peer says BYE in the dialog it replaced (RFC 3891 §3).
                if let Some(old) = call.take_over(session) {
                    old.abandon(now, 481);
                }
                self.out.log(format!("call {number}: set up again"));
                call.note("", &mut self.out);
            }
            invite::Event::Redirected { .. } | invite::Event::Unacceptable { .. } => {
                if let Some(session) = call.session_of(key) {
                    session.hang_up(now, None);
                }
            }
            invite::Event::Ended { cause } if is_replacing => {
                if let invite::Cause::Refused { response, .. } = cause {
                    self.out.log(format!("call {number}: it is not set up again ({})", response.status));
                }
                self.replace(now, number);
            }
            _ => {}
        }
    }

    /// An INVITE that is to take the place of a dialog of ours (RFC 3891 §3): without ringing, and only where it names exactly
    /// one that is talked on, or one we are calling with.
    pub(super) fn take_replacing(
        &mut self,
        now: Instant,
        key: &ServerKey,
        request: &Request,
        (flow, account): (Flow, AccountId),
        replaces: &Replaces,
    ) -> Result<(), u16> {
        let number = self.sessions.get(&replaces.session()).copied().ok_or(481_u16)?;
        let call = self.calls.get_mut(&number).filter(|call| call.account == account).ok_or(481_u16)?;
        let old = call.session.as_ref().filter(|session| *session.key() == replaces.session()).ok_or(481_u16)?;
        match old.phase() {
            Phase::Established if !old.dialog().is_some_and(|dialog| replaces.means(dialog)) => return Err(481),
            Phase::Established if replaces.early_only => return Err(486),
            Phase::Established => {}
            Phase::Calling if old.is_early_with(replaces.from_tag()) => {}
            // Not early dialogs that the peer began: it would answer its own call (RFC 3891 §3).
            Phase::Calling | Phase::Ringing => return Err(481),
            Phase::Ended => return Err(603),
        }
        if call.others.len() >= OTHERS {
            return Err(486);
        }
        let Some(own) = self.accounts.get(index(account)) else { return Err(481) };
        let contact = own.contact(&flow);
        let config =
            invite::Config { first_request: call.number_session(), ..session_config(&self.settings.user_agent, own) };
        let session = match Session::incoming(now, config, contact, key.clone(), request, self.rng.fork()) {
            Ok(session) => session,
            Err(response) => {
                self.layer.respond(now, key, *response);
                return Ok(());
            }
        };
        let from = request.headers.from().map_err(|_| 400_u16)?;
        let identity = self.identify(account, &flow, &request.headers, &from);
        self.sessions.insert(session.key().clone(), number);
        let Some(call) = self.calls.get_mut(&number) else { return Err(481) };
        call.answer_replacing(now, session, (identity, &from), flow, &mut self.out)?;
        self.out.event(Event::Established(number));
        Ok(())
    }

    /// Sessions that have said their last word are forgotten.
    pub(super) fn forget_sessions(&mut self, number: CallNumber) {
        let Some(call) = self.calls.get_mut(&number) else { return };
        let sessions = &mut self.sessions;
        call.others.retain(|session| {
            let done = session.is_done();
            if done {
                sessions.remove(session.key());
            }
            !done
        });
    }
}

/// What is asked to learn the address that leads to the far end of a flow now.
fn way(account: &Account, flow: &Flow) -> Question {
    // A connection is opened to a server by its name; a datagram only needs an address.
    if flow.transport != Transport::Udp && account.flows().any(|own| own.remote == flow.remote) {
        return account.server_question();
    }
    Question {
        host: Host::Ip(flow.remote.ip()),
        port: Some(flow.remote.port()),
        transport: Some(flow.transport),
        secure: false,
        access: account.access(),
    }
}

/// The flow to the same place as before, where there is one.
fn nearest(flows: &[Flow], old: Option<Flow>) -> Option<Flow> {
    let same = |flow: &&Flow| old.is_some_and(|old| old.remote == flow.remote && old.transport == flow.transport);
    flows.iter().find(same).or(flows.first()).copied()
}

impl Call {
    /// Answers an INVITE that takes this call over, and says goodbye in the dialog before.
    fn answer_replacing(
        &mut self,
        now: Instant,
        mut session: Session,
        (identity, from): (Identity, &NameAddr),
        flow: Flow,
        out: &mut super::outbox::Outbox,
    ) -> Result<(), u16> {
        let number = self.number;
        let mut refuse = |error: SdpError| {
            out.log(format!("call {number}: it is not taken over: {error}"));
            error.status()
        };
        let offer = session.offer().cloned();
        if let Some(offer) = &offer {
            // Tried first: what cannot be taken over goes on as it was.
            self.plan.try_offer(offer, flow.local).map_err(&mut refuse)?;
        }
        if self.begin_talking(now) {
            self.plan.choose(TAKEN_OVER);
        }
        let made = match &offer {
            Some(offer) => self.plan.answer(offer, self.direction()),
            None => self.plan.offer(self.direction()).map(|body| (body, None)),
        };
        let (body, spec) = made.map_err(refuse)?;
        session.accept(now, Some(body));
        self.flow = Some(flow);
        if let Some(old) = self.take_over(session) {
            old.hang_up(now, None);
        }
        self.rename(identity, from);
        out.log(format!("call {}: taken over by {} at {}", self.number, self.peer_label(), flow.remote));
        self.note("", out);
        self.configure(now, spec, out);
        Ok(())
    }
}
