//! The pair in use: where is sent to, what is taken, and what is told of it.
use super::pair::Pair;
use super::suspicion::Kept;
use super::{Agent, Chosen, Early, Event, Via, same};
use crate::nat::candidate::{Candidate, Kind};
use std::net::SocketAddr;
use std::time::Instant;

impl Agent {
    /// The pairs in use before a restart, so that sound goes on (RFC 8445 §9), and until when the peer agrees to them.
    pub(super) fn routes(&self) -> Vec<Kept> {
        let routes = [1, 2].into_iter().filter_map(|component| self.route(component));
        routes.filter_map(|pair| Kept::of(pair, self.remotes.get(pair.remote)?)).collect()
    }

    /// A restart is no consent: what is kept ends when it would have (RFC 7675 §5.1).
    pub(super) fn keep(&mut self, kept: Vec<Kept>) {
        for kept in kept {
            self.pairs.push(kept.pair(self.remotes.len()));
            self.remotes.push(Candidate { priority: 0, ..kept.remote });
        }
    }

    /// The pair that is sent over: the nominated one, else the best that works; one that
    /// answers before one that does not. A peer that nominates several means the
    /// best of them.
    pub(super) fn route(&self, component: u8) -> Option<&Pair> {
        let usable = self.pairs.iter().filter(|pair| pair.component == component && pair.is_valid());
        usable.max_by_key(|pair| (!pair.silent, pair.nominated, pair.priority))
    }

    pub(super) fn is_route(&self, pair: &Pair) -> bool {
        self.route(pair.component).is_some_and(|route| std::ptr::eq(route, pair))
    }

    /// Where the component is sent to, and how.
    pub fn destination(&self, component: u8) -> Option<(Via, SocketAddr)> {
        let pair = self.route(component)?;
        Some((self.bases.get(pair.base)?.via, self.remotes.get(pair.remote)?.address))
    }

    pub fn chosen(&self, component: u8) -> Option<Chosen> {
        let pair = self.route(component)?;
        let (base, remote) = (self.bases.get(pair.base)?, self.remotes.get(pair.remote)?);
        let local = pair.mapped.unwrap_or(base.address);
        let seen_as_it_is = base.kind == Kind::Relayed || same(local, base.address);
        Some(Chosen {
            via: base.via,
            local_kind: if seen_as_it_is { base.kind } else { Kind::ServerReflexive },
            local: if base.kind == Kind::Relayed { base.address } else { local },
            remote_kind: remote.kind,
            remote: remote.address,
            round_trip: pair.round_trip,
            nominated: pair.nominated,
        })
    }

    /// Whether what comes from there is the peer's: a check succeeded on that way, in either direction. What follows a check
    /// may overtake the description that says whose it is.
    pub fn accepts(&self, via: Via, source: SocketAddr) -> bool {
        let from = |early: &Early| self.bases.get(early.base).is_some_and(|base| base.via == via);
        if self.early.iter().any(|early| same(early.source, source) && from(early)) {
            return true;
        }
        self.pairs.iter().any(|pair| {
            (pair.heard || pair.is_valid())
                && self.bases.get(pair.base).is_some_and(|base| base.via == via)
                && self.remotes.get(pair.remote).is_some_and(|remote| same(remote.address, source))
        })
    }

    pub(super) fn tell(&mut self, now: Instant) {
        for component in 1..=2 {
            let place = self.route(component).map(|pair| (pair.base, pair.remote));
            let Some(told) = self.told.get_mut(usize::from(component) - 1) else { continue };
            if *told == place {
                continue;
            }
            *told = place;
            match place {
                Some(place) => {
                    self.lost = false;
                    self.events.push_back(Event::Chosen);
                    let soon = now + self.consent_interval();
                    if let Some(pair) = self.pairs.iter_mut().find(|pair| (pair.base, pair.remote) == place) {
                        pair.consent_at.get_or_insert(soon);
                    }
                }
                None if component == 1 && !self.lost => {
                    self.lost = true;
                    self.events.push_back(Event::ConsentLost);
                }
                None => {}
            }
        }
    }
}
