//! An incoming call until it is confirmed or refused.
use super::*;

#[test]
fn an_invite_that_cannot_be_taken_is_refused() {
    let rows = [
        ("Contact: <sip:192.0.2.2:15060>", "Subject: x", 400),
        ("Contact: <sip:192.0.2.2:15060>", "Contact: <tel:+1>", 400),
        ("To: <sip:alice@192.0.2.1>", "To: <sip:alice@192.0.2.1>;tag=gone", 481),
        ("Call-ID: in", "Call-ID: in\nRequire: novelty", 420),
        ("Call-ID: in", "Call-ID: in\nSupported: timer\nSession-Expires: 60", 422),
    ];
    for (from, to, status) in rows {
        let request = request(&INVITE.replace(from, to));
        let key = ServerKey::of_request(&request).expect("a key");
        let now = Instant::now();
        let refused = Session::incoming(now, Config::default(), contact(), key, &request, Rng::from_u64(2));
        assert_eq!(refused.map_err(|response| response.status).err(), Some(status), "{to}");
    }
    let mut request = request(INVITE);
    request.headers.push("Content-Type", "text/plain");
    request.body = "hello".into();
    let key = ServerKey::of_request(&request).expect("a key");
    let refused = Session::incoming(Instant::now(), Config::default(), contact(), key, &request, Rng::from_u64(2));
    assert_eq!(refused.map_err(|response| response.status).err(), Some(415));
}

#[test]
fn an_incoming_call_rings_with_early_media_and_is_answered_with_the_same() {
    let (mut session, now) = ringing(Some("offer"));
    assert_eq!(session.offer(), Some(&Body::sdp("offer")));
    session.provisional(now, 200, None);
    assert!(said(&mut session).is_empty());
    session.provisional(now, 183, Some(Body::sdp("early")));
    session.accept(now, None);
    session.accept(now, None);
    session.reject(now, 486, &[]);
    let sent = outputs(&mut session);
    let [Output::Response { response: early, .. }, Output::Response { response: ok, .. }] = &sent[..] else {
        panic!("{sent:?}")
    };
    for response in [early, ok] {
        assert_eq!(response.body, "early");
        assert_eq!(response.headers.get("Record-Route"), Some("<sip:proxy;lr=on>"));
        assert_eq!(response.headers.get("Contact"), Some("<sip:me@192.0.2.1>"));
        assert_eq!(response.headers.to().expect("To").tag(), Some(session.key().local_tag.as_str()));
    }
    assert_eq!((early.status, ok.status), (183, 200));
}

#[test]
fn our_2xx_is_repeated_until_the_ack_comes_or_64_t1_have_passed() {
    let (mut session, start) = ringing(Some("offer"));
    let mut now = start;
    session.accept(now, Some(Body::sdp("answer")));
    let (_, foreign) = within(&session, "ACK", 4, "");
    session.handle_ack(now, foreign);
    pass(&mut session, &mut now, ms(31_999));
    let repeats = said(&mut session);
    // 0, 0.5, 1.5, 3.5, 7.5 s, then every 4 s.
    assert_eq!((repeats.len(), repeats.iter().all(|r| r == "200")), (11, true), "{repeats:?}");
    pass(&mut session, &mut now, ms(1));
    assert_eq!(said(&mut session), ["BYE"]);
    assert_eq!(told(&mut session), ["Ended NoAck"]);

    let (mut session, mut now) = confirmed();
    pass(&mut session, &mut now, ms(60_000));
    assert!(said(&mut session).is_empty());
}

#[test]
fn an_invite_without_offer_gets_ours_and_its_ack_must_answer() {
    let rows = [("", "Ended Negotiation(\"the answer is missing\")"), ("\n\nanswer", "Answer answer")];
    for (body, outcome) in rows {
        let (mut session, now) = ringing(None);
        session.provisional(now, 183, Some(Body::sdp("not now")));
        session.accept(now, Some(Body::sdp("our offer")));
        let (_, ack) = within(&session, "ACK", 5, body);
        session.handle_ack(now, ack);
        assert_eq!(told(&mut session), ["Confirmed", outcome]);
        let sent = outputs(&mut session);
        assert!(matches!(&sent[0], Output::Response { response, .. } if response.body.is_empty()));
        assert_eq!(sent.len(), if body.is_empty() { 3 } else { 2 });
    }
    let (mut session, now) = ringing(None);
    session.accept(now, None);
    assert_eq!(said(&mut session), ["500"]);
    for (status, sent) in [(486, "486"), (302, "302"), (200, "603"), (700, "603")] {
        let (mut session, now) = ringing(None);
        session.reject(now, status, &[]);
        assert_eq!(said(&mut session), [sent]);
    }
}

#[test]
fn the_caller_gives_up_by_cancel_or_by_bye() {
    let (mut session, now) = ringing(Some("offer"));
    let key = ServerKey::of_request(&request(INVITE)).expect("a key");
    let (_, cancel) = within(&session, "CANCEL", 5, "Reason: SIP;cause=200;text=\"Call completed elsewhere\"");
    let (other, _) = within(&session, "INVITE", 99, "");
    session.handle_cancelled(now, &other, &cancel);
    assert!(said(&mut session).is_empty());
    session.handle_cancelled(now, &key, &cancel);
    assert_eq!(said(&mut session), ["487"]);
    assert_eq!(told(&mut session), ["Ended by the peer: SIP Some(200)"]);
    assert!(session.is_done());

    let (mut session, now) = ringing(Some("offer"));
    let (key, bye) = within(&session, "BYE", 6, "");
    session.handle_request(now, key, bye);
    assert_eq!(said(&mut session), ["200", "487"]);
    assert_eq!(told(&mut session), ["Ended PeerCancelled"]);
}

#[test]
fn hanging_up_in_each_phase_of_an_incoming_call() {
    let (mut session, now) = ringing(Some("offer"));
    session.hang_up(now, Some("SIP;cause=480"));
    let sent = outputs(&mut session);
    let [Output::Response { response, .. }] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!((response.status, response.headers.get("Reason")), (603, Some("SIP;cause=480")));
    assert_eq!(told(&mut session), ["Ended Rejected { status: 603 }"]);

    // Before the ACK the BYE has to wait for it.
    let (mut session, now) = ringing(Some("offer"));
    session.accept(now, Some(Body::sdp("answer")));
    session.hang_up(now, None);
    assert_eq!(said(&mut session), ["200"]);
    assert_eq!(told(&mut session), ["Ended HungUp"]);
    let (_, ack) = within(&session, "ACK", 5, "");
    session.handle_ack(now, ack);
    assert_eq!(said(&mut session), ["BYE"]);
    assert!(told(&mut session).is_empty());

    let (mut session, now) = confirmed();
    session.hang_up(now, Some("Q.850;cause=16"));
    let (id, bye) = first_request(&mut session);
    assert_eq!(bye.headers.get("Reason"), Some("Q.850;cause=16"));
    assert_eq!(bye.headers.get("Route"), Some("<sip:proxy;lr=on>"));
    // BYEs cross.
    let (key, theirs) = within(&session, "BYE", 6, "");
    session.handle_request(now, key, theirs);
    assert_eq!(said(&mut session), ["200"]);
    session.handle_failure(now, id, Failure::Timeout);
    assert_eq!(told(&mut session), ["Ended HungUp"]);
    assert!(session.is_done());
}

#[test]
fn a_bye_before_the_ack_stops_the_2xx() {
    let (mut session, mut now) = ringing(Some("offer"));
    session.accept(now, Some(Body::sdp("answer")));
    let (key, bye) = within(&session, "BYE", 6, "");
    session.handle_request(now, key, bye);
    pass(&mut session, &mut now, ms(60_000));
    assert_eq!(said(&mut session), ["200", "200"]);
    assert_eq!(told(&mut session), ["Ended PeerHungUp"]);
    assert!(session.is_done());
}
