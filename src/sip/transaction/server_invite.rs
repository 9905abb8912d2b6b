//! INVITE server transaction (RFC 3261 §17.2.1 as amended by RFC 6026 §8.5).
//!
//! ```text
//!                                |INVITE
//!                                |pass to TU, send 100 if TU does not within 200 ms
//!         INVITE            +----v-------+
//!         send response +---|            |---+ 101-199 from TU: send response
//!                       +-->| Proceeding |<--+ transport error: inform TU
//!                           +------------+
//!            300-699 from TU    |    | 2xx from TU
//!            send response      |    | send response
//!                    +----------+    +-----------+
//!                    v                           v
//!              +-----------+               +------------+
//!          +---| Completed |               |  Accepted  |---+ INVITE: -
//!          +-->|           |               |            |<--+ ACK: to TU
//!   INVITE,    +-----------+               +------------+     2xx from TU: send response
//!   Timer G:     |   | ACK                       |            transport error: inform TU
//!   send resp.   |   v                           |
//!                | +-----------+                 |
//!                | | Confirmed |---+ INVITE, ACK |
//!                | |           |<--+ -           |
//!                | +-----------+                 |
//!   Timer H:     |   | Timer I                   | Timer L
//!   inform TU    v   v                           v
//!              +-----------------------------------+
//!              |            Terminated             |
//!              +-----------------------------------+
//! ```
//! Retransmission of a 2xx is the user's (RFC 3261 §13.3.1.4).
use super::action::{Action, Timer};
use crate::sip::timer::Timers;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Proceeding,
    /// `interval`: of timer G, which runs on unreliable transports only.
    Completed {
        interval: Duration,
    },
    Confirmed,
    Accepted,
    Terminated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// The INVITE again.
    Request,
    /// 101-199 from the user; 100 too.
    Provisional,
    /// 2xx from the user.
    Success,
    /// 300-699 from the user.
    Failure,
    Ack,
    TimerTrying,
    TimerG,
    TimerH,
    TimerI,
    TimerL,
    TransportError,
}

pub(super) fn start(out: &mut Vec<Action>) -> State {
    out.extend([Action::Start(Timer::Trying, Timers::TRYING), Action::Report]);
    State::Proceeding
}

pub(super) fn step(state: State, input: Input, timers: &Timers, reliable: bool, out: &mut Vec<Action>) -> State {
    match (state, input) {
        (State::Proceeding, Input::Request) => {
            out.push(Action::Transmit);
            State::Proceeding
        }
        (State::Proceeding, Input::TimerTrying) => {
            out.push(Action::SendTrying);
            State::Proceeding
        }
        (State::Proceeding, Input::Provisional) => {
            out.extend([Action::Stop(Timer::Trying), Action::Transmit]);
            State::Proceeding
        }
        (State::Proceeding, Input::Success) => {
            out.extend([Action::Stop(Timer::Trying), Action::Transmit, Action::Start(Timer::L, timers.limit())]);
            State::Accepted
        }
        (State::Proceeding, Input::Failure) => {
            out.extend([Action::Stop(Timer::Trying), Action::Transmit, Action::Start(Timer::H, timers.limit())]);
            if !reliable {
                out.push(Action::Start(Timer::G, timers.t1));
            }
            State::Completed { interval: timers.t1 }
        }
        (State::Proceeding | State::Completed { .. } | State::Accepted, Input::TransportError) => {
            out.push(Action::TellTransportError);
            state
        }
        (State::Completed { .. }, Input::Request) => {
            out.push(Action::Transmit);
            state
        }
        (State::Completed { interval }, Input::TimerG) => {
            let interval = timers.backed_off(interval);
            out.extend([Action::Transmit, Action::Start(Timer::G, interval)]);
            State::Completed { interval }
        }
        (State::Completed { .. }, Input::TimerH) => {
            out.extend([Action::Stop(Timer::G), Action::TellTimeout]);
            State::Terminated
        }
        (State::Completed { .. }, Input::Ack) => {
            out.extend([Action::Stop(Timer::G), Action::Stop(Timer::H)]);
            if reliable {
                return State::Terminated;
            }
            out.push(Action::Start(Timer::I, timers.t4));
            State::Confirmed
        }
        (State::Confirmed, Input::TimerI) | (State::Accepted, Input::TimerL) => State::Terminated,
        (State::Accepted, Input::Ack) => {
            out.push(Action::Report);
            State::Accepted
        }
        (State::Accepted, Input::Success) => {
            out.push(Action::Transmit);
            State::Accepted
        }
        // Ignored: timers that are stopped in the state, an early ACK, the INVITE after the 2xx, and what the user says
        // after its final response.
        (State::Proceeding, Input::Ack | Input::TimerG | Input::TimerH | Input::TimerI | Input::TimerL)
        | (
            State::Completed { .. },
            Input::Provisional | Input::Success | Input::Failure | Input::TimerTrying | Input::TimerI | Input::TimerL,
        )
        | (
            State::Confirmed,
            Input::Request
            | Input::Provisional
            | Input::Success
            | Input::Failure
            | Input::Ack
            | Input::TimerTrying
            | Input::TimerG
            | Input::TimerH
            | Input::TimerL
            | Input::TransportError,
        )
        | (
            State::Accepted,
            Input::Request
            | Input::Provisional
            | Input::Failure
            | Input::TimerTrying
            | Input::TimerG
            | Input::TimerH
            | Input::TimerI,
        )
        | (
            State::Terminated,
            Input::Request
            | Input::Provisional
            | Input::Success
            | Input::Failure
            | Input::Ack
            | Input::TimerTrying
            | Input::TimerG
            | Input::TimerH
            | Input::TimerI
            | Input::TimerL
            | Input::TransportError,
        ) => state,
    }
}

#[cfg(test)]
mod tests {
    use super::super::action::Row;
    use super::*;
    use Action::*;
    use Input::{
        Ack, Failure, Provisional, Request, Success, TimerG, TimerH, TimerI, TimerL, TimerTrying, TransportError,
    };
    use State::*;

    const T1: Duration = Duration::from_millis(500);
    const COMPLETED: State = Completed { interval: T1 };

    fn rows() -> Vec<Row<State, Input>> {
        let (limit, second) = (Timers::default().limit(), Duration::from_secs(1));
        let stop = Stop(Timer::Trying);
        let (g, h) = (Stop(Timer::G), Stop(Timer::H));
        vec![
            (Proceeding, Request, Proceeding, vec![Transmit]),
            (Proceeding, TimerTrying, Proceeding, vec![SendTrying]),
            (Proceeding, Provisional, Proceeding, vec![stop, Transmit]),
            (Proceeding, Success, Accepted, vec![stop, Transmit, Start(Timer::L, limit)]),
            (Proceeding, Failure, COMPLETED, vec![stop, Transmit, Start(Timer::H, limit), Start(Timer::G, T1)]),
            (Proceeding, TransportError, Proceeding, vec![TellTransportError]),
            (COMPLETED, TransportError, COMPLETED, vec![TellTransportError]),
            (COMPLETED, Request, COMPLETED, vec![Transmit]),
            (COMPLETED, TimerG, Completed { interval: second }, vec![Transmit, Start(Timer::G, second)]),
            (COMPLETED, TimerH, Terminated, vec![g, TellTimeout]),
            (COMPLETED, Ack, Confirmed, vec![g, h, Start(Timer::I, Timers::default().t4)]),
            (Confirmed, TimerI, Terminated, vec![]),
            (Accepted, Ack, Accepted, vec![Report]),
            (Accepted, Success, Accepted, vec![Transmit]),
            (Accepted, TimerL, Terminated, vec![]),
            (Accepted, TransportError, Accepted, vec![TellTransportError]),
        ]
    }

    #[test]
    fn every_state_and_input() {
        let inputs =
            [Request, Provisional, Success, Failure, Ack, TimerTrying, TimerG, TimerH, TimerI, TimerL, TransportError];
        let rows = rows();
        for state in [Proceeding, COMPLETED, Confirmed, Accepted, Terminated] {
            for input in inputs {
                let mut out = Vec::new();
                let next = step(state, input, &Timers::default(), false, &mut out);
                let row = rows.iter().find(|(s, i, ..)| (*s, *i) == (state, input));
                let (expected, actions) = row.map_or((state, vec![]), |(.., s, a)| (*s, a.clone()));
                assert_eq!((next, out), (expected, actions), "{state:?} {input:?}");
            }
        }
    }

    #[test]
    fn a_reliable_transport_needs_neither_timer_g_nor_confirmed() {
        let mut out = Vec::new();
        let state = step(Proceeding, Failure, &Timers::default(), true, &mut out);
        assert!(!out.contains(&Start(Timer::G, T1)));
        assert_eq!(step(state, Ack, &Timers::default(), true, &mut out), Terminated);
    }
}
