//! Facts the user agent reports as they happen. What is true now is in `ua::snapshot`.
use crate::base::id::{AccountId, CallNumber};
use crate::ua::contacts::Change;
use crate::ua::handling::Forwarding;
use crate::ua::identity::Identity;
use crate::ua::snapshot::{CallSummary, CapabilitiesView, RegistrationState, TextView, WatchView};
use std::time::Duration;

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Registration {
        account: AccountId,
        state: RegistrationState,
    },
    /// Somebody calls: ring, and show who.
    Incoming {
        call: CallNumber,
        from: String,
    },
    /// A call was placed.
    Outgoing {
        call: CallNumber,
        to: String,
    },
    Ringing(CallNumber),
    /// The other party has become known better, or is another one by now.
    Identified {
        call: CallNumber,
        identity: Box<Identity>,
    },
    Established(CallNumber),
    /// The peer or we put the call on hold, or took it off.
    HoldChanged {
        call: CallNumber,
        by_us: bool,
        by_peer: bool,
    },
    /// These calls hear each other from now on; empty: none do.
    Conference {
        calls: Vec<CallNumber>,
    },
    /// A call is being recorded into a file.
    Recording {
        call: CallNumber,
        file: String,
    },
    /// A recording is over; `missing` of it is silent because the disk was too slow.
    Recorded {
        call: CallNumber,
        file: String,
        missing: Duration,
    },
    /// A 3xx asks to call somebody else.
    Redirected {
        call: CallNumber,
        target: String,
    },
    /// How the call fares that the peer was asked to place; `over`: the last word.
    Transfer {
        call: CallNumber,
        to: String,
        status: u16,
        over: bool,
    },
    Digit {
        call: CallNumber,
        digit: char,
    },
    /// These digits are sent when the user says so.
    DigitsWait {
        call: CallNumber,
        digits: String,
    },
    /// The call is over and its whole story is known.
    Ended {
        call: CallNumber,
        summary: Box<CallSummary>,
    },
    /// Somebody who is watched does something else than before.
    Watched(Box<WatchView>),
    /// The contacts have changed, and how: whoever keeps them writes that down.
    Contacts(Box<Change>),
    /// What a mailbox holds has changed.
    Mailbox {
        account: AccountId,
        waiting: bool,
        new: Option<u32>,
    },
    /// What becomes of calls of an account was switched.
    Handling {
        account: AccountId,
        forwarding: Box<Forwarding>,
        do_not_disturb: bool,
    },
    /// A call that was handed to where calls wait is there, by the lamp of its slot.
    Parked {
        call: CallNumber,
        slot: String,
    },
    /// The answer to `Command::Plan`, in words.
    Plan {
        typed: String,
        answer: String,
        /// The dial plan, or what cannot be an address, does not forbid it.
        is_allowed: bool,
    },
    /// A text came, was sent, or something became of it: the same key, the later counts.
    Text(Box<TextView>),
    /// The answer to `Command::Query`, in words.
    Capabilities {
        target: String,
        answer: String,
        /// `None`: there was no answer.
        told: Option<Box<CapabilitiesView>>,
    },
    /// The configuration was read anew.
    Reloaded {
        /// What takes effect only after the next start, if there is anything.
        later: String,
    },
    /// A command could not be carried out; the sentence says why and what to do.
    Refused {
        reason: String,
    },
    /// All calls ended and all accounts unregistered after `Command::Shutdown`.
    Finished,
}
