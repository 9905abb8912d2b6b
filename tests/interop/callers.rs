//! Other phones call this one by Kamailio: they are held and hear music, hold, write, are written to, and hand the call on.
use crate::common::sound::Sound;
use crate::harness::{Case, Need};
use crate::peers_baresip::{Account, Baresip};
use crate::peers_kamailio::Kamailio;
use crate::peers_linphone::Linphone;
use crate::phone::{Phone, Setup, unix_now};
use crate::tools::hears_some;
use offhook::base::net::Transport;
use serde_json::Value;
use std::thread::sleep;
use std::time::Duration;

pub const CASES: &[Case] = &[
    Case { name: "callers::linphone", needs: &[Need::Kamailio, Need::Linphone], run: linphone },
    Case { name: "callers::baresip", needs: &[Need::Kamailio, Need::Baresip], run: baresip },
];

const SOON: Duration = Duration::from_secs(10);

/// Bob is called, alice is whom he is handed on to.
struct Phones {
    kamailio: Kamailio,
    bob: Phone,
    alice: Phone,
}

impl Phones {
    fn start(case: &Case) -> Self {
        let kamailio = Kamailio::start(case);
        let music = case.folder().join("music.wav");
        // Shorter than the hold: it begins anew.
        Sound::tone(16_000, 1.0, 1_200.0, -12.0).write(&music);
        let config = format!("{}[calls]\nhold_music = {music:?}\n", kamailio.account("bob", Transport::Udp));
        let setup = Setup::new(case, "bob", "answer").config(&config).controlled().arguments(&["--codecs", "pcmu"]);
        let mut bob = setup.microphone(&Sound::tone(48_000, 40.0, 700.0, -10.0)).record().start();
        let setup = Setup::new(case, "alice", "answer").config(&kamailio.account("alice", Transport::Tcp));
        let setup = setup.arguments(&["--auto", "--codecs", "pcmu"]);
        let mut alice = setup.microphone(&Sound::tone(48_000, 40.0, 1_600.0, -10.0)).record().start();
        bob.expect_registered();
        alice.expect_registered();
        Self { kamailio, bob, alice }
    }

    fn answer(&mut self) {
        self.bob.expect("the ringing", SOON, |line| line["type"] == "incoming");
        self.bob.command("answer");
        self.bob.expect_established();
        sleep(Duration::from_secs(1));
    }

    /// Does something and waits until bob's phone says what the hold is now.
    fn hold(&mut self, act: impl FnOnce(&mut Phone), told: &str) {
        let since = unix_now();
        act(&mut self.bob);
        self.bob.expect_after(since, told, SOON, |line| line["type"] == "hold" && line["text"] == told);
    }

    fn text_arrives(&mut self, text: &str) {
        self.bob
            .expect(text, SOON, |line| line["type"] == "message" && line["direction"] == "in" && line["text"] == text);
    }

    fn text_is_delivered(&mut self, whom: &str, text: &str) {
        self.bob.command(&format!("message {whom} {text}"));
        self.bob.expect("the delivery", SOON, |line| {
            line["type"] == "message" && line["direction"] == "out" && line["state"] == "delivered"
        });
    }

    /// The caller has asked bob's phone to call alice.
    fn handed_on(mut self) {
        let calls = |line: &Value| line["type"] == "calling";
        let since = self.bob.expect("the call to alice", SOON, calls)["time"].as_f64().expect("a time");
        self.bob.expect_after(since, "alice", SOON, |line| line["type"] == "established");
        self.alice.expect("bob's call", SOON, |line| line["type"] == "established");
        sleep(Duration::from_secs(2));
        self.bob.interrupt();
        self.alice.interrupt();
        hears_some(&self.bob.heard(), 1_600.0, "bob, of alice");
        hears_some(&self.alice.heard(), 700.0, "alice, of bob");
    }
}

/// Who of these was heard, one after the other, each for half a second at least.
fn course(heard: &Sound, tones: &[(char, f64)]) -> String {
    let quarters = (0..).map(|n| f64::from(n) * 0.25).take_while(|start| start + 0.25 <= heard.seconds());
    let heard_most = |start: f64| {
        let part = heard.part(start, start + 0.25);
        tones.iter().find(|(_, hz)| part.tone_share(*hz) > 0.9).map(|(sign, _)| *sign)
    };
    let signs: Vec<char> = quarters.filter_map(heard_most).collect();
    let mut course: Vec<char> = signs.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    course.dedup();
    course.into_iter().collect()
}

fn linphone(case: &Case) {
    let mut phones = Phones::start(case);
    let mut carol = Linphone::start(case, "carol", phones.kamailio.address(Transport::Udp), 440.0);
    carol.command("call sip:bob@localhost");
    phones.answer();
    phones.hold(|bob| bob.command("hold"), "on hold, by us");
    sleep(Duration::from_millis(1500));
    phones.hold(|bob| bob.command("resume"), "not on hold");
    sleep(Duration::from_secs(1));
    phones.hold(|_| carol.command("pause"), "on hold, by the other side");
    carol.expect("is now paused");
    phones.hold(|_| carol.command("resume 1"), "not on hold");
    carol.command("chat sip:bob@localhost how do you do");
    phones.text_arrives("how do you do");
    phones.text_is_delivered("carol", "very well");
    carol.expect("very well");
    // It asks alice before it connects the two.
    phones.hold(|_| carol.command("pause"), "on hold, by the other side");
    carol.command("call sip:alice@localhost");
    phones.alice.expect("carol's question", SOON, |line| line["type"] == "established");
    carol.expect("established with sip:alice");
    carol.command("transfer 1 --to-call 2");
    phones.handed_on();
    let heard = course(&carol.recording(), &[('v', 700.0), ('m', 1_200.0)]);
    assert!(heard.starts_with("vmv"), "Linphone hears voice, music, voice: {heard}");
}

fn baresip(case: &Case) {
    let mut phones = Phones::start(case);
    let registrar = phones.kamailio.address(Transport::Udp);
    let account =
        Account { user: "carol".into(), password: "pwcarol".into(), registrar, codecs: "PCMU", answers: false };
    let voice = Sound::tone(8_000, 40.0, 440.0, -10.0);
    let carol = Baresip::start(case, &account, &voice, Some(&phones.kamailio.uri("bob")), 30);
    phones.answer();
    phones.hold(|_| carol.command("hold", ""), "on hold, by the other side");
    phones.hold(|_| carol.command("resume", ""), "not on hold");
    phones.hold(|bob| bob.command("hold"), "on hold, by us");
    phones.hold(|bob| bob.command("resume"), "not on hold");
    carol.command("message", "how do you do");
    phones.text_arrives("how do you do");
    phones.text_is_delivered("carol", "very well");
    carol.command("transfer", &phones.kamailio.uri("alice"));
    phones.handed_on();
    hears_some(&carol.recording(), 700.0, "baresip, of bob");
}
