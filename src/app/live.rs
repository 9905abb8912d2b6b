//! What the user changes while the phone runs: the sound devices, and the configuration.
use crate::app::phone::{self, Hooks};
use crate::app::run::with_some_account;
use crate::app::{config_check, wire};
use crate::audio::choice::{DeviceChoice, Direction};
use crate::audio::devices::SoundSystems;
use crate::config::{Config, Environment, Overrides};
use crate::net::Access;
use crate::runtime::clock;
use crate::runtime::media_thread::MediaSender;
use crate::runtime::signalling::Change;
use crate::sip::locate::AccessId;
use crate::ua::command::Command;
use crate::ua::event::Event;
use crate::ua::snapshot::Found;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, watch};

/// Ways to open connections that are remembered; a phone that was given more must be started again.
const MOST_ACCESS: usize = 4096;

/// Where the configuration comes from.
#[derive(Clone, Debug)]
pub struct Source {
    pub path: Option<PathBuf>,
    pub overrides: Overrides,
    pub environment: Environment,
    pub auto_answer: bool,
}

/// The running program, as far as it can be changed.
pub struct Live {
    source: Source,
    media: MediaSender,
    changes: mpsc::Sender<Change>,
    /// The configuration in force, for whoever draws the screen.
    config: watch::Sender<Arc<Config>>,
    /// All ways connections were ever opened; numbers given out keep their meaning.
    access: Mutex<Vec<Access>>,
    found: Mutex<Arc<Found>>,
    /// A thread reads the configuration, or looks for devices.
    reads: AtomicBool,
    looks: AtomicBool,
}

impl Live {
    /// The hooks of a phone that can be changed, and the configuration as it changes.
    pub fn hooks(source: Source, config: Config, media: MediaSender) -> (Hooks, watch::Receiver<Arc<Config>>) {
        let (changes, received) = phone::changes();
        let access = wire::net(&config).access;
        let (config, configs) = watch::channel(Arc::new(config));
        let live = Arc::new(Self {
            source,
            media,
            changes,
            config,
            access: Mutex::new(access),
            found: Mutex::default(),
            reads: AtomicBool::new(false),
            looks: AtomicBool::new(false),
        });
        let shown = Arc::clone(&live);
        let hooks = Hooks {
            decorate: Box::new(move |snapshot| snapshot.devices.found = Arc::clone(&lock(&shown.found))),
            take: Box::new(move |command| live.take(command)),
            changes: received,
            ..Hooks::default()
        };
        (hooks, configs)
    }

    /// Carries out what is not the agent's. Nothing waits here: disks and sound systems are asked on threads of their own.
    fn take(self: &Arc<Self>, command: &Command) -> Option<Result<(), String>> {
        match command {
            Command::Device { microphone, name } => Some(self.change_device(*microphone, name)),
            Command::ListDevices => {
                self.apart(|live| &live.looks, Self::look);
                Some(Ok(()))
            }
            Command::Reload => {
                self.apart(|live| &live.reads, Self::read);
                Some(Ok(()))
            }
            _ => None,
        }
    }

    fn change_device(&self, microphone: bool, name: &str) -> Result<(), String> {
        let direction = if microphone { Direction::Capture } else { Direction::Playback };
        let choice = DeviceChoice::parse(name, direction).map_err(|error| error.to_string())?;
        let (capture, playback) = if microphone { (Some(choice), None) } else { (None, Some(choice)) };
        self.media.set_devices(capture, playback);
        Ok(())
    }

    /// Does it on a thread of its own, once at a time.
    fn apart(self: &Arc<Self>, busy: fn(&Self) -> &AtomicBool, work: fn(&Self)) {
        if busy(self).swap(true, Ordering::SeqCst) {
            return;
        }
        let live = Arc::clone(self);
        let started = std::thread::Builder::new().name("changes".into()).spawn(move || {
            work(&live);
            busy(&live).store(false, Ordering::SeqCst);
        });
        if started.is_err() {
            busy(self).store(false, Ordering::SeqCst);
        }
    }

    fn look(&self) {
        let mut found = Found::default();
        for device in SoundSystems::new().list() {
            let name = format!("{}:{}", device.system.name(), device.id);
            match device.direction {
                Direction::Capture => found.microphones.push(name),
                Direction::Playback => found.speakers.push(name),
            }
        }
        *lock(&self.found) = Arc::new(found);
        self.tell(Change::Publish);
    }

    fn read(&self) {
        match self.try_read() {
            Ok(later) => self.tell(Change::Tell(Event::Reloaded { later })),
            Err(reason) => self.tell(Change::Tell(Event::Refused { reason })),
        }
    }

    /// Puts the configuration into force as far as a running phone can; what has to wait, in words.
    fn try_read(&self) -> Result<String, String> {
        let Source { path, overrides, environment, auto_answer } = &self.source;
        let loaded = config_check::load(path.as_deref(), overrides, environment).map_err(|error| {
            // All of them are for `config check`; the screen has one line.
            let words = error.to_string();
            words.lines().find(|line| !line.trim().is_empty()).unwrap_or("the configuration is wrong").to_owned()
        })?;
        let config = with_some_account(loaded.config);
        let mut rng = clock::seeded_by_system().map_err(|error| error.to_string())?;
        let settings = wire::settings(&config, *auto_answer, &mut rng).map_err(|error| error.to_string())?;
        let before = self.config.borrow().clone();
        let (access, connections) = self.number(wire::net(&config).access)?;
        self.tell(Change::Settings { settings: Box::new(settings), access, connections });
        for (microphone, old, new) in [
            (true, &before.audio.microphone, &config.audio.microphone),
            (false, &before.audio.speaker, &config.audio.speaker),
        ] {
            if old != new {
                self.change_device(microphone, new)?;
            }
        }
        let mut later = Vec::new();
        if before.network != config.network {
            later.push("[network]");
        }
        if before.files != config.files {
            later.push("[files]");
        }
        self.config.send_replace(Arc::new(config));
        Ok(if later.is_empty() {
            String::new()
        } else {
            format!("{} counts from the next start.", later.join(" and "))
        })
    }

    /// The number of each way to open connections, known or new, and all of them.
    fn number(&self, wanted: Vec<Access>) -> Result<(Vec<AccessId>, Vec<Access>), String> {
        let mut known = lock(&self.access);
        let mut numbers = Vec::with_capacity(wanted.len());
        for one in wanted {
            let at = known.iter().position(|access| *access == one).unwrap_or_else(|| {
                known.push(one);
                known.len() - 1
            });
            numbers.push(AccessId(u16::try_from(at).unwrap_or(u16::MAX)));
        }
        if known.len() > MOST_ACCESS {
            return Err("the accounts changed too often for one run: start the phone again".to_owned());
        }
        Ok((numbers, known.clone()))
    }

    fn tell(&self, change: Change) {
        // A phone that has ended wants to know nothing.
        let _ = self.changes.blocking_send(change);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
