//! Texts within a call (RFC 3428 §6): they go wherever the call goes. Those of the peer never come here: whoever holds the
//! session takes them as any other text.
use super::session::{Kind, Sent, Session, Side};
use super::{Event, Failure};
use crate::sip::instant;
use crate::sip::message::{Method, Response};

impl Session {
    /// Sends a text; `false` when there is no call. `Event::Written` with this number follows, unless the call ends before.
    pub fn write(&mut self, number: u32, text: &str) -> bool {
        if self.ended || !matches!(self.side, Side::Established) {
            return false;
        }
        let Some(dialog) = &mut self.dialog else { return false };
        let (mut request, next_hop) = dialog.request(Method::Message);
        instant::put(&mut request, text, &self.config.user_agent);
        self.send(Sent::new(Kind::Text(number), request, next_hop));
        true
    }

    pub(super) fn text_answered(&mut self, number: u32, response: &Response) {
        self.events.push_back(Event::Written { number, status: response.status, reason: response.reason.clone() });
    }

    pub(super) fn text_failed(&mut self, number: u32, failure: Failure) {
        self.events.push_back(Event::Written { number, status: failure.status(), reason: String::new() });
    }
}

#[cfg(test)]
mod tests {
    use crate::sip::invite::Failure;
    use crate::sip::invite::tests::{answer_to, calling, events, outputs, requests, told};

    #[test]
    fn a_text_goes_within_the_call_and_what_became_of_it_is_told() {
        let (mut session, now) = calling(Some("offer"));
        assert!(!session.write(1, "too soon"), "nobody has answered");
        let (id, invite) = requests(&mut session).remove(0);
        session.handle_response(now, id, answer_to(&invite, 200, "b", Some("answer")));
        outputs(&mut session);
        events(&mut session);
        assert!(session.write(7, "one") && session.write(8, "two"));
        let sent = requests(&mut session);
        assert_eq!(sent.iter().map(|(_, text)| text.body.as_ref()).collect::<Vec<_>>(), [b"one", b"two"]);
        assert_eq!(sent[0].1.headers.get("Content-Type"), Some("text/plain;charset=UTF-8"));
        assert_eq!(sent[0].1.headers.get("Call-ID"), invite.headers.get("Call-ID"));
        assert_eq!(sent[0].1.headers.get("Contact"), None, "RFC 3428 §4");
        session.handle_response(now, sent[0].0, answer_to(&sent[0].1, 202, "b", None));
        session.handle_failure(now, sent[1].0, Failure::Timeout);
        assert_eq!(told(&mut session), ["Written 7 202", "Written 8 408"]);
    }
}
