//! Servers that are found by NAPTR and SRV records of a real name server, some of them dead.
use crate::harness::{Case, Need};
use crate::peers_dnsmasq::{DOMAIN, Dnsmasq, host, naptr, srv};
use crate::peers_sipp::Sipp;
use crate::phone::{Setup, exit};
use crate::process::Process;
use crate::tools;
use offhook::base::rng::Rng;
use offhook::net::{Net, NetConfig};
use offhook::runtime::locating::Locating;
use offhook::sip::locate::{AccessId, Located, Question};
use offhook::sip::message::Host;
use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

const DNS: &[Need] = &[Need::Dnsmasq];

pub const CASES: &[Case] = &[
    Case { name: "locating::naptr_prefers_tcp", needs: DNS, run: naptr_prefers_tcp },
    Case { name: "locating::the_first_server_refuses", needs: DNS, run: first_refuses },
    Case { name: "locating::the_first_server_is_silent", needs: DNS, run: first_is_silent },
    Case {
        name: "locating::a_call_passes_over_the_silent",
        needs: &[Need::Dnsmasq, Need::Sipp],
        run: call_passes_over,
    },
    Case { name: "locating::a_server_that_moved", needs: DNS, run: server_moved },
    Case { name: "locating::weights_share_the_load", needs: DNS, run: weights },
    Case { name: "locating::a_dead_name_server_is_told", needs: DNS, run: dead_name_server },
];

/// The embedded proxy as registrar of the domain, with the user alice.
fn registrar(case: &Case, name: &str) -> (Process, u16) {
    let port = tools::free_port();
    let users = case.folder().join("users");
    std::fs::write(&users, "alice:pwalice\n").expect("writes");
    let mut command = Command::new(env!("CARGO_BIN_EXE_offhook"));
    command.args(["proxy", "--domain", DOMAIN, "--bind", &format!("127.0.0.1:{port}"), "--users"]).arg(users);
    let mut process = Process::start(name, &mut command, &case.folder().join(format!("{name}.log")));
    process.expect_log("serving", Duration::from_secs(5));
    (process, port)
}

/// A server that takes everything and says nothing.
fn silent() -> (UdpSocket, u16) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has ports");
    socket.set_nonblocking(true).expect("a socket");
    let port = socket.local_addr().expect("bound").port();
    (socket, port)
}

/// Whether anything came.
fn was_asked(socket: &UdpSocket) -> bool {
    socket.recv(&mut [0; 2048]).is_ok()
}

fn alice(case: &Case, dns: &Dnsmasq, subcommand: &'static str) -> Setup {
    Setup::new(case, "alice", subcommand).config(&format!(
        "[network]\nname_server = \"{}\"\n\
         [[account]]\nname = \"a\"\nuser = \"alice\"\ndomain = \"{DOMAIN}\"\npassword = \"pwalice\"\n",
        dns.address
    ))
}

fn naptr_prefers_tcp(case: &Case) {
    let (_registrar, port) = registrar(case, "registrar");
    let (other, udp) = silent();
    let records = [
        naptr(10, "SIP+D2T", "_sip._tcp"),
        naptr(20, "SIP+D2U", "_sip._udp"),
        srv("_sip._tcp", 1, 1, port),
        srv("_sip._udp", 1, 1, udp),
        host(port),
        host(udp),
    ];
    let dns = Dnsmasq::start(case, 60, &records);
    let mut phone = alice(case, &dns, "register").start();
    phone.expect_registered();
    assert!(!was_asked(&other), "the records say TCP");
    assert_eq!(phone.interrupt(), exit::ENDED);
}

/// Two servers for UDP, tried in this order.
fn two(first: u16, second: u16) -> [String; 4] {
    [srv("_sip._udp", 10, 0, first), srv("_sip._udp", 20, 0, second), host(first), host(second)]
}

fn first_refuses(case: &Case) {
    let (_registrar, port) = registrar(case, "registrar");
    let closed = tools::free_port();
    let dns = Dnsmasq::start(case, 60, &two(closed, port));
    let begin = Instant::now();
    let mut phone = alice(case, &dns, "register").start();
    phone.expect_registered();
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    assert_eq!(phone.interrupt(), exit::ENDED);
}

fn first_is_silent(case: &Case) {
    let (_registrar, port) = registrar(case, "registrar");
    let (first, silent) = silent();
    let dns = Dnsmasq::start(case, 60, &two(silent, port));
    let begin = Instant::now();
    let mut phone = alice(case, &dns, "register").start();
    phone.expect_registered();
    let took = begin.elapsed();
    assert!(was_asked(&first));
    assert!((Duration::from_millis(2900)..Duration::from_secs(5)).contains(&took), "{took:?}");
    assert_eq!(phone.interrupt(), exit::ENDED);
}

/// Nobody registers: the domain of the called is looked up.
fn call_passes_over(case: &Case) {
    let (mut sipp, address) = Sipp::serve(case, "answers-late.xml", &[("USER", "bob")]);
    let (first, silent) = silent();
    let dns = Dnsmasq::start(case, 60, &two(silent, address.port()));
    let config = format!(
        "[network]\nname_server = \"{}\"\n[[account]]\nname = \"a\"\nuser = \"alice\"\ndomain = \"localhost\"\n\
         register = false\n",
        dns.address
    );
    let setup = Setup::new(case, "alice", "call").config(&config).silent();
    let target = format!("sip:bob@{DOMAIN}");
    let begin = Instant::now();
    let mut phone = setup.arguments(&[&target, "--codecs", "pcmu", "--duration", "1"]).start();
    phone.expect_established();
    let took = begin.elapsed();
    assert!(was_asked(&first));
    // Three seconds of silence, one and a half until SIPp answers.
    assert!((Duration::from_millis(4400)..Duration::from_millis(6500)).contains(&took), "{took:?}");
    assert_eq!(phone.wait(Duration::from_secs(10)), exit::ENDED);
    sipp.expect_success(Duration::from_secs(10));
}

/// The records say another server once they are old; the phone asks again then.
fn server_moved(case: &Case) {
    let (before, old) = registrar(case, "old");
    let one = |port| [srv("_sip._udp", 1, 1, port), host(port)];
    let mut dns = Dnsmasq::start(case, 5, &one(old));
    let mut phone = alice(case, &dns, "register").start();
    phone.expect_registered();
    let (_after, new) = registrar(case, "new");
    dns.tell(&one(new));
    drop(before);
    // A dead server is noticed within half a minute, and the next try finds the other one.
    phone.expect("the loss", Duration::from_secs(40), |line| {
        line["type"] == "registration" && line["state"] == "failed"
    });
    let registered = |lines: &[serde_json::Value]| {
        lines.iter().filter(|line| line["type"] == "registration" && line["state"] == "registered").count()
    };
    crate::process::wait_for("the registration there", Duration::from_secs(15), || {
        (registered(&phone.lines()) > 1).then_some(())
    });
    assert_eq!(phone.interrupt(), exit::ENDED);
}

/// Searches `count` times, one after the other.
fn search(dns: SocketAddr, count: usize) -> Vec<(Located, Duration)> {
    let here = NetConfig {
        address: Some(SocketAddr::from(([127, 0, 0, 1], 0)).ip()),
        name_server: Some(dns),
        ..NetConfig::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let net = Net::bind(&here).expect("a port");
        let mut locating = Locating::new(net.router(), Rng::from_u64(11));
        let mut answers = Vec::with_capacity(count);
        for _ in 0..count {
            let host = Host::Name(DOMAIN.to_owned());
            let question = Question { host, port: None, transport: None, secure: false, access: AccessId::default() };
            let begin = Instant::now();
            assert!(locating.ask(question).is_none(), "a name is not known without asking");
            let (_, located) = locating.next().await;
            answers.push((located.expect("found"), begin.elapsed()));
        }
        answers
    })
}

fn weights(case: &Case) {
    let ports = [tools::free_port(), tools::free_port(), tools::free_port()];
    let [small, large, reserve] = ports;
    let mut records = vec![
        naptr(1, "SIP+D2U", "_sip._udp"),
        srv("_sip._udp", 1, 10, small),
        srv("_sip._udp", 1, 30, large),
        srv("_sip._udp", 2, 60_000, reserve),
    ];
    records.extend(ports.map(host));
    let dns = Dnsmasq::start(case, 17, &records);
    let mut answers = search(dns.address, 400);
    let first = |port: u16| answers.iter().filter(|(located, _)| located.flows[0].remote.port() == port).count();
    // A quarter of 400, four standard deviations.
    assert!((65..=135).contains(&first(small)), "{}", first(small));
    assert_eq!(first(reserve), 0);
    let last = |(located, _): &(Located, Duration)| located.flows.last().map(|flow| flow.remote.port());
    assert!(answers.iter().all(|answer| answer.0.flows.len() == 3 && last(answer) == Some(reserve)));
    assert!(answers.iter().all(|(located, _)| located.fresh == Duration::from_secs(17)));
    answers.sort_by_key(|(_, took)| *took);
    let took = |share: usize| answers[answers.len() * share / 100].1;
    let figures = format!("NAPTR, SRV and addresses found: median {:?}, 95 % within {:?}\n", took(50), took(95));
    std::fs::write(case.folder().join("figures.txt"), &figures).expect("writes");
    assert!(took(50) < Duration::from_millis(100), "{figures}");
}

fn dead_name_server(case: &Case) {
    // A socket that nobody reads.
    let (_socket, port) = silent();
    let config = format!(
        "[network]\nname_server = \"127.0.0.1:{port}\"\n\
         [[account]]\nname = \"a\"\nuser = \"alice\"\ndomain = \"{DOMAIN}\"\npassword = \"pwalice\"\n"
    );
    let begin = Instant::now();
    let mut phone = Setup::new(case, "alice", "register").config(&config).arguments(&["--once"]).start();
    assert_eq!(phone.wait(Duration::from_secs(15)), exit::NETWORK);
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
    let said = phone.lines().iter().map(serde_json::Value::to_string).collect::<String>();
    let words = format!("the name server does not answer for {DOMAIN} (asked: 127.0.0.1:{port})");
    assert!(said.contains(&words), "{said}");
}
