//! The command line: commands, options, exit codes. The texts here are the documentation `--help` prints.
mod exit;
mod options;
mod shared;
mod values;

use crate::config::Overrides;
use clap::{Parser, Subcommand};
use exit::EXIT_CODES;
pub use exit::ExitCode;
pub use options::{Answer, Call, Demo, Devices, DigestChoice, Doctor, Ladder, Message, Proxy, Register, Reject};
pub use shared::Shared;
use std::path::PathBuf;

const FILES: &str = "\
Files, below the XDG base directories (~/.config, ~/.local/share, ~/.local/state):
  offhook/config.toml     configuration
  offhook/contacts.toml   contacts
  offhook/history.sqlite  call history
  offhook/offhook.log     log
  offhook/instance        random name of this phone, by which a server knows it again

Environment:
  OFFHOOK_CONFIG    the configuration file
  OFFHOOK_PASSWORD  the password of an account given as `--account sip:USER@HOST`
  NO_COLOR          draw without colours";

/// A terminal softphone that shows how good the call really is.
///
/// Without a command it opens the full screen: accounts, calls, a dial line, and the quality of the call in both directions
/// while it runs. `?` lists the keys.
///
/// To begin: `offhook demo` needs no server, no account and no sound card; `offhook init` asks for an account and writes the
/// configuration file.
#[derive(Debug, Parser)]
#[command(name = "offhook", version, max_term_width = 100, after_help = EXIT_CODES, after_long_help = format!("{EXIT_CODES}\n\n{FILES}"))]
pub struct Cli {
    #[command(flatten)]
    pub shared: Shared,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Ask five questions and write the configuration file.
    ///
    /// Asks for your SIP address, where the password comes from, the server, the transport, and the sound devices, and
    /// writes the file readable by you alone. An existing file is replaced only after you say yes.
    Init,
    /// Call somebody, without the screen.
    ///
    /// Registers, calls, and stays until the call ends, an interrupt comes, or --duration is over. Progress and the
    /// quality of the call are printed once a second, as text or with --json as one JSON object a line; the last line sums
    /// the call up and names the SIP status it ended with.
    #[command(after_help = EXIT_CODES)]
    Call(Call),
    /// Wait for calls, without the screen.
    ///
    /// Registers and waits. With --auto each call is answered, with --reject each is refused. Without either, lines typed
    /// at the terminal decide: a answers, r refuses, h hangs up; where nobody types, calls ring until the caller gives
    /// up. Printed is the same as for `offhook call`.
    #[command(after_help = EXIT_CODES)]
    Answer(Answer),
    /// Register and stay registered, without the screen.
    ///
    /// Prints each change of the registration. Ends with an interrupt, after --duration, or with --once as soon as the
    /// server has said yes or no; unregisters then.
    #[command(after_help = EXIT_CODES)]
    Register(Register),
    /// Send somebody a text, without the screen.
    ///
    /// Registers, sends the text, and ends as soon as it is known what became of it: 0 when the other side, or a server for
    /// it, has it.
    #[command(after_help = EXIT_CODES)]
    Message(Message),
    /// List the sound devices and play a test tone.
    ///
    /// Lists every microphone and speaker with the names to use for --microphone and --speaker and in the configuration.
    /// Then plays a tone of 440 Hz for a second on the speaker and shows the level of the microphone.
    Devices(Devices),
    /// Find out why calls do not get through or have no sound, and say what to do.
    ///
    /// Looks at the configuration, the DNS records, the server, its certificate, the password, NAT and firewall, the relay,
    /// this computer's network, the sound devices and the files; says what was found, what it means for calls, and what to do.
    /// Nothing is changed: no phone is registered, no call placed. Only the servers of the account are asked. Ends with 0 when
    /// no problem was found, else with the number of the first one: 2 configuration, 6 names, server, certificate, NAT, relay
    /// or network, 3 registration, 7 sound, 1 files.
    #[command(after_help = EXIT_CODES)]
    Doctor(Doctor),
    /// Show the phone with a call over a simulated network: no server, account or sound card needed.
    ///
    /// Starts a SIP server of its own with an echo and an announcement service, registers the phone at it over a network
    /// that loses, delays and shuffles packets as told, and places a call. What the network really did stands beside what
    /// the phone measured. Loss, delay and jitter can be changed while it runs. Without a terminal it runs --headless.
    Demo(Demo),
    /// Run the embedded SIP registrar and proxy, so that phones can register and call each other.
    ///
    /// Serves the users of a file, each with a password, over UDP and TCP, and where asked over TLS and WebSockets, so that
    /// browsers can call phones. Without --users it serves anybody on this machine and nobody else. It forwards calls to its
    /// own users only. Ends with an interrupt.
    Proxy(Proxy),
    /// Look after the configuration file.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look after the list of contacts.
    #[command(subcommand)]
    Contacts(ContactsCommand),
    /// Put the password of an account into the keyring of the desktop.
    ///
    /// Asks for it without showing it, or takes the first line of a standard input that is no terminal. The account says
    /// `password_keyring = true` then. Needs an offhook built with `--features keyring`, and a keyring as GNOME, KDE or
    /// KeePassXC have one (Secret Service).
    Password {
        /// Take it out again.
        #[arg(long)]
        delete: bool,
    },
    /// Print the completions of a shell.
    ///
    /// For bash: offhook completions bash > ~/.local/share/bash-completion/completions/offhook
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual pages.
    ///
    /// One for offhook and one for each command, as offhook.1, offhook-call.1, ..
    Man {
        /// The folder to write them to, as ~/.local/share/man/man1; it is made if need be.
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print every mistake in the configuration file.
    ///
    /// Each with its line, its key, what is written there and what is allowed. Ends with 0 when there is none, else 2.
    Check,
}

#[derive(Debug, Subcommand)]
pub enum ContactsCommand {
    /// Print all contacts.
    List {
        /// Print JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
    /// Take over the names and numbers of a vCard file (.vcf); those of a name that is known are added to it.
    Import {
        /// The vCard file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
}

impl Cli {
    /// What the line says on top of the configuration file.
    pub fn overrides(&self) -> Overrides {
        let Shared { account, bind, transport, codecs, rtp_ports, microphone, speaker, log, config: _ } =
            self.shared.clone();
        let no_register = match &self.command {
            Some(Command::Call(call)) => call.no_register,
            Some(Command::Answer(answer)) => answer.no_register,
            Some(Command::Message(message)) => message.no_register,
            Some(Command::Init | Command::Register(_) | Command::Devices(_) | Command::Doctor(_)) => false,
            Some(Command::Demo(_) | Command::Proxy(_) | Command::Config(_) | Command::Contacts(_)) | None => false,
            Some(Command::Password { .. } | Command::Completions { .. } | Command::Man { .. }) => false,
        };
        // Who waits without registering waits for calls that come directly.
        let direct_calls = matches!(&self.command, Some(Command::Answer(answer)) if answer.no_register);
        let record = match &self.command {
            Some(Command::Call(call)) => call.record.clone(),
            Some(Command::Answer(answer)) => answer.record.clone(),
            _ => None,
        };
        Overrides {
            account,
            bind,
            transport,
            codecs,
            rtp_ports,
            microphone,
            speaker,
            log,
            record,
            no_register,
            direct_calls,
        }
    }
}

#[cfg(test)]
mod tests;
