//! One SIP message as it went over the wire, secrets masked.
use super::ladder;
use crate::tui::model::Model;
use crate::tui::theme::Role;
use crate::tui::widget::clock::Local;
use crate::tui::widget::paint::{Painter, padded};
use crate::tui::widget::text;
use crate::ua::ladder::LadderEntry;
use ratatui::layout::Rect;
use std::time::UNIX_EPOCH;

/// Lines of a message that are shown at most.
const MAX_LINES: usize = 2_000;

pub fn draw(model: &Model, p: &mut Painter<'_>, middle: Rect, entry: &LadderEntry) {
    let area = window(middle);
    p.clear(area, Role::Text);
    let millis = entry.wall.duration_since(UNIX_EPOCH).map_or(0, |d| d.subsec_millis());
    let at = Local::new(entry.wall, (model.zone)(entry.wall)).seconds();
    let title = format!("{} {}", if entry.sent { "sent" } else { "received" }, entry.label);
    let remark = format!("{} {} {at}.{millis:03}", entry.way(), p.glyphs.dot);
    let inside = padded(p.frame(area, &title, ladder::role_of(entry), &[(&remark, Role::Dim)]));
    let lines = lines(usize::from(inside.width), entry);
    let height = usize::from(inside.height);
    let first = model.scroll.min(lines.len().saturating_sub(height));
    for (y, (content, kind)) in (inside.top()..inside.bottom()).zip(lines.iter().skip(first)) {
        draw_line(p, Rect { y, height: 1, ..inside }, content, *kind);
    }
    super::details::more(p, area, first, lines.len(), height);
}

pub fn extent(middle: Rect, entry: &LadderEntry) -> (usize, usize) {
    let area = window(middle);
    let (width, height) = (usize::from(area.width.saturating_sub(4)), usize::from(area.height.saturating_sub(2)));
    (lines(width, entry).len(), height)
}

fn window(middle: Rect) -> Rect {
    let margin = if middle.width > 90 { 6 } else { 0 };
    Rect { x: middle.x + margin, width: middle.width.saturating_sub(2 * margin), ..middle }
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Start,
    Header,
    Continuation,
    Body,
}

fn lines(width: usize, entry: &LadderEntry) -> Vec<(String, Kind)> {
    let mut out = Vec::new();
    let mut kind = Kind::Start;
    for line in entry.wire.text().lines().take(MAX_LINES) {
        for (part, content) in text::wrap(line, width.max(8)).into_iter().enumerate() {
            let continued = part > 0 && kind != Kind::Body;
            out.push((content, if continued { Kind::Continuation } else { kind }));
        }
        kind = match kind {
            Kind::Body => Kind::Body,
            _ if line.is_empty() => Kind::Body,
            _ => Kind::Header,
        };
    }
    out
}

fn draw_line(p: &mut Painter<'_>, area: Rect, content: &str, kind: Kind) {
    let name = match kind {
        Kind::Start => {
            p.put(area.x, area.y, area.width, content, Role::Strong);
            return;
        }
        Kind::Header => content.split_once(':'),
        Kind::Body => content.split_once('='),
        Kind::Continuation => None,
    };
    match name {
        Some((name, _)) => {
            let (head, rest) = content.split_at_checked(name.len() + 1).unwrap_or((content, ""));
            p.pieces(area.x, area.y, area.width, &[(head, Role::Label), (rest, Role::Text)]);
        }
        None => {
            p.put(area.x, area.y, area.width, content, Role::Text);
        }
    }
}
