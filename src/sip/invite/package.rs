//! INFO packages (RFC 6086): one is spoken here, candidates of ICE that follow a description (RFC 8840 §10).
use super::session::{Kind, Sent, Session, Side};
use super::{Event, Output};
use crate::sip::body::Body;
use crate::sip::dialog::Fork;
use crate::sip::error::Refusal;
use crate::sip::key::ServerKey;
use crate::sip::message::{Headers, Method, Request};

/// The package, and the option tag of those who know it.
pub const CANDIDATES: &str = "trickle-ice";
/// The only type of body it has.
pub const CANDIDATES_TYPE: &str = "application/trickle-ice-sdpfrag";
/// A longer body is not read \[octets\].
const MAX_BODY: usize = 16 * 1024;

impl Session {
    /// Says which packages are received (RFC 6086 §5.2.2), where there are any.
    pub(super) fn tell_packages(&self, headers: &mut Headers) {
        if self.config.takes_candidates {
            headers.push("Recv-Info", CANDIDATES);
        }
    }

    /// Whether the peer of that dialog takes candidates after its description, and we do.
    pub fn takes_candidates(&self, fork: Fork) -> bool {
        self.config.takes_candidates && self.exchange_with(fork).is_some_and(|exchange| exchange.takes_candidates)
    }

    /// Sends candidates; `false` while the peer need not know the dialog or our description yet (RFC 8840 §4.3), or has not
    /// answered the ones before. `Event::Informed` follows.
    pub fn inform(&mut self, fork: Fork, body: &Body) -> bool {
        if self.ended || !self.takes_candidates(fork) || !self.is_described(fork) || self.is_informing() {
            return false;
        }
        let Some(dialog) = self.dialog_of(fork) else { return false };
        let (mut request, next_hop) = dialog.request(Method::Info);
        request.headers.push("Info-Package", CANDIDATES);
        request.headers.push("Content-Disposition", "Info-Package");
        body.put(&mut request.headers, &mut request.body);
        self.send(Sent::new(Kind::Package, request, next_hop));
        true
    }

    fn is_informing(&self) -> bool {
        self.requests.values().any(|sent| sent.kind == Kind::Package)
    }

    /// Offer and answer have both arrived where they had to.
    fn is_described(&self, fork: Fork) -> bool {
        match &self.side {
            // Its response made the dialog.
            Side::Calling(calling) => calling.exchanges.contains_key(&fork),
            // Only a PRACK tells that an early answer has come.
            Side::Ringing(_) => self.exchange.begun && self.is_all_acknowledged(),
            Side::Established => !self.is_first_unacked(),
            Side::Over => false,
        }
    }

    /// The final status of our INFO.
    pub(super) fn package_answered(&mut self, status: u16) {
        if !self.ended {
            self.events.push_back(Event::Informed { status });
        }
    }

    /// The peer's INFO that names a package.
    pub(super) fn handle_package(&mut self, key: ServerKey, request: &Request, package: &str) -> Result<(), Refusal> {
        let ours = if self.config.takes_candidates { CANDIDATES } else { "" };
        let name = package.split(';').next().unwrap_or_default().trim();
        if ours.is_empty() || !name.eq_ignore_ascii_case(ours) {
            return Err(Refusal::InfoPackage(ours));
        }
        let kind = request.headers.get("Content-Type").unwrap_or_default().split(';').next().unwrap_or_default();
        if !kind.trim().eq_ignore_ascii_case(CANDIDATES_TYPE) {
            return Err(Refusal::PackageType(CANDIDATES_TYPE));
        }
        if request.body.len() > MAX_BODY {
            return Err(Refusal::InfoBody);
        }
        let response = self.response(request, 200);
        self.outputs.push_back(Output::Response { key, response });
        let body = Body { content_type: CANDIDATES_TYPE.to_owned(), bytes: request.body.clone() };
        self.events.push_back(Event::Candidates { body });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use crate::sip::invite::tests::*;
    use crate::sip::invite::{Config, Failure};
    use crate::sip::testing::request;
    use std::time::Instant;

    fn config(takes_candidates: bool) -> Config {
        Config { takes_candidates, ..Config::default() }
    }

    fn body() -> Body {
        Body { content_type: CANDIDATES_TYPE.into(), bytes: "a=end-of-candidates\r\n".into() }
    }

    /// A call of ours whose peer may have said that it takes them.
    fn called(ours: bool, theirs: Option<&str>, status: u16) -> (Session, Instant) {
        let now = Instant::now();
        let mut session = Session::invite(now, config(ours), invitation(Some("offer")), Rng::from_u64(1));
        let (id, invite) = first_request(&mut session);
        assert_eq!(invite.headers.get("Recv-Info"), ours.then_some(CANDIDATES));
        assert_eq!(invite.headers.has_token("Supported", CANDIDATES), ours);
        let mut answer = answer_to(&invite, status, "b", Some("answer"));
        theirs.iter().for_each(|packages| answer.headers.push("Recv-Info", packages));
        session.handle_response(now, id, answer);
        outputs(&mut session);
        events(&mut session);
        (session, now)
    }

    #[test]
    fn candidates_go_to_those_who_take_them_one_after_the_other() {
        for (ours, theirs, status, sent) in [
            (true, None, 200, false),
            (true, Some(""), 200, false),
            (true, Some("other"), 200, false),
            (false, Some("trickle-ice"), 200, false),
            (true, Some("other, Trickle-Ice"), 200, true),
            (true, Some("trickle-ice"), 183, true),
        ] {
            let (mut session, _) = called(ours, theirs, status);
            assert_eq!(session.inform(Fork(0), &body()), sent, "{ours} {theirs:?} {status}");
        }
        let (mut session, now) = called(true, Some("trickle-ice"), 200);
        assert!(session.inform(Fork(0), &body()) && !session.inform(Fork(0), &body()), "one waits for its answer");
        let (id, info) = requests(&mut session).remove(0);
        assert_eq!(info.headers.get("Info-Package"), Some("trickle-ice"));
        assert_eq!(info.headers.get("Content-Type"), Some(CANDIDATES_TYPE));
        session.handle_response(now, id, answer_to(&info, 469, "b", None));
        assert_eq!(told(&mut session), ["Informed 469"]);
        assert!(session.inform(Fork(0), &body()));
        let (id, _) = requests(&mut session).remove(0);
        session.handle_failure(now, id, Failure::Timeout);
        assert_eq!(told(&mut session), ["Informed 408"]);
    }

    #[test]
    fn who_is_called_waits_for_the_ack() {
        let now = Instant::now();
        let mut invite = request(&format!("{INVITE}\nRecv-Info: trickle-ice"));
        Body::sdp("offer").put(&mut invite.headers, &mut invite.body);
        let key = ServerKey::of_request(&invite).expect("a key");
        let session = Session::incoming(now, config(true), contact(), key, &invite, Rng::from_u64(2));
        let mut session = session.expect("a good INVITE");
        assert!(session.takes_candidates(Fork(0)) && !session.inform(Fork(0), &body()), "there is no answer");
        session.provisional(now, 180, None);
        session.accept(now, Some(Body::sdp("answer")));
        let told = responses(&mut session).into_iter().filter(|r| r.headers.has_token("Recv-Info", CANDIDATES));
        assert_eq!(told.map(|response| response.status).collect::<Vec<_>>(), [180, 200]);
        assert!(!session.inform(Fork(0), &body()), "it may not have arrived");
        let (_, ack) = within(&session, "ACK", 5, "");
        session.handle_ack(now, ack);
        assert!(session.inform(Fork(0), &body()));
    }

    #[test]
    fn packages_of_the_peer_are_taken_or_refused() {
        let good = "Info-Package: trickle-ice\nContent-Type: application/trickle-ice-sdpfrag";
        let long = "x".repeat(MAX_BODY + 1);
        // Whether we take them, headers, body; status, what is told.
        let rows: [(bool, &str, &str, u16, &[&str]); 6] = [
            (true, "Info-Package: conference", "x", 469, &[]),
            (false, good, "x", 469, &[]),
            (true, "Info-Package: trickle-ice\nContent-Type: application/sdp", "x", 415, &[]),
            (true, good, &long, 400, &[]),
            (true, good, "a=end-of-candidates", 200, &["Candidates a=end-of-candidates"]),
            (
                true,
                "Info-Package: Trickle-ICE;x=1\nContent-Type: application/trickle-ice-sdpfrag",
                "",
                200,
                &["Candidates "],
            ),
        ];
        for (ours, headers, body, status, news) in rows {
            let (mut session, now) = called(ours, None, 200);
            let (key, mut info) = within(&session, "INFO", 1, headers);
            info.body = body.to_owned().into();
            session.handle_request(now, key, info);
            let answer = only(responses(&mut session));
            assert_eq!(answer.status, status, "{headers}");
            let receives = answer.headers.get("Recv-Info");
            assert_eq!(receives, (status == 469).then_some(if ours { CANDIDATES } else { "" }), "{headers}");
            assert_eq!(answer.headers.get("Accept"), (status == 415).then_some(CANDIDATES_TYPE));
            assert_eq!(told(&mut session), news, "{headers}");
        }
    }
}
