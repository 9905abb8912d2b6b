//! The command line behind `:`: its words, what they do and how they are completed.
use super::{messages, pages, quit, simulation};
use crate::tui::action::Effect;
use crate::tui::keymap::Intent;
use crate::tui::model::{Knob, Model, Page};
use crate::ua::command::Command;
use crate::ua::words::{self, Chosen, Word};

/// The words that concern the screen alone; before them come those of the phone.
const SCREEN: &[Word] = &[
    Word::new("account", "ACCOUNT", "place calls from this account"),
    Word::new("network", "FIGURE VALUE", "simulated loss [%], jitter [ms], delay [ms], burst [packets]"),
    Word::new("theme", "NAME", "dark, light, high-contrast or mono"),
    EXPORT,
    Word::new("filter", "[METHOD]", "show only messages of this method, or all again"),
    Word::new("messages", "", "all messages of the call"),
    Word::new("quality", "", "the quality page"),
    Word::new("details", "", "all that is known of the call"),
    Word::new("accounts", "", "the accounts page"),
    Word::new("log", "", "the log page"),
    Word::new("help", "", "all keys and commands"),
    Word::new("quit", "", "hang up, unregister and leave"),
];

const EXPORT: Word =
    Word::new("export", "[--secrets] FILE", "write all messages into FILE, .pcapng/.pcap/.txt; FILE! overwrites");

/// What to say where the name of the file is missing.
pub fn words_of_export() -> String {
    format!("export takes {}: export call.pcapng", EXPORT.arguments)
}

/// All words, in the order of the help page.
pub fn all() -> impl Iterator<Item = &'static Word> {
    words::WORDS.iter().chain(SCREEN)
}

/// Carries out one line. What cannot be done is said in one sentence.
pub fn run(model: &mut Model, text: &str) -> Vec<Effect> {
    let mut words = text.split_whitespace();
    let Some(name) = words.next() else { return Vec::new() };
    let arguments: Vec<&str> = words.collect();
    let done = if words::knows(name) {
        let chosen = Chosen { call: model.selected_call().map(|call| call.number), account: model.dial_account };
        words::commands(&model.snapshot, chosen, text).map(|commands| commands.into_iter().map(Effect::Send).collect())
    } else {
        execute(model, name, &arguments)
    };
    match done {
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
        ("account", [name]) => {
            model.dial_account = Some(words::account(&model.snapshot, name)?.id);
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
        ("export", [_, ..]) => messages::export(model, &arguments.join(" ")),
        ("messages", []) => Ok(messages::enter(model)),
        ("filter", []) => {
            model.messages.method = None;
            Ok(Vec::new())
        }
        ("filter", [method]) => {
            if model.page != Page::Messages {
                messages::enter(model);
            }
            model.messages.method = Some(method.to_ascii_uppercase());
            model.messages.at = None;
            Ok(Vec::new())
        }
        ("quality", []) => Ok(pages::go(model, Intent::Quality)),
        ("details", []) => Ok(pages::go(model, Intent::Details)),
        ("accounts", []) => Ok(pages::go(model, Intent::Accounts)),
        ("log", []) => Ok(pages::go(model, Intent::Log)),
        ("help", []) => Ok(pages::go(model, Intent::Help)),
        ("quit", []) => Ok(quit(model)),
        _ => Err(words::misused(SCREEN, name)),
    }
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
        [] => all().map(|word| word.name.to_owned()).collect(),
        ["register" | "unregister" | "account"] => model.snapshot.accounts.iter().map(|a| a.name.clone()).collect(),
        ["microphone"] => model.snapshot.devices.found.microphones.clone(),
        ["speaker"] => model.snapshot.devices.found.speakers.clone(),
        ["theme"] => model.themes.iter().map(|theme| theme.name.to_owned()).collect(),
        ["network"] => Knob::ALL.into_iter().map(|knob| knob_name(knob).to_owned()).collect(),
        ["switch" | "hangup" | "connect" | "join" | "split"] => {
            model.live_calls().map(|call| call.number.to_string()).collect()
        }
        ["call" | "query" | "transfer"] => {
            model.recent_calls().take(50).map(|call| call.peer_address.clone()).collect()
        }
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
