//! The media engine: every stream of the phone, the mix between them and the sound devices, as one pure machine.
//!
//! The media thread owns it, binds the sockets and keeps time. After each input it drains `poll_transmit`,
//! `poll_event` and `poll_closed`, in this order, and waits until `poll_timeout`.
use crate::base::id::StreamId;
use crate::base::rng::Rng;
use crate::base::time::WallAnchor;
use crate::media::event::MediaEvent;
use crate::media::frame::{Frame, SILENCE};
use crate::media::spec::MediaCommand;
use crate::media::stats::DeviceReport;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Instant;

/// Which of a stream's two sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    Rtp,
    Rtcp,
}

/// A datagram that arrived on a stream's socket.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    pub stream: StreamId,
    pub component: Component,
    pub source: SocketAddr,
    /// The kernel's time of arrival, not the time of the read.
    pub arrived: Instant,
    pub bytes: &'a [u8],
}

/// A datagram to be sent from a stream's socket. Its buffer may be given back with [`Engine::recycle`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaTransmit {
    pub stream: StreamId,
    pub component: Component,
    pub destination: SocketAddr,
    pub bytes: Vec<u8>,
}

/// All streams of the phone.
#[derive(Debug)]
pub struct Engine {
    anchor: WallAnchor,
    rng: Rng,
    streams: BTreeMap<StreamId, ()>,
    transmits: VecDeque<MediaTransmit>,
    events: VecDeque<MediaEvent>,
    closed: VecDeque<StreamId>,
}

impl Engine {
    pub fn new(anchor: WallAnchor, rng: Rng) -> Self {
        Self {
            anchor,
            rng,
            streams: BTreeMap::new(),
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            closed: VecDeque::new(),
        }
    }

    /// Carries out a command. `Open` is the media thread's: it binds the sockets and calls [`Engine::handle_opened`],
    /// or reports `OpenFailed` itself.
    pub fn handle_command(&mut self, _now: Instant, command: MediaCommand) {
        if let MediaCommand::Close { stream, .. } = command
            && self.streams.remove(&stream).is_some()
        {
            self.closed.push_back(stream);
        }
    }

    /// The sockets of `stream` are bound to these local addresses; reports `Opened`.
    pub fn handle_opened(&mut self, _now: Instant, stream: StreamId, rtp: SocketAddr, rtcp: SocketAddr) {
        self.streams.insert(stream, ());
        self.events.push_back(MediaEvent::Opened { stream, rtp, rtcp });
    }

    pub fn handle_datagram(&mut self, _now: Instant, _datagram: Datagram<'_>) {}

    /// One 10 ms frame from the microphone.
    pub fn handle_capture(&mut self, _now: Instant, _frame: &Frame) {}

    /// Fills one 10 ms frame for the speaker; `plays_at` is when the device will have it heard.
    pub fn handle_playout(&mut self, _now: Instant, _plays_at: Instant, frame: &mut Frame) {
        *frame = SILENCE;
    }

    /// The socket refused a datagram.
    pub fn handle_refused(&mut self, _stream: StreamId, _component: Component) {}

    /// The sound devices changed state; forwarded as an event.
    pub fn handle_device(&mut self, _now: Instant, report: DeviceReport) {
        self.events.push_back(MediaEvent::Device(report));
    }

    pub fn handle_timeout(&mut self, _now: Instant) {}

    pub fn poll_transmit(&mut self) -> Option<MediaTransmit> {
        self.transmits.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<MediaEvent> {
        self.events.pop_front()
    }

    /// A stream whose sockets may be closed now: its BYE has been polled.
    pub fn poll_closed(&mut self) -> Option<StreamId> {
        if self.transmits.is_empty() { self.closed.pop_front() } else { None }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Takes back the buffer of a datagram that was sent.
    pub fn recycle(&mut self, _bytes: Vec<u8>) {}
}
