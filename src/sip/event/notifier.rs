//! One watcher of ours: it subscribes, and is notified of what changes until it goes (RFC 6665 §4.2).
//!
//! ```text
//!   SUBSCRIBE            +--------+   change: NOTIFY (one at a time)
//!   ------------> 200 -> | Active | --+
//!                NOTIFY  +--------+ <-+
//!                         |      |
//!     Expires: 0, expiry, |      | 481, no answer
//!     we end it: NOTIFY   v      v
//!     terminated     +------------------+
//!                    |       Over       |
//!                    +------------------+
//! ```
use super::dialog_info::{self, DialogInfo, OwnDialog};
use super::presence::{Own, Presence};
use crate::base::rng::Rng;
use crate::sip::dialog::{Dialog, again};
use crate::sip::key::{ServerKey, SessionKey};
use crate::sip::message::{Method, NameAddr, Request, Response, Uri};
use crate::sip::options::name_software;
use crate::sip::requests::Requests;
use crate::sip::transaction::{Failure, Output, RequestId};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The lifetimes we grant \[s\].
const SHORTEST: u32 = 60;
const LONGEST: u32 = 3_600;
/// Notifications follow each other no faster (RFC 3856 §6.10 wants 5 s, RFC 4235 §3.10 one).
const CALM: Duration = Duration::from_secs(1);
/// How often a NOTIFY is sent again for a challenge.
const MAX_TRIES: u32 = 2;

/// What can be watched of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Package {
    Presence,
    Dialog,
}

impl Package {
    /// The package a SUBSCRIBE is for.
    pub fn of(request: &Request) -> Option<Self> {
        let event = request.headers.get("Event")?.split(';').next()?.trim().to_ascii_lowercase();
        match event.as_str() {
            Presence::EVENT => Some(Self::Presence),
            DialogInfo::EVENT => Some(Self::Dialog),
            _ => None,
        }
    }

    fn event(self) -> &'static str {
        match self {
            Self::Presence => Presence::EVENT,
            Self::Dialog => DialogInfo::EVENT,
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Presence => Presence::TYPE,
            Self::Dialog => DialogInfo::TYPE,
        }
    }
}

/// What is true of us now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Our address-of-record.
    pub entity: String,
    pub presence: Own,
    pub dialogs: Vec<OwnDialog>,
}

#[derive(Clone, Debug)]
pub struct Config {
    /// Where requests of this dialog reach us.
    pub contact: NameAddr,
    pub user_agent: String,
}

#[derive(Debug)]
pub struct Notifier {
    config: Config,
    package: Package,
    /// The `id` of its Event header, which each NOTIFY repeats.
    event: String,
    key: SessionKey,
    dialog: Dialog,
    facts: Facts,
    /// What was told last.
    told: Option<Facts>,
    version: u32,
    expires_at: Instant,
    last: Option<Instant>,
    /// The reason of the last word, once that is due.
    ending: Option<&'static str>,
    over: bool,
    /// With whether each says that the subscription is over.
    requests: Requests<bool>,
    outputs: VecDeque<Output>,
}

impl Notifier {
    /// Takes a SUBSCRIBE outside of a dialog: answers it, and notifies at once.
    ///
    /// # Errors
    /// The response that refuses it.
    pub fn accept(
        now: Instant,
        config: Config,
        key: ServerKey,
        request: &Request,
        facts: Facts,
        rng: &mut Rng,
    ) -> Result<Self, Box<Response>> {
        let refuse = |status| Box::new(Response::to_request(request, status, None));
        let package = Package::of(request).ok_or_else(|| refuse(489))?;
        let local_tag = rng.hex(16);
        let dialog = Dialog::of_server(request, &local_tag).map_err(|_| refuse(400))?;
        let mut accepts = request.headers.tokens("Accept").peekable();
        let wanted =
            |kind: &str| kind.split(';').next().is_some_and(|k| k.trim().eq_ignore_ascii_case(package.content_type()));
        if accepts.peek().is_some() && !accepts.any(|kind| wanted(kind) || kind.starts_with("*/*")) {
            return Err(refuse(406));
        }
        let id = request
            .headers
            .get("Event")
            .and_then(|event| event.split(';').map(str::trim).find(|p| p.starts_with("id=")));
        let event = id.map_or_else(|| package.event().to_owned(), |id| format!("{};{id}", package.event()));
        let call_id = request.headers.call_id().map_err(|_| refuse(400))?.to_owned();
        let mut notifier = Self {
            config,
            package,
            event,
            key: SessionKey { call_id, local_tag },
            dialog,
            facts,
            told: None,
            version: 0,
            expires_at: now,
            last: None,
            ending: None,
            over: false,
            requests: Requests::default(),
            outputs: VecDeque::new(),
        };
        let granted = lifetime(request).map_err(|least| brief(request, least))?;
        notifier.grant(now, key, request, granted);
        Ok(notifier)
    }

    /// Call-ID and our tag.
    pub fn key(&self) -> &SessionKey {
        &self.key
    }

    pub fn is_over(&self) -> bool {
        self.over && self.outputs.is_empty()
    }

    /// A SUBSCRIBE within the dialog: it holds on, or ends.
    pub fn handle_subscribe(&mut self, now: Instant, key: ServerKey, request: &Request) {
        let same = Package::of(request) == Some(self.package);
        let response = match (self.dialog.take_request(request), lifetime(request)) {
            _ if self.over || self.ending.is_some() || !same => Response::to_request(request, 481, None),
            (Err(refusal), _) => refusal.answer(request, &self.key.local_tag),
            (Ok(()), Err(least)) => *brief(request, least),
            (Ok(()), Ok(granted)) => {
                self.dialog.refresh(&request.headers);
                return self.grant(now, key, request, granted);
            }
        };
        self.outputs.push_back(Output::Response { key, response });
    }

    /// What is true of us; told when it is another thing than before.
    pub fn change(&mut self, now: Instant, facts: &Facts) {
        if self.facts != *facts {
            self.facts = facts.clone();
            self.notify_if_due(now);
        }
    }

    /// Ends it from here.
    pub fn stop(&mut self, now: Instant, reason: &'static str) {
        if !self.over && self.ending.is_none() {
            self.ending = Some(reason);
            self.notify_if_due(now);
        }
    }

    /// The request a challenge was for, to be sent again with these headers.
    pub fn authenticate(&mut self, id: RequestId, headers: &[(String, String)]) {
        let Some((pending, _)) = self.requests.take_challenged(id) else { return };
        let number = self.dialog.next_cseq();
        let request = again(pending.request, headers, number);
        self.send(request, pending.next_hop, pending.tries + 1, pending.about);
    }

    /// `true`: it was challenged, and [`Notifier::authenticate`] may follow.
    pub fn handle_response(&mut self, now: Instant, id: RequestId, response: &Response) -> bool {
        if response.status < 200 {
            return false;
        }
        let Some(pending) = self.requests.answered(id) else { return false };
        match response.status {
            200..=299 => self.went_well(now, pending.about),
            401 | 407 if pending.tries < MAX_TRIES => {
                self.requests.challenged(pending, Box::new(response.clone()));
                return true;
            }
            // It is not there any more, or does not want to hear (RFC 6665 §4.2.2).
            _ => self.over = true,
        }
        false
    }

    pub fn handle_failure(&mut self, id: RequestId, _failure: Failure) {
        if self.requests.failed(id).is_some() {
            self.over = true;
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if now >= self.expires_at && self.ending.is_none() {
            self.ending = Some("timeout");
        }
        self.notify_if_due(now);
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.over || self.requests.is_busy() {
            return None;
        }
        let due = self.has_news().then(|| self.last.map_or(self.expires_at, |at| at + CALM));
        Some(due.map_or(self.expires_at, |due| due.min(self.expires_at)))
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn grant(&mut self, now: Instant, key: ServerKey, request: &Request, seconds: u32) {
        let mut response = Response::to_request(request, 200, Some(&self.key.local_tag));
        response.headers.push("Contact", &self.config.contact);
        request.headers.all("Record-Route").for_each(|value| response.headers.push("Record-Route", value));
        response.headers.push("Expires", seconds);
        name_software(&mut response.headers, "Server", &self.config.user_agent);
        self.outputs.push_back(Output::Response { key, response });
        self.expires_at = now + Duration::from_secs(seconds.into());
        if seconds == 0 {
            self.ending = Some("timeout");
        }
        // Each SUBSCRIBE is followed by the state, changed or not (RFC 6665 §4.2.1.2).
        self.told = None;
        self.notify(now);
    }

    fn has_news(&self) -> bool {
        let changed = |told: &Facts| match self.package {
            Package::Presence => told.presence != self.facts.presence,
            Package::Dialog => told.dialogs != self.facts.dialogs,
        };
        self.ending.is_some() || self.told.as_ref().is_none_or(changed)
    }

    fn notify_if_due(&mut self, now: Instant) {
        let calm = self.ending.is_some() || self.last.is_none_or(|at| now >= at + CALM);
        if !self.over && calm && self.has_news() {
            self.notify(now);
        }
    }

    /// One NOTIFY at a time: what changes meanwhile is told by the next one.
    fn notify(&mut self, now: Instant) {
        if self.requests.is_busy() {
            return;
        }
        let (mut request, next_hop) = self.dialog.request(Method::Notify);
        let headers = &mut request.headers;
        headers.push("Contact", &self.config.contact);
        headers.push("Event", &self.event);
        let left = self.expires_at.saturating_duration_since(now).as_secs();
        match self.ending {
            Some(reason) => headers.push("Subscription-State", format_args!("terminated;reason={reason}")),
            None => headers.push("Subscription-State", format_args!("active;expires={left}")),
        }
        name_software(headers, "User-Agent", &self.config.user_agent);
        headers.push("Content-Type", self.package.content_type());
        let entity = &self.facts.entity;
        let body = match self.package {
            Package::Presence => self.facts.presence.to_pidf(entity),
            Package::Dialog => dialog_info::document(entity, self.version, &self.facts.dialogs),
        };
        request.body = body.into();
        self.version = self.version.saturating_add(1);
        (self.told, self.last) = (Some(self.facts.clone()), Some(now));
        self.send(request, next_hop, 0, self.ending.is_some());
    }

    fn send(&mut self, request: Request, next_hop: Uri, tries: u32, is_last: bool) {
        self.outputs.push_back(self.requests.send(request, next_hop, tries, is_last));
    }

    /// The NOTIFY was taken: it was the last one, or what changed meanwhile follows.
    fn went_well(&mut self, now: Instant, was_last: bool) {
        self.over |= was_last;
        self.notify_if_due(now);
    }
}

/// How long it is to hold \[s\].
///
/// # Errors
/// The shortest lifetime we grant, for one that is shorter.
fn lifetime(request: &Request) -> Result<u32, u32> {
    match request.headers.number("Expires") {
        Ok(Some(0)) => Ok(0),
        Ok(Some(wanted)) if wanted < SHORTEST => Err(SHORTEST),
        Ok(Some(wanted)) => Ok(wanted.min(LONGEST)),
        Ok(None) | Err(_) => Ok(LONGEST),
    }
}

fn brief(request: &Request, least: u32) -> Box<Response> {
    let mut response = Response::to_request(request, 423, None);
    response.headers.push("Min-Expires", least);
    Box::new(response)
}
