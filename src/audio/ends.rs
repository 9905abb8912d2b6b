//! The media thread's ends of the rings: frames of 10 ms in and out at our clock, whatever the device's clock does.
use crate::audio::drift::Steer;
use crate::audio::resample::Resampler;
use crate::audio::ring::{Beat, Heartbeat};
use crate::media::frame::{FRAME, FRAME_RATE, Frame};
use rtrb::{Consumer, Producer};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Sound kept in the ring beyond what one callback takes, for threads that wake up late.
const MARGIN: Duration = Duration::from_millis(6);
/// Added by each time the ring ran dry, up to `MAX_MARGIN`, and taken back slowly.
const MARGIN_STEP: Duration = Duration::from_millis(4);
const MAX_MARGIN: Duration = Duration::from_millis(80);
/// What is left of the addition after each `MARGIN_BACK_EVERY` without an underrun: half in about four minutes.
const MARGIN_BACK: f64 = 0.985;
const MARGIN_BACK_EVERY: Duration = Duration::from_secs(5);
/// Beyond this distance from its target the fill is set, not steered.
const JUMP: Duration = Duration::from_millis(40);
/// A device just opened is watched this long; then the fill is set by what was seen, and steered from there.
const SETTLE: Duration = Duration::from_millis(300);
const NEARLY: Duration = Duration::from_millis(1);

/// What both directions share: the depth of the ring and how it is held.
#[derive(Debug)]
struct Depth {
    rate: u32,
    heartbeat: Arc<Heartbeat>,
    steer: Steer,
    margin: Duration,
    xruns_seen: u64,
    eased: Option<Instant>,
    settling: Settling,
}

/// The first readings of a device.
#[derive(Debug, Default)]
struct Settling {
    since: Option<Instant>,
    sum: f64,
    count: u32,
    is_over: bool,
}

/// What is to be done about one reading.
enum Verdict {
    /// Run the resampler with this correction.
    Steer(f64),
    /// Set the fill by this many frames.
    Jump(f64),
}

impl Depth {
    fn new(rate: u32, heartbeat: Arc<Heartbeat>) -> Self {
        Self {
            rate,
            steer: Steer::new(rate),
            margin: MARGIN,
            xruns_seen: heartbeat.xruns(),
            heartbeat,
            eased: None,
            settling: Settling::default(),
        }
    }

    /// Judges a reading: `off` is how far the fill is from its target, with the sign that [`Steer`] wants.
    fn judge(&mut self, at: Instant, off: f64, ran_dry: bool) -> Verdict {
        let Settling { since, sum, count, is_over } = &mut self.settling;
        let jump = if *is_over {
            (ran_dry || off.abs() > self.rate as f64 * JUMP.as_secs_f64()).then_some(off)
        } else {
            let first = since.is_none();
            let since = *since.get_or_insert(at);
            let watched = at.saturating_duration_since(since);
            // The first callbacks come in a burst.
            if watched >= SETTLE / 2 {
                (*sum, *count) = (*sum + off, *count + 1);
            }
            *is_over = watched >= SETTLE;
            if first || ran_dry {
                (*sum, *count) = (0.0, 0);
                Some(off)
            } else if *is_over {
                let mean = *sum / f64::from((*count).max(1));
                // What is nearly right is steered: a jump can be heard.
                (mean.abs() > f64::from(self.rate) * NEARLY.as_secs_f64()).then_some(mean)
            } else {
                return Verdict::Steer(0.0);
            }
        };
        match jump {
            Some(frames) => {
                self.steer.handle_jump();
                Verdict::Jump(frames)
            }
            None => Verdict::Steer(self.steer.handle_reading(at, off)),
        }
    }

    fn frames(&self, time: Duration) -> f64 {
        time.as_secs_f64() * f64::from(self.rate)
    }

    /// Frames the device's clock moved from its last callback to `at`: negative when the callback came after it.
    fn since(&self, beat: &Beat, at: Instant) -> f64 {
        // A device that stalls does not move on: more than a few callbacks are never overdue.
        let most = (4 * beat.last) as f64;
        let ahead = self.frames(at.saturating_duration_since(beat.at)).min(most);
        ahead - self.frames(beat.at.saturating_duration_since(at))
    }

    /// Widens the margin when the ring ran dry, and narrows it slowly while it does not. Returns whether it ran dry.
    ///
    /// - `spare`: what the ring has beyond the next callback, counted from when the frame was due: after an underrun
    ///   it is the depth that would have been enough \[frames\].
    fn adapt(&mut self, now: Instant, spare: f64) -> bool {
        let xruns = self.heartbeat.xruns();
        let eased = *self.eased.get_or_insert(now);
        if xruns > self.xruns_seen {
            let enough = Duration::from_secs_f64(spare.max(0.0) / f64::from(self.rate));
            self.margin = (self.margin + MARGIN_STEP).max(enough).min(MAX_MARGIN);
            (self.xruns_seen, self.eased) = (xruns, Some(now));
            return true;
        }
        if now.saturating_duration_since(eased) > MARGIN_BACK_EVERY {
            self.margin = MARGIN + (self.margin - MARGIN).mul_f64(MARGIN_BACK);
            self.eased = Some(now);
        }
        false
    }
}

/// Sound on its way to a speaker.
#[derive(Debug)]
pub struct PlaybackEnd {
    ring: Producer<f32>,
    resampler: Resampler,
    depth: Depth,
    scratch: Vec<f32>,
    /// Samples to be left out, since the ring holds too many.
    surplus: usize,
}

impl PlaybackEnd {
    /// - `rate`: of the device \[Hz\].
    pub fn new(ring: Producer<f32>, heartbeat: Arc<Heartbeat>, rate: u32) -> Self {
        Self::with_resampler(ring, heartbeat, rate, Resampler::new(FRAME_RATE, rate))
    }

    fn with_resampler(ring: Producer<f32>, heartbeat: Arc<Heartbeat>, rate: u32, resampler: Resampler) -> Self {
        let most = (FRAME * rate as usize).div_ceil(FRAME_RATE as usize) + 64;
        Self { ring, resampler, depth: Depth::new(rate, heartbeat), scratch: vec![0.0; most], surplus: 0 }
    }

    /// Hands over the next 10 ms. To be called once for every 10 ms of our clock.
    ///
    /// - `at`: when that was due; being called later does not disturb the reading of the clocks.
    pub fn write(&mut self, at: Instant, frame: &Frame) {
        self.resampler.push(frame);
        let made = self.resampler.pull(&mut self.scratch);
        match self.depth.heartbeat.beat() {
            // The device has not begun: keep what its first callback takes, and no more.
            None => {
                if self.fill() as f64 > 2.0 * self.depth.frames(self.depth.margin) {
                    return;
                }
            }
            Some(beat) => {
                // What is left when the next callback is due, this frame not counted: the lowest point of the fill.
                let lowest = self.fill() as f64 - self.depth.since(&beat, at);
                let ran_dry = self.depth.adapt(at, lowest);
                let short = self.depth.frames(self.depth.margin) - lowest;
                match self.depth.judge(at, short, ran_dry) {
                    Verdict::Steer(correction) => self.resampler.correct(correction),
                    Verdict::Jump(frames) if frames > 0.0 => self.pad(frames as usize),
                    // What is in the ring cannot be taken back: so much of what comes is left out.
                    Verdict::Jump(frames) => self.surplus = -frames as usize,
                }
            }
        }
        let left_out = self.surplus.min(made);
        self.surplus -= left_out;
        // A full ring means that nobody listens; the watchdog sees it too.
        let _ = self.ring.push_partial_slice(&self.scratch[left_out..made]);
    }

    /// When the first sample of the next frame is heard.
    pub fn plays_at(&self, now: Instant) -> Instant {
        let depth = |frames: f64| Duration::from_secs_f64(frames / f64::from(self.depth.rate));
        match self.depth.heartbeat.beat() {
            Some(beat) => (beat.at + beat.latency + depth((beat.last as usize + self.fill()) as f64)).max(now),
            None => now + depth(self.fill() as f64),
        }
    }

    /// Times the ring ran empty or full.
    pub fn xruns(&self) -> u64 {
        self.depth.heartbeat.xruns()
    }

    pub fn drift(&self, now: Instant) -> Option<f64> {
        self.depth.steer.drift(now)
    }

    fn fill(&self) -> usize {
        self.ring.buffer().capacity() - self.ring.slots()
    }

    fn pad(&mut self, frames: usize) {
        let room = self.ring.slots().min(frames);
        if let Ok(chunk) = self.ring.write_chunk(room) {
            chunk.commit_all();
        }
    }
}

/// Sound that comes from a microphone.
#[derive(Debug)]
pub struct CaptureEnd {
    ring: Consumer<f32>,
    resampler: Resampler,
    depth: Depth,
    scratch: Vec<f32>,
    /// The ring reached its depth once: from now on an empty ring is a fault.
    primed: bool,
}

impl CaptureEnd {
    /// - `rate`: of the device \[Hz\].
    pub fn new(ring: Consumer<f32>, heartbeat: Arc<Heartbeat>, rate: u32) -> Self {
        Self::with_resampler(ring, heartbeat, rate, Resampler::new(rate, FRAME_RATE))
    }

    fn with_resampler(ring: Consumer<f32>, heartbeat: Arc<Heartbeat>, rate: u32, resampler: Resampler) -> Self {
        let capacity = ring.buffer().capacity();
        Self { ring, resampler, depth: Depth::new(rate, heartbeat), scratch: vec![0.0; capacity], primed: false }
    }

    /// Fetches the next 10 ms. To be called once for every 10 ms of our clock. Silence where the device gave nothing.
    ///
    /// - `at`: when that was due.
    pub fn read(&mut self, at: Instant, frame: &mut Frame) {
        frame.fill(0.0);
        let Some(beat) = self.depth.heartbeat.beat() else { return };
        let needed = self.resampler.needed(FRAME);
        // All the device picked up, including what its next callback will bring.
        let held = self.ring.slots() as f64 + self.depth.since(&beat, at);
        let spare = held - needed as f64 - beat.last as f64;
        self.depth.adapt(at, spare);
        let mut excess = spare - self.depth.frames(self.depth.margin);
        if !self.primed {
            if excess < 0.0 {
                return;
            }
            self.primed = true;
            self.discard(excess as usize);
            excess = 0.0;
        }
        // A fast device fills the ring: the resampler makes fewer samples out of more.
        match self.depth.judge(at, excess, false) {
            Verdict::Steer(correction) => self.resampler.correct(-correction),
            Verdict::Jump(frames) if frames > 0.0 => self.discard(frames as usize),
            // Too little is there: what comes is saved up in silence.
            Verdict::Jump(_) => {
                self.primed = false;
                return;
            }
        }
        let needed = self.resampler.needed(FRAME);
        if self.ring.slots() < needed {
            self.depth.heartbeat.count_xrun();
            // Wait until the ring has its depth again, rather than run dry at every frame.
            self.primed = false;
            self.depth.steer.handle_jump();
            return;
        }
        let (taken, _) = self.ring.pop_partial_slice(&mut self.scratch[..needed]);
        self.resampler.push(taken);
        self.resampler.pull(frame);
    }

    /// Times the ring ran empty or full.
    pub fn xruns(&self) -> u64 {
        self.depth.heartbeat.xruns()
    }

    pub fn drift(&self, now: Instant) -> Option<f64> {
        self.depth.steer.drift(now)
    }

    fn discard(&mut self, frames: usize) {
        let frames = self.ring.slots().min(frames);
        if let Ok(chunk) = self.ring.read_chunk(frames) {
            chunk.commit_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::ring::{CaptureCallback, PlaybackCallback, ring};
    use crate::base::rng::Rng;
    use std::f64::consts::TAU;

    /// A device and a media thread whose clocks and wake-ups disagree.
    #[derive(Clone, Copy)]
    struct World {
        ppm: f64,
        rate: u32,
        /// \[ms\]
        period: f64,
        /// The device's callbacks come up to this late \[ms\].
        callback_late: f64,
        /// The media thread wakes up to this late \[ms\].
        thread_late: f64,
    }

    const CALM: World = World { ppm: 0.0, rate: 48_000, period: 10.0, callback_late: 0.5, thread_late: 0.5 };

    /// What happens in `seconds`: callbacks and ticks in the order of their real time, as (due, real, is a tick) \[s\].
    fn schedule(world: World, seconds: f64) -> Vec<(f64, f64, bool)> {
        let (mut rng, mut out) = (Rng::from_u64(7), Vec::new());
        let period = world.period * 1e-3 / (1.0 + world.ppm * 1e-6);
        for n in 0..(seconds / period) as u32 {
            let due = 0.0317 + f64::from(n) * period;
            out.push((due, due + rng.unit() * world.callback_late * 1e-3, false));
        }
        let mut last = 0.0_f64;
        for n in 0..(seconds * 100.0) as u32 {
            let due = f64::from(n) * 0.01;
            last = last.max(due + rng.unit() * world.thread_late * 1e-3);
            out.push((due, last, true));
        }
        out.retain(|(_, real, _)| *real < seconds);
        out.sort_by(|a, b| a.1.total_cmp(&b.1));
        out
    }

    struct Outcome {
        xruns: u64,
        drift: f64,
        /// Longest time from `write` to the sound, or from the sound to `read`, in the second half \[ms\].
        delay: f64,
        /// Largest step between two samples in the second half, of a sine of 440 Hz at half scale.
        step: f32,
    }

    fn at(t0: Instant, seconds: f64) -> Instant {
        t0 + Duration::from_secs_f64(seconds)
    }

    fn play(world: World, seconds: f64) -> Outcome {
        let (t0, (producer, consumer)) = (Instant::now(), ring(world.rate));
        let heartbeat = Arc::new(Heartbeat::new(t0));
        let mut callback = PlaybackCallback::new(consumer, heartbeat.clone(), 1);
        let mut end =
            PlaybackEnd::with_resampler(producer, heartbeat.clone(), world.rate, short_filter(FRAME_RATE, world.rate));
        let mut buffer = vec![0.0_f32; (world.period * f64::from(world.rate) / 1000.0).round() as usize];
        let (mut n, mut delay, mut step, mut last) = (0_u32, 0.0_f64, 0.0_f32, 0.0_f32);
        for (due, real, is_tick) in schedule(world, seconds) {
            if is_tick {
                let frame = std::array::from_fn(|i| (sine(n, i) * 0.5) as f32);
                n += 1;
                if due > seconds / 2.0 {
                    delay = delay.max((end.plays_at(at(t0, due)) - at(t0, due)).as_secs_f64() * 1e3);
                }
                end.write(at(t0, due), &frame);
            } else {
                callback.fill(at(t0, real), Duration::ZERO, &mut buffer);
                for sample in &buffer {
                    if due > seconds / 2.0 {
                        step = step.max((sample - last).abs());
                    }
                    last = *sample;
                }
            }
        }
        let drift = end.drift(at(t0, seconds)).unwrap_or_default();
        Outcome { xruns: heartbeat.xruns(), drift, delay, step }
    }

    /// Minutes of sound go through it without optimisation; its quality is tested where it is made.
    fn short_filter(from: u32, to: u32) -> Resampler {
        Resampler::with_half_width(from, to, 4)
    }

    fn sine(frame: u32, sample: usize) -> f64 {
        (TAU * 440.0 * (f64::from(frame) * 480.0 + sample as f64) / 48_000.0).sin()
    }

    fn record(world: World, seconds: f64) -> Outcome {
        let (t0, (producer, consumer)) = (Instant::now(), ring(world.rate));
        let heartbeat = Arc::new(Heartbeat::new(t0));
        let mut callback = CaptureCallback::new(producer, heartbeat.clone(), 1);
        let mut end =
            CaptureEnd::with_resampler(consumer, heartbeat.clone(), world.rate, short_filter(world.rate, FRAME_RATE));
        let frames = (world.period * f64::from(world.rate) / 1000.0).round() as usize;
        let (mut n, mut delay, mut step, mut last) = (0_u64, 0.0_f64, 0.0_f32, 0.0_f32);
        for (due, real, is_tick) in schedule(world, seconds) {
            if is_tick {
                let mut frame = [0.0; FRAME];
                end.read(at(t0, due), &mut frame);
                for sample in frame {
                    if due > seconds / 2.0 {
                        step = step.max((sample - last).abs());
                    }
                    last = sample;
                }
                if due > seconds / 2.0 {
                    let held = end.ring.slots() as f64 * 1e3 / f64::from(world.rate);
                    delay = delay.max(held + 10.0);
                }
            } else {
                let omega = TAU * 440.0 / f64::from(world.rate);
                let buffer: Vec<f32> =
                    (0..frames).map(|i| ((omega * (n + i as u64) as f64).sin() * 0.5) as f32).collect();
                n += frames as u64;
                callback.drain(at(t0, real), Duration::ZERO, &buffer);
            }
        }
        let drift = end.drift(at(t0, seconds)).unwrap_or_default();
        Outcome { xruns: heartbeat.xruns(), drift, delay, step }
    }

    #[test]
    fn two_clocks_disagree_and_nothing_is_heard_of_it() {
        // A sine of 440 Hz at half scale moves by 0.029 a sample at 48 kHz, and by six times that at 8 kHz.
        let rows = [
            (World { ppm: 300.0, period: 20.0, ..CALM }, 40.0),
            (World { ppm: -100.0, rate: 44_100, ..CALM }, 30.0),
            (World { ppm: -300.0, callback_late: 2.0, thread_late: 3.0, ..CALM }, 30.0),
        ];
        for (world, longest) in rows {
            for (name, outcome) in [("playback", play(world, 60.0)), ("capture", record(world, 60.0))] {
                let at = format!("{name}, {} ppm, {} Hz, {} ms", world.ppm, world.rate, world.period);
                assert_eq!(outcome.xruns, 0, "{at}");
                assert!((outcome.drift - world.ppm).abs() < 60.0, "{at}: drift {:.1}", outcome.drift);
                assert!(outcome.delay < longest, "{at}: {:.1} ms", outcome.delay);
                let steepest = if name == "playback" { 0.0289 * 48_000.0 / world.rate as f32 } else { 0.0289 };
                assert!(outcome.step < steepest * 1.02, "{at}: step {}", outcome.step);
            }
        }
    }

    #[test]
    fn a_thread_that_wakes_late_gets_a_deeper_ring() {
        // 25 and 60 ms late: found within a few underruns, and no deeper than that.
        for (late, longest) in [(25.0, 50.0), (60.0, 85.0)] {
            let outcome = play(World { thread_late: late, ..CALM }, 60.0);
            assert!((1..6).contains(&outcome.xruns), "{late} ms late: {} underruns", outcome.xruns);
            assert!(outcome.delay < longest, "{late} ms late: {:.0} ms", outcome.delay);
        }
    }

    #[test]
    fn a_stall_is_caught_up_and_not_kept_as_delay() {
        let (t0, (producer, consumer)) = (Instant::now(), ring(48_000));
        let heartbeat = Arc::new(Heartbeat::new(t0));
        let mut callback = CaptureCallback::new(producer, heartbeat.clone(), 1);
        let mut end = CaptureEnd::new(consumer, heartbeat.clone(), 48_000);
        let mut frame = [0.0; FRAME];
        let mut held = 0;
        for n in 0..400_u32 {
            let now = t0 + Duration::from_millis(10) * n;
            callback.drain(now, Duration::ZERO, &[0.1; FRAME]);
            if !(100..130).contains(&n) {
                end.read(now, &mut frame);
                held = end.ring.slots();
            }
        }
        assert!(held < 1_440, "{held} frames wait");
        assert!(frame.iter().all(|s| (s - 0.1).abs() < 1e-3));
    }
}
