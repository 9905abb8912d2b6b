//! From what the user typed to whom is called: one way for the dial line, contacts, transfers and forwarding.
use super::account::{Account, shown};
use super::dial_plan::Verdict;
use super::settings::AccountSettings;
use super::target::{self, TargetError};
use super::{Event, UserAgent};
use crate::base::id::AccountId;
use crate::sip::message::Uri;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error("{number} is not called: {reason} (dial plan rule {pattern})")]
    Blocked { number: String, reason: String, pattern: String },
}

impl AccountSettings {
    /// What the dial plan makes of a number; names and addresses stay as they are.
    pub(super) fn planned(&self, typed: &str) -> Result<(String, Verdict), DialError> {
        let Some(number) = target::number(typed) else { return Ok((typed.to_owned(), Verdict::AsItIs)) };
        match self.handling.dial_plan.judge(&number) {
            Verdict::Blocked { reason, pattern } => Err(DialError::Blocked { number, reason, pattern }),
            Verdict::Instead { number, pattern } => Ok((number.clone(), Verdict::Instead { number, pattern })),
            verdict @ (Verdict::AsItIs | Verdict::Emergency) => Ok((number, verdict)),
        }
    }
}

impl Account {
    /// Whom a call to this goes to, and what the dial plan said.
    pub fn dial(&self, typed: &str) -> Result<(Uri, Verdict), DialError> {
        let (dialled, verdict) = self.settings.planned(typed)?;
        let uri = target::parse(&dialled, self.dial_domain())?;
        self.allows(&uri)?;
        Ok((uri, verdict))
    }

    /// Whom a code of the server calls: no dial plan is for those.
    pub fn dial_code(&self, code: &str) -> Result<Uri, TargetError> {
        target::parse(code, self.dial_domain())
    }

    /// Whether the dial plan lets an address be called, whoever named it.
    pub fn allows(&self, uri: &Uri) -> Result<(), DialError> {
        let number = uri.plain_user().as_deref().and_then(target::number);
        let blocked = number.and_then(|number| Some((self.settings.handling.dial_plan.blocked(&number)?, number)));
        match blocked {
            Some((Verdict::Blocked { reason, pattern }, number)) => Err(DialError::Blocked { number, reason, pattern }),
            _ => Ok(()),
        }
    }
}

impl UserAgent {
    /// Tells what would be called.
    pub(super) fn tell_plan(&mut self, wanted: Option<AccountId>, typed: &str) {
        let Some(account) = self.choose_account(wanted) else {
            return self.out.refuse("there is no account to call from; `offhook init` makes one");
        };
        let (answer, is_allowed) = match account.dial(&self.look_up(typed)) {
            Ok((uri, verdict)) => (format!("{}, {verdict}", shown(&uri.to_string(), 120)), true),
            Err(error) => (error.to_string(), false),
        };
        self.out.event(Event::Plan { typed: shown(typed, 80), answer, is_allowed });
    }
}
