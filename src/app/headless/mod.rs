//! The phone without a screen: register, call or answer, report, and end with a code that tells how it went.
mod facts;
mod programme;

use crate::app::ladder::{self, LadderFile};
use crate::app::phone::Phone;
use crate::app::report;
use crate::base::id::{AccountId, CallNumber};
use crate::cli::ExitCode;
use crate::ua::command::{Command, Rejection};
use crate::ua::event::Event;
use crate::ua::snapshot::{CallState, Snapshot};
use crate::ua::words::{self, Chosen};
use programme::{Step, Talk};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

/// How often signals and clocks are looked at.
const TICK: Duration = Duration::from_millis(50);
/// How much later than a fact the snapshot that shows it may come.
const LAG: Duration = Duration::from_millis(200);
/// How often figures are printed.
const SECOND: Duration = Duration::from_secs(1);
/// Devices that do not open within this time after the start are missing, not unplugged.
const FIRST_LOOK: Duration = Duration::from_secs(2);
/// How long the end may take: the agent's own farewell and some.
const FAREWELL: Duration = Duration::from_secs(5);

/// What the phone is run for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    #[default]
    Register,
    Call,
    Answer,
    /// One text, and what becomes of it.
    Message,
}

/// What to do, and when to stop.
#[derive(Clone, Debug, Default)]
pub struct Job {
    pub kind: Kind,
    /// How many accounts register before anything else; the job fails when all of them fail.
    pub registrations: usize,
    /// Whom to call; `None` waits for calls.
    pub target: Option<String>,
    /// What is written to the target instead of calling it.
    pub text: Option<String>,
    /// Do not say who calls, whatever the account does by itself.
    pub private: bool,
    pub account: Option<AccountId>,
    /// Answer is the agent's setting; this refuses every call.
    pub reject: Option<Rejection>,
    /// Hang up so long after the answer; without a call, stop so long after the start.
    pub duration: Option<Duration>,
    /// Digits sent after the answer.
    pub digits: Option<String>,
    /// Put the call on hold so long after the answer, and take it back so long after that.
    pub hold: Option<(Duration, Duration)>,
    /// Ask the other side to call somebody else, so long after the answer.
    pub transfer: Option<(Duration, String)>,
    /// Stop after the first call, or after the registration.
    pub once: bool,
    /// The microphone, the speaker was asked for by name: without it the job fails.
    pub microphone_chosen: bool,
    pub speaker_chosen: bool,
    /// Where the messages of the calls go at the end.
    pub ladder: Option<LadderFile>,
    /// Lines of the standard input are commands.
    pub control: bool,
    pub json: bool,
}

/// Runs the job; the phone is shut down at its end, whatever came.
///
/// # Errors
/// When the system gives no timer.
pub fn run(phone: Phone, job: Job, interrupted: &Arc<AtomicBool>) -> io::Result<ExitCode> {
    run_watched(phone, job, interrupted, &mut |_| {})
}

/// Like [`run`]; `watch` is shown what is true now, again and again while the job runs.
///
/// # Errors
/// When the system gives no timer.
pub fn run_watched(
    phone: Phone,
    job: Job,
    interrupted: &Arc<AtomicBool>,
    watch: &mut dyn FnMut(&Snapshot),
) -> io::Result<ExitCode> {
    let mut run = Run {
        timer: tokio::runtime::Builder::new_current_thread().enable_time().build()?,
        began: Instant::now(),
        reported: Instant::now(),
        registered: false,
        failed: BTreeSet::new(),
        notice: None,
        talks: BTreeMap::new(),
        placed: BTreeSet::new(),
        code: None,
        typed: typed_lines(&job),
        phone,
        job,
    };
    if run.job.registrations == 0 {
        run.begin();
    }
    while run.code.is_none() {
        match run.wait(TICK) {
            Waited::Event(event) => run.handle(event),
            Waited::TimeOut => {}
            Waited::Gone => run.code = Some(ExitCode::Failed),
        }
        if interrupted.load(Ordering::Relaxed) {
            run.code = Some(ExitCode::Ended);
        }
        run.tick();
        watch(&run.phone.snapshot());
    }
    Ok(run.finish())
}

enum Waited {
    Event(Event),
    TimeOut,
    /// The phone has ended by itself.
    Gone,
}

struct Run {
    timer: tokio::runtime::Runtime,
    phone: Phone,
    job: Job,
    began: Instant,
    reported: Instant,
    registered: bool,
    /// Accounts that could not register.
    failed: BTreeSet<AccountId>,
    /// What was last said about the sound devices.
    notice: Option<String>,
    /// The calls that are up.
    talks: BTreeMap<CallNumber, Talk>,
    /// Calls of ours that are not over.
    placed: BTreeSet<CallNumber>,
    code: Option<ExitCode>,
    typed: Option<Receiver<String>>,
}

impl Run {
    fn wait(&mut self, limit: Duration) -> Waited {
        let events = &mut self.phone.events;
        // The timer is made inside of the runtime it belongs to.
        match self.timer.block_on(async { tokio::time::timeout(limit, events.recv()).await }) {
            Ok(Some(event)) => Waited::Event(event),
            Ok(None) => Waited::Gone,
            Err(_) => Waited::TimeOut,
        }
    }

    /// Registered, or not wanted to be: the call is placed, or waited for.
    fn begin(&mut self) {
        if let (Some(target), Some(text)) = (self.job.target.clone(), self.job.text.clone()) {
            self.command(Command::Text { account: self.job.account, target, text });
        } else if let Some(target) = self.job.target.clone() {
            // Refused only when the queue is full, and nothing was asked before.
            let account = self.job.account;
            self.command(match self.job.private {
                true => Command::CallAs { account, target, private: true },
                false => Command::Call { account, target },
            });
        } else {
            self.say_fact("ready", &format!("waiting for calls on port {}", self.phone.sip_port));
        }
    }

    /// What time brings: figures, the programme of the call, what was typed.
    fn tick(&mut self) {
        let now = Instant::now();
        self.watch_devices();
        if now.duration_since(self.reported) >= SECOND {
            self.reported += SECOND;
            self.report(now);
        }
        while let Some(line) = self.typed.as_ref().and_then(|typed| typed.try_recv().ok()) {
            self.obey(line.trim());
        }
        let due: Vec<(CallNumber, Step)> =
            self.talks.iter().filter_map(|(call, talk)| Some((*call, talk.due(&self.job, now)?))).collect();
        for (call, step) in due {
            let command = match step {
                Step::Held => Command::Hold(call),
                Step::Talk | Step::Resumed => Command::Resume(call),
                Step::Transferred => match &self.job.transfer {
                    Some((_, target)) => Command::Transfer { call, target: target.clone() },
                    None => continue,
                },
                Step::HungUp => Command::HangUp(call),
            };
            // What the phone is too busy to take is tried again.
            if self.command(command)
                && let Some(talk) = self.talks.get_mut(&call)
            {
                talk.step = step;
            }
        }
        let waits = self.talks.is_empty() && self.job.target.is_none() && !self.job.once;
        if waits && self.job.duration.is_some_and(|duration| now.duration_since(self.began) >= duration) {
            self.code = Some(ExitCode::Ended);
        }
    }

    fn report(&self, now: Instant) {
        let snapshot = self.phone.snapshot();
        for call in snapshot.calls.iter().filter(|c| !matches!(c.state, CallState::Ended(_))) {
            if !self.job.json && call.answered.is_none() {
                // People were told that it rings; there is nothing to measure yet.
                continue;
            }
            self.say(&report::progress(call, now), || report::line(call, now));
        }
    }

    /// A line is a word of the phone; single letters are short for the three that are needed most.
    fn obey(&mut self, line: &str) {
        let line = match line {
            "a" => "answer",
            "r" => "decline",
            "h" => "hangup",
            "help" => {
                for word in words::WORDS {
                    self.say_fact("help", &format!("{} {}: {}", word.name, word.arguments, word.description));
                }
                return;
            }
            line => line,
        };
        // Who writes has read the facts, which may come before the snapshot that shows them.
        let chosen = Chosen { call: None, account: self.job.account };
        let snapshots = &mut self.phone.snapshots;
        let makes_sense = |snapshot: &Arc<Snapshot>| words::commands(snapshot, chosen, line).is_ok();
        let waits = async { tokio::time::timeout(LAG, snapshots.wait_for(makes_sense)).await.map(|_| ()) };
        let _ = self.timer.block_on(waits);
        match words::commands(&self.phone.snapshot(), chosen, line) {
            Ok(commands) => commands.into_iter().for_each(|command| {
                self.command(command);
            }),
            Err(reason) => self.say_fact("refused", &reason),
        }
    }

    fn command(&self, command: Command) -> bool {
        let taken = self.phone.command(command);
        if !taken {
            self.say_fact("refused", "the phone is too busy to take the command");
        }
        taken
    }

    /// Ends everything, tells what is still to be told, and gives the exit code.
    fn finish(mut self) -> ExitCode {
        let code = self.code.unwrap_or(ExitCode::Ended);
        self.command(Command::Shutdown);
        let until = Instant::now() + FAREWELL;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            match self.wait(left) {
                Waited::Event(Event::Ended { summary, .. }) => {
                    self.say(&report::summary(&summary), || format!("{}: {}", report::end(summary.end), summary.cause));
                }
                Waited::Event(Event::Finished) | Waited::TimeOut | Waited::Gone => break,
                Waited::Event(_) => {}
            }
        }
        let snapshots = self.phone.snapshots.clone();
        let wanted = self.job.ladder.take();
        let json = self.job.json;
        let Self { phone, .. } = self;
        phone.shut_down();
        match wanted.map(|file| ladder::write(&file, &snapshots.borrow())) {
            Some(Ok(words)) => say(json, &report::fact("ladder", &words), || words.clone()),
            Some(Err(words)) => {
                say(json, &report::fact("refused", &words), || words.clone());
                return ExitCode::Failed;
            }
            None => {}
        }
        code
    }

    fn say_fact(&self, kind: &str, words: &str) {
        self.tell(kind, words, || words.to_owned());
    }

    /// A fact that programs get bare and people get as a sentence.
    fn tell(&self, kind: &str, text: &str, sentence: impl FnOnce() -> String) {
        self.say(&report::fact(kind, text), sentence);
    }

    fn say(&self, object: &Value, words: impl FnOnce() -> String) {
        say(self.job.json, object, words);
    }
}

fn say(json: bool, object: &Value, words: impl FnOnce() -> String) {
    let line = if json { object.to_string() } else { words() };
    // Whoever reads may have gone: that is no reason to end a call.
    let _ = writeln!(io::stdout().lock(), "{line}");
}

/// Lines from the standard input: when a program controls the phone, or somebody is there to answer calls by hand.
fn typed_lines(job: &Job) -> Option<Receiver<String>> {
    let asked = job.kind == Kind::Answer && !job.json && io::stdin().is_terminal();
    if !asked && !job.control {
        return None;
    }
    let (sender, receiver) = sync_channel(16);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    Some(receiver)
}

/// SIGINT, SIGTERM and SIGHUP end the phone in good order; a second one ends it at once.
///
/// # Errors
/// When the system does not let the signals be caught.
pub fn catch_signals() -> io::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&flag))?;
        signal_hook::flag::register(signal, Arc::clone(&flag))?;
    }
    Ok(flag)
}
