//! Keys of calls: ringing ones, ours, two at once.
use super::fixture::Screen;
use crate::base::id::{AccountId, CallNumber};
use crate::tui::action::Effect;
use crate::tui::model::{Open, Pane, Popup};
use crate::ua::command::{Command, Rejection};
use crate::ua::handling::When;
use crate::ua::snapshot::{CallState, Lamp, WatchView};

const ALICE: CallNumber = CallNumber(1);
const BOB: CallNumber = CallNumber(2);
const EVA: CallNumber = CallNumber(7);

#[test]
fn a_ringing_call_is_answered_or_refused_by_one_key() {
    let rows = [
        ("a", Command::Answer(EVA)),
        ("b", Command::Reject(EVA, Rejection::Busy)),
        ("r", Command::Reject(EVA, Rejection::Decline)),
        ("i", Command::Ignore(EVA)),
        ("f5", Command::Answer(EVA)),
        ("f6", Command::Reject(EVA, Rejection::Busy)),
        ("f7", Command::Reject(EVA, Rejection::Decline)),
        ("f8", Command::Ignore(EVA)),
    ];
    for (key, command) in rows {
        for screen in [Screen::used(80, 24), Screen::talking(80, 24)] {
            let mut screen = screen.ringing();
            screen.sent();
            screen.press(&[key]);
            assert_eq!(screen.sent(), std::slice::from_ref(&command), "{key}");
        }
    }
}

#[test]
fn a_ringing_call_never_takes_typed_text() {
    let mut screen = Screen::talking(80, 24);
    screen.press(&["c"]);
    screen.types("b");
    let mut screen = screen.ringing();
    assert_eq!(
        std::mem::take(&mut screen.effects),
        [
            Effect::Bell,
            Effect::Notify { title: "Eva Malá calls".into(), text: "1007@pbx.example for work".into() },
            Effect::Title("Eva Malá calls - offhook".into())
        ]
    );
    screen.types("arbia");
    assert_eq!((screen.sent(), screen.model.dial.text()), (vec![], "barbia"));
    screen.press(&["f5"]);
    assert_eq!(screen.sent(), [Command::Answer(EVA)]);
    assert_eq!((screen.model.open, screen.model.dial.text()), (Some(Open::Dial), "barbia"));
    assert_eq!(screen.model.selected, Some(ALICE));
}

#[test]
fn tones_are_typed_text_too() {
    let mut screen = Screen::talking(80, 24);
    screen.press(&["d"]);
    let mut screen = screen.ringing();
    screen.sent();
    screen.types("ab1z");
    let digits = |d: &str| Command::Digits(ALICE, d.into());
    assert_eq!(screen.sent(), [digits("A"), digits("B"), digits("1")]);
    screen.press(&["f7"]);
    assert_eq!(screen.sent(), [Command::Reject(EVA, Rejection::Decline)]);
}

#[test]
fn the_bell_rings_once_a_call() {
    let mut screen = Screen::used(80, 24).ringing();
    let bells = |screen: &mut Screen| screen.effects.drain(..).filter(|e| *e == Effect::Bell).count();
    assert_eq!(bells(&mut screen), 1);
    screen.change(|s| s.muted = true);
    assert_eq!(bells(&mut screen), 0);
    screen.change(|s| s.calls.iter_mut().for_each(|c| c.ignored = true));
    assert_eq!(bells(&mut screen), 0);
    assert_eq!(screen.model.incoming().map(|c| c.number), None);
    screen.press(&["a"]);
    assert_eq!(screen.sent(), [Command::Answer(EVA)], "a silenced call can still be answered");
}

#[test]
fn a_redirection_is_asked_about() {
    for (key, follow) in [("y", true), ("n", false), ("f5", true), ("f7", false)] {
        let mut screen = Screen::used(80, 24);
        let moved = CallState::Redirected { target: "9@other.example".into() };
        let call = screen.call(1, "Alice", moved, 1);
        screen.change(|s| s.calls.push(call));
        screen.sent();
        screen.press(&[key]);
        assert_eq!(screen.sent(), [Command::Follow(ALICE, follow)], "{key}");
    }
}

#[test]
fn keys_of_a_call() {
    let mut screen = Screen::two_calls(80, 24);
    screen.press(&["h", "m", "s", "x"]);
    let expected = [Command::Hold(ALICE), Command::Mute(true), Command::Switch(BOB), Command::HangUp(ALICE)];
    assert_eq!(screen.sent(), expected);
    screen.change(|s| s.muted = true);
    screen.press(&["down", "h", "f4", "f9"]);
    assert_eq!(screen.sent(), [Command::Resume(BOB), Command::Mute(false), Command::HangUp(BOB)]);
    screen.press(&["enter"]);
    assert_eq!(screen.sent(), [Command::Switch(BOB)], "enter talks on the selected call");
    screen.press(&["]", "{"]);
    let gain = |capture, playback| Command::Gain { capture, playback };
    assert_eq!(screen.sent(), [gain(0.0, 3.0), gain(-3.0, 0.0)]);
}

#[test]
fn calls_are_forwarded_and_refused_by_keys() {
    let mut screen = Screen::used(80, 24);
    screen.press(&["f"]);
    screen.types("1003");
    screen.press(&["esc"]);
    assert_eq!(screen.sent(), []);
    let forward = |when, to: Option<&str>| Command::Forward {
        account: None,
        when: Some(when),
        to: to.map(str::to_owned),
        after: None,
    };
    screen.press(&["f"]);
    screen.types("1003");
    screen.press(&["enter"]);
    assert_eq!(screen.sent(), [forward(When::Always, Some("1003"))]);
    screen.change(|s| s.accounts[0].forwarding.set(When::Busy, Some("604".into())));
    screen.press(&["f", "tab"]);
    assert_eq!((screen.model.open, screen.model.forward.text()), (Some(Open::Forward(When::Busy)), "604"));
    screen.press(&["ctrl-u", "enter"]);
    assert_eq!(screen.sent(), [forward(When::Busy, None)]);
    screen.press(&["z"]);
    screen.change(|s| s.accounts.iter_mut().for_each(|account| account.do_not_disturb = true));
    screen.press(&["z"]);
    let disturb = |on| Command::DoNotDisturb { account: None, on };
    assert_eq!(screen.sent(), [disturb(true), disturb(false)]);
}

#[test]
fn calls_are_parked_and_taken_from_others_by_keys() {
    let mut screen = Screen::talking(80, 24);
    screen.press(&["p"]);
    assert_eq!(screen.sent(), [Command::Park { call: ALICE, slot: None }]);

    let mut screen = Screen::used(80, 24);
    screen.press(&["p", "P"]);
    assert!(screen.notice().contains("parked"));
    assert_eq!(screen.sent(), [Command::PickUp { account: None, whom: None }]);
    let lamp = |label: &str, lamp| WatchView {
        account: AccountId(1),
        label: label.into(),
        contact: None,
        lamp,
        note: String::new(),
    };
    screen.change(|s| s.watched = vec![lamp("701", Lamp::Busy), lamp("1002", Lamp::Ringing)]);
    screen.press(&["tab", "tab", "enter", "down", "enter"]);
    assert_eq!(screen.model.pane, Pane::Watched);
    let account = Some(AccountId(1));
    let expected =
        [Command::Call { account, target: "701".into() }, Command::PickUp { account, whom: Some("1002".into()) }];
    assert_eq!(screen.sent(), expected);
    // With a call the cursor goes back to where it can be seen.
    let calls = Screen::talking(80, 24).model.snapshot.calls.clone();
    screen.change(|s| s.calls = calls);
    assert_eq!(screen.model.pane, Pane::Calls);
}

#[test]
fn a_call_is_transferred_to_what_is_typed() {
    let mut screen = Screen::used(80, 24);
    screen.press(&["t"]);
    assert!(screen.notice().contains("can be transferred"));

    let mut screen = Screen::talking(80, 24);
    screen.press(&["t", "enter"]);
    assert!(screen.picture().contains("Transfer Alice Nováková to:"));
    screen.types("100");
    screen.press(&["esc"]);
    assert_eq!((screen.sent(), screen.model.open), (vec![], None));
    screen.press(&["t"]);
    screen.types("1003");
    screen.press(&["enter"]);
    assert_eq!(screen.sent(), [Command::Transfer { call: CallNumber(1), target: "1003".into() }]);

    screen.press(&["t"]);
    screen.types("1003");
    screen.change(|s| s.calls.clear());
    screen.press(&["enter"]);
    assert_eq!((screen.sent(), screen.notice()), (vec![], "The call is over."));
}

#[test]
fn two_calls_are_connected_after_a_question() {
    let mut screen = Screen::talking(80, 24);
    screen.press(&["o"]);
    assert!(screen.notice().contains("Two calls"));
    for (selected, keys, sent) in [
        (1, ["o", "esc"], vec![]),
        (1, ["o", "enter"], vec![Command::Connect(CallNumber(2), CallNumber(1))]),
        (2, ["o", "enter"], vec![Command::Connect(CallNumber(2), CallNumber(1))]),
    ] {
        let mut screen = Screen::two_calls(80, 24);
        screen.model.selected = Some(CallNumber(selected));
        screen.press(&keys[..1]);
        assert!(screen.picture().contains("Connect Bob with Alice Nováková, and leave both?"));
        screen.press(&keys[1..]);
        assert_eq!((screen.sent(), screen.model.open), (sent, None), "{selected} {keys:?}");
    }
}

#[test]
fn a_conference_is_begun_and_left_with_one_key() {
    let mut screen = Screen::talking(80, 24);
    screen.press(&["v"]);
    assert_eq!((screen.sent(), screen.notice()), (vec![], "There is no other call to join."));
    let (one, two) = (CallNumber(1), CallNumber(2));
    for (selected, sent) in [(1, Command::Join(one, two)), (2, Command::Join(two, one))] {
        let mut screen = Screen::two_calls(80, 24);
        screen.model.selected = Some(CallNumber(selected));
        screen.press(&["v"]);
        assert_eq!(screen.sent(), [sent]);
    }
    let mut screen = Screen::two_calls(80, 24);
    screen.change(|s| s.calls.iter_mut().for_each(|call| (call.in_conference, call.held_by_us) = (true, false)));
    screen.press(&["v"]);
    assert_eq!(screen.sent(), [Command::Split(screen.model.selected.expect("a call"))]);
    screen.types(":split");
    screen.press(&["enter"]);
    assert_eq!(screen.sent().len(), 1);
    screen.types(":join");
    screen.press(&["enter"]);
    assert_eq!((screen.sent(), screen.notice()), (vec![], "There is no other call to join."));
}

#[test]
fn the_same_key_begins_and_ends_a_recording() {
    let mut screen = Screen::talking(80, 24);
    screen.press(&["r"]);
    assert_eq!(screen.sent(), [Command::Record(CallNumber(1), None)]);
    screen.change(|s| s.calls[0].recording = Some(String::new()));
    screen.press(&["r"]);
    assert_eq!(screen.sent(), [Command::StopRecording(CallNumber(1))]);
}

#[test]
fn without_a_call_its_keys_say_so() {
    for key in ["x", "h", "s", "d", "q", "l", "i"] {
        let mut screen = Screen::used(80, 24);
        screen.press(&[key]);
        assert_eq!(screen.sent(), [], "{key}");
        assert!(!screen.notice().is_empty(), "{key}");
    }
}

#[test]
fn digits_in_a_call_are_tones() {
    let mut screen = Screen::talking(80, 24);
    screen.types("1#");
    assert_eq!(screen.sent(), [Command::Digits(ALICE, "1".into()), Command::Digits(ALICE, "#".into())]);
    assert_eq!(screen.model.popup, Some(Popup::Keypad { sent: "1#".into() }));
    screen.press(&["esc"]);
    screen.types("+4");
    assert_eq!((screen.sent(), screen.model.dial.text()), (vec![], "+4"), "a plus is no tone");
}
