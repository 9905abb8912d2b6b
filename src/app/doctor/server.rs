//! Whether the server answers, over which transports, and how fast (RFC 3261 §11, OPTIONS as a ping).
use super::finding::{Finding, Topic, cause_and_advice, sentence, span};
use crate::base::net::Transport;
use std::net::SocketAddr;
use std::time::Duration;

/// So far away that people begin to talk at the same time.
const FAR: Duration = Duration::from_millis(300);

/// An answer of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub reason: String,
    /// Over a connection with the time it took to open it.
    pub round_trip: Duration,
    /// As the server names its software.
    pub software: Option<String>,
}

/// Why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing came, not even a refusal.
    Silent,
    /// In words.
    Refused(String),
}

impl Failure {
    pub fn words(&self) -> String {
        match self {
            Self::Silent => "no answer".to_owned(),
            Self::Refused(words) => words.clone(),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Attempt {
    pub transport: Transport,
    pub remote: SocketAddr,
    pub result: Result<Answer, Failure>,
}

impl Attempt {
    fn place(&self) -> String {
        format!("{} over {}", self.remote, self.transport.name().to_uppercase())
    }

    fn told(&self) -> String {
        match &self.result {
            Ok(answer) => {
                format!("{}: {} {} after {}", self.place(), answer.status, answer.reason, span(answer.round_trip))
            }
            Err(failure) => format!("{}: {}", self.place(), failure.words()),
        }
    }
}

/// What was measured.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// In the order in which the phone tries them; a few of them.
    pub tried: Vec<Attempt>,
    /// Other transports of the same server, tried when none of those answers.
    pub others: Vec<Attempt>,
    /// The transport the account insists on.
    pub insisted: Option<Transport>,
    /// Whether a message that has to be cut into fragments gets through over UDP.
    pub long: Option<bool>,
}

impl Reach {
    /// The server that answers as the phone reaches it.
    pub fn answer(&self) -> Option<(&Attempt, &Answer)> {
        self.tried.iter().find_map(|attempt| Some((attempt, attempt.result.as_ref().ok()?)))
    }
}

pub fn judge(reach: &Reach) -> Vec<Finding> {
    let details: Vec<String> = reach.tried.iter().chain(&reach.others).map(Attempt::told).collect();
    let Some((attempt, answer)) = reach.answer() else {
        return vec![unreachable(reach).details(details)];
    };
    let place = attempt.place();
    let software = answer.software.as_ref().map_or_else(String::new, |software| format!(" ({software})"));
    let after = span(answer.round_trip);
    let mut out = Vec::new();
    if answer.status >= 500 {
        out.push(
            Finding::problem(
                Topic::Server,
                format!("{place} answers with {} {}: it does not serve now.", answer.status, answer.reason),
            )
            .means("It is there, but calls through it fail.")
            .advice("Try again later; if it stays so, tell whoever runs the server.")
            .details(details),
        );
    } else {
        let found = format!("{place} answers after {after}{software}.");
        let connecting = if attempt.transport.is_reliable() { ", connecting included" } else { "" };
        let status = format!("It said {} {}{connecting}.", answer.status, answer.reason);
        out.push(Finding::ok(Topic::Server, found).details(details).details([status]));
    }
    if attempt.transport == Transport::Udp && answer.round_trip >= FAR {
        out.push(
            Finding::note(Topic::Server, format!("The way to the server and back takes {after}."))
                .means("It takes long until calls ring; if sound takes the same way, people talk at the same time.")
                .advice("A cable instead of a radio link, or a server that is nearer, helps."),
        );
    }
    if let Some(first) = reach.tried.first().filter(|first| first.result.is_err()) {
        let words = first.result.as_ref().err().map(Failure::words).unwrap_or_default();
        out.push(
            Finding::note(
                Topic::Server,
                format!("The first server to be tried does not answer: {}: {words}.", first.place()),
            )
            .means("The phone takes the next one; each start and each failure costs time.")
            .advice("Tell whoever runs the servers, or whoever keeps the domain's DNS records."),
        );
    }
    if reach.long == Some(false) {
        out.push(
            Finding::problem(Topic::Server, "Long messages get lost over UDP, short ones arrive.")
                .means("Calls that say much of themselves (ICE, encryption, many codecs) do not go out, or never ring here.")
                .advice("Set transport = \"tcp\" or \"tls\" in the account."),
        );
    }
    out
}

fn unreachable(reach: &Reach) -> Finding {
    let Some(first) = reach.tried.first() else {
        return Finding::unknown(Topic::Server, "There is no address to be tried.");
    };
    let (place, name) = (first.place(), first.transport.name());
    let failure = first.result.as_ref().err().cloned().unwrap_or(Failure::Silent);
    let nothing = "Nothing can be reached: no registration, and no calls out or in.";
    if let Some(other) = reach.others.iter().find(|other| other.result.is_ok()) {
        let way = other.transport.name();
        let found = match failure {
            Failure::Silent if first.transport == Transport::Udp => {
                format!("UDP seems to be blocked: {place} does not answer, and over {} it does.", way.to_uppercase())
            }
            failure => format!("{place}: {}; over {} it answers.", failure.words(), way.to_uppercase()),
        };
        let port = if reach.insisted.is_none() { "" } else { " (and its port, where one is named)" };
        return Finding::problem(Topic::Server, found)
            .means("As the account is set, no calls go out or come in. Sound may be blocked as well where it goes over UDP.")
            .advice(format!("Set transport = \"{way}\" in the account{port}."));
    }
    match failure {
        Failure::Silent => {
            Finding::problem(Topic::Server, format!("Nothing answers at {place}.")).means(nothing).advice(format!(
                "Is the server on, and the port right? Does a firewall let {} through? Is a VPN needed?",
                name.to_uppercase()
            ))
        }
        Failure::Refused(words) => {
            let (cause, way_out) = cause_and_advice(&words);
            let advice = if way_out.is_empty() {
                "Is the server running, and do its address, port and transport stand right in the account?".to_owned()
            } else {
                sentence(way_out)
            };
            Finding::problem(Topic::Server, sentence(&format!("{place}: {cause}"))).means(nothing).advice(advice)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::doctor::finding::Severity;

    fn attempt(transport: Transport, result: Result<(u16, u64), Failure>) -> Attempt {
        let result = result.map(|(status, ms)| Answer {
            status,
            reason: "Because".into(),
            round_trip: Duration::from_millis(ms),
            software: Some("Asterisk".into()),
        });
        Attempt { transport, remote: ([192, 0, 2, 1], transport.default_port()).into(), result }
    }

    fn silent(transport: Transport) -> Attempt {
        attempt(transport, Err(Failure::Silent))
    }

    #[test]
    fn servers_that_do_not_answer() {
        let refused = |words: &str| attempt(Transport::Tls, Err(Failure::Refused(words.to_owned())));
        let rows = [
            (
                vec![silent(Transport::Udp)],
                vec![silent(Transport::Tcp)],
                "Nothing answers at 192.0.2.1:5060",
                "firewall",
            ),
            (
                vec![silent(Transport::Udp)],
                vec![silent(Transport::Tls), attempt(Transport::Tcp, Ok((200, 5)))],
                "UDP seems to be blocked",
                "transport = \"tcp\"",
            ),
            (vec![refused("it expired; renew it")], vec![], "it expired.", "Renew it."),
            (vec![refused("nothing listens there")], vec![], "nothing listens there.", "running"),
            (
                vec![refused("no TLS there")],
                vec![attempt(Transport::Udp, Ok((200, 5)))],
                "no TLS there; over UDP it answers",
                "transport = \"udp\"",
            ),
        ];
        for (tried, others, found, advice) in rows {
            let findings = judge(&Reach { tried, others, ..Reach::default() });
            let [finding] = findings.as_slice() else { panic!("{findings:?}") };
            assert_eq!(finding.severity, Severity::Problem);
            assert!(finding.found.contains(found) && finding.advice.contains(advice), "{finding:?}");
        }
    }

    #[test]
    fn servers_that_answer() {
        let kinds = |reach: Reach| judge(&reach).iter().map(|finding| finding.severity).collect::<Vec<_>>();
        let good = attempt(Transport::Udp, Ok((404, 12)));
        let one = |tried: Vec<Attempt>| Reach { tried, ..Reach::default() };
        assert_eq!(kinds(one(vec![good.clone()])), [Severity::Ok]);
        assert_eq!(kinds(one(vec![attempt(Transport::Udp, Ok((200, 900)))])), [Severity::Ok, Severity::Note]);
        assert_eq!(kinds(one(vec![attempt(Transport::Tls, Ok((200, 900)))])), [Severity::Ok]);
        assert_eq!(kinds(one(vec![attempt(Transport::Udp, Ok((503, 9)))])), [Severity::Problem]);
        assert_eq!(kinds(one(vec![silent(Transport::Udp), good.clone()])), [Severity::Ok, Severity::Note]);
        let cut = Reach { long: Some(false), ..one(vec![good.clone()]) };
        assert_eq!(kinds(cut), [Severity::Ok, Severity::Problem]);
        assert_eq!(kinds(Reach { long: Some(true), ..one(vec![good]) }), [Severity::Ok]);
    }
}
