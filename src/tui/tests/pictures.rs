//! The screen as it looks. Every picture was looked at before it was kept.
use super::fixture::{Screen, account, flow, identity, known, quality, secs};
use crate::base::id::{AccountId, CallNumber};
use crate::base::net::{Flow, Transport};
use crate::qos::snapshot::{CallQuality, Fault, Verdict};
use crate::tui::action::Action;
use crate::tui::model::Model;
use crate::tui::theme::{ASCII, Role};
use crate::ua::handling::When;
use crate::ua::identity::{Forwarded, Identity, Source};
use crate::ua::snapshot::{CallEnd, CallState, CallView, Lamp, MailboxView, RegistrationState, WatchView};
use std::sync::Arc;
use std::time::Duration;

pub(super) fn keep(name: &str, content: &str) {
    insta::with_settings!({ snapshot_path => "../snapshots", prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, content);
    });
}

const SIZES: [(u16, u16); 3] = [(60, 20), (80, 24), (120, 40)];

/// Keeps the same scene at the three sizes.
pub(super) fn keep_sizes(name: &str, scene: impl Fn(u16, u16) -> Screen) {
    for (columns, rows) in SIZES {
        keep(&format!("{name}_{columns}x{rows}"), &scene(columns, rows).picture());
    }
}

/// Keeps which role every cell has, with the letters of the roles that are there.
fn keep_roles(name: &str, screen: &Screen) {
    let picture = screen.roles();
    let mut legend = String::new();
    for (letter, role) in (b'a'..).map(char::from).zip(Role::ALL) {
        if picture.contains(letter) || picture.contains(letter.to_ascii_uppercase()) {
            legend.push_str(&format!("{letter} {role:?}\n"));
        }
    }
    keep(&format!("{name}_roles"), &format!("{picture}\n{legend}"));
}

#[test]
fn transferring() {
    keep_sizes("transfer", |columns, rows| {
        let mut screen = Screen::two_calls(columns, rows);
        screen.change(|s| {
            s.accounts[0].mailbox = Some(MailboxView { waiting: true, new: Some(3), old: None });
            s.calls[1].transfer = Some("transfer to carol@pbx.example: it rings".into());
        });
        screen.press(&["t"]);
        screen.types("1003");
        screen
    });
}

#[test]
fn at_rest() {
    keep_sizes("idle", Screen::used);
    keep_roles("idle", &Screen::used(80, 24));
    keep("first_start", &Screen::new(80, 24).picture());
    keep_sizes("not_reachable", |columns, rows| {
        let mut screen = Screen::used(columns, rows);
        let cause = "nobody trusted has signed the certificate of pbx.example; set tls_ca to the file of its certificate authority";
        let retry = Some(screen.start + secs(16));
        let state = RegistrationState::Failed { cause: cause.into(), status: None, retry };
        screen.change(|s| {
            s.accounts.truncate(1);
            s.accounts[0].flows = vec![flow(Transport::Tls, 10, state.clone())];
            s.accounts[0].state = state;
        });
        screen
    });
}

#[test]
fn in_a_call() {
    keep_sizes("call", Screen::talking);
    keep_roles("call", &Screen::talking(80, 24));
    keep_roles("call_wide", &Screen::talking(120, 40));
    keep_sizes("call_recovers", |columns, rows| {
        let mut screen = Screen::talking(columns, rows);
        screen.change(|s| {
            for call in &mut s.calls {
                call.recovery = "address changed: asking the peer to follow".into();
                let ladder = Arc::make_mut(&mut call.ladder);
                let tls = Flow::new(Transport::Tls, ([192, 0, 2, 1], 5061).into(), ([192, 0, 2, 10], 5061).into());
                ladder.iter_mut().for_each(|entry| Arc::make_mut(entry).flow = Some(tls));
            }
        });
        screen
    });
    keep_sizes("conference", |columns, rows| {
        let mut screen = Screen::two_calls(columns, rows);
        screen.change(|s| s.calls.iter_mut().for_each(|call| (call.in_conference, call.held_by_us) = (true, false)));
        screen
    });
    keep_sizes("recorded", |columns, rows| {
        let mut screen = Screen::two_calls(columns, rows);
        screen.change(|s| s.calls[0].recording = Some("/home/me/recordings/20261122-103207-alice.wav".into()));
        screen
    });
    // What happened beside the messages went no way between us and them; the way the sound has found is among the details.
    let mut screen = Screen::talking(120, 40);
    screen.change(|s| {
        let call = &mut s.calls[0];
        let heard = Arc::make_mut(&mut call.ladder).last_mut().map(Arc::make_mut).expect("a message");
        (heard.flow, heard.label) = (None, "first sound heard".into());
        call.media_path = "relayed via turn.example".into();
        call.media_pair = "192.0.2.1:17000 (relayed) to 192.0.2.10:17002 (host), 38.0 ms".into();
    });
    keep("note_120x40", &screen.picture());
    screen.press(&["i"]);
    keep("details_pair_120x40", &screen.picture());
    keep_sizes("two_calls_demo", |columns, rows| Screen::two_calls(columns, rows).simulated());
    keep("call_200x50", &Screen::talking(200, 50).simulated().picture());
}

#[test]
fn eight_calls_at_once() {
    keep_sizes("eight_calls", |columns, rows| {
        let mut screen = Screen::used(columns, rows);
        let held = |screen: &Screen, number: u32| {
            let call = screen.call(number, &format!("Caller {number}"), CallState::Established, 60 + u64::from(number));
            CallView { held_by_us: number != 5, ..call }
        };
        let mut calls: Vec<CallView> = (1..=7).map(|number| held(&screen, number)).collect();
        let waiting = screen.call(8, "Caller 8", CallState::Ringing { early_media: false }, 3);
        calls.push(CallView { outgoing: false, ..waiting });
        screen.change(|s| (s.calls, s.focus) = (calls, Some(CallNumber(5))));
        screen
    });
}

#[test]
fn calls_that_do_not_ring_here() {
    keep_sizes("forwarding", |columns, rows| {
        let mut screen = Screen::used(columns, rows);
        screen.change(|s| {
            s.accounts[0].forwarding.set(When::Always, Some("1003".into()));
            s.accounts[1].do_not_disturb = true;
        });
        screen.press(&["f", "tab", "tab"]);
        screen.types("604");
        screen
    });
    let mut screen = Screen::used(80, 24);
    screen.change(|s| s.accounts.iter_mut().for_each(|account| account.do_not_disturb = true));
    for page in ["g", "u", "?"] {
        screen.press(&[page]);
        assert!(screen.picture().lines().next().is_some_and(|line| line.contains("DND")), "{}", screen.picture());
        screen.press(&["esc"]);
    }
}

#[test]
fn somebody_calls() {
    keep_sizes("incoming", |columns, rows| Screen::used(columns, rows).ringing());
    keep_roles("incoming", &Screen::used(80, 24).ringing());
    keep_sizes("call_waiting_while_typing", |columns, rows| {
        let mut screen = Screen::talking(columns, rows);
        screen.press(&["c"]);
        screen.types("ali");
        screen.ringing()
    });
    let mut asserted = Screen::used(80, 24);
    let call = asserted.incoming(7, "Eva Malá");
    let call = CallView { identity: identity("Eva Malá", &call.peer_address, Source::Asserted), ..call };
    asserted.change(|s| s.calls.push(call));
    keep("incoming_asserted", &asserted.picture());
}

#[test]
fn pages() {
    let pressed = |mut screen: Screen, keys: &[&str]| {
        screen.press(keys);
        screen
    };
    keep_sizes("quality", |columns, rows| pressed(Screen::talking(columns, rows), &["q"]));
    keep_roles("quality", &pressed(Screen::talking(80, 24), &["q"]));
    keep("quality_looking_back", &pressed(Screen::talking(80, 24), &["q", "left", "left", "left"]).picture());
    keep_sizes("help", |columns, rows| pressed(Screen::used(columns, rows), &["?"]));
    keep_sizes("log", |columns, rows| pressed(Screen::used(columns, rows), &["g"]));
    keep_sizes("accounts", |columns, rows| pressed(Screen::used(columns, rows), &["u", "down"]));
    keep_sizes("account", |columns, rows| pressed(Screen::used(columns, rows), &["u", "i"]));
    keep("account_failed", &pressed(Screen::used(80, 24), &["u", "down", "i"]).picture());
    keep_sizes("messages", |columns, rows| pressed(Screen::talking(columns, rows), &["l", "up", "up"]));
    keep_roles("messages", &pressed(Screen::talking(80, 24), &["l", "up", "up"]));
    keep_roles("one_message", &pressed(Screen::talking(80, 24), &["l", "home", "enter"]));
    keep_sizes("one_message", |columns, rows| pressed(Screen::talking(columns, rows), &["l", "home", "enter"]));
    keep_sizes("details", |columns, rows| pressed(Screen::talking(columns, rows), &["i"]));
    keep_sizes("keypad", |columns, rows| pressed(Screen::talking(columns, rows), &["1", "2", "#"]));
    keep_sizes("recent", |columns, rows| pressed(Screen::used(columns, rows), &["tab", "down"]));
    keep("recent_missed", &pressed(Screen::used(80, 24), &["tab"]).picture());
    keep_sizes("log_long", |columns, rows| {
        let mut screen = Screen::used(columns, rows);
        let long = "work: the certificate of pbx.example (192.0.2.10:5061) is signed by an authority nobody here knows: name its \
                    certificate as tls_ca";
        screen.act(Action::Log(Arc::new((0..30).map(|n| format!("10:31:{n:02} {long}")).collect())));
        pressed(screen, &["g"])
    });
    keep_sizes("quality_held", |columns, rows| {
        let mut screen = Screen::talking(columns, rows);
        screen.change(|s| s.calls.iter_mut().for_each(|call| call.held_by_us = true));
        pressed(screen, &["q"])
    });
    keep("network_knob", &pressed(Screen::talking(80, 24).simulated(), &["n", "right"]).picture());
}

#[test]
fn lines() {
    let mut screen = Screen::used(80, 24);
    screen.press(&["c"]);
    keep("dial_empty", &screen.picture());
    screen.press(&["tab"]);
    keep("dial_other_account", &screen.picture());
    screen.press(&["tab"]);
    screen.types("+42");
    keep("dial_suggestion", &screen.picture());
    screen.press(&["tab"]);
    screen.types("0777 & a very long name that is much longer than the line could ever hold, so it slides");
    keep("dial_long", &screen.picture());
    screen.press(&["esc", ":"]);
    screen.types("re");
    keep("command_candidates", &screen.picture());
}

#[test]
fn every_call_state() {
    let summary = |screen: &Screen, end, cause: &str| {
        let mut summary = screen.model.history.first().cloned().expect("history");
        (summary.end, summary.cause) = (end, cause.into());
        summary.duration = (end == CallEnd::Normal).then_some(secs(192));
        CallState::Ended(Arc::new(summary))
    };
    let base = Screen::used(80, 24);
    let states = [
        ("preparing", CallState::Preparing),
        ("calling", CallState::Calling),
        ("ringing", CallState::Ringing { early_media: false }),
        ("early_media", CallState::Ringing { early_media: true }),
        ("redirected", CallState::Redirected { target: "1099@other.example".into() }),
        ("answering", CallState::Answering),
        ("ending", CallState::Ending),
        ("ended", summary(&base, CallEnd::Normal, "They hung up.")),
        ("ended_refused", summary(&base, CallEnd::Refused, "They are busy (486).")),
    ];
    for (name, state) in states {
        let mut screen = Screen::used(80, 24);
        let mut call = screen.call(1, "Alice", state, 5);
        call.quality = Arc::new(CallQuality::default());
        screen.change(|s| s.calls.push(call));
        keep(&format!("state_{name}"), &screen.picture());
    }
}

#[test]
fn every_way_to_be_established() {
    type Change = fn(&mut CallView);
    let changes: [(&str, Change); 6] = [
        ("held_by_us", |call| call.held_by_us = true),
        ("held_by_peer", |call| call.held_by_peer = true),
        ("held_by_both", |call| (call.held_by_us, call.held_by_peer) = (true, true)),
        ("nothing_arrives", |call| {
            (call.media_flowing, call.quality) = (false, Arc::new(CallQuality::default()));
        }),
        ("not_measured", |call| call.quality = Arc::new(CallQuality::default())),
        ("poor_here", |call| {
            let mut quality = quality();
            (quality.verdict, quality.fault) = (Verdict::Poor, Fault::Here);
            quality.diagnosis =
                "The sound card runs dry 12 times a second: another program keeps this machine busy.".into();
            call.quality = Arc::new(quality);
        }),
    ];
    for (name, change) in changes {
        let mut screen = Screen::talking(80, 24);
        screen.change(|s| s.calls.iter_mut().for_each(change));
        keep(&format!("state_{name}"), &screen.picture());
    }
    let mut muted = Screen::talking(80, 24);
    muted.change(|s| s.muted = true);
    keep("state_muted", &muted.picture());
    let mut silenced = Screen::used(80, 24);
    let call = CallView { ignored: true, ..silenced.incoming(7, "Eva Malá") };
    silenced.change(|s| s.calls.push(call));
    keep("state_silenced", &silenced.picture());
    let mut stale = Screen::talking(80, 24);
    stale.pass(secs(20));
    keep("state_stale", &stale.picture());
    keep_roles("state_stale", &stale);
}

#[test]
fn every_registration_state() {
    let screen = Screen::new(80, 24);
    let at = screen.start;
    let failed = |status, retry| RegistrationState::Failed { cause: "The password is wrong".into(), status, retry };
    let states = [
        ("off", RegistrationState::Off),
        ("registering", RegistrationState::Registering),
        ("registered", RegistrationState::Registered { expires: at + secs(3600) }),
        ("failed", failed(Some(403), None)),
        ("failed_retry", failed(None, Some(at + Duration::from_millis(89_500)))),
        ("unregistering", RegistrationState::Unregistering),
    ];
    let mut pictures = String::new();
    for (name, state) in states {
        let mut screen = Screen::new(80, 24);
        screen.change(|s| s.accounts.push(account(0, "work", "1001@pbx.example", state)));
        pictures.push_str(&format!("{name}\n{}", head(&screen.picture(), 6)));
        screen.press(&["u"]);
        pictures.push_str(&head(&screen.picture(), 5));
    }
    keep("registration_states", &pictures);
}

fn head(picture: &str, rows: usize) -> String {
    picture.lines().take(rows).map(|row| format!("{row}\n")).collect()
}

#[test]
fn what_the_phone_has_to_say() {
    let mut rows = String::new();
    let mut say = |change: fn(&mut Screen)| {
        let mut screen = Screen::talking(80, 24);
        change(&mut screen);
        rows.push_str(screen.picture().lines().nth(21).unwrap_or_default());
        rows.push('\n');
    };
    say(|screen| screen.change(|s| (s.playback_gain, s.capture_gain, s.muted) = (3.0, -6.0, true)));
    say(|screen| screen.change(|s| s.devices.notice = Some("No sound card: sound goes to a virtual device.".into())));
    say(|screen| screen.model.notify("The number is not one the server knows.", true));
    say(|screen| screen.model.notify("600@pbx.example: is there; INVITE, ACK, BYE", false));
    say(|screen| screen.press(&["ctrl-q"]));
    say(|screen| screen.press(&["ctrl-q", "ctrl-q"]));
    keep("status_line", &rows);
}

#[test]
fn signs_of_ascii_alone() {
    let mut screen = Screen::two_calls(80, 24).simulated();
    screen.model.glyphs = &ASCII;
    let picture = screen.picture();
    keep("ascii", &picture);
    let known = "Nováková";
    assert!(picture.replace(known, "").is_ascii(), "{picture}");
    screen.press(&["q"]);
    assert!(screen.picture().replace(known, "").is_ascii());
    screen.press(&["q", "?"]);
    assert!(screen.picture().is_ascii());
}

#[test]
fn too_small_a_window_still_says_what_matters() {
    keep("too_small", &Screen::talking(40, 10).picture());
    let mut asked = Screen::talking(40, 10);
    asked.press(&["ctrl-q"]);
    keep("too_small_quit", &asked.picture());
}

#[test]
fn names_of_any_width_keep_the_frame() {
    let mut screen = Screen::talking(80, 24);
    screen.change(|s| {
        for call in &mut s.calls {
            call.peer_name = "日本語の名前がとても長いので切れる日本語の名前がとても長い".into();
            call.peer_address = "e\u{301}\u{302}\u{303}\u{304}\u{305}👩‍👩‍👧@例え.jp".into();
        }
    });
    keep("wide_names", &screen.picture());
}

#[test]
fn the_window_title_says_what_matters() {
    let titles = |screen: &Screen| screen.model.title.clone();
    assert_eq!(titles(&Screen::used(80, 24)), "offhook");
    assert_eq!(titles(&Screen::talking(80, 24)), "Alice Nováková - offhook");
    assert_eq!(titles(&Screen::talking(80, 24).ringing()), "Eva Malá calls - offhook");
}

/// The cursor stands behind what is typed, and nowhere while nothing is.
#[test]
fn the_cursor_is_where_the_text_goes() {
    let cursor = |model: &Model| {
        let area = ratatui::layout::Rect::new(0, 0, model.size.0, model.size.1);
        let mut buf = ratatui::buffer::Buffer::empty(area);
        crate::tui::view::draw(model, &mut buf).map(|at| (at.x, at.y))
    };
    let mut screen = Screen::used(80, 24);
    assert_eq!(cursor(&screen.model), None);
    screen.press(&["c"]);
    assert_eq!(cursor(&screen.model), Some((8, 22)));
    screen.types("日a");
    assert_eq!(cursor(&screen.model), Some((11, 22)));
    screen.press(&["left"]);
    assert_eq!(cursor(&screen.model), Some((10, 22)));
    screen.press(&["f1"]);
    assert_eq!(cursor(&screen.model), None);
    assert_eq!(screen.model.selected, None::<CallNumber>);
}

#[test]
fn the_phones_that_are_watched_stand_below_the_accounts() {
    let lamp = |label: &str, lamp, note: &str| WatchView {
        account: AccountId(0),
        label: label.into(),
        contact: None,
        lamp,
        note: note.into(),
    };
    let watched = vec![
        lamp("888", Lamp::Busy, ""),
        lamp("bob", Lamp::Away, "Lunch"),
        lamp("carol", Lamp::Unknown, "the server cannot tell"),
    ];
    let picture = |columns, rows| {
        let mut screen = Screen::used(columns, rows);
        screen.change(|s| s.watched = watched.clone());
        screen.picture()
    };
    let whole = picture(120, 40);
    for (label, words) in [("888", "busy"), ("bob", "away  Lunch"), ("carol", "unknown  the server cannot tell")] {
        assert!(whole.lines().any(|line| line.contains(label) && line.contains(words)), "{label}\n{whole}");
    }
    // No window is too small to be drawn, and what is left out is counted where there is room to say so.
    for rows in 10..40 {
        let some = picture(80, rows);
        let seen = ["888", "bob", "carol"].iter().filter(|label| some.contains(**label)).count();
        let counted =
            some.lines().find_map(|line| line.split("and ").nth(1)?.split(" more watched").next()?.parse().ok());
        let left = counted.unwrap_or(0);
        assert!(seen + left == 3 || seen + left == 0, "{rows}\n{some}");
    }
}

#[test]
fn contacts() {
    keep_sizes("contacts", |columns, rows| {
        let mut screen = Screen::used(columns, rows);
        screen.change(known);
        screen.press(&["b"]);
        screen
    });
    let mut screen = Screen::used(80, 24);
    screen.change(known);
    screen.press(&["c"]);
    screen.types("ali");
    keep("dial_name", &screen.picture());
    let mut screen = Screen::used(80, 24);
    let call = screen.incoming(7, "Bob");
    let identity = Identity {
        contact: Some("Bob".into()),
        told: "Robert B.".into(),
        by: "pbx.example".into(),
        source: Source::Asserted,
        forwarded: vec![Forwarded { by: "Carol".into(), why: "no answer".into() }],
        from_server: true,
        ..call.identity.clone()
    };
    screen.change(|s| s.calls.push(CallView { identity, ..call }));
    keep("incoming_forwarded", &screen.picture());
}
