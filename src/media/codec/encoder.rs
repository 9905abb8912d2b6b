//! Frames of 10 ms to the payloads of RTP packets of the negotiated length (RFC 3551 §4.2, RFC 7587 §4).
use crate::media::codec::g711::Law;
use crate::media::codec::opus::OpusEncoder;
use crate::media::dsp::resample::Downsampler;
use crate::media::error::MediaError;
use crate::media::frame::{FRAME, Frame};
use crate::media::spec::{Codec, PayloadFormat};
use std::time::Duration;

/// What the RTP header of a finished payload needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Of the payload's first sample, counted from the first frame pushed [RTP clock]; add the stream's random offset.
    pub timestamp: u32,
    /// Sound in the payload [RTP clock].
    pub duration: u32,
    /// The first packet of a talk-spurt: the very first, and the first after silence that was not sent.
    pub marker: bool,
}

/// Collects frames until a packet is full and encodes it.
#[derive(Debug)]
pub struct PacketEncoder {
    format: PayloadFormat,
    kind: Kind,
    frames_per_packet: u32,
    /// Frames waiting in `sound`.
    frames: u32,
    /// At the codec's rate.
    sound: Vec<f32>,
    timestamp: u32,
    marker: bool,
}

#[derive(Debug)]
enum Kind {
    G711(Law, Downsampler),
    Opus(Box<OpusEncoder>),
}

impl PacketEncoder {
    /// - `ptime`: the negotiated packet length; the longest one the codec has that is no longer is used, at least 10 ms,
    ///   at most 60 ms.
    ///
    /// # Errors
    /// `MediaError::Codec` when the library refuses.
    pub fn new(format: PayloadFormat, ptime: Duration) -> Result<Self, MediaError> {
        let kind = match format.codec {
            Codec::Pcmu => Kind::G711(Law::Mu, Downsampler::new(6)),
            Codec::Pcma => Kind::G711(Law::A, Downsampler::new(6)),
            Codec::Opus => Kind::Opus(Box::new(OpusEncoder::new(format.opus)?)),
        };
        let frames = (ptime.as_millis() / 10).clamp(1, 6) as u32;
        let frames_per_packet = match format.codec {
            Codec::Pcmu | Codec::Pcma => frames,
            Codec::Opus => [6, 4, 2, 1].into_iter().find(|f| *f <= frames).unwrap_or(1),
        };
        let sound = Vec::with_capacity(frames_per_packet as usize * FRAME);
        Ok(Self { format, kind, frames_per_packet, frames: 0, sound, timestamp: 0, marker: true })
    }

    pub fn format(&self) -> PayloadFormat {
        self.format
    }

    /// The length of the packets made.
    pub fn ptime(&self) -> Duration {
        Duration::from_millis(10) * self.frames_per_packet
    }

    /// Takes 10 ms; when they complete a packet, `out` holds its payload alone.
    ///
    /// Returns `None` while a packet is filling, and for packets that need not be sent (Opus DTX): time passes then too.
    pub fn push(&mut self, frame: &Frame, out: &mut Vec<u8>) -> Option<Encoded> {
        match &mut self.kind {
            Kind::G711(_, downsampler) => downsampler.process(frame, &mut self.sound),
            Kind::Opus(_) => self.sound.extend_from_slice(frame),
        }
        self.frames += 1;
        if self.frames < self.frames_per_packet {
            return None;
        }
        out.clear();
        let send = match &mut self.kind {
            Kind::G711(law, _) => {
                out.extend(self.sound.iter().map(|sample| law.encode(*sample)));
                true
            }
            // The encoder refuses only what cannot be given here: a wrong length.
            Kind::Opus(encoder) => encoder.encode(&self.sound, out).unwrap_or(false),
        };
        let duration = self.frames * (self.format.codec.clock_rate() / 100);
        let encoded = Encoded { timestamp: self.timestamp, duration, marker: self.marker };
        (self.frames, self.timestamp, self.marker) = (0, self.timestamp.wrapping_add(duration), !send);
        self.sound.clear();
        send.then_some(encoded)
    }

    /// Tells how much in-band redundancy is worth its bits.
    ///
    /// - `fraction`: of our packets lost, as the peer reports it, `0.0..=1.0`.
    pub fn set_expected_loss(&mut self, fraction: f64) {
        match &mut self.kind {
            Kind::G711(..) => {}
            Kind::Opus(encoder) => encoder.set_expected_loss(fraction),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::codec::decoder::{self, Decoder};
    use crate::media::dsp::goertzel::power;
    use crate::media::spec::OpusParameters;

    fn format(codec: Codec, opus: OpusParameters) -> PayloadFormat {
        PayloadFormat { payload_type: 96, codec, opus }
    }

    fn tone(from: usize) -> Frame {
        std::array::from_fn(|n| 0.3 * (std::f32::consts::TAU * 1_000.0 * (from + n) as f32 / 48_000.0).sin())
    }

    #[test]
    fn packets_are_as_long_as_the_codec_can() {
        for (codec, asked, made) in [
            (Codec::Pcmu, 0, 10),
            (Codec::Pcmu, 25, 20),
            (Codec::Pcma, 30, 30),
            (Codec::Pcma, 500, 60),
            (Codec::Opus, 5, 10),
            (Codec::Opus, 20, 20),
            (Codec::Opus, 30, 20),
            (Codec::Opus, 50, 40),
            (Codec::Opus, 120, 60),
        ] {
            let format = format(codec, OpusParameters::default());
            let mut encoder = PacketEncoder::new(format, Duration::from_millis(asked)).expect("encoder");
            assert_eq!(encoder.ptime(), Duration::from_millis(made), "{codec:?} {asked}");
            let mut payload = vec![1, 2, 3];
            let packets: Vec<_> = (0..24).filter_map(|n| encoder.push(&tone(n * FRAME), &mut payload)).collect();
            let ticks = codec.clock_rate() / 1_000 * made as u32;
            assert_eq!(packets.len() as u64, 240 / made);
            for (n, packet) in packets.iter().enumerate() {
                assert_eq!(*packet, Encoded { timestamp: n as u32 * ticks, duration: ticks, marker: n == 0 });
            }
            let rate = u64::from(codec.sample_rate());
            assert_eq!(decoder::duration(codec, &payload).expect("valid") as u64, rate * made / 1_000);
        }
    }

    #[test]
    fn a_tone_keeps_its_power_through_every_codec() {
        for codec in [Codec::Pcmu, Codec::Pcma, Codec::Opus] {
            let format = format(codec, OpusParameters::default());
            let mut encoder = PacketEncoder::new(format, Duration::from_millis(20)).expect("encoder");
            let mut decoder = Decoder::new(codec).expect("decoder");
            let (mut payload, mut sound) = (Vec::new(), Vec::new());
            for n in 0..100 {
                if encoder.push(&tone(n * FRAME), &mut payload).is_some() {
                    decoder.decode(&payload, &mut sound).expect("own payload");
                }
            }
            let half = &sound[sound.len() / 2..];
            let level = 10.0 * (power(half, 1_000.0, f64::from(codec.sample_rate())) / (0.25 * 0.09)).log10();
            assert!(level.abs() < 0.5, "{codec:?}: {level} dB");
        }
    }

    #[test]
    fn opus_sends_nothing_in_silence_and_marks_the_next_word() {
        let parameters = OpusParameters { use_dtx: true, ..OpusParameters::default() };
        let mut encoder =
            PacketEncoder::new(format(Codec::Opus, parameters), Duration::from_millis(20)).expect("encoder");
        let mut payload = Vec::new();
        let mut count = |encoder: &mut PacketEncoder, frame: &dyn Fn(usize) -> Frame, frames: usize| {
            (0..frames).filter_map(|n| encoder.push(&frame(n), &mut payload)).collect::<Vec<_>>()
        };
        count(&mut encoder, &|n| tone(n * FRAME), 100);
        count(&mut encoder, &|_| [0.0; FRAME], 100);
        let silent = count(&mut encoder, &|_| [0.0; FRAME], 200);
        assert!(silent.len() <= 10, "{} packets in 2 s of silence", silent.len());
        let spoken = count(&mut encoder, &|n| tone(n * FRAME), 100);
        assert!(spoken.len() >= 49 && spoken[0].marker && !spoken[1].marker);
        assert!(spoken[0].timestamp >= 4 * 48_000 - 960);
    }

    #[test]
    fn a_packet_carries_the_one_before_when_the_peer_asked_for_it() {
        for (fec, loss, expected) in [(false, 0.2, false), (true, 0.0, true), (true, 0.2, true)] {
            let parameters =
                OpusParameters { use_inband_fec: fec, max_playback_rate: 16_000, ..OpusParameters::default() };
            let mut encoder =
                PacketEncoder::new(format(Codec::Opus, parameters), Duration::from_millis(20)).expect("encoder");
            encoder.set_expected_loss(loss);
            let (mut payload, mut with) = (Vec::new(), 0);
            for n in 0..100 {
                if encoder.push(&tone(n * FRAME), &mut payload).is_some()
                    && decoder::recoverable(Codec::Opus, &payload) > 0
                {
                    with += 1;
                }
            }
            assert_eq!(with > 30, expected, "fec {fec} loss {loss}: {with} of 50");
        }
    }
}
