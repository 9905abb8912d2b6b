//! The server side of the layer: requests and the way back of their responses (RFC 3261 §17.2, §18.2).
use super::action::{Action, Timer};
use super::layer::{Event, Key, Layer, at_least};
use super::{ServerKey, server_invite, server_non_invite};
use crate::base::net::{Flow, Transmit, Transport};
use crate::sip::message::{Headers, Method, Request, Response};
use crate::sip::timer::Timers;
use bytes::Bytes;
use std::time::Instant;

#[derive(Clone, Copy, Debug)]
pub(super) enum Machine {
    Invite(server_invite::State),
    NonInvite(server_non_invite::State),
}

#[derive(Debug)]
pub(super) struct Server {
    pub machine: Machine,
    /// The flow whose failure concerns it: where the request came from, until that is lost.
    pub source: Flow,
    /// Where the responses go.
    pub flow: Flow,
    /// Where they go when the connection is lost; tried once.
    pub fallback: Option<Flow>,
    /// The latest response.
    pub response: Option<Bytes>,
    /// 100 Trying, ready to be sent (INVITE only).
    pub trying: Option<Bytes>,
    /// The To tag of our responses, which the answer to a CANCEL repeats.
    pub to_tag: Option<String>,
    pub cancelled: bool,
    /// Its share of [`super::Config::max_held`] \[bytes\].
    pub held: usize,
    /// A request outside of dialogs, to find it again when it comes on another way.
    pub merge: Option<MergeKey>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Input {
    Request,
    Ack,
    /// The status of a response from the user.
    Response(u16),
    Timer(Timer),
    TransportError,
}

impl Server {
    /// Runs the machine; `false` when the transaction is over.
    pub fn step(&mut self, input: Input, timers: &Timers, out: &mut Vec<Action>) -> bool {
        let reliable = self.flow.transport.is_reliable();
        match &mut self.machine {
            Machine::Invite(state) => {
                use server_invite::Input as I;
                let input = match input {
                    Input::Request => I::Request,
                    Input::Ack => I::Ack,
                    Input::Response(..200) => I::Provisional,
                    Input::Response(200..300) => I::Success,
                    Input::Response(_) => I::Failure,
                    Input::Timer(Timer::Trying) => I::TimerTrying,
                    Input::Timer(Timer::G) => I::TimerG,
                    Input::Timer(Timer::H) => I::TimerH,
                    Input::Timer(Timer::I) => I::TimerI,
                    Input::Timer(Timer::L) => I::TimerL,
                    Input::Timer(_) => return true,
                    Input::TransportError => I::TransportError,
                };
                *state = server_invite::step(*state, input, timers, reliable, out);
                *state != server_invite::State::Terminated
            }
            Machine::NonInvite(state) => {
                use server_non_invite::Input as I;
                let input = match input {
                    Input::Request => I::Request,
                    Input::Ack => return true,
                    Input::Response(..200) => I::Provisional,
                    Input::Response(_) => I::Final,
                    Input::Timer(Timer::J) => I::TimerJ,
                    Input::Timer(Timer::Abandoned) => I::TimerAbandoned,
                    Input::Timer(_) => return true,
                    Input::TransportError => I::TransportError,
                };
                *state = server_non_invite::step(*state, input, timers, reliable, out);
                *state != server_non_invite::State::Terminated
            }
        }
    }

    /// Whether a response from the user would be sent now.
    pub fn takes(&self, status: u16) -> bool {
        match self.machine {
            Machine::Invite(server_invite::State::Proceeding) => true,
            Machine::Invite(server_invite::State::Accepted) => (200..300).contains(&status),
            Machine::Invite(_) => false,
            Machine::NonInvite(state) => {
                matches!(state, server_non_invite::State::Trying | server_non_invite::State::Proceeding)
            }
        }
    }

    /// Whether a response was sent whose ACK is awaited here, not by the user.
    fn is_unacknowledged(&self) -> bool {
        matches!(self.machine, Machine::Invite(server_invite::State::Completed { .. }))
    }

    /// Whether a final response is still awaited from the user.
    pub fn is_open(&self) -> bool {
        self.takes(500)
    }
}

/// Call-ID, From tag, CSeq: equal in all copies of a request that forked on its way (RFC 3261 §8.2.2.2).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MergeKey(String);

impl MergeKey {
    /// `None` for requests inside of dialogs.
    pub fn of(request: &Request) -> Option<Self> {
        let headers = &request.headers;
        if request.method == Method::Cancel || headers.to().ok()?.tag().is_some() {
            return None;
        }
        let from = headers.from().ok()?;
        Some(Self(format!("{} {} {}", headers.call_id().ok()?, headers.get("CSeq")?, from.tag().unwrap_or_default())))
    }
}

/// What keeping a request costs, about \[bytes\].
fn weight(request: &Request) -> usize {
    /// Of an entry, beside its text.
    const ENTRY: usize = 64;
    request.body.len() + request.headers.iter().map(|(name, value)| name.len() + value.len() + ENTRY).sum::<usize>()
}

/// Where the response to a request goes: back to its source, over UDP to the port the topmost Via says
/// (RFC 3261 §18.2.2, RFC 3581 §4). The Via must be stamped.
pub(super) fn response_flow(headers: &Headers, source: Flow) -> Flow {
    let address = match source.transport {
        Transport::Udp => headers.via().ok().and_then(|via| via.response_address(source.transport.default_port())),
        Transport::Tcp | Transport::Tls | Transport::Ws | Transport::Wss => None,
    };
    let mut flow = source;
    if let Some(address) = address {
        // The port only: the IP address stays that of the source, whatever the Via says.
        flow.remote.set_port(address.port());
    }
    flow
}

/// Where the response goes when the connection is gone that the request came on: over a new one to the port the topmost
/// Via says (RFC 3261 §18.2.2). The IP address stays, whatever the Via says. A connection to a server of ours is simply
/// opened again: there the port is that server's.
fn fallback_flow(headers: &Headers, source: Flow) -> Option<Flow> {
    let mut flow = source;
    match source.transport {
        Transport::Udp => return None,
        Transport::Tcp => {
            let via = headers.via().ok()?;
            flow.remote.set_port(via.port.unwrap_or(source.transport.default_port()));
        }
        Transport::Tls | Transport::Ws | Transport::Wss => {}
    }
    Some(flow)
}

impl Layer {
    /// The connection of a server transaction is lost. What is still to be answered is answered over a new one.
    pub(super) fn lose_server_flow(&mut self, now: Instant, key: ServerKey) {
        let Some(server) = self.servers.get_mut(&key) else { return };
        let Some(fallback) = server.fallback.take() else {
            return self.step_server(now, key, Input::TransportError, None);
        };
        let lost = std::mem::replace(&mut server.source, fallback);
        server.flow = fallback;
        let again = server.response.clone().filter(|_| server.is_unacknowledged());
        let index = Key::Server(key);
        self.leave_flow(lost, &index);
        self.by_flow.entry(fallback).or_default().insert(index);
        if let Some(bytes) = again {
            self.transmit(fallback, bytes);
        }
    }

    pub(super) fn handle_request(&mut self, now: Instant, mut request: Request, flow: Flow) {
        if let Ok(mut via) = request.headers.via() {
            via.stamp(flow.remote);
            request.headers.replace_first("Via", via);
        }
        let Ok(key) = ServerKey::of_request(&request) else {
            self.counters.malformed += 1;
            return;
        };
        match request.method {
            Method::Ack if self.servers.contains_key(&key) => {
                self.step_server(now, key, Input::Ack, Some((request, flow)));
            }
            Method::Ack => self.events.push_back(Event::Ack { request, flow }),
            Method::Cancel => self.handle_cancel(key.of_invite(), request, flow),
            _ if self.servers.contains_key(&key) => {
                self.counters.retransmissions += 1;
                self.step_server(now, key, Input::Request, None);
            }
            _ if self.servers.len() >= self.config.max_servers || self.held >= self.config.max_held => {
                self.counters.refused += 1;
                let mut answer = Response::to_request(&request, 503, Some(&self.rng.hex(8)));
                answer.headers.push("Retry-After", 10);
                self.transmit(response_flow(&request.headers, flow), answer.to_bytes());
            }
            _ => self.start_server(now, key, request, flow),
        }
    }

    /// Answers a CANCEL outside of transactions: a repeated one finds its INVITE again and gets the same answer
    /// (RFC 3261 §9.2).
    fn handle_cancel(&mut self, invite: ServerKey, cancel: Request, flow: Flow) {
        let answer = match self.servers.get_mut(&invite) {
            Some(server) => {
                let tag = server.to_tag.get_or_insert_with(|| self.rng.hex(8));
                let answer = Response::to_request(&cancel, 200, Some(tag));
                if server.is_open() && !std::mem::replace(&mut server.cancelled, true) {
                    self.events.push_back(Event::Cancelled { key: invite, cancel });
                }
                answer
            }
            None => Response::to_request(&cancel, 481, Some(&self.rng.hex(8))),
        };
        self.transmit(response_flow(&answer.headers, flow), answer.to_bytes());
    }

    fn start_server(&mut self, now: Instant, key: ServerKey, request: Request, source: Flow) {
        let mut actions = Vec::new();
        let (machine, trying) = if request.method == Method::Invite {
            let trying = Response::to_request(&request, 100, None).to_bytes();
            (Machine::Invite(server_invite::start(&mut actions)), Some(trying))
        } else {
            let state = server_non_invite::start(&self.config.timers, &mut actions);
            (Machine::NonInvite(state), None)
        };
        let merge = MergeKey::of(&request);
        if let Some(merge) = &merge {
            *self.merges.entry(merge.clone()).or_default() += 1;
        }
        let flow = response_flow(&request.headers, source);
        let fallback = fallback_flow(&request.headers, source);
        let held = weight(&request) + trying.as_ref().map_or(0, Bytes::len);
        self.held += held;
        let (response, to_tag, cancelled) = (None, None, false);
        let server = Server { machine, source, flow, fallback, response, trying, to_tag, cancelled, held, merge };
        self.servers.insert(key.clone(), server);
        self.by_flow.entry(source).or_default().insert(Key::Server(key.clone()));
        self.act_server(now, &key, actions, Some((request, source)));
    }

    pub(super) fn step_server(
        &mut self,
        now: Instant,
        key: ServerKey,
        input: Input,
        received: Option<(Request, Flow)>,
    ) {
        let Some(server) = self.servers.get_mut(&key) else { return };
        let mut actions = Vec::new();
        let alive = server.step(input, &self.config.timers, &mut actions);
        self.act_server(now, &key, actions, received);
        if !alive {
            self.remove_server(&key);
        }
    }

    fn act_server(
        &mut self,
        now: Instant,
        key: &ServerKey,
        actions: Vec<Action>,
        mut received: Option<(Request, Flow)>,
    ) {
        let Some(server) = self.servers.get_mut(key) else { return };
        for action in actions {
            match action {
                Action::Transmit => {
                    let (flow, bytes) = (server.flow, server.response.clone());
                    self.transmits.extend(bytes.map(|bytes| Transmit { flow, bytes }));
                }
                Action::SendTrying => {
                    server.response = server.trying.take();
                    let (flow, bytes) = (server.flow, server.response.clone());
                    self.transmits.extend(bytes.map(|bytes| Transmit { flow, bytes }));
                }
                Action::Report => match received.take() {
                    Some((request, flow)) if request.method == Method::Ack => {
                        self.events.push_back(Event::Ack { request, flow });
                    }
                    Some((request, flow)) => {
                        let merged = server.merge.as_ref().and_then(|m| self.merges.get(m)).is_some_and(|n| *n > 1);
                        self.events.push_back(Event::Request { key: key.clone(), request, flow, merged });
                    }
                    None => {}
                },
                Action::Start(timer, after) => {
                    self.timers.set((Key::Server(key.clone()), timer), now + at_least(after));
                }
                Action::Stop(timer) => self.timers.stop(&(Key::Server(key.clone()), timer)),
                Action::TellTimeout | Action::TellTransportError => {
                    self.events.push_back(Event::ServerFailed { key: key.clone() });
                }
                // A server has nothing to acknowledge.
                Action::Acknowledge => {}
            }
        }
    }

    pub(super) fn remove_server(&mut self, key: &ServerKey) {
        let Some(server) = self.servers.remove(key) else { return };
        self.held = self.held.saturating_sub(server.held);
        let key = Key::Server(key.clone());
        for timer in [Timer::G, Timer::H, Timer::I, Timer::J, Timer::L, Timer::Trying, Timer::Abandoned] {
            self.timers.stop(&(key.clone(), timer));
        }
        if let Some(merge) = server.merge
            && let Some(count) = self.merges.get_mut(&merge)
        {
            *count -= 1;
            if *count == 0 {
                self.merges.remove(&merge);
            }
        }
        self.leave_flow(server.source, &key);
    }

    /// Sends an answer to a request that could not be read, back to where it came from.
    pub(super) fn refuse(&mut self, mut answer: Response, flow: Flow) {
        if answer.headers.cseq().is_ok_and(|cseq| cseq.method == Method::Ack) {
            return;
        }
        if let Ok(mut via) = answer.headers.via() {
            via.stamp(flow.remote);
            answer.headers.replace_first("Via", via);
        }
        self.transmit(response_flow(&answer.headers, flow), answer.to_bytes());
    }
}
