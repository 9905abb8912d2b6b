//! The DTLS of one stream (RFC 5764 §3): an association for RTP, one for RTCP where it has a port of its own, and what
//! came before their keys did.
use crate::media::dtls::association::{Association, Event};
use crate::media::path::Component;
use crate::media::spec::DtlsSpec;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// Packets that are kept until the keys are there: a third of a second of sound.
const MAX_HELD: usize = 16;
/// A longer one is not kept \[octets\].
const MAX_LENGTH: usize = 2048;

#[derive(Debug)]
pub struct Secure {
    spec: DtlsSpec,
    rtp: Association,
    rtcp: Option<Association>,
    held: Held,
}

/// Datagrams that came too early: to be looked at again.
#[derive(Debug, Default)]
pub struct Held(VecDeque<Early>);

#[derive(Debug)]
pub struct Early {
    pub component: Component,
    pub source: SocketAddr,
    pub arrived: Instant,
    pub bytes: Vec<u8>,
}

impl Held {
    /// False when one is lost by it.
    pub fn push(&mut self, early: Early) -> bool {
        if early.bytes.len() > MAX_LENGTH {
            return false;
        }
        let full = self.0.len() >= MAX_HELD;
        if full {
            self.0.pop_front();
        }
        self.0.push_back(early);
        !full
    }

    pub fn take(&mut self) -> VecDeque<Early> {
        std::mem::take(&mut self.0)
    }
}

impl Secure {
    pub fn new(now: Instant, spec: DtlsSpec, rtcp_mux: bool) -> Self {
        let associate = || Association::new(now, spec.role, &spec.certificate, Arc::clone(&spec.told));
        Self { rtp: associate(), rtcp: (!rtcp_mux).then(associate), spec, held: Held::default() }
    }

    /// Whether the handshakes of this serve for that, too.
    pub fn serves(&self, spec: &DtlsSpec, rtcp_mux: bool) -> bool {
        self.spec == *spec && self.rtcp.is_none() == rtcp_mux
    }

    pub fn is_ready(&self, component: Component) -> bool {
        match component {
            Component::Rtp => self.rtp.is_secured(),
            Component::Rtcp => self.rtcp.as_ref().is_some_and(Association::is_secured),
        }
    }

    /// The first octets tell that it is DTLS, and its source that it is the peer's.
    pub fn handle_datagram(&mut self, now: Instant, component: Component, bytes: &[u8]) {
        match (component, &mut self.rtcp) {
            (Component::Rtp, _) => self.rtp.handle_datagram(now, bytes),
            (Component::Rtcp, Some(rtcp)) => rtcp.handle_datagram(now, bytes),
            (Component::Rtcp, None) => {}
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.rtp.poll_timeout().into_iter().chain(self.rtcp.as_ref().and_then(Association::poll_timeout)).min()
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.rtp.handle_timeout(now);
        if let Some(rtcp) = &mut self.rtcp {
            rtcp.handle_timeout(now);
        }
    }

    pub fn poll_transmit(&mut self, component: Component) -> Option<Vec<u8>> {
        match component {
            Component::Rtp => self.rtp.poll_transmit(),
            Component::Rtcp => self.rtcp.as_mut()?.poll_transmit(),
        }
    }

    pub fn poll_event(&mut self) -> Option<(Component, Event)> {
        let rtcp = |rtcp: &mut Association| Some((Component::Rtcp, rtcp.poll_event()?));
        let rtp = self.rtp.poll_event().map(|event| (Component::Rtp, event));
        rtp.or_else(|| self.rtcp.as_mut().and_then(rtcp))
    }

    pub fn held(&mut self) -> &mut Held {
        &mut self.held
    }
}
