//! The SIP messages of a call as arrows: ours to the right, theirs to the left.
use super::lists::{has_cursor, title_role};
use super::{first_shown, inner_rows};
use crate::tui::model::{Model, Pane, Spot};
use crate::tui::theme::Role;
use crate::tui::widget::clock::Local;
use crate::tui::widget::paint::{Painter, padded};
use crate::ua::ladder::LadderEntry;
use ratatui::layout::Rect;

pub fn draw(model: &Model, p: &mut Painter<'_>, area: Rect) {
    let entries = model.ladder();
    let count = format!("{}", entries.len());
    let remark: &[(&str, Role)] = if entries.is_empty() { &[] } else { &[(&count, Role::Dim)] };
    let inside = p.frame(area, "Messages", title_role(model, Pane::Messages), remark);
    if entries.is_empty() {
        p.put(inside.x + 1, inside.y, inside.width, "none yet", Role::Dim);
    }
    let last = entries.len().saturating_sub(1);
    let at = model.message.unwrap_or(last).min(last);
    let rows = inner_rows(area);
    let first =
        if model.message.is_none() { entries.len().saturating_sub(rows) } else { first_shown(at, entries.len(), rows) };
    let cursor = has_cursor(model, Pane::Messages);
    for (y, (index, entry)) in (inside.top()..inside.bottom()).zip(entries.iter().enumerate().skip(first)) {
        let row = Rect { y, height: 1, ..inside };
        p.spot(row, Spot::Message(index));
        if cursor && index == at {
            p.tint(row, Role::Selected);
            p.cell(row.x, y, p.glyphs.cursor, Role::Accent);
        }
        let before = index.checked_sub(1).and_then(|before| entries.get(before)).map(AsRef::as_ref);
        message(model, p, padded(row), entry, before);
    }
}

/// `10:38:55  ── INVITE ─────▶`; the time only where it is another second than above.
fn message(model: &Model, p: &mut Painter<'_>, area: Rect, entry: &LadderEntry, before: Option<&LadderEntry>) {
    let y = area.y;
    let time = |entry: &LadderEntry| Local::new(entry.wall, (model.zone)(entry.wall)).seconds();
    let at = time(entry);
    let role = if before.is_some_and(|before| time(before) == at) { Role::Faint } else { Role::Dim };
    p.put(area.x, y, 8, &at, role);
    if !entry.is_message() {
        // What happened beside the messages went no way.
        let words = format!("{}  {}", p.glyphs.dot, entry.label);
        p.put(area.x + 9, y, area.width.saturating_sub(9), &words, Role::Dim);
        return;
    }
    let repeats = if entry.repeats > 0 { format!(" {}{}", p.glyphs.times, entry.repeats + 1) } else { String::new() };
    let label = format!(" {}{repeats} ", entry.label);
    let (x, end) = (area.x + 9, area.right());
    for column in x..end {
        p.cell(column, y, p.glyphs.shaft, Role::Faint);
    }
    let role = role_of(entry);
    p.put(x + 2, y, end.saturating_sub(x + 4), &label, role);
    if entry.sent {
        p.cell(end.saturating_sub(1), y, p.glyphs.arrow_right, role);
    } else {
        p.cell(x, y, p.glyphs.arrow_left, role);
    }
}

/// Failures are seen at once; a challenge is none.
pub fn role_of(entry: &LadderEntry) -> Role {
    let status = entry.label.get(..3).and_then(|digits| digits.parse::<u16>().ok());
    match status {
        Some(401 | 407 | 487) => Role::Dim,
        Some(400..) => Role::Poor,
        _ if entry.sent => Role::Sent,
        _ => Role::Received,
    }
}
