//! What a registrar's answer grants: how long our binding lasts, our GRUUs, the way out, and whether it knows flows
//! (RFC 3261 §10.2.4, RFC 3608, RFC 5626 §6, RFC 5627 §4.2); and where we are seen (RFC 3581).
use crate::sip::message::{Headers, Host, NameAddr, Uri};
use std::time::Duration;

/// A service route of more hops, or a longer one \[bytes\], is not meant well.
const MAX_HOPS: usize = 8;
const MAX_ROUTE: usize = 2048;
/// Bindings of one answer that are looked at.
const MAX_BINDINGS: usize = 64;
const MAX_FLOW_TIMER: u32 = 3600;

/// What ours is, so that it is found among the bindings of other phones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ours<'a> {
    pub contact: &'a Uri,
    /// `urn:uuid:..`
    pub instance: Option<&'a str>,
    pub reg_id: Option<u32>,
}

/// What the newest 2xx said.
#[derive(Clone, Debug, Default)]
pub struct Grant {
    /// \[s\]
    pub(super) lifetime: Option<u32>,
    /// Leads to this phone from everywhere (RFC 5627 §4.2): the Contact of dialogs.
    pub gruu: Option<Uri>,
    /// The same, without telling whose it is.
    pub temp_gruu: Option<Uri>,
    /// The route set of requests outside of dialogs (RFC 3608 §6.1), first hop first.
    pub service_route: Vec<NameAddr>,
    /// The registrar keeps several flows of ours apart (RFC 5626 §6).
    pub outbound: bool,
    /// How long the edge keeps a flow on which nothing is sent (RFC 5626 §5.4).
    pub flow_timer: Option<Duration>,
}

impl Grant {
    pub(super) fn of(headers: &Headers, ours: Ours<'_>) -> Self {
        let contacts = headers.all("Contact").take(MAX_BINDINGS);
        let contacts: Vec<NameAddr> = contacts.filter_map(|value| NameAddr::parse(value).ok()).collect();
        let own = find(&contacts, ours);
        let lifetime = own.and_then(|contact| contact.params.unquoted("expires")?.parse().ok());
        // A GRUU of somebody else would have calls to us ring there.
        let identified = own.filter(|own| is_instance(own, ours));
        let gruu = |name| {
            let uri = Uri::parse(&identified?.params.unquoted(name)?).ok()?;
            (uri.is_sip() && uri.headers.is_none()).then_some(uri)
        };
        let flow_timer = headers.number("Flow-Timer").ok().flatten().filter(|s| (1..=MAX_FLOW_TIMER).contains(s));
        Self {
            lifetime: lifetime.or_else(|| headers.number("Expires").ok().flatten()),
            gruu: gruu("pub-gruu"),
            temp_gruu: gruu("temp-gruu"),
            service_route: service_route(headers),
            outbound: ours.reg_id.is_some()
                && ["Require", "Supported"].iter().any(|name| headers.has_token(name, "outbound")),
            flow_timer: flow_timer.map(|s| Duration::from_secs(s.into())),
        }
    }
}

/// Our binding, however the registrar has rewritten it: by instance and flow, by instance, by its random user part, by its
/// address, or as the only one there is.
fn find<'a>(contacts: &'a [NameAddr], ours: Ours<'_>) -> Option<&'a NameAddr> {
    let is_this_phone = |c: &&NameAddr| is_instance(c, ours);
    let is_this_flow = |c: &&NameAddr| ours.reg_id == c.params.value("reg-id").and_then(|id| id.parse().ok());
    let of_flow = || contacts.iter().find(|c| is_this_phone(c) && is_this_flow(c));
    // Another flow of this phone is none of this one's.
    let of_phone = || contacts.iter().find(|c| is_this_phone(c) && !c.params.has("reg-id"));
    let of_user = || contacts.iter().find(|c| c.uri.user == ours.contact.user && !is_other_flow(c, ours));
    let of_address = || contacts.iter().find(|c| c.uri.host == ours.contact.host && c.uri.port == ours.contact.port);
    let only = || contacts.first().filter(|_| contacts.len() == 1);
    of_flow().or_else(of_phone).or_else(of_user).or_else(of_address).or_else(only)
}

fn is_other_flow(contact: &NameAddr, ours: Ours<'_>) -> bool {
    let id = contact.params.value("reg-id").and_then(|id| id.parse::<u32>().ok());
    id.is_some() && id != ours.reg_id
}

/// Whether the binding is of this phone: its instance is ours, brackets left out.
fn is_instance(contact: &NameAddr, ours: Ours<'_>) -> bool {
    let value = contact.params.unquoted("+sip.instance").unwrap_or_default();
    let named = value.trim_start_matches('<').trim_end_matches('>');
    ours.instance.is_some_and(|instance| instance.eq_ignore_ascii_case(named))
}

/// The Service-Route, if all of it can be used; none of it otherwise.
fn service_route(headers: &Headers) -> Vec<NameAddr> {
    let Ok(route) = headers.name_addrs("Service-Route") else { return Vec::new() };
    let texts: Vec<String> = route.iter().map(|hop| hop.uri.to_string()).collect();
    let repeats = texts.iter().enumerate().any(|(at, text)| texts.iter().skip(at + 1).any(|other| other == text));
    let length: usize = texts.iter().map(String::len).sum();
    let good = route.iter().all(|hop| hop.uri.is_sip() && hop.uri.is_loose_router() && hop.uri.headers.is_none());
    if good && !repeats && route.len() <= MAX_HOPS && length <= MAX_ROUTE { route } else { Vec::new() }
}

/// The Contact with the address the registrar saw, where that is another one (RFC 3581, RFC 5626 §1).
///
/// Over a connection the port is the connection's own; it says nothing as long as the address is right. Where nobody can
/// connect to us the Contact names no address, and none is put there.
pub(super) fn corrected(response: &Headers, contact: &Uri) -> Option<Uri> {
    let via = response.via().ok()?;
    let (ip, port) = (via.received()?, via.rport()?);
    let Host::Ip(own) = contact.host else { return None };
    let differs = ip != own || (via.transport == "UDP" && port != contact.port.unwrap_or(5060));
    differs.then(|| Uri { host: Host::Ip(ip), port: Some(port), ..contact.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const URN: &str = "urn:uuid:0c67446e-f1a1-11d9-94d3-000a95a0e128";

    fn uri(text: &str) -> Uri {
        Uri::parse(text).expect("a URI")
    }

    fn headers(rows: &[(&str, &str)]) -> Headers {
        let mut headers = Headers::default();
        rows.iter().for_each(|(name, value)| headers.push(name, value));
        headers
    }

    fn granted(headers: &Headers, reg_id: Option<u32>) -> Grant {
        let contact = uri("sip:0a1b2c@192.0.2.1:5070");
        Grant::of(headers, Ours { contact: &contact, instance: Some(URN), reg_id })
    }

    #[test]
    fn the_lifetime_is_that_of_our_binding_however_the_registrar_writes_it() {
        let own = format!("+sip.instance=\"<{}>\"", URN.to_ascii_uppercase().replace("URN:UUID", "urn:uuid"));
        let other = "+sip.instance=\"<urn:uuid:11111111-2222-3333-4444-555555555555>\"";
        let rows: [(&[String], Option<&str>, Option<u32>); 12] = [
            (&[], None, None),
            (&["<sip:other@h>;expires=9".into(), "<sip:another@h>;expires=8".into()], None, None),
            (&["not a contact".into(), "<sip:0a1b2c@x>;expires=7".into()], Some("60"), Some(7)),
            // Asterisk: parameters dropped, a second less than it says.
            (&["<sip:0a1b2c@192.0.2.1:5070>;expires=59".into()], Some("60"), Some(59)),
            (&["<sip:other@h>;expires=9".into(), "<sip:0a1b2c@10.0.0.1:4444;ob>;expires=55".into()], None, Some(55)),
            (&["<sip:other@h>;expires=9".into(), "<sip:alice@192.0.2.1:5070>;expires=54".into()], None, Some(54)),
            (&["<sip:rewritten@h>;expires=53".into()], None, Some(53)),
            (&["<sip:0a1b2c@192.0.2.1:5070>".into()], Some("60"), Some(60)),
            // The instance comes before the address: an older run of this phone, and another phone behind the same NAT.
            (
                &[
                    format!("<sip:0a1b2c@192.0.2.1:5070>;expires=5;{other}"),
                    format!("<sip:x@h>;expires=52;{own};reg-id=1"),
                ],
                None,
                Some(52),
            ),
            // Two flows of ours: each has its own.
            (
                &[
                    format!("<sip:0a1b2c@192.0.2.1:5070>;expires=5;{own};reg-id=2"),
                    format!("<sip:0a1b2c@192.0.2.1:5070>;expires=51;{own};reg-id=1"),
                ],
                None,
                Some(51),
            ),
            // The flow's number is lost on the way.
            (&[format!("<sip:y@h>;expires=4;{other}"), format!("<sip:x@h>;expires=50;{own}")], None, Some(50)),
            (&["<sip:x@h>;expires=\"49\"".into()], None, Some(49)),
        ];
        for (contacts, expires, lifetime) in rows {
            let mut headers = Headers::default();
            contacts.iter().for_each(|contact| headers.push("Contact", contact));
            expires.iter().for_each(|expires| headers.push("Expires", expires));
            assert_eq!(granted(&headers, Some(1)).lifetime, lifetime, "{contacts:?}");
        }
    }

    #[test]
    fn a_gruu_is_taken_from_our_own_binding_only() {
        let contact = |urn: &str, gruu: &str| {
            headers(&[(
                "Contact",
                &format!(
                    "<sip:0a1b2c@192.0.2.1:5070>;+sip.instance=\"<{urn}>\";reg-id=1;pub-gruu=\"{gruu}\"\
                     ;temp-gruu=\"sip:tgruu.7hs==jd7vnzga5w7fajsc7-ajd6fabz0f8g5@example.com;gr\""
                ),
            )])
        };
        let gruu = "sip:callee@example.com;gr=urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
        for (urn, uri) in [("urn:uuid:x", gruu), (URN, ""), (URN, "tel:1"), (URN, "sip:a@b?Route=x")] {
            assert!(granted(&contact(urn, uri), Some(1)).gruu.is_none(), "{urn} {uri}");
        }
        let grant = granted(&contact(URN, gruu), Some(1));
        assert_eq!(grant.gruu.map(|uri| uri.to_string()).as_deref(), Some(gruu));
        assert!(grant.temp_gruu.is_some());
    }

    #[test]
    fn a_service_route_is_taken_whole_or_not_at_all() {
        let many = (1..10).map(|n| format!("<sip:h{n};lr>")).collect::<Vec<_>>().join(", ");
        let long = format!("<sip:{}@h;lr>", "x".repeat(MAX_ROUTE));
        let rows = [
            ("", 0),
            ("<sip:p1;lr>, nonsense", 0),
            ("<sip:p1>", 0),
            ("<tel:1;lr>", 0),
            ("<sip:p1;lr?Route=x>", 0),
            ("<sip:p1;lr>, <sip:p2;lr>, <sip:p1;lr>", 0),
            (&long, 0),
            ("<sip:p2.home.example;lr>, <sips:hsp.home.example:5061;lr=on>", 2),
        ];
        for (value, hops) in rows {
            let mut headers = Headers::default();
            value.split(", ").for_each(|hop| headers.push("Service-Route", hop));
            assert_eq!(granted(&headers, None).service_route.len(), hops, "{value}");
        }
        let mut headers = Headers::default();
        many.split(", ").for_each(|hop| headers.push("Service-Route", hop));
        assert!(granted(&headers, None).service_route.is_empty(), "{many}");
    }

    #[test]
    fn what_the_edge_says_of_flows() {
        // headers, our reg-id, outbound, Flow-Timer [s]
        let rows = [
            (vec![], Some(1), false, None),
            (vec![("Require", "outbound")], None, false, None),
            (vec![("Supported", "path, outboundish")], Some(1), false, None),
            (vec![("Flow-Timer", "soon")], Some(1), false, None),
            (vec![("Flow-Timer", "0")], Some(1), false, None),
            (vec![("Flow-Timer", "4000000000")], Some(1), false, None),
            (vec![("Require", "outbound"), ("Flow-Timer", "25")], Some(1), true, Some(25)),
            (vec![("Supported", "path, outbound")], Some(2), true, None),
        ];
        for (rows, reg_id, outbound, timer) in rows {
            let grant = granted(&headers(&rows), reg_id);
            assert_eq!((grant.outbound, grant.flow_timer.map(|t| t.as_secs())), (outbound, timer), "{rows:?}");
        }
    }

    #[test]
    fn only_another_address_corrects_the_contact() {
        let rows = [
            ("UDP 192.0.2.1:5070;branch=z9hG4bKx", None),
            ("UDP 192.0.2.1:5070;branch=z9hG4bKx;received=198.51.100.4", None),
            ("UDP 192.0.2.1:5070;branch=z9hG4bKx;received=nonsense;rport=1", None),
            ("UDP 192.0.2.1:5070;branch=z9hG4bKx;received=192.0.2.1;rport=5070", None),
            // The port of a connection is its own.
            ("TCP 192.0.2.1:5070;branch=z9hG4bKx;received=192.0.2.1;rport=61000", None),
            ("UDP 192.0.2.1:5070;branch=z9hG4bKx;received=192.0.2.1;rport=61000", Some("sip:me@192.0.2.1:61000;ob")),
            (
                "TCP 192.0.2.1:5070;branch=z9hG4bKx;received=198.51.100.4;rport=61000",
                Some("sip:me@198.51.100.4:61000;ob"),
            ),
        ];
        for (via, expected) in rows {
            let headers = headers(&[("Via", &format!("SIP/2.0/{via}"))]);
            let seen = corrected(&headers, &uri("sip:me@192.0.2.1:5070;ob"));
            assert_eq!(seen.map(|contact| contact.to_string()).as_deref(), expected, "{via}");
            // Where nobody can connect to us nothing is corrected (RFC 7118 §5).
            assert!(corrected(&headers, &uri("sip:me@0c6.invalid;transport=ws")).is_none(), "{via}");
        }
    }
}
