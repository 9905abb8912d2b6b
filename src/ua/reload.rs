//! The configuration was read anew: what differs from before takes effect, calls go on.
use super::account::Account;
use super::{UserAgent, index, registering};
use crate::base::id::AccountId;
use crate::sip::locate::AccessId;
use crate::ua::handling::Handling;
use crate::ua::settings::{AccountSettings, Settings};
use crate::ua::snapshot::RegistrationState;
use std::time::Instant;

impl UserAgent {
    /// Takes new settings. Accounts that are as they were stay registered; one that was changed or left out takes its
    /// registration back, and the calls over it go on to their end.
    ///
    /// - `access`: how the connections of each of its accounts are opened.
    pub fn handle_settings(&mut self, now: Instant, settings: Settings, access: &[AccessId]) {
        if self.shutdown.is_some() {
            return;
        }
        let wanted: Vec<(&AccountSettings, AccessId)> = settings.accounts.iter().zip(access.iter().copied()).collect();
        let stays = |a: &Account| wanted.iter().any(|(s, access)| is_same(&a.settings, s) && *access == a.access());
        let gone: Vec<AccountId> = self.accounts.iter().filter(|a| !a.retired && !stays(a)).map(|a| a.id).collect();
        for id in gone {
            self.retire(now, id);
        }
        let mut order = Vec::with_capacity(wanted.len());
        for (account, access) in wanted {
            let same = |a: &&mut Account| !a.retired && is_same(&a.settings, account) && a.access() == access;
            let known = self.accounts.iter_mut().find(same).map(|known| {
                // What the user has switched since stays so.
                let switched = known.settings.handling.clone();
                known.settings.handling = Handling {
                    forwarding: switched.forwarding,
                    do_not_disturb: switched.do_not_disturb,
                    ..account.handling.clone()
                };
                known.id
            });
            order.push(known.or_else(|| self.begin_account(now, account.clone(), access)));
        }
        self.order = order.into_iter().flatten().collect();
        // What the phone is called by others stays for this run.
        let (user_agent, instance) = (self.settings.user_agent.clone(), self.settings.instance.clone());
        self.settings = Settings { user_agent, instance, ..settings };
        self.watch_contacts(now);
        self.settle(now);
    }

    fn retire(&mut self, now: Instant, id: AccountId) {
        self.watching.retire(id);
        self.presences.retire(id);
        self.unregister(now, id);
        if let Some(account) = self.accounts.get_mut(index(id)) {
            account.retired = true;
            let name = account.settings.name.clone();
            self.out.log(format!("{name}: this account is no longer configured so; it signs off"));
        }
    }

    /// `None` when there have been too many.
    fn begin_account(&mut self, now: Instant, settings: AccountSettings, access: AccessId) -> Option<AccountId> {
        let id = u16::try_from(self.accounts.len()).ok().map(AccountId)?;
        let phone = registering::phone(&self.settings, &self.layer);
        let registers = settings.register;
        self.watching.begin(id, &settings, &self.settings.user_agent, &mut self.rng);
        let account = Account::new(id, settings, access, phone, &mut self.rng);
        self.presences.begin(&account, &self.settings.user_agent, &mut self.rng);
        self.accounts.push(account);
        if registers {
            self.register(now, id);
        }
        Some(id)
    }

    /// The accounts of the configuration, in its order; then those that still sign off or have calls.
    pub(super) fn shown_accounts(&self) -> impl Iterator<Item = &Account> {
        let configured = self.order.iter().filter_map(|id| self.account(*id));
        let busy = |a: &&Account| {
            a.retired
                && (a.state != RegistrationState::Off || self.calls.values().any(|c| c.account == a.id && !c.is_over()))
        };
        configured.chain(self.accounts.iter().filter(busy))
    }
}

/// Whether nothing differs that a registered account cannot change.
fn is_same(old: &AccountSettings, new: &AccountSettings) -> bool {
    // Parked calls are watched, and so belong to the registration.
    let handling = Handling { park_slots: new.handling.park_slots.clone(), ..old.handling.clone() };
    *old == AccountSettings { handling, ..new.clone() }
}
