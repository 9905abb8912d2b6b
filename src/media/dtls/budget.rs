//! What a peer may cost before it has proven itself: datagrams are looked at before the library sees them.
//!
//! The library puts fragments together by searching all it has of a message, one level of recursion for each, so a few
//! large messages in tiny pieces would cost more than sound has time for. No certificate chain needs that.

/// Datagrams of one handshake, repeated flights among them.
const MAX_DATAGRAMS: u32 = 400;
/// \[octets\]
const MAX_OCTETS: usize = 256 * 1024;
/// Records of a handshake, and fragments of messages in them.
const MAX_RECORDS: u32 = 400;
/// A message, in octets; a certificate chain is the largest there is.
const MAX_MESSAGE: usize = 32 * 1024;
/// A fragment below this that is not the end of its message \[octets\]: some peers fill up a datagram by one,
/// nobody writes many.
const TINY: usize = 64;
const MAX_TINY: u32 = 16;

const RECORD_HEADER: usize = 13;
const HANDSHAKE_HEADER: usize = 12;
const HANDSHAKE: u8 = 22;

/// Counts down.
#[derive(Clone, Debug)]
pub struct Budget {
    datagrams: u32,
    octets: usize,
    pieces: Pieces,
}

/// Records, and fragments in them.
#[derive(Clone, Copy, Debug, Default)]
struct Pieces {
    all: u32,
    tiny: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The library may have it.
    Fit,
    /// Not DTLS as any peer would write it: passed over.
    Unfit,
    /// There have been too many.
    Spent,
}

impl Default for Budget {
    fn default() -> Self {
        Self { datagrams: MAX_DATAGRAMS, octets: MAX_OCTETS, pieces: Pieces { all: MAX_RECORDS, tiny: MAX_TINY } }
    }
}

impl Budget {
    pub fn check(&mut self, datagram: &[u8]) -> Verdict {
        let Some(found) = pieces(datagram) else { return Verdict::Unfit };
        let left = (
            self.datagrams.checked_sub(1),
            self.octets.checked_sub(datagram.len()),
            self.pieces.all.checked_sub(found.all),
            self.pieces.tiny.checked_sub(found.tiny),
        );
        let (Some(datagrams), Some(octets), Some(all), Some(tiny)) = left else { return Verdict::Spent };
        *self = Self { datagrams, octets, pieces: Pieces { all, tiny } };
        Verdict::Fit
    }
}

/// What a datagram holds; `None` if it is not whole records of DTLS 1.0 to 1.2.
fn pieces(datagram: &[u8]) -> Option<Pieces> {
    let (mut rest, mut found) = (datagram, Pieces::default());
    while !rest.is_empty() {
        let (header, after) = rest.split_first_chunk::<RECORD_HEADER>()?;
        let [kind, 0xfe, 0xfd..=0xff, epoch_high, epoch_low, .., high, low] = *header else { return None };
        let (body, after) = after.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
        if body.is_empty() {
            return None;
        }
        found.all += 1;
        if kind == HANDSHAKE && [epoch_high, epoch_low] == [0, 0] {
            count_fragments(body, &mut found)?;
        }
        rest = after;
    }
    (found.all > 0).then_some(found)
}

/// Messages and parts of messages in the body of a clear record.
fn count_fragments(body: &[u8], found: &mut Pieces) -> Option<()> {
    let mut rest = body;
    while !rest.is_empty() {
        let (header, after) = rest.split_first_chunk::<HANDSHAKE_HEADER>()?;
        let [_, l2, l1, l0, _, _, o2, o1, o0, f2, f1, f0] = *header;
        let number = |high, middle, low| usize::try_from(u32::from_be_bytes([0, high, middle, low])).ok();
        let (length, offset, size) = (number(l2, l1, l0)?, number(o2, o1, o0)?, number(f2, f1, f0)?);
        let ends = offset.checked_add(size).filter(|end| *end <= length)? == length;
        if length > MAX_MESSAGE || size == 0 && !ends {
            return None;
        }
        found.all += 1;
        found.tiny += u32::from(!ends && size < TINY);
        (_, rest) = after.split_at_checked(size)?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, epoch: u8, body: &[u8]) -> Vec<u8> {
        let mut out = vec![kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 0];
        out.extend((body.len() as u16).to_be_bytes());
        out.extend(body);
        out
    }

    fn fragment(length: u32, offset: u32, size: u32) -> Vec<u8> {
        let mut out = vec![11];
        out.extend(&length.to_be_bytes()[1..]);
        out.extend([0, 1]);
        out.extend(&offset.to_be_bytes()[1..]);
        out.extend(&size.to_be_bytes()[1..]);
        out.extend(vec![7; size as usize]);
        out
    }

    #[test]
    fn what_no_peer_would_write_is_passed_over() {
        let whole = record(22, 0, &fragment(100, 0, 100));
        let rows: [(&str, Vec<u8>); 12] = [
            ("nothing", Vec::new()),
            ("a part of a header", whole[..12].to_vec()),
            ("a part of a record", whole[..whole.len() - 1].to_vec()),
            ("more than a record", [whole.as_slice(), &[22]].concat()),
            ("an empty record", record(22, 0, &[])),
            ("another version", whole.iter().enumerate().map(|(n, b)| if n == 1 { 3 } else { *b }).collect()),
            ("a part of a fragment's header", record(22, 0, &[11; 11])),
            ("a part of a fragment", record(22, 0, &fragment(100, 0, 100)[..50])),
            ("a fragment beyond its message", record(22, 0, &fragment(100, 90, 64))),
            ("a message that is too long", record(22, 0, &fragment(40_000, 0, 100))),
            ("nothing of a message", record(22, 0, &fragment(100, 0, 0))),
            ("a good one, then a bad one", [whole.clone(), record(22, 0, &[1])].concat()),
        ];
        for (what, datagram) in rows {
            assert_eq!(Budget::default().check(&datagram), Verdict::Unfit, "{what}");
        }
    }

    #[test]
    fn what_peers_write_is_fit() {
        let rows = [
            record(22, 0, &fragment(100, 0, 100)),
            record(22, 0, &[fragment(100, 0, 100), fragment(0, 0, 0)].concat()),
            record(22, 0, &fragment(100, 64, 36)),
            record(22, 0, &fragment(100, 99, 1)),
            record(22, 0, &fragment(100, 0, 1)),
            record(22, 1, &[1, 2, 3]),
            [record(22, 0, &fragment(0, 0, 0)), record(20, 0, &[1])].concat(),
            record(21, 0, &[2, 40]),
        ];
        for datagram in rows {
            assert_eq!(Budget::default().check(&datagram), Verdict::Fit, "{datagram:?}");
        }
    }

    #[test]
    fn there_is_an_end_to_it() {
        let small = record(21, 0, &[2, 40]);
        let many = small.repeat(20);
        let large = record(22, 1, &[0; 1400]);
        let tiny = record(22, 0, &fragment(100, 0, 1));
        let rows = [(small, 400), (many, 400 / 20), (large, 256 * 1024 / 1413), (tiny, 16)];
        for (datagram, most) in rows {
            let mut budget = Budget::default();
            let taken = (0..).take_while(|_| budget.check(&datagram) == Verdict::Fit).count();
            assert_eq!(taken, most);
            assert_eq!(budget.check(&datagram), Verdict::Spent);
        }
    }
}
