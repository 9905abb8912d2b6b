//! All that is known of the selected call.
use super::words;
use crate::tui::model::Model;
use crate::tui::theme::Role;
use crate::tui::widget::paint::{Painter, padded};
use crate::tui::widget::text;
use crate::ua::snapshot::{CallState, CallView};
use ratatui::layout::Rect;

/// Columns of the names.
const NAME: usize = 14;

pub fn draw(model: &Model, p: &mut Painter<'_>, middle: Rect) {
    let Some(call) = model.selected_call() else { return };
    let area = window(model, middle);
    p.clear(area, Role::Text);
    let inside = padded(p.frame(area, &format!("Details: {}", call.peer_name), Role::Focus, &[]));
    put(model, p, area, inside, &lines(model, call, usize::from(inside.width)));
}

/// Names and contents, from the line on that is scrolled to.
pub fn put(model: &Model, p: &mut Painter<'_>, area: Rect, inside: Rect, lines: &[(&'static str, String)]) {
    let height = usize::from(inside.height);
    let first = model.scroll.min(lines.len().saturating_sub(height));
    for (y, (name, content)) in (inside.top()..inside.bottom()).zip(lines.iter().skip(first)) {
        p.put(inside.x, y, NAME as u16, name, Role::Label);
        let x = inside.x + NAME as u16;
        let role = if content == "–" || content == "-" { Role::Unknown } else { Role::Text };
        p.put(x, y, inside.right().saturating_sub(x), content, role);
    }
    more(p, area, first, lines.len(), height);
}

pub fn extent(model: &Model, middle: Rect) -> (usize, usize) {
    let area = window(model, middle);
    let width = usize::from(area.width.saturating_sub(4));
    let count = model.selected_call().map_or(0, |call| lines(model, call, width).len());
    (count, usize::from(area.height.saturating_sub(2)))
}

fn window(model: &Model, middle: Rect) -> Rect {
    let width = middle.width.min(84);
    let room = usize::from(width.saturating_sub(4));
    let wanted = model.selected_call().map_or(3, |call| lines(model, call, room).len() + 2);
    let height = u16::try_from(wanted).unwrap_or(u16::MAX).min(middle.height);
    let (x, y) = (middle.x + (middle.width - width) / 2, middle.y + (middle.height - height) / 2);
    Rect { x, y, width, height }
}

/// Says on the lower edge of `area` what part of something longer is seen.
pub fn more(p: &mut Painter<'_>, area: Rect, first: usize, count: usize, height: usize) {
    if count > height {
        let last = (first + height).min(count);
        let remark = format!(" {}-{last} of {count} ", first + 1);
        p.put_right(area.right().saturating_sub(2), area.bottom().saturating_sub(1), 24, &remark, Role::Dim);
    }
}

fn lines(model: &Model, call: &CallView, width: usize) -> Vec<(&'static str, String)> {
    let dash = model.glyphs.dash.to_string();
    let or_dash = |content: &str| if content.is_empty() { dash.clone() } else { content.to_owned() };
    let percent = |value: Option<f64>| value.map_or(dash.clone(), |v| format!("{v:.2} %"));
    let (inbound, outbound) = (&call.quality.inbound, &call.quality.outbound);
    let direction = if call.outgoing { "we called" } else { "they called" };
    let trust = words::trust(call);
    let name = if trust.is_empty() { call.peer_name.clone() } else { format!("{} ({trust})", call.peer_name) };
    let mut rows: Vec<(&'static str, String)> = vec![
        ("name", name),
        ("address", or_dash(&call.peer_address)),
        ("direction", format!("{direction}, account {}", or_dash(model.account_name(call.account)))),
        ("messages", words::signalling(call).map_or(dash.clone(), |way| words::way(model.glyphs, way))),
        ("recovery", or_dash(&call.recovery)),
        ("codec", or_dash(&call.codec)),
        ("sound", if call.security == "none" { "not encrypted".into() } else { or_dash(&call.security) }),
        ("profile", or_dash(&call.profile)),
        ("sound from", or_dash(&call.media_remote)),
        ("heard", format!("{} packets, {} lost, {}", inbound.packets, inbound.lost, percent(inbound.loss_total))),
        ("sent", format!("{} packets, {} lost, {}", outbound.packets, outbound.lost, percent(outbound.loss_total))),
        ("rating R", {
            let rating = |r: Option<f64>| r.map_or(dash.clone(), |r| format!("{r:.0}"));
            format!("we hear {}, they hear {}", rating(inbound.rating), rating(outbound.rating))
        }),
        ("played", {
            let ms = |value: Option<f64>| value.map_or(dash.clone(), |ms| format!("{:.1} s", ms / 1e3));
            let sound = &call.quality.sound;
            let (made, saved) = (ms(sound.concealed), ms(sound.recovered));
            format!("{}, of it {made} made up, {saved} from redundancy", ms(sound.played))
        }),
        ("packets", {
            let s = &call.quality.sound;
            let order = format!("{} late, {} twice, {} out of order", s.late, s.duplicates, s.reordered);
            let forged = match (s.forged, s.replayed) {
                (0, 0) => String::new(),
                (forged, replayed) => format!(", {forged} forged, {replayed} replayed"),
            };
            format!("{order}; dropped {} foreign, {} malformed{forged}", s.foreign, s.malformed)
        }),
        ("their tones", or_dash(&call.digits_received)),
        ("recorded to", or_dash(call.recording.as_deref().unwrap_or_default())),
        ("session", or_dash(&call.session_name)),
        ("information", or_dash(&call.session_information)),
    ];
    if let Some((ours, theirs)) = &call.fingerprints {
        let place = rows.iter().position(|(name, _)| *name == "sound from").unwrap_or(rows.len());
        rows.insert(place, ("theirs is", theirs.clone()));
        rows.insert(place, ("we are", ours.clone()));
    }
    if !call.media_path.is_empty() {
        let at = rows.iter().position(|(name, _)| *name == "sound from").unwrap_or_default();
        let pair = if call.media_pair.is_empty() { String::new() } else { format!(": {}", call.media_pair) };
        rows.insert(at, ("sound goes", format!("{}{pair}", call.media_path)));
    }
    if let Some((level, voice)) = call.quality.sound.told_level {
        let at = rows.iter().position(|(name, _)| *name == "their tones").unwrap_or(rows.len());
        let speaks = if voice { "speaking" } else { "silent" };
        rows.insert(at, ("they say", format!("level {level:.0} dBov, {speaks}")));
    }
    if call.unattended {
        rows.insert(3, ("answered", "by itself, since they are on your list".to_owned()));
    }
    let told = words::also_told(&call.identity).unwrap_or_default();
    let party =
        [("told name", told), ("dialled", call.identity.dialled.clone()), ("way", call.identity.forwarded_words())];
    for row in party.into_iter().filter(|(_, content)| !content.is_empty()).rev() {
        rows.insert(2, row);
    }
    if let CallState::Ended(summary) = &call.state {
        let told = [("ended", &summary.cause), ("refused by", &summary.refused_by), ("what to try", &summary.advice)];
        let told = told.into_iter().filter(|(_, words)| !words.is_empty());
        rows.splice(1..1, told.map(|(name, words)| (name, words.clone())));
    }
    for (item, content) in &call.participant {
        rows.push(("they say", format!("{item}: {content}")));
    }
    folded(rows, width)
}

/// Contents folded to the columns beside the names.
pub fn folded(rows: Vec<(&'static str, String)>, width: usize) -> Vec<(&'static str, String)> {
    let room = width.saturating_sub(NAME).max(8);
    let mut lines = Vec::new();
    for (name, content) in rows {
        for (part, line) in text::fold(&content, room).into_iter().enumerate() {
            lines.push((if part == 0 { name } else { "" }, line));
        }
    }
    lines
}
