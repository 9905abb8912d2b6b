//! A token bucket for each source address, so that one talkative host cannot take the whole proxy.
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

/// Sources remembered; beyond that the one that was silent longest, whose bucket is the fullest, is forgotten.
const SOURCES: usize = 1024;

/// Requests a source may send.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rate {
    /// [1/s]
    pub sustained: f64,
    /// At once, after a silence.
    pub burst: f64,
}

impl Default for Rate {
    fn default() -> Self {
        Self { sustained: 200.0, burst: 400.0 }
    }
}

#[derive(Debug)]
pub struct Limiter {
    rate: Rate,
    /// Tokens left, and when that was so.
    buckets: BTreeMap<IpAddr, (f64, Instant)>,
}

impl Limiter {
    pub fn new(rate: Rate) -> Self {
        Self { rate, buckets: BTreeMap::new() }
    }

    /// Whether one more request of `source` is let in.
    pub fn admit(&mut self, now: Instant, source: IpAddr) -> bool {
        if !self.buckets.contains_key(&source) && self.buckets.len() >= SOURCES {
            let silent = self.buckets.iter().min_by_key(|(_, (_, since))| *since).map(|(ip, _)| *ip);
            silent.map(|ip| self.buckets.remove(&ip));
        }
        let (tokens, since) = self.buckets.entry(source).or_insert((self.rate.burst, now));
        let earned = now.saturating_duration_since(*since).as_secs_f64() * self.rate.sustained;
        *tokens = (*tokens + earned).min(self.rate.burst);
        *since = now;
        let admitted = *tokens >= 1.0;
        if admitted {
            *tokens -= 1.0;
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_burst_then_the_rate_for_each_source() {
        let (t0, mut limiter) = (Instant::now(), Limiter::new(Rate { sustained: 2.0, burst: 3.0 }));
        let (a, b) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let admitted = |limiter: &mut Limiter, at| (0..10).filter(|_| limiter.admit(at, a)).count();
        assert_eq!(admitted(&mut limiter, t0), 3);
        assert!(limiter.admit(t0, b));
        assert_eq!(admitted(&mut limiter, t0 + Duration::from_secs(1)), 2);
        assert_eq!(admitted(&mut limiter, t0 + Duration::from_secs(60)), 3);
        for n in 0..SOURCES as u32 + 10 {
            limiter.admit(t0, IpAddr::from(n.to_be_bytes()));
        }
        assert_eq!(limiter.buckets.len(), SOURCES);
    }
}
