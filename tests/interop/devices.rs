//! The real way of sound, through cpal and a sound server, without a sound card.
use crate::common::sound::Sound;
use crate::harness::{Case, Need};
use crate::peers_asterisk;
use crate::peers_pulse::PulseAudio;
use crate::phone::{Setup, exit};
use std::time::Duration;

pub const CASES: &[Case] = &[Case {
    name: "devices::both_ways_through_pulseaudio",
    needs: &[Need::Asterisk, Need::PulseAudio],
    run: both_ways,
}];

/// Spoken into the microphone, echoed by Asterisk, measured where the loudspeaker would be.
fn both_ways(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let pulse = PulseAudio::start(case);
    let mut setup = Setup::new(case, "phone", "call").account("1001", "pw1001", asterisk.address()).on_devices();
    for (variable, value) in pulse.environment() {
        setup = setup.environment(variable, &value);
    }
    let (mut recorder, file) = pulse.listen(case);
    let _voice = pulse.speak(case, &Sound::tone(48_000, 20.0, 440.0, -10.0));
    let mut phone = setup.arguments(&[&asterisk.uri("600"), "--duration", "8"]).start();
    phone.expect_established();
    assert_eq!(phone.wait(Duration::from_secs(25)), exit::ENDED);
    recorder.signal(libc::SIGINT);
    recorder.wait(Duration::from_secs(5));
    let heard = Sound::read(&file);
    // The last half second of the recording may lie behind the call.
    let middle = heard.part(heard.seconds() - 5.0, heard.seconds() - 1.5);
    assert!(middle.tone_share(440.0) > 0.9, "the tone's share is {}", middle.tone_share(440.0));
    assert!((middle.tone_level(440.0) + 10.0).abs() < 2.0, "the tone's level is {} dB", middle.tone_level(440.0));
}
