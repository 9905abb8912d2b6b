//! The phone without a screen: register, call or answer, report, and end with a code that tells how it went.
use crate::app::ladder::{self, LadderFile};
use crate::app::phone::Phone;
use crate::app::report;
use crate::base::id::{AccountId, CallNumber};
use crate::cli::ExitCode;
use crate::ua::command::{Command, Rejection};
use crate::ua::event::Event;
use crate::ua::snapshot::{AccountView, CallEnd, CallState, CallSummary, RegistrationState, Snapshot, TextState};
use crate::ua::words::{self, Chosen};
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

/// Where an answered call stands in its programme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Talk,
    Held,
    Resumed,
    Transferred,
    HungUp,
}

#[derive(Clone, Copy, Debug)]
struct Talk {
    since: Instant,
    step: Step,
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

    fn handle(&mut self, event: Event) {
        let now = Instant::now();
        match event {
            Event::Registration { account, state } => self.handle_registration(account, &state, now),
            Event::Incoming { call, from } => {
                self.tell("incoming", &from, || format!("incoming call from {from}"));
                if let Some(rejection) = self.job.reject {
                    self.command(Command::Reject(call, rejection));
                } else if self.typed.is_some() && !self.job.control {
                    self.say_fact("question", "type a and Enter to answer, r to refuse; later h to hang up");
                }
            }
            Event::Outgoing { call, to } => {
                self.placed.insert(call);
                self.tell("calling", &to, || format!("calling {to}"));
            }
            Event::Identified { call, identity } => {
                let words = format!("{} ({})", identity.label(), identity.phrase());
                self.say(&report::identified(call, &identity), || {
                    [words, identity.forwarded_words()].join(" ").trim_end().to_owned()
                });
            }
            Event::Contacts(change) => self.say_fact("contacts", &change.to_string()),
            Event::Ringing(_) => self.say_fact("ringing", "the other side rings"),
            Event::Established(call) => {
                self.talks.insert(call, Talk { since: now, step: Step::Talk });
                self.say_fact("established", "the call is up");
                if let Some(digits) = self.job.digits.clone() {
                    self.command(Command::Digits(call, digits));
                }
            }
            Event::HoldChanged { by_us, by_peer, .. } => {
                let words = match (by_us, by_peer) {
                    (true, true) => "on hold, by both sides",
                    (true, false) => "on hold, by us",
                    (false, true) => "on hold, by the other side",
                    (false, false) => "not on hold",
                };
                self.say_fact("hold", words);
            }
            Event::Conference { calls } if calls.is_empty() => self.say_fact("conference", "the conference is over"),
            Event::Conference { calls } => {
                let numbers: Vec<String> = calls.iter().map(ToString::to_string).collect();
                self.say_fact("conference", &format!("conference of the calls {}", numbers.join(", ")));
            }
            Event::Recording { file, .. } => self.tell("recording", &file, || format!("recorded into {file}")),
            Event::Recorded { file, missing, .. } if missing > Duration::ZERO => {
                let words = format!("{file}, without {:.1} s the disk was too slow for", missing.as_secs_f64());
                self.tell("recorded", &words, || format!("recorded: {words}"));
            }
            Event::Recorded { file, .. } => self.tell("recorded", &file, || format!("recorded: {file}")),
            Event::Transfer { to, status, over, .. } => match (status, over) {
                (200..=299, true) => self.say_fact("transferred", &format!("transferred to {to}")),
                (_, true) => self.say_fact("transfer_failed", &format!("the transfer to {to} failed ({status})")),
                (_, false) => self.say_fact("transferring", &format!("transferring to {to} ({status})")),
            },
            // Who types commands decides.
            Event::Redirected { target, .. } if self.job.control => {
                self.tell("redirected", &target, || format!("moved to {target}: type follow or hangup"));
            }
            Event::Redirected { call, target } => {
                // Nobody is there to be asked: to call somebody else is not for a program to decide.
                self.tell("redirected", &target, || {
                    format!("moved to {target}; not followed: call that address instead")
                });
                self.command(Command::Follow(call, false));
            }
            Event::Digit { digit, .. } => self.tell("digit", &digit.to_string(), || format!("digit {digit}")),
            Event::DigitsWait { digits, .. } => {
                self.tell("digits_wait", &digits, || format!("{digits} is sent when you type continue"));
            }
            Event::Ended { call, summary } => self.handle_end(call, &summary),
            Event::Watched(view) => {
                self.say_fact("watched", format!("{}: {} {}", view.name(), view.lamp.word(), view.note).trim());
            }
            Event::Mailbox { waiting, new, .. } => {
                let count = new.map(|new| format!("{new} new")).unwrap_or_else(|| "new messages".to_owned());
                self.say_fact(
                    "mailbox",
                    &if waiting { format!("mailbox: {count}") } else { "mailbox: empty".to_owned() },
                );
            }
            Event::Handling { forwarding, do_not_disturb, .. } => {
                self.say_fact("handling", &forwarding.words(do_not_disturb));
            }
            Event::Parked { slot, .. } => self.tell("parked", &slot, || format!("parked at {slot}")),
            Event::Plan { typed, answer, .. } => self.say_fact("plan", &format!("{typed}: {answer}")),
            Event::Text(text) => {
                self.say(&report::message(&text), || report::message_line(&text));
                match &text.state {
                    TextState::Delivered | TextState::Accepted if self.job.text.is_some() => {
                        self.code = Some(ExitCode::Ended);
                    }
                    TextState::Failed(_) if self.job.text.is_some() => self.code = Some(ExitCode::CallRefused),
                    _ => {}
                }
            }
            Event::Capabilities { target, answer, told } => {
                let words = format!("{target}: {answer}");
                self.say(&report::capabilities(&words, &target, told.as_deref()), || words.clone());
            }
            Event::Reloaded { later } => {
                self.say_fact("reloaded", format!("the configuration was read again. {later}").trim());
            }
            Event::Refused { reason } => {
                self.say_fact("refused", &reason);
                if self.job.target.is_some() && self.talks.is_empty() {
                    self.code = Some(ExitCode::Configuration);
                }
            }
            Event::Finished => self.code = Some(self.code.unwrap_or(ExitCode::Ended)),
        }
    }

    fn handle_registration(&mut self, account: AccountId, state: &RegistrationState, now: Instant) {
        let view = self.account_view(account, state);
        let (name, flows) = view.as_ref().map_or(("", &[][..]), |view| (view.name.as_str(), view.flows.as_slice()));
        self.say(&report::registration(name, state, flows, now), || report::registration_line(name, state, flows, now));
        if self.job.registrations == 0 || self.registered || self.job.account.is_some_and(|wanted| wanted != account) {
            return;
        }
        match state {
            RegistrationState::Registered { .. } => {
                self.registered = true;
                match self.job.kind {
                    Kind::Register if self.job.once => self.code = Some(ExitCode::Ended),
                    Kind::Register => {}
                    Kind::Call | Kind::Answer | Kind::Message => self.begin(),
                }
            }
            RegistrationState::Failed { status, .. } => {
                // Another account may still do.
                self.failed.insert(account);
                let all = self.job.account.is_some() || self.failed.len() >= self.job.registrations;
                // A call needs its registration now; who only waits for calls can wait for the server as well.
                let hurries = self.job.target.is_some() || self.job.once;
                self.code = match status {
                    Some(..500 | 600..) if all => Some(ExitCode::RegistrationRefused),
                    Some(_) if all && hurries => Some(ExitCode::RegistrationRefused),
                    None if all && hurries => Some(ExitCode::Network),
                    Some(_) | None => None,
                };
            }
            RegistrationState::Off | RegistrationState::Registering | RegistrationState::Unregistering => {}
        }
    }

    /// The account as it is with this state. A fact may come before the snapshot that shows it, which does not come much
    /// later.
    fn account_view(&mut self, account: AccountId, state: &RegistrationState) -> Option<AccountView> {
        let snapshots = &mut self.phone.snapshots;
        let known = |s: &Arc<Snapshot>| s.accounts.iter().any(|a| a.id == account && a.state == *state);
        let _ = self.timer.block_on(async { tokio::time::timeout(LAG, snapshots.wait_for(known)).await.map(|_| ()) });
        self.phone.snapshot().accounts.iter().find(|a| a.id == account).cloned()
    }

    fn handle_end(&mut self, call: CallNumber, summary: &CallSummary) {
        self.say(&report::summary(summary), || format!("{}: {}", report::end(summary.end), summary.cause));
        self.talks.remove(&call);
        self.placed.remove(&call);
        // The other side may have asked us to call somebody else: that call goes on.
        if (self.job.target.is_some() || self.job.once) && self.placed.is_empty() {
            self.code = Some(code_of(summary));
        }
    }

    /// A device that does not work is said once. One that was chosen by name has to work.
    fn watch_devices(&mut self) {
        if matches!(self.job.kind, Kind::Register | Kind::Message) {
            return;
        }
        let devices = self.phone.snapshot().devices.clone();
        let chosen = (self.job.microphone_chosen && devices.capture_fails)
            || (self.job.speaker_chosen && devices.playback_fails);
        // Later it may be a cable that comes back, and the call outlives that.
        if chosen && self.began.elapsed() < FIRST_LOOK && self.code.is_none() {
            self.code = Some(ExitCode::Device);
        }
        let notice = devices.notice;
        if notice == self.notice {
            return;
        }
        if let Some(words) = &notice {
            self.tell("device", words, || format!("sound: {words}"));
        }
        self.notice = notice;
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
            self.talks.iter().filter_map(|(call, talk)| Some((*call, self.due(talk, now)?))).collect();
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

    /// The next step in the programme of a call, when it is time.
    fn due(&self, talk: &Talk, now: Instant) -> Option<Step> {
        let talked = now.duration_since(talk.since);
        if talk.step != Step::HungUp && self.job.duration.is_some_and(|duration| talked >= duration) {
            return Some(Step::HungUp);
        }
        if let Some((after, _)) = &self.job.transfer {
            return (talk.step == Step::Talk && talked >= *after).then_some(Step::Transferred);
        }
        let (after, lasts) = self.job.hold?;
        match talk.step {
            Step::Talk if talked >= after => Some(Step::Held),
            Step::Held if talked >= after + lasts => Some(Step::Resumed),
            Step::Talk | Step::Held | Step::Resumed | Step::Transferred | Step::HungUp => None,
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
        match words::commands(&self.phone.snapshot(), Chosen { call: None, account: self.job.account }, line) {
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

/// How the program ends after this call.
fn code_of(summary: &CallSummary) -> ExitCode {
    match summary.end {
        CallEnd::Normal if summary.quality.inbound.packets == 0 && summary.duration.is_some() => ExitCode::NoMedia,
        CallEnd::Normal | CallEnd::AnsweredElsewhere | CallEnd::Missed | CallEnd::Rejected => ExitCode::Ended,
        // Nobody is here to give up: it rang for too long.
        CallEnd::Cancelled | CallEnd::Refused => ExitCode::CallRefused,
        CallEnd::Failed => ExitCode::Network,
        CallEnd::NoMedia => ExitCode::NoMedia,
    }
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
