//! How a stream reaches its peer: over the signalled addresses, or over what ICE found (`nat::traversal`).
use super::{Running, Stream};
use crate::media::event::MediaEvent;
use crate::media::path::{Component, Datagram, MediaTransmit};
use crate::media::spec::StreamSpec;
use crate::media::stream::shared::Shared;
use crate::nat::candidate::{Candidate, Credentials, Gather, RTCP};
use crate::nat::traversal::{Done, Event, Socket, Traversal, Verdict};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// NATs keep a way for at least 30 s (RFC 6263 §3).
const KEEP_ALIVE: Duration = Duration::from_secs(15);

impl Stream {
    /// Finds out where this stream may be reached; its sockets are told in the order of their numbers. What ran before runs
    /// no more: the sockets are others, or the credentials are.
    pub fn gather(&mut self, now: Instant, gather: Gather, sockets: Vec<Socket>, shared: &mut Shared) {
        let mut nat = Traversal::new(now, gather, sockets.clone(), self.rng.fork());
        if let Some(before) = &self.nat {
            nat.adopt(now, before);
        }
        self.end_search(now, shared);
        self.opened = sockets;
        self.nat = Some(nat);
        self.drain_search(now, shared);
    }

    /// With ICE the checks begin; without, nothing is searched for any more unless it may follow, but where we are seen is
    /// watched.
    pub fn configure_path(&mut self, now: Instant, spec: &StreamSpec, shared: &mut Shared) {
        let searches = match (&mut self.nat, &spec.ice) {
            (Some(nat), Some(ice)) => {
                nat.configure(now, ice, spec.rtcp_mux);
                true
            }
            (Some(_), None) if spec.ice_may_follow => true,
            (Some(nat), None) => nat.forget_ice(now),
            (None, _) => false,
        };
        if !searches {
            self.end_search(now, shared);
        }
        self.drain_search(now, shared);
    }

    /// The peer told of more after its description.
    pub fn add_candidates(
        &mut self,
        now: Instant,
        credentials: &Credentials,
        candidates: &[Candidate],
        shared: &mut Shared,
    ) {
        if let Some(nat) = &mut self.nat {
            nat.add_candidates(now, credentials, candidates);
        }
        self.drain_search(now, shared);
    }

    pub fn seek(&mut self, now: Instant, shared: &mut Shared) {
        if self.vigil.is_broken(now)
            && let Some(nat) = &mut self.nat
        {
            nat.suspect(now);
        }
        if let Some(nat) = self.nat.as_mut().filter(|nat| nat.poll_timeout().is_some_and(|at| at <= now)) {
            nat.handle_timeout(now);
        }
        self.drain_search(now, shared);
    }

    pub fn handle_done(&mut self, now: Instant, done: Done, shared: &mut Shared) {
        if let Some(nat) = &mut self.nat {
            nat.handle_done(now, done);
        }
        self.drain_search(now, shared);
    }

    /// Gives back what servers hold for us.
    pub fn end_search(&mut self, now: Instant, shared: &mut Shared) {
        if let Some(nat) = &mut self.nat {
            nat.close(now);
        }
        self.drain_search(now, shared);
        self.nat = None;
    }

    /// Whether the datagram is the peer's; what is STUN or TURN is dealt with here.
    pub fn is_media(&mut self, now: Instant, datagram: &Datagram<'_>, shared: &mut Shared) -> bool {
        let Some(nat) = &mut self.nat else { return true };
        let mut verdict = nat.handle_datagram(now, datagram.socket, datagram.source, datagram.bytes);
        if verdict == Verdict::Foreign && self.running.as_ref().is_some_and(|running| running.spec.ice.is_none()) {
            // Who has no ICE proves itself in another way.
            verdict = Verdict::Media;
        }
        match verdict {
            Verdict::Consumed => self.drain_search(now, shared),
            Verdict::Foreign if self.running.is_some() => self.inbound.foreign += 1,
            Verdict::Foreign | Verdict::Media => {}
        }
        verdict == Verdict::Media
    }

    fn uses_ice(&self, running: &Running) -> bool {
        running.spec.ice.is_some() && self.nat.as_ref().is_some_and(Traversal::has_ice)
    }

    pub(super) fn rtp_destination(&self, running: &Running) -> Option<SocketAddr> {
        match &self.nat {
            Some(nat) if self.uses_ice(running) => nat.destination(Component::Rtp.number()).map(|(_, to)| to),
            _ => running.path.rtp_destination(),
        }
    }

    pub fn rtcp_destination(&self) -> Option<(Component, SocketAddr)> {
        let running = self.running.as_ref()?;
        match &self.nat {
            Some(nat) if self.uses_ice(running) => {
                let component = if running.spec.rtcp_mux { Component::Rtp } else { Component::Rtcp };
                nat.destination(component.number()).map(|(_, to)| (component, to))
            }
            _ => running.path.rtcp_destination(),
        }
    }

    /// The only way out for what is the peer's: from the socket of the component, or over the pair that ICE chose.
    pub fn transmit(
        &mut self,
        now: Instant,
        component: Component,
        destination: SocketAddr,
        bytes: Vec<u8>,
        shared: &mut Shared,
    ) {
        let ice = self.running.as_ref().is_some_and(|running| self.uses_ice(running));
        match &mut self.nat {
            Some(nat) if ice => {
                nat.send(now, component.number(), &bytes);
                shared.recycle(bytes);
                self.drain_search(now, shared);
            }
            _ => {
                let socket = component.socket();
                shared.transmit(MediaTransmit { stream: self.id, component, socket, destination, bytes });
            }
        }
    }

    /// A NAT forgets a way over which nothing was sent for a while: so something is, that nobody plays (RFC 6263 §4.6). ICE
    /// has its consent for that, and RTCP on the same ports does as well.
    pub fn keep_mapping(&mut self, now: Instant, shared: &mut Shared) {
        let Some(running) = &self.running else { return };
        let last = self.outbound.sender.last_sent().unwrap_or(running.began).max(running.began);
        let kept = running.spec.rtcp_mux || running.spec.ice.is_some();
        let Some(destination) = running.path.rtp_destination() else { return };
        if kept || now.saturating_duration_since(last) < KEEP_ALIVE {
            return;
        }
        let known = |payload_type: &u8| {
            let spec = &running.spec;
            let formats = spec.receive.iter().chain([&spec.send]).map(|format| format.payload_type);
            let events = spec.receive_events.iter().chain(&spec.send_events).map(|event| event.payload_type);
            formats.chain(events).any(|other| other == *payload_type)
        };
        let Some(unknown) = (96..128).rev().find(|payload_type| !known(payload_type)) else { return };
        let mut bytes = shared.buffer();
        match self.outbound.sender.write(now, unknown, 0, &[], &mut bytes) {
            Ok(()) => self.send(now, Component::Rtp, destination, bytes, shared),
            Err(_) => shared.recycle(bytes),
        }
        self.outbound.sender.pause();
    }

    fn drain_search(&mut self, now: Instant, shared: &mut Shared) {
        let Some(nat) = &mut self.nat else { return };
        while let Some(out) = nat.poll_transmit() {
            let rtcp = self.opened.get(usize::from(out.socket)).is_some_and(|socket| socket.component == RTCP);
            shared.transmit(MediaTransmit {
                stream: self.id,
                component: if rtcp { Component::Rtcp } else { Component::Rtp },
                socket: out.socket,
                destination: out.destination,
                bytes: out.bytes,
            });
        }
        while let Some(order) = nat.poll_order() {
            shared.order(self.id, order);
        }
        while let Some(event) = nat.poll_event() {
            match event {
                Event::Gathered { candidates, complete } => {
                    if let [rtp, rtcp, ..] = self.opened.as_slice() {
                        let (rtp, rtcp) = (rtp.local, rtcp.local);
                        shared.event(MediaEvent::Opened { stream: self.id, rtp, rtcp, candidates, complete });
                    }
                }
                Event::Found { round, candidates, complete } => {
                    shared.event(MediaEvent::Candidates { stream: self.id, round, candidates, complete });
                }
                Event::Path(state) => {
                    self.told_path = Some(state.clone());
                    shared.event(MediaEvent::Path { stream: self.id, state });
                }
                Event::Doubt(doubt) => shared.event(MediaEvent::Doubt { stream: self.id, doubt }),
                Event::Trouble(words) => shared.event(MediaEvent::Trouble { stream: self.id, words }),
            }
        }
        let mut heard = Vec::new();
        while let Some(data) = nat.poll_data() {
            heard.push(data);
        }
        for (component, source, bytes) in heard {
            let component = if component == RTCP { Component::Rtcp } else { Component::Rtp };
            let socket = component.socket();
            let datagram = Datagram { stream: self.id, component, socket, source, arrived: now, bytes: &bytes };
            self.handle_media(now, &datagram, shared);
        }
    }

    /// Tells what changed about the pair in use: its round trip is measured again and again.
    pub fn tell_path(&mut self, shared: &mut Shared) {
        let Some(state) = self.nat.as_ref().and_then(Traversal::path) else { return };
        if self.told_path.as_ref() != Some(&state) {
            self.told_path = Some(state.clone());
            shared.event(MediaEvent::Path { stream: self.id, state });
        }
    }
}
