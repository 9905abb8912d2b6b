//! The RTP packet (RFC 3550 §5.1): the only home of rtp-rs.
use crate::media::error::MediaError;
use rtp_rs::{RtpPacketBuilder, RtpReader, RtpReaderError, Seq};

/// A synchronisation source (RFC 3550 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ssrc(pub u32);

/// The fixed header without what a phone does not use: contributing sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub marker: bool,
    pub payload_type: u8,
    pub sequence: u16,
    pub timestamp: u32,
    pub ssrc: Ssrc,
}

/// A packet in the bytes of its datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    pub header: Header,
    /// What defines the header extension, and its octets: see [`super::extension`].
    pub extension: Option<(u16, &'a [u8])>,
    /// Without padding and header extension; may be empty.
    pub payload: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Reads a datagram that [`super::demux`] took for RTP.
    ///
    /// # Errors
    /// `MediaError::Rtp`: the peer's fault; drop it and count it.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, MediaError> {
        let reader = RtpReader::new(bytes).map_err(|error| {
            MediaError::Rtp(match error {
                RtpReaderError::BufferTooShort(_) => "shorter than the fixed header",
                RtpReaderError::UnsupportedVersion(_) => "version is not 2",
                RtpReaderError::HeadersTruncated { .. } => "header is cut off",
                RtpReaderError::PaddingLengthInvalid(_) => "padding is longer than the packet",
            })
        })?;
        let header = Header {
            marker: reader.mark(),
            payload_type: reader.payload_type(),
            sequence: reader.sequence_number().into(),
            timestamp: reader.timestamp(),
            ssrc: Ssrc(reader.ssrc()),
        };
        Ok(Self { header, extension: reader.extension(), payload: reader.payload() })
    }
}

impl Header {
    /// Writes a packet into `out`, whose content is replaced and whose memory is used again.
    ///
    /// # Errors
    /// `MediaError::Rtp` if the payload type is above 127.
    pub fn write(&self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), MediaError> {
        self.write_extended(None, payload, out)
    }

    /// - `extension`: what defines it, and whole words.
    ///
    /// # Errors
    /// `MediaError::Rtp` if the payload type is above 127, or the extension is not of whole words.
    pub fn write_extended(
        &self,
        extension: Option<(u16, &[u8])>,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), MediaError> {
        let builder = RtpPacketBuilder::new()
            .marked(self.marker)
            .payload_type(self.payload_type)
            .sequence(Seq::from(self.sequence))
            .timestamp(self.timestamp)
            .ssrc(self.ssrc.0)
            .payload(payload);
        let builder = match extension {
            Some((profile, octets)) => builder.extension(profile, octets),
            None => builder,
        };
        out.clear();
        out.resize(builder.target_length(), 0);
        match builder.build_into(out) {
            Ok(_) => Ok(()),
            Err(_) => {
                out.clear();
                Err(MediaError::Rtp("payload type is above 127, or the extension has half words"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 3550 §5.1: V=2, P=1, X=1, CC=1, M=1, PT=0, sequence 0x1234, one extension word, two octets and padding.
    const FULL: [u8; 28] = [
        0xb1, 0x80, 0x12, 0x34, 0, 0, 0, 160, 0xde, 0xad, 0xbe, 0xef, 0, 0, 0, 7, 0xbe, 0xde, 0, 1, 1, 2, 3, 4, 0x55,
        0xaa, 0, 2,
    ];

    #[test]
    fn what_is_not_rtp_is_refused() {
        let cut = |n: usize| FULL[..n].to_vec();
        let with = |at: usize, byte: u8| {
            let mut bytes = FULL.to_vec();
            bytes[at] = byte;
            bytes
        };
        let rows: [(&str, Vec<u8>); 7] = [
            ("empty", vec![]),
            ("short", cut(11)),
            ("version 1", with(0, 0x71)),
            ("CSRC beyond the end", cut(15)),
            ("extension beyond the end", with(19, 200)),
            ("padding of nothing", with(27, 0)),
            ("padding beyond the payload", with(27, 5)),
        ];
        for (what, bytes) in rows {
            assert!(Packet::parse(&bytes).is_err(), "{what}");
        }
    }

    #[test]
    fn a_full_header_is_read() {
        let packet = Packet::parse(&FULL).expect("valid");
        let header =
            Header { marker: true, payload_type: 0, sequence: 0x1234, timestamp: 160, ssrc: Ssrc(0xdead_beef) };
        let extension: Option<(u16, &[u8])> = Some((0xbede, &[1, 2, 3, 4]));
        assert_eq!(packet, Packet { header, extension, payload: &[0x55, 0xaa] });
    }

    #[test]
    fn a_packet_is_written_as_the_figure_says() {
        let header = Header { marker: true, payload_type: 96, sequence: 0xfffe, timestamp: 0x0102_0304, ssrc: Ssrc(9) };
        let mut out = vec![1; 400];
        header.write(&[7, 8, 9], &mut out).expect("valid");
        assert_eq!(out, [0x80, 0x80 | 96, 0xff, 0xfe, 1, 2, 3, 4, 0, 0, 0, 9, 7, 8, 9]);
        assert!(Header { payload_type: 128, ..header }.write(&[], &mut out).is_err());
    }

    proptest! {
        #[test]
        fn no_datagram_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64), first in 0x80_u8..=0xbf) {
            let mut bytes = bytes;
            if let Some(byte) = bytes.first_mut() {
                *byte = first;
            }
            let _ = Packet::parse(&bytes);
        }

        #[test]
        fn what_is_written_is_read(
            marker: bool, payload_type in 0_u8..128, sequence: u16, timestamp: u32, ssrc: u32,
            payload in proptest::collection::vec(any::<u8>(), 0..200),
            words in proptest::option::of(proptest::collection::vec(any::<[u8; 4]>(), 0..8)),
        ) {
            let words = words.map(|words| words.concat());
            let extension = words.as_ref().map(|words| (0xbede, words.as_slice()));
            let header = Header { marker, payload_type, sequence, timestamp, ssrc: Ssrc(ssrc) };
            let mut out = Vec::new();
            header.write_extended(extension, &payload, &mut out).expect("valid");
            prop_assert_eq!(Packet::parse(&out), Ok(Packet { header, extension, payload: &payload }));
        }
    }
}
