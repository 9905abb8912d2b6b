//! On the way out: who sent which request, and over which flow it goes once its next hop is located.
use crate::base::id::{AccountId, CallNumber};
use crate::base::net::Flow;
use crate::sip::invite::RequestId;
use crate::sip::key::ClientKey;
use crate::sip::locate::{Located, Question};
use crate::sip::message::{Method, Request};
use crate::sip::transport::size;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Instant;

/// Answers remembered, and requests waiting for one.
const ROUTES: usize = 256;
const WAITING: usize = 256;
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
}

/// A request that waits for its flow, or for another try on the next one.
#[derive(Clone, Debug)]
pub struct Errand {
    pub owner: Owner,
    /// `None` for an ACK, which nobody answers.
    pub id: Option<RequestId>,
    pub request: Request,
}

#[derive(Debug)]
pub struct Pending {
    pub errand: Errand,
    /// Flows to try when this one fails to carry the request.
    pub alternatives: Vec<Flow>,
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
    /// With when each is to be asked for again.
    routes: BTreeMap<Question, (Instant, Vec<Flow>)>,
}

impl Sending {
    /// The flows towards a host, if they are known and fresh.
    pub fn route(&self, now: Instant, question: &Question) -> Option<&[Flow]> {
        let (until, flows) = self.routes.get(question)?;
        (now < *until).then_some(flows.as_slice())
    }

    pub fn learn(&mut self, now: Instant, question: &Question, located: &Located) {
        if self.routes.len() >= ROUTES {
            self.routes.retain(|_, (until, _)| now < *until);
        }
        if self.routes.len() < ROUTES {
            self.routes.insert(question.clone(), (now + located.fresh, located.flows.clone()));
        }
    }

    /// What was learnt of ways is not true any more.
    pub fn forget_routes(&mut self) {
        self.routes.clear();
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

    /// The errand a response is about; a final one ends it. (A 2xx to INVITE that comes again is the dialog's.)
    pub fn heard(&mut self, key: &ClientKey, status: u16) -> Option<Errand> {
        if status < 200 { self.pending.get(key).map(|p| p.errand.clone()) } else { self.finish(key).map(|p| p.errand) }
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
        let transports = std::iter::once(choice.first).chain(choice.fallback);
        transports.map(|transport| Flow { transport, ..*flow }).collect::<Vec<_>>()
    };
    flows.iter().flat_map(tries).collect()
}
