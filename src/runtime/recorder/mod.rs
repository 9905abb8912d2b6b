//! Recordings on their way to the disk: a ring for each from the media thread, and one thread that writes.
//!
//! ```text
//! media thread -- Tape: one block for each frame --ring, 3 s--> recorder thread --> FOLDER/TIME-PEER.wav
//! ```
//!
//! A file has two channels: left what the peer was told, right what it said. A block has its place in time: what the disk was
//! too slow for is silence, and nothing shifts.
mod file;
mod name;

use crate::base::id::StreamId;
use crate::media::event::MediaEvent;
use crate::media::frame::{FRAME_DURATION, Frame};
use crate::media::record::Tap;
use crate::media::spec::Recording;
use file::RecordingFile;
use rtrb::{Consumer, Producer, RingBuffer};
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self as std_mpsc, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// Blocks a disk may be late.
const BLOCKS: usize = 300;
/// How often the rings are emptied.
const ROUND: Duration = Duration::from_millis(100);
/// How often the header is made to tell what is in the file.
const HEADER: Duration = Duration::from_secs(2);

/// One frame of both sides.
struct Block {
    /// Frames since the recording began.
    at: u64,
    told: Frame,
    said: Frame,
}

/// The media thread's end of a recording: it never waits. Dropping it ends the recording.
pub struct Tape {
    blocks: Producer<Block>,
    began: Option<Instant>,
    dropped: Arc<AtomicU64>,
}

impl Tape {
    /// - `at`: the time of the frame, on the grid of the ticks.
    pub fn push(&mut self, at: Instant, tap: &Tap) {
        let since = at.saturating_duration_since(*self.began.get_or_insert(at));
        // In the middle of a frame, so that a grid that is a hair off does not matter.
        let at = u64::try_from((since + FRAME_DURATION / 2).as_nanos() / FRAME_DURATION.as_nanos()).unwrap_or(0);
        if self.blocks.push(Block { at, told: tap.told, said: tap.said }).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

enum Job {
    Begin { stream: StreamId, recording: Recording, blocks: Consumer<Block>, dropped: Arc<AtomicU64> },
    End,
}

/// Begins recordings. Cheap to clone.
#[derive(Clone)]
pub struct RecorderSender {
    jobs: Sender<Job>,
}

impl RecorderSender {
    /// The tape is for the media thread; the file is made meanwhile.
    pub fn begin(&self, stream: StreamId, recording: Recording) -> Tape {
        let (producer, blocks) = RingBuffer::new(BLOCKS);
        let dropped = Arc::new(AtomicU64::new(0));
        // A thread that has ended writes nothing any more.
        let _ = self.jobs.send(Job::Begin { stream, recording, blocks, dropped: Arc::clone(&dropped) });
        Tape { blocks: producer, began: None, dropped }
    }
}

/// The thread. Dropping it finishes all files; the media thread has ended by then.
pub struct Recorder {
    jobs: Sender<Job>,
    thread: Option<JoinHandle<()>>,
}

impl Recorder {
    /// - `folder`: where all files go; `None`: nothing is recorded, and whoever asks is told.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn spawn(folder: Option<PathBuf>, events: mpsc::Sender<MediaEvent>) -> io::Result<Self> {
        let (jobs, queue) = std_mpsc::channel();
        let desk = Desk { folder, open: Vec::new(), events, waiting: VecDeque::new() };
        let thread = thread::Builder::new().name("recorder".into()).spawn(move || desk.run(&queue))?;
        Ok(Self { jobs, thread: Some(thread) })
    }

    pub fn sender(&self) -> RecorderSender {
        RecorderSender { jobs: self.jobs.clone() }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = self.jobs.send(Job::End);
        if let Some(thread) = self.thread.take() {
            // Its panic was reported where it happened.
            let _ = thread.join();
        }
    }
}

/// All the thread owns.
struct Desk {
    folder: Option<PathBuf>,
    open: Vec<Open>,
    events: mpsc::Sender<MediaEvent>,
    /// What the full queue did not take.
    waiting: VecDeque<MediaEvent>,
}

struct Open {
    stream: StreamId,
    file: RecordingFile,
    blocks: Consumer<Block>,
    dropped: Arc<AtomicU64>,
    header_at: Instant,
}

impl Desk {
    fn run(mut self, queue: &Receiver<Job>) {
        loop {
            let idle = self.open.is_empty() && self.waiting.is_empty();
            let job = if idle { queue.recv().ok() } else { next(queue) };
            match job {
                Some(Job::Begin { stream, recording, blocks, dropped }) => {
                    self.begin(stream, &recording, blocks, dropped);
                }
                Some(Job::End) => break,
                None if idle => break,
                None => {}
            }
            self.write();
            self.flush();
        }
        self.write();
        for open in std::mem::take(&mut self.open) {
            self.finish(open, None);
        }
        self.flush();
    }

    fn begin(&mut self, stream: StreamId, recording: &Recording, blocks: Consumer<Block>, dropped: Arc<AtomicU64>) {
        let file = match &self.folder {
            Some(folder) => RecordingFile::create(folder, recording),
            None => Err(io::Error::new(io::ErrorKind::NotFound, "there is no folder for recordings")),
        };
        match file {
            Ok(file) => {
                self.waiting.push_back(MediaEvent::Recording { stream, file: file.path() });
                self.open.push(Open { stream, file, blocks, dropped, header_at: Instant::now() + HEADER });
            }
            Err(error) => self.waiting.push_back(MediaEvent::Recorded {
                stream,
                file: String::new(),
                missing: Duration::ZERO,
                trouble: Some(error.to_string()),
            }),
        }
    }

    /// Empties the rings; ends what was stopped or cannot be written.
    fn write(&mut self) {
        let mut at = 0;
        while let Some(open) = self.open.get_mut(at) {
            // Asked before the ring is emptied: nothing comes after it.
            let stopped = open.blocks.is_abandoned();
            let outcome = open.write();
            match outcome {
                Ok(()) if !stopped => at += 1,
                outcome => {
                    let open = self.open.swap_remove(at);
                    self.finish(open, outcome.err().map(|error| error.to_string()));
                }
            }
        }
    }

    fn finish(&mut self, mut open: Open, trouble: Option<String>) {
        let trouble = trouble.or_else(|| open.file.sound.update_header().err().map(|error| error.to_string()));
        let frames = u32::try_from(open.dropped.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        self.waiting.push_back(MediaEvent::Recorded {
            stream: open.stream,
            file: open.file.path(),
            missing: FRAME_DURATION.saturating_mul(frames),
            trouble,
        });
    }

    fn flush(&mut self) {
        while let Some(event) = self.waiting.pop_front() {
            match self.events.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(event)) => return self.waiting.push_front(event),
                Err(TrySendError::Closed(_)) => self.waiting.clear(),
            }
        }
    }
}

impl Open {
    fn write(&mut self) -> io::Result<()> {
        while let Ok(block) = self.blocks.pop() {
            self.file.sound.write(block.at, &block.told, &block.said)?;
        }
        let now = Instant::now();
        if now >= self.header_at {
            self.header_at = now + HEADER;
            self.file.sound.update_header()?;
        }
        Ok(())
    }
}

fn next(queue: &Receiver<Job>) -> Option<Job> {
    match queue.recv_timeout(ROUND) {
        Ok(job) => Some(job),
        Err(RecvTimeoutError::Timeout) => None,
        // Nobody can ask for anything: what is open is finished.
        Err(RecvTimeoutError::Disconnected) => Some(Job::End),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::frame::FRAME;
    use std::path::Path;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("offhook-recorder-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        path
    }

    fn tap(told: f32, said: f32) -> Tap {
        let mut tap = Tap::new(false);
        (tap.told, tap.said) = ([told; FRAME], [said; FRAME]);
        tap
    }

    fn told(events: &mut mpsc::Receiver<MediaEvent>) -> MediaEvent {
        events.blocking_recv().expect("an event")
    }

    fn levels(path: &Path, frame: usize) -> (i16, i16) {
        let mut reader = hound::WavReader::open(path).expect("a WAV file");
        assert_eq!((reader.spec().channels, reader.spec().sample_rate), (2, 16_000));
        let samples: Vec<i16> = reader.samples().collect::<Result<_, _>>().expect("whole");
        let middle = (frame * 160 + 80) * 2;
        (samples[middle], samples[middle + 1])
    }

    #[test]
    fn both_sides_are_written_in_their_places() {
        let folder = folder("sides");
        let (sender, mut events) = mpsc::channel(8);
        let recorder = Recorder::spawn(Some(folder.clone()), sender).expect("a thread");
        let recording = Recording { label: "bob".to_owned(), ..Recording::default() };
        let (mut tape, start) = (recorder.sender().begin(StreamId(7), recording), Instant::now());
        let MediaEvent::Recording { stream, file } = told(&mut events) else { panic!("it begins") };
        assert!(stream == StreamId(7) && file.ends_with("-bob.wav") && file.starts_with(&folder.display().to_string()));
        for frame in (0..100).filter(|frame| !(40..60).contains(frame)) {
            tape.push(start + FRAME_DURATION * frame, &tap(0.5, -0.25));
        }
        drop(tape);
        let over = told(&mut events);
        let ended = MediaEvent::Recorded { stream, file: file.clone(), missing: Duration::ZERO, trouble: None };
        assert_eq!(over, ended);
        let path = Path::new(&file);
        assert_eq!(hound::WavReader::open(path).expect("whole").duration(), 16_000);
        let near = |at, expected: (i16, i16)| {
            let found = levels(path, at);
            let close = |a: i16, b: i16| a.abs_diff(b) < 200;
            assert!(close(found.0, expected.0) && close(found.1, expected.1), "{at}: {found:?}");
        };
        near(20, (16_384, -8_192));
        near(50, (0, 0));
        near(80, (16_384, -8_192));
        use std::os::unix::fs::MetadataExt as _;
        assert_eq!(std::fs::metadata(path).expect("there").mode() & 0o777, 0o600);
        drop(recorder);
        std::fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn two_of_one_name_are_two_files_and_links_are_not_followed() {
        let folder = folder("names");
        std::fs::create_dir_all(&folder).expect("made");
        let victim = folder.join("victim");
        std::fs::write(&victim, "precious").expect("written");
        std::os::unix::fs::symlink(&victim, folder.join("talk.wav")).expect("linked");
        let (sender, mut events) = mpsc::channel(8);
        let recorder = Recorder::spawn(Some(folder.clone()), sender).expect("a thread");
        let recording = Recording { file: Some("talk".to_owned()), ..Recording::default() };
        for expected in ["talk-2.wav", "talk-3.wav"] {
            let tape = recorder.sender().begin(StreamId(1), recording.clone());
            let MediaEvent::Recording { file, .. } = told(&mut events) else { panic!("it begins") };
            assert!(file.ends_with(expected), "{file}");
            drop(tape);
            assert!(matches!(told(&mut events), MediaEvent::Recorded { trouble: None, .. }));
        }
        assert_eq!(std::fs::read_to_string(victim).expect("there"), "precious");
        drop(recorder);
        std::fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn what_cannot_be_recorded_is_told_and_too_slow_a_disk_is_counted() {
        let (sender, mut events) = mpsc::channel(8);
        for place in [None, Some(PathBuf::from("/dev/null/nowhere"))] {
            let recorder = Recorder::spawn(place, sender.clone()).expect("a thread");
            let mut tape = recorder.sender().begin(StreamId(1), Recording::default());
            assert!(matches!(told(&mut events), MediaEvent::Recorded { trouble: Some(_), .. }));
            tape.push(Instant::now(), &tap(0.1, 0.1));
        }
        let (producer, blocks) = RingBuffer::new(2);
        let dropped = Arc::new(AtomicU64::new(0));
        let mut tape = Tape { blocks: producer, began: None, dropped: Arc::clone(&dropped) };
        let start = Instant::now();
        (0..5).for_each(|n| tape.push(start + FRAME_DURATION * n, &tap(0.1, 0.1)));
        assert_eq!((dropped.load(Ordering::Relaxed), blocks.slots()), (3, 2));
    }

    #[test]
    fn a_file_is_whole_while_it_is_written_and_finished_at_the_end() {
        let folder = folder("whole");
        let (sender, mut events) = mpsc::channel(8);
        let recorder = Recorder::spawn(Some(folder.clone()), sender).expect("a thread");
        let mut tape = recorder.sender().begin(StreamId(1), Recording::default());
        let MediaEvent::Recording { file, .. } = told(&mut events) else { panic!("it begins") };
        assert_eq!(hound::WavReader::open(&file).expect("a header from the start").duration(), 0);
        tape.push(Instant::now(), &tap(0.1, 0.1));
        drop(recorder);
        assert!(matches!(told(&mut events), MediaEvent::Recorded { trouble: None, .. }));
        assert_eq!(hound::WavReader::open(&file).expect("whole").duration(), 160, "although the tape still runs");
        std::fs::remove_dir_all(folder).expect("removed");
    }
}
