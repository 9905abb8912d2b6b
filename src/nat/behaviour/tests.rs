//! All kinds of NATs, simulated in virtual time: what they do is found out, whatever it is.
use super::*;
use std::collections::BTreeMap;

const SERVER: &str = "198.51.100.1:3478";
const OTHER: &str = "198.51.100.2:3479";
const KINDS: [Dependence; 3] = [Dependence::Independent, Dependence::Address, Dependence::AddressAndPort];
const DELAY: Duration = Duration::from_millis(20);

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// What a binding is named by, and what opens it.
type Key = (SocketAddr, Option<IpAddr>, Option<u16>);

fn key(dependence: Dependence, local: SocketAddr, remote: SocketAddr) -> Key {
    match dependence {
        Dependence::Independent => (local, None, None),
        Dependence::Address => (local, Some(remote.ip()), None),
        Dependence::AddressAndPort => (local, Some(remote.ip()), Some(remote.port())),
    }
}

/// What stands between us and the server.
#[derive(Clone)]
struct World {
    nat: Option<Nat>,
    /// Filters without translating.
    firewall: Option<Dependence>,
    hairpins: bool,
    /// What the server says its other address is, and whether it answers from there.
    other: Option<SocketAddr>,
    other_answers: bool,
    /// It ignores CHANGE-REQUEST.
    old: bool,
    /// Each datagram's first try is lost.
    lossy: bool,
    blocked: bool,
    bindings: BTreeMap<Key, SocketAddr>,
    opened: Vec<Key>,
    lost: Vec<(Vec<u8>, SocketAddr)>,
}

impl World {
    fn new(nat: Option<Nat>) -> Self {
        Self {
            nat,
            firewall: None,
            hairpins: false,
            other: Some(at(OTHER)),
            other_answers: true,
            old: false,
            lossy: false,
            blocked: false,
            bindings: BTreeMap::new(),
            opened: Vec::new(),
            lost: Vec::new(),
        }
    }

    /// Our address as `remote` sees it.
    fn out(&mut self, local: SocketAddr, remote: SocketAddr) -> SocketAddr {
        let public = match self.nat {
            Some(nat) => {
                let port = 40_000 + self.bindings.len() as u16;
                *self.bindings.entry(key(nat.mapping, local, remote)).or_insert(SocketAddr::new(at(NAT).ip(), port))
            }
            None => local,
        };
        if let Some(filtering) = self.filtering() {
            self.opened.push(key(filtering, public, remote));
        }
        public
    }

    fn filtering(&self) -> Option<Dependence> {
        self.nat.map(|nat| nat.filtering).or(self.firewall)
    }

    /// Who gets what `remote` sends to `public`.
    fn inward(&self, public: SocketAddr, remote: SocketAddr) -> Option<SocketAddr> {
        let local = match self.nat {
            Some(_) => self.bindings.iter().find(|(_, mapped)| **mapped == public).map(|((local, ..), _)| *local)?,
            None => public,
        };
        let open = self.filtering().is_none_or(|filtering| self.opened.contains(&key(filtering, public, remote)));
        open.then_some(local)
    }

    /// The answer of a server to a request, and where it comes from.
    fn serve(&self, at_address: SocketAddr, seen: SocketAddr, bytes: &[u8]) -> Option<(SocketAddr, Vec<u8>)> {
        let request = Message::parse(bytes).expect("what we send can be read");
        let server = at(SERVER);
        let other = at(OTHER);
        let is_other = at_address.ip() == other.ip();
        if at_address.ip() != server.ip() && !(is_other && self.other_answers) {
            return None;
        }
        let change = request.attribute(attribute::CHANGE_REQUEST).filter(|_| !self.old);
        let flags = change.and_then(|value| value.last()).copied().unwrap_or(0);
        let ip = if flags & CHANGE_IP != 0 { other.ip() } else { at_address.ip() };
        let port = if flags & CHANGE_PORT != 0 { other.port() } else { at_address.port() };
        let from = SocketAddr::new(ip, port);
        if from.ip() == other.ip() && !self.other_answers {
            return None;
        }
        let mut answer =
            Builder::new(Class::Success, Method::Binding, request.id).xor_address(attribute::XOR_MAPPED_ADDRESS, seen);
        if let Some(told) = self.other {
            let mut value = vec![0, 1];
            value.extend(told.port().to_be_bytes());
            let IpAddr::V4(ip) = told.ip() else { panic!("IPv4") };
            value.extend(ip.octets());
            answer = answer.attribute(attribute::OTHER_ADDRESS, &value);
        }
        Some((from, answer.finish()))
    }
}

const NAT: &str = "203.0.113.9:0";

/// Plays it to its end.
fn play(mut world: World) -> (Report, Duration) {
    let locals = [at("192.168.1.5:5000"), at("192.168.1.5:5001")];
    let start = Instant::now();
    let mut now = start;
    let mut machine = Behaviour::new(now, at(SERVER), locals, Rng::from_u64(7));
    let mut flying: Vec<(Instant, Socket, SocketAddr, Vec<u8>)> = Vec::new();
    for _ in 0..1_000 {
        while let Some(Transmit { socket, to, bytes }) = machine.poll_transmit() {
            let local = locals[usize::from(socket == Socket::Second)];
            let seen = world.out(local, to);
            let again = (bytes.clone(), to);
            if world.blocked || world.lossy && !world.lost.contains(&again) {
                world.lost.push(again);
                continue;
            }
            let arrives = if to.ip() == at(NAT).ip() {
                world.hairpins.then_some((seen, to, bytes))
            } else {
                world.serve(to, seen, &bytes).map(|(from, answer)| (from, seen, answer))
            };
            if let Some((from, public, bytes)) = arrives
                && let Some(local) = world.inward(public, from)
            {
                let socket = if local == locals[0] { Socket::First } else { Socket::Second };
                flying.push((now + DELAY, socket, from, bytes));
            }
        }
        let arrival = flying.iter().map(|(at, ..)| *at).min();
        let Some(next) = machine.poll_timeout().into_iter().chain(arrival).min() else {
            return (machine.report(), now - start);
        };
        now = next;
        if let Some(at) = flying.iter().position(|(at, ..)| *at <= now) {
            let (_, socket, from, bytes) = flying.remove(at);
            machine.handle_datagram(now, socket, from, &bytes);
        } else {
            machine.handle_timeout(now);
        }
    }
    panic!("it does not end");
}

#[test]
fn every_kind_of_nat_is_recognised() {
    for mapping in KINDS {
        for filtering in KINDS {
            for (hairpins, lossy) in [(false, false), (true, true)] {
                let nat = Nat { mapping, filtering };
                let (report, took) = play(World { hairpins, lossy, ..World::new(Some(nat)) });
                assert_eq!(report.nat(), Some(nat), "{report:?}");
                assert_eq!(report.is_translated(), Some(true));
                // What comes back to a mapping that is another for each peer is let in by none but the most liberal.
                let expected = hairpins && (mapping == Dependence::Independent || filtering == Dependence::Independent);
                assert_eq!(report.hairpins, Some(expected), "{nat:?} {report:?}");
                assert!(took < Duration::from_secs(8), "{took:?}");
            }
        }
    }
}

#[test]
fn without_a_nat_there_may_be_a_firewall() {
    let (report, took) = play(World::new(None));
    assert_eq!((report.is_translated(), report.mapping), (Some(false), Some(Dependence::Independent)));
    assert_eq!((report.filtering, report.hairpins), (Some(Dependence::Independent), None));
    assert_eq!(report.round_trip, Some(DELAY));
    assert_eq!(took, DELAY * 2, "nothing is waited for that is not needed");
    for filtering in KINDS {
        let (report, _) = play(World { firewall: Some(filtering), ..World::new(None) });
        assert_eq!((report.is_translated(), report.filtering), (Some(false), Some(filtering)));
    }
}

/// What cannot be known is not told.
#[test]
fn servers_that_do_not_help() {
    let nat = Nat { mapping: Dependence::AddressAndPort, filtering: Dependence::AddressAndPort };
    let world = || World::new(Some(nat));
    let (blocked, took) = play(World { blocked: true, ..world() });
    assert_eq!((blocked.mapped, blocked.nat(), blocked.round_trip), (None, None, None));
    assert!(took < Duration::from_secs(4), "{took:?}");

    let (plain, took) = play(World { other: None, ..world() });
    assert_eq!((plain.is_translated(), plain.mapping, plain.filtering), (Some(true), None, None));
    assert!(took < Duration::from_secs(4), "{took:?}");

    let (dead, _) = play(World { other_answers: false, ..world() });
    assert_eq!((dead.other, dead.mapping, dead.filtering), (Some(at(OTHER)), None, None));

    let (old, _) = play(World { old: true, ..world() });
    assert_eq!((old.mapping, old.filtering), (Some(Dependence::AddressAndPort), None));

    let private = Some(at("192.168.7.7:3479"));
    let (hostile, _) = play(World { other: private, ..world() });
    assert_eq!((hostile.other, hostile.mapping), (None, None));
}

#[test]
fn a_server_does_not_aim_us_at_others() {
    let rows = [
        "198.51.100.1:3479",
        "198.51.100.2:3478",
        "198.51.100.2:0",
        "127.0.0.1:3479",
        "10.0.0.1:3479",
        "100.64.0.1:3479",
        "0.0.0.0:3479",
        "224.0.0.1:3479",
        "255.255.255.255:3479",
        "[2001:db8::2]:3479",
    ];
    for row in rows {
        assert!(!usable(at(SERVER), at(row)), "{row}");
    }
    assert!(usable(at(SERVER), at(OTHER)));
    assert!(usable(at("127.0.0.1:3478"), at("127.0.0.2:3479")));
    assert!(usable(at("10.0.0.1:3478"), at("10.0.0.2:3479")));
}

/// Whoever guesses nothing learns nothing, and is believed nothing.
#[test]
fn strangers_are_not_believed() {
    let now = Instant::now();
    let locals = [at("192.168.1.5:5000"), at("192.168.1.5:5001")];
    let mut machine = Behaviour::new(now, at(SERVER), locals, Rng::from_u64(7));
    let Some(first) = machine.poll_transmit() else { panic!("it begins at once") };
    let id = Message::parse(&first.bytes).expect("readable").id;
    let answer = |id| {
        Builder::new(Class::Success, Method::Binding, id)
            .xor_address(attribute::XOR_MAPPED_ADDRESS, at("203.0.113.66:6"))
            .finish()
    };
    machine.handle_datagram(now, Socket::First, at(SERVER), b"\x00\x01");
    machine.handle_datagram(now, Socket::First, at(SERVER), &answer(TransactionId([9; 12])));
    machine.handle_datagram(now, Socket::First, at(OTHER), &answer(id));
    machine.handle_datagram(now, Socket::Second, at(SERVER), &answer(id));
    let request = Builder::new(Class::Request, Method::Binding, id).finish();
    machine.handle_datagram(now, Socket::Second, at(SERVER), &request);
    assert_eq!((machine.report().mapped, machine.report().hairpins), (None, None));
    machine.handle_datagram(now, Socket::First, at(SERVER), &answer(id));
    assert_eq!(machine.report().mapped, Some(at("203.0.113.66:6")));
}

/// The table everybody knows: where one side is symmetric, the other must not look at ports.
#[test]
fn which_pairs_need_a_relay() {
    let rows =
        [[true, true, true, true], [true, true, true, true], [true, true, true, false], [true, true, false, false]];
    for ((one, a), row) in Nat::KINDS.into_iter().zip(rows) {
        for ((other, b), meets) in Nat::KINDS.into_iter().zip(row) {
            assert_eq!(a.meets(b), meets, "{one} and {other}");
        }
    }
}
