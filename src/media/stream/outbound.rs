//! What one stream sends: frames to packets, digits in place of sound.
use crate::base::rng::Rng;
use crate::media::codec::PacketEncoder;
use crate::media::dsp::level::{LevelMeter, SILENCE};
use crate::media::dtmf::inband::ToneSender;
use crate::media::dtmf::telephone_event::EventSender;
use crate::media::frame::{FRAME_DURATION, Frame};
use crate::media::rtp::extension::Level;
use crate::media::rtp::sender::Sender;
use crate::media::spec::{Codec, Digit, Extensions, StreamSpec, TelephoneEvent};
use crate::media::stats::SendStats;
use std::time::{Duration, Instant};

/// A packet as loud as this is one in which somebody speaks \[dBov\].
const VOICE: f32 = -50.0;

#[derive(Debug)]
pub struct Outbound {
    pub sender: Sender,
    /// Datagrams the socket refused.
    pub refused: u64,
    pub muted: bool,
    encoder: Option<PacketEncoder>,
    /// The packet time that was asked for, which the encoder may not have.
    ptime: Duration,
    /// Frames since the last packet boundary.
    frames: u32,
    payload: Vec<u8>,
    events: Option<(TelephoneEvent, EventSender)>,
    tones: ToneSender,
    level: LevelMeter,
    extensions: Extensions,
    /// Of the packet that is being filled.
    packet_level: LevelMeter,
    /// The peer knows by now which media line our packets are of.
    pub is_known: bool,
}

impl Outbound {
    pub fn new(rng: &mut Rng) -> Self {
        Self {
            sender: Sender::new(rng, Codec::Pcmu.clock_rate()),
            refused: 0,
            muted: false,
            encoder: None,
            ptime: Duration::ZERO,
            frames: 0,
            payload: Vec::new(),
            events: None,
            tones: ToneSender::default(),
            level: LevelMeter::default(),
            extensions: Extensions::default(),
            packet_level: LevelMeter::default(),
            is_known: false,
        }
    }

    pub fn configure(&mut self, spec: &StreamSpec) {
        if self.extensions != spec.extensions {
            self.extensions.clone_from(&spec.extensions);
            self.is_known = false;
        }
        if self.encoder.as_ref().is_none_or(|encoder| encoder.format() != spec.send) || self.ptime != spec.ptime {
            // The encoder that ran goes on when the library refuses the new one.
            if let Ok(encoder) = PacketEncoder::new(spec.send, spec.ptime) {
                self.encoder = Some(encoder);
                self.ptime = spec.ptime;
                self.frames = 0;
                self.sender.set_clock_rate(spec.send.codec.clock_rate());
            }
        }
        if self.events.as_ref().map(|(format, _)| *format) != spec.send_events {
            self.events = spec.send_events.map(|format| (format, EventSender::new(format)));
        }
    }

    /// Queues a digit: as an event where that was agreed, else as tones in the sound.
    pub fn send_digit(&mut self, digit: Digit, duration: Duration) {
        match &mut self.events {
            Some((_, events)) => events.send(digit, duration),
            None => self.tones.send(digit, duration),
        };
    }

    pub fn set_expected_loss(&mut self, fraction: f64) {
        if let Some(encoder) = &mut self.encoder {
            encoder.set_expected_loss(fraction);
        }
    }

    /// Takes 10 ms of sound; true if `packet` holds a packet now.
    ///
    /// - `sends`: whether the direction allows it and there is somewhere to send to. The media clock goes on either way.
    pub fn handle_frame(&mut self, now: Instant, frame: &Frame, sends: bool, packet: &mut Vec<u8>) -> bool {
        self.sender.advance(now);
        let mut frame = *frame;
        self.tones.replace(&mut frame);
        let frame = &frame;
        self.packet_level.add(frame);
        let Some(encoder) = &mut self.encoder else { return false };
        let encoded = encoder.push(frame, &mut self.payload);
        self.frames += 1;
        if !sends {
            self.sender.pause();
        } else {
            self.level.add(frame);
        }
        if FRAME_DURATION * self.frames < encoder.ptime() {
            return false;
        }
        self.frames = 0;
        let level = self.packet_level.take().unwrap_or(SILENCE);
        extend(&mut self.sender, &self.extensions, level, self.is_known);
        if !sends {
            return false;
        }
        if let Some((format, events)) = self.events.as_mut().filter(|(_, events)| events.is_active()) {
            let started = self.sender.timestamp_before(encoder.ptime(), format.clock_rate);
            return events.poll(started).is_some_and(|event| {
                self.sender
                    .write_event(now, event.timestamp, event.marker, event.payload_type, &event.payload, packet)
                    .is_ok()
            });
        }
        match encoded {
            Some(encoded) => {
                if encoded.marker {
                    self.sender.pause();
                }
                let payload_type = encoder.format().payload_type;
                self.sender.write(now, payload_type, encoded.duration, &self.payload, packet).is_ok()
            }
            // Silence that need not be sent.
            None => false,
        }
    }

    /// All but the destination. Takes what is counted since the last report.
    pub fn report(&mut self) -> SendStats {
        let (packets, bytes) = self.sender.totals();
        SendStats {
            ssrc: self.sender.ssrc().0,
            codec: self.encoder.as_ref().map(|encoder| encoder.format().codec),
            packet_time: self.encoder.as_ref().map(PacketEncoder::ptime),
            destination: None,
            packets,
            bytes,
            level: self.level.take(),
            refused: self.refused,
            muted: self.muted,
        }
    }
}

/// What the header of the packet that is complete says of it: how loud it is \[dBov\], and of which media line, until the peer
/// knows.
fn extend(sender: &mut Sender, extensions: &Extensions, level: f32, is_known: bool) {
    let octet;
    let mut elements: Vec<(u8, &[u8])> = Vec::new();
    if let Some(extension) = extensions.audio_level.filter(|extension| extension.sends) {
        octet = [Level { level, voice: extension.voice && level > VOICE }.octet()];
        elements.push((extension.id, &octet));
    }
    if let Some((extension, name)) = extensions.mid.as_ref().filter(|(extension, _)| extension.sends && !is_known) {
        elements.push((extension.id, name.as_bytes()));
    }
    sender.set_elements(&elements);
}
