//! The media engine: every stream of the phone, the mix between them and the sound devices, as one pure machine.
//!
//! The media thread owns it, binds the sockets and keeps time. After each input it drains `poll_transmit`,
//! `poll_event` and `poll_closed`, in this order, and waits until `poll_timeout`.
use crate::base::id::StreamId;
use crate::base::rng::Rng;
use crate::base::time::WallAnchor;
use crate::media::conference::Conference;
use crate::media::event::MediaEvent;
use crate::media::frame::{Frame, SILENCE};
use crate::media::mix::Mixer;
use crate::media::music::Music;
pub use crate::media::path::{Component, Datagram, MediaTransmit};
use crate::media::record::Tap;
use crate::media::spec::MediaCommand;
use crate::media::stats::DeviceReport;
use crate::media::stream::Stream;
use crate::media::stream::shared::Shared;
pub use crate::nat::candidate::Gather;
pub use crate::nat::traversal::{Done, Helper, Order, Socket};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

/// More streams than any phone has calls.
const MAX_STREAMS: usize = 64;

/// All streams of the phone.
#[derive(Debug)]
pub struct Engine {
    rng: Rng,
    streams: BTreeMap<StreamId, Stream>,
    conference: Conference,
    mixer: Mixer,
    /// What held calls hear.
    music: Music,
    /// Of the streams that are recorded.
    taps: BTreeMap<StreamId, Tap>,
    muted: bool,
    shared: Shared,
    closed: VecDeque<StreamId>,
}

impl Engine {
    pub fn new(anchor: WallAnchor, rng: Rng) -> Self {
        Self {
            rng,
            streams: BTreeMap::new(),
            conference: Conference::default(),
            mixer: Mixer::default(),
            music: Music::default(),
            taps: BTreeMap::new(),
            muted: false,
            shared: Shared::new(anchor),
            closed: VecDeque::new(),
        }
    }

    /// Carries out a command. `Open` is the media thread's: it binds the sockets and calls [`Engine::handle_opened`],
    /// or reports `OpenFailed` itself. Commands for a stream that is not open are ignored: it was closed meanwhile.
    pub fn handle_command(&mut self, now: Instant, command: MediaCommand) {
        match command {
            MediaCommand::Open { .. } => {}
            MediaCommand::Configure { stream, spec } => {
                if let Some(stream) = self.streams.get_mut(&stream) {
                    stream.configure(now, *spec, &mut self.shared);
                }
            }
            MediaCommand::Focus { streams } => self.conference.set(&streams),
            MediaCommand::Candidates { stream, credentials, candidates } => {
                if let Some(stream) = self.streams.get_mut(&stream) {
                    stream.add_candidates(now, &credentials, &candidates, &mut self.shared);
                }
            }
            MediaCommand::SendDigit { stream, digit, duration } => {
                if let Some(stream) = self.streams.get_mut(&stream) {
                    stream.send_digit(digit, duration);
                }
            }
            MediaCommand::Close { stream, reason } => {
                self.taps.remove(&stream);
                if let Some(mut open) = self.streams.remove(&stream) {
                    open.close(now, &reason, &mut self.shared);
                    self.closed.push_back(stream);
                }
            }
            MediaCommand::Record { stream, recording } => {
                match recording.filter(|_| self.streams.contains_key(&stream)) {
                    Some(recording) => drop(self.taps.insert(stream, Tap::new(recording.notice))),
                    None => drop(self.taps.remove(&stream)),
                }
            }
            MediaCommand::Play(tone) => self.mixer.play(tone),
            MediaCommand::Mute(muted) => {
                self.muted = muted;
                self.mixer.set_muted(muted);
                self.streams.values_mut().for_each(|stream| stream.set_muted(muted));
            }
            MediaCommand::Gain { capture, playback } => self.mixer.set_gains(capture, playback),
        }
    }

    /// The sockets of `stream` are bound to these local addresses; reports `Opened`. One stream too many is closed at
    /// once; one that is open already goes on at these.
    pub fn handle_opened(&mut self, now: Instant, stream: StreamId, rtp: SocketAddr, rtcp: SocketAddr) {
        if let Some(open) = self.streams.get_mut(&stream) {
            open.end_search(now, &mut self.shared);
            return self.shared.event(MediaEvent::Opened { stream, rtp, rtcp, candidates: Vec::new(), complete: true });
        }
        if !self.add_stream(stream) {
            return;
        }
        self.shared.event(MediaEvent::Opened { stream, rtp, rtcp, candidates: Vec::new(), complete: true });
    }

    fn add_stream(&mut self, stream: StreamId) -> bool {
        if self.streams.len() >= MAX_STREAMS {
            let error = "too many media streams".to_owned();
            self.shared.event(MediaEvent::OpenFailed { stream, error });
            self.closed.push_back(stream);
            return false;
        }
        let mut open = Stream::new(stream, self.rng.fork());
        open.set_muted(self.muted);
        self.streams.insert(stream, open);
        true
    }

    /// As `handle_opened`, for a stream that is to find out where it may be reached first: `Opened` follows when it knows.
    ///
    /// - `sockets`: all of the stream, by their numbers; the first two are those of RTP and RTCP.
    pub fn handle_gather(&mut self, now: Instant, stream: StreamId, sockets: Vec<Socket>, gather: Gather) {
        if !self.streams.contains_key(&stream) && !self.add_stream(stream) {
            return;
        }
        if let Some(open) = self.streams.get_mut(&stream) {
            open.gather(now, gather, sockets, &mut self.shared);
        }
    }

    /// What the shell did of [`Engine::poll_order`].
    pub fn handle_done(&mut self, now: Instant, stream: StreamId, done: Done) {
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.handle_done(now, done, &mut self.shared);
        }
    }

    /// What only the shell can do for a stream: names to be looked up, connections to servers.
    pub fn poll_order(&mut self) -> Option<(StreamId, Order)> {
        self.shared.poll_order()
    }

    pub fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) {
        if let Some(stream) = self.streams.get_mut(&datagram.stream) {
            stream.handle_datagram(now, &datagram, &mut self.shared);
        }
    }

    /// One 10 ms frame from the microphone. It also carries the time of everything that is sent: a device that records
    /// nothing must be replaced by silence.
    pub fn handle_capture(&mut self, now: Instant, frame: &Frame) {
        let heard = self.mixer.capture(frame);
        for (id, stream) in &mut self.streams {
            let mut frame = match self.conference.tell(*id, &heard) {
                Some(frame) => {
                    stream.music.pause();
                    frame
                }
                None if stream.holds() => self.music.play(&mut stream.music),
                None => SILENCE,
            };
            if let Some(tap) = self.taps.get_mut(id) {
                if stream.sends() {
                    tap.tell(&mut frame);
                } else {
                    tap.told = SILENCE;
                }
            }
            stream.handle_capture(now, &frame, &mut self.shared);
        }
        self.meter(now);
    }

    /// Fills one 10 ms frame for the speaker; `plays_at` is when the device will have it heard.
    pub fn handle_playout(&mut self, now: Instant, plays_at: Instant, frame: &mut Frame) {
        *frame = SILENCE;
        for (id, stream) in &mut self.streams {
            // Streams out of focus are played to nobody, so that their buffers keep time.
            let mut sound = SILENCE;
            let plays = stream.handle_playout(now, plays_at, &mut sound);
            stream.tell_digits(&mut self.shared);
            if plays && self.conference.has(*id) {
                self.mixer.add(frame, &sound);
            }
            if let Some(tap) = self.taps.get_mut(id) {
                tap.said = sound;
            }
            self.conference.hear(*id, plays.then_some(&sound));
        }
        self.mixer.finish(frame);
        self.meter(now);
    }

    /// What those hear from now on who are held.
    pub fn set_music(&mut self, music: Music) {
        self.music = music;
    }

    /// Both sides of a stream that is recorded, as they were in the frame captured and played last.
    pub fn tap(&self, stream: StreamId) -> Option<&Tap> {
        self.taps.get(&stream)
    }

    fn meter(&mut self, now: Instant) {
        if let Some(levels) = self.mixer.poll_levels(now) {
            self.shared.event(MediaEvent::Levels { capture: levels.capture, playback: levels.playback });
        }
    }

    /// The socket refused a datagram.
    pub fn handle_refused(&mut self, stream: StreamId, _component: Component) {
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.handle_refused();
        }
    }

    /// The sound devices changed state; forwarded as an event.
    pub fn handle_device(&mut self, _now: Instant, report: DeviceReport) {
        self.shared.event(MediaEvent::Device(report));
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        for stream in self.streams.values_mut() {
            if stream.poll_timeout().is_some_and(|at| at <= now) {
                stream.handle_timeout(now, &mut self.shared);
            }
        }
    }

    pub fn poll_transmit(&mut self) -> Option<MediaTransmit> {
        self.shared.poll_transmit()
    }

    pub fn poll_event(&mut self) -> Option<MediaEvent> {
        self.shared.poll_event()
    }

    /// A stream whose sockets may be closed now: its BYE has been polled.
    pub fn poll_closed(&mut self) -> Option<StreamId> {
        if self.shared.has_transmits() { None } else { self.closed.pop_front() }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.streams.values().filter_map(Stream::poll_timeout).min()
    }

    /// Takes back the buffer of a datagram that was sent, for the next one.
    pub fn recycle(&mut self, bytes: Vec<u8>) {
        self.shared.recycle(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn one_stream_too_many_is_closed_and_commands_for_none_are_ignored() {
        let now = Instant::now();
        let mut engine = Engine::new(WallAnchor::new(now, SystemTime::UNIX_EPOCH), Rng::from_u64(1));
        let address = SocketAddr::from(([127, 0, 0, 1], 4000));
        for stream in 0..=MAX_STREAMS as u32 {
            engine.handle_opened(now, StreamId(stream), address, address);
        }
        let last = StreamId(MAX_STREAMS as u32);
        assert_eq!(engine.poll_closed(), Some(last));
        let events: Vec<MediaEvent> = std::iter::from_fn(|| engine.poll_event()).collect();
        assert!(matches!(&events[MAX_STREAMS], MediaEvent::OpenFailed { stream, .. } if *stream == last));
        engine.handle_opened(now, StreamId(0), address, address);
        engine.handle_command(now, MediaCommand::Close { stream: last, reason: String::new() });
        engine.handle_refused(last, Component::Rtp);
        engine.handle_timeout(now);
        let opened = MediaEvent::Opened {
            stream: StreamId(0),
            rtp: address,
            rtcp: address,
            candidates: Vec::new(),
            complete: true,
        };
        let opened = Some(opened);
        assert_eq!(engine.poll_event(), opened, "told again");
        assert_eq!((engine.poll_event(), engine.poll_closed(), engine.poll_transmit()), (None, None, None));
        assert_eq!(engine.poll_timeout(), None, "nothing is configured");
    }

    #[test]
    fn without_streams_there_is_silence_and_tones() {
        let now = Instant::now();
        let mut engine = Engine::new(WallAnchor::new(now, SystemTime::UNIX_EPOCH), Rng::from_u64(1));
        let mut frame = [1.0; SILENCE.len()];
        engine.handle_playout(now, now, &mut frame);
        assert_eq!(frame, SILENCE);
        engine.handle_command(
            now,
            MediaCommand::Play(Some(crate::media::spec::Tone::Ring(crate::media::spec::Ring::Usual))),
        );
        let heard = (0..10).any(|_| {
            engine.handle_playout(now, now, &mut frame);
            frame.iter().any(|sample| sample.abs() > 0.05)
        });
        assert!(heard);
    }
}
