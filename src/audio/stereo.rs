//! Two sides of a conversation as one WAV file of two channels.
use crate::audio::wav::{Format, WavWriter};
use crate::media::dsp::resample::Downsampler;
use crate::media::frame::{FRAME, FRAME_RATE, Frame};
use std::fs::File;
use std::io;

/// Samples a second of each channel \[Hz\]: all that speech has, in a third of the room of 48 kHz.
const RATE: u32 = 16_000;
const FACTOR: usize = (FRAME_RATE / RATE) as usize;

/// A file that grows by frames, each of which has its place.
pub struct StereoWriter {
    writer: WavWriter,
    /// The frame that is expected next.
    next: u64,
    sides: [Downsampler; 2],
    buffers: [Vec<f32>; 2],
}

impl StereoWriter {
    /// - `file`: an empty one.
    pub fn new(file: File) -> io::Result<Self> {
        let writer = WavWriter::new(file, Format { channels: 2, rate: RATE })?;
        let side = || Downsampler::new(FACTOR);
        Ok(Self { writer, next: 0, sides: [side(), side()], buffers: Default::default() })
    }

    /// Writes a frame at its place; what lies between it and the one before is silence.
    pub fn write(&mut self, at: u64, left: &Frame, right: &Frame) -> io::Result<()> {
        let gap = at.saturating_sub(self.next);
        self.writer.skip(gap * (FRAME / FACTOR * self.sides.len()) as u64);
        self.next = at.max(self.next) + 1;
        for ((side, buffer), sound) in self.sides.iter_mut().zip(&mut self.buffers).zip([left, right]) {
            if gap > 0 {
                side.reset();
            }
            buffer.clear();
            side.process(sound, buffer);
        }
        let [left, right] = &self.buffers;
        self.writer.write(left.iter().zip(right).flat_map(|(left, right)| [*left, *right]))
    }

    /// Makes the file whole: the header tells what is in it now.
    pub fn update_header(&mut self) -> io::Result<()> {
        self.writer.update_header()
    }
}
