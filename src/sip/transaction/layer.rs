//! The transaction layer: matching, absorption of retransmissions, timers, and the ways in and out (RFC 3261 §17, §18).
use super::action::Timer;
use super::client::{self, Cancel, Client};
use super::server::{self, MergeKey, Server};
use super::{ClientKey, ServerKey, client_invite};
use crate::base::net::{Flow, Received, Transmit, Transport};
use crate::base::rng::Rng;
use crate::base::timers::TimerTable;
use crate::sip::key::MAGIC_COOKIE;
use crate::sip::message::{Host, Message, ParseError, Request, Response, Via, parse};
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
    /// What requests of live server transactions and the responses kept for them may take in all \[bytes\]; then, too, a new
    /// request is answered 503. Large messages would else make many transactions many megabytes.
    pub max_held: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { timers: Timers::default(), max_clients: 16_384, max_servers: 16_384, max_held: 32 << 20 }
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
pub(super) enum Key {
    Client(ClientKey),
    Server(ServerKey),
}

/// All transactions of one user agent or proxy.
///
/// After each input drain [`Layer::poll_transmit`] and [`Layer::poll_event`], then wait until [`Layer::poll_timeout`].
#[derive(Debug)]
pub struct Layer {
    pub(super) config: Config,
    pub(super) rng: Rng,
    /// Makes the branches of stateless requests unguessable.
    pub(super) secret: u64,
    nowhere: Host,
    pub(super) clients: BTreeMap<ClientKey, Client>,
    pub(super) servers: BTreeMap<ServerKey, Server>,
    /// See [`Config::max_held`].
    pub(super) held: usize,
    pub(super) timers: TimerTable<(Key, Timer)>,
    pub(super) by_flow: BTreeMap<Flow, BTreeSet<Key>>,
    /// How many server transactions carry the same request.
    pub(super) merges: BTreeMap<MergeKey, u32>,
    pub(super) transmits: VecDeque<Transmit>,
    pub(super) events: VecDeque<Event>,
    pub(super) counters: Counters,
}

impl Layer {
    pub fn new(config: Config, mut rng: Rng) -> Self {
        let secret = rng.u64();
        let nowhere = Host::Name(format!("{}.invalid", rng.hex(12)));
        Self {
            config,
            rng,
            secret,
            nowhere,
            clients: BTreeMap::new(),
            servers: BTreeMap::new(),
            held: 0,
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
        request.headers.push_front("Via", self.via(&flow, &branch));
        let key = ClientKey::new(&branch, request.method.clone());
        self.start_client(now, key.clone(), request, flow, false);
        key
    }

    /// Sends a request outside of transactions: the ACK of a 2xx. A Via is put on top; the same request gets the same
    /// branch each time (RFC 3261 §16.11).
    pub fn send_stateless(&mut self, mut request: Request, flow: Flow) {
        let digest = self.stateless_token(&request, &["Via", "From", "To", "Call-ID", "CSeq"]);
        let branch = format!("{MAGIC_COOKIE}{digest}");
        request.headers.push_front("Via", self.via(&flow, &branch));
        self.transmit(flow, request.to_bytes());
    }

    /// Our Via on a flow. Nobody can connect to us where we are reached over a WebSocket: the name says so (RFC 7118 §5.2).
    fn via(&self, flow: &Flow, branch: &str) -> Via {
        let token = flow.transport.via_token();
        if flow.transport.is_websocket() {
            return Via::new(token, self.nowhere.clone(), None, branch);
        }
        let mut via = Via::new(token, Host::Ip(flow.local.ip()), Some(flow.local.port()), branch);
        if flow.transport == Transport::Tls {
            // The server may send its requests on the connection we opened, and has no other way (RFC 5923 §6).
            via.params.set("alias", None);
        }
        via
    }

    /// The host that stands for us where nobody can connect to us: a name that is never resolved.
    pub fn nowhere(&self) -> &Host {
        &self.nowhere
    }

    /// The same for the same headers, and not to be guessed.
    fn stateless_token(&self, request: &Request, names: &[&str]) -> String {
        let mut hash = Md5::new();
        hash.update(self.secret.to_be_bytes());
        for name in names {
            hash.update(request.headers.get(name).unwrap_or_default());
            hash.update(b"\n");
        }
        hash.finalize().iter().take(10).map(|byte| format!("{byte:02x}")).collect()
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

    /// Forgets a request whose outcome nobody waits for any more; nothing is told of it. Not for INVITE, which is cancelled.
    pub fn abandon(&mut self, key: &ClientKey) {
        self.remove_client(key);
    }

    /// Sends a response. Ignored when the transaction is over or already has a final response (but a 2xx to INVITE may be
    /// sent again and again).
    pub fn respond(&mut self, now: Instant, key: &ServerKey, response: Response) {
        let Some(server) = self.servers.get_mut(key) else { return };
        if !(100..700).contains(&response.status) || !server.takes(response.status) {
            return;
        }
        server.to_tag = response.headers.to().ok().and_then(|to| to.tag().map(str::to_owned)).or(server.to_tag.take());
        let bytes = response.to_bytes();
        let before = server.response.as_ref().map_or(0, Bytes::len);
        server.held = (server.held + bytes.len()).saturating_sub(before);
        self.held = (self.held + bytes.len()).saturating_sub(before);
        server.response = Some(bytes);
        self.step_server(now, key.clone(), server::Input::Response(response.status), None);
    }

    /// Sends a final response once and forgets the transaction (RFC 3261 §8.2.7): a stranger costs no memory, and whoever
    /// borrows a source address gets one response for one request. The To tag is the same each time.
    pub fn respond_once(&mut self, key: &ServerKey, request: &Request, status: u16, headers: &[(&str, &str)]) {
        let Some(server) = self.servers.get(key) else { return };
        let flow = server.flow;
        let tag = self.stateless_token(request, &["From", "Call-ID"]);
        let mut response = Response::to_request(request, status, Some(&tag));
        headers.iter().for_each(|(name, value)| response.headers.set(name, value));
        self.transmit(flow, response.to_bytes());
        self.remove_server(key);
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
                Key::Server(key) => self.lose_server_flow(now, key),
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

    /// Whether the indexes are empty too.
    #[cfg(test)]
    pub(super) fn holds_nothing(&self) -> bool {
        self.by_flow.is_empty() && self.merges.is_empty() && self.timers.next().is_none() && self.held == 0
    }

    pub(super) fn leave_flow(&mut self, flow: Flow, key: &Key) {
        if let Some(keys) = self.by_flow.get_mut(&flow) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_flow.remove(&flow);
            }
        }
    }

    pub(super) fn transmit(&mut self, flow: Flow, bytes: Bytes) {
        self.transmits.push_back(Transmit { flow, bytes });
    }
}

/// A timer that is due at once would be due for ever.
pub(super) fn at_least(after: Duration) -> Duration {
    after.max(Duration::from_millis(1))
}
