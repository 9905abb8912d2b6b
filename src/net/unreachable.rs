//! What the network says of datagrams that did not arrive: ICMP errors (RFC 792, RFC 1812 §5.2.7, RFC 4443 §3), as Linux
//! hands them to an unconnected socket. Other systems tell nothing here, and the timers of the transactions decide.
use std::net::SocketAddr;

/// Why a datagram did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    Port,
    Host,
    Network,
    Prohibited,
    Loop,
}

/// One error, about a datagram that was sent to `destination`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    pub destination: SocketAddr,
    pub reason: Reason,
}

impl Notice {
    /// What an ICMP message of that type and code says; `None` for those that refuse nothing (a datagram that was too large,
    /// for one, is cut up by the kernel the next time).
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "no other system tells us"))]
    fn of(destination: SocketAddr, is_ipv6: bool, kind: u8, code: u8) -> Option<Self> {
        let reason = match (is_ipv6, kind, code) {
            (false, 3, 3) | (true, 1, 4) => Reason::Port,
            (false, 3, 1 | 2 | 5 | 7 | 8 | 12) | (true, 1, 2 | 3) => Reason::Host,
            (false, 3, 0 | 6 | 11) | (true, 1, 0) => Reason::Network,
            (false, 3, 9 | 10 | 13 | 14 | 15) | (true, 1, 1 | 5 | 6) => Reason::Prohibited,
            (false, 11, 0) | (true, 3, 0) => Reason::Loop,
            _ => return None,
        };
        Some(Self { destination, reason })
    }

    /// For the user.
    pub fn words(&self) -> String {
        let to = self.destination;
        match self.reason {
            Reason::Port => format!("nothing listens at {to}"),
            Reason::Host => format!("{} cannot be reached: the host does not answer", to.ip()),
            Reason::Network => format!("there is no way to the network of {}", to.ip()),
            Reason::Prohibited => format!("a firewall forbids the way to {to}"),
            Reason::Loop => format!("packets to {} go round in circles", to.ip()),
        }
    }
}

#[cfg(target_os = "linux")]
pub use linux::{ask, next};

#[cfg(target_os = "linux")]
mod linux {
    use super::Notice;
    use socket2::SockAddrStorage;
    use std::io;
    use std::mem::{size_of, size_of_val, zeroed};
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd;

    /// Wants to be told.
    pub fn ask(socket: &UdpSocket) -> io::Result<()> {
        let (level, option) = match socket.local_addr()?.is_ipv4() {
            true => (libc::IPPROTO_IP, libc::IP_RECVERR),
            false => (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
        };
        let on: libc::c_int = 1;
        // SAFETY: the option is an int, and its length is told.
        let result = unsafe {
            let length = size_of::<libc::c_int>() as libc::socklen_t;
            libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const on).cast(), length)
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// The next error that waits, with what it quotes of the datagram; `None` for one that refuses nothing.
    ///
    /// # Errors
    /// `WouldBlock` when none waits.
    pub fn next<'a>(socket: &impl AsRawFd, buffer: &'a mut [u8]) -> io::Result<Option<(Notice, &'a [u8])>> {
        // Room for the error and the address of whoever reports it; 8-byte aligned as control messages must be.
        let mut control = [0_u64; 32];
        // SAFETY: every pointer in `message` outlives the call and is given with its length; the control messages are
        // walked by the libc macros within the length the kernel returned; the error's record is read unaligned.
        let (length, address, record) = unsafe {
            let mut storage = SockAddrStorage::zeroed();
            let mut vector = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
            let mut message: libc::msghdr = zeroed();
            message.msg_name = (&raw mut storage).cast();
            message.msg_namelen = storage.size_of();
            message.msg_iov = &raw mut vector;
            message.msg_iovlen = 1;
            message.msg_control = control.as_mut_ptr().cast();
            message.msg_controllen = size_of_val(&control) as _;
            let length = libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT);
            let Ok(length) = usize::try_from(length) else { return Err(io::Error::last_os_error()) };
            let mut record = None;
            let mut header = libc::CMSG_FIRSTHDR(&raw const message);
            while !header.is_null() {
                let kind = ((*header).cmsg_level, (*header).cmsg_type);
                if matches!(kind, (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)) {
                    record = Some(libc::CMSG_DATA(header).cast::<libc::sock_extended_err>().read_unaligned());
                }
                header = libc::CMSG_NXTHDR(&raw const message, header);
            }
            (length, socket2::SockAddr::new(storage, message.msg_namelen).as_socket(), record)
        };
        let (Some(destination), Some(record)) = (address, record) else { return Ok(None) };
        let is_ipv6 = match record.ee_origin {
            libc::SO_EE_ORIGIN_ICMP => false,
            libc::SO_EE_ORIGIN_ICMP6 => true,
            // The kernel's own complaint about a datagram; whoever sent it was told.
            _ => return Ok(None),
        };
        let notice = Notice::of(destination, is_ipv6, record.ee_type, record.ee_code);
        Ok(notice.map(|notice| (notice, buffer.get(..length).unwrap_or_default())))
    }
}

#[cfg(not(target_os = "linux"))]
pub fn ask(_: &std::net::UdpSocket) -> std::io::Result<()> {
    Ok(())
}

#[cfg(not(target_os = "linux"))]
pub fn next<'a, S>(_: &S, _: &'a mut [u8]) -> std::io::Result<Option<(Notice, &'a [u8])>> {
    Err(std::io::ErrorKind::WouldBlock.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_and_codes() {
        // (IPv6, type, code, meaning)
        let rows = [
            (false, 0, 0, None),
            (false, 3, 4, None),
            (false, 4, 0, None),
            (false, 11, 1, None),
            (false, 12, 0, None),
            (false, 3, 16, None),
            (true, 2, 0, None),
            (true, 3, 3, None),
            (true, 1, 7, None),
            (true, 128, 0, None),
            (false, 3, 3, Some(Reason::Port)),
            (true, 1, 4, Some(Reason::Port)),
            (false, 3, 1, Some(Reason::Host)),
            (true, 1, 3, Some(Reason::Host)),
            (false, 3, 0, Some(Reason::Network)),
            (true, 1, 0, Some(Reason::Network)),
            (false, 3, 13, Some(Reason::Prohibited)),
            (true, 1, 1, Some(Reason::Prohibited)),
            (false, 11, 0, Some(Reason::Loop)),
            (true, 3, 0, Some(Reason::Loop)),
        ];
        for (is_ipv6, kind, code, meaning) in rows {
            let notice = Notice::of(SocketAddr::from(([192, 0, 2, 1], 5060)), is_ipv6, kind, code);
            assert_eq!(notice.map(|notice| notice.reason), meaning, "{is_ipv6} {kind} {code}");
        }
    }
}
