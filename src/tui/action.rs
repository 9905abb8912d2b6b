//! What happens to the screen (`Action`) and what the screen asks of the world (`Effect`).
use crate::tui::keymap::key::Key;
use crate::ua::command::Command;
use crate::ua::event::Event;
use crate::ua::ladder::LadderEntry;
use crate::ua::ladder::capture::Format;
use crate::ua::snapshot::{CallSummary, Snapshot, TextView};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// Everything that can happen to the screen: the only way into `update`.
#[derive(Clone, Debug)]
pub enum Action {
    /// Time passes. The run loop says so before every other action, the view never reads a clock.
    Time {
        now: Instant,
        wall: SystemTime,
    },
    Resize {
        columns: u16,
        rows: u16,
    },
    Key(Key),
    Paste(String),
    /// The left button of the mouse was pressed there.
    Click {
        column: u16,
        row: u16,
    },
    /// The wheel of the mouse was turned there.
    Wheel {
        up: bool,
        column: u16,
        row: u16,
    },
    /// The user looks at this terminal now, or no longer.
    Focused(bool),
    Snapshot(Arc<Snapshot>),
    Event(Event),
    History(Arc<Vec<CallSummary>>),
    Log(Arc<Vec<String>>),
    Texts(Arc<Vec<TextView>>),
    /// The command queue of the phone was full: the command is lost and the user is told.
    QueueFull(Command),
    /// A file was written, or why it was not.
    Saved(Result<String, String>),
    /// The program was asked to end from outside: no question is asked.
    Terminate,
    /// The program runs again after it was stopped.
    Continued,
}

/// What the run loop does for the screen.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    Send(Command),
    Bell,
    /// Tells a user who looks elsewhere.
    Notify {
        title: String,
        text: String,
    },
    /// Text for the clipboard of the terminal.
    Copy(String),
    Save(Save),
    /// The window title.
    Title(String),
    /// Draw every cell anew.
    Repaint,
    /// Give the terminal back and stop the process until it is continued.
    Suspend,
    /// Leave the screen.
    Leave,
}

/// A file the user asked for: the messages of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Save {
    /// As it was typed.
    pub path: String,
    /// A file of this name is replaced.
    pub replace: bool,
    pub format: Format,
    pub title: String,
    pub rows: Vec<Arc<LadderEntry>>,
    /// Credentials and keys too.
    pub secrets: bool,
}
