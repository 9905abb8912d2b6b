//! Keys of the dial line: typing, remembering, choosing an account.
use super::fixture::Screen;
use crate::base::id::AccountId;
use crate::tui::action::Action;
use crate::tui::model::Open;
use crate::ua::command::Command;

fn call(target: &str) -> Command {
    Command::Call { account: None, target: target.into() }
}

#[test]
fn a_number_is_dialled_by_typing_it() {
    let mut screen = Screen::used(80, 24);
    screen.types("600");
    assert_eq!((screen.model.open, screen.model.dial.text()), (Some(Open::Dial), "600"));
    screen.press(&["enter"]);
    assert_eq!(screen.sent(), [call("600")]);
    assert_eq!(screen.model.open, None);
}

#[test]
fn an_empty_line_brings_the_last_number_back_to_be_looked_at() {
    let mut screen = Screen::used(80, 24);
    screen.press(&["c", "enter"]);
    assert_eq!((screen.sent(), screen.model.open), (vec![], Some(Open::Dial)));
    screen.types("alice");
    screen.press(&["enter", "c", "enter"]);
    assert_eq!((screen.sent(), screen.model.dial.text()), (vec![call("alice")], "alice"));
    screen.press(&["enter"]);
    assert_eq!(screen.sent(), [call("alice")]);
}

#[test]
fn the_dial_line_remembers_and_suggests() {
    let mut screen = Screen::used(80, 24);
    for target in ["600", "sip:alice@example.org"] {
        screen.press(&["c"]);
        screen.types(target);
        screen.press(&["enter"]);
    }
    screen.sent();
    screen.press(&["c", "up", "up"]);
    assert_eq!(screen.model.dial.text(), "600");
    screen.press(&["down", "ctrl-u"]);
    screen.types("sip:");
    screen.press(&["right"]);
    assert_eq!(screen.model.dial.text(), "sip:alice@example.org");
    screen.press(&["ctrl-u"]);
    screen.types("+42");
    screen.press(&["end", "enter"]);
    assert_eq!(screen.sent(), [call("+420555123456@pbx.example")]);
}

#[test]
fn leaving_the_line_keeps_the_text() {
    let mut screen = Screen::used(80, 24);
    screen.press(&["c"]);
    screen.types("al");
    screen.press(&["esc"]);
    assert_eq!((screen.model.open, screen.model.dial.text()), (None, "al"));
    screen.press(&["c"]);
    screen.types("ice");
    assert_eq!(screen.model.dial.text(), "alice");
}

#[test]
fn pasting_opens_the_line_and_leaves_line_breaks_out() {
    let mut screen = Screen::used(80, 24);
    screen.act(Action::Paste("  sip:bob@\nexample.org\u{1b}[2J \n".into()));
    assert_eq!((screen.model.open, screen.model.dial.text()), (Some(Open::Dial), "sip:bob@example.org[2J"));
    screen.press(&["esc", "?"]);
    screen.act(Action::Paste("lost".into()));
    assert_eq!(screen.model.dial.text(), "sip:bob@example.org[2J");
}

#[test]
fn the_account_of_a_call_can_be_chosen() {
    let mut screen = Screen::used(80, 24);
    screen.press(&["c", "tab"]);
    screen.types("5");
    screen.press(&["enter"]);
    assert_eq!(screen.sent(), [Command::Call { account: Some(AccountId(1)), target: "5".into() }]);
    screen.press(&["c", "tab"]);
    assert_eq!(screen.model.dial_account, Some(AccountId(0)));
}
