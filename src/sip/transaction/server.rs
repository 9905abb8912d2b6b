//! What the layer keeps of a server transaction (RFC 3261 §17.2).
use super::action::{Action, Timer};
use super::{server_invite, server_non_invite};
use crate::base::net::{Flow, Transport};
use crate::sip::message::{Headers, Method, Request};
use crate::sip::timer::Timers;
use bytes::Bytes;

#[derive(Clone, Copy, Debug)]
pub(super) enum Machine {
    Invite(server_invite::State),
    NonInvite(server_non_invite::State),
}

#[derive(Debug)]
pub(super) struct Server {
    pub machine: Machine,
    /// Where the request came from.
    pub source: Flow,
    /// Where the responses go.
    pub flow: Flow,
    /// The latest response.
    pub response: Option<Bytes>,
    /// 100 Trying, ready to be sent (INVITE only).
    pub trying: Option<Bytes>,
    /// The To tag of our responses, which the answer to a CANCEL repeats.
    pub to_tag: Option<String>,
    pub cancelled: bool,
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

/// Where the response to a request goes: back to its source, over UDP to the port the topmost Via says
/// (RFC 3261 §18.2.2, RFC 3581 §4). The Via must be stamped.
pub(super) fn response_flow(headers: &Headers, source: Flow) -> Flow {
    let address = match source.transport {
        Transport::Udp => headers.via().ok().and_then(|via| via.response_address(source.transport.default_port())),
        Transport::Tcp => None,
    };
    match address {
        // Never to a third party, whatever the Via says.
        Some(address) if address.ip() == source.remote.ip().to_canonical() => {
            let mut remote = source.remote;
            remote.set_port(address.port());
            Flow { remote, ..source }
        }
        _ => source,
    }
}
