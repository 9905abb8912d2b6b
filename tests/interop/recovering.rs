//! A server that dies and comes back: the phone notices, says so, and is back soon after it.
use crate::common::sound::Sound;
use crate::harness::{Case, Need};
use crate::peers_asterisk::Asterisk;
use crate::peers_kamailio::{Kamailio, Options};
use crate::phone::{Phone, Setup, exit, unix_now};
use crate::tools::hears_some;
use offhook::base::net::Transport;
use std::thread::sleep;
use std::time::Duration;

pub const CASES: &[Case] = &[
    Case { name: "recovering::kamailio_dies", needs: &[Need::Kamailio], run: kamailio_dies },
    Case { name: "recovering::asterisk_dies", needs: &[Need::Asterisk], run: asterisk_dies },
    Case { name: "recovering::a_call_outlives_the_proxy", needs: &[Need::Kamailio], run: call_outlives },
];

/// One phone for each transport at the same server.
const WAYS: [(&str, Transport); 4] =
    [("1001", Transport::Udp), ("1002", Transport::Tcp), ("1003", Transport::Tls), ("1005", Transport::Wss)];
/// A dead server is noticed within 30 s; what comes on top is this test's own clocks.
const NOTICED: Duration = Duration::from_secs(32);
/// The phones are back within 5 s of the server.
const BACK: Duration = Duration::from_secs(5);

fn kamailio_dies(case: &Case) {
    let mut kamailio = Kamailio::start(case);
    let mut phones = registered(case, |user, transport| kamailio.account(user, transport));
    kamailio.kill();
    noticed(&mut phones);
    back(&mut phones, || kamailio.boot());
    for (user, _) in WAYS {
        kamailio.expect_bindings(user, 1, Duration::from_secs(2));
    }
}

fn asterisk_dies(case: &Case) {
    let asterisk = Asterisk::start();
    let mut phones = registered(case, |user, transport| asterisk.account(user, transport));
    // As after a power cut: nobody is registered.
    asterisk.cli("database deltree registrar");
    asterisk.kill();
    noticed(&mut phones);
    back(&mut phones, || asterisk.boot());
    for (user, _) in WAYS {
        asterisk.expect_registered(user, Duration::from_secs(2));
    }
}

fn registered(case: &Case, account: impl Fn(&str, Transport) -> String) -> Vec<Phone> {
    let start = |(user, transport): (&str, Transport)| {
        let mut phone = Setup::new(case, transport.name(), "register").config(&account(user, transport)).start();
        phone.expect_registered();
        phone
    };
    WAYS.map(start).into()
}

/// Says within the promised time that it is no longer registered, why, and when it tries again.
fn noticed(phones: &mut [Phone]) {
    let died = unix_now();
    for phone in phones {
        let left = NOTICED.saturating_sub(Duration::from_secs_f64(unix_now() - died));
        let line = phone.expect_after(died, "the failure", left, |line| line["state"] == "failed");
        assert!(line["cause"].is_string() && line["seconds"].is_number(), "{line}");
    }
}

fn back(phones: &mut [Phone], boot: impl FnOnce()) {
    let begins = unix_now();
    boot();
    let serves = unix_now();
    for phone in phones {
        let left = BACK.saturating_sub(Duration::from_secs_f64(unix_now() - serves));
        phone.expect_after(begins, "the registration", left, |line| line["state"] == "registered");
    }
}

/// The sound goes from phone to phone and does not care; the proxy that comes back still knows the way of the BYE from
/// its own Record-Route.
fn call_outlives(case: &Case) {
    // Whoever gives phones names has to remember them: this one does not, and gives none.
    let mut kamailio = Kamailio::start_with(case, &Options { gruu: false, ..Options::default() });
    let setup = Setup::new(case, "bob", "answer").config(&kamailio.account("bob", Transport::Udp));
    let setup = setup.microphone(&Sound::tone(48_000, 30.0, 700.0, -10.0)).record();
    let mut bob = setup.arguments(&["--auto", "--codecs", "pcmu"]).start();
    bob.expect_registered();
    let setup = Setup::new(case, "alice", "call").config(&kamailio.account("alice", Transport::Udp));
    let setup = setup.microphone(&Sound::tone(48_000, 30.0, 440.0, -10.0)).record();
    let mut alice = setup.arguments(&["bob", "--codecs", "pcmu", "--duration", "9"]).start();
    bob.expect_established();
    sleep(Duration::from_secs(1));
    kamailio.kill();
    sleep(Duration::from_secs(2));
    kamailio.boot();
    assert_eq!(alice.wait(Duration::from_secs(20)), exit::ENDED);
    let summary = bob.expect_summary();
    assert_eq!(summary["result"], "normal");
    assert!(summary["duration_s"].as_f64().is_some_and(|s| s > 8.0), "{summary}");
    assert_eq!(bob.interrupt(), exit::ENDED);
    hears_some(&alice.heard(), 700.0, "the caller");
    let (heard, length) = (bob.heard(), 8.0);
    let from = bob.established_at();
    hears_some(&heard.part(from, from + length), 440.0, "the called");
}
