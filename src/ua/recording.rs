//! Recording calls: begun by the user or by the configuration, with each call's own file.
use super::UserAgent;
use super::call::Call;
use crate::base::id::CallNumber;
use crate::media::event::MediaEvent;
use crate::media::spec::{MediaCommand, Recording};
use crate::ua::account::shown;
use crate::ua::event::Event;
use std::time::Duration;

/// Columns of a file's name on the screen.
const NAME: usize = 300;
/// Letters of a name the user gives.
const LONGEST: usize = 80;

/// What is recorded without being asked for, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordingSettings {
    /// Every call, from its answer on.
    pub always: bool,
    /// The other side hears a short tone now and then.
    pub notice: bool,
}

/// Where a call's recording stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Recorded {
    /// Not yet.
    #[default]
    Never,
    Begins,
    Runs(String),
    /// It was recorded and is not any more.
    Over,
}

impl UserAgent {
    /// Records a call from now on.
    pub(super) fn record(&mut self, number: CallNumber, file: Option<String>) {
        let notice = self.settings.recording.notice;
        let taken = self
            .calls
            .values()
            .any(|call| matches!(call.recorded, Recorded::Begins | Recorded::Runs(_)) && call.number == number);
        let refusal = match (self.calls.get(&number), &file) {
            (None, _) => Some(format!("there is no call {number}")),
            (Some(call), _) if !call.is_established() => Some("only a call that is up can be recorded".to_owned()),
            _ if taken => Some("the call is being recorded already".to_owned()),
            (_, Some(file)) if !is_a_name(file) => Some(
                "a recording is named without a folder and in at most 80 letters; it goes where recordings go"
                    .to_owned(),
            ),
            _ => None,
        };
        if let Some(refusal) = refusal {
            return self.out.refuse(refusal);
        }
        self.with_call(number, |call, _, out| {
            call.recorded = Recorded::Begins;
            let recording = Recording { label: call.peer_address().to_owned(), file, notice };
            out.media.push_back(MediaCommand::Record { stream: call.stream(), recording: Some(recording) });
        });
    }

    pub(super) fn stop_recording(&mut self, number: CallNumber) {
        self.with_call(number, |call, _, out| match call.recorded {
            Recorded::Begins | Recorded::Runs(_) => {
                call.recorded = Recorded::Over;
                out.media.push_back(MediaCommand::Record { stream: call.stream(), recording: None });
            }
            Recorded::Never | Recorded::Over => out.refuse("the call is not being recorded"),
        });
    }

    /// Calls that came up and are to be recorded without being asked for.
    pub(super) fn record_all(&mut self) {
        if !self.settings.recording.always {
            return;
        }
        let new = |call: &&Call| call.is_established() && call.has_sound() && call.recorded == Recorded::Never;
        let new: Vec<CallNumber> = self.calls.values().filter(new).map(|call| call.number).collect();
        for number in new {
            self.record(number, None);
        }
    }

    /// What the disk says.
    pub(super) fn handle_recording(&mut self, event: MediaEvent) {
        match event {
            MediaEvent::Recording { stream, file } => {
                let (call, file) = (CallNumber(stream.0), shown(&file, NAME));
                if let Some(call) = self.calls.get_mut(&call).filter(|call| call.recorded == Recorded::Begins) {
                    call.recorded = Recorded::Runs(file.clone());
                }
                self.out.log(format!("call {call}: recorded into {file}"));
                self.out.event(Event::Recording { call, file });
            }
            MediaEvent::Recorded { stream, file, missing, trouble } => {
                let (number, file) = (CallNumber(stream.0), shown(&file, NAME));
                if let Some(words) = trouble {
                    // The ring is given back as well.
                    if let Some(call) = self.calls.get_mut(&number).filter(|call| call.recorded != Recorded::Over) {
                        call.recorded = Recorded::Over;
                        self.out.media.push_back(MediaCommand::Record { stream, recording: None });
                    }
                    self.out.refuse(format!("the call is not recorded: {}", shown(&words, NAME)));
                }
                if !file.is_empty() {
                    if missing > Duration::ZERO {
                        let seconds = missing.as_secs_f64();
                        self.out
                            .log(format!("call {number}: the disk was too slow, {seconds:.2} s are silent in {file}"));
                    }
                    self.out.event(Event::Recorded { call: number, file, missing });
                }
            }
            _ => {}
        }
    }
}

fn is_a_name(file: &str) -> bool {
    !file.is_empty()
        && file.chars().count() <= LONGEST
        && !file.starts_with('.')
        && !file.chars().any(|c| c.is_control() || matches!(c, '/' | '\\'))
}
