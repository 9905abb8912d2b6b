//! Packets that wait for their time, in the order of their sequence numbers, never more than stated caps.
use crate::media::jitter::clock::Ticks;
use crate::media::spec::Codec;
use std::collections::VecDeque;

/// Packets kept at most.
pub const PACKETS: usize = 256;
/// Octets of a payload kept at most; longer ones are refused.
pub const PAYLOAD: usize = 1_500;

/// Room a payload buffer is made with: for what speech codecs send [octets].
const USUAL_PAYLOAD: usize = 512;

/// A packet in the store.
#[derive(Clone, Debug)]
pub struct Packet {
    pub sequence: u64,
    /// Of its first sample, on the sender's clock.
    pub media: Ticks,
    pub arrived: Ticks,
    /// `None` when it is no sound: it only fills its place in the sequence.
    pub codec: Option<Codec>,
    /// Sound it holds.
    pub length: Ticks,
    pub payload: Vec<u8>,
}

/// What became of a packet that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    Stored,
    Duplicate,
}

#[derive(Clone, Debug, Default)]
pub struct PacketStore {
    packets: VecDeque<Packet>,
    /// Payload buffers to be used again.
    spare: Vec<Vec<u8>>,
    sound: Ticks,
}

impl PacketStore {
    pub fn new() -> Self {
        Self { packets: VecDeque::with_capacity(PACKETS), spare: Vec::with_capacity(PACKETS), sound: 0 }
    }

    /// Files `packet` with a copy of `payload`; the caller makes room first, see [`Self::is_full`].
    pub fn insert(&mut self, mut packet: Packet, payload: &[u8]) -> Inserted {
        let at = self.packets.partition_point(|p| p.sequence < packet.sequence);
        if self.packets.get(at).is_some_and(|p| p.sequence == packet.sequence) {
            return Inserted::Duplicate;
        }
        packet.payload = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(USUAL_PAYLOAD));
        packet.payload.clear();
        packet.payload.extend_from_slice(payload);
        self.sound += packet.length;
        self.packets.insert(at, packet);
        Inserted::Stored
    }

    pub fn is_full(&self) -> bool {
        self.packets.len() >= PACKETS
    }

    pub fn first(&self) -> Option<&Packet> {
        self.packets.front()
    }

    /// The first packet that holds sound, and how many before it hold none.
    pub fn first_sound(&self) -> Option<(usize, &Packet)> {
        self.packets.iter().enumerate().find(|(_, p)| p.codec.is_some())
    }

    /// All the sound stored.
    pub fn sound(&self) -> Ticks {
        self.sound
    }

    /// Takes the first packet out; give it back with [`Self::recycle`] when done.
    pub fn pop(&mut self) -> Option<Packet> {
        let packet = self.packets.pop_front()?;
        self.sound -= packet.length;
        Some(packet)
    }

    /// Keeps the packet's payload buffer for another.
    pub fn recycle(&mut self, packet: Packet) {
        if self.spare.len() < PACKETS {
            self.spare.push(packet.payload);
        }
    }

    pub fn clear(&mut self) {
        while let Some(packet) = self.pop() {
            self.recycle(packet);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Packet> {
        self.packets.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence: u64, codec: Option<Codec>) -> Packet {
        let length = if codec.is_some() { 960 } else { 0 };
        Packet { sequence, media: 0, arrived: 0, codec, length, payload: Vec::new() }
    }

    #[test]
    fn packets_come_out_in_order_once_each() {
        let mut store = PacketStore::new();
        for (sequence, expected) in [
            (7, Inserted::Stored),
            (5, Inserted::Stored),
            (7, Inserted::Duplicate),
            (9, Inserted::Stored),
            (5, Inserted::Duplicate),
            (6, Inserted::Stored),
        ] {
            assert_eq!(store.insert(packet(sequence, Some(Codec::Pcmu)), &[sequence as u8]), expected, "{sequence}");
        }
        assert_eq!(store.sound(), 4 * 960);
        let order: Vec<_> = std::iter::from_fn(|| store.pop()).map(|p| (p.sequence, p.payload)).collect();
        assert_eq!(order, [(5, vec![5]), (6, vec![6]), (7, vec![7]), (9, vec![9])]);
        assert_eq!(store.sound(), 0);
    }

    #[test]
    fn packets_without_sound_keep_their_place() {
        let mut store = PacketStore::new();
        assert!(store.first_sound().is_none());
        for (sequence, codec) in [(3, None), (4, None), (5, Some(Codec::Opus))] {
            store.insert(packet(sequence, codec), &[]);
        }
        assert_eq!(store.first_sound().map(|(index, p)| (index, p.sequence)), Some((2, 5)));
    }

    #[test]
    fn payload_buffers_are_used_again() {
        let mut store = PacketStore::new();
        store.insert(packet(1, None), &[0; 300]);
        let first = store.pop().expect("stored");
        let buffer = first.payload.as_ptr();
        store.recycle(first);
        store.insert(packet(2, None), &[1; 200]);
        let second = store.pop().expect("stored");
        assert_eq!((second.payload.as_ptr(), second.payload.as_slice()), (buffer, &[1; 200][..]));
    }
}
