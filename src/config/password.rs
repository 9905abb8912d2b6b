//! Gets the password of an account from where the configuration says it is.
use super::PasswordSource;
use super::keyring::{self, KeyringError};
use crate::base::secret::Secret;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;
use thiserror::Error;
use zeroize::Zeroize as _;

/// Time for a command, which may ask the user for a pass phrase.
const LIMIT: Duration = Duration::from_secs(120);
/// \[bytes\]
const MAX_OUTPUT: u64 = 4096;

/// What digest authentication needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    Password(Secret),
    /// Lower-case hexadecimal digits: 32 of MD5, 64 of SHA-256.
    Ha1(Secret),
}

#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PasswordError {
    #[error("password_command {command:?} cannot be started: {source}")]
    Start { command: String, source: std::io::Error },
    #[error("password_command {command:?} ended with {status}")]
    Failed { command: String, status: std::process::ExitStatus },
    #[error("password_command {command:?} printed no password on its first line")]
    Empty { command: String },
    #[error("password_command {command:?} did not end within {limit} s", limit = LIMIT.as_secs())]
    Timeout { command: String },
    #[error(transparent)]
    Keyring(#[from] KeyringError),
}

impl PasswordSource {
    /// Runs the command if there is one, or asks the keyring, and waits for it: not to be called while the screen is drawn.
    pub fn resolve(&self) -> Result<Option<Credential>, PasswordError> {
        match self {
            Self::None => Ok(None),
            Self::Text(secret) => Ok(Some(Credential::Password(secret.clone()))),
            Self::Ha1(secret) => Ok(Some(Credential::Ha1(secret.clone()))),
            Self::Command(command) => run(command, LIMIT).map(|secret| Some(Credential::Password(secret))),
            Self::Keyring(address) => Ok(Some(Credential::Password(keyring::get(address)?))),
        }
    }
}

fn run(command: &str, limit: Duration) -> Result<Secret, PasswordError> {
    let owned = || command.to_owned();
    let start = |source| PasswordError::Start { command: owned(), source };
    let mut child = Command::new("sh").args(["-c", command]).stdout(Stdio::piped()).spawn().map_err(start)?;
    let (done, output) = mpsc::channel();
    if let Some(stdout) = child.stdout.take() {
        std::thread::spawn(move || {
            let mut text = Vec::new();
            let read = stdout.take(MAX_OUTPUT).read_to_end(&mut text);
            // Nobody listens any more after the time limit.
            let _ = done.send(read.map(|_| text));
        });
    }
    let mut text = match output.recv_timeout(limit) {
        Ok(read) => read.map_err(start)?,
        Err(_) => {
            // Both fail only when it has just ended by itself.
            let _ = child.kill();
            let _ = child.wait();
            return Err(PasswordError::Timeout { command: owned() });
        }
    };
    let status = child.wait().map_err(start)?;
    let first = text.split(|b| *b == b'\n').next().unwrap_or_default();
    let secret = String::from_utf8_lossy(first).trim_end_matches('\r').to_owned();
    text.zeroize();
    match (status.success(), secret.is_empty()) {
        (false, _) => Err(PasswordError::Failed { command: owned(), status }),
        (true, true) => Err(PasswordError::Empty { command: owned() }),
        (true, false) => Ok(Secret::new(secret)),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_the_command_is_the_password() {
        let run = |command: &str| run(command, Duration::from_secs(20)).map(|s| s.reveal().to_owned());
        assert!(matches!(run("exit 3"), Err(PasswordError::Failed { .. })));
        assert!(matches!(run("echo; echo second"), Err(PasswordError::Empty { .. })));
        assert!(matches!(run("echo secret; exit 1"), Err(PasswordError::Failed { .. })));
        assert_eq!(run("printf 'pass word\\r\\nsecond\\n'").ok().as_deref(), Some("pass word"));
    }

    #[test]
    fn a_command_that_hangs_is_ended() {
        assert!(matches!(run("exec sleep 60", Duration::ZERO), Err(PasswordError::Timeout { .. })));
    }
}
