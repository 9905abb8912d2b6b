//! The playout side of one stream: packets in as they come, 10 ms of sound out as often as the device asks.
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
/// Concealment has faded to nothing after this long: what follows is silence, not made-up sound.
const FADED: Ticks = 200 * MS;
/// So many packets in a row older than what was played: the sender counts anew.
const OLD_RUN: u32 = 50;
/// Deviation from the target that is left alone, in quiet and in speech.
const QUIET_SLACK: Ticks = 3 * MS;
const LATE_SLACK: Ticks = 40 * MS;
const EARLY_SLACK: Ticks = 12 * MS;
/// Beyond these speech is stretched even where it can be heard.
const FORCE_LATE: Ticks = 500 * MS;
const FORCE_EARLY: Ticks = 100 * MS;
/// Frames between two stretches of speech.
const STRETCH_PAUSE: u32 = 4;
/// Ticks in a sample at the lowest rate: less cannot be filled.
const GRAIN: Ticks = 6;
/// A step of the timestamps that is more than a slip: the delay is learnt anew.
const SLIP: Ticks = 20 * MS;

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
    pub fn insert(&mut self, _now: Instant, packet: Incoming<'_>) {
        if packet.payload.len() > store::PAYLOAD {
            return;
        }
        let arrived = self.epoch.get_or_insert(Epoch::new(packet.arrived)).ticks(packet.arrived);
        let format = self.formats.iter().find(|f| f.payload_type == packet.payload_type);
        let codec = format.map(|f| f.codec);
        let samples = codec.map_or(Ok(0), |codec| decoder::duration(codec, packet.payload));
        // A payload that cannot be decoded fills its place in the sequence, and no more.
        let (codec, samples) = samples.map_or((None, 0), |samples| (codec, samples));
        let length = codec.map_or(0, |codec| samples as Ticks * scale(codec.sample_rate()));
        let media = match codec {
            Some(codec) => {
                let usual = self.delay.typical();
                self.media_clock.media(packet.timestamp, codec.clock_rate(), arrived, usual).0
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
            self.drop_oldest();
            if self.store.is_empty() {
                break;
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
        // Each turn adds sound to the line, changes the codec, or passes over packets: a frame needs but a few.
        for _ in 0..store::PACKETS {
            if !self.supply(due) {
                break;
            }
        }
        self.adapt(due);
        let Some(voice) = &mut self.voice else { return };
        voice.play(frame);
        self.counts.played += FRAME_TICKS;
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
            (next.sequence, next.media, next.filled) = (packet.sequence + 1, packet.media + packet.length, 0);
            self.played = 0;
        }
        self.store.recycle(packet);
    }

    /// Puts sound in the line if it holds less than a frame; `false` when there is nothing more to do.
    fn supply(&mut self, due: Ticks) -> bool {
        let pending = self.voice.as_ref().map_or(0, Voice::pending);
        if pending >= FRAME_TICKS {
            return false;
        }
        let Some(next) = self.next else { return self.begin(due, pending) };
        self.pass_over_fillers();
        let Some((index, head)) = self.store.first_sound() else {
            return self.starve(pending);
        };
        let missing = (head.sequence - next.sequence).saturating_sub(index as u64);
        let gap = head.media - next.media;
        let lost = gap.min((missing.min(1_000) as Ticks) * head.length.max(MS)).max(0);
        let quiet = gap - lost;
        if self.voice.as_ref().is_some_and(|v| head.codec != Some(v.codec())) {
            return self.change_codec(pending);
        }
        if gap < -SLIP || quiet > SLIP {
            // The sender paused, or counts anew: the packet is played at its time, whatever was made up until then.
            let wait = self.wait(due + pending, head);
            if wait > 0 {
                let fill = wait.max(GRAIN).min(FRAME_TICKS - pending);
                return self.fill_silence(fill);
            }
            let planned = head.media + self.delay.target().unwrap_or_default() - due - pending;
            if planned.abs() > LATE_SLACK {
                self.relearn();
            }
            return self.decode(index, due + pending, Before::Break);
        }
        let remaining = lost - next.filled;
        match (missing, next.filled) {
            (0, 0) => self.decode(index, due + pending, Before::Nothing),
            (0, _) => self.decode(index, due + pending, Before::Break),
            _ => self.decode(index, due + pending, Before::Loss { remaining }),
        }
    }

    /// Starts with the first packet when its time has come.
    fn begin(&mut self, due: Ticks, pending: Ticks) -> bool {
        self.pass_over_fillers();
        let Some((_, head)) = self.store.first_sound() else { return self.starve(pending) };
        if self.wait(due + pending, head) > 0 {
            return self.starve(pending);
        }
        let (sequence, media) = (head.sequence, head.media);
        if self.voice.is_none() {
            let Some(codec) = head.codec else { return false };
            self.voice = Voice::new(codec).ok();
            if self.voice.is_none() {
                return false;
            }
        }
        while self.store.first().is_some_and(|p| p.sequence < sequence) {
            self.discard();
        }
        self.next = Some(Next { sequence, media, filled: pending.max(1), silence: false });
        self.played = 0;
        true
    }

    /// How long `head` is still to be held, were it played at `at`.
    fn wait(&self, at: Ticks, head: &Packet) -> Ticks {
        let planned = head.media + self.delay.target().unwrap_or_default() - at;
        // Whatever its timestamp says, no packet waits longer than the fastest one does.
        let limit = head.arrived + self.delay.longest_wait() + FRAME_TICKS - at;
        planned.min(limit)
    }

    /// There is no packet: sound is made up without knowing what will follow.
    fn starve(&mut self, pending: Ticks) -> bool {
        let Some(voice) = &mut self.voice else { return false };
        let fill = FRAME_TICKS - pending;
        match &mut self.next {
            Some(next) if next.silence => return self.fill_silence(fill),
            Some(next) => {
                if next.filled < FADED {
                    self.counts.concealed += fill;
                }
                next.filled += fill;
            }
            None => {}
        }
        voice.extend(fill);
        true
    }

    fn fill_silence(&mut self, fill: Ticks) -> bool {
        let (Some(voice), Some(next)) = (&mut self.voice, &mut self.next) else { return false };
        if next.silence {
            voice.continue_silence(fill);
        } else {
            voice.extend(fill);
        }
        next.filled += fill;
        true
    }

    /// The frame in work is completed by the old codec, then the new one takes over.
    fn change_codec(&mut self, pending: Ticks) -> bool {
        let Some(codec) = self.store.first_sound().and_then(|(_, head)| head.codec) else { return false };
        let (Some(voice), Some(next)) = (&mut self.voice, &mut self.next) else { return false };
        if pending > 0 {
            voice.extend(FRAME_TICKS - pending);
            next.filled += FRAME_TICKS - pending;
            return false;
        }
        next.filled = next.filled.max(1);
        next.silence = false;
        match voice.change(codec) {
            Ok(()) => true,
            Err(_) => {
                self.discard();
                true
            }
        }
    }

    /// Decodes the sound packet at `index` into the line.
    fn decode(&mut self, index: usize, at: Ticks, before: Before) -> bool {
        for _ in 0..index {
            self.discard();
        }
        let (Some(packet), Some(voice), Some(next)) = (self.store.pop(), &mut self.voice, &mut self.next) else {
            return false;
        };
        let waited = at - packet.arrived;
        self.waited = Some(self.waited.map_or(waited, |before| before + (waited - before) / 16));
        match before {
            Before::Nothing => voice.decode(&packet.payload, packet.length),
            Before::Break => self.counts.concealed += voice.decode_joined(&packet.payload, packet.length),
            Before::Loss { remaining } => {
                let made = voice.decode_after_loss(&packet.payload, packet.length, remaining);
                self.counts.recovered += made.recovered;
                self.counts.concealed += made.concealed;
            }
        }
        let passed = packet.sequence - next.sequence + 1;
        self.played = if passed < 64 { self.played << passed | 1 } else { 1 };
        let silence = packet.codec.is_some_and(|codec| decoder::is_silence(codec, &packet.payload));
        *next = Next { sequence: packet.sequence + 1, media: packet.media + packet.length, filled: 0, silence };
        self.store.recycle(packet);
        true
    }

    /// Moves the delay towards the target.
    fn adapt(&mut self, due: Ticks) {
        self.since_stretch = self.since_stretch.saturating_add(1);
        let (Some(next), Some(target)) = (self.next, self.delay.target()) else { return };
        let Some(voice) = &self.voice else { return };
        if next.filled > 0 {
            return;
        }
        let lead = due - (next.media - voice.pending()) - target - self.pulls.early();
        let quiet = voice.is_quiet();
        let may = quiet || self.since_stretch >= STRETCH_PAUSE;
        if lead > if quiet { QUIET_SLACK } else { LATE_SLACK } && may {
            let enough = voice.needed_to_shrink() + FRAME_TICKS;
            self.decode_ahead(due, enough);
            let Some(voice) = &mut self.voice else { return };
            let removed = voice.shrink(lead, lead > FORCE_LATE);
            self.counts.accelerated += removed;
            if removed > 0 {
                self.since_stretch = 0;
            }
            for _ in 0..store::PACKETS {
                if !self.supply(due) {
                    break;
                }
            }
        } else if lead < -if quiet { QUIET_SLACK } else { EARLY_SLACK } && may {
            let Some(voice) = &mut self.voice else { return };
            let added = voice.grow(-lead, lead < -FORCE_EARLY);
            self.counts.expanded += added;
            if added > 0 {
                self.since_stretch = 0;
            }
        }
    }

    /// Decodes packets that follow without a hole until `enough` is in the line.
    fn decode_ahead(&mut self, due: Ticks, enough: Ticks) {
        while let (Some(voice), Some(next), Some(head)) = (&self.voice, &self.next, self.store.first()) {
            let follows = head.sequence == next.sequence && head.media == next.media;
            let pending = voice.pending();
            if pending >= enough || !follows || head.codec != Some(voice.codec()) {
                return;
            }
            self.decode(0, due + pending, Before::Nothing);
        }
    }

    /// The delay so far says nothing any more: it is learnt again from what is stored.
    fn relearn(&mut self) {
        self.delay.reset();
        for packet in self.store.iter().filter(|p| p.codec.is_some()) {
            self.delay.packet(packet.arrived - packet.media, packet.arrived, packet.length);
        }
    }

    /// Leading packets without sound are done with as soon as it is their turn.
    fn pass_over_fillers(&mut self) {
        while let Some(first) = self.store.first().filter(|p| p.codec.is_none()) {
            match &mut self.next {
                Some(next) if next.sequence == first.sequence => next.sequence += 1,
                Some(_) => return,
                None => {}
            }
            self.discard();
        }
    }

    fn discard(&mut self) {
        if let Some(packet) = self.store.pop() {
            self.store.recycle(packet);
        }
    }
}

/// What lies between the line's end and the packet to be decoded.
#[derive(Clone, Copy, Debug)]
enum Before {
    Nothing,
    /// Made-up sound, or a jump: they are joined in phase.
    Break,
    /// Lost packets, of which `remaining` is not made up yet.
    Loss {
        remaining: Ticks,
    },
}

/// Ticks in a sample.
fn scale(rate: u32) -> Ticks {
    FRAME as Ticks / Ticks::from(rate / 100).max(1)
}
