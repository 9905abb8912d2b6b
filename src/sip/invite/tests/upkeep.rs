//! What keeps a call alive between its first INVITE and its BYE: PRACK and session timers.
use super::*;
use crate::base::rng::Rng;
use crate::sip::key::ServerKey;
use crate::sip::message::Method;
use crate::sip::testing::{ms, request};
use std::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

/// A call of ours that was answered with these headers.
fn answered(headers: &[(&str, &str)]) -> (Session, Instant) {
    let (mut session, now) = calling(Some("offer"));
    let (id, invite) = only(requests(&mut session));
    let mut ok = answer_to(&invite, 200, "b", Some("answer"));
    headers.iter().for_each(|(name, value)| ok.headers.push(name, value));
    session.handle_response(now, id, ok);
    outputs(&mut session);
    events(&mut session);
    (session, now)
}

#[test]
fn an_invite_says_what_we_can_and_asks_for_a_timer() {
    for (offer, supported) in [
        (Some("offer"), "100rel, 199, timer, replaces, from-change"),
        (None, "100rel, 199, timer, replaces, from-change"),
    ] {
        let (mut session, _) = calling(offer);
        let (_, invite) = only(requests(&mut session));
        assert_eq!(invite.headers.get("Supported"), Some(supported));
        assert_eq!(invite.headers.get("Session-Expires"), Some("1800"));
    }
}

#[test]
fn we_refresh_at_half_time_and_end_the_call_when_nobody_answers() {
    let (mut session, mut now) = answered(&[("Allow", "UPDATE"), ("Session-Expires", "90;refresher=uac")]);
    for _ in 0..3 {
        pass(&mut session, &mut now, ms(44_990));
        assert!(outputs(&mut session).is_empty());
        pass(&mut session, &mut now, ms(20));
        let (id, update) = only(requests(&mut session));
        assert_eq!((update.method.clone(), update.body.len()), (Method::Update, 0));
        assert_eq!(update.headers.get("Session-Expires"), Some("90;refresher=uac"));
        let mut ok = answer_to(&update, 200, "b", None);
        ok.headers.push("Session-Expires", "90;refresher=uac");
        session.handle_response(now, id, ok);
        now -= ms(10);
    }
    pass(&mut session, &mut now, 59 * SECOND);
    assert!(requests(&mut session).iter().all(|(_, request)| request.method == Method::Update));
    pass(&mut session, &mut now, 2 * SECOND);
    assert_eq!(told(&mut session), ["Expired"]);
    session.expire(now);
    assert_eq!(told(&mut session), ["Ended SessionExpired"]);
    assert_eq!(only(requests(&mut session)).1.method, Method::Bye);
}

#[test]
fn a_peer_that_takes_no_update_is_refreshed_by_reinvite() {
    // Not listed; listed and then refused.
    for allow in ["INVITE, BYE", "UPDATE"] {
        let (mut session, mut now) = answered(&[("Allow", allow), ("Session-Expires", "100")]);
        pass(&mut session, &mut now, 50 * SECOND);
        if allow == "UPDATE" {
            let (id, update) = only(requests(&mut session));
            session.handle_response(now, id, answer_to(&update, 405, "b", None));
        }
        assert_eq!(told(&mut session), ["OfferWanted"]);
        session.answer(now, OfferId(1), Answer::Accept(Body::sdp("same")));
        let (id, reinvite) = only(requests(&mut session));
        assert_eq!(reinvite.headers.get("Session-Expires"), Some("100;refresher=uac"));
        session.handle_response(now, id, answer_to(&reinvite, 200, "b", Some("same")));
        // The peer wants no timer any longer.
        pass(&mut session, &mut now, 500 * SECOND);
        assert_eq!(told(&mut session), ["Answer same"]);
    }
}

#[test]
fn a_dialog_the_refresh_does_not_find_is_over() {
    let (mut session, mut now) = answered(&[("Allow", "UPDATE"), ("Session-Expires", "90")]);
    pass(&mut session, &mut now, 45 * SECOND);
    let (id, update) = only(requests(&mut session));
    session.handle_response(now, id, answer_to(&update, 481, "b", None));
    assert_eq!(told(&mut session), ["Lost 481"]);
    session.abandon(now, 481);
    assert_eq!(
        (requests(&mut session).len(), told(&mut session)),
        (0, vec!["Ended DialogLost { status: 481 }".to_owned()])
    );
}

#[test]
fn a_dialog_that_is_found_again_is_refreshed_again() {
    let (mut session, mut now) = answered(&[("Allow", "UPDATE"), ("Session-Expires", "600;refresher=uac")]);
    pass(&mut session, &mut now, 200 * SECOND);
    session.probe();
    let (id, _) = only(requests(&mut session));
    session.handle_failure(now, id, Failure::Timeout);
    assert_eq!(told(&mut session), ["Lost 408"]);
    pass(&mut session, &mut now, 150 * SECOND);
    assert!(requests(&mut session).is_empty(), "nobody is there");
    session.probe();
    let (id, options) = only(requests(&mut session));
    session.handle_response(now, id, answer_to(&options, 200, "b", None));
    pass(&mut session, &mut now, SECOND);
    let (id, update) = only(requests(&mut session));
    assert_eq!(update.method, Method::Update);
    let mut ok = answer_to(&update, 200, "b", None);
    ok.headers.push("Session-Expires", "600;refresher=uac");
    session.handle_response(now, id, ok);
    told(&mut session);
    pass(&mut session, &mut now, 299 * SECOND);
    assert!(told(&mut session).is_empty(), "the session goes on");
}

#[test]
fn a_peer_that_promised_to_refresh_and_does_not_is_left() {
    let (mut session, mut now) = answered(&[("Session-Expires", "90;refresher=uas")]);
    pass(&mut session, &mut now, 50 * SECOND);
    let (key, update) = within(&session, "UPDATE", 1, "Supported: timer\nSession-Expires: 120;refresher=uac");
    session.handle_request(now, key, update);
    assert_eq!(only(responses(&mut session)).headers.get("Session-Expires"), Some("120;refresher=uac"));
    pass(&mut session, &mut now, 87 * SECOND);
    assert!(told(&mut session).is_empty());
    pass(&mut session, &mut now, 2 * SECOND);
    assert_eq!(told(&mut session), ["Expired"]);
    session.expire(now);
    assert_eq!(told(&mut session), ["Ended SessionExpired"]);
}

#[test]
fn an_invite_that_asks_for_too_little_is_sent_again_with_more() {
    let (mut session, now) = calling(Some("offer"));
    let (id, invite) = only(requests(&mut session));
    let mut refused = answer_to(&invite, 422, "b", None);
    refused.headers.push("Min-SE", "3600");
    session.handle_response(now, id, refused);
    assert!(told(&mut session).is_empty());
    let (id, again) = only(requests(&mut session));
    assert_eq!(again.headers.get("Session-Expires"), Some("3600"));
    assert_eq!(again.headers.get("Min-SE"), Some("3600"));
    assert_eq!(again.headers.get("Call-ID"), invite.headers.get("Call-ID"));
    assert_ne!(again.headers.get("CSeq"), invite.headers.get("CSeq"));
    // A server that wants the same again is not asked for ever.
    let mut refused = answer_to(&again, 422, "b", None);
    refused.headers.push("Min-SE", "3600");
    session.handle_response(now, id, refused);
    assert_eq!(told(&mut session), ["Ended Refused 422"]);
}

#[test]
fn a_reliable_response_gets_one_prack_and_a_late_one_is_not_looked_at() {
    let (mut session, now) = calling(Some("offer"));
    let (id, invite) = only(requests(&mut session));
    let cseq = invite.headers.cseq().expect("CSeq").number;
    let progress = |tag: &str, rseq: u32| {
        let mut response = answer_to(&invite, 183, tag, Some("early"));
        response.headers.push("Require", "100rel");
        response.headers.push("RSeq", rseq);
        response
    };
    // Tag, RSeq, and the CSeq of the PRACK that follows: each fork counts for itself.
    let rows = [
        ("b", 7, Some(cseq + 1)),
        ("b", 7, None),
        ("b", 9, None),
        ("c", 100, Some(cseq + 1)),
        ("b", 8, Some(cseq + 2)),
    ];
    for (tag, rseq, number) in rows {
        session.handle_response(now, id, progress(tag, rseq));
        let pracks = requests(&mut session);
        let told = told(&mut session);
        let Some(number) = number else {
            assert!(pracks.is_empty() && told.is_empty(), "{tag} {rseq}: {pracks:?} {told:?}");
            continue;
        };
        let (prack_id, prack) = only(pracks);
        assert_eq!(prack.headers.get("RAck"), Some(format!("{rseq} {cseq} INVITE").as_str()));
        assert_eq!(prack.headers.get("CSeq"), Some(format!("{number} PRACK").as_str()));
        assert_eq!(prack.headers.to().expect("To").tag(), Some(tag));
        assert_eq!(told.len(), 1);
        session.handle_response(now, prack_id, answer_to(&prack, 200, tag, None));
    }
    session.handle_response(now, id, answer_to(&invite, 200, "b", None));
    assert_eq!(told(&mut session), ["Answered fork 0"]);
    let ack = outputs(&mut session).into_iter().find_map(|output| match output {
        Output::Ack { request, .. } => Some(request),
        _ => None,
    });
    assert_eq!(ack.expect("ACK").headers.cseq().expect("CSeq").number, cseq);
    session.hang_up(now, None);
    let (_, bye) = only(requests(&mut session));
    assert_eq!(bye.headers.cseq().expect("CSeq").number, cseq + 3, "after both PRACKs of this fork");
}

#[test]
fn a_challenged_prack_is_sent_again_in_its_own_dialog() {
    let (mut session, now) = calling(Some("offer"));
    let (id, invite) = only(requests(&mut session));
    let mut reliable = answer_to(&invite, 180, "b", None);
    reliable.headers.push("Require", "100rel");
    reliable.headers.push("RSeq", 1);
    session.handle_response(now, id, reliable);
    let (id, prack) = only(requests(&mut session));
    session.handle_response(now, id, answer_to(&prack, 407, "b", None));
    session.authenticate(now, id, vec![("Proxy-Authorization".to_owned(), "Digest x".to_owned())]);
    let (_, again) = only(requests(&mut session));
    let number = |request: &Request| request.headers.cseq().expect("CSeq").number;
    assert_eq!((number(&again), again.headers.get("RAck")), (number(&prack) + 1, prack.headers.get("RAck")));
}

/// An incoming call whose caller insists on reliable responses.
fn insisting() -> (Session, Instant) {
    let mut invite = request(&INVITE.replace("Call-ID: in", "Call-ID: in\nRequire: 100rel"));
    Body::sdp("offer").put(&mut invite.headers, &mut invite.body);
    let (now, key) = (Instant::now(), ServerKey::of_request(&invite).expect("a key"));
    let session = Session::incoming(now, Config::default(), contact(), key, &invite, Rng::from_u64(2));
    (session.expect("a good INVITE"), now)
}

fn prack(session: &Session, cseq: u32, rack: &str) -> (ServerKey, Request) {
    within(session, "PRACK", cseq, &format!("RAck: {rack}"))
}

#[test]
fn what_the_caller_wants_reliably_is_repeated_until_its_prack() {
    let (mut session, mut now) = insisting();
    session.provisional(now, 180, None);
    let first = only(responses(&mut session));
    assert_eq!((first.status, first.headers.get("Require")), (180, Some("100rel")));
    let rseq: u32 = first.headers.number("RSeq").expect("a number").expect("there");
    // Nothing else goes out before its PRACK; it comes again after 0.5 s, 1 s, 2 s.
    session.provisional(now, 183, None);
    for wait in [500, 1_000, 2_000] {
        pass(&mut session, &mut now, ms(wait - 1));
        assert!(responses(&mut session).is_empty());
        pass(&mut session, &mut now, ms(1));
        assert_eq!(only(responses(&mut session)).headers.number("RSeq"), Ok(Some(rseq)));
    }
    for (n, wrong) in
        [format!("{} 5 INVITE", rseq + 1), format!("{rseq} 6 INVITE"), format!("{rseq} 5 BYE"), String::new()]
            .iter()
            .enumerate()
    {
        let (key, request) = prack(&session, 10 + u32::try_from(n).unwrap_or(0), wrong);
        session.handle_request(now, key, request);
        assert_eq!(only(responses(&mut session)).status, 481, "{wrong}");
    }
    let (key, request) = prack(&session, 20, &format!("{rseq} 5 INVITE"));
    session.handle_request(now, key, request);
    let said = responses(&mut session);
    assert_eq!(said.iter().map(|r| r.status).collect::<Vec<_>>(), [200, 183]);
    assert_eq!(said[1].headers.number("RSeq"), Ok(Some(rseq + 1)));
    session.accept(now, Some(Body::sdp("answer")));
    assert_eq!(only(responses(&mut session)).status, 200);
    // Late, but right: the caller is told so.
    let (key, request) = prack(&session, 21, &format!("{} 5 INVITE", rseq + 1));
    session.handle_request(now, key, request);
    assert_eq!(only(responses(&mut session)).status, 200);
}

#[test]
fn a_caller_that_never_sends_prack_is_refused() {
    let (mut session, mut now) = insisting();
    session.provisional(now, 180, None);
    pass(&mut session, &mut now, 33 * SECOND);
    let said = responses(&mut session);
    assert_eq!(said.last().map(|response| response.status), Some(504));
    assert_eq!(told(&mut session), ["Ended NoAck"]);
}
