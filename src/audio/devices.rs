//! The sound cards of this machine: all of them, and the one the user means.
use crate::audio::choice::{DeviceChoice, Direction, SoundSystem};
use crate::audio::stream::Card;
use crate::base::untrusted::Untrusted;
use cpal::ErrorKind;
use cpal::traits::{DeviceTrait, HostTrait};
use std::ffi::{c_char, c_int};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};

/// Widest device name shown [columns].
const NAME_WIDTH: usize = 60;

/// In the order in which they are listed.
const SYSTEMS: [SoundSystem; 2] = [SoundSystem::Pulse, SoundSystem::Alsa];

/// How a device may be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// PulseAudio through ALSA's plugin for it: cpal's own client for PulseAudio takes about six times the processor
    /// time, but the plugin knows the default device only.
    Bridge,
    Direct(SoundSystem),
}

impl Way {
    pub fn system(self) -> SoundSystem {
        match self {
            Self::Bridge => SoundSystem::Pulse,
            Self::Direct(system) => system,
        }
    }
}

/// In the order in which they are tried.
const WAYS: [Way; 3] = [Way::Bridge, Way::Direct(SoundSystem::Pulse), Way::Direct(SoundSystem::Alsa)];
/// What the plugin's device is called.
const BRIDGES: [&str; 2] = ["pulse", "pipewire"];

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    #[error("no sound system answers")]
    NoSystem,
    #[error("no {direction} is called `{name}`: `offhook devices` lists them")]
    NotFound { direction: &'static str, name: String },
    #[error("there is no default {0}")]
    NoDefault(&'static str),
    #[error("{device}: {}; `offhook devices` lists and tries what there is", reason(source))]
    Refused {
        device: String,
        #[source]
        source: cpal::Error,
    },
    #[error("{device}: its format cannot be used")]
    Format { device: String },
    #[error("{path}: {reason}")]
    File { path: String, reason: String },
}

/// In few words; cpal's own are sentences.
fn reason(error: &cpal::Error) -> String {
    match error.kind() {
        ErrorKind::DeviceNotAvailable => "not available".to_owned(),
        _ => error.to_string().trim_end_matches('.').to_owned(),
    }
}

impl DeviceError {
    /// The sound system is gone, not only the device.
    fn is_disconnected(&self) -> bool {
        let Self::Refused { source, .. } = self else { return false };
        matches!(source.kind(), ErrorKind::HostUnavailable | ErrorKind::StreamInvalidated)
    }
}

/// One line of `offhook devices`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    pub system: SoundSystem,
    pub direction: Direction,
    /// What the sound system calls it; unique and stable.
    pub id: String,
    /// For people.
    pub name: String,
    pub is_default: bool,
    /// Preferred rate \[Hz\] and channels, if the device tells.
    pub format: Option<(u32, u16)>,
}

/// The sound systems as one, with the connections to them.
///
/// A connection to PulseAudio is a thread and a socket that live until the server ends; so there is one, kept.
#[derive(Default)]
pub struct SoundSystems {
    pulse: Mutex<Option<Arc<cpal::Host>>>,
    /// PulseAudio answered once: from then on it owns the default device, also while it is away.
    pulse_seen: AtomicBool,
}

impl std::fmt::Debug for SoundSystems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SoundSystems")
    }
}

impl SoundSystems {
    pub fn new() -> Self {
        silence_alsa();
        Self::default()
    }

    /// All devices of all sound systems that answer, speakers first.
    pub fn list(&self) -> Vec<DeviceInfo> {
        let mut out = Vec::new();
        for direction in [Direction::Playback, Direction::Capture] {
            for system in SYSTEMS {
                let Ok(host) = self.host(system) else { continue };
                let default = default_of(&host, system, direction).and_then(|d| d.id().ok());
                for device in all(&host, direction).unwrap_or_default() {
                    let Ok(id) = device.id() else { continue };
                    let kind = kind_of(system, id.id());
                    let config = match (kind, direction) {
                        (Kind::Plumbing, _) => continue,
                        (Kind::Bridge, _) => None,
                        (Kind::Card, Direction::Capture) => device.default_input_config().ok(),
                        (Kind::Card, Direction::Playback) => device.default_output_config().ok(),
                    };
                    out.push(DeviceInfo {
                        system,
                        direction,
                        name: show(&device.to_string()),
                        is_default: default.as_ref() == Some(&id),
                        id: show(id.id()),
                        format: config.map(|c| (c.sample_rate(), c.channels())),
                    });
                }
            }
        }
        out
    }

    /// Opens the device meant by `choice`: the first of the ways to it that `open` can go.
    pub fn open<T>(
        &self,
        choice: &DeviceChoice,
        direction: Direction,
        open: impl Fn(&Card) -> Result<T, DeviceError>,
    ) -> Result<(T, Card), DeviceError> {
        let (wanted, name) = match choice {
            DeviceChoice::Named { system, name } => (*system, Some(name.as_str())),
            _ => (None, None),
        };
        let mut error = DeviceError::NoSystem;
        for way in WAYS {
            let system = way.system();
            let fits = match way {
                Way::Bridge => name.is_none() && cpal::available_hosts().contains(&cpal::HostId::PulseAudio),
                Way::Direct(system) => wanted.is_none_or(|wanted| wanted == system),
            };
            if !fits {
                continue;
            }
            match self.find(way, direction, name).and_then(|card| Ok((open(&card)?, card))) {
                Ok(opened) => {
                    self.pulse_seen.fetch_or(system == SoundSystem::Pulse, Ordering::Relaxed);
                    return Ok(opened);
                }
                Err(new) => {
                    if way == Way::Direct(SoundSystem::Pulse) && new.is_disconnected() {
                        self.forget();
                    }
                    error = new;
                }
            }
            // PulseAudio owns the default device, also while it is away.
            let was_there = self.pulse_seen.load(Ordering::Relaxed);
            if way == Way::Direct(SoundSystem::Pulse) && name.is_none() && was_there {
                break;
            }
        }
        Err(error)
    }

    fn find(&self, way: Way, direction: Direction, name: Option<&str>) -> Result<Card, DeviceError> {
        let refused = |source| DeviceError::Refused { device: way.system().name().into(), source };
        let missing = || match name {
            None => DeviceError::NoDefault(direction.word()),
            Some(name) => DeviceError::NotFound { direction: direction.word(), name: show(name) },
        };
        match way {
            Way::Bridge => {
                let devices = all(&*self.host(SoundSystem::Alsa).map_err(refused)?, direction).map_err(refused)?;
                let device = devices.into_iter().find(|d| BRIDGES.contains(&id_of(d).as_str()));
                Ok(Card { device: device.ok_or_else(missing)?, name: "PulseAudio default".into(), way })
            }
            Way::Direct(system) => {
                let host = self.host(system).map_err(refused)?;
                // Also where only the default is wanted: it shows whether the connection still stands.
                let devices = all(&host, direction).map_err(refused)?;
                let device = match name {
                    None => default_of(&host, system, direction),
                    Some(name) => {
                        let names: Vec<_> = devices.iter().map(|d| (id_of(d), d.to_string())).collect();
                        best_match(&names, name).and_then(|at| devices.into_iter().nth(at))
                    }
                };
                let device = device.ok_or_else(missing)?;
                let name = match system {
                    SoundSystem::Pulse => show(&device.to_string()),
                    SoundSystem::Alsa => show(&format!("alsa:{}", id_of(&device))),
                };
                Ok(Card { device, name, way })
            }
        }
    }

    /// Drops a connection to PulseAudio that the server has closed; the next use makes a new one.
    fn forget(&self) {
        *self.pulse.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn host(&self, system: SoundSystem) -> Result<Arc<cpal::Host>, cpal::Error> {
        match system {
            SoundSystem::Alsa => cpal::host_from_id(cpal::HostId::Alsa).map(Arc::new),
            SoundSystem::Pulse => {
                let mut kept = self.pulse.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(host) = &*kept {
                    return Ok(host.clone());
                }
                let host = Arc::new(cpal::host_from_id(cpal::HostId::PulseAudio)?);
                *kept = Some(host.clone());
                Ok(host)
            }
        }
    }
}

/// What stands behind a name of a sound system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Card,
    /// The way to another sound system: asking for its format could start that.
    Bridge,
    /// Converters and the like, of which ALSA lists dozens.
    Plumbing,
}

fn kind_of(system: SoundSystem, id: &str) -> Kind {
    match (system, id) {
        (SoundSystem::Pulse, _) => Kind::Card,
        (SoundSystem::Alsa, "default" | "sysdefault") => Kind::Bridge,
        (SoundSystem::Alsa, id) if BRIDGES.contains(&id) => Kind::Bridge,
        (SoundSystem::Alsa, id) if id.contains("CARD=") => Kind::Card,
        (SoundSystem::Alsa, _) => Kind::Plumbing,
    }
}

/// The default device: of PulseAudio what the environment names, as its own library has it.
fn default_of(host: &cpal::Host, system: SoundSystem, direction: Direction) -> Option<cpal::Device> {
    let variable = match direction {
        Direction::Capture => "PULSE_SOURCE",
        Direction::Playback => "PULSE_SINK",
    };
    if system == SoundSystem::Pulse
        && let Ok(name) = std::env::var(variable)
        && let Some(device) = all(host, direction).ok()?.into_iter().find(|d| id_of(d) == name)
    {
        return Some(device);
    }
    match direction {
        Direction::Capture => host.default_input_device(),
        Direction::Playback => host.default_output_device(),
    }
}

fn all(host: &cpal::Host, direction: Direction) -> Result<Vec<cpal::Device>, cpal::Error> {
    match direction {
        Direction::Capture => host.input_devices().map(Iterator::collect),
        Direction::Playback => host.output_devices().map(Iterator::collect),
    }
}

fn id_of(device: &cpal::Device) -> String {
    device.id().map(|id| id.id().to_owned()).unwrap_or_default()
}

fn show(name: &str) -> String {
    Untrusted::new(name).sanitize(NAME_WIDTH)
}

/// The place of the device the user means among (identifier, name): the identifier, the name, or a part of either.
fn best_match(devices: &[(String, String)], wanted: &str) -> Option<usize> {
    let wanted = wanted.to_lowercase();
    let rank = |(id, name): &(String, String)| {
        let (id, name) = (id.to_lowercase(), name.to_lowercase());
        if id == wanted {
            Some(0)
        } else if name == wanted {
            Some(1)
        } else if name.contains(&wanted) {
            Some(2)
        } else {
            id.contains(&wanted).then_some(3)
        }
    };
    let ranked = devices.iter().enumerate().filter_map(|(at, device)| Some((rank(device)?, at)));
    ranked.min().map(|(_, at)| at)
}

/// libasound writes dozens of lines to the standard error, over any screen: it is told to be quiet, once and for all.
fn silence_alsa() {
    type Handler = unsafe extern "C" fn(*const c_char, c_int, *const c_char, c_int, *const c_char);
    unsafe extern "C" {
        fn snd_lib_error_set_handler(handler: Option<Handler>) -> c_int;
    }
    /// The real handler is variadic; the arguments it does not name lie where the caller cleans them up.
    unsafe extern "C" fn quiet(_: *const c_char, _: c_int, _: *const c_char, _: c_int, _: *const c_char) {}
    static ONCE: Once = Once::new();
    // SAFETY: the function only stores the pointer, which is valid for ever; it touches none of its arguments.
    ONCE.call_once(|| unsafe {
        snd_lib_error_set_handler(Some(quiet));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_the_user_means() {
        let devices: Vec<(String, String)> = [
            ("hw:CARD=0,DEV=0", "HDA Intel, ALC257"),
            ("usb-0b0e", "Jabra Evolve USB Headset"),
            ("alc", "Monitor of Jabra"),
            ("usb-2", "Jabra"),
        ]
        .map(|(id, name)| (id.to_owned(), name.to_owned()))
        .into();
        let rows = [
            ("bluetooth", None),
            ("hw:card=0,dev=0", Some(0)),
            ("alc", Some(2)),
            ("ALC2", Some(0)),
            ("jabra", Some(3)),
            ("headset", Some(1)),
            ("usb-", Some(1)),
        ];
        for (wanted, at) in rows {
            assert_eq!(best_match(&devices, wanted), at, "{wanted}");
        }
    }

    #[test]
    fn only_what_one_could_hear_is_listed() {
        let rows = [
            ("null", Kind::Plumbing),
            ("jack", Kind::Plumbing),
            ("lavrate", Kind::Plumbing),
            ("default", Kind::Bridge),
            ("pulse", Kind::Bridge),
            ("hw:CARD=0,DEV=0", Kind::Card),
            ("sysdefault:CARD=PCH", Kind::Card),
        ];
        for (id, kind) in rows {
            assert_eq!(kind_of(SoundSystem::Alsa, id), kind, "{id}");
        }
        assert_eq!(kind_of(SoundSystem::Pulse, "null"), Kind::Card);
    }

    #[test]
    fn a_card_nobody_has_is_an_error_in_words() {
        let choice = DeviceChoice::Named { system: Some(SoundSystem::Alsa), name: "no such card".into() };
        let opened = SoundSystems::new().open(&choice, Direction::Playback, |_| Ok(()));
        let error = opened.map(|(_, card)| card.name).expect_err("none");
        assert!(error.to_string().contains("`no such card`"), "{error}");
    }
}
