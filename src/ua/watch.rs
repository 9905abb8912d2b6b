//! What is watched for an account: its mailbox, and the phones of others (RFC 3842, RFC 4235, RFC 3856).
mod contacts;

pub use contacts::Wanted;

use super::account::shown;
use super::dialling::DialError;
use super::outgoing::Placing;
use super::sending::{Challenged, Owner};
use super::{UserAgent, index, target};
use crate::base::id::AccountId;
use crate::base::net::Flow;
use crate::base::rng::Rng;
use crate::base::untrusted::Untrusted;
use crate::sip::event::dialog_info::{DialogInfo, DialogState};
use crate::sip::event::mwi::Mailbox;
use crate::sip::event::presence::{Activity, Presence};
use crate::sip::event::{self, End, State, Subscription};
use crate::sip::key::{DialogKey, ServerKey, SessionKey};
use crate::sip::message::{NameAddr, Request, Response, Uri};
use crate::sip::transaction::{Failure, RequestId};
use crate::ua::event::Event;
use crate::ua::settings::{AccountSettings, Settings};
use crate::ua::snapshot::{Lamp, MailboxView, WatchView};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Things watched for one account.
const WATCHES: usize = 64;
/// The lifetime asked for.
const EXPIRES: Duration = Duration::from_secs(3600);
/// Columns of somebody's own words.
const NOTE: usize = 60;

/// One thing that is watched.
#[derive(Debug)]
pub struct Watch {
    account: AccountId,
    what: What,
    subscription: Subscription,
    /// The way to the notifier, and what it knows us by; none when it may have forgotten us.
    known_by: Option<(Flow, String)>,
    /// What the front end was told last.
    told: Option<WatchView>,
    /// Watched because a contact is, rather than by the configuration.
    of_contact: bool,
    /// Not wanted any more: only its end is awaited.
    leaving: bool,
}

#[derive(Debug)]
enum What {
    Mailbox,
    Phone {
        label: String,
        dialogs: DialogInfo,
        known: bool,
    },
    /// A notifier that knows nothing of dialogs may know whether somebody is there.
    Person {
        label: String,
        presence: Option<Presence>,
    },
}

/// All that is watched, and what mailboxes are known to hold, whoever told.
#[derive(Debug, Default)]
pub struct Watching {
    watches: BTreeMap<u32, Watch>,
    mailboxes: BTreeMap<AccountId, Mailbox>,
    /// What the next watch is known by.
    next: u32,
}

impl Watching {
    pub fn new(settings: &Settings, rng: &mut Rng) -> Self {
        let mut watching = Self::default();
        for (id, account) in (0..).map(AccountId).zip(&settings.accounts) {
            watching.begin(id, account, &settings.user_agent, rng);
        }
        watching
    }

    fn add(&mut self, watch: Watch) {
        self.watches.insert(self.next, watch);
        self.next = self.next.wrapping_add(1);
    }

    /// What an account watches, from when it is registered.
    pub fn begin(&mut self, id: AccountId, account: &AccountSettings, user_agent: &str, rng: &mut Rng) {
        let mut add = |what, target: Uri, from: NameAddr| {
            let subscription = Subscription::new(config(&what, target, from, user_agent), rng.fork());
            self.add(Watch::new(id, what, subscription));
        };
        let own = Uri::sip(Some(&account.user), account.domain.clone(), account.domain_port);
        let from = NameAddr::new(own.clone());
        if account.mailbox {
            add(What::Mailbox, own, from.clone());
        }
        // Where somebody waits is a code of the server, for which there is no dial plan.
        let slots = account.handling.park_slots.iter().map(|slot| (slot, Some(slot.clone())));
        let phones = account.watch.iter().map(|typed| (typed, account.planned(typed).ok().map(|(number, _)| number)));
        for (typed, dialled) in phones.chain(slots).take(WATCHES) {
            // The configuration has been checked; what still cannot be called is not watched.
            let parse = |number: String| target::parse(&number, Some((&account.domain, account.domain_port))).ok();
            if let Some(target) = dialled.and_then(parse) {
                let phone = What::Phone { label: shown(typed, 40), dialogs: DialogInfo::default(), known: false };
                add(phone, target, from.clone());
            }
        }
    }

    /// The account is given up: what it watched is taken back, and no longer shown.
    pub fn retire(&mut self, id: AccountId) {
        for watch in self.watches.values_mut().filter(|watch| watch.account == id) {
            watch.leaving = true;
            watch.subscription.stop();
        }
        self.mailboxes.remove(&id);
    }

    pub fn account_of(&self, id: u32) -> Option<AccountId> {
        self.watches.get(&id).map(|watch| watch.account)
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.watches.values().filter_map(|watch| watch.subscription.poll_timeout()).min()
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        for watch in self.watches.values_mut() {
            if watch.subscription.poll_timeout().is_some_and(|at| at <= now) {
                watch.subscription.handle_timeout(now);
            }
        }
    }

    pub fn handle_failure(&mut self, now: Instant, id: u32, request: RequestId, failure: Failure) {
        if let Some(watch) = self.watches.get_mut(&id) {
            watch.subscription.handle_failure(now, request, failure);
        }
    }

    pub fn handle_response(&mut self, now: Instant, id: u32, request: RequestId, response: Response) {
        if let Some(watch) = self.watches.get_mut(&id) {
            watch.subscription.handle_response(now, request, response);
        }
    }

    /// A NOTIFY within a dialog; `false` when no subscription of ours has it.
    pub fn handle_notify(&mut self, now: Instant, session: &SessionKey, key: &ServerKey, request: &Request) -> bool {
        let mut watches = self.watches.values_mut();
        let Some(watch) = watches.find(|watch| watch.subscription.key() == session) else { return false };
        watch.subscription.handle_notify(now, key.clone(), request);
        true
    }

    /// What a mailbox holds by the word of the account's own server, asked or not.
    pub fn tell_mailbox(&mut self, account: AccountId, body: &[u8]) -> Option<Mailbox> {
        let mailbox = Mailbox::parse(body)?;
        let before = self.mailboxes.insert(account, mailbox.clone());
        (before.as_ref() != Some(&mailbox)).then_some(mailbox)
    }

    pub fn mailbox(&self, account: AccountId) -> Option<MailboxView> {
        let mailbox = self.mailboxes.get(&account)?;
        Some(MailboxView { waiting: mailbox.waiting, new: mailbox.new, old: mailbox.old })
    }

    pub fn view(&self) -> Vec<WatchView> {
        self.watches.values().filter_map(Watch::view).collect()
    }

    /// The call that rings at a phone that is watched, when it is known how to take it: its dialog, where its caller is
    /// reached, and who that is.
    pub fn ringing(&self, account: Option<AccountId>, whom: &str) -> Option<(AccountId, &DialogKey, [&Uri; 2])> {
        let user = |label: &str| label.split('@').next().unwrap_or_default().trim_start_matches("sip:").to_owned();
        let whom = shown(whom.trim(), 40);
        let fits = |watch: &&Watch| account.is_none_or(|account| watch.account == account);
        self.watches.values().filter(fits).find_map(|watch| match &watch.what {
            What::Phone { label, dialogs, .. } if *label == whom || user(label) == whom => {
                dialogs.ringing().map(|(key, target, caller)| (watch.account, key, [target, caller]))
            }
            What::Phone { .. } | What::Mailbox | What::Person { .. } => None,
        })
    }

    pub fn stop(&mut self) {
        self.watches.values_mut().for_each(|watch| watch.subscription.stop());
    }
}

impl Watch {
    fn new(account: AccountId, what: What, subscription: Subscription) -> Self {
        Self { account, what, subscription, known_by: None, told: None, of_contact: false, leaving: false }
    }

    fn view(&self) -> Option<WatchView> {
        if self.leaving {
            return None;
        }
        let (label, lamp, note) = match &self.what {
            What::Mailbox => return None,
            What::Phone { label, dialogs, known: true } => match dialogs.state() {
                Some(DialogState::Confirmed) => (label, Lamp::Busy, with_whom(dialogs)),
                Some(DialogState::Ringing) => (label, Lamp::Ringing, with_whom(dialogs)),
                None => (label, Lamp::Free, String::new()),
            },
            What::Phone { label, .. } | What::Person { label, presence: None } => {
                (label, Lamp::Unknown, self.trouble())
            }
            What::Person { label, presence: Some(presence) } if presence.ringing => {
                (label, Lamp::Ringing, String::new())
            }
            What::Person { label, presence: Some(presence) } => {
                let lamp = match (presence.open, presence.activity) {
                    (_, Some(Activity::OnThePhone | Activity::Busy)) => Lamp::Busy,
                    (true, None) => Lamp::Free,
                    (true, Some(Activity::Away)) | (false, _) => Lamp::Away,
                };
                (label, lamp, presence.note.as_ref().map(|note| note.sanitize(NOTE)).unwrap_or_default())
            }
        };
        Some(WatchView { account: self.account, label: label.clone(), contact: None, lamp, note })
    }

    /// Why nothing is known, in words.
    fn trouble(&self) -> String {
        match self.subscription.state() {
            State::Off | State::Asking | State::Active => String::new(),
            State::Waiting { .. } => "no answer; asked again soon".to_owned(),
            State::Refused(End::Refused(403)) => "the server does not let us watch it".to_owned(),
            State::Refused(End::Refused(404)) => "the server knows nobody of that name".to_owned(),
            State::Refused(End::Refused(489)) => "the server cannot tell".to_owned(),
            State::Refused(End::Refused(status)) => format!("refused ({status})"),
            State::Refused(End::Terminated(reason)) => format!("ended by the server ({reason})"),
        }
    }
}

/// Who the other party is, when the server tells.
fn with_whom(dialogs: &DialogInfo) -> String {
    let Some(dialog) = dialogs.dialog() else { return String::new() };
    let address = dialog.remote.as_ref().map(|uri| {
        let user = uri.user.as_deref().map(|user| format!("{user}@")).unwrap_or_default();
        Untrusted::new(format!("{user}{}", uri.host)).sanitize(NOTE)
    });
    let name = dialog.remote_name.as_ref().map(|name| name.sanitize(NOTE)).filter(|name| !name.trim().is_empty());
    let who = match (name, address) {
        (Some(name), Some(address)) if name != address => format!("{name} <{address}>"),
        (name, address) => name.or(address).unwrap_or_default(),
    };
    match (who.is_empty(), dialog.state) {
        (true, _) => String::new(),
        (false, DialogState::Ringing) if dialog.incoming => format!("from {who}"),
        (false, DialogState::Ringing) => format!("to {who}"),
        (false, DialogState::Confirmed) => format!("with {who}"),
    }
}

fn config(what: &What, target: Uri, from: NameAddr, user_agent: &str) -> event::Config {
    let (package, accept) = match what {
        What::Mailbox => (Mailbox::EVENT, Mailbox::TYPE),
        What::Phone { .. } => (DialogInfo::EVENT, DialogInfo::TYPE),
        What::Person { .. } => (Presence::EVENT, Presence::TYPE),
    };
    event::Config { target, from, package, accept, expires: EXPIRES, user_agent: user_agent.to_owned() }
}

impl UserAgent {
    /// A flow of the account is registered, or lost: what it watches is asked for over one that works, again when that is
    /// another one than before. A server that was lost is asked again when it is back: it may have forgotten us.
    pub(super) fn begin_watching(&mut self, now: Instant, id: AccountId) {
        let Some(account) = self.accounts.get(index(id)).filter(|_| self.shutdown.is_none()) else { return };
        let Some(flow) = account.flow() else {
            return self.watching.watches.values_mut().filter(|w| w.account == id).for_each(|w| w.known_by = None);
        };
        let (contact, route) = (account.contact(&flow), account.route());
        for watch in self.watching.watches.values_mut().filter(|watch| watch.account == id && !watch.leaving) {
            let known_by = Some((flow, contact.to_string()));
            if watch.known_by != known_by || *watch.subscription.state() == State::Off {
                watch.known_by = known_by;
                watch.subscription.start(now, contact.clone(), route.clone());
            }
        }
    }

    /// Passes on what subscriptions want sent and tell; `true` when there was anything.
    pub(super) fn drain_watches(&mut self, now: Instant) -> bool {
        let mut busy = false;
        let ids: Vec<u32> = self.watching.watches.keys().copied().collect();
        for id in ids {
            while let Some(output) = self.watching.watches.get_mut(&id).and_then(|w| w.subscription.poll_output()) {
                busy = true;
                self.carry_out(now, Owner::Watch(id), output);
            }
            while let Some(event) = self.watching.watches.get_mut(&id).and_then(|w| w.subscription.poll_event()) {
                busy = true;
                self.watch_event(now, id, event);
                if let Some(watch) = self.watching.watches.get_mut(&id)
                    && let Some(view) = watch.view().filter(|view| Some(view) != watch.told.as_ref())
                {
                    let before = watch.told.replace(view.clone()).map(|told| told.lamp);
                    self.lamp_of_slot(now, before, &view);
                    let view = self.named(view);
                    self.out.event(Event::Watched(Box::new(view)));
                }
            }
        }
        busy
    }

    fn watch_event(&mut self, now: Instant, id: u32, event: event::Event) {
        let Some(watch) = self.watching.watches.get_mut(&id) else { return };
        match event {
            event::Event::Challenged { id: request, response, .. } => {
                let met = self.sending.take_challenged(Owner::Watch(id), request);
                let account = self.accounts.get_mut(index(watch.account));
                let answer =
                    met.zip(account).map(|(met, account): (Challenged, _)| account.trust.authorize(&met, &response));
                match answer {
                    Some(Ok(headers)) => watch.subscription.authenticate(request, &headers),
                    Some(Err(_)) | None => watch.subscription.give_up(now, request),
                }
            }
            event::Event::Changed(State::Refused(End::Refused(489))) => {
                if let What::Phone { label, .. } = &watch.what {
                    // Not the phone's calls then, but perhaps whether somebody is there.
                    watch.what = What::Person { label: label.clone(), presence: None };
                    let from = NameAddr::new(watch.subscription.from().clone());
                    let target = watch.subscription.target().clone();
                    let config = config(&watch.what, target, from, &self.settings.user_agent);
                    watch.subscription = Subscription::new(config, self.rng.fork());
                    watch.known_by = None;
                    let account = watch.account;
                    self.begin_watching(now, account);
                }
            }
            event::Event::Changed(state) => {
                if let What::Phone { known, dialogs, .. } = &mut watch.what
                    && !matches!(state, State::Active)
                {
                    (*known, *dialogs) = (false, DialogInfo::default());
                }
            }
            event::Event::Notified { body } => self.watch_notified(now, id, &body),
        }
    }

    fn watch_notified(&mut self, now: Instant, id: u32, body: &[u8]) {
        let Some(watch) = self.watching.watches.get_mut(&id) else { return };
        match &mut watch.what {
            What::Mailbox => {
                let account = watch.account;
                self.mailbox_told(account, body);
            }
            What::Phone { label, dialogs, known } => {
                if dialogs.take(body).is_ok() {
                    *known = true;
                } else if *known {
                    // A part is missing: the whole is told at the beginning.
                    self.out.log(format!("{label}: its state is asked for anew"));
                    (*known, *dialogs) = (false, DialogInfo::default());
                    watch.subscription.restart(now);
                }
            }
            What::Person { presence, .. } => *presence = Presence::parse(body).or(presence.take()),
        }
    }

    /// Calls the mailbox of an account, to hear what it holds: the number the user wrote, else what its server says.
    pub(super) fn call_mailbox(&mut self, now: Instant, wanted: Option<AccountId>) {
        let with_mail = self.watching.mailboxes.iter().find(|(_, mailbox)| mailbox.waiting).map(|(id, _)| *id);
        let Some(account) = self.choose_account(wanted.or(with_mail)) else {
            return self.out.refuse("there is no account to call from; `offhook init` makes one");
        };
        let number = &account.settings.availability.mailbox_number;
        let told =
            self.watching.mailboxes.get(&account.id).and_then(|mailbox| Uri::parse(mailbox.account.as_ref()?).ok());
        let target = match told.filter(|_| number.is_empty()) {
            Some(uri) => account.allows(&uri).map(|()| uri),
            None if number.is_empty() => {
                let name = shown(&account.settings.name, 40);
                let words = format!("account {name} has no mailbox_number: what is called to hear the mailbox");
                return self.out.refuse(words);
            }
            None => account.dial_code(number).map_err(DialError::from),
        };
        match target {
            Ok(uri) => {
                let account = account.id;
                self.place(now, account, uri, Placing::default());
            }
            Err(error) => self.out.refuse(error.to_string()),
        }
    }

    /// A mailbox tells what it holds; the user hears of it when that is news.
    pub(super) fn mailbox_told(&mut self, account: AccountId, body: &[u8]) {
        let Some(mailbox) = self.watching.tell_mailbox(account, body) else { return };
        let (waiting, new) = (mailbox.waiting, mailbox.new);
        self.out.event(Event::Mailbox { account, waiting, new });
    }
}
