//! Checks of the peer, and the answers to ours (RFC 8445 §7.2.5, §7.3).
use super::pair::State;
use super::{Agent, CONSENT, Early, MOST_EARLY, MOST_PAIRS, MOST_REMOTES, MOST_SWITCHES, Transmit, Via, message, same};
use crate::nat::candidate::{Candidate, Kind};
use crate::nat::stun::{Class, Message, Method, attribute};
use std::net::SocketAddr;
use std::time::Instant;

impl Agent {
    /// Takes a STUN message that came `via` from `source`; `false` when it is none of this agent's.
    pub fn handle_message(&mut self, now: Instant, via: Via, source: SocketAddr, message: &Message<'_>) -> bool {
        if message.method != Method::Binding {
            return false;
        }
        match message.class {
            Class::Request => self.handle_request(now, via, source, message),
            Class::Success | Class::Error => self.handle_response(now, via, source, message),
            // Keeps a mapping alive and asks for nothing.
            Class::Indication => {}
        }
        self.tell(now);
        true
    }

    /// What is not authentic is not answered: whoever asks knows the password from our description.
    pub(super) fn handle_request(&mut self, now: Instant, via: Via, source: SocketAddr, message: &Message<'_>) {
        let Some(base) = self.bases.iter().position(|base| base.via == via) else { return };
        let Some((ours, theirs)) = message.text(attribute::USERNAME).and_then(|name| name.split_once(':')) else {
            return;
        };
        let known = self.remote.as_ref().is_none_or(|remote| remote.ufrag == theirs);
        if ours != self.local.ufrag || !known || !message.is_authentic(self.local.password.reveal().as_bytes()) {
            return;
        }
        let nominates = message.has(attribute::USE_CANDIDATE);
        let Some(priority) = message.u32(attribute::PRIORITY) else { return };
        if self.remote.is_some() {
            let rival = if self.controlling { attribute::ICE_CONTROLLING } else { attribute::ICE_CONTROLLED };
            if let Some(theirs) = message.u64(rival) {
                // RFC 8445 §7.3.1.1: the greater number is controlling.
                let keeps = (self.tie_breaker >= theirs) == self.controlling;
                if keeps || self.switches >= MOST_SWITCHES {
                    let answer = message::role_conflict(message.id, &self.local);
                    return self.transmit(Transmit { via, destination: source, bytes: answer });
                }
                self.switch_role();
            }
        }
        let answer = message::success(message.id, source, &self.local);
        self.transmit(Transmit { via, destination: source, bytes: answer });
        let early = Early { base, source, priority, nominates };
        if self.remote.is_some() {
            self.checked(now, early);
            self.wake(now);
            return;
        }
        // Who repeats his check takes the place of nobody else.
        let known = self.early.iter().position(|known| known.base == base && same(known.source, source));
        let full = self.early.len() >= MOST_EARLY;
        match known.and_then(|at| self.early.get_mut(at)) {
            Some(known) => known.nominates |= nominates,
            None if full => {}
            None => self.early.push(early),
        }
    }

    /// An authentic check of the peer: a triggered one of ours follows (RFC 8445 §7.3.1.3 to §7.3.1.5).
    pub(super) fn checked(&mut self, now: Instant, early: Early) {
        let Early { base, source, priority, nominates } = early;
        let Some(component) = self.bases.get(base).map(|base| base.component) else { return };
        let known = self
            .remotes
            .iter()
            .position(|remote| remote.component == component && remote.priority != 0 && same(remote.address, source));
        let remote = match known {
            Some(at) => at,
            None if self.remotes.len() >= MOST_REMOTES => return,
            None => {
                let foundation = format!("prflx{}", self.remotes.len());
                let (kind, related) = (Kind::PeerReflexive, None);
                let priority = priority.max(1);
                self.remotes.push(Candidate { foundation, component, priority, address: source, kind, related });
                self.remotes.len() - 1
            }
        };
        if self.pairs.len() >= 2 * MOST_PAIRS {
            return;
        }
        let controlling = self.controlling;
        let Some(pair) = self.pair(base, remote).and_then(|at| self.pairs.get_mut(at)) else { return };
        pair.heard = true;
        if nominates && !controlling {
            pair.wanted_by_peer = true;
        }
        match pair.state {
            State::Succeeded => pair.nominated |= pair.wanted_by_peer,
            State::InProgress | State::Waiting | State::Failed => {
                pair.restart();
                if !self.triggered.contains(&(base, remote)) {
                    self.triggered.push_back((base, remote));
                }
            }
        }
        self.pairs.sort_by_key(|pair| std::cmp::Reverse(pair.priority));
        self.nominate(now);
    }

    pub(super) fn handle_response(&mut self, now: Instant, via: Via, source: SocketAddr, message: &Message<'_>) {
        let Some(key) = self.remote.as_ref().map(|remote| remote.password.clone()) else { return };
        let Some(at) = self.pairs.iter().position(|pair| pair.awaits(message.id)) else { return };
        if !message.is_authentic(key.reveal().as_bytes()) {
            return;
        }
        let Some(pair) = self.pairs.get_mut(at) else { return };
        let Some(sent) = pair.take(now, message.id) else { return };
        let expected = self.remotes.get(pair.remote).is_some_and(|remote| same(remote.address, source))
            && self.bases.get(pair.base).is_some_and(|base| base.via == via);
        if !expected {
            // It must come back the way it went (RFC 8445 §7.2.5.2.1).
            if pair.state != State::Succeeded {
                pair.state = State::Failed;
                pair.rest();
            }
            return;
        }
        if message.class == Class::Error {
            // RFC 8445 §7.2.5.1: the peer keeps its role, so we change ours, unless we did meanwhile.
            if message.error_code() == Some(487) && sent.controlling == self.controlling {
                let again = (pair.base, pair.remote);
                pair.restart();
                if self.switches < MOST_SWITCHES {
                    self.switch_role();
                    self.triggered.push_back(again);
                    self.wake(now);
                }
            }
            return;
        }
        let Some(mapped) = message.mapped_address() else { return };
        pair.rest();
        pair.state = State::Succeeded;
        let before = pair.mapped.replace(mapped);
        pair.round_trip = Some(now.saturating_duration_since(sent.at));
        pair.consent_until = Some(now + CONSENT);
        pair.nominated |= pair.wanted_by_peer || sent.nominates;
        if sent.nominates {
            pair.nominating = false;
        }
        let component = pair.component;
        if let Some(first) = self.first_valid.get_mut(usize::from(component) - 1) {
            first.get_or_insert(now);
        }
        self.give_up_at = None;
        self.hear_answer(at, before);
        self.nominate(now);
    }
}
