//! Phones in web pages and ours, with a server between them that speaks to each in its own way: Asterisk, and Kamailio with
//! rtpengine.
use crate::common::sound::Sound;
use crate::harness::{Case, Need};
use crate::peers_asterisk;
use crate::peers_browser::{Account, Browser};
use crate::peers_kamailio::{Kamailio, Options};
use crate::peers_rtpengine::Rtpengine;
use crate::phone::{Phone, Setup, exit, unix_now};
use crate::tools::hears_some;
use offhook::base::net::Transport;
use serde_json::Value;
use std::fs;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(15);

pub const CASES: &[Case] = &[
    Case {
        name: "bridges::a_browser_and_the_phone_at_asterisk",
        needs: &[Need::Asterisk, Need::Browser],
        run: at_asterisk,
    },
    Case { name: "bridges::the_phone_as_a_browser_at_asterisk", needs: &[Need::Asterisk], run: as_a_browser },
    Case {
        name: "bridges::a_browser_and_the_phone_at_kamailio_with_rtpengine",
        needs: &[Need::Kamailio, Need::Rtpengine, Need::Browser],
        run: at_kamailio,
    },
    Case { name: "bridges::a_lite_peer", needs: &[Need::Kamailio, Need::Rtpengine], run: lite },
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

/// Two phones with a server between them that checks nothing and answers checks only (RFC 8445 §2.5): each decides which pair
/// is used, the one that is called as well.
fn lite(case: &Case) {
    let rtpengine = Rtpengine::start(case);
    let options = Options { bridge: Some(rtpengine.control), lite: true, gruu: false, ..Options::default() };
    let kamailio = Kamailio::start_with(case, &options);
    let account =
        |user: &str| format!("{}ice = \"offer\"\nprofile = \"rtp\"\n", kamailio.account(user, Transport::Udp));
    let ladder = |name: &str| case.folder().join(format!("{name}.pcap")).display().to_string();
    let bob = phone(case, "bob", "answer", &account("bob")).arguments(&["--auto", "--ladder", &ladder("bob")]);
    let mut bob = bob.start();
    bob.expect_registered();
    let voice = Sound::tone(48_000, 60.0, 440.0, -10.0);
    let alice = Setup::new(case, "alice", "call").config(&account("alice")).microphone(&voice).record();
    let mut alice = alice.arguments(&["bob", "--ladder", &ladder("alice")]).start();
    for phone in [&mut alice, &mut bob] {
        phone.expect_established();
        phone.expect("a pair", SOON, |line| line["media_flowing"] == true && line["media_pair"].is_string());
    }
    std::thread::sleep(Duration::from_millis(1_500));
    for (phone, hz, who) in [(&alice, 700.0, "who called"), (&bob, 440.0, "who was called")] {
        let heard = phone.heard();
        hears_some(&heard.part(heard.seconds() - 1.0, heard.seconds()), hz, who);
    }
    assert_eq!(alice.interrupt(), exit::ENDED);
    bob.expect_summary();
    bob.interrupt();
    for name in ["alice", "bob"] {
        let ladder = fs::read(case.folder().join(format!("{name}.pcap"))).expect("a ladder");
        assert!(String::from_utf8_lossy(&ladder).contains("a=ice-lite"), "{name} was told");
    }
    // It takes the pair that is nominated, and no other.
    let log = fs::read_to_string(case.folder().join("rtpengine.log")).expect("a log");
    assert_eq!(log.matches("ICE negotiated: peer for component 1").count(), 2, "{log}");
}

/// The phone does what browsers do, over a secure WebSocket: DTLS-SRTP, ICE, BUNDLE, RTP and RTCP on one port. As the client of
/// the handshake it is held and resumed by re-INVITEs of Asterisk, and as the server it holds.
fn as_a_browser(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let account = format!("{}profile = \"webrtc\"\n", asterisk.account("2002", Transport::Wss));
    let secured = |phone: &mut Phone| {
        let told = phone.expect("encrypted sound", SOON, |line| {
            line["security"].as_str().is_some_and(|words| words.starts_with("DTLS-SRTP AES-"))
                && line["media_flowing"] == true
                && line["media_pair"].is_string()
        });
        assert_eq!(told["profile"], "UDP/TLS/RTP/SAVPF, BUNDLE, rtcp-mux", "{told}");
        told["fingerprints"].clone()
    };
    let mut called = phone(case, "called", "answer", &account).arguments(&["--auto"]).start();
    called.expect_registered();
    let ordinary = asterisk.account("1001", Transport::Udp);
    let voice = Sound::tone(48_000, 60.0, 440.0, -10.0);
    let setup = Setup::new(case, "ordinary", "call").config(&ordinary).microphone(&voice).record();
    let mut ordinary = setup.controlled().arguments(&["2002"]).start();
    called.expect_established();
    ordinary.expect_established();
    let fingerprints = secured(&mut called);
    for (command, held) in [("hold", true), ("resume", false)] {
        let since = unix_now();
        ordinary.command(command);
        let told = called.expect_after(since, command, SOON, |line| line["held_by_peer"] == held);
        assert_eq!(told["fingerprints"], fingerprints, "the association stays: {told}");
    }
    std::thread::sleep(Duration::from_millis(2_500));
    for (phone, hz, who) in [(&called, 440.0, "the phone as a browser"), (&ordinary, 700.0, "the ordinary phone")] {
        let heard = phone.heard();
        hears_some(&heard.part(heard.seconds() - 1.0, heard.seconds()), hz, who);
    }
    assert_eq!(ordinary.interrupt(), exit::ENDED);
    called.expect_summary();
    called.interrupt();

    let mut calling = phone(case, "calling", "call", &account).controlled().arguments(&["600"]).start();
    calling.expect_established();
    let fingerprints = secured(&mut calling);
    for (command, held) in [("hold", true), ("resume", false)] {
        let since = unix_now();
        calling.command(command);
        let told = calling.expect_after(since, command, SOON, |line| line["held_by_us"] == held);
        assert_eq!(told["fingerprints"], fingerprints, "the association stays: {told}");
    }
    std::thread::sleep(Duration::from_millis(2_500));
    let heard = calling.heard();
    hears_some(&heard.part(heard.seconds() - 1.0, heard.seconds()), 700.0, "the echo after the hold");
    assert_eq!(calling.interrupt(), exit::ENDED);
}
