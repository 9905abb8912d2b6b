//! Two phones at home, each behind a NAT of its own: which way sound takes, and how soon it is there.
use crate::certificates::Identity;
use crate::harness::{Case, Need};
use crate::internet::{Firewall, Home, Internet, Nat};
use crate::peers_coturn::{Coturn, PASSWORD};
use crate::phone::{Phone, Setup, exit};
use crate::proxy::Proxy;
use crate::tools::hears_some;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;
use std::{fs, thread};

const NEEDS: &[Need] = &[Need::Coturn, Need::Nftables];

pub const CASES: &[Case] = &[Case { name: "nats::table", needs: NEEDS, run: table }];

/// What the documentation says.
const TABLE: &str = include_str!("nat_table.md");
/// Calls at a time.
const LANES: usize = 6;
/// How long sound may take after the answer, on a machine that makes other calls at the same time \[ms\].
const FIRST_MEDIA: f64 = 1_500.0;
/// How long a way is searched for that does not exist \[s\].
const GIVEN_UP: f64 = 18.0;
const CALLER_HZ: u32 = 440;
const CALLED_HZ: u32 = 600;

/// Which way is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Host,
    /// Between addresses that servers or the checks themselves found.
    Reflexive,
    Relayed,
    Impossible,
}

impl Way {
    fn read(word: &str) -> Self {
        match word {
            "host" => Self::Host,
            "reflexive" => Self::Reflexive,
            "relayed" => Self::Relayed,
            "impossible" => Self::Impossible,
            other => panic!("{other:?} is not a way"),
        }
    }

    /// Of what a phone says.
    fn of(told: &str) -> Self {
        match told {
            "host" => Self::Host,
            "reflexive" => Self::Reflexive,
            told if told.starts_with("relayed") => Self::Relayed,
            _ => Self::Impossible,
        }
    }
}

/// The rows of a table of the documentation: their cells, the heading left out.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let section = TABLE.split("\n## ").find(|section| section.starts_with(heading));
    let lines =
        section.unwrap_or_else(|| panic!("no section {heading:?}")).lines().filter(|line| line.starts_with('|'));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().replace("**", "")).collect();
    lines.skip(2).map(cells).collect()
}

/// A row of the tables.
struct Trial {
    caller: String,
    called: String,
    /// Over what the TURN server is asked, which both phones have; `none`: they have none.
    turn: String,
    expected: Way,
}

impl Trial {
    fn name(&self) -> String {
        let Self { caller, called, turn, .. } = self;
        format!("{caller} to {called}, TURN {turn}").replace([' ', ','], "_")
    }
}

/// What became of it, at both ends.
struct Course {
    ways: [Way; 2],
    words: [String; 2],
    /// After the answer \[ms\].
    first_media: [Option<f64>; 2],
    /// How long it was up \[s\].
    lasted: f64,
}

/// The servers on the Internet, and the homes of those who call and who are called.
pub struct World {
    proxy: Proxy,
    pub coturn: Coturn,
    homes: BTreeMap<(&'static str, String), Home>,
    /// Last, so that it goes last.
    pub internet: Internet,
}

impl World {
    /// - `pairs`: of users.
    pub fn new(case: &Case, pairs: usize) -> Self {
        let internet = Internet::new();
        let [sip, turn, other] = Internet::SERVERS;
        let coturn = Coturn::start_in(case, internet.public(), &[turn, other]);
        let Identity { certificate, key } = coturn.authority.identity(&[sip]);
        let options =
            ["--tls", "443", "--certificate", &certificate.to_string_lossy(), "--key", &key.to_string_lossy()];
        let users: Vec<String> = (0..pairs).flat_map(|n| [format!("caller{n}"), format!("called{n}")]).collect();
        let users: Vec<&str> = users.iter().map(String::as_str).collect();
        let address = SocketAddr::new(sip.parse().expect("an address"), 5060);
        let proxy = Proxy::start_in(case, internet.public(), address, &users, &options);
        Self { proxy, coturn, homes: BTreeMap::new(), internet }
    }

    /// The homes of the table.
    fn furnish(&mut self) {
        for side in ["caller", "called"] {
            for nat in Nat::ALL {
                self.settle(side, nat.name(), nat, Firewall::Open);
            }
            for (name, firewall) in [("no UDP", Firewall::NoUdp), ("only TLS", Firewall::OnlyTls)] {
                self.settle(side, name, Nat::PortRestricted, firewall);
            }
        }
    }

    pub fn settle(&mut self, side: &'static str, name: &str, nat: Nat, firewall: Firewall) {
        let home = self.internet.home(nat, firewall);
        self.homes.insert((side, name.to_owned()), home);
    }

    pub fn home(&self, side: &'static str, name: &str) -> &Home {
        self.homes.get(&(side, name.to_owned())).unwrap_or_else(|| panic!("no home {name:?}"))
    }

    fn setup(&self, case: &Case, trial: &Trial, role: &str, pair: usize, subcommand: &'static str) -> Setup {
        let home = match (role, trial.called.as_str()) {
            ("caller", _) | (_, "the same home") => self.home("caller", &trial.caller),
            (_, called) => self.home("called", called),
        };
        let config = self.config(home, role, pair, &trial.turn);
        let hz = if role == "caller" { CALLER_HZ } else { CALLED_HZ };
        let setup = Setup::within(&home.phone, case, &format!("{}-{role}", trial.name()), subcommand).config(&config);
        setup.arguments(&["--codecs", "pcmu", "--microphone", &format!("tone:{hz}")]).record()
    }

    /// The account of a phone at home.
    ///
    /// - `role`: `caller` or `called`.
    /// - `pair`: the number of the users.
    /// - `turn`: over what the TURN server is asked, or `none`.
    pub fn config(&self, home: &Home, role: &str, pair: usize, turn: &str) -> String {
        // Where nothing but TLS is let out, SIP takes it as well.
        let (transport, port) = if home.firewall == Firewall::OnlyTls { ("tls", 443) } else { ("tcp", 5060) };
        let server = self.proxy.address.ip();
        let ways = match turn {
            "none" => self.coturn.stun(),
            turn => self.coturn.account(turn, PASSWORD),
        };
        format!(
            "[[account]]\nname = \"{role}\"\nuser = \"{role}{pair}\"\ndomain = \"{server}\"\npassword = \"pw{role}{pair}\"\n\
             registrar = \"{server}:{port}\"\ntransport = \"{transport}\"\nice = \"offer\"\n{ways}"
        )
    }

    /// One call: sound both ways for a while, or none and the reason.
    fn call(&self, case: &Case, trial: &Trial, pair: usize) -> Course {
        let name = trial.name();
        let mut called = self.setup(case, trial, "called", pair, "answer").arguments(&["--auto"]).start();
        called.expect_registered();
        let seconds = if trial.expected == Way::Impossible { "30" } else { "4" };
        let caller = self.setup(case, trial, "caller", pair, "call");
        let mut caller = caller.arguments(&[&format!("called{pair}"), "--duration", seconds]).start();
        let code = caller.wait(Duration::from_secs(60));
        called.expect_summary();
        assert_eq!(called.interrupt(), exit::ENDED);
        let summary = caller.summary();
        let phones = [caller, called];
        let words = phones.each_ref().map(|phone| last(phone, |line| line["media_path"].as_str().map(str::to_owned)));
        let ways = words.each_ref().map(|words| Way::of(words.as_deref().unwrap_or_default()));
        if ways == [Way::Impossible; 2] {
            // One side gives up first, and says why; the other was hung up on, and has an idea.
            let summaries = phones.each_ref().map(Phone::summary);
            let says = |key: &str, words: &str| {
                let found = |summary: &serde_json::Value| summary[key].as_str().unwrap_or_default().starts_with(words);
                summaries.iter().filter(|summary| found(summary)).count()
            };
            let (gave_up, advised) =
                (says("cause", "no way for the sound was found"), says("advice", "no sound came: "));
            assert!(gave_up > 0 && gave_up + advised >= 2, "{name}: {summaries:?}");
        } else {
            assert_eq!(code, exit::ENDED, "{name}: {summary}");
            hears_some(&phones[0].heard(), f64::from(CALLED_HZ), &format!("{name}: the caller"));
            hears_some(&phones[1].heard(), f64::from(CALLER_HZ), &format!("{name}: the called"));
        }
        let first_media = phones.each_ref().map(|phone| last(phone, |line| line["first_media_ms"].as_f64()));
        let lasted = summary["duration_s"].as_f64().unwrap_or_default();
        Course { ways, words: words.map(Option::unwrap_or_default), first_media, lasted }
    }
}

/// The last of what a phone has told of something.
pub fn last<T>(phone: &Phone, tells: impl Fn(&serde_json::Value) -> Option<T>) -> Option<T> {
    phone.lines().iter().rev().find_map(tells)
}

fn trials() -> Vec<Trial> {
    let mut trials = Vec::new();
    for (caller, row) in Nat::ALL.into_iter().zip(rows("Every combination")) {
        let (heading, cells) = row.split_first().expect("cells");
        assert_eq!((heading.as_str(), cells.len()), (caller.name(), Nat::ALL.len()));
        for (called, cell) in Nat::ALL.into_iter().zip(cells) {
            let trial = |turn: &str, expected| Trial {
                caller: caller.name().to_owned(),
                called: called.name().to_owned(),
                turn: turn.to_owned(),
                expected,
            };
            let expected = Way::read(cell);
            trials.push(trial("udp", expected));
            if expected == Way::Relayed {
                trials.push(trial("none", Way::Impossible));
            }
        }
    }
    for row in rows("Other networks") {
        let [caller, called, turn, way] = row.try_into().expect("four cells");
        trials.push(Trial { caller, called, turn, expected: Way::read(&way) });
    }
    // What lasts longest begins first.
    trials.sort_by_key(|trial| trial.expected != Way::Impossible);
    trials
}

fn table(case: &Case) {
    let trials = trials();
    assert!(trials.len() > Nat::ALL.len() * Nat::ALL.len(), "{} rows", trials.len());
    let mut world = World::new(case, trials.len());
    world.furnish();
    let waiting = Mutex::new(trials.iter().enumerate());
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        scope.spawn(|| behave(&world));
        for _ in 0..LANES {
            scope.spawn(|| {
                while let Some((pair, trial)) = { waiting.lock().expect("no panic inside").next() } {
                    let course = world.call(case, trial, pair);
                    done.lock().expect("no panic inside").push((pair, course));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no panic inside");
    done.sort_by_key(|(pair, _)| *pair);
    let (mut report, mut wrong) = (String::new(), String::new());
    for (trial, (_, course)) in trials.iter().zip(&done) {
        let sound = match course.first_media {
            [Some(ours), Some(theirs)] => format!("sound after {ours:.0} and {theirs:.0} ms"),
            _ => format!("no sound, given up after {:.1} s", course.lasted),
        };
        let line = format!("{}: {} / {}, {sound}\n", trial.name(), course.words[0], course.words[1]);
        let in_time = match trial.expected {
            Way::Impossible => course.lasted < GIVEN_UP,
            _ => course.first_media.iter().all(|time| time.is_some_and(|time| time < FIRST_MEDIA)),
        };
        if course.ways != [trial.expected; 2] || !in_time {
            wrong += &line;
        }
        report += &line;
    }
    fs::write(case.folder().join("measured.log"), &report).expect("writes");
    assert!(wrong.is_empty() && done.len() == trials.len(), "not as expected:\n{wrong}");
}

/// The NATs are what they are called.
fn behave(world: &World) {
    let rows: Vec<[String; 3]> = rows("NATs").into_iter().map(|row| row.try_into().expect("three cells")).collect();
    assert_eq!(rows.len(), Nat::ALL.len());
    thread::scope(|scope| {
        for side in ["caller", "called"] {
            for [nat, mapping, filtering] in &rows {
                scope.spawn(move || {
                    let found = world.home(side, nat).behaviour(Internet::SERVERS[1]);
                    let (maps, filters) = (format!("{mapping} Mapping"), format!("{filtering} Filtering"));
                    assert!(found.contains(&maps) && found.contains(&filters), "{nat} at the {side}: {found}");
                });
            }
        }
    });
}
