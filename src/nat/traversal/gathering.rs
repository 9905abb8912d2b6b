//! What is found out before the peer is told: our addresses, those that servers see, those that they lend (RFC 8445 §5.1.1).
use super::query::Query;
use super::{Event, Helper, Order, Traversal, preference, reaches};
use crate::nat::candidate::{Candidate, Kind, Server, ServerTransport, priority};
use crate::nat::turn;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// Of one stream.
const MOST_CANDIDATES: usize = 24;

impl Traversal {
    /// - `transport`: the only one it may be reached by, or else the usual one.
    pub(super) fn locate(&mut self, now: Instant, helper: Helper, server: &Server, transport: (ServerTransport, bool)) {
        let (usual, only) = transport;
        match server.host.trim_matches(['[', ']']).parse() {
            Ok(ip) => self.resolved(now, helper, &[(usual, SocketAddr::new(ip, server.port))]),
            Err(_) => {
                self.unresolved.push(helper);
                let transport = only.then_some(usual);
                self.orders.push_back(Order::Resolve { helper, server: server.clone(), transport });
            }
        }
    }

    pub(super) fn resolved(&mut self, now: Instant, helper: Helper, found: &[(ServerTransport, SocketAddr)]) {
        self.unresolved.retain(|waiting| *waiting != helper);
        // The best transport counts; a server is not asked by two.
        let Some((transport, _)) = found.first().copied() else { return };
        let addresses = found.iter().filter(|(other, _)| *other == transport).map(|(_, address)| *address);
        let addresses: Vec<SocketAddr> = addresses.collect();
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
                    for ipv6 in [false, true] {
                        let of_family: Vec<SocketAddr> =
                            addresses.iter().filter(|address| address.is_ipv6() == ipv6).copied().collect();
                        self.relay(now, (&turn, transport), component, &of_family);
                    }
                }
            }
        }
    }

    pub(super) fn check_gathered(&mut self, now: Instant) {
        let asking = self.queries.iter().any(Query::is_open)
            || self.relays.iter().any(|relay| !relay.over && relay.mapped.is_none())
            || !self.unresolved.is_empty();
        match self.gathering_until {
            Some(until) if asking && now < until => {}
            Some(_) => {
                (self.gathering_until, self.complete, self.told) = (None, !asking, self.candidates());
                let candidates = self.told.clone();
                self.events.push_back(Event::Gathered { candidates, complete: !asking });
            }
            // After the last there is no other (RFC 8838 §13).
            None if self.complete => {}
            None => {
                let candidates = self.candidates();
                if asking && candidates == self.told {
                    return;
                }
                (self.complete, self.told) = (!asking, candidates.clone());
                self.events.push_back(Event::Found { round: self.gather.round, candidates, complete: !asking });
            }
        }
    }

    pub(super) fn candidates(&self) -> Vec<Candidate> {
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
}
