//! Edge proxies between the phone and its registrar: Path, flows, Service-Route and GRUU (RFC 5626, 3327, 3608, 5627).
use crate::common::sound::Sound;
use crate::harness::{Case, Need};
use crate::peers_dnsmasq::{Dnsmasq, host, srv};
use crate::peers_kamailio::{Kamailio, Options};
use crate::phone::{Phone, Setup, exit};
use crate::process::wait_for;
use crate::tools::hears_some;
use offhook::base::net::Transport;
use std::time::Duration;

const KAMAILIO: &[Need] = &[Need::Kamailio];

pub const CASES: &[Case] = &[
    Case { name: "edges::called_through_an_edge", needs: KAMAILIO, run: |case| called(case, Transport::Tcp) },
    Case { name: "edges::called_through_an_edge_over_wss", needs: KAMAILIO, run: |case| called(case, Transport::Wss) },
    Case { name: "edges::calls_go_the_way_the_registrar_says", needs: KAMAILIO, run: service_route },
    Case { name: "edges::one_of_two_dies", needs: &[Need::Kamailio, Need::Dnsmasq], run: one_of_two_dies },
    Case { name: "edges::a_phone_has_a_name_of_its_own", needs: KAMAILIO, run: gruu },
];

fn edge(case: &Case, name: &str, registrar: &Kamailio) -> Kamailio {
    let edge_of = Some(registrar.address(Transport::Udp));
    Kamailio::start_with(case, &Options { name, edge_of, ..Options::default() })
}

fn tone(hz: f64) -> Sound {
    Sound::tone(48_000, 20.0, hz, -10.0)
}

/// An account that knows the edge alone.
fn behind(edge: &Kamailio, user: &str, transport: Transport) -> String {
    edge.account(user, transport).replace("registrar = ", "outbound_proxy = ")
}

fn answering(case: &Case, account: &str) -> Phone {
    let setup = Setup::new(case, "bob", "answer").config(account).microphone(&tone(700.0)).record();
    let mut bob = setup.arguments(&["--auto", "--codecs", "pcmu"]).start();
    bob.expect_registered();
    bob
}

/// The registrar knows the phone by the edge, and the edge by the flow the phone has opened.
fn called(case: &Case, transport: Transport) {
    let registrar = Kamailio::start_with(case, &Options { name: "registrar", ..Options::default() });
    let edge = edge(case, "edge", &registrar);
    let mut bob = answering(case, &behind(&edge, "bob", transport));
    let bindings = registrar.bindings();
    for part in ["Path: <sip:", ";lr;ob>", "Reg-Id: 1", "Instance: <urn:uuid:"] {
        assert!(bindings.contains(part), "{part:?} is not in {bindings}");
    }
    let setup = Setup::new(case, "alice", "call").config(&registrar.account("alice", Transport::Udp)).record();
    let setup = setup.microphone(&tone(440.0));
    let mut alice = setup.arguments(&["bob", "--codecs", "pcmu", "--hold-after", "1", "--duration", "5"]).start();
    bob.expect("held by the caller", Duration::from_secs(15), |line| line["text"] == "on hold, by the other side");
    assert_eq!(alice.wait(Duration::from_secs(20)), exit::ENDED);
    assert_eq!(bob.expect_summary()["result"], "normal");
    assert_eq!(bob.interrupt(), exit::ENDED);
    hears_some(&alice.heard(), 700.0, "the caller");
    hears_some(&bob.heard(), 440.0, "the called");
    assert_eq!(registrar.bindings_of("bob"), 0, "it has not unregistered");
}

/// Two flows to two edges, which the records of one name list. The first edge dies: calls come over the other at once.
fn one_of_two_dies(case: &Case) {
    let registrar = Kamailio::start_with(case, &Options { name: "registrar", ..Options::default() });
    let mut edges = [edge(case, "first", &registrar), edge(case, "second", &registrar)];
    let port = |edge: &Kamailio| edge.address(Transport::Tcp).port();
    let service = "_sip._tcp.edges";
    let mut records = vec![srv(service, 1, 1, port(&edges[0])), srv(service, 2, 1, port(&edges[1]))];
    records.extend(edges.iter().map(|edge| host(port(edge))));
    let names = Dnsmasq::start(case, 60, &records);
    let known = format!("outbound_proxy = \"{}\"", edges[0].address(Transport::Tcp));
    let account = behind(&edges[0], "bob", Transport::Tcp).replace(&known, "outbound_proxy = \"edges.pbx.test\"");
    let mut bob = answering(case, &format!("{account}[network]\nname_server = \"{}\"\n", names.address));
    registrar.expect_bindings("bob", 2, Duration::from_secs(10));
    let bindings = registrar.bindings();
    assert!(["Reg-Id: 1", "Reg-Id: 2"].iter().all(|flow| bindings.contains(flow)), "{bindings}");
    edges[0].kill();
    let setup = Setup::new(case, "alice", "call").config(&registrar.account("alice", Transport::Udp)).record();
    let mut alice = setup.silent().arguments(&["bob", "--codecs", "pcmu", "--duration", "3"]).start();
    assert_eq!(alice.wait(Duration::from_secs(20)), exit::ENDED);
    assert_eq!(bob.expect_summary()["result"], "normal");
    hears_some(&alice.heard(), 700.0, "the caller");
    // The first comes back, and so does the phone's flow to it.
    let before = edges[0].requests(&["got REGISTER"]).len();
    edges[0].boot();
    wait_for("the first flow to be back", Duration::from_secs(5), || {
        (edges[0].requests(&["got REGISTER"]).len() > before).then_some(())
    });
    assert_eq!(bob.interrupt(), exit::ENDED);
}

fn service_route(case: &Case) {
    let registrar = Kamailio::start_with(case, &Options { name: "registrar", ..Options::default() });
    let edge = edge(case, "edge", &registrar);
    let mut bob = answering(case, &registrar.account("bob", Transport::Udp));
    let setup = Setup::new(case, "alice", "call").config(&behind(&edge, "alice", Transport::Tcp)).record();
    let setup = setup.microphone(&tone(440.0));
    let mut alice = setup.arguments(&["bob", "--codecs", "pcmu", "--duration", "3"]).start();
    assert_eq!(alice.wait(Duration::from_secs(20)), exit::ENDED);
    assert_eq!(bob.expect_summary()["result"], "normal");
    bob.interrupt();
    hears_some(&alice.heard(), 700.0, "the caller");
    hears_some(&bob.heard(), 440.0, "the called");
    let way = format!("sip:{};lr", registrar.address(Transport::Udp));
    let invites = edge.requests(&["got INVITE", "from alice", "route=[", &way]);
    assert!(!invites.is_empty(), "the registrar's Service-Route was not taken: {:?}", edge.requests(&["got INVITE"]));
}

/// The Contact of its calls is the GRUU it was given, and requests to that name reach it.
fn gruu(case: &Case) {
    let registrar = Kamailio::start(case);
    let mut bob = answering(case, &registrar.account("bob", Transport::Tcp));
    let setup = Setup::new(case, "alice", "call").config(&registrar.account("alice", Transport::Udp)).silent();
    let mut alice = setup.record().arguments(&["bob", "--codecs", "pcmu"]).start();
    alice.expect_established();
    let invites = registrar.requests(&["got INVITE", "from alice", "contact=[<sip:alice@localhost;gr="]);
    assert!(!invites.is_empty(), "{:?}", registrar.requests(&["got INVITE"]));
    std::thread::sleep(Duration::from_secs(2));
    // It hangs up: the BYE goes to the caller's GRUU.
    assert_eq!(bob.interrupt(), exit::ENDED);
    assert_eq!(alice.wait(Duration::from_secs(10)), exit::ENDED);
    assert_eq!(alice.summary()["result"], "normal");
    let byes = registrar.requests(&["got BYE sip:alice@localhost;gr="]);
    assert!(!byes.is_empty(), "{:?}", registrar.requests(&["got BYE"]));
}
