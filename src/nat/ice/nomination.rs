//! Which pair is to be used: the controlling side says so (RFC 8445 §8.1.1).
use super::pair::Pair;
use super::{Agent, BETTER};
use std::time::Instant;

impl Agent {
    /// The controlling side decides, as soon as nothing better can be hoped for (RFC 8445 §8.1.1).
    pub(super) fn nominate(&mut self, now: Instant) {
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
}
