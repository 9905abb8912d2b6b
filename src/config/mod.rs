//! What the user wants: accounts, network, sound, screen, files; read from the configuration file and the command line.
//!
//! [`load`] is the way in. Everything behind it has been checked: who holds a [`Config`] need not check again, but for
//! names that only other rooms know (devices, themes, keys), which are passed through.
mod account;
mod availability;
mod caller_id;
mod contacts;
mod defaults;
mod file;
mod handling;
pub mod keyring;
mod mistake;
mod overrides;
mod password;
mod paths;
mod reach;
mod reader;
mod validate;
mod values;
mod vcard;
mod ways;

pub use account::{Account, AccountChoice, Dtmf, PasswordSource};
pub use contacts::{parse as parse_contacts, print as print_contacts};
pub use file::{KEYS, parse};
pub use mistake::{ConfigError, Mistake};
pub use overrides::Overrides;
pub use password::{Credential, PasswordError};
pub use paths::{Environment, FileChoice};
pub use reach::TransportChoice;
pub use values::{BindAddress, CodecList, Host, PortRange, Server, ValueError};
pub use vcard::{Cards, parse as parse_vcards};

use crate::ua::dial_plan::DialPlan;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The whole configuration.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// The first is used where no other is named.
    pub accounts: Vec<Account>,
    pub network: Network,
    pub audio: Audio,
    pub calls: Calls,
    pub about_me: AboutMe,
    pub screen: Screen,
    pub files: Files,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Our address in messages and descriptions; `None`: for each peer the one the system would use to reach it.
    pub local_address: Option<IpAddr>,
    /// 0: any free port.
    pub sip_port: u16,
    pub rtp_ports: PortRange,
    /// Differentiated services code points of messages and of sound (RFC 4594); 0 marks nothing.
    pub sip_dscp: u8,
    pub rtp_dscp: u8,
    /// Who is asked for the records of domains; `None`: as the system is configured.
    pub name_server: Option<SocketAddr>,
}

/// Devices as written: `default`, a name, `wav:FILE`, ..; `audio` reads them.
#[derive(Clone, Debug, PartialEq)]
pub struct Audio {
    pub microphone: String,
    pub speaker: String,
    /// \[dB\], 0 leaves the sound as it is.
    pub microphone_gain: f32,
    /// \[dB\]
    pub speaker_gain: f32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calls {
    /// Length of our packets.
    pub ptime: Duration,
    /// A call without any packet of the peer for so long is ended; zero never ends it.
    pub no_media_timeout: Duration,
    /// Offer RTP and RTCP on one port (RFC 5761).
    pub rtcp_mux: bool,
    /// What held calls hear (WAV); `None`: nothing.
    pub hold_music: Option<PathBuf>,
    /// Record every call.
    pub record: bool,
    /// The other side of a recorded call hears a short tone now and then.
    pub recording_notice: bool,
    /// For all accounts; their own rules come first.
    pub dial_plan: DialPlan,
}

/// What the other side is told about us in RTCP (RFC 3550 §6.5). Empty: not told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AboutMe {
    pub name: String,
    pub email: String,
    pub phone: String,
    pub location: String,
    pub note: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Screen {
    /// The name of a theme, as written; `tui` knows them. `None`: what fits the terminal.
    pub theme: Option<String>,
    /// Only characters every terminal has; `None`: what fits the terminal.
    pub ascii: Option<bool>,
    /// The terminal's bell sounds when somebody calls.
    pub bell: bool,
    /// How a user is told who looks at another window.
    pub notify: Notify,
    /// Clicks and the wheel mean something.
    pub mouse: bool,
    /// Action and key, as written; `tui` knows them.
    pub keys: Vec<(String, String)>,
}

/// How somebody is told that a call comes in while he looks at another window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Notify {
    /// By the terminal where it is known to be able to, else by the desktop.
    #[default]
    Auto,
    Terminal,
    Desktop,
    None,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    pub history: FileChoice,
    pub contacts: FileChoice,
    pub log: FileChoice,
    /// A folder.
    pub recordings: FileChoice,
}

/// A configuration, and what the user should hear about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: Config,
    /// The file it came from; `None` when there is none.
    pub file: Option<PathBuf>,
    /// One sentence each, not a reason to stop.
    pub warnings: Vec<String>,
}

/// \[bytes\]; no configuration is as long as this.
const MAX_FILE: u64 = 1 << 20;

/// Reads the configuration file and lays the command line over it.
///
/// - `path`: the file named on the command line; else `$OFFHOOK_CONFIG`, else `offhook/config.toml` below the XDG
///   configuration directory, which may be absent.
///
/// # Errors
/// The file cannot be read, or holds mistakes: all of them are listed.
pub fn load(path: Option<&Path>, overrides: &Overrides, environment: &Environment) -> Result<Loaded, ConfigError> {
    let (path, must_exist) = environment.config_file(path)?;
    let mut warnings = Vec::new();
    let (mut config, file) = match read(&path) {
        Ok(text) => {
            let config =
                parse(&text).map_err(|mistakes| ConfigError::Mistakes { file: Some(path.clone()), mistakes })?;
            warnings.extend(paths::readable_by_others(&path).filter(|_| config.holds_secrets()));
            (config, Some(path))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !must_exist => (Config::default(), None),
        Err(source) => return Err(ConfigError::Read { path, source }),
    };
    let mistakes = overrides.apply(&mut config, environment);
    for account in &mut config.accounts {
        for file in [&mut account.tls_ca, &mut account.tls_certificate, &mut account.tls_key].into_iter().flatten() {
            *file = environment.expand(file);
        }
    }
    config.calls.hold_music = config.calls.hold_music.map(|file| environment.expand(&file));
    if let Some(file) = config.calls.hold_music.as_ref().filter(|file| !file.is_file()) {
        warnings.push(format!(
            "calls: hold_music {:?}: there is no such file; calls on hold hear silence",
            file.display().to_string()
        ));
    }
    if let Some(folder) = environment.recordings_folder(&config.files.recordings) {
        config.files.recordings = FileChoice::Path(folder);
    }
    if !mistakes.is_empty() {
        return Err(ConfigError::Mistakes { file: None, mistakes });
    }
    Ok(Loaded { config, file, warnings })
}

fn read(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    if file.metadata()?.len() > MAX_FILE {
        return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, "longer than 1 MiB"));
    }
    file.take(MAX_FILE).read_to_string(&mut text)?;
    Ok(text)
}

impl Config {
    /// Whether somebody who reads the file learns a password from it.
    fn holds_secrets(&self) -> bool {
        self.accounts.iter().any(|a| matches!(a.password, PasswordSource::Text(_) | PasswordSource::Ha1(_)))
    }
}
