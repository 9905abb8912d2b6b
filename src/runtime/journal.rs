//! The log: lines for people, kept for the screen and written to a file by a thread of their own.
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// Lines kept for the screen.
const KEPT: usize = 500;
/// Lines waiting for the disk; more are dropped, the screen has them still.
const WAITING: usize = 1024;
/// When the file is longer it becomes `.old`, and the one before that goes [bytes].
const LONGEST: u64 = 8 * 1024 * 1024;

/// Where log lines go. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    lines: Arc<watch::Sender<Arc<Vec<String>>>>,
    file: Option<SyncSender<String>>,
}

impl Journal {
    /// A journal that also writes to `path`, when one is given.
    ///
    /// # Errors
    /// When the file cannot be opened for appending.
    pub fn open(path: Option<&Path>) -> std::io::Result<Self> {
        let file = path.map(|path| open_file(path).map(|file| writer(file, path.to_owned()))).transpose()?;
        Ok(Self { file, ..Self::without_file() })
    }

    /// A journal for the screen alone.
    pub fn without_file() -> Self {
        Self { lines: Arc::new(watch::channel(Arc::default()).0), file: None }
    }

    pub fn subscribe(&self) -> watch::Receiver<Arc<Vec<String>>> {
        self.lines.subscribe()
    }

    /// Adds one line, stamped with the time of day (UTC). Never waits.
    pub fn line(&self, text: impl AsRef<str>) {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let (h, m, s) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
        let line = format!("{h:02}:{m:02}:{s:02} {}", text.as_ref());
        if let Some(file) = &self.file {
            let _ = file.try_send(line.clone());
        }
        self.lines.send_modify(|lines| {
            let lines = Arc::make_mut(lines);
            if lines.len() >= KEPT {
                lines.remove(0);
            }
            lines.push(line);
        });
    }
}

fn open_file(path: &Path) -> std::io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

fn writer(file: File, path: PathBuf) -> SyncSender<String> {
    let (sender, receiver) = sync_channel(WAITING);
    std::thread::spawn(move || write_lines(file, &path, &receiver));
    sender
}

fn write_lines(mut file: File, path: &Path, lines: &Receiver<String>) {
    // A full disk loses log lines and nothing else.
    while let Ok(line) = lines.recv() {
        if file.metadata().is_ok_and(|file| file.is_file() && file.len() > LONGEST) {
            file = begin_anew(path).unwrap_or(file);
        }
        let _ = writeln!(file, "{line}");
    }
}

/// Puts the log away as `.old` and begins another.
fn begin_anew(path: &Path) -> std::io::Result<File> {
    let mut old = path.as_os_str().to_owned();
    old.push(".old");
    std::fs::rename(path, &old)?;
    open_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_does_not_grow_for_ever() {
        let folder = std::env::temp_dir().join(format!("offhook-journal-{}", std::process::id()));
        let (path, old) = (folder.join("log"), folder.join("log.old"));
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(&path, vec![b'x'; usize::try_from(LONGEST).expect("fits") + 1]).expect("a long file");
        let (sender, receiver) = sync_channel(2);
        ["one", "two"].into_iter().for_each(|line| sender.send(line.to_owned()).expect("taken"));
        drop(sender);
        write_lines(open_file(&path).expect("opens"), &path, &receiver);
        assert_eq!(std::fs::read(&path).expect("a new file"), b"one\ntwo\n");
        assert!(old.exists());
        std::fs::remove_dir_all(&folder).expect("cleaned up");
    }
}
