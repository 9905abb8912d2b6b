//! What is known of the ways: where hosts were found, and which servers did not answer lately (RFC 3263 §4.3).
use crate::base::net::{Flow, Transport};
use crate::sip::locate::{Located, Question};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Answers remembered, and servers avoided.
const ROUTES: usize = 256;
/// How long a name that could not be found is not asked for again: for the many requests of one moment, not for the user who
/// mends it.
const NOT_FOUND: Duration = Duration::from_secs(3);
/// How long other servers are preferred to one that failed,
const AVOID: Duration = Duration::from_secs(60);
/// and at most to one that says itself how long (Retry-After): what a server fears need not come.
const AVOID_MOST: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
pub struct Routes {
    /// With when each is to be asked for again.
    known: BTreeMap<Question, (Instant, Result<Vec<Flow>, String>)>,
    /// Until when.
    avoided: BTreeMap<(Transport, SocketAddr), Instant>,
}

impl Routes {
    /// The flows towards a host, the best first, or why there are none; `None` when that is to be asked.
    pub fn find(&self, now: Instant, question: &Question) -> Option<Result<Vec<Flow>, String>> {
        let (until, answer) = self.known.get(question)?;
        (now < *until).then(|| answer.clone().map(|flows| self.in_order(now, flows)))
    }

    /// Remembers an answer. Returns it as [`Routes::find`] does from now on.
    pub fn learn(
        &mut self,
        now: Instant,
        question: &Question,
        answer: Result<Located, String>,
    ) -> Result<Vec<Flow>, String> {
        let (fresh, answer) = match answer {
            Ok(located) if located.flows.is_empty() => (NOT_FOUND, Err("no address".to_owned())),
            Ok(located) => (located.fresh, Ok(located.flows)),
            Err(cause) => (NOT_FOUND, Err(cause)),
        };
        if self.known.len() >= ROUTES {
            self.known.retain(|_, (until, _)| now < *until);
        }
        if self.known.len() < ROUTES {
            self.known.insert(question.clone(), (now + fresh, answer.clone()));
        }
        answer.map(|flows| self.in_order(now, flows))
    }

    /// The network is another one: nothing that was learnt holds.
    pub fn forget(&mut self) {
        self.known.clear();
        self.avoided.clear();
    }

    /// A server refused, broke off, kept silent or answered 503, with the Retry-After it gave.
    pub fn avoid(&mut self, now: Instant, flow: &Flow, retry_after: Option<Duration>) {
        self.avoided.retain(|_, until| now < *until);
        if self.avoided.len() < ROUTES {
            let wait = retry_after.map_or(AVOID, |wait| wait.min(AVOID_MOST));
            self.avoided.insert((flow.transport, flow.remote), now + wait);
        }
    }

    /// A server answered.
    pub fn trust(&mut self, flow: &Flow) {
        self.avoided.remove(&(flow.transport, flow.remote));
    }

    pub fn is_avoided(&self, now: Instant, flow: &Flow) -> bool {
        self.avoided.get(&(flow.transport, flow.remote)).is_some_and(|until| now < *until)
    }

    /// The same flows, those to be avoided last.
    fn in_order(&self, now: Instant, mut flows: Vec<Flow>) -> Vec<Flow> {
        flows.sort_by_key(|flow| self.is_avoided(now, flow));
        flows
    }

    /// The same flows, the one that is used already first, as long as it works: all of a dialog or an account stays with
    /// one server (RFC 3263 §4).
    pub fn staying(&self, now: Instant, mut flows: Vec<Flow>, used: Option<Flow>) -> Vec<Flow> {
        let Some(used) = used.filter(|used| !self.is_avoided(now, used)) else { return flows };
        let same = |flow: &Flow| (flow.transport, flow.remote, flow.peer) == (used.transport, used.remote, used.peer);
        flows.sort_by_key(|flow| !same(flow));
        flows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::locate::AccessId;
    use crate::sip::message::Host;

    const SECOND: Duration = Duration::from_secs(1);

    fn flow(n: u8) -> Flow {
        let address = |n| SocketAddr::from(([192, 0, 2, n], 5060));
        Flow::new(Transport::Udp, address(1), address(n))
    }

    fn question() -> Question {
        let host = Host::Name("example.com".to_owned());
        Question { host, port: None, transport: None, secure: false, access: AccessId::default() }
    }

    fn located() -> Located {
        Located { flows: vec![flow(2), flow(3)], fresh: 30 * SECOND }
    }

    #[test]
    fn answers_are_kept_as_long_as_they_say() {
        let (mut routes, now) = (Routes::default(), Instant::now());
        assert_eq!(routes.find(now, &question()), None);
        assert_eq!(routes.learn(now, &question(), Ok(located())), Ok(vec![flow(2), flow(3)]));
        assert_eq!(routes.find(now + 29 * SECOND, &question()), Some(Ok(vec![flow(2), flow(3)])));
        assert_eq!(routes.find(now + 30 * SECOND, &question()), None);
        let refused = || Err("nothing".to_owned());
        assert_eq!(routes.learn(now, &question(), Err("nothing".to_owned())), refused());
        assert_eq!(routes.find(now + 2 * SECOND, &question()), Some(refused()));
        assert_eq!(routes.find(now + NOT_FOUND, &question()), None);
        routes.forget();
        assert_eq!(routes.find(now, &question()), None);
    }

    #[test]
    fn what_failed_comes_last_for_a_while() {
        let (mut routes, now) = (Routes::default(), Instant::now());
        let _ = routes.learn(now, &question(), Ok(Located { fresh: 3600 * SECOND, ..located() }));
        // Retry-After [s], for how long it is avoided [s].
        for (retry_after, expected) in [(None, 60), (Some(5), 5), (Some(86_400), 600)] {
            routes.avoid(now, &flow(2), retry_after.map(Duration::from_secs));
            let until = now + expected * SECOND;
            let at = |at| routes.find(at, &question());
            assert_eq!(at(until - SECOND), Some(Ok(vec![flow(3), flow(2)])), "{retry_after:?}");
            assert_eq!(at(until), Some(Ok(vec![flow(2), flow(3)])), "{retry_after:?}");
        }
        routes.avoid(now, &flow(2), None);
        routes.trust(&flow(2));
        assert_eq!(routes.find(now, &question()), Some(Ok(vec![flow(2), flow(3)])));
    }

    #[test]
    fn one_stays_with_a_server_that_works() {
        let (mut routes, now) = (Routes::default(), Instant::now());
        let all = || vec![flow(2), flow(3)];
        assert_eq!(routes.staying(now, all(), None), all());
        assert_eq!(routes.staying(now, all(), Some(flow(9))), all());
        assert_eq!(routes.staying(now, all(), Some(flow(3))), [flow(3), flow(2)]);
        routes.avoid(now, &flow(3), None);
        assert_eq!(routes.staying(now, all(), Some(flow(3))), all());
    }
}
