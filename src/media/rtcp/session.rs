//! One stream's RTCP: what we report, what the peer reports on us, the round-trip time between
//! (RFC 3550 §6.4, §6.5, §6.6).
use crate::base::rng::Rng;
use crate::base::time::{WallAnchor, from_ntp_short, to_ntp_short};
use crate::base::untrusted::Untrusted;
use crate::media::error::MediaError;
use crate::media::rtcp::compound::{Item, Outgoing, ReportBlock, SenderInfo, Text};
use crate::media::rtcp::description::Rotation;
use crate::media::rtcp::schedule::Schedule;
use crate::media::rtp::packet::Ssrc;
use crate::media::rtp::receiver::ReceptionFigures;
use crate::media::rtp::sender::Sender;
use crate::media::spec::SourceDescription;
use crate::media::stats::{Participant, RemoteReport};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Our last sender reports, so that only an echo of one of them counts.
const REMEMBERED: usize = 8;

/// How far an echo may contradict causality by rounding before it is discarded.
const ROUNDING: Duration = Duration::from_millis(1);

/// What is known when a compound packet arrives.
#[derive(Clone, Copy, Debug)]
pub struct Context {
    pub now: Instant,
    /// The kernel's time of arrival.
    pub arrived: Instant,
    pub own: Ssrc,
    /// The source whose RTP is heard.
    pub source: Option<Ssrc>,
    /// Of what we send \[Hz\].
    pub clock_rate: u32,
    /// \[octets\]
    pub size: usize,
}

/// What a compound packet told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Learned {
    /// The source that is heard says goodbye.
    pub goodbye: Option<Untrusted>,
    /// A new report on what we send.
    pub reported: bool,
    /// Goodbyes in somebody else's name.
    pub forged: u64,
    /// Packets broken inside.
    pub broken: u64,
    /// Things asked for that we do not do.
    pub feedback: u64,
}

/// The sender report of the peer that ours will echo.
#[derive(Clone, Copy, Debug)]
struct LastReport {
    ssrc: Ssrc,
    middle: u32,
    arrived: Instant,
}

#[derive(Clone, Debug)]
pub struct Session {
    schedule: Schedule,
    rotation: Rotation,
    description: SourceDescription,
    sent: VecDeque<(u32, Instant)>,
    heard: Option<LastReport>,
    remote: Option<RemoteReport>,
    round_trip: Option<Duration>,
    participant: Participant,
    described: Option<Ssrc>,
    spoke: bool,
}

impl Session {
    /// - `bandwidth`, `reduced_minimum`: as [`Schedule::new`] takes them.
    pub fn new(
        now: Instant,
        bandwidth: u32,
        reduced_minimum: bool,
        description: SourceDescription,
        rng: &mut Rng,
    ) -> Self {
        Self {
            rotation: Rotation::new(rng),
            schedule: Schedule::new(now, bandwidth, reduced_minimum, rng.fork()),
            description,
            sent: VecDeque::with_capacity(REMEMBERED),
            heard: None,
            remote: None,
            round_trip: None,
            participant: Participant::default(),
            described: None,
            spoke: false,
        }
    }

    /// The session was negotiated anew.
    pub fn configure(&mut self, now: Instant, bandwidth: u32, reduced_minimum: bool, description: &SourceDescription) {
        self.schedule.configure(now, bandwidth, reduced_minimum);
        self.description.clone_from(description);
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.schedule.poll_timeout()
    }

    /// True when a report is due: [`Session::write_report`] must follow.
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        self.schedule.handle_timeout(now)
    }

    pub fn heard_rtp(&mut self, now: Instant, ssrc: Ssrc) {
        self.schedule.heard_rtp(now, ssrc);
    }

    pub fn sent_rtp(&mut self, now: Instant) {
        self.spoke = true;
        self.schedule.sent_rtp(now);
    }

    /// Takes the items of a compound packet that passed the path's latch.
    pub fn handle(&mut self, items: &[Item<'_>], context: &Context) -> Learned {
        let mut learned = Learned::default();
        let mut reporter = None;
        self.schedule.received(context.size);
        for item in items {
            match item {
                Item::Report { reporter: ssrc, sender } => {
                    reporter.get_or_insert(*ssrc);
                    self.schedule.heard_rtcp(context.now, *ssrc);
                    if let Some(sender) = sender {
                        let (middle, arrived) = ((sender.ntp >> 16) as u32, context.arrived);
                        self.heard = Some(LastReport { ssrc: *ssrc, middle, arrived });
                    }
                }
                Item::Block { block, .. } if block.ssrc == context.own => {
                    self.handle_block(block, context);
                    learned.reported = true;
                }
                Item::Description { ssrc, text, value } if Some(*ssrc) == context.source.or(reporter) => {
                    self.describe(*ssrc, *text, value);
                }
                Item::Goodbye { ssrc, reason } => {
                    if Some(*ssrc) == context.source.or(reporter) {
                        learned.goodbye = Some(Untrusted::from_bytes(reason));
                        self.schedule.left(context.now, *ssrc);
                    } else if *ssrc == context.own || !self.schedule.left(context.now, *ssrc) {
                        learned.forged += 1;
                    }
                }
                Item::Broken => learned.broken += 1,
                Item::Feedback => learned.feedback += 1,
                // Reports on others, what others say of themselves, and packets of no use here.
                Item::Block { .. } | Item::Description { .. } | Item::Other { .. } => {}
            }
        }
        learned
    }

    fn handle_block(&mut self, block: &ReportBlock, context: &Context) {
        let ticks = f64::from(block.jitter) / f64::from(context.clock_rate.max(1));
        self.remote = Some(RemoteReport {
            at: context.arrived,
            fraction_lost: f64::from(block.fraction_lost) / 256.0,
            cumulative_lost: block.cumulative_lost,
            jitter: Duration::try_from_secs_f64(ticks).unwrap_or_default(),
            count: self.remote.map_or(0, |before| before.count).saturating_add(1),
        });
        if let Some((_, sent)) = self.sent.iter().find(|(middle, _)| *middle == block.last_report) {
            let answered = *sent + from_ntp_short(block.delay);
            if context.arrived + ROUNDING >= answered {
                self.round_trip = Some(context.arrived.saturating_duration_since(answered));
            }
        }
    }

    fn describe(&mut self, ssrc: Ssrc, text: Text, value: &[u8]) {
        if self.described != Some(ssrc) {
            self.described = Some(ssrc);
            self.participant = Participant::default();
        }
        let field = match text {
            Text::Cname => &mut self.participant.cname,
            Text::Name => &mut self.participant.name,
            Text::Email => &mut self.participant.email,
            Text::Phone => &mut self.participant.phone,
            Text::Location => &mut self.participant.location,
            Text::Tool => &mut self.participant.tool,
            Text::Note => &mut self.participant.note,
        };
        *field = Untrusted::from_bytes(value);
    }

    /// Writes the report that is due into `out`.
    ///
    /// - `figures`: on the source that is heard, if it sent anything since the last report.
    ///
    /// # Errors
    /// As [`Outgoing::write`].
    pub fn write_report(
        &mut self,
        now: Instant,
        anchor: &WallAnchor,
        sender: &Sender,
        figures: Option<ReceptionFigures>,
        out: &mut Vec<u8>,
    ) -> Result<(), MediaError> {
        let info = self.sender_info(now, anchor, sender);
        let block = figures.map(|figures| self.block(now, figures));
        let description = self.rotation.next(&self.description);
        let written = Outgoing { ssrc: sender.ssrc(), sender: info, block, description, goodbye: None }.write(out);
        self.finish(now, anchor, info.is_some(), out.len());
        written
    }

    /// Writes our goodbye into `out`; false if we never spoke and so have nothing to end (§6.3.7).
    ///
    /// # Errors
    /// As [`Outgoing::write`].
    pub fn write_goodbye(
        &mut self,
        now: Instant,
        anchor: &WallAnchor,
        sender: &Sender,
        figures: Option<ReceptionFigures>,
        reason: &str,
        out: &mut Vec<u8>,
    ) -> Result<bool, MediaError> {
        if !self.spoke {
            return Ok(false);
        }
        let info = self.sender_info(now, anchor, sender);
        let block = figures.map(|figures| self.block(now, figures));
        let description = vec![self.rotation.cname(&self.description)];
        let goodbye = Some(reason);
        Outgoing { ssrc: sender.ssrc(), sender: info, block, description, goodbye }.write(out)?;
        Ok(true)
    }

    fn sender_info(&self, now: Instant, anchor: &WallAnchor, sender: &Sender) -> Option<SenderInfo> {
        let (packets, octets) = sender.report_counts();
        (packets > 0 && self.schedule.is_sender(now)).then(|| SenderInfo {
            ntp: anchor.ntp(now),
            rtp: sender.timestamp_at(now),
            packets,
            octets,
        })
    }

    fn block(&self, now: Instant, figures: ReceptionFigures) -> ReportBlock {
        let (last_report, delay) = match self.heard.filter(|heard| heard.ssrc == figures.ssrc) {
            Some(heard) => (heard.middle, to_ntp_short(now.saturating_duration_since(heard.arrived))),
            None => (0, 0),
        };
        ReportBlock {
            ssrc: figures.ssrc,
            fraction_lost: figures.fraction_lost,
            cumulative_lost: figures.cumulative_lost,
            extended_highest: figures.extended_highest,
            jitter: figures.jitter,
            last_report,
            delay,
        }
    }

    fn finish(&mut self, now: Instant, anchor: &WallAnchor, is_sender_report: bool, size: usize) {
        self.spoke = true;
        self.schedule.sent(now, size);
        if is_sender_report {
            if self.sent.len() == REMEMBERED {
                self.sent.pop_front();
            }
            self.sent.push_back((anchor.ntp_middle(now), now));
        }
    }

    /// The peer's last report on what we send.
    pub fn remote(&self) -> Option<RemoteReport> {
        self.remote
    }

    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// What the source that is heard says of itself.
    pub fn participant(&self) -> &Participant {
        &self.participant
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::rtcp::compound::parse;
    use std::time::SystemTime;

    const PEER: Ssrc = Ssrc(7);

    struct Bench {
        session: Session,
        sender: Sender,
        anchor: WallAnchor,
        t0: Instant,
        out: Vec<u8>,
    }

    impl Bench {
        fn new() -> Self {
            let (t0, mut rng) = (Instant::now(), Rng::from_u64(1));
            let description = SourceDescription { cname: "me@here".into(), ..Default::default() };
            let session = Session::new(t0, 4000, false, description, &mut rng);
            let wall = SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456);
            let sender = Sender::new(&mut rng, 8000);
            Self { session, sender, anchor: WallAnchor::new(t0, wall), t0, out: Vec::new() }
        }

        fn at(&self, milliseconds: u64) -> Instant {
            self.t0 + Duration::from_millis(milliseconds)
        }

        /// Sends one packet and then a report `milliseconds` after the start.
        fn report(&mut self, milliseconds: u64, figures: Option<ReceptionFigures>) -> Vec<u8> {
            let now = self.at(milliseconds);
            self.sender.advance(now);
            self.sender.write(now, 0, 160, &[0; 160], &mut self.out).expect("valid");
            self.session.sent_rtp(now);
            self.session.write_report(now, &self.anchor, &self.sender, figures, &mut self.out).expect("fits");
            self.out.clone()
        }

        fn handle(&mut self, milliseconds: u64, items: &[Item<'_>]) -> Learned {
            let arrived = self.at(milliseconds);
            let (own, source) = (self.sender.ssrc(), Some(PEER));
            let context = Context { now: arrived, arrived, own, source, clock_rate: 8000, size: 100 };
            self.session.handle(items, &context)
        }

        fn block(&self, last_report: u32, delay: u32) -> Item<'static> {
            let ssrc = self.sender.ssrc();
            let block = ReportBlock {
                ssrc,
                fraction_lost: 64,
                cumulative_lost: -3,
                extended_highest: 9,
                jitter: 80,
                last_report,
                delay,
            };
            Item::Block { reporter: PEER, block }
        }
    }

    const FIGURES: ReceptionFigures =
        ReceptionFigures { ssrc: PEER, fraction_lost: 1, cumulative_lost: 2, extended_highest: 3, jitter: 4 };

    #[test]
    fn the_round_trip_is_the_time_since_our_report_less_what_the_peer_waited() {
        let mut bench = Bench::new();
        let first = bench.anchor.ntp_middle(bench.at(1000));
        bench.report(1000, None);
        let delay = to_ntp_short(Duration::from_millis(500));
        bench.handle(1560, &[bench.block(first, delay)]);
        assert_eq!(bench.session.round_trip(), Some(Duration::from_millis(60)));
        // An echo of nothing we sent, of no report at all, and one that answers before it was asked.
        bench.report(5000, None);
        let second = bench.anchor.ntp_middle(bench.at(5000));
        for (middle, delay) in [(first ^ 1, 0), (0, 0), (second, to_ntp_short(Duration::from_secs(60)))] {
            bench.handle(5100, &[bench.block(middle, delay)]);
            assert_eq!(bench.session.round_trip(), Some(Duration::from_millis(60)), "{middle} {delay}");
        }
        let remote = bench.session.remote().expect("reported");
        assert_eq!((remote.fraction_lost, remote.cumulative_lost, remote.count), (0.25, -3, 4));
        assert_eq!(remote.jitter, Duration::from_millis(10));
    }

    #[test]
    fn our_report_echoes_the_peers_with_the_time_since_it_arrived() {
        let mut bench = Bench::new();
        let sender = SenderInfo { ntp: 0x1111_2222_3333_4444, rtp: 0, packets: 0, octets: 0 };
        bench.handle(1000, &[Item::Report { reporter: PEER, sender: Some(sender) }]);
        let bytes = bench.report(1250, Some(FIGURES));
        let items = parse(&bytes).expect("valid");
        let own = bench.sender.ssrc();
        let [Item::Report { reporter, sender: Some(info) }, Item::Block { block, .. }, ..] = items[..] else {
            panic!("{items:?}");
        };
        assert_eq!((reporter, info.packets, info.octets), (own, 1, 160));
        assert_eq!(info.ntp, bench.anchor.ntp(bench.at(1250)));
        assert_eq!((block.ssrc, block.last_report, block.delay), (PEER, 0x2222_3333, 0x4000));
        assert_eq!((block.fraction_lost, block.cumulative_lost, block.jitter), (1, 2, 4));
        // A report on another source has nothing to echo.
        let bytes = bench.report(1300, Some(ReceptionFigures { ssrc: Ssrc(8), ..FIGURES }));
        let items = parse(&bytes).expect("valid");
        assert!(matches!(items[1], Item::Block { block, .. } if block.last_report == 0 && block.delay == 0));
    }

    #[test]
    fn who_sends_nothing_writes_receiver_reports_and_says_no_goodbye() {
        let mut bench = Bench::new();
        let (now, mut out) = (bench.at(1000), Vec::new());
        let goodbye = |bench: &mut Bench, out: &mut Vec<u8>| {
            bench.session.write_goodbye(now, &bench.anchor, &bench.sender, None, "bye", out).expect("fits")
        };
        assert!(!goodbye(&mut bench, &mut out));
        bench.session.write_report(now, &bench.anchor, &bench.sender, None, &mut out).expect("fits");
        let items = parse(&out).expect("valid");
        assert_eq!(items[0], Item::Report { reporter: bench.sender.ssrc(), sender: None });
        assert!(goodbye(&mut bench, &mut out));
        let items = parse(&out).expect("valid");
        assert_eq!(items.last(), Some(&Item::Goodbye { ssrc: bench.sender.ssrc(), reason: b"bye" }));
    }

    #[test]
    fn a_goodbye_counts_only_from_the_source_that_is_heard() {
        let mut bench = Bench::new();
        let own = bench.sender.ssrc();
        let report = Item::Report { reporter: PEER, sender: None };
        for stranger in [own, Ssrc(99)] {
            let learned = bench.handle(10, &[report, Item::Goodbye { ssrc: stranger, reason: b"" }]);
            assert_eq!((learned.goodbye, learned.forged), (None, 1), "{stranger:?}");
        }
        let learned = bench.handle(20, &[report, Item::Goodbye { ssrc: PEER, reason: b"done" }]);
        assert_eq!((learned.goodbye, learned.forged), (Some(Untrusted::new("done")), 0));
    }

    #[test]
    fn what_the_source_says_of_itself_is_kept_and_a_new_source_begins_anew() {
        let mut bench = Bench::new();
        let say = |ssrc, text, value| Item::Description { ssrc, text, value };
        bench.handle(
            10,
            &[
                say(PEER, Text::Cname, b"peer@there"),
                say(Ssrc(8), Text::Cname, b"somebody else"),
                say(PEER, Text::Tool, b"phone\xff"),
            ],
        );
        let participant = bench.session.participant();
        assert_eq!(participant.cname, Untrusted::new("peer@there"));
        assert_eq!(participant.tool, Untrusted::new("phone\u{fffd}"));
        let arrived = bench.at(20);
        let own = bench.sender.ssrc();
        let context = Context { now: arrived, arrived, own, source: Some(Ssrc(8)), clock_rate: 8000, size: 100 };
        bench.session.handle(&[say(Ssrc(8), Text::Cname, b"new")], &context);
        let participant = bench.session.participant();
        assert_eq!((&participant.cname, &participant.tool), (&Untrusted::new("new"), &Untrusted::default()));
    }
}
