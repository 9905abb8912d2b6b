//! Calls through the proxy: targets, forks, refusals, CANCEL, and streams that break.
use super::*;

#[test]
fn a_call_from_register_to_bye() {
    let mut w = World::open();
    let registered = w.register("bob", BOB, ";expires=60");
    assert_eq!(lines(&registered), [format!("200 {BOB}")]);
    assert_eq!(registered[0].response().headers.get("Contact"), Some("<sip:bob@127.0.0.1:5072>;expires=60"));

    let mut call = alice_calls("bob");
    let invite = w.request(ALICE, "INVITE", "sip:bob@d.test", &call, INVITE);
    assert_eq!(lines(&invite), [format!("INVITE {BOB}")]);
    let request = invite[0].request();
    assert_eq!(request.uri.to_string(), "sip:bob@127.0.0.1:5072");
    assert_eq!(request.headers.get("Max-Forwards"), Some("69"));
    assert_eq!(request.headers.all("Via").count(), 2);
    assert_eq!(request.headers.get("Record-Route"), Some("<sip:127.0.0.1:5060;lr>"));

    assert!(w.respond(&invite[0], 100, "b", &[]).is_empty(), "100 is for us alone");
    let ringing = w.respond(&invite[0], 180, "b", &[("Contact", "<sip:bob@127.0.0.1:5072>")]);
    assert_eq!(lines(&ringing), [format!("180 {ALICE}")]);
    let ok = w.respond(&invite[0], 200, "b", &[("Contact", "<sip:bob@127.0.0.1:5072>")]);
    assert_eq!(lines(&ok), [format!("200 {ALICE}")]);
    assert_eq!(ok[0].response().headers.all("Via").count(), 1);
    assert_eq!(ok[0].response().headers.get("Record-Route"), Some("<sip:127.0.0.1:5060;lr>"));
    assert_eq!(lines(&w.respond(&invite[0], 200, "b", &[])), [format!("200 {ALICE}")], "repetitions, too");

    call.to += ";tag=b";
    let route = "Route: <sip:127.0.0.1:5060;lr>\r\n";
    let ack = w.request(ALICE, "ACK", "sip:bob@127.0.0.1:5072", &call, route);
    assert_eq!(lines(&ack), [format!("ACK {BOB}")]);
    assert_eq!((ack[0].request().headers.get("Route"), ack[0].request().headers.all("Via").count()), (None, 2));

    let from_bob = Dialog { from: call.to.clone(), to: call.from.clone(), cseq: 1, ..call.clone() };
    let reinvite = w.request(BOB, "INVITE", "sip:alice@127.0.0.1:5071", &from_bob, route);
    assert_eq!(lines(&reinvite), [format!("INVITE {ALICE}")]);
    assert_eq!(lines(&w.respond(&reinvite[0], 200, "x", &[])), [format!("200 {BOB}")]);
    let ack = w.request(BOB, "ACK", "sip:alice@127.0.0.1:5071", &from_bob, route);
    assert_eq!(lines(&ack), [format!("ACK {ALICE}")]);

    let bye = w.request(ALICE, "BYE", "sip:bob@127.0.0.1:5072", &Dialog { cseq: 2, ..call.clone() }, route);
    assert_eq!(lines(&bye), [format!("BYE {BOB}")]);
    assert_eq!(lines(&w.respond(&bye[0], 200, "x", &[])), [format!("200 {ALICE}")]);
    assert_eq!(w.proxy.snapshot(w.now).dialogs, 1, "repetitions may still come");
    w.wait(Duration::from_secs(59));
    let view = w.proxy.snapshot(w.now);
    assert_eq!((view.dialogs, view.bindings.len()), (0, 1));
    w.wait(Duration::from_secs(120));
    let view = w.proxy.snapshot(w.now);
    assert_eq!((view.bindings.len(), view.forwarding, view.counters.forwarded), (0, 0, 3));
    assert_eq!(w.proxy.poll_timeout(), None, "nothing is left over");
    assert_eq!(
        lines(&w.request(ALICE, "BYE", "sip:bob@127.0.0.1:5072", &Dialog { cseq: 3, ..call }, route)),
        [format!("481 {ALICE}")]
    );
}

#[test]
fn a_request_to_the_address_of_record_inside_a_dialog_finds_its_end() {
    let mut w = World::open();
    w.register("bob", BOB, "");
    w.register("bob", BOB2, "");
    let mut call = alice_calls("bob");
    let invite = w.request(ALICE, "INVITE", "sip:bob@127.0.0.1:5060", &call, INVITE);
    w.respond(&invite[1], 200, "b2", &[]);
    call.to += ";tag=b2";
    let ack = w.request(ALICE, "ACK", "sip:bob@127.0.0.1:5060", &call, "");
    assert_eq!(lines(&ack), [format!("ACK {BOB2}")]);
    assert_eq!(ack[0].request().uri.to_string(), "sip:bob@127.0.0.1:5073");
}

#[test]
fn who_is_not_there_and_what_is_not_ours() {
    let mut w = World::open();
    w.register("bob", BOB, "");
    w.register("gone", BOB2, "");
    w.register("gone", BOB2, ";expires=0");
    let route = |uri: &str| format!("Route: <{uri};lr>\r\n");
    let rows = [
        ("INVITE", "sip:nobody@d.test", String::new(), 404),
        ("INVITE", "sip:gone@d.test", String::new(), 480),
        ("INVITE", "sip:bob@elsewhere.test", String::new(), 403),
        ("INVITE", "sip:bob@127.0.0.1:5072", String::new(), 403),
        ("INVITE", "sip:bob@d.test", route("sip:elsewhere.test"), 403),
        ("INVITE", "sip:bob@127.0.0.1:9", route("sip:127.0.0.1:5060"), 403),
        ("REGISTER", "sip:elsewhere.test", String::new(), 403),
        ("INVITE", "sip:d.test", String::new(), 405),
        ("INVITE", "tel:+12", String::new(), 416),
        ("OPTIONS", "sip:d.test", String::new(), 200),
        ("OPTIONS", "sip:d.test", "Require: x\r\n".to_owned(), 420),
        ("INVITE", "sip:bob@d.test", "Proxy-Require: x\r\n".to_owned(), 420),
        ("INVITE", "sip:bob@d.test", "Route: <sip:\r\n".to_owned(), 400),
    ];
    for (n, (method, uri, lines_, status)) in rows.into_iter().enumerate() {
        let dialog = Dialog { call_id: n.to_string(), ..alice_calls("bob") };
        let sent = w.request(ALICE, method, uri, &dialog, &lines_);
        assert_eq!(lines(&sent), [format!("{status} {ALICE}")], "{method} {uri} {lines_}");
        assert!(sent[0].response().headers.to().unwrap().tag().is_some());
    }
    let stranger = w.request("192.0.2.66:5060", "INVITE", "sip:bob@d.test", &alice_calls("bob"), "");
    assert_eq!(lines(&stranger), ["403 192.0.2.66:5060"]);
    let in_dialog = Dialog { to: "<sip:bob@d.test>;tag=x".into(), ..alice_calls("bob") };
    let guess = w.request(ALICE, "INVITE", "sip:bob@127.0.0.1:5072", &in_dialog, &route("sip:127.0.0.1:5060"));
    assert_eq!(lines(&guess), [format!("481 {ALICE}")]);
    let around = Dialog { cseq: 2, ..in_dialog };
    assert_eq!(lines(&w.request(ALICE, "MESSAGE", "sip:bob@127.0.0.1:5072", &around, "")), [format!("403 {ALICE}")]);
    assert!(w.request(ALICE, "ACK", "sip:bob@127.0.0.1:5072", &around, &route("sip:127.0.0.1:5060")).is_empty());
}

#[test]
fn hops_are_counted_and_loops_found() {
    let mut w = World::open();
    w.register("bob", BOB, "");
    let text = w.text(ALICE, "INVITE", "sip:bob@d.test", &alice_calls("bob"), INVITE);
    let zero = text.replace("Max-Forwards: 70", "Max-Forwards: 0");
    assert_eq!(lines(&w.receive(ALICE, zero)), [format!("483 {ALICE}")]);
    let call = Dialog { cseq: 2, ..alice_calls("bob") };
    let invite = w.request(ALICE, "INVITE", "sip:bob@d.test", &call, INVITE);
    // Bob's device sends it back under its old name.
    let mut looped = invite[0].request().clone();
    looped.uri = crate::sip::message::Uri::parse("sip:bob@d.test").unwrap();
    looped.headers.push_front("Via", format_args!("SIP/2.0/UDP {BOB};branch=z9hG4bKloop"));
    assert_eq!(lines(&w.receive(BOB, looped.to_bytes())), [format!("482 {BOB}")]);
}

#[test]
fn all_devices_ring_and_one_answers() {
    let mut w = World::open();
    w.register("bob", BOB, "");
    w.register("bob", BOB2, "");
    let invite = w.request(ALICE, "INVITE", "sip:bob@d.test", &alice_calls("bob"), INVITE);
    assert_eq!(lines(&invite), [format!("INVITE {BOB}"), format!("INVITE {BOB2}")]);
    assert_eq!(lines(&w.respond(&invite[0], 180, "b1", &[])), [format!("180 {ALICE}")]);
    assert_eq!(lines(&w.respond(&invite[1], 180, "b2", &[])), [format!("180 {ALICE}")]);
    let answered = w.respond(&invite[0], 200, "b1", &[]);
    assert_eq!(lines(&answered), [format!("200 {ALICE}"), format!("CANCEL {BOB2}")]);
    assert!(answered[1].request().headers.get("Reason").is_some_and(|r| r.contains("cause=200")));
    assert!(w.respond(&answered[1], 200, "b2", &[]).is_empty());
    let late = w.respond(&invite[1], 487, "b2", &[]);
    assert_eq!(lines(&late), [format!("ACK {BOB2}")], "the caller hears nothing of it");
    // Messages may cross: a second device that answered, too, is told to the caller.
    let mut w = World::open();
    w.register("bob", BOB, "");
    w.register("bob", BOB2, "");
    let invite = w.request(ALICE, "INVITE", "sip:bob@d.test", &alice_calls("bob"), INVITE);
    w.respond(&invite[0], 200, "b1", &[]);
    assert_eq!(lines(&w.respond(&invite[1], 200, "b2", &[])), [format!("200 {ALICE}")]);
}

#[test]
fn the_best_refusal_goes_back_when_all_have_refused() {
    let mut w = World::open();
    w.register("bob", BOB, "");
    w.register("bob", BOB2, "");
    let invite = w.request(ALICE, "INVITE", "sip:bob@d.test", &alice_calls("bob"), INVITE);
    assert_eq!(lines(&w.respond(&invite[0], 480, "b1", &[])), [format!("ACK {BOB}")]);
    assert_eq!(lines(&w.respond(&invite[1], 486, "b2", &[])), [format!("ACK {BOB2}"), format!("486 {ALICE}")]);
    assert!(
        w.request(
            ALICE,
            "ACK",
            "sip:bob@d.test",
            &Dialog { to: "<sip:bob@d.test>;tag=b2".into(), ..alice_calls("bob") },
            ""
        )
        .is_empty()
    );

    let call = Dialog { cseq: 2, ..alice_calls("bob") };
    let invite = w.request(ALICE, "INVITE", "sip:bob@d.test", &call, INVITE);
    w.respond(&invite[1], 180, "b2", &[]);
    let declined = w.respond(&invite[0], 603, "b1", &[]);
    assert_eq!(lines(&declined), [format!("ACK {BOB}"), format!("CANCEL {BOB2}")], "6xx ends it for all");
    assert_eq!(lines(&w.respond(&invite[1], 487, "b2", &[])), [format!("ACK {BOB2}"), format!("603 {ALICE}")]);
}

#[test]
fn preference_comes_first() {
    let mut w = World::open();
    w.register("bob", BOB, ";q=0.3");
    w.register("bob", BOB2, ";q=0.9");
    let invite = w.request(ALICE, "INVITE", "sip:bob@d.test", &alice_calls("bob"), INVITE);
    assert_eq!(lines(&invite), [format!("INVITE {BOB2}")]);
    let second = w.respond(&invite[0], 486, "b2", &[]);
    assert_eq!(lines(&second), [format!("ACK {BOB2}"), format!("INVITE {BOB}")]);
    assert_eq!(lines(&w.respond(&second[1], 404, "b1", &[])), [format!("ACK {BOB}"), format!("486 {ALICE}")]);
}

#[test]
fn a_cancelled_call_is_terminated_everywhere() {
    let mut w = World::open();
    w.register("bob", BOB, "");
    w.register("bob", BOB2, "");
    let text = w.text(ALICE, "INVITE", "sip:bob@d.test", &alice_calls("bob"), INVITE);
    let invite = w.receive(ALICE, text.clone());
    w.respond(&invite[0], 180, "b1", &[]);
    let cancel = text
        .replace("INVITE sip", "CANCEL sip")
        .replace("1 INVITE", "1 CANCEL")
        .replace(INVITE, "Reason: Q.850;cause=16\r\n");
    let sent = w.receive(ALICE, cancel);
    assert_eq!(lines(&sent), [format!("200 {ALICE}"), format!("CANCEL {BOB}")], "the other one has not been heard yet");
    assert_eq!(sent[1].request().headers.get("Reason"), Some("Q.850;cause=16"));
    assert_eq!(lines(&w.respond(&invite[1], 180, "b2", &[])), [format!("CANCEL {BOB2}"), format!("180 {ALICE}")]);
    w.respond(&invite[0], 487, "b1", &[]);
    assert_eq!(lines(&w.respond(&invite[1], 487, "b2", &[])), [format!("ACK {BOB2}"), format!("487 {ALICE}")]);
}

#[test]
fn nobody_answers() {
    let mut w = World::open();
    w.register("bob", BOB, "");
    let invite = w.request(ALICE, "INVITE", "sip:bob@d.test", &alice_calls("bob"), INVITE);
    assert_eq!(lines(&invite), [format!("INVITE {BOB}")]);
    let all = w.wait(Duration::from_secs(33));
    assert_eq!(all[0].line(), format!("100 {ALICE}"));
    assert!(lines(&all).contains(&format!("408 {ALICE}")));

    // It rings, but for ever: timer C cancels it, and whatever it says then counts as 408.
    let call = Dialog { cseq: 2, call_id: "c2".into(), ..alice_calls("bob") };
    let invite = w.request(ALICE, "INVITE", "sip:bob@d.test", &call, INVITE);
    w.respond(&invite[0], 180, "b", &[]);
    w.wait(Duration::from_secs(120));
    w.respond(&invite[0], 180, "b", &[]);
    assert!(w.wait(Duration::from_secs(180)).is_empty(), "it was heard in between");
    let cancelled = w.wait(Duration::from_secs(6));
    assert_eq!(cancelled[0].line(), format!("CANCEL {BOB}"));
    assert_eq!(lines(&w.respond(&invite[0], 487, "b", &[])), [format!("ACK {BOB}"), format!("408 {ALICE}")]);

    let message =
        w.request(ALICE, "MESSAGE", "sip:bob@d.test", &Dialog { call_id: "m".into(), ..alice_calls("bob") }, "");
    assert_eq!(lines(&message), [format!("MESSAGE {BOB}")]);
    let repeated = w.wait(Duration::from_secs(40));
    let told = |s: &&Sent| s.to == ALICE && s.message.headers().get("Call-ID") == Some("m");
    assert_eq!(repeated.iter().find(told).map(Sent::line), None, "silence is not told");
}

#[test]
fn a_stream_that_broke_is_opened_again_or_forgotten() {
    let mut w = World::open();
    w.transport = Transport::Tcp;
    let source = "127.0.0.1:40001";
    let register = |w: &mut World, contact: &str| {
        w.branch += 1;
        let dialog = Dialog {
            from: "<sip:bob@d.test>;tag=r".into(),
            to: "<sip:bob@d.test>".into(),
            call_id: contact.into(),
            cseq: w.branch,
        };
        w.request(source, "REGISTER", "sip:d.test", &dialog, &format!("Contact: <{contact}>\r\n"))
    };
    register(&mut w, "sip:bob@127.0.0.1:5072;transport=tcp");
    register(&mut w, "sip:bob@nat.invalid;transport=tcp");
    let tcp = |remote: &str| Flow::new(Transport::Tcp, PROXY.parse().unwrap(), remote.parse().unwrap());
    w.transport = Transport::Udp;
    let invite = w.request(ALICE, "INVITE", "sip:bob@d.test", &alice_calls("bob"), INVITE);
    assert_eq!(lines(&invite), [format!("INVITE {source}"), format!("INVITE {source}")]);
    assert_eq!(invite[0].transport, Transport::Tcp);
    let record_route: Vec<_> = invite[0].request().headers.all("Record-Route").collect();
    assert_eq!(record_route, ["<sip:127.0.0.1:5060;transport=tcp;lr>", "<sip:127.0.0.1:5060;lr>"]);

    w.proxy.handle_transport_error(w.now, &tcp(source));
    let again = w.drain();
    assert_eq!(lines(&again), [format!("INVITE {BOB}")]);
    assert_eq!(w.proxy.snapshot(w.now).bindings.len(), 1, "the one that cannot be reached otherwise is gone");
    w.proxy.handle_transport_error(w.now, &tcp(BOB));
    assert_eq!(lines(&w.drain()), [format!("500 {ALICE}")]);
}
