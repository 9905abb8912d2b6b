//! What kind of datagram came to a media port, by its first two octets (RFC 7983 §7, RFC 5761 §4).

/// The protocols that share a media port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Rtp,
    Rtcp,
    /// RFC 8489.
    Stun,
    /// RFC 6189.
    Zrtp,
    /// RFC 9147.
    Dtls,
    /// TURN channel data, RFC 8656.
    Channel,
    Unknown,
}

/// ```text
///            [0..3]     STUN
///            [16..19]   ZRTP
///            [20..63]   DTLS
///            [64..79]   TURN channel
///            [128..191] RTP and RTCP: RTCP when the second octet is 192..223
/// ```
pub fn classify(bytes: &[u8]) -> Kind {
    match bytes {
        [0..=3, ..] => Kind::Stun,
        [16..=19, ..] => Kind::Zrtp,
        [20..=63, ..] => Kind::Dtls,
        [64..=79, ..] => Kind::Channel,
        [128..=191, 192..=223, ..] => Kind::Rtcp,
        [128..=191, _, ..] => Kind::Rtp,
        [] | [_] | [_, _, ..] => Kind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_octets_of_rfc_7983_and_rfc_5761() {
        let rows: [(&[u8], Kind); 16] = [
            (&[], Kind::Unknown),
            (&[0x80], Kind::Unknown),
            (&[4, 0], Kind::Unknown),
            (&[15, 0], Kind::Unknown),
            (&[80, 0], Kind::Unknown),
            (&[127, 0], Kind::Unknown),
            (&[192, 0], Kind::Unknown),
            (&[0, 1], Kind::Stun),
            (&[3, 1], Kind::Stun),
            (&[16, 0], Kind::Zrtp),
            (&[20, 0xfe], Kind::Dtls),
            (&[64, 0], Kind::Channel),
            // A sender report.
            (&[0x81, 200], Kind::Rtcp),
            // PCMU with and without marker.
            (&[0x80, 0x80], Kind::Rtp),
            (&[0x80, 0], Kind::Rtp),
            // The upper edge of RTCP: payload type 96 with marker is 224.
            (&[0x80, 224], Kind::Rtp),
        ];
        for (bytes, kind) in rows {
            assert_eq!(classify(bytes), kind, "{bytes:?}");
        }
    }
}
