//! What the phone reports: snapshots, events, and time that passes.
use crate::tui::action::Effect;
use crate::tui::model::{Model, Pane, Quit, is_over};
use crate::ua::command::Command;
use crate::ua::event::Event;
use crate::ua::snapshot::{CallEnd, CallState, Snapshot};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub fn time(model: &mut Model, now: Instant, wall: SystemTime) -> Vec<Effect> {
    let unix = |t: SystemTime| t.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let (before, after) = (unix(model.wall), unix(wall));
    let counted = before != after && model.counts_seconds();
    let moved = model.sound.is_moving() || model.mic.is_moving();
    model.dirty |= counted || moved || before / 60 != after / 60;
    let passed = now.saturating_duration_since(model.now);
    model.sound.advance(passed);
    model.mic.advance(passed);
    (model.now, model.wall) = (now, wall);
    if model.notice.as_ref().is_some_and(|notice| now >= notice.until) {
        model.notice = None;
        model.dirty = true;
    }
    choose_call(model);
    match model.quit {
        Quit::Asked(until) if now >= until => model.quit = Quit::No,
        Quit::Going(until) if now >= until => return vec![Effect::Leave],
        Quit::No | Quit::Asked(_) | Quit::Going(_) => {}
    }
    Vec::new()
}

pub fn snapshot(model: &mut Model, snapshot: Arc<Snapshot>) -> Vec<Effect> {
    model.sound.set(snapshot.playback_level);
    model.mic.set(snapshot.capture_level);
    let rang = model.incoming().map(|call| call.number);
    let focused_before = model.snapshot.focus;
    let unchanged = Arc::ptr_eq(&model.snapshot, &snapshot) || *model.snapshot == *snapshot;
    model.dirty |= !unchanged;
    model.snapshot = snapshot;
    model.snapshot_at = model.now;

    let now = model.now;
    let over: Vec<_> = model.snapshot.calls.iter().filter(|call| is_over(call)).map(|call| call.number).collect();
    model.ended.retain(|(number, _)| over.contains(number));
    for number in over {
        if !model.ended.iter().any(|(known, _)| *known == number) {
            model.ended.push((number, now));
        }
    }

    let focus = model.snapshot.focus;
    if focus != focused_before && focus.is_some() {
        select(model, focus);
    }
    choose_call(model);
    let Some(call) = model.incoming().filter(|call| Some(call.number) != rang) else { return Vec::new() };
    let title = format!("{} calls", call.peer_name);
    let text = format!("{} for {}", call.peer_address, model.account_name(call.account));
    [Some(Effect::Bell), notify(model, title, text)].into_iter().flatten().collect()
}

/// Keeps a call selected as long as there is one to see.
fn choose_call(model: &mut Model) {
    if model.selected_call().is_none() {
        let visible = |number| model.calls().any(|call| call.number == number);
        let focus = model.snapshot.focus.filter(|number| visible(*number));
        let next = focus.or_else(|| model.calls().next().map(|call| call.number));
        if next != model.selected {
            select(model, next);
        }
    }
}

pub fn select(model: &mut Model, number: Option<crate::base::id::CallNumber>) {
    model.selected = number;
    if number.is_some() && model.pane == Pane::Watched {
        model.pane = Pane::Calls;
    }
    model.message = None;
    model.look_back = 0;
    model.dirty = true;
}

pub fn event(model: &mut Model, event: Event) -> Vec<Effect> {
    match event {
        Event::Refused { reason } => model.notify(reason, true),
        Event::Capabilities { target, answer, .. } => model.notify(format!("{target}: {answer}"), false),
        Event::Plan { typed, answer, is_allowed } => model.notify(format!("{typed}: {answer}"), !is_allowed),
        Event::Handling { forwarding, do_not_disturb, .. } => model.notify(forwarding.words(do_not_disturb), false),
        Event::Parked { slot, .. } => model.notify(format!("Parked at {slot}"), false),
        Event::Digit { call, digit } => {
            let name = model.call(call).map_or("The other side", |c| c.peer_name.as_str()).to_owned();
            model.notify(format!("{name} pressed {digit}"), false);
        }
        Event::Transfer { to, over: true, status: 200..=299, .. } => {
            model.notify(format!("Transferred to {to}"), false);
        }
        Event::Contacts(change) => model.notify(change.to_string(), false),
        Event::Reloaded { later } if later.is_empty() => model.notify("The configuration was read again.", false),
        Event::Reloaded { later } => model.notify(format!("The configuration was read again. {later}"), false),
        Event::Text(text) => return super::texts::news(model, &text),
        Event::Recording { file, .. } => model.notify(format!("Recording into {file}"), false),
        Event::Recorded { file, missing, .. } if missing > Duration::ZERO => {
            let gap = missing.as_secs_f64();
            model.notify(format!("Recorded: {file}; {gap:.1} s are missing, the disk was too slow."), true);
        }
        Event::Recorded { file, .. } => model.notify(format!("Recorded: {file}"), false),
        Event::Finished => return vec![Effect::Leave],
        Event::Ended { summary, .. } if summary.end == CallEnd::Missed => {
            let title = format!("Missed call from {}", summary.peer_name);
            return notify(model, title, summary.peer_address.clone()).into_iter().collect();
        }
        // What is true now is in the snapshot, which the screen draws anyway.
        Event::Registration { .. }
        | Event::Incoming { .. }
        | Event::Outgoing { .. }
        | Event::Identified { .. }
        | Event::Ringing(_)
        | Event::Established(_)
        | Event::HoldChanged { .. }
        | Event::DigitsWait { .. }
        | Event::Conference { .. }
        | Event::Redirected { .. }
        | Event::Transfer { .. }
        | Event::Mailbox { .. }
        | Event::Watched(_)
        | Event::Ended { .. } => {}
    }
    Vec::new()
}

/// Tells a user who looks elsewhere; who looks at the screen sees it there. A terminal that does not say is told both.
fn notify(model: &Model, title: String, text: String) -> Option<Effect> {
    (model.focused != Some(true)).then_some(Effect::Notify { title, text })
}

/// A command the phone never got: an important one is worth a second press, so say it plainly.
pub fn queue_full(model: &mut Model, command: &Command) -> Vec<Effect> {
    if matches!(command, Command::Shutdown) {
        return vec![Effect::Leave];
    }
    model.notify("The phone is too busy and did not hear that. Try again.", true);
    Vec::new()
}

/// The window title says what matters most.
pub fn title(model: &Model) -> String {
    let talking = || model.live_calls().find(|call| Some(call.number) == model.snapshot.focus);
    match (model.incoming(), talking()) {
        (Some(call), _) => format!("{} calls - offhook", call.peer_name),
        (None, Some(call)) if call.state == CallState::Established => format!("{} - offhook", call.peer_name),
        _ => "offhook".to_owned(),
    }
}
