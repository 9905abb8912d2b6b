//! The audio callbacks never allocate, free or grow memory: that could wait for a lock of another thread. Nor does the
//! jitter buffer, once it runs.
use offhook::audio::ends::{CaptureEnd, PlaybackEnd};
use offhook::audio::ring::{CaptureCallback, Heartbeat, PlaybackCallback, ring};
use offhook::media::codec::PacketEncoder;
use offhook::media::frame::{FRAME, Frame, SILENCE};
use offhook::media::jitter::{Incoming, Playout};
use offhook::media::spec::{Codec, OpusParameters, PayloadFormat};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

thread_local! {
    /// This thread may not touch the allocator now.
    static FORBIDDEN: Cell<bool> = const { Cell::new(false) };
    static OFFENCES: Cell<u32> = const { Cell::new(0) };
}

/// The system's allocator, watched.
struct Watched;

#[global_allocator]
static ALLOCATOR: Watched = Watched;

fn watch() {
    // A panic here would itself allocate: offences are counted and judged afterwards.
    if FORBIDDEN.get() {
        OFFENCES.set(OFFENCES.get() + 1);
    }
}

// SAFETY: every call is handed to the system's allocator unchanged.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        watch();
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        watch();
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        watch();
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// How often `work` touched the allocator.
fn offences(work: impl FnOnce()) -> u32 {
    OFFENCES.set(0);
    FORBIDDEN.set(true);
    work();
    FORBIDDEN.set(false);
    OFFENCES.get()
}

#[test]
fn the_watch_works() {
    assert_eq!(offences(|| drop(black_box(Box::new(1)))), 2);
}

#[test]
fn playback_touches_no_allocator_whatever_the_ring_holds() {
    let (t0, (mut producer, consumer)) = (Instant::now(), ring(48_000));
    let mut callback = PlaybackCallback::new(consumer, Arc::new(Heartbeat::new(t0)), 2);
    let (mut floats, mut shorts) = ([0.0_f32; 2 * FRAME], [0_i16; 2 * FRAME]);
    // Empty, half a callback, and more than one.
    for held in [0, FRAME / 2, 3 * FRAME] {
        (0..held).for_each(|_| producer.push(0.25).expect("room"));
        let touched = offences(|| {
            callback.fill(t0, Duration::ZERO, &mut floats);
            callback.fill(t0, Duration::ZERO, &mut shorts);
        });
        assert_eq!(touched, 0, "{held} samples in the ring");
    }
}

#[test]
fn capture_touches_no_allocator_whatever_the_ring_holds() {
    let (t0, (producer, mut consumer)) = (Instant::now(), ring(48_000));
    let mut callback = CaptureCallback::new(producer, Arc::new(Heartbeat::new(t0)), 2);
    let (floats, shorts) = ([0.5_f32; 2 * FRAME], [77_i16; 2 * FRAME]);
    // More than the ring holds, then one that has room again.
    for _ in 0..60 {
        let touched = offences(|| {
            callback.drain(t0, Duration::ZERO, &floats);
            callback.drain(t0, Duration::ZERO, &shorts);
        });
        assert_eq!(touched, 0);
    }
    assert!(consumer.pop().is_ok());
    assert_eq!(offences(|| callback.drain(t0, Duration::ZERO, &shorts)), 0);
}

#[test]
fn the_media_threads_ends_touch_no_allocator_either() {
    let (t0, tick) = (Instant::now(), Duration::from_millis(10));
    for rate in [48_000, 44_100, 16_000] {
        let (producer, consumer) = ring(rate);
        let heartbeat = Arc::new(Heartbeat::new(t0));
        let mut callback = PlaybackCallback::new(consumer, heartbeat.clone(), 1);
        let mut speaker = PlaybackEnd::new(producer, heartbeat, rate);
        let (producer, consumer) = ring(rate);
        let heartbeat = Arc::new(Heartbeat::new(t0));
        let mut recorder = CaptureCallback::new(producer, heartbeat.clone(), 1);
        let mut microphone = CaptureEnd::new(consumer, heartbeat, rate);
        let mut buffer = vec![0.0_f32; rate as usize / 100];
        let touched = offences(|| {
            for n in 0..300_u32 {
                let now = t0 + tick * n;
                let mut frame = SILENCE;
                microphone.read(now, &mut frame);
                speaker.write(now, &frame);
                // A device that stalls for a while and comes back.
                if !(100..130).contains(&n) {
                    callback.fill(now, Duration::ZERO, &mut buffer);
                    recorder.drain(now, Duration::ZERO, &buffer);
                }
            }
        });
        assert_eq!(touched, 0, "{rate} Hz");
    }
}

#[test]
fn the_jitter_buffer_allocates_nothing_once_it_runs() {
    for (codec, payload_type) in [(Codec::Pcmu, 0), (Codec::Opus, 111)] {
        let opus = OpusParameters { use_inband_fec: true, ..OpusParameters::default() };
        let format = PayloadFormat { payload_type, codec, opus };
        let mut encoder = PacketEncoder::new(format, Duration::from_millis(20)).expect("encoder");
        let mut playout = Playout::new(&[format]).expect("a format");
        let (start, mut payload, mut on_the_way) = (Instant::now(), Vec::new(), Vec::new());
        for n in 0..1_000_u64 {
            let now = start + Duration::from_millis(10) * n as u32;
            let mut frame: Frame = std::array::from_fn(|i| 0.2 * ((n as usize * FRAME + i) as f32 * 0.03).sin());
            // Every ninth packet is lost, the others take up to 60 ms and overtake each other.
            if let Some(encoded) = encoder.push(&frame, &mut payload)
                && n / 2 % 9 != 0
            {
                let late = n / 2 * 7 % 4 * 20;
                on_the_way.push((now + Duration::from_millis(late), n / 2, encoded.timestamp, payload.clone()));
            }
            let mut work = || {
                for (arrived, sequence, timestamp, payload) in on_the_way.iter().filter(|p| p.0 <= now) {
                    let (sequence, timestamp, arrived) = (*sequence, u64::from(*timestamp), *arrived);
                    playout
                        .insert(now, Incoming { sequence, timestamp, arrived, payload_type, marker: false, payload });
                }
                playout.pull(now, &mut frame);
            };
            if n < 500 {
                work();
            } else {
                assert_eq!(offences(work), 0, "{codec:?}, frame {n}");
            }
            on_the_way.retain(|p| p.0 > now);
        }
        assert!(playout.stats().concealed > Duration::from_millis(200), "{:?}", playout.stats());
    }
}
