//! The peer agrees to be sent to, again and again (RFC 7675).
use super::pair::Sent;
use super::{Agent, CONSENT_EVERY};
use crate::nat::candidate::RTP;
use crate::nat::stun::TransactionId;
use std::time::{Duration, Instant};

impl Agent {
    pub(super) fn renew_consent(&mut self, now: Instant) {
        let used: Vec<usize> =
            (0..self.pairs.len()).filter(|at| self.pairs.get(*at).is_some_and(|pair| self.is_route(pair))).collect();
        for at in 0..self.pairs.len() {
            let due = self.pairs.get(at).and_then(|pair| pair.consent_at).is_some_and(|due| due <= now);
            if due {
                let next = now + self.consent_interval();
                let sent = Sent {
                    id: TransactionId::new(&mut self.rng),
                    at: now,
                    controlling: self.controlling,
                    nominates: false,
                };
                let Some(pair) = self.pairs.get_mut(at) else { continue };
                if used.contains(&at) {
                    pair.consent_at = Some(next);
                    pair.remember(sent);
                    let component = pair.component;
                    self.request(at, sent);
                    if component == RTP {
                        self.expect_answer(now);
                    }
                } else {
                    // Nothing is sent over it: nothing has to be asked.
                    pair.consent_at = None;
                }
            }
            let Some(pair) = self.pairs.get_mut(at) else { continue };
            if pair.consent_until.is_some_and(|until| until <= now) {
                pair.give_up();
            }
        }
    }

    pub(super) fn consent_interval(&mut self) -> Duration {
        let [low, high] = CONSENT_EVERY;
        Duration::from_millis(u64::from(self.rng.range(low, high)))
    }
}
