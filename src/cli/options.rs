//! The options of each command.
use super::values::{digits, milliseconds, percent, seconds, silence};
use crate::config::{BindAddress, Server};
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

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
