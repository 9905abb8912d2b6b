//! Moving between lists, pages and windows, and inside of them.
use super::facts::select;
use super::{contacts, lines, messages};
use crate::qos::snapshot::TIMELINE;
use crate::tui::action::Effect;
use crate::tui::keymap::Intent;
use crate::tui::model::{Frozen, Model, Page, Pane, Popup, is_over};
use crate::tui::view;
use crate::ua::command::Command;
use crate::ua::snapshot::{CallState, Lamp, RegistrationState};

/// Seconds one press looks back.
const LOOK_STEP: usize = 5;

pub fn go(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let has_call = model.selected_call().is_some();
    model.scroll = 0;
    match intent {
        Intent::Quality if has_call => {
            model.page = Page::Quality;
            model.look_back = 0;
            model.frozen = None;
        }
        Intent::Details if model.page == Page::Accounts => model.page = Page::Account,
        Intent::Details if has_call => model.popup = Some(Popup::Details),
        Intent::Keypad if model.selected_call().is_some_and(|c| c.state == CallState::Established) => {
            model.popup = Some(Popup::Keypad { sent: String::new() });
        }
        Intent::Accounts => {
            model.page = Page::Accounts;
            model.account = 0;
        }
        Intent::Contacts => contacts::enter(model),
        Intent::Log => {
            model.page = Page::Log;
            model.scroll = usize::MAX;
        }
        Intent::Help => {
            model.below_help = model.page;
            model.page = Page::Help;
        }
        _ => model.notify("There is no call.", true),
    }
    Vec::new()
}

pub fn turn(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let mut panes = vec![Pane::Calls, Pane::Recent];
    if model.selected_call().is_some() {
        panes.push(Pane::Messages);
    } else if !model.snapshot.watched.is_empty() {
        panes.push(Pane::Watched);
    }
    let at = panes.iter().position(|pane| *pane == model.pane).unwrap_or(0);
    let step = if intent == Intent::NextPane { 1 } else { panes.len() - 1 };
    enter_pane(model, panes.get((at + step) % panes.len()).copied().unwrap_or(Pane::Calls));
    Vec::new()
}

pub fn enter_pane(model: &mut Model, pane: Pane) {
    model.pane = pane;
    if pane == Pane::Recent {
        model.missed_seen = model.wall;
    }
}

/// Enter on what the cursor is on.
pub fn open(model: &mut Model) -> Vec<Effect> {
    match (model.page, model.pane) {
        (Page::Accounts | Page::Account, _) => toggle_account(model),
        (Page::Main, Pane::Calls) => {
            let other = model.selected_call().filter(|call| call.state == CallState::Established);
            match other.map(|call| call.number) {
                Some(call) if Some(call) != model.snapshot.focus => vec![Effect::Send(Command::Switch(call))],
                _ => lines::open(model, Intent::Dial),
            }
        }
        (Page::Main, Pane::Recent) => {
            let entry = model.recent_entry().map(|entry| {
                // Who answered in another's place is reached by whom was called.
                let dialled = &entry.identity.dialled;
                (if dialled.is_empty() { &entry.peer_address } else { dialled }.clone(), entry.account)
            });
            if entry.as_ref().is_some_and(|(address, _)| address.is_empty()) {
                model.notify("They did not say who they are: there is nobody to call back.", true);
                return Vec::new();
            }
            if let Some((address, account)) = entry {
                lines::open(model, Intent::Dial);
                model.dial.set(&address);
                model.dial_account = model.snapshot.accounts.iter().find(|a| a.id == account).map(|a| a.id);
                model.pane = Pane::Calls;
            }
            Vec::new()
        }
        (Page::Messages, _) | (Page::Main, Pane::Messages) => messages::open(model),
        (Page::Main, Pane::Watched) => call_watched(model),
        (Page::Contacts, _) => contacts::call(model),
        (Page::Quality | Page::Log | Page::Texts | Page::Help, _) => Vec::new(),
    }
}

/// A call that rings there is taken; else who is there is called, or the call that waits there.
fn call_watched(model: &mut Model) -> Vec<Effect> {
    let Some(view) = model.snapshot.watched.get(model.lamp) else { return Vec::new() };
    let (account, label) = (Some(view.account), view.label.clone());
    vec![Effect::Send(match view.lamp {
        Lamp::Ringing => Command::PickUp { account, whom: Some(label) },
        Lamp::Unknown | Lamp::Free | Lamp::Busy | Lamp::Away => Command::Call { account, target: label },
    })]
}

fn toggle_account(model: &mut Model) -> Vec<Effect> {
    let Some(account) = model.snapshot.accounts.get(model.account) else { return Vec::new() };
    vec![Effect::Send(match account.state {
        RegistrationState::Registered { .. } | RegistrationState::Registering => Command::Unregister(account.id),
        RegistrationState::Off | RegistrationState::Failed { .. } | RegistrationState::Unregistering => {
            Command::Register(account.id)
        }
    })]
}

/// One step back: window, page, list, notice.
pub fn back(model: &mut Model) -> Vec<Effect> {
    if model.page == Page::Help {
        model.page = std::mem::replace(&mut model.below_help, Page::Main);
        model.scroll = 0;
    } else if model.page == Page::Account {
        model.page = Page::Accounts;
    } else if (matches!(model.page, Page::Messages | Page::Texts) && model.open.take().is_some())
        || model.popup.take().is_some()
    {
    } else if model.page == Page::Messages {
        model.page = std::mem::replace(&mut model.below_messages, Page::Main);
    } else if model.page != Page::Main {
        model.page = Page::Main;
        model.frozen = None;
    } else if model.open.take().is_some() || model.knob.take().is_some() {
    } else if model.pane != Pane::Calls {
        model.pane = Pane::Calls;
        model.message = None;
    } else {
        model.notice = None;
    }
    Vec::new()
}

pub fn scroll(model: &mut Model, intent: Intent) -> Vec<Effect> {
    match (model.page, &model.popup, model.pane) {
        (Page::Main, None, Pane::Calls) => next_call(model, intent),
        (Page::Main, None, Pane::Recent) => {
            if intent == Intent::Up && model.recent == 0 {
                model.pane = Pane::Calls;
            } else {
                let rows = view::recent_rows(model);
                model.recent = moved(model.recent, model.history.len(), rows, intent);
            }
        }
        (Page::Main, None, Pane::Watched) => {
            model.lamp = moved(model.lamp, model.snapshot.watched.len(), view::lamp_rows(model), intent);
        }
        (Page::Main, None, Pane::Messages) => {
            let (count, rows) = (model.ladder().len(), view::message_rows(model));
            let at = moved(model.message.unwrap_or(usize::MAX), count, rows, intent);
            model.message = (at + 1 < count).then_some(at);
        }
        (Page::Messages, None, _) => {
            let (count, rows) = (model.rows().len(), view::page_rows(model));
            let at = moved(model.messages.at.unwrap_or(usize::MAX), count, rows, intent);
            model.messages.at = (at + 1 < count).then_some(at);
        }
        (Page::Accounts, ..) => {
            model.account = moved(model.account, model.snapshot.accounts.len(), 4, intent);
        }
        (Page::Contacts, ..) => {
            model.contact = moved(model.contact, model.contacts().len(), 10, intent);
            model.number = 0;
        }
        (Page::Texts, ..) => super::texts::choose(model, intent),
        (Page::Quality, ..) => {}
        (Page::Main | Page::Account | Page::Messages | Page::Log | Page::Help, ..) => {
            let (lines, height) = view::extent(model);
            model.scroll = moved(model.scroll, lines.saturating_sub(height) + 1, height, intent);
        }
    }
    Vec::new()
}

/// A position in a list of `count` after one movement; positions past the end count as the end.
fn moved(at: usize, count: usize, page: usize, intent: Intent) -> usize {
    let last = count.saturating_sub(1);
    let at = at.min(last);
    match intent {
        Intent::Up => at.saturating_sub(1),
        Intent::Down => (at + 1).min(last),
        Intent::PageUp => at.saturating_sub(page.max(1)),
        Intent::PageDown => (at + page.max(1)).min(last),
        Intent::Top => 0,
        Intent::Bottom => last,
        _ => at,
    }
}

/// Up and down among the calls; below the last one the list of recent calls goes on.
fn next_call(model: &mut Model, intent: Intent) {
    let numbers: Vec<_> = model.calls().map(|call| call.number).collect();
    let at = numbers.iter().position(|number| Some(*number) == model.selected);
    if intent == Intent::Down && at.is_none_or(|at| at + 1 >= numbers.len()) {
        if !model.history.is_empty() {
            model.recent = 0;
            enter_pane(model, Pane::Recent);
        }
        return;
    }
    let next = numbers.get(moved(at.unwrap_or(0), numbers.len(), numbers.len(), intent)).copied();
    if next.is_some() && next != model.selected {
        select(model, next);
    }
}

/// The quality page: stop it, look back, go on.
pub fn look(model: &mut Model, intent: Intent) -> Vec<Effect> {
    match intent {
        Intent::Freeze if model.frozen.is_some() => model.frozen = None,
        Intent::Freeze => freeze(model),
        Intent::Earlier => {
            if model.frozen.is_none() {
                freeze(model);
            }
            model.look_back = (model.look_back + LOOK_STEP).min(TIMELINE);
        }
        Intent::Later => model.look_back = model.look_back.saturating_sub(LOOK_STEP),
        _ => {}
    }
    if model.frozen.is_none() {
        model.look_back = 0;
    }
    Vec::new()
}

/// A moving picture cannot be looked back in: it stops.
fn freeze(model: &mut Model) {
    model.frozen = model.selected_call().filter(|call| !is_over(call)).map(|call| {
        let call = call.clone();
        Frozen { wall: model.wall, call }
    });
}
