//! Registrations at servers that the test plays: flows, back-off, signs of life, ways out, and who a call is for.
use crate::hostile::{CHALLENGE, SECOND, SERVER};
use crate::peer::{Letter, request, sdp};
use crate::world::{World, account, address, settings};
use offhook::base::id::AccountId;
use offhook::base::net::{Flow, Transport};
use offhook::sip::message::Host;
use offhook::ua::command::Command;
use offhook::ua::event::Event;
use offhook::ua::settings::{AccountSettings, Settings};
use offhook::ua::snapshot::{AccountView, RegistrationState};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const URN: &str = "urn:uuid:0c67446e-f1a1-11d9-94d3-000a95a0e128";
const OTHER: u8 = 10;

fn over(transport: Transport) -> AccountSettings {
    let registrar = Some((Host::Ip(address(SERVER).ip()), Some(5060)));
    AccountSettings { transport: Some(transport), registrar, ..account("a", address(SERVER), true) }
}

/// An account whose domain has two servers.
fn served_twice(transport: Transport) -> AccountSettings {
    let domain = Host::Name("pbx.example".to_owned());
    AccountSettings { domain, registrar: None, outbound: true, ..over(transport) }
}

fn phone(accounts: Vec<AccountSettings>) -> Settings {
    Settings { instance: URN.to_owned(), ..settings(accounts) }
}

fn world_of(accounts: Vec<AccountSettings>, seed: u64) -> World {
    let transport = accounts[0].transport.unwrap_or(Transport::Udp);
    let servers = [SERVER, OTHER].map(|n| (transport, address(n))).to_vec();
    let names = BTreeMap::from([("pbx.example".to_owned(), servers)]);
    let mut world = World::with_names(vec![phone(accounts)], names, seed);
    world.run(SECOND / 10);
    world
}

impl World {
    /// Accepts a REGISTER as a registrar does.
    fn accept_register(&mut self, register: &Letter, headers: &str) {
        let contact = register.header("Contact");
        let lifetime = if register.header("Expires") == "0" { 0 } else { 600 };
        let contact = format!("Contact: {contact};expires={lifetime}\r\n{headers}");
        self.answer(0, register, "200 OK", &contact, "");
        self.run(SECOND / 10);
    }

    /// What came for a server of that method since the last look.
    fn requests_for(&mut self, n: u8, method: &str) -> Vec<Letter> {
        let mail = self.mail_for(address(n));
        mail.into_iter().filter(|letter| letter.text.starts_with(method)).collect()
    }

    /// For so long the server answers nothing; returns when each REGISTER with a new CSeq was sent.
    fn unanswered(&mut self, n: u8, duration: Duration) -> Vec<Instant> {
        let (until, mut tries, mut last) = (self.now + duration, Vec::new(), String::new());
        while self.now < until {
            self.run(SECOND / 20);
            for letter in self.requests_for(n, "REGISTER") {
                if letter.header("CSeq") != last {
                    last = letter.header("CSeq");
                    tries.push(self.now);
                }
            }
        }
        tries
    }

    /// Answers every OPTIONS for so long.
    fn alive(&mut self, n: u8, duration: Duration) -> usize {
        let (until, mut asked) = (self.now + duration, 0);
        while self.now < until {
            self.run(SECOND / 2);
            for letter in self.requests_for(n, "OPTIONS") {
                asked += 1;
                self.answer(0, &letter, "404 Not Found", "", "");
            }
        }
        asked
    }

    fn refuse(&mut self, flow: Flow, error: &str) {
        let now = self.now;
        self.phones[0].agent.handle_refused(now, flow, error);
        self.drain();
    }

    fn account(&self, at: usize) -> AccountView {
        self.phones[0].agent.snapshot(self.now).accounts[at].clone()
    }

    fn is_registered(&self, at: usize) -> bool {
        matches!(self.account(at).state, RegistrationState::Registered { .. })
    }

    fn failure(&self, at: usize) -> String {
        match self.account(at).state {
            RegistrationState::Failed { cause, .. } => cause,
            state => panic!("{state:?}"),
        }
    }

    fn invite(&mut self, account: u16, target: &str, n: u8) -> Letter {
        self.command(0, Command::Call { account: Some(AccountId(account)), target: target.to_owned() });
        self.run(SECOND / 10);
        self.latest(address(n), "INVITE")
    }
}

/// Registered over two flows.
fn twice(transport: Transport, seed: u64) -> (World, Letter, Letter) {
    let mut world = world_of(vec![served_twice(transport)], seed);
    let first = world.latest(address(SERVER), "REGISTER");
    assert!(world.requests_for(OTHER, "REGISTER").is_empty(), "first it must be known that flows are kept apart");
    world.accept_register(&first, "Require: outbound\r\n");
    let second = world.latest(address(OTHER), "REGISTER");
    world.accept_register(&second, "Require: outbound\r\n");
    (world, first, second)
}

#[test]
fn two_servers_get_a_flow_each() {
    let (world, first, second) = twice(Transport::Tcp, 1);
    assert!(first.header("Contact").contains(&format!("+sip.instance=\"<{URN}>\";reg-id=1")), "{}", first.text);
    assert!(second.header("Contact").contains(&format!("+sip.instance=\"<{URN}>\";reg-id=2")), "{}", second.text);
    assert_ne!(first.header("Call-ID"), second.header("Call-ID"));
    assert_eq!(first.header("Supported"), "path, gruu, outbound");
    let view = world.account(0);
    assert_eq!(view.flows.iter().map(|flow| flow.server).collect::<Vec<_>>(), [address(SERVER), address(OTHER)]);
    assert!(view.flows.iter().all(|flow| matches!(flow.state, RegistrationState::Registered { .. })));
}

#[test]
fn one_flow_is_all_where_the_server_or_the_user_wants_no_more() {
    for (outbound, answer) in [(true, ""), (true, "Supported: path\r\n"), (false, "Require: outbound\r\n")] {
        let mut world = world_of(vec![AccountSettings { outbound, ..served_twice(Transport::Tcp) }], 2);
        let register = world.latest(address(SERVER), "REGISTER");
        assert_eq!(register.header("Contact").contains("reg-id"), outbound);
        world.accept_register(&register, answer);
        world.run(10 * SECOND);
        assert!(world.requests_for(OTHER, "REGISTER").is_empty(), "{outbound} {answer}");
        assert!(world.is_registered(0));
    }
}

#[test]
fn a_lost_flow_is_recovered_alone_and_calls_take_the_other() {
    let (mut world, first, second) = twice(Transport::Tcp, 3);
    world.alive(OTHER, SECOND);
    world.refuse(first.flow, "closed by the peer");
    assert!(world.is_registered(0), "one flow that works is enough");
    let states: Vec<_> = world.account(0).flows.into_iter().map(|flow| flow.state).collect();
    assert!(matches!(&states[0], RegistrationState::Failed { cause, .. } if cause.contains("closed by the peer")));
    let invite = world.invite(0, "600", OTHER);
    assert!(invite.header("Contact").contains(";ob"), "{}", invite.text);
    world.run(3 * SECOND);
    let again = world.latest(address(SERVER), "REGISTER");
    assert_eq!(again.header("Call-ID"), first.header("Call-ID"));
    assert!(world.requests_for(OTHER, "REGISTER").is_empty(), "the other is left alone");
    world.accept_register(&again, "Require: outbound\r\n");
    assert!(world.account(0).flows.iter().all(|f| matches!(f.state, RegistrationState::Registered { .. })));
    assert_ne!(second.header("Call-ID"), first.header("Call-ID"));
}

#[test]
fn without_outbound_the_second_server_stands_in_for_the_first() {
    let mut world = world_of(vec![AccountSettings { outbound: false, ..served_twice(Transport::Tcp) }], 4);
    let register = world.latest(address(SERVER), "REGISTER");
    world.refuse(register.flow, "connection refused");
    world.run(SECOND / 10);
    let register = world.latest(address(OTHER), "REGISTER");
    world.accept_register(&register, "");
    assert!(world.is_registered(0));
    assert!(
        world.log.iter().any(|line| line.contains("connection refused; trying the next server")),
        "{:?}",
        world.log
    );
    world.invite(0, "600", OTHER);
    // That one goes too: the first has its turn again.
    world.run(200 * SECOND / 10);
    world.refuse(register.flow, "closed by the peer");
    world.run(2 * SECOND);
    world.latest(address(SERVER), "REGISTER");
}

#[test]
fn a_dead_server_is_noticed_and_found_again() {
    for (transport, pongs) in [(Transport::Udp, false), (Transport::Tcp, false), (Transport::Tcp, true)] {
        let mut world = world_of(vec![over(transport)], 5);
        let register = world.latest(address(SERVER), "REGISTER");
        world.accept_register(&register, "");
        // It lives for a while.
        if pongs {
            let now = world.now;
            world.phones[0].agent.handle_alive(now, &register.flow);
        }
        let asked = world.alive(SERVER, 15 * SECOND);
        assert!(world.is_registered(0) && asked == 0, "{asked}");
        let dead = world.now;
        while world.is_registered(0) {
            world.run(SECOND / 10);
            assert!(world.now - dead <= 30 * SECOND, "{transport:?} {pongs}");
        }
        assert!(world.failure(0).contains("no sign of life"), "{}", world.failure(0));
        assert_eq!(world.closed.contains(&register.flow), transport.is_reliable());
        world.mail.clear();
        let tries = world.unanswered(SERVER, 110 * SECOND);
        assert!(tries.windows(2).all(|t| (3_900..=4_500).contains(&(t[1] - t[0]).as_millis())), "{tries:?}");
        assert!(tries.len() >= 24, "{}", tries.len());
        // It is back: within 5 s so are we.
        let back = world.now;
        while !world.is_registered(0) {
            world.run(SECOND / 20);
            for register in world.requests_for(SERVER, "REGISTER") {
                world.accept_register(&register, "");
            }
            assert!(world.now - back <= 5 * SECOND, "{transport:?} {pongs}");
        }
    }
}

#[test]
fn a_server_that_stays_away_is_asked_less_and_less_and_at_once_on_demand() {
    let mut world = world_of(vec![over(Transport::Udp)], 6);
    assert!(world.unanswered(SERVER, 125 * SECOND).len() >= 25);
    let tries = world.unanswered(SERVER, 3600 * SECOND);
    assert!((4..=14).contains(&tries.len()), "{}", tries.len());
    world.command(0, Command::Register(AccountId(0)));
    world.run(SECOND / 10);
    let register = world.latest(address(SERVER), "REGISTER");
    world.accept_register(&register, "");
    assert!(world.is_registered(0));
}

#[test]
fn a_server_that_closes_every_connection_is_not_hammered() {
    let mut world = world_of(vec![over(Transport::Tcp)], 7);
    let mut pauses = Vec::new();
    for _ in 0..6 {
        let register = world.latest(address(SERVER), "REGISTER");
        world.accept_register(&register, "");
        world.refuse(register.flow, "closed by the peer");
        let closed = world.now;
        while !world.mail.iter().any(|t| t.bytes.starts_with(b"REGISTER")) {
            world.run(SECOND / 20);
            assert!(world.now - closed < 600 * SECOND);
        }
        pauses.push((world.now - closed).as_secs());
    }
    assert!(pauses[0] <= 1 && pauses[1] <= 5, "the first time it is only a restart: {pauses:?}");
    assert!(pauses[2..].iter().all(|pause| *pause >= 14) && pauses[5] >= 100, "{pauses:?}");
}

#[test]
fn a_name_that_cannot_be_resolved_is_tried_again_soon_and_less_often() {
    let registrar = Some((Host::Name("nowhere.example".to_owned()), None));
    let mut world = world_of(vec![AccountSettings { registrar, ..over(Transport::Udp) }], 8);
    let tries = |world: &World| world.log.iter().filter(|line| line.contains("no such name; next try in")).count();
    world.run(120 * SECOND);
    assert!((25..=31).contains(&tries(&world)), "{}", tries(&world));
    assert_eq!(world.failure(0), "no such name");
    let told = world.phones[0].events.iter().filter(|e| matches!(e, Event::Registration { .. })).count();
    assert!(told <= 2, "the same failure is told once: {told}");
    world.run(3600 * SECOND);
    assert!(tries(&world) <= 45, "{}", tries(&world));
}

#[test]
fn the_cause_is_what_the_sockets_say() {
    let mut world = world_of(vec![over(Transport::Tls)], 9);
    let register = world.latest(address(SERVER), "REGISTER");
    assert!(register.header("Contact").contains(";transport=tls"), "{}", register.text);
    world.refuse(register.flow, "the certificate expired on 2025-01-01");
    assert_eq!(world.failure(0), "tls 192.0.2.9:5060: the certificate expired on 2025-01-01");
    let view = &world.account(0).flows[0];
    assert!(view.secure && view.transport == Transport::Tls && matches!(view.state, RegistrationState::Failed { .. }));
    assert!(world.log.iter().any(|line| line.contains("expired on 2025-01-01; next try in 4 s")), "{:?}", world.log);
}

#[test]
fn one_sign_of_life_serves_all_accounts_of_a_flow() {
    let (a, b) = (over(Transport::Udp), AccountSettings { user: "b".to_owned(), ..over(Transport::Udp) });
    let mut world = world_of(vec![a, b], 10);
    for register in world.requests_for(SERVER, "REGISTER") {
        world.accept_register(&register, "");
    }
    assert!(world.is_registered(0) && world.is_registered(1));
    let asked = world.alive(SERVER, 100 * SECOND);
    assert!((5..=7).contains(&asked), "{asked}");
    assert!(world.is_registered(0) && world.is_registered(1), "any answer is a sign of life");
    assert!(!world.phones[0].events.iter().any(|e| matches!(e, Event::Capabilities { .. })));
    world.run(30 * SECOND);
    assert!(!world.is_registered(0) && !world.is_registered(1));
}

#[test]
fn the_way_out_is_the_one_the_registrar_tells() {
    let mut world = world_of(vec![over(Transport::Udp)], 11);
    let register = world.latest(address(SERVER), "REGISTER");
    world.accept_register(&register, "Service-Route: <sip:192.0.2.10;lr>, <sip:home.example;lr>\r\n");
    let invite = world.invite(0, "600", OTHER);
    assert_eq!(invite.all("Route").collect::<Vec<_>>(), ["<sip:192.0.2.10;lr>", "<sip:home.example;lr>"]);
    assert_eq!(invite.first(), "INVITE sip:600@192.0.2.9 SIP/2.0");
    // It asks for a password, but it is no server of the account.
    world.answer(0, &invite, "401 Unauthorized", CHALLENGE, "");
    world.run(SECOND);
    assert!(world.requests_for(OTHER, "INVITE").iter().all(|letter| !letter.text.contains("uthorization")));
    // The newest answer counts, and what is not meant well does not.
    for (route, hops) in [("<sip:192.0.2.10;lr>", 1), ("<sip:192.0.2.10>", 0)] {
        world.command(0, Command::Register(AccountId(0)));
        world.run(SECOND / 10);
        let register = world.latest(address(SERVER), "REGISTER");
        assert_eq!(register.all("Route").count(), 0, "REGISTER goes its own way");
        world.accept_register(&register, &format!("Service-Route: {route}\r\n"));
        let invite = world.invite(0, "600", if hops == 1 { OTHER } else { SERVER });
        assert_eq!(invite.all("Route").count(), hops, "{route}");
    }
}

#[test]
fn the_way_out_never_leaves_a_protected_transport() {
    for (route, followed) in
        [("<sip:192.0.2.10:5060;transport=tcp;lr>", false), ("<sip:192.0.2.10:5060;transport=tls;lr>", true)]
    {
        let mut world = world_of(vec![over(Transport::Tls)], 12);
        let register = world.latest(address(SERVER), "REGISTER");
        world.accept_register(&register, &format!("Service-Route: {route}\r\n"));
        let invite = world.invite(0, "600", if followed { OTHER } else { SERVER });
        assert_eq!(invite.flow.transport, Transport::Tls);
        assert_eq!(invite.all("Route").count(), usize::from(followed));
    }
}

#[test]
fn the_outbound_proxy_stays_the_first_hop() {
    let outbound_proxy = Some((Host::Ip(address(OTHER).ip()), None));
    for (route, hops) in [
        ("<sip:home.example;lr>", vec!["<sip:192.0.2.10;lr>", "<sip:home.example;lr>"]),
        ("<sip:192.0.2.10;lr>, <sip:home.example;lr>", vec!["<sip:192.0.2.10;lr>", "<sip:home.example;lr>"]),
    ] {
        let mut world =
            world_of(vec![AccountSettings { outbound_proxy: outbound_proxy.clone(), ..over(Transport::Udp) }], 13);
        let register = world.latest(address(OTHER), "REGISTER");
        assert_eq!(register.header("Route"), "<sip:192.0.2.10;lr>");
        world.accept_register(&register, &format!("Service-Route: {route}\r\n"));
        let invite = world.invite(0, "600", OTHER);
        assert_eq!(invite.all("Route").collect::<Vec<_>>(), hops);
    }
}

#[test]
fn dialogs_use_the_gruu_and_websockets_no_address() {
    let mut world = world_of(vec![over(Transport::Wss)], 14);
    let register = world.latest(address(SERVER), "REGISTER");
    let contact = register.header("Contact");
    assert!(contact.contains(".invalid;transport=ws>"), "{contact}");
    // Seen at another address: there is nothing to correct.
    let via = register.header("Via");
    let mut seen = register.clone();
    seen.text = seen.text.replace(&via, &format!("{via};received=198.51.100.7;rport=4444"));
    world.accept_register(&seen, "");
    assert!(world.requests_for(SERVER, "REGISTER").is_empty());
    let invite = world.invite(0, "600", SERVER);
    assert_eq!(invite.header("Contact"), contact.split(";+sip").next().unwrap_or_default());
    let gruu = format!("sip:a@192.0.2.9;gr={URN}");
    world.command(0, Command::Register(AccountId(0)));
    world.run(SECOND / 10);
    let mut register = world.latest(address(SERVER), "REGISTER");
    register.text = register.text.replace(&contact, &format!("{contact};pub-gruu=\"{gruu}\""));
    world.accept_register(&register, "");
    assert_eq!(world.invite(0, "601", SERVER).header("Contact"), format!("<{gruu}>"));
}

#[test]
fn a_redirection_is_followed_within_the_domain_only() {
    for (target, followed) in [
        ("sip:reg2.pbx.example", true),
        ("sip:a@pbx.example;transport=tls", true),
        ("sip:notpbx.example", false),
        ("sip:192.0.2.66", false),
        ("sip:reg2.pbx.example;transport=udp", false),
    ] {
        let accounts = vec![AccountSettings { outbound: false, ..served_twice(Transport::Tls) }];
        let names = [("pbx.example", SERVER), ("reg2.pbx.example", OTHER), ("notpbx.example", 66)];
        let names = names.map(|(name, n)| (name.to_owned(), vec![(Transport::Tls, address(n))])).into();
        let mut world = World::with_names(vec![phone(accounts)], names, 15);
        world.run(SECOND / 10);
        let register = world.latest(address(SERVER), "REGISTER");
        world.answer(0, &register, "302 Moved", &format!("Contact: <{target}>\r\n"), "");
        world.run(SECOND / 10);
        assert!(world.mail_for(address(66)).is_empty());
        if followed {
            let n = if target.contains("reg2") { OTHER } else { SERVER };
            let register = world.latest(address(n), "REGISTER");
            world.answer(0, &register, "401 Unauthorized", CHALLENGE, "");
            world.run(SECOND / 10);
            let register = world.latest(address(n), "REGISTER");
            assert!(register.header("Authorization").contains("Digest"), "{target}");
            world.accept_register(&register, "");
            assert!(world.is_registered(0));
        } else {
            assert!(world.failure(0).contains("which the account does not name"), "{}", world.failure(0));
        }
    }
}

#[test]
fn accounts_fail_and_call_each_for_itself() {
    let other =
        AccountSettings { user: "b".to_owned(), name: "other".to_owned(), ..account("b", address(OTHER), true) };
    let mut world = world_of(vec![over(Transport::Udp), other], 16);
    let (ours, theirs) = (world.latest(address(SERVER), "REGISTER"), world.latest(address(OTHER), "REGISTER"));
    world.accept_register(&ours, "");
    world.answer(0, &theirs, "403 Forbidden", "", "");
    world.run(60 * SECOND);
    assert!(world.failure(1).contains("forbids this account"));
    assert!(world.requests_for(OTHER, "REGISTER").is_empty(), "a server that forbids is left in peace");
    assert_eq!(world.account(0).flows.len(), 1);
    let invite = world.invite(1, "600", OTHER);
    assert!(invite.header("From").contains("sip:b@192.0.2.10"), "{}", invite.text);
    let invite = world.invite(0, "600", SERVER);
    assert!(invite.header("From").contains("sip:a@192.0.2.9"), "{}", invite.text);
}

#[test]
fn a_call_is_for_the_account_it_names() {
    let at = |user: &str, domain: &str| AccountSettings {
        domain: Host::Name(domain.to_owned()),
        registrar: Some((Host::Ip(address(SERVER).ip()), None)),
        ..account(user, address(SERVER), true)
    };
    // Three accounts of one server, two of them with the same user name.
    let accounts = vec![at("a", "one.example"), at("b", "one.example"), at("b", "two.example")];
    let rows = [
        ("sip:a@192.0.2.1", "<sip:a@one.example>", 0),
        ("sip:b@192.0.2.1", "<sip:b@one.example>", 1),
        ("sip:b@192.0.2.1", "<sip:b@two.example>", 2),
        ("sip:x@192.0.2.1", "<sip:b@two.example>", 2),
        ("sip:x@192.0.2.1", "<sip:group@two.example>", 2),
        ("sip:x@192.0.2.1", "<sip:nobody@elsewhere.example>", 0),
    ];
    for (row, (uri, to, expected)) in rows.into_iter().enumerate() {
        let mut world = world_of(accounts.clone(), 17);
        let server: SocketAddr = address(SERVER);
        let invite = request("INVITE", uri, server, &format!("in{row}"), &sdp(server, "sendrecv"));
        world.give(0, server, &invite.replace(&format!("To: <{uri}>"), &format!("To: {to}")));
        assert_eq!(world.call(0).account, AccountId(expected), "{uri} {to}");
    }
    // The secret Contact comes before everything.
    let mut world = world_of(accounts, 18);
    let registers = world.requests_for(SERVER, "REGISTER");
    let contact = registers[2].header("Contact");
    let uri = contact.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
    let server = address(SERVER);
    let invite = request("INVITE", &uri, server, "in", &sdp(server, "sendrecv"));
    world.give(0, server, &invite.replace(&format!("To: <{uri}>"), "To: <sip:a@one.example>"));
    assert_eq!(world.call(0).account, AccountId(2));
}

#[test]
fn another_network_is_told_at_once() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let mut world = world_of(vec![over(transport)], 19);
        let register = world.latest(address(SERVER), "REGISTER");
        world.accept_register(&register, "");
        world.phones[0].address = address(5);
        let now = world.now;
        world.phones[0].agent.handle_network_changed(now);
        world.drain();
        assert_eq!(world.account(0).state, RegistrationState::Registering);
        world.run(SECOND / 10);
        let again = world.latest(address(SERVER), "REGISTER");
        let contacts: Vec<&str> = again.all("Contact").collect();
        assert!(contacts[0].contains("192.0.2.5") && contacts[1].contains("192.0.2.1"), "{contacts:?}");
        assert!(contacts[1].ends_with("expires=0"), "{contacts:?}");
        assert_eq!(world.closed, if transport.is_reliable() { vec![register.flow] } else { vec![] });
        world.accept_register(&again, "");
        assert!(world.is_registered(0));
    }
}

#[test]
fn both_flows_are_taken_back_at_the_end() {
    let (mut world, ..) = twice(Transport::Tcp, 20);
    world.command(0, Command::Shutdown);
    world.run(SECOND / 10);
    for n in [SERVER, OTHER] {
        let goodbye = world.latest(address(n), "REGISTER");
        assert_eq!(goodbye.header("Expires"), "0");
        assert!(goodbye.header("Contact").contains("reg-id"), "{}", goodbye.text);
        assert!(!world.phones[0].events.contains(&Event::Finished));
        world.accept_register(&goodbye, "");
    }
    assert!(world.phones[0].events.contains(&Event::Finished));
}
