//! The transaction layer: matching, absorption of retransmissions, timers, and the ways in and out (RFC 3261 §17, §18).
use super::action::{Action, Timer};
use super::client::{self, Cancel, Client};
use super::server::{self, MergeKey, Server};
use super::{ClientKey, ServerKey, client_invite, client_non_invite, server_invite, server_non_invite};
use crate::base::net::{Flow, Received, Transmit};
use crate::base::rng::Rng;
use crate::base::timers::TimerTable;
use crate::sip::key::MAGIC_COOKIE;
use crate::sip::message::{Message, Method, ParseError, Request, Response, Via, parse};
use crate::sip::timer::Timers;
use bytes::Bytes;
use md5::{Digest as _, Md5};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug)]
pub struct Config {
    pub timers: Timers,
    /// Most client transactions at a time; a request beyond it fails at once as if it could not be sent.
    pub max_clients: usize,
    /// Most server transactions at a time; a request beyond it is answered 503.
    pub max_servers: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { timers: Timers::default(), max_clients: 16_384, max_servers: 16_384 }
    }
}

/// What was dropped or absorbed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Not a SIP message, or one that cannot be matched.
    pub malformed: u64,
    /// Requests and responses seen before.
    pub retransmissions: u64,
    /// Responses (other than 2xx to INVITE) that belong to no transaction.
    pub stray_responses: u64,
    /// Requests refused because there were too many transactions.
    pub refused: u64,
}

/// What the layer tells its user.
#[derive(Clone, Debug)]
pub enum Event {
    /// A new request (never ACK or CANCEL): answer it with [`Layer::respond`]. Its topmost Via carries `received` and `rport`
    /// already. `merged`: the same request arrived before on another way (RFC 3261 §8.2.2.2): a user agent answers 482.
    Request { key: ServerKey, request: Request, flow: Flow, merged: bool },
    /// The ACK of a 2xx. It belongs to a dialog, not to a transaction; stray ones come here as well.
    Ack { request: Request, flow: Flow },
    /// The INVITE `key` was cancelled (the CANCEL is answered already) and has no final response yet: answer it 487.
    Cancelled { key: ServerKey, cancel: Request },
    /// A response. Every 2xx to an INVITE comes up, retransmitted and forked ones included (RFC 6026 §7.2): each needs an
    /// ACK from the user. The ACK of other final responses was sent by the layer.
    Response { key: ClientKey, response: Response, flow: Flow },
    /// A 2xx to an INVITE whose transaction is over: a late retransmission, or a late fork. It needs an ACK from the user.
    StrayResponse { response: Response, flow: Flow },
    /// No final response in time (timers B and F, or 64*T1 after a CANCEL). The transaction is over.
    Timeout { key: ClientKey },
    /// The request could not be sent. The transaction is over.
    TransportError { key: ClientKey },
    /// No ACK came for a final response other than 2xx (timer H), or a response could not be sent. Nothing needs to be done.
    ServerFailed { key: ServerKey },
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Client(ClientKey),
    Server(ServerKey),
}

/// All transactions of one user agent or proxy.
///
/// After each input drain [`Layer::poll_transmit`] and [`Layer::poll_event`], then wait until [`Layer::poll_timeout`].
#[derive(Debug)]
pub struct Layer {
    config: Config,
    rng: Rng,
    /// Makes the branches of stateless requests unguessable.
    secret: u64,
    clients: BTreeMap<ClientKey, Client>,
    servers: BTreeMap<ServerKey, Server>,
    timers: TimerTable<(Key, Timer)>,
    by_flow: BTreeMap<Flow, BTreeSet<Key>>,
    /// How many server transactions carry the same request.
    merges: BTreeMap<MergeKey, u32>,
    transmits: VecDeque<Transmit>,
    events: VecDeque<Event>,
    counters: Counters,
}

impl Layer {
    pub fn new(config: Config, mut rng: Rng) -> Self {
        let secret = rng.u64();
        Self {
            config,
            rng,
            secret,
            clients: BTreeMap::new(),
            servers: BTreeMap::new(),
            timers: TimerTable::default(),
            by_flow: BTreeMap::new(),
            merges: BTreeMap::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Sends a request (not ACK; for CANCEL see [`Layer::cancel`]) in a new client transaction. A Via with our address and a
    /// new branch is put on top of those it has, so that a user agent gives none and a proxy gives those it received.
    pub fn send_request(&mut self, now: Instant, mut request: Request, flow: Flow) -> ClientKey {
        let branch = format!("{MAGIC_COOKIE}{}", self.rng.hex(20));
        request.headers.push_front("Via", Via::new(flow.transport.via_token(), flow.local, &branch));
        let key = ClientKey::new(&branch, request.method.clone());
        self.start_client(now, key.clone(), request, flow, false);
        key
    }

    /// Sends a request outside of transactions: the ACK of a 2xx. A Via is put on top; the same request gets the same
    /// branch each time (RFC 3261 §16.11).
    pub fn send_stateless(&mut self, mut request: Request, flow: Flow) {
        let mut hash = Md5::new();
        hash.update(self.secret.to_be_bytes());
        for name in ["Via", "From", "To", "Call-ID", "CSeq"] {
            hash.update(request.headers.get(name).unwrap_or_default());
            hash.update(b"\n");
        }
        let digest: String = hash.finalize().iter().take(10).map(|byte| format!("{byte:02x}")).collect();
        let branch = format!("{MAGIC_COOKIE}{digest}");
        request.headers.push_front("Via", Via::new(flow.transport.via_token(), flow.local, &branch));
        self.transmit(flow, request.to_bytes());
    }

    /// Cancels an INVITE: at once when a provisional response has come, else when the first one comes (RFC 3261 §9.1).
    /// Does nothing after a final response. The INVITE's own end is still reported: `Response` (487 or, when the
    /// messages crossed, 2xx) or `Timeout`. `reason` becomes the Reason header (RFC 3326).
    pub fn cancel(&mut self, now: Instant, key: &ClientKey, reason: Option<&str>) {
        let Some(client) = self.clients.get_mut(key) else { return };
        match (&client.machine, &client.cancel) {
            (client::Machine::Invite(client_invite::State::Calling { .. }), Cancel::No) => {
                client.cancel = Cancel::Wanted(reason.map(str::to_owned));
            }
            (client::Machine::Invite(client_invite::State::Proceeding), Cancel::No) => {
                self.send_cancel(now, key.clone(), reason);
            }
            _ => {}
        }
    }

    /// Sends a response. Ignored when the transaction is over or already has a final response (but a 2xx to INVITE may be
    /// sent again and again).
    pub fn respond(&mut self, now: Instant, key: &ServerKey, response: Response) {
        let Some(server) = self.servers.get_mut(key) else { return };
        if !(100..700).contains(&response.status) || !server.takes(response.status) {
            return;
        }
        server.to_tag = response.headers.to().ok().and_then(|to| to.tag().map(str::to_owned)).or(server.to_tag.take());
        server.response = Some(response.to_bytes());
        self.step_server(now, key.clone(), server::Input::Response(response.status), None);
    }

    /// Bytes from the network.
    pub fn handle_received(&mut self, now: Instant, received: Received) {
        match parse(&received.bytes) {
            Ok(message) => self.handle_message(now, message, received.flow),
            Err(ParseError::KeepAlive) => {}
            Err(ParseError::Garbage(_)) => self.counters.malformed += 1,
            Err(ParseError::Refused { answer }) => {
                self.counters.malformed += 1;
                self.refuse(*answer, received.flow);
            }
        }
    }

    /// A message from the network that was parsed already; else like [`Layer::handle_received`].
    pub fn handle_message(&mut self, now: Instant, message: Message, flow: Flow) {
        match message {
            Message::Request(request) => self.handle_request(now, request, flow),
            Message::Response(response) => self.handle_response(now, response, flow),
        }
    }

    /// Nothing can be sent on this flow: connection refused or lost, ICMP unreachable.
    pub fn handle_transport_error(&mut self, now: Instant, flow: &Flow) {
        let keys = self.by_flow.get(flow).cloned().unwrap_or_default();
        for key in keys {
            match key {
                Key::Client(key) => self.step_client(now, key, client::Input::TransportError, None),
                Key::Server(key) => self.step_server(now, key, server::Input::TransportError, None),
            }
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((key, timer)) = self.timers.expired(now) {
            match key {
                Key::Client(key) => self.step_client(now, key, client::Input::Timer(timer), None),
                Key::Server(key) => self.step_server(now, key, server::Input::Timer(timer), None),
            }
        }
    }

    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next().map(|(at, _)| at)
    }

    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Whether no transaction is left: all messages are delivered or given up.
    pub fn is_idle(&self) -> bool {
        self.clients.is_empty() && self.servers.is_empty()
    }

    fn start_client(&mut self, now: Instant, key: ClientKey, request: Request, flow: Flow, quiet: bool) {
        if self.clients.len() >= self.config.max_clients {
            self.counters.refused += 1;
            if !quiet {
                self.events.push_back(Event::TransportError { key });
            }
            return;
        }
        let (timers, reliable, mut actions) = (self.config.timers, flow.transport.is_reliable(), Vec::new());
        let bytes = request.to_bytes();
        let (machine, invite) = if request.method == Method::Invite {
            let state = client_invite::start(&timers, reliable, &mut actions);
            (client::Machine::Invite(state), Some(Box::new(request)))
        } else {
            (client::Machine::NonInvite(client_non_invite::start(&timers, reliable, &mut actions)), None)
        };
        let client = Client { machine, flow, bytes, invite, ack: None, cancel: Cancel::No, quiet };
        self.clients.insert(key.clone(), client);
        self.by_flow.entry(flow).or_default().insert(Key::Client(key.clone()));
        self.act_client(now, &key, actions, None);
    }

    fn send_cancel(&mut self, now: Instant, key: ClientKey, reason: Option<&str>) {
        let Some(client) = self.clients.get_mut(&key) else { return };
        let Some(invite) = &client.invite else { return };
        client.cancel = Cancel::Sent;
        let (cancel, flow) = (client::cancel_of(invite, reason), client.flow);
        self.timers.set((Key::Client(key.clone()), Timer::Cancelled), now + at_least(self.config.timers.limit()));
        self.start_client(now, key.of_cancel(), cancel, flow, true);
    }

    fn handle_response(&mut self, now: Instant, response: Response, flow: Flow) {
        let Ok(key) = ClientKey::of_response(&response) else {
            self.counters.malformed += 1;
            return;
        };
        let Some(client) = self.clients.get(&key) else {
            if *key.method() == Method::Invite && (200..300).contains(&response.status) {
                self.events.push_back(Event::StrayResponse { response, flow });
            } else {
                self.counters.stray_responses += 1;
            }
            return;
        };
        self.counters.retransmissions += u64::from(client.absorbs());
        self.step_client(now, key, client::Input::Response(response.status), Some((response, flow)));
    }

    fn step_client(&mut self, now: Instant, key: ClientKey, input: client::Input, received: Option<(Response, Flow)>) {
        let Some(client) = self.clients.get_mut(&key) else { return };
        let mut actions = Vec::new();
        let alive = client.step(input, &self.config.timers, &mut actions);
        // A CANCEL that waited for the first provisional response.
        let cancel = match (&client.machine, &client.cancel) {
            (client::Machine::Invite(client_invite::State::Proceeding), Cancel::Wanted(reason)) => Some(reason.clone()),
            _ => None,
        };
        self.act_client(now, &key, actions, received);
        if let Some(reason) = cancel {
            self.send_cancel(now, key, reason.as_deref());
        } else if !alive {
            self.remove_client(&key);
        }
    }

    fn act_client(
        &mut self,
        now: Instant,
        key: &ClientKey,
        actions: Vec<Action>,
        mut received: Option<(Response, Flow)>,
    ) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let (flow, quiet) = (client.flow, client.quiet);
        for action in actions {
            match action {
                Action::Transmit => {
                    let bytes = client.bytes.clone();
                    self.transmits.push_back(Transmit { flow, bytes });
                }
                Action::Acknowledge => {
                    if let (None, Some(invite), Some((response, _))) = (&client.ack, &client.invite, &received) {
                        client.ack = Some(client::ack_of_failure(invite, response));
                    }
                    let bytes = client.ack.clone();
                    self.transmits.extend(bytes.map(|bytes| Transmit { flow, bytes }));
                }
                Action::Report => {
                    if let (false, Some((response, flow))) = (quiet, received.take()) {
                        self.events.push_back(Event::Response { key: key.clone(), response, flow });
                    }
                }
                Action::Start(timer, after) => {
                    self.timers.set((Key::Client(key.clone()), timer), now + at_least(after));
                }
                Action::Stop(timer) => self.timers.stop(&(Key::Client(key.clone()), timer)),
                Action::TellTimeout if !quiet => self.events.push_back(Event::Timeout { key: key.clone() }),
                Action::TellTransportError if !quiet => {
                    self.events.push_back(Event::TransportError { key: key.clone() });
                }
                // A CANCEL's end is nobody's business, and 100 Trying is a server's.
                Action::TellTimeout | Action::TellTransportError | Action::SendTrying => {}
            }
        }
    }

    fn remove_client(&mut self, key: &ClientKey) {
        let Some(client) = self.clients.remove(key) else { return };
        let key = Key::Client(key.clone());
        for timer in [Timer::A, Timer::B, Timer::D, Timer::M, Timer::E, Timer::F, Timer::K, Timer::Cancelled] {
            self.timers.stop(&(key.clone(), timer));
        }
        self.leave_flow(client.flow, &key);
    }

    fn handle_request(&mut self, now: Instant, mut request: Request, flow: Flow) {
        if let Ok(mut via) = request.headers.via() {
            via.stamp(flow.remote);
            request.headers.replace_first("Via", via);
        }
        let Ok(key) = ServerKey::of_request(&request) else {
            self.counters.malformed += 1;
            return;
        };
        match request.method {
            Method::Ack if self.servers.contains_key(&key) => {
                self.step_server(now, key, server::Input::Ack, Some((request, flow)));
            }
            Method::Ack => self.events.push_back(Event::Ack { request, flow }),
            Method::Cancel => self.handle_cancel(key.of_invite(), request, flow),
            _ if self.servers.contains_key(&key) => {
                self.counters.retransmissions += 1;
                self.step_server(now, key, server::Input::Request, None);
            }
            _ if self.servers.len() >= self.config.max_servers => {
                self.counters.refused += 1;
                let mut answer = Response::to_request(&request, 503, Some(&self.rng.hex(8)));
                answer.headers.push("Retry-After", 10);
                self.transmit(server::response_flow(&request.headers, flow), answer.to_bytes());
            }
            _ => self.start_server(now, key, request, flow),
        }
    }

    /// Answers a CANCEL outside of transactions: a repeated one finds its INVITE again and gets the same answer
    /// (RFC 3261 §9.2).
    fn handle_cancel(&mut self, invite: ServerKey, cancel: Request, flow: Flow) {
        let answer = match self.servers.get_mut(&invite) {
            Some(server) => {
                let tag = server.to_tag.get_or_insert_with(|| self.rng.hex(8));
                let answer = Response::to_request(&cancel, 200, Some(tag));
                if server.is_open() && !std::mem::replace(&mut server.cancelled, true) {
                    self.events.push_back(Event::Cancelled { key: invite, cancel });
                }
                answer
            }
            None => Response::to_request(&cancel, 481, Some(&self.rng.hex(8))),
        };
        self.transmit(server::response_flow(&answer.headers, flow), answer.to_bytes());
    }

    fn start_server(&mut self, now: Instant, key: ServerKey, request: Request, source: Flow) {
        let mut actions = Vec::new();
        let (machine, trying) = if request.method == Method::Invite {
            let trying = Response::to_request(&request, 100, None).to_bytes();
            (server::Machine::Invite(server_invite::start(&mut actions)), Some(trying))
        } else {
            let state = server_non_invite::start(&self.config.timers, &mut actions);
            (server::Machine::NonInvite(state), None)
        };
        let merge = MergeKey::of(&request);
        if let Some(merge) = &merge {
            *self.merges.entry(merge.clone()).or_default() += 1;
        }
        let flow = server::response_flow(&request.headers, source);
        let server = Server { machine, source, flow, response: None, trying, to_tag: None, cancelled: false, merge };
        self.servers.insert(key.clone(), server);
        self.by_flow.entry(source).or_default().insert(Key::Server(key.clone()));
        self.act_server(now, &key, actions, Some((request, source)));
    }

    fn step_server(&mut self, now: Instant, key: ServerKey, input: server::Input, received: Option<(Request, Flow)>) {
        let Some(server) = self.servers.get_mut(&key) else { return };
        let mut actions = Vec::new();
        let alive = server.step(input, &self.config.timers, &mut actions);
        self.act_server(now, &key, actions, received);
        if !alive {
            self.remove_server(&key);
        }
    }

    fn act_server(
        &mut self,
        now: Instant,
        key: &ServerKey,
        actions: Vec<Action>,
        mut received: Option<(Request, Flow)>,
    ) {
        let Some(server) = self.servers.get_mut(key) else { return };
        for action in actions {
            match action {
                Action::Transmit => {
                    let (flow, bytes) = (server.flow, server.response.clone());
                    self.transmits.extend(bytes.map(|bytes| Transmit { flow, bytes }));
                }
                Action::SendTrying => {
                    server.response = server.trying.take();
                    let (flow, bytes) = (server.flow, server.response.clone());
                    self.transmits.extend(bytes.map(|bytes| Transmit { flow, bytes }));
                }
                Action::Report => match received.take() {
                    Some((request, flow)) if request.method == Method::Ack => {
                        self.events.push_back(Event::Ack { request, flow });
                    }
                    Some((request, flow)) => {
                        let merged = server.merge.as_ref().and_then(|m| self.merges.get(m)).is_some_and(|n| *n > 1);
                        self.events.push_back(Event::Request { key: key.clone(), request, flow, merged });
                    }
                    None => {}
                },
                Action::Start(timer, after) => {
                    self.timers.set((Key::Server(key.clone()), timer), now + at_least(after));
                }
                Action::Stop(timer) => self.timers.stop(&(Key::Server(key.clone()), timer)),
                Action::TellTimeout | Action::TellTransportError => {
                    self.events.push_back(Event::ServerFailed { key: key.clone() });
                }
                // A server has nothing to acknowledge.
                Action::Acknowledge => {}
            }
        }
    }

    fn remove_server(&mut self, key: &ServerKey) {
        let Some(server) = self.servers.remove(key) else { return };
        let key = Key::Server(key.clone());
        for timer in [Timer::G, Timer::H, Timer::I, Timer::J, Timer::L, Timer::Trying, Timer::Abandoned] {
            self.timers.stop(&(key.clone(), timer));
        }
        if let Some(merge) = server.merge
            && let Some(count) = self.merges.get_mut(&merge)
        {
            *count -= 1;
            if *count == 0 {
                self.merges.remove(&merge);
            }
        }
        self.leave_flow(server.source, &key);
    }

    fn leave_flow(&mut self, flow: Flow, key: &Key) {
        if let Some(keys) = self.by_flow.get_mut(&flow) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_flow.remove(&flow);
            }
        }
    }

    /// Sends an answer to a request that could not be read, back to where it came from.
    fn refuse(&mut self, mut answer: Response, flow: Flow) {
        if answer.headers.cseq().is_ok_and(|cseq| cseq.method == Method::Ack) {
            return;
        }
        if let Ok(mut via) = answer.headers.via() {
            via.stamp(flow.remote);
            answer.headers.replace_first("Via", via);
        }
        self.transmit(server::response_flow(&answer.headers, flow), answer.to_bytes());
    }

    fn transmit(&mut self, flow: Flow, bytes: Bytes) {
        self.transmits.push_back(Transmit { flow, bytes });
    }
}

/// A timer that is due at once would be due for ever.
fn at_least(after: Duration) -> Duration {
    after.max(Duration::from_millis(1))
}
