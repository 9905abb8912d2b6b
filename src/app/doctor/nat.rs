//! What stands between us and the world: a NAT, a firewall, nothing; and which calls need a relay (RFC 4787, RFC 5780).
use super::finding::{Finding, Topic, span};
use crate::nat::behaviour::{Nat, Report, lifetime};
use std::net::SocketAddr;
use std::time::Duration;

/// The phone says something at least this often.
const KEPT_OPEN: Duration = Duration::from_secs(20);

/// What was measured.
#[derive(Clone, Debug)]
pub enum Stun {
    /// No server to ask.
    None,
    /// The name of the server is not known.
    Unresolved {
        server: String,
    },
    /// Our own sockets do not work.
    NoSocket {
        server: String,
        words: String,
    },
    Asked {
        server: String,
        address: SocketAddr,
        report: Report,
    },
}

impl Stun {
    pub fn report(&self) -> Option<&Report> {
        match self {
            Self::Asked { report, .. } => Some(report),
            Self::None | Self::Unresolved { .. } | Self::NoSocket { .. } => None,
        }
    }
}

/// What else is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known {
    /// The SIP server answered over UDP.
    pub udp_works: bool,
    /// The account has a relay.
    pub has_relay: bool,
    /// The SIP server sees us at another address.
    pub is_translated: bool,
}

pub fn judge(stun: &Stun, known: Known) -> Vec<Finding> {
    match stun {
        Stun::None if known.is_translated => vec![
            Finding::unknown(Topic::Nat, "What kind of NAT this is cannot be found out without a STUN server.")
                .means("Sound gets through as long as the server passes it on. Direct calls may be silent.")
                .advice("Set stun_server in the account if your provider has one, or try one with --stun HOST."),
        ],
        Stun::None => {
            vec![
                Finding::unknown(Topic::Nat, "No STUN server is set: nobody was asked how we look from outside.")
                    .advice("Set stun_server in the account, or try one with --stun HOST."),
            ]
        }
        Stun::Unresolved { server } => vec![
            Finding::problem(Topic::Nat, format!("The STUN server {server} is not known: its name has no address."))
                .means("The phone does not learn its address from outside; calls through NATs may be silent.")
                .advice("Look at how stun_server is written in the account."),
        ],
        Stun::NoSocket { server, words } => {
            vec![Finding::unknown(Topic::Nat, format!("The STUN server {server} could not be asked: {words}."))]
        }
        Stun::Asked { server, address, report } => asked(server, *address, report, known),
    }
}

fn asked(server: &str, address: SocketAddr, report: &Report, known: Known) -> Vec<Finding> {
    let Some(mapped) = report.mapped else {
        let found = format!("The STUN server {server} ({address}) does not answer.");
        let advice = if known.udp_works {
            "UDP works to the SIP server: the STUN server seems to be down, or its port is blocked. Set another."
        } else {
            "UDP seems to be blocked here. Ask for it to be let through, or set a relay over TCP or TLS (turn_server)."
        };
        return vec![
            Finding::problem(Topic::Nat, found)
                .means("The phone does not learn its address from outside; calls through NATs may be silent.")
                .advice(advice),
        ];
    };
    let mut details = vec![format!("from {} seen as {mapped} by {address}", report.local)];
    details.extend(report.round_trip.map(|time| format!("round trip to the STUN server: {}", span(time))));
    details.extend(report.other.map(|other| format!("the server's other address: {other}")));
    details.extend(report.mapping.map(|mapping| format!("mapping: {}", mapping.words())));
    details.extend(report.filtering.map(|filtering| format!("filtering: {}", filtering.words())));
    if mapped == report.local {
        return vec![
            Finding::ok(Topic::Nat, format!("No NAT: from outside we are at {}, our own address.", mapped.ip()))
                .means("Others can send sound to us directly, as far as a firewall lets them.")
                .details(details),
        ];
    }
    details.push(format!(
        "the NAT {} our port ({} is {} from outside)",
        if mapped.port() == report.local.port() { "keeps" } else { "changes" },
        report.local.port(),
        mapped.port()
    ));
    let found = format!("A NAT turns {} into {}.", report.local.ip(), mapped.ip());
    let Some(nat) = report.nat() else {
        let words = match report.mapping {
            Some(mapping) => format!("Its mapping is {}; what it lets in is not known.", mapping.words()),
            None => "Which kind it is cannot be told: the STUN server has no second address to try it with.".to_owned(),
        };
        return vec![Finding::ok(Topic::Nat, format!("{found} {words}")).details(details), hairpin(report)]
            .into_iter()
            .filter(|finding| !finding.found.is_empty())
            .collect();
    };
    let (direct, relayed): (Vec<_>, Vec<_>) = Nat::KINDS.into_iter().partition(|(_, other)| nat.meets(*other));
    let words = |kinds: &[(&'static str, Nat)]| kinds.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let kind = Nat::KINDS.into_iter().find(|(_, other)| *other == nat).map_or("uncommon", |(name, _)| name);
    let found = format!("{found} Mapping {}, filtering {} ({kind}).", nat.mapping.words(), nat.filtering.words());
    let reaches = format!("With ICE, direct calls reach phones behind these NATs: {}.", words(&direct));
    let finding = if relayed.is_empty() {
        Finding::ok(Topic::Nat, found).means(format!("{reaches} No relay is needed."))
    } else {
        let needs = format!("{reaches} A relay (TURN) is needed with: {}.", words(&relayed));
        match (known.has_relay, direct.len() < relayed.len() + 1) {
            (true, _) => Finding::ok(Topic::Nat, found).means(format!("{needs} There is one.")),
            // Half of all and more.
            (false, true) => Finding::note(Topic::Nat, found)
                .means(needs)
                .advice("Set turn_server in the account, unless all calls go through a server that passes sound on."),
            (false, false) => Finding::ok(Topic::Nat, found).means(needs),
        }
    };
    let mut out = vec![finding.details(details)];
    out.push(hairpin(report));
    out.retain(|finding| !finding.found.is_empty());
    out
}

/// How long the NAT remembers a phone that says nothing.
pub fn judge_lifetime(report: &lifetime::Report) -> Finding {
    let seconds = |time: Duration| format!("{:.0} s", time.as_secs_f64());
    let found = match (report.remembers, report.forgets) {
        (None, None) => {
            return Finding::unknown(
                Topic::Nat,
                "For how long the NAT remembers cannot be found out: the STUN server does not help.",
            );
        }
        (Some(remembers), None) => {
            format!("The NAT remembers {} of silence, and may remember more.", seconds(remembers))
        }
        (None, Some(forgets)) => format!("The NAT forgets who says nothing for {}.", seconds(forgets)),
        (Some(remembers), Some(forgets)) => {
            format!("The NAT remembers {} of silence, and forgets after {}.", seconds(remembers), seconds(forgets))
        }
    };
    match report.forgets {
        Some(forgets) if forgets <= KEPT_OPEN => Finding::problem(Topic::Nat, found)
            .means("The phone says something every 20 s at the latest: calls from outside may not ring.")
            .advice("Set transport = \"tcp\" or \"tls\" in the account, or a longer time for UDP in the router."),
        Some(_) | None => Finding::ok(Topic::Nat, found).means("The phone says something often enough to stay known."),
    }
}

/// Empty where it was not tried.
fn hairpin(report: &Report) -> Finding {
    match report.hairpins {
        Some(true) => {
            Finding::ok(Topic::Nat, "Phones behind this NAT reach each other by their addresses from outside.")
        }
        Some(false) => {
            Finding::ok(Topic::Nat, "Phones behind this NAT do not reach each other by their addresses from outside.")
                .means(
                    "Between two phones in this network ICE finds the direct way; without ICE the server has to help.",
                )
        }
        None => Finding::ok(Topic::Nat, ""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::doctor::finding::Severity;
    use crate::nat::behaviour::Dependence;

    fn report(mapped: Option<&str>, nat: Option<(Dependence, Dependence)>) -> Report {
        Report {
            local: "192.168.1.5:5000".parse().expect("an address"),
            mapped: mapped.map(|text| text.parse().expect("an address")),
            other: None,
            mapping: nat.map(|(mapping, _)| mapping),
            filtering: nat.map(|(_, filtering)| filtering),
            hairpins: None,
            round_trip: Some(Duration::from_millis(9)),
        }
    }

    fn asked(report: Report) -> Stun {
        Stun::Asked { server: "stun.example".into(), address: ([192, 0, 2, 1], 3478).into(), report }
    }

    #[test]
    fn what_stands_before_us_in_words() {
        use Dependence::{AddressAndPort as Port, Independent as Free};
        let outside = Some("203.0.113.9:4000");
        let known = Known::default();
        let udp = Known { udp_works: true, ..known };
        let relay = Known { has_relay: true, ..known };
        let rows = [
            (Stun::None, known, Severity::Unknown, "No STUN server"),
            (Stun::None, Known { is_translated: true, ..known }, Severity::Unknown, "What kind of NAT"),
            (Stun::Unresolved { server: "x".into() }, known, Severity::Problem, "not known"),
            (Stun::NoSocket { server: "x".into(), words: "no".into() }, known, Severity::Unknown, "could not be asked"),
            (asked(report(None, None)), known, Severity::Problem, "UDP seems to be blocked"),
            (asked(report(None, None)), udp, Severity::Problem, "UDP works to the SIP server"),
            (asked(report(Some("192.168.1.5:5000"), None)), known, Severity::Ok, "No NAT"),
            (asked(report(outside, None)), known, Severity::Ok, "no second address"),
            (asked(report(outside, Some((Free, Free)))), known, Severity::Ok, "(full cone)"),
            (asked(report(outside, Some((Free, Port)))), known, Severity::Ok, "(port-restricted cone)"),
            (asked(report(outside, Some((Port, Port)))), known, Severity::Note, "Set turn_server"),
            (asked(report(outside, Some((Port, Port)))), relay, Severity::Ok, "There is one."),
            (asked(report(outside, Some((Port, Free)))), known, Severity::Ok, "(uncommon)"),
        ];
        for (facts, known, severity, words) in rows {
            let finding = judge(&facts, known).remove(0);
            let text = format!("{} {} {}", finding.found, finding.means, finding.advice);
            assert!(finding.severity == severity && text.contains(words), "{words}: {finding:?}");
        }
    }

    #[test]
    fn what_the_nat_remembers_in_words() {
        let seconds = |s: Option<u64>| s.map(Duration::from_secs);
        let rows = [
            (None, None, Severity::Unknown, "does not help"),
            (Some(60), None, Severity::Ok, "remembers 60 s of silence, and may"),
            (Some(30), Some(60), Severity::Ok, "forgets after 60 s"),
            (Some(10), Some(20), Severity::Problem, "remembers 10 s"),
            (None, Some(15), Severity::Problem, "says nothing for 15 s"),
        ];
        for (remembers, forgets, severity, words) in rows {
            let report = lifetime::Report { remembers: seconds(remembers), forgets: seconds(forgets) };
            let finding = judge_lifetime(&report);
            assert!(finding.severity == severity && finding.found.contains(words), "{finding:?}");
        }
    }

    #[test]
    fn which_calls_need_a_relay_is_said() {
        use Dependence::{AddressAndPort as Port, Independent as Free};
        let facts = asked(Report { hairpins: Some(false), ..report(Some("203.0.113.9:5000"), Some((Free, Port))) });
        let findings = judge(&facts, Known::default());
        let means = &findings[0].means;
        assert!(
            means.contains("full cone, restricted cone, port-restricted cone.") && means.ends_with("with: symmetric.")
        );
        assert!(findings[0].details.iter().any(|detail| detail.contains("keeps our port")), "{findings:?}");
        assert!(findings[1].found.contains("do not reach each other"), "{findings:?}");
    }
}
