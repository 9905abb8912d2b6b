//! The accounts: which are reachable, and why one is not.
use super::words;
use crate::tui::model::{Model, Spot};
use crate::tui::theme::Role;
use crate::tui::widget::paint::{Painter, padded};
use crate::tui::widget::text;
use crate::ua::snapshot::AccountView;
use ratatui::layout::Rect;

/// Rows of one account, the blank one below it included.
const ROWS: u16 = 6;
/// Columns of the names.
const NAME: u16 = 13;

pub fn draw(model: &Model, p: &mut Painter<'_>, area: Rect) {
    let inside = p.frame(area, "Accounts", Role::Focus, &[]);
    let accounts = &model.snapshot.accounts;
    if accounts.is_empty() {
        p.put(inside.x + 1, inside.y, inside.width, "No account: only direct calls are possible.", Role::Dim);
    }
    let shown = usize::from((inside.height / ROWS).max(1));
    let first = super::first_shown(model.account, accounts.len(), shown);
    for ((index, account), y) in
        accounts.iter().enumerate().skip(first).take(shown).zip((inside.y..).step_by(usize::from(ROWS)))
    {
        let row = Rect { y, height: 1, ..inside };
        p.spot(Rect { height: ROWS - 1, ..row }, Spot::Account(index));
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
    let wide = u16::try_from(text::width(&state)).unwrap_or(0);
    let x = area.x + 2 + NAME;
    if account.name == account.address {
        p.put(area.x + 2, area.y, area.width.saturating_sub(wide + 4), &account.name, Role::Strong);
    } else {
        p.put(area.x + 2, area.y, NAME - 1, &account.name, Role::Strong);
        p.put(x, area.y, area.right().saturating_sub(x + wide + 2), &account.address, Role::Text);
    }
    p.put_right(area.right().saturating_sub(1), area.y, wide, &state, role);
    let room = area.right().saturating_sub(x + 1);
    let mut rows = area.y + 1..area.bottom().min(area.y + ROWS - 1);
    if let Some((ways, y)) = words::ways(p.glyphs, account).and_then(|ways| Some((ways, rows.next()?))) {
        let server = words::best(account).map_or(String::new(), |flow| format!(" {} {}", p.glyphs.dot, flow.server));
        p.put(x, y, room, &format!("{ways}{server}"), Role::Text);
    }
    let sentence = words::registration(model, &account.state);
    for (line, y) in text::fold_rows(&sentence, usize::from(room), rows.len()).iter().zip(rows) {
        p.put(x, y, room, line, Role::Dim);
    }
}
