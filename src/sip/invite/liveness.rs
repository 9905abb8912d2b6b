//! Whether the dialog still exists: asked by OPTIONS within it (RFC 3261 §11), told by a 481 or by silence (§12.2.1.2).
//!
//! A request in a dialog that is answered 481, or not at all, would end it. But sound may flow although a server on the way
//! has lost its memory: the user of the session hears [`Event::Lost`] and decides.
use super::modify::Modify;
use super::session::{Kind, Sent, Session, Side, Timer};
use super::{Body, Cause, Event, RequestId};
use crate::sip::key::DialogKey;
use crate::sip::message::{Method, Response, Uri};
use crate::sip::options::name_software;
use std::time::Instant;

impl Session {
    /// Asks the peer whether the dialog is still there: `Alive` or `Lost` tells.
    pub fn probe(&mut self) {
        let is_asked = self.requests.values().any(|sent| sent.kind == Kind::Probe);
        if self.ended || is_asked || !matches!(self.side, Side::Established) {
            return;
        }
        let Some(dialog) = &mut self.dialog else { return };
        let (mut request, next_hop) = dialog.request(Method::Options);
        request.headers.push("Contact", &self.contact);
        request.headers.push("Accept", Body::SDP);
        name_software(&mut request.headers, "User-Agent", &self.config.user_agent);
        self.send(Sent::new(Kind::Probe, request, next_hop));
    }

    /// After `Lost`: the call is over. The peer is told, should it still be there.
    pub fn abandon(&mut self, now: Instant, status: u16) {
        self.end(now, Cause::DialogLost { status });
        if status != 481 {
            self.say_bye(None);
        }
        self.settle(now);
    }

    /// The dialog of an established call, as its messages name it.
    pub fn dialog(&self) -> Option<&DialogKey> {
        self.dialog.as_ref().filter(|_| matches!(self.side, Side::Established)).map(|dialog| dialog.key())
    }

    /// The dialog, early or not, where there is one alone.
    pub fn known_dialog(&self) -> Option<&DialogKey> {
        self.dialog.as_ref().filter(|_| !self.ended).map(|dialog| dialog.key())
    }

    /// Whether there is an early dialog with this tag of the peer, begun by us.
    pub fn is_early_with(&self, remote_tag: &str) -> bool {
        !self.ended && matches!(&self.side, Side::Calling(calling) if calling.forks.contains(remote_tag))
    }

    /// Where the peer wants requests within the dialog.
    pub fn remote_target(&self) -> Option<&Uri> {
        self.dialog.as_ref().map(|dialog| dialog.target())
    }

    /// Whether that request is one of this session, and has no final response yet.
    pub fn awaits(&self, id: RequestId) -> bool {
        self.requests.contains_key(&id)
    }

    pub(super) fn probe_answered(&mut self, now: Instant, response: &Response) {
        match response.status {
            status @ (408 | 481) => self.lost(status),
            // Whatever it says of OPTIONS, it says it in the dialog.
            _ if !self.ended => {
                self.events.push_back(Event::Alive);
                self.resume_refreshing(now);
            }
            _ => {}
        }
    }

    /// No answer, or one that knows of no dialog. What was to be changed in it is given up.
    pub(super) fn lost(&mut self, status: u16) {
        if !self.ended {
            self.exchange.modify = Modify::IDLE;
            self.timers.stop(&Timer::Glare(self.fork));
            self.stop_refreshing();
            self.events.push_back(Event::Lost { status });
        }
    }
}
