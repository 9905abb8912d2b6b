//! How long packets should wait: the delay at which waiting longer costs more than the packets it would still catch.
use crate::media::jitter::clock::{FRAME_TICKS, MS, Ticks};
use std::collections::VecDeque;

/// Packets remembered at most, and for how long.
const PACKETS: usize = 2_000;
const WINDOW: Ticks = 20_000 * MS;
/// The latest packets looked at one by one.
const TAIL: usize = 96;
/// Bounds of the target above the fastest packet.
const LEAST: Ticks = 20 * MS;
const MOST: Ticks = 1_000 * MS;
/// Cost of one packet in a hundred coming too late, and of 100 ms of delay: the first is what the E-model (ITU-T G.107)
/// takes off R for concealed loss, doubled because late packets come in runs; the second is its delay term, which
/// bends where conversation begins to suffer.
const LATE_COST: f64 = 800.0;
const DELAY_COST: f64 = 0.024 / MS as f64;
const LONG_DELAY: f64 = 250.0 * MS as f64;
const LONG_DELAY_COST: f64 = 0.11 / MS as f64;
/// Each packet seen stands for others up to so much later, relative to the distance from the median to the latest tenth.
const KERNEL: f64 = 0.25;
/// The target is worked out again after this many packets, and at once when one came later than it.
const EVERY: u32 = 8;
/// Packets over which runs of losses are averaged, and when they count as frequent and as rare again.
const RUN_MEMORY: f64 = 256.0;
const RUNS_OFTEN: f64 = 0.007;
const RUNS_SELDOM: f64 = 0.003;
/// Packets that show the shape of their delays.
const SURE: usize = 500;
/// So many packets that all took longer, or less long, than nearly all before them: the path has changed.
const STEP_UP: usize = 40;
const STEP_DOWN: usize = 250;

/// Transit times are arrival less RTP time, both counted from the first packet: only their differences mean
/// anything.
#[derive(Clone, Debug)]
pub struct DelayEstimator {
    /// Transit time and arrival of each packet.
    recent: VecDeque<(Ticks, Ticks)>,
    scratch: Vec<Ticks>,
    since: u32,
    target: Ticks,
    typical: Ticks,
    fastest: Ticks,
    /// Part of the packets that follow more than one lost in a row, forgetting slowly.
    runs: f64,
    /// Packets to have in hand when one is played: the one after it, or two where losses come in runs.
    in_hand: Ticks,
}

impl Default for DelayEstimator {
    fn default() -> Self {
        Self {
            recent: VecDeque::with_capacity(PACKETS),
            scratch: Vec::with_capacity(PACKETS),
            since: 0,
            target: 0,
            typical: 0,
            fastest: 0,
            runs: 0.0,
            in_hand: 1,
        }
    }
}

impl DelayEstimator {
    /// A packet came.
    ///
    /// - `packet_time`: length of the sound in it.
    pub fn packet(&mut self, transit: Ticks, arrived: Ticks, packet_time: Ticks) {
        self.remember(transit, arrived);
        self.since += 1;
        if self.since >= EVERY || transit + FRAME_TICKS > self.target || self.recent.len() < 2 * EVERY as usize {
            self.forget_old_path();
            self.estimate(packet_time);
        }
    }

    /// What was learnt is void; these packets (transit time, arrival, length) are all that counts.
    pub fn learn_anew(&mut self, packets: impl Iterator<Item = (Ticks, Ticks, Ticks)>) {
        self.reset();
        let mut packet_time = 0;
        for (transit, arrived, length) in packets {
            self.remember(transit, arrived);
            packet_time = length;
        }
        if !self.recent.is_empty() {
            self.estimate(packet_time);
        }
    }

    fn remember(&mut self, transit: Ticks, arrived: Ticks) {
        if self.recent.len() == PACKETS {
            self.recent.pop_front();
        }
        while self.recent.front().is_some_and(|(_, at)| arrived - at > WINDOW) {
            self.recent.pop_front();
        }
        self.recent.push_back((transit, arrived));
    }

    /// A packet is played after `lost` ones before it were given up.
    pub fn played_after(&mut self, lost: u64) {
        self.runs += (f64::from(u8::from(lost > 1)) - self.runs) / RUN_MEMORY;
        self.in_hand = match self.runs {
            often if often > RUNS_OFTEN => 2,
            seldom if seldom < RUNS_SELDOM => 1,
            _ => self.in_hand,
        };
    }

    /// The transit time at which sound should be played: `now` less its RTP time; `None` before the first packet.
    pub fn target(&self) -> Option<Ticks> {
        (!self.recent.is_empty()).then_some(self.target)
    }

    /// The longest a packet waits: the fastest one.
    pub fn longest_wait(&self) -> Ticks {
        self.target - self.fastest
    }

    /// The median transit time.
    pub fn typical(&self) -> Ticks {
        self.typical
    }

    pub fn reset(&mut self) {
        self.recent.clear();
        self.since = 0;
    }

    fn estimate(&mut self, packet_time: Ticks) {
        self.since = 0;
        let count = self.recent.len();
        self.scratch.clear();
        self.scratch.extend(self.recent.iter().map(|(transit, _)| *transit));
        let median = *self.scratch.select_nth_unstable(count / 2).1;
        let fastest = self.scratch[..=count / 2].iter().copied().min().unwrap_or(median);
        // The latest ones, the latest first.
        let tail = TAIL.min(count);
        if tail < count {
            self.scratch.select_nth_unstable_by(tail - 1, |a, b| b.cmp(a));
        }
        let tail = &mut self.scratch[..tail];
        tail.sort_unstable_by(|a, b| b.cmp(a));
        let tenth = tail.get(count / 10).or(tail.last()).copied().unwrap_or(median);
        // Of two paths in the window neither says how far packets of the other stray; few packets say little at all.
        let beyond = tail.first().copied().unwrap_or(tenth) - tenth;
        let spread = if count < SURE { tenth - median } else { (tenth - median).min(2 * beyond) };
        let late = cheapest(tail, count, fastest, KERNEL * spread as f64 + 0.3 * MS as f64);
        // With the packet after it in hand, a lost one can be recovered or bridged.
        let wanted = late.max(median + packet_time * self.in_hand) + FRAME_TICKS;
        (self.typical, self.fastest) = (median, fastest);
        self.target = wanted.clamp(fastest + LEAST, fastest + MOST);
    }

    /// After a step of the path's delay what was before says nothing any more: quickly found out when packets take
    /// longer now, slowly when they are faster, since those that took long may come again.
    fn forget_old_path(&mut self) {
        for (newest, slower) in [(STEP_UP, true), (STEP_DOWN, false)] {
            let Some(old) = self.recent.len().checked_sub(newest).filter(|old| *old > 0) else { continue };
            let transit = self.recent.range(old..).map(|(transit, _)| *transit);
            let (low, high) = transit.fold((Ticks::MAX, Ticks::MIN), |(low, high), t| (low.min(t), high.max(t)));
            let margin = FRAME_TICKS + (high - low) / 2;
            let beyond = |t: Ticks| if slower { t < low - margin } else { t > high + margin };
            let differ = self.recent.range(..old).filter(|(transit, _)| beyond(*transit)).count();
            // A few may be of the new path already: packets cross at the step.
            if differ * 5 >= old * 4 {
                self.recent.drain(..old);
                return;
            }
        }
    }
}

/// The delay at which the cost of late packets and the cost of delay together are least.
///
/// Each packet seen stands for others that may come up to a few `spread` later.
fn cheapest(latest_first: &[Ticks], count: usize, fastest: Ticks, spread: f64) -> Ticks {
    let (Some(latest), Some(earliest)) = (latest_first.first(), latest_first.last()) else { return fastest };
    let delay_cost = |delay: f64| delay * DELAY_COST + (delay - LONG_DELAY).max(0.0) * LONG_DELAY_COST;
    let late = |at: Ticks| {
        let beyond = |t: &Ticks| if *t > at { 1.0 } else { (-((at - t) as f64) / spread).exp() };
        latest_first.iter().map(beyond).take_while(|p| *p > 1e-4).sum::<f64>() / count as f64
    };
    let cost = |at: Ticks| LATE_COST * late(at) + delay_cost((at - fastest) as f64);
    let top = (*latest + (6.0 * spread) as Ticks).min(fastest + MOST);
    let step = ((top - earliest) / 64).max(MS / 2);
    let candidates = (0..=64).map(|n| earliest + n * step);
    candidates.map(|at| (at, cost(at))).min_by(|a, b| a.1.total_cmp(&b.1)).map_or(*latest, |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    /// Target above the fastest packet [ms] after `count` packets of 20 ms whose transit times are `transit(n)` [ms].
    fn target(estimator: &mut DelayEstimator, count: i64, transit: &mut dyn FnMut(i64) -> f64) -> i64 {
        let first = estimator.recent.back().map_or(0, |(_, at)| at / (20 * MS) + 1);
        for n in first..first + count {
            let transit = (transit(n) * MS as f64) as Ticks;
            estimator.packet(transit, n * 20 * MS + transit.min(0), 20 * MS);
        }
        (estimator.target().expect("packets") - estimator.fastest) / MS
    }

    fn bell(rng: &mut Rng) -> f64 {
        (0..12).map(|_| rng.unit()).sum::<f64>() - 6.0
    }

    #[test]
    fn the_target_is_what_the_network_asks_for() {
        let mut rng = Rng::from_u64(1);
        type Row<'a> = (&'a str, Box<dyn FnMut(i64) -> f64 + 'a>, std::ops::RangeInclusive<i64>);
        let mut draw = || bell(&mut rng);
        let rows: [Row<'_>; 5] = [
            ("steady", Box::new(|_| 50.0), 29..=32),
            ("two levels", Box::new(|n| if n % 2 == 0 { 0.0 } else { 40.0 }), 50..=75),
            ("one late packet in 20 s", Box::new(|n| if n == 700 { 300.0 } else { 0.0 }), 29..=35),
            ("every tenth is late", Box::new(|n| if n % 10 == 0 { 80.0 } else { 0.0 }), 89..=95),
            // Three times the deviation on each side, and the frame.
            ("bell, deviation 20 ms", Box::new(move |_| 20.0 * draw()), 100..=175),
        ];
        for (name, mut transit, expected) in rows {
            let found = target(&mut DelayEstimator::default(), 1_000, &mut *transit);
            assert!(expected.contains(&found), "{name}: {found} ms");
        }
    }

    #[test]
    fn the_target_rises_at_once_and_has_bounds() {
        let mut estimator = DelayEstimator::default();
        assert_eq!(estimator.target(), None);
        target(&mut estimator, 200, &mut |_| 0.0);
        assert!(target(&mut estimator, 10, &mut |n| (n % 2) as f64 * 200.0) > 200);
        assert_eq!(target(&mut estimator, 300, &mut |n| (n % 2) as f64 * 4_000.0), 1_000);
    }

    #[test]
    fn a_path_that_became_slower_is_known_in_a_second_and_a_faster_one_in_five() {
        let mut estimator = DelayEstimator::default();
        target(&mut estimator, 500, &mut |_| 0.0);
        assert!(target(&mut estimator, 50, &mut |_| 300.0) < 40);
        assert!(target(&mut estimator, 200, &mut |_| 0.0) > 200);
        assert!(target(&mut estimator, 60, &mut |_| 0.0) < 40);
    }

    #[test]
    fn runs_of_losses_are_worth_a_packet_more_until_they_end() {
        let mut estimator = DelayEstimator::default();
        let mut after = |lost: u64, count: i64| {
            for _ in 0..count {
                estimator.played_after(0);
            }
            estimator.played_after(lost);
            target(&mut estimator, 20, &mut |_| 0.0)
        };
        assert_eq!(after(1, 20), 30);
        assert_eq!(after(1, 20), 30);
        after(2, 20);
        assert_eq!(after(3, 20), 50);
        assert_eq!(after(1, 400), 30);
    }
}
