//! The ways media takes: ICE between phones, through coturn by every transport, and servers that do not help.
use crate::common::sound::Sound;
use crate::harness::{Case, Need};
use crate::namespaces::Network;
use crate::peers_asterisk::Asterisk;
use crate::peers_baresip::{Account, Baresip};
use crate::peers_coturn::{Coturn, PASSWORD, USER};
use crate::peers_dnsmasq::{DOMAIN, Dnsmasq, host, naptr, srv};
use crate::phone::{Phone, Setup, exit, unix_now};
use crate::tools::hears_some;
use offhook::base::net::Transport;
use std::fs;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

pub const CASES: &[Case] = &[
    Case { name: "ways::direct", needs: &[], run: direct },
    Case { name: "ways::encrypted_by_dtls", needs: &[], run: encrypted },
    Case { name: "ways::relayed_over_udp", needs: &[Need::Coturn], run: |case| relayed(case, "udp") },
    Case { name: "ways::relayed_over_tcp", needs: &[Need::Coturn], run: |case| relayed(case, "tcp") },
    Case { name: "ways::relayed_over_tls", needs: &[Need::Coturn], run: |case| relayed(case, "tls") },
    Case { name: "ways::relayed_over_ipv6", needs: &[Need::Coturn], run: relayed_over_ipv6 },
    Case { name: "ways::relay_by_records", needs: &[Need::Coturn, Need::Dnsmasq], run: relay_by_records },
    Case { name: "ways::baresip_called", needs: &[Need::Baresip, Need::Namespaces], run: baresip_called },
    Case { name: "ways::baresip_calls", needs: &[Need::Baresip, Need::Namespaces], run: baresip_calls },
    Case { name: "ways::wrong_turn_password", needs: &[Need::Coturn], run: wrong_password },
    Case { name: "ways::nonces_and_allocations_expire", needs: &[Need::Coturn], run: expiry },
    Case { name: "ways::dead_servers", needs: &[], run: dead_servers },
    Case { name: "ways::asterisk", needs: &[Need::Asterisk, Need::Namespaces], run: asterisk },
];

/// A phone that calls others directly.
pub fn phone(case: &Case, name: &str, subcommand: &'static str, hz: f64, more: &str) -> Setup {
    let account = format!(
        "[[account]]\nname = \"{name}\"\nuser = \"{name}\"\ndomain = \"127.0.0.1\"\nregister = false\n\
         direct_calls = true\ntransport = \"udp\"\n{more}"
    );
    let setup = Setup::new(case, name, subcommand).config(&account).arguments(&["--codecs", "pcmu"]);
    setup.microphone(&Sound::tone(48_000, 60.0, hz, -10.0)).record()
}

pub fn pair(case: &Case, caller: &str, called: &str, seconds: u32) -> (Phone, Phone) {
    let bob = phone(case, "bob", "answer", 600.0, called).arguments(&["--auto"]).start();
    sleep(Duration::from_millis(700));
    let (target, seconds) = (format!("sip:bob@{}", bob.sip), seconds.to_string());
    let anna = phone(case, "anna", "call", 440.0, caller).arguments(&[&target, "--duration", &seconds]);
    (anna.start(), bob)
}

fn path(phone: &Phone) -> String {
    let told = phone.lines().into_iter().rev().find_map(|line| line["media_path"].as_str().map(str::to_owned));
    told.unwrap_or_default()
}

/// Both hear each other until the end, and the caller has called for so long.
pub fn finish(mut anna: Phone, mut bob: Phone, seconds: f64) -> (String, String) {
    assert_eq!(anna.wait(Duration::from_secs(seconds as u64 + 20)), exit::ENDED);
    let paths = (path(&anna), path(&bob));
    assert_eq!(bob.interrupt(), exit::ENDED);
    let (ours, theirs) = (anna.heard(), bob.heard());
    hears_some(&ours.part(seconds - 2.0, seconds - 0.7), 600.0, "the caller");
    hears_some(&theirs, 440.0, "the called");
    paths
}

fn direct(case: &Case) {
    let (anna, bob) = pair(case, "ice = \"offer\"\n", "", 4);
    assert_eq!(finish(anna, bob, 4.0), ("host".to_owned(), "host".to_owned()));
}

/// The handshake goes the way that was found.
fn encrypted(case: &Case) {
    let secure = "srtp = \"required\"\nkeying = \"dtls\"\n";
    let (anna, bob) = pair(case, &format!("ice = \"offer\"\n{secure}"), secure, 5);
    assert_eq!(finish(anna, bob, 5.0), ("host".to_owned(), "host".to_owned()));
}

fn relayed(case: &Case, transport: &str) {
    let coturn = Coturn::start(case, &[]);
    let caller = format!("ice = \"offer\"\nice_policy = \"relay\"\n{}", coturn.account(transport, PASSWORD));
    let (anna, bob) = pair(case, &caller, "", 6);
    let server = if transport == "tls" { "localhost" } else { "127.0.0.1" };
    let (ours, theirs) = finish(anna, bob, 6.0);
    assert_eq!((ours.as_str(), theirs.as_str()), (&*format!("relayed via {server}"), "relayed by the other side"));
    assert!(coturn.log().contains("ALLOCATE processed, success"), "{}", coturn.log());
}

/// The server lends an address of IPv6 where it is reached by one (RFC 8656 §7.1).
fn relayed_over_ipv6(case: &Case) {
    if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        // A machine without IPv6 has nothing to show here.
        return;
    }
    let coturn = Coturn::start_at(case, "::1", &[]);
    let speaks = |name: &str, subcommand, hz, more: &str| {
        let account = format!(
            "[[account]]\nname = \"{name}\"\nuser = \"{name}\"\ndomain = \"[::1]\"\nregister = false\n\
             direct_calls = true\ntransport = \"udp\"\n{more}"
        );
        let setup = Setup::over_ipv6(case, name, subcommand).config(&account).arguments(&["--codecs", "pcmu"]);
        setup.microphone(&Sound::tone(48_000, 60.0, hz, -10.0)).record()
    };
    let caller = format!(
        "ice = \"offer\"\nice_policy = \"relay\"\nturn_server = \"turn:[::1]:{}\"\nturn_user = \"{USER}\"\n\
         turn_password = \"{PASSWORD}\"\n",
        coturn.port
    );
    let bob = speaks("bob", "answer", 600.0, "").arguments(&["--auto"]).start();
    sleep(Duration::from_millis(700));
    let target = format!("sip:bob@{}", bob.sip);
    let anna = speaks("anna", "call", 440.0, &caller).arguments(&[&target, "--duration", "5"]).start();
    let (ours, theirs) = finish(anna, bob, 5.0);
    assert_eq!((ours.as_str(), theirs.as_str()), ("relayed via ::1", "relayed by the other side"));
}

/// Nothing but its domain is known: the records say where it is and how it is reached (RFC 5928).
fn relay_by_records(case: &Case) {
    let coturn = Coturn::start(case, &[]);
    let port = coturn.port;
    let records = [
        naptr(10, "RELAY:turn.tcp", "_turn._tcp"),
        naptr(20, "RELAY:turn.udp", "_turn._udp"),
        srv("_turn._tcp", 1, 1, port),
        srv("_turn._udp", 1, 1, port),
        srv("_stun._udp", 1, 1, port),
        host(port),
    ];
    let names = Dnsmasq::start(case, 60, &records);
    let account = format!(
        "[network]\nname_server = \"{}\"\n[[account]]\nname = \"anna\"\nuser = \"anna\"\ndomain = \"127.0.0.1\"\n\
         register = false\ndirect_calls = true\ntransport = \"udp\"\nice = \"offer\"\nice_policy = \"relay\"\n\
         stun_server = \"{DOMAIN}\"\nturn_server = \"turn:{DOMAIN}\"\nturn_user = \"{USER}\"\n\
         turn_password = \"{PASSWORD}\"\n",
        names.address
    );
    let bob = phone(case, "bob", "answer", 600.0, "").arguments(&["--auto"]).start();
    sleep(Duration::from_millis(700));
    let target = format!("sip:bob@{}", bob.sip);
    let setup = Setup::new(case, "anna", "call").config(&account).arguments(&["--codecs", "pcmu"]);
    let setup = setup.microphone(&Sound::tone(48_000, 60.0, 440.0, -10.0)).record();
    let anna = setup.arguments(&[&target, "--duration", "5"]).start();
    let (ours, _) = finish(anna, bob, 5.0);
    assert_eq!(ours, format!("relayed via {DOMAIN}"));
    // The first is that of this test, which looks whether it is there.
    assert!(coturn.log().matches("tcp or tls connected to").count() > 1, "{}", coturn.log());
}

/// Another program's ICE, whose RTCP has a port of its own. It knows no loopback.
fn baresip(answers: bool) -> Account {
    Account {
        user: "baresip".into(),
        password: "none".into(),
        registrar: SocketAddr::new(Network::SERVER, 9),
        codecs: "PCMU;medianat=ice",
        answers,
    }
}

fn within(case: &Case, network: &Network, subcommand: &'static str) -> Setup {
    let account = "[[account]]\nname = \"phone\"\nuser = \"phone\"\ndomain = \"10.99.1.2\"\nregister = false\n\
                   direct_calls = true\ntransport = \"udp\"\nice = \"offer\"\n";
    let setup = Setup::within(&network.phone, case, "phone", subcommand).config(account);
    setup.arguments(&["--codecs", "pcmu"]).microphone(&Sound::tone(48_000, 40.0, 440.0, -10.0)).record()
}

/// Both hear each other over the pair that was found.
fn heard_by_baresip(mut phone: Phone, baresip: &Baresip) {
    phone.expect("the way", Duration::from_secs(15), |line| line["media_path"] == "host");
    sleep(Duration::from_secs(3));
    assert_eq!(phone.interrupt(), exit::ENDED);
    hears_some(&phone.heard(), 600.0, "the phone");
    hears_some(&baresip.recording(), 440.0, "baresip");
}

fn baresip_called(case: &Case) {
    let network = Network::new();
    let tone = Sound::tone(8_000, 30.0, 600.0, -10.0);
    let baresip = Baresip::start_in(case, &network, &baresip(true), &tone, None, 20);
    sleep(Duration::from_millis(700));
    let target = format!("sip:baresip@{}", baresip.sip);
    heard_by_baresip(within(case, &network, "call").arguments(&[&target]).start(), &baresip);
}

fn baresip_calls(case: &Case) {
    let network = Network::new();
    let phone = within(case, &network, "answer").arguments(&["--auto"]).start();
    sleep(Duration::from_millis(700));
    let target = format!("sip:phone@10.99.1.2:{}", phone.sip.port());
    let tone = Sound::tone(8_000, 30.0, 600.0, -10.0);
    let baresip = Baresip::start_in(case, &network, &baresip(false), &tone, Some(&target), 20);
    heard_by_baresip(phone, &baresip);
}

/// It is told, and the call takes another way.
fn wrong_password(case: &Case) {
    let coturn = Coturn::start(case, &[]);
    let caller = format!("ice = \"offer\"\n{}", coturn.account("udp", "wrong"));
    let (anna, bob) = pair(case, &caller, "", 4);
    assert_eq!(finish(anna, bob, 4.0), ("host".to_owned(), "host".to_owned()));
    let words = "127.0.0.1 does not accept the user name or the password";
    let found = Command::new("grep").args(["-rq", words]).arg(case.folder().join("anna-home")).status();
    assert!(found.is_ok_and(|found| found.success()), "its log does not say so");
}

/// Everything the server gives lasts for seconds only.
fn expiry(case: &Case) {
    let coturn = Coturn::start(case, &["--stale-nonce=3", "--max-allocate-lifetime=8"]);
    let caller = format!("ice = \"offer\"\nice_policy = \"relay\"\n{}", coturn.account("udp", PASSWORD));
    let (anna, bob) = pair(case, &caller, "", 25);
    let (ours, _) = finish(anna, bob, 25.0);
    assert_eq!(ours, "relayed via 127.0.0.1");
    assert!(coturn.log().contains("REFRESH processed, success"), "{}", coturn.log());
}

/// Half a second is all that servers cost that do not answer.
fn dead_servers(case: &Case) {
    // An address of the documentation: nobody is there.
    let dead =
        "ice = \"offer\"\nstun_server = \"127.0.0.9:9\"\nturn_server = \"turn:127.0.0.9:9\"\nturn_user = \"u\"\n";
    let bob = phone(case, "bob", "answer", 600.0, "").arguments(&["--auto"]).start();
    sleep(Duration::from_millis(700));
    let target = format!("sip:bob@{}", bob.sip);
    let began = Instant::now();
    let mut anna = phone(case, "anna", "call", 440.0, dead).arguments(&[&target, "--duration", "4"]).start();
    anna.expect_established();
    let took = began.elapsed();
    fs::write(case.folder().join("measured.log"), format!("up after {took:?}\n")).expect("writes");
    assert!(took < Duration::from_millis(2_500), "{took:?}");
    assert_eq!(finish(anna, bob, 4.0).0, "host");
}

/// ICE with a server whose RTCP has ports of its own; then another address, and a restart from there.
fn asterisk(case: &Case) {
    let network = Network::new();
    let asterisk = Asterisk::start_in(&network);
    let config = format!("{}ice = \"offer\"\n", asterisk.account("1015", Transport::Udp));
    let setup = Setup::within(&network.phone, case, "phone", "call").config(&config);
    let setup = setup.microphone(&Sound::tone(48_000, 40.0, 440.0, -10.0)).record();
    let mut phone = setup.arguments(&["600", "--codecs", "pcmu"]).start();
    phone.expect("the way", Duration::from_secs(15), |line| line["media_path"] == "host");
    let up = phone.lines().iter().find(|line| line["type"] == "established").and_then(|line| line["time"].as_f64());
    sleep(Duration::from_secs(4));
    let changed = unix_now();
    network.move_phone(2);
    phone.expect_after(changed, "the new way", Duration::from_secs(10), |line| {
        line["media_path"] == "host" && line["media_pair"].as_str().is_some_and(|pair| pair.starts_with("10.99.2.2:"))
    });
    sleep(Duration::from_secs(5));
    assert_eq!(phone.interrupt(), exit::ENDED);
    let heard = phone.heard();
    let hears = |from: f64| heard.part(from, from + 0.1).tone_share(440.0) > 0.9;
    let first = (0..).map(|n| f64::from(n) * 0.02).take_while(|at| at + 0.1 < heard.seconds()).find(|at| hears(*at));
    let began = up.expect("established") - phone.recording_began();
    let at = changed - phone.recording_began();
    let windows = (0..).map(|n| at + f64::from(n) * 0.05).take_while(|from| from + 0.6 < heard.seconds());
    let gap = windows.filter(|from| !hears(*from)).last().map_or(0.0, |silent| silent + 0.05 - at);
    let first = first.expect("the echo") - began;
    let measured = format!("the echo after {first:.2} s; from the new address after {gap:.2} s\n");
    fs::write(case.folder().join("measured.log"), &measured).expect("writes");
    assert!(first < 2.0 && gap < 3.5, "{measured}");
}
