//! What payload types have meant in a session: a meaning may not change while it lasts (RFC 3264 §8.3.2).
use super::codec::{self, Format};
use super::session::MediaLine;
use crate::media::spec::Codec;

/// Meanings that are remembered.
const MOST: usize = 256;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Meaning {
    Audio(Codec),
    Event(u32),
    Unknown(String),
}

#[derive(Clone, Debug, Default)]
pub(super) struct PayloadTypes(Vec<(u8, Meaning)>);

impl PayloadTypes {
    /// Remembers what either side says.
    pub fn learn(&mut self, line: &MediaLine) {
        for format in codec::formats(line) {
            let meaning = match &format {
                Format::Audio(audio) => Meaning::Audio(audio.codec),
                Format::Event(event) => Meaning::Event(event.clock_rate),
                Format::Unknown { name, .. } => Meaning::Unknown(name.clone()),
            };
            let entry = (format.payload_type(), meaning);
            if !self.0.contains(&entry) && self.0.len() < MOST {
                self.0.push(entry);
            }
        }
    }

    /// For one of our codecs in an offer.
    ///
    /// - `taken`: by this offer, for others.
    pub fn of(&self, codec: Codec, taken: &[u8]) -> u8 {
        match codec {
            Codec::Pcmu => 0,
            Codec::Pcma => 8,
            Codec::Opus => self.dynamic(&Meaning::Audio(codec), 111, taken),
        }
    }

    /// For telephone events of a clock \[Hz\] in an offer.
    pub fn of_events(&self, clock_rate: u32, taken: &[u8]) -> u8 {
        let usual = if clock_rate == 8_000 { 101 } else { 110 };
        self.dynamic(&Meaning::Event(clock_rate), usual, taken)
    }

    /// The number the meaning has had in this session, else the usual one, else a free one.
    fn dynamic(&self, meaning: &Meaning, usual: u8, taken: &[u8]) -> u8 {
        let had = self.0.iter().filter(|(_, m)| m == meaning).map(|(number, _)| *number);
        let free = |number: &u8| self.0.iter().all(|(n, _)| n != number);
        let fresh = std::iter::once(usual).chain(96..=127).filter(free);
        had.chain(fresh).find(|number| !taken.contains(number)).unwrap_or(usual)
    }
}
