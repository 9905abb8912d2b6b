//! What the phone tells: how it is said, and what the job does about it.
use super::programme::{Step, Talk};
use super::{FIRST_LOOK, Kind, LAG, Run};
use crate::app::report;
use crate::base::id::{AccountId, CallNumber};
use crate::cli::ExitCode;
use crate::ua::command::Command;
use crate::ua::event::Event;
use crate::ua::snapshot::{AccountView, CallEnd, CallSummary, RegistrationState, Snapshot, TextState};
use std::sync::Arc;
use std::time::{Duration, Instant};

impl Run {
    pub(super) fn handle(&mut self, event: Event) {
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
    pub(super) fn watch_devices(&mut self) {
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
