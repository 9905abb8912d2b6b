//! Names of transactions and dialogs, made from the headers that match them (RFC 3261 §12, §17.1.3, §17.2.3).
use super::message::{CSeq, HeaderError, Headers, Method, Request, Response, Via};
use std::sync::Arc;

/// What a branch of RFC 3261 begins with; others come from RFC 2543.
pub const MAGIC_COOKIE: &str = "z9hG4bK";

/// Names a client transaction: the branch of our Via and the method of the CSeq (RFC 3261 §17.1.3).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientKey {
    branch: Arc<str>,
    method: Method,
}

impl ClientKey {
    pub fn new(branch: &str, method: Method) -> Self {
        Self { branch: branch.into(), method }
    }

    /// The transaction a response belongs to, if its topmost Via has a branch.
    pub fn of_response(response: &Response) -> Result<Self, HeaderError> {
        let via = response.headers.via()?;
        let branch = via.branch().ok_or(HeaderError::Malformed("Via"))?;
        Ok(Self::new(branch, response.headers.cseq()?.method))
    }

    /// The CANCEL of the INVITE of this name: it has the same branch.
    pub fn of_cancel(&self) -> Self {
        Self { branch: self.branch.clone(), method: Method::Cancel }
    }

    pub fn method(&self) -> &Method {
        &self.method
    }
}

/// Names a server transaction: branch, sent-by and method; for peers of RFC 2543, which have no magic cookie, the headers
/// of §17.2.3 instead of the branch. An ACK has the name of its INVITE.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerKey {
    branch: Arc<str>,
    method: Method,
}

impl ServerKey {
    /// The transaction a request belongs to or begins.
    pub fn of_request(request: &Request) -> Result<Self, HeaderError> {
        let (via, cseq) = (request.headers.via()?, request.headers.cseq()?);
        let method = if request.method == Method::Ack { Method::Invite } else { request.method.clone() };
        let branch = match via.branch() {
            // The bare cookie names nothing (RFC 4475 §3.2.1).
            Some(branch) if branch.starts_with(MAGIC_COOKIE) && branch.len() > MAGIC_COOKIE.len() => {
                format!("{branch} {}", sent_by(&via))
            }
            _ => rfc2543(request, &via, &cseq)?,
        };
        Ok(Self { branch: branch.into(), method })
    }

    /// The INVITE that a CANCEL of this name is about (RFC 3261 §9.2).
    pub fn of_invite(&self) -> Self {
        Self { branch: self.branch.clone(), method: Method::Invite }
    }

    pub fn method(&self) -> &Method {
        &self.method
    }
}

fn sent_by(via: &Via) -> String {
    format!("{}:{}", via.host, via.port.unwrap_or(5060))
}

/// Call-ID, From tag, CSeq number and topmost Via (RFC 3261 §17.2.3). The request-URI and the To tag are left out: an ACK
/// and a CANCEL repeat the former, the latter differs between INVITE and ACK; the rest already tells two requests apart.
fn rfc2543(request: &Request, via: &Via, cseq: &CSeq) -> Result<String, HeaderError> {
    let from = request.headers.from()?;
    let tag = from.tag().unwrap_or_default();
    Ok(format!(
        "{} {tag} {} {} {}",
        request.headers.call_id()?,
        cseq.number,
        sent_by(via),
        via.branch().unwrap_or_default()
    ))
}

/// Names a dialog as seen from us (RFC 3261 §12). A peer of RFC 2543 has the empty tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialogKey {
    pub call_id: String,
    pub local_tag: String,
    pub remote_tag: String,
}

/// Names all dialogs of one INVITE: every fork has the same Call-ID and the same tag of ours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey {
    pub call_id: String,
    pub local_tag: String,
}

impl DialogKey {
    /// The dialog a received request is in; its To tag is ours. `None` outside of dialogs.
    pub fn of_request(headers: &Headers) -> Result<Option<Self>, HeaderError> {
        let (from, to) = (headers.from()?, headers.to()?);
        Ok(to.tag().map(|local| Self {
            call_id: headers.call_id().unwrap_or_default().to_owned(),
            local_tag: local.to_owned(),
            remote_tag: from.tag().unwrap_or_default().to_owned(),
        }))
    }

    /// The dialog a received response is in; its From tag is ours.
    pub fn of_response(headers: &Headers) -> Result<Self, HeaderError> {
        let (from, to) = (headers.from()?, headers.to()?);
        Ok(Self {
            call_id: headers.call_id()?.to_owned(),
            local_tag: from.tag().unwrap_or_default().to_owned(),
            remote_tag: to.tag().unwrap_or_default().to_owned(),
        })
    }

    pub fn session(&self) -> SessionKey {
        SessionKey { call_id: self.call_id.clone(), local_tag: self.local_tag.clone() }
    }
}
