//! The certificate this phone shows (RFC 5763 §5): self-signed, made anew at each start and never stored, so that it
//! tells nobody who we were yesterday.
use super::fingerprint::{Fingerprint, Hash};
use rtc_dtls::crypto::{self, CryptoPrivateKey};
use rtc_dtls::crypto_provider::providers::RingCrypto;
use std::fmt;

/// What the subject is called; it says nothing of the user.
const SUBJECT: &str = "offhook";

#[derive(Clone)]
pub struct Certificate {
    chain: crypto::Certificate,
    fingerprint: Fingerprint,
}

#[derive(Debug, thiserror::Error)]
#[error("no certificate could be made for encrypted calls: {0}")]
pub struct CertificateError(String);

impl Certificate {
    /// ECDSA over P-256, which every WebRTC endpoint must have (RFC 8827 §6.5).
    ///
    /// # Errors
    /// The system has no random numbers.
    pub fn generate() -> Result<Self, CertificateError> {
        let failed = |error: &dyn fmt::Display| CertificateError(error.to_string());
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(|e| failed(&e))?;
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, SUBJECT);
        let certificate = params.self_signed(&key).map_err(|e| failed(&e))?.der().clone();
        let private_key = CryptoPrivateKey::from_key_pair(&key, &RingCrypto).map_err(|e| failed(&e))?;
        let fingerprint = Fingerprint::of(Hash::Sha256, &certificate);
        Ok(Self { chain: crypto::Certificate { certificate: vec![certificate], private_key }, fingerprint })
    }

    pub fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    pub(super) fn chain(&self) -> crypto::Certificate {
        self.chain.clone()
    }
}

/// Two certificates with one fingerprint are the same.
impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.fingerprint)
    }
}
