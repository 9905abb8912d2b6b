//! One subscription: asked for, refreshed, and asked for again when it ends too early (RFC 6665 §4.1).
//!
//! ```text
//!             start                2xx, or NOTIFY           NOTIFY terminated; 481
//!   +-----+ ---------> +--------+ ---------------> +--------+ ------------------> +---------+
//!   | Off |            | Asking |                  | Active | --+ refresh in time | Waiting |
//!   +-----+ <--+       +--------+ <--------------- +--------+ <-+                 +---------+
//!      ^       |           |  ^  no NOTIFY in time                                  |
//!      | stop  +-----------+  +------------------------- back-off is over ----------+
//!      |                   |
//!      |                   v  refused for good: rejected, noresource, 403, 404, 489, ..
//!      |               +---------+
//!      +-------------- | Refused |
//!                      +---------+
//! ```
//! Each new beginning is a new dialog. Whatever the notifier does, we do not ask more often than the back-off allows.
use crate::base::rng::Rng;
use crate::sip::dialog::{Dialog, again, outside};
use crate::sip::key::{DialogKey, ServerKey, SessionKey};
use crate::sip::message::{Method, NameAddr, Request, Response, Uri};
use crate::sip::options::name_software;
use crate::sip::requests::{Pending, Requests};
use crate::sip::soft_state::{BackOff, Lifetime, refresh_in, trouble};
use crate::sip::transaction::{Failure, Output, RequestId};
use bytes::Bytes;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How often one request is sent again for a challenge or 423.
const MAX_TRIES: u32 = 3;
/// A notifier that promises and does not notify is given up after so long (timer N, RFC 6665 §4.1.2).
const TIMER_N: Duration = Duration::from_secs(32);
/// Shorter lifetimes are not asked for \[s\].
const MIN_EXPIRES: u32 = 60;
/// The first wait before it is asked for again.
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// A subscription that held so long was a good one: the wait begins anew.
const GOOD: Duration = Duration::from_secs(120);

#[derive(Clone, Debug)]
pub struct Config {
    /// Whom or what is watched.
    pub target: Uri,
    /// Our address-of-record, without tag.
    pub from: NameAddr,
    /// The event package, and the type of body we read of it.
    pub package: &'static str,
    pub accept: &'static str,
    pub expires: Duration,
    pub user_agent: String,
}

/// Why it will not be asked for again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The status it was refused with.
    Refused(u16),
    /// The notifier says that there is nothing to watch, or that we may not.
    Terminated(&'static str),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Off,
    Asking,
    Active,
    /// Asked for again at `retry`.
    Waiting {
        retry: Instant,
    },
    Refused(End),
}

#[derive(Clone, Debug)]
pub enum Event {
    Changed(State),
    /// 401 or 407: call [`Subscription::authenticate`] or [`Subscription::give_up`].
    Challenged {
        id: RequestId,
        request: Box<Request>,
        response: Box<Response>,
    },
    /// The state of what is watched; the body may be empty.
    Notified {
        body: Bytes,
    },
}

#[derive(Debug)]
pub struct Subscription {
    config: Config,
    rng: Rng,
    state: State,
    contact: NameAddr,
    route: Vec<NameAddr>,
    key: SessionKey,
    dialog: Option<Dialog>,
    /// CSeq of the SUBSCRIBE that began this dialog.
    cseq: u32,
    lifetime: Lifetime,
    requests: Requests,
    back_off: BackOff,
    began: Option<Instant>,
    /// When to refresh, to try again, or to stop waiting for the first notification.
    timer: Option<Instant>,
    outputs: VecDeque<Output>,
    events: VecDeque<Event>,
}

impl Subscription {
    pub fn new(config: Config, mut rng: Rng) -> Self {
        Self {
            state: State::Off,
            contact: config.from.clone(),
            route: Vec::new(),
            key: SessionKey { call_id: rng.hex(32), local_tag: rng.hex(16) },
            dialog: None,
            cseq: rng.range(1, 10_000),
            lifetime: Lifetime::new(config.expires, MIN_EXPIRES),
            requests: Requests::default(),
            back_off: BackOff::new(FIRST_WAIT),
            began: None,
            timer: None,
            outputs: VecDeque::new(),
            events: VecDeque::new(),
            config,
            rng,
        }
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    /// Call-ID and tag of the present dialog.
    pub fn key(&self) -> &SessionKey {
        &self.key
    }

    pub fn target(&self) -> &Uri {
        &self.config.target
    }

    pub fn from(&self) -> &Uri {
        &self.config.from.uri
    }

    /// Asks now, in a new dialog: at the start, or because our address has changed.
    pub fn start(&mut self, now: Instant, contact: NameAddr, route: Vec<NameAddr>) {
        (self.contact, self.route) = (contact, route);
        self.back_off.reset();
        self.ask(now);
    }

    /// Asks anew after a while, in a new dialog: what the notifier told makes no sense.
    pub fn restart(&mut self, now: Instant) {
        if self.dialog.is_some() && self.state == State::Active {
            self.refresh(0);
        }
        self.postpone(now, Duration::ZERO);
    }

    /// Ends it; the notifier is told when there is a dialog.
    pub fn stop(&mut self) {
        self.timer = None;
        self.requests.forget();
        if self.dialog.is_some() && self.state == State::Active {
            self.refresh(0);
        }
        self.dialog = None;
        self.set_state(State::Off);
    }

    pub fn authenticate(&mut self, id: RequestId, headers: &[(String, String)]) {
        let Some((pending, _)) = self.requests.take_challenged(id) else { return };
        let number = match &mut self.dialog {
            Some(dialog) => dialog.next_cseq(),
            None => {
                // The last request of a dialog may be challenged when that is forgotten here already.
                let sent = pending.request.headers.cseq().map_or(0, |cseq| cseq.number);
                self.cseq = self.cseq.max(sent) + 1;
                self.cseq
            }
        };
        self.send(again(pending.request, headers, number), pending.next_hop, pending.tries + 1);
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
            // The last word was said: whatever becomes of it, nothing is asked for again.
            status if self.state == State::Off && !matches!(status, 401 | 407) => {}
            401 | 407 if again => {
                let (request, response) = (Box::new(pending.request.clone()), Box::new(response));
                self.events.push_back(Event::Challenged { id, request, response: response.clone() });
                self.requests.challenged(pending, response);
            }
            200..=299 => self.accepted(now, &pending, &response),
            423 if again && self.dialog.is_none() && self.lifetime.raise(&response) => self.begin(pending.tries + 1),
            // The dialog is gone, the wish is not (RFC 6665 §4.1.2.3).
            481 if self.dialog.is_some() => self.postpone(now, Duration::ZERO),
            _ => self.refused(now, &response),
        }
    }

    pub fn handle_failure(&mut self, now: Instant, id: RequestId, _failure: Failure) {
        if self.requests.failed(id).is_some() && self.state != State::Off {
            self.postpone(now, Duration::ZERO);
        }
    }

    /// A NOTIFY with this subscription's Call-ID and our tag in To.
    pub fn handle_notify(&mut self, now: Instant, key: ServerKey, request: &Request) {
        let event = request.headers.get("Event").and_then(|value| value.split(';').next()).unwrap_or_default();
        let known = event.trim().eq_ignore_ascii_case(self.config.package) && self.joins(request);
        let status = if known { 200 } else { 481 };
        let response = Response::to_request(request, status, Some(&self.key.local_tag));
        self.outputs.push_back(Output::Response { key, response });
        if !known {
            return;
        }
        let state = request.headers.get("Subscription-State").unwrap_or_default().to_ascii_lowercase();
        let mut params = state.split(';').map(str::trim);
        let word = params.next().unwrap_or_default().to_owned();
        let params: Vec<(&str, &str)> = params.filter_map(|param| param.split_once('=')).collect();
        let value = |name: &str| params.iter().find(|(n, _)| n.trim() == name).map(|(_, v)| v.trim());
        if !request.body.is_empty() {
            self.events.push_back(Event::Notified { body: request.body.clone() });
        }
        if word == "terminated" {
            let retry_after = value("retry-after").and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
            return match value("reason") {
                Some("rejected") => self.close(End::Terminated("rejected")),
                Some("noresource") => self.close(End::Terminated("noresource")),
                Some("invariant") => self.close(End::Terminated("invariant")),
                _ => self.postpone(now, retry_after.unwrap_or_default()),
            };
        }
        self.set_state(State::Active);
        match value("expires").and_then(|seconds| seconds.parse::<u32>().ok()) {
            Some(expires) => self.refresh_within(now, expires),
            None if self.timer.is_none() => self.refresh_within(now, self.lifetime.0),
            None => {}
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if self.timer.take_if(|at| *at <= now).is_none() {
            return;
        }
        match self.state {
            State::Active => {
                self.timer = Some(now + TIMER_N);
                // The refresh before this one came to nothing.
                if self.requests.forget() {
                    return self.postpone(now, Duration::ZERO);
                }
                self.refresh(self.lifetime.0);
            }
            State::Asking => self.postpone(now, Duration::ZERO),
            State::Waiting { .. } => self.ask(now),
            State::Off | State::Refused(_) => {}
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

    fn ask(&mut self, now: Instant) {
        self.key = SessionKey { call_id: self.rng.hex(32), local_tag: self.rng.hex(16) };
        self.dialog = None;
        self.began = Some(now);
        // No final response ends the transaction by itself; no notification is waited for that long again.
        self.timer = Some(now + TIMER_N * 2);
        self.set_state(State::Asking);
        self.begin(0);
    }

    fn begin(&mut self, tries: u32) {
        self.cseq += 1;
        let Config { target, from, .. } = &self.config;
        let from = from.clone().with_tag(&self.key.local_tag);
        let to = NameAddr::new(target.clone());
        let (request, next_hop) =
            outside(Method::Subscribe, target, &self.route, &from, &to, &self.key.call_id, self.cseq);
        self.complete(request, next_hop, self.lifetime.0, tries);
    }

    fn refresh(&mut self, expires: u32) {
        let Some(dialog) = &mut self.dialog else { return };
        let (request, next_hop) = dialog.request(Method::Subscribe);
        self.complete(request, next_hop, expires, 0);
    }

    fn complete(&mut self, mut request: Request, next_hop: Uri, expires: u32, tries: u32) {
        request.headers.push("Contact", &self.contact);
        request.headers.push("Event", self.config.package);
        request.headers.push("Accept", self.config.accept);
        request.headers.push("Expires", expires);
        name_software(&mut request.headers, "User-Agent", &self.config.user_agent);
        self.send(request, next_hop, tries);
    }

    fn send(&mut self, request: Request, next_hop: Uri, tries: u32) {
        self.outputs.push_back(self.requests.send(request, next_hop, tries, ()));
    }

    fn accepted(&mut self, now: Instant, pending: &Pending, response: &Response) {
        if matches!(self.state, State::Off | State::Refused(_) | State::Waiting { .. }) {
            return;
        }
        match &mut self.dialog {
            Some(dialog) => dialog.refresh(&response.headers),
            None => self.dialog = Dialog::of_client(&pending.request, response).ok(),
        }
        let granted = self.lifetime.granted(response);
        if self.state == State::Active {
            self.refresh_within(now, granted);
        } else {
            self.timer = Some(now + TIMER_N);
        }
    }

    /// Whether a NOTIFY belongs to our dialog. The first one makes the dialog when it overtakes the 2xx (RFC 6665 §4.1.2.4).
    fn joins(&mut self, request: &Request) -> bool {
        if matches!(self.state, State::Off | State::Refused(_) | State::Waiting { .. }) {
            return false;
        }
        let Ok(Some(key)) = DialogKey::of_request(&request.headers) else { return false };
        match &mut self.dialog {
            Some(dialog) => *dialog.key() == key && dialog.take_request(request).is_ok(),
            None => {
                let Ok(mut dialog) = Dialog::of_server(request, &self.key.local_tag) else { return false };
                dialog.count_from(self.cseq);
                self.dialog = Some(dialog);
                true
            }
        }
    }

    fn refresh_within(&mut self, now: Instant, expires: u32) {
        self.timer = Some(now + refresh_in(expires, &mut self.rng));
    }

    fn refused(&mut self, now: Instant, response: &Response) {
        match trouble(response) {
            Some(asked) => self.postpone(now, asked),
            None => self.close(End::Refused(response.status)),
        }
    }

    /// It has ended too early: once more after a while, each time a longer one.
    fn postpone(&mut self, now: Instant, asked: Duration) {
        if self.began.is_some_and(|began| now.saturating_duration_since(began) >= GOOD) {
            self.back_off.reset();
        }
        let wait = self.back_off.next(asked, &mut self.rng);
        self.requests.forget();
        self.dialog = None;
        self.timer = Some(now + wait);
        self.set_state(State::Waiting { retry: now + wait });
    }

    fn close(&mut self, end: End) {
        (self.timer, self.dialog) = (None, None);
        self.requests.forget();
        self.set_state(State::Refused(end));
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
