//! What one stream hears: from packets that passed the latch to sound and digits.
use crate::media::codec::decoder;
use crate::media::dsp::level::LevelMeter;
use crate::media::dtmf::inband::{SHORTEST, ToneFinder};
use crate::media::dtmf::telephone_event::{EventReceiver, ReceivedDigit};
use crate::media::frame::{Frame, SILENCE};
use crate::media::jitter::{Incoming, Playout};
use crate::media::rtp::extension::{Elements, Level};
use crate::media::rtp::packet::Packet;
use crate::media::rtp::receiver::{Accepted, Receiver, Reception};
use crate::media::spec::{Codec, Extensions, PayloadFormat, StreamSpec};
use crate::media::stats::ReceiveStats;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Digits that nobody took yet.
const MAX_DIGITS: usize = 64;

#[derive(Debug, Default)]
pub struct Inbound {
    pub receiver: Receiver,
    /// Datagrams that are neither RTP nor RTCP, or broken.
    pub malformed: u64,
    /// From nobody we listen to.
    pub foreign: u64,
    /// Not authentic, or seen before, while SRTP runs.
    pub forged: u64,
    pub replayed: u64,
    /// RTCP packets that asked for what we do not do.
    pub feedback: u64,
    extensions: Extensions,
    told_level: Option<Level>,
    formats: Vec<PayloadFormat>,
    playout: Option<Playout>,
    receives: bool,
    events: EventReceiver,
    /// Listens for tones, where the peer cannot send events.
    tones: Option<ToneFinder>,
    digits: VecDeque<ReceivedDigit>,
    /// Of the last packet of sound: its codec and how much sound was in it.
    codec: Option<(Codec, Duration)>,
    device_delay: Option<Duration>,
    level: LevelMeter,
}

impl Inbound {
    pub fn configure(&mut self, spec: &StreamSpec) {
        self.extensions.clone_from(&spec.extensions);
        self.events.set_formats(&spec.receive_events);
        // What we offer alone does not say that the peer will send events.
        if spec.send_events.is_some() {
            self.tones = None;
        } else if self.tones.is_none() {
            self.tones = Some(ToneFinder::default());
        }
        if self.formats != spec.receive {
            self.formats.clone_from(&spec.receive);
            match &mut self.playout {
                Some(playout) => playout.set_formats(&spec.receive),
                // Without a format there is nothing to play.
                None => self.playout = Playout::new(&spec.receive).ok(),
            }
        }
        let receives = spec.direction.receives();
        if receives && !self.receives {
            self.receiver.resume();
            if let Some(playout) = &mut self.playout {
                // What was stored before the pause is long past.
                playout.restart();
            }
        }
        self.receives = receives;
    }

    /// Whether a packet is of our media line, as far as it says (RFC 9143 §9.2).
    pub fn is_ours(&self, packet: &Packet<'_>) -> bool {
        let Some((extension, name)) = self.extensions.mid.as_ref().filter(|(extension, _)| extension.receives) else {
            return true;
        };
        Elements::new(packet.extension).find(extension.id).is_none_or(|told| told == name.as_bytes())
    }

    /// Takes a packet of the peer; true if it is a valid one of the source that is heard.
    pub fn handle(&mut self, now: Instant, packet: &Packet<'_>, arrived: Instant, receives: bool) -> bool {
        let format = self.formats.iter().find(|format| format.payload_type == packet.header.payload_type);
        let clock_rate = format.map(|format| format.codec.clock_rate());
        let (reception, accepted) = self.receiver.receive(packet, arrived, clock_rate);
        let Some(accepted) = accepted else { return false };
        if let Some(extension) = self.extensions.audio_level.filter(|extension| extension.receives) {
            let level = Elements::new(packet.extension).find(extension.id).and_then(Level::read);
            self.told_level = level.map(|level| Level { voice: level.voice && extension.voice, ..level });
        }
        if reception == Reception::Began {
            self.events.restart();
            if let Some(playout) = &mut self.playout {
                playout.restart();
            }
        }
        if receives {
            if let Some(held) = self.receiver.held(&accepted) {
                Self::play(now, &held, self.playout.as_mut(), &mut self.events, &mut self.digits);
            }
            Self::play(now, &accepted, self.playout.as_mut(), &mut self.events, &mut self.digits);
        }
        if let Some(format) = format {
            let samples = decoder::duration(format.codec, accepted.payload).unwrap_or(0);
            let sound = Duration::from_secs(1) * u32::try_from(samples).unwrap_or(0) / format.codec.sample_rate();
            self.codec = Some((format.codec, sound));
        }
        true
    }

    fn play(
        now: Instant,
        accepted: &Accepted<'_>,
        playout: Option<&mut Playout>,
        events: &mut EventReceiver,
        digits: &mut VecDeque<ReceivedDigit>,
    ) {
        let header = &accepted.header;
        let told = events.handle(now, header.payload_type, header.timestamp, accepted.payload);
        if let Some(told) = told.filter(|_| digits.len() < MAX_DIGITS) {
            digits.push_back(told);
        }
        if let Some(playout) = playout {
            playout.insert(
                now,
                Incoming {
                    sequence: accepted.sequence,
                    timestamp: accepted.timestamp,
                    arrived: accepted.arrived,
                    payload_type: header.payload_type,
                    marker: header.marker,
                    payload: accepted.payload,
                },
            );
        }
    }

    pub fn take_digit(&mut self) -> Option<ReceivedDigit> {
        self.digits.pop_front()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.events.poll_timeout()
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if let Some(told) = self.events.handle_timeout(now).filter(|_| self.digits.len() < MAX_DIGITS) {
            self.digits.push_back(told);
        }
    }

    /// Fills `frame`; false while nothing is played.
    pub fn handle_playout(&mut self, now: Instant, plays_at: Instant, frame: &mut Frame) -> bool {
        let Some(playout) = &mut self.playout else { return false };
        self.device_delay = Some(plays_at.saturating_duration_since(now));
        let before = playout.stats().played;
        playout.pull(now, frame);
        let plays = playout.stats().played > before;
        if plays {
            self.level.add(frame);
            // Made-up sound is made of the sound before it, tones and all.
            let said = if playout.is_made_up() { &SILENCE } else { &*frame };
            let found = self.tones.as_mut().and_then(|tones| tones.listen(said));
            if let Some(digit) = found.filter(|_| self.digits.len() < MAX_DIGITS) {
                self.digits.push_back(ReceivedDigit { digit, duration: SHORTEST });
            }
        }
        plays
    }

    /// All but the source's address. Takes what is counted since the last report.
    pub fn report(&mut self) -> ReceiveStats {
        let played = self.playout.as_ref().map(Playout::stats).unwrap_or_default();
        let receiver = &mut self.receiver;
        ReceiveStats {
            ssrc: receiver.ssrc().map(|ssrc| ssrc.0),
            codec: self.codec.map(|(codec, _)| codec),
            packet_time: self.codec.map(|(_, sound)| sound).filter(|sound| !sound.is_zero()),
            source: None,
            packets: receiver.packets(),
            bytes: receiver.octets(),
            expected: receiver.expected(),
            lost: receiver.lost(),
            duplicates: receiver.duplicates(),
            reordered: receiver.reordered(),
            late: played.late,
            jitter: receiver.jitter(),
            buffer_delay: played.buffer_delay,
            buffer_target: played.buffer_target,
            device_delay: self.device_delay,
            played: played.played,
            concealed: played.concealed,
            recovered: played.recovered,
            accelerated: played.accelerated,
            expanded: played.expanded,
            loss_runs: receiver.take_loss_runs(),
            level: self.level.take(),
            told_level: self.told_level.map(|told| (told.level, told.voice)),
            feedback: self.feedback,
            malformed: self.malformed,
            foreign: self.foreign,
            forged: self.forged,
            replayed: self.replayed,
            ssrc_changes: receiver.ssrc_changes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::codec::PacketEncoder;
    use crate::media::dsp::tone::dtmf;
    use crate::media::frame::{FRAME, FRAME_DURATION};
    use crate::media::rtp::packet::{Header, Ssrc};
    use crate::media::spec::{Digit, Direction, OpusParameters, SourceDescription, TelephoneEvent};
    use std::f32::consts::TAU;

    const PTIME: Duration = Duration::from_millis(20);
    const EVENTS: TelephoneEvent = TelephoneEvent { payload_type: 101, clock_rate: 8_000 };

    fn spec(send_events: Option<TelephoneEvent>) -> StreamSpec {
        let format = PayloadFormat { payload_type: 0, codec: Codec::Pcmu, opus: OpusParameters::default() };
        let remote = ([192, 0, 2, 1], 4_000).into();
        StreamSpec {
            generation: 1,
            direction: Direction::SendRecv,
            remote_rtp: remote,
            remote_rtcp: remote,
            rtcp_mux: true,
            rtcp_reduced_size: false,
            extensions: Extensions::default(),
            srtp: None,
            ice: None,
            ice_may_follow: false,
            send: format,
            receive: vec![format],
            send_events,
            receive_events: vec![EVENTS],
            ptime: PTIME,
            rtcp_bandwidth: 4_000,
            rtcp_reduced_minimum: false,
            description: SourceDescription::default(),
        }
    }

    /// What is understood of a gateway that sends a dialling tone, its digits for 100 ms each, and nothing between and
    /// after them.
    fn understood(send_events: Option<TelephoneEvent>, digits: &str) -> String {
        let spec = spec(send_events);
        let mut inbound = Inbound::default();
        inbound.configure(&spec);
        let mut encoder = PacketEncoder::new(spec.send, PTIME).expect("an encoder");
        let mut spurts = vec![(0, 50, [350.0, 440.0])];
        let pair = |c| Digit::from_char(c).and_then(dtmf).expect("a digit with tones");
        spurts.extend(digits.chars().zip(0..).map(|(c, n)| (50 + 21 * n, 60 + 21 * n, pair(c))));
        let (start, mut told, mut sequence) = (Instant::now(), String::new(), 0);
        for frame in 0..500_u32 {
            let now = start + FRAME_DURATION * frame;
            if let Some((_, _, tones)) = spurts.iter().find(|(from, to, _)| (*from..*to).contains(&frame)) {
                let at = |n: usize| (frame as usize * FRAME + n) as f32 / 48_000.0;
                let sound =
                    std::array::from_fn(|n| tones.iter().map(|hz| 0.2 * (TAU * (hz * at(n)).fract()).sin()).sum());
                let mut payload = Vec::new();
                if let Some(encoded) = encoder.push(&sound, &mut payload) {
                    let timestamp = frame * 80;
                    sequence += 1;
                    let header = Header { marker: encoded.marker, payload_type: 0, sequence, timestamp, ssrc: Ssrc(7) };
                    inbound.handle(now, &Packet { header, extension: None, payload: &payload }, now, true);
                }
            }
            inbound.handle_playout(now, now, &mut [0.0; FRAME]);
            told.extend(std::iter::from_fn(|| inbound.take_digit()).map(|told| told.digit.to_char()));
        }
        told
    }

    #[test]
    fn tones_are_told_once_where_the_peer_sends_no_events() {
        assert_eq!(understood(None, "1159##"), "1159##");
        assert_eq!(understood(Some(EVENTS), "1159##"), "", "the events tell them");
    }
}
