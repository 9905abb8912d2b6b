//! The peers among themselves: when these fail, it is not the phone's fault.
use crate::common::relay::{Relay, Way};
use crate::common::sound::Sound;
use crate::harness::{Case, Need};
use crate::peers_asterisk;
use crate::peers_baresip::{Account, Baresip};
use crate::peers_pulse::PulseAudio;
use crate::peers_sipp::Sipp;
use crate::peers_tshark::Capture;
use crate::process::wait_for;
use offhook::base::netem::Impairment;
use std::net::SocketAddr;
use std::time::Duration;

pub const CASES: &[Case] = &[
    Case {
        name: "peers::baresip_hears_its_echo",
        needs: &[Need::Asterisk, Need::Baresip],
        run: baresip_hears_its_echo,
    },
    Case { name: "peers::sipp_registers", needs: &[Need::Asterisk, Need::Sipp], run: sipp_registers },
    Case {
        name: "peers::a_call_through_the_relay",
        needs: &[Need::Asterisk, Need::Baresip, Need::Tshark],
        run: through_the_relay,
    },
    Case { name: "peers::sipp_is_freeswitch", needs: &[Need::Sipp, Need::Baresip], run: sipp_is_freeswitch },
    Case { name: "peers::pulseaudio_carries_sound", needs: &[Need::PulseAudio], run: pulseaudio },
];

fn account(user: &str, registrar: SocketAddr) -> Account {
    Account { user: user.into(), password: format!("pw{user}"), registrar, codecs: "PCMU", answers: false }
}

fn baresip_hears_its_echo(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let target = asterisk.uri("600");
    let tone = Sound::tone(8000, 10.0, 440.0, -10.0);
    let mut baresip = Baresip::start(case, &account("1001", asterisk.address()), &tone, Some(&target), 6);
    baresip.process.wait(Duration::from_secs(20));
    let heard = baresip.recording();
    assert!(heard.part(1.0, 4.0).tone_share(440.0) > 0.9, "{}", heard.part(1.0, 4.0).tone_share(440.0));
}

fn sipp_registers(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let mut sipp = Sipp::start(case, "register.xml", asterisk.address(), &[("USER", "1002"), ("PASSWORD", "pw1002")]);
    sipp.expect_success(Duration::from_secs(10));
}

fn sipp_is_freeswitch(case: &Case) {
    let values = [("USER", "1001"), ("DIALLED", "9196"), ("PAYLOAD", "0"), ("CODEC", "PCMU/8000")];
    let (mut sipp, server) = Sipp::serve(case, "freeswitch.xml", &values);
    let tone = Sound::tone(8000, 10.0, 440.0, -10.0);
    let target = format!("sip:9196@{server}");
    // It registers as well, which this SIPp does not know: only one call is looked at.
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    let baresip = Baresip::start(case, &account("1001", nowhere), &tone, Some(&target), 6);
    sipp.expect_success(Duration::from_secs(20));
    assert!(baresip.recording().part(1.0, 3.0).tone_share(440.0) > 0.9);
}

fn through_the_relay(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let relay = Relay::start(asterisk.address(), 8000);
    let half = Impairment { loss: 0.5, seed: 3, ..Impairment::default() };
    relay.impair(Way::ToPhone, half);
    let target = format!("sip:600@{}", relay.address());
    let tone = Sound::tone(8000, 10.0, 440.0, -10.0);
    let mut baresip = Baresip::start(case, &account("1001", relay.address()), &tone, Some(&target), 6);
    let capture = Capture::start(case, "udp");
    let port = wait_for("media", Duration::from_secs(5), || relay.media().first().map(|ports| ports.near));
    baresip.process.wait(Duration::from_secs(20));
    let streams = capture.streams(&[port]);
    let truth = relay.truth(Way::ToPhone);
    assert!(truth.packets > 150 && truth.lost > 50, "{truth:?}");
    assert_eq!(relay.truth(Way::ToServer).lost, 0);
    let seen = streams.iter().find(|s| s.source_port == port).expect("tshark sees the stream to baresip");
    assert!(seen.packets + seen.lost.unsigned_abs() <= truth.packets && seen.lost > 40, "{seen:?} {truth:?}");
}

fn pulseaudio(case: &Case) {
    let pulse = PulseAudio::start(case);
    pulse.load("module-loopback source=mouth.monitor sink=ear latency_msec=50");
    let (mut recorder, file) = pulse.listen(case);
    let mut voice = pulse.speak(case, &Sound::tone(48_000, 3.0, 440.0, -10.0));
    voice.wait(Duration::from_secs(10));
    recorder.signal(libc::SIGINT);
    recorder.wait(Duration::from_secs(5));
    let heard = Sound::read(&file);
    let middle = heard.seconds() / 2.0;
    let part = heard.part(middle - 0.5, middle + 0.5);
    assert!(part.tone_share(440.0) > 0.9, "{} s, share {}", heard.seconds(), part.tone_share(440.0));
}
