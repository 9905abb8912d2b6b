//! INVITE client transaction (RFC 3261 §17.1.1 as amended by RFC 6026 §8.4).
//!
//! ```text
//!                                 |INVITE from TU
//!               Timer A fires     |send INVITE
//!               send INVITE  +----v-----+   Timer B fires or transport error: inform TU
//!                      +-----| Calling  |-------------------------------------------------+
//!                      +---->|          |                                                 |
//!                            +----------+                                                 |
//!             300-699          |  |  | 2xx                                                |
//!             send ACK         |  |  | to TU                                              |
//!             resp. to TU      |  |1xx|                                                   |
//!          +-------------------+  |to |TU                                                 |
//!          |                      v  |                                                    |
//!          |   1xx to TU  +-----------+  64*T1 after a CANCEL: inform TU                  |
//!          |        +-----|           |---------------------------------------------------+
//!          |        +---->|Proceeding |                                                   |
//!          |              |           |--------------+                                    |
//!          |              +-----------+    2xx       |                                    |
//!          |   300-699       |             to TU     |                                    |
//!          |   send ACK      |                       |                                    |
//!          v   resp. to TU   v                       v                                    |
//!      +-----------+                            +-----------+                             |
//!  +---|           |<--- from Proceeding        |           |---+ 2xx                     |
//!  +-->| Completed |                            | Accepted  |   | to TU                   |
//!      |           |                            |           |<--+                         |
//!      +-----------+                            +-----------+                             |
//!   300-699  |    |  Transport error                 |                                    |
//!   send ACK |    |  inform TU                       | Timer M fires                      |
//!            |    v                                  v                                    |
//!            | +------------------------------------------+                               |
//!   Timer D  +>|               Terminated                 |<------------------------------+
//!   fires      +------------------------------------------+
//! ```
use super::action::{Action, Timer};
use crate::sip::timer::Timers;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// `interval`: of timer A, which runs on unreliable transports only.
    Calling {
        interval: Duration,
    },
    Proceeding,
    Completed,
    Accepted,
    Terminated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// 1xx
    Provisional,
    /// 2xx
    Success,
    /// 300-699
    Failure,
    TimerA,
    TimerB,
    TimerD,
    TimerM,
    /// 64*T1 after the CANCEL.
    CancelLimit,
    TransportError,
}

pub(super) fn start(timers: &Timers, reliable: bool, out: &mut Vec<Action>) -> State {
    out.extend([Action::Transmit, Action::Start(Timer::B, timers.limit())]);
    if !reliable {
        out.push(Action::Start(Timer::A, timers.t1));
    }
    State::Calling { interval: timers.t1 }
}

pub(super) fn step(state: State, input: Input, timers: &Timers, reliable: bool, out: &mut Vec<Action>) -> State {
    match (state, input) {
        (State::Calling { interval }, Input::TimerA) => {
            let interval = interval * 2;
            out.extend([Action::Transmit, Action::Start(Timer::A, interval)]);
            State::Calling { interval }
        }
        (State::Calling { .. }, Input::TimerB) | (State::Proceeding, Input::CancelLimit) => {
            out.push(Action::TellTimeout);
            State::Terminated
        }
        (State::Calling { .. } | State::Completed, Input::TransportError) => {
            out.push(Action::TellTransportError);
            State::Terminated
        }
        (State::Calling { .. }, Input::Provisional) => {
            out.extend([Action::Stop(Timer::A), Action::Stop(Timer::B), Action::Report]);
            State::Proceeding
        }
        (State::Calling { .. } | State::Proceeding, Input::Success) => {
            stop_all(out);
            out.extend([Action::Report, Action::Start(Timer::M, timers.limit())]);
            State::Accepted
        }
        (State::Calling { .. } | State::Proceeding, Input::Failure) => {
            stop_all(out);
            out.extend([Action::Acknowledge, Action::Report]);
            if reliable {
                return State::Terminated;
            }
            out.push(Action::Start(Timer::D, timers.d()));
            State::Completed
        }
        (State::Proceeding, Input::Provisional) => {
            out.push(Action::Report);
            State::Proceeding
        }
        (State::Completed, Input::Failure) => {
            out.push(Action::Acknowledge);
            State::Completed
        }
        (State::Completed, Input::TimerD) | (State::Accepted, Input::TimerM) => State::Terminated,
        (State::Accepted, Input::Success) => {
            out.push(Action::Report);
            State::Accepted
        }
        // Ignored: timers that are stopped in the state, and responses that contradict the final one.
        (State::Calling { .. }, Input::TimerD | Input::TimerM | Input::CancelLimit)
        | (State::Proceeding, Input::TimerA | Input::TimerB | Input::TimerD | Input::TimerM | Input::TransportError)
        | (
            State::Completed,
            Input::Provisional | Input::Success | Input::TimerA | Input::TimerB | Input::TimerM | Input::CancelLimit,
        )
        | (
            State::Accepted,
            Input::Provisional
            | Input::Failure
            | Input::TimerA
            | Input::TimerB
            | Input::TimerD
            | Input::CancelLimit
            | Input::TransportError,
        )
        | (
            State::Terminated,
            Input::Provisional
            | Input::Success
            | Input::Failure
            | Input::TimerA
            | Input::TimerB
            | Input::TimerD
            | Input::TimerM
            | Input::CancelLimit
            | Input::TransportError,
        ) => state,
    }
}

fn stop_all(out: &mut Vec<Action>) {
    out.extend([Action::Stop(Timer::A), Action::Stop(Timer::B), Action::Stop(Timer::Cancelled)]);
}

#[cfg(test)]
mod tests {
    use super::super::action::Row;
    use super::*;
    use Action::*;
    use Input::*;
    use State::*;

    const CALLING: State = Calling { interval: Duration::from_millis(500) };
    const STOPS: [Action; 3] = [Stop(Timer::A), Stop(Timer::B), Stop(Timer::Cancelled)];

    fn rows() -> Vec<Row<State, Input>> {
        let limit = Timers::default().limit();
        let failed = [&STOPS[..], &[Acknowledge, Report, Start(Timer::D, limit)]].concat();
        let accepted = [&STOPS[..], &[Report, Start(Timer::M, limit)]].concat();
        let second = Duration::from_secs(1);
        vec![
            (CALLING, TimerB, Terminated, vec![TellTimeout]),
            (CALLING, TransportError, Terminated, vec![TellTransportError]),
            (CALLING, TimerA, Calling { interval: second }, vec![Transmit, Start(Timer::A, second)]),
            (CALLING, Provisional, Proceeding, vec![Stop(Timer::A), Stop(Timer::B), Report]),
            (CALLING, Success, Accepted, accepted.clone()),
            (CALLING, Failure, Completed, failed.clone()),
            (Proceeding, Provisional, Proceeding, vec![Report]),
            (Proceeding, Success, Accepted, accepted),
            (Proceeding, Failure, Completed, failed),
            (Proceeding, CancelLimit, Terminated, vec![TellTimeout]),
            (Completed, Failure, Completed, vec![Acknowledge]),
            (Completed, TimerD, Terminated, vec![]),
            (Completed, TransportError, Terminated, vec![TellTransportError]),
            (Accepted, Success, Accepted, vec![Report]),
            (Accepted, TimerM, Terminated, vec![]),
        ]
    }

    #[test]
    fn every_state_and_input() {
        let inputs = [Provisional, Success, Failure, TimerA, TimerB, TimerD, TimerM, CancelLimit, TransportError];
        let rows = rows();
        for state in [CALLING, Proceeding, Completed, Accepted, Terminated] {
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
    fn a_reliable_transport_needs_neither_timer_a_nor_completed() {
        let mut out = Vec::new();
        let state = start(&Timers::default(), true, &mut out);
        assert_eq!(out, [Transmit, Start(Timer::B, Timers::default().limit())]);
        out.clear();
        assert_eq!(step(state, Failure, &Timers::default(), true, &mut out), Terminated);
        assert_eq!(out, [&STOPS[..], &[Acknowledge, Report]].concat());
    }
}
