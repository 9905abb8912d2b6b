//! What is put in the line next: a packet, what was lost before it, silence, or sound made up for want of anything.
use super::{GRAIN, Next, Playout};
use crate::media::codec::decoder;
use crate::media::jitter::clock::{FRAME_TICKS, MS, Ticks};
use crate::media::jitter::store::{self, Packet};
use crate::media::jitter::voice::Voice;

/// Concealment has faded to nothing after this long: what follows is silence, not made-up sound.
const FADED: Ticks = 200 * MS;
/// Packets missing in a row that are taken for lost, rather than never sent.
const MOST_MISSING: u64 = 1_000;
/// A step of the timestamps that is more than a slip.
const SLIP: Ticks = 20 * MS;
/// A packet played so far from its planned time shows that the delay must be learnt anew.
const MISPLACED: Ticks = 40 * MS;
/// Deviations from the target that are left alone, as a pause goes on, in a short break between sounds, and in speech:
/// ahead of it, where packets may come too late, and behind it, where only time is lost.
const EARLY_SLACK: [Ticks; 3] = [3 * MS, 10 * MS, 15 * MS];
const LATE_SLACK: [Ticks; 3] = [8 * MS, 40 * MS, 90 * MS];
/// To the latter comes this part of what jitter adds to the target, which moves by as much without need.
const JITTER_SLACK: Ticks = 6;
/// Frames without a stretch that take 1 ms off what is left alone in speech.
const PATIENCE: Ticks = 10;
/// Quiet that lasts so long is a pause, not the closed lips of a `p`.
const PAUSE: Ticks = 150 * MS;
/// Beyond these speech is stretched even where it can be heard.
const FORCE_EARLY: Ticks = 100 * MS;
const FORCE_LATE: Ticks = 500 * MS;
/// Frames between two stretches of speech.
const STRETCH_PAUSE: u32 = 4;

impl Playout {
    /// Fills the line to a frame.
    pub(super) fn fill(&mut self, due: Ticks) {
        // Each turn adds sound to the line, changes the codec, or passes over packets: a frame needs but a few.
        for _ in 0..store::PACKETS {
            if !self.supply(due) {
                return;
            }
        }
    }

    /// Puts sound in the line if it holds less than a frame; `false` when there is nothing more to do.
    fn supply(&mut self, due: Ticks) -> bool {
        let pending = self.voice.as_ref().map_or(0, Voice::pending);
        if pending >= FRAME_TICKS {
            return false;
        }
        self.pass_over_fillers();
        let Some(next) = self.next else { return self.begin(due, pending) };
        let Some((index, head)) = self.store.first_sound() else { return self.starve(pending) };
        if self.voice.as_ref().is_some_and(|v| head.codec != Some(v.codec())) {
            return self.change_codec(pending);
        }
        let missing = head.sequence.saturating_sub(next.sequence + index as u64);
        let gap = head.media - next.media;
        let lost = gap.min(missing.min(MOST_MISSING) as Ticks * head.length).max(0);
        if gap < -SLIP || gap - lost > SLIP {
            // The sender paused, or counts anew: the packet is played at its time, whatever was made up until then.
            let wait = self.wait(due + pending, head);
            if wait > 0 {
                return self.fill_silence(wait.max(GRAIN).min(FRAME_TICKS - pending));
            }
            if gap < -SLIP || self.planned(head) - due - pending > MISPLACED {
                self.relearn();
            }
            return self.decode(index, due + pending, Before::Silence);
        }
        let before = match (missing, next.filled) {
            (0, 0) => Before::Nothing,
            (0, _) => Before::Delay,
            (_, filled) => Before::Loss { remaining: lost - filled },
        };
        self.decode(index, due + pending, before)
    }

    /// Starts with the first packet when its time has come.
    fn begin(&mut self, due: Ticks, pending: Ticks) -> bool {
        let Some((index, head)) = self.store.first_sound() else { return self.starve(pending) };
        if self.wait(due + pending, head) > 0 {
            return self.starve(pending);
        }
        let (sequence, media, codec) = (head.sequence, head.media, head.codec);
        if self.voice.is_none() {
            self.voice = codec.and_then(|codec| Voice::new(codec).ok());
        }
        for _ in 0..index {
            self.discard();
        }
        self.next = Some(Next { sequence, media, filled: GRAIN, starved: 0, silence: false });
        self.played = 0;
        self.voice.is_some()
    }

    /// When `head` should be played.
    fn planned(&self, head: &Packet) -> Ticks {
        head.media + self.delay.target().unwrap_or_default() + self.pulls.early()
    }

    /// How long `head` is still to be held, were it played at `at`.
    fn wait(&self, at: Ticks, head: &Packet) -> Ticks {
        // Whatever its timestamp says, no packet waits longer than the fastest one does.
        let limit = head.arrived + self.delay.longest_wait() + self.pulls.early() + FRAME_TICKS;
        self.planned(head).min(limit) - at
    }

    /// There is no packet: sound is made up without knowing what will follow.
    fn starve(&mut self, pending: Ticks) -> bool {
        let fill = FRAME_TICKS - pending;
        match (&mut self.voice, &mut self.next) {
            (None, _) => return false,
            (Some(voice), None) => voice.extend(fill),
            (_, Some(next)) if next.silence => return self.fill_silence(fill),
            (Some(voice), Some(next)) => {
                voice.extend(fill);
                next.filled += fill;
                next.starved = (next.starved + fill).min(FADED);
            }
        }
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
        let codec = self.store.first_sound().and_then(|(_, head)| head.codec);
        let (Some(voice), Some(next), Some(codec)) = (&mut self.voice, &mut self.next, codec) else { return false };
        if pending > 0 {
            let fill = FRAME_TICKS - pending;
            voice.extend(fill);
            next.filled += fill;
            return false;
        }
        (next.filled, next.silence) = (next.filled.max(GRAIN), false);
        if voice.change(codec).is_err() {
            // Without a decoder the packet is no sound.
            self.discard();
        }
        true
    }

    /// Decodes the sound packet at `index` into the line; its first sample is played at `at`.
    fn decode(&mut self, index: usize, at: Ticks, before: Before) -> bool {
        for _ in 0..index {
            self.discard();
        }
        let (Some(packet), Some(voice), Some(next)) = (self.store.pop(), &mut self.voice, &mut self.next) else {
            return false;
        };
        match before {
            Before::Nothing => voice.decode(&packet.payload, packet.length),
            Before::Silence => voice.decode_joined(&packet.payload, packet.length),
            Before::Delay => {
                voice.decode_joined(&packet.payload, packet.length);
                self.counts.concealed += next.starved;
            }
            Before::Loss { remaining } => {
                let made = voice.decode_after_loss(&packet.payload, packet.length, remaining);
                self.counts.recovered += made.recovered;
                self.counts.concealed += made.concealed + next.starved;
            }
        }
        let waited = at - packet.arrived;
        self.waited = Some(self.waited.map_or(waited, |average| average + (waited - average) / 16));
        let passed = packet.sequence.saturating_sub(next.sequence) + 1;
        self.delay.played_after(passed.saturating_sub(1 + index as u64));
        self.played = if passed < 64 { self.played << passed | 1 } else { 1 };
        *next = Next {
            sequence: packet.sequence + 1,
            media: packet.media + packet.length,
            filled: 0,
            starved: 0,
            silence: packet.codec.is_some_and(|codec| decoder::is_silence(codec, &packet.payload)),
        };
        self.store.recycle(packet);
        true
    }

    /// Moves the delay towards the target.
    pub(super) fn adapt(&mut self, due: Ticks) {
        self.since_stretch = self.since_stretch.saturating_add(1);
        let (Some(voice), Some(next), Some(target)) = (&mut self.voice, self.next, self.delay.target()) else { return };
        if next.filled > 0 {
            return;
        }
        let lead = due - (next.media - voice.pending()) - target - self.pulls.early();
        let chance = match voice.is_quiet() {
            true if voice.quiet() >= PAUSE => 0,
            true => 1,
            false if self.since_stretch >= STRETCH_PAUSE => 2,
            false => return,
        };
        let jitter = target - self.delay.typical();
        // Sound without a pause is not left behind for ever.
        let patience = LATE_SLACK[chance] - Ticks::from(self.since_stretch) * MS / PATIENCE;
        let late_slack = patience.max(LATE_SLACK[1].min(LATE_SLACK[chance])) + jitter / JITTER_SLACK;
        if lead > late_slack {
            let enough = voice.needed_to_shrink();
            self.decode_ahead(due, enough);
            let Some(voice) = &mut self.voice else { return };
            let removed = voice.shrink(lead, lead > FORCE_LATE);
            self.stretched(removed);
            self.counts.accelerated += removed;
            self.fill(due);
        } else if lead < -EARLY_SLACK[chance] {
            let added = voice.grow(-lead, lead < -FORCE_EARLY);
            self.stretched(added);
            self.counts.expanded += added;
        }
    }

    fn stretched(&mut self, by: Ticks) {
        if by > 0 {
            self.since_stretch = 0;
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
        let sound = self.store.iter().filter(|p| p.codec.is_some());
        self.delay.learn_anew(sound.map(|p| (p.arrived - p.media, p.arrived, p.length)));
    }

    /// Leading packets without sound are done with as soon as it is their turn: the sender does something else.
    fn pass_over_fillers(&mut self) {
        while let Some(first) = self.store.first().filter(|p| p.codec.is_none()) {
            match &mut self.next {
                Some(next) if next.sequence == first.sequence => {
                    (next.sequence, next.silence) = (first.sequence + 1, true)
                }
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
    /// Sound made up while the packet was late.
    Delay,
    /// A pause of the sender, or a jump of its clock.
    Silence,
    /// Lost packets, of which `remaining` is not made up yet.
    Loss {
        remaining: Ticks,
    },
}
