//! The messages of the calls of a run, written to a file at its end.
use crate::app::run::Failure;
use crate::cli::{self, ExitCode};
use crate::runtime::saving;
use crate::ua::ladder::LadderEntry;
use crate::ua::ladder::capture::{self, Format};
use crate::ua::snapshot::Snapshot;
use std::path::PathBuf;
use std::sync::Arc;

/// Where they go.
#[derive(Clone, Debug)]
pub struct LadderFile {
    path: PathBuf,
    format: Format,
    secrets: bool,
}

/// What the command line asks for; a mistake is told before anybody is called.
pub fn wanted(asked: &cli::Ladder) -> Result<Option<LadderFile>, Failure> {
    let Some(file) = &asked.file else { return Ok(None) };
    let mistake = |words: String| Failure::new(ExitCode::Configuration, words);
    let format = Format::of(file).map_err(mistake)?;
    let path = saving::path(file);
    if path.exists() {
        return Err(mistake(format!("{}: the file exists already: choose another name", path.display())));
    }
    if path.parent().is_some_and(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        return Err(mistake(format!("{}: there is no such folder", path.display())));
    }
    Ok(Some(LadderFile { path, format, secrets: asked.with_secrets }))
}

/// Writes all calls of the run; when there was none, the registrations.
///
/// # Errors
/// Why the file cannot be written, in a sentence.
pub fn write(file: &LadderFile, snapshot: &Snapshot) -> Result<String, String> {
    let mut rows: Vec<Arc<LadderEntry>> =
        snapshot.ladders.iter().flat_map(|ladder| ladder.rows.iter().cloned()).collect();
    if rows.is_empty() {
        rows = snapshot.accounts.iter().flat_map(|account| account.messages.iter().cloned()).collect();
    }
    rows.sort_by_key(|row| row.at);
    let content = capture::export(file.format, "offhook: the messages of this run", &rows, file.secrets);
    saving::save(&file.path, &content, false)?;
    let messages = rows.iter().filter(|row| row.is_message()).count();
    let warning = if file.secrets { "; it holds credentials and media keys: do not hand it on" } else { "" };
    Ok(format!("{messages} messages written to {}{warning}", file.path.display()))
}
