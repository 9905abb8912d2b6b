//! DTLS-SRTP with real peers: both directions, both parts, certificates of both kinds; what is heard, and how long the
//! handshake takes.
use crate::common::sound::Sound;
use crate::harness::{Case, Need};
use crate::peers_asterisk;
use crate::peers_baresip::{Account, Baresip};
use crate::phone::{Phone, Setup, exit};
use crate::process::{Process, wait_for};
use crate::tools::{self, hears, hears_some};
use offhook::base::net::Transport;
use offhook::media::dtls::association::{Association, Event, Role};
use offhook::media::dtls::certificate::Certificate;
use offhook::media::dtls::fingerprint::{Fingerprint, Hash};
use offhook::media::srtp::context::Protection;
use offhook::media::srtp::sdes::{Keys, MasterKey, Suite};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};
use std::{fs, io};

pub const CASES: &[Case] = &[
    Case { name: "dtls::asterisk_is_called", needs: &[Need::Asterisk], run: asterisk_is_called },
    Case { name: "dtls::asterisk_calls", needs: &[Need::Asterisk], run: asterisk_calls },
    Case { name: "dtls::held_and_resumed", needs: &[Need::Asterisk], run: held_and_resumed },
    Case { name: "dtls::refused", needs: &[Need::Asterisk], run: refused },
    Case { name: "dtls::either_keys", needs: &[Need::Asterisk], run: either_keys },
    Case { name: "dtls::phones", needs: &[], run: phones },
    Case { name: "dtls::baresip_is_called", needs: &[Need::Asterisk, Need::Baresip], run: baresip_is_called },
    Case { name: "dtls::baresip_calls", needs: &[Need::Asterisk, Need::Baresip], run: baresip_calls },
    Case { name: "dtls::openssl", needs: &[Need::OpenSsl], run: openssl },
];

/// A phone of user 1010, whose endpoint takes no keys but those of DTLS.
fn phone(case: &Case, subcommand: &'static str, keys: &str) -> Setup {
    let config = format!("{}{keys}", peers_asterisk::shared().account("1010", Transport::Udp));
    let setup = Setup::new(case, "phone", subcommand).config(&config).arguments(&["--codecs", "pcmu"]);
    setup.microphone(&Sound::tone(48_000, 30.0, 440.0, -10.0)).record()
}

const DTLS: &str = "srtp = \"required\"\nkeying = \"dtls\"\n";

/// What the screen says of the protection, at last, and of the certificates.
fn secured(phone: &Phone, words: &str) {
    let lines = phone.lines();
    let told = lines.iter().rev().find(|line| line["security"].is_string()).expect("told");
    assert_eq!(told["security"], words);
    for side in ["ours", "theirs"] {
        assert!(told["fingerprints"][side].as_str().is_some_and(|print| print.starts_with("sha-256 ")), "{told}");
    }
}

fn asterisk_is_called(case: &Case) {
    let target = peers_asterisk::shared().uri("600");
    let mut phone = phone(case, "call", DTLS).arguments(&[&target, "--duration", "5"]).start();
    assert_eq!(phone.wait(Duration::from_secs(25)), exit::ENDED);
    hears_some(&phone.heard().part(1.0, 4.5), 440.0, "the phone, from the echo");
    secured(&phone, "DTLS-SRTP AES-128");
    let summary = phone.summary();
    assert_eq!((&summary["forged"], &summary["replayed"]), (&0.into(), &0.into()), "{summary}");
}

fn asterisk_calls(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let mut phone = phone(case, "answer", DTLS).arguments(&["--auto"]).start();
    phone.expect_registered();
    asterisk.expect_registered("1010", Duration::from_secs(5));
    asterisk.cli("channel originate PJSIP/1010 extension 601@phones");
    phone.expect_established();
    sleep(Duration::from_secs(4));
    assert_eq!(phone.interrupt(), exit::ENDED);
    let heard = phone.heard();
    hears_some(&heard.part(heard.seconds() - 3.0, heard.seconds() - 0.5), 1004.0, "the phone");
    secured(&phone, "DTLS-SRTP AES-128");
}

/// The keys of the first handshake serve on.
fn held_and_resumed(case: &Case) {
    let options = ["--hold-after", "3", "--hold-for", "3", "--duration", "10"];
    let setup = phone(case, "call", DTLS).arguments(&[&peers_asterisk::shared().uri("600")]).arguments(&options);
    let mut phone = setup.start();
    assert_eq!(phone.wait(Duration::from_secs(25)), exit::ENDED);
    let heard = phone.heard();
    hears_some(&heard.part(1.0, 2.7), 440.0, "the phone before");
    hears_some(&heard.part(7.0, 9.5), 440.0, "the phone afterwards");
    assert!(phone.summary()["forged"].as_u64().is_some_and(|forged| forged < 5), "{}", phone.summary());
}

/// An endpoint that wants DTLS, and a phone that may not.
fn refused(case: &Case) {
    for keys in ["srtp = \"off\"\n", "srtp = \"required\"\nkeying = \"sdes\"\n"] {
        let mut phone = phone(case, "call", keys).arguments(&[&peers_asterisk::shared().uri("600")]).start();
        assert_eq!(phone.wait(Duration::from_secs(15)), exit::CALL_REFUSED);
        assert_eq!(phone.summary()["status"], 488);
    }
}

/// Nothing is set but that there is to be no call in clear: whatever keys the endpoint takes, both ways.
fn either_keys(case: &Case) {
    let asterisk = peers_asterisk::shared();
    for (user, srtp, words) in [
        ("1009", "required", "SDES-SRTP"),
        ("1010", "required", "DTLS-SRTP AES-128"),
        ("1010", "preferred", "DTLS-SRTP AES-128"),
    ] {
        let config = format!("{}srtp = \"{srtp}\"\n", asterisk.account(user, Transport::Udp));
        let phone = |name: &str, subcommand| {
            let setup = Setup::new(case, &format!("{user}-{srtp}-{name}"), subcommand).config(&config).record();
            setup.arguments(&["--codecs", "pcmu"]).microphone(&Sound::tone(48_000, 30.0, 440.0, -10.0))
        };
        let security = |phone: &Phone| {
            let told = phone.lines().iter().rev().find_map(|line| line["security"].as_str().map(str::to_owned));
            assert!(told.as_ref().is_some_and(|told| told.starts_with(words)), "{user} {srtp}: {told:?}");
        };
        let mut caller = phone("calls", "call").arguments(&[&asterisk.uri("600"), "--duration", "2"]).start();
        assert_eq!(caller.wait(Duration::from_secs(25)), exit::ENDED, "{user} {srtp}");
        hears_some(&caller.heard().part(0.8, 1.8), 440.0, "the phone, from the echo");
        security(&caller);
        if srtp == "preferred" {
            continue;
        }
        let mut called = phone("is-called", "answer").arguments(&["--auto"]).start();
        called.expect_registered();
        asterisk.expect_registered(user, Duration::from_secs(5));
        asterisk.cli(&format!("channel originate PJSIP/{user} extension 601@phones"));
        called.expect_established();
        called.expect("sound", Duration::from_secs(10), |line| line["media_flowing"] == true);
        sleep(Duration::from_millis(1_500));
        assert_eq!(called.interrupt(), exit::ENDED);
        let heard = called.heard();
        hears_some(&heard.part(heard.seconds() - 1.2, heard.seconds() - 0.2), 1004.0, "the phone");
        security(&called);
    }
}

/// Without a server: the best suite both have, whoever of the two is asked for more.
fn phones(case: &Case) {
    for (caller, called) in [
        (DTLS, DTLS),
        // As browsers call: that is answered whatever else is set.
        ("profile = \"webrtc\"\n", ""),
        ("srtp = \"preferred\"\n", DTLS),
        (DTLS, "srtp = \"preferred\"\n"),
        ("srtp = \"required\"\n", "srtp = \"preferred\"\nkeying = \"auto\"\n"),
    ] {
        let account = |user: &str, keys: &str| {
            format!(
                "[[account]]\nuser = \"{user}\"\ndomain = \"127.0.0.1\"\nregister = false\ndirect_calls = true\n{keys}"
            )
        };
        let answer = Setup::new(case, "called", "answer").config(&account("bob", called)).record();
        let answer =
            answer.microphone(&Sound::tone(48_000, 30.0, 700.0, -10.0)).arguments(&["--auto", "--no-register"]);
        let mut bob = answer.start();
        sleep(Duration::from_secs(1));
        let target = format!("sip:bob@{}", bob.sip);
        let call = Setup::new(case, "caller", "call").config(&account("alice", caller)).record();
        let call = call.microphone(&Sound::tone(48_000, 30.0, 440.0, -10.0)).arguments(&[&target, "--duration", "4"]);
        let mut alice = call.start();
        assert_eq!(alice.wait(Duration::from_secs(20)), exit::ENDED);
        bob.expect_summary();
        bob.interrupt();
        hears(&alice.heard(), 700.0, "the caller");
        hears_some(&bob.heard(), 440.0, "the called");
        for phone in [&alice, &bob] {
            secured(phone, "DTLS-SRTP AES-256-GCM");
        }
    }
}

fn account(codecs: &'static str, answers: bool) -> Account {
    let registrar = peers_asterisk::shared().address();
    Account { user: "1010".into(), password: "pw1010".into(), registrar, codecs, answers }
}

fn baresip_is_called(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let tone = Sound::tone(8_000, 30.0, 700.0, -10.0);
    let mut baresip = Baresip::start(case, &account("PCMU;mediaenc=dtls_srtp", true), &tone, None, 20);
    asterisk.expect_registered("1010", Duration::from_secs(10));
    let target = format!("sip:1010@{}", baresip.sip);
    let mut phone = phone(case, "call", DTLS).arguments(&[&target, "--duration", "6"]).start();
    assert_eq!(phone.wait(Duration::from_secs(25)), exit::ENDED);
    hears(&phone.heard(), 700.0, "the phone");
    secured(&phone, "DTLS-SRTP AES-128");
    baresip.process.signal(libc::SIGINT);
    baresip.process.wait(Duration::from_secs(5));
    hears_some(&baresip.recording(), 440.0, "baresip");
}

fn baresip_calls(case: &Case) {
    let registrar = peers_asterisk::shared().address();
    let mut phone = phone(case, "answer", "srtp = \"preferred\"\n").arguments(&["--auto", "--no-register"]).start();
    sleep(Duration::from_secs(1));
    let tone = Sound::tone(8_000, 30.0, 700.0, -10.0);
    let account = Account {
        user: "1001".into(),
        password: "pw1001".into(),
        registrar,
        ..account("PCMU;mediaenc=dtls_srtp", false)
    };
    let target = format!("sip:1010@{}", phone.sip);
    let mut baresip = Baresip::start(case, &account, &tone, Some(&target), 8);
    phone.expect_established();
    baresip.process.wait(Duration::from_secs(20));
    phone.expect_summary();
    phone.interrupt();
    hears_some(&phone.heard(), 700.0, "the phone");
    hears_some(&baresip.recording(), 440.0, "baresip");
    secured(&phone, "DTLS-SRTP AES-128");
}

// --- OpenSSL

/// Both parts, certificates of both kinds: RSA is what FreeSWITCH shows. The keys are compared by a packet.
fn openssl(case: &Case) {
    for (kind, options) in [
        ("rsa", ["-newkey", "rsa:2048"].as_slice()),
        ("p256", ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"].as_slice()),
        ("p384", ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"].as_slice()),
    ] {
        let folder = case.folder();
        fs::create_dir_all(&folder).expect("a folder");
        let (certificate, key) = (folder.join(format!("{kind}.crt")), folder.join(format!("{kind}.key")));
        let mut made = Command::new("openssl");
        made.args(["req", "-x509", "-nodes", "-sha256", "-days", "2", "-subj", "/CN=peer"]).args(options);
        let made = made.arg("-keyout").arg(&key).arg("-out").arg(&certificate).output().expect("openssl");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let der = Command::new("openssl").args(["x509", "-outform", "DER", "-in"]).arg(&certificate).output();
        let told = Fingerprint::of(Hash::Sha256, &der.expect("openssl").stdout);
        for (profile, suite) in [
            ("SRTP_AES128_CM_SHA1_80", Suite::Aes128CmSha1Tag80),
            ("SRTP_AES128_CM_SHA1_32", Suite::Aes128CmSha1Tag32),
            ("SRTP_AEAD_AES_128_GCM", Suite::AeadAes128Gcm),
            ("SRTP_AEAD_AES_256_GCM", Suite::AeadAes256Gcm),
        ] {
            for role in [Role::Client, Role::Server] {
                shake(
                    case,
                    &format!("{kind}-{profile}-{role:?}"),
                    [&certificate, &key],
                    told.clone(),
                    (profile, suite),
                    role,
                );
            }
        }
    }
}

fn shake(
    case: &Case,
    what: &str,
    [crt, key]: [&Path; 2],
    told: Fingerprint,
    (profile, suite): (&str, Suite),
    role: Role,
) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a time-out");
    let length = (2 * (suite.key_length() + suite.salt_length())).to_string();
    let mut command = Command::new("openssl");
    let mut peer = SocketAddr::from(([127, 0, 0, 1], tools::free_port()));
    match role {
        Role::Client => command.args(["s_server", "-accept", &peer.to_string(), "-Verify", "1"]),
        Role::Server => command.args(["s_client", "-connect", &socket.local_addr().expect("bound").to_string()]),
    };
    command.args([
        "-dtls1_2",
        "-use_srtp",
        profile,
        "-keymatexport",
        "EXTRACTOR-dtls_srtp",
        "-keymatexportlen",
        &length,
    ]);
    command.arg("-cert").arg(crt).arg("-key").arg(key);
    let mut openssl = Process::interactive(what, &mut command, &case.folder().join(format!("{what}.log")));
    if role == Role::Client {
        openssl.expect_log("ACCEPT", Duration::from_secs(5));
    }
    let ours = Certificate::generate().expect("random");
    let mut association = Association::new(Instant::now(), role, &ours, [told].into());
    let limit = Instant::now() + Duration::from_secs(10);
    let mut buffer = [0; 2048];
    let keys = loop {
        assert!(Instant::now() < limit, "{what}: no handshake:\n{}", openssl.log_text());
        while let Some(datagram) = association.poll_transmit() {
            socket.send_to(&datagram, peer).expect("sent");
        }
        match association.poll_event() {
            Some(Event::Secured(keys)) => break keys,
            Some(Event::Failed(failure)) => panic!("{what}: {failure}\n{}", openssl.log_text()),
            None => {}
        }
        match socket.recv_from(&mut buffer) {
            Ok((length, source)) => {
                peer = source;
                association.handle_datagram(Instant::now(), &buffer[..length]);
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(error) => panic!("{what}: {error}"),
        }
        if association.poll_timeout().is_some_and(|at| at <= Instant::now()) {
            association.handle_timeout(Instant::now());
        }
    };
    while let Some(datagram) = association.poll_transmit() {
        socket.send_to(&datagram, peer).expect("sent");
    }
    let exported = wait_for("the exported keys", Duration::from_secs(5), || {
        let text = openssl.log_text();
        let (_, rest) = text.split_once("Keying material: ")?;
        let digits = rest.split_once('\n')?.0.trim().to_owned();
        Some(digits)
    });
    assert_eq!(keys.suite, suite, "{what}");
    // What we protect, the holder of the exported keys reads.
    let theirs = exported_keys(&exported, suite, role);
    let clear = [[0x80, 0, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4].as_slice(), &[0x55; 160]].concat();
    let mut sides = [Protection::new(&keys), Protection::new(&theirs)];
    for from in [0, 1] {
        let (mut packet, mut opened) = (clear.clone(), Vec::new());
        sides[from].protect_rtp(&mut packet).expect("protected");
        sides[1 - from].unprotect_rtp(&packet, &mut opened).unwrap_or_else(|refused| panic!("{what}: {refused}"));
        assert_eq!(opened, clear);
    }
}

/// RFC 5764 §4.2, as the peer of `role` has them.
fn exported_keys(digits: &str, suite: Suite, role: Role) -> Keys {
    let pairs = digits.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("ASCII"));
    let octets: Vec<u8> = pairs.map(|pair| u8::from_str_radix(pair, 16).expect("digits")).collect();
    let (keys, salts) = octets.split_at(2 * suite.key_length());
    let master = |n: usize| {
        let key = &keys[n * suite.key_length()..][..suite.key_length()];
        let salt = &salts[n * suite.salt_length()..][..suite.salt_length()];
        MasterKey::new(suite, &[key, salt].concat()).expect("lengths")
    };
    match role {
        Role::Client => Keys { suite, send: master(1), receive: master(0) },
        Role::Server => Keys { suite, send: master(0), receive: master(1) },
    }
}
