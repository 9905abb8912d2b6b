//! The messages page: whose messages, which of them, and what is looked for.
use crate::base::id::{AccountId, CallNumber};
use crate::tui::model::Model;
use crate::tui::model::line::Line;
use crate::ua::ladder::{self, LadderEntry};
use std::sync::Arc;

/// Whose messages the page shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    Call(CallNumber),
    Registration(AccountId),
}

/// What the page remembers.
#[derive(Clone, Debug, Default)]
pub struct Messages {
    pub whose: Option<Whose>,
    /// Row the cursor is on; `None` follows the newest.
    pub at: Option<usize>,
    /// Only messages of this method; upper case.
    pub method: Option<String>,
    /// What is looked for.
    pub search: Line,
    /// The name of the file to be written.
    pub file: Line,
    /// What differs from the message of the same kind before is marked.
    pub compares: bool,
}

impl Messages {
    /// What is looked for, in lower case; empty: nothing.
    pub fn pattern(&self) -> String {
        self.search.text().trim().to_lowercase()
    }
}

impl Model {
    /// All rows of whose messages are shown.
    pub fn all_rows(&self) -> Vec<Arc<LadderEntry>> {
        match self.messages.whose {
            None => self.ladder(),
            Some(Whose::Call(number)) => {
                let story = ladder::story(&self.snapshot.ladders, number);
                let own = || self.call(number).map_or(Vec::new(), |call| call.ladder.to_vec());
                if story.is_empty() { own() } else { story }
            }
            Some(Whose::Registration(id)) => {
                let account = self.snapshot.accounts.iter().find(|account| account.id == id);
                account.map_or(Vec::new(), |account| account.messages.to_vec())
            }
        }
    }

    /// The rows the filter leaves.
    pub fn rows(&self) -> Vec<Arc<LadderEntry>> {
        let mut rows = self.all_rows();
        if let Some(method) = &self.messages.method {
            rows.retain(|row| row.is_message() && row.method().eq_ignore_ascii_case(method));
        }
        rows
    }

    /// The row the cursor is on.
    pub fn row(&self) -> Option<(usize, Arc<LadderEntry>)> {
        let rows = self.rows();
        let last = rows.len().checked_sub(1)?;
        let at = self.messages.at.unwrap_or(last).min(last);
        rows.get(at).map(|row| (at, Arc::clone(row)))
    }

    /// Whose messages they are, for the title and the name of a file.
    pub fn whose_messages(&self) -> String {
        match self.messages.whose {
            Some(Whose::Registration(id)) => self.account_name(id).to_owned(),
            Some(Whose::Call(number)) => {
                let ladder = self.snapshot.ladders.iter().find(|ladder| ladder.number == number);
                let call = || self.call(number).map_or(String::new(), |call| call.peer_name.clone());
                ladder.map_or_else(call, |ladder| ladder.peer.clone())
            }
            None => self.selected_call().map_or(String::new(), |call| call.peer_name.clone()),
        }
    }
}

/// Whether a row has the pattern anywhere; `pattern` is in lower case.
pub fn matches(row: &LadderEntry, pattern: &str) -> bool {
    let has = |text: &str| text.to_lowercase().contains(pattern);
    !pattern.is_empty() && (has(&row.label) || has(&row.remark) || has(&row.way()) || has(&row.wire.text()))
}

/// The message of the same kind, on the same way, that came before: what is compared with.
pub fn before<'r>(rows: &'r [Arc<LadderEntry>], entry: &LadderEntry) -> Option<&'r Arc<LadderEntry>> {
    let kind = |row: &LadderEntry| (row.sent, row.method().to_owned(), row.status().map(|status| status / 100));
    let at = rows.iter().position(|row| **row == *entry)?;
    rows.iter().take(at).rev().find(|row| row.is_message() && kind(row) == kind(entry))
}
