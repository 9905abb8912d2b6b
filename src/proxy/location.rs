//! The location service: which contacts are bound to which user of the domain (RFC 3261 §10.3, RFC 3327, RFC 5626 §6).
use crate::base::net::{Flow, Transport};
use crate::base::timers::TimerTable;
use crate::base::untrusted::Untrusted;
use crate::sip::message::{Host, Params, Uri};
use std::collections::BTreeMap;
use std::time::Instant;

/// Users of whom anything is remembered.
const MAX_USERS: usize = 10_000;
/// Bindings of one user.
pub const MAX_BINDINGS: usize = 10;

/// One contact of one user.
#[derive(Clone, Debug)]
pub struct Binding {
    pub uri: Uri,
    /// Preference among the user's contacts [thousandths].
    pub q: u16,
    /// `+sip.instance` and `reg-id`: the same device, whatever its address is now.
    pub instance: Option<(String, Option<String>)>,
    /// Header parameters of the contact other than `expires`, to be repeated.
    pub params: Params,
    pub call_id: String,
    pub cseq: u32,
    pub expires: Instant,
    /// Where the registration came from: requests go back there.
    pub flow: Flow,
    /// Route values towards the contact (RFC 3327), first hop first.
    pub path: Vec<String>,
    pub user_agent: Untrusted,
}

impl Binding {
    /// Whether both stand for the same contact (RFC 3261 §10.2.4, RFC 5626 §6).
    fn is_same(&self, other: &Self) -> bool {
        self.uri.matches(&other.uri) || (self.instance.is_some() && self.instance == other.instance)
    }

    /// The flows to try, the best first.
    pub fn flows(&self) -> Vec<Flow> {
        if self.path.is_empty() { flows_towards(&self.uri, self.flow) } else { vec![self.flow] }
    }
}

/// The flows to a peer that spoke from `seen` and says it is at `uri`.
///
/// A stream goes back where it came from, and is opened to the stated port when it is gone. A datagram goes to the stated
/// port, or to the seen one when another address is stated: then a translator stands between. Never to a third party.
pub fn flows_towards(uri: &Uri, seen: Flow) -> Vec<Flow> {
    let stated = match &uri.host {
        Host::Ip(ip) if ip.to_canonical() == seen.remote.ip().to_canonical() => {
            let mut remote = seen.remote;
            remote.set_port(uri.port.unwrap_or(seen.transport.default_port()));
            let transport = match uri.params.value("transport") {
                Some(t) if t.eq_ignore_ascii_case(Transport::Tcp.uri_token()) => Transport::Tcp,
                Some(t) if t.eq_ignore_ascii_case(Transport::Udp.uri_token()) => Transport::Udp,
                _ => seen.transport,
            };
            Some(Flow { transport, remote, ..seen })
        }
        Host::Ip(_) | Host::Name(_) => None,
    };
    let mut flows = match seen.transport {
        Transport::Udp => vec![stated.unwrap_or(seen)],
        Transport::Tcp => std::iter::once(seen).chain(stated).collect(),
        // The peer cannot be dialled: only its own connection leads there (RFC 7118 §5).
        Transport::Tls | Transport::Ws | Transport::Wss => vec![seen],
    };
    flows.dedup();
    flows
}

/// What a registration asks for, once it is known to be well formed.
#[derive(Clone, Debug)]
pub enum Change {
    Bind(Box<Binding>),
    /// `expires=0`: the contact, and the order of the request.
    Remove {
        uri: Uri,
        call_id: String,
        cseq: u32,
    },
    /// `Contact: *`
    RemoveAll {
        call_id: String,
        cseq: u32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LocationError {
    #[error("an older registration came late")]
    OutOfOrder,
    #[error("too many contacts")]
    TooManyContacts,
    #[error("too many users")]
    TooManyUsers,
}

impl LocationError {
    pub fn status(self) -> u16 {
        match self {
            Self::OutOfOrder => 400,
            Self::TooManyContacts => 403,
            Self::TooManyUsers => 503,
        }
    }
}

#[derive(Debug, Default)]
pub struct Location {
    /// A user without bindings was registered once: unavailable, not unknown.
    users: BTreeMap<String, Vec<Binding>>,
    timers: TimerTable<String>,
}

impl Location {
    /// Does all of it or nothing.
    pub fn change(&mut self, now: Instant, user: &str, changes: Vec<Change>) -> Result<(), LocationError> {
        self.expire(now);
        let mut bindings = self.users.get(user).cloned().unwrap_or_default();
        for change in changes {
            match change {
                Change::RemoveAll { call_id, cseq } => {
                    if bindings.iter().any(|b| !is_newer(b, &call_id, cseq)) {
                        return Err(LocationError::OutOfOrder);
                    }
                    bindings.clear();
                }
                Change::Remove { uri, call_id, cseq } => {
                    if let Some(at) = bindings.iter().position(|b| b.uri.matches(&uri)) {
                        if bindings.get(at).is_some_and(|b| !is_newer(b, &call_id, cseq)) {
                            return Err(LocationError::OutOfOrder);
                        }
                        bindings.remove(at);
                    }
                }
                Change::Bind(new) => {
                    if bindings.iter().any(|b| b.is_same(&new) && !is_newer(b, &new.call_id, new.cseq)) {
                        return Err(LocationError::OutOfOrder);
                    }
                    bindings.retain(|b| !b.is_same(&new));
                    bindings.push(*new);
                }
            }
        }
        if bindings.len() > MAX_BINDINGS {
            return Err(LocationError::TooManyContacts);
        }
        if !self.users.contains_key(user) && self.users.len() >= MAX_USERS {
            let unused = self.users.iter().find(|(_, b)| b.is_empty()).map(|(user, _)| user.clone());
            self.users.remove(&unused.ok_or(LocationError::TooManyUsers)?);
        }
        self.set(user, bindings);
        Ok(())
    }

    /// The bindings of a user, the most preferred first; `None` for a user who never registered.
    pub fn bindings(&self, now: Instant, user: &str) -> Option<Vec<&Binding>> {
        let mut alive: Vec<_> = self.users.get(user)?.iter().filter(|b| b.expires > now).collect();
        alive.sort_by_key(|b| std::cmp::Reverse(b.q));
        Some(alive)
    }

    /// All bindings with their users.
    pub fn all(&self, now: Instant) -> impl Iterator<Item = (&str, &Binding)> {
        let alive = move |b: &&Binding| b.expires > now;
        self.users
            .iter()
            .flat_map(move |(user, bindings)| bindings.iter().filter(alive).map(move |b| (user.as_str(), b)))
    }

    /// A connection is gone: the bindings that can be reached by it alone are gone, too (RFC 5626 §5.3).
    pub fn lose(&mut self, flow: &Flow) {
        let of_flow = |b: &Binding| b.flows() == [*flow];
        let users: Vec<String> =
            self.users.iter().filter(|(_, b)| b.iter().any(of_flow)).map(|(user, _)| user.clone()).collect();
        for user in users {
            let mut bindings = self.users.get(&user).cloned().unwrap_or_default();
            bindings.retain(|b| !of_flow(b));
            self.set(&user, bindings);
        }
    }

    /// Drops what has expired.
    pub fn expire(&mut self, now: Instant) {
        while let Some(user) = self.timers.expired(now) {
            let mut bindings = self.users.get(&user).cloned().unwrap_or_default();
            bindings.retain(|b| b.expires > now);
            self.set(&user, bindings);
        }
    }

    pub fn next_expiry(&self) -> Option<Instant> {
        self.timers.next().map(|(at, _)| at)
    }

    fn set(&mut self, user: &str, bindings: Vec<Binding>) {
        match bindings.iter().map(|b| b.expires).min() {
            Some(at) => self.timers.set(user.to_owned(), at),
            None => self.timers.stop(&user.to_owned()),
        }
        self.users.insert(user.to_owned(), bindings);
    }
}

/// Of one Call-ID only a higher CSeq counts (RFC 3261 §10.3, step 7).
fn is_newer(binding: &Binding, call_id: &str, cseq: u32) -> bool {
    binding.call_id != call_id || cseq > binding.cseq
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn flow(transport: Transport, remote: &str) -> Flow {
        Flow::new(transport, "192.0.2.1:5060".parse().unwrap(), remote.parse().unwrap())
    }

    fn binding(now: Instant, uri: &str, call_id: &str, cseq: u32) -> Binding {
        Binding {
            uri: Uri::parse(uri).unwrap(),
            q: 1000,
            instance: None,
            params: Params::default(),
            call_id: call_id.into(),
            cseq,
            expires: now + Duration::from_secs(60),
            flow: flow(Transport::Udp, "192.0.2.9:5070"),
            path: Vec::new(),
            user_agent: Untrusted::default(),
        }
    }

    fn bind(binding: Binding) -> Vec<Change> {
        vec![Change::Bind(Box::new(binding))]
    }

    fn uris(location: &Location, now: Instant) -> Vec<String> {
        location.bindings(now, "a").unwrap_or_default().iter().map(|b| b.uri.to_string()).collect()
    }

    #[test]
    fn only_a_newer_registration_changes_anything() {
        let (now, mut location) = (Instant::now(), Location::default());
        assert!(location.bindings(now, "a").is_none());
        location.change(now, "a", bind(binding(now, "sip:a@x", "c", 5))).unwrap();
        let star = |cseq| vec![Change::RemoveAll { call_id: "c".into(), cseq }];
        let remove = |cseq| vec![Change::Remove { uri: Uri::parse("sip:a@x").unwrap(), call_id: "c".into(), cseq }];
        for old in [bind(binding(now, "sip:a@x", "c", 5)), bind(binding(now, "sip:a@x", "c", 4)), star(5), remove(5)] {
            assert_eq!(location.change(now, "a", old), Err(LocationError::OutOfOrder));
        }
        let mut both = bind(binding(now, "sip:a@y", "c", 4));
        both.extend(remove(5));
        assert_eq!(location.change(now, "a", both), Err(LocationError::OutOfOrder));
        assert_eq!(uris(&location, now), ["sip:a@x"], "all or nothing");
        location.change(now, "a", bind(binding(now, "sip:a@x", "other", 1))).unwrap();
        location.change(now, "a", remove(6)).unwrap();
        assert_eq!(location.bindings(now, "a").map(|b| b.len()), Some(0), "known, but not here");
    }

    #[test]
    fn a_device_has_one_binding_wherever_it_is() {
        let (now, mut location) = (Instant::now(), Location::default());
        let device = |uri, cseq| {
            let instance = Some(("<urn:uuid:1>".to_owned(), None));
            bind(Binding { instance, ..binding(now, uri, "c", cseq) })
        };
        location.change(now, "a", device("sip:a@x:1", 1)).unwrap();
        location.change(now, "a", bind(Binding { q: 100, ..binding(now, "sip:a@z", "d", 1) })).unwrap();
        location.change(now, "a", device("sip:a@x:2", 2)).unwrap();
        assert_eq!(uris(&location, now), ["sip:a@x:2", "sip:a@z"], "the preferred first");
    }

    #[test]
    fn bindings_end() {
        let (t0, mut location) = (Instant::now(), Location::default());
        location.change(t0, "a", bind(binding(t0, "sip:a@x", "c", 1))).unwrap();
        let tcp = Binding { flow: flow(Transport::Tcp, "192.0.2.9:4000"), ..binding(t0, "sip:a@y", "c", 1) };
        let listening = Binding { uri: Uri::parse("sip:a@192.0.2.9:5090").unwrap(), ..tcp.clone() };
        location.change(t0, "a", bind(listening)).unwrap();
        let gone = tcp.flow;
        location.change(t0, "a", bind(tcp)).unwrap();
        location.lose(&gone);
        assert_eq!(uris(&location, t0), ["sip:a@x", "sip:a@192.0.2.9:5090"]);
        let late = t0 + Duration::from_secs(60);
        assert_eq!(location.next_expiry(), Some(late));
        assert!(uris(&location, late).is_empty());
        location.expire(late);
        assert_eq!((location.next_expiry(), location.all(t0).count()), (None, 0));
    }

    #[test]
    fn numbers_are_capped() {
        let (now, mut location) = (Instant::now(), Location::default());
        for n in 0..MAX_BINDINGS {
            location.change(now, "a", bind(binding(now, &format!("sip:a@h{n}"), "c", 1))).unwrap();
        }
        let one_more = bind(binding(now, "sip:a@more", "c", 1));
        assert_eq!(location.change(now, "a", one_more), Err(LocationError::TooManyContacts));
    }

    #[test]
    fn requests_never_go_to_a_third_party() {
        let (udp, tcp) = (flow(Transport::Udp, "192.0.2.9:4000"), flow(Transport::Tcp, "192.0.2.9:4000"));
        let rows = [
            ("sip:a@203.0.113.66:5070", udp, vec![udp]),
            ("sip:a@phone.example.com", udp, vec![udp]),
            ("sip:a@192.0.2.9:5070", udp, vec![flow(Transport::Udp, "192.0.2.9:5070")]),
            ("sip:a@192.0.2.9", udp, vec![flow(Transport::Udp, "192.0.2.9:5060")]),
            ("sip:a@192.0.2.9:5070;transport=tcp", udp, vec![flow(Transport::Tcp, "192.0.2.9:5070")]),
            ("sip:a@203.0.113.66:5070", tcp, vec![tcp]),
            ("sip:a@192.0.2.9:5070", tcp, vec![tcp, flow(Transport::Tcp, "192.0.2.9:5070")]),
            ("sip:a@192.0.2.9:4000", tcp, vec![tcp]),
        ];
        for (uri, seen, flows) in rows {
            assert_eq!(flows_towards(&Uri::parse(uri).unwrap(), seen), flows, "{uri} {seen:?}");
        }
    }
}
