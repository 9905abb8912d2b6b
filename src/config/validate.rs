//! Rules between keys: one password source, a HA1 that can be one, a certificate with its key.
use super::account::PasswordSource;
use super::file::{path, secret};
use super::reader::{Reader, Section};
use super::values::ValueError;
use crate::base::secret::Secret;
use std::path::PathBuf;

const SOURCES: [&str; 4] = ["password", "ha1", "password_command", "password_keyring"];

/// Where the password comes from: at most one place.
///
/// - `address`: what a keyring knows the account by.
pub(super) fn password<'t>(reader: &mut Reader<'t>, section: &Section<'_, 't>, address: &str) -> PasswordSource {
    let text = reader.read(section, "password", secret).map(PasswordSource::Text);
    let ha1 = reader.read(section, "ha1", ha1).map(PasswordSource::Ha1);
    let command = reader.read(section, "password_command", command).map(PasswordSource::Command);
    let keyring = reader.boolean(section, "password_keyring").unwrap_or_default();
    let written: Vec<&str> = SOURCES.into_iter().filter(|key| section.table.contains_key(*key)).collect();
    if let [_, second, ..] = written.as_slice() {
        let value = section.table.get(*second);
        let problem = format!(
            "only one of password, ha1, password_command and password_keyring may be there, not {}",
            written.join(" and ")
        );
        reader.mistake(&section.name, second, value.filter(|_| *second == "ha1"), problem);
    }
    let keyring = keyring.then(|| PasswordSource::Keyring(address.to_owned()));
    text.or(ha1).or(command).or(keyring).unwrap_or(PasswordSource::None)
}

/// Our own certificate and the key to it: both or neither.
pub(super) fn certificate<'t>(
    reader: &mut Reader<'t>,
    section: &Section<'_, 't>,
) -> (Option<PathBuf>, Option<PathBuf>) {
    for (one, other) in [("tls_certificate", "tls_key"), ("tls_key", "tls_certificate")] {
        if section.table.contains_key(one) && !section.table.contains_key(other) {
            reader.section_mistake(section, other, format!("missing; {one} is of no use without it"));
        }
    }
    (reader.read(section, "tls_certificate", path), reader.read(section, "tls_key", path))
}

/// An MD5 or SHA-256 digest; which one, its length tells.
fn ha1(text: &str) -> Result<Secret, ValueError> {
    let digits = text.bytes().all(|b| b.is_ascii_hexdigit());
    match text.len() {
        32 | 64 if digits => Ok(Secret::new(text.to_ascii_lowercase())),
        _ => Err(ValueError::new("32 (MD5) or 64 (SHA-256) hexadecimal digits expected, of user:realm:password")),
    }
}

fn command(text: &str) -> Result<String, ValueError> {
    if text.trim().is_empty() {
        Err(ValueError::new("a shell command expected that prints the password"))
    } else {
        Ok(text.to_owned())
    }
}
