//! What a proxy looks at before it forwards, and what it changes (RFC 3261 §16.3, §16.4, §16.6).
use crate::base::net::{Flow, Transport};
use crate::sip::message::{HeaderError, Host, Method, NameAddr, Request, Uri};
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// Set where a request brings no Max-Forwards (RFC 3261 §16.6, step 3).
const MAX_FORWARDS: u32 = 70;
/// Addresses of our own that are remembered; a proxy has one for each interface at most.
const MAX_ADDRESSES: usize = 64;

/// The names and addresses that mean this proxy.
#[derive(Clone, Debug, Default)]
pub struct Own {
    domains: Vec<Host>,
    addresses: BTreeSet<SocketAddr>,
}

impl Own {
    pub fn new(domains: Vec<Host>, addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        Self { domains, addresses: addresses.into_iter().collect() }
    }

    /// A socket bound to all addresses tells which one it was with every message.
    pub fn learn(&mut self, local: SocketAddr) {
        if self.addresses.len() < MAX_ADDRESSES {
            self.addresses.insert(local);
        }
    }

    /// Whether a request to this URI is for us: our domain, or one of our sockets.
    pub fn is_own(&self, uri: &Uri) -> bool {
        uri.is_sip() && self.is_own_host(&uri.host, uri.port)
    }

    fn is_own_host(&self, host: &Host, port: Option<u16>) -> bool {
        let is_socket =
            |ip| self.addresses.contains(&SocketAddr::new(ip, port.unwrap_or(Transport::Udp.default_port())));
        host.ip().is_some_and(is_socket)
            || (self.domains.contains(host) && port.is_none_or(|p| self.addresses.iter().any(|a| a.port() == p)))
    }

    /// Whether the request went through us before.
    fn has_passed(&self, request: &Request) -> bool {
        let via = |text| crate::sip::message::Via::parse(text).ok();
        request.headers.all("Via").filter_map(via).any(|via| self.is_own_host(&via.host, via.port))
    }
}

/// A request that cannot be forwarded, and the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub status: u16,
    /// Further headers of the answer.
    pub headers: Vec<(&'static str, String)>,
}

impl From<u16> for Refused {
    fn from(status: u16) -> Self {
        Self { status, headers: Vec::new() }
    }
}

impl From<HeaderError> for Refused {
    fn from(error: HeaderError) -> Self {
        error.status().into()
    }
}

/// What makes two passages of one request the same: nothing that decides its way has changed (RFC 3261 §16.6, step 8).
pub fn fingerprint(request: &Request) -> String {
    let headers = &request.headers;
    let tag = |name: &str| headers.get(name).unwrap_or_default();
    let routes: Vec<&str> = headers.all("Route").collect();
    format!("{} {} {} {} {} {}", request.uri, routes.join(","), tag("From"), tag("To"), tag("Call-ID"), tag("CSeq"))
}

/// Request validation (RFC 3261 §16.3), without authentication.
///
/// - `is_active`: whether a request with the same [`fingerprint`] is being forwarded now.
pub fn validate(own: &Own, request: &Request, is_active: bool) -> Result<(), Refused> {
    if request.uri.scheme != crate::sip::message::Scheme::Sip {
        return Err(416.into());
    }
    let is_ours_to_answer = request.method == Method::Options && own.is_own(&request.uri) && request.uri.user.is_none();
    if request.headers.number("Max-Forwards")? == Some(0) && !is_ours_to_answer {
        return Err(483.into());
    }
    if is_active && own.has_passed(request) {
        return Err(482.into());
    }
    unsupported(request, "Proxy-Require", &[])
}

/// 420 with what is required of us and not among `supported`.
pub fn unsupported(request: &Request, header: &str, supported: &[&str]) -> Result<(), Refused> {
    let is_known = |token: &&str| supported.iter().any(|s| s.eq_ignore_ascii_case(token));
    let unknown: Vec<&str> = request.headers.tokens(header).filter(|t| !is_known(t)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(Refused { status: 420, headers: vec![("Unsupported", unknown.join(", "))] })
}

/// Takes our own entries off the route (RFC 3261 §16.4). Returns whether there were any: we recorded ourselves once.
pub fn take_own_routes(own: &Own, request: &mut Request) -> Result<bool, Refused> {
    let mut routes = request.headers.name_addrs("Route")?;
    let mut found = false;
    // A strict router puts the next hop, which is us, where the target belongs.
    if request.uri.is_loose_router()
        && own.is_own(&request.uri)
        && let Some(target) = routes.pop()
    {
        request.uri = target.uri;
        found = true;
    }
    while routes.first().is_some_and(|route| own.is_own(&route.uri)) {
        routes.remove(0);
        found = true;
    }
    if found {
        set_routes(request, &routes);
    }
    Ok(found)
}

/// One hop less, 70 where nothing is said.
pub fn count_hop(request: &mut Request) {
    let hops = request.headers.number("Max-Forwards").ok().flatten();
    request.headers.set("Max-Forwards", hops.map_or(MAX_FORWARDS, |n| n.saturating_sub(1)));
}

/// Aims at a contact: what may stand in a Contact but not in a Request-URI is dropped (RFC 3261 §16.6, step 2, §19.1.5).
pub fn aim(request: &mut Request, target: &Uri) {
    request.uri = target.clone();
    request.uri.headers = None;
    request.uri.params.remove("method");
}

/// Puts `path` before the route, and the target where a strict router wants it (RFC 3261 §16.6, step 6).
pub fn prepend_path(request: &mut Request, path: &[String]) {
    for hop in path.iter().rev() {
        request.headers.push_front("Route", hop);
    }
    let Ok(mut routes) = request.headers.name_addrs("Route") else { return };
    if routes.first().is_some_and(|first| !first.uri.is_loose_router()) {
        let first = routes.remove(0);
        routes.push(NameAddr::new(std::mem::replace(&mut request.uri, first.uri)));
        set_routes(request, &routes);
    }
}

/// Where the request goes next.
pub fn next_hop(request: &Request) -> Uri {
    let first = request.headers.name_addrs("Route").ok().and_then(|routes| routes.into_iter().next());
    first.map_or_else(|| request.uri.clone(), |route| route.uri)
}

/// Stays in the dialog's path: one entry, or one for each side where they differ (RFC 3261 §16.6 step 4, RFC 5658).
pub fn record_route(request: &mut Request, came: Flow, goes: Flow) {
    if (came.transport, came.local) != (goes.transport, goes.local) {
        request.headers.push_front("Record-Route", own_route(came));
    }
    request.headers.push_front("Record-Route", own_route(goes));
}

fn own_route(flow: Flow) -> NameAddr {
    let mut uri = Uri::of_address(None, flow.local);
    if flow.transport != Transport::Udp {
        uri.params.set("transport", Some(flow.transport.uri_token()));
    }
    uri.params.set("lr", None);
    NameAddr::new(uri)
}

fn set_routes(request: &mut Request, routes: &[NameAddr]) {
    request.headers.remove("Route");
    for route in routes.iter().rev() {
        request.headers.push_front("Route", route);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::message::Headers;
    use bytes::Bytes;

    fn own() -> Own {
        Own::new(
            vec![Host::Name("d.test".into())],
            ["192.0.2.1:5060".parse().unwrap(), "192.0.2.1:5070".parse().unwrap()],
        )
    }

    fn request(uri: &str, headers: &[(&str, &str)]) -> Request {
        let mut list = Headers::default();
        headers.iter().for_each(|(name, value)| list.push(name, value));
        Request { method: Method::Invite, uri: Uri::parse(uri).unwrap(), headers: list, body: Bytes::new() }
    }

    fn routes(request: &Request) -> Vec<&str> {
        request.headers.all("Route").collect()
    }

    #[test]
    fn what_means_us() {
        let rows = [
            ("sip:a@other.test", false),
            ("sip:a@d.test:5080", false),
            ("sip:192.0.2.1:5080", false),
            ("sip:192.0.2.2:5060", false),
            ("tel:+1", false),
            ("sip:a@D.test", true),
            ("sip:d.test:5070", true),
            ("sip:192.0.2.1", true),
            ("sip:a@192.0.2.1:5070;transport=tcp", true),
        ];
        for (uri, expected) in rows {
            assert_eq!(own().is_own(&Uri::parse(uri).unwrap()), expected, "{uri}");
        }
    }

    #[test]
    fn requests_that_must_not_be_forwarded() {
        type Row = (&'static str, &'static [(&'static str, &'static str)], bool, u16);
        const OURS: (&str, &str) = ("Via", "SIP/2.0/UDP 192.0.2.1:5070;branch=z9hG4bK1");
        let rows: [Row; 8] = [
            ("tel:+12", &[], false, 416),
            ("sips:a@d.test", &[], false, 416),
            ("urn:service:sos", &[], false, 416),
            ("sip:a@d.test", &[("Max-Forwards", "0")], false, 483),
            ("sip:a@d.test", &[("Max-Forwards", "x")], false, 400),
            ("sip:a@d.test", &[OURS], true, 482),
            ("sip:a@d.test", &[("Proxy-Require", "a"), ("Proxy-Require", "b")], false, 420),
            ("sip:a@d.test", &[("Via", "SIP/2.0/UDP 192.0.2.1:5070"), ("Max-Forwards", "0")], true, 483),
        ];
        for (uri, headers, is_active, status) in rows {
            let refused = validate(&own(), &request(uri, headers), is_active).unwrap_err();
            assert_eq!(refused.status, status, "{uri} {headers:?}");
            if status == 420 {
                assert_eq!(refused.headers, [("Unsupported", "a, b".to_owned())]);
            }
        }
        let fine: [(&[(&str, &str)], bool); 4] =
            [(&[], false), (&[("Max-Forwards", "1")], false), (&[OURS], false), (&[("Via", "SIP/2.0/UDP h")], true)];
        for (headers, is_active) in fine {
            assert_eq!(validate(&own(), &request("sip:a@d.test", headers), is_active), Ok(()), "{headers:?}");
        }
        let mut options = request("sip:d.test", &[("Max-Forwards", "0")]);
        options.method = Method::Options;
        assert_eq!(validate(&own(), &options, false), Ok(()));
    }

    #[test]
    fn our_own_routes_are_taken_off() {
        let mut plain = request("sip:a@h", &[("Route", "<sip:other;lr>"), ("Route", "<sip:192.0.2.1;lr>")]);
        assert_eq!(take_own_routes(&own(), &mut plain), Ok(false));
        assert_eq!(routes(&plain).len(), 2, "only from the top");

        let double = [
            ("Route", "<sip:192.0.2.1;lr>"),
            ("Route", "<sip:192.0.2.1:5070;transport=tcp;lr>"),
            ("Route", "<sip:x;lr>"),
        ];
        let mut loose = request("sip:a@h", &double);
        assert_eq!(take_own_routes(&own(), &mut loose), Ok(true));
        assert_eq!(routes(&loose), ["<sip:x;lr>"]);

        let mut strict = request("sip:192.0.2.1:5060;lr", &[("Route", "<sip:x>"), ("Route", "<sip:a@h>")]);
        assert_eq!(take_own_routes(&own(), &mut strict), Ok(true));
        assert_eq!((strict.uri.to_string().as_str(), routes(&strict)), ("sip:a@h", vec!["<sip:x>"]));

        let mut broken = request("sip:a@h", &[("Route", "<sip:")]);
        assert_eq!(take_own_routes(&own(), &mut broken), Err(400.into()));
    }

    #[test]
    fn a_hop_is_counted_and_the_target_set() {
        for (before, after) in [(Some("70"), "69"), (Some("1"), "0"), (None, "70")] {
            let mut r = request("sip:a@h", &before.map(|b| ("Max-Forwards", b)).into_iter().collect::<Vec<_>>());
            count_hop(&mut r);
            assert_eq!(r.headers.get("Max-Forwards"), Some(after));
        }
        let mut r = request("sip:a@d.test", &[("Route", "<sip:z;lr>")]);
        aim(&mut r, &Uri::parse("sip:a@h:5;transport=udp;method=BYE?Route=x").unwrap());
        assert_eq!(r.uri.to_string(), "sip:a@h:5;transport=udp");
        prepend_path(&mut r, &["<sip:p1;lr>".into(), "<sip:p2;lr>".into()]);
        assert_eq!(routes(&r), ["<sip:p1;lr>", "<sip:p2;lr>", "<sip:z;lr>"]);
        assert_eq!(next_hop(&r).to_string(), "sip:p1;lr");
        prepend_path(&mut r, &["<sip:strict>".into()]);
        assert_eq!(r.uri.to_string(), "sip:strict");
        assert_eq!(routes(&r).last(), Some(&"<sip:a@h:5;transport=udp>"));
    }

    #[test]
    fn both_sides_are_recorded_where_they_differ() {
        let flow =
            |transport, local: &str| Flow::new(transport, local.parse().unwrap(), "192.0.2.9:1".parse().unwrap());
        let (udp, tcp) = (flow(Transport::Udp, "192.0.2.1:5060"), flow(Transport::Tcp, "192.0.2.1:5060"));
        let recorded = |came, goes| {
            let mut r = request("sip:a@h", &[("Record-Route", "<sip:up;lr>")]);
            record_route(&mut r, came, goes);
            r.headers.all("Record-Route").map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(recorded(udp, udp), ["<sip:192.0.2.1:5060;lr>", "<sip:up;lr>"]);
        assert_eq!(
            recorded(udp, tcp),
            ["<sip:192.0.2.1:5060;transport=tcp;lr>", "<sip:192.0.2.1:5060;lr>", "<sip:up;lr>"]
        );
    }
}
