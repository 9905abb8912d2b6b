//! The path to a real sound system: a speaker and a microphone through cpal at a PulseAudio daemon of our own, which
//! dies and comes back while sound runs.
//!
//! Not run, with a line that says so, where PulseAudio is not installed; that is a failure with
//! `OFFHOOK_INTEROP=required`.
use offhook::audio::choice::{DeviceChoice, Direction};
use offhook::audio::devices::SoundSystems;
use offhook::audio::port::{Microphone, Speaker};
use offhook::audio::virtual_device::ToneSource;
use offhook::media::dsp::goertzel;
use offhook::media::frame::SILENCE;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const TONE: f32 = 1_000.0;
const TICK: Duration = Duration::from_millis(10);

fn main() {
    // libtest's options are accepted and not needed: there is one case.
    if std::env::args().any(|a| a == "--list") {
        return;
    }
    let missing: Vec<_> = ["pulseaudio", "parec", "pactl"].into_iter().filter(|name| !is_installed(name)).collect();
    if !missing.is_empty() {
        let reason = format!("{} not installed (Debian: pulseaudio pulseaudio-utils)", missing.join(", "));
        assert!(std::env::var("OFFHOOK_INTEROP").map_or(true, |v| v != "required"), "{reason}");
        say(&format!("test audio_pulse ... ignored: {reason}"));
        return;
    }
    let folder = std::env::temp_dir().join(format!("offhook-audio-pulse-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    // SAFETY: there is no other thread yet.
    unsafe {
        std::env::set_var("PULSE_SERVER", format!("unix:{}", socket(&folder).display()));
        std::env::set_var("PULSE_COOKIE", folder.join("cookie"));
        std::env::set_var("XDG_RUNTIME_DIR", &folder);
    }
    sound_goes_through_and_a_dead_daemon_does_not_stop_it(&folder);
    std::fs::remove_dir_all(&folder).expect("removed");
    say("test audio_pulse ... ok");
}

fn sound_goes_through_and_a_dead_daemon_does_not_stop_it(folder: &Path) {
    let daemon = Daemon::start(folder);
    let systems = Arc::new(SoundSystems::new());
    let listed = systems.list();
    assert!(
        listed.iter().any(|d| d.id == "ear" && d.direction == Direction::Playback && d.is_default),
        "the sink is listed and the default: {listed:?}"
    );
    let microphone = DeviceChoice::parse("pulse:ear.monitor", Direction::Capture).expect("a choice");
    let mut sound = Sound {
        speaker: Speaker::start(Arc::clone(&systems), DeviceChoice::Default, Arc::new(|| {})).expect("a thread"),
        microphone: Microphone::start(systems, microphone, Arc::new(|| {})).expect("a thread"),
        tone: ToneSource::new(TONE),
        next: Instant::now(),
        heard: Vec::new(),
        longest: Duration::ZERO,
    };

    sound.run_until("both devices run", Duration::from_secs(5), |speaker, microphone| {
        speaker.running && microphone.running && !speaker.is_virtual
    });
    sound.assert_tone("at first", folder);
    let now = Instant::now();
    let (speaker, microphone) = (sound.speaker.state(now), sound.microphone.state(now));
    say(&format!("playback: {speaker:?}\ncapture: {microphone:?}"));
    say(&format!("sound waits {:?} in ring and sink", sound.speaker.plays_at(sound.next) - sound.next));

    daemon.stop();
    sound.longest = Duration::ZERO;
    sound.run_until("a virtual device stands in", Duration::from_secs(5), |speaker, microphone| {
        speaker.is_virtual && microphone.is_virtual && speaker.trouble.is_some() && !speaker.running
    });
    assert!(sound.longest < STUCK, "the media thread waited {:?}", sound.longest);

    let _daemon = Daemon::start(folder);
    sound.run_until("the devices are back", Duration::from_secs(12), |speaker, microphone| {
        speaker.running && microphone.running && speaker.trouble.is_none()
    });
    sound.assert_tone("after the return", folder);
    assert!(sound.longest < STUCK, "the media thread waited {:?}", sound.longest);
    sound.speaker.finish();
    sound.microphone.finish();
}

/// A round that waits for a device takes seconds; one that the system interrupts does not.
const STUCK: Duration = Duration::from_secs(1);

/// A media thread that plays a tone and keeps what it hears.
struct Sound {
    speaker: Speaker,
    microphone: Microphone,
    tone: ToneSource,
    next: Instant,
    heard: Vec<f32>,
    /// Longest time one round took.
    longest: Duration,
}

impl Sound {
    fn run(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.round();
        }
    }

    /// What the sink plays, and what our own microphone hears of it, is the tone. A machine that is busy with something
    /// else drops samples: a recording in which it did is made again.
    fn assert_tone(&mut self, when: &str, folder: &Path) {
        let mut seen = Vec::new();
        for _ in 0..5 {
            // Let the rings settle.
            self.run(Duration::from_secs(1));
            let recorder = Recorder::start(folder);
            self.heard.clear();
            self.run(Duration::from_secs(4));
            let shares = (purity(&recorder.stop()), purity(&self.heard));
            say(&format!("{when}: pure are {:.2} of the monitor and {:.2} of our microphone", shares.0, shares.1));
            if shares.0 >= 0.9 && shares.1 >= 0.9 {
                return;
            }
            seen.push(shares);
        }
        panic!("{when}: the tone is broken each time: {seen:?}");
    }

    fn run_until(
        &mut self,
        what: &str,
        within: Duration,
        done: impl Fn(&offhook::media::stats::DeviceState, &offhook::media::stats::DeviceState) -> bool,
    ) {
        let until = Instant::now() + within;
        loop {
            self.round();
            let now = Instant::now();
            let (speaker, microphone) = (self.speaker.state(now), self.microphone.state(now));
            if done(&speaker, &microphone) {
                say(&format!("{what} after {:?}", within - (until - now)));
                return;
            }
            assert!(now < until, "{what}: not within {within:?}: {speaker:?} {microphone:?}");
        }
    }

    fn round(&mut self) {
        std::thread::sleep(self.next.saturating_duration_since(Instant::now()));
        let began = Instant::now();
        self.speaker.take_notes();
        self.microphone.take_notes();
        let mut frame = SILENCE;
        self.microphone.read(self.next, &mut frame);
        self.heard.extend_from_slice(&frame);
        self.tone.read(&mut frame);
        self.speaker.write(self.next, &frame);
        self.longest = self.longest.max(began.elapsed());
        self.next += TICK;
    }
}

/// The share of blocks of 20 ms that hold nothing but the tone, at its level; none of a recording that is too short.
fn purity(samples: &[f32]) -> f64 {
    if samples.len() < 2 * 48_000 {
        return 0.0;
    }
    // The start and the end of a recording are cut anywhere.
    let middle = &samples[samples.len() / 10..samples.len() - samples.len() / 10];
    let blocks = middle.chunks_exact(960);
    let count = blocks.len();
    let pure = blocks.filter(|block| {
        let power = (block.iter().map(|s| f64::from(s * s)).sum::<f64>() / 960.0).max(1e-12);
        let share = 2.0 * goertzel::power(block, f64::from(TONE), 48_000.0) / power;
        (10.0 * power.log10() + 12.0).abs() < 0.5 && share > 0.99
    });
    pure.count() as f64 / count as f64
}

struct Daemon(Child);

impl Daemon {
    fn start(folder: &Path) -> Self {
        let child = Command::new("pulseaudio")
            .args(["-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--disable-shm=yes"])
            .arg("--load=module-null-sink sink_name=ear rate=48000 channels=1 norewinds=1")
            .arg(format!("--load=module-native-protocol-unix auth-anonymous=1 socket={}", socket(folder).display()))
            .env_remove("PULSE_SERVER")
            .env("HOME", folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("pulseaudio starts");
        let daemon = Self(child);
        let until = Instant::now() + Duration::from_secs(10);
        while !run("pactl", &["info"]) {
            assert!(Instant::now() < until, "pulseaudio does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(run("pactl", &["set-default-sink", "ear"]));
        daemon
    }

    /// As a crash would: nothing is said to its clients.
    fn stop(self) {
        drop(self);
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Records the sink's monitor.
struct Recorder(Child, PathBuf);

impl Recorder {
    fn start(folder: &Path) -> Self {
        let path = folder.join("heard.raw");
        let file = std::fs::File::create(&path).expect("a file");
        let child = Command::new("parec")
            .args(["-d", "ear.monitor", "--raw", "--format=float32le", "--rate=48000", "--channels=1"])
            .arg("--latency-msec=20")
            .stdout(file)
            .stderr(Stdio::null())
            .spawn()
            .expect("parec starts");
        Self(child, path)
    }

    fn stop(mut self) -> Vec<f32> {
        let _ = self.0.kill();
        let _ = self.0.wait();
        let bytes = std::fs::read(&self.1).expect("recorded");
        bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
    }
}

fn socket(folder: &Path) -> PathBuf {
    folder.join("socket")
}

fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

fn run(program: &str, arguments: &[&str]) -> bool {
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|s| s.success())
}

/// The only way out of a test without a harness.
#[expect(clippy::print_stdout, reason = "a test without a harness tells its own story")]
fn say(line: &str) {
    println!("{line}");
}
