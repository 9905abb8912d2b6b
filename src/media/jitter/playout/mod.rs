//! The playout side of one stream: packets in as they come, 10 ms of sound out as often as the device asks.
mod supply;

use crate::media::codec::decoder;
use crate::media::error::MediaError;
use crate::media::frame::{FRAME, Frame};
use crate::media::jitter::clock::{Epoch, FRAME_TICKS, MS, MediaClock, PullClock, Ticks, to_duration};
use crate::media::jitter::delay::DelayEstimator;
use crate::media::jitter::store::{self, Inserted, Packet, PacketStore};
use crate::media::jitter::voice::Voice;
use crate::media::spec::{Codec, PayloadFormat};
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

/// Sound kept at most; for more, the oldest packet is dropped.
const MOST_SOUND: Ticks = 1_200 * MS;
/// So many packets in a row older than what was played: the sender counts anew.
const OLD_RUN: u32 = 50;
/// Ticks in a sample at the lowest rate: less cannot be filled.
const GRAIN: Ticks = 6;
/// No source counts so far.
const LAST_SEQUENCE: u64 = 1 << 60;

/// Where playout stands in the sender's sequence.
#[derive(Clone, Copy, Debug)]
struct Next {
    sequence: u64,
    /// Media time after the last sound put in the line.
    media: Ticks,
    /// Sound put in the line since then that stands for no packet yet.
    filled: Ticks,
    /// The last packet said that silence goes on.
    silence: bool,
    /// The part of `filled` that counts as concealment if packets turn out to be late or lost, not unsent.
    starved: Ticks,
}

/// From packets to frames: buffer, delay estimation, decoding, concealment, time-stretching, resampling to 48 kHz.
///
/// Every 10 ms one of these is done:
///
/// ```text
/// next packet there   -> decode; join it smoothly if made-up sound precedes it
/// later packet there  -> the gap is loss: recover, or bridge it, with what follows in hand
///                     -> or silence of the sender (sequence without a hole): wait in comfort noise until its time
/// nothing there       -> extend the sound, fading; the packets that come then are all played, later than before
/// ahead of the target -> stretch; behind it -> shrink: at once in quiet, by whole periods of the voice in speech
/// ```
#[derive(Debug)]
pub struct Playout {
    formats: Vec<PayloadFormat>,
    store: PacketStore,
    epoch: Option<Epoch>,
    media_clock: MediaClock,
    pulls: PullClock,
    delay: DelayEstimator,
    voice: Option<Voice>,
    next: Option<Next>,
    /// Which of the 64 packets before `next` were played: tells a duplicate from a late one.
    played: u64,
    old_run: u32,
    since_stretch: u32,
    /// Smoothed time from arrival to play.
    waited: Option<Ticks>,
    counts: Counts,
}

/// Cumulative counters, durations in ticks.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    played: Ticks,
    concealed: Ticks,
    recovered: Ticks,
    accelerated: Ticks,
    expanded: Ticks,
    late: u64,
    duplicates: u64,
    overflowed: u64,
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
            store: PacketStore::new(),
            epoch: None,
            media_clock: MediaClock::default(),
            pulls: PullClock::default(),
            delay: DelayEstimator::default(),
            voice: None,
            next: None,
            played: 0,
            old_run: 0,
            since_stretch: 0,
            waited: None,
            counts: Counts::default(),
        })
    }

    /// Takes over a new negotiation; what is stored is still played.
    pub fn set_formats(&mut self, formats: &[PayloadFormat]) {
        self.formats = formats.to_vec();
    }

    /// Takes a packet of the source. Packets of other payload types, such as events, should be handed in too: they
    /// tell that their sequence numbers are not lost sound.
    ///
    /// Payloads longer than 1500 octets are ignored. When 256 packets or 1.2 s of sound wait, the oldest are dropped
    /// and counted, and playout goes on behind them.
    pub fn insert(&mut self, now: Instant, packet: Incoming<'_>) {
        if packet.payload.len() > store::PAYLOAD || packet.sequence > LAST_SEQUENCE {
            return;
        }
        // A time stamp from another clock may lie a little ahead of ours.
        let arrived = packet.arrived.min(now);
        let arrived = self.epoch.get_or_insert(Epoch::new(arrived)).ticks(arrived);
        let format = self.formats.iter().find(|f| f.payload_type == packet.payload_type);
        let codec = format.map(|f| f.codec);
        let samples = codec.map_or(Ok(0), |codec| decoder::duration(codec, packet.payload));
        // A payload that cannot be decoded fills its place in the sequence, and no more.
        let (codec, samples) = samples.map_or((None, 0), |samples| (codec, samples));
        let length = codec.map_or(0, |codec| samples as Ticks * scale(codec.sample_rate()));
        let media = match codec {
            Some(codec) => {
                let usual = self.delay.typical();
                self.media_clock.media(packet.timestamp, codec.clock_rate(), arrived, usual)
            }
            None => 0,
        };
        if let Some(behind) = self.next.and_then(|next| next.sequence.checked_sub(packet.sequence + 1)) {
            if behind < 64 && self.played >> behind & 1 == 1 {
                self.counts.duplicates += 1;
            } else if codec.is_some() {
                self.counts.late += 1;
                self.delay.packet(arrived - media, arrived, length);
                self.old_run += 1;
                if self.old_run >= OLD_RUN {
                    self.restart();
                }
            }
            return;
        }
        while self.store.is_full() || self.store.sound() + length > MOST_SOUND {
            match self.store.first() {
                None => break,
                // It is itself the oldest.
                Some(first) if packet.sequence < first.sequence => {
                    self.counts.overflowed += 1;
                    return;
                }
                Some(_) => self.drop_oldest(),
            }
        }
        let stored = Packet { sequence: packet.sequence, media, arrived, codec, length, payload: Vec::new() };
        match self.store.insert(stored, packet.payload) {
            Inserted::Duplicate => self.counts.duplicates += 1,
            Inserted::Stored if codec.is_some() => {
                self.old_run = 0;
                self.delay.packet(arrived - media, arrived, length);
            }
            Inserted::Stored => {}
        }
    }

    /// Fills the frame whose first sample is to be played next.
    ///
    /// - `now`: the time of the call; on average 10 ms after the one before.
    pub fn pull(&mut self, now: Instant, frame: &mut Frame) {
        frame.fill(0.0);
        let Some(epoch) = self.epoch else { return };
        let due = self.pulls.pull(epoch.ticks(now));
        self.fill(due);
        self.adapt(due);
        let Some(voice) = &mut self.voice else { return };
        voice.play(frame);
        self.counts.played += FRAME_TICKS;
    }

    /// What is played now was made up for longer than a packet lasts: it tells nothing of what the other side says.
    pub fn is_made_up(&self) -> bool {
        self.next.is_none_or(|next| next.filled > 2 * FRAME_TICKS)
    }

    /// A new source begins: forgets the old one's packets and clock. Counters go on.
    pub fn restart(&mut self) {
        self.store.clear();
        self.media_clock.reset();
        self.delay.reset();
        (self.next, self.played, self.old_run, self.waited) = (None, 0, 0, None);
    }

    pub fn stats(&self) -> PlayoutStats {
        let known = |ticks: Ticks| to_duration(ticks.max(0));
        PlayoutStats {
            codec: self.voice.as_ref().map(Voice::codec),
            buffer_delay: self.waited.map(known),
            buffer_target: self.delay.target().map(|target| known(target - self.delay.typical())),
            played: known(self.counts.played),
            concealed: known(self.counts.concealed),
            recovered: known(self.counts.recovered),
            accelerated: known(self.counts.accelerated),
            expanded: known(self.counts.expanded),
            late: self.counts.late,
            duplicates: self.counts.duplicates,
            overflowed: self.counts.overflowed,
        }
    }

    /// Makes room by giving up the sound that would be played next.
    fn drop_oldest(&mut self) {
        let Some(packet) = self.store.pop() else { return };
        self.counts.overflowed += 1;
        if let Some(next) = &mut self.next {
            next.sequence = packet.sequence + 1;
            if packet.codec.is_some() {
                next.media = packet.media + packet.length;
            }
            // Something was made up already, or now the sound jumps: either way it must be joined.
            next.filled = next.filled.max(GRAIN);
            self.played = 0;
        }
        self.store.recycle(packet);
    }
}

/// Ticks in a sample.
fn scale(rate: u32) -> Ticks {
    FRAME as Ticks / Ticks::from(rate / 100).max(1)
}
