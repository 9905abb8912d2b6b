//! Sound that flowed and stops, without a word: its way may be dead. A pause of the talk (RFC 3551 §4.1) looks the same, so
//! that this only raises the question.
use std::time::{Duration, Instant};

/// Silence that is no gap between two packets.
const SILENCE: Duration = Duration::from_millis(300);
/// Packets nearer to each other than that flow.
const NEAR: Duration = Duration::from_millis(150);
/// So many of them.
const FLOW: u8 = 5;
/// Who talks with pauses is asked about no more often.
const PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub struct Vigil {
    last: Option<Instant>,
    near: u8,
    asked: Option<Instant>,
}

impl Vigil {
    /// A packet of the peer's sound.
    pub fn handle_heard(&mut self, now: Instant) {
        let is_near = self.last.is_some_and(|last| now.saturating_duration_since(last) <= NEAR);
        self.near = if is_near { self.near.saturating_add(1) } else { 0 };
        self.last = Some(now);
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        let stopped = self.last.filter(|_| self.near >= FLOW)? + SILENCE;
        Some(self.asked.map_or(stopped, |asked| stopped.max(asked + PAUSE)))
    }

    /// Whether the flow has stopped; said once for each stop.
    pub fn is_broken(&mut self, now: Instant) -> bool {
        let broken = self.poll_timeout().is_some_and(|at| at <= now);
        if broken {
            (self.near, self.asked) = (0, Some(now));
        }
        broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times at which packets come, until when it is looked \[ms\], and when the flow was found broken.
    type Row = (&'static str, Vec<u64>, u64, Vec<u64>);

    #[test]
    fn a_flow_that_stops_is_noticed_once() {
        let flow = |from: u64, to: u64| (from..to).step_by(20).collect::<Vec<u64>>();
        let talks = |pauses: &[u64]| pauses.iter().flat_map(|from| flow(*from, from + 200)).collect::<Vec<u64>>();
        let rows: [Row; 6] = [
            ("nothing ever came", vec![], 5_000, vec![]),
            ("a few packets are no flow", flow(0, 80), 5_000, vec![]),
            ("nor are those that come now and then", (0..40).map(|n| n * 400).collect(), 20_000, vec![]),
            ("packets go missing", [flow(0, 1_000), flow(1_200, 2_000)].concat(), 2_000, vec![]),
            ("it stops", flow(0, 1_000), 60_000, vec![1_280]),
            ("a talk with pauses", talks(&[0, 1_000, 2_000, 3_000]), 10_000, vec![480, 2_480, 4_480]),
        ];
        for (what, packets, until, expected) in rows {
            let start = Instant::now();
            let at = |ms: u64| start + Duration::from_millis(ms);
            let (mut vigil, mut found) = (Vigil::default(), Vec::new());
            for ms in 0..=until {
                if packets.contains(&ms) {
                    vigil.handle_heard(at(ms));
                }
                if vigil.is_broken(at(ms)) {
                    found.push(ms);
                }
            }
            assert_eq!(found, expected, "{what}");
        }
    }
}
