//! On the way out: who sent which request, and over which flow it goes once its next hop is located.
use crate::base::id::{AccountId, CallNumber};
use crate::base::net::Flow;
use crate::sip::invite::RequestId;
use crate::sip::key::ClientKey;
use crate::sip::locate::Question;
use crate::sip::message::{Method, Request};
use crate::sip::transport::size;
use crate::ua::UserAgent;
use crate::ua::routes::Routes;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Requests waiting for an answer, and INVITEs left behind.
const WAITING: usize = 256;
const LEFT: usize = 64;
/// A server that says nothing for so long is given up for the next one.
const SILENCE: Duration = Duration::from_secs(3);
/// What the layer adds before it sends: our Via.
const VIA: usize = 120;

/// Whose request it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    Call(CallNumber),
    /// One of the flows an account registers over.
    Registration(AccountId, u8),
    /// The question whether the far end of a flow is alive.
    Probe(u32),
    Query(u32),
    Watch(u32),
    Publication(AccountId),
    Text(u32),
    /// Somebody who watches us.
    Watcher(u32),
}

/// A request that waits for its flow, or for another try on the next one.
#[derive(Clone, Debug)]
pub struct Errand {
    pub owner: Owner,
    /// `None` for an ACK, which nobody answers.
    pub id: Option<RequestId>,
    pub request: Request,
}

/// A request that was sent and has no final response.
#[derive(Clone, Debug)]
pub struct Pending {
    pub errand: Errand,
    pub flow: Flow,
    /// Flows to try when this one fails to carry the request.
    pub alternatives: Vec<Flow>,
    /// A response came.
    pub heard: bool,
    /// When another server is tried, if nothing comes from this one.
    pub patience: Option<Instant>,
}

impl Pending {
    pub fn new(now: Instant, errand: Errand, flow: Flow, alternatives: Vec<Flow>) -> Self {
        // In a dialog only the peer that has it can answer.
        let elsewhere = !errand.is_in_dialog() && alternatives.iter().any(|other| other.remote != flow.remote);
        Self { errand, flow, alternatives, heard: false, patience: elsewhere.then(|| now + SILENCE) }
    }

    /// A request that goes this way or not at all.
    pub fn alone(errand: Errand, flow: Flow) -> Self {
        Self { errand, flow, alternatives: Vec::new(), heard: false, patience: None }
    }
}

impl Errand {
    pub fn is_in_dialog(&self) -> bool {
        self.request.headers.to().is_ok_and(|to| to.tag().is_some())
    }
}

/// A request as it was sent, and whose challenge it met.
#[derive(Clone, Debug)]
pub struct Challenged {
    pub request: Request,
    pub by: IpAddr,
}

/// What is waited for, and what is known of the ways.
#[derive(Debug, Default)]
pub struct Sending {
    pending: BTreeMap<ClientKey, Pending>,
    /// Requests as they were sent, credentials included, whose challenge is being dealt with.
    challenged: BTreeMap<(Owner, RequestId), Challenged>,
    /// Questions that were asked and not answered yet.
    asked: BTreeSet<Question>,
    waiting: BTreeMap<Question, Vec<Errand>>,
    pub routes: Routes,
    /// INVITEs to servers that kept silent, while others are tried: their answers may come yet.
    left: BTreeMap<ClientKey, Pending>,
}

impl Sending {
    /// What was learnt of ways is not true any more.
    pub fn forget_routes(&mut self) {
        self.routes.forget();
    }

    /// Keeps an errand until its question is answered; `false` when too many wait already.
    pub fn wait(&mut self, question: Question, errand: Errand) -> bool {
        if self.waiting.values().map(Vec::len).sum::<usize>() >= WAITING {
            return false;
        }
        self.waiting.entry(question).or_default().push(errand);
        true
    }

    /// Whether a question is to be asked now; `false` while it is asked already.
    pub fn asks(&mut self, question: &Question) -> bool {
        self.asked.insert(question.clone())
    }

    pub fn answered(&mut self, question: &Question) -> Vec<Errand> {
        self.asked.remove(question);
        self.waiting.remove(question).unwrap_or_default()
    }

    pub fn sent(&mut self, key: ClientKey, pending: Pending) {
        self.pending.insert(key, pending);
    }

    pub fn pending(&self, key: &ClientKey) -> Option<&Pending> {
        self.pending.get(key)
    }

    /// The errand a response is about; a final one ends it. (A 2xx to INVITE that comes again is the dialog's.)
    pub fn heard(&mut self, key: &ClientKey, status: u16) -> Option<Errand> {
        if status >= 200 {
            return self.finish(key).map(|p| p.errand);
        }
        let pending = self.pending.get_mut(key)?;
        (pending.heard, pending.patience) = (true, None);
        Some(pending.errand.clone())
    }

    /// What was waited for long enough; it is not waited for any longer.
    pub fn take_silent(&mut self, now: Instant) -> Vec<(ClientKey, Pending)> {
        let silent = |pending: &Pending| pending.patience.is_some_and(|at| at <= now);
        let keys: Vec<ClientKey> = self.pending.iter().filter(|(_, p)| silent(p)).map(|(key, _)| key.clone()).collect();
        let taken = keys.into_iter().filter_map(|key| self.pending.remove(&key).map(|pending| (key, pending)));
        taken.map(|(key, pending)| (key, Pending { patience: None, ..pending })).collect()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.pending.values().filter_map(|pending| pending.patience).min()
    }

    /// Keeps an INVITE that was given up; `is_open` tells whose late answers still matter.
    pub fn leave(&mut self, key: ClientKey, pending: Pending, is_open: impl Fn(Owner) -> bool) {
        self.left.retain(|_, left| is_open(left.errand.owner));
        if self.left.len() >= LEFT {
            self.left.pop_first();
        }
        self.left.insert(key, pending);
    }

    pub fn left(&self, key: &ClientKey) -> Option<&Pending> {
        self.left.get(key)
    }

    /// Nothing is to be hoped for from this server any more; a very late answer of it would still be one too many.
    pub fn left_is_over(&mut self, key: &ClientKey) {
        if let Some(left) = self.left.get_mut(key) {
            left.heard = true;
        }
    }

    pub fn take_left(&mut self, key: &ClientKey) -> Option<Pending> {
        self.left.remove(key)
    }

    /// The same request at a server that has said nothing yet.
    pub fn silent_twin(&self, errand: &Errand) -> Option<ClientKey> {
        let twin = |left: &Pending| left.errand.owner == errand.owner && left.errand.id == errand.id && !left.heard;
        self.left.iter().find(|(_, left)| twin(left)).map(|(key, _)| key.clone())
    }

    pub fn finish(&mut self, key: &ClientKey) -> Option<Pending> {
        self.pending.remove(key)
    }

    pub fn challenged(&mut self, owner: Owner, id: RequestId, challenged: Challenged) {
        // An entry lives until the next event of its owner; nothing can pile up but for owners that are gone.
        if self.challenged.len() >= WAITING {
            self.challenged.clear();
        }
        self.challenged.insert((owner, id), challenged);
    }

    pub fn take_challenged(&mut self, owner: Owner, id: RequestId) -> Option<Challenged> {
        self.challenged.remove(&(owner, id))
    }

    /// The transaction a request of an owner runs in.
    pub fn key_of(&self, owner: Owner, id: RequestId) -> Option<ClientKey> {
        let found = self.pending.iter().find(|(_, p)| p.errand.owner == owner && p.errand.id == Some(id));
        found.map(|(key, _)| key.clone())
    }

    /// A request its owner gave up before it was sent; it is dropped.
    pub fn forget_waiting(&mut self, owner: Owner, id: RequestId) -> Option<Errand> {
        for errands in self.waiting.values_mut() {
            if let Some(at) = errands.iter().position(|e| e.owner == owner && e.id == Some(id)) {
                return Some(errands.remove(at));
            }
        }
        None
    }
}

/// The flows to try in order, each over TCP first when the request is too large for a datagram.
pub fn by_size(request: &Request, flows: &[Flow]) -> Vec<Flow> {
    // An ACK goes the way its INVITE went.
    let length = if request.method == Method::Ack { 0 } else { request.to_bytes().len() + VIA };
    let tries = |flow: &Flow| {
        let choice = size::choose(flow.transport, length);
        // A text must not be cut into fragments on the way (RFC 3428 §8).
        let fallback = choice.fallback.filter(|_| request.method != Method::Message);
        let transports = std::iter::once(choice.first).chain(fallback);
        transports.map(|transport| Flow { transport, ..*flow }).collect::<Vec<_>>()
    };
    flows.iter().flat_map(tries).collect()
}

impl UserAgent {
    /// Whether somebody still wants this sent. An INVITE of a call that was given up must not ring anywhere.
    pub(super) fn is_wanted(&self, errand: &Errand) -> bool {
        match errand.owner {
            Owner::Call(number) => {
                let call = self.calls.get(&number);
                call.is_some_and(|call| !call.is_over() || errand.request.method != Method::Invite)
            }
            Owner::Registration(id, _) => self.account(id).is_some(),
            Owner::Probe(_) => false,
            Owner::Query(id) => self.queries.contains_key(&id),
            Owner::Watch(id) => self.watching.account_of(id).is_some(),
            Owner::Publication(id) => self.account(id).is_some(),
            Owner::Text(id) => self.texting.account_of(id).is_some(),
            Owner::Watcher(id) => self.watchers.of(id).is_some(),
        }
    }
}
