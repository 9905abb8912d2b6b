//! All ladders of this run: of calls, also of those that are over, and of the registrations of each account.
use super::remark::{self, Side, has_description};
use super::wire::{first_line, header};
use super::{CallLadder, LadderEntry, Rows, Wire};
use crate::base::id::{AccountId, CallNumber};
use crate::base::net::Flow;
use crate::base::untrusted::Untrusted;
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// Rows kept for a call, the first ones always: they tell how it came about.
const ROWS: usize = 400;
const FIRST: usize = 20;
/// Bytes of messages kept for a call, and for all calls together.
const CALL_BYTES: usize = 512 * 1024;
const ALL_BYTES: usize = 8 * 1024 * 1024;
/// Ladders kept; those of calls that are over go first.
const LADDERS: usize = 128;
/// Rows kept for the registrations of an account.
const REGISTRATION_ROWS: usize = 60;
/// How far back a repetition is looked for, and how many of them keep their time.
const LOOK_BACK: usize = 8;
const TIMES: usize = 16;
/// Call-IDs of registrations that are remembered.
const REGISTRATIONS: usize = 64;

/// Whose ladder a row goes into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    Call(CallNumber),
    Registration(AccountId),
}

/// One message on its way.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'b> {
    pub at: Instant,
    pub wall: SystemTime,
    pub flow: Flow,
    pub sent: bool,
    pub bytes: &'b Bytes,
}

#[derive(Debug, Default)]
pub struct Ladders {
    /// In the order of their numbers.
    calls: Arc<Vec<Arc<CallLadder>>>,
    accounts: BTreeMap<AccountId, Rows>,
    /// Call-IDs of REGISTER requests, the oldest first.
    registrations: VecDeque<(String, AccountId)>,
}

impl Ladders {
    pub fn calls(&self) -> Arc<Vec<Arc<CallLadder>>> {
        Arc::clone(&self.calls)
    }

    pub fn registrations(&self, account: AccountId) -> Rows {
        self.accounts.get(&account).cloned().unwrap_or_default()
    }

    /// The rows of one call.
    pub fn of(&self, number: CallNumber) -> Rows {
        self.find(number).map(|ladder| Arc::clone(&ladder.rows)).unwrap_or_default()
    }

    pub fn has(&self, number: CallNumber) -> bool {
        self.find(number).is_some()
    }

    fn find(&self, number: CallNumber) -> Option<&Arc<CallLadder>> {
        let at = self.calls.binary_search_by_key(&number, |ladder| ladder.number).ok()?;
        self.calls.get(at)
    }

    /// The REGISTER requests with this Call-ID are of this account.
    pub fn registers(&mut self, call_id: &str, account: AccountId) {
        if self.registrations.iter().any(|(id, _)| id == call_id) {
            return;
        }
        if self.registrations.len() >= REGISTRATIONS {
            self.registrations.pop_front();
        }
        self.registrations.push_back((call_id.to_owned(), account));
    }

    pub fn registration_of(&self, call_id: &str) -> Option<AccountId> {
        self.registrations.iter().find(|(id, _)| id == call_id).map(|(_, account)| *account)
    }

    /// Begins the ladder of a call; `is_alive` tells which others must stay.
    pub fn begin(&mut self, ladder: CallLadder, is_alive: impl Fn(CallNumber) -> bool) {
        let calls = Arc::make_mut(&mut self.calls);
        let bytes = |ladder: &Arc<CallLadder>| ladder.rows.iter().map(|row| row.wire.kept()).sum::<usize>();
        let mut all: usize = calls.iter().map(bytes).sum();
        while (calls.len() >= LADDERS || all >= ALL_BYTES)
            && let Some(at) = calls.iter().position(|ladder| !is_alive(ladder.number))
        {
            all = all.saturating_sub(bytes(&calls.remove(at)));
        }
        let at = calls.partition_point(|other| other.number < ladder.number);
        calls.insert(at, Arc::new(ladder));
    }

    /// Two calls belong together from now on.
    pub fn join(&mut self, one: CallNumber, other: CallNumber) {
        let story = |number| self.find(number).map(|ladder| ladder.story);
        let (Some(one), Some(other)) = (story(one), story(other)) else { return };
        let (first, second) = (one.min(other), one.max(other));
        for ladder in Arc::make_mut(&mut self.calls).iter_mut().filter(|ladder| ladder.story == second) {
            Arc::make_mut(ladder).story = first;
        }
    }

    /// Adds a message, or counts it as a repetition of one.
    pub fn record(&mut self, whose: Whose, seen: Seen<'_>) {
        let Some(rows) = self.rows(whose) else { return };
        if count_repetition(rows, &seen) {
            return;
        }
        let row = row(rows, whose, &seen);
        self.push(whose, row);
    }

    /// Adds what happened to the sound of a call.
    pub fn note(&mut self, number: CallNumber, at: Instant, wall: SystemTime, words: &str) {
        let row = LadderEntry {
            at,
            wall,
            call: Some(number),
            sent: false,
            label: Untrusted::new(words).sanitize(100),
            cseq: String::new(),
            remark: String::new(),
            flow: None,
            repeats: 0,
            again: Vec::new(),
            wire: Wire::default(),
        };
        self.push(Whose::Call(number), row);
    }

    fn rows(&mut self, whose: Whose) -> Option<&mut Rows> {
        match whose {
            Whose::Registration(account) => Some(self.accounts.entry(account).or_default()),
            Whose::Call(number) => self.ladder(number).map(|ladder| &mut ladder.rows),
        }
    }

    fn ladder(&mut self, number: CallNumber) -> Option<&mut CallLadder> {
        let at = self.calls.binary_search_by_key(&number, |ladder| ladder.number).ok()?;
        Arc::make_mut(&mut self.calls).get_mut(at).map(Arc::make_mut)
    }

    fn push(&mut self, whose: Whose, row: LadderEntry) {
        let (limit, first) = match whose {
            Whose::Call(_) => (ROWS, FIRST),
            Whose::Registration(_) => (REGISTRATION_ROWS, 0),
        };
        let Some(rows) = self.rows(whose) else { return };
        let rows = Arc::make_mut(rows);
        rows.push(Arc::new(row));
        let mut bytes: usize = rows.iter().map(|row| row.wire.kept()).sum();
        let mut dropped = 0;
        while rows.len() > limit || (bytes > CALL_BYTES && rows.len() > first + 1) {
            bytes -= rows.remove(first.min(rows.len() - 1)).wire.kept();
            dropped += 1;
        }
        if let (Whose::Call(number), 1..) = (whose, dropped)
            && let Some(ladder) = self.ladder(number)
        {
            ladder.dropped += dropped;
        }
    }
}

/// Whether the message is one of the last that comes again.
fn count_repetition(rows: &mut Rows, seen: &Seen<'_>) -> bool {
    let same = |row: &Arc<LadderEntry>| row.sent == seen.sent && row.is_message() && row.wire.is(seen.bytes);
    let Some(back) = rows.iter().rev().take(LOOK_BACK).position(same) else { return false };
    let at = rows.len() - 1 - back;
    if let Some(row) = Arc::make_mut(rows).get_mut(at).map(Arc::make_mut) {
        row.repeats = row.repeats.saturating_add(1);
        if row.again.len() < TIMES {
            row.again.push(seen.at.saturating_duration_since(row.at));
        }
    }
    true
}

fn row(rows: &Rows, whose: Whose, seen: &Seen<'_>) -> LadderEntry {
    let first = first_line(seen.bytes);
    let label = match first.strip_prefix("SIP/2.0 ") {
        Some(status) => status.to_owned(),
        None => first.split(' ').next().unwrap_or_default().to_owned(),
    };
    let before = rows.iter().rev().find(|row| row.is_message() && matches!(whose, Whose::Call(_)));
    let hidden = before.map(|row| Arc::clone(row.wire.hidden())).unwrap_or_default();
    let cseq = Untrusted::new(header(seen.bytes, "CSeq", '\0').unwrap_or_default()).sanitize(40);
    LadderEntry {
        at: seen.at,
        wall: seen.wall,
        call: match whose {
            Whose::Call(number) => Some(number),
            Whose::Registration(_) => None,
        },
        sent: seen.sent,
        label: Untrusted::new(label).sanitize(60),
        remark: remark::remark(seen.bytes, side(rows, seen, &cseq)),
        cseq,
        flow: Some(seen.flow),
        repeats: 0,
        again: Vec::new(),
        wire: Wire::hiding(seen.bytes, &hidden),
    }
}

/// Whether the description in a message is an offer: that depends on whether the INVITE had one (RFC 3264, RFC 6337 §2).
fn side(rows: &Rows, seen: &Seen<'_>, cseq: &str) -> Side {
    let (number, method) = cseq.split_once(' ').unwrap_or_default();
    let is_response = seen.bytes.starts_with(b"SIP/2.0");
    let invited = || {
        let same = |row: &&Arc<LadderEntry>| {
            row.label == "INVITE" && (method == "PRACK" || row.cseq.starts_with(&format!("{number} ")))
        };
        rows.iter().rev().find(same).is_some_and(|row| has_description(row.wire.exposed()))
    };
    match (method, is_response) {
        ("INVITE" | "UPDATE", false) => Side::Offer,
        ("INVITE", true) | ("PRACK", false) => {
            if invited() == is_response {
                Side::Answer
            } else {
                Side::Offer
            }
        }
        _ => Side::Answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::net::Transport;
    use std::time::{Duration, UNIX_EPOCH};

    fn ladder(number: u32) -> CallLadder {
        CallLadder {
            number: CallNumber(number),
            story: CallNumber(number),
            account: AccountId(0),
            outgoing: true,
            peer: String::new(),
            started: UNIX_EPOCH,
            rows: Rows::default(),
            dropped: 0,
        }
    }

    fn flow() -> Flow {
        Flow::new(Transport::Udp, ([192, 0, 2, 1], 5060).into(), ([192, 0, 2, 2], 5060).into())
    }

    struct Stage {
        ladders: Ladders,
        now: Instant,
    }

    impl Stage {
        fn new() -> Self {
            let mut ladders = Ladders::default();
            ladders.begin(ladder(1), |_| true);
            Self { ladders, now: Instant::now() }
        }

        fn see(&mut self, sent: bool, message: &str) {
            self.now += Duration::from_millis(500);
            let bytes = Bytes::copy_from_slice(message.as_bytes());
            let seen = Seen { at: self.now, wall: UNIX_EPOCH, flow: flow(), sent, bytes: &bytes };
            self.ladders.record(Whose::Call(CallNumber(1)), seen);
        }

        fn rows(&self) -> Vec<Arc<LadderEntry>> {
            self.ladders.of(CallNumber(1)).to_vec()
        }
    }

    #[test]
    fn a_retransmission_is_counted_with_its_time_and_an_echo_is_not_one() {
        let mut stage = Stage::new();
        for _ in 0..30 {
            stage.see(true, "INVITE sip:a SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\n");
        }
        stage.see(false, "INVITE sip:a SIP/2.0\r\nCSeq: 1 INVITE\r\n\r\n");
        let rows = stage.rows();
        assert_eq!(rows.iter().map(|row| row.repeats).collect::<Vec<_>>(), [29, 0]);
        assert_eq!((rows[0].again[0], rows[0].again.len()), (Duration::from_millis(500), TIMES));
    }

    #[test]
    fn of_too_many_rows_the_first_and_the_last_stay() {
        let mut stage = Stage::new();
        for n in 0..1_000 {
            stage.see(
                n % 2 == 0,
                &format!("INFO sip:{n} SIP/2.0\r\nCSeq: {n} INFO\r\nX: {}\r\n\r\n", "y".repeat(3_000)),
            );
        }
        let rows = stage.rows();
        let (first, last) = (&rows[FIRST - 1].cseq, &rows.last().expect("rows").cseq);
        assert_eq!((first.as_str(), last.as_str()), ("19 INFO", "999 INFO"));
        assert!(rows.iter().map(|row| row.wire.kept()).sum::<usize>() <= CALL_BYTES);
        assert_eq!(rows.len() + stage.ladders.calls()[0].dropped as usize, 1_000);
    }

    #[test]
    fn ladders_of_calls_that_are_over_go_when_there_are_too_many() {
        let mut ladders = Ladders::default();
        for number in 1..=500 {
            ladders.begin(ladder(number), |number| number == CallNumber(1));
        }
        assert_eq!(ladders.calls().len(), LADDERS);
        assert!(ladders.has(CallNumber(1)) && !ladders.has(CallNumber(2)) && ladders.has(CallNumber(500)));
    }

    #[test]
    fn calls_of_a_transfer_tell_one_story() {
        let mut ladders = Ladders::default();
        (1..=4).for_each(|number| ladders.begin(ladder(number), |_| true));
        ladders.join(CallNumber(3), CallNumber(2));
        ladders.join(CallNumber(4), CallNumber(3));
        ladders.join(CallNumber(9), CallNumber(1));
        let stories: Vec<u32> = ladders.calls().iter().map(|ladder| ladder.story.0).collect();
        assert_eq!(stories, [1, 2, 2, 2]);
    }

    #[test]
    fn offers_and_answers_are_told_apart() {
        let sdp = "Content-Type: application/sdp\r\n\r\nm=audio 4 RTP/AVP 0\r\n";
        let rows = [
            ("INVITE sip:a SIP/2.0\r\nCSeq: 1 INVITE\r\n", "offer"),
            ("SIP/2.0 183 Progress\r\nCSeq: 1 INVITE\r\n", "answer"),
            ("UPDATE sip:a SIP/2.0\r\nCSeq: 2 UPDATE\r\n", "offer"),
            ("SIP/2.0 200 OK\r\nCSeq: 2 UPDATE\r\n", "answer"),
            ("PRACK sip:a SIP/2.0\r\nCSeq: 3 PRACK\r\n", "offer"),
        ];
        let mut stage = Stage::new();
        for (message, word) in rows {
            stage.see(true, &format!("{message}{sdp}"));
            assert!(stage.rows().last().expect("a row").remark.starts_with(word), "{message}");
        }
        stage.see(true, "INVITE sip:a SIP/2.0\r\nCSeq: 9 INVITE\r\n\r\n");
        for (message, word) in
            [("SIP/2.0 200 OK\r\nCSeq: 9 INVITE\r\n", "offer"), ("ACK sip:a SIP/2.0\r\nCSeq: 9 ACK\r\n", "answer")]
        {
            stage.see(true, &format!("{message}{sdp}"));
            assert!(stage.rows().last().expect("a row").remark.starts_with(word), "{message}");
        }
    }
}
