//! The keys of a stream: handshakes begun and heard, and packets protected with what they agreed on (RFC 5764, RFC 3711).
use super::secure::{Early, Secure};
use super::shared::Shared;
use super::{Running, Stream};
use crate::media::dtls::association::Event as DtlsEvent;
use crate::media::event::MediaEvent;
use crate::media::path::{Component, Datagram};
use crate::media::rtp::demux::{self, Kind};
use crate::media::spec::Keying;
use crate::media::srtp::context::Protection;
use crate::media::srtp::sdes::Keys;
use std::net::SocketAddr;
use std::time::Instant;

impl Stream {
    /// A handshake begins where another association was agreed on; one that serves goes on.
    pub(super) fn configure_secure(&mut self, now: Instant, shared: &mut Shared) {
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
    pub(super) fn drain_secure(&mut self, now: Instant, shared: &mut Shared) {
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

    /// Sends a packet, protected where that was agreed on; what cannot be protected is not sent.
    pub(super) fn send(
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
}

impl Running {
    /// Nothing may be sent before the keys are there.
    pub(super) fn waits(&self, component: Component) -> bool {
        self.secure.as_ref().is_some_and(|secure| !secure.is_ready(component))
    }
}

pub(super) fn rekey(protection: &mut Option<Protection>, keys: &Keys) {
    match protection {
        Some(protection) => protection.rekey(keys),
        none @ None => *none = Some(Protection::new(keys)),
    }
}
