//! Sequence numbers of one source: validity, extension to 64 bits and the loss figures (RFC 3550 A.1, A.3).

/// Packets in sequence that prove a source.
pub const MIN_SEQUENTIAL: u16 = 2;
/// A jump forward of this much or more is a restart, not a loss.
pub const MAX_DROPOUT: u16 = 3000;
/// A jump back of less than this is a late packet, not a restart.
pub const MAX_MISORDER: u16 = 100;

const CYCLE: u64 = 1 << 16;

/// What A.1 says of a sequence number. The extended numbers start one cycle up, so that a packet from before the
/// first one has a number too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The source is not proven yet.
    Probation,
    /// A large jump; the next packet tells a restart from a stray.
    Jump,
    /// The second packet in sequence after the start or after a jump: all counters begin anew here.
    Started(u64),
    /// The highest so far, or that one again.
    Ahead(u64),
    /// Late or a duplicate.
    Behind(u64),
}

/// The state A.1 keeps of a source.
#[derive(Clone, Debug)]
pub struct Sequence {
    max: u16,
    cycles: u64,
    base: u64,
    /// The number that would make a jump a restart.
    after_jump: Option<u16>,
    probation: u16,
    received: u64,
    expected_prior: u64,
    received_prior: u64,
}

impl Sequence {
    /// A source whose first packet has the number `first`, which is still to be given to [`Sequence::update`].
    pub fn new(first: u16) -> Self {
        let mut sequence = Self {
            max: first,
            cycles: CYCLE,
            base: CYCLE,
            after_jump: None,
            probation: MIN_SEQUENTIAL,
            received: 0,
            expected_prior: 0,
            received_prior: 0,
        };
        sequence.start(first);
        sequence.max = first.wrapping_sub(1);
        sequence
    }

    fn start(&mut self, first: u16) {
        self.max = first;
        self.cycles = CYCLE;
        self.base = CYCLE + u64::from(first);
        self.after_jump = None;
        self.received = 0;
        self.expected_prior = 0;
        self.received_prior = 0;
    }

    pub fn update(&mut self, number: u16) -> Verdict {
        let ahead = number.wrapping_sub(self.max);
        if self.probation > 0 {
            self.probation = if ahead == 1 { self.probation - 1 } else { MIN_SEQUENTIAL - 1 };
            self.max = number;
            if self.probation > 0 {
                return Verdict::Probation;
            }
            self.start(number);
            self.received = 1;
            Verdict::Started(self.highest())
        } else if ahead < MAX_DROPOUT {
            if number < self.max {
                self.cycles += CYCLE;
            }
            self.max = number;
            self.received += 1;
            Verdict::Ahead(self.highest())
        } else if ahead <= 0_u16.wrapping_sub(MAX_MISORDER) {
            if self.after_jump != Some(number) {
                self.after_jump = Some(number.wrapping_add(1));
                return Verdict::Jump;
            }
            self.start(number);
            self.received = 1;
            Verdict::Started(self.highest())
        } else {
            self.received += 1;
            Verdict::Behind(self.highest() - u64::from(self.max.wrapping_sub(number)))
        }
    }

    /// The source was not listened to for a while: its next packet, `number`, begins all counters anew, since nobody can say
    /// how many went elsewhere meanwhile. Without a gap it is as any other.
    pub fn resume(&mut self, number: u16) -> Verdict {
        if self.probation > 0 || number == self.max.wrapping_add(1) {
            return self.update(number);
        }
        self.start(number);
        self.received = 1;
        Verdict::Started(self.highest())
    }

    pub fn is_proven(&self) -> bool {
        self.probation == 0
    }

    fn highest(&self) -> u64 {
        self.cycles + u64::from(self.max)
    }

    /// The extended highest sequence number as a report block has it: cycles in the upper half.
    pub fn extended_highest(&self) -> u32 {
        (self.highest() - CYCLE) as u32
    }

    /// Packets expected since the start.
    pub fn expected(&self) -> u64 {
        if self.is_proven() { self.highest() - self.base + 1 } else { 0 }
    }

    /// Packets received since the start, late ones and duplicates too.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Fraction lost since the last call of this, in 1/256 (A.3).
    pub fn fraction_lost(&mut self) -> u8 {
        let expected = self.expected() - self.expected_prior;
        let received = self.received - self.received_prior;
        self.expected_prior = self.expected();
        self.received_prior = self.received;
        match expected.checked_sub(received) {
            Some(lost) if expected > 0 => u8::try_from((lost << 8) / expected).unwrap_or(u8::MAX),
            Some(_) | None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict::*;
    use super::*;

    const C: u64 = CYCLE;

    #[test]
    fn the_table_of_a1() {
        // Sequence numbers in the order they arrive, with the verdict on each.
        let rows: [(&str, &[(u16, Verdict)]); 9] = [
            ("no two in a row prove nothing", &[(5, Probation), (7, Probation), (9, Probation), (8, Probation)]),
            ("a jump in probation starts it again", &[(5, Probation), (9, Probation), (10, Started(C + 10))]),
            (
                "a lone stray far ahead is no restart",
                &[(1, Probation), (2, Started(C + 2)), (9000, Jump), (3, Ahead(C + 3)), (4, Ahead(C + 4))],
            ),
            (
                "two far ahead are one",
                &[
                    (1, Probation),
                    (2, Started(C + 2)),
                    (9000, Jump),
                    (9001, Started(C + 9001)),
                    (9002, Ahead(C + 9002)),
                ],
            ),
            ("the greatest dropout", &[(1, Probation), (2, Started(C + 2)), (3001, Ahead(C + 3001)), (6001, Jump)]),
            (
                "the greatest misorder",
                &[(200, Probation), (201, Started(C + 201)), (102, Behind(C + 102)), (101, Jump)],
            ),
            (
                "over the end of a cycle and back",
                &[
                    (65534, Probation),
                    (65535, Started(C + 65535)),
                    (1, Ahead(2 * C + 1)),
                    (0, Behind(2 * C)),
                    (65535, Behind(C + 65535)),
                    (2, Ahead(2 * C + 2)),
                ],
            ),
            (
                "before the first of a first cycle",
                &[(65535, Probation), (0, Started(C)), (65534, Behind(C - 2)), (1, Ahead(C + 1))],
            ),
            ("the same again", &[(1, Probation), (2, Started(C + 2)), (2, Ahead(C + 2)), (3, Ahead(C + 3))]),
        ];
        for (what, steps) in rows {
            let mut sequence = Sequence::new(steps[0].0);
            for (at, (number, verdict)) in steps.iter().enumerate() {
                assert_eq!(sequence.update(*number), *verdict, "{what}: step {at}, number {number}");
            }
        }
    }

    #[test]
    fn the_figures_of_a3() {
        let mut sequence = Sequence::new(9);
        for number in [9, 10, 11, 12, 14, 15, 18, 19] {
            sequence.update(number);
        }
        // 10..=19 are expected; 13, 16 and 17 are missing.
        assert_eq!((sequence.expected(), sequence.received()), (10, 7));
        assert_eq!(sequence.fraction_lost(), (3 * 256 / 10) as u8);
        assert_eq!(sequence.fraction_lost(), 0, "nothing since");
        // A late packet and a duplicate: more received than expected is no loss.
        for number in [16, 20, 20] {
            sequence.update(number);
        }
        assert_eq!((sequence.expected(), sequence.received()), (11, 10));
        assert_eq!(sequence.fraction_lost(), 0);
        assert_eq!(sequence.extended_highest(), 20);
    }

    #[test]
    fn cycles_are_in_the_upper_half() {
        let mut sequence = Sequence::new(65534);
        for number in [65534, 65535, 0, 1, 2] {
            sequence.update(number);
        }
        assert_eq!(sequence.extended_highest(), 0x0001_0002);
        assert_eq!(sequence.expected(), 4);
    }
}
