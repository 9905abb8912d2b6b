//! All that one stream does to be reachable: it asks STUN and TURN servers for addresses, runs ICE over them, and takes
//! what is sent and received over the chosen way.
//!
//! ```text
//!   gathering --- all answered, or 500 ms are over ---> Gathered --- the peer's description ---> checking ---> chosen
//!                                                          ^                                                    |
//!                                                          +---- a restart: new sockets or new credentials -----+
//! ```
//! Gathering never waits for a server that does not answer: what it tells later is used, and told to a peer who takes
//! candidates one by one (RFC 8838); for such a peer nothing is waited for.
mod gathering;
mod helper;
mod query;
mod relay;
#[cfg(test)]
mod tests;

use super::candidate::{
    Candidate, Credentials, Doubt, Gather, IceSpec, Kind, MOST_CANDIDATES, PathState, PathView, RTP, ServerTransport,
};
use super::ice::{self, Agent, Base, Via, same};
use super::stun::{self, Class, Message, Method};
use super::turn;
use crate::base::rng::Rng;
pub use helper::{Done, Helper, Order};
use query::Query;
use relay::{Relay, flush};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// How long gathering may take.
const GATHERING: Duration = Duration::from_millis(500);
/// And where nothing but a relayed address will do.
const GATHERING_RELAYED: Duration = Duration::from_secs(3);

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

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// What can be told by now, once; without ICE those are the mapped addresses of both components.
    Gathered {
        candidates: Vec<Candidate>,
        /// No others will be found.
        complete: bool,
    },
    /// All that is known, when it is more than before.
    ///
    /// - `round`: of `Gather`.
    Found {
        round: u32,
        candidates: Vec<Candidate>,
        complete: bool,
    },
    Path(PathState),
    Doubt(Doubt),
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
    /// What was told of our candidates last.
    told: Vec<Candidate>,
    complete: bool,
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
        let wait = match (gather.trickle, gather.relay_only) {
            (true, _) => Duration::ZERO,
            (false, true) => GATHERING_RELAYED,
            (false, false) => GATHERING,
        };
        let mut traversal = Self {
            rng,
            sockets,
            agent,
            queries: Vec::new(),
            relays: Vec::new(),
            unresolved: Vec::new(),
            gathering_until: Some(now + wait),
            told: Vec::new(),
            complete: false,
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
            traversal.locate(now, Helper::Stun, &server, (ServerTransport::Udp, true));
        }
        if let Some(turn) = traversal.gather.turn.clone().filter(|_| traversal.agent.is_some()) {
            traversal.locate(now, Helper::Turn, &turn.server, (turn.transport, !turn.any_transport));
        }
        traversal.drain(now);
        traversal.check_gathered(now);
        traversal
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

    /// More of the peer's, told after the description with these credentials (RFC 8838 §11).
    pub fn add_candidates(&mut self, now: Instant, credentials: &Credentials, candidates: &[Candidate]) {
        let Some(agent) = &mut self.agent else { return };
        if !agent.add_candidates(now, credentials, candidates) {
            return;
        }
        for peer in candidates.iter().map(|candidate| candidate.address.ip()) {
            if self.peers.len() < MOST_CANDIDATES && !self.peers.contains(&peer) {
                self.peers.push(peer);
                self.relays.iter_mut().filter_map(|relay| relay.client.as_mut()).for_each(|c| c.permit(now, peer));
            }
        }
        self.drain(now);
    }

    /// Sound that flowed does not come any more: asks whether the way works, and where we are seen.
    pub fn suspect(&mut self, now: Instant) {
        match &mut self.agent {
            Some(agent) => agent.suspect(now),
            None => self.ask_where_we_are(now),
        }
        self.drain(now);
    }

    /// Goes on over what was used before this search, until something better is found: the sockets are the same.
    pub fn adopt(&mut self, now: Instant, other: &Self) {
        let same = self.sockets.get(..2).is_some_and(|sockets| other.sockets.get(..2) == Some(sockets));
        if let (Some(agent), Some(other), true) = (&mut self.agent, &other.agent, same) {
            agent.adopt(now, other);
        }
    }

    /// The peer knows no ICE: what is left is to know where we are seen. `false` when nobody tells.
    pub fn forget_ice(&mut self, now: Instant) -> bool {
        self.close(now);
        (self.agent, self.gathering_until, self.complete) = (None, None, true);
        self.queries.iter().any(|query| query.mapped.is_some())
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
                if message.class == Class::Success
                    && message.method == Method::Binding
                    && let Some(mapped) = message.mapped_address()
                {
                    let rtp = self.sockets.get(usize::from(query.socket)).is_some_and(|s| s.component == RTP);
                    if query.answered(now, mapped, self.agent.is_none()) && rtp {
                        self.events.push_back(Event::Doubt(Doubt::Moved));
                    }
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
        self.ask_again(now);
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
                ice::Event::Suspected => self.ask_where_we_are(now),
                ice::Event::Silent => {
                    let direct = self.agent.as_ref().is_some_and(Agent::is_direct);
                    let unmoved = direct || self.queries.iter().any(Query::is_unmoved);
                    self.events.push_back(Event::Doubt(Doubt::Silent { unmoved }));
                }
                ice::Event::Dispelled => self.events.push_back(Event::Doubt(Doubt::Dispelled)),
                ice::Event::Moved => self.events.push_back(Event::Doubt(Doubt::Moved)),
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

/// The first socket is the one that leads to the server of the account: the best.
fn preference(number: usize) -> u16 {
    u16::MAX - (number as u16).min(1_000)
}

/// Whether a datagram from here can get there at all.
fn reaches(local: SocketAddr, server: SocketAddr) -> bool {
    local.is_ipv4() == server.is_ipv4() && local.ip().is_loopback() == server.ip().is_loopback()
}
