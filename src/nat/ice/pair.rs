//! One candidate pair and the checks on it (RFC 8445 §6.1.2.6, §7.2.5).
//!
//! ```text
//!   Waiting --- check sent ---> InProgress --- answered ---> Succeeded
//!      ^                          |    |                        |
//!      +--- checked by the peer --+    +--- no answer ----> Failed
//! ```
//! Pairs are never frozen: one stream has few of them, and the pace of checks bounds what is sent.
use crate::nat::stun::TransactionId;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The shortest time before a check is sent again (RFC 8445 §14.3).
const RTO: Duration = Duration::from_millis(500);
/// How often one is sent in all (RFC 8489 §6.2.1).
const SENDS: u8 = 7;
/// Requests whose answers are still taken.
const REMEMBERED: usize = 8;
/// How long an answer may take.
const ANSWERABLE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Waiting,
    InProgress,
    Succeeded,
    Failed,
}

/// A request that may be answered.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    pub id: TransactionId,
    pub at: Instant,
    pub controlling: bool,
    pub nominates: bool,
}

#[derive(Debug)]
pub struct Pair {
    /// Index of the address we send from.
    pub base: usize,
    pub remote: usize,
    pub component: u8,
    pub priority: u64,
    pub state: State,
    /// The peer's checks arrived here with the right password.
    pub heard: bool,
    /// To be used: said by the peer, or by us and confirmed.
    pub nominated: bool,
    /// USE-CANDIDATE came before our own check succeeded (RFC 8445 §7.3.1.5).
    pub wanted_by_peer: bool,
    /// Our next check on it nominates it.
    pub nominating: bool,
    pub round_trip: Option<Duration>,
    /// Our address as the peer saw it.
    pub mapped: Option<SocketAddr>,
    /// The peer's consent ends then (RFC 7675 §5.1).
    pub consent_until: Option<Instant>,
    pub consent_at: Option<Instant>,
    /// A check because of a suspicion was not answered yet.
    pub asked: bool,
    /// None of them was.
    pub silent: bool,
    sent: VecDeque<Sent>,
    sends: u8,
    resend_at: Option<Instant>,
    rto: Duration,
}

impl Pair {
    pub fn new(base: usize, remote: usize, component: u8, priority: u64) -> Self {
        Self {
            base,
            remote,
            component,
            priority,
            state: State::Waiting,
            heard: false,
            nominated: false,
            wanted_by_peer: false,
            nominating: false,
            round_trip: None,
            mapped: None,
            consent_until: None,
            consent_at: None,
            asked: false,
            silent: false,
            sent: VecDeque::new(),
            sends: 0,
            resend_at: None,
            rto: RTO,
        }
    }

    /// A check begins; after that it is sent again until it is answered.
    pub fn begin(&mut self, now: Instant, sent: Sent, rto: Duration) {
        if self.state != State::Succeeded {
            self.state = State::InProgress;
        }
        self.remember(sent);
        self.sends = 1;
        self.rto = rto.max(RTO);
        self.resend_at = Some(now + self.rto);
    }

    /// A request that is not repeated: its successor asks the same (RFC 7675 §5.1).
    pub fn remember(&mut self, sent: Sent) {
        self.sent.truncate(REMEMBERED - 1);
        self.sent.push_front(sent);
    }

    /// The request to be sent once more; the pair fails when it was sent often enough.
    pub fn resend(&mut self, now: Instant) -> Option<Sent> {
        if self.resend_at.is_none_or(|at| at > now) {
            return None;
        }
        if self.sends >= SENDS {
            self.resend_at = None;
            self.nominating = false;
            if self.state == State::InProgress {
                self.state = State::Failed;
            }
            return None;
        }
        self.sends += 1;
        self.rto *= 2;
        self.resend_at = Some(now + self.rto);
        self.sent.front().copied()
    }

    /// Nothing is sent again.
    pub fn rest(&mut self) {
        self.resend_at = None;
    }

    /// It is not needed; an answer that is under way still counts.
    pub fn cease(&mut self) {
        self.state = State::Failed;
        self.rest();
    }

    /// It works no longer.
    pub fn give_up(&mut self) {
        (self.consent_until, self.consent_at, self.nominated) = (None, None, false);
        (self.state, self.wanted_by_peer, self.nominating, self.heard) = (State::Failed, false, false, false);
        self.rest();
    }

    /// A check of the peer came while ours is under way: ours begins anew (RFC 8445 §7.3.1.4).
    pub fn restart(&mut self) {
        if self.state != State::Succeeded {
            self.state = State::Waiting;
        }
        self.rest();
    }

    /// The request that this answers; it is answered once.
    pub fn take(&mut self, now: Instant, id: TransactionId) -> Option<Sent> {
        let at = self.sent.iter().position(|sent| sent.id == id)?;
        let sent = self.sent.remove(at)?;
        (now.saturating_duration_since(sent.at) <= ANSWERABLE).then_some(sent)
    }

    pub fn awaits(&self, id: TransactionId) -> bool {
        self.sent.iter().any(|sent| sent.id == id)
    }

    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Waiting | State::InProgress)
    }

    pub fn is_valid(&self) -> bool {
        self.state == State::Succeeded && self.consent_until.is_some()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.resend_at, self.consent_at, self.consent_until].into_iter().flatten().min()
    }
}

/// RFC 8445 §6.1.2.3.
pub fn priority(controlling: u32, controlled: u32) -> u64 {
    let (low, high) = (controlling.min(controlled), controlling.max(controlled));
    (u64::from(low) << 32) + 2 * u64::from(high) + u64::from(controlling > controlled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_sent_seven_times_and_its_answer_taken_once() {
        let start = Instant::now();
        let mut pair = Pair::new(0, 0, 1, priority(5, 7));
        let id = TransactionId([1; 12]);
        let sent = Sent { id, at: start, controlling: true, nominates: false };
        pair.begin(start, sent, Duration::ZERO);
        let mut times = Vec::new();
        while let Some(at) = pair.poll_timeout() {
            if pair.resend(at).is_some() {
                times.push((at - start).as_millis());
            }
        }
        assert_eq!(times, [500, 1_500, 3_500, 7_500, 15_500, 31_500]);
        assert_eq!(pair.state, State::Failed);
        assert!(pair.take(start, TransactionId([2; 12])).is_none());
        assert!(pair.take(start, id).is_some());
        assert!(pair.take(start, id).is_none());
        assert_eq!(priority(5, 7), (5 << 32) + 14);
        assert_eq!(priority(7, 5), (5 << 32) + 15);
    }
}
