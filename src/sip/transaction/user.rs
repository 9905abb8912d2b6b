//! What the transaction layer and its users exchange (RFC 3261 §5, §17): plain data, so that both can be tested alone.
//!
//! A usage (`invite`, `register`, ...) names each request it sends by a [`RequestId`] of its own. Whoever owns the usage
//! and the layer keeps the map from `ClientKey` to `RequestId`, chooses the flow, and may send the same request again on
//! another flow when the first one fails (RFC 3263 §4.3) without telling the usage.
use super::ServerKey;
use crate::sip::message::{Request, Response, Uri};

/// Names a request of one usage; meaningful only to the usage that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u32);

/// What a usage wants done.
#[derive(Clone, Debug)]
pub enum Output {
    /// Start a client transaction: `Layer::send_request` on a flow towards `next_hop` (RFC 3261 §8.1.2).
    /// Its outcome is told by `handle_response` or `handle_failure` with the same `id`.
    Request { id: RequestId, request: Request, next_hop: Uri },
    /// Send the ACK of a 2xx: `Layer::send_stateless`. It has no outcome.
    Ack { request: Request, next_hop: Uri },
    /// CANCEL that request: `Layer::cancel`. The request's own outcome still follows. `reason` is a Reason header value.
    Cancel { id: RequestId, reason: Option<String> },
    /// Answer: `Layer::respond`.
    Response { key: ServerKey, response: Response },
}

/// Why a request has no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nobody answered in time; counts as 408 (RFC 3261 §8.1.3.1).
    Timeout,
    /// It could not be sent; counts as 503.
    Transport,
}

impl Failure {
    /// The status this failure counts as (RFC 3261 §8.1.3.1).
    pub fn status(self) -> u16 {
        match self {
            Self::Timeout => 408,
            Self::Transport => 503,
        }
    }
}
