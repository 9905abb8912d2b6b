//! The loop of the media thread: one input, then everything the engine has to say, then wait.
use crate::audio::port::{Microphone, Speaker};
use crate::base::id::StreamId;
use crate::media::event::MediaEvent;
use crate::media::frame::{Frame, SILENCE};
use crate::media::session::{Component, Engine, Socket};
use crate::media::spec::MediaCommand;
use crate::media::stats::{DeviceReport, DeviceState};
use crate::runtime::helpers::Helpers;
use crate::runtime::interfaces;
use crate::runtime::media_socket::BindError;
use crate::runtime::media_thread::outbox::Outbox;
use crate::runtime::media_thread::system::{Waker, pollfd, wait};
use crate::runtime::media_thread::ticks::{Activity, Change, TICK, Ticks};
use crate::runtime::media_thread::wires::{Sent, Wires};
use crate::runtime::media_thread::{Order, Truths};
use crate::runtime::recorder::Tape;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How often slow facts are told: the devices' counters, the simulated network's truth.
const SLOW: Duration = Duration::from_secs(1);
/// A drift is worth telling when it moved by this much \[ppm\].
const DRIFT_STEP: f64 = 5.0;

/// All the thread owns.
pub struct Machine {
    pub engine: Engine,
    pub wires: Wires,
    pub helpers: Helpers,
    pub outbox: Outbox,
    pub activity: Activity,
    pub microphone: Microphone,
    pub speaker: Speaker,
    pub tapes: BTreeMap<StreamId, Tape>,
    pub orders: Receiver<Order>,
    pub waker: Arc<Waker>,
    pub truths: Arc<Mutex<Truths>>,
    /// What was played last, when that is what the microphone shall hear.
    pub echo: Option<Box<Frame>>,
}

impl Machine {
    pub fn run(mut self) {
        let start = Instant::now();
        let mut ticks = Ticks::new(start);
        let mut descriptors = Vec::new();
        let mut told = DeviceReport::default();
        let mut slow_at = start + SLOW;
        let mut open = BTreeSet::new();
        // The devices open at the start, so that their troubles are known before the first call.
        self.activity.touch(start);
        let mut was_active = true;
        loop {
            descriptors.clear();
            descriptors.push(pollfd(self.waker.fd()));
            descriptors.extend(self.wires.descriptors());
            wait(&mut descriptors, self.wake_up(&ticks, was_active, slow_at));
            let now = Instant::now();

            if descriptors[0].revents != 0 {
                self.waker.clear();
                while let Ok(order) = self.orders.try_recv() {
                    if matches!(order, Order::Shutdown) {
                        return self.finish(now, &ticks, &open);
                    }
                    self.handle_order(now, order, &mut open);
                    self.drain(now);
                }
            }
            // Packets before frames: what is here is in time.
            let engine = &mut self.engine;
            self.wires.receive(now, &descriptors[1..], |datagram| engine.handle_datagram(now, datagram));
            self.wires.handle_timeout(now);
            self.drain(now);
            if self.engine.poll_timeout().is_some_and(|at| at <= now) {
                self.engine.handle_timeout(now);
                self.drain(now);
            }
            // Not `||`: both are to be asked.
            let mut news = self.microphone.take_notes() | self.speaker.take_notes();

            let active = self.activity.is_active(now);
            if active && was_active {
                if let Some((from, frames)) = ticks.skip_hopeless(now) {
                    self.speaker.skip(from, frames);
                }
                while let Some(at) = ticks.take(now) {
                    self.handle_tick(now, at);
                    self.drain(now);
                }
            } else if let Some((from, frames)) = ticks.skip(now, 0) {
                self.speaker.skip(from, frames);
            }
            if was_active && !active {
                self.microphone.suspend();
                self.speaker.suspend();
            }
            was_active = active;

            if now >= slow_at {
                slow_at = now + SLOW;
                news = true;
                self.tell_truths();
            }
            if news {
                self.tell_devices(now, &mut told);
            }
            self.outbox.flush();
        }
    }

    /// When there is something to do without anybody's asking.
    fn wake_up(&self, ticks: &Ticks, active: bool, slow_at: Instant) -> Option<Instant> {
        let tick = active.then(|| ticks.next());
        let slow = (active || self.speaker.keeps_time() || self.wires.is_simulated()).then_some(slow_at);
        let retry = self.outbox.is_waiting().then(|| Instant::now() + TICK);
        [tick, slow, retry, self.engine.poll_timeout(), self.wires.poll_timeout()].into_iter().flatten().min()
    }

    fn handle_order(&mut self, now: Instant, order: Order, open: &mut BTreeSet<StreamId>) {
        match order {
            Order::Media(command) => self.handle_command(now, command, open),
            Order::Record { stream, recording } => {
                let (recording, tape) = recording.unzip();
                self.engine.handle_command(now, MediaCommand::Record { stream, recording });
                // A stream that was closed meanwhile has nothing to record.
                match tape.filter(|_| self.engine.tap(stream).is_some()) {
                    Some(tape) => drop(self.tapes.insert(stream, tape)),
                    None => drop(self.tapes.remove(&stream)),
                }
            }
            Order::Devices { microphone, speaker } => {
                if let Some(choice) = microphone {
                    self.microphone.choose(choice);
                }
                if let Some(choice) = speaker {
                    self.speaker.choose(choice);
                }
            }
            Order::Music(music) => self.engine.set_music(music),
            Order::Impair(impairment) => self.wires.impair(impairment),
            Order::Done(stream, done) => self.engine.handle_done(now, stream, done),
            Order::Shutdown => {}
        }
    }

    fn handle_command(&mut self, now: Instant, command: MediaCommand, open: &mut BTreeSet<StreamId>) {
        match self.activity.handle_command(now, &command) {
            Change::None => {}
            Change::Begins => {
                self.microphone.resume();
                self.speaker.resume();
            }
            Change::Talks => self.microphone.resume(),
        }
        match command {
            MediaCommand::Open { stream, local, gather: Some(gather) } => {
                let others = interfaces::usable(local, gather.credentials.is_some());
                match self.wires.open_all(stream, local, &others) {
                    Ok(sockets) => {
                        open.insert(stream);
                        let socket =
                            |(component, local): (Component, _)| Socket { component: component.number(), local };
                        let sockets = sockets.into_iter().map(socket).collect();
                        self.engine.handle_gather(now, stream, sockets, *gather);
                    }
                    Err(error) => self.refuse_open(stream, error, open),
                }
            }
            MediaCommand::Open { stream, local, gather: None } => match self.wires.open(stream, local) {
                Ok((rtp, rtcp)) => {
                    open.insert(stream);
                    self.engine.handle_opened(now, stream, rtp, rtcp);
                }
                Err(error) => self.refuse_open(stream, error, open),
            },
            MediaCommand::Configure { stream, spec } => {
                self.wires.configure(stream, &spec);
                self.engine.handle_command(now, MediaCommand::Configure { stream, spec });
            }
            MediaCommand::Close { stream, reason } => {
                open.remove(&stream);
                self.engine.handle_command(now, MediaCommand::Close { stream, reason });
            }
            command => self.engine.handle_command(now, command),
        }
    }

    fn refuse_open(&mut self, stream: StreamId, error: BindError, open: &BTreeSet<StreamId>) {
        if !open.contains(&stream) {
            self.activity.closed(stream);
        }
        self.outbox.push(MediaEvent::OpenFailed { stream, error: error.to_string() });
    }

    /// One frame in each direction.
    fn handle_tick(&mut self, now: Instant, at: Instant) {
        let mut frame = SILENCE;
        match &self.echo {
            Some(heard) => frame = **heard,
            None => self.microphone.read(at, &mut frame),
        }
        self.engine.handle_capture(now, &frame);
        self.engine.handle_playout(now, self.speaker.plays_at(at), &mut frame);
        for (stream, tape) in &mut self.tapes {
            if let Some(tap) = self.engine.tap(*stream) {
                tape.push(at, tap);
            }
        }
        if let Some(heard) = &mut self.echo {
            **heard = frame;
        }
        self.speaker.write(at, &frame);
    }

    /// Carries out all the engine asks for.
    fn drain(&mut self, now: Instant) {
        while let Some(transmit) = self.engine.poll_transmit() {
            let (stream, component) = (transmit.stream, transmit.component);
            match self.wires.send(now, transmit) {
                Sent::Yes(buffer) => self.engine.recycle(buffer),
                Sent::Later => {}
                Sent::Refused => self.engine.handle_refused(stream, component),
            }
        }
        while let Some((stream, order)) = self.engine.poll_order() {
            self.helpers.order(stream, order);
        }
        while let Some(event) = self.engine.poll_event() {
            self.outbox.push(event);
        }
        while let Some(stream) = self.engine.poll_closed() {
            self.tapes.remove(&stream);
            self.activity.closed(stream);
            self.helpers.forget(stream);
            self.wires.close(stream);
        }
    }

    fn tell_truths(&mut self) {
        // Somebody reads it now: the next second will do.
        if self.wires.is_simulated()
            && let Ok(mut truths) = self.truths.try_lock()
        {
            *truths = self.wires.truths();
        }
    }

    fn tell_devices(&mut self, now: Instant, told: &mut DeviceReport) {
        let report = DeviceReport { capture: self.microphone.state(now), playback: self.speaker.state(now) };
        if differs(&report.capture, &told.capture) || differs(&report.playback, &told.playback) {
            *told = report.clone();
            self.engine.handle_device(now, report);
            self.drain(now);
        }
    }

    /// Says goodbye on all streams and finishes the files.
    fn finish(mut self, now: Instant, ticks: &Ticks, open: &BTreeSet<StreamId>) {
        for stream in open {
            self.engine.handle_command(now, MediaCommand::Close { stream: *stream, reason: "shutting down".into() });
            self.drain(now);
        }
        let late = now.saturating_duration_since(ticks.next());
        self.speaker.skip(ticks.next(), u64::try_from(late.as_nanos() / TICK.as_nanos()).unwrap_or(0));
        self.microphone.finish();
        self.speaker.finish();
        self.outbox.flush();
    }
}

/// Worth telling: not every step of the drift is.
fn differs(new: &DeviceState, old: &DeviceState) -> bool {
    let moved = match (new.drift, old.drift) {
        (Some(new), Some(old)) => (new - old).abs() > DRIFT_STEP,
        (new, old) => new.is_some() != old.is_some(),
    };
    moved || *new != (DeviceState { drift: new.drift, ..old.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_step_of_the_drift_is_not_news() {
        let old = DeviceState { name: "card".into(), drift: Some(100.0), ..DeviceState::default() };
        let rows = [
            (DeviceState { drift: Some(104.0), ..old.clone() }, false),
            (DeviceState { drift: Some(94.0), ..old.clone() }, true),
            (DeviceState { drift: None, ..old.clone() }, true),
            (DeviceState { xruns: 1, ..old.clone() }, true),
            (old.clone(), false),
        ];
        for (new, news) in rows {
            assert_eq!(differs(&new, &old), news, "{new:?}");
        }
    }
}
