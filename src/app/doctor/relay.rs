//! Whether the relay works: an allocation with the account's credentials, over each transport (RFC 8656 §7).
use super::finding::{Finding, Topic, sentence, span};
use crate::nat::candidate::ServerTransport;
use std::net::SocketAddr;
use std::time::Duration;

/// What was measured of one transport.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub transport: ServerTransport,
    pub port: u16,
    /// What was allocated, and how long it took; or why not, in words.
    pub result: Result<(SocketAddr, Duration), Refusal>,
}

/// Why there is no relayed address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The server said no, in words: it is reached.
    Said(String),
    /// It is not reached, in words.
    Unreached(String),
}

impl Refusal {
    fn words(&self) -> &str {
        match self {
            Self::Said(words) | Self::Unreached(words) => words,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Relay {
    pub server: String,
    /// As the account says; first.
    pub tried: Vec<Attempt>,
    pub has_user: bool,
}

pub fn name(transport: ServerTransport) -> &'static str {
    match transport {
        ServerTransport::Udp => "UDP",
        ServerTransport::Tcp => "TCP",
        ServerTransport::Tls => "TLS",
    }
}

pub fn judge(relay: &Relay) -> Vec<Finding> {
    let Some((first, others)) = relay.tried.split_first() else { return Vec::new() };
    let server = &relay.server;
    let told = |attempt: &Attempt| match &attempt.result {
        Ok((relayed, took)) => {
            format!("{}, port {}: {relayed} after {}", name(attempt.transport), attempt.port, span(*took))
        }
        Err(refusal) => format!("{}, port {}: {}", name(attempt.transport), attempt.port, refusal.words()),
    };
    let details: Vec<String> = relay.tried.iter().map(told).collect();
    let refusal = match &first.result {
        Ok((relayed, took)) => {
            let found =
                format!("{server} relays for us over {} at {relayed} (after {}).", name(first.transport), span(*took));
            let means = "Calls get through whatever the NATs on both sides do.";
            return vec![Finding::ok(Topic::Relay, found).means(means).details(details)];
        }
        Err(refusal) => refusal,
    };
    let works = others.iter().find(|other| other.result.is_ok());
    let means = "Calls that need a relay have no sound: those between strict NATs, and from networks that block UDP.";
    let (found, advice) = match (refusal, works) {
        (Refusal::Unreached(words), Some(other)) => (
            format!(
                "{server} is not reached over {} ({words}), and over {} it is.",
                name(first.transport),
                name(other.transport)
            ),
            match other.transport {
                ServerTransport::Tls => format!("Set turn_server = \"turns:HOST:{}\" in the account.", other.port),
                ServerTransport::Tcp => {
                    format!("Set turn_server = \"turn:HOST:{}?transport=tcp\" in the account.", other.port)
                }
                ServerTransport::Udp => format!("Set turn_server = \"turn:HOST:{}\" in the account.", other.port),
            },
        ),
        (Refusal::Unreached(words), None) => (
            format!("{server} is not reached over {}: {words}.", name(first.transport)),
            "Look at turn_server in the account, and whether a firewall lets it through.".to_owned(),
        ),
        (Refusal::Said(words), _) => (
            sentence(&format!("{server} {words}")),
            match (words.contains("user name"), relay.has_user) {
                (true, true) => "Look at turn_user and turn_password in the account.".to_owned(),
                (true, false) => "Set turn_user and turn_password in the account.".to_owned(),
                (false, _) => "Tell whoever runs the relay.".to_owned(),
            },
        ),
    };
    vec![Finding::problem(Topic::Relay, found).means(means).advice(advice).details(details)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::doctor::finding::Severity;

    #[test]
    fn relays_in_words() {
        let attempt = |transport, result| Attempt { transport, port: 3478, result };
        let good = || Ok((([192, 0, 2, 9], 50_000).into(), Duration::from_millis(30)));
        let said = |words: &str| Err(Refusal::Said(words.to_owned()));
        let lost = || Err(Refusal::Unreached("no answer".to_owned()));
        let (udp, tcp, tls) = (ServerTransport::Udp, ServerTransport::Tcp, ServerTransport::Tls);
        let rows = [
            (vec![attempt(udp, good())], Severity::Ok, "relays for us over UDP at 192.0.2.9:50000"),
            (
                vec![attempt(udp, said("does not accept the user name or the password"))],
                Severity::Problem,
                "turn_password",
            ),
            (vec![attempt(udp, said("forbids it (403)"))], Severity::Problem, "whoever runs the relay"),
            (vec![attempt(udp, lost()), attempt(tcp, lost())], Severity::Problem, "firewall"),
            (vec![attempt(udp, lost()), attempt(tcp, good())], Severity::Problem, "?transport=tcp"),
            (vec![attempt(udp, lost()), attempt(tls, good())], Severity::Problem, "turns:HOST"),
        ];
        for (tried, severity, words) in rows {
            let findings = judge(&Relay { server: "turn.example".into(), tried, has_user: true });
            let text = format!("{} {}", findings[0].found, findings[0].advice);
            assert!(findings[0].severity == severity && text.contains(words), "{findings:?}");
        }
        assert_eq!(judge(&Relay { server: String::new(), tried: vec![], has_user: false }), []);
    }
}
