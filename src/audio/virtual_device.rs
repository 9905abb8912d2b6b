//! Devices that are not there: a WAV file, a tone or silence as microphone, a WAV file as speaker.
//!
//! The media thread's timer is their clock. Files are read and written on threads of their own, behind the same rings
//! of samples that a card has.
use crate::audio::devices::DeviceError;
use crate::audio::wav::{WavSource, WavWriter, write_start};
use crate::media::frame::{FRAME, FRAME_RATE, Frame};
use rtrb::{Consumer, Producer, RingBuffer};
use std::f64::consts::TAU;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Sound between the media thread and a file \[samples\].
const RING: usize = FRAME_RATE as usize;
/// Frames after which the file's thread is woken.
const WAKE_EVERY: u32 = 10;
/// How often the header of a growing file is brought up to date.
const HEADER_EVERY: Duration = Duration::from_secs(1);
/// RMS of a sine of -12 dBov, as its peak.
const TONE_PEAK: f64 = 0.251_188_643_150_958 * std::f64::consts::SQRT_2;

/// A sine of -12 dBov as microphone.
#[derive(Debug)]
pub struct ToneSource {
    /// In turns.
    phase: f64,
    step: f64,
}

impl ToneSource {
    /// - `hz`: its frequency \[Hz\].
    pub fn new(hz: f32) -> Self {
        Self { phase: 0.0, step: f64::from(hz) / f64::from(FRAME_RATE) }
    }

    pub fn read(&mut self, frame: &mut Frame) {
        for sample in frame {
            *sample = ((TAU * self.phase).sin() * TONE_PEAK) as f32;
            self.phase = (self.phase + self.step).fract();
        }
    }
}

/// A WAV file as microphone.
#[derive(Debug)]
pub struct FileSource {
    /// `None` once it is closed.
    ring: Option<Consumer<f32>>,
    thread: thread::Thread,
    ended: Arc<AtomicBool>,
    /// Frames that were not there in time.
    late: u64,
}

impl FileSource {
    /// Starts to read; the first samples are there when this returns.
    pub fn open(path: &Path, repeat: bool) -> Result<Self, DeviceError> {
        let mut source = WavSource::open(path, repeat)?;
        let (mut producer, ring) = RingBuffer::new(RING);
        let more = feed(&mut source, &mut producer);
        let ended = Arc::new(AtomicBool::new(!more));
        let flag = ended.clone();
        let thread = thread::Builder::new().name("wav-reader".into()).spawn(move || {
            let mut more = more;
            while more && !producer.is_abandoned() {
                thread::park();
                more = feed(&mut source, &mut producer);
            }
            flag.store(true, Ordering::Release);
        });
        let thread = thread.map_err(|e| no_thread(path, &e))?.thread().clone();
        Ok(Self { ring: Some(ring), thread, ended, late: 0 })
    }

    pub fn read(&mut self, frame: &mut Frame) {
        let ended = self.ended.load(Ordering::Acquire);
        let Some(ring) = &mut self.ring else { return frame.fill(0.0) };
        let (_, rest) = ring.pop_partial_slice(frame);
        self.late += u64::from(!rest.is_empty() && !ended);
        rest.fill(0.0);
        if !ended && ring.slots() < RING / 2 {
            self.thread.unpark();
        }
    }

    /// Frames the disk was too slow for.
    pub fn late(&self) -> u64 {
        self.late
    }
}

impl Drop for FileSource {
    fn drop(&mut self) {
        self.ring = None;
        self.thread.unpark();
    }
}

/// Fills the ring from the file; `false` at the end or when the file became unreadable.
fn feed(source: &mut WavSource, ring: &mut Producer<f32>) -> bool {
    let mut block = [0.0; 4 * FRAME];
    while ring.slots() >= block.len() {
        match source.read(&mut block) {
            Ok(0) | Err(_) => return false,
            Ok(count) => {
                let _ = ring.push_partial_slice(&block[..count]);
            }
        }
    }
    true
}

/// A WAV file as speaker: continuous from its first frame to its end.
#[derive(Debug)]
pub struct FileSink {
    /// `None` once it is closed.
    ring: Option<Producer<f32>>,
    writer: Option<JoinHandle<()>>,
    shared: Arc<FileFacts>,
    /// Samples of silence still to be written before anything else.
    owed: u64,
    since_wake: u32,
    lost: u64,
}

/// What the sink and its writer tell each other.
#[derive(Debug, Default)]
struct FileFacts {
    start: OnceLock<Instant>,
    trouble: Mutex<Option<String>>,
    troubled: AtomicBool,
}

impl FileSink {
    pub fn create(path: &Path) -> Result<Self, DeviceError> {
        let mut file = WavWriter::create(path)
            .map_err(|e| DeviceError::File { path: path.display().to_string(), reason: e.to_string() })?;
        let (ring, mut samples) = RingBuffer::new(RING);
        let shared = Arc::new(FileFacts::default());
        let (facts, own_path) = (shared.clone(), path.to_owned());
        let writer = thread::Builder::new().name("wav-writer".into()).spawn(move || {
            let (mut start_told, mut header_at) = (false, Instant::now());
            loop {
                let ending = samples.is_abandoned();
                facts.note(&own_path, drain(&mut file, &mut samples));
                if !start_told && let Some(start) = facts.start.get() {
                    start_told = true;
                    facts.note(&own_path, write_start(&own_path, *start));
                }
                if ending || header_at.elapsed() >= HEADER_EVERY {
                    header_at = Instant::now();
                    facts.note(&own_path, file.update_header());
                }
                if ending {
                    return;
                }
                thread::park();
            }
        });
        let writer = writer.map_err(|e| no_thread(path, &e))?;
        Ok(Self { ring: Some(ring), writer: Some(writer), shared, owed: 0, since_wake: 0, lost: 0 })
    }

    /// Plays a frame whose first sample is heard at `at`.
    pub fn write(&mut self, at: Instant, frame: &Frame) {
        self.shared.start.get_or_init(|| at);
        self.settle();
        match &mut self.ring {
            Some(ring) if self.owed == 0 && ring.slots() >= FRAME => {
                let _ = ring.push_partial_slice(frame);
            }
            _ => {
                self.lost += 1;
                self.owed += FRAME as u64;
            }
        }
        self.wake(1);
    }

    /// Plays `frames` frames of silence, from `at` on.
    pub fn skip(&mut self, at: Instant, frames: u64) {
        self.shared.start.get_or_init(|| at);
        self.owed += frames.saturating_mul(FRAME as u64);
        self.settle();
        self.wake(WAKE_EVERY);
    }

    /// Frames the disk was too slow for.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// What the disk said; it is said once and stays until the sink ends.
    pub fn trouble(&self) -> Option<String> {
        if !self.shared.troubled.load(Ordering::Acquire) {
            return None;
        }
        self.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes the silence that is owed, as far as there is room.
    fn settle(&mut self) {
        let Some(ring) = &mut self.ring else { return };
        let count = usize::try_from(self.owed).unwrap_or(usize::MAX).min(ring.slots());
        if let Ok(chunk) = ring.write_chunk(count) {
            chunk.commit_all();
            self.owed -= count as u64;
        }
    }

    fn wake(&mut self, frames: u32) {
        self.since_wake += frames;
        if self.since_wake >= WAKE_EVERY
            && let Some(writer) = &self.writer
        {
            self.since_wake = 0;
            writer.thread().unpark();
        }
    }
}

impl Drop for FileSink {
    /// Waits until the file is whole: never on the media thread while a call runs.
    fn drop(&mut self) {
        // Silence owed at the end is worth a short wait for the disk, not a long one.
        let patience = Instant::now() + Duration::from_secs(2);
        while self.owed > 0 && Instant::now() < patience && !self.shared.troubled.load(Ordering::Acquire) {
            self.settle();
            self.wake(WAKE_EVERY);
            thread::sleep(Duration::from_millis(2));
        }
        self.ring = None;
        if let Some(writer) = self.writer.take() {
            writer.thread().unpark();
            // A writer that panicked has left what it had written.
            let _ = writer.join();
        }
    }
}

impl FileFacts {
    fn note(&self, path: &Path, result: std::io::Result<()>) {
        if let Err(error) = result
            && !self.troubled.load(Ordering::Relaxed)
        {
            let text = format!("{}: {error}; sound is lost", path.display());
            *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
            self.troubled.store(true, Ordering::Release);
        }
    }
}

fn drain(file: &mut WavWriter, samples: &mut Consumer<f32>) -> std::io::Result<()> {
    while let Ok(chunk) = samples.read_chunk(samples.slots())
        && !chunk.is_empty()
    {
        file.write(chunk)?;
    }
    Ok(())
}

fn no_thread(path: &Path, error: &std::io::Error) -> DeviceError {
    DeviceError::File { path: path.display().to_string(), reason: format!("no thread for it: {error}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// A folder of one test, gone with it.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("offhook-virtual-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&folder).expect("a folder");
            Self(folder)
        }

        fn file(&self) -> PathBuf {
            self.0.join("sound.wav")
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn samples(path: &Path) -> Vec<i16> {
        hound::WavReader::open(path).expect("readable").samples().collect::<Result<_, _>>().expect("whole")
    }

    #[test]
    fn the_tone_has_its_level_and_its_frequency() {
        let (mut tone, mut frame, mut power, mut rises) = (ToneSource::new(440.0), [0.0; FRAME], 0.0, 0);
        let mut last = 0.0;
        for _ in 0..100 {
            tone.read(&mut frame);
            for sample in frame {
                power += f64::from(sample).powi(2);
                rises += u32::from(last < 0.0 && sample >= 0.0);
                last = sample;
            }
        }
        let level = 10.0 * (power / 48_000.0).log10();
        assert!((level + 12.0).abs() < 0.01, "{level:.2} dBov");
        assert!((439..=441).contains(&rises), "{rises} Hz");
    }

    #[test]
    fn a_speaker_file_keeps_time_over_sound_and_silence() {
        let (scratch, t0) = (Scratch::new("time"), Instant::now());
        let path = scratch.file();
        let mut sink = FileSink::create(&path).expect("created");
        sink.write(t0, &[0.25; FRAME]);
        // More silence than the ring can take at once.
        sink.skip(t0 + Duration::from_millis(10), 250);
        sink.write(t0 + Duration::from_millis(2_510), &[0.5; FRAME]);
        assert_eq!(sink.trouble(), None);
        drop(sink);
        let samples = samples(&path);
        assert_eq!(samples.len() / FRAME, 252);
        assert_eq!((samples[FRAME - 1], samples[FRAME], samples[251 * FRAME - 1]), (8_192, 0, 0));
        let text = std::fs::read_to_string(format!("{}.t0", path.display())).expect("t0");
        assert!(text.trim().parse::<f64>().is_ok_and(|t| t > 0.0), "{text}");
    }

    #[test]
    fn a_full_disk_is_said_once_and_the_call_goes_on() {
        let t0 = Instant::now();
        // The header is written at once: a full device refuses the file itself.
        let error = FileSink::create(Path::new("/dev/full")).expect_err("refused");
        assert!(error.to_string().contains("No space left"), "{error}");
        let facts = FileFacts::default();
        for text in ["No space left on device", "again"] {
            facts.note(Path::new("out.wav"), Err(std::io::Error::other(text)));
        }
        let trouble = facts.trouble.lock().expect("free").clone().expect("told");
        assert!(trouble.contains("No space left") && trouble.starts_with("out.wav: "), "{trouble}");
        let scratch = Scratch::new("slow");
        let path = scratch.file();
        let mut sink = FileSink::create(&path).expect("created");
        // A writer that never wakes: the media thread loses frames and goes on.
        sink.writer = None;
        (0..300).for_each(|_| sink.write(t0, &[0.1; FRAME]));
        assert!(sink.lost() >= 200, "{}", sink.lost());
        sink.owed = 0;
    }

    #[test]
    fn a_microphone_file_is_heard_and_then_silent() {
        let scratch = Scratch::new("microphone");
        let path = scratch.file();
        let mut writer = WavWriter::create(&path).expect("created");
        writer.write([0.5; 3 * FRAME]).expect("written");
        writer.update_header().expect("whole");
        let mut source = FileSource::open(&path, false).expect("opened");
        let mut frame = [0.0; FRAME];
        source.read(&mut frame);
        source.read(&mut frame);
        assert!((frame[200] - 0.5).abs() < 1e-3);
        (0..3).for_each(|_| source.read(&mut frame));
        assert_eq!(frame, [0.0; FRAME]);
        assert_eq!(source.late(), 0);
    }
}
