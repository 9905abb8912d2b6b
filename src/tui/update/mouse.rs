//! The mouse: whatever it can do a key can do as well.
use super::{facts, lines, pages, press, texts};
use crate::tui::action::Effect;
use crate::tui::keymap::Intent;
use crate::tui::model::{Model, Page, Pane, Spot};
use crate::tui::view;
use ratatui::layout::Position;

/// Rows one notch of the wheel goes.
const NOTCH: usize = 3;

/// A click selects; on what is selected already it is Enter.
pub fn click(model: &mut Model, column: u16, row: u16) -> Vec<Effect> {
    let Some(spot) = view::spot(model, Position { x: column, y: row }) else { return Vec::new() };
    model.dirty = true;
    if let Spot::Key(key) = spot {
        return press(model, key);
    }
    if spot == Spot::DialLine {
        return lines::open(model, Intent::Dial);
    }
    if selected(model) == Some(spot) {
        return if model.page == Page::Texts { texts::write(model) } else { pages::open(model) };
    }
    // A line that is open keeps its text, and a list is gone through again.
    (model.open, model.knob) = (None, None);
    match spot {
        Spot::Call(call) => {
            pages::enter_pane(model, Pane::Calls);
            facts::select(model, Some(call));
        }
        Spot::Recent(index) => {
            pages::enter_pane(model, Pane::Recent);
            model.recent = index;
        }
        Spot::Message(index) => {
            pages::enter_pane(model, Pane::Messages);
            model.message = Some(index);
        }
        Spot::Account(index) => model.account = index,
        Spot::Contact(index) => (model.contact, model.number) = (index, 0),
        Spot::Row(index) => model.messages.at = (index + 1 < model.rows().len()).then_some(index),
        Spot::Thread(index) => texts::choose_nth(model, index),
        Spot::Lamp(index) => {
            pages::enter_pane(model, Pane::Watched);
            model.lamp = index;
        }
        Spot::Key(_) | Spot::DialLine => {}
    }
    Vec::new()
}

/// What Enter would act on now.
fn selected(model: &Model) -> Option<Spot> {
    match (model.page, model.pane) {
        _ if model.open.is_some() || model.knob.is_some() => None,
        (Page::Main, Pane::Calls) => model.selected.map(Spot::Call),
        (Page::Main, Pane::Recent) => Some(Spot::Recent(model.recent)),
        (Page::Main, Pane::Messages) => model.message.map(Spot::Message),
        (Page::Contacts, _) => Some(Spot::Contact(model.contact)),
        (Page::Accounts, _) => Some(Spot::Account(model.account)),
        (Page::Main, Pane::Watched) => Some(Spot::Lamp(model.lamp)),
        (Page::Messages, _) => {
            let last = model.rows().len().checked_sub(1)?;
            Some(Spot::Row(model.messages.at.unwrap_or(last).min(last)))
        }
        (Page::Texts, _) => {
            let at = model.threads().iter().position(|thread| Some(&thread.peer) == model.reading.peer.as_ref());
            at.map(Spot::Thread)
        }
        (Page::Quality | Page::Account | Page::Log | Page::Help, _) => None,
    }
}

/// Scrolls what the mouse points at.
pub fn wheel(model: &mut Model, up: bool, column: u16, row: u16) -> Vec<Effect> {
    if model.page == Page::Main && model.popup.is_none() {
        match view::spot(model, Position { x: column, y: row }) {
            Some(Spot::Recent(_)) => pages::enter_pane(model, Pane::Recent),
            Some(Spot::Message(_)) => pages::enter_pane(model, Pane::Messages),
            Some(Spot::Call(_)) => pages::enter_pane(model, Pane::Calls),
            Some(Spot::Lamp(_)) => pages::enter_pane(model, Pane::Watched),
            Some(
                Spot::Key(_) | Spot::Account(_) | Spot::Contact(_) | Spot::Row(_) | Spot::Thread(_) | Spot::DialLine,
            )
            | None => {}
        }
    }
    model.dirty = true;
    if model.page == Page::Texts {
        match view::spot(model, Position { x: column, y: row }) {
            Some(Spot::Thread(_)) => texts::choose(model, if up { Intent::Up } else { Intent::Down }),
            _ => texts::choose(model, if up { Intent::PageUp } else { Intent::PageDown }),
        }
        return Vec::new();
    }
    let (intent, steps) =
        (if up { Intent::Up } else { Intent::Down }, if model.page == Page::Main { 1 } else { NOTCH });
    (0..steps).flat_map(|_| pages::scroll(model, intent)).collect()
}
