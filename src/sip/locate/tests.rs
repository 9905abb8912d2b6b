//! Searches against zones written by hand.
use super::*;
use crate::base::rng::Rng;
use std::collections::BTreeMap;
use std::time::Instant;

/// What a name server knows: lines of zone files, `name kind data`; `silent`, `failed` and `alias` stand for what is no data.
struct Zone {
    lines: Vec<String>,
    /// How long each kind takes [ms].
    delays: BTreeMap<Kind, u64>,
}

impl Zone {
    fn new(lines: &[&str]) -> Self {
        Self { lines: lines.iter().map(|line| (*line).to_owned()).collect(), delays: BTreeMap::new() }
    }

    fn slow(mut self, kind: Kind, delay: u64) -> Self {
        self.delays.insert(kind, delay);
        self
    }

    fn answer(&self, ask: &Ask) -> Heard {
        let kind = match ask.kind {
            Kind::Naptr => "NAPTR",
            Kind::Srv => "SRV",
            Kind::A => "A",
            Kind::Aaaa => "AAAA",
        };
        let of_name: Vec<Vec<&str>> = self
            .lines
            .iter()
            .map(|line| line.split(' ').collect::<Vec<_>>())
            .filter(|words| words.first() == Some(&ask.name.as_str()))
            .collect();
        if of_name.is_empty() {
            return Heard::NoSuchName;
        }
        let of_kind = of_name.iter().filter(|words| words[1] == kind);
        let (mut records, mut least) = (Vec::new(), u64::MAX);
        for words in of_kind {
            match words[2] {
                "silent" => return Heard::Silence,
                "failed" => return Heard::Failed,
                ttl => least = least.min(ttl.parse().expect("a TTL")),
            }
            let number = |at: usize| words[at].parse::<u16>().expect("a number");
            records.push(match ask.kind {
                Kind::Naptr => Record::Naptr(Naptr {
                    order: number(3),
                    preference: number(4),
                    flags: words[5].to_owned(),
                    services: words[6].to_owned(),
                    regexp: String::new(),
                    replacement: words[7].to_owned(),
                }),
                Kind::Srv => Record::Srv(Srv {
                    priority: number(3),
                    weight: number(4),
                    port: number(5),
                    target: words[6].to_owned(),
                }),
                Kind::A | Kind::Aaaa => Record::Address(words[3].parse().expect("an address")),
            });
        }
        if records.is_empty() { Heard::Nothing } else { Heard::Records(records, Duration::from_secs(least)) }
    }
}

fn question(uri: &str, preferred: Option<Transport>) -> Question {
    Question::of(&Uri::parse(uri).expect("a URI"), preferred, AccessId::default()).expect("a question")
}

/// Runs a search; its outcome, how long it took [ms], and what it asked.
fn run(question: Question, zone: &Zone) -> (Result<Found, LocateError>, u64, Vec<Ask>) {
    let start = Instant::now();
    let mut search = Search::new(start, question, Rng::from_u64(5));
    let (mut now, mut asked) = (start, Vec::new());
    let mut coming: BTreeMap<(Instant, usize), Ask> = BTreeMap::new();
    for _ in 0..1000 {
        while let Some(ask) = search.poll_ask() {
            let delay = zone.delays.get(&ask.kind).copied().unwrap_or(10);
            coming.insert((now + Duration::from_millis(delay), asked.len()), ask.clone());
            asked.push(ask);
        }
        if let Some(outcome) = search.poll_outcome() {
            assert_eq!(search.poll_timeout(), None, "nothing is waited for after the end");
            return (outcome, u64::try_from((now - start).as_millis()).expect("short"), asked);
        }
        let arrival = coming.keys().next().copied();
        let timer = search.poll_timeout().expect("it waits for something");
        match arrival.filter(|(at, _)| *at <= timer) {
            Some(key) => {
                now = key.0;
                let ask = coming.remove(&key).expect("it is there");
                let heard = zone.answer(&ask);
                if heard != Heard::Silence {
                    search.handle_heard(now, &ask, heard);
                }
            }
            None => {
                now = timer;
                search.handle_timeout(now);
            }
        }
    }
    panic!("the search does not end");
}

fn words(outcome: Result<Found, LocateError>) -> String {
    match outcome {
        Ok(found) => {
            let targets = found.targets.iter().map(|t| format!("{} {}", t.transport.name(), t.address));
            targets.collect::<Vec<_>>().join(", ")
        }
        Err(error) => format!("! {error}"),
    }
}

#[test]
fn searches() {
    let full: &[&str] = &[
        "example.com A 60 192.0.2.9",
        "example.com NAPTR 60 50 50 s SIPS+D2T _sips._tcp.example.com.",
        "example.com NAPTR 60 90 50 s SIP+D2T _sip._tcp.example.com.",
        "example.com NAPTR 60 100 50 s SIP+D2U _sip._udp.example.com.",
        "_sips._tcp.example.com SRV 60 0 1 5061 server1.example.com.",
        "_sip._tcp.example.com SRV 60 0 1 5060 server1.example.com.",
        "_sip._tcp.example.com SRV 60 1 1 5070 server2.example.com.",
        "_sip._udp.example.com SRV 60 0 1 5060 server2.example.com.",
        "server1.example.com A 60 192.0.2.1",
        "server1.example.com AAAA 60 2001:db8::1",
        "server2.example.com A 60 192.0.2.2",
    ];
    let no_naptr: Vec<&str> = full.iter().filter(|line| !line.contains("NAPTR")).copied().collect();
    let bare: &[&str] = &["example.com A 60 192.0.2.9", "example.com AAAA 60 2001:db8::9"];
    let rows: Vec<(&str, Option<Transport>, &[&str], &str)> = vec![
        ("sip:a@example.com", None, &[], "! the name example.com is not known"),
        ("sip:a@example.com:5080", None, &[], "! the name example.com is not known"),
        ("sip:a@example.com", None, &["example.com TXT 60 -"], "! no server of example.com has an address"),
        (
            "sip:a@example.com",
            None,
            &["example.com A silent", "example.com AAAA silent"],
            "! the name server does not answer for example.com",
        ),
        (
            "sip:a@example.com",
            None,
            &["example.com A failed", "example.com AAAA failed"],
            "! the name server cannot say where example.com is",
        ),
        // A target without an address is skipped; one of many, and the only one.
        (
            "sip:a@example.com;transport=udp",
            None,
            &[
                "_sip._udp.example.com SRV 60 0 1 5060 gone.example.com.",
                "_sip._udp.example.com SRV 60 1 1 5060 here.example.com.",
                "here.example.com A 60 192.0.2.3",
            ],
            "udp 192.0.2.3:5060",
        ),
        (
            "sip:a@example.com;transport=udp",
            None,
            &["example.com A 60 192.0.2.9", "_sip._udp.example.com SRV 60 0 1 5060 gone.example.com."],
            "! no server of example.com has an address",
        ),
        // "." says that there is no such service.
        (
            "sip:a@example.com;transport=udp",
            None,
            &["example.com A 60 192.0.2.9", "_sip._udp.example.com SRV 60 0 0 0 ."],
            "! example.com says that it cannot be reached over udp",
        ),
        (
            "sip:a@example.com",
            None,
            &[
                "example.com A 60 192.0.2.9",
                "_sip._udp.example.com SRV 60 0 0 0 .",
                "_sip._tcp.example.com SRV 60 0 1 5060 example.com.",
            ],
            "tcp 192.0.2.9:5060",
        ),
        // NAPTR of others leave the usual services; so do those that lead nowhere.
        (
            "sip:a@example.com",
            None,
            &[
                "example.com NAPTR 60 1 1 u E2U+sip .",
                "example.com NAPTR 60 1 1 s SIP+D2S _sip._sctp.example.com.",
                "_sip._udp.example.com SRV 60 0 1 5062 here.example.com.",
                "here.example.com A 60 192.0.2.3",
            ],
            "udp 192.0.2.3:5062",
        ),
        (
            "sip:a@example.com",
            None,
            &["example.com NAPTR 60 1 1 s SIP+D2T _sip._tcp.example.com.", "example.com A 60 192.0.2.9"],
            "udp 192.0.2.9:5060",
        ),
        // A numeric host is not looked up.
        ("sip:a@192.0.2.7", None, full, "udp 192.0.2.7:5060"),
        ("sip:a@192.0.2.7:5080;transport=tcp", None, full, "tcp 192.0.2.7:5080"),
        ("sips:a@[2001:db8::7]", None, full, "tls [2001:db8::7]:5061"),
        // A port: neither NAPTR nor SRV.
        ("sip:a@example.com:5080", None, full, "udp 192.0.2.9:5080"),
        ("sip:a@example.com:5080", Some(Transport::Tcp), full, "tcp 192.0.2.9:5080"),
        ("sips:a@example.com:5080", None, full, "tls 192.0.2.9:5080"),
        // A transport: its SRV only.
        (
            "sip:a@example.com;transport=tcp",
            None,
            full,
            "tcp [2001:db8::1]:5060, tcp 192.0.2.1:5060, tcp 192.0.2.2:5070",
        ),
        ("sip:a@example.com", Some(Transport::Udp), full, "udp 192.0.2.2:5060"),
        ("sip:a@example.com;transport=ws", None, full, "ws 192.0.2.9:80"),
        // The records decide.
        (
            "sip:a@example.com",
            None,
            full,
            "tls [2001:db8::1]:5061, tls 192.0.2.1:5061, tcp [2001:db8::1]:5060, tcp 192.0.2.1:5060, \
             tcp 192.0.2.2:5070, udp 192.0.2.2:5060",
        ),
        ("sips:a@example.com", None, full, "tls [2001:db8::1]:5061, tls 192.0.2.1:5061"),
        (
            "sip:a@Example.COM",
            None,
            &no_naptr,
            "tls [2001:db8::1]:5061, tls 192.0.2.1:5061, tcp [2001:db8::1]:5060, tcp 192.0.2.1:5060, \
             tcp 192.0.2.2:5070, udp 192.0.2.2:5060",
        ),
        ("sips:a@example.com", None, &no_naptr, "tls [2001:db8::1]:5061, tls 192.0.2.1:5061"),
        ("sip:a@example.com", None, bare, "udp [2001:db8::9]:5060, udp 192.0.2.9:5060"),
        ("sips:a@example.com", None, bare, "tls [2001:db8::9]:5061, tls 192.0.2.9:5061"),
    ];
    for (uri, preferred, zone, expected) in rows {
        let (outcome, ..) = run(question(uri, preferred), &Zone::new(zone));
        assert_eq!(words(outcome), expected, "{uri} {preferred:?}");
    }
}

#[test]
fn a_secure_question_is_never_asked_in_the_clear() {
    let question = Question { transport: Some(Transport::Tcp), ..question("sips:a@example.com", None) };
    let (outcome, _, asked) = run(question, &Zone::new(&["example.com A 60 192.0.2.9"]));
    assert_eq!((outcome, asked), (Err(LocateError::Downgrade("tcp")), Vec::new()));
}

#[test]
fn what_can_be_asked_at_once_is() {
    let zone = Zone::new(&["_sip._udp.example.com SRV 60 0 1 5060 s.example.com.", "s.example.com A 60 192.0.2.3"]);
    let (outcome, took, asked) = run(question("sip:a@example.com", None), &zone);
    assert_eq!(words(outcome), "udp 192.0.2.3:5060");
    // Two questions one after the other: the service, and its server.
    assert_eq!(took, 20);
    assert_eq!(asked.len(), 8);
}

#[test]
fn what_is_slow_does_not_keep_the_rest_waiting() {
    let zone = || Zone::new(&["example.com A 60 192.0.2.9", "example.com AAAA 60 2001:db8::9"]);
    let rows = [
        (zone(), 10, 60),
        // The other family is done without after a moment, and asked again soon.
        (zone().slow(Kind::Aaaa, 400), 110, 5),
        (zone().slow(Kind::Aaaa, 90), 90, 60),
        // A name server that ignores NAPTR, and one that ignores SRV too.
        (zone().slow(Kind::Naptr, 60_000), 1000, 60),
        (zone().slow(Kind::Naptr, 60_000).slow(Kind::Srv, 60_000), 3000, 60),
    ];
    for (zone, expected, fresh) in rows {
        let (outcome, took, _) = run(question("sip:a@example.com", None), &zone);
        let found = outcome.expect("found");
        assert_eq!((took, found.fresh), (expected, Duration::from_secs(fresh)), "{:?}", zone.delays);
    }
    let dead = zone().slow(Kind::A, 60_000).slow(Kind::Aaaa, 60_000);
    let (outcome, took, _) = run(question("sip:a@example.com:5060", None), &dead);
    assert_eq!((outcome, took), (Err(LocateError::Silence("example.com".to_owned())), 5000));
}

#[test]
fn the_smallest_time_to_live_counts_within_limits() {
    let rows = [
        (&["example.com A 0 192.0.2.9"][..], 5),
        (&["example.com A 90000 192.0.2.9"], 3600),
        (&["_sip._udp.example.com SRV 40 0 1 5060 s.example.com.", "s.example.com A 70 192.0.2.3"], 40),
        (&["_sip._udp.example.com SRV 70 0 1 5060 s.example.com.", "s.example.com A 30 192.0.2.3"], 30),
        // What was not used does not count.
        (
            &[
                "_sip._udp.example.com SRV 70 0 1 5060 s.example.com.",
                "s.example.com A 70 192.0.2.3",
                "example.com A 9 192.0.2.9",
            ],
            70,
        ),
    ];
    for (lines, expected) in rows {
        let (outcome, ..) = run(question("sip:a@example.com", None), &Zone::new(lines));
        assert_eq!(outcome.expect("found").fresh.as_secs(), expected, "{lines:?}");
    }
}

#[test]
fn a_hostile_zone_has_an_end() {
    let mut lines: Vec<String> = Vec::new();
    for n in 0..500 {
        lines.push(format!("example.com NAPTR 60 1 1 s SIP+D2U _sip._udp{n}.example.com."));
        lines.push(format!("_sip._udp{n}.example.com SRV 60 {n} 1 5060 s{n}.example.com."));
        lines.extend((0..200).map(|host| format!("s{n}.example.com A 60 10.0.{}.{host}", n % 256)));
    }
    // A name that is its own service.
    lines.push("example.com NAPTR 60 0 0 s SIP+D2U example.com.".to_owned());
    lines.push("example.com SRV 60 0 0 5060 example.com.".to_owned());
    let zone = Zone::new(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let (outcome, _, asked) = run(question("sip:a@example.com", None), &zone);
    assert!(outcome.expect("found").targets.len() <= 32);
    assert!(asked.len() <= 64, "{}", asked.len());
}

#[test]
fn an_answer_nobody_asked_for_changes_nothing() {
    let now = Instant::now();
    let mut search = Search::new(now, question("sip:a@example.com:5060", None), Rng::from_u64(1));
    let forged = Heard::Records(vec![Record::Address([10, 0, 0, 1].into())], Duration::from_secs(60));
    search.handle_heard(now, &Ask::new(Kind::A, "evil.example"), forged.clone());
    assert_eq!(search.poll_outcome(), None);
    // IPv6 is no answer to a question for IPv4.
    search.handle_heard(now, &Ask::new(Kind::Aaaa, "example.com"), forged);
    search.handle_heard(now, &Ask::new(Kind::A, "example.com"), Heard::Nothing);
    assert_eq!(search.poll_outcome(), Some(Err(LocateError::NoAddress("example.com".to_owned()))));
}
