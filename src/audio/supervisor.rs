//! Keeps a device running: opens it, watches that sound flows, opens it anew when it does not.
//!
//! What to do is decided here, by [`Watch`], which is pure; the thread in `audio::keeper` opens and closes.
//!
//! ```text
//!          Resume                Opened
//! Parked ----------> Opening ----------> Running
//!   ^                 ^   | Failed          | no sound for a while
//!   |           retry |   v                 |
//!   +---------------- Waiting <-------------+
//!        Suspend, from any state
//! ```
use std::time::{Duration, Instant};

/// A device that moves no frames for this long is dead.
const SILENT: Duration = Duration::from_millis(600);
/// The same, once the sound system itself said that the stream is gone.
const SILENT_AND_LOST: Duration = Duration::from_millis(150);
/// A device just opened may take this long to begin.
const BEGINNING: Duration = Duration::from_millis(2_500);
/// Between two looks at a running device.
const LOOK: Duration = Duration::from_millis(200);
const FIRST_RETRY: Duration = Duration::from_millis(200);
const LAST_RETRY: Duration = Duration::from_secs(5);
/// A device that ran this long is sound again: its next failure is retried at once.
const HEALTHY: Duration = Duration::from_secs(10);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody needs it.
    Parked,
    Opening {
        failures: u32,
    },
    Running {
        failures: u32,
        since: Instant,
        /// Frames seen at the last look, and when they last grew.
        frames: u64,
        moved: Instant,
    },
    Waiting {
        failures: u32,
        until: Instant,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Sound is needed.
    Resume,
    /// Sound is not needed for now.
    Suspend,
    Opened,
    Failed,
    /// Time passed. `frames` is what the device moved so far; `lost` what the sound system says of it.
    Look {
        frames: u64,
        lost: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Open the device and answer `Opened` or `Failed`.
    Open,
    /// Put the stand-in in its place, then drop the device.
    Close,
}

/// Decides what happens to one device.
#[derive(Clone, Debug)]
pub struct Watch {
    state: State,
}

impl Default for Watch {
    fn default() -> Self {
        Self { state: State::Parked }
    }
}

impl Watch {
    pub fn state(&self) -> State {
        self.state
    }

    pub fn handle(&mut self, now: Instant, input: Input) -> Option<Action> {
        let (state, action) = match (self.state, input) {
            (State::Parked, Input::Resume) => (State::Opening { failures: 0 }, Some(Action::Open)),
            (State::Parked, Input::Suspend | Input::Opened | Input::Failed | Input::Look { .. }) => (self.state, None),

            (State::Opening { failures }, Input::Opened) => {
                (State::Running { failures, since: now, frames: 0, moved: now }, None)
            }
            (State::Opening { failures }, Input::Failed) => (wait(now, failures), None),
            (State::Opening { .. }, Input::Suspend) => (State::Parked, Some(Action::Close)),
            (State::Opening { .. }, Input::Resume | Input::Look { .. }) => (self.state, None),

            (State::Running { .. }, Input::Suspend) => (State::Parked, Some(Action::Close)),
            (State::Running { failures, since, frames: before, moved }, Input::Look { frames, lost }) => {
                let patience = match (before, lost) {
                    (_, true) => SILENT_AND_LOST,
                    (0, false) => BEGINNING,
                    (1.., false) => SILENT,
                };
                if frames != before {
                    let failures = if now - since > HEALTHY { 0 } else { failures };
                    (State::Running { failures, since, frames, moved: now }, None)
                } else if now - moved > patience {
                    (wait(now, failures), Some(Action::Close))
                } else {
                    (self.state, None)
                }
            }
            (State::Running { .. }, Input::Resume | Input::Opened | Input::Failed) => (self.state, None),

            (State::Waiting { failures, until }, Input::Look { .. }) if now >= until => {
                (State::Opening { failures }, Some(Action::Open))
            }
            (State::Waiting { .. }, Input::Suspend) => (State::Parked, None),
            (State::Waiting { .. }, Input::Look { .. } | Input::Resume | Input::Opened | Input::Failed) => {
                (self.state, None)
            }
        };
        self.state = state;
        action
    }

    /// When to look again.
    pub fn poll_timeout(&self, now: Instant) -> Option<Instant> {
        match self.state {
            State::Parked | State::Opening { .. } => None,
            State::Running { .. } => Some(now + LOOK),
            State::Waiting { until, .. } => Some(until),
        }
    }
}

/// The next try: after 0.2 s, twice that after each further failure, 5 s at most.
fn wait(now: Instant, failures: u32) -> State {
    let pause = FIRST_RETRY.saturating_mul(1 << failures.min(16)).min(LAST_RETRY);
    State::Waiting { failures: failures.saturating_add(1), until: now + pause }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn what_makes_no_sense_in_a_state_changes_nothing() {
        let now = Instant::now();
        let running = State::Running { failures: 0, since: now, frames: 1, moved: now };
        let waiting = State::Waiting { failures: 1, until: now + MS };
        let look = Input::Look { frames: 1, lost: false };
        let rows = [
            (State::Parked, Input::Suspend),
            (State::Parked, Input::Opened),
            (State::Parked, Input::Failed),
            (State::Parked, look),
            (State::Opening { failures: 0 }, Input::Resume),
            (State::Opening { failures: 0 }, look),
            (running, Input::Resume),
            (running, Input::Opened),
            (running, Input::Failed),
            (waiting, Input::Resume),
            (waiting, Input::Opened),
            (waiting, Input::Failed),
            (waiting, look),
        ];
        for (state, input) in rows {
            let mut watch = Watch { state };
            assert_eq!((watch.handle(now, input), watch.state), (None, state), "{input:?}");
        }
    }

    #[test]
    fn a_suspended_device_is_closed_from_any_state() {
        let now = Instant::now();
        let rows = [
            (State::Parked, None),
            (State::Opening { failures: 3 }, Some(Action::Close)),
            (State::Running { failures: 3, since: now, frames: 0, moved: now }, Some(Action::Close)),
            (State::Waiting { failures: 3, until: now }, None),
        ];
        for (state, action) in rows {
            let mut watch = Watch { state };
            assert_eq!((watch.handle(now, Input::Suspend), watch.state), (action, State::Parked), "{state:?}");
            assert_eq!(watch.poll_timeout(now), None, "an idle phone does not wake up");
        }
    }

    #[test]
    fn the_flow_of_sound_decides_not_the_errors() {
        let t0 = Instant::now();
        // (frames at the look, the sound system says lost, silence since the last frames, closed?)
        let rows = [
            (0, false, 2_400, false),
            (0, false, 2_600, true),
            (480, false, 500, false),
            (480, false, 700, true),
            (480, true, 100, false),
            (480, true, 200, true),
            (0, true, 200, true),
        ];
        for (frames, lost, silence, closed) in rows {
            let mut watch = Watch { state: State::Running { failures: 0, since: t0, frames, moved: t0 } };
            let action = watch.handle(t0 + MS * silence, Input::Look { frames, lost });
            assert_eq!(action.is_some(), closed, "{frames} frames, lost: {lost}, {silence} ms");
        }
        // Errors while sound flows are nobody's business.
        let mut watch = Watch { state: State::Running { failures: 0, since: t0, frames: 480, moved: t0 } };
        assert_eq!(watch.handle(t0 + MS * 900, Input::Look { frames: 960, lost: true }), None);
    }

    #[test]
    fn retries_come_slower_and_slower_until_it_ran_for_a_while() {
        let (mut now, mut watch, mut pauses) = (Instant::now(), Watch::default(), Vec::new());
        let look = Input::Look { frames: 0, lost: false };
        assert_eq!(watch.handle(now, Input::Resume), Some(Action::Open));
        for _ in 0..7 {
            assert_eq!(watch.handle(now, Input::Failed), None);
            let until = watch.poll_timeout(now).expect("a retry is due");
            assert_eq!(watch.handle(until - MS, look), None);
            pauses.push((until - now).as_millis());
            now = until;
            assert_eq!(watch.handle(now, look), Some(Action::Open));
        }
        assert_eq!(pauses, [200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        watch.handle(now, Input::Opened);
        watch.handle(now + MS * 9_000, Input::Look { frames: 1, lost: false });
        assert!(matches!(watch.state, State::Running { failures: 7, .. }));
        watch.handle(now + MS * 10_001, Input::Look { frames: 2, lost: false });
        assert!(matches!(watch.state, State::Running { failures: 0, .. }));
    }
}
