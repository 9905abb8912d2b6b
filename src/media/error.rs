//! What can go wrong when sound is set up or a packet is read.

/// Errors of the media layer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MediaError {
    /// A datagram that is not RTP (RFC 3550 A.1).
    #[error("malformed RTP: {0}")]
    Rtp(&'static str),
    /// A datagram that is not compound RTCP (RFC 3550 A.2).
    #[error("malformed RTCP: {0}")]
    Rtcp(&'static str),
    /// A stream needs at least one format it can receive.
    #[error("no payload format to receive")]
    NoFormat,
    /// The codec library refused, with its own words.
    #[error("{codec}: {reason}")]
    Codec { codec: &'static str, reason: String },
    /// A payload that is not what its codec says.
    #[error("{codec} payload of {length} octets cannot be decoded")]
    Payload { codec: &'static str, length: usize },
}
