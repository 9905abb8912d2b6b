//! The panel on the right: the call that is talked on, one that was, or the phone at rest.
use super::sentence::{self, Sentence};
use super::{figures, idle, words};
use crate::tui::model::{Model, Pane, is_over};
use crate::tui::theme::{Glyphs, Role};
use crate::tui::widget::clock::{self, Local};
use crate::tui::widget::paint::{Painter, padded};
use crate::tui::widget::text;
use crate::ua::snapshot::{CallState, CallSummary, CallView};
use ratatui::layout::Rect;

pub fn draw(model: &Model, p: &mut Painter<'_>, area: Rect) {
    let past = (model.pane == Pane::Recent).then(|| model.recent_entry()).flatten();
    match (past, model.selected_call()) {
        (Some(entry), _) => past_call(model, p, area, entry),
        (None, Some(call)) => live_call(model, p, area, call),
        (None, None) => idle::draw(model, p, area),
    }
}

fn live_call(model: &Model, p: &mut Painter<'_>, area: Rect, call: &CallView) {
    let (word, role) = match &call.state {
        CallState::Established if !call.held_by_us && !call.held_by_peer => {
            (words::conference(model, call).unwrap_or_else(|| "talking".to_owned()), Role::Good)
        }
        CallState::Ended(summary) => match summary.duration {
            Some(duration) => (format!("ended {}", clock::duration(duration)), Role::Dim),
            None => ("ended".to_owned(), Role::Dim),
        },
        _ => words::call_state(model, call),
    };
    let talks = call.state == CallState::Established;
    let time = if talks { format!(" {}", clock::duration(words::talked(model, call))) } else { String::new() };
    let sign = p.glyphs.good.to_string() + " ";
    let sign = if talks && role == Role::Good { sign.as_str() } else { "" };
    let title_role = if is_over(call) { Role::Dim } else { Role::Strong };
    let word = if call.unattended && talks { format!("{word}, answered by itself") } else { word };
    let recorded = format!("{} rec ", p.glyphs.good);
    let recorded = if call.recording.is_some() && talks { recorded.as_str() } else { "" };
    let remark = [(recorded, Role::Poor), (sign, role), (word.as_str(), role), (time.as_str(), Role::Text)];
    let inside = padded(p.frame(area, &call.peer_name, title_role, &remark));
    identity(p, inside, &call.peer_address, &words::medium(&call.codec, &call.security), &words::trust(call));
    if let Some(transport) = words::signalling(call) {
        let role = if transport.is_secure() { Role::Good } else { Role::Dim };
        let remark = format!(" messages over {} ", words::way(p.glyphs, transport));
        p.put_right(area.right().saturating_sub(2), area.bottom().saturating_sub(1), area.width / 2 + 8, &remark, role);
    }
    // A low window leaves one line to the sentence and the others to the figures.
    let said = if inside.height < 9 { 1 } else { 2 };
    say(p, Rect { y: inside.y + 1, height: said, ..inside }, &sentence::of(model, p.glyphs, call));
    let above = said + 1;
    let below = Rect { y: inside.y + above, height: inside.height.saturating_sub(above), ..inside };
    if shows_figures(call) {
        let y = figures::draw(model, p, below, &figures::Shown::live(model, call));
        facts(p, Rect { y: y + 1, height: inside.bottom().saturating_sub(y + 1), ..inside }, call);
    }
}

/// In a high panel: where the sound comes from, and what the peer says of itself.
fn facts(p: &mut Painter<'_>, area: Rect, call: &CallView) {
    let mut words: Vec<String> = Vec::new();
    if let Some(file) = call.recording.as_ref().filter(|file| !file.is_empty()) {
        let name = file.rsplit('/').next().unwrap_or_default();
        words.push(format!("{} {name}", if is_over(call) { "recorded" } else { "recording" }));
    }
    if !call.media_path.is_empty() {
        words.push(call.media_path.clone());
    }
    if !call.media_remote.is_empty() {
        words.push(format!("sound from {}", call.media_remote));
    }
    for line in [&call.session_name, &call.session_information].into_iter().filter(|line| !line.is_empty()) {
        words.push(line.clone());
    }
    words.extend(call.participant.iter().map(|(item, content)| format!("{item}: {content}")));
    let sentence = words.join(&format!(" {} ", p.glyphs.dot));
    for (line, y) in text::fold(&sentence, usize::from(area.width)).iter().zip(area.top()..area.bottom()) {
        let line = line.trim_matches(|c: char| c == ' ' || c == p.glyphs.dot);
        p.put(area.x, y, area.width, line, Role::Dim);
    }
}

/// Figures are there from the first sound on.
fn shows_figures(call: &CallView) -> bool {
    match &call.state {
        CallState::Established | CallState::Answering | CallState::Ending => true,
        CallState::Ended(summary) => summary.duration.is_some(),
        CallState::Ringing { early_media } => *early_media && call.outgoing,
        CallState::Preparing | CallState::Calling | CallState::Redirected { .. } => false,
    }
}

/// A call of the history.
fn past_call(model: &Model, p: &mut Painter<'_>, area: Rect, entry: &CallSummary) {
    let local = |at| Local::new(at, (model.zone)(at));
    let (at, today) = (local(entry.started), local(model.wall));
    let day = if at.day_number == today.day_number { "today".to_owned() } else { at.date() };
    let when = format!("{} {}", day.trim_start(), at.minutes());
    let inside = padded(p.frame(area, model.past_name(entry), Role::Strong, &[(when.as_str(), Role::Dim)]));
    let (sign, word, role) = words::past(p.glyphs, entry);
    let way = if entry.outgoing { "you called" } else { "called you" };
    identity(p, inside, &entry.peer_address, &entry.codec, "");
    let talked = entry.duration.map_or(String::new(), |d| format!(", {}", clock::duration(d)));
    let word = if word.is_empty() { String::new() } else { format!(", {word}") };
    let word = if entry.unattended { format!("{word}, answered by itself") } else { word };
    let account = if entry.account_name.is_empty() { String::new() } else { format!(" for {}", entry.account_name) };
    let account = if entry.outgoing { account.replace(" for ", " from ") } else { account };
    let line = format!("{sign} {way}{account}{talked}{word}");
    p.put(inside.x, inside.y + 1, inside.width, &line, role);
    let (x, room) = (inside.x + 2, inside.width.saturating_sub(2));
    let refused = if entry.refused_by.is_empty() { String::new() } else { format!("Refused by {}.", entry.refused_by) };
    let advice = if entry.advice.is_empty() { String::new() } else { format!("Try: {}", entry.advice) };
    let rows = [
        (entry.cause.clone(), Role::Text),
        (refused, Role::Text),
        (advice, Role::Text),
        (who_it_was(entry, p.glyphs), Role::Dim),
    ];
    // A call that was talked on leaves room for its figures.
    let fold = |words: &str| match entry.duration {
        Some(_) => vec![words.to_owned()],
        None => text::fold(words, usize::from(room)),
    };
    let lines = rows.iter().filter(|(words, _)| !words.is_empty());
    let lines = lines.flat_map(|(words, role)| fold(words).into_iter().map(|line| (line, *role)));
    let mut y = inside.y + 2;
    for (line, role) in lines.take(usize::from(inside.height.saturating_sub(2))) {
        p.put(x, y, room, &line, role);
        y += 1;
    }
    let y = y.max(inside.y + 4);
    let below = Rect { y, height: inside.bottom().saturating_sub(y), ..inside };
    if entry.duration.is_some() {
        figures::draw(model, p, below, &figures::Shown::past(model.glyphs, &entry.quality));
    }
}

/// How sure it was who it was, whom the call was for before, and whom the user had called.
fn who_it_was(entry: &CallSummary, glyphs: &Glyphs) -> String {
    let identity = &entry.identity;
    let dialled = if identity.dialled.is_empty() { String::new() } else { format!("you dialled {}", identity.dialled) };
    let told = words::also_told(identity).unwrap_or_default();
    let facts = [told, identity.phrase(), identity.forwarded_words(), dialled];
    let facts: Vec<String> = facts.into_iter().filter(|fact| !fact.is_empty()).collect();
    facts.join(&format!(" {} ", glyphs.dot))
}

/// Address on the left; on the right how the sound is carried, or how sure the name is.
fn identity(p: &mut Painter<'_>, area: Rect, address: &str, medium: &str, trust: &str) {
    let right = if medium.is_empty() { trust } else { medium };
    let start = p.put_right(area.right(), area.y, area.width / 2 + 4, right, Role::Dim);
    p.put(area.x, area.y, start.saturating_sub(area.x + 2), address, Role::Text);
}

/// A sentence of at most two lines behind its sign.
fn say(p: &mut Painter<'_>, area: Rect, sentence: &Sentence) {
    p.cell(area.x, area.y, sentence.sign, sentence.role);
    let (x, room) = (area.x + 2, area.width.saturating_sub(2));
    let whose = if sentence.whose.is_empty() { String::new() } else { format!("{}: ", sentence.whose) };
    let folded = text::fold(&sentence.words(), usize::from(room));
    let rows = usize::from(area.height);
    for (y, line) in (area.y..area.bottom()).zip(0..rows.min(folded.len())) {
        let content = folded.get(line).map_or("", String::as_str);
        let cut = line + 1 == rows && folded.len() > rows;
        let content = if cut {
            text::left(content, usize::from(room), ' ').trim_end().to_owned() + &p.glyphs.ellipsis.to_string()
        } else {
            content.to_owned()
        };
        p.put(x, y, room, &content, Role::Text);
    }
    p.put(x, area.y, room, &whose, sentence.role);
}
