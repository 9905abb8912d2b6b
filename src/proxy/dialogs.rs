//! The dialogs that pass through: which flow leads to which end, so that requests inside of them find their way and nobody
//! else's do (RFC 3261 §16.4, §16.12; RFC 5626 §5.3).
use crate::base::net::Flow;
use crate::base::timers::TimerTable;
use crate::sip::message::{Headers, Uri};
use std::collections::BTreeMap;
use std::time::Instant;

/// Calls remembered; beyond that the one that was silent longest is forgotten.
const MAX_CALLS: usize = 10_000;
/// Forks of one call.
const MAX_FORKS: usize = 32;

/// Names all dialogs that one request may create: its Call-ID and From tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallKey {
    call_id: String,
    caller_tag: String,
}

impl CallKey {
    /// Of a request that starts dialogs.
    pub fn of(headers: &Headers) -> Option<Self> {
        Some(Self {
            call_id: headers.call_id().ok()?.to_owned(),
            caller_tag: headers.from().ok()?.tag().unwrap_or_default().to_owned(),
        })
    }
}

/// One end that answered.
#[derive(Clone, Debug)]
struct Fork {
    flow: Flow,
    /// The contact the request was sent to.
    target: Uri,
    /// It accepted; before that its dialog is an early one.
    confirmed: bool,
}

#[derive(Clone, Debug)]
struct Call {
    caller: Flow,
    /// By To tag.
    forks: BTreeMap<String, Fork>,
    /// Where the request was sent, answered or not: a NOTIFY may come before the 2xx.
    sent: Vec<Fork>,
}

/// Where a request inside of a dialog goes.
#[derive(Clone, Debug)]
pub struct Way {
    pub key: CallKey,
    pub flow: Flow,
    /// The other end's contact as we know it, in case the request names only its address-of-record.
    pub target: Option<Uri>,
    /// The tag of the answering end, which tells the dialogs of one call apart.
    pub fork: String,
}

#[derive(Debug, Default)]
pub struct Dialogs {
    calls: BTreeMap<CallKey, Call>,
    /// When each was used last.
    used: TimerTable<CallKey>,
}

impl Dialogs {
    /// A request that may create dialogs comes in. False when it repeats the names of somebody else's call.
    pub fn open(&mut self, now: Instant, key: CallKey, caller: Flow) -> bool {
        match self.calls.get_mut(&key) {
            Some(call) if call.caller.remote.ip() != caller.remote.ip() => return false,
            Some(call) => {
                // Another try, with credentials perhaps.
                if !call.forks.values().any(|fork| fork.confirmed) {
                    call.forks.clear();
                    call.sent.clear();
                }
                call.caller = caller;
            }
            None => {
                if self.calls.len() >= MAX_CALLS
                    && let Some((_, silent)) = self.used.next()
                {
                    self.calls.remove(&silent);
                    self.used.stop(&silent);
                }
                self.calls.insert(key.clone(), Call { caller, forks: BTreeMap::new(), sent: Vec::new() });
            }
        }
        self.used.set(key, now);
        true
    }

    /// The request was sent there.
    pub fn sent(&mut self, key: &CallKey, flow: Flow, target: &Uri) {
        if let Some(call) = self.calls.get_mut(key)
            && call.sent.len() < MAX_FORKS
        {
            call.sent.push(Fork { flow, target: target.clone(), confirmed: false });
        }
    }

    /// A response with this To tag came from there.
    pub fn answered(&mut self, key: &CallKey, to_tag: &str, flow: Flow, target: &Uri, confirmed: bool) {
        if let Some(call) = self.calls.get_mut(key)
            && (call.forks.len() < MAX_FORKS || call.forks.contains_key(to_tag))
        {
            let confirmed = confirmed || call.forks.get(to_tag).is_some_and(|fork| fork.confirmed);
            call.forks.insert(to_tag.to_owned(), Fork { flow, target: target.clone(), confirmed });
        }
    }

    /// The dialog with that end is over, or (without a tag) the request failed; the call is forgotten with its last
    /// confirmed dialog.
    pub fn close(&mut self, key: &CallKey, fork: Option<&str>) {
        let Some(call) = self.calls.get_mut(key) else { return };
        if let Some(tag) = fork {
            call.forks.remove(tag);
        }
        if !call.forks.values().any(|fork| fork.confirmed) {
            self.calls.remove(key);
            self.used.stop(key);
        }
    }

    /// The way of a request with a To tag; `None` when it belongs to no dialog that passed through.
    ///
    /// - `refreshes`: the request may change where its sender is reached (RFC 3261 §12.2).
    pub fn way(&mut self, now: Instant, headers: &Headers, source: Flow, refreshes: bool) -> Option<Way> {
        let call_id = headers.call_id().ok()?;
        let (from, to) = (headers.from().ok()?, headers.to().ok()?);
        let (from, to) = (from.tag().unwrap_or_default(), to.tag()?);
        let key = |tag: &str| CallKey { call_id: call_id.to_owned(), caller_tag: tag.to_owned() };
        let by_caller = key(from);
        if let Some(call) = self.calls.get_mut(&by_caller)
            && let Some(fork) = call.forks.get(to)
        {
            let (flow, target) = (fork.flow, Some(fork.target.clone()));
            self.used.set(by_caller.clone(), now);
            if refreshes {
                call.caller = source;
            }
            return Some(Way { key: by_caller, flow, target, fork: to.to_owned() });
        }
        let by_callee = key(to);
        let call = self.calls.get_mut(&by_callee)?;
        match call.forks.get_mut(from) {
            Some(fork) if refreshes => fork.flow = source,
            Some(_) => {}
            None => {
                let fork = call.sent.iter().find(|f| f.flow.remote.ip() == source.remote.ip())?;
                if call.forks.len() >= MAX_FORKS {
                    return None;
                }
                let fork = Fork { flow: source, target: fork.target.clone(), confirmed: true };
                call.forks.insert(from.to_owned(), fork);
            }
        }
        self.used.set(by_callee.clone(), now);
        Some(Way { key: by_callee, flow: call.caller, target: None, fork: from.to_owned() })
    }

    pub fn len(&self) -> usize {
        self.calls.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::net::Transport;
    use std::time::Duration;

    fn flow(remote: &str) -> Flow {
        Flow::new(Transport::Udp, "192.0.2.1:5060".parse().unwrap(), remote.parse().unwrap())
    }

    fn headers(call_id: &str, from: &str, to: &str) -> Headers {
        let mut headers = Headers::default();
        headers.push("Call-ID", call_id);
        headers.push("From", format_args!("<sip:a@d>{from}"));
        headers.push("To", format_args!("<sip:b@d>{to}"));
        headers
    }

    fn call() -> (Instant, Dialogs, CallKey) {
        let (now, mut dialogs) = (Instant::now(), Dialogs::default());
        let key = CallKey::of(&headers("c", ";tag=a", "")).unwrap();
        assert!(dialogs.open(now, key.clone(), flow("192.0.2.10:1")));
        let target = Uri::parse("sip:b@192.0.2.20").unwrap();
        dialogs.sent(&key, flow("192.0.2.20:1"), &target);
        dialogs.answered(&key, "b", flow("192.0.2.20:1"), &target, true);
        (now, dialogs, key)
    }

    #[test]
    fn only_the_two_ends_find_each_other() {
        let (now, mut dialogs, key) = call();
        let stranger = flow("203.0.113.66:1");
        let rows = [
            ("other", ";tag=a", ";tag=b"),
            ("c", ";tag=a", ""),
            ("c", ";tag=a", ";tag=x"),
            ("c", ";tag=x", ";tag=b"),
            ("c", ";tag=x", ";tag=a"),
            ("c", ";tag=b", ";tag=b"),
        ];
        for (call_id, from, to) in rows {
            assert!(dialogs.way(now, &headers(call_id, from, to), stranger, true).is_none(), "{call_id} {from} {to}");
        }
        assert!(!dialogs.open(now, key.clone(), stranger), "a call cannot be taken over");
        let to_callee = dialogs.way(now, &headers("c", ";tag=a", ";tag=b"), flow("192.0.2.10:1"), false).unwrap();
        assert_eq!((to_callee.flow, to_callee.key), (flow("192.0.2.20:1"), key.clone()));
        assert_eq!(to_callee.target.unwrap().to_string(), "sip:b@192.0.2.20");
        let to_caller = dialogs.way(now, &headers("c", ";tag=b", ";tag=a"), flow("192.0.2.20:1"), false).unwrap();
        assert_eq!((to_caller.flow, to_caller.key), (flow("192.0.2.10:1"), key.clone()));
        dialogs.close(&key, Some("x"));
        dialogs.close(&key, None);
        assert_eq!(dialogs.len(), 1, "that dialog goes on");
        dialogs.close(&key, Some("b"));
        assert!(dialogs.way(now, &headers("c", ";tag=a", ";tag=b"), flow("192.0.2.10:1"), false).is_none());
    }

    #[test]
    fn an_end_that_moves_is_followed() {
        let (now, mut dialogs, _) = call();
        let way = |dialogs: &mut Dialogs, from, to, source, refreshes| {
            dialogs.way(now, &headers("c", from, to), flow(source), refreshes).unwrap().flow
        };
        way(&mut dialogs, ";tag=a", ";tag=b", "192.0.2.10:2", false);
        assert_eq!(way(&mut dialogs, ";tag=b", ";tag=a", "192.0.2.21:1", true), flow("192.0.2.10:1"));
        assert_eq!(way(&mut dialogs, ";tag=a", ";tag=b", "192.0.2.10:2", true), flow("192.0.2.21:1"));
        assert_eq!(way(&mut dialogs, ";tag=b", ";tag=a", "192.0.2.21:1", false), flow("192.0.2.10:2"));
    }

    #[test]
    fn a_notify_may_come_before_the_answer() {
        let (now, mut dialogs, _) = call();
        let notify = headers("c", ";tag=early", ";tag=a");
        assert_eq!(dialogs.way(now, &notify, flow("192.0.2.20:9"), false).unwrap().flow, flow("192.0.2.10:1"));
        assert!(dialogs.way(now, &headers("c", ";tag=a", ";tag=early"), flow("192.0.2.10:1"), false).is_some());
    }

    #[test]
    fn numbers_are_capped() {
        let (now, mut dialogs, first) = call();
        for n in 0..MAX_CALLS {
            let key = CallKey { call_id: n.to_string(), caller_tag: String::new() };
            dialogs.open(now + Duration::from_secs(1), key, flow("192.0.2.10:1"));
        }
        assert_eq!((dialogs.len(), dialogs.calls.contains_key(&first)), (MAX_CALLS, false));
        let key = CallKey { call_id: "0".into(), caller_tag: String::new() };
        let target = Uri::parse("sip:b@h").unwrap();
        for n in 0..2 * MAX_FORKS {
            dialogs.answered(&key, &n.to_string(), flow("192.0.2.20:1"), &target, false);
            dialogs.sent(&key, flow("192.0.2.20:1"), &target);
        }
        assert_eq!((dialogs.calls[&key].forks.len(), dialogs.calls[&key].sent.len()), (MAX_FORKS, MAX_FORKS));
    }
}
