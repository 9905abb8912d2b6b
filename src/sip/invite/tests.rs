//! One session alone, fed by hand.
use super::*;
use crate::base::rng::Rng;
use crate::sip::key::ServerKey;
use crate::sip::testing::*;
use std::time::Instant;

pub(super) fn contact() -> NameAddr {
    NameAddr::parse("<sip:me@192.0.2.1>").expect("a contact")
}

pub(super) fn invitation(body: Option<&'static str>) -> Invitation {
    Invitation {
        request_uri: Uri::parse("sip:bob@192.0.2.2").expect("a URI"),
        from: NameAddr::parse("<sip:alice@192.0.2.1>").expect("an address"),
        to: NameAddr::parse("<sip:bob@192.0.2.2>").expect("an address"),
        contact: contact(),
        route: Vec::new(),
        headers: Vec::new(),
        body: body.map(Body::sdp),
    }
}

pub(super) fn calling(body: Option<&'static str>) -> (Session, Instant) {
    let now = Instant::now();
    (Session::invite(now, Config::default(), invitation(body), Rng::from_u64(1)), now)
}

pub(super) fn outputs(session: &mut Session) -> Vec<Output> {
    std::iter::from_fn(|| session.poll_output()).collect()
}

pub(super) fn events(session: &mut Session) -> Vec<Event> {
    std::iter::from_fn(|| session.poll_event()).collect()
}

/// Methods of requests, statuses of responses.
fn said(session: &mut Session) -> Vec<String> {
    outputs(session).iter().map(spell).collect()
}

fn spell(output: &Output) -> String {
    match output {
        Output::Request { request, .. } => request.method.to_string(),
        Output::Ack { request, .. } if request.body.is_empty() => "ACK".into(),
        Output::Ack { .. } => "ACK with body".into(),
        Output::Cancel { .. } => "CANCEL".into(),
        Output::Response { response, .. } => response.status.to_string(),
    }
}

fn told(session: &mut Session) -> Vec<String> {
    events(session).iter().map(name).collect()
}

pub(super) fn name(event: &Event) -> String {
    match event {
        Event::Progress { fork, status, body, .. } => {
            format!("Progress {status} fork {} {}", fork.0, if body.is_some() { "with body" } else { "-" })
        }
        Event::Answered { fork, .. } => format!("Answered fork {}", fork.0),
        Event::Confirmed => "Confirmed".into(),
        Event::Answer { body, .. } => format!("Answer {}", String::from_utf8_lossy(&body.bytes)),
        Event::Offer { body, .. } => format!("Offer {}", String::from_utf8_lossy(&body.bytes)),
        Event::OfferWanted { .. } => "OfferWanted".into(),
        Event::OfferRejected { status, .. } => format!("OfferRejected {status}"),
        Event::Lost { status } => format!("Lost {status}"),
        Event::Alive => "Alive".into(),
        Event::Expired => "Expired".into(),
        Event::Challenged { .. } => "Challenged".into(),
        Event::Redirected { contacts, .. } => format!("Redirected {}", contacts[0].uri),
        Event::Notified { request } => format!("Notified {}", request.method),
        Event::Referred { target, .. } => format!("Referred {target}"),
        Event::TransferProgress { status, over } => format!("TransferProgress {status} {over}"),
        Event::Ended { cause } => format!("Ended {}", why(cause)),
    }
}

fn why(cause: &Cause) -> String {
    match cause {
        Cause::Refused { response, .. } => format!("Refused {}", response.status),
        Cause::PeerHungUp { reasons } | Cause::PeerCancelled { reasons } if !reasons.is_empty() => {
            format!("by the peer: {} {:?}", reasons[0].protocol, reasons[0].cause)
        }
        other => format!("{other:?}").replace(" { reasons: [] }", ""),
    }
}

fn first_request(session: &mut Session) -> (RequestId, Request) {
    let all = outputs(session);
    all.into_iter()
        .find_map(|output| match output {
            Output::Request { id, request, .. } => Some((id, request)),
            _ => None,
        })
        .expect("a request")
}

/// The peer's response to a request of ours.
pub(super) fn answer_to(request: &Request, status: u16, tag: &str, body: Option<&'static str>) -> Response {
    let mut response = Response::to_request(request, status, Some(tag));
    response.headers.push("Contact", format_args!("<sip:{tag}@192.0.2.2>"));
    if let Some(body) = body {
        Body::sdp(body).put(&mut response.headers, &mut response.body);
    }
    response
}

fn established() -> (Session, Instant) {
    let (mut session, now) = calling(Some("offer"));
    let (id, invite) = first_request(&mut session);
    session.handle_response(now, id, answer_to(&invite, 200, "b", Some("answer")));
    outputs(&mut session);
    events(&mut session);
    (session, now)
}

/// A request of the peer in the dialog.
pub(super) fn within(session: &Session, method: &str, cseq: u32, more: &str) -> (ServerKey, Request) {
    let key = session.key();
    let (headers, body) = more.split_once("\n\n").unwrap_or((more, ""));
    let mut request = request(&format!(
        "{method} sip:me@192.0.2.1 SIP/2.0
         Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK{method}{cseq}
         From: <sip:bob@192.0.2.2>;tag=b
         To: <sip:alice@192.0.2.1>;tag={}
         Call-ID: {}
         CSeq: {cseq} {method}
         Contact: <sip:b@192.0.2.2>
         {headers}",
        key.local_tag, key.call_id
    ));
    if !body.is_empty() {
        Body::sdp(body.to_owned()).put(&mut request.headers, &mut request.body);
    }
    (ServerKey::of_request(&request).expect("a key"), request)
}

pub(super) const INVITE: &str = "INVITE sip:me@192.0.2.1 SIP/2.0
    Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKin
    Record-Route: <sip:proxy;lr=on>
    From: <sip:bob@192.0.2.2>;tag=b
    To: <sip:alice@192.0.2.1>
    Call-ID: in
    CSeq: 5 INVITE
    Contact: <sip:192.0.2.2:15060>";

pub(super) fn ringing(offer: Option<&'static str>) -> (Session, Instant) {
    let mut request = request(INVITE);
    if let Some(offer) = offer {
        Body::sdp(offer).put(&mut request.headers, &mut request.body);
    }
    let now = Instant::now();
    let key = ServerKey::of_request(&request).expect("a key");
    let session = Session::incoming(now, Config::default(), contact(), key, &request, Rng::from_u64(2));
    (session.expect("a good INVITE"), now)
}

/// An answered incoming call whose ACK has come.
fn confirmed() -> (Session, Instant) {
    let (mut session, now) = ringing(Some("offer"));
    session.accept(now, Some(Body::sdp("answer")));
    let (_, ack) = within(&session, "ACK", 5, "");
    session.handle_ack(now, ack);
    assert_eq!(told(&mut session), ["Confirmed"]);
    outputs(&mut session);
    (session, now)
}

pub(super) fn pass(session: &mut Session, now: &mut Instant, duration: Duration) {
    let end = *now + duration;
    while let Some(at) = session.poll_timeout().filter(|at| *at <= end) {
        *now = at;
        session.handle_timeout(at);
    }
    *now = end;
}

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

#[test]
fn each_target_refresh_moves_the_bye() {
    let bye_goes_to = |session: &mut Session, now| {
        outputs(session);
        session.hang_up(now, None);
        first_request(session).1.uri.to_string()
    };
    for method in ["UPDATE", "INVITE"] {
        let (mut session, now) = confirmed();
        let (key, mut request) = within(&session, method, 6, "\n\nnew offer");
        request.headers.set("Contact", "<sip:moved@192.0.2.9>");
        session.handle_request(now, key, request);
        let Some(Event::Offer { id, .. }) = session.poll_event() else { panic!("no offer") };
        session.answer(now, id, Answer::Accept(Body::sdp("answer")));
        assert_eq!(bye_goes_to(&mut session, now), "sip:moved@192.0.2.9", "{method}");
    }
    let (mut session, now) = established();
    let (id, request) = reinvite(&mut session, now);
    let mut ok = answer_to(&request, 200, "b", Some("held"));
    ok.headers.set("Contact", "<sip:moved@192.0.2.9>");
    session.handle_response(now, id, ok);
    assert_eq!(bye_goes_to(&mut session, now), "sip:moved@192.0.2.9");
}

#[test]
fn requests_within_the_dialog() {
    /// Method, CSeq, headers and body; what we say, what we tell.
    type Row = (&'static str, u32, &'static str, &'static [&'static str], &'static [&'static str]);
    let rows: [Row; 21] = [
        ("INFO", 4, "", &["500"], &[]),
        ("OPTIONS", 6, "Require: novelty", &["420"], &[]),
        ("MESSAGE", 6, "", &["405"], &[]),
        ("REFER", 6, "", &["400"], &[]),
        ("REFER", 6, "Refer-To: <tel:1>", &["400"], &[]),
        ("REFER", 6, "Refer-To: <sip:a@h>\nRefer-To: <sip:b@h>", &["400"], &[]),
        ("REFER", 6, "Refer-To: sip:602@192.0.2.1", &["202", "NOTIFY"], &["Referred <sip:602@192.0.2.1>"]),
        ("PRACK", 6, "", &["481"], &[]),
        ("UPDATE", 6, "Supported: timer\nSession-Expires: 5", &["422"], &[]),
        ("INVITE", 6, "Supported: timer\nSession-Expires: 5", &["422"], &[]),
        ("NOTIFY", 6, "Event: refer", &["481"], &[]),
        ("BREW", 6, "", &["501"], &[]),
        ("INFO", 6, "Info-Package: nonsense", &["469"], &[]),
        ("UPDATE", 6, "Content-Type: x/y\nContent-Length: 1\n\n", &["200"], &[]),
        ("INFO", 6, "", &["200"], &["Notified INFO"]),
        ("OPTIONS", 6, "", &["200"], &[]),
        ("UPDATE", 6, "P-Asserted-Identity: <sip:new@h>", &["200"], &["Notified UPDATE"]),
        ("UPDATE", 6, "\n\nnew offer", &[], &["Offer new offer"]),
        ("INVITE", 6, "\n\nnew offer", &[], &["Offer new offer"]),
        ("INVITE", 6, "", &[], &["OfferWanted"]),
        ("BYE", 6, "Reason: Q.850;cause=16", &["200"], &["Ended by the peer: Q.850 Some(16)"]),
    ];
    for (method, cseq, more, says, tells) in rows {
        let more = more.replace("Content-Length: 1\n\n", "");
        let (mut session, now) = confirmed();
        let (key, request) = within(&session, method, cseq, &more);
        session.handle_request(now, key, request);
        assert_eq!(said(&mut session), says, "{method} {more}");
        assert_eq!(told(&mut session), tells, "{method} {more}");
    }
    let (mut session, now) = confirmed();
    let (key, mut stranger) = within(&session, "BYE", 6, "");
    stranger.headers.set("From", "<sip:bob@192.0.2.2>;tag=other");
    session.handle_request(now, key, stranger);
    assert_eq!((said(&mut session), told(&mut session)), (vec!["481".to_owned()], vec![]));
}

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

fn reinvite(session: &mut Session, now: Instant) -> (RequestId, Request) {
    session.reinvite(now);
    let Some(Event::OfferWanted { id }) = session.poll_event() else { panic!("no offer wanted") };
    session.answer(now, id, Answer::Accept(Body::sdp("hold")));
    first_request(session)
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
fn a_probe_tells_whether_the_dialog_is_there() {
    // Status (0: no answer, 1: not sent), what is told, what `abandon` says then.
    let rows: [(u16, &str, &[&str]); 5] = [
        (0, "Lost 408", &["BYE"]),
        (1, "Lost 503", &["BYE"]),
        (481, "Lost 481", &[]),
        (405, "Alive", &["BYE"]),
        (200, "Alive", &["BYE"]),
    ];
    for (status, tells, says) in rows {
        let (mut session, now) = established();
        session.probe();
        let (id, options) = first_request(&mut session);
        assert_eq!(
            (options.method.as_str(), options.headers.get("To").is_some_and(|to| to.contains("tag="))),
            ("OPTIONS", true)
        );
        session.probe();
        assert!(said(&mut session).is_empty(), "one question at a time");
        assert!(session.awaits(id));
        match status {
            0 => session.handle_failure(now, id, Failure::Timeout),
            1 => session.handle_failure(now, id, Failure::Transport),
            _ => session.handle_response(now, id, answer_to(&options, status, "b", None)),
        }
        assert_eq!((told(&mut session), session.phase()), (vec![tells.to_owned()], Phase::Established));
        session.abandon(now, if status == 481 { 481 } else { 408 });
        assert_eq!(said(&mut session), says, "{status}");
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
    let Some(Event::OfferWanted { id }) = session.poll_event() else { panic!("no offer wanted") };
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
fn a_session_always_ends_its_wait() {
    let (mut session, mut now) = established();
    session.hang_up(now, None);
    first_request(&mut session);
    events(&mut session);
    assert!(!session.is_done());
    pass(&mut session, &mut now, ms(96_000));
    assert!(session.is_done());
}
