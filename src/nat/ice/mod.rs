//! The ICE agent of one stream (RFC 8445, full), with consent (RFC 7675): which pair of addresses leads to the peer.
//!
//! It is given the addresses it may send from and what the peer told of itself, checks pair after pair at a bounded pace,
//! and nominates one for each component, or lets the peer do so. Sound flows over the best pair that proved itself while
//! that goes on. Nothing here learns addresses from servers: `nat::traversal` does.
//!
//! Written here because the libraries know one component only, keep a pair whose consent ended as long as the peer asks
//! for ours, take an answer from anywhere, and draw their identifiers from a generator of their own.
mod message;
mod pair;
#[cfg(test)]
mod tests;

use crate::base::rng::Rng;
use crate::nat::candidate::{Candidate, Credentials, IceSpec, Kind, MOST_CANDIDATES, PACE};
use crate::nat::stun::{Class, Message, Method, TransactionId, attribute};
use pair::{Pair, Sent, State};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// RFC 8445 §6.1.2.5.
const MOST_PAIRS: usize = 100;
/// Addresses of the peer in all, those it was found at by its checks included.
const MOST_REMOTES: usize = MOST_CANDIDATES + 16;
/// Checks of the peer that are remembered until its description comes.
const MOST_EARLY: usize = 16;
/// How long a better pair is waited for once one works.
const BETTER: Duration = Duration::from_millis(100);
/// Without any pair that works for so long there is none.
const GIVE_UP: Duration = Duration::from_secs(15);
/// RFC 7675 §5.1: consent is asked for each 5 s, give or take a fifth, and ends after 30 s.
const CONSENT: Duration = Duration::from_secs(30);
const CONSENT_EVERY: [u32; 2] = [4_000, 6_000];
/// Role changes of one negotiation; who insists on more makes trouble.
const MOST_SWITCHES: u8 = 4;
/// Answers that wait to be sent; the shell drains them after each input.
const MOST_WAITING: usize = 64;

/// Which way a datagram leaves or came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Via {
    /// One of the stream's sockets.
    Socket(u8),
    /// What a TURN server allocated.
    Relay(u8),
}

/// An address that can be sent from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base {
    pub via: Via,
    pub component: u8,
    pub address: SocketAddr,
    /// `Host` or `Relayed`.
    pub kind: Kind,
    /// RFC 8445 §5.1.2.1: the greater, the better.
    pub preference: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    pub via: Via,
    pub destination: SocketAddr,
    pub bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Another pair is used now.
    Chosen,
    /// No pair works.
    Failed,
    /// The peer does not agree any more, or is gone: nothing is sent from now on.
    ConsentLost,
}

/// The pair in use, for the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    pub via: Via,
    pub local_kind: Kind,
    /// Our address as the peer sees it.
    pub local: SocketAddr,
    pub remote_kind: Kind,
    pub remote: SocketAddr,
    pub round_trip: Option<Duration>,
    pub nominated: bool,
}

/// A check that came before the peer's description.
#[derive(Clone, Copy, Debug)]
struct Early {
    base: usize,
    source: SocketAddr,
    priority: u32,
    nominates: bool,
}

#[derive(Debug)]
pub struct Agent {
    rng: Rng,
    local: Credentials,
    remote: Option<Credentials>,
    controlling: bool,
    tie_breaker: u64,
    switches: u8,
    pace: Duration,
    /// 1 when RTCP goes with RTP.
    components: u8,
    bases: Vec<Base>,
    remotes: Vec<Candidate>,
    pairs: Vec<Pair>,
    triggered: VecDeque<(usize, usize)>,
    early: Vec<Early>,
    next_check: Option<Instant>,
    /// When nothing has worked by then.
    give_up_at: Option<Instant>,
    /// When each component's first pair worked.
    first_valid: [Option<Instant>; 2],
    /// What was told last.
    told: [Option<(usize, usize)>; 2],
    lost: bool,
    waiting: VecDeque<Transmit>,
    events: VecDeque<Event>,
}

impl Agent {
    pub fn new(local: Credentials, mut rng: Rng) -> Self {
        Self {
            tie_breaker: rng.u64(),
            rng,
            local,
            remote: None,
            controlling: false,
            switches: 0,
            pace: PACE,
            components: 2,
            bases: Vec::new(),
            remotes: Vec::new(),
            pairs: Vec::new(),
            triggered: VecDeque::new(),
            early: Vec::new(),
            next_check: None,
            give_up_at: None,
            first_valid: [None; 2],
            told: [None; 2],
            lost: false,
            waiting: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    pub fn credentials(&self) -> &Credentials {
        &self.local
    }

    pub fn is_controlling(&self) -> bool {
        self.controlling
    }

    /// Another address to send from; those known later join in.
    pub fn add_base(&mut self, now: Instant, base: Base) {
        self.bases.push(base);
        if self.remote.is_some() {
            self.form_pairs();
            self.wake(now);
        }
    }

    /// Nothing can be sent from there any more.
    pub fn drop_via(&mut self, now: Instant, via: Via) {
        for pair in &mut self.pairs {
            if self.bases.get(pair.base).is_some_and(|base| base.via == via) {
                pair.give_up();
            }
        }
        self.tell(now);
    }

    /// What the peer said, in its first description or a later one. Other credentials are a restart (RFC 8445 §9): checks
    /// begin anew, and what was chosen before goes on until something is chosen again.
    pub fn configure(&mut self, now: Instant, spec: &IceSpec, muxed: bool) {
        let restarted = self.remote.as_ref().is_some_and(|remote| *remote != spec.remote || self.local != spec.local);
        if restarted {
            let kept = self.routes();
            self.remotes.clear();
            self.pairs.clear();
            (self.first_valid, self.told) = ([None; 2], [None; 2]);
            (self.switches, self.lost) = (0, false);
            self.triggered.clear();
            self.keep(now, kept);
        }
        if restarted || self.remote.is_none() {
            self.controlling = spec.controlling || spec.remote_is_lite;
            self.give_up_at = Some(now + GIVE_UP);
        }
        self.local = spec.local.clone();
        self.remote = Some(spec.remote.clone());
        self.pace = spec.pace;
        self.components = if muxed { 1 } else { 2 };
        for candidate in spec.candidates.iter().take(MOST_CANDIDATES) {
            self.add_remote(candidate.clone());
        }
        self.form_pairs();
        for early in std::mem::take(&mut self.early) {
            self.checked(now, early);
        }
        self.wake(now);
    }

    /// The pairs in use before a restart, so that sound goes on (RFC 8445 §9).
    fn routes(&self) -> Vec<(usize, Candidate, u8)> {
        let route = |component| self.route(component).map(|pair| (pair.base, pair.remote, component));
        let routes = [1, 2].into_iter().filter_map(route);
        routes.filter_map(|(base, remote, c)| Some((base, self.remotes.get(remote)?.clone(), c))).collect()
    }

    fn keep(&mut self, now: Instant, kept: Vec<(usize, Candidate, u8)>) {
        for (base, mut candidate, component) in kept {
            // The least of all: whatever succeeds is better.
            candidate.priority = 0;
            let mut pair = Pair::new(base, self.remotes.len(), component, 0);
            self.remotes.push(candidate);
            (pair.state, pair.heard, pair.consent_until) = (State::Succeeded, true, Some(now + GIVE_UP));
            self.pairs.push(pair);
        }
    }

    fn add_remote(&mut self, candidate: Candidate) {
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

    fn form_pairs(&mut self) {
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
    fn pair(&mut self, base: usize, remote: usize) -> Option<usize> {
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

    fn pair_priority(&self, own: u32, theirs: u32) -> u64 {
        if self.controlling { pair::priority(own, theirs) } else { pair::priority(theirs, own) }
    }

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
    fn handle_request(&mut self, now: Instant, via: Via, source: SocketAddr, message: &Message<'_>) {
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
        } else if self.early.len() < MOST_EARLY {
            self.early.push(early);
        }
    }

    /// An authentic check of the peer: a triggered one of ours follows (RFC 8445 §7.3.1.3 to §7.3.1.5).
    fn checked(&mut self, now: Instant, early: Early) {
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

    fn handle_response(&mut self, now: Instant, via: Via, source: SocketAddr, message: &Message<'_>) {
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
        pair.mapped = Some(mapped);
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
        self.nominate(now);
    }

    /// The controlling side decides, as soon as nothing better can be hoped for (RFC 8445 §8.1.1).
    fn nominate(&mut self, now: Instant) {
        if !self.controlling || self.remote.is_none() {
            return;
        }
        for component in 1..=self.components {
            let own = |pair: &&Pair| pair.component == component;
            let busy = self.pairs.iter().filter(own).any(|pair| pair.nominated || pair.nominating);
            let Some(best) = self
                .pairs
                .iter()
                .filter(own)
                .filter(|pair| pair.is_valid() && pair.priority > 0)
                .max_by_key(|pair| pair.priority)
            else {
                continue;
            };
            let hope = self.pairs.iter().filter(own).any(|pair| pair.is_open() && pair.priority > best.priority);
            let first = self.first_valid.get(usize::from(component) - 1).copied().flatten();
            let waited = first.is_some_and(|first| now.saturating_duration_since(first) >= BETTER);
            if busy || hope && !waited {
                continue;
            }
            let place = (best.base, best.remote);
            if let Some(pair) = self.pairs.iter_mut().find(|pair| (pair.base, pair.remote) == place) {
                pair.nominating = true;
                self.triggered.push_front(place);
            }
        }
        self.wake(now);
    }

    fn switch_role(&mut self) {
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

    pub fn handle_timeout(&mut self, now: Instant) {
        for at in 0..self.pairs.len() {
            if let Some(sent) = self.pairs.get_mut(at).and_then(|pair| pair.resend(now)) {
                self.request(at, sent);
            }
        }
        while self.next_check.is_some_and(|at| at <= now) {
            self.next_check = self.check_next(now).then(|| now + self.pace);
        }
        self.renew_consent(now);
        self.nominate(now);
        if self.give_up_at.is_some_and(|at| at <= now) {
            self.give_up_at = None;
            self.events.push_back(Event::Failed);
        }
        self.tell(now);
    }

    /// Sends the check that is due (RFC 8445 §6.1.4.2); `false` when there is none.
    fn check_next(&mut self, now: Instant) -> bool {
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

    fn renew_consent(&mut self, now: Instant) {
        let used: Vec<usize> =
            (0..self.pairs.len()).filter(|at| self.pairs.get(*at).is_some_and(|pair| self.is_route(pair))).collect();
        for at in 0..self.pairs.len() {
            let due = self.pairs.get(at).and_then(|pair| pair.consent_at).is_some_and(|due| due <= now);
            if due {
                let next = now + self.consent_interval();
                let sent = Sent {
                    id: TransactionId::new(&mut self.rng),
                    at: now,
                    controlling: self.controlling,
                    nominates: false,
                };
                let Some(pair) = self.pairs.get_mut(at) else { continue };
                if used.contains(&at) {
                    pair.consent_at = Some(next);
                    pair.remember(sent);
                    self.request(at, sent);
                } else {
                    // Nothing is sent over it: nothing has to be asked.
                    pair.consent_at = None;
                }
            }
            let Some(pair) = self.pairs.get_mut(at) else { continue };
            if pair.consent_until.is_some_and(|until| until <= now) {
                pair.give_up();
            }
        }
    }

    fn consent_interval(&mut self) -> Duration {
        let [low, high] = CONSENT_EVERY;
        Duration::from_millis(u64::from(self.rng.range(low, high)))
    }

    fn request(&mut self, at: usize, sent: Sent) {
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

    fn transmit(&mut self, transmit: Transmit) {
        if self.waiting.len() < MOST_WAITING {
            self.waiting.push_back(transmit);
        }
    }

    fn wake(&mut self, now: Instant) {
        let work = !self.triggered.is_empty() || self.pairs.iter().any(|pair| pair.state == State::Waiting);
        if work && self.remote.is_some() && self.next_check.is_none() {
            self.next_check = Some(now);
        }
    }

    /// The pair that is sent over: the nominated one, else the best that works. A peer that nominates several means the
    /// best of them.
    fn route(&self, component: u8) -> Option<&Pair> {
        let usable = self.pairs.iter().filter(|pair| pair.component == component && pair.is_valid());
        usable.max_by_key(|pair| (pair.nominated, pair.priority))
    }

    fn is_route(&self, pair: &Pair) -> bool {
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

    /// Whether what comes from there is the peer's: a check succeeded on that way, in either direction.
    pub fn accepts(&self, via: Via, source: SocketAddr) -> bool {
        self.pairs.iter().any(|pair| {
            (pair.heard || pair.is_valid())
                && self.bases.get(pair.base).is_some_and(|base| base.via == via)
                && self.remotes.get(pair.remote).is_some_and(|remote| same(remote.address, source))
        })
    }

    fn tell(&mut self, now: Instant) {
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

    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.waiting.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let nomination = self.first_valid.iter().zip(1..=self.components).filter_map(|(first, component)| {
            let own = || self.pairs.iter().filter(move |pair| pair.component == component);
            let settled = own().any(|pair| pair.nominated || pair.nominating);
            let works = own().any(|pair| pair.is_valid() && pair.priority > 0);
            first.filter(|_| self.controlling && works && !settled).map(|first| first + BETTER)
        });
        let pairs = self.pairs.iter().filter_map(Pair::poll_timeout);
        pairs.chain(nomination).chain([self.next_check, self.give_up_at].into_iter().flatten()).min()
    }
}

/// The same place, whatever the scope or the notation.
pub fn same(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port() && one.ip().to_canonical() == other.ip().to_canonical()
}
