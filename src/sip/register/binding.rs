//! What a registrar's answer says of our binding: how long it lasts, and where we are seen (RFC 3261 §10.2.4, RFC 3581).
use crate::sip::message::{Headers, Host, NameAddr, Uri};

/// The lifetime the registrar gave our binding \[s\] (RFC 3261 §10.2.4).
///
/// Registrars rewrite Contacts and list those of other phones too, so ours is found by its random user part, then by
/// its address, then as the only one there is.
pub(super) fn granted(headers: &Headers, ours: &Uri) -> Option<u32> {
    let contacts: Vec<NameAddr> = headers.all("Contact").filter_map(|value| NameAddr::parse(value).ok()).collect();
    let by_user = contacts.iter().find(|c| c.uri.user == ours.user);
    let by_address = contacts.iter().find(|c| c.uri.host == ours.host && c.uri.port == ours.port);
    let only = contacts.first().filter(|_| contacts.len() == 1);
    let lifetime = by_user.or(by_address).or(only).and_then(|contact| contact.params.value("expires")?.parse().ok());
    lifetime.or_else(|| headers.number("Expires").ok().flatten())
}

/// The Contact with the address the registrar saw, where that is another one (RFC 3581, RFC 5626 §1).
///
/// Over TCP the port is the connection's own; it says nothing as long as the address is right.
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

    fn uri(text: &str) -> Uri {
        Uri::parse(text).expect("a URI")
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
            let mut headers = Headers::default();
            headers.push("Via", format_args!("SIP/2.0/{via}"));
            let corrected = corrected(&headers, &uri("sip:me@192.0.2.1:5070;ob"));
            assert_eq!(corrected.map(|contact| contact.to_string()).as_deref(), expected, "{via}");
        }
    }
}
