//! Compound RTCP packets (RFC 3550 §6.1, A.2): the only home of rtcp-types.
use crate::media::error::MediaError;
use crate::media::rtp::packet::Ssrc;
use rtcp_types::prelude::*;
use rtcp_types::{Bye, Compound, ReceiverReport, RtcpPacket, Sdes, SdesChunk, SdesItem, SenderReport};

/// More than any honest compound packet has; the rest of one that has more is not read.
const MAX_ITEMS: usize = 128;

/// The longest text of a source description or a goodbye \[octets\].
const MAX_TEXT: usize = 255;

const HEADER: usize = 4;

/// RFC 4585 §6.1: NACK and transport-wide congestion control are of the first type, PLI and REMB of the second.
const TRANSPORT_FEEDBACK: u8 = 205;
const PAYLOAD_FEEDBACK: u8 = 206;

/// The sender's part of a sender report (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    pub ntp: u64,
    pub rtp: u32,
    pub packets: u32,
    pub octets: u32,
}

/// A reception report block (RFC 3550 §6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportBlock {
    /// Whose packets it reports on.
    pub ssrc: Ssrc,
    /// In 1/256.
    pub fraction_lost: u8,
    /// 24 bits, signed.
    pub cumulative_lost: i32,
    pub extended_highest: u32,
    /// In units of the RTP clock.
    pub jitter: u32,
    /// Middle of the NTP time stamp of the last sender report, 0 when there was none.
    pub last_report: u32,
    /// Time since it arrived [1/65536 s].
    pub delay: u32,
}

/// What a source says of itself (RFC 3550 §6.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    Cname,
    Name,
    Email,
    Phone,
    Location,
    Tool,
    Note,
}

impl Text {
    fn from_type(item_type: u8) -> Option<Self> {
        Some(match item_type {
            SdesItem::CNAME => Self::Cname,
            SdesItem::NAME => Self::Name,
            SdesItem::EMAIL => Self::Email,
            SdesItem::PHONE => Self::Phone,
            SdesItem::LOC => Self::Location,
            SdesItem::TOOL => Self::Tool,
            SdesItem::NOTE => Self::Note,
            _ => return None,
        })
    }

    fn item_type(self) -> u8 {
        match self {
            Self::Cname => SdesItem::CNAME,
            Self::Name => SdesItem::NAME,
            Self::Email => SdesItem::EMAIL,
            Self::Phone => SdesItem::PHONE,
            Self::Location => SdesItem::LOC,
            Self::Tool => SdesItem::TOOL,
            Self::Note => SdesItem::NOTE,
        }
    }
}

/// A fact of a compound packet, in the order they stand in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// An SR (with the sender's part) or an RR begins.
    Report {
        reporter: Ssrc,
        sender: Option<SenderInfo>,
    },
    Block {
        reporter: Ssrc,
        block: ReportBlock,
    },
    Description {
        ssrc: Ssrc,
        text: Text,
        value: &'a [u8],
    },
    Goodbye {
        ssrc: Ssrc,
        reason: &'a [u8],
    },
    /// A packet of a type that is not read here: APP, XR.
    Other {
        packet_type: u8,
    },
    /// The peer asks for something we do not do: packets again, another rate, a picture (RFC 4585 §6).
    Feedback,
    /// A packet whose inside contradicts its length.
    Broken,
}

/// Reads a compound packet. Its outside must be valid as A.2 asks; a packet broken inside spoils no other.
///
/// # Errors
/// `MediaError::Rtcp`: the peer's fault; drop it and count it.
pub fn parse(bytes: &[u8]) -> Result<Vec<Item<'_>>, MediaError> {
    read(bytes, false)
}

/// Reads what need not be compound, where that was agreed on (RFC 5506): a datagram may begin with any packet.
///
/// # Errors
/// As [`parse`].
pub fn parse_reduced(bytes: &[u8]) -> Result<Vec<Item<'_>>, MediaError> {
    read(bytes, true)
}

fn read(bytes: &[u8], reduced: bool) -> Result<Vec<Item<'_>>, MediaError> {
    let mut items = Vec::new();
    let mut rest = bytes;
    let mut first = true;
    while !rest.is_empty() {
        let [flags, packet_type, high, low, ..] = *rest else {
            return Err(MediaError::Rtcp("header is cut off"));
        };
        let length = 4 * (usize::from(u16::from_be_bytes([high, low])) + 1);
        let (padded, is_report) = (flags & 0x20 != 0, matches!(packet_type, 200 | 201));
        let Some((packet, after)) = rest.split_at_checked(length) else {
            return Err(MediaError::Rtcp("longer than the datagram"));
        };
        if flags >> 6 != 2 {
            return Err(MediaError::Rtcp("version is not 2"));
        }
        if first && !reduced && (padded || !is_report) {
            return Err(MediaError::Rtcp("does not begin with a report"));
        }
        if padded && !after.is_empty() {
            return Err(MediaError::Rtcp("padding before the end"));
        }
        if items.len() < MAX_ITEMS {
            read_packet(packet_type, packet, &mut items);
        }
        (rest, first) = (after, false);
    }
    if first {
        return Err(MediaError::Rtcp("empty"));
    }
    Ok(items)
}

fn read_packet<'a>(packet_type: u8, packet: &'a [u8], items: &mut Vec<Item<'a>>) {
    let read = match packet_type {
        SenderReport::PACKET_TYPE => SenderReport::parse(packet).map(|report| {
            let sender = SenderInfo {
                ntp: report.ntp_timestamp(),
                rtp: report.rtp_timestamp(),
                packets: report.packet_count(),
                octets: report.octet_count(),
            };
            let reporter = Ssrc(report.ssrc());
            items.push(Item::Report { reporter, sender: Some(sender) });
            items.extend(report.report_blocks().map(|block| Item::Block { reporter, block: read_block(&block) }));
        }),
        ReceiverReport::PACKET_TYPE => ReceiverReport::parse(packet).map(|report| {
            let reporter = Ssrc(report.ssrc());
            items.push(Item::Report { reporter, sender: None });
            items.extend(report.report_blocks().map(|block| Item::Block { reporter, block: read_block(&block) }));
        }),
        Sdes::PACKET_TYPE => {
            if read_description(packet, items).is_none() {
                items.push(Item::Broken);
            }
            Ok(())
        }
        Bye::PACKET_TYPE => Bye::parse(packet).map(|bye| {
            let count = bye.ssrcs().count();
            let reason = bye_reason(packet, HEADER + 4 * count);
            items.extend(bye.ssrcs().map(|ssrc| Item::Goodbye { ssrc: Ssrc(ssrc), reason }));
        }),
        TRANSPORT_FEEDBACK | PAYLOAD_FEEDBACK => {
            items.push(Item::Feedback);
            Ok(())
        }
        _ => {
            items.push(Item::Other { packet_type });
            Ok(())
        }
    };
    if read.is_err() {
        items.push(Item::Broken);
    }
}

fn read_block(block: &rtcp_types::ReportBlock<'_>) -> ReportBlock {
    ReportBlock {
        ssrc: Ssrc(block.ssrc()),
        fraction_lost: block.fraction_lost(),
        cumulative_lost: (block.cumulative_lost() << 8).cast_signed() >> 8,
        extended_highest: block.extended_sequence_number(),
        jitter: block.interarrival_jitter(),
        last_report: block.last_sender_report_timestamp(),
        delay: block.delay_since_last_sender_report_timestamp(),
    }
}

/// The reason after the sources; `Bye::parse` has checked its length.
fn bye_reason(packet: &[u8], at: usize) -> &[u8] {
    match packet.get(at..).and_then(<[u8]>::split_first) {
        Some((length, text)) => text.get(..usize::from(*length)).unwrap_or_default(),
        None => &[],
    }
}

/// Reads the chunks of an SDES packet (RFC 3550 §6.5). The library's reader takes the first octets of a chunk for
/// padding of the one before when they are zero, refuses an empty item at the end of a chunk, and reads beyond a
/// malformed PRIV item.
fn read_description<'a>(packet: &'a [u8], items: &mut Vec<Item<'a>>) -> Option<()> {
    let chunks = packet.first()? & 0x1f;
    let mut at = HEADER;
    for _ in 0..chunks {
        let ssrc = Ssrc(u32::from_be_bytes(*packet.get(at..)?.first_chunk()?));
        at += 4;
        loop {
            let item_type = *packet.get(at)?;
            if item_type == 0 {
                // The null item ends the chunk, which is filled to a word.
                at = (at + 4) & !3;
                break;
            }
            let length = usize::from(*packet.get(at + 1)?);
            let value = packet.get(at + 2..at + 2 + length)?;
            if let Some(text) = Text::from_type(item_type)
                && items.len() < MAX_ITEMS
            {
                items.push(Item::Description { ssrc, text, value });
            }
            at += 2 + length;
        }
    }
    Some(())
}

/// A compound packet of ours: SR or RR, SDES, and BYE when we leave.
#[derive(Clone, Debug)]
pub struct Outgoing<'a> {
    pub ssrc: Ssrc,
    /// Makes it a sender report.
    pub sender: Option<SenderInfo>,
    pub block: Option<ReportBlock>,
    /// CNAME first.
    pub description: Vec<(Text, &'a str)>,
    /// Says goodbye, with this reason; an empty one is not written.
    pub goodbye: Option<&'a str>,
}

impl Outgoing<'_> {
    /// Writes the packet into `out`, whose content is replaced. Texts too long for their field are cut.
    ///
    /// # Errors
    /// `MediaError::Rtcp` if a figure does not fit its field.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), MediaError> {
        let block = self.block.map(|block| {
            rtcp_types::ReportBlock::builder(block.ssrc.0)
                .fraction_lost(block.fraction_lost)
                .cumulative_lost(block.cumulative_lost.cast_unsigned() & 0xff_ffff)
                .extended_sequence_number(block.extended_highest)
                .interarrival_jitter(block.jitter)
                .last_sender_report_timestamp(block.last_report)
                .delay_since_last_sender_report_timestamp(block.delay)
        });
        let mut compound = Compound::builder();
        match self.sender {
            Some(sender) => {
                let report = SenderReport::builder(self.ssrc.0)
                    .ntp_timestamp(sender.ntp)
                    .rtp_timestamp(sender.rtp)
                    .packet_count(sender.packets)
                    .octet_count(sender.octets);
                compound = compound.add_packet(match block {
                    Some(block) => report.add_report_block(block),
                    None => report,
                });
            }
            None => {
                let report = ReceiverReport::builder(self.ssrc.0);
                compound = compound.add_packet(match block {
                    Some(block) => report.add_report_block(block),
                    None => report,
                });
            }
        }
        let chunk = self.description.iter().fold(SdesChunk::builder(self.ssrc.0), |chunk, (text, value)| {
            chunk.add_item(SdesItem::builder(text.item_type(), cut(value)))
        });
        compound = compound.add_packet(Sdes::builder().add_chunk(chunk));
        if let Some(reason) = self.goodbye {
            compound = compound.add_packet(Bye::builder().add_source(self.ssrc.0).reason(cut(reason)));
        }
        out.clear();
        let size = compound.calculate_size().map_err(|_| MediaError::Rtcp("a figure does not fit its field"))?;
        out.resize(size, 0);
        compound.write_into(out).map_err(|_| MediaError::Rtcp("a figure does not fit its field"))?;
        Ok(())
    }
}

/// The longest beginning of `text` that fits, whole characters only.
fn cut(text: &str) -> &str {
    let end = (0..=MAX_TEXT.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An SR with one block by the figure of RFC 3550 §6.4.1.
    const SR: [u8; 52] = [
        0x81, 200, 0, 12, 0x11, 0x22, 0x33, 0x44, // V=2 RC=1, SR, 13 words, sender
        0xe0, 0, 0, 1, 0x80, 0, 0, 0, // NTP time stamp
        0, 0, 0x1f, 0x40, 0, 0, 0, 50, 0, 0, 0x1f, 0x40, // RTP time stamp, packets, octets
        0xaa, 0xbb, 0xcc, 0xdd, // source reported on
        0x40, 0xff, 0xff, 0xfe, // fraction 64/256, cumulative -2
        0, 1, 0, 9, 0, 0, 0, 33, // extended highest, jitter
        0x12, 0x34, 0x56, 0x78, 0, 1, 0x80, 0, // LSR, DLSR
    ];
    /// An RR without blocks (§6.4.2).
    const RR: [u8; 8] = [0x80, 201, 0, 1, 0x11, 0x22, 0x33, 0x44];
    /// SDES (§6.5): `CNAME a@b`, `TOOL t`, and one null octet up to the word.
    const SDES: [u8; 20] = [0x81, 202, 0, 4, 0x11, 0x22, 0x33, 0x44, 1, 3, b'a', b'@', b'b', 6, 1, b't', 0, 0, 0, 0];
    /// BYE (§6.6) with the reason `done`.
    const BYE: [u8; 16] = [0x81, 203, 0, 3, 0x11, 0x22, 0x33, 0x44, 4, b'd', b'o', b'n', b'e', 0, 0, 0];

    const SSRC: Ssrc = Ssrc(0x1122_3344);
    const BLOCK: ReportBlock = ReportBlock {
        ssrc: Ssrc(0xaabb_ccdd),
        fraction_lost: 64,
        cumulative_lost: -2,
        extended_highest: 0x0001_0009,
        jitter: 33,
        last_report: 0x1234_5678,
        delay: 0x1_8000,
    };
    const INFO: SenderInfo = SenderInfo { ntp: 0xe000_0001_8000_0000, rtp: 8000, packets: 50, octets: 8000 };

    #[test]
    fn what_is_not_a_compound_packet_is_refused() {
        let with = |bytes: &[u8], at: usize, byte: u8| {
            let mut bytes = bytes.to_vec();
            bytes[at] = byte;
            bytes
        };
        let rows: [(&str, Vec<u8>); 9] = [
            ("nothing", vec![]),
            ("half a header", vec![0x80, 201, 0]),
            ("longer than the datagram", SR[..48].to_vec()),
            ("something after the end", [&RR[..], &[0]].concat()),
            ("version 1", with(&RR, 0, 0x40)),
            ("version 1 in the second packet", [&RR[..], &with(&SDES, 0, 0x41)].concat()),
            ("a goodbye alone", BYE.to_vec()),
            ("padding in the first packet", with(&RR, 0, 0xa0)),
            ("padding before the end", [&RR[..], &with(&BYE, 0, 0xa1), &SDES].concat()),
        ];
        for (what, bytes) in rows {
            assert!(parse(&bytes).is_err(), "{what}");
        }
    }

    #[test]
    fn what_the_figures_of_rfc_3550_say_is_read() {
        let bytes = [&SR[..], &SDES, &BYE].concat();
        let items = parse(&bytes).expect("valid");
        let described = |text, value| Item::Description { ssrc: SSRC, text, value };
        assert_eq!(
            items,
            [
                Item::Report { reporter: SSRC, sender: Some(INFO) },
                Item::Block { reporter: SSRC, block: BLOCK },
                described(Text::Cname, b"a@b"),
                described(Text::Tool, b"t"),
                Item::Goodbye { ssrc: SSRC, reason: b"done" },
            ]
        );
    }

    #[test]
    fn and_is_written() {
        let mut out = vec![7; 3];
        let description = vec![(Text::Cname, "a@b"), (Text::Tool, "t")];
        let mut outgoing = Outgoing { ssrc: SSRC, sender: Some(INFO), block: Some(BLOCK), description, goodbye: None };
        outgoing.write(&mut out).expect("fits");
        assert_eq!(out, [&SR[..], &SDES].concat());
        (outgoing.sender, outgoing.block, outgoing.goodbye) = (None, None, Some("done"));
        outgoing.write(&mut out).expect("fits");
        assert_eq!(out, [&RR[..], &SDES, &BYE].concat());
    }

    #[test]
    fn a_packet_broken_inside_spoils_no_other() {
        let rows: [(&str, &[u8]); 4] = [
            ("a report with fewer blocks than it says", &[0x82, 201, 0, 1, 0, 0, 0, 1]),
            ("a goodbye with fewer sources than it says", &[0x82, 203, 0, 1, 0, 0, 0, 1]),
            ("a reason beyond the end", &[0x81, 203, 0, 2, 0, 0, 0, 1, 9, b'x', 0, 0]),
            ("a text beyond the end", &[0x81, 202, 0, 2, 0, 0, 0, 1, 1, 9, b'x', 0]),
        ];
        for (what, broken) in rows {
            let bytes = [&RR[..], broken, &BYE].concat();
            let items = parse(&bytes).expect("valid outside");
            assert_eq!(items[1..], [Item::Broken, Item::Goodbye { ssrc: SSRC, reason: b"done" }], "{what}");
        }
    }

    #[test]
    fn odd_but_valid_descriptions_are_read() {
        // An empty NOTE as the last item, then a chunk whose source begins with zeros, then PRIV, which is skipped.
        let chunks = [
            &[0x82, 202, 0, 6, 0, 0, 0, 1, 1, 1, b'x', 7, 0, 0, 0, 0][..],
            &[0, 0, 0, 2, 8, 2, 9, b'p', 1, 1, b'y', 0],
        ]
        .concat();
        let bytes = [&RR[..], &chunks].concat();
        let items = parse(&bytes).expect("valid");
        let described = |ssrc, text, value| Item::Description { ssrc: Ssrc(ssrc), text, value };
        assert_eq!(
            items[1..],
            [described(1, Text::Cname, b"x"), described(1, Text::Note, b""), described(2, Text::Cname, b"y")]
        );
    }

    #[test]
    fn what_is_not_compound_is_read_where_that_was_agreed_on() {
        // RFC 4585 §6.2.1: a NACK; §6.3.1: a PLI; REMB, as browsers send it.
        let nack = [0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 9, 0, 0];
        let pli = [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
        let remb = [&[0x8f, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0][..], b"REMB", &[0, 0, 0, 0]].concat();
        let feedback = Item::Feedback;
        let rows: [(&str, Vec<u8>, &[Item<'_>]); 4] = [
            ("a NACK", nack.to_vec(), &[feedback]),
            ("several", [&nack[..], &pli, &remb].concat(), &[feedback, feedback, feedback]),
            ("a goodbye alone", BYE.to_vec(), &[Item::Goodbye { ssrc: SSRC, reason: b"done" }]),
            ("a padded one", vec![0xa1, 206, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 4], &[feedback]),
        ];
        for (what, bytes, expected) in rows {
            assert!(parse(&bytes).is_err(), "{what}");
            assert_eq!(parse_reduced(&bytes).expect("valid"), expected, "{what}");
        }
        for (what, bytes) in [("empty", &[][..]), ("cut off", &nack[..15]), ("version 1", &[0x41, 205, 0, 0])] {
            assert!(parse_reduced(bytes).is_err(), "{what}");
        }
    }

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let name = format!("{}é", "x".repeat(254));
        let description = vec![(Text::Cname, name.as_str())];
        let outgoing = Outgoing { ssrc: SSRC, sender: None, block: None, description, goodbye: Some(&name) };
        let mut out = Vec::new();
        outgoing.write(&mut out).expect("fits");
        let cut = "x".repeat(254).into_bytes();
        let items = parse(&out).expect("valid");
        assert_eq!(
            items[1..],
            [
                Item::Description { ssrc: SSRC, text: Text::Cname, value: &cut },
                Item::Goodbye { ssrc: SSRC, reason: &cut }
            ]
        );
    }

    proptest! {
        #[test]
        fn no_datagram_panics(
            packets in proptest::collection::vec(
                (0x80_u8..=0xbf, 199_u8..=208, proptest::collection::vec(any::<[u8; 4]>(), 0..12)), 0..6),
            cut in 0_usize..64,
        ) {
            let mut bytes = Vec::new();
            for (flags, packet_type, words) in &packets {
                bytes.extend([*flags, *packet_type, 0, words.len() as u8]);
                bytes.extend(words.concat());
            }
            let _ = (parse(&bytes), parse_reduced(&bytes));
            bytes.truncate(bytes.len().saturating_sub(cut));
            let _ = (parse(&bytes), parse_reduced(&bytes));
        }
    }
}
