//! The registrations of the accounts: begun, refreshed, taken back.
use super::account::{Account, Task, Wanted, shown};
use super::{UserAgent, index};
use crate::base::id::AccountId;
use crate::base::net::{Flow, Transmit};
use crate::sip::invite::RequestId;
use crate::sip::locate::Question;
use crate::sip::message::Uri;
use crate::sip::{options, register};
use crate::ua::event::Event;
use crate::ua::sending::{Errand, Owner, Pending};
use crate::ua::snapshot::RegistrationState;
use bytes::Bytes;
use std::time::Instant;

impl UserAgent {
    pub(super) fn register(&mut self, now: Instant, id: AccountId) {
        let Some(account) = self.accounts.get_mut(index(id)) else {
            return self.out.refuse("there is no such account");
        };
        account.waits_for_address = true;
        if !matches!(account.state, RegistrationState::Registered { .. }) {
            account.state = RegistrationState::Registering;
        }
        let question = account.server_question();
        self.ask(now, question);
    }

    pub(super) fn unregister(&mut self, now: Instant, id: AccountId) {
        let Some(account) = self.accounts.get_mut(index(id)) else { return };
        account.waits_for_address = false;
        account.retry_at = None;
        if let Some(registration) = account.registration.as_mut().filter(|r| *r.state() != register::State::Off) {
            return registration.stop(now);
        }
        // There was nothing to take back, or it was only about to begin.
        if account.state != RegistrationState::Off {
            account.state = RegistrationState::Off;
            self.out.event(Event::Registration { account: id, state: RegistrationState::Off });
        }
    }

    pub(super) fn account_timeout(&mut self, now: Instant, index: usize) {
        let Some(account) = self.accounts.get_mut(index) else { return };
        if let Some(registration) = &mut account.registration
            && registration.poll_timeout().is_some_and(|at| at <= now)
        {
            registration.handle_timeout(now);
        }
        if account.retry_at.is_some_and(|at| at <= now) {
            account.retry_at = None;
            let id = account.id;
            self.register(now, id);
        }
    }

    pub(super) fn located_registrar(&mut self, now: Instant, question: &Question, answer: &Result<Vec<Flow>, String>) {
        for account in &mut self.accounts {
            // Whatever the port: it is the same host.
            if let (true, Ok(flows)) = (account.own_hosts().contains(&question.host), answer) {
                flows.iter().for_each(|flow| account.trust(flow.remote.ip()));
            }
            if !account.waits_for_address || account.server_question() != *question {
                continue;
            }
            match answer {
                Ok(flows) => {
                    if let Some(flow) = flows.first() {
                        account.begin(now, *flow, &self.settings.user_agent, &mut self.rng);
                    }
                }
                Err(cause) => {
                    account.postpone(now, &shown(cause, 120), &mut self.rng);
                    let (account, state) = (account.id, account.state.clone());
                    self.out.event(Event::Registration { account, state });
                }
            }
        }
    }

    pub(super) fn registration_event(&mut self, now: Instant, at: usize, event: register::Event) {
        let Some(account) = self.accounts.get_mut(at) else { return };
        match event {
            register::Event::Changed(state) => {
                account.set_state(&state);
                let (id, state) = (account.id, account.state.clone());
                let words = match &state {
                    RegistrationState::Off => "not registered".to_owned(),
                    RegistrationState::Registering => "registering".to_owned(),
                    RegistrationState::Registered { expires } => {
                        format!("registered for {} s", expires.saturating_duration_since(now).as_secs())
                    }
                    RegistrationState::Failed { cause, .. } => format!("registration failed: {cause}"),
                    RegistrationState::Unregistering => "unregistering".to_owned(),
                };
                self.out.log(format!("account {}: {words}", account.settings.name));
                self.out.event(Event::Registration { account: id, state });
                self.server_changed(id);
            }
            register::Event::Challenged { id, response, .. } => {
                let met = self.sending.take_challenged(Owner::Registration(account.id, 0), id);
                let answer = met.map(|met| account.authorize(&met, &response));
                let Some(registration) = &mut account.registration else { return };
                match answer {
                    Some(Ok(headers)) => registration.authenticate(now, id, headers),
                    Some(Err(refusal)) => {
                        self.out.log(format!("account {}: {refusal}", account.settings.name));
                        registration.give_up(now, id);
                    }
                    None => registration.give_up(now, id),
                }
            }
            register::Event::ContactChanged(contact) => {
                let contact = shown(&contact.to_string(), 120);
                self.out.log(format!("account {}: seen from outside as {contact}", account.settings.name));
            }
        }
    }

    /// A pong came on this flow (RFC 5626 §4.4.1): its far end is alive and answers pings.
    pub fn handle_alive(&mut self, _now: Instant, flow: &Flow) {
        self.keep_alives.handle_pong(flow);
    }

    /// The next connection that is given up: nothing more is sent or heard on it.
    pub fn poll_close(&mut self) -> Option<Flow> {
        self.closes.pop_front()
    }

    /// The network changed, or this machine slept: every account that wants to be registered asks anew for its server and
    /// registers from the address that leads there now.
    pub fn renew_accounts(&mut self, now: Instant) {
        self.sending.forget_routes();
        let wanting = |a: &&Account| a.settings.register && a.state != RegistrationState::Off;
        let wanting: Vec<AccountId> = self.accounts.iter().filter(wanting).map(|a| a.id).collect();
        for account in wanting {
            self.register(now, account);
        }
    }

    /// Watches the flows of all accounts that are registered, and no others.
    pub(super) fn watch_flows(&mut self, now: Instant) {
        let wanted: Vec<Wanted> = self.accounts.iter().filter_map(Account::watched).collect();
        self.keep_alives.watch(now, wanted, &mut self.rng);
    }

    pub(super) fn keep_alive(&mut self, now: Instant) {
        for task in self.keep_alives.handle_timeout(now, &mut self.rng) {
            match task {
                Task::Ping(flow) => {
                    self.pings.push_back(Transmit { flow, bytes: Bytes::from_static(b"\r\n\r\n") });
                }
                Task::Ask { flow, account, probe } => self.probe(now, flow, account, probe),
                Task::Dead { flow, silent, probe } => {
                    if let Some(key) = probe.and_then(|p| self.sending.key_of(Owner::Probe(p), RequestId(0))) {
                        self.sending.finish(&key);
                        self.layer.abandon(&key);
                    }
                    let error = format!("no sign of life for {} s", silent.as_secs());
                    if flow.transport.is_reliable() {
                        self.closes.push_back(flow);
                    }
                    self.flow_failed(now, flow, &error);
                }
            }
        }
    }

    /// Asks the server of an account whether it is there.
    fn probe(&mut self, now: Instant, flow: Flow, account: AccountId, probe: u32) {
        let Some(account) = self.account(account) else { return };
        let settings = &account.settings;
        let target = Uri::sip(None, settings.domain.clone(), settings.domain_port);
        let (from, contact, route) = (account.aor(), account.contact(&flow), account.route());
        let request = options::query(target, from, contact, &route, &self.settings.user_agent, &mut self.rng);
        let key = self.layer.send_request(now, request.clone(), flow);
        let errand = Errand { owner: Owner::Probe(probe), id: Some(RequestId(0)), request };
        self.sending.sent(key, Pending::alone(errand, flow));
    }
}
