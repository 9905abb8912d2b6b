//! Phones in web pages and ours, with a server between them that speaks to each in its own way: Asterisk, and Kamailio with
//! rtpengine.
use crate::common::sound::Sound;
use crate::harness::{Case, Need};
use crate::peers_asterisk;
use crate::peers_browser::{Account, Browser};
use crate::peers_kamailio::{Kamailio, Options};
use crate::peers_rtpengine::Rtpengine;
use crate::phone::{Phone, Setup, exit};
use crate::tools::hears_some;
use offhook::base::net::Transport;
use serde_json::Value;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(15);

pub const CASES: &[Case] = &[
    Case {
        name: "bridges::a_browser_and_the_phone_at_asterisk",
        needs: &[Need::Asterisk, Need::Browser],
        run: at_asterisk,
    },
    Case {
        name: "bridges::a_browser_and_the_phone_at_kamailio_with_rtpengine",
        needs: &[Need::Kamailio, Need::Rtpengine, Need::Browser],
        run: at_kamailio,
    },
];

/// The phone says 700 Hz.
fn phone(case: &Case, name: &str, subcommand: &'static str, account: &str) -> Setup {
    let voice = Sound::tone(48_000, 60.0, 700.0, -10.0);
    Setup::new(case, name, subcommand).config(account).microphone(&voice).record()
}

/// Each hears the other. The call is up.
fn talk(phone: &Phone, browser: &mut Browser, what: &str) {
    browser.expect_tone(700.0, SOON);
    let stats = browser.ask("stats", &Value::Null);
    assert_eq!(stats["dtls"], "connected", "{stats}");
    // Until it hears the page in the middle of its recording.
    std::thread::sleep(Duration::from_millis(1_500));
    let heard = phone.heard();
    hears_some(&heard.part(heard.seconds() - 1.0, heard.seconds()), 440.0, what);
}

/// The browser calls the phone and hangs up; the phone calls the browser and hangs up.
///
/// - `account`: the phone's. `its`, `theirs`: whom to dial.
fn both_ways(case: &Case, account: &str, browser: &mut Browser, [phones, browsers]: [&str; 2]) {
    let mut called = phone(case, "called", "answer", account).arguments(&["--auto"]).start();
    called.expect_registered();
    browser.call(phones);
    browser.expect("established", "", SOON);
    called.expect_established();
    talk(&called, browser, "the phone that was called");
    browser.ask("hangup", &Value::Null);
    assert_eq!(called.expect_summary()["result"], "normal");
    called.interrupt();

    let mut calling = phone(case, "calling", "call", account).arguments(&[browsers]).start();
    calling.expect_established();
    browser.expect_number("established", 2, SOON);
    talk(&calling, browser, "the phone that called");
    let ended = browser.lines().iter().filter(|line| line["type"] == "ended").count();
    assert_eq!(calling.interrupt(), exit::ENDED);
    browser.expect_number("ended", ended + 1, SOON);
}

fn at_asterisk(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let socket = format!("wss://{}/ws", asterisk.address_for(Transport::Wss));
    let domain = asterisk.address().ip();
    let uri = format!("sip:2001@{domain}");
    let page = Account { socket: &socket, uri: &uri, password: "pw2001", hz: 440.0, answers: true };
    let mut browser = Browser::start(case, "browser", &page);
    let phones = format!("sip:1001@{domain}");
    both_ways(case, &asterisk.account("1001", Transport::Udp), &mut browser, [&phones, "2001"]);
    browser.ask("stop", &Value::Null);
    browser.expect("unregistered", "", SOON);
}

fn at_kamailio(case: &Case) {
    let rtpengine = Rtpengine::start(case);
    let options = Options { bridge: Some(rtpengine.control), gruu: false, ..Options::default() };
    let kamailio = Kamailio::start_with(case, &options);
    let socket = format!("wss://{}/ws", kamailio.address(Transport::Wss));
    let page = Account { socket: &socket, uri: "sip:alice@localhost", password: "pwalice", hz: 440.0, answers: true };
    let mut browser = Browser::start(case, "browser", &page);
    let account = kamailio.account("bob", Transport::Udp);
    both_ways(case, &account, &mut browser, ["sip:bob@localhost", "alice"]);
}
