//! Turns hosts into flows: drives searches, asks the name servers for them, and finds the way to what was found.
use crate::base::net::Flow;
use crate::base::rng::Rng;
use crate::net::dns::Resolver;
use crate::net::{Router, Server};
use crate::sip::locate::{Ask, Found, Heard, LocateError, Located, Question, Search};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// A question and its answer, or why there is none.
pub type Answer = (Question, Result<Located, String>);

/// The questions that are open.
pub struct Locating {
    router: Router,
    resolver: Resolver,
    rng: Rng,
    searches: Vec<(u64, Search)>,
    next_search: u64,
    asking: JoinSet<(u64, (Ask, Heard))>,
}

impl Locating {
    pub fn new(router: Router, rng: Rng) -> Self {
        let resolver = Resolver::new(router.name_server());
        Self { router, resolver, rng, searches: Vec::new(), next_search: 0, asking: JoinSet::new() }
    }

    /// Asks; what needs no name server is answered at once, the rest by [`Locating::next`].
    pub fn ask(&mut self, question: Question) -> Option<Answer> {
        let mut search = Search::new(Instant::now(), question, self.rng.fork());
        self.pass_on(self.next_search, &mut search);
        if let Some(outcome) = search.poll_outcome() {
            return Some(self.answer(&search, outcome));
        }
        self.searches.push((self.next_search, search));
        self.next_search += 1;
        None
    }

    /// The next answer; never, while nothing is asked.
    pub async fn next(&mut self) -> Answer {
        loop {
            if let Some(at) = self.searches.iter_mut().position(|(_, search)| search.is_over()) {
                let (_, mut search) = self.searches.swap_remove(at);
                if let Some(outcome) = search.poll_outcome() {
                    return self.answer(&search, outcome);
                }
            }
            let now = Instant::now();
            let due = self.searches.iter().filter_map(|(_, search)| search.poll_timeout()).min();
            let sleep = tokio::time::sleep_until(due.unwrap_or(now + Duration::from_secs(3600)).into());
            tokio::select! {
                Some(heard) = self.asking.join_next() => {
                    // A question whose task broke is one that was not answered.
                    let Ok((id, (ask, heard))) = heard else { continue };
                    self.step(id, |search, now| search.handle_heard(now, &ask, heard));
                }
                () = sleep => {
                    let ids: Vec<u64> = self.searches.iter().map(|(id, _)| *id).collect();
                    for id in ids {
                        self.step(id, |search, now| {
                            if search.poll_timeout().is_some_and(|at| at <= now) {
                                search.handle_timeout(now);
                            }
                        });
                    }
                }
            }
        }
    }

    /// Gives a search an input, and asks what it wants to know then.
    fn step(&mut self, id: u64, input: impl FnOnce(&mut Search, Instant)) {
        // Of a search that is over, late answers come too.
        let Some(at) = self.searches.iter().position(|(known, _)| *known == id) else { return };
        let (_, mut search) = self.searches.swap_remove(at);
        input(&mut search, Instant::now());
        self.pass_on(id, &mut search);
        self.searches.push((id, search));
    }

    fn pass_on(&mut self, id: u64, search: &mut Search) {
        while let Some(ask) = search.poll_ask() {
            let answer = self.resolver.ask(ask);
            self.asking.spawn(async move { (id, answer.await) });
        }
    }

    fn answer(&mut self, search: &Search, outcome: Result<Found, LocateError>) -> Answer {
        let question = search.question().clone();
        let answer = match outcome {
            Ok(found) => self.flows(&question, found),
            Err(error @ (LocateError::Silence(_) | LocateError::ServerFailed(_))) => {
                Err(format!("{error} (asked: {})", self.resolver.servers()))
            }
            Err(error) => Err(error.to_string()),
        };
        (question, answer)
    }

    fn flows(&self, question: &Question, found: Found) -> Result<Located, String> {
        // Whoever answers there must be the domain that was asked for, whatever its records say (RFC 5922 §4).
        let server = Server { name: question.host.to_string(), access: question.access };
        let (mut flows, mut refusal): (Vec<Flow>, _) = (Vec::new(), None);
        for target in found.targets {
            match self.router.flow(target.transport, target.address, &server) {
                Ok(flow) if flow.local.is_ipv4() == flow.remote.is_ipv4() => flows.push(flow),
                Ok(flow) => refusal = Some(format!("no way from {} to {}", flow.local.ip(), flow.remote.ip())),
                Err(error) => refusal = Some(error.to_string()),
            }
        }
        match refusal {
            Some(refusal) if flows.is_empty() => Err(refusal),
            _ => Ok(Located { flows, fresh: found.fresh }),
        }
    }
}
