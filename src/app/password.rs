//! Puts the password of an account into the keyring of the desktop, and takes it out again.
use crate::app::quiet::Quiet;
use crate::app::run::{Failure, configuration};
use crate::base::secret::Secret;
use crate::cli::{Cli, ExitCode};
use crate::config::keyring::{self, KeyringError};
use crate::config::{Environment, PasswordSource};
use std::io::{BufRead, Read as _, Write};
use zeroize::Zeroize as _;

/// \[bytes\]; no password is as long.
const LONGEST: u64 = 1024;

/// Asks for the password of the account, which is not shown; from elsewhere than a terminal it is the first line.
///
/// # Errors
/// There is no account, no keyring, or nothing was typed.
pub fn run(
    cli: &Cli,
    delete: bool,
    environment: &Environment,
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> Result<ExitCode, Failure> {
    let config = configuration(cli, environment)?.config;
    let configured = |words: &str| Failure::new(ExitCode::Configuration, words.to_owned());
    let account = config.accounts.first().ok_or_else(|| configured("there is no account: `offhook init` makes one"))?;
    let address = account.address();
    let keyring = |error: KeyringError| Failure::new(ExitCode::Failed, error.to_string());
    let terminal = |error: std::io::Error| Failure::new(ExitCode::Failed, error.to_string());
    if delete {
        let words = if keyring::delete(&address).map_err(keyring)? { "is forgotten" } else { "was not there" };
        writeln!(output, "The password of {address} {words}.").map_err(terminal)?;
        return Ok(ExitCode::Ended);
    }
    let quiet = Quiet::new();
    if quiet.is_some() {
        write!(output, "Password of {address} (not shown): ").and_then(|()| output.flush()).map_err(terminal)?;
    }
    let mut line = String::new();
    input.by_ref().take(LONGEST).read_line(&mut line).map_err(terminal)?;
    if quiet.is_some() {
        writeln!(output).map_err(terminal)?;
    }
    drop(quiet);
    let password = Secret::new(line.trim_end_matches(['\r', '\n']));
    line.zeroize();
    if password.reveal().is_empty() {
        return Err(configured("no password was typed"));
    }
    keyring::set(&address, &password).map_err(keyring)?;
    writeln!(output, "The keyring has the password of {address}.").map_err(terminal)?;
    if !matches!(account.password, PasswordSource::Keyring(_)) {
        writeln!(output, "Write `password_keyring = true` into the account, so that it is taken from there.")
            .map_err(terminal)?;
    }
    Ok(ExitCode::Ended)
}
