//! A call as the screen sees it: plain and sanitised facts.
use super::Call;
use crate::media::spec::{Codec, StreamSpec};
use crate::sdp::Negotiated;
use crate::ua::account::shown;
use crate::ua::recording::Recorded;
use crate::ua::snapshot::{CallState, CallView};
use std::sync::Arc;

/// What is sent, as a user knows it.
pub(super) fn codec(spec: &StreamSpec) -> &'static str {
    match spec.send.codec {
        Codec::Pcmu => "PCMU 8k",
        Codec::Pcma => "PCMA 8k",
        Codec::Opus => "Opus 48k",
    }
}

/// `RTP/AVP`; `UDP/TLS/RTP/SAVPF, BUNDLE, rtcp-mux`.
fn profile(negotiated: &Negotiated) -> String {
    let shared = [(negotiated.bundled, "BUNDLE"), (negotiated.rtcp_mux, "rtcp-mux")];
    let shared = shared.into_iter().filter(|(is, _)| *is).map(|(_, word)| word);
    [shown(&negotiated.profile, 40).as_str()].into_iter().chain(shared).collect::<Vec<_>>().join(", ")
}

impl Call {
    pub(super) fn codec(&self) -> String {
        self.media.spec.as_ref().map_or(String::new(), |spec| codec(spec).to_owned())
    }

    fn state(&self) -> CallState {
        if let Some(summary) = &self.ended {
            return CallState::Ended(Arc::clone(summary));
        }
        if let Some((target, _)) = &self.redirected {
            return CallState::Redirected { target: shown(&target.to_string(), 120) };
        }
        match (&self.session, self.answered) {
            (_, Some(_)) => CallState::Established,
            (None, None) => CallState::Preparing,
            (Some(_), None) if self.verdict.is_some() => CallState::Ending,
            (Some(_), None) if self.answering => CallState::Answering,
            (Some(_), None) if self.ringing || !self.outgoing => CallState::Ringing { early_media: self.early_media },
            (Some(_), None) => CallState::Calling,
        }
    }

    pub fn view(&self) -> CallView {
        let session_text =
            |text: Option<&crate::base::untrusted::Untrusted>| text.map(|t| t.sanitize(80)).unwrap_or_default();
        let negotiated = self.plan.negotiated();
        let (media_path, media_pair) = self.media_path();
        CallView {
            number: self.number,
            account: self.account,
            outgoing: self.outgoing,
            state: self.state(),
            peer_name: self.identity.name.clone(),
            peer_address: self.identity.address.clone(),
            identity: self.identity.clone(),
            started: self.started,
            answered: self.answered,
            held_by_us: self.held_by_us,
            held_by_peer: self.held_by_peer,
            in_conference: false,
            recording: match &self.recorded {
                Recorded::Never | Recorded::Over => None,
                Recorded::Begins => Some(String::new()),
                Recorded::Runs(file) => Some(file.clone()),
            },
            ignored: self.ignored,
            unattended: self.alert.unattended || self.alert.answer_at.is_some(),
            codec: self.codec(),
            security: self.security(),
            profile: negotiated.map(profile).unwrap_or_default(),
            fingerprints: self.fingerprints(),
            media_path,
            media_pair,
            media_remote: self.media_remote(),
            session_name: session_text(negotiated.map(|n| &n.session_name)),
            session_information: session_text(negotiated.map(|n| &n.session_information)),
            participant: self.participant(),
            digits_received: self.digits_received.clone(),
            digits_left: self.digits_left(),
            digits_wait: self.waits_for_user(),
            transfer: self.transfer_words(),
            media_flowing: self.media.first_heard.is_some(),
            first_media: self
                .answered
                .zip(self.media.first_heard)
                .map(|(at, heard)| heard.saturating_duration_since(at)),
            quality: Arc::clone(&self.media.quality),
            ladder: Arc::default(),
            recovery: self.recovery.note.clone(),
        }
    }

    fn participant(&self) -> Vec<(String, String)> {
        let p = &self.media.participant;
        [
            ("name", &p.name),
            ("email", &p.email),
            ("phone", &p.phone),
            ("location", &p.location),
            ("tool", &p.tool),
            ("note", &p.note),
            ("cname", &p.cname),
        ]
        .into_iter()
        .filter(|(_, text)| !text.is_empty())
        .map(|(item, text)| (item.to_owned(), text.sanitize(80)))
        .collect()
    }
}
