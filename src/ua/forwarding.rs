//! Calls that do not ring here: forwarding and do-not-disturb, switched while the phone runs.
use super::account::{Account, shown};
use super::call::{Alert, Away};
use super::handling::When;
use super::{Call, UserAgent};
use crate::base::id::{AccountId, CallNumber};
use crate::sip::diversion::{self, Path, Why};
use crate::sip::message::{Headers, Uri};
use crate::ua::event::Event;
use crate::ua::snapshot::CallEnd;
use std::time::{Duration, Instant};

/// A call that was sent elsewhere so often is not sent on: it may go in a circle.
const HOPS: u32 = 5;

impl UserAgent {
    /// Sets where calls of one account, or of all, go; without `when` and `to` nowhere any more.
    pub(super) fn forward(
        &mut self,
        wanted: Option<AccountId>,
        when: Option<When>,
        to: Option<&str>,
        after: Option<Duration>,
    ) {
        let to = to.map(str::trim).filter(|to| !to.is_empty());
        let found = to.map(|to| self.look_up(to).to_string());
        let mut told = Vec::new();
        for account in self.accounts.iter_mut().filter(|a| wanted.is_none_or(|wanted| a.id == wanted)) {
            if let (Some(to), Some(found)) = (to, &found) {
                match account.dial(found) {
                    Ok((uri, _)) if account.is_us(&uri) => {
                        self.out.refuse(format!("{to} is this account itself: its calls would go in a circle"));
                        continue;
                    }
                    Ok(_) => {}
                    Err(error) => {
                        self.out.refuse(error.to_string());
                        continue;
                    }
                }
            }
            let forwarding = &mut account.settings.handling.forwarding;
            for when in When::ALL.into_iter().filter(|each| when.is_none_or(|when| when == *each)) {
                forwarding.set(when, to.map(|to| shown(to, 200)));
            }
            forwarding.after = after.unwrap_or(forwarding.after);
            told.push(account.id);
        }
        told.into_iter().for_each(|id| self.tell_handling(id));
    }

    pub(super) fn disturb(&mut self, wanted: Option<AccountId>, not: bool) {
        let mut told = Vec::new();
        for account in self.accounts.iter_mut().filter(|a| wanted.is_none_or(|wanted| a.id == wanted)) {
            account.settings.handling.do_not_disturb = not;
            told.push(account.id);
        }
        told.into_iter().for_each(|id| self.tell_handling(id));
    }

    fn tell_handling(&mut self, id: AccountId) {
        let Some(account) = self.account(id) else { return };
        let handling = &account.settings.handling;
        let (forwarding, do_not_disturb) = (Box::new(handling.forwarding.clone()), handling.do_not_disturb);
        self.out.event(Event::Handling { account: id, forwarding, do_not_disturb });
    }

    /// A call that begins is not to ring here.
    pub(super) fn sends_away(&mut self, id: AccountId, invite: &Headers) -> Option<Away> {
        let handling = &self.account(id)?.settings.handling;
        if handling.do_not_disturb {
            let words = "missed: do not disturb was on".to_owned();
            return Some(Away { status: 486, headers: Vec::new(), end: CallEnd::Missed, words });
        }
        let busy = self.calls.values().any(|call| !call.is_over());
        let forwarding = &handling.forwarding;
        let (when, to) = match (&forwarding.always, &forwarding.busy) {
            (Some(to), _) => (When::Always, to.clone()),
            (None, Some(to)) if busy => (When::Busy, to.clone()),
            (None, _) => return None,
        };
        self.sends_on(id, invite, when, &to)
    }

    /// The answer that sends a call to somebody else; `None` when that cannot be: it rings here then.
    fn sends_on(&mut self, id: AccountId, invite: &Headers, when: When, to: &str) -> Option<Away> {
        let account = self.account(id)?;
        let path = Path::of(invite);
        if path.hops >= HOPS || path.by.iter().any(|by| account.is_us(by)) {
            self.out.log(format!("a call that was to go to {to} has been there already: it rings here"));
            return None;
        }
        let (uri, _) = account.dial(&self.look_up(to)).map_err(|error| self.out.log(error.to_string())).ok()?;
        let why = match when {
            When::Always => Why::Always,
            When::Busy => Why::Busy,
            When::NoAnswer => Why::NoAnswer,
        };
        let headers = diversion::redirection(invite, &self.account(id)?.aor(), why, &uri);
        let words = match when {
            When::Always => format!("forwarded to {to}"),
            When::Busy => format!("forwarded to {to}: you were busy"),
            When::NoAnswer => format!("forwarded to {to}: you did not answer"),
        };
        Some(Away { status: 302, headers, end: CallEnd::Rejected, words })
    }

    /// When a call that rings is sent elsewhere, if nobody answers it.
    pub(super) fn will_divert(&self, now: Instant, id: AccountId, invite: &Headers, alert: &mut Alert) {
        let forwarding = self.account(id).map(|account| &account.settings.handling.forwarding);
        if let Some(forwarding) = forwarding.filter(|forwarding| forwarding.no_answer.is_some()) {
            alert.divert_at = Some(now + forwarding.after);
            alert.invite = Some(Box::new(invite.clone()));
        }
    }

    /// Nobody has answered these.
    pub(super) fn divert_unanswered(&mut self, now: Instant) {
        let due = |call: &&mut Call| call.alert.divert_at.is_some_and(|at| at <= now);
        let mut unanswered: Vec<(CallNumber, AccountId, Option<Box<Headers>>)> = Vec::new();
        for call in self.calls.values_mut().filter(due) {
            (call.alert.divert_at, call.alert.answer_at) = (None, call.alert.answer_at.filter(|at| *at > now));
            unanswered.push((call.number, call.account, call.alert.invite.take()));
        }
        for (number, account, invite) in unanswered {
            let waits = self.calls.get(&number).is_some_and(Call::is_ringing_in);
            let to = self.account(account).and_then(|a| a.settings.handling.forwarding.no_answer.clone());
            let away = invite.zip(to.filter(|_| waits));
            if let Some(away) = away.and_then(|(invite, to)| self.sends_on(account, &invite, When::NoAnswer, &to)) {
                self.with_call(number, |call, anchor, out| call.turn_away(now, away, anchor, out));
            }
        }
    }
}

impl Account {
    /// Whether an address is that of this account.
    pub fn is_us(&self, uri: &Uri) -> bool {
        let named = uri.plain_user().as_deref() == Some(self.settings.user.as_str());
        (named && self.owns(&uri.host)) || self.names_us(uri)
    }
}
