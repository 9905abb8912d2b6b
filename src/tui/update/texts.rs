//! The page of texts: whom with, and the line to write with.
use crate::base::id::AccountId;
use crate::tui::action::Effect;
use crate::tui::keymap::Intent;
use crate::tui::model::{Model, Open, Page, Pane, Peer};
use crate::ua::command::Command;
use crate::ua::snapshot::{TextState, TextView};
use std::sync::Arc;

/// The list of texts changed.
pub fn told(model: &mut Model, texts: Arc<Vec<TextView>>) -> Vec<Effect> {
    model.texts = texts;
    model.dirty = true;
    if model.page == Page::Texts {
        model.mark_read();
    }
    Vec::new()
}

/// One came, or could not be delivered: said where it is not seen anyway.
pub fn news(model: &mut Model, text: &TextView) -> Vec<Effect> {
    let shown =
        model.page == Page::Texts && model.reading.peer.as_ref().is_some_and(|peer| peer.address == text.peer_address);
    match &text.state {
        TextState::Received if !shown => {
            let first = text.text.lines().next().unwrap_or_default();
            model.notify(format!("{} writes: {first}", text.peer_name), false);
            vec![Effect::Bell]
        }
        TextState::Failed(cause) => {
            model.notify(format!("The text to {} failed: {cause}", text.peer_name), true);
            Vec::new()
        }
        TextState::Received | TextState::Sending | TextState::Delivered | TextState::Accepted => Vec::new(),
    }
}

/// To the page; with somebody under the cursor the line is opened as well.
pub fn write(model: &mut Model) -> Vec<Effect> {
    if model.page == Page::Texts {
        if model.reading.peer.is_some() {
            model.open = Some(Open::Text);
        }
        return Vec::new();
    }
    let named = cursor(model);
    model.page = Page::Texts;
    model.scroll = 0;
    model.open = named.as_ref().map(|_| Open::Text);
    let unread = model.threads().into_iter().find(|thread| thread.unread > 0).map(|thread| thread.peer);
    let before = model.reading.peer.take();
    model.reading.peer = named.or(unread).or(before).or_else(|| model.threads().first().map(|t| t.peer.clone()));
    model.mark_read();
    Vec::new()
}

/// Who is under the cursor of the main page.
fn cursor(model: &Model) -> Option<Peer> {
    if model.page != Page::Main {
        return None;
    }
    let peer = |account: AccountId, address: &str| Peer { account, address: address.to_owned() };
    let found = match model.pane {
        Pane::Recent => model.recent_entry().map(|entry| peer(entry.account, &entry.peer_address)),
        Pane::Watched => model.snapshot.watched.get(model.lamp).map(|view| peer(view.account, &view.label)),
        _ => model.selected_call().map(|call| peer(call.account, &call.peer_address)),
    };
    found.filter(|peer| !peer.address.is_empty() && model.snapshot.accounts.iter().any(|a| a.id == peer.account))
}

/// The one at that row is read.
pub fn choose_nth(model: &mut Model, index: usize) {
    let peer = model.threads().into_iter().nth(index).map(|thread| thread.peer);
    model.scroll = 0;
    model.reading.peer = peer.or(model.reading.peer.take());
    model.mark_read();
}

/// Another one is read.
pub fn choose(model: &mut Model, intent: Intent) {
    let peers: Vec<Peer> = model.threads().into_iter().map(|thread| thread.peer).collect();
    let at = peers.iter().position(|peer| Some(peer) == model.reading.peer.as_ref()).unwrap_or(0);
    let last = peers.len().saturating_sub(1);
    match intent {
        Intent::PageUp => model.scroll = model.scroll.saturating_add(5).min(10_000),
        Intent::PageDown => model.scroll = model.scroll.saturating_sub(5),
        _ => {
            let to = match intent {
                Intent::Up => at.saturating_sub(1),
                Intent::Down => (at + 1).min(last),
                Intent::Top => 0,
                _ => last,
            };
            model.scroll = 0;
            model.reading.peer = peers.get(to).cloned();
            model.mark_read();
        }
    }
}

/// Sends what was written.
pub fn submit(model: &mut Model) -> Vec<Effect> {
    if model.text.text().trim().is_empty() {
        return Vec::new();
    }
    let Some(peer) = model.reading.peer.clone() else { return Vec::new() };
    let text = model.text.submit();
    model.text.clear();
    model.scroll = 0;
    vec![Effect::Send(Command::Text { account: Some(peer.account), target: peer.address, text })]
}
