//! What protects the sound of a call, as it is told to the user, and what happens when it does not come about.
use super::Call;
use crate::base::net::Transport;
use crate::base::time::WallAnchor;
use crate::media::spec::{Direction, Keying, StreamSpec};
use crate::media::srtp::sdes::Suite;
use crate::sdp::SdpError;
use crate::sip::message::Response;
use crate::ua::outbox::Outbox;
use crate::ua::snapshot::CallEnd;
use std::time::Instant;

/// Incompatible media format (RFC 3261 §20.43).
const NO_COMMON_CODEC: &str = "305 ";

impl Call {
    /// What protects the sound, and from whom not.
    pub(super) fn security(&self) -> String {
        let Some(spec) = &self.media.spec else { return String::new() };
        match (&spec.srtp, self.media.secured) {
            (None, _) => "none".to_owned(),
            (Some(Keying::Dtls(_)), Some(suite)) => format!("DTLS-SRTP {}", suite.words()),
            (Some(Keying::Dtls(_)), None) => "DTLS-SRTP, agreeing on keys".to_owned(),
            (Some(Keying::Sdes(keys)), _) => {
                let private = self.flow.is_some_and(|flow| matches!(flow.transport, Transport::Tls | Transport::Wss));
                let seen = if private { "keys seen by the servers" } else { "keys sent in clear" };
                format!("SDES-SRTP {} ({seen})", keys.suite.words())
            }
        }
    }

    pub(super) fn fingerprints(&self) -> Option<(String, String)> {
        let Some(Keying::Dtls(dtls)) = &self.media.spec.as_ref()?.srtp else { return None };
        let theirs: Vec<String> = dtls.told.iter().map(ToString::to_string).collect();
        Some((dtls.certificate.fingerprint().to_string(), theirs.join(", ")))
    }

    /// Another association has yet to agree on its suite.
    pub(super) fn spec_changes(&mut self, spec: &StreamSpec) {
        if self.media.spec.as_ref().and_then(|before| before.srtp.as_ref()) != spec.srtp.as_ref() {
            self.media.secured = None;
        }
    }

    pub(super) fn handle_secured(&mut self, now: Instant, suite: Suite, out: &mut Outbox) {
        self.media.secured = Some(suite);
        let took = now.saturating_duration_since(self.media.heard).as_millis();
        out.log(format!("call {}: DTLS handshake done in {took} ms, {}", self.number, suite.words()));
    }

    /// A peer that wants DTLS, and the line to say so, refuses one that has keys in it as well (Asterisk does): it is asked once
    /// more, for DTLS alone. Who refuses for another reason does so again, unless it said that it was the codecs.
    pub(super) fn offer_otherwise(&mut self, now: Instant, refusal: &Response, anchor: &WallAnchor, out: &mut Outbox) {
        let codecs = refusal.headers.all("Warning").any(|warning| warning.trim_start().starts_with(NO_COMMON_CODEC));
        let turns = !codecs && self.plan.turn_to_dtls();
        let offer = if turns { self.plan.offer(Direction::SendRecv).ok() } else { None };
        if offer.is_some() {
            (self.ringing, self.alerted, self.early_media) = (false, false, false);
            let spec = self.plan.start_over();
            self.run(now, spec, out);
            let status = refusal.status;
            out.log(format!("call {}: {status}: asking for encryption by DTLS alone", self.number));
        }
        match (&mut self.session, offer) {
            (Some(session), Some(offer)) => session.offer_again(now, offer),
            (Some(session), None) => session.take_refusal(now),
            (None, _) => {}
        }
        self.drain_events(now, anchor, out);
    }

    /// The same where the peer takes the call, but not our sound.
    pub(super) fn offers_otherwise(&mut self, now: Instant, error: &SdpError, out: &mut Outbox) -> bool {
        let turns = matches!(error, SdpError::Refused) && self.plan.turn_to_dtls();
        if turns && let Some(session) = &mut self.session {
            out.log(format!("call {}: {error}: asking for encryption by DTLS alone", self.number));
            session.reinvite(now);
        }
        turns
    }

    /// Nothing was heard and nothing said: without keys there is no call.
    pub fn handle_unsecured(&mut self, now: Instant, anchor: &WallAnchor, cause: String, out: &mut Outbox) {
        if self.is_over() {
            return;
        }
        out.log(format!("call {}: not encrypted, so it ends: {cause}", self.number));
        self.fail(now, anchor, CallEnd::Failed, cause, out);
    }
}
