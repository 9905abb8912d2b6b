//! Phones in web pages: Chromium with JsSIP, with each other and with our phone, through the embedded proxy.
use crate::common::sound::Sound;
use crate::harness::{Case, Need};
use crate::peers_asterisk;
use crate::peers_browser::{Account, Browser};
use crate::phone::{Phone, Setup, account, exit, unix_now};
use crate::proxy::Proxy;
use crate::tools::hears_some;
use offhook::base::net::Transport;
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(15);

pub const CASES: &[Case] = &[
    Case { name: "browsers::call_each_other_through_our_proxy", needs: &[Need::Browser], run: call_each_other },
    Case { name: "browsers::one_calls_the_phone", needs: &[Need::Browser], run: one_calls_the_phone },
    Case { name: "browsers::the_phone_calls_one", needs: &[Need::Browser], run: the_phone_calls_one },
    Case { name: "browsers::both_is_taken_by_telephones", needs: &[Need::Asterisk], run: both_is_taken_by_telephones },
];

/// A browser at the embedded proxy, over secure WebSockets.
fn at_our_proxy(case: &Case, proxy: &Proxy, name: &str, user: &str, hz: f64) -> Browser {
    let (socket, uri, password) = names(proxy, user);
    Browser::start(case, name, &Account { socket: &socket, uri: &uri, password: &password, hz, answers: true })
}

/// The WebSocket, the address and the password of a user there.
fn names(proxy: &Proxy, user: &str) -> (String, String, String) {
    let socket = format!("wss://{}/ws", proxy.door(Transport::Wss));
    (socket, format!("sip:{user}@{}", proxy.address.ip()), format!("pw{user}"))
}

fn call_each_other(case: &Case) {
    let proxy = Proxy::start_with(case, &["--wss", "0"]);
    let mut alice = at_our_proxy(case, &proxy, "alice", "alice", 440.0);
    let mut bob = at_our_proxy(case, &proxy, "bob", "bob", 700.0);
    alice.call(&format!("sip:bob@{}", proxy.address.ip()));
    for (browser, hz) in [(&mut alice, 700.0), (&mut bob, 440.0)] {
        browser.expect("established", "", SOON);
        browser.expect_tone(hz, SOON);
    }
    alice.ask("hangup", &Value::Null);
    bob.expect("ended", "remote", SOON);
}

/// Our phone as bob at the proxy; it speaks 700 Hz.
fn phone(case: &Case, proxy: &Proxy, name: &str, subcommand: &'static str, settings: &str) -> Setup {
    let ip = proxy.address.ip().to_string();
    let bob = account("bob", &ip, proxy.address, Transport::Udp, Path::new(""));
    let voice = Sound::tone(48_000, 60.0, 700.0, -10.0);
    Setup::new(case, name, subcommand).config(&format!("{bob}{settings}")).microphone(&voice).record().controlled()
}

/// What the phone and the browser say of the call they have.
fn check(phone: &mut Phone, browser: &mut Browser, profile: &str) {
    browser.expect_tone(700.0, SOON);
    let told = phone.expect("encrypted sound", SOON, |line| {
        line["security"].as_str().is_some_and(|words| words.starts_with("DTLS-SRTP AES-"))
            && line["media_flowing"] == true
    });
    assert_eq!(told["profile"], format!("{profile}, BUNDLE, rtcp-mux"), "{told}");
    assert_eq!(told["codec"], "Opus 48k", "{told}");
    assert!(told["media_path"].is_string(), "{told}");
    // The page's tone is 0.3 of full scale: -13.5 dBov.
    phone.expect("the level the browser tells of", SOON, |line| {
        line["told_voice"] == true && line["told_level_dbov"].as_f64().is_some_and(|level| (level + 13.5).abs() < 3.0)
    });
    let stats = browser.ask("stats", &Value::Null);
    assert_eq!((&stats["dtls"], &stats["codec"]), (&json!("connected"), &json!("audio/opus")), "{stats}");
    assert!(stats["received"].as_u64() > Some(20) && stats["sent"].as_u64() > Some(20), "{stats}");
    assert!(stats["lost"].as_i64() < Some(5), "{stats}");
    // What the browser measures of our tone: -13 dBov.
    let level = stats["level"].as_f64().unwrap_or_default();
    assert!(level > 0.05 && level < 0.9, "{stats}");
}

/// Held by whom, and resumed; sound goes on afterwards.
fn held(phone: &mut Phone, browser: &mut Browser, by_phone: bool) {
    let key = if by_phone { "held_by_us" } else { "held_by_peer" };
    let since = unix_now();
    match by_phone {
        true => phone.command("hold"),
        false => drop(browser.ask("hold", &Value::Null)),
    }
    phone.expect_after(since, "the hold", SOON, |line| line[key] == true);
    if by_phone {
        browser.expect("hold", "remote", SOON);
    }
    let since = unix_now();
    match by_phone {
        true => phone.command("resume"),
        false => drop(browser.ask("unhold", &Value::Null)),
    }
    phone.expect_after(since, "the end of the hold", SOON, |line| line[key] == false && line["state"] == "established");
    browser.expect_tone(700.0, SOON);
}

/// The last second of what the phone played.
fn phone_hears_now(phone: &Phone, what: &str) {
    let heard = phone.heard();
    hears_some(&heard.part(heard.seconds() - 1.5, heard.seconds()), 440.0, what);
}

/// With addresses hidden behind names, as browsers do unless they are told not to.
fn one_calls_the_phone(case: &Case) {
    let proxy = Proxy::start_with(case, &["--wss", "0"]);
    let mut phone = phone(case, &proxy, "phone", "answer", "").arguments(&["--auto"]).start();
    phone.expect_registered();
    let mut hiding = Command::new("node");
    hiding.env("MDNS", "1");
    let (socket, uri, password) = names(&proxy, "alice");
    let account = Account { socket: &socket, uri: &uri, password: &password, hz: 440.0, answers: false };
    let mut alice = Browser::start_with(case, "alice", &account, hiding);
    alice.call(&format!("sip:bob@{}", proxy.address.ip()));
    alice.expect("established", "", SOON);
    phone.expect_established();
    check(&mut phone, &mut alice, "UDP/TLS/RTP/SAVPF");
    alice.ask("digits", &json!("159#"));
    phone.expect("the digits", SOON, |line| line["digits_received"] == "159#");
    held(&mut phone, &mut alice, false);
    held(&mut phone, &mut alice, true);
    phone_hears_now(&phone, "the phone, after the holds");
    measured(case, &phone, &alice);
    alice.ask("hangup", &Value::Null);
    assert_eq!(phone.expect_summary()["result"], "normal");
    phone.interrupt();
}

fn the_phone_calls_one(case: &Case) {
    let proxy = Proxy::start_with(case, &["--wss", "0"]);
    let mut alice = at_our_proxy(case, &proxy, "alice", "alice", 440.0);
    let target = format!("sip:alice@{}", proxy.address.ip());
    for (profile, protocol) in [("webrtc", "UDP/TLS/RTP/SAVPF"), ("both", "RTP/AVP")] {
        let setup = phone(case, &proxy, profile, "call", &format!("profile = \"{profile}\"\n"));
        let mut phone = setup.arguments(&[&target]).start();
        phone.expect_established();
        check(&mut phone, &mut alice, protocol);
        held(&mut phone, &mut alice, true);
        phone_hears_now(&phone, profile);
        measured(case, &phone, &alice);
        let ended = alice.lines().iter().filter(|line| line["type"] == "ended").count();
        assert_eq!(phone.interrupt(), exit::ENDED);
        alice.expect_number("ended", ended + 1, SOON);
    }
}

/// What is offered to both, a telephone takes: as it is set up at Asterisk, clear and without ICE.
fn both_is_taken_by_telephones(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let config = format!("{}profile = \"both\"\n", asterisk.account("1001", Transport::Udp));
    let voice = Sound::tone(48_000, 30.0, 440.0, -10.0);
    let setup = Setup::new(case, "phone", "call").config(&config).microphone(&voice).record();
    let mut phone = setup.arguments(&[&asterisk.uri("600"), "--duration", "4"]).start();
    assert_eq!(phone.wait(Duration::from_secs(25)), exit::ENDED);
    hears_some(&phone.heard().part(1.0, 4.0), 440.0, "the phone, from the echo");
    let told = phone.lines().into_iter().rfind(|line| line["profile"].is_string()).expect("told");
    assert!(told["profile"].as_str().is_some_and(|words| words.starts_with("RTP/AVP")), "{told}");
    assert_eq!(told["security"], "none", "{told}");
}

/// How long it took from the answer to the first sound, for the record.
fn measured(case: &Case, phone: &Phone, browser: &Browser) {
    let lines = browser.lines();
    let at = |kind: &str, text: &str| {
        let told = |line: &&Value| line["type"] == kind && line["text"].as_str().is_some_and(|t| t.starts_with(text));
        lines.iter().rfind(told).and_then(|line| line["at"].as_f64())
    };
    let up =
        phone.lines().into_iter().find(|line| line["type"] == "established").and_then(|line| line["time"].as_f64());
    let up = up.expect("a time");
    let after = |kind, text| at(kind, text).map_or(f64::NAN, |at| (at - up) * 1e3);
    let (ice, connection, media) = (after("ice", "connected"), after("connection", "connected"), after("media", ""));
    let heard = phone.lines().iter().rev().find_map(|line| line["first_media_ms"].as_f64()).expect("sound was heard");
    let words = format!(
        "after the answer: ICE {ice:.0} ms, DTLS {connection:.0} ms, the browser hears {media:.0} ms, the phone {heard:.0} ms\n"
    );
    let mut file =
        OpenOptions::new().create(true).append(true).open(case.folder().join("measured.log")).expect("a file");
    file.write_all(words.as_bytes()).expect("writes");
    assert!(media < 3_000.0 && heard < 3_000.0, "{words}");
}
