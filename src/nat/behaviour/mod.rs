//! How a NAT before us maps and filters (RFC 4787 §4, §5), found out with a STUN server that has two addresses (RFC 5780 §4).
//!
//! ```text
//!   first socket    I    server                     -> our address from outside, OTHER-ADDRESS
//!                   II   other IP, server's port    -> the same address: mapping is endpoint independent
//!                   III  other IP, other port       -> the same as II: address dependent; else address and port dependent
//!   second socket   I    server
//!                   IV   server, CHANGE-REQUEST both -> an answer arrives: filtering is endpoint independent
//!                   V    server, CHANGE-REQUEST port -> an answer arrives: address dependent; else address and port dependent
//!   both            VI   each other's address from outside -> a request arrives: the NAT hairpins
//! ```
//! Filtering is tried on a socket of its own, which has sent nothing to the server's other address. What can be tried at once
//! is: the whole takes two round trips, or as long as is waited for an answer that does not come.
pub mod lifetime;

use crate::base::rng::Rng;
use crate::nat::stun::{Builder, Class, Message, Method, TransactionId, attribute};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// The first wait for an answer, doubled each time, and how often a request is sent (RFC 8489 §6.2.1 waits far longer).
const RTO: Duration = Duration::from_millis(250);
const SENDS: u8 = 4;
/// CHANGE-REQUEST: from the other IP address, from the other port (RFC 5780 §7.2).
const CHANGE_IP: u8 = 4;
const CHANGE_PORT: u8 = 2;

/// Which of our two sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Socket {
    First,
    Second,
}

impl Socket {
    fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// What a NAT's behaviour depends on, the friendliest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dependence {
    Independent,
    Address,
    AddressAndPort,
}

impl Dependence {
    /// As RFC 4787 says it.
    pub fn words(self) -> &'static str {
        match self {
            Self::Independent => "endpoint-independent",
            Self::Address => "address-dependent",
            Self::AddressAndPort => "address-and-port-dependent",
        }
    }
}

/// A NAT, as far as finding a way through it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nat {
    pub mapping: Dependence,
    pub filtering: Dependence,
}

impl Nat {
    /// The four kinds people speak of (RFC 3489 §5).
    pub const KINDS: [(&'static str, Self); 4] = [
        ("full cone", Self { mapping: Dependence::Independent, filtering: Dependence::Independent }),
        ("restricted cone", Self { mapping: Dependence::Independent, filtering: Dependence::Address }),
        ("port-restricted cone", Self { mapping: Dependence::Independent, filtering: Dependence::AddressAndPort }),
        ("symmetric", Self { mapping: Dependence::AddressAndPort, filtering: Dependence::AddressAndPort }),
    ];

    /// Whether two phones behind such NATs, each of which knows the other's address from outside and sends to it, get
    /// through to each other without a relay.
    pub fn meets(self, other: Self) -> bool {
        self.admits(other) || other.admits(self)
    }

    /// Whether what `other` sends to our address from outside comes in.
    fn admits(self, other: Self) -> bool {
        match (self.filtering, self.mapping) {
            (Dependence::Independent, _) => true,
            // What we send has another address from outside, and what was opened is that one.
            (_, Dependence::Address | Dependence::AddressAndPort) => false,
            (Dependence::Address, Dependence::Independent) => true,
            (Dependence::AddressAndPort, Dependence::Independent) => other.mapping == Dependence::Independent,
        }
    }
}

/// What was found out; `None` where it could not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub local: SocketAddr,
    /// Our address from outside; none when the server does not answer.
    pub mapped: Option<SocketAddr>,
    /// The server's other address.
    pub other: Option<SocketAddr>,
    pub mapping: Option<Dependence>,
    /// Of a NAT, or of a firewall where there is none.
    pub filtering: Option<Dependence>,
    /// Phones behind it reach each other by their addresses from outside.
    pub hairpins: Option<bool>,
    /// Of the first answer; of the first try only, so that it is known which try it answers.
    pub round_trip: Option<Duration>,
}

impl Report {
    /// Whether our address from outside is another.
    pub fn is_translated(&self) -> Option<bool> {
        self.mapped.map(|mapped| mapped != self.local)
    }

    pub fn nat(&self) -> Option<Nat> {
        let (mapping, filtering) = self.mapping.zip(self.filtering)?;
        Some(Nat { mapping, filtering })
    }
}

/// One datagram to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    pub socket: Socket,
    pub to: SocketAddr,
    pub bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Test {
    Mapped,
    OtherIp,
    OtherPort,
    ChangeBoth,
    ChangePort,
    Hairpin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// With our address as the answer tells it.
    Arrived(Option<SocketAddr>),
    /// The server cannot do what was asked.
    Unable,
    Silent,
}

#[derive(Debug)]
struct Probe {
    test: Test,
    socket: Socket,
    id: TransactionId,
    to: SocketAddr,
    bytes: Vec<u8>,
    sent_at: Instant,
    sends: u8,
    rto: Duration,
    resend_at: Instant,
    outcome: Option<Outcome>,
}

/// The machine.
#[derive(Debug)]
pub struct Behaviour {
    rng: Rng,
    server: SocketAddr,
    locals: [SocketAddr; 2],
    other: Option<SocketAddr>,
    round_trip: Option<Duration>,
    probes: Vec<Probe>,
    out: VecDeque<Transmit>,
}

impl Behaviour {
    /// Begins at once.
    ///
    /// - `locals`: the addresses of the first and the second socket, as the way to the server has them.
    pub fn new(now: Instant, server: SocketAddr, locals: [SocketAddr; 2], rng: Rng) -> Self {
        let mut behaviour =
            Self { rng, server, locals, other: None, round_trip: None, probes: Vec::new(), out: VecDeque::new() };
        behaviour.probe(now, Test::Mapped, Socket::First, server);
        behaviour.probe(now, Test::Mapped, Socket::Second, server);
        behaviour
    }

    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.out.pop_front()
    }

    /// Never, when all is found out.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.probes.iter().filter(|probe| probe.outcome.is_none()).map(|probe| probe.resend_at).min()
    }

    pub fn is_over(&self) -> bool {
        self.poll_timeout().is_none()
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        for probe in self.probes.iter_mut().filter(|probe| probe.outcome.is_none() && probe.resend_at <= now) {
            if probe.sends >= SENDS {
                probe.outcome = Some(Outcome::Silent);
                continue;
            }
            probe.sends += 1;
            probe.rto *= 2;
            probe.resend_at = now + probe.rto;
            self.out.push_back(Transmit { socket: probe.socket, to: probe.to, bytes: probe.bytes.clone() });
        }
    }

    pub fn handle_datagram(&mut self, now: Instant, socket: Socket, from: SocketAddr, bytes: &[u8]) {
        let Ok(message) = Message::parse(bytes) else { return };
        if message.method != Method::Binding {
            return;
        }
        if message.class == Class::Request {
            // Ours, which has gone out and come back: nobody else knows its name.
            let hairpinned = |probe: &&mut Probe| probe.test == Test::Hairpin && probe.socket.other() == socket;
            let mine = self.probes.iter_mut().filter(hairpinned).any(|probe| probe.id == message.id);
            if mine {
                let hairpins = self.probes.iter_mut().filter(|probe| probe.test == Test::Hairpin);
                hairpins.for_each(|probe| probe.outcome = Some(Outcome::Arrived(None)));
            }
            return;
        }
        let (server, other) = (self.server, self.other);
        let open = |probe: &&mut Probe| probe.id == message.id && probe.socket == socket && probe.outcome.is_none();
        let Some(probe) = self.probes.iter_mut().find(open) else { return };
        let expected = match probe.test {
            Test::Mapped | Test::OtherIp | Test::OtherPort => probe.to,
            Test::ChangeBoth | Test::ChangePort if from == server => {
                probe.outcome = Some(Outcome::Unable);
                return;
            }
            Test::ChangeBoth => other.unwrap_or(server),
            Test::ChangePort => SocketAddr::new(server.ip(), other.unwrap_or(server).port()),
            Test::Hairpin => return,
        };
        if from != expected {
            return;
        }
        probe.outcome = Some(match message.class {
            Class::Success => Outcome::Arrived(message.mapped_address()),
            Class::Error | Class::Request | Class::Indication => Outcome::Unable,
        });
        let (test, first) = (probe.test, probe.sends == 1);
        let took = now.saturating_duration_since(probe.sent_at);
        match test {
            Test::Mapped => {
                self.round_trip = self.round_trip.or(first.then_some(took));
                let told = message.plain_address(attribute::OTHER_ADDRESS).filter(|other| usable(server, *other));
                self.other = self.other.or(told);
                self.learned(now, socket);
            }
            // A friendlier behaviour cannot be found.
            Test::ChangeBoth => self.probes.retain(|probe| probe.test != Test::ChangePort),
            Test::OtherIp | Test::OtherPort | Test::ChangePort | Test::Hairpin => {}
        }
    }

    /// A socket's address from outside is known: what comes after it.
    fn learned(&mut self, now: Instant, socket: Socket) {
        if let Some(other) = self.other {
            match socket {
                Socket::First => {
                    self.probe(now, Test::OtherIp, socket, SocketAddr::new(other.ip(), self.server.port()));
                    self.probe(now, Test::OtherPort, socket, other);
                }
                Socket::Second => {
                    self.probe(now, Test::ChangeBoth, socket, self.server);
                    self.probe(now, Test::ChangePort, socket, self.server);
                }
            }
        }
        let [local, _] = self.locals;
        if let Some((first, second)) = self.mapped(Socket::First).zip(self.mapped(Socket::Second))
            && first != local
        {
            self.probe(now, Test::Hairpin, Socket::First, second);
            self.probe(now, Test::Hairpin, Socket::Second, first);
        }
    }

    fn probe(&mut self, now: Instant, test: Test, socket: Socket, to: SocketAddr) {
        let id = TransactionId::new(&mut self.rng);
        let builder = Builder::new(Class::Request, Method::Binding, id);
        let builder = match test {
            Test::ChangeBoth => builder.attribute(attribute::CHANGE_REQUEST, &[0, 0, 0, CHANGE_IP | CHANGE_PORT]),
            Test::ChangePort => builder.attribute(attribute::CHANGE_REQUEST, &[0, 0, 0, CHANGE_PORT]),
            Test::Mapped | Test::OtherIp | Test::OtherPort | Test::Hairpin => builder,
        };
        let bytes = builder.finish();
        self.out.push_back(Transmit { socket, to, bytes: bytes.clone() });
        let resend_at = now + RTO;
        let (sent_at, sends, rto, outcome) = (now, 1, RTO, None);
        self.probes.push(Probe { test, socket, id, to, bytes, sent_at, sends, rto, resend_at, outcome });
    }

    fn outcome(&self, test: Test, socket: Socket) -> Option<Outcome> {
        self.probes.iter().find(|probe| probe.test == test && probe.socket == socket)?.outcome
    }

    fn mapped(&self, socket: Socket) -> Option<SocketAddr> {
        match self.outcome(Test::Mapped, socket) {
            Some(Outcome::Arrived(mapped)) => mapped,
            Some(Outcome::Unable | Outcome::Silent) | None => None,
        }
    }

    /// What is known by now.
    pub fn report(&self) -> Report {
        let [local, _] = self.locals;
        let mapped = self.mapped(Socket::First);
        let hairpins = match self.outcome(Test::Hairpin, Socket::First) {
            Some(Outcome::Arrived(_)) => Some(true),
            Some(Outcome::Silent) => Some(false),
            Some(Outcome::Unable) | None => None,
        };
        Report {
            local,
            mapped,
            other: self.other,
            mapping: self.mapping(mapped, local),
            filtering: self.filtering(),
            hairpins,
            round_trip: self.round_trip,
        }
    }

    /// RFC 5780 §4.3.
    fn mapping(&self, mapped: Option<SocketAddr>, local: SocketAddr) -> Option<Dependence> {
        let seen = |test| match self.outcome(test, Socket::First) {
            Some(Outcome::Arrived(mapped)) => mapped,
            Some(Outcome::Unable | Outcome::Silent) | None => None,
        };
        let first = mapped?;
        match (seen(Test::OtherIp), seen(Test::OtherPort)) {
            _ if first == local => Some(Dependence::Independent),
            (Some(second), _) if second == first => Some(Dependence::Independent),
            (Some(second), Some(third)) if third == second => Some(Dependence::Address),
            (Some(_), Some(_)) => Some(Dependence::AddressAndPort),
            (None, Some(third)) if third == first => Some(Dependence::Independent),
            (_, _) => None,
        }
    }

    /// RFC 5780 §4.4. That nothing arrives says nothing where the server's other address does not answer at all.
    fn filtering(&self) -> Option<Dependence> {
        let answers = matches!(self.outcome(Test::OtherPort, Socket::First), Some(Outcome::Arrived(_)));
        let (both, port) =
            (self.outcome(Test::ChangeBoth, Socket::Second)?, self.outcome(Test::ChangePort, Socket::Second));
        match (both, port) {
            (Outcome::Arrived(_), _) => Some(Dependence::Independent),
            (Outcome::Unable, _) | (_, Some(Outcome::Unable) | None) => None,
            (Outcome::Silent, _) if !answers => None,
            (Outcome::Silent, Some(Outcome::Arrived(_))) => Some(Dependence::Address),
            (Outcome::Silent, Some(Outcome::Silent)) => Some(Dependence::AddressAndPort),
        }
    }
}

/// Whether a server's other address may be sent to, which the server could name as it likes: a second address of its kind
/// of network, with another port.
fn usable(server: SocketAddr, other: SocketAddr) -> bool {
    let differs = other.is_ipv4() == server.is_ipv4() && other.ip() != server.ip() && other.port() != server.port();
    let reaches = |ip: IpAddr| match ip {
        IpAddr::V4(ip) if ip.is_loopback() => 0,
        IpAddr::V4(ip) if ip.is_private() || ip.is_link_local() || ip.octets().first() == Some(&100) => 1,
        IpAddr::V6(ip) if ip.is_loopback() => 0,
        IpAddr::V6(ip) if ip.is_unique_local() || ip.is_unicast_link_local() => 1,
        IpAddr::V4(_) | IpAddr::V6(_) => 2,
    };
    let nowhere = other.ip().is_unspecified()
        || other.ip().is_multicast()
        || matches!(other.ip(), IpAddr::V4(ip) if ip.is_broadcast() || ip.octets().first() == Some(&0));
    differs && !nowhere && other.port() != 0 && reaches(other.ip()) == reaches(server.ip())
}

#[cfg(test)]
mod tests;
