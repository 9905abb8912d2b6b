//! A conference of five media engines in virtual time, one of which mixes: who hears whom, told by the pitch of each.
#[path = "common/stream.rs"]
mod stream;

use offhook::base::id::StreamId;
use offhook::base::rng::Rng;
use offhook::base::time::WallAnchor;
use offhook::media::dsp::goertzel::power;
use offhook::media::frame::{FRAME, FRAME_DURATION, Frame};
use offhook::media::session::{Datagram, Engine};
use offhook::media::spec::{Codec, MediaCommand};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};
use stream::spec;

/// What the device needs from the frame to the ear.
const DEVICE: Duration = Duration::from_millis(25);
/// What each says \[Hz\]: ourselves, then the peers. Nothing of one is a harmonic of another.
const PITCHES: [f32; 5] = [400.0, 610.0, 920.0, 1_330.0, 1_870.0];
const CODECS: [Codec; 4] = [Codec::Pcmu, Codec::Opus, Codec::Pcma, Codec::Opus];

/// Ours is the first engine; peer `n` is joined to its stream `n`.
struct Room {
    now: Instant,
    engines: Vec<Engine>,
    spoken: usize,
    /// What comes out of the speaker of each, since it was taken last.
    heard: Vec<Vec<f32>>,
}

/// Where the engine of peer `n` lives, and where our stream to it does.
fn place(n: usize, ours: bool) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, if ours { 1 } else { n as u8 + 1 }], 4000 + 2 * n as u16))
}

impl Room {
    fn new() -> Self {
        let now = Instant::now();
        let anchor = WallAnchor::new(now, SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        let mut engines: Vec<Engine> = (0..5).map(|n| Engine::new(anchor, Rng::from_u64(90 + n))).collect();
        for (n, codec) in (1..).zip(CODECS) {
            for (at, stream, ours) in [(0, StreamId(n as u32), true), (n, StreamId(1), false)] {
                let engine = &mut engines[at];
                engine.handle_opened(now, stream, place(n, ours), place(n, ours));
                let spec = Box::new(spec(codec, place(n, !ours), place(n, !ours)));
                engine.handle_command(now, MediaCommand::Configure { stream, spec });
                engine.handle_command(now, MediaCommand::Focus { streams: vec![stream] });
            }
        }
        Self { now, engines, spoken: 0, heard: vec![Vec::new(); 5] }
    }

    fn join(&mut self, parties: &[u32]) {
        let streams = parties.iter().map(|n| StreamId(*n)).collect();
        self.engines[0].handle_command(self.now, MediaCommand::Focus { streams });
    }

    fn run(&mut self, milliseconds: usize) {
        self.heard.iter_mut().for_each(Vec::clear);
        for _ in 0..milliseconds / 10 {
            self.now += FRAME_DURATION;
            let now = self.now;
            for (engine, (pitch, heard)) in self.engines.iter_mut().zip(PITCHES.iter().zip(&mut self.heard)) {
                let mut frame: Frame = std::array::from_fn(|n| {
                    let time = (self.spoken + n) as f64 / 48_000.0;
                    (0.25 * (std::f64::consts::TAU * f64::from(*pitch) * time).sin()) as f32
                });
                engine.handle_capture(now, &frame);
                engine.handle_playout(now, now + DEVICE, &mut frame);
                heard.extend_from_slice(&frame);
                engine.handle_timeout(now);
            }
            self.spoken += FRAME;
            self.deliver();
        }
    }

    /// The network: a place is known by its address.
    fn deliver(&mut self) {
        for at in 0..self.engines.len() {
            while let Some(transmit) = self.engines[at].poll_transmit() {
                let n = if at == 0 { transmit.stream.0 as usize } else { at };
                let (to, stream, source) =
                    if at == 0 { (n, StreamId(1), place(n, true)) } else { (0, StreamId(n as u32), place(n, false)) };
                let (component, bytes) = (transmit.component, &transmit.bytes);
                let datagram =
                    Datagram { stream, component, socket: component.socket(), source, arrived: self.now, bytes };
                self.engines[to].handle_datagram(self.now, datagram);
            }
            while self.engines[at].poll_event().is_some() {}
        }
    }

    /// Who is heard by whom, of ourselves (0) and the peers, with everybody's level \[dB\] against what is spoken.
    fn levels(&self, listener: usize) -> BTreeMap<usize, f64> {
        let sound = &self.heard[listener];
        let tail = &sound[sound.len() - 48_000..];
        let level = |pitch: &f32| 10.0 * (power(tail, f64::from(*pitch), 48_000.0) / (0.25 * 0.25_f64.powi(2))).log10();
        PITCHES.iter().map(level).enumerate().collect()
    }

    fn hears(&self, listener: usize) -> Vec<usize> {
        self.levels(listener).into_iter().filter(|(_, level)| *level > -8.0).map(|(n, _)| n).collect()
    }
}

#[test]
fn each_party_hears_all_others_and_never_itself() {
    let mut room = Room::new();
    room.join(&[1, 2, 3, 4]);
    room.run(3_000);
    for listener in 0..5 {
        for (speaker, level) in room.levels(listener) {
            let expected = if speaker == listener { f64::MIN..-45.0 } else { -8.0..1.0 };
            assert!(expected.contains(&level), "{listener} hears {speaker} at {level:.1} dB");
        }
        assert!(room.heard[listener].iter().all(|sample| sample.abs() < 0.99), "{listener} hears an overload");
    }
}

#[test]
fn who_is_outside_hears_nobody_and_is_not_heard() {
    let mut room = Room::new();
    room.join(&[1, 3]);
    room.run(2_500);
    let hear = |room: &Room| (0..5).map(|n| room.hears(n)).collect::<Vec<_>>();
    assert_eq!(hear(&room), [vec![1, 3], vec![0, 3], vec![], vec![0, 1], vec![]]);
    room.join(&[3, 1, 4]);
    room.run(2_500);
    assert_eq!(hear(&room), [vec![1, 3, 4], vec![0, 3, 4], vec![], vec![0, 1, 4], vec![0, 1, 3]]);
    room.join(&[]);
    room.run(2_500);
    assert_eq!(hear(&room), vec![Vec::<usize>::new(); 5]);
}

#[test]
fn mute_silences_the_microphone_and_nobody_else() {
    let mut room = Room::new();
    room.join(&[1, 2]);
    let now = room.now;
    room.engines[0].handle_command(now, MediaCommand::Mute(true));
    room.run(2_500);
    assert_eq!([room.hears(0), room.hears(1), room.hears(2)], [vec![1, 2], vec![2], vec![1]]);
}

/// What it takes to reach us is measured, and what it takes to reach another peer through us: the mix adds a frame.
#[test]
fn the_mix_adds_one_frame_of_delay() {
    let mut room = Room::new();
    room.join(&[1, 3]);
    // Speech begins at an instant: until then nobody says anything.
    let quiet = |room: &mut Room| {
        let now = room.now;
        room.engines[1].handle_command(now, MediaCommand::Mute(true));
        room.engines[0].handle_command(now, MediaCommand::Mute(true));
        room.engines[3].handle_command(now, MediaCommand::Mute(true));
    };
    quiet(&mut room);
    room.run(2_000);
    let now = room.now;
    room.engines[1].handle_command(now, MediaCommand::Mute(false));
    room.run(1_000);
    let onset = |sound: &[f32]| sound.iter().position(|s| s.abs() > 0.1).expect("heard") as f64 / 48.0;
    let (ours, theirs) = (onset(&room.heard[0]), onset(&room.heard[3]));
    // From us on: 10 ms in the mix, a packet of 20 ms, a device period, and the buffer of the listener.
    assert!(theirs - ours < 10.0 + 20.0 + ours, "{ours} ms to us, {theirs} ms to the other");
}
