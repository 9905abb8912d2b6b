//! The dial line and the command line.
use super::command;
use crate::tui::action::Effect;
use crate::tui::keymap::Intent;
use crate::tui::model::line::Line;
use crate::tui::model::{Model, Open, Page, Pane};
use crate::ua::command::Command;

pub fn open(model: &mut Model, intent: Intent) -> Vec<Effect> {
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
    match model.open? {
        Open::Dial => Some(&mut model.dial),
        Open::Command => Some(&mut model.command),
    }
}

pub fn edit(model: &mut Model, intent: Intent, typed: Option<char>) -> Vec<Effect> {
    let suggestion = (model.open == Some(Open::Dial)).then(|| model.suggestion().map(str::to_owned)).flatten();
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
    if model.page != Page::Main || model.popup.is_some() {
        return Vec::new();
    }
    if model.open.is_none() {
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
        None => Vec::new(),
    }
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
    Vec::new()
}

pub fn next_account(model: &mut Model) -> Vec<Effect> {
    let accounts = &model.snapshot.accounts;
    let current = model.calling_account().map(|a| a.id);
    let at = accounts.iter().position(|a| Some(a.id) == current).unwrap_or(0);
    model.dial_account = accounts.get((at + 1) % accounts.len().max(1)).map(|a| a.id);
    Vec::new()
}
