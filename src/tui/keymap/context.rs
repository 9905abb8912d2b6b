//! The places a key can mean something in.
use super::kebab;

/// Where the user is. Several contexts are active at a time, the innermost is asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Context {
    /// Somebody calls; beside a line of text only the keys that type nothing count.
    Incoming,
    /// A call was redirected and the user is asked whether to follow.
    Question,
    /// The main screen, whatever list the cursor is in.
    Main,
    Calls,
    Recent,
    Messages,
    /// The phones that are watched.
    Watched,
    Dial,
    Command,
    Transfer,
    /// Where calls shall go instead of ringing here.
    Forward,
    /// Two calls are about to be connected.
    Connect,
    /// Moving and changing text in any line.
    Edit,
    Keypad,
    Simulation,
    /// The messages page.
    Ladder,
    Message,
    /// Looking for text in messages, and keeping them.
    Find,
    /// The line for what is looked for.
    Search,
    /// The line for the name of a file.
    Export,
    Details,
    Quality,
    Accounts,
    Account,
    Contacts,
    Log,
    /// Texts to others and from them.
    Texts,
    /// The line one is written in.
    Text,
    Help,
    /// Everything that is longer than its window.
    Scroll,
    Global,
}

impl Context {
    pub const ALL: [Self; 31] = [
        Self::Incoming,
        Self::Question,
        Self::Main,
        Self::Calls,
        Self::Recent,
        Self::Messages,
        Self::Watched,
        Self::Dial,
        Self::Command,
        Self::Transfer,
        Self::Forward,
        Self::Connect,
        Self::Edit,
        Self::Keypad,
        Self::Simulation,
        Self::Ladder,
        Self::Message,
        Self::Find,
        Self::Search,
        Self::Export,
        Self::Details,
        Self::Quality,
        Self::Accounts,
        Self::Account,
        Self::Contacts,
        Self::Log,
        Self::Texts,
        Self::Text,
        Self::Help,
        Self::Scroll,
        Self::Global,
    ];

    /// The heading of its part of the help page.
    pub fn title(self) -> &'static str {
        match self {
            Self::Incoming => "Somebody calls (while typing: the F keys)",
            Self::Question => "A call is redirected",
            Self::Main => "Main screen",
            Self::Calls => "Calls",
            Self::Recent => "Recent calls",
            Self::Messages => "Messages of the call",
            Self::Dial => "Dial line",
            Self::Command => "Command line",
            Self::Watched => "Watched phones",
            Self::Forward => "Forwarding calls",
            Self::Transfer => "Transferring a call",
            Self::Connect => "Connecting two calls",
            Self::Edit => "Editing a line",
            Self::Keypad => "Keypad",
            Self::Simulation => "Simulated network",
            Self::Ladder => "Messages page",
            Self::Message => "One message",
            Self::Find => "Messages page and message",
            Self::Search => "Looking for text",
            Self::Export => "Saving messages",
            Self::Details => "Details of the call",
            Self::Quality => "Quality page",
            Self::Accounts => "Accounts page",
            Self::Account => "One account",
            Self::Contacts => "Contacts page (letters narrow the list)",
            Self::Log => "Log page",
            Self::Texts => "Texts page",
            Self::Text => "Writing a text",
            Self::Help => "Help page",
            Self::Scroll => "Lists and pages",
            Self::Global => "Everywhere",
        }
    }

    /// The name used in front of an action in the user's bindings: `main.hold`.
    pub fn name(self) -> String {
        kebab(&format!("{self:?}"))
    }
}
