use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn started() -> (Publication, Instant) {
    let config = Config {
        aor: NameAddr::parse("\"A\" <sip:alice@pbx.example>").expect("an address"),
        package: "presence",
        content_type: "application/pidf+xml",
        expires: Duration::from_secs(600),
        user_agent: String::new(),
    };
    let (mut publication, now) = (Publication::new(config, Rng::from_u64(5)), Instant::now());
    publication.start(now, Vec::new(), "free".to_owned());
    (publication, now)
}

fn sent(publication: &mut Publication) -> Option<(RequestId, Request)> {
    publication.poll_output().map(|output| match output {
        Output::Request { id, request, .. } => (id, request),
        other => panic!("{other:?}"),
    })
}

/// Answers the request that is open; what it said: entity tag, body, lifetime.
fn answer(
    publication: &mut Publication,
    now: Instant,
    status: u16,
    headers: &[(&str, &str)],
) -> (Option<String>, String, Option<u32>) {
    let (id, request) = sent(publication).expect("a PUBLISH");
    assert!(publication.poll_output().is_none(), "one at a time");
    assert_eq!((request.method.as_str(), request.headers.get("Event")), ("PUBLISH", Some("presence")));
    let mut response = Response::to_request(&request, status, Some("s"));
    headers.iter().for_each(|(name, value)| response.headers.push(name, value));
    publication.handle_response(now, id, response);
    let tag = request.headers.get("SIP-If-Match").map(str::to_owned);
    let expires = request.headers.number("Expires").expect("a number");
    assert_eq!(request.headers.get("Content-Type").is_some(), !request.body.is_empty());
    (tag, String::from_utf8_lossy(&request.body).into_owned(), expires)
}

fn said(tag: &str, body: &str, expires: u32) -> (Option<String>, String, Option<u32>) {
    ((!tag.is_empty()).then(|| tag.to_owned()), body.to_owned(), Some(expires))
}

fn ring(publication: &mut Publication, now: &mut Instant) -> Duration {
    let at = publication.poll_timeout().expect("a timer");
    let waited = at.saturating_duration_since(*now);
    *now = at;
    publication.handle_timeout(at);
    waited
}

#[test]
fn each_answer_brings_the_tag_of_the_next_request() {
    let (mut publication, mut now) = started();
    assert_eq!(answer(&mut publication, now, 200, &[("SIP-ETag", "one"), ("Expires", "100")]), said("", "free", 600));
    assert_eq!(*publication.state(), State::Published);
    // Nothing changed: it holds on, in time.
    publication.change(now, "free".to_owned());
    let waited = ring(&mut publication, &mut now);
    assert!(waited > 60 * SECOND && waited < 90 * SECOND, "{waited:?}");
    assert_eq!(answer(&mut publication, now, 200, &[("SIP-ETag", "two")]), said("one", "", 600));
    // Changes that follow each other are one.
    for body in ["busy", "free", "busy"] {
        publication.change(now, body.to_owned());
    }
    assert!(ring(&mut publication, &mut now) <= SECOND);
    publication.change(now, "away".to_owned());
    assert_eq!(answer(&mut publication, now, 200, &[("SIP-ETag", "three")]), said("two", "busy", 600));
    assert!(ring(&mut publication, &mut now) <= SECOND, "what changed meanwhile is told as well");
    assert_eq!(answer(&mut publication, now, 200, &[("SIP-ETag", "four")]), said("three", "away", 600));
    publication.stop();
    assert_eq!(answer(&mut publication, now, 200, &[]), said("four", "", 0));
    assert_eq!((publication.state(), publication.poll_timeout(), publication.is_busy()), (&State::Off, None, false));
}

#[test]
fn a_server_that_forgot_is_told_anew_and_one_that_wants_longer_gets_it() {
    let (mut publication, mut now) = started();
    assert_eq!(answer(&mut publication, now, 423, &[("Min-Expires", "900")]), said("", "free", 600));
    assert_eq!(answer(&mut publication, now, 200, &[("SIP-ETag", "one")]), said("", "free", 900));
    ring(&mut publication, &mut now);
    assert_eq!(answer(&mut publication, now, 412, &[]), said("one", "", 900));
    assert_eq!(answer(&mut publication, now, 200, &[("SIP-ETag", "two")]), said("", "free", 900));
    // Again and again it is not asked.
    ring(&mut publication, &mut now);
    let asked = std::iter::from_fn(|| publication.is_busy().then(|| answer(&mut publication, now, 412, &[])));
    assert!((2..=6).contains(&asked.count()));
    assert!(matches!(publication.state(), State::Waiting { .. }));
    assert!(ring(&mut publication, &mut now) > 2 * SECOND);
    assert_eq!(answer(&mut publication, now, 200, &[]), said("", "free", 900));
}

#[test]
fn a_refusal_is_final_and_trouble_is_not() {
    for (status, is_final) in [(403, true), (405, true), (489, true), (423, true), (500, false), (408, false)] {
        let (mut publication, mut now) = started();
        answer(&mut publication, now, status, &[]);
        publication.change(now, "busy".to_owned());
        assert_eq!(*publication.state() == State::Refused(status), is_final, "{status}");
        assert_eq!(publication.poll_timeout().is_none(), is_final, "{status}");
        if !is_final {
            ring(&mut publication, &mut now);
            assert_eq!(answer(&mut publication, now, 200, &[]), said("", "busy", 600));
        }
    }
    let (mut publication, now) = started();
    let (id, _) = sent(&mut publication).expect("a PUBLISH");
    publication.handle_failure(now, id, Failure::Timeout);
    assert!(matches!(publication.state(), State::Waiting { .. }));
}

#[test]
fn a_challenge_is_answered_with_the_next_number() {
    let (mut publication, now) = started();
    let (id, first) = sent(&mut publication).expect("a PUBLISH");
    publication.handle_response(now, id, Response::to_request(&first, 407, Some("s")));
    publication.authenticate(id, &[("Proxy-Authorization".to_owned(), "x".to_owned())]);
    let (id, second) = sent(&mut publication).expect("once more");
    let number = |request: &Request| request.headers.cseq().expect("a CSeq").number;
    assert_eq!((number(&second), second.headers.get("Proxy-Authorization")), (number(&first) + 1, Some("x")));
    assert_eq!(second.body, first.body);
    publication.handle_response(now, id, Response::to_request(&second, 407, Some("s")));
    publication.give_up(now, id);
    assert_eq!(*publication.state(), State::Refused(407));
}
