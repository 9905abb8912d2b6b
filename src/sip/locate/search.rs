//! One search: from a host to the servers to be tried, in order (RFC 3263 §4.1, §4.2).
//!
//! ```text
//!   numeric host ------------------------------------------------------------------> target
//!   port given -------------------------------------------------> A, AAAA of host -> targets
//!   transport given ------------> SRV of it ---- none ----------> A, AAAA of host
//!                                     |
//!   neither --> NAPTR -- usable ----> SRV of each ---------------> A, AAAA of each -> targets
//!                 |                   |
//!                 +- none -> SRV of all we speak ---- none -----> A, AAAA of host
//! ```
//! What can be asked without another answer is asked at once. The search asks through [`Search::poll_ask`], hears through
//! [`Search::handle_heard`], and ends with [`Search::poll_outcome`].
use super::order::{Service, by_weight, interleaved, service, services, usual_services};
use super::record::{Ask, Heard, Kind, Record, Srv};
use super::{LocateError, Purpose, Question};
use crate::base::net::Transport;
use crate::base::rng::Rng;
use crate::sip::message::Host;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// The whole search: whoever waits for a call to go out waits no longer.
const DEADLINE: Duration = Duration::from_secs(5);
/// There are name servers that answer nothing to questions they do not know: then it goes on as if there were no records.
const NAPTR_PATIENCE: Duration = Duration::from_secs(1);
const SRV_PATIENCE: Duration = Duration::from_secs(3);
/// What is not known so long after the best target is, is done without (RFC 8305 §3 waits 50 ms for the other family).
const GRACE: Duration = Duration::from_millis(100);
/// Answers are used no shorter than this, so that one call's messages do not each ask again where servers say "do not keep",
const LEAST_FRESH: Duration = Duration::from_secs(5);
/// and no longer than this, so that a server that moved is found within the hour whatever its records promised.
const MOST_FRESH: Duration = Duration::from_secs(3600);
/// A numeric host stays what it is; the way there may change.
const NUMERIC_FRESH: Duration = Duration::from_secs(60);
/// Of each answer, and of the result: more servers than anybody tries.
const RECORDS: usize = 64;
const TARGETS: usize = 32;
/// Services and hosts that are looked up in one search, and all that is asked in it.
const SERVICES: usize = 8;
const HOSTS: usize = 16;
const ASKS: usize = 64;

/// Where to knock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    pub transport: Transport,
    pub address: SocketAddr,
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The best first, never empty.
    pub targets: Vec<Target>,
    /// So many of them, from the first on, are addresses of one server: whichever is reached first will do.
    pub alike: usize,
    /// How long the answer may be used.
    pub fresh: Duration,
}

/// A host, a port and a transport whose addresses are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Candidate {
    host: String,
    port: u16,
    transport: Transport,
}

/// What is known by now, in the order in which it is to be tried.
#[derive(Default)]
struct Known {
    targets: Vec<Target>,
    alike: usize,
    /// Something is awaited that would stand before the first target.
    waits_before: bool,
    /// Something is awaited.
    waits: bool,
    fresh: Option<Duration>,
}

impl Known {
    fn waits(&mut self) {
        self.waits = true;
        self.waits_before |= self.targets.is_empty();
    }

    fn keep_for(&mut self, ttl: Duration) {
        self.fresh = Some(self.fresh.map_or(ttl, |fresh| fresh.min(ttl)));
    }
}

/// The machine.
#[derive(Debug)]
pub struct Search {
    question: Question,
    purpose: Purpose,
    rng: Rng,
    started: Instant,
    /// The time of the latest input.
    now: Instant,
    /// The best target is known; what else is wanted may come until then.
    grace: Option<Instant>,
    /// What was asked, and what was heard.
    heard: BTreeMap<Ask, Option<Heard>>,
    asks: VecDeque<Ask>,
    /// SRV records in the order that was drawn once.
    drawn: BTreeMap<String, Vec<Srv>>,
    outcome: Option<Result<Found, LocateError>>,
    done: bool,
}

impl Search {
    /// For a server of SIP.
    pub fn new(now: Instant, question: Question, rng: Rng) -> Self {
        Self::of(now, question, Purpose::Sip, rng)
    }

    /// For a server that serves this.
    pub fn of(now: Instant, question: Question, purpose: Purpose, rng: Rng) -> Self {
        let mut search = Self {
            question,
            purpose,
            rng,
            started: now,
            now,
            grace: None,
            heard: BTreeMap::new(),
            asks: VecDeque::new(),
            drawn: BTreeMap::new(),
            outcome: None,
            done: false,
        };
        search.advance(now);
        search
    }

    pub fn poll_ask(&mut self) -> Option<Ask> {
        self.asks.pop_front()
    }

    pub fn handle_heard(&mut self, now: Instant, ask: &Ask, mut heard: Heard) {
        if let Heard::Records(records, _) = &mut heard {
            records.truncate(RECORDS);
        }
        if let Some(awaited @ None) = self.heard.get_mut(ask) {
            *awaited = Some(heard);
            self.advance(now);
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let limits = [NAPTR_PATIENCE, SRV_PATIENCE, DEADLINE].map(|limit| self.started + limit);
        limits.into_iter().chain(self.grace).filter(|at| *at > self.now && !self.done).min()
    }

    pub fn is_over(&self) -> bool {
        self.done
    }

    /// The result, once.
    pub fn poll_outcome(&mut self) -> Option<Result<Found, LocateError>> {
        self.outcome.take()
    }

    pub fn question(&self) -> &Question {
        &self.question
    }

    /// Goes as far as what was heard allows.
    fn advance(&mut self, now: Instant) {
        if self.done {
            return;
        }
        self.now = now;
        let known = match self.collect() {
            Ok(known) => known,
            Err(error) => return self.end(Err(error)),
        };
        if !known.targets.is_empty() && !known.waits_before {
            self.grace = self.grace.or(Some(now + GRACE));
        }
        let over = !known.waits || self.grace.is_some_and(|at| now >= at);
        if !over {
            return;
        }
        if known.targets.is_empty() {
            let error = self.failure();
            return self.end(Err(error));
        }
        let mut targets: Vec<Target> = Vec::new();
        for target in known.targets {
            if !targets.contains(&target) && targets.len() < TARGETS {
                targets.push(target);
            }
        }
        // What could not be waited for is asked again soon.
        let fresh = known.fresh.filter(|_| !known.waits).unwrap_or(LEAST_FRESH).clamp(LEAST_FRESH, MOST_FRESH);
        let alike = known.alike.min(targets.len());
        self.end(Ok(Found { targets, alike, fresh }));
    }

    fn end(&mut self, outcome: Result<Found, LocateError>) {
        self.done = true;
        self.asks.clear();
        self.outcome = Some(outcome);
    }

    /// Walks the figure, and asks what is missing.
    fn collect(&mut self) -> Result<Known, LocateError> {
        let (host, port, transport) = (self.question.host.clone(), self.question.port, self.question.transport);
        let usual = self.question.transport_or_default();
        if let (true, Some(named)) = (self.question.secure, transport.filter(|t| !t.is_secure())) {
            return Err(LocateError::Downgrade(named.name()));
        }
        let usual_port = self.purpose.default_port(usual);
        let mut known = Known::default();
        let name = match host {
            Host::Ip(ip) => {
                let address = SocketAddr::new(ip, port.unwrap_or(usual_port));
                known.targets.push(Target { transport: usual, address });
                known.alike = 1;
                known.fresh = Some(NUMERIC_FRESH);
                return Ok(known);
            }
            Host::Name(name) => Ask::new(Kind::A, &name).name,
        };
        let own =
            |port: Option<u16>| Candidate { host: name.clone(), port: port.unwrap_or(usual_port), transport: usual };
        // Needed if there is nothing better; asked now, it costs no time then.
        self.ask(Kind::A, &name);
        self.ask(Kind::Aaaa, &name);
        if port.is_some() {
            self.resolve(&own(port), &mut known);
            return Ok(known);
        }
        let services = self.services(&name, &mut known);
        let (mut denied, mut hosts) = (false, 0);
        for service in services.iter().take(SERVICES) {
            let Some(records) = self.servers(service, &mut known) else { continue };
            for record in records {
                // RFC 2782: the service is decidedly not there.
                if record.target.trim_end_matches('.').is_empty() {
                    denied |= service.transport == usual;
                } else if hosts < HOSTS {
                    hosts += 1;
                    let host = Ask::new(Kind::A, &record.target).name;
                    let transport = service.transport;
                    self.resolve(&Candidate { host, port: record.port, transport }, &mut known);
                }
            }
        }
        if hosts > 0 || known.waits {
            return Ok(known);
        }
        if denied {
            return Err(LocateError::NotOffered { host: name, transport: usual.name() });
        }
        self.resolve(&own(None), &mut known);
        Ok(known)
    }

    /// The services to look for, the preferred first.
    fn services(&mut self, host: &str, known: &mut Known) -> Vec<Service> {
        let secure = self.question.secure;
        if let Some(transport) = self.question.transport {
            return vec![service(self.purpose, transport, host)];
        }
        let usual = usual_services(self.purpose, host, secure);
        let records = match self.ask(Kind::Naptr, host) {
            None => {
                known.waits();
                // Asked already, for when there are no NAPTR records; most of those there are name these.
                usual.iter().for_each(|service| {
                    self.ask(Kind::Srv, &service.name);
                });
                return Vec::new();
            }
            Some(Heard::Records(records, ttl)) => {
                known.keep_for(ttl);
                records
            }
            Some(Heard::Nothing | Heard::NoSuchName | Heard::Failed | Heard::Silence) => Vec::new(),
        };
        let naptr = records.into_iter().filter_map(|record| if let Record::Naptr(n) = record { Some(n) } else { None });
        let named = services(self.purpose, &naptr.collect::<Vec<_>>(), secure);
        if named.is_empty() { usual } else { named }
    }

    /// The servers of a service, in order; `None` where there are none or they are not known yet.
    fn servers(&mut self, service: &Service, known: &mut Known) -> Option<Vec<Srv>> {
        match self.ask(Kind::Srv, &service.name) {
            None => {
                known.waits();
                None
            }
            Some(Heard::Records(records, ttl)) => {
                known.keep_for(ttl);
                let rng = &mut self.rng;
                let drawn = self.drawn.entry(service.name.clone()).or_insert_with(|| {
                    let servers =
                        records.into_iter().filter_map(|r| if let Record::Srv(s) = r { Some(s) } else { None });
                    by_weight(servers.collect(), rng)
                });
                Some(drawn.clone())
            }
            Some(Heard::Nothing | Heard::NoSuchName | Heard::Failed | Heard::Silence) => None,
        }
    }

    /// Adds the addresses of a candidate.
    fn resolve(&mut self, candidate: &Candidate, known: &mut Known) {
        let mut families = [Vec::new(), Vec::new()];
        let mut waits = false;
        for (kind, addresses) in [Kind::A, Kind::Aaaa].into_iter().zip(&mut families) {
            match self.ask(kind, &candidate.host) {
                None => waits = true,
                Some(Heard::Records(records, ttl)) => {
                    let found =
                        records.into_iter().filter_map(|r| if let Record::Address(ip) = r { Some(ip) } else { None });
                    addresses.extend(found.filter(|ip: &IpAddr| ip.is_ipv4() == (kind == Kind::A)));
                    known.keep_for(ttl);
                }
                Some(Heard::Nothing | Heard::NoSuchName | Heard::Failed | Heard::Silence) => {}
            }
        }
        let [four, six] = families;
        let target = |ip| Target { transport: candidate.transport, address: SocketAddr::new(ip, candidate.port) };
        // The other family does not keep this one waiting beyond the time of grace.
        let first = known.targets.is_empty();
        known.targets.extend(interleaved(&four, &six).into_iter().map(target));
        if first {
            known.alike = known.targets.len();
        }
        if waits {
            known.waits();
        }
    }

    /// What was heard; asks when it was not asked yet.
    fn ask(&mut self, kind: Kind, name: &str) -> Option<Heard> {
        let patience = match kind {
            Kind::Naptr => NAPTR_PATIENCE,
            Kind::Srv => SRV_PATIENCE,
            Kind::A | Kind::Aaaa => DEADLINE,
        };
        let ask = Ask::new(kind, name);
        match self.heard.get(&ask) {
            Some(None) if self.now >= self.started + patience => Some(Heard::Silence),
            Some(heard) => heard.clone(),
            None if self.heard.len() >= ASKS => Some(Heard::Nothing),
            None => {
                self.heard.insert(ask.clone(), None);
                self.asks.push_back(ask);
                None
            }
        }
    }

    /// Why there is no target.
    fn failure(&self) -> LocateError {
        let host = self.question.host.to_string();
        let own = Ask::new(Kind::A, &host).name;
        let of = |wanted: &Heard| self.heard.iter().any(|(_, heard)| heard.as_ref() == Some(wanted));
        let own_is = |wanted: &Heard| {
            [Kind::A, Kind::Aaaa]
                .iter()
                .any(|kind| self.heard.get(&Ask::new(*kind, &own)) == Some(&Some(wanted.clone())))
        };
        let awaited = self.heard.values().any(Option::is_none);
        // Whoever asked for a service of the domain and found it needs no address of the domain itself.
        if self.drawn.values().all(Vec::is_empty) && own_is(&Heard::NoSuchName) {
            LocateError::NoSuchName(host)
        } else if awaited || of(&Heard::Silence) {
            LocateError::Silence(host)
        } else if of(&Heard::Failed) {
            LocateError::ServerFailed(host)
        } else {
            LocateError::NoAddress(host)
        }
    }
}
