//! One side of a call: a session over a transaction layer, and a user who notes what is offered and agreed.
use crate::net::{self, Node, Tally};
use crate::wire::Wire;
use offhook::base::net::{Flow, Received, Transmit};
use offhook::base::rng::Rng;
use offhook::sip::invite::{
    Answer, Body, Cause, Config, Event, Failure, Invitation, OfferId, Output, Phase, RequestId, Session,
};
use offhook::sip::key::{DialogKey, ServerKey};
use offhook::sip::message::{Method, NameAddr, Request, Response, Uri};
use offhook::sip::transaction::{self, ClientKey, Layer};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// How the callee behaves while it rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ringing {
    /// 180, and the answer in the 2xx.
    Plain,
    /// Its answer, or its offer, in a reliable 183.
    Early,
}

pub struct Side {
    pub number: usize,
    pub layer: Layer,
    pub session: Option<Session>,
    requests: BTreeMap<ClientKey, RequestId>,
    flow: Flow,
    rng: Rng,
    wire: Wire,
    pub tally: Tally,
    pub ringing: Ringing,
    /// When it answers the call.
    pub answer_at: Option<Instant>,
    rings_since: Option<Instant>,
    /// Our offer that is out, by its number, and the request it went in (none: a response, or the INVITE).
    pending: Option<(u32, Option<ClientKey>)>,
    /// Answers to offers of the peer that are given later.
    later: VecDeque<(Instant, OfferId, u32)>,
    offers: u32,
    /// The exchange both sides should have agreed on last.
    pub agreed: Option<u32>,
    pub cause: Option<Cause>,
    pub ends: u32,
    /// A request was never answered: the sides may see different things.
    pub torn: bool,
}

impl Side {
    pub fn new(number: usize, peer: usize, mut rng: Rng) -> Self {
        let layer = Layer::new(transaction::Config::default(), rng.fork());
        Self {
            number,
            layer,
            session: None,
            requests: BTreeMap::new(),
            flow: net::flow(number, peer),
            rng,
            wire: Wire::default(),
            tally: Tally::default(),
            ringing: Ringing::Plain,
            answer_at: None,
            rings_since: None,
            pending: None,
            later: VecDeque::new(),
            offers: 0,
            agreed: None,
            cause: None,
            ends: 0,
            torn: false,
        }
    }

    fn config(&self) -> Config {
        Config { session_expires: Duration::from_secs(90), ..Config::default() }
    }

    fn contact(&self) -> NameAddr {
        NameAddr::parse(&format!("<sip:side@{}>", self.flow.local)).expect("a contact")
    }

    /// A description that says which exchange it belongs to.
    fn offer(&mut self) -> Body {
        self.offers += 1;
        let number = u32::try_from(self.number).unwrap_or(0) * 1_000 + self.offers;
        self.pending = Some((number, None));
        Body::sdp(format!("offer {number}"))
    }

    pub fn call(&mut self, now: Instant, has_offer: bool, requires: bool) {
        let body = has_offer.then(|| self.offer());
        let aor = |address| NameAddr::parse(&format!("<sip:side@{address}>")).expect("an address");
        let headers = if requires { vec![("Require".to_owned(), "100rel".to_owned())] } else { Vec::new() };
        let invitation = Invitation {
            request_uri: Uri::parse(&format!("sip:side@{}", self.flow.remote)).expect("a URI"),
            from: aor(self.flow.local),
            to: aor(self.flow.remote),
            contact: self.contact(),
            route: Vec::new(),
            headers,
            body,
        };
        let rng = self.rng.fork();
        self.session = Some(Session::invite(now, self.config(), invitation, rng));
        self.drain(now);
    }

    pub fn phase(&self) -> Option<Phase> {
        self.session.as_ref().map(Session::phase)
    }

    /// The user does something.
    pub fn act(&mut self, now: Instant, action: impl FnOnce(&mut Session)) {
        if let Some(session) = &mut self.session {
            action(session);
        }
        self.drain(now);
    }

    pub fn is_clear(&self) -> bool {
        self.layer.is_idle() && self.session.as_ref().is_none_or(Session::is_done) && self.poll_timeout().is_none()
    }

    /// What is not over yet, in words.
    pub fn rest(&self, now: Instant) -> String {
        let due = [self.layer.poll_timeout(), self.session.as_ref().and_then(Session::poll_timeout)];
        let due = due.map(|at| at.map(|at| at.saturating_duration_since(now)));
        format!("due {due:?}, later {:?}, {:?}, {:?}, {:?}", self.later, self.cause, self.layer, self.session)
    }

    /// Answers the call, with whatever the state of it asks for.
    pub fn pick_up(&mut self, now: Instant) {
        let Some(session) = &self.session else { return };
        if session.phase() != Phase::Ringing {
            return;
        }
        let body = self.description();
        self.act(now, |session| session.accept(now, Some(body)));
    }

    /// The answer to the offer of the INVITE, or our offer where it had none.
    fn description(&mut self) -> Body {
        let offered = self.session.as_ref().and_then(Session::offer).map(number);
        if self.agreed.is_some() || self.pending.is_some() {
            // Done before, reliably.
            return Body::sdp("none of this is sent");
        }
        match offered {
            Some(number) => {
                self.agreed = Some(number);
                Body::sdp(format!("answer {number}"))
            }
            None => self.offer(),
        }
    }

    fn drain(&mut self, now: Instant) {
        loop {
            if let Some(event) = self.layer.poll_event() {
                self.hear(now, event);
            } else if let Some(output) = self.session.as_mut().and_then(Session::poll_output) {
                self.say(now, output);
            } else if let Some(event) = self.session.as_mut().and_then(Session::poll_event) {
                self.notice(now, event);
            } else {
                return;
            }
        }
    }

    fn hear(&mut self, now: Instant, event: transaction::Event) {
        use transaction::Event as E;
        match event {
            E::Request { key, request, .. } => self.serve(now, key, request),
            E::Ack { request, .. } => self.with(|session| session.handle_ack(now, request)),
            E::Cancelled { key, cancel } => self.with(|session| session.handle_cancelled(now, &key, &cancel)),
            E::Response { key, response, .. } => {
                let is_pending = self.pending.as_ref().is_some_and(|(_, sent)| sent.as_ref() == Some(&key));
                if is_pending && response.status >= 300 {
                    self.tally.add(match response.status {
                        491 => "glare",
                        500 => "busy",
                        _ => "refused",
                    });
                    self.pending = None;
                }
                if let Some(id) = self.requests.get(&key).copied() {
                    self.with(|session| session.handle_response(now, id, response));
                }
            }
            E::StrayResponse { response, .. } => self.with(|session| session.handle_stray_response(now, response)),
            E::Timeout { key } | E::TransportError { key } => {
                self.torn = true;
                if let Some(id) = self.requests.remove(&key) {
                    self.with(|session| session.handle_failure(now, id, Failure::Timeout));
                }
            }
            E::ServerFailed { .. } => {}
        }
    }

    fn with(&mut self, act: impl FnOnce(&mut Session)) {
        if let Some(session) = &mut self.session {
            act(session);
        }
    }

    fn serve(&mut self, now: Instant, key: ServerKey, request: Request) {
        match DialogKey::of_request(&request.headers) {
            Ok(None) if request.method == Method::Invite && self.session.is_none() => self.ring(now, key, &request),
            Ok(Some(dialog)) if self.session.as_ref().is_some_and(|s| *s.key() == dialog.session()) => {
                if request.method == Method::Update {
                    self.tally.add(if request.body.is_empty() { "refresh" } else { "UPDATE" });
                }
                if request.method == Method::Prack {
                    self.tally.add(match request.body.first() {
                        Some(b'o') => "offer in PRACK",
                        Some(_) => "answer in PRACK",
                        None => "PRACK",
                    });
                }
                self.with(|session| session.handle_request(now, key, request));
            }
            _ => self.layer.respond(now, &key, Response::to_request(&request, 481, Some("none"))),
        }
    }

    fn ring(&mut self, now: Instant, key: ServerKey, request: &Request) {
        let (config, contact, rng) = (self.config(), self.contact(), self.rng.fork());
        match Session::incoming(now, config, contact, key.clone(), request, rng) {
            Ok(session) => {
                self.session = Some(session);
                self.rings_since = Some(now);
                self.with(|session| session.provisional(now, 180, None));
                if self.ringing == Ringing::Early && request.headers.has_token("Supported", "100rel") {
                    let body = self.description();
                    self.tally.add(if body.bytes.starts_with(b"offer") { "offer in 183" } else { "answer in 183" });
                    self.with(|session| session.provisional(now, 183, Some(body)));
                }
            }
            Err(refused) => self.layer.respond(now, &key, *refused),
        }
    }

    fn say(&mut self, now: Instant, output: Output) {
        match output {
            Output::Request { id, request, .. } => {
                let offers = request.body.starts_with(b"offer");
                let key = self.layer.send_request(now, request, self.flow);
                if offers && let Some((_, sent)) = &mut self.pending {
                    *sent = Some(key.clone());
                }
                self.requests.insert(key, id);
            }
            Output::Ack { request, .. } => self.layer.send_stateless(request, self.flow),
            Output::Cancel { id, reason } => {
                let key = self.requests.iter().find(|(_, of)| **of == id).map(|(key, _)| key.clone());
                if let Some(key) = key {
                    self.tally.add("CANCEL");
                    self.layer.cancel(now, &key, reason.as_deref());
                }
            }
            Output::Response { key, response } => self.layer.respond(now, &key, response),
        }
    }

    fn notice(&mut self, now: Instant, event: Event) {
        match event {
            Event::Progress { body: Some(body), response, .. } if response.headers.has_token("Require", "100rel") => {
                self.take_answer(&body);
            }
            Event::Progress { .. } | Event::Notified { .. } | Event::Confirmed | Event::Alive => {}
            Event::Candidates { .. }
            | Event::Informed { .. }
            | Event::Signalled(_)
            | Event::SignalRefused { .. }
            | Event::Written { .. } => {}
            Event::Answered { settled, .. } => {
                self.tally.add(if settled { "agreed before the answer" } else { "answered" });
            }
            Event::Answer { body, .. } => self.take_answer(&body),
            Event::Offer { id, body, .. } => {
                assert!(self.pending.is_none(), "two offers: {:?} is out", self.pending);
                let offered = number(&body);
                match self.rng.range(0, 9) {
                    0 => self.reject(now, id),
                    1 | 2 => {
                        let at = now + Duration::from_millis(u64::from(self.rng.range(1, 3_000)));
                        self.later.push_back((at, id, offered));
                    }
                    _ => self.accept(now, id, offered),
                }
            }
            Event::OfferWanted { id, .. } => {
                assert!(self.pending.is_none(), "two offers: {:?} is out", self.pending);
                if self.rng.range(0, 19) == 0 {
                    return self.reject(now, id);
                }
                let offer = self.offer();
                self.with(|session| session.answer(now, id, Answer::Accept(offer)));
            }
            Event::OfferRejected { .. } => self.pending = None,
            Event::Lost { status } => {
                self.torn = true;
                self.with(|session| session.abandon(now, status));
            }
            Event::Expired => {
                self.torn = true;
                self.with(|session| session.expire(now));
            }
            Event::Ended { cause } => {
                self.ends += 1;
                self.tally.add("ended");
                self.cause = Some(cause);
                self.later.clear();
                self.pending = None;
            }
            Event::Challenged { .. }
            | Event::Redirected { .. }
            | Event::Unacceptable { .. }
            | Event::Referred { .. }
            | Event::TransferProgress { .. } => panic!("nobody does that here: {event:?}"),
        }
    }

    fn take_answer(&mut self, body: &Body) {
        let answered = number(body);
        assert_eq!(self.pending.as_ref().map(|(number, _)| *number), Some(answered), "an answer to another offer");
        self.pending = None;
        self.agreed = Some(answered);
        self.tally.add("agreed");
    }

    fn accept(&mut self, now: Instant, id: OfferId, offered: u32) {
        self.agreed = Some(offered);
        self.tally.add("accepted");
        self.with(|session| session.answer(now, id, Answer::Accept(Body::sdp(format!("answer {offered}")))));
    }

    fn reject(&mut self, now: Instant, id: OfferId) {
        self.tally.add("rejected");
        self.with(|session| session.answer(now, id, Answer::Reject(488)));
    }
}

/// Which exchange a description belongs to.
fn number(body: &Body) -> u32 {
    let text = String::from_utf8_lossy(&body.bytes);
    text.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("{text}"))
}

impl Node for Side {
    fn receive(&mut self, now: Instant, received: Received) {
        self.layer.handle_received(now, received);
        self.drain(now);
    }

    fn timeout(&mut self, now: Instant) {
        self.layer.handle_timeout(now);
        if let Some(session) = self.session.as_mut().filter(|s| s.poll_timeout().is_some_and(|at| at <= now)) {
            session.handle_timeout(now);
        }
        self.drain(now);
        while let Some((_, id, offered)) = self.later.front().copied().filter(|(at, _, _)| *at <= now) {
            self.later.pop_front();
            self.accept(now, id, offered);
            self.drain(now);
        }
        if let (Some(wait), Some(since)) = (self.answer_at, self.rings_since)
            && wait.max(since) <= now
        {
            self.answer_at = None;
            self.pick_up(now);
        }
    }

    fn poll_transmit(&mut self, _: Instant) -> Option<Transmit> {
        let transmit = self.layer.poll_transmit()?;
        self.wire.look(&transmit.bytes);
        Some(transmit)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let session = self.session.as_ref().and_then(Session::poll_timeout);
        let answer = self.answer_at.zip(self.rings_since).map(|(wait, since)| wait.max(since));
        let later = self.later.front().map(|(at, _, _)| *at);
        [self.layer.poll_timeout(), session, answer, later].into_iter().flatten().min()
    }

    fn check(&mut self, _: Instant) {
        let Some(session) = &self.session else { return };
        assert!(self.ends <= 1, "the end is told once");
        assert_eq!(self.ends == 1, session.phase() == Phase::Ended, "{:?}", self.cause);
        assert!(self.requests.len() < 256 && self.wire.bytes < 4_096, "memory is bounded");
    }
}
