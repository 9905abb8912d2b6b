//! What every action changes in the model, and what it asks of the world. Pure: no terminal, no clock.
mod calls;
pub mod command;
mod contacts;
mod facts;
mod lines;
mod messages;
mod mouse;
mod pages;
pub mod simulation;
mod texts;

use crate::tui::action::{Action, Effect};
use crate::tui::keymap::Intent;
use crate::tui::keymap::key::{Code, Key};
use crate::tui::model::{Model, Page, Popup, Quit};
use crate::ua::command::Command;
use crate::ua::handling::When;

/// The only way the model changes.
pub fn update(model: &mut Model, action: Action) -> Vec<Effect> {
    let mut effects = match action {
        Action::Time { now, wall } => facts::time(model, now, wall),
        Action::Resize { columns, rows } => {
            model.size = (columns, rows);
            model.dirty = true;
            Vec::new()
        }
        Action::Key(key) => press(model, key),
        Action::Paste(text) => lines::paste(model, &text),
        Action::Click { column, row } => mouse::click(model, column, row),
        Action::Wheel { up, column, row } => mouse::wheel(model, up, column, row),
        Action::Focused(focused) => {
            model.focused = Some(focused);
            Vec::new()
        }
        Action::Snapshot(snapshot) => facts::snapshot(model, snapshot),
        Action::Event(event) => facts::event(model, event),
        Action::History(history) => {
            model.history = history;
            model.recent = model.recent.min(model.history.len().saturating_sub(1));
            model.dirty = true;
            Vec::new()
        }
        Action::Log(log) => {
            model.dirty |= model.page == Page::Log;
            model.log = log;
            Vec::new()
        }
        Action::Texts(list) => texts::told(model, list),
        Action::QueueFull(command) => facts::queue_full(model, &command),
        Action::Saved(outcome) => {
            let is_trouble = outcome.is_err();
            model.notify(outcome.unwrap_or_else(|words| words), is_trouble);
            Vec::new()
        }
        Action::Terminate => shut_down(model),
        Action::Continued => {
            model.dirty = true;
            vec![Effect::Repaint]
        }
    };
    let title = facts::title(model);
    if title != model.title {
        model.title.clone_from(&title);
        effects.push(Effect::Title(title));
    }
    effects
}

fn press(model: &mut Model, key: Key) -> Vec<Effect> {
    let intent = model.keymap.lookup(&model.contexts(), key, model.is_typing());
    match intent {
        Some(intent) => {
            model.dirty = true;
            perform(model, intent, key)
        }
        None => Vec::new(),
    }
}

fn perform(model: &mut Model, intent: Intent, key: Key) -> Vec<Effect> {
    use Intent as I;
    let typed = match key.code {
        Code::Char(c) => Some(c),
        _ => None,
    };
    match intent {
        I::Answer | I::RejectBusy | I::Decline | I::Ignore | I::Yes | I::No => calls::reply(model, intent),
        I::HangUp | I::Hold | I::Mute | I::Swap | I::Conference | I::Record | I::Continue => {
            calls::change(model, intent)
        }
        I::SoundUp | I::SoundDown | I::MicUp | I::MicDown => calls::gain(model, intent),
        I::Digit => calls::digit(model, typed),
        I::Transfer => lines::transfer(model),
        I::Write => texts::write(model),
        I::Connect => lines::connect(model),
        I::Forward => lines::forward(model, When::Always),
        I::NextRule => lines::next_rule(model),
        I::DoNotDisturb | I::Park | I::PickUp => calls::word(model, intent),
        I::Dial | I::CommandLine => lines::open(model, intent),
        I::Insert
        | I::Backspace
        | I::Delete
        | I::DeleteWord
        | I::ClearLine
        | I::ClearToEnd
        | I::CursorLeft
        | I::CursorRight
        | I::LineStart
        | I::LineEnd
        | I::Older
        | I::Newer => lines::edit(model, intent, typed),
        I::Submit => lines::submit(model),
        I::Complete => lines::complete(model),
        I::NextAccount => lines::next_account(model),
        I::Keypad | I::Quality | I::Details | I::Accounts | I::Contacts | I::Log | I::Help => pages::go(model, intent),
        I::AddContact | I::EditContact | I::RenameContact | I::WatchContact | I::RemoveContact => {
            contacts::edit(model, intent)
        }
        I::NextNumber => contacts::next_number(model),
        I::NextPane | I::PreviousPane => pages::turn(model, intent),
        I::Open => pages::open(model),
        I::Back => pages::back(model),
        I::Up | I::Down | I::PageUp | I::PageDown | I::Top | I::Bottom => pages::scroll(model, intent),
        I::Earlier | I::Later | I::Freeze => pages::look(model, intent),
        I::Previous | I::Next => match model.popup {
            Some(Popup::Message { .. }) => messages::other(model, intent),
            _ => simulation::choose(model, intent),
        },
        I::Messages => messages::enter(model),
        I::Search | I::Export => messages::ask(model, intent),
        I::NextMatch | I::PreviousMatch => messages::find(model, intent),
        I::Copy => messages::copy(model),
        I::Compare => messages::compare(model),
        I::Simulation => simulation::enter(model),
        I::Less | I::More => simulation::turn(model, intent),
        I::Quit => quit(model),
        I::Suspend => suspend(model),
        I::Repaint => vec![Effect::Repaint],
    }
}

/// Asks once when calls are up, and leaves at once when asked while already leaving.
pub(super) fn quit(model: &mut Model) -> Vec<Effect> {
    let calls = model.live_calls().count();
    match model.quit {
        Quit::Going(_) => vec![Effect::Leave],
        Quit::No if calls > 0 => {
            model.quit = Quit::Asked(model.now + crate::tui::model::QUIT_ASKED);
            Vec::new()
        }
        Quit::No | Quit::Asked(_) => shut_down(model),
    }
}

fn shut_down(model: &mut Model) -> Vec<Effect> {
    model.dirty = true;
    match model.quit {
        Quit::Going(_) => Vec::new(),
        Quit::No | Quit::Asked(_) => {
            model.quit = Quit::Going(model.now + crate::tui::model::GOODBYE);
            vec![Effect::Send(Command::Shutdown)]
        }
    }
}

/// A stopped process plays no sound and answers no server: not while a call is up.
fn suspend(model: &mut Model) -> Vec<Effect> {
    if model.live_calls().next().is_some() {
        model.notify("A stopped phone is silent: end the call before stopping the program.", true);
        return Vec::new();
    }
    vec![Effect::Suspend]
}
