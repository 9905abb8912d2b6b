//! Both directions side by side: level, MOS, loss, jitter; below them round-trip time and playout delay.
use super::words;
use crate::qos::snapshot::{CallQuality, DelayParts, DirectionQuality, Reading};
use crate::tui::model::meter::FLOOR;
use crate::tui::model::{Model, is_over};
use crate::tui::theme::{Glyphs, Role};
use crate::tui::widget::clock;
use crate::tui::widget::grade::{Figure, Grade};
use crate::tui::widget::graph;
use crate::tui::widget::paint::Painter;
use crate::tui::widget::text;
use crate::ua::snapshot::{CallState, CallView};
use ratatui::layout::Rect;
use std::time::Duration;

/// Columns of the names of figures, of a number and of its unit.
const NAME: u16 = 7;
const NUMBER: u16 = 5;
const UNIT: u16 = 3;
/// After this a value measured here, or reported by the peer over RTCP, is older than its interval.
const STALE_HERE: Duration = Duration::from_secs(3);
const STALE_REPORT: Duration = Duration::from_secs(8);

/// What a heading says of a direction.
pub struct Heading {
    title: &'static str,
    sign: char,
    word: &'static str,
    role: Role,
}

/// A call's figures, live or of the past.
pub struct Shown<'a> {
    quality: &'a CallQuality,
    /// Added to the age of every reading.
    aged: Duration,
    /// Levels \[dBov\] of sound and microphone; `None` for calls that are over.
    levels: Option<[Option<f32>; 2]>,
    headings: [Heading; 2],
}

impl<'a> Shown<'a> {
    pub fn live(model: &Model, call: &'a CallView) -> Self {
        if let CallState::Ended(summary) = &call.state {
            return Self::past(model.glyphs, &summary.quality);
        }
        let flows = Some(call.number) == model.snapshot.focus && !call.held_by_us && !call.held_by_peer;
        let levels = [model.sound.shown(), model.mic.shown()].map(|level| level.filter(|_| flows));
        let headings = [hearing(model, call), speaking(model, call)];
        Self {
            quality: &call.quality,
            aged: model.since_snapshot(),
            levels: (!is_over(call)).then_some(levels),
            headings,
        }
    }

    pub fn past(glyphs: &Glyphs, quality: &'a CallQuality) -> Self {
        let heading = |title, direction: &DirectionQuality| {
            let grade =
                mean(&direction.mos_line).or(direction.mos).map_or(Grade::Unknown, |mos| Figure::Mos.grade(mos.value));
            Heading { title, sign: grade.sign(glyphs), word: grade.word(), role: grade.role() }
        };
        let headings = [heading("we heard", &quality.inbound), heading("they heard", &quality.outbound)];
        Self { quality, aged: Duration::ZERO, levels: None, headings }
    }
}

/// What a time line was on the whole; `None` when nothing was measured.
fn mean(line: &[Option<f32>]) -> Option<Reading> {
    let known = || line.iter().flatten().copied().map(f64::from);
    let count = known().count();
    (count > 0).then(|| Reading { value: known().sum::<f64>() / count as f64, age: Duration::ZERO })
}

/// Can we hear them?
fn hearing(model: &Model, call: &CallView) -> Heading {
    let title = "we hear them";
    let silent = words::is_silent(model, call);
    match (call.held_by_us || call.held_by_peer, silent, call.media_flowing) {
        (true, ..) => fair(model, title, "held"),
        (false, true, _) => Heading { title, sign: model.glyphs.poor, word: "silent", role: Role::Poor },
        (false, false, false) => graded(model, title, &DirectionQuality::default()),
        (false, false, true) => graded(model, title, &call.quality.inbound),
    }
}

/// Can they hear us?
fn speaking(model: &Model, call: &CallView) -> Heading {
    let title = "they hear us";
    match (call.held_by_us || call.held_by_peer, model.snapshot.muted) {
        (true, _) => fair(model, title, "held"),
        (false, true) => fair(model, title, "muted"),
        (false, false) => graded(model, title, &call.quality.outbound),
    }
}

fn fair(model: &Model, title: &'static str, word: &'static str) -> Heading {
    Heading { title, sign: model.glyphs.fair, word, role: Role::Fair }
}

fn graded(model: &Model, title: &'static str, direction: &DirectionQuality) -> Heading {
    let loss = direction.loss.map_or(Grade::Unknown, |loss| Figure::Loss.grade(loss.value));
    let grade = direction.mos.map_or(loss, |mos| Figure::Mos.grade(mos.value));
    Heading { title, sign: grade.sign(model.glyphs), word: grade.word(), role: grade.role() }
}

/// What it is now, and its time line.
type Measured<'a> = (Option<Reading>, &'a [Option<f32>]);

/// One figure of one direction.
struct Cell<'a> {
    figure: Figure,
    reading: Option<Reading>,
    line: &'a [Option<f32>],
    scale: (f32, f32),
    /// Added to the reading's age, and from what age on it is stale.
    aged: Duration,
    limit: Duration,
}

/// Rows of two cells: one direction each, and below them what belongs to both. Of a call that is over the whole
/// counts, not its last moment.
fn cells<'a>(shown: &'a Shown<'_>) -> [[Cell<'a>; 2]; 4] {
    let (quality, aged, is_over) = (shown.quality, shown.aged, shown.levels.is_none());
    let (i, o) = (&quality.inbound, &quality.outbound);
    let pair = |figure: Figure, of: fn(&DirectionQuality) -> Measured<'_>| {
        let ((here, here_line), (there, there_line)) = (of(i), of(o));
        let scale = figure.scale(&[here_line, there_line]);
        let cell = |now, line, limit| {
            let reading = if is_over { mean(line).or(now) } else { now };
            Cell { figure, reading, line, scale, aged, limit }
        };
        [cell(here, here_line, STALE_HERE), cell(there, there_line, STALE_REPORT)]
    };
    let single = |figure: Figure, now, line: &'a [Option<f32>]| {
        let reading = if is_over { mean(line).or(now) } else { now };
        Cell { figure, reading, line, scale: figure.scale(&[line]), aged, limit: STALE_REPORT }
    };
    // The delay has no age of its own: it is as old as the snapshot.
    let delay = quality.delay.total.map(|value| Reading { value, age: Duration::ZERO });
    [
        pair(Figure::Mos, |d| (d.mos, &d.mos_line)),
        pair(Figure::Loss, |d| (d.loss, &d.loss_line)),
        pair(Figure::Jitter, |d| (d.jitter, &d.jitter_line)),
        [
            single(Figure::RoundTrip, quality.round_trip, &quality.round_trip_line),
            Cell { limit: STALE_HERE, ..single(Figure::Delay, delay, &quality.delay_line) },
        ],
    ]
}

/// Draws what fits and returns the first row that is free.
pub fn draw(model: &Model, p: &mut Painter<'_>, area: Rect, shown: &Shown<'_>) -> u16 {
    if area.height < 2 || area.width < 40 {
        return area.y;
    }
    match tall(area.height, shown.levels.is_some()) {
        Some((height, gap)) => high(model, p, area, shown, height, gap),
        None => flat(model, p, area, shown),
    }
}

/// One row a figure: name, and for each direction number and time line side by side.
fn flat(model: &Model, p: &mut Painter<'_>, area: Rect, shown: &Shown<'_>) -> u16 {
    let half = (area.width - NAME) / 2;
    let columns = [area.x + NAME, area.x + NAME + half];
    let rows = if shown.levels.is_some() { 7 } else { 6 };
    let mut y = area.y + u16::from(area.height > rows);
    for (x, of) in columns.into_iter().zip(&shown.headings) {
        heading(p, x, y, half, of);
    }
    if let Some([sound, mic]) = shown.levels {
        y += 1;
        p.put(area.x, y, NAME, "level", Role::Label);
        level(p, columns[0], y, half, sound);
        level(p, columns[1], y, half, mic.filter(|_| !model.snapshot.muted));
    }
    for pair in &cells(shown) {
        if y + 1 >= area.bottom() {
            return area.bottom();
        }
        y += 1;
        p.put(area.x, y, NAME, pair[0].figure.name(), Role::Label);
        for (x, cell) in columns.into_iter().zip(pair) {
            let other = if cell.figure == pair[0].figure { 0 } else { 6 };
            p.put(x, y, other, cell.figure.name(), Role::Label);
            let area = Rect::new(x + other, y, half.saturating_sub(other + 1), 1);
            let (end, age) = number(p, area.x, y, cell);
            let aside = if age.is_some() { 10 } else { 0 };
            let graph = Rect { x: end, width: area.right().saturating_sub(end + aside), ..area };
            graph::time_line(p, graph, cell.figure, cell.line, 0, cell.scale);
            say_age(p, area.right(), y, age);
        }
    }
    if y + 1 < area.bottom() {
        delay_parts(p, area.x, area.right().saturating_sub(1), y + 1, &shown.quality.delay);
    }
    y + 2
}

/// The highest bands that fit, and whether blank lines fit between them.
fn tall(rows: u16, has_levels: bool) -> Option<(u16, u16)> {
    let fixed = if has_levels { 3 } else { 2 };
    let fits = |(height, gap): &(u16, u16)| fixed + 4 * (height + gap) <= rows;
    [(5, 1), (4, 1), (4, 0), (3, 0)].into_iter().find(fits)
}

/// Two columns of bands: above the number, below it the time line over the whole width.
fn high(model: &Model, p: &mut Painter<'_>, area: Rect, shown: &Shown<'_>, height: u16, gap: u16) -> u16 {
    let half = area.width.saturating_sub(2) / 2;
    let columns = [area.x, area.x + area.width - half];
    let rows = if shown.levels.is_some() { 3 } else { 2 } + 4 * (height + gap);
    let mut y = area.y + u16::from(area.height > rows);
    for (x, of) in columns.into_iter().zip(&shown.headings) {
        heading(p, x, y, half, of);
    }
    if let Some(levels) = shown.levels {
        y += 1;
        for ((x, value), name) in columns.into_iter().zip(levels).zip(["sound", "mic"]) {
            p.put(x, y, NAME, name, Role::Label);
            let value = value.filter(|_| name == "sound" || !model.snapshot.muted);
            level(p, x + NAME, y, half.saturating_sub(NAME), value);
        }
    }
    y += 1;
    for pair in &cells(shown) {
        y += gap;
        for (x, cell) in columns.into_iter().zip(pair) {
            p.put(x, y, NAME, cell.figure.name(), Role::Label);
            let (end, age) = number(p, x + NAME, y, cell);
            match age {
                Some(_) => say_age(p, x + half, y, age),
                None => say_worst(p, end.saturating_sub(1), x + half, y, cell),
            }
            let graph = Rect::new(x, y + 1, half, height - 1);
            graph::time_line(p, graph, cell.figure, cell.line, 0, cell.scale);
        }
        y += height;
    }
    if y < area.bottom() {
        delay_parts(p, area.x, area.right(), y, &shown.quality.delay);
    }
    y + 1
}

fn heading(p: &mut Painter<'_>, x: u16, y: u16, room: u16, heading: &Heading) {
    let x = p.put(x, y, room, &text::left(heading.title, 13, ' '), Role::Label);
    let word = if heading.word.is_empty() { p.glyphs.dash.to_string() } else { heading.word.to_owned() };
    p.put(x, y, room.saturating_sub(13), &format!("{} {word}", heading.sign), heading.role);
}

fn level(p: &mut Painter<'_>, x: u16, y: u16, room: u16, level: Option<f32>) {
    let number = match level {
        None => p.glyphs.dash.to_string(),
        Some(level) if level <= FLOOR => format!("<{FLOOR:.0}"),
        Some(level) => format!("{level:.0}"),
    };
    let role = if level.is_some() { Role::Text } else { Role::Unknown };
    let end = value(p, x, y, &number, "dB", role);
    graph::meter(p, end, y, (x + room).saturating_sub(end + 1), level);
}

/// A number at the right of its column and its unit behind it; returns where the graph begins.
fn value(p: &mut Painter<'_>, x: u16, y: u16, number: &str, unit: &str, role: Role) -> u16 {
    p.put_right(x + NUMBER, y, NUMBER, number, role);
    p.put(x + NUMBER + 1, y, UNIT - 1, unit, Role::Dim);
    x + NUMBER + 1 + UNIT
}

/// Number and unit, dimmed when they are old; returns the column behind them and the age of an old one.
fn number(p: &mut Painter<'_>, x: u16, y: u16, cell: &Cell<'_>) -> (u16, Option<Duration>) {
    let age = cell.reading.map(|r| r.age + cell.aged).filter(|age| *age > cell.limit);
    let (number, role) = match cell.reading {
        None => (p.glyphs.dash.to_string(), Role::Unknown),
        Some(r) if age.is_some() => (cell.figure.number(r.value), Role::Stale),
        Some(r) => (cell.figure.number(r.value), number_role(cell.figure, r.value)),
    };
    (value(p, x, y, &number, cell.figure.unit(), role), age)
}

fn say_age(p: &mut Painter<'_>, end: u16, y: u16, age: Option<Duration>) {
    if let Some(age) = age {
        p.put_right(end, y, 10, &format!("{} ago", clock::rough(age)), Role::Stale);
    }
}

/// The worst moment of the time line, where it fits between `start` and `end`.
fn say_worst(p: &mut Painter<'_>, start: u16, end: u16, y: u16, cell: &Cell<'_>) {
    if let Some(worst) = cell.figure.worst(cell.line) {
        let word = if cell.figure == Figure::Mos { "low" } else { "high" };
        let content = format!("{word} {}", cell.figure.number(f64::from(worst)));
        if text::width(&content) < usize::from(end.saturating_sub(start)) {
            p.put_right(end, y, 10, &content, Role::Dim);
        }
    }
}

/// A number has the colour of trouble only: what is good needs no colour.
fn number_role(figure: Figure, value: f64) -> Role {
    match figure.grade(value) {
        Grade::Unknown | Grade::Good => Role::Text,
        grade => grade.role(),
    }
}

/// What the delay is made of: `net  19 + buffer  42 + device  20 + codec  20 ms`.
fn delay_parts(p: &mut Painter<'_>, x: u16, end: u16, y: u16, delay: &DelayParts) {
    let parts = [("net", delay.network), ("buffer", delay.buffer), ("device", delay.device), ("codec", delay.codec)];
    let dash = p.glyphs.dash.to_string();
    let mut pieces: Vec<(String, Role)> = Vec::new();
    for (name, part) in parts {
        if !pieces.is_empty() {
            pieces.push((" + ".into(), Role::Faint));
        }
        pieces.push((format!("{name} "), Role::Dim));
        match part {
            Some(ms) => pieces.push((format!("{:>3}", Figure::Delay.number(ms)), Role::Text)),
            None => pieces.push((format!("{dash:>3}"), Role::Unknown)),
        }
    }
    pieces.push((" ms".into(), Role::Dim));
    let wide: usize = pieces.iter().map(|(content, _)| text::width(content)).sum();
    let start = end.saturating_sub(u16::try_from(wide).unwrap_or(u16::MAX)).max(x);
    let pieces: Vec<(&str, Role)> = pieces.iter().map(|(content, role)| (content.as_str(), *role)).collect();
    p.pieces(start, y, end.saturating_sub(start), &pieces);
}
