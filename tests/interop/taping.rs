//! Calls that are recorded: which side is heard in which channel, and what a killed phone leaves behind.
use crate::common::sound::Sound;
use crate::harness::{Case, Need};
use crate::peers_asterisk;
use crate::phone::{Phone, Setup, exit};
use offhook::base::net::Transport;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

pub const CASES: &[Case] = &[
    Case { name: "taping::both_sides", needs: &[Need::Asterisk], run: both_sides },
    Case { name: "taping::killed", needs: &[Need::Asterisk], run: killed },
];

const LIMIT: Duration = Duration::from_secs(10);

/// The channels of a recording.
fn channels(path: &str) -> [Sound; 2] {
    let mut reader = hound::WavReader::open(path).expect("a WAV file");
    let spec = reader.spec();
    assert_eq!((spec.channels, spec.sample_rate), (2, 16_000));
    let samples: Vec<f32> = reader.samples::<i16>().map(|s| f32::from(s.expect("whole")) / 32_768.0).collect();
    [0, 1]
        .map(|side| Sound { rate: spec.sample_rate, samples: samples.iter().skip(side).step_by(2).copied().collect() })
}

fn recording(phone: &mut Phone) -> String {
    let line = phone.expect("the recording", LIMIT, |line| line["type"] == "recording");
    line["text"].as_str().expect("a path").to_owned()
}

fn folder(case: &Case) -> PathBuf {
    case.folder().join("recordings")
}

/// We say 440 Hz, the peer 1004 Hz; the peer hears of the recording, which is stopped and begun again by commands.
fn both_sides(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let text = format!(
        "{}[calls]\nrecord = true\nrecording_notice = true\n[files]\nrecordings = {:?}\n",
        asterisk.account("1001", Transport::Udp),
        folder(case)
    );
    let tone = Sound::tone(48_000, 60.0, 440.0, -20.0);
    let setup = Setup::new(case, "phone", "call").config(&text).microphone(&tone).controlled();
    let mut phone = setup.arguments(&["601"]).start();
    let file = recording(&mut phone);
    assert!(file.contains("-601@") && file.ends_with(".wav"), "{file}");
    sleep(Duration::from_secs(4));
    phone.command("record off");
    phone.expect("its end", LIMIT, |line| line["type"] == "recorded" && line["text"] == file.as_str());
    phone.command("record another one");
    phone.expect("another", LIMIT, |line| {
        line["type"] == "recording" && line["text"].as_str().is_some_and(|name| name.ends_with("/another_one.wav"))
    });
    phone.command("record ../../escape");
    phone.expect("a refusal", LIMIT, |line| line["type"] == "refused");
    assert_eq!(phone.interrupt(), exit::ENDED);
    let [told, said] = channels(&file);
    assert!((3.5..5.5).contains(&told.seconds()), "{} s", told.seconds());
    let (left, right) = (told.part(1.0, 3.0), said.part(1.0, 3.0));
    assert!(left.tone_share(440.0) > 0.9 && right.tone_share(1_004.0) > 0.9);
    assert!(left.tone_level(1_004.0) < -40.0 && right.tone_level(440.0) < -36.0);
    let notice = told.part(0.0, 0.2).tone_level(1_400.0);
    assert!(notice > -26.0, "the notice is at {notice} dB");
    assert_eq!(std::fs::metadata(&file).expect("there").mode() & 0o777, 0o600);
}

/// What was recorded until two seconds before is there.
fn killed(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let setup = Setup::new(case, "phone", "call").account("1002", "pw1002", asterisk.address());
    let folder = folder(case).display().to_string();
    let mut phone = setup.silent().arguments(&["--no-register", &asterisk.uri("601"), "--record", &folder]).start();
    let file = recording(&mut phone);
    sleep(Duration::from_secs(5));
    phone.process.signal(libc::SIGKILL);
    sleep(Duration::from_millis(300));
    let [_, said] = channels(&file);
    assert!(said.seconds() > 2.5, "{} s", said.seconds());
    assert!(said.part(1.0, said.seconds()).tone_share(1_004.0) > 0.9);
    // Nobody told Asterisk, which would wait for sound for two minutes.
    asterisk.cli("channel request hangup all");
}
