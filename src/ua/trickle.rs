//! Candidates that follow descriptions (RFC 8838, RFC 8840): what a peer was told of ours, and what it told of its own.
use crate::nat::candidate::{Candidate, Credentials, MOST_CANDIDATES};
use crate::sip::invite::Fork;

/// Descriptions of the peer, those of other forks and those that are not here yet included, whose candidates are kept.
const MOST_DESCRIPTIONS: usize = 4;

/// How much of our list somebody knows.
type Extent = (usize, bool);

#[derive(Debug, Default)]
pub struct Trickle {
    /// The description of the peer says that it can.
    known: bool,
    /// But it does not want to.
    stopped: bool,
    /// What our latest description said; none does since the search began.
    described: Option<Extent>,
    /// What was told in messages last, and in which dialog.
    informed: Option<(Fork, Extent)>,
    /// What the peer told in messages.
    heard: Vec<(Credentials, Vec<Candidate>)>,
}

impl Trickle {
    /// Addresses are searched for anew.
    pub fn begin(&mut self) {
        (self.described, self.informed) = (None, None);
    }

    pub fn is_known(&self) -> bool {
        self.known && !self.stopped
    }

    /// The descriptions of both sides are there.
    pub fn agreed(&mut self, known: bool) {
        self.known = known;
    }

    /// - `count`, `complete`: of our candidates, as a description tells them.
    pub fn described(&mut self, count: usize, complete: bool) {
        (self.described, self.informed) = (Some((count, complete)), None);
    }

    /// All that the description did not say, when some of it was not told yet (RFC 8840 §4.4).
    pub fn news(&self, fork: Fork, ours: &[Candidate], complete: bool) -> Option<Vec<Candidate>> {
        let (now, described) = ((ours.len(), complete), self.described?);
        let told = self.informed.filter(|(to, _)| *to == fork).map_or(described, |(_, extent)| extent);
        (self.is_known() && told != now).then(|| ours.get(described.0..).unwrap_or_default().to_vec())
    }

    pub fn informed(&mut self, fork: Fork, count: usize, complete: bool) {
        self.informed = Some((fork, (count, complete)));
    }

    pub fn stop(&mut self) {
        self.stopped = true;
    }

    /// What the peer told after the description that has these credentials, or before it came.
    pub fn heard(&mut self, credentials: &Credentials, candidates: &[Candidate]) {
        let known = self.heard.iter().position(|(of, _)| of == credentials);
        let at = known.unwrap_or_else(|| {
            if self.heard.len() >= MOST_DESCRIPTIONS {
                self.heard.remove(0);
            }
            self.heard.push((credentials.clone(), Vec::new()));
            self.heard.len() - 1
        });
        let Some((_, known)) = self.heard.get_mut(at) else { return };
        for candidate in candidates {
            if known.len() < MOST_CANDIDATES && !known.contains(candidate) {
                known.push(candidate.clone());
            }
        }
    }

    pub fn told_by(&self, credentials: &Credentials) -> &[Candidate] {
        self.heard.iter().find(|(of, _)| of == credentials).map_or(&[], |(_, candidates)| candidates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::secret::Secret;
    use crate::nat::candidate::Kind;

    fn candidates(count: u16) -> Vec<Candidate> {
        let one = |n: u16| Candidate {
            foundation: "1".into(),
            component: 1,
            priority: 1,
            address: ([192, 0, 2, 1], 4_000 + n).into(),
            kind: Kind::Host,
            related: None,
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn all_that_a_description_left_out_is_told_until_it_is_known() {
        let (mut trickle, one, other) = (Trickle::default(), Fork(0), Fork(1));
        trickle.described(1, false);
        assert_eq!(trickle.news(one, &candidates(2), false), None, "nobody said that it can");
        trickle.agreed(true);
        assert_eq!(trickle.news(one, &candidates(1), false), None, "all is in the description");
        assert_eq!(trickle.news(one, &candidates(1), true), Some(vec![]), "but that it is all");
        assert_eq!(trickle.news(one, &candidates(2), false).map(|c| c.len()), Some(1));
        trickle.informed(one, 2, false);
        assert_eq!(trickle.news(one, &candidates(2), false), None);
        assert_eq!(trickle.news(other, &candidates(2), false).map(|c| c.len()), Some(1), "another has not heard it");
        assert_eq!(trickle.news(one, &candidates(3), true).map(|c| c.len()), Some(2), "again, and more");
        trickle.described(3, true);
        assert_eq!(trickle.news(other, &candidates(3), true), None);
        trickle.begin();
        assert_eq!(trickle.news(one, &candidates(1), false), None, "no description says whose they are");
        trickle.described(0, false);
        trickle.stop();
        assert_eq!(trickle.news(one, &candidates(1), true), None, "it was asked to stop");
    }

    #[test]
    fn what_is_heard_is_bounded_and_kept_apart() {
        let mut trickle = Trickle::default();
        let of = |n: usize| Credentials { ufrag: format!("peer{n}"), password: Secret::new("secret") };
        for n in 0..2 * MOST_DESCRIPTIONS {
            for _ in 0..2 {
                trickle.heard(&of(n), &candidates(100));
            }
        }
        assert_eq!(trickle.heard.len(), MOST_DESCRIPTIONS);
        assert!(trickle.heard.iter().all(|(_, candidates)| candidates.len() == MOST_CANDIDATES));
        assert!(trickle.told_by(&of(0)).is_empty() && !trickle.told_by(&of(7)).is_empty());
    }
}
