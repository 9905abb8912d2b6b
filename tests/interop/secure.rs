//! Encrypted calls with real peers: what is heard, what the screen says, and that nothing of it is clear on the wire.
use crate::common::sound::Sound;
use crate::harness::{Case, Need};
use crate::peers_asterisk;
use crate::peers_baresip::{Account, Baresip};
use crate::peers_tshark::Capture;
use crate::phone::{Phone, Setup, exit};
use crate::tools::{self, hears, hears_some};
use offhook::base::net::Transport;
use offhook::media::codec::g711::mu_to_linear;
use std::thread::sleep;
use std::time::Duration;

pub const CASES: &[Case] = &[
    Case { name: "secure::echo_is_hidden", needs: &[Need::Asterisk, Need::Tshark], run: echo_is_hidden },
    Case { name: "secure::asterisk_calls", needs: &[Need::Asterisk], run: asterisk_calls },
    Case { name: "secure::held_and_resumed", needs: &[Need::Asterisk], run: held_and_resumed },
    Case { name: "secure::refused", needs: &[Need::Asterisk], run: refused },
    Case { name: "secure::baresip_is_called", needs: &[Need::Asterisk, Need::Baresip], run: baresip_is_called },
    Case { name: "secure::baresip_calls", needs: &[Need::Asterisk, Need::Baresip], run: baresip_calls },
];

/// A phone of user 1009, whose endpoint takes no clear media, unless the case says otherwise.
fn phone(case: &Case, subcommand: &'static str, transport: Transport, srtp: &str) -> Setup {
    let asterisk = peers_asterisk::shared();
    let config = format!("{}srtp = \"{srtp}\"\nkeying = \"sdes\"\n", asterisk.account("1009", transport));
    let setup = Setup::new(case, "phone", subcommand).config(&config).arguments(&["--codecs", "pcmu"]);
    setup.microphone(&Sound::tone(48_000, 30.0, 440.0, -10.0)).record()
}

/// What the screen says of the protection, at last.
fn security(phone: &Phone) -> String {
    let told = phone.lines().into_iter().rev().find_map(|line| line["security"].as_str().map(str::to_owned));
    told.unwrap_or_default()
}

/// What who listens on the wire hears, if he takes it for PCMU.
fn overheard(capture: Capture) -> Sound {
    let payloads = capture.payloads();
    let mut rtp = payloads.iter().filter(|b| b.len() >= 172 && b[0] == 0x80 && b[1] & 0x7f == 0).peekable();
    // One direction: both at once would be no sound.
    let source = rtp.peek().map(|bytes| bytes[8..12].to_vec()).unwrap_or_default();
    let rtp = rtp.filter(|bytes| bytes[8..12] == source);
    let codes = rtp.flat_map(|bytes| bytes[12..172].to_vec());
    Sound { rate: 8_000, samples: codes.map(|code| f32::from(mu_to_linear(code)) / 32_768.0).collect() }
}

fn echo_is_hidden(case: &Case) {
    let asterisk = peers_asterisk::shared();
    // Heard in clear, so that the listening itself is proven, and then not at all.
    for (user, srtp, transport, words) in [
        ("1001", "off", Transport::Udp, "none"),
        ("1009", "required", Transport::Udp, "SDES-SRTP AES-128 (keys sent in clear)"),
        ("1009", "required", Transport::Tls, "SDES-SRTP AES-128 (keys seen by the servers)"),
    ] {
        let (first, last) = tools::free_range(20);
        let capture = Capture::start(case, &format!("udp and portrange {first}-{last}"));
        let config = format!("{}srtp = \"{srtp}\"\nkeying = \"sdes\"\n", asterisk.account(user, transport));
        let setup = Setup::new(case, "phone", "call").config(&config);
        let setup = setup.microphone(&Sound::tone(48_000, 30.0, 440.0, -10.0)).record();
        let ports = format!("{first}-{last}");
        let target = if transport == Transport::Tls { "600".to_owned() } else { asterisk.uri("600") };
        let options = [target.as_str(), "--codecs", "pcmu", "--duration", "5", "--rtp-ports", &ports];
        let mut phone = setup.arguments(&options).start();
        assert_eq!(phone.wait(Duration::from_secs(25)), exit::ENDED);
        let told = security(&phone);
        assert!(told == words || srtp == "required" && told == words.replace("AES-128", "AES-256-GCM"), "{told}");
        hears_some(&phone.heard().part(1.0, 4.5), 440.0, "the phone, from the echo");
        let overheard = overheard(capture);
        assert!(overheard.seconds() > 4.0, "{}", overheard.seconds());
        let share = overheard.tone_share(440.0);
        assert_eq!(share > 0.9, srtp == "off", "{share} of what is on the wire");
        assert!(srtp == "off" || share < 0.05, "{share}");
        let summary = phone.summary();
        assert_eq!((&summary["forged"], &summary["replayed"]), (&0.into(), &0.into()), "{summary}");
    }
}

fn asterisk_calls(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let mut phone = phone(case, "answer", Transport::Udp, "required").arguments(&["--auto"]).start();
    phone.expect_registered();
    asterisk.expect_registered("1009", Duration::from_secs(5));
    asterisk.cli("channel originate PJSIP/1009 extension 601@phones");
    phone.expect_established();
    sleep(Duration::from_secs(4));
    assert_eq!(phone.interrupt(), exit::ENDED);
    let heard = phone.heard();
    hears_some(&heard.part(heard.seconds() - 3.0, heard.seconds() - 0.5), 1004.0, "the phone");
    assert!(security(&phone).starts_with("SDES-SRTP AES-128"), "{}", security(&phone));
}

fn held_and_resumed(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let options = ["--hold-after", "3", "--hold-for", "3", "--duration", "10"];
    let setup = phone(case, "call", Transport::Udp, "required").arguments(&[&asterisk.uri("600")]).arguments(&options);
    let mut phone = setup.start();
    assert_eq!(phone.wait(Duration::from_secs(25)), exit::ENDED);
    let heard = phone.heard();
    hears_some(&heard.part(1.0, 2.7), 440.0, "the phone before");
    hears_some(&heard.part(7.0, 9.5), 440.0, "the phone afterwards");
    assert!(phone.summary()["forged"].as_u64().is_some_and(|forged| forged < 5), "{}", phone.summary());
}

/// An endpoint of Asterisk's that insists, and a phone that does not want.
fn refused(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let mut phone = phone(case, "call", Transport::Udp, "off").arguments(&[&asterisk.uri("600")]).start();
    assert_eq!(phone.wait(Duration::from_secs(15)), exit::CALL_REFUSED);
    assert_eq!(phone.summary()["status"], 488);
}

fn account(codecs: &'static str, answers: bool) -> Account {
    let registrar = peers_asterisk::shared().address();
    Account { user: "1009".into(), password: "pw1009".into(), registrar, codecs, answers }
}

/// Directly, without a server between: baresip's own SRTP against ours, with the best suite both have.
fn baresip_is_called(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let tone = Sound::tone(8_000, 30.0, 700.0, -10.0);
    let mut baresip = Baresip::start(case, &account("PCMU;mediaenc=srtp-mand", true), &tone, None, 20);
    asterisk.expect_registered("1009", Duration::from_secs(10));
    let target = format!("sip:1009@{}", baresip.sip);
    let setup = phone(case, "call", Transport::Udp, "required").arguments(&[&target, "--duration", "6"]);
    let mut phone = setup.start();
    assert_eq!(phone.wait(Duration::from_secs(25)), exit::ENDED);
    hears(&phone.heard(), 700.0, "the phone");
    assert_eq!(security(&phone), "SDES-SRTP AES-256-GCM (keys sent in clear)");
    baresip.process.signal(libc::SIGINT);
    baresip.process.wait(Duration::from_secs(5));
    hears_some(&baresip.recording(), 440.0, "baresip");
}

/// The other way: it offers, we take its first line.
fn baresip_calls(case: &Case) {
    let registrar = peers_asterisk::shared().address();
    let config = peers_asterisk::shared().account("1001", Transport::Udp);
    let setup =
        Setup::new(case, "phone", "answer").config(&format!("{config}srtp = \"preferred\"\nkeying = \"sdes\"\n"));
    let setup = setup.microphone(&Sound::tone(48_000, 30.0, 440.0, -10.0)).record();
    let mut phone = setup.arguments(&["--auto", "--no-register"]).start();
    sleep(Duration::from_secs(1));
    let tone = Sound::tone(8_000, 30.0, 700.0, -10.0);
    let account = Account { registrar, ..account("PCMU;mediaenc=srtp-mand", false) };
    let target = format!("sip:1001@{}", phone.sip);
    let mut baresip = Baresip::start(case, &account, &tone, Some(&target), 8);
    phone.expect_established();
    baresip.process.wait(Duration::from_secs(20));
    phone.expect_summary();
    phone.interrupt();
    hears_some(&phone.heard(), 700.0, "the phone");
    hears_some(&baresip.recording(), 440.0, "baresip");
    assert!(security(&phone).starts_with("SDES-SRTP"), "{}", security(&phone));
}
