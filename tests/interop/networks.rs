//! What the network does: addresses that change in a call, ports where nobody listens, marks on packets.
use crate::common::sound::Sound;
use crate::harness::{Case, Need};
use crate::namespaces::Network;
use crate::peers_asterisk::{self, Asterisk};
use crate::peers_tshark::Capture;
use crate::phone::{Setup, exit};
use crate::tools;
use std::fs;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub const CASES: &[Case] = &[
    Case {
        name: "networks::the_address_changes_in_a_call",
        needs: &[Need::Asterisk, Need::Namespaces],
        run: |case| address_changes(case, "udp"),
    },
    Case {
        name: "networks::the_address_changes_in_a_call_over_tcp",
        needs: &[Need::Asterisk, Need::Namespaces],
        run: |case| address_changes(case, "tcp"),
    },
    Case { name: "networks::a_server_that_lost_the_call", needs: &[Need::Asterisk], run: server_lost_the_call },
    Case { name: "networks::nobody_listens_there", needs: &[], run: nobody_listens },
    Case { name: "networks::packets_are_marked", needs: &[Need::Asterisk, Need::Tshark], run: marked },
];

fn unix_time() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

/// Registered again from the new address within 2 s, and the echo is back soon after.
fn address_changes(case: &Case, transport: &str) {
    let network = Network::new();
    let asterisk = Asterisk::start_in(&network);
    let setup = Setup::within(&network.phone, case, "phone", "call").account("1001", "pw1001", asterisk.address());
    let setup = setup.microphone(&Sound::tone(48_000, 40.0, 440.0, -10.0)).record();
    let mut phone = setup.arguments(&["600", "--codecs", "pcmu", "--transport", transport]).start();
    phone.expect_established();
    sleep(Duration::from_secs(4));
    assert!(asterisk.contacts().contains("@10.99.1.2:"), "{}", asterisk.contacts());

    let changed = unix_time();
    network.move_phone(2);
    let again = phone.expect("the registration from the new address", Duration::from_secs(10), |line| {
        line["type"] == "registration" && line["state"] == "registered" && line["time"].as_f64() > Some(changed)
    });
    assert!(asterisk.contacts().contains("@10.99.2.2:"), "{}", asterisk.contacts());
    sleep(Duration::from_secs(8));
    assert_eq!(phone.interrupt(), exit::ENDED);
    assert_eq!(phone.summary()["result"], "normal");

    let heard = phone.heard();
    let hears = |from: f64| heard.part(from, from + 0.1).tone_share(440.0) > 0.9;
    let at = changed - phone.recording_began();
    assert!(hears(at - 0.5), "the echo before");
    let windows = (0..).map(|n| at + f64::from(n) * 0.05).take_while(|from| from + 0.6 < heard.seconds());
    let echo = windows.filter(|from| !hears(*from)).last().map_or(0.0, |silent| silent + 0.05 - at);
    let registered = again["time"].as_f64().expect("a time") - changed;
    let measured = format!("registered again after {registered:.2} s, the echo heard again after {echo:.2} s\n");
    fs::write(case.folder().join("measured.log"), &measured).expect("writes");
    assert!(registered < 2.0 && echo < 3.0, "{measured}");
    assert!(heard.seconds() - at > 7.0, "the recording ends too soon: {:.1} s", heard.seconds());
}

/// A server that was started anew knows nothing of the call, and sends no sound: it is asked, and the call ends with that
/// cause.
fn server_lost_the_call(case: &Case) {
    let asterisk = Asterisk::start();
    let setup = Setup::new(case, "phone", "call").account("1002", "pw1002", asterisk.address());
    let setup = setup.microphone(&Sound::tone(48_000, 90.0, 440.0, -10.0));
    let mut phone = setup.arguments(&["600", "--codecs", "pcmu"]).start();
    phone.expect_established();
    sleep(Duration::from_secs(2));
    asterisk.kill();
    sleep(Duration::from_secs(1));
    asterisk.boot();
    let summary = phone.expect("the end", Duration::from_secs(25), |line| line["type"] == "summary");
    let cause = summary["cause"].as_str().unwrap_or_default();
    assert!(cause.contains("the server lost the call, and no sound arrives"), "{summary}");
}

fn nobody_listens(case: &Case) {
    let nobody = SocketAddr::from(([127, 0, 0, 1], tools::free_port()));
    let setup = Setup::new(case, "phone", "call").account("1001", "pw1001", nobody).silent();
    let mut phone = setup.arguments(&["--no-register", &format!("sip:somebody@{nobody}")]).start();
    assert_ne!(phone.wait(Duration::from_secs(10)), exit::ENDED);
    let summary = phone.summary();
    assert_eq!(summary["cause"], format!("nothing listens at {nobody}"), "{summary}");
    let began = phone.lines().iter().find(|line| line["type"] == "calling").and_then(|line| line["time"].as_f64());
    let took = summary["time"].as_f64().expect("a time") - began.expect("the call begins");
    fs::write(case.folder().join("measured.log"), format!("told after {:.0} ms\n", took * 1_000.0)).expect("writes");
    assert!(took < 0.1, "told after {took:.2} s");
}

/// The code points of the configuration are in the packets.
fn marked(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let (first, last) = tools::free_range(10);
    let config = format!("[network]\nrtp_ports = \"{first}-{last}\"\nsip_dscp = 40\nrtp_dscp = 34\n");
    let config = config + &asterisk.account("1001", offhook::base::net::Transport::Udp);
    let setup = Setup::new(case, "phone", "call").config(&config);
    let setup = setup.microphone(&Sound::tone(48_000, 10.0, 440.0, -10.0));
    let capture = Capture::start(case, "udp");
    let mut phone = setup.arguments(&["600", "--codecs", "pcmu", "--duration", "7"]).start();
    let sip = phone.sip.port();
    assert_eq!(phone.wait(Duration::from_secs(20)), exit::ENDED);
    let packets = capture.fields(&["udp.srcport", "ip.dsfield.dscp"]);
    let marks = |of: &dyn Fn(u16) -> bool| -> Vec<&str> {
        let from = |line: &&Vec<String>| line.first().and_then(|port| port.parse().ok()).is_some_and(of);
        packets.iter().filter(from).filter_map(|line| line.get(1).map(String::as_str)).collect()
    };
    // Odd ports are RTCP's.
    let is_media = |port: u16, odd: bool| (first..=last).contains(&port) && (port % 2 == 1) == odd;
    let rows: [(&str, Vec<&str>, usize, &str); 3] = [
        ("SIP", marks(&|port| port == sip), 4, "40"),
        ("RTP", marks(&|port| is_media(port, false)), 200, "34"),
        ("RTCP", marks(&|port| is_media(port, true)), 1, "34"),
    ];
    for (what, marks, least, expected) in rows {
        assert!(marks.len() >= least, "{what}: {} packets", marks.len());
        assert!(marks.iter().all(|mark| *mark == expected), "{what}: {marks:?}");
    }
}
