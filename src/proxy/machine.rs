//! The proxy itself: from received requests to branches, from responses to answers (RFC 3261 §16).
use super::auth::{Access, Gate};
use super::context::{Answer, Branch, Context, Outcome, Target};
use super::dialogs::{CallKey, Dialogs};
use super::limit::{Limiter, Rate};
use super::location::{Binding, Location};
use super::policy::{Decision, Policy};
use super::registrar::Lifetimes;
use super::routing::{self, Own};
use super::snapshot::{BindingView, Counters, Snapshot};
use crate::base::net::{Flow, Received, Transmit};
use crate::base::rng::Rng;
use crate::base::timers::TimerTable;
use crate::base::untrusted::Untrusted;
use crate::sip::auth::{Hash, ServerConfig};
use crate::sip::key::{ClientKey, ServerKey};
use crate::sip::message::{Host, Method, Request, Response};
use crate::sip::timer::Timers;
use crate::sip::transaction::{Config, Event, Layer};
use crate::sip::transport::size;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Timer C: how long a branch may ring; each provisional response starts it again (RFC 3261 §16.6, step 11).
const TIMER_C: Duration = Duration::from_secs(185);
/// What the layer adds to a request before it sends it: our Via \[bytes\].
const VIA: usize = 120;
/// Transactions of each kind at a time.
const MAX_TRANSACTIONS: usize = 4_096;
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    /// The names of the domain; all mean the same users. The first is the realm.
    pub domains: Vec<Host>,
    /// The sockets it is reached at; those of wildcard sockets are learned from traffic.
    pub addresses: Vec<SocketAddr>,
    pub access: Access,
    /// The hashes offered in challenges, the preferred first. Some old phones give up at once when any is not MD5.
    pub hashes: Vec<Hash>,
    pub lifetimes: Lifetimes,
    /// Of requests, for each source address.
    pub rate: Rate,
    pub timers: Timers,
}

impl ProxyConfig {
    /// A proxy for whoever is on this machine.
    pub fn loopback(domain: Host, addresses: Vec<SocketAddr>) -> Self {
        Self {
            domains: vec![domain],
            addresses,
            access: Access::Loopback,
            hashes: ServerConfig::new("").hashes,
            lifetimes: Lifetimes::default(),
            rate: Rate::default(),
            timers: Timers::default(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// Timer C of a branch.
    C(ClientKey),
    /// A request was answered, and so were all of its repetitions.
    Over(ServerKey),
    /// A dialog ended, or never began.
    Closed(CallKey, Option<String>),
}

/// Registrar and proxy. After each input drain [`Proxy::poll_transmit`], then wait until [`Proxy::poll_timeout`].
#[derive(Debug)]
pub struct Proxy {
    policy: Policy,
    timers: Timers,
    limiter: Limiter,
    layer: Layer,
    contexts: BTreeMap<ServerKey, Context>,
    /// The request each client transaction is a branch of.
    branches: BTreeMap<ClientKey, ServerKey>,
    /// How often a request with these properties is being forwarded.
    active: BTreeMap<String, u32>,
    deadlines: TimerTable<Timer>,
    counters: Counters,
    rng: Rng,
}

impl Proxy {
    pub fn new(config: ProxyConfig, mut rng: Rng) -> Self {
        let realm = config.domains.first().map_or_else(String::new, Host::to_string);
        let auth = ServerConfig { hashes: config.hashes, ..ServerConfig::new(realm) };
        let most = MAX_TRANSACTIONS;
        let layer = Config { timers: config.timers, max_clients: most, max_servers: most, ..Config::default() };
        Self {
            policy: Policy {
                own: Own::new(config.domains, config.addresses),
                gate: Gate::new(config.access, auth, rng.fork()),
                lifetimes: config.lifetimes,
                location: Location::default(),
                dialogs: Dialogs::default(),
            },
            timers: config.timers,
            limiter: Limiter::new(config.rate),
            layer: Layer::new(layer, rng.fork()),
            contexts: BTreeMap::new(),
            branches: BTreeMap::new(),
            active: BTreeMap::new(),
            deadlines: TimerTable::default(),
            counters: Counters::default(),
            rng,
        }
    }

    /// A datagram, or one message of a stream.
    pub fn handle_received(&mut self, now: Instant, received: Received) {
        let is_response = received.bytes.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/"));
        if !is_response && !self.limiter.admit(now, received.flow.remote.ip()) {
            self.counters.limited += 1;
            return;
        }
        self.policy.own.learn(received.flow.local);
        self.layer.handle_received(now, received);
        self.handle_events(now);
    }

    /// Nothing can be sent on this flow: connection refused or lost.
    pub fn handle_transport_error(&mut self, now: Instant, flow: &Flow) {
        if flow.transport.is_reliable() {
            self.policy.location.lose(flow);
        }
        self.layer.handle_transport_error(now, flow);
        self.handle_events(now);
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.policy.location.expire(now);
        self.layer.handle_timeout(now);
        self.handle_events(now);
        while let Some(timer) = self.deadlines.expired(now) {
            match timer {
                Timer::C(branch) => self.handle_timer_c(now, &branch),
                Timer::Over(key) => self.forget(&key),
                Timer::Closed(call, fork) => self.policy.dialogs.close(&call, fork.as_deref()),
            }
            self.handle_events(now);
        }
    }

    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.layer.poll_transmit()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let deadline = self.deadlines.next().map(|(at, _)| at);
        [self.layer.poll_timeout(), deadline, self.policy.location.next_expiry()].into_iter().flatten().min()
    }

    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let view = |(user, binding): (&str, &Binding)| BindingView {
            user: Untrusted::new(user),
            contact: Untrusted::new(binding.uri.to_string()),
            flow: binding.flow,
            expires_in: binding.expires.saturating_duration_since(now),
            user_agent: binding.user_agent.clone(),
        };
        let layer = self.layer.counters();
        Snapshot {
            bindings: self.policy.location.all(now).map(view).collect(),
            dialogs: self.policy.dialogs.len(),
            forwarding: self.contexts.values().filter(|c| !c.answered).count(),
            counters: Counters {
                malformed: layer.malformed,
                retransmissions: layer.retransmissions,
                strays: self.counters.strays + layer.stray_responses,
                ..self.counters
            },
        }
    }

    fn handle_events(&mut self, now: Instant) {
        while let Some(event) = self.layer.poll_event() {
            match event {
                // The same request by another way is forwarded as well; whether to merge is the callee's affair.
                Event::Request { key, request, flow, merged: _ } => self.handle_request(now, key, request, flow),
                Event::Ack { request, flow } => self.handle_ack(now, request, flow),
                Event::Cancelled { key, cancel } => self.handle_cancel(now, &key, cancel.headers.get("Reason")),
                Event::Response { key, response, flow: _ } => self.handle_response(now, &key, response),
                Event::Timeout { key } => self.end_branch(now, &key, Outcome::Silent),
                Event::TransportError { key } => self.handle_unreachable(now, &key),
                // RFC 6026 §7.2: a 2xx that no transaction waits for is not forwarded.
                Event::StrayResponse { .. } => self.counters.strays += 1,
                // The caller is gone: its branches end by themselves, or by timer C.
                Event::ServerFailed { .. } => {}
            }
        }
    }

    fn handle_request(&mut self, now: Instant, key: ServerKey, request: Request, flow: Flow) {
        self.counters.requests += 1;
        let (tag, is_register) = (self.rng.hex(16), request.method == Method::Register);
        let is_active = self.active.contains_key(&routing::fingerprint(&request));
        let decision = self.policy.decide(now, request.clone(), flow, is_active, &tag).unwrap_or_else(|refused| {
            let mut response = Response::to_request(&request, refused.status, Some(&tag));
            refused.headers.iter().for_each(|(name, value)| response.headers.push(name, value));
            Decision::Answer(Box::new(response))
        });
        match decision {
            Decision::Answer(response) => {
                self.counters.refused += u64::from(response.status >= 300);
                self.counters.registrations += u64::from(is_register && response.status < 300);
                self.layer.respond(now, &key, *response);
            }
            Decision::Forward(context) => {
                self.counters.forwarded += 1;
                *self.active.entry(context.fingerprint.clone()).or_default() += 1;
                if let Some(call) = &context.creates {
                    self.deadlines.stop(&Timer::Closed(call.clone(), None));
                }
                self.contexts.insert(key.clone(), *context);
                self.proceed(now, &key);
            }
        }
    }

    /// Starts the next group of branches, or answers when none is left.
    fn proceed(&mut self, now: Instant, key: &ServerKey) {
        let Some(context) = self.contexts.get_mut(key) else { return };
        if context.answered || context.is_pending() {
            return;
        }
        if let Some(group) = context.waiting.pop_front() {
            for target in group {
                self.start_branch(now, key, target);
            }
            // A group of which nothing could be sent at once ends here.
            return;
        }
        let tag = self.rng.hex(16);
        let response = match context.answer() {
            Answer::Forwarded(response) => Some(*response),
            Answer::Own(status) => Some(Response::to_request(&context.request, status, Some(&tag))),
            Answer::Silence => None,
        };
        let failed = context.creates.clone();
        if let Some(call) = failed {
            self.deadlines.set(Timer::Closed(call, None), now + self.timers.limit());
        }
        if let Some(response) = response {
            self.layer.respond(now, key, response);
        }
        self.finish(now, key);
    }

    fn start_branch(&mut self, now: Instant, key: &ServerKey, target: Target) {
        let Some(context) = self.contexts.get(key) else { return };
        let mut request = context.request.clone();
        routing::count_hop(&mut request);
        self.policy.gate.strip(&mut request);
        if let Some(uri) = &target.uri {
            routing::aim(&mut request, uri);
        }
        routing::prepend_path(&mut request, &target.path);
        let flows = by_size(&request, target.flows);
        self.send_branch(now, key, request, flows);
    }

    /// RFC 3261 §16.6, steps 4 and 10 to 11.
    fn send_branch(&mut self, now: Instant, key: &ServerKey, request: Request, mut flows: VecDeque<Flow>) {
        let (Some(context), Some(flow)) = (self.contexts.get_mut(key), flows.pop_front()) else { return };
        let mut sent = request.clone();
        if let Some(call) = &context.creates {
            routing::record_route(&mut sent, context.source, flow);
            self.policy.dialogs.sent(call, flow, &request.uri);
        }
        let branch = self.layer.send_request(now, sent, flow);
        if request.method == Method::Invite {
            self.deadlines.set(Timer::C(branch.clone()), now + TIMER_C);
        }
        self.branches.insert(branch.clone(), key.clone());
        context.branches.push(Branch {
            key: branch,
            flow,
            alternatives: flows,
            request,
            rings: false,
            given_up: false,
            outcome: None,
        });
    }

    /// An ACK of a 2xx goes along its dialog without a transaction (RFC 3261 §16.11).
    fn handle_ack(&mut self, now: Instant, request: Request, flow: Flow) {
        let Some(within) = self.policy.acknowledge(now, request, flow) else {
            self.counters.strays += 1;
            return;
        };
        let mut request = within.request;
        routing::count_hop(&mut request);
        self.policy.gate.strip(&mut request);
        if let Some(flow) = within.flows.first() {
            self.layer.send_stateless(request, *flow);
        }
    }

    /// RFC 3261 §16.10. The layer has answered the CANCEL.
    fn handle_cancel(&mut self, now: Instant, key: &ServerKey, reason: Option<&str>) {
        let Some(context) = self.contexts.get_mut(key) else { return };
        context.cancelled = true;
        self.cancel_others(now, key, reason);
    }

    /// Ends what is still open: pending branches are cancelled, waiting targets dropped.
    fn cancel_others(&mut self, now: Instant, key: &ServerKey, reason: Option<&str>) {
        let Some(context) = self.contexts.get_mut(key) else { return };
        context.waiting.clear();
        for branch in context.pending() {
            self.layer.cancel(now, &branch, reason);
        }
    }

    fn handle_timer_c(&mut self, now: Instant, branch: &ClientKey) {
        let context = self.branches.get(branch).and_then(|key| self.contexts.get_mut(key));
        if let Some(branch) = context.and_then(|context| context.branch(branch)) {
            branch.given_up = true;
        }
        // Without a provisional response timer B would have ended it long ago.
        self.layer.cancel(now, branch, None);
    }

    /// RFC 3261 §16.7.
    fn handle_response(&mut self, now: Instant, branch_key: &ClientKey, mut response: Response) {
        response.headers.remove_first("Via");
        let Some(key) = self.branches.get(branch_key).cloned().filter(|_| response.headers.get("Via").is_some()) else {
            self.counters.strays += 1;
            return;
        };
        let Some(context) = self.contexts.get_mut(&key) else { return };
        let (answered, creates) = (context.answered, context.creates.clone());
        let is_invite = context.request.method == Method::Invite;
        let Some(branch) = context.branch(branch_key) else { return };
        if let (Some(call), 101..300, Ok(to)) = (&creates, response.status, response.headers.to())
            && let Some(tag) = to.tag()
        {
            self.policy.dialogs.answered(call, tag, branch.flow, &branch.request.uri, response.status >= 200);
        }
        match response.status {
            ..=100 => {}
            101..200 => {
                branch.rings = true;
                if is_invite && !branch.given_up {
                    self.deadlines.set(Timer::C(branch_key.clone()), now + TIMER_C);
                }
                if !answered {
                    self.layer.respond(now, &key, response);
                }
            }
            200..300 => {
                branch.outcome = Some(Outcome::Answered(Box::new(response.clone())));
                self.deadlines.stop(&Timer::C(branch_key.clone()));
                // Every 2xx to an INVITE goes back, those of other forks and their repetitions included.
                if is_invite || !answered {
                    self.layer.respond(now, &key, response);
                }
                self.cancel_others(now, &key, Some("SIP;cause=200;text=\"Call completed elsewhere\""));
                self.finish(now, &key);
            }
            300..600 if branch.given_up => self.end_branch(now, branch_key, Outcome::Silent),
            300..600 => self.end_branch(now, branch_key, Outcome::Answered(Box::new(response))),
            600.. => {
                self.cancel_others(now, &key, None);
                self.end_branch(now, branch_key, Outcome::Answered(Box::new(response)));
            }
        }
    }

    /// Tries the next flow of the same target, if there is one.
    fn handle_unreachable(&mut self, now: Instant, branch_key: &ClientKey) {
        let Some(key) = self.branches.get(branch_key).cloned() else { return };
        let Some(context) = self.contexts.get_mut(&key) else { return };
        let is_wanted = !context.cancelled && !context.answered;
        let Some(branch) = context.branch(branch_key) else { return };
        if is_wanted && !branch.alternatives.is_empty() {
            let (request, flows) = (branch.request.clone(), std::mem::take(&mut branch.alternatives));
            context.branches.retain(|b| b.key != *branch_key);
            self.branches.remove(branch_key);
            self.deadlines.stop(&Timer::C(branch_key.clone()));
            self.send_branch(now, &key, request, flows);
            return;
        }
        self.end_branch(now, branch_key, Outcome::Unreachable);
    }

    fn end_branch(&mut self, now: Instant, branch_key: &ClientKey, outcome: Outcome) {
        self.deadlines.stop(&Timer::C(branch_key.clone()));
        let Some(key) = self.branches.get(branch_key).cloned() else { return };
        if let Some(branch) = self.contexts.get_mut(&key).and_then(|context| context.branch(branch_key)) {
            branch.outcome.get_or_insert(outcome);
        }
        self.proceed(now, &key);
    }

    /// The request is answered: it is kept as long as repetitions and late responses may come.
    fn finish(&mut self, now: Instant, key: &ServerKey) {
        let Some(context) = self.contexts.get_mut(key) else { return };
        if std::mem::replace(&mut context.answered, true) {
            return;
        }
        let limit = self.timers.limit();
        if let Some((call, fork)) = context.ends.take() {
            self.deadlines.set(Timer::Closed(call, Some(fork)), now + limit);
        }
        // A cancelled branch may take one limit to end, and its late 2xx is repeated for another.
        self.deadlines.set(Timer::Over(key.clone()), now + limit * 2);
    }

    fn forget(&mut self, key: &ServerKey) {
        let Some(context) = self.contexts.remove(key) else { return };
        for branch in &context.branches {
            self.branches.remove(&branch.key);
            self.deadlines.stop(&Timer::C(branch.key.clone()));
        }
        if let Some(count) = self.active.get_mut(&context.fingerprint) {
            *count -= 1;
            if *count == 0 {
                self.active.remove(&context.fingerprint);
            }
        }
    }
}

/// The flows in the order they are tried: what is too large for a datagram goes over TCP first (RFC 3261 §18.1.1). On
/// this machine the path MTU is known, and large.
fn by_size(request: &Request, flows: Vec<Flow>) -> VecDeque<Flow> {
    let length = request.to_bytes().len() + VIA;
    let mut all = VecDeque::new();
    for flow in flows {
        let choice = match flow.remote.ip().to_canonical().is_loopback() {
            true => size::choose(flow.transport, 0),
            false => size::choose(flow.transport, length),
        };
        all.extend(std::iter::once(choice.first).chain(choice.fallback).map(|transport| Flow { transport, ..flow }));
    }
    all
}
