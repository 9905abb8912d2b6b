//! How an incoming call is announced, and what becomes of it when nobody does anything about it.
use super::{Call, Verdict};
use crate::base::time::WallAnchor;
use crate::media::spec::Ring;
use crate::sip::message::Headers;
use crate::ua::outbox::Outbox;
use crate::ua::snapshot::CallEnd;
use std::time::Instant;

#[derive(Debug, Default)]
pub struct Alert {
    pub ring: Ring,
    /// It is answered then, since its caller may ask for that.
    pub answer_at: Option<Instant>,
    /// It was answered so: nobody chose to.
    pub unattended: bool,
    /// It is sent elsewhere then.
    pub divert_at: Option<Instant>,
    /// What its INVITE said, as long as that is needed for sending it elsewhere.
    pub invite: Option<Box<Headers>>,
}

/// How a call that does not ring here is refused, and what the user is told of it.
#[derive(Debug)]
pub struct Away {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub end: CallEnd,
    pub words: String,
}

impl Call {
    /// Refuses an incoming call by a rule of the user.
    pub fn turn_away(&mut self, now: Instant, away: Away, anchor: &WallAnchor, out: &mut Outbox) {
        let Away { status, headers, end, words } = away;
        let Some(session) = &mut self.session else { return };
        self.verdict = Some(Verdict { end, status: Some(status), cause: words });
        let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        session.reject(now, status, &headers);
        self.drain_events(now, anchor, out);
    }
}
