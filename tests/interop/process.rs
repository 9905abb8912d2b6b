//! A child process whose output goes to a file, and which never outlives the test run.
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

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
        command.stdin(Stdio::null());
        // SAFETY: prctl is async-signal-safe. All cases run on the main thread, so the parent that the kernel watches
        // lives as long as the test run.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        Self { child, name: name.to_owned(), log: log.to_owned() }
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
