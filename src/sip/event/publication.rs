//! One publication: our own state, kept at a server that tells it to others (RFC 3903 §4).
//!
//! ```text
//!              publish                  2xx with SIP-ETag
//!   +-----+ ------------> +--------+ -----------------------> +-----------+ --+ refresh, or change:
//!   | Off |               | Asking |                          | Published |   | PUBLISH with SIP-If-Match
//!   +-----+ <---+         +--------+ <---- 412: anew -------- +-----------+ <-+
//!      ^   stop |          |      ^                                 |
//!      |        +----------+      | back-off is over                | 408, 480, 5xx, no answer
//!      |                   |      |                                 v
//!      |                   |  +---------+ <-------------------------+
//!      |                   |  | Waiting |
//!      |                   v  +---------+
//!      |               +---------+
//!      +-------------- | Refused |  403, 404, 405, 489, ..
//!                      +---------+
//! ```
//! The server knows the publication by its entity tag alone; each answer brings another one.
use crate::base::rng::Rng;
use crate::sip::dialog::{again, outside};
use crate::sip::message::{Method, NameAddr, Request, Response, Uri};
use crate::sip::options::name_software;
use crate::sip::requests::Requests;
use crate::sip::soft_state::{BackOff, Lifetime, refresh_in, trouble};
use crate::sip::transaction::{Failure, Output, RequestId};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How often one request is sent again for a challenge, 412 or 423.
const MAX_TRIES: u32 = 4;
/// Longest entity tag that is kept \[bytes\].
const MAX_TAG: usize = 256;
/// Shorter lifetimes are not asked for \[s\].
const MIN_EXPIRES: u32 = 60;
/// The first wait before it is tried again.
const FIRST_WAIT: Duration = Duration::from_secs(4);
/// Changes within this time are published as one: a state that flickers makes no storm.
const CALM: Duration = Duration::from_millis(500);

#[derive(Clone, Debug)]
pub struct Config {
    /// Our address-of-record, whose state it is; without tag.
    pub aor: NameAddr,
    pub package: &'static str,
    pub content_type: &'static str,
    pub expires: Duration,
    pub user_agent: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Off,
    Asking,
    Published,
    /// Tried again at `retry`.
    Waiting {
        retry: Instant,
    },
    /// The status of a server that does not take it.
    Refused(u16),
}

#[derive(Clone, Debug)]
pub enum Event {
    Changed(State),
    /// 401 or 407: call [`Publication::authenticate`] or [`Publication::give_up`].
    Challenged {
        id: RequestId,
        response: Box<Response>,
    },
}

#[derive(Debug)]
pub struct Publication {
    config: Config,
    rng: Rng,
    state: State,
    route: Vec<NameAddr>,
    call_id: String,
    cseq: u32,
    /// What is true now, and whether the server was told.
    body: String,
    told: bool,
    entity_tag: Option<String>,
    lifetime: Lifetime,
    requests: Requests,
    back_off: BackOff,
    /// When to refresh, or to try again.
    timer: Option<Instant>,
    /// When a change is told.
    change_at: Option<Instant>,
    outputs: VecDeque<Output>,
    events: VecDeque<Event>,
}

impl Publication {
    pub fn new(config: Config, mut rng: Rng) -> Self {
        Self {
            state: State::Off,
            route: Vec::new(),
            call_id: rng.hex(32),
            cseq: rng.range(1, 10_000),
            body: String::new(),
            told: false,
            entity_tag: None,
            lifetime: Lifetime::new(config.expires, MIN_EXPIRES),
            requests: Requests::default(),
            back_off: BackOff::new(FIRST_WAIT),
            timer: None,
            change_at: None,
            outputs: VecDeque::new(),
            events: VecDeque::new(),
            config,
            rng,
        }
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    /// Begins, or begins anew: at the start, or because another server may know nothing of us.
    pub fn start(&mut self, now: Instant, route: Vec<NameAddr>, body: String) {
        (self.route, self.body) = (route, body);
        (self.entity_tag, self.change_at) = (None, None);
        self.back_off.reset();
        self.requests.forget();
        self.ask(now, 0);
    }

    /// What is true has changed.
    pub fn change(&mut self, now: Instant, body: String) {
        if self.body == body || matches!(self.state, State::Off | State::Refused(_)) {
            return;
        }
        (self.body, self.told) = (body, false);
        if self.state == State::Published && !self.requests.is_busy() && self.change_at.is_none() {
            self.change_at = Some(now + CALM);
        }
    }

    /// Takes back what was published.
    pub fn stop(&mut self) {
        (self.timer, self.change_at) = (None, None);
        self.requests.forget();
        if self.state == State::Published
            && let Some(tag) = self.entity_tag.take()
        {
            self.publish(Some(&tag), 0, false, 0);
        }
        self.entity_tag = None;
        self.set_state(State::Off);
    }

    /// Whether the last word is still to be answered.
    pub fn is_busy(&self) -> bool {
        self.requests.is_busy()
    }

    pub fn authenticate(&mut self, id: RequestId, headers: &[(String, String)]) {
        let Some((pending, _)) = self.requests.take_challenged(id) else { return };
        self.cseq += 1;
        let request = again(pending.request, headers, self.cseq);
        self.send(request, pending.next_hop, pending.tries + 1);
    }

    pub fn give_up(&mut self, now: Instant, id: RequestId) {
        if let Some((_, response)) = self.requests.take_challenged(id)
            && self.state != State::Off
        {
            self.refused(now, &response);
        }
    }

    pub fn handle_response(&mut self, now: Instant, id: RequestId, response: Response) {
        if response.status < 200 {
            return;
        }
        let Some(pending) = self.requests.answered(id) else { return };
        let again = pending.tries < MAX_TRIES;
        match response.status {
            401 | 407 if again => {
                let response = Box::new(response);
                self.events.push_back(Event::Challenged { id, response: response.clone() });
                self.requests.challenged(pending, response);
            }
            // The last word was said.
            _ if self.state == State::Off => {}
            200..=299 => self.accepted(now, &response),
            // The server has forgotten it (RFC 3903 §4.1): the whole state is told anew.
            412 if again => {
                self.entity_tag = None;
                self.ask(now, pending.tries + 1);
            }
            423 if again && self.lifetime.raise(&response) => {
                self.told = false;
                self.ask(now, pending.tries + 1);
            }
            _ => self.refused(now, &response),
        }
    }

    pub fn handle_failure(&mut self, now: Instant, id: RequestId, _failure: Failure) {
        if self.requests.failed(id).is_some() && self.state != State::Off {
            self.postpone(now, Duration::ZERO);
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        let changed = self.change_at.take_if(|at| *at <= now).is_some();
        let due = self.timer.take_if(|at| *at <= now).is_some();
        match self.state {
            State::Published if changed || due => self.ask(now, 0),
            State::Waiting { .. } if due => self.ask(now, 0),
            // No final response ends the transaction by itself.
            State::Published | State::Waiting { .. } | State::Asking | State::Off | State::Refused(_) => {}
        }
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timer.into_iter().chain(self.change_at).min()
    }

    /// Tells the whole state, or only that it holds on.
    fn ask(&mut self, _now: Instant, tries: u32) {
        (self.timer, self.change_at) = (None, None);
        let tag = self.entity_tag.clone();
        let with_body = tag.is_none() || !self.told;
        self.publish(tag.as_deref(), self.lifetime.0, with_body, tries);
        if self.state != State::Published {
            self.set_state(State::Asking);
        }
    }

    fn publish(&mut self, entity_tag: Option<&str>, expires: u32, with_body: bool, tries: u32) {
        self.cseq += 1;
        let Config { aor, package, content_type, user_agent, .. } = &self.config;
        let (from, to) = (aor.clone().with_tag(&self.rng.hex(16)), NameAddr::new(aor.uri.clone()));
        let (mut request, next_hop) =
            outside(Method::Publish, &aor.uri, &self.route, &from, &to, &self.call_id, self.cseq);
        request.headers.push("Event", package);
        request.headers.push("Expires", expires);
        if let Some(tag) = entity_tag {
            request.headers.push("SIP-If-Match", tag);
        }
        name_software(&mut request.headers, "User-Agent", user_agent);
        if with_body {
            request.headers.push("Content-Type", content_type);
            request.body = self.body.clone().into();
            self.told = true;
        }
        self.send(request, next_hop, tries);
    }

    fn send(&mut self, request: Request, next_hop: Uri, tries: u32) {
        self.outputs.push_back(self.requests.send(request, next_hop, tries, ()));
    }

    fn accepted(&mut self, now: Instant, response: &Response) {
        let tag = response.headers.get("SIP-ETag").filter(|tag| !tag.is_empty() && tag.len() <= MAX_TAG);
        // A server that gives no tag is told everything each time.
        self.entity_tag = tag.map(str::to_owned);
        self.timer = Some(now + refresh_in(self.lifetime.granted(response), &mut self.rng));
        self.back_off.reset();
        if !self.told {
            self.change_at = Some(now + CALM);
        }
        self.set_state(State::Published);
    }

    fn refused(&mut self, now: Instant, response: &Response) {
        match trouble(response) {
            Some(asked) => self.postpone(now, asked),
            None => {
                (self.timer, self.entity_tag, self.change_at) = (None, None, None);
                self.set_state(State::Refused(response.status));
            }
        }
    }

    fn postpone(&mut self, now: Instant, asked: Duration) {
        let wait = self.back_off.next(asked, &mut self.rng);
        self.requests.forget();
        (self.change_at, self.told) = (None, false);
        self.timer = Some(now + wait);
        self.set_state(State::Waiting { retry: now + wait });
    }

    fn set_state(&mut self, state: State) {
        if self.state != state {
            self.state = state.clone();
            self.events.push_back(Event::Changed(state));
        }
    }
}

#[cfg(test)]
mod tests;
