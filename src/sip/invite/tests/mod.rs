//! One session alone, fed by hand.
mod calling;
mod early;
mod modifying;
mod pair;
mod ringing;
mod sequence;
mod upkeep;
mod within;

pub(in crate::sip::invite) use super::*;
use crate::base::rng::Rng;
use crate::sip::key::ServerKey;
use crate::sip::testing::*;
use std::time::Instant;

pub(in crate::sip::invite) fn contact() -> NameAddr {
    NameAddr::parse("<sip:me@192.0.2.1>").expect("a contact")
}

pub(in crate::sip::invite) fn invitation(body: Option<&'static str>) -> Invitation {
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

pub(in crate::sip::invite) fn calling(body: Option<&'static str>) -> (Session, Instant) {
    let now = Instant::now();
    (Session::invite(now, Config::default(), invitation(body), Rng::from_u64(1)), now)
}

pub(in crate::sip::invite) fn outputs(session: &mut Session) -> Vec<Output> {
    std::iter::from_fn(|| session.poll_output()).collect()
}

pub(in crate::sip::invite) fn events(session: &mut Session) -> Vec<Event> {
    std::iter::from_fn(|| session.poll_event()).collect()
}

/// Methods of requests, statuses of responses.
pub(in crate::sip::invite) fn said(session: &mut Session) -> Vec<String> {
    outputs(session).iter().map(spell).collect()
}

pub(in crate::sip::invite) fn spell(output: &Output) -> String {
    match output {
        Output::Request { request, .. } => request.method.to_string(),
        Output::Ack { request, .. } if request.body.is_empty() => "ACK".into(),
        Output::Ack { .. } => "ACK with body".into(),
        Output::Cancel { .. } => "CANCEL".into(),
        Output::Response { response, .. } => response.status.to_string(),
    }
}

pub(in crate::sip::invite) fn told(session: &mut Session) -> Vec<String> {
    events(session).iter().map(name).collect()
}

pub(in crate::sip::invite) fn name(event: &Event) -> String {
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
        Event::Unacceptable { response } => format!("Unacceptable {}", response.status),
        Event::Candidates { body } => format!("Candidates {}", String::from_utf8_lossy(&body.bytes)),
        Event::Informed { status } => format!("Informed {status}"),
        Event::Signalled(signal) => format!("Signalled {}", signal.key),
        Event::Written { number, status, .. } => format!("Written {number} {status}"),
        Event::SignalRefused { status } => format!("SignalRefused {status}"),
        Event::Notified { request } => format!("Notified {}", request.method),
        Event::Referred { target, .. } => format!("Referred {target}"),
        Event::TransferProgress { status, over } => format!("TransferProgress {status} {over}"),
        Event::Ended { cause } => format!("Ended {}", why(cause)),
    }
}

pub(in crate::sip::invite) fn why(cause: &Cause) -> String {
    match cause {
        Cause::Refused { response, .. } => format!("Refused {}", response.status),
        Cause::PeerHungUp { reasons } | Cause::PeerCancelled { reasons } if !reasons.is_empty() => {
            format!("by the peer: {} {:?}", reasons[0].protocol, reasons[0].cause)
        }
        other => format!("{other:?}").replace(" { reasons: [] }", ""),
    }
}

pub(in crate::sip::invite) fn first_request(session: &mut Session) -> (RequestId, Request) {
    let all = outputs(session);
    all.into_iter()
        .find_map(|output| match output {
            Output::Request { id, request, .. } => Some((id, request)),
            _ => None,
        })
        .expect("a request")
}

/// The peer's response to a request of ours.
pub(in crate::sip::invite) fn answer_to(
    request: &Request,
    status: u16,
    tag: &str,
    body: Option<&'static str>,
) -> Response {
    let mut response = Response::to_request(request, status, Some(tag));
    response.headers.push("Contact", format_args!("<sip:{tag}@192.0.2.2>"));
    if let Some(body) = body {
        Body::sdp(body).put(&mut response.headers, &mut response.body);
    }
    response
}

pub(in crate::sip::invite) fn established() -> (Session, Instant) {
    let (mut session, now) = calling(Some("offer"));
    let (id, invite) = first_request(&mut session);
    session.handle_response(now, id, answer_to(&invite, 200, "b", Some("answer")));
    outputs(&mut session);
    events(&mut session);
    (session, now)
}

/// A request of the peer in the dialog.
pub(in crate::sip::invite) fn within(session: &Session, method: &str, cseq: u32, more: &str) -> (ServerKey, Request) {
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

pub(in crate::sip::invite) const INVITE: &str = "INVITE sip:me@192.0.2.1 SIP/2.0
    Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKin
    Record-Route: <sip:proxy;lr=on>
    From: <sip:bob@192.0.2.2>;tag=b
    To: <sip:alice@192.0.2.1>
    Call-ID: in
    CSeq: 5 INVITE
    Contact: <sip:192.0.2.2:15060>";

pub(in crate::sip::invite) fn ringing(offer: Option<&'static str>) -> (Session, Instant) {
    ringing_with("Subject: x", offer)
}

pub(in crate::sip::invite) fn ringing_with(headers: &str, offer: Option<&'static str>) -> (Session, Instant) {
    let mut request = request(&format!("{INVITE}\n{headers}"));
    if let Some(offer) = offer {
        Body::sdp(offer).put(&mut request.headers, &mut request.body);
    }
    let now = Instant::now();
    let key = ServerKey::of_request(&request).expect("a key");
    let session = Session::incoming(now, Config::default(), contact(), key, &request, Rng::from_u64(2));
    (session.expect("a good INVITE"), now)
}

/// An answered incoming call whose ACK has come.
pub(in crate::sip::invite) fn confirmed() -> (Session, Instant) {
    let (mut session, now) = ringing(Some("offer"));
    session.accept(now, Some(Body::sdp("answer")));
    let (_, ack) = within(&session, "ACK", 5, "");
    session.handle_ack(now, ack);
    assert_eq!(told(&mut session), ["Confirmed"]);
    outputs(&mut session);
    (session, now)
}

pub(in crate::sip::invite) fn pass(session: &mut Session, now: &mut Instant, duration: Duration) {
    let end = *now + duration;
    while let Some(at) = session.poll_timeout().filter(|at| *at <= end) {
        *now = at;
        session.handle_timeout(at);
    }
    *now = end;
}

/// The requests a session wants sent, and nothing else of what it says.
pub(in crate::sip::invite) fn requests(session: &mut Session) -> Vec<(RequestId, Request)> {
    let sent = |output| match output {
        Output::Request { id, request, .. } => Some((id, request)),
        Output::Ack { .. } | Output::Cancel { .. } | Output::Response { .. } => None,
    };
    outputs(session).into_iter().filter_map(sent).collect()
}

/// The responses it wants sent.
pub(in crate::sip::invite) fn responses(session: &mut Session) -> Vec<Response> {
    let sent = |output| match output {
        Output::Response { response, .. } => Some(response),
        Output::Request { .. } | Output::Ack { .. } | Output::Cancel { .. } => None,
    };
    outputs(session).into_iter().filter_map(sent).collect()
}

pub(in crate::sip::invite) fn only<T: std::fmt::Debug>(mut list: Vec<T>) -> T {
    assert_eq!(list.len(), 1, "{list:?}");
    list.remove(0)
}

/// Our re-INVITE, the user's offer in it.
pub(in crate::sip::invite) fn reinvite(session: &mut Session, now: Instant) -> (RequestId, Request) {
    session.reinvite(now);
    let Some(Event::OfferWanted { id, .. }) = session.poll_event() else { panic!("no offer wanted") };
    session.answer(now, id, Answer::Accept(Body::sdp("hold")));
    first_request(session)
}
