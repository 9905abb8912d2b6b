//! The early dialogs of one INVITE that forked on its way (RFC 3261 §12.1, §13.2.2.1, §16.7).
use super::Dialog;
use crate::sip::body::Body;
use crate::sip::message::{HeaderError, Request, Response};

/// Names one early dialog of an outgoing INVITE, in the order they appeared. An incoming call has only fork 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fork(pub u32);

/// One early dialog.
#[derive(Clone, Debug)]
pub struct Early {
    pub fork: Fork,
    pub dialog: Dialog,
    /// The latest session description of this fork: what its early media is like.
    pub body: Option<Body>,
    /// RSeq of its latest reliable response (RFC 3262).
    pub rseq: Option<u32>,
}

/// All early dialogs of one INVITE, by the tag of the callee.
#[derive(Clone, Debug, Default)]
pub struct Forks {
    list: Vec<Early>,
    count: u32,
}

impl Forks {
    /// More than so many at a time are not followed; their provisional responses are ignored.
    const MAX: usize = 16;

    /// Takes a response with a To tag; `None` beyond the limit.
    ///
    /// # Errors
    /// A header that cannot be read.
    pub fn take(&mut self, invite: &Request, response: &Response) -> Result<Option<&mut Early>, HeaderError> {
        let mut dialog = Dialog::of_client(invite, response)?;
        let body = Body::of(&response.headers, &response.body).ok().flatten();
        let at = match self.list.iter().position(|early| early.dialog.key == dialog.key) {
            Some(at) => at,
            None if self.list.len() >= Self::MAX => return Ok(None),
            None => {
                let fork = self.name_new();
                self.list.push(Early { fork, dialog: dialog.clone(), body: None, rseq: None });
                self.list.len() - 1
            }
        };
        let Some(early) = self.list.get_mut(at) else { return Ok(None) };
        // Route set and target follow the latest response until the dialog is confirmed (RFC 3261 §13.2.2.4).
        dialog.continue_from(&early.dialog);
        early.dialog = dialog;
        early.body = body.or(early.body.take());
        Ok(Some(early))
    }

    /// The name of a fork that was not seen before.
    pub fn name_new(&mut self) -> Fork {
        self.count += 1;
        Fork(self.count - 1)
    }

    pub fn contains(&self, remote_tag: &str) -> bool {
        self.list.iter().any(|early| early.dialog.key.remote_tag == remote_tag)
    }

    /// The name of the early dialog with that tag of the callee.
    pub fn fork_of(&self, remote_tag: &str) -> Option<Fork> {
        self.list.iter().find(|early| early.dialog.key.remote_tag == remote_tag).map(|early| early.fork)
    }

    pub fn tag_of(&self, fork: Fork) -> Option<&str> {
        self.list.iter().find(|early| early.fork == fork).map(|early| early.dialog.key.remote_tag.as_str())
    }

    pub fn named(&mut self, fork: Fork) -> Option<&mut Early> {
        self.list.iter_mut().find(|early| early.fork == fork)
    }

    /// This early dialog is over.
    pub fn forget(&mut self, fork: Fork) {
        self.list.retain(|early| early.fork != fork);
    }

    pub fn get_mut(&mut self, remote_tag: &str) -> Option<&mut Early> {
        self.list.iter_mut().find(|early| early.dialog.key.remote_tag == remote_tag)
    }

    /// Takes an early dialog out: it is over.
    pub fn remove(&mut self, remote_tag: &str) -> Option<Early> {
        let at = self.list.iter().position(|early| early.dialog.key.remote_tag == remote_tag)?;
        Some(self.list.remove(at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::testing::request;

    #[test]
    fn each_tag_is_a_fork_of_its_own_with_its_own_route_and_media() {
        let invite = request(
            "INVITE sip:bob@example.com SIP/2.0
             Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKx
             From: <sip:alice@192.0.2.2>;tag=a
             To: <sip:bob@192.0.2.1>
             Call-ID: one
             CSeq: 7 INVITE",
        );
        let mut forks = Forks::default();
        let rows =
            [("b", "h1", None, 0), ("c", "h2", Some("v=c"), 1), ("b", "h3", Some("v=b"), 0), ("c", "h2", None, 1)];
        for (tag, host, body, fork) in rows {
            let mut response = Response::to_request(&invite, 183, Some(tag));
            response.headers.push("Contact", format_args!("<sip:bob@{host}>"));
            if let Some(body) = body {
                Body::sdp(body).put(&mut response.headers, &mut response.body);
            }
            let early = forks.take(&invite, &response).expect("readable").expect("within the limit");
            assert_eq!((early.fork, early.dialog.target().to_string()), (Fork(fork), format!("sip:bob@{host}")));
        }
        assert_eq!(forks.get_mut("c").and_then(|early| early.body.clone()), Some(Body::sdp("v=c")));
        assert_eq!(forks.remove("b").map(|early| early.fork), Some(Fork(0)));
        assert!(forks.get_mut("b").is_none());
        for n in 0..20 {
            let taken =
                forks.take(&invite, &Response::to_request(&invite, 180, Some(&format!("t{n}")))).expect("readable");
            assert_eq!(taken.is_some(), n < 15, "{n}");
        }
    }
}
