//! Where the peer's media is, as a line of its description says: one address (RFC 3264 §8.3.1), or candidates (RFC 8839).
use super::SdpError;
use super::attribute::{Address, View};
use super::candidate::{self, Ice, RemoteIce};
use super::keying::Addresses;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

#[derive(Clone, Debug)]
pub(super) struct Reach {
    /// How the line stands to ICE; `Not` where we have none ourselves.
    pub ice: Ice,
    /// Unspecified when the peer wants nothing sent.
    pub rtp: SocketAddr,
}

impl Reach {
    /// - `ours`: the address of our own side.
    /// - `with_ice`: our side has ICE.
    ///
    /// # Errors
    /// There is no address, or one we cannot send to.
    pub fn read(theirs: View<'_>, ours: IpAddr, with_ice: bool) -> Result<Self, SdpError> {
        let ice = if with_ice { candidate::read(theirs) } else { Ice::Not };
        let rtp = address(theirs, ours, matches!(ice, Ice::Full(_)))?;
        Ok(Self { ice, rtp })
    }

    /// What an association stands between.
    pub fn addresses(&self, own: SocketAddr) -> Addresses {
        self.agreed_ice().is_none().then_some((own, self.rtp))
    }

    /// What the peer said of itself, where both sides use ICE.
    pub fn agreed_ice(&self) -> Option<&RemoteIce> {
        match &self.ice {
            Ice::Full(ice) => Some(ice),
            Ice::Mismatch | Ice::Not => None,
        }
    }
}

/// The address the line names, which must be of our own IP version.
///
/// - `by_ice`: unless candidates are checked: then it is only one of them, and the pair that was chosen may be of another
///   version than what the peer names by default (RFC 8839 §4.2.2).
fn address(theirs: View<'_>, ours: IpAddr, by_ice: bool) -> Result<SocketAddr, SdpError> {
    let ip = match theirs.address()? {
        Address::Ip(ip) if by_ice || ip.is_ipv4() == ours.is_ipv4() => ip,
        Address::Ip(ip) => return Err(SdpError::AddressFamily { peer: ip.to_string(), ours: ours.to_string() }),
        Address::Nowhere if ours.is_ipv4() => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        Address::Nowhere => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    Ok(SocketAddr::new(ip, theirs.line.port))
}
