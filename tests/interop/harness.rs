//! Runs the cases and prints what `cargo test` prints. Cases that only wait for their own peers run side by side; the
//! others one after the other, so that none disturbs another's timing.
//!
//! Foreign programs on a machine of which little is known do not keep time. So a case that fails gets a second attempt at
//! the end, alone and with fresh peers. Both are printed, who needed it is named once more at the end, and not many may.
use std::cell::Cell;
use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

/// Cases side by side: most of their time is waiting.
const LANES: usize = 4;

/// So many cases of a run get a second attempt; when one more has failed, it is no accident of the machine.
const UNSTEADY: usize = 3;

/// What a case needs beside the phone itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    Asterisk,
    Baresip,
    Browser,
    Coturn,
    Dnsmasq,
    Kamailio,
    Keyring,
    Linphone,
    OpenSsl,
    Rtpengine,
    Sipp,
    Tshark,
    PulseAudio,
    Namespaces,
    Nftables,
}

impl Need {
    /// Why it cannot be used.
    fn missing(self) -> Option<String> {
        let program = |name: &str| on_path(name).is_none().then(|| format!("`{name}` is not installed"));
        match self {
            Self::Asterisk => crate::peers_asterisk::missing(),
            Self::Baresip => program("baresip"),
            Self::Browser => crate::peers_browser::missing(),
            Self::Coturn => crate::peers_coturn::missing(),
            Self::Dnsmasq => crate::peers_dnsmasq::missing(),
            Self::Kamailio => crate::peers_kamailio::missing(),
            Self::Keyring => crate::keyring::missing(),
            Self::Linphone => program("linphonec"),
            Self::OpenSsl => program("openssl"),
            Self::Rtpengine => crate::peers_rtpengine::missing(),
            Self::Sipp => program("sipp"),
            Self::Tshark => program("tshark").or_else(|| program("dumpcap")),
            Self::Namespaces => crate::namespaces::missing(),
            Self::Nftables => program("nft").or_else(|| program("conntrack")).or_else(crate::namespaces::missing),
            Self::PulseAudio => program("pulseaudio").or_else(|| program("pactl")).or_else(|| program("parecord")),
        }
    }
}

pub struct Case {
    pub name: &'static str,
    pub needs: &'static [Need],
    pub run: fn(&Case),
}

impl Case {
    /// A folder of this case's own, for logs and recordings; shown when it fails.
    pub fn folder(&self) -> PathBuf {
        root().join(self.name.replace("::", "-"))
    }
}

/// Where all cases write: kept after the run.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("interop")
}

pub fn on_path(program: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|folder| folder.join(program)).find(|path| path.is_file())
}

enum Outcome {
    Passed,
    Failed,
    Ignored(String),
}

struct Options {
    filters: Vec<String>,
    skips: Vec<String>,
    exact: bool,
    list: bool,
}

impl Options {
    /// The arguments of `cargo test -- …` that make sense here; others are accepted and do nothing.
    fn read() -> Self {
        let mut options = Self { filters: Vec::new(), skips: Vec::new(), exact: false, list: false };
        let mut arguments = env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--exact" => options.exact = true,
                "--list" => options.list = true,
                "--skip" => options.skips.extend(arguments.next()),
                "--test-threads" | "--format" | "--color" | "-Z" => drop(arguments.next()),
                flag if flag.starts_with('-') => (),
                filter => options.filters.push(filter.to_owned()),
            }
        }
        options
    }

    fn selects(&self, name: &str) -> bool {
        let fits = |pattern: &String| if self.exact { name == pattern } else { name.contains(pattern.as_str()) };
        (self.filters.is_empty() || self.filters.iter().any(fits)) && !self.skips.iter().any(fits)
    }
}

thread_local! {
    /// Which case this thread runs.
    static RUNNING: Cell<&'static str> = const { Cell::new("") };
}

/// - `together`: groups of cases that run side by side: their peers and ports are their own, or are shared and stay up.
/// - `alone`: groups of cases that run one after the other.
/// - `extra`: runs only when it is named in full.
pub fn run(together: &[&'static [Case]], alone: &[&'static [Case]], extra: &'static Case) -> ExitCode {
    let options = Options::read();
    let named = options.filters.iter().any(|name| name == extra.name);
    let (together, alone) = (flat(together), flat(alone).into_iter().chain(named.then_some(extra)).collect::<Vec<_>>());
    let number = together.len() + alone.len();
    let selected = |cases: Vec<&'static Case>| cases.into_iter().filter(|case| options.selects(case.name)).collect();
    let (together, alone): (Vec<_>, Vec<_>) = (selected(together), selected(alone));
    if options.list {
        together.iter().chain(&alone).for_each(|case| say(&format!("{}: test", case.name)));
        return ExitCode::SUCCESS;
    }
    let required = env::var("OFFHOOK_INTEROP").is_ok_and(|v| v == "required");
    let start = Instant::now();
    say(&format!("\nrunning {} tests", together.len() + alone.len()));
    fs::remove_dir_all(root()).ok();
    std::panic::set_hook(Box::new(|info| print(&format!("\n{}: {info}\n", RUNNING.get()))));
    let mut outcomes = side_by_side(&together, required);
    // Phones that were killed among them have left calls there, which are nobody's of those that follow.
    crate::peers_asterisk::stop_shared();
    outcomes.extend(alone.iter().map(|case| (*case, by_itself(case, required))));
    let (mut passed, mut failed, mut ignored, mut again) = (0, Vec::new(), Vec::new(), Vec::new());
    for (case, outcome) in outcomes {
        match outcome {
            Outcome::Passed => passed += 1,
            Outcome::Failed => again.push(case),
            Outcome::Ignored(reason) => ignored.push((case.name, reason)),
        }
    }
    let (few, mut unsteady) = (again.len() <= UNSTEADY, Vec::new());
    for case in again {
        if few && matches!(second_attempt(case, required), Outcome::Passed) {
            passed += 1;
            unsteady.push(case.name);
        } else {
            failed.push(case.name);
        }
    }
    crate::peers_asterisk::stop_shared();
    report_ignored(&ignored);
    if !unsteady.is_empty() {
        say("\nonly the second attempt passed:");
        unsteady.iter().for_each(|name| say(&format!("    {name}")));
    }
    report("interop-unsteady.txt", unsteady.iter().map(|name| format!("    {name}\n")).collect());
    if !failed.is_empty() {
        say("\nfailures:");
        failed.iter().for_each(|name| say(&format!("    {name}")));
    }
    say(&format!(
        "\ntest result: {}. {passed} passed; {} failed; {} ignored; 0 measured; {} filtered out; finished in {:.2}s\n",
        if failed.is_empty() { "ok" } else { "FAILED" },
        failed.len(),
        ignored.len(),
        number - together.len() - alone.len(),
        start.elapsed().as_secs_f64()
    ));
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(101) }
}

/// Runs one when no other does.
fn by_itself(case: &'static Case, required: bool) -> Outcome {
    // Before the case: if it hangs, its name is on the screen.
    print(&format!("test {} ... ", case.name));
    let (outcome, words) = attempt(case, required, true);
    print(&words);
    if matches!(outcome, Outcome::Failed) {
        // What it has left behind at the servers is not the next one's fault.
        crate::peers_asterisk::stop_shared();
    }
    outcome
}

/// What the first has written is kept beside it.
fn second_attempt(case: &'static Case, required: bool) -> Outcome {
    let folder = case.folder();
    fs::rename(&folder, folder.with_extension("first")).ok();
    print("a second attempt: ");
    by_itself(case, required)
}

fn flat(groups: &[&'static [Case]]) -> Vec<&'static Case> {
    groups.iter().copied().flatten().collect()
}

fn side_by_side(cases: &[&'static Case], required: bool) -> Vec<(&'static Case, Outcome)> {
    let (queue, outcomes) = (Mutex::new(cases.iter()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..LANES.min(cases.len()) {
            scope.spawn(|| {
                while let Some(&case) = { queue.lock().expect("no panic inside").next() } {
                    let (outcome, words) = attempt(case, required, false);
                    print(&format!("test {} ... {words}", case.name));
                    outcomes.lock().expect("no panic inside").push((case, outcome));
                }
            });
        }
    });
    outcomes.into_inner().expect("no panic inside")
}

/// Runs a case; what became of it, and the words for it. One that runs alone leaves no binding and no call behind.
fn attempt(case: &'static Case, required: bool, alone: bool) -> (Outcome, String) {
    if let Some(reason) = case.needs.iter().find_map(|need| need.missing()) {
        if required {
            return (Outcome::Failed, format!("FAILED ({reason})\n"));
        }
        let words = format!("ignored, {reason}\n");
        return (Outcome::Ignored(reason), words);
    }
    fs::create_dir_all(case.folder()).expect("a folder for the case");
    RUNNING.set(case.name);
    let start = Instant::now();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        (case.run)(case);
        if alone {
            crate::peers_asterisk::expect_idle();
        }
    }));
    let took = seconds(start.elapsed());
    match outcome {
        Ok(()) => (Outcome::Passed, format!("ok ({took})\n{}", measured(&case.folder()))),
        Err(_) => (Outcome::Failed, format!("FAILED ({took})\n{}", logs(&case.folder()))),
    }
}

fn report_ignored(ignored: &[(&str, String)]) {
    let text: String = ignored.iter().map(|(name, reason)| format!("    {name}: {reason}\n")).collect();
    if !ignored.is_empty() {
        say(&format!("\ndid not run (`scripts/setup test` installs what is missing):\n{}", text.trim_end()));
    }
    report("interop-not-run.txt", text);
}

/// `make test` repeats it as its last words.
fn report(file: &str, text: String) {
    fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join(file), text).ok();
}

/// The figures the case has written down.
fn measured(folder: &Path) -> String {
    let text = fs::read_to_string(folder.join("measured.log")).unwrap_or_default();
    text.lines().map(|line| format!("    {line}\n")).collect()
}

/// The end of every text file the case left behind.
fn logs(folder: &Path) -> String {
    let Ok(entries) = fs::read_dir(folder) else { return String::new() };
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let mut all = String::new();
    for path in files.iter().filter(|p| p.extension().is_some_and(|e| e == "log" || e == "jsonl")) {
        let text = fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        all += &format!("--- {} (last of {} lines)\n", path.display(), lines.len());
        for line in lines.iter().skip(lines.len().saturating_sub(40)) {
            all += line;
            all.push('\n');
        }
    }
    all
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).expect("standard output");
}

fn say(text: &str) {
    print(&format!("{text}\n"));
}
