//! A running phone: one user agent, its sockets and its media thread, and the ends of the channels to them.
use crate::media::event::MediaEvent;
use crate::net::{Net, NetConfig, NetError};
use crate::runtime::clock;
use crate::runtime::journal::Journal;
use crate::runtime::signalling::{COMMANDS, Change, Media, Signalling, Take};
use crate::ua::UserAgent;
use crate::ua::command::Command;
use crate::ua::event::Event;
use crate::ua::settings::Settings;
use crate::ua::snapshot::Snapshot;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;
use tokio::sync::{mpsc, watch};

/// Facts waiting for the front end.
const EVENTS: usize = 1024;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PhoneError {
    #[error(transparent)]
    Net(#[from] NetError),
    #[error("the system gives no random numbers: {0}")]
    Random(getrandom::Error),
    #[error("cannot start: {0}")]
    Thread(#[from] io::Error),
}

/// Commands in, facts and snapshots out.
pub struct Phone {
    pub commands: mpsc::Sender<Command>,
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    pub events: mpsc::Receiver<Event>,
    /// The port SIP is spoken on.
    pub sip_port: u16,
    /// What the user should know about the sockets.
    pub notice: Option<String>,
    thread: Option<JoinHandle<()>>,
}

/// What a phone is made of.
pub struct Parts<M> {
    pub settings: Settings,
    pub net: NetConfig,
    pub media: M,
    pub media_events: mpsc::Receiver<MediaEvent>,
    pub journal: Journal,
    pub hooks: Hooks,
}

/// Where the runtime has a word of its own.
pub struct Hooks {
    /// Changes each snapshot before the front end sees it.
    pub decorate: Box<dyn Fn(&mut Snapshot) + Send>,
    /// Hears every fact.
    pub hear: Box<dyn Fn(&Event) + Send>,
    /// Takes commands that are not the agent's.
    pub take: Take,
    /// What changes while the phone runs; [`changes`] makes it.
    pub changes: mpsc::Receiver<Change>,
}

/// The way to tell a running phone of changes.
pub fn changes() -> (mpsc::Sender<Change>, mpsc::Receiver<Change>) {
    mpsc::channel(COMMANDS)
}

impl Default for Hooks {
    fn default() -> Self {
        Self { decorate: Box::new(|_| {}), hear: Box::new(|_| {}), take: Box::new(|_| None), changes: changes().1 }
    }
}

impl Phone {
    /// Starts signalling on a thread of its own.
    ///
    /// # Errors
    /// When the sockets, the randomness or the thread cannot be had.
    pub fn start(parts: Parts<impl Media + 'static>) -> Result<Self, PhoneError> {
        let Parts { settings, net, media, media_events, journal, hooks } = parts;
        let mut rng = clock::seeded_by_system().map_err(PhoneError::Random)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let net = {
            let _context = runtime.enter();
            Net::bind(&net)?
        };
        if let Some(notice) = &net.notice {
            journal.line(notice);
        }
        let (sip_port, notice) = (net.port(), net.notice.clone());
        let (commands, command_queue) = mpsc::channel(COMMANDS);
        let (snapshot_sender, snapshots) = watch::channel(Arc::default());
        let (event_sender, events) = mpsc::channel(EVENTS);
        let mut agent = UserAgent::new(settings, clock::anchor(), rng.fork());
        agent.start(Instant::now());
        let signalling = Signalling {
            agent,
            net,
            rng,
            media,
            media_events,
            commands: command_queue,
            snapshots: snapshot_sender,
            events: event_sender,
            journal,
            decorate: hooks.decorate,
            hear: hooks.hear,
            take: hooks.take,
            changes: hooks.changes,
        };
        let thread = std::thread::Builder::new().name("signalling".to_owned()).spawn(move || {
            runtime.block_on(signalling.run());
            // A resolver that still waits for a dead name server is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Self { commands, snapshots, events, sip_port, notice, thread: Some(thread) })
    }

    /// Gives a command; `false` when the phone is too busy or has ended.
    pub fn command(&self, command: Command) -> bool {
        self.commands.try_send(command).is_ok()
    }

    /// The facts, for a front end that reads them elsewhere.
    pub fn take_events(&mut self) -> mpsc::Receiver<Event> {
        std::mem::replace(&mut self.events, mpsc::channel(1).1)
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }

    /// Hangs up, unregisters, and waits until that is done; the agent bounds how long it takes.
    pub fn shut_down(mut self) {
        // A queue full of other commands ends as well: the agent takes a closed queue for a shutdown.
        let _ = self.commands.try_send(Command::Shutdown);
        drop(std::mem::replace(&mut self.commands, mpsc::channel(1).0));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
