//! The log page: what happened, and what was dropped.
use super::details;
use crate::tui::model::Model;
use crate::tui::theme::Role;
use crate::tui::widget::paint::{Painter, padded};
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
    let height = usize::from(inside.height);
    let first = model.scroll.min(model.log.len().saturating_sub(height));
    for (y, line) in (inside.top()..inside.bottom()).zip(model.log.iter().skip(first)) {
        p.put(inside.x, y, inside.width, line, Role::Text);
    }
    details::more(p, area, first, model.log.len(), height);
}

pub fn extent(model: &Model, area: Rect) -> (usize, usize) {
    (model.log.len(), usize::from(area.height.saturating_sub(2)))
}
