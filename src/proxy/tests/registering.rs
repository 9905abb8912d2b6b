//! Registrations, who may do what, and how much.
use super::*;

#[test]
fn registrations_are_checked() {
    let mut w = World::open();
    let dialog = |cseq| Dialog {
        from: "<sip:bob@d.test>;tag=r".into(),
        to: "<sip:bob@d.test>".into(),
        call_id: "r".into(),
        cseq,
    };
    let contact = "Contact: <sip:bob@127.0.0.1:5072>;expires=60\r\n";
    assert_eq!(lines(&w.request(BOB, "REGISTER", "sip:d.test", &dialog(5), contact)), [format!("200 {BOB}")]);
    let rows = [
        (6, "Contact: <sip:bob@127.0.0.1:5072>;expires=29\r\n", 423),
        (6, "Contact: *\r\n", 400),
        (6, "Contact: *\r\nContact: <sip:bob@127.0.0.1>\r\nExpires: 0\r\n", 400),
        (6, "Contact: sip:bob@127.0.0.1?Route=x\r\n", 400),
        (6, "Contact: <tel:+12>\r\n", 400),
        (6, "Contact: <sip:bob@d.test>\r\n", 403),
        (6, "Contact: <sip:bob@127.0.0.1:5060>\r\n", 403),
        (6, "Require: gruu\r\nContact: <sip:bob@127.0.0.1:5072>\r\n", 420),
        (5, contact, 400),
    ];
    for (cseq, lines_, status) in rows {
        let sent = w.request(BOB, "REGISTER", "sip:d.test", &dialog(cseq), lines_);
        assert_eq!(lines(&sent), [format!("{status} {BOB}")], "{lines_}");
        assert_eq!(sent[0].response().headers.get("Min-Expires"), (status == 423).then_some("30"));
    }
    assert_eq!(w.proxy.snapshot(w.now).bindings.len(), 1, "none of these changed anything");
    let foreign = Dialog { to: "<sip:bob@elsewhere.test>".into(), ..dialog(6) };
    assert_eq!(lines(&w.request(BOB, "REGISTER", "sip:d.test", &foreign, contact)), [format!("404 {BOB}")]);

    let more = "Expires: 100000\r\nContact: \"B\" <sip:bob@127.0.0.1:5073>;q=0.5;+sip.instance=\"<urn:uuid:1>\"\r\nUser-Agent: x\r\nPath: <sip:p;lr>\r\n";
    let both = w.request(BOB2, "REGISTER", "sip:d.test", &dialog(7), more);
    assert_eq!(
        both[0].response().headers.all("Contact").collect::<Vec<_>>(),
        [
            "<sip:bob@127.0.0.1:5072>;expires=60",
            "<sip:bob@127.0.0.1:5073>;q=0.5;+sip.instance=\"<urn:uuid:1>\";expires=7200"
        ]
    );
    assert_eq!(both[0].response().headers.get("Path"), Some("<sip:p;lr>"));
    let query = w.request(BOB2, "REGISTER", "sip:d.test", &dialog(8), "");
    assert_eq!(query[0].response().headers.all("Contact").count(), 2);
    let invite = w.request(ALICE, "INVITE", "sip:bob@d.test", &alice_calls("bob"), INVITE);
    let second = w.respond(&invite[0], 486, "b", &[]);
    assert_eq!(second[1].line(), format!("INVITE {BOB2}"), "where the registration with the path came from");
    assert_eq!(second[1].request().headers.get("Route"), Some("<sip:p;lr>"));
    let gone = w.request(BOB2, "REGISTER", "sip:d.test", &dialog(9), "Contact: *\r\nExpires: 0\r\n");
    assert_eq!((gone[0].line(), gone[0].response().headers.get("Contact")), (format!("200 {BOB2}"), None));
}

#[test]
fn users_prove_who_they_are() {
    let mut w = World::with_users();
    let credentials = |user: &str, password: &str| {
        Client::new(
            Credentials {
                user: user.into(),
                password: Password::Plain(Secret::new(password)),
                realm: Some("d.test".into()),
            },
            Rng::from_u64(4),
        )
    };
    /// The request again, with the answer to its challenge.
    fn answer(w: &mut World, client: &mut Client, from: &str, text: &str, challenge: &Sent) -> Vec<Sent> {
        let Message::Request(mut request) = parse(&Bytes::from(text.to_owned())).unwrap() else { panic!("request") };
        for (name, value) in client.answer(&request, challenge.response()).unwrap() {
            request.headers.push(&name, value);
        }
        let again = request.headers.get("Via").unwrap().replace("z9hG4bKt", &format!("z9hG4bKu{}", w.branch));
        w.branch += 1;
        request.headers.set("Via", again);
        w.receive(from, request.to_bytes())
    }
    let register = |w: &mut World, user: &str| {
        let dialog = Dialog {
            from: format!("<sip:{user}@d.test>;tag=r"),
            to: format!("<sip:{user}@d.test>"),
            call_id: user.into(),
            cseq: 1,
        };
        w.text(BOB, "REGISTER", "sip:d.test", &dialog, "Contact: <sip:bob@127.0.0.1:5072>\r\n")
    };
    let text = register(&mut w, "bob");
    let challenge = w.receive(BOB, text.clone());
    assert_eq!(lines(&challenge), [format!("401 {BOB}")]);
    assert_eq!(challenge[0].response().headers.all("WWW-Authenticate").count(), 2, "SHA-256 and MD5");
    let wrong = answer(&mut w, &mut credentials("bob", "x"), BOB, &text, &challenge[0]);
    assert_eq!(lines(&wrong), [format!("401 {BOB}")]);
    let other = answer(&mut w, &mut credentials("alice", "pwalice"), BOB, &text, &challenge[0]);
    assert_eq!(lines(&other), [format!("403 {BOB}")], "nobody registers for another");
    let right = answer(&mut w, &mut credentials("bob", "pwbob"), BOB, &text, &wrong[0]);
    assert_eq!(lines(&right), [format!("200 {BOB}")]);

    let text = w.text(ALICE, "INVITE", "sip:bob@d.test", &alice_calls("bob"), INVITE);
    let challenge = w.receive(ALICE, text.clone());
    assert_eq!(lines(&challenge), [format!("407 {ALICE}")]);
    let invite = answer(&mut w, &mut credentials("alice", "pwalice"), ALICE, &text, &challenge[0]);
    assert_eq!(lines(&invite), [format!("INVITE {BOB}")]);
    assert_eq!(invite[0].request().headers.get("Proxy-Authorization"), None, "it stays here");
    let unknown = w.text(ALICE, "INVITE", "sip:carol@d.test", &alice_calls("carol"), INVITE);
    let challenge = w.receive(ALICE, unknown.clone());
    let known = answer(&mut w, &mut credentials("alice", "pwalice"), ALICE, &unknown, &challenge[0]);
    assert_eq!(lines(&known), [format!("480 {ALICE}")], "a user who never registered");

    let stranger = Dialog { from: "<sip:zed@elsewhere.test>;tag=z".into(), call_id: "z".into(), ..alice_calls("bob") };
    let to_us = w.request("192.0.2.66:5060", "INVITE", "sip:bob@d.test", &stranger, "");
    assert_eq!(lines(&to_us), [format!("INVITE {BOB}")]);
    let through_us =
        w.request("192.0.2.66:5060", "INVITE", "sip:bob@elsewhere.test", &Dialog { cseq: 2, ..stranger }, "");
    assert_eq!(lines(&through_us), ["403 192.0.2.66:5060"]);
}

#[test]
fn a_talkative_source_is_limited() {
    let config = ProxyConfig::loopback(Host::Name("d.test".into()), vec![PROXY.parse().unwrap()]);
    let mut w = World::new(ProxyConfig { rate: Rate { sustained: 1.0, burst: 3.0 }, ..config });
    let answered = (0..10).filter(|n| {
        let dialog = Dialog { cseq: *n, ..alice_calls("bob") };
        !w.request(ALICE, "OPTIONS", "sip:d.test", &dialog, "").is_empty()
    });
    assert_eq!(answered.count(), 3);
    assert_eq!(w.proxy.snapshot(w.now).counters.limited, 7);
}

#[test]
fn the_same_seed_sends_the_same_bytes() {
    let run = || {
        let mut w = World::open();
        w.register("bob", BOB, "");
        let invite = w.request(ALICE, "INVITE", "sip:bob@d.test", &alice_calls("bob"), INVITE);
        let mut all: Vec<Bytes> = w.respond(&invite[0], 180, "b", &[]).iter().map(|s| s.message.to_bytes()).collect();
        all.extend(invite.iter().map(|s| s.message.to_bytes()));
        all.extend(w.wait(Duration::from_secs(300)).iter().map(|s| s.message.to_bytes()));
        all
    };
    assert_eq!(run(), run());
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 300, failure_persistence: None, ..Default::default() })]

    /// Whatever is said, in whatever order: nothing panics, nothing waits for ever, and nobody hears from us who did not
    /// speak to us first.
    #[test]
    fn nobody_is_sent_to_who_never_spoke(
        steps in proptest::collection::vec((0_u8..10, 0_u8..3, 0_u16..5, 0_u8..4, proptest::prelude::any::<u16>()), 1..30),
    ) {
        let mut w = World::open();
        let places = [ALICE, BOB, "127.0.0.9:5074"];
        let uris = ["sip:bob@d.test", "sip:203.0.113.1", "sip:x@203.0.113.1;maddr=203.0.113.2", "sip:127.0.0.1:5060;lr"];
        let routes = ["", "Route: <sip:127.0.0.1:5060;lr>\r\n", "Route: <sip:203.0.113.1>\r\n", "Via: SIP/2.0/UDP 203.0.113.1\r\n"];
        let mut spoke = std::collections::BTreeSet::new();
        let mut pending: Vec<Sent> = Vec::new();
        for (what, place, status, route, number) in steps {
            let from = places[usize::from(place)];
            spoke.insert(from.split(':').next().unwrap().to_owned());
            let uri = uris[usize::from(number) % uris.len()];
            let tag = if number % 3 == 0 { "" } else { ";tag=b" };
            let dialog = Dialog {
                from: "<sip:alice@d.test>;tag=a".into(),
                to: format!("<sip:bob@d.test>{tag}"),
                call_id: format!("c{}", number % 2),
                cseq: 1 + u32::from(number % 5),
            };
            let lines = format!("{}Contact: <{uri}>;q=0.{}\r\n", routes[usize::from(route)], number % 9);
            let sent = match what {
                0 | 1 => w.register("bob", from, &format!(";q=0.{}", number % 3)),
                2 => {
                    let dialog = Dialog { to: "<sip:bob@d.test>".into(), call_id: number.to_string(), ..dialog };
                    w.request(from, "REGISTER", "sip:d.test", &dialog, &lines)
                }
                3 => w.request(from, "INVITE", uri, &dialog, &lines),
                4 => w.request(from, "ACK", uri, &dialog, &lines),
                5 => w.request(from, "BYE", uri, &dialog, &lines),
                6 => w.request(from, "CANCEL", uri, &dialog, &lines),
                7 => {
                    let mut text = w.text(from, "INVITE", uri, &dialog, &lines).into_bytes();
                    let at = usize::from(number) % text.len();
                    text[at] = text[at].wrapping_add(1 + place);
                    let flow =
                        Flow::new(w.transport, PROXY.parse().unwrap(), from.parse().unwrap());
                    w.proxy.handle_received(w.now, Received { flow, bytes: text.into() });
                    // The answer to what cannot be read need not be readable.
                    while let Some(transmit) = w.proxy.poll_transmit() {
                        proptest::prop_assert!(spoke.contains(&transmit.flow.remote.ip().to_string()));
                    }
                    Vec::new()
                }
                8 => match pending.iter().rposition(|s| matches!(&s.message, Message::Request(r) if r.method != crate::sip::message::Method::Ack)) {
                    Some(at) => {
                        let request = pending.remove(at);
                        let status = [180, 200, 302, 486, 603][usize::from(status)];
                        w.respond(&request, status, "b", &[("Contact", uri)])
                    }
                    None => Vec::new(),
                },
                _ => w.wait(Duration::from_secs(number.into())),
            };
            for s in &sent {
                let ip = s.to.split(':').next().unwrap_or_default();
                proptest::prop_assert!(spoke.contains(ip), "{} was sent {}", s.to, s.line());
            }
            pending.extend(sent);
        }
        w.wait(Duration::from_secs(3 * 3600));
        proptest::prop_assert_eq!(w.proxy.poll_timeout(), None);
        let view = w.proxy.snapshot(w.now);
        proptest::prop_assert_eq!((view.forwarding, view.bindings.len()), (0, 0));
    }
}
