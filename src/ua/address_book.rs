//! The contacts at work: names for those who call, numbers for names that are typed, lamps for those who are watched.
use super::UserAgent;
use super::account::{Account, shown};
use super::watch::Wanted;
use crate::base::id::AccountId;
use crate::sip::message::NameAddr;
use crate::ua::contacts::Change;
use crate::ua::event::Event;
use crate::ua::identity::Identity;
use crate::ua::snapshot::WatchView;
use std::sync::Arc;
use std::time::Instant;

impl UserAgent {
    /// Carries out a change of the list, and says so, or why not.
    pub(super) fn change_contacts(&mut self, now: Instant, change: Change) {
        if let Err(error) = Arc::make_mut(&mut self.contacts).change(&change) {
            return self.out.refuse(error.to_string());
        }
        self.out.log(shown(&format!("contacts: {change}"), 120));
        self.out.event(Event::Contacts(Box::new(change)));
        self.watch_contacts(now);
        let renamed: Vec<_> = self
            .calls
            .iter()
            .filter(|(_, call)| !call.is_over())
            .map(|(number, call)| (*number, call.account, call.identity.clone()))
            .collect();
        for (number, account, mut identity) in renamed {
            self.recognise(account, &mut identity);
            if let Some(call) = self.calls.get_mut(&number) {
                call.identity = identity;
            }
        }
    }

    /// What to dial for what was typed: the number of a contact of that name, else what was typed.
    pub(super) fn look_up(&self, typed: &str) -> String {
        self.contacts.dial(typed).unwrap_or(typed).to_owned()
    }

    /// Puts in what the user calls somebody.
    pub(super) fn recognise(&self, account: AccountId, identity: &mut Identity) {
        let own = identity.from_server || self.account(account).is_some_and(|a| is_at(a, &identity.address));
        let contact = self.contacts.find(&identity.address, own).map(|contact| contact.name.as_str());
        identity.recognise(contact.filter(|_| !identity.address.is_empty()));
    }

    /// Whoever is watched, by the names the user gave them.
    pub(super) fn watched(&self) -> Vec<WatchView> {
        self.watching.view().into_iter().map(|view| self.named(view)).collect()
    }

    pub(super) fn named(&self, view: WatchView) -> WatchView {
        WatchView { contact: self.contacts.find(&view.label, true).map(|contact| contact.name.clone()), ..view }
    }

    /// Begins to watch the contacts that want it, and leaves those who do not any more.
    pub(super) fn watch_contacts(&mut self, now: Instant) {
        let wanted: Vec<Wanted> = self
            .contacts
            .list()
            .iter()
            .filter(|c| c.watch)
            .filter_map(|contact| {
                let address = contact.numbers.first()?.address.clone();
                let of_domain = |account: &&Account| address.contains('@') && is_at(account, &address);
                let account = self.shown_accounts().find(of_domain).or_else(|| self.shown_accounts().next())?;
                let target = account.dial(&address).ok()?.0;
                Some(Wanted { account: account.id, address, target, from: NameAddr::new(account.aor().uri) })
            })
            .collect();
        self.watching.follow(&wanted, &self.settings.user_agent, &mut self.rng);
        let accounts: Vec<AccountId> = self.accounts.iter().map(|account| account.id).collect();
        for account in accounts {
            self.begin_watching(now, account);
        }
    }
}

/// Whether an address is one of the account's own domain, or a number that would be dialled there.
fn is_at(account: &Account, address: &str) -> bool {
    let domain = account.settings.domain.to_string();
    let Some((_, host)) = address.split_once('@') else { return true };
    let host = host.split([';', '?']).next().unwrap_or_default();
    host.strip_prefix(domain.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}
