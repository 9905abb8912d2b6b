//! Suspicion: sound stopped, or consent was not answered, and we ask whether the way still works instead of waiting until the
//! consent ends (RFC 7675 §5.1 allows to know earlier).
//!
//! ```text
//!             sound stopped, a consent check unanswered        nothing answers 3 checks
//!   +-------+ --------------------------------------> +-------+ -----------------------> +--------+
//!   | Trust |                                         | Asked |                          | Silent |
//!   +-------+ <-------------------------------------- +-------+      an answer           +--------+
//!        ^                  an answer                     +-- of another pair: that is used  |
//!        +----------------------------------- an answer: Dispelled -------------------------+
//! ```
//! A pair that is silent is sent over all the same while there is no better one: the peer's consent holds.
use super::pair::{Pair, Sent, State};
use super::{Agent, Event, Via, same};
use crate::nat::candidate::{Candidate, Kind, RTP};
use crate::nat::stun::TransactionId;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Checks of one suspicion.
const TRIES: u8 = 3;
/// The time between two of them, when the round trip is shorter than half of it.
const BETWEEN: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(1);
/// A consent check is answered so soon, when the round trip is shorter than a quarter of it.
const ANSWERED: Duration = Duration::from_millis(500);

#[derive(Debug, Default)]
pub(super) enum Suspicion {
    #[default]
    Trust,
    /// A consent check waits for its answer until then.
    Waiting(Instant),
    Asked {
        tries: u8,
        next: Instant,
    },
    Silent,
}

impl Suspicion {
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Trust | Self::Silent => None,
            Self::Waiting(at) | Self::Asked { next: at, .. } => Some(*at),
        }
    }
}

/// A pair that was in use before a restart.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub base: usize,
    pub remote: Candidate,
    pub until: Instant,
    mapped: Option<SocketAddr>,
    round_trip: Option<Duration>,
}

impl Kept {
    pub fn of(pair: &Pair, remote: &Candidate) -> Option<Self> {
        let (mapped, round_trip) = (pair.mapped, pair.round_trip);
        Some(Self { base: pair.base, remote: remote.clone(), until: pair.consent_until?, mapped, round_trip })
    }

    /// As a pair that whatever succeeds is better than.
    pub fn pair(&self, remote: usize) -> Pair {
        let mut pair = Pair::new(self.base, remote, self.remote.component, 0);
        (pair.state, pair.heard, pair.consent_until) = (State::Succeeded, true, Some(self.until));
        (pair.mapped, pair.round_trip) = (self.mapped, self.round_trip);
        pair
    }
}

impl Agent {
    /// Sound that flowed does not come any more: asks at once whether the way works.
    pub fn suspect(&mut self, now: Instant) {
        if let (Suspicion::Trust | Suspicion::Waiting(_), Some(_), Some(_)) =
            (&self.suspicion, self.route(RTP), &self.remote)
        {
            self.suspicion = Suspicion::Asked { tries: 0, next: now };
            self.events.push_back(Event::Suspected);
            self.press(now);
        }
    }

    /// A consent check went out over the pair in use.
    pub(super) fn expect_answer(&mut self, now: Instant) {
        if matches!(self.suspicion, Suspicion::Trust) && self.remote.is_some() {
            let wait = self.route(RTP).and_then(|pair| pair.round_trip).map_or(ANSWERED, |rtt| ANSWERED.max(4 * rtt));
            self.suspicion = Suspicion::Waiting(now + wait);
        }
    }

    /// The next check of a suspicion, or its verdict.
    pub(super) fn press(&mut self, now: Instant) {
        match self.suspicion {
            Suspicion::Waiting(at) if at <= now => self.suspect(now),
            Suspicion::Asked { tries, next } if next <= now && tries < TRIES => {
                let wait = self.route(RTP).and_then(|pair| pair.round_trip).map_or(BETWEEN, |rtt| BETWEEN.max(2 * rtt));
                self.suspicion = Suspicion::Asked { tries: tries + 1, next: now + wait.min(LONGEST) };
                for at in 0..self.pairs.len() {
                    self.ask_pair(now, at);
                }
            }
            Suspicion::Asked { next, .. } if next <= now => {
                self.pairs.iter_mut().filter(|pair| pair.is_valid()).for_each(|pair| pair.silent = pair.asked);
                // Another pair may have answered, and is used from now on.
                let works = self.route(RTP).is_some_and(|pair| !pair.silent);
                self.suspicion = if works { Suspicion::Trust } else { Suspicion::Silent };
                if !works {
                    self.events.push_back(Event::Silent);
                }
            }
            Suspicion::Trust | Suspicion::Waiting(_) | Suspicion::Asked { .. } | Suspicion::Silent => {}
        }
    }

    fn ask_pair(&mut self, now: Instant, at: usize) {
        let sent =
            Sent { id: TransactionId::new(&mut self.rng), at: now, controlling: self.controlling, nominates: false };
        let Some(pair) = self.pairs.get_mut(at).filter(|pair| pair.is_valid()) else { return };
        pair.asked = true;
        pair.remember(sent);
        self.request(at, sent);
    }

    /// A check of this pair was answered.
    ///
    /// - `before`: our address as the peer saw it until now.
    pub(super) fn hear_answer(&mut self, at: usize, before: Option<SocketAddr>) {
        let Some(pair) = self.pairs.get_mut(at) else { return };
        (pair.silent, pair.asked) = (false, false);
        let own = self.bases.get(pair.base).is_some_and(|base| base.kind != Kind::Relayed);
        let moved = before.zip(pair.mapped).is_some_and(|(before, after)| !same(before, after));
        if own && moved && pair.component == RTP {
            self.events.push_back(Event::Moved);
        }
        if self.route(RTP).is_some_and(|route| !route.silent && !route.asked) {
            if matches!(self.suspicion, Suspicion::Silent) {
                self.events.push_back(Event::Dispelled);
            }
            self.suspicion = Suspicion::Trust;
        }
    }

    /// Goes on over what the agent before used, until something better is found: its sockets are ours, by the same names.
    pub fn adopt(&mut self, now: Instant, other: &Self) {
        for mut kept in other.routes() {
            // Other addresses are opened anew, and allocations are made anew.
            let own = |via: &Via| matches!(via, Via::Socket(0 | 1));
            let Some(via) = other.bases.get(kept.base).map(|base| base.via).filter(own) else { continue };
            let Some(base) = self.bases.iter().position(|base| base.via == via) else { continue };
            kept.base = base;
            let place = (base, self.remotes.len());
            let mut pair = kept.pair(place.1);
            (pair.silent, pair.consent_at) = (true, Some(now + self.consent_interval()));
            if let Some(told) = self.told.get_mut(usize::from(kept.remote.component) - 1) {
                *told = Some(place);
            }
            self.remotes.push(Candidate { priority: 0, ..kept.remote });
            self.pairs.push(pair);
        }
    }

    /// Whether the pair in use is one of the two sides' own addresses, with nothing that translates between.
    pub fn is_direct(&self) -> bool {
        self.chosen(RTP).is_some_and(|pair| (pair.local_kind, pair.remote_kind) == (Kind::Host, Kind::Host))
    }
}
