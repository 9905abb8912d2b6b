//! Registration: keeps one binding of our Contact at the registrar (RFC 3261 §10).
//!
//! A [`Registration`] hears the responses to its own requests, speaks through [`Output`] and tells facts through [`Event`],
//! exactly as `invite::Session` does.
//!
//! ```text
//!                start                  2xx: refresh in time
//!      +-----+ ---------> +-------------+ -----------------> +------------+ ---+ refresh, 2xx
//!      | Off |            | Registering |                    | Registered | <--+
//!      +-----+ <--+       +-------------+ <--+               +------------+
//!         ^       |          |  failure      | timer              |     |
//!         |       |          v               | (back-off)         |     | stop
//!         |       |       +-------------+ ---+      failure       |     |
//!         |       |       |   Failed    | <-----------------------+     |
//!         |       |       +-------------+                               v
//!         |       +------------- stop  \-- stop, maybe bound --> +---------------+
//!         +----------------- any final answer, or none --------- | Unregistering |
//!                                                                +---------------+
//! ```
//! A challenge (401, 407), 423 and a corrected Contact send the request again within a state.
mod binding;

pub use crate::sip::transaction::{Failure, Output, RequestId};

use binding::{corrected, granted};

use crate::base::rng::Rng;
use crate::base::untrusted::Untrusted;
use crate::sip::dialog::outside;
use crate::sip::message::{Headers, Method, NameAddr, Request, Response, Uri};
use crate::sip::options::{ALLOW, name_software};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The longest time between two tries.
const MAX_BACKOFF: Duration = Duration::from_secs(300);
/// The longest Retry-After that is obeyed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);
/// Shorter lifetimes are not refreshed faster than this.
const MIN_REFRESH: Duration = Duration::from_secs(5);
const MAX_EXPIRES: u32 = 86_400;
/// How often one registration may be sent again for 401, 407 or 423.
const MAX_TRIES: u32 = 4;

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
#[derive(Clone, Debug, PartialEq)]
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
#[derive(Clone, Debug, PartialEq)]
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

/// The REGISTER that is under way.
#[derive(Debug)]
struct Pending {
    id: RequestId,
    request: Request,
    next_hop: Uri,
    contact: Uri,
    tries: u32,
    /// 401 or 407, until it is met or given up.
    challenge: Option<Box<Response>>,
}

/// One account at its registrar.
#[derive(Debug)]
pub struct Registration {
    config: Config,
    rng: Rng,
    state: State,
    contact: Uri,
    /// The Contact the registrar has, as far as we know.
    bound: Option<Uri>,
    from: NameAddr,
    call_id: String,
    cseq: u32,
    expires: u32,
    pending: Option<Pending>,
    next_id: u32,
    failures: u32,
    /// The registration under way corrects the Contact: it is not corrected again.
    correcting: bool,
    /// When to refresh or to try again.
    timer: Option<Instant>,
    outputs: VecDeque<Output>,
    events: VecDeque<Event>,
}

impl Registration {
    /// `contact` is our address towards the registrar; its user part is replaced by a random one, which tells requests meant
    /// for us from those of strangers.
    pub fn new(config: Config, contact: Uri, mut rng: Rng) -> Self {
        let from = config.aor.clone().with_tag(&rng.hex(16));
        let contact = Uri { user: Some(rng.hex(12)), ..contact };
        let expires = u32::try_from(config.expires.as_secs()).unwrap_or(MAX_EXPIRES).clamp(1, MAX_EXPIRES);
        Self {
            state: State::Off,
            contact,
            bound: None,
            from,
            call_id: rng.hex(32),
            cseq: rng.range(1, 10_000),
            expires,
            pending: None,
            next_id: 0,
            failures: 0,
            correcting: false,
            timer: None,
            outputs: VecDeque::new(),
            events: VecDeque::new(),
            config,
            rng,
        }
    }

    /// Registers now, whatever the state: at start, on the user's wish, after suspend or a network change.
    pub fn start(&mut self, now: Instant) {
        self.failures = 0;
        self.correcting = false;
        self.register(now);
    }

    /// Removes our binding; ends in `Off`, also when the registrar does not answer.
    pub fn stop(&mut self, _now: Instant) {
        self.timer = None;
        let maybe_bound = self.pending.take().map(|pending| pending.contact);
        self.bound = self.bound.take().or(maybe_bound);
        match (&self.state, self.bound.clone()) {
            (State::Off, _) | (_, None) => self.set_state(State::Off),
            (_, Some(bound)) => {
                self.set_state(State::Unregistering);
                self.send(bound, 0);
            }
        }
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    /// The Contact that is or will be bound; also right for calls of this account.
    pub fn contact(&self) -> &Uri {
        &self.contact
    }

    /// Our address changed (another network): the binding is moved with the next registration; call `start` to do it now.
    pub fn set_contact(&mut self, contact: Uri) {
        self.contact = Uri { user: self.contact.user.clone(), ..contact };
    }

    /// Sends the challenged request again with these credentials in place of those it had.
    pub fn authenticate(&mut self, _now: Instant, id: RequestId, headers: Vec<(String, String)>) {
        let Some(mut pending) = self.pending.take_if(|p| p.id == id && p.challenge.is_some()) else { return };
        ["Authorization", "Proxy-Authorization"].iter().for_each(|name| pending.request.headers.remove(name));
        headers.iter().for_each(|(name, value)| pending.request.headers.push(name, value));
        self.cseq += 1;
        pending.request.headers.set("CSeq", format_args!("{} REGISTER", self.cseq));
        self.emit(Pending { tries: pending.tries + 1, challenge: None, ..pending });
    }

    /// The challenge cannot be met: counts as a permanent refusal.
    pub fn give_up(&mut self, now: Instant, id: RequestId) {
        let Some(pending) = self.pending.take_if(|p| p.id == id && p.challenge.is_some()) else { return };
        if let Some(response) = pending.challenge {
            self.refused(now, &response, true);
        }
    }

    pub fn handle_response(&mut self, now: Instant, id: RequestId, response: Response) {
        if response.status < 200 {
            return;
        }
        let Some(mut pending) = self.pending.take_if(|p| p.id == id && p.challenge.is_none()) else { return };
        let again = pending.tries < MAX_TRIES;
        match response.status {
            401 | 407 if again => {
                let response = Box::new(response);
                let request = Box::new(pending.request.clone());
                self.events.push_back(Event::Challenged { id, request, response: response.clone() });
                pending.challenge = Some(response);
                self.pending = Some(pending);
            }
            _ if self.state == State::Unregistering => self.unbound(),
            200..=299 => self.bound(now, pending, &response),
            423 if again && self.raise_expires(&response.headers) => {
                self.send(pending.contact, self.expires);
                if let Some(sent) = &mut self.pending {
                    sent.tries = pending.tries + 1;
                }
            }
            status => self.refused(now, &response, is_permanent(status)),
        }
    }

    pub fn handle_failure(&mut self, now: Instant, id: RequestId, failure: Failure) {
        if self.pending.take_if(|p| p.id == id).is_none() {
            return;
        }
        if self.state == State::Unregistering {
            self.unbound();
        } else {
            let delay = self.backoff();
            self.failed(now, Cause::Unreachable(failure), delay);
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if self.timer.take_if(|at| *at <= now).is_some() {
            self.correcting = false;
            self.register(now);
        }
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timer
    }

    fn register(&mut self, now: Instant) {
        self.timer = None;
        if !matches!(self.state, State::Registered { expires } if expires > now) {
            self.set_state(State::Registering);
        }
        self.send(self.contact.clone(), self.expires);
    }

    /// Sends a REGISTER for this Contact. A binding at another address of ours is removed with the same request.
    fn send(&mut self, contact: Uri, expires: u32) {
        self.cseq += 1;
        let Config { aor, registrar, route, .. } = &self.config;
        let (mut request, next_hop) =
            outside(Method::Register, registrar, route, &self.from, aor, &self.call_id, self.cseq);
        request.headers.push("Contact", NameAddr::new(contact.clone()));
        if let Some(old) = self.bound.as_ref().filter(|old| !old.matches(&contact) && expires > 0) {
            request.headers.push("Contact", format_args!("<{old}>;expires=0"));
        }
        request.headers.push("Expires", expires);
        request.headers.push("Allow", ALLOW);
        name_software(&mut request.headers, "User-Agent", &self.config.user_agent);
        self.emit(Pending { id: RequestId(0), request, next_hop, contact, tries: 0, challenge: None });
    }

    fn emit(&mut self, pending: Pending) {
        let id = RequestId(self.next_id);
        self.next_id += 1;
        let (request, next_hop) = (pending.request.clone(), pending.next_hop.clone());
        self.outputs.push_back(Output::Request { id, request, next_hop });
        self.pending = Some(Pending { id, ..pending });
    }

    fn bound(&mut self, now: Instant, pending: Pending, response: &Response) {
        let granted = granted(&response.headers, &pending.contact).unwrap_or(self.expires).clamp(1, MAX_EXPIRES);
        let lifetime = Duration::from_secs(granted.into());
        self.failures = 0;
        self.bound = Some(pending.contact);
        // Between 75 % and 90 % of the lifetime: early enough for a lost refresh, and not all phones at once.
        let refresh = lifetime.mul_f64(0.75 + 0.15 * self.rng.unit()).max(MIN_REFRESH);
        self.timer = Some(now + refresh);
        self.set_state(State::Registered { expires: now + lifetime });
        if let Some(contact) = corrected(&response.headers, &self.contact).filter(|_| !self.correcting) {
            self.contact = contact.clone();
            self.correcting = true;
            self.events.push_back(Event::ContactChanged(contact));
            self.register(now);
        }
    }

    fn unbound(&mut self) {
        self.bound = None;
        self.set_state(State::Off);
    }

    /// 423: the registrar wants at least Min-Expires (RFC 3261 §10.2.8).
    fn raise_expires(&mut self, headers: &Headers) -> bool {
        match headers.number("Min-Expires") {
            Ok(Some(least)) if least > self.expires && least <= MAX_EXPIRES => {
                self.expires = least;
                true
            }
            _ => false,
        }
    }

    fn refused(&mut self, now: Instant, response: &Response, permanent: bool) {
        if self.state == State::Unregistering {
            return self.unbound();
        }
        let asked = response.headers.number("Retry-After").ok().flatten().unwrap_or(0);
        let asked = Duration::from_secs(asked.into()).min(MAX_RETRY_AFTER);
        let delay = if permanent { MAX_BACKOFF.mul_f64(0.8 + 0.2 * self.rng.unit()) } else { self.backoff() };
        let reason = Untrusted::new(&response.reason);
        self.failed(now, Cause::Refused { status: response.status, reason, permanent }, delay.max(asked));
    }

    fn failed(&mut self, now: Instant, cause: Cause, delay: Duration) {
        self.correcting = false;
        self.timer = Some(now + delay);
        self.set_state(State::Failed { cause, retry: now + delay });
    }

    /// 1 s, 2 s, 4 s, ... 5 min, and of that a random part of at least one half.
    fn backoff(&mut self) -> Duration {
        let longest = Duration::from_secs(1 << self.failures.min(16)).min(MAX_BACKOFF);
        self.failures += 1;
        longest.mul_f64(0.5 + 0.5 * self.rng.unit())
    }

    fn set_state(&mut self, state: State) {
        if self.state != state {
            self.state = state.clone();
            self.events.push_back(Event::Changed(state));
        }
    }
}

/// Whether trying again cannot help until something is changed by a person.
fn is_permanent(status: u16) -> bool {
    matches!(status, 401..=407 | 410 | 416 | 484 | 501 | 604)
}

#[cfg(test)]
mod tests;
