//! The panel while no call is up: who can reach this phone, with what it hears and speaks, and how to begin.
use super::lists::has_cursor;
use super::words;
use crate::tui::keymap::{Context, Intent};
use crate::tui::model::{Model, Pane, Spot};
use crate::tui::theme::Role;
use crate::tui::widget::clock::Local;
use crate::tui::widget::graph;
use crate::tui::widget::paint::{Painter, padded};
use crate::tui::widget::text;
use crate::ua::snapshot::{AccountView, RegistrationState};
use ratatui::layout::Rect;

/// Columns of the names.
const NAME: u16 = 10;
/// Rows of the devices and hints below the accounts, and those a cause may take.
const BELOW: u16 = 5;
const CAUSE: u16 = 4;
/// Wider than this the eye would lose the line.
const WIDTH: u16 = 64;

pub fn draw(model: &Model, p: &mut Painter<'_>, area: Rect) {
    let (title, role) = title(&model.snapshot.accounts);
    let inside = padded(p.frame(area, title, role, &[]));
    let inside = Rect { width: inside.width.min(WIDTH), ..inside };
    let airy = u16::from(inside.height > 12);
    let mut y = inside.y + airy;
    let accounts = &model.snapshot.accounts;
    let rows_of = |count: usize| u16::try_from(count).unwrap_or(u16::MAX).saturating_mul(2 + airy);
    let rest = if rows_of(accounts.len()).saturating_add(BELOW) <= inside.height { BELOW } else { 0 };
    for (n, account) in accounts.iter().enumerate() {
        if y + 1 >= inside.bottom() {
            break;
        }
        let below = rows_of(accounts.len() - n).saturating_add(rest);
        let spare = inside.bottom().saturating_sub(y).saturating_sub(below).min(CAUSE);
        y = draw_account(model, p, inside, y, spare, account);
        if (account.do_not_disturb || account.forwarding.is_on()) && y < inside.bottom() {
            let rule = account.forwarding.words(account.do_not_disturb);
            let x = inside.x + 2 + NAME;
            p.put(x, y, inside.right().saturating_sub(x), &rule, Role::Fair);
            y += 1;
        }
        y += airy;
    }
    if y + 5 <= inside.bottom() {
        devices(model, p, inside, y);
        hints(model, p, inside, y + 3);
        lamps(model, p, Rect { y: y + 6, height: inside.bottom().saturating_sub(y + 6), ..inside });
    }
}

/// Whose phones are watched, as many as there is room for.
fn lamps(model: &Model, p: &mut Painter<'_>, area: Rect) {
    let watched = &model.snapshot.watched;
    let room = usize::from(area.height);
    let shown = if watched.len() > room { room.saturating_sub(1) } else { watched.len() };
    let cursor = has_cursor(model, Pane::Watched);
    let first = if cursor { super::first_shown(model.lamp, watched.len(), shown) } else { 0 };
    for ((index, view), y) in watched.iter().enumerate().skip(first).take(shown).zip(area.y..) {
        p.spot(Rect { y, height: 1, ..area }, Spot::Lamp(index));
        if cursor && index == model.lamp {
            p.tint(Rect { x: area.x.saturating_sub(1), y, height: 1, ..area }, Role::Selected);
            p.cell(area.x.saturating_sub(1), y, p.glyphs.cursor, Role::Accent);
        }
        let (sign, role) = words::lamp(p.glyphs, view.lamp);
        p.cell(area.x, y, sign, role);
        p.put(area.x + 2, y, NAME - 1, view.name(), Role::Strong);
        let x = area.x + 2 + NAME;
        let end = p.put(x, y, area.right().saturating_sub(x), view.lamp.word(), role) + 2;
        p.put(end, y, area.right().saturating_sub(end), &view.note, Role::Dim);
    }
    if shown < watched.len() && room > 0 {
        let more = format!("and {} more watched", watched.len() - shown);
        let y = area.y + u16::try_from(shown).unwrap_or(0);
        p.put(area.x + 2, y, area.width.saturating_sub(2), &more, Role::Dim);
    }
}

/// The best of what the accounts are.
fn title(accounts: &[AccountView]) -> (&'static str, Role) {
    use RegistrationState as S;
    let any = |is: fn(&S) -> bool| accounts.iter().any(|account| is(&account.state));
    match accounts {
        _ if any(|s| matches!(s, S::Registered { .. })) => ("Ready", Role::Strong),
        _ if any(|s| matches!(s, S::Registering)) => ("Registering", Role::Fair),
        _ if any(|s| matches!(s, S::Failed { .. })) => ("Not reachable", Role::Poor),
        [] => ("Direct calls only", Role::Strong),
        _ => ("Not registered", Role::Strong),
    }
}

/// Two rows, and of what went wrong as many more as there is room for.
fn draw_account(model: &Model, p: &mut Painter<'_>, area: Rect, y: u16, spare: u16, account: &AccountView) -> u16 {
    let (sign, state, role) = words::account(p.glyphs, account, model.now);
    p.cell(area.x, y, sign, role);
    let x = area.x + 2 + NAME;
    let room = area.right().saturating_sub(x);
    if account.name == account.address {
        p.put(area.x + 2, y, area.width.saturating_sub(2), &account.name, Role::Strong);
    } else {
        p.put(area.x + 2, y, NAME - 1, &account.name, Role::Strong);
        p.put(x, y, room, &account.address, Role::Text);
    }
    let wide = u16::try_from(text::width(&state)).unwrap_or(0);
    let end = p.put(x, y + 1, wide, &state, role) + 2;
    let beside = area.right().saturating_sub(end);
    match &account.state {
        RegistrationState::Registered { expires } => {
            let at = model.wall + expires.saturating_duration_since(model.now);
            let until = format!("until {}", Local::new(at, (model.zone)(at)).minutes());
            let ways = words::ways(p.glyphs, account);
            let both = ways.as_ref().map(|ways| format!("{ways}, {until}"));
            let fits = |words: &String| text::width(words) <= usize::from(beside);
            p.put(end, y + 1, beside, &both.filter(fits).or(ways).unwrap_or(until), Role::Dim);
        }
        RegistrationState::Failed { cause, .. } => {
            let whole = text::width(cause) <= usize::from(beside);
            if whole || spare == 0 {
                p.put(end, y + 1, beside, cause, Role::Dim);
                return y + 2;
            }
            let lines = text::fold_rows(cause, usize::from(room), usize::from(spare));
            for (line, y) in lines.iter().zip(y + 2..) {
                p.put(x, y, room, line, Role::Dim);
            }
            return y + 2 + u16::try_from(lines.len()).unwrap_or(0);
        }
        RegistrationState::Off => {
            p.put(end, y + 1, beside, "calls from here only", Role::Dim);
        }
        RegistrationState::Registering | RegistrationState::Unregistering => {}
    }
    y + 2
}

fn devices(model: &Model, p: &mut Painter<'_>, area: Rect, y: u16) {
    let devices = &model.snapshot.devices;
    let rows = [
        ("sound", &devices.playback, model.sound.shown(), false),
        ("mic", &devices.capture, model.mic.shown(), model.snapshot.muted),
    ];
    for (offset, (name, device, level, muted)) in (0..).zip(rows) {
        let y = y + offset;
        p.put(area.x + 2, y, NAME, name, Role::Label);
        let x = area.x + 2 + NAME;
        let meter = 12.min(area.width / 4);
        let device = if device.is_empty() { "none" } else { device };
        p.put(x, y, area.right().saturating_sub(x + meter + 2), device, Role::Text);
        match muted {
            true => {
                p.put_right(area.right(), y, 7, "muted", Role::Fair);
            }
            false if level.is_some() => graph::meter(p, area.right().saturating_sub(meter), y, meter, level),
            false => {}
        }
    }
}

fn hints(model: &Model, p: &mut Painter<'_>, area: Rect, y: u16) {
    let key = |context, intent| model.keymap.shown(context, intent, false).map_or(String::new(), |k| k.to_string());
    let call = key(Context::Main, Intent::Dial);
    let help = key(Context::Global, Intent::Help);
    let line = [("Type a number, or press ", Role::Dim), (&call, Role::Key), (" and a name or an address.", Role::Dim)];
    p.pieces(area.x, y, area.width, &line);
    p.pieces(area.x, y + 1, area.width, &[(&help, Role::Key), (" lists all keys.", Role::Dim)]);
}
