//! The RTP and RTCP sockets of a stream: an even and an odd port (RFC 3550 §11), with the kernel's times of arrival.
use crate::base::rng::Rng;
use socket2::{Domain, Protocol, SockAddr, SockAddrStorage, Socket, Type};
use std::io::{self, ErrorKind};
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

/// Pairs tried before giving up.
const MOST_TRIES: u32 = 1_000;
/// Arrival may be told this much before the last time the socket was seen empty: two clocks were read.
const SLACK: Duration = Duration::from_millis(1);

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    #[error("the RTP port range {first}-{last} holds no even port with its odd neighbour")]
    EmptyRange { first: u16, last: u16 },
    #[error("no free pair of RTP ports in {first}-{last} on {local}: widen the range")]
    AllTaken { local: IpAddr, first: u16, last: u16 },
    #[error("cannot open RTP ports on {local}: {source}")]
    Refused {
        local: IpAddr,
        #[source]
        source: io::Error,
    },
}

/// A datagram in the caller's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    pub length: usize,
    pub source: SocketAddr,
    /// When it reached the kernel.
    pub at: Instant,
}

#[derive(Debug)]
pub struct MediaSocket {
    socket: Socket,
    local: SocketAddr,
    /// When there was nothing more to read: whatever is read next arrived later.
    empty: Instant,
}

/// Binds a pair on `local`, starting somewhere in the range so that ports cannot be guessed.
///
/// - `dscp`: the code point of what is sent (RFC 4594 §4.1).
pub fn bind_pair(
    local: IpAddr,
    ports: &RangeInclusive<u16>,
    dscp: u8,
    rng: &mut Rng,
) -> Result<(MediaSocket, MediaSocket), BindError> {
    let (first, last) = (*ports.start(), *ports.end());
    // Even ports whose odd neighbour is in the range too.
    let lowest = u32::from(first).next_multiple_of(2);
    let pairs = (u32::from(last) + 1).saturating_sub(lowest) / 2;
    if pairs == 0 || lowest == 0 && pairs == 1 {
        return Err(BindError::EmptyRange { first, last });
    }
    let start = rng.range(0, pairs - 1);
    for step in 0..pairs.min(MOST_TRIES) {
        // Below 65536, since the pair ends at `last`.
        let port = (lowest + 2 * ((start + step) % pairs)) as u16;
        if port == 0 {
            continue;
        }
        match MediaSocket::bind(local, port, dscp).and_then(|rtp| Ok((rtp, MediaSocket::bind(local, port + 1, dscp)?)))
        {
            Ok(pair) => return Ok(pair),
            Err(e) if matches!(e.kind(), ErrorKind::AddrInUse | ErrorKind::PermissionDenied) => {}
            Err(source) => return Err(BindError::Refused { local, source }),
        }
    }
    Err(BindError::AllTaken { local, first, last })
}

impl MediaSocket {
    /// One socket at a port that is known.
    pub fn bind(local: IpAddr, port: u16, dscp: u8) -> io::Result<Self> {
        let address = SocketAddr::new(local, port);
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        // Both are wishes: a kernel that does not grant them costs quality, not the call.
        let _ = match local {
            IpAddr::V4(_) => socket.set_tos_v4(u32::from(dscp) << 2),
            IpAddr::V6(_) => socket.set_tclass_v6(u32::from(dscp) << 2),
        };
        let _ = request_timestamps(socket.as_raw_fd());
        Ok(Self { socket, local: address, empty: Instant::now() })
    }

    pub fn local(&self) -> SocketAddr {
        self.local
    }

    pub fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    pub fn send(&self, destination: SocketAddr, bytes: &[u8]) -> io::Result<()> {
        self.socket.send_to(bytes, &destination.into()).map(|_| ())
    }

    /// Reads one datagram; `None` when there is nothing more.
    pub fn receive(&mut self, buffer: &mut [u8]) -> Option<Arrival> {
        loop {
            match receive(self.fd(), buffer) {
                Ok((length, source, stamp)) => {
                    let now = Instant::now();
                    let at = stamp.map_or(now, |stamp| arrival(now, wall_clock(), stamp, self.empty));
                    if let Some(source) = source {
                        return Some(Arrival { length, source, at });
                    }
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                // Nothing there; or an ICMP error of an earlier datagram, which its sender has counted or will miss.
                Err(_) => {
                    self.empty = Instant::now();
                    return None;
                }
            }
        }
    }
}

/// When a datagram arrived, from the kernel's stamp on the wall clock.
///
/// The wall clock may be set between the stamp and `wall_now`: a time before `not_before`, when the socket was empty,
/// or after `now` is not believed.
fn arrival(now: Instant, wall_now: Duration, stamp: Duration, not_before: Instant) -> Instant {
    let longest = now.saturating_duration_since(not_before) + SLACK;
    match wall_now.checked_sub(stamp) {
        Some(age) if age <= longest => now.checked_sub(age).unwrap_or(now),
        _ => now,
    }
}

fn wall_clock() -> Duration {
    // SAFETY: an all-zero timespec is valid, and the call writes to nothing else.
    let time = unsafe {
        let mut time: libc::timespec = zeroed();
        libc::clock_gettime(libc::CLOCK_REALTIME, &mut time);
        time
    };
    since_epoch(time)
}

fn since_epoch(time: libc::timespec) -> Duration {
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0).min(999_999_999))
}

fn request_timestamps(fd: RawFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: the option is an int, and its length is told.
    let result = unsafe {
        let value = (&raw const on).cast();
        libc::setsockopt(fd, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, value, size_of::<libc::c_int>() as libc::socklen_t)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

type Received = (usize, Option<SocketAddr>, Option<Duration>);

/// One `recvmsg`: length, source and the kernel's time stamp.
fn receive(fd: RawFd, buffer: &mut [u8]) -> io::Result<Received> {
    // Room for a time stamp; 8-byte aligned as control messages must be.
    let mut control = [0_u64; 16];
    // SAFETY: every pointer in `message` outlives the call and is given with its length; the control messages are
    // walked by the libc macros within the length the kernel returned; a time stamp's payload is read unaligned.
    unsafe {
        let mut storage = SockAddrStorage::zeroed();
        let mut vector = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        let mut message: libc::msghdr = zeroed();
        message.msg_name = (&raw mut storage).cast();
        message.msg_namelen = storage.size_of();
        message.msg_iov = &raw mut vector;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control) as _;
        let length = libc::recvmsg(fd, &raw mut message, 0);
        let Ok(length) = usize::try_from(length) else { return Err(io::Error::last_os_error()) };
        let mut stamp = None;
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while !header.is_null() {
            if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_TIMESTAMPNS {
                let time = libc::CMSG_DATA(header).cast::<libc::timespec>().read_unaligned();
                stamp = Some(since_epoch(time));
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
        let address = SockAddr::new(storage, message.msg_namelen);
        Ok((length, address.as_socket(), stamp))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[test]
    fn a_range_without_a_pair_is_said() {
        let mut rng = Rng::from_u64(1);
        #[expect(clippy::reversed_empty_ranges, reason = "what a user may write")]
        let rows = [7_001..=7_001, 7_000..=7_000, 7_001..=7_002, 0..=1, 9..=3];
        for range in rows {
            let error = bind_pair(HOME, &range, 46, &mut rng).expect_err("no pair");
            assert!(matches!(error, BindError::EmptyRange { .. }), "{range:?}: {error}");
        }
        let foreign = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        let error = bind_pair(foreign, &(20_000..=20_100), 46, &mut rng).expect_err("not ours");
        assert!(matches!(error, BindError::Refused { .. }) && error.to_string().contains("192.0.2.1"), "{error}");
    }

    #[test]
    fn pairs_are_even_and_odd_and_each_is_given_once() {
        let (mut rng, range) = (Rng::from_u64(2), 47_301..=47_309);
        let mut pairs = Vec::new();
        let error = loop {
            match bind_pair(HOME, &range, 46, &mut rng) {
                Ok(pair) => pairs.push(pair),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, BindError::AllTaken { .. }), "{error}");
        let mut ports: Vec<_> = pairs.iter().map(|(rtp, rtcp)| (rtp.local().port(), rtcp.local().port())).collect();
        ports.sort_unstable();
        assert_eq!(ports, [(47_302, 47_303), (47_304, 47_305), (47_306, 47_307), (47_308, 47_309)]);
        pairs.remove(1);
        // A pair whose odd half is taken is not a pair.
        let freed = ports.iter().map(|p| p.0).find(|port| UdpSocket::bind((HOME, *port)).is_ok()).expect("one");
        let _taken = UdpSocket::bind((HOME, freed + 1)).expect("free");
        assert!(matches!(bind_pair(HOME, &range, 46, &mut rng), Err(BindError::AllTaken { .. })));
    }

    #[test]
    fn the_start_in_the_range_is_random() {
        let ports = |seed| {
            let pair = bind_pair(HOME, &(48_000..=48_999), 46, &mut Rng::from_u64(seed)).expect("free");
            pair.0.local().port()
        };
        assert!((0..4).map(ports).collect::<std::collections::BTreeSet<_>>().len() > 2);
    }

    #[test]
    fn datagrams_come_with_source_and_time_of_arrival() {
        for home in [HOME, IpAddr::V6(Ipv6Addr::LOCALHOST)] {
            let mut rng = Rng::from_u64(3);
            let Ok((mut here, there)) = bind_pair(home, &(46_000..=46_999), 46, &mut rng) else {
                assert!(home.is_ipv6(), "only IPv6 may be missing on this machine");
                continue;
            };
            let mut buffer = [0; 64];
            assert_eq!(here.receive(&mut buffer), None);
            let before = Instant::now();
            there.send(here.local(), b"one").expect("sent");
            there.send(here.local(), b"").expect("sent");
            let after = Instant::now();
            let arrival = here.receive(&mut buffer).expect("there");
            assert_eq!((&buffer[..arrival.length], arrival.source), (b"one".as_slice(), there.local()));
            assert!(arrival.at + SLACK >= before && arrival.at <= after + SLACK);
            assert_eq!(here.receive(&mut buffer).map(|a| a.length), Some(0));
            assert_eq!(here.receive(&mut buffer), None);
        }
    }

    #[test]
    fn what_is_sent_is_marked() {
        for home in [HOME, IpAddr::V6(Ipv6Addr::LOCALHOST)] {
            for dscp in [0, 34, 46] {
                let Ok((rtp, rtcp)) = bind_pair(home, &(49_000..=49_999), dscp, &mut Rng::from_u64(4)) else {
                    assert!(home.is_ipv6(), "only IPv6 may be missing on this machine");
                    continue;
                };
                for socket in [rtp.socket, rtcp.socket] {
                    let octet = if home.is_ipv6() { socket.tclass_v6() } else { socket.tos_v4() };
                    assert_eq!(octet.expect("readable"), u32::from(dscp) << 2, "{home}");
                }
            }
        }
    }

    #[test]
    fn a_clock_that_was_set_is_not_believed() {
        let (empty, ms) = (Instant::now(), Duration::from_millis);
        let now = empty + ms(20);
        let wall = Duration::from_secs(1_700_000_000);
        // (stamp, arrival)
        let rows = [
            (wall + ms(5), now),
            (wall + Duration::from_secs(3_600), now),
            (wall - Duration::from_secs(3_600), now),
            (wall - ms(22), now),
            (wall - ms(20), empty),
            (wall - ms(3), now - ms(3)),
            (wall, now),
        ];
        for (stamp, at) in rows {
            assert_eq!(arrival(now, wall, stamp, empty), at, "{stamp:?}");
        }
    }
}
