//! Contacts that are watched: beside the phones of the configuration, and as many as those.
use super::{WATCHES, Watch, Watching, What, config};
use crate::base::id::AccountId;
use crate::base::rng::Rng;
use crate::sip::event::Subscription;
use crate::sip::event::dialog_info::DialogInfo;
use crate::sip::message::{NameAddr, Uri};
use crate::ua::account::shown;

/// A phone that is to be watched.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub account: AccountId,
    /// As the user would dial it.
    pub address: String,
    pub target: Uri,
    pub from: NameAddr,
}

impl Watching {
    /// Watches these phones of contacts and no others; the ones the configuration names are watched anyway.
    pub fn follow(&mut self, wanted: &[Wanted], user_agent: &str, rng: &mut Rng) {
        self.watches.retain(|_, watch| !(watch.leaving && watch.subscription.poll_timeout().is_none()));
        let label = |wanted: &Wanted| shown(&wanted.address, 40);
        for watch in self.watches.values_mut().filter(|watch| watch.of_contact && !watch.leaving) {
            let still = wanted.iter().any(|w| w.account == watch.account && Some(label(w).as_str()) == watch.label());
            if !still {
                watch.leaving = true;
                watch.subscription.stop();
            }
        }
        let mut room = WATCHES.saturating_sub(self.watches.values().filter(|watch| watch.of_contact).count());
        for phone in wanted {
            let label = label(phone);
            let known =
                |watch: &Watch| !watch.leaving && watch.account == phone.account && watch.label() == Some(&label);
            if room == 0 || self.watches.values().any(known) {
                continue;
            }
            room -= 1;
            let what = What::Phone { label, dialogs: DialogInfo::default(), known: false };
            let config = config(&what, phone.target.clone(), phone.from.clone(), user_agent);
            let subscription = Subscription::new(config, rng.fork());
            let of_contact = true;
            self.add(Watch { of_contact, ..Watch::new(phone.account, what, subscription) });
        }
    }
}

impl Watch {
    fn label(&self) -> Option<&str> {
        match &self.what {
            What::Mailbox => None,
            What::Phone { label, .. } | What::Person { label, .. } => Some(label),
        }
    }
}
