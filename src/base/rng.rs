//! The one seeded generator: unpredictable when seeded by the system, repeatable when seeded by a test.
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng};

/// A cryptographic generator (ChaCha12) owned by each pure machine that needs randomness.
#[derive(Clone, Debug)]
pub struct Rng(ChaCha12Rng);

impl Rng {
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(ChaCha12Rng::from_seed(seed))
    }

    /// A repeatable generator for tests and simulations.
    pub fn from_u64(seed: u64) -> Self {
        Self(ChaCha12Rng::seed_from_u64(seed))
    }

    /// A generator of its own for a part, so that one part's draws do not shift another's.
    pub fn fork(&mut self) -> Self {
        let mut seed = [0; 32];
        self.0.fill_bytes(&mut seed);
        Self::from_seed(seed)
    }

    pub fn u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    pub fn u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    pub fn fill(&mut self, octets: &mut [u8]) {
        self.0.fill_bytes(octets);
    }

    /// Uniform in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in `low..=high`; `low` when the range is empty.
    pub fn range(&mut self, low: u32, high: u32) -> u32 {
        let span = u64::from(high.saturating_sub(low)) + 1;
        low + ((u64::from(self.u32()) * span) >> 32) as u32
    }

    /// `digits` lower-case hexadecimal digits, four bits of randomness each.
    pub fn hex(&mut self, digits: usize) -> String {
        (0..digits).map(|_| char::from_digit(self.u32() >> 28, 16).unwrap_or('0')).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_reaches_both_ends_and_never_leaves() {
        let mut rng = Rng::from_u64(1);
        let drawn: Vec<u32> = (0..1000).map(|_| rng.range(3, 5)).collect();
        assert!(drawn.iter().all(|n| (3..=5).contains(n)));
        assert!((3..=5).all(|n| drawn.contains(&n)));
    }

    #[test]
    fn the_same_seed_gives_the_same_words() {
        assert_eq!(Rng::from_u64(7).hex(16), Rng::from_u64(7).hex(16));
        assert_ne!(Rng::from_u64(7).hex(16), Rng::from_u64(8).hex(16));
    }
}
