//! How a request of a call, an account or a question finds its way: its next hop is located, its flows are tried in turn.
use super::account::{Account, shown};
use super::call::Call;
use super::sending::{Errand, Owner, Pending, by_size};
use super::{UserAgent, index, secure};
use crate::base::id::CallNumber;
use crate::base::net::{Flow, Transport};
use crate::sip::invite::{Failure, Output, Session};
use crate::sip::locate::{AccessId, Located, Question};
use crate::sip::message::{Host, Method, Request, Uri};
use crate::ua::event::Event;
use std::time::Instant;

impl UserAgent {
    /// Asks where a host is, unless that is known already.
    pub(super) fn ask(&mut self, now: Instant, question: Question) {
        match self.sending.routes.find(now, &question) {
            Some(answer) => self.located_as(now, &question, &answer),
            None if self.sending.asks(&question) => self.questions.push_back(question),
            None => {}
        }
    }

    pub(super) fn located(&mut self, now: Instant, question: &Question, answer: Result<Located, String>) {
        let answer = self.sending.routes.learn(now, question, answer);
        self.located_as(now, question, &answer);
    }

    /// Whoever waited for this answer goes on.
    fn located_as(&mut self, now: Instant, question: &Question, answer: &Result<Vec<Flow>, String>) {
        self.located_registrar(now, question, answer);
        self.located_calls(now, question, answer);
        self.located_ways(now, question, answer);
        self.located_queries(now, question, answer);
        self.located_media(now, question, answer);
        for errand in self.sending.answered(question) {
            match answer {
                Ok(flows) => {
                    let (_, used) = self.preference(errand.owner);
                    let flows = self.sending.routes.staying(now, flows.clone(), used);
                    self.send(now, errand, flows);
                }
                Err(cause) => {
                    self.out.log(cause.clone());
                    self.fail_errand(now, &errand, Failure::Transport);
                }
            }
        }
    }

    /// Passes on what sessions and registrations want sent and tell; `true` when there was anything.
    pub(super) fn drain_usages(&mut self, now: Instant) -> bool {
        let mut busy = false;
        let numbers: Vec<CallNumber> = self.calls.keys().copied().collect();
        for number in numbers {
            while let Some(output) =
                self.calls.get_mut(&number).and_then(|c| c.sessions_mut().find_map(Session::poll_output))
            {
                busy = true;
                self.carry_out(now, Owner::Call(number), output);
            }
            while let Some(event) = self.calls.get_mut(&number).and_then(|c| c.session.as_mut()?.poll_event()) {
                busy = true;
                self.session_event(now, number, event);
            }
            let others = |c: &mut Call| c.others.iter_mut().find_map(|s| Some((s.key().clone(), s.poll_event()?)));
            while let Some((key, event)) = self.calls.get_mut(&number).and_then(others) {
                busy = true;
                self.other_event(now, number, &key, event);
            }
            self.forget_sessions(number);
        }
        busy
    }

    /// Tells peers what was found out about us after they were described to; `true` when there was anything.
    pub(super) fn send_candidates(&mut self) -> bool {
        let mut sent = false;
        for call in self.calls.values_mut().filter(|call| !call.is_over()) {
            sent |= call.send_candidates();
        }
        sent
    }

    pub(super) fn carry_out(&mut self, now: Instant, owner: Owner, output: Output) {
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
    pub(super) fn dispatch(&mut self, now: Instant, errand: Errand, next_hop: &Uri) {
        let (preferred, flow) = self.preference(errand.owner);
        let access = self.account_of(errand.owner).map_or_else(AccessId::default, Account::access);
        let (mut preferred, mut next_hop) = (preferred, next_hop.clone());
        if !errand.is_in_dialog()
            && let Some(account) = self.account_of(errand.owner)
        {
            // What the records of a domain say does not depend on what was used before.
            (preferred, next_hop) = (account.settings.transport, account.lead(next_hop));
        }
        let set = preferred.filter(|_| !errand.is_in_dialog());
        let protected = secure::hop(next_hop, &errand.request.uri, set);
        let question = match protected.and_then(|next_hop| Question::of(&next_hop, preferred, access)) {
            Ok(question) => question,
            Err(error) => {
                self.out.log(error.to_string());
                return self.fail_errand(now, &errand, Failure::Transport);
            }
        };
        // The flow of the dialog itself needs no question.
        let in_dialog = errand.is_in_dialog();
        if let Some(flow) = flow.filter(|f| leads_to(f, &question) || (in_dialog && stays(f, &question))) {
            return self.send(now, errand, vec![flow]);
        }
        if let Some(Ok(flows)) = self.sending.routes.find(now, &question) {
            let flows = self.sending.routes.staying(now, flows, flow);
            return self.send(now, errand, flows);
        }
        if self.sending.wait(question.clone(), errand.clone()) {
            self.ask(now, question);
        } else {
            self.fail_errand(now, &errand, Failure::Transport);
        }
    }

    pub(super) fn account_of(&self, owner: Owner) -> Option<&Account> {
        match owner {
            Owner::Call(number) => self.calls.get(&number).and_then(|c| self.account(c.account)),
            Owner::Registration(id, _) => self.account(id),
            Owner::Probe(_) => None,
            Owner::Query(id) => self.queries.get(&id).and_then(|q| self.account(q.account)),
            Owner::Publication(id) => self.account(id),
            Owner::Text(id) => self.texting.account_of(id).and_then(|account| self.account(account)),
            Owner::Watcher(id) => self.watchers.of(id).and_then(|(account, _)| self.account(account)),
            Owner::Watch(id) => self.watching.account_of(id).and_then(|account| self.account(account)),
        }
    }

    /// The transport for a next hop that names none, and the flow the owner has used so far.
    pub(super) fn preference(&self, owner: Owner) -> (Option<Transport>, Option<Flow>) {
        let flow = match owner {
            Owner::Call(number) => self.calls.get(&number).and_then(|c| c.flow),
            Owner::Query(id) => self.queries.get(&id).and_then(|q| q.flow),
            Owner::Registration(..) | Owner::Probe(_) => None,
            Owner::Watch(id) => self.watching.account_of(id).and_then(|a| self.account(a)?.flow()),
            Owner::Publication(id) => self.account(id).and_then(Account::flow),
            Owner::Text(id) => self.texting.account_of(id).and_then(|a| self.account(a)?.flow()),
            Owner::Watcher(id) => self.watchers.of(id).map(|(_, flow)| flow),
        };
        let configured = self.account_of(owner).and_then(|a| a.settings.transport);
        (flow.map_or(configured, |f| Some(f.transport)), flow)
    }

    pub(super) fn send(&mut self, now: Instant, mut errand: Errand, flows: Vec<Flow>) {
        if let Some(account) = self.account_of(errand.owner).map(|a| a.id)
            && let Some(account) = self.accounts.get_mut(index(account))
        {
            account.trust.put_credentials(&mut errand.request, &flows);
        }
        if let (Owner::Call(number), Method::Invite) = (errand.owner, &errand.request.method)
            && let Some(call) = self.calls.get_mut(&number)
        {
            call.credentials = credentials(&errand.request);
        }
        if let Some(flow) = flows.first() {
            self.readdress(&mut errand, flow);
        }
        let mut flows = by_size(&errand.request, &flows).into_iter();
        let Some(first) = flows.next() else { return self.fail_errand(now, &errand, Failure::Transport) };
        if errand.id.is_none() {
            return self.layer.send_stateless(errand.request, first);
        }
        let key = self.layer.send_request(now, errand.request.clone(), first);
        self.sending.sent(key, Pending::new(now, errand, first, flows.collect()));
    }

    pub(super) fn fail_errand(&mut self, now: Instant, errand: &Errand, failure: Failure) {
        let Some(id) = errand.id else { return };
        match errand.owner {
            Owner::Call(number) => {
                if let Some(session) = self.calls.get_mut(&number).and_then(|c| c.sender_of(id)) {
                    session.handle_failure(now, id, failure);
                }
            }
            Owner::Registration(account, number) => self.registration_failed(now, (account, number), id, failure),
            Owner::Watch(watch) => self.watching.handle_failure(now, watch, id, failure),
            Owner::Publication(account) => self.presences.handle_failure(now, account, id, failure),
            Owner::Text(text) => self.text_failed(text, failure),
            Owner::Watcher(watcher) => self.watchers.handle_failure(watcher, id, failure),
            // Its own time limit tells.
            Owner::Probe(_) => {}
            Owner::Query(query) => {
                if let Some(query) = self.queries.remove(&query) {
                    let target = shown(&query.target.to_string(), 80);
                    self.out.event(Event::Capabilities { target, answer: "no answer".to_owned(), told: None });
                }
            }
        }
    }

    /// A transaction ended without a response: the next server is tried, then its owner is told.
    pub(super) fn request_failed(&mut self, now: Instant, pending: Pending, failure: Failure) {
        self.sending.routes.avoid(now, &pending.flow, None);
        let why = match failure {
            Failure::Timeout => "no answer",
            Failure::Transport => "cannot be reached",
        };
        if let Err(pending) = self.try_next(now, pending, failure == Failure::Timeout, why) {
            self.fail_errand(now, &pending.errand, failure);
        }
    }
}

/// The credentials a request carries, names and values.
pub(super) fn credentials(request: &Request) -> Vec<(&'static str, String)> {
    let of = |name| request.headers.all(name).map(move |value| (name, value.to_owned()));
    of("Authorization").chain(of("Proxy-Authorization")).collect()
}

/// Whether a dialog stays on its WebSocket although its target names another one: a client has the one it has opened
/// (RFC 7118 §5), and servers need not name an address at which they listen for others (Asterisk does not).
fn stays(flow: &Flow, question: &Question) -> bool {
    let is_websocket = |transport| matches!(transport, Transport::Ws | Transport::Wss);
    is_websocket(flow.transport)
        && question.transport.is_some_and(is_websocket)
        && (flow.transport.is_secure() || !question.secure)
}

/// Whether a flow is the answer to a question: same transport, same numeric host and port.
fn leads_to(flow: &Flow, question: &Question) -> bool {
    question.transport.is_none_or(|transport| flow.transport == transport)
        && flow.remote.port() == question.port.unwrap_or(flow.transport.default_port())
        && matches!(&question.host, Host::Ip(ip) if *ip == flow.remote.ip())
        && (flow.transport.is_secure() || !question.secure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dialog_stays_on_its_websocket() {
        use Transport::{Tcp, Tls, Udp, Ws, Wss};
        // The dialog's flow; the transport its target names, whether it is to be protected; whether it stays.
        let rows = [
            (Udp, Some(Udp), false, false),
            (Tls, Some(Wss), false, false),
            (Ws, None, false, false),
            (Ws, Some(Tcp), false, false),
            (Ws, Some(Wss), true, false),
            (Ws, Some(Ws), false, true),
            (Wss, Some(Ws), false, true),
            (Wss, Some(Wss), true, true),
        ];
        for (used, named, secure, expected) in rows {
            let flow = Flow::new(used, ([192, 0, 2, 1], 4000).into(), ([192, 0, 2, 9], 8088).into());
            let host = Host::Ip([192, 0, 2, 9].into());
            let question = Question { host, port: Some(5060), transport: named, secure, access: AccessId::default() };
            assert_eq!(stays(&flow, &question), expected, "{used:?} {named:?} {secure}");
        }
    }
}
