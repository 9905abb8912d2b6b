//! Our own state: taken from the calls, or what the user says; published at the servers that are to tell it (RFC 3903).
use super::account::shown;
use super::sending::{Challenged, Owner};
use super::{Account, UserAgent, index};
use crate::base::id::AccountId;
use crate::base::net::Flow;
use crate::base::rng::Rng;
use crate::sip::event::presence::{Activity, Own, Presence};
use crate::sip::event::publication::{self, Publication, State};
use crate::sip::transaction::{Failure, RequestId};
use crate::ua::command::Wish;
use crate::ua::settings::Settings;
use crate::ua::snapshot::{OwnState, PresenceView};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The lifetime asked for.
const EXPIRES: Duration = Duration::from_secs(3600);
/// Columns of the user's own words.
const NOTE: usize = 60;

/// What one account publishes.
#[derive(Debug)]
struct Publishing {
    publication: Publication,
    /// The way to the server; none when it may have forgotten us.
    known_by: Option<Flow>,
}

/// What the user says, and what is published of it.
#[derive(Debug, Default)]
pub struct Presences {
    wish: Wish,
    note: String,
    accounts: BTreeMap<AccountId, Publishing>,
}

impl Presences {
    pub fn new(settings: &Settings, accounts: &[Account], rng: &mut Rng) -> Self {
        let mut presences = Self::default();
        accounts.iter().for_each(|account| presences.begin(account, &settings.user_agent, rng));
        presences
    }

    /// An account publishes from when it is registered, where it is to.
    pub fn begin(&mut self, account: &Account, user_agent: &str, rng: &mut Rng) {
        if account.settings.availability.publish {
            let config = publication::Config {
                aor: account.aor(),
                package: Presence::EVENT,
                content_type: Presence::TYPE,
                expires: EXPIRES,
                user_agent: user_agent.to_owned(),
            };
            let publication = Publication::new(config, rng.fork());
            self.accounts.insert(account.id, Publishing { publication, known_by: None });
        }
    }

    /// The account is given up: its state is taken back.
    pub fn retire(&mut self, id: AccountId) {
        if let Some(account) = self.accounts.get_mut(&id) {
            account.publication.stop();
        }
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.accounts.values().filter_map(|account| account.publication.poll_timeout()).min()
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        for account in self.accounts.values_mut() {
            if account.publication.poll_timeout().is_some_and(|at| at <= now) {
                account.publication.handle_timeout(now);
            }
        }
    }

    pub fn handle_response(
        &mut self,
        now: Instant,
        id: AccountId,
        of: RequestId,
        response: crate::sip::message::Response,
    ) {
        if let Some(account) = self.accounts.get_mut(&id) {
            account.publication.handle_response(now, of, response);
        }
    }

    pub fn handle_failure(&mut self, now: Instant, id: AccountId, request: RequestId, failure: Failure) {
        if let Some(account) = self.accounts.get_mut(&id) {
            account.publication.handle_failure(now, request, failure);
        }
    }

    pub fn stop(&mut self) {
        self.accounts.values_mut().for_each(|account| account.publication.stop());
    }

    /// Whether a server still has to take the last word.
    pub fn is_busy(&self) -> bool {
        self.accounts.values().any(|account| account.publication.is_busy())
    }
}

impl UserAgent {
    /// What the user says of himself; with a call up that is told as well.
    pub(super) fn set_presence(&mut self, wish: Wish, note: &str) {
        self.presences.wish = wish;
        self.presences.note = shown(note.trim(), NOTE);
    }

    /// What is true of us now.
    pub(super) fn own_state(&self) -> OwnState {
        let talks = self.calls.values().any(|call| !call.is_over() && (call.is_established() || call.outgoing));
        let mut accounts = self.accounts.iter().peekable();
        let undisturbed = accounts.peek().is_some() && accounts.all(|a| a.settings.handling.do_not_disturb);
        match (talks, self.presences.wish) {
            (true, _) => OwnState::OnThePhone,
            (false, Wish::Away) => OwnState::Away,
            (false, Wish::Busy) => OwnState::Busy,
            (false, Wish::Auto) if undisturbed => OwnState::DoNotDisturb,
            (false, Wish::Auto) => OwnState::Free,
        }
    }

    /// The same for those who watch an account.
    pub(super) fn own_presence(&self, account: &Account) -> Own {
        let undisturbed = account.settings.handling.do_not_disturb;
        let wish = match self.presences.wish {
            Wish::Away => Some(Activity::Away),
            Wish::Busy => Some(Activity::Busy),
            Wish::Auto => undisturbed.then_some(Activity::Busy),
        };
        let state = match self.own_state() {
            OwnState::DoNotDisturb | OwnState::Free if undisturbed => OwnState::DoNotDisturb,
            OwnState::DoNotDisturb => OwnState::Free,
            state => state,
        };
        let talks = (state == OwnState::OnThePhone).then_some(Activity::OnThePhone);
        let words = if state == OwnState::Free { String::new() } else { capital(state.word()) };
        let note = if self.presences.note.is_empty() { words } else { self.presences.note.clone() };
        Own { open: !undisturbed, activities: talks.into_iter().chain(wish).collect(), note }
    }

    pub(super) fn presence_view(&self) -> PresenceView {
        let told = |(id, account): (&AccountId, &Publishing)| {
            let words = match account.publication.state() {
                State::Off => "not told to the server".to_owned(),
                State::Asking => "being told to the server".to_owned(),
                State::Published => "told to the server".to_owned(),
                State::Waiting { .. } => "the server does not answer; tried again soon".to_owned(),
                State::Refused(405 | 489 | 501) => "the server keeps nobody's state".to_owned(),
                State::Refused(status) => format!("the server does not take it ({status})"),
            };
            (*id, words)
        };
        PresenceView {
            state: self.own_state(),
            note: self.presences.note.clone(),
            published: self.presences.accounts.iter().map(told).collect(),
        }
    }

    /// A flow of the account is registered, or lost: its state is published over one that works, anew where that leads to
    /// another server, or to one that was lost and may have forgotten us.
    pub(super) fn begin_publishing(&mut self, now: Instant, id: AccountId) {
        let Some(account) = self.accounts.get(index(id)).filter(|_| self.shutdown.is_none()) else { return };
        let (flow, route) = (account.flow(), account.route());
        let entity = account.aor().uri.to_string();
        let body = self.own_presence(account).to_pidf(&entity);
        let Some(own) = self.presences.accounts.get_mut(&id) else { return };
        if own.known_by != flow || (flow.is_some() && *own.publication.state() == State::Off) {
            own.known_by = flow;
            if flow.is_some() {
                own.publication.start(now, route, body);
            }
        }
    }

    /// Passes on what publications want sent and tell; `true` when there was anything.
    pub(super) fn drain_publications(&mut self, now: Instant) -> bool {
        if self.presences.accounts.is_empty() {
            return false;
        }
        let mut busy = false;
        let ids: Vec<AccountId> = self.presences.accounts.keys().copied().collect();
        for id in ids {
            let Some(account) = self.account(id) else { continue };
            let body = self.own_presence(account).to_pidf(&account.aor().uri.to_string());
            if let Some(account) = self.presences.accounts.get_mut(&id) {
                account.publication.change(now, body);
            }
            let output = |agent: &mut Self| agent.presences.accounts.get_mut(&id)?.publication.poll_output();
            while let Some(output) = output(self) {
                busy = true;
                self.carry_out(now, Owner::Publication(id), output);
            }
            let event = |agent: &mut Self| agent.presences.accounts.get_mut(&id)?.publication.poll_event();
            while let Some(event) = event(self) {
                busy = true;
                self.publication_event(now, id, event);
            }
        }
        busy
    }

    fn publication_event(&mut self, now: Instant, id: AccountId, event: publication::Event) {
        let (Some(account), Some(own)) = (self.accounts.get_mut(index(id)), self.presences.accounts.get_mut(&id))
        else {
            return;
        };
        match event {
            publication::Event::Challenged { id: request, response } => {
                let met = self.sending.take_challenged(Owner::Publication(id), request);
                match met.map(|met: Challenged| account.trust.authorize(&met, &response)) {
                    Some(Ok(headers)) => own.publication.authenticate(request, &headers),
                    Some(Err(_)) | None => own.publication.give_up(now, request),
                }
            }
            publication::Event::Changed(State::Refused(status)) => {
                let name = &account.settings.name;
                self.out.log(format!("account {name}: the server does not take our state ({status})"));
            }
            publication::Event::Changed(_) => {}
        }
    }
}

fn capital(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
