//! Commands as lines of text: the words of the screen's command line, which programs write to the standard input of a phone
//! without a screen.
use crate::base::id::{AccountId, CallNumber};
use crate::ua::command::{Command, Rejection, Wish};
use crate::ua::contacts::{Change, Number};
use crate::ua::handling::When;
use crate::ua::snapshot::{AccountView, CallState, CallView, Snapshot};
use std::time::Duration;

/// How far a gain goes \[dB\].
pub const GAIN_LIMIT: f32 = 40.0;

/// One word.
#[derive(Debug)]
pub struct Word {
    pub name: &'static str,
    /// As the help shows them; optional ones in brackets.
    pub arguments: &'static str,
    pub description: &'static str,
}

impl Word {
    pub const fn new(name: &'static str, arguments: &'static str, description: &'static str) -> Self {
        Self { name, arguments, description }
    }
}

/// All words of the agent, in the order of the help.
pub const WORDS: &[Word] = &[
    Word::new("call", "TARGET", "call a number, user@host or URI"),
    Word::new("call-private", "TARGET", "call without saying who calls"),
    Word::new("call-open", "TARGET", "call and say who calls"),
    Word::new("answer", "", "answer the call that rings"),
    Word::new("busy", "", "refuse the call that rings: busy"),
    Word::new("decline", "", "refuse the call that rings: declined"),
    Word::new("ignore", "", "stop ringing, let the caller wait"),
    Word::new("follow", "", "call the new target the other side named"),
    Word::new("hangup", "[CALL]", "end the call"),
    Word::new("hold", "", "hold the call"),
    Word::new("resume", "", "take the call back"),
    Word::new("switch", "[CALL]", "talk on the other call, or on the one with this number"),
    Word::new("join", "[CALL | all]", "talk with both calls at once: they hear each other"),
    Word::new("split", "[CALL]", "take a call out of the conference; it is held"),
    Word::new("record", "[FILE | off]", "record the call, or stop"),
    Word::new("transfer", "TARGET", "let the other side call somebody else in your place"),
    Word::new("connect", "[CALL]", "connect the other side with that of your other call"),
    Word::new("forward", "WHEN TARGET [SECONDS]", "send calls elsewhere: always, busy, noanswer; forward off"),
    Word::new("dnd", "[on|off]", "do not disturb: refuse all calls as busy"),
    Word::new("intercom", "TARGET", "call somebody whose phone shall answer at once"),
    Word::new("park", "[SLOT]", "let the call wait at the server"),
    Word::new("unpark", "SLOT", "take a call back that waits there"),
    Word::new("pickup", "[NUMBER]", "take a call that rings at another phone, or in your group"),
    Word::new("contact add", "NAME [LABEL=]NUMBER", "remember a number of somebody"),
    Word::new("contact rename", "NAME to NAME", "call somebody by another name"),
    Word::new("contact drop", "NAME NUMBER", "forget one of several numbers"),
    Word::new("contact remove", "NAME", "forget somebody"),
    Word::new("contact watch", "NAME", "show whether they are on the phone"),
    Word::new("contact unwatch", "NAME", "do not show it any more"),
    Word::new("contact speed", "NAME KEY|off", "what is typed to call them"),
    Word::new("digits", "TONES", "send tones: 0-9 * # A-D; a comma waits a second, a semicolon for you"),
    Word::new("continue", "", "send the tones that wait for you"),
    Word::new("mute", "", "switch the microphone off"),
    Word::new("unmute", "", "switch the microphone on"),
    Word::new("gain", "MIC SOUND", "gain of microphone and sound [dB]"),
    Word::new("microphone", "DEVICE", "speak through another device"),
    Word::new("speaker", "DEVICE", "hear through another device"),
    Word::new("reload", "", "read the configuration again: accounts, devices, screen"),
    Word::new("register", "[ACCOUNT]", "register one account or all"),
    Word::new("unregister", "[ACCOUNT]", "take one account or all off"),
    Word::new("plan", "NUMBER", "what the dial plan makes of a number"),
    Word::new("message", "TARGET TEXT", "send a text to somebody"),
    Word::new("presence", "STATE [NOTE]", "what others see of you: free, away or busy, and words of your own"),
    Word::new("mailbox", "", "call the mailbox"),
    Word::new("query", "TARGET", "ask with OPTIONS whether somebody is there"),
];

/// What a line is about when it does not say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chosen {
    /// The call; `None`: the one in focus.
    pub call: Option<CallNumber>,
    /// Whom calls are placed from.
    pub account: Option<AccountId>,
}

/// What a line asks for.
///
/// # Errors
/// Why it cannot be done, in a sentence.
pub fn commands(snapshot: &Snapshot, chosen: Chosen, line: &str) -> Result<Vec<Command>, String> {
    let mut words = line.split_whitespace();
    let Some(name) = words.next() else { return Ok(Vec::new()) };
    let arguments: Vec<&str> = words.collect();
    let here = Here { snapshot, chosen };
    let command = match (name, arguments.as_slice()) {
        ("call", [_, ..]) => Command::Call { account: chosen.account, target: arguments.join(" ") },
        ("message", [target, _, ..]) => {
            // The text as it was typed, blanks and all.
            let rest = line.trim_start().strip_prefix(name).unwrap_or_default().trim_start();
            let text = rest.strip_prefix(target).unwrap_or_default().trim().to_owned();
            Command::Text { account: chosen.account, target: (*target).to_owned(), text }
        }
        ("presence", [state, note @ ..]) => {
            let wish = match *state {
                "free" | "auto" => Wish::Auto,
                "away" => Wish::Away,
                "busy" => Wish::Busy,
                other => return Err(format!("{other}: what others see is free, away or busy.")),
            };
            Command::Presence { wish, note: note.join(" ") }
        }
        ("mailbox", []) => Command::Mailbox(chosen.account),
        ("query", [_, ..]) => Command::Query { account: chosen.account, target: arguments.join(" ") },
        (name @ ("call-private" | "call-open"), [_, ..]) => {
            let private = name == "call-private";
            Command::CallAs { account: chosen.account, target: arguments.join(" "), private }
        }
        ("answer", []) => Command::Answer(here.ringing()?),
        ("busy", []) => Command::Reject(here.ringing()?, Rejection::Busy),
        ("decline", []) => Command::Reject(here.ringing()?, Rejection::Decline),
        ("ignore", []) => Command::Ignore(here.ringing()?),
        ("follow", []) => Command::Follow(here.redirected()?, true),
        ("hangup", []) => Command::HangUp(here.call().ok_or("There is no call.")?.number),
        ("hangup", [number]) => Command::HangUp(here.numbered(number)?),
        ("hold", []) => Command::Hold(here.heard("Only a call that is talked on can be held.")?),
        ("resume", []) => Command::Resume(here.heard("Only a call that is talked on can be held.")?),
        ("switch", []) => Command::Switch(here.other().ok_or("There is no other call to swap to.")?),
        ("switch", [number]) => Command::Switch(here.numbered(number)?),
        ("join", names) => return here.join(names),
        ("split", names) => Command::Split(here.split(names)?),
        ("record", ["off"]) => Command::StopRecording(here.talked("No call is recorded.")?),
        ("record", []) => {
            let call = here.talked("Only a call that is up can be recorded.")?;
            if here.call().is_some_and(|call| call.recording.is_some()) {
                Command::StopRecording(call)
            } else {
                Command::Record(call, None)
            }
        }
        ("record", [_, ..]) => {
            let call = here.talked("Only a call that is up can be recorded.")?;
            Command::Record(call, Some(arguments.join(" ")))
        }
        ("transfer", [_, ..]) => {
            let call = here.talked("Only a call that is talked on can be transferred.")?;
            Command::Transfer { call, target: arguments.join(" ") }
        }
        ("connect", []) => {
            let call = here.talked("Only a call that is talked on can be connected.")?;
            Command::Connect(call, here.other().ok_or("There is no other call to connect with.")?)
        }
        ("connect", [number]) => {
            let call = here.talked("Only a call that is talked on can be connected.")?;
            Command::Connect(call, here.numbered(number)?)
        }
        ("forward", arguments @ [_, ..]) => forward(chosen.account, arguments)?,
        ("dnd", []) => {
            let mut accounts = here.snapshot.accounts.iter().filter(|a| chosen.account.is_none_or(|id| a.id == id));
            Command::DoNotDisturb { account: chosen.account, on: accounts.any(|a| !a.do_not_disturb) }
        }
        ("dnd", [on @ ("on" | "off")]) => Command::DoNotDisturb { account: chosen.account, on: *on == "on" },
        ("intercom", [_, ..]) => Command::Intercom { account: chosen.account, target: arguments.join(" ") },
        ("park", slot @ ([] | [_])) => {
            let call = here.talked("Only a call that is talked on can be parked.")?;
            Command::Park { call, slot: slot.first().map(|slot| (*slot).to_owned()) }
        }
        ("unpark", [slot]) => Command::Unpark { account: chosen.account, slot: (*slot).to_owned() },
        ("pickup", []) => Command::PickUp { account: chosen.account, whom: None },
        ("pickup", [_, ..]) => Command::PickUp { account: chosen.account, whom: Some(arguments.join(" ")) },
        ("contact", [what, who @ ..]) => Command::Contact(contact(what, who)?),
        ("plan", [_, ..]) => Command::Plan { account: chosen.account, target: arguments.join(" ") },
        ("digits", [_, ..]) => {
            let tones: String = arguments.concat().to_ascii_uppercase();
            if !tones.chars().all(|c| matches!(c, '0'..='9' | 'A'..='D' | '*' | '#' | ',' | ';')) {
                return Err(format!("{tones}: tones are 0-9, *, # and A-D; a comma and a semicolon wait."));
            }
            Command::Digits(here.talked("Tones can be sent only in a call.")?, tones)
        }
        ("microphone" | "speaker", [_, ..]) => {
            Command::Device { microphone: name == "microphone", name: arguments.join(" ") }
        }
        ("reload", []) => Command::Reload,
        ("continue", []) => Command::Continue(here.talked("No tones wait to be sent.")?),
        ("mute", []) => Command::Mute(true),
        ("unmute", []) => Command::Mute(false),
        ("gain", [capture, playback]) => {
            let read = |text: &str| text.parse::<f32>().ok().filter(|gain| gain.abs() <= GAIN_LIMIT);
            match (read(capture), read(playback)) {
                (Some(capture), Some(playback)) => Command::Gain { capture, playback },
                _ => return Err(format!("gain takes two numbers from -{GAIN_LIMIT} to {GAIN_LIMIT} dB: gain 0 6")),
            }
        }
        ("register", names) => return here.accounts(names, |a| Command::Register(a.id)),
        ("unregister", names) => return here.accounts(names, |a| Command::Unregister(a.id)),
        _ => return Err(misused(WORDS, name)),
    };
    Ok(vec![command])
}

/// What is to become of the contacts.
fn contact(what: &str, who: &[&str]) -> Result<Change, String> {
    let name = |words: &[&str]| words.join(" ");
    Ok(match (what, who) {
        ("add", [who @ .., last]) if !who.is_empty() => {
            let (label, address) =
                last.split_once('=').filter(|(label, _)| !label.contains([':', '@', ';'])).unwrap_or(("", last));
            Change::Add { name: name(who), number: Number { address: address.to_owned(), label: label.to_owned() } }
        }
        ("rename", [_, .., _]) => {
            // Names have several words.
            let middle = who.iter().rposition(|word| *word == "to").filter(|at| (1..who.len() - 1).contains(at));
            let middle =
                middle.ok_or("contact rename takes a name, to, and another name: contact rename bob to Bob Ross")?;
            Change::Rename { name: name(&who[..middle]), to: name(&who[middle + 1..]) }
        }
        ("drop", [who @ .., last]) if !who.is_empty() => Change::Drop { name: name(who), address: (*last).to_owned() },
        ("remove", [_, ..]) => Change::Remove(name(who)),
        ("watch", [_, ..]) => Change::Watch { name: name(who), on: true },
        ("unwatch", [_, ..]) => Change::Watch { name: name(who), on: false },
        ("speed", [who @ .., key]) if !who.is_empty() => {
            Change::Speed { name: name(who), speed: (*key != "off").then(|| (*key).to_owned()) }
        }
        _ => return Err(misused(WORDS, &format!("contact {what}"))),
    })
}

/// `always 1003`, `noanswer 604 25`, `busy off`, `off`.
fn forward(account: Option<AccountId>, arguments: &[&str]) -> Result<Command, String> {
    let command = |when, to: Option<String>, after| Command::Forward { account, when, to, after };
    let (when, rest) = match arguments {
        ["off"] => return Ok(command(None, None, None)),
        [when, rest @ ..] => (When::ALL.into_iter().find(|known| known.word() == *when), rest),
        [] => (None, arguments),
    };
    let when = when.ok_or("forward takes always, busy or noanswer and a target, or off: forward busy 1003")?;
    match (when, rest) {
        (_, ["off"]) => Ok(command(Some(when), None, None)),
        (When::NoAnswer, [target, seconds]) => {
            let after = seconds.parse().ok().filter(|after| (1..=170).contains(after)).map(Duration::from_secs);
            let after = after.ok_or("a call rings 1 to 170 seconds before it is forwarded: forward noanswer 604 25")?;
            Ok(command(Some(when), Some((*target).to_owned()), Some(after)))
        }
        (_, [target]) => Ok(command(Some(when), Some((*target).to_owned()), None)),
        _ => Err(format!("forward {} takes a target or off.", when.word())),
    }
}

/// Whether `line` begins with one of these words.
pub fn knows(line: &str) -> bool {
    let first = |word: &Word| word.name.split(' ').next().unwrap_or(word.name);
    line.split_whitespace().next().is_some_and(|name| WORDS.iter().any(|word| first(word) == name))
}

/// What to say of a word with the wrong arguments, or of no word at all.
pub fn misused(words: &[Word], name: &str) -> String {
    match words.iter().find(|word| word.name == name) {
        Some(word) if word.arguments.is_empty() => format!("{name} stands alone."),
        Some(word) => format!("{name} takes {}.", word.arguments),
        None => format!("{name}: no such command; Tab completes, ? lists all."),
    }
}

/// The account of this name.
///
/// # Errors
/// Which names there are.
pub fn account<'s>(snapshot: &'s Snapshot, name: &str) -> Result<&'s AccountView, String> {
    snapshot.accounts.iter().find(|a| a.name == name).ok_or_else(|| {
        let names: Vec<&str> = snapshot.accounts.iter().map(|a| a.name.as_str()).collect();
        format!("There is no account {name}; there is {}.", names.join(", "))
    })
}

struct Here<'s> {
    snapshot: &'s Snapshot,
    chosen: Chosen,
}

impl Here<'_> {
    fn live(&self) -> impl Iterator<Item = &CallView> {
        self.snapshot.calls.iter().filter(|call| !matches!(call.state, CallState::Ended(_)))
    }

    fn call(&self) -> Option<&CallView> {
        let number = self.chosen.call.or(self.snapshot.focus)?;
        self.live().find(|call| call.number == number)
    }

    /// An incoming call nobody answered, the latest first.
    fn ringing(&self) -> Result<CallNumber, String> {
        let rings =
            |call: &&CallView| !call.outgoing && call.answered.is_none() && !matches!(call.state, CallState::Ending);
        let of = self
            .live()
            .filter(rings)
            .max_by_key(|call| (self.chosen.call == Some(call.number), !call.ignored, call.number));
        of.map(|call| call.number).ok_or_else(|| "Nobody calls.".into())
    }

    fn redirected(&self) -> Result<CallNumber, String> {
        let asks = |call: &&CallView| matches!(call.state, CallState::Redirected { .. });
        self.live().find(asks).map(|call| call.number).ok_or_else(|| "No call was sent to another target.".into())
    }

    fn talked(&self, otherwise: &str) -> Result<CallNumber, String> {
        let call = self.call().filter(|call| call.state == CallState::Established);
        call.map(|call| call.number).ok_or_else(|| otherwise.to_owned())
    }

    /// The same, or one that is heard before it is answered.
    fn heard(&self, otherwise: &str) -> Result<CallNumber, String> {
        let early = |call: &&CallView| call.outgoing && matches!(call.state, CallState::Ringing { early_media: true });
        let call = self.call().filter(early).map(|call| call.number);
        call.map_or_else(|| self.talked(otherwise), Ok)
    }

    /// The established call beside the one meant; of several the next one, so that repeating it comes by all.
    fn other(&self) -> Option<CallNumber> {
        let this = self.call().map(|call| call.number);
        let up = self.live().filter(|c| c.state == CallState::Established).map(|c| c.number);
        up.filter(|number| Some(*number) != this).min_by_key(|number| (Some(*number) < this, *number))
    }

    /// The call meant becomes one of a conference, with the next call that is not, or with those that are named.
    fn join(&self, names: &[&str]) -> Result<Vec<Command>, String> {
        let call = self.talked("Only calls that are up can be joined.")?;
        let inside = self.live().any(|c| c.number == call && c.in_conference);
        let outside = |c: &&CallView| c.state == CallState::Established && c.number != call;
        let mut others: Vec<&CallView> = self.live().filter(outside).filter(|c| !(inside && c.in_conference)).collect();
        others.sort_by_key(|c| (!c.in_conference, c.number));
        let none = || "There is no other call to join.".to_owned();
        match names {
            [] => Ok(vec![Command::Join(call, others.first().ok_or_else(none)?.number)]),
            ["all"] if others.is_empty() => Err(none()),
            ["all"] => {
                // Those of the conference are in it once one of them is.
                let mut met = false;
                others.retain(|c| !c.in_conference || !std::mem::replace(&mut met, true));
                Ok(others.into_iter().map(|c| Command::Join(call, c.number)).collect())
            }
            [number] => Ok(vec![Command::Join(call, self.numbered(number)?)]),
            _ => Err(misused(WORDS, "join")),
        }
    }

    fn split(&self, names: &[&str]) -> Result<CallNumber, String> {
        match names {
            [] => {
                self.call().filter(|c| c.in_conference).map(|c| c.number).ok_or("The call is in no conference.".into())
            }
            [number] => self.numbered(number),
            _ => Err(misused(WORDS, "split")),
        }
    }

    fn numbered(&self, number: &str) -> Result<CallNumber, String> {
        let known = self.live().find(|call| call.number.to_string() == number);
        known.map(|call| call.number).ok_or_else(|| format!("There is no call number {number}."))
    }

    fn accounts(&self, names: &[&str], command: fn(&AccountView) -> Command) -> Result<Vec<Command>, String> {
        match names {
            [] => Ok(self.snapshot.accounts.iter().map(command).collect()),
            [name] => Ok(vec![command(account(self.snapshot, name)?)]),
            _ => Err("Name one account, or none for all.".into()),
        }
    }
}
