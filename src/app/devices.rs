//! `offhook devices`: which microphones and speakers there are, and whether they work.
use crate::app::run::Failure;
use crate::audio::choice::{DeviceChoice, Direction};
use crate::audio::devices::{DeviceInfo, SoundSystems};
use crate::audio::port::{End, Microphone, Port, Speaker};
use crate::audio::virtual_device::ToneSource;
use crate::cli::ExitCode;
use crate::config::Config;
use crate::media::dsp::level::{LevelMeter, SILENCE as SILENT};
use crate::media::frame::{FRAME, FRAME_RATE, SILENCE};
use crate::media::stats::DeviceState;
use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// The test tone \[Hz\].
const TONE: f32 = 440.0;
const TICK: Duration = Duration::from_nanos(1_000_000_000 * FRAME as u64 / FRAME_RATE as u64);
/// How long a device may take to open.
const PATIENCE: Duration = Duration::from_secs(5);
const TONE_FRAMES: usize = 100;
const LISTENING_FRAMES: usize = 300;
/// Frames between two levels.
const LEVEL_FRAMES: usize = 50;
/// The lowest level the bar shows \[dBov\].
const FLOOR: f32 = -60.0;

/// Lists the devices; with `test` also plays the tone on the configured speaker and listens to the microphone.
///
/// # Errors
/// When the output cannot be written or a device's name makes no sense.
pub fn run(config: &Config, test: bool, out: &mut impl Write) -> Result<ExitCode, Failure> {
    let choice = |key: &str, text: &str, direction| {
        DeviceChoice::parse(text, direction)
            .map_err(|error| Failure::new(ExitCode::Configuration, format!("{key}: {error}")))
    };
    let microphone = choice("microphone", &config.audio.microphone, Direction::Capture)?;
    let speaker = choice("speaker", &config.audio.speaker, Direction::Playback)?;
    let systems = Arc::new(SoundSystems::new());
    let devices = systems.list();
    print_list(&devices, out)?;
    for (choice, direction) in [(&speaker, Direction::Playback), (&microphone, Direction::Capture)] {
        missing(&systems, &devices, choice, direction)?;
    }
    if !test {
        return Ok(ExitCode::Ended);
    }
    let heard = try_speaker(Arc::clone(&systems), speaker, out)?;
    let hears = try_microphone(systems, microphone, LISTENING_FRAMES, out)?;
    Ok(if heard && hears { ExitCode::Ended } else { ExitCode::Device })
}

fn print_list(devices: &[DeviceInfo], out: &mut impl Write) -> io::Result<()> {
    for (direction, title) in [(Direction::Playback, "Speakers"), (Direction::Capture, "Microphones")] {
        writeln!(out, "{title}")?;
        let mut some = false;
        for device in devices.iter().filter(|d| d.direction == direction) {
            some = true;
            writeln!(out, "{}", line(device))?;
        }
        if !some {
            writeln!(out, "  none; sound goes to a virtual device")?;
        }
    }
    if devices.iter().any(|d| d.is_default) {
        writeln!(out, "`*` is the default.")?;
    }
    writeln!(out, "A part of a name or identifier is enough for --speaker and --microphone.")
}

/// A name that no device has is refused with the names there are.
fn missing(
    systems: &SoundSystems,
    devices: &[DeviceInfo],
    choice: &DeviceChoice,
    direction: Direction,
) -> Result<(), Failure> {
    if !matches!(choice, DeviceChoice::Named { .. }) || systems.open(choice, direction, |_| Ok(())).is_ok() {
        return Ok(());
    }
    let names: Vec<String> =
        devices.iter().filter(|d| d.direction == direction).map(|d| format!("`{}`", d.name)).collect();
    let known = if names.is_empty() { "there is none".to_owned() } else { format!("there are: {}", names.join(", ")) };
    let words = format!("no {} is called `{choice}`; {known}", direction.word());
    Err(Failure::new(ExitCode::Device, words))
}

fn line(device: &DeviceInfo) -> String {
    let format = device.format.map_or_else(String::new, |(rate, channels)| format!("{rate} Hz x{channels}"));
    let mark = if device.is_default { '*' } else { ' ' };
    format!("{mark} {:6} {:<40} {format:<13} {}", device.system.name(), device.name, device.id).trim_end().to_owned()
}

/// Plays the tone; `false` when the device does not work.
fn try_speaker(systems: Arc<SoundSystems>, choice: DeviceChoice, out: &mut impl Write) -> Result<bool, Failure> {
    let mut speaker = Speaker::start(systems, choice, Arc::new(|| {}))?;
    let mut tone = ToneSource::new(TONE);
    if let Some(name) = opened(&mut speaker) {
        writeln!(out, "Speaker {name}: a tone of {TONE} Hz for one second")?;
        out.flush()?;
        // What waits in the device is to be heard too: the tone ends before the playing does.
        every_tick(TONE_FRAMES + TONE_FRAMES / 4, |n, at| {
            let mut frame = SILENCE;
            if n < TONE_FRAMES {
                tone.read(&mut frame);
            }
            speaker.take_notes();
            speaker.write(at, &frame);
        });
    }
    let state = speaker.state(Instant::now());
    speaker.finish();
    verdict("Speaker", &state, out)
}

/// Shows the level of the microphone for `frames` frames; `false` when the device does not work.
fn try_microphone(
    systems: Arc<SoundSystems>,
    choice: DeviceChoice,
    frames: usize,
    out: &mut impl Write,
) -> Result<bool, Failure> {
    let mut microphone = Microphone::start(systems, choice, Arc::new(|| {}))?;
    let (mut meter, mut written) = (LevelMeter::default(), Ok(()));
    if let Some(name) = opened(&mut microphone) {
        writeln!(out, "Microphone {name}: speak for {} seconds", frames / 100)?;
        out.flush()?;
        every_tick(frames, |n, at| {
            let mut frame = SILENCE;
            microphone.take_notes();
            microphone.read(at, &mut frame);
            meter.add(&frame);
            if (n + 1) % LEVEL_FRAMES == 0 && written.is_ok() {
                written = writeln!(out, "  {}", bar(meter.take().unwrap_or(SILENT))).and_then(|()| out.flush());
            }
        });
    }
    written?;
    let state = microphone.state(Instant::now());
    microphone.finish();
    verdict("Microphone", &state, out)
}

/// Waits until the device is open and tells its name, or until it is clear that it does not open.
pub(super) fn opened<E: End>(port: &mut Port<E>) -> Option<String> {
    let until = Instant::now() + PATIENCE;
    loop {
        port.take_notes();
        let now = Instant::now();
        let state = port.state(now);
        if state.running {
            return Some(state.name);
        }
        if state.trouble.is_some() || now >= until {
            return None;
        }
        thread::sleep(TICK);
    }
}

pub(super) fn every_tick(count: usize, mut work: impl FnMut(usize, Instant)) {
    let mut at = Instant::now();
    for n in 0..count {
        work(n, at);
        at += TICK;
        thread::sleep(at.saturating_duration_since(Instant::now()));
    }
}

fn verdict(which: &str, state: &DeviceState, out: &mut impl Write) -> Result<bool, Failure> {
    if let Some(trouble) = &state.trouble {
        writeln!(out, "{which}: {trouble}")?;
    } else if !state.running {
        writeln!(out, "{which} {}: it does not begin", state.name)?;
    }
    Ok(state.running && state.trouble.is_none())
}

fn bar(level: f32) -> String {
    let bars = ((level - FLOOR).clamp(0.0, -FLOOR) / 2.0) as usize;
    format!("{level:6.1} dBov {}", "#".repeat(bars)).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::choice::SoundSystem;

    #[test]
    fn the_list_is_to_be_read_and_copied_from() {
        let device = |direction, is_default, format| DeviceInfo {
            system: SoundSystem::Pulse,
            direction,
            id: "alsa_output.usb".into(),
            name: "Headset".into(),
            is_default,
            format,
        };
        let mut out = Vec::new();
        let devices = [device(Direction::Playback, true, Some((48_000, 2))), device(Direction::Playback, false, None)];
        print_list(&devices, &mut out).expect("written");
        let text = String::from_utf8(out).expect("text");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "Speakers");
        assert_eq!(lines[1], "* pulse  Headset                                  48000 Hz x2   alsa_output.usb");
        assert!(lines[2].starts_with("  pulse  Headset") && lines[2].ends_with(" alsa_output.usb"), "{}", lines[2]);
        assert_eq!(lines[3..5], ["Microphones", "  none; sound goes to a virtual device"]);
    }

    #[test]
    fn the_bar_ends_at_both_ends() {
        let rows = [
            (-127.0, "-127.0 dBov".to_owned()),
            (-20.0, format!(" -20.0 dBov {}", "#".repeat(20))),
            (3.0, format!("   3.0 dBov {}", "#".repeat(30))),
        ];
        for (level, text) in rows {
            assert_eq!(bar(level), text);
        }
    }

    fn listen(choice: &str) -> (bool, String) {
        let (systems, mut out) = (Arc::new(SoundSystems::new()), Vec::new());
        let choice = DeviceChoice::parse(choice, Direction::Capture).expect("a choice");
        let works = try_microphone(systems, choice, LEVEL_FRAMES, &mut out).expect("written");
        (works, String::from_utf8(out).expect("text"))
    }

    #[test]
    fn a_name_no_device_has_is_refused_without_the_tone_too() {
        let mut config = Config::default();
        config.audio.speaker = "nosuch".to_owned();
        let failure = run(&config, false, &mut Vec::new()).expect_err("no such device");
        assert_eq!(failure.code, ExitCode::Device);
        assert!(failure.words.starts_with("no speaker is called `nosuch`; there "), "{}", failure.words);
        config.audio.speaker = "null".to_owned();
        assert!(run(&config, false, &mut Vec::new()).is_ok());
    }

    #[test]
    fn a_device_that_is_not_there_is_said() {
        let (works, text) = listen("alsa:no such card");
        assert!(!works && text.contains("no microphone is called `no such card`"), "{text}");
        let (works, text) = listen("wav:/no/such/file.wav");
        assert!(!works && text.contains("/no/such/file.wav: No such file"), "{text}");
    }

    #[test]
    fn a_microphone_that_hears_something_shows_its_level() {
        let (works, text) = listen("tone:1000");
        assert!(works && text.contains(" -12.0 dBov ####"), "{text}");
    }
}
