//! The media thread's microphone and speaker: whatever is behind them, they are always there.
use crate::audio::choice::{DeviceChoice, Direction};
use crate::audio::devices::{DeviceError, SoundSystems};
use crate::audio::ends::{CaptureEnd, PlaybackEnd};
use crate::audio::keeper::{Note, Order, spawn};
use crate::audio::stream::{Card, OpenStream};
use crate::audio::virtual_device::{FileSink, FileSource, ToneSource};
use crate::media::frame::{Frame, SILENCE};
use crate::media::stats::DeviceState;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A device that hangs in its sound system is left behind after this long.
const PATIENCE: Duration = Duration::from_secs(3);

/// Where captured sound comes from.
#[derive(Debug)]
pub enum Source {
    Silence,
    Tone(ToneSource),
    File(FileSource),
    Card(Box<CaptureEnd>),
}

/// Where played sound goes to.
#[derive(Debug)]
pub enum Sink {
    Null,
    File(FileSink),
    Card(Box<PlaybackEnd>),
}

/// What an end knows of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    pub xruns: u64,
    /// \[ppm\]
    pub drift: Option<f64>,
    pub trouble: Option<String>,
}

/// One direction's end, as its keeper makes it.
pub trait End: Sized + Send + 'static {
    const DIRECTION: Direction;

    /// Plays the part of a device that is not there.
    fn stand_in() -> Self;
    fn open_virtual(choice: &DeviceChoice) -> Result<Self, DeviceError>;
    fn open_card(card: &Card) -> Result<OpenStream<Self>, DeviceError>;
    /// A virtual device that starts anew with each use.
    fn rewinds(choice: &DeviceChoice) -> bool;
    fn facts(&self, now: Instant) -> Facts;
}

impl End for Source {
    const DIRECTION: Direction = Direction::Capture;

    fn stand_in() -> Self {
        Self::Silence
    }

    fn open_virtual(choice: &DeviceChoice) -> Result<Self, DeviceError> {
        Ok(match choice {
            DeviceChoice::Tone(hz) => Self::Tone(ToneSource::new(*hz)),
            DeviceChoice::Wav { path, repeat } => Self::File(FileSource::open(path, *repeat)?),
            _ => Self::Silence,
        })
    }

    fn open_card(card: &Card) -> Result<OpenStream<Self>, DeviceError> {
        Ok(card.open_capture()?.map(|end| Self::Card(Box::new(end))))
    }

    fn rewinds(choice: &DeviceChoice) -> bool {
        matches!(choice, DeviceChoice::Wav { .. })
    }

    fn facts(&self, now: Instant) -> Facts {
        match self {
            Self::Silence | Self::Tone(_) => Facts::default(),
            Self::File(file) => Facts { xruns: file.late(), ..Facts::default() },
            Self::Card(end) => Facts { xruns: end.xruns(), drift: end.drift(now), trouble: None },
        }
    }
}

impl End for Sink {
    const DIRECTION: Direction = Direction::Playback;

    fn stand_in() -> Self {
        Self::Null
    }

    fn open_virtual(choice: &DeviceChoice) -> Result<Self, DeviceError> {
        Ok(match choice {
            DeviceChoice::Wav { path, .. } => Self::File(FileSink::create(path)?),
            _ => Self::Null,
        })
    }

    fn open_card(card: &Card) -> Result<OpenStream<Self>, DeviceError> {
        Ok(card.open_playback()?.map(|end| Self::Card(Box::new(end))))
    }

    fn rewinds(_: &DeviceChoice) -> bool {
        false
    }

    fn facts(&self, now: Instant) -> Facts {
        match self {
            Self::Null => Facts::default(),
            Self::File(file) => Facts { xruns: file.lost(), drift: None, trouble: file.trouble() },
            Self::Card(end) => Facts { xruns: end.xruns(), drift: end.drift(now), trouble: None },
        }
    }
}

/// The media thread's side of one direction.
#[derive(Debug)]
pub struct Port<E: End> {
    end: E,
    orders: Sender<Order<E>>,
    notes: Receiver<Note<E>>,
    keeper: Option<JoinHandle<()>>,
    state: DeviceState,
    /// Of the ends before this one.
    xruns: u64,
}

pub type Microphone = Port<Source>;
pub type Speaker = Port<Sink>;

impl<E: End> Port<E> {
    /// Starts the keeper, which opens the device at once.
    ///
    /// - `wake`: called from the keeper's thread when [`Port::take_notes`] has something to take.
    pub fn start(
        systems: Arc<SoundSystems>,
        choice: DeviceChoice,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> io::Result<Self> {
        let state = DeviceState { name: choice.to_string(), ..DeviceState::default() };
        let (keeper, orders, notes) = spawn(systems, choice, wake)?;
        Ok(Self { end: E::stand_in(), orders, notes, keeper: Some(keeper), state, xruns: 0 })
    }

    /// Takes the device that was opened or lost meanwhile. Returns whether there was any news.
    pub fn take_notes(&mut self) -> bool {
        let mut news = false;
        while let Ok(note) = self.notes.try_recv() {
            news = true;
            self.state = note.state;
            if let Some(end) = note.end {
                self.xruns += self.end.facts(Instant::now()).xruns;
                // Freeing an end may take its time: not here.
                let _ = self.orders.send(Order::Dispose(std::mem::replace(&mut self.end, end)));
            }
        }
        news
    }

    /// Sound is needed from now on.
    pub fn resume(&self) {
        let _ = self.orders.send(Order::Resume);
    }

    /// Sound is not needed for a while: the device is closed.
    pub fn suspend(&self) {
        let _ = self.orders.send(Order::Suspend);
    }

    pub fn choose(&self, choice: DeviceChoice) {
        let _ = self.orders.send(Order::Choose(choice));
    }

    pub fn state(&self, now: Instant) -> DeviceState {
        let facts = self.end.facts(now);
        let mut state = self.state.clone();
        (state.xruns, state.drift) = (self.xruns + facts.xruns, facts.drift);
        state.trouble = state.trouble.or(facts.trouble);
        state
    }

    /// Closes the device and finishes its files.
    pub fn finish(mut self) {
        let _ = self.orders.send(Order::Stop);
        // Dropping the end closes its file.
        self.end = E::stand_in();
        let Some(keeper) = self.keeper.take() else { return };
        let until = Instant::now() + PATIENCE;
        while !keeper.is_finished() && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
        if keeper.is_finished() {
            let _ = keeper.join();
        }
    }
}

impl Port<Source> {
    /// Fetches the frame that was due at `at`.
    pub fn read(&mut self, at: Instant, frame: &mut Frame) {
        match &mut self.end {
            Source::Silence => *frame = SILENCE,
            Source::Tone(tone) => tone.read(frame),
            Source::File(file) => file.read(frame),
            Source::Card(end) => end.read(at, frame),
        }
    }
}

impl Port<Sink> {
    /// Plays the frame that was due at `at`.
    pub fn write(&mut self, at: Instant, frame: &Frame) {
        match &mut self.end {
            Sink::Null => {}
            Sink::File(file) => file.write(at, frame),
            Sink::Card(end) => end.write(at, frame),
        }
    }

    /// When the first sample of the frame that is due at `at` will be heard.
    pub fn plays_at(&self, at: Instant) -> Instant {
        match &self.end {
            Sink::Null | Sink::File(_) => at,
            Sink::Card(end) => end.plays_at(at),
        }
    }

    /// `frames` frames of time went by without sound, from `at` on.
    pub fn skip(&mut self, at: Instant, frames: u64) {
        if let Sink::File(file) = &mut self.end {
            file.skip(at, frames);
        }
    }

    /// Time must be kept for this device also while nothing is heard.
    pub fn keeps_time(&self) -> bool {
        matches!(self.end, Sink::File(_))
    }
}
