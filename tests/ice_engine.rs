//! Two media engines that find each other by ICE, in virtual time: how soon sound flows, and who is not heard.
#[path = "common/stream.rs"]
mod stream;

use offhook::base::id::StreamId;
use offhook::base::rng::Rng;
use offhook::base::time::WallAnchor;
use offhook::media::dtls::association::Role;
use offhook::media::dtls::certificate::Certificate;
use offhook::media::event::MediaEvent;
use offhook::media::frame::SILENCE;
use offhook::media::session::{Component, Datagram, Engine, Gather, MediaTransmit, Socket};
use offhook::media::spec::{Codec, Direction, DtlsSpec, IceSpec, Keying, MediaCommand, SourceDescription, StreamSpec};
use offhook::nat::candidate::{Candidate, Credentials, OWN_PACE, PathState, RTCP, RTP};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use stream::spec;

const STREAM: StreamId = StreamId(1);
const MS: Duration = Duration::from_millis(1);
struct Side {
    engine: Engine,
    sockets: Vec<Socket>,
    credentials: Credentials,
    candidates: Vec<Candidate>,
    events: Vec<(Duration, MediaEvent)>,
    /// When its first packet of sound left.
    spoke: Option<Duration>,
}

struct Net {
    start: Instant,
    now: Instant,
    /// One way.
    delay: Duration,
    /// How the sound is protected; `None`: it is not.
    keying: [Option<Keying>; 2],
    sides: [Side; 2],
    wire: Vec<(Instant, usize, Datagram<'static>, Vec<u8>)>,
}

fn at(text: &str) -> SocketAddr {
    text.parse().expect("address")
}

impl Net {
    fn new() -> Self {
        // Only their second networks meet.
        Self::of(&["198.51.100.1", "10.0.0.1"], &["203.0.113.1", "10.0.0.2"])
    }

    /// - `ours`, `theirs`: addresses; those that begin with 10 are of one network, the others lead nowhere.
    fn of(ours: &[&str], theirs: &[&str]) -> Self {
        let start = Instant::now();
        let side = |seed: u64, hosts: &[&str]| {
            let mut engine = Engine::new(WallAnchor::new(start, SystemTime::UNIX_EPOCH), Rng::from_u64(seed));
            let pair = |host: &str| {
                let socket = |component: u8| Socket {
                    component,
                    local: at(&format!("{host}:{}", 4_000 + u16::from(component))),
                };
                [socket(RTP), socket(RTCP)]
            };
            let sockets: Vec<Socket> = hosts.iter().flat_map(|host| pair(host)).collect();
            let credentials = Credentials::new(&mut Rng::from_u64(seed + 100));
            let gather = Gather { credentials: Some(credentials.clone()), ..Gather::default() };
            engine.handle_gather(start, STREAM, sockets.clone(), gather);
            engine.handle_command(start, MediaCommand::Focus { streams: vec![STREAM] });
            let candidates = match engine.poll_event() {
                Some(MediaEvent::Opened { candidates, .. }) => candidates,
                other => panic!("{other:?}"),
            };
            Side { engine, sockets, credentials, candidates, events: Vec::new(), spoke: None }
        };
        let sides = [side(1, ours), side(2, theirs)];
        Self { start, now: start, delay: MS, keying: [None, None], sides, wire: Vec::new() }
    }

    fn configure(&mut self, side: usize) {
        let spec = self.spec(side);
        self.run_spec(side, spec);
    }

    fn run_spec(&mut self, side: usize, spec: StreamSpec) {
        let command = MediaCommand::Configure { stream: STREAM, spec: Box::new(spec) };
        self.sides[side].engine.handle_command(self.now, command);
    }

    fn spec(&self, side: usize) -> StreamSpec {
        let other = &self.sides[1 - side];
        let ice = IceSpec {
            local: self.sides[side].credentials.clone(),
            remote: other.credentials.clone(),
            candidates: other.candidates.clone(),
            controlling: side == 0,
            remote_is_lite: false,
            pace: OWN_PACE,
        };
        StreamSpec {
            srtp: self.keying[side].clone(),
            ice: Some(Box::new(ice)),
            rtcp_reduced_minimum: true,
            description: SourceDescription { cname: format!("{side}"), ..SourceDescription::default() },
            ..spec(Codec::Pcmu, other.candidates[0].address, other.candidates[0].address)
        }
    }

    fn flush(&mut self) {
        for side in 0..2 {
            while let Some(MediaTransmit { socket, destination, bytes, .. }) = self.sides[side].engine.poll_transmit() {
                let source = self.sides[side].sockets[usize::from(socket)].local;
                if matches!(bytes[..], [0x80 | 0x90, kind, ..] if !(192..224).contains(&kind)) {
                    self.sides[side].spoke.get_or_insert(self.now - self.start);
                }
                let to = self.sides[1 - side].sockets.iter().position(|socket| socket.local == destination);
                // One network each, and one they share.
                let Some(to) = to.filter(|_| source.ip().to_string().starts_with("10.")) else { continue };
                self.deliver(1 - side, to, source, bytes);
            }
            let since = self.now - self.start;
            let side = &mut self.sides[side];
            side.events.extend(std::iter::from_fn(|| side.engine.poll_event()).map(|event| (since, event)));
        }
    }

    fn deliver(&mut self, side: usize, socket: usize, source: SocketAddr, bytes: Vec<u8>) {
        let component = if socket.is_multiple_of(2) { Component::Rtp } else { Component::Rtcp };
        let arrived = self.now + self.delay;
        let datagram = Datagram { stream: STREAM, component, socket: socket as u8, source, arrived, bytes: &[] };
        self.wire.push((arrived, side, datagram, bytes));
    }

    /// Frame by frame of 10 ms, each of ten steps.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            let since = (self.now - self.start).as_millis();
            let (due, later) = std::mem::take(&mut self.wire).into_iter().partition(|(at, ..)| *at <= self.now);
            self.wire = later;
            let due: Vec<(Instant, usize, Datagram<'static>, Vec<u8>)> = due;
            for (_, side, datagram, bytes) in due {
                self.sides[side].engine.handle_datagram(self.now, Datagram { bytes: &bytes, ..datagram });
            }
            for side in &mut self.sides {
                if side.engine.poll_timeout().is_some_and(|at| at <= self.now) {
                    side.engine.handle_timeout(self.now);
                }
                if since.is_multiple_of(10) {
                    side.engine.handle_capture(self.now, &SILENCE);
                    side.engine.handle_playout(self.now, self.now, &mut SILENCE.clone());
                }
            }
            self.flush();
            self.now += MS;
        }
    }

    fn when(&self, side: usize, fits: impl Fn(&MediaEvent) -> bool) -> Option<Duration> {
        self.sides[side].events.iter().find(|(_, event)| fits(event)).map(|(at, _)| *at)
    }
}

#[test]
fn sound_flows_within_150_ms_of_the_answer() {
    let mut net = Net::new();
    // The called side begins with its answer, the caller when it has come.
    net.configure(1);
    net.run(10 * MS);
    net.configure(0);
    net.run(Duration::from_secs(2));
    for side in [0, 1] {
        let chosen = net.when(side, |event| matches!(event, MediaEvent::Path { state: PathState::Chosen(_), .. }));
        let flowing = net.when(side, |event| matches!(event, MediaEvent::Flowing { .. }));
        let (chosen, flowing) = (chosen.expect("a way"), flowing.expect("sound"));
        assert!(chosen < 160 * MS && flowing < 200 * MS, "{side}: {chosen:?} {flowing:?}");
    }
    let last = net.sides[0].events.iter().rev().find_map(|(_, event)| match event {
        MediaEvent::Path { state: PathState::Chosen(view), .. } => Some(view.clone()),
        _ => None,
    });
    let view = last.expect("chosen");
    assert_eq!((view.local, view.remote), (at("10.0.0.1:4001"), at("10.0.0.2:4001")));
    assert!(view.nominated);
}

/// The answer leaves the called side and takes half a round trip; what is waited for then are a check and its answer, and
/// a handshake in which a cookie costs a round trip more. The called side checks and says hello meanwhile.
///
/// | round trips after the answer has come | caller | called |
/// |---|---|---|
/// | 0.5 | | its check is answered: hello |
/// | 1 | its check is answered: cookie | |
/// | 1.5 | | hello with the cookie |
/// | 2 | certificate | |
/// | 2.5 | | certificate, finished |
/// | 3 | finished: speaks | |
/// | 3.5 | | speaks |
///
/// Nomination and ticks are not waited for. A hello that comes before the caller's own check is answered waits for that: before,
/// nothing else may be sent (RFC 8445 §12.1, RFC 7675 §5).
#[test]
fn sound_that_dtls_protects_starts_within_three_round_trips_of_the_answer() {
    let certificates: [Arc<Certificate>; 2] =
        std::array::from_fn(|_| Arc::new(Certificate::generate().expect("random")));
    // The round trip, and how much later than the first check the answer comes: by then a hello may be there.
    for (rtt, late) in [(20, 0), (100, 0), (200, 0), (1, 8), (20, 40), (100, 200)] {
        let (rtt, late) = (rtt * MS, late * MS);
        let mut net = Net::of(&["10.0.0.1"], &["10.0.0.2"]);
        net.delay = rtt / 2;
        // Who answers says hello (RFC 5763 §5).
        net.keying = [(0, Role::Server), (1, Role::Client)].map(|(side, role)| {
            let told = [certificates[1 - side].fingerprint().clone()].into();
            let certificate = Arc::clone(&certificates[side]);
            Some(Keying::Dtls(DtlsSpec { certificate, role, told, association: 1 }))
        });
        net.configure(1);
        net.run(rtt / 2 + late);
        net.configure(0);
        let answer = net.now - net.start;
        net.run(6 * rtt + 200 * MS);
        let after = |time: Option<Duration>| time.expect("in time").saturating_sub(answer);
        let found = |event: &MediaEvent| matches!(event, MediaEvent::Path { state: PathState::Chosen(_), .. });
        assert!(
            after(net.when(0, found)) <= rtt + 10 * MS,
            "{rtt:?} {late:?}: the way after {:?}",
            after(net.when(0, found))
        );
        let spoke = [0, 1].map(|side| after(net.sides[side].spoke));
        let heard = [0, 1].map(|side| after(net.when(side, |event| matches!(event, MediaEvent::Flowing { .. }))));
        assert!(spoke[0] < 3 * rtt + 30 * MS, "{rtt:?} {late:?}: {spoke:?}");
        assert!(spoke[1] < 7 * rtt / 2 + 30 * MS, "{rtt:?} {late:?}: {spoke:?}");
        // A source is believed with its second packet.
        assert!(heard[1] < 7 * rtt / 2 + 50 * MS && heard[0] < 4 * rtt + 50 * MS, "{rtt:?} {late:?}: {heard:?}");
    }
}

#[test]
fn who_has_proven_nothing_is_not_heard() {
    let mut net = Net::new();
    let packet = |n: u8| vec![0x80, 0, 0, n, 0, 0, 0, n, 9, 9, 9, 9, 0x7f, 0x7f, 0x7f, 0x7f];
    for side in [1, 0] {
        net.configure(side);
    }
    // Before there is a way, and while the one is used: from elsewhere, and from the very address the peer described.
    for source in ["198.51.100.66:9", "203.0.113.1:4001"] {
        for n in 0..10 {
            net.deliver(0, 0, at(source), packet(n));
            net.deliver(0, 2, at(source), packet(n));
        }
    }
    net.run(Duration::from_secs(3));
    let report = net.sides[0].events.iter().rev().find_map(|(_, event)| match event {
        MediaEvent::Report { report, .. } => Some(report.clone()),
        _ => None,
    });
    let report = report.expect("a report");
    assert_eq!(report.receive.foreign, 40);
    assert_eq!(report.receive.ssrc_changes, 0);
    assert_eq!(report.receive.source, Some(at("10.0.0.2:4001")));
    assert!(report.receive.packets > 80);
}

/// A phone without ICE rings first and is heard; another that has it answers, and is reached by it.
#[test]
fn ice_follows_early_sound_without_it() {
    for follows in [true, false] {
        let mut net = Net::new();
        let early = at("10.0.0.9:4000");
        let spec =
            StreamSpec { ice: None, ice_may_follow: follows, remote_rtp: early, remote_rtcp: early, ..net.spec(0) };
        net.run_spec(0, spec);
        for n in 0..5 {
            net.deliver(0, 0, early, vec![0x80, 0, 0, n, 0, 0, 0, n, 9, 9, 9, 9, 0x7f, 0x7f, 0x7f, 0x7f]);
            net.run(20 * MS);
        }
        assert!(net.when(0, |event| matches!(event, MediaEvent::Flowing { .. })).is_some(), "the early sound");
        let answered = StreamSpec { generation: 2, ..net.spec(0) };
        net.run_spec(0, answered);
        net.configure(1);
        net.run(Duration::from_secs(1));
        let chosen = |event: &MediaEvent| matches!(event, MediaEvent::Path { state: PathState::Chosen(_), .. });
        assert_eq!(net.when(0, chosen).is_some(), follows, "what was found is kept");
    }
}

#[test]
fn a_way_without_ice_is_kept_open_while_nothing_is_said() {
    let start = Instant::now();
    for (mux, kept) in [(false, 3), (true, 0)] {
        let mut engine = Engine::new(WallAnchor::new(start, SystemTime::UNIX_EPOCH), Rng::from_u64(1));
        engine.handle_opened(start, STREAM, at("10.0.0.1:4000"), at("10.0.0.1:4001"));
        let peer = at("10.0.0.2:4000");
        let spec = StreamSpec {
            direction: Direction::RecvOnly,
            ..spec(Codec::Pcmu, peer, if mux { peer } else { at("10.0.0.2:4001") })
        };
        engine.handle_command(start, MediaCommand::Configure { stream: STREAM, spec: Box::new(spec) });
        let mut sent = Vec::new();
        for second in 0..=50 {
            engine.handle_timeout(start + second * 1000 * MS);
            sent.extend(std::iter::from_fn(|| engine.poll_transmit()));
        }
        let rtp = sent.iter().filter(|packet| packet.component == Component::Rtp && packet.bytes.get(1) != Some(&201));
        // A payload type that nobody has, and nothing in it (RFC 6263 §4.6).
        let empty = rtp
            .filter(|packet| packet.destination == peer && packet.bytes.len() == 12 && packet.bytes[1] & 0x7f == 127);
        assert_eq!(empty.count(), kept, "rtcp-mux {mux}");
    }
}
