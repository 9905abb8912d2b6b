//! Identity: the signed statement of who calls (RFC 8224 §4), of which only the attestation is read (RFC 8588 §4).
//!
//! The signature is not checked here: what is read is a claim.
use crate::sip::message::Headers;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// The longest payload that is decoded \[bytes of base64\].
const MAX_PAYLOAD: usize = 4096;
/// Statements read of one message.
const MAX_STATEMENTS: usize = 4;

/// How far the signing provider knows the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attestation {
    /// Knows the caller, who may use the number.
    Full,
    /// Knows the caller, and not whether the number is theirs.
    Partial,
    /// Knows only where the call came in.
    Gateway,
    /// There is a signed statement that says nothing of the kind.
    Unstated,
}

impl Attestation {
    /// The strongest wording is not looked for: the first statement that has one counts.
    pub fn of(headers: &Headers) -> Option<Self> {
        let mut found = None;
        for value in headers.all("Identity").take(MAX_STATEMENTS) {
            match read(value) {
                Some(attestation) => return Some(attestation),
                None => found = Some(Self::Unstated),
            }
        }
        found
    }

    /// As RFC 8588 writes it; empty when unstated.
    pub fn letter(self) -> &'static str {
        match self {
            Self::Full => "A",
            Self::Partial => "B",
            Self::Gateway => "C",
            Self::Unstated => "",
        }
    }
}

/// `header.payload.signature;info=<..>`; the compact form leaves header and payload out.
fn read(value: &str) -> Option<Attestation> {
    let token = value.split([';', ' ']).next()?;
    let payload = token.split('.').nth(1).filter(|payload| !payload.is_empty() && payload.len() <= MAX_PAYLOAD)?;
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    match claims.get("attest")?.as_str()? {
        "A" => Some(Attestation::Full),
        "B" => Some(Attestation::Partial),
        "C" => Some(Attestation::Gateway),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(payload: &str) -> String {
        let encoded = URL_SAFE_NO_PAD.encode(payload);
        format!("eyJhbGciOiJFUzI1NiJ9.{encoded}.c2ln;info=<https://c.example/p.pem>;alg=ES256;ppt=\"shaken\"")
    }

    #[test]
    fn the_attestation_is_read_and_nothing_else() {
        let long = signed(&format!("{{\"attest\":\"A\",\"x\":\"{}\"}}", "y".repeat(MAX_PAYLOAD)));
        let deep = signed(&format!("{}{}", "[".repeat(2000), "]".repeat(2000)));
        let rows = [
            (String::new(), Some(Attestation::Unstated)),
            ("..sig;info=<https://c.example/p.pem>".to_owned(), Some(Attestation::Unstated)),
            ("a.!!!.c;ppt=shaken".to_owned(), Some(Attestation::Unstated)),
            (long, Some(Attestation::Unstated)),
            (deep, Some(Attestation::Unstated)),
            (signed("{\"attest\":[\"A\"]}"), Some(Attestation::Unstated)),
            (signed("{\"attest\":\"AA\"}"), Some(Attestation::Unstated)),
            (signed("{\"attest\":\"A\",\"iat\":1}"), Some(Attestation::Full)),
            (signed("{\"orig\":{\"tn\":\"12\"},\"attest\":\"B\"}"), Some(Attestation::Partial)),
            (signed("{\"attest\":\"C\"}"), Some(Attestation::Gateway)),
        ];
        for (value, expected) in rows {
            let mut headers = Headers::default();
            headers.push("Identity", &value);
            assert_eq!(Attestation::of(&headers), expected, "{value}");
        }
        assert_eq!(Attestation::of(&Headers::default()), None);
    }
}
