//! What one stream sends: SSRC, sequence numbers and the time stamps of a media clock that never stops
//! (RFC 3550 §5.1, §8.1; RFC 3551 §4.1 for the marker; RFC 7160 §4.1 for a changing clock rate).
use crate::base::rng::Rng;
use crate::media::error::MediaError;
use crate::media::frame::{FRAME, FRAME_DURATION, FRAME_RATE};
use crate::media::rtp::extension;
use crate::media::rtp::packet::{Header, Ssrc};
use std::time::{Duration, Instant};

/// Sound that did not come for so long is missing, not late: the clock makes up for it. Shorter pauses are the
/// scheduler's, and what was recorded in them still comes.
const STALL: Duration = Duration::from_millis(500);

/// The sending side of a stream.
#[derive(Clone, Debug)]
pub struct Sender {
    ssrc: Ssrc,
    sequence: u16,
    /// The time stamp and the position [frame samples] from which the present clock rate counts.
    anchor: (u32, u64),
    clock_rate: u32,
    /// Samples of sound, sent or not, since the stream began.
    position: u64,
    last_frame: Option<Instant>,
    /// The next packet begins a talk-spurt.
    spurt: bool,
    last_sent: Option<Instant>,
    /// Of the present SSRC, as a sender report counts.
    packets: u32,
    octets: u32,
    /// Over all SSRCs.
    total_packets: u64,
    total_octets: u64,
    /// The header extension of the next packets.
    extension: Option<u16>,
    extended: Vec<u8>,
}

impl Sender {
    pub fn new(rng: &mut Rng, clock_rate: u32) -> Self {
        Self {
            ssrc: Ssrc(rng.u32()),
            sequence: first_sequence(rng),
            anchor: (rng.u32(), 0),
            clock_rate,
            position: 0,
            last_frame: None,
            spurt: true,
            last_sent: None,
            packets: 0,
            octets: 0,
            total_packets: 0,
            total_octets: 0,
            extension: None,
            extended: Vec::new(),
        }
    }

    /// Another participant has our SSRC (RFC 3550 §8.2): takes a new one that is neither the old one nor `taken`.
    pub fn change_ssrc(&mut self, rng: &mut Rng, taken: Option<Ssrc>) {
        let old = self.ssrc;
        while self.ssrc == old || Some(self.ssrc) == taken {
            self.ssrc = Ssrc(rng.u32());
        }
        self.sequence = first_sequence(rng);
        self.anchor = (rng.u32(), self.position);
        self.spurt = true;
        self.packets = 0;
        self.octets = 0;
    }

    /// The codec changed: time stamps go on from where they are, at the new rate.
    pub fn set_clock_rate(&mut self, clock_rate: u32) {
        if clock_rate != self.clock_rate {
            self.anchor = (self.timestamp(), self.position);
            self.clock_rate = clock_rate;
        }
    }

    /// A frame of sound came in at `now`, whether it will be sent or not.
    pub fn advance(&mut self, now: Instant) {
        if let Some(last) = self.last_frame.replace(now) {
            let stalled = now.saturating_duration_since(last);
            if stalled >= STALL {
                self.position += samples(stalled - FRAME_DURATION);
                self.spurt = true;
            }
        }
        self.position += FRAME as u64;
    }

    /// Nothing is sent from here on; what comes next begins a talk-spurt.
    pub fn pause(&mut self) {
        self.spurt = true;
    }

    /// Packets carry these elements from here on.
    pub fn set_elements(&mut self, elements: &[(u8, &[u8])]) {
        self.extension = extension::write(elements, &mut self.extended);
    }

    /// Writes a packet of sound whose last sample is the last that came in.
    ///
    /// - `units`: its length in units of the clock.
    ///
    /// # Errors
    /// As [`Header::write`]; no number is used up then.
    pub fn write(
        &mut self,
        now: Instant,
        payload_type: u8,
        units: u32,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), MediaError> {
        let marker = self.spurt;
        self.write_at(now, self.timestamp().wrapping_sub(units), marker, payload_type, payload, out)?;
        self.spurt = false;
        Ok(())
    }

    /// Writes a packet with a time stamp of its own: the packets of one telephone event all have that of its start
    /// (RFC 4733 §2.5.1.2). The sound after it begins a talk-spurt.
    ///
    /// # Errors
    /// As [`Header::write`].
    pub fn write_event(
        &mut self,
        now: Instant,
        timestamp: u32,
        marker: bool,
        payload_type: u8,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), MediaError> {
        self.write_at(now, timestamp, marker, payload_type, payload, out)?;
        self.spurt = true;
        Ok(())
    }

    fn write_at(
        &mut self,
        now: Instant,
        timestamp: u32,
        marker: bool,
        payload_type: u8,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), MediaError> {
        let header = Header { marker, payload_type, sequence: self.sequence, timestamp, ssrc: self.ssrc };
        let extension = self.extension.map(|profile| (profile, self.extended.as_slice()));
        header.write_extended(extension, payload, out)?;
        self.sequence = self.sequence.wrapping_add(1);
        self.last_sent = Some(now);
        self.packets = self.packets.wrapping_add(1);
        self.octets = self.octets.wrapping_add(payload.len() as u32);
        self.total_packets += 1;
        self.total_octets += payload.len() as u64;
        Ok(())
    }

    /// The time stamp of the next sample to come in.
    pub fn timestamp(&self) -> u32 {
        let (base, from) = self.anchor;
        let units = u128::from(self.position - from) * u128::from(self.clock_rate) / u128::from(FRAME_RATE);
        base.wrapping_add(units as u32)
    }

    /// The time stamp of the sound `before` that, in units of a clock that may not be ours: events may have their own.
    pub fn timestamp_before(&self, before: Duration, clock_rate: u32) -> u32 {
        let units = (before.as_nanos() * u128::from(clock_rate) / 1_000_000_000) as u32;
        if clock_rate == self.clock_rate {
            return self.timestamp().wrapping_sub(units);
        }
        let position = u128::from(self.position) * u128::from(clock_rate) / u128::from(FRAME_RATE);
        self.anchor.0.wrapping_add(position as u32).wrapping_sub(units)
    }

    /// The time stamp that corresponds to `now`, for a sender report (RFC 3550 §6.4.1).
    pub fn timestamp_at(&self, now: Instant) -> u32 {
        let since = self.last_frame.map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        let units = since.as_nanos() * u128::from(self.clock_rate) / 1_000_000_000;
        self.timestamp().wrapping_add(units as u32)
    }

    pub fn ssrc(&self) -> Ssrc {
        self.ssrc
    }

    /// \[Hz\]
    pub fn clock_rate(&self) -> u32 {
        self.clock_rate
    }

    /// Packets and payload octets of the present SSRC (RFC 3550 §6.4.1).
    pub fn report_counts(&self) -> (u32, u32) {
        (self.packets, self.octets)
    }

    /// Packets and payload octets since the stream was opened.
    pub fn totals(&self) -> (u64, u64) {
        (self.total_packets, self.total_octets)
    }

    pub fn last_sent(&self) -> Option<Instant> {
        self.last_sent
    }
}

/// Random, in the lower half: who joins an encrypted stream must not meet its wrap at once (RFC 3711 §3.3.1).
fn first_sequence(rng: &mut Rng) -> u16 {
    rng.u32() as u16 & 0x7fff
}

/// Whole samples of a frame clock in `duration`.
fn samples(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos() * u128::from(FRAME_RATE) / 1_000_000_000).unwrap_or(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::rtp::packet::Packet;

    struct Bench {
        sender: Sender,
        now: Instant,
        out: Vec<u8>,
    }

    impl Bench {
        fn new() -> Self {
            Self { sender: Sender::new(&mut Rng::from_u64(1), 8000), now: Instant::now(), out: Vec::new() }
        }

        fn frames(&mut self, count: u32) {
            for _ in 0..count {
                self.now += FRAME_DURATION;
                self.sender.advance(self.now);
            }
        }

        fn sound(&mut self) -> Header {
            self.frames(2);
            let units = self.sender.clock_rate() / 50;
            self.sender.write(self.now, 0, units, &[0; 160], &mut self.out).expect("valid");
            Packet::parse(&self.out).expect("valid").header
        }
    }

    #[test]
    fn numbers_run_on_and_the_marker_stands_at_the_start_of_a_spurt() {
        let mut bench = Bench::new();
        let (a, b) = (bench.sound(), bench.sound());
        assert_eq!((a.marker, b.marker), (true, false));
        assert_eq!((b.sequence, b.timestamp), (a.sequence.wrapping_add(1), a.timestamp.wrapping_add(160)));
        // A pause of one second leaves a gap in time stamps and none in sequence numbers.
        bench.sender.pause();
        bench.frames(100);
        let c = bench.sound();
        assert!(c.marker);
        assert_eq!((c.sequence, c.timestamp), (b.sequence.wrapping_add(1), b.timestamp.wrapping_add(8000 + 160)));
        assert_eq!(bench.sender.report_counts(), (3, 480));
    }

    #[test]
    fn a_stalled_device_does_not_stop_the_clock() {
        let mut bench = Bench::new();
        let a = bench.sound();
        // A short pause is made up for by the frames that were recorded in it.
        bench.now += Duration::from_millis(300);
        let b = bench.sound();
        assert_eq!((b.marker, b.timestamp.wrapping_sub(a.timestamp)), (false, 160));
        bench.now += Duration::from_secs(5);
        let c = bench.sound();
        assert_eq!((c.marker, c.timestamp.wrapping_sub(b.timestamp)), (true, 5 * 8000 + 160));
    }

    #[test]
    fn a_new_clock_rate_goes_on_from_where_the_old_one_was() {
        let mut bench = Bench::new();
        let a = bench.sound();
        bench.sender.set_clock_rate(48_000);
        let b = bench.sound();
        assert_eq!(b.timestamp, a.timestamp.wrapping_add(160));
        let c = bench.sound();
        assert_eq!(c.timestamp, b.timestamp.wrapping_add(960));
    }

    #[test]
    fn events_share_the_sequence_and_have_their_own_time_stamp() {
        let mut bench = Bench::new();
        let a = bench.sound();
        let start = bench.sender.timestamp();
        bench.frames(4);
        bench.sender.write_event(bench.now, start, true, 101, &[1, 10, 1, 64], &mut bench.out).expect("valid");
        let event = Packet::parse(&bench.out).expect("valid").header;
        assert_eq!((event.marker, event.payload_type, event.timestamp), (true, 101, a.timestamp.wrapping_add(160)));
        let b = bench.sound();
        assert_eq!((event.sequence, b.sequence), (a.sequence.wrapping_add(1), a.sequence.wrapping_add(2)));
        assert!(b.marker);
    }

    #[test]
    fn an_event_clock_of_its_own_runs_at_its_own_rate() {
        let mut bench = Bench::new();
        bench.sender.set_clock_rate(48_000);
        let (own, other) = (|sender: &Sender, rate| sender.timestamp_before(Duration::from_millis(20), rate), 8000);
        let before = [own(&bench.sender, 48_000), own(&bench.sender, other)];
        bench.frames(10);
        let after = [own(&bench.sender, 48_000), own(&bench.sender, other)];
        assert_eq!([after[0].wrapping_sub(before[0]), after[1].wrapping_sub(before[1])], [4800, 800]);
        assert_eq!(after[0], bench.sender.timestamp().wrapping_sub(960));
    }

    #[test]
    fn a_sender_report_has_the_time_stamp_of_now() {
        let mut bench = Bench::new();
        bench.frames(2);
        let at = bench.sender.timestamp_at(bench.now + Duration::from_millis(5));
        assert_eq!(at.wrapping_sub(bench.sender.timestamp()), 40);
    }

    #[test]
    fn a_new_ssrc_counts_anew_and_is_nobody_elses() {
        let mut bench = Bench::new();
        let a = bench.sound();
        bench.sender.change_ssrc(&mut Rng::from_u64(2), Some(Ssrc(1)));
        let b = bench.sound();
        assert_ne!(a.ssrc, b.ssrc);
        assert!(b.marker);
        assert_eq!((bench.sender.report_counts(), bench.sender.totals()), ((1, 160), (2, 320)));
    }
}
