use super::*;
use crate::sip::testing::request;

const SECOND: Duration = Duration::from_secs(1);

fn address(text: &str) -> NameAddr {
    NameAddr::parse(text).expect("an address")
}

fn started() -> (Subscription, Instant, RequestId, Request) {
    let now = Instant::now();
    let config = Config {
        target: Uri::parse("sip:888@pbx.example").expect("a URI"),
        from: address("<sip:alice@pbx.example>"),
        package: "dialog",
        accept: "application/dialog-info+xml",
        expires: Duration::from_secs(600),
        user_agent: String::new(),
    };
    let mut subscription = Subscription::new(config, Rng::from_u64(1));
    subscription.start(now, address("<sip:me@192.0.2.1>"), Vec::new());
    let (id, sent) = subscribe(&mut subscription).expect("a SUBSCRIBE");
    (subscription, now, id, sent)
}

fn subscribe(subscription: &mut Subscription) -> Option<(RequestId, Request)> {
    std::iter::from_fn(|| subscription.poll_output()).find_map(|output| match output {
        Output::Request { id, request, .. } => Some((id, request)),
        Output::Ack { .. } | Output::Cancel { .. } | Output::Response { .. } => None,
    })
}

fn accept(subscription: &mut Subscription, now: Instant, id: RequestId, sent: &Request) {
    let mut ok = Response::to_request(sent, 200, Some("n"));
    ok.headers.push("Contact", "<sip:192.0.2.2>");
    ok.headers.push("Expires", 600);
    subscription.handle_response(now, id, ok);
}

/// The status the NOTIFY is answered with.
fn notify(subscription: &mut Subscription, now: Instant, cseq: u32, state: &str) -> Option<u16> {
    let key = subscription.key().clone();
    let mut notify = request(&format!(
        "NOTIFY sip:me@192.0.2.1 SIP/2.0
         Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK{cseq}
         From: <sip:888@pbx.example>;tag=n
         To: <sip:alice@pbx.example>;tag={}
         Call-ID: {}
         CSeq: {cseq} NOTIFY
         Contact: <sip:192.0.2.2>
         Event: dialog
         Subscription-State: {state}",
        key.local_tag, key.call_id
    ));
    notify.body = "state".into();
    subscription.handle_notify(now, ServerKey::of_request(&notify).expect("a key"), &notify);
    std::iter::from_fn(|| subscription.poll_output()).find_map(|output| match output {
        Output::Response { response, .. } => Some(response.status),
        Output::Request { .. } | Output::Ack { .. } | Output::Cancel { .. } => None,
    })
}

fn told(subscription: &mut Subscription) -> Vec<String> {
    let name = |event| match event {
        Event::Changed(State::Waiting { .. }) => "Waiting".to_owned(),
        Event::Changed(state) => format!("{state:?}"),
        Event::Challenged { .. } => "Challenged".to_owned(),
        Event::Notified { .. } => "Notified".to_owned(),
    };
    std::iter::from_fn(|| subscription.poll_event()).map(name).collect()
}

/// Lets the next timer ring; how long that took.
fn ring(subscription: &mut Subscription, now: &mut Instant) -> Duration {
    let at = subscription.poll_timeout().expect("a timer");
    let waited = at.saturating_duration_since(*now);
    *now = at;
    subscription.handle_timeout(at);
    waited
}

#[test]
fn it_is_refreshed_in_its_dialog_whichever_message_comes_first() {
    for notify_first in [false, true] {
        let (mut subscription, mut now, id, sent) = started();
        if !notify_first {
            accept(&mut subscription, now, id, &sent);
        }
        assert_eq!(notify(&mut subscription, now, 1, "active;expires=600"), Some(200));
        if notify_first {
            accept(&mut subscription, now, id, &sent);
        }
        assert_eq!(told(&mut subscription), ["Asking", "Notified", "Active"]);
        let waited = ring(&mut subscription, &mut now);
        assert!((420..=510).contains(&waited.as_secs()), "{waited:?}");
        let (_, refresh) = subscribe(&mut subscription).expect("a refresh");
        assert_eq!(refresh.headers.to().expect("To").tag(), Some("n"));
        assert_eq!(refresh.uri.to_string(), "sip:192.0.2.2");
        let number = |request: &Request| request.headers.cseq().expect("CSeq").number;
        assert!(number(&refresh) > number(&sent), "{notify_first}");
    }
}

#[test]
fn what_is_over_for_good_is_not_asked_for_again() {
    for status in [403, 404, 489, 603] {
        let (mut subscription, now, id, sent) = started();
        subscription.handle_response(now, id, Response::to_request(&sent, status, Some("n")));
        assert_eq!(*subscription.state(), State::Refused(End::Refused(status)));
        assert_eq!(subscription.poll_timeout(), None);
    }
    for reason in ["rejected", "noresource", "invariant"] {
        let (mut subscription, now, id, sent) = started();
        accept(&mut subscription, now, id, &sent);
        notify(&mut subscription, now, 1, &format!("terminated;reason={reason}"));
        assert_eq!(*subscription.state(), State::Refused(End::Terminated(reason)));
        assert_eq!((subscription.poll_timeout(), subscribe(&mut subscription).is_none()), (None, true));
    }
}

#[test]
fn a_notifier_that_always_ends_it_is_not_hammered() {
    let (mut subscription, mut now, mut id, mut sent) = started();
    let mut waits = Vec::new();
    for _ in 0..12 {
        accept(&mut subscription, now, id, &sent);
        notify(&mut subscription, now, 1, "terminated;reason=deactivated");
        waits.push(ring(&mut subscription, &mut now));
        let (next_id, next) = subscribe(&mut subscription).expect("once more");
        assert_ne!(next.headers.get("Call-ID"), sent.headers.get("Call-ID"), "a new dialog");
        (id, sent) = (next_id, next);
    }
    assert!(waits[0] <= 3 * SECOND && waits[1] > waits[0] && waits[11] >= 480 * SECOND, "{waits:?}");
    assert!(waits[11] <= 720 * SECOND, "{waits:?}");
}

#[test]
fn it_survives_a_lost_dialog_a_challenge_and_a_floor() {
    let (mut subscription, mut now, id, sent) = started();
    subscription.handle_response(now, id, Response::to_request(&sent, 401, Some("n")));
    subscription.authenticate(id, &[("Authorization".into(), "Digest x".into())]);
    let (id, again) = subscribe(&mut subscription).expect("with credentials");
    assert_eq!(again.headers.get("Authorization"), Some("Digest x"));
    let mut brief = Response::to_request(&again, 423, Some("n"));
    brief.headers.push("Min-Expires", 900);
    subscription.handle_response(now, id, brief);
    let (id, longer) = subscribe(&mut subscription).expect("for longer");
    assert_eq!(longer.headers.get("Expires"), Some("900"));
    accept(&mut subscription, now, id, &longer);
    notify(&mut subscription, now, 1, "active");
    ring(&mut subscription, &mut now);
    let (id, refresh) = subscribe(&mut subscription).expect("a refresh");
    subscription.handle_response(now, id, Response::to_request(&refresh, 481, Some("n")));
    assert!(matches!(subscription.state(), State::Waiting { .. }));
    let old = subscription.key().clone();
    ring(&mut subscription, &mut now);
    assert!(subscribe(&mut subscription).is_some() && *subscription.key() != old);
}

#[test]
fn a_promise_without_a_notification_and_silence_are_noticed() {
    let (mut subscription, mut now, id, sent) = started();
    accept(&mut subscription, now, id, &sent);
    assert_eq!(ring(&mut subscription, &mut now), TIMER_N);
    assert!(matches!(subscription.state(), State::Waiting { .. }));
    let (mut subscription, now, id, _) = started();
    subscription.handle_failure(now, id, Failure::Timeout);
    assert!(matches!(subscription.state(), State::Waiting { .. }));
    // A refresh nobody answers.
    let (mut subscription, mut now, id, sent) = started();
    accept(&mut subscription, now, id, &sent);
    notify(&mut subscription, now, 1, "active;expires=60");
    ring(&mut subscription, &mut now);
    assert!(subscribe(&mut subscription).is_some());
    ring(&mut subscription, &mut now);
    assert!(matches!(subscription.state(), State::Waiting { .. }));
}

#[test]
fn strangers_and_the_dead_are_not_heard() {
    let (mut subscription, now, id, sent) = started();
    accept(&mut subscription, now, id, &sent);
    assert_eq!(notify(&mut subscription, now, 5, "active"), Some(200));
    assert_eq!(notify(&mut subscription, now, 4, "terminated;reason=noresource"), Some(481), "older than the last");
    assert_eq!(*subscription.state(), State::Active);
    told(&mut subscription);
    subscription.stop();
    let (_, last) = subscribe(&mut subscription).expect("a farewell");
    assert_eq!(last.headers.get("Expires"), Some("0"));
    assert_eq!(notify(&mut subscription, now, 6, "active"), Some(481));
    assert_eq!((told(&mut subscription), subscription.poll_timeout()), (vec!["Off".to_owned()], None));
}

#[test]
fn after_the_last_word_nothing_is_asked_for_again() {
    for status in [200, 403, 408, 423, 481, 503] {
        let (mut subscription, now, id, sent) = started();
        accept(&mut subscription, now, id, &sent);
        assert_eq!(notify(&mut subscription, now, 1, "active"), Some(200));
        subscription.stop();
        let (id, last) = subscribe(&mut subscription).expect("the last SUBSCRIBE");
        let mut response = Response::to_request(&last, status, None);
        response.headers.push("Min-Expires", 900);
        subscription.handle_response(now, id, response);
        assert_eq!((subscription.poll_timeout(), subscription.state()), (None, &State::Off), "{status}");
        assert!(subscribe(&mut subscription).is_none(), "{status}");
    }
    let (mut subscription, now, id, sent) = started();
    accept(&mut subscription, now, id, &sent);
    notify(&mut subscription, now, 1, "active");
    subscription.stop();
    let (id, last) = subscribe(&mut subscription).expect("the last SUBSCRIBE");
    subscription.handle_response(now, id, Response::to_request(&last, 401, None));
    subscription.authenticate(id, &[]);
    let (id, again) = subscribe(&mut subscription).expect("with credentials");
    let number = |request: &Request| request.headers.cseq().expect("a CSeq").number;
    assert_eq!(number(&again), number(&last) + 1);
    subscription.handle_failure(now, id, Failure::Timeout);
    assert_eq!((subscription.poll_timeout(), subscription.state()), (None, &State::Off));
}
