//! Those who watch this phone itself: a few whom the account lists are told of its calls and of its state (RFC 4235, RFC 3856).
use super::account::Account;
use super::sending::{Challenged, Owner};
use super::{Call, UserAgent, index};
use crate::base::id::AccountId;
use crate::base::net::Flow;
use crate::sip::event::dialog_info::OwnDialog;
use crate::sip::event::notifier::{Config, Facts, Notifier, Package};
use crate::sip::key::{DialogKey, ServerKey, SessionKey};
use crate::sip::message::{Request, Response};
use crate::sip::options;
use crate::sip::transaction::{Failure, RequestId};
use std::collections::BTreeMap;
use std::time::Instant;

/// Watchers at once; each costs a message for each change.
const WATCHERS: usize = 16;

#[derive(Debug)]
struct Watcher {
    account: AccountId,
    flow: Flow,
    notifier: Notifier,
}

#[derive(Debug, Default)]
pub struct Watchers {
    watchers: BTreeMap<u32, Watcher>,
    next: u32,
}

impl Watchers {
    /// Whose it is, and the way it came.
    pub fn of(&self, id: u32) -> Option<(AccountId, Flow)> {
        self.watchers.get(&id).map(|watcher| (watcher.account, watcher.flow))
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.watchers.values().filter_map(|watcher| watcher.notifier.poll_timeout()).min()
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        for watcher in self.watchers.values_mut() {
            if watcher.notifier.poll_timeout().is_some_and(|at| at <= now) {
                watcher.notifier.handle_timeout(now);
            }
        }
    }

    /// A SUBSCRIBE within a dialog; `false` when none of our watchers has it.
    pub fn handle_subscribe(&mut self, now: Instant, session: &SessionKey, key: &ServerKey, request: &Request) -> bool {
        let mut watchers = self.watchers.values_mut();
        let Some(watcher) = watchers.find(|watcher| watcher.notifier.key() == session) else { return false };
        watcher.notifier.handle_subscribe(now, key.clone(), request);
        true
    }

    pub fn handle_failure(&mut self, id: u32, request: RequestId, failure: Failure) {
        if let Some(watcher) = self.watchers.get_mut(&id) {
            watcher.notifier.handle_failure(request, failure);
        }
    }

    pub fn stop(&mut self, now: Instant) {
        self.watchers.values_mut().for_each(|watcher| watcher.notifier.stop(now, "noresource"));
    }
}

impl UserAgent {
    /// A SUBSCRIBE outside of a dialog.
    pub(super) fn handle_subscribe(
        &mut self,
        now: Instant,
        key: ServerKey,
        request: &Request,
        (flow, id): (Flow, AccountId),
    ) {
        if Package::of(request).is_none() {
            return self.respond(now, &key, request, 489, &[("Allow-Events", options::ALLOW_EVENTS)]);
        }
        let Some(account) = self.account(id) else { return };
        if !may_watch(account, request, &flow) {
            return self.respond(now, &key, request, 403, &[]);
        }
        if self.watchers.watchers.len() >= WATCHERS || self.shutdown.is_some() {
            return self.respond(now, &key, request, 480, &[]);
        }
        let config = Config { contact: account.contact(&flow), user_agent: self.settings.user_agent.clone() };
        let facts = self.own_facts(account);
        match Notifier::accept(now, config, key.clone(), request, facts, &mut self.rng) {
            Ok(notifier) => {
                let number = self.watchers.next;
                self.watchers.next = number.wrapping_add(1);
                self.watchers.watchers.insert(number, Watcher { account: id, flow, notifier });
            }
            Err(refusal) => {
                let mut refusal = *refusal;
                let to = refusal.headers.to().ok().filter(|to| to.tag().is_none());
                if let Some(to) = to {
                    refusal.headers.set("To", to.with_tag(&self.rng.hex(12)));
                }
                self.layer.respond(now, &key, refusal);
            }
        }
    }

    pub(super) fn watcher_answered(
        &mut self,
        now: Instant,
        id: u32,
        request: RequestId,
        met: &Challenged,
        response: &Response,
    ) {
        let Some(watcher) = self.watchers.watchers.get_mut(&id) else { return };
        if !watcher.notifier.handle_response(now, request, response) {
            return;
        }
        let account = self.accounts.get_mut(index(watcher.account));
        match account.map(|account| account.trust.authorize(met, response)) {
            Some(Ok(headers)) => watcher.notifier.authenticate(request, &headers),
            Some(Err(_)) | None => watcher.notifier.handle_failure(request, Failure::Transport),
        }
    }

    /// Passes on what watchers are told; `true` when there was anything.
    pub(super) fn drain_watchers(&mut self, now: Instant) -> bool {
        let ids: Vec<(u32, AccountId)> = self.watchers.watchers.iter().map(|(id, w)| (*id, w.account)).collect();
        let mut busy = false;
        for (id, account) in ids {
            let Some(facts) = self.account(account).map(|account| self.own_facts(account)) else { continue };
            if let Some(watcher) = self.watchers.watchers.get_mut(&id) {
                watcher.notifier.change(now, &facts);
            }
            while let Some(output) = self.watchers.watchers.get_mut(&id).and_then(|w| w.notifier.poll_output()) {
                busy = true;
                self.carry_out(now, Owner::Watcher(id), output);
            }
        }
        self.watchers.watchers.retain(|_, watcher| !watcher.notifier.is_over());
        busy
    }

    /// What is true of an account now, for those who may know.
    fn own_facts(&self, account: &Account) -> Facts {
        let calls = self.calls.values().filter(|call| call.account == account.id && !call.is_over());
        Facts {
            entity: account.aor().uri.to_string(),
            presence: self.own_presence(account),
            dialogs: calls.filter_map(own_dialog).collect(),
        }
    }
}

fn own_dialog(call: &Call) -> Option<OwnDialog> {
    let session = call.session.as_ref()?;
    let key = session.known_dialog().cloned().unwrap_or_else(|| {
        let SessionKey { call_id, local_tag } = session.key().clone();
        DialogKey { call_id, local_tag, remote_tag: String::new() }
    });
    let target = session.remote_target().map(ToString::to_string);
    Some(OwnDialog {
        id: call.number.to_string(),
        key,
        incoming: !call.outgoing,
        state: match (call.is_established(), call.outgoing) {
            (true, _) => "confirmed",
            (false, false) => "early",
            (false, true) => "proceeding",
        },
        remote: call.target.to_string(),
        remote_name: call.identity.name.clone(),
        remote_target: target.unwrap_or_default(),
    })
}

/// Whether somebody is listed. Who cannot be known, as he does not come by the account's own server, must at least name
/// himself right and the account must take calls from anywhere.
fn may_watch(account: &Account, request: &Request, flow: &Flow) -> bool {
    let by_server = account.trust.is_server(flow.remote.ip());
    let Ok(from) = request.headers.from() else { return false };
    let Some(user) = from.uri.plain_user() else { return false };
    let address = format!("{user}@{}", from.uri.host);
    let own = from.uri.host == account.settings.domain;
    (by_server || account.settings.direct_calls)
        && account.settings.availability.watchers.iter().any(|listed| match listed.as_str() {
            "*" => by_server,
            listed if listed.contains('@') => listed.trim_start_matches("sip:").eq_ignore_ascii_case(&address),
            listed => own && listed == user,
        })
}
