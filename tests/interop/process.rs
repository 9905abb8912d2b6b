//! A child process whose output goes to a file, and which never outlives the test run.
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};
use std::{io, mem, thread};

pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with both outputs appended to `log`, unless the command says otherwise for one of them.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).expect("a log file");
        command.stdout(file.try_clone().expect("a second handle")).stderr(file);
        Self::spawn(name, command, log)
    }

    /// Starts `command` with its outputs as they are.
    pub fn spawn(name: &str, command: &mut Command, log: &Path) -> Self {
        Self::launch(name, command.stdin(Stdio::null()), log)
    }

    /// Starts a `command` that reads lines, see [`Process::type_line`]; both outputs are appended to `log`.
    pub fn interactive(name: &str, command: &mut Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).expect("a log file");
        command.stdout(file.try_clone().expect("a second handle")).stderr(file);
        Self::launch(name, command.stdin(Stdio::piped()), log)
    }

    pub fn type_line(&mut self, line: &str) {
        let input = self.child.stdin.as_mut().expect("it was started to be typed at");
        writeln!(input, "{line}").unwrap_or_else(|error| panic!("{} does not read {line:?}: {error}", self.name));
    }

    /// Nothing more is typed.
    pub fn end_input(&mut self) {
        self.child.stdin.take();
    }

    /// Starts `command` with its outputs and its input as they are.
    pub fn launch(name: &str, command: &mut Command, log: &Path) -> Self {
        // SAFETY: prctl is async-signal-safe.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
                Ok(())
            });
        }
        let child = spawn(mem::replace(command, Command::new("spent")));
        let child = child.unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        Self { child, name: name.to_owned(), log: log.to_owned() }
    }

    /// Ends it and the processes it has started, at once, as when the power goes; it was started with
    /// `process_group(0)`.
    pub fn kill_group(&mut self) {
        // SAFETY: a plain system call on the group of our own child, which has not been waited for.
        unsafe { libc::kill(-(self.child.id() as libc::pid_t), libc::SIGKILL) };
        self.child.wait().ok();
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn log_text(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Waits until the log contains `text`.
    pub fn expect_log(&mut self, text: &str, limit: Duration) {
        let name = self.name.clone();
        wait_for(&format!("{name} to print {text:?}"), limit, || {
            let found = self.log_text().contains(text).then_some(());
            let ended = self.child.try_wait().expect("own child");
            assert!(found.is_some() || ended.is_none(), "{name} ended ({ended:?}) before it printed {text:?}");
            found
        });
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("own child").is_none()
    }

    pub fn signal(&self, signal: i32) {
        // SAFETY: a plain system call on the id of our own child, which has not been waited for.
        unsafe { libc::kill(self.child.id() as libc::pid_t, signal) };
    }

    /// Waits for the end.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let name = self.name.clone();
        wait_for(&format!("{name} to end"), limit, || self.child.try_wait().expect("own child"))
    }
}

type Started = io::Result<Child>;
/// What is to be started, and who waits for it.
type Order = (Command, Sender<Started>);

/// Starts a child from a thread that lives as long as the test run: the kernel ends children with the thread that started
/// them, and the threads of the cases come and go.
fn spawn(command: Command) -> Started {
    static STARTER: LazyLock<Mutex<Sender<Order>>> = LazyLock::new(|| {
        let (asks, asked) = channel::<Order>();
        thread::spawn(move || asked.into_iter().for_each(|(mut command, answer)| drop(answer.send(command.spawn()))));
        Mutex::new(asks)
    });
    let (answer, answered) = channel();
    STARTER.lock().expect("no panic inside").send((command, answer)).expect("the thread lives");
    answered.recv().expect("the thread lives")
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_running() {
            self.signal(libc::SIGTERM);
            let end = Instant::now() + Duration::from_secs(3);
            while self.is_running() && Instant::now() < end {
                thread::sleep(Duration::from_millis(20));
            }
            self.child.kill().ok();
        }
        self.child.wait().ok();
    }
}

/// Asks again and again until there is an answer; fails after `limit`.
pub fn wait_for<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "waited {limit:?} in vain for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
