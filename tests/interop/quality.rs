//! The figures the phone shows, against those who know: the relay that made the impairment, tshark, and Asterisk.
use crate::common::relay::{Relay, Way};
use crate::harness::{Case, Need};
use crate::peers_asterisk;
use crate::peers_tshark::Capture;
use crate::phone::{Phone, Setup, exit};
use offhook::base::netem::Impairment;
use serde_json::Value;
use std::thread::sleep;
use std::time::Duration;

pub const CASES: &[Case] = &[
    Case { name: "quality::loss_is_exact", needs: &[Need::Asterisk], run: loss },
    Case { name: "quality::round_trip_is_twice_the_delay", needs: &[Need::Asterisk], run: round_trip },
    Case { name: "quality::jitter_as_tshark_sees_it", needs: &[Need::Asterisk, Need::Tshark], run: jitter },
    Case { name: "quality::asterisk_agrees", needs: &[Need::Asterisk], run: asterisk_agrees },
];

/// A call of `number` with PCMU through a relay.
fn call(case: &Case, number: &str) -> (Relay, Phone) {
    let asterisk = peers_asterisk::shared();
    let relay = Relay::start(asterisk.address(), 8_000);
    let setup = Setup::new(case, "phone", "call").account("1001", "pw1001", relay.address());
    let target = format!("sip:{number}@{}", relay.address());
    let mut phone = setup.silent().arguments(&[&target, "--codecs", "pcmu"]).start();
    phone.expect_established();
    (relay, phone)
}

fn figure(line: &Value, path: &str) -> f64 {
    line.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path} was not measured: {line}"))
}

/// Packet for packet, both ways.
fn loss(case: &Case) {
    let (relay, mut phone) = call(case, "601");
    // The first packets shall arrive, so that both ends know where the sequence began, and so shall the last.
    sleep(Duration::from_secs(2));
    let burst = Impairment { loss: 0.08, burst: 2.5, seed: 11, ..Impairment::default() };
    relay.impair(Way::ToPhone, burst);
    relay.impair(Way::ToServer, Impairment { loss: 0.04, seed: 12, ..Impairment::default() });
    sleep(Duration::from_secs(20));
    relay.impair(Way::ToPhone, Impairment::default());
    relay.impair(Way::ToServer, Impairment::default());
    // Asterisk reports every 5 s.
    sleep(Duration::from_secs(7));
    assert_eq!(phone.interrupt(), exit::ENDED);
    let (summary, inward, outward) = (phone.summary(), relay.truth(Way::ToPhone), relay.truth(Way::ToServer));
    assert!(inward.lost > 40 && outward.lost > 20, "{inward:?} {outward:?}");
    assert_eq!(summary["inbound"]["lost"], inward.lost, "{summary}");
    assert_eq!(summary["outbound"]["lost"], outward.lost, "{summary}");
    let percent = 100.0 * inward.lost as f64 / inward.packets as f64;
    assert!((figure(&summary, "/inbound/loss_total_percent") - percent).abs() < 0.2, "{percent} {summary}");
}

fn round_trip(case: &Case) {
    let (relay, mut phone) = call(case, "601");
    let delay = Duration::from_millis(60);
    for way in [Way::ToPhone, Way::ToServer] {
        relay.impair(way, Impairment { delay, ..Impairment::default() });
    }
    let begin = phone.lines().len();
    // Two reports from now on: the first may still have been on its way without the delay.
    sleep(Duration::from_secs(13));
    assert_eq!(phone.interrupt(), exit::ENDED);
    let measured: Vec<f64> = phone.lines()[begin..].iter().filter_map(|line| line["round_trip_ms"].as_f64()).collect();
    // A busy machine forwards late, and never early: the least of the reports is the network's.
    let value = measured.iter().copied().filter(|ms| *ms > 60.0).fold(f64::INFINITY, f64::min);
    assert!((value - 120.0).abs() <= 2.0, "{value} ms; all: {measured:?}");
}

/// tshark sits on the receiving side of the relay, where the phone does.
fn jitter(case: &Case) {
    let (relay, mut phone) = call(case, "601");
    let port = relay.media().first().expect("media runs through the relay").near;
    let jitter = Duration::from_millis(30);
    relay.impair(Way::ToPhone, Impairment { jitter, seed: 21, ..Impairment::default() });
    let capture = Capture::start(case, &format!("udp src port {port}"));
    let begin = phone.lines().len() + 1;
    sleep(Duration::from_secs(60));
    let lines = phone.lines();
    let streams = capture.streams(&[port]);
    assert_eq!(phone.interrupt(), exit::ENDED);
    let stream = streams.iter().find(|s| s.source_port == port).expect("the stream to the phone");
    let ours: Vec<f64> = lines[begin..].iter().map(|line| figure(line, "/inbound/jitter_ms")).collect();
    let mean = ours.iter().sum::<f64>() / ours.len() as f64;
    assert!(stream.packets > 2_900 && stream.mean_jitter > 3.0, "{stream:?}");
    let off = (mean - stream.mean_jitter).abs() / stream.mean_jitter;
    assert!(off < 0.05, "ours {mean:.3} ms, tshark's {:.3} ms: {:.1} % off", stream.mean_jitter, off * 100.0);
}

/// What Asterisk's `CHANNEL(rtcp,all)` says at the end of the call.
fn asterisk_agrees(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let mark = asterisk.mark();
    let (relay, mut phone) = call(case, "601");
    let delay = Duration::from_millis(25);
    for (way, loss) in [(Way::ToPhone, 0.10), (Way::ToServer, 0.05)] {
        relay.impair(way, Impairment { delay, loss, seed: 31, ..Impairment::default() });
    }
    sleep(Duration::from_secs(16));
    for way in [Way::ToPhone, Way::ToServer] {
        relay.impair(way, Impairment { delay, ..Impairment::default() });
    }
    sleep(Duration::from_secs(11));
    assert_eq!(phone.interrupt(), exit::ENDED);
    let line = asterisk.expect_log(mark, &["RTCP codec=", "rxcount="], Duration::from_secs(10));
    let theirs = |key: &str| -> f64 {
        let value = line.split([';', ' ']).find_map(|part| part.strip_prefix(key)?.strip_prefix('='));
        value.and_then(|v| v.parse().ok()).unwrap_or_else(|| panic!("no {key} in {line}"))
    };
    let (summary, inward, outward) = (phone.summary(), relay.truth(Way::ToPhone), relay.truth(Way::ToServer));
    assert_eq!(theirs("lp"), outward.lost as f64, "what Asterisk missed: {line}");
    assert_eq!(summary["outbound"]["lost"], outward.lost, "what it told us: {summary}");
    assert_eq!(theirs("rlp"), inward.lost as f64, "what we told Asterisk: {line}");
    assert_eq!(summary["inbound"]["lost"], inward.lost, "what we missed: {summary}");
    assert_eq!(theirs("txcount"), inward.packets as f64, "{line}");
    assert!((theirs("rtt") * 1e3 - figure(&summary, "/round_trip_ms")).abs() < 3.0, "{line} {summary}");
}
