//! The response context of one forwarded request: its branches, and which of their answers goes back (RFC 3261 §16.7).
use super::dialogs::CallKey;
use crate::base::net::Flow;
use crate::sip::key::ClientKey;
use crate::sip::message::{Method, Request, Response, Uri};
use std::collections::VecDeque;

/// A place to send the request to.
#[derive(Clone, Debug)]
pub struct Target {
    /// The new Request-URI; `None` leaves it.
    pub uri: Option<Uri>,
    /// Route values to put on top (RFC 3327).
    pub path: Vec<String>,
    /// The flows to try, the best first.
    pub flows: Vec<Flow>,
}

/// How a branch ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// A final response, our Via taken off.
    Answered(Box<Response>),
    /// No answer in time: counts as 408.
    Silent,
    /// It could not be sent: counts as 503 (RFC 3261 §16.9).
    Unreachable,
}

impl Outcome {
    fn status(&self) -> u16 {
        match self {
            Self::Answered(response) => response.status,
            Self::Silent => 408,
            Self::Unreachable => 503,
        }
    }
}

/// One client transaction of the request.
#[derive(Debug)]
pub struct Branch {
    pub key: ClientKey,
    pub flow: Flow,
    /// Flows to try when this one fails.
    pub alternatives: VecDeque<Flow>,
    /// As it is sent, but for Via and Record-Route.
    pub request: Request,
    /// A provisional response came.
    pub rings: bool,
    /// Timer C ended it; whatever it answers to the CANCEL counts as 408.
    pub given_up: bool,
    pub outcome: Option<Outcome>,
}

#[derive(Debug)]
pub struct Context {
    /// As received, our routes taken off.
    pub request: Request,
    /// Where it came from.
    pub source: Flow,
    pub branches: Vec<Branch>,
    /// Targets of lower preference, in groups that are tried one after the other.
    pub waiting: VecDeque<Vec<Target>>,
    /// The caller does not want it any more.
    pub cancelled: bool,
    /// The final response was sent.
    pub answered: bool,
    /// The dialogs it may create.
    pub creates: Option<CallKey>,
    /// The dialog it ends (BYE), by the tag of its answering end.
    pub ends: Option<(CallKey, String)>,
    pub fingerprint: String,
}

/// What goes back when all branches have ended.
#[derive(Clone, Debug)]
pub enum Answer {
    Forwarded(Box<Response>),
    /// A response of our own with that status.
    Own(u16),
    /// None: the end of a request other than INVITE is not told late (RFC 4320 §4.2).
    Silence,
}

impl Context {
    pub fn branch(&mut self, key: &ClientKey) -> Option<&mut Branch> {
        self.branches.iter_mut().find(|branch| branch.key == *key)
    }

    pub fn is_pending(&self) -> bool {
        self.branches.iter().any(|branch| branch.outcome.is_none())
    }

    pub fn pending(&self) -> Vec<ClientKey> {
        self.branches.iter().filter(|b| b.outcome.is_none()).map(|b| b.key.clone()).collect()
    }

    /// The best of the answers (RFC 3261 §16.7, step 6): any 6xx, else the lowest class, and in it the one the caller can
    /// do most with.
    pub fn answer(&self) -> Answer {
        let rank = |outcome: &Outcome| {
            let status = outcome.status();
            let class = if status >= 600 { 0 } else { status / 100 };
            let within = match status {
                487 if self.cancelled => 0,
                401 | 407 | 415 | 420 | 484 => 1,
                404 => 3,
                480 => 4,
                408 => 5,
                503 => 6,
                _ => 2,
            };
            (class, within)
        };
        let Some(best) = self.branches.iter().filter_map(|b| b.outcome.as_ref()).min_by_key(|o| rank(o)) else {
            return Answer::Own(480);
        };
        match best {
            Outcome::Silent | Outcome::Unreachable if self.cancelled => Answer::Own(487),
            _ if best.status() == 408 && self.request.method != Method::Invite => Answer::Silence,
            Outcome::Silent => Answer::Own(408),
            // It would mean that we can do nothing for any request.
            Outcome::Unreachable => Answer::Own(500),
            Outcome::Answered(response) if response.status == 503 => Answer::Own(500),
            Outcome::Answered(response) => {
                let mut response = response.clone();
                if matches!(response.status, 401 | 407) {
                    self.collect_challenges(&mut response);
                }
                Answer::Forwarded(response)
            }
        }
    }

    /// Adds the challenges of the other branches, so that the caller can answer all at once (RFC 3261 §16.7, step 7).
    fn collect_challenges(&self, response: &mut Response) {
        for name in ["WWW-Authenticate", "Proxy-Authenticate"] {
            let challenges = self.branches.iter().filter_map(|b| match &b.outcome {
                Some(Outcome::Answered(r)) if matches!(r.status, 401 | 407) => Some(r.headers.all(name)),
                _ => None,
            });
            for value in challenges.flatten() {
                if !response.headers.all(name).any(|v| v == value) {
                    response.headers.push(name, value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::net::Transport;
    use crate::sip::message::{Headers, Host};
    use bytes::Bytes;

    fn context(method: Method, statuses: &[u16]) -> Context {
        let address = "192.0.2.1:5060".parse().unwrap();
        let flow = Flow::new(Transport::Udp, address, address);
        let uri = Uri::sip(None, Host::Name("h".into()), None);
        let request = Request { method, uri, headers: Headers::default(), body: Bytes::new() };
        let branch = |(n, status): (usize, &u16)| {
            let mut response = Response::to_request(&request, *status, None);
            response.headers.push("Proxy-Authenticate", format_args!("Digest realm=\"{n}\", nonce=\"x\""));
            let outcome = match status {
                0 => Outcome::Silent,
                1 => Outcome::Unreachable,
                _ => Outcome::Answered(Box::new(response)),
            };
            Branch {
                key: ClientKey::new(&n.to_string(), Method::Invite),
                flow,
                alternatives: VecDeque::new(),
                request: request.clone(),
                rings: false,
                given_up: false,
                outcome: Some(outcome),
            }
        };
        let branches = statuses.iter().enumerate().map(branch).collect();
        Context {
            request: request.clone(),
            source: flow,
            branches,
            waiting: VecDeque::new(),
            cancelled: false,
            answered: false,
            creates: None,
            ends: None,
            fingerprint: String::new(),
        }
    }

    /// Statuses in, 0 for silence and 1 for unreachable; the status out, negative for one of our own, 0 for none.
    #[test]
    fn the_best_answer() {
        let rows: [(&[u16], i32); 14] = [
            (&[], -480),
            (&[0], -408),
            (&[1], -500),
            (&[503], -500),
            (&[503, 1], -500),
            (&[1, 0], -408),
            (&[0, 486], 486),
            (&[404, 486, 480], 486),
            (&[480, 408, 404], 404),
            (&[500, 486], 486),
            (&[486, 302], 302),
            (&[486, 603, 302], 603),
            (&[486, 407, 404], 407),
            (&[500, 503], 500),
        ];
        for (statuses, expected) in rows {
            let status = match context(Method::Invite, statuses).answer() {
                Answer::Forwarded(response) => i32::from(response.status),
                Answer::Own(status) => -i32::from(status),
                Answer::Silence => 0,
            };
            assert_eq!(status, expected, "{statuses:?}");
        }
    }

    #[test]
    fn a_cancelled_request_is_terminated() {
        for outcome in [0, 1] {
            let mut silent = context(Method::Invite, &[outcome]);
            silent.cancelled = true;
            assert!(matches!(silent.answer(), Answer::Own(487)));
        }
        let mut both = context(Method::Invite, &[486, 487]);
        both.cancelled = true;
        assert!(matches!(both.answer(), Answer::Forwarded(r) if r.status == 487));
    }

    #[test]
    fn silence_about_other_requests() {
        assert!(matches!(context(Method::Message, &[0]).answer(), Answer::Silence));
        assert!(matches!(context(Method::Message, &[408, 0]).answer(), Answer::Silence));
        assert!(matches!(context(Method::Message, &[0, 404]).answer(), Answer::Forwarded(_)));
    }

    #[test]
    fn challenges_of_all_branches_are_collected() {
        let Answer::Forwarded(response) = context(Method::Invite, &[407, 486, 407]).answer() else { panic!("407") };
        assert_eq!(response.headers.all("Proxy-Authenticate").count(), 2);
    }
}
