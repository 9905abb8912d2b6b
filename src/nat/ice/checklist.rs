//! The list of checks: which pairs there are, in which order they are checked, and how fast (RFC 8445 §6.1.2, §6.1.4).
use super::pair::{self, Pair, Sent, State};
use super::{Agent, MOST_PAIRS, MOST_REMOTES, MOST_WAITING, Transmit, message, same};
use crate::nat::candidate::{Candidate, Kind};
use crate::nat::stun::TransactionId;
use std::time::Instant;

impl Agent {
    pub(super) fn add_remote(&mut self, candidate: Candidate) {
        let known = self.remotes.iter().position(|known| {
            known.component == candidate.component && known.priority != 0 && same(known.address, candidate.address)
        });
        let Some(at) = known else {
            if self.remotes.len() < MOST_REMOTES {
                self.remotes.push(candidate);
            }
            return;
        };
        // Found by its check before it was told of (RFC 8445 §7.3.1.3).
        if let Some(known) = self.remotes.get_mut(at).filter(|known| known.kind == Kind::PeerReflexive) {
            (known.kind, known.foundation) = (candidate.kind, candidate.foundation);
        }
    }

    pub(super) fn form_pairs(&mut self) {
        for base in 0..self.bases.len() {
            for remote in 0..self.remotes.len() {
                self.pair(base, remote);
            }
        }
        self.pairs.sort_by_key(|pair| std::cmp::Reverse(pair.priority));
        // The least promising go first; what works stays.
        while self.pairs.len() > MOST_PAIRS {
            let Some(at) = self.pairs.iter().rposition(|pair| pair.is_open()) else { break };
            self.pairs.remove(at);
        }
    }

    /// The place of the pair, made where it can be.
    pub(super) fn pair(&mut self, base: usize, remote: usize) -> Option<usize> {
        if let Some(at) = self.pairs.iter().position(|pair| (pair.base, pair.remote) == (base, remote)) {
            return Some(at);
        }
        let (ours, theirs) = (self.bases.get(base)?, self.remotes.get(remote)?);
        let fits = ours.component == theirs.component
            && ours.component <= self.components
            && ours.address.is_ipv4() == theirs.address.is_ipv4()
            && ours.address.ip().is_loopback() == theirs.address.ip().is_loopback()
            && theirs.priority != 0;
        if !fits {
            return None;
        }
        let own = crate::nat::candidate::priority(ours.kind, ours.preference, ours.component);
        let priority = self.pair_priority(own, theirs.priority);
        self.pairs.push(Pair::new(base, remote, ours.component, priority));
        Some(self.pairs.len() - 1)
    }

    pub(super) fn pair_priority(&self, own: u32, theirs: u32) -> u64 {
        if self.controlling { pair::priority(own, theirs) } else { pair::priority(theirs, own) }
    }

    pub(super) fn switch_role(&mut self) {
        self.switches += 1;
        self.controlling = !self.controlling;
        for at in 0..self.pairs.len() {
            let Some((base, remote)) = self.pairs.get(at).map(|pair| (pair.base, pair.remote)) else { continue };
            let Some((base, remote)) = self.bases.get(base).zip(self.remotes.get(remote)) else { continue };
            let own = crate::nat::candidate::priority(base.kind, base.preference, base.component);
            let priority = if remote.priority == 0 { 0 } else { self.pair_priority(own, remote.priority) };
            if let Some(pair) = self.pairs.get_mut(at) {
                pair.priority = priority;
                pair.nominating = false;
            }
        }
        self.pairs.sort_by_key(|pair| std::cmp::Reverse(pair.priority));
    }

    pub(super) fn wake(&mut self, now: Instant) {
        let work = !self.triggered.is_empty() || self.pairs.iter().any(|pair| pair.state == State::Waiting);
        if work && self.remote.is_some() && self.next_check.is_none() {
            self.next_check = Some(now);
        }
    }

    /// Sends the check that is due (RFC 8445 §6.1.4.2); `false` when there is none.
    pub(super) fn check_next(&mut self, now: Instant) -> bool {
        let place = loop {
            let Some((base, remote)) = self.triggered.pop_front() else {
                break self.pairs.iter().position(|pair| pair.state == State::Waiting);
            };
            let at = self.pairs.iter().position(|pair| (pair.base, pair.remote) == (base, remote));
            let due = |pair: &Pair| pair.nominating || pair.state == State::Waiting;
            if let Some(at) = at.filter(|at| self.pairs.get(*at).is_some_and(due)) {
                break Some(at);
            }
        };
        let Some(at) = place else { return false };
        // What is settled needs no more checks.
        let open = self.pairs.iter().filter(|pair| pair.is_open()).count() as u32;
        let (rto, id, controlling) = (self.pace * open, TransactionId::new(&mut self.rng), self.controlling);
        let Some(pair) = self.pairs.get_mut(at) else { return false };
        let sent = Sent { id, at: now, controlling, nominates: pair.nominating && controlling };
        pair.begin(now, sent, rto);
        self.request(at, sent);
        true
    }

    pub(super) fn request(&mut self, at: usize, sent: Sent) {
        let Some(remote_credentials) = &self.remote else { return };
        let Some(pair) = self.pairs.get(at) else { return };
        let Some((base, remote)) = self.bases.get(pair.base).zip(self.remotes.get(pair.remote)) else { return };
        let bytes = message::check(&message::Check {
            id: sent.id,
            local: &self.local,
            remote: remote_credentials,
            priority: crate::nat::candidate::priority(Kind::PeerReflexive, base.preference, base.component),
            controlling: sent.controlling,
            tie_breaker: self.tie_breaker,
            nominates: sent.nominates,
        });
        let transmit = Transmit { via: base.via, destination: remote.address, bytes };
        self.transmit(transmit);
    }

    pub(super) fn transmit(&mut self, transmit: Transmit) {
        if self.waiting.len() < MOST_WAITING {
            self.waiting.push_back(transmit);
        }
    }
}
