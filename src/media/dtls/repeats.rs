//! Flights that a peer repeats although we have them (RFC 6347 §4.2.4): the library would stop its own timer for each, and
//! then wait for ever for what was lost.

const RECORD_HEADER: usize = 13;
const HANDSHAKE_HEADER: usize = 12;
const HANDSHAKE: u8 = 22;

/// The messages that came, as far as they came in order.
#[derive(Clone, Debug, Default)]
pub struct Repeats {
    /// The number of the first message that is not complete, and how much of it is there \[octets\].
    next: u16,
    covered: u32,
}

impl Repeats {
    /// Whether there is nothing new in a datagram that [`super::budget`] let through.
    ///
    /// - `answers_hellos`: a first hello is never old: its answer has no timer (RFC 6347 §4.2.1).
    pub fn is_old(&mut self, datagram: &[u8], answers_hellos: bool) -> bool {
        let (mut rest, mut old) = (datagram, true);
        while let Some((header, after)) = rest.split_first_chunk::<RECORD_HEADER>() {
            let [kind, _, _, epoch_high, epoch_low, .., high, low] = *header;
            let (body, after) =
                after.split_at_checked(usize::from(u16::from_be_bytes([high, low]))).unwrap_or_default();
            rest = after;
            if kind == HANDSHAKE && [epoch_high, epoch_low] == [0, 0] {
                old &= self.knows(body);
            } else {
                old = false;
            }
        }
        old && !(answers_hellos && self.next <= 1)
    }

    fn knows(&mut self, body: &[u8]) -> bool {
        let (mut rest, mut known) = (body, true);
        while let Some((header, after)) = rest.split_first_chunk::<HANDSHAKE_HEADER>() {
            let [_, l2, l1, l0, s1, s0, o2, o1, o0, f2, f1, f0] = *header;
            let number = |high, middle, low| u32::from_be_bytes([0, high, middle, low]);
            let (length, offset, size) = (number(l2, l1, l0), number(o2, o1, o0), number(f2, f1, f0));
            let message = u16::from_be_bytes([s1, s0]);
            known &= message < self.next;
            if message == self.next && offset <= self.covered {
                self.covered = self.covered.max(offset + size);
                if self.covered >= length {
                    (self.next, self.covered) = (self.next.saturating_add(1), 0);
                }
            }
            rest = usize::try_from(size).ok().and_then(|size| after.get(size..)).unwrap_or_default();
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, epoch: u8, fragments: &[(u16, u32, u32, u32)]) -> Vec<u8> {
        let mut body = Vec::new();
        for (message, length, offset, size) in fragments {
            body.push(11);
            body.extend(&length.to_be_bytes()[1..]);
            body.extend(message.to_be_bytes());
            body.extend(&offset.to_be_bytes()[1..]);
            body.extend(&size.to_be_bytes()[1..]);
            body.extend(vec![7; *size as usize]);
        }
        let mut out = vec![kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, 0];
        out.extend((body.len() as u16).to_be_bytes());
        out.extend(body);
        out
    }

    #[test]
    fn only_what_was_complete_is_old() {
        let steps = [
            ("a message", record(22, 0, &[(0, 10, 0, 10)]), false),
            ("it again", record(22, 0, &[(0, 10, 0, 10)]), true),
            ("a part of the next", record(22, 0, &[(1, 100, 0, 60)]), false),
            ("that part again", record(22, 0, &[(1, 100, 0, 60)]), false),
            ("one after it", record(22, 0, &[(2, 10, 0, 10)]), false),
            ("that again: its turn has not come", record(22, 0, &[(2, 10, 0, 10)]), false),
            ("an old one and the rest", record(22, 0, &[(0, 10, 0, 10), (1, 100, 60, 40)]), false),
            ("both again", record(22, 0, &[(0, 10, 0, 10), (1, 100, 0, 100)]), true),
            ("an old one and another record", [record(22, 0, &[(0, 10, 0, 10)]), record(20, 0, &[])].concat(), false),
            ("an encrypted one", record(22, 1, &[(0, 10, 0, 10)]), false),
            ("the one after it", record(22, 0, &[(2, 10, 0, 10)]), false),
            ("now it is old", record(22, 0, &[(2, 10, 0, 10)]), true),
        ];
        let mut repeats = Repeats::default();
        for (what, datagram, old) in steps {
            assert_eq!(repeats.is_old(&datagram, false), old, "{what}");
        }
        // A hello without a cookie is answered each time, one with a cookie is not.
        let (mut repeats, hello) = (Repeats::default(), record(22, 0, &[(0, 10, 0, 10)]));
        assert!(!repeats.is_old(&hello, true) && !repeats.is_old(&hello, true));
        let second = record(22, 0, &[(1, 10, 0, 10)]);
        assert!(!repeats.is_old(&second, true) && repeats.is_old(&second, true));
    }
}
