//! Registration: keeps one binding of our Contact at the registrar (RFC 3261 §10).
//!
//! A [`Registration`] hears the responses to its own requests, speaks through [`Output`] and tells facts through [`Event`],
//! exactly as `invite::Session` does.
pub use crate::sip::transaction::{Failure, Output, RequestId};

use crate::base::rng::Rng;
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
}

/// What is true of the registration now.
#[derive(Clone, Debug)]
pub enum State {
    Off,
    /// Asking for the first time, or again after a failure.
    Registering,
    /// Bound until `expires`; refreshed in time.
    Registered {
        expires: Instant,
    },
    /// Tried again at `retry`.
    Failed {
        cause: Cause,
        retry: Instant,
    },
    Unregistering,
}

/// Why a registration failed.
#[derive(Clone, Debug)]
pub enum Cause {
    /// No response, or it could not be sent.
    Unreachable(Failure),
    /// Refused. `permanent`: nothing will change until the configuration does (403, 404, wrong password); tried again slowly.
    Refused { status: u16, reason: Untrusted, permanent: bool },
}

#[derive(Clone, Debug)]
pub enum Event {
    /// [`Registration::state`] changed.
    Changed(State),
    /// 401 or 407: call [`Registration::authenticate`] or [`Registration::give_up`].
    Challenged { id: RequestId, request: Box<Request>, response: Box<Response> },
    /// The registrar saw us at another address than our Contact said: new dialogs should use this one.
    ContactChanged(Uri),
}

/// One account at its registrar.
#[derive(Debug)]
pub struct Registration {}

impl Registration {
    /// `contact` is our address towards the registrar; its user part is replaced by a random one, which tells requests meant
    /// for us from those of strangers.
    pub fn new(_config: Config, _contact: Uri, _rng: Rng) -> Self {
        unimplemented!()
    }

    /// Registers now, whatever the state: at start, on the user's wish, after suspend or a network change.
    pub fn start(&mut self, _now: Instant) {
        unimplemented!()
    }

    /// Removes our binding; ends in `Off`, also when the registrar does not answer.
    pub fn stop(&mut self, _now: Instant) {
        unimplemented!()
    }

    pub fn state(&self) -> &State {
        unimplemented!()
    }

    /// The Contact that is or will be bound; also right for calls of this account.
    pub fn contact(&self) -> &Uri {
        unimplemented!()
    }

    /// Our address changed (another network): the binding is moved with the next registration; call `start` to do it now.
    pub fn set_contact(&mut self, _contact: Uri) {
        unimplemented!()
    }

    pub fn authenticate(&mut self, _now: Instant, _id: RequestId, _headers: Vec<(String, String)>) {
        unimplemented!()
    }

    /// The challenge cannot be met: counts as a permanent refusal.
    pub fn give_up(&mut self, _now: Instant, _id: RequestId) {
        unimplemented!()
    }

    pub fn handle_response(&mut self, _now: Instant, _id: RequestId, _response: Response) {
        unimplemented!()
    }

    pub fn handle_failure(&mut self, _now: Instant, _id: RequestId, _failure: Failure) {
        unimplemented!()
    }

    pub fn handle_timeout(&mut self, _now: Instant) {
        unimplemented!()
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        unimplemented!()
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        unimplemented!()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        unimplemented!()
    }
}
