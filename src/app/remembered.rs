//! What the user switched while the phone ran: forwarding and do-not-disturb of each account. It outlives a restart, until the
//! configuration says something else than it did then.
use crate::config::{Account, Config, Environment};
use crate::runtime::journal::Journal;
use crate::ua::event::Event;
use crate::ua::handling::{Forwarding, When};
use crate::ua::settings::Settings;
use serde_json::{Map, Value, json};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// A longer file is none of ours \[bytes\].
const LONGEST: u64 = 1 << 20;

/// An account and what is kept of it; none: that was all.
type Change = Option<(String, Value)>;

/// Keeps what is switched.
pub struct Remembered {
    accounts: Vec<Account>,
    path: Option<PathBuf>,
    journal: Journal,
}

/// Writes what it hears of; dropped, it has written all.
pub struct Writer {
    changes: Sender<Change>,
    thread: Option<JoinHandle<()>>,
}

impl Remembered {
    /// Lays what was switched in earlier runs over the settings.
    pub fn apply(config: &Config, environment: &Environment, journal: &Journal, settings: &mut Settings) -> Self {
        let path = environment.handling_file();
        let kept = path.as_deref().map(read).unwrap_or_default();
        for (account, settings) in config.accounts.iter().zip(&mut settings.accounts) {
            let Some(entry) = kept.get(&account.name) else { continue };
            if entry.get("configured") != Some(&fingerprint(account)) {
                continue;
            }
            let handling = &mut settings.handling;
            (handling.forwarding, handling.do_not_disturb) = switched(entry, &handling.forwarding);
        }
        Self { accounts: config.accounts.clone(), path, journal: journal.clone() }
    }

    /// What hears of changes, on whatever thread, and what writes them.
    pub fn recorder(self) -> (impl Fn(&Event) + Send + 'static, Writer) {
        let Self { accounts, path, journal } = self;
        let (sender, changes) = channel::<Change>();
        let thread = path.map(|path| {
            std::thread::spawn(move || {
                for (name, entry) in changes.into_iter().map_while(|change| change) {
                    if let Err(error) = write(&path, &name, entry) {
                        journal.line(format!("{}: {error}; what was switched is forgotten at the end", path.display()));
                    }
                }
            })
        });
        let told = sender.clone();
        let hear = move |event: &Event| {
            let Event::Handling { account, forwarding, do_not_disturb } = event else { return };
            if let Some(account) = accounts.get(usize::from(account.0)) {
                // Without a place to keep it nobody listens.
                let _ = told.send(Some((account.name.clone(), entry(account, forwarding, *do_not_disturb))));
            }
        };
        (hear, Writer { changes: sender, thread })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Where nobody writes, nobody listens either.
        let _ = self.changes.send(None);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the configuration says.
fn fingerprint(account: &Account) -> Value {
    let handling = &account.handling;
    facts(&handling.forwarding, handling.do_not_disturb)
}

fn facts(forwarding: &Forwarding, do_not_disturb: bool) -> Value {
    json!({
        "always": forwarding.always,
        "busy": forwarding.busy,
        "no_answer": forwarding.no_answer,
        "after": forwarding.after.as_secs(),
        "do_not_disturb": do_not_disturb,
    })
}

fn entry(account: &Account, forwarding: &Forwarding, do_not_disturb: bool) -> Value {
    json!({ "configured": fingerprint(account), "switched": facts(forwarding, do_not_disturb) })
}

fn switched(entry: &Value, configured: &Forwarding) -> (Forwarding, bool) {
    let facts = entry.get("switched").unwrap_or(&Value::Null);
    let text = |key: &str| {
        let text = facts.get(key).and_then(Value::as_str).filter(|text| text.len() <= 200);
        text.filter(|text| !text.chars().any(char::is_control)).map(str::to_owned)
    };
    let mut forwarding = configured.clone();
    for (key, when) in [("always", When::Always), ("busy", When::Busy), ("no_answer", When::NoAnswer)] {
        forwarding.set(when, text(key));
    }
    if let Some(after) = facts.get("after").and_then(Value::as_u64).filter(|after| (1..=170).contains(after)) {
        forwarding.after = Duration::from_secs(after);
    }
    (forwarding, facts.get("do_not_disturb").and_then(Value::as_bool).unwrap_or_default())
}

/// What is kept; nothing where that is not readable.
fn read(path: &Path) -> Map<String, Value> {
    let fits = fs::metadata(path).is_ok_and(|meta| meta.len() <= LONGEST);
    let text = fs::read_to_string(path).ok().filter(|_| fits).unwrap_or_default();
    match serde_json::from_str(&text) {
        Ok(Value::Object(kept)) => kept,
        Ok(_) | Err(_) => Map::new(),
    }
}

/// Another phone of the same user may have written meanwhile: only this account's entry changes.
fn write(path: &Path, name: &str, entry: Value) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut kept = read(path);
    kept.insert(name.to_owned(), entry);
    // Whole or not at all.
    let beside = path.with_extension("new");
    fs::write(&beside, format!("{:#}\n", Value::Object(kept)))?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::AccountId;
    use crate::base::rng::Rng;

    #[test]
    fn what_was_switched_is_there_again_until_the_configuration_says_otherwise() {
        let folder = std::env::temp_dir().join(format!("offhook-remembered-{}", std::process::id()));
        let environment = Environment { xdg_state_home: Some(folder.clone()), ..Environment::default() };
        let text = "[[account]]\nuser = \"1001\"\ndomain = \"pbx\"\nforward_busy = \"604\"\n";
        let start = |text: &str| {
            let config = crate::config::parse(text).expect("a configuration");
            let mut settings = crate::app::wire::settings(&config, false, &mut Rng::from_u64(1)).expect("no password");
            let kept = Remembered::apply(&config, &environment, &Journal::without_file(), &mut settings);
            (kept, settings.accounts.remove(0).handling)
        };
        let (kept, before) = start(text);
        assert_eq!((before.forwarding.busy.as_deref(), before.do_not_disturb), (Some("604"), false));
        let (hear, writer) = kept.recorder();
        let forwarding = Forwarding { always: Some("1003".into()), ..Forwarding::default() };
        let event = |do_not_disturb| Event::Handling {
            account: AccountId(0),
            forwarding: Box::new(forwarding.clone()),
            do_not_disturb,
        };
        hear(&event(false));
        hear(&event(true));
        drop(hear);
        drop(writer);
        let (_, after) = start(text);
        assert_eq!((after.forwarding, after.do_not_disturb), (forwarding, true));
        let (_, other) = start(&text.replace("604", "605"));
        assert_eq!((other.forwarding.busy.as_deref(), other.do_not_disturb), (Some("605"), false));
        fs::write(environment.handling_file().expect("a place"), "[1, \"no such thing").expect("written");
        assert!(!start(text).1.do_not_disturb);
        let _ = fs::remove_dir_all(folder);
    }
}
