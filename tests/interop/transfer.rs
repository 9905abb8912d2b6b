//! Calls that are handed on, at Asterisk.
use crate::common::sound::Sound;
use crate::harness::{Case, Need};
use crate::peers_asterisk;
use crate::phone::{Setup, exit, unix_now};
use std::thread::sleep;
use std::time::Duration;

pub const CASES: &[Case] = &[
    Case { name: "transfer::we_hand_on", needs: &[Need::Asterisk], run: we_hand_on },
    Case { name: "transfer::we_connect_two", needs: &[Need::Asterisk], run: we_connect_two },
    Case { name: "transfer::nobody_takes_it", needs: &[Need::Asterisk], run: nobody_takes_it },
    Case { name: "transfer::they_hand_us_on", needs: &[Need::Asterisk], run: they_hand_us_on },
];

/// 1001 calls 1002 and transfers it to the milliwatt: 1001's call ends so, and 1002 hears the tone.
fn we_hand_on(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let setup = Setup::new(case, "callee", "answer").account("1002", "pw1002", asterisk.address());
    let mut callee = setup.silent().record().arguments(&["--auto"]).start();
    callee.expect_registered();
    asterisk.expect_registered("1002", Duration::from_secs(5));
    let setup = Setup::new(case, "phone", "call").account("1001", "pw1001", asterisk.address());
    let options = [&*asterisk.uri("1002"), "--transfer-to", "601", "--transfer-after", "2"];
    let mut phone = setup.silent().arguments(&options).start();
    assert_eq!(phone.wait(Duration::from_secs(25)), exit::ENDED);
    let summary = phone.summary();
    assert_eq!((summary["result"].as_str(), summary["cause"].as_str()), (Some("normal"), Some("transferred to 601")));
    sleep(Duration::from_secs(3));
    callee.interrupt();
    let heard = callee.heard();
    let tone = heard.part(heard.seconds() - 2.5, heard.seconds() - 0.5).tone_share(1004.0);
    assert!(tone > 0.9, "the milliwatt's share is {tone}");
}

/// 1001 calls 1002 and then 1003, whose tone 1002 hears once both are connected with each other.
fn we_connect_two(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let mut callees = ["1002", "1003"].map(|user| {
        let setup = Setup::new(case, user, "answer").account(user, &format!("pw{user}"), asterisk.address());
        let setup = match user {
            "1002" => setup.silent().record(),
            _ => setup.microphone(&Sound::tone(48_000, 40.0, 700.0, -10.0)),
        };
        let mut callee = setup.arguments(&["--auto"]).start();
        callee.expect_registered();
        asterisk.expect_registered(user, Duration::from_secs(5));
        callee
    });
    let setup = Setup::new(case, "phone", "call").account("1001", "pw1001", asterisk.address());
    let mut phone = setup.silent().controlled().arguments(&[&asterisk.uri("1002")]).start();
    phone.expect_established();
    let first = unix_now();
    phone.command("call 1003");
    phone.expect_after(first, "the second call", Duration::from_secs(10), |line| line["type"] == "established");
    phone.command("connect");
    phone.expect("the transfer", Duration::from_secs(10), |line| line["type"] == "transferred");
    assert_eq!(phone.wait(Duration::from_secs(10)), exit::ENDED);
    sleep(Duration::from_secs(3));
    let [listener, _] = &mut callees;
    listener.interrupt();
    let heard = listener.heard();
    let tone = heard.part(heard.seconds() - 2.5, heard.seconds() - 0.5).tone_share(700.0);
    assert!(tone > 0.9, "the third phone's tone has a share of {tone}");
}

/// The transfer goes to who is busy: the call stays.
fn nobody_takes_it(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let setup = Setup::new(case, "callee", "answer").account("1002", "pw1002", asterisk.address());
    let mut callee = setup.microphone(&Sound::tone(48_000, 30.0, 700.0, -10.0)).arguments(&["--auto"]).start();
    callee.expect_registered();
    asterisk.expect_registered("1002", Duration::from_secs(5));
    let setup = Setup::new(case, "phone", "call").account("1001", "pw1001", asterisk.address());
    let options = [&*asterisk.uri("1002"), "--transfer-to", "no-such-place", "--duration", "7"];
    let mut phone = setup.silent().record().arguments(&options).start();
    phone.expect("transfer_failed", Duration::from_secs(20), |line| line["type"] == "transfer_failed");
    assert_eq!(phone.wait(Duration::from_secs(25)), exit::ENDED);
    assert_eq!(phone.summary()["cause"], "you hung up");
    let heard = phone.heard();
    let tone = heard.part(heard.seconds() - 2.0, heard.seconds() - 0.5).tone_share(700.0);
    assert!(tone > 0.9, "the callee's tone has a share of {tone}");
}

/// Asterisk answers, then refers us to the milliwatt, which we call and hear.
fn they_hand_us_on(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let setup = Setup::new(case, "phone", "call").account("1001", "pw1001", asterisk.address());
    let mut phone = setup.silent().record().arguments(&[&asterisk.uri("6101"), "--duration", "6"]).start();
    phone.expect("calling", Duration::from_secs(10), |line| {
        line["type"] == "calling" && line["text"].as_str().is_some_and(|to| to.starts_with("601@"))
    });
    assert_eq!(phone.wait(Duration::from_secs(25)), exit::ENDED);
    let heard = phone.heard();
    let tone = heard.part(heard.seconds() - 3.0, heard.seconds() - 1.0).tone_share(1004.0);
    assert!(tone > 0.9, "the milliwatt's share is {tone}");
}
