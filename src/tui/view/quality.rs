//! The quality page: both directions of a call on one time axis.
use super::{sentence, words};
use crate::qos::snapshot::{CallQuality, Reading};
use crate::tui::model::Model;
use crate::tui::theme::Role;
use crate::tui::widget::clock::Local;
use crate::tui::widget::grade::Figure;
use crate::tui::widget::graph;
use crate::tui::widget::paint::{Painter, padded};
use crate::tui::widget::text;
use ratatui::layout::Rect;

/// Columns before the graphs: name, direction, number and unit, scale.
const NAME: u16 = 7;
const DIRECTION: u16 = 10;
const NUMBER: u16 = 9;
const SCALE: u16 = 6;
/// Seconds between two marks of the time axis.
const MARK: usize = 15;

/// One time line with what is said of it.
struct Strip<'a> {
    figure: Figure,
    direction: &'static str,
    now: Option<f64>,
    line: &'a [Option<f32>],
    scale: (f32, f32),
}

pub fn draw(model: &Model, p: &mut Painter<'_>, area: Rect) {
    let Some(call) = model.frozen.as_ref().map(|f| &f.call).or_else(|| model.selected_call()) else {
        let inside = padded(p.frame(area, "Quality", Role::Focus, &[]));
        p.put(inside.x, inside.y, inside.width, "There is no call.", Role::Dim);
        return;
    };
    let frozen = model.frozen.as_ref().map(|f| {
        let at = Local::new(f.wall, (model.zone)(f.wall)).seconds();
        format!("stopped at {at}")
    });
    let (state, role) = words::call_state(model, call);
    let remark = frozen.map_or((state, role), |frozen| (frozen, Role::Fair));
    let title = format!("Quality: {}", call.peer_name);
    let inside = padded(p.frame(area, &title, Role::Focus, &[(&remark.0, remark.1)]));
    let quality = &call.quality;
    let (strips, height, low) = strips(quality, inside.height);
    let mut y = inside.y;
    for strip in &strips {
        let height = if matches!(strip.figure, Figure::RoundTrip | Figure::Delay) { low } else { height };
        draw_strip(p, Rect { y, height, ..inside }, strip, model.look_back);
        y += height;
    }
    axis(p, Rect { y, height: 1, ..inside }, model.look_back);
    let said = sentence::of(model, p.glyphs, call);
    if y + 1 < inside.bottom() {
        p.cell(inside.x, y + 1, said.sign, said.role);
    }
    let (rows, room) = (y + 1..inside.bottom(), inside.width.saturating_sub(2));
    for (line, y) in text::fold_rows(&said.words(), usize::from(room), rows.len()).iter().zip(rows) {
        p.put(inside.x + 2, y, room, line, Role::Text);
    }
}

/// The time lines of both directions, one figure below the other, and how high they can be.
fn strips(quality: &CallQuality, rows: u16) -> (Vec<Strip<'_>>, u16, u16) {
    let mut strips = Vec::with_capacity(8);
    let (i, o) = (&quality.inbound, &quality.outbound);
    let value = |reading: Option<Reading>| reading.map(|r| r.value);
    for (figure, here, here_line, there, there_line) in [
        (Figure::Mos, i.mos, &i.mos_line, o.mos, &o.mos_line),
        (Figure::Loss, i.loss, &i.loss_line, o.loss, &o.loss_line),
        (Figure::Jitter, i.jitter, &i.jitter_line, o.jitter, &o.jitter_line),
    ] {
        let scale = figure.scale(&[here_line, there_line]);
        strips.push(Strip { figure, direction: "we hear", now: value(here), line: here_line, scale });
        strips.push(Strip { figure, direction: "they hear", now: value(there), line: there_line, scale });
    }
    let trip = &quality.round_trip_line;
    let now = value(quality.round_trip);
    strips.push(Strip {
        figure: Figure::RoundTrip,
        direction: "",
        now,
        line: trip,
        scale: Figure::RoundTrip.scale(&[trip]),
    });
    let delay = &quality.delay_line;
    let scale = Figure::Delay.scale(&[delay]);
    strips.push(Strip { figure: Figure::Delay, direction: "", now: quality.delay.total, line: delay, scale });
    let fits = |height: &u16| 6 * height + 2 * (height / 2).max(1) + 2 <= rows.max(10);
    let height = (1..=5).rev().find(fits).unwrap_or(1);
    (strips, height, (height / 2).max(1))
}

fn graph_area(area: Rect) -> Rect {
    let before = NAME + DIRECTION + NUMBER + SCALE;
    Rect { x: area.x + before, width: area.width.saturating_sub(before), ..area }
}

fn draw_strip(p: &mut Painter<'_>, area: Rect, strip: &Strip<'_>, look_back: usize) {
    let (x, y) = (area.x, area.y);
    let names_itself = strip.direction != "they hear";
    p.put(x, y, NAME, if names_itself { strip.figure.name() } else { "" }, Role::Label);
    p.put(x + NAME, y, DIRECTION, strip.direction, Role::Dim);
    let end = x + NAME + DIRECTION + 5;
    let (number, role) = match strip.now {
        Some(value) => (strip.figure.number(value), strip.figure.grade(value).role()),
        None => (p.glyphs.dash.to_string(), Role::Unknown),
    };
    p.put_right(end, y, 5, &number, if role == Role::Good { Role::Text } else { role });
    p.put(end + 1, y, 2, strip.figure.unit(), Role::Dim);
    if area.height > 1 {
        worst(p, end, y + 1, strip);
    }
    let graph = graph_area(area);
    let scale = |value: f32| if strip.figure == Figure::Mos { format!("{value:.1}") } else { format!("{value:.0}") };
    p.put_right(graph.x.saturating_sub(1), y, SCALE, &scale(strip.scale.1), Role::Dim);
    if area.height > 1 {
        p.put_right(graph.x.saturating_sub(1), area.bottom() - 1, SCALE, &scale(strip.scale.0), Role::Dim);
    }
    graph::time_line(p, graph, strip.figure, strip.line, look_back, strip.scale);
}

/// The worst moment of the whole time line.
fn worst(p: &mut Painter<'_>, end: u16, y: u16, strip: &Strip<'_>) {
    if let Some(worst) = strip.figure.worst(strip.line) {
        let start = p.put_right(end, y, 5, &strip.figure.number(f64::from(worst)), Role::Dim);
        p.put_right(start.saturating_sub(1), y, 5, "worst", Role::Dim);
        p.put(end + 1, y, 2, strip.figure.unit(), Role::Dim);
    }
}

/// `-45 s          -30 s          -15 s         now`
fn axis(p: &mut Painter<'_>, area: Rect, look_back: usize) {
    let graph = graph_area(area);
    for x in graph.left()..graph.right() {
        p.cell(x, area.y, p.glyphs.frame[4], Role::Faint);
    }
    let width = usize::from(graph.width);
    let first = look_back.next_multiple_of(MARK);
    for seconds in (first..look_back + width).step_by(MARK) {
        let label = if seconds == 0 { " now".to_owned() } else { format!(" -{seconds} s ") };
        let end = graph.right().saturating_sub(u16::try_from(seconds - look_back).unwrap_or(u16::MAX));
        let room = end.saturating_sub(graph.x);
        if usize::from(room) >= text::width(&label) {
            p.put_right(end, area.y, 8, &label, Role::Dim);
        }
    }
}
