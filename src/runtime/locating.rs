//! Turns hosts into flows: drives searches, asks the name servers for them, and finds the way to what was found.
use crate::base::net::Flow;
use crate::base::rng::Rng;
use crate::net::dns::Resolver;
use crate::net::{Router, Server};
use crate::sip::locate::{Ask, Found, Heard, LocateError, Located, Question, Search};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How long the address families may race.
const RACE: Duration = Duration::from_secs(2);

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
    /// Answers whose best addresses are being compared.
    racing: JoinSet<Answer>,
}

impl Locating {
    pub fn new(router: Router, rng: Rng) -> Self {
        let resolver = Resolver::new(router.name_server());
        Self {
            router,
            resolver,
            rng,
            searches: Vec::new(),
            next_search: 0,
            asking: JoinSet::new(),
            racing: JoinSet::new(),
        }
    }

    /// Asks; what needs no name server is answered at once, the rest by [`Locating::next`].
    pub fn ask(&mut self, question: Question) -> Option<Answer> {
        let mut search = Search::new(Instant::now(), question, self.rng.fork());
        self.pass_on(self.next_search, &mut search);
        if let Some(outcome) = search.poll_outcome() {
            let (question, answer) = self.answer(&search, outcome);
            return Some((question, answer.map(|(located, _)| located)));
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
                let Some(outcome) = search.poll_outcome() else { continue };
                match self.answer(&search, outcome) {
                    (question, Ok((located, alike))) if contend(&located.flows, alike) => {
                        self.race(question, located, alike);
                    }
                    (question, answer) => return (question, answer.map(|(located, _)| located)),
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
                Some(Ok(answer)) = self.racing.join_next() => return answer,
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

    /// The answer, and how many flows from the first on lead to one server.
    fn answer(
        &mut self,
        search: &Search,
        outcome: Result<Found, LocateError>,
    ) -> (Question, Result<(Located, usize), String>) {
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

    /// Finds out which address family gets through (RFC 8305): the connection that is made then is the one that is used.
    fn race(&mut self, question: Question, mut located: Located, alike: usize) {
        let router = self.router.clone();
        self.racing.spawn(async move {
            let first: Vec<Flow> = located.flows.drain(..alike.min(located.flows.len())).collect();
            // Where none is up in time the order stays: the messages will find out.
            let order = tokio::time::timeout(RACE, router.race(first.clone())).await.unwrap_or(first);
            located.flows.splice(0..0, order);
            (question, Ok(located))
        });
    }

    fn flows(&self, question: &Question, found: Found) -> Result<(Located, usize), String> {
        // Whoever answers there must be the domain that was asked for, whatever its records say (RFC 5922 §4).
        let server = Server { name: question.host.to_string(), access: question.access };
        let (mut flows, mut alike, mut refusal): (Vec<Flow>, _, _) = (Vec::new(), 0, None);
        for (at, target) in found.targets.into_iter().enumerate() {
            match self.router.flow(target.transport, target.address, &server) {
                Ok(flow) if flow.local.is_ipv4() == flow.remote.is_ipv4() => {
                    alike += usize::from(at < found.alike);
                    flows.push(flow);
                }
                Ok(flow) => refusal = Some(format!("no way from {} to {}", flow.local.ip(), flow.remote.ip())),
                Err(error) => refusal = Some(error.to_string()),
            }
        }
        match refusal {
            Some(refusal) if flows.is_empty() => Err(refusal),
            _ => Ok((Located { flows, fresh: found.fresh }, alike)),
        }
    }
}

/// Whether the first flows are connections of both address families to one server.
fn contend(flows: &[Flow], alike: usize) -> bool {
    let first = flows.get(..alike.min(flows.len())).unwrap_or_default();
    let four = first.iter().filter(|flow| flow.remote.is_ipv4()).count();
    first.first().is_some_and(|flow| flow.transport.is_reliable()) && four > 0 && four < first.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::net::Transport;

    #[test]
    fn only_connections_of_both_families_to_one_server_race() {
        let flow = |transport, remote: &str| {
            let remote = remote.parse().expect("an address");
            Flow::new(transport, remote, remote)
        };
        let (four, six) = ("192.0.2.1:5060", "[2001:db8::1]:5060");
        let rows: [(&[Flow], usize, bool); 6] = [
            (&[], 0, false),
            (&[flow(Transport::Udp, six), flow(Transport::Udp, four)], 2, false),
            (&[flow(Transport::Tcp, six), flow(Transport::Tcp, six)], 2, false),
            (&[flow(Transport::Tcp, six), flow(Transport::Tcp, four)], 1, false),
            (&[flow(Transport::Tcp, six), flow(Transport::Tcp, four)], 2, true),
            (&[flow(Transport::Tls, six), flow(Transport::Tls, four)], 9, true),
        ];
        for (flows, alike, expected) in rows {
            assert_eq!(contend(flows, alike), expected, "{flows:?} {alike}");
        }
    }
}
