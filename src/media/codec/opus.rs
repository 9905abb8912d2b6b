//! The Opus codec (RFC 6716) with its RTP parameters (RFC 7587): the only home of `audiopus`.
use crate::media::error::MediaError;
use crate::media::spec::OpusParameters;
use audiopus::coder::{Decoder, Encoder};
use audiopus::packet::Packet;
use audiopus::{Application, Bandwidth, Bitrate, Channels, MutSignals, SampleRate, Signal};

/// Samples a second on both sides \[Hz\].
const RATE: usize = 48_000;
/// What we send when the peer sets no limit [bit/s].
const BIT_RATE: u32 = 32_000;
/// The range RFC 7587 §6.1 allows for `maxaveragebitrate` [bit/s].
const BIT_RATES: std::ops::RangeInclusive<u32> = 6_000..=510_000;
/// Effort of the encoder, 0 to 10: above this speech gains little.
const COMPLEXITY: u8 = 5;
/// The largest packet made: one frame of at most 60 ms.
pub const MAX_PACKET: usize = 1_275 * 3 + 7;
/// The longest packet there is: 120 ms.
pub const MAX_SAMPLES: usize = RATE * 120 / 1_000;
/// The loss protected against until the peer has reported [%], and the least while protection is asked for.
const EXPECTED_LOSS: u8 = 5;
const LEAST_LOSS: u8 = 2;
/// Above this the encoder would give away too much of the bit rate [%].
const MOST_LOSS: u8 = 25;
/// A payload this short only says that silence goes on \[octets\].
const DTX_PAYLOAD: usize = 2;

fn failed(error: audiopus::Error) -> MediaError {
    MediaError::Codec { codec: "opus", reason: error.to_string() }
}

#[derive(Debug)]
pub struct OpusEncoder {
    inner: Encoder,
    parameters: OpusParameters,
}

impl OpusEncoder {
    pub fn new(parameters: OpusParameters) -> Result<Self, MediaError> {
        let build = || -> audiopus::Result<Encoder> {
            let mut inner = Encoder::new(SampleRate::Hz48000, Channels::Mono, Application::Voip)?;
            let limit = parameters.max_average_bitrate.map_or(BIT_RATE, |limit| limit.min(BIT_RATE));
            let bit_rate = limit.clamp(*BIT_RATES.start(), *BIT_RATES.end());
            inner.set_bitrate(Bitrate::BitsPerSecond(bit_rate as i32))?;
            inner.set_complexity(COMPLEXITY)?;
            inner.set_signal(Signal::Voice)?;
            inner.set_vbr(!parameters.cbr)?;
            inner.set_inband_fec(parameters.use_inband_fec)?;
            inner.set_packet_loss_perc(if parameters.use_inband_fec { EXPECTED_LOSS } else { 0 })?;
            inner.set_dtx(parameters.use_dtx)?;
            inner.set_max_bandwidth(match parameters.max_playback_rate {
                0..=8_000 => Bandwidth::Narrowband,
                8_001..=12_000 => Bandwidth::Mediumband,
                12_001..=16_000 => Bandwidth::Wideband,
                16_001..=24_000 => Bandwidth::Superwideband,
                _ => Bandwidth::Fullband,
            })?;
            Ok(inner)
        };
        Ok(Self { inner: build().map_err(failed)?, parameters })
    }

    /// Encodes 10, 20, 40 or 60 ms; `false` when nothing need be sent because silence goes on.
    pub fn encode(&mut self, sound: &[f32], out: &mut Vec<u8>) -> Result<bool, MediaError> {
        out.resize(MAX_PACKET, 0);
        let length = self.inner.encode_float(sound, out).inspect_err(|_| out.clear()).map_err(failed)?;
        out.truncate(length);
        Ok(!(self.parameters.use_dtx && length <= DTX_PAYLOAD))
    }

    /// `fraction`: of packets the peer reports lost, `0.0..=1.0`.
    pub fn set_expected_loss(&mut self, fraction: f64) {
        if self.parameters.use_inband_fec {
            let percent = ((fraction.clamp(0.0, 1.0) * 100.0).ceil() as u8).clamp(LEAST_LOSS, MOST_LOSS);
            // A value in range is never refused.
            let _ = self.inner.set_packet_loss_perc(percent);
        }
    }
}

#[derive(Debug)]
pub struct OpusDecoder {
    inner: Decoder,
    scratch: Vec<f32>,
}

impl OpusDecoder {
    pub fn new() -> Result<Self, MediaError> {
        let inner = Decoder::new(SampleRate::Hz48000, Channels::Mono).map_err(failed)?;
        Ok(Self { inner, scratch: vec![0.0; MAX_SAMPLES] })
    }

    /// Appends the packet's sound to `out`.
    pub fn decode(&mut self, payload: &[u8], out: &mut Vec<f32>) -> Result<(), MediaError> {
        let samples = duration(payload)?;
        self.run(Some(payload), samples, false, out)
    }

    /// Appends exactly `samples` of sound for what was lost just before `next`, from the copy `next` carries.
    pub fn recover(&mut self, next: &[u8], samples: usize, out: &mut Vec<f32>) -> Result<(), MediaError> {
        self.run(Some(next), samples, true, out)
    }

    /// Appends exactly `samples` of sound that continue what was decoded last.
    pub fn conceal(&mut self, samples: usize, out: &mut Vec<f32>) -> Result<(), MediaError> {
        let (whole, rest) = (samples / MAX_SAMPLES, samples % MAX_SAMPLES);
        for _ in 0..whole {
            self.run(None, MAX_SAMPLES, false, out)?;
        }
        if rest > 0 { self.run(None, rest, false, out) } else { Ok(()) }
    }

    fn run(&mut self, payload: Option<&[u8]>, samples: usize, fec: bool, out: &mut Vec<f32>) -> Result<(), MediaError> {
        let length = payload.map_or(0, <[u8]>::len);
        let bad = || MediaError::Payload { codec: "opus", length };
        let packet = payload.map(Packet::try_from).transpose().map_err(|_| bad())?;
        let space = self.scratch.get_mut(..samples).ok_or_else(bad)?;
        let signals = MutSignals::try_from(space).map_err(|_| bad())?;
        let decoded = self.inner.decode_float(packet, signals, fec).map_err(|_| bad())?;
        out.extend_from_slice(self.scratch.get(..decoded.min(samples)).unwrap_or_default());
        Ok(())
    }
}

/// Samples a packet decodes to.
pub fn duration(payload: &[u8]) -> Result<usize, MediaError> {
    let bad = |_| MediaError::Payload { codec: "opus", length: payload.len() };
    let samples =
        audiopus::packet::nb_samples(Packet::try_from(payload).map_err(bad)?, SampleRate::Hz48000).map_err(bad)?;
    if samples <= MAX_SAMPLES { Ok(samples) } else { Err(bad(audiopus::Error::PacketTooLarge)) }
}

/// The packet says no more than that silence goes on.
pub fn is_silence(payload: &[u8]) -> bool {
    payload.len() <= DTX_PAYLOAD
}

/// Samples of the packet before it that this packet carries a second copy of (RFC 6716 §2.1.7); 0 when it has none.
pub fn recoverable(payload: &[u8]) -> usize {
    let Some((toc, rest)) = payload.split_first() else { return 0 };
    let (config, code) = (toc >> 3, toc & 3);
    // SILK and hybrid only; CELT (16 and above) has no such copy. A stereo packet's flags are laid out the same way.
    let frame = match config {
        0..12 => [480, 960, 1_920, 2_880][usize::from(config & 3)],
        12..16 => [480, 960][usize::from(config & 1)],
        _ => return 0,
    };
    // The first frame's first octet: one voice activity bit for each 20 ms, then the flag.
    let first = match code {
        0 => rest.first(),
        // Two frames of the same size.
        1 => rest.first(),
        // Two frames, the first one's size (one or two octets) before them.
        2 => rest.get(if rest.first().is_some_and(|size| *size >= 252) { 2 } else { 1 }),
        _ => first_of_many(rest),
    };
    let blocks = (frame / 960).max(1);
    if first.is_some_and(|octet| octet >> (7 - blocks) & 1 == 1) { frame } else { 0 }
}

/// The first octet of the first frame of a code 3 packet (RFC 6716 §3.2.5).
fn first_of_many(rest: &[u8]) -> Option<&u8> {
    let count = rest.first()?;
    let (vbr, padded, frames) = (count & 0x80 != 0, count & 0x40 != 0, count & 0x3f);
    let mut at = 1;
    if padded {
        // The padding's length: octets of 255 and a last one below.
        at += rest.get(at..)?.iter().take_while(|size| **size == 255).count() + 1;
    }
    for _ in 1..if vbr { frames } else { 0 } {
        at += if *rest.get(at)? >= 252 { 2 } else { 1 };
    }
    rest.get(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_is_found_in_every_kind_of_packet() {
        // The table of contents: config << 3 | stereo << 2 | code; then frame counts and sizes; then the flags.
        let rows: [(&[u8], usize); 14] = [
            (&[], 0),
            (&[0x48], 0),
            // CELT only.
            (&[0x80, 0xff], 0),
            // Wideband SILK of 20 ms, of 10, of 40 and of 60 ms.
            (&[0x48, 0x40], 960),
            (&[0x48, 0x80], 0),
            (&[0x40, 0x40], 480),
            (&[0x50, 0x20], 1_920),
            (&[0x50, 0xc0], 0),
            (&[0x58, 0x10], 2_880),
            // Hybrid of 20 ms.
            (&[0x68, 0x40], 960),
            // Two frames of one size, of two sizes.
            (&[0x49, 0x40], 960),
            (&[0x4a, 1, 0x40], 960),
            // Two of variable size with padding; a count that promises what is not there.
            (&[0x4b, 0xc2, 255, 3, 1, 0x40], 960),
            (&[0x4b, 0xff, 255], 0),
        ];
        for (payload, samples) in rows {
            assert_eq!(recoverable(payload), samples, "{payload:x?}");
        }
    }

    #[test]
    fn what_is_lost_comes_out_as_long_as_asked_for() {
        let mut decoder = OpusDecoder::new().expect("decoder");
        let mut out = Vec::new();
        for samples in [120, 480, 2_880, MAX_SAMPLES, 2 * MAX_SAMPLES + 240] {
            out.clear();
            decoder.conceal(samples, &mut out).expect("a multiple of 2.5 ms");
            assert_eq!(out.len(), samples);
        }
        out.clear();
        assert!(decoder.conceal(100, &mut out).is_err());
        assert!(decoder.recover(&[0x48, 0x40], MAX_SAMPLES + 480, &mut out).is_err());
    }
}
