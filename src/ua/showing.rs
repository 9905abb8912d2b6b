//! What is true now, put together for those who show it.
use super::UserAgent;
use super::snapshot::{AccountView, CallView, Counters, Snapshot};
use std::sync::Arc;
use std::time::Instant;

impl UserAgent {
    pub fn snapshot(&self, _now: Instant) -> Snapshot {
        let layer = self.layer.counters();
        Snapshot {
            accounts: self
                .shown_accounts()
                .map(|a| AccountView {
                    mailbox: self.watching.mailbox(a.id),
                    messages: self.ladders.registrations(a.id),
                    ..a.view()
                })
                .collect(),
            calls: self
                .calls
                .values()
                .filter(|c| c.is_shown())
                .map(|c| CallView {
                    in_conference: self.conference.contains(&c.number),
                    ladder: self.ladders.of(c.number),
                    ..c.view()
                })
                .collect(),
            focus: self.focus,
            muted: self.muted,
            capture_gain: self.gain.0,
            playback_gain: self.gain.1,
            capture_level: self.levels.0,
            playback_level: self.levels.1,
            presence: self.presence_view(),
            watched: self.watched(),
            contacts: Arc::clone(&self.contacts),
            ladders: self.ladders.calls(),
            devices: self.device_view(),
            counters: Counters {
                malformed: layer.malformed,
                retransmissions: layer.retransmissions,
                strangers: self.counters.strangers,
                rate_limited: self.counters.rate_limited,
            },
            ..Snapshot::default()
        }
    }
}
