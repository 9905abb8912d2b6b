//! What a key can mean, whatever key it is.
use super::kebab;

/// What a key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Intent {
    Answer,
    RejectBusy,
    Decline,
    Ignore,
    Yes,
    No,
    Dial,
    Digit,
    HangUp,
    Hold,
    Mute,
    Swap,
    Keypad,
    Quality,
    Messages,
    Details,
    Accounts,
    Log,
    Simulation,
    CommandLine,
    Help,
    Quit,
    Suspend,
    Repaint,
    SoundUp,
    SoundDown,
    MicUp,
    MicDown,
    NextPane,
    PreviousPane,
    Open,
    Back,
    Up,
    Down,
    PageUp,
    PageDown,
    Top,
    Bottom,
    Earlier,
    Later,
    Freeze,
    Previous,
    Next,
    Less,
    More,
    Submit,
    Complete,
    NextAccount,
    Insert,
    Backspace,
    Delete,
    DeleteWord,
    ClearLine,
    ClearToEnd,
    CursorLeft,
    CursorRight,
    LineStart,
    LineEnd,
    Older,
    Newer,
}

impl Intent {
    /// The name used in the user's bindings.
    pub fn name(self) -> String {
        kebab(&format!("{self:?}"))
    }
}
