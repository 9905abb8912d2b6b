//! The course of a call: what the user wants, what the session tells, and what becomes of each.
use super::{Call, Verdict};
use crate::base::time::WallAnchor;
use crate::media::spec::Direction;
use crate::sdp::SdpError;
use crate::sip::invite::{self, Answer, Body, Fork, OfferId, Phase, Session};
use crate::sip::message::{Scheme, Uri};
use crate::ua::account::shown;
use crate::ua::event::Event;
use crate::ua::outbox::Outbox;
use crate::ua::snapshot::CallEnd;
use std::time::Instant;

impl Call {
    /// The user takes the call; it is answered as soon as the ports are there.
    pub fn answer(&mut self, now: Instant, anchor: &WallAnchor, out: &mut Outbox) {
        if self.is_over() || self.outgoing || self.answered.is_some() {
            return;
        }
        self.answering = true;
        if !self.plan.is_open() {
            return;
        }
        let made = match self.described {
            true => Ok((None, self.media.withheld.take())),
            false => self.first_description().map(|(body, spec)| (Some(body), spec)),
        };
        match made {
            Ok((body, spec)) => {
                if let Some(session) = &mut self.session {
                    session.accept(now, body);
                }
                self.answered = Some(now);
                self.media.heard = now;
                self.configure(now, spec, out);
                out.event(Event::Established(self.number));
            }
            Err(error) => self.refuse_description(now, &error),
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
        if self.can_hold()
            && self.want_hold != hold
            && let Some(session) = &mut self.session
        {
            self.want_hold = hold;
            session.reinvite(now);
        }
    }

    /// Where a redirection would lead.
    pub fn redirection(&self) -> Option<&Uri> {
        self.redirected.as_ref().map(|(target, _)| target)
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
            invite::Event::Progress { fork, status: 199, .. } => self.fork_is_over(now, fork, out),
            invite::Event::Progress { fork, status, body, response } => {
                self.hear_response(fork, &response.headers, false);
                if let Some(tag) = response.headers.to().ok().and_then(|to| to.tag().map(str::to_owned)) {
                    self.rang = Some(tag);
                }
                let rang = std::mem::replace(&mut self.ringing, true);
                self.alerted |= status == 180;
                if let Some(body) = body {
                    match self.plan.handle_answer(fork, &body) {
                        Ok(spec) => {
                            self.early_media = true;
                            self.run(now, spec, out);
                        }
                        Err(error) => out.log(format!("call {}: early media of a {status}: {error}", self.number)),
                    }
                }
                if !rang {
                    out.event(Event::Ringing(self.number));
                }
            }
            invite::Event::Answered { fork, settled, response } => {
                self.hear_response(fork, &response.headers, true);
                self.plan.choose(fork);
                self.answered = Some(now);
                self.media.heard = now;
                self.redirected = None;
                out.event(Event::Established(self.number));
                if settled {
                    match self.plan.settle() {
                        Ok(spec) => self.run(now, spec, out),
                        Err(error) => self.fail(now, anchor, CallEnd::Failed, error.to_string(), out),
                    }
                }
            }
            invite::Event::Confirmed => {}
            invite::Event::Answer { fork, body } => match self.plan.handle_answer(fork, &body) {
                Ok(spec) => {
                    self.configure(now, spec, out);
                    self.followed(out);
                }
                Err(error) if self.offers_otherwise(now, &error, out) => {}
                Err(error) => {
                    let words = format!("the answer cannot be used: {error}");
                    self.fail(now, anchor, CallEnd::Failed, words, out);
                }
            },
            invite::Event::Offer { id, fork, body } => self.handle_offer(now, (id, fork), &body, out),
            invite::Event::OfferWanted { id, fork } => {
                let answer = match self.plan.offer_in(fork, self.direction()) {
                    Ok(offer) => Answer::Accept(offer),
                    Err(error) => Answer::Reject(error.status()),
                };
                if let Some(session) = &mut self.session {
                    session.answer(now, id, answer);
                }
            }
            invite::Event::OfferRejected { status, .. } if self.plan.needs_dtls() => {
                let cause = format!("the peer refused the audio stream ({status})");
                self.fail(now, anchor, CallEnd::Failed, cause, out);
            }
            invite::Event::OfferRejected { fork, status, response } => {
                self.withdraw_wishes(fork, status, out);
                self.did_not_follow(now, status, response.is_some(), out);
            }
            invite::Event::Alive => self.alive(now, out),
            // The agent deals with it before events come here; nobody else lets it come to this.
            invite::Event::Lost { status } => self.end_lost(now, status, anchor, out),
            invite::Event::Expired => self.expire(now),
            // The agent deals with these before events come here.
            invite::Event::Challenged { .. }
            | invite::Event::Written { .. }
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
                        // Nobody rings or is heard any longer, and nothing is known of who is called next.
                        (self.ringing, self.alerted, self.early_media) = (false, false, false);
                        let spec = self.plan.start_over();
                        self.run(now, spec, out);
                        out.event(Event::Redirected { call: self.number, target });
                    }
                    None => {
                        let cause = "the target moved to where this phone cannot call".to_owned();
                        self.fail(now, anchor, CallEnd::Refused, cause, out);
                    }
                }
            }
            invite::Event::Unacceptable { response } => self.offer_otherwise(now, &response, anchor, out),
            invite::Event::Candidates { body } => self.hear_candidates(&body, out),
            invite::Event::Informed { status } => self.candidates_answered(status),
            invite::Event::Signalled(signal) => self.hear_digit(signal.key, out),
            invite::Event::SignalRefused { status } => {
                self.digits.clear();
                out.refuse(format!("the peer takes no digits in messages ({status})"));
            }
            invite::Event::Notified { request } => self.hear_request(&request.headers),
            invite::Event::Ended { cause } => self.handle_end(now, &cause, anchor, out),
        }
    }

    fn handle_offer(&mut self, now: Instant, (id, fork): (OfferId, Fork), body: &Body, out: &mut Outbox) {
        let answer = match self.plan.answer_in(fork, body, self.direction()) {
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

    /// One of the phones that rang does so no longer (RFC 6228); its early media ends with it.
    fn fork_is_over(&mut self, now: Instant, fork: Fork, out: &mut Outbox) {
        let (spec, early_media) = self.plan.forget(fork);
        self.early_media &= early_media;
        self.run(now, spec, out);
    }

    /// An offer of ours came to nothing: what was to be changed stays as it was.
    pub fn withdraw_wishes(&mut self, fork: Fork, status: u16, out: &mut Outbox) {
        self.plan.withdraw(fork);
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
        (self.answered, self.media.heard, self.redirected) = (Some(now), now, None);
        true
    }

    pub fn direction(&self) -> Direction {
        if self.want_hold { Direction::SendOnly } else { Direction::SendRecv }
    }
}

/// The Warning header that tells the peer what was wrong with its offer (RFC 3261 §20.43).
pub fn warning(error: &SdpError) -> String {
    format!("{} offhook \"{}\"", error.warning(), error.to_string().replace(['"', '\\'], "'"))
}
