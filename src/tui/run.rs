//! The loop of the screen's own thread: waits for the first thing that happens, updates, draws when it is time.
//!
//! Nothing waits for this thread: facts come over channels that keep the newest, commands are tried and not waited for.
//! A terminal that takes its time delays only the next frame.
use super::action::{Action, Effect, Save};
use super::input;
use super::keymap::Keymap;
use super::model::{Model, Setup};
use super::notify::Notifier;
use super::terminal::{self, Abilities, Screen};
use super::theme::{ASCII, Depth, Glyphs, Theme, UNICODE};
use super::update::update;
use crate::config::{self, Config};
use crate::ua::command::Command;
use crate::ua::event::Event;
use crate::ua::ladder::capture;
use crate::ua::snapshot::{CallSummary, Snapshot, TextView};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Instant, SystemTime};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};

/// Terminal events kept for the loop; a paste is one of them.
const INPUT_QUEUE: usize = 256;

/// The phone as the screen sees it.
#[derive(Debug)]
pub struct Link {
    pub commands: mpsc::Sender<Command>,
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    pub events: mpsc::Receiver<Event>,
    /// Oldest first.
    pub history: watch::Receiver<Arc<Vec<CallSummary>>>,
    /// Texts, oldest first.
    pub texts: watch::Receiver<Arc<Vec<TextView>>>,
    /// Oldest first; whoever fills it caps it.
    pub log: watch::Receiver<Arc<Vec<String>>>,
    /// Writes a file: its name as it was typed, its content, and whether another of that name is replaced.
    pub save: SaveFile,
    /// What the user has chosen; it may change while the screen is shown.
    pub configs: watch::Receiver<Arc<Config>>,
}

pub type SaveFile = fn(&str, &[u8], bool) -> Result<(), String>;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TuiError {
    #[error("{0}")]
    Keys(String),
    #[error("theme \"{0}\": choose one of dark, light, high-contrast, mono")]
    Theme(String),
    #[error("the screen needs a terminal, and here is none ({0}): `offhook call`, `answer` and `register` need none")]
    Terminal(#[from] io::Error),
}

/// Runs the screen until the user leaves it or the phone is gone. Call it on a thread of its own.
///
/// SIGTERM, SIGINT and SIGHUP end it as the quit key does, without a question.
///
/// # Errors
/// Settings that cannot be, and a terminal that fails; the phone is told to shut down in the latter case.
pub fn run(link: Link) -> Result<(), TuiError> {
    let chosen = link.configs.borrow().screen.clone();
    let (model, silent) = (model(&chosen)?, !chosen.bell);
    let notifier = notifier(&chosen);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGCONT])?;
    let signals_end = signals.handle();
    let (inputs, received) = mpsc::channel(INPUT_QUEUE);
    let (to_loop, saved) = (inputs.clone(), inputs.clone());
    let write = link.save;
    thread::Builder::new().name("tui-signals".into()).spawn(move || {
        for signal in signals.forever() {
            let action = if signal == SIGCONT { Action::Continued } else { Action::Terminate };
            if to_loop.blocking_send(action).is_err() {
                return;
            }
        }
    })?;
    let commands = link.commands.clone();
    let outcome = Screen::enter(chosen.mouse).and_then(|screen| {
        thread::Builder::new().name("tui-input".into()).spawn(move || read_terminal(&inputs))?;
        runtime.block_on(
            Loop { screen, model, commands: link.commands.clone(), silent, notifier, write, saved }.run(link, received),
        )
    });
    signals_end.close();
    if outcome.is_err() {
        // Without a screen nobody could hang up: the phone must not go on alone.
        let _ = commands.try_send(Command::Shutdown);
    }
    Ok(outcome?)
}

/// Sleeps in the terminal until there is something to read. It ends with the first event nobody wants any more.
fn read_terminal(inputs: &mpsc::Sender<Action>) {
    loop {
        let action = match crossterm::event::read() {
            Ok(event) => match input::action(event) {
                Some(action) => action,
                None => continue,
            },
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => Action::Terminate,
        };
        let last = matches!(action, Action::Terminate);
        if inputs.blocking_send(action).is_err() || last {
            return;
        }
    }
}

/// What the user has chosen, as this terminal can show it.
struct Look {
    theme: Theme,
    glyphs: &'static Glyphs,
    keymap: Keymap,
    depth: Depth,
}

fn look(chosen: &config::Screen) -> Result<Look, TuiError> {
    let Abilities { depth, glyphs, theme } = terminal::abilities(|name| std::env::var(name).ok());
    let name = chosen.theme.as_deref().unwrap_or(theme);
    Ok(Look {
        theme: Theme::by_name(name, depth).ok_or_else(|| TuiError::Theme(name.to_owned()))?,
        glyphs: chosen.ascii.map_or(glyphs, |ascii| if ascii { &ASCII } else { &UNICODE }),
        keymap: Keymap::with_overrides(&chosen.keys).map_err(TuiError::Keys)?,
        depth,
    })
}

fn notifier(chosen: &config::Screen) -> Notifier {
    Notifier::new(chosen.notify, |name| std::env::var(name).ok())
}

fn model(chosen: &config::Screen) -> Result<Model, TuiError> {
    let Look { theme, glyphs, keymap, depth } = look(chosen)?;
    Ok(Model::new(Setup {
        now: Instant::now(),
        wall: SystemTime::now(),
        zone: terminal::zone,
        size: (0, 0),
        theme,
        themes: Theme::NAMES.iter().filter_map(|name| Theme::by_name(name, depth)).collect(),
        glyphs,
        keymap,
    }))
}

struct Loop {
    screen: Screen,
    model: Model,
    commands: mpsc::Sender<Command>,
    silent: bool,
    write: SaveFile,
    /// Where the outcome of what was saved goes.
    saved: mpsc::Sender<Action>,
    notifier: Notifier,
}

/// Whether the loop goes on.
#[derive(PartialEq)]
enum Next {
    GoOn,
    Leave,
}

impl Loop {
    async fn run(mut self, link: Link, mut inputs: mpsc::Receiver<Action>) -> io::Result<()> {
        let Link { commands: _, mut snapshots, mut events, mut history, mut texts, mut log, mut configs, save: _ } =
            link;
        let first = [
            Action::History(history.borrow_and_update().clone()),
            Action::Texts(texts.borrow_and_update().clone()),
            Action::Log(log.borrow_and_update().clone()),
            Action::Snapshot(snapshots.borrow_and_update().clone()),
        ];
        for action in first {
            self.handle(action)?;
        }
        let (mut has_events, mut has_history, mut has_texts, mut has_log, mut has_configs) =
            (true, true, true, true, true);
        let (mut drawn, mut hurry) = (None::<Instant>, true);
        loop {
            let now = Instant::now();
            let due = drawn.map_or(now, |drawn| drawn + self.model.pause(hurry));
            if self.model.dirty && now >= due {
                self.draw()?;
                (drawn, hurry) = (Some(now), false);
                continue;
            }
            let wake = if self.model.dirty { due } else { self.model.wake_at() };
            let action = tokio::select! {
                biased;
                input = inputs.recv() => {
                    hurry = true;
                    input
                }
                changed = snapshots.changed() => match changed {
                    Ok(()) => Some(Action::Snapshot(snapshots.borrow_and_update().clone())),
                    // The phone is gone.
                    Err(_) => return Ok(()),
                },
                event = events.recv(), if has_events => {
                    has_events = event.is_some();
                    event.map(Action::Event)
                }
                changed = history.changed(), if has_history => {
                    has_history = changed.is_ok();
                    Some(Action::History(history.borrow_and_update().clone()))
                }
                changed = texts.changed(), if has_texts => {
                    has_texts = changed.is_ok();
                    Some(Action::Texts(texts.borrow_and_update().clone()))
                }
                changed = log.changed(), if has_log => {
                    has_log = changed.is_ok();
                    Some(Action::Log(log.borrow_and_update().clone()))
                }
                changed = configs.changed(), if has_configs => {
                    has_configs = changed.is_ok();
                    let chosen = configs.borrow_and_update().screen.clone();
                    self.change(&chosen)?;
                    None
                }
                () = tokio::time::sleep_until(wake.into()) => None,
            };
            let time = Action::Time { now: Instant::now(), wall: SystemTime::now() };
            for action in std::iter::once(time).chain(action) {
                if self.handle(action)? == Next::Leave {
                    return Ok(());
                }
            }
        }
    }

    /// Takes what the user has chosen meanwhile; what cannot be stays as it was, and is said.
    fn change(&mut self, chosen: &config::Screen) -> io::Result<()> {
        match look(chosen) {
            Ok(Look { theme, glyphs, keymap, .. }) => {
                (self.model.theme, self.model.glyphs, self.model.keymap) = (theme, glyphs, keymap);
                self.model.dirty = true;
                (self.silent, self.notifier) = (!chosen.bell, notifier(chosen));
                self.screen.set_mouse(chosen.mouse)?;
                self.screen.repaint()
            }
            Err(error) => {
                self.model.notify(error.to_string(), true);
                Ok(())
            }
        }
    }

    fn draw(&mut self) -> io::Result<()> {
        let (columns, rows) = self.screen.size()?;
        if (columns, rows) != self.model.size {
            update(&mut self.model, Action::Resize { columns, rows });
        }
        self.model.dirty = false;
        self.screen.draw(&self.model)
    }

    fn handle(&mut self, action: Action) -> io::Result<Next> {
        if matches!(action, Action::Continued) {
            self.screen.retake()?;
        }
        let mut effects = update(&mut self.model, action);
        effects.reverse();
        while let Some(effect) = effects.pop() {
            match effect {
                Effect::Send(command) => {
                    let refused = match self.commands.try_send(command) {
                        Ok(()) => None,
                        Err(TrySendError::Full(command)) => Some(command),
                        Err(TrySendError::Closed(_)) => return Ok(Next::Leave),
                    };
                    if let Some(command) = refused {
                        effects.extend(update(&mut self.model, Action::QueueFull(command)));
                    }
                }
                Effect::Bell if self.silent => {}
                Effect::Bell => self.screen.bell()?,
                Effect::Notify { title, text } => self.notifier.tell(&mut self.screen, &title, &text)?,
                Effect::Copy(text) => self.screen.copy(&text)?,
                Effect::Save(save) => self.save(save)?,
                Effect::Title(title) => self.screen.title(&title)?,
                Effect::Repaint => {
                    self.screen.repaint()?;
                    self.model.dirty = true;
                }
                Effect::Suspend => {
                    self.screen.suspend()?;
                    self.model.dirty = true;
                }
                Effect::Leave => return Ok(Next::Leave),
            }
        }
        Ok(Next::GoOn)
    }

    /// The disk may take its time: a thread of its own waits for it.
    fn save(&self, save: Save) -> io::Result<()> {
        let (write, saved) = (self.write, self.saved.clone());
        thread::Builder::new().name("tui-save".into()).spawn(move || {
            let Save { path, replace, format, title, rows, secrets } = save;
            let content = capture::export(format, &title, &rows, secrets);
            let messages = rows.iter().filter(|row| row.is_message()).count();
            let warning =
                if secrets { " It holds digests of passwords and media keys: do not hand it on." } else { "" };
            let outcome = write(&path, &content, replace);
            let told = outcome.map(|()| format!("{messages} messages written to {path}.{warning}"));
            // The screen may be gone by now; the file is there.
            let _ = saved.blocking_send(Action::Saved(told));
        })?;
        Ok(())
    }
}
