//! Calls the phone places at Asterisk.
use crate::common::sound::Sound;
use crate::harness::{Case, Need};
use crate::peers_asterisk;
use crate::phone::{Setup, exit};
use std::thread::sleep;
use std::time::Duration;

pub const CASES: &[Case] = &[
    Case { name: "calling::echo_with_pcmu", needs: &[Need::Asterisk], run: |case| echo(case, "pcmu") },
    Case { name: "calling::echo_with_pcma", needs: &[Need::Asterisk], run: |case| echo(case, "pcma") },
    Case { name: "calling::echo_with_opus", needs: &[Need::Asterisk], run: |case| echo(case, "opus") },
    Case { name: "calling::busy", needs: &[Need::Asterisk], run: |case| refused(case, "606486", 486) },
    Case { name: "calling::declined", needs: &[Need::Asterisk], run: |case| refused(case, "606603", 603) },
    Case { name: "calling::not_found", needs: &[Need::Asterisk], run: |case| refused(case, "606404", 404) },
    Case { name: "calling::no_such_number", needs: &[Need::Asterisk], run: |case| refused(case, "99", 404) },
    Case { name: "calling::unavailable", needs: &[Need::Asterisk], run: |case| refused(case, "606503", 503) },
    Case { name: "calling::cancelled_while_it_rings", needs: &[Need::Asterisk], run: cancelled },
    Case { name: "calling::early_media_is_heard", needs: &[Need::Asterisk], run: early_media },
    Case { name: "calling::reliable_provisional_responses", needs: &[Need::Asterisk], run: reliable },
    Case { name: "calling::they_hang_up", needs: &[Need::Asterisk], run: they_hang_up },
    Case { name: "calling::held_and_resumed_by_us", needs: &[Need::Asterisk], run: held_by_us },
    Case { name: "calling::dtmf_is_read", needs: &[Need::Asterisk], run: dtmf_is_read },
    Case { name: "calling::dtmf_is_understood", needs: &[Need::Asterisk], run: dtmf_is_understood },
    Case { name: "calling::another_speaker_while_it_runs", needs: &[Need::Asterisk], run: another_speaker },
];

/// A phone that calls `number` as user 1001.
fn call(case: &Case, number: &str) -> Setup {
    let asterisk = peers_asterisk::shared();
    let setup = Setup::new(case, "phone", "call").account("1001", "pw1001", asterisk.address());
    setup.arguments(&[&asterisk.uri(number)])
}

/// A tone keeps its power, and a chirp comes back within a natural time.
fn echo(case: &Case, codec: &str) {
    let chirp = Sound::chirp(48_000, 0.25, (400.0, 2_800.0));
    let sent = Sound::tone(48_000, 4.0, 440.0, -10.0)
        .then(&Sound::silence(48_000, 1.0))
        .then(&chirp)
        .then(&Sound::silence(48_000, 5.0));
    let setup = call(case, "600").microphone(&sent).record().arguments(&["--codecs", codec, "--duration", "8"]);
    let mut phone = setup.start();
    assert_eq!(phone.wait(Duration::from_secs(25)), exit::ENDED);
    let summary = phone.summary();
    assert!(summary["codec"].as_str().is_some_and(|c| c.to_lowercase().starts_with(codec)), "{summary}");
    assert_eq!(summary["result"], "normal");
    assert_eq!(summary["inbound"]["lost"], 0);
    let heard = phone.heard();
    let tone = heard.part(1.5, 3.5);
    assert!(tone.tone_share(440.0) > 0.95, "the tone's share is {}", tone.tone_share(440.0));
    assert!((tone.tone_level(440.0) + 10.0).abs() < 1.5, "the tone's level is {} dB", tone.tone_level(440.0));
    let factor = (heard.rate / 8_000) as usize;
    let pattern = chirp.decimate(6);
    // The chirp was spoken 5 s into the call; setting the call up takes what the machine needs.
    let from = phone.established_at() + 4.5;
    let (at, fit) = heard.part(from, from + 2.0).decimate(factor).find(&pattern).expect("a recording");
    let delay = at - 0.5;
    assert!(fit > 0.8, "the chirp fits by {fit}");
    assert!((0.03..0.4).contains(&delay), "the echo takes {delay} s");
}

fn refused(case: &Case, number: &str, status: u16) {
    let mut phone = call(case, number).silent().start();
    assert_eq!(phone.wait(Duration::from_secs(15)), exit::CALL_REFUSED);
    let summary = phone.summary();
    assert_eq!((&summary["result"], &summary["status"]), (&"refused".into(), &status.into()), "{summary}");
}

fn cancelled(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let mut phone = call(case, "6073").silent().start();
    phone.expect("ringing", Duration::from_secs(10), |line| line["state"] == "ringing");
    phone.interrupt();
    assert_eq!(phone.summary()["result"], "cancelled");
    let channels = asterisk.cli("core show channels count");
    assert!(channels.contains("0 active channels"), "{channels}");
}

fn early_media(case: &Case) {
    let mut phone = call(case, "607").silent().record().arguments(&["--duration", "2"]).start();
    phone.expect("ringing", Duration::from_secs(10), |line| line["state"] == "ringing");
    assert_eq!(phone.wait(Duration::from_secs(20)), exit::ENDED);
    let heard = phone.heard();
    // The network's ringing tone for two seconds, before the answer at four.
    let ringing = heard.part(0.6, 1.8);
    assert!(ringing.tone_share(440.0) + ringing.tone_share(480.0) > 0.5, "no ringing tone was heard");
}

/// The server answers 421 to who does not say 100rel; its early media is in a response that wants a PRACK.
fn reliable(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let setup = Setup::new(case, "phone", "call").account("1007", "pw1007", asterisk.address());
    let mut phone = setup.arguments(&[&asterisk.uri("607"), "--duration", "2"]).silent().record().start();
    phone.expect("ringing", Duration::from_secs(10), |line| line["state"] == "ringing");
    assert_eq!(phone.wait(Duration::from_secs(20)), exit::ENDED);
    let ringing = phone.heard().part(0.6, 1.8);
    assert!(ringing.tone_share(440.0) + ringing.tone_share(480.0) > 0.5, "no ringing tone was heard");
}

fn they_hang_up(case: &Case) {
    let mut phone = call(case, "610").silent().start();
    assert_eq!(phone.wait(Duration::from_secs(20)), exit::ENDED);
    let summary = phone.summary();
    assert_eq!(summary["result"], "normal");
    assert!(summary["duration_s"].as_f64().is_some_and(|s| (2.5..4.0).contains(&s)), "{summary}");
}

fn held_by_us(case: &Case) {
    let tone = Sound::tone(48_000, 20.0, 440.0, -10.0);
    let options = ["--hold-after", "3", "--hold-for", "3", "--duration", "10"];
    let mut phone = call(case, "600").microphone(&tone).record().arguments(&options).start();
    assert_eq!(phone.wait(Duration::from_secs(25)), exit::ENDED);
    let mut held: Vec<_> = phone.lines().iter().filter_map(|line| line["held_by_us"].as_bool()).collect();
    held.dedup();
    assert_eq!(held, [false, true, false]);
    let heard = phone.heard();
    assert!(heard.part(1.5, 2.5).tone_share(440.0) > 0.9, "the echo before");
    assert!(heard.part(4.2, 5.5).tone_level(440.0) < -40.0, "our own voice while we hold");
    assert!(heard.part(7.5, 9.0).tone_share(440.0) > 0.9, "the echo afterwards");
}

fn dtmf_is_read(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let mark = asterisk.mark();
    let mut phone = call(case, "611").silent().arguments(&["--dtmf", "47*1"]).start();
    asterisk.expect_log(mark, &["DIGITS=47*1"], Duration::from_secs(15));
    assert_eq!(phone.wait(Duration::from_secs(15)), exit::ENDED);
}

fn dtmf_is_understood(case: &Case) {
    let mut phone = call(case, "6111").silent().start();
    assert_eq!(phone.wait(Duration::from_secs(20)), exit::ENDED);
    let digits = phone.lines().iter().filter_map(|line| line["digits_received"].as_str().map(str::to_owned)).max();
    assert_eq!(digits.as_deref(), Some("159#"));
}

/// The speaker changes in the middle of the call.
fn another_speaker(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let file = case.folder().join("late.wav");
    let setup = Setup::new(case, "phone", "call").account("1001", "pw1001", asterisk.address()).silent();
    let mut phone = setup.controlled().arguments(&[&asterisk.uri("601")]).start();
    phone.expect_established();
    phone.command("speaker tone:440");
    phone.expect("the refusal", Duration::from_secs(5), |line| {
        line["type"] == "refused" && line["text"].as_str().is_some_and(|text| text.contains("not a speaker"))
    });
    phone.command(&format!("speaker wav:{}", file.display()));
    sleep(Duration::from_secs(3));
    assert_eq!(phone.interrupt(), exit::ENDED);
    let heard = Sound::read(&file);
    let tone = heard.part(heard.seconds() - 2.0, heard.seconds() - 0.5).tone_share(1004.0);
    assert!(tone > 0.9, "the milliwatt's share is {tone}");
}
