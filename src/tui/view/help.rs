//! All keys and commands, made from the tables that are in force.
use super::details;
use crate::tui::keymap::Context;
use crate::tui::model::Model;
use crate::tui::theme::Role;
use crate::tui::update::command;
use crate::tui::widget::paint::{Painter, padded};
use crate::tui::widget::text;
use ratatui::layout::Rect;

/// Columns of the keys, and from where on there are two columns of rows.
const KEYS: usize = 21;
const TWO_COLUMNS: u16 = 110;

/// A heading, or keys and what they do.
enum Line {
    Blank,
    Heading(String),
    Row(String, String),
}

pub fn draw(model: &Model, p: &mut Painter<'_>, area: Rect) {
    let inside = padded(p.frame(area, "Help", Role::Focus, &[("offhook, a phone for the terminal", Role::Dim)]));
    let (lines, columns) = (lines(model, area), columns(area));
    let (count, height) = (lines.len().div_ceil(columns), usize::from(inside.height));
    let first = model.scroll.min(count.saturating_sub(height));
    let width = inside.width / columns as u16;
    for (column, x) in (0..columns).zip((inside.x..).step_by(usize::from(width.max(1)))) {
        let shown = lines.iter().skip(column * count).take(count).skip(first);
        for (y, line) in (inside.top()..inside.bottom()).zip(shown) {
            draw_line(p, x, y, width.saturating_sub(1), line);
        }
    }
    details::more(p, area, first, count, height);
}

pub fn extent(model: &Model, area: Rect) -> (usize, usize) {
    (lines(model, area).len().div_ceil(columns(area)), usize::from(area.height.saturating_sub(2)))
}

fn columns(area: Rect) -> usize {
    if area.width >= TWO_COLUMNS { 2 } else { 1 }
}

/// Where the user was comes first, all other places after.
fn lines(model: &Model, area: Rect) -> Vec<Line> {
    let room = (usize::from(area.width.saturating_sub(4)) / columns(area)).saturating_sub(KEYS + 4);
    let mut lines = Vec::new();
    let here = model.place_below();
    let elsewhere = Context::ALL.into_iter().filter(|context| !here.contains(context));
    for context in here.iter().copied().chain(elsewhere) {
        let title = context.title();
        heading(&mut lines, if here.first() == Some(&context) { format!("Here: {title}") } else { title.to_owned() });
        for binding in model.keymap.rows(context) {
            let keys: Vec<String> = binding.keys.iter().map(|key| key.label(model.glyphs.unicode)).collect();
            row(&mut lines, keys.join("  "), binding.row.description, room);
        }
    }
    heading(&mut lines, "Commands, behind :".to_owned());
    for word in command::all() {
        row(&mut lines, format!("{} {}", word.name, word.arguments), word.description, room);
    }
    lines
}

fn heading(lines: &mut Vec<Line>, title: String) {
    if !lines.is_empty() {
        lines.push(Line::Blank);
    }
    lines.push(Line::Heading(title));
}

fn row(lines: &mut Vec<Line>, keys: String, description: &str, room: usize) {
    let mut keys = keys;
    for part in text::fold(description, room) {
        lines.push(Line::Row(std::mem::take(&mut keys), part));
    }
}

fn draw_line(p: &mut Painter<'_>, x: u16, y: u16, width: u16, line: &Line) {
    match line {
        Line::Blank => {}
        Line::Heading(title) => {
            p.put(x, y, width, title, Role::Strong);
        }
        Line::Row(keys, description) => {
            let keys = text::left(keys, KEYS, p.glyphs.ellipsis);
            p.pieces(
                x,
                y,
                width,
                &[("  ", Role::Text), (&keys, Role::Key), (" ", Role::Text), (description, Role::Text)],
            );
        }
    }
}
