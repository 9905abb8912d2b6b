//! The words of the four machines: their timers, and what a step asks the layer to do.
//!
//! A machine is a pure function of state and input. It pushes actions; the layer carries them out in order.
use std::time::Duration;

/// The timers of RFC 3261 table 4 and RFC 6026 §8.1, and three that the text describes without a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    A,
    B,
    D,
    E,
    F,
    G,
    H,
    I,
    J,
    K,
    L,
    M,
    /// 200 ms after an INVITE: 100 Trying (RFC 3261 §17.2.1).
    Trying,
    /// 64*T1 after a CANCEL: its INVITE is considered ended (RFC 3261 §9.1).
    Cancelled,
    /// 64*T1 after a non-INVITE request without final response: the client has given up (RFC 4320 §1.2).
    Abandoned,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Send what the transaction keeps: its request, or its latest response if there is one.
    Transmit,
    /// Send 100 Trying.
    SendTrying,
    /// Send the ACK of a final response other than 2xx.
    Acknowledge,
    /// Hand the received message to the user.
    Report,
    Start(Timer, Duration),
    Stop(Timer),
    /// Tell the user that no answer (or no ACK) came.
    TellTimeout,
    /// Tell the user that it could not be sent.
    TellTransportError,
}

/// One row of a machine's table test: state, input, next state, actions.
#[cfg(test)]
pub(super) type Row<S, I> = (S, I, S, Vec<Action>);
