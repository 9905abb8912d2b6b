//! A call that outlives the way it was made over: its address moves, its signalling is asked for and set up again.
use super::{Call, Verdict};
use crate::base::net::Flow;
use crate::base::time::WallAnchor;
use crate::sip::invite::{Cause, Phase, RequestId, Session};
use crate::sip::key::SessionKey;
use crate::sip::locate::Question;
use crate::sip::message::{NameAddr, Uri};
use crate::ua::outbox::Outbox;
use crate::ua::snapshot::CallEnd;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Sound that was heard so lately still flows: twice the time between two reports of media, and one for the way.
const HEARD: Duration = Duration::from_secs(3);
/// Silence that long is asked about.
const SILENCE: Duration = Duration::from_secs(5);
/// How often a call without signalling is looked after.
const WATCH: Duration = Duration::from_secs(1);
/// How soon what the network refused is tried again.
const AGAIN: Duration = Duration::from_secs(2);
/// And so often.
const FAILURES: u32 = 30;
/// Numbers of requests set aside for each session of a call.
const REQUESTS: u32 = 1 << 20;

/// What is being done to keep a call.
#[derive(Debug, Default)]
pub struct Recovery {
    /// In words, for the screen; empty when nothing has to be done.
    pub note: String,
    /// Asked so that the address is known that leads to the peer now.
    pub way: Option<Question>,
    /// The peer is told our address even when it is the same as before: who slept may have been forgotten on the way.
    pub repeat: bool,
    /// The peer has not followed to our address yet.
    moving: bool,
    retry_at: Option<Instant>,
    /// How often it could not be told.
    failures: u32,
    /// The status that told that the signalling is lost.
    pub lost: Option<u16>,
    /// Where the replacing INVITE may go, the best first.
    pub targets: VecDeque<Uri>,
    /// The session that is to replace the lost one.
    pub replacing: Option<SessionKey>,
    /// How the lost session ended meanwhile.
    pub ended: Option<Cause>,
    watch_at: Option<Instant>,
    /// Since when nothing was heard when the dialog was asked for because of that.
    asked_in_silence: Option<Instant>,
    /// The question is open.
    asking_in_silence: bool,
    sessions: u32,
}

impl Recovery {
    pub fn poll_timeout(&self) -> Option<Instant> {
        [self.retry_at, self.watch_at].into_iter().flatten().min()
    }
}

impl Call {
    /// All sessions: the one that is talked on, the one that is to replace it, and those that only say their goodbyes.
    pub fn sessions_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.session.iter_mut().chain(&mut self.others)
    }

    pub fn session_of(&mut self, key: &SessionKey) -> Option<&mut Session> {
        self.sessions_mut().find(|session| session.key() == key)
    }

    /// The session that sent this request.
    pub fn sender_of(&mut self, id: RequestId) -> Option<&mut Session> {
        self.sessions_mut().find(|session| session.awaits(id))
    }

    /// Where the numbers of the next session's requests begin.
    pub fn number_session(&mut self) -> u32 {
        self.recovery.sessions += 1;
        self.recovery.sessions.wrapping_mul(REQUESTS)
    }

    /// Says and logs what is being done; nothing when it is said already.
    pub fn note(&mut self, words: &str, out: &mut Outbox) {
        if self.recovery.note != words {
            self.recovery.note = words.to_owned();
            if !words.is_empty() {
                out.log(format!("call {}: {words}", self.number));
            }
        }
    }

    /// Whether sound arrives.
    pub fn hears(&self, now: Instant) -> bool {
        self.silent_since().is_some_and(|since| now.saturating_duration_since(since) <= HEARD)
    }

    /// The address that leads to the peer is another one now: ports are bound there, and the peer is asked to follow, as soon
    /// as the call is up.
    pub fn move_to(&mut self, now: Instant, flow: Flow, contact: NameAddr, out: &mut Outbox) {
        if let Some(session) = &mut self.session {
            session.set_contact(contact);
        }
        self.flow = Some(flow);
        self.recovery.moving = true;
        (self.recovery.retry_at, self.recovery.failures) = (None, 0);
        self.note("address changed: asking the peer to follow", out);
        if self.plan.address() == Some(flow.local.ip()) && !self.plan.ways.are_searched() {
            self.ask_to_follow(now);
        } else {
            let open = self.open_at(flow.local.ip());
            out.media.push_back(open);
        }
    }

    /// The way in use is lost: another one is searched for from here, with new credentials (RFC 8445 §9).
    pub fn search_again(&mut self, out: &mut Outbox) {
        let Some(local) = self.plan.address() else { return };
        self.recovery.moving = true;
        (self.recovery.retry_at, self.recovery.failures) = (None, 0);
        self.note("the way to the other side is lost: looking for another", out);
        let open = self.open_at(local);
        out.media.push_back(open);
    }

    pub fn is_moving(&self) -> bool {
        self.recovery.moving
    }

    /// The ports are bound at the new address.
    pub fn moved(&mut self, now: Instant) {
        if self.recovery.moving {
            self.ask_to_follow(now);
        }
    }

    /// There were no ports at the new address; it may not be usable yet.
    pub fn not_moved(&mut self, now: Instant, error: &str, out: &mut Outbox) {
        out.log(format!("call {}: no media ports at the new address: {error}", self.number));
        self.recovery.retry_at = Some(now + AGAIN);
    }

    fn ask_to_follow(&mut self, now: Instant) {
        if let Some(session) = &mut self.session {
            session.reinvite(now);
        }
    }

    /// The peer has answered our offer: it knows where we are.
    pub fn followed(&mut self, out: &mut Outbox) {
        if std::mem::take(&mut self.recovery.moving) {
            out.log(format!("call {}: the peer follows", self.number));
            self.settled(out);
        }
    }

    /// The peer refused our offer, or it could not be sent.
    pub fn did_not_follow(&mut self, now: Instant, status: u16, answered: bool, out: &mut Outbox) {
        if !self.recovery.moving {
            return;
        }
        self.recovery.failures += 1;
        if answered || self.recovery.failures >= FAILURES {
            self.recovery.moving = false;
            out.log(format!("call {}: the peer does not follow ({status})", self.number));
            self.settled(out);
        } else {
            // The new way may not be open yet.
            self.recovery.retry_at = Some(now + AGAIN);
        }
    }

    /// The dialog is there.
    pub fn alive(&mut self, now: Instant, out: &mut Outbox) {
        self.recovery.lost = None;
        self.recovery.watch_at = None;
        self.recovery.asking_in_silence = false;
        if self.recovery.moving {
            self.ask_to_follow(now);
        } else {
            self.settled(out);
        }
    }

    fn settled(&mut self, out: &mut Outbox) {
        if self.recovery.lost.is_none() {
            self.note("", out);
        }
    }

    /// Nothing is heard that should be: perhaps the call is not there any more.
    pub fn ask_in_silence(&mut self, now: Instant, out: &mut Outbox) {
        let silent = self.silent_since().filter(|since| now.saturating_duration_since(*since) >= SILENCE);
        let (Some(since), true) = (silent, self.recovery.note.is_empty()) else { return };
        if self.recovery.asked_in_silence != Some(since) {
            (self.recovery.asked_in_silence, self.recovery.asking_in_silence) = (Some(since), true);
            out.note(self.number, "no sound arrives any more");
            self.note("no sound arrives: asking whether the call is still there", out);
            self.probe();
        }
    }

    /// A question because of silence got no answer: what the silence means is decided by its own time limit.
    pub fn stays_silent(&mut self, status: u16, out: &mut Outbox) -> bool {
        let asking = std::mem::take(&mut self.recovery.asking_in_silence);
        if asking && status != 481 {
            self.settled(out);
        }
        asking && status != 481
    }

    /// Asks whether the dialog is still there.
    pub fn probe(&mut self) {
        if let Some(session) = &mut self.session {
            session.probe();
        }
    }

    /// The signalling is gone; the call goes on for as long as sound arrives.
    pub fn go_on(&mut self, now: Instant, words: &str, out: &mut Outbox) {
        self.recovery.watch_at = Some(now + WATCH);
        self.note(words, out);
    }

    /// Nobody refreshed the session.
    pub fn expire(&mut self, now: Instant) {
        if let Some(session) = &mut self.session {
            session.expire(now);
        }
    }

    /// Signalling and sound are gone.
    pub fn end_lost(&mut self, now: Instant, status: u16, anchor: &WallAnchor, out: &mut Outbox) {
        let what = if status == 481 { "the server lost the call" } else { "the server does not answer any more" };
        let cause = format!("{what}, and no sound arrives ({status})");
        self.verdict = Some(Verdict { end: CallEnd::Failed, status: Some(status), cause });
        if let Some(session) = &mut self.session {
            session.abandon(now, status);
        }
        self.drain_events(now, anchor, out);
    }

    /// The time has come to try again, or to look whether sound still arrives.
    pub fn recovery_timeout(&mut self, now: Instant, anchor: &WallAnchor, out: &mut Outbox) {
        if self.recovery.retry_at.is_some_and(|at| at <= now) {
            self.recovery.retry_at = None;
            match self.flow {
                Some(flow) if self.plan.address() != Some(flow.local.ip()) => {
                    let open = self.open_at(flow.local.ip());
                    out.media.push_back(open);
                }
                _ => self.ask_to_follow(now),
            }
        }
        if self.recovery.watch_at.is_some_and(|at| at <= now) {
            self.recovery.watch_at = Some(now + WATCH);
            if let Some(status) = self.recovery.lost.filter(|_| self.recovery.replacing.is_none() && !self.hears(now)) {
                self.recovery.watch_at = None;
                self.end_lost(now, status, anchor, out);
            }
        }
    }

    /// A session takes the place of the one that is talked on; sound goes on as it is. Returns the one before, which is kept
    /// until it has said its goodbye.
    pub fn take_over(&mut self, session: Session) -> Option<&mut Session> {
        let old = self.session.replace(session);
        // What was asked for in the dialog before ends with it.
        self.transfer = None;
        (self.recovery.lost, self.recovery.replacing, self.recovery.ended) = (None, None, None);
        (self.recovery.watch_at, self.recovery.retry_at, self.recovery.moving) = (None, None, false);
        self.others.extend(old);
        self.others.last_mut()
    }

    /// Nothing but goodbyes is left to the other sessions of a call that is over.
    pub fn end_others(&mut self, now: Instant) {
        self.recovery = Recovery { sessions: self.recovery.sessions, ..Recovery::default() };
        for session in self.others.iter_mut().filter(|session| session.phase() != Phase::Ended) {
            session.hang_up(now, None);
        }
    }
}
