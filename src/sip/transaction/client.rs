//! The client side of the layer, and the requests it makes by itself: ACK and CANCEL (RFC 3261 §9.1, §17.1).
use super::action::{Action, Timer};
use super::layer::{Event, Key, Layer, at_least};
use super::{ClientKey, client_invite, client_non_invite};
use crate::base::net::{Flow, Transmit};
use crate::sip::message::{Headers, Method, Request, Response};
use crate::sip::timer::Timers;
use bytes::Bytes;
use std::time::Instant;

#[derive(Clone, Copy, Debug)]
pub(super) enum Machine {
    Invite(client_invite::State),
    NonInvite(client_non_invite::State),
}

/// Whether a CANCEL was asked for.
#[derive(Clone, Debug)]
pub(super) enum Cancel {
    No,
    /// It waits for the first provisional response.
    Wanted(Option<String>),
    Sent,
}

#[derive(Debug)]
pub(super) struct Client {
    pub machine: Machine,
    pub flow: Flow,
    /// The request as it is sent again and again.
    pub bytes: Bytes,
    /// An INVITE in full: its ACK and CANCEL are made of it.
    pub invite: Option<Box<Request>>,
    /// The ACK of the final response.
    pub ack: Option<Bytes>,
    pub cancel: Cancel,
    /// A CANCEL of ours: nobody asked for its outcome.
    pub quiet: bool,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Input {
    /// The status of a response.
    Response(u16),
    Timer(Timer),
    TransportError,
}

impl Client {
    /// Runs the machine; `false` when the transaction is over.
    pub fn step(&mut self, input: Input, timers: &Timers, out: &mut Vec<Action>) -> bool {
        let reliable = self.flow.transport.is_reliable();
        match &mut self.machine {
            Machine::Invite(state) => {
                use client_invite::Input as I;
                let input = match input {
                    Input::Response(..200) => I::Provisional,
                    Input::Response(200..300) => I::Success,
                    Input::Response(_) => I::Failure,
                    Input::Timer(Timer::A) => I::TimerA,
                    Input::Timer(Timer::B) => I::TimerB,
                    Input::Timer(Timer::D) => I::TimerD,
                    Input::Timer(Timer::M) => I::TimerM,
                    Input::Timer(Timer::Cancelled) => I::CancelLimit,
                    Input::Timer(_) => return true,
                    Input::TransportError => I::TransportError,
                };
                *state = client_invite::step(*state, input, timers, reliable, out);
                *state != client_invite::State::Terminated
            }
            Machine::NonInvite(state) => {
                use client_non_invite::Input as I;
                let input = match input {
                    Input::Response(..200) => I::Provisional,
                    Input::Response(_) => I::Final,
                    Input::Timer(Timer::E) => I::TimerE,
                    Input::Timer(Timer::F) => I::TimerF,
                    Input::Timer(Timer::K) => I::TimerK,
                    Input::Timer(_) => return true,
                    Input::TransportError => I::TransportError,
                };
                *state = client_non_invite::step(*state, input, timers, reliable, out);
                *state != client_non_invite::State::Terminated
            }
        }
    }

    /// Whether a response now is a repetition that the user does not hear of.
    pub fn absorbs(&self) -> bool {
        matches!(
            self.machine,
            Machine::Invite(client_invite::State::Completed) | Machine::NonInvite(client_non_invite::State::Completed)
        )
    }
}

impl Layer {
    pub(super) fn start_client(&mut self, now: Instant, key: ClientKey, request: Request, flow: Flow, quiet: bool) {
        if self.clients.len() >= self.config.max_clients {
            self.counters.refused += 1;
            if !quiet {
                self.events.push_back(Event::TransportError { key });
            }
            return;
        }
        let (timers, reliable, mut actions) = (self.config.timers, flow.transport.is_reliable(), Vec::new());
        let bytes = request.to_bytes();
        let (machine, invite) = if request.method == Method::Invite {
            let state = client_invite::start(&timers, reliable, &mut actions);
            (Machine::Invite(state), Some(Box::new(request)))
        } else {
            (Machine::NonInvite(client_non_invite::start(&timers, reliable, &mut actions)), None)
        };
        let client = Client { machine, flow, bytes, invite, ack: None, cancel: Cancel::No, quiet };
        self.clients.insert(key.clone(), client);
        self.by_flow.entry(flow).or_default().insert(Key::Client(key.clone()));
        self.act_client(now, &key, actions, None);
    }

    pub(super) fn send_cancel(&mut self, now: Instant, key: ClientKey, reason: Option<&str>) {
        let Some(client) = self.clients.get_mut(&key) else { return };
        let Some(invite) = &client.invite else { return };
        client.cancel = Cancel::Sent;
        let (cancel, flow) = (cancel_of(invite, reason), client.flow);
        self.timers.set((Key::Client(key.clone()), Timer::Cancelled), now + at_least(self.config.timers.limit()));
        self.start_client(now, key.of_cancel(), cancel, flow, true);
    }

    pub(super) fn handle_response(&mut self, now: Instant, response: Response, flow: Flow) {
        let Ok(key) = ClientKey::of_response(&response) else {
            self.counters.malformed += 1;
            return;
        };
        let Some(client) = self.clients.get(&key) else {
            if *key.method() == Method::Invite && (200..300).contains(&response.status) {
                self.events.push_back(Event::StrayResponse { response, flow });
            } else {
                self.counters.stray_responses += 1;
            }
            return;
        };
        self.counters.retransmissions += u64::from(client.absorbs());
        self.step_client(now, key, Input::Response(response.status), Some((response, flow)));
    }

    pub(super) fn step_client(
        &mut self,
        now: Instant,
        key: ClientKey,
        input: Input,
        received: Option<(Response, Flow)>,
    ) {
        let Some(client) = self.clients.get_mut(&key) else { return };
        let mut actions = Vec::new();
        let alive = client.step(input, &self.config.timers, &mut actions);
        // A CANCEL that waited for the first provisional response.
        let cancel = match (&client.machine, &client.cancel) {
            (Machine::Invite(client_invite::State::Proceeding), Cancel::Wanted(reason)) => Some(reason.clone()),
            _ => None,
        };
        self.act_client(now, &key, actions, received);
        if let Some(reason) = cancel {
            self.send_cancel(now, key, reason.as_deref());
        } else if !alive {
            self.remove_client(&key);
        }
    }

    fn act_client(
        &mut self,
        now: Instant,
        key: &ClientKey,
        actions: Vec<Action>,
        mut received: Option<(Response, Flow)>,
    ) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let (flow, quiet) = (client.flow, client.quiet);
        for action in actions {
            match action {
                Action::Transmit => {
                    let bytes = client.bytes.clone();
                    self.transmits.push_back(Transmit { flow, bytes });
                }
                Action::Acknowledge => {
                    if let (None, Some(invite), Some((response, _))) = (&client.ack, &client.invite, &received) {
                        client.ack = Some(ack_of_failure(invite, response));
                    }
                    let bytes = client.ack.clone();
                    self.transmits.extend(bytes.map(|bytes| Transmit { flow, bytes }));
                }
                Action::Report => {
                    if let (false, Some((response, flow))) = (quiet, received.take()) {
                        self.events.push_back(Event::Response { key: key.clone(), response, flow });
                    }
                }
                Action::Start(timer, after) => {
                    self.timers.set((Key::Client(key.clone()), timer), now + at_least(after));
                }
                Action::Stop(timer) => self.timers.stop(&(Key::Client(key.clone()), timer)),
                Action::TellTimeout if !quiet => self.events.push_back(Event::Timeout { key: key.clone() }),
                Action::TellTransportError if !quiet => {
                    self.events.push_back(Event::TransportError { key: key.clone() });
                }
                // A CANCEL's end is nobody's business, and 100 Trying is a server's.
                Action::TellTimeout | Action::TellTransportError | Action::SendTrying => {}
            }
        }
    }

    pub(super) fn remove_client(&mut self, key: &ClientKey) {
        let Some(client) = self.clients.remove(key) else { return };
        let key = Key::Client(key.clone());
        for timer in [Timer::A, Timer::B, Timer::D, Timer::M, Timer::E, Timer::F, Timer::K, Timer::Cancelled] {
            self.timers.stop(&(key.clone(), timer));
        }
        self.leave_flow(client.flow, &key);
    }
}

/// The ACK of a final response other than 2xx (RFC 3261 §17.1.1.3).
pub(super) fn ack_of_failure(invite: &Request, response: &Response) -> Bytes {
    let mut ack = same_transaction(invite, Method::Ack);
    if let Some(to) = response.headers.get("To") {
        ack.headers.set("To", to);
    }
    ack.to_bytes()
}

/// The CANCEL of an INVITE (RFC 3261 §9.1).
pub(super) fn cancel_of(invite: &Request, reason: Option<&str>) -> Request {
    let mut cancel = same_transaction(invite, Method::Cancel);
    if let Some(reason) = reason {
        cancel.headers.push("Reason", reason);
    }
    cancel
}

/// A request with the INVITE's request-URI, topmost Via, Route, From, To, Call-ID and CSeq number.
fn same_transaction(invite: &Request, method: Method) -> Request {
    let mut headers = Headers::default();
    if let Some(via) = invite.headers.get("Via") {
        headers.push("Via", via);
    }
    headers.push("Max-Forwards", 70);
    for name in ["Route", "From", "To", "Call-ID"] {
        invite.headers.all(name).for_each(|value| headers.push(name, value));
    }
    if let Ok(cseq) = invite.headers.cseq() {
        headers.push("CSeq", format_args!("{} {method}", cseq.number));
    }
    Request { method, uri: invite.uri.clone(), headers, body: Bytes::new() }
}
