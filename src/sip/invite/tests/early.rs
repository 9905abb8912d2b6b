//! Offers and answers in early dialogs (RFC 3311, RFC 6337).
use super::*;
use crate::sip::message::Method;

#[test]
fn in_an_early_dialog_no_offer_of_the_peer_can_be_taken() {
    for (body, more, status) in
        [(Some("offer"), "\n\nnew", "491"), (None, "\n\nnew", "491"), (Some("offer"), "", "200")]
    {
        let (mut session, now) = calling(body);
        let (id, invite) = first_request(&mut session);
        session.handle_response(now, id, answer_to(&invite, 183, "b", Some("early")));
        let (key, update) = within(&session, "UPDATE", 1, more);
        session.handle_request(now, key, update);
        assert_eq!(said(&mut session), [status]);
    }
    for offer in [Some("offer"), None] {
        let (mut session, now) = ringing(offer);
        for (method, cseq) in [("UPDATE", 6), ("INVITE", 7)] {
            let (key, request) = within(&session, method, cseq, "\n\nnew");
            session.handle_request(now, key, request);
            assert_eq!(said(&mut session), ["500"], "{method}");
        }
    }
}

/// A reliable provisional response.
fn reliably(invite: &Request, tag: &str, rseq: u32, body: Option<&'static str>) -> Response {
    let mut response = answer_to(invite, 183, tag, body);
    response.headers.push("Require", "100rel");
    response.headers.push("RSeq", rseq);
    response.headers.push("Allow", "INVITE, ACK, BYE, PRACK, UPDATE");
    response
}

fn text(request: &Request) -> &str {
    std::str::from_utf8(&request.body).expect("text")
}

/// A call of ours whose fork `b` has answered our offer reliably.
fn agreed_early() -> (Session, Instant, RequestId, Request) {
    let (mut session, now) = calling(Some("offer"));
    let (id, invite) = only(requests(&mut session));
    session.handle_response(now, id, reliably(&invite, "b", 7, Some("answer")));
    let (prack, request) = only(requests(&mut session));
    assert_eq!((request.method.clone(), text(&request)), (Method::Prack, ""));
    session.handle_response(now, prack, answer_to(&request, 200, "b", None));
    assert_eq!(told(&mut session), ["Progress 183 fork 0 with body"]);
    (session, now, id, invite)
}

/// An incoming call that was answered in a reliable provisional response, and its PRACK came.
fn answered_early(more: &str) -> (Session, Instant) {
    let (mut session, now) = ringing_with("Supported: 100rel\nAllow: UPDATE", Some("offer"));
    session.provisional(now, 183, Some(Body::sdp("answer")));
    let response = only(responses(&mut session));
    assert_eq!(response.headers.get("Require"), Some("100rel"));
    let rseq: u32 = response.headers.number("RSeq").expect("a number").expect("RSeq");
    let (key, prack) = within(&session, "PRACK", 6, &format!("RAck: {rseq} 5 INVITE{more}"));
    session.handle_request(now, key, prack);
    (session, now)
}

fn wanted(session: &mut Session) -> OfferId {
    let told = events(session);
    let [Event::OfferWanted { id, .. }] = &told[..] else { panic!("{told:?}") };
    *id
}

fn offered(session: &mut Session) -> OfferId {
    let told = events(session);
    let Some(Event::Offer { id, .. }) = told.last() else { panic!("{told:?}") };
    *id
}

#[test]
fn our_offer_answered_in_a_reliable_response_holds_and_the_2xx_brings_nothing_new() {
    let (mut session, now, id, invite) = agreed_early();
    // Not in a later provisional response, nor in the 2xx.
    session.handle_response(now, id, reliably(&invite, "b", 8, Some("other")));
    assert_eq!(told(&mut session), ["Progress 183 fork 0 -"]);
    assert_eq!(only(requests(&mut session)).1.method, Method::Prack);
    session.handle_response(now, id, answer_to(&invite, 200, "b", Some("third")));
    let events = events(&mut session);
    assert!(matches!(&events[..], [Event::Answered { settled: true, .. }]), "{events:?}");
    assert_eq!(said(&mut session), ["ACK"]);
}

#[test]
fn an_offer_in_a_reliable_response_is_answered_in_its_prack() {
    let (mut session, now) = calling(None);
    let (id, invite) = only(requests(&mut session));
    assert!(invite.headers.has_token("Supported", "100rel"));
    let response = reliably(&invite, "b", 1, Some("theirs"));
    session.handle_response(now, id, response.clone());
    session.handle_response(now, id, response);
    assert!(said(&mut session).is_empty(), "the PRACK waits for the answer");
    let offer = offered(&mut session);
    session.answer(now, offer, Answer::Accept(Body::sdp("ours")));
    let (_, prack) = only(requests(&mut session));
    assert_eq!((prack.method.clone(), text(&prack)), (Method::Prack, "ours"));
    session.handle_response(now, id, answer_to(&invite, 200, "b", None));
    assert_eq!((said(&mut session), told(&mut session)), (vec!["ACK".into()], vec!["Answered fork 0".into()]));
    // What cannot be answered is given up: a PRACK cannot refuse.
    let (mut session, now) = calling(None);
    let (id, invite) = only(requests(&mut session));
    session.handle_response(now, id, reliably(&invite, "b", 1, Some("theirs")));
    let offer = offered(&mut session);
    session.answer(now, offer, Answer::Reject(488));
    assert_eq!(said(&mut session), ["CANCEL"]);
}

#[test]
fn the_caller_updates_an_early_dialog() {
    let rows = [
        (200, Some("held"), "Answer held"),
        (200, None, "OfferRejected 200"),
        (488, None, "OfferRejected 488"),
        (481, None, "OfferRejected 481"),
    ];
    for (status, answer, outcome) in rows {
        let (mut session, now, id, invite) = agreed_early();
        session.reinvite(now);
        let offer = wanted(&mut session);
        session.answer(now, offer, Answer::Accept(Body::sdp("hold")));
        let (update, request) = only(requests(&mut session));
        assert_eq!((request.method.clone(), text(&request)), (Method::Update, "hold"));
        let (key, theirs) = within(&session, "UPDATE", 1, "\n\nglare");
        session.handle_request(now, key, theirs);
        assert_eq!(said(&mut session), ["491"], "never two offers at a time");
        session.handle_response(now, update, answer_to(&request, status, "b", answer));
        assert_eq!(told(&mut session), [outcome]);
        session.handle_response(now, id, answer_to(&invite, 200, "b", None));
        assert_eq!((said(&mut session), told(&mut session)), (vec!["ACK".into()], vec!["Answered fork 0".into()]));
    }
}

#[test]
fn the_answer_to_an_early_update_may_come_after_the_2xx() {
    let (mut session, now, id, invite) = agreed_early();
    session.reinvite(now);
    let offer = wanted(&mut session);
    session.answer(now, offer, Answer::Accept(Body::sdp("hold")));
    let (update, request) = only(requests(&mut session));
    session.handle_response(now, id, answer_to(&invite, 200, "b", None));
    session.reinvite(now);
    assert_eq!((said(&mut session), told(&mut session)), (vec!["ACK".into()], vec!["Answered fork 0".into()]));
    session.handle_response(now, update, answer_to(&request, 200, "b", Some("held")));
    assert_eq!(told(&mut session), ["Answer held", "OfferWanted"], "the next wish is granted then");
}

#[test]
fn glare_and_peers_without_update_leave_the_wish_for_later() {
    for (status, header) in [(491, None), (500, Some(("Retry-After", "3"))), (405, None)] {
        let (mut session, mut now, id, invite) = agreed_early();
        session.reinvite(now);
        let offer = wanted(&mut session);
        session.answer(now, offer, Answer::Accept(Body::sdp("hold")));
        let (update, request) = only(requests(&mut session));
        let mut refused = answer_to(&request, status, "b", None);
        header.iter().for_each(|(name, value)| refused.headers.push(name, value));
        session.handle_response(now, update, refused);
        assert!(told(&mut session).is_empty());
        pass(&mut session, &mut now, ms(4_100));
        let again = told(&mut session);
        assert_eq!(again.is_empty(), status == 405, "{status} {again:?}");
        if status == 405 {
            session.handle_response(now, id, answer_to(&invite, 200, "b", None));
            assert_eq!(told(&mut session), ["Answered fork 0", "OfferWanted"]);
        }
    }
}

#[test]
fn a_wish_that_is_there_before_the_dialog_goes_into_its_prack() {
    for (answer, outcome) in [(Some("held"), "Answer held"), (None, "OfferRejected 200")] {
        let (mut session, now) = calling(Some("offer"));
        session.reinvite(now);
        let (id, invite) = only(requests(&mut session));
        session.handle_response(now, id, answer_to(&invite, 180, "b", Some("preview")));
        assert_eq!(told(&mut session), ["Progress 180 fork 0 with body"], "no offer before a reliable answer");
        session.handle_response(now, id, reliably(&invite, "b", 1, Some("answer")));
        assert!(said(&mut session).is_empty());
        let told_last = events(&mut session);
        let Some(Event::OfferWanted { id: offer, .. }) = told_last.last() else { panic!("{told_last:?}") };
        session.answer(now, *offer, Answer::Accept(Body::sdp("hold")));
        let (prack, request) = only(requests(&mut session));
        assert_eq!((request.method.clone(), text(&request)), (Method::Prack, "hold"));
        session.handle_response(now, prack, answer_to(&request, 200, "b", answer));
        assert_eq!(told(&mut session), [outcome]);
    }
}

#[test]
fn the_callee_takes_offers_once_it_has_answered_reliably() {
    for (method, more) in [("PRACK", ""), ("UPDATE", "")] {
        let (mut session, now) = if method == "PRACK" { answered_early("\n\nnew") } else { answered_early("") };
        if method == "UPDATE" {
            assert_eq!(said(&mut session), ["200"]);
            let (key, update) = within(&session, "UPDATE", 7, &format!("{more}\n\nnew"));
            session.handle_request(now, key, update);
        }
        let offer = offered(&mut session);
        let (key, second) = within(&session, "UPDATE", 8, "\n\nsecond");
        session.handle_request(now, key, second);
        let refused = only(responses(&mut session));
        assert!(refused.status == 500 && refused.headers.get("Retry-After").is_some(), "{method}");
        // The user answers the call; its 2xx waits for what is open.
        session.accept(now, None);
        assert!(said(&mut session).is_empty(), "{method}");
        session.answer(now, offer, Answer::Accept(Body::sdp("agreed")));
        let [answer, ok] = &responses(&mut session)[..] else { panic!("the answer and the 2xx") };
        assert_eq!((answer.status, answer.body.as_ref()), (200, &b"agreed"[..]));
        assert_eq!((ok.status, ok.body.len(), session.phase()), (200, 0, Phase::Established));
    }
}

#[test]
fn the_callee_updates_an_early_dialog() {
    let (mut session, now) = answered_early("");
    assert_eq!(said(&mut session), ["200"]);
    session.reinvite(now);
    let offer = wanted(&mut session);
    session.answer(now, offer, Answer::Accept(Body::sdp("new")));
    let (id, update) = only(requests(&mut session));
    assert_eq!(update.method, Method::Update);
    let (key, theirs) = within(&session, "UPDATE", 7, "\n\nglare");
    session.handle_request(now, key, theirs);
    assert_eq!(said(&mut session), ["491"]);
    session.accept(now, None);
    session.handle_response(now, id, answer_to(&update, 200, "b", Some("agreed")));
    assert_eq!((told(&mut session), said(&mut session)), (vec!["Answer agreed".into()], vec!["200".into()]));
}

#[test]
fn our_offer_in_a_reliable_response_is_answered_in_its_prack_or_the_call_is_refused() {
    for (answer, expected, event) in [
        ("\n\ntheirs", &["200"][..], "Answer theirs"),
        ("", &["200", "488"], "Ended Negotiation(\"the answer is missing\")"),
    ] {
        let (mut session, now) = ringing_with("Require: 100rel", None);
        session.provisional(now, 180, None);
        assert!(said(&mut session).is_empty(), "the first reliable response has to bring an offer");
        session.provisional(now, 183, Some(Body::sdp("ours")));
        let response = only(responses(&mut session));
        let rseq: u32 = response.headers.number("RSeq").expect("a number").expect("RSeq");
        session.accept(now, Some(Body::sdp("other")));
        assert!(said(&mut session).is_empty(), "no 2xx before the PRACK");
        let (key, prack) = within(&session, "PRACK", 6, &format!("RAck: {rseq} 5 INVITE{answer}"));
        session.handle_request(now, key, prack);
        let expected: Vec<String> = match answer {
            "" => expected.iter().map(|s| (*s).to_owned()).collect(),
            _ => vec!["200".into(), "200".into()],
        };
        assert_eq!((said(&mut session), told(&mut session)), (expected, vec![event.to_owned()]));
    }
}

#[test]
fn a_description_that_waits_for_a_prack_is_not_lost() {
    let (mut session, now) = ringing_with("Require: 100rel", Some("offer"));
    session.provisional(now, 180, None);
    session.provisional(now, 183, Some(Body::sdp("answer")));
    session.provisional(now, 180, None);
    let mut seen = Vec::new();
    for cseq in 6..9 {
        let response = responses(&mut session).pop().expect("a response");
        let rseq: u32 = response.headers.number("RSeq").expect("a number").expect("RSeq");
        seen.push((response.status, response.body.len()));
        let (key, prack) = within(&session, "PRACK", cseq, &format!("RAck: {rseq} 5 INVITE"));
        session.handle_request(now, key, prack);
    }
    assert_eq!(seen, [(180, 0), (183, 6), (180, 0)]);
}

#[test]
fn each_fork_has_its_own_exchange_and_the_winner_keeps_what_it_agreed() {
    let (mut session, now) = calling(Some("offer"));
    let (id, invite) = only(requests(&mut session));
    session.reinvite(now);
    for tag in ["a", "b", "c"] {
        session.handle_response(now, id, reliably(&invite, tag, 1, Some("answer")));
    }
    let wishes: Vec<(OfferId, Fork)> = events(&mut session)
        .iter()
        .filter_map(|event| match event {
            Event::OfferWanted { id, fork } => Some((*id, *fork)),
            _ => None,
        })
        .collect();
    assert_eq!(wishes.iter().map(|(_, fork)| fork.0).collect::<Vec<_>>(), [0, 1, 2]);
    session.answer(now, wishes[1].0, Answer::Accept(Body::sdp("for b")));
    session.answer(now, wishes[0].0, Answer::Accept(Body::sdp("for a")));
    let sent = requests(&mut session);
    let tags: Vec<_> =
        sent.iter().map(|(_, r)| (r.headers.to().expect("To").tag().map(str::to_owned), text(r))).collect();
    assert_eq!(tags, [(Some("b".into()), "for b"), (Some("a".into()), "for a")]);
    // The third offers itself in its early dialog; then another than it answers.
    session.answer(now, wishes[2].0, Answer::Reject(488));
    let (prack, request) = only(requests(&mut session));
    session.handle_response(now, prack, answer_to(&request, 200, "c", None));
    let (key, mut update) = within(&session, "UPDATE", 1, "\n\nfrom c");
    update.headers.set("From", "<sip:bob@192.0.2.2>;tag=c");
    session.handle_request(now, key, update);
    let offer = offered(&mut session);
    session.handle_response(now, id, answer_to(&invite, 200, "a", None));
    assert_eq!(said(&mut session), ["487", "ACK"], "the loser's offer is answered");
    session.answer(now, offer, Answer::Accept(Body::sdp("too late")));
    assert!(said(&mut session).is_empty());
    session.handle_response(now, sent[0].0, answer_to(&sent[0].1, 200, "b", Some("of b")));
    session.handle_response(now, sent[1].0, answer_to(&sent[1].1, 200, "a", Some("of a")));
    assert_eq!(told(&mut session), ["Answered fork 0", "Answer of a"]);
}

#[test]
fn a_fork_that_is_over_is_left_by_a_199() {
    let (mut session, now, id, invite) = agreed_early();
    let mut over = reliably(&invite, "b", 8, None);
    over.status = 199;
    session.handle_response(now, id, over);
    assert_eq!(only(requests(&mut session)).1.method, Method::Prack, "it was sent reliably");
    assert_eq!(told(&mut session), ["Progress 199 fork 0 -"]);
    let (key, update) = within(&session, "UPDATE", 1, "\n\nnew");
    session.handle_request(now, key, update);
    assert_eq!(said(&mut session), ["481"]);
    session.handle_response(now, id, answer_to(&invite, 200, "c", Some("answer of c")));
    assert_eq!(told(&mut session), ["Answered fork 1", "Answer answer of c"]);
}

#[test]
fn an_update_in_a_confirmed_dialog_where_the_peer_takes_it() {
    for allow in ["UPDATE", "INVITE"] {
        let (mut session, now) = calling(Some("offer"));
        let (id, invite) = only(requests(&mut session));
        let mut ok = answer_to(&invite, 200, "b", Some("answer"));
        ok.headers.push("Allow", allow);
        session.handle_response(now, id, ok);
        outputs(&mut session);
        events(&mut session);
        session.update(now);
        let offer = wanted(&mut session);
        session.answer(now, offer, Answer::Accept(Body::sdp("new")));
        let (id, request) = only(requests(&mut session));
        assert_eq!(request.method.to_string(), if allow == "UPDATE" { "UPDATE" } else { "INVITE" });
        session.handle_response(now, id, answer_to(&request, 200, "b", Some("agreed")));
        assert_eq!(told(&mut session), ["Answer agreed"]);
    }
}

#[test]
fn preconditions_are_refused_by_name() {
    let mut invite = request(&INVITE.replace("Call-ID: in", "Call-ID: in\nRequire: precondition, 100rel"));
    Body::sdp("offer").put(&mut invite.headers, &mut invite.body);
    let key = ServerKey::of_request(&invite).expect("a key");
    let refused = Session::incoming(Instant::now(), Config::default(), contact(), key, &invite, Rng::from_u64(2));
    let refused = refused.map_err(|response| (response.status, response.headers.get("Unsupported").map(str::to_owned)));
    assert_eq!(refused.err(), Some((420, Some("precondition".into()))));
}

#[test]
fn a_2xx_that_comes_too_late_is_released_with_what_its_early_dialog_counted() {
    for cancelled in [true, false] {
        let (mut session, now, id, invite) = agreed_early();
        session.handle_response(now, id, reliably(&invite, "b", 8, None));
        let (_, prack) = only(requests(&mut session));
        let counted = prack.headers.cseq().expect("CSeq").number;
        if cancelled {
            session.hang_up(now, None);
        } else {
            session.handle_response(now, id, answer_to(&invite, 200, "c", Some("answer of c")));
        }
        outputs(&mut session);
        session.handle_stray_response(now, answer_to(&invite, 200, "b", None));
        let (_, bye) = only(requests(&mut session));
        assert_eq!((bye.method, bye.headers.cseq().expect("CSeq").number), (Method::Bye, counted + 1));
    }
}
