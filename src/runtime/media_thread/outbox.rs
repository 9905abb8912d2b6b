//! Events on their way to signalling. What is told again every second may be lost, a change of state may not.
use crate::media::event::MediaEvent;
use std::collections::VecDeque;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

#[derive(Debug)]
pub struct Outbox {
    sender: mpsc::Sender<MediaEvent>,
    /// State changes the full queue did not take, in order. There are as many as calls make, not as packets make.
    waiting: VecDeque<MediaEvent>,
}

impl Outbox {
    pub fn new(sender: mpsc::Sender<MediaEvent>) -> Self {
        Self { sender, waiting: VecDeque::new() }
    }

    pub fn push(&mut self, event: MediaEvent) {
        if !is_repeated(&event) {
            self.waiting.push_back(event);
            self.flush();
        } else if self.waiting.is_empty() {
            let _ = self.sender.try_send(event);
        }
    }

    /// Sends what waits, as far as there is room.
    pub fn flush(&mut self) {
        while let Some(event) = self.waiting.pop_front() {
            match self.sender.try_send(event) {
                Ok(()) => {}
                Err(TrySendError::Full(event)) => {
                    self.waiting.push_front(event);
                    return;
                }
                Err(TrySendError::Closed(_)) => self.waiting.clear(),
            }
        }
    }

    /// Something waits for room.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }
}

fn is_repeated(event: &MediaEvent) -> bool {
    match event {
        MediaEvent::Report { .. } | MediaEvent::Levels { .. } => true,
        MediaEvent::Opened { .. }
        | MediaEvent::Candidates { .. }
        | MediaEvent::OpenFailed { .. }
        | MediaEvent::Path { .. }
        | MediaEvent::Doubt { .. }
        | MediaEvent::Trouble { .. }
        | MediaEvent::Flowing { .. }
        | MediaEvent::Secured { .. }
        | MediaEvent::Unsecured { .. }
        | MediaEvent::Digit { .. }
        | MediaEvent::Goodbye { .. }
        | MediaEvent::Recording { .. }
        | MediaEvent::Recorded { .. }
        | MediaEvent::Device(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::StreamId;

    fn flowing(stream: u32) -> MediaEvent {
        MediaEvent::Flowing { stream: StreamId(stream) }
    }

    const LEVELS: MediaEvent = MediaEvent::Levels { capture: -20.0, playback: -30.0 };

    #[test]
    fn a_full_queue_loses_levels_and_keeps_states_in_order() {
        let (sender, mut receiver) = mpsc::channel(2);
        let mut outbox = Outbox::new(sender);
        for event in [LEVELS, LEVELS, LEVELS, flowing(1), LEVELS, flowing(2)] {
            outbox.push(event);
        }
        assert!(outbox.is_waiting());
        let mut received = Vec::new();
        while let Ok(event) = receiver.try_recv() {
            received.push(event);
            outbox.flush();
        }
        assert_eq!(received, [LEVELS, LEVELS, flowing(1), flowing(2)]);
        assert!(!outbox.is_waiting());
    }

    #[test]
    fn nothing_waits_for_nobody() {
        let (sender, receiver) = mpsc::channel(1);
        let mut outbox = Outbox::new(sender);
        drop(receiver);
        outbox.push(flowing(1));
        assert!(!outbox.is_waiting());
    }
}
