//! Which pair is to be used: the controlling side says so (RFC 8445 §8.1.1).
use super::pair::Pair;
use super::{Agent, BETTER, DIRECT};
use crate::nat::candidate::Kind;
use std::time::Instant;

impl Agent {
    /// The controlling side decides, as soon as nothing better can be hoped for (RFC 8445 §8.1.1).
    pub(super) fn nominate(&mut self, now: Instant) {
        self.conclude();
        for component in 1..=self.components {
            let Some((place, _)) = self.choice(component).filter(|(_, at)| *at <= now) else { continue };
            if let Some(pair) = self.pairs.iter_mut().find(|pair| (pair.base, pair.remote) == place) {
                pair.nominating = true;
                self.triggered.push_front(place);
            }
        }
        self.wake(now);
    }

    /// What was nominated settles its component: no other pair is checked any more (RFC 8445 §8.1.2), so that whoever the
    /// peer names beside itself is soon left alone. A peer that nominates several means the best of them.
    fn conclude(&mut self) {
        for component in 1..=self.components {
            let own = |pair: &&Pair| pair.component == component && pair.nominated && pair.is_valid();
            let Some(settled) = self.pairs.iter().filter(own).map(|pair| pair.priority).max() else { continue };
            let controlling = self.controlling;
            let open = |pair: &&mut Pair| pair.component == component && pair.is_open() && !pair.wanted_by_peer;
            for pair in self.pairs.iter_mut().filter(open).filter(|pair| controlling || pair.priority < settled) {
                pair.cease();
            }
        }
    }

    /// What is to be nominated, and when; `None` while nothing works, and once it was said.
    pub(super) fn choice(&self, component: u8) -> Option<((usize, usize), Instant)> {
        let first = self.first_valid.get(usize::from(component).checked_sub(1)?).copied().flatten()?;
        let own = || self.pairs.iter().filter(move |pair| pair.component == component);
        if !self.controlling || self.remote.is_none() || own().any(|pair| pair.nominated || pair.nominating) {
            return None;
        }
        let best = own().filter(|pair| pair.is_valid() && pair.priority > 0).max_by_key(|pair| pair.priority)?;
        let hope = || own().filter(|pair| pair.is_open() && pair.priority > best.priority);
        let wait = if self.is_relayed(best) && hope().any(|pair| !self.is_relayed(pair)) {
            Some(DIRECT)
        } else {
            hope().next().map(|_| BETTER)
        };
        Some(((best.base, best.remote), wait.map_or(first, |wait| first + wait)))
    }

    fn is_relayed(&self, pair: &Pair) -> bool {
        let (base, remote) = (self.bases.get(pair.base), self.remotes.get(pair.remote));
        base.is_some_and(|base| base.kind == Kind::Relayed) || remote.is_some_and(|remote| remote.kind == Kind::Relayed)
    }
}
