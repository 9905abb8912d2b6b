//! `offhook doctor`: why calls do not get through or have no sound, in plain words, and what to do.
//!
//! ```text
//!   probe (sockets, devices, disk) --> facts --> judge, one pure function a topic --> findings --> page, JSON
//! ```
mod certificate;
mod configuration;
mod examination;
mod facts;
mod files;
mod finding;
mod machine;
mod names;
mod nat;
mod page;
mod probe;
mod registration;
mod relay;
mod rewriting;
mod server;
mod sound;

use crate::app::config_check;
use crate::app::run::Failure;
use crate::cli::{Cli, Doctor, ExitCode};
use crate::config::{Config, ConfigError, Environment, Server};
use crate::nat::candidate;
use crate::runtime::clock;
use examination::{News, Patient};
use facts::Facts;
use finding::{Finding, Severity, Topic};
use page::Look;
use std::io::{self, IsTerminal as _, Write};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc;

/// RFC 8489 §17.2.
const STUN_PORT: u16 = 3478;

/// Examines one account and this computer, prints what was found, and ends with the code of the first problem.
///
/// # Errors
/// When nothing can be printed, or the system gives neither threads nor random numbers.
pub fn run(cli: &Cli, options: &Doctor, environment: &Environment, out: &mut impl Write) -> Result<ExitCode, Failure> {
    let began = Instant::now();
    let loaded = config_check::load(cli.shared.config.as_deref(), &cli.overrides(), environment);
    let (config, file, warnings, broken) = match loaded {
        Ok(loaded) => (loaded.config, loaded.file, loaded.warnings, None),
        Err(error) => (Config::default(), None, Vec::new(), Some(misread(&error))),
    };
    let mut accounts = config.accounts.iter();
    let account = accounts.next().cloned();
    let others = accounts.len();
    let patient = Patient {
        account,
        environment: environment.clone(),
        stun: options.stun.as_ref().map(stun_server),
        with_sound: !options.no_sound,
        listen: options.listen,
        lifetime: options.lifetime,
        run_password_command: options.run_password_command,
        config,
    };
    let mut facts = Facts {
        pending: patient.topics(),
        user: patient.account.as_ref().map_or_else(String::new, |account| account.user.clone()),
        has_relay: patient.account.as_ref().is_some_and(|account| account.handling.reach.turn.is_some()),
        ..Facts::default()
    };
    facts.configuration = match broken {
        Some(finding) => vec![finding],
        None => patient.configuration(file.map(|file| file.display().to_string()), &warnings, others),
    };
    let limit = options.timeout + options.lifetime.unwrap_or_default();
    measure(patient, &mut facts, limit, Progress::new(options.json))?;
    let findings = facts.judge(SystemTime::now());
    if options.json {
        page::json(&findings, began.elapsed()).iter().try_for_each(|line| writeln!(out, "{line}"))?;
    } else {
        let coloured = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let look = Look { coloured, verbose: options.verbose };
        page::print(&findings, began.elapsed(), look, out)?;
    }
    out.flush()?;
    Ok(exit_code(&findings))
}

/// Runs the examination for at most so long; what it finds out goes into `facts`.
fn measure(patient: Patient, facts: &mut Facts, limit: Duration, mut progress: Progress) -> Result<(), Failure> {
    let rng = clock::seeded_by_system().map_err(|error| Failure::new(ExitCode::Failed, error))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let (sender, mut news): (_, mpsc::UnboundedReceiver<News>) = mpsc::unbounded_channel();
        let examination = tokio::spawn(patient.examine(sender, rng));
        let deadline = tokio::time::sleep(limit);
        tokio::pin!(deadline);
        loop {
            progress.show(&facts.pending);
            tokio::select! {
                found = news.recv() => match found {
                    Some(found) => found(facts),
                    None => break,
                },
                () = &mut deadline => break,
            }
        }
        examination.abort();
    });
    progress.clear();
    // A sound system that hangs is not waited for.
    runtime.shutdown_background();
    Ok(())
}

fn misread(error: &ConfigError) -> Finding {
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned);
    let first = lines.next().unwrap_or_default();
    Finding::problem(Topic::Configuration, first)
        .means("The phone does not start with it. The account was not looked at.")
        .advice("`offhook config check` lists every mistake with its line.")
        .details(lines)
}

fn stun_server(server: &Server) -> candidate::Server {
    let host = server.host.to_string();
    let host = host.trim_matches(['[', ']']).to_owned();
    candidate::Server { host, port: server.port.unwrap_or(STUN_PORT), by_records: server.port.is_none() }
}

/// That of the first problem.
fn exit_code(findings: &[Finding]) -> ExitCode {
    let first = findings.iter().find(|finding| finding.severity == Severity::Problem);
    first.map_or(ExitCode::Ended, |finding| finding.topic.exit_code())
}

/// What is being measured, on one line of the terminal that goes away.
struct Progress {
    shown: bool,
}

impl Progress {
    fn new(json: bool) -> Self {
        Self { shown: !json && io::stderr().is_terminal() }
    }

    fn show(&mut self, pending: &[Topic]) {
        if self.shown {
            let names: Vec<&str> = pending.iter().map(|topic| topic.name()).collect();
            // A terminal that cannot be written to has nobody before it.
            let _ = write!(io::stderr().lock(), "\r\x1b[Kchecking: {}", names.join(", "));
            let _ = io::stderr().flush();
        }
    }

    fn clear(&mut self) {
        if self.shown {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_problem_says_how_it_ends() {
        let rows: [(&[Finding], ExitCode); 4] = [
            (&[], ExitCode::Ended),
            (&[Finding::note(Topic::Sound, ""), Finding::unknown(Topic::Nat, "")], ExitCode::Ended),
            (
                &[Finding::problem(Topic::Registration, ""), Finding::problem(Topic::Sound, "")],
                ExitCode::RegistrationRefused,
            ),
            (&[Finding::ok(Topic::Names, ""), Finding::problem(Topic::Sound, "")], ExitCode::Device),
        ];
        for (findings, code) in rows {
            assert_eq!(exit_code(findings), code, "{findings:?}");
        }
    }

    #[test]
    fn a_stun_server_is_named_as_any_other() {
        let server = |text: &str| stun_server(&text.parse::<Server>().expect("a server"));
        assert_eq!(
            server("stun.example"),
            candidate::Server { host: "stun.example".into(), port: 3478, by_records: true }
        );
        assert_eq!(
            server("[2001:db8::1]:99"),
            candidate::Server { host: "2001:db8::1".into(), port: 99, by_records: false }
        );
    }
}
