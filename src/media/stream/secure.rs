//! The DTLS of one stream (RFC 5764 §3): an association for RTP, one for RTCP where it has a port of its own, and what
//! came before their keys did.
use crate::media::dtls::association::{Association, Event, Role};
use crate::media::path::Component;
use crate::media::spec::DtlsSpec;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// Packets that are kept until the keys are there: a third of a second of sound.
const MAX_HELD: usize = 16;
/// Associations a peer may begin after one offer/answer; hellos that come late count, too.
const LEAVE: u8 = 4;
/// A longer one is not kept \[octets\].
const MAX_LENGTH: usize = 2048;

#[derive(Debug)]
pub struct Secure {
    spec: DtlsSpec,
    rtp: End,
    rtcp: Option<End>,
    held: Held,
}

/// One component: the association that keys it, and another that a client has begun in its place. The first serves until
/// the second has proven itself (RFC 6347 §4.2.8).
#[derive(Debug)]
struct End {
    current: Association,
    next: Option<Association>,
    /// Associations that may yet be begun. Only signalling gives leave: some peers shake hands anew after each
    /// offer/answer, and without one nobody has a reason to.
    leave: u8,
}

impl End {
    fn new(now: Instant, spec: &DtlsSpec) -> Self {
        Self { current: associate(now, spec), next: None, leave: 0 }
    }

    fn handle_datagram(&mut self, now: Instant, spec: &DtlsSpec, bytes: &[u8]) {
        if self.next.is_none() && self.leave > 0 && self.current.is_secured() && is_hello(bytes) {
            self.leave -= 1;
            self.next = Some(associate(now, spec));
        }
        self.next.as_mut().unwrap_or(&mut self.current).handle_datagram(now, bytes);
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.current.handle_timeout(now);
        if let Some(next) = &mut self.next {
            next.handle_timeout(now);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.current.poll_timeout().into_iter().chain(self.next.as_ref().and_then(Association::poll_timeout)).min()
    }

    fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        let next = |next: &mut Association| next.poll_transmit();
        self.current.poll_transmit().or_else(|| self.next.as_mut().and_then(next))
    }

    fn poll_event(&mut self) -> Option<Event> {
        match self.next.as_mut().and_then(Association::poll_event) {
            Some(Event::Secured(keys)) => {
                if let Some(next) = self.next.take() {
                    self.current = next;
                }
                Some(Event::Secured(keys))
            }
            // What came to nothing was never more than an attempt.
            Some(Event::Failed(_)) => {
                self.next = None;
                None
            }
            None => self.current.poll_event(),
        }
    }
}

fn associate(now: Instant, spec: &DtlsSpec) -> Association {
    Association::new(now, spec.role, &spec.certificate, Arc::clone(&spec.told))
}

/// A clear record that begins with a ClientHello.
fn is_hello(bytes: &[u8]) -> bool {
    matches!(bytes, [22, _, _, 0, 0, _, _, _, _, _, _, _, _, 1, ..])
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
        let end = || End::new(now, &spec);
        Self { rtp: end(), rtcp: (!rtcp_mux).then(end), spec, held: Held::default() }
    }

    /// Whether the handshakes of this serve for that, too.
    pub fn serves(&self, spec: &DtlsSpec, rtcp_mux: bool) -> bool {
        self.spec == *spec && self.rtcp.is_none() == rtcp_mux
    }

    /// Signalling has spoken again.
    pub fn give_leave(&mut self) {
        if self.spec.role == Role::Server {
            self.rtp.leave = LEAVE;
            self.rtcp.iter_mut().for_each(|rtcp| rtcp.leave = LEAVE);
        }
    }

    fn end(&mut self, component: Component) -> Option<&mut End> {
        match component {
            Component::Rtp => Some(&mut self.rtp),
            Component::Rtcp => self.rtcp.as_mut(),
        }
    }

    pub fn is_ready(&self, component: Component) -> bool {
        match component {
            Component::Rtp => self.rtp.current.is_secured(),
            Component::Rtcp => self.rtcp.as_ref().is_some_and(|rtcp| rtcp.current.is_secured()),
        }
    }

    /// The first octets tell that it is DTLS, and its source that it is the peer's.
    pub fn handle_datagram(&mut self, now: Instant, component: Component, bytes: &[u8]) {
        let end = match component {
            Component::Rtp => Some(&mut self.rtp),
            Component::Rtcp => self.rtcp.as_mut(),
        };
        if let Some(end) = end {
            end.handle_datagram(now, &self.spec, bytes);
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.rtp.poll_timeout().into_iter().chain(self.rtcp.as_ref().and_then(End::poll_timeout)).min()
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.rtp.handle_timeout(now);
        if let Some(rtcp) = &mut self.rtcp {
            rtcp.handle_timeout(now);
        }
    }

    pub fn poll_transmit(&mut self, component: Component) -> Option<Vec<u8>> {
        self.end(component)?.poll_transmit()
    }

    pub fn poll_event(&mut self) -> Option<(Component, Event)> {
        let both = [Component::Rtp, Component::Rtcp];
        both.into_iter().find_map(|component| Some((component, self.end(component)?.poll_event()?)))
    }

    pub fn held(&mut self) -> &mut Held {
        &mut self.held
    }
}
