//! What the agent begins: registrations, calls, questions; and how their requests find their way.
use super::account::{Account, shown};
use super::call::{Beginning, Call};
use super::plan::{Plan, Wishes};
use super::sending::{Challenged, Errand, Owner, Pending, by_size};
use super::{CALLS, UserAgent, index, target};
use crate::base::id::{AccountId, CallNumber};
use crate::base::net::{Flow, Transmit, Transport};
use crate::media::spec::Direction;
use crate::sip::invite::{self, Failure, Invitation, Output, Session};
use crate::sip::locate::{self, Question};
use crate::sip::message::{Method, NameAddr, Request, Response, Uri};
use crate::sip::{options, register};
use crate::ua::event::Event;
use crate::ua::snapshot::{CallEnd, RegistrationState};
use bytes::Bytes;
use std::net::SocketAddr;
use std::time::Instant;

/// Questions to peers that may be open at once.
const QUERIES: usize = 16;

/// An OPTIONS request and whom it asks.
#[derive(Debug)]
pub struct Query {
    target: Uri,
    account: AccountId,
}

impl UserAgent {
    pub(super) fn register(&mut self, now: Instant, id: AccountId) {
        let Some(account) = self.accounts.get_mut(index(id)) else {
            return self.out.refuse("there is no such account");
        };
        account.waits_for_address = true;
        if !matches!(account.state, RegistrationState::Registered { .. }) {
            account.state = RegistrationState::Registering;
        }
        let question = account.server_question();
        self.ask(now, question);
    }

    pub(super) fn unregister(&mut self, now: Instant, id: AccountId) {
        let Some(account) = self.accounts.get_mut(index(id)) else { return };
        account.waits_for_address = false;
        account.retry_at = None;
        if let Some(registration) = account.registration.as_mut().filter(|r| *r.state() != register::State::Off) {
            return registration.stop(now);
        }
        // There was nothing to take back, or it was only about to begin.
        if account.state != RegistrationState::Off {
            account.state = RegistrationState::Off;
            self.out.event(Event::Registration { account: id, state: RegistrationState::Off });
        }
    }

    pub(super) fn account_timeout(&mut self, now: Instant, index: usize) {
        let Some(account) = self.accounts.get_mut(index) else { return };
        if let Some(registration) = &mut account.registration
            && registration.poll_timeout().is_some_and(|at| at <= now)
        {
            registration.handle_timeout(now);
        }
        if let Some(flow) = account.keep_alive(now) {
            self.keep_alives.push_back(Transmit { flow, bytes: Bytes::from_static(b"\r\n\r\n") });
        }
        if account.retry_at.is_some_and(|at| at <= now) {
            account.retry_at = None;
            let id = account.id;
            self.register(now, id);
        }
    }

    /// The account a call goes out from: the one named, else the first that is registered, else the first.
    fn choose_account(&self, wanted: Option<AccountId>) -> Option<&Account> {
        match wanted {
            Some(id) => self.account(id),
            None => {
                let registered = |a: &&Account| matches!(a.state, RegistrationState::Registered { .. });
                self.accounts.iter().find(registered).or(self.accounts.first())
            }
        }
    }

    pub(super) fn place_call(&mut self, now: Instant, wanted: Option<AccountId>, typed: &str) {
        let Some(account) = self.choose_account(wanted) else {
            return self.out.refuse("there is no account to call from; `offhook init` makes one");
        };
        if self.shutdown.is_some() {
            return;
        }
        if self.calls.values().filter(|c| !c.is_over()).count() >= CALLS {
            return self.out.refuse(format!("{CALLS} calls are open already"));
        }
        let target = match target::parse(typed, account.dial_domain()) {
            Ok(target) => target,
            Err(error) => return self.out.refuse(error.to_string()),
        };
        let question = match Question::of(&hop(account, &target), account.settings.transport) {
            Ok(question) => question,
            Err(error) => return self.out.refuse(error.to_string()),
        };
        let (id, name) = (account.id, account.settings.name.clone());
        let wishes = self.wishes(id);
        let number = CallNumber(self.next_call);
        self.next_call += 1;
        let call = Call::new(
            now,
            Beginning {
                number,
                account: id,
                account_name: name,
                outgoing: true,
                peer: NameAddr::new(target.clone()),
                target,
                plan: Plan::new(wishes, &mut self.rng),
            },
        );
        self.out.log(format!("call {number}: to {}", call.peer_address()));
        self.out.event(Event::Outgoing { call: number, to: call.peer_address().to_owned() });
        self.calls.insert(number, call);
        self.busy_until = None;
        self.focus_on(now, number);
        self.ask(now, question);
    }

    pub(super) fn wishes(&self, account: AccountId) -> Wishes {
        let settings = self.account(account).map(|a| &a.settings);
        Wishes {
            codecs: settings.map(|s| s.codecs.clone()).unwrap_or_default(),
            dtmf: settings.is_none_or(|s| s.dtmf),
            ptime: self.settings.ptime,
            rtcp_mux: self.settings.rtcp_mux,
            brisk_reports: self.settings.brisk_reports,
            description: self.settings.description.clone(),
        }
    }

    pub(super) fn query(&mut self, now: Instant, wanted: Option<AccountId>, typed: &str) {
        let Some(account) = self.choose_account(wanted) else {
            return self.out.refuse("there is no account to ask from");
        };
        if self.queries.len() >= QUERIES {
            return self.out.refuse("too many questions are open");
        }
        let target = match target::parse(typed, account.dial_domain()) {
            Ok(target) => target,
            Err(error) => return self.out.refuse(error.to_string()),
        };
        match Question::of(&hop(account, &target), account.settings.transport) {
            Ok(question) => {
                let (id, account) = (self.next_query, account.id);
                self.next_query += 1;
                self.queries.insert(id, Query { target, account });
                self.ask(now, question);
            }
            Err(error) => self.out.refuse(error.to_string()),
        }
    }

    /// Ports are bound: the call goes out, or the answer the user gave.
    pub(super) fn media_opened(&mut self, now: Instant, number: CallNumber, rtp: SocketAddr, rtcp: SocketAddr) {
        let Some(call) = self.calls.get_mut(&number) else { return };
        if call.is_over() {
            return;
        }
        call.handle_opened(rtp, rtcp);
        if call.outgoing && call.session.is_none() {
            return self.invite(now, number);
        }
        if !call.outgoing && (!call.is_ringing_in() || self.settings.auto_answer) {
            call.answer(now, &self.anchor, &mut self.out);
            self.focus_on(now, number);
        }
    }

    fn invite(&mut self, now: Instant, number: CallNumber) {
        let Some(call) = self.calls.get_mut(&number) else { return };
        let Some(account) = self.accounts.get(index(call.account)) else { return };
        let Some(flow) = call.flow else { return };
        let offer = match call.plan.offer(Direction::SendRecv) {
            Ok(offer) => offer,
            Err(error) => {
                return call.fail(now, &self.anchor, CallEnd::Failed, error.to_string(), &mut self.out);
            }
        };
        let mut to = NameAddr::new(call.target.clone());
        to.uri.params = crate::sip::message::Params::default();
        to.uri.headers = None;
        let mut request_uri = call.target.clone();
        request_uri.headers = None;
        let invitation = Invitation {
            from: account.aor(),
            to,
            contact: account.contact(&flow),
            route: account.route(),
            headers: Vec::new(),
            body: Some(offer),
            request_uri,
        };
        let session = Session::invite(now, session_config(&self.settings.user_agent), invitation, self.rng.fork());
        self.sessions.insert(session.key().clone(), number);
        call.session = Some(session);
    }

    /// Asks where a host is, unless that is known already.
    fn ask(&mut self, now: Instant, question: Question) {
        match self.sending.route(now, &question).map(<[Flow]>::to_vec) {
            Some(flows) => self.located(now, &question, Ok(flows)),
            None if self.sending.asks(&question) => self.questions.push_back(question),
            None => {}
        }
    }

    pub(super) fn located(&mut self, now: Instant, question: &Question, answer: Result<Vec<Flow>, String>) {
        let answer = answer.and_then(|flows| if flows.is_empty() { Err("no address".to_owned()) } else { Ok(flows) });
        if let Ok(flows) = &answer {
            self.sending.learn(now, question, flows.clone());
        }
        self.located_registrar(now, question, &answer);
        self.located_calls(now, question, &answer);
        self.located_queries(now, question, &answer);
        for errand in self.sending.answered(question) {
            match &answer {
                Ok(flows) => self.send(now, errand, flows.clone()),
                Err(cause) => {
                    self.out.log(cause.clone());
                    self.fail_errand(now, &errand, Failure::Transport);
                }
            }
        }
    }

    fn located_registrar(&mut self, now: Instant, question: &Question, answer: &Result<Vec<Flow>, String>) {
        for account in &mut self.accounts {
            // Whatever the port: it is the same host.
            if let (true, Ok(flows)) = (account.own_hosts().contains(&question.host), answer) {
                flows.iter().for_each(|flow| account.trust(flow.remote.ip()));
            }
            if !account.waits_for_address || account.server_question() != *question {
                continue;
            }
            match answer {
                Ok(flows) => {
                    if let Some(flow) = flows.first() {
                        account.begin(now, *flow, &self.settings.user_agent, &mut self.rng);
                    }
                }
                Err(cause) => {
                    account.postpone(now, &shown(cause, 120), &mut self.rng);
                    let (account, state) = (account.id, account.state.clone());
                    self.out.event(Event::Registration { account, state });
                }
            }
        }
    }

    fn located_calls(&mut self, now: Instant, question: &Question, answer: &Result<Vec<Flow>, String>) {
        for call in self.calls.values_mut().filter(|c| c.outgoing && c.flow.is_none() && !c.is_over()) {
            let Some(account) = self.accounts.get(index(call.account)) else { continue };
            if Question::of(&hop(account, &call.target), account.settings.transport).as_ref() != Ok(question) {
                continue;
            }
            match answer {
                Ok(flows) => {
                    if let Some(flow) = flows.first() {
                        call.open_media(now, *flow, &mut self.out);
                    }
                }
                Err(cause) => {
                    call.fail(now, &self.anchor, CallEnd::Failed, shown(cause, 120), &mut self.out);
                }
            }
        }
    }

    fn located_queries(&mut self, now: Instant, question: &Question, answer: &Result<Vec<Flow>, String>) {
        let mut begun = Vec::new();
        for (id, query) in &self.queries {
            let Some(account) = self.accounts.get(index(query.account)) else { continue };
            let mine = Question::of(&hop(account, &query.target), account.settings.transport).as_ref() == Ok(question);
            if mine && self.sending.key_of(Owner::Query(*id), invite::RequestId(0)).is_none() {
                begun.push((*id, query.target.clone(), query.account));
            }
        }
        for (id, target, account) in begun {
            let flows = match answer {
                Ok(flows) => flows.clone(),
                Err(cause) => {
                    self.queries.remove(&id);
                    self.out.refuse(shown(cause, 120));
                    continue;
                }
            };
            let (Some(account), Some(flow)) = (self.accounts.get(index(account)), flows.first()) else { continue };
            let (from, contact, route) = (account.aor(), account.contact(flow), account.route());
            let request = options::query(target, from, contact, &route, &self.settings.user_agent, &mut self.rng);
            let errand = Errand { owner: Owner::Query(id), id: Some(invite::RequestId(0)), request };
            self.send(now, errand, flows);
        }
    }

    /// Passes on what sessions and registrations want sent and tell; `true` when there was anything.
    pub(super) fn drain_usages(&mut self, now: Instant) -> bool {
        let mut busy = false;
        let numbers: Vec<CallNumber> = self.calls.keys().copied().collect();
        for number in numbers {
            while let Some(output) = self.calls.get_mut(&number).and_then(|c| c.session.as_mut()?.poll_output()) {
                busy = true;
                self.carry_out(now, Owner::Call(number), output);
            }
            while let Some(event) = self.calls.get_mut(&number).and_then(|c| c.session.as_mut()?.poll_event()) {
                busy = true;
                self.session_event(now, number, event);
            }
        }
        for at in 0..self.accounts.len() {
            let Some(id) = self.accounts.get(at).map(|a| a.id) else { continue };
            while let Some(output) = self.accounts.get_mut(at).and_then(|a| a.registration.as_mut()?.poll_output()) {
                busy = true;
                self.carry_out(now, Owner::Account(id), output);
            }
            while let Some(event) = self.accounts.get_mut(at).and_then(|a| a.registration.as_mut()?.poll_event()) {
                busy = true;
                self.registration_event(now, at, event);
            }
        }
        busy
    }

    fn session_event(&mut self, now: Instant, number: CallNumber, event: invite::Event) {
        let Some(call) = self.calls.get_mut(&number) else { return };
        match event {
            invite::Event::Challenged { id, response, .. } => {
                let met = self.sending.take_challenged(Owner::Call(number), id);
                let account = self.accounts.get_mut(index(call.account));
                let credentials = met.zip(account).map(|(met, account)| account.authorize(&met, &response));
                let Some(session) = &mut call.session else { return };
                match credentials {
                    Some(Ok(headers)) => session.authenticate(now, id, headers),
                    Some(Err(refusal)) => {
                        self.out.log(format!("call {number}: {refusal}"));
                        session.give_up(now, id);
                    }
                    None => session.give_up(now, id),
                }
            }
            invite::Event::Ended { cause: invite::Cause::Refused { .. } } => {
                call.handle_session(now, event, &self.anchor, &mut self.out);
                self.busy_until = Some(now + super::BUSY_TONE);
            }
            invite::Event::Answered { .. } => {
                call.handle_session(now, event, &self.anchor, &mut self.out);
                // The user has taken up another call meanwhile: this one waits, as any other than the one talked on.
                let talked_on = self.focus.filter(|focus| *focus != number).and_then(|focus| self.calls.get(&focus));
                if talked_on.is_some_and(Call::is_established)
                    && let Some(call) = self.calls.get_mut(&number)
                {
                    call.set_hold(now, true);
                }
            }
            _ => call.handle_session(now, event, &self.anchor, &mut self.out),
        }
    }

    fn registration_event(&mut self, now: Instant, at: usize, event: register::Event) {
        let Some(account) = self.accounts.get_mut(at) else { return };
        match event {
            register::Event::Changed(state) => {
                account.set_state(now, &state);
                let (id, state) = (account.id, account.state.clone());
                let words = match &state {
                    RegistrationState::Off => "not registered".to_owned(),
                    RegistrationState::Registering => "registering".to_owned(),
                    RegistrationState::Registered { expires } => {
                        format!("registered for {} s", expires.saturating_duration_since(now).as_secs())
                    }
                    RegistrationState::Failed { cause, .. } => format!("registration failed: {cause}"),
                    RegistrationState::Unregistering => "unregistering".to_owned(),
                };
                self.out.log(format!("account {}: {words}", account.settings.name));
                self.out.event(Event::Registration { account: id, state });
            }
            register::Event::Challenged { id, response, .. } => {
                let met = self.sending.take_challenged(Owner::Account(account.id), id);
                let answer = met.map(|met| account.authorize(&met, &response));
                let Some(registration) = &mut account.registration else { return };
                match answer {
                    Some(Ok(headers)) => registration.authenticate(now, id, headers),
                    Some(Err(refusal)) => {
                        self.out.log(format!("account {}: {refusal}", account.settings.name));
                        registration.give_up(now, id);
                    }
                    None => registration.give_up(now, id),
                }
            }
            register::Event::ContactChanged(contact) => {
                let contact = shown(&contact.to_string(), 120);
                self.out.log(format!("account {}: seen from outside as {contact}", account.settings.name));
            }
        }
    }

    fn carry_out(&mut self, now: Instant, owner: Owner, output: Output) {
        match output {
            Output::Request { id, request, next_hop } => {
                self.dispatch(now, Errand { owner, id: Some(id), request }, &next_hop);
            }
            Output::Ack { mut request, next_hop } => {
                // The ACK repeats the credentials of its INVITE: nobody can challenge it (RFC 3261 §22.1).
                if let Owner::Call(number) = owner
                    && let Some(call) = self.calls.get(&number)
                    && credentials(&request).is_empty()
                {
                    call.credentials.iter().for_each(|(name, value)| request.headers.push(name, value));
                }
                self.dispatch(now, Errand { owner, id: None, request }, &next_hop);
            }
            Output::Cancel { id, reason } => match self.sending.key_of(owner, id) {
                Some(key) => self.layer.cancel(now, &key, reason.as_deref()),
                // Not sent yet: it never was.
                None => {
                    if let Some(errand) = self.sending.forget_waiting(owner, id) {
                        self.fail_errand(now, &errand, Failure::Transport);
                    }
                }
            },
            Output::Response { key, response } => self.layer.respond(now, &key, response),
        }
    }

    /// Sends towards the next hop, at once where it is known, else when it has been located.
    fn dispatch(&mut self, now: Instant, errand: Errand, next_hop: &Uri) {
        let (preferred, flow) = self.preference(errand.owner);
        let in_dialog = errand.request.headers.to().is_ok_and(|to| to.tag().is_some());
        let account = self.account_of(errand.owner).filter(|_| !in_dialog);
        let next_hop = account.map_or_else(|| next_hop.clone(), |account| account.lead(next_hop.clone()));
        let question = match Question::of(&next_hop, preferred) {
            Ok(question) => question,
            Err(error) => {
                self.out.log(error.to_string());
                return self.fail_errand(now, &errand, Failure::Transport);
            }
        };
        // The flow of the dialog itself needs no question.
        if let Some(flow) = flow.filter(|f| leads_to(f, &question)) {
            return self.send(now, errand, vec![flow]);
        }
        if let Some(flows) = self.sending.route(now, &question).map(<[Flow]>::to_vec) {
            return self.send(now, errand, flows);
        }
        if self.sending.wait(question.clone(), errand.clone()) {
            self.ask(now, question);
        } else {
            self.fail_errand(now, &errand, Failure::Transport);
        }
    }

    fn account_of(&self, owner: Owner) -> Option<&Account> {
        match owner {
            Owner::Call(number) => self.calls.get(&number).and_then(|c| self.account(c.account)),
            Owner::Account(id) => self.account(id),
            Owner::Query(id) => self.queries.get(&id).and_then(|q| self.account(q.account)),
        }
    }

    /// The transport for a next hop that names none, and the flow the owner has used so far.
    fn preference(&self, owner: Owner) -> (Transport, Option<Flow>) {
        let flow = match owner {
            Owner::Call(number) => self.calls.get(&number).and_then(|c| c.flow),
            Owner::Account(id) => self.account(id).and_then(|a| a.flow),
            Owner::Query(_) => None,
        };
        let configured = self.account_of(owner).map_or(Transport::Udp, |a| a.settings.transport);
        (flow.map_or(configured, |f| f.transport), flow)
    }

    fn send(&mut self, now: Instant, mut errand: Errand, flows: Vec<Flow>) {
        if let Some(account) = self.account_of(errand.owner).map(|a| a.id)
            && let Some(account) = self.accounts.get_mut(index(account))
        {
            account.put_credentials(&mut errand.request, &flows);
        }
        if let (Owner::Call(number), Method::Invite) = (errand.owner, &errand.request.method)
            && let Some(call) = self.calls.get_mut(&number)
        {
            call.credentials = credentials(&errand.request);
        }
        let mut flows = by_size(&errand.request, &flows).into_iter();
        let Some(first) = flows.next() else { return self.fail_errand(now, &errand, Failure::Transport) };
        if errand.id.is_none() {
            return self.layer.send_stateless(errand.request, first);
        }
        let key = self.layer.send_request(now, errand.request.clone(), first);
        self.sending.sent(key, Pending { errand, alternatives: flows.collect() });
    }

    pub(super) fn fail_errand(&mut self, now: Instant, errand: &Errand, failure: Failure) {
        let Some(id) = errand.id else { return };
        match errand.owner {
            Owner::Call(number) => {
                if let Some(session) = self.calls.get_mut(&number).and_then(|c| c.session.as_mut()) {
                    session.handle_failure(now, id, failure);
                }
            }
            Owner::Account(account) => {
                if let Some(registration) = self.accounts.get_mut(index(account)).and_then(|a| a.registration.as_mut())
                {
                    registration.handle_failure(now, id, failure);
                }
            }
            Owner::Query(query) => {
                if let Some(query) = self.queries.remove(&query) {
                    let target = shown(&query.target.to_string(), 80);
                    self.out.event(Event::Capabilities { target, answer: "no answer".to_owned() });
                }
            }
        }
    }

    /// A transaction ended without a response: the next flow is tried, then its owner is told.
    pub(super) fn request_failed(&mut self, now: Instant, pending: Pending, failure: Failure) {
        let Pending { errand, alternatives } = pending;
        if !alternatives.is_empty() && self.is_wanted(&errand) {
            let mut flows = alternatives.into_iter();
            if let Some(next) = flows.next() {
                let key = self.layer.send_request(now, errand.request.clone(), next);
                return self.sending.sent(key, Pending { errand, alternatives: flows.collect() });
            }
        }
        self.fail_errand(now, &errand, failure);
    }

    /// The answer to a question of the user.
    pub(super) fn query_answered(&mut self, now: Instant, id: u32, met: &Challenged, response: &Response) {
        if matches!(response.status, 401 | 407)
            && let Some(account) = self.queries.get(&id).map(|q| q.account)
            && let Some(account) = self.accounts.get_mut(index(account))
            && let Ok(headers) = account.authorize(met, response)
        {
            let mut request = met.request.clone();
            ["Authorization", "Proxy-Authorization"].iter().for_each(|name| request.headers.remove(name));
            for (name, value) in headers {
                request.headers.push(&name, value);
            }
            if let Ok(cseq) = request.headers.cseq() {
                request.headers.set("CSeq", format!("{} {}", cseq.number.wrapping_add(1), cseq.method));
            }
            let next_hop = locate::next_hop(&request);
            return self.dispatch(
                now,
                Errand { owner: Owner::Query(id), id: Some(invite::RequestId(0)), request },
                &next_hop,
            );
        }
        let Some(query) = self.queries.remove(&id) else { return };
        let capabilities = options::Capabilities::of(response);
        let list = |texts: Vec<String>| if texts.is_empty() { "–".to_owned() } else { texts.join(", ") };
        let allow = list(capabilities.allow.iter().map(|m| shown(m.as_str(), 20)).collect());
        let supported = list(capabilities.supported.iter().map(|t| t.sanitize(20)).collect());
        let software = capabilities.software.map(|s| format!("; {}", s.sanitize(60))).unwrap_or_default();
        let reason = capabilities.reason.sanitize(60);
        let answer = format!("{} {reason}; allows {allow}; supports {supported}{software}", capabilities.status);
        let target = shown(&query.target.to_string(), 80);
        self.out.log(format!("{target}: {answer}"));
        self.out.event(Event::Capabilities { target, answer });
    }
}

/// The credentials a request carries, names and values.
fn credentials(request: &Request) -> Vec<(&'static str, String)> {
    let of = |name| request.headers.all(name).map(move |value| (name, value.to_owned()));
    of("Authorization").chain(of("Proxy-Authorization")).collect()
}

/// The URI a request to `target` is sent to: the first Route of the account, else the target.
fn hop(account: &Account, target: &Uri) -> Uri {
    account.route().into_iter().next().map_or_else(|| account.lead(target.clone()), |route| route.uri)
}

/// Whether a flow is the answer to a question: same transport, same numeric host and port.
fn leads_to(flow: &Flow, question: &Question) -> bool {
    flow.transport == question.transport
        && flow.remote.port() == question.port
        && matches!(&question.host, crate::sip::message::Host::Ip(ip) if *ip == flow.remote.ip())
}

pub(super) fn session_config(user_agent: &str) -> invite::Config {
    invite::Config { user_agent: user_agent.to_owned(), ..invite::Config::default() }
}
