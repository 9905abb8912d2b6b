//! Where the user is: page, list, window, line, knob.
use crate::base::id::CallNumber;
use crate::tui::keymap::key::Key;
use crate::ua::handling::When;
use crate::ua::ladder::LadderEntry;
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    Main,
    Quality,
    Accounts,
    /// One of them.
    Account,
    /// The messages of a call or of a registration.
    Messages,
    Contacts,
    Log,
    /// What was written with others.
    Texts,
    Help,
}

/// The list of the main page the cursor is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pane {
    Calls,
    Recent,
    Messages,
    /// The phones that are watched; only while no call is there.
    Watched,
}

/// A window over the main page.
#[derive(Clone, Debug, PartialEq)]
pub enum Popup {
    /// With the tones sent since it opened.
    Keypad {
        sent: String,
    },
    Message {
        entry: Arc<LadderEntry>,
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
    /// Where calls shall go instead of ringing here.
    Forward(When),
    /// A text to whom the page of texts shows.
    Text,
    /// Whether the peers of these two calls shall be connected; nothing is typed.
    Connect(CallNumber, CallNumber),
    /// What is looked for in messages.
    Search,
    /// The name of the file messages are written to.
    Export,
}

/// What the mouse can point at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spot {
    /// A key of the key bar or of a question: to point at it is to press it.
    Key(Key),
    Call(CallNumber),
    /// A row of the list of recent calls.
    Recent(usize),
    /// A row of the message ladder.
    Message(usize),
    Account(usize),
    /// A row of the contacts.
    Contact(usize),
    /// A row of the messages page.
    Row(usize),
    /// Somebody on the page of texts.
    Thread(usize),
    /// Somebody who is watched.
    Lamp(usize),
    /// The line where numbers are typed.
    DialLine,
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
