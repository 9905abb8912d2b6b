//! Clicks and the wheel, on the picture as it stands.
use super::fixture::{Screen, known};
use crate::base::id::{AccountId, CallNumber};
use crate::tui::action::{Action, Effect};
use crate::tui::model::{Page, Pane, Popup};
use crate::ua::command::Command;

const ALICE: CallNumber = CallNumber(1);
const BOB: CallNumber = CallNumber(2);

impl Screen {
    /// Clicks on the first place where the picture shows `text`.
    pub fn click(&mut self, text: &str) -> Action {
        let picture = self.picture();
        let found =
            picture.lines().enumerate().find_map(|(row, line)| Some((row, line[..line.find(text)?].chars().count())));
        let (row, column) = found.unwrap_or_else(|| panic!("{text} is not shown:\n{picture}"));
        let click = Action::Click { column: column as u16, row: row as u16 };
        self.act(click.clone());
        click
    }
}

#[test]
fn a_click_selects_and_one_more_opens() {
    let mut screen = Screen::two_calls(80, 24);
    assert_eq!(screen.model.selected, Some(ALICE));
    screen.click("2 Bob");
    assert_eq!((screen.model.selected, screen.sent()), (Some(BOB), vec![]));
    screen.click("2 Bob");
    assert_eq!(screen.sent(), [Command::Switch(BOB)], "as Enter does");
    let mut screen = Screen::used(80, 24);
    screen.click("Recent");
    assert_eq!(screen.model.pane, Pane::Calls, "a title is no row");
    let name = screen.model.recent_calls().nth(2).expect("an entry").peer_name.clone();
    let click = screen.click(&name);
    assert_eq!((screen.model.pane, screen.model.recent), (Pane::Recent, 2));
    screen.act(click);
    assert!(!screen.model.dial.is_empty(), "the number is in the dial line");
}

#[test]
fn messages_and_watched_phones_are_chosen_and_opened() {
    let mut screen = Screen::talking(120, 40);
    screen.press(&["l"]);
    assert_eq!(screen.model.page, Page::Messages);
    let click = screen.click("180 Ringing");
    assert!(screen.model.messages.at.is_some() && screen.model.popup.is_none());
    screen.act(click);
    let Some(Popup::Message { entry }) = &screen.model.popup else { panic!("a message") };
    assert_eq!(entry.label, "180 Ringing");

    let mut screen = Screen::used(80, 24);
    screen.change(known);
    let click = screen.click("Bob       ");
    assert_eq!((screen.model.pane, screen.sent()), (Pane::Watched, vec![]));
    screen.act(click);
    let called = Command::Call { account: Some(AccountId(0)), target: "888".into() };
    assert_eq!(screen.sent(), [called], "as Enter does");
}

#[test]
fn what_the_key_bar_shows_can_be_clicked() {
    let mut screen = Screen::talking(80, 24);
    screen.click("mute");
    assert_eq!(screen.sent(), [Command::Mute(true)]);
    screen.click("help");
    assert_eq!(screen.model.page, Page::Help);
    screen.act(Action::Wheel { up: false, column: 5, row: 5 });
    assert_eq!(screen.model.scroll, 3);
    screen.act(Action::Wheel { up: true, column: 5, row: 5 });
    assert_eq!(screen.model.scroll, 0);
}

#[test]
fn who_calls_is_answered_by_a_click_and_nothing_is_hit_below_a_window() {
    let mut screen = Screen::used(80, 24).ringing();
    screen.effects.clear();
    screen.click(" decline");
    assert!(matches!(screen.sent().as_slice(), [Command::Reject(_, _)]), "{:?}", screen.sent());
    let mut screen = Screen::two_calls(80, 24);
    screen.press(&["d"]);
    assert!(matches!(screen.model.popup, Some(Popup::Keypad { .. })));
    for row in 3..18 {
        screen.act(Action::Click { column: 40, row });
    }
    assert_eq!((screen.model.selected, screen.sent()), (Some(ALICE), vec![]));
}

#[test]
fn who_looks_elsewhere_is_told_of_a_call() {
    let told = |focused: Option<bool>| {
        let mut screen = Screen::used(80, 24);
        if let Some(focused) = focused {
            screen.act(Action::Focused(focused));
        }
        let screen = screen.ringing();
        screen.effects.iter().any(|effect| matches!(effect, Effect::Notify { title, .. } if title.ends_with(" calls")))
    };
    assert_eq!([Some(true), Some(false), None].map(told), [false, true, true]);
}
