//! FreeSWITCH's habits, played by SIPp: Debian has no package of the real one.
use crate::harness::{Case, Need};
use crate::peers_sipp::Sipp;
use crate::phone::{Setup, exit};
use std::net::SocketAddr;
use std::time::Duration;

pub const CASES: &[Case] = &[
    Case { name: "freeswitch::asks_by_407_and_keeps_one_codec", needs: &[Need::Sipp], run: one_codec },
    Case { name: "freeswitch::wants_a_longer_session_timer", needs: &[Need::Sipp], run: session_timer },
];

fn call(case: &Case, server: SocketAddr) -> Setup {
    let setup = Setup::new(case, "phone", "call").account("1001", "secret", server);
    setup.silent().arguments(&[&format!("sip:9196@{server}"), "--no-register"])
}

/// The phone offers Opus first; the server takes PCMA alone.
fn one_codec(case: &Case) {
    let values = [("USER", "1001"), ("DIALLED", "9196"), ("PAYLOAD", "8"), ("CODEC", "PCMA/8000")];
    let (mut sipp, server) = Sipp::serve(case, "freeswitch.xml", &values);
    let mut phone = call(case, server).arguments(&["--codecs", "opus,pcmu,pcma", "--duration", "3"]).start();
    assert_eq!(phone.wait(Duration::from_secs(20)), exit::ENDED);
    sipp.expect_success(Duration::from_secs(10));
    let summary = phone.summary();
    assert!(summary["codec"].as_str().is_some_and(|codec| codec.starts_with("PCMA")), "{summary}");
}

/// 422 is answered with the interval it asks for, and what was agreed is kept by the phone: by UPDATE, else by re-INVITE.
fn session_timer(case: &Case) {
    let (mut sipp, server) = Sipp::serve(case, "too-short.xml", &[]);
    let mut phone = call(case, server).arguments(&["--duration", "47"]).start();
    assert_eq!(phone.wait(Duration::from_secs(70)), exit::ENDED);
    sipp.expect_success(Duration::from_secs(10));
    assert_eq!(phone.summary()["result"], "normal");
}
