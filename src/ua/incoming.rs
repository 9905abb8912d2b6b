//! What reaches the agent: who may, what is answered at once, and what becomes a call.
use super::account::Account;
use super::account::shown;
use super::call::{Beginning, Call, warning};
use super::media_host::Known;
use super::outgoing::session_config;
use super::plan::Plan;
use super::sending::{Challenged, Owner};
use super::{CALLS, UserAgent, secure};
use crate::base::id::{AccountId, CallNumber};
use crate::base::net::Flow;
use crate::media::spec::Ring;
use crate::sdp::SdpError;
use crate::sip::identity::{self, ANONYMITY_DISALLOWED};
use crate::sip::invite::{Failure, Session};
use crate::sip::key::{ClientKey, DialogKey, ServerKey, SessionKey};
use crate::sip::message::{Headers, Method, Request, Response, Scheme, Uri};
use crate::sip::replaces::Replaces;
use crate::sip::{alert, options, transaction};
use crate::ua::event::Event;
use crate::ua::identity::Source;
use std::time::{Duration, Instant};

/// Strangers are mentioned in the log at most this often.
const NOTE_STRANGERS: Duration = Duration::from_secs(10);

impl UserAgent {
    pub(super) fn handle_layer(&mut self, now: Instant, event: transaction::Event) {
        match event {
            transaction::Event::Request { key, request, flow, merged } => {
                self.handle_request(now, key, request, flow, merged);
            }
            transaction::Event::Ack { request, .. } => {
                if let Some(session) = self.session_of_request(&request) {
                    session.handle_ack(now, request);
                }
            }
            transaction::Event::Cancelled { key, .. } if self.cancel_held(now, &key) => {}
            transaction::Event::Cancelled { key, cancel } => {
                let session =
                    self.calls.values_mut().find_map(|c| c.session.as_mut().filter(|s| s.is_invited_by(&key)));
                match session {
                    Some(session) => session.handle_cancelled(now, &key, &cancel),
                    None => {
                        if let Some(session) = self.session_of_request(&cancel) {
                            session.handle_cancelled(now, &key, &cancel);
                        }
                    }
                }
            }
            transaction::Event::Response { key, response, flow } => self.handle_response(now, &key, response, flow),
            transaction::Event::StrayResponse { response, .. } => self.handle_stray_response(now, response),
            transaction::Event::Timeout { key } => {
                self.sending.left_is_over(&key);
                if let Some(pending) = self.sending.finish(&key) {
                    self.request_failed(now, pending, Failure::Timeout);
                }
            }
            transaction::Event::TransportError { key } => {
                self.sending.left_is_over(&key);
                if let Some(pending) = self.sending.finish(&key) {
                    self.request_failed(now, pending, Failure::Transport);
                }
            }
            transaction::Event::ServerFailed { .. } => {}
        }
    }

    /// No request of ours waits for it: nobody is believed that way.
    fn handle_stray_response(&mut self, now: Instant, mut response: Response) {
        identity::distrust(&mut response.headers);
        if let Ok(key) = ClientKey::of_response(&response) {
            if self.answered_late(now, &key, &response) {
                return;
            }
            self.sending.finish(&key);
        }
        let key = DialogKey::of_response(&response.headers).ok().map(|key| key.session());
        if let Some(session) = key.and_then(|key| self.session(&key)) {
            session.handle_stray_response(now, response);
        }
    }

    fn handle_response(&mut self, now: Instant, key: &ClientKey, mut response: Response, flow: Flow) {
        if self.answered_late(now, key, &response) || self.passes_over(now, key, &response) {
            return;
        }
        let Some(errand) = self.sending.heard(key, response.status) else {
            // A 2xx to INVITE that came before: each one needs its ACK.
            return self.handle_stray_response(now, response);
        };
        let (owner, Some(id)) = (errand.owner, errand.id) else { return };
        let met = Challenged { request: errand.request, by: flow.remote.ip() };
        if let (401 | 407, Owner::Call(_) | Owner::Registration(..) | Owner::Watch(_) | Owner::Publication(_)) =
            (response.status, owner)
        {
            self.sending.challenged(owner, id, met.clone());
        }
        match owner {
            Owner::Call(number) => {
                self.distrust(number, &flow, &mut response.headers);
                if let Some(session) = self.calls.get_mut(&number).and_then(|c| c.sender_of(id)) {
                    session.handle_response(now, id, response);
                }
            }
            Owner::Registration(account, number) => {
                self.registration_response(now, (account, number), id, response);
            }
            Owner::Query(query) if response.status >= 200 => {
                self.query_answered(now, query, &met, &response);
            }
            Owner::Watch(watch) => self.watching.handle_response(now, watch, id, response),
            Owner::Publication(account) => self.presences.handle_response(now, account, id, response),
            Owner::Watcher(watcher) => self.watcher_answered(now, watcher, id, &met, &response),
            Owner::Text(text) if response.status >= 200 => self.text_answered(now, text, &met, &response),
            // That it came is all that is asked of it.
            Owner::Query(_) | Owner::Text(_) | Owner::Probe(_) => {}
        }
    }

    fn handle_request(&mut self, now: Instant, key: ServerKey, mut request: Request, flow: Flow, merged: bool) {
        if let Ok(Some(dialog)) = DialogKey::of_request(&request.headers) {
            if request.method == Method::Notify && self.watching.handle_notify(now, &dialog.session(), &key, &request) {
                return;
            }
            if request.method == Method::Subscribe
                && self.watchers.handle_subscribe(now, &dialog.session(), &key, &request)
            {
                return;
            }
            if let Some(number) = self.sessions.get(&dialog.session()) {
                self.distrust(*number, &flow, &mut request.headers);
            }
            // A text within a call is one as any other (RFC 3428 §6).
            let call = self.sessions.get(&dialog.session()).and_then(|number| self.calls.get(number));
            if let (Method::Message, Some(account)) = (&request.method, call.map(|call| call.account)) {
                return self.text_received(now, &key, &request, (&flow, account));
            }
            if let Some(session) = self.session_of_request(&request) {
                session.handle_request(now, key, request);
            } else {
                self.layer.respond_once(&key, &request, 481, &[]);
            }
            return;
        }
        let Some(account) = self.addressee(&request, &flow) else {
            self.note_stranger(now, &request, &flow);
            return self.layer.respond_once(&key, &request, 403, &[]);
        };
        if merged {
            return self.respond(now, &key, &request, 482, &[]);
        }
        let understood = match request.uri.scheme {
            Scheme::Sip => true,
            // Somebody on the way let the protection go.
            Scheme::Sips => flow.transport.is_secure(),
            Scheme::Tel | Scheme::Other(_) => false,
        };
        if !understood {
            return self.respond(now, &key, &request, 416, &[]);
        }
        if request.method != Method::Invite && self.refuses_extension(now, &key, &request) {
            return;
        }
        match request.method {
            Method::Invite => self.handle_invite(now, key, &request, (flow, account), None),
            Method::Options => {
                let busy = self.calls.values().filter(|c| !c.is_over()).count() >= CALLS;
                let status = if busy { 486 } else { 200 };
                let Some(contact) = self.account(account).map(|a| a.contact(&flow)) else { return };
                let mut response =
                    options::answer(&request, status, &contact, &self.settings.user_agent, &mut self.rng);
                if let Some(body) = self.capabilities(&request, status, (&flow, account)) {
                    body.put(&mut response.headers, &mut response.body);
                }
                self.layer.respond(now, &key, response);
            }
            // Servers tell the state of a mailbox unasked; to refuse that would only make them repeat it.
            Method::Notify
                if request.headers.get("Event").is_some_and(|e| e.trim_start().starts_with("message-summary")) =>
            {
                // Only its own server knows what the mailbox holds.
                if self.account(account).is_some_and(|a| a.trust.is_server(flow.remote.ip())) {
                    self.mailbox_told(account, &request.body);
                }
                self.respond(now, &key, &request, 200, &[]);
            }
            Method::Notify => self.respond(now, &key, &request, 481, &[]),
            Method::Bye | Method::Info | Method::Update | Method::Prack | Method::Cancel | Method::Ack => {
                self.respond(now, &key, &request, 481, &[]);
            }
            Method::Message => self.text_received(now, &key, &request, (&flow, account)),
            Method::Subscribe => self.handle_subscribe(now, key, &request, (flow, account)),
            Method::Register | Method::Publish | Method::Refer => {
                self.respond(now, &key, &request, 405, &[("Allow", options::ALLOW)]);
            }
            Method::Other(_) => self.respond(now, &key, &request, 501, &[("Allow", options::ALLOW)]),
        }
    }

    /// Counts a stranger, and says so now and then: a scanner must not fill the log.
    fn note_stranger(&mut self, now: Instant, request: &Request, flow: &Flow) {
        self.counters.strangers += 1;
        if self.stranger_noted.is_some_and(|at| now.saturating_duration_since(at) < NOTE_STRANGERS) {
            return;
        }
        self.stranger_noted = Some(now);
        let (method, count) = (shown(request.method.as_str(), 20), self.counters.strangers);
        self.out.log(format!(
            "{method} from {}: refused, it is not from a server of ours ({count} such requests so far)",
            flow.remote
        ));
    }

    /// Answers 420 to what demands an extension; this phone has none that may be demanded.
    fn refuses_extension(&mut self, now: Instant, key: &ServerKey, request: &Request) -> bool {
        let demanded: Vec<String> = request.headers.all("Require").take(8).map(|t| shown(t, 40)).collect();
        if demanded.is_empty() {
            return false;
        }
        self.respond(now, key, request, 420, &[("Unsupported", &demanded.join(", "))]);
        true
    }

    /// The account a request from outside is for: named by our secret Contact, else known by its server.
    fn addressee(&self, request: &Request, flow: &Flow) -> Option<AccountId> {
        let (uri, source) = (&request.uri, flow.remote.ip());
        let to = request.headers.to().ok().map(|to| to.uri);
        let from = request.headers.from().ok().map(|from| from.uri);
        let is_user = |a: &Account, uri: &Uri| uri.plain_user().as_deref() == Some(a.settings.user.as_str());
        // What tells more comes first.
        let rank = |a: &&Account| {
            let called = is_user(a, uri) || to.as_ref().is_some_and(|to| is_user(a, to));
            let domain = [to.as_ref(), from.as_ref()].into_iter().flatten().any(|uri| uri.host == a.settings.domain);
            let over = a.bindings.iter().any(|b| b.uses(flow));
            std::cmp::Reverse((a.names_us(uri), a.trust.is_server(source), is_user(a, uri), called, domain, over))
        };
        self.accounts.iter().filter(|a| !a.retired && a.accepts(source, uri)).min_by_key(rank).map(|a| a.id)
    }

    /// - `known`: the address of the name that the offer was held for.
    pub(super) fn handle_invite(
        &mut self,
        now: Instant,
        key: ServerKey,
        request: &Request,
        (flow, account_id): (Flow, AccountId),
        known: Option<&Known>,
    ) {
        if self.shutdown.is_some() {
            return self.respond(now, &key, request, 480, &[]);
        }
        match Replaces::of(&request.headers) {
            Ok(None) => {}
            Ok(Some(replaces)) => {
                if let Err(status) = self.take_replacing(now, &key, request, (flow, account_id), &replaces) {
                    self.respond(now, &key, request, status, &[]);
                }
                return;
            }
            Err(_) => return self.respond(now, &key, request, 400, &[]),
        }
        if self.calls.values().filter(|c| !c.is_over()).count() >= CALLS {
            return self.respond(now, &key, request, 486, &[]);
        }
        let (Some(account), Ok(from)) = (self.account(account_id), request.headers.from()) else { return };
        let identity = self.identify(account_id, &flow, &request.headers, &from);
        if identity.source == Source::Withheld && account.settings.caller_id.refuse_anonymous {
            self.out.log(format!("a call of somebody who does not say who it is, at {}: refused", flow.remote));
            return self.respond(now, &key, request, ANONYMITY_DISALLOWED, &[]);
        }
        let contact = secure::contact(account.contact(&flow), &request.uri);
        let (name, server) = (account.settings.name.clone(), account.settings.domain.to_string());
        let made = Session::incoming(
            now,
            session_config(&self.settings.user_agent, account),
            contact,
            key.clone(),
            request,
            self.rng.fork(),
        );
        let mut session = match made {
            Ok(session) => session,
            Err(response) => return self.layer.respond(now, &key, *response),
        };
        let wishes = self.wishes(account_id);
        let mut plan = Plan::new(wishes, &mut self.rng);
        if let Some(known) = known {
            plan.host_resolved(&known.name, known.address);
        }
        if let Some(offer) = session.offer()
            && let Err(error) = plan.try_offer(offer, flow.local)
        {
            if let (SdpError::HostName(name), None) = (&error, known)
                && self.hold_invite(now, &key, request, (flow, account_id), name)
            {
                return;
            }
            self.out.log(format!("a call from {} is refused: {error}", identity.label()));
            let warning = warning(&error);
            return self.respond(now, &key, request, error.status(), &[("Warning", &warning)]);
        }
        let number = CallNumber(self.next_call);
        self.next_call += 1;
        let beginning = Beginning {
            number,
            account: account_id,
            account_name: name,
            outgoing: false,
            identity,
            server,
            target: from.uri,
            plan,
        };
        self.sessions.insert(session.key().clone(), number);
        let mut call = Call::new(now, beginning);
        if let Some(away) = self.sends_away(account_id, &request.headers) {
            call.session = Some(session);
            call.turn_away(now, away, &self.anchor, &mut self.out);
            self.calls.insert(number, call);
            return;
        }
        // Who insists on reliability is told that it rings together with our description, when there are ports.
        if !session.insists_on_reliability() {
            session.provisional(now, 180, None);
        }
        call.session = Some(session);
        call.alert.ring = ring(&request.headers);
        call.alert.answer_at = self.answers_at(now, account_id, &request.headers, &flow);
        self.will_divert(now, account_id, &request.headers, &mut call.alert);
        call.open_media(now, flow, &mut self.out);
        self.out.log(format!("call {number}: from {} at {}", call.peer_label(), flow.remote));
        self.out.event(Event::Incoming { call: number, from: call.peer_label() });
        self.out.event(Event::Identified { call: number, identity: Box::new(call.identity.clone()) });
        self.calls.insert(number, call);
    }

    pub(super) fn respond(
        &mut self,
        now: Instant,
        key: &ServerKey,
        request: &Request,
        status: u16,
        headers: &[(&str, &str)],
    ) {
        let tag = self.rng.hex(12);
        let mut response = Response::to_request(request, status, Some(&tag));
        if !self.settings.user_agent.is_empty() {
            response.headers.set("Server", &self.settings.user_agent);
        }
        for (name, value) in headers {
            response.headers.set(name, value);
        }
        self.layer.respond(now, key, response);
    }

    fn session(&mut self, key: &SessionKey) -> Option<&mut Session> {
        let number = self.sessions.get(key)?;
        self.calls.get_mut(number)?.session_of(key)
    }

    fn session_of_request(&mut self, request: &Request) -> Option<&mut Session> {
        let key = DialogKey::of_request(&request.headers).ok()??.session();
        self.session(&key)
    }
}

/// The ring a call asks for, of those the phone has.
fn ring(invite: &Headers) -> Ring {
    match alert::Ring::of(invite) {
        alert::Ring::Usual => Ring::Usual,
        alert::Ring::Internal => Ring::Internal,
        alert::Ring::External => Ring::External,
        alert::Ring::Group => Ring::Group,
    }
}
