//! The way a call's media takes to the peer: what is asked of media, and what becomes of the call when there is none.
use super::Call;
use crate::media::spec::MediaCommand;
use crate::nat::candidate::{PathState, PathView};
use crate::ua::outbox::Outbox;
use std::net::IpAddr;
use std::time::Instant;

impl Call {
    /// The command that opens this call's ports.
    pub fn open_at(&mut self, local: IpAddr) -> MediaCommand {
        MediaCommand::Open { stream: self.stream(), local, gather: None }
    }

    /// The search for a way has come further.
    pub fn handle_path(&mut self, _now: Instant, state: PathState, out: &mut Outbox) {
        let words = match &state {
            PathState::Checking => "finding a way to the other side".to_owned(),
            PathState::Chosen(view) => format!("media goes {}", words(view)),
            PathState::Failed => "no way to the other side was found".to_owned(),
            PathState::Lost => "the other side does not answer on the way that was found".to_owned(),
        };
        let of = |state: &Option<PathState>| match state {
            Some(PathState::Chosen(view)) => Some((view.local, view.remote)),
            _ => None,
        };
        let before = self.media.path.replace(state);
        if of(&before).is_none() || of(&before) != of(&self.media.path) {
            out.log(format!("call {}: {words}", self.number));
        }
    }
}

/// The way in words: `direct`, `through our NAT`, `relayed by turn.example`.
pub fn words(view: &PathView) -> String {
    let server = view.server.as_ref().map(|server| format!(" via {server}")).unwrap_or_default();
    let (local, remote) = (view.local_kind.words(), view.remote_kind.words());
    format!("{local}{server} {} to {remote} {}", view.local, view.remote)
}
