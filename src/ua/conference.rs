//! The conference on this phone: several calls that hear each other, mixed here. To each peer it is an ordinary call.
use super::UserAgent;
use super::call::Call;
use crate::base::id::CallNumber;
use crate::ua::event::Event;
use std::time::Instant;

/// Calls in a conference.
const PARTIES: usize = 8;

impl UserAgent {
    /// Puts two calls into the conference; one of them may be in it already.
    pub(super) fn join(&mut self, now: Instant, number: CallNumber, other: CallNumber) {
        let up = |number| self.calls.get(&number).is_some_and(Call::is_established);
        let [one, two] = [number, other].map(|number| self.conference.contains(&number));
        let refusal = match (one, two) {
            _ if number == other || !up(number) || !up(other) => "only two calls that are up can hear each other",
            (true, true) => "these calls are in the conference already",
            (false, false) if !self.conference.is_empty() => {
                "there is a conference already: join one of its calls, or split it first"
            }
            _ if self.conference.len() >= PARTIES => "a conference takes no more than 8 calls",
            _ => {
                self.conference.extend([number, other]);
                return self.talk_on(now, number);
            }
        };
        self.out.refuse(refusal);
    }

    /// Takes a call out of the conference and holds it; the others go on.
    pub(super) fn split(&mut self, now: Instant, number: CallNumber) {
        if !self.conference.remove(&number) {
            return self.out.refuse(format!("call {number} is in no conference"));
        }
        self.with_call(number, |call, _, _| call.set_hold(now, true));
        if self.focus == Some(number) {
            self.focus = self.conference.first().copied();
        }
    }

    /// The call with those it is in conference with.
    fn together(&self, number: CallNumber) -> Vec<CallNumber> {
        if self.conference.contains(&number) { self.conference.iter().copied().collect() } else { vec![number] }
    }

    /// Holds the call, with its whole conference.
    pub(super) fn hold(&mut self, now: Instant, number: CallNumber) {
        for number in self.together(number) {
            self.with_call(number, |call, _, out| match call.can_hold() {
                true => call.set_hold(now, true),
                false => out.refuse("only a call that is up, or sounds already, can be put on hold"),
            });
        }
    }

    /// Takes the call back, with its whole conference; all others are held.
    pub(super) fn talk_on(&mut self, now: Instant, number: CallNumber) {
        self.focus_on(now, number);
        for number in self.together(number) {
            self.with_call(number, |call, _, _| call.set_hold(now, false));
        }
    }

    /// The one talked on becomes `number`; all that is not in conference with it is held.
    pub(super) fn focus_on(&mut self, now: Instant, number: CallNumber) {
        if self.calls.get(&number).is_none_or(Call::is_over) {
            return;
        }
        self.focus = Some(number);
        let together = self.together(number);
        for call in self.calls.values_mut().filter(|call| !together.contains(&call.number)) {
            call.set_hold(now, true);
        }
    }

    /// Calls that are over leave; a single one is no conference. Its changes are told.
    pub(super) fn tidy_conference(&mut self) {
        let calls = &self.calls;
        let over = |number: &CallNumber| calls.get(number).is_none_or(Call::is_over);
        let loses_focus = self.focus.is_some_and(|focus| self.conference.contains(&focus) && over(&focus));
        self.conference.retain(|number| !over(number));
        if loses_focus && let Some(next) = self.conference.first() {
            self.focus = Some(*next);
        }
        if self.conference.len() < 2 {
            self.conference.clear();
        }
        if self.conference != self.told_conference {
            self.told_conference.clone_from(&self.conference);
            let calls = self.conference.iter().copied().collect();
            self.out.event(Event::Conference { calls });
        }
    }

    /// The calls the user hears and speaks to.
    pub(super) fn audible(&self) -> Vec<CallNumber> {
        let Some(focus) = self.focus else { return Vec::new() };
        let together = self.together(focus);
        let alone = together.len() == 1;
        // The music of a peer that holds us is not for the others of a conference.
        let audible = |call: &&Call| call.has_sound() && !call.is_held_by_us() && (alone || !call.is_held_by_peer());
        together.iter().filter_map(|number| self.calls.get(number)).filter(audible).map(|call| call.number).collect()
    }
}
