//! Why a request is refused, and the response that says so (RFC 3261 §8.2, §12.2.2, §21).
use super::body::Body;
use super::info::Signal;
use super::invite::{CANDIDATES, MIN_SE};
use super::message::{HeaderError, Method, Request, Response};
use super::options::{ALLOW, SUPPORTED};

/// A request that cannot be served; it is the peer's to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    #[error(transparent)]
    Header(#[from] HeaderError),
    #[error("method {0} is not served here")]
    Method(Method),
    #[error("a body of this type is not read")]
    MediaType,
    #[error("the answer would have to be of a type that is not written here")]
    NotAcceptable,
    /// The option tags that Require named in vain.
    #[error("extensions {} are not known", .0.join(", "))]
    Extension(Vec<String>),
    /// The package we receive.
    #[error("the INFO package is not known")]
    InfoPackage(&'static str),
    /// The type of body that the package has.
    #[error("the INFO package has no body of this type")]
    PackageType(&'static str),
    #[error("an INFO with a body of this type is not read")]
    InfoType,
    #[error("the INFO holds no digit")]
    InfoBody,
    #[error("sessions shorter than {} s are not agreed to", MIN_SE)]
    SessionInterval,
    #[error("the dialog does not exist")]
    NoDialog,
    #[error("the same request came on another way")]
    Merged,
    #[error("our own offer is pending")]
    Pending,
    #[error("CSeq is lower than before")]
    OutOfOrder,
    /// The peer's own earlier request is not answered yet.
    #[error("an earlier request is pending, try again in {retry_after} s")]
    Busy { retry_after: u32 },
}

impl Refusal {
    /// Refuses what asks for an extension we have not (RFC 3261 §8.2.2.3).
    ///
    /// # Errors
    /// [`Refusal::Extension`] with the tags.
    pub fn check_extensions(request: &Request) -> Result<(), Self> {
        let tags: Vec<String> = request
            .headers
            .tokens("Require")
            .filter(|tag| !SUPPORTED.iter().chain([&CANDIDATES]).any(|ours| ours.eq_ignore_ascii_case(tag)))
            .take(16)
            .map(str::to_owned)
            .collect();
        if tags.is_empty() { Ok(()) } else { Err(Self::Extension(tags)) }
    }

    /// Refuses an INVITE whose Accept leaves out what we would answer with (RFC 3261 §20.1, §21.4.7).
    ///
    /// # Errors
    /// [`Refusal::NotAcceptable`].
    pub fn check_accept(request: &Request) -> Result<(), Self> {
        let is_sdp = |range: &str| {
            let range = range.split(';').next().unwrap_or_default().trim();
            [Body::SDP, "application/*", "*/*"].iter().any(|ours| ours.eq_ignore_ascii_case(range))
        };
        let mut ranges = request.headers.all("Accept").peekable();
        if ranges.peek().is_none() || ranges.any(is_sdp) { Ok(()) } else { Err(Self::NotAcceptable) }
    }

    pub fn status(&self) -> u16 {
        match self {
            Self::Header(error) => error.status(),
            // RFC 3261 §21.5.2: 501 for what is not recognised at all.
            Self::Method(Method::Other(_)) => 501,
            Self::Method(_) => 405,
            Self::NotAcceptable => 406,
            Self::InfoBody => 400,
            Self::MediaType | Self::InfoType | Self::PackageType(_) => 415,
            Self::Extension(_) => 420,
            Self::SessionInterval => 422,
            Self::InfoPackage(_) => 469,
            Self::NoDialog => 481,
            Self::Merged => 482,
            Self::Pending => 491,
            Self::OutOfOrder | Self::Busy { .. } => 500,
        }
    }

    /// The response, with the headers that tell the peer what would be served.
    pub fn answer(&self, request: &Request, to_tag: &str) -> Response {
        let mut answer = Response::to_request(request, self.status(), Some(to_tag));
        match self {
            Self::Method(_) => answer.headers.push("Allow", ALLOW),
            Self::MediaType => {
                answer.headers.push("Accept", Body::SDP);
                answer.headers.push("Accept-Encoding", "identity");
            }
            Self::Extension(tags) => tags.iter().for_each(|tag| answer.headers.push("Unsupported", tag)),
            Self::SessionInterval => answer.headers.push("Min-SE", MIN_SE),
            Self::InfoType => answer.headers.push("Accept", Signal::TYPES),
            Self::InfoPackage(ours) => answer.headers.push("Recv-Info", ours),
            Self::PackageType(kind) => answer.headers.push("Accept", kind),
            Self::Busy { retry_after } => answer.headers.push("Retry-After", retry_after),
            Self::Header(_)
            | Self::InfoBody
            | Self::NotAcceptable
            | Self::NoDialog
            | Self::Merged
            | Self::Pending
            | Self::OutOfOrder => {}
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::testing::request;

    #[test]
    fn each_refusal_says_what_would_do() {
        let rows = [
            (Refusal::Header(HeaderError::Missing("Contact")), 400, None),
            (Refusal::Method(Method::Publish), 405, Some(("Allow", ALLOW))),
            (Refusal::NotAcceptable, 406, None),
            (Refusal::MediaType, 415, Some(("Accept", "application/sdp"))),
            (Refusal::Extension(vec!["novelty".into()]), 420, Some(("Unsupported", "novelty"))),
            (Refusal::SessionInterval, 422, Some(("Min-SE", "90"))),
            (Refusal::InfoPackage("trickle-ice"), 469, Some(("Recv-Info", "trickle-ice"))),
            (Refusal::PackageType("text/plain"), 415, Some(("Accept", "text/plain"))),
            (Refusal::NoDialog, 481, None),
            (Refusal::Merged, 482, None),
            (Refusal::Pending, 491, None),
            (Refusal::OutOfOrder, 500, None),
            (Refusal::Busy { retry_after: 7 }, 500, Some(("Retry-After", "7"))),
            (Refusal::Method("BREW".into()), 501, Some(("Allow", ALLOW))),
        ];
        let request = request(
            "INFO sip:bob@192.0.2.1 SIP/2.0
             Via: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bKx
             From: <sip:alice@192.0.2.2>;tag=a
             To: <sip:bob@192.0.2.1>
             Call-ID: one
             CSeq: 7 INFO
             Require: novelty, 100rel, timer, more",
        );
        for (refusal, status, header) in rows {
            let answer = refusal.answer(&request, "t");
            assert_eq!(answer.status, status, "{refusal}");
            assert_eq!(answer.headers.to().expect("To").tag(), Some("t"));
            if let Some((name, value)) = header {
                assert_eq!(answer.headers.get(name), Some(value), "{refusal}");
            }
        }
        let unknown = Refusal::Extension(vec!["novelty".into(), "more".into()]);
        assert_eq!(Refusal::check_extensions(&request), Err(unknown));
    }
}
