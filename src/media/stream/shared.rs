//! What all streams share: the wall clock, and the way out for datagrams and events.
use crate::base::id::StreamId;
use crate::base::time::WallAnchor;
use crate::media::event::MediaEvent;
use crate::media::path::MediaTransmit;
use crate::nat::traversal::Order;
use std::collections::VecDeque;

/// The media thread drains after every input; more than this waits only if it does not.
const MAX_WAITING: usize = 1024;
/// Buffers kept for the next datagrams.
const MAX_SPARE: usize = 32;
/// A larger one is not kept \[octets\].
const MAX_SPARE_SIZE: usize = 2048;

#[derive(Debug)]
pub struct Shared {
    pub anchor: WallAnchor,
    transmits: VecDeque<MediaTransmit>,
    events: VecDeque<MediaEvent>,
    orders: VecDeque<(StreamId, Order)>,
    spare: Vec<Vec<u8>>,
}

impl Shared {
    pub fn new(anchor: WallAnchor) -> Self {
        Self { anchor, transmits: VecDeque::new(), events: VecDeque::new(), orders: VecDeque::new(), spare: Vec::new() }
    }

    /// An empty buffer, used before if there is one.
    pub fn buffer(&mut self) -> Vec<u8> {
        self.spare.pop().unwrap_or_default()
    }

    pub fn recycle(&mut self, mut bytes: Vec<u8>) {
        if self.spare.len() < MAX_SPARE && bytes.capacity() <= MAX_SPARE_SIZE {
            bytes.clear();
            self.spare.push(bytes);
        }
    }

    /// The oldest datagram is dropped for one too many: late sound is worth less than new.
    pub fn transmit(&mut self, transmit: MediaTransmit) {
        if self.transmits.len() >= MAX_WAITING
            && let Some(dropped) = self.transmits.pop_front()
        {
            self.recycle(dropped.bytes);
        }
        self.transmits.push_back(transmit);
    }

    /// One event too many is dropped.
    pub fn event(&mut self, event: MediaEvent) {
        if self.events.len() < MAX_WAITING {
            self.events.push_back(event);
        }
    }

    /// What only the shell can do for a stream; one too many is dropped, and what it was for goes on without.
    pub fn order(&mut self, stream: StreamId, order: Order) {
        if self.orders.len() < MAX_WAITING {
            self.orders.push_back((stream, order));
        }
    }

    pub fn poll_order(&mut self) -> Option<(StreamId, Order)> {
        self.orders.pop_front()
    }

    pub fn poll_transmit(&mut self) -> Option<MediaTransmit> {
        self.transmits.pop_front()
    }

    pub fn poll_event(&mut self) -> Option<MediaEvent> {
        self.events.pop_front()
    }

    pub fn has_transmits(&self) -> bool {
        !self.transmits.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::path::Component;
    use std::time::{Instant, SystemTime};

    #[test]
    fn queues_are_bounded_and_buffers_come_back() {
        let mut shared = Shared::new(WallAnchor::new(Instant::now(), SystemTime::UNIX_EPOCH));
        for n in 0..2 * MAX_WAITING {
            let mut bytes = shared.buffer();
            bytes.extend((n as u32).to_be_bytes());
            shared.transmit(MediaTransmit {
                stream: StreamId(1),
                component: Component::Rtp,
                socket: 0,
                destination: ([127, 0, 0, 1], 9).into(),
                bytes,
            });
            shared.event(MediaEvent::Flowing { stream: StreamId(n as u32) });
        }
        let first = shared.poll_transmit().expect("waiting");
        assert_eq!(first.bytes, (MAX_WAITING as u32).to_be_bytes());
        assert_eq!(std::iter::from_fn(|| shared.poll_transmit()).count(), MAX_WAITING - 1);
        assert_eq!(shared.poll_event(), Some(MediaEvent::Flowing { stream: StreamId(0) }));
        assert_eq!(std::iter::from_fn(|| shared.poll_event()).count(), MAX_WAITING - 1);
        let at = first.bytes.as_ptr();
        while shared.spare.pop().is_some() {}
        shared.recycle(first.bytes);
        let again = shared.buffer();
        assert!(again.is_empty() && again.as_ptr() == at);
        shared.recycle(Vec::with_capacity(MAX_SPARE_SIZE + 1));
        assert_eq!(shared.buffer().capacity(), 0);
    }
}
