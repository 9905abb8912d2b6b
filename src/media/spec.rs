//! What signalling tells media: plain data.
use crate::base::id::StreamId;
use crate::media::dtls::association::Role;
use crate::media::dtls::certificate::Certificate;
use crate::media::dtls::fingerprint::Fingerprint;
use crate::media::srtp::sdes;
use crate::nat::candidate::{Candidate, Credentials};
pub use crate::nat::candidate::{Gather, IceSpec};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// An audio coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// G.711 µ-law, static payload type 0.
    Pcmu,
    /// G.711 A-law, static payload type 8.
    Pcma,
    /// RFC 6716 over RFC 7587.
    Opus,
}

impl Codec {
    /// The encoding name of `a=rtpmap`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::Opus => "opus",
        }
    }

    /// The RTP clock rate \[Hz\], which for some codecs is not the sample rate.
    pub fn clock_rate(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma => 8_000,
            Self::Opus => 48_000,
        }
    }

    /// The sample rate the codec works at here \[Hz\].
    pub fn sample_rate(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma => 8_000,
            Self::Opus => 48_000,
        }
    }
}

/// What the peer asked of our Opus encoder (RFC 7587 §6.1); defaults are the RFC's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpusParameters {
    /// `maxaveragebitrate` [bit/s]; `None` when not given.
    pub max_average_bitrate: Option<u32>,
    /// `maxplaybackrate` \[Hz\].
    pub max_playback_rate: u32,
    pub stereo: bool,
    pub cbr: bool,
    pub use_inband_fec: bool,
    pub use_dtx: bool,
}

impl Default for OpusParameters {
    fn default() -> Self {
        Self {
            max_average_bitrate: None,
            max_playback_rate: 48_000,
            stereo: false,
            cbr: false,
            use_inband_fec: false,
            use_dtx: false,
        }
    }
}

/// A codec with the payload type the offer/answer gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadFormat {
    pub payload_type: u8,
    pub codec: Codec,
    /// Meaningful for [`Codec::Opus`] only.
    pub opus: OpusParameters,
}

/// RFC 4733 events with their payload type and clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TelephoneEvent {
    pub payload_type: u8,
    /// \[Hz\]
    pub clock_rate: u32,
}

/// Direction of a stream as seen from us (RFC 3264 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    SendRecv,
    SendOnly,
    RecvOnly,
    Inactive,
}

impl Direction {
    pub fn sends(self) -> bool {
        matches!(self, Self::SendRecv | Self::SendOnly)
    }

    pub fn receives(self) -> bool {
        matches!(self, Self::SendRecv | Self::RecvOnly)
    }

    pub fn new(sends: bool, receives: bool) -> Self {
        match (sends, receives) {
            (true, true) => Self::SendRecv,
            (true, false) => Self::SendOnly,
            (false, true) => Self::RecvOnly,
            (false, false) => Self::Inactive,
        }
    }
}

/// What we say of ourselves in RTCP SDES (RFC 3550 §6.5). Empty items are not sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceDescription {
    pub cname: String,
    pub name: String,
    pub email: String,
    pub phone: String,
    pub location: String,
    pub tool: String,
    pub note: String,
}

/// Where the keys come from that protect a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keying {
    /// Both descriptions told one each (RFC 4568).
    Sdes(sdes::Keys),
    /// A handshake agrees on them (RFC 5763).
    Dtls(DtlsSpec),
}

/// The handshake that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DtlsSpec {
    /// What we show.
    pub certificate: Arc<Certificate>,
    pub role: Role,
    /// The fingerprints of what the peer must show.
    pub told: Arc<[Fingerprint]>,
    /// Another number asks for another handshake.
    pub association: u32,
}

/// Which kind of media an account's calls have: a telephone's, or a browser's (RFC 8834).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// A telephone's is offered; a browser's offer is answered as it asks.
    #[default]
    Auto,
    /// A telephone's alone: what the other settings say, and nothing beside.
    Rtp,
    /// What telephones and browsers take is offered (RFC 8643, RFC 8829 §5.1.2).
    Both,
    /// A browser's is offered, and nothing else.
    Webrtc,
}

impl Profile {
    /// Whether offers are such that browsers take them.
    pub fn is_offered(self) -> bool {
        matches!(self, Self::Both | Self::Webrtc)
    }
}

/// A header extension under the number it was given (RFC 8285 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension {
    pub id: u8,
    pub sends: bool,
    pub receives: bool,
    /// Of a level: whether it says if somebody speaks (RFC 6464 §4).
    pub voice: bool,
}

/// The header extensions that both sides have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extensions {
    /// The level of the sound in a packet (RFC 6464).
    pub audio_level: Option<Extension>,
    /// The name of the media line (RFC 9143 §15), and what it is.
    pub mid: Option<(Extension, String)>,
}

/// One negotiated audio stream: all that media needs to run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSpec {
    /// Counts completed offer/answer exchanges; a new value opens the latch of symmetric RTP again.
    pub generation: u32,
    pub direction: Direction,
    pub remote_rtp: SocketAddr,
    /// Equals `remote_rtp` when `rtcp_mux` (RFC 5761).
    pub remote_rtcp: SocketAddr,
    pub rtcp_mux: bool,
    /// RTCP packets of the peer need not be compound (RFC 5506). Ours are: reports are due seldom and want the round trip and the
    /// name with them, and there is no feedback of ours that would go between them.
    pub rtcp_reduced_size: bool,
    pub extensions: Extensions,
    /// Where the keys of both directions come from; clear when `None`.
    pub srtp: Option<Keying>,
    /// The way is found by ICE, and `remote_rtp`, `remote_rtcp` are not used.
    pub ice: Option<Box<IceSpec>>,
    /// Another who may answer has ICE, perhaps: what was found out for it is kept although this one has none.
    pub ice_may_follow: bool,
    /// What we send; chosen by the answer.
    pub send: PayloadFormat,
    /// Everything we must be ready to receive.
    pub receive: Vec<PayloadFormat>,
    pub send_events: Option<TelephoneEvent>,
    pub receive_events: Vec<TelephoneEvent>,
    /// Length of the packets we send [ms resolution].
    pub ptime: Duration,
    /// RTCP bandwidth of the session (5 % of the session bandwidth) [bit/s].
    pub rtcp_bandwidth: u32,
    /// Report more often than every 5 s where the bandwidth allows it (RFC 3550 §6.2, the reduced minimum).
    pub rtcp_reduced_minimum: bool,
    pub description: SourceDescription,
}

/// How an incoming call rings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ring {
    #[default]
    Usual,
    /// From within the house.
    Internal,
    /// From outside.
    External,
    /// For a group or a queue.
    Group,
}

/// A sound the phone makes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// An incoming call rings.
    Ring(Ring),
    /// An incoming call is about to be answered by itself; ends by itself.
    Intercom,
    /// The far end is being alerted.
    Ringback,
    Busy,
    /// A second call comes in while one is talked on.
    CallWaiting,
    /// The short acknowledgement of a dialled digit.
    Digit(Digit),
}

/// How digits are sent in a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dtmf {
    /// As RFC 4733 events where the peer takes them; else as tones, which everybody hears who decodes G.711; else by INFO.
    #[default]
    Auto,
    /// As RFC 4733 events or not at all.
    Rfc4733,
    /// In the bodies of SIP INFO.
    Info,
    /// As tones in the sound.
    Inband,
    None,
}

impl Dtmf {
    /// RFC 4733 events are offered.
    pub fn has_events(self) -> bool {
        matches!(self, Self::Auto | Self::Rfc4733)
    }
}

/// A DTMF digit: `0`-`9`, `*`, `#`, `A`-`D`, and the hook flash (RFC 4733 §3.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digit(u8);

impl Digit {
    pub fn from_event(event: u8) -> Option<Self> {
        (event <= 16).then_some(Self(event))
    }

    pub fn from_char(c: char) -> Option<Self> {
        let event = match c.to_ascii_uppercase() {
            c @ '0'..='9' => c as u8 - b'0',
            '*' => 10,
            '#' => 11,
            c @ 'A'..='D' => c as u8 - b'A' + 12,
            '!' => 16,
            _ => return None,
        };
        Some(Self(event))
    }

    /// The event code of RFC 4733 §3.2.
    pub fn event(self) -> u8 {
        self.0
    }

    pub fn to_char(self) -> char {
        char::from(*b"0123456789*#ABCD!".get(usize::from(self.0)).unwrap_or(&b'?'))
    }
}

/// How a stream is to be recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    /// Who is recorded, for the name of the file.
    pub label: String,
    /// The name the user gave; else it is made of the time and the label.
    pub file: Option<String>,
    /// The peer hears a short tone now and then.
    pub notice: bool,
}

/// Signalling to media.
#[derive(Clone, Debug, PartialEq)]
pub enum MediaCommand {
    /// Bind an RTP and an RTCP port on `local`, or move an open stream there; answered by `Opened` or `OpenFailed`.
    ///
    /// - `gather`: what is to be found out about its addresses before that is told; nothing is when `None`.
    Open {
        stream: StreamId,
        local: IpAddr,
        gather: Option<Box<Gather>>,
    },
    /// Run the stream as negotiated, or change it to this.
    Configure {
        stream: StreamId,
        spec: Box<StreamSpec>,
    },
    /// The peer, that proves itself by these credentials, may be reached at more addresses.
    Candidates {
        stream: StreamId,
        credentials: Credentials,
        candidates: Vec<Candidate>,
    },
    /// Which streams the user hears and speaks to; all others stay silent both ways. Several are a conference: each hears
    /// the others too.
    Focus {
        streams: Vec<StreamId>,
    },
    /// Send a digit: an RFC 4733 event where that was agreed, else tones in the sound.
    SendDigit {
        stream: StreamId,
        digit: Digit,
        duration: Duration,
    },
    /// Record a stream from now on, or stop (`None`).
    Record {
        stream: StreamId,
        recording: Option<Recording>,
    },
    /// Say goodbye (RTCP BYE with `reason`) and release the ports.
    Close {
        stream: StreamId,
        reason: String,
    },
    /// Start or stop (`None`) a local sound.
    Play(Option<Tone>),
    Mute(bool),
    /// Gains as factors: 1.0 leaves the sound as it is.
    Gain {
        capture: f32,
        playback: f32,
    },
}
