//! The arithmetic of Digest: hashes, A1, A2 and the response (RFC 7616 §3.4, RFC 2617 §3.2.2).
use crate::base::secret::Secret;
use md5::{Digest as _, Md5};
use sha2::{Sha256, Sha512_256};

/// A hash function; a later one is stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hash {
    Md5,
    Sha256,
    Sha512_256,
}

/// The value of `algorithm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Algorithm {
    pub hash: Hash,
    /// The `-sess` variant: A1 is bound to the first nonce and cnonce.
    pub session: bool,
}

/// Quality of protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Qop {
    /// None at all, as in RFC 2069.
    None,
    Auth,
    /// The body is protected, too.
    AuthInt,
}

/// All that goes into a response besides the password.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inputs<'a> {
    pub algorithm: Algorithm,
    pub qop: Qop,
    pub nonce: &'a str,
    pub cnonce: &'a str,
    pub nc: u32,
    pub method: &'a str,
    pub uri: &'a str,
    pub body: &'a [u8],
}

impl Hash {
    /// The token of the hash without `-sess`.
    pub fn token(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
            Self::Sha512_256 => "SHA-512-256",
        }
    }

    /// Lower-case hexadecimal digits of the hash of the parts, joined by colons.
    pub(super) fn of(self, parts: &[&[u8]]) -> String {
        let text = parts.join(&b':');
        match self {
            Self::Md5 => hex(&Md5::digest(&text)),
            Self::Sha256 => hex(&Sha256::digest(&text)),
            Self::Sha512_256 => hex(&Sha512_256::digest(&text)),
        }
    }

    /// `H(user:realm:password)`, which servers and careful users store instead of the password.
    pub fn ha1(self, user: &str, realm: &str, password: &Secret) -> Secret {
        Secret::new(self.of(&[user.as_bytes(), realm.as_bytes(), password.reveal().as_bytes()]))
    }
}

impl Algorithm {
    /// `None` for one we do not know. A challenge without the parameter means MD5.
    pub fn parse(token: Option<&str>) -> Option<Self> {
        let Some(token) = token else { return Some(Self { hash: Hash::Md5, session: false }) };
        let lower = token.to_ascii_lowercase();
        let (name, session) = lower.strip_suffix("-sess").map_or((lower.as_str(), false), |name| (name, true));
        let hash =
            [Hash::Md5, Hash::Sha256, Hash::Sha512_256].into_iter().find(|h| h.token().eq_ignore_ascii_case(name))?;
        Some(Self { hash, session })
    }
}

impl Inputs<'_> {
    /// The `response` parameter. `ha1`: see [`Hash::ha1`].
    pub(super) fn response(&self, ha1: &Secret) -> String {
        let hash = self.algorithm.hash;
        let (nonce, cnonce) = (self.nonce.as_bytes(), self.cnonce.as_bytes());
        let a1 = match self.algorithm.session {
            true => Secret::new(hash.of(&[ha1.reveal().as_bytes(), nonce, cnonce])),
            false => ha1.clone(),
        };
        let (method, uri) = (self.method.as_bytes(), self.uri.as_bytes());
        let ha2 = match self.qop {
            Qop::None | Qop::Auth => hash.of(&[method, uri]),
            Qop::AuthInt => hash.of(&[method, uri, hash.of(&[self.body]).as_bytes()]),
        };
        let (a1, ha2, nc) = (a1.reveal().as_bytes(), ha2.as_bytes(), self.nc_text());
        match self.qop {
            Qop::None => hash.of(&[a1, nonce, ha2]),
            Qop::Auth => hash.of(&[a1, nonce, nc.as_bytes(), cnonce, b"auth", ha2]),
            Qop::AuthInt => hash.of(&[a1, nonce, nc.as_bytes(), cnonce, b"auth-int", ha2]),
        }
    }

    /// Eight hexadecimal digits.
    pub(super) fn nc_text(&self) -> String {
        format!("{:08x}", self.nc)
    }
}

/// HMAC-SHA-256 (RFC 2104).
pub(super) fn hmac_sha256(key: &[u8; 32], message: &[u8]) -> String {
    let padded = |pad: u8| {
        let mut block = [pad; 64];
        block.iter_mut().zip(key).for_each(|(b, k)| *b ^= k);
        block
    };
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(message).finalize();
    hex(&Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize())
}

/// Compares without telling by its duration where the texts differ.
pub(super) fn equal_in_constant_time(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        out.extend([byte >> 4, byte & 15].iter().filter_map(|d| char::from_digit((*d).into(), 16)));
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn algorithm(token: &str) -> Algorithm {
        Algorithm::parse(Some(token)).unwrap()
    }

    #[test]
    fn rfc_2617_section_3_5() {
        let ha1 = Hash::Md5.ha1("Mufasa", "testrealm@host.com", &Secret::new("Circle Of Life"));
        let inputs = Inputs {
            algorithm: algorithm("MD5"),
            qop: Qop::Auth,
            nonce: "dcd98b7102dd2f0e8b11d0f600bfb0c093",
            cnonce: "0a4f113b",
            nc: 1,
            method: "GET",
            uri: "/dir/index.html",
            body: b"",
        };
        assert_eq!(inputs.response(&ha1), "6629fae49393a05397450978507c4ef1");
        assert_eq!(inputs.nc_text(), "00000001");
        // The same without qop, as RFC 2069 has it.
        let old = Inputs { qop: Qop::None, ..inputs };
        assert_eq!(old.response(&ha1), "670fd8c2df070c60b045671b8b24ff02");
    }

    #[test]
    fn rfc_7616_section_3_9_1() {
        let inputs = Inputs {
            algorithm: algorithm("MD5"),
            qop: Qop::Auth,
            nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
            nc: 1,
            method: "GET",
            uri: "/dir/index.html",
            body: b"",
        };
        let password = Secret::new("Circle of Life");
        let ha1 = |hash: Hash| hash.ha1("Mufasa", "http-auth@example.org", &password);
        assert_eq!(inputs.response(&ha1(Hash::Md5)), "8ca523f5e9506fed4657c9700eebdbec");
        let sha = Inputs { algorithm: algorithm("SHA-256"), ..inputs };
        assert_eq!(
            sha.response(&ha1(Hash::Sha256)),
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"
        );
    }

    /// The values of erratum 4897: those printed in the RFC were made with SHA-512 cut to 256 bits.
    #[test]
    fn rfc_7616_section_3_9_2() {
        let (user, realm) = ("J\u{e4}s\u{f8}n Doe", "api@example.org");
        let inputs = Inputs {
            algorithm: algorithm("SHA-512-256"),
            qop: Qop::Auth,
            nonce: "5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
            cnonce: "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
            nc: 1,
            method: "GET",
            uri: "/doe.json",
            body: b"",
        };
        let hash = Hash::Sha512_256;
        let ha1 = hash.ha1(user, realm, &Secret::new("Secret, or not?"));
        assert_eq!(inputs.response(&ha1), "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5");
        assert_eq!(
            hash.of(&[user.as_bytes(), realm.as_bytes()]),
            "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"
        );
    }

    #[test]
    fn the_session_variant_and_the_body_make_a_difference() {
        let ha1 = Hash::Md5.ha1("u", "r", &Secret::new("p"));
        let inputs = Inputs {
            algorithm: algorithm("MD5"),
            qop: Qop::AuthInt,
            nonce: "n",
            cnonce: "c",
            nc: 0x1f,
            method: "INVITE",
            uri: "sip:x",
            body: b"v=0",
        };
        let ha2 = Hash::Md5.of(&[b"INVITE", b"sip:x", Hash::Md5.of(&[b"v=0"]).as_bytes()]);
        let a1 = ha1.reveal().as_bytes();
        assert_eq!(inputs.response(&ha1), Hash::Md5.of(&[a1, b"n", b"0000001f", b"c", b"auth-int", ha2.as_bytes()]));
        let session = Inputs { algorithm: algorithm("md5-SESS"), ..inputs };
        let bound = Secret::new(Hash::Md5.of(&[a1, b"n", b"c"]));
        assert_eq!(session.response(&ha1), inputs.response(&bound));
    }

    #[test]
    fn algorithms_by_their_tokens() {
        for unknown in ["", "SHA-1", "SHA-512", "AKAv1-MD5", "-sess", "MD5-sess-sess"] {
            assert_eq!(Algorithm::parse(Some(unknown)), None, "{unknown}");
        }
        assert_eq!(Algorithm::parse(None), Algorithm::parse(Some("md5")));
        assert_eq!(algorithm("SHA-512-256-sess"), Algorithm { hash: Hash::Sha512_256, session: true });
        assert!(Hash::Sha512_256 > Hash::Sha256 && Hash::Sha256 > Hash::Md5);
    }

    /// RFC 4231, test case 1, its key padded with zeros as HMAC does.
    #[test]
    fn hmac_vector() {
        let mut key = [0; 32];
        key[..20].fill(0x0b);
        assert_eq!(hmac_sha256(&key, b"Hi There"), "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    }

    #[test]
    fn comparison() {
        for (a, b, equal) in
            [("", "x", false), ("ab", "ac", false), ("ab", "abc", false), ("", "", true), ("ab", "ab", true)]
        {
            assert_eq!(equal_in_constant_time(a, b), equal);
        }
    }
}
