//! The addresses of this machine that a peer may be able to reach (RFC 8445 §5.1.1.1).
use std::ffi::CStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ptr;

/// An address of an interface that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    pub name: String,
    pub ip: IpAddr,
    /// A line to one peer, as most VPNs are.
    pub is_point_to_point: bool,
}

/// Addresses beside `primary`, which leads to the server; none unless they are `wanted`.
pub fn usable(primary: IpAddr, wanted: bool) -> Vec<IpAddr> {
    if wanted { interleaved(primary, select(primary, &all())) } else { Vec::new() }
}

fn all() -> Vec<IpAddr> {
    list().into_iter().map(|interface| interface.ip).collect()
}

/// The families by turns, so that a broken one costs no more than every second check (RFC 8421 §4); that of `primary` has
/// had its turn.
fn interleaved(primary: IpAddr, others: Vec<IpAddr>) -> Vec<IpAddr> {
    let (mut same, mut other) = (Vec::new(), Vec::new());
    others.into_iter().for_each(|ip| if ip.is_ipv4() == primary.is_ipv4() { same.push(ip) } else { other.push(ip) });
    let longest = same.len().max(other.len());
    (0..longest).flat_map(|at| [other.get(at), same.get(at)]).flatten().copied().collect()
}

/// Loopback leads nowhere, link-local addresses need a scope that no peer knows, and what is deprecated for ICE stays out:
/// site-local and IPv4 addresses written as IPv6 (RFC 8445 §5.1.1.1).
fn select(primary: IpAddr, all: &[IpAddr]) -> Vec<IpAddr> {
    let mut out: Vec<IpAddr> = Vec::new();
    for ip in all.iter().filter(|ip| **ip != primary) {
        let usable = match ip {
            IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local() && !ip.is_unspecified(),
            IpAddr::V6(ip) => {
                let site_local = ip.segments().first().is_some_and(|first| first & 0xffc0 == 0xfec0);
                let special = ip.is_loopback() || ip.is_unspecified() || ip.is_unicast_link_local();
                !special && !site_local && ip.to_ipv4_mapped().is_none()
            }
        };
        // Of the many addresses an interface may have for IPv6, one of each network is enough.
        let network = |ip: &IpAddr| match ip {
            IpAddr::V4(_) => None,
            IpAddr::V6(ip) => ip.segments().first_chunk::<4>().copied(),
        };
        let again =
            network(ip).is_some_and(|own| out.iter().chain([&primary]).filter_map(network).any(|other| other == own));
        if usable && !again && !out.contains(ip) {
            out.push(*ip);
        }
    }
    out
}

/// All addresses of interfaces that are up.
pub fn list() -> Vec<Interface> {
    let mut out = Vec::new();
    let mut list: *mut libc::ifaddrs = ptr::null_mut();
    // SAFETY: the list is read only after the call succeeded, each of its entries until the next one is null, and an
    // address as what its family says, a name as the string it is; it is freed once.
    unsafe {
        if libc::getifaddrs(&raw mut list) != 0 {
            return out;
        }
        let mut entry = list;
        while let Some(interface) = entry.as_ref() {
            let up = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_uint;
            if interface.ifa_flags & up == up
                && let Some(address) = interface.ifa_addr.as_ref()
            {
                let ip: Option<IpAddr> = match i32::from(address.sa_family) {
                    libc::AF_INET => {
                        let address = interface.ifa_addr.cast::<libc::sockaddr_in>().read_unaligned();
                        Some(Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr)).into())
                    }
                    libc::AF_INET6 => {
                        let address = interface.ifa_addr.cast::<libc::sockaddr_in6>().read_unaligned();
                        Some(Ipv6Addr::from(address.sin6_addr.s6_addr).into())
                    }
                    _ => None,
                };
                let name = match interface.ifa_name.is_null() {
                    true => String::new(),
                    false => CStr::from_ptr(interface.ifa_name).to_string_lossy().into_owned(),
                };
                let is_point_to_point = interface.ifa_flags & libc::IFF_POINTOPOINT as libc::c_uint != 0;
                out.extend(ip.map(|ip| Interface { name, ip, is_point_to_point }));
            }
            entry = interface.ifa_next;
        }
        libc::freeifaddrs(list);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_peer_may_reach() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("address");
        let all = [
            "127.0.0.1",
            "::1",
            "169.254.3.3",
            "fe80::1",
            "fec0::1",
            "::ffff:192.0.2.3",
            "192.0.2.1",
            "192.0.2.2",
            "192.0.2.2",
            "2001:db8::1",
            "2001:db8::2",
            "fd00::7",
        ];
        let all: Vec<IpAddr> = all.iter().map(|text| ip(text)).collect();
        assert_eq!(select(ip("192.0.2.1"), &all), [ip("192.0.2.2"), ip("2001:db8::1"), ip("fd00::7")]);
        assert_eq!(select(ip("2001:db8::2"), &all), [ip("192.0.2.1"), ip("192.0.2.2"), ip("fd00::7")]);
        assert!(usable(ip("192.0.2.1"), false).is_empty());
        let (four, six) = (["192.0.2.2", "192.0.2.3", "192.0.2.4"].map(ip), ["2001:db8::1", "fd00::7"].map(ip));
        let others = [&four[..], &six[..]].concat();
        let by_turns = [six[0], four[0], six[1], four[1], four[2]];
        assert_eq!(interleaved(ip("192.0.2.1"), others.clone()), by_turns);
        assert_eq!(interleaved(ip("2001:db8::9"), others), [four[0], six[0], four[1], six[1], four[2]]);
    }

    #[test]
    fn this_machine_has_a_loopback_address() {
        assert!(all().contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
    }
}
