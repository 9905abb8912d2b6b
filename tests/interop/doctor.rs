//! `offhook doctor`: what it says of servers, certificates, names, NATs and relays that are as they should be, and not.
use crate::certificates::{Authority, Identity};
use crate::harness::{Case, Need};
use crate::internet::{Firewall, Internet, Nat};
use crate::namespaces::{self, Network};
use crate::peers_asterisk::{self, Asterisk};
use crate::peers_coturn::{Coturn, PASSWORD};
use crate::peers_dnsmasq::{DOMAIN, Dnsmasq, host, srv};
use crate::peers_pulse::PulseAudio;
use crate::phone::{Setup, exit};
use crate::process::Process;
use crate::tools;
use offhook::base::net::Transport;
use offhook::cli::ExitCode;
use serde_json::Value;
use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

pub const CASES: &[Case] = &[
    Case { name: "doctor::asterisk", needs: &[Need::Asterisk], run: asterisk },
    Case { name: "doctor::certificates", needs: &[], run: certificates },
    Case { name: "doctor::names", needs: &[Need::Dnsmasq], run: names },
    Case { name: "doctor::relays", needs: &[Need::Coturn], run: relays },
    Case { name: "doctor::every_nat", needs: &[Need::Coturn, Need::Nftables], run: every_nat },
    Case { name: "doctor::sound", needs: &[Need::PulseAudio], run: sound },
    Case { name: "doctor::a_router_that_rewrites", needs: &[Need::Asterisk], run: rewriting },
    Case { name: "doctor::udp_is_blocked", needs: &[Need::Asterisk, Need::Namespaces], run: udp_blocked },
    Case { name: "doctor::nobody_answers_in_time", needs: &[], run: out_of_time },
    Case { name: "doctor::without_any_network", needs: &[Need::Namespaces], run: without_network },
];

/// What it found, and the code it ended with.
struct Visit {
    code: i32,
    findings: Vec<Value>,
}

impl Visit {
    fn of(setup: Setup, more: &[&str]) -> Self {
        let mut doctor = setup.arguments(more).start();
        let code = doctor.wait(Duration::from_secs(25));
        let findings = doctor.lines();
        assert_eq!(findings.last().map(|line| line["type"].clone()), Some("summary".into()), "{findings:?}");
        let texts = findings.iter().filter_map(Value::as_object).flat_map(|finding| finding.values());
        let harmless = |text: &str| !text.chars().any(|c| c.is_control() || c == '\u{202e}');
        assert!(texts.filter_map(Value::as_str).all(harmless), "{findings:?}");
        Self { code, findings }
    }

    /// Of an account, with the sound left alone.
    fn to(case: &Case, name: &str, config: &str) -> Self {
        Self::of(Setup::new(case, name, "doctor").config(config), &["--no-sound"])
    }

    /// A finding about `topic` says all this.
    fn says(&self, topic: &str, severity: &str, words: &[&str]) -> &Self {
        let text = |finding: &Value| format!("{} {} {}", finding["found"], finding["means"], finding["advice"]);
        let about = |finding: &&Value| finding["topic"] == topic && finding["severity"] == severity;
        let found = self.findings.iter().filter(about).any(|finding| {
            let text = text(finding).replace("\\\"", "\"");
            words.iter().all(|word| text.contains(word))
        });
        assert!(found, "no {severity} about {topic} says {words:?}: {:#?}", self.findings);
        self
    }

    fn ends(&self, code: i32) -> &Self {
        assert_eq!(self.code, code, "{:#?}", self.findings);
        self
    }

    fn is_silent_of(&self, topic: &str) -> &Self {
        assert!(self.findings.iter().all(|finding| finding["topic"] != topic), "{:#?}", self.findings);
        self
    }
}

fn asterisk(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let udp = asterisk.account("1001", Transport::Udp);
    Visit::to(case, "good", &udp)
        .says("server", "ok", &["answers after", "over UDP", "Asterisk"])
        .says("registration", "ok", &["accepts 1001"])
        .says("nat", "ok", &["sees us at our own address"])
        .ends(exit::ENDED);
    Visit::to(case, "wrong", &udp.replace("pw1001", "nonsense"))
        .says("server", "ok", &[])
        .says("registration", "problem", &["password", "auth_user"])
        .ends(exit::REGISTRATION_REFUSED);
    Visit::to(case, "tls", &asterisk.account("1002", Transport::Tls))
        .says("server", "ok", &["over TLS"])
        .says("certificate", "ok", &["is good, valid for", "TLS 1."])
        .says("registration", "ok", &["accepts 1002"])
        .ends(exit::ENDED);
    Visit::to(case, "wss", &asterisk.account("1002", Transport::Wss))
        .says("server", "ok", &["over WSS"])
        .says("registration", "ok", &["accepts 1002"])
        .ends(exit::ENDED);
    assert!(!asterisk.is_registered("1001") && !asterisk.is_registered("1002"), "nothing is changed");
}

/// The embedded proxy over TLS with that certificate; its port.
fn protected(case: &Case, name: &str, Identity { certificate, key }: &Identity) -> (Process, u16) {
    let (port, tls) = (tools::free_port(), tools::free_port());
    let mut command = Command::new(env!("CARGO_BIN_EXE_offhook"));
    command.args(["proxy", "--bind", &format!("127.0.0.1:{port}"), "--tls", &tls.to_string(), "--certificate"]);
    command.arg(certificate).arg("--key").arg(key);
    let mut process = Process::start(name, &mut command, &case.folder().join(format!("{name}.log")));
    process.expect_log("serving", Duration::from_secs(5));
    (process, tls)
}

fn certificates(case: &Case) {
    let authority = Authority::new(&case.folder(), "authority");
    let stranger = Authority::new(&case.folder().join("other"), "stranger");
    let expired = authority.expired(&["127.0.0.1"]);
    let (_one, port) = protected(case, "expired", &expired);
    let account = |port: u16| {
        let server = format!("127.0.0.1:{port}");
        let trust = format!("tls_ca = {:?}\n", authority.file);
        format!(
            "[[account]]\nname = \"a\"\nuser = \"alice\"\ndomain = \"127.0.0.1\"\nregistrar = \"{server}\"\n\
             password = \"x\"\ntransport = \"tls\"\n{trust}"
        )
    };
    Visit::to(case, "visit-expired", &account(port))
        .says("certificate", "problem", &["expired on 2020-01-01", "renew"])
        .says("server", "problem", &["expired"])
        .is_silent_of("registration")
        .ends(exit::NETWORK);
    let (_two, port) = protected(case, "named", &authority.identity(&["pbx.example"]));
    Visit::to(case, "visit-named", &account(port))
        .says("certificate", "problem", &["names pbx.example, not 127.0.0.1"])
        .ends(exit::NETWORK);
    let (_three, port) = protected(case, "signed", &stranger.identity(&["127.0.0.1"]));
    Visit::to(case, "visit-signed", &account(port))
        .says("certificate", "problem", &["obody trusted has signed", "tls_ca"])
        .ends(exit::NETWORK);
}

fn names(case: &Case) {
    let port = tools::free_port();
    let mut command = Command::new(env!("CARGO_BIN_EXE_offhook"));
    command.args(["proxy", "--domain", DOMAIN, "--bind", &format!("127.0.0.1:{port}")]);
    let mut proxy = Process::start("proxy", &mut command, &case.folder().join("proxy.log"));
    proxy.expect_log("serving", Duration::from_secs(5));
    let dns = Dnsmasq::start(case, 60, &[srv("_sip._udp", 10, 0, port), host(port)]);
    let account = |server: String, domain: &str| {
        format!(
            "[network]\nname_server = \"{server}\"\n\
             [[account]]\nname = \"a\"\nuser = \"alice\"\ndomain = \"{domain}\"\nregister = false\n"
        )
    };
    let served = dns.address.to_string();
    Visit::to(case, "found", &account(served.clone(), DOMAIN))
        .says("names", "ok", &["by its SRV records to 127.0.0.1:", "over UDP"])
        .says("server", "ok", &["answers after"])
        .says("registration", "unknown", &["does not register"])
        .ends(exit::ENDED);
    Visit::to(case, "unknown", &account(served, &format!("nosuch.{DOMAIN}")))
        .says("names", "problem", &["is not known", "written"])
        .is_silent_of("server")
        .ends(exit::NETWORK);
    // The records of a domain say where its STUN server and its relay are.
    let helpers =
        format!("{}stun_server = \"{DOMAIN}\"\nturn_server = \"{DOMAIN}\"\n", account(dns.address.to_string(), DOMAIN));
    let (mut nobody, [stun, turn]) = (dns, [tools::free_port(), tools::free_port()]);
    let records = [
        srv("_sip._udp", 10, 0, port),
        host(port),
        srv("_stun._udp", 10, 0, stun),
        host(stun),
        srv("_turn._tcp", 10, 0, turn),
        host(turn),
    ];
    nobody.tell(&records);
    Visit::to(case, "helped", &helpers)
        .says("nat", "problem", &[&format!("(127.0.0.1:{stun}) does not answer")])
        .says("relay", "problem", &["is not reached over TCP"])
        .ends(exit::NETWORK);
    // Takes everything, says nothing.
    let dead = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let dead = dead.local_addr().map(|address| address.to_string()).expect("bound");
    Visit::to(case, "dead", &account(dead.clone(), DOMAIN))
        .says("names", "problem", &["does not answer", &dead])
        .ends(exit::NETWORK);
}

/// A STUN server of two addresses, and a relay with right and wrong passwords, over each transport.
fn relays(case: &Case) {
    let other = tools::free_port();
    let coturn = Coturn::start(
        case,
        &["--listening-ip=127.0.0.2", "--relay-ip=127.0.0.2", &format!("--alt-listening-port={other}")],
    );
    let account = |transport: &str, password: &str| {
        let reach = coturn.account(transport, password);
        format!(
            "[network]\nlocal_address = \"127.0.0.1\"\n[[account]]\nname = \"a\"\nuser = \"alice\"\n\
             domain = \"127.0.0.1\"\nregistrar = \"127.0.0.1:{}\"\nregister = false\ntransport = \"udp\"\n{reach}",
            tools::free_port()
        )
    };
    Visit::to(case, "udp", &account("udp", PASSWORD))
        .says("nat", "ok", &["No NAT", "our own address"])
        .says("relay", "ok", &["relays for us over UDP"])
        .says("server", "problem", &["nothing listens"]);
    Visit::to(case, "tcp", &account("tcp", PASSWORD)).says("relay", "ok", &["relays for us over TCP"]);
    Visit::to(case, "tls", &account("tls", PASSWORD)).says("relay", "ok", &["relays for us over TLS"]);
    Visit::to(case, "wrong", &account("udp", "nonsense")).says(
        "relay",
        "problem",
        &["does not accept the user name or the password", "turn_password"],
    );
    let filtering = |visit: &Visit| {
        let details =
            visit.findings.iter().flat_map(|finding| finding["details"].as_array().cloned().unwrap_or_default());
        details.filter_map(|detail| detail.as_str().map(str::to_owned)).find(|detail| detail.starts_with("filtering"))
    };
    let visit = Visit::to(case, "behaviour", &account("udp", PASSWORD));
    assert_eq!(filtering(&visit).as_deref(), Some("filtering: endpoint-independent"), "{:#?}", visit.findings);
}

/// The kernel's own NATs: what each does, and which calls will need a relay. Of the port restricted one also how long it
/// remembers.
fn every_nat(case: &Case) {
    let mut internet = Internet::new();
    let [_, turn, other] = Internet::SERVERS;
    let coturn = Coturn::start_in(case, internet.public(), &[turn, other]);
    let stun = format!("{turn}:{}", coturn.port);
    let (free, port) = ("endpoint-independent", "address-and-port-dependent");
    let rows: [(Nat, &str, &str, &[&str]); 5] = [
        (Nat::None, "", "ok", &["No NAT"]),
        (Nat::FullCone, free, "ok", &["full cone", "No relay is needed"]),
        (Nat::AddressRestricted, free, "ok", &["restricted cone", "No relay is needed"]),
        (Nat::PortRestricted, free, "ok", &["port-restricted cone", "needed with: symmetric"]),
        (Nat::Symmetric, port, "note", &["(symmetric)", "with: port-restricted cone, symmetric", "turn_server"]),
    ];
    thread::scope(|scope| {
        for (nat, mapping, severity, words) in rows {
            let home = internet.home(nat, Firewall::Open);
            let stun = &stun;
            scope.spawn(move || {
                let setup = Setup::within(&home.phone, case, &nat.name().replace(' ', "-"), "doctor");
                let mut more = vec!["--no-sound", "--stun", stun];
                if nat == Nat::PortRestricted {
                    let router = home.phone.replace("-phone", "-router");
                    for timeout in ["timeout", "timeout_stream"] {
                        let key = format!("net.netfilter.nf_conntrack_udp_{timeout}=3");
                        assert!(
                            namespaces::inside(&router, "sysctl")
                                .args(["-qw", &key])
                                .status()
                                .is_ok_and(|s| s.success())
                        );
                    }
                    more.extend(["--lifetime", "4"]);
                }
                let visit = Visit::of(setup, &more);
                visit.says("nat", severity, words).says("nat", severity, &[mapping]);
                if nat == Nat::PortRestricted {
                    visit.says("nat", "problem", &["remembers 2 s of silence, and forgets after 4 s"]);
                }
            });
        }
    });
}

fn sound(case: &Case) {
    let visit = |name: &str, pulse: Option<&PulseAudio>, more: &[&str]| {
        let mut setup = Setup::new(case, name, "doctor").on_devices();
        for (variable, value) in pulse.map(PulseAudio::environment).unwrap_or_default() {
            setup = setup.environment(variable, &value);
        }
        Visit::of(setup, more)
    };
    let pulse = PulseAudio::start(case);
    visit("there", Some(&pulse), &["--listen"])
        .says("sound", "ok", &["The microphone", "works"])
        .says("sound", "ok", &["The speaker", "works"])
        .says("sound", "problem", &["nothing but silence", "muted"])
        .ends(ExitCode::Device as i32);
    visit("files", None, &["--microphone", "silence", "--speaker", "null"])
        .says("sound", "note", &["set to \"silence\""])
        .says("configuration", "note", &["There is no account."])
        .ends(exit::ENDED);
}

/// What stands between a phone and its server: passes datagrams on, both ways changed; its address.
fn middle_man(
    server: SocketAddr,
    ask: impl Fn(String) -> String + Send + 'static,
    answer: impl Fn(String) -> String + Send + 'static,
) -> SocketAddr {
    let front = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let back = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let at = front.local_addr().expect("bound");
    let (mut one, mut two) = (front.try_clone().expect("a socket"), back.try_clone().expect("a socket"));
    let phone = Arc::new(Mutex::new(None));
    let known = Arc::clone(&phone);
    let read = |socket: &mut UdpSocket| {
        let mut datagram = [0; 8_192];
        let (length, from) = socket.recv_from(&mut datagram).ok()?;
        Some((String::from_utf8_lossy(&datagram[..length]).into_owned(), from))
    };
    // They end with the run.
    thread::spawn(move || {
        while let Some((text, from)) = read(&mut one) {
            *known.lock().expect("no panic inside") = Some(from);
            back.send_to(ask(text).as_bytes(), server).ok();
        }
    });
    thread::spawn(move || {
        while let Some((text, _)) = read(&mut two) {
            let to = *phone.lock().expect("no panic inside");
            front.send_to(answer(text).as_bytes(), to.expect("it asked")).ok();
        }
    });
    at
}

/// A router that helps, a server whose clock is wrong, and a name that is not for terminals.
fn rewriting(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let ask = |text: String| text.replacen("UDP 127.0.0.1:", "UDP 127.0.0.9:", 1);
    let answer = |text: String| {
        let text = text.replacen("Server: ", "Server: \u{202e}evil ", 1);
        text.replacen("\r\nContent-Length:", "\r\nDate: Thu, 01 Jan 2015 00:00:00 GMT\r\nContent-Length:", 1)
    };
    let at = middle_man(asterisk.address(), ask, answer);
    let account = asterisk.account("1001", Transport::Udp).replace(&asterisk.address().to_string(), &at.to_string());
    Visit::to(case, "helped", &account)
        .says("server", "ok", &["(evil Asterisk"])
        .says("nat", "problem", &["rewrites our messages (Via)", "SIP ALG"])
        .says("certificate", "problem", &["ahead of the server's", "NTP"])
        .says("registration", "ok", &["accepts 1001"])
        .ends(exit::NETWORK);
}

fn udp_blocked(case: &Case) {
    let network = Network::new();
    let asterisk = Asterisk::start_in(&network);
    let rule = ["-n", &network.server, "rule", "add", "ipproto", "udp", "blackhole"];
    let walled = Command::new("ip").args(rule).status().expect("ip runs");
    assert!(walled.success(), "what the server answers over UDP is lost");
    let setup = Setup::within(&network.phone, case, "walled", "doctor");
    let setup = setup.config(&asterisk.account("1001", Transport::Udp));
    Visit::of(setup, &["--no-sound", "--stun", "10.99.1.1"])
        .says("server", "problem", &["UDP seems to be blocked", "over TCP it does", "transport = \"tcp\""])
        .says("nat", "problem", &["UDP seems to be blocked here"])
        .is_silent_of("registration")
        .ends(exit::NETWORK);
}

/// What is known by then is told.
fn out_of_time(case: &Case) {
    let dead = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let dead = dead.local_addr().expect("bound").to_string();
    let setup = Setup::new(case, "waits", "doctor").environment("OFFHOOK_PASSWORD", "x");
    let began = Instant::now();
    let account = format!("sip:alice@{dead}");
    Visit::of(setup, &["--no-sound", "--account", &account, "--stun", &dead, "--timeout", "1"])
        .says("names", "ok", &["is an address"])
        .says("server", "unknown", &["in time", "--timeout"])
        .says("nat", "unknown", &["in time"])
        .says("files", "ok", &[])
        .ends(exit::ENDED);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

/// It says so, and ends soon.
fn without_network(case: &Case) {
    let name = format!("offhook-alone-{}", std::process::id());
    let netns = |action: &str| Command::new("ip").args(["netns", action, &name]).status().expect("ip runs").success();
    assert!(netns("add"), "a namespace");
    let setup = Setup::within(&name, case, "alone", "doctor");
    let program = namespaces::inside(&name, "true").status().expect("ip runs");
    let visit = Visit::of(
        setup.environment("OFFHOOK_PASSWORD", "x"),
        &["--no-sound", "--account", "sip:alice@pbx.test", "--stun", "192.0.2.1"],
    );
    assert!(netns("del") && program.success());
    visit.says("machine", "problem", &["in no network"]).says("names", "problem", &["pbx.test"]).ends(exit::NETWORK);
}
