//! The certificate the embedded proxy makes for itself, so that it can be reached over TLS without any other preparation.
use crate::app::run::Failure;
use crate::cli::ExitCode;
use crate::config::Environment;
use crate::net::tls;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How old one may become before another is made: browsers refuse those of more than 398 days.
const LASTS: Duration = Duration::from_secs(390 * 24 * 3600);

/// The file with certificate and key (PEM). It is kept, so that who has once said that he trusts it is not asked again, and made
/// anew when it is too old or lacks one of `names`.
///
/// # Errors
/// Where it cannot be made or kept.
pub fn own(environment: &Environment, names: Vec<String>) -> Result<PathBuf, Failure> {
    let path = environment.proxy_certificate_file().ok_or_else(|| {
        Failure::new(ExitCode::Configuration, "there is no place to keep a certificate: give --certificate and --key")
    })?;
    if !is_good(&path, &names) {
        make(&path, names)
            .map_err(|error| Failure::new(ExitCode::Configuration, format!("{}: {error}", path.display())))?;
    }
    Ok(path)
}

fn is_good(path: &Path, names: &[String]) -> bool {
    let young = fs::metadata(path)
        .and_then(|about| about.modified())
        .is_ok_and(|made| SystemTime::now().duration_since(made).is_ok_and(|age| age < LASTS));
    // The names stand in the file before the certificate, as text.
    let named = fs::read_to_string(path).is_ok_and(|text| text.lines().next() == Some(&*title(names)));
    young && named && tls::certificates(path).is_ok()
}

fn title(names: &[String]) -> String {
    format!("offhook proxy: {}", names.join(" "))
}

fn make(path: &Path, names: Vec<String>) -> io::Result<()> {
    let title = title(&names);
    let mut params = rcgen::CertificateParams::new(names).map_err(io::Error::other)?;
    let now = SystemTime::now();
    params.not_before = (now - Duration::from_secs(3600)).into();
    params.not_after = (now + LASTS).into();
    params.distinguished_name.push(rcgen::DnType::CommonName, "offhook proxy");
    let key = rcgen::KeyPair::generate().map_err(io::Error::other)?;
    let certificate = params.self_signed(&key).map_err(io::Error::other)?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // Written beside and moved: nobody reads half a key. The key is readable by the user alone.
    let beside = path.with_extension("new");
    let _ = fs::remove_file(&beside);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    write!(file, "{title}\n{}{}", certificate.pem(), key.serialize_pem())?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn it_is_kept_and_made_anew_for_other_names() {
        let folder = std::env::temp_dir().join(format!("offhook-certificate-{}", std::process::id()));
        let path = folder.join("proxy.pem");
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert!(!is_good(&path, &names(&["192.0.2.1"])));
        make(&path, names(&["192.0.2.1", "pbx.example"])).expect("made");
        assert!(is_good(&path, &names(&["192.0.2.1", "pbx.example"])));
        assert!(!is_good(&path, &names(&["192.0.2.1", "other.example"])));
        assert!(tls::acceptor(&path, &path).is_ok(), "certificate and key belong together");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        fs::remove_dir_all(folder).expect("removed");
    }
}
