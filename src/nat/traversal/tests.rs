//! One stream and its servers, in virtual time.
use super::query::KEEP_ALIVE;
use super::*;
use crate::base::secret::Secret;
use crate::nat::candidate::{Credentials, RTCP, Server};
use crate::nat::candidate::{ServerTransport, TurnServer};
use crate::nat::stun::{Builder, TransactionId, attribute};

fn at(text: &str) -> SocketAddr {
    text.parse().expect("address")
}

fn server(host: &str) -> Server {
    Server { host: host.to_owned(), port: 3478, by_records: true }
}

fn credentials(name: &str) -> Credentials {
    Credentials { ufrag: name.to_owned(), password: Secret::new(format!("password of {name}")) }
}

fn sockets() -> Vec<Socket> {
    let socket = |component, local: &str| Socket { component, local: at(local) };
    vec![socket(RTP, "10.0.0.1:4000"), socket(RTCP, "10.0.0.1:4001"), socket(RTP, "[2001:db8::1]:4002")]
}

fn gathered(traversal: &mut Traversal) -> Option<Vec<Candidate>> {
    std::iter::from_fn(|| traversal.poll_event()).find_map(|event| match event {
        Event::Gathered { candidates, .. } => Some(candidates),
        Event::Found { .. } | Event::Path(_) | Event::Doubt(_) | Event::Trouble(_) => None,
    })
}

fn kinds(candidates: &[Candidate]) -> Vec<(Kind, u8, String)> {
    candidates.iter().map(|c| (c.kind, c.component, c.address.to_string())).collect()
}

#[test]
fn a_dead_server_is_waited_for_half_a_second_and_no_longer() {
    let start = Instant::now();
    for host in ["192.0.2.9", "stun.example"] {
        let gather = Gather { credentials: Some(credentials("a")), stun: Some(server(host)), ..Gather::default() };
        let mut traversal = Traversal::new(start, gather, sockets(), Rng::from_u64(1));
        let mut now = start;
        let found = loop {
            if let Some(found) = gathered(&mut traversal) {
                break found;
            }
            now = now.max(traversal.poll_timeout().expect("it waits for something"));
            traversal.handle_timeout(now);
        };
        assert_eq!(now - start, GATHERING, "{host}");
        assert_eq!(found.len(), 3);
        assert!(found.iter().all(|c| c.kind == Kind::Host));
    }
    // Without servers there is nothing to wait for.
    let gather = Gather { credentials: Some(credentials("a")), ..Gather::default() };
    let mut traversal = Traversal::new(start, gather, sockets(), Rng::from_u64(1));
    assert_eq!(gathered(&mut traversal).map(|found| found.len()), Some(3));
}

#[test]
fn who_takes_candidates_later_is_told_at_once_and_again_until_all_have_answered() {
    let start = Instant::now();
    let gather = Gather {
        credentials: Some(credentials("a")),
        stun: Some(server("192.0.2.9")),
        turn: Some(turn(ServerTransport::Udp)),
        trickle: true,
        round: 7,
        ..Gather::default()
    };
    let mut traversal = Traversal::new(start, gather, sockets(), Rng::from_u64(1));
    let mut events: Vec<Event> = std::iter::from_fn(|| traversal.poll_event()).collect();
    assert!(matches!(&events[..], [Event::Gathered { candidates, complete: false }] if candidates.len() == 3));
    let question = std::iter::from_fn(|| traversal.poll_transmit()).find(|out| {
        out.socket == 0 && Message::parse(&out.bytes).is_ok_and(|message| message.method == Method::Binding)
    });
    let id = Message::parse(&question.expect("asked").bytes).expect("STUN").id;
    let answer = Builder::new(Class::Success, Method::Binding, id)
        .xor_address(attribute::XOR_MAPPED_ADDRESS, at("203.0.113.5:1000"))
        .finish();
    traversal.handle_datagram(start, 0, at("192.0.2.9:3478"), &answer);
    events = std::iter::from_fn(|| traversal.poll_event()).collect();
    assert!(
        matches!(&events[..], [Event::Found { round: 7, candidates, complete: false }] if candidates.len() == 4),
        "{events:?}"
    );
    // The servers say nothing more: in the end that is all.
    let (mut now, mut found) = (start, Vec::new());
    while now < start + Duration::from_secs(60) {
        now = now.max(traversal.poll_timeout().expect("it waits"));
        traversal.handle_timeout(now);
        found.extend(std::iter::from_fn(|| traversal.poll_event()).filter(|e| matches!(e, Event::Found { .. })));
    }
    assert!(
        matches!(&found[..], [Event::Found { candidates, complete: true, .. }] if candidates.len() == 4),
        "{found:?}"
    );
}

#[test]
fn reflexive_addresses_are_believed_from_the_server_only() {
    let start = Instant::now();
    let gather = Gather { credentials: Some(credentials("a")), stun: Some(server("192.0.2.9")), ..Gather::default() };
    let mut traversal = Traversal::new(start, gather, sockets(), Rng::from_u64(1));
    let asked: Vec<Outgoing> = std::iter::from_fn(|| traversal.poll_transmit()).collect();
    assert_eq!(asked.iter().map(|out| out.socket).collect::<Vec<_>>(), [0, 1], "IPv6 does not reach it");
    let answer = |id, mapped: &str| {
        Builder::new(Class::Success, Method::Binding, id)
            .xor_address(attribute::XOR_MAPPED_ADDRESS, at(mapped))
            .finish()
    };
    let ids: Vec<TransactionId> = asked.iter().map(|out| Message::parse(&out.bytes).expect("STUN").id).collect();
    let mut hear = |socket, source: &str, id, mapped: &str| {
        traversal.handle_datagram(start, socket, at(source), &answer(id, mapped));
    };
    hear(0, "192.0.2.9:3478", ids[0], "203.0.113.5:1000");
    hear(0, "192.0.2.66:3478", ids[0], "6.6.6.6:6");
    hear(1, "192.0.2.9:3478", ids[0], "6.6.6.6:6");
    hear(0, "192.0.2.9:3478", TransactionId([0; 12]), "6.6.6.6:6");
    hear(1, "192.0.2.9:3478", ids[1], "203.0.113.5:1001");
    let found = gathered(&mut traversal).expect("all have answered");
    let row = |kind, component, address: &str| (kind, component, address.to_owned());
    assert_eq!(
        kinds(&found),
        [
            row(Kind::Host, 1, "10.0.0.1:4000"),
            row(Kind::Host, 2, "10.0.0.1:4001"),
            row(Kind::Host, 1, "[2001:db8::1]:4002"),
            row(Kind::ServerReflexive, 1, "203.0.113.5:1000"),
            row(Kind::ServerReflexive, 2, "203.0.113.5:1001"),
        ]
    );
    assert_eq!(found[0].foundation, found[1].foundation);
    assert_ne!(found[0].foundation, found[2].foundation);
    assert_ne!(found[0].foundation, found[3].foundation);
    assert_eq!(found[3].related, Some(at("10.0.0.1:4000")));
    // The mapping is kept alive.
    let next = traversal.poll_timeout().expect("to be kept");
    assert_eq!(next - start, KEEP_ALIVE);
    traversal.handle_timeout(next);
    assert_eq!(std::iter::from_fn(|| traversal.poll_transmit()).count(), 2);
}

#[test]
fn without_ice_everything_that_is_not_stun_is_media() {
    let start = Instant::now();
    let gather = Gather { stun: Some(server("192.0.2.9")), ..Gather::default() };
    let mut traversal = Traversal::new(start, gather, sockets(), Rng::from_u64(1));
    assert!(!traversal.has_ice());
    assert_eq!(traversal.handle_datagram(start, 0, at("1.2.3.4:5"), &[0x80, 0]), Verdict::Media);
    let gather = Gather { credentials: Some(credentials("a")), ..Gather::default() };
    let mut traversal = Traversal::new(start, gather, sockets(), Rng::from_u64(1));
    assert_eq!(traversal.handle_datagram(start, 0, at("1.2.3.4:5"), &[0x80, 0]), Verdict::Foreign);
}

fn turn(transport: ServerTransport) -> TurnServer {
    TurnServer {
        server: server("192.0.2.9"),
        transport,
        any_transport: false,
        user: "u".into(),
        password: Secret::new("p"),
        authorities: None,
    }
}

#[test]
fn who_wants_only_relays_shows_no_other_address() {
    let start = Instant::now();
    let gather = Gather {
        credentials: Some(credentials("a")),
        stun: Some(server("192.0.2.9")),
        turn: Some(turn(ServerTransport::Udp)),
        relay_only: true,
        ..Gather::default()
    };
    let mut traversal = Traversal::new(start, gather, sockets(), Rng::from_u64(1));
    let allocate = traversal.poll_transmit().expect("Allocate");
    let request = Message::parse(&allocate.bytes).expect("STUN");
    assert_eq!((request.method, allocate.destination), (Method::Allocate, at("192.0.2.9:3478")));
    assert_eq!(std::iter::from_fn(|| traversal.poll_transmit()).count(), 1, "and for RTCP; no STUN");
    let granted = Builder::new(Class::Success, Method::Allocate, request.id)
        .xor_address(attribute::XOR_RELAYED_ADDRESS, at("192.0.2.9:50000"))
        .xor_address(attribute::XOR_MAPPED_ADDRESS, at("203.0.113.5:1000"))
        .attribute(attribute::LIFETIME, &600_u32.to_be_bytes())
        .finish();
    traversal.handle_datagram(start, 0, at("192.0.2.9:3478"), &granted);
    traversal.handle_timeout(start + GATHERING_RELAYED);
    let found = gathered(&mut traversal).expect("in time");
    assert_eq!(kinds(&found), [(Kind::Relayed, 1, "192.0.2.9:50000".to_owned())]);
    assert_eq!(found[0].related, Some(at("0.0.0.0:0")));
    // Checks that come to the sockets themselves are not answered.
    let check = Builder::new(Class::Request, Method::Binding, TransactionId([7; 12]))
        .attribute(attribute::USERNAME, b"a:b")
        .attribute(attribute::PRIORITY, &[1; 4])
        .integrity(b"password of a")
        .fingerprint()
        .finish();
    while traversal.poll_transmit().is_some() {}
    traversal.handle_datagram(start, 0, at("203.0.113.99:9"), &check);
    assert_eq!(traversal.poll_transmit(), None);
    // What comes over the relay is the peer's when a check has proven it, and not before.
    let (own, peer, rtp) = (at("192.0.2.9:3478"), at("198.51.100.7:5"), [0x80, 0, 0, 1]);
    let host = Candidate {
        foundation: "1".into(),
        component: RTP,
        priority: 1,
        address: peer,
        kind: Kind::Host,
        related: None,
    };
    let spec = IceSpec {
        local: credentials("a"),
        remote: credentials("b"),
        candidates: vec![host],
        controlling: false,
        remote_is_lite: false,
        pace: crate::nat::candidate::PACE,
    };
    traversal.configure(start, &spec, true);
    while let Some(out) = traversal.poll_transmit() {
        let request = Message::parse(&out.bytes).expect("STUN");
        if request.method == Method::CreatePermission {
            let granted = Builder::new(Class::Success, Method::CreatePermission, request.id).finish();
            traversal.handle_datagram(start, 0, own, &granted);
        }
    }
    let mut tell = |data: &[u8]| {
        let told = Builder::new(Class::Indication, Method::Data, TransactionId([8; 12]))
            .xor_address(attribute::XOR_PEER_ADDRESS, peer)
            .attribute(attribute::DATA, data)
            .finish();
        traversal.handle_datagram(start, 0, own, &told);
        traversal.poll_data()
    };
    assert_eq!(tell(&rtp), None);
    assert_eq!(tell(&check), None);
    assert_eq!(tell(&rtp), Some((RTP, peer, rtp.to_vec())));
}

/// What the records of its domain say of it: the best transport counts, and each family of addresses gives its own.
#[test]
fn a_turn_server_is_asked_for_both_families_over_one_transport() {
    let start = Instant::now();
    let server = TurnServer { any_transport: true, ..turn(ServerTransport::Udp) };
    let named = Server { host: "turn.example".to_owned(), ..server.server.clone() };
    let gather = Gather {
        credentials: Some(credentials("a")),
        turn: Some(TurnServer { server: named.clone(), ..server }),
        ..Gather::default()
    };
    let (tcp, udp) = (ServerTransport::Tcp, ServerTransport::Udp);
    let mut traversal = Traversal::new(start, gather.clone(), sockets(), Rng::from_u64(1));
    let asks = Order::Resolve { helper: Helper::Turn, server: named, transport: None };
    assert_eq!(traversal.poll_order(), Some(asks));
    let (four, six) = (at("192.0.2.9:3478"), at("[2001:db8::9]:3478"));
    let addresses = vec![(tcp, six), (tcp, four), (udp, at("192.0.2.10:3478"))];
    traversal.handle_done(start, Done::Resolved { helper: Helper::Turn, addresses });
    let connected = std::iter::from_fn(|| traversal.poll_order()).filter_map(|order| match order {
        Order::Connect { address, .. } => Some(address),
        _ => None,
    });
    assert_eq!(connected.collect::<Vec<_>>(), [four, six, four], "RTP over both, RTCP where it has a socket");
    let mut traversal = Traversal::new(start, gather, sockets(), Rng::from_u64(1));
    let addresses = vec![(udp, four), (udp, six)];
    traversal.handle_done(start, Done::Resolved { helper: Helper::Turn, addresses });
    let families: Vec<(bool, bool)> = std::iter::from_fn(|| traversal.poll_transmit())
        .map(|out| {
            let asks = Message::parse(&out.bytes).expect("STUN").has(attribute::REQUESTED_ADDRESS_FAMILY);
            (out.destination.is_ipv6(), asks)
        })
        .collect();
    assert_eq!(families, [(false, false), (true, true), (false, false)]);
}

#[test]
fn a_turn_server_over_tls_that_is_lost_is_told_of() {
    let start = Instant::now();
    let gather =
        Gather { credentials: Some(credentials("a")), turn: Some(turn(ServerTransport::Tls)), ..Gather::default() };
    let mut traversal = Traversal::new(start, gather, sockets(), Rng::from_u64(1));
    let connect = traversal.poll_order().expect("an order");
    let tls = Some(("192.0.2.9".to_owned(), None));
    assert_eq!(connect, Order::Connect { connection: 0, address: at("192.0.2.9:3478"), tls });
    assert!(matches!(traversal.poll_order(), Some(Order::Connect { connection: 1, .. })));
    traversal.handle_done(start, Done::Connected { connection: 0 });
    assert!(matches!(traversal.poll_order(), Some(Order::Send { connection: 0, .. })));
    for connection in [0, 1] {
        traversal.handle_done(start, Done::Closed { connection, why: "no connection".into() });
    }
    let events: Vec<Event> = std::iter::from_fn(|| traversal.poll_event()).collect();
    assert!(matches!(&events[0], Event::Trouble(words) if words == "192.0.2.9: no connection"), "{events:?}");
    assert!(matches!(events.last(), Some(Event::Gathered { .. })), "not waited for any longer");
    traversal.handle_done(start, Done::Closed { connection: 9, why: String::new() });
    traversal.handle_done(start, Done::Received { connection: 9, bytes: vec![1] });
}

/// Where the server sees us, told to each question that was asked since.
fn answer_all(traversal: &mut Traversal, now: Instant, mapped: &str) -> usize {
    let asked: Vec<Outgoing> = std::iter::from_fn(|| traversal.poll_transmit()).collect();
    for out in &asked {
        let id = Message::parse(&out.bytes).expect("STUN").id;
        let answer = Builder::new(Class::Success, Method::Binding, id)
            .xor_address(attribute::XOR_MAPPED_ADDRESS, at(mapped))
            .finish();
        traversal.handle_datagram(now, out.socket, out.destination, &answer);
    }
    asked.len()
}

#[test]
fn another_mapped_address_is_a_move_when_it_matters() {
    let first = "203.0.113.5:1000";
    // Suspected, with ICE, and what the server says then; what is told.
    for (suspected, mapped, moved) in [
        (true, first, false),
        (true, "203.0.113.5:1001", true),
        (true, "203.0.113.6:1000", true),
        (false, "203.0.113.5:1001", false),
        (false, "203.0.113.6:1000", true),
    ] {
        let start = Instant::now();
        let gather = Gather { stun: Some(server("192.0.2.9")), ..Gather::default() };
        let mut traversal = Traversal::new(start, gather, sockets(), Rng::from_u64(1));
        assert_eq!(answer_all(&mut traversal, start, first), 2, "of each socket that reaches it");
        assert!(traversal.forget_ice(start));
        while traversal.poll_event().is_some() {}
        let mut now = start + Duration::from_secs(1);
        if suspected {
            traversal.suspect(now);
            assert_eq!(answer_all(&mut traversal, now, mapped), 1, "where sound goes");
        } else {
            now = start + Duration::from_secs(16);
            traversal.handle_timeout(now);
            answer_all(&mut traversal, now, mapped);
        }
        let events: Vec<Event> = std::iter::from_fn(|| traversal.poll_event()).collect();
        let expected = if moved { vec![Event::Doubt(Doubt::Moved)] } else { vec![] };
        assert_eq!(events, expected, "{suspected} {mapped}");
        // Said once.
        now += Duration::from_secs(1);
        traversal.suspect(now);
        answer_all(&mut traversal, now, mapped);
        assert_eq!(traversal.poll_event().is_some(), !suspected && !moved && mapped != first, "{suspected} {mapped}");
    }
}
