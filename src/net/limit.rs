//! A token bucket for each source address, so that one talkative host cannot take the whole phone.
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

/// Messages a source may send at once, and for each second after that.
const BURST: f64 = 2000.0;
const PER_SECOND: f64 = 1000.0;
/// Sources remembered; beyond that the one that was silent for longest is forgotten.
const SOURCES: usize = 1024;

#[derive(Debug, Default)]
pub struct RateLimit {
    buckets: BTreeMap<IpAddr, (f64, Instant)>,
    /// Messages refused so far.
    pub refused: u64,
}

impl RateLimit {
    /// Whether one more message of `source` is admitted.
    pub fn admit(&mut self, now: Instant, source: IpAddr) -> bool {
        if !self.buckets.contains_key(&source) && self.buckets.len() >= SOURCES {
            let idle = self.buckets.iter().min_by_key(|(_, (_, since))| *since).map(|(ip, _)| *ip);
            if let Some(ip) = idle {
                self.buckets.remove(&ip);
            }
        }
        let (tokens, since) = self.buckets.entry(source).or_insert((BURST, now));
        *tokens = (*tokens + now.saturating_duration_since(*since).as_secs_f64() * PER_SECOND).min(BURST);
        *since = now;
        if *tokens < 1.0 {
            self.refused += 1;
            return false;
        }
        *tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_flood_is_cut_to_the_rate_and_others_are_not_touched() {
        let (t0, mut limit) = (Instant::now(), RateLimit::default());
        let (noisy, quiet) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let admitted = (0..10_000).filter(|n| limit.admit(t0 + Duration::from_micros(100 * n), noisy)).count();
        assert!((2_990..=3_010).contains(&admitted), "{admitted}");
        assert_eq!(limit.refused, 10_000 - admitted as u64);
        assert!(limit.admit(t0 + Duration::from_secs(1), quiet));
    }

    #[test]
    fn memory_is_bounded() {
        let (t0, mut limit) = (Instant::now(), RateLimit::default());
        for n in 0..5_000_u32 {
            limit.admit(t0, IpAddr::from(n.to_be_bytes()));
        }
        assert_eq!(limit.buckets.len(), SOURCES);
    }
}
