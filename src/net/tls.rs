//! TLS towards a server, and what went wrong with it in words the user can act on (RFC 3261 §26.3, RFC 5922).
use super::manager::Access;
use super::router::Server;
use super::verify::{Verifier, names};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::ResolvesClientCert;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::ServerConfig;
use tokio_rustls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio_rustls::rustls::{
    AlertDescription, CertificateError, ClientConfig, PeerIncompatible, RootCertStore, SignatureScheme,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, rustls::Error as RustlsError};

/// Why there is no TLS, and the way out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    #[error("account {account}: {key} {}: {cause}", file.display())]
    File { account: u32, key: &'static str, file: PathBuf, cause: FileError },
    #[error("{key} {}: {cause}", file.display())]
    Server { key: &'static str, file: PathBuf, cause: FileError },
    #[error("this system trusts no certificate authority; install its CA certificates or set tls_ca")]
    NoRoots,
    #[error("\"{0}\" cannot be the name of a certificate")]
    Name(String),
    #[error(
        "the certificate of {name} expired on {date}; its operator must renew it (or this computer's clock is wrong)"
    )]
    Expired { name: String, date: String },
    #[error("the certificate of {name} is valid from {date} on; is this computer's clock right?")]
    NotYet { name: String, date: String },
    #[error("the certificate names {presented}, not {name}; use a name it has as the server, or have it renewed")]
    WrongName { name: String, presented: String },
    #[error("the certificate names no server at all; have it made anew with the subjectAltName DNS:{0}")]
    NoName(String),
    #[error("the certificate of {0} is signed by itself; if it is the right one, save it and set tls_ca to that file")]
    SelfSigned(String),
    #[error("nobody trusted has signed the certificate of {0}; set tls_ca to the file of its certificate authority")]
    UnknownIssuer(String),
    #[error("the certificate of {name} is not acceptable: {cause}")]
    Certificate { name: String, cause: CertificateError },
    #[error("the peer speaks no TLS; is this its TLS port?")]
    NotTls,
    #[error("the peer speaks only TLS versions or ciphers that are no longer safe; it must offer TLS 1.2 or 1.3")]
    TooOld,
    #[error("the server asks for a client certificate; set tls_certificate and tls_key")]
    WantsCertificate,
    #[error("the server does not accept our client certificate ({0}); is tls_certificate the one it issued?")]
    RefusesCertificate(String),
    #[error("the server knows no {0}; is this the right server name?")]
    UnknownName(String),
    #[error("the peer closed the connection in the TLS handshake; is this its TLS port?")]
    Closed,
    #[error("{0}")]
    Other(#[source] io::Error),
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    #[error("{0}")]
    Io(io::Error),
    #[error("there is no {0} in it; a PEM file is expected")]
    Missing(&'static str),
    #[error("it is not a PEM file")]
    Syntax,
    #[error("one of its certificates cannot be read")]
    Certificate,
    #[error("the key is of a kind that is not supported")]
    Key,
    #[error("the key is not the one of the certificate in {}", .0.display())]
    Inconsistent(PathBuf),
}

/// The authorities the system trusts, read when they are first needed.
#[derive(Clone, Debug, Default)]
pub struct Roots(Arc<OnceLock<RootCertStore>>);

impl Roots {
    fn load(&self) -> RootCertStore {
        let load = || {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            roots
        };
        self.0.get_or_init(load).clone()
    }
}

/// Shows our certificate to a server that asks, and remembers that it did.
#[derive(Debug)]
struct Identity {
    key: Option<Arc<CertifiedKey>>,
    asked: AtomicBool,
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _authorities: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Ordering::Relaxed);
        self.key.clone()
    }

    fn has_certs(&self) -> bool {
        // Says yes without one as well, so that it is heard whether one is wanted.
        true
    }
}

/// What one connection is made with.
struct Session {
    config: ClientConfig,
    verifier: Arc<Verifier>,
    identity: Arc<Identity>,
}

/// Protects a connection to `server`, whose certificate must name it.
pub async fn handshake(
    tcp: TcpStream,
    server: &Server,
    access: &Access,
    roots: &Roots,
) -> Result<TlsStream<TcpStream>, TlsError> {
    let plain = server.bare_name().to_owned();
    let name = ServerName::try_from(plain.clone()).map_err(|_| TlsError::Name(plain.clone()))?;
    let (access, roots, account) = (access.clone(), roots.clone(), u32::from(server.access.0) + 1);
    // Files are read anew for each connection: what was renewed or put right counts from then on.
    let session = tokio::task::spawn_blocking(move || Session::prepare(&access, &roots, account));
    let Session { config, verifier, identity } = session.await.map_err(|e| TlsError::Other(e.into()))??;
    match TlsConnector::from(Arc::new(config)).connect(name, tcp).await {
        Ok(stream) => Ok(stream),
        Err(error) => Err(explain(error, plain, &verifier, &identity)),
    }
}

impl Session {
    fn prepare(access: &Access, roots: &Roots, account: u32) -> Result<Self, TlsError> {
        let provider = Arc::new(ring::default_provider());
        let in_file = |key, file: &Path| {
            let file = file.to_owned();
            move |cause| TlsError::File { account, key, file, cause }
        };
        let (mut roots, mut own) = (roots.load(), Vec::new());
        if let Some(file) = &access.ca_file {
            own = certificates(file).map_err(in_file("tls_ca", file))?;
            for certificate in &own {
                let added = roots.add(certificate.clone()).map_err(|_| FileError::Certificate);
                added.map_err(in_file("tls_ca", file))?;
            }
        }
        let key = match &access.certificate {
            Some((chain, key)) => {
                let found = certificates(chain).map_err(in_file("tls_certificate", chain))?;
                Some(certified(found, chain, key, &provider).map_err(in_file("tls_key", key))?)
            }
            None => None,
        };
        let verifier = Arc::new(Verifier::new(roots, own, Arc::clone(&provider)).ok_or(TlsError::NoRoots)?);
        let identity = Arc::new(Identity { key: key.map(Arc::new), asked: AtomicBool::new(false) });
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| TlsError::Other(io::Error::other(e)))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&verifier) as _)
            .with_client_cert_resolver(Arc::clone(&identity) as _);
        Ok(Self { config, verifier, identity })
    }
}

/// What protects the connections others open to us, with this certificate and key (PEM).
///
/// # Errors
/// What is wrong with the files.
pub fn acceptor(chain: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let in_file = |option, file: &Path| {
        let file = file.to_owned();
        move |cause| TlsError::Server { key: option, file, cause }
    };
    let found = certificates(chain).map_err(in_file("certificate", chain))?;
    let certified = certified(found, chain, key, &provider).map_err(in_file("key", key))?;
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| TlsError::Other(io::Error::other(e)))?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The certificates of a PEM file: at least one.
///
/// # Errors
/// What is wrong with the file.
pub fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let all = CertificateDer::pem_file_iter(file).map_err(in_pem("certificate"))?;
    let all: Vec<_> = all.collect::<Result<_, _>>().map_err(in_pem("certificate"))?;
    if all.is_empty() { Err(FileError::Missing("certificate")) } else { Ok(all) }
}

/// Our own certificate with the key to it.
///
/// # Errors
/// What is wrong with the file of the key.
pub fn certified(
    chain: Vec<CertificateDer<'static>>,
    chain_file: &Path,
    file: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, FileError> {
    let key = PrivateKeyDer::from_pem_file(file).map_err(in_pem("private key without a passphrase"))?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
        RustlsError::InconsistentKeys(_) => FileError::Inconsistent(chain_file.to_owned()),
        RustlsError::InvalidCertificate(_) => FileError::Inconsistent(chain_file.to_owned()),
        _ => FileError::Key,
    })
}

fn in_pem(what: &'static str) -> impl Fn(pem::Error) -> FileError {
    move |error| match error {
        pem::Error::Io(error) => FileError::Io(error),
        pem::Error::NoItemsFound => FileError::Missing(what),
        _ => FileError::Syntax,
    }
}

/// Why a handshake failed.
fn explain(error: io::Error, name: String, verifier: &Verifier, identity: &Identity) -> TlsError {
    let Some(cause) = rustls_error(&error) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                if identity.asked.load(Ordering::Relaxed) && identity.key.is_none() {
                    return TlsError::WantsCertificate;
                }
                TlsError::Closed
            }
            _ => TlsError::Other(error),
        };
    };
    match cause.clone() {
        RustlsError::InvalidCertificate(cause) => match cause {
            CertificateError::ExpiredContext { not_after, .. } => TlsError::Expired { name, date: date(not_after) },
            CertificateError::NotValidYetContext { not_before, .. } => {
                TlsError::NotYet { name, date: date(not_before) }
            }
            CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
                TlsError::NoName(name)
            }
            CertificateError::NotValidForNameContext { presented, .. } => {
                TlsError::WrongName { name, presented: names(&presented) }
            }
            _ if verifier.saw_self_signed() => TlsError::SelfSigned(name),
            CertificateError::UnknownIssuer => TlsError::UnknownIssuer(name),
            cause => TlsError::Certificate { name, cause },
        },
        RustlsError::InvalidMessage(_) | RustlsError::InappropriateMessage { .. } => TlsError::NotTls,
        RustlsError::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13 | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => TlsError::TooOld,
        RustlsError::AlertReceived(alert) => match alert {
            AlertDescription::ProtocolVersion | AlertDescription::InsufficientSecurity => TlsError::TooOld,
            AlertDescription::UnrecognisedName => TlsError::UnknownName(name),
            alert if identity.asked.load(Ordering::Relaxed) => match &identity.key {
                None => TlsError::WantsCertificate,
                Some(_) => TlsError::RefusesCertificate(format!("{alert:?}")),
            },
            // Nothing was agreed on before anything else was said.
            AlertDescription::HandshakeFailure => TlsError::TooOld,
            _ => TlsError::Other(error),
        },
        _ => TlsError::Other(error),
    }
}

/// Why an established connection broke; a server that wants a certificate says so only now (RFC 8446 §4.4.2.4).
pub fn describe(error: &io::Error) -> String {
    match rustls_error(error) {
        Some(RustlsError::AlertReceived(AlertDescription::CertificateRequired)) => {
            TlsError::WantsCertificate.to_string()
        }
        Some(RustlsError::AlertReceived(
            alert @ (AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::AccessDenied),
        )) => TlsError::RefusesCertificate(format!("{alert:?}")).to_string(),
        _ if error.kind() == io::ErrorKind::UnexpectedEof => "closed by the peer".to_owned(),
        _ => error.to_string(),
    }
}

fn rustls_error(error: &io::Error) -> Option<&RustlsError> {
    error.get_ref()?.downcast_ref::<RustlsError>()
}

/// The day of a time stamp, `2026-01-31` (UTC).
fn date(time: UnixTime) -> String {
    // Days and years are counted from a first of March: the day of a leap year comes last.
    let days = time.as_secs() / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    format!("{:04}-{month:02}-{day:02}", year + 400 * era + u64::from(month <= 2))
}
