//! The messages page: every message of a call and of all that belong to it, as arrows between us and the others.
use super::first_shown;
use super::ladder::role_of;
use crate::tui::model::Model;
use crate::tui::model::Spot;
use crate::tui::model::messages::{Whose, matches};
use crate::tui::theme::Role;
use crate::tui::widget::clock::Local;
use crate::tui::widget::paint::{Painter, padded};
use crate::tui::widget::text;
use crate::ua::ladder::LadderEntry;
use crate::ua::ladder::text::{letter, remotes};
use ratatui::layout::Rect;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Poles beside ours; more servers share the last one, where their letter stands on the arrow.
const POLES: usize = 3;
/// From here on there is room for hours and for the CSeq.
const WIDE: u16 = 76;

/// Where things stand in a row.
struct Columns {
    time: u16,
    delta: u16,
    /// Our pole, and those of the others.
    us: u16,
    poles: Vec<u16>,
    remark: u16,
}

pub fn draw(model: &Model, p: &mut Painter<'_>, area: Rect) {
    let rows = model.rows();
    let all = model.all_rows();
    let messages = all.iter().filter(|row| row.is_message()).count();
    let count = match &model.messages.method {
        Some(method) => format!("only {method}: {} of {messages}", rows.len()),
        None => format!("{messages}"),
    };
    let what = match model.messages.whose {
        Some(Whose::Registration(_)) => "Registration of",
        _ => "Messages with",
    };
    let title = format!("{what} {}", model.whose_messages());
    let inside = padded(p.frame(area, &title, Role::Focus, &[(&count, Role::Dim)]));
    if rows.is_empty() {
        let none =
            if all.is_empty() { "No messages yet." } else { "No message of this method; :filter alone shows all." };
        p.put(inside.x, inside.y, inside.width, none, Role::Dim);
        return;
    }
    let others = remotes(&all);
    let columns = columns(inside, others.len());
    heading(p, inside, &columns, &others);
    let body = Rect { y: inside.y + 1, height: inside.height.saturating_sub(1), ..inside };
    let last = rows.len() - 1;
    let at = model.messages.at.unwrap_or(last).min(last);
    let first = first_shown(at, rows.len(), usize::from(body.height));
    let pattern = model.messages.pattern();
    let several = rows.iter().any(|row| row.call != rows.first().and_then(|row| row.call));
    for (y, (index, row)) in (body.top()..body.bottom()).zip(rows.iter().enumerate().skip(first)) {
        p.spot(Rect { y, height: 1, ..body }, Spot::Row(index));
        if index == at {
            p.tint(Rect { x: area.x + 1, y, width: area.width.saturating_sub(2), height: 1 }, Role::Selected);
            p.cell(area.x + 1, y, p.glyphs.cursor, Role::Accent);
        }
        let before = index.checked_sub(1).and_then(|before| rows.get(before));
        let line = Rect { y, height: 1, ..body };
        times(model, p, line, &columns, row, before);
        arrow(p, line, &columns, row, &others, matches(row, &pattern));
        remark(p, line, &columns, row, several);
    }
    let shown = usize::from(body.height);
    super::details::more(p, area, first, rows.len(), shown);
}

fn columns(inside: Rect, others: usize) -> Columns {
    let wide = inside.width >= WIDE - 4;
    let (time, delta) = (inside.x, inside.x + if wide { 13 } else { 10 });
    let us = delta + 9;
    let left = inside.right().saturating_sub(us);
    let poles = u16::try_from(others.clamp(1, POLES)).unwrap_or(1);
    let span = (left * 9 / 20).clamp(20, 24 + 12 * poles);
    let poles: Vec<u16> = (1..=poles).map(|pole| us + span * pole / poles).collect();
    let remark = poles.last().copied().unwrap_or(us) + 2;
    Columns { time, delta, us, poles, remark }
}

fn heading(p: &mut Painter<'_>, inside: Rect, columns: &Columns, others: &[SocketAddr]) {
    let y = inside.y;
    p.put(columns.us.saturating_sub(1), y, 3, "us", Role::Label);
    for (at, x) in columns.poles.iter().enumerate() {
        let mark = if at + 1 == columns.poles.len() && others.len() > columns.poles.len() { '*' } else { letter(at) };
        p.cell(*x, y, mark, Role::Label);
    }
    let legend = match others {
        [only] => only.to_string(),
        _ => {
            let named = others.iter().enumerate().map(|(at, remote)| format!("{} {remote}", letter(at)));
            named.collect::<Vec<_>>().join("  ")
        }
    };
    p.put(columns.remark, y, inside.right().saturating_sub(columns.remark), &legend, Role::Label);
}

fn times(
    model: &Model,
    p: &mut Painter<'_>,
    line: Rect,
    columns: &Columns,
    row: &LadderEntry,
    before: Option<&Arc<LadderEntry>>,
) {
    let millis = row.wall.duration_since(UNIX_EPOCH).map_or(0, |d| d.subsec_millis());
    let clock = Local::new(row.wall, (model.zone)(row.wall)).seconds();
    let time = if columns.delta - columns.time > 10 {
        format!("{clock}.{millis:03}")
    } else {
        format!("{}.{millis:03}", clock.get(3..).unwrap_or_default())
    };
    let second = |wall: SystemTime| wall.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let same = before.is_some_and(|before| second(before.wall) == second(row.wall));
    p.put(columns.time, line.y, 12, &time, if same { Role::Faint } else { Role::Dim });
    let since = before.map_or(0.0, |before| row.at.saturating_duration_since(before.at).as_secs_f64());
    let delta = match since {
        long if long >= 100.0 => format!("{long:>+7.0}"),
        short => format!("{short:>+7.3}"),
    };
    p.put(columns.delta, line.y, 7, &delta, if since >= 1.0 { Role::Text } else { Role::Dim });
}

fn arrow(p: &mut Painter<'_>, line: Rect, columns: &Columns, row: &LadderEntry, others: &[SocketAddr], found: bool) {
    let y = line.y;
    let Some(flow) = row.flow else {
        let room = line.right().saturating_sub(columns.us);
        let words = format!("{} {}", p.glyphs.dot, row.label);
        p.put(columns.us, y, room, &words, if found { Role::Match } else { Role::Dim });
        return;
    };
    let wall = p.glyphs.frame[5];
    for x in std::iter::once(columns.us).chain(columns.poles.iter().copied()) {
        p.cell(x, y, wall, Role::Faint);
    }
    let whom = others.iter().position(|other| *other == flow.remote).unwrap_or(0);
    let shared = whom >= columns.poles.len() || (whom + 1 == columns.poles.len() && others.len() > columns.poles.len());
    let to = columns.poles.get(whom.min(columns.poles.len() - 1)).copied().unwrap_or(columns.us + 20);
    let role = role_of(row);
    for x in columns.us + 1..to {
        p.cell(x, y, p.glyphs.shaft, Role::Faint);
    }
    let (head, at) = if row.sent { (p.glyphs.arrow_right, to - 1) } else { (p.glyphs.arrow_left, columns.us + 1) };
    p.cell(at, y, head, role);
    let repeats = if row.repeats > 0 { format!(" {}{}", p.glyphs.times, row.repeats + 1) } else { String::new() };
    let other = if shared { format!(" {}", letter(whom)) } else { String::new() };
    let room = usize::from(to - columns.us).saturating_sub(6);
    let label =
        text::fit(&row.label, room.saturating_sub(text::width(&repeats) + text::width(&other)), p.glyphs.ellipsis);
    p.put(
        columns.us + 3,
        y,
        to - columns.us - 3,
        &format!(" {label}{repeats}{other} "),
        if found { Role::Match } else { role },
    );
}

fn remark(p: &mut Painter<'_>, line: Rect, columns: &Columns, row: &LadderEntry, several: bool) {
    if !row.is_message() {
        return;
    }
    let room = line.right().saturating_sub(columns.remark);
    let call = row.call.filter(|_| several).map(|call| format!("#{call} ")).unwrap_or_default();
    let number = row.cseq.split(' ').next().unwrap_or_default();
    let cseq = if line.width >= WIDE - 4 { format!("{number:>5} ") } else { String::new() };
    let pieces = [(call.as_str(), Role::Accent), (cseq.as_str(), Role::Faint), (row.remark.as_str(), Role::Text)];
    p.pieces(columns.remark, line.y, room, &pieces);
}
