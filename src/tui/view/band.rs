//! The band over the screen while somebody calls, or while a redirected call asks what to do.
use super::words;
use crate::tui::keymap::{Context, Intent};
use crate::tui::model::{Model, Spot};
use crate::tui::theme::Role;
use crate::tui::widget::clock;
use crate::tui::widget::paint::Painter;
use crate::ua::snapshot::{CallState, CallView};
use ratatui::layout::Rect;

pub fn draw(model: &Model, p: &mut Painter<'_>, area: Rect) {
    p.clear(area, Role::Band);
    match (model.incoming(), model.question()) {
        (Some(call), _) => incoming(model, p, area, call),
        (None, Some(call)) => question(model, p, area, call),
        (None, None) => {}
    }
}

fn incoming(model: &Model, p: &mut Painter<'_>, area: Rect, call: &CallView) {
    let others = model.live_calls().count() - 1;
    let title = match (call.unattended, others) {
        (true, _) => "Intercom: it is answered by itself",
        (false, 0) => "Incoming call",
        (false, _) => "Call waiting",
    };
    let rings = clock::short(model.now.saturating_duration_since(call.started));
    let to = format!("for {}", model.account_name(call.account));
    let dot = p.glyphs.dot;
    let forwarded = call.identity.forwarded_words();
    let trust = [words::trust(call), forwarded, to].into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>();
    let trust = trust.join(&format!(" {dot} "));
    lines(p, area, title, &rings, call, &trust);
    let keys = [
        (Intent::Answer, if others > 0 && area.width >= 76 { "answer, hold the other" } else { "answer" }),
        (Intent::RejectBusy, "busy"),
        (Intent::Decline, "decline"),
        (Intent::Ignore, "ignore"),
    ];
    buttons(model, p, area, Context::Incoming, &keys);
}

fn question(model: &Model, p: &mut Painter<'_>, area: Rect, call: &CallView) {
    let CallState::Redirected { target } = &call.state else { return };
    let moved = format!("says to call {target} instead");
    lines(p, area, "Call somebody else?", "", call, &moved);
    buttons(model, p, area, Context::Question, &[(Intent::Yes, "call it"), (Intent::No, "end")]);
}

/// Title, who, and how sure we are of it; with blank lines between where there is room.
fn lines(p: &mut Painter<'_>, area: Rect, title: &str, right: &str, call: &CallView, below: &str) {
    let (x, room) = (area.x + 2, area.width.saturating_sub(4));
    let airy = area.height >= 7;
    let top = area.y + u16::from(area.height >= 6);
    p.put(x, top, room, title, Role::Band);
    p.put_right(area.right().saturating_sub(2), top, 8, right, Role::Band);
    let who = top + 1 + u16::from(airy);
    let end = p.put(x, who, room, &call.peer_name, Role::BandStrong);
    let address = if call.peer_address == call.peer_name { "" } else { call.peer_address.as_str() };
    let address = match words::also_told(&call.identity) {
        Some(told) => format!("{told} {address}"),
        None => address.to_owned(),
    };
    p.put(end + 2, who, (x + room).saturating_sub(end + 2), &address, Role::Band);
    p.put(x, who + 1, room, below, Role::Band);
}

fn buttons(model: &Model, p: &mut Painter<'_>, area: Rect, context: Context, keys: &[(Intent, &str)]) {
    let y = area.bottom().saturating_sub(if area.height >= 6 { 2 } else { 1 });
    let mut x = area.x + 2;
    for (intent, label) in keys {
        let Some(key) = model.keymap.shown(context, *intent, model.is_typing()) else { continue };
        let begins = x;
        x = p.put(x, y, area.right().saturating_sub(x), &format!(" {} ", key.label(p.glyphs.unicode)), Role::BandKey);
        x = p.put(x, y, area.right().saturating_sub(x), &format!(" {label}"), Role::BandStrong) + 3;
        p.spot(Rect { x: begins, y, width: (x - begins).saturating_sub(3), height: 1 }, Spot::Key(key));
    }
}
