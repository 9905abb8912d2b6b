//! The default keys.
use super::{Context, Intent, Row, When};

macro_rules! rows {
    ($($context:ident { $($keys:expr => $intent:ident $when:ident $label:literal $description:literal),* $(,)? })*) => {
        /// All rows, in the order of key bar and help page.
        pub const ROWS: &[Row] = &[$($(Row {
            context: Context::$context,
            keys: &$keys,
            intent: Intent::$intent,
            label: $label,
            description: $description,
            when: When::$when,
        }),*),*];
    };
}

rows! {
    Incoming {
        ["a", "f5"] => Answer Always "answer" "answer; the call talked on is held",
        ["b", "f6"] => RejectBusy Always "busy" "refuse: busy",
        ["r", "f7"] => Decline Always "decline" "refuse: declined",
        ["i", "f8"] => Ignore Always "ignore" "stop ringing here, let the caller wait",
    }
    Question {
        ["y", "f5"] => Yes Always "call it" "call the new target",
        ["n", "f7"] => No Always "end" "end the call",
    }
    Calls {
        ["enter"] => Open TwoCalls "talk" "talk on the selected call; without one, open the dial line",
    }
    Recent {
        ["enter"] => Open Always "call back" "put the number into the dial line",
    }
    Messages {
        ["enter"] => Open Always "read" "show the whole message",
    }
    Watched {
        ["enter"] => Open Always "pick up" "take the call that rings there; else call there",
    }
    Main {
        ["c", "/"] => Dial Always "call" "open the dial line",
        ["any-digit"] => Digit Hidden "" "in a call: send the tone; else: start to dial",
        ["n"] => Simulation Simulated "network" "change the simulated network",
        ["x"] => HangUp Call "hang up" "end the selected call",
        ["h"] => Hold Established "hold" "hold the selected call, or take it back",
        ["m"] => Mute Established "mute" "switch the microphone off or on",
        ["s"] => Swap TwoCalls "swap" "talk on the other call",
        ["t"] => Transfer Established "transfer" "let the other side call somebody else in your place",
        ["o"] => Connect TwoCalls "connect" "connect the other sides of two calls with each other",
        ["v"] => Conference TwoCalls "conference" "let the calls hear each other, or take one out again",
        ["p"] => Park Established "park" "let the call wait at the server",
        ["d"] => Keypad Established "keypad" "send tones to the other side",
        ["q"] => Quality Established "quality" "the quality of the call over time",
        ["r"] => Record Established "record" "record the call into a file, or stop",
        ["."] => Continue Hidden "" "send the tones that wait for you",
        ["l"] => Messages Call "messages" "all messages of the call, or of the call in the list of recent ones",
        ["i"] => Details Established "details" "all that is known of the call",
        ["tab"] => NextPane Idle "lists" "go to the next list",
        ["shift-tab"] => PreviousPane Hidden "" "go to the list before",
        ["P"] => PickUp Hidden "" "take a call that rings in your group",
        ["f"] => Forward Idle "forward" "send calls elsewhere instead of letting them ring here",
        ["z"] => DoNotDisturb Idle "dnd" "do not disturb: refuse all calls as busy, or no more",
        ["u"] => Accounts Idle "accounts" "the accounts, and why one is not reachable",
        ["b"] => Contacts Idle "contacts" "the contacts, and who of them is on the phone",
        ["w"] => Write Hidden "" "texts to others and from them; write one to whom the cursor is on",
        ["g"] => Log Idle "log" "what happened",
        ["]"] => SoundUp Hidden "" "sound louder by 3 dB",
        ["["] => SoundDown Hidden "" "sound quieter by 3 dB",
        ["}"] => MicUp Hidden "" "microphone louder by 3 dB",
        ["{"] => MicDown Hidden "" "microphone quieter by 3 dB",
        [":"] => CommandLine Always "command" "open the command line",
    }
    Dial {
        ["enter"] => Submit Always "call" "call what is typed",
        ["esc"] => Back Always "back" "leave the line, keep the text",
        ["tab"] => NextAccount Accounts "account" "take the suggestion, or call from the next account",
    }
    Command {
        ["enter"] => Submit Always "run" "run the command",
        ["esc"] => Back Always "back" "leave the line",
        ["tab"] => Complete Always "complete" "complete the word",
    }
    Transfer {
        ["enter"] => Submit Always "transfer" "transfer the call to what is typed",
        ["esc"] => Back Always "back" "leave the line, keep the call",
    }
    Forward {
        ["enter"] => Submit Always "set" "forward to what is typed; nothing typed: no more",
        ["tab"] => NextRule Always "when" "all calls, while busy, or when nobody answers",
        ["esc"] => Back Always "back" "leave all as it is",
    }
    Connect {
        ["enter"] => Submit Always "connect" "connect both; your part of the calls ends",
        ["esc"] => Back Always "back" "keep both calls",
    }
    Edit {
        ["up", "ctrl-p"] => Older Always "older" "the line before in the history",
        ["down", "ctrl-n"] => Newer Hidden "" "the line after in the history",
        ["ctrl-u"] => ClearLine Always "clear" "remove all",
        ["ctrl-w"] => DeleteWord Hidden "" "remove the word before the cursor",
        ["ctrl-k"] => ClearToEnd Hidden "" "remove what is after the cursor",
        ["backspace", "ctrl-h"] => Backspace Hidden "" "remove the character before the cursor",
        ["delete", "ctrl-d"] => Delete Hidden "" "remove the character under the cursor",
        ["left", "ctrl-b"] => CursorLeft Hidden "" "one character to the left",
        ["right", "ctrl-f"] => CursorRight Hidden "" "one character to the right; at the end: take the suggestion",
        ["home", "ctrl-a"] => LineStart Hidden "" "to the start of the line",
        ["end", "ctrl-e"] => LineEnd Hidden "" "to the end of the line; at the end: take the suggestion",
        ["any-text"] => Insert Hidden "" "type; pasting works too",
    }
    Keypad {
        ["any-tone"] => Digit Always "send" "send the tone",
        ["esc", "enter"] => Back Always "back" "leave the keypad",
    }
    Simulation {
        ["left", "shift-tab"] => Previous Hidden "" "the figure before",
        ["right", "tab"] => Next Always "choose" "the next figure",
        ["up", "+"] => More Always "more" "make it worse",
        ["down", "-"] => Less Always "less" "make it better",
        ["esc", "n", "enter"] => Back Always "back" "leave the simulated network",
    }
    Ladder {
        ["enter"] => Open Always "read" "show the whole message",
        ["l"] => Back Hidden "" "back to where you were",
    }
    Message {
        ["left"] => Previous Always "before" "the message before",
        ["right"] => Next Always "next" "the next message",
        ["d"] => Compare Always "compare" "mark with * what the message of this kind before did not have",
        ["enter", "l"] => Back Hidden "" "back to the messages",
    }
    Find {
        ["/"] => Search Always "find" "look for text, in capitals or not",
        ["n"] => NextMatch Hidden "" "the next place that has it",
        ["N"] => PreviousMatch Hidden "" "the place before that has it",
        ["e"] => Export Always "save" "write all messages to a file: .pcapng, .pcap or .txt",
        ["y"] => Copy Always "copy" "give the message to the terminal's clipboard, secrets masked",
        [":"] => CommandLine Hidden "" "open the command line, for one as `filter INVITE`",
    }
    Search {
        ["enter"] => Submit Always "find" "find what is typed",
        ["esc"] => Back Always "back" "leave the line",
    }
    Export {
        ["enter"] => Submit Always "save" "write the file; --secrets before its name masks nothing",
        ["esc"] => Back Always "back" "leave the line, nothing is written to any file",
    }
    Details {
        ["enter"] => Back Hidden "" "back to the call",
    }
    Quality {
        ["space"] => Freeze Always "freeze" "stop and go on",
        ["left"] => Earlier Always "earlier" "look back in time",
        ["right"] => Later Always "later" "look forward in time",
        ["esc", "q"] => Back Always "back" "back to the call",
    }
    Accounts {
        ["l"] => Messages Always "messages" "what was said to register the selected account",
        ["enter"] => Open Always "register" "register the selected account now, or take it off",
        ["i"] => Details Always "details" "all that is known of the selected account",
        ["u"] => Back Hidden "" "back to the main screen",
    }
    Account {
        ["l"] => Messages Always "messages" "what was said to register it",
        ["enter"] => Open Always "register" "register the account now, or take it off",
        ["i"] => Back Hidden "" "back to the accounts",
    }
    Contacts {
        ["enter"] => Open Always "call" "call the selected contact",
        ["up"] => Up Hidden "" "one line up",
        ["down"] => Down Hidden "" "one line down",
        ["pageup"] => PageUp Hidden "" "one page up",
        ["pagedown"] => PageDown Hidden "" "one page down",
        ["tab"] => NextNumber Always "number" "another number of the contact",
        ["f2"] => AddContact Always "add" "remember somebody",
        ["f3"] => EditContact Hidden "" "remember another number of the contact",
        ["f4"] => RenameContact Hidden "" "call the contact by another name",
        ["f10"] => WatchContact Always "watch" "show whether the contact is on the phone, or not any more",
        ["ctrl-x"] => RemoveContact Hidden "" "forget the contact",
        ["esc"] => Back Always "back" "back to the main screen",
    }
    Log {
        ["g"] => Back Hidden "" "back to the main screen",
    }
    Texts {
        ["enter", "w"] => Write Always "write" "write a text",
        ["up", "k"] => Up Always "other" "the one before",
        ["down", "j"] => Down Hidden "" "the next one",
    }
    Text {
        ["enter"] => Submit Always "send" "send the text",
        ["esc"] => Back Always "back" "leave the line, keep the text",
    }
    Help {
        ["?", "f1"] => Back Hidden "" "back to where you were",
    }
    Scroll {
        ["esc"] => Back Page "back" "one step back",
        ["up", "k"] => Up Page "up" "one line up",
        ["down", "j"] => Down Page "down" "one line down",
        ["pageup", "ctrl-b"] => PageUp Hidden "" "one page up",
        ["pagedown", "ctrl-f"] => PageDown Hidden "" "one page down",
        ["home"] => Top Hidden "" "to the start",
        ["end"] => Bottom Hidden "" "to the end",
    }
    Global {
        ["?", "f1"] => Help Always "help" "all keys and commands",
        ["f4"] => Mute Hidden "" "switch the microphone off or on, while typing too",
        ["f9"] => HangUp Hidden "" "end the selected call, while typing too",
        ["ctrl-q", "ctrl-c"] => Quit Idle "quit" "hang up, unregister and leave",
        ["ctrl-l"] => Repaint Hidden "" "draw the screen anew",
        ["ctrl-z"] => Suspend Hidden "" "stop the program until `fg`; not while a call is there",
    }
}
