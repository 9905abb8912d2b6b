//! One stream of a call: what it sends, what it hears, its path and its RTCP, joined.
mod arrival;
pub mod inbound;
mod keys;
pub mod outbound;
mod reach;
mod secure;
pub mod shared;
mod vigil;

use crate::base::id::StreamId;
use crate::base::rng::Rng;
use crate::media::event::MediaEvent;
use crate::media::frame::Frame;
use crate::media::music::Place;
use crate::media::path::{Component, Path};
use crate::media::rtcp::session::Session;
use crate::media::spec::{Digit, Direction, Keying, StreamSpec};
use crate::media::srtp::context::Protection;
use crate::media::stats::StreamReport;
use crate::nat::candidate::PathState;
use crate::nat::traversal::{Socket, Traversal};
use inbound::Inbound;
use keys::rekey;
use outbound::Outbound;
use secure::{Held, Secure};
use shared::Shared;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use vigil::Vigil;

/// How often the state is reported.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// A stream whose sockets are open. It is silent both ways until it is configured.
#[derive(Debug)]
pub struct Stream {
    id: StreamId,
    rng: Rng,
    inbound: Inbound,
    outbound: Outbound,
    /// Where in the music the peer is while it is held.
    pub music: Place,
    running: Option<Running>,
    /// Kept while the stream is clear: its keys may come back, and their indices must go on then.
    protection: Option<Protection>,
    /// Searches for the way to the peer; `None` where the signalled addresses are taken as they are.
    nat: Option<Traversal>,
    /// Its sockets, by their numbers; none while they are only two of which the shell knows.
    opened: Vec<Socket>,
    told_path: Option<PathState>,
    vigil: Vigil,
    /// Of RTCP, where a handshake of its own keys it.
    rtcp_protection: Option<Protection>,
    /// Hellos that came before we knew whose they are: with the answer they race each other.
    early: Held,
    /// What a packet that was unprotected is read from, used again for each.
    clear: Vec<u8>,
}

/// What exists from the first offer/answer on.
#[derive(Debug)]
struct Running {
    spec: StreamSpec,
    path: Path,
    rtcp: Session,
    secure: Option<Secure>,
    /// A valid packet of this generation arrived.
    flowing: bool,
    next_report: Instant,
    /// The way was opened then.
    began: Instant,
    /// The host that packets with our own SSRC came from (RFC 3550 §8.2).
    conflict: Option<IpAddr>,
}

impl Stream {
    pub fn new(id: StreamId, mut rng: Rng) -> Self {
        let outbound = Outbound::new(&mut rng);
        Self {
            id,
            inbound: Inbound::default(),
            outbound,
            music: Place::default(),
            rng,
            running: None,
            protection: None,
            nat: None,
            opened: Vec::new(),
            told_path: None,
            vigil: Vigil::default(),
            rtcp_protection: None,
            early: Held::default(),
            clear: Vec::new(),
        }
    }

    /// Runs the stream as negotiated, or changes it.
    pub fn configure(&mut self, now: Instant, spec: StreamSpec, shared: &mut Shared) {
        self.inbound.configure(&spec);
        self.outbound.configure(&spec);
        self.configure_path(now, &spec, shared);
        if let Some(Keying::Sdes(keys)) = &spec.srtp {
            rekey(&mut self.protection, keys);
        }
        let (rtp, rtcp, mux) = (spec.remote_rtp, spec.remote_rtcp, spec.rtcp_mux);
        let (bandwidth, reduced) = (spec.rtcp_bandwidth, spec.rtcp_reduced_minimum);
        match &mut self.running {
            None => {
                self.running = Some(Running {
                    path: Path::new(now, rtp, rtcp, mux),
                    rtcp: Session::new(now, bandwidth, reduced, spec.description.clone(), &mut self.rng),
                    flowing: false,
                    next_report: now + REPORT_INTERVAL,
                    secure: None,
                    began: now,
                    conflict: None,
                    spec,
                });
            }
            Some(running) => {
                let before = &running.spec;
                if (before.generation, before.remote_rtp, before.remote_rtcp, before.rtcp_mux)
                    != (spec.generation, rtp, rtcp, mux)
                {
                    running.path.reopen(now, rtp, rtcp, mux);
                    running.flowing = false;
                    if let Some(secure) = &mut running.secure {
                        secure.give_leave();
                    }
                }
                running.rtcp.configure(now, bandwidth, reduced, &spec.description);
                running.spec = spec;
            }
        }
        self.configure_secure(now, shared);
    }

    /// Queues a digit; ignored while the direction forbids to send, since nobody waits for it later.
    pub fn send_digit(&mut self, digit: Digit, duration: Duration) {
        if self.running.as_ref().is_some_and(|running| running.spec.direction.sends()) {
            self.outbound.send_digit(digit, duration);
        }
    }

    pub fn handle_refused(&mut self) {
        self.outbound.refused += 1;
    }

    /// The peer is held: it hears us, and we do not hear it.
    pub fn holds(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.spec.direction == Direction::SendOnly)
    }

    /// Whether sound goes to the peer.
    pub fn sends(&self) -> bool {
        self.running.as_ref().is_some_and(|running| running.spec.direction.sends())
    }

    /// One frame from the microphone; silence where the user does not speak to this stream.
    pub fn handle_capture(&mut self, now: Instant, frame: &Frame, shared: &mut Shared) {
        let destination = self
            .running
            .as_ref()
            .filter(|running| running.spec.direction.sends() && !running.waits(Component::Rtp))
            .and_then(|running| self.rtp_destination(running));
        let mut bytes = shared.buffer();
        if !self.outbound.handle_frame(now, frame, destination.is_some(), &mut bytes) {
            shared.recycle(bytes);
            return;
        }
        if let (Some(destination), Some(running)) = (destination, &mut self.running) {
            running.rtcp.sent_rtp(now);
            self.send(now, Component::Rtp, destination, bytes, shared);
        }
    }

    /// Fills `frame` with 10 ms of what is heard; false if that is nothing.
    pub fn handle_playout(&mut self, now: Instant, plays_at: Instant, frame: &mut Frame) -> bool {
        let receives = self.running.as_ref().is_some_and(|running| running.spec.direction.receives());
        receives && self.inbound.handle_playout(now, plays_at, frame)
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let way = self
            .nat
            .as_ref()
            .and_then(|nat| [nat.poll_timeout(), self.vigil.poll_timeout()].into_iter().flatten().min());
        let Some(running) = self.running.as_ref() else { return way };
        let secure = running.secure.as_ref().and_then(Secure::poll_timeout);
        let others = running.rtcp.poll_timeout().into_iter().chain(self.inbound.poll_timeout()).chain(secure);
        Some(others.chain(way).fold(running.next_report, Instant::min))
    }

    pub fn handle_timeout(&mut self, now: Instant, shared: &mut Shared) {
        self.seek(now, shared);
        self.inbound.handle_timeout(now);
        self.tell_digits(shared);
        if let Some(Running { secure: Some(secure), .. }) = &mut self.running {
            secure.handle_timeout(now);
            self.drain_secure(now, shared);
        }
        let Some(running) = &mut self.running else { return };
        if running.rtcp.handle_timeout(now) {
            let (figures, mut bytes) = (self.inbound.receiver.report(), shared.buffer());
            let written = running.rtcp.write_report(now, &shared.anchor, &self.outbound.sender, figures, &mut bytes);
            match (written, self.rtcp_destination()) {
                (Ok(()), Some((component, destination))) => self.send(now, component, destination, bytes, shared),
                _ => shared.recycle(bytes),
            }
        }
        let Some(running) = &mut self.running else { return };
        if running.next_report <= now {
            running.next_report += REPORT_INTERVAL;
            if running.next_report <= now {
                running.next_report = now + REPORT_INTERVAL;
            }
            self.keep_mapping(now, shared);
            self.tell_path(shared);
            if let Some(report) = self.report(now) {
                shared.event(MediaEvent::Report { stream: self.id, report: Box::new(report) });
            }
        }
    }

    fn report(&mut self, now: Instant) -> Option<StreamReport> {
        let running = self.running.as_ref()?;
        let mut receive = self.inbound.report();
        receive.source = running.path.source();
        let mut send = self.outbound.report();
        send.destination = self.rtp_destination(running);
        Some(StreamReport {
            at: now,
            receive,
            send,
            remote: running.rtcp.remote(),
            round_trip: running.rtcp.round_trip(),
            participant: running.rtcp.participant().clone(),
        })
    }

    /// Says goodbye; nothing follows.
    pub fn close(&mut self, now: Instant, reason: &str, shared: &mut Shared) {
        if let Some(report) = self.report(now) {
            shared.event(MediaEvent::Report { stream: self.id, report: Box::new(report) });
        }
        self.write_goodbye(now, reason, shared);
        self.end_search(now, shared);
    }

    fn write_goodbye(&mut self, now: Instant, reason: &str, shared: &mut Shared) {
        let Some(running) = &mut self.running else { return };
        let (figures, mut bytes) = (self.inbound.receiver.report(), shared.buffer());
        let written =
            running.rtcp.write_goodbye(now, &shared.anchor, &self.outbound.sender, figures, reason, &mut bytes);
        match (written, self.rtcp_destination()) {
            (Ok(true), Some((component, destination))) => self.send(now, component, destination, bytes, shared),
            _ => shared.recycle(bytes),
        }
    }

    pub fn tell_digits(&mut self, shared: &mut Shared) {
        while let Some(told) = self.inbound.take_digit() {
            shared.event(MediaEvent::Digit { stream: self.id, digit: told.digit, duration: told.duration });
        }
    }

    /// Whether the microphone is muted, for the report.
    pub fn set_muted(&mut self, muted: bool) {
        self.outbound.muted = muted;
    }
}
