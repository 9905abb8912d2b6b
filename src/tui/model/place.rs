//! Where the user is: page, list, window, line, knob.
use crate::base::id::CallNumber;
use crate::ua::snapshot::LadderEntry;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    Main,
    Quality,
    Accounts,
    /// One of them.
    Account,
    Log,
    Help,
}

/// The list of the main page the cursor is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pane {
    Calls,
    Recent,
    Messages,
}

/// A window over the main page.
#[derive(Clone, Debug, PartialEq)]
pub enum Popup {
    /// With the tones sent since it opened.
    Keypad {
        sent: String,
    },
    Message {
        call: CallNumber,
        entry: Box<LadderEntry>,
    },
    Details,
}

/// A line of text that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    Dial,
    Command,
    /// To whom the peer of this call shall be transferred.
    Transfer(CallNumber),
    /// Whether the peers of these two calls shall be connected; nothing is typed.
    Connect(CallNumber, CallNumber),
}

/// A figure of the simulated network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knob {
    Loss,
    Jitter,
    Delay,
    Burst,
}

impl Knob {
    pub const ALL: [Self; 4] = [Self::Loss, Self::Jitter, Self::Delay, Self::Burst];
}
