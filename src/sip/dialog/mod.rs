//! Dialogs: what two user agents share between their messages (RFC 3261 §12).
mod create;
mod fork;
mod request;

pub use super::key::{DialogKey, SessionKey};
pub use fork::{Early, Fork, Forks};
pub use request::{Route, again, outside};

use super::error::Refusal;
use super::message::{Headers, Method, NameAddr, Request, Uri};

/// One dialog as seen from us.
#[derive(Clone, Debug)]
pub struct Dialog {
    key: DialogKey,
    /// From of our requests, as it was first written.
    local: String,
    /// To of our requests, as the peer last wrote itself.
    remote: String,
    /// Where the peer is reached: the URI of its latest Contact.
    target: Uri,
    /// First hop first.
    route: Vec<Route>,
    /// CSeq number of our latest request.
    local_cseq: u32,
    /// CSeq number of the peer's latest request.
    remote_cseq: Option<u32>,
}

impl Dialog {
    pub fn key(&self) -> &DialogKey {
        &self.key
    }

    pub fn target(&self) -> &Uri {
        &self.target
    }

    /// Takes a received request (not ACK) into the dialog: its CSeq must not be lower than before (RFC 3261 §12.2.2).
    /// The same number once more is let pass, since some user agents do not count, but for INVITE, whose ACK it names.
    ///
    /// # Errors
    /// [`Refusal::OutOfOrder`] for an old request.
    pub fn take_request(&mut self, request: &Request) -> Result<(), Refusal> {
        let number = request.headers.cseq()?.number;
        let least = if request.method == Method::Invite { number } else { number.saturating_add(1) };
        if self.remote_cseq.is_some_and(|latest| least <= latest) {
            return Err(Refusal::OutOfOrder);
        }
        self.remote_cseq = Some(number);
        Ok(())
    }

    /// The peer may name itself otherwise than before within the dialog (RFC 4916 §4.4.2); `true` when it does.
    pub fn take_remote(&mut self, headers: &Headers) -> bool {
        let (Ok(new), Ok(old)) = (headers.from(), NameAddr::parse(&self.remote)) else { return false };
        if new.tag() != old.tag() || (new.uri.matches(&old.uri) && new.display == old.display) {
            return false;
        }
        self.remote = new.to_string();
        true
    }
}
