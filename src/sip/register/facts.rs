//! What a registration is told to be, and what it tells of itself.
use super::{Failure, RequestId};
use crate::base::untrusted::Untrusted;
use crate::sip::message::{NameAddr, Request, Response, Uri};
use std::time::{Duration, Instant};

#[derive(Clone, Debug)]
pub struct Config {
    /// The address-of-record, for To and From.
    pub aor: NameAddr,
    /// The domain of the location service: `sip:example.org`, no user part.
    pub registrar: Uri,
    /// Route values, first hop first (an outbound proxy); usually none.
    pub route: Vec<NameAddr>,
    /// The lifetime to ask for.
    pub expires: Duration,
    pub user_agent: String,
    /// Names this phone for good: `urn:uuid:..` (RFC 5626 §4.1).
    pub instance: Option<String>,
    /// Numbers the flow among those of this phone (RFC 5626 §4.2); `None` without outbound.
    pub reg_id: Option<u32>,
}

/// What is true of the registration now.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    Off,
    /// Asking for the first time, or from another address.
    Registering,
    /// Bound until `expires`; refreshed in time.
    Registered {
        expires: Instant,
    },
    /// Tried again at `retry`; `None` while that is done.
    Failed {
        cause: Cause,
        retry: Option<Instant>,
    },
    Unregistering,
}

/// Why a registration failed.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    /// No response, or it could not be sent.
    Unreachable(Failure),
    /// What the user of this machine knows, in words: no such name, the flow is dead, the server sent us elsewhere.
    Told(String),
    /// Refused. `permanent`: nothing will change until the configuration does (403, 404, wrong password); tried again slowly.
    Refused { status: u16, reason: Untrusted, permanent: bool },
}

#[derive(Clone, Debug)]
pub enum Event {
    /// [`super::Registration::state`] changed.
    Changed(State),
    /// It is time to register: find the way, then call [`super::Registration::register`] or [`super::Registration::fail`].
    Due,
    /// 401 or 407: call [`super::Registration::authenticate`] or [`super::Registration::give_up`].
    Challenged { id: RequestId, request: Box<Request>, response: Box<Response> },
    /// The registrar saw us at another address than our Contact said: new dialogs should use this one.
    ContactChanged(Uri),
    /// 3xx: call [`super::Registration::follow`] with one of these, or [`super::Registration::fail`].
    Redirected { targets: Vec<Uri>, status: u16 },
    /// A way failed, and there is another one: [`Event::Due`] follows.
    WayFailed(Cause),
}
