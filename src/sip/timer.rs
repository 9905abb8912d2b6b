//! The timers of RFC 3261 §17 and appendix A, and how long each runs.
use std::time::Duration;

/// T1, T2 and T4: all other timers of the transaction layer are made of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// Estimate of the round-trip time.
    pub t1: Duration,
    /// Longest interval between retransmissions of non-INVITE requests and of INVITE responses.
    pub t2: Duration,
    /// Longest time a message stays in the network.
    pub t4: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self { t1: Duration::from_millis(500), t2: Duration::from_secs(4), t4: Duration::from_secs(5) }
    }
}

impl Timers {
    /// How long the layer waits for the user before it sends 100 Trying by itself (RFC 3261 §17.2.1).
    pub const TRYING: Duration = Duration::from_millis(200);

    /// Timers B, F, H, J, L and M: when a transaction, or the wait for an ACK, is given up.
    pub fn limit(&self) -> Duration {
        self.t1 * 64
    }

    /// Timer D: how long retransmitted final responses to INVITE are answered with ACK over UDP.
    pub fn d(&self) -> Duration {
        self.limit().max(Duration::from_secs(32))
    }

    /// The next interval of a retransmission that doubles up to T2 (timers E and G, and the 2xx of a UAS core).
    pub fn backed_off(&self, interval: Duration) -> Duration {
        (interval * 2).min(self.t2)
    }
}
