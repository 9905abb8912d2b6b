//! Whether the names of servers are known: what the name servers said, and which way was taken (RFC 3263).
use super::finding::{Finding, Topic, sentence, span};
use crate::sip::locate::{Ask, Heard, Kind, LocateError, Record, Target};
use std::time::Duration;

/// Longer than a user notices.
const SLOW: Duration = Duration::from_millis(800);

/// One question to a name server.
#[derive(Clone, Debug)]
pub struct Lookup {
    pub ask: Ask,
    pub heard: Heard,
    pub took: Duration,
}

/// What was measured.
#[derive(Clone, Debug)]
pub struct Names {
    pub host: String,
    /// The host is an address: nobody is asked.
    pub is_numeric: bool,
    /// Who is asked.
    pub servers: String,
    pub lookups: Vec<Lookup>,
    pub outcome: Result<Vec<Target>, LocateError>,
}

impl Names {
    fn has(&self, kind: Kind) -> bool {
        self.lookups.iter().any(|l| l.ask.kind == kind && matches!(l.heard, Heard::Records(..)))
    }

    fn way(&self) -> &'static str {
        match () {
            () if self.has(Kind::Naptr) => "by its NAPTR and SRV records",
            () if self.has(Kind::Srv) => "by its SRV records",
            () => "by its address records",
        }
    }
}

pub fn judge(names: &Names) -> Vec<Finding> {
    let details: Vec<String> = names.lookups.iter().map(told).collect();
    let host = &names.host;
    let targets = match &names.outcome {
        Ok(targets) => targets,
        Err(error) => return vec![not_found(names, error).details(details)],
    };
    let Some(first) = targets.first() else { return Vec::new() };
    let to = format!("{} over {}", first.address, first.transport.name().to_uppercase());
    let more = match targets.len() {
        0 | 1 => String::new(),
        2 => ", and to 1 more".to_owned(),
        n => format!(", and to {} more", n - 1),
    };
    if names.is_numeric {
        return vec![Finding::ok(Topic::Names, format!("{host} is an address: no name is looked up."))];
    }
    let mut out =
        vec![Finding::ok(Topic::Names, format!("{host} leads {} to {to}{more}.", names.way())).details(details)];
    out.extend(troubled(names));
    out
}

/// Name servers that cost time although the server was found.
fn troubled(names: &Names) -> Option<Finding> {
    let worst = names.lookups.iter().max_by_key(|lookup| lookup.took)?;
    let silent = names.lookups.iter().find(|lookup| lookup.heard == Heard::Silence);
    let name = |lookup: &Lookup| format!("{} {}", kind(lookup.ask.kind), lookup.ask.name);
    let found = match silent {
        Some(lookup) => format!("The name server does not answer when asked for {}.", name(lookup)),
        None if worst.took >= SLOW => {
            format!("The name server took {} to answer when asked for {}.", span(worst.took), name(worst))
        }
        None => return None,
    };
    let asked = format!("Asked: {}. Another can be set: name_server in [network].", names.servers);
    Some(
        Finding::note(Topic::Names, found)
            .means("Calls begin later than they could, and a server that moved is found late.")
            .advice(asked),
    )
}

fn not_found(names: &Names, error: &LocateError) -> Finding {
    let asked = &names.servers;
    let advice = match error {
        LocateError::NoSuchName(_) => {
            "Look at how domain, registrar and outbound_proxy are written in the account.".to_owned()
        }
        LocateError::Silence(_) => {
            format!("Is this computer online? Asked: {asked}. Another can be set: name_server in [network].")
        }
        LocateError::ServerFailed(_) => {
            format!("Ask again later, or another name server (name_server in [network]). Asked: {asked}.")
        }
        LocateError::NotOffered { .. } => "Set transport to what your provider names, or to \"auto\".".to_owned(),
        LocateError::NoAddress(_) => {
            "Ask your provider for the name of its SIP server: set it as registrar.".to_owned()
        }
        _ => "Look at domain, registrar and transport of the account.".to_owned(),
    };
    Finding::problem(Topic::Names, sentence(&error.to_string()))
        .means("The server cannot be found: the phone cannot register, and no calls go out or come in.")
        .advice(advice)
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Naptr => "NAPTR",
        Kind::Srv => "SRV",
        Kind::A => "A",
        Kind::Aaaa => "AAAA",
    }
}

fn told(lookup: &Lookup) -> String {
    let record = |record: &Record| match record {
        Record::Naptr(n) => format!("{} {} {}", n.order, n.services, n.replacement),
        Record::Srv(s) => {
            format!("{}:{} (priority {}, weight {})", s.target.trim_end_matches('.'), s.port, s.priority, s.weight)
        }
        Record::Address(ip) => ip.to_string(),
    };
    let words = match &lookup.heard {
        Heard::Records(records, _) => records.iter().take(4).map(record).collect::<Vec<_>>().join(", "),
        Heard::Nothing => "none".to_owned(),
        Heard::NoSuchName => "no such name".to_owned(),
        Heard::Failed => "the name server fails".to_owned(),
        Heard::Silence => "no answer".to_owned(),
    };
    format!("{} {}: {words} ({})", kind(lookup.ask.kind), lookup.ask.name, span(lookup.took))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::doctor::finding::Severity;
    use crate::base::net::Transport;
    use crate::sip::locate::Srv;

    fn lookup(kind: Kind, heard: Heard, ms: u64) -> Lookup {
        Lookup { ask: Ask::new(kind, "pbx.example"), heard, took: Duration::from_millis(ms) }
    }

    fn address() -> Heard {
        Heard::Records(vec![Record::Address([192, 0, 2, 1].into())], Duration::from_secs(60))
    }

    fn service() -> Heard {
        let srv = Srv { priority: 1, weight: 2, port: 5060, target: "a.pbx.example.".into() };
        Heard::Records(vec![Record::Srv(srv)], Duration::from_secs(60))
    }

    fn names(lookups: Vec<Lookup>, outcome: Result<(), LocateError>) -> Names {
        let target = Target { transport: Transport::Udp, address: ([192, 0, 2, 1], 5060).into() };
        let outcome = outcome.map(|()| vec![target; 2]);
        Names { host: "pbx.example".into(), is_numeric: false, servers: "9.9.9.9:53".into(), lookups, outcome }
    }

    #[test]
    fn what_name_servers_say_in_words() {
        let host = || "pbx.example".to_owned();
        let rows = [
            (names(vec![], Err(LocateError::NoSuchName(host()))), Severity::Problem, "not known", "written"),
            (names(vec![], Err(LocateError::Silence(host()))), Severity::Problem, "does not answer", "9.9.9.9:53"),
            (names(vec![], Err(LocateError::ServerFailed(host()))), Severity::Problem, "cannot say", "later"),
            (
                names(vec![], Err(LocateError::NotOffered { host: host(), transport: "UDP" })),
                Severity::Problem,
                "cannot be reached over UDP",
                "transport",
            ),
            (names(vec![lookup(Kind::A, address(), 20)], Ok(())), Severity::Ok, "by its address records", ""),
            (
                names(vec![lookup(Kind::Srv, service(), 20), lookup(Kind::A, address(), 9)], Ok(())),
                Severity::Ok,
                "by its SRV records to 192.0.2.1:5060 over UDP, and to 1 more",
                "",
            ),
        ];
        for (facts, severity, found, advice) in rows {
            let findings = judge(&facts);
            let [finding] = findings.as_slice() else { panic!("{findings:?}") };
            assert_eq!(finding.severity, severity);
            assert!(finding.found.contains(found) && finding.advice.contains(advice), "{finding:?}");
        }
    }

    #[test]
    fn slow_and_silent_name_servers_are_a_note() {
        let slow = judge(&names(vec![lookup(Kind::Naptr, Heard::Nothing, 900), lookup(Kind::A, address(), 5)], Ok(())));
        assert!(slow[1].severity == Severity::Note && slow[1].found.contains("took 900 ms"), "{slow:?}");
        let silent =
            judge(&names(vec![lookup(Kind::Naptr, Heard::Silence, 900), lookup(Kind::A, address(), 5)], Ok(())));
        assert!(silent[1].found.contains("asked for NAPTR pbx.example"), "{silent:?}");
        assert_eq!(silent[0].details, ["NAPTR pbx.example: no answer (900 ms)", "A pbx.example: 192.0.2.1 (5.0 ms)"]);
    }
}
