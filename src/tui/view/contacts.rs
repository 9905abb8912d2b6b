//! The contacts: who they are, whether they are on the phone, and what they are called by.
use super::{first_shown, words};
use crate::tui::model::{Model, Spot};
use crate::tui::theme::Role;
use crate::tui::widget::paint::{Painter, padded};
use crate::tui::widget::text;
use crate::ua::contacts::{Contact, Number};
use ratatui::layout::{Position, Rect};

/// Columns of a state.
const STATE: u16 = 9;
/// Rows below the list: a blank one, and what is known of the one selected.
const BELOW: u16 = 3;

/// Returns where the cursor stands: what is typed narrows the list.
pub fn draw(model: &Model, p: &mut Painter<'_>, area: Rect) -> Option<Position> {
    let (found, all) = (model.contacts(), model.snapshot.contacts.list().len());
    let remark = if found.len() == all { all.to_string() } else { format!("{} of {all}", found.len()) };
    let inside = padded(p.frame(area, "Contacts", Role::Focus, &[(&remark, Role::Dim)]));
    if inside.height == 0 {
        return None;
    }
    let x = p.put(inside.x, inside.y, inside.width, "find ", Role::Label);
    let (before, after) = model.filter.split();
    let cursor = p.put(
        x,
        inside.y,
        inside.right().saturating_sub(x),
        text::tail(before, usize::from(inside.width / 2)),
        Role::Input,
    );
    p.put(cursor, inside.y, inside.right().saturating_sub(cursor), after, Role::Input);
    let list = Rect { y: inside.y + 1, height: inside.height.saturating_sub(1 + BELOW).max(1), ..inside };
    if found.is_empty() {
        let hint =
            if all == 0 { "nobody yet: F2 adds somebody, `offhook contacts import` reads vCards" } else { "nobody" };
        p.put(list.x, list.y, list.width, hint, Role::Dim);
    }
    let rows = usize::from(list.height);
    let at = model.contact.min(found.len().saturating_sub(1));
    let first = first_shown(at, found.len(), rows);
    for ((index, contact), y) in found.iter().enumerate().skip(first).take(rows).zip(list.y..) {
        let row = Rect { y, height: 1, ..list };
        p.spot(row, Spot::Contact(index));
        if index == at {
            p.tint(row, Role::Selected);
        }
        one(model, p, row, contact, index == at);
    }
    if let Some(contact) = found.get(at) {
        below(
            model,
            p,
            Rect { y: list.bottom(), height: inside.bottom().saturating_sub(list.bottom()), ..inside },
            contact,
        );
    }
    Some(Position { x: cursor.min(inside.right().saturating_sub(1)), y: inside.y })
}

fn one(model: &Model, p: &mut Painter<'_>, row: Rect, contact: &Contact, selected: bool) {
    p.cell(row.x, row.y, if selected { p.glyphs.cursor } else { ' ' }, Role::Accent);
    let mut end = row.right();
    if let Some(view) = model.watched(contact) {
        let (sign, role) = words::lamp(p.glyphs, view.lamp);
        p.cell(row.x + 2, row.y, sign, role);
        end = p.put_right(end, row.y, STATE, view.lamp.word(), role).saturating_sub(1);
    }
    let x = row.x + 4;
    let half = row.right().saturating_sub(x) / 2;
    p.put(x, row.y, half.saturating_sub(1), &contact.name, if selected { Role::Strong } else { Role::Text });
    let number = model.number_of(contact, selected).map(shown).unwrap_or_default();
    p.put(x + half, row.y, end.saturating_sub(x + half), &number, Role::Dim);
}

/// All numbers, the one that would be called first among them, and the note.
fn below(model: &Model, p: &mut Painter<'_>, area: Rect, contact: &Contact) {
    let dot = format!(" {} ", p.glyphs.dot);
    let numbers: Vec<String> = contact.numbers.iter().map(shown).collect();
    let mut facts = Vec::new();
    facts.extend(contact.speed.as_ref().map(|speed| format!("typing {speed} calls them")));
    facts.extend(model.watched(contact).map(|view| view.note.clone()).filter(|note| !note.is_empty()));
    facts.extend(Some(contact.note.clone()).filter(|note| !note.is_empty()));
    p.put(area.x, area.y + 1, area.width, &numbers.join(&dot), Role::Text);
    if area.height > 2 {
        p.put(area.x, area.y + 2, area.width, &facts.join(&dot), Role::Dim);
    }
}

fn shown(number: &Number) -> String {
    if number.label.is_empty() { number.address.clone() } else { format!("{} {}", number.label, number.address) }
}
