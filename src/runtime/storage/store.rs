//! The SQLite file of the history: schema, migrations, what becomes of a damaged one.
use rusqlite::{Connection, ErrorCode, OptionalExtension};
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
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
    "
    ALTER TABLE calls ADD COLUMN advice TEXT NOT NULL DEFAULT '';
    ALTER TABLE calls ADD COLUMN refused_by TEXT NOT NULL DEFAULT '';
    ALTER TABLE calls ADD COLUMN unattended INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE texts ADD COLUMN trust TEXT NOT NULL DEFAULT '';
",
];
/// Older calls are forgotten.
pub(super) const KEPT: u32 = 10_000;
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
    pub(super) connection: Connection,
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

pub(super) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

pub(super) fn span(milliseconds: i64) -> Duration {
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0))
}

pub(super) fn wall(milliseconds: i64) -> SystemTime {
    UNIX_EPOCH.checked_add(span(milliseconds)).unwrap_or(UNIX_EPOCH)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::runtime::storage::calls::tests::call;

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

    pub fn open(path: &Path) -> Store {
        let (store, notice) = Store::open(path).expect("opens");
        assert_eq!(notice, None);
        store
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

    /// Files of each older format, as an older offhook wrote them.
    #[test]
    fn an_older_file_is_brought_up_to_date_and_loses_nothing() {
        for version in 1..MIGRATIONS.len() {
            let dir = scratch();
            let path = dir.path().join("history.db");
            let older = Connection::open(&path).expect("opens");
            MIGRATIONS[..version].iter().for_each(|step| older.execute_batch(step).expect("migrated"));
            older.pragma_update(None, "user_version", version as i64).expect("pragma");
            older
                .execute_batch(
                    "INSERT INTO calls (account, account_name, outgoing, peer_name, peer_address, started, duration, ending,
                        status, cause, codec, verdict, fault, diagnosis)
                     VALUES (1, 'work', 1, 'Bob', '1003@pbx', 1700000000000, NULL, 'refused', 486, 'busy', '', '', '', '')",
                )
                .expect("written");
            drop(older);
            let mut store = open(&path);
            store.insert(&call(1)).expect("written");
            let [new, old] = store.latest(9).expect("read").try_into().expect("two calls");
            assert_eq!(new, call(1), "from format {version}");
            assert_eq!((old.peer_name.as_str(), old.status, old.cause.as_str()), ("Bob", Some(486), "busy"));
            assert_eq!((old.advice.as_str(), old.refused_by.as_str(), old.unattended), ("", "", false));
            let found: i64 = store.connection.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("pragma");
            assert_eq!(found, MIGRATIONS.len() as i64);
        }
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
