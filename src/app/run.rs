//! Carries out what the command line asks for.
use crate::app::headless::{self, Job, Kind};
use crate::app::instance::Instance;
use crate::app::live::{Live, Source};
use crate::app::phone::{Hooks, Parts, Phone, PhoneError};
use crate::app::remembered::Remembered;
use crate::app::report;
use crate::app::sound::{self, Sound};
use crate::app::{config_check, contacts, demo, devices, doctor, init, manual, password, screen, serve, wire};
use crate::base::time::WallAnchor;
use crate::cli::{self, Cli, Command, ConfigCommand, ExitCode, Reject};
use crate::config::{Account, Config, Environment, Host, Loaded};
use crate::runtime::clock;
use crate::runtime::journal::Journal;
use crate::ua::command::{Command as UaCommand, Rejection};
use crate::ua::event::Event;
use crate::ua::{UserAgent, target};
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::time::{Instant, SystemTime};

/// A sentence for the user, and the exit code that goes with it.
#[derive(Debug)]
pub struct Failure {
    pub code: ExitCode,
    pub words: String,
}

impl Failure {
    pub fn new(code: ExitCode, error: impl std::fmt::Display) -> Self {
        Self { code, words: error.to_string() }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(ExitCode::Failed, error)
    }
}

impl From<PhoneError> for Failure {
    fn from(error: PhoneError) -> Self {
        let code = if matches!(error, PhoneError::Net(_)) { ExitCode::Network } else { ExitCode::Failed };
        Self::new(code, error)
    }
}

/// Runs the command; what went wrong is printed by then.
pub fn run(cli: &Cli) -> ExitCode {
    match attempt(cli) {
        Ok(code) => code,
        Err(failure) => {
            complain(&failure.words);
            failure.code
        }
    }
}

fn attempt(cli: &Cli) -> Result<ExitCode, Failure> {
    let environment = Environment::from_process();
    let shared = &cli.shared;
    match &cli.command {
        Some(Command::Init) => {
            let (path, _) = environment
                .config_file(shared.config.as_deref())
                .map_err(|error| Failure::new(ExitCode::Configuration, error))?;
            init::run(&path, &mut io::stdin().lock(), &mut io::stdout().lock())
                .map(|_| ExitCode::Ended)
                .map_err(|error| Failure::new(ExitCode::Configuration, error))
        }
        Some(Command::Config(ConfigCommand::Check)) => {
            Ok(config_check::run(shared.config.as_deref(), &environment, &mut io::stdout().lock())?)
        }
        Some(Command::Call(call)) if call.dry_run => tell_plan(cli, &environment, call),
        Some(Command::Call(call)) => {
            let job = Job {
                kind: Kind::Call,
                target: Some(call.target.clone()),
                private: call.private,
                duration: call.duration,
                digits: call.dtmf.clone(),
                hold: call.hold_after.map(|after| (after, call.hold_for)),
                transfer: call.transfer_to.clone().map(|target| (call.transfer_after, target)),
                ladder: super::ladder::wanted(&call.ladder)?,
                control: call.control,
                json: call.json,
                ..Job::default()
            };
            work(cli, &environment, job, false)
        }
        Some(Command::Answer(answer)) => {
            let job = Job {
                kind: Kind::Answer,
                reject: answer.reject.map(|how| match how {
                    Reject::Busy => Rejection::Busy,
                    Reject::Decline => Rejection::Decline,
                }),
                duration: answer.duration,
                once: answer.once,
                ladder: super::ladder::wanted(&answer.ladder)?,
                control: answer.control,
                json: answer.json,
                ..Job::default()
            };
            work(cli, &environment, job, answer.auto)
        }
        Some(Command::Register(register)) => {
            let job = Job {
                kind: Kind::Register,
                duration: register.duration,
                once: register.once,
                control: register.control,
                json: register.json,
                ..Job::default()
            };
            work(cli, &environment, job, false)
        }
        Some(Command::Message(message)) => {
            let job = Job {
                kind: Kind::Message,
                target: Some(message.target.clone()),
                text: Some(message.text.join(" ")),
                json: message.json,
                ..Job::default()
            };
            work(cli, &environment, job, false)
        }
        Some(Command::Devices(command)) => {
            let config = configuration(cli, &environment)?.config;
            devices::run(&config, !command.no_tone, &mut io::stdout().lock())
        }
        Some(Command::Doctor(options)) => doctor::run(cli, options, &environment, &mut io::stdout().lock()),
        Some(Command::Contacts(command)) => contacts::run(cli, command, &environment, &mut io::stdout().lock()),
        Some(Command::Password { delete }) => {
            password::run(cli, *delete, &environment, &mut io::stdin().lock(), &mut io::stdout().lock())
        }
        Some(Command::Demo(demo)) => demo::run(cli, demo, &environment),
        Some(Command::Completions { shell }) => {
            clap_complete::generate(*shell, &mut Cli::described(), "offhook", &mut io::stdout().lock());
            Ok(ExitCode::Ended)
        }
        Some(Command::Man { folder }) => {
            manual::write(Cli::described(), folder)
                .map_err(|error| Failure::new(ExitCode::Failed, format!("{}: {error}", folder.display())))?;
            Ok(ExitCode::Ended)
        }
        Some(Command::Proxy(options)) => serve::run(options, &environment),
        None => screen::run(cli, &environment),
    }
}

/// Reads the configuration with the command line laid over it.
pub fn configuration(cli: &Cli, environment: &Environment) -> Result<Loaded, Failure> {
    let loaded = config_check::load(cli.shared.config.as_deref(), &cli.overrides(), environment)
        .map_err(|error| Failure::new(ExitCode::Configuration, error))?;
    loaded.warnings.iter().for_each(|warning| complain(&format!("warning: {warning}")));
    Ok(loaded)
}

/// Where the configuration of this run comes from.
pub fn source(cli: &Cli, environment: &Environment, auto_answer: bool) -> Source {
    let (path, overrides) = (cli.shared.config.clone(), cli.overrides());
    Source { path, overrides, environment: environment.clone(), auto_answer }
}

/// A phone without an account still takes and places direct calls.
pub fn with_some_account(mut config: Config) -> Config {
    if config.accounts.is_empty() {
        let user = std::env::var("USER").ok().filter(|u| u.bytes().all(|b| b.is_ascii_alphanumeric()) && !u.is_empty());
        let address = config.network.local_address.unwrap_or(Ipv4Addr::LOCALHOST.into());
        config.accounts.push(Account::direct(user.as_deref().unwrap_or("phone"), Host::Ip(address)));
    }
    config
}

pub fn journal(config: &Config, environment: &Environment) -> Journal {
    let path = environment.log_file(&config.files.log);
    Journal::open(path.as_deref()).unwrap_or_else(|error| {
        // A log that cannot be written is no reason not to telephone.
        complain(&format!("no log file: {error}"));
        Journal::without_file()
    })
}

/// What cannot be done without an account is refused, with the way to one.
fn without_account(job: &Job) -> Result<(), Failure> {
    const WAY: &str = "`offhook init` makes an account, --account sip:USER@HOST names one";
    let refuse = |words: String| Err(Failure::new(ExitCode::Configuration, words));
    match (job.kind, &job.target) {
        (Kind::Register, _) => refuse(format!("there is no account to register: {WAY}")),
        (Kind::Call | Kind::Message, Some(target)) => {
            target::parse(target, None).map(|_| ()).or_else(|error| refuse(format!("{error}; {WAY}")))
        }
        (Kind::Call | Kind::Answer | Kind::Message, _) => Ok(()),
    }
}

fn work(cli: &Cli, environment: &Environment, mut job: Job, auto_answer: bool) -> Result<ExitCode, Failure> {
    let loaded = configuration(cli, environment)?;
    let configured = loaded.config.clone();
    if configured.accounts.is_empty() {
        without_account(&job)?;
    }
    let config = with_some_account(configured);
    // Registering and writing need no sound.
    let chosen = |device: &str| !matches!(job.kind, Kind::Register | Kind::Message) && device != "default";
    (job.microphone_chosen, job.speaker_chosen) = (chosen(&config.audio.microphone), chosen(&config.audio.speaker));
    job.registrations = config.accounts.iter().filter(|a| a.register).count();
    let interrupted = headless::catch_signals()?;
    let journal = journal(&config, environment);
    let mut rng = clock::seeded_by_system().map_err(|error| Failure::new(ExitCode::Failed, error))?;
    let mut settings =
        wire::settings(&config, auto_answer, &mut rng).map_err(|error| Failure::new(ExitCode::Configuration, error))?;
    let instance = Instance::of(environment, &mut rng, &journal);
    settings.instance.clone_from(&instance.urn);
    let keeper = contacts::Keeper::open(&loaded, environment, &journal);
    settings.contacts.clone_from(&keeper.contacts);
    let (switched, writer) = Remembered::apply(&config, environment, &journal, &mut settings).recorder();
    let contacts = keeper.recorder();
    let hear = Box::new(move |event: &Event| {
        contacts(event);
        switched(event);
    });
    let Sound { handle, events } = sound::start(&config, rng.fork(), &journal)?;
    let (hooks, _) = Live::hooks(source(cli, environment, auto_answer), config.clone(), handle.sender());
    let phone = Phone::start(Parts {
        settings,
        net: wire::net(&config),
        media: handle.sender(),
        media_events: events,
        journal,
        hooks: Hooks { hear, ..hooks },
    })?;
    if let Some(notice) = &phone.notice {
        complain(notice);
    }
    phone.command(UaCommand::Gain { capture: config.audio.microphone_gain, playback: config.audio.speaker_gain });
    let code = headless::run(phone, job, &interrupted)?;
    handle.shutdown();
    keeper.close();
    drop(writer);
    Ok(code)
}

/// One line on standard error.
pub fn complain(words: &str) {
    // Where nobody reads, nobody is told.
    let _ = writeln!(io::stderr().lock(), "offhook: {words}");
}

/// Tells what a call would go to; nothing is sent.
fn tell_plan(cli: &Cli, environment: &Environment, call: &cli::Call) -> Result<ExitCode, Failure> {
    let config = with_some_account(configuration(cli, environment)?.config);
    let mut rng = clock::seeded_by_system().map_err(|error| Failure::new(ExitCode::Failed, error))?;
    let settings =
        wire::settings(&config, false, &mut rng).map_err(|error| Failure::new(ExitCode::Configuration, error))?;
    let (now, wall) = (Instant::now(), SystemTime::now());
    let mut agent = UserAgent::new(settings, WallAnchor::new(now, wall), rng);
    agent.handle_command(now, UaCommand::Plan { account: None, target: call.target.clone() });
    while let Some(event) = agent.poll_event() {
        if let Event::Plan { typed, answer, is_allowed } = event {
            let words = format!("{typed}: {answer}");
            let line = if call.json { report::fact("plan", &words).to_string() } else { words };
            writeln!(io::stdout(), "{line}")?;
            return Ok(if is_allowed { ExitCode::Ended } else { ExitCode::Configuration });
        }
    }
    Err(Failure::new(ExitCode::Configuration, "there is no account to call from; `offhook init` makes one"))
}
