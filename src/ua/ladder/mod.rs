//! The message ladder of a call: every message once, as plain facts that screen, files and tests read.
//!
//! What is kept is the message as it went over the wire; it is read only when somebody looks at it, and shown only with its
//! secrets masked ([`Wire::text`]).
mod book;
pub mod capture;
mod mask;
mod remark;
pub mod text;
mod wire;
mod withheld;

use crate::base::id::{AccountId, CallNumber};
use crate::base::net::Flow;
pub use book::{Ladders, Seen, Whose};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
pub use wire::{Wire, call_id};

/// The rows of a ladder, in the order they happened. Cheap to clone.
pub type Rows = Arc<Vec<Arc<LadderEntry>>>;

/// One row: a message, or what happened to the sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LadderEntry {
    pub at: Instant,
    pub wall: SystemTime,
    /// The call it is of; `None` for a registration.
    pub call: Option<CallNumber>,
    pub sent: bool,
    /// `INVITE`, `200 OK`; of a note: the note.
    pub label: String,
    /// CSeq, as `1 INVITE`.
    pub cseq: String,
    /// What matters of its content, in words: `offer: Opus PCMU, sendrecv`.
    pub remark: String,
    /// The way it took; `None` for a note on the sound.
    pub flow: Option<Flow>,
    /// How often the same message was seen again, and how much later each of the first times.
    pub repeats: u32,
    pub again: Vec<Duration>,
    pub wire: Wire,
}

impl LadderEntry {
    pub fn is_message(&self) -> bool {
        self.flow.is_some()
    }

    /// The method of a request; of a response that of its CSeq.
    pub fn method(&self) -> &str {
        self.cseq.rsplit(' ').next().unwrap_or_default()
    }

    /// The status of a response.
    pub fn status(&self) -> Option<u16> {
        self.label.get(..3).filter(|_| self.is_message()).and_then(|digits| digits.parse().ok())
    }

    /// `udp 192.0.2.1:5060`
    pub fn way(&self) -> String {
        self.flow.map(|flow| format!("{} {}", flow.transport.name(), flow.remote)).unwrap_or_default()
    }
}

/// All messages of one call, also when it is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallLadder {
    pub number: CallNumber,
    /// Calls that came about by one another, as by a transfer, have the same: the number of the first of them.
    pub story: CallNumber,
    pub account: AccountId,
    pub outgoing: bool,
    pub peer: String,
    pub started: SystemTime,
    pub rows: Rows,
    /// Rows that were dropped because there were too many.
    pub dropped: u32,
}

/// The rows of a call and of all calls of the same story, in the order they happened.
pub fn story(ladders: &[Arc<CallLadder>], number: CallNumber) -> Vec<Arc<LadderEntry>> {
    let Some(story) = ladders.iter().find(|ladder| ladder.number == number).map(|ladder| ladder.story) else {
        return Vec::new();
    };
    let of_story = ladders.iter().filter(|ladder| ladder.story == story);
    let mut rows: Vec<_> = of_story.flat_map(|ladder| ladder.rows.iter().cloned()).collect();
    rows.sort_by_key(|row| row.at);
    rows
}
