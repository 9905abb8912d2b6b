//! Follows one call: turns a report a second into the figures that are shown, and into the story told at its end.
//!
//! What we hear is measured here; what they hear is what their RTCP reports say, with the age of the report. What was
//! not measured stays `None`: without a round-trip time there is no delay, and without a delay no rating.
use crate::media::spec::Codec;
use crate::media::stats::{DeviceReport, DeviceState, RemoteReport, SendStats, StreamReport};
use crate::qos::diagnosis::{Diagnosis, Facts, Finding};
use crate::qos::direction::{Direction, Measured};
use crate::qos::emodel::{self, Equipment};
use crate::qos::history::{Mean, TimeLine};
use crate::qos::interval::Window;
use crate::qos::snapshot::{CallQuality, DelayParts, Reading, Sound};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Our own figures are renewed every second.
const LOCAL_FRESH: Duration = Duration::from_millis(1500);
/// Their reports come every 5 s; an older one no longer describes the present.
const REMOTE_FRESH: Duration = Duration::from_secs(12);
/// The path's delay changes slowly: a round-trip time may be this old and still be used.
const ROUND_TRIP_FRESH: Duration = Duration::from_secs(30);

/// The quality of one call.
#[derive(Clone, Debug)]
pub struct CallMonitor {
    started: Instant,
    last: Instant,
    /// The first report: columns of the time lines are counted from here.
    first: Option<Instant>,
    sends: bool,
    receives: bool,
    /// Since when sound from them is expected without interruption.
    receives_since: Instant,
    /// When a packet was last seen to have arrived.
    heard: Option<Instant>,
    capture_trouble: Option<String>,
    playback_trouble: Option<String>,
    window: Window,
    /// What was sent by the last report, and when that was.
    sent: Option<(Instant, SendStats)>,
    remote_count: u32,
    rtcp_seen: bool,
    inbound: Direction,
    outbound: Direction,
    round_trip: Measured,
    round_trip_mean: Mean,
    round_trip_line: TimeLine,
    delay: DelayParts,
    delay_line: TimeLine,
    sound: Sound,
    diagnosis: Diagnosis,
    /// Seconds spent in each finding.
    tally: BTreeMap<Finding, u32>,
}

impl CallMonitor {
    /// - `now`: when media is expected to begin, both ways until told otherwise.
    pub fn new(now: Instant) -> Self {
        Self {
            started: now,
            last: now,
            first: None,
            sends: true,
            receives: true,
            receives_since: now,
            heard: None,
            capture_trouble: None,
            playback_trouble: None,
            window: Window::default(),
            sent: None,
            remote_count: 0,
            rtcp_seen: false,
            inbound: Direction::default(),
            outbound: Direction::default(),
            round_trip: Measured::default(),
            round_trip_mean: Mean::default(),
            round_trip_line: TimeLine::default(),
            delay: DelayParts::default(),
            delay_line: TimeLine::default(),
            sound: Sound::default(),
            diagnosis: Diagnosis::default(),
            tally: BTreeMap::new(),
        }
    }

    /// What offer and answer have agreed on, as seen from us.
    pub fn handle_direction(&mut self, now: Instant, sends: bool, receives: bool) {
        if receives && !self.receives {
            self.receives_since = now;
        }
        (self.sends, self.receives) = (sends, receives);
    }

    pub fn handle_devices(&mut self, devices: &DeviceReport) {
        let trouble = |state: &DeviceState| state.trouble.clone().filter(|_| !state.running);
        self.capture_trouble = trouble(&devices.capture);
        self.playback_trouble = trouble(&devices.playback);
    }

    /// Takes in the report of a second and judges the call anew.
    pub fn handle_report(&mut self, report: &StreamReport) -> CallQuality {
        let now = report.at;
        let first = *self.first.get_or_insert(now);
        // To the nearest second, so that an early report does not fall into its predecessor's column.
        let second = (now.saturating_duration_since(first) + Duration::from_millis(500)).as_secs();
        self.note_round_trip(report);
        self.note_inbound(report);
        let refused = self.note_outbound(report);
        let loss = self.window.last().map(|rates| rates.loss);
        self.inbound.draw(second, now, LOCAL_FRESH, loss);
        let loss = self.outbound.loss.fresh(now, REMOTE_FRESH);
        self.outbound.draw(second, now, REMOTE_FRESH, loss);
        let column = |value: Option<f64>| value.map(|v| v as f32);
        self.round_trip_line.record(second, column(self.round_trip.fresh(now, REMOTE_FRESH)));
        self.delay_line.record(second, column(self.delay.total));
        self.diagnosis.update(now, &self.facts(report, refused));
        *self.tally.entry(self.diagnosis.finding()).or_default() += 1;
        self.last = now;
        self.quality()
    }

    /// As it is by the last report.
    pub fn quality(&self) -> CallQuality {
        CallQuality {
            inbound: self.inbound.present(self.last),
            outbound: self.outbound.present(self.last),
            round_trip: self.round_trip.reading(self.last),
            delay: self.delay,
            round_trip_line: self.round_trip_line.to_vec(),
            delay_line: self.delay_line.to_vec(),
            diagnosis: self.diagnosis.sentence(),
            verdict: self.diagnosis.verdict(),
            fault: self.diagnosis.fault(),
            sound: self.sound,
        }
    }

    /// Over the whole call: means, loss in all, and where the time went.
    pub fn summary(&self) -> CallQuality {
        CallQuality {
            inbound: self.inbound.summary(self.last),
            outbound: self.outbound.summary(self.last),
            round_trip: self.round_trip_mean.value().map(|value| Reading { value, age: Duration::ZERO }),
            diagnosis: self.story(),
            ..self.quality()
        }
    }

    fn note_round_trip(&mut self, report: &StreamReport) {
        if let (Some(round_trip), Some(remote)) = (report.round_trip, report.remote)
            && remote.count != self.remote_count
        {
            self.round_trip.set(milliseconds(round_trip), remote.at);
            self.round_trip_mean.add(milliseconds(round_trip));
        }
    }

    fn note_inbound(&mut self, report: &StreamReport) {
        let (now, receive) = (report.at, &report.receive);
        if receive.packets > self.inbound.packets {
            self.heard = Some(now);
        }
        let heard = !receive.played.is_zero();
        self.sound = Sound {
            played: heard.then(|| milliseconds(receive.played)),
            concealed: heard.then(|| milliseconds(receive.concealed)),
            recovered: heard.then(|| milliseconds(receive.recovered)),
            late: receive.late,
            duplicates: receive.duplicates,
            reordered: receive.reordered,
            foreign: receive.foreign,
            feedback: receive.feedback,
            told_level: receive.told_level.map(|(level, voice)| (f64::from(level), voice)),
            malformed: receive.malformed,
            forged: receive.forged,
            replayed: receive.replayed,
        };
        self.inbound.packets = receive.packets;
        self.inbound.lost = receive.lost;
        self.inbound.loss_total =
            (receive.expected > 0).then(|| (100.0 * receive.lost as f64 / receive.expected as f64).clamp(0.0, 100.0));
        self.window.add(receive);
        let network = self.round_trip.fresh(now, ROUND_TRIP_FRESH).map(|round_trip| round_trip / 2.0);
        self.delay = DelayParts {
            total: None,
            network,
            buffer: receive.buffer_delay.map(milliseconds),
            device: receive.device_delay.map(milliseconds),
            codec: sender_delay(receive.codec, receive.packet_time),
        };
        let DelayParts { buffer, device, codec, .. } = self.delay;
        self.delay.total = network.map(|n| n + buffer.unwrap_or(0.0) + device.unwrap_or(0.0) + codec.unwrap_or(0.0));
        // What follows describes a second in which packets were due.
        let (Some(_), Some(rates)) = (self.window.last(), self.window.all()) else { return };
        self.inbound.loss.set(rates.loss, now);
        if let Some(jitter) = receive.jitter {
            self.inbound.note_jitter(now, jitter);
        }
        if let (Some(codec), Some(delay), Some(_)) = (receive.codec, self.delay.total, buffer) {
            let burst = emodel::burst_ratio(rates.mean_run, rates.loss);
            let impairment = Equipment::of(codec).effective_impairment(rates.unheard(), burst);
            self.inbound.note_rating(now, emodel::rating(delay, impairment));
        }
    }

    /// Returns whether our own system refused to send in the last second.
    fn note_outbound(&mut self, report: &StreamReport) -> bool {
        let send = &report.send;
        self.outbound.packets = send.packets;
        self.rtcp_seen |= report.remote.is_some() || !report.participant.cname.is_empty();
        if let Some(remote) = report.remote.filter(|remote| remote.count != self.remote_count) {
            self.remote_count = remote.count;
            self.note_remote(&remote, report);
        }
        let refused = self.sent.as_ref().is_some_and(|(_, before)| send.refused > before.refused);
        self.sent = Some((report.at, send.clone()));
        refused
    }

    /// Their buffer and what it drops are not in their report: the rating is made from what is.
    fn note_remote(&mut self, remote: &RemoteReport, report: &StreamReport) {
        let loss = 100.0 * remote.fraction_lost.clamp(0.0, 1.0);
        self.outbound.loss.set(loss, remote.at);
        self.outbound.note_jitter(remote.at, remote.jitter);
        self.outbound.lost = i64::from(remote.cumulative_lost);
        let sent = self.sent_at(remote.at, report);
        self.outbound.loss_total =
            (sent >= 1.0).then(|| (100.0 * f64::from(remote.cumulative_lost) / sent).clamp(0.0, 100.0));
        if let (Some(codec), Some(network)) = (report.send.codec, self.delay.network) {
            let delay = network + sender_delay(Some(codec), report.send.packet_time).unwrap_or(0.0);
            let impairment = Equipment::of(codec).effective_impairment(loss, 1.0);
            self.outbound.note_rating(remote.at, emodel::rating(delay, impairment));
        }
    }

    /// Packets sent up to `at`, which lies between the last report and this one.
    fn sent_at(&self, at: Instant, report: &StreamReport) -> f64 {
        let now = report.send.packets as f64;
        let Some((before, stats)) = &self.sent else { return now };
        let span = report.at.saturating_duration_since(*before).as_secs_f64();
        let part = at.saturating_duration_since(*before).as_secs_f64();
        let sent = stats.packets as f64;
        if span > 0.0 { sent + (now - sent).max(0.0) * (part / span).min(1.0) } else { now }
    }

    fn facts(&self, report: &StreamReport, refused: bool) -> Facts {
        let now = report.at;
        let quiet_since = self.heard.map_or(self.receives_since, |heard| heard.max(self.receives_since));
        let ratings = [self.inbound.rating(now, LOCAL_FRESH), self.outbound.rating(now, REMOTE_FRESH)];
        let rates = self.window.last().and(self.window.all());
        Facts {
            running: now.saturating_duration_since(self.started),
            receives: self.receives,
            sends: self.sends,
            ever_received: self.heard.is_some(),
            quiet: now.saturating_duration_since(quiet_since),
            loss_in: rates.map(|r| r.loss),
            loss_out: self.outbound.loss.fresh(now, REMOTE_FRESH),
            late: rates.map(|r| r.late),
            refused,
            delay: self.delay.total,
            rating: ratings.into_iter().flatten().reduce(f64::min),
            their_level: report.receive.level,
            our_level: report.send.level,
            muted: report.send.muted,
            rtcp_seen: self.rtcp_seen,
            reports_seen: report.remote.is_some(),
            capture_trouble: self.capture_trouble.clone(),
            playback_trouble: self.playback_trouble.clone(),
        }
    }

    /// `48 s good, 12 s with loss on the way to us.`; the sentence itself when there was only one thing to say.
    fn story(&self) -> String {
        let mut spent: Vec<_> = self.tally.iter().filter(|(finding, _)| **finding != Finding::Waiting).collect();
        match spent[..] {
            [] => self.diagnosis.sentence(),
            [(only, _)] if *only == self.diagnosis.finding() => self.diagnosis.sentence(),
            _ => {
                spent.sort_by_key(|(finding, seconds)| (std::cmp::Reverse(**seconds), **finding));
                let parts: Vec<_> =
                    spent.iter().take(4).map(|(f, seconds)| format!("{seconds} s {}", f.label())).collect();
                format!("{}.", parts.join(", "))
            }
        }
    }
}

/// Packetisation and the encoder's look-ahead: how old the first sample of a packet is when it leaves \[ms\].
fn sender_delay(codec: Option<Codec>, packet_time: Option<Duration>) -> Option<f64> {
    let look_ahead = match codec? {
        Codec::Pcmu | Codec::Pcma => 0.0,
        // RFC 6716 §2: 2.5 ms of the CELT layer and 4 ms of delay compensation.
        Codec::Opus => 6.5,
    };
    Some(milliseconds(packet_time?) + look_ahead)
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::untrusted::Untrusted;
    use crate::media::stats::{Participant, ReceiveStats};
    use crate::qos::snapshot::DirectionQuality;

    /// A call with G.711: 50 packets a second both ways, reports from them every 5 s.
    struct Call {
        t0: Instant,
        monitor: CallMonitor,
        report: StreamReport,
        second: u32,
    }

    impl Call {
        fn new() -> Self {
            let t0 = Instant::now();
            let receive = ReceiveStats {
                codec: Some(Codec::Pcmu),
                packet_time: Some(Duration::from_millis(20)),
                buffer_delay: Some(Duration::from_millis(40)),
                device_delay: Some(Duration::from_millis(30)),
                jitter: Some(Duration::from_millis(3)),
                level: Some(-20.0),
                ..ReceiveStats::default()
            };
            let send = SendStats {
                codec: Some(Codec::Pcmu),
                packet_time: Some(Duration::from_millis(20)),
                level: Some(-20.0),
                ..SendStats::default()
            };
            let participant = Participant { cname: Untrusted::new("x"), ..Participant::default() };
            let report = StreamReport { at: t0, receive, send, remote: None, round_trip: None, participant };
            Self { t0, monitor: CallMonitor::new(t0), report, second: 0 }
        }

        /// One second in which `lost` of 50 packets were lost on the way to us, and `arrive` says whether any came.
        fn second(&mut self, arrive: bool, lost: u64) -> CallQuality {
            self.second += 1;
            let report = &mut self.report;
            report.at = self.t0 + Duration::from_secs(1) * self.second;
            report.send.packets += 50;
            if arrive {
                report.receive.expected += 50;
                report.receive.packets += 50 - lost;
                report.receive.lost += lost as i64;
                report.receive.played += Duration::from_secs(1);
            }
            self.monitor.handle_report(&self.report)
        }

        /// Their report, half a second before the next of ours.
        fn remote(&mut self, fraction_lost: f64, cumulative_lost: i32, round_trip: Option<u64>) {
            let at = self.t0 + Duration::from_secs(1) * self.second + Duration::from_millis(500);
            let count = self.report.remote.map_or(1, |r| r.count + 1);
            let jitter = Duration::from_millis(9);
            self.report.remote = Some(RemoteReport { at, fraction_lost, cumulative_lost, jitter, count });
            self.report.round_trip = round_trip.map(Duration::from_millis);
        }
    }

    #[test]
    fn nothing_is_invented() {
        let mut call = Call::new();
        call.report.receive = ReceiveStats::default();
        let quality = call.second(false, 0);
        let line = vec![None];
        let nothing = DirectionQuality {
            mos_line: line.clone(),
            loss_line: line.clone(),
            jitter_line: line,
            ..Default::default()
        };
        assert_eq!(quality.inbound, nothing);
        assert_eq!(quality.outbound, DirectionQuality { packets: 50, ..nothing });
        assert_eq!(quality.round_trip, None);
        assert_eq!(quality.delay, DelayParts::default());
        assert_eq!(call.monitor.summary().inbound.mos, None);
    }

    #[test]
    fn a_rating_needs_codec_round_trip_and_buffer() {
        type Change = fn(&mut StreamReport);
        let rows: [(&str, Change, bool); 5] = [
            ("no codec", |r| r.receive.codec = None, false),
            ("no buffer", |r| r.receive.buffer_delay = None, false),
            ("no round trip", |r| r.round_trip = None, false),
            ("device unknown", |r| r.receive.device_delay = None, true),
            ("all there", |_| (), true),
        ];
        for (name, change, rated) in rows {
            let mut call = Call::new();
            call.second(true, 0);
            call.remote(0.0, 0, Some(60));
            change(&mut call.report);
            let quality = call.second(true, 0);
            assert_eq!(quality.inbound.mos.is_some(), rated, "{name}");
            assert!(quality.inbound.loss.is_some(), "{name}");
        }
    }

    #[test]
    fn both_directions_are_measured_by_who_hears_them() {
        let mut call = Call::new();
        (0..10).for_each(|_| drop(call.second(true, 0)));
        call.remote(0.05, 21, Some(60));
        let quality = call.second(true, 5);
        // Ours: 5 of the last 250, delay 30 + 40 + 30 + 20 = 120 ms.
        assert_eq!(quality.inbound.loss, Some(Reading { value: 2.0, age: Duration::ZERO }));
        assert_eq!(quality.inbound.loss_line.last(), Some(&Some(10.0)));
        assert_eq!(quality.delay.total, Some(120.0));
        let expected = emodel::rating(120.0, emodel::G711_CONCEALED.effective_impairment(2.0, 1.0));
        assert!(quality.inbound.rating.is_some_and(|r| (r - expected).abs() < 1e-9));
        // Theirs: half a second old, 21 of the 525 packets sent by then, delay 30 + 20 = 50 ms.
        let half = Duration::from_millis(500);
        assert_eq!(quality.outbound.loss, Some(Reading { value: 5.0, age: half }));
        assert_eq!(quality.outbound.jitter, Some(Reading { value: 9.0, age: half }));
        assert_eq!(quality.outbound.loss_total, Some(4.0));
        assert_eq!(quality.round_trip, Some(Reading { value: 60.0, age: half }));
        let expected = emodel::rating(50.0, emodel::G711_CONCEALED.effective_impairment(5.0, 1.0));
        assert!(quality.outbound.rating.is_some_and(|r| (r - expected).abs() < 1e-9));
        // The same report again measures nothing anew.
        let again = call.second(true, 0);
        assert_eq!(again.outbound.loss, Some(Reading { value: 5.0, age: half + Duration::from_secs(1) }));
        assert_eq!(again.outbound.loss_total, Some(4.0));
    }

    #[test]
    fn figures_of_a_stream_that_stopped_grow_old_and_its_lines_show_the_gap() {
        let mut call = Call::new();
        (0..5).for_each(|_| drop(call.second(true, 1)));
        let quality = (0..5).map(|_| call.second(false, 0)).last().expect("five seconds");
        assert_eq!(quality.inbound.loss.map(|l| l.age), Some(Duration::from_secs(5)));
        assert!(quality.inbound.loss_line.ends_with(&[Some(2.0), None, None, None, None, None]));
        assert!(quality.inbound.jitter_line.ends_with(&[None, None, None]));
        assert_eq!(call.monitor.diagnosis.finding(), Finding::Stopped);
    }

    #[test]
    fn a_held_call_is_not_called_broken() {
        let mut call = Call::new();
        (0..5).for_each(|_| drop(call.second(true, 0)));
        call.monitor.handle_direction(call.report.at, false, false);
        (0..10).for_each(|_| drop(call.second(false, 0)));
        assert_eq!(call.monitor.diagnosis.finding(), Finding::OnHold);
        // Resumed: their sound has its time to come back.
        call.monitor.handle_direction(call.report.at, true, true);
        call.second(false, 0);
        assert_ne!(call.monitor.diagnosis.finding(), Finding::Stopped);
    }

    #[test]
    fn a_dead_device_is_blamed_and_a_virtual_one_that_runs_is_not() {
        let mut call = Call::new();
        let state = |running, is_virtual, trouble: Option<&str>| DeviceState {
            running,
            is_virtual,
            trouble: trouble.map(str::to_owned),
            ..DeviceState::default()
        };
        let rows = [
            (state(true, true, None), Finding::Good),
            (state(true, false, Some("was late once")), Finding::Good),
            (state(false, false, Some("unplugged")), Finding::PlaybackDead),
            (state(true, true, Some("no sound card")), Finding::Good),
        ];
        for (playback, finding) in rows {
            call.monitor.handle_devices(&DeviceReport { playback, ..DeviceReport::default() });
            (0..5).for_each(|_| {
                call.remote(0.0, 0, Some(20));
                call.second(true, 0);
            });
            assert_eq!(call.monitor.diagnosis.finding(), finding);
        }
    }

    #[test]
    fn the_summary_tells_where_the_time_went() {
        let mut call = Call::new();
        for second in 0..40_u64 {
            call.remote(0.0, 0, Some(20));
            call.second(true, if (20..30).contains(&second) { 10 } else { 0 });
        }
        let summary = call.monitor.summary();
        assert!(summary.diagnosis.contains("s good") && summary.diagnosis.contains("s with loss on the way to us"));
        assert_eq!(summary.inbound.loss.map(|l| l.value), Some(5.0));
        assert_eq!(summary.round_trip.map(|r| r.value), Some(20.0));
        let mut fine = Call::new();
        (0..30).for_each(|_| {
            fine.remote(0.0, 0, Some(20));
            fine.second(true, 0);
        });
        assert_eq!(fine.monitor.summary().diagnosis, "Good in both directions.");
    }

    #[test]
    fn look_ahead_belongs_to_the_codec() {
        let ptime = Some(Duration::from_millis(20));
        let rows = [
            (None, ptime, None),
            (Some(Codec::Opus), None, None),
            (Some(Codec::Pcma), ptime, Some(20.0)),
            (Some(Codec::Opus), ptime, Some(26.5)),
        ];
        for (codec, packet_time, expected) in rows {
            assert_eq!(sender_delay(codec, packet_time), expected);
        }
    }
}
