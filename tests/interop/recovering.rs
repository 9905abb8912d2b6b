//! A server that dies and comes back: the phone notices, says so, and is back soon after it.
use crate::common::sound::Sound;
use crate::harness::{Case, Need};
use crate::peers_kamailio::Kamailio;
use crate::phone::{Setup, exit};
use crate::tools::hears_some;
use offhook::base::net::Transport;
use std::thread::sleep;
use std::time::Duration;

pub const CASES: &[Case] =
    &[Case { name: "recovering::a_call_outlives_the_proxy", needs: &[Need::Kamailio], run: call_outlives }];

/// The sound goes from phone to phone and does not care; the proxy that comes back still knows the way of the BYE from
/// its own Record-Route.
fn call_outlives(case: &Case) {
    let mut kamailio = Kamailio::start(case);
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
