//! A registration as its user and the registrar see it.
use super::*;

fn uri(text: &str) -> Uri {
    Uri::parse(text).expect("a URI")
}

const URN: &str = "urn:uuid:0c67446e-f1a1-11d9-94d3-000a95a0e128";
const CONTACT: &str = "sip:0a1b2c@192.0.2.1:5070";

fn registration() -> (Registration, Instant) {
    registration_as(None, None)
}

fn registration_as(instance: Option<&str>, reg_id: Option<u32>) -> (Registration, Instant) {
    let config = Config {
        instance: instance.map(str::to_owned),
        reg_id,
        aor: NameAddr::parse("Alice <sip:alice@example.com>").expect("an address"),
        registrar: uri("sip:example.com"),
        route: Vec::new(),
        expires: Duration::from_secs(600),
        user_agent: "phone/1".into(),
    };
    (Registration::new(config, Rng::from_u64(1)), Instant::now())
}

/// Finds the way, as whoever is asked for it does.
fn go(registration: &mut Registration, now: Instant, others: bool) {
    let due = events(registration).iter().any(|event| matches!(event, Event::Due));
    assert!(due, "not due: {:?}", registration.state());
    registration.register(now, uri(CONTACT), others);
}

fn sent(registration: &mut Registration) -> Vec<(RequestId, Request)> {
    std::iter::from_fn(|| registration.poll_output())
        .filter_map(|output| match output {
            Output::Request { id, request, next_hop } => {
                assert!(next_hop.to_string().ends_with("example.com"), "{next_hop}");
                Some((id, request))
            }
            Output::Cancel { .. } => None,
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
    answered_as(registration(), status, headers)
}

fn answered_as(
    (mut registration, now): (Registration, Instant),
    status: u16,
    headers: &[(&str, &str)],
) -> (Registration, Instant) {
    registration.start(now);
    go(&mut registration, now, false);
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
    let (mut registration, now) = registration_as(Some(URN), Some(2));
    registration.start(now);
    go(&mut registration, now, false);
    let (_, request) = only(&mut registration);
    assert_eq!(request.uri.to_string(), "sip:example.com");
    assert_eq!(request.headers.get("To"), Some("\"Alice\" <sip:alice@example.com>"));
    assert!(request.headers.from().expect("From").tag().is_some());
    assert_eq!(request.headers.get("Expires"), Some("600"));
    let contact = format!("<{CONTACT}>;+sip.instance=\"<{URN}>\";reg-id=2");
    assert_eq!(request.headers.get("Contact"), Some(contact.as_str()));
    assert_eq!(request.headers.get("Supported"), Some("path, gruu, outbound"));
    assert_eq!(*registration.state(), State::Registering);
}

#[test]
fn only_what_is_configured_is_said_to_be_supported() {
    for (instance, reg_id, supported) in
        [(None, None, "path"), (None, Some(1), "path"), (Some(URN), None, "path, gruu")]
    {
        let (mut registration, now) = registration_as(instance, reg_id);
        registration.start(now);
        go(&mut registration, now, false);
        let (_, request) = only(&mut registration);
        assert_eq!(request.headers.get("Supported"), Some(supported));
        let contact = request.headers.get("Contact").expect("Contact");
        assert!(!contact.contains("reg-id"), "{contact}");
        assert_eq!(contact.contains("+sip.instance"), instance.is_some(), "{contact}");
    }
}

#[test]
fn refusals_are_tried_again_briskly_or_slowly() {
    // status, Retry-After, permanent, shortest and longest time to the next try [ms]
    let rows = [
        (500, None, false, 4_000, 4_400),
        (503, None, false, 4_000, 4_400),
        (503, Some("20"), false, 20_000, 20_000),
        (503, Some("999999"), false, 3_600_000, 3_600_000),
        (503, Some("soon"), false, 4_000, 4_400),
        (423, None, false, 4_000, 4_400),
        (403, None, true, 240_000, 300_000),
        (404, None, true, 240_000, 300_000),
        (404, Some("900"), true, 900_000, 900_000),
        (420, None, true, 240_000, 300_000),
        (421, None, true, 240_000, 300_000),
        (439, None, true, 240_000, 300_000),
        (600, None, true, 240_000, 300_000),
    ];
    for (status, retry_after, permanent, least, most) in rows {
        let headers: Vec<_> = retry_after.map(|value| ("Retry-After", value)).into_iter().collect();
        let (registration, now) = answered(status, &headers);
        let State::Failed { cause: Cause::Refused { status: told, permanent: p, .. }, retry: Some(retry) } =
            registration.state()
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
fn a_try_without_an_answer_is_given_up_and_the_next_one_asks_for_a_way() {
    let (mut registration, start) = registration();
    registration.start(start);
    let mut now = start;
    for _ in 0..5 {
        go(&mut registration, now, false);
        let (id, request) = only(&mut registration);
        let deadline = registration.poll_timeout().expect("a deadline");
        assert_eq!(deadline - now, Duration::from_secs(4));
        registration.handle_timeout(deadline);
        assert!(matches!(registration.poll_output(), Some(Output::Cancel { id: given_up, .. }) if given_up == id));
        let State::Failed { cause: Cause::Unreachable(Failure::Timeout), retry: Some(retry) } = registration.state()
        else {
            panic!("{:?}", registration.state())
        };
        assert!(*retry - now < Duration::from_millis(4_500));
        now = *retry;
        // Too late: it was given up.
        registration.handle_response(now, id, response(&request, 200, &[]));
        registration.handle_timeout(now);
        assert!(matches!(registration.state(), State::Failed { retry: None, .. }), "the cause stays to be seen");
    }
    go(&mut registration, now, false);
    let (id, request) = only(&mut registration);
    registration.handle_response(now, id, response(&request, 200, &[]));
    assert!(matches!(registration.state(), State::Registered { .. }));
}

#[test]
fn another_way_is_tried_at_once() {
    let (mut registration, now) = registration();
    registration.start(now);
    go(&mut registration, now, true);
    let (id, _) = only(&mut registration);
    assert_eq!(registration.poll_timeout(), Some(now + Duration::from_secs(3)));
    registration.handle_failure(now, id, Failure::Transport);
    assert_eq!(*registration.state(), State::Registering);
    go(&mut registration, now, false);
    let (id, request) = only(&mut registration);
    // What one server of the domain forbids, no other allows.
    registration.handle_response(now, id, response(&request, 503, &[]));
    assert!(matches!(registration.state(), State::Failed { retry: Some(_), .. }));
    registration.start(now);
    go(&mut registration, now, true);
    let (id, request) = only(&mut registration);
    registration.handle_response(now, id, response(&request, 403, &[]));
    assert!(matches!(registration.state(), State::Failed { cause: Cause::Refused { status: 403, .. }, .. }));
}

#[test]
fn what_is_lost_is_made_anew() {
    let (mut registration, now) = answered(200, &[]);
    let later = now + Duration::from_secs(300);
    registration.fail(later, "closed by the peer");
    let State::Failed { cause: Cause::Told(words), retry: Some(retry) } = registration.state().clone() else {
        panic!("{:?}", registration.state())
    };
    assert_eq!(words, "closed by the peer");
    assert!(retry - later <= Duration::from_secs(1));
    registration.handle_timeout(retry);
    go(&mut registration, retry, false);
    let (id, request) = only(&mut registration);
    registration.handle_response(retry, id, response(&request, 200, &[]));
    assert!(matches!(registration.state(), State::Registered { .. }));
}

#[test]
fn another_network_moves_the_binding_at_once() {
    for (reg_id, grants, contacts) in [(None, "", 2), (Some(1), "", 2), (Some(1), "outbound", 1)] {
        let (mut registration, now) = answered_as(registration_as(Some(URN), reg_id), 200, &[("Require", grants)]);
        events(&mut registration);
        registration.renew(now);
        assert_eq!(*registration.state(), State::Registering);
        assert!(events(&mut registration).iter().any(|event| matches!(event, Event::Due)));
        registration.register(now, uri("sip:0a1b2c@198.51.100.7:5070"), false);
        let (_, request) = only(&mut registration);
        let all: Vec<&str> = request.headers.all("Contact").collect();
        assert!(all[0].contains("198.51.100.7"), "{all:?}");
        assert_eq!(all.len(), contacts, "{all:?}");
        assert!(all.iter().skip(1).all(|old| old.contains("192.0.2.1:5070>;expires=0")), "{all:?}");
    }
    let (mut off, now) = registration();
    off.renew(now);
    assert!(events(&mut off).is_empty(), "what nobody wants is not begun");
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
    events(&mut registration);
    registration.start(refresh);
    go(&mut registration, refresh, false);
    let (_, third) = only(&mut registration);
    assert_eq!(second.headers.get("Call-ID"), third.headers.get("Call-ID"));
    assert!(second.headers.cseq().expect("CSeq").number < third.headers.cseq().expect("CSeq").number);
}

#[test]
fn a_first_hop_without_outbound_is_asked_again_without_it() {
    let (mut registration, now) = answered_as(registration_as(Some(URN), Some(1)), 439, &[]);
    let (id, again) = only(&mut registration);
    assert_eq!(again.headers.get("Supported"), Some("path, gruu"));
    assert!(!again.headers.get("Contact").expect("Contact").contains("reg-id"));
    registration.handle_response(now, id, response(&again, 200, &[("Supported", "outbound")]));
    assert!(!registration.grant().expect("registered").outbound, "nothing was asked for");
    let (mut registration, now) = answered_as(registration_as(Some(URN), Some(1)), 439, &[]);
    let (id, again) = only(&mut registration);
    registration.handle_response(now, id, response(&again, 439, &[]));
    assert!(matches!(registration.state(), State::Failed { .. }), "once only");
}

#[test]
fn an_extension_that_is_refused_is_not_named_again() {
    let (mut registration, now) =
        answered_as(registration_as(Some(URN), Some(1)), 420, &[("Unsupported", "path, gruu")]);
    let (id, again) = only(&mut registration);
    assert_eq!(again.headers.get("Supported"), Some("outbound"));
    registration.handle_response(now, id, response(&again, 420, &[("Unsupported", "path")]));
    assert!(matches!(registration.state(), State::Failed { cause: Cause::Refused { status: 420, .. }, .. }));
}

#[test]
fn a_redirection_is_followed_once() {
    let contacts = [("Contact", "<sip:reg2.example.com>;q=0.5")];
    let (mut registration, now) = answered(302, &contacts);
    let told = events(&mut registration);
    assert!(matches!(&told[..], [.., Event::Redirected { targets, status: 302 }] if targets.len() == 1), "{told:?}");
    registration.follow(now, uri("sip:reg2.example.com"));
    go(&mut registration, now, false);
    let (id, request) = only(&mut registration);
    assert_eq!(request.uri.to_string(), "sip:reg2.example.com");
    assert!(registration.redirected().is_some());
    registration.handle_response(now, id, response(&request, 302, &contacts));
    assert!(matches!(registration.state(), State::Failed { cause: Cause::Refused { status: 302, .. }, .. }));
    assert!(registration.redirected().is_none(), "the next round begins where it is configured");
    let (mut registration, _) = answered(302, &[("Contact", "<tel:+1>")]);
    let told = events(&mut registration);
    assert!(matches!(&told[..], [.., Event::Redirected { targets, .. }] if targets.is_empty()), "{told:?}");
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
    registration.authenticate(now, RequestId(99), &[]);
    assert!(sent(&mut registration).is_empty());
    registration.authenticate(now, id, &[("Authorization".into(), "Digest x".into())]);
    registration.authenticate(now, id, &[("Authorization".into(), "Digest x".into())]);
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
        registration.authenticate(now, id, &[]);
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
fn a_connection_of_our_own_is_not_corrected_where_the_server_keeps_flows() {
    let seen = [
        ("Via", "SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bKx;received=198.51.100.4;rport=61000"),
        ("Require", "outbound"),
    ];
    let (mut registration, _) = answered_as(registration_as(Some(URN), Some(1)), 200, &seen);
    assert!(sent(&mut registration).is_empty());
    assert_eq!(registration.contact().map(|contact| contact.to_string()).as_deref(), Some(CONTACT));
}

#[test]
fn what_was_never_bound_is_not_unregistered() {
    let (mut registration, now) = registration();
    registration.stop(now);
    assert!(sent(&mut registration).is_empty());
    registration.start(now);
    go(&mut registration, now, false);
    sent(&mut registration);
    registration.stop(now);
    assert_eq!(sent(&mut registration).len(), 1, "the answer may still be on its way");
}
