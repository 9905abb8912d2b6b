//! Everything that may be asked of the user agent: keyboard, command line and tests speak these words and no others.
use crate::base::id::{AccountId, CallNumber};
use crate::base::netem::Impairment;
use crate::ua::contacts::Change;
use crate::ua::handling::When;
use std::time::Duration;

#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    Register(AccountId),
    Unregister(AccountId),
    /// Place a call. `target` is what the user typed: a number, `user`, `user@host` or a URI.
    Call {
        account: Option<AccountId>,
        target: String,
    },
    /// The same, saying or not saying who calls, whatever the account does by itself.
    CallAs {
        account: Option<AccountId>,
        target: String,
        private: bool,
    },
    Answer(CallNumber),
    /// Refuse an incoming call: busy (486) or declined (603).
    Reject(CallNumber, Rejection),
    /// Stop ringing here, let the caller go on hearing ringback.
    Ignore(CallNumber),
    /// CANCEL, BYE or refuse, whatever ends the call in its state.
    HangUp(CallNumber),
    /// With all of its conference, as `Resume` and `Switch`.
    Hold(CallNumber),
    Resume(CallNumber),
    /// Make this call the one talked on; the one talked on now is held.
    Switch(CallNumber),
    /// Let two calls hear each other and us: they become a conference, or one of them joins that of the other.
    Join(CallNumber, CallNumber),
    /// Take a call out of the conference; it is held.
    Split(CallNumber),
    /// Record a call, into a file of this name or of one made of time and peer.
    Record(CallNumber, Option<String>),
    StopRecording(CallNumber),
    /// Answer the question a 3xx response raised: call the new target or end.
    Follow(CallNumber, bool),
    /// Ask the peer to call somebody else in our place (blind transfer); `target` as in `Call`.
    Transfer {
        call: CallNumber,
        target: String,
    },
    /// Connect the peers of two calls with each other (attended transfer): the first is asked to take the place of ours in
    /// the second.
    Connect(CallNumber, CallNumber),
    /// Send calls of one account, or of all, elsewhere; `to` none: no more. Without `when` all forwarding ends.
    Forward {
        account: Option<AccountId>,
        when: Option<When>,
        to: Option<String>,
        /// How long a call rings before nobody has answered it; none: as before.
        after: Option<Duration>,
    },
    DoNotDisturb {
        account: Option<AccountId>,
        on: bool,
    },
    /// Place a call that is to be answered at once.
    Intercom {
        account: Option<AccountId>,
        target: String,
    },
    /// Take a call that rings elsewhere: at the phone of `whom`, as it is watched or dialled; without, at any of our group.
    PickUp {
        account: Option<AccountId>,
        whom: Option<String>,
    },
    /// Hand the call to where calls wait; `slot`: a certain one, else what the account has for it.
    Park {
        call: CallNumber,
        slot: Option<String>,
    },
    /// Take a parked call back.
    Unpark {
        account: Option<AccountId>,
        slot: String,
    },
    /// Tell what would be called (`Event::Plan`).
    Plan {
        account: Option<AccountId>,
        target: String,
    },
    /// Send DTMF digits, in order; a comma waits a second, a semicolon for `Continue`.
    Digits(CallNumber, String),
    /// Change the list of contacts.
    Contact(Change),
    /// Send the digits that wait for it.
    Continue(CallNumber),
    Mute(bool),
    /// Gains \[dB\], 0 is unchanged.
    Gain {
        capture: f32,
        playback: f32,
    },
    /// A text to somebody (MESSAGE); `target` as in `Call`.
    Text {
        account: Option<AccountId>,
        target: String,
        text: String,
    },
    /// What the user says of himself to those who watch.
    Presence {
        wish: Wish,
        /// Words of his own; empty: none.
        note: String,
    },
    /// Call the mailbox.
    Mailbox(Option<AccountId>),
    /// OPTIONS to a target, to learn whether it is there and what it can do.
    Query {
        account: Option<AccountId>,
        target: String,
    },
    /// Hear or speak through another device from now on, named as in the configuration.
    Device {
        microphone: bool,
        name: String,
    },
    /// Look which devices there are; they are in the snapshot then.
    ListDevices,
    /// Read the configuration anew.
    Reload,
    /// Change the simulated network of the demonstration; refused where there is none.
    Impair(Impairment),
    /// End all calls, unregister, and report `Event::Finished`.
    Shutdown,
}

/// What the user wants others to know; a call that is up is told in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wish {
    /// What the phone knows.
    #[default]
    Auto,
    Away,
    Busy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    Busy,
    Decline,
}
