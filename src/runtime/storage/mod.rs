//! The call history on disk, kept by a thread of its own so that no disk ever holds up a call.
//!
//! Calls go in through a bounded queue; the last ones come back through a callback, at the start and after each call.
//! When the disk fails, that is said once and the history lives on in memory.
mod store;

use crate::ua::snapshot::CallSummary;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use store::Store;

/// Calls handed out, the newest first.
pub const LATEST: usize = 200;
/// Calls that may wait for the disk.
const QUEUE: usize = 64;

/// What the storage thread tells.
#[derive(Clone, Debug, PartialEq)]
pub enum StorageEvent {
    /// The last [`LATEST`] calls, the newest first.
    History(Arc<Vec<CallSummary>>),
    /// A sentence for the user: what is wrong with the file and what was done.
    Trouble(String),
}

/// A handle to the storage thread.
#[derive(Debug)]
pub struct Storage {
    queue: SyncSender<CallSummary>,
    /// Calls that found the queue full.
    dropped: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Storage {
    /// Opens or creates the file in the thread; what comes of it arrives through `tell`.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(path: PathBuf, tell: impl Fn(StorageEvent) + Send + 'static) -> std::io::Result<Self> {
        let (queue, calls) = sync_channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&dropped);
        let thread = Builder::new().name("storage".to_owned()).spawn(move || run(&path, &calls, &count, tell))?;
        Ok(Self { queue, dropped, thread })
    }

    /// Hands a finished call over. Never waits: when the disk is that far behind, the call is not kept, and that is
    /// said.
    pub fn record(&self, call: CallSummary) {
        if self.queue.try_send(call).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes what waits and ends the thread.
    pub fn close(self) {
        drop(self.queue);
        // A panic of the thread has been printed by then, and there is nobody left to tell.
        drop(self.thread.join());
    }
}

fn run(path: &Path, calls: &Receiver<CallSummary>, dropped: &AtomicU64, tell: impl Fn(StorageEvent)) {
    let trouble = |text: String| tell(StorageEvent::Trouble(text));
    let mut store = match Store::open(path) {
        Ok((store, None)) => Some(store),
        Ok((store, Some(notice))) => {
            trouble(notice);
            Some(store)
        }
        Err(error) => {
            trouble(format!("call history {}: {error}; calls are remembered until offhook ends", path.display()));
            None
        }
    };
    let mut latest = match store.as_ref().map(|store| store.latest(LATEST)) {
        Some(Ok(calls)) => calls,
        Some(Err(error)) => {
            trouble(format!("call history {}: {error}; it starts empty", path.display()));
            Vec::new()
        }
        None => Vec::new(),
    };
    tell(StorageEvent::History(Arc::new(latest.clone())));
    let mut failing = false;
    while let Ok(call) = calls.recv() {
        let written = store.as_mut().map_or(Ok(()), |store| store.insert(&call));
        if let Err(error) = &written
            && !failing
        {
            trouble(format!(
                "call history {}: {error}; calls are remembered until offhook ends, and written again when it goes",
                path.display()
            ));
        }
        failing = written.is_err();
        latest.insert(0, call);
        latest.truncate(LATEST);
        tell(StorageEvent::History(Arc::new(latest.clone())));
        match dropped.swap(0, Ordering::Relaxed) {
            0 => (),
            lost => {
                trouble(format!("call history {}: the disk was too slow, {lost} calls are missing", path.display()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::tests::{call, scratch};

    /// Runs `with` on a storage at `path`; what was told.
    fn session(path: PathBuf, with: impl FnOnce(&Storage)) -> Vec<StorageEvent> {
        let (sender, told) = std::sync::mpsc::channel();
        let storage = Storage::start(path, move |event| sender.send(event).expect("listener lives")).expect("thread");
        with(&storage);
        storage.close();
        told.into_iter().collect()
    }

    fn last_history(events: &[StorageEvent]) -> Vec<CallSummary> {
        let mut histories = events.iter().filter_map(|event| match event {
            StorageEvent::History(calls) => Some(calls.to_vec()),
            StorageEvent::Trouble(_) => None,
        });
        histories.next_back().expect("a history is told at the start")
    }

    fn troubles(events: &[StorageEvent]) -> Vec<&str> {
        let troubles = events.iter().filter_map(|event| match event {
            StorageEvent::History(_) => None,
            StorageEvent::Trouble(text) => Some(text.as_str()),
        });
        troubles.collect()
    }

    #[test]
    fn calls_outlive_the_program() {
        let dir = scratch();
        let path = dir.path().join("deep/er/history.db");
        let first = session(path.clone(), |storage| (1..=3).for_each(|n| storage.record(call(n))));
        assert_eq!((first.len(), troubles(&first)), (4, vec![]));
        let second = session(path, |_| ());
        assert_eq!(second, [StorageEvent::History(Arc::new(vec![call(3), call(2), call(1)]))]);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_said_once_and_calls_are_remembered() {
        let dir = scratch();
        std::fs::write(dir.path().join("file"), "").expect("write");
        let events =
            session(dir.path().join("file/history.db"), |storage| (1..=3).for_each(|n| storage.record(call(n))));
        assert_eq!(troubles(&events).len(), 1, "{events:?}");
        assert_eq!(last_history(&events), [call(3), call(2), call(1)]);
    }

    #[test]
    fn a_disk_that_fails_is_said_once_until_it_works_again() {
        let dir = scratch();
        let path = dir.path().join("history.db");
        let (sender, told) = std::sync::mpsc::channel();
        let tell = move |event| sender.send(event).expect("listener lives");
        let storage = Storage::start(path.clone(), tell).expect("thread");
        let record = |n| {
            storage.record(call(n));
            let events = std::iter::from_fn(|| told.recv().ok());
            // Each call is followed by the history with it.
            let until = |event: &StorageEvent| matches!(event, StorageEvent::History(c) if c.first() == Some(&call(n)));
            let mut troubles = 0;
            for event in events {
                if until(&event) {
                    break;
                }
                troubles += usize::from(matches!(event, StorageEvent::Trouble(_)));
            }
            troubles
        };
        assert_eq!(record(1), 0);
        let other = rusqlite::Connection::open(path).expect("opens");
        other.execute_batch("ALTER TABLE calls RENAME TO away").expect("renamed");
        assert_eq!([record(2), record(3)], [1, 0]);
        other.execute_batch("ALTER TABLE away RENAME TO calls").expect("renamed");
        assert_eq!(record(4), 0);
        other.execute_batch("ALTER TABLE calls RENAME TO away").expect("renamed");
        assert_eq!(record(5), 1);
        storage.close();
    }

    #[test]
    fn a_broken_file_is_moved_aside() {
        let dir = scratch();
        let path = dir.path().join("history.db");
        std::fs::write(&path, "this is no database, and long enough to be looked at as one".repeat(100))
            .expect("write");
        let events = session(path.clone(), |storage| storage.record(call(1)));
        assert!(matches!(troubles(&events)[..], [text] if text.contains("history.db.broken")), "{events:?}");
        assert!(dir.path().join("history.db.broken").exists());
        assert_eq!(last_history(&session(path, |_| ())), [call(1)]);
    }
}
