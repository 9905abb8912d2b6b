//! Named telephone events: DTMF digits as RTP payloads of their own (RFC 4733).
use crate::media::spec::{Digit, TelephoneEvent};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Power of the digit [-dBm0], RFC 4733 §2.3.3.
const VOLUME: u8 = 10;
/// Packets that say the event is over (§2.5.1.4).
const END_PACKETS: u8 = 3;
/// Silence after each digit, so that the receiver tells two equal ones apart.
const PAUSE: Duration = Duration::from_millis(60);
/// The shortest digit a receiver must recognise.
const SHORTEST: Duration = Duration::from_millis(40);
/// Digits waiting to be sent.
const QUEUE: usize = 64;
/// After this long without a packet an event whose end was lost is over.
const LOST_END: Duration = Duration::from_millis(250);

/// One packet of an event: it takes the sound's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventPacket {
    pub payload_type: u8,
    /// The same in all packets of one event [RTP clock].
    pub timestamp: u32,
    /// Set on the first packet of an event.
    pub marker: bool,
    pub payload: [u8; 4],
}

/// Sends digits one after another.
///
/// ```text
/// idle --digit--> sounding --duration over--> ending (3 packets) --> pause --> idle
/// ```
#[derive(Clone, Debug)]
pub struct EventSender {
    format: TelephoneEvent,
    queue: VecDeque<(Digit, Duration)>,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Idle,
    Sounding { digit: Digit, start: u32, ticks: u32, first: bool },
    Ending { digit: Digit, start: u32, ticks: u32, left: u8 },
    Pause { since: u32 },
}

impl EventSender {
    pub fn new(format: TelephoneEvent) -> Self {
        Self { format, queue: VecDeque::new(), state: State::Idle }
    }

    /// Queues a digit; one too many is dropped and `false` returned.
    ///
    /// - `duration`: at least 40 ms; at most what 16 bits of the RTP clock hold (8 s at 8 kHz, 1.3 s at 48 kHz).
    pub fn send(&mut self, digit: Digit, duration: Duration) -> bool {
        let room = self.queue.len() < QUEUE;
        if room {
            self.queue.push_back((digit, duration));
        }
        room
    }

    /// While this is so, events are sent in place of sound.
    pub fn is_active(&self) -> bool {
        !matches!(self.state, State::Idle) || !self.queue.is_empty()
    }

    /// To be called once for each packet time, in place of sending sound.
    ///
    /// - `timestamp`: what a sound packet sent now would carry [RTP clock].
    pub fn poll(&mut self, timestamp: u32) -> Option<EventPacket> {
        if let State::Pause { since } = self.state
            && timestamp.wrapping_sub(since) >= self.ticks(PAUSE)
        {
            self.state = State::Idle;
        }
        if let State::Idle = self.state {
            let (digit, duration) = self.queue.pop_front()?;
            let ticks = self.ticks(duration.max(SHORTEST)).min(u32::from(u16::MAX));
            self.state = State::Sounding { digit, start: timestamp, ticks, first: true };
        }
        match self.state {
            State::Idle | State::Pause { .. } => None,
            State::Sounding { digit, start, ticks, first } => {
                let elapsed = timestamp.wrapping_sub(start);
                if elapsed >= ticks && !first {
                    return self.end(digit, start, ticks, END_PACKETS, timestamp);
                }
                self.state = State::Sounding { digit, start, ticks, first: false };
                Some(self.packet(digit, start, elapsed.min(ticks), false, first))
            }
            State::Ending { digit, start, ticks, left } => self.end(digit, start, ticks, left, timestamp),
        }
    }

    fn end(&mut self, digit: Digit, start: u32, ticks: u32, left: u8, now: u32) -> Option<EventPacket> {
        self.state = match left {
            0 | 1 => State::Pause { since: now },
            _ => State::Ending { digit, start, ticks, left: left - 1 },
        };
        Some(self.packet(digit, start, ticks, true, false))
    }

    fn packet(&self, digit: Digit, start: u32, ticks: u32, end: bool, marker: bool) -> EventPacket {
        let duration = (ticks as u16).to_be_bytes();
        let payload = [digit.event(), u8::from(end) << 7 | VOLUME, duration[0], duration[1]];
        EventPacket { payload_type: self.format.payload_type, timestamp: start, marker, payload }
    }

    fn ticks(&self, duration: Duration) -> u32 {
        (duration.as_secs_f64() * f64::from(self.format.clock_rate)) as u32
    }
}

/// A digit the peer pressed, told once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceivedDigit {
    pub digit: Digit,
    pub duration: Duration,
}

/// Puts events together from whichever of their packets arrive.
#[derive(Clone, Debug, Default)]
pub struct EventReceiver {
    formats: Vec<TelephoneEvent>,
    sounding: Option<Sounding>,
    /// Time stamp of the last event told, so that copies of its end are not told again [RTP clock].
    told: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Sounding {
    digit: Digit,
    timestamp: u32,
    duration: Duration,
    heard: Instant,
}

impl EventReceiver {
    pub fn new(formats: &[TelephoneEvent]) -> Self {
        Self { formats: formats.to_vec(), sounding: None, told: None }
    }

    /// Takes over a new negotiation; an event in progress goes on.
    pub fn set_formats(&mut self, formats: &[TelephoneEvent]) {
        self.formats = formats.to_vec();
    }

    /// The payload type is one of ours.
    pub fn takes(&self, payload_type: u8) -> bool {
        self.formats.iter().any(|f| f.payload_type == payload_type)
    }

    /// Takes a packet; returns a digit that is over with it: its own, or one before whose end was lost.
    ///
    /// Other payload types, malformed payloads, events that are no digits and old packets are ignored.
    pub fn handle(&mut self, now: Instant, payload_type: u8, timestamp: u32, payload: &[u8]) -> Option<ReceivedDigit> {
        let format = self.formats.iter().find(|f| f.payload_type == payload_type)?;
        let [event, flags, high, low] = *payload.first_chunk::<4>()?;
        let digit = Digit::from_event(event)?;
        let ticks = u32::from(u16::from_be_bytes([high, low]));
        let duration = Duration::from_secs(1) * ticks / format.clock_rate.max(1);
        let newest = self.sounding.map(|s| s.timestamp).or(self.told);
        // Serial number arithmetic: an event older than the newest one is a packet that came late.
        if newest.is_some_and(|newest| (timestamp.wrapping_sub(newest) as i32) < 0) {
            return None;
        }
        if self.sounding.is_none() && self.told == Some(timestamp) {
            return None;
        }
        let before = self.sounding.filter(|s| s.timestamp != timestamp);
        let longest = self.sounding.filter(|s| s.timestamp == timestamp).map_or(duration, |s| s.duration.max(duration));
        let this = Sounding { digit, timestamp, duration: longest, heard: now };
        self.sounding = Some(this);
        if let Some(before) = before {
            // Its end was lost. Should this packet itself be an end, its copies or the time-out will tell it.
            return Some(self.tell(before, Some(this)));
        }
        (flags & 0x80 != 0).then(|| self.tell(this, None))
    }

    /// When [`Self::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.sounding.map(|s| s.heard + LOST_END)
    }

    /// Returns a digit whose packets have stopped without an end.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<ReceivedDigit> {
        let over = self.sounding.filter(|s| now >= s.heard + LOST_END)?;
        Some(self.tell(over, None))
    }

    /// A new source counts its time from elsewhere.
    pub fn restart(&mut self) {
        (self.sounding, self.told) = (None, None);
    }

    fn tell(&mut self, over: Sounding, next: Option<Sounding>) -> ReceivedDigit {
        (self.sounding, self.told) = (next, Some(over.timestamp));
        ReceivedDigit { digit: over.digit, duration: over.duration }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: TelephoneEvent = TelephoneEvent { payload_type: 101, clock_rate: 8_000 };

    fn digit(c: char) -> Digit {
        Digit::from_char(c).expect("digit")
    }

    /// All packets of `digits` at 20 ms a packet, with the time each is sent.
    fn sent(digits: &[(char, u64)]) -> Vec<(u64, EventPacket)> {
        let mut sender = EventSender::new(FORMAT);
        for (c, ms) in digits {
            assert!(sender.send(digit(*c), Duration::from_millis(*ms)));
        }
        let mut packets = Vec::new();
        for tick in 0..1_000_u32 {
            packets.extend(sender.poll(tick.wrapping_mul(160).wrapping_sub(320)).map(|p| (u64::from(tick) * 20, p)));
        }
        assert!(!sender.is_active());
        packets
    }

    #[test]
    fn an_event_grows_and_ends_three_times() {
        let packets: Vec<_> = sent(&[('5', 100)]).into_iter().map(|(_, p)| p).collect();
        let durations: Vec<u16> = packets.iter().map(|p| u16::from_be_bytes([p.payload[2], p.payload[3]])).collect();
        assert_eq!(durations, [0, 160, 320, 480, 640, 800, 800, 800]);
        assert!(
            packets.iter().all(|p| p.timestamp == packets[0].timestamp && p.payload[0] == 5 && p.payload_type == 101)
        );
        let flags: Vec<_> = packets.iter().map(|p| (p.marker, p.payload[1])).collect();
        assert_eq!(flags[0], (true, VOLUME));
        assert!(flags[1..5].iter().all(|f| *f == (false, VOLUME)));
        assert!(flags[5..].iter().all(|f| *f == (false, 0x80 | VOLUME)));
    }

    #[test]
    fn the_queue_and_the_length_have_caps() {
        let mut sender = EventSender::new(TelephoneEvent { clock_rate: 48_000, ..FORMAT });
        for _ in 0..QUEUE {
            assert!(sender.send(digit('1'), Duration::from_secs(60)));
        }
        assert!(!sender.send(digit('1'), Duration::from_secs(1)));
        let last = (0..100).filter_map(|tick| sender.poll(tick * 960)).find(|p| p.payload[1] & 0x80 != 0);
        assert_eq!(last.map(|p| [p.payload[2], p.payload[3]]), Some([0xff, 0xff]));
    }

    fn received(packets: &[(u64, EventPacket)]) -> Vec<(char, u64)> {
        let (start, mut receiver, mut out) = (Instant::now(), EventReceiver::new(&[FORMAT]), Vec::new());
        for (ms, p) in packets {
            let now = start + Duration::from_millis(*ms);
            out.extend(receiver.handle_timeout(now));
            out.extend(receiver.handle(now, p.payload_type, p.timestamp, &p.payload));
        }
        out.extend(receiver.poll_timeout().and_then(|at| receiver.handle_timeout(at)));
        assert_eq!(receiver.poll_timeout(), None);
        out.iter().map(|d| (d.digit.to_char(), d.duration.as_millis() as u64)).collect()
    }

    #[test]
    fn each_digit_is_told_once_whatever_is_lost() {
        let all = sent(&[('1', 100), ('1', 100), ('#', 200)]);
        assert_eq!(all.len(), 8 + 8 + 13);
        let keep = |lost: &dyn Fn(usize) -> bool| -> Vec<_> {
            all.iter().enumerate().filter(|(n, _)| !lost(*n)).map(|(_, p)| *p).collect()
        };
        let whole = vec![('1', 100), ('1', 100), ('#', 200)];
        assert_eq!(received(&all), whole);
        // The start, all ends of the first, all ends of the last, everything but one end.
        assert_eq!(received(&keep(&|n| n < 3)), whole);
        assert_eq!(received(&keep(&|n| (5..8).contains(&n))), [('1', 80), ('1', 100), ('#', 200)]);
        assert_eq!(received(&keep(&|n| n >= 26)), [('1', 100), ('1', 100), ('#', 180)]);
        assert_eq!(received(&keep(&|n| ![7, 15, 28].contains(&n))), whole);
        // Duplicates and a packet of the first digit after its end.
        let mut late = all.clone();
        late.insert(6, all[2]);
        late.insert(12, all[3]);
        late.push(all[28]);
        assert_eq!(received(&late), whole);
    }

    #[test]
    fn what_is_no_digit_is_ignored() {
        let (now, mut receiver) = (Instant::now(), EventReceiver::new(&[FORMAT]));
        let rows: [(u8, &[u8]); 5] =
            [(101, &[]), (101, &[1, 0x80, 0]), (100, &[1, 0x80, 0, 0]), (101, &[17, 0x80, 0, 0]), (101, &[255; 4])];
        for (payload_type, payload) in rows {
            assert_eq!(receiver.handle(now, payload_type, 1, payload), None);
        }
        assert_eq!(receiver.poll_timeout(), None);
        assert!(receiver.handle(now, 101, 1, &[1, 0x80, 0, 160, 9]).is_some());
    }
}
