//! The file of contacts: read at the start, changed when the phone's list changes, and filled from vCards.
use crate::app::init;
use crate::app::run::{Failure, configuration};
use crate::cli::{Cli, ContactsCommand, ExitCode};
use crate::config::{self, Cards, Environment, Loaded, Mistake};
use crate::runtime::journal::Journal;
use crate::ua::contacts::{Change, Contacts};
use crate::ua::event::Event;
use serde_json::json;
use std::fs::File;
use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

/// \[bytes\]; no list of people is as long as this.
const LONGEST: u64 = 32 << 20;
/// Changes waiting for the disk.
const WAITING: usize = 256;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContactsError {
    #[error("contacts {path}: {source}", path = path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{}", listed(path, mistakes))]
    Mistakes { path: PathBuf, mistakes: Vec<Mistake> },
}

fn listed(path: &Path, mistakes: &[Mistake]) -> String {
    let line = |m: &Mistake| format!("{}:{}: {m}", path.display(), m.line.unwrap_or(1));
    mistakes.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Where the contacts are: beside the configuration, unless it says something else.
pub fn path(loaded: &Loaded, environment: &Environment) -> Option<PathBuf> {
    let configuration = loaded.file.clone().or_else(|| Some(environment.config_file(None).ok()?.0));
    environment.contacts_file(&loaded.config.files.contacts, configuration.as_deref())
}

/// Reads the file; one that is not there holds nobody.
///
/// # Errors
/// When it cannot be read, or holds mistakes.
pub fn read(path: &Path) -> Result<Contacts, ContactsError> {
    let text = match text(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Contacts::default()),
        Err(source) => return Err(ContactsError::File { path: path.to_owned(), source }),
    };
    config::parse_contacts(&text).map_err(|mistakes| ContactsError::Mistakes { path: path.to_owned(), mistakes })
}

fn text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    if file.metadata()?.len() > LONGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is too long"));
    }
    file.take(LONGEST).read_to_end(&mut bytes)?;
    // Old address books write Latin-1.
    Ok(String::from_utf8(bytes).unwrap_or_else(|e| e.into_bytes().into_iter().map(char::from).collect()))
}

/// Changes the file: what others have written into it since stays.
fn change(path: &Path, change: &Change) -> Result<(), ContactsError> {
    let mut contacts = read(path)?;
    // What the phone could do to its list can be done here too, unless somebody else has done it before.
    let _ = contacts.change(change);
    write(path, &contacts)
}

fn write(path: &Path, contacts: &Contacts) -> Result<(), ContactsError> {
    let written = init::write(path, &config::print_contacts(contacts));
    written.map_err(|source| ContactsError::File { path: path.to_owned(), source })
}

/// The contacts a phone starts with, and whoever writes down what it changes. A file with mistakes is left alone.
pub struct Keeper {
    pub contacts: Contacts,
    writer: Option<(SyncSender<Change>, JoinHandle<()>)>,
}

impl Keeper {
    pub fn open(loaded: &Loaded, environment: &Environment, journal: &Journal) -> Self {
        let path = path(loaded, environment);
        let read = path.as_deref().map_or(Ok(Contacts::default()), read);
        match read {
            Ok(contacts) => {
                let writer = path.and_then(|path| writer(path, journal.clone()));
                Self { contacts, writer }
            }
            Err(error) => {
                error.to_string().lines().for_each(|line| journal.line(line));
                journal.line("there are no contacts until that is mended; changes are not kept");
                Self { contacts: Contacts::default(), writer: None }
            }
        }
    }

    /// Writes what waits. Nobody records any more by then.
    pub fn close(self) {
        if let Some((queue, thread)) = self.writer {
            drop(queue);
            // A panic of the thread has been printed by then, and there is nobody left to tell.
            drop(thread.join());
        }
    }

    /// Hears of changes.
    pub fn recorder(&self) -> Box<dyn Fn(&Event) + Send> {
        let queue = self.writer.as_ref().map(|(queue, _)| queue.clone());
        Box::new(move |event| {
            if let (Event::Contacts(change), Some(queue)) = (event, &queue) {
                // A disk that is hundreds of changes behind loses some.
                let _ = queue.try_send((**change).clone());
            }
        })
    }
}

/// A thread that writes: no disk holds up a call.
fn writer(path: PathBuf, journal: Journal) -> Option<(SyncSender<Change>, JoinHandle<()>)> {
    let (queue, changes) = sync_channel(WAITING);
    let run = move |changes: Receiver<Change>| {
        while let Ok(next) = changes.recv() {
            if let Err(error) = change(&path, &next) {
                journal.line(error.to_string());
            }
        }
    };
    let thread = Builder::new().name("contacts".to_owned()).spawn(move || run(changes)).ok()?;
    Some((queue, thread))
}

/// `offhook contacts ..`
pub fn run(
    cli: &Cli,
    command: &ContactsCommand,
    environment: &Environment,
    out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    let loaded = configuration(cli, environment)?;
    let failed = |error: ContactsError| Failure::new(ExitCode::Configuration, error);
    let none = || Failure::new(ExitCode::Configuration, "no file is kept for contacts: files.contacts is \"none\"");
    let path = path(&loaded, environment).ok_or_else(none)?;
    let mut contacts = read(&path).map_err(failed)?;
    match command {
        ContactsCommand::List { json } => {
            contacts.list().iter().try_for_each(|contact| {
                let numbers = contact.numbers.iter().map(|n| (n.label.as_str(), n.address.as_str()));
                if *json {
                    let numbers: Vec<_> = numbers.map(|(label, number)| json!({ "label": label, "number": number })).collect();
                    let speed = contact.speed.as_deref();
                    return writeln!(out, "{}", json!({ "name": contact.name, "numbers": numbers, "watch": contact.watch, "speed": speed, "note": contact.note }));
                }
                let numbers: Vec<_> = numbers.map(|(label, number)| format!("{label} {number}").trim().to_owned()).collect();
                writeln!(out, "{}: {}", contact.name, numbers.join(", "))
            })?;
        }
        ContactsCommand::Import { file } => {
            let text = text(file).map_err(|source| failed(ContactsError::File { path: file.clone(), source }))?;
            let Cards { contacts: cards, mut skipped } = config::parse_vcards(&text);
            let mut taken = 0_usize;
            for card in cards {
                match contacts.merge(card) {
                    Ok(new) => taken += usize::from(new),
                    Err(_) => skipped += 1,
                }
            }
            if taken > 0 {
                write(&path, &contacts).map_err(failed)?;
            }
            let left = if skipped > 0 {
                format!("; {skipped} without a name or a number that can be called are left out")
            } else {
                String::new()
            };
            writeln!(out, "{taken} contacts taken over into {}{left}", path.display())?;
            if taken == 0 && skipped > 0 {
                return Ok(ExitCode::Failed);
            }
        }
    }
    Ok(ExitCode::Ended)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ua::contacts::{Contact, Number};

    #[test]
    fn what_others_wrote_stays_and_a_broken_file_is_left_alone() {
        let folder = std::env::temp_dir().join(format!("offhook-contacts-{}", std::process::id()));
        let path = folder.join("contacts.toml");
        let add = |name: &str| {
            let number = Number { address: "1002".into(), label: "work".into() };
            Change::Put(Contact { name: name.into(), numbers: vec![number], ..Contact::default() })
        };
        change(&path, &add("Alice")).expect("written");
        change(&path, &add("Bob")).expect("written");
        change(&path, &Change::Remove("alice".into())).expect("written");
        let names = |path: &Path| read(path).map(|c| c.list().iter().map(|c| c.name.clone()).collect::<Vec<_>>());
        assert_eq!(names(&path).expect("read"), ["Bob"]);
        std::fs::write(&path, "[[contact]]\nname = 1\n").expect("written");
        let error = change(&path, &add("Carol")).expect_err("left alone").to_string();
        assert!(error.contains("contacts.toml:2: contact 1: name 1: a text in quotes expected"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), "[[contact]]\nname = 1\n");
        std::fs::remove_dir_all(&folder).expect("cleaned up");
    }
}
