//! A conference mixed by the phone, with Asterisk's extensions and its conference room as parties.
use crate::common::sound::Sound;
use crate::harness::{Case, Need};
use crate::peers_asterisk::{self, Asterisk};
use crate::phone::{Phone, Setup, exit, unix_now};
use std::thread::sleep;
use std::time::Duration;

pub const CASES: &[Case] = &[Case { name: "conferring::four_parties", needs: &[Need::Asterisk], run: four_parties }];

const LIMIT: Duration = Duration::from_secs(10);

/// A registered phone that answers, says `hz` and records what it hears.
fn answering(case: &Case, asterisk: &Asterisk, user: &str, hz: f64) -> Phone {
    let setup = Setup::new(case, user, "answer").account(user, &format!("pw{user}"), asterisk.address());
    let tone = Sound::tone(48_000, 60.0, hz, -20.0);
    let mut phone = setup.microphone(&tone).record().arguments(&["--auto"]).start();
    phone.expect_registered();
    asterisk.expect_registered(user, LIMIT);
    phone
}

/// 1001 says 440 Hz and talks with 1002 (700 Hz), the milliwatt (1004 Hz) and a conference room of Asterisk, in which 1003
/// says 1600 Hz. Each hears the others and not itself. Then 1002 is split off and hears nobody of them.
fn four_parties(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let mut second = answering(case, &asterisk, "1002", 700.0);
    let setup = Setup::new(case, "1003", "call").account("1003", "pw1003", asterisk.address());
    let tone = Sound::tone(48_000, 60.0, 1_600.0, -20.0);
    let mut third = setup.microphone(&tone).record().arguments(&[&asterisk.uri("605")]).start();
    third.expect_established();
    let setup = Setup::new(case, "1001", "call").account("1001", "pw1001", asterisk.address());
    let tone = Sound::tone(48_000, 60.0, 440.0, -20.0);
    let mut phone = setup.microphone(&tone).record().controlled().arguments(&[&asterisk.uri("1002")]).start();
    phone.expect_established();
    for target in ["601", "605"] {
        let before = unix_now();
        phone.command(&format!("call {target}"));
        phone.expect_after(before, "another call", LIMIT, |line| line["type"] == "established");
    }
    phone.command("join all");
    phone.expect("the conference", LIMIT, |line| line["text"] == "conference of the calls 1, 2, 3");
    sleep(Duration::from_secs(5));
    hears(&phone, "1001", &[700.0, 1_004.0, 1_600.0], 440.0);
    hears(&second, "1002", &[440.0, 1_004.0, 1_600.0], 700.0);
    hears(&third, "1003", &[440.0, 700.0, 1_004.0], 1_600.0);
    let before = unix_now();
    phone.command("split 1");
    phone.expect_after(before, "the rest", LIMIT, |line| line["text"] == "conference of the calls 2, 3");
    sleep(Duration::from_secs(4));
    hears(&phone, "1001", &[1_004.0, 1_600.0], 700.0);
    hears(&third, "1003", &[440.0, 1_004.0], 700.0);
    let heard = second.heard();
    let tail = heard.part(heard.seconds() - 2.0, heard.seconds() - 0.5);
    let music = tail.tone_share(330.0);
    assert!(music > 0.9, "who is held hears Asterisk's music on hold with a share of {music}");
    assert_eq!([phone.interrupt(), third.interrupt(), second.interrupt()], [exit::ENDED; 3]);
}

/// In the last seconds of what a phone has recorded.
fn hears(phone: &Phone, who: &str, tones: &[f64], not: f64) {
    let heard = phone.heard();
    let tail = heard.part(heard.seconds() - 2.0, heard.seconds() - 0.5);
    for hz in tones {
        assert!(tail.tone_level(*hz) > -26.0, "{who} hears {hz} Hz at {:.1} dB only", tail.tone_level(*hz));
    }
    // The milliwatt is loud, and a little of it is found at every frequency.
    assert!(tail.tone_level(not) < -36.0, "{who} hears {not} Hz at {:.1} dB", tail.tone_level(not));
}
