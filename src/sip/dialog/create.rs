//! Creation of a dialog by a request and its response, and target refresh (RFC 3261 §12.1, §12.2.1.2).
use super::{Dialog, DialogKey, Route};
use crate::sip::message::{HeaderError, Headers, Request, Response, Uri};

impl Dialog {
    /// The dialog a response (101 to 299) to our request makes (RFC 3261 §12.1.2).
    ///
    /// A response without Contact leaves the request-URI as the remote target: some servers send 180 so.
    ///
    /// # Errors
    /// A header that cannot be read.
    pub fn of_client(request: &Request, response: &Response) -> Result<Self, HeaderError> {
        let headers = &response.headers;
        let mut route = record_route(headers)?;
        route.reverse();
        Ok(Self {
            key: DialogKey::of_response(headers)?,
            local: required(headers, "From")?,
            remote: required(headers, "To")?,
            target: contact(headers)?.unwrap_or_else(|| request.uri.clone()),
            route,
            local_cseq: request.headers.cseq()?.number,
            remote_cseq: None,
        })
    }

    /// The dialog a received request makes, with our tag (RFC 3261 §12.1.1).
    ///
    /// # Errors
    /// A header that cannot be read, or no Contact.
    pub fn of_server(request: &Request, local_tag: &str) -> Result<Self, HeaderError> {
        let headers = &request.headers;
        let to = required(headers, "To")?;
        let from = headers.from()?;
        Ok(Self {
            key: DialogKey {
                call_id: headers.call_id()?.to_owned(),
                local_tag: local_tag.to_owned(),
                remote_tag: from.tag().unwrap_or_default().to_owned(),
            },
            local: format!("{to};tag={local_tag}"),
            remote: required(headers, "From")?,
            target: match contact(headers)? {
                Some(target) => target,
                // A caller of RFC 2543, known by the tag it lacks, need not send one (RFC 4475 §3.4.1).
                None if from.tag().is_none() && from.uri.is_sip() => from.uri,
                None => return Err(HeaderError::Missing("Contact")),
            },
            route: record_route(headers)?,
            local_cseq: 0,
            remote_cseq: Some(headers.cseq()?.number),
        })
    }

    /// Target refresh: takes over the Contact of a re-INVITE, an UPDATE, or a 2xx to one; the route set stays
    /// (RFC 3261 §12.2.1.2). A message without a Contact that can be read changes nothing.
    pub fn refresh(&mut self, headers: &Headers) {
        if let Ok(Some(target)) = contact(headers) {
            self.target = target;
        }
    }

    /// Takes over what the early dialog of the same tags has counted.
    pub fn continue_from(&mut self, early: &Self) {
        self.local_cseq = self.local_cseq.max(early.local_cseq);
        self.remote_cseq = early.remote_cseq;
    }
}

fn required(headers: &Headers, name: &'static str) -> Result<String, HeaderError> {
    headers.get(name).map(str::to_owned).ok_or(HeaderError::Missing(name))
}

fn contact(headers: &Headers) -> Result<Option<Uri>, HeaderError> {
    let first = headers.name_addrs("Contact")?.into_iter().next();
    match first {
        Some(contact) if !contact.uri.is_sip() => Err(HeaderError::Malformed("Contact")),
        first => Ok(first.map(|contact| contact.uri)),
    }
}

fn record_route(headers: &Headers) -> Result<Vec<Route>, HeaderError> {
    headers.all("Record-Route").map(|value| Route::parse(value).ok_or(HeaderError::Malformed("Record-Route"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::message::Method;
    use crate::sip::testing::request;

    const INVITE: &str = "INVITE sip:bob@example.com SIP/2.0
        Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKx
        Record-Route: <sip:p2.example.com;lr=on;r2=on>, <sip:p2.example.com;transport=tcp;lr=on;r2=on>
        Record-Route: <sip:p1.example.com;lr>
        From: \"Alice, at home\" <sip:alice@192.0.2.2>;tag=a
        To: Bob <sip:bob@192.0.2.1>
        Contact: <sip:192.0.2.2:15060>
        Call-ID: one
        CSeq: 7 INVITE";

    const ROUTE: [&str; 3] = [
        "<sip:p2.example.com;lr=on;r2=on>",
        "<sip:p2.example.com;transport=tcp;lr=on;r2=on>",
        "<sip:p1.example.com;lr>",
    ];

    fn answered() -> Response {
        let request = request(INVITE);
        let mut response = Response::to_request(&request, 200, Some("b"));
        request.headers.all("Record-Route").for_each(|value| response.headers.push("Record-Route", value));
        response.headers.push("Contact", "<sip:bob@198.51.100.7:5070;transport=udp>;expires=3");
        response
    }

    #[test]
    fn what_cannot_be_read_makes_no_dialog() {
        let rows = [
            ("Contact: <sip:192.0.2.2:15060>", "Subject: none", HeaderError::Missing("Contact")),
            ("Contact: <sip:192.0.2.2:15060>", "Contact: <mailto:a@b>", HeaderError::Malformed("Contact")),
            ("Contact: <sip:192.0.2.2:15060>", "Contact: <<>", HeaderError::Malformed("Contact")),
            ("<sip:p1.example.com;lr>", "<oh no>", HeaderError::Malformed("Record-Route")),
        ];
        for (from, to, error) in rows {
            let request = request(&INVITE.replace(from, to));
            assert_eq!(Dialog::of_server(&request, "b").err(), Some(error), "{to}");
        }
    }

    #[test]
    fn the_callee_keeps_the_route_in_order_and_the_caller_turns_it_round() {
        let mut callee = Dialog::of_server(&request(INVITE), "b").expect("a dialog");
        let (bye, next_hop) = callee.request(Method::Bye);
        assert_eq!(bye.headers.all("Route").collect::<Vec<_>>(), ROUTE);
        assert_eq!(bye.uri.to_string(), "sip:192.0.2.2:15060", "a Contact without user part stays so");
        assert_eq!(next_hop.to_string(), "sip:p2.example.com;lr=on;r2=on");
        assert_eq!(bye.headers.get("From"), Some("Bob <sip:bob@192.0.2.1>;tag=b"));
        assert_eq!(bye.headers.get("To"), Some("\"Alice, at home\" <sip:alice@192.0.2.2>;tag=a"));

        let mut caller = Dialog::of_client(&request(INVITE), &answered()).expect("a dialog");
        let (bye, next_hop) = caller.request(Method::Bye);
        let route: Vec<&str> = bye.headers.all("Route").collect();
        assert_eq!(route, [ROUTE[2], ROUTE[1], ROUTE[0]]);
        assert_eq!(next_hop.to_string(), "sip:p1.example.com;lr");
        assert_eq!(bye.uri.to_string(), "sip:bob@198.51.100.7:5070;transport=udp");
        assert_eq!(bye.headers.get("CSeq"), Some("8 BYE"));
        assert_eq!((caller.key().local_tag.as_str(), caller.key().remote_tag.as_str()), ("a", "b"));
    }

    #[test]
    fn a_response_without_contact_leaves_the_request_uri() {
        let mut response = answered();
        response.headers.remove("Contact");
        let dialog = Dialog::of_client(&request(INVITE), &response).expect("a dialog");
        assert_eq!(dialog.target().to_string(), "sip:bob@example.com");
    }

    #[test]
    fn a_refresh_moves_the_target_and_not_the_route() {
        let mut dialog = Dialog::of_server(&request(INVITE), "b").expect("a dialog");
        for (contact, target) in [("<sip:new@192.0.2.9>", "sip:new@192.0.2.9"), ("<<>", "sip:new@192.0.2.9")] {
            let mut headers = Headers::default();
            headers.push("Contact", contact);
            headers.push("Record-Route", "<sip:other.example.com;lr>");
            dialog.refresh(&headers);
            assert_eq!(dialog.target().to_string(), target);
            assert_eq!(dialog.request(Method::Info).0.headers.all("Route").count(), 3);
        }
    }

    #[test]
    fn an_old_cseq_is_refused_and_gaps_are_not() {
        let mut dialog = Dialog::of_server(&request(INVITE), "b").expect("a dialog");
        let rows = [
            ("INVITE", 6, false),
            ("INVITE", 7, false),
            ("BYE", 7, true),
            ("INVITE", 900, true),
            ("BYE", 899, false),
            ("BYE", 900, true),
            ("INVITE", 900, false),
            ("BYE", u32::MAX, true),
        ];
        for (method, number, taken) in rows {
            let later = INVITE.replace("CSeq: 7", &format!("CSeq: {number}")).replace("INVITE", method);
            assert_eq!(dialog.take_request(&request(&later)).is_ok(), taken, "{method} {number}");
        }
    }
}
