//! Signs of life: what is sent to learn whether the servers still hear us, and what follows when they do not (RFC 5626 §4.4).
use super::UserAgent;
use super::account::{Account, Binding, Task, Wanted, shown};
use crate::base::id::AccountId;
use crate::base::net::{Flow, Transmit};
use crate::sip::invite::RequestId;
use crate::sip::options;
use crate::sip::transport::framing::PING;
use crate::ua::sending::{Errand, Owner, Pending};
use bytes::Bytes;
use std::time::Instant;

impl UserAgent {
    /// A pong came on this flow (RFC 5626 §4.4.1): its far end is alive and answers pings.
    pub fn handle_alive(&mut self, _now: Instant, flow: &Flow) {
        self.keep_alives.handle_pong(flow);
    }

    /// The next connection that is given up: nothing more is sent or heard on it.
    pub fn poll_close(&mut self) -> Option<Flow> {
        self.closes.pop_front()
    }

    /// Nothing can be sent on this flow any more, or its far end is dead.
    pub(super) fn flow_failed(&mut self, now: Instant, flow: Flow, error: &str) {
        let error = shown(error, 240);
        for call in self.calls.values_mut().filter(|call| call.flow.is_some_and(|own| own.remote == flow.remote)) {
            call.refusal = Some(error.clone());
        }
        // An account that is registered there says it itself.
        if !self.accounts.iter().flat_map(|a| &a.bindings).any(|binding| binding.uses(&flow)) {
            self.out.log(format!("{} {}: {error}", flow.transport.name(), flow.remote));
        }
        for binding in self.accounts.iter_mut().flat_map(|a| &mut a.bindings) {
            binding.handle_flow_failed(now, &flow, &error);
        }
        self.sending.routes.avoid(now, &flow, None);
        self.layer.handle_transport_error(now, &flow);
    }

    /// Watches the flows of all accounts that are registered, and no others.
    pub(super) fn watch_flows(&mut self, now: Instant) {
        let watched = |a: &Account| a.bindings.iter().filter_map(|b: &Binding| b.watched(a.id)).collect::<Vec<_>>();
        let wanted: Vec<Wanted> = self.accounts.iter().flat_map(watched).collect();
        self.keep_alives.watch(now, wanted, &mut self.rng);
    }

    pub(super) fn keep_alive(&mut self, now: Instant) {
        for task in self.keep_alives.handle_timeout(now, &mut self.rng) {
            match task {
                Task::Ping(flow) => self.pings.push_back(Transmit { flow, bytes: Bytes::from_static(PING) }),
                Task::Ask { flow, account, probe } => self.probe(now, flow, account, probe),
                Task::Dead { flow, silent, probe } => {
                    if let Some(key) = probe.and_then(|p| self.sending.key_of(Owner::Probe(p), RequestId(0))) {
                        self.sending.finish(&key);
                        self.layer.abandon(&key);
                    }
                    self.close(flow);
                    self.flow_failed(now, flow, &format!("the server gave no sign of life for {} s", silent.as_secs()));
                }
            }
        }
    }

    /// Asks the server of an account whether it is there.
    fn probe(&mut self, now: Instant, flow: Flow, account: AccountId, probe: u32) {
        let Some(account) = self.account(account) else { return };
        let (target, route) = (account.registrar(), account.proxy_route());
        let (from, contact) = (account.aor(), account.contact(&flow));
        let request = options::query(target, from, contact, &route, &self.settings.user_agent, &mut self.rng);
        let key = self.layer.send_request(now, request.clone(), flow);
        let errand = Errand { owner: Owner::Probe(probe), id: Some(RequestId(0)), request };
        self.sending.sent(key, Pending::alone(errand, flow));
    }
}
