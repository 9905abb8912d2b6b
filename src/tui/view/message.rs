//! One SIP message as it went over the wire, secrets masked: names, identifiers and what is looked for stand out.
use super::ladder;
use crate::tui::model::Model;
use crate::tui::model::messages::before;
use crate::tui::theme::Role;
use crate::tui::widget::clock::Local;
use crate::tui::widget::paint::{Painter, padded};
use crate::tui::widget::text;
use crate::ua::ladder::LadderEntry;
use ratatui::layout::Rect;
use std::collections::BTreeSet;
use std::ops::Range;
use std::time::UNIX_EPOCH;

/// Lines of a message that are shown at most.
const MAX_LINES: usize = 2_000;
/// Columns in front of a line while messages are compared.
const MARGIN: u16 = 2;

/// One row of the window: a part of a line, and what its pieces are.
struct Part {
    text: String,
    roles: Vec<(Range<usize>, Role)>,
    /// The line is not in the message compared with.
    differs: bool,
}

pub fn draw(model: &Model, p: &mut Painter<'_>, middle: Rect, entry: &LadderEntry) {
    let area = window(middle);
    p.clear(area, Role::Text);
    let millis = entry.wall.duration_since(UNIX_EPOCH).map_or(0, |d| d.subsec_millis());
    let at = Local::new(entry.wall, (model.zone)(entry.wall)).seconds();
    let title = format!("{} {}", if entry.sent { "sent" } else { "received" }, entry.label);
    let remark = format!("{} {} {at}.{millis:03}", entry.way(), p.glyphs.dot);
    let inside = padded(p.frame(area, &title, ladder::role_of(entry), &[(&remark, Role::Dim)]));
    let parts = parts(model, inside.width, entry);
    let height = usize::from(inside.height);
    let first = model.scroll.min(parts.len().saturating_sub(height));
    let margin = if model.messages.compares { MARGIN } else { 0 };
    for (y, part) in (inside.top()..inside.bottom()).zip(parts.iter().skip(first)) {
        if part.differs {
            p.cell(inside.x, y, '*', Role::Accent);
        }
        let pieces: Vec<(&str, Role)> =
            part.roles.iter().filter_map(|(range, role)| Some((part.text.get(range.clone())?, *role))).collect();
        p.pieces(inside.x + margin, y, inside.width.saturating_sub(margin), &pieces);
    }
    super::details::more(p, area, first, parts.len(), height);
}

pub fn extent(model: &Model, middle: Rect, entry: &LadderEntry) -> (usize, usize) {
    let area = window(middle);
    (parts(model, area.width.saturating_sub(4), entry).len(), usize::from(area.height.saturating_sub(2)))
}

/// The rows of the window that have what is looked for.
pub fn matching(model: &Model, middle: Rect, entry: &LadderEntry) -> Vec<usize> {
    let parts = parts(model, window(middle).width.saturating_sub(4), entry);
    let found = |part: &Part| part.roles.iter().any(|(_, role)| *role == Role::Match);
    parts.iter().enumerate().filter(|(_, part)| found(part)).map(|(at, _)| at).collect()
}

fn window(middle: Rect) -> Rect {
    let margin = if middle.width > 90 { 6 } else { 0 };
    Rect { x: middle.x + margin, width: middle.width.saturating_sub(2 * margin), ..middle }
}

fn parts(model: &Model, width: u16, entry: &LadderEntry) -> Vec<Part> {
    let pattern = model.messages.pattern();
    let margin = if model.messages.compares { MARGIN } else { 0 };
    let width = usize::from(width.saturating_sub(margin)).max(8);
    let rows = if model.messages.compares { model.all_rows() } else { Vec::new() };
    let other = before(&rows, entry).map(|other| other.wire.text());
    let known: Option<BTreeSet<&str>> = other.as_ref().map(|text| text.lines().collect());
    let mut out = Vec::new();
    let mut place = Place::Start;
    for line in entry.wire.text().lines().take(MAX_LINES) {
        let roles = roles(line, place, entry, &pattern);
        let differs = known.as_ref().is_some_and(|known| !known.contains(line));
        let mut offset = 0;
        for (index, content) in text::wrap(line, width).into_iter().enumerate() {
            let indent = if index == 0 { 0 } else { 2 };
            let length = content.len() - indent;
            let own = offset..offset + length;
            let cut = |(range, role): &(Range<usize>, Role)| {
                let (start, end) = (range.start.max(own.start), range.end.min(own.end));
                (start < end).then(|| (start - own.start + indent..end - own.start + indent, *role))
            };
            let lead = (indent > 0).then_some((0..indent, Role::Text));
            out.push(Part {
                roles: lead.into_iter().chain(roles.iter().filter_map(cut)).collect(),
                text: content,
                differs,
            });
            offset += length;
        }
        place = match place {
            Place::Body => Place::Body,
            _ if line.is_empty() => Place::Body,
            _ => Place::Header,
        };
    }
    out
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    Start,
    Header,
    Body,
}

/// What each byte of a line is, in ranges one after the other.
fn roles(line: &str, place: Place, entry: &LadderEntry, pattern: &str) -> Vec<(Range<usize>, Role)> {
    let mut of = vec![if place == Place::Start { ladder::role_of(entry) } else { Role::Text }; line.len()];
    let mut paint = |range: Range<usize>, role: Role| {
        if let Some(part) = of.get_mut(range) {
            part.fill(role);
        }
    };
    let separator = match place {
        Place::Start => None,
        Place::Header => line.find(':'),
        Place::Body => line.find('='),
    };
    if let Some(at) = separator {
        paint(0..at + 1, Role::Label);
        if place == Place::Header {
            identifiers(line, at + 1, entry).into_iter().for_each(|(range, role)| paint(range, role));
        }
    }
    for range in found(line, pattern) {
        paint(range, Role::Match);
    }
    let mut ranges: Vec<(Range<usize>, Role)> = Vec::new();
    for (at, role) in of.into_iter().enumerate() {
        match ranges.last_mut() {
            Some((range, last)) if *last == role => range.end = at + 1,
            _ => ranges.push((at..at + 1, role)),
        }
    }
    ranges
}

/// Call-ID, tags and branch: what this phone made in one colour, what the other side made in another, in every message.
fn identifiers(line: &str, value: usize, entry: &LadderEntry) -> Vec<(Range<usize>, Role)> {
    let name = line.get(..value - 1).unwrap_or_default().trim().to_ascii_lowercase();
    let response = entry.status().is_some();
    // From is whoever asked; that is us in what we sent and in the answers to it.
    let asked = entry.sent != response;
    let role = |ours: bool| if ours { Role::Ours } else { Role::Theirs };
    let parameter = |mark: &str, ours: bool| {
        let found = line.to_ascii_lowercase().find(mark).map(|at| at + mark.len());
        let range = found.map(|start| {
            let rest = line.get(start..).unwrap_or_default();
            start..start + rest.find([';', ',', '>', ' ']).unwrap_or(rest.len())
        });
        range.map(|range| (range, role(ours))).into_iter().collect()
    };
    match name.as_str() {
        "call-id" | "i" => {
            let start = value + line.get(value..).map_or(0, |rest| rest.len() - rest.trim_start().len());
            vec![(start..line.len(), Role::Ours)]
        }
        "via" | "v" => parameter(";branch=", asked),
        "from" | "f" => parameter(";tag=", asked),
        "to" | "t" => parameter(";tag=", !asked),
        _ => Vec::new(),
    }
}

/// Where `pattern`, in lower case, stands in a line. Letters outside of ASCII are compared as they are.
fn found(line: &str, pattern: &str) -> Vec<Range<usize>> {
    if pattern.is_empty() {
        return Vec::new();
    }
    let folded = line.to_ascii_lowercase();
    folded.match_indices(pattern).map(|(at, part)| at..at + part.len()).collect()
}
