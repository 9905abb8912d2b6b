//! What the layer keeps of a client transaction, and the requests it makes by itself: ACK and CANCEL
//! (RFC 3261 §9.1, §17.1.1.3).
use super::action::{Action, Timer};
use super::{client_invite, client_non_invite};
use crate::base::net::Flow;
use crate::sip::message::{Headers, Method, Request, Response};
use crate::sip::timer::Timers;
use bytes::Bytes;

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
