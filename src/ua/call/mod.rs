//! One call: its SIP session, its media stream, and what is known of it for the screen.
mod digits;
mod ending;
pub mod party;
mod recovery;
mod transfer;
mod view;

use crate::base::id::{AccountId, CallNumber, StreamId};
use crate::base::net::Flow;
use crate::base::time::WallAnchor;
use crate::media::event::MediaEvent;
use crate::media::spec::{Direction, MediaCommand, StreamSpec};
use crate::media::stats::{Participant, StreamReport};
use crate::qos::monitor::CallMonitor;
use crate::qos::snapshot::CallQuality;
use crate::sdp::SdpError;
use crate::sip::invite::{self, Answer, Body, Fork, OfferId, Phase, Session};
use crate::sip::message::{Scheme, Uri};
use crate::ua::account::shown;
use crate::ua::event::Event;
use crate::ua::identity::Identity;
use crate::ua::ladder::Ladder;
use crate::ua::outbox::Outbox;
use crate::ua::plan::Plan;
use crate::ua::snapshot::{CallEnd, CallSummary};
use recovery::Recovery;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Digits kept, in each direction.
const DIGITS: usize = 256;
/// How long an answer of ours may wait for the ports.
const OPENING: Duration = Duration::from_secs(5);

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
    pub ladder: Ladder,
    /// What the last INVITE proved itself with.
    pub credentials: Vec<(&'static str, String)>,
    /// What the network said when something could not be delivered.
    pub refusal: Option<String>,
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
    early_media: bool,
    /// Where a 3xx sends us, and its status.
    redirected: Option<(Uri, u16)>,
    /// The user has answered; the ports or the ACK are awaited.
    answering: bool,
    pub ignored: bool,
    /// What the user wants, and what the peer has agreed to.
    want_hold: bool,
    held_by_us: bool,
    held_by_peer: bool,
    digits: VecDeque<char>,
    digit_at: Option<Instant>,
    digits_received: String,
    monitor: CallMonitor,
    quality: Arc<CallQuality>,
    participant: Participant,
    media_flowing: bool,
    media_opened: bool,
    /// The stream as media runs it by now.
    spec: Option<StreamSpec>,
    packets: u64,
    media_heard: Instant,
    opening_until: Option<Instant>,
    /// Why we end the call, when that is more than "hung up".
    verdict: Option<Verdict>,
    transfer: Option<transfer::Transfer>,
    referrer: Option<transfer::Referrer>,
    /// Whom its peer is being connected with.
    connecting: Option<String>,
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
            ladder: Ladder::default(),
            credentials: Vec::new(),
            refusal: None,
            identity,
            identity_is_news: false,
            connected_by: None,
            server,
            started: now,
            answered: None,
            ringing: false,
            early_media: false,
            redirected: None,
            answering: false,
            ignored: false,
            want_hold: false,
            held_by_us: false,
            held_by_peer: false,
            digits: VecDeque::new(),
            digit_at: None,
            digits_received: String::new(),
            monitor: CallMonitor::new(now),
            quality: Arc::default(),
            participant: Participant::default(),
            media_flowing: false,
            media_opened: false,
            spec: None,
            packets: 0,
            media_heard: now,
            opening_until: None,
            verdict: None,
            transfer: None,
            referrer: None,
            connecting: None,
            headers: Vec::new(),
            ended: None,
            epitaph: None,
        }
    }

    pub fn stream(&self) -> StreamId {
        StreamId(self.number.0)
    }

    pub fn peer_address(&self) -> &str {
        &self.identity.address
    }

    pub fn peer_label(&self) -> String {
        self.identity.label()
    }

    pub fn is_over(&self) -> bool {
        self.ended.is_some()
    }

    pub fn is_established(&self) -> bool {
        self.answered.is_some() && !self.is_over()
    }

    /// Rings here and waits for the user.
    pub fn is_ringing_in(&self) -> bool {
        !self.outgoing && self.answered.is_none() && !self.answering && !self.is_over()
    }

    /// Ringback is to be made here: the peer rings and sends no sound of its own.
    pub fn wants_ringback(&self) -> bool {
        self.outgoing && self.ringing && self.answered.is_none() && !self.early_media && !self.is_over()
    }

    pub fn is_held_by_us(&self) -> bool {
        self.want_hold || self.held_by_us
    }

    pub fn is_held_by_peer(&self) -> bool {
        self.held_by_peer
    }

    /// Sound may flow: established, or early media.
    pub fn has_sound(&self) -> bool {
        !self.is_over() && self.spec.is_some()
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
        let own = [self.epitaph, self.digit_at, self.opening_until, self.recovery.poll_timeout()];
        sessions.chain(own).flatten().min()
    }

    pub fn handle_timeout(&mut self, now: Instant, anchor: &WallAnchor, out: &mut Outbox) {
        for session in self.sessions_mut().filter(|s| s.poll_timeout().is_some_and(|at| at <= now)) {
            session.handle_timeout(now);
        }
        self.recovery_timeout(now, anchor, out);
        self.epitaph = self.epitaph.filter(|at| *at > now);
        if self.digit_at.is_some_and(|at| at <= now) {
            self.digit_at = None;
            self.send_digit(now, out);
        }
        if self.opening_until.is_some_and(|at| at <= now) {
            self.opening_until = None;
            self.fail(now, anchor, CallEnd::Failed, "the media ports could not be opened in time".to_owned(), out);
        }
    }

    /// Asks media for ports on the interface of the flow.
    pub fn open_media(&mut self, now: Instant, flow: Flow, out: &mut Outbox) {
        self.flow = Some(flow);
        if !self.media_opened {
            self.media_opened = true;
            self.opening_until = Some(now + OPENING);
            out.media.push_back(MediaCommand::Open { stream: self.stream(), local: flow.local.ip() });
        }
    }

    pub fn handle_opened(&mut self, rtp: std::net::SocketAddr, rtcp: std::net::SocketAddr) {
        self.opening_until = None;
        self.plan.set_ports(rtp, rtcp);
    }

    /// There are no ports: without them there is no call, and nothing to close.
    pub fn handle_open_failed(&mut self, now: Instant, anchor: &WallAnchor, error: &str, out: &mut Outbox) {
        if self.is_established() || self.is_moving() {
            return self.not_moved(now, &shown(error, 80), out);
        }
        self.media_opened = false;
        self.fail(now, anchor, CallEnd::Failed, format!("no media ports: {}", shown(error, 80)), out);
    }

    /// The user takes the call; it is answered as soon as the ports are there.
    pub fn answer(&mut self, now: Instant, anchor: &WallAnchor, out: &mut Outbox) {
        if self.is_over() || self.outgoing || self.answered.is_some() {
            return;
        }
        self.answering = true;
        if !self.plan.is_open() {
            return;
        }
        let Some(session) = &mut self.session else { return };
        let made = match session.offer().cloned() {
            Some(offer) => self.plan.answer(&offer, Direction::SendRecv),
            None => self.plan.offer(Direction::SendRecv).map(|body| (body, None)),
        };
        match made {
            Ok((body, spec)) => {
                session.accept(now, Some(body));
                self.answered = Some(now);
                self.media_heard = now;
                self.configure(now, spec, out);
                out.event(Event::Established(self.number));
            }
            Err(error) => {
                let warning = warning(&error);
                session.reject(now, error.status(), &[("Warning", &warning)]);
                self.verdict = Some(Verdict { end: CallEnd::Failed, status: None, cause: error.to_string() });
            }
        }
        self.drain_events(now, anchor, out);
    }

    pub fn reject(&mut self, now: Instant, status: u16, anchor: &WallAnchor, out: &mut Outbox) {
        if let Some(session) = &mut self.session {
            session.reject(now, status, &[]);
        }
        self.drain_events(now, anchor, out);
    }

    /// Ends the call from here.
    pub fn hang_up(&mut self, now: Instant, anchor: &WallAnchor, out: &mut Outbox) {
        match &mut self.session {
            Some(session) => session.hang_up(now, None),
            None => self.finish(now, anchor, CallEnd::Cancelled, None, "given up by you".to_owned(), out),
        }
        self.drain_events(now, anchor, out);
    }

    /// Ends the call because something went wrong.
    pub fn fail(&mut self, now: Instant, anchor: &WallAnchor, end: CallEnd, cause: String, out: &mut Outbox) {
        match &mut self.session {
            Some(session) => {
                self.verdict = Some(Verdict { end, status: None, cause });
                if session.phase() == Phase::Ringing {
                    // Here it does not work; other phones of the user may take the call, which a 6xx would forbid.
                    session.reject(now, 480, &[]);
                } else {
                    session.hang_up(now, None);
                }
            }
            None => self.finish(now, anchor, end, None, cause, out),
        }
        self.drain_events(now, anchor, out);
    }

    pub fn set_hold(&mut self, now: Instant, hold: bool) {
        if self.is_established()
            && self.want_hold != hold
            && let Some(session) = &mut self.session
        {
            self.want_hold = hold;
            session.reinvite(now);
        }
    }

    pub fn follow(&mut self, now: Instant, yes: bool, anchor: &WallAnchor, out: &mut Outbox) {
        let (Some(session), Some((target, status))) = (&mut self.session, self.redirected.take()) else { return };
        if yes {
            session.follow(now, target);
        } else {
            let cause = format!("the target had moved, and you did not follow ({status})");
            self.verdict = Some(Verdict { end: CallEnd::Refused, status: Some(status), cause });
            session.hang_up(now, None);
        }
        self.drain_events(now, anchor, out);
    }

    /// Hears what the session has to tell; challenges are the agent's and come back to it.
    pub fn drain_events(&mut self, now: Instant, anchor: &WallAnchor, out: &mut Outbox) {
        while let Some(event) = self.session.as_mut().and_then(Session::poll_event) {
            self.handle_session(now, event, anchor, out);
        }
    }

    pub fn handle_session(&mut self, now: Instant, event: invite::Event, anchor: &WallAnchor, out: &mut Outbox) {
        match event {
            invite::Event::Progress { fork, status, body, response } => {
                self.hear_response(fork, &response.headers, false);
                let rang = std::mem::replace(&mut self.ringing, true);
                if let Some(body) = body {
                    match self.plan.handle_answer(fork, &body) {
                        Ok(spec) => {
                            self.early_media = true;
                            self.configure(now, spec, out);
                        }
                        Err(error) => out.log(format!("call {}: early media of a {status}: {error}", self.number)),
                    }
                }
                if !rang {
                    out.event(Event::Ringing(self.number));
                }
            }
            invite::Event::Answered { fork, response } => {
                self.hear_response(fork, &response.headers, true);
                self.plan.choose(fork);
                self.answered = Some(now);
                self.media_heard = now;
                self.redirected = None;
                out.event(Event::Established(self.number));
            }
            invite::Event::Confirmed => {}
            invite::Event::Answer { fork, body } => match self.plan.handle_answer(fork, &body) {
                Ok(spec) => {
                    self.configure(now, spec, out);
                    self.followed(out);
                }
                Err(error) => {
                    let words = format!("the answer cannot be used: {error}");
                    self.fail(now, anchor, CallEnd::Failed, words, out);
                }
            },
            invite::Event::Offer { id, body } => self.handle_offer(now, id, &body, out),
            invite::Event::OfferWanted { id } => {
                let answer = match self.plan.offer(self.direction()) {
                    Ok(offer) => Answer::Accept(offer),
                    Err(error) => Answer::Reject(error.status()),
                };
                if let Some(session) = &mut self.session {
                    session.answer(now, id, answer);
                }
            }
            invite::Event::OfferRejected { status, response } => {
                self.withdraw_wishes(status, out);
                self.did_not_follow(now, status, response.is_some(), out);
            }
            invite::Event::Alive => self.alive(now, out),
            // The agent deals with it before events come here; nobody else lets it come to this.
            invite::Event::Lost { status } => self.end_lost(now, status, anchor, out),
            invite::Event::Expired => self.expire(now),
            // The agent deals with these before events come here.
            invite::Event::Challenged { .. }
            | invite::Event::Referred { .. }
            | invite::Event::TransferProgress { .. } => {}
            invite::Event::Redirected { contacts, response } => {
                // From a protected address nobody leads us to one that is not (RFC 5630 §3.3).
                let secure = self.target.scheme == Scheme::Sips;
                let usable = |uri: &Uri| uri.is_sip() && (!secure || uri.scheme == Scheme::Sips);
                match contacts.into_iter().map(|contact| contact.uri).find(usable) {
                    Some(mut uri) => {
                        // Headers and method in a URI are for those who click on it (RFC 3261 §19.1.5).
                        uri.headers = None;
                        uri.params.remove("method");
                        let target = shown(&uri.to_string(), 120);
                        self.redirected = Some((uri, response.status));
                        out.event(Event::Redirected { call: self.number, target });
                    }
                    None => {
                        let cause = "the target moved to where this phone cannot call".to_owned();
                        self.fail(now, anchor, CallEnd::Refused, cause, out);
                    }
                }
            }
            invite::Event::Notified { request } => self.hear_request(&request.headers),
            invite::Event::Ended { cause } => self.handle_end(now, &cause, anchor, out),
        }
    }

    fn handle_offer(&mut self, now: Instant, id: OfferId, body: &Body, out: &mut Outbox) {
        let answer = match self.plan.answer(body, self.direction()) {
            Ok((answer, spec)) => {
                self.configure(now, spec, out);
                Answer::Accept(answer)
            }
            Err(error) => {
                out.log(format!("call {}: the peer's offer is refused: {error}", self.number));
                Answer::Reject(error.status())
            }
        };
        if let Some(session) = &mut self.session {
            session.answer(now, id, answer);
        }
    }

    /// An offer of ours came to nothing: what was to be changed stays as it was.
    pub fn withdraw_wishes(&mut self, status: u16, out: &mut Outbox) {
        self.plan.withdraw();
        if self.want_hold != self.held_by_us {
            let what = if self.want_hold { "putting the call on hold" } else { "resuming the call" };
            self.want_hold = self.held_by_us;
            out.refuse(format!("the peer refused {what} ({status})"));
        }
    }

    /// The call is answered, by whatever dialog; `false` when it was before.
    pub fn begin_talking(&mut self, now: Instant) -> bool {
        if self.answered.is_some() {
            return false;
        }
        (self.answered, self.media_heard, self.redirected) = (Some(now), now, None);
        true
    }

    pub fn direction(&self) -> Direction {
        if self.want_hold { Direction::SendOnly } else { Direction::SendRecv }
    }

    pub fn configure(&mut self, now: Instant, spec: Option<StreamSpec>, out: &mut Outbox) {
        let held_by_peer = self.plan.negotiated().is_some_and(|n| n.held_by_peer);
        if self.held_by_us != self.want_hold || self.held_by_peer != held_by_peer {
            (self.held_by_us, self.held_by_peer) = (self.want_hold, held_by_peer);
            out.event(Event::HoldChanged { call: self.number, by_us: self.held_by_us, by_peer: held_by_peer });
        }
        let Some(spec) = spec else { return };
        self.monitor.handle_direction(now, spec.direction.sends(), spec.direction.receives());
        self.media_heard = now;
        self.spec = Some(spec.clone());
        out.media.push_back(MediaCommand::Configure { stream: self.stream(), spec: Box::new(spec) });
    }

    /// What media tells of this call's stream.
    pub fn handle_media(&mut self, now: Instant, event: MediaEvent, out: &mut Outbox) {
        match event {
            MediaEvent::Flowing { .. } => {
                self.media_flowing = true;
                self.media_heard = now;
            }
            MediaEvent::Digit { digit, .. } => {
                if self.digits_received.len() < DIGITS {
                    self.digits_received.push(digit.to_char());
                }
                out.event(Event::Digit { call: self.number, digit: digit.to_char() });
            }
            MediaEvent::Goodbye { reason, .. } => {
                // RTCP is easily forged: it never ends a call, it only explains one.
                out.log(format!("call {}: the peer's media said goodbye {}", self.number, reason.sanitize(60)));
            }
            MediaEvent::Report { report, .. } => self.handle_report(now, &report),
            MediaEvent::Opened { .. }
            | MediaEvent::OpenFailed { .. }
            | MediaEvent::Levels { .. }
            | MediaEvent::Device(_) => {}
        }
    }

    fn handle_report(&mut self, now: Instant, report: &StreamReport) {
        if report.receive.packets > self.packets {
            self.packets = report.receive.packets;
            self.media_heard = now;
        }
        self.quality = Arc::new(self.monitor.handle_report(report));
        self.participant = report.participant.clone();
    }

    pub fn handle_devices(&mut self, devices: &crate::media::stats::DeviceReport) {
        self.monitor.handle_devices(devices);
    }

    /// Since when nothing was heard although something should be; a peer that holds us need not play music.
    pub fn silent_since(&self) -> Option<Instant> {
        let expects = self.is_established()
            && !self.held_by_peer
            && self.spec.as_ref().is_some_and(|spec| spec.direction.receives());
        expects.then_some(self.media_heard)
    }
}

/// The Warning header that tells the peer what was wrong with its offer (RFC 3261 §20.43).
pub fn warning(error: &SdpError) -> String {
    format!("{} offhook \"{}\"", error.warning(), error.to_string().replace(['"', '\\'], "'"))
}
