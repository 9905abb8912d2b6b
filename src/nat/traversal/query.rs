//! Questions to a STUN server, from each socket of a stream (RFC 8489).
use super::{Event, Outgoing, Traversal};
use crate::nat::candidate::RTP;
use crate::nat::ice::same;
use crate::nat::stun::{Builder, Class, Method, TransactionId};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A request to a STUN server is repeated so soon.
const RTO: Duration = Duration::from_millis(150);
const SENDS: u8 = 5;
/// A mapping is refreshed while nothing else does it (RFC 8445 §11).
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub(super) struct Query {
    pub socket: u8,
    pub server: SocketAddr,
    pub id: TransactionId,
    pub sends: u8,
    pub resend_at: Instant,
    pub mapped: Option<SocketAddr>,
    /// What the peer was told of it.
    pub described: Option<SocketAddr>,
    /// Asked because of a suspicion, and answered since.
    suspected: Option<bool>,
    /// It was asked often enough, and said nothing.
    silent: bool,
}

impl Query {
    fn new(now: Instant, socket: u8, server: SocketAddr, id: TransactionId) -> Self {
        let resend_at = now + RTO;
        Self { socket, server, id, sends: 1, resend_at, mapped: None, described: None, suspected: None, silent: false }
    }

    /// The server has answered. `true`: it sees us somewhere else than the peer was told, and there is reason to believe
    /// that this matters.
    ///
    /// - `alone`: nothing else tells whether the way works.
    pub fn answered(&mut self, now: Instant, mapped: SocketAddr, alone: bool) -> bool {
        // Asked again when the mapping has to be kept.
        (self.mapped, self.sends, self.resend_at) = (Some(mapped), 0, now + KEEP_ALIVE);
        let described = *self.described.get_or_insert(mapped);
        let suspected = self.suspected.is_some();
        self.suspected = self.suspected.map(|_| true);
        // A NAT may forget a port over which only we were talking.
        let moved = if suspected { !same(described, mapped) } else { alone && described.ip() != mapped.ip() };
        if moved {
            (self.described, self.suspected) = (Some(mapped), None);
        }
        moved
    }

    /// The server said after the suspicion that we are where we were.
    pub fn is_unmoved(&self) -> bool {
        self.suspected == Some(true)
    }

    /// An answer may come yet.
    pub fn is_open(&self) -> bool {
        self.mapped.is_none() && !self.silent
    }
}

impl Traversal {
    pub(super) fn ask(&mut self, now: Instant, socket: u8, server: SocketAddr) {
        let id = TransactionId::new(&mut self.rng);
        self.queries.retain(|query| query.socket != socket);
        self.queries.push(Query::new(now, socket, server, id));
        self.out.push_back(Outgoing { socket, destination: server, bytes: question(id) });
    }

    /// Asks the servers at once where they see us: the way to the peer is suspected to have moved.
    pub(super) fn ask_where_we_are(&mut self, now: Instant) {
        let rtp = |socket: u8| self.sockets.get(usize::from(socket)).is_some_and(|socket| socket.component == RTP);
        // A TURN server tells it as well.
        let others: Vec<(u8, SocketAddr, SocketAddr)> = self
            .relays
            .iter()
            .filter(|relay| !relay.streamed && !relay.over && self.queries.iter().all(|q| q.socket != relay.socket))
            .filter_map(|relay| Some((relay.socket, relay.server, relay.mapped?)))
            .collect();
        for (socket, server, mapped) in others {
            let id = TransactionId::new(&mut self.rng);
            let described = Some(mapped);
            self.queries.push(Query { mapped: described, described, ..Query::new(now, socket, server, id) });
        }
        for query in self.queries.iter_mut().filter(|query| rtp(query.socket)) {
            (query.id, query.sends, query.resend_at) = (TransactionId::new(&mut self.rng), 1, now + RTO);
            query.suspected = Some(false);
            self.out.push_back(Outgoing { socket: query.socket, destination: query.server, bytes: question(query.id) });
        }
    }

    /// Those that were not answered, and those whose mapping has to be kept.
    pub(super) fn ask_again(&mut self, now: Instant) {
        for query in self.queries.iter_mut().filter(|query| query.resend_at <= now) {
            if query.sends == 0 {
                query.id = TransactionId::new(&mut self.rng);
            }
            query.sends += 1;
            let next = if query.sends >= SENDS { KEEP_ALIVE } else { RTO * (1 << query.sends.min(4)) };
            query.resend_at = now + next;
            if query.sends >= SENDS {
                query.sends = 0;
                if query.is_open() {
                    query.silent = true;
                    let words = format!("the STUN server {} does not answer", query.server);
                    self.events.push_back(Event::Trouble(words));
                }
            }
            let bytes = question(query.id);
            self.out.push_back(Outgoing { socket: query.socket, destination: query.server, bytes });
        }
    }
}

fn question(id: TransactionId) -> Vec<u8> {
    Builder::new(Class::Request, Method::Binding, id).fingerprint().finish()
}
