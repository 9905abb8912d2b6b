//! Questions to a STUN server, from each socket of a stream (RFC 8489).
use super::{Event, Outgoing, Traversal};
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
    /// It was asked often enough, and said nothing.
    silent: bool,
}

impl Query {
    /// An answer may come yet.
    pub fn is_open(&self) -> bool {
        self.mapped.is_none() && !self.silent
    }
}

impl Traversal {
    pub(super) fn ask(&mut self, now: Instant, socket: u8, server: SocketAddr) {
        let id = TransactionId::new(&mut self.rng);
        self.queries.retain(|query| query.socket != socket);
        self.queries.push(Query { socket, server, id, sends: 1, resend_at: now + RTO, mapped: None, silent: false });
        self.out.push_back(Outgoing { socket, destination: server, bytes: question(id) });
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
