//! Non-INVITE client transaction (RFC 3261 §17.1.2).
//!
//! ```text
//!                                   |Request from TU
//!                                   |send request
//!               Timer E         +---v------+   Timer F or transport error: inform TU
//!               send request +--|  Trying  |----------------------------------------+
//!                            +->|          |                                        |
//!                               +----------+                                        |
//!                   200-699       |      |1xx                                       |
//!                   resp. to TU   |      |resp. to TU                               |
//!               +-----------------+      v                                          |
//!               |    Timer E    +-----------+  Timer F or transport error: inform TU|
//!               |    send  +----|Proceeding |---------------------------------------+
//!               |    req.  +--->|           |--+ 1xx                                |
//!               |               |           |<-+ resp. to TU                        |
//!               |               +-----------+                                       |
//!               |   200-699           |                                             |
//!               |   resp. to TU       v                                             |
//!               |               +-----------+                                       |
//!               +-------------->| Completed |                                       |
//!                               +-----------+                                       |
//!                                     | Timer K                                     |
//!                                     v                                             |
//!                               +------------+                                      |
//!                               | Terminated |<-------------------------------------+
//!                               +------------+
//! ```
use super::action::{Action, Timer};
use crate::sip::timer::Timers;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// `interval`: of timer E, which runs on unreliable transports only.
    Trying {
        interval: Duration,
    },
    Proceeding,
    Completed,
    Terminated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
    Provisional,
    /// 200-699
    Final,
    TimerE,
    TimerF,
    TimerK,
    TransportError,
}

pub(super) fn start(timers: &Timers, reliable: bool, out: &mut Vec<Action>) -> State {
    out.extend([Action::Transmit, Action::Start(Timer::F, timers.limit())]);
    if !reliable {
        out.push(Action::Start(Timer::E, timers.t1));
    }
    State::Trying { interval: timers.t1 }
}

pub(super) fn step(state: State, input: Input, timers: &Timers, reliable: bool, out: &mut Vec<Action>) -> State {
    match (state, input) {
        (State::Trying { interval }, Input::TimerE) => {
            let interval = timers.backed_off(interval);
            out.extend([Action::Transmit, Action::Start(Timer::E, interval)]);
            State::Trying { interval }
        }
        (State::Proceeding, Input::TimerE) => {
            out.extend([Action::Transmit, Action::Start(Timer::E, timers.t2)]);
            State::Proceeding
        }
        (State::Trying { .. } | State::Proceeding, Input::TimerF) => {
            out.extend([Action::Stop(Timer::E), Action::TellTimeout]);
            State::Terminated
        }
        (State::Trying { .. } | State::Proceeding, Input::TransportError) => {
            out.extend([Action::Stop(Timer::E), Action::Stop(Timer::F), Action::TellTransportError]);
            State::Terminated
        }
        (State::Trying { .. } | State::Proceeding, Input::Provisional) => {
            out.push(Action::Report);
            State::Proceeding
        }
        (State::Trying { .. } | State::Proceeding, Input::Final) => {
            out.extend([Action::Stop(Timer::E), Action::Stop(Timer::F), Action::Report]);
            if reliable {
                return State::Terminated;
            }
            out.push(Action::Start(Timer::K, timers.t4));
            State::Completed
        }
        (State::Completed, Input::TimerK) => State::Terminated,
        // Ignored: timers that are stopped in the state, and responses after the final one.
        (State::Trying { .. } | State::Proceeding, Input::TimerK)
        | (
            State::Completed,
            Input::Provisional | Input::Final | Input::TimerE | Input::TimerF | Input::TransportError,
        )
        | (
            State::Terminated,
            Input::Provisional | Input::Final | Input::TimerE | Input::TimerF | Input::TimerK | Input::TransportError,
        ) => state,
    }
}

#[cfg(test)]
mod tests {
    use super::super::action::Row;
    use super::*;
    use Action::*;
    use Input::*;
    use State::*;

    const TRYING: State = Trying { interval: Duration::from_millis(500) };

    fn rows() -> Vec<Row<State, Input>> {
        let timers = Timers::default();
        let second = Duration::from_secs(1);
        let (e, f) = (Stop(Timer::E), Stop(Timer::F));
        let completed = vec![e, f, Report, Start(Timer::K, timers.t4)];
        vec![
            (TRYING, TimerF, Terminated, vec![e, TellTimeout]),
            (TRYING, TransportError, Terminated, vec![e, f, TellTransportError]),
            (TRYING, TimerE, Trying { interval: second }, vec![Transmit, Start(Timer::E, second)]),
            (TRYING, Provisional, Proceeding, vec![Report]),
            (TRYING, Final, Completed, completed.clone()),
            (Proceeding, TimerF, Terminated, vec![e, TellTimeout]),
            (Proceeding, TransportError, Terminated, vec![e, f, TellTransportError]),
            (Proceeding, TimerE, Proceeding, vec![Transmit, Start(Timer::E, timers.t2)]),
            (Proceeding, Provisional, Proceeding, vec![Report]),
            (Proceeding, Final, Completed, completed),
            (Completed, TimerK, Terminated, vec![]),
        ]
    }

    #[test]
    fn every_state_and_input() {
        let rows = rows();
        for state in [TRYING, Proceeding, Completed, Terminated] {
            for input in [Provisional, Final, TimerE, TimerF, TimerK, TransportError] {
                let mut out = Vec::new();
                let next = step(state, input, &Timers::default(), false, &mut out);
                let row = rows.iter().find(|(s, i, ..)| (*s, *i) == (state, input));
                let (expected, actions) = row.map_or((state, vec![]), |(.., s, a)| (*s, a.clone()));
                assert_eq!((next, out), (expected, actions), "{state:?} {input:?}");
            }
        }
    }

    #[test]
    fn timer_e_stops_growing_at_t2() {
        let (mut state, mut out) = (Trying { interval: Duration::from_secs(3) }, Vec::new());
        for _ in 0..2 {
            out.clear();
            state = step(state, TimerE, &Timers::default(), false, &mut out);
            assert_eq!(out, [Transmit, Start(Timer::E, Duration::from_secs(4))]);
        }
    }

    #[test]
    fn a_reliable_transport_needs_neither_timer_e_nor_completed() {
        let mut out = Vec::new();
        let state = start(&Timers::default(), true, &mut out);
        assert_eq!(out, [Transmit, Start(Timer::F, Timers::default().limit())]);
        assert_eq!(step(state, Final, &Timers::default(), true, &mut out), Terminated);
    }
}
