//! The body of a message with its type, and which bodies we read (RFC 3261 §7.4, §8.2.3).
use super::error::Refusal;
use super::message::Headers;
use bytes::Bytes;

/// A body with its Content-Type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    pub content_type: String,
    pub bytes: Bytes,
}

impl Body {
    pub const SDP: &str = "application/sdp";

    /// A session description.
    pub fn sdp(bytes: impl Into<Bytes>) -> Self {
        Self { content_type: Self::SDP.into(), bytes: bytes.into() }
    }

    /// The session description in a message, if there is one.
    ///
    /// # Errors
    /// [`Refusal::MediaType`] for a body that must be understood and is not (RFC 3261 §8.2.3).
    pub fn of(headers: &Headers, bytes: &Bytes) -> Result<Option<Self>, Refusal> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let media_type =
            headers.get("Content-Type").and_then(|value| value.split(';').next()).unwrap_or_default().trim();
        let plain = headers.tokens("Content-Encoding").all(|coding| coding.eq_ignore_ascii_case("identity"));
        if media_type.eq_ignore_ascii_case(Self::SDP) && plain {
            return Ok(Some(Self::sdp(bytes.clone())));
        }
        let disposition = headers.get("Content-Disposition").unwrap_or_default().to_ascii_lowercase();
        let optional =
            disposition.split(';').skip(1).any(|parameter| parameter.replace(' ', "") == "handling=optional");
        if optional { Ok(None) } else { Err(Refusal::MediaType) }
    }

    /// Puts the body into a message.
    pub fn put(&self, headers: &mut Headers, bytes: &mut Bytes) {
        headers.set("Content-Type", &self.content_type);
        *bytes = self.bytes.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_session_descriptions_are_read() {
        let refused: Result<Option<&str>, Refusal> = Err(Refusal::MediaType);
        let rows = [
            ("", "", "", "v=0", refused.clone()),
            ("text/plain", "", "", "v=0", refused.clone()),
            ("application/sdp", "gzip", "", "v=0", refused.clone()),
            ("application/isup", "", "signal;handling=required", "x", refused),
            ("application/isup", "", "signal; handling = optional", "x", Ok(None)),
            ("text/plain", "", "", "", Ok(None)),
            ("Application/SDP ; charset=utf-8", "identity", "", "v=0", Ok(Some("v=0"))),
        ];
        for (media_type, encoding, disposition, body, expected) in rows {
            let mut headers = Headers::default();
            let names = ["Content-Type", "Content-Encoding", "Content-Disposition"];
            for (name, value) in
                names.into_iter().zip([media_type, encoding, disposition]).filter(|(_, v)| !v.is_empty())
            {
                headers.push(name, value);
            }
            let read = Body::of(&headers, &Bytes::copy_from_slice(body.as_bytes()));
            assert_eq!(read, expected.map(|b| b.map(|b| Body::sdp(b.to_owned()))), "{media_type} {disposition}");
        }
    }
}
