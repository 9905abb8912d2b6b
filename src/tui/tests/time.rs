//! When the screen draws, and what time changes on it.
use super::fixture::{Screen, WALL, secs};
use crate::tui::action::Action;
use crate::tui::model::{CALM, ENDED_STAYS, FRAME, NOTICE_STAYS};
use crate::ua::snapshot::{CallState, RegistrationState};
use std::sync::Arc;
use std::time::Duration;

fn drawn(mut screen: Screen) -> Screen {
    screen.model.dirty = false;
    screen
}

/// At rest with nothing that counts.
fn quiet() -> Screen {
    let mut screen = Screen::used(80, 24);
    screen.change(|s| {
        s.accounts.pop();
    });
    drawn(screen)
}

#[test]
fn what_changes_nothing_is_not_drawn() {
    let mut screen = quiet();
    screen.shows((*screen.model.snapshot).clone());
    screen.act(Action::Snapshot(Arc::clone(&screen.model.snapshot)));
    screen.act(Action::Log(Arc::new(vec!["unseen".into()])));
    screen.press(&["alt-f12"]);
    screen.pass(secs(10));
    assert!(!screen.model.dirty);
    screen.pass(secs(60));
    assert!(screen.model.dirty, "the clock shows minutes");
}

#[test]
fn the_idle_screen_sleeps_until_the_next_minute() {
    let screen = quiet();
    assert_eq!(screen.model.wake_at() - screen.model.now, secs(60 - WALL % 60));
    let call = drawn(Screen::talking(80, 24));
    assert_eq!(call.model.wake_at() - call.model.now, secs(1));
    let mut between = drawn(Screen::talking(80, 24));
    between.pass(Duration::from_millis(300));
    assert_eq!(between.model.wake_at() - between.model.now, Duration::from_millis(700));
    assert!(!between.model.dirty, "the same second is not drawn again");
}

#[test]
fn meters_move_and_come_to_rest() {
    let mut screen = drawn(Screen::talking(80, 24));
    screen.change(|s| s.playback_level = Some(-50.0));
    assert_eq!(screen.model.wake_at() - screen.model.now, FRAME);
    assert_eq!(screen.model.pause(false), FRAME);
    screen.model.dirty = false;
    screen.pass(FRAME);
    assert!(screen.model.dirty);
    for _ in 0..60 {
        screen.pass(FRAME);
    }
    assert!(screen.model.wake_at() - screen.model.now > FRAME);
    assert_eq!(screen.model.pause(false), CALM, "ten frames a second are enough for facts");
    assert_eq!(screen.model.pause(true), FRAME, "a key is answered sooner");
}

#[test]
fn a_retry_is_counted_down_to_its_end() {
    let mut screen = Screen::used(80, 24);
    let shown = |screen: &Screen| {
        let picture = screen.picture();
        picture.lines().next().and_then(|row| row.split("retry in").nth(1)).map(|s| s.trim_start()[..3].to_owned())
    };
    assert_eq!(shown(&screen).as_deref(), Some("4 s"));
    screen.pass(Duration::from_millis(100));
    assert_eq!(shown(&screen).as_deref(), Some("4 s"));
    screen.pass(secs(3));
    assert_eq!(shown(&screen).as_deref(), Some("1 s"));
    screen.change(|s| s.accounts[1].state = RegistrationState::Registering);
    assert_eq!(shown(&screen), None);
}

#[test]
fn an_ended_call_stays_a_while() {
    let mut screen = Screen::talking(80, 24);
    let summary = Arc::new(screen.model.history.first().cloned().expect("history"));
    screen.change(|s| {
        s.calls[0].state = CallState::Ended(summary);
        s.focus = None;
    });
    assert!(screen.model.selected_call().is_some());
    screen.pass(ENDED_STAYS - secs(1));
    screen.change(|s| s.muted = true);
    assert!(screen.model.selected_call().is_some(), "news of other things do not prolong it");
    screen.model.dirty = false;
    screen.pass(secs(1));
    assert!(screen.model.selected_call().is_none() && screen.model.dirty);
    screen.change(|s| s.calls.clear());
    assert!(screen.model.ended.is_empty());
}

#[test]
fn a_notice_goes_away_by_itself() {
    let mut screen = quiet();
    screen.model.notify("Something.", false);
    screen.pass(NOTICE_STAYS - secs(1));
    assert_eq!(screen.notice(), "Something.");
    screen.model.dirty = false;
    screen.pass(secs(1));
    assert!(screen.notice().is_empty() && screen.model.dirty);
}

/// Numbers change, nothing moves: everything but the digits stands still from second to second.
#[test]
fn nothing_jumps_when_numbers_change() {
    let mut screen = Screen::talking(80, 24);
    let frame = |screen: &Screen| -> String {
        let still = |c: char| if c.is_ascii_digit() || c == ' ' || c == '.' || c == '-' { '0' } else { c };
        let graph = |c: char| if ('▁'..='█').contains(&c) { '0' } else { c };
        let meter = |c: char| if matches!(c, '━' | '─') { '0' } else { c };
        screen
            .picture()
            .lines()
            .take(14)
            .map(|l| l.chars().map(still).map(graph).map(meter).collect::<String>() + "\n")
            .collect()
    };
    let before = frame(&screen);
    for step in 0..50_u32 {
        screen.change(|s| {
            let call = &mut s.calls[0];
            let mut quality = (*call.quality).clone();
            let value = f64::from(step) * 7.3;
            for direction in [&mut quality.inbound, &mut quality.outbound] {
                direction.loss.iter_mut().for_each(|r| r.value = value % 100.0);
                direction.jitter.iter_mut().for_each(|r| r.value = value * 3.0);
            }
            quality.round_trip.iter_mut().for_each(|r| r.value = value * 9.0);
            quality.delay.buffer = Some(value);
            call.quality = Arc::new(quality);
            s.playback_level = Some(-f32::from(u8::try_from(step).expect("small")));
        });
        assert_eq!(frame(&screen), before, "step {step}");
    }
}
