//! A registration as its user and the registrar see it.
use super::*;

fn uri(text: &str) -> Uri {
    Uri::parse(text).expect("a URI")
}

fn registration() -> (Registration, Instant) {
    let config = Config {
        aor: NameAddr::parse("Alice <sip:alice@example.com>").expect("an address"),
        registrar: uri("sip:example.com"),
        route: Vec::new(),
        expires: Duration::from_secs(600),
        user_agent: "phone/1".into(),
    };
    (Registration::new(config, uri("sip:192.0.2.1:5070"), Rng::from_u64(1)), Instant::now())
}

fn sent(registration: &mut Registration) -> Vec<(RequestId, Request)> {
    std::iter::from_fn(|| registration.poll_output())
        .map(|output| match output {
            Output::Request { id, request, next_hop } => {
                assert_eq!(next_hop.to_string(), "sip:example.com");
                (id, request)
            }
            other => panic!("{other:?}"),
        })
        .collect()
}

fn only(registration: &mut Registration) -> (RequestId, Request) {
    let mut all = sent(registration);
    assert_eq!(all.len(), 1);
    all.remove(0)
}

fn response(request: &Request, status: u16, headers: &[(&str, &str)]) -> Response {
    let mut response = Response::to_request(request, status, Some("r"));
    response.headers.push_front("Via", "SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKx;rport=5070;received=192.0.2.1");
    for (name, value) in headers {
        response.headers.set(name, value);
    }
    response
}

/// Starts and gets this answer.
fn answered(status: u16, headers: &[(&str, &str)]) -> (Registration, Instant) {
    let (mut registration, now) = registration();
    registration.start(now);
    let (id, request) = only(&mut registration);
    let response = response(&request, status, headers);
    registration.handle_response(now, id, response);
    (registration, now)
}

fn events(registration: &mut Registration) -> Vec<Event> {
    std::iter::from_fn(|| registration.poll_event()).collect()
}

#[test]
fn the_request_is_as_the_rfc_wants_it() {
    let (mut registration, now) = registration();
    registration.start(now);
    let (_, request) = only(&mut registration);
    assert_eq!(request.uri.to_string(), "sip:example.com");
    assert_eq!(request.headers.get("To"), Some("\"Alice\" <sip:alice@example.com>"));
    assert!(request.headers.from().expect("From").tag().is_some());
    assert_eq!(request.headers.get("Expires"), Some("600"));
    let contact = request.headers.get("Contact").expect("Contact");
    assert!(contact.starts_with("<sip:") && contact.ends_with("@192.0.2.1:5070>"), "{contact}");
    assert_eq!(registration.contact().user.as_ref().map(String::len), Some(12));
    assert_eq!(*registration.state(), State::Registering);
}

#[test]
fn refusals_are_tried_again_fast_or_slowly() {
    // status, Retry-After, permanent, shortest and longest time to the next try [ms]
    let rows = [
        (500, None, false, 500, 1_000),
        (503, None, false, 500, 1_000),
        (503, Some("20"), false, 20_000, 20_000),
        (503, Some("999999"), false, 3_600_000, 3_600_000),
        (503, Some("soon"), false, 500, 1_000),
        (423, None, false, 500, 1_000),
        (302, None, false, 500, 1_000),
        (403, None, true, 240_000, 300_000),
        (404, None, true, 240_000, 300_000),
    ];
    for (status, retry_after, permanent, least, most) in rows {
        let headers: Vec<_> = retry_after.map(|value| ("Retry-After", value)).into_iter().collect();
        let (registration, now) = answered(status, &headers);
        let State::Failed { cause: Cause::Refused { status: told, permanent: p, .. }, retry } = registration.state()
        else {
            panic!("{status}: {:?}", registration.state())
        };
        assert_eq!((*told, *p), (status, permanent));
        let delay = (*retry - now).as_millis();
        assert!((least..=most).contains(&delay), "{status}: {delay}");
        assert_eq!(registration.poll_timeout(), Some(*retry));
    }
}

#[test]
fn the_back_off_doubles_to_five_minutes_and_starts_anew_after_success() {
    let (mut registration, mut now) = registration();
    registration.start(now);
    for tried in 0..14 {
        let (id, _) = only(&mut registration);
        registration.handle_failure(now, id, Failure::Timeout);
        let retry = registration.poll_timeout().expect("a retry");
        let most = (1_u128 << tried).min(300) * 1_000;
        let delay = (retry - now).as_millis();
        assert!((most / 2..=most).contains(&delay), "{tried}: {delay}");
        now = retry;
        registration.handle_timeout(now);
        assert_eq!(*registration.state(), State::Registering);
    }
    let (id, request) = only(&mut registration);
    registration.handle_response(now, id, response(&request, 200, &[]));
    now = registration.poll_timeout().expect("a refresh");
    registration.handle_timeout(now);
    let (id, _) = only(&mut registration);
    registration.handle_failure(now, id, Failure::Transport);
    assert!(registration.poll_timeout().expect("a retry") - now <= Duration::from_secs(1));
}

#[test]
fn it_is_refreshed_before_it_expires_with_rising_cseq_and_the_same_call_id() {
    let (mut registration, now) = answered(200, &[("Expires", "60")]);
    assert_eq!(*registration.state(), State::Registered { expires: now + Duration::from_secs(60) });
    let refresh = registration.poll_timeout().expect("a refresh");
    assert!((45..=54).contains(&(refresh - now).as_secs()));
    registration.handle_timeout(refresh - Duration::from_millis(1));
    assert!(sent(&mut registration).is_empty());
    registration.handle_timeout(refresh);
    assert!(matches!(registration.state(), State::Registered { .. }), "a refresh is not seen");
    let (id, second) = only(&mut registration);
    registration.handle_response(refresh, id, response(&second, 200, &[("Expires", "1")]));
    assert!(registration.poll_timeout().expect("a refresh") >= refresh + MIN_REFRESH);
    registration.start(refresh);
    let (_, third) = only(&mut registration);
    assert_eq!(second.headers.get("Call-ID"), third.headers.get("Call-ID"));
    assert!(second.headers.cseq().expect("CSeq").number < third.headers.cseq().expect("CSeq").number);
}

#[test]
fn a_longer_lifetime_is_asked_for_when_the_registrar_wants_it_but_not_without_end() {
    for absurd in ["4294967295", "0", "soon"] {
        let (registration, _) = answered(423, &[("Min-Expires", absurd)]);
        assert!(matches!(registration.state(), State::Failed { .. }), "{absurd}");
    }
    let (mut registration, now) = answered(423, &[("Min-Expires", "1800")]);
    let (id, request) = only(&mut registration);
    assert_eq!(request.headers.get("Expires"), Some("1800"));
    registration.handle_response(now, id, response(&request, 423, &[("Min-Expires", "1800")]));
    assert!(matches!(registration.state(), State::Failed { .. }));
}

#[test]
fn a_challenge_is_met_with_a_new_cseq_or_given_up() {
    let (mut registration, now) = answered(401, &[("WWW-Authenticate", "Digest realm=\"x\"")]);
    let Some(Event::Challenged { id, .. }) = events(&mut registration).pop() else { panic!("no challenge") };
    registration.authenticate(now, RequestId(99), Vec::new());
    assert!(sent(&mut registration).is_empty());
    registration.authenticate(now, id, vec![("Authorization".into(), "Digest x".into())]);
    registration.authenticate(now, id, vec![("Authorization".into(), "Digest x".into())]);
    let (id, again) = only(&mut registration);
    assert_eq!(again.headers.get("Authorization"), Some("Digest x"));
    assert_eq!(again.headers.cseq().expect("CSeq").number, registration.cseq);
    registration.handle_response(now, id, response(&again, 401, &[]));
    registration.give_up(now, id);
    let State::Failed { cause, .. } = registration.state() else { panic!("{:?}", registration.state()) };
    assert!(matches!(cause, Cause::Refused { status: 401, permanent: true, .. }));
}

#[test]
fn challenges_do_not_go_on_without_end() {
    let (mut registration, now) = answered(401, &[]);
    for _ in 0..10 {
        let Some(Event::Challenged { id, .. }) = events(&mut registration).pop() else { break };
        registration.authenticate(now, id, Vec::new());
        let (id, request) = only(&mut registration);
        registration.handle_response(now, id, response(&request, 401, &[]));
    }
    assert!(matches!(registration.state(), State::Failed { .. }));
}

#[test]
fn the_contact_is_corrected_once_and_the_wrong_one_removed() {
    let seen = [("Via", "SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKx;received=198.51.100.4;rport=61000")];
    let (mut registration, now) = answered(200, &seen);
    let (id, request) = only(&mut registration);
    let contacts: Vec<&str> = request.headers.all("Contact").collect();
    assert!(contacts[0].ends_with("@198.51.100.4:61000>"), "{contacts:?}");
    assert!(contacts[1].ends_with("@192.0.2.1:5070>;expires=0"), "{contacts:?}");
    assert!(events(&mut registration).iter().any(|event| matches!(event, Event::ContactChanged(_))));
    let moved = [("Via", "SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKx;received=198.51.100.4;rport=61001")];
    registration.handle_response(now, id, response(&request, 200, &moved));
    assert!(sent(&mut registration).is_empty(), "once only");
    assert!(matches!(registration.state(), State::Registered { .. }));
}

#[test]
fn unregistering_ends_in_off_whatever_the_registrar_says() {
    let outcomes: [Option<u16>; 4] = [None, Some(200), Some(403), Some(500)];
    for outcome in outcomes {
        let (mut registration, now) = answered(200, &[]);
        registration.stop(now);
        assert_eq!(*registration.state(), State::Unregistering);
        let (id, request) = only(&mut registration);
        assert_eq!(request.headers.get("Expires"), Some("0"));
        assert_eq!(request.headers.all("Contact").count(), 1);
        match outcome {
            Some(status) => registration.handle_response(now, id, response(&request, status, &[])),
            None => registration.handle_failure(now, id, Failure::Timeout),
        }
        assert_eq!(*registration.state(), State::Off, "{outcome:?}");
        assert_eq!(registration.poll_timeout(), None);
    }
}

#[test]
fn what_was_never_bound_is_not_unregistered() {
    let (mut registration, now) = registration();
    registration.stop(now);
    assert!(sent(&mut registration).is_empty());
    registration.start(now);
    sent(&mut registration);
    registration.stop(now);
    assert_eq!(sent(&mut registration).len(), 1, "the answer may still be on its way");
}
