//! What the caller is told of our media before the call is answered (RFC 3262 §5, RFC 3960 §3, RFC 6337 §3.1).
//!
//! Usually nothing: many callers take a description in a ringing response for sound that is about to come, and stop their
//! ringing tone. Who insists on reliable provisional responses means to agree on the media meanwhile: it gets our description
//! with the first of them, and may change it by PRACK and UPDATE. Nothing is heard or said before the user answers: until
//! then what was agreed is kept from media.
use super::{Call, Verdict};
use crate::media::spec::{Direction, StreamSpec};
use crate::sdp::SdpError;
use crate::sip::invite::{Body, Session};
use crate::ua::call::course::warning;
use crate::ua::snapshot::CallEnd;
use std::time::Instant;

impl Call {
    /// Incoming, and the ports are there: describes our media to a caller that waits for it.
    pub fn describe_early(&mut self, now: Instant) {
        if self.is_over() || !self.session.as_ref().is_some_and(Session::insists_on_reliability) {
            return;
        }
        match self.first_description() {
            Ok((body, spec)) => {
                self.media.withheld = spec;
                if let Some(session) = &mut self.session {
                    session.provisional(now, 180, Some(body));
                }
                self.described = true;
            }
            Err(error) => self.refuse_description(now, &error),
        }
    }

    /// Our answer to the offer of the INVITE, or our offer where it has none; the stream to run, when it is agreed already.
    pub(super) fn first_description(&mut self) -> Result<(Body, Option<StreamSpec>), SdpError> {
        match self.session.as_ref().and_then(Session::offer).cloned() {
            Some(offer) => self.plan.answer(&offer, Direction::SendRecv),
            None => self.plan.offer(Direction::SendRecv).map(|body| (body, None)),
        }
    }

    /// The call cannot be taken: its media do not fit.
    pub(super) fn refuse_description(&mut self, now: Instant, error: &SdpError) {
        if let Some(session) = &mut self.session {
            session.reject(now, error.status(), &[("Warning", &warning(error))]);
        }
        self.verdict = Some(Verdict { end: CallEnd::Failed, status: None, cause: error.to_string() });
    }

    /// Whether what is agreed is not for media yet.
    pub(super) fn withholds(&self) -> bool {
        !self.outgoing && self.answered.is_none()
    }
}
