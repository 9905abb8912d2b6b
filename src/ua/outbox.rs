//! What the agent has to say, until the runtime takes it.
use crate::base::id::CallNumber;
use crate::base::untrusted::Untrusted;
use crate::media::spec::MediaCommand;
use crate::ua::event::Event;
use std::collections::VecDeque;

/// Facts and log lines waiting; the oldest goes when the runtime does not take them.
const WAITING: usize = 1024;
/// Columns of a log line.
const LINE: usize = 400;

#[derive(Debug, Default)]
pub struct Outbox {
    pub media: VecDeque<MediaCommand>,
    pub events: VecDeque<Event>,
    pub log: VecDeque<String>,
    /// What happened to the sound of calls: rows of their ladders.
    pub notes: VecDeque<(CallNumber, String)>,
}

impl Outbox {
    pub fn event(&mut self, event: Event) {
        if self.events.len() >= WAITING {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// Adds a line for people. Whatever was woven into it by a peer is made harmless here, once for all.
    pub fn log(&mut self, line: String) {
        let line = Untrusted::new(line).sanitize(LINE);
        if self.log.len() >= WAITING {
            self.log.pop_front();
        }
        self.log.push_back(line);
    }

    /// What happened to the sound of a call, in words: a row of its ladder.
    pub fn note(&mut self, call: CallNumber, words: impl Into<String>) {
        if self.notes.len() < WAITING {
            self.notes.push_back((call, words.into()));
        }
    }

    /// Refuses what the user asked for, with the reason.
    pub fn refuse(&mut self, reason: impl Into<String>) {
        let reason = Untrusted::new(reason).sanitize(LINE);
        self.log(reason.clone());
        self.event(Event::Refused { reason });
    }
}
