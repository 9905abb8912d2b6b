//! OPTIONS: what we can do, and asking what a peer can do (RFC 3261 §11).
use crate::base::rng::Rng;
use crate::base::untrusted::Untrusted;
use crate::sip::body::Body;
use crate::sip::dialog::outside;
use crate::sip::instant;
use crate::sip::message::{Headers, Method, NameAddr, Request, Response, Uri};

/// The methods we serve, as the Allow header lists them (RFC 3261 §20.5).
pub const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, INFO, UPDATE, REFER, NOTIFY, SUBSCRIBE, MESSAGE";
/// What can be watched of us, as the Allow-Events header lists it (RFC 6665 §8.2.2).
pub const ALLOW_EVENTS: &str = "refer, dialog, presence";
/// The extensions of calls we serve, as the Supported header lists them (RFC 3261 §20.37).
pub const SUPPORTED: &[&str] = &["100rel", "199", "timer", "replaces", "from-change"];
/// The body types we read, as the Accept header lists them (RFC 3261 §20.1).
pub const ACCEPT: [&str; 3] = [Body::SDP, instant::ACCEPT[0], instant::ACCEPT[1]];
/// Most entries read of one list of a peer.
const MAX_ENTRIES: usize = 64;

/// The answer to an OPTIONS request. `status` is the one an INVITE would get now: 200, or 486 when busy (RFC 3261 §11.2).
pub fn answer(request: &Request, status: u16, contact: &NameAddr, user_agent: &str, rng: &mut Rng) -> Response {
    let mut answer = Response::to_request(request, status, Some(&rng.hex(16)));
    if (200..300).contains(&status) {
        answer.headers.push("Contact", contact);
        describe(&mut answer.headers);
    }
    name_software(&mut answer.headers, "Server", user_agent);
    answer
}

/// A question to a target; `route` as in `invite::Invitation`.
pub fn query(
    target: Uri,
    from: NameAddr,
    contact: NameAddr,
    route: &[NameAddr],
    user_agent: &str,
    rng: &mut Rng,
) -> Request {
    let (from, to, call_id) = (from.with_tag(&rng.hex(16)), NameAddr::new(target.clone()), rng.hex(32));
    let (mut request, _) = outside(Method::Options, &target, route, &from, &to, &call_id, 1);
    request.headers.push("Contact", contact);
    request.headers.push("Accept", Body::SDP);
    name_software(&mut request.headers, "User-Agent", user_agent);
    request
}

/// Whether a description of what we can do is asked for in an answer (RFC 3261 §11.2).
pub fn wants_description(request: &Request) -> bool {
    let kinds = request.headers.tokens("Accept").filter_map(|kind| kind.split(';').next());
    kinds.map(str::trim).any(|kind| kind.eq_ignore_ascii_case(Body::SDP))
}

/// Adds what we can do (RFC 3261 §11.2).
pub(crate) fn describe(headers: &mut Headers) {
    headers.push("Allow", ALLOW);
    headers.push("Allow-Events", ALLOW_EVENTS);
    headers.push("Accept", ACCEPT.join(", "));
    headers.push("Accept-Encoding", "identity");
    // That of our reason phrases.
    headers.push("Accept-Language", "en");
    headers.push("Supported", SUPPORTED.join(", "));
}

pub(crate) fn name_software(headers: &mut Headers, header: &str, user_agent: &str) {
    if !user_agent.is_empty() {
        headers.push(header, user_agent);
    }
}

/// What a peer said of itself in its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    pub status: u16,
    pub reason: Untrusted,
    pub allow: Vec<Method>,
    pub accept: Vec<Untrusted>,
    pub supported: Vec<Untrusted>,
    /// What of it can be watched.
    pub events: Vec<Untrusted>,
    /// Server or User-Agent.
    pub software: Option<Untrusted>,
}

impl Capabilities {
    pub fn of(response: &Response) -> Self {
        let headers = &response.headers;
        let list = |name| headers.tokens(name).take(MAX_ENTRIES).map(Untrusted::new).collect();
        Self {
            status: response.status,
            reason: Untrusted::new(&response.reason),
            allow: headers.tokens("Allow").take(MAX_ENTRIES).map(Method::from).collect(),
            accept: list("Accept"),
            supported: list("Supported"),
            events: list("Allow-Events"),
            software: headers.get("Server").or(headers.get("User-Agent")).map(Untrusted::new),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contact() -> NameAddr {
        NameAddr::parse("<sip:x@192.0.2.1>").expect("a contact")
    }

    #[test]
    fn a_query_is_answered_with_what_we_can_do() {
        let mut rng = Rng::from_u64(1);
        let target = Uri::parse("sip:bob@example.com").expect("a URI");
        let route = [NameAddr::parse("<sip:proxy;lr>").expect("a route")];
        let query = query(target, contact(), contact(), &route, "phone/1", &mut rng);
        assert_eq!(query.uri.to_string(), "sip:bob@example.com");
        assert_eq!(query.headers.get("Route"), Some("<sip:proxy;lr>"));
        assert_eq!(query.headers.get("User-Agent"), Some("phone/1"));

        let busy = answer(&query, 486, &contact(), "phone/1", &mut rng);
        assert!(busy.headers.get("Contact").is_none());
        let capabilities = Capabilities::of(&answer(&query, 200, &contact(), "phone/1", &mut rng));
        assert_eq!(capabilities.status, 200);
        assert!(capabilities.allow.contains(&Method::Invite) && capabilities.allow.contains(&Method::Notify));
        assert_eq!(capabilities.accept, ACCEPT.map(Untrusted::new));
        assert_eq!(capabilities.events, ["refer", "dialog", "presence"].map(Untrusted::new));
        assert!(wants_description(&query));
        assert_eq!(capabilities.software, Some(Untrusted::new("phone/1")));
    }
}
