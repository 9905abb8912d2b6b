//! When a way that was found is doubted: who looks for another one, and when (RFC 8445 §9).
//!
//! Who has moved knows it and acts at once, its signalling first. Who has not waits for the other side, which acts: two
//! offers at a time are glare (RFC 3261 §14.1), and ours would go to where the peer is no longer. Where nobody knows, who
//! made the call is first.
use super::Call;
use crate::nat::candidate::Doubt;
use crate::ua::outbox::Outbox;
use std::time::{Duration, Instant};

/// How long who has not moved waits for the other side.
const OTHER: Duration = Duration::from_secs(6);
/// How long who was called waits where nobody knows who moved.
const SECOND: Duration = Duration::from_millis(2_500);
/// Between two searches of one trouble, doubled each time.
const AGAIN: Duration = Duration::from_secs(4);
const MOST: u32 = 5;
/// A trouble so long after the last search is another one.
const CALM: Duration = Duration::from_secs(60);

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The servers are to be told where we are, then the peer.
    Move,
    /// The peer only.
    Search,
}

#[derive(Debug, Default)]
pub struct Doubts {
    act: Option<(Instant, Act)>,
    searches: u32,
    last: Option<Instant>,
}

impl Doubts {
    /// - `calls`: we made the call.
    pub fn handle(&mut self, now: Instant, doubt: Doubt, calls: bool) {
        let (wait, act) = match (doubt, calls) {
            (Doubt::Dispelled, _) => return self.settle(),
            (Doubt::Moved, _) => (Duration::ZERO, Act::Move),
            (Doubt::Silent { unmoved: true }, _) => (OTHER, Act::Search),
            (Doubt::Silent { unmoved: false }, true) => (Duration::ZERO, Act::Search),
            (Doubt::Silent { unmoved: false }, false) => (SECOND, Act::Search),
        };
        if self.last.is_some_and(|last| now.saturating_duration_since(last) >= CALM) {
            (self.searches, self.last) = (0, None);
        }
        if self.searches >= MOST || matches!((self.act, act), (Some((_, Act::Move)), _) | (Some(_), Act::Search)) {
            return;
        }
        let pause = AGAIN * 2_u32.pow(self.searches.saturating_sub(1));
        let earliest = self.last.map_or(now, |last| last + pause);
        self.act = Some((earliest.max(now + wait), act));
    }

    /// There is a new agreement, or no doubt any more.
    pub fn settle(&mut self) {
        self.act = None;
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.act.map(|(at, _)| at)
    }

    /// What is due, once.
    pub fn take(&mut self, now: Instant) -> Option<Act> {
        let (_, act) = self.act.take_if(|(at, _)| *at <= now)?;
        (self.searches, self.last) = (self.searches + 1, Some(now));
        Some(act)
    }
}

impl Call {
    pub(super) fn handle_doubt(&mut self, now: Instant, doubt: Doubt, out: &mut Outbox) {
        if !self.is_established() {
            return;
        }
        let words = match doubt {
            Doubt::Moved => "we are seen at another address than before",
            Doubt::Silent { .. } => "nothing answers on the way in use",
            Doubt::Dispelled => "the way in use answers again",
        };
        out.log(format!("call {}: {words}", self.number));
        self.doubts.handle(now, doubt, self.outgoing);
    }

    /// What is due because of a doubt, unless it is being done.
    pub fn take_doubt(&mut self, now: Instant) -> Option<Act> {
        self.doubts.take(now).filter(|_| self.is_established() && !self.is_moving())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_acts_and_when() {
        let (unmoved, unknown) = (Doubt::Silent { unmoved: true }, Doubt::Silent { unmoved: false });
        // Doubts at [ms], whether we called; acts at [ms].
        type Row<'a> = (&'a [(u64, Doubt)], bool, &'a [(u64, Act)]);
        let rows: [Row; 10] = [
            (&[(0, Doubt::Dispelled)], true, &[]),
            (&[(0, unmoved), (5_000, Doubt::Dispelled)], true, &[]),
            (&[(0, unmoved)], true, &[(6_000, Act::Search)]),
            (&[(0, unknown)], true, &[(0, Act::Search)]),
            (&[(0, unknown)], false, &[(2_500, Act::Search)]),
            (&[(0, Doubt::Moved)], false, &[(0, Act::Move)]),
            (&[(0, Doubt::Moved), (600, unknown)], true, &[(0, Act::Move), (4_000, Act::Search)]),
            (&[(0, unmoved), (900, Doubt::Moved)], true, &[(900, Act::Move)]),
            (&[(0, Doubt::Moved), (1_000, Doubt::Moved)], true, &[(0, Act::Move), (4_000, Act::Move)]),
            (&[(0, Doubt::Moved), (70_000, Doubt::Moved)], true, &[(0, Act::Move), (70_000, Act::Move)]),
        ];
        for (given, calls, expected) in rows {
            let start = Instant::now();
            let (mut doubts, mut done) = (Doubts::default(), Vec::new());
            for ms in (0..100_000).step_by(100) {
                let now = start + Duration::from_millis(ms);
                for (_, doubt) in given.iter().filter(|(at, _)| *at == ms) {
                    doubts.handle(now, *doubt, calls);
                }
                done.extend(doubts.take(now).map(|act| (ms, act)));
            }
            assert_eq!(done, expected, "{given:?}");
        }
    }

    #[test]
    fn a_dead_peer_is_searched_for_a_few_times_and_ever_less_often() {
        let (start, mut doubts, mut done) = (Instant::now(), Doubts::default(), Vec::new());
        for second in 0..90 {
            let now = start + Duration::from_secs(second);
            doubts.handle(now, Doubt::Silent { unmoved: false }, true);
            done.extend(doubts.take(now).map(|_| second));
        }
        assert_eq!(done, [0, 4, 12, 28, 60]);
    }
}
