//! The registrar: from a REGISTER to changes of the location service, and its answer (RFC 3261 §10.3, RFC 3327 §5.3).
use super::location::{Binding, Change, Location};
use crate::base::net::Flow;
use crate::base::untrusted::Untrusted;
use crate::sip::message::{NameAddr, Request, Response, Uri};
use std::time::{Duration, Instant};

/// How long bindings may last.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// Shorter ones are answered 423.
    pub min: Duration,
    /// Where the phone names none.
    pub default: Duration,
    /// Longer ones are shortened.
    pub max: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self { min: Duration::from_secs(30), default: Duration::from_secs(3600), max: Duration::from_secs(7200) }
    }
}

/// Why a REGISTER is refused: the status, and for 423 nothing more than the configured minimum is needed.
struct Refused(u16);

/// A REGISTER whose sender may speak for `user`.
#[derive(Clone, Copy, Debug)]
pub struct Registration<'a> {
    pub now: Instant,
    pub request: &'a Request,
    pub flow: Flow,
    pub user: &'a str,
    /// For the To of the answer.
    pub tag: &'a str,
}

impl Registration<'_> {
    /// Changes the bindings of the user, and answers.
    ///
    /// - `is_own`: whether a URI leads to this proxy itself; such a contact would make a loop.
    pub fn perform(&self, location: &mut Location, lifetimes: &Lifetimes, is_own: impl Fn(&Uri) -> bool) -> Response {
        let done = self
            .changes(lifetimes, is_own)
            .and_then(|changes| location.change(self.now, self.user, changes).map_err(|e| Refused(e.status())));
        let answer = |status| Response::to_request(self.request, status, Some(self.tag));
        match done {
            Err(Refused(status)) => {
                let mut response = answer(status);
                match status {
                    423 => response.headers.push("Min-Expires", lifetimes.min.as_secs()),
                    503 => response.headers.push("Retry-After", 60),
                    _ => {}
                }
                response
            }
            Ok(()) => {
                let mut response = answer(200);
                for binding in location.bindings(self.now, self.user).unwrap_or_default() {
                    response.headers.push("Contact", contact_of(self.now, binding));
                }
                self.request.headers.all("Path").for_each(|path| response.headers.push("Path", path));
                response
            }
        }
    }

    fn changes(&self, lifetimes: &Lifetimes, is_own: impl Fn(&Uri) -> bool) -> Result<Vec<Change>, Refused> {
        let headers = &self.request.headers;
        let call_id = headers.call_id().map_err(|e| Refused(e.status()))?;
        let cseq = headers.cseq().map_err(|e| Refused(e.status()))?.number;
        // An Expires that cannot be read counts as absent (RFC 3261 §20.19).
        let expires = headers.number("Expires").ok().flatten();
        if headers.is_star_contact() {
            if headers.all("Contact").count() > 1 || expires != Some(0) {
                return Err(Refused(400));
            }
            return Ok(vec![Change::RemoveAll { call_id: call_id.to_owned(), cseq }]);
        }
        let mut changes = Vec::new();
        for contact in headers.name_addrs("Contact").map_err(|e| Refused(e.status()))? {
            if !contact.uri.is_sip() {
                return Err(Refused(400));
            }
            let asked = match contact.params.value("expires") {
                Some(text) => text.parse::<u32>().ok(),
                None => expires,
            };
            let lifetime = asked.map_or(lifetimes.default, |s| Duration::from_secs(s.into()));
            if lifetime.is_zero() {
                changes.push(Change::Remove { uri: contact.uri, call_id: call_id.to_owned(), cseq });
                continue;
            }
            if lifetime < lifetimes.min {
                return Err(Refused(423));
            }
            if is_own(&contact.uri) {
                return Err(Refused(403));
            }
            let instance = contact.params.unquoted("+sip.instance");
            let mut params = contact.params;
            let q = params.value("q").map_or(1000, thousandths);
            let instance = instance.map(|id| (id, params.value("reg-id").map(str::to_owned)));
            params.remove("expires");
            changes.push(Change::Bind(Box::new(Binding {
                uri: contact.uri,
                q,
                instance,
                params,
                call_id: call_id.to_owned(),
                cseq,
                expires: self.now + lifetime.min(lifetimes.max),
                flow: self.flow,
                path: headers.all("Path").map(str::to_owned).collect(),
                user_agent: Untrusted::new(headers.get("User-Agent").unwrap_or_default()),
            })));
        }
        Ok(changes)
    }
}

fn contact_of(now: Instant, binding: &Binding) -> NameAddr {
    let mut contact = NameAddr::new(binding.uri.clone());
    contact.params = binding.params.clone();
    // Rounded to the nearest second: a phone that asked for 60 is told 60.
    let left = binding.expires.saturating_duration_since(now) + Duration::from_millis(500);
    contact.params.set("expires", Some(&left.as_secs().to_string()));
    contact
}

/// A qvalue, 0 to 1 with at most three decimals (RFC 3261 §25.1); one that cannot be read counts as 1.
fn thousandths(text: &str) -> u16 {
    match text.parse::<f32>() {
        Ok(q) if (0.0..=1.0).contains(&q) => (q * 1000.0).round() as u16,
        _ => 1000,
    }
}
