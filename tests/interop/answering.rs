//! Calls the phone answers, and calls that change while they run.
use crate::common::sound::Sound;
use crate::harness::{Case, Need};
use crate::peers_asterisk;
use crate::peers_baresip::{Account, Baresip};
use crate::peers_sipp::Sipp;
use crate::phone::{Phone, Setup, exit};
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

pub const CASES: &[Case] = &[
    Case { name: "answering::asterisk", needs: &[Need::Asterisk], run: asterisk_calls },
    Case { name: "answering::asterisk_that_wants_prack", needs: &[Need::Asterisk], run: reliable },
    Case { name: "answering::baresip", needs: &[Need::Asterisk, Need::Baresip], run: baresip_calls },
    Case { name: "answering::sipp", needs: &[Need::Asterisk, Need::Sipp], run: sipp_calls },
    Case { name: "answering::busy", needs: &[Need::Sipp], run: |case| rejected(case, "busy", "486") },
    Case { name: "answering::declined", needs: &[Need::Sipp], run: |case| rejected(case, "decline", "603") },
    Case { name: "answering::cancelled_by_them", needs: &[Need::Sipp], run: cancelled_by_them },
    Case { name: "answering::held_and_resumed_by_them", needs: &[Need::Asterisk, Need::Sipp], run: held_by_them },
    Case {
        name: "answering::direct_media",
        needs: &[Need::Asterisk, Need::Baresip],
        run: |case| direct_media(case, "1004", "INVITE"),
    },
    Case {
        name: "answering::direct_media_by_update",
        needs: &[Need::Asterisk, Need::Baresip],
        run: |case| direct_media(case, "1017", "UPDATE"),
    },
    Case { name: "answering::the_line_of_the_quality_harness", needs: &[Need::Sipp], run: harness_line },
];

/// A phone that answers every call as `user`, registered.
fn answer(case: &Case, user: &str, microphone: &Sound) -> Phone {
    answering(case, user, microphone, &[])
}

fn answering(case: &Case, user: &str, microphone: &Sound, options: &[&str]) -> Phone {
    let asterisk = peers_asterisk::shared();
    let setup = Setup::new(case, "phone", "answer").account(user, &format!("pw{user}"), asterisk.address());
    let mut phone = setup.microphone(microphone).record().arguments(&["--auto"]).arguments(options).start();
    phone.expect_registered();
    asterisk.expect_registered(user, Duration::from_secs(5));
    phone
}

fn tone(hz: f64) -> Sound {
    Sound::tone(48_000, 30.0, hz, -10.0)
}

/// What was heard in the last seconds but one half.
fn lately(phone: &Phone, seconds: f64) -> Sound {
    let heard = phone.heard();
    heard.part(heard.seconds() - seconds - 0.5, heard.seconds() - 0.5)
}

fn asterisk_calls(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let mut phone = answer(case, "1002", &tone(700.0));
    asterisk.cli("channel originate PJSIP/1002 extension 601@phones");
    phone.expect_established();
    sleep(Duration::from_secs(3));
    assert_eq!(phone.interrupt(), exit::ENDED);
    assert!(lately(&phone, 2.0).tone_share(1004.0) > 0.9);
    assert_eq!(phone.summary()["direction"], "in");
}

/// The caller requires reliable provisional responses: it gets one, confirms it, and is answered.
fn reliable(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let mut phone = answer(case, "1007", &tone(700.0));
    asterisk.cli("channel originate PJSIP/1007 extension 601@phones");
    phone.expect_established();
    sleep(Duration::from_secs(3));
    assert_eq!(phone.interrupt(), exit::ENDED);
    assert!(lately(&phone, 2.0).tone_share(1004.0) > 0.9);
}

fn baresip_calls(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let mut phone = answer(case, "1002", &tone(700.0));
    let account = Account {
        user: "1001".into(),
        password: "pw1001".into(),
        registrar: asterisk.address(),
        codecs: "PCMA",
        answers: false,
    };
    let sound = Sound::tone(8_000, 30.0, 440.0, -10.0);
    let mut baresip = Baresip::start(case, &account, &sound, Some(&asterisk.uri("1002")), 7);
    phone.expect_established();
    baresip.process.wait(Duration::from_secs(20));
    phone.expect_summary();
    phone.interrupt();
    let heard = phone.heard();
    let middle = heard.seconds() / 2.0;
    assert!(heard.part(middle - 1.0, middle + 1.0).tone_share(440.0) > 0.9, "we do not hear baresip");
    let theirs = baresip.recording();
    assert!(theirs.part(1.5, 4.0).tone_share(700.0) > 0.9, "baresip does not hear us");
}

fn sipp_calls(case: &Case) {
    let mut phone = answer(case, "1002", &tone(700.0));
    let mut sipp = Sipp::start(case, "call.xml", phone.sip, &[("USER", "1002")]);
    phone.expect_established();
    sipp.expect_success(Duration::from_secs(20));
    let summary = phone.expect_summary();
    assert_eq!(summary["result"], "normal");
    phone.interrupt();
}

/// A phone without a registrar, for direct calls.
fn unregistered(case: &Case) -> Setup {
    let registrar = SocketAddr::from(([127, 0, 0, 1], crate::tools::free_port()));
    let setup = Setup::new(case, "phone", "answer").account("1001", "pw1001", registrar).silent();
    setup.arguments(&["--no-register"])
}

fn rejected(case: &Case, how: &str, status: &str) {
    let mut phone = unregistered(case).arguments(&["--reject", how]).start();
    sleep(Duration::from_secs(1));
    let mut sipp = Sipp::start(case, "refused.xml", phone.sip, &[("USER", "1001"), ("STATUS", status)]);
    sipp.expect_success(Duration::from_secs(15));
    assert_eq!(phone.expect_summary()["result"], "rejected");
    assert_eq!(phone.interrupt(), exit::ENDED);
}

fn cancelled_by_them(case: &Case) {
    let mut phone = unregistered(case).start();
    sleep(Duration::from_secs(1));
    let mut sipp = Sipp::start(case, "cancel.xml", phone.sip, &[("USER", "1001")]);
    sipp.expect_success(Duration::from_secs(15));
    assert_eq!(phone.expect_summary()["result"], "missed");
    assert_eq!(phone.interrupt(), exit::ENDED);
}

fn held_by_them(case: &Case) {
    let mut phone = answer(case, "1002", &tone(700.0));
    let mut sipp = Sipp::start(case, "hold.xml", phone.sip, &[("USER", "1002")]);
    phone.expect_established();
    phone.expect("held by them", Duration::from_secs(10), |line| line["held_by_peer"] == true);
    sipp.expect_success(Duration::from_secs(30));
    phone.expect_summary();
    phone.interrupt();
    let held: Vec<_> = phone.lines().iter().filter_map(|line| line["held_by_peer"].as_bool()).collect();
    assert_eq!(held.first(), Some(&false));
    assert_eq!(held.last(), Some(&false), "resumed: {held:?}");
}

/// Asterisk takes itself out of the media path 1 ms after the ACK, by an offer in a request of that method.
fn direct_media(case: &Case, user: &str, method: &str) {
    let asterisk = peers_asterisk::shared();
    let mark = asterisk.mark();
    let file = case.folder().join("ladder.txt");
    let name = file.display().to_string();
    let mut phone = answering(case, user, &tone(700.0), &["--ladder", &name]);
    let account = Account {
        user: "1005".into(),
        password: "pw1005".into(),
        registrar: asterisk.address(),
        codecs: "PCMU",
        answers: false,
    };
    let sound = Sound::tone(8_000, 30.0, 440.0, -10.0);
    let mut baresip = Baresip::start(case, &account, &sound, Some(&asterisk.uri(&format!("7{user}"))), 8);
    phone.expect_established();
    asterisk.expect_log(mark, &["Remotely bridged"], Duration::from_secs(10));
    baresip.process.wait(Duration::from_secs(20));
    phone.expect_summary();
    phone.interrupt();
    let heard = phone.heard();
    let middle = heard.seconds() / 2.0;
    assert!(heard.part(middle, middle + 1.5).tone_share(440.0) > 0.9, "we do not hear baresip directly");
    let theirs = baresip.recording();
    assert!(theirs.part(2.5, 5.0).tone_share(700.0) > 0.9, "baresip does not hear us directly");
    let ladder = std::fs::read_to_string(&file).expect("the ladder");
    let offers: Vec<&str> =
        ladder.lines().filter(|line| line.contains("us <---") && line.contains("offer: ")).collect();
    assert!(offers.iter().skip(1).any(|line| line.contains(method)), "{offers:#?}");
}

/// The very words the audio quality harness starts the phone with; it calls from another port of the registrar's
/// address, without authentication.
fn harness_line(case: &Case) {
    let registrar = SocketAddr::from(([127, 0, 0, 1], crate::tools::free_port()));
    let setup = Setup::new(case, "phone", "answer").account("1001", "pw1001", registrar);
    let setup = setup.arguments(&["--auto", "--codecs", "pcmu", "--microphone", "silence"]).record();
    let mut phone = setup.start();
    sleep(Duration::from_secs(1));
    let mut sipp = Sipp::start(case, "call.xml", phone.sip, &[("USER", "1001")]);
    phone.expect_established();
    sipp.expect_success(Duration::from_secs(20));
    phone.expect_summary();
    phone.interrupt();
    let t0 = std::fs::read_to_string(format!("{}.t0", phone.speaker.display())).expect("the time of the first sample");
    assert!(t0.trim().parse::<f64>().is_ok_and(|t| t > 0.0), "{t0:?}");
}
