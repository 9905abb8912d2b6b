//! The panel while no call is up: who can reach this phone, with what it hears and speaks, and how to begin.
use super::words;
use crate::tui::keymap::{Context, Intent};
use crate::tui::model::Model;
use crate::tui::theme::Role;
use crate::tui::widget::clock::Local;
use crate::tui::widget::graph;
use crate::tui::widget::paint::{Painter, padded};
use crate::tui::widget::text;
use crate::ua::snapshot::{AccountView, RegistrationState};
use ratatui::layout::Rect;

/// Columns of the names.
const NAME: u16 = 10;
/// Wider than this the eye would lose the line.
const WIDTH: u16 = 64;

pub fn draw(model: &Model, p: &mut Painter<'_>, area: Rect) {
    let (title, role) = title(&model.snapshot.accounts);
    let inside = padded(p.frame(area, title, role, &[]));
    let inside = Rect { width: inside.width.min(WIDTH), ..inside };
    let airy = u16::from(inside.height > 12);
    let mut y = inside.y + airy;
    for account in &model.snapshot.accounts {
        if y + 1 >= inside.bottom() {
            break;
        }
        y = draw_account(model, p, inside, y, account) + airy;
    }
    if y + 5 <= inside.bottom() {
        devices(model, p, inside, y);
        hints(model, p, inside, y + 3);
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

fn draw_account(model: &Model, p: &mut Painter<'_>, area: Rect, y: u16, account: &AccountView) -> u16 {
    let (sign, state, role) = words::account(p.glyphs, account, model.now);
    p.cell(area.x, y, sign, role);
    p.put(area.x + 2, y, NAME - 1, &account.name, Role::Strong);
    let x = area.x + 2 + NAME;
    p.put(x, y, area.right().saturating_sub(x), &account.address, Role::Text);
    let wide = u16::try_from(text::width(&state)).unwrap_or(0);
    let end = p.put(x, y + 1, wide, &state, role);
    let more = match &account.state {
        RegistrationState::Registered { expires } => {
            let at = model.wall + expires.saturating_duration_since(model.now);
            format!("until {}", Local::new(at, (model.zone)(at)).minutes())
        }
        RegistrationState::Failed { cause, .. } => cause.clone(),
        RegistrationState::Off => "calls from here only".into(),
        RegistrationState::Registering | RegistrationState::Unregistering => String::new(),
    };
    p.put(end + 2, y + 1, area.right().saturating_sub(end + 2), &more, Role::Dim);
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
