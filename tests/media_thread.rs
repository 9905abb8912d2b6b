//! Two media threads speak to each other over loopback: sound, files, events, and rest when nobody speaks.
#[path = "common/stream.rs"]
mod stream;

use offhook::audio::choice::DeviceChoice;
use offhook::base::id::StreamId;
use offhook::base::netem::Impairment;
use offhook::base::rng::Rng;
use offhook::media::dsp::goertzel;
use offhook::media::event::MediaEvent;
use offhook::media::spec::{Codec, MediaCommand};
use offhook::runtime::clock;
use offhook::runtime::journal::Journal;
use offhook::runtime::media_thread::{MediaHandle, MediaThread, MediaThreadConfig};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};
use stream::spec;
use tokio::sync::mpsc::Receiver;

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const STREAM: StreamId = StreamId(1);
const TONE: f32 = 1_000.0;

struct Side {
    handle: MediaHandle,
    events: Receiver<MediaEvent>,
}

impl Side {
    fn start(seed: u64, microphone: DeviceChoice, speaker: DeviceChoice, impairment: Option<Impairment>) -> Self {
        let (handle, events) = MediaThread::spawn(MediaThreadConfig {
            rtp_ports: 42_000..=42_999,
            dscp: 46,
            microphone,
            speaker,
            anchor: clock::anchor(),
            rng: Rng::from_u64(seed),
            impairment,
            echo: false,
            realtime: false,
            recordings: Some(std::env::temp_dir().join(format!("offhook-recordings-{}", std::process::id()))),
            name_server: None,
            journal: Journal::without_file(),
        })
        .expect("a thread");
        Self { handle, events }
    }

    fn command(&self, command: MediaCommand) {
        self.handle.sender().command(command);
    }

    /// The first event that `pick` takes, within five seconds.
    fn wait<T>(&mut self, what: &str, pick: impl Fn(&MediaEvent) -> Option<T>) -> T {
        let until = Instant::now() + Duration::from_secs(5);
        loop {
            match self.events.try_recv() {
                Ok(event) => {
                    if let Some(found) = pick(&event) {
                        return found;
                    }
                }
                Err(_) => {
                    assert!(Instant::now() < until, "no {what} came");
                    sleep(Duration::from_millis(5));
                }
            }
        }
    }

    fn open(&mut self) -> (SocketAddr, SocketAddr) {
        self.command(MediaCommand::Open { stream: STREAM, local: HOME, gather: None });
        self.wait("Opened", |event| match event {
            MediaEvent::Opened { stream: STREAM, rtp, rtcp, .. } => Some((*rtp, *rtcp)),
            _ => None,
        })
    }

    fn configure(&self, (rtp, rtcp): (SocketAddr, SocketAddr)) {
        let spec = Box::new(spec(Codec::Pcmu, rtp, rtcp));
        self.command(MediaCommand::Configure { stream: STREAM, spec });
        self.command(MediaCommand::Focus { streams: vec![STREAM] });
    }
}

/// A file of one test, gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("offhook-media-{}-{name}", std::process::id())))
    }

    fn start(&self) -> PathBuf {
        PathBuf::from(format!("{}.t0", self.0.display()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
        let _ = std::fs::remove_file(self.start());
    }
}

fn samples(path: &Path) -> Vec<f32> {
    let reader = hound::WavReader::open(path).expect("a WAV file");
    reader.into_samples::<i16>().map(|s| f32::from(s.expect("whole")) / 32_768.0).collect()
}

/// CLOCK_MONOTONIC [s].
fn monotonic() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

#[test]
fn a_tone_crosses_over_and_the_file_keeps_time() {
    let file = Scratch::new("heard.wav");
    let path = &file.0;
    let mut speaks = Side::start(1, DeviceChoice::Tone(TONE), DeviceChoice::Null, None);
    let mut hears =
        Side::start(2, DeviceChoice::Silence, DeviceChoice::Wav { path: path.clone(), repeat: false }, None);
    let (one, other) = (speaks.open(), hears.open());
    assert!(one.0.port() % 2 == 0 && one.1.port() == one.0.port() + 1, "{one:?}");
    speaks.configure(other);
    hears.configure(one);
    hears.wait("Flowing", |event| matches!(event, MediaEvent::Flowing { .. }).then_some(()));
    sleep(Duration::from_secs(2));
    let report = hears.wait("Report", |event| match event {
        MediaEvent::Report { report, .. } if report.receive.packets > 50 => Some(report.clone()),
        _ => None,
    });
    assert_eq!((report.receive.lost, report.receive.malformed, report.receive.foreign), (0, 0, 0));
    // While it runs, what is there by now can be read.
    assert!(samples(path).len() > 40_000);

    speaks.command(MediaCommand::Close { stream: STREAM, reason: "enough".into() });
    hears.wait("Goodbye", |event| matches!(event, MediaEvent::Goodbye { .. }).then_some(()));
    let end = monotonic();
    hears.handle.shutdown();
    let sound = samples(path);
    let start: f64 = std::fs::read_to_string(file.start()).expect("t0").trim().parse().expect("seconds");
    let length = sound.len() as f64 / 48_000.0;
    assert!((start + length - end).abs() < 0.1, "the file ends at {:.3}, the phone did at {end:.3}", start + length);
    let blocks: Vec<_> = sound.chunks_exact(960).collect();
    let pure = blocks.iter().filter(|block| {
        let power = block.iter().map(|s| f64::from(s * s)).sum::<f64>() / 960.0;
        let level = 10.0 * power.max(1e-12).log10();
        (level + 12.0).abs() < 1.0 && 2.0 * goertzel::power(block, f64::from(TONE), 48_000.0) > 0.98 * power
    });
    let pure = pure.count();
    assert!(pure >= 90, "{pure} of {} blocks hold the tone", blocks.len());
    speaks.handle.shutdown();
}

#[test]
fn a_simulated_network_is_measured_as_it_is() {
    let impairment = Impairment { loss: 0.2, delay: Duration::from_millis(30), seed: 5, ..Impairment::default() };
    let mut service = Side::start(3, DeviceChoice::Tone(TONE), DeviceChoice::Null, Some(impairment));
    let mut phone = Side::start(4, DeviceChoice::Silence, DeviceChoice::Null, None);
    let (one, other) = (service.open(), phone.open());
    service.configure(other);
    phone.configure(one);
    let report = phone.wait("Report", |event| match event {
        MediaEvent::Report { report, .. } if report.receive.expected > 100 => Some(report.clone()),
        _ => None,
    });
    // A second later the truth has moved on, and holds what the phone has seen.
    sleep(Duration::from_millis(1_100));
    let truth = service.handle.sender().truths()[&STREAM];
    assert!(truth.packets >= report.receive.expected && truth.lost > 0, "{truth:?}");
    assert!((truth.delay - 30.0).abs() < 1.0, "{truth:?}");
    let (lost, expected) = (report.receive.lost as f64, report.receive.expected as f64);
    let told = truth.lost as f64 / truth.packets as f64;
    assert!((lost / expected - told).abs() < 0.1, "{lost} of {expected} measured, {told:.3} told");
}

#[test]
fn a_port_range_without_room_is_an_event() {
    let mut side = Side::start(6, DeviceChoice::Silence, DeviceChoice::Null, None);
    let foreign = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 77));
    side.command(MediaCommand::Open { stream: STREAM, local: foreign, gather: None });
    let error = side.wait("OpenFailed", |event| match event {
        MediaEvent::OpenFailed { stream: STREAM, error } => Some(error.clone()),
        _ => None,
    });
    assert!(error.contains("192.0.2.77"), "{error}");
}

#[test]
fn devices_are_changed_while_they_run() {
    let file = Scratch::new("changed.wav");
    let path = &file.0;
    let mut side = Side::start(7, DeviceChoice::Silence, DeviceChoice::Null, None);
    let speaker = DeviceChoice::Wav { path: path.clone(), repeat: false };
    side.handle.sender().set_devices(Some(DeviceChoice::Tone(TONE)), Some(speaker));
    side.wait("Device", |event| match event {
        MediaEvent::Device(report) => {
            let names = (report.capture.name.as_str(), report.playback.name.starts_with("wav:"));
            (names == ("tone:1000", true) && report.playback.running).then_some(())
        }
        _ => None,
    });
    sleep(Duration::from_millis(300));
    side.handle.shutdown();
    let length = samples(path).len();
    assert!(length >= 48 * 250, "{length} samples of silence");
}

#[test]
fn an_idle_phone_does_not_wake_up() {
    let side = Side::start(8, DeviceChoice::Silence, DeviceChoice::Null, None);
    sleep(Duration::from_millis(3_500));
    let thread = media_thread();
    let before = wake_ups(&thread);
    sleep(Duration::from_millis(1_500));
    let woken = wake_ups(&thread) - before;
    // Every 10 ms it would be 150.
    assert!(woken < 20, "{woken} times");
    drop(side);
}

/// The newest thread called `media`: the tests beside this one have theirs.
fn media_thread() -> PathBuf {
    let tasks = std::fs::read_dir("/proc/self/task").expect("proc");
    let mut named: Vec<_> = tasks
        .map(|task| task.expect("a task").path())
        .filter(|path| std::fs::read_to_string(path.join("comm")).is_ok_and(|name| name.trim() == "media"))
        .collect();
    named.sort_by_key(|path| wake_ups(path));
    named.into_iter().next().expect("one that rests")
}

fn wake_ups(thread: &Path) -> u64 {
    let status = std::fs::read_to_string(thread.join("status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or(u64::MAX)
}
