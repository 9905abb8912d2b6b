//! One codec's way from payload to 48 kHz: decoder, line of sound, resampler. All lengths in ticks.
use crate::media::codec::Decoder;
use crate::media::codec::decoder;
use crate::media::dsp::resample::Upsampler;
use crate::media::error::MediaError;
use crate::media::frame::{FRAME, FRAME_RATE, Frame};
use crate::media::jitter::clock::Ticks;
use crate::media::jitter::line::Line;
use crate::media::spec::Codec;

/// The longest gap that is filled: after it sound has long faded [ticks].
const LONGEST_GAP: Ticks = 24_000;
/// Opus makes up sound in multiples of 2.5 ms \[samples\].
const CONCEALED_STEP: usize = 120;

/// What was put in for lost packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Made {
    pub recovered: Ticks,
    pub concealed: Ticks,
}

/// The same in samples.
#[derive(Clone, Copy, Debug, Default)]
struct Filled {
    recovered: usize,
    concealed: usize,
}

#[derive(Debug)]
pub struct Voice {
    decoder: Decoder,
    line: Line,
    upsampler: Upsampler,
    /// Ticks in a sample.
    scale: Ticks,
    /// The sound of the codec before this one, fading out under the first frame.
    farewell: Option<Box<Frame>>,
    scratch: Vec<f32>,
}

impl Voice {
    pub fn new(codec: Codec) -> Result<Self, MediaError> {
        let rate = codec.sample_rate();
        let factor = (FRAME_RATE / rate).max(1);
        Ok(Self {
            decoder: Decoder::new(codec)?,
            line: Line::new(rate),
            upsampler: Upsampler::new(factor as usize),
            scale: Ticks::from(factor),
            farewell: None,
            scratch: Vec::with_capacity(rate as usize / 4),
        })
    }

    pub fn codec(&self) -> Codec {
        self.decoder.codec()
    }

    /// Sound ready to be played.
    pub fn pending(&self) -> Ticks {
        self.line.pending() as Ticks * self.scale
    }

    /// Plays 10 ms.
    pub fn play(&mut self, frame: &mut Frame) {
        let need = FRAME / self.scale as usize;
        self.upsampler.process(self.line.take(need), frame);
        if let Some(farewell) = self.farewell.take() {
            for (n, (sample, old)) in frame.iter_mut().zip(farewell.iter()).enumerate() {
                let weight = (n as f32 + 0.5) / FRAME as f32;
                *sample = *sample * weight + old * (1.0 - weight);
            }
        }
    }

    /// Another codec takes over; the sound so far fades out under it.
    pub fn change(&mut self, codec: Codec) -> Result<(), MediaError> {
        let mut next = Self::new(codec)?;
        let mut farewell = Box::new([0.0; FRAME]);
        self.extend(FRAME as Ticks);
        self.play(&mut farewell);
        next.farewell = Some(farewell);
        *self = next;
        Ok(())
    }

    /// Makes up sound, not knowing what will follow.
    pub fn extend(&mut self, length: Ticks) {
        let count = self.samples(length);
        self.line.extend(count);
    }

    /// Goes on with the background noise the sender described.
    pub fn continue_silence(&mut self, length: Ticks) {
        let count = self.samples(length);
        self.scratch.clear();
        let steps = count.div_ceil(CONCEALED_STEP) * CONCEALED_STEP;
        if self.decoder.conceals() && self.decoder.conceal(steps, &mut self.scratch).is_ok() {
            self.line.push(&self.scratch[..count.min(self.scratch.len())]);
        } else {
            self.line.extend(count);
        }
    }

    /// Decodes a packet that follows what is there.
    pub fn decode(&mut self, payload: &[u8], length: Ticks) {
        if self.decode_to_scratch(payload) {
            self.line.push(&self.scratch);
        } else {
            self.extend(length);
        }
    }

    /// Decodes a packet that does not.
    pub fn decode_joined(&mut self, payload: &[u8], length: Ticks) {
        if self.decode_to_scratch(payload) {
            self.line.join(&self.scratch);
        } else {
            self.extend(length);
        }
    }

    /// Decodes a packet after others were lost.
    ///
    /// - `remaining`: lost sound not made up yet; negative when more was made up than was lost.
    pub fn decode_after_loss(&mut self, payload: &[u8], length: Ticks, remaining: Ticks) -> Made {
        let gap = self.samples(remaining.clamp(0, LONGEST_GAP));
        let filled = if self.decoder.conceals() { self.decoder_fills(payload, gap) } else { Filled::default() };
        let left = gap - filled.concealed - filled.recovered;
        if !self.decode_to_scratch(payload) {
            self.line.extend(left);
            self.extend(length);
        } else if left > 0 {
            self.line.bridge(left, &self.scratch);
        } else if self.line.extended() > 0 || gap == 0 {
            self.line.join(&self.scratch);
        } else {
            self.line.push(&self.scratch);
        }
        let concealed = (filled.concealed + left) as Ticks * self.scale;
        Made { concealed, recovered: filled.recovered as Ticks * self.scale }
    }

    /// The decoder itself fills a gap of `gap` samples as far as it can: what `next` carries a copy of from that, what
    /// comes before from what it knows of the signal.
    fn decoder_fills(&mut self, next: &[u8], gap: usize) -> Filled {
        let mut filled = Filled::default();
        let copy = decoder::recoverable(self.codec(), next);
        let before = gap.saturating_sub(copy) / CONCEALED_STEP * CONCEALED_STEP;
        self.scratch.clear();
        // Sound made up by the line already is gone on with by the line: the decoder would start from before it.
        if before > 0 && self.line.extended() == 0 && self.decoder.conceal(before, &mut self.scratch).is_ok() {
            self.line.push(&self.scratch);
            filled.concealed = before;
        }
        self.scratch.clear();
        // A copy that is not played still brings the decoder to where the sender's encoder was.
        if copy > 0 && self.decoder.recover(next, copy, &mut self.scratch).is_ok() {
            let used = (gap - filled.concealed).min(copy).min(self.scratch.len());
            let sound = &self.scratch[self.scratch.len() - used..];
            match (used, self.line.extended()) {
                (0, _) => {}
                (_, 0) => self.line.push(sound),
                _ => self.line.join(sound),
            }
            filled.recovered = used;
        }
        filled
    }

    pub fn is_quiet(&self) -> bool {
        self.line.is_quiet()
    }

    /// How long nothing but background was played.
    pub fn quiet(&self) -> Ticks {
        self.line.quiet() as Ticks * self.scale
    }

    /// What must be pending for [`Self::shrink`].
    pub fn needed_to_shrink(&self) -> Ticks {
        self.line.needed_to_shrink() as Ticks * self.scale
    }

    /// Takes out at most `most`; returns what was taken.
    pub fn shrink(&mut self, most: Ticks, force: bool) -> Ticks {
        let most = self.samples(most);
        self.line.shrink(most, force) as Ticks * self.scale
    }

    /// Puts in at most `most`; returns what was put in.
    pub fn grow(&mut self, most: Ticks, force: bool) -> Ticks {
        let most = self.samples(most);
        self.line.grow(most, force) as Ticks * self.scale
    }

    fn decode_to_scratch(&mut self, payload: &[u8]) -> bool {
        self.scratch.clear();
        self.decoder.decode(payload, &mut self.scratch).is_ok() && !self.scratch.is_empty()
    }

    fn samples(&self, length: Ticks) -> usize {
        usize::try_from(length / self.scale).unwrap_or(0)
    }
}
