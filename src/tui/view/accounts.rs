//! The accounts: which are reachable, and why one is not.
use super::words;
use crate::tui::model::Model;
use crate::tui::theme::Role;
use crate::tui::widget::clock::Local;
use crate::tui::widget::paint::{Painter, padded};
use crate::tui::widget::text;
use crate::ua::snapshot::{AccountView, RegistrationState};
use ratatui::layout::Rect;

/// Rows of one account, the blank one below it included.
const ROWS: u16 = 4;

pub fn draw(model: &Model, p: &mut Painter<'_>, area: Rect) {
    let inside = p.frame(area, "Accounts", Role::Focus, &[]);
    let accounts = &model.snapshot.accounts;
    if accounts.is_empty() {
        p.put(inside.x + 1, inside.y, inside.width, "No account: only direct calls are possible.", Role::Dim);
    }
    let shown = usize::from((inside.height / ROWS).max(1));
    let first = super::first_shown(model.account, accounts.len(), shown);
    for ((index, account), y) in accounts.iter().enumerate().skip(first).take(shown).zip((inside.y..).step_by(4)) {
        let row = Rect { y, height: 1, ..inside };
        if index == model.account {
            p.tint(row, Role::Selected);
            p.cell(row.x, y, p.glyphs.cursor, Role::Accent);
        }
        one(model, p, padded(Rect { height: ROWS.min(inside.bottom().saturating_sub(y)), ..row }), account);
    }
}

fn one(model: &Model, p: &mut Painter<'_>, area: Rect, account: &AccountView) {
    let (sign, state, role) = words::account(p.glyphs, account, model.now);
    p.cell(area.x, area.y, sign, role);
    let name = text::left(&account.name, 12, p.glyphs.ellipsis);
    let x = p.put(area.x + 2, area.y, 13, &format!("{name} "), Role::Strong);
    let wide = u16::try_from(text::width(&state)).unwrap_or(0);
    p.put(x, area.y, area.right().saturating_sub(x + wide + 2), &account.address, Role::Text);
    p.put_right(area.right().saturating_sub(1), area.y, wide, &state, role);
    let sentence = match &account.state {
        RegistrationState::Registered { expires } => {
            let at = model.wall + expires.saturating_duration_since(model.now);
            let at = Local::new(at, (model.zone)(at)).minutes();
            format!("The server knows this phone until {at}; it is renewed before.")
        }
        RegistrationState::Failed { cause, status, .. } => match status {
            Some(status) => format!("{cause} ({status})"),
            None => cause.clone(),
        },
        RegistrationState::Off => "Not registered: nobody can call this account here.".into(),
        RegistrationState::Registering => "Telling the server where this phone is.".into(),
        RegistrationState::Unregistering => "Telling the server that this phone leaves.".into(),
    };
    let room = area.right().saturating_sub(x + 1);
    let folded = text::fold(&sentence, usize::from(room));
    for (line, y) in folded.iter().zip(area.y + 1..area.bottom().min(area.y + 3)) {
        p.put(x, y, room, line, Role::Dim);
    }
}
