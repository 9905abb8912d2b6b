//! Offers within an established call.
use super::*;

#[test]
fn offers_of_the_peer_are_answered_refused_or_overdue() {
    for method in ["INVITE", "UPDATE"] {
        let cases: [(Option<Answer>, &str); 4] = [
            (Some(Answer::Accept(Body::sdp("answer"))), "200"),
            (Some(Answer::Reject(488)), "488"),
            (Some(Answer::Reject(200)), "488"),
            (None, "504"),
        ];
        for (answer, status) in cases {
            let (mut session, mut now) = confirmed();
            let (key, request) = within(&session, method, 6, "\n\nnew offer");
            session.handle_request(now, key, request);
            let Some(Event::Offer { id, .. }) = session.poll_event() else { panic!("no offer") };
            // A second one while the first waits.
            let (key, second) = within(&session, method, 7, "\n\nnewer offer");
            session.handle_request(now, key, second);
            assert_eq!(said(&mut session), ["500"]);
            session.answer(now, OfferId(99), Answer::Reject(488));
            match answer {
                Some(answer) => session.answer(now, id, answer),
                None => pass(&mut session, &mut now, ms(10_000)),
            }
            assert_eq!(said(&mut session), [status], "{method}");
            assert_eq!(session.phase(), Phase::Established);
        }
    }
}

#[test]
fn a_cancelled_reinvite_leaves_the_session_as_it_was() {
    let (mut session, now) = confirmed();
    let (key, request) = within(&session, "INVITE", 6, "\n\nnew offer");
    session.handle_request(now, key.clone(), request.clone());
    session.handle_cancelled(now, &key, &request);
    assert_eq!(said(&mut session), ["487"]);
    let (key, request) = within(&session, "INVITE", 7, "\n\nnew offer");
    session.handle_request(now, key, request);
    assert_eq!(told(&mut session), ["Offer new offer", "Offer new offer"]);
}

#[test]
fn the_peer_hangs_up_while_its_offer_waits() {
    let (mut session, now) = confirmed();
    let (key, request) = within(&session, "INVITE", 6, "\n\nnew offer");
    session.handle_request(now, key, request);
    let Some(Event::Offer { id, .. }) = session.poll_event() else { panic!("no offer") };
    let (key, bye) = within(&session, "BYE", 7, "");
    session.handle_request(now, key, bye);
    assert_eq!(said(&mut session), ["200", "487"]);
    session.answer(now, id, Answer::Accept(Body::sdp("late")));
    assert!(said(&mut session).is_empty() && told(&mut session) == ["Ended PeerHungUp"] && session.is_done());
}

#[test]
fn what_becomes_of_our_reinvite() {
    /// Status (0: none), body, Retry-After; what we say at once, what we tell within 4 s.
    type Row = (u16, Option<&'static str>, Option<u32>, &'static [&'static str], &'static [&'static str]);
    let rows: [Row; 9] = [
        (200, Some("held"), None, &["ACK"], &["Answer held"]),
        (200, None, None, &["ACK"], &["OfferRejected 200"]),
        (488, None, None, &[], &["OfferRejected 488"]),
        (500, None, None, &[], &["OfferRejected 500"]),
        (500, None, Some(3), &[], &["OfferWanted"]),
        (491, None, None, &[], &["OfferWanted"]),
        (481, None, None, &[], &["Lost 481"]),
        (408, None, None, &[], &["Lost 408"]),
        (0, None, None, &[], &["Lost 408"]),
    ];
    for (status, body, retry_after, says, tells) in rows {
        let (mut session, mut now) = established();
        let (id, request) = reinvite(&mut session, now);
        assert_eq!(request.body, "hold");
        if status == 0 {
            session.handle_failure(now, id, Failure::Timeout);
        } else {
            let mut response = answer_to(&request, status, "b", body);
            if let Some(seconds) = retry_after {
                response.headers.push("Retry-After", seconds);
            }
            session.handle_response(now, id, response);
        }
        assert_eq!(said(&mut session), says, "{status}");
        pass(&mut session, &mut now, ms(4_000));
        assert_eq!(told(&mut session), tells, "{status}");
    }
}

#[test]
fn the_owner_of_the_call_id_waits_longer_after_glare() {
    for (owner, least, most) in [(true, 2_100, 4_000), (false, 0, 2_000)] {
        let (mut session, now) = if owner { established() } else { confirmed() };
        let (id, request) = reinvite(&mut session, now);
        session.handle_response(now, id, answer_to(&request, 491, "b", None));
        let delay = (session.poll_timeout().expect("a timer") - now).as_millis();
        assert!((least..=most).contains(&delay) && delay % 10 == 0, "{owner}: {delay}");
    }
}

#[test]
fn our_wish_waits_for_what_is_under_way() {
    // The ACK of our 2xx.
    let (mut session, now) = ringing(Some("offer"));
    session.accept(now, Some(Body::sdp("answer")));
    session.reinvite(now);
    assert!(told(&mut session).is_empty());
    let (_, ack) = within(&session, "ACK", 5, "");
    session.handle_ack(now, ack);
    assert_eq!(told(&mut session), ["Confirmed", "OfferWanted"]);
    // The peer's own offer overtakes the wish; it is granted afterwards.
    let (key, request) = within(&session, "UPDATE", 6, "\n\nnew offer");
    session.handle_request(now, key, request);
    let Some(Event::Offer { id, .. }) = session.poll_event() else { panic!("no offer") };
    session.answer(now, id, Answer::Accept(Body::sdp("answer")));
    let Some(Event::OfferWanted { id, .. }) = session.poll_event() else { panic!("no offer wanted") };
    session.answer(now, id, Answer::Accept(Body::sdp("hold")));
    assert_eq!(said(&mut session), ["200", "200", "INVITE"]);
    // While ours is out, the peer's is glare.
    let (key, request) = within(&session, "INVITE", 7, "\n\nnew offer");
    session.handle_request(now, key, request);
    assert_eq!(said(&mut session), ["491"]);
}

#[test]
fn a_reinvite_without_final_response_is_cancelled() {
    let (mut session, mut now) = established();
    let (id, request) = reinvite(&mut session, now);
    session.handle_response(now, id, answer_to(&request, 100, "b", None));
    pass(&mut session, &mut now, ms(32_000));
    assert_eq!(said(&mut session), ["CANCEL"]);
    session.handle_response(now, id, answer_to(&request, 487, "b", None));
    assert_eq!(told(&mut session), ["OfferRejected 487"]);
}

#[test]
fn hanging_up_does_not_wait_for_the_ack_of_a_reinvite() {
    let (mut session, mut now) = confirmed();
    let (key, request) = within(&session, "INVITE", 6, "\n\nnew offer");
    session.handle_request(now, key, request);
    let Some(Event::Offer { id, .. }) = session.poll_event() else { panic!("no offer") };
    session.answer(now, id, Answer::Accept(Body::sdp("answer")));
    session.hang_up(now, None);
    pass(&mut session, &mut now, ms(20_000));
    assert_eq!(said(&mut session), ["200", "BYE"]);
}

#[test]
fn hanging_up_while_the_offer_of_the_2xx_waits() {
    let (mut session, now) = calling(None);
    let (id, invite) = first_request(&mut session);
    session.handle_response(now, id, answer_to(&invite, 200, "b", Some("offer")));
    session.hang_up(now, None);
    assert_eq!(said(&mut session), ["ACK", "BYE"]);
    assert_eq!(told(&mut session), ["Answered fork 0", "Offer offer", "Ended HungUp"]);
}

#[test]
fn a_reinvite_the_peer_left_without_a_final_response_is_cancelled_after_the_end() {
    let (mut session, mut now) = established();
    reinvite(&mut session, now);
    let (key, bye) = within(&session, "BYE", 1, "");
    session.handle_request(now, key, bye);
    assert_eq!(said(&mut session), ["200"]);
    pass(&mut session, &mut now, ms(100_000));
    assert_eq!(said(&mut session), ["CANCEL"]);
    assert!(told(&mut session).iter().any(|event| event.starts_with("Ended")) && session.is_done());
}
