//! The media thread's time: a grid of 10 ms that never shifts, and whether anybody needs it now.
use crate::base::id::StreamId;
use crate::media::spec::{MediaCommand, Tone};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// One frame of sound.
pub const TICK: Duration = Duration::from_millis(10);
/// Frames made up for when the thread was late; what is beyond that is left out.
const CATCH_UP: u64 = 20;
/// Devices stay open this long after the last sound.
const LINGER: Duration = Duration::from_secs(3);

/// Frames that are due.
#[derive(Debug)]
pub struct Ticks {
    next: Instant,
}

impl Ticks {
    pub fn new(start: Instant) -> Self {
        Self { next: start }
    }

    /// When the next frame is due.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// Takes a frame that is due.
    pub fn take(&mut self, now: Instant) -> Option<Instant> {
        let at = self.next;
        (at <= now).then(|| {
            self.next = at + TICK;
            at
        })
    }

    /// Leaves out all frames due so far but the last `keep`: where they began and how many they are.
    pub fn skip(&mut self, now: Instant, keep: u64) -> Option<(Instant, u64)> {
        let from = self.next;
        let late = now.checked_duration_since(from)?;
        let due = u64::try_from(late.as_nanos() / TICK.as_nanos()).unwrap_or(u64::MAX).saturating_add(1);
        let count = due.saturating_sub(keep);
        if count == 0 {
            return None;
        }
        let nanos = u64::try_from(TICK.as_nanos()).unwrap_or(u64::MAX).saturating_mul(count);
        self.next = from + Duration::from_nanos(nanos);
        Some((from, count))
    }

    /// Leaves out what is too late to be made up for.
    pub fn skip_hopeless(&mut self, now: Instant) -> Option<(Instant, u64)> {
        let late = now.saturating_duration_since(self.next);
        if late > TICK * CATCH_UP as u32 { self.skip(now, 1) } else { None }
    }
}

/// What a command changes about the need for sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    None,
    /// Sound is needed: open the devices.
    Begins,
    /// The first conversation begins: a file as microphone starts from its beginning.
    Talks,
}

/// Whether sound is needed: for a stream, for a tone, or since one just ended.
#[derive(Debug, Default)]
pub struct Activity {
    open: BTreeSet<StreamId>,
    configured: BTreeSet<StreamId>,
    tone: bool,
    /// Without any of these the devices are closed at this time.
    until: Option<Instant>,
}

impl Activity {
    /// The devices were opened by the way: keep them for a moment.
    pub fn touch(&mut self, now: Instant) {
        self.until = Some(now + LINGER);
    }

    pub fn handle_command(&mut self, now: Instant, command: &MediaCommand) -> Change {
        let (before, talked) = (self.is_active(now), !self.configured.is_empty());
        match command {
            MediaCommand::Open { stream, .. } => {
                self.open.insert(*stream);
            }
            MediaCommand::Configure { stream, .. } => {
                if self.open.contains(stream) {
                    self.configured.insert(*stream);
                }
            }
            MediaCommand::Close { stream, .. } => self.closed(*stream),
            MediaCommand::Record { .. } => {}
            MediaCommand::Play(tone) => {
                // A digit's tone ends by itself.
                self.tone = tone.is_some_and(|tone| !matches!(tone, Tone::Digit(_)));
                self.touch(now);
            }
            MediaCommand::Focus { .. }
            | MediaCommand::Candidates { .. }
            | MediaCommand::SendDigit { .. }
            | MediaCommand::Mute(_)
            | MediaCommand::Gain { .. } => return Change::None,
        }
        if before || self.is_needed() {
            self.touch(now);
        }
        if !talked && !self.configured.is_empty() {
            Change::Talks
        } else if !before && self.is_active(now) {
            Change::Begins
        } else {
            Change::None
        }
    }

    /// A stream that could not be opened, or that is over.
    pub fn closed(&mut self, stream: StreamId) {
        self.open.remove(&stream);
        self.configured.remove(&stream);
    }

    pub fn is_active(&self, now: Instant) -> bool {
        self.is_needed() || self.until.is_some_and(|until| now < until)
    }

    fn is_needed(&self) -> bool {
        self.tone || !self.open.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{IpAddr, Ipv4Addr};

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_grid_does_not_shift() {
        let t0 = Instant::now();
        let mut ticks = Ticks::new(t0);
        assert_eq!(ticks.take(t0), Some(t0));
        assert_eq!(ticks.take(t0 + MS * 9), None);
        assert_eq!(ticks.take(t0 + MS * 37), Some(t0 + MS * 10));
        assert_eq!(ticks.take(t0 + MS * 37), Some(t0 + MS * 20));
        assert_eq!(ticks.take(t0 + MS * 37), Some(t0 + MS * 30));
        assert_eq!(ticks.take(t0 + MS * 37), None);
        // (now, skipped from, count)
        let rows = [
            (MS * 39, None),
            (MS * 40, Some((MS * 40, 1))),
            (MS * 79, Some((MS * 50, 3))),
            (Duration::from_secs(3_600), Some((MS * 80, 359_993))),
        ];
        for (now, skipped) in rows {
            assert_eq!(ticks.skip(t0 + now, 0), skipped.map(|(from, count)| (t0 + from, count)), "{now:?}");
        }
        assert_eq!(ticks.next(), t0 + Duration::from_secs(3_600) + TICK);
    }

    #[test]
    fn a_short_stall_is_made_up_for_and_a_long_one_left_out() {
        let t0 = Instant::now();
        let mut ticks = Ticks::new(t0);
        assert_eq!(ticks.skip_hopeless(t0 + MS * 200), None);
        assert_eq!(ticks.skip_hopeless(t0 + MS * 255), Some((t0, 25)));
        assert_eq!(ticks.take(t0 + MS * 255), Some(t0 + MS * 250));
        assert_eq!(ticks.take(t0 + MS * 255), None);
    }

    fn open(stream: u32) -> MediaCommand {
        MediaCommand::Open { stream: StreamId(stream), local: IpAddr::V4(Ipv4Addr::LOCALHOST), gather: None }
    }

    fn close(stream: u32) -> MediaCommand {
        MediaCommand::Close { stream: StreamId(stream), reason: String::new() }
    }

    #[test]
    fn sound_is_needed_from_the_first_stream_or_tone_to_a_moment_after_the_last() {
        let t0 = Instant::now();
        let mut activity = Activity::default();
        assert!(!activity.is_active(t0));
        let rows = [
            (MediaCommand::Mute(true), Change::None, false),
            (close(1), Change::None, false),
            (open(1), Change::Begins, true),
            (open(2), Change::None, true),
            (close(1), Change::None, true),
            (MediaCommand::Play(Some(Tone::Ring(crate::media::spec::Ring::Usual))), Change::None, true),
            (close(2), Change::None, true),
            (MediaCommand::Play(None), Change::None, false),
            (MediaCommand::Play(crate::media::spec::Digit::from_char('1').map(Tone::Digit)), Change::Begins, false),
        ];
        let mut now = t0;
        for (command, change, needed) in rows {
            now += Duration::from_secs(10);
            assert_eq!(activity.handle_command(now, &command), change, "{command:?}");
            assert_eq!(activity.is_active(now + LINGER), needed, "{command:?}");
        }
        assert!(activity.is_active(now + LINGER - MS), "it lingers");
    }
}
