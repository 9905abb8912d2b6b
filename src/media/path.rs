//! Where a stream's datagrams come from and go to: symmetric RTP with a latch (RFC 4961, RFC 7362 §4), and the same for
//! RTCP, on its own port or on RTP's (RFC 5761).
//!
//! ```text
//!            packet from the signalled address            (at any time)
//!   open ------------------------------------------------> latched
//!    ^  \--- 3 packets in order of one SSRC, in 5 s ------>/   |
//!    |  \--- the address proven before, nothing changed -->/   | packet from elsewhere: foreign
//!    |  \--- authentic packet (SRTP), from anywhere ------>/   | authentic packet from elsewhere: moves it
//!    +---------------- a new offer/answer ---------------------+
//! ```
use crate::base::id::StreamId;
use crate::media::rtp::packet::{Header, Ssrc};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long after an offer/answer an address that was not signalled may prove itself.
const WINDOW: Duration = Duration::from_secs(5);
/// By so many packets in order.
const PROOF: u8 = 3;
/// The largest step forward between two of them.
const MAX_STEP: u16 = 16;
/// When the signalled address changed, the one before it cannot prove itself at once: packets of the old leg that are
/// still under way must not win against the new one.
const OLD_LEG: Duration = Duration::from_secs(1);

/// Which of a stream's two sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    Rtp,
    Rtcp,
}

impl Component {
    /// The socket a stream without ICE has for it.
    pub fn socket(self) -> u8 {
        match self {
            Self::Rtp => 0,
            Self::Rtcp => 1,
        }
    }

    /// Its number in ICE (RFC 8445 §5.1.1.1).
    pub fn number(self) -> u8 {
        self.socket() + 1
    }
}

/// A datagram that arrived on a stream's socket.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    pub stream: StreamId,
    pub component: Component,
    /// Which of the stream's sockets: 0 and 1 are those of RTP and RTCP it was opened with.
    pub socket: u8,
    pub source: SocketAddr,
    /// The kernel's time of arrival, not the time of the read.
    pub arrived: Instant,
    pub bytes: &'a [u8],
}

/// A datagram to be sent from a stream's socket. Its buffer may be given back with `Engine::recycle`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaTransmit {
    pub stream: StreamId,
    pub component: Component,
    /// As in [`Datagram`].
    pub socket: u8,
    pub destination: SocketAddr,
    pub bytes: Vec<u8>,
}

/// What the latch says of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Admitted,
    /// Its source has not proven itself yet.
    Pending,
    /// From nobody we listen to.
    Foreign,
}

/// The addresses of one stream for one offer/answer.
#[derive(Clone, Debug)]
pub struct Path {
    rtp: Latch,
    rtcp: Latch,
    rtcp_mux: bool,
    opened: Instant,
}

#[derive(Clone, Copy, Debug, Default)]
struct Latch {
    signalled: Option<SocketAddr>,
    /// The last place that was signalled: a hold of the old kind signals none for a while (RFC 3264 §8.4).
    announced: Option<SocketAddr>,
    latched: Option<SocketAddr>,
    /// Proven before, when the same address was signalled.
    known: Option<SocketAddr>,
    /// The one before, when another was signalled.
    old_leg: Option<SocketAddr>,
    candidate: Option<Candidate>,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    source: SocketAddr,
    ssrc: Ssrc,
    sequence: u16,
    packets: u8,
}

impl Path {
    /// - `rtp`, `rtcp`: as signalled; an unspecified address or port 0 means "nowhere" (RFC 3264 §5.1, §8.4).
    pub fn new(now: Instant, rtp: SocketAddr, rtcp: SocketAddr, rtcp_mux: bool) -> Self {
        Self { rtp: Latch::new(rtp), rtcp: Latch::new(rtcp), rtcp_mux, opened: now }
    }

    /// An offer/answer was completed: opens the latches again.
    pub fn reopen(&mut self, now: Instant, rtp: SocketAddr, rtcp: SocketAddr, rtcp_mux: bool) {
        self.rtp.reopen(rtp);
        self.rtcp.reopen(rtcp);
        self.rtcp_mux = rtcp_mux;
        self.opened = now;
    }

    pub fn admit_rtp(&mut self, now: Instant, source: SocketAddr, header: &Header) -> Admission {
        let age = now.saturating_duration_since(self.opened);
        self.rtp.quick(source).unwrap_or_else(|| self.rtp.prove(age, source, header))
    }

    /// Whether a DTLS datagram may be the peer's: only where we know it to be is it listened to before it has proven
    /// itself.
    pub fn admits_handshake(&self, component: Component, source: SocketAddr) -> bool {
        match component {
            Component::Rtp => self.rtp.is_peer(source),
            Component::Rtcp => self.rtcp.is_peer(source),
        }
    }

    /// An authentic packet needs no other proof: where it came from is where the peer is. It moves a latch that holds.
    pub fn admit_authentic(&mut self, component: Component, source: SocketAddr) {
        match component {
            Component::Rtp => self.rtp.follow(source),
            Component::Rtcp => self.rtcp.follow(source),
        }
    }

    /// - `component`: the socket it came to.
    /// - `reporter`: the SSRC of the report it begins with.
    /// - `heard`: the source whose RTP is heard.
    pub fn admit_rtcp(
        &mut self,
        component: Component,
        source: SocketAddr,
        reporter: Option<Ssrc>,
        heard: Option<Ssrc>,
    ) -> Admission {
        match component {
            // RTCP opens no path for RTP, and needs none of its own.
            Component::Rtp if self.rtp.is_peer(source) => Admission::Admitted,
            Component::Rtp => Admission::Foreign,
            Component::Rtcp => self.rtcp.quick(source).unwrap_or_else(|| {
                // Reports come too seldom for three in five seconds: the source that is heard vouches for them, or
                // its host.
                let vouched = reporter.is_some() && reporter == heard
                    || self.rtp.destination().is_some_and(|peer| peer.ip() == source.ip());
                if vouched {
                    self.rtcp.latched = Some(source);
                    Admission::Admitted
                } else {
                    Admission::Foreign
                }
            }),
        }
    }

    /// Where RTP goes to; `None` while there is no such place.
    pub fn rtp_destination(&self) -> Option<SocketAddr> {
        self.rtp.destination()
    }

    /// Where RTCP goes to, and from which socket.
    pub fn rtcp_destination(&self) -> Option<(Component, SocketAddr)> {
        if self.rtcp_mux {
            self.rtp.destination().map(|to| (Component::Rtp, to))
        } else {
            self.rtcp.destination().map(|to| (Component::Rtcp, to))
        }
    }

    /// Where the RTP that is heard comes from.
    pub fn source(&self) -> Option<SocketAddr> {
        self.rtp.latched
    }
}

impl Latch {
    fn new(signalled: SocketAddr) -> Self {
        let signalled = reachable(signalled);
        Self { signalled, announced: signalled, ..Self::default() }
    }

    fn reopen(&mut self, signalled: SocketAddr) {
        let (signalled, proven) = (reachable(signalled), self.latched.or(self.known));
        let same = match (self.announced, signalled) {
            (Some(old), Some(new)) => matches(old, new),
            (None, _) | (_, None) => true,
        };
        *self = Self {
            signalled,
            announced: signalled.or(self.announced),
            known: proven.filter(|_| same),
            old_leg: proven.or(self.announced).filter(|_| !same),
            ..Self::default()
        };
    }

    /// The verdict that needs no proof.
    fn quick(&mut self, source: SocketAddr) -> Option<Admission> {
        if is(self.latched, source) {
            return Some(Admission::Admitted);
        }
        if is(self.signalled, source) || (self.latched.is_none() && is(self.known, source)) {
            self.latched = Some(source);
            self.candidate = None;
            return Some(Admission::Admitted);
        }
        self.latched.is_some().then_some(Admission::Foreign)
    }

    fn follow(&mut self, source: SocketAddr) {
        if !is(self.latched, source) {
            self.latched = Some(source);
            self.candidate = None;
        }
    }

    fn prove(&mut self, age: Duration, source: SocketAddr, header: &Header) -> Admission {
        if age > WINDOW || (age < OLD_LEG && is(self.old_leg, source)) {
            return Admission::Foreign;
        }
        let packets = match self.candidate {
            Some(before)
                if matches(before.source, source)
                    && before.ssrc == header.ssrc
                    && (1..=MAX_STEP).contains(&header.sequence.wrapping_sub(before.sequence)) =>
            {
                before.packets + 1
            }
            Some(_) | None => 1,
        };
        if packets >= PROOF {
            self.latched = Some(source);
            self.candidate = None;
            return Admission::Admitted;
        }
        self.candidate = Some(Candidate { source, ssrc: header.ssrc, sequence: header.sequence, packets });
        Admission::Pending
    }

    fn is_peer(&self, source: SocketAddr) -> bool {
        match self.latched {
            Some(latched) => matches(latched, source),
            None => is(self.signalled, source) || is(self.known, source),
        }
    }

    fn destination(&self) -> Option<SocketAddr> {
        // A peer that wants nothing to be sent says so by its address, whatever was proven before.
        let signalled = self.signalled?;
        Some(self.latched.or(self.known).unwrap_or(signalled))
    }
}

fn reachable(address: SocketAddr) -> Option<SocketAddr> {
    (address.port() != 0 && !address.ip().is_unspecified()).then_some(address)
}

fn is(known: Option<SocketAddr>, source: SocketAddr) -> bool {
    known.is_some_and(|known| matches(known, source))
}

/// Address and port; neither the scope of IPv6 nor its IPv4-mapped form matter.
fn matches(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port() && a.ip().to_canonical() == b.ip().to_canonical()
}

#[cfg(test)]
mod tests {
    use super::Admission::*;
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("address")
    }

    fn header(ssrc: u32, sequence: u16) -> Header {
        Header { marker: false, payload_type: 0, sequence, timestamp: 0, ssrc: Ssrc(ssrc) }
    }

    const SIGNALLED: &str = "192.0.2.1:4000";
    const NAT: &str = "198.51.100.7:61000";
    const OTHER: &str = "203.0.113.9:5000";

    struct Bench {
        path: Path,
        t0: Instant,
    }

    impl Bench {
        fn new() -> Self {
            let t0 = Instant::now();
            Self { path: Path::new(t0, address(SIGNALLED), address("192.0.2.1:4001"), false), t0 }
        }

        fn rtp(&mut self, at: u64, source: &str, ssrc: u32, sequence: u16) -> Admission {
            self.path.admit_rtp(self.t0 + Duration::from_millis(at), address(source), &header(ssrc, sequence))
        }

        fn reopen(&mut self, at: u64, rtp: &str) {
            let rtp = address(rtp);
            let rtcp = SocketAddr::new(rtp.ip(), rtp.port().saturating_add(1));
            self.path.reopen(self.t0 + Duration::from_millis(at), rtp, rtcp, false);
        }
    }

    #[test]
    fn the_latch() {
        // Time [ms], source, SSRC, sequence number, verdict.
        type Step = (u64, &'static str, u32, u16, Admission);
        let rows: [(&str, &[Step], &str); 9] = [
            ("two packets prove nothing", &[(0, NAT, 1, 5, Pending), (20, NAT, 1, 6, Pending)], SIGNALLED),
            (
                "packets out of order prove nothing",
                &[
                    (0, NAT, 1, 5, Pending),
                    (20, NAT, 1, 4, Pending),
                    (40, NAT, 1, 3, Pending),
                    (60, NAT, 1, 3, Pending),
                ],
                SIGNALLED,
            ),
            (
                "nor do packets of several sources",
                &[
                    (0, NAT, 1, 5, Pending),
                    (20, NAT, 2, 6, Pending),
                    (40, OTHER, 2, 7, Pending),
                    (60, NAT, 2, 8, Pending),
                ],
                SIGNALLED,
            ),
            (
                "nor such that come too late",
                &[(4980, NAT, 1, 5, Pending), (5000, NAT, 1, 6, Pending), (5020, NAT, 1, 7, Foreign)],
                SIGNALLED,
            ),
            (
                "three in order latch",
                &[(0, NAT, 1, 65534, Pending), (20, NAT, 1, 65535, Pending), (60, NAT, 1, 1, Admitted)],
                NAT,
            ),
            (
                "and then others are foreign",
                &[
                    (0, NAT, 1, 5, Pending),
                    (20, NAT, 1, 6, Pending),
                    (40, NAT, 1, 7, Admitted),
                    (60, OTHER, 1, 8, Foreign),
                    (80, NAT, 9, 1, Admitted),
                ],
                NAT,
            ),
            (
                "the signalled address needs no proof",
                &[(0, SIGNALLED, 1, 5, Admitted), (1, NAT, 1, 6, Foreign), (2, NAT, 1, 7, Foreign)],
                SIGNALLED,
            ),
            ("at any time", &[(60_000, SIGNALLED, 1, 5, Admitted)], SIGNALLED),
            (
                "and wins against one that proved itself",
                &[
                    (0, NAT, 1, 5, Pending),
                    (20, NAT, 1, 6, Pending),
                    (40, NAT, 1, 7, Admitted),
                    (50, SIGNALLED, 2, 1, Admitted),
                    (60, NAT, 1, 8, Foreign),
                ],
                SIGNALLED,
            ),
        ];
        for (what, steps, destination) in rows {
            let mut bench = Bench::new();
            for (n, (at, source, ssrc, sequence, verdict)) in steps.iter().enumerate() {
                assert_eq!(bench.rtp(*at, source, *ssrc, *sequence), *verdict, "{what}: step {n}");
            }
            assert_eq!(bench.path.rtp_destination(), Some(address(destination)), "{what}");
        }
    }

    #[test]
    fn a_new_offer_answer_opens_it_again() {
        let mut bench = Bench::new();
        for (n, at) in [(1, 0), (2, 20), (3, 40)] {
            bench.rtp(at, NAT, 1, n);
        }
        // The same address again, as in a hold: who proved itself is still known.
        bench.reopen(10_000, SIGNALLED);
        assert_eq!(bench.path.rtp_destination(), Some(address(NAT)));
        assert_eq!(bench.rtp(10_020, NAT, 1, 9), Admitted);
        // Another address: the old leg's stragglers do not win, and later it must prove itself like any other.
        bench.reopen(20_000, OTHER);
        assert_eq!(bench.path.rtp_destination(), Some(address(OTHER)));
        for n in 0..5 {
            assert_eq!(bench.rtp(20_000 + u64::from(n) * 20, NAT, 1, 20 + n), Foreign);
        }
        assert_eq!(bench.rtp(20_200, OTHER, 2, 1), Admitted);
        bench.reopen(30_000, SIGNALLED);
        for (n, verdict) in [(0, Pending), (1, Pending), (2, Admitted)] {
            assert_eq!(bench.rtp(32_000 + u64::from(n) * 20, NAT, 1, 900 + n), verdict);
        }
    }

    #[test]
    fn nothing_is_sent_to_nowhere() {
        let mut bench = Bench::new();
        bench.rtp(0, SIGNALLED, 1, 1);
        for nowhere in ["0.0.0.0:4000", "192.0.2.1:0", "[::]:4000"] {
            bench.reopen(100, nowhere);
            assert_eq!(bench.path.rtp_destination(), None, "{nowhere}");
        }
        bench.reopen(200, OTHER);
        assert_eq!(bench.path.rtp_destination(), Some(address(OTHER)));
    }

    #[test]
    fn rtcp_has_its_own_latch() {
        let (rtp, rtcp) = (Component::Rtp, Component::Rtcp);
        let (one, two) = (Some(Ssrc(1)), Some(Ssrc(2)));
        // What, socket, source, reporter, source that is heard, verdict.
        type Row = (&'static str, Component, &'static str, Option<Ssrc>, Option<Ssrc>, Admission);
        let rows: [Row; 8] = [
            ("a stranger", rtcp, OTHER, two, one, Foreign),
            ("nobody is heard", rtcp, OTHER, None, None, Foreign),
            ("on RTP's port from elsewhere", rtp, OTHER, one, one, Foreign),
            ("on RTP's port from RTCP's address", rtp, "192.0.2.1:4001", one, one, Foreign),
            ("the signalled address", rtcp, "192.0.2.1:4001", two, one, Admitted),
            ("the source that is heard, by its SSRC", rtcp, OTHER, one, one, Admitted),
            ("its host, another port", rtcp, "192.0.2.1:9999", two, one, Admitted),
            ("on RTP's port from its address", rtp, SIGNALLED, two, one, Admitted),
        ];
        for (what, component, source, reporter, heard, verdict) in rows {
            let mut path = Bench::new().path;
            assert_eq!(path.admit_rtcp(component, address(source), reporter, heard), verdict, "{what}");
        }
        let mut path = Bench::new().path;
        path.admit_rtcp(rtcp, address(OTHER), one, one);
        assert_eq!(path.rtcp_destination(), Some((rtcp, address(OTHER))));
        assert_eq!(path.admit_rtcp(rtcp, address(NAT), one, one), Foreign, "latched");
    }

    #[test]
    fn muxed_rtcp_goes_where_rtp_goes() {
        let now = Instant::now();
        let mut path = Path::new(now, address(SIGNALLED), address(SIGNALLED), true);
        for n in 0..3 {
            path.admit_rtp(now, address(NAT), &header(1, n));
        }
        assert_eq!(path.rtcp_destination(), Some((Component::Rtp, address(NAT))));
    }

    #[test]
    fn mapped_and_scoped_addresses_are_the_same() {
        let mapped = address("[::ffff:192.0.2.1]:4000");
        assert!(matches(mapped, address(SIGNALLED)));
        assert!(matches(address("[fe80::1%2]:9"), address("[fe80::1]:9")));
        assert!(!matches(mapped, address("192.0.2.1:4001")));
    }
}
