//! Looks at this computer: addresses, ports, sound devices, folders. All of it blocks, and belongs on a thread of its own.
use super::stun::local_address;
use crate::app::devices::{every_tick, opened};
use crate::app::doctor::files::Place;
use crate::app::doctor::machine::Machine;
use crate::app::doctor::sound::{Sound, Tried};
use crate::audio::choice::{DeviceChoice, Direction};
use crate::audio::devices::SoundSystems;
use crate::audio::port::{Microphone, Speaker};
use crate::config::{Config, Environment};
use crate::media::dsp::level::LevelMeter;
use crate::media::frame::SILENCE;
use crate::media::stats::DeviceState;
use crate::runtime::interfaces;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Addresses far away, which nothing is sent to: only the routing table is asked.
const FOUR: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), 9);
const SIX: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), 9);
/// Ports for sound that are tried.
const PORTS: usize = 64;
/// How long the microphone is listened to: a second \[frames\].
const LISTENING: usize = 100;
/// What Linux tells of interfaces.
const INTERFACES: &str = "/sys/class/net";
/// The devices of ALSA.
const CARDS: &str = "/dev/snd";

pub fn machine(config: &Config) -> Machine {
    let network = &config.network;
    let address = network.local_address.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
    let sip = UdpSocket::bind((address, network.sip_port)).map(|_| ());
    let sip = sip.and_then(|()| TcpListener::bind((address, network.sip_port)).map(|_| ()));
    let (low, high) = (network.rtp_ports.low, network.rtp_ports.high);
    let ports: Vec<u16> = (low..=high).filter(|port| port % 2 == 0).take(PORTS).collect();
    let (interfaces, four) = (interfaces::list(), local_address(FOUR).ok());
    let way = interfaces.iter().find(|interface| Some(interface.ip) == four).map(|interface| interface.name.clone());
    Machine {
        interfaces,
        four,
        six: local_address(SIX).ok(),
        mtu: way.and_then(|name| mtu(&name)),
        wanted: network.local_address,
        sip_port: network.sip_port,
        // An address that is not ours is another matter.
        sip_taken: sip.err().filter(|e| e.kind() != io::ErrorKind::AddrNotAvailable).map(|e| words(&e)),
        rtp: network.rtp_ports,
        rtp_tried: ports.len(),
        rtp_free: ports.iter().filter(|port| UdpSocket::bind((address, **port)).is_ok()).count(),
    }
}

/// Where the system tells.
fn mtu(interface: &str) -> Option<u32> {
    fs::read_to_string(Path::new(INTERFACES).join(interface).join("mtu")).ok()?.trim().parse().ok()
}

/// - `listen`: the level of the microphone is wanted.
pub fn sound(config: &Config, listen: bool) -> Sound {
    let systems = Arc::new(SoundSystems::new());
    let devices = systems.list();
    let mut tried = Vec::new();
    for (text, direction) in
        [(&config.audio.microphone, Direction::Capture), (&config.audio.speaker, Direction::Playback)]
    {
        let Ok(choice) = DeviceChoice::parse(text, direction) else { continue };
        let is_virtual = choice.is_virtual();
        let (state, level) = match direction {
            // Files are not touched.
            _ if is_virtual => (DeviceState { running: true, ..DeviceState::default() }, None),
            Direction::Capture => microphone(Arc::clone(&systems), choice, listen),
            Direction::Playback => (speaker(Arc::clone(&systems), choice), None),
        };
        tried.push(Tried { direction, choice: text.clone(), is_virtual, state, level });
    }
    let is_barred = devices.is_empty() && cards().is_some_and(|mut cards| cards.all(|card| !may_use(&card)));
    Sound { devices, tried, is_barred }
}

fn microphone(systems: Arc<SoundSystems>, choice: DeviceChoice, listen: bool) -> (DeviceState, Option<f32>) {
    let Ok(mut port) = Microphone::start(systems, choice, Arc::new(|| {})) else {
        return (DeviceState::default(), None);
    };
    let mut loudest = None;
    if opened(&mut port).is_some() && listen {
        let mut meter = LevelMeter::default();
        every_tick(LISTENING, |n, at| {
            let mut frame = SILENCE;
            port.take_notes();
            port.read(at, &mut frame);
            meter.add(&frame);
            if (n + 1) % 10 == 0 {
                let level = meter.take();
                loudest = loudest.into_iter().chain(level).reduce(f32::max);
            }
        });
    }
    let state = port.state(Instant::now());
    port.finish();
    (state, loudest)
}

fn speaker(systems: Arc<SoundSystems>, choice: DeviceChoice) -> DeviceState {
    let Ok(mut port) = Speaker::start(systems, choice, Arc::new(|| {})) else { return DeviceState::default() };
    opened(&mut port);
    let state = port.state(Instant::now());
    port.finish();
    state
}

/// What controls the sound cards of this system; none where there is no card.
fn cards() -> Option<impl Iterator<Item = PathBuf>> {
    let is_control =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("control"));
    let mut cards = fs::read_dir(CARDS).ok()?.flatten().map(|entry| entry.path()).filter(is_control).peekable();
    cards.peek()?;
    Some(cards)
}

fn may_use(card: &Path) -> bool {
    OpenOptions::new().read(true).write(true).open(card).is_ok()
}

/// The files of the configuration, each tried.
pub fn files(config: &Config, environment: &Environment) -> Vec<Place> {
    let files = [
        ("call history", environment.history_file(&config.files.history)),
        ("log", environment.log_file(&config.files.log)),
        ("name of this phone", environment.instance_file()),
    ];
    let place = |(what, path): (&'static str, Option<PathBuf>)| {
        let path = path?;
        let trouble = writable(&path).err().map(|error| words(&error));
        Some(Place { what, path, trouble })
    };
    files.into_iter().filter_map(place).collect()
}

/// Tries whether a file can be written without changing it; of one that is not there, whether it can be made.
fn writable(path: &Path) -> io::Result<()> {
    match OpenOptions::new().append(true).open(path) {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Err(_) => {}
    }
    let folder = path.ancestors().skip(1).find(|folder| folder.is_dir());
    let folder = folder.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    let trial = folder.join(format!(".offhook-doctor-{}", std::process::id()));
    let written = File::create_new(&trial).and_then(|mut file| file.write_all(&[0; 4_096]));
    // What could not be made need not be taken away.
    let _ = fs::remove_file(&trial);
    written
}

fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another program has it".to_owned(),
        io::ErrorKind::PermissionDenied => "this user may not".to_owned(),
        _ => {
            let text = error.to_string();
            text.split(" (os error").next().unwrap_or_default().to_lowercase()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_tried_and_left_as_they_were() {
        let folder = std::env::temp_dir().join(format!("offhook-doctor-test-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let file = folder.join("kept");
        fs::write(&file, "text").expect("written");
        assert!(writable(&file).is_ok());
        assert!(writable(&folder.join("deep/below/new")).is_ok());
        assert!(writable(&folder).is_err(), "a folder is no file");
        assert_eq!(fs::read_to_string(&file).ok().as_deref(), Some("text"));
        assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 1, "nothing is left behind");
        let _ = fs::remove_dir_all(&folder);
    }

    #[test]
    fn a_port_that_is_taken_is_noticed() {
        let taken = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let mut config = Config::default();
        config.network.local_address = Some(Ipv4Addr::LOCALHOST.into());
        config.network.sip_port = taken.local_addr().expect("bound").port();
        assert_eq!(machine(&config).sip_taken.as_deref(), Some("another program has it"));
        drop(taken);
        config.network.sip_port = 0;
        assert_eq!(machine(&config).sip_taken, None);
    }
}
