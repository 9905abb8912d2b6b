//! Session timers, as far as the peer keeps them: its refreshes are granted, we send none (RFC 4028 §9).
use crate::sip::message::{Headers, Request};

/// Grants the refresh that an INVITE or UPDATE asks for, with the peer as the refresher.
///
/// Nothing is promised to a peer that wants us to refresh, or that does not know the extension: the session then has no
/// timer, as with any user agent that lacks it.
pub(super) fn grant(request: &Request, response: &mut Headers) {
    let Some(value) = request.headers.get("Session-Expires") else { return };
    let Ok(Some(interval)) = request.headers.number("Session-Expires") else { return };
    let refresher =
        value.split(';').skip(1).filter_map(|p| p.split_once('=')).find(|(name, _)| name.trim() == "refresher");
    let by_us = refresher.is_some_and(|(_, who)| who.trim().eq_ignore_ascii_case("uas"));
    if !by_us && request.headers.has_token("Supported", "timer") {
        response.push("Require", "timer");
        response.push("Session-Expires", format_args!("{interval};refresher=uac"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::testing::request;

    #[test]
    fn only_the_peer_refreshes() {
        let rows = [
            ("Supported: timer", None),
            ("Session-Expires: 90", None),
            ("Supported: timer\nSession-Expires: soon", None),
            ("Supported: timer\nSession-Expires: 90;refresher=uas", None),
            ("Supported: path, timer\nSession-Expires: 90", Some("90;refresher=uac")),
            ("Supported: timer\nSession-Expires: 1800 ; refresher=uac", Some("1800;refresher=uac")),
        ];
        for (headers, granted) in rows {
            let request = request(&format!(
                "UPDATE sip:bob@192.0.2.1 SIP/2.0
                 Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKx
                 From: <sip:alice@192.0.2.2>;tag=a
                 To: <sip:bob@192.0.2.1>;tag=b
                 Call-ID: one
                 CSeq: 7 UPDATE
                 {headers}"
            ));
            let mut response = Headers::default();
            grant(&request, &mut response);
            assert_eq!(response.get("Session-Expires"), granted, "{headers}");
            assert_eq!(response.get("Require"), granted.map(|_| "timer"));
        }
    }
}
