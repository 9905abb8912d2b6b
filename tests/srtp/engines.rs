//! Two engines that talk, in virtual time.
use crate::key;
use crate::stream::spec;
use offhook::base::id::StreamId;
use offhook::base::rng::Rng;
use offhook::base::time::WallAnchor;
use offhook::media::event::MediaEvent;
use offhook::media::frame::{FRAME, FRAME_DURATION, Frame};
use offhook::media::session::{Component, Datagram, Engine, MediaTransmit};
use offhook::media::spec::{Codec, Keying, MediaCommand, SourceDescription, StreamSpec};
use offhook::media::srtp::sdes::{Keys, Suite};
use offhook::media::stats::StreamReport;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

pub const STREAM: StreamId = StreamId(1);

/// One phone's engine and what came of it.
pub struct Side {
    pub engine: Engine,
    pub address: SocketAddr,
    pub spec: StreamSpec,
    pub sent: Vec<MediaTransmit>,
    pub report: Option<StreamReport>,
    pub events: Vec<MediaEvent>,
    pub heard: Vec<f32>,
    pub spoken: usize,
}

/// Two phones and the network between them, in virtual time.
pub struct World {
    pub now: Instant,
    pub sides: [Side; 2],
    /// What becomes of a datagram from either side.
    pub network: fn(usize, usize, MediaTransmit) -> Vec<MediaTransmit>,
    pub count: [usize; 2],
}

impl World {
    /// Both have the same keys already.
    pub fn new(suite: Suite) -> Self {
        let keys = |a, b| Some(Keying::Sdes(Keys { suite, send: key(suite, a), receive: key(suite, b) }));
        let mut world = Self::with([keys(1, 2), keys(2, 1)]);
        world.configure(0);
        world.configure(1);
        world
    }

    /// Nothing runs yet.
    pub fn with([one, two]: [Option<Keying>; 2]) -> Self {
        let now = Instant::now();
        let side = |own: &str, peer: &str, srtp, seed| {
            let at = |host: &str, port: u16| SocketAddr::new(host.parse().unwrap(), port);
            let mut engine = Engine::new(WallAnchor::new(now, SystemTime::UNIX_EPOCH), Rng::from_u64(seed));
            engine.handle_opened(now, STREAM, at(own, 4000), at(own, 4001));
            engine.handle_command(now, MediaCommand::Focus { streams: vec![STREAM] });
            let spec = StreamSpec {
                srtp,
                rtcp_reduced_minimum: true,
                description: SourceDescription { cname: own.into(), ..SourceDescription::default() },
                ..spec(Codec::Pcmu, at(peer, 4000), at(peer, 4001))
            };
            Side {
                engine,
                address: at(own, 4000),
                spec,
                sent: vec![],
                report: None,
                events: vec![],
                heard: vec![],
                spoken: 0,
            }
        };
        let sides = [side("192.0.2.1", "192.0.2.2", one, 1), side("192.0.2.2", "192.0.2.1", two, 2)];
        Self { now, sides, network: |_, _, datagram| vec![datagram], count: [0; 2] }
    }

    pub fn configure(&mut self, n: usize) {
        let spec = Box::new(self.sides[n].spec.clone());
        self.sides[n].engine.handle_command(self.now, MediaCommand::Configure { stream: STREAM, spec });
    }

    pub fn give(&mut self, n: usize, component: Component, source: SocketAddr, bytes: &[u8]) {
        let datagram =
            Datagram { stream: STREAM, component, socket: component.socket(), source, arrived: self.now, bytes };
        self.sides[n].engine.handle_datagram(self.now, datagram);
    }

    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            for n in 0..2 {
                let (now, side) = (self.now, &mut self.sides[n]);
                let pitch = [440.0, 700.0][n];
                let frame: Frame = std::array::from_fn(|at| {
                    let time = (side.spoken + at) as f32 / 48_000.0;
                    0.3 * (std::f32::consts::TAU * (pitch * time).fract()).sin()
                });
                side.spoken += FRAME;
                side.engine.handle_capture(now, &frame);
                let mut frame = [0.0; FRAME];
                side.engine.handle_playout(now, now, &mut frame);
                side.heard.extend_from_slice(&frame);
                side.engine.handle_timeout(now);
                while let Some(event) = side.engine.poll_event() {
                    match event {
                        MediaEvent::Report { report, .. } => side.report = Some(*report),
                        MediaEvent::Levels { .. } => {}
                        event => side.events.push(event),
                    }
                }
                let source = side.address;
                while let Some(datagram) = self.sides[n].engine.poll_transmit() {
                    self.sides[n].sent.push(datagram.clone());
                    self.count[n] += 1;
                    for arrived in (self.network)(n, self.count[n], datagram) {
                        let port = if arrived.component == Component::Rtp { 4000 } else { 4001 };
                        self.give(1 - n, arrived.component, SocketAddr::new(source.ip(), port), &arrived.bytes);
                    }
                }
            }
            self.now += FRAME_DURATION;
        }
    }

    pub fn hears(&self, n: usize) -> bool {
        let heard = &self.sides[n].heard;
        let lately = &heard[heard.len() - 24_000..];
        let power = offhook::media::dsp::goertzel::power(lately, [700.0, 440.0][n], 48_000.0);
        power > 0.5 * 0.3 * 0.3 / 4.0
    }

    pub fn report(&self, n: usize) -> &StreamReport {
        self.sides[n].report.as_ref().expect("reported")
    }
}
