//! Registration: keeps one binding of our Contact at the registrar (RFC 3261 §10).
//!
//! A [`Registration`] hears the responses to its own requests, speaks through [`Output`] and tells facts through [`Event`],
//! exactly as `invite::Session` does.
//!
//! ```text
//!                start                  2xx: refresh in time
//!      +-----+ ---------> +-------------+ -----------------> +------------+ ---+ refresh, 2xx
//!      | Off |            | Registering |                    | Registered | <--+
//!      +-----+ <--+       +-------------+ <--+               +------------+
//!         ^       |          |  failure      | timer              |     |
//!         |       |          v               | (back-off)         |     | stop
//!         |       |       +-------------+ ---+      failure       |     |
//!         |       |       |   Failed    | <-----------------------+     |
//!         |       |       +-------------+                               v
//!         |       +------------- stop  \-- stop, maybe bound --> +---------------+
//!         +----------------- any final answer, or none --------- | Unregistering |
//!                                                                +---------------+
//! ```
//! A challenge (401, 407), 423 and a corrected Contact send the request again within a state.
pub use crate::sip::transaction::{Failure, Output, RequestId};

use crate::base::rng::Rng;
use crate::base::untrusted::Untrusted;
use crate::sip::dialog::outside;
use crate::sip::message::{Headers, Host, Method, NameAddr, Request, Response, Uri};
use crate::sip::options::{ALLOW, name_software};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The longest time between two tries.
const MAX_BACKOFF: Duration = Duration::from_secs(300);
/// The longest Retry-After that is obeyed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);
/// Shorter lifetimes are not refreshed faster than this.
const MIN_REFRESH: Duration = Duration::from_secs(5);
const MAX_EXPIRES: u32 = 86_400;
/// How often one registration may be sent again for 401, 407 or 423.
const MAX_TRIES: u32 = 4;

#[derive(Clone, Debug)]
pub struct Config {
    /// The address-of-record, for To and From.
    pub aor: NameAddr,
    /// The domain of the location service: `sip:example.org`, no user part.
    pub registrar: Uri,
    /// Route values, first hop first (an outbound proxy); usually none.
    pub route: Vec<NameAddr>,
    /// The lifetime to ask for.
    pub expires: Duration,
    pub user_agent: String,
}

/// What is true of the registration now.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    Off,
    /// Asking for the first time, or again after a failure.
    Registering,
    /// Bound until `expires`; refreshed in time.
    Registered {
        expires: Instant,
    },
    /// Tried again at `retry`.
    Failed {
        cause: Cause,
        retry: Instant,
    },
    Unregistering,
}

/// Why a registration failed.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    /// No response, or it could not be sent.
    Unreachable(Failure),
    /// Refused. `permanent`: nothing will change until the configuration does (403, 404, wrong password); tried again slowly.
    Refused { status: u16, reason: Untrusted, permanent: bool },
}

#[derive(Clone, Debug)]
pub enum Event {
    /// [`Registration::state`] changed.
    Changed(State),
    /// 401 or 407: call [`Registration::authenticate`] or [`Registration::give_up`].
    Challenged { id: RequestId, request: Box<Request>, response: Box<Response> },
    /// The registrar saw us at another address than our Contact said: new dialogs should use this one.
    ContactChanged(Uri),
}

/// The REGISTER that is under way.
#[derive(Debug)]
struct Pending {
    id: RequestId,
    request: Request,
    next_hop: Uri,
    contact: Uri,
    tries: u32,
    /// 401 or 407, until it is met or given up.
    challenge: Option<Box<Response>>,
}

/// One account at its registrar.
#[derive(Debug)]
pub struct Registration {
    config: Config,
    rng: Rng,
    state: State,
    contact: Uri,
    /// The Contact the registrar has, as far as we know.
    bound: Option<Uri>,
    from: NameAddr,
    call_id: String,
    cseq: u32,
    expires: u32,
    pending: Option<Pending>,
    next_id: u32,
    failures: u32,
    /// The registration under way corrects the Contact: it is not corrected again.
    correcting: bool,
    /// When to refresh or to try again.
    timer: Option<Instant>,
    outputs: VecDeque<Output>,
    events: VecDeque<Event>,
}

impl Registration {
    /// `contact` is our address towards the registrar; its user part is replaced by a random one, which tells requests meant
    /// for us from those of strangers.
    pub fn new(config: Config, contact: Uri, mut rng: Rng) -> Self {
        let from = config.aor.clone().with_tag(&rng.hex(16));
        let contact = Uri { user: Some(rng.hex(12)), ..contact };
        let expires = u32::try_from(config.expires.as_secs()).unwrap_or(MAX_EXPIRES).clamp(1, MAX_EXPIRES);
        Self {
            state: State::Off,
            contact,
            bound: None,
            from,
            call_id: rng.hex(32),
            cseq: rng.range(1, 10_000),
            expires,
            pending: None,
            next_id: 0,
            failures: 0,
            correcting: false,
            timer: None,
            outputs: VecDeque::new(),
            events: VecDeque::new(),
            config,
            rng,
        }
    }

    /// Registers now, whatever the state: at start, on the user's wish, after suspend or a network change.
    pub fn start(&mut self, now: Instant) {
        self.failures = 0;
        self.correcting = false;
        self.register(now);
    }

    /// Removes our binding; ends in `Off`, also when the registrar does not answer.
    pub fn stop(&mut self, _now: Instant) {
        self.timer = None;
        let maybe_bound = self.pending.take().map(|pending| pending.contact);
        self.bound = self.bound.take().or(maybe_bound);
        match (&self.state, self.bound.clone()) {
            (State::Off, _) | (_, None) => self.set_state(State::Off),
            (_, Some(bound)) => {
                self.set_state(State::Unregistering);
                self.send(bound, 0);
            }
        }
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    /// The Contact that is or will be bound; also right for calls of this account.
    pub fn contact(&self) -> &Uri {
        &self.contact
    }

    /// Our address changed (another network): the binding is moved with the next registration; call `start` to do it now.
    pub fn set_contact(&mut self, contact: Uri) {
        self.contact = Uri { user: self.contact.user.clone(), ..contact };
    }

    /// Sends the challenged request again with these credentials in place of those it had.
    pub fn authenticate(&mut self, _now: Instant, id: RequestId, headers: Vec<(String, String)>) {
        let Some(mut pending) = self.pending.take_if(|p| p.id == id && p.challenge.is_some()) else { return };
        ["Authorization", "Proxy-Authorization"].iter().for_each(|name| pending.request.headers.remove(name));
        headers.iter().for_each(|(name, value)| pending.request.headers.push(name, value));
        self.cseq += 1;
        pending.request.headers.set("CSeq", format_args!("{} REGISTER", self.cseq));
        self.emit(Pending { tries: pending.tries + 1, challenge: None, ..pending });
    }

    /// The challenge cannot be met: counts as a permanent refusal.
    pub fn give_up(&mut self, now: Instant, id: RequestId) {
        let Some(pending) = self.pending.take_if(|p| p.id == id && p.challenge.is_some()) else { return };
        if let Some(response) = pending.challenge {
            self.refused(now, &response, true);
        }
    }

    pub fn handle_response(&mut self, now: Instant, id: RequestId, response: Response) {
        if response.status < 200 {
            return;
        }
        let Some(mut pending) = self.pending.take_if(|p| p.id == id && p.challenge.is_none()) else { return };
        let again = pending.tries < MAX_TRIES;
        match response.status {
            401 | 407 if again => {
                let response = Box::new(response);
                let request = Box::new(pending.request.clone());
                self.events.push_back(Event::Challenged { id, request, response: response.clone() });
                pending.challenge = Some(response);
                self.pending = Some(pending);
            }
            _ if self.state == State::Unregistering => self.unbound(),
            200..=299 => self.bound(now, pending, &response),
            423 if again && self.raise_expires(&response.headers) => {
                self.send(pending.contact, self.expires);
                if let Some(sent) = &mut self.pending {
                    sent.tries = pending.tries + 1;
                }
            }
            status => self.refused(now, &response, is_permanent(status)),
        }
    }

    pub fn handle_failure(&mut self, now: Instant, id: RequestId, failure: Failure) {
        if self.pending.take_if(|p| p.id == id).is_none() {
            return;
        }
        if self.state == State::Unregistering {
            self.unbound();
        } else {
            let delay = self.backoff();
            self.failed(now, Cause::Unreachable(failure), delay);
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if self.timer.take_if(|at| *at <= now).is_some() {
            self.correcting = false;
            self.register(now);
        }
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timer
    }

    fn register(&mut self, now: Instant) {
        self.timer = None;
        if !matches!(self.state, State::Registered { expires } if expires > now) {
            self.set_state(State::Registering);
        }
        self.send(self.contact.clone(), self.expires);
    }

    /// Sends a REGISTER for this Contact. A binding at another address of ours is removed with the same request.
    fn send(&mut self, contact: Uri, expires: u32) {
        self.cseq += 1;
        let Config { aor, registrar, route, .. } = &self.config;
        let (mut request, next_hop) =
            outside(Method::Register, registrar, route, &self.from, aor, &self.call_id, self.cseq);
        request.headers.push("Contact", NameAddr::new(contact.clone()));
        if let Some(old) = self.bound.as_ref().filter(|old| !old.matches(&contact) && expires > 0) {
            request.headers.push("Contact", format_args!("<{old}>;expires=0"));
        }
        request.headers.push("Expires", expires);
        request.headers.push("Allow", ALLOW);
        name_software(&mut request.headers, "User-Agent", &self.config.user_agent);
        self.emit(Pending { id: RequestId(0), request, next_hop, contact, tries: 0, challenge: None });
    }

    fn emit(&mut self, pending: Pending) {
        let id = RequestId(self.next_id);
        self.next_id += 1;
        let (request, next_hop) = (pending.request.clone(), pending.next_hop.clone());
        self.outputs.push_back(Output::Request { id, request, next_hop });
        self.pending = Some(Pending { id, ..pending });
    }

    fn bound(&mut self, now: Instant, pending: Pending, response: &Response) {
        let granted = granted(&response.headers, &pending.contact).unwrap_or(self.expires).clamp(1, MAX_EXPIRES);
        let lifetime = Duration::from_secs(granted.into());
        self.failures = 0;
        self.bound = Some(pending.contact);
        // Between 75 % and 90 % of the lifetime: early enough for a lost refresh, and not all phones at once.
        let refresh = lifetime.mul_f64(0.75 + 0.15 * self.rng.unit()).max(MIN_REFRESH);
        self.timer = Some(now + refresh);
        self.set_state(State::Registered { expires: now + lifetime });
        if let Some(contact) = self.corrected(response).filter(|_| !self.correcting) {
            self.contact = contact.clone();
            self.correcting = true;
            self.events.push_back(Event::ContactChanged(contact));
            self.register(now);
        }
    }

    fn unbound(&mut self) {
        self.bound = None;
        self.set_state(State::Off);
    }

    /// The Contact with the address the registrar saw, where that is another one (RFC 3581, RFC 5626 §1).
    ///
    /// Over TCP the port is the connection's own; it says nothing as long as the address is right.
    fn corrected(&self, response: &Response) -> Option<Uri> {
        let via = response.headers.via().ok()?;
        let (ip, port) = (via.received()?, via.rport()?);
        let Host::Ip(own) = self.contact.host else { return None };
        let own_port = self.contact.port.unwrap_or(5060);
        let differs = ip != own || (via.transport == "UDP" && port != own_port);
        differs.then(|| Uri { host: Host::Ip(ip), port: Some(port), ..self.contact.clone() })
    }

    /// 423: the registrar wants at least Min-Expires (RFC 3261 §10.2.8).
    fn raise_expires(&mut self, headers: &Headers) -> bool {
        match headers.number("Min-Expires") {
            Ok(Some(least)) if least > self.expires && least <= MAX_EXPIRES => {
                self.expires = least;
                true
            }
            _ => false,
        }
    }

    fn refused(&mut self, now: Instant, response: &Response, permanent: bool) {
        if self.state == State::Unregistering {
            return self.unbound();
        }
        let asked = response.headers.number("Retry-After").ok().flatten().unwrap_or(0);
        let asked = Duration::from_secs(asked.into()).min(MAX_RETRY_AFTER);
        let delay = if permanent { MAX_BACKOFF.mul_f64(0.8 + 0.2 * self.rng.unit()) } else { self.backoff() };
        let reason = Untrusted::new(&response.reason);
        self.failed(now, Cause::Refused { status: response.status, reason, permanent }, delay.max(asked));
    }

    fn failed(&mut self, now: Instant, cause: Cause, delay: Duration) {
        self.correcting = false;
        self.timer = Some(now + delay);
        self.set_state(State::Failed { cause, retry: now + delay });
    }

    /// 1 s, 2 s, 4 s, ... 5 min, and of that a random part of at least one half.
    fn backoff(&mut self) -> Duration {
        let longest = Duration::from_secs(1 << self.failures.min(16)).min(MAX_BACKOFF);
        self.failures += 1;
        longest.mul_f64(0.5 + 0.5 * self.rng.unit())
    }

    fn set_state(&mut self, state: State) {
        if self.state != state {
            self.state = state.clone();
            self.events.push_back(Event::Changed(state));
        }
    }
}

/// Whether trying again cannot help until something is changed by a person.
fn is_permanent(status: u16) -> bool {
    matches!(status, 401..=407 | 410 | 416 | 484 | 501 | 604)
}

/// The lifetime the registrar gave our binding [s] (RFC 3261 §10.2.4).
///
/// Registrars rewrite Contacts and list those of other phones too, so ours is found by its random user part, then by
/// its address, then as the only one there is.
fn granted(headers: &Headers, ours: &Uri) -> Option<u32> {
    let contacts: Vec<NameAddr> = headers.all("Contact").filter_map(|value| NameAddr::parse(value).ok()).collect();
    let by_user = contacts.iter().find(|c| c.uri.user == ours.user);
    let by_address = contacts.iter().find(|c| c.uri.host == ours.host && c.uri.port == ours.port);
    let only = contacts.first().filter(|_| contacts.len() == 1);
    let lifetime = by_user.or(by_address).or(only).and_then(|contact| contact.params.value("expires")?.parse().ok());
    lifetime.or_else(|| headers.number("Expires").ok().flatten())
}

#[cfg(test)]
mod tests {
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
            let State::Failed { cause: Cause::Refused { status: told, permanent: p, .. }, retry } =
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
    fn the_lifetime_is_that_of_our_binding_however_the_registrar_writes_it() {
        let ours = "sip:0a1b2c@192.0.2.1:5070";
        let rows: [(&[&str], Option<&str>, Option<u32>); 8] = [
            (&[], None, None),
            (&["<sip:other@h>;expires=9", "<sip:another@h>;expires=8"], None, None),
            (&["not a contact", "<sip:0a1b2c@x>;expires=7"], Some("60"), Some(7)),
            (&["<sip:0a1b2c@192.0.2.1:5070>;expires=59"], Some("60"), Some(59)),
            (&["<sip:other@h>;expires=9", "<sip:0a1b2c@10.0.0.1:4444;ob>;expires=55"], Some("60"), Some(55)),
            (&["<sip:other@h>;expires=9", "<sip:alice@192.0.2.1:5070>;expires=54"], None, Some(54)),
            (&["<sip:rewritten@h>;expires=53"], None, Some(53)),
            (&["<sip:0a1b2c@192.0.2.1:5070>"], Some("60"), Some(60)),
        ];
        for (contacts, expires, granted_) in rows {
            let mut headers = Headers::default();
            contacts.iter().for_each(|contact| headers.push("Contact", contact));
            if let Some(expires) = expires {
                headers.push("Expires", expires);
            }
            assert_eq!(granted(&headers, &uri(ours)), granted_, "{contacts:?}");
        }
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
    fn the_port_of_a_connection_corrects_nothing() {
        let seen = [("Via", "SIP/2.0/TCP 192.0.2.1:5070;branch=z9hG4bKx;received=192.0.2.1;rport=61000")];
        let (mut registration, _) = answered(200, &seen);
        assert!(sent(&mut registration).is_empty());
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
}
