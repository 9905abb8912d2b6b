//! Draws the model. Pure: the same model gives the same picture, and no clock is read.
mod account;
mod accounts;
mod band;
mod bottom;
mod contacts;
mod details;
mod figures;
mod header;
mod help;
mod idle;
mod keypad;
mod ladder;
mod layout;
mod lists;
mod log;
mod message;
mod messages;
mod panel;
mod quality;
mod sentence;
mod simulation;
mod texts;
mod words;

use crate::tui::model::{Model, Page, Popup, Spot};
use crate::tui::theme::Role;
use crate::tui::view::layout::Areas;
use crate::tui::widget::paint::Painter;
use crate::tui::widget::text;
use crate::ua::ladder::LadderEntry;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

pub fn view(model: &Model, frame: &mut Frame<'_>) {
    if let Some(cursor) = draw(model, frame.buffer_mut()) {
        frame.set_cursor_position(cursor);
    }
}

/// Draws into `buf`; returns where the cursor stands while a line of text is open.
pub fn draw(model: &Model, buf: &mut Buffer) -> Option<Position> {
    paint(model, &mut Painter { buf, theme: &model.theme, glyphs: model.glyphs, spots: Vec::new() })
}

/// What the mouse points at there. The picture is drawn once more for it, so that nothing has to be kept between frames.
pub fn spot(model: &Model, at: Position) -> Option<Spot> {
    let (width, height) = model.size;
    let mut buf = Buffer::empty(Rect { x: 0, y: 0, width, height });
    let mut p = Painter { buf: &mut buf, theme: &model.theme, glyphs: model.glyphs, spots: Vec::new() };
    paint(model, &mut p);
    p.spots.into_iter().rev().find(|(area, _)| area.contains(at)).map(|(_, spot)| spot)
}

fn paint(model: &Model, p: &mut Painter<'_>) -> Option<Position> {
    p.clear(p.buf.area, Role::Text);
    let Some(areas) = layout::areas(model) else {
        too_small(model, p);
        return None;
    };
    header::draw(model, p, areas.header);
    if let Some(area) = areas.band {
        band::draw(model, p, area);
    }
    let mut cursor = None;
    match model.page {
        Page::Main => main_page(model, p, &areas),
        Page::Quality => quality::draw(model, p, areas.middle),
        Page::Accounts => accounts::draw(model, p, areas.middle),
        Page::Account => account::draw(model, p, areas.middle),
        Page::Messages => {
            messages::draw(model, p, areas.middle);
            if let Some(Popup::Message { entry }) = &model.popup {
                message::draw(model, p, areas.middle, entry);
            }
        }
        Page::Contacts => cursor = contacts::draw(model, p, areas.middle),
        Page::Log => log::draw(model, p, areas.middle),
        Page::Texts => texts::draw(model, p, areas.middle),
        Page::Help => help::draw(model, p, areas.middle),
    }
    if let Some(area) = areas.simulation {
        simulation::draw(model, p, area);
    }
    bottom::status(model, p, areas.status);
    bottom::keys(model, p, areas.keys);
    bottom::input(model, p, areas.input).or(cursor)
}

fn main_page(model: &Model, p: &mut Painter<'_>, areas: &Areas) {
    if let Some(area) = areas.strip {
        lists::strip(model, p, area);
    }
    if let Some(area) = areas.calls {
        lists::calls(model, p, area);
    }
    if let Some(area) = areas.recent {
        lists::recent(model, p, area);
    }
    if let Some(area) = areas.panel {
        panel::draw(model, p, area);
    }
    if let Some(area) = areas.ladder {
        ladder::draw(model, p, area);
    }
    if model.popup.is_some() {
        // The window covers what is below it.
        p.spots.retain(|(area, _)| !areas.middle.intersects(*area));
    }
    match &model.popup {
        Some(Popup::Keypad { sent }) => keypad::draw(model, p, areas.middle, sent),
        Some(Popup::Message { entry, .. }) => message::draw(model, p, areas.middle, entry),
        Some(Popup::Details) => details::draw(model, p, areas.middle),
        None => {}
    }
}

/// Lines of what is longer than its window, and how many of them the window shows.
pub fn extent(model: &Model) -> (usize, usize) {
    let Some(areas) = layout::areas(model) else { return (0, 1) };
    let middle = areas.middle;
    match (model.page, &model.popup) {
        (Page::Account, _) => account::extent(model, middle),
        (Page::Log, _) => log::extent(model, middle),
        (Page::Help, _) => help::extent(model, middle),
        (Page::Main | Page::Messages, Some(Popup::Message { entry, .. })) => message::extent(model, middle, entry),
        (Page::Main, Some(Popup::Details)) => details::extent(model, middle),
        (Page::Main | Page::Messages | Page::Quality | Page::Accounts | Page::Contacts | Page::Texts, _) => (0, 1),
    }
}

/// Rows the list of recent calls shows.
pub fn recent_rows(model: &Model) -> usize {
    layout::areas(model).and_then(|areas| areas.recent).map_or(1, inner_rows)
}

/// The rows of a message's window that have what is looked for.
pub fn matching_lines(model: &Model, entry: &LadderEntry) -> Vec<usize> {
    layout::areas(model).map_or(Vec::new(), |areas| message::matching(model, areas.middle, entry))
}

/// Rows the messages page shows.
pub fn page_rows(model: &Model) -> usize {
    layout::areas(model).map_or(1, |areas| inner_rows(areas.middle).saturating_sub(1).max(1))
}

/// Rows the message ladder shows.
pub fn message_rows(model: &Model) -> usize {
    layout::areas(model).and_then(|areas| areas.ladder).map_or(1, inner_rows)
}

/// Watched phones that one page moves over.
pub fn lamp_rows(model: &Model) -> usize {
    layout::areas(model).and_then(|areas| areas.panel).map_or(1, |area| inner_rows(area) / 2)
}

fn inner_rows(area: Rect) -> usize {
    usize::from(area.height.saturating_sub(2)).max(1)
}

/// The first row shown of a list of `count` so that row `at` is seen.
fn first_shown(at: usize, count: usize, rows: usize) -> usize {
    at.saturating_sub(rows.saturating_sub(1) / 2).min(count.saturating_sub(rows))
}

/// Even a window too small for the screen says who calls, who is talked with, and what is asked.
fn too_small(model: &Model, p: &mut Painter<'_>) {
    let area = p.buf.area;
    let (columns, rows) = layout::MIN;
    let mut lines = vec![
        (format!("{}x{} is too small", area.width, area.height), Role::Fair),
        (format!("offhook needs {columns}x{rows}"), Role::Dim),
    ];
    for call in model.live_calls() {
        let (word, role) = words::call_state(model, call);
        lines.push((format!("{} {word}", call.peer_name), role));
    }
    if let Some((_, role, content)) = bottom::urgent(model) {
        lines.extend(text::fold(&content, usize::from(area.width)).into_iter().map(|line| (line, role)));
    }
    let y = area.top() + area.height.saturating_sub(u16::try_from(lines.len()).unwrap_or(0)) / 2;
    for (line, (content, role)) in lines.iter().enumerate() {
        let wide = u16::try_from(text::width(content)).unwrap_or(u16::MAX).min(area.width);
        let x = area.left() + (area.width - wide) / 2;
        p.put(x, y.saturating_add(u16::try_from(line).unwrap_or(u16::MAX)), area.width, content, *role);
    }
}
