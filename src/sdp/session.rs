//! A session description as data (RFC 8866 §5), read through `sdp-rs`, and its text.
use super::SdpError;
use super::normalise::{NO_FORMAT, normalise};
use crate::base::untrusted::Untrusted;
use std::fmt;
use std::net::IpAddr;

/// Columns of a session name or information line that are kept when it is written again.
const MAX_TEXT: usize = 256;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub origin: Origin,
    pub name: Untrusted,
    pub information: Untrusted,
    pub connection: Option<Host>,
    pub bandwidths: Vec<Bandwidth>,
    /// `t=`: start and stop, `0 0` for calls.
    pub timing: String,
    pub attributes: Vec<Attribute>,
    pub media: Vec<MediaLine>,
}

/// `o=`. Identifier and version are numbers by the RFC, but only compared, and not all peers keep to 64 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    pub username: String,
    pub session_id: String,
    pub version: String,
    pub address: Host,
}

/// The address of `o=` and `c=`; a name is legal in both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    Ip(IpAddr),
    /// The address type as written, and the name.
    Name {
        kind: String,
        name: String,
    },
}

/// `b=`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bandwidth {
    pub kind: String,
    /// [kbit/s] for `AS`, `CT`; [bit/s] for `RS`, `RR`, `TIAS`.
    pub value: u64,
}

/// `a=name` or `a=name:value`
#[derive(Clone, PartialEq, Eq)]
pub struct Attribute {
    pub name: String,
    pub value: Option<String>,
}

/// Keys are not printed.
impl fmt::Debug for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secret = ["crypto", "ice-pwd"].iter().any(|name| self.name.eq_ignore_ascii_case(name));
        if secret { write!(f, "{}:..", self.name) } else { write!(f, "{self}") }
    }
}

/// `m=` and the lines below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaLine {
    pub kind: MediaKind,
    /// 0: refused, or taken away.
    pub port: u16,
    pub protocol: Protocol,
    /// As written; payload types for RTP.
    pub formats: Vec<String>,
    pub information: Untrusted,
    pub connection: Option<Host>,
    pub bandwidths: Vec<Bandwidth>,
    pub attributes: Vec<Attribute>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaKind {
    Audio,
    Video,
    Other(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 3551
    RtpAvp,
    /// RFC 4585: feedback over the same packets, which may be left unused.
    RtpAvpf,
    /// RFC 3711, and with feedback RFC 5124: encrypted.
    RtpSavp,
    RtpSavpf,
    /// RFC 5764 §9: encrypted under keys that DTLS agrees on.
    DtlsSavp,
    DtlsSavpf,
    /// Anything else.
    Other(String),
}

impl Session {
    /// # Errors
    /// What cannot be read at all; a single attribute that makes no sense is not an error.
    pub fn parse(bytes: &[u8]) -> Result<Self, SdpError> {
        let canonical = normalise(bytes)?;
        let (rest, parsed) = sdp_rs::tokenizers::session_description::Tokenizer::tokenize(&canonical.text)
            .map_err(|_| SdpError::Unreadable)?;
        if !rest.is_empty() || parsed.media_descriptions.len() != canonical.media {
            return Err(SdpError::Unreadable);
        }
        let origin = parsed.origin;
        Ok(Self {
            origin: Origin {
                username: origin.username.to_owned(),
                session_id: origin.sess_id.to_owned(),
                version: origin.sess_version.to_owned(),
                address: Host::new(origin.addrtype, origin.unicast_address),
            },
            name: Untrusted::new(parsed.session_name.value),
            information: Untrusted::new(parsed.session_info.map_or("", |i| i.value)),
            connection: parsed.connection.map(|c| Host::new(c.addrtype, c.connection_address.base)),
            bandwidths: parsed.bandwidths.iter().filter_map(|b| Bandwidth::new(b.key, b.value)).collect(),
            timing: format!("{} {}", parsed.times.first().active.start, parsed.times.first().active.stop),
            attributes: parsed.attributes.iter().map(|a| Attribute::new(a.key, a.value)).collect(),
            media: parsed.media_descriptions.iter().map(MediaLine::read).collect::<Result<_, _>>()?,
        })
    }

    /// The same description, whatever its version.
    pub(super) fn says_the_same(&self, other: &Self) -> bool {
        let origin = Origin { version: self.origin.version.clone(), ..other.origin.clone() };
        *self == Self { origin, ..other.clone() }
    }
}

impl MediaLine {
    fn read(parsed: &sdp_rs::tokenizers::media_description::Tokenizer<'_>) -> Result<Self, SdpError> {
        let line = &parsed.media;
        Ok(Self {
            kind: MediaKind::new(line.media),
            port: line.port.port.parse().map_err(|_| SdpError::Unreadable)?,
            protocol: Protocol::new(line.proto),
            formats: line.fmt.split(' ').filter(|f| *f != NO_FORMAT).map(str::to_owned).collect(),
            information: Untrusted::new(parsed.info.as_ref().map_or("", |i| i.value)),
            connection: parsed.connections.first().map(|c| Host::new(c.addrtype, c.connection_address.base)),
            bandwidths: parsed.bandwidths.iter().filter_map(|b| Bandwidth::new(b.key, b.value)).collect(),
            attributes: parsed.attributes.iter().map(|a| Attribute::new(a.key, a.value)).collect(),
        })
    }

    /// The same line refused: port zero, in its place, with its formats (RFC 3264 §6) and its name.
    pub(super) fn refused(&self) -> Self {
        let none = self.formats.is_empty().then(|| "0".to_owned());
        Self {
            port: 0,
            formats: self.formats.iter().cloned().chain(none).collect(),
            information: Untrusted::default(),
            connection: None,
            bandwidths: Vec::new(),
            attributes: self.attribute("mid").cloned().into_iter().collect(),
            ..self.clone()
        }
    }
}

impl Host {
    fn new(kind: &str, text: &str) -> Self {
        match text.parse() {
            Ok(ip) => Self::Ip(ip),
            Err(_) => Self::Name { kind: kind.to_owned(), name: text.to_owned() },
        }
    }
}

impl Bandwidth {
    fn new(kind: &str, value: &str) -> Option<Self> {
        Some(Self { kind: kind.to_owned(), value: value.trim().parse().ok()? })
    }
}

impl Attribute {
    pub(super) fn new(name: &str, value: Option<&str>) -> Self {
        Self { name: name.trim().to_owned(), value: value.map(|v| v.trim().to_owned()) }
    }
}

impl MediaKind {
    fn new(text: &str) -> Self {
        match text {
            "audio" => Self::Audio,
            "video" => Self::Video,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl Protocol {
    fn new(text: &str) -> Self {
        match text {
            "RTP/AVP" => Self::RtpAvp,
            "RTP/AVPF" => Self::RtpAvpf,
            "RTP/SAVP" => Self::RtpSavp,
            "RTP/SAVPF" => Self::RtpSavpf,
            "UDP/TLS/RTP/SAVP" => Self::DtlsSavp,
            "UDP/TLS/RTP/SAVPF" => Self::DtlsSavpf,
            other => Self::Other(other.to_owned()),
        }
    }

    /// The profiles that are never clear.
    pub fn is_secure(&self) -> bool {
        matches!(self, Self::RtpSavp | Self::RtpSavpf) || self.is_dtls()
    }

    /// The profiles that stand for DTLS; it may be used in the others too.
    pub fn is_dtls(&self) -> bool {
        matches!(self, Self::DtlsSavp | Self::DtlsSavpf)
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origin = &self.origin;
        write!(f, "v=0\r\no={} {} {} {}\r\n", origin.username, origin.session_id, origin.version, origin.address)?;
        let name = self.name.sanitize(MAX_TEXT);
        write!(f, "s={}\r\n", if name.is_empty() { "-" } else { &name })?;
        write_details(f, &self.information, self.connection.as_ref(), &self.bandwidths)?;
        write!(f, "t={}\r\n", self.timing)?;
        self.attributes.iter().try_for_each(|a| write!(f, "a={a}\r\n"))?;
        self.media.iter().try_for_each(|m| m.fmt(f))
    }
}

impl fmt::Display for MediaLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m={} {} {}", self.kind, self.port, self.protocol)?;
        self.formats.iter().try_for_each(|format| write!(f, " {format}"))?;
        f.write_str("\r\n")?;
        write_details(f, &self.information, self.connection.as_ref(), &self.bandwidths)?;
        self.attributes.iter().try_for_each(|a| write!(f, "a={a}\r\n"))
    }
}

fn write_details(
    f: &mut fmt::Formatter<'_>,
    information: &Untrusted,
    connection: Option<&Host>,
    bandwidths: &[Bandwidth],
) -> fmt::Result {
    if !information.is_empty() {
        write!(f, "i={}\r\n", information.sanitize(MAX_TEXT))?;
    }
    connection.into_iter().try_for_each(|host| write!(f, "c={host}\r\n"))?;
    bandwidths.iter().try_for_each(|b| write!(f, "b={}:{}\r\n", b.kind, b.value))
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip @ IpAddr::V4(_)) => write!(f, "IN IP4 {ip}"),
            Self::Ip(ip @ IpAddr::V6(_)) => write!(f, "IN IP6 {ip}"),
            Self::Name { kind, name } => write!(f, "IN {kind} {name}"),
        }
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}:{value}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl fmt::Display for MediaKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Audio => "audio",
            Self::Video => "video",
            Self::Other(text) => text,
        })
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RtpAvp => "RTP/AVP",
            Self::RtpAvpf => "RTP/AVPF",
            Self::RtpSavp => "RTP/SAVP",
            Self::RtpSavpf => "RTP/SAVPF",
            Self::DtlsSavp => "UDP/TLS/RTP/SAVP",
            Self::DtlsSavpf => "UDP/TLS/RTP/SAVPF",
            Self::Other(text) => text,
        })
    }
}
