//! The two rings between a device's callback and the media thread, and all that the callbacks do.
//!
//! ```text
//! media thread --> PlaybackEnd [resampler] --ring, f32 mono at the device's rate--> PlaybackCallback --> device
//! media thread <-- CaptureEnd  [resampler] <-ring, f32 mono at the device's rate--- CaptureCallback  <-- device
//!                       ^----------------- Heartbeat: wait-free facts of the callback ------'
//! ```
//!
//! A callback copies, counts and returns: no lock, no allocation, no log, no wake-up.
use cpal::{FromSample, Sample};
use rtrb::{Consumer, Producer, RingBuffer};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
use std::time::{Duration, Instant};

/// Sound a ring holds at most. Rings are kept far emptier; this is room for a stalled reader.
const CAPACITY: Duration = Duration::from_millis(500);

/// How fast a sound that broke off fades away, per sample: about 2 ms to -60 dB at 48 kHz.
const FADE: f32 = 0.93;

/// What a callback tells the media thread and the supervisor about itself.
#[derive(Debug)]
pub struct Heartbeat {
    origin: Instant,
    /// Odd while the four facts below are written.
    sequence: AtomicU32,
    /// Time of the last callback [ns since `origin`].
    at: AtomicU64,
    /// Frames asked for or delivered by the device so far.
    frames: AtomicU64,
    /// Frames of the last callback.
    last: AtomicU64,
    /// From the callback to the sound, or back [ns].
    latency: AtomicU64,
    xruns: AtomicU64,
    errors: AtomicU64,
    lost: AtomicBool,
}

/// The last callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    pub at: Instant,
    pub frames: u64,
    pub last: u64,
    pub latency: Duration,
}

impl Heartbeat {
    pub fn new(origin: Instant) -> Self {
        Self {
            origin,
            sequence: AtomicU32::new(0),
            at: AtomicU64::new(0),
            frames: AtomicU64::new(0),
            last: AtomicU64::new(0),
            latency: AtomicU64::new(0),
            xruns: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            lost: AtomicBool::new(false),
        }
    }

    /// Frames the device moved so far: what the watchdog watches.
    pub fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// Times the ring ran empty or full.
    pub fn xruns(&self) -> u64 {
        self.xruns.load(Ordering::Relaxed)
    }

    /// Errors the sound system reported.
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// The sound system said that the stream is gone.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// For the error callback: it stores and counts, others decide.
    pub fn count_error(&self, fatal: bool) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        if fatal {
            self.lost.store(true, Ordering::Relaxed);
        }
    }

    pub fn count_xrun(&self) {
        self.xruns.fetch_add(1, Ordering::Relaxed);
    }

    /// The last callback; `None` before the first.
    pub fn beat(&self) -> Option<Beat> {
        // One writer, every few milliseconds: a torn read is rare, two in a row do not happen.
        for _ in 0..8 {
            let before = self.sequence.load(Ordering::Acquire);
            let (at, frames) = (self.at.load(Ordering::Relaxed), self.frames.load(Ordering::Relaxed));
            let (last, latency) = (self.last.load(Ordering::Relaxed), self.latency.load(Ordering::Relaxed));
            fence(Ordering::Acquire);
            if before.is_multiple_of(2) && before == self.sequence.load(Ordering::Relaxed) {
                let at = self.origin + Duration::from_nanos(at);
                return (before > 0).then_some(Beat { at, frames, last, latency: Duration::from_nanos(latency) });
            }
        }
        None
    }

    fn store(&self, now: Instant, frames: usize, latency: Duration) {
        let sequence = self.sequence.load(Ordering::Relaxed);
        self.sequence.store(sequence.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        self.at.store(nanos(now.saturating_duration_since(self.origin)), Ordering::Relaxed);
        self.frames.store(self.frames.load(Ordering::Relaxed) + frames as u64, Ordering::Relaxed);
        self.last.store(frames as u64, Ordering::Relaxed);
        self.latency.store(nanos(latency), Ordering::Relaxed);
        self.sequence.store(sequence.wrapping_add(2), Ordering::Release);
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A ring for a device that runs at `rate` \[Hz\].
pub fn ring(rate: u32) -> (Producer<f32>, Consumer<f32>) {
    RingBuffer::new((CAPACITY.as_secs_f64() * f64::from(rate)) as usize)
}

/// Moves sound from the ring into the device's buffer.
#[derive(Debug)]
pub struct PlaybackCallback {
    ring: Consumer<f32>,
    heartbeat: Arc<Heartbeat>,
    channels: usize,
    /// The last sample played, from which a sound that breaks off fades out.
    tail: f32,
    /// The ring was once full enough: from now on an empty one is an underrun, no more the start.
    primed: bool,
}

impl PlaybackCallback {
    pub fn new(ring: Consumer<f32>, heartbeat: Arc<Heartbeat>, channels: u16) -> Self {
        Self { ring, heartbeat, channels: usize::from(channels.max(1)), tail: 0.0, primed: false }
    }

    /// Fills `out`, interleaved; what the ring does not have is silence.
    ///
    /// - `latency`: from now to the moment the first frame of `out` is heard.
    pub fn fill<T: Sample + FromSample<f32>>(&mut self, now: Instant, latency: Duration, out: &mut [T]) {
        let wanted = out.len() / self.channels;
        let ready = self.ring.slots().min(wanted);
        let mut frames = out.chunks_exact_mut(self.channels);
        if let Ok(chunk) = self.ring.read_chunk(ready) {
            let (first, second) = chunk.as_slices();
            for (sample, frame) in first.iter().chain(second).zip(&mut frames) {
                frame.fill(T::from_sample(sample.clamp(-1.0, 1.0)));
                self.tail = *sample;
            }
            chunk.commit_all();
        }
        for frame in frames {
            self.tail = if self.tail.abs() > 1e-5 { self.tail * FADE } else { 0.0 };
            frame.fill(T::from_sample(self.tail.clamp(-1.0, 1.0)));
        }
        if ready < wanted && self.primed {
            self.heartbeat.count_xrun();
        }
        self.primed |= ready == wanted;
        self.heartbeat.store(now, wanted, latency);
    }
}

/// Moves sound from the device's buffer into the ring.
#[derive(Debug)]
pub struct CaptureCallback {
    ring: Producer<f32>,
    heartbeat: Arc<Heartbeat>,
    channels: usize,
}

impl CaptureCallback {
    pub fn new(ring: Producer<f32>, heartbeat: Arc<Heartbeat>, channels: u16) -> Self {
        Self { ring, heartbeat, channels: usize::from(channels.max(1)) }
    }

    /// Takes `input`, interleaved; channels are averaged. What the ring has no room for is lost.
    ///
    /// - `latency`: since the moment the last frame of `input` was picked up.
    pub fn drain<T: Sample>(&mut self, now: Instant, latency: Duration, input: &[T])
    where
        f32: FromSample<T>,
    {
        let frames = input.len() / self.channels;
        let room = self.ring.slots().min(frames);
        if let Ok(chunk) = self.ring.write_chunk_uninit(room) {
            let scale = 1.0 / self.channels as f32;
            chunk.fill_from_iter(
                input
                    .chunks_exact(self.channels)
                    .map(|frame| frame.iter().map(|s| f32::from_sample(*s)).sum::<f32>() * scale),
            );
        }
        if room < frames {
            self.heartbeat.count_xrun();
        }
        self.heartbeat.store(now, frames, latency);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn playback(channels: u16) -> (Producer<f32>, PlaybackCallback, Arc<Heartbeat>, Instant) {
        let (t0, (producer, consumer)) = (Instant::now(), ring(48_000));
        let heartbeat = Arc::new(Heartbeat::new(t0));
        (producer, PlaybackCallback::new(consumer, heartbeat.clone(), channels), heartbeat, t0)
    }

    #[test]
    fn an_empty_ring_is_an_underrun_only_after_the_start() {
        let (mut producer, mut callback, heartbeat, t0) = playback(1);
        let mut out = [1.0_f32; 4];
        assert_eq!(heartbeat.beat(), None);
        callback.fill(t0, Duration::ZERO, &mut out);
        assert_eq!((out, heartbeat.xruns()), ([0.0; 4], 0));
        for _ in 0..6 {
            producer.push(0.5).expect("room");
        }
        callback.fill(t0, Duration::ZERO, &mut out);
        assert_eq!((out, heartbeat.xruns()), ([0.5; 4], 0));
        callback.fill(t0, Duration::ZERO, &mut out);
        assert_eq!(heartbeat.xruns(), 1);
        assert!(out[1] == 0.5 && out[2] < 0.5 && out[3] < out[2], "sound that breaks off fades: {out:?}");
    }

    #[test]
    fn every_format_and_channel_gets_the_same_sound() {
        let (mut producer, mut callback, _, t0) = playback(2);
        for sample in [0.5, -0.5, 2.0] {
            producer.push(sample).expect("room");
        }
        let (mut i16s, mut u16s, mut i32s) = ([7_i16; 2], [7_u16; 2], [7_i32; 2]);
        callback.fill(t0, Duration::ZERO, &mut i16s);
        callback.fill(t0, Duration::ZERO, &mut u16s);
        callback.fill(t0, Duration::ZERO, &mut i32s);
        assert_eq!((i16s, u16s), ([16_384; 2], [16_384; 2]));
        assert!(i32s[0] > 2_147_000_000 && i32s[0] == i32s[1], "full scale, not wrapped: {i32s:?}");
    }

    #[test]
    fn capture_averages_channels_and_counts_what_is_lost() {
        let (t0, (producer, mut consumer)) = (Instant::now(), ring(1_000));
        let heartbeat = Arc::new(Heartbeat::new(t0));
        let mut callback = CaptureCallback::new(producer, heartbeat.clone(), 2);
        callback.drain(t0, Duration::ZERO, &[0.5_f32, 0.25, -1.0, 1.0]);
        assert_eq!([consumer.pop(), consumer.pop()], [Ok(0.375), Ok(0.0)]);
        callback.drain(t0, Duration::ZERO, &[i16::MIN; 4]);
        assert_eq!(consumer.pop(), Ok(-1.0));
        assert_eq!(heartbeat.xruns(), 0);
        callback.drain(t0, Duration::ZERO, &[0_u16; 2_000]);
        assert_eq!((heartbeat.xruns(), consumer.slots()), (1, 500));
    }

    #[test]
    fn the_heartbeat_tells_the_last_callback() {
        let (_producer, mut callback, heartbeat, t0) = playback(2);
        let (t1, latency) = (t0 + Duration::from_millis(7), Duration::from_millis(20));
        callback.fill(t0, latency, &mut [0.0_f32; 20]);
        callback.fill(t1, latency, &mut [0.0_f32; 6]);
        assert_eq!(heartbeat.beat(), Some(Beat { at: t1, frames: 13, last: 3, latency }));
        assert!(!heartbeat.is_lost());
        heartbeat.count_error(false);
        assert!(!heartbeat.is_lost());
        heartbeat.count_error(true);
        assert!(heartbeat.is_lost() && heartbeat.errors() == 2);
    }
}
