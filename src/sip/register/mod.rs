//! Registration: keeps one binding of our Contact at the registrar (RFC 3261 §10), over one flow (RFC 5626 §4.2).
//!
//! A [`Registration`] hears the responses to its own requests, speaks through [`Output`] and tells facts through [`Event`],
//! exactly as `invite::Session` does. Before each try it asks for a way ([`Event::Due`]) and is given it by
//! [`Registration::register`], or told that there is none by [`Registration::fail`].
//!
//! ```text
//!                start                  2xx: refresh in time
//!      +-----+ ---------> +-------------+ -----------------> +------------+ ---+ refresh, 2xx
//!      | Off |            | Registering |                    | Registered | <--+
//!      +-----+ <--+       +-------------+ <----- renew ----- +------------+
//!         ^       |          |  failure                          |     |
//!         |       |          v                                   |     | stop
//!         |       |       +-------------+ ---+ timer, failure    |     |
//!         |       |       |   Failed    | <--+                   |     |
//!         |       |       +-------------+ <----- failure, lost --+     |
//!         |       |          |      \ 2xx: Registered                  v
//!         |       +----------+ stop  \-- stop, maybe bound --> +---------------+
//!         +----------------- any final answer, or none -------- | Unregistering |
//!                                                               +---------------+
//! ```
//! A challenge (401, 407), 423, 439, 420 and a corrected Contact send the request again within a state; a redirection (3xx)
//! asks for another way, once.
mod extensions;
mod facts;
mod grant;
mod recovery;

pub use crate::sip::transaction::{Failure, Output, RequestId};
pub use facts::{Cause, Config, Event, State};
pub use grant::Grant;

use extensions::Extensions;
use grant::{Ours, corrected};
use recovery::Recovery;

use crate::base::rng::Rng;
use crate::base::untrusted::Untrusted;
use crate::sip::dialog::{again, outside};
use crate::sip::message::{Method, NameAddr, Request, Response, Uri};
use crate::sip::options::{ALLOW, name_software};
use crate::sip::requests::{Pending, Requests};
use crate::sip::soft_state::{Lifetime, MAX_EXPIRES, retry_after};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The time between two tries when only a person can change anything.
const LONG: Duration = Duration::from_secs(300);
/// The longest Retry-After that is obeyed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);
/// Shorter lifetimes are not refreshed faster than this.
const MIN_REFRESH: Duration = Duration::from_secs(5);
/// How often one registration may be sent again for 401, 407, 420, 423 or 439.
const MAX_TRIES: u32 = 4;
/// Targets of a redirection that are looked at.
const MAX_TARGETS: usize = 8;

/// One flow of an account at its registrar.
#[derive(Debug)]
pub struct Registration {
    config: Config,
    rng: Rng,
    state: State,
    /// As it was given, and as it was corrected since.
    given: Option<Uri>,
    contact: Option<Uri>,
    /// The Contact the registrar has, as far as we know.
    bound: Option<Uri>,
    grant: Grant,
    from: NameAddr,
    call_id: String,
    cseq: u32,
    lifetime: Lifetime,
    extensions: Extensions,
    /// Where a redirection sent us, until it fails.
    redirected: Option<Uri>,
    /// With the Contact that each is about.
    requests: Requests<Uri>,
    recovery: Recovery,
    /// There are other ways than the one that is tried now.
    others: bool,
    /// The registration under way corrects the Contact: it is not corrected again.
    correcting: bool,
    /// When to refresh or to try again.
    timer: Option<Instant>,
    /// When the try under way is given up.
    deadline: Option<Instant>,
    outputs: VecDeque<Output>,
    events: VecDeque<Event>,
}

impl Registration {
    pub fn new(config: Config, mut rng: Rng) -> Self {
        let from = config.aor.clone().with_tag(&rng.hex(16));
        Self {
            state: State::Off,
            given: None,
            contact: None,
            bound: None,
            grant: Grant::default(),
            from,
            call_id: rng.hex(32),
            cseq: rng.range(1, 10_000),
            lifetime: Lifetime::new(config.expires, 1),
            extensions: Extensions::new(&config),
            redirected: None,
            requests: Requests::default(),
            recovery: Recovery::default(),
            others: false,
            correcting: false,
            timer: None,
            deadline: None,
            outputs: VecDeque::new(),
            events: VecDeque::new(),
            config,
            rng,
        }
    }

    /// Registers now, whatever happened before: at start, and on the user's wish.
    pub fn start(&mut self, _now: Instant) {
        self.recovery = Recovery::default();
        self.redirected = None;
        self.withdraw();
        if !matches!(self.state, State::Registered { .. }) {
            self.set_state(State::Registering);
        }
        self.due();
    }

    /// Our address or the way may be another one now: the binding is moved there at once, if there is to be any.
    pub fn renew(&mut self, now: Instant) {
        if !matches!(self.state, State::Off | State::Unregistering) {
            self.set_state(State::Registering);
            self.start(now);
        }
    }

    /// The answer to [`Event::Due`]: registers with this Contact, our address on the way that was found.
    ///
    /// - `others`: there are other ways: when this one fails, the next is asked for at once.
    pub fn register(&mut self, now: Instant, contact: Uri, others: bool) {
        if matches!(self.state, State::Off | State::Unregistering) {
            return;
        }
        self.timer = None;
        self.others = others;
        self.correcting = false;
        if !self.given.as_ref().is_some_and(|given| given.matches(&contact)) {
            self.contact = Some(contact.clone());
            self.given = Some(contact);
        }
        self.send_own(now);
    }

    /// There is no way, it does not work any more, or a redirection is not followed; the words say which.
    pub fn fail(&mut self, now: Instant, words: &str) {
        if matches!(self.state, State::Off | State::Unregistering) {
            return;
        }
        self.withdraw();
        self.failed(now, Cause::Told(words.to_owned()), Duration::ZERO);
    }

    /// Goes to this registrar instead, as the response told; once.
    pub fn follow(&mut self, _now: Instant, registrar: Uri) {
        self.redirected = Some(registrar);
        self.due();
    }

    /// Removes our binding; ends in `Off`, also when the registrar does not answer.
    pub fn stop(&mut self, now: Instant) {
        self.timer = None;
        let maybe_bound = self.requests.pending().map(|pending| pending.about.clone());
        self.withdraw();
        self.bound = self.bound.take().or(maybe_bound);
        match (&self.state, self.bound.clone()) {
            (State::Off, _) | (_, None) => self.set_state(State::Off),
            (_, Some(bound)) => {
                self.set_state(State::Unregistering);
                self.send(now, bound, 0, 0);
            }
        }
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    /// The Contact that is or will be bound, once there was a way.
    pub fn contact(&self) -> Option<&Uri> {
        self.contact.as_ref()
    }

    /// What the newest 2xx said; nothing, while there is no binding.
    pub fn grant(&self) -> Option<&Grant> {
        matches!(self.state, State::Registered { .. }).then_some(&self.grant)
    }

    /// Where a redirection sent us.
    pub fn redirected(&self) -> Option<&Uri> {
        self.redirected.as_ref()
    }

    /// Sends the challenged request again with these credentials in place of those it had.
    pub fn authenticate(&mut self, now: Instant, id: RequestId, headers: &[(String, String)]) {
        let Some((pending, _)) = self.requests.take_challenged(id) else { return };
        self.cseq += 1;
        let request = again(pending.request, headers, self.cseq);
        self.emit(now, request, pending.next_hop, pending.tries + 1, pending.about);
    }

    /// The challenge cannot be met: counts as a permanent refusal.
    pub fn give_up(&mut self, now: Instant, id: RequestId) {
        if let Some((_, response)) = self.requests.take_challenged(id) {
            self.refused(now, &response, true);
        }
    }

    pub fn handle_response(&mut self, now: Instant, id: RequestId, response: Response) {
        if response.status < 200 {
            return;
        }
        let Some(pending) = self.requests.answered(id) else { return };
        self.deadline = None;
        let again = pending.tries < MAX_TRIES;
        match response.status {
            401 | 407 if again => {
                let response = Box::new(response);
                let request = Box::new(pending.request.clone());
                self.events.push_back(Event::Challenged { id, request, response: response.clone() });
                self.requests.challenged(pending, response);
            }
            _ if self.state == State::Unregistering => self.unbound(),
            200..=299 => self.bound(now, pending.about, &response),
            300..=399 if self.redirected.is_none() => {
                let contacts = response.headers.all("Contact").take(MAX_TARGETS);
                let targets = contacts.filter_map(|value| NameAddr::parse(value).ok()).map(|c| c.uri);
                let targets = targets.filter(Uri::is_sip).collect();
                self.events.push_back(Event::Redirected { targets, status: response.status });
            }
            423 if again && self.lifetime.raise(&response) => self.send_again(now, pending),
            // The first hop knows no flows (RFC 5626 §11.6): then without.
            439 if again && self.extensions.outbound => {
                self.extensions.outbound = false;
                self.send_again(now, pending);
            }
            420 if again && self.extensions.renounce(&response.headers) => self.send_again(now, pending),
            status => self.refused(now, &response, is_permanent(status)),
        }
    }

    pub fn handle_failure(&mut self, now: Instant, id: RequestId, failure: Failure) {
        if self.requests.failed(id).is_none() {
            return;
        }
        self.deadline = None;
        if self.state == State::Unregistering {
            self.unbound();
        } else {
            self.failed(now, Cause::Unreachable(failure), Duration::ZERO);
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if self.deadline.is_some_and(|at| at <= now) {
            self.withdraw();
            self.failed(now, Cause::Unreachable(Failure::Timeout), Duration::ZERO);
        }
        if self.timer.take_if(|at| *at <= now).is_some() {
            self.correcting = false;
            match &mut self.state {
                State::Registered { .. } => self.send_own(now),
                State::Failed { retry, .. } => {
                    *retry = None;
                    self.events.push_back(Event::Changed(self.state.clone()));
                    self.due();
                }
                State::Off | State::Registering | State::Unregistering => {}
            }
        }
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.timer, self.deadline].into_iter().flatten().min()
    }

    /// Asks for a way.
    fn due(&mut self) {
        self.timer = None;
        self.events.push_back(Event::Due);
    }

    /// What is under way is not waited for any more.
    fn withdraw(&mut self) {
        self.deadline = None;
        self.outputs.extend(self.requests.withdraw());
    }

    fn send_own(&mut self, now: Instant) {
        if let Some(contact) = self.contact.clone() {
            self.send(now, contact, self.lifetime.0, 0);
        }
    }

    fn send_again(&mut self, now: Instant, refused: Pending<Uri>) {
        self.send(now, refused.about, self.lifetime.0, refused.tries + 1);
    }

    /// Sends a REGISTER for this Contact. A binding at another address of ours is removed with the same request, unless the
    /// registrar knows by the flow's number which one is replaced (RFC 5626 §6: no other Contact beside one of a flow).
    fn send(&mut self, now: Instant, contact: Uri, expires: u32, tries: u32) {
        self.withdraw();
        self.cseq += 1;
        let Config { aor, registrar, route, .. } = &self.config;
        let registrar = self.redirected.as_ref().unwrap_or(registrar);
        let (mut request, next_hop) =
            outside(Method::Register, registrar, route, &self.from, aor, &self.call_id, self.cseq);
        request.headers.push("Contact", self.extensions.name(&contact, &self.config));
        let replaces_itself = self.extensions.outbound && self.grant.outbound;
        let old = self.bound.as_ref().filter(|old| !old.matches(&contact) && expires > 0 && !replaces_itself);
        if let Some(old) = old {
            request.headers.push("Contact", format_args!("<{old}>;expires=0"));
        }
        request.headers.push("Expires", expires);
        if let Some(supported) = self.extensions.supported() {
            request.headers.push("Supported", supported);
        }
        request.headers.push("Allow", ALLOW);
        name_software(&mut request.headers, "User-Agent", &self.config.user_agent);
        self.emit(now, request, next_hop, tries, contact);
    }

    fn emit(&mut self, now: Instant, request: Request, next_hop: Uri, tries: u32, contact: Uri) {
        self.outputs.push_back(self.requests.send(request, next_hop, tries, contact));
        self.deadline = if self.state == State::Unregistering { None } else { self.recovery.tried(now, self.others) };
    }

    fn bound(&mut self, now: Instant, contact: Uri, response: &Response) {
        let reg_id = self.extensions.reg_id(&self.config);
        let ours = Ours { contact: &contact, instance: self.config.instance.as_deref(), reg_id };
        self.grant = Grant::of(&response.headers, ours);
        let granted = self.grant.lifetime.unwrap_or(self.lifetime.0).clamp(1, MAX_EXPIRES);
        let lifetime = Duration::from_secs(granted.into());
        self.recovery.succeeded(now);
        self.bound = Some(contact);
        // Between 75 % and 90 % of the lifetime: early enough for a lost refresh, and not all phones at once.
        let refresh = lifetime.mul_f64(0.75 + 0.15 * self.rng.unit()).max(MIN_REFRESH);
        self.timer = Some(now + refresh);
        self.set_state(State::Registered { expires: now + lifetime });
        // Who knows flows reaches us over them, whatever the Contact says.
        let seen = self.contact.as_ref().filter(|_| !self.correcting && !self.grant.outbound);
        if let Some(contact) = seen.and_then(|contact| corrected(&response.headers, contact)) {
            self.contact = Some(contact.clone());
            self.correcting = true;
            self.events.push_back(Event::ContactChanged(contact));
            self.send_own(now);
        }
    }

    fn unbound(&mut self) {
        self.bound = None;
        self.set_state(State::Off);
    }

    fn refused(&mut self, now: Instant, response: &Response, permanent: bool) {
        if self.state == State::Unregistering {
            return self.unbound();
        }
        let asked = retry_after(response).min(MAX_RETRY_AFTER);
        let least = if permanent { LONG.mul_f64(0.8 + 0.2 * self.rng.unit()) } else { Duration::ZERO };
        let reason = Untrusted::new(&response.reason);
        let cause = Cause::Refused { status: response.status, reason, permanent };
        // What one server of the domain refuses for good, the others would refuse too.
        self.others &= !permanent;
        self.failed(now, cause, least.max(asked));
    }

    /// - `least`: the registrar wants to be left alone for so long.
    fn failed(&mut self, now: Instant, cause: Cause, least: Duration) {
        self.correcting = false;
        self.redirected = None;
        let was_up = matches!(self.state, State::Registered { .. });
        if std::mem::take(&mut self.others) && !was_up {
            self.events.push_back(Event::WayFailed(cause));
            return self.due();
        }
        let retry = self.recovery.failed(now, &mut self.rng);
        let retry = if least.is_zero() { retry } else { now + least };
        self.timer = Some(retry);
        self.set_state(State::Failed { cause, retry: Some(retry) });
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
    matches!(status, 401..=407 | 410 | 416 | 420 | 421 | 439 | 484 | 501 | 505 | 600..)
}

#[cfg(test)]
mod tests;
