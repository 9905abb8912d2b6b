//! Transfer: a call is handed to somebody else, by us or by the peer (RFC 5589).
//!
//! As the transferor we ask by REFER and hang up once the peer has somebody else to talk to; as the transferee we call whom we
//! are asked to call, on the account of the call we were asked in, and tell how it goes.
use super::UserAgent;
use super::outgoing::Placing;
use crate::base::id::CallNumber;
use crate::sip::message::NameAddr;
use crate::sip::refer::ReferTo;
use crate::sip::replaces::{self, Replaces};
use crate::ua::account::shown;
use crate::ua::event::Event;
use std::time::Instant;

/// A call that came about by so many transfers is not handed on again: they might go in a circle.
const HANDED_ON: u8 = 5;

impl UserAgent {
    /// Blind transfer: the peer is asked to call what the user typed.
    pub(super) fn transfer(&mut self, now: Instant, number: CallNumber, typed: &str) {
        let account = self.calls.get(&number).and_then(|call| self.account(call.account));
        let Some(account) = account else { return self.out.refuse(format!("there is no call {number}")) };
        match account.dial(&self.look_up(typed)) {
            Ok((uri, _)) => {
                self.refer(now, number, &ReferTo { uri, replaces: None }, typed, None);
            }
            Err(error) => self.out.refuse(error.to_string()),
        }
    }

    /// Attended transfer: the peers of two calls are connected, and both calls end for us.
    pub(super) fn connect(&mut self, now: Instant, number: CallNumber, other: CallNumber) {
        let with = self.calls.get(&other).filter(|call| call.is_established() && other != number);
        let replaces = with.and_then(|call| call.session.as_ref()?.dialog()).map(Replaces::of_ours);
        let (Some(with), Some(replaces)) = (with, replaces) else {
            return self.out.refuse("only two calls that are up can be connected with each other");
        };
        let (target, label) = (with.target.clone(), with.peer_label());
        if self.refer(now, number, &ReferTo { uri: target, replaces: Some(replaces.to_string()) }, &label, Some(other))
        {
            // Its peer ends it as soon as it was replaced, which may be before we hear that all went well.
            let with = self.calls.get(&number).map(super::Call::peer_label).unwrap_or_default();
            self.with_call(other, |call, _, _| call.begin_connecting(with));
        }
    }

    /// Asks the peer; `false` when that cannot be, which the user is told.
    pub(super) fn refer(
        &mut self,
        now: Instant,
        number: CallNumber,
        to: &ReferTo,
        label: &str,
        other: Option<CallNumber>,
    ) -> bool {
        let Some(call) = self.calls.get_mut(&number).filter(|call| call.is_established()) else {
            self.out.refuse("only a call that is up can be transferred");
            return false;
        };
        let Some(by) = self.accounts.get(super::index(call.account)).map(super::Account::aor) else { return false };
        let taken = call.session.as_mut().is_some_and(|session| session.refer(now, to, &by));
        if !taken {
            self.out.refuse("the call is being transferred already");
            return false;
        }
        if let Some(other) = other {
            self.ladders.join(number, other);
        }
        let label = shown(label, 80);
        self.out.log(format!("call {number}: asking the other side to call {label}"));
        call.begin_transfer(label, other);
        true
    }

    /// The peer tells how the call fares that we asked it for.
    pub(super) fn transfer_progress(&mut self, now: Instant, number: CallNumber, status: u16, over: bool) {
        let Some(call) = self.calls.get_mut(&number) else { return };
        let Some((label, other)) = call.transfer_progress(status, over) else { return };
        self.out.event(Event::Transfer { call: number, to: label.clone(), status, over });
        if !over {
            return;
        }
        if (200..300).contains(&status) {
            let words = call.parking_words().unwrap_or_else(|| format!("transferred to {label}"));
            self.with_call(number, |call, anchor, out| call.leave(now, words, anchor, out));
        } else {
            if let Some(other) = other.and_then(|other| self.calls.get_mut(&other)) {
                other.stop_connecting();
            }
            self.out.refuse(format!("the transfer to {label} failed: {}", super::refusal::call_refused(status, "")));
        }
    }

    /// The peer of a call asks us to call somebody else.
    pub(super) fn referred(&mut self, now: Instant, number: CallNumber, to: ReferTo, by: Option<&NameAddr>) {
        let Some(call) = self.calls.get(&number) else { return };
        let (account, from) = (call.account, call.peer_label());
        // Where nobody listens before a call is answered, whoever calls could have us call anybody, at our cost.
        let unattended = (self.settings.auto_answer && !call.outgoing) || call.alert.unattended;
        let handed_on = call.handed_on();
        if unattended || handed_on >= HANDED_ON {
            self.out.log(format!("call {number}: {from} wants us to call somebody else: refused"));
            return self.with_call(number, |call, _, _| call.refuse_transfer());
        }
        self.out.log(format!("call {number}: {from} transfers us to {}", shown(&to.uri.to_string(), 80)));
        let mut headers = Vec::new();
        if let Some(by) = by {
            headers.push(("Referred-By".to_owned(), by.to_string()));
        }
        if let Some(dialog) = to.replaces {
            // Who does not know the call that is to be replaced must not ring as if it were a new one.
            headers.push(("Replaces".to_owned(), dialog));
            headers.push(("Require".to_owned(), replaces::TAG.to_owned()));
        }
        let placed = self.place(
            now,
            account,
            to.uri,
            Placing { headers, referrer: Some((number, handed_on + 1)), ..Placing::default() },
        );
        if let (None, Some(session)) = (placed, self.calls.get_mut(&number).and_then(|call| call.session.as_mut())) {
            session.report_transfer(503);
        }
    }

    /// Tells those who asked for a call how it fares, as far as they do not know yet; `true` when there was anything.
    pub(super) fn report_transfers(&mut self, now: Instant) -> bool {
        let fares = |(number, call): (&CallNumber, &mut super::Call)| {
            let (referrer, status) = call.news_for_referrer()?;
            Some((*number, referrer, status))
        };
        let news: Vec<_> = self.calls.iter_mut().filter_map(fares).collect();
        for (number, referrer, status) in &news {
            if let Some(session) = self.calls.get_mut(referrer).and_then(|call| call.session.as_mut()) {
                session.report_transfer(*status);
            }
            // It came to nothing: back to who wanted it.
            if *status >= 300 && self.calls.get(referrer).is_some_and(super::Call::is_established) {
                self.out.log(format!("call {number}: the transfer failed, back to call {referrer}"));
                self.talk_on(now, *referrer);
            }
        }
        !news.is_empty()
    }
}
