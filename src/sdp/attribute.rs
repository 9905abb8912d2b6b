//! What the attributes around a media line say: address, direction (RFC 3264), packet time (RFC 8866 §6.4),
//! RTCP port (RFC 3605), multiplexing (RFC 5761), RTCP bandwidth (RFC 3556).
use super::SdpError;
use super::session::{Attribute, Bandwidth, Host, MediaLine, Session};
use crate::base::untrusted::Untrusted;
use crate::media::spec::{Codec, Direction};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The longest packet time that is believed \[ms\].
const MAX_PTIME: f64 = 1000.0;

/// A media line with the session it stands in: what the line does not say, the session may.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub session: &'a Session,
    pub line: &'a MediaLine,
}

/// A media address: reachable, or the way RFC 3264 §8.4 and RFC 6157 §4 say "send nothing".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Ip(IpAddr),
    Nowhere,
}

impl MediaLine {
    /// The first attribute of that name on this line.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        find(&self.attributes, name)
    }
}

fn find<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a Attribute> {
    attributes.iter().find(|a| a.name.eq_ignore_ascii_case(name))
}

impl<'a> View<'a> {
    pub fn at(session: &'a Session, line: usize) -> Option<Self> {
        session.media.get(line).map(|line| Self { session, line })
    }

    /// What the line says, else what the session says for all its lines.
    pub fn attribute(self, name: &str) -> Option<&'a Attribute> {
        find(&self.line.attributes, name).or_else(|| find(&self.session.attributes, name))
    }

    /// The direction as the describing side sees it; `sendrecv` unless said otherwise. Who gives no address cannot
    /// receive, whatever else is said (RFC 3264 §8.4).
    pub fn direction(self) -> Direction {
        let of = |attributes: &[Attribute]| attributes.iter().find_map(|a| super::direction::from_name(&a.name));
        let said = of(&self.line.attributes).or_else(|| of(&self.session.attributes)).unwrap_or(Direction::SendRecv);
        match self.address() {
            // With ICE the addresses are those of candidates.
            Ok(Address::Nowhere) if self.line.attribute("ice-ufrag").is_none() => Direction::new(said.sends(), false),
            Ok(Address::Nowhere | Address::Ip(_)) | Err(_) => said,
        }
    }

    /// # Errors
    /// No `c=` at all, a name, a multicast address, or no address.
    pub fn address(self) -> Result<Address, SdpError> {
        let host = self.line.connection.as_ref().or(self.session.connection.as_ref());
        match host.ok_or(SdpError::Missing("c="))? {
            Host::Ip(ip) if ip.to_canonical().is_unspecified() => Ok(Address::Nowhere),
            Host::Ip(ip) if ip.to_canonical().is_multicast() => Err(SdpError::Multicast(ip.to_string())),
            Host::Ip(ip) => Ok(Address::Ip(*ip)),
            Host::Name { name, .. } if is_invalid(name) => Ok(Address::Nowhere),
            Host::Name { name, .. } if is_host_name(name) => Err(SdpError::HostName(name.clone())),
            Host::Name { name, .. } => Err(SdpError::Address(Untrusted::new(name.as_str()).sanitize(60))),
        }
    }

    /// How long the packets are that the describing side wants to get, and the longest it takes.
    pub fn ptime(self) -> (Option<Duration>, Option<Duration>) {
        (self.milliseconds("ptime"), self.milliseconds("maxptime"))
    }

    fn milliseconds(self, name: &str) -> Option<Duration> {
        let found = find(&self.line.attributes, name).or_else(|| find(&self.session.attributes, name))?;
        let value: f64 = found.value.as_deref()?.trim().parse().ok()?;
        (value > 0.0 && value <= MAX_PTIME).then(|| Duration::from_secs_f64(value / 1000.0))
    }

    pub fn rtcp_mux(self) -> bool {
        self.line.attribute("rtcp-mux").is_some() || self.is_mux_only()
    }

    /// Who describes itself has no other port for RTCP (RFC 8858).
    pub fn is_mux_only(self) -> bool {
        self.line.attribute("rtcp-mux-only").is_some()
    }

    /// Where RTCP goes when it has a port of its own: `a=rtcp`, else the port above (RFC 3605).
    pub fn rtcp(self, rtp: SocketAddr) -> SocketAddr {
        let above = SocketAddr::new(rtp.ip(), rtp.port().checked_add(1).unwrap_or(rtp.port()));
        let Some(value) = self.line.attribute("rtcp").and_then(|a| a.value.as_deref()) else { return above };
        let mut words = value.split_whitespace();
        let Some(port) = words.next().and_then(|w| w.parse().ok()).filter(|port| *port != 0) else { return above };
        let ip = words.nth(2).and_then(|w| w.parse::<IpAddr>().ok());
        let (nowhere, all) = (IpAddr::is_unspecified, IpAddr::is_multicast);
        let ip =
            ip.filter(|ip| ip.is_ipv4() == rtp.is_ipv4() && ![nowhere, all].iter().any(|is| is(&ip.to_canonical())));
        SocketAddr::new(ip.unwrap_or(rtp.ip()), port)
    }

    /// The RTCP bandwidth of the stream [bit/s]: `RS` and `RR`, else 5 % of `AS`, else 5 % of what the codec takes.
    pub fn rtcp_bandwidth(self, codec: Codec) -> u32 {
        let of = |kind: &str| {
            let is = |b: &&Bandwidth| b.kind.eq_ignore_ascii_case(kind);
            self.line.bandwidths.iter().find(is).or_else(|| self.session.bandwidths.iter().find(is)).map(|b| b.value)
        };
        let bits = match (of("RS"), of("RR"), of("AS")) {
            (Some(senders), Some(receivers), _) => senders.saturating_add(receivers),
            (_, _, Some(kilobits)) => kilobits.saturating_mul(50),
            (_, _, None) => match codec {
                Codec::Pcmu | Codec::Pcma => 80_000 / 20,
                Codec::Opus => 64_000 / 20,
            },
        };
        u32::try_from(bits).unwrap_or(u32::MAX)
    }
}

/// `invalid` is the top-level domain that never resolves (RFC 6761).
fn is_invalid(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "invalid" || name.ends_with(".invalid")
}

/// Letters, digits and hyphens in labels (RFC 1123 §2.1), which is what can be looked up and shown as it is.
fn is_host_name(name: &str) -> bool {
    let label =
        |l: &str| (1..=63).contains(&l.len()) && l.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    let digits_only = name.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    name.len() <= 253 && !digits_only && name.trim_end_matches('.').split('.').all(label)
}
