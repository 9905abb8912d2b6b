//! One decoder of any codec, as the jitter buffer sees it.
use crate::media::codec::g711::Law;
use crate::media::codec::opus::{self, OpusDecoder};
use crate::media::error::MediaError;
use crate::media::spec::Codec;

/// Turns payloads into sound at the codec's sample rate.
#[derive(Debug)]
pub struct Decoder {
    codec: Codec,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    G711(Law),
    Opus(Box<OpusDecoder>),
}

impl Decoder {
    pub fn new(codec: Codec) -> Result<Self, MediaError> {
        let kind = match codec {
            Codec::Pcmu => Kind::G711(Law::Mu),
            Codec::Pcma => Kind::G711(Law::A),
            Codec::Opus => Kind::Opus(Box::new(OpusDecoder::new()?)),
        };
        Ok(Self { codec, kind })
    }

    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Appends the packet's sound to `out`.
    ///
    /// # Errors
    /// `MediaError::Payload` when the payload is not what the codec says; `out` is unchanged then.
    pub fn decode(&mut self, payload: &[u8], out: &mut Vec<f32>) -> Result<(), MediaError> {
        match &mut self.kind {
            Kind::G711(law) => {
                law.decode(payload, out);
                Ok(())
            }
            Kind::Opus(decoder) => decoder.decode(payload, out),
        }
    }

    /// Appends `samples` of sound lost just before `next` and carried a second time in it; see [`recoverable`].
    pub fn recover(&mut self, next: &[u8], samples: usize, out: &mut Vec<f32>) -> Result<(), MediaError> {
        match &mut self.kind {
            Kind::G711(_) => Err(MediaError::Payload { codec: self.codec.name(), length: next.len() }),
            Kind::Opus(decoder) => decoder.recover(next, samples, out),
        }
    }

    /// The codec conceals losses by itself, with what it knows of the signal.
    pub fn conceals(&self) -> bool {
        matches!(self.kind, Kind::Opus(_))
    }

    /// Appends `samples` of sound that continue what was decoded last; for decoders that [`Self::conceals`].
    pub fn conceal(&mut self, samples: usize, out: &mut Vec<f32>) -> Result<(), MediaError> {
        match &mut self.kind {
            Kind::G711(_) => Err(MediaError::Payload { codec: self.codec.name(), length: 0 }),
            Kind::Opus(decoder) => decoder.conceal(samples, out),
        }
    }
}

/// Samples of sound in a payload, at the codec's sample rate.
pub fn duration(codec: Codec, payload: &[u8]) -> Result<usize, MediaError> {
    match codec {
        Codec::Pcmu | Codec::Pcma if payload.is_empty() => Err(MediaError::Payload { codec: codec.name(), length: 0 }),
        Codec::Pcmu | Codec::Pcma => Ok(payload.len()),
        Codec::Opus => opus::duration(payload),
    }
}

/// Samples of the sound before this payload that the payload carries a second time.
pub fn recoverable(codec: Codec, payload: &[u8]) -> usize {
    match codec {
        Codec::Pcmu | Codec::Pcma => 0,
        Codec::Opus => opus::recoverable(payload),
    }
}

/// The payload says no more than that silence goes on.
pub fn is_silence(codec: Codec, payload: &[u8]) -> bool {
    codec == Codec::Opus && opus::is_silence(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_payloads_are_errors_and_leave_no_sound() {
        let rows: [(Codec, &[u8]); 5] = [
            (Codec::Pcmu, &[]),
            (Codec::Pcma, &[]),
            (Codec::Opus, &[]),
            // Code 3 without a frame count, and with a count of 63 frames of 20 ms.
            (Codec::Opus, &[0x4b]),
            (Codec::Opus, &[0x4b, 0x3f, 1, 2, 3]),
        ];
        for (codec, payload) in rows {
            assert!(duration(codec, payload).is_err(), "{codec:?} {payload:?}");
        }
        let (mut decoder, mut out) = (Decoder::new(Codec::Opus).expect("decoder"), Vec::new());
        assert!(decoder.decode(&[0x4b, 0x3f], &mut out).is_err());
        assert!(out.is_empty());
    }
}
