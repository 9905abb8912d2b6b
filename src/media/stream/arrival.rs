//! What arrives for a stream: told apart (RFC 7983), unprotected, and given to the receiver or to RTCP (RFC 3550).
use super::Stream;
use super::secure::Early;
use super::shared::Shared;
use crate::media::event::MediaEvent;
use crate::media::path::{Admission, Component, Datagram};
use crate::media::rtcp::compound::{self, Item};
use crate::media::rtcp::session::Context;
use crate::media::rtp::demux::{self, Kind};
use crate::media::rtp::packet::Packet;
use crate::media::srtp::context::Refused;
use std::net::SocketAddr;
use std::time::Instant;

impl Stream {
    /// Takes a datagram. What came before the first offer/answer was completed is nobody's: it is dropped uncounted.
    pub fn handle_datagram(&mut self, now: Instant, datagram: &Datagram<'_>, shared: &mut Shared) {
        if self.is_media(now, datagram, shared) {
            self.handle_media(now, datagram, shared);
        }
        self.drain_secure(now, shared);
    }

    /// What is neither STUN nor TURN, from the peer itself.
    pub(super) fn handle_media(&mut self, now: Instant, datagram: &Datagram<'_>, shared: &mut Shared) {
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
            self.vigil.handle_heard(now);
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
}
