//! What the tests of connections share: an authority that signs certificates, files, servers on loopback.
use super::manager::Access;
use super::router::Server;
use crate::sip::locate::AccessId;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType, date_time_ymd};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

pub const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
pub const OPTIONS: &[u8] = b"OPTIONS sip:a@h SIP/2.0\r\nContent-Length: 0\r\n\r\n";

/// Runs a test that may not hang.
pub fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), test).await.expect("ended in time") });
}

/// A server on loopback; each connection is given to `serve`.
pub async fn listen<F: Future<Output = ()> + Send + 'static>(
    home: IpAddr,
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind((home, 0)).await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// Sends back all that comes.
pub async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..length]).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

pub fn server(name: &str) -> Server {
    Server { name: name.to_owned(), access: AccessId::default() }
}

/// A certificate and its key, PEM.
#[derive(Clone)]
pub struct Credential {
    pub certificate: String,
    pub key: String,
    chain: Vec<CertificateDer<'static>>,
    key_der: Vec<u8>,
}

/// What a certificate of a test says.
pub struct Wanted<'a> {
    pub names: &'a [&'a str],
    pub uris: &'a [&'a str],
    /// The years it is valid from and to.
    pub years: (i32, i32),
    pub is_authority: bool,
}

impl Default for Wanted<'_> {
    fn default() -> Self {
        Self { names: &[], uris: &[], years: (2020, 2088), is_authority: false }
    }
}

impl Wanted<'_> {
    fn params(&self) -> CertificateParams {
        let names: Vec<String> = self.names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        let uris = self.uris.iter().map(|uri| SanType::URI((*uri).try_into().expect("ascii")));
        params.subject_alt_names.extend(uris);
        params.not_before = date_time_ymd(self.years.0, 1, 1);
        params.not_after = date_time_ymd(self.years.1, 2, 29);
        if self.is_authority {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }
        params
    }

    pub fn self_signed(&self) -> Credential {
        let key = KeyPair::generate().expect("a key");
        let certificate = self.params().self_signed(&key).expect("signed");
        Credential {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            chain: vec![certificate.der().clone()],
            key_der: key.serialize_der(),
        }
    }
}

/// A certificate authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        // Two authorities of one name would be mistaken for each other.
        let name = format!("authority {:?}", &key.public_key_raw()[..8]);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, key).expect("signed"))
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    pub fn sign(&self, wanted: &Wanted<'_>) -> Credential {
        let key = KeyPair::generate().expect("a key");
        let certificate = wanted.params().signed_by(&key, &self.0).expect("signed");
        Credential {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            chain: vec![certificate.der().clone()],
            key_der: key.serialize_der(),
        }
    }

    pub fn name(&self, name: &str) -> Credential {
        self.sign(&Wanted { names: &[name], ..Wanted::default() })
    }

    /// What a server must be given to ask its clients for certificates of this authority.
    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("an authority");
        roots
    }
}

/// A TLS server's side; `clients`: whose certificates its clients must have.
pub fn acceptor(credential: &Credential, is_13: bool, clients: Option<&Authority>) -> TlsAcceptor {
    let provider = Arc::new(ring::default_provider());
    let version = if is_13 { &TLS13 } else { &TLS12 };
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(&[version]);
    let config = config.expect("a version");
    let config = match clients {
        None => config.with_no_client_auth(),
        Some(authority) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authority.roots()), provider);
            config.with_client_cert_verifier(verifier.build().expect("a verifier"))
        }
    };
    let key = PrivateKeyDer::try_from(credential.key_der.clone()).expect("a key");
    TlsAcceptor::from(Arc::new(config.with_single_cert(credential.chain.clone(), key).expect("a pair")))
}

/// Numbers folders and files.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// A folder that goes when the test does.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        let name = format!("offhook-net-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        Self(folder)
    }

    /// A new file whose name ends so.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let file = self.0.join(format!("{}-{name}", NEXT.fetch_add(1, Ordering::Relaxed)));
        std::fs::write(&file, text).expect("written");
        file
    }

    pub fn trusting(&self, pem: &str) -> Access {
        Access { ca_file: Some(self.write("ca.pem", pem)), certificate: None, websocket_path: "/ws".to_owned() }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
