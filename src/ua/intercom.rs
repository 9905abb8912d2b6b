//! Calls that are answered by themselves, because their caller may ask for that: and such calls of ours.
use super::account::Account;
use super::outgoing::Placing;
use super::{Call, UserAgent};
use crate::base::id::{AccountId, CallNumber};
use crate::base::net::Flow;
use crate::sip::alert;
use crate::sip::identity::Asserted;
use crate::sip::message::{Headers, Uri};
use std::time::{Duration, Instant};

/// The beep before the microphone opens, and a moment to breathe after it.
const ANNOUNCED: Duration = Duration::from_secs(1);

impl UserAgent {
    /// When a call that begins is answered by itself: its caller asks for it and is on the list, on the word of the
    /// account's own server, and nothing else goes on here.
    pub(super) fn answers_at(&self, now: Instant, id: AccountId, invite: &Headers, flow: &Flow) -> Option<Instant> {
        let after = alert::answer_after(invite)?;
        let account = self.account(id)?;
        let idle = self.calls.values().all(Call::is_over);
        let listed = account.trust.is_server(flow.remote.ip()) && caller(invite).is_some_and(|who| account.lists(&who));
        (idle && listed).then(|| now + after.max(ANNOUNCED))
    }

    /// Answers the calls that waited for that. When something else began meanwhile, they go on ringing.
    pub(super) fn answer_announced(&mut self, now: Instant) {
        let due = |call: &&mut Call| call.alert.answer_at.is_some_and(|at| at <= now);
        let mut waiting: Vec<CallNumber> = Vec::new();
        for call in self.calls.values_mut().filter(due) {
            call.alert.answer_at = None;
            waiting.push(call.number);
        }
        for number in waiting {
            let other = self.calls.values().any(|call| call.number != number && !call.is_over());
            let Some(call) = self.calls.get_mut(&number).filter(|call| call.is_ringing_in() && !other) else {
                continue;
            };
            call.alert.unattended = true;
            self.out.log(format!("call {number}: answered by itself, its caller is listed"));
            call.answer(now, &self.anchor, &mut self.out);
            self.focus_on(now, number);
        }
    }

    /// Calls somebody who is to answer at once.
    pub(super) fn call_intercom(&mut self, now: Instant, wanted: Option<AccountId>, typed: &str) {
        let Some(account) = self.choose_account(wanted) else {
            return self.out.refuse("there is no account to call from; `offhook init` makes one");
        };
        match account.dial(&self.look_up(typed)) {
            Ok((uri, _)) => {
                let account = account.id;
                self.place(now, account, uri, Placing { headers: alert::intercom(), ..Placing::default() });
            }
            Err(error) => self.out.refuse(error.to_string()),
        }
    }
}

/// Who calls, by the word of a server of ours: whom it stands for, else From, which it lets nobody else write.
fn caller(invite: &Headers) -> Option<Uri> {
    match Asserted::of(invite) {
        Some(asserted) => asserted.vouched.then_some(asserted.address.uri),
        None => invite.from().ok().map(|from| from.uri),
    }
}

impl Account {
    /// Whether somebody is on the list of those who are answered at once: `user` of our own domain, or an address.
    fn lists(&self, who: &Uri) -> bool {
        let user = who.plain_user();
        self.settings.handling.auto_answer_from.iter().any(|listed| match listed.contains(['@', ':']) {
            false => user.as_deref() == Some(listed.as_str()) && self.owns(&who.host),
            true => {
                let address = listed.strip_prefix("sips:").or_else(|| listed.strip_prefix("sip:")).unwrap_or(listed);
                Uri::parse(&format!("sip:{address}")).is_ok_and(|listed| {
                    listed.plain_user().is_some() && listed.plain_user() == user && listed.host == who.host
                })
            }
        })
    }
}
