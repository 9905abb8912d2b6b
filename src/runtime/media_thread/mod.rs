//! The media thread: one thread that owns the media engine, its sockets and the media side of the sound devices.
//!
//! It sleeps until a socket, its timer or a command wakes it; an idle phone does not wake it at all.
mod outbox;
mod run;
mod system;
mod ticks;
mod wires;

use crate::audio::choice::DeviceChoice;
use crate::audio::devices::SoundSystems;
use crate::audio::port::{Microphone, Speaker};
use crate::base::id::StreamId;
use crate::base::netem::{Impairment, Truth};
use crate::base::rng::Rng;
use crate::base::time::WallAnchor;
use crate::media::event::MediaEvent;
use crate::media::frame::SILENCE;
use crate::media::music::Music;
use crate::media::session::{Done, Engine};
use crate::media::spec::{MediaCommand, Recording};
use crate::runtime::helpers::Helpers;
use crate::runtime::journal::Journal;
use crate::runtime::recorder::{Recorder, RecorderSender, Tape};
use crate::runtime::signalling::Media;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::mpsc::{self as std_mpsc};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use tokio::sync::mpsc;

/// Events waiting for signalling; what is told again every second is dropped beyond that.
const EVENTS: usize = 256;

pub struct MediaThreadConfig {
    /// Ports RTP and RTCP may use.
    pub rtp_ports: RangeInclusive<u16>,
    /// The differentiated services code point of what is sent on them (RFC 4594 §4.1); 0 marks nothing.
    pub dscp: u8,
    pub microphone: DeviceChoice,
    pub speaker: DeviceChoice,
    pub anchor: WallAnchor,
    pub rng: Rng,
    /// A simulated network between the sockets and the world, both directions; for the demonstration.
    pub impairment: Option<Impairment>,
    /// What is heard is spoken back: the microphone stays closed.
    pub echo: bool,
    /// Ask the system for real-time priority.
    pub realtime: bool,
    /// Where recordings go; `None`: nowhere.
    pub recordings: Option<PathBuf>,
    /// Who is asked for the names of STUN and TURN servers; those of the system when `None`.
    pub name_server: Option<SocketAddr>,
    pub journal: Journal,
}

/// What was really done to the packets each stream sent, by the simulated network.
pub type Truths = BTreeMap<StreamId, Truth>;

enum Order {
    Media(MediaCommand),
    Devices {
        microphone: Option<DeviceChoice>,
        speaker: Option<DeviceChoice>,
    },
    Record {
        stream: StreamId,
        recording: Option<(Recording, Tape)>,
    },
    Music(Music),
    Impair(Impairment),
    /// What a server or a name server told for a stream.
    Done(StreamId, Done),
    Shutdown,
}

/// Gives commands to the media thread. Cheap to clone.
#[derive(Clone)]
pub struct MediaSender {
    orders: std_mpsc::Sender<Order>,
    waker: Arc<system::Waker>,
    truths: Arc<Mutex<Truths>>,
    recorder: RecorderSender,
}

impl MediaSender {
    pub fn command(&self, command: MediaCommand) {
        let order = match command {
            // The ring is made here, where it disturbs no sound.
            MediaCommand::Record { stream, recording } => {
                let taped = |recording: Recording| (recording.clone(), self.recorder.begin(stream, recording));
                Order::Record { stream, recording: recording.map(taped) }
            }
            command => Order::Media(command),
        };
        self.order(order);
    }

    /// Changes devices while they run; `None` leaves one as it is.
    pub fn set_devices(&self, microphone: Option<DeviceChoice>, speaker: Option<DeviceChoice>) {
        self.order(Order::Devices { microphone, speaker });
    }

    /// What held calls hear from now on.
    pub fn set_music(&self, music: Music) {
        self.order(Order::Music(music));
    }

    /// Sets the simulated network, also for streams that are open.
    pub fn impair(&self, impairment: Impairment) {
        self.order(Order::Impair(impairment));
    }

    /// What the simulated network did to what was sent, by open stream, at most a second old.
    pub fn truths(&self) -> Truths {
        self.truths.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn order(&self, order: Order) {
        // A thread that has ended needs no orders.
        let _ = self.orders.send(order);
        self.waker.wake();
    }
}

impl Media for MediaSender {
    fn send(&self, command: MediaCommand) {
        self.command(command);
    }
}

/// The running thread. Dropping it ends the thread: streams say goodbye, files are finished.
pub struct MediaHandle {
    sender: MediaSender,
    thread: Option<JoinHandle<()>>,
    /// Dropped after the media thread has ended.
    _recorder: Recorder,
}

impl MediaHandle {
    pub fn sender(&self) -> MediaSender {
        self.sender.clone()
    }

    /// Ends the thread and waits for it.
    pub fn shutdown(self) {
        drop(self);
    }
}

impl Drop for MediaHandle {
    fn drop(&mut self) {
        self.sender.order(Order::Shutdown);
        if let Some(thread) = self.thread.take() {
            // Its panic was reported where it happened.
            let _ = thread.join();
        }
    }
}

pub struct MediaThread;

impl MediaThread {
    /// Starts the thread; the devices are opened at once.
    ///
    /// # Errors
    /// When the system gives no thread or no file descriptor.
    pub fn spawn(config: MediaThreadConfig) -> io::Result<(MediaHandle, mpsc::Receiver<MediaEvent>)> {
        let waker = Arc::new(system::Waker::new()?);
        let (orders, order_queue) = std_mpsc::channel();
        let (events, event_queue) = mpsc::channel(EVENTS);
        let truths = Arc::new(Mutex::new(Truths::new()));
        let MediaThreadConfig { rtp_ports, dscp, microphone, speaker, anchor, mut rng, impairment, echo, .. } = config;
        let (realtime, journal) = (config.realtime, config.journal);
        let systems = Arc::new(SoundSystems::new());
        let wake: Arc<dyn Fn() + Send + Sync> = {
            let waker = Arc::clone(&waker);
            Arc::new(move || waker.wake())
        };
        let microphone = Microphone::start(Arc::clone(&systems), microphone, Arc::clone(&wake))?;
        let speaker = Speaker::start(systems, speaker, wake)?;
        let recorder = Recorder::spawn(config.recordings, events.clone())?;
        let (wires_rng, engine_rng) = (rng.fork(), rng.fork());
        let helpers = {
            let sender = MediaSender {
                orders: orders.clone(),
                waker: Arc::clone(&waker),
                truths: Arc::clone(&truths),
                recorder: recorder.sender(),
            };
            let report = move |stream, done| sender.order(Order::Done(stream, done));
            Helpers::new(report, config.name_server, rng.fork())
        };
        let machine = run::Machine {
            engine: Engine::new(anchor, engine_rng),
            wires: wires::Wires::new(rtp_ports, dscp, wires_rng, impairment),
            helpers,
            outbox: outbox::Outbox::new(events),
            activity: ticks::Activity::default(),
            microphone,
            speaker,
            tapes: BTreeMap::new(),
            orders: order_queue,
            waker: Arc::clone(&waker),
            truths: Arc::clone(&truths),
            echo: echo.then(|| Box::new(SILENCE)),
        };
        let thread = thread::Builder::new().name("media".into()).spawn(move || {
            if realtime {
                match system::request_realtime() {
                    Ok(()) => journal.line("media thread: real-time priority"),
                    Err(error) => journal.line(format!("media thread: normal priority (real-time refused: {error})")),
                }
            }
            machine.run();
        })?;
        let sender = MediaSender { orders, waker, truths, recorder: recorder.sender() };
        Ok((MediaHandle { sender, thread: Some(thread), _recorder: recorder }, event_queue))
    }
}
