//! When to send RTCP (RFC 3550 §6.2, §6.3, A.7): the randomised interval, reconsideration both ways, and the tables of
//! members and senders it depends on.
//!
//! The table of members is capped below the fifty at which a goodbye would have to wait (§6.3.7), so a BYE is
//! sent at once.
use crate::base::rng::Rng;
use crate::media::rtp::packet::Ssrc;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Members other than us that are kept; a call has one.
const MAX_MEMBERS: usize = 32;

const MINIMUM: Duration = Duration::from_secs(5);
const SENDER_SHARE: f64 = 0.25;
/// Undoes the bias of reconsideration: e - 3/2.
const COMPENSATION: f64 = std::f64::consts::E - 1.5;
/// Intervals of silence after which a member is gone, and after which it is no sender.
const MEMBER_INTERVALS: u32 = 5;
const SENDER_INTERVALS: u32 = 2;
/// The share of the session bandwidth that is RTCP's.
const RTCP_SHARE: f64 = 0.05;
/// UDP and IPv4 headers count too (§6.2) \[octets\].
const OVERHEAD: f64 = 28.0;
/// A first guess at the size of a report: SR, one block and SDES \[octets\].
const FIRST_SIZE: f64 = 100.0;

#[derive(Clone, Copy, Debug)]
struct Member {
    heard: Instant,
    sent: Option<Instant>,
}

/// The state of §6.3: `last` is tp, `next` is tn, `previous_members` is pmembers.
#[derive(Clone, Debug)]
pub struct Schedule {
    rng: Rng,
    /// [octets/s]
    bandwidth: f64,
    minimum: Duration,
    last: Instant,
    /// `None` when RTCP has no bandwidth: nothing is ever sent.
    next: Option<Instant>,
    interval: Duration,
    members: BTreeMap<Ssrc, Member>,
    previous_members: usize,
    initial: bool,
    average_size: f64,
    we_sent: Option<Instant>,
}

impl Schedule {
    /// A session begins at `now`.
    ///
    /// - `bandwidth`: what RTCP may use [bit/s]; 0 means no RTCP at all (RFC 3556).
    /// - `reduced_minimum`: report more often than every 5 s where the bandwidth allows it (§6.2).
    pub fn new(now: Instant, bandwidth: u32, reduced_minimum: bool, rng: Rng) -> Self {
        let mut schedule = Self {
            rng,
            bandwidth: 0.0,
            minimum: MINIMUM,
            last: now,
            next: None,
            interval: MINIMUM,
            members: BTreeMap::new(),
            previous_members: 1,
            initial: true,
            average_size: FIRST_SIZE + OVERHEAD,
            we_sent: None,
        };
        schedule.configure(now, bandwidth, reduced_minimum);
        schedule
    }

    /// The bandwidth was negotiated anew.
    pub fn configure(&mut self, now: Instant, bandwidth: u32, reduced_minimum: bool) {
        let (bits, minimum) = (f64::from(bandwidth), if reduced_minimum { reduced(bandwidth) } else { MINIMUM });
        if bits / 8.0 == self.bandwidth && minimum == self.minimum {
            return;
        }
        self.bandwidth = bits / 8.0;
        self.minimum = minimum;
        self.next = (bandwidth > 0).then(|| {
            self.interval = self.randomised();
            now + self.interval
        });
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }

    /// The timer fired: true when a report is due now, which [`Schedule::sent`] must follow. Otherwise the membership
    /// grew and the timer was set later (timer reconsideration).
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        if self.next.is_none_or(|next| next > now) {
            return false;
        }
        self.time_out_members(now);
        self.interval = self.randomised();
        let next = self.last + self.interval;
        self.previous_members = self.members();
        self.next = Some(next);
        next <= now
    }

    /// A report of `size` octets was sent.
    pub fn sent(&mut self, now: Instant, size: usize) {
        self.weigh(size);
        self.last = now;
        self.initial = false;
        if self.next.is_some() {
            self.interval = self.randomised();
            self.next = Some(now + self.interval);
        }
    }

    /// A valid compound packet of `size` octets arrived.
    pub fn received(&mut self, size: usize) {
        self.weigh(size);
    }

    fn weigh(&mut self, size: usize) {
        self.average_size += (size as f64 + OVERHEAD - self.average_size) / 16.0;
    }

    /// A valid RTP packet of `ssrc` arrived.
    pub fn heard_rtp(&mut self, now: Instant, ssrc: Ssrc) {
        if let Some(member) = self.member(now, ssrc) {
            member.heard = now;
            member.sent = Some(now);
        }
    }

    /// `ssrc` was named in valid RTCP.
    pub fn heard_rtcp(&mut self, now: Instant, ssrc: Ssrc) {
        if let Some(member) = self.member(now, ssrc) {
            member.heard = now;
        }
    }

    fn member(&mut self, now: Instant, ssrc: Ssrc) -> Option<&mut Member> {
        if self.members.len() >= MAX_MEMBERS && !self.members.contains_key(&ssrc) {
            return None;
        }
        Some(self.members.entry(ssrc).or_insert(Member { heard: now, sent: None }))
    }

    /// `ssrc` said goodbye: reverse reconsideration (§6.3.4). True if it was a member.
    pub fn left(&mut self, now: Instant, ssrc: Ssrc) -> bool {
        let known = self.members.remove(&ssrc).is_some();
        self.reconsider(now);
        known
    }

    fn reconsider(&mut self, now: Instant) {
        let members = self.members();
        if members < self.previous_members {
            let shrunk = members as f64 / self.previous_members as f64;
            self.next = self.next.map(|next| now + next.saturating_duration_since(now).mul_f64(shrunk));
            let since = now.saturating_duration_since(self.last).mul_f64(shrunk);
            self.last = now.checked_sub(since).unwrap_or(self.last);
            self.previous_members = members;
        }
    }

    /// We sent an RTP packet.
    pub fn sent_rtp(&mut self, now: Instant) {
        self.we_sent = Some(now);
    }

    /// Whether we sent RTP since the report before the last one: then a report is a sender report (§6.3.8).
    pub fn is_sender(&self, now: Instant) -> bool {
        self.we_sent.is_some_and(|at| now.saturating_duration_since(at) < self.interval * SENDER_INTERVALS)
    }

    /// Removes members and senders that fell silent (§6.3.5). The interval is the one without randomness, at the full
    /// minimum, since others may not have reduced theirs.
    fn time_out_members(&mut self, now: Instant) {
        let quiet = self.deterministic(MINIMUM, self.we_sent.is_some()) * MEMBER_INTERVALS;
        self.members.retain(|_, member| now.saturating_duration_since(member.heard) < quiet);
        let sending = self.interval * SENDER_INTERVALS;
        for member in self.members.values_mut() {
            member.sent = member.sent.filter(|at| now.saturating_duration_since(*at) < sending);
        }
        self.we_sent = self.we_sent.filter(|at| now.saturating_duration_since(*at) < sending);
        self.reconsider(now);
    }

    /// Members, us included.
    pub fn members(&self) -> usize {
        self.members.len() + 1
    }

    fn senders(&self) -> usize {
        self.members.values().filter(|member| member.sent.is_some()).count() + usize::from(self.we_sent.is_some())
    }

    fn deterministic(&self, minimum: Duration, we_sent: bool) -> Duration {
        let (members, senders) = (self.members() as f64, self.senders() as f64);
        let (bandwidth, sharing) = if senders > members * SENDER_SHARE {
            (self.bandwidth, members)
        } else if we_sent {
            (self.bandwidth * SENDER_SHARE, senders)
        } else {
            (self.bandwidth * (1.0 - SENDER_SHARE), members - senders)
        };
        Duration::try_from_secs_f64(self.average_size * sharing / bandwidth).unwrap_or(minimum).max(minimum)
    }

    /// The interval of A.7.
    fn randomised(&mut self) -> Duration {
        let minimum = if self.initial { self.minimum / 2 } else { self.minimum };
        let interval = self.deterministic(minimum, self.we_sent.is_some());
        interval.mul_f64((self.rng.unit() + 0.5) / COMPENSATION)
    }
}

/// 360 s divided by the session bandwidth in kbit/s, where that is less than 5 s (§6.2).
fn reduced(bandwidth: u32) -> Duration {
    let session_kilobits = f64::from(bandwidth) / RTCP_SHARE / 1000.0;
    Duration::try_from_secs_f64(360.0 / session_kilobits).unwrap_or(MINIMUM).min(MINIMUM)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn schedule(now: Instant, seed: u64) -> Schedule {
        Schedule::new(now, 4000, false, Rng::from_u64(seed))
    }

    /// Runs the timer until a report is due and returns when.
    fn due(schedule: &mut Schedule) -> Instant {
        for _ in 0..100 {
            let at = schedule.poll_timeout().expect("RTCP has bandwidth");
            if schedule.handle_timeout(at) {
                return at;
            }
        }
        panic!("reconsidered for ever");
    }

    #[test]
    fn no_bandwidth_no_reports() {
        assert_eq!(Schedule::new(Instant::now(), 0, false, Rng::from_u64(1)).poll_timeout(), None);
    }

    #[test]
    fn the_first_report_comes_after_half_the_minimum_and_the_rest_at_five_seconds_in_the_mean() {
        let (mut first, mut rest, mut count) = (Duration::ZERO, Duration::ZERO, 0);
        for seed in 0..200 {
            let start = Instant::now();
            let mut schedule = schedule(start, seed);
            let mut last = start;
            for report in 0..20 {
                schedule.sent_rtp(last);
                schedule.heard_rtp(last, Ssrc(1));
                let at = due(&mut schedule);
                let waited = at - last;
                if report == 0 {
                    first += waited;
                    assert!(waited >= Duration::from_secs_f64(1.25 / COMPENSATION), "{waited:?}");
                    assert!(waited <= Duration::from_secs_f64(3.75 / COMPENSATION), "{waited:?}");
                } else {
                    (rest, count) = (rest + waited, count + 1);
                    assert!(waited >= Duration::from_secs_f64(2.5 / COMPENSATION), "{waited:?}");
                    assert!(waited <= Duration::from_secs_f64(7.5 / COMPENSATION), "{waited:?}");
                }
                schedule.sent(at, 100);
                last = at;
            }
        }
        // Reconsideration makes the mean of what is sent that of the interval less its compensation: 5 s within 6 %.
        let (first, rest) = (first.as_secs_f64() / 200.0, rest.as_secs_f64() / f64::from(count));
        assert!((first - 2.5).abs() < 0.15, "first {first}");
        assert!((rest - 5.0).abs() < 0.3, "rest {rest}");
    }

    #[test]
    fn the_interval_of_a7_by_hand() {
        let start = Instant::now();
        let mut schedule = schedule(start, 1);
        schedule.initial = false;
        // 500 octets/s; 128 octets a report.
        let rows = [
            // members besides us, senders among them, we sent, interval [s]
            (1, 1, true, 5.0),
            (29, 1, true, 128.0 * 2.0 / 125.0),
            (29, 1, false, 128.0 * 29.0 / 375.0),
            (29, 29, true, 128.0 * 30.0 / 500.0),
        ];
        for (members, senders, we_sent, seconds) in rows {
            schedule.members.clear();
            for n in 0..members {
                schedule.heard_rtcp(start, Ssrc(n));
                if n < senders {
                    schedule.heard_rtp(start, Ssrc(n));
                }
            }
            schedule.we_sent = we_sent.then_some(start);
            let expected = Duration::from_secs_f64(f64::max(seconds, 5.0));
            assert_eq!(schedule.deterministic(MINIMUM, we_sent), expected, "{members} {senders} {we_sent}");
        }
    }

    #[test]
    fn members_that_leave_bring_the_next_report_forward() {
        let start = Instant::now();
        let mut schedule = schedule(start, 1);
        for n in 0..9 {
            schedule.heard_rtcp(start, Ssrc(n));
        }
        schedule.previous_members = 10;
        (schedule.last, schedule.next) = (start, Some(start + 8 * SECOND));
        let now = start + 4 * SECOND;
        for n in 0..5 {
            assert!(schedule.left(now, Ssrc(n)));
        }
        assert!(!schedule.left(now, Ssrc(77)), "a stranger cannot leave");
        // (5/10) of what was left, in five steps 9/10, 8/9, 7/8, 6/7, 5/6.
        let near = |a: Instant, b: Instant| a.max(b) - a.min(b) < Duration::from_micros(1);
        assert!(near(schedule.poll_timeout().expect("set"), now + 2 * SECOND));
        assert!(near(schedule.last, now - 2 * SECOND));
    }

    #[test]
    fn silent_members_and_senders_time_out() {
        let start = Instant::now();
        let mut schedule = schedule(start, 3);
        schedule.heard_rtp(start, Ssrc(1));
        schedule.sent_rtp(start);
        assert_eq!((schedule.members(), schedule.senders()), (2, 2));
        let mut last = start;
        while last < start + 24 * SECOND {
            last = due(&mut schedule);
            schedule.sent(last, 100);
        }
        assert!(!schedule.is_sender(last));
        assert_eq!(schedule.senders(), 0);
        while last < start + 30 * SECOND {
            last = due(&mut schedule);
            schedule.sent(last, 100);
        }
        assert_eq!(schedule.members(), 1);
    }

    #[test]
    fn strangers_fill_no_more_than_the_table() {
        let start = Instant::now();
        let mut schedule = schedule(start, 1);
        for n in 0..10_000 {
            schedule.heard_rtcp(start, Ssrc(n));
        }
        assert_eq!(schedule.members(), MAX_MEMBERS + 1);
    }

    #[test]
    fn the_reduced_minimum_is_360_over_the_bandwidth() {
        let rows = [(4000, 4.5), (2500, 5.0), (36_000, 0.5)];
        for (bandwidth, seconds) in rows {
            assert_eq!(reduced(bandwidth), Duration::from_secs_f64(seconds), "{bandwidth}");
        }
        assert_eq!(reduced(0), MINIMUM);
    }
}
