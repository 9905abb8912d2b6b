//! The command line: commands, options, exit codes. The texts here are the documentation `--help` prints.
mod exit;
mod shared;

use crate::config::{BindAddress, Overrides, Server};
use clap::{Args, Parser, Subcommand, ValueEnum};
use exit::EXIT_CODES;
pub use exit::ExitCode;
pub use shared::Shared;
use std::path::PathBuf;
use std::time::Duration;

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

#[derive(Debug, Args)]
pub struct Call {
    /// Whom to call: a number or user of your server, USER@HOST, or a sip: address.
    #[arg(value_name = "TARGET")]
    pub target: String,
    /// Hang up so long after the answer (seconds).
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<Duration>,
    /// Digits to send after the answer: 0-9, *, #, A-D; a comma waits a second, a semicolon for the command `continue`.
    #[arg(long, value_name = "DIGITS", value_parser = digits)]
    pub dtmf: Option<String>,
    /// Put the call on hold so long after the answer (seconds).
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub hold_after: Option<Duration>,
    /// Take it off hold again after so long (seconds).
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "2", requires = "hold_after")]
    pub hold_for: Duration,
    /// Ask the other side to call TARGET instead (blind transfer), and hang up when it has got through.
    #[arg(long, value_name = "TARGET", conflicts_with = "hold_after")]
    pub transfer_to: Option<String>,
    /// Transfer so long after the answer (seconds).
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "2", requires = "transfer_to")]
    pub transfer_after: Duration,
    /// Call nobody: tell what would be called, by the dial plan of the account.
    #[arg(long)]
    pub dry_run: bool,
    /// Record the call into a WAV file in this folder: left what the other side is told, right what it says.
    #[arg(long, value_name = "FOLDER")]
    pub record: Option<PathBuf>,
    /// Call without registering first.
    #[arg(long)]
    pub no_register: bool,
    /// Do not say who calls.
    #[arg(long)]
    pub private: bool,
    /// Take commands from the standard input, one a line: hold, transfer 1002, hangup, .. (`help` lists them).
    #[arg(long)]
    pub control: bool,
    #[command(flatten)]
    pub ladder: Ladder,
    /// Print JSON, one object a line.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Answer {
    /// Answer every call at once.
    #[arg(long, conflicts_with = "reject")]
    pub auto: bool,
    /// Refuse every call: busy (486) or decline (603).
    #[arg(long, value_name = "HOW")]
    pub reject: Option<Reject>,
    /// Hang up so long after the answer (seconds).
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<Duration>,
    /// End after the first call, with its exit code.
    #[arg(long)]
    pub once: bool,
    /// Record each call into a WAV file in this folder: left what the other side is told, right what it says.
    #[arg(long, value_name = "FOLDER")]
    pub record: Option<PathBuf>,
    /// Wait without registering, for calls that come directly.
    #[arg(long)]
    pub no_register: bool,
    /// Take commands from the standard input, one a line: hold, transfer 1002, hangup, .. (`help` lists them).
    #[arg(long)]
    pub control: bool,
    #[command(flatten)]
    pub ladder: Ladder,
    /// Print JSON, one object a line.
    #[arg(long)]
    pub json: bool,
}

/// The messages of the calls as a file.
#[derive(Clone, Debug, Default, Args)]
pub struct Ladder {
    /// Write the messages of the calls to FILE at the end: .pcapng for Wireshark, .pcap for sngrep and others, .txt to read.
    #[arg(long = "ladder", value_name = "FILE")]
    pub file: Option<String>,
    /// Passwords' digests and media keys too, which are masked else.
    #[arg(long, requires = "file")]
    pub with_secrets: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Reject {
    /// 486 Busy Here
    Busy,
    /// 603 Decline
    Decline,
}

#[derive(Debug, Args)]
pub struct Register {
    /// End as soon as the server has said yes or no.
    #[arg(long)]
    pub once: bool,
    /// End after so long (seconds).
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<Duration>,
    /// Take commands from the standard input, one a line: hold, transfer 1002, hangup, .. (`help` lists them).
    #[arg(long)]
    pub control: bool,
    /// Print JSON, one object a line.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Message {
    /// A number, name, user@host or SIP URI.
    pub target: String,
    /// The text; words are joined by blanks.
    #[arg(required = true)]
    pub text: Vec<String>,
    /// Do not register: the text goes to the address itself.
    #[arg(long)]
    pub no_register: bool,
    /// Print JSON, one object a line.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Devices {
    /// Only list, play nothing.
    #[arg(long)]
    pub no_tone: bool,
}

#[derive(Debug, Args)]
pub struct Doctor {
    /// Print what is in order with all details, too.
    #[arg(short, long)]
    pub verbose: bool,
    /// Ask this STUN server in place of the account's; one with two addresses tells what kind of NAT there is.
    #[arg(long, value_name = "HOST[:PORT]")]
    pub stun: Option<Server>,
    /// Find out for how long the NAT remembers a phone that says nothing, up to so long (seconds); it takes as long.
    #[arg(long, value_name = "SECONDS", value_parser = silence)]
    pub lifetime: Option<Duration>,
    /// Listen to the microphone for a second and tell its level.
    #[arg(long, conflicts_with = "no_sound")]
    pub listen: bool,
    /// Leave the sound devices alone.
    #[arg(long)]
    pub no_sound: bool,
    /// Run the account's password_command or ask the keyring, which may ask you something, to try the password.
    #[arg(long)]
    pub run_password_command: bool,
    /// Say what is known by then (seconds).
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "20")]
    pub timeout: Duration,
    /// Print JSON, one object a line.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Demo {
    /// Packets lost, in each direction (percent).
    #[arg(long, value_name = "PERCENT", value_parser = percent, default_value = "5")]
    pub loss: f64,
    /// Range of the random delay added to each packet, in each direction (milliseconds).
    #[arg(long, value_name = "MS", value_parser = milliseconds, default_value = "40")]
    pub jitter: Duration,
    /// Delay of every packet, in each direction (milliseconds).
    #[arg(long, value_name = "MS", value_parser = milliseconds, default_value = "60")]
    pub delay: Duration,
    /// Where the network's dice start: the same number loses the same packets.
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    pub seed: u64,
    /// Run without the screen and print a summary at the end; so it does anyway where there is no terminal.
    #[arg(long)]
    pub headless: bool,
    /// How long to run without the screen (seconds).
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "10")]
    pub seconds: Duration,
    /// Print JSON, one object a line.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Proxy {
    /// Address and port to serve.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:5060")]
    pub bind: BindAddress,
    /// The domain of the users [default: the address]; the address is always understood as well.
    #[arg(long, value_name = "NAME")]
    pub domain: Option<String>,
    /// A file with one `name:password` a line; keep it readable by yourself alone.
    #[arg(long, value_name = "FILE")]
    pub users: Option<PathBuf>,
    /// What passwords are proved with; some old phones give up when SHA-256 is offered at all.
    #[arg(long, value_name = "HASHES", default_value = "both")]
    pub digest: DigestChoice,
    /// Serve TLS on this port as well.
    #[arg(long, value_name = "PORT")]
    pub tls: Option<u16>,
    /// Serve WebSockets on this port, for browsers.
    #[arg(long, value_name = "PORT")]
    pub ws: Option<u16>,
    /// Serve secure WebSockets on this port, for browsers.
    #[arg(long, value_name = "PORT")]
    pub wss: Option<u16>,
    /// The certificate for TLS and secure WebSockets, with those it is built on (PEM) [default: one it makes, signs itself and
    /// keeps].
    #[arg(long, value_name = "FILE", requires = "key")]
    pub certificate: Option<PathBuf>,
    /// The private key of the certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "certificate")]
    pub key: Option<PathBuf>,
    /// Without --users: take WebSockets of web pages from this origin too, as `https://phone.example`; may be given again.
    #[arg(long, value_name = "ORIGIN")]
    pub origin: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DigestChoice {
    /// SHA-256, and MD5 for phones that do not know it.
    Both,
    Sha256,
    Md5,
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

/// A number between 0 and `most`.
fn number(text: &str, most: f64, unit: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| (0.0..=most).contains(number));
    number.ok_or_else(|| format!("a number from 0 to {most} {unit} expected"))
}

fn seconds(text: &str) -> Result<Duration, String> {
    number(text, 86_400.0, "seconds").map(Duration::from_secs_f64)
}

/// Longer than any NAT should remember (RFC 4787 §4.3), and no shorter than is worth waiting for.
fn silence(text: &str) -> Result<Duration, String> {
    seconds(text)
        .ok()
        .filter(|s| (4..=600).contains(&s.as_secs()))
        .ok_or_else(|| "4 to 600 seconds expected".to_owned())
}

fn milliseconds(text: &str) -> Result<Duration, String> {
    number(text, 5_000.0, "milliseconds").map(|ms| Duration::from_secs_f64(ms / 1000.0))
}

fn percent(text: &str) -> Result<f64, String> {
    number(text, 100.0, "percent")
}

fn digits(text: &str) -> Result<String, String> {
    let known = |c: char| c.is_ascii_digit() || "*#ABCDabcd,;".contains(c);
    if !text.is_empty() && text.chars().all(known) {
        Ok(text.to_ascii_uppercase())
    } else {
        Err("digits 0-9, *, #, A-D expected; a comma waits a second, a semicolon for `continue`".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Environment, load};
    use clap::CommandFactory as _;
    use std::path::Path;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::read(line.split_whitespace())
    }

    #[test]
    fn what_makes_no_sense_is_a_usage_error() {
        let rows = [
            "offhook dial",
            "offhook call",
            "offhook call a b",
            "offhook message a",
            "offhook call a --duration -1",
            "offhook call a --duration x",
            "offhook call a --duration inf",
            "offhook call a --dtmf 12x",
            "offhook call a --hold-for 3",
            "offhook call a --transfer-after 3",
            "offhook call a --transfer-to b --hold-after 1",
            "offhook answer --auto --reject busy",
            "offhook answer --reject rudely",
            "offhook register --codecs g729",
            "offhook register --bind localhost:1",
            "offhook register --account sip:nohost",
            "offhook register --transport sctp",
            "offhook register --rtp-ports 1-2",
            "offhook doctor --listen --no-sound",
            "offhook doctor --stun a:b",
            "offhook doctor --lifetime 3",
            "offhook doctor --codecs pcmu",
            "offhook demo --loss 101",
            "offhook demo --jitter -4",
            "offhook config",
            "offhook config mend",
            "offhook proxy --account work",
            "offhook --speaker null config check",
            "offhook init --transport tls",
        ];
        for line in rows {
            let error = parse(line).expect_err(line);
            assert_eq!(error.exit_code(), ExitCode::Configuration as i32, "{line}");
        }
    }

    #[test]
    fn the_line_of_the_audio_measurements() {
        let cli = parse(
            "offhook answer --auto --bind 127.0.0.1:6071 --account sip:phone@127.0.0.1:6070 --codecs pcmu --speaker wav:/x.wav \
             --microphone silence",
        )
        .expect("it parses");
        let Some(Command::Answer(answer)) = &cli.command else { panic!("{cli:?}") };
        assert!(answer.auto && !answer.once && !answer.json);
        let nowhere = Environment { home: Some("/nowhere".into()), ..Environment::default() };
        let config = load(None, &cli.overrides(), &nowhere).expect("no file needed").config;
        let [account] = config.accounts.as_slice() else { panic!("{:?}", config.accounts) };
        assert_eq!(account.registrar.as_ref().map(ToString::to_string).as_deref(), Some("127.0.0.1:6070"));
        assert_eq!((account.user.as_str(), account.codecs.len(), account.register), ("phone", 1, true));
        assert_eq!((config.network.sip_port, config.audio.speaker.as_str()), (6071, "wav:/x.wav"));
        assert_eq!(config.audio.microphone, "silence");
    }

    #[test]
    fn shared_options_count_before_and_behind_the_command() {
        let cli = parse("offhook --config a.toml --microphone null call 600 --microphone tone:440 --dtmf 1,2a")
            .expect("fine");
        let shared = &cli.shared;
        assert_eq!(
            (shared.config.as_deref(), shared.microphone.as_deref()),
            (Some(Path::new("a.toml")), Some("tone:440"))
        );
        let Some(Command::Call(call)) = cli.command else { panic!() };
        assert_eq!((call.target.as_str(), call.dtmf.as_deref(), call.hold_after), ("600", Some("1,2A"), None));
        let check = parse("offhook config check --config b.toml").expect("fine");
        assert_eq!(check.shared.config.as_deref(), Some(Path::new("b.toml")));
        let proxy = |line: &str| match parse(line).expect(line).command {
            Some(Command::Proxy(proxy)) => (proxy.bind.address.map(|ip| ip.to_string()), proxy.bind.port),
            other => panic!("{other:?}"),
        };
        assert_eq!(proxy("offhook proxy"), (Some("127.0.0.1".into()), Some(5060)));
        assert_eq!(proxy("offhook proxy --bind 0.0.0.0:5070"), (Some("0.0.0.0".into()), Some(5070)));
        assert_eq!(proxy("offhook --bind :5070 proxy"), (None, Some(5070)));
        let direct = parse("offhook answer --no-register").expect("fine").overrides();
        assert!(direct.no_register && direct.direct_calls);
        assert!(!parse("offhook call a --no-register").expect("fine").overrides().direct_calls);
        assert_eq!(parse("offhook").expect("fine").overrides(), Overrides::default());
        assert_eq!(Config::default().accounts, []);
    }

    #[test]
    fn the_demonstration_has_the_defaults_that_are_documented() {
        let Some(Command::Demo(demo)) = parse("offhook demo").expect("fine").command else { panic!() };
        let ms = Duration::from_millis;
        assert_eq!((demo.loss, demo.jitter, demo.delay, demo.seed, demo.seconds), (5.0, ms(40), ms(60), 1, ms(10_000)));
    }

    #[test]
    fn everything_is_explained() {
        fn explained(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments() {
                assert!(
                    argument.get_help().is_some() && !argument.is_hide_set(),
                    "{} {}",
                    command.get_name(),
                    argument.get_id()
                );
            }
            command.get_subcommands().for_each(explained);
        }
        let command = Cli::command();
        command.clone().debug_assert();
        explained(&command);
        let help = command.clone().render_long_help().to_string();
        for code in 0..=7 {
            assert!(help.contains(&format!("\n  {code}  ")), "exit code {code} is not in the help");
        }
    }
}
