//! The command line behind `:`: its words, what they do and how they are completed.
use super::calls::{self, GAIN_LIMIT};
use super::{pages, quit, simulation};
use crate::tui::action::Effect;
use crate::tui::keymap::Intent;
use crate::tui::keymap::key::is_tone;
use crate::tui::model::{Knob, Model};
use crate::ua::command::Command;
use crate::ua::snapshot::{AccountView, CallState};

/// One word of the command line.
#[derive(Debug)]
pub struct Word {
    pub name: &'static str,
    /// As the help page shows them; optional ones in brackets.
    pub arguments: &'static str,
    pub description: &'static str,
}

const fn word(name: &'static str, arguments: &'static str, description: &'static str) -> Word {
    Word { name, arguments, description }
}

/// All words, in the order of the help page.
pub const WORDS: &[Word] = &[
    word("call", "TARGET", "call a number, user@host or URI"),
    word("answer", "", "answer the call that rings"),
    word("busy", "", "refuse the call that rings: busy"),
    word("decline", "", "refuse the call that rings: declined"),
    word("ignore", "", "stop ringing, let the caller wait"),
    word("hangup", "", "end the selected call"),
    word("hold", "", "hold the selected call"),
    word("resume", "", "take the selected call back"),
    word("switch", "[CALL]", "talk on the other call, or on the one with this number"),
    word("digits", "TONES", "send tones: 0-9 * # A-D"),
    word("mute", "", "switch the microphone off"),
    word("unmute", "", "switch the microphone on"),
    word("gain", "MIC SOUND", "gain of microphone and sound [dB]"),
    word("register", "[ACCOUNT]", "register one account or all"),
    word("unregister", "[ACCOUNT]", "take one account or all off"),
    word("account", "ACCOUNT", "place calls from this account"),
    word("query", "TARGET", "ask with OPTIONS whether somebody is there"),
    word("network", "FIGURE VALUE", "simulated loss [%], jitter [ms], delay [ms], burst [packets]"),
    word("theme", "NAME", "dark, light, high-contrast or mono"),
    word("quality", "", "the quality page"),
    word("details", "", "all that is known of the call"),
    word("accounts", "", "the accounts page"),
    word("log", "", "the log page"),
    word("help", "", "all keys and commands"),
    word("quit", "", "hang up, unregister and leave"),
];

/// Carries out one line. What cannot be done is said in one sentence.
pub fn run(model: &mut Model, text: &str) -> Vec<Effect> {
    let mut words = text.split_whitespace();
    let Some(name) = words.next() else { return Vec::new() };
    let arguments: Vec<&str> = words.collect();
    match execute(model, name, &arguments) {
        Ok(effects) => effects,
        Err(sentence) => {
            model.notify(sentence, true);
            Vec::new()
        }
    }
}

fn execute(model: &mut Model, name: &str, arguments: &[&str]) -> Result<Vec<Effect>, String> {
    let send = |command| Ok(vec![Effect::Send(command)]);
    match (name, arguments) {
        ("call", [_, ..]) => send(Command::Call { account: model.dial_account, target: arguments.join(" ") }),
        ("query", [_, ..]) => send(Command::Query { account: model.dial_account, target: arguments.join(" ") }),
        ("answer", []) => reply(model, Intent::Answer),
        ("busy", []) => reply(model, Intent::RejectBusy),
        ("decline", []) => reply(model, Intent::Decline),
        ("ignore", []) => reply(model, Intent::Ignore),
        ("hangup", []) => Ok(calls::change(model, Intent::HangUp)),
        ("hold" | "resume", []) => match model.selected_call().filter(|c| c.state == CallState::Established) {
            Some(call) if name == "hold" => send(Command::Hold(call.number)),
            Some(call) => send(Command::Resume(call.number)),
            None => Err("Only a call that is talked on can be held.".into()),
        },
        ("switch", []) => Ok(calls::change(model, Intent::Swap)),
        ("switch", [number]) => {
            let known = model.live_calls().find(|call| call.number.to_string() == *number);
            match known.map(|call| call.number) {
                Some(call) => send(Command::Switch(call)),
                None => Err(format!("There is no call number {number}.")),
            }
        }
        ("digits", [_, ..]) => {
            let tones: String = arguments.concat().to_ascii_uppercase();
            let call = model.selected_call().filter(|c| c.state == CallState::Established).map(|c| c.number);
            match call {
                _ if !tones.chars().all(is_tone) => Err(format!("{tones}: tones are 0-9, *, # and A-D.")),
                Some(call) => send(Command::Digits(call, tones)),
                None => Err("Tones can be sent only in a call.".into()),
            }
        }
        ("mute", []) => send(Command::Mute(true)),
        ("unmute", []) => send(Command::Mute(false)),
        ("gain", [capture, playback]) => {
            let read = |text: &str| text.parse::<f32>().ok().filter(|gain| gain.abs() <= GAIN_LIMIT);
            match (read(capture), read(playback)) {
                (Some(capture), Some(playback)) => send(Command::Gain { capture, playback }),
                _ => Err(format!("gain takes two numbers from -{GAIN_LIMIT} to {GAIN_LIMIT} dB: gain 0 6")),
            }
        }
        ("register", _) => accounts(model, arguments, |a| Command::Register(a.id)),
        ("unregister", _) => accounts(model, arguments, |a| Command::Unregister(a.id)),
        ("account", [name]) => {
            model.dial_account = Some(find_account(model, name)?.id);
            model.notify(format!("Calls are placed from {name} now."), false);
            Ok(Vec::new())
        }
        ("network", [figure, value]) => {
            let Some((asked, _)) = model.snapshot.simulation else {
                return Err("The network is a real one: only the demonstration simulates it.".into());
            };
            let knob = Knob::ALL.into_iter().find(|knob| knob_name(*knob) == *figure);
            match (knob, value.parse::<f64>()) {
                (Some(knob), Ok(value)) => send(Command::Impair(simulation::with(asked, knob, value))),
                _ => Err("network takes loss, jitter, delay or burst and a number: network loss 5".into()),
            }
        }
        ("theme", [name]) => match model.themes.iter().find(|theme| theme.name == *name) {
            Some(theme) => {
                model.theme = theme.clone();
                Ok(vec![Effect::Repaint])
            }
            None => Err(format!("{name}: themes are dark, light, high-contrast and mono.")),
        },
        ("quality", []) => Ok(pages::go(model, Intent::Quality)),
        ("details", []) => Ok(pages::go(model, Intent::Details)),
        ("accounts", []) => Ok(pages::go(model, Intent::Accounts)),
        ("log", []) => Ok(pages::go(model, Intent::Log)),
        ("help", []) => Ok(pages::go(model, Intent::Help)),
        ("quit", []) => Ok(quit(model)),
        _ => Err(match WORDS.iter().find(|word| word.name == name) {
            Some(word) if word.arguments.is_empty() => format!("{name} stands alone."),
            Some(word) => format!("{name} takes {}.", word.arguments),
            None => format!("{name}: no such command; Tab completes, ? lists all."),
        }),
    }
}

fn reply(model: &mut Model, intent: Intent) -> Result<Vec<Effect>, String> {
    if model.answerable().is_none() {
        return Err("Nobody calls.".into());
    }
    Ok(calls::reply(model, intent))
}

fn accounts(model: &Model, names: &[&str], command: fn(&AccountView) -> Command) -> Result<Vec<Effect>, String> {
    match names {
        [] => Ok(model.snapshot.accounts.iter().map(|a| Effect::Send(command(a))).collect()),
        [name] => Ok(vec![Effect::Send(command(find_account(model, name)?))]),
        _ => Err("Name one account, or none for all.".into()),
    }
}

fn find_account<'m>(model: &'m Model, name: &str) -> Result<&'m AccountView, String> {
    let accounts = &model.snapshot.accounts;
    accounts.iter().find(|a| a.name == name).ok_or_else(|| {
        let names: Vec<&str> = accounts.iter().map(|a| a.name.as_str()).collect();
        format!("There is no account {name}; there is {}.", names.join(", "))
    })
}

fn knob_name(knob: Knob) -> &'static str {
    match knob {
        Knob::Loss => "loss",
        Knob::Jitter => "jitter",
        Knob::Delay => "delay",
        Knob::Burst => "burst",
    }
}

/// What the last word of the line could become.
pub fn candidates(model: &Model, text: &str) -> Vec<String> {
    let last = text.rsplit(' ').next().unwrap_or_default();
    let before: Vec<&str> = text.strip_suffix(last).unwrap_or_default().split_whitespace().collect();
    let all: Vec<String> = match before.as_slice() {
        [] => WORDS.iter().map(|word| word.name.to_owned()).collect(),
        ["register" | "unregister" | "account"] => model.snapshot.accounts.iter().map(|a| a.name.clone()).collect(),
        ["theme"] => model.themes.iter().map(|theme| theme.name.to_owned()).collect(),
        ["network"] => Knob::ALL.into_iter().map(|knob| knob_name(knob).to_owned()).collect(),
        ["switch"] => model.live_calls().map(|call| call.number.to_string()).collect(),
        ["call" | "query"] => model.recent_calls().take(50).map(|call| call.peer_address.clone()).collect(),
        _ => Vec::new(),
    };
    let mut fitting: Vec<String> = Vec::new();
    for word in all.into_iter().filter(|word| word.starts_with(last)) {
        if !fitting.contains(&word) {
            fitting.push(word);
        }
    }
    fitting
}

/// The line completed as far as all candidates agree; a blank follows when there is one alone.
pub fn completed(model: &Model, text: &str) -> String {
    let fitting = candidates(model, text);
    let Some(first) = fitting.first() else { return text.to_owned() };
    let agree = |prefix: &str| fitting.iter().all(|word| word.starts_with(prefix));
    let ends = first.char_indices().map(|(at, c)| at + c.len_utf8());
    let common = ends.filter_map(|end| first.get(..end)).take_while(|prefix| agree(prefix)).last().unwrap_or_default();
    let last = text.rsplit(' ').next().unwrap_or_default();
    let start = text.strip_suffix(last).unwrap_or_default();
    format!("{start}{common}{}", if fitting.len() == 1 { " " } else { "" })
}
