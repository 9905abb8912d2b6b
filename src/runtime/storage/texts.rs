//! Texts as rows of the file.
use super::store::{KEPT, Store, StoreError, milliseconds, wall};
use crate::base::id::AccountId;
use crate::ua::snapshot::{TextState, TextView};
use rusqlite::{Row, params};
use std::time::UNIX_EPOCH;

impl Store {
    /// Writes a text, or what became of one that is known.
    pub fn insert_text(&mut self, text: &TextView) -> Result<(), StoreError> {
        let cause = match &text.state {
            TextState::Failed(cause) => cause.as_str(),
            TextState::Received | TextState::Sending | TextState::Delivered | TextState::Accepted => "",
        };
        let transaction = self.connection.transaction()?;
        transaction.execute(
            "INSERT INTO texts (key, account, account_name, outgoing, peer_name, peer_address, trust, at, text, state,
                cause)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT (key) DO UPDATE SET state = excluded.state, cause = excluded.cause",
            params![
                text.key,
                text.account.0,
                text.account_name,
                text.outgoing,
                text.peer_name,
                text.peer_address,
                text.trust,
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
        trust: row.get("trust")?,
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::runtime::storage::store::tests::{open, scratch};
    use std::time::Duration;

    pub fn text(n: u16, state: TextState) -> TextView {
        TextView {
            key: format!("key {n}"),
            account: AccountId(1),
            account_name: "work".to_owned(),
            outgoing: state != TextState::Received,
            peer_name: "Zoë'); DROP TABLE texts; --".to_owned(),
            peer_address: format!("{n}@pbx.example"),
            trust: "only their own word".to_owned(),
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
}
