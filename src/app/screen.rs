//! The phone with its screen.
use crate::app::contacts::Keeper;
use crate::app::instance::Instance;
use crate::app::live::Live;
use crate::app::phone::{Hooks, Parts, Phone};
use crate::app::remembered::Remembered;
use crate::app::run::{Failure, configuration, journal, source, with_some_account};
use crate::app::sound::{self, Sound};
use crate::app::wire;
use crate::cli::{Cli, ExitCode};
use crate::config::{Config, Environment};
use crate::runtime::clock;
use crate::runtime::journal::Journal;
use crate::runtime::saving;
use crate::runtime::storage::{LATEST, Record, Storage, StorageEvent, remember};
use crate::tui::{self, Link};
use crate::ua::command::Command;
use crate::ua::event::Event;
use crate::ua::snapshot::{CallSummary, TextView};
use std::sync::Arc;
use tokio::sync::watch;

/// Opens the phone for the configured accounts.
pub fn run(cli: &Cli, environment: &Environment) -> Result<ExitCode, Failure> {
    let loaded = configuration(cli, environment)?;
    let configured = loaded.config.clone();
    let nobody = configured.accounts.is_empty();
    let config = with_some_account(configured);
    let journal = journal(&config, environment);
    if nobody {
        journal.line("no account yet: `offhook init` makes one, `offhook demo` needs none; direct calls work");
    }
    let mut rng = clock::seeded_by_system().map_err(|error| Failure::new(ExitCode::Failed, error))?;
    let mut settings =
        wire::settings(&config, false, &mut rng).map_err(|error| Failure::new(ExitCode::Configuration, error))?;
    let instance = Instance::of(environment, &mut rng, &journal);
    settings.instance.clone_from(&instance.urn);
    let Sound { handle, events } = sound::start(&config, rng.fork(), &journal)?;
    let history = History::open(&config, environment, &journal);
    let keeper = Keeper::open(&loaded, environment, &journal);
    settings.contacts.clone_from(&keeper.contacts);
    let (switched, writer) = Remembered::apply(&config, environment, &journal, &mut settings).recorder();
    let (calls, contacts) = (history.recorder(), keeper.recorder());
    let hear = Box::new(move |event: &Event| {
        calls(event);
        contacts(event);
        switched(event);
    });
    let (hooks, configs) = Live::hooks(source(cli, environment, false), config.clone(), handle.sender());
    let phone = Phone::start(Parts {
        settings,
        net: wire::net(&config),
        media: handle.sender(),
        media_events: events,
        journal: journal.clone(),
        hooks: Hooks { hear, ..hooks },
    })?;
    phone.command(Command::Gain { capture: config.audio.microphone_gain, playback: config.audio.speaker_gain });
    let code = show(phone, configs, &history, &journal)?;
    handle.shutdown();
    history.close();
    keeper.close();
    drop(writer);
    Ok(code)
}

/// Shows the screen until the user leaves it; the phone is shut down then.
pub fn show(
    mut phone: Phone,
    configs: watch::Receiver<Arc<Config>>,
    history: &History,
    journal: &Journal,
) -> Result<ExitCode, Failure> {
    let link = Link {
        commands: phone.commands.clone(),
        snapshots: phone.snapshots.clone(),
        events: phone.take_events(),
        history: history.calls.clone(),
        texts: history.texts.clone(),
        log: journal.subscribe(),
        save: |typed, content, replace| saving::save(&saving::path(typed), content, replace),
        configs,
    };
    let outcome = tui::run(link);
    phone.shut_down();
    match outcome {
        Ok(()) => Ok(ExitCode::Ended),
        Err(error @ (tui::TuiError::Keys(_) | tui::TuiError::Theme(_))) => {
            Err(Failure::new(ExitCode::Configuration, error))
        }
        Err(error) => Err(Failure::new(ExitCode::Failed, error)),
    }
}

/// The calls and texts of the past: on disk where that works, else of this run alone.
pub struct History {
    /// Oldest first.
    pub calls: watch::Receiver<Arc<Vec<CallSummary>>>,
    /// Oldest first.
    pub texts: watch::Receiver<Arc<Vec<TextView>>>,
    memory: Memory,
    storage: Option<Arc<Storage>>,
}

/// What the screen is shown.
#[derive(Clone)]
struct Memory {
    calls: Arc<watch::Sender<Arc<Vec<CallSummary>>>>,
    texts: Arc<watch::Sender<Arc<Vec<TextView>>>>,
}

impl History {
    pub fn open(config: &Config, environment: &Environment, journal: &Journal) -> Self {
        let history = Self::in_memory();
        let Some(path) = environment.history_file(&config.files.history) else { return history };
        let (told, journal_of_thread) = (history.memory.clone(), journal.clone());
        let tell = move |event| match event {
            StorageEvent::History(newest_first) => {
                told.calls.send_replace(Arc::new(newest_first.iter().rev().cloned().collect()));
            }
            StorageEvent::Texts(newest_first) => {
                told.texts.send_replace(Arc::new(newest_first.iter().rev().cloned().collect()));
            }
            StorageEvent::Trouble(words) => journal_of_thread.line(words),
        };
        let storage = Storage::start(path, tell);
        if let Err(error) = &storage {
            journal.line(format!("the call history is not kept: {error}"));
        }
        Self { storage: storage.ok().map(Arc::new), ..history }
    }

    /// A history that ends with the program.
    pub fn in_memory() -> Self {
        let ((calls_in, calls), (texts_in, texts)) = (watch::channel(Arc::default()), watch::channel(Arc::default()));
        let memory = Memory { calls: Arc::new(calls_in), texts: Arc::new(texts_in) };
        Self { calls, texts, memory, storage: None }
    }

    /// Hears of calls that ended, and of texts.
    pub fn recorder(&self) -> Box<dyn Fn(&Event) + Send> {
        let (memory, storage) = (self.memory.clone(), self.storage.clone());
        Box::new(move |event| match (event, &storage) {
            (Event::Ended { summary, .. }, Some(storage)) => storage.record(Record::Call(summary.clone())),
            (Event::Text(text), Some(storage)) => storage.record(Record::Text(text.clone())),
            (Event::Ended { summary, .. }, None) => memory.calls.send_modify(|calls| {
                let calls = Arc::make_mut(calls);
                if calls.len() >= LATEST {
                    calls.remove(0);
                }
                calls.push((**summary).clone());
            }),
            (Event::Text(text), None) => memory.texts.send_modify(|texts| {
                let texts = Arc::make_mut(texts);
                texts.reverse();
                remember(texts, (**text).clone());
                texts.reverse();
            }),
            _ => {}
        })
    }

    /// Writes what waits. Nobody records any more by then.
    pub fn close(self) {
        if let Some(storage) = self.storage.and_then(Arc::into_inner) {
            storage.close();
        }
    }
}
