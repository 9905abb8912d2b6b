//! Two agents and what lies between them, in virtual time.
use super::*;
use crate::nat::candidate::{OWN_PACE, RTCP, RTP};
use crate::nat::stun::Builder;
use crate::nat::stun::{Class, Message, Method, TransactionId, attribute};
use std::collections::BTreeMap;

mod suspicion;

const MS: Duration = Duration::from_millis(1);
/// One way.
const DELAY: Duration = Duration::from_millis(5);

struct Side {
    agent: Agent,
    bases: Vec<Base>,
}

/// Datagrams under way: when, to which side, by which of its bases, from where.
struct Net {
    start: Instant,
    now: Instant,
    sides: [Side; 2],
    wire: Vec<(Instant, usize, Via, SocketAddr, Vec<u8>)>,
    /// Addresses that are translated on their way out: base to what others see.
    nat: BTreeMap<SocketAddr, SocketAddr>,
    /// Nothing arrives there.
    dead: Vec<SocketAddr>,
    sent: usize,
    events: [Vec<Event>; 2],
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("address")
}

fn credentials(name: &str) -> Credentials {
    Credentials { ufrag: name.to_owned(), password: crate::base::secret::Secret::new(format!("password of {name}")) }
}

fn candidate(address: SocketAddr, component: u8, kind: Kind) -> Candidate {
    let priority = crate::nat::candidate::priority(kind, 65_535, component);
    Candidate { foundation: "1".into(), component, priority, address, kind, related: None }
}

impl Net {
    /// Each side with its sockets, all of component RTP.
    fn new(ours: &[&str], theirs: &[&str]) -> Self {
        let start = Instant::now();
        let side = |name: &str, seed, sockets: &[&str]| {
            let mut agent = Agent::new(credentials(name), Rng::from_u64(seed));
            let base = |(at, text): (usize, &&str)| Base {
                via: Via::Socket(at as u8),
                component: RTP,
                address: address(text),
                kind: Kind::Host,
                preference: 65_535 - at as u16,
            };
            let bases: Vec<Base> = sockets.iter().enumerate().map(base).collect();
            bases.iter().for_each(|base| agent.add_base(start, *base));
            Side { agent, bases }
        };
        Self {
            start,
            now: start,
            sides: [side("anna", 1, ours), side("bert", 2, theirs)],
            wire: Vec::new(),
            nat: BTreeMap::new(),
            dead: Vec::new(),
            sent: 0,
            events: [Vec::new(), Vec::new()],
        }
    }

    fn spec(&self, side: usize, controlling: bool) -> IceSpec {
        let names = ["anna", "bert"];
        let other = &self.sides[1 - side];
        IceSpec {
            local: credentials(names[side]),
            remote: credentials(names[1 - side]),
            candidates: other.bases.iter().map(|base| candidate(base.address, base.component, base.kind)).collect(),
            controlling,
            remote_is_lite: false,
            pace: OWN_PACE,
        }
    }

    fn configure(&mut self, side: usize, spec: &IceSpec) {
        let now = self.now;
        self.sides[side].agent.configure(now, spec, true);
        self.flush();
    }

    fn begin(&mut self) {
        for (side, controlling) in [(1, false), (0, true)] {
            let spec = self.spec(side, controlling);
            self.configure(side, &spec);
        }
    }

    fn flush(&mut self) {
        for side in 0..2 {
            while let Some(transmit) = self.sides[side].agent.poll_transmit() {
                self.sent += 1;
                let base = self.sides[side].bases.iter().find(|base| base.via == transmit.via).expect("own").address;
                let source = self.nat.get(&base).copied().unwrap_or(base);
                // Behind the translated address is its base.
                let inner = self.nat.iter().find(|(_, outer)| **outer == transmit.destination).map(|(inner, _)| *inner);
                let target = inner.unwrap_or(transmit.destination);
                let hidden = inner.is_none() && self.nat.contains_key(&target);
                let at = self.sides[1 - side].bases.iter().find(|base| base.address == target);
                if let Some(base) =
                    at.filter(|_| !hidden && !self.dead.contains(&target) && !self.dead.contains(&source))
                {
                    self.wire.push((self.now + DELAY, 1 - side, base.via, source, transmit.bytes));
                }
            }
            while let Some(event) = self.sides[side].agent.poll_event() {
                self.events[side].push(event);
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.flush();
            let wire = self.wire.iter().map(|(at, ..)| *at).min();
            let timers = self.sides.iter().filter_map(|side| side.agent.poll_timeout());
            let Some(next) = timers.chain(wire).min().filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            while let Some(at) = self.wire.iter().position(|(at, ..)| *at <= self.now) {
                let (_, side, via, source, bytes) = self.wire.remove(at);
                let message = Message::parse(&bytes).expect("ours");
                self.sides[side].agent.handle_message(self.now, via, source, &message);
                self.flush();
            }
            for side in &mut self.sides {
                side.agent.handle_timeout(self.now);
            }
        }
        self.now = end;
    }

    fn to(&self, side: usize) -> Option<SocketAddr> {
        self.sides[side].agent.destination(RTP).map(|(_, to)| to)
    }

    fn nominated(&self) -> [bool; 2] {
        [0, 1].map(|side| self.sides[side].agent.chosen(RTP).is_some_and(|chosen| chosen.nominated))
    }

    fn elapsed(&self) -> Duration {
        self.now - self.start
    }
}

#[test]
fn on_a_lan_the_first_pair_works_within_two_round_trips() {
    let mut net = Net::new(&["192.0.2.1:4000"], &["192.0.2.2:5000"]);
    net.begin();
    net.run(4 * DELAY);
    assert_eq!((net.to(0), net.to(1)), (Some(address("192.0.2.2:5000")), Some(address("192.0.2.1:4000"))));
    net.run(60 * MS);
    assert_eq!(net.nominated(), [true; 2]);
    assert!(net.sides[0].agent.is_controlling() && !net.sides[1].agent.is_controlling());
    let chosen = net.sides[0].agent.chosen(RTP).expect("chosen");
    assert_eq!((chosen.local_kind, chosen.remote_kind), (Kind::Host, Kind::Host));
    assert_eq!(chosen.round_trip, Some(2 * DELAY));
}

#[test]
fn with_many_interfaces_only_one_of_which_works() {
    let ours = ["192.0.2.1:4000", "198.51.100.1:4000", "[2001:db8::1]:4000", "10.0.0.1:4000"];
    let mut net = Net::new(&ours, &["10.9.0.2:5000", "[2001:db8:9::2]:5000", "10.0.0.2:5000"]);
    net.dead.extend(ours[..3].iter().map(|a| address(a)));
    net.dead.push(address("10.9.0.2:5000"));
    net.begin();
    net.run(150 * MS);
    assert_eq!(net.to(0), Some(address("10.0.0.2:5000")));
    net.run(Duration::from_secs(1));
    assert_eq!(net.nominated(), [true; 2]);
}

#[test]
fn behind_a_nat_the_peer_finds_a_reflexive_address() {
    let mut net = Net::new(&["10.0.0.1:4000"], &["192.0.2.2:5000"]);
    net.nat.insert(address("10.0.0.1:4000"), address("203.0.113.7:61000"));
    net.begin();
    net.run(Duration::from_secs(1));
    assert_eq!(net.to(1), Some(address("203.0.113.7:61000")));
    assert_eq!(net.nominated(), [true; 2]);
    let [anna, bert] = [0, 1].map(|side| net.sides[side].agent.chosen(RTP).expect("chosen"));
    assert_eq!((anna.local_kind, anna.local), (Kind::ServerReflexive, address("203.0.113.7:61000")));
    assert_eq!(bert.remote_kind, Kind::PeerReflexive);
    assert!(net.sides[1].agent.accepts(Via::Socket(0), address("203.0.113.7:61000")));
    assert!(!net.sides[1].agent.accepts(Via::Socket(0), address("203.0.113.7:61001")));
}

/// The way through a relay works at once, the direct one when a filter has seen what was sent to it.
#[test]
fn a_relay_is_not_settled_for_while_a_direct_way_may_open() {
    for (opens, expected) in [(None, Kind::Relayed), (Some(400 * MS), Kind::Host)] {
        let mut net = Net::new(&["192.0.2.1:4000"], &["192.0.2.2:5000"]);
        let relayed = Base {
            via: Via::Relay(0),
            component: RTP,
            address: address("198.51.100.9:9000"),
            kind: Kind::Relayed,
            preference: 65_535,
        };
        net.sides[0].agent.add_base(net.start, relayed);
        net.sides[0].bases.push(relayed);
        net.dead.push(address("192.0.2.1:4000"));
        net.begin();
        net.run(250 * MS);
        assert_eq!((net.to(1), net.nominated()), (Some(relayed.address), [false; 2]), "sound does not wait");
        net.run(opens.unwrap_or_default().saturating_sub(250 * MS));
        if opens.is_some() {
            net.dead.clear();
        }
        net.run(Duration::from_secs(1));
        let chosen = [0, 1].map(|side| net.sides[side].agent.chosen(RTP).expect("chosen"));
        assert_eq!((chosen[0].local_kind, chosen[1].remote_kind), (expected, expected));
        assert_eq!(net.nominated(), [true; 2]);
    }
}

#[test]
fn checks_that_come_before_the_answer_are_answered_and_not_forgotten() {
    let mut net = Net::new(&["10.0.0.1:4000"], &["192.0.2.2:5000"]);
    let spec = IceSpec { candidates: vec![candidate(address("10.0.0.1:4000"), RTP, Kind::Host)], ..net.spec(1, false) };
    net.configure(1, &spec);
    net.run(20 * MS);
    assert_eq!(net.to(1), Some(address("10.0.0.1:4000")), "the answerer knows a way already");
    assert_eq!(net.to(0), None);
    let spec = IceSpec { candidates: Vec::new(), ..net.spec(0, true) };
    net.configure(0, &spec);
    net.run(3 * DELAY);
    assert_eq!(net.to(0), Some(address("192.0.2.2:5000")), "by the early check alone");
}

#[test]
fn both_in_one_role_agree() {
    for role in [true, false] {
        let mut net = Net::new(&["192.0.2.1:4000"], &["192.0.2.2:5000"]);
        for side in [0, 1] {
            let spec = net.spec(side, role);
            net.configure(side, &spec);
        }
        net.run(Duration::from_secs(2));
        assert_eq!(net.nominated(), [true; 2], "{role}");
        assert_ne!(net.sides[0].agent.is_controlling(), net.sides[1].agent.is_controlling());
    }
}

#[test]
fn a_storm_of_role_conflicts_ends() {
    let mut net = Net::new(&["192.0.2.1:4000"], &["192.0.2.2:5000"]);
    let spec = net.spec(0, true);
    net.configure(0, &spec);
    let (agent, peer) = (&mut net.sides[0].agent, address("192.0.2.2:5000"));
    let mut switches = 0;
    for n in 0..1_000_u32 {
        let controlling = agent.is_controlling();
        let bytes = message::check(&message::Check {
            id: TransactionId::new(&mut Rng::from_u64(n.into())),
            local: &credentials("bert"),
            remote: &credentials("anna"),
            priority: 1,
            controlling,
            // Always the one that wins.
            tie_breaker: if controlling { u64::MAX } else { 0 },
            nominates: false,
        });
        agent.handle_message(net.now, Via::Socket(0), peer, &Message::parse(&bytes).expect("ours"));
        switches += u32::from(agent.is_controlling() != controlling);
        while agent.poll_transmit().is_some() {}
    }
    assert_eq!(switches, u32::from(MOST_SWITCHES));
}

#[test]
fn what_is_not_authentic_changes_nothing_and_is_not_answered() {
    let mut net = Net::new(&["192.0.2.1:4000"], &["192.0.2.2:5000"]);
    let spec = IceSpec { candidates: Vec::new(), ..net.spec(0, true) };
    net.configure(0, &spec);
    let (agent, stranger) = (&mut net.sides[0].agent, address("198.51.100.66:9"));
    let check = |user: &str, remote: &str, password: &str| {
        let user = format!("{user}:{remote}");
        Builder::new(Class::Request, Method::Binding, TransactionId([5; 12]))
            .attribute(attribute::USERNAME, user.as_bytes())
            .attribute(attribute::PRIORITY, &[0, 0, 1, 0])
            .integrity(password.as_bytes())
            .fingerprint()
            .finish()
    };
    let good = "password of anna";
    let rows = [
        ("another password", check("anna", "bert", "password of bert")),
        ("another of our names", check("carl", "bert", good)),
        ("another of theirs", check("anna", "carl", good)),
        (
            "no name",
            Builder::new(Class::Request, Method::Binding, TransactionId([5; 12])).integrity(good.as_bytes()).finish(),
        ),
        (
            "no integrity",
            Builder::new(Class::Request, Method::Binding, TransactionId([5; 12]))
                .attribute(attribute::USERNAME, b"anna:bert")
                .finish(),
        ),
        ("an answer to nothing", message::success(TransactionId([5; 12]), stranger, &credentials("bert"))),
    ];
    for (what, bytes) in rows {
        agent.handle_message(net.now, Via::Socket(0), stranger, &Message::parse(&bytes).expect("STUN"));
        assert_eq!(agent.poll_transmit(), None, "{what}");
        assert!(!agent.accepts(Via::Socket(0), stranger), "{what}");
    }
    // The right one is answered to where it came from, and nowhere else.
    let bytes = check("anna", "bert", good);
    agent.handle_message(net.now, Via::Socket(0), stranger, &Message::parse(&bytes).expect("STUN"));
    let answer = agent.poll_transmit().expect("answered");
    assert_eq!((answer.via, answer.destination), (Via::Socket(0), stranger));
    assert_eq!(agent.poll_transmit(), None);
}

#[test]
fn an_answer_from_elsewhere_or_twice_or_changed_is_no_answer() {
    let mut net = Net::new(&["192.0.2.1:4000"], &["192.0.2.2:5000"]);
    let spec = net.spec(0, true);
    net.configure(0, &spec);
    let agent = &mut net.sides[0].agent;
    agent.handle_timeout(net.now);
    let sent = agent.poll_transmit().expect("a check");
    let id = Message::parse(&sent.bytes).expect("ours").id;
    let forged = message::success(id, address("192.0.2.1:4000"), &credentials("anna"));
    agent.handle_message(net.now, Via::Socket(0), sent.destination, &Message::parse(&forged).expect("STUN"));
    assert_eq!(agent.destination(RTP), None, "another password");
    let other = message::success(TransactionId([1; 12]), address("192.0.2.1:4000"), &credentials("bert"));
    agent.handle_message(net.now, Via::Socket(0), sent.destination, &Message::parse(&other).expect("STUN"));
    assert_eq!(agent.destination(RTP), None, "another identifier");
    let answer = message::success(id, address("192.0.2.1:4000"), &credentials("bert"));
    let answer = Message::parse(&answer).expect("STUN");
    agent.handle_message(net.now, Via::Socket(0), address("192.0.2.2:5001"), &answer);
    assert_eq!(agent.destination(RTP), None, "another source");
    agent.handle_message(net.now, Via::Socket(0), sent.destination, &answer);
    assert_eq!(agent.destination(RTP), None, "the check has failed by then");
}

#[test]
fn a_flood_of_candidates_is_cut_and_checks_keep_their_pace() {
    let mut net = Net::new(&["192.0.2.1:4000", "192.0.2.3:4000"], &["192.0.2.2:5000"]);
    let victims = (0..5_000_u16).map(|n| candidate(SocketAddr::from(([198, 51, 100, 1], 1_000 + n)), RTP, Kind::Host));
    let spec = IceSpec { candidates: victims.collect(), pace: PACE, ..net.spec(0, true) };
    net.configure(0, &spec);
    assert!(net.sides[0].agent.remotes.len() <= MOST_CANDIDATES);
    net.run(Duration::from_secs(1));
    // One new check each 50 ms, and the first ones once more.
    assert!(net.sent <= 21 + 10, "{}", net.sent);
    net.run(Duration::from_secs(300));
    assert!(net.sent <= 2 * MOST_CANDIDATES * 7, "{}", net.sent);
    assert_eq!(net.events[0], [Event::Failed]);
    // Checks with the right password from ever new addresses do not grow the lists for ever either.
    let agent = &mut net.sides[0].agent;
    for n in 0..10_000_u16 {
        let bytes = message::check(&message::Check {
            id: TransactionId([9; 12]),
            local: &credentials("bert"),
            remote: &credentials("anna"),
            priority: 1,
            controlling: false,
            tie_breaker: 0,
            nominates: false,
        });
        let source = SocketAddr::from(([203, 0, 113, 9], 2_000 + n));
        agent.handle_message(net.now, Via::Socket(0), source, &Message::parse(&bytes).expect("ours"));
        while agent.poll_transmit().is_some() {}
    }
    assert!(agent.remotes.len() <= MOST_REMOTES && agent.pairs.len() <= 2 * MOST_PAIRS);
}

/// Whom a peer names beside itself may be a victim.
#[test]
fn who_is_not_needed_is_not_checked_any_more() {
    for controlling in [true, false] {
        let mut net = Net::new(&["192.0.2.1:4000"], &["192.0.2.2:5000"]);
        let spec = net.spec(1, !controlling);
        net.configure(1, &spec);
        let mut spec = net.spec(0, controlling);
        let victim = |n: u16| candidate(SocketAddr::from(([198, 51, 100, 1], n)), RTP, Kind::ServerReflexive);
        spec.candidates.extend((1..=20).map(victim));
        net.configure(0, &spec);
        net.run(Duration::from_secs(1));
        assert_eq!(net.nominated(), [true; 2], "{controlling}");
        let before = net.sent;
        net.run(Duration::from_secs(20));
        // The consent of both sides, each 4 s at most, and its answers.
        assert!(net.sent - before <= 2 * 2 * 5, "{controlling}: {}", net.sent - before);
        assert!(net.nominated() == [true; 2] && net.to(0) == Some(address("192.0.2.2:5000")));
    }
}

#[test]
fn checks_that_come_early_are_bounded_and_repeated_ones_are_one() {
    let mut net = Net::new(&["192.0.2.1:4000"], &["192.0.2.2:5000"]);
    let agent = &mut net.sides[0].agent;
    for n in (0..100_u16).flat_map(|n| [1, 1, n]) {
        let bytes = message::check(&message::Check {
            id: TransactionId([9; 12]),
            local: &credentials("bert"),
            remote: &credentials("anna"),
            priority: 1,
            controlling: true,
            tie_breaker: 0,
            nominates: false,
        });
        let source = SocketAddr::from(([203, 0, 113, 9], 2_000 + n));
        agent.handle_message(net.now, Via::Socket(0), source, &Message::parse(&bytes).expect("ours"));
        while agent.poll_transmit().is_some() {}
        assert!(agent.early.len() <= MOST_EARLY);
    }
    let mut places: Vec<_> = agent.early.iter().map(|early| early.source).collect();
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), MOST_EARLY);
}

/// A check of bert's, as one who has this role sends it.
fn check_of_bert(controlling: bool, nominates: bool) -> Vec<u8> {
    message::check(&message::Check {
        id: TransactionId([3; 12]),
        local: &credentials("bert"),
        remote: &credentials("anna"),
        priority: 77,
        controlling,
        tie_breaker: 1,
        nominates,
    })
}

#[test]
fn who_asks_for_our_consent_gives_none_by_it() {
    let mut net = Net::new(&["192.0.2.1:4000"], &["192.0.2.2:5000"]);
    net.begin();
    net.run(Duration::from_secs(1));
    net.dead.push(address("192.0.2.2:5000"));
    let bytes = check_of_bert(false, false);
    for _ in 0..31 {
        net.run(Duration::from_secs(1));
        let (now, peer) = (net.now, address("192.0.2.2:5000"));
        net.sides[0].agent.handle_message(now, Via::Socket(0), peer, &Message::parse(&bytes).expect("ours"));
        net.sides[0].agent.poll_transmit().expect("it is answered");
    }
    assert_eq!((net.to(0), net.events[0].last()), (None, Some(&Event::ConsentLost)));
}

#[test]
fn who_is_controlled_nominates_nothing() {
    let mut net = Net::new(&["192.0.2.1:4000"], &["192.0.2.2:5000"]);
    let spec = IceSpec { candidates: Vec::new(), ..net.spec(0, true) };
    net.configure(0, &spec);
    let (now, peer) = (net.now, address("192.0.2.2:5000"));
    let bytes = check_of_bert(false, true);
    net.sides[0].agent.handle_message(now, Via::Socket(0), peer, &Message::parse(&bytes).expect("ours"));
    assert!(net.sides[0].agent.pairs.iter().all(|pair| pair.heard && !pair.wanted_by_peer && !pair.nominated));
}

#[test]
fn a_peer_that_refuses_each_role_is_not_followed_for_ever() {
    let mut net = Net::new(&["192.0.2.1:4000"], &["192.0.2.2:5000"]);
    let spec = net.spec(0, true);
    net.configure(0, &spec);
    let (agent, peer) = (&mut net.sides[0].agent, address("192.0.2.2:5000"));
    let (mut now, mut switches) = (net.now, 0);
    for _ in 0..100 {
        now += 100 * MS;
        agent.handle_timeout(now);
        let Some(sent) = agent.poll_transmit() else { continue };
        let id = Message::parse(&sent.bytes).expect("ours").id;
        let (before, refusal) = (agent.is_controlling(), message::role_conflict(id, &credentials("bert")));
        agent.handle_message(now, Via::Socket(0), peer, &Message::parse(&refusal).expect("ours"));
        switches += u32::from(agent.is_controlling() != before);
    }
    assert_eq!(switches, u32::from(MOST_SWITCHES));
}

#[test]
fn pairs_are_bounded_and_strangers_do_not_lead_to_this_machine() {
    let ours = ["192.0.2.1:1", "192.0.2.1:2", "192.0.2.1:3", "192.0.2.1:4", "192.0.2.1:5", "192.0.2.1:6"];
    let mut net = Net::new(&ours, &["192.0.2.2:5000"]);
    let mut spec = net.spec(0, true);
    spec.candidates = vec![candidate(address("127.0.0.1:22"), RTP, Kind::Host)];
    net.configure(0, &spec);
    assert!(net.sides[0].agent.pairs.is_empty());
    spec.candidates = (1..=30).map(|n| candidate(SocketAddr::from(([198, 51, 100, n], 9)), RTP, Kind::Host)).collect();
    net.configure(0, &spec);
    assert_eq!(net.sides[0].agent.pairs.len(), MOST_PAIRS);
}

/// Who is controlled does not know whether the peer will name a better one: a filter may have to be opened for it.
#[test]
fn what_may_be_better_is_checked_by_who_is_controlled() {
    let mut net = Net::new(&["192.0.2.1:4000"], &["192.0.2.2:5000"]);
    let spec = net.spec(1, true);
    net.configure(1, &spec);
    let mut spec = net.spec(0, false);
    spec.candidates = vec![
        candidate(address("192.0.2.2:5000"), RTP, Kind::Relayed),
        candidate(address("198.51.100.1:1"), RTP, Kind::Host),
        candidate(address("198.51.100.1:2"), RTP, Kind::Relayed),
    ];
    spec.candidates[2].priority -= 1;
    net.configure(0, &spec);
    net.run(400 * MS);
    assert_eq!(net.nominated(), [true; 2]);
    let open = |place: &str| {
        let agent = &net.sides[0].agent;
        let at = agent.remotes.iter().position(|remote| remote.address == address(place));
        agent.pairs.iter().any(|pair| Some(pair.remote) == at && pair.is_open())
    };
    assert_eq!((open("198.51.100.1:1"), open("198.51.100.1:2")), (true, false));
}

#[test]
fn consent_ends_thirty_seconds_after_the_last_answer() {
    let mut net = Net::new(&["192.0.2.1:4000"], &["192.0.2.2:5000"]);
    net.begin();
    net.run(Duration::from_secs(100));
    assert_eq!(net.nominated(), [true; 2], "it lasts as long as there are answers");
    assert_eq!(net.events, [vec![Event::Chosen], vec![Event::Chosen]]);
    let before = net.sent;
    // The peer asks for our consent but gives none.
    net.dead.push(address("192.0.2.2:5000"));
    net.run(Duration::from_secs(23));
    assert!(net.to(0).is_some());
    net.run(Duration::from_secs(8));
    assert_eq!((net.to(0), net.events[0].last()), (None, Some(&Event::ConsentLost)));
    assert!(net.sent - before < 40);
    let before = net.sent;
    net.run(Duration::from_secs(60));
    assert!(net.sent - before <= 2, "nothing is sent any more");
}

#[test]
fn a_restart_finds_the_new_way_and_sound_goes_on_meanwhile() {
    let mut net = Net::new(&["192.0.2.1:4000"], &["192.0.2.2:5000"]);
    net.begin();
    net.run(Duration::from_secs(1));
    for side in [1, 0] {
        let mut spec = net.spec(side, side == 0);
        spec.local.ufrag.push('2');
        spec.remote.ufrag.push('2');
        net.configure(side, &spec);
        assert!(net.to(side).is_some(), "over the old pair");
    }
    net.run(Duration::from_secs(1));
    assert_eq!(net.nominated(), [true; 2]);
    assert_eq!(net.to(0), Some(address("192.0.2.2:5000")));
}

/// The other side is silent, but its signalling is not: what it says there is no leave to go on sending.
#[test]
fn a_restart_does_not_prolong_consent() {
    let mut net = Net::new(&["192.0.2.1:4000"], &["192.0.2.2:5000"]);
    net.begin();
    net.run(Duration::from_secs(1));
    net.dead.push(address("192.0.2.2:5000"));
    net.run(Duration::from_secs(22));
    let mut spec = net.spec(0, true);
    spec.local.ufrag.push('2');
    spec.remote.ufrag.push('2');
    net.configure(0, &spec);
    assert!(net.to(0).is_some(), "until the consent ends");
    net.run(Duration::from_secs(9));
    assert_eq!(net.to(0), None);
}

#[test]
fn a_lite_peer_is_controlled_by_us() {
    let mut net = Net::new(&["192.0.2.1:4000"], &["192.0.2.2:5000"]);
    let spec = IceSpec { remote_is_lite: true, ..net.spec(0, false) };
    net.configure(0, &spec);
    // It answers checks, and makes none: as an agent does that has no description yet.
    net.run(Duration::from_secs(1));
    assert!(net.sides[0].agent.is_controlling());
    assert_eq!(net.nominated(), [true, false]);
}

#[test]
fn a_peer_that_nominates_in_every_check_is_understood() {
    let mut net = Net::new(&["192.0.2.1:4000"], &["192.0.2.2:5000"]);
    let spec = net.spec(0, false);
    net.configure(0, &spec);
    net.run(MS);
    let bytes = message::check(&message::Check {
        id: TransactionId([3; 12]),
        local: &credentials("bert"),
        remote: &credentials("anna"),
        priority: 77,
        controlling: true,
        tie_breaker: 1,
        nominates: true,
    });
    let now = net.now;
    net.sides[0].agent.handle_message(
        now,
        Via::Socket(0),
        address("192.0.2.2:5000"),
        &Message::parse(&bytes).expect("ours"),
    );
    assert!(!net.nominated()[0], "not before our own check succeeded");
    let spec = net.spec(1, true);
    net.configure(1, &spec);
    net.run(Duration::from_secs(1));
    assert!(net.nominated()[0]);
}

#[test]
fn without_rtcp_mux_each_component_finds_its_own() {
    let mut net = Net::new(&["192.0.2.1:4000"], &["192.0.2.2:5000"]);
    for (side, text) in [(0, "192.0.2.1:4001"), (1, "192.0.2.2:5001")] {
        let base =
            Base { via: Via::Socket(9), component: RTCP, address: address(text), kind: Kind::Host, preference: 1 };
        net.sides[side].bases.push(base);
        let now = net.now;
        net.sides[side].agent.add_base(now, base);
    }
    for side in [1, 0] {
        let (spec, now) = (net.spec(side, side == 0), net.now);
        net.sides[side].agent.configure(now, &spec, false);
    }
    net.run(Duration::from_secs(1));
    let agent = &net.sides[0].agent;
    assert_eq!(agent.destination(RTCP), Some((Via::Socket(9), address("192.0.2.2:5001"))));
    assert_eq!(agent.destination(RTP), Some((Via::Socket(0), address("192.0.2.2:5000"))));
    assert!(net.elapsed() < 2 * Duration::from_secs(1));
}

#[test]
fn what_the_peer_tells_later_is_checked_too() {
    // The first addresses lead nowhere.
    let mut net = Net::new(&["10.0.0.1:1"], &["10.0.0.2:2", "10.0.0.3:3"]);
    net.dead = vec![address("10.0.0.2:2")];
    for (side, controlling) in [(1, false), (0, true)] {
        let mut spec = net.spec(side, controlling);
        spec.candidates.truncate(1);
        if side == 1 {
            // It cannot be found by its own checks.
            spec.candidates = vec![candidate(address("10.0.0.99:9"), RTP, Kind::Host)];
        }
        net.configure(side, &spec);
    }
    net.run(Duration::from_secs(14));
    assert_eq!(net.to(0), None);
    let later = [candidate(address("10.0.0.3:3"), RTP, Kind::Host)];
    let now = net.now;
    assert!(!net.sides[0].agent.add_candidates(now, &credentials("stranger"), &later));
    assert!(net.sides[0].agent.add_candidates(now, &credentials("bert"), &later));
    net.run(Duration::from_secs(2));
    assert_eq!(net.to(0), Some(address("10.0.0.3:3")));
    assert!(!net.events[0].contains(&Event::Failed), "it was given another chance");
    // And a flood is cut, whatever it is made of.
    for n in 0..200 {
        let more: Vec<Candidate> =
            (0..40).map(|m| candidate(SocketAddr::from(([10, 1, n, m], 9)), RTP, Kind::Host)).collect();
        net.sides[0].agent.add_candidates(net.now, &credentials("bert"), &more);
    }
    assert!(net.sides[0].agent.remotes.len() <= MOST_REMOTES && net.sides[0].agent.pairs.len() <= MOST_PAIRS);
}
