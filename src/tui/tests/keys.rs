//! What keys do, from the terminal's event to the command.
use super::fixture::{Screen, known, secs};
use crate::base::id::{AccountId, CallNumber};
use crate::tui::action::{Action, Effect};
use crate::tui::keymap::{Context, Intent, Keymap, ROWS};
use crate::tui::model::{Knob, Open, Page, Pane, Popup, Quit};
use crate::ua::command::{Command, Rejection};
use crate::ua::contacts::{Change, Number};
use crate::ua::event::Event;
use crate::ua::handling::When;
use crate::ua::snapshot::{CallState, Lamp, WatchView};

const ALICE: CallNumber = CallNumber(1);
const BOB: CallNumber = CallNumber(2);
const EVA: CallNumber = CallNumber(7);

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
fn help_returns_to_where_it_was_asked() {
    let mut screen = Screen::talking(80, 24);
    screen.press(&["q", "?"]);
    assert!(screen.picture().contains("Here: Quality page"));
    screen.press(&["?"]);
    assert_eq!(screen.model.page, Page::Quality);
    screen.press(&["q", "c"]);
    screen.types("a?");
    assert_eq!(screen.model.dial.text(), "a?");
    screen.press(&["f1"]);
    assert!(screen.picture().contains("Here: Dial line"));
    screen.press(&["esc"]);
    assert_eq!((screen.model.page, screen.model.open), (Page::Main, Some(Open::Dial)));
}

/// Every row of the keymap and every command stands on the help page.
#[test]
fn help_lists_all() {
    let mut screen = Screen::used(100, 400);
    screen.press(&["?"]);
    let picture = screen.picture();
    let map = Keymap::default();
    for context in Context::ALL {
        assert!(picture.contains(context.title()), "{context:?}");
        for binding in map.rows(context) {
            let row = |line: &str| {
                line.contains(binding.row.description) && binding.keys.iter().all(|k| line.contains(&k.label(true)))
            };
            assert!(picture.lines().any(row), "{:?}", binding.row);
        }
    }
    for word in crate::tui::update::command::all() {
        assert!(picture.contains(word.name) && picture.contains(word.description), "{word:?}");
    }
    assert_eq!(picture.matches("any letter").count(), ROWS.iter().filter(|r| r.keys == ["any-text"]).count());
}

/// Where contexts are active together, the inner one hides an outer key only on purpose.
#[test]
fn no_key_hides_another_by_accident() {
    let meant = [
        (Context::Incoming, Intent::Ignore, Intent::Details),
        (Context::Incoming, Intent::RejectBusy, Intent::Contacts),
        (Context::Incoming, Intent::Decline, Intent::Record),
        (Context::Question, Intent::No, Intent::Simulation),
        (Context::Log, Intent::Back, Intent::Log),
        (Context::Help, Intent::Back, Intent::Help),
    ];
    let stacks: [&[Context]; 8] = [
        &[Context::Incoming, Context::Calls, Context::Main, Context::Scroll, Context::Global],
        &[Context::Question, Context::Recent, Context::Main, Context::Scroll, Context::Global],
        &[Context::Incoming, Context::Messages, Context::Main, Context::Scroll, Context::Global],
        &[Context::Incoming, Context::Quality, Context::Global],
        &[Context::Incoming, Context::Message, Context::Scroll, Context::Global],
        &[Context::Incoming, Context::Details, Context::Scroll, Context::Global],
        &[Context::Incoming, Context::Log, Context::Scroll, Context::Global],
        &[Context::Incoming, Context::Help, Context::Scroll, Context::Global],
    ];
    let map = Keymap::default();
    for stack in stacks {
        for (depth, inner) in stack.iter().enumerate() {
            for binding in map.rows(*inner) {
                for outer in stack.iter().skip(depth + 1).flat_map(|context| map.rows(*context)) {
                    let hides = binding.keys.iter().any(|key| outer.keys.contains(key));
                    let known = meant.contains(&(*inner, binding.row.intent, outer.row.intent));
                    assert!(!hides || known, "{:?} hides {:?}", binding.row, outer.row);
                }
            }
        }
    }
}

#[test]
fn commands_by_their_words() {
    let answer = |text: &str| {
        let mut screen = Screen::two_calls(80, 24).simulated();
        screen.press(&[":"]);
        screen.types(text);
        screen.press(&["enter"]);
        (screen.sent(), screen.notice().to_owned(), screen.model.page)
    };
    let refused = [
        ("fly", "no such command"),
        ("call", "call takes TARGET."),
        ("hold on", "hold stands alone."),
        ("gain 1", "gain takes MIC SOUND."),
        ("gain 1 loud", "two numbers"),
        ("gain 1 41", "from -40 to 40 dB"),
        ("gain nan 0", "two numbers"),
        ("register home", "there is work, lab"),
        ("register work lab", "Name one account"),
        ("account home", "there is work, lab"),
        ("answer", "Nobody calls."),
        ("follow", "sent to another target"),
        ("switch 9", "no call number 9"),
        ("digits 12x", "tones are"),
        ("network wind 3", "loss, jitter, delay or burst"),
        ("network loss much", "loss, jitter, delay or burst"),
        ("theme pink", "themes are"),
    ];
    for (text, part) in refused {
        let (commands, notice, _) = answer(text);
        assert_eq!(commands, [], "{text}");
        assert!(notice.contains(part), "{text}: {notice}");
    }
    let rows = [
        ("", vec![]),
        ("call sip:a@b c", vec![call("sip:a@b c")]),
        ("query 600", vec![Command::Query { account: None, target: "600".into() }]),
        ("hangup", vec![Command::HangUp(ALICE)]),
        ("hold", vec![Command::Hold(ALICE)]),
        ("resume", vec![Command::Resume(ALICE)]),
        ("switch", vec![Command::Switch(BOB)]),
        ("switch 2", vec![Command::Switch(BOB)]),
        ("hangup 2", vec![Command::HangUp(BOB)]),
        ("join", vec![Command::Join(ALICE, BOB)]),
        ("join 2", vec![Command::Join(ALICE, BOB)]),
        ("join all", vec![Command::Join(ALICE, BOB)]),
        ("split 2", vec![Command::Split(BOB)]),
        ("record", vec![Command::Record(ALICE, None)]),
        ("record off", vec![Command::StopRecording(ALICE)]),
        ("record my talk", vec![Command::Record(ALICE, Some("my talk".into()))]),
        ("transfer 1003", vec![Command::Transfer { call: ALICE, target: "1003".into() }]),
        ("connect", vec![Command::Connect(ALICE, BOB)]),
        ("connect 2", vec![Command::Connect(ALICE, BOB)]),
        ("digits 1 2 a", vec![Command::Digits(ALICE, "12A".into())]),
        ("mute", vec![Command::Mute(true)]),
        ("unmute", vec![Command::Mute(false)]),
        ("gain -3 6.5", vec![Command::Gain { capture: -3.0, playback: 6.5 }]),
        ("register", vec![Command::Register(AccountId(0)), Command::Register(AccountId(1))]),
        ("unregister lab", vec![Command::Unregister(AccountId(1))]),
    ];
    for (text, commands) in rows {
        assert_eq!(answer(text).0, commands, "{text}");
    }
    for (text, page) in
        [("log", Page::Log), ("help", Page::Help), ("accounts", Page::Accounts), ("quality", Page::Quality)]
    {
        assert_eq!(answer(text).2, page, "{text}");
    }
}

#[test]
fn words_are_completed_as_far_as_they_agree() {
    let completed = |text: &str| {
        let mut screen = Screen::two_calls(80, 24);
        screen.press(&[":"]);
        screen.types(text);
        screen.press(&["tab"]);
        screen.model.command.text().to_owned()
    };
    let rows = [
        ("", ""),
        ("zz", "zz"),
        ("un", "un"),
        ("unm", "unmute "),
        ("re", "re"),
        ("reg", "register "),
        ("register w", "register work "),
        ("theme h", "theme high-contrast "),
        ("network ", "network "),
        ("network j", "network jitter "),
        ("switch 1", "switch 1 "),
        ("call +4", "call +420555123456@pbx.example "),
        ("register work x", "register work x"),
    ];
    for (text, line) in rows {
        assert_eq!(completed(text), line, "{text:?}");
    }
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

#[test]
fn contacts_are_found_called_and_changed() {
    let mut screen = Screen::used(80, 24);
    screen.change(known);
    screen.press(&["b"]);
    screen.types("ali");
    screen.press(&["enter"]);
    assert_eq!(screen.sent(), [call("1002")]);
    screen.press(&["b"]);
    screen.types("ali");
    screen.press(&["tab", "enter"]);
    assert_eq!(screen.sent(), [call("+420 555 123 456")]);
    screen.press(&["b", "down"]);
    screen.press(&["f10"]);
    assert_eq!(screen.sent(), [Command::Contact(Change::Watch { name: "Bob".into(), on: false })]);
    screen.press(&["ctrl-x"]);
    let removed = [Command::Contact(Change::Remove("Bob".into()))];
    screen.press(&["enter"]);
    assert_eq!(screen.sent(), removed);
    screen.press(&["b"]);
    screen.types("New");
    screen.press(&["f2"]);
    screen.types("work=77");
    let number = Number { address: "77".into(), label: "work".into() };
    let added = Command::Contact(Change::Add { name: "New".into(), number });
    screen.press(&["enter"]);
    assert_eq!(screen.sent(), [added]);
    // A name is completed in the dial line, and dialled as it is.
    screen.press(&["c"]);
    screen.types("ali");
    screen.press(&["tab", "enter"]);
    assert_eq!(screen.sent(), [call("Alice Nov\u{e1}kov\u{e1}")]);
}
