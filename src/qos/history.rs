//! Time lines: one column a second, with gaps where nothing was measured.
use crate::qos::snapshot::TIMELINE;
use std::collections::VecDeque;

/// The last [`TIMELINE`] seconds of one figure, the newest last.
#[derive(Clone, Debug, Default)]
pub struct TimeLine {
    columns: VecDeque<Option<f32>>,
    /// The second the newest column stands for, counted from the start of the call.
    newest: Option<u64>,
}

impl TimeLine {
    /// Notes the figure of a second. Seconds that were skipped become gaps; a second that comes again is replaced, one
    /// that is past is ignored.
    pub fn record(&mut self, second: u64, value: Option<f32>) {
        let skipped = match self.newest {
            Some(newest) if second < newest => return,
            Some(newest) if second == newest => {
                self.columns.pop_back();
                0
            }
            Some(newest) => second - newest - 1,
            None => 0,
        };
        let gaps = usize::try_from(skipped).unwrap_or(TIMELINE).min(TIMELINE);
        self.columns.extend(std::iter::repeat_n(None, gaps));
        self.columns.push_back(value.filter(|v| v.is_finite()));
        let surplus = self.columns.len().saturating_sub(TIMELINE);
        self.columns.drain(..surplus);
        self.newest = Some(second);
    }

    pub fn to_vec(&self) -> Vec<Option<f32>> {
        self.columns.iter().copied().collect()
    }
}

/// Mean over a whole call, of what was measured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mean {
    sum: f64,
    count: u32,
}

impl Mean {
    pub fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    pub fn value(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / f64::from(self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_kept_in_their_place() {
        type Row<'a> = (&'a [(u64, f32)], &'a [Option<f32>]);
        let rows: [Row; 6] = [
            (&[], &[]),
            (&[(5, 1.0)], &[Some(1.0)]),
            (&[(5, 1.0), (5, 2.0)], &[Some(2.0)]),
            (&[(5, 1.0), (4, 2.0)], &[Some(1.0)]),
            (&[(5, 1.0), (8, 2.0)], &[Some(1.0), None, None, Some(2.0)]),
            (&[(1, f32::NAN), (2, 1.0)], &[None, Some(1.0)]),
        ];
        for (entries, expected) in rows {
            let mut line = TimeLine::default();
            entries.iter().for_each(|(second, value)| line.record(*second, Some(*value)));
            assert_eq!(line.to_vec(), expected, "{entries:?}");
        }
    }

    #[test]
    fn a_line_never_grows_beyond_its_length() {
        let mut line = TimeLine::default();
        (0..300).for_each(|second| line.record(second, Some(second as f32)));
        assert_eq!(line.to_vec().len(), TIMELINE);
        assert_eq!(line.to_vec().last(), Some(&Some(299.0)));
        line.record(u64::MAX, Some(1.0));
        assert_eq!(line.to_vec().iter().filter(|v| v.is_some()).count(), 1);
    }

    #[test]
    fn the_mean_of_nothing_is_nothing() {
        let mut mean = Mean::default();
        assert_eq!(mean.value(), None);
        [1.0, 2.0, 6.0].into_iter().for_each(|v| mean.add(v));
        assert_eq!(mean.value(), Some(3.0));
    }
}
