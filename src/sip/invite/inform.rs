//! Digits by INFO, both ways (RFC 6086 §2 knows this use as the legacy one: it is negotiated by nothing).
use super::session::{Kind, Sent, Session, Side};
use super::{Event, Output};
use crate::sip::error::Refusal;
use crate::sip::info::{BadSignal, Signal};
use crate::sip::key::ServerKey;
use crate::sip::message::{Method, Request};

impl Session {
    /// Sends a digit; `false` when there is no call, or the one before is not answered yet. Digits have an order, which
    /// datagrams have not. A refusal is told by `SignalRefused`.
    pub fn signal(&mut self, signal: Signal) -> bool {
        if self.ended || self.is_signalling() || !matches!(self.side, Side::Established) {
            return false;
        }
        let Some(dialog) = &mut self.dialog else { return false };
        let (mut request, next_hop) = dialog.request(Method::Info);
        request.headers.push("Content-Type", Signal::RELAY);
        request.body = signal.body().into();
        self.send(Sent::new(Kind::Info, request, next_hop));
        true
    }

    fn is_signalling(&self) -> bool {
        self.requests.values().any(|sent| sent.kind == Kind::Info)
    }

    /// The final status of our INFO.
    pub(super) fn signal_answered(&mut self, status: u16) {
        if status >= 300 && !self.ended {
            self.events.push_back(Event::SignalRefused { status });
        }
    }

    /// The peer's INFO: one without a body asks for nothing.
    pub(super) fn handle_info(&mut self, key: ServerKey, request: &Request) -> Result<(), Refusal> {
        if let Some(package) = request.headers.get("Info-Package") {
            return self.handle_package(key, request, package);
        }
        let kind = request.headers.get("Content-Type").unwrap_or_default();
        let event = match Signal::parse(kind, &request.body) {
            _ if request.body.is_empty() => Event::Notified { request: Box::new(request.clone()) },
            Ok(signal) => Event::Signalled(signal),
            Err(BadSignal::Type) => return Err(Refusal::InfoType),
            Err(BadSignal::Body) => return Err(Refusal::InfoBody),
        };
        let response = self.response(request, 200);
        self.outputs.push_back(Output::Response { key, response });
        self.events.push_back(event);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::sip::info::Signal;
    use crate::sip::invite::tests::{answer_to, calling, events, outputs, requests, told, within};
    use crate::sip::invite::{Failure, Output, Session};
    use std::time::{Duration, Instant};

    const FIVE: Signal = Signal { key: '5', duration: Duration::from_millis(120) };

    fn talking() -> (Session, Instant) {
        let (mut session, now) = calling(Some("offer"));
        assert!(!session.signal(FIVE), "nobody has answered");
        let (id, invite) = requests(&mut session).remove(0);
        session.handle_response(now, id, answer_to(&invite, 200, "b", Some("answer")));
        outputs(&mut session);
        events(&mut session);
        (session, now)
    }

    #[test]
    fn one_digit_is_sent_after_the_other() {
        let (mut session, now) = talking();
        assert!(session.signal(FIVE) && !session.signal(FIVE), "the first is not answered");
        let (id, info) = requests(&mut session).remove(0);
        assert_eq!(info.headers.get("Content-Type"), Some("application/dtmf-relay"));
        assert_eq!(info.body, "Signal=5\r\nDuration=120\r\n");
        session.handle_response(now, id, answer_to(&info, 200, "b", None));
        assert!(told(&mut session).is_empty() && session.signal(FIVE));
        let (id, info) = requests(&mut session).remove(0);
        session.handle_response(now, id, answer_to(&info, 415, "b", None));
        assert_eq!(told(&mut session), ["SignalRefused 415"]);
        assert!(session.signal(FIVE));
        let (id, _) = requests(&mut session).remove(0);
        session.handle_failure(now, id, Failure::Timeout);
        assert_eq!(told(&mut session), ["SignalRefused 408"]);
    }

    #[test]
    fn digits_of_the_peer_are_told_and_what_is_none_is_refused() {
        let rows: [(&str, &str, u16, &[&str]); 6] = [
            ("Content-Type: application/dtmf-relay", "Signal=7\r\nDuration=160", 200, &["Signalled 7"]),
            ("Content-Type: application/dtmf", "#", 200, &["Signalled #"]),
            ("Content-Type: application/dtmf-relay", "nonsense", 400, &[]),
            ("Content-Type: application/media_control+xml", "<x/>", 415, &[]),
            ("Info-Package: conference", "x", 469, &[]),
            ("X-Nothing: 1", "", 200, &["Notified INFO"]),
        ];
        let (mut session, now) = talking();
        for ((headers, body, status, news), cseq) in rows.into_iter().zip(1..) {
            let (key, mut info) = within(&session, "INFO", cseq, headers);
            info.body = body.into();
            session.handle_request(now, key, info);
            let answers: Vec<_> = outputs(&mut session)
                .into_iter()
                .filter_map(|output| match output {
                    Output::Response { response, .. } => Some(response),
                    _ => None,
                })
                .collect();
            assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [status], "{headers}");
            let accepts = answers[0].headers.get("Accept");
            assert_eq!(accepts, (status == 415).then_some(Signal::TYPES));
            assert_eq!(told(&mut session), news, "{headers}");
        }
    }
}
