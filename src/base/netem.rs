//! Seeded network impairments: loss, delay and jitter, with the truth of what was applied.
use std::time::Duration;

/// What a simulated network shall do, in each direction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Impairment {
    /// Probability that a packet is lost, `0.0..=1.0`.
    pub loss: f64,
    /// Mean run of consecutive losses [packets]; 1 is independent loss.
    pub burst: f64,
    /// One-way delay.
    pub delay: Duration,
    /// Range of the random delay added to `delay`.
    pub jitter: Duration,
    pub seed: u64,
}

/// What it really did to the packets that went towards the phone.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Truth {
    pub packets: u64,
    pub lost: u64,
    /// Interarrival jitter of what was delivered, by RFC 3550 A.8 [ms].
    pub jitter: f64,
    /// Mean delay added [ms].
    pub delay: f64,
}
