//! Fingerprints of certificates as descriptions carry them (RFC 8122 §5).
use crate::base::untrusted::Untrusted;
use sha2::Digest;
use std::fmt;

/// Hashes that are strong enough; weaker ones are passed over (RFC 8122 §5: none weaker than SHA-256).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }

    /// \[octets\]
    fn length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    fn digest(self, certificate: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => sha2::Sha256::digest(certificate).to_vec(),
            Self::Sha384 => sha2::Sha384::digest(certificate).to_vec(),
            Self::Sha512 => sha2::Sha512::digest(certificate).to_vec(),
        }
    }
}

/// `sha-256 4A:AD:B9:...`
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint {
    hash: Hash,
    digest: Vec<u8>,
}

/// Why a fingerprint cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FingerprintError {
    /// The name is fit for a log.
    #[error("its hash `{0}` is not supported")]
    Hash(String),
    #[error("it is not pairs of hexadecimal digits of the hash's length")]
    Digits,
}

impl Fingerprint {
    /// - `certificate`: in DER.
    pub fn of(hash: Hash, certificate: &[u8]) -> Self {
        Self { hash, digest: hash.digest(certificate) }
    }

    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Reads the value of `a=fingerprint`. The digits are upper case by the RFC, which not every peer knows.
    ///
    /// # Errors
    /// It is malformed, or its hash too weak or unknown.
    pub fn read(value: &str) -> Result<Self, FingerprintError> {
        let (name, digits) = value.trim().split_once(' ').ok_or(FingerprintError::Digits)?;
        let hash = Hash::ALL.into_iter().find(|hash| hash.name().eq_ignore_ascii_case(name));
        let hash = hash.ok_or_else(|| FingerprintError::Hash(Untrusted::new(name).sanitize(20)))?;
        let digits = digits.trim();
        if digits.len() != 3 * hash.length() - 1 {
            return Err(FingerprintError::Digits);
        }
        let pair = |text: &str| match text.len() {
            2 if text.bytes().all(|b| b.is_ascii_hexdigit()) => u8::from_str_radix(text, 16).ok(),
            _ => None,
        };
        let digest: Option<Vec<u8>> = digits.split(':').map(pair).collect();
        match digest {
            Some(digest) if digest.len() == hash.length() => Ok(Self { hash, digest }),
            Some(_) | None => Err(FingerprintError::Digits),
        }
    }

    /// Whether this is the fingerprint of the certificate (DER).
    pub fn matches(&self, certificate: &[u8]) -> bool {
        self.hash.digest(certificate) == self.digest
    }
}

/// Whether a certificate is the one a description told of. Of several lines those with the strongest hash count, and
/// one of them must match: more than one of a hash tells of several certificates (RFC 8122 §5.1).
pub fn proves(told: &[Fingerprint], certificate: &[u8]) -> bool {
    let strongest = told.iter().map(Fingerprint::hash).max();
    told.iter().any(|fingerprint| Some(fingerprint.hash) == strongest && fingerprint.matches(certificate))
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hash.name())?;
        for (n, octet) in self.digest.iter().enumerate() {
            write!(f, "{}{octet:02X}", if n == 0 { ' ' } else { ':' })?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_cannot_be_used() {
        let pairs = |n: usize| vec!["AB"; n].join(":");
        let digits = FingerprintError::Digits;
        let hash = |name: &str| FingerprintError::Hash(name.to_owned());
        let rows = [
            (String::new(), digits.clone()),
            ("sha-256".to_owned(), digits.clone()),
            ("sha-256 ".to_owned(), digits.clone()),
            (format!("sha-1 {}", pairs(20)), hash("sha-1")),
            (format!("md5 {}", pairs(16)), hash("md5")),
            (format!("sha-256 {}", pairs(31)), digits.clone()),
            (format!("sha-256 {}", pairs(33)), digits.clone()),
            (format!("sha-512 {}", pairs(32)), digits.clone()),
            (format!("sha-256 {}", pairs(32).replace(':', "-")), digits.clone()),
            (format!("sha-256 {}", pairs(32).replacen("AB", "+B", 1)), digits.clone()),
            (format!("sha-256 {}", pairs(32).replacen("AB:A", "ABA:", 1)), digits.clone()),
            (format!("sha-256 {}", pairs(32).replacen("AB", "é", 1)), digits),
        ];
        for (value, error) in rows {
            assert_eq!(Fingerprint::read(&value), Err(error), "{value}");
        }
    }

    #[test]
    fn lines_that_can() {
        for hash in Hash::ALL {
            let fingerprint = Fingerprint::of(hash, b"a certificate");
            let text = fingerprint.to_string();
            for text in [text.clone(), text.to_lowercase(), format!(" {text} "), text.replace(' ', "  ")] {
                assert_eq!(Fingerprint::read(&text), Ok(fingerprint.clone()), "{text}");
            }
            assert!(fingerprint.matches(b"a certificate") && !fingerprint.matches(b"another"));
        }
        // FIPS 180-4, the hash of "abc".
        let abc =
            "sha-256 BA:78:16:BF:8F:01:CF:EA:41:41:40:DE:5D:AE:22:23:B0:03:61:A3:96:17:7A:9C:B4:10:FF:61:F2:00:15:AD";
        assert_eq!(Fingerprint::of(Hash::Sha256, b"abc").to_string(), abc);
    }

    #[test]
    fn of_several_the_strongest_hash_decides() {
        let of = |hash, text: &str| Fingerprint::of(hash, text.as_bytes());
        let (weak, strong) = (Hash::Sha256, Hash::Sha512);
        let rows: [(&[Fingerprint], bool); 6] = [
            (&[], false),
            (&[of(weak, "b")], false),
            (&[of(weak, "a"), of(strong, "b")], false),
            (&[of(weak, "b"), of(strong, "a")], true),
            (&[of(weak, "b"), of(weak, "a")], true),
            (&[of(weak, "a")], true),
        ];
        for (told, proven) in rows {
            assert_eq!(proves(told, b"a"), proven, "{told:?}");
        }
    }
}
