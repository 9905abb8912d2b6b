//! Calls as rows of the file.
use super::store::{KEPT, Store, StoreError, milliseconds, span, wall};
use crate::base::id::AccountId;
use crate::qos::snapshot::{CallQuality, Fault, Reading, Verdict};
use crate::ua::identity::{Forwarded, Identity, Source, Verification};
use crate::ua::snapshot::{CallEnd, CallSummary};
use rusqlite::{Row, params};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

impl Store {
    pub fn insert(&mut self, call: &CallSummary) -> Result<(), StoreError> {
        let (quality, identity) = (&call.quality, &call.identity);
        let value = |reading: Option<Reading>| reading.map(|r| r.value);
        let transaction = self.connection.transaction()?;
        transaction.execute(
            "INSERT INTO calls (account, account_name, outgoing, peer_name, peer_address, started, duration, ending, status,
                cause, codec, mos_in, mos_out, loss_in, loss_out, jitter_in, jitter_out, round_trip, verdict, fault, diagnosis,
                source, asserted_by, told, contact, verification, attestation, forwarded, forwarded_asserted, dialled,
                advice, refused_by, unattended)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,
                ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33)",
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
                call.advice,
                call.refused_by,
                call.unattended,
            ],
        )?;
        transaction.execute("DELETE FROM calls WHERE id <= (SELECT max(id) FROM calls) - ?1", [KEPT])?;
        transaction.commit()?;
        Ok(())
    }

    /// The newest first.
    pub fn latest(&self, count: usize) -> Result<Vec<CallSummary>, StoreError> {
        let mut statement = self.connection.prepare("SELECT * FROM calls ORDER BY id DESC LIMIT ?1")?;
        let calls = statement.query_map([i64::try_from(count).unwrap_or(i64::MAX)], read)?;
        Ok(calls.collect::<Result<_, _>>()?)
    }
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
        unattended: row.get("unattended")?,
        advice: row.get("advice")?,
        refused_by: row.get("refused_by")?,
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::qos::snapshot::DirectionQuality;
    use crate::runtime::storage::store::tests::{open, scratch};

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
            unattended: even,
            advice: if even { "call again later".to_owned() } else { String::new() },
            refused_by: if even { "pbx.example".to_owned() } else { String::new() },
            codec: "PCMU 8k".to_owned(),
            quality: Arc::new(quality),
        }
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
}
