//! The page of texts: with whom, and what was written.
use crate::tui::model::{Model, Spot, Thread};
use crate::tui::theme::Role;
use crate::tui::widget::clock::Local;
use crate::tui::widget::paint::{Painter, padded};
use crate::tui::widget::text;
use crate::ua::snapshot::{TextState, TextView};
use ratatui::layout::Rect;

/// Columns of the list, of one in a small window.
const LIST: u16 = 26;
const NARROW: u16 = 18;

pub fn draw(model: &Model, p: &mut Painter<'_>, area: Rect) {
    let threads = model.threads();
    let width = if area.width < 80 { NARROW } else { LIST };
    let list = Rect { width, ..area };
    let thread = Rect { x: area.x + width, width: area.width.saturating_sub(width), ..area };
    let inside = p.frame(list, "Texts", Role::Strong, &[]);
    if threads.is_empty() {
        p.put(inside.x + 1, inside.y, inside.width.saturating_sub(2), "none yet", Role::Dim);
    }
    let at = threads.iter().position(|t| Some(&t.peer) == model.reading.peer.as_ref());
    let rows = usize::from(inside.height);
    let first = super::first_shown(at.unwrap_or(0), threads.len(), rows);
    for ((index, one), y) in threads.iter().enumerate().skip(first).take(rows).zip(inside.y..) {
        let row = Rect { y, height: 1, ..inside };
        p.spot(row, Spot::Thread(index));
        entry(p, row, one, Some(index) == at);
    }
    match at.and_then(|at| threads.get(at)) {
        Some(one) => written(model, p, thread, one),
        None => {
            let inside = padded(p.frame(thread, "", Role::Strong, &[]));
            let hint = ":message 1002 hello writes to somebody new";
            p.put(inside.x, inside.y, inside.width, hint, Role::Dim);
        }
    }
}

fn entry(p: &mut Painter<'_>, row: Rect, thread: &Thread<'_>, chosen: bool) {
    if chosen {
        p.tint(row, Role::Selected);
        p.cell(row.x, row.y, p.glyphs.cursor, Role::Accent);
    }
    let mut end = row.right().saturating_sub(1);
    if thread.unread > 0 {
        end = p.put_right(end, row.y, 5, &thread.unread.to_string(), Role::Accent).saturating_sub(1);
    }
    let role = if thread.unread > 0 { Role::Strong } else { Role::Text };
    p.put(row.x + 2, row.y, end.saturating_sub(row.x + 2), thread.name, role);
}

fn written(model: &Model, p: &mut Painter<'_>, area: Rect, thread: &Thread<'_>) {
    let account = if model.snapshot.accounts.len() > 1 { model.account_name(thread.peer.account) } else { "" };
    let address = if thread.name == thread.peer.address { "" } else { thread.peer.address.as_str() };
    let known: Vec<&str> = [address, account].into_iter().filter(|remark| !remark.is_empty()).collect();
    let remark = known.join(&format!(" {} ", p.glyphs.dot));
    let remark: &[(&str, Role)] = if remark.is_empty() { &[] } else { &[(&remark, Role::Dim)] };
    let inside = padded(p.frame(area, thread.name, Role::Focus, remark));
    // How sure it is who writes is said where it changes.
    let mut trust = "";
    let mut told = Vec::new();
    for text in thread.texts.iter().copied() {
        let says = if text.outgoing || text.trust == trust { "" } else { text.trust.as_str() };
        trust = if text.outgoing { trust } else { &text.trust };
        told.extend(lines(model, text, says, usize::from(inside.width)));
    }
    let lines: Vec<(String, Role)> = told;
    if lines.is_empty() {
        p.put(inside.x, inside.y, inside.width, "nothing written yet", Role::Dim);
    }
    let height = usize::from(inside.height);
    let last = lines.len().saturating_sub(model.scroll.min(lines.len().saturating_sub(height)));
    for ((line, role), y) in lines.iter().take(last).skip(last.saturating_sub(height)).zip(inside.y..inside.bottom()) {
        p.put(inside.x, y, inside.width, line, *role);
    }
}

/// Who and when, what became of it, and the text.
fn lines(model: &Model, view: &TextView, trust: &str, width: usize) -> Vec<(String, Role)> {
    let local = |at| Local::new(at, (model.zone)(at));
    let at = local(view.at).short(local(model.wall));
    let (who, role) = if view.outgoing { ("you", Role::Label) } else { (view.peer_name.as_str(), Role::Accent) };
    let (state, state_role) = match &view.state {
        TextState::Received => (String::new(), Role::Dim),
        TextState::Sending => ("sending".to_owned(), Role::Fair),
        TextState::Delivered => ("delivered".to_owned(), Role::Dim),
        TextState::Accepted => ("kept for them by the server".to_owned(), Role::Dim),
        TextState::Failed(cause) => (format!("failed: {cause}"), Role::Poor),
    };
    let trust = if trust.is_empty() { String::new() } else { format!(" ({trust})") };
    let mut out = vec![(format!("{at}  {who}{trust}"), role)];
    let body = view.text.lines().flat_map(|line| text::fold(line, width.saturating_sub(2)));
    out.extend(body.map(|line| (format!("  {line}"), Role::Text)));
    if !state.is_empty() {
        out.extend(
            text::fold(&state, width.saturating_sub(2)).into_iter().map(|line| (format!("  {line}"), state_role)),
        );
    }
    out
}
