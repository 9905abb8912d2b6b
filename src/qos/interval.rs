//! Rates over the last seconds, from differences of cumulative counters (RFC 3550 A.3, "interval").
use crate::media::stats::ReceiveStats;
use std::collections::VecDeque;
use std::time::Duration;

/// Rates are taken over this many seconds: long enough to be steady, as long as RTCP's usual interval.
const WINDOW: usize = 5;

/// Counters of one report.
#[derive(Clone, Copy, Debug)]
struct Sample {
    expected: u64,
    lost: i64,
    late: u64,
    played: Duration,
    recovered: Duration,
    ssrc_changes: u32,
    /// Losses of this second: runs, and packets in them.
    runs: u64,
    run_packets: u64,
}

impl Sample {
    fn new(receive: &ReceiveStats) -> Self {
        Self {
            expected: receive.expected,
            lost: receive.lost,
            late: receive.late,
            played: receive.played,
            recovered: receive.recovered,
            ssrc_changes: receive.ssrc_changes,
            runs: receive.loss_runs.len() as u64,
            run_packets: receive.loss_runs.iter().map(|run| u64::from(*run)).sum(),
        }
    }

    /// Whether the counters go on from `earlier`.
    fn continues(&self, earlier: &Self) -> bool {
        self.ssrc_changes == earlier.ssrc_changes && self.expected >= earlier.expected && self.late >= earlier.late
    }
}

/// Rates of one interval [%].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// Never arrived. Not below 0, though packets of the interval before may have come in during this one.
    pub loss: f64,
    /// Arrived too late to be played.
    pub late: f64,
    /// Made good by in-band FEC.
    pub recovered: f64,
    /// Mean run of losses \[packets\]; 0 when there was none.
    pub mean_run: f64,
}

impl Rates {
    /// `None` when no packet was expected in the interval.
    fn between(earlier: &Sample, later: &Sample, (runs, run_packets): (u64, u64)) -> Option<Self> {
        let expected = later.expected.checked_sub(earlier.expected).filter(|n| *n > 0)? as f64;
        let percent = |count: f64| (100.0 * count / expected).clamp(0.0, 100.0);
        let played = later.played.saturating_sub(earlier.played).as_secs_f64();
        let recovered = later.recovered.saturating_sub(earlier.recovered).as_secs_f64();
        Some(Self {
            loss: percent(later.lost.saturating_sub(earlier.lost) as f64),
            late: percent(later.late.saturating_sub(earlier.late) as f64),
            recovered: if played > 0.0 { (100.0 * recovered / played).min(100.0) } else { 0.0 },
            mean_run: if runs > 0 { run_packets as f64 / runs as f64 } else { 0.0 },
        })
    }

    /// What could not be played: Ppl of the E-model [%].
    pub fn unheard(&self) -> f64 {
        (self.loss + self.late - self.recovered).clamp(0.0, 100.0)
    }
}

/// The last seconds' counters.
#[derive(Clone, Debug, Default)]
pub struct Window {
    samples: VecDeque<Sample>,
}

impl Window {
    /// Takes in a report. A new source or a restart of the counters begins a new window.
    pub fn add(&mut self, receive: &ReceiveStats) {
        let sample = Sample::new(receive);
        if self.samples.back().is_some_and(|last| !sample.continues(last)) {
            self.samples.clear();
        }
        self.samples.push_back(sample);
        if self.samples.len() > WINDOW + 1 {
            self.samples.pop_front();
        }
    }

    /// The last second alone.
    pub fn last(&self) -> Option<Rates> {
        let [.., earlier, later] = self.samples.iter().collect::<Vec<_>>()[..] else { return None };
        Rates::between(earlier, later, (later.runs, later.run_packets))
    }

    /// The whole window.
    pub fn all(&self) -> Option<Rates> {
        let runs = self.samples.iter().skip(1).fold((0, 0), |sum, s| (sum.0 + s.runs, sum.1 + s.run_packets));
        Rates::between(self.samples.front()?, self.samples.back()?, runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(expected: u64, lost: i64, late: u64) -> ReceiveStats {
        ReceiveStats { expected, lost, late, ..ReceiveStats::default() }
    }

    fn window(reports: &[ReceiveStats]) -> Window {
        let mut window = Window::default();
        reports.iter().for_each(|report| window.add(report));
        window
    }

    #[test]
    fn nothing_is_known_without_an_interval_in_which_packets_were_due() {
        let other_source = ReceiveStats { ssrc_changes: 1, ..stats(100, 9, 0) };
        let rows: [&[ReceiveStats]; 5] = [
            &[],
            &[stats(50, 5, 0)],
            &[stats(50, 5, 0), stats(50, 5, 0)],
            &[stats(50, 5, 0), stats(20, 0, 0)],
            &[stats(50, 5, 0), other_source],
        ];
        for reports in rows {
            assert_eq!((window(reports).last(), window(reports).all()), (None, None), "{reports:?}");
        }
    }

    #[test]
    fn rates_are_differences_over_what_was_expected() {
        let w = window(&[stats(100, 50, 0), stats(150, 55, 2), stats(200, 53, 3)]);
        let (last, all) = (w.last().expect("two reports"), w.all().expect("three reports"));
        assert_eq!((last.loss, last.late), (0.0, 2.0));
        assert_eq!((all.loss, all.late), (3.0, 3.0));
        assert_eq!(all.unheard(), 6.0);
    }

    #[test]
    fn what_was_recovered_was_heard() {
        let later = ReceiveStats {
            played: Duration::from_secs(1),
            recovered: Duration::from_millis(80),
            loss_runs: vec![1, 3],
            ..stats(100, 10, 0)
        };
        let rates = window(&[stats(50, 6, 0), later]).all().expect("two reports");
        assert_eq!((rates.loss, rates.recovered, rates.unheard(), rates.mean_run), (8.0, 8.0, 0.0, 2.0));
    }

    #[test]
    fn the_window_forgets_old_losses() {
        let reports: Vec<_> = (0..20_u64).map(|n| stats(n * 50, if n == 0 { 0 } else { 25 }, 0)).collect();
        assert!(window(&reports[..3]).all().is_some_and(|r| r.loss > 20.0));
        assert_eq!(window(&reports).all().map(|r| r.loss), Some(0.0));
    }
}
