//! All that one stream does to be reachable: it asks STUN and TURN servers for addresses, runs ICE over them, and takes
//! what is sent and received over the chosen way.
//!
//! ```text
//!   gathering --- all answered, or 500 ms are over ---> Gathered --- the peer's description ---> checking ---> chosen
//!                                                          ^                                                    |
//!                                                          +---- a restart: new sockets or new credentials -----+
//! ```
//! Gathering never waits for a server that does not answer: what it tells later is used, but not offered.
use super::candidate::{
    Candidate, Gather, IceSpec, Kind, PathState, PathView, RTP, ServerTransport, TurnServer, priority,
};
use super::ice::{self, Agent, Base, Via, same};
use super::stun::{self, Builder, Class, Message, Method, TransactionId};
use super::turn;
use crate::base::rng::Rng;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long gathering may take.
const GATHERING: Duration = Duration::from_millis(500);
/// And where nothing but a relayed address will do.
const GATHERING_RELAYED: Duration = Duration::from_secs(3);
/// A request to a STUN server is repeated so soon.
const RTO: Duration = Duration::from_millis(150);
const SENDS: u8 = 5;
/// A mapping is refreshed while nothing else does it (RFC 8445 §11).
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Allocations of one stream.
const MOST_RELAYS: usize = 4;
const MOST_CANDIDATES: usize = 24;

/// A socket of the stream; its place in the list is its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket {
    pub component: u8,
    pub local: SocketAddr,
}

/// To be sent from one of the sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    pub socket: u8,
    pub destination: SocketAddr,
    pub bytes: Vec<u8>,
}

/// Which server a name or a connection is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Helper {
    Stun,
    Turn,
}

/// What only the shell can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    Resolve {
        helper: Helper,
        host: String,
        port: u16,
    },
    Connect {
        connection: u8,
        address: SocketAddr,
        /// Over TLS, to a server of this name, with the file of more authorities to trust.
        tls: Option<(String, Option<PathBuf>)>,
    },
    Send {
        connection: u8,
        bytes: Vec<u8>,
    },
    Close {
        connection: u8,
    },
}

/// What the shell did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    Resolved { helper: Helper, addresses: Vec<SocketAddr> },
    Connected { connection: u8 },
    Received { connection: u8, bytes: Vec<u8> },
    Closed { connection: u8, why: String },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The candidates are known; those of components without ICE are the mapped addresses.
    Gathered(Vec<Candidate>),
    Path(PathState),
    /// A server does not help, in words.
    Trouble(String),
}

/// What to do with a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Consumed,
    /// The peer's: RTP, RTCP or DTLS.
    Media,
    /// Nobody's that proved itself.
    Foreign,
}

#[derive(Debug)]
struct Query {
    socket: u8,
    server: SocketAddr,
    id: TransactionId,
    sends: u8,
    resend_at: Instant,
    mapped: Option<SocketAddr>,
}

#[derive(Debug)]
struct Relay {
    component: u8,
    /// The socket of its datagrams; over a stream, the one whose component it serves.
    socket: u8,
    server: SocketAddr,
    streamed: bool,
    /// Not before the connection is there.
    client: Option<turn::Client>,
    /// Address of ours that the server sees.
    mapped: Option<SocketAddr>,
    over: bool,
}

#[derive(Debug)]
pub struct Traversal {
    rng: Rng,
    gather: Gather,
    sockets: Vec<Socket>,
    agent: Option<Agent>,
    queries: Vec<Query>,
    relays: Vec<Relay>,
    /// Names that are looked up.
    unresolved: Vec<Helper>,
    gathering_until: Option<Instant>,
    checking: bool,
    peers: Vec<IpAddr>,
    out: VecDeque<Outgoing>,
    orders: VecDeque<Order>,
    data: VecDeque<(u8, SocketAddr, Vec<u8>)>,
    events: VecDeque<Event>,
}

impl Traversal {
    /// Begins to gather.
    ///
    /// - `sockets`: the best first; those of one component are of different addresses.
    pub fn new(now: Instant, gather: Gather, sockets: Vec<Socket>, mut rng: Rng) -> Self {
        let mut agent = gather.credentials.clone().map(|credentials| Agent::new(credentials, rng.fork()));
        if let Some(agent) = agent.as_mut().filter(|_| !gather.relay_only) {
            for (number, socket) in sockets.iter().enumerate() {
                agent.add_base(
                    now,
                    Base {
                        via: Via::Socket(number as u8),
                        component: socket.component,
                        address: socket.local,
                        kind: Kind::Host,
                        preference: preference(number),
                    },
                );
            }
        }
        let wait = if gather.relay_only { GATHERING_RELAYED } else { GATHERING };
        let mut traversal = Self {
            rng,
            sockets,
            agent,
            queries: Vec::new(),
            relays: Vec::new(),
            unresolved: Vec::new(),
            gathering_until: Some(now + wait),
            checking: false,
            peers: Vec::new(),
            out: VecDeque::new(),
            orders: VecDeque::new(),
            data: VecDeque::new(),
            events: VecDeque::new(),
            gather,
        };
        let stun = traversal.gather.stun.clone().filter(|_| !traversal.gather.relay_only);
        if let Some(server) = stun {
            traversal.locate(now, Helper::Stun, &server.host, server.port);
        }
        if let Some(turn) = traversal.gather.turn.clone().filter(|_| traversal.agent.is_some()) {
            traversal.locate(now, Helper::Turn, &turn.server.host, turn.server.port);
        }
        traversal.drain(now);
        traversal.check_gathered(now);
        traversal
    }

    fn locate(&mut self, now: Instant, helper: Helper, host: &str, port: u16) {
        match host.trim_matches(['[', ']']).parse() {
            Ok(ip) => self.resolved(now, helper, &[SocketAddr::new(ip, port)]),
            Err(_) => {
                self.unresolved.push(helper);
                self.orders.push_back(Order::Resolve { helper, host: host.to_owned(), port });
            }
        }
    }

    fn resolved(&mut self, now: Instant, helper: Helper, addresses: &[SocketAddr]) {
        self.unresolved.retain(|waiting| *waiting != helper);
        match helper {
            Helper::Stun => {
                for number in 0..self.sockets.len() {
                    let Some(local) = self.sockets.get(number).map(|socket| socket.local) else { continue };
                    if let Some(server) = addresses.iter().find(|server| reaches(local, **server)) {
                        self.ask(now, number as u8, *server);
                    }
                }
            }
            Helper::Turn => {
                let Some(turn) = self.gather.turn.clone() else { return };
                let mut components: Vec<u8> = self.sockets.iter().map(|socket| socket.component).collect();
                components.sort_unstable();
                components.dedup();
                for component in components {
                    self.relay(now, &turn, component, addresses);
                }
            }
        }
    }

    fn ask(&mut self, now: Instant, socket: u8, server: SocketAddr) {
        let id = TransactionId::new(&mut self.rng);
        self.queries.retain(|query| query.socket != socket);
        self.queries.push(Query { socket, server, id, sends: 1, resend_at: now + RTO, mapped: None });
        self.out.push_back(Outgoing { socket, destination: server, bytes: question(id) });
    }

    fn relay(&mut self, now: Instant, turn: &TurnServer, component: u8, addresses: &[SocketAddr]) {
        let own = |socket: &&(usize, &Socket)| socket.1.component == component;
        let sockets: Vec<(usize, &Socket)> = self.sockets.iter().enumerate().collect();
        let place = sockets.iter().filter(own).find_map(|(number, socket)| {
            let server = addresses.iter().find(|server| reaches(socket.local, **server))?;
            Some((*number as u8, *server))
        });
        let Some((socket, server)) = place.filter(|_| self.relays.len() < MOST_RELAYS) else { return };
        let streamed = turn.transport != ServerTransport::Udp;
        let number = self.relays.len() as u8;
        let client = (!streamed)
            .then(|| turn::Client::new(now, &turn.user, &turn.password, false, server.is_ipv6(), self.rng.fork()));
        if streamed {
            let tls =
                (turn.transport == ServerTransport::Tls).then(|| (turn.server.host.clone(), turn.authorities.clone()));
            self.orders.push_back(Order::Connect { connection: number, address: server, tls });
        }
        self.relays.push(Relay { component, socket, server, streamed, client, mapped: None, over: false });
    }

    /// The peer's description, the first or a later one. Without ICE in it there is nothing left to do here: drop this.
    pub fn configure(&mut self, now: Instant, spec: &IceSpec, muxed: bool) {
        let Some(agent) = &mut self.agent else { return };
        self.peers = spec.candidates.iter().map(|candidate| candidate.address.ip()).collect();
        self.peers.sort_unstable();
        self.peers.dedup();
        for relay in &mut self.relays {
            let client = relay.client.iter_mut();
            client.for_each(|client| self.peers.iter().for_each(|peer| client.permit(now, *peer)));
        }
        agent.configure(now, spec, muxed);
        if agent.destination(RTP).is_none() && !self.checking {
            self.checking = true;
            self.events.push_back(Event::Path(PathState::Checking));
        }
        self.drain(now);
    }

    pub fn handle_datagram(&mut self, now: Instant, socket: u8, source: SocketAddr, bytes: &[u8]) -> Verdict {
        let of_server = |relay: &Relay| !relay.streamed && relay.socket == socket && same(relay.server, source);
        if let Some(number) = self.relays.iter().position(of_server) {
            let answer = Message::parse(bytes).is_ok_and(|message| self.queries.iter().any(|q| q.id == message.id));
            if !answer {
                self.relayed(now, number, bytes);
                self.drain(now);
                return Verdict::Consumed;
            }
        }
        if stun::is_stun(bytes) {
            if let Ok(message) = Message::parse(bytes) {
                self.handle_stun(now, Via::Socket(socket), source, &message);
                self.drain(now);
            }
            return Verdict::Consumed;
        }
        match &self.agent {
            None => Verdict::Media,
            Some(agent) if agent.accepts(Via::Socket(socket), source) => Verdict::Media,
            Some(_) => Verdict::Foreign,
        }
    }

    fn handle_stun(&mut self, now: Instant, via: Via, source: SocketAddr, message: &Message<'_>) {
        let asked = self
            .queries
            .iter_mut()
            .find(|query| query.id == message.id && Via::Socket(query.socket) == via && same(query.server, source));
        match asked {
            Some(query) => {
                if message.class == Class::Success && message.method == Method::Binding {
                    query.mapped = message.mapped_address().or(query.mapped);
                    // Asked again when the mapping has to be kept.
                    (query.sends, query.resend_at) = (0, now + KEEP_ALIVE);
                    self.check_gathered(now);
                }
            }
            None => {
                if let Some(agent) = &mut self.agent {
                    agent.handle_message(now, via, source, message);
                }
            }
        }
    }

    fn relayed(&mut self, now: Instant, number: usize, bytes: &[u8]) {
        if let Some(client) = self.relays.get_mut(number).and_then(|relay| relay.client.as_mut()) {
            client.handle_input(now, bytes);
        }
        self.hear_relay(now, number);
    }

    /// What the server told, and what peers sent through it.
    fn hear_relay(&mut self, now: Instant, number: usize) {
        let via = Via::Relay(number as u8);
        while let Some(event) = self.relays.get_mut(number).and_then(|relay| relay.client.as_mut()?.poll_event()) {
            match event {
                turn::Event::Allocated { relayed, mapped } => self.allocated(now, number, relayed, mapped),
                turn::Event::Failed(error) => {
                    self.events.push_back(Event::Trouble(format!("{} {error}", self.server_name())));
                    self.end_relay(now, number);
                }
            }
        }
        while let Some((peer, payload)) =
            self.relays.get_mut(number).and_then(|relay| relay.client.as_mut()?.poll_data())
        {
            if stun::is_stun(&payload) {
                if let Ok(message) = Message::parse(&payload) {
                    self.handle_stun(now, via, peer, &message);
                }
            } else if self.agent.as_ref().is_some_and(|agent| agent.accepts(via, peer))
                && let Some(component) = self.relays.get(number).map(|relay| relay.component)
            {
                self.data.push_back((component, peer, payload));
            }
        }
    }

    fn allocated(&mut self, now: Instant, number: usize, relayed: SocketAddr, mapped: SocketAddr) {
        let Some(relay) = self.relays.get_mut(number) else { return };
        relay.mapped = Some(mapped);
        if let Some(client) = &mut relay.client {
            self.peers.iter().for_each(|peer| client.permit(now, *peer));
        }
        let base = Base {
            via: Via::Relay(number as u8),
            component: relay.component,
            address: relayed,
            kind: Kind::Relayed,
            preference: preference(number),
        };
        if let Some(agent) = &mut self.agent {
            agent.add_base(now, base);
        }
        self.check_gathered(now);
    }

    fn end_relay(&mut self, now: Instant, number: usize) {
        if let Some(relay) = self.relays.get_mut(number) {
            (relay.over, relay.client) = (true, None);
            if relay.streamed {
                self.orders.push_back(Order::Close { connection: number as u8 });
            }
        }
        if let Some(agent) = &mut self.agent {
            agent.drop_via(now, Via::Relay(number as u8));
        }
        self.check_gathered(now);
    }

    /// What the shell did.
    pub fn handle_done(&mut self, now: Instant, done: Done) {
        match done {
            Done::Resolved { helper, addresses } => {
                if self.unresolved.contains(&helper) {
                    if addresses.is_empty() {
                        let name = match helper {
                            Helper::Stun => self.gather.stun.as_ref().map_or("", |server| &server.host),
                            Helper::Turn => self.gather.turn.as_ref().map_or("", |turn| &turn.server.host),
                        };
                        self.events.push_back(Event::Trouble(format!("{name} has no address")));
                    }
                    self.resolved(now, helper, &addresses);
                    self.check_gathered(now);
                }
            }
            Done::Connected { connection } => {
                let rng = self.rng.fork();
                if let (Some(relay), Some(turn)) =
                    (self.relays.get_mut(usize::from(connection)).filter(|relay| !relay.over), &self.gather.turn)
                {
                    let ipv6 = relay.server.is_ipv6();
                    relay.client = Some(turn::Client::new(now, &turn.user, &turn.password, true, ipv6, rng));
                }
            }
            Done::Received { connection, bytes } => self.relayed(now, usize::from(connection), &bytes),
            Done::Closed { connection, why } => {
                if self.relays.get(usize::from(connection)).is_some_and(|relay| !relay.over) {
                    self.events.push_back(Event::Trouble(format!("{}: {why}", self.server_name())));
                    self.end_relay(now, usize::from(connection));
                }
            }
        }
        self.drain(now);
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        for query in self.queries.iter_mut().filter(|query| query.resend_at <= now) {
            if query.sends == 0 {
                query.id = TransactionId::new(&mut self.rng);
            }
            query.sends += 1;
            let next = if query.sends >= SENDS { KEEP_ALIVE } else { RTO * (1 << query.sends.min(4)) };
            query.resend_at = now + next;
            if query.sends >= SENDS {
                query.sends = 0;
            }
            let bytes = question(query.id);
            self.out.push_back(Outgoing { socket: query.socket, destination: query.server, bytes });
        }
        for number in 0..self.relays.len() {
            if let Some(client) = self.relays.get_mut(number).and_then(|relay| relay.client.as_mut()) {
                client.handle_timeout(now);
            }
            self.hear_relay(now, number);
        }
        if let Some(agent) = &mut self.agent {
            agent.handle_timeout(now);
        }
        self.check_gathered(now);
        self.drain(now);
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let queries = self.queries.iter().map(|query| query.resend_at);
        let relays = self.relays.iter().filter_map(|relay| relay.client.as_ref()?.poll_timeout());
        let agent = self.agent.as_ref().and_then(Agent::poll_timeout);
        queries.chain(relays).chain(agent).chain(self.gathering_until).min()
    }

    /// Sends to the peer; `false` while there is no way.
    pub fn send(&mut self, now: Instant, component: u8, bytes: &[u8]) -> bool {
        let Some((via, destination)) = self.destination(component) else { return false };
        match via {
            Via::Socket(socket) => self.out.push_back(Outgoing { socket, destination, bytes: bytes.to_vec() }),
            Via::Relay(number) => {
                let relay = self.relays.get_mut(usize::from(number));
                let Some(client) = relay.and_then(|relay| relay.client.as_mut()) else { return false };
                client.send(now, destination, bytes);
                self.drain(now);
            }
        }
        true
    }

    /// Where a component is sent to; from the socket itself when that is `Via::Socket`.
    pub fn destination(&self, component: u8) -> Option<(Via, SocketAddr)> {
        self.agent.as_ref()?.destination(component)
    }

    /// The pair in use; its round trip is measured anew with each consent.
    pub fn path(&self) -> Option<PathState> {
        let pair = self.agent.as_ref()?.chosen(RTP)?;
        let server = matches!(pair.via, Via::Relay(_)).then(|| self.server_name().to_owned());
        Some(PathState::Chosen(PathView {
            local: pair.local,
            local_kind: pair.local_kind,
            remote: pair.remote,
            remote_kind: pair.remote_kind,
            round_trip: pair.round_trip,
            server,
            nominated: pair.nominated,
        }))
    }

    pub fn has_ice(&self) -> bool {
        self.agent.is_some()
    }

    /// Gives allocations back.
    pub fn close(&mut self, now: Instant) {
        for (number, relay) in self.relays.iter_mut().enumerate() {
            if let Some(client) = &mut relay.client {
                client.close(now);
                flush(relay, number as u8, &mut self.out, &mut self.orders);
            }
            if relay.streamed && !relay.over {
                self.orders.push_back(Order::Close { connection: number as u8 });
            }
            relay.over = true;
        }
    }

    fn server_name(&self) -> &str {
        self.gather.turn.as_ref().map_or("", |turn| &turn.server.host)
    }

    fn check_gathered(&mut self, now: Instant) {
        let Some(until) = self.gathering_until else { return };
        let asking = self.queries.iter().any(|query| query.mapped.is_none())
            || self.relays.iter().any(|relay| !relay.over && relay.mapped.is_none())
            || !self.unresolved.is_empty();
        if asking && now < until {
            return;
        }
        self.gathering_until = None;
        for query in self.queries.iter().filter(|query| query.mapped.is_none()) {
            self.events.push_back(Event::Trouble(format!("the STUN server {} does not answer", query.server)));
        }
        let candidates = self.candidates();
        self.events.push_back(Event::Gathered(candidates));
    }

    fn candidates(&self) -> Vec<Candidate> {
        let mut addresses: Vec<IpAddr> = Vec::new();
        let mut place = |ip: IpAddr| {
            addresses.iter().position(|known| *known == ip).unwrap_or_else(|| {
                addresses.push(ip);
                addresses.len() - 1
            })
        };
        let mut out: Vec<Candidate> = Vec::new();
        let mut add = |kind: Kind, base: IpAddr, component, number, address: SocketAddr, related| {
            let foundation = format!("{}{}", &kind.name()[..1], place(base));
            let priority = priority(kind, preference(number), component);
            let known = |c: &Candidate| c.component == component && c.address == address;
            if out.len() < MOST_CANDIDATES && !out.iter().any(known) {
                out.push(Candidate { foundation, component, priority, address, kind, related });
            }
        };
        if !self.gather.relay_only {
            for (number, socket) in self.sockets.iter().enumerate() {
                add(Kind::Host, socket.local.ip(), socket.component, number, socket.local, None);
            }
            for query in &self.queries {
                let number = usize::from(query.socket);
                if let Some((socket, mapped)) = self.sockets.get(number).zip(query.mapped) {
                    let base = socket.local;
                    add(Kind::ServerReflexive, base.ip(), socket.component, number, mapped, Some(base));
                }
            }
        }
        for (number, relay) in self.relays.iter().enumerate() {
            let relayed = relay.client.as_ref().and_then(turn::Client::relayed);
            if let Some(relayed) = relayed {
                // Who wants to stay hidden does not tell what the server sees either.
                let seen = relay.mapped.filter(|_| !self.gather.relay_only);
                let hidden =
                    SocketAddr::new(if relayed.is_ipv4() { [0, 0, 0, 0].into() } else { [0_u16; 8].into() }, 0);
                add(Kind::Relayed, relay.server.ip(), relay.component, number, relayed, Some(seen.unwrap_or(hidden)));
            }
        }
        out
    }

    /// Hands on what the parts have to say.
    fn drain(&mut self, now: Instant) {
        if let Some(agent) = &mut self.agent {
            while let Some(ice::Transmit { via, destination, bytes }) = agent.poll_transmit() {
                match via {
                    Via::Socket(socket) => self.out.push_back(Outgoing { socket, destination, bytes }),
                    Via::Relay(number) => {
                        let relay = self.relays.get_mut(usize::from(number));
                        if let Some(client) = relay.and_then(|relay| relay.client.as_mut()) {
                            client.send(now, destination, &bytes);
                        }
                    }
                }
            }
        }
        while let Some(event) = self.agent.as_mut().and_then(Agent::poll_event) {
            match event {
                ice::Event::Chosen => {
                    if let Some((Via::Relay(number), peer)) = self.destination(RTP)
                        && let Some(client) = self.relays.get_mut(usize::from(number)).and_then(|r| r.client.as_mut())
                    {
                        client.bind(now, peer);
                    }
                    self.checking = false;
                    self.events.extend(self.path().map(Event::Path));
                }
                ice::Event::Failed => self.events.push_back(Event::Path(PathState::Failed)),
                ice::Event::ConsentLost => self.events.push_back(Event::Path(PathState::Lost)),
            }
        }
        for (number, relay) in self.relays.iter_mut().enumerate() {
            flush(relay, number as u8, &mut self.out, &mut self.orders);
        }
    }

    pub fn poll_transmit(&mut self) -> Option<Outgoing> {
        self.out.pop_front()
    }

    pub fn poll_order(&mut self) -> Option<Order> {
        self.orders.pop_front()
    }

    /// What came through a relay: component, peer, datagram.
    pub fn poll_data(&mut self) -> Option<(u8, SocketAddr, Vec<u8>)> {
        self.data.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}

fn flush(relay: &mut Relay, number: u8, out: &mut VecDeque<Outgoing>, orders: &mut VecDeque<Order>) {
    let Some(client) = &mut relay.client else { return };
    while let Some(bytes) = client.poll_transmit() {
        if relay.streamed {
            orders.push_back(Order::Send { connection: number, bytes });
        } else {
            out.push_back(Outgoing { socket: relay.socket, destination: relay.server, bytes });
        }
    }
}

/// The first socket is the one that leads to the server of the account: the best.
fn preference(number: usize) -> u16 {
    u16::MAX - (number as u16).min(1_000)
}

/// Whether a datagram from here can get there at all.
fn reaches(local: SocketAddr, server: SocketAddr) -> bool {
    local.is_ipv4() == server.is_ipv4() && local.ip().is_loopback() == server.ip().is_loopback()
}

fn question(id: TransactionId) -> Vec<u8> {
    Builder::new(Class::Request, Method::Binding, id).fingerprint().finish()
}

#[cfg(test)]
#[path = "traversal_tests.rs"]
mod tests;
