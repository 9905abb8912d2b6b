//! Many nodes on a network that loses, doubles, delays and reorders datagrams, in virtual time and from one seed.
use offhook::base::net::{Flow, Received, Transmit, Transport};
use offhook::base::netem::{Impairment, Link};
use offhook::base::rng::Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// One end of the network.
pub trait Node {
    fn receive(&mut self, now: Instant, received: Received);
    fn timeout(&mut self, now: Instant);
    fn poll_transmit(&mut self, now: Instant) -> Option<Transmit>;
    fn poll_timeout(&self) -> Option<Instant>;
    /// Looks after each step whether all is as it must be.
    fn check(&mut self, now: Instant);
}

pub struct Net<N> {
    pub now: Instant,
    pub nodes: Vec<N>,
    /// Towards each node.
    links: Vec<Link<Transmit>>,
    doubled: f64,
    rng: Rng,
    due: BTreeSet<(Instant, usize)>,
    due_of: Vec<Option<Instant>>,
    pub sent: u64,
}

/// Where node `index` lives.
pub fn address(index: usize) -> SocketAddr {
    let [_, _, high, low] = u32::try_from(index).unwrap_or(u32::MAX).to_be_bytes();
    // The proxy serves whoever is on this machine.
    SocketAddr::from((Ipv4Addr::new(127, 9, high, low), 5060))
}

pub fn index(address: SocketAddr) -> usize {
    match address.ip() {
        std::net::IpAddr::V4(ip) => usize::from(u16::from_be_bytes([ip.octets()[2], ip.octets()[3]])),
        std::net::IpAddr::V6(_) => usize::MAX,
    }
}

pub fn flow(from: usize, to: usize) -> Flow {
    Flow::new(Transport::Udp, address(from), address(to))
}

impl<N: Node> Net<N> {
    pub fn new(now: Instant, nodes: Vec<N>, seed: u64) -> Self {
        let links = (0..nodes.len()).map(|_| Link::new(Impairment::default())).collect();
        let due_of = vec![None; nodes.len()];
        let mut net =
            Self { now, nodes, links, doubled: 0.0, rng: Rng::from_u64(seed), due: BTreeSet::new(), due_of, sent: 0 };
        net.set_quality(0.0, 0.0, Duration::from_millis(20));
        (0..net.nodes.len()).for_each(|index| net.settle(index));
        net
    }

    /// Shares of lost and doubled datagrams; each is delayed by up to `jitter`, so that they overtake each other.
    pub fn set_quality(&mut self, loss: f64, doubled: f64, jitter: Duration) {
        self.doubled = doubled;
        for link in &mut self.links {
            let seed = self.rng.u64();
            let delay = Duration::from_millis(5);
            link.set_impairment(Impairment { loss, burst: 1.5, delay, jitter, reorder: true, seed });
        }
    }

    /// Sends what a node has to say, and notes when it wants to be woken.
    pub fn settle(&mut self, index: usize) {
        let now = self.now;
        let mut touched = BTreeSet::from([index]);
        while let Some(transmit) = self.nodes[index].poll_transmit(now) {
            self.sent += 1;
            let to = self::index(transmit.flow.remote);
            let copies = if self.rng.unit() < self.doubled { 2 } else { 1 };
            for _ in 0..copies {
                if let Some(link) = self.links.get_mut(to) {
                    link.handle_packet(now, transmit.clone(), None);
                    touched.insert(to);
                }
            }
        }
        self.nodes[index].check(now);
        for node in touched {
            let due = [self.nodes[node].poll_timeout(), self.links[node].poll_timeout()].into_iter().flatten().min();
            if let Some(before) = std::mem::replace(&mut self.due_of[node], due) {
                self.due.remove(&(before, node));
            }
            self.due.extend(due.map(|at| (at, node)));
        }
    }

    /// When something happens next.
    pub fn next(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Runs until then.
    pub fn run_until(&mut self, end: Instant) {
        /// Machines that keep each other busy without end are a fault.
        const MOST_STEPS: u64 = 3_000_000;
        for _ in 0..MOST_STEPS {
            let Some((at, index)) = self.due.first().copied().filter(|(at, _)| *at <= end) else {
                self.now = self.now.max(end);
                return;
            };
            self.now = self.now.max(at);
            let now = self.now;
            while let Some((_, Transmit { flow, bytes })) = self.links[index].poll(now) {
                let flow = Flow { local: flow.remote, remote: flow.local, ..flow };
                self.nodes[index].receive(now, Received { flow, bytes });
                self.settle(index);
            }
            if self.nodes[index].poll_timeout().is_some_and(|at| at <= now) {
                self.nodes[index].timeout(now);
            }
            self.settle(index);
        }
        panic!("no end after {MOST_STEPS} steps");
    }

    pub fn run(&mut self, duration: Duration) {
        self.run_until(self.now + duration);
    }
}

/// What was done, by kind: a test that does nothing must not pass.
#[derive(Debug, Default)]
pub struct Tally(pub BTreeMap<&'static str, u32>);

impl Tally {
    pub fn add(&mut self, kind: &'static str) {
        *self.0.entry(kind).or_default() += 1;
    }

    /// Each of these happened at least so often.
    pub fn expect(&self, least: &[(&'static str, u32)]) {
        for (kind, least) in least {
            let count = self.0.get(kind).copied().unwrap_or(0);
            assert!(count >= *least, "{kind} happened {count} times, not {least}: {self:?}");
        }
    }
}
