//! The log page: what happened, and what was dropped.
use super::details;
use crate::tui::model::Model;
use crate::tui::theme::Role;
use crate::tui::widget::paint::{Painter, padded};
use crate::tui::widget::text;
use ratatui::layout::Rect;

pub fn draw(model: &Model, p: &mut Painter<'_>, area: Rect) {
    let c = &model.snapshot.counters;
    let dropped = [
        ("malformed", c.malformed),
        ("strangers", c.strangers),
        ("repeated", c.retransmissions),
        ("too fast", c.rate_limited),
    ];
    let remark: Vec<String> = dropped.iter().map(|(name, count)| format!("{name} {count}")).collect();
    let remark = remark.join(&format!(" {} ", p.glyphs.dot));
    let inside = padded(p.frame(area, "Log", Role::Focus, &[(&remark, Role::Dim)]));
    if model.log.is_empty() {
        p.put(inside.x, inside.y, inside.width, "nothing happened yet", Role::Dim);
    }
    let lines = lines(model, usize::from(inside.width));
    let height = usize::from(inside.height);
    let first = model.scroll.min(lines.len().saturating_sub(height));
    for (y, line) in (inside.top()..inside.bottom()).zip(lines.iter().skip(first)) {
        p.put(inside.x, y, inside.width, line, Role::Text);
    }
    details::more(p, area, first, lines.len(), height);
}

/// What is too long for one line goes on in the next.
fn lines(model: &Model, width: usize) -> Vec<String> {
    let indented = |(part, line): (usize, String)| if part == 0 { line } else { format!("  {line}") };
    let folded = |line: &String| text::fold(line, width.saturating_sub(2)).into_iter().enumerate().map(indented);
    model.log.iter().flat_map(folded).collect()
}

pub fn extent(model: &Model, area: Rect) -> (usize, usize) {
    let width = usize::from(area.width.saturating_sub(4));
    (lines(model, width).len(), usize::from(area.height.saturating_sub(2)))
}
