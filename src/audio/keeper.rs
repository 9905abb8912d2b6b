//! The thread beside a microphone or speaker that opens, watches and closes what is behind it.
use crate::audio::choice::DeviceChoice;
use crate::audio::devices::{DeviceError, SoundSystems};
use crate::audio::port::End;
use crate::audio::ring::Heartbeat;
use crate::audio::supervisor::{Action, Input, Watch};
use crate::media::frame::{FRAME, FRAME_RATE};
use crate::media::stats::DeviceState;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Instant;

/// What the media thread asks of a keeper.
#[derive(Debug)]
pub enum Order<E> {
    Resume,
    Suspend,
    Choose(DeviceChoice),
    /// An end that is no longer used, to be freed where it disturbs nobody.
    Dispose(E),
    Stop,
}

/// What a keeper tells the media thread.
#[derive(Debug)]
pub struct Note<E> {
    /// To be used from now on.
    pub end: Option<E>,
    pub state: DeviceState,
}

type Spawned<E> = (JoinHandle<()>, Sender<Order<E>>, Receiver<Note<E>>);

/// Starts a keeper, which opens `choice` at once.
pub fn spawn<E: End>(
    systems: Arc<SoundSystems>,
    choice: DeviceChoice,
    wake: Arc<dyn Fn() + Send + Sync>,
) -> io::Result<Spawned<E>> {
    let (order_sender, orders) = mpsc::channel();
    let (notes, note_receiver) = mpsc::channel();
    let state = DeviceState { name: choice.to_string(), ..DeviceState::default() };
    let keeper = Keeper { systems, choice, wake, notes, state, watch: Watch::default(), stream: None, in_use: true };
    let thread = thread::Builder::new().name(E::DIRECTION.word().into()).spawn(move || keeper.run(&orders))?;
    Ok((thread, order_sender, note_receiver))
}

struct Keeper<E> {
    systems: Arc<SoundSystems>,
    choice: DeviceChoice,
    wake: Arc<dyn Fn() + Send + Sync>,
    notes: Sender<Note<E>>,
    /// As told last.
    state: DeviceState,
    watch: Watch,
    stream: Option<(cpal::Stream, Arc<Heartbeat>)>,
    /// Sound is needed.
    in_use: bool,
}

impl<E: End> Keeper<E> {
    fn run(mut self, orders: &Receiver<Order<E>>) {
        self.begin();
        loop {
            let order = match self.watch.poll_timeout(Instant::now()) {
                None => orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(at) => orders.recv_timeout(at.saturating_duration_since(Instant::now())),
            };
            match order {
                Ok(Order::Resume) => {
                    if !self.choice.is_virtual() {
                        self.decide(Input::Resume);
                    } else if E::rewinds(&self.choice) {
                        self.open_virtual();
                    }
                    self.in_use = true;
                }
                Ok(Order::Suspend) => {
                    self.in_use = false;
                    self.decide(Input::Suspend);
                }
                Ok(Order::Choose(choice)) => {
                    self.decide(Input::Suspend);
                    self.choice = choice;
                    self.begin();
                }
                Ok(Order::Dispose(end)) => drop(end),
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    let (frames, lost) = self.stream.as_ref().map_or((0, false), |(_, h)| (h.frames(), h.is_lost()));
                    self.decide(Input::Look { frames, lost });
                }
            }
        }
    }

    /// Brings up a device that was just chosen.
    fn begin(&mut self) {
        if self.choice.is_virtual() {
            self.open_virtual();
        } else {
            // Also when nobody needs it: whoever chose it wants to know whether it works.
            self.decide(Input::Resume);
            if !self.in_use {
                self.decide(Input::Suspend);
            }
        }
    }

    fn decide(&mut self, input: Input) {
        let mut input = input;
        while let Some(action) = self.watch.handle(Instant::now(), input) {
            match action {
                Action::Open => match self.open_card() {
                    Ok(()) => input = Input::Opened,
                    Err(error) => {
                        self.tell_trouble(error.to_string());
                        input = Input::Failed;
                    }
                },
                Action::Close => {
                    self.close(input);
                    return;
                }
            }
        }
    }

    fn open_card(&mut self) -> Result<(), DeviceError> {
        let (opened, card) = self.systems.open(&self.choice, E::DIRECTION, E::open_card)?;
        let state = DeviceState {
            name: card.name,
            running: true,
            sample_rate: opened.rate,
            period: opened.period,
            ..DeviceState::default()
        };
        self.stream = Some((opened.stream, opened.heartbeat));
        self.tell(Some(opened.end), state);
        Ok(())
    }

    fn open_virtual(&mut self) {
        match E::open_virtual(&self.choice) {
            Ok(end) => {
                let state = DeviceState {
                    name: self.choice.to_string(),
                    running: true,
                    is_virtual: true,
                    sample_rate: FRAME_RATE,
                    period: FRAME as u32,
                    ..DeviceState::default()
                };
                self.tell(Some(end), state);
            }
            Err(error) => {
                self.state.name = self.choice.to_string();
                self.tell_trouble(error.to_string());
            }
        }
    }

    /// The stand-in first, so that sound goes on while the sound system takes its time.
    fn close(&mut self, why: Input) {
        let state = match why {
            Input::Suspend => DeviceState { running: false, is_virtual: false, ..self.state.clone() },
            _ => DeviceState {
                running: false,
                is_virtual: true,
                trouble: Some(format!("{} stopped; it is tried again", self.state.name)),
                ..self.state.clone()
            },
        };
        self.tell(Some(E::stand_in()), state);
        self.stream = None;
    }

    fn tell_trouble(&mut self, trouble: String) {
        let state = DeviceState { running: false, is_virtual: true, trouble: Some(trouble), ..self.state.clone() };
        if state != self.state {
            self.tell(Some(E::stand_in()), state);
        }
    }

    fn tell(&mut self, end: Option<E>, state: DeviceState) {
        self.state = state.clone();
        // Nobody listens any more only when the phone ends.
        let _ = self.notes.send(Note { end, state });
        (self.wake)();
    }
}
