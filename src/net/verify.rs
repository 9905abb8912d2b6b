//! Whether a certificate is that of the server we meant (RFC 5922 §7, RFC 5280).
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use webpki::EndEntityCert;

/// Names shown of a certificate that has others than expected.
const NAMES: usize = 4;

/// Checks the chain as everybody does, and the name as SIP does.
#[derive(Debug)]
pub struct Verifier {
    web: Arc<WebPkiServerVerifier>,
    /// The certificates of the account's own file.
    own: Vec<CertificateDer<'static>>,
    self_signed: AtomicBool,
}

impl Verifier {
    /// `None` when nobody at all is trusted.
    pub fn new(roots: RootCertStore, own: Vec<CertificateDer<'static>>, provider: Arc<CryptoProvider>) -> Option<Self> {
        let web = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()?;
        Some(Self { web, own, self_signed: AtomicBool::new(false) })
    }

    /// Whether the certificate that was refused had signed itself.
    pub fn saw_self_signed(&self) -> bool {
        self.self_signed.load(Ordering::Relaxed)
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // A wildcard stands for one label here as it does on the web (RFC 9525 §6.3), although RFC 5922 §7.2 forbids it:
        // many providers present one, and a user who is refused can only turn TLS off.
        let verified = self.web.verify_server_cert(certificate, intermediates, name, ocsp, now);
        let result = match verified {
            // An authority's own certificate used by a server, as `openssl req -x509` makes them. Its dates were found
            // right; byte for byte in the account's file it is trusted as it stands.
            Err(Error::InvalidCertificate(cause))
                if is_authority(&cause) && self.own.iter().any(|own| own == certificate) =>
            {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)
            }
            verified => verified.map(|_| ()),
        };
        match result {
            // The chain was found right before the name was looked at.
            Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. }))
                if names_domain(certificate, name) =>
            {
                Ok(ServerCertVerified::assertion())
            }
            Err(error) => {
                let parsed = EndEntityCert::try_from(certificate);
                self.self_signed.store(parsed.is_ok_and(|c| c.issuer() == c.subject()), Ordering::Relaxed);
                Err(error)
            }
            Ok(()) => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.web.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.web.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.web.supported_verify_schemes()
    }
}

/// Whether the only fault of a certificate is that it may sign others.
fn is_authority(cause: &CertificateError) -> bool {
    let CertificateError::Other(other) = cause else { return false };
    matches!(other.0.downcast_ref::<webpki::Error>(), Some(webpki::Error::CaUsedAsEndEntity))
}

/// Whether a certificate names a domain by a SIP URI (RFC 5922 §7.1): one with a user part names a user.
fn names_domain(certificate: &CertificateDer<'_>, name: &ServerName<'_>) -> bool {
    let ServerName::DnsName(name) = name else { return false };
    let Ok(certificate) = EndEntityCert::try_from(certificate) else { return false };
    certificate.valid_uri_names().any(|uri| {
        let host = uri.split_once(':').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("sip"));
        host.is_some_and(|(_, host)| host.eq_ignore_ascii_case(name.as_ref()))
    })
}

/// The names a certificate has, as the library writes them (`DnsName("a.example")`), in words.
pub fn names(presented: &[String]) -> String {
    let bare = |name: &String| -> String {
        let inner = name.split_once('(').map_or(name.as_str(), |(_, rest)| rest.trim_end_matches(')'));
        inner.trim_matches('"').to_owned()
    };
    let mut shown: Vec<_> = presented.iter().take(NAMES).map(bare).collect();
    if presented.len() > NAMES {
        shown.push(format!("{} more", presented.len() - NAMES));
    }
    shown.join(", ")
}
