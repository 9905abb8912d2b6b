//! Notices that another of our addresses leads to our servers and peers now, and that this machine slept.
//!
//! Looked at once a second; on Linux also as soon as the kernel tells of an address or a route that came or went.
use crate::base::net::Flow;
use crate::net::Router;
use crate::runtime::clock;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::time::{Interval, MissedTickBehavior};

const LOOK: Duration = Duration::from_secs(1);
/// Who was gone for longer slept; less is the error of reading two clocks.
const SLEPT: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Address,
    Slept,
}

pub struct NetworkWatch {
    router: Router,
    interval: Interval,
    news: news::News,
    seen: Seen,
    /// Time spent asleep since the start of the machine.
    asleep: Duration,
}

impl NetworkWatch {
    pub fn new(router: Router) -> Self {
        let mut interval = tokio::time::interval(LOOK);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { router, interval, news: news::News::new(), seen: Seen::default(), asleep: clock::asleep() }
    }

    /// Waits until it is time to look.
    pub async fn due(&mut self) {
        tokio::select! {
            _ = self.interval.tick() => {}
            () = self.news.next() => {}
        }
    }

    /// Looks; `flows` are those in use.
    pub fn look(&mut self, flows: &[Flow]) -> Option<Change> {
        let asleep = clock::asleep();
        let slept = asleep.saturating_sub(self.asleep) > SLEPT;
        self.asleep = asleep;
        let moved = self.seen.look(flows, |remote| self.router.local(remote).ok());
        match (slept, moved) {
            (true, _) => Some(Change::Slept),
            (false, true) => Some(Change::Address),
            (false, false) => None,
        }
    }
}

/// Which address of ours led to which far end when it was looked at last.
#[derive(Debug, Default)]
struct Seen(BTreeMap<SocketAddr, Option<IpAddr>>);

impl Seen {
    /// Whether another address leads somewhere now, or one leads there again. That none does is no news to act upon: nothing
    /// can be done until one does.
    fn look(&mut self, flows: &[Flow], local: impl Fn(SocketAddr) -> Option<IpAddr>) -> bool {
        let (mut now, mut moved) = (BTreeMap::new(), false);
        for flow in flows {
            let leads = *now.entry(flow.remote).or_insert_with(|| local(flow.remote));
            let before = self.0.get(&flow.remote).copied().unwrap_or(Some(flow.local.ip()));
            moved |= leads.is_some() && leads != before;
        }
        self.0 = now;
        moved
    }
}

#[cfg(target_os = "linux")]
mod news {
    //! What the kernel tells of addresses and routes (rtnetlink).
    use std::mem::{size_of, zeroed};
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
    use std::{future, io};
    use tokio::io::unix::AsyncFd;

    /// Without it, looking once a second is all there is.
    pub struct News(Option<AsyncFd<OwnedFd>>);

    impl News {
        pub fn new() -> Self {
            // SAFETY: an owned descriptor is the same one for all of its life, and is closed only when it is dropped.
            let register = |fd| unsafe { AsyncFd::register(fd) };
            Self(open().ok().and_then(|fd| register(fd).ok()))
        }

        /// Something changed; what it was is of no interest.
        pub async fn next(&mut self) {
            let Some(fd) = &self.0 else { return future::pending().await };
            let Ok(mut ready) = fd.readable().await else { return future::pending().await };
            while let Ok(Ok(1..)) = ready.try_io(|fd| skip(fd.as_raw_fd())) {}
        }
    }

    fn open() -> io::Result<OwnedFd> {
        let groups = libc::RTMGRP_LINK
            | libc::RTMGRP_IPV4_IFADDR
            | libc::RTMGRP_IPV6_IFADDR
            | libc::RTMGRP_IPV4_ROUTE
            | libc::RTMGRP_IPV6_ROUTE;
        // SAFETY: the descriptor is new and nobody else's; the address is one of netlink, all zero but for what is set, and
        // its length is told.
        unsafe {
            let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
            let fd = libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            let fd = OwnedFd::from_raw_fd(fd);
            let mut address: libc::sockaddr_nl = zeroed();
            address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
            address.nl_groups = groups as u32;
            let length = size_of::<libc::sockaddr_nl>() as libc::socklen_t;
            match libc::bind(fd.as_raw_fd(), (&raw const address).cast(), length) {
                0 => Ok(fd),
                _ => Err(io::Error::last_os_error()),
            }
        }
    }

    /// Takes one message out of the queue. Too many of them at once are news as well.
    fn skip(fd: i32) -> io::Result<usize> {
        let mut buffer = [0_u8; 8192];
        // SAFETY: the buffer outlives the call, and its length is told.
        let length = unsafe { libc::recv(fd, buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        usize::try_from(length).map_err(|_| io::Error::last_os_error())
    }
}

#[cfg(not(target_os = "linux"))]
mod news {
    //! Looking once a second is all there is.
    pub struct News;

    impl News {
        pub fn new() -> Self {
            Self
        }

        pub async fn next(&mut self) {
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::net::Transport;

    #[test]
    fn only_another_way_is_news() {
        let ip = |n: u8| IpAddr::from([192, 0, 2, n]);
        let flow = |local: u8, remote: u8| {
            Flow::new(Transport::Udp, SocketAddr::new(ip(local), 5060), SocketAddr::new(ip(remote), 5060))
        };
        let mut seen = Seen::default();
        // (flows in use, the address that leads there, news)
        let rows = [
            (vec![], Some(1), false),
            (vec![flow(1, 9)], Some(1), false),
            (vec![flow(1, 9)], None, false),
            (vec![flow(1, 9)], None, false),
            (vec![flow(1, 9)], Some(1), true),
            (vec![flow(1, 9)], Some(2), true),
            // It is told once, whatever becomes of it.
            (vec![flow(1, 9)], Some(2), false),
            (vec![flow(2, 9), flow(2, 8)], Some(2), false),
            // A flow that is new and wrong already.
            (vec![flow(2, 9), flow(1, 7)], Some(2), true),
            (vec![flow(2, 9), flow(1, 7)], Some(2), false),
        ];
        for (at, (flows, leads, news)) in rows.into_iter().enumerate() {
            assert_eq!(seen.look(&flows, |_| leads.map(ip)), news, "row {at}");
        }
    }
}
