//! Passwords in the keyring of the desktop: the Secret Service of freedesktop.org, which GNOME, KDE and KeePassXC serve.
//!
//! An entry is known by the address of its account. The keyring may ask its user to unlock it, and is waited for so long on
//! a thread of its own.
use crate::base::secret::Secret;
use std::sync::mpsc;
use std::time::Duration;
use thiserror::Error;

/// Time for somebody to type the keyring's own password.
const LIMIT: Duration = Duration::from_secs(120);

/// Whether this program can ask one.
pub const BUILT_IN: bool = cfg!(feature = "keyring");

#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyringError {
    #[error("this offhook was built without the keyring: build it with `--features keyring`, or use password_command")]
    Absent,
    #[error("there is no keyring to ask: {0}")]
    Service(String),
    #[error("the keyring was not unlocked within {limit} s", limit = LIMIT.as_secs())]
    Timeout,
    #[error("the keyring has no password for {0}; `offhook password` puts it there")]
    Empty(String),
}

/// The password of an account.
///
/// - `address`: `user@domain`.
pub fn get(address: &str) -> Result<Secret, KeyringError> {
    let owned = address.to_owned();
    on_a_thread(move || service::get(&owned))?.ok_or_else(|| KeyringError::Empty(address.to_owned()))
}

/// Puts it there, in place of what was there before.
pub fn set(address: &str, password: &Secret) -> Result<(), KeyringError> {
    let (address, password) = (address.to_owned(), password.clone());
    on_a_thread(move || service::set(&address, &password))
}

/// Whether there was one.
pub fn delete(address: &str) -> Result<bool, KeyringError> {
    let address = address.to_owned();
    on_a_thread(move || service::delete(&address))
}

fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, KeyringError> + Send + 'static,
) -> Result<T, KeyringError> {
    let (done, result) = mpsc::channel();
    std::thread::Builder::new()
        .name("keyring".to_owned())
        // Nobody listens any more after the time limit.
        .spawn(move || drop(done.send(work())))
        .map_err(|error| KeyringError::Service(error.to_string()))?;
    result.recv_timeout(LIMIT).map_err(|_| KeyringError::Timeout)?
}

#[cfg(feature = "keyring")]
mod service {
    use super::KeyringError;
    use crate::base::secret::Secret;
    use secret_service::blocking::{Item, SecretService};
    use secret_service::{EncryptionType, Error};
    use std::collections::HashMap;
    use zeroize::Zeroize as _;

    impl From<Error> for KeyringError {
        fn from(error: Error) -> Self {
            Self::Service(error.to_string())
        }
    }

    fn attributes(address: &str) -> HashMap<&str, &str> {
        HashMap::from([("application", "offhook"), ("account", address)])
    }

    /// The entry of this account, unlocked.
    fn entry<'s>(service: &'s SecretService<'_>, address: &str) -> Result<Option<Item<'s>>, KeyringError> {
        let found = service.search_items(attributes(address))?;
        let entry = found.unlocked.into_iter().chain(found.locked).next();
        if let Some(entry) = entry.as_ref()
            && entry.is_locked()?
        {
            entry.unlock()?;
        }
        Ok(entry)
    }

    /// The password travels over the bus encrypted.
    fn connect<'s>() -> Result<SecretService<'s>, KeyringError> {
        Ok(SecretService::connect(EncryptionType::Dh)?)
    }

    pub fn get(address: &str) -> Result<Option<Secret>, KeyringError> {
        let service = connect()?;
        let Some(entry) = entry(&service, address)? else { return Ok(None) };
        let mut bytes = entry.get_secret()?;
        let secret = Secret::new(String::from_utf8_lossy(&bytes));
        bytes.zeroize();
        Ok(Some(secret))
    }

    pub fn set(address: &str, password: &Secret) -> Result<(), KeyringError> {
        let service = connect()?;
        let keyring = service.get_default_collection()?;
        if keyring.is_locked()? {
            keyring.unlock()?;
        }
        let label = format!("offhook: {address}");
        keyring.create_item(&label, attributes(address), password.reveal().as_bytes(), true, "text/plain")?;
        Ok(())
    }

    pub fn delete(address: &str) -> Result<bool, KeyringError> {
        let service = connect()?;
        let Some(entry) = entry(&service, address)? else { return Ok(false) };
        entry.delete()?;
        Ok(true)
    }
}

#[cfg(not(feature = "keyring"))]
mod service {
    use super::KeyringError;
    use crate::base::secret::Secret;

    pub fn get(_: &str) -> Result<Option<Secret>, KeyringError> {
        Err(KeyringError::Absent)
    }

    pub fn set(_: &str, _: &Secret) -> Result<(), KeyringError> {
        Err(KeyringError::Absent)
    }

    pub fn delete(_: &str) -> Result<bool, KeyringError> {
        Err(KeyringError::Absent)
    }
}
