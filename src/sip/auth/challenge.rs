//! WWW-Authenticate, Proxy-Authenticate and the headers that answer them, as text (RFC 7235 §2.1, RFC 7616 §3.3, §3.4).
use super::digest::{Algorithm, Qop};
use crate::sip::message::text::{find_outside, is_token, split_outside, trim};

/// Challenges of one response that are looked at; the others are ignored.
const MAX_CHALLENGES: usize = 16;
/// Parameters of one challenge.
const MAX_PARAMS: usize = 32;

/// A scheme with its parameters: one challenge, or one set of credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthValue {
    pub scheme: String,
    /// Values without their quotes; escapes inside stay, since they are hashed as they were written.
    params: Vec<(String, String)>,
}

impl AuthValue {
    /// All that stand in one header value, the usual single one included. What cannot be read is left out.
    pub fn parse_all(value: &str) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for part in split_outside(value, b',').map(trim).filter(|p| !p.is_empty()) {
            // The one too many is not looked at.
            if all.len() > MAX_CHALLENGES {
                break;
            }
            let (left, text) = match find_outside(part, b'=') {
                Some(at) => (trim(part.get(..at).unwrap_or_default()), part.get(at + 1..).map(trim)),
                None => (part, None),
            };
            // A blank before the equals sign tells where a new scheme starts: `Digest realm="x"`.
            let name = match left.split_once([' ', '\t']) {
                Some((scheme, name)) if is_token(scheme) => {
                    all.push(Self { scheme: scheme.to_owned(), params: Vec::new() });
                    trim(name)
                }
                None if text.is_none() && is_token(left) => {
                    all.push(Self { scheme: left.to_owned(), params: Vec::new() });
                    continue;
                }
                _ => left,
            };
            if let (Some(current), Some(inner)) = (all.last_mut(), text.and_then(content))
                && is_token(name)
                && current.params.len() < MAX_PARAMS
            {
                current.params.push((name.to_ascii_lowercase(), inner.to_owned()));
            }
        }
        all.truncate(MAX_CHALLENGES);
        all
    }

    /// A parameter by its lower-case name, the first if there are several.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.params.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    pub fn is_digest(&self) -> bool {
        self.scheme.eq_ignore_ascii_case("Digest")
    }
}

/// What stands between the quotes, if there are any. `None` where it would break out of the quotes it is put in again.
fn content(value: &str) -> Option<&str> {
    let Some(quoted) = value.strip_prefix('"') else {
        return (!value.contains(['"', '\\'])).then_some(value);
    };
    let inner = quoted.strip_suffix('"')?;
    let mut escaped = false;
    for byte in inner.bytes() {
        escaped = match byte {
            b'"' if !escaped => return None,
            b'\\' => !escaped,
            _ => false,
        };
    }
    (!escaped).then_some(inner)
}

/// A Digest challenge that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    pub realm: String,
    pub nonce: String,
    pub opaque: Option<String>,
    pub algorithm: Algorithm,
    /// As written, to be repeated; absent when it was.
    pub algorithm_token: Option<String>,
    /// What we choose of what is offered.
    pub qop: Qop,
    /// The last answer was right but for its old nonce.
    pub stale: bool,
    /// The server wants the user's name hashed (RFC 7616 §3.4.4).
    pub userhash: bool,
}

impl Challenge {
    /// `None` when it is not Digest, lacks realm or nonce, or names only algorithms or qualities that we do not know.
    pub fn read(value: &AuthValue) -> Option<Self> {
        if !value.is_digest() {
            return None;
        }
        let is_true = |name| value.get(name).is_some_and(|v| v.eq_ignore_ascii_case("true"));
        let token = value.get("algorithm");
        let algorithm = Algorithm::parse(token)?;
        let qop = match value.get("qop") {
            None => Qop::None,
            Some(offered) => {
                let offers = |wanted: &str| offered.split(',').any(|q| trim(q).eq_ignore_ascii_case(wanted));
                // A gateway that rewrites the body would break auth-int, so that it comes second.
                match (offers("auth"), offers("auth-int")) {
                    (true, _) => Qop::Auth,
                    (false, true) => Qop::AuthInt,
                    (false, false) => return None,
                }
            }
        };
        Some(Self {
            realm: value.get("realm")?.to_owned(),
            nonce: value.get("nonce")?.to_owned(),
            opaque: value.get("opaque").map(str::to_owned),
            algorithm,
            algorithm_token: token.map(str::to_owned),
            qop,
            stale: is_true("stale"),
            userhash: is_true("userhash"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::auth::Hash;

    fn read(value: &str) -> Vec<Option<Challenge>> {
        AuthValue::parse_all(value).iter().map(Challenge::read).collect()
    }

    #[test]
    fn what_cannot_be_answered_is_no_challenge() {
        let rows = [
            "Basic realm=\"x\"",
            "Digest",
            "Digest realm=\"x\"",
            "Digest nonce=\"x\"",
            "Digest realm=\"x\", nonce=\"y\", algorithm=SHA-1",
            "Digest realm=\"x\", nonce=\"y\", qop=\"token\"",
            "Digest realm=\"x\", nonce=\"y\", qop=\"\"",
            // These would not be one quoted string in the answer.
            "Digest realm=\"x\", nonce=\"y",
            "Digest realm=\"x\", nonce=y\"z",
            "Digest realm=\"x\", nonce=y\\",
            "Digest realm=\"x\"y\"z\", nonce=\"n\"",
            "Digest realm=\"x\", nonce=\"",
        ];
        for value in rows {
            assert_eq!(read(value), [None], "{value}");
        }
        for value in ["", ",,", "realm=\"x\", nonce=\"y\"", "\"x y\"=z"] {
            assert!(read(value).is_empty(), "{value}");
        }
    }

    #[test]
    fn several_challenges_may_share_a_value() {
        let value = "Digest realm=\"a, \\\"b\\\"\" , nonce = \"1=\", qop=\"auth-int , auth\", STALE=True, foo=bar, \
                     Basic realm=\"x\", Negotiate, digest algorithm=SHA-256-sess,nonce=n,realm=r,opaque=\"\",qop=auth-int,userhash=true";
        let all = read(value);
        assert_eq!(all.len(), 4);
        let first = all[0].clone().unwrap();
        assert_eq!((first.realm.as_str(), first.nonce.as_str(), first.stale), ("a, \\\"b\\\"", "1=", true));
        assert_eq!((first.qop, first.algorithm_token), (Qop::Auth, None));
        assert_eq!((&all[1], &all[2]), (&None, &None));
        let last = all[3].clone().unwrap();
        assert_eq!(last.algorithm, Algorithm { hash: Hash::Sha256, session: true });
        assert_eq!((last.qop, last.opaque.as_deref(), last.userhash), (Qop::AuthInt, Some(""), true));
    }

    #[test]
    fn numbers_are_capped() {
        assert_eq!(AuthValue::parse_all(&"Digest realm=\"x\",".repeat(100)).len(), MAX_CHALLENGES);
        assert_eq!(AuthValue::parse_all(&"Negotiate,".repeat(100)).len(), MAX_CHALLENGES);
        let many = AuthValue::parse_all(&format!("Digest {}", "a=b,".repeat(100)));
        assert_eq!(many[0].params.len(), MAX_PARAMS);
    }
}
