//! The ICE agent of one stream (RFC 8445, full), with consent (RFC 7675): which pair of addresses leads to the peer.
//!
//! It is given the addresses it may send from and what the peer told of itself, checks pair after pair at a bounded pace,
//! and nominates one for each component, or lets the peer do so. Sound flows over the best pair that proved itself while
//! that goes on. Nothing here learns addresses from servers: `nat::traversal` does.
//!
//! Written here because the libraries know one component only, keep a pair whose consent ended as long as the peer asks
//! for ours, take an answer from anywhere, and draw their identifiers from a generator of their own.
mod checking;
mod checklist;
mod consent;
mod message;
mod nomination;
mod pair;
mod route;
mod suspicion;
#[cfg(test)]
mod tests;

use crate::base::rng::Rng;
use crate::nat::candidate::{Candidate, Credentials, IceSpec, Kind, MOST_CANDIDATES, PACE, RTP};
use pair::Pair;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use suspicion::Suspicion;

/// RFC 8445 §6.1.2.5.
const MOST_PAIRS: usize = 100;
/// Addresses of the peer in all, those it was found at by its checks included.
const MOST_REMOTES: usize = MOST_CANDIDATES + 16;
/// Checks of the peer that are remembered until its description comes.
const MOST_EARLY: usize = 16;
/// How long a better pair is waited for once one works.
const BETTER: Duration = Duration::from_millis(100);
/// And how long one that needs no relay is, when the first check of it may have met a filter that our next one opens: until
/// that is repeated and answered. Sound flows meanwhile.
const DIRECT: Duration = Duration::from_secs(1);
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
    /// Sound stopped, or a check was not answered: the way is asked about.
    Suspected,
    /// It does not answer; it is used while there is no other, and until the peer's consent ends.
    Silent,
    /// It answers again.
    Dispelled,
    /// The peer sees us at another address than before.
    Moved,
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
    suspicion: Suspicion,
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
            suspicion: Suspicion::default(),
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
            (self.switches, self.lost, self.suspicion) = (0, false, Suspicion::Trust);
            self.triggered.clear();
            self.keep(kept);
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

    /// What the peer told after its description; `false` when it is of another one (RFC 8838 §11).
    pub fn add_candidates(&mut self, now: Instant, remote: &Credentials, candidates: &[Candidate]) -> bool {
        if self.remote.as_ref() != Some(remote) {
            return false;
        }
        let known = self.remotes.len();
        for candidate in candidates.iter().take(MOST_CANDIDATES) {
            self.add_remote(candidate.clone());
        }
        if self.remotes.len() > known {
            // Another chance; the limit of addresses bounds how many there are.
            self.give_up_at = self.give_up_at.map(|_| now + GIVE_UP);
            self.form_pairs();
            self.wake(now);
        }
        true
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
        self.press(now);
        self.nominate(now);
        if self.give_up_at.is_some_and(|at| at <= now) {
            self.give_up_at = None;
            // What was used before a restart may be used until the consent ends.
            if self.route(RTP).is_none() {
                self.events.push_back(Event::Failed);
            }
        }
        self.tell(now);
    }

    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.waiting.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let nomination = (1..=self.components).filter_map(|component| Some(self.choice(component)?.1));
        let pairs = self.pairs.iter().filter_map(Pair::poll_timeout);
        let own = [self.next_check, self.give_up_at, self.suspicion.poll_timeout()];
        pairs.chain(nomination).chain(own.into_iter().flatten()).min()
    }
}

/// The same place, whatever the scope or the notation.
pub fn same(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port() && one.ip().to_canonical() == other.ip().to_canonical()
}
