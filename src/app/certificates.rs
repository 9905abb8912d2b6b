//! The certificate files of an account as `offhook config check` reads them (RFC 5280, PEM as in RFC 7468).
use crate::config::{Account, Mistake};
use crate::net::tls::{certificates, certified};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, UnixTime};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{CertificateError, Error, RootCertStore};

/// What is wrong with the files now; they are read again whenever a connection is opened.
pub fn mistakes(account: &Account, now: UnixTime) -> Vec<Mistake> {
    let mut out = Vec::new();
    let mut mistake = |key: &str, path: &Path, problem: String| {
        out.push(Mistake {
            section: format!("account {:?}", account.name),
            key: key.to_owned(),
            value: Some(format!("{:?}", path.display().to_string())),
            problem,
            ..Mistake::default()
        });
    };
    if let Some(path) = &account.tls_ca {
        match certificates(path) {
            Ok(chain) => chain.iter().filter_map(|one| age(one, now)).for_each(|words| mistake("tls_ca", path, words)),
            Err(error) => mistake("tls_ca", path, error.to_string()),
        }
    }
    if let (Some(path), Some(key)) = (&account.tls_certificate, &account.tls_key) {
        match certificates(path) {
            Ok(chain) => {
                if let Some(words) = chain.first().and_then(|own| age(own, now)) {
                    mistake("tls_certificate", path, words);
                }
                if let Err(error) = certified(chain, path, key, &ring::default_provider()) {
                    mistake("tls_key", key, error.to_string());
                }
            }
            Err(error) => mistake("tls_certificate", path, error.to_string()),
        }
    }
    out
}

/// What is wrong with the time a certificate holds for, or with its form. Whom it names and who signed it is for the
/// handshake to judge: only the clock counts here.
fn age(certificate: &CertificateDer<'_>, now: UnixTime) -> Option<String> {
    let days = |from: UnixTime, to: UnixTime| {
        Duration::from_secs(to.as_secs().saturating_sub(from.as_secs())).as_secs() / 86_400
    };
    match fault(certificate, now) {
        Err(()) => Some("it holds no X.509 certificate that can be understood".to_owned()),
        Ok(Some(CertificateError::ExpiredContext { time, not_after })) => {
            Some(format!("expired {} days ago: a new one is needed", days(not_after, time)))
        }
        Ok(Some(CertificateError::NotValidYetContext { time, not_before })) => {
            Some(format!("holds in {} days only; is the clock of this machine right?", days(time, not_before)))
        }
        Ok(Some(_) | None) => None,
    }
}

/// Until when a certificate holds \[s since 1970\]: nothing says so but what is wrong with it when all have expired.
pub fn not_after(certificate: &CertificateDer<'_>) -> Option<u64> {
    /// The last day of the year 9999, which stands for "never" (RFC 5280 §4.1.2.5).
    const NEVER: Duration = Duration::from_secs(253_402_300_799);
    match fault(certificate, UnixTime::since_unix_epoch(NEVER)) {
        Ok(Some(CertificateError::ExpiredContext { not_after, .. })) => Some(not_after.as_secs()),
        Ok(Some(_) | None) | Err(()) => None,
    }
}

/// What is wrong with a certificate that is trusted for itself; an error when it cannot be read.
fn fault(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<Option<CertificateError>, ()> {
    let provider = Arc::new(ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone().into_owned()).map_err(|_| ())?;
    let Ok(verifier) = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build() else {
        return Ok(None);
    };
    match verifier.verify_client_cert(certificate, &[], now) {
        Err(Error::InvalidCertificate(cause)) => Ok(Some(cause)),
        Ok(_) | Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Host;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use std::fs;
    use std::path::PathBuf;

    /// 2026-11-22
    const NOW: u64 = 1_795_343_527;

    struct Folder(PathBuf);

    impl Folder {
        fn file(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, text).expect("written");
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// A certificate that holds for the years named, and its key.
    fn certificate(from: i32, to: i32) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["1001.example".to_owned()]).expect("a name");
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        (params.self_signed(&key).expect("signed").pem(), key.serialize_pem())
    }

    /// Authorities, certificate and key; the keys that are complained of, and what is said.
    type Row<'a> = (Option<&'a str>, Option<(&'a str, &'a str)>, &'a [(&'a str, &'a str)]);

    #[test]
    fn what_is_wrong_with_a_file_is_said_with_its_name() {
        let path = std::env::temp_dir().join(format!("offhook-certificates-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        let folder = Folder(path);
        let (good, key) = certificate(2020, 2040);
        let (old, old_key) = certificate(2020, 2026);
        let (early, _) = certificate(2030, 2040);
        let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let rows: [Row<'_>; 10] = [
            (Some(""), None, &[("tls_ca", "there is no certificate in it")]),
            (Some(&key), None, &[("tls_ca", "there is no certificate in it")]),
            (Some(&good[..200]), None, &[("tls_ca", "it is not a PEM file")]),
            (Some(garbage), None, &[("tls_ca", "no X.509 certificate")]),
            (Some(&old), None, &[("tls_ca", "expired 325 days ago")]),
            (Some(&early), None, &[("tls_ca", "holds in 1135 days only")]),
            (None, Some((&old, &old_key)), &[("tls_certificate", "expired 325 days ago")]),
            (None, Some((&good, &old_key)), &[("tls_key", "the key is not the one of the certificate")]),
            (None, Some((&good, "")), &[("tls_key", "there is no private key without a passphrase in it")]),
            (Some(&(good.clone() + &good)), Some((&good, &key)), &[]),
        ];
        for (ca, own, expected) in rows {
            let mut account = Account::new("1001", Host::Name("pbx".into()));
            account.tls_ca = ca.map(|text| folder.file("ca.pem", text));
            account.tls_certificate = own.map(|(text, _)| folder.file("own.pem", text));
            account.tls_key = own.map(|(_, text)| folder.file("own.key", text));
            let found = mistakes(&account, UnixTime::since_unix_epoch(Duration::from_secs(NOW)));
            assert_eq!(found.len(), expected.len(), "{expected:?} {found:?}");
            for (mistake, (key, words)) in found.iter().zip(expected) {
                assert!(mistake.key == *key && mistake.problem.contains(words), "{expected:?} {mistake}");
            }
        }
        let mut account = Account::new("1001", Host::Name("pbx".into()));
        account.tls_ca = Some("/nowhere/ca.pem".into());
        let found = mistakes(&account, UnixTime::now());
        assert_eq!(
            found.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["account \"1001@pbx\": tls_ca \"/nowhere/ca.pem\": No such file or directory (os error 2)"]
        );
    }
}
