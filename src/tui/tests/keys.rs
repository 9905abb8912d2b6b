//! What keys do, from the terminal's event to the command.
use super::fixture::{Screen, secs};
use crate::base::id::{AccountId, CallNumber};
use crate::tui::action::{Action, Effect};
use crate::tui::model::{Knob, Open, Page, Pane, Popup, Quit};
use crate::ua::command::Command;
use crate::ua::event::Event;

const ALICE: CallNumber = CallNumber(1);
const BOB: CallNumber = CallNumber(2);

fn call(target: &str) -> Command {
    Command::Call { account: None, target: target.into() }
}

#[test]
fn the_selection_follows_the_phone_and_stays_with_the_user() {
    let mut screen = Screen::two_calls(80, 24);
    screen.press(&["down"]);
    assert_eq!(screen.model.selected, Some(BOB));
    screen.change(|s| s.muted = true);
    assert_eq!(screen.model.selected, Some(BOB));
    screen.change(|s| s.focus = Some(BOB));
    screen.change(|s| s.focus = Some(ALICE));
    assert_eq!(screen.model.selected, Some(ALICE));
    screen.change(|s| {
        s.calls.retain(|c| c.number != ALICE);
        s.focus = None;
    });
    assert_eq!(screen.model.selected, Some(BOB));
}

#[test]
fn lists_are_walked_through() {
    let mut screen = Screen::talking(80, 24);
    screen.press(&["down"]);
    assert_eq!((screen.model.pane, screen.model.recent), (Pane::Recent, 0));
    screen.press(&["down", "down", "enter"]);
    assert_eq!((screen.model.open, screen.model.dial.text()), (Some(Open::Dial), "1003@pbx.example"));
    assert_eq!(screen.sent(), [], "nobody is called before the user says so");
    screen.press(&["esc", "tab", "up"]);
    assert_eq!(screen.model.recent, 1);
    screen.press(&["esc"]);
    assert_eq!(screen.model.pane, Pane::Calls);
    screen.press(&["shift-tab"]);
    assert_eq!(screen.model.pane, Pane::Messages);
    screen.press(&["up", "enter"]);
    let Some(Popup::Message { entry, .. }) = &screen.model.popup else { panic!("a message") };
    assert_eq!(entry.label, "200 OK");
    screen.press(&["left", "left", "right"]);
    let Some(Popup::Message { entry, .. }) = &screen.model.popup else { panic!("a message") };
    assert_eq!(entry.label, "180 Ringing");
    screen.press(&["esc", "esc", "esc"]);
    assert_eq!((&screen.model.popup, screen.model.pane), (&None, Pane::Calls));
}

#[test]
fn missed_calls_count_until_they_are_looked_at() {
    let mut screen = Screen::used(80, 24);
    assert_eq!(screen.model.missed(), 0, "what was missed before the start was seen before");
    let mut history = (*screen.model.history).clone();
    let mut missed = history.last().cloned().expect("history");
    missed.started = screen.model.wall + secs(5);
    history.push(missed);
    screen.act(Action::History(history.into()));
    assert_eq!(screen.model.missed(), 1);
    screen.pass(secs(10));
    screen.press(&["tab"]);
    assert_eq!(screen.model.missed(), 0);
}

#[test]
fn the_simulated_network_is_turned_by_keys() {
    let mut screen = Screen::talking(80, 24).simulated();
    let (asked, _) = screen.model.snapshot.simulation.expect("a simulation");
    screen.press(&["n", "up", "right", "down"]);
    assert_eq!(screen.model.knob, Some(Knob::Jitter));
    let sent = screen.sent();
    let [Command::Impair(worse), Command::Impair(better)] = sent.as_slice() else { panic!("{sent:?}") };
    assert_eq!((worse.loss, worse.seed, worse.jitter), (0.075, asked.seed, asked.jitter));
    assert_eq!((better.loss, better.jitter.as_millis()), (0.05, 30));
    screen.change(|s| {
        if let Some((asked, _)) = &mut s.simulation {
            asked.jitter = secs(9);
        }
    });
    screen.press(&["up", "esc"]);
    assert_eq!((screen.sent(), screen.model.knob), (vec![], None), "at its end a knob stops");
    let mut real = Screen::talking(80, 24);
    real.press(&["n"]);
    assert_eq!((real.model.knob, real.sent()), (None, vec![]));
}

#[test]
fn quitting_with_calls_up_is_asked_about() {
    let mut screen = Screen::talking(80, 24);
    screen.press(&["ctrl-q"]);
    assert_eq!(screen.sent(), []);
    screen.pass(secs(5));
    assert_eq!(screen.model.quit, Quit::No);
    screen.press(&["ctrl-c", "ctrl-c"]);
    assert_eq!(screen.sent(), [Command::Shutdown]);
    screen.press(&["ctrl-c"]);
    assert_eq!(screen.effects, [Effect::Leave], "who asks once more need not wait");

    let mut idle = Screen::used(80, 24);
    idle.press(&["ctrl-q"]);
    assert_eq!(idle.sent(), [Command::Shutdown]);
    idle.act(Action::Event(Event::Finished));
    assert_eq!(idle.effects, [Effect::Leave]);

    let mut killed = Screen::talking(80, 24);
    killed.act(Action::Terminate);
    killed.act(Action::Terminate);
    assert_eq!(killed.sent(), [Command::Shutdown]);
    killed.pass(secs(4));
    assert_eq!(killed.effects, []);
    killed.pass(secs(2));
    assert_eq!(killed.effects, [Effect::Leave], "a phone that never finishes is left");
}

#[test]
fn what_the_phone_did_not_hear_is_said() {
    let mut screen = Screen::used(80, 24);
    screen.act(Action::QueueFull(call("600")));
    assert!(screen.notice().contains("did not hear"));
    screen.act(Action::Event(Event::Refused { reason: "No account.".into() }));
    assert_eq!(screen.notice(), "No account.");
    screen.act(Action::QueueFull(Command::Shutdown));
    assert_eq!(screen.effects, [Effect::Leave]);
}

#[test]
fn the_program_is_not_stopped_in_a_call() {
    let mut screen = Screen::talking(80, 24);
    screen.press(&["ctrl-z"]);
    assert_eq!(screen.effects, []);
    assert!(!screen.notice().is_empty());
    let mut idle = Screen::used(80, 24);
    idle.press(&["ctrl-z"]);
    assert_eq!(idle.effects, [Effect::Suspend]);
    idle.act(Action::Continued);
    assert_eq!(idle.effects, [Effect::Suspend, Effect::Repaint]);
}

#[test]
fn one_account_is_looked_at_and_registered_there() {
    let mut screen = Screen::used(80, 24);
    screen.press(&["u", "down", "i"]);
    assert_eq!((screen.model.page, screen.model.account), (Page::Account, 1));
    screen.press(&["enter"]);
    assert_eq!(screen.sent(), [Command::Register(AccountId(1))]);
    screen.press(&["esc"]);
    assert_eq!((screen.model.page, screen.model.account), (Page::Accounts, 1));
    screen.press(&["i", "i", "esc"]);
    assert_eq!(screen.model.page, Page::Main);
}

#[test]
fn accounts_are_registered_and_taken_off() {
    let mut screen = Screen::used(80, 24);
    screen.press(&["u", "enter", "down", "down", "enter"]);
    assert_eq!(screen.sent(), [Command::Unregister(AccountId(0)), Command::Register(AccountId(1))]);
}

#[test]
fn pages_stop_at_their_ends() {
    let mut screen = Screen::used(80, 24);
    screen.press(&["g", "up"]);
    assert!(screen.picture().contains("42-59 of 60"));
    screen.press(&["pageup", "pageup", "pageup", "pageup", "pageup", "down"]);
    assert!(screen.picture().contains("2-19 of 60"));
    screen.press(&["end", "down", "down", "up"]);
    assert!(screen.picture().contains("42-59 of 60"));
}
