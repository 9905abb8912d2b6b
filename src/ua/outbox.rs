//! What the agent has to say, until the runtime takes it.
use crate::media::spec::MediaCommand;
use crate::ua::event::Event;
use std::collections::VecDeque;

/// Facts and log lines waiting; the oldest goes when the runtime does not take them.
const WAITING: usize = 1024;

#[derive(Debug, Default)]
pub struct Outbox {
    pub media: VecDeque<MediaCommand>,
    pub events: VecDeque<Event>,
    pub log: VecDeque<String>,
}

impl Outbox {
    pub fn event(&mut self, event: Event) {
        if self.events.len() >= WAITING {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    pub fn log(&mut self, line: String) {
        if self.log.len() >= WAITING {
            self.log.pop_front();
        }
        self.log.push_back(line);
    }

    /// Refuses what the user asked for, with the reason.
    pub fn refuse(&mut self, reason: impl Into<String>) {
        let reason = reason.into();
        self.log(reason.clone());
        self.event(Event::Refused { reason });
    }
}
