//! The terminal is given back whatever happens: a child of this very test program runs the screen in a terminal of its
//! own, and what it wrote and how it left the terminal is looked at.
use crate::config::{Config, Screen as Chosen};
use crate::tui::run::{Link, run};
use crate::tui::terminal::Screen;
use crate::ua::command::Command;
use crate::ua::event::Event;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// Tells the child what to do.
const JOB: &str = "OFFHOOK_SCREEN_JOB";
/// No step takes that long on any machine.
const LIMIT: Duration = Duration::from_secs(60);

/// What the child does. In the ordinary run of the tests nobody asks it to do anything.
#[test]
fn child() {
    match std::env::var(JOB).as_deref() {
        Ok("run") => run(phone()).expect("a screen"),
        Ok("panic") => {
            let _screen = Screen::enter(true).expect("a screen");
            panic!("on purpose");
        }
        _ => {}
    }
}

/// A phone that does nothing but finish when it is asked to.
fn phone() -> Link {
    let (commands, mut asked) = mpsc::channel(4);
    let (tell, events) = mpsc::channel(4);
    let (snapshot, snapshots) = watch::channel(Arc::default());
    let (_, history) = watch::channel(Arc::default());
    let (_, log) = watch::channel(Arc::default());
    thread::spawn(move || {
        while let Some(command) = asked.blocking_recv() {
            if command == Command::Shutdown {
                let _ = tell.try_send(Event::Finished);
            }
        }
        drop(snapshot);
    });
    let (_, texts) = watch::channel(Arc::default());
    let screen = Chosen { ascii: Some(true), ..Chosen::default() };
    let (_, configs) = watch::channel(Arc::new(Config { screen, ..Config::default() }));
    Link { commands, snapshots, events, history, texts, log, configs, save: |_, _, _| Ok(()) }
}

/// The child with the other side of its terminal.
struct Terminal {
    child: Child,
    master: File,
    output: Receiver<Vec<u8>>,
    seen: String,
}

impl Terminal {
    fn start(job: &str) -> Self {
        let (mut master, mut slave) = (-1, -1);
        let size = libc::winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: the pointers are to live values of the right type, or null where that is allowed.
        let opened = unsafe {
            libc::openpty(&raw mut master, &raw mut slave, std::ptr::null_mut(), std::ptr::null(), &raw const size)
        };
        assert_eq!(opened, 0, "a terminal");
        // SAFETY: both were just opened and belong to nobody else.
        let (master, slave) = unsafe { (File::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) };
        let end = || Stdio::from(slave.try_clone().expect("a descriptor"));
        let mut command = std::process::Command::new(std::env::current_exe().expect("this program"));
        command.args(["tui::tests::terminal::child", "--exact", "--nocapture", "--test-threads=1"]);
        command.env(JOB, job).env("TERM", "xterm-256color").stdin(end()).stdout(end()).stderr(end());
        let attach = || {
            // SAFETY: both calls are allowed between fork and exec.
            let attached = unsafe { libc::setsid() >= 0 && libc::ioctl(0, libc::TIOCSCTTY, 0) == 0 };
            if attached { Ok(()) } else { Err(std::io::Error::last_os_error()) }
        };
        // SAFETY: `attach` does nothing that is not allowed between fork and exec.
        let child = unsafe { command.pre_exec(attach) }.spawn().expect("a child");
        drop(slave);
        let (sender, output) = channel();
        let mut reader = master.try_clone().expect("a descriptor");
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, master, output, seen: String::new() }
    }

    /// Reads until `part` was written for the `times`-th time.
    fn wait_for(&mut self, part: &str, times: usize) {
        let until = Instant::now() + LIMIT;
        while self.seen.matches(part).count() < times {
            let left = until.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.seen.push_str(&String::from_utf8_lossy(&bytes)),
                Err(_) => panic!("{part:?} was never written; but this: {:?}", self.seen),
            }
        }
    }

    fn press(&mut self, keys: &[u8]) {
        self.master.write_all(keys).expect("keys");
    }

    fn signal(&self, signal: i32) {
        // SAFETY: the child was not waited for yet, its number is its own.
        let sent = unsafe { libc::kill(libc::pid_t::try_from(self.child.id()).expect("a number"), signal) };
        assert_eq!(sent, 0);
    }

    /// The child is over, and its terminal is as it was before.
    fn ends_well(mut self) {
        self.wait_for(GIVEN_BACK, 1);
        self.child.wait().expect("an end");
        // SAFETY: all-zero bytes are a valid `termios`.
        let mut modes: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: the descriptor is open and the pointer is to a live value.
        let read = unsafe { libc::tcgetattr(self.master.as_raw_fd(), &raw mut modes) };
        let cooked = libc::ECHO | libc::ICANON | libc::ISIG;
        assert_eq!((read, modes.c_lflag & cooked), (0, cooked), "the terminal is raw");
        let after = self.seen.rsplit("\x1b[?1049h").next().unwrap_or_default();
        for part in ["\x1b[?2004l", "\x1b[?1049l", "\x1b[23;2t", "\x1b[?25h"] {
            assert!(after.contains(part), "{part:?} is missing in {after:?}");
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The alternate screen is taken, and given back.
const TAKEN: &str = "\x1b[?1049h";
const GIVEN_BACK: &str = "\x1b[?1049l";
/// Written with the first frame.
const DRAWN: &str = "offhook";

#[test]
fn the_quit_key_gives_the_terminal_back() {
    let mut terminal = Terminal::start("run");
    terminal.wait_for(DRAWN, 1);
    assert!(terminal.seen.contains("\x1b[?2004h"), "pasting is bracketed");
    terminal.press(b"\x11");
    terminal.ends_well();
}

#[test]
fn signals_give_the_terminal_back() {
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP] {
        let mut terminal = Terminal::start("run");
        terminal.wait_for(DRAWN, 1);
        terminal.signal(signal);
        terminal.ends_well();
    }
}

#[test]
fn a_panic_gives_the_terminal_back_before_it_speaks() {
    let mut terminal = Terminal::start("panic");
    terminal.wait_for("on purpose", 1);
    let given_back = terminal.seen.find(GIVEN_BACK).expect("the terminal is given back");
    assert!(terminal.seen.find("on purpose") > Some(given_back));
    terminal.ends_well();
}

#[test]
fn a_stopped_program_gives_the_terminal_back_for_the_while() {
    let mut terminal = Terminal::start("run");
    terminal.wait_for(DRAWN, 1);
    // Nobody could wake a process group without a parent in its session: there the stop does not last.
    terminal.press(b"\x1a");
    terminal.wait_for(GIVEN_BACK, 1);
    terminal.wait_for(TAKEN, 2);
    terminal.signal(libc::SIGSTOP);
    terminal.signal(libc::SIGCONT);
    terminal.wait_for(TAKEN, 3);
    terminal.press(b"\x11");
    terminal.wait_for(GIVEN_BACK, 2);
    terminal.ends_well();
}

/// What was drawn before can be drawn anew without asking the terminal anything.
#[test]
fn the_screen_is_drawn_anew_without_a_question() {
    let mut terminal = Terminal::start("run");
    terminal.wait_for(DRAWN, 1);
    terminal.press(b"\x0c");
    terminal.wait_for("\x1b[2J", 1);
    terminal.press(b"\x11");
    terminal.wait_for(GIVEN_BACK, 1);
    assert!(!terminal.seen.contains("\x1b[6n"), "the cursor's place was asked for");
    terminal.ends_well();
}
