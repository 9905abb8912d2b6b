//! How a call ends: the cause in plain words, and its story told once.
use super::Call;
use crate::base::time::WallAnchor;
use crate::media::spec::MediaCommand;
use crate::sip::invite;
use crate::ua::cause;
use crate::ua::event::Event;
use crate::ua::outbox::Outbox;
use crate::ua::refusal::{self, Circumstances, Explained};
use crate::ua::snapshot::{CallEnd, CallSummary};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a call that is over stays to be read.
const EPITAPH: Duration = Duration::from_secs(10);

/// A call talked on for so long without any sound has something wrong with it.
const UNHEARD: Duration = Duration::from_secs(3);

impl Call {
    pub fn handle_end(&mut self, now: Instant, cause: &invite::Cause, anchor: &WallAnchor, out: &mut Outbox) {
        let reason = cause::reasons;
        let (end, status, words) = match cause {
            invite::Cause::HungUp => (CallEnd::Normal, Some(200), "you hung up".to_owned()),
            invite::Cause::PeerHungUp { reasons } => {
                let because = reason(reasons).map(|r| format!(" ({r})")).unwrap_or_default();
                // Some hang up before they have told that they got through.
                let connected = self.connecting.as_ref().map(|with| format!("connected with {with}"));
                let words = self.transfer_words().or(connected).unwrap_or_else(|| "the other side hung up".to_owned());
                (CallEnd::Normal, Some(200), format!("{words}{because}"))
            }
            invite::Cause::Cancelled => (CallEnd::Cancelled, Some(487), "given up by you".to_owned()),
            invite::Cause::Refused { response, reasons } => {
                let known = Circumstances { rang: self.rang.take(), offered: self.plan.offered() };
                let explained = refusal::refused(response, reasons, &known);
                let words = explained.cause.clone();
                self.explained = explained;
                (CallEnd::Refused, Some(response.status), words)
            }
            invite::Cause::PeerCancelled { reasons } => {
                let elsewhere = reasons.iter().any(|r| r.protocol == "SIP" && r.cause == Some(200))
                    || reasons.iter().any(|r| r.protocol == "Q.850" && r.cause == Some(26));
                if elsewhere {
                    (CallEnd::AnsweredElsewhere, Some(487), "answered by another phone".to_owned())
                } else {
                    let because = reason(reasons).map(|r| format!(" ({r})")).unwrap_or_default();
                    (CallEnd::Missed, Some(487), format!("the caller gave up{because}"))
                }
            }
            invite::Cause::Rejected { status } => (CallEnd::Rejected, Some(*status), "you refused the call".to_owned()),
            invite::Cause::Unanswered if self.outgoing => (CallEnd::Cancelled, Some(487), "nobody answered".to_owned()),
            invite::Cause::Unanswered => (CallEnd::Missed, Some(480), "you did not answer".to_owned()),
            invite::Cause::Unreachable(invite::Failure::Timeout) => (
                CallEnd::Failed,
                Some(408),
                "no answer from the network; check the address and the firewall".to_owned(),
            ),
            invite::Cause::Unreachable(invite::Failure::Transport) => {
                let words = self.refusal.take().unwrap_or_else(|| "the server cannot be reached".to_owned());
                (CallEnd::Failed, None, words)
            }
            invite::Cause::SessionExpired => {
                (CallEnd::Failed, Some(408), "the other side no longer kept the call alive (session timer)".to_owned())
            }
            invite::Cause::NoAck => (CallEnd::Failed, None, "the caller never confirmed your answer".to_owned()),
            invite::Cause::Negotiation(what) => (CallEnd::Failed, None, format!("no agreement on the media: {what}")),
            invite::Cause::DialogLost { status } => {
                (CallEnd::Failed, Some(*status), format!("the other side lost the call ({status})"))
            }
        };
        match self.verdict.take() {
            Some(verdict) => self.finish(now, anchor, verdict.end, verdict.status.or(status), verdict.cause, out),
            None => self.finish(now, anchor, end, status, words, out),
        }
    }

    /// The call is over: its story is told once.
    pub fn finish(
        &mut self,
        now: Instant,
        anchor: &WallAnchor,
        end: CallEnd,
        status: Option<u16>,
        cause: String,
        out: &mut Outbox,
    ) {
        if self.is_over() {
            return;
        }
        self.end_others(now);
        if self.media.opened {
            out.media.push_back(MediaCommand::Close { stream: self.stream(), reason: "call ended".to_owned() });
        }
        self.media.opening_until = None;
        self.digits.clear();
        self.digit_at = None;
        if self.media.spec.is_some() {
            self.media.quality = Arc::new(self.media.monitor.summary());
        }
        let Explained { advice, refused_by, .. } = self.explained_end(now, end, &cause);
        let summary = CallSummary {
            account: self.account,
            account_name: self.account_name.clone(),
            outgoing: self.outgoing,
            peer_name: self.identity.name.clone(),
            peer_address: self.identity.address.clone(),
            identity: self.identity.clone(),
            started: anchor.wall(self.started),
            duration: self.answered.map(|at| now.saturating_duration_since(at)),
            end,
            status,
            cause,
            unattended: self.alert.unattended,
            advice,
            refused_by,
            codec: self.codec(),
            quality: Arc::clone(&self.media.quality),
        };
        out.log(format!("call {}: {}: {}", self.number, self.peer_label(), summary.cause));
        self.ended = Some(Arc::new(summary.clone()));
        self.epitaph = Some(now + EPITAPH);
        out.event(Event::Ended { call: self.number, summary: Box::new(summary) });
    }

    /// What to try, and who refused: from the refusal, from what failed here, or from the sound that did not come.
    fn explained_end(&mut self, now: Instant, end: CallEnd, cause: &str) -> Explained {
        let mut explained = std::mem::take(&mut self.explained);
        let remote = self.media.spec.as_ref().map(|spec| spec.remote_rtp.ip());
        let talked = self.answered.map(|at| now.saturating_duration_since(at));
        let unheard = self.media.first_heard.is_none() && talked.is_some_and(|talked| talked >= UNHEARD);
        match end {
            CallEnd::NoMedia => explained.advice = refusal::silence_advice(remote),
            CallEnd::Normal if unheard => {
                explained.advice = format!("no sound came: {}", refusal::silence_advice(remote));
            }
            CallEnd::Failed if explained.advice.is_empty() => {
                refusal::failure_advice(cause).clone_into(&mut explained.advice);
            }
            _ => {}
        }
        explained
    }
}
