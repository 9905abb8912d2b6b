//! STUN messages (RFC 8489 §5, §14) with the attributes of ICE (RFC 8445 §16) and TURN (RFC 8656 §18), read and written.
//!
//! Integrity is HMAC-SHA1, which is what ICE has, and what TURN servers ask for.
use ring::hmac;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use thiserror::Error;

const MAGIC: u32 = 0x2112_a442;
const HEADER: usize = 20;
/// More attributes than any message has.
const MOST_ATTRIBUTES: usize = 48;
/// A longer one is not read \[octets\]: no path carries it in one piece, and anybody may send one to be looked through.
const LONGEST: usize = 4096;
const FINGERPRINT_MASK: u32 = 0x5354_554e;
const INTEGRITY_LENGTH: usize = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Request,
    Indication,
    Success,
    Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Binding,
    Allocate,
    Refresh,
    Send,
    Data,
    CreatePermission,
    ChannelBind,
    Other(u16),
}

impl Method {
    fn number(self) -> u16 {
        match self {
            Self::Binding => 1,
            Self::Allocate => 3,
            Self::Refresh => 4,
            Self::Send => 6,
            Self::Data => 7,
            Self::CreatePermission => 8,
            Self::ChannelBind => 9,
            Self::Other(number) => number,
        }
    }

    fn new(number: u16) -> Self {
        match number {
            1 => Self::Binding,
            3 => Self::Allocate,
            4 => Self::Refresh,
            6 => Self::Send,
            7 => Self::Data,
            8 => Self::CreatePermission,
            9 => Self::ChannelBind,
            other => Self::Other(other),
        }
    }
}

/// Attribute types.
pub mod attribute {
    pub const MAPPED_ADDRESS: u16 = 0x0001;
    pub const CHANGE_REQUEST: u16 = 0x0003;
    pub const USERNAME: u16 = 0x0006;
    pub const MESSAGE_INTEGRITY: u16 = 0x0008;
    pub const ERROR_CODE: u16 = 0x0009;
    pub const UNKNOWN_ATTRIBUTES: u16 = 0x000a;
    pub const CHANNEL_NUMBER: u16 = 0x000c;
    pub const LIFETIME: u16 = 0x000d;
    pub const XOR_PEER_ADDRESS: u16 = 0x0012;
    pub const DATA: u16 = 0x0013;
    pub const REALM: u16 = 0x0014;
    pub const NONCE: u16 = 0x0015;
    pub const XOR_RELAYED_ADDRESS: u16 = 0x0016;
    pub const REQUESTED_ADDRESS_FAMILY: u16 = 0x0017;
    pub const REQUESTED_TRANSPORT: u16 = 0x0019;
    pub const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    pub const PRIORITY: u16 = 0x0024;
    pub const USE_CANDIDATE: u16 = 0x0025;
    pub const RESPONSE_PORT: u16 = 0x0027;
    pub const FINGERPRINT: u16 = 0x8028;
    pub const ICE_CONTROLLED: u16 = 0x8029;
    pub const ICE_CONTROLLING: u16 = 0x802a;
    pub const OTHER_ADDRESS: u16 = 0x802c;
}

/// Drawn at random for each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TransactionId(pub [u8; 12]);

impl TransactionId {
    pub fn new(rng: &mut crate::base::rng::Rng) -> Self {
        let mut id = [0; 12];
        rng.fill(&mut id);
        Self(id)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StunError {
    #[error("not a STUN message")]
    NotStun,
    #[error("the message ends too early or too late")]
    Length,
    #[error("the message has too many attributes")]
    TooManyAttributes,
    #[error("the fingerprint is wrong")]
    Fingerprint,
}

/// A message as it came: everything is read from its bytes when asked for.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    pub class: Class,
    pub method: Method,
    pub id: TransactionId,
    /// Those before MESSAGE-INTEGRITY: what stands behind it is not protected (RFC 8489 §14.5).
    attributes: Vec<(u16, &'a [u8])>,
    bytes: &'a [u8],
    /// Where MESSAGE-INTEGRITY begins, and what it says.
    integrity: Option<(usize, &'a [u8])>,
}

impl<'a> Message<'a> {
    /// # Errors
    /// It is not one whole STUN message.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, StunError> {
        let (Some(kind), Some(length), Some(magic)) = (u16_at(bytes, 0), u16_at(bytes, 2), u32_at(bytes, 4)) else {
            return Err(StunError::NotStun);
        };
        if kind & 0xc000 != 0 || magic != MAGIC {
            return Err(StunError::NotStun);
        }
        let id = bytes.get(8..HEADER).and_then(|id| id.try_into().ok()).ok_or(StunError::Length)?;
        if length % 4 != 0 || bytes.len() > LONGEST || bytes.len() != HEADER + usize::from(length) {
            return Err(StunError::Length);
        }
        let class = match kind & 0x0110 {
            0x0000 => Class::Request,
            0x0010 => Class::Indication,
            0x0100 => Class::Success,
            _ => Class::Error,
        };
        let method = Method::new(kind & 0x000f | (kind & 0x00e0) >> 1 | (kind & 0x3e00) >> 2);
        let mut message = Self { class, method, id: TransactionId(id), attributes: Vec::new(), bytes, integrity: None };
        let (mut at, mut count) = (HEADER, 0);
        while at < bytes.len() {
            let (kind, length) = u16_at(bytes, at).zip(u16_at(bytes, at + 2)).ok_or(StunError::Length)?;
            let value = bytes.get(at + 4..at + 4 + usize::from(length)).ok_or(StunError::Length)?;
            count += 1;
            if count > MOST_ATTRIBUTES {
                return Err(StunError::TooManyAttributes);
            }
            match kind {
                attribute::FINGERPRINT => {
                    let told = u32_at(value, 0).filter(|_| value.len() == 4).ok_or(StunError::Fingerprint)?;
                    let before = bytes.get(..at).unwrap_or_default();
                    if told != fingerprint(before) || at + 8 != bytes.len() {
                        return Err(StunError::Fingerprint);
                    }
                }
                attribute::MESSAGE_INTEGRITY if message.integrity.is_none() => message.integrity = Some((at, value)),
                _ if message.integrity.is_some() => {}
                _ => message.attributes.push((kind, value)),
            }
            at += 4 + usize::from(length).next_multiple_of(4);
        }
        Ok(message)
    }

    /// The first of that type.
    pub fn attribute(&self, kind: u16) -> Option<&'a [u8]> {
        self.attributes.iter().find(|(k, _)| *k == kind).map(|(_, value)| *value)
    }

    pub fn has(&self, kind: u16) -> bool {
        self.attribute(kind).is_some()
    }

    pub fn text(&self, kind: u16) -> Option<&'a str> {
        std::str::from_utf8(self.attribute(kind)?).ok()
    }

    pub fn u32(&self, kind: u16) -> Option<u32> {
        self.attribute(kind).filter(|value| value.len() == 4).and_then(|value| u32_at(value, 0))
    }

    pub fn u64(&self, kind: u16) -> Option<u64> {
        self.attribute(kind).and_then(|value| value.try_into().ok()).map(u64::from_be_bytes)
    }

    /// An address that is written XORed (RFC 8489 §14.2).
    pub fn xor_address(&self, kind: u16) -> Option<SocketAddr> {
        let magic = MAGIC.to_be_bytes();
        let mask: Vec<u8> = magic.iter().chain(&self.id.0).copied().collect();
        address(self.attribute(kind)?, MAGIC >> 16, &mask)
    }

    /// An address that is written as it is (RFC 8489 §14.1).
    pub fn plain_address(&self, kind: u16) -> Option<SocketAddr> {
        address(self.attribute(kind)?, 0, &[0; 16])
    }

    /// Our address as the other side saw it.
    pub fn mapped_address(&self) -> Option<SocketAddr> {
        self.xor_address(attribute::XOR_MAPPED_ADDRESS).or_else(|| self.plain_address(attribute::MAPPED_ADDRESS))
    }

    pub fn error_code(&self) -> Option<u16> {
        match self.attribute(attribute::ERROR_CODE)? {
            [_, _, class, number, ..] if *number < 100 => Some(u16::from(class & 7) * 100 + u16::from(*number)),
            _ => None,
        }
    }

    /// Whether it carries a MESSAGE-INTEGRITY made with `key`.
    pub fn is_authentic(&self, key: &[u8]) -> bool {
        let Some((at, told)) = self.integrity else { return false };
        let Some(mut covered) = self.bytes.get(..at).map(<[u8]>::to_vec) else { return false };
        // The length as it was when the sender wrote this attribute (RFC 8489 §14.5).
        set_length(&mut covered, 4 + INTEGRITY_LENGTH);
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
        hmac::verify(&key, &covered, told).is_ok()
    }

    pub fn has_integrity(&self) -> bool {
        self.integrity.is_some()
    }
}

/// Whether this looks like STUN: the first two bits, and the magic cookie.
pub fn is_stun(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| *first < 4) && u32_at(bytes, 4) == Some(MAGIC)
}

/// Writes a message.
#[derive(Clone, Debug)]
pub struct Builder {
    bytes: Vec<u8>,
    id: TransactionId,
}

impl Builder {
    pub fn new(class: Class, method: Method, id: TransactionId) -> Self {
        let number = method.number();
        let class = match class {
            Class::Request => 0,
            Class::Indication => 0x0010,
            Class::Success => 0x0100,
            Class::Error => 0x0110,
        };
        let kind = number & 0x000f | (number & 0x0070) << 1 | (number & 0x0f80) << 2 | class;
        let mut bytes = Vec::with_capacity(128);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(MAGIC.to_be_bytes());
        bytes.extend(id.0);
        Self { bytes, id }
    }

    /// `value` is cut where it is longer than an attribute can be.
    pub fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let value = value.get(..value.len().min(usize::from(u16::MAX) - HEADER - 64)).unwrap_or_default();
        self.bytes.extend(kind.to_be_bytes());
        self.bytes.extend((value.len() as u16).to_be_bytes());
        self.bytes.extend(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        set_length(&mut self.bytes, 0);
        self
    }

    pub fn xor_address(self, kind: u16, address: SocketAddr) -> Self {
        let mut value = vec![0, if address.is_ipv4() { 1 } else { 2 }];
        value.extend((address.port() ^ (MAGIC >> 16) as u16).to_be_bytes());
        let magic = MAGIC.to_be_bytes();
        let mask = magic.iter().chain(&self.id.0);
        match address.ip() {
            IpAddr::V4(ip) => value.extend(ip.octets().iter().zip(mask).map(|(a, b)| a ^ b)),
            IpAddr::V6(ip) => value.extend(ip.octets().iter().zip(mask).map(|(a, b)| a ^ b)),
        }
        self.attribute(kind, &value)
    }

    pub fn error(self, code: u16, reason: &str) -> Self {
        let mut value = vec![0, 0, (code / 100) as u8, (code % 100) as u8];
        value.extend(reason.as_bytes());
        self.attribute(attribute::ERROR_CODE, &value)
    }

    pub fn integrity(mut self, key: &[u8]) -> Self {
        set_length(&mut self.bytes, 4 + INTEGRITY_LENGTH);
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
        let tag = hmac::sign(&key, &self.bytes);
        self.attribute(attribute::MESSAGE_INTEGRITY, tag.as_ref())
    }

    pub fn fingerprint(mut self) -> Self {
        set_length(&mut self.bytes, 8);
        let value = fingerprint(&self.bytes);
        self.attribute(attribute::FINGERPRINT, &value.to_be_bytes())
    }

    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Writes the length of what is there and of `more` octets.
fn set_length(bytes: &mut [u8], more: usize) {
    let length = (bytes.len().saturating_sub(HEADER) + more) as u16;
    if let Some(at) = bytes.get_mut(2..4) {
        at.copy_from_slice(&length.to_be_bytes());
    }
}

fn fingerprint(before: &[u8]) -> u32 {
    crc32(before) ^ FINGERPRINT_MASK
}

/// The CRC-32 of ITU V.42.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, octet: &u8| {
        (0..8).fold(crc ^ u32::from(*octet), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    };
    !bytes.iter().fold(u32::MAX, step)
}

fn address(value: &[u8], port_mask: u32, mask: &[u8]) -> Option<SocketAddr> {
    let port = u16_at(value, 2)? ^ port_mask as u16;
    let octets: Vec<u8> = value.get(4..)?.iter().zip(mask).map(|(a, b)| a ^ b).collect();
    let ip = match (value.get(1)?, value.len()) {
        (1, 8) => IpAddr::V4(Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?)),
        (2, 20) => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use md5::{Digest, Md5};

    /// RFC 5769 §2.1.
    const REQUEST: &str = "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74\
        002400046e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020\
        000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf";
    /// RFC 5769 §2.2, §2.3.
    const RESPONSE_4: &str = "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220\
        002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96";
    const RESPONSE_6: &str = "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220\
        002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c";
    /// RFC 5769 §2.4.
    const LONG_TERM: &str = "000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382afe382b90000\
        0015001c662f2f3439396b393534643 64f4c33346f4c3946535476793634734100 14000b6578616d706c652e6f726700\
        00080014f67024656dd64a3e02b8e0712e85c9a28ca89666";
    const PASSWORD: &[u8] = b"VOkJxbRl1RmTxUk/WvJxBt";

    fn octets(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter_map(|d| char::from(d).to_digit(16)).map(|d| d as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    #[test]
    fn the_vectors_of_rfc_5769() {
        let bytes = octets(REQUEST);
        let request = Message::parse(&bytes).expect("readable");
        assert_eq!((request.class, request.method), (Class::Request, Method::Binding));
        assert_eq!(request.text(attribute::USERNAME), Some("evtj:h6vY"));
        assert_eq!(request.u32(attribute::PRIORITY), Some(0x6e00_01ff));
        assert_eq!(request.u64(attribute::ICE_CONTROLLED), Some(0x932f_f9b1_5126_3b36));
        assert!(request.is_authentic(PASSWORD) && !request.is_authentic(b"other"));
        for (hex, address) in
            [(RESPONSE_4, "192.0.2.1:32853"), (RESPONSE_6, "[2001:db8:1234:5678:11:2233:4455:6677]:32853")]
        {
            let bytes = octets(hex);
            let response = Message::parse(&bytes).expect("readable");
            assert_eq!(response.class, Class::Success);
            assert_eq!(response.mapped_address(), address.parse().ok());
            assert!(response.is_authentic(PASSWORD));
        }
        let bytes = octets(LONG_TERM);
        let request = Message::parse(&bytes).expect("readable");
        assert_eq!(request.text(attribute::REALM), Some("example.org"));
        let key = Md5::digest("マトリックス:example.org:TheMatrIX".as_bytes());
        assert!(request.is_authentic(&key));
    }

    #[test]
    fn every_changed_bit_is_seen() {
        let good = octets(REQUEST);
        // The fingerprint, which stands last, protects from accidents only.
        for bit in 0..(good.len() - 8) * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let authentic = Message::parse(&bad).is_ok_and(|m| m.is_authentic(PASSWORD));
            assert!(!authentic, "bit {bit}");
        }
        for bit in (good.len() - 4) * 8..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Message::parse(&bad).err(), Some(StunError::Fingerprint), "bit {bit}");
        }
        // A response to another of our requests has another identifier, and the address is told with it.
        for end in 0..good.len() {
            assert!(Message::parse(&good[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn what_is_not_stun_or_is_broken() {
        let mut rng = Rng::from_u64(3);
        for _ in 0..20_000 {
            let mut noise = vec![0; rng.range(0, 80) as usize];
            rng.fill(&mut noise);
            if noise.len() >= 8 {
                noise[0] &= 3;
                noise[4..8].copy_from_slice(&MAGIC.to_be_bytes());
                let length = (noise.len() as u16).saturating_sub(20);
                noise[2..4].copy_from_slice(&length.to_be_bytes());
            }
            if let Ok(message) = Message::parse(&noise) {
                let _ = (message.mapped_address(), message.error_code(), message.is_authentic(b"x"));
            }
        }
        let id = TransactionId([7; 12]);
        let mut many = Builder::new(Class::Request, Method::Binding, id);
        for _ in 0..=MOST_ATTRIBUTES {
            many = many.attribute(0x8000, b"");
        }
        assert_eq!(Message::parse(&many.finish()).err(), Some(StunError::TooManyAttributes));
        let long =
            |length| Builder::new(Class::Request, Method::Binding, id).attribute(0x8000, &vec![0; length]).finish();
        assert!(Message::parse(&long(LONGEST - HEADER - 4)).is_ok());
        assert_eq!(Message::parse(&long(LONGEST - HEADER)).err(), Some(StunError::Length));
        // Protected or not: what stands behind the integrity is not believed.
        let late =
            Builder::new(Class::Request, Method::Binding, id).integrity(b"k").attribute(attribute::PRIORITY, &[0; 4]);
        let late = late.finish();
        let read = Message::parse(&late).expect("readable");
        assert!(read.is_authentic(b"k") && !read.has(attribute::PRIORITY));
    }

    #[test]
    fn what_is_written_is_read() {
        let id = TransactionId::new(&mut Rng::from_u64(9));
        for address in ["192.0.2.1:9", "[2001:db8::1]:65535"] {
            let address: SocketAddr = address.parse().expect("address");
            for method in [Method::Binding, Method::Allocate, Method::Data, Method::ChannelBind, Method::Other(0xfff)] {
                for class in [Class::Request, Class::Indication, Class::Success, Class::Error] {
                    let bytes = Builder::new(class, method, id)
                        .xor_address(attribute::XOR_PEER_ADDRESS, address)
                        .error(438, "Stale Nonce")
                        .attribute(attribute::DATA, b"abcde")
                        .integrity(b"key")
                        .fingerprint()
                        .finish();
                    let read = Message::parse(&bytes).expect("readable");
                    assert_eq!((read.class, read.method, read.id), (class, method, id));
                    assert_eq!(read.xor_address(attribute::XOR_PEER_ADDRESS), Some(address));
                    assert_eq!((read.error_code(), read.attribute(attribute::DATA)), (Some(438), Some(&b"abcde"[..])));
                    assert!(read.is_authentic(b"key"));
                }
            }
        }
    }
}
