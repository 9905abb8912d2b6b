//! A table of deadlines: one per key, the earliest first, in a deterministic order.
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// Deadlines by key. Setting a key again replaces its deadline.
#[derive(Clone, Debug)]
pub struct TimerTable<K> {
    by_key: BTreeMap<K, Instant>,
    by_time: BTreeSet<(Instant, K)>,
}

impl<K> Default for TimerTable<K> {
    fn default() -> Self {
        Self { by_key: BTreeMap::new(), by_time: BTreeSet::new() }
    }
}

impl<K: Ord + Clone> TimerTable<K> {
    pub fn set(&mut self, key: K, at: Instant) {
        if let Some(old) = self.by_key.insert(key.clone(), at) {
            self.by_time.remove(&(old, key.clone()));
        }
        self.by_time.insert((at, key));
    }

    pub fn stop(&mut self, key: &K) {
        if let Some(old) = self.by_key.remove(key) {
            self.by_time.remove(&(old, key.clone()));
        }
    }

    pub fn get(&self, key: &K) -> Option<Instant> {
        self.by_key.get(key).copied()
    }

    /// The earliest deadline and whose it is.
    pub fn next(&self) -> Option<(Instant, K)> {
        self.by_time.first().cloned()
    }

    /// Takes one deadline that has passed, the earliest first.
    pub fn expired(&mut self, now: Instant) -> Option<K> {
        let (at, key) = self.next()?;
        if at > now {
            return None;
        }
        self.stop(&key);
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_key_has_one_deadline_and_the_earliest_expires_first() {
        let (t0, mut table) = (Instant::now(), TimerTable::default());
        table.set("b", t0 + Duration::from_secs(1));
        table.set("a", t0 + Duration::from_secs(2));
        table.set("b", t0 + Duration::from_secs(3));
        assert_eq!(table.expired(t0 + Duration::from_secs(1)), None);
        assert_eq!(table.expired(t0 + Duration::from_secs(4)), Some("a"));
        assert_eq!(table.expired(t0 + Duration::from_secs(4)), Some("b"));
        assert_eq!(table.next(), None);
    }
}
