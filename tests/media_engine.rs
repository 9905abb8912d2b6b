//! Two media engines joined by a seeded network, in virtual time: what they measure is what the network did.
#[path = "common/stream.rs"]
mod stream;

use offhook::base::id::StreamId;
use offhook::base::netem::{Impairment, Link, Stamp};
use offhook::base::rng::Rng;
use offhook::base::time::WallAnchor;
use offhook::base::untrusted::Untrusted;
use offhook::media::dsp::goertzel;
use offhook::media::event::MediaEvent;
use offhook::media::frame::{FRAME, FRAME_DURATION, Frame, SILENCE};
use offhook::media::rtcp::compound::{self, Item, Outgoing, SenderInfo, Text};
use offhook::media::rtp::extension::Elements;
use offhook::media::rtp::packet::{Header, Packet, Ssrc};
use offhook::media::session::{Component, Datagram, Engine, MediaTransmit};
use offhook::media::spec::{
    Codec, Digit, Direction, Extension, Extensions, MediaCommand, OpusParameters, PayloadFormat, SourceDescription,
    StreamSpec, TelephoneEvent,
};
use offhook::media::stats::StreamReport;
use proptest::prelude::*;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};
use stream::{format, spec};

const STREAM: StreamId = StreamId(1);
const MS: Duration = Duration::from_millis(1);
/// What the device of either side needs from the frame to the ear.
const DEVICE: Duration = Duration::from_millis(25);
const EVENTS: TelephoneEvent = TelephoneEvent { payload_type: 101, clock_rate: 8000 };

/// One phone: its engine, its place in the network, and what came out of it.
struct Side {
    engine: Engine,
    rtp: SocketAddr,
    rtcp: SocketAddr,
    /// Pitch of what is spoken here [Hz].
    pitch: f32,
    spoken: usize,
    spec: StreamSpec,
    sent: Vec<(Instant, MediaTransmit)>,
    events: Vec<MediaEvent>,
    reports: Vec<StreamReport>,
    /// RTP packets that had reached this side, and the jitter of the link to it [ms], at the last report.
    reached: (u64, f64),
    heard: Vec<f32>,
}

impl Side {
    fn new(t0: Instant, host: &str, peer: &str, pitch: f32, seed: u64) -> Self {
        let address = |host: &str, port: u16| -> SocketAddr { format!("{host}:{port}").parse().expect("address") };
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seed * 1000);
        let (rtp, rtcp) = (address(host, 4000), address(host, 4001));
        let spec = StreamSpec {
            receive: vec![format(Codec::Pcmu), format(Codec::Opus)],
            send_events: Some(EVENTS),
            receive_events: vec![EVENTS],
            description: SourceDescription {
                cname: format!("phone@{host}"),
                tool: "offhook".into(),
                ..Default::default()
            },
            ..spec(Codec::Pcmu, address(peer, 4000), address(peer, 4001))
        };
        let mut engine = Engine::new(WallAnchor::new(t0, wall), Rng::from_u64(seed));
        engine.handle_opened(t0, STREAM, rtp, rtcp);
        engine.handle_command(t0, MediaCommand::Focus { streams: vec![STREAM] });
        Self {
            engine,
            rtp,
            rtcp,
            pitch,
            spoken: 0,
            spec,
            sent: vec![],
            events: vec![],
            reports: vec![],
            reached: (0, 0.0),
            heard: vec![],
        }
    }

    fn configure(&mut self, now: Instant) {
        let spec = Box::new(self.spec.clone());
        self.engine.handle_command(now, MediaCommand::Configure { stream: STREAM, spec });
    }

    fn speak(&mut self, now: Instant) {
        let frame: Frame = std::array::from_fn(|n| {
            let time = (self.spoken + n) as f32 / 48_000.0;
            0.3 * (std::f32::consts::TAU * (self.pitch * time).fract()).sin()
        });
        self.spoken += FRAME;
        self.engine.handle_capture(now, &frame);
    }

    fn hear(&mut self, now: Instant) {
        let mut frame = [1.0; FRAME];
        self.engine.handle_playout(now, now + DEVICE, &mut frame);
        self.heard.extend_from_slice(&frame);
    }

    fn receive(&mut self, now: Instant, component: Component, source: SocketAddr, bytes: &[u8]) {
        self.engine.handle_datagram(
            now,
            Datagram { stream: STREAM, component, socket: component.socket(), source, arrived: now, bytes },
        );
    }

    fn last(&self) -> &StreamReport {
        self.reports.last().expect("reported")
    }

    /// RTP packets sent from `from` on.
    fn rtp_sent(&self, from: Instant) -> Vec<Header> {
        let rtp = self.sent.iter().filter(|(at, sent)| *at >= from && sent.component == Component::Rtp);
        rtp.filter_map(|(_, sent)| Packet::parse(&sent.bytes).ok()).map(|packet| packet.header).collect()
    }

    fn rtcp_sent(&self, from: Instant) -> Vec<Instant> {
        let rtcp = self.sent.iter().filter(|(at, sent)| *at >= from && sent.component == Component::Rtcp);
        rtcp.map(|(at, _)| *at).collect()
    }

    /// Power of `pitch` in the last `milliseconds` heard, relative to that of a sine of amplitude 0.3 [dB].
    fn level_of(&self, pitch: f32, milliseconds: usize) -> f64 {
        let sound = &self.heard[self.heard.len() - milliseconds * 48..];
        10.0 * (goertzel::power(sound, pitch.into(), 48_000.0) / (0.3 * 0.3 / 4.0)).max(1e-9).log10()
    }
}

/// Two phones and a network in each direction. The second phone's device runs 3 ms after the first one's.
struct Pair {
    t0: Instant,
    now: Instant,
    sides: [Side; 2],
    links: [Link<(SocketAddr, MediaTransmit)>; 2],
    ticks: [Instant; 2],
    /// RTP packets that reached either side.
    arrived: [u64; 2],
    /// Replaces the sender's address, as an address translator does.
    translated: [Option<SocketAddr>; 2],
}

impl Pair {
    fn new(impairment: Impairment) -> Self {
        let t0 = Instant::now();
        let sides =
            [Side::new(t0, "192.0.2.1", "192.0.2.2", 400.0, 1), Side::new(t0, "192.0.2.2", "192.0.2.1", 1000.0, 2)];
        let back = Impairment { seed: impairment.seed + 1000, ..impairment };
        let mut pair = Self {
            t0,
            now: t0,
            sides,
            links: [Link::new(impairment), Link::new(back)],
            ticks: [t0, t0 + 3 * MS],
            arrived: [0; 2],
            translated: [None; 2],
        };
        for side in &mut pair.sides {
            side.configure(t0);
        }
        pair
    }

    fn perfect() -> Self {
        Self::new(Impairment { delay: 30 * MS, ..Impairment::default() })
    }

    /// Lets time pass; each step does what is due next.
    fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            let timeouts = self.sides.iter().filter_map(|side| side.engine.poll_timeout());
            let arrivals = self.links.iter().filter_map(Link::poll_timeout);
            let next = timeouts.chain(arrivals).chain(self.ticks).min().expect("ticks").max(self.now);
            if next > end {
                self.now = end;
                return;
            }
            self.now = next;
            for n in [0, 1] {
                while let Some((arrived, (source, sent))) = self.links[1 - n].poll(self.now) {
                    let side = &mut self.sides[n];
                    let component = if sent.destination == side.rtp { Component::Rtp } else { Component::Rtcp };
                    self.arrived[n] += u64::from(component == Component::Rtp);
                    let (stream, bytes) = (STREAM, sent.bytes.as_slice());
                    side.engine.handle_datagram(
                        self.now,
                        Datagram { stream, component, socket: component.socket(), source, arrived, bytes },
                    );
                    side.engine.recycle(sent.bytes);
                }
                let side = &mut self.sides[n];
                side.engine.handle_timeout(self.now);
                if self.ticks[n] <= self.now {
                    self.ticks[n] += FRAME_DURATION;
                    side.speak(self.now);
                    side.hear(self.now);
                }
                self.drain(n);
            }
        }
    }

    fn drain(&mut self, n: usize) {
        let peer = [self.sides[1 - n].rtp, self.sides[1 - n].rtcp];
        let reached = (self.arrived[n], self.links[1 - n].truth().jitter);
        let (side, link) = (&mut self.sides[n], &mut self.links[n]);
        while let Some(sent) = side.engine.poll_transmit() {
            side.sent.push((self.now, sent.clone()));
            let rtp = matches!(sent.component, Component::Rtp);
            let source = self.translated[n].filter(|_| rtp).unwrap_or(if rtp { side.rtp } else { side.rtcp });
            let back_to = self.translated[1 - n];
            let routed = if Some(sent.destination) == back_to { peer[0] } else { sent.destination };
            if peer.contains(&routed) {
                let stamp = if rtp { Stamp::of_rtp(&sent.bytes, 8000) } else { None };
                link.handle_packet(self.now, (source, MediaTransmit { destination: routed, ..sent }), stamp);
            }
        }
        while let Some(event) = side.engine.poll_event() {
            match event {
                MediaEvent::Report { report, .. } => {
                    side.reports.push(*report);
                    side.reached = reached;
                }
                MediaEvent::Levels { .. } => {}
                event => side.events.push(event),
            }
        }
    }

    fn command(&mut self, n: usize, command: MediaCommand) {
        self.sides[n].engine.handle_command(self.now, command);
        self.drain(n);
    }

    /// A completed offer/answer that changed both sides' specs.
    fn renegotiate(&mut self, change: impl Fn(usize, &mut StreamSpec)) {
        for (n, side) in self.sides.iter_mut().enumerate() {
            side.spec.generation += 1;
            change(n, &mut side.spec);
            side.configure(self.now);
        }
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn difference(a: Duration, b: Duration) -> Duration {
    a.max(b) - a.min(b)
}

#[test]
fn an_even_network() {
    measure(20, Impairment { delay: 40 * MS, seed: 1, ..Impairment::default() });
}

#[test]
fn a_minute_over_a_network_that_loses_and_delays() {
    measure(60, Impairment { loss: 0.05, jitter: 10 * MS, delay: 40 * MS, seed: 2, ..Impairment::default() });
}

#[test]
fn a_network_that_loses_in_bursts() {
    measure(
        20,
        Impairment { loss: 0.2, burst: 3.0, jitter: 30 * MS, delay: 40 * MS, seed: 3, ..Impairment::default() },
    );
}

#[test]
fn a_network_that_reorders() {
    measure(
        20,
        Impairment { loss: 0.03, jitter: 60 * MS, reorder: true, delay: 40 * MS, seed: 4, ..Impairment::default() },
    );
}

/// Talks for `time` and compares what both sides measured with what the network did.
fn measure(time: u64, impairment: Impairment) {
    let mut pair = Pair::new(impairment);
    pair.run(seconds(time));
    for n in [0, 1] {
        let (speaker, listener) = (&pair.sides[n], &pair.sides[1 - n]);
        let heard = &listener.last().receive;
        // Every packet that arrived is accounted for but those before the source was proven: one, where order is kept.
        let (arrived, jitter) = listener.reached;
        let unproven = arrived - heard.packets;
        assert!(unproven == 1 || (impairment.reorder && unproven < 10), "direction {n}: {unproven}");
        assert_eq!(heard.lost, heard.expected as i64 - heard.packets as i64);
        let sent = speaker.rtp_sent(pair.t0).len() as u64;
        assert!(sent.abs_diff(time * 50) <= 1 && sent - heard.expected <= 16, "{} of {sent}", heard.expected);
        let share = heard.lost as f64 / heard.expected as f64;
        assert!((share - impairment.loss).abs() <= 0.05 * impairment.loss.sqrt(), "{share}");
        assert_eq!((heard.reordered > 0, heard.duplicates), (impairment.reorder, 0));
        // Losses younger than the time they have to arrive late are in no run yet.
        let runs: Vec<u32> = listener.reports.iter().flat_map(|report| report.receive.loss_runs.clone()).collect();
        let unsettled = heard.lost - i64::from(runs.iter().sum::<u32>());
        assert!((0..=40).contains(&unsettled), "{unsettled}");
        if impairment.burst > 1.0 {
            let mean = f64::from(runs.iter().sum::<u32>()) / runs.len() as f64;
            assert!((mean - impairment.burst).abs() < 0.8, "{mean}");
        }
        let measured = heard.jitter.expect("measured").as_secs_f64() * 1000.0;
        assert!((measured - jitter).abs() < 0.001, "{measured} {jitter}");
        assert_eq!(heard.device_delay, Some(DEVICE));
        assert_eq!((heard.codec, heard.packet_time), (Some(Codec::Pcmu), Some(20 * MS)));
        // What they say they hear is what they heard a few seconds ago.
        let remote = speaker.last().remote.expect("reported");
        assert!(remote.count >= time as u32 / 10, "{}", remote.count);
        let then = listener.reports.iter().rev().find(|report| report.at <= remote.at).expect("reported");
        assert!(remote.cumulative_lost.abs_diff(then.receive.lost as i32) <= 25, "{remote:?} {}", then.receive.lost);
        let round_trip = speaker.last().round_trip.expect("measured");
        let shortest = 2 * impairment.delay;
        assert!(round_trip + MS >= shortest && round_trip <= shortest + 2 * impairment.jitter + MS, "{round_trip:?}");
        assert_eq!(speaker.last().participant.cname, Untrusted::new(listener.spec.description.cname.clone()));
        if impairment.loss == 0.0 {
            assert!(listener.level_of(speaker.pitch, 1000).abs() < 1.0);
        }
    }
}

#[test]
fn the_round_trip_is_exact_and_the_jitter_of_an_even_network_is_nothing() {
    let mut pair = Pair::new(Impairment { delay: 47 * MS, ..Impairment::default() });
    pair.run(seconds(20));
    for side in &pair.sides {
        let report = side.last();
        assert!(difference(report.round_trip.expect("measured"), 94 * MS) < Duration::from_micros(16));
        assert!(report.receive.jitter.expect("measured") < Duration::from_micros(1));
        assert_eq!(report.remote.expect("reported").jitter, Duration::ZERO);
    }
}

#[test]
fn the_same_seeds_give_the_same_bytes() {
    let run = || {
        let mut pair = Pair::new(Impairment { loss: 0.1, jitter: 30 * MS, delay: 20 * MS, ..Impairment::default() });
        pair.run(seconds(10));
        let sent =
            pair.sides.map(|side| side.sent.into_iter().map(|(at, sent)| (at - pair.t0, sent)).collect::<Vec<_>>());
        (sent, pair.links.map(|link| link.truth()))
    };
    assert!(run() == run());
}

#[test]
fn a_held_call_sends_rtcp_only_and_comes_back() {
    let mut pair = Pair::perfect();
    pair.run(seconds(3));
    let held = pair.now;
    // The first phone holds: it still sends, to nobody's ear; the second sends nothing.
    pair.renegotiate(|n, spec| spec.direction = if n == 0 { Direction::SendOnly } else { Direction::RecvOnly });
    pair.run(seconds(20));
    // What keeps the way through a NAT open is no sound: nobody knows its payload type.
    let kept = pair.sides[1].rtp_sent(held);
    assert!(kept.len() == 1 && kept[0].payload_type == 127, "{kept:?}");
    assert!(pair.sides[0].rtp_sent(held).len() >= 999);
    assert!(pair.sides[1].rtcp_sent(held).len() >= 2);
    assert_eq!(pair.sides[0].level_of(1000.0, 100), -90.0, "silence");
    let resumed = pair.now;
    pair.renegotiate(|_, spec| spec.direction = Direction::SendRecv);
    pair.run(seconds(2));
    let sent: Vec<Header> = pair.sides[1].rtp_sent(pair.t0).into_iter().filter(|sent| sent.payload_type == 0).collect();
    let back = sent.len() - pair.sides[1].rtp_sent(resumed).len();
    let (before, first) = (sent[back - 1], sent[back]);
    assert!(first.marker && !sent[back + 1].marker);
    assert_eq!(first.sequence, before.sequence.wrapping_add(2), "the one that kept the way stands between");
    assert_eq!(first.timestamp.wrapping_sub(before.timestamp), 20 * 8000 + 160);
    assert_eq!(pair.sides[0].last().receive.lost, 0);
    assert!(pair.sides[0].level_of(1000.0, 500).abs() < 1.0);
    pair.renegotiate(|_, spec| spec.direction = Direction::Inactive);
    let inactive = pair.now;
    pair.run(seconds(10));
    assert!(pair.sides.iter().all(|side| side.rtp_sent(inactive).is_empty() && !side.rtcp_sent(inactive).is_empty()));
}

#[test]
fn another_codec_takes_over_within_the_stream() {
    let mut pair = Pair::perfect();
    pair.run(seconds(3));
    let changed = pair.now;
    pair.renegotiate(|_, spec| spec.send = format(Codec::Opus));
    pair.run(seconds(5));
    for (n, side) in pair.sides.iter().enumerate() {
        let sent = side.rtp_sent(pair.t0);
        let first = sent.len() - side.rtp_sent(changed).len();
        let (before, after) = (sent[first - 1], sent[first]);
        assert_eq!((before.payload_type, after.payload_type), (0, 107));
        assert_eq!((before.ssrc, before.sequence.wrapping_add(1)), (after.ssrc, after.sequence));
        assert!(after.timestamp.wrapping_sub(before.timestamp) <= 960);
        let report = side.last();
        assert_eq!((report.receive.codec, report.receive.lost), (Some(Codec::Opus), 0));
        assert!(report.receive.jitter.expect("measured") < MS, "{:?}", report.receive.jitter);
        assert!(side.level_of(pair.sides[1 - n].pitch, 500).abs() < 1.5);
    }
}

#[test]
fn silence_is_not_sent_where_the_peer_asked_for_that() {
    let mut pair = Pair::perfect();
    let opus = OpusParameters { use_dtx: true, ..OpusParameters::default() };
    pair.renegotiate(|_, spec| spec.send = PayloadFormat { opus, ..format(Codec::Opus) });
    pair.run(seconds(2));
    let muted = pair.now;
    pair.command(0, MediaCommand::Mute(true));
    pair.run(4100 * MS);
    let silent = pair.sides[0].rtp_sent(muted).len();
    assert!(silent < 60, "{silent} of 200 packets");
    let spoken = pair.now;
    pair.command(0, MediaCommand::Mute(false));
    pair.run(seconds(1));
    let sent = pair.sides[0].rtp_sent(spoken);
    assert!(sent.len() >= 48 && sent[..3].iter().filter(|header| header.marker).count() == 1, "{:?}", &sent[..3]);
    assert_eq!(pair.sides[1].last().receive.lost, 0);
    assert!(pair.sides[1].last().receive.jitter.expect("measured") < MS);
}

#[test]
fn digits_arrive_once_and_in_order_whatever_is_lost() {
    let mut pair = Pair::new(Impairment { loss: 0.2, delay: 30 * MS, seed: 5, ..Impairment::default() });
    pair.run(seconds(1));
    let dialled = "1337#*";
    for digit in dialled.chars().filter_map(Digit::from_char) {
        pair.command(0, MediaCommand::SendDigit { stream: STREAM, digit, duration: 120 * MS });
    }
    pair.run(seconds(4));
    let digits = pair.sides[1].events.iter().filter_map(|event| match event {
        MediaEvent::Digit { digit, .. } => Some(digit.to_char()),
        _ => None,
    });
    assert_eq!(digits.collect::<String>(), dialled);
    let sent = pair.sides[0].rtp_sent(pair.t0);
    assert!(sent.windows(2).all(|pair| pair[1].sequence == pair[0].sequence.wrapping_add(1)), "one sequence for all");
    let after = sent.iter().rev().take_while(|header| header.payload_type == 0).last().expect("sound after the digits");
    assert!(after.marker, "sound after the digits begins a talk-spurt");
}

#[test]
fn flowing_is_told_once_for_each_generation() {
    let mut pair = Pair::perfect();
    pair.run(seconds(1));
    let flowing = |pair: &Pair| {
        let event = MediaEvent::Flowing { stream: STREAM };
        pair.sides.each_ref().map(|side| side.events.iter().filter(|told| **told == event).count())
    };
    assert_eq!(flowing(&pair), [1, 1]);
    pair.renegotiate(|_, _| ());
    pair.run(seconds(1));
    assert_eq!(flowing(&pair), [2, 2]);
}

#[test]
fn goodbye_goes_out_before_the_sockets_close() {
    let mut pair = Pair::perfect();
    pair.run(seconds(3));
    pair.sides[0].engine.handle_command(pair.now, MediaCommand::Close { stream: STREAM, reason: "hung up".into() });
    assert_eq!(pair.sides[0].engine.poll_closed(), None, "the BYE has not been polled");
    pair.drain(0);
    assert_eq!(pair.sides[0].engine.poll_closed(), Some(STREAM));
    assert_eq!(pair.sides[0].engine.poll_timeout(), None);
    pair.run(seconds(1));
    let goodbye = MediaEvent::Goodbye { stream: STREAM, reason: Untrusted::new("hung up") };
    assert!(pair.sides[1].events.contains(&goodbye));
    // A stream that never spoke has nothing to end.
    let mut side = Side::new(pair.t0, "192.0.2.3", "192.0.2.2", 0.0, 9);
    side.configure(pair.t0);
    side.engine.handle_command(pair.t0, MediaCommand::Close { stream: STREAM, reason: String::new() });
    assert_eq!(side.engine.poll_transmit(), None);
    assert_eq!(side.engine.poll_closed(), Some(STREAM));
}

fn goodbye(ssrc: Ssrc) -> Vec<u8> {
    let mut bytes = Vec::new();
    let description = vec![(Text::Cname, "x")];
    Outgoing { ssrc, sender: None, block: None, description, goodbye: Some("forged") }.write(&mut bytes).expect("fits");
    bytes
}

#[test]
fn strangers_and_nonsense_are_counted_and_change_nothing() {
    let mut pair = Pair::perfect();
    pair.run(seconds(2));
    let (now, stranger) = (pair.now, "203.0.113.66:7000".parse().expect("address"));
    let side = &mut pair.sides[0];
    let ssrc = Ssrc(side.last().receive.ssrc.expect("heard"));
    let (rtp, rtcp) = (side.spec.remote_rtp, side.spec.remote_rtcp);
    let before = side.last().receive.clone();
    let mut packet = Vec::new();
    let header = Header { marker: false, payload_type: 0, sequence: 1, timestamp: 1, ssrc };
    header.write(&[0xff; 160], &mut packet).expect("valid");
    // From elsewhere: RTP, a goodbye in the peer's name to either port. From the peer: a goodbye in another's name.
    side.receive(now, Component::Rtp, stranger, &packet);
    side.receive(now, Component::Rtp, stranger, &goodbye(ssrc));
    side.receive(now, Component::Rtcp, "203.0.113.66:7001".parse().expect("address"), &goodbye(Ssrc(1)));
    let mut others = Vec::new();
    let description = vec![(Text::Cname, "x")];
    Outgoing { ssrc, sender: None, block: None, description, goodbye: None }.write(&mut others).expect("fits");
    others.extend([0x81, 203, 0, 1, 0, 0, 0, 9]);
    side.receive(now, Component::Rtcp, rtcp, &others);
    // No RTP, no RTCP.
    let nonsense: [&[u8]; 7] = [
        &[],
        &[0x80],
        b"\x00\x01\x00\x00\x21\x12\xa4\x42",
        b"\x16\xfe\xfd\x00",
        b"hello",
        &packet[..11],
        &[0x80, 201, 0, 9, 0, 0, 0, 1],
    ];
    for bytes in nonsense {
        side.receive(now, Component::Rtp, rtp, bytes);
    }
    side.receive(now, Component::Rtcp, rtcp, &packet);
    pair.run(seconds(2));
    let side = &pair.sides[0];
    let after = &side.last().receive;
    assert_eq!(after.foreign - before.foreign, 4);
    // The hello of DTLS is none of them: the answer that tells of it may be on its way.
    assert_eq!(after.malformed - before.malformed, 7);
    assert_eq!((after.ssrc, after.lost, after.ssrc_changes), (before.ssrc, 0, 0));
    assert!(!side.events.iter().any(|event| matches!(event, MediaEvent::Goodbye { .. })));
    assert!(side.level_of(1000.0, 500).abs() < 1.0);
}

/// RFC 6464, RFC 9143 §9.2; RFC 5506, RFC 4585 §6.
#[test]
fn headers_tell_how_loud_it_is_and_of_which_line_and_feedback_is_counted() {
    let mut pair = Pair::perfect();
    pair.run(seconds(1));
    let begin = pair.now;
    let extension = |id| Extension { id, sends: true, receives: true, voice: true };
    pair.renegotiate(|_, spec| {
        spec.rtcp_reduced_size = true;
        spec.extensions = Extensions { audio_level: Some(extension(1)), mid: Some((extension(4), "a".to_owned())) };
    });
    pair.run(seconds(12));
    let side = &mut pair.sides[0];
    let (level, voice) = side.last().receive.told_level.expect("told");
    // A sine of 0.3 of full scale.
    assert!(voice && (level + 13.5).abs() <= 0.6, "{level}");
    let carries = |(at, sent): &(Instant, MediaTransmit)| {
        let packet = Packet::parse(&sent.bytes).ok().filter(|_| sent.component == Component::Rtp && *at > begin)?;
        let elements = Elements::new(packet.extension);
        Some((elements.find(1).is_some(), elements.find(4).map(<[u8]>::to_vec)))
    };
    let carried: Vec<_> = side.sent.iter().filter_map(carries).collect();
    assert_eq!(carried.first(), Some(&(true, Some(b"a".to_vec()))), "until the peer has reported");
    assert_eq!(carried.last(), Some(&(true, None)), "the peer knows by then");

    let (now, before) = (pair.now, side.last().receive.clone());
    let (rtp, rtcp) = (side.spec.remote_rtp, side.spec.remote_rtcp);
    let header = Header { marker: false, payload_type: 0, sequence: 1, timestamp: 1, ssrc: Ssrc(77) };
    let mut packet = Vec::new();
    header.write_extended(Some((0xbede, &[0x40, b'b', 0, 0])), &[0xff; 160], &mut packet).expect("valid");
    side.receive(now, Component::Rtp, rtp, &packet);
    for feedback in [[0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2], [0x8f, 205, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]] {
        side.receive(now, Component::Rtcp, rtcp, &feedback);
    }
    pair.run(seconds(2));
    let after = &pair.sides[0].last().receive;
    assert_eq!(after.foreign - before.foreign, 1, "a packet of another line");
    assert_eq!((after.feedback - before.feedback, after.malformed - before.malformed), (2, 0));
    assert_eq!((after.ssrc, after.lost), (before.ssrc, 0));
}

#[test]
fn a_peer_behind_a_translator_is_found_and_answered() {
    let mut pair = Pair::perfect();
    let outside: SocketAddr = "198.51.100.7:61000".parse().expect("address");
    pair.translated[1] = Some(outside);
    pair.run(seconds(4));
    assert_eq!(pair.sides[0].last().receive.source, Some(outside));
    assert_eq!(pair.sides[0].last().send.destination, Some(outside));
    assert!(pair.sides[0].level_of(1000.0, 500).abs() < 1.0);
    assert!(pair.sides[1].level_of(400.0, 500).abs() < 1.0);
}

#[test]
fn muxed_rtcp_shares_the_port() {
    let mut pair = Pair::perfect();
    pair.renegotiate(|_, spec| (spec.rtcp_mux, spec.remote_rtcp) = (true, spec.remote_rtp));
    pair.run(seconds(12));
    for side in &pair.sides {
        assert!(side.rtcp_sent(pair.t0).is_empty());
        assert!(difference(side.last().round_trip.expect("measured"), 60 * MS) < Duration::from_micros(16));
    }
}

#[test]
fn a_peer_with_our_ssrc_makes_us_take_another() {
    let mut pair = Pair::perfect();
    pair.run(seconds(2));
    let (now, t0) = (pair.now, pair.t0);
    let side = &mut pair.sides[0];
    let (own, source) = (Ssrc(side.last().send.ssrc), side.spec.remote_rtp);
    let mut packet = Vec::new();
    let header = Header { marker: false, payload_type: 0, sequence: 1, timestamp: 1, ssrc: own };
    header.write(&[0xff; 160], &mut packet).expect("valid");
    side.receive(now, Component::Rtp, source, &packet);
    pair.drain(0);
    pair.run(seconds(2));
    let side = &pair.sides[0];
    assert_ne!(side.last().send.ssrc, own.0);
    assert!(side.rtp_sent(now + FRAME_DURATION).iter().all(|header| header.ssrc.0 == side.last().send.ssrc));
    let farewell = side.sent.iter().filter(|(_, sent)| {
        compound::parse(&sent.bytes)
            .is_ok_and(|items| items.iter().any(|item| matches!(item, Item::Goodbye { ssrc, .. } if *ssrc == own)))
    });
    assert_eq!(farewell.count(), 1);
    assert_eq!(pair.sides[1].last().receive.ssrc_changes, 1);
    assert!(pair.sides[1].level_of(400.0, 300).abs() < 1.0);
    assert!(side.rtp_sent(t0).len() > 150);
}

#[test]
fn a_reflector_is_an_echo() {
    let t0 = Instant::now();
    let mut side = Side::new(t0, "192.0.2.1", "192.0.2.2", 700.0, 3);
    side.configure(t0);
    for tick in 0..300 {
        let now = t0 + FRAME_DURATION * tick;
        side.speak(now);
        let source = side.spec.remote_rtp;
        while let Some(sent) = side.engine.poll_transmit() {
            if sent.component == Component::Rtp {
                side.receive(now, Component::Rtp, source, &sent.bytes);
            }
        }
        side.engine.handle_timeout(now);
        side.hear(now);
    }
    assert!(side.level_of(700.0, 500).abs() < 1.0);
}

#[test]
fn asterisk_reports_every_five_seconds_and_never_says_goodbye() {
    let mut pair = Pair::perfect();
    let (t0, peer) = (pair.t0, Ssrc(0x00aa_bbcc));
    let (rtp, rtcp) = (pair.sides[0].spec.remote_rtp, pair.sides[0].spec.remote_rtcp);
    let side = &mut pair.sides[0];
    let mut bytes = Vec::new();
    for tick in 0..3000_u32 {
        let now = t0 + FRAME_DURATION * tick;
        if tick.is_multiple_of(2) {
            let number = (tick / 2) as u16;
            let header =
                Header { marker: false, payload_type: 0, sequence: number, timestamp: tick / 2 * 160, ssrc: peer };
            header.write(&[0xff; 160], &mut bytes).expect("valid");
            side.receive(now, Component::Rtp, rtp, &bytes);
        }
        if tick > 0 && tick.is_multiple_of(500) {
            let sender = Some(SenderInfo { ntp: u64::from(tick) << 32, rtp: 0, packets: 0, octets: 0 });
            let description = vec![(Text::Cname, "asterisk")];
            Outgoing { ssrc: peer, sender, block: None, description, goodbye: None }.write(&mut bytes).expect("fits");
            side.receive(now, Component::Rtcp, rtcp, &bytes);
        }
        side.engine.handle_timeout(now);
        side.speak(now);
        while let Some(sent) = side.engine.poll_transmit() {
            side.sent.push((now, sent));
        }
        while let Some(event) = side.engine.poll_event() {
            if let MediaEvent::Report { report, .. } = event {
                side.reports.push(*report);
            }
        }
    }
    assert_eq!(side.last().participant.cname, Untrusted::new("asterisk"));
    // Each of our reports echoes the last of theirs.
    let echoes = side.sent.iter().filter_map(|(at, sent)| {
        let items = compound::parse(&sent.bytes).ok()?;
        items.iter().find_map(|item| match item {
            Item::Block { block, .. } => Some((*at, *block)),
            _ => None,
        })
    });
    let mut count = 0;
    for (at, block) in echoes {
        let last = (at - t0).as_secs() / 5 * 5;
        if last > 0 {
            assert_eq!(block.last_report, (last as u32 * 100) << 16);
            let waited = (at - t0) - seconds(last);
            assert!(f64::from(block.delay) / 65_536.0 - waited.as_secs_f64() < 0.001);
            count += 1;
        }
    }
    assert!(count >= 3, "{count}");
}

#[test]
fn who_is_out_of_focus_or_muted_sends_silence() {
    let mut pair = Pair::perfect();
    pair.run(seconds(1));
    for (what, silenced, heard) in [
        ("muted", MediaCommand::Mute(true), MediaCommand::Mute(false)),
        ("out of focus", MediaCommand::Focus { streams: vec![] }, MediaCommand::Focus { streams: vec![STREAM] }),
    ] {
        let from = pair.now;
        pair.command(0, silenced);
        pair.run(seconds(2));
        assert!(pair.sides[0].rtp_sent(from).len() >= 99, "{what}: the stream stays alive");
        assert!(pair.sides[1].level_of(400.0, 500) < -50.0, "{what}");
        assert_eq!(pair.sides[0].last().send.muted, what == "muted");
        pair.command(0, heard);
        pair.run(seconds(2));
        assert!(pair.sides[1].level_of(400.0, 500).abs() < 1.0, "{what}");
    }
    pair.command(1, MediaCommand::Focus { streams: vec![] });
    pair.run(seconds(1));
    assert_eq!(pair.sides[1].heard[pair.sides[1].heard.len() - FRAME..], SILENCE);
    assert!(pair.sides[1].last().receive.buffer_delay.is_none_or(|delay| delay < seconds(1)), "its buffer keeps time");
}

#[test]
fn refused_datagrams_are_counted() {
    let mut pair = Pair::perfect();
    pair.sides[0].engine.handle_refused(STREAM, Component::Rtp);
    pair.run(seconds(2));
    assert_eq!(pair.sides[0].last().send.refused, 1);
}

#[test]
fn levels_and_reports_come_in_time() {
    let mut pair = Pair::perfect();
    pair.run(seconds(10));
    for side in &pair.sides {
        assert!(side.reports.len().abs_diff(10) <= 1);
        let level = side.last().receive.level.expect("played");
        assert!((level - (0.3_f32 * 0.3 / 2.0).log10() * 10.0).abs() < 1.0, "{level}");
        assert!((side.last().send.level.expect("sent") - level).abs() < 1.0);
    }
    let side = &mut pair.sides[0];
    let mut levels = 0;
    for tick in 0..100 {
        side.hear(pair.now + FRAME_DURATION * tick);
        while let Some(event) = side.engine.poll_event() {
            levels += usize::from(matches!(event, MediaEvent::Levels { .. }));
        }
    }
    assert!((9..=10).contains(&levels), "{levels}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn no_datagram_panics(
        datagrams in proptest::collection::vec((any::<bool>(), 0_usize..3, any::<u64>(), proptest::collection::vec(any::<u8>(), 0..80)), 1..40),
    ) {
        let mut pair = Pair::perfect();
        pair.run(100 * MS);
        let real: Vec<Vec<u8>> = pair.sides[1].sent.iter().map(|(_, sent)| sent.bytes.clone()).collect();
        let own = Ssrc(pair.sides[0].rtp_sent(pair.t0)[0].ssrc.0);
        for (to_rtp, kind, draw, noise) in datagrams {
            let component = if to_rtp { Component::Rtp } else { Component::Rtcp };
            let bytes = match kind {
                // Noise, a real packet with a few octets changed, a report with noise behind it.
                0 => noise,
                1 => {
                    let mut bytes = real[draw as usize % real.len()].clone();
                    for (n, byte) in noise.iter().take(6).enumerate() {
                        let at = (*byte as usize + n * 5) % bytes.len();
                        bytes[at] ^= noise.last().copied().unwrap_or(1);
                    }
                    bytes
                }
                _ => {
                    let mut bytes = goodbye(own);
                    let words = noise.len() / 4;
                    bytes.extend([0x80 | (draw as u8 & 0x3f), 200 + (draw >> 8) as u8 % 8, 0, words as u8]);
                    bytes.extend(&noise[..words * 4]);
                    bytes
                }
            };
            let source = if to_rtp { pair.sides[1].rtp } else { pair.sides[1].rtcp };
            let now = pair.now;
            pair.sides[0].receive(now, component, source, &bytes);
            pair.run(Duration::from_millis(draw % 30));
        }
        pair.run(seconds(1));
        prop_assert!(!pair.sides[0].reports.is_empty());
    }
}
