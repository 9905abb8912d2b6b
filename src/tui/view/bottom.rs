//! The last lines: what the phone has to say, the line that is typed, and the keys that matter now.
use crate::tui::keymap::key::Key;
use crate::tui::keymap::{Binding, When};
use crate::tui::model::line::Line;
use crate::tui::model::{Model, Open, Quit, Spot};
use crate::tui::theme::Role;
use crate::tui::update::command;
use crate::tui::widget::paint::Painter;
use crate::tui::widget::text;
use crate::ua::handling;
use crate::ua::snapshot::RegistrationState;
use ratatui::layout::{Position, Rect};

/// One thing at a time, the most urgent first.
pub fn status(model: &Model, p: &mut Painter<'_>, area: Rect) {
    let Some((sign, role, content)) = urgent(model) else { return sounds(model, p, area) };
    p.put(area.x + 1, area.y, 1, &sign.to_string(), role);
    p.put(area.x + 3, area.y, area.width.saturating_sub(4), &content, role);
}

/// What the user should know now, if there is anything.
pub fn urgent(model: &Model) -> Option<(char, Role, String)> {
    let g = model.glyphs;
    Some(match (&model.quit, &model.notice, &model.snapshot.devices.notice) {
        (Quit::Going(_), ..) => {
            (g.fair, Role::Fair, "Hanging up and signing off; once more leaves at once.".to_owned())
        }
        (Quit::Asked(_), ..) => {
            let calls = model.live_calls().count();
            let what = if calls == 1 { "the call".to_owned() } else { format!("{calls} calls") };
            (g.poor, Role::Poor, format!("Press the same key again to hang up {what} and quit."))
        }
        (Quit::No, Some(notice), _) if notice.is_trouble => (g.poor, Role::Poor, notice.text.clone()),
        (Quit::No, Some(notice), _) => (g.good, Role::Accent, notice.text.clone()),
        (Quit::No, None, Some(notice)) => (g.fair, Role::Fair, notice.clone()),
        (Quit::No, None, None) => return None,
    })
}

/// What is heard with and spoken into.
fn sounds(model: &Model, p: &mut Painter<'_>, area: Rect) {
    let s = &model.snapshot;
    let name = |device: &str| if device.is_empty() { "none".to_owned() } else { device.to_owned() };
    let gain = |gain: f32| if gain.abs() < 0.5 { String::new() } else { format!(" {gain:+.0} dB") };
    let half = usize::from(area.width.saturating_sub(18) / 2);
    let fit = |device: &str| text::fit(&name(device), half, p.glyphs.ellipsis);
    let (sound, mic) = (fit(&s.devices.playback), fit(&s.devices.capture));
    let (sound_gain, mic_gain) = (gain(s.playback_gain), gain(s.capture_gain));
    let pieces = [
        ("sound ", Role::Label),
        (sound.as_str(), Role::Dim),
        (sound_gain.as_str(), Role::Text),
        ("   mic ", Role::Label),
        (mic.as_str(), Role::Dim),
        (mic_gain.as_str(), Role::Text),
        (if s.muted { " muted" } else { "" }, Role::Fair),
    ];
    p.pieces(area.x + 1, area.y, area.width.saturating_sub(2), &pieces);
}

/// The line that is typed; returns where its cursor stands.
pub fn input(model: &Model, p: &mut Painter<'_>, area: Rect) -> Option<Position> {
    let y = area.y;
    let open = model.open_line();
    if open == Some(Open::Command) {
        let x = p.put(area.x + 1, y, 2, ":", Role::Accent);
        let end = area.right().saturating_sub(1);
        let (cursor, x) = line(p, x + 1, y, end, &model.command);
        let fitting = command::candidates(model, model.command.text());
        let known = fitting.len() == 1 && model.command.text().ends_with(fitting.first().map_or("", String::as_str));
        if !known {
            p.put(x + 2, y, end.saturating_sub(x + 2), &fitting.join("  "), Role::Suggestion);
        }
        return Some(cursor);
    }
    let name = |number| model.call(number).map_or("", |call| call.peer_name.as_str());
    let short = |number| text::fit(name(number), 16, p.glyphs.ellipsis);
    match open {
        Some(Open::Transfer(call)) => {
            let label = format!("Transfer {} to: ", short(call));
            let x = p.put(area.x + 1, y, 32, &label, Role::Accent);
            let end = area.right().saturating_sub(1);
            let (cursor, x) = line(p, x, y, end, &model.transfer);
            if model.transfer.is_empty() {
                p.put(x, y, end.saturating_sub(x), "number, name or address", Role::Suggestion);
            }
            return Some(cursor);
        }
        Some(Open::Forward(when)) => {
            let account = model.calling_account().filter(|_| model.dial_account.is_some());
            let after = model.calling_account().map_or(0, |account| account.forwarding.after.as_secs());
            let whose = account.map_or(String::new(), |a| format!(" of {}", text::fit(&a.name, 12, p.glyphs.ellipsis)));
            let label = match when {
                handling::When::Always => format!("Forward all calls{whose} to: "),
                handling::When::Busy => format!("Forward calls{whose} while busy to: "),
                handling::When::NoAnswer => format!("Forward calls{whose} after {after} s to: "),
            };
            let x = p.put(area.x + 1, y, 48, &label, Role::Accent);
            let end = area.right().saturating_sub(1);
            let (cursor, x) = line(p, x, y, end, &model.forward);
            if model.forward.is_empty() {
                p.put(x, y, end.saturating_sub(x), "nobody: they ring here", Role::Suggestion);
            }
            return Some(cursor);
        }
        Some(Open::Connect(held, other)) => {
            let question = format!("Connect {} with {}, and leave both?", short(held), short(other));
            p.put(area.x + 1, y, area.width.saturating_sub(2), &question, Role::Accent);
            return None;
        }
        Some(Open::Search) => return Some(typed(p, area, "Find: ", &model.messages.search)),
        Some(Open::Export) => return Some(typed(p, area, "Save as: ", &model.messages.file)),
        Some(Open::Text) => {
            let label = format!("{} ", p.glyphs.prompt);
            let x = p.put(area.x + 1, y, 3, &label, Role::Accent);
            let end = area.right().saturating_sub(1);
            let (cursor, x) = line(p, x, y, end, &model.text);
            if model.text.is_empty() {
                p.put(x, y, end.saturating_sub(x), "a text; Enter sends it", Role::Suggestion);
            }
            return Some(cursor);
        }
        Some(Open::Dial | Open::Command) | None => {}
    }
    if open.is_none() {
        p.spot(area, Spot::DialLine);
    }
    let account = model.calling_account().filter(|_| model.snapshot.accounts.len() > 1);
    let label = account.map_or("dial".to_owned(), |a| text::fit(&a.name, 12, p.glyphs.ellipsis));
    let role = if open.is_some() { Role::Accent } else { Role::Label };
    let x = p.put(area.x + 1, y, 14, &label, role);
    let x = p.put(x + 1, y, 1, &p.glyphs.prompt.to_string(), role) + 1;
    let end = area.right().saturating_sub(1);
    if open.is_none() {
        p.put(x, y, end.saturating_sub(x), model.dial.text(), Role::Dim);
        return None;
    }
    let (cursor, x) = line(p, x, y, end, &model.dial);
    if model.dial.is_empty() {
        let away =
            account.filter(|a| !matches!(a.state, RegistrationState::Registered { .. } | RegistrationState::Off));
        let hint = "number, name or address";
        let hint = away.map_or(hint.to_owned(), |a| format!("{hint}; {} is not reachable now", a.name));
        p.put(x, y, end.saturating_sub(x), &hint, Role::Suggestion);
    } else if let Some(rest) = model.suggested() {
        p.put(x, y, end.saturating_sub(x), rest, Role::Suggestion);
    }
    Some(cursor)
}

/// A line with a label before it; returns where the cursor stands.
fn typed(p: &mut Painter<'_>, area: Rect, label: &str, text: &Line) -> Position {
    let x = p.put(area.x + 1, area.y, 32, label, Role::Accent);
    line(p, x, area.y, area.right().saturating_sub(1), text).0
}

/// Draws the part of the line around its cursor; returns the cursor and the column behind the text.
fn line(p: &mut Painter<'_>, x: u16, y: u16, end: u16, line: &Line) -> (Position, u16) {
    let (before, after) = line.split();
    let room = end.saturating_sub(x);
    let shown = text::tail(before, usize::from(room.saturating_sub(2)));
    let cursor = p.put(x, y, room, shown, Role::Input);
    let after_end = p.put(cursor, y, end.saturating_sub(cursor), after, Role::Input);
    (Position { x: cursor.min(end.saturating_sub(1)), y }, after_end)
}

/// The keys that matter now, as many as fit; the way to the help page is always among them.
pub fn keys(model: &Model, p: &mut Painter<'_>, area: Rect) {
    let end = area.right().saturating_sub(1);
    let mut items: Vec<(String, &str, Key)> = Vec::new();
    for context in model.contexts() {
        for binding in model.keymap.rows(context).filter(|b| model.holds(b.row.when)) {
            if let Some(item) = item(model, binding).filter(|item| !items.iter().any(|other| other.0 == item.0)) {
                items.push(item);
            }
        }
    }
    let wide = |(key, label, _): &(String, &str, Key)| text::width(key) + text::width(label) + 1;
    let help = items.iter().position(|item| item.1 == "help").map(|at| items.remove(at));
    let reserved = help.as_ref().map_or(0, |item| wide(item) + 2);
    let mut x = area.x + 1;
    for item in &items {
        if usize::from(x) + wide(item) + reserved > usize::from(end) {
            continue;
        }
        x = draw_item(p, x, area.y, end, item);
    }
    if let Some(item) = help {
        draw_item(p, x, area.y, end, &item);
    }
}

fn item<'m>(model: &'m Model, binding: &'m Binding) -> Option<(String, &'m str, Key)> {
    let typing = model.is_typing();
    let row = binding.row;
    let key = match row.when {
        When::Hidden => None,
        _ => binding.keys.iter().find(|key| !typing || !key.is_text()).or(binding.keys.first()),
    }?;
    let label = match (row.label, held(model)) {
        ("hold", true) => "resume",
        ("mute", _) if model.snapshot.muted => "unmute",
        (label, _) => label,
    };
    (!label.is_empty()).then(|| (key.label(model.glyphs.unicode), label, *key))
}

fn held(model: &Model) -> bool {
    model.selected_call().is_some_and(|call| call.held_by_us)
}

fn draw_item(p: &mut Painter<'_>, begins: u16, y: u16, end: u16, (name, label, key): &(String, &str, Key)) -> u16 {
    let x = p.put(begins, y, end.saturating_sub(begins), name, Role::Key);
    let behind = p.put(x + 1, y, end.saturating_sub(x + 1), label, Role::KeyLabel);
    p.spot(Rect { x: begins, y, width: behind - begins, height: 1 }, Spot::Key(*key));
    behind + 2
}
