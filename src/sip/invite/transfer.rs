//! Transfer within a call: REFER both ways and the reports of its NOTIFYs (RFC 3515, RFC 6665 §4.1, RFC 5589).
//!
//! ```text
//!   transferor: refer ---> Asked --- 202 ---> Reported --- NOTIFY terminated, or none in time ---> (over)
//!                            +--- refused, no answer ---------------------------------------------> (over)
//!   transferee: REFER ---> 202, NOTIFY 100 ---> report: NOTIFY 1xx ---> report: NOTIFY final, terminated
//! ```
use super::session::{Kind, Sent, Session, Side, Timer};
use super::{Event, Output};
use crate::sip::error::Refusal;
use crate::sip::key::ServerKey;
use crate::sip::message::{HeaderError, Method, NameAddr, Request, Response, reason_phrase};
use crate::sip::refer::{FRAGMENT, ReferTo, fragment, status_of};
use std::time::{Duration, Instant};

/// A peer that took a REFER and says no more about it is given up after so long.
const REPORTS: Duration = Duration::from_secs(180);

/// What is under way.
#[derive(Debug, Default)]
pub(super) struct Transfer {
    /// We asked the peer to call somebody, and it has not told the end yet.
    asked: bool,
    /// The peer asked us: its REFER, whose end we have not told yet.
    referred: bool,
}

impl Session {
    /// Asks the peer to call somebody else. `TransferProgress` tells how it goes; the call itself stays as it is. `false` when
    /// there is no call to transfer, or it is being transferred already.
    pub fn refer(&mut self, now: Instant, target: &ReferTo, by: &NameAddr) -> bool {
        if self.ended || self.transfer.asked || !matches!(self.side, Side::Established) {
            return false;
        }
        let Some(dialog) = &mut self.dialog else { return false };
        let (mut request, next_hop) = dialog.request(Method::Refer);
        request.headers.push("Refer-To", target);
        request.headers.push("Referred-By", NameAddr::new(by.uri.clone()));
        request.headers.push("Contact", &self.contact);
        self.transfer.asked = true;
        self.timers.set(Timer::Reports, now + REPORTS);
        self.send(Sent::new(Kind::Refer, request, next_hop));
        true
    }

    /// Tells the peer how the call it asked for fares: the latest status of that call. A final one is the last.
    pub fn report_transfer(&mut self, status: u16) {
        if self.ended || !self.transfer.referred {
            return;
        }
        self.transfer.referred = status < 200;
        let Some(dialog) = &mut self.dialog else { return };
        let (mut request, next_hop) = dialog.request(Method::Notify);
        request.headers.push("Event", "refer");
        let state = if status < 200 { "active;expires=60" } else { "terminated;reason=noresource" };
        request.headers.push("Subscription-State", state);
        request.headers.push("Contact", &self.contact);
        request.headers.push("Content-Type", FRAGMENT);
        request.body = fragment(status, reason_phrase(status));
        self.send(Sent::new(Kind::Notify, request, next_hop));
    }

    /// A final response to our REFER.
    pub(super) fn refer_answered(&mut self, response: &Response) {
        if response.status >= 300 {
            self.transfer_over(response.status);
        }
    }

    /// The peer does not say how it went.
    pub(super) fn transfer_over(&mut self, status: u16) {
        if std::mem::take(&mut self.transfer.asked) && !self.ended {
            self.timers.stop(&Timer::Reports);
            self.events.push_back(Event::TransferProgress { status, over: true });
        }
    }

    /// The peer's REFER: one at a time.
    pub(super) fn handle_refer(&mut self, key: ServerKey, request: &Request) -> Result<(), Refusal> {
        if !matches!(self.side, Side::Established) {
            return Err(Refusal::NoDialog);
        }
        if self.transfer.referred {
            return Err(Refusal::Busy { retry_after: self.rng.range(1, 10) });
        }
        let mut values = request.headers.all("Refer-To");
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(HeaderError::Missing("Refer-To").into());
        };
        let target = ReferTo::parse(value)?;
        let by = request.headers.get("Referred-By").and_then(|value| NameAddr::parse(value).ok());
        let mut response = self.response(request, 202);
        response.headers.push("Contact", &self.contact);
        self.outputs.push_back(Output::Response { key, response });
        self.transfer.referred = true;
        self.report_transfer(100);
        self.events.push_back(Event::Referred { target: Box::new(target), by: by.map(Box::new) });
        Ok(())
    }

    /// A NOTIFY in the call's dialog: a report on our REFER, or none of ours (RFC 6665 §4.1.3).
    pub(super) fn handle_notify(&mut self, now: Instant, key: ServerKey, request: &Request) -> Result<(), Refusal> {
        let event = request.headers.get("Event").and_then(|value| value.split(';').next()).unwrap_or_default();
        if !event.trim().eq_ignore_ascii_case("refer") || !self.transfer.asked {
            return Err(Refusal::NoDialog);
        }
        let response = self.response(request, 200);
        self.outputs.push_back(Output::Response { key, response });
        let state = request.headers.get("Subscription-State").unwrap_or_default();
        let terminated = state.trim_start().to_ascii_lowercase().starts_with("terminated");
        match (status_of(&request.body), terminated) {
            // Some end the subscription with the last provisional status: what became of the call is not known then.
            (Some(status), true) => self.transfer_over(status),
            (None, true) => self.transfer_over(408),
            (Some(status), false) if status >= 200 => self.transfer_over(status),
            (Some(status), false) => {
                self.timers.set(Timer::Reports, now + REPORTS);
                self.events.push_back(Event::TransferProgress { status, over: false });
            }
            (None, false) => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::sip::invite::tests::{answer_to, calling, events, outputs, pass, within};
    use crate::sip::invite::tests::{requests, told};
    use crate::sip::invite::{Failure, Output, RequestId, Session};
    use crate::sip::message::{Method, NameAddr, Request, Uri};
    use crate::sip::refer::ReferTo;
    use std::time::{Duration, Instant};

    fn statuses(session: &mut Session) -> Vec<u16> {
        let sent = |output| match output {
            Output::Response { response, .. } => Some(response.status),
            Output::Request { .. } | Output::Ack { .. } | Output::Cancel { .. } => None,
        };
        outputs(session).into_iter().filter_map(sent).collect()
    }

    fn talking() -> (Session, Instant) {
        let (mut session, now) = calling(Some("offer"));
        let (id, invite) = requests(&mut session).remove(0);
        session.handle_response(now, id, answer_to(&invite, 200, "b", Some("answer")));
        outputs(&mut session);
        events(&mut session);
        (session, now)
    }

    fn referring() -> (Session, Instant, RequestId, Request) {
        let (mut session, now) = talking();
        let to = ReferTo { uri: Uri::parse("sip:carol@h").expect("a URI"), replaces: None };
        let by = NameAddr::parse("\"Alice\" <sip:alice@h>;tag=x").expect("an address");
        assert!(session.refer(now, &to, &by) && !session.refer(now, &to, &by), "one at a time");
        let (id, refer) = requests(&mut session).remove(0);
        (session, now, id, refer)
    }

    #[test]
    fn a_transfer_is_followed_to_its_end() {
        let (mut session, now, id, refer) = referring();
        assert_eq!((refer.method.clone(), refer.headers.get("Refer-To")), (Method::Refer, Some("<sip:carol@h>")));
        assert_eq!(refer.headers.get("Referred-By"), Some("<sip:alice@h>"));
        // The first report may overtake the 202.
        let rows = [
            ("Subscription-State: active;expires=60", "SIP/2.0 100 Trying", vec!["TransferProgress 100 false"]),
            ("Subscription-State: active", "nonsense", vec![]),
            ("Subscription-State: active", "SIP/2.0 180 Ringing", vec!["TransferProgress 180 false"]),
            ("Subscription-State: Terminated;reason=noresource", "SIP/2.0 200 OK", vec!["TransferProgress 200 true"]),
        ];
        for ((state, report, news), cseq) in rows.into_iter().zip(1..) {
            let (key, mut notify) = within(&session, "NOTIFY", cseq, &format!("Event: refer;id=7\n{state}"));
            notify.body = report.into();
            session.handle_request(now, key, notify);
            assert_eq!(statuses(&mut session), [200]);
            assert_eq!(told(&mut session), news, "{report}");
            if cseq == 1 {
                session.handle_response(now, id, answer_to(&refer, 202, "b", None));
            }
        }
        let (key, late) = within(&session, "NOTIFY", 9, "Event: refer\nSubscription-State: active");
        session.handle_request(now, key, late);
        assert_eq!(statuses(&mut session), [481]);
    }

    #[test]
    fn a_refusal_silence_and_a_peer_that_says_no_more_end_it() {
        let (mut session, now, id, refer) = referring();
        session.handle_response(now, id, answer_to(&refer, 603, "b", None));
        assert_eq!(told(&mut session), ["TransferProgress 603 true"]);
        let (mut session, now, id, _) = referring();
        session.handle_failure(now, id, Failure::Timeout);
        assert_eq!(told(&mut session), ["TransferProgress 408 true"]);
        let (mut session, mut now, id, refer) = referring();
        session.handle_response(now, id, answer_to(&refer, 202, "b", None));
        pass(&mut session, &mut now, Duration::from_secs(181));
        assert_eq!(told(&mut session), ["TransferProgress 408 true"]);
    }

    #[test]
    fn who_asks_for_a_transfer_is_told_how_it_goes() {
        let (mut session, now) = talking();
        let (key, refer) = within(&session, "REFER", 1, "Refer-To: <sip:carol@h>\nReferred-By: <sip:bob@h>");
        session.handle_request(now, key, refer);
        let (key, second) = within(&session, "REFER", 2, "Refer-To: <sip:dave@h>");
        session.handle_request(now, key, second);
        let reports = |session: &mut Session| {
            let text = |(_, request): (RequestId, Request)| {
                let state = request.headers.get("Subscription-State").unwrap_or_default().to_owned();
                format!("{state} {}", String::from_utf8_lossy(&request.body).trim())
            };
            requests(session).into_iter().map(text).collect::<Vec<_>>()
        };
        assert_eq!(reports(&mut session), ["active;expires=60 SIP/2.0 100 Trying"]);
        assert_eq!(told(&mut session), ["Referred <sip:carol@h>"], "the second one has to wait");
        session.report_transfer(180);
        session.report_transfer(486);
        session.report_transfer(200);
        let said = reports(&mut session);
        assert_eq!(
            said,
            ["active;expires=60 SIP/2.0 180 Ringing", "terminated;reason=noresource SIP/2.0 486 Busy Here"],
            "nothing after the last word"
        );
    }
}
