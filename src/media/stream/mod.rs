//! One stream of a call: what it sends, what it hears, its path and its RTCP, joined.
pub mod inbound;
pub mod outbound;
mod reach;
mod secure;
pub mod shared;

use crate::base::id::StreamId;
use crate::base::rng::Rng;
use crate::media::dtls::association::Event as DtlsEvent;
use crate::media::event::MediaEvent;
use crate::media::frame::Frame;
use crate::media::music::Place;
use crate::media::path::{Admission, Component, Datagram, Path};
use crate::media::rtcp::compound::{self, Item};
use crate::media::rtcp::session::{Context, Session};
use crate::media::rtp::demux::{self, Kind};
use crate::media::rtp::packet::Packet;
use crate::media::spec::{Digit, Direction, Keying, StreamSpec};
use crate::media::srtp::context::{Protection, Refused};
use crate::media::srtp::sdes::Keys;
use crate::media::stats::StreamReport;
use crate::nat::candidate::PathState;
use crate::nat::traversal::{Socket, Traversal};
use inbound::Inbound;
use outbound::Outbound;
use secure::{Early, Held, Secure};
use shared::Shared;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

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

    /// A handshake begins where another association was agreed on; one that serves goes on.
    fn configure_secure(&mut self, now: Instant, shared: &mut Shared) {
        let Some(running) = &mut self.running else { return };
        let mux = running.spec.rtcp_mux;
        match &running.spec.srtp {
            Some(Keying::Dtls(spec)) if running.secure.as_ref().is_some_and(|secure| secure.serves(spec, mux)) => {}
            Some(Keying::Dtls(spec)) => running.secure = Some(Secure::new(now, spec.clone(), mux)),
            Some(Keying::Sdes(_)) | None => running.secure = None,
        }
        for early in self.early.take() {
            self.take_again(now, &early, shared);
        }
        self.drain_secure(now, shared);
    }

    fn take_again(&mut self, now: Instant, early: &Early, shared: &mut Shared) {
        let Early { component, source, arrived, ref bytes } = *early;
        let socket = component.socket();
        self.handle_media(now, &Datagram { stream: self.id, component, socket, source, arrived, bytes }, shared);
    }

    fn secure(&mut self) -> Option<&mut Secure> {
        self.running.as_mut()?.secure.as_mut()
    }

    /// Sends what the handshakes have to say, as soon as there is a way to the peer, and takes their keys.
    fn drain_secure(&mut self, now: Instant, shared: &mut Shared) {
        for component in [Component::Rtp, Component::Rtcp] {
            let destination = match (component, self.running.as_ref()) {
                (Component::Rtp, Some(running)) => self.rtp_destination(running),
                (Component::Rtcp, Some(_)) => self.rtcp_destination().map(|(_, to)| to),
                (_, None) => None,
            };
            let Some(destination) = destination else { continue };
            while let Some(bytes) = self.secure().and_then(|secure| secure.poll_transmit(component)) {
                self.transmit(now, component, destination, bytes, shared);
            }
        }
        let Some(Running { secure: Some(secure), .. }) = &mut self.running else { return };
        while let Some((component, event)) = secure.poll_event() {
            match (component, event) {
                (Component::Rtp, DtlsEvent::Secured(keys)) => {
                    rekey(&mut self.protection, &keys);
                    shared.event(MediaEvent::Secured { stream: self.id, suite: keys.suite });
                }
                (Component::Rtcp, DtlsEvent::Secured(keys)) => rekey(&mut self.rtcp_protection, &keys),
                (Component::Rtp, DtlsEvent::Failed(cause)) => {
                    shared.event(MediaEvent::Unsecured { stream: self.id, cause });
                }
                // Sound needs no reports: there are none then.
                (Component::Rtcp, DtlsEvent::Failed(_)) => {}
            }
        }
        if !secure.is_ready(Component::Rtp) {
            return;
        }
        for early in secure.held().take() {
            self.take_again(now, &early, shared);
        }
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

    /// Takes a datagram. What came before the first offer/answer was completed is nobody's: it is dropped uncounted.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &Datagram<'_>, shared: &mut Shared) {
        if self.is_media(now, datagram, shared) {
            self.handle_media(now, datagram, shared);
        }
        self.drain_secure(now, shared);
    }

    /// What is neither STUN nor TURN, from the peer itself.
    fn handle_media(&mut self, now: Instant, datagram: &Datagram<'_>, shared: &mut Shared) {
        let kind = demux::classify(datagram.bytes);
        let early = || {
            let Datagram { component, source, arrived, .. } = *datagram;
            Early { component, source, arrived, bytes: datagram.bytes.to_vec() }
        };
        let Some(running) = &mut self.running else {
            if kind == Kind::Dtls {
                self.early.push(early());
            }
            return;
        };
        match (kind, datagram.component) {
            (Kind::Rtp, Component::Rtp) | (Kind::Rtcp, _) => {}
            (Kind::Dtls, component) => {
                match &mut running.secure {
                    Some(secure)
                        if running.spec.ice.is_some() || running.path.admits_handshake(component, datagram.source) =>
                    {
                        secure.handle_datagram(now, component, datagram.bytes);
                        self.drain_secure(now, shared);
                    }
                    // A hello overtook the description that tells of it, or a stranger said it.
                    None if running.spec.srtp.is_none() => drop(self.early.push(early())),
                    Some(_) | None => self.inbound.foreign += 1,
                }
                return;
            }
            (Kind::Rtp, Component::Rtcp) | (Kind::Stun | Kind::Zrtp | Kind::Channel | Kind::Unknown, _) => {
                self.inbound.malformed += 1;
                return;
            }
        }
        if running.spec.ice.is_some() {
            // A check has proven it.
            running.path.admit_authentic(datagram.component, datagram.source);
        }
        if running.spec.srtp.is_none() {
            return self.handle_clear(now, kind, datagram, shared);
        }
        if let Some(secure) = running.secure.as_mut().filter(|secure| !secure.is_ready(datagram.component)) {
            if !secure.held().push(early()) {
                self.inbound.forged += 1;
            }
            return;
        }
        let mut clear = std::mem::take(&mut self.clear);
        let protection = match datagram.component {
            Component::Rtcp if running.secure.is_some() => &mut self.rtcp_protection,
            Component::Rtp | Component::Rtcp => &mut self.protection,
        };
        let opened = match (protection, kind) {
            (None, _) => Err(Refused::Forged),
            (Some(protection), Kind::Rtcp) => protection.unprotect_rtcp(datagram.bytes, &mut clear),
            (Some(protection), _) => protection.unprotect_rtp(datagram.bytes, &mut clear),
        };
        match opened {
            Ok(()) => {
                // RTCP opens no path for RTP unless both have one.
                if kind == Kind::Rtp || datagram.component == Component::Rtcp || running.spec.rtcp_mux {
                    running.path.admit_authentic(datagram.component, datagram.source);
                }
                self.handle_clear(now, kind, &Datagram { bytes: &clear, ..*datagram }, shared);
            }
            Err(Refused::Forged) => self.inbound.forged += 1,
            Err(Refused::Replayed) => self.inbound.replayed += 1,
        }
        self.clear = clear;
    }

    /// A packet that was clear, or is by now.
    fn handle_clear(&mut self, now: Instant, kind: Kind, datagram: &Datagram<'_>, shared: &mut Shared) {
        match kind {
            Kind::Rtcp => self.handle_rtcp(now, datagram, datagram.component, shared),
            _ => self.handle_rtp(now, datagram, shared),
        }
    }

    /// Sends a packet, protected where that was agreed on; what cannot be protected is not sent.
    fn send(
        &mut self,
        now: Instant,
        component: Component,
        destination: SocketAddr,
        mut bytes: Vec<u8>,
        shared: &mut Shared,
    ) {
        let secured = self.running.as_ref().is_none_or(|running| running.spec.srtp.is_some());
        let apart = self.running.as_ref().is_some_and(|running| running.secure.is_some());
        let protection = match component {
            Component::Rtcp if apart => &mut self.rtcp_protection,
            Component::Rtp | Component::Rtcp => &mut self.protection,
        };
        let fit = !secured
            || !self.running.as_ref().is_some_and(|running| running.waits(component))
                && protection.as_mut().is_some_and(|protection| {
                    let rtcp = demux::classify(&bytes) == Kind::Rtcp;
                    let done =
                        if rtcp { protection.protect_rtcp(&mut bytes) } else { protection.protect_rtp(&mut bytes) };
                    done.is_ok()
                });
        if fit {
            self.transmit(now, component, destination, bytes, shared);
        } else {
            shared.recycle(bytes);
        }
    }

    fn handle_rtp(&mut self, now: Instant, datagram: &Datagram<'_>, shared: &mut Shared) {
        let Some(running) = &mut self.running else { return };
        let Ok(packet) = Packet::parse(datagram.bytes) else {
            self.inbound.malformed += 1;
            return;
        };
        if !self.inbound.is_ours(&packet) {
            self.inbound.foreign += 1;
            return;
        }
        match running.path.admit_rtp(now, datagram.source, &packet.header) {
            Admission::Admitted => {}
            Admission::Pending => return,
            Admission::Foreign => {
                self.inbound.foreign += 1;
                return;
            }
        }
        // The second time it is the peer who sends our own packets back. That is no reason to be deaf to it: in a call
        // of two, this is what an echo service is.
        if packet.header.ssrc == self.outbound.sender.ssrc() && running.conflict != Some(datagram.source.ip()) {
            self.change_ssrc(now, datagram.source, shared);
        }
        let Some(running) = &mut self.running else { return };
        if self.inbound.handle(now, &packet, datagram.arrived, running.spec.direction.receives()) {
            running.rtcp.heard_rtp(now, packet.header.ssrc);
            if !running.flowing {
                running.flowing = true;
                shared.event(MediaEvent::Flowing { stream: self.id });
            }
        }
        self.tell_digits(shared);
    }

    fn handle_rtcp(&mut self, now: Instant, datagram: &Datagram<'_>, component: Component, shared: &mut Shared) {
        let Some(running) = &mut self.running else { return };
        let reduced = running.spec.rtcp_reduced_size;
        let read = if reduced { compound::parse_reduced } else { compound::parse };
        let Ok(items) = read(datagram.bytes) else {
            self.inbound.malformed += 1;
            return;
        };
        let reporter = items.first().and_then(|item| match item {
            Item::Report { reporter, .. } => Some(*reporter),
            _ => None,
        });
        let heard = self.inbound.receiver.ssrc();
        match running.path.admit_rtcp(component, datagram.source, reporter, heard) {
            Admission::Admitted => {}
            Admission::Pending | Admission::Foreign => {
                self.inbound.foreign += 1;
                return;
            }
        }
        if reporter == Some(self.outbound.sender.ssrc()) {
            if running.conflict == Some(datagram.source.ip()) {
                return;
            }
            self.change_ssrc(now, datagram.source, shared);
        }
        let Some(running) = &mut self.running else { return };
        let learned = running.rtcp.handle(
            &items,
            &Context {
                now,
                arrived: datagram.arrived,
                own: self.outbound.sender.ssrc(),
                source: heard,
                clock_rate: self.outbound.sender.clock_rate(),
                size: datagram.bytes.len(),
            },
        );
        self.inbound.malformed += learned.broken;
        self.inbound.foreign += learned.forged;
        self.inbound.feedback += learned.feedback;
        self.outbound.is_known |= learned.reported;
        if let Some(remote) = running.rtcp.remote().filter(|_| learned.reported) {
            self.outbound.set_expected_loss(remote.fraction_lost);
        }
        if let Some(reason) = learned.goodbye {
            shared.event(MediaEvent::Goodbye { stream: self.id, reason });
        }
    }

    /// The peer has our SSRC: we leave under it and come back under another (RFC 3550 §8.2).
    fn change_ssrc(&mut self, now: Instant, source: SocketAddr, shared: &mut Shared) {
        self.write_goodbye(now, "SSRC collision", shared);
        self.outbound.sender.change_ssrc(&mut self.rng, self.inbound.receiver.ssrc());
        self.outbound.is_known = false;
        if let Some(running) = &mut self.running {
            running.conflict = Some(source.ip());
        }
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
        let way = self.nat.as_ref().and_then(Traversal::poll_timeout);
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

impl Running {
    /// Nothing may be sent before the keys are there.
    fn waits(&self, component: Component) -> bool {
        self.secure.as_ref().is_some_and(|secure| !secure.is_ready(component))
    }
}

fn rekey(protection: &mut Option<Protection>, keys: &Keys) {
    match protection {
        Some(protection) => protection.rekey(keys),
        none @ None => *none = Some(Protection::new(keys)),
    }
}
