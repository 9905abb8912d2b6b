//! The call history on disk, kept by a thread of its own so that no disk ever holds up a call.
//!
//! Calls go in through a bounded queue; the last ones come back through a callback, at the start and after each call.
//! When the disk fails, that is said once and the history lives on in memory.
mod calls;
mod store;
mod texts;

use crate::ua::snapshot::{CallSummary, TextView};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use store::Store;

/// Calls handed out, the newest first.
pub const LATEST: usize = 200;
/// Texts handed out, the newest first.
pub const LATEST_TEXTS: usize = 500;
/// Calls and texts that may wait for the disk.
const QUEUE: usize = 64;

/// What the storage thread tells.
#[derive(Clone, Debug, PartialEq)]
pub enum StorageEvent {
    /// The last [`LATEST`] calls, the newest first.
    History(Arc<Vec<CallSummary>>),
    /// The last [`LATEST_TEXTS`] texts, the newest first.
    Texts(Arc<Vec<TextView>>),
    /// A sentence for the user: what is wrong with the file and what was done.
    Trouble(String),
}

/// What is kept.
#[derive(Clone, Debug)]
pub enum Record {
    Call(Box<CallSummary>),
    Text(Box<TextView>),
}

/// A handle to the storage thread.
#[derive(Debug)]
pub struct Storage {
    queue: SyncSender<Record>,
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
        let (queue, records) = sync_channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&dropped);
        let thread = Builder::new().name("storage".to_owned()).spawn(move || run(&path, &records, &count, tell))?;
        Ok(Self { queue, dropped, thread })
    }

    /// Hands a finished call or a text over. Never waits: when the disk is that far behind, it is not kept, and that is
    /// said.
    pub fn record(&self, record: Record) {
        if self.queue.try_send(record).is_err() {
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

fn run(path: &Path, records: &Receiver<Record>, dropped: &AtomicU64, tell: impl Fn(StorageEvent)) {
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
    let mut texts = store.as_ref().and_then(|store| store.latest_texts(LATEST_TEXTS).ok()).unwrap_or_default();
    tell(StorageEvent::History(Arc::new(latest.clone())));
    if !texts.is_empty() {
        tell(StorageEvent::Texts(Arc::new(texts.clone())));
    }
    let mut failing = false;
    while let Ok(record) = records.recv() {
        let written = store.as_mut().map_or(Ok(()), |store| match &record {
            Record::Call(call) => store.insert(call),
            Record::Text(text) => store.insert_text(text),
        });
        if let Err(error) = &written
            && !failing
        {
            trouble(format!(
                "call history {}: {error}; calls are remembered until offhook ends, and written again when it goes",
                path.display()
            ));
        }
        failing = written.is_err();
        match record {
            Record::Call(call) => {
                latest.insert(0, *call);
                latest.truncate(LATEST);
                tell(StorageEvent::History(Arc::new(latest.clone())));
            }
            Record::Text(text) => {
                remember(&mut texts, *text);
                tell(StorageEvent::Texts(Arc::new(texts.clone())));
            }
        }
        match dropped.swap(0, Ordering::Relaxed) {
            0 => (),
            lost => {
                trouble(format!("call history {}: the disk was too slow, {lost} calls are missing", path.display()))
            }
        }
    }
}

/// Puts a text before the others, or what became of it in its place.
pub fn remember(texts: &mut Vec<TextView>, text: TextView) {
    match texts.iter_mut().find(|known| known.key == text.key) {
        Some(known) => *known = text,
        None => {
            texts.insert(0, text);
            texts.truncate(LATEST_TEXTS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ua::snapshot::TextState;
    use calls::tests::call;
    use store::tests::scratch;
    use texts::tests::text;

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
            StorageEvent::Trouble(_) | StorageEvent::Texts(_) => None,
        });
        histories.next_back().expect("a history is told at the start")
    }

    fn troubles(events: &[StorageEvent]) -> Vec<&str> {
        let troubles = events.iter().filter_map(|event| match event {
            StorageEvent::History(_) | StorageEvent::Texts(_) => None,
            StorageEvent::Trouble(text) => Some(text.as_str()),
        });
        troubles.collect()
    }

    #[test]
    fn calls_outlive_the_program() {
        let dir = scratch();
        let path = dir.path().join("deep/er/history.db");
        let first =
            session(path.clone(), |storage| (1..=3).for_each(|n| storage.record(Record::Call(Box::new(call(n))))));
        assert_eq!((first.len(), troubles(&first)), (4, vec![]));
        let second = session(path, |_| ());
        assert_eq!(second, [StorageEvent::History(Arc::new(vec![call(3), call(2), call(1)]))]);
    }

    #[test]
    fn a_place_that_cannot_be_written_is_said_once_and_calls_are_remembered() {
        let dir = scratch();
        std::fs::write(dir.path().join("file"), "").expect("write");
        let events = session(dir.path().join("file/history.db"), |storage| {
            (1..=3).for_each(|n| storage.record(Record::Call(Box::new(call(n)))))
        });
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
            storage.record(Record::Call(Box::new(call(n))));
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
    fn texts_outlive_the_program_with_what_became_of_them() {
        let dir = scratch();
        let path = dir.path().join("history.db");
        let (sent, heard) = (|state| text(1, state), text(2, TextState::Received));
        session(path.clone(), |storage| {
            for text in [sent(TextState::Sending), heard.clone(), sent(TextState::Delivered)] {
                storage.record(Record::Text(Box::new(text)));
            }
        });
        let told = session(path, |_| ());
        let kept = StorageEvent::Texts(Arc::new(vec![heard, sent(TextState::Delivered)]));
        assert_eq!(told, [StorageEvent::History(Arc::default()), kept]);
    }

    #[test]
    fn a_broken_file_is_moved_aside() {
        let dir = scratch();
        let path = dir.path().join("history.db");
        std::fs::write(&path, "this is no database, and long enough to be looked at as one".repeat(100))
            .expect("write");
        let events = session(path.clone(), |storage| storage.record(Record::Call(Box::new(call(1)))));
        assert!(matches!(troubles(&events)[..], [text] if text.contains("history.db.broken")), "{events:?}");
        assert!(dir.path().join("history.db.broken").exists());
        assert_eq!(last_history(&session(path, |_| ())), [call(1)]);
    }
}
