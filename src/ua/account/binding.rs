//! One of the flows an account registers over (RFC 5626 §4.2): the ways it may take, the one it has, and how it is there.
use super::keep_alive::{Wanted, bound, same_way};
use crate::base::id::AccountId;
use crate::base::net::Flow;
use crate::base::untrusted::Untrusted;
use crate::sip::message::{Host, Uri};
use crate::sip::register::{self, Registration};
use crate::ua::cause;
use crate::ua::snapshot::{FlowView, RegistrationState};
use std::collections::VecDeque;
use std::time::Instant;

/// Ways of one answer that are tried.
const WAYS: usize = 8;
/// Columns of an address that are shown.
const SHOWN: usize = 240;

#[derive(Debug)]
pub struct Binding {
    /// Counts from 0; its reg-id is one more.
    pub number: u8,
    pub registration: Registration,
    pub state: RegistrationState,
    /// The name of the server is being looked up for it.
    pub asking: bool,
    flow: Option<Flow>,
    /// What was found and not tried yet, the best first.
    untried: VecDeque<Flow>,
    /// The way that failed last: the last to be tried again.
    failed: Option<Flow>,
    /// What the sockets said of the flow.
    trouble: Option<String>,
    /// Registered without a break since then, and last confirmed then.
    since: Option<Instant>,
    confirmed: Option<Instant>,
}

impl Binding {
    pub fn new(number: u8, registration: Registration) -> Self {
        Self {
            number,
            registration,
            state: RegistrationState::Off,
            asking: false,
            flow: None,
            untried: VecDeque::new(),
            failed: None,
            trouble: None,
            since: None,
            confirmed: None,
        }
    }

    pub fn flow(&self) -> Option<&Flow> {
        self.flow.as_ref()
    }

    pub fn is_registered(&self) -> bool {
        matches!(self.state, RegistrationState::Registered { .. })
    }

    pub fn uses(&self, flow: &Flow) -> bool {
        self.flow.as_ref().is_some_and(|own| same_way(own, flow))
    }

    /// Keeps the ways that were found, but for those to servers that another flow of the account leads to.
    pub fn find(&mut self, found: &[Flow], taken: &[Flow]) {
        let free = found.iter().filter(|flow| taken.iter().all(|other| is_other_server(flow, other))).take(WAYS);
        let (last, first): (Vec<Flow>, Vec<Flow>) =
            free.partition(|flow| self.failed.as_ref().is_some_and(|failed| same_way(failed, flow)));
        self.untried = first.into_iter().chain(last).collect();
    }

    pub fn has_ways(&self) -> bool {
        !self.untried.is_empty()
    }

    /// Forgets what was found: the next try asks anew.
    pub fn forget_ways(&mut self) {
        self.untried.clear();
    }

    /// Registers over the next of the ways. Returns the flow it leaves when that was another one.
    pub fn go(&mut self, now: Instant, contact: impl FnOnce(&Flow) -> Uri) -> Option<Flow> {
        let next = self.untried.pop_front()?;
        let left = self.flow.replace(next).filter(|old| *old != next);
        self.trouble = None;
        if left.is_some() {
            self.since = None;
        }
        self.registration.register(now, contact(&next), !self.untried.is_empty());
        left
    }

    /// The sockets cannot send on a flow, or its far end is dead.
    pub fn handle_flow_failed(&mut self, now: Instant, flow: &Flow, error: &str) {
        if !self.uses(flow) {
            return;
        }
        self.failed = self.flow;
        self.trouble = Some(error.to_owned());
        if self.is_registered() {
            self.registration.fail(now, &self.words(error));
        }
    }

    /// Takes over what the registration machine reports.
    pub fn set_state(&mut self, now: Instant, state: &register::State, server: &(Host, Option<u16>)) {
        // What was found and not needed is old when it is needed.
        if !matches!(state, register::State::Registering) {
            self.forget_ways();
        }
        self.state = match state {
            register::State::Off => {
                self.since = None;
                RegistrationState::Off
            }
            register::State::Registering => RegistrationState::Registering,
            register::State::Registered { expires } => {
                self.failed = None;
                (self.since, self.confirmed) = (self.since.or(Some(now)), Some(now));
                RegistrationState::Registered { expires: *expires }
            }
            register::State::Unregistering => RegistrationState::Unregistering,
            register::State::Failed { cause, retry } => {
                self.since = None;
                let (cause, status) = self.failure(cause, server);
                RegistrationState::Failed { cause, status, retry: *retry }
            }
        };
    }

    /// Why it failed, in words, and with which status.
    pub fn failure(&mut self, cause: &register::Cause, server: &(Host, Option<u16>)) -> (String, Option<u16>) {
        let port = server.1.map(|p| format!(":{p}")).unwrap_or_default();
        let at = self.flow.filter(|_| matches!(server.0, Host::Name(_))).map(|flow| format!(" at {}", flow.remote));
        let server = format!("{}{port}{}", server.0, at.unwrap_or_default());
        match cause {
            register::Cause::Unreachable(failure) => {
                self.failed = self.flow;
                match (failure, &self.trouble) {
                    (_, Some(error)) => (self.words(error), None),
                    (register::Failure::Timeout, None) => {
                        (format!("no answer from {server}; is the server running, and is the port open?"), None)
                    }
                    (register::Failure::Transport, None) => (format!("{server} cannot be reached"), None),
                }
            }
            register::Cause::Told(words) => (words.clone(), None),
            register::Cause::Refused { status, reason, .. } => {
                (cause::registration_refused(*status, &reason.sanitize(60)), Some(*status))
            }
        }
    }

    /// What happened, and where.
    fn words(&self, error: &str) -> String {
        let place = self.flow.map(|flow| format!("{} {}: ", flow.transport.name(), flow.remote));
        format!("{}{error}", place.unwrap_or_default())
    }

    pub fn watched(&self, account: AccountId) -> Option<Wanted> {
        let flow = self.flow.filter(|_| self.is_registered())?;
        Some(Wanted { flow, account, flow_timer: self.registration.grant().and_then(|grant| grant.flow_timer) })
    }

    pub fn view(&self) -> Option<FlowView> {
        let flow = self.flow?;
        let grant = self.registration.grant();
        let text = |text: String| Untrusted::new(&text).sanitize(SHOWN);
        let route = grant.map_or(&[][..], |grant| &grant.service_route);
        Some(FlowView {
            transport: flow.transport,
            server: flow.remote,
            secure: flow.transport.is_secure(),
            state: self.state.clone(),
            since: self.since,
            confirmed: self.confirmed,
            keep_alive: bound(grant.and_then(|grant| grant.flow_timer)),
            contact: self.registration.contact().map_or(String::new(), |contact| text(contact.to_string())),
            gruu: grant.and_then(|grant| grant.gruu.as_ref()).map_or(String::new(), |gruu| text(gruu.to_string())),
            service_route: text(route.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        })
    }
}

/// Whether two flows lead to different servers, as far as addresses tell: one host that is reached over two transports is one.
pub fn is_other_server(a: &Flow, b: &Flow) -> bool {
    a.remote.ip() != b.remote.ip() || (a.transport == b.transport && a.remote.port() != b.remote.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::net::Transport;
    use std::net::SocketAddr;

    #[test]
    fn two_flows_lead_to_two_servers() {
        let flow = |transport, remote: &str| {
            let local = SocketAddr::from(([192, 0, 2, 1], 5060));
            Flow::new(transport, local, remote.parse().expect("an address"))
        };
        let rows = [
            (flow(Transport::Tls, "192.0.2.9:5061"), flow(Transport::Tls, "192.0.2.9:5061"), false),
            (flow(Transport::Tls, "192.0.2.9:5061"), flow(Transport::Tcp, "192.0.2.9:5060"), false),
            (flow(Transport::Tls, "192.0.2.9:5061"), flow(Transport::Tls, "192.0.2.9:5081"), true),
            (flow(Transport::Tls, "192.0.2.9:5061"), flow(Transport::Tls, "192.0.2.10:5061"), true),
            (flow(Transport::Tls, "192.0.2.9:5061"), flow(Transport::Tls, "[2001:db8::9]:5061"), true),
        ];
        for (a, b, other) in rows {
            assert_eq!(is_other_server(&a, &b), other, "{a:?} {b:?}");
        }
    }
}
