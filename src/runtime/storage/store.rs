//! The SQLite file of the call history: schema, migrations, rows.
use crate::base::id::AccountId;
use crate::qos::snapshot::{CallQuality, Fault, Reading, Verdict};
use crate::ua::identity::{Forwarded, Identity, Source, Verification};
use crate::ua::snapshot::{CallEnd, CallSummary, TextState, TextView};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Each step brings the file from the version of its index to the next one.
const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE calls (
        id INTEGER PRIMARY KEY,
        account INTEGER NOT NULL,
        account_name TEXT NOT NULL,
        outgoing INTEGER NOT NULL,
        peer_name TEXT NOT NULL,
        peer_address TEXT NOT NULL,
        started INTEGER NOT NULL,    -- [ms] since the Unix epoch
        duration INTEGER,            -- [ms]
        ending TEXT NOT NULL,
        status INTEGER,
        cause TEXT NOT NULL,
        codec TEXT NOT NULL,
        mos_in REAL, mos_out REAL,
        loss_in REAL, loss_out REAL,      -- [%]
        jitter_in REAL, jitter_out REAL,  -- [ms]
        round_trip REAL,                  -- [ms]
        verdict TEXT NOT NULL,
        fault TEXT NOT NULL,
        diagnosis TEXT NOT NULL
    ) STRICT;
",
    "
    ALTER TABLE calls ADD COLUMN source TEXT NOT NULL DEFAULT '';
    ALTER TABLE calls ADD COLUMN asserted_by TEXT NOT NULL DEFAULT '';
    ALTER TABLE calls ADD COLUMN told TEXT NOT NULL DEFAULT '';
    ALTER TABLE calls ADD COLUMN contact TEXT;
    ALTER TABLE calls ADD COLUMN verification TEXT NOT NULL DEFAULT '';
    ALTER TABLE calls ADD COLUMN attestation TEXT;
    ALTER TABLE calls ADD COLUMN forwarded TEXT NOT NULL DEFAULT '';            -- `by TAB why`, a line each
    ALTER TABLE calls ADD COLUMN forwarded_asserted INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE calls ADD COLUMN dialled TEXT NOT NULL DEFAULT '';
",
    "
    CREATE TABLE texts (
        key TEXT PRIMARY KEY,
        account INTEGER NOT NULL,
        account_name TEXT NOT NULL,
        outgoing INTEGER NOT NULL,
        peer_name TEXT NOT NULL,
        peer_address TEXT NOT NULL,
        at INTEGER NOT NULL,    -- [ms] since the Unix epoch
        text TEXT NOT NULL,
        state TEXT NOT NULL,
        cause TEXT NOT NULL
    ) STRICT;
",
];
/// Older calls are forgotten.
const KEPT: u32 = 10_000;
/// Another offhook may be writing.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    #[error("{0}")]
    File(#[from] std::io::Error),
    #[error("{0}")]
    Database(#[from] rusqlite::Error),
    #[error("the file is damaged: {0}")]
    Damaged(String),
    #[error("it was written by a newer offhook (format {found}, this one knows {known})")]
    Newer { found: usize, known: usize },
}

impl StoreError {
    fn is_damage(&self) -> bool {
        match self {
            Self::Damaged(_) => true,
            Self::Database(error) => {
                matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
            }
            Self::File(_) | Self::Newer { .. } => false,
        }
    }
}

#[derive(Debug)]
pub struct Store {
    connection: Connection,
}

impl Store {
    /// Opens the file, or creates it. One that is damaged is moved aside, which is said in the notice.
    pub fn open(path: &Path) -> Result<(Self, Option<String>), StoreError> {
        match Self::open_file(path) {
            Err(error) if error.is_damage() => {
                let aside = move_aside(path)?;
                let notice = format!("call history {}: {error}; it is now {}", path.display(), aside.display());
                Ok((Self::open_file(path)?, Some(notice)))
            }
            opened => opened.map(|store| (store, None)),
        }
    }

    fn open_file(path: &Path) -> Result<Self, StoreError> {
        if let Some(folder) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        // Who called whom is nobody else's business: SQLite gives its side files the mode of the main file.
        let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
        file.set_permissions(Permissions::from_mode(0o600))?;
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(PATIENCE)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        let health: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if health != "ok" {
            return Err(StoreError::Damaged(health));
        }
        migrate(&mut connection)?;
        Ok(Self { connection })
    }

    pub fn insert(&mut self, call: &CallSummary) -> Result<(), StoreError> {
        let (quality, identity) = (&call.quality, &call.identity);
        let value = |reading: Option<Reading>| reading.map(|r| r.value);
        let transaction = self.connection.transaction()?;
        transaction.execute(
            "INSERT INTO calls (account, account_name, outgoing, peer_name, peer_address, started, duration, ending, status,
                cause, codec, mos_in, mos_out, loss_in, loss_out, jitter_in, jitter_out, round_trip, verdict, fault, diagnosis,
                source, asserted_by, told, contact, verification, attestation, forwarded, forwarded_asserted, dialled)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,
                ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30)",
            params![
                call.account.0,
                call.account_name,
                call.outgoing,
                call.peer_name,
                call.peer_address,
                call.started.duration_since(UNIX_EPOCH).map_or(0, milliseconds),
                call.duration.map(milliseconds),
                word(ENDS, call.end),
                call.status,
                call.cause,
                call.codec,
                value(quality.inbound.mos),
                value(quality.outbound.mos),
                quality.inbound.loss_total,
                quality.outbound.loss_total,
                value(quality.inbound.jitter),
                value(quality.outbound.jitter),
                value(quality.round_trip),
                word(VERDICTS, quality.verdict),
                word(FAULTS, quality.fault),
                quality.diagnosis,
                word(SOURCES, identity.source),
                identity.by,
                identity.told,
                identity.contact,
                identity.verification.map_or("", |v| word(CHECKS, v)),
                identity.attestation,
                lines(&identity.forwarded),
                identity.from_server,
                identity.dialled,
            ],
        )?;
        transaction.execute("DELETE FROM calls WHERE id <= (SELECT max(id) FROM calls) - ?1", [KEPT])?;
        transaction.commit()?;
        Ok(())
    }

    /// Writes a text, or what became of one that is known.
    pub fn insert_text(&mut self, text: &TextView) -> Result<(), StoreError> {
        let cause = match &text.state {
            TextState::Failed(cause) => cause.as_str(),
            TextState::Received | TextState::Sending | TextState::Delivered | TextState::Accepted => "",
        };
        let transaction = self.connection.transaction()?;
        transaction.execute(
            "INSERT INTO texts (key, account, account_name, outgoing, peer_name, peer_address, at, text, state, cause)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
             ON CONFLICT (key) DO UPDATE SET state = excluded.state, cause = excluded.cause",
            params![
                text.key,
                text.account.0,
                text.account_name,
                text.outgoing,
                text.peer_name,
                text.peer_address,
                text.at.duration_since(UNIX_EPOCH).map_or(0, milliseconds),
                text.text,
                text.state.word(),
                cause,
            ],
        )?;
        transaction.execute("DELETE FROM texts WHERE rowid <= (SELECT max(rowid) FROM texts) - ?1", [KEPT])?;
        transaction.commit()?;
        Ok(())
    }

    /// The newest first.
    pub fn latest_texts(&self, count: usize) -> Result<Vec<TextView>, StoreError> {
        let mut statement = self.connection.prepare("SELECT * FROM texts ORDER BY rowid DESC LIMIT ?1")?;
        let texts = statement.query_map([i64::try_from(count).unwrap_or(i64::MAX)], read_text)?;
        Ok(texts.collect::<Result<_, _>>()?)
    }

    /// The newest first.
    pub fn latest(&self, count: usize) -> Result<Vec<CallSummary>, StoreError> {
        let mut statement = self.connection.prepare("SELECT * FROM calls ORDER BY id DESC LIMIT ?1")?;
        let calls = statement.query_map([i64::try_from(count).unwrap_or(i64::MAX)], read)?;
        Ok(calls.collect::<Result<_, _>>()?)
    }
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let found: Option<i64> = transaction.query_row("PRAGMA user_version", [], |row| row.get(0)).optional()?;
    let found = usize::try_from(found.unwrap_or(0)).unwrap_or(usize::MAX);
    let steps = MIGRATIONS.get(found..).ok_or(StoreError::Newer { found, known: MIGRATIONS.len() })?;
    for step in steps {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", MIGRATIONS.len() as i64)?;
    transaction.commit()?;
    Ok(())
}

/// Renames the file to the first free name; its side files belong to the damaged one and go.
fn move_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let with = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let names = std::iter::once(with(".broken")).chain((2..100).map(|n| with(&format!(".broken{n}"))));
    let free = names.into_iter().find(|name| !name.exists()).unwrap_or_else(|| with(".broken"));
    fs::rename(path, &free)?;
    for side in ["-wal", "-shm"] {
        match fs::remove_file(with(side)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => (),
        }
    }
    Ok(free)
}

fn read_text(row: &Row) -> rusqlite::Result<TextView> {
    let state: String = row.get("state")?;
    Ok(TextView {
        key: row.get("key")?,
        account: AccountId(row.get("account")?),
        account_name: row.get("account_name")?,
        outgoing: row.get("outgoing")?,
        peer_name: row.get("peer_name")?,
        peer_address: row.get("peer_address")?,
        at: wall(row.get("at")?),
        text: row.get("text")?,
        state: match state.as_str() {
            "received" => TextState::Received,
            "delivered" => TextState::Delivered,
            "accepted" => TextState::Accepted,
            "failed" => TextState::Failed(row.get("cause")?),
            // The program ended before the answer came.
            _ => TextState::Failed("what became of it is not known".to_owned()),
        },
    })
}

fn read(row: &Row) -> rusqlite::Result<CallSummary> {
    let reading =
        |name: &str| row.get::<_, Option<f64>>(name).map(|v| v.map(|value| Reading { value, age: Duration::ZERO }));
    let mut quality = CallQuality { diagnosis: row.get("diagnosis")?, ..CallQuality::default() };
    quality.inbound.mos = reading("mos_in")?;
    quality.outbound.mos = reading("mos_out")?;
    quality.inbound.loss_total = row.get("loss_in")?;
    quality.outbound.loss_total = row.get("loss_out")?;
    quality.inbound.jitter = reading("jitter_in")?;
    quality.outbound.jitter = reading("jitter_out")?;
    quality.round_trip = reading("round_trip")?;
    quality.verdict = meaning(VERDICTS, &row.get::<_, String>("verdict")?).unwrap_or_default();
    quality.fault = meaning(FAULTS, &row.get::<_, String>("fault")?).unwrap_or_default();
    let duration: Option<i64> = row.get("duration")?;
    Ok(CallSummary {
        account: AccountId(row.get("account")?),
        account_name: row.get("account_name")?,
        outgoing: row.get("outgoing")?,
        peer_name: row.get("peer_name")?,
        peer_address: row.get("peer_address")?,
        identity: read_identity(row)?,
        started: wall(row.get("started")?),
        duration: duration.map(span),
        end: meaning(ENDS, &row.get::<_, String>("ending")?).unwrap_or(CallEnd::Failed),
        status: row.get("status")?,
        cause: row.get("cause")?,
        advice: String::new(),
        refused_by: String::new(),
        codec: row.get("codec")?,
        quality: Arc::new(quality),
    })
}

fn read_identity(row: &Row) -> rusqlite::Result<Identity> {
    Ok(Identity {
        name: row.get("peer_name")?,
        address: row.get("peer_address")?,
        source: meaning(SOURCES, &row.get::<_, String>("source")?).unwrap_or_default(),
        by: row.get("asserted_by")?,
        told: row.get("told")?,
        contact: row.get("contact")?,
        verification: meaning(CHECKS, &row.get::<_, String>("verification")?),
        attestation: row.get("attestation")?,
        forwarded: unlines(&row.get::<_, String>("forwarded")?),
        from_server: row.get("forwarded_asserted")?,
        dialled: row.get("dialled")?,
    })
}

/// The names hold neither tabs nor line ends: they are fit for the screen.
fn lines(forwarded: &[Forwarded]) -> String {
    forwarded.iter().map(|step| format!("{}\t{}\n", step.by, step.why)).collect()
}

fn unlines(text: &str) -> Vec<Forwarded> {
    let step = |line: &str| {
        let (by, why) = line.split_once('\t').unwrap_or((line, ""));
        Forwarded { by: by.to_owned(), why: why.to_owned() }
    };
    text.lines().map(step).collect()
}

/// The words in the file: renaming a variant does not change them.
const ENDS: &[(CallEnd, &str)] = &[
    (CallEnd::Normal, "normal"),
    (CallEnd::Missed, "missed"),
    (CallEnd::Rejected, "rejected"),
    (CallEnd::AnsweredElsewhere, "elsewhere"),
    (CallEnd::Cancelled, "cancelled"),
    (CallEnd::Refused, "refused"),
    (CallEnd::Failed, "failed"),
    (CallEnd::NoMedia, "no-media"),
];
const SOURCES: &[(Source, &str)] = &[
    (Source::Dialled, "dialled"),
    (Source::Claimed, "claimed"),
    (Source::Asserted, "asserted"),
    (Source::Verified, "verified"),
    (Source::Withheld, "withheld"),
];
const CHECKS: &[(Verification, &str)] =
    &[(Verification::Passed, "passed"), (Verification::Failed, "failed"), (Verification::None, "none")];
const VERDICTS: &[(Verdict, &str)] =
    &[(Verdict::Unknown, "unknown"), (Verdict::Good, "good"), (Verdict::Fair, "fair"), (Verdict::Poor, "poor")];
const FAULTS: &[(Fault, &str)] =
    &[(Fault::Nobody, "nobody"), (Fault::Here, "here"), (Fault::Network, "network"), (Fault::There, "there")];

fn word<T: PartialEq>(table: &[(T, &'static str)], value: T) -> &'static str {
    table.iter().find(|(v, _)| *v == value).map_or("", |(_, word)| word)
}

fn meaning<T: Copy>(table: &[(T, &str)], word: &str) -> Option<T> {
    table.iter().find(|(_, w)| *w == word).map(|(value, _)| *value)
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn span(milliseconds: i64) -> Duration {
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0))
}

fn wall(milliseconds: i64) -> SystemTime {
    UNIX_EPOCH.checked_add(span(milliseconds)).unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::qos::snapshot::DirectionQuality;

    /// A folder that is removed again.
    pub struct Scratch(PathBuf);

    impl Scratch {
        pub fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).ok();
        }
    }

    pub fn scratch() -> Scratch {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("offhook-store-{}-{count}", std::process::id()));
        fs::create_dir_all(&path).expect("temporary folder");
        Scratch(path)
    }

    /// A call that differs from others in everything, with every kind of value present or absent by turns.
    pub fn call(n: u16) -> CallSummary {
        let reading = |value| Some(Reading { value, age: Duration::ZERO });
        let direction = |mos| DirectionQuality {
            mos,
            loss_total: mos.map(|_| f64::from(n)),
            jitter: reading(f64::from(n) / 7.0),
            ..DirectionQuality::default()
        };
        let even = n.is_multiple_of(2);
        let quality = CallQuality {
            inbound: direction(reading(4.1)),
            outbound: direction(if even { reading(3.9) } else { None }),
            round_trip: if even { None } else { reading(61.5) },
            diagnosis: "Good.".to_owned(),
            verdict: VERDICTS[usize::from(n) % VERDICTS.len()].0,
            fault: FAULTS[usize::from(n) % FAULTS.len()].0,
            ..CallQuality::default()
        };
        CallSummary {
            account: AccountId(n),
            account_name: format!("account {n}"),
            outgoing: even,
            peer_name: "Zoë'); DROP TABLE calls; --".to_owned(),
            peer_address: format!("{n}@pbx.example"),
            identity: Identity {
                name: "Zoë'); DROP TABLE calls; --".to_owned(),
                address: format!("{n}@pbx.example"),
                source: SOURCES[usize::from(n) % SOURCES.len()].0,
                by: "pbx.example".to_owned(),
                told: "Zoë B.".to_owned(),
                contact: even.then(|| "Zoë".to_owned()),
                verification: (!even).then(|| CHECKS[usize::from(n) % CHECKS.len()].0),
                attestation: even.then(|| "A".to_owned()),
                forwarded: (0..n % 3)
                    .map(|step| Forwarded { by: format!("by {step}"), why: "busy".to_owned() })
                    .collect(),
                from_server: even,
                dialled: format!("{n}"),
            },
            started: UNIX_EPOCH + Duration::from_millis(1_700_000_000_000 + u64::from(n)),
            duration: (!even).then(|| Duration::from_millis(u64::from(n) * 1_001)),
            end: ENDS[usize::from(n) % ENDS.len()].0,
            status: even.then_some(486),
            cause: "They hung up.".to_owned(),
            advice: String::new(),
            refused_by: String::new(),
            codec: "PCMU 8k".to_owned(),
            quality: Arc::new(quality),
        }
    }

    pub fn text(n: u16, state: TextState) -> TextView {
        TextView {
            key: format!("key {n}"),
            account: AccountId(1),
            account_name: "work".to_owned(),
            outgoing: state != TextState::Received,
            peer_name: "Zoë'); DROP TABLE texts; --".to_owned(),
            peer_address: format!("{n}@pbx.example"),
            at: UNIX_EPOCH + Duration::from_millis(1_700_000_000_000 + u64::from(n)),
            text: "two\nlines".to_owned(),
            state,
        }
    }

    #[test]
    fn a_text_is_kept_with_what_became_of_it() {
        let dir = scratch();
        let path = dir.path().join("history.db");
        let mut store = open(&path);
        let lost = TextState::Failed("what became of it is not known".to_owned());
        for (n, state) in (0..).zip([TextState::Received, TextState::Accepted, TextState::Failed("busy".to_owned())]) {
            store.insert_text(&text(n, TextState::Sending)).expect("written");
            assert_eq!(store.latest_texts(1).expect("read"), [text(n, lost.clone())]);
            store.insert_text(&text(n, state.clone())).expect("written");
            let outgoing = true;
            assert_eq!(store.latest_texts(1).expect("read"), [TextView { outgoing, ..text(n, state) }]);
        }
        drop(store);
        let texts = open(&path).latest_texts(9).expect("read");
        assert_eq!(texts.iter().map(|text| text.key.as_str()).collect::<Vec<_>>(), ["key 2", "key 1", "key 0"]);
    }

    fn open(path: &Path) -> Store {
        let (store, notice) = Store::open(path).expect("opens");
        assert_eq!(notice, None);
        store
    }

    #[test]
    fn what_goes_in_comes_out_newest_first() {
        let dir = scratch();
        let path = dir.path().join("history.db");
        let calls: Vec<_> = (0..12).map(call).collect();
        let mut store = open(&path);
        calls.iter().for_each(|call| store.insert(call).expect("written"));
        drop(store);
        let mut back = open(&path).latest(100).expect("read");
        back.reverse();
        assert_eq!(back, calls);
        assert_eq!(open(&path).latest(2).expect("read"), [call(11), call(10)]);
    }

    #[test]
    fn nobody_else_may_read_it() {
        let dir = scratch();
        let path = dir.path().join("history.db");
        fs::write(&path, "").expect("write");
        fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("mode");
        let mut store = open(&path);
        store.insert(&call(1)).expect("written");
        for file in fs::read_dir(dir.path()).expect("folder") {
            let file = file.expect("entry");
            assert_eq!(file.metadata().expect("metadata").permissions().mode() & 0o777, 0o600, "{file:?}");
        }
    }

    #[test]
    fn a_full_disk_is_an_error_and_not_the_end() {
        let dir = scratch();
        let mut store = open(&dir.path().join("history.db"));
        store.insert(&call(1)).expect("written");
        store.connection.pragma_update(None, "max_page_count", 1).expect("pragma");
        let failed = (0..200).find_map(|n| store.insert(&call(n)).err());
        assert!(failed.is_some_and(|error| !error.is_damage()));
        store.connection.pragma_update(None, "max_page_count", 1_000_000).expect("pragma");
        store.insert(&call(2)).expect("written again");
    }

    #[test]
    fn a_read_only_file_is_an_error_and_can_be_read() {
        let dir = scratch();
        let mut store = open(&dir.path().join("history.db"));
        store.insert(&call(1)).expect("written");
        store.connection.pragma_update(None, "query_only", true).expect("pragma");
        assert!(store.insert(&call(2)).is_err());
        assert_eq!(store.latest(9).expect("read"), [call(1)]);
    }

    #[test]
    fn a_newer_file_is_left_alone() {
        let dir = scratch();
        let path = dir.path().join("history.db");
        let store = open(&path);
        store.connection.pragma_update(None, "user_version", 99).expect("pragma");
        drop(store);
        let error = Store::open(&path).map(drop).expect_err("refused");
        assert!(matches!(error, StoreError::Newer { found: 99, .. }), "{error}");
        assert!(path.exists());
    }

    #[test]
    fn damage_in_the_middle_is_noticed() {
        let dir = scratch();
        let path = dir.path().join("history.db");
        let mut store = open(&path);
        (0..500).for_each(|n| store.insert(&call(n)).expect("written"));
        store.connection.pragma_update(None, "journal_mode", "DELETE").expect("pragma");
        drop(store);
        let mut bytes = fs::read(&path).expect("read");
        let (from, to) = (bytes.len() / 4, bytes.len() * 3 / 4);
        bytes[from..to].fill(0xa5);
        fs::write(&path, bytes).expect("write");
        let (store, notice) = Store::open(&path).expect("opens anew");
        assert!(notice.is_some_and(|text| text.contains("history.db.broken")));
        assert_eq!(store.latest(9).expect("read"), []);
    }
}
