//! An outgoing call until it is answered or refused.
use super::*;

#[test]
fn final_responses_end_an_outgoing_call() {
    let rows: [(u16, &str); 5] = [
        (486, "Ended Refused 486"),
        (422, "Ended Refused 422"),
        (302, "Ended Refused 302"),
        (603, "Ended Refused 603"),
        (699, "Ended Refused 699"),
    ];
    for (status, ended) in rows {
        let (mut session, now) = calling(Some("offer"));
        let (id, invite) = first_request(&mut session);
        let mut response = answer_to(&invite, status, "b", None);
        response.headers.remove("Contact");
        session.handle_response(now, id, response);
        assert_eq!(told(&mut session), [ended]);
        assert!(session.is_done() && said(&mut session).is_empty());
    }
    for (failure, ended) in [(Failure::Timeout, "Timeout"), (Failure::Transport, "Transport")] {
        let (mut session, now) = calling(Some("offer"));
        let (id, _) = first_request(&mut session);
        session.handle_failure(now, id, failure);
        assert_eq!(told(&mut session), [format!("Ended Unreachable({ended})")]);
        assert!(session.is_done());
    }
}

#[test]
fn early_media_of_each_fork_is_told_and_one_answer_counts() {
    let (mut session, now) = calling(Some("offer"));
    let (id, invite) = first_request(&mut session);
    session.handle_response(now, id, answer_to(&invite, 180, "a", None));
    session.handle_response(now, id, answer_to(&invite, 183, "b", Some("early b")));
    session.handle_response(now, id, answer_to(&invite, 183, "a", Some("early a")));
    // The 2xx has no body: the one of the provisional response of the same fork is the answer.
    session.handle_response(now, id, answer_to(&invite, 200, "b", None));
    let expected = [
        "Progress 180 fork 0 -",
        "Progress 183 fork 1 with body",
        "Progress 183 fork 0 with body",
        "Answered fork 1",
        "Answer early b",
    ];
    assert_eq!(told(&mut session), expected);
    assert_eq!(said(&mut session), ["ACK"]);
    // A repeated 2xx, and late ones of the other fork and of one never heard of.
    session.handle_response(now, id, answer_to(&invite, 200, "b", None));
    assert_eq!(said(&mut session), ["ACK"]);
    session.handle_response(now, id, answer_to(&invite, 200, "a", Some("late")));
    session.handle_stray_response(now, answer_to(&invite, 200, "c", Some("late")));
    let late = outputs(&mut session);
    assert_eq!(late.iter().map(spell).collect::<Vec<_>>(), ["ACK", "BYE", "ACK", "BYE"]);
    let Output::Request { request, .. } = &late[1] else { panic!("BYE") };
    assert_eq!(
        (request.uri.to_string().as_str(), request.headers.to().expect("To").tag()),
        ("sip:a@192.0.2.2", Some("a"))
    );
    session.handle_response(now, id, answer_to(&invite, 200, "a", Some("late")));
    assert_eq!(said(&mut session), ["ACK"]);
    assert!(told(&mut session).is_empty());
    assert_eq!(session.phase(), Phase::Established);
}

#[test]
fn an_answer_that_never_comes_ends_the_call() {
    let rows = [(Some("offer"), "the answer is missing"), (None, "the offer is missing")];
    for (body, why) in rows {
        let (mut session, now) = calling(body);
        let (id, invite) = first_request(&mut session);
        session.handle_response(now, id, answer_to(&invite, 200, "b", None));
        assert_eq!(said(&mut session), ["ACK", "BYE"]);
        assert_eq!(told(&mut session), ["Answered fork 0".into(), format!("Ended Negotiation({why:?})")]);
    }
}

#[test]
fn an_offer_in_the_2xx_is_answered_in_the_ack() {
    let cases: [(Option<Answer>, &[&str]); 3] = [
        (Some(Answer::Accept(Body::sdp("answer"))), &["ACK with body"]),
        (Some(Answer::Reject(488)), &["ACK", "BYE"]),
        (None, &["ACK", "BYE"]),
    ];
    for (answer, expected) in cases {
        let (mut session, mut now) = calling(None);
        let (id, invite) = first_request(&mut session);
        let ok = answer_to(&invite, 200, "b", Some("offer"));
        session.handle_response(now, id, ok.clone());
        session.handle_response(now, id, ok.clone());
        assert!(said(&mut session).is_empty(), "the ACK waits for the answer");
        let told = events(&mut session);
        let Some(Event::Offer { id: offer, .. }) = told.last() else { panic!("{told:?}") };
        match answer {
            Some(answer) => session.answer(now, *offer, answer),
            None => pass(&mut session, &mut now, ms(10_000)),
        }
        assert_eq!(said(&mut session), expected);
        session.handle_response(now, id, ok);
        assert_eq!(said(&mut session), &expected[..1], "the same ACK again");
    }
}

#[test]
fn hanging_up_before_the_answer_cancels_and_a_crossing_2xx_is_released() {
    for crossing in [false, true] {
        let (mut session, now) = calling(Some("offer"));
        let (id, invite) = first_request(&mut session);
        session.handle_response(now, id, answer_to(&invite, 180, "b", None));
        session.hang_up(now, Some("SIP;cause=487"));
        session.hang_up(now, None);
        assert!(matches!(&outputs(&mut session)[..], [Output::Cancel { reason: Some(_), .. }]));
        assert_eq!(told(&mut session), ["Progress 180 fork 0 -", "Ended Cancelled"]);
        assert!(!session.is_done());
        if crossing {
            session.handle_response(now, id, answer_to(&invite, 200, "b", Some("answer")));
            let (bye, request) = {
                let all = outputs(&mut session);
                assert_eq!(all.iter().map(spell).collect::<Vec<_>>(), ["ACK", "BYE"]);
                let Output::Request { id, request, .. } = all[1].clone() else { panic!("BYE") };
                (id, request)
            };
            session.handle_response(now, bye, answer_to(&request, 200, "b", None));
        } else {
            session.handle_response(now, id, answer_to(&invite, 487, "b", None));
        }
        assert!(session.is_done() && told(&mut session).is_empty());
    }
}

#[test]
fn a_challenge_is_met_with_the_same_call_and_a_higher_cseq() {
    let (mut session, now) = calling(Some("offer"));
    let (id, first) = first_request(&mut session);
    session.handle_response(now, id, answer_to(&first, 407, "p", None));
    assert_eq!(told(&mut session), ["Challenged"]);
    let credentials = vec![("Proxy-Authorization".to_owned(), "Digest x".to_owned())];
    session.authenticate(now, id, credentials.clone());
    session.authenticate(now, id, credentials);
    let sent = outputs(&mut session);
    let [Output::Request { id, request: second, .. }] = &sent[..] else { panic!("{sent:?}") };
    for name in ["Call-ID", "From", "To", "Contact"] {
        assert_eq!(first.headers.get(name), second.headers.get(name), "{name}");
    }
    let numbers = [&first, second].map(|request| request.headers.cseq().expect("CSeq").number);
    assert_eq!(numbers[0] + 1, numbers[1]);
    assert_eq!(first.body, second.body);
    session.handle_response(now, *id, answer_to(second, 200, "b", Some("answer")));
    let sent = outputs(&mut session);
    let [Output::Ack { request: ack, .. }] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(ack.headers.get("Proxy-Authorization"), Some("Digest x"));
    assert_eq!(ack.headers.cseq().expect("CSeq").number, numbers[1]);
    // BYE is challenged too, after the end.
    session.hang_up(now, None);
    let (bye, request) = first_request(&mut session);
    session.handle_response(now, bye, answer_to(&request, 407, "b", None));
    events(&mut session);
    session.authenticate(now, bye, vec![("Proxy-Authorization".into(), "Digest y".into())]);
    let (bye, again) = first_request(&mut session);
    assert_eq!(again.headers.cseq().expect("CSeq").number, numbers[1] + 2);
    session.handle_response(now, bye, answer_to(&again, 200, "b", None));
    assert!(session.is_done());
}

#[test]
fn challenges_end_when_given_up_or_after_some_tries() {
    let (mut session, now) = calling(Some("offer"));
    let (id, invite) = first_request(&mut session);
    session.handle_response(now, id, answer_to(&invite, 401, "b", None));
    session.give_up(now, id);
    assert_eq!(told(&mut session), ["Challenged", "Ended Refused 401"]);

    let (mut session, now) = calling(Some("offer"));
    for _ in 0..10 {
        let Some(Output::Request { id, request, .. }) = session.poll_output() else { break };
        session.handle_response(now, id, answer_to(&request, 401, "b", None));
        session.authenticate(now, id, Vec::new());
    }
    assert_eq!(told(&mut session).last().map(String::as_str), Some("Ended Refused 401"));
}

#[test]
fn a_redirection_asks_and_follows_the_best_target_first() {
    let (mut session, now) = calling(Some("offer"));
    let (id, first) = first_request(&mut session);
    session.follow(now, contact().uri);
    assert!(said(&mut session).is_empty(), "not redirected yet");
    let mut moved = answer_to(&first, 302, "r", None);
    moved.headers.set("Contact", "<sip:second@h>;q=0.5");
    moved.headers.push("Contact", "<sip:best@h>");
    session.handle_response(now, id, moved.clone());
    assert_eq!(told(&mut session), ["Redirected sip:best@h"]);
    session.follow(now, Uri::parse("sip:best@h").expect("a URI"));
    let (id, second) = first_request(&mut session);
    assert_eq!(second.uri.to_string(), "sip:best@h");
    assert_eq!(second.headers.get("Call-ID"), first.headers.get("Call-ID"));
    assert_ne!(second.headers.get("CSeq"), first.headers.get("CSeq"));
    session.handle_response(now, id, moved);
    session.hang_up(now, None);
    assert_eq!(told(&mut session), ["Redirected sip:best@h", "Ended Cancelled"]);
    assert!(said(&mut session).is_empty() && session.is_done());
}

#[test]
fn an_offer_that_is_not_acceptable_may_be_followed_by_another() {
    // Asked for, status, offered; what is told at last.
    let rows = [
        (false, 488, true, "Ended Refused 488"),
        (true, 486, true, "Ended Refused 486"),
        (true, 488, false, "Ended Refused 488"),
        (true, 488, true, "Unacceptable 488"),
        (true, 606, true, "Unacceptable 606"),
    ];
    for (asked, status, offered, last) in rows {
        let (mut session, now) = calling(offered.then_some("offer"));
        session.config.offers_again = asked;
        let (id, first) = first_request(&mut session);
        session.offer_again(now, Body::sdp("too early"));
        session.take_refusal(now);
        assert!(said(&mut session).is_empty());
        session.handle_response(now, id, answer_to(&first, 183, "a", Some("early")));
        session.handle_response(now, id, answer_to(&first, status, "a", None));
        assert_eq!(told(&mut session).last().map(String::as_str), Some(last));
        if !last.starts_with("Unacceptable") {
            continue;
        }
        session.offer_again(now, Body::sdp("another"));
        session.offer_again(now, Body::sdp("and another"));
        let (id, second) = first_request(&mut session);
        assert!(said(&mut session).is_empty(), "one");
        assert_eq!((second.uri.to_string(), &second.body[..]), (first.uri.to_string(), b"another".as_slice()));
        assert_eq!(second.headers.get("Call-ID"), first.headers.get("Call-ID"));
        assert_ne!(second.headers.get("CSeq"), first.headers.get("CSeq"));
        session.handle_response(now, id, answer_to(&second, status, "a", None));
        session.take_refusal(now);
        assert_eq!(told(&mut session), [last.to_owned(), format!("Ended Refused {status}")]);
        assert!(session.is_done() && said(&mut session).is_empty());
    }
    let (mut session, now) = calling(Some("offer"));
    session.config.offers_again = true;
    let (id, first) = first_request(&mut session);
    session.handle_response(now, id, answer_to(&first, 488, "a", None));
    session.hang_up(now, None);
    session.offer_again(now, Body::sdp("too late"));
    assert_eq!(told(&mut session), ["Unacceptable 488", "Ended Cancelled"]);
    assert!(session.is_done() && said(&mut session).is_empty());
}

#[test]
fn nobody_answers() {
    let (mut session, mut now) = calling(Some("offer"));
    first_request(&mut session);
    pass(&mut session, &mut now, ms(180_000));
    assert_eq!(
        (said(&mut session), told(&mut session)),
        (vec!["CANCEL".to_owned()], vec!["Ended Unanswered".to_owned()])
    );

    let (mut session, mut now) = ringing(Some("offer"));
    session.provisional(now, 180, None);
    pass(&mut session, &mut now, ms(180_000));
    assert_eq!(said(&mut session), ["180", "180", "180", "480"], "repeated each minute");
    assert_eq!(told(&mut session), ["Ended Unanswered"]);
    assert!(session.is_done());
}

#[test]
fn what_the_early_dialog_counted_holds_after_the_answer() {
    let (mut session, now) = calling(Some("offer"));
    let (id, invite) = first_request(&mut session);
    session.handle_response(now, id, answer_to(&invite, 180, "b", None));
    let (key, info) = within(&session, "INFO", 50, "");
    session.handle_request(now, key, info);
    session.handle_response(now, id, answer_to(&invite, 200, "b", Some("answer")));
    let (key, info) = within(&session, "INFO", 49, "");
    session.handle_request(now, key, info);
    assert_eq!(said(&mut session), ["200", "ACK", "500"]);
}
