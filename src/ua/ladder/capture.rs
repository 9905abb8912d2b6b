//! Ladders as files other programs read: taken above TLS and WebSockets, so that they are readable whatever protected them.
//!
//! - pcapng, link type 252: each message as an exported PDU with the tag of the SIP dissector, its transport, addresses and
//!   ports. Wireshark reads it whatever the ports are, and nothing is made up.
//! - pcap, link type 101: each message as one UDP datagram between the true addresses, for programs that know nothing but
//!   IP packets (sngrep, HOMER's capture agents). That it was TCP or TLS is seen in its Via alone.
use super::{LadderEntry, text};
use crate::base::net::Flow;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a ladder is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Pcapng,
    Pcap,
    Text,
}

impl Format {
    /// By the ending of the name of a file.
    ///
    /// # Errors
    /// Which endings there are.
    pub fn of(name: &str) -> Result<Self, String> {
        match name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).as_deref() {
            Some("pcapng") => Ok(Self::Pcapng),
            Some("pcap") => Ok(Self::Pcap),
            Some("txt") => Ok(Self::Text),
            _ => Err(format!("{name}: the name must end in .pcapng (Wireshark), .pcap (sngrep and others) or .txt")),
        }
    }
}

/// The rows of a ladder as the content of a file.
///
/// - `secrets`: credentials and keys are written as they were.
pub fn export(format: Format, title: &str, rows: &[impl AsRef<LadderEntry>], secrets: bool) -> Vec<u8> {
    match format {
        Format::Text => text::report(title, rows, secrets).into_bytes(),
        Format::Pcapng => {
            let mut out = pcapng_head(title, secrets);
            sightings(rows)
                .into_iter()
                .for_each(|(wall, row, flow)| enhanced_packet(&mut out, wall, row, flow, secrets));
            out
        }
        Format::Pcap => {
            let mut out = pcap_head();
            sightings(rows).into_iter().for_each(|(wall, row, flow)| packet(&mut out, wall, row, flow, secrets));
            out
        }
    }
}

/// Each time a message was seen, repetitions included, in the order of time.
fn sightings(rows: &[impl AsRef<LadderEntry>]) -> Vec<(SystemTime, &LadderEntry, Flow)> {
    let messages = rows.iter().map(AsRef::as_ref).filter_map(|row| Some((row, row.flow?)));
    let mut all: Vec<_> = messages
        .flat_map(|(row, flow)| {
            let times = std::iter::once(Duration::ZERO).chain(row.again.iter().copied());
            times.map(move |later| (row.wall + later, row, flow))
        })
        .collect();
    all.sort_by_key(|(wall, ..)| *wall);
    all
}

fn content(row: &LadderEntry, secrets: bool) -> Vec<u8> {
    if secrets { row.wire.exposed().to_vec() } else { row.wire.masked() }
}

/// From whom and to whom.
fn ends(row: &LadderEntry, flow: Flow) -> (SocketAddr, SocketAddr) {
    if row.sent { (flow.local, flow.remote) } else { (flow.remote, flow.local) }
}

fn micros(wall: SystemTime) -> u64 {
    u64::try_from(wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
}

const LINKTYPE_RAW: u32 = 101;
const LINKTYPE_EXPORTED_PDU: u16 = 252;
const SNAP: u32 = 262_144;

fn pcap_head() -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(0xa1b2_c3d4_u32.to_le_bytes());
    out.extend(2_u16.to_le_bytes());
    out.extend(4_u16.to_le_bytes());
    for field in [0, 0, SNAP, LINKTYPE_RAW] {
        out.extend(field.to_le_bytes());
    }
    out
}

fn packet(out: &mut Vec<u8>, wall: SystemTime, row: &LadderEntry, flow: Flow, secrets: bool) {
    let (from, to) = ends(row, flow);
    let content = content(row, secrets);
    let datagram = datagram(from, to, &content);
    let micros = micros(wall);
    let lost = row.wire.length().saturating_sub(content.len());
    for field in [micros / 1_000_000, micros % 1_000_000, datagram.len() as u64, (datagram.len() + lost) as u64] {
        out.extend(u32::try_from(field).unwrap_or(u32::MAX).to_le_bytes());
    }
    out.extend(datagram);
}

/// UDP in IP, its checksums right (RFC 768, RFC 791, RFC 8200). What is kept of a message is shorter than a datagram may be.
fn datagram(from: SocketAddr, to: SocketAddr, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + content.len()).unwrap_or(u16::MAX);
    let mut udp = Vec::with_capacity(usize::from(length));
    udp.extend(from.port().to_be_bytes());
    udp.extend(to.port().to_be_bytes());
    udp.extend(length.to_be_bytes());
    udp.extend([0, 0]);
    udp.extend(content);
    let mut pseudo = Vec::new();
    let mut packet = Vec::new();
    match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            pseudo.extend(from.octets());
            pseudo.extend(to.octets());
            pseudo.extend([0, 17]);
            packet.extend([0x45, 0]);
            packet.extend(length.saturating_add(20).to_be_bytes());
            packet.extend([0, 0, 0, 0, 64, 17, 0, 0]);
            packet.extend(from.octets());
            packet.extend(to.octets());
            let sum = checksum(&[&packet]).to_be_bytes();
            packet.splice(10..12, sum);
        }
        (from, to) => {
            let octets = |ip: IpAddr| match ip {
                IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                IpAddr::V6(ip) => ip.octets(),
            };
            pseudo.extend(octets(from));
            pseudo.extend(octets(to));
            pseudo.extend([0, 17]);
            packet.extend([0x60, 0, 0, 0]);
            packet.extend(length.to_be_bytes());
            packet.extend([17, 64]);
            packet.extend(octets(from));
            packet.extend(octets(to));
        }
    }
    pseudo.extend(length.to_be_bytes());
    let sum = match checksum(&[&pseudo, &udp]) {
        0 => u16::MAX,
        sum => sum,
    };
    udp.splice(6..8, sum.to_be_bytes());
    packet.extend(udp);
    packet
}

/// The Internet checksum (RFC 1071); all parts but the last have an even length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let words = parts.iter().flat_map(|part| part.chunks(2));
    let value =
        |pair: &[u8]| u32::from(pair.first().copied().unwrap_or(0)) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
    let mut sum: u32 = words.map(value).sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

fn pcapng_head(title: &str, secrets: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut section = Vec::new();
    section.extend(0x1a2b_3c4d_u32.to_le_bytes());
    section.extend(1_u16.to_le_bytes());
    section.extend(0_u16.to_le_bytes());
    section.extend(u64::MAX.to_le_bytes());
    let masked =
        if secrets { "credentials and media keys included" } else { "credentials and media keys overwritten with x" };
    option(&mut section, 1, format!("{title}; {masked}").as_bytes());
    option(&mut section, 4, b"offhook");
    section.extend([0; 4]);
    block(&mut out, 0x0a0d_0d0a, &section);
    let mut interface = Vec::new();
    interface.extend(LINKTYPE_EXPORTED_PDU.to_le_bytes());
    interface.extend([0, 0]);
    interface.extend(SNAP.to_le_bytes());
    option(&mut interface, 2, b"sip");
    option(&mut interface, 9, &[6]);
    interface.extend([0; 4]);
    block(&mut out, 1, &interface);
    out
}

fn enhanced_packet(out: &mut Vec<u8>, wall: SystemTime, row: &LadderEntry, flow: Flow, secrets: bool) {
    let (from, to) = ends(row, flow);
    let mut pdu = Vec::new();
    tag(&mut pdu, 12, b"sip");
    for (ip, v4, v6) in [(from.ip(), 20, 22), (to.ip(), 21, 23)] {
        match ip {
            IpAddr::V4(ip) => tag(&mut pdu, v4, &ip.octets()),
            IpAddr::V6(ip) => tag(&mut pdu, v6, &ip.octets()),
        }
    }
    let port_type: u32 = if flow.transport.is_reliable() { 2 } else { 3 };
    tag(&mut pdu, 24, &port_type.to_be_bytes());
    tag(&mut pdu, 25, &u32::from(from.port()).to_be_bytes());
    tag(&mut pdu, 26, &u32::from(to.port()).to_be_bytes());
    tag(&mut pdu, 0, &[]);
    let content = content(row, secrets);
    let lost = row.wire.length().saturating_sub(content.len());
    pdu.extend(content);
    let mut packet = Vec::new();
    let micros = micros(wall);
    for field in [0, micros >> 32, micros & 0xffff_ffff, pdu.len() as u64, (pdu.len() + lost) as u64] {
        packet.extend(u32::try_from(field).unwrap_or(u32::MAX).to_le_bytes());
    }
    packet.extend(&pdu);
    pad(&mut packet);
    if flow.transport.is_secure() || flow.transport.is_websocket() {
        option(&mut packet, 1, format!("over {}", flow.transport.name()).as_bytes());
    }
    let direction: u32 = if row.sent { 2 } else { 1 };
    option(&mut packet, 2, &direction.to_le_bytes());
    packet.extend([0; 4]);
    block(out, 6, &packet);
}

/// A block of pcapng; its content is a multiple of four long.
fn block(out: &mut Vec<u8>, kind: u32, content: &[u8]) {
    let length = u32::try_from(content.len() + 12).unwrap_or(u32::MAX).to_le_bytes();
    out.extend(kind.to_le_bytes());
    out.extend(length);
    out.extend(content);
    out.extend(length);
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = value.get(..value.len().min(2_000)).unwrap_or_default();
    out.extend(code.to_le_bytes());
    out.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend(value);
    pad(out);
}

/// A tag of an exported PDU, in network order.
fn tag(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let padded = value.len().next_multiple_of(4);
    out.extend(kind.to_be_bytes());
    out.extend(u16::try_from(padded).unwrap_or(u16::MAX).to_be_bytes());
    out.extend(value);
    pad(out);
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_in_the_name() {
        let rows = [
            ("a", None),
            ("a.pcapx", None),
            ("pcap", None),
            ("a.PCAP", Some(Format::Pcap)),
            ("a.b.pcapng", Some(Format::Pcapng)),
            ("a.txt", Some(Format::Text)),
        ];
        for (name, format) in rows {
            assert_eq!(Format::of(name).ok(), format, "{name}");
        }
    }

    #[test]
    fn checksums_are_those_of_the_rfc() {
        // The example of RFC 1071 §3.
        assert_eq!(checksum(&[&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]]), !0xddf2);
        let (from, to) = (([192, 0, 2, 1], 5060).into(), ([192, 0, 2, 2], 5060).into());
        for content in [&b""[..], b"a", b"ab"] {
            let packet = datagram(from, to, content);
            assert_eq!(checksum(&[&packet[..20]]), 0, "the head with its checksum sums up to nothing");
            let pseudo = [&packet[12..20], &[0, 17], &packet[24..26]].concat();
            assert_eq!(checksum(&[&pseudo, &packet[20..]]), 0);
        }
    }

    #[test]
    fn ip_of_either_family_carries_the_message() {
        let packet = datagram(
            "[2001:db8::1]:5060".parse().expect("an address"),
            "[2001:db8::2]:5061".parse().expect("an address"),
            b"ACK",
        );
        assert_eq!((packet[0] >> 4, packet.len(), &packet[48..]), (6, 40 + 8 + 3, &b"ACK"[..]));
    }
}
