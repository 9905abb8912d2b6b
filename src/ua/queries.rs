//! Questions to peers: OPTIONS outside of any call, to learn whether somebody is there and what it can do (RFC 3261 §11).
use super::account::{Account, shown};
use super::sending::{Challenged, Errand, Owner};
use super::{UserAgent, index, secure};
use crate::base::id::AccountId;
use crate::base::net::Flow;
use crate::base::untrusted::Untrusted;
use crate::media::spec::Direction;
use crate::sip::body::Body;
use crate::sip::invite;
use crate::sip::locate::{self, Question};
use crate::sip::message::{Request, Response, Uri};
use crate::sip::options;
use crate::ua::event::Event;
use crate::ua::plan::Plan;
use crate::ua::snapshot::CapabilitiesView;
use std::net::SocketAddr;
use std::time::Instant;

/// Questions to peers that may be open at once.
const QUERIES: usize = 16;
/// The port of a description that is no offer.
const DISCARD: u16 = 9;
/// How often one is sent again for a challenge.
const MAX_TRIES: u8 = 4;

/// An OPTIONS request and whom it asks.
#[derive(Debug)]
pub struct Query {
    pub target: Uri,
    pub account: AccountId,
    /// Where it was sent.
    pub flow: Option<Flow>,
    /// Challenges that were answered.
    pub tries: u8,
}

impl UserAgent {
    pub(super) fn query(&mut self, now: Instant, wanted: Option<AccountId>, typed: &str) {
        let Some(account) = self.choose_account(wanted) else {
            return self.out.refuse("there is no account to ask from");
        };
        if self.queries.len() >= QUERIES {
            return self.out.refuse("too many questions are open");
        }
        let target = match account.dial(&self.look_up(typed)) {
            Ok((target, _)) => target,
            Err(error) => return self.out.refuse(error.to_string()),
        };
        match account.question(&target) {
            Ok(question) => {
                let (id, account) = (self.next_query, account.id);
                self.next_query += 1;
                self.queries.insert(id, Query { target, account, flow: None, tries: 0 });
                self.ask(now, question);
            }
            Err(error) => self.out.refuse(error.to_string()),
        }
    }

    pub(super) fn located_queries(&mut self, now: Instant, question: &Question, answer: &Result<Vec<Flow>, String>) {
        let mut begun = Vec::new();
        for (id, query) in &self.queries {
            let Some(account) = self.accounts.get(index(query.account)) else { continue };
            let mine = account.question(&query.target).as_ref() == Ok(question);
            if mine && self.sending.key_of(Owner::Query(*id), invite::RequestId(0)).is_none() {
                begun.push((*id, query.target.clone(), query.account));
            }
        }
        for (id, target, account) in begun {
            let flows = match answer {
                Ok(flows) => {
                    let used = self.accounts.get(index(account)).and_then(Account::flow);
                    self.sending.routes.staying(now, flows.clone(), used)
                }
                Err(cause) => {
                    self.queries.remove(&id);
                    self.out.refuse(shown(cause, 120));
                    continue;
                }
            };
            let (Some(account), Some(flow)) = (self.accounts.get(index(account)), flows.first()) else { continue };
            let from = account.aor();
            let (contact, route) =
                (secure::contact(account.contact(flow), &target), secure::route(account.route(), &target));
            let request = options::query(target, from, contact, &route, &self.settings.user_agent, &mut self.rng);
            let errand = Errand { owner: Owner::Query(id), id: Some(invite::RequestId(0)), request };
            self.send(now, errand, flows);
        }
    }

    /// The answer to a question of the user.
    pub(super) fn query_answered(&mut self, now: Instant, id: u32, met: &Challenged, response: &Response) {
        if matches!(response.status, 401 | 407)
            && let Some(query) = self.queries.get_mut(&id).filter(|query| query.tries < MAX_TRIES)
            && let Some(account) = self.accounts.get_mut(index(query.account))
            && let Ok(headers) = account.trust.authorize(met, response)
        {
            query.tries += 1;
            let mut request = met.request.clone();
            ["Authorization", "Proxy-Authorization"].iter().for_each(|name| request.headers.remove(name));
            for (name, value) in headers {
                request.headers.push(&name, value);
            }
            if let Ok(cseq) = request.headers.cseq() {
                request.headers.set("CSeq", format!("{} {}", cseq.number.wrapping_add(1), cseq.method));
            }
            let next_hop = locate::next_hop(&request);
            return self.dispatch(
                now,
                Errand { owner: Owner::Query(id), id: Some(invite::RequestId(0)), request },
                &next_hop,
            );
        }
        let Some(query) = self.queries.remove(&id) else { return };
        let capabilities = options::Capabilities::of(response);
        let list = |texts: &[Untrusted]| texts.iter().map(|text| text.sanitize(40)).collect::<Vec<_>>();
        let view = CapabilitiesView {
            status: capabilities.status,
            methods: capabilities.allow.iter().map(|m| shown(m.as_str(), 20)).collect(),
            extensions: list(&capabilities.supported),
            bodies: list(&capabilities.accept),
            events: list(&capabilities.events),
            software: capabilities.software.as_ref().map(|s| s.sanitize(60)).unwrap_or_default(),
        };
        let reason = capabilities.reason.sanitize(60);
        let answer = format!("{} {reason}{}", capabilities.status, in_words(&view));
        let target = shown(&query.target.to_string(), 80);
        self.out.log(format!("{target}: {answer}"));
        self.out.event(Event::Capabilities { target, answer, told: Some(Box::new(view)) });
    }

    /// What we could agree to in a call, for who asks (RFC 3261 §11.2, RFC 3264 §9): ports of zero, and no keys.
    pub(super) fn capabilities(&mut self, request: &Request, status: u16, of: (&Flow, AccountId)) -> Option<Body> {
        // Who wrote a datagram is not known: nobody is to get more by it than he sends.
        if status != 200 || !of.0.transport.is_reliable() || !options::wants_description(request) {
            return None;
        }
        let (flow, account) = of;
        let nowhere = SocketAddr::new(flow.local.ip(), DISCARD);
        let mut plan = Plan::new(self.wishes(account), &mut self.rng);
        plan.set_ports(nowhere, nowhere);
        let offer = plan.offer(Direction::SendRecv).ok()?;
        let text = String::from_utf8_lossy(&offer.bytes).replace(&format!("m=audio {DISCARD} "), "m=audio 0 ");
        let told =
            |line: &&str| !["a=crypto:", "a=rtcp:", "a=fingerprint:"].iter().any(|secret| line.starts_with(secret));
        let lines = text.lines().filter(told).map(|line| format!("{line}\r\n"));
        Some(Body::sdp(lines.collect::<String>()))
    }
}

/// What is of use to who wants to call.
fn in_words(view: &CapabilitiesView) -> String {
    const METHODS: [(&str, &str); 4] = [
        ("INVITE", "takes calls"),
        ("REFER", "can be transferred"),
        ("MESSAGE", "takes texts"),
        ("UPDATE", "tells when the other party changes"),
    ];
    const EXTENSIONS: [(&str, &str); 4] = [
        ("replaces", "calls can be picked up"),
        ("100rel", "ringing is told for sure"),
        ("timer", "dead calls are noticed"),
        ("ice", "finds ways through NATs"),
    ];
    let known = |table: &[(&str, &'static str)], list: &[String]| {
        let has = |name: &str| list.iter().any(|own| own.eq_ignore_ascii_case(name));
        table.iter().filter(|(name, _)| has(name)).map(|(_, words)| *words).collect::<Vec<_>>()
    };
    let mut words: Vec<String> = known(&METHODS, &view.methods).into_iter().map(str::to_owned).collect();
    words.extend(known(&EXTENSIONS, &view.extensions).into_iter().map(str::to_owned));
    if !view.events.is_empty() {
        words.push(format!("can be watched ({})", view.events.join(", ")));
    }
    let mut out = if words.is_empty() { String::new() } else { format!(": {}", words.join(", ")) };
    for (name, list) in [("allows", &view.methods), ("supports", &view.extensions)] {
        let list = if list.is_empty() { "–".to_owned() } else { list.join(", ") };
        out.push_str(&format!("; {name} {list}"));
    }
    if !view.software.is_empty() {
        out.push_str(&format!("; {}", view.software));
    }
    out
}
