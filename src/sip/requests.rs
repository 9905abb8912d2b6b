//! The request of a usage that is under way, until it is answered for good: challenges included (RFC 3261 §8.1.3.5, §22.2).
use crate::sip::message::{Request, Response, Uri};
use crate::sip::transaction::{Output, RequestId};

/// - `T`: what the usage wants to know of it again.
#[derive(Debug)]
pub struct Pending<T = ()> {
    pub id: RequestId,
    pub request: Request,
    pub next_hop: Uri,
    /// How often it was sent again.
    pub tries: u32,
    pub about: T,
    /// 401 or 407, until it is met or given up.
    challenge: Option<Box<Response>>,
}

/// One request at a time, and the answer to it.
#[derive(Debug)]
pub struct Requests<T = ()> {
    pending: Option<Pending<T>>,
    next_id: u32,
}

impl<T> Default for Requests<T> {
    fn default() -> Self {
        Self { pending: None, next_id: 0 }
    }
}

impl<T> Requests<T> {
    /// Takes the place of the one before.
    pub fn send(&mut self, request: Request, next_hop: Uri, tries: u32, about: T) -> Output {
        let id = RequestId(self.next_id);
        self.next_id += 1;
        let (again, hop) = (request.clone(), next_hop.clone());
        self.pending = Some(Pending { id, request: again, next_hop: hop, tries, about, challenge: None });
        Output::Request { id, request, next_hop }
    }

    pub fn pending(&self) -> Option<&Pending<T>> {
        self.pending.as_ref()
    }

    pub fn is_busy(&self) -> bool {
        self.pending.is_some()
    }

    /// It is not waited for any more. Whether there was one.
    pub fn forget(&mut self) -> bool {
        self.pending.take().is_some()
    }

    /// The same, and nobody shall answer it any more: what cancels it, unless it was answered already.
    pub fn withdraw(&mut self) -> Option<Output> {
        let pending = self.pending.take().filter(|pending| pending.challenge.is_none())?;
        Some(Output::Cancel { id: pending.id, reason: None })
    }

    /// The one whose final response came.
    pub fn answered(&mut self, id: RequestId) -> Option<Pending<T>> {
        self.pending.take_if(|pending| pending.id == id && pending.challenge.is_none())
    }

    /// The one that failed.
    pub fn failed(&mut self, id: RequestId) -> Option<Pending<T>> {
        self.pending.take_if(|pending| pending.id == id)
    }

    /// Credentials are asked for: it waits for them.
    pub fn challenged(&mut self, pending: Pending<T>, response: Box<Response>) {
        self.pending = Some(Pending { challenge: Some(response), ..pending });
    }

    /// The one that waits for credentials, with the challenge.
    pub fn take_challenged(&mut self, id: RequestId) -> Option<(Pending<T>, Box<Response>)> {
        let mut pending = self.pending.take_if(|pending| pending.id == id && pending.challenge.is_some())?;
        let challenge = pending.challenge.take()?;
        Some((pending, challenge))
    }
}
