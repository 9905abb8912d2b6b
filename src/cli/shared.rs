//! The options that several commands share, before and behind the command's name alike.
use super::Cli;
use crate::config::{AccountChoice, BindAddress, CodecList, PortRange, TransportChoice};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, FromArgMatches as _};
use std::ffi::OsString;
use std::path::PathBuf;

/// Options that mean the same wherever they are taken; `taken` says where.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Shared options")]
pub struct Shared {
    /// Configuration file [default: $OFFHOOK_CONFIG, else offhook/config.toml in $XDG_CONFIG_HOME].
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Use this account and no other: its name in the configuration file, or sip:USER@HOST or sip:USER@HOST:PORT for
    /// one that is in no file.
    ///
    /// The second form registers at HOST:PORT (what the DNS says if not given), with the password of the environment
    /// variable OFFHOOK_PASSWORD if that is set, else with none. Written with sips: it is reached over TLS only.
    #[arg(long, global = true, value_name = "NAME|SIP-ADDRESS")]
    pub account: Option<AccountChoice>,
    /// Own address and port for SIP: ADDRESS:PORT, ADDRESS, or :PORT; port 0 takes any free one.
    #[arg(long, global = true, value_name = "ADDRESS:PORT")]
    pub bind: Option<BindAddress>,
    /// How SIP messages travel: auto (what the domain's DNS records say), udp, tcp, tls, ws or wss.
    #[arg(long, global = true, value_name = "TRANSPORT")]
    pub transport: Option<TransportChoice>,
    /// Codecs to offer and accept, the best first: opus, pcmu, pcma.
    #[arg(long, global = true, value_name = "CODEC,..")]
    pub codecs: Option<CodecList>,
    /// Ports for sound; a call takes two.
    #[arg(long, global = true, value_name = "LOW-HIGH")]
    pub rtp_ports: Option<PortRange>,
    /// Where sound comes from: a device's name (see `offhook devices`), wav:FILE, loop:FILE, tone:HZ, silence, or null.
    #[arg(long, global = true, value_name = "DEVICE")]
    pub microphone: Option<String>,
    /// Where sound goes to: a device's name, wav:FILE, or null.
    ///
    /// wav:FILE gets exactly what would have been played, in real time, and FILE.t0 the seconds of the system's monotonic
    /// clock at its first sample.
    #[arg(long, global = true, value_name = "DEVICE")]
    pub speaker: Option<String>,
    /// Log file.
    #[arg(long, global = true, value_name = "FILE")]
    pub log: Option<PathBuf>,
}

/// The shared options a command takes by its name; `None` for all.
fn taken(command: &str) -> Option<&'static [&'static str]> {
    match command {
        "init" | "config" | "check" => Some(&["config"]),
        "completions" | "man" => Some(&[]),
        "devices" => Some(&["config", "microphone", "speaker"]),
        "doctor" => Some(&["config", "account", "bind", "transport", "rtp-ports", "microphone", "speaker"]),
        "demo" => Some(&["config", "microphone", "speaker", "log"]),
        // Its own, with a default.
        "proxy" => Some(&["bind"]),
        _ => None,
    }
}

impl Cli {
    /// All commands, each with the options it takes.
    pub fn described() -> clap::Command {
        let mut command = Self::command();
        command.build();
        hide(&mut command);
        command
    }

    /// Reads the command line.
    ///
    /// # Errors
    /// What cannot be meant, an option that the command does not take among it; and the help, when it is asked for.
    pub fn read<T: Into<OsString> + Clone>(line: impl IntoIterator<Item = T>) -> Result<Self, clap::Error> {
        let mut command = Self::described();
        let mut matches = command.try_get_matches_from_mut(line)?;
        let name = matches.subcommand_name().unwrap_or_default().to_owned();
        let cli = Self::from_arg_matches_mut(&mut matches)?;
        match taken(&name).and_then(|taken| cli.shared.given().into_iter().find(|option| !taken.contains(option))) {
            Some(option) => {
                let words = format!("--{option} means nothing to `offhook {name}`");
                Err(command.error(ErrorKind::ArgumentConflict, words))
            }
            None => Ok(cli),
        }
    }
}

/// Leaves out of a command's help what it does not take.
fn hide(command: &mut clap::Command) {
    for sub in command.get_subcommands_mut() {
        if let Some(taken) = taken(sub.get_name()) {
            let narrowed = std::mem::take(sub).mut_args(|arg| {
                let superfluous =
                    arg.is_global_set() && !taken.contains(&arg.get_id().as_str().replace('_', "-").as_str());
                arg.hide(superfluous)
            });
            *sub = narrowed;
        }
        hide(sub);
    }
}

impl Shared {
    /// The names of the options that were given.
    fn given(&self) -> Vec<&'static str> {
        let Self { config, account, bind, transport, codecs, rtp_ports, microphone, speaker, log } = self;
        let options = [
            ("config", config.is_some()),
            ("account", account.is_some()),
            ("bind", bind.is_some()),
            ("transport", transport.is_some()),
            ("codecs", codecs.is_some()),
            ("rtp-ports", rtp_ports.is_some()),
            ("microphone", microphone.is_some()),
            ("speaker", speaker.is_some()),
            ("log", log.is_some()),
        ];
        options.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect()
    }
}
