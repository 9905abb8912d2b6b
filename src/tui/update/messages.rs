//! The messages page: going to it, looking for text, writing files.
use super::command::words_of_export;
use crate::tui::action::{Effect, Save};
use crate::tui::keymap::Intent;
use crate::tui::model::messages::{Messages, Whose, matches};
use crate::tui::model::{Model, Open, Page, Pane, Popup};
use crate::tui::view;
use crate::ua::ladder::capture::Format;
use std::time::{Duration, UNIX_EPOCH};

/// Opens the page for what the cursor is on: an account, a call of the past, the selected call.
pub fn enter(model: &mut Model) -> Vec<Effect> {
    let whose = match (model.page, model.pane) {
        (Page::Accounts | Page::Account, _) => {
            model.snapshot.accounts.get(model.account).map(|account| Whose::Registration(account.id))
        }
        (Page::Main, Pane::Recent) => match past(model) {
            Some(whose) => Some(whose),
            None => {
                model
                    .notify("The messages of a call are kept until the program ends, and this one is of before.", true);
                return Vec::new();
            }
        },
        _ => model.selected_call().map(|call| Whose::Call(call.number)),
    };
    let Some(whose) = whose else {
        model.notify("There is no call.", true);
        return Vec::new();
    };
    show(model, whose);
    Vec::new()
}

fn show(model: &mut Model, whose: Whose) {
    model.below_messages = model.page;
    model.page = Page::Messages;
    model.open = None;
    model.popup = None;
    model.messages = Messages { whose: Some(whose), ..Messages::default() };
}

/// The call of this run that an entry of the history is about.
fn past(model: &Model) -> Option<Whose> {
    let entry = model.recent_entry()?;
    let near = |one: std::time::SystemTime| {
        let apart = one.duration_since(entry.started).or_else(|_| entry.started.duration_since(one));
        apart.is_ok_and(|apart| apart < Duration::from_millis(2))
    };
    let ladder = model.snapshot.ladders.iter().find(|l| near(l.started) && l.outgoing == entry.outgoing)?;
    Some(Whose::Call(ladder.number))
}

/// Shows the whole message under the cursor.
pub fn open(model: &mut Model) -> Vec<Effect> {
    if model.page == Page::Main {
        let at = model.message;
        if let Some(call) = model.selected_call().map(|call| call.number) {
            show(model, Whose::Call(call));
            model.messages.at = at;
        }
    }
    if let Some((at, entry)) = model.row().filter(|(_, row)| row.is_message()) {
        model.messages.at = Some(at);
        model.scroll = 0;
        model.popup = Some(Popup::Message { entry });
    }
    Vec::new()
}

/// The message before or after the one shown.
pub fn other(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let rows = model.rows();
    let Some(at) = model.messages.at else { return Vec::new() };
    let found = if intent == Intent::Next {
        rows.iter().enumerate().skip(at + 1).find(|(_, row)| row.is_message())
    } else {
        rows.iter().enumerate().take(at).rev().find(|(_, row)| row.is_message())
    };
    if let Some((at, entry)) = found {
        model.messages.at = Some(at);
        model.scroll = 0;
        model.popup = Some(Popup::Message { entry: entry.clone() });
    }
    Vec::new()
}

pub fn ask(model: &mut Model, intent: Intent) -> Vec<Effect> {
    if intent == Intent::Search {
        model.messages.search.clear();
        model.open = Some(Open::Search);
    } else {
        let name = file_name(model);
        model.messages.file.set(&name);
        model.open = Some(Open::Export);
    }
    Vec::new()
}

/// A name that tells whose messages and when.
fn file_name(model: &Model) -> String {
    let seconds = model.wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let whose: String = model.whose_messages().chars().filter(char::is_ascii_alphanumeric).take(20).collect();
    format!("offhook-{whose}-{seconds}.pcapng")
}

/// Goes to the next place with what is looked for: in the message that is read, then in the next message that has it.
pub fn find(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let pattern = model.messages.pattern();
    if pattern.is_empty() {
        model.notify("Press / and type what to look for.", true);
        return Vec::new();
    }
    let forward = intent != Intent::PreviousMatch;
    if let Some(Popup::Message { entry }) = &model.popup {
        let lines = view::matching_lines(model, entry);
        let next = if forward {
            lines.into_iter().find(|line| *line > model.scroll)
        } else {
            lines.into_iter().rev().find(|line| *line < model.scroll)
        };
        let (count, height) = view::extent(model);
        if let Some(line) = next.filter(|line| *line <= count.saturating_sub(height) || model.scroll + height < count) {
            model.scroll = line.min(count.saturating_sub(height));
            return Vec::new();
        }
    }
    let rows = model.rows();
    let at = model.messages.at.unwrap_or(rows.len().saturating_sub(1));
    let order: Vec<usize> = if forward {
        (at + 1..rows.len()).chain(0..=at).collect()
    } else {
        (0..at).rev().chain((at..rows.len()).rev()).collect()
    };
    let found = order.into_iter().find(|index| rows.get(*index).is_some_and(|row| matches(row, &pattern)));
    match found {
        Some(index) => {
            model.messages.at = Some(index);
            if matches!(model.popup, Some(Popup::Message { .. })) {
                open(model);
            }
        }
        None => model.notify(format!("{pattern}: in none of these messages."), true),
    }
    Vec::new()
}

/// The message as text for the clipboard.
pub fn copy(model: &mut Model) -> Vec<Effect> {
    let Some((_, row)) = model.row().filter(|(_, row)| row.is_message()) else { return Vec::new() };
    model.notify(format!("{} given to the terminal's clipboard, secrets masked.", row.label), false);
    vec![Effect::Copy(row.wire.text())]
}

pub fn compare(model: &mut Model) -> Vec<Effect> {
    model.messages.compares = !model.messages.compares;
    Vec::new()
}

/// Asks the run loop to write all messages, whatever the filter hides.
///
/// # Errors
/// What is wrong with the words, in a sentence.
pub fn export(model: &mut Model, text: &str) -> Result<Vec<Effect>, String> {
    let mut secrets = false;
    let mut names = Vec::new();
    for word in text.split_whitespace() {
        match word {
            "--secrets" => secrets = true,
            name => names.push(name),
        }
    }
    let typed = names.join(" ");
    let (path, replace) = typed.strip_suffix('!').map_or((typed.as_str(), false), |path| (path.trim_end(), true));
    if path.is_empty() {
        return Err(words_of_export());
    }
    let format = Format::of(path)?;
    if model.page != Page::Messages {
        model.messages.whose = None;
    }
    let rows = model.all_rows();
    if !rows.iter().any(|row| row.is_message()) {
        return Err("There are no messages to write.".to_owned());
    }
    let title = format!("offhook: messages of {}", model.whose_messages());
    Ok(vec![Effect::Save(Save { path: path.to_owned(), replace, format, title, rows, secrets })])
}
