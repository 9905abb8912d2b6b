//! Seeded network impairments for one direction: loss, delay and jitter, with the truth of what was applied.
//!
//! Loss is the two-state model of Gilbert: the bad state loses everything, the good state nothing, so that the share of
//! lost packets and the mean length of a run of losses are set apart from each other. The truth's jitter is that of
//! RFC 3550 A.8.
use crate::base::rng::Rng;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Packets a link holds at most; what comes on top is lost, as in a router's queue.
const QUEUE: usize = 4096;
/// No packet is held longer than this, whatever was asked for.
const MAX_HOLD: Duration = Duration::from_secs(60);

/// What a simulated network shall do, in each direction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Impairment {
    /// Probability that a packet is lost, `0.0..=1.0`.
    pub loss: f64,
    /// Mean run of consecutive losses \[packets\]; 0 or 1 is independent loss.
    pub burst: f64,
    /// One-way delay.
    pub delay: Duration,
    /// Range of the random delay added to `delay`.
    pub jitter: Duration,
    /// Whether jitter may let a packet overtake an earlier one.
    pub reorder: bool,
    pub seed: u64,
}

/// What it really did to the packets that went towards the phone.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Truth {
    /// Handed to the link, lost ones included.
    pub packets: u64,
    pub lost: u64,
    /// Interarrival jitter of what was delivered, by RFC 3550 A.8 \[ms\]; 0 before two RTP packets came.
    pub jitter: f64,
    /// Mean delay added \[ms\].
    pub delay: f64,
}

/// What of an RTP packet the truth's jitter is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub ssrc: u32,
    pub timestamp: u32,
    /// \[Hz\]
    pub clock_rate: u32,
}

impl Stamp {
    /// Reads the fixed header of RFC 3550 §5.1; `None` for RTCP (RFC 5761 §4) and for anything else.
    pub fn of_rtp(packet: &[u8], clock_rate: u32) -> Option<Self> {
        let [first, second, _, _, t0, t1, t2, t3, s0, s1, s2, s3, ..] = *packet else { return None };
        (first >> 6 == 2 && !(192..=223).contains(&second) && clock_rate > 0).then(|| Self {
            ssrc: u32::from_be_bytes([s0, s1, s2, s3]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            clock_rate,
        })
    }
}

/// One direction of a simulated network. `T` is a packet with whatever belongs to it.
///
/// ```text
/// handle_packet --> [ lost? ] --> queue, ordered by the time of arrival --> poll
/// ```
#[derive(Debug)]
pub struct Link<T> {
    impairment: Impairment,
    /// Loss and delay draw from generators of their own: changing one does not shift the other.
    loss_rng: Rng,
    delay_rng: Rng,
    /// The bad state of the loss model.
    losing: bool,
    queue: BTreeMap<(Instant, u64), Held<T>>,
    /// Latest time of arrival given out so far: the barrier that keeps the order.
    last_due: Option<Instant>,
    handled: u64,
    lost: u64,
    delivered: u64,
    delay_sum: Duration,
    jitter: Jitter,
}

#[derive(Debug)]
struct Held<T> {
    packet: T,
    stamp: Option<Stamp>,
    entered: Instant,
}

impl<T> Link<T> {
    pub fn new(impairment: Impairment) -> Self {
        let (loss_rng, delay_rng) = generators(impairment.seed);
        Self {
            impairment,
            loss_rng,
            delay_rng,
            losing: false,
            queue: BTreeMap::new(),
            last_due: None,
            handled: 0,
            lost: 0,
            delivered: 0,
            delay_sum: Duration::ZERO,
            jitter: Jitter::default(),
        }
    }

    pub fn impairment(&self) -> Impairment {
        self.impairment
    }

    /// Changes what the network does to packets that are yet to come; those on their way keep their time of arrival.
    pub fn set_impairment(&mut self, impairment: Impairment) {
        if impairment.seed != self.impairment.seed {
            (self.loss_rng, self.delay_rng) = generators(impairment.seed);
        }
        self.impairment = impairment;
    }

    /// Takes a packet in. `stamp` is given for RTP packets whose jitter shall count: not for RTCP, and not for
    /// telephone events, whose timestamp stands still.
    pub fn handle_packet(&mut self, now: Instant, packet: T, stamp: Option<Stamp>) {
        self.handled += 1;
        let hold =
            self.impairment.delay.min(MAX_HOLD) + self.impairment.jitter.min(MAX_HOLD).mul_f64(self.delay_rng.unit());
        if self.draw_loss() || self.queue.len() >= QUEUE {
            self.lost += 1;
            return;
        }
        let mut due = now + hold.min(MAX_HOLD);
        if !self.impairment.reorder {
            due = self.last_due.map_or(due, |last| due.max(last));
        }
        self.last_due = Some(self.last_due.map_or(due, |last| last.max(due)));
        self.queue.insert((due, self.handled), Held { packet, stamp, entered: now });
    }

    /// Gives out the next packet that has arrived by `now`, with its time of arrival.
    pub fn poll(&mut self, now: Instant) -> Option<(Instant, T)> {
        let entry = self.queue.first_entry().filter(|entry| entry.key().0 <= now)?;
        let ((due, _), held) = entry.remove_entry();
        self.delivered += 1;
        self.delay_sum += due - held.entered;
        if let Some(stamp) = held.stamp {
            self.jitter.add(due, stamp);
        }
        Some((due, held.packet))
    }

    /// When the next packet arrives.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.queue.first_key_value().map(|((due, _), _)| *due)
    }

    /// What was done so far; packets still on their way count as handed in, and not yet in jitter and delay.
    pub fn truth(&self) -> Truth {
        Truth {
            packets: self.handled,
            lost: self.lost,
            jitter: self.jitter.milliseconds(),
            delay: if self.delivered == 0 { 0.0 } else { self.delay_sum.as_secs_f64() * 1e3 / self.delivered as f64 },
        }
    }

    /// One step of the loss model. Every packet draws once, so that the same seed loses the same packets whatever the
    /// delay is.
    fn draw_loss(&mut self) -> bool {
        let Impairment { loss, burst, .. } = self.impairment;
        let draw = self.loss_rng.unit();
        // Independent losses come in runs of 1 / (1 - loss) anyway.
        self.losing = if !(loss > 0.0 && loss < 1.0) || burst * (1.0 - loss) <= 1.0 {
            draw < loss
        } else {
            let recover = 1.0 / burst;
            if self.losing { draw >= recover } else { draw < recover * loss / (1.0 - loss) }
        };
        self.losing
    }
}

fn generators(seed: u64) -> (Rng, Rng) {
    let mut rng = Rng::from_u64(seed);
    (rng.fork(), rng.fork())
}

/// The estimator of RFC 3550 A.8, in seconds; it starts anew with another source.
#[derive(Debug, Default)]
struct Jitter {
    last: Option<(Instant, Stamp)>,
    value: f64,
}

impl Jitter {
    fn add(&mut self, arrival: Instant, stamp: Stamp) {
        match self.last {
            Some((at, last)) if last.ssrc == stamp.ssrc && last.clock_rate == stamp.clock_rate => {
                // Packets are given out in the order of their arrival: `arrival` is never before `at`.
                let apart = f64::from(stamp.timestamp.wrapping_sub(last.timestamp).cast_signed());
                let step = (arrival - at).as_secs_f64() - apart / f64::from(stamp.clock_rate);
                self.value += (step.abs() - self.value) / 16.0;
            }
            Some(_) | None => self.value = 0.0,
        }
        self.last = Some((arrival, stamp));
    }

    fn milliseconds(&self) -> f64 {
        self.value * 1e3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PTIME: Duration = Duration::from_millis(20);

    /// Sends `count` packets 20 ms apart; what arrived, as (index, time since its sending).
    fn run(impairment: Impairment, count: u32) -> (Vec<(u32, Duration)>, Truth) {
        let (t0, mut link, mut out) = (Instant::now(), Link::new(impairment), Vec::new());
        for index in 0..count {
            // Close to the wrap of the timestamp.
            let timestamp = (u32::MAX - 1000).wrapping_add(index.wrapping_mul(160));
            let stamp = Stamp { ssrc: 1, timestamp, clock_rate: 8000 };
            let now = t0 + PTIME * index;
            while let Some((due, index)) = link.poll(now) {
                out.push((index, due - (t0 + PTIME * index)));
            }
            link.handle_packet(now, index, Some(stamp));
        }
        while let Some(at) = link.poll_timeout() {
            let (due, index) = link.poll(at).expect("a packet is due when it was said to be");
            out.push((index, due - (t0 + PTIME * index)));
        }
        let truth = link.truth();
        (out, truth)
    }

    #[test]
    fn loss_and_the_length_of_its_runs_are_as_asked() {
        // loss, burst -> share of losses, mean run; all of 200,000 packets
        let rows = [
            (0.0, 0.0, 0.0, 0.0),
            (1.0, 3.0, 1.0, 200_000.0),
            (f64::NAN, 1.0, 0.0, 0.0),
            (0.05, 0.0, 0.05, 1.0 / 0.95),
            (0.2, 1.0, 0.2, 1.0 / 0.8),
            (0.1, 3.0, 0.1, 3.0),
            (0.3, 10.0, 0.3, 10.0),
        ];
        for (loss, burst, share, run_length) in rows {
            let count = 200_000_u32;
            let (out, truth) = run(Impairment { loss, burst, seed: 7, ..Impairment::default() }, count);
            assert_eq!(truth.packets - truth.lost, out.len() as u64);
            assert!((truth.lost as f64 / f64::from(count) - share).abs() < 0.01, "{loss} {burst}: {truth:?}");
            let mut arrived = vec![false; count as usize];
            out.iter().for_each(|(index, _)| arrived[*index as usize] = true);
            let runs: Vec<usize> = arrived.chunk_by(|a, b| a == b).filter(|r| !r[0]).map(<[bool]>::len).collect();
            let mean = if runs.is_empty() { 0.0 } else { truth.lost as f64 / runs.len() as f64 };
            assert!((mean - run_length).abs() <= run_length * 0.05, "{loss} {burst}: mean run {mean}");
        }
    }

    #[test]
    fn jitter_delays_within_its_range_and_keeps_the_order() {
        let (delay, jitter) = (Duration::from_millis(60), Duration::from_millis(50));
        let (out, truth) = run(Impairment { delay, jitter, seed: 1, ..Impairment::default() }, 5_000);
        assert!(out.is_sorted_by_key(|(index, _)| *index));
        assert!(out.iter().all(|(_, held)| (delay..=delay + jitter).contains(held)));
        let mean = out.iter().map(|(_, held)| held.as_secs_f64()).sum::<f64>() * 1e3 / out.len() as f64;
        assert!((truth.delay - mean).abs() < 1e-6);
        assert!(mean > 85.0);
        let (out, _) = run(Impairment { delay, jitter, reorder: true, seed: 1, ..Impairment::default() }, 5_000);
        assert!(!out.is_sorted_by_key(|(index, _)| *index));
        assert!(out.iter().all(|(_, held)| (delay..=delay + jitter).contains(held)));
    }

    #[test]
    fn true_jitter_is_that_of_rfc_3550() {
        let (out, truth) = run(Impairment { jitter: Duration::from_millis(15), seed: 3, ..Impairment::default() }, 500);
        let mut expected = 0.0_f64;
        for pair in out.windows(2) {
            let transit = pair[1].1.as_secs_f64() - pair[0].1.as_secs_f64();
            expected += ((transit * 1e3).abs() - expected) / 16.0;
        }
        assert!((truth.jitter - expected).abs() < 1e-6, "{} {expected}", truth.jitter);
        assert!(truth.jitter > 2.0);
        assert_eq!(run(Impairment { delay: PTIME, ..Impairment::default() }, 500).1.jitter, 0.0);
    }

    #[test]
    fn another_source_begins_a_jitter_of_its_own() {
        let (t0, mut link) = (Instant::now(), Link::new(Impairment::default()));
        for (index, ssrc) in [(0, 1), (1, 1), (2, 2), (3, 2)] {
            let now = t0 + PTIME * index;
            // The second source's timestamps begin anywhere.
            link.handle_packet(
                now,
                (),
                Some(Stamp { ssrc, timestamp: index * 160 + ssrc * 1_000_000, clock_rate: 8000 }),
            );
            link.poll(now);
        }
        assert_eq!(link.truth().jitter, 0.0);
    }

    #[test]
    fn the_same_seed_loses_the_same_packets_whatever_the_delay() {
        let indices = |impairment| run(impairment, 2_000).0.into_iter().map(|(i, _)| i).collect::<Vec<_>>();
        let loss = Impairment { loss: 0.2, burst: 2.0, seed: 9, ..Impairment::default() };
        assert_eq!(indices(loss), indices(Impairment { jitter: Duration::from_millis(90), ..loss }));
        assert_ne!(indices(loss), indices(Impairment { seed: 10, ..loss }));
    }

    #[test]
    fn a_change_acts_on_what_is_yet_to_come_and_nothing_overtakes() {
        let (t0, ms) = (Instant::now(), Duration::from_millis);
        let mut link = Link::new(Impairment { delay: ms(100), ..Impairment::default() });
        link.handle_packet(t0, 'a', None);
        link.set_impairment(Impairment::default());
        link.handle_packet(t0 + ms(10), 'b', None);
        assert_eq!(link.poll(t0 + ms(99)), None);
        assert_eq!(link.poll(t0 + ms(100)), Some((t0 + ms(100), 'a')));
        assert_eq!(link.poll(t0 + ms(100)), Some((t0 + ms(100), 'b')));
        link.handle_packet(t0 + ms(200), 'c', None);
        assert_eq!(link.poll_timeout(), Some(t0 + ms(200)));
    }

    #[test]
    fn absurd_figures_neither_panic_nor_grow() {
        let mut link = Link::new(Impairment { delay: Duration::MAX, jitter: Duration::MAX, ..Impairment::default() });
        let t0 = Instant::now();
        (0..10_000).for_each(|n| link.handle_packet(t0, n, None));
        assert_eq!(link.truth().lost, 10_000 - QUEUE as u64);
        assert!(link.poll_timeout().is_some_and(|at| at <= t0 + MAX_HOLD));
    }

    #[test]
    fn only_rtp_has_a_stamp() {
        let rtp = [0x80, 0, 0, 1, 0, 0, 0, 160, 0, 0, 0, 7, 0xff];
        let mut rtcp = rtp;
        rtcp[1] = 200;
        let mut stun = rtp;
        stun[0] = 0;
        let rows: [(&[u8], u32, Option<Stamp>); 5] = [
            (&rtp[..11], 8000, None),
            (&rtcp, 8000, None),
            (&stun, 8000, None),
            (&rtp, 0, None),
            (&rtp, 8000, Some(Stamp { ssrc: 7, timestamp: 160, clock_rate: 8000 })),
        ];
        for (packet, clock_rate, stamp) in rows {
            assert_eq!(Stamp::of_rtp(packet, clock_rate), stamp, "{packet:?}");
        }
    }
}
