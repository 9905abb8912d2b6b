//! One call: its state, the ways in and out, and which part of the usage deals with what (RFC 3261 §13 to §15).
use super::acceptor::Ringing;
use super::acknowledge::{Acknowledged, Unacknowledged};
use super::initiator::Calling;
use super::offer_answer::{Carrier, Exchange, OfferAnswer};
use super::package::CANDIDATES;
use super::reliable::Reliable;
use super::session_timer::SessionTimer;
use super::transfer::Transfer;
use super::{Answer, Body, Cause, Config, Event, Failure, OfferId, Output, Phase, RequestId};
use crate::base::rng::Rng;
use crate::base::timers::TimerTable;
use crate::sip::dialog::{Dialog, Fork, Forks};
use crate::sip::key::SessionKey;
use crate::sip::message::{Headers, Method, NameAddr, Request, Response, Uri};
use crate::sip::options::{ALLOW, SUPPORTED, name_software};
use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

/// How often one request may be sent again with other credentials.
const MAX_TRIES: u32 = 4;

#[derive(Debug)]
pub(super) enum Side {
    /// Outgoing, until the first 2xx or the last final response.
    Calling(Box<Calling>),
    /// Incoming, until the final response.
    Ringing(Box<Ringing>),
    /// There is a confirmed dialog (or, incoming, one whose ACK is awaited).
    Established,
    /// It never came to a dialog.
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Invite,
    Reinvite,
    /// A refresh without a description.
    Update,
    /// An UPDATE or PRACK with our offer.
    Offer,
    Prack,
    /// The question whether the dialog is still there.
    Probe,
    Refer,
    /// A digit.
    Info,
    /// A text, by the number of whoever wrote it.
    Text(u32),
    /// What an INFO package carries.
    Package,
    /// A report on a call that the peer asked for.
    Notify,
    Bye,
}

/// A request of ours without final response.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub kind: Kind,
    pub request: Request,
    pub next_hop: Uri,
    tries: u32,
    /// 401 or 407, until it is met or given up.
    challenge: Option<Box<Response>>,
}

impl Sent {
    pub fn new(kind: Kind, request: Request, next_hop: Uri) -> Self {
        Self { kind, request, next_hop, tries: 0, challenge: None }
    }
}

/// A BYE that has to wait.
#[derive(Debug)]
pub(super) enum Bye {
    None,
    /// For the ACK of our 2xx, or for its time limit (RFC 3261 §15).
    AfterAck(Option<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// Nobody answered.
    Ring,
    /// The provisional response is due again.
    Provisional,
    /// The user did not answer an offer.
    Answer(OfferId),
    /// The 2xx to the INVITE with this CSeq number is due again.
    Success(u32),
    /// Its ACK did not come.
    AckLimit(u32),
    Glare(Fork),
    /// A reliable provisional response is due again.
    Reliable,
    /// Its PRACK did not come.
    ReliableLimit,
    /// The session is to be refreshed by us.
    Refresh,
    /// Nobody has refreshed it.
    Expiry,
    /// The peer no longer says how a transfer goes.
    Reports,
    /// Our re-INVITE got no final response.
    ModifyLimit,
    /// The 2xx acknowledged last cannot come again any longer.
    Copies,
    /// Nothing is waited for any longer.
    Linger,
}

/// One call.
#[derive(Debug)]
pub struct Session {
    pub(super) config: Config,
    pub(super) rng: Rng,
    pub(super) key: SessionKey,
    pub(super) contact: NameAddr,
    /// We made the Call-ID.
    pub(super) initiator: bool,
    pub(super) side: Side,
    /// `Ended` was told.
    pub(super) ended: bool,
    /// Incoming: the only dialog. Outgoing: the one that was answered first.
    pub(super) dialog: Option<Dialog>,
    pub(super) fork: Fork,
    /// Outgoing: the INVITE as it was sent last.
    pub(super) invite: Option<Request>,
    /// Of `dialog`; early dialogs of an outgoing call have theirs in `Calling`.
    pub(super) exchange: Exchange,
    pub(super) session_timer: SessionTimer,
    /// Incoming: the caller insists on reliable provisional responses.
    pub(super) reliable: Option<Reliable>,
    pub(super) transfer: Transfer,
    pub(super) requests: BTreeMap<RequestId, Sent>,
    pub(super) acknowledged: VecDeque<Acknowledged>,
    pub(super) unacked: Vec<Unacknowledged>,
    pub(super) bye: Bye,
    pub(super) timers: TimerTable<Timer>,
    pub(super) outputs: VecDeque<Output>,
    pub(super) events: VecDeque<Event>,
    /// Outgoing: early dialogs that did not win, while they may still be answered.
    pub(super) late_forks: Forks,
    /// Late answers that were acknowledged and released.
    pub(super) released: u32,
    requests_made: u32,
    offers_made: u32,
}

impl Session {
    pub(super) fn new(config: Config, rng: Rng, key: SessionKey, contact: NameAddr, side: Side) -> Self {
        let session_timer = SessionTimer::new(config.session_expires);
        let requests_made = config.first_request;
        Self {
            config,
            rng,
            key,
            contact,
            initiator: matches!(side, Side::Calling(_)),
            side,
            ended: false,
            dialog: None,
            fork: Fork(0),
            invite: None,
            exchange: Exchange::new(OfferAnswer::Stable, false),
            session_timer,
            reliable: None,
            transfer: Transfer::default(),
            requests: BTreeMap::new(),
            acknowledged: VecDeque::new(),
            unacked: Vec::new(),
            bye: Bye::None,
            timers: TimerTable::default(),
            outputs: VecDeque::new(),
            events: VecDeque::new(),
            late_forks: Forks::default(),
            released: 0,
            requests_made,
            offers_made: 0,
        }
    }

    /// Call-ID and our tag, the same from the first message to the last.
    pub fn key(&self) -> &SessionKey {
        &self.key
    }

    pub fn phase(&self) -> Phase {
        match &self.side {
            _ if self.ended => Phase::Ended,
            Side::Calling(_) => Phase::Calling,
            Side::Ringing(_) => Phase::Ringing,
            Side::Established => Phase::Established,
            Side::Over => Phase::Ended,
        }
    }

    /// Nothing left to send or to wait for: the session may be dropped.
    pub fn is_done(&self) -> bool {
        self.ended
            && self.requests.is_empty()
            && self.unacked.is_empty()
            && self.outputs.is_empty()
            && self.events.is_empty()
    }

    /// Changes the Contact of all later messages.
    pub fn set_contact(&mut self, contact: NameAddr) {
        self.contact = contact;
    }

    /// Answers `Event::Offer` or `Event::OfferWanted`, at once or later. Ignored when `id` is no longer open.
    pub fn answer(&mut self, now: Instant, id: OfferId, answer: Answer) {
        let Some(fork) = self.fork_waiting_for(id) else { return };
        let Some((open, wanted)) = self.exchange_of(fork).and_then(|exchange| exchange.offers.take(id)) else { return };
        self.timers.stop(&Timer::Answer(id));
        match (open.carrier, answer) {
            (Carrier::Ack { cseq }, Answer::Accept(body)) => self.acknowledge_late(now, cseq, Some(&body)),
            (Carrier::Ack { cseq }, Answer::Reject(_)) => {
                self.acknowledge_late(now, cseq, None);
                self.end(now, Cause::Negotiation("the offer was not acceptable"));
                self.say_bye(None);
            }
            (Carrier::Invite { key, request }, Answer::Accept(body)) => {
                self.accept_reinvite(now, key, &request, &body, wanted);
            }
            (Carrier::Update { key, request }, Answer::Accept(body)) => {
                self.accept_update(now, key, &request, Some(&body))
            }
            (Carrier::Invite { key, request } | Carrier::Update { key, request }, Answer::Reject(status)) => {
                let status = if (400..700).contains(&status) { status } else { 488 };
                let response = self.response(&request, status);
                self.outputs.push_back(Output::Response { key, response });
            }
            (Carrier::Prack { rseq }, Answer::Accept(body)) => self.send_prack(fork, rseq, Some((&body, wanted))),
            (Carrier::Prack { rseq }, Answer::Reject(_)) if wanted => {
                self.wish_declined(fork);
                self.send_prack(fork, rseq, None);
            }
            // A PRACK cannot say no to the offer it acknowledges (RFC 6337 §3.1.2).
            (Carrier::Prack { .. }, Answer::Reject(_)) => {
                self.cancel(now, Cause::Negotiation("the offer was not acceptable"), None);
            }
            (Carrier::Ours, Answer::Accept(body)) => self.send_offer(now, fork, &body),
            (Carrier::Ours, Answer::Reject(_)) => self.wish_declined(fork),
            // `take` leaves it where it is.
            (Carrier::Initial, Answer::Accept(_) | Answer::Reject(_)) => {}
        }
        self.settle(now);
    }

    /// Sends the challenged request again with these headers (`Authorization` or `Proxy-Authorization` and its value) in
    /// place of those it had.
    pub fn authenticate(&mut self, now: Instant, id: RequestId, headers: Vec<(String, String)>) {
        let Some(mut sent) = self.take_challenged(id) else { return };
        ["Authorization", "Proxy-Authorization"].iter().for_each(|name| sent.request.headers.remove(name));
        headers.iter().for_each(|(name, value)| sent.request.headers.push(name, value));
        let to_tag = |headers: &Headers| headers.to().ok().and_then(|to| to.tag().map(str::to_owned));
        let in_dialog = to_tag(&sent.request.headers).filter(|_| sent.kind != Kind::Invite);
        let number = match in_dialog.and_then(|tag| self.dialog_with(&tag)) {
            Some(dialog) => dialog.next_cseq(),
            None => cseq_of(&sent.request.headers).saturating_add(1),
        };
        sent.request.headers.set("CSeq", format_args!("{number} {}", sent.request.method));
        self.send(Sent { tries: sent.tries + 1, challenge: None, ..sent });
        self.settle(now);
    }

    /// Lets a challenge count as a refusal.
    pub fn give_up(&mut self, now: Instant, id: RequestId) {
        if let Some(mut sent) = self.take_challenged(id)
            && let Some(response) = sent.challenge.take()
        {
            self.finished(now, sent, *response);
            self.settle(now);
        }
    }

    /// `transaction::Event::Response` for a request of this session. A repeated 2xx to an INVITE may come here or to
    /// [`Session::handle_stray_response`]: both do the same with it.
    pub fn handle_response(&mut self, now: Instant, id: RequestId, response: Response) {
        match (self.requests.get_mut(&id), response.status) {
            (_, 200..=299) if method_of(&response.headers) == Some(Method::Invite) => {
                return self.handle_stray_response(now, response);
            }
            (Some(sent), _) if sent.challenge.is_none() => {}
            _ => return,
        }
        match response.status {
            ..200 => self.progress(now, id, &response),
            401 | 407 => self.challenged(now, id, response),
            _ => {
                if let Some(sent) = self.requests.remove(&id) {
                    self.finished(now, sent, response);
                }
            }
        }
        self.settle(now);
    }

    /// `transaction::Event::Timeout` or `TransportError` for a request of this session.
    pub fn handle_failure(&mut self, now: Instant, id: RequestId, failure: Failure) {
        let Some(sent) = self.requests.remove(&id) else { return };
        match sent.kind {
            Kind::Invite => self.unreachable(now, failure),
            Kind::Reinvite | Kind::Offer => self.offer_refused(now, &sent.request, failure.status(), None),
            // The call may outlive its server for a while: a refresh is tried again, the INVITE has its own end.
            Kind::Update | Kind::Prack | Kind::Notify | Kind::Bye => {}
            Kind::Probe => self.lost(failure.status()),
            Kind::Refer => self.transfer_over(failure.status()),
            Kind::Info => self.signal_answered(failure.status()),
            Kind::Text(number) => self.text_failed(number, failure),
            Kind::Package => self.package_answered(failure.status()),
        }
        self.settle(now);
    }

    /// `transaction::Event::StrayResponse` with this session's Call-ID and From tag.
    pub fn handle_stray_response(&mut self, now: Instant, response: Response) {
        let cseq = cseq_of(&response.headers);
        if !(200..300).contains(&response.status) || self.acknowledge_again(cseq, &response) {
            return;
        }
        let reinvite = self
            .requests
            .iter()
            .find(|(_, sent)| sent.kind == Kind::Reinvite && cseq_of(&sent.request.headers) == cseq);
        if let Some(id) = reinvite.map(|(id, _)| *id) {
            if let Some(sent) = self.requests.remove(&id) {
                self.reinvite_accepted(now, &sent, response);
            }
        } else if self.invite.as_ref().is_some_and(|invite| cseq_of(&invite.headers) == cseq) {
            self.answered(now, cseq, response);
        }
        self.settle(now);
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.expired(now) {
            match timer {
                Timer::Ring => self.unanswered(now),
                Timer::Provisional => self.repeat_provisional(now),
                Timer::Answer(id) => self.answer(now, id, Answer::Reject(504)),
                Timer::Success(cseq) => self.repeat_success(now, cseq),
                Timer::AckLimit(cseq) => self.ack_overdue(now, cseq),
                Timer::Glare(fork) => self.glare_elapsed(fork),
                Timer::ModifyLimit => self.cancel_reinvite(now),
                Timer::Reliable => self.repeat_reliable(now),
                Timer::ReliableLimit => self.reliable_overdue(now),
                Timer::Refresh => self.refresh_session(now),
                Timer::Expiry if self.ended => {}
                Timer::Expiry => self.events.push_back(Event::Expired),
                Timer::Copies => self.forget_acknowledged(now),
                Timer::Reports => self.transfer_over(408),
                Timer::Linger => {
                    // The peer is gone and never answered it: without CANCEL its transaction would wait for ever.
                    let reinvites = self.requests.iter().filter(|(_, sent)| sent.kind == Kind::Reinvite);
                    let cancels = reinvites.map(|(id, _)| Output::Cancel { id: *id, reason: None });
                    self.outputs.extend(cancels);
                    self.requests.clear();
                    self.unacked.clear();
                }
            }
            self.settle(now);
        }
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next().map(|(at, _)| at)
    }

    /// Does what had to wait, as far as it need not wait any longer.
    pub(super) fn settle(&mut self, now: Instant) {
        self.bye_after_ack();
        self.accept_when_agreed(now);
        self.ask_for_offer(now);
    }

    /// Whether an INVITE of ours has no final response yet.
    pub(super) fn is_inviting(&self) -> bool {
        self.requests.values().any(|sent| matches!(sent.kind, Kind::Invite | Kind::Reinvite))
    }

    pub(super) fn send(&mut self, sent: Sent) {
        let id = RequestId(self.requests_made);
        self.requests_made += 1;
        let (request, next_hop) = (sent.request.clone(), sent.next_hop.clone());
        if sent.kind == Kind::Invite {
            self.invite = Some(request.clone());
        }
        self.requests.insert(id, sent);
        self.outputs.push_back(Output::Request { id, request, next_hop });
    }

    /// Offers and answers of that dialog.
    pub(super) fn exchange_of(&mut self, fork: Fork) -> Option<&mut Exchange> {
        match &mut self.side {
            Side::Calling(calling) => calling.exchanges.get_mut(&fork),
            Side::Ringing(_) | Side::Established | Side::Over => Some(&mut self.exchange).filter(|_| fork == self.fork),
        }
    }

    pub(super) fn exchange_with(&self, fork: Fork) -> Option<&Exchange> {
        match &self.side {
            Side::Calling(calling) => calling.exchanges.get(&fork),
            Side::Ringing(_) | Side::Established | Side::Over => Some(&self.exchange).filter(|_| fork == self.fork),
        }
    }

    fn fork_waiting_for(&self, id: OfferId) -> Option<Fork> {
        let waits = |exchange: &Exchange| exchange.offers.open().is_some_and(|open| open.id == id);
        match &self.side {
            Side::Calling(calling) => calling.exchanges.iter().find(|(_, e)| waits(e)).map(|(fork, _)| *fork),
            Side::Ringing(_) | Side::Established | Side::Over => waits(&self.exchange).then_some(self.fork),
        }
    }

    pub(super) fn next_offer(&mut self) -> OfferId {
        self.offers_made += 1;
        OfferId(self.offers_made)
    }

    /// What every INVITE and UPDATE of ours says of us.
    pub(super) fn describe_request(&self, headers: &mut Headers) {
        headers.push("Contact", &self.contact);
        headers.push("Allow", ALLOW);
        headers.push("Supported", self.supported());
        self.tell_packages(headers);
        self.session_timer.ask(headers);
        name_software(headers, "User-Agent", &self.config.user_agent);
    }

    fn supported(&self) -> String {
        let more = self.config.takes_candidates.then_some(CANDIDATES);
        SUPPORTED.iter().copied().chain(more).collect::<Vec<_>>().join(", ")
    }

    /// A response with our tag.
    pub(super) fn response(&self, request: &Request, status: u16) -> Response {
        let mut response = Response::to_request(request, status, Some(&self.key.local_tag));
        name_software(&mut response.headers, "Server", &self.config.user_agent);
        response
    }

    fn challenged(&mut self, now: Instant, id: RequestId, response: Response) {
        let Some(sent) = self.requests.get_mut(&id) else { return };
        if sent.tries >= MAX_TRIES || (self.ended && sent.kind != Kind::Bye) {
            if let Some(sent) = self.requests.remove(&id) {
                self.finished(now, sent, response);
            }
            return;
        }
        let response = Box::new(response);
        sent.challenge = Some(response.clone());
        let request = Box::new(sent.request.clone());
        self.events.push_back(Event::Challenged { id, request, response });
    }

    fn take_challenged(&mut self, id: RequestId) -> Option<Sent> {
        self.requests.get(&id).filter(|sent| sent.challenge.is_some())?;
        self.requests.remove(&id)
    }

    /// Requests that wait for the user's credentials have no transaction.
    pub(super) fn drop_challenged(&mut self) {
        self.requests.retain(|_, sent| sent.challenge.is_none() || sent.kind == Kind::Bye);
    }

    /// A final response, but for the 2xx to an INVITE.
    fn finished(&mut self, now: Instant, sent: Sent, response: Response) {
        match sent.kind {
            Kind::Invite => self.invite_refused(now, response),
            Kind::Offer if response.status < 300 => self.offer_answered(now, &sent.request, response),
            Kind::Reinvite | Kind::Offer => self.offer_refused(now, &sent.request, response.status, Some(response)),
            Kind::Update => self.refresh_answered(now, &response),
            Kind::Probe => self.probe_answered(now, &response),
            Kind::Refer => self.refer_answered(&response),
            Kind::Info => self.signal_answered(response.status),
            Kind::Text(number) => self.text_answered(number, &response),
            Kind::Package => self.package_answered(response.status),
            Kind::Prack | Kind::Notify | Kind::Bye => {}
        }
    }

    fn cancel_reinvite(&mut self, now: Instant) {
        let pending = self.requests.iter().find(|(_, sent)| sent.kind == Kind::Reinvite);
        match pending.map(|(id, sent)| (*id, sent.challenge.is_some())) {
            Some((id, true)) => self.give_up(now, id),
            Some((id, false)) => self.outputs.push_back(Output::Cancel { id, reason: None }),
            None => {}
        }
    }

    /// Body and headers of a 2xx to an INVITE or UPDATE.
    pub(super) fn success(&mut self, request: &Request, body: Option<&Body>) -> Response {
        let mut response = self.response(request, 200);
        response.headers.push("Contact", &self.contact);
        response.headers.push("Allow", ALLOW);
        response.headers.push("Supported", self.supported());
        self.tell_packages(&mut response.headers);
        self.session_timer.grant(request, &mut response.headers);
        if let Some(body) = body {
            body.put(&mut response.headers, &mut response.body);
        }
        response
    }
}

/// The CSeq number; the lexer lets no message without it pass.
pub(super) fn cseq_of(headers: &Headers) -> u32 {
    headers.cseq().map_or(0, |cseq| cseq.number)
}

fn method_of(headers: &Headers) -> Option<Method> {
    headers.cseq().ok().map(|cseq| cseq.method)
}
