//! Every message that passes is looked at once: does it belong into a ladder?
//!
//! A message costs the search for its Call-ID in its first lines and two look-ups; only what belongs into a ladder is kept.
use super::UserAgent;
use super::ladder::{self, CallLadder, Rows, Whose};
use crate::base::id::CallNumber;
use crate::base::net::Flow;
use crate::sip::key::SessionKey;
use bytes::Bytes;
use std::time::Instant;

impl UserAgent {
    /// A message goes into the ladder it belongs to; `false` when that is none.
    pub(super) fn tap(&mut self, now: Instant, flow: Flow, sent: bool, bytes: &Bytes) -> bool {
        let Some(whose) = ladder::call_id(bytes).and_then(|id| self.whose(id)) else { return false };
        if let Whose::Call(number) = whose {
            self.begin_ladder(number);
        }
        let wall = self.anchor.wall(now);
        self.ladders.record(whose, ladder::Seen { at: now, wall, flow, sent, bytes });
        true
    }

    fn whose(&self, call_id: &str) -> Option<Whose> {
        let from = SessionKey { call_id: call_id.to_owned(), local_tag: String::new() };
        let session = self.sessions.range(from..).next().filter(|(key, _)| key.call_id == call_id);
        match session {
            Some((_, number)) => Some(Whose::Call(*number)),
            None => self.ladders.registration_of(call_id).map(Whose::Registration),
        }
    }

    fn begin_ladder(&mut self, number: CallNumber) {
        if self.ladders.has(number) {
            return;
        }
        let Some(call) = self.calls.get(&number) else { return };
        let ladder = CallLadder {
            number,
            story: number,
            account: call.account,
            outgoing: call.outgoing,
            peer: call.peer_label(),
            started: self.anchor.wall(call.started()),
            rows: Rows::default(),
            dropped: 0,
        };
        let calls = &self.calls;
        self.ladders.begin(ladder, |number| calls.get(&number).is_some_and(|call| !call.is_over()));
        if let Some(referrer) = call.referred_by() {
            self.ladders.join(number, referrer);
        }
    }

    /// What happened to the sound of calls is woven into their ladders.
    pub(super) fn weave_notes(&mut self, now: Instant) {
        let wall = self.anchor.wall(now);
        while let Some((number, words)) = self.out.notes.pop_front() {
            self.begin_ladder(number);
            self.ladders.note(number, now, wall, &words);
        }
    }
}
