//! The phone under test: the real program, headless, in an environment of its own.
use crate::common::sound::Sound;
use crate::harness::Case;
use crate::namespaces;
use crate::process::{Process, wait_for};
use crate::tools;
use offhook::base::net::Transport;
use serde_json::Value;
use std::fs::{self, File};
use std::net::{Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What must happen at all happens within this time.
const SOON: Duration = Duration::from_secs(15);

/// The time of day as the phone prints it [s].
pub fn unix_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

/// The codes it may end with.
pub mod exit {
    use offhook::cli::ExitCode;

    pub const ENDED: i32 = ExitCode::Ended as i32;
    pub const CONFIGURATION: i32 = ExitCode::Configuration as i32;
    pub const REGISTRATION_REFUSED: i32 = ExitCode::RegistrationRefused as i32;
    pub const CALL_REFUSED: i32 = ExitCode::CallRefused as i32;
    pub const NETWORK: i32 = ExitCode::Network as i32;
}

/// How to start it.
pub struct Setup {
    command: Command,
    folder: PathBuf,
    name: String,
    subcommand: &'static str,
    /// Whether the speaker is chosen; else it is `null`.
    recorded: bool,
    controlled: bool,
    pub sip: SocketAddr,
}

pub struct Phone {
    pub process: Process,
    json: PathBuf,
    pub sip: SocketAddr,
    /// Where `--speaker wav:` writes, if asked for.
    pub speaker: PathBuf,
}

/// An account for a configuration file: `user` with the password pw<user>.
///
/// - `authority`: who signed the server's certificate, where the transport has one.
pub fn account(user: &str, domain: &str, registrar: SocketAddr, transport: Transport, authority: &Path) -> String {
    let name = transport.name();
    let trust = if transport.is_secure() { format!("tls_ca = {authority:?}\n") } else { String::new() };
    format!(
        "[[account]]\nname = \"{user}\"\nuser = \"{user}\"\ndomain = \"{domain}\"\nregistrar = \"{registrar}\"\n\
         password = \"pw{user}\"\ntransport = \"{name}\"\n{trust}"
    )
}

impl Setup {
    /// - `subcommand`: `call`, `answer` or `register`.
    /// - `name`: of this phone in the case's folder.
    pub fn new(case: &Case, name: &str, subcommand: &'static str) -> Self {
        let sip = SocketAddr::from(([127, 0, 0, 1], tools::free_port()));
        Self::with(case, name, subcommand, Command::new(env!("CARGO_BIN_EXE_offhook")), sip)
    }

    /// As `new`, at the IPv6 address of this host.
    pub fn over_ipv6(case: &Case, name: &str, subcommand: &'static str) -> Self {
        let sip = SocketAddr::from((Ipv6Addr::LOCALHOST, tools::free_port()));
        Self::with(case, name, subcommand, Command::new(env!("CARGO_BIN_EXE_offhook")), sip)
    }

    /// In a network namespace, at whatever addresses it has.
    pub fn within(namespace: &str, case: &Case, name: &str, subcommand: &'static str) -> Self {
        let sip = SocketAddr::from(([0, 0, 0, 0], tools::free_port()));
        Self::with(case, name, subcommand, namespaces::inside(namespace, env!("CARGO_BIN_EXE_offhook")), sip)
    }

    fn with(case: &Case, name: &str, subcommand: &'static str, mut command: Command, sip: SocketAddr) -> Self {
        let folder = case.folder();
        let home = folder.join(format!("{name}-home"));
        fs::create_dir_all(&home).expect("a folder");
        command.arg(subcommand).args(["--bind", &sip.to_string()]);
        command.env("HOME", &home);
        for variable in ["XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"] {
            command.env(variable, home.join(variable.to_ascii_lowercase()));
        }
        Self { command, folder, name: name.to_owned(), subcommand, recorded: false, controlled: false, sip }
    }

    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    pub fn environment(mut self, variable: &str, value: &str) -> Self {
        self.command.env(variable, value);
        self
    }

    /// `sip:USER@REGISTRAR` with its password.
    pub fn account(self, user: &str, password: &str, registrar: SocketAddr) -> Self {
        let address = format!("sip:{user}@{registrar}");
        self.arguments(&["--account", &address]).environment("OFFHOOK_PASSWORD", password)
    }

    /// The accounts and settings of this configuration file.
    pub fn config(self, text: &str) -> Self {
        let path = self.folder.join(format!("{}.toml", self.name));
        fs::write(&path, text).expect("writes");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("own file");
        self.arguments(&["--config", &path.display().to_string()])
    }

    /// Speaks what `sound` says, then nothing.
    pub fn microphone(self, sound: &Sound) -> Self {
        let path = self.folder.join(format!("{}-microphone.wav", self.name));
        sound.write(&path);
        self.arguments(&["--microphone", &format!("wav:{}", path.display())])
    }

    /// Says nothing; what it hears goes nowhere unless recorded.
    pub fn silent(self) -> Self {
        self.arguments(&["--microphone", "silence"])
    }

    /// With the sound devices its environment offers.
    pub fn on_devices(mut self) -> Self {
        self.recorded = true;
        self
    }

    /// Records what it plays.
    pub fn record(mut self) -> Self {
        let speaker = format!("wav:{}", self.speaker().display());
        self.recorded = true;
        self.arguments(&["--speaker", &speaker])
    }

    fn speaker(&self) -> PathBuf {
        self.folder.join(format!("{}-speaker.wav", self.name))
    }

    /// It obeys [`Phone::command`].
    pub fn controlled(mut self) -> Self {
        self.controlled = true;
        self.arguments(&["--control"])
    }

    pub fn start(mut self) -> Phone {
        let json = self.folder.join(format!("{}.jsonl", self.name));
        let log = self.folder.join(format!("{}.log", self.name));
        let speaker = self.speaker();
        self.command.arg("--json");
        if !self.recorded && self.subcommand != "register" {
            self.command.args(["--speaker", "null"]);
        }
        self.command.stdout(Stdio::from(File::create(&json).expect("a file")));
        self.command.stderr(Stdio::from(File::create(&log).expect("a file")));
        let input = if self.controlled { Stdio::piped() } else { Stdio::null() };
        Phone { process: Process::launch(&self.name, self.command.stdin(input), &log), json, sip: self.sip, speaker }
    }
}

impl Phone {
    /// Every complete line it has printed.
    pub fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.json).unwrap_or_default();
        let complete = text.rfind('\n').map_or("", |end| &text[..end]);
        let read = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("not JSON ({e}): {line}"));
        complete.lines().map(read).collect()
    }

    /// Waits for a line that fits.
    pub fn expect(&mut self, what: &str, limit: Duration, fits: impl Fn(&Value) -> bool) -> Value {
        wait_for(what, limit, || {
            let ended = !self.process.is_running();
            let found = self.lines().into_iter().find(|line| fits(line));
            assert!(found.is_some() || !ended, "the phone ended before {what}");
            found
        })
    }

    /// The same for a line printed after `since` (see [`unix_now`]).
    pub fn expect_after(&mut self, since: f64, what: &str, limit: Duration, fits: impl Fn(&Value) -> bool) -> Value {
        self.expect(what, limit, |line| line["time"].as_f64().is_some_and(|time| time > since) && fits(line))
    }

    /// Waits for its end; the exit code.
    pub fn wait(&mut self, limit: Duration) -> i32 {
        self.process.wait(limit).code().expect("it is not ended by a signal")
    }

    pub fn expect_registered(&mut self) {
        self.expect("the registration", SOON, |line| line["type"] == "registration" && line["state"] == "registered");
    }

    pub fn expect_established(&mut self) {
        self.expect("the call", SOON, |line| line["state"] == "established");
    }

    /// The last word on a call, which must come.
    pub fn expect_summary(&mut self) -> Value {
        self.expect("the summary", SOON, |line| line["type"] == "summary")
    }

    /// The last word on the call, after the phone has ended.
    pub fn summary(&self) -> Value {
        self.lines().into_iter().rfind(|line| line["type"] == "summary").expect("a summary")
    }

    /// What it has played so far.
    pub fn heard(&self) -> Sound {
        Sound::read(&self.speaker)
    }

    /// When the recording began [s since 1970].
    pub fn recording_began(&self) -> f64 {
        let path = self.speaker.with_extension("wav.t0");
        let start: f64 = fs::read_to_string(path).expect("the start").trim().parse().expect("seconds");
        start + tools::unix_less_monotonic()
    }

    /// Where in the recording the call came up [s]: the microphone began to speak then.
    pub fn established_at(&self) -> f64 {
        let line = self.lines().into_iter().find(|line| line["type"] == "established").expect("an established call");
        let up = line["time"].as_f64().expect("a time");
        up - self.recording_began()
    }

    /// One line of `--control`.
    pub fn command(&mut self, line: &str) {
        self.process.type_line(line);
    }

    /// Hangs up as a user would with Ctrl-C, and waits for the end.
    pub fn interrupt(&mut self) -> i32 {
        self.process.signal(libc::SIGINT);
        self.wait(Duration::from_secs(10))
    }
}
