//! The transaction layer: matching, absorption of retransmissions, timers, and the ways in and out (RFC 3261 §17, §18).
use super::{ClientKey, ServerKey};
use crate::base::net::{Flow, Received, Transmit};
use crate::base::rng::Rng;
use crate::sip::message::{Message, Request, Response};
use crate::sip::timer::Timers;
use std::time::Instant;

#[derive(Clone, Copy, Debug)]
pub struct Config {
    pub timers: Timers,
    /// Most client transactions at a time; a request beyond it fails at once as if it could not be sent.
    pub max_clients: usize,
    /// Most server transactions at a time; a request beyond it is answered 503.
    pub max_servers: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { timers: Timers::default(), max_clients: 16_384, max_servers: 16_384 }
    }
}

/// What was dropped or absorbed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Not a SIP message, or one that cannot be matched.
    pub malformed: u64,
    /// Requests and responses seen before.
    pub retransmissions: u64,
    /// Responses (other than 2xx to INVITE) that belong to no transaction.
    pub stray_responses: u64,
    /// Requests refused because there were too many transactions.
    pub refused: u64,
}

/// What the layer tells its user.
#[derive(Clone, Debug)]
pub enum Event {
    /// A new request (never ACK or CANCEL): answer it with [`Layer::respond`]. Its topmost Via carries `received` and `rport`
    /// already. `merged`: the same request arrived before on another way (RFC 3261 §8.2.2.2): a user agent answers 482.
    Request { key: ServerKey, request: Request, flow: Flow, merged: bool },
    /// The ACK of a 2xx. It belongs to a dialog, not to a transaction; stray ones come here as well.
    Ack { request: Request, flow: Flow },
    /// The INVITE `key` was cancelled (the CANCEL is answered already) and has no final response yet: answer it 487.
    Cancelled { key: ServerKey, cancel: Request },
    /// A response. Every 2xx to an INVITE comes up, retransmitted and forked ones included (RFC 6026 §7.2): each needs an
    /// ACK from the user. The ACK of other final responses was sent by the layer.
    Response { key: ClientKey, response: Response, flow: Flow },
    /// A 2xx to an INVITE whose transaction is over: a late retransmission, or a late fork. It needs an ACK from the user.
    StrayResponse { response: Response, flow: Flow },
    /// No final response in time (timers B and F, or 64*T1 after a CANCEL). The transaction is over.
    Timeout { key: ClientKey },
    /// The request could not be sent. The transaction is over.
    TransportError { key: ClientKey },
    /// No ACK came for a final response other than 2xx (timer H), or it could not be sent. Nothing needs to be done.
    ServerFailed { key: ServerKey },
}

/// All transactions of one user agent or proxy.
///
/// After each input drain [`Layer::poll_transmit`] and [`Layer::poll_event`], then wait until [`Layer::poll_timeout`].
#[derive(Debug)]
pub struct Layer {}

impl Layer {
    pub fn new(_config: Config, _rng: Rng) -> Self {
        unimplemented!()
    }

    /// Sends a request (not ACK; for CANCEL see [`Layer::cancel`]) in a new client transaction. A Via with our address and a
    /// new branch is put on top of those it has, so that a user agent gives none and a proxy gives those it received.
    pub fn send_request(&mut self, _now: Instant, _request: Request, _flow: Flow) -> ClientKey {
        unimplemented!()
    }

    /// Sends a request outside of transactions: the ACK of a 2xx. A Via is put on top; the same request gets the same
    /// branch each time (RFC 3261 §16.11).
    pub fn send_stateless(&mut self, _request: Request, _flow: Flow) {
        unimplemented!()
    }

    /// Cancels an INVITE: at once when a provisional response has come, else when the first one comes (RFC 3261 §9.1).
    /// Does nothing after a final response. The INVITE's own end is still reported: `Response` (487 or, when the
    /// messages crossed, 2xx) or `Timeout`. `reason` becomes the Reason header (RFC 3326).
    pub fn cancel(&mut self, _now: Instant, _key: &ClientKey, _reason: Option<&str>) {
        unimplemented!()
    }

    /// Sends a response. Ignored when the transaction is over or already has a final response (but a 2xx to INVITE may be
    /// sent again and again).
    pub fn respond(&mut self, _now: Instant, _key: &ServerKey, _response: Response) {
        unimplemented!()
    }

    /// Bytes from the network.
    pub fn handle_received(&mut self, _now: Instant, _received: Received) {
        unimplemented!()
    }

    /// A message from the network that was parsed already; else like [`Layer::handle_received`].
    pub fn handle_message(&mut self, _now: Instant, _message: Message, _flow: Flow) {
        unimplemented!()
    }

    /// Nothing can be sent on this flow: connection refused or lost, ICMP unreachable.
    pub fn handle_transport_error(&mut self, _now: Instant, _flow: &Flow) {
        unimplemented!()
    }

    pub fn handle_timeout(&mut self, _now: Instant) {
        unimplemented!()
    }

    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        unimplemented!()
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        unimplemented!()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        unimplemented!()
    }

    pub fn counters(&self) -> Counters {
        unimplemented!()
    }
}
