//! The calls that are up, and those that were.
use super::{first_shown, inner_rows, words};
use crate::tui::model::{Model, Page, Pane, Spot};
use crate::tui::theme::Role;
use crate::tui::widget::clock::Local;
use crate::tui::widget::paint::{Painter, padded};
use crate::tui::widget::text;
use crate::ua::snapshot::{CallEnd, CallSummary, CallView};
use ratatui::layout::Rect;

/// Columns of a state or a duration.
const STATE: u16 = 9;

pub fn calls(model: &Model, p: &mut Painter<'_>, area: Rect) {
    let inside = p.frame(area, "Calls", title_role(model, Pane::Calls), &[]);
    if model.calls().next().is_none() {
        let hint = p.put(inside.x + 1, inside.y, inside.width, "none", Role::Dim);
        p.put(hint, inside.y, inside.right().saturating_sub(hint), ", c opens the line", Role::Faint);
    }
    rows(model, p, inside);
}

/// The calls without a frame, for narrow windows.
pub fn strip(model: &Model, p: &mut Painter<'_>, area: Rect) {
    rows(model, p, area);
}

fn rows(model: &Model, p: &mut Painter<'_>, area: Rect) {
    let all: Vec<&CallView> = model.calls().collect();
    let at = all.iter().position(|call| Some(call.number) == model.selected).unwrap_or(0);
    let first = first_shown(at, all.len(), usize::from(area.height));
    for (y, call) in (area.top()..area.bottom()).zip(all.into_iter().skip(first)) {
        row(model, p, Rect { y, height: 1, ..area }, call);
    }
}

fn row(model: &Model, p: &mut Painter<'_>, area: Rect, call: &CallView) {
    let y = area.y;
    let selected = Some(call.number) == model.selected;
    p.spot(area, Spot::Call(call.number));
    if selected && has_cursor(model, Pane::Calls) {
        p.tint(area, Role::Selected);
    }
    let sign = if selected { p.glyphs.cursor } else { ' ' };
    p.cell(area.x, y, sign, Role::Accent);
    let number = text::left(&call.number.to_string(), 2, ' ');
    let x = p.put(area.x + 1, y, 2, &number, Role::Dim);
    let (state, role) = words::call_state(model, call);
    let end = p.put_right(area.right(), y, STATE, &state, role);
    let mut name_end = end.saturating_sub(1);
    if call.recording.is_some() {
        name_end = name_end.saturating_sub(2);
        p.cell(name_end + 1, y, p.glyphs.good, Role::Poor);
    }
    let role = if selected { Role::Strong } else { Role::Text };
    p.put(x, y, name_end.saturating_sub(x), &call.peer_name, role);
}

pub fn recent(model: &Model, p: &mut Painter<'_>, area: Rect) {
    let missed = model.missed();
    let remark = format!("{missed} missed");
    let remark: &[(&str, Role)] = if missed > 0 { &[(&remark, Role::Poor)] } else { &[] };
    let inside = p.frame(area, "Recent", title_role(model, Pane::Recent), remark);
    let cursor = has_cursor(model, Pane::Recent);
    if model.history.is_empty() {
        p.put(inside.x + 1, inside.y, inside.width, "no calls yet", Role::Dim);
    }
    let first = first_shown(model.recent, model.history.len(), inner_rows(area));
    let today = Local::new(model.wall, (model.zone)(model.wall));
    let entries = model.recent_calls().enumerate().skip(first);
    for (y, (index, entry)) in (inside.top()..inside.bottom()).zip(entries) {
        let row = Rect { y, height: 1, ..inside };
        p.spot(row, Spot::Recent(index));
        let selected = cursor && index == model.recent;
        if selected {
            p.tint(row, Role::Selected);
            p.cell(row.x, y, p.glyphs.cursor, Role::Accent);
        }
        past_call(model, p, row, entry, today);
    }
}

fn past_call(model: &Model, p: &mut Painter<'_>, area: Rect, entry: &CallSummary, today: Local) {
    let y = area.y;
    let row = padded(area);
    let (sign, word, role) = words::past(p.glyphs, entry);
    p.cell(row.x, y, sign, role);
    let at = Local::new(entry.started, (model.zone)(entry.started)).short(today);
    let mut end = p.put_right(area.right(), y, 6, &at, Role::Dim);
    // The other ends are told apart by their sign; the whole story stands in the panel.
    if entry.end == CallEnd::Missed {
        end = p.put_right(end.saturating_sub(u16::from(!at.starts_with(' '))), y, 9, word, role);
    }
    let name = model.past_name(entry);
    p.put(row.x + 2, y, end.saturating_sub(row.x + 3), name, Role::Text);
}

/// Whether the cursor of the main page is in this list.
pub fn has_cursor(model: &Model, pane: Pane) -> bool {
    model.page == Page::Main
        && model.pane == pane
        && model.popup.is_none()
        && model.open.is_none()
        && model.knob.is_none()
}

pub fn title_role(model: &Model, pane: Pane) -> Role {
    if has_cursor(model, pane) { Role::Focus } else { Role::Label }
}
