//! The end of the phone: calls are hung up, bindings and publications taken back, within a limit.
use super::UserAgent;
use super::account::Account;
use super::event::Event;
use super::snapshot::RegistrationState;
use crate::base::id::{AccountId, CallNumber};
use std::time::{Duration, Instant};

/// How long the last BYE and the un-registration may take at the end.
const FAREWELL: Duration = Duration::from_secs(3);

impl UserAgent {
    pub(super) fn shut_down(&mut self, now: Instant) {
        if self.shutdown.is_some() {
            return;
        }
        self.shutdown = Some(now + FAREWELL);
        let alive: Vec<CallNumber> = self.calls.values().filter(|c| !c.is_over()).map(|c| c.number).collect();
        for number in alive {
            self.with_call(number, |c, anchor, out| {
                // What rings here may ring elsewhere too: only this phone goes.
                if c.is_ringing_in() { c.reject(now, 480, anchor, out) } else { c.hang_up(now, anchor, out) }
            });
        }
        self.watching.stop();
        self.presences.stop();
        self.watchers.stop(now);
        for index in 0..self.accounts.len() {
            self.unregister(now, AccountId(u16::try_from(index).unwrap_or(u16::MAX)));
        }
    }

    pub(super) fn say_farewell(&mut self, now: Instant) {
        let Some(limit) = self.shutdown.filter(|_| !self.finished) else { return };
        let registered = |a: &Account| !matches!(a.state, RegistrationState::Off | RegistrationState::Failed { .. });
        let busy = self.calls.values().any(|c| !c.is_done())
            || self.accounts.iter().any(registered)
            || self.presences.is_busy();
        if !busy || now >= limit {
            self.finished = true;
            // What is still to be sent goes out before anybody reads this.
            self.out.event(Event::Finished);
            self.shutdown = Some(now + Duration::from_secs(3600));
        }
    }
}
