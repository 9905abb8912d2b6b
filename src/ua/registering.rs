//! The registrations of the accounts: begun, refreshed, moved to another way, taken back.
use super::account::{Account, Binding, FLOWS, Phone, is_other_server, shown};
use super::{UserAgent, index};
use crate::base::id::AccountId;
use crate::base::net::Flow;
use crate::base::rng::Rng;
use crate::sip::invite::RequestId;
use crate::sip::locate::{AccessId, Question};
use crate::sip::message::Response;
use crate::sip::register::{self, Failure, Output};
use crate::sip::transaction::Layer;
use crate::ua::event::Event;
use crate::ua::sending::{Errand, Owner};
use crate::ua::settings::{AccountSettings, Settings};
use crate::ua::snapshot::RegistrationState;
use std::time::Instant;

/// The accounts of a phone, none of them registered yet.
pub(super) fn accounts(settings: &Settings, layer: &Layer, rng: &mut Rng) -> Vec<Account> {
    let phone = phone(settings, layer);
    let ids = (0..u16::MAX).map(|n| (AccountId(n), AccessId(n)));
    let new = |((id, access), s): (_, &AccountSettings)| Account::new(id, s.clone(), access, phone.clone(), rng);
    ids.zip(&settings.accounts).map(new).collect()
}

pub(super) fn phone(settings: &Settings, layer: &Layer) -> Phone {
    let instance = (!settings.instance.is_empty()).then(|| settings.instance.clone());
    Phone { nowhere: layer.nowhere().clone(), instance, user_agent: settings.user_agent.clone() }
}

impl UserAgent {
    pub(super) fn register(&mut self, now: Instant, id: AccountId) {
        let Some(account) = self.accounts.get_mut(index(id)).filter(|account| !account.retired) else {
            return self.out.refuse("there is no such account");
        };
        if account.bindings.is_empty() {
            account.add_binding(&mut self.rng);
        }
        for (number, binding) in account.bindings.iter_mut().enumerate() {
            // Whether there is another flow is for the answer to the first one to say.
            if number == 0 || binding.state != RegistrationState::Off {
                binding.forget_ways();
                binding.registration.start(now);
            }
        }
    }

    pub(super) fn unregister(&mut self, now: Instant, id: AccountId) {
        let Some(account) = self.accounts.get_mut(index(id)) else { return };
        for binding in &mut account.bindings {
            binding.asking = false;
            binding.registration.stop(now);
        }
    }

    /// The network changed, or this machine slept: every account asks anew for its server and registers from the address
    /// that leads there now.
    ///
    /// - `afresh`: connections are not trusted to have survived.
    /// - `which`: those it is true of.
    pub(super) fn renew_accounts(&mut self, now: Instant, afresh: bool, which: impl Fn(AccountId) -> bool) {
        self.sending.forget_routes();
        let bindings = || self.accounts.iter().filter(|a| which(a.id)).flat_map(|a| &a.bindings);
        let flows: Vec<Flow> =
            bindings().filter_map(Binding::flow).filter(|f| f.transport.is_reliable()).copied().collect();
        if afresh {
            self.closes.extend(flows);
        }
        for binding in self.accounts.iter_mut().filter(|a| which(a.id)).flat_map(|a| &mut a.bindings) {
            binding.forget_ways();
            binding.registration.renew(now);
        }
    }

    pub(super) fn registrations_timeout(&mut self, now: Instant) {
        for binding in self.accounts.iter_mut().flat_map(|a| &mut a.bindings) {
            if binding.registration.poll_timeout().is_some_and(|at| at <= now) {
                binding.registration.handle_timeout(now);
            }
        }
    }

    /// Passes on what the registrations want sent and tell; `true` when there was anything.
    pub(super) fn drain_registrations(&mut self, now: Instant) -> bool {
        let mut busy = false;
        for at in 0..self.accounts.len() {
            for number in 0..self.accounts.get(at).map_or(0, |account| account.bindings.len()) {
                while let Some(output) = self.registration(at, number).and_then(|r| r.poll_output()) {
                    busy = true;
                    self.send_registration(now, at, number, output);
                }
                while let Some(event) = self.registration(at, number).and_then(|r| r.poll_event()) {
                    busy = true;
                    self.registration_event(now, at, number, event);
                }
            }
        }
        busy
    }

    fn registration(&mut self, at: usize, number: usize) -> Option<&mut register::Registration> {
        self.binding(at, number).map(|binding| &mut binding.registration)
    }

    fn binding(&mut self, at: usize, number: usize) -> Option<&mut Binding> {
        self.accounts.get_mut(at)?.bindings.get_mut(number)
    }

    fn send_registration(&mut self, now: Instant, at: usize, number: usize, output: Output) {
        let Some((id, binding)) = self.accounts.get(at).and_then(|a| Some((a.id, a.bindings.get(number)?))) else {
            return;
        };
        let account = id;
        let owner = Owner::Registration(id, binding.number);
        let flow = binding.flow().copied();
        match (output, flow) {
            // Each flow has a binding of its own: the request takes that one and no other.
            (Output::Request { id, request, .. }, Some(flow)) => {
                if let Ok(call_id) = request.headers.call_id() {
                    self.ladders.registers(call_id, account);
                }
                self.send(now, Errand { owner, id: Some(id), request }, vec![flow]);
            }
            (Output::Cancel { id, .. }, flow) => {
                if let Some(key) = self.sending.key_of(owner, id) {
                    self.sending.finish(&key);
                    self.layer.abandon(&key);
                }
                // What was asked there and not answered may be a connection that never came up.
                if let Some(flow) = flow.filter(|flow| !self.is_in_use(flow)) {
                    self.close(flow);
                }
            }
            (Output::Request { .. } | Output::Ack { .. } | Output::Response { .. }, _) => {}
        }
    }

    /// Whether an account is registered over a flow, or a call goes over it.
    fn is_in_use(&self, flow: &Flow) -> bool {
        self.accounts.iter().flat_map(|a| &a.bindings).any(|b| b.uses(flow) && b.is_registered())
            || self.calls.values().any(|call| call.flow == Some(*flow) && !call.is_over())
    }

    pub(super) fn close(&mut self, flow: Flow) {
        if flow.transport.is_reliable() {
            self.closes.push_back(flow);
        }
    }

    pub(super) fn registration_response(
        &mut self,
        now: Instant,
        of: (AccountId, u8),
        id: RequestId,
        response: Response,
    ) {
        if let Some(registration) = self.registration(index(of.0), of.1.into()) {
            registration.handle_response(now, id, response);
        }
    }

    pub(super) fn registration_failed(&mut self, now: Instant, of: (AccountId, u8), id: RequestId, failure: Failure) {
        if let Some(registration) = self.registration(index(of.0), of.1.into()) {
            registration.handle_failure(now, id, failure);
        }
    }

    /// A registration wants to be sent: over the next of the ways that were found, or after asking for ways.
    fn registration_due(&mut self, now: Instant, at: usize, number: usize) {
        if self.binding(at, number).is_some_and(|binding| binding.has_ways()) {
            return self.go(now, at, number);
        }
        let Some(account) = self.accounts.get(at) else { return };
        let Some(question) = account.bindings.get(number).map(|binding| account.binding_question(binding)) else {
            return;
        };
        if let Some(binding) = self.binding(at, number) {
            binding.asking = true;
        }
        self.ask(now, question);
    }

    pub(super) fn located_registrar(&mut self, now: Instant, question: &Question, answer: &Result<Vec<Flow>, String>) {
        for at in 0..self.accounts.len() {
            let Some(account) = self.accounts.get_mut(at) else { continue };
            // Whatever the port: it is the same host.
            if let (true, Ok(flows)) = (account.trusts(&question.host), answer) {
                flows.iter().for_each(|flow| account.trust.learn(flow.remote.ip()));
            }
            for number in 0..account.bindings.len() {
                let Some(account) = self.accounts.get_mut(at) else { continue };
                let asking = |b: &&Binding| b.asking && account.binding_question(b) == *question;
                if account.bindings.get(number).filter(asking).is_none() {
                    continue;
                }
                let taken = account.taken(number);
                let Some(binding) = account.bindings.get_mut(number) else { continue };
                binding.asking = false;
                match answer {
                    Ok(flows) => {
                        binding.find(flows, &taken);
                        if binding.has_ways() {
                            self.go(now, at, number);
                        } else {
                            binding.registration.fail(now, "there is no second server");
                        }
                    }
                    Err(cause) => binding.registration.fail(now, &shown(cause, 120)),
                }
            }
        }
    }

    /// Registers over the next way.
    fn go(&mut self, now: Instant, at: usize, number: usize) {
        let Some(account) = self.accounts.get_mut(at) else { return };
        let mut bindings = std::mem::take(&mut account.bindings);
        let left = bindings.get_mut(number).and_then(|binding| binding.go(now, |flow| account.contact_uri(flow)));
        account.bindings = bindings;
        // Over the old connection nothing would leave from the new address.
        if let Some(left) = left.filter(|left| !self.is_in_use(left)) {
            self.close(left);
        }
    }

    fn registration_event(&mut self, now: Instant, at: usize, number: usize, event: register::Event) {
        let Some(account) = self.accounts.get_mut(at) else { return };
        let (id, server) = (account.id, account.server());
        let name = match (number, account.bindings.len()) {
            (_, ..2) => account.settings.name.clone(),
            (0, _) => format!("{}, first flow", account.settings.name),
            (_, _) => format!("{}, second flow", account.settings.name),
        };
        let Some(binding) = account.bindings.get_mut(number) else { return };
        match event {
            register::Event::Changed(state) => {
                let is_decided = matches!(state, register::State::Registered { .. } | register::State::Failed { .. });
                binding.set_state(now, &state, &server);
                if let Some(words) = words(now, &binding.state) {
                    self.out.log(format!("account {name}: {words}"));
                }
                if account.sum_up() {
                    let state = account.state.clone();
                    self.out.event(Event::Registration { account: id, state });
                }
                self.match_flows(now, at, number);
                if is_decided {
                    self.begin_watching(now, id);
                    self.begin_publishing(now, id);
                }
            }
            register::Event::Due => self.registration_due(now, at, number),
            register::Event::WayFailed(cause) => {
                let (cause, _) = binding.failure(&cause, &server);
                self.out.log(format!("account {name}: {cause}; trying the next server"));
            }
            register::Event::Challenged { id: request, response, .. } => {
                let met = self.sending.take_challenged(Owner::Registration(id, binding.number), request);
                let answer = met.map(|met| account.trust.authorize(&met, &response));
                let Some(binding) = account.bindings.get_mut(number) else { return };
                match answer {
                    Some(Ok(headers)) => binding.registration.authenticate(now, request, &headers),
                    Some(Err(refusal)) => {
                        self.out.log(format!("account {name}: {refusal}"));
                        binding.registration.give_up(now, request);
                    }
                    None => binding.registration.give_up(now, request),
                }
            }
            register::Event::ContactChanged(contact) => {
                let contact = shown(&contact.to_string(), 120);
                self.out.log(format!("account {name}: seen from outside as {contact}"));
            }
            register::Event::Redirected { targets, status } => {
                let told = targets.first().map(|uri| shown(&uri.host.to_string(), 80)).unwrap_or_default();
                let followed = account.followed(targets);
                let Some(binding) = account.bindings.get_mut(number) else { return };
                match followed {
                    Some(registrar) => {
                        self.out.log(format!("account {name}: sent on to {told}"));
                        binding.forget_ways();
                        binding.registration.follow(now, registrar);
                    }
                    None => {
                        let words = format!(
                            "the server sends us to \"{told}\" ({status}), which the account does not name; \
                             if it is right, make it the registrar of the account"
                        );
                        binding.registration.fail(now, &words);
                    }
                }
            }
        }
    }

    /// A second flow is registered where the registrar keeps several apart and there is a second server to reach it by
    /// (RFC 5626 §4.2.1), and taken back where it does not.
    fn match_flows(&mut self, now: Instant, at: usize, number: usize) {
        let Some(account) = self.accounts.get_mut(at) else { return };
        let Some(grant) = account.bindings.get(number).and_then(|b| b.registration.grant()) else { return };
        match (grant.outbound, number) {
            (false, 0) => account.bindings.iter_mut().skip(1).for_each(|b| b.registration.stop(now)),
            (false, _) => account.bindings.iter_mut().skip(number).for_each(|b| b.registration.stop(now)),
            (true, _) => {
                let question = account.server_question();
                let taken = account.taken(FLOWS);
                let wanted = account.settings.register
                    && account.bindings.iter().filter(|b| b.state != RegistrationState::Off).count() < FLOWS;
                let found = self.sending.routes.find(now, &question).and_then(Result::ok).unwrap_or_default();
                if !wanted || !found.iter().any(|flow| taken.iter().all(|other| is_other_server(flow, other))) {
                    return;
                }
                if account.bindings.len() < FLOWS {
                    account.add_binding(&mut self.rng);
                }
                if let Some(second) = account.bindings.iter_mut().find(|b| b.state == RegistrationState::Off) {
                    second.registration.start(now);
                }
            }
        }
    }
}

/// The state for the log; nothing where it is no news.
fn words(now: Instant, state: &RegistrationState) -> Option<String> {
    let seconds = |at: &Instant| at.saturating_duration_since(now).as_secs_f32().round();
    Some(match state {
        RegistrationState::Off => "not registered".to_owned(),
        RegistrationState::Registering => "registering".to_owned(),
        RegistrationState::Registered { expires } => format!("registered for {} s", seconds(expires)),
        RegistrationState::Failed { cause, retry: Some(retry), .. } => match seconds(retry) {
            0.0 => format!("registration failed: {cause}; trying again now"),
            seconds => format!("registration failed: {cause}; next try in {seconds} s"),
        },
        RegistrationState::Failed { retry: None, .. } => return None,
        RegistrationState::Unregistering => "unregistering".to_owned(),
    })
}
