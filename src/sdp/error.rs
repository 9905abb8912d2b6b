//! What can be wrong with a description, whose fault it is, and what to answer (RFC 3261 §13.3.1.3, §20.43).
use crate::media::dtls::fingerprint::FingerprintError;
use thiserror::Error;

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SdpError {
    #[error("description of {0} bytes is longer than {max} bytes", max = super::normalise::MAX_BYTES)]
    TooLong(usize),
    #[error("description has more than {max} lines", max = super::normalise::MAX_LINES)]
    TooManyLines,
    #[error("description has more than {max} media lines", max = super::normalise::MAX_MEDIA)]
    TooManyMedia,
    /// `text` is fit for a log.
    #[error("line {line} `{text}`: {problem}")]
    Line { line: usize, text: String, problem: &'static str },
    #[error("the {0} line is missing")]
    Missing(&'static str),
    /// The parser lost lines that the normaliser had let through.
    #[error("the description cannot be read as a whole")]
    Unreadable,
    #[error("no audio is offered")]
    NoAudio,
    #[error("no common codec: the peer has {peer}, we have {ours}")]
    NoCommonCodec { peer: String, ours: String },
    #[error("media protocol `{0}` is not supported")]
    Protocol(String),
    /// Look it up, tell [`super::Negotiator::host_resolved`], and give the description again; or refuse.
    #[error("media address `{0}` is a name that has to be looked up")]
    HostName(String),
    /// `0` is fit for a log.
    #[error("media address `{0}` is neither an IP address nor a host name")]
    Address(String),
    #[error("media address `{0}` is a multicast address")]
    Multicast(String),
    #[error("media address `{peer}` cannot be reached from `{ours}`: another IP version")]
    AddressFamily { peer: String, ours: String },
    /// An answer without our audio line, or with another medium in its place.
    #[error("the answer has no line for the audio that was offered")]
    AnswerMismatch,
    /// An answer that sets the port of our audio line to zero.
    #[error("the peer refused the audio stream")]
    Refused,
    #[error("the answer wants a port of its own for RTCP, and none was offered")]
    MuxRefused,
    /// The peer is not asked for encryption, or may not have it.
    #[error("the peer insists on encrypted media (SRTP), which this account does not use")]
    SrtpNotWanted,
    #[error("the peer offers no encrypted media (SRTP), which this account requires")]
    SrtpRequired,
    /// Of an offer, whose first crypto line is told of.
    #[error("no crypto line of the offer can be used: {0}")]
    Crypto(&'static str),
    #[error("the answer is not to the encryption that was offered: {0}")]
    CryptoAnswer(&'static str),
    /// The peer asks for another way to agree on keys than the account allows.
    #[error("the peer agrees on keys by DTLS only, which this account does not use")]
    DtlsNotWanted,
    #[error("the peer would send the keys through the servers (SDES), which this account does not allow")]
    SdesNotWanted,
    #[error("the fingerprint of the peer's certificate cannot be used: {0}")]
    Fingerprint(#[source] FingerprintError),
    #[error("the peer's description of DTLS cannot be used: {0}")]
    Dtls(&'static str),
    #[error("an answer came, but nothing was offered")]
    NoOffer,
    #[error("an offer is still unanswered")]
    OfferPending,
}

impl SdpError {
    /// The status that refuses an offer with this fault.
    pub fn status(&self) -> u16 {
        match self {
            Self::TooLong(_) | Self::TooManyLines | Self::TooManyMedia => 400,
            Self::Line { .. } | Self::Missing(_) | Self::Unreadable | Self::Address(_) => 400,
            Self::NoAudio | Self::NoCommonCodec { .. } | Self::Protocol(_) => 488,
            Self::HostName(_) | Self::Multicast(_) | Self::AddressFamily { .. } => 488,
            Self::AnswerMismatch | Self::Refused | Self::MuxRefused | Self::NoOffer => 488,
            Self::SrtpNotWanted | Self::SrtpRequired | Self::Crypto(_) | Self::CryptoAnswer(_) => 488,
            Self::DtlsNotWanted | Self::SdesNotWanted | Self::Fingerprint(_) | Self::Dtls(_) => 488,
            Self::OfferPending => 491,
        }
    }

    /// The code of a Warning header that tells the peer why (RFC 3261 §20.43).
    pub fn warning(&self) -> u16 {
        match self {
            Self::HostName(_) | Self::AddressFamily { .. } => 301,
            Self::Protocol(_) | Self::SrtpNotWanted | Self::SrtpRequired => 302,
            Self::DtlsNotWanted | Self::SdesNotWanted => 302,
            Self::Fingerprint(_) | Self::Dtls(_) => 306,
            Self::Crypto(_) | Self::CryptoAnswer(_) => 306,
            Self::NoAudio => 304,
            Self::NoCommonCodec { .. } => 305,
            Self::Multicast(_) => 330,
            Self::TooLong(_) | Self::TooManyLines | Self::TooManyMedia => 399,
            Self::Line { .. } | Self::Missing(_) | Self::Unreadable | Self::Address(_) => 399,
            Self::AnswerMismatch | Self::Refused | Self::MuxRefused | Self::NoOffer | Self::OfferPending => 399,
        }
    }
}
