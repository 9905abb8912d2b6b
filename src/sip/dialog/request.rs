//! Requests inside and outside of a dialog: request-URI, Route, and where they go next (RFC 3261 §8.1.1, §12.2.1.1).
use super::Dialog;
use crate::sip::message::{Headers, Method, NameAddr, Request, Uri};
use bytes::Bytes;

/// One hop of a route set, kept as it was written.
#[derive(Clone, Debug)]
pub struct Route {
    value: String,
    uri: Uri,
}

impl Route {
    pub fn parse(value: &str) -> Option<Self> {
        let uri = NameAddr::parse(value).ok()?.uri;
        uri.is_sip().then(|| Self { value: value.to_owned(), uri })
    }
}

impl From<&NameAddr> for Route {
    fn from(hop: &NameAddr) -> Self {
        Self { value: hop.to_string(), uri: hop.uri.clone() }
    }
}

impl Dialog {
    /// A new request and its next hop. The CSeq rises by one.
    pub fn request(&mut self, method: Method) -> (Request, Uri) {
        self.local_cseq = self.local_cseq.saturating_add(1);
        self.build(method, self.local_cseq)
    }

    /// The ACK of a 2xx to the INVITE with that CSeq number, and its next hop (RFC 3261 §13.2.2.4).
    pub fn ack(&self, cseq: u32) -> (Request, Uri) {
        self.build(Method::Ack, cseq)
    }

    /// Goes on from the request that began the dialog, where that is not the one it was made from.
    pub fn count_from(&mut self, cseq: u32) {
        self.local_cseq = self.local_cseq.max(cseq);
    }

    /// The number for a request that is sent again with credentials.
    pub fn next_cseq(&mut self) -> u32 {
        self.local_cseq = self.local_cseq.saturating_add(1);
        self.local_cseq
    }

    fn build(&self, method: Method, cseq: u32) -> (Request, Uri) {
        build(method, &self.target, &self.route, &self.local, &self.remote, &self.key.call_id, cseq)
    }
}

/// A request outside of any dialog and its next hop (RFC 3261 §8.1.1). `from` has its tag; `route` is the pre-loaded route
/// set, first hop first.
pub fn outside(
    method: Method,
    target: &Uri,
    route: &[NameAddr],
    from: &NameAddr,
    to: &NameAddr,
    call_id: &str,
    cseq: u32,
) -> (Request, Uri) {
    let route: Vec<Route> = route.iter().map(Route::from).collect();
    build(method, target, &route, &from.to_string(), &to.to_string(), call_id, cseq)
}

/// The same request once more, with the answer to a challenge and the next number (RFC 3261 §22.2).
pub fn again(mut request: Request, credentials: &[(String, String)], cseq: u32) -> Request {
    ["Authorization", "Proxy-Authorization"].iter().for_each(|name| request.headers.remove(name));
    credentials.iter().for_each(|(name, value)| request.headers.push(name, value));
    request.headers.set("CSeq", format_args!("{cseq} {}", request.method.clone()));
    request
}

fn build(
    method: Method,
    target: &Uri,
    route: &[Route],
    from: &str,
    to: &str,
    call_id: &str,
    cseq: u32,
) -> (Request, Uri) {
    let (uri, route, next_hop) = routed(target, route);
    let mut headers = Headers::default();
    headers.push("Max-Forwards", 70);
    route.iter().for_each(|value| headers.push("Route", value));
    headers.push("From", from);
    headers.push("To", to);
    headers.push("Call-ID", call_id);
    headers.push("CSeq", format_args!("{cseq} {method}"));
    (Request { method, uri, headers, body: Bytes::new() }, next_hop)
}

/// Request-URI, Route values and next hop (RFC 3261 §12.2.1.1).
fn routed(target: &Uri, route: &[Route]) -> (Uri, Vec<String>, Uri) {
    match route.split_first() {
        None => (target.clone(), Vec::new(), target.clone()),
        Some((first, _)) if first.uri.is_loose_router() => {
            (target.clone(), route.iter().map(|hop| hop.value.clone()).collect(), first.uri.clone())
        }
        // A strict router finds itself in the request-URI and the target at the end of Route.
        Some((first, rest)) => {
            let mut uri = first.uri.clone();
            uri.params.remove("method");
            uri.headers = None;
            let values = rest.iter().map(|hop| hop.value.clone()).chain([NameAddr::new(target.clone()).to_string()]);
            (uri.clone(), values.collect(), uri)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strict_and_loose_routers() {
        let rows: [(&[&str], &str, &[&str], &str); 5] = [
            (&[], "sip:bob@h", &[], "sip:bob@h"),
            (&["<sip:p1;lr>", "<sip:p2;lr>"], "sip:bob@h", &["<sip:p1;lr>", "<sip:p2;lr>"], "sip:p1;lr"),
            (&["<sip:p1;lr=on;ftag=x>"], "sip:bob@h", &["<sip:p1;lr=on;ftag=x>"], "sip:p1;lr=on;ftag=x"),
            (&["<sip:p1>", "<sip:p2;lr>"], "sip:p1", &["<sip:p2;lr>", "<sip:bob@h>"], "sip:p1"),
            (&["<sip:p1;method=X?a=b>"], "sip:p1", &["<sip:bob@h>"], "sip:p1"),
        ];
        for (route, uri, values, next_hop) in rows {
            let hops: Vec<Route> = route.iter().filter_map(|value| Route::parse(value)).collect();
            let routed = routed(&Uri::parse("sip:bob@h").expect("a URI"), &hops);
            assert_eq!((routed.0.to_string(), routed.2.to_string()), (uri.into(), next_hop.into()), "{route:?}");
            assert_eq!(routed.1, values);
        }
    }

    #[test]
    fn a_hop_that_is_no_sip_uri_is_none() {
        assert!(Route::parse("<tel:+1>").is_none() && Route::parse("p1").is_none());
    }
}
