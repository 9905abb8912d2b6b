//! Drives one user agent: its sockets, its timers, its resolver and its media thread.
//!
//! One input, then everything the agent has to say, then wait: [`Signalling::run`] is the only place that does this.
use crate::base::rng::Rng;
use crate::media::event::MediaEvent;
use crate::media::spec::MediaCommand;
use crate::net::{Access, Net, NetEvent};
use crate::runtime::journal::Journal;
use crate::runtime::locating::Locating;
use crate::runtime::network::{self, NetworkWatch};
use crate::sip::locate::AccessId;
use crate::ua::UserAgent;
use crate::ua::command::Command;
use crate::ua::event::Event;
use crate::ua::settings::Settings;
use crate::ua::snapshot::Snapshot;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// The screen is told of changes at most this often.
const SNAPSHOT: Duration = Duration::from_millis(33);
/// Commands waiting.
pub const COMMANDS: usize = 64;

/// What media looks like from here.
pub trait Media: Send {
    fn send(&self, command: MediaCommand);
}

pub struct Signalling<M> {
    pub agent: UserAgent,
    pub net: Net,
    /// Draws among servers of equal standing.
    pub rng: Rng,
    pub media: M,
    pub media_events: mpsc::Receiver<MediaEvent>,
    pub commands: mpsc::Receiver<Command>,
    pub snapshots: watch::Sender<Arc<Snapshot>>,
    /// Facts for the front end; what it does not read in time is dropped.
    pub events: mpsc::Sender<Event>,
    pub journal: Journal,
    /// Changes a snapshot before it is published: what only the runtime knows.
    pub decorate: Box<dyn Fn(&mut Snapshot) + Send>,
    /// Hears every fact, whatever the front end does: the call history.
    pub hear: Box<dyn Fn(&Event) + Send>,
    /// Takes commands that are not the agent's own, and says why one cannot be carried out; `None` passes them to the agent.
    pub take: Take,
    /// What changes while the phone runs.
    pub changes: mpsc::Receiver<Change>,
}

pub type Take = Box<dyn Fn(&Command) -> Option<Result<(), String>> + Send>;

/// What the program tells a phone that runs.
pub enum Change {
    /// Other accounts or preferences, with how the connections of each account are opened: a position in the list.
    Settings { settings: Box<Settings>, access: Vec<AccessId>, connections: Vec<Access> },
    /// Something for the front end.
    Tell(Event),
    /// What only the runtime knows has changed.
    Publish,
}

impl<M: Media> Signalling<M> {
    /// Runs until the agent has finished after `Command::Shutdown`.
    pub async fn run(mut self) {
        let mut locating = Locating::new(self.net.router(), self.rng.fork());
        let mut watch = NetworkWatch::new(self.net.router());
        let mut published = Instant::now() - SNAPSHOT;
        let (mut changed, mut open) = (true, true);
        // Before the first fact is told: who hears it may ask whose it is.
        self.publish();
        loop {
            if self.drain(&mut locating) {
                self.publish();
                self.net.flush().await;
                return;
            }
            let now = Instant::now();
            if changed && now.duration_since(published) >= SNAPSHOT {
                self.publish();
                (published, changed) = (now, false);
            }
            let publish_at = if changed { Some(published + SNAPSHOT) } else { None };
            let wake = [self.agent.poll_timeout(), publish_at].into_iter().flatten().min();
            let sleep = tokio::time::sleep_until(wake.unwrap_or(now + Duration::from_secs(3600)).into());
            // Not in order: a flood from the network must not keep the user, the media or the timers waiting.
            tokio::select! {
                event = self.net.next() => match event {
                    NetEvent::Received(received) => self.agent.handle_received(Instant::now(), received),
                    NetEvent::Refused { flow, error } => self.agent.handle_refused(Instant::now(), flow, &error),
                    NetEvent::Alive { flow } => self.agent.handle_alive(Instant::now(), &flow),
                },
                Some(event) = self.media_events.recv() => self.agent.handle_media(Instant::now(), event),
                command = self.commands.recv(), if open => {
                    // Nobody is left to command: end in good order.
                    open = command.is_some();
                    let command = command.unwrap_or(Command::Shutdown);
                    match (self.take)(&command) {
                        None => self.agent.handle_command(Instant::now(), command),
                        Some(Ok(())) => {}
                        Some(Err(reason)) => self.tell(Event::Refused { reason }),
                    }
                }
                Some(change) = self.changes.recv() => match change {
                    Change::Settings { settings, access, connections } => {
                        self.net.set_access(connections);
                        self.agent.handle_settings(Instant::now(), *settings, &access);
                    }
                    Change::Tell(event) => self.tell(event),
                    Change::Publish => {}
                },
                (question, answer) = locating.next() => {
                    self.agent.handle_located(Instant::now(), &question, answer);
                }
                () = watch.due() => match watch.look(&self.agent.flows()) {
                    Some(network::Change::Address) => self.agent.handle_network_changed(Instant::now()),
                    Some(network::Change::Slept) => self.agent.handle_woke(Instant::now()),
                    None => continue,
                },
                () = sleep => {
                    let now = Instant::now();
                    if self.agent.poll_timeout().is_some_and(|at| at <= now) {
                        self.agent.handle_timeout(now);
                    } else {
                        continue;
                    }
                }
            }
            changed = true;
        }
    }

    /// Carries out all the agent asks for; `true` when it has finished.
    fn drain(&mut self, locating: &mut Locating) -> bool {
        let mut finished = false;
        loop {
            let mut quiet = true;
            while let Some(question) = self.agent.poll_question() {
                quiet = false;
                if let Some((question, answer)) = locating.ask(question) {
                    self.agent.handle_located(Instant::now(), &question, answer);
                }
            }
            while let Some(command) = self.agent.poll_media() {
                quiet = false;
                self.media.send(command);
            }
            // Before what is to be sent: that takes a new connection.
            while let Some(flow) = self.agent.poll_close() {
                quiet = false;
                self.net.close(&flow);
            }
            while let Some(transmit) = self.agent.poll_transmit(Instant::now()) {
                quiet = false;
                self.net.send(transmit);
            }
            while let Some(line) = self.agent.poll_log() {
                self.journal.line(line);
            }
            while let Some(event) = self.agent.poll_event() {
                finished |= event == Event::Finished;
                self.tell(event);
            }
            if quiet {
                return finished;
            }
        }
    }

    fn tell(&self, event: Event) {
        (self.hear)(&event);
        // A front end that does not read loses events, never the call.
        let _ = self.events.try_send(event);
    }

    fn publish(&mut self) {
        let mut snapshot = self.agent.snapshot(Instant::now());
        snapshot.counters.rate_limited = self.net.dropped();
        (self.decorate)(&mut snapshot);
        let snapshot = Arc::new(snapshot);
        self.snapshots.send_if_modified(|old| {
            let differs = **old != *snapshot;
            *old = snapshot;
            differs
        });
    }
}
