//! Non-INVITE server transaction (RFC 3261 §17.2.2).
//!
//! ```text
//!                                  |Request received
//!                                  |pass to TU
//!                            +-----v-----+  64*T1: -
//!                Request +---|  Trying   |---------------------------+
//!                -       +-->|           |                           |
//!                            +-----------+                           |
//!               200-699 from TU |   | 1xx from TU                    |
//!               send response   |   | send response                  |
//!              +----------------+   v                                |
//!              |             +-----------+  transport error: inform TU
//!              |  1xx    +---|Proceeding |  64*T1: -                 |
//!              |  from TU+-->|           |-------------------------->|
//!              |  send resp. |           |---+ Request               |
//!              |             |           |<--+ send response         |
//!              |             +-----------+                           |
//!              |                   | 200-699 from TU: send response  |
//!              |                   v                                 |
//!              |             +-----------+  transport error: inform TU
//!              +------------>| Completed |-------------------------->|
//!                            |           |---+ Request               |
//!                            |           |<--+ send response         |
//!                            +-----------+                           |
//!                                  | Timer J: -                      |
//!                                  v                                 |
//!                            +------------+                          |
//!                            | Terminated |<-------------------------+
//!                            +------------+
//! ```
//! The way out after 64*T1 is ours: the client gave up then (timer F), and a user that never answers must not fill the
//! layer.
use super::action::{Action, Timer};
use crate::sip::timer::Timers;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Trying,
    Proceeding,
    Completed,
    Terminated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// The request again.
    Request,
    /// 1xx from the user.
    Provisional,
    /// 200-699 from the user.
    Final,
    TimerJ,
    TimerAbandoned,
    TransportError,
}

pub(super) fn start(timers: &Timers, out: &mut Vec<Action>) -> State {
    out.extend([Action::Start(Timer::Abandoned, timers.limit()), Action::Report]);
    State::Trying
}

pub(super) fn step(state: State, input: Input, timers: &Timers, reliable: bool, out: &mut Vec<Action>) -> State {
    match (state, input) {
        (State::Trying | State::Proceeding, Input::Provisional) | (State::Proceeding, Input::Request) => {
            out.push(Action::Transmit);
            State::Proceeding
        }
        (State::Trying | State::Proceeding, Input::Final) => {
            out.extend([Action::Stop(Timer::Abandoned), Action::Transmit]);
            if reliable {
                return State::Terminated;
            }
            out.push(Action::Start(Timer::J, timers.limit()));
            State::Completed
        }
        (State::Trying | State::Proceeding, Input::TimerAbandoned) | (State::Completed, Input::TimerJ) => {
            State::Terminated
        }
        (State::Proceeding | State::Completed, Input::TransportError) => {
            out.extend([Action::Stop(Timer::Abandoned), Action::Stop(Timer::J), Action::TellTransportError]);
            State::Terminated
        }
        (State::Completed, Input::Request) => {
            out.push(Action::Transmit);
            State::Completed
        }
        // Ignored: the request while the user thinks, timers that are stopped in the state, what the user says after its
        // final response.
        (State::Trying, Input::Request | Input::TimerJ | Input::TransportError)
        | (State::Proceeding, Input::TimerJ)
        | (State::Completed, Input::Provisional | Input::Final | Input::TimerAbandoned)
        | (
            State::Terminated,
            Input::Request
            | Input::Provisional
            | Input::Final
            | Input::TimerJ
            | Input::TimerAbandoned
            | Input::TransportError,
        ) => state,
    }
}

#[cfg(test)]
mod tests {
    use super::super::action::Row;
    use super::*;
    use Action::{Start, Stop, TellTransportError, Transmit};
    use Input::*;
    use State::*;

    fn rows() -> Vec<Row<State, Input>> {
        let completed = vec![Stop(Timer::Abandoned), Transmit, Start(Timer::J, Timers::default().limit())];
        let failed = vec![Stop(Timer::Abandoned), Stop(Timer::J), TellTransportError];
        vec![
            (Trying, Provisional, Proceeding, vec![Transmit]),
            (Trying, Final, Completed, completed.clone()),
            (Trying, TimerAbandoned, Terminated, vec![]),
            (Proceeding, Request, Proceeding, vec![Transmit]),
            (Proceeding, Provisional, Proceeding, vec![Transmit]),
            (Proceeding, Final, Completed, completed),
            (Proceeding, TimerAbandoned, Terminated, vec![]),
            (Proceeding, TransportError, Terminated, failed.clone()),
            (Completed, Request, Completed, vec![Transmit]),
            (Completed, TimerJ, Terminated, vec![]),
            (Completed, TransportError, Terminated, failed),
        ]
    }

    #[test]
    fn every_state_and_input() {
        let rows = rows();
        for state in [Trying, Proceeding, Completed, Terminated] {
            for input in [Request, Provisional, Final, TimerJ, TimerAbandoned, TransportError] {
                let mut out = Vec::new();
                let next = step(state, input, &Timers::default(), false, &mut out);
                let row = rows.iter().find(|(s, i, ..)| (*s, *i) == (state, input));
                let (expected, actions) = row.map_or((state, vec![]), |(.., s, a)| (*s, a.clone()));
                assert_eq!((next, out), (expected, actions), "{state:?} {input:?}");
            }
        }
    }

    #[test]
    fn a_reliable_transport_ends_with_the_response() {
        let mut out = Vec::new();
        assert_eq!(step(Trying, Final, &Timers::default(), true, &mut out), Terminated);
        assert_eq!(out, [Stop(Timer::Abandoned), Transmit]);
    }
}
