//! Texts on the screen.
use super::fixture::{Screen, WALL, secs};
use super::pictures::keep_sizes;
use crate::base::id::AccountId;
use crate::tui::action::Action;
use crate::tui::model::{Open, Page};
use crate::ua::command::Command;
use crate::ua::event::Event;
use crate::ua::snapshot::{OwnState, PresenceView, TextState, TextView};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// A text with somebody, so many seconds after the screen began.
fn text(n: u64, peer: &str, state: TextState, content: &str) -> TextView {
    TextView {
        key: n.to_string(),
        account: AccountId(0),
        account_name: "work".into(),
        outgoing: state != TextState::Received,
        peer_name: peer.into(),
        peer_address: format!("{peer}@pbx.example"),
        trust: if state == TextState::Received { "asserted by pbx.example".into() } else { String::new() },
        at: UNIX_EPOCH + secs(WALL + n),
        text: content.into(),
        state,
    }
}

fn written() -> Vec<TextView> {
    let long = "The parcel for the third floor has come; it stands at the door and is too heavy to carry up alone.";
    vec![
        text(1, "bob", TextState::Received, "Are you there?\nIt is urgent."),
        text(2, "alice", TextState::Delivered, long),
        text(3, "alice", TextState::Received, "Thanks!"),
        text(4, "alice", TextState::Accepted, "Welcome."),
        text(5, "alice", TextState::Failed("the other side is not reachable now (480)".into()), "Still there?"),
        text(6, "alice", TextState::Sending, "Hello?"),
    ]
}

fn reading(columns: u16, rows: u16) -> Screen {
    let mut screen = Screen::used(columns, rows);
    screen.act(Action::Texts(Arc::new(written())));
    screen
}

#[test]
fn what_was_written_with_somebody() {
    keep_sizes("texts", |columns, rows| {
        let mut screen = reading(columns, rows);
        let presence = PresenceView { state: OwnState::Away, note: "lunch".into(), published: Vec::new() };
        screen.change(|snapshot| snapshot.presence = presence);
        screen.press(&["w", "up", "enter"]);
        screen.types("On my way");
        screen
    });
}

#[test]
fn what_nobody_looked_at_is_counted_until_it_is_read() {
    let mut screen = reading(80, 24);
    assert_eq!(screen.model.unread(), 2);
    // The newest with something unread is shown first.
    screen.press(&["w"]);
    let peer = |screen: &Screen| screen.model.reading.peer.clone().map(|peer| peer.address);
    assert_eq!((peer(&screen).as_deref(), screen.model.unread()), (Some("alice@pbx.example"), 1));
    screen.press(&["down"]);
    assert_eq!((peer(&screen).as_deref(), screen.model.unread()), (Some("bob@pbx.example"), 0));
    let news = text(9, "carol", TextState::Received, "one\ntwo");
    screen.act(Action::Event(Event::Text(Box::new(news.clone()))));
    assert_eq!(screen.notice(), "carol writes: one");
    screen.act(Action::Texts(Arc::new([written(), vec![news]].concat())));
    assert_eq!(screen.model.unread(), 1);
    screen.press(&["esc"]);
    assert_eq!((screen.model.page, screen.model.unread()), (Page::Main, 1));
}

#[test]
fn a_text_is_written_to_whom_the_cursor_is_on() {
    let mut screen = reading(80, 24);
    screen.press(&["tab", "w"]);
    let entry = screen.model.recent_entry().map(|entry| entry.peer_address.clone()).expect("a call");
    assert_eq!(screen.model.reading.peer.as_ref().map(|peer| peer.address.as_str()), Some(entry.as_str()));
    screen.types("hello you w");
    screen.press(&["esc"]);
    assert_eq!((screen.model.page, screen.sent()), (Page::Texts, vec![]), "kept, not sent");
    screen.press(&["w", "enter"]);
    let account = screen.model.reading.peer.as_ref().map(|peer| peer.account);
    assert_eq!(screen.sent(), [Command::Text { account, target: entry, text: "hello you w".into() }]);
    screen.press(&["enter"]);
    assert_eq!(screen.sent(), [], "nothing is not sent");
    screen.press(&["esc", "esc"]);
    assert_eq!(screen.model.page, Page::Main);
}

#[test]
fn who_wrote_is_chosen_by_the_mouse_and_answered() {
    let mut screen = reading(80, 24);
    screen.press(&["w"]);
    let click = screen.click("  bob");
    assert_eq!(screen.model.reading.peer.as_ref().map(|peer| peer.address.as_str()), Some("bob@pbx.example"));
    assert_eq!(screen.model.open, None);
    screen.act(click);
    assert_eq!(screen.model.open, Some(Open::Text));
}
