//! Which packets of the recent past arrived: duplicates, reordering, and the runs of loss that are left.

/// How long a missing packet may still come before it counts as lost \[packets\].
const DEPTH: u64 = 64;

/// More runs than a second of the fastest stream can have.
const MAX_RUNS: usize = 256;

/// What the record says of a packet that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    InOrder,
    Reordered,
    Duplicate,
}

/// The last `DEPTH` sequence numbers as bits: bit `n` is the highest less `n`.
#[derive(Clone, Debug, Default)]
pub struct Arrivals {
    /// The first and the highest packet.
    range: Option<(u64, u64)>,
    seen: u64,
    run: u32,
    runs: Vec<u32>,
}

impl Arrivals {
    /// Records the packet with the extended sequence number `number`.
    pub fn record(&mut self, number: u64) -> Place {
        let Some((first, highest)) = self.range else {
            self.range = Some((number, number));
            self.seen = 1;
            return Place::InOrder;
        };
        if number > highest {
            let ahead = number - highest;
            for step in 0..ahead.min(DEPTH) {
                self.settle((highest + step).checked_sub(DEPTH - 1).is_some_and(|leaving| leaving >= first));
            }
            // What jumped over the whole window has no time left to arrive late.
            self.run = self.run.saturating_add(u32::try_from(ahead.saturating_sub(DEPTH)).unwrap_or(u32::MAX));
            self.seen |= 1;
            self.range = Some((first, number));
            return Place::InOrder;
        }
        let behind = highest - number;
        if behind >= DEPTH {
            return Place::Reordered;
        }
        let bit = 1 << behind;
        if self.seen & bit != 0 {
            return Place::Duplicate;
        }
        self.seen |= bit;
        Place::Reordered
    }

    /// Shifts the window by one packet and decides on the one that leaves it, if it is to be counted.
    fn settle(&mut self, counts: bool) {
        if counts && self.seen >> (DEPTH - 1) == 0 {
            self.run = self.run.saturating_add(1);
        } else {
            self.end_run();
        }
        self.seen <<= 1;
    }

    fn end_run(&mut self) {
        if self.run > 0 && self.runs.len() < MAX_RUNS {
            self.runs.push(self.run);
        }
        self.run = 0;
    }

    /// Takes the runs that ended since the last call.
    pub fn take_runs(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs_of(numbers: impl IntoIterator<Item = u64>) -> Vec<u32> {
        let mut arrivals = Arrivals::default();
        for number in numbers {
            arrivals.record(number);
        }
        arrivals.take_runs()
    }

    #[test]
    fn places() {
        let mut arrivals = Arrivals::default();
        let rows = [
            (1000, Place::InOrder),
            (1000, Place::Duplicate),
            (1003, Place::InOrder),
            (1002, Place::Reordered),
            (1002, Place::Duplicate),
            (1003, Place::Duplicate),
            (999, Place::Reordered),
            (999, Place::Duplicate),
            // Beyond the window nothing is known.
            (900, Place::Reordered),
            (1100, Place::InOrder),
            (1036, Place::Reordered),
            (1037, Place::Reordered),
            (1037, Place::Duplicate),
        ];
        for (number, place) in rows {
            assert_eq!(arrivals.record(number), place, "{number}");
        }
    }

    #[test]
    fn runs_are_what_never_came() {
        assert_eq!(runs_of(0..500), Vec::<u32>::new());
        assert_eq!(runs_of((0..500).filter(|n| ![10, 20, 21, 22, 200].contains(n))), [1, 3, 1]);
        // 20 came late and filled the gap.
        assert_eq!(runs_of((0..20).chain(21..30).chain([20]).chain(30..500)), Vec::<u32>::new());
        // A gap longer than the window is one run.
        assert_eq!(runs_of((0..100).chain(300..500)), [200]);
        assert_eq!(runs_of((0..100).chain(101..102).chain(300..500)), [1, 198]);
    }
}
