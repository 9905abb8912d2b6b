//! What arrives on one stream: the source that is heard, its jitter, loss and extended numbers
//! (RFC 3550 §6.4.1, §8.2, A.1, A.3, A.8; RFC 7160 for a changing clock rate).
use crate::media::rtp::loss::{Arrivals, Place};
use crate::media::rtp::packet::{Header, Packet, Ssrc};
use crate::media::rtp::seq::{Sequence, Verdict};
use std::time::{Duration, Instant};

/// A source that was replaced may come back only after the one that is heard was silent for so long: packets of an old
/// leg that are still under way must not make the sound jump back.
const SOURCE_IDLE: Duration = Duration::from_millis(200);

/// The extended time stamp starts one wrap up, so that a packet from before the first one has one too.
const WRAP: u64 = 1 << 32;

/// A packet that is to be played, with numbers that do not wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted<'a> {
    pub sequence: u64,
    pub timestamp: u64,
    pub arrived: Instant,
    pub header: Header,
    pub payload: &'a [u8],
}

/// A difference of transit times beyond this is a sender that set its clock, as servers do between early media and the
/// answer; no network made it, and the estimate goes on from there \[s\].
const CLOCK_JUMP: f64 = 2.0;

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reception {
    /// Of the source that is heard.
    Heard,
    /// The first packet that proves a new source, or the restart of the old one: what was played so far has no
    /// continuation. The packet that began the proof is at [`Receiver::held`].
    Began,
    Duplicate,
    /// Not proven yet, or a stray number; kept in case the next packet proves it.
    Unproven,
    /// Of a source that was replaced.
    Stale,
}

/// Reception figures of a report block (RFC 3550 §6.4.1), without the times of the last sender report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceptionFigures {
    pub ssrc: Ssrc,
    /// In 1/256.
    pub fraction_lost: u8,
    pub cumulative_lost: i32,
    pub extended_highest: u32,
    /// In units of the RTP clock.
    pub jitter: u32,
}

/// One source that sends to us.
#[derive(Clone, Debug)]
struct Source {
    ssrc: Ssrc,
    sequence: Sequence,
    arrivals: Arrivals,
    /// Highest extended time stamp.
    timestamp: u64,
    transit: Option<Transit>,
    /// Interarrival jitter \[s\], independent of the clock rate (RFC 7160 §4.2).
    jitter: Option<f64>,
    clock_rate: u32,
    last_arrival: Instant,
    /// Packets since the last report block.
    since_report: u64,
}

/// The packet that A.8 compares the next one with.
#[derive(Clone, Copy, Debug)]
struct Transit {
    arrived: Instant,
    timestamp: u32,
    clock_rate: u32,
}

impl Source {
    fn new(header: &Header, arrived: Instant) -> Self {
        Self {
            ssrc: header.ssrc,
            sequence: Sequence::new(header.sequence),
            arrivals: Arrivals::default(),
            timestamp: WRAP + u64::from(header.timestamp),
            transit: None,
            jitter: None,
            clock_rate: 0,
            last_arrival: arrived,
            since_report: 0,
        }
    }

    fn extend(&mut self, timestamp: u32) -> u64 {
        let step = timestamp.wrapping_sub(self.timestamp as u32).cast_signed();
        let extended = self.timestamp.saturating_add_signed(i64::from(step));
        self.timestamp = self.timestamp.max(extended);
        extended
    }

    /// A.8, in seconds. A change of the clock rate begins a new comparison and keeps the estimate.
    fn measure(&mut self, timestamp: u32, arrived: Instant, clock_rate: u32) {
        let now = Transit { arrived, timestamp, clock_rate };
        self.clock_rate = clock_rate;
        let Some(before) = self.transit.replace(now).filter(|before| before.clock_rate == clock_rate) else {
            return;
        };
        let between = if arrived >= before.arrived {
            (arrived - before.arrived).as_secs_f64()
        } else {
            -(before.arrived - arrived).as_secs_f64()
        };
        let sampled = f64::from(timestamp.wrapping_sub(before.timestamp).cast_signed()) / f64::from(clock_rate);
        if (between - sampled).abs() > CLOCK_JUMP {
            return;
        }
        let jitter = self.jitter.unwrap_or(0.0);
        self.jitter = Some(jitter + ((between - sampled).abs() - jitter) / 16.0);
    }
}

/// The packet that may turn out to be the first of a source.
#[derive(Clone, Debug)]
struct Held {
    header: Header,
    arrived: Instant,
    payload: Vec<u8>,
}

/// Everything received on one stream, over all its sources.
#[derive(Clone, Debug, Default)]
pub struct Receiver {
    active: Option<Source>,
    candidate: Option<Source>,
    /// The source that `active` replaced.
    former: Option<Ssrc>,
    held: Option<Held>,
    /// Whether `held` precedes the packet given last.
    held_precedes: bool,
    /// Of sources and runs that are over.
    past_expected: u64,
    past_received: u64,
    runs: Vec<u32>,
    packets: u64,
    octets: u64,
    duplicates: u64,
    reordered: u64,
    changes: u32,
    /// Reception was paused; the next packet tells where the source stands.
    resumed: bool,
}

impl Receiver {
    /// Packets are wanted again after a pause. Those the source sent elsewhere meanwhile (to hold music, to another leg)
    /// are not lost.
    pub fn resume(&mut self) {
        self.resumed = self.active.is_some();
    }

    /// Takes a packet that passed the path's latch.
    ///
    /// - `arrived`: the kernel's time of arrival.
    /// - `clock_rate`: of its payload type \[Hz\]; `None` when its time stamp says nothing about when it was sent
    ///   (telephone events) or the payload type is unknown.
    pub fn receive<'a>(
        &mut self,
        packet: &Packet<'a>,
        arrived: Instant,
        clock_rate: Option<u32>,
    ) -> (Reception, Option<Accepted<'a>>) {
        let header = &packet.header;
        self.held_precedes = false;
        let verdict = match self.active.as_mut().filter(|source| source.ssrc == header.ssrc) {
            Some(active) => {
                let (expected, received) = (active.sequence.expected(), active.sequence.received());
                let verdict = if std::mem::take(&mut self.resumed) {
                    active.sequence.resume(header.sequence)
                } else {
                    active.sequence.update(header.sequence)
                };
                if matches!(verdict, Verdict::Started(_)) {
                    self.past_expected += expected;
                    self.past_received += received;
                    self.runs.append(&mut active.arrivals.take_runs());
                    active.arrivals = Arrivals::default();
                    active.timestamp = WRAP + u64::from(header.timestamp);
                    active.transit = None;
                }
                verdict
            }
            None => {
                if self.is_stale(header.ssrc, arrived) {
                    return (Reception::Stale, None);
                }
                let candidate = match self.candidate.as_mut().filter(|source| source.ssrc == header.ssrc) {
                    Some(candidate) => candidate,
                    None => self.candidate.insert(Source::new(header, arrived)),
                };
                let verdict = candidate.sequence.update(header.sequence);
                if candidate.sequence.is_proven() {
                    candidate.timestamp = WRAP + u64::from(header.timestamp);
                    self.replace_source();
                }
                verdict
            }
        };
        match verdict {
            Verdict::Probation | Verdict::Jump => {
                self.hold(packet, arrived);
                (Reception::Unproven, None)
            }
            Verdict::Started(number) => self.accept(packet, arrived, clock_rate, number, true),
            Verdict::Ahead(number) | Verdict::Behind(number) => self.accept(packet, arrived, clock_rate, number, false),
        }
    }

    fn accept<'a>(
        &mut self,
        packet: &Packet<'a>,
        arrived: Instant,
        clock_rate: Option<u32>,
        sequence: u64,
        began: bool,
    ) -> (Reception, Option<Accepted<'a>>) {
        let (header, payload) = (packet.header, packet.payload);
        let Some(source) = self.active.as_mut() else {
            return (Reception::Unproven, None);
        };
        source.last_arrival = arrived;
        source.since_report += 1;
        let timestamp = source.extend(header.timestamp);
        if let Some(rate) = clock_rate.filter(|rate| *rate > 0) {
            source.measure(header.timestamp, arrived, rate);
        }
        self.packets += 1;
        self.octets += payload.len() as u64;
        match source.arrivals.record(sequence) {
            Place::Duplicate => {
                self.duplicates += 1;
                return (Reception::Duplicate, None);
            }
            Place::Reordered => self.reordered += 1,
            Place::InOrder => {}
        }
        self.held_precedes = began
            && self.held.as_ref().is_some_and(|held| {
                held.header.ssrc == header.ssrc && held.header.sequence.wrapping_add(1) == header.sequence
            });
        let reception = if began { Reception::Began } else { Reception::Heard };
        (reception, Some(Accepted { sequence, timestamp, arrived, header, payload }))
    }

    fn is_stale(&self, ssrc: Ssrc, arrived: Instant) -> bool {
        self.former == Some(ssrc)
            && self
                .active
                .as_ref()
                .is_some_and(|active| arrived.saturating_duration_since(active.last_arrival) < SOURCE_IDLE)
    }

    fn replace_source(&mut self) {
        let Some(candidate) = self.candidate.take() else { return };
        self.resumed = false;
        if let Some(mut old) = self.active.replace(candidate) {
            self.past_expected += old.sequence.expected();
            self.past_received += old.sequence.received();
            self.runs.append(&mut old.arrivals.take_runs());
            self.former = Some(old.ssrc);
            self.changes = self.changes.saturating_add(1);
        }
    }

    fn hold(&mut self, packet: &Packet<'_>, arrived: Instant) {
        let mut payload = self.held.take().map(|held| held.payload).unwrap_or_default();
        payload.clear();
        payload.extend_from_slice(packet.payload);
        self.held = Some(Held { header: packet.header, arrived, payload });
    }

    /// After [`Reception::Began`]: the packet before, which was kept until it was proven. It counts in no figure, as A.1
    /// has it, but it can be played.
    ///
    /// - `next`: the packet that proved it.
    pub fn held(&self, next: &Accepted<'_>) -> Option<Accepted<'_>> {
        let held = self.held.as_ref().filter(|_| self.held_precedes)?;
        let step = next.header.timestamp.wrapping_sub(held.header.timestamp).cast_signed();
        Some(Accepted {
            sequence: next.sequence.checked_sub(1)?,
            timestamp: next.timestamp.saturating_add_signed(-i64::from(step)),
            arrived: held.arrived,
            header: held.header,
            payload: &held.payload,
        })
    }

    /// The source that is heard.
    pub fn ssrc(&self) -> Option<Ssrc> {
        self.active.as_ref().map(|source| source.ssrc)
    }

    /// The figures for a report block on the source that is heard, if it sent anything since the last one.
    pub fn report(&mut self) -> Option<ReceptionFigures> {
        let source = self.active.as_mut().filter(|source| source.since_report > 0)?;
        source.since_report = 0;
        let lost = source.sequence.expected().cast_signed() - source.sequence.received().cast_signed();
        Some(ReceptionFigures {
            ssrc: source.ssrc,
            fraction_lost: source.sequence.fraction_lost(),
            cumulative_lost: lost.clamp(-0x80_0000, 0x7f_ffff) as i32,
            extended_highest: source.sequence.extended_highest(),
            jitter: (source.jitter.unwrap_or(0.0) * f64::from(source.clock_rate)) as u32,
        })
    }

    /// Interarrival jitter of the source that is heard; `None` before two packets.
    pub fn jitter(&self) -> Option<Duration> {
        let seconds = self.active.as_ref()?.jitter?;
        Duration::try_from_secs_f64(seconds).ok()
    }

    /// Packets that arrived, duplicates included.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// Payload octets that arrived.
    pub fn octets(&self) -> u64 {
        self.octets
    }

    /// Packets expected over all sources (A.3).
    pub fn expected(&self) -> u64 {
        self.past_expected + self.active.as_ref().map_or(0, |source| source.sequence.expected())
    }

    /// Expected less received over all sources: negative when duplicates outnumber losses.
    pub fn lost(&self) -> i64 {
        let received = self.past_received + self.active.as_ref().map_or(0, |source| source.sequence.received());
        self.expected().cast_signed() - received.cast_signed()
    }

    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    pub fn reordered(&self) -> u64 {
        self.reordered
    }

    pub fn ssrc_changes(&self) -> u32 {
        self.changes
    }

    /// Takes the runs of loss that ended since the last call.
    pub fn take_loss_runs(&mut self) -> Vec<u32> {
        let mut runs = std::mem::take(&mut self.runs);
        if let Some(source) = &mut self.active {
            runs.append(&mut source.arrivals.take_runs());
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(ssrc: u32, sequence: u16, timestamp: u32) -> Packet<'static> {
        Packet {
            header: Header { marker: false, payload_type: 0, sequence, timestamp, ssrc: Ssrc(ssrc) },
            extension: None,
            payload: &[0xff; 160],
        }
    }

    struct Bench {
        receiver: Receiver,
        t0: Instant,
    }

    impl Bench {
        fn new() -> Self {
            Self { receiver: Receiver::default(), t0: Instant::now() }
        }

        /// Gives packet `number` of a 20 ms stream at `at` \[ms\].
        fn give(&mut self, ssrc: u32, number: u16, at: u64) -> Reception {
            let packet = packet(ssrc, number, u32::from(number).wrapping_mul(160));
            self.receiver.receive(&packet, self.t0 + Duration::from_millis(at), Some(8000)).0
        }
    }

    #[test]
    fn jitter_is_that_of_a8() {
        // Transit differences D [ms] of successive packets, and the estimate after each by J += (|D| - J) / 16.
        let mut bench = Bench::new();
        let arrivals = [0, 20, 40, 76, 80, 100, 132, 140];
        let mut expected = 0.0_f64;
        for (n, pair) in arrivals.windows(2).enumerate() {
            bench.give(7, n as u16, pair[0]);
            if n >= 2 {
                let d = (pair[0] as f64 - arrivals[n - 1] as f64 - 20.0).abs() / 1000.0;
                expected += (d - expected) / 16.0;
                let measured = bench.receiver.jitter().expect("two packets").as_secs_f64();
                assert!((measured - expected).abs() < 1e-9, "packet {n}: {measured} {expected}");
            }
        }
        let figures = bench.receiver.report().expect("packets arrived");
        assert_eq!(figures.jitter, (expected * 8000.0) as u32);
        assert!(figures.jitter > 0);
    }

    #[test]
    fn a_new_clock_rate_does_not_disturb_jitter() {
        let (mut receiver, t0) = (Receiver::default(), Instant::now());
        for n in 0..50_u16 {
            let (rate, units) = if n < 25 { (8000, 160) } else { (48_000, 960) };
            let packet = packet(1, n, 1_000_000 + u32::from(n) * units);
            receiver.receive(&packet, t0 + Duration::from_millis(20) * u32::from(n), Some(rate));
        }
        assert!(receiver.jitter().expect("measured") < Duration::from_micros(1));
    }

    #[test]
    fn a_sender_that_sets_its_clock_does_not_disturb_jitter() {
        let mut bench = Bench::new();
        let t0 = bench.t0;
        for n in 0..40_u16 {
            let jump = if n < 20 { 0 } else { 0x4000_0000 };
            let packet = packet(1, n, u32::from(n) * 160 + jump);
            let _ = bench.receiver.receive(&packet, t0 + Duration::from_millis(u64::from(n) * 20), Some(8000));
        }
        assert_eq!(bench.receiver.jitter(), Some(Duration::ZERO));
    }

    #[test]
    fn telephone_events_do_not_disturb_jitter() {
        let (mut receiver, t0) = (Receiver::default(), Instant::now());
        for n in 0..50_u16 {
            let event = (20..30).contains(&n);
            let packet = packet(1, n, if event { 20 * 160 } else { u32::from(n) * 160 });
            let rate = (!event).then_some(8000);
            receiver.receive(&packet, t0 + Duration::from_millis(20) * u32::from(n), rate);
        }
        assert!(receiver.jitter().expect("measured") < Duration::from_micros(1));
    }

    #[test]
    fn the_first_packet_is_kept_until_the_second_proves_it() {
        let (mut receiver, t0) = (Receiver::default(), Instant::now());
        let (first, second) = (packet(1, 65535, u32::MAX - 159), packet(1, 0, 0));
        assert_eq!(receiver.receive(&first, t0, Some(8000)), (Reception::Unproven, None));
        let (reception, accepted) = receiver.receive(&second, t0 + Duration::from_millis(20), Some(8000));
        assert_eq!(reception, Reception::Began);
        let accepted = accepted.expect("heard");
        let held = receiver.held(&accepted).expect("kept");
        assert_eq!((held.sequence + 1, held.timestamp + 160), (accepted.sequence, accepted.timestamp));
        assert_eq!((held.arrived, held.payload), (t0, first.payload));
        assert_eq!((receiver.packets(), receiver.expected(), receiver.lost()), (1, 1, 0));
    }

    #[test]
    fn loss_duplicates_and_reordering_are_counted_apart() {
        let mut bench = Bench::new();
        for (at, number) in [0, 1, 2, 4, 3, 5, 5, 8, 9].into_iter().enumerate() {
            bench.give(7, number, at as u64 * 20);
        }
        let receiver = &mut bench.receiver;
        assert_eq!((receiver.packets(), receiver.expected()), (8, 9));
        assert_eq!((receiver.lost(), receiver.duplicates(), receiver.reordered()), (1, 1, 1));
        let figures = receiver.report().expect("packets arrived");
        assert_eq!((figures.ssrc, figures.cumulative_lost, figures.fraction_lost), (Ssrc(7), 1, (256 / 9) as u8));
        assert_eq!(receiver.report(), None, "nothing arrived since");
    }

    #[test]
    fn a_new_source_replaces_the_old_one_and_stragglers_do_not_bring_it_back() {
        let mut bench = Bench::new();
        let rows = [
            (1, 10, 0, Reception::Unproven),
            (1, 11, 20, Reception::Began),
            (1, 12, 40, Reception::Heard),
            (2, 900, 50, Reception::Unproven),
            (1, 13, 60, Reception::Heard),
            (2, 902, 70, Reception::Unproven),
            (2, 903, 90, Reception::Began),
            (1, 14, 95, Reception::Stale),
            (1, 15, 100, Reception::Stale),
            (2, 904, 110, Reception::Heard),
            // Silence of the new one lets the old one come back.
            (1, 30, 400, Reception::Unproven),
            (1, 31, 420, Reception::Began),
        ];
        for (ssrc, number, at, reception) in rows {
            assert_eq!(bench.give(ssrc, number, at), reception, "ssrc {ssrc} number {number}");
        }
        assert_eq!(bench.receiver.ssrc_changes(), 2);
        // 11, 12, 13 of the first, 903 and 904 of the second, 31 of the first again: no loss between sources.
        assert_eq!((bench.receiver.packets(), bench.receiver.expected(), bench.receiver.lost()), (6, 6, 0));
    }

    #[test]
    fn what_was_sent_elsewhere_during_a_pause_is_no_loss() {
        for (pauses, lost) in [(true, 0), (false, 40)] {
            let mut bench = Bench::new();
            (10..20).for_each(|n| _ = bench.give(1, n, u64::from(n) * 20));
            if pauses {
                bench.receiver.resume();
            }
            (60..70).for_each(|n| _ = bench.give(1, n, u64::from(n) * 20));
            assert_eq!(bench.receiver.lost(), lost, "pause: {pauses}");
        }
    }

    #[test]
    fn a_restart_of_the_same_source_is_no_loss() {
        let mut bench = Bench::new();
        for (at, number) in [1, 2, 3, 20_000, 20_001, 20_002].into_iter().enumerate() {
            let reception = bench.give(7, number, at as u64 * 20);
            assert_eq!(reception == Reception::Began, number == 2 || number == 20_001, "{number}");
        }
        assert_eq!((bench.receiver.expected(), bench.receiver.lost()), (4, 0));
    }

    proptest! {
        #[test]
        fn no_packet_panics(packets in proptest::collection::vec((0_u32..3, any::<u16>(), any::<u32>(), 0_u64..100), 0..200)) {
            let mut bench = Bench::new();
            for (ssrc, number, timestamp, at) in packets {
                let packet = packet(ssrc, number, timestamp);
                let arrived = bench.t0 + Duration::from_millis(at);
                let (reception, accepted) = bench.receiver.receive(&packet, arrived, Some(8000));
                prop_assert_eq!(matches!(reception, Reception::Heard | Reception::Began), accepted.is_some());
                if let Some(accepted) = accepted {
                    bench.receiver.held(&accepted);
                }
                bench.receiver.report();
            }
            bench.receiver.take_loss_runs();
        }
    }
}
