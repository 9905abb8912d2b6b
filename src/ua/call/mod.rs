//! One call: its SIP session, its media, and what is known of it for the screen.
mod alert;
mod course;
mod digits;
mod doubt;
mod early;
mod ending;
mod media;
pub mod party;
mod reach;
mod recovery;
mod security;
mod transfer;
mod view;

use crate::base::id::{AccountId, CallNumber};
use crate::base::net::Flow;
use crate::base::time::WallAnchor;
use crate::sip::invite::{Fork, Session};
use crate::sip::message::Uri;
use crate::ua::identity::Identity;
use crate::ua::outbox::Outbox;
use crate::ua::plan::Plan;
use crate::ua::recording::Recorded;
use crate::ua::refusal::Explained;
use crate::ua::snapshot::{CallEnd, CallSummary};
pub use alert::{Alert, Away};
pub use course::warning;
pub use doubt::Act;
use doubt::Doubts;
use media::Media;
use recovery::Recovery;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// Digits kept, in each direction.
const DIGITS: usize = 256;
#[derive(Debug)]
pub struct Call {
    pub number: CallNumber,
    pub account: AccountId,
    pub account_name: String,
    pub outgoing: bool,
    pub session: Option<Session>,
    /// Sessions beside it: one that is to replace it, and those that were replaced and say their goodbyes.
    pub others: Vec<Session>,
    pub recovery: Recovery,
    pub plan: Plan,
    /// Outgoing: whom we call, and over which flow once it is known.
    pub target: Uri,
    pub flow: Option<Flow>,
    /// What the last INVITE proved itself with.
    pub credentials: Vec<(&'static str, String)>,
    /// What the network said when something could not be delivered.
    pub refusal: Option<String>,
    /// The tag of the phone that rang last, and what its refusal tells.
    rang: Option<String>,
    explained: Explained,
    /// Who the other party is.
    pub identity: Identity,
    identity_is_news: bool,
    /// The fork whose response said who rings.
    connected_by: Option<Fork>,
    /// The account's own server, as it is named to the user.
    server: String,
    started: Instant,
    answered: Option<Instant>,
    ringing: bool,
    /// A phone of the callee rings: it said 180.
    alerted: bool,
    early_media: bool,
    /// Where a 3xx sends us, and its status.
    redirected: Option<(Uri, u16)>,
    /// The user has answered; the ports or the ACK are awaited.
    answering: bool,
    /// Incoming: the caller was told of our media before the answer.
    described: bool,
    pub ignored: bool,
    pub alert: Alert,
    /// What the user wants, and what the peer has agreed to.
    want_hold: bool,
    held_by_us: bool,
    held_by_peer: bool,
    digits: VecDeque<char>,
    /// What was dialled behind the number.
    pub after_answer: VecDeque<char>,
    digit_at: Option<Instant>,
    digits_received: String,
    media: Media,
    doubts: Doubts,
    /// Why we end the call, when that is more than "hung up".
    verdict: Option<Verdict>,
    transfer: Option<transfer::Transfer>,
    referrer: Option<transfer::Referrer>,
    /// Whom its peer is being connected with.
    connecting: Option<String>,
    /// The other side is not told who calls.
    pub private: bool,
    pub recorded: Recorded,
    /// What its INVITE says beside the usual.
    pub headers: Vec<(String, String)>,
    ended: Option<Arc<CallSummary>>,
    /// Until when a call that is over is shown.
    epitaph: Option<Instant>,
}

/// How the end of a call is told when the session itself knows less.
#[derive(Debug)]
struct Verdict {
    end: CallEnd,
    /// Instead of the status the session ends with.
    status: Option<u16>,
    cause: String,
}

/// What a call is made from.
pub struct Beginning {
    pub number: CallNumber,
    pub account: AccountId,
    pub account_name: String,
    pub outgoing: bool,
    pub identity: Identity,
    /// The account's own server, as it is named to the user.
    pub server: String,
    pub target: Uri,
    pub plan: Plan,
}

impl Call {
    pub fn new(now: Instant, beginning: Beginning) -> Self {
        let Beginning { number, account, account_name, outgoing, identity, server, target, mut plan } = beginning;
        if !outgoing {
            plan.choose(Fork(0));
        }
        Self {
            number,
            account,
            account_name,
            outgoing,
            session: None,
            others: Vec::new(),
            recovery: Recovery::default(),
            plan,
            target,
            flow: None,
            credentials: Vec::new(),
            refusal: None,
            rang: None,
            explained: Explained::default(),
            identity,
            identity_is_news: false,
            connected_by: None,
            server,
            started: now,
            answered: None,
            ringing: false,
            alerted: false,
            early_media: false,
            redirected: None,
            answering: false,
            described: false,
            ignored: false,
            alert: Alert::default(),
            want_hold: false,
            held_by_us: false,
            held_by_peer: false,
            digits: VecDeque::new(),
            after_answer: VecDeque::new(),
            digit_at: None,
            digits_received: String::new(),
            media: Media::new(now),
            doubts: Doubts::default(),
            verdict: None,
            transfer: None,
            referrer: None,
            connecting: None,
            private: false,
            recorded: Recorded::default(),
            headers: Vec::new(),
            ended: None,
            epitaph: None,
        }
    }

    pub fn peer_address(&self) -> &str {
        &self.identity.address
    }

    pub fn peer_label(&self) -> String {
        self.identity.label()
    }

    pub fn started(&self) -> Instant {
        self.started
    }

    pub fn is_over(&self) -> bool {
        self.ended.is_some()
    }

    pub fn is_established(&self) -> bool {
        self.answered.is_some() && !self.is_over()
    }

    /// Sound flows, or will: it can be held and resumed. That of an early dialog is, where the peer takes it.
    pub fn can_hold(&self) -> bool {
        self.is_established() || (self.outgoing && self.early_media && !self.is_over())
    }

    /// Rings here and waits for the user.
    pub fn is_ringing_in(&self) -> bool {
        !self.outgoing && self.answered.is_none() && !self.answering && !self.is_over()
    }

    /// Ringback is to be made here: the peer rings, and no sound of its own has come (RFC 3960 §3.2).
    pub fn wants_ringback(&self) -> bool {
        let hears = self.early_media && self.media.first_heard.is_some();
        self.outgoing && self.alerted && self.answered.is_none() && !hears && !self.is_over()
    }

    pub fn is_held_by_us(&self) -> bool {
        self.want_hold || self.held_by_us
    }

    pub fn is_held_by_peer(&self) -> bool {
        self.held_by_peer
    }

    /// Over calls are shown for a while.
    pub fn is_shown(&self) -> bool {
        !self.is_over() || self.epitaph.is_some()
    }

    /// Nothing more will happen and it was shown long enough.
    pub fn is_gone(&self) -> bool {
        self.is_done() && self.epitaph.is_none()
    }

    /// A call that is over is not shown any longer.
    pub fn forget(&mut self) {
        self.epitaph = None;
    }

    /// The session has said its last word, whatever the screen still shows.
    pub fn is_done(&self) -> bool {
        self.is_over() && self.session.iter().chain(&self.others).all(Session::is_done)
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let sessions = self.session.iter().chain(&self.others).map(Session::poll_timeout);
        let own = [
            self.epitaph,
            self.digit_at,
            self.media.opening_until,
            self.recovery.poll_timeout(),
            self.media.search.until,
            self.doubts.poll_timeout(),
            self.alert.answer_at,
            self.alert.divert_at,
        ];
        sessions.chain(own).flatten().min()
    }

    pub fn handle_timeout(&mut self, now: Instant, anchor: &WallAnchor, out: &mut Outbox) {
        for session in self.sessions_mut().filter(|s| s.poll_timeout().is_some_and(|at| at <= now)) {
            session.handle_timeout(now);
        }
        self.recovery_timeout(now, anchor, out);
        self.search_timeout(now, anchor, out);
        self.epitaph = self.epitaph.filter(|at| *at > now);
        if self.digit_at.is_some_and(|at| at <= now) {
            self.digit_at = None;
            self.send_digit(now, out);
        }
        if self.media.opening_until.is_some_and(|at| at <= now) {
            self.media.opening_until = None;
            self.fail(now, anchor, CallEnd::Failed, "the media ports could not be opened in time".to_owned(), out);
        }
    }
}
