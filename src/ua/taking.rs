//! Taking a call that rings at a phone we watch: its caller is asked to talk to us instead (RFC 3891, RFC 4235 §6).
use super::UserAgent;
use super::account::shown;
use super::outgoing::Placing;
use crate::base::id::AccountId;
use crate::sip::replaces::{self, Replaces};
use std::time::Instant;

impl UserAgent {
    /// `false` when too little is known of that call: a code of the server may do.
    pub(super) fn take_watched(&mut self, now: Instant, wanted: Option<AccountId>, whom: &str) -> bool {
        let found = self.watching.ringing(wanted, whom).or_else(|| self.watching.ringing(None, whom));
        let Some((account, dialog, [target, caller])) = found else { return false };
        let Some(replaces) = Replaces::of_watched(dialog) else { return false };
        let (target, caller) = (target.clone(), caller.clone());
        if self.account(account).is_none_or(|account| account.allows(&target).is_err()) {
            return false;
        }
        self.out.log(format!(
            "taking the call of {} that rings at {}",
            shown(&caller.to_string(), 80),
            shown(whom, 40)
        ));
        // Who does not know that call must not ring as if this were a new one.
        let headers =
            vec![("Replaces".to_owned(), replaces.to_string()), ("Require".to_owned(), replaces::TAG.to_owned())];
        let placed = self.place(now, account, target, Placing { headers, ..Placing::default() });
        let who = self.identify_dialled(account, &caller);
        if let Some(call) = placed.and_then(|number| self.calls.get_mut(&number)) {
            call.become_known(who);
        }
        placed.is_some()
    }
}
