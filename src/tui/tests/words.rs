//! The command line: words, their arguments, their completion.
use super::fixture::Screen;
use crate::base::id::{AccountId, CallNumber};
use crate::tui::model::Page;
use crate::ua::command::Command;

const ALICE: CallNumber = CallNumber(1);
const BOB: CallNumber = CallNumber(2);

fn call(target: &str) -> Command {
    Command::Call { account: None, target: target.into() }
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
