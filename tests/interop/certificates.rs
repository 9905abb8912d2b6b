//! Certificates of an authority that lives as long as a test: for servers, for phones, and some that must not be believed.
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use std::fs;
use std::path::{Path, PathBuf};

pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its own certificate (PEM).
    pub file: PathBuf,
    folder: PathBuf,
}

/// A certificate and its key (PEM).
pub struct Identity {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    /// - `name`: of the authority, and of its file in `folder`.
    pub fn new(folder: &Path, name: &str) -> Self {
        fs::create_dir_all(folder).expect("a folder");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let file = folder.join(format!("{name}.pem"));
        fs::write(&file, params.self_signed(&key).expect("a certificate").pem()).expect("writes");
        Self { issuer: Issuer::new(params, key), file, folder: folder.to_owned() }
    }

    /// A certificate for these names and addresses, in files called after the first.
    pub fn identity(&self, names: &[&str]) -> Identity {
        self.issue(names, |_| ())
    }

    /// The same, expired years ago.
    pub fn expired(&self, names: &[&str]) -> Identity {
        self.issue(names, |params| {
            params.not_before = date_time_ymd(2019, 1, 1);
            params.not_after = date_time_ymd(2020, 1, 1);
        })
    }

    fn issue(&self, names: &[&str], change: impl Fn(&mut CertificateParams)) -> Identity {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let file = |end: &str| self.folder.join(format!("{}{end}", names[0]));
        let (certificate, key) = (file(".crt"), file(".key"));
        let mut params = CertificateParams::new(names.clone()).expect("names");
        params.distinguished_name.push(DnType::CommonName, names[0].as_str());
        change(&mut params);
        let pair = KeyPair::generate().expect("a key");
        fs::write(&certificate, params.signed_by(&pair, &self.issuer).expect("a certificate").pem()).expect("writes");
        fs::write(&key, pair.serialize_pem()).expect("writes");
        Identity { certificate, key }
    }
}
