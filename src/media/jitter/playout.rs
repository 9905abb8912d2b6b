//! The playout side of one stream: packets in as they come, 10 ms of sound out as often as the device asks.
use crate::media::codec::Decoder;
use crate::media::codec::decoder;
use crate::media::dsp::resample::Upsampler;
use crate::media::error::MediaError;
use crate::media::frame::{FRAME_RATE, Frame};
use crate::media::spec::{Codec, PayloadFormat};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// A packet of the source that is listened to.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// Extended sequence number (RFC 3550 A.1).
    pub sequence: u64,
    /// Extended in the same way [RTP clock].
    pub timestamp: u64,
    /// When the kernel received it.
    pub arrived: Instant,
    pub payload_type: u8,
    pub marker: bool,
    pub payload: &'a [u8],
}

/// What the buffer did so far; durations and counts are cumulative since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlayoutStats {
    /// The codec of the sound played last.
    pub codec: Option<Codec>,
    /// Time from arrival to leaving the buffer, as it is now.
    pub buffer_delay: Option<Duration>,
    pub buffer_target: Option<Duration>,
    /// All that was played since the first packet, and the part of it that was made up.
    pub played: Duration,
    pub concealed: Duration,
    /// Decoded from the copy a later packet carried.
    pub recovered: Duration,
    /// Removed and added by time-stretching.
    pub accelerated: Duration,
    pub expanded: Duration,
    /// Packets that came after their time of playing.
    pub late: u64,
    pub duplicates: u64,
    /// Packets dropped because the buffer was full.
    pub overflowed: u64,
}

/// Packets kept at most: the oldest is dropped for one more.
const CAPACITY: usize = 256;
const TARGET: Duration = Duration::from_millis(40);

#[derive(Debug)]
struct Stored {
    timestamp: u64,
    codec: Codec,
    payload: Vec<u8>,
}

#[derive(Debug)]
pub struct Playout {
    formats: Vec<PayloadFormat>,
    store: BTreeMap<u64, Stored>,
    decoder: Option<Decoder>,
    upsampler: Upsampler,
    pending: VecDeque<f32>,
    next: Option<u64>,
    start: Option<Instant>,
    stats: PlayoutStats,
}

impl Playout {
    /// - `formats`: all that may arrive.
    ///
    /// # Errors
    /// `MediaError::NoFormat` when there is none.
    pub fn new(formats: &[PayloadFormat]) -> Result<Self, MediaError> {
        if formats.is_empty() {
            return Err(MediaError::NoFormat);
        }
        Ok(Self {
            formats: formats.to_vec(),
            store: BTreeMap::new(),
            decoder: None,
            upsampler: Upsampler::new(1),
            pending: VecDeque::new(),
            next: None,
            start: None,
            stats: PlayoutStats::default(),
        })
    }

    /// Takes over a new negotiation; what is stored is still played.
    pub fn set_formats(&mut self, formats: &[PayloadFormat]) {
        self.formats = formats.to_vec();
    }

    /// Takes a packet of the source. Packets of other payload types, such as events, should be handed in too: they
    /// tell that their sequence numbers are not lost sound.
    pub fn insert(&mut self, now: Instant, packet: Incoming<'_>) {
        let Some(format) = self.formats.iter().find(|f| f.payload_type == packet.payload_type) else { return };
        if self.next.is_some_and(|next| packet.sequence < next) {
            self.stats.late += 1;
            return;
        }
        if self.store.contains_key(&packet.sequence) {
            self.stats.duplicates += 1;
            return;
        }
        if self.store.len() >= CAPACITY {
            self.store.pop_first();
            self.stats.overflowed += 1;
        }
        self.start.get_or_insert(now + TARGET);
        let stored = Stored { timestamp: packet.timestamp, codec: format.codec, payload: packet.payload.to_vec() };
        self.store.insert(packet.sequence, stored);
    }

    /// Fills the frame whose first sample is to be played next.
    ///
    /// - `now`: the time of the call; on average 10 ms after the one before.
    pub fn pull(&mut self, now: Instant, frame: &mut Frame) {
        frame.fill(0.0);
        if self.start.is_none_or(|start| now < start) {
            return;
        }
        self.stats.played += Duration::from_millis(10);
        let rate = self.decoder.as_ref().map_or(FRAME_RATE, |d| d.codec().sample_rate());
        if self.pending.len() < rate as usize / 100 {
            self.decode();
        }
        let rate = self.decoder.as_ref().map_or(FRAME_RATE, |d| d.codec().sample_rate());
        let need = rate as usize / 100;
        if self.pending.len() < need {
            self.stats.concealed += Duration::from_millis(10);
            self.pending.resize(need, 0.0);
        }
        let sound: Vec<f32> = self.pending.drain(..need).collect();
        self.upsampler.process(&sound, frame);
    }

    fn decode(&mut self) {
        let Some((sequence, stored)) = self.store.pop_first() else { return };
        let gap = self.next.map_or(0, |next| (sequence - next).min(10));
        if self.decoder.as_ref().is_none_or(|d| d.codec() != stored.codec) {
            self.decoder = Decoder::new(stored.codec).ok();
            self.upsampler = Upsampler::new((FRAME_RATE / stored.codec.sample_rate()) as usize);
            self.pending.clear();
        }
        let Some(decoder) = &mut self.decoder else { return };
        self.stats.codec = Some(stored.codec);
        let mut sound = Vec::new();
        let lost = decoder::duration(stored.codec, &stored.payload).unwrap_or(0) * gap as usize;
        self.pending.extend(std::iter::repeat_n(0.0, lost));
        // A payload that cannot be decoded is silence.
        let _ = decoder.decode(&stored.payload, &mut sound);
        self.pending.extend(sound);
        self.next = Some(sequence + 1);
        let _ = stored.timestamp;
    }

    /// A new source begins: forgets the old one's packets and clock. Counters go on.
    pub fn restart(&mut self) {
        self.store.clear();
        self.pending.clear();
        self.upsampler.reset();
        (self.decoder, self.next, self.start) = (None, None, None);
    }

    pub fn stats(&self) -> PlayoutStats {
        self.stats
    }
}
