//! The media of a call: its ports, the stream it runs, what is heard and how well.
use super::Call;
use super::reach::Search;
use super::view::codec;
use crate::base::id::StreamId;
use crate::base::net::Flow;
use crate::base::time::WallAnchor;
use crate::media::event::MediaEvent;
use crate::media::spec::{MediaCommand, StreamSpec};
use crate::media::srtp::sdes::Suite;
use crate::media::stats::{DeviceReport, Participant, StreamReport};
use crate::qos::monitor::CallMonitor;
use crate::qos::snapshot::CallQuality;
use crate::ua::account::shown;
use crate::ua::event::Event;
use crate::ua::outbox::Outbox;
use crate::ua::snapshot::CallEnd;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long an answer of ours may wait for the ports.
const OPENING: Duration = Duration::from_secs(5);

/// What is known of the stream.
#[derive(Debug)]
pub(super) struct Media {
    pub monitor: CallMonitor,
    pub quality: Arc<CallQuality>,
    pub participant: Participant,
    /// When their sound arrived for the first time.
    pub first_heard: Option<Instant>,
    /// Ports were asked for, and are to be given back.
    pub opened: bool,
    /// The stream as it is agreed before we answered.
    pub withheld: Option<StreamSpec>,
    /// The stream as media runs it by now.
    pub spec: Option<StreamSpec>,
    /// What the DTLS handshake of the stream chose.
    pub secured: Option<Suite>,
    /// Received so far.
    packets: u64,
    /// When something was heard last, or could be expected.
    pub heard: Instant,
    pub opening_until: Option<Instant>,
    /// For the way it takes, where one has to be found.
    pub search: Search,
}

impl Media {
    pub fn new(now: Instant) -> Self {
        Self {
            monitor: CallMonitor::new(now),
            quality: Arc::default(),
            participant: Participant::default(),
            first_heard: None,
            opened: false,
            withheld: None,
            spec: None,
            secured: None,
            packets: 0,
            heard: now,
            opening_until: None,
            search: Search::default(),
        }
    }
}

impl Call {
    pub fn stream(&self) -> StreamId {
        StreamId(self.number.0)
    }

    /// Sound may flow: established, or early media.
    pub fn has_sound(&self) -> bool {
        !self.is_over() && self.media.spec.is_some()
    }

    /// Asks media for ports on the interface of the flow.
    pub fn open_media(&mut self, now: Instant, flow: Flow, out: &mut Outbox) {
        self.flow = Some(flow);
        if !self.media.opened {
            self.media.opened = true;
            self.media.opening_until = Some(now + OPENING);
            let open = self.open_at(flow.local.ip());
            out.media.push_back(open);
        }
    }

    pub fn handle_opened(&mut self, rtp: SocketAddr, rtcp: SocketAddr) {
        self.media.opening_until = None;
        self.plan.set_ports(rtp, rtcp);
    }

    /// There are no ports: without them there is no call, and nothing to close.
    pub fn handle_open_failed(&mut self, now: Instant, anchor: &WallAnchor, error: &str, out: &mut Outbox) {
        if self.is_established() || self.is_moving() {
            return self.not_moved(now, &shown(error, 80), out);
        }
        self.media.opened = false;
        self.fail(now, anchor, CallEnd::Failed, format!("no media ports: {}", shown(error, 80)), out);
    }

    pub fn configure(&mut self, now: Instant, spec: Option<StreamSpec>, out: &mut Outbox) {
        if self.withholds() {
            self.media.withheld = spec.or(self.media.withheld.take());
            return;
        }
        let held_by_peer = self.plan.negotiated().is_some_and(|n| n.held_by_peer);
        if self.held_by_us != self.want_hold || self.held_by_peer != held_by_peer {
            (self.held_by_us, self.held_by_peer) = (self.want_hold, held_by_peer);
            out.event(Event::HoldChanged { call: self.number, by_us: self.held_by_us, by_peer: held_by_peer });
        }
        self.run(now, spec, out);
    }

    /// Tells media what to run; what of it is on hold is another matter.
    pub(super) fn run(&mut self, now: Instant, spec: Option<StreamSpec>, out: &mut Outbox) {
        let Some(spec) = spec else { return };
        self.note_sound(&spec, out);
        self.media.monitor.handle_direction(now, spec.direction.sends(), spec.direction.receives());
        self.media.heard = now;
        self.spec_changes(&spec);
        let peer = |spec: &StreamSpec| spec.ice.as_ref().map(|ice| ice.remote.clone());
        if self.media.spec.as_ref().and_then(peer) != peer(&spec) {
            self.doubts.settle();
        }
        self.media.spec = Some(spec.clone());
        out.media.push_back(MediaCommand::Configure { stream: self.stream(), spec: Box::new(spec) });
    }

    /// The ladder tells when the sound changes: what, between whom, which way.
    fn note_sound(&self, new: &StreamSpec, out: &mut Outbox) {
        let key = |spec: &StreamSpec| (spec.send.codec, spec.direction, spec.remote_rtp, spec.srtp.is_some());
        if self.media.spec.as_ref().map(key) == Some(key(new)) {
            return;
        }
        let way = match (new.direction.sends(), new.direction.receives()) {
            (true, true) => "both ways",
            (true, false) => "we only send",
            (false, true) => "we only hear",
            (false, false) => "no way",
        };
        let protected = if new.srtp.is_some() { ", encrypted" } else { "" };
        out.note(self.number, format!("sound: {}, {way}, to {}{protected}", codec(new), new.remote_rtp));
    }

    /// What media tells of this call's stream.
    pub fn handle_media(&mut self, now: Instant, event: MediaEvent, out: &mut Outbox) {
        match event {
            MediaEvent::Flowing { .. } => {
                if self.media.first_heard.is_none() {
                    self.media.first_heard = Some(now);
                    out.note(self.number, "first sound heard");
                    if let Some(answered) = self.answered {
                        let took = now.saturating_duration_since(answered).as_millis();
                        out.log(format!("call {}: first sound {took} ms after the answer", self.number));
                    }
                }
                self.media.heard = now;
            }
            MediaEvent::Digit { digit, .. } => self.hear_digit(digit.to_char(), out),
            MediaEvent::Goodbye { reason, .. } => {
                // RTCP is easily forged: it never ends a call, it only explains one.
                out.log(format!("call {}: the peer's media said goodbye {}", self.number, reason.sanitize(60)));
            }
            MediaEvent::Report { report, .. } => self.handle_report(now, &report),
            MediaEvent::Path { state, .. } => self.handle_path(now, state, out),
            MediaEvent::Candidates { round, candidates, complete, .. } => {
                self.handle_found(round, candidates, complete)
            }
            MediaEvent::Doubt { doubt, .. } => self.handle_doubt(now, doubt, out),
            MediaEvent::Trouble { words, .. } => out.log(format!("call {}: {}", self.number, shown(&words, 160))),
            MediaEvent::Secured { suite, .. } => self.handle_secured(now, suite, out),
            MediaEvent::Unsecured { .. }
            | MediaEvent::Opened { .. }
            | MediaEvent::OpenFailed { .. }
            | MediaEvent::Levels { .. }
            | MediaEvent::Recording { .. }
            | MediaEvent::Recorded { .. }
            | MediaEvent::Device(_) => {}
        }
    }

    fn handle_report(&mut self, now: Instant, report: &StreamReport) {
        if report.receive.packets > self.media.packets {
            self.media.packets = report.receive.packets;
            self.media.heard = now;
        }
        self.media.quality = Arc::new(self.media.monitor.handle_report(report));
        self.media.participant = report.participant.clone();
    }

    pub fn handle_devices(&mut self, devices: &DeviceReport) {
        self.media.monitor.handle_devices(devices);
    }

    /// Since when nothing was heard although something should be; a peer that holds us need not play music.
    pub fn silent_since(&self) -> Option<Instant> {
        let expects = self.is_established()
            && !self.held_by_peer
            && self.media.spec.as_ref().is_some_and(|spec| spec.direction.receives());
        expects.then_some(self.media.heard)
    }
}
