//! All that was measured, and the findings it makes. What was not measured in time is said.
use super::certificate::{self, Certificate};
use super::files::{self, Place};
use super::finding::{Finding, Topic};
use super::machine::{self, Machine};
use super::names::{self, Names};
use super::nat::{self, Known, Stun};
use super::registration::{self, Registration};
use super::relay::{self, Relay};
use super::rewriting::{self, Echo};
use super::server::{self, Reach};
use super::sound::{self, Sound};
use crate::base::net::Transport;
use crate::nat::behaviour::lifetime;
use std::time::SystemTime;

#[derive(Debug, Default)]
pub struct Facts {
    /// What is still being measured.
    pub pending: Vec<Topic>,
    /// Findings that need no measuring.
    pub configuration: Vec<Finding>,
    /// As the account names itself to the server.
    pub user: String,
    pub has_relay: bool,
    pub names: Option<Names>,
    pub reach: Option<Reach>,
    pub echo: Option<Echo>,
    pub certificate: Option<Certificate>,
    /// So much this computer's clock is ahead of the server's \[s\].
    pub clock: Option<i64>,
    pub registration: Option<Registration>,
    pub stun: Option<Stun>,
    /// For how long the NAT remembers, where it was asked for.
    pub lifetime: Option<lifetime::Report>,
    pub relay: Option<Relay>,
    pub machine: Option<Machine>,
    pub sound: Option<Sound>,
    pub files: Option<Vec<Place>>,
}

impl Facts {
    pub fn done(&mut self, topic: Topic) {
        self.pending.retain(|pending| *pending != topic);
    }

    /// All findings, in the order of their topics.
    ///
    /// - `now`: the time of day.
    pub fn judge(&self, now: SystemTime) -> Vec<Finding> {
        let mut out = self.configuration.clone();
        out.extend(self.names.iter().flat_map(names::judge));
        out.extend(self.reach.iter().flat_map(server::judge));
        out.extend(self.certificate.iter().flat_map(|facts| certificate::judge(facts, now)));
        out.extend(self.clock.and_then(certificate::judge_clock));
        out.extend(self.registration.iter().flat_map(|facts| registration::judge(facts, &self.user)));
        let outside = self.stun.as_ref().and_then(|stun| stun.report()?.mapped);
        out.extend(self.echo.iter().flat_map(|echo| rewriting::judge(echo, outside.map(|address| address.ip()))));
        out.extend(self.stun.iter().flat_map(|stun| nat::judge(stun, self.known())));
        out.extend(self.lifetime.iter().map(nat::judge_lifetime));
        out.extend(self.relay.iter().flat_map(relay::judge));
        out.extend(self.machine.iter().flat_map(machine::judge));
        out.extend(self.sound.iter().flat_map(sound::judge));
        out.extend(self.files.iter().flat_map(|places| files::judge(places)));
        out.extend(self.pending.iter().map(|topic| {
            Finding::unknown(*topic, "This could not be found out in time.")
                .means("Whatever was asked neither answered nor refused.")
                .advice("Give it more time: --timeout SECONDS.")
        }));
        out.sort_by_key(|finding| finding.topic);
        out
    }

    fn known(&self) -> Known {
        let answered = self.reach.as_ref().and_then(Reach::answer);
        Known {
            udp_works: answered.is_some_and(|(attempt, _)| attempt.transport == Transport::Udp),
            has_relay: self.has_relay,
            is_translated: self.echo.as_ref().is_some_and(|e| e.seen.is_some_and(|seen| seen.ip() != e.local.ip())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::doctor::finding::Severity;

    #[test]
    fn what_was_not_measured_in_time_is_said() {
        let mut facts = Facts { pending: vec![Topic::Sound, Topic::Server], ..Facts::default() };
        facts.configuration.push(Finding::ok(Topic::Configuration, "fine"));
        let findings = facts.judge(SystemTime::UNIX_EPOCH);
        let topics: Vec<Topic> = findings.iter().map(|finding| finding.topic).collect();
        assert_eq!(topics, [Topic::Configuration, Topic::Server, Topic::Sound]);
        assert_eq!(findings[1].severity, Severity::Unknown);
        facts.done(Topic::Sound);
        facts.done(Topic::Server);
        assert_eq!(facts.judge(SystemTime::UNIX_EPOCH).len(), 1);
    }
}
