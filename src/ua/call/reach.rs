//! The way a call's media takes to the peer: what is asked of media, and what becomes of the call when there is none.
use super::{Call, Verdict};
use crate::base::time::WallAnchor;
use crate::media::spec::MediaCommand;
use crate::nat::candidate::{Candidate, Kind, PathState, PathView};
use crate::sdp::Fragment;
use crate::sip::invite::Body;
use crate::ua::outbox::Outbox;
use crate::ua::snapshot::CallEnd;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// How long another way is searched for when the one in use was lost.
const SEARCH: Duration = Duration::from_secs(20);

/// The search as the call knows it.
#[derive(Debug, Default)]
pub struct Search {
    pub state: Option<PathState>,
    /// Since when there has been none.
    began: Option<Instant>,
    /// Without a way by then the call ends.
    pub until: Option<Instant>,
    /// There was one before.
    found: bool,
}

impl Call {
    /// The command that opens this call's ports.
    pub fn open_at(&mut self, local: IpAddr) -> MediaCommand {
        let peer = self.flow.map_or(local, |flow| flow.remote.ip());
        let offer = self.session.as_ref().filter(|_| !self.outgoing && self.answered.is_none());
        let offered = offer.and_then(|session| session.offer()).map(|offer| self.plan.offers_ice(offer));
        let fork = self.plan.running_fork().unwrap_or_else(|| self.plan.fork());
        let takes = self.session.as_ref().is_some_and(|session| session.takes_candidates(fork));
        let gather = self.plan.ways.gather(peer, offered, takes);
        MediaCommand::Open { stream: self.stream(), local, gather }
    }

    /// More was found out about where we may be reached.
    pub fn handle_found(&mut self, round: u32, candidates: Vec<Candidate>, complete: bool) {
        self.plan.ways.found(round, candidates, complete);
    }

    /// Tells the peer what its description of us does not say; `false` when there is nothing to tell, or not yet.
    pub fn send_candidates(&mut self) -> bool {
        let Some((fork, session)) = self.plan.running_fork().zip(self.session.as_mut()) else { return false };
        if !session.takes_candidates(fork) {
            return false;
        }
        let Some(body) = self.plan.ways.news(fork) else { return false };
        let sent = session.inform(fork, &body);
        if sent {
            self.plan.ways.informed(fork);
        }
        sent
    }

    /// The peer was told more candidates, or did not want to know them.
    pub(super) fn candidates_answered(&mut self, status: u16) {
        if matches!(status, 405 | 415 | 469 | 489 | 501) {
            self.plan.ways.stop_informing();
        }
    }

    /// The peer tells more candidates of its own.
    pub(super) fn hear_candidates(&mut self, body: &Body, out: &mut Outbox) {
        let Some(fragment) = Fragment::parse(&body.bytes) else {
            return out.log(format!("call {}: candidates of the peer cannot be read", self.number));
        };
        let stream = self.stream();
        if let Some((credentials, candidates)) = self.plan.ways.heard(fragment) {
            out.media.push_back(MediaCommand::Candidates { stream, credentials, candidates });
        }
    }

    /// The search for a way has come further.
    pub fn handle_path(&mut self, now: Instant, state: PathState, out: &mut Outbox) {
        let pair = |state: Option<&PathState>| match state {
            Some(PathState::Chosen(view)) => Some((view.local, view.remote)),
            Some(PathState::Checking | PathState::Failed | PathState::Lost) | None => None,
        };
        let before = pair(self.media.search.state.as_ref());
        let words = match &state {
            PathState::Checking => {
                self.media.search.began = Some(now);
                Some("finding a way to the other side".to_owned())
            }
            PathState::Chosen(view) if before != pair(Some(&state)) => {
                let took = self.media.search.began.take().map(|began| now.saturating_duration_since(began));
                let took = took.map(|took| format!(", found in {} ms", took.as_millis())).unwrap_or_default();
                Some(format!("media goes {} {}{took}", kind(view), addresses(view)))
            }
            PathState::Chosen(_) => None,
            PathState::Failed => Some("no way to the other side was found".to_owned()),
            PathState::Lost => Some("the other side does not answer on the way in use".to_owned()),
        };
        if let Some(words) = words {
            out.log(format!("call {}: {words}", self.number));
        }
        match &state {
            PathState::Checking => {}
            PathState::Chosen(view) => {
                self.plan.ways.set_chosen(Some(view.clone()));
                (self.media.search.until, self.media.search.found) = (None, true);
                if self.is_established()
                    && self.plan.wants_update()
                    && let Some(session) = &mut self.session
                {
                    session.reinvite(now);
                }
            }
            PathState::Failed => {
                self.plan.ways.set_chosen(None);
                let patience = if self.media.search.found { SEARCH } else { Duration::ZERO };
                self.media.search.until = self.media.search.until.or(Some(now + patience));
            }
            PathState::Lost => {
                self.plan.ways.set_chosen(None);
                if self.is_established() && self.media.search.until.is_none() {
                    self.media.search.until = Some(now + SEARCH);
                    self.search_again(out);
                }
            }
        }
        self.media.search.state = Some(state);
    }

    /// Nothing leads to the peer any more.
    pub fn search_timeout(&mut self, now: Instant, anchor: &WallAnchor, out: &mut Outbox) {
        if self.media.search.until.is_none_or(|until| until > now) {
            return;
        }
        self.media.search.until = None;
        if self.is_over() || !self.is_established() {
            return;
        }
        let cause = match self.media.search.state {
            Some(PathState::Failed) => "no way for the sound was found between the two sides (ICE)",
            _ => "the way to the other side was lost, and no other was found (ICE)",
        };
        self.verdict = Some(Verdict { end: CallEnd::Failed, status: None, cause: cause.to_owned() });
        self.fail(now, anchor, CallEnd::Failed, cause.to_owned(), out);
    }

    /// Where sound comes from and goes to.
    pub fn media_remote(&self) -> String {
        match (&self.media.search.state, &self.media.spec) {
            (Some(PathState::Chosen(view)), _) => view.remote.to_string(),
            (_, Some(spec)) => spec.remote_rtp.to_string(),
            (_, None) => String::new(),
        }
    }

    /// The way in a word or two, and the addresses, for the screen.
    pub fn media_path(&self) -> (String, String) {
        match &self.media.search.state {
            None => (String::new(), String::new()),
            Some(PathState::Checking) => ("finding a way to the other side".to_owned(), String::new()),
            Some(PathState::Failed | PathState::Lost) => ("no way to the other side".to_owned(), String::new()),
            Some(PathState::Chosen(view)) => (kind(view), addresses(view)),
        }
    }
}

/// `host`, `reflexive`, `relayed via turn.example`, `relayed by the other side`.
fn kind(view: &PathView) -> String {
    match (&view.server, view.local_kind, view.remote_kind) {
        (Some(server), ..) => format!("relayed via {}", crate::ua::account::shown(server, 60)),
        (None, _, Kind::Relayed) => "relayed by the other side".to_owned(),
        (None, Kind::Host, Kind::Host) => "host".to_owned(),
        (None, ..) => "reflexive".to_owned(),
    }
}

fn addresses(view: &PathView) -> String {
    let time = view.round_trip.map(|rtt| format!(", {:.1} ms", rtt.as_secs_f64() * 1e3)).unwrap_or_default();
    let (ours, theirs) = (view.local_kind.words(), view.remote_kind.words());
    format!("{} ({ours}) to {} ({theirs}){time}", view.local, view.remote)
}
