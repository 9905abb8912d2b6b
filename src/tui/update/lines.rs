//! The dial line and the command line.
use super::{command, messages};
use crate::base::id::CallNumber;
use crate::tui::action::Effect;
use crate::tui::keymap::Intent;
use crate::tui::model::line::Line;
use crate::tui::model::{Model, Open, Page, Pane};
use crate::ua::command::Command;
use crate::ua::handling::When;
use crate::ua::snapshot::{CallState, CallView};

pub fn open(model: &mut Model, intent: Intent) -> Vec<Effect> {
    if model.page == Page::Messages && intent == Intent::CommandLine {
        model.open = Some(Open::Command);
        model.command.clear();
        return Vec::new();
    }
    model.page = Page::Main;
    model.popup = None;
    model.knob = None;
    model.open = Some(if intent == Intent::CommandLine { Open::Command } else { Open::Dial });
    if intent == Intent::CommandLine {
        model.command.clear();
    }
    Vec::new()
}

fn line(model: &mut Model) -> Option<&mut Line> {
    if model.page == Page::Contacts {
        (model.contact, model.number) = (0, 0);
        return Some(&mut model.filter);
    }
    match model.open? {
        Open::Dial => Some(&mut model.dial),
        Open::Command => Some(&mut model.command),
        Open::Transfer(_) => Some(&mut model.transfer),
        Open::Forward(_) => Some(&mut model.forward),
        Open::Search => Some(&mut model.messages.search),
        Open::Export => Some(&mut model.messages.file),
        Open::Text => Some(&mut model.text),
        Open::Connect(..) => None,
    }
}

pub fn edit(model: &mut Model, intent: Intent, typed: Option<char>) -> Vec<Effect> {
    let suggestion = (model.open_line() == Some(Open::Dial)).then(|| model.suggestion().map(str::to_owned)).flatten();
    let Some(line) = line(model) else { return Vec::new() };
    match (intent, typed) {
        (Intent::Insert, Some(c)) => line.insert(c),
        (Intent::Backspace, _) => line.backspace(),
        (Intent::Delete, _) => line.delete(),
        (Intent::DeleteWord, _) => line.delete_word(),
        (Intent::ClearLine, _) => line.clear(),
        (Intent::ClearToEnd, _) => line.clear_to_end(),
        (Intent::CursorLeft, _) => line.left(),
        (Intent::CursorRight | Intent::LineEnd, _) => match suggestion {
            Some(text) => line.set(&text),
            None if intent == Intent::LineEnd => line.end(),
            None => line.right(),
        },
        (Intent::LineStart, _) => line.start(),
        (Intent::Older, _) => line.older(),
        (Intent::Newer, _) => line.newer(),
        _ => {}
    }
    Vec::new()
}

/// Pasted text goes into the open line; without one it opens the dial line.
pub fn paste(model: &mut Model, text: &str) -> Vec<Effect> {
    let filtering = model.page == Page::Contacts;
    if !filtering && model.open_line().is_none() && (model.page != Page::Main || model.popup.is_some()) {
        return Vec::new();
    }
    if model.open.is_none() && !filtering {
        open(model, Intent::Dial);
    }
    if let Some(line) = line(model) {
        line.insert_text(text.trim());
        model.dirty = true;
    }
    Vec::new()
}

pub fn submit(model: &mut Model) -> Vec<Effect> {
    match model.open {
        Some(Open::Dial) => dial(model),
        Some(Open::Command) => {
            let text = model.command.submit();
            model.open = None;
            command::run(model, &text)
        }
        Some(Open::Search) => {
            model.open = None;
            messages::find(model, Intent::NextMatch)
        }
        Some(Open::Export) => {
            let text = model.messages.file.text().to_owned();
            model.open = None;
            messages::export(model, &text).unwrap_or_else(|sentence| {
                model.notify(sentence, true);
                Vec::new()
            })
        }
        Some(Open::Transfer(call)) => {
            if model.transfer.text().trim().is_empty() {
                return Vec::new();
            }
            let target = model.transfer.submit();
            model.open = None;
            send_if_up(model, &[call], Command::Transfer { call, target })
        }
        Some(Open::Forward(when)) => {
            let to = Some(model.forward.submit()).filter(|to| !to.is_empty());
            model.open = None;
            vec![Effect::Send(Command::Forward { account: model.dial_account, when: Some(when), to, after: None })]
        }
        Some(Open::Text) => super::texts::submit(model),
        Some(Open::Connect(held, other)) => {
            model.open = None;
            send_if_up(model, &[held, other], Command::Connect(held, other))
        }
        None => Vec::new(),
    }
}

/// Asks to whom the selected call shall be transferred.
pub fn transfer(model: &mut Model) -> Vec<Effect> {
    match model.selected_call().filter(is_up).map(|call| call.number) {
        Some(call) => {
            model.transfer.clear();
            model.open = Some(Open::Transfer(call));
        }
        None => model.notify("Only a call that is talked on can be transferred.", true),
    }
    Vec::new()
}

/// Asks where calls shall go; what holds now is in the line.
pub fn forward(model: &mut Model, when: When) -> Vec<Effect> {
    let Some(account) = model.calling_account() else {
        model.notify("There is no account whose calls could be forwarded.", true);
        return Vec::new();
    };
    let now = account.forwarding.target(when).unwrap_or_default().to_owned();
    model.forward.set(&now);
    model.open = Some(Open::Forward(when));
    Vec::new()
}

pub fn next_rule(model: &mut Model) -> Vec<Effect> {
    match model.open {
        Some(Open::Forward(When::Always)) => forward(model, When::Busy),
        Some(Open::Forward(When::Busy)) => forward(model, When::NoAnswer),
        _ => forward(model, When::Always),
    }
}

/// Asks whether the selected call and the other one shall be connected: the one on hold goes first.
pub fn connect(model: &mut Model) -> Vec<Effect> {
    let up = || model.live_calls().filter(is_up);
    let one = model.selected_call().filter(is_up);
    let other = one.and_then(|one| {
        let others = || up().filter(move |call| call.number != one.number);
        others().find(|call| call.held_by_us != one.held_by_us).or_else(|| others().next())
    });
    match one.zip(other) {
        Some((one, other)) if one.held_by_us => model.open = Some(Open::Connect(one.number, other.number)),
        Some((one, other)) => model.open = Some(Open::Connect(other.number, one.number)),
        None => model.notify("Two calls that are talked on or held can be connected; call the second one first.", true),
    }
    Vec::new()
}

fn is_up(call: &&CallView) -> bool {
    call.state == CallState::Established
}

/// A call may have ended while the line was open.
fn send_if_up(model: &mut Model, calls: &[CallNumber], command: Command) -> Vec<Effect> {
    if calls.iter().all(|number| model.call(*number).as_ref().is_some_and(is_up)) {
        return vec![Effect::Send(command)];
    }
    model.notify("The call is over.", true);
    Vec::new()
}

/// Calls what is typed. An empty line brings the last number back instead, to be looked at first.
fn dial(model: &mut Model) -> Vec<Effect> {
    if model.dial.text().trim().is_empty() {
        model.dial.clear();
        model.dial.older();
        return Vec::new();
    }
    let target = model.dial.submit();
    model.open = None;
    model.pane = Pane::Calls;
    vec![Effect::Send(Command::Call { account: model.dial_account, target })]
}

/// Completes as far as all candidates agree.
pub fn complete(model: &mut Model) -> Vec<Effect> {
    let text = command::completed(model, model.command.text());
    model.command.set(&text);
    // Their names are asked for when they are needed: to look can start a sound system.
    let device = ["microphone ", "speaker "].iter().any(|word| text.starts_with(word));
    if device { vec![Effect::Send(Command::ListDevices)] } else { Vec::new() }
}

/// Takes the suggestion; without one, calls are placed from the next account.
pub fn next_account(model: &mut Model) -> Vec<Effect> {
    if let Some(text) = model.suggestion().map(str::to_owned) {
        model.dial.set(&text);
        return Vec::new();
    }
    let accounts = &model.snapshot.accounts;
    let current = model.calling_account().map(|a| a.id);
    let at = accounts.iter().position(|a| Some(a.id) == current).unwrap_or(0);
    model.dial_account = accounts.get((at + 1) % accounts.len().max(1)).map(|a| a.id);
    Vec::new()
}
