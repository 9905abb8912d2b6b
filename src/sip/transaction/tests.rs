//! The layer as its user and the network see it.
use super::*;
use crate::base::net::{Flow, PeerId, Received, Transmit, Transport};
use crate::base::rng::Rng;
use crate::sip::message::{Request, Response};
use crate::sip::testing::*;
use proptest::prelude::*;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

fn layer() -> (Layer, Instant) {
    (Layer::new(Config::default(), Rng::from_u64(1)), Instant::now())
}

fn from_network(method: &str, via: &str) -> String {
    format!(
        "{method} sip:bob@192.0.2.1 SIP/2.0
         Via: SIP/2.0/{via}
         Max-Forwards: 70
         From: <sip:alice@192.0.2.2>;tag=a
         To: <sip:bob@192.0.2.1>
         Call-ID: one
         CSeq: 7 {method}"
    )
}

const VIA: &str = "UDP 192.0.2.2;branch=z9hG4bKx;rport";

fn receive(layer: &mut Layer, now: Instant, lines: &str) {
    layer.handle_received(now, Received { flow: udp(1, 2), bytes: bytes(lines) });
}

fn sent(layer: &mut Layer) -> Vec<Transmit> {
    std::iter::from_fn(|| layer.poll_transmit()).collect()
}

fn labels(layer: &mut Layer) -> Vec<String> {
    sent(layer).iter().map(|t| label(&t.bytes)).collect()
}

fn events(layer: &mut Layer) -> Vec<Event> {
    std::iter::from_fn(|| layer.poll_event()).collect()
}

fn outgoing(method: &str) -> Request {
    let mut request = request(&from_network(method, VIA));
    request.headers.remove("Via");
    request
}

/// The peer's answer to what we sent.
fn answer(to: &Transmit, status: u16) -> Response {
    Response::to_request(&as_request(&to.bytes).expect("a request"), status, Some("b"))
}

fn reply(layer: &mut Layer, now: Instant, to: &Transmit, status: u16) {
    let bytes = answer(to, status).to_bytes();
    layer.handle_received(now, Received { flow: to.flow, bytes });
}

/// Lets time pass, timer by timer.
fn pass(layer: &mut Layer, now: &mut Instant, duration: Duration) {
    let end = *now + duration;
    while let Some(at) = layer.poll_timeout().filter(|at| *at <= end) {
        *now = at;
        layer.handle_timeout(at);
    }
    *now = end;
}

#[test]
fn what_matches_nothing_is_dropped_counted_or_told() {
    let ok = "SIP/2.0 200 OK
         Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKnone
         From: <sip:bob@192.0.2.1>;tag=b
         To: <sip:alice@192.0.2.2>;tag=a
         Call-ID: one";
    let (mut layer, now) = layer();
    receive(&mut layer, now, "\r\n\r\n");
    assert_eq!(layer.counters(), Counters::default());
    receive(&mut layer, now, "this is not SIP");
    assert_eq!(layer.counters().malformed, 1);
    receive(&mut layer, now, &format!("{ok}\nCSeq: 1 BYE"));
    receive(&mut layer, now, &format!("{ok}\nCSeq: 1 INVITE").replace("200", "486"));
    assert_eq!(layer.counters().stray_responses, 2);
    assert!(events(&mut layer).is_empty() && sent(&mut layer).is_empty());
    receive(&mut layer, now, &format!("{ok}\nCSeq: 1 INVITE"));
    assert!(matches!(events(&mut layer)[..], [Event::StrayResponse { .. }]));
    receive(&mut layer, now, &from_network("ACK", VIA));
    assert!(matches!(events(&mut layer)[..], [Event::Ack { .. }]));
    receive(&mut layer, now, &from_network("CANCEL", VIA));
    assert_eq!(labels(&mut layer), ["481 CANCEL"]);
    assert!(events(&mut layer).is_empty() && layer.is_idle());
}

#[test]
fn a_request_that_cannot_be_read_is_refused_unless_it_is_an_ack() {
    let (mut layer, now) = layer();
    receive(&mut layer, now, &from_network("OPTIONS", VIA).replace("Max-Forwards: 70", "Content-Length: 9"));
    let answers = sent(&mut layer);
    assert_eq!(label(&answers[0].bytes), "400 OPTIONS");
    assert_eq!(answers[0].flow, udp(1, 2));
    receive(&mut layer, now, &from_network("ACK", VIA).replace("Max-Forwards: 70", "Content-Length: 9"));
    assert!(sent(&mut layer).is_empty());
    assert_eq!(layer.counters().malformed, 2);
}

#[test]
fn responses_go_where_the_via_says_but_never_to_a_third_party() {
    let other_port = Flow { remote: "192.0.2.2:7000".parse().expect("address"), ..udp(1, 2) };
    let rows = [
        ("UDP 192.0.2.2:7000;branch=z9hG4bKx", other_port),
        ("UDP 198.51.100.9:7000;branch=z9hG4bKx", other_port),
        ("UDP 198.51.100.9:7000;branch=z9hG4bKx;maddr=198.51.100.9;received=198.51.100.9", other_port),
        ("UDP 198.51.100.9:7000;branch=z9hG4bKx;rport", udp(1, 2)),
        ("UDP pc33.example.com;branch=z9hG4bKx", udp(1, 2)),
    ];
    for (via, flow) in rows {
        let (mut layer, now) = layer();
        receive(&mut layer, now, &from_network("OPTIONS", via));
        let Some(Event::Request { key, request, .. }) = layer.poll_event() else { panic!("{via}") };
        layer.respond(now, &key, Response::to_request(&request, 200, Some("t")));
        assert_eq!(sent(&mut layer)[0].flow, flow, "{via}");
    }
}

#[test]
fn an_invite_is_told_once_and_gets_trying_after_200_ms() {
    let (mut layer, mut now) = layer();
    receive(&mut layer, now, &from_network("INVITE", VIA));
    receive(&mut layer, now, &from_network("INVITE", VIA));
    assert_eq!(events(&mut layer).len(), 1);
    assert_eq!(layer.counters().retransmissions, 1);
    pass(&mut layer, &mut now, ms(199));
    assert!(sent(&mut layer).is_empty());
    pass(&mut layer, &mut now, ms(1));
    receive(&mut layer, now, &from_network("INVITE", VIA));
    assert_eq!(labels(&mut layer), ["100 INVITE", "100 INVITE"]);
}

#[test]
fn peers_of_rfc_2543_are_matched_by_their_headers() {
    for via in ["UDP 192.0.2.2", "UDP 192.0.2.2;branch=1"] {
        let (mut layer, mut now) = layer();
        receive(&mut layer, now, &from_network("INVITE", via));
        receive(&mut layer, now, &from_network("INVITE", via));
        receive(&mut layer, now, &from_network("CANCEL", via));
        let told = events(&mut layer);
        let [Event::Request { key, request, .. }, Event::Cancelled { key: cancelled, .. }] = &told[..] else {
            panic!("{told:?}")
        };
        assert_eq!(key, cancelled);
        layer.respond(now, key, Response::to_request(request, 487, Some("t")));
        let ack = from_network("ACK", via).replace("To: <sip:bob@192.0.2.1>", "To: <sip:bob@192.0.2.1>;tag=t");
        receive(&mut layer, now, &ack);
        receive(&mut layer, now, &from_network("INVITE", via).replace("7 INVITE", "8 INVITE"));
        assert!(matches!(events(&mut layer)[..], [Event::Request { .. }]), "another CSeq is another request");
        pass(&mut layer, &mut now, ms(6000));
        assert_eq!(labels(&mut layer), ["200 CANCEL", "487 INVITE", "100 INVITE"]);
    }
}

#[test]
fn a_cancel_is_answered_each_time_and_told_once_with_the_tag_of_the_invite() {
    let (mut layer, now) = layer();
    receive(&mut layer, now, &from_network("INVITE", VIA));
    let Some(Event::Request { key, request, .. }) = layer.poll_event() else { panic!("no request") };
    layer.respond(now, &key, Response::to_request(&request, 180, Some("t")));
    receive(&mut layer, now, &from_network("CANCEL", VIA));
    receive(&mut layer, now, &from_network("CANCEL", VIA));
    assert!(matches!(events(&mut layer)[..], [Event::Cancelled { .. }]));
    let answers = sent(&mut layer);
    assert_eq!(answers.iter().map(|t| label(&t.bytes)).collect::<Vec<_>>(), ["180 INVITE", "200 CANCEL", "200 CANCEL"]);
    for transmit in &answers {
        let response = as_response(&transmit.bytes).expect("a response");
        assert_eq!(response.headers.to().expect("To").tag(), Some("t"));
    }
}

#[test]
fn a_cancel_after_the_answer_changes_nothing() {
    let (mut layer, now) = layer();
    receive(&mut layer, now, &from_network("INVITE", VIA));
    let Some(Event::Request { key, request, .. }) = layer.poll_event() else { panic!("no request") };
    layer.respond(now, &key, Response::to_request(&request, 200, Some("t")));
    receive(&mut layer, now, &from_network("CANCEL", VIA));
    assert!(events(&mut layer).is_empty());
    assert_eq!(labels(&mut layer), ["200 INVITE", "200 CANCEL"]);
}

#[test]
fn our_cancel_waits_for_the_first_provisional_response() {
    let (mut layer, mut now) = layer();
    let key = layer.send_request(now, outgoing("INVITE"), udp(1, 2));
    let invite = sent(&mut layer).remove(0);
    layer.cancel(now, &key, Some("SIP;cause=200"));
    layer.cancel(now, &key, None);
    assert!(sent(&mut layer).is_empty());
    reply(&mut layer, now, &invite, 180);
    layer.cancel(now, &key, None);
    let cancel = sent(&mut layer).remove(0);
    let (cancelled, original) = (as_request(&cancel.bytes), as_request(&invite.bytes));
    let (cancelled, original) = (cancelled.expect("CANCEL"), original.expect("INVITE"));
    assert_eq!(cancelled.headers.get("Via"), original.headers.get("Via"));
    assert_eq!(cancelled.headers.get("CSeq"), Some("7 CANCEL"));
    assert_eq!(cancelled.headers.get("Reason"), Some("SIP;cause=200"));
    assert!(sent(&mut layer).is_empty());
    reply(&mut layer, now, &cancel, 200);
    assert!(matches!(events(&mut layer)[..], [Event::Response { response: Response { status: 180, .. }, .. }]));
    // No 487 comes: after 64*T1 the INVITE counts as ended.
    pass(&mut layer, &mut now, ms(31_999));
    assert!(events(&mut layer).is_empty());
    pass(&mut layer, &mut now, ms(1));
    assert!(matches!(&events(&mut layer)[..], [Event::Timeout { key: k }] if *k == key));
    pass(&mut layer, &mut now, ms(32_000));
    assert!(layer.is_idle() && layer.poll_timeout().is_none());
}

#[test]
fn a_failure_is_acknowledged_each_time_and_told_once() {
    let (mut layer, mut now) = layer();
    layer.send_request(now, outgoing("INVITE"), udp(1, 2));
    let invite = sent(&mut layer).remove(0);
    reply(&mut layer, now, &invite, 486);
    reply(&mut layer, now, &invite, 486);
    assert_eq!(events(&mut layer).len(), 1);
    let acks = sent(&mut layer);
    assert_eq!(acks.len(), 2);
    let (ack, original) = (as_request(&acks[0].bytes).expect("ACK"), as_request(&invite.bytes).expect("INVITE"));
    assert_eq!(ack.headers.get("Via"), original.headers.get("Via"));
    assert_eq!(ack.headers.to().expect("To").tag(), Some("b"));
    assert_eq!(ack.headers.get("CSeq"), Some("7 ACK"));
    assert_eq!(acks[0], acks[1]);
    pass(&mut layer, &mut now, ms(32_000));
    assert!(layer.is_idle());
}

#[test]
fn every_2xx_comes_up_before_and_after_timer_m() {
    let (mut layer, mut now) = layer();
    layer.send_request(now, outgoing("INVITE"), udp(1, 2));
    let invite = sent(&mut layer).remove(0);
    for tag in ["b", "b", "fork"] {
        let mut ok = answer(&invite, 200);
        ok.headers.set("To", format_args!("<sip:bob@192.0.2.1>;tag={tag}"));
        layer.handle_received(now, Received { flow: invite.flow, bytes: ok.to_bytes() });
    }
    assert_eq!(events(&mut layer).iter().filter(|e| matches!(e, Event::Response { .. })).count(), 3);
    pass(&mut layer, &mut now, ms(32_000));
    reply(&mut layer, now, &invite, 200);
    assert!(matches!(events(&mut layer)[..], [Event::StrayResponse { .. }]));
    assert!(sent(&mut layer).is_empty(), "the ACK is the user's");
}

#[test]
fn requests_are_repeated_and_given_up_at_the_times_of_the_rfc() {
    let rows: [(&str, &[u64]); 2] = [
        ("INVITE", &[0, 500, 1500, 3500, 7500, 15_500, 31_500]),
        ("OPTIONS", &[0, 500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]),
    ];
    for (method, times) in rows {
        let (mut layer, start) = layer();
        let (mut now, mut seen) = (start, Vec::new());
        let key = layer.send_request(now, outgoing(method), udp(1, 2));
        seen.extend(sent(&mut layer).iter().map(|_| 0));
        while let Some(at) = layer.poll_timeout() {
            now = at;
            layer.handle_timeout(now);
            seen.extend(sent(&mut layer).iter().map(|_| (now - start).as_millis() as u64));
        }
        assert_eq!(seen, times, "{method}");
        assert_eq!(now - start, ms(32_000));
        assert!(matches!(&events(&mut layer)[..], [Event::Timeout { key: k }] if *k == key));
    }
}

#[test]
fn nothing_is_repeated_over_tcp() {
    for method in ["INVITE", "OPTIONS"] {
        let (mut layer, mut now) = layer();
        layer.send_request(now, outgoing(method), tcp(1, 2));
        pass(&mut layer, &mut now, ms(40_000));
        assert_eq!(labels(&mut layer), [method]);
    }
}

#[test]
fn a_lost_flow_fails_its_transactions_and_no_others() {
    let (mut layer, now) = layer();
    let lost = layer.send_request(now, outgoing("OPTIONS"), tcp(1, 2));
    layer.send_request(now, outgoing("OPTIONS"), tcp(1, 3));
    layer.handle_transport_error(now, &tcp(1, 2));
    layer.handle_transport_error(now, &tcp(1, 2));
    assert!(matches!(&events(&mut layer)[..], [Event::TransportError { key }] if *key == lost));
    assert!(!layer.is_idle());
}

#[test]
fn a_response_whose_connection_is_gone_takes_a_new_one_to_the_same_host() {
    let port = |port| Flow { remote: SocketAddr::new(tcp(1, 2).remote.ip(), port), ..tcp(1, 2) };
    let wss = Flow { transport: Transport::Wss, peer: PeerId(3), ..tcp(1, 2) };
    let rows = [
        // (where the request came from, its Via, where the response goes then)
        (port(40_000), "TCP 192.0.2.2:5070;branch=z9hG4bKx;rport", port(5070)),
        (port(40_000), "TCP 192.0.2.2;branch=z9hG4bKx", port(5060)),
        (port(40_000), "TCP 192.0.2.77:5070;branch=z9hG4bKx", port(5070)),
        (port(40_000), "TCP 192.0.2.2;branch=z9hG4bKx;maddr=192.0.2.77", port(5060)),
        (port(5060), "TCP 192.0.2.2;branch=z9hG4bKx;alias", port(5060)),
        (wss, "WSS x.invalid;branch=z9hG4bKx", wss),
    ];
    for (flow, via, then) in rows {
        let (mut layer, mut now) = layer();
        layer.handle_received(now, Received { flow, bytes: bytes(&from_network("INVITE", via)) });
        let Some(Event::Request { key, request, .. }) = layer.poll_event() else { panic!("a request") };
        layer.respond(now, &key, Response::to_request(&request, 180, Some("t")));
        assert!(sent(&mut layer).iter().all(|t| t.flow == flow));
        layer.handle_transport_error(now, &flow);
        assert!(sent(&mut layer).is_empty() && events(&mut layer).is_empty(), "nothing is to be said yet: {via}");
        layer.respond(now, &key, Response::to_request(&request, 486, Some("t")));
        let after = sent(&mut layer);
        assert_eq!((after.len(), after[0].flow), (1, then), "{via}");
        // There is no third way.
        layer.handle_transport_error(now, &then);
        assert!(matches!(&events(&mut layer)[..], [Event::ServerFailed { key: failed }] if *failed == key));
        assert!(sent(&mut layer).is_empty());
        pass(&mut layer, &mut now, Duration::from_secs(33));
        assert!(layer.is_idle() && layer.holds_nothing());
    }

    // A refusal that may have been lost with the connection is told again; a request that is over is not answered.
    let (mut layer, now) = layer();
    let (flow, via) = (port(40_000), "TCP 192.0.2.2;branch=z9hG4bKx");
    layer.handle_received(now, Received { flow, bytes: bytes(&from_network("INVITE", via)) });
    let Some(Event::Request { key, request, .. }) = layer.poll_event() else { panic!("a request") };
    layer.respond(now, &key, Response::to_request(&request, 486, Some("t")));
    assert_eq!(labels(&mut layer), ["486 INVITE"]);
    layer.handle_transport_error(now, &flow);
    assert!(
        matches!(&sent(&mut layer)[..], [again] if again.flow == port(5060) && label(&again.bytes) == "486 INVITE")
    );
    layer.handle_transport_error(now, &flow);
    assert!(sent(&mut layer).is_empty() && events(&mut layer).is_empty(), "the old connection is nobody's");
}

#[test]
fn too_many_transactions_are_refused() {
    let config = Config { max_clients: 1, max_servers: 1, ..Config::default() };
    let (mut layer, now) = (Layer::new(config, Rng::from_u64(1)), Instant::now());
    receive(&mut layer, now, &from_network("OPTIONS", VIA));
    receive(&mut layer, now, &from_network("OPTIONS", "UDP 192.0.2.2;branch=z9hG4bKy;rport"));
    receive(&mut layer, now, &from_network("ACK", "UDP 192.0.2.2;branch=z9hG4bKz;rport"));
    assert_eq!(labels(&mut layer), ["503 OPTIONS"]);
    layer.send_request(now, outgoing("OPTIONS"), udp(1, 2));
    let refused = layer.send_request(now, outgoing("OPTIONS"), udp(1, 2));
    assert!(matches!(events(&mut layer).last(), Some(Event::TransportError { key }) if *key == refused));
    assert_eq!(layer.counters().refused, 2);
}

#[test]
fn a_copy_that_took_another_way_is_marked() {
    let (mut layer, now) = layer();
    let merged: Vec<bool> = ["z9hG4bKx", "z9hG4bKy"]
        .into_iter()
        .filter_map(|branch| {
            receive(&mut layer, now, &from_network("INVITE", &format!("UDP 192.0.2.2;branch={branch}")));
            match layer.poll_event() {
                Some(Event::Request { merged, .. }) => Some(merged),
                _ => None,
            }
        })
        .collect();
    assert_eq!(merged, [false, true]);
}

#[test]
fn a_proxys_vias_stay_below_ours() {
    let (mut layer, now) = layer();
    layer.send_request(now, request(&from_network("INVITE", VIA)), udp(1, 3));
    let sent = as_request(&sent(&mut layer)[0].bytes).expect("a request");
    let vias: Vec<&str> = sent.headers.all("Via").collect();
    assert_eq!(vias.len(), 2);
    assert!(vias[0].starts_with("SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK"), "{vias:?}");
    assert!(vias[1].contains("z9hG4bKx"));
}

#[test]
fn the_via_says_how_we_are_reached() {
    let rows = [
        (Transport::Udp, "SIP/2.0/UDP 192.0.2.1:5060;branch=", false),
        (Transport::Tcp, "SIP/2.0/TCP 192.0.2.1:5060;branch=", false),
        (Transport::Tls, "SIP/2.0/TLS 192.0.2.1:5060;branch=", true),
        (Transport::Ws, "SIP/2.0/WS ", false),
        (Transport::Wss, "SIP/2.0/WSS ", false),
    ];
    for (transport, start, alias) in rows {
        let (mut layer, now) = layer();
        layer.send_request(now, outgoing("OPTIONS"), Flow { transport, ..tcp(1, 2) });
        let sent = as_request(&sent(&mut layer)[0].bytes).expect("a request");
        let via = sent.headers.get("Via").expect("ours").to_owned();
        assert!(via.starts_with(start), "{via}");
        assert_eq!(via.ends_with(";alias"), alias, "{via}");
        assert_eq!(via.contains(".invalid;"), transport.is_websocket(), "{via}");
    }
}

#[test]
fn the_same_ack_has_the_same_branch_and_another_has_not() {
    let (mut layer, _) = layer();
    let mut other = outgoing("ACK");
    other.headers.set("To", "<sip:bob@192.0.2.1>;tag=fork");
    layer.send_stateless(outgoing("ACK"), udp(1, 2));
    layer.send_stateless(outgoing("ACK"), udp(1, 2));
    layer.send_stateless(other, udp(1, 2));
    let sent = sent(&mut layer);
    assert_eq!(sent[0], sent[1]);
    let branch = |t: &Transmit| as_request(&t.bytes).and_then(|r| r.headers.get("Via").map(str::to_owned));
    assert_ne!(branch(&sent[0]), branch(&sent[2]));
    let mut other = Layer::new(Config::default(), Rng::from_u64(2));
    other.send_stateless(outgoing("ACK"), udp(1, 2));
    assert_ne!(other.poll_transmit().as_ref().map(branch), sent.first().map(branch), "nobody else can tell it");
}

#[test]
fn a_request_nobody_answers_does_not_stay_for_ever() {
    let (mut layer, mut now) = layer();
    receive(&mut layer, now, &from_network("OPTIONS", VIA));
    pass(&mut layer, &mut now, ms(32_000));
    assert!(layer.is_idle());
}

/// Large requests are refused long before there are too many of them, and let in again when the others are over.
#[test]
fn what_transactions_hold_is_bounded() {
    let config = Config { max_held: 1_000_000, ..Config::default() };
    let (mut layer, mut now) = (Layer::new(config, Rng::from_u64(1)), Instant::now());
    let flood = |layer: &mut Layer, now, from: u32| {
        for n in from..from + 1_000 {
            let vias = format!("UDP 192.0.2.2;branch=z9hG4bK{n};x={}", "y".repeat(4_000));
            receive(layer, now, &from_network("OPTIONS", &vias));
        }
        let mut taken = 0;
        for event in events(layer) {
            if let Event::Request { key, request, .. } = event {
                layer.respond(now, &key, Response::to_request(&request, 200, Some("t")));
                taken += 1;
            }
        }
        (taken, sent(layer).len())
    };
    let (taken, answers) = flood(&mut layer, now, 0);
    assert!((200..260).contains(&taken) && answers == 1_000, "{taken} taken, {answers} answered");
    assert!(layer.held <= 2_100_000, "{} bytes held", layer.held);
    assert_eq!((flood(&mut layer, now, 1_000), layer.counters().refused), ((0, 1_000), 2_000 - taken));
    pass(&mut layer, &mut now, ms(33_000));
    assert!(layer.is_idle() && layer.holds_nothing());
    assert_eq!(flood(&mut layer, now, 2_000), (taken, 1_000));
}

/// The work per message does not grow with the number of live transactions beyond the depth of a tree: this would take
/// minutes otherwise.
#[test]
fn ten_thousand_transactions_live_side_by_side() {
    let (mut layer, mut now) = layer();
    for _ in 0..10_000 {
        layer.send_request(now, outgoing("OPTIONS"), udp(1, 2));
    }
    let requests = sent(&mut layer);
    for (n, _) in requests.iter().enumerate() {
        receive(&mut layer, now, &from_network("OPTIONS", &format!("UDP 192.0.2.2;branch=z9hG4bK{n}")));
    }
    for transmit in &requests {
        reply(&mut layer, now, transmit, 200);
    }
    let (mut responses, mut others) = (0, 0);
    for event in events(&mut layer) {
        match event {
            Event::Response { .. } => responses += 1,
            Event::Request { .. } => others += 1,
            _ => {}
        }
    }
    assert_eq!((responses, others), (10_000, 10_000));
    pass(&mut layer, &mut now, ms(32_000));
    assert!(layer.is_idle() && layer.poll_timeout().is_none());
}

#[derive(Clone, Debug)]
enum Step {
    Request { method: usize, branch: u8, flow: u8 },
    Response { which: usize, status: u16 },
    Respond { which: usize, status: u16 },
    Send { invite: bool, flow: u8 },
    Cancel { which: usize },
    TransportError { flow: u8 },
    Bytes(Vec<u8>),
    Wait(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    let status = || prop_oneof![Just(0_u16), Just(100), Just(180), Just(200), Just(487), Just(600), Just(900)];
    prop_oneof![
        4 => (0_usize..5, 0_u8..4, 2_u8..4).prop_map(|(method, branch, flow)| Step::Request { method, branch, flow }),
        4 => (0_usize..6, status()).prop_map(|(which, status)| Step::Response { which, status }),
        4 => (0_usize..6, status()).prop_map(|(which, status)| Step::Respond { which, status }),
        2 => (any::<bool>(), 2_u8..4).prop_map(|(invite, flow)| Step::Send { invite, flow }),
        1 => (0_usize..6).prop_map(|which| Step::Cancel { which }),
        1 => (2_u8..4).prop_map(|flow| Step::TransportError { flow }),
        1 => prop::collection::vec(any::<u8>(), 0..64).prop_map(Step::Bytes),
        2 => prop_oneof![0_u64..1_000, 1_000_u64..70_000].prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens: no panic, and nothing is left once every INVITE has its final response and time has passed.
    #[test]
    fn any_sequence_leaves_nothing_behind(steps in prop::collection::vec(any_step(), 0..60)) {
        let flow = |host: u8| if host == 2 { udp(1, 2) } else { tcp(1, 3) };
        let (mut layer, mut now) = layer();
        let (mut asked, mut sent_by_us, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Request { method, branch, flow: host } => {
                    let method = ["INVITE", "ACK", "CANCEL", "OPTIONS", "BREW"][method];
                    let lines = from_network(method, &format!("UDP 192.0.2.2;branch=z9hG4bK{branch}"));
                    layer.handle_received(now, Received { flow: flow(host), bytes: bytes(&lines) });
                }
                Step::Response { which, status } => {
                    if let Some(transmit) = sent_by_us.get(which) {
                        reply(&mut layer, now, transmit, status);
                    }
                }
                Step::Respond { which, status } => {
                    if let Some((key, request)) = asked.get(which) {
                        layer.respond(now, key, Response::to_request(request, status, Some("t")));
                    }
                }
                Step::Send { invite, flow: host } => {
                    let request = outgoing(if invite { "INVITE" } else { "OPTIONS" });
                    keys.push(layer.send_request(now, request, flow(host)));
                }
                Step::Cancel { which } => {
                    if let Some(key) = keys.get(which) {
                        layer.cancel(now, key, None);
                    }
                }
                Step::TransportError { flow: host } => layer.handle_transport_error(now, &flow(host)),
                Step::Bytes(bytes) => {
                    layer.handle_received(now, Received { flow: udp(1, 2), bytes: bytes.into() });
                }
                Step::Wait(wait) => pass(&mut layer, &mut now, ms(wait)),
            }
            for event in events(&mut layer) {
                if let Event::Request { key, request, .. } = event {
                    asked.push((key, request));
                }
            }
            sent_by_us.extend(sent(&mut layer).into_iter().filter(|t| as_request(&t.bytes).is_some()));
        }
        for (key, request) in &asked {
            layer.respond(now, key, Response::to_request(request, 500, Some("t")));
        }
        // An INVITE that rings may ring for ever: its user cancels it.
        keys.iter().for_each(|key| layer.cancel(now, key, None));
        pass(&mut layer, &mut now, ms(200_000));
        prop_assert!(layer.is_idle(), "{layer:?}");
        prop_assert!(layer.holds_nothing(), "{layer:?}");
    }
}
