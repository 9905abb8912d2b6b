//! WAV files: one that grows while it is written and is whole at any time, and any that can be read.
use crate::audio::devices::DeviceError;
use crate::audio::resample::Resampler;
use crate::media::frame::FRAME_RATE;
use hound::{SampleFormat, WavReader};
use std::fs::File;
use std::io::{self, BufReader};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Octets of the header: RIFF, `fmt ` and `data` without their contents.
const HEADER: u64 = 44;
const BYTES_PER_SAMPLE: u32 = 2;
/// What a 32-bit length can tell, the header included.
const MAX_DATA: u64 = u32::MAX as u64 - 64;

/// Channels, and samples a second of each \[Hz\].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    pub channels: u16,
    pub rate: u32,
}

/// A file of 16-bit samples.
///
/// Each sample has its place: what a full disk refused is silence when there is room again, and nothing shifts.
#[derive(Debug)]
pub struct WavWriter {
    file: File,
    format: Format,
    /// Samples handed in so far.
    position: u64,
    /// Octets of sound that are in the file for certain.
    written: u64,
    bytes: Vec<u8>,
}

impl WavWriter {
    /// Mono of 48 kHz.
    pub fn create(path: &Path) -> io::Result<Self> {
        Self::new(File::create(path)?, Format { channels: 1, rate: FRAME_RATE })
    }

    /// - `file`: an empty one.
    pub fn new(file: File, format: Format) -> io::Result<Self> {
        let mut writer = Self { file, format, position: 0, written: 0, bytes: Vec::new() };
        writer.update_header()?;
        Ok(writer)
    }

    /// Appends samples, full scale ±1.0.
    pub fn write(&mut self, samples: impl IntoIterator<Item = f32>) -> io::Result<()> {
        self.bytes.clear();
        for sample in samples {
            self.bytes.extend_from_slice(&to_i16(sample).to_le_bytes());
        }
        let at = self.position * u64::from(BYTES_PER_SAMPLE);
        let end = at + self.bytes.len() as u64;
        self.position += (self.bytes.len() / BYTES_PER_SAMPLE as usize) as u64;
        if end > MAX_DATA {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "a WAV file holds 4 GiB"));
        }
        self.file.write_all_at(&self.bytes, HEADER + at)?;
        self.written = end;
        Ok(())
    }

    /// Leaves so many samples silent.
    pub fn skip(&mut self, samples: u64) {
        self.position += samples;
    }

    /// Makes the file whole: the header tells what is in it now.
    pub fn update_header(&mut self) -> io::Result<()> {
        self.file.write_all_at(&header(self.format, self.written as u32), 0)
    }
}

fn to_i16(sample: f32) -> i16 {
    (sample * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16
}

fn header(format: Format, data: u32) -> [u8; HEADER as usize] {
    let mut out = [0; HEADER as usize];
    let frame = u32::from(format.channels) * BYTES_PER_SAMPLE;
    let fields: [&[u8]; 13] = [
        b"RIFF",
        &(data + HEADER as u32 - 8).to_le_bytes(),
        b"WAVE",
        b"fmt ",
        &16_u32.to_le_bytes(),
        // PCM.
        &1_u16.to_le_bytes(),
        &format.channels.to_le_bytes(),
        &format.rate.to_le_bytes(),
        &(format.rate * frame).to_le_bytes(),
        &(frame as u16).to_le_bytes(),
        &(8 * BYTES_PER_SAMPLE as u16).to_le_bytes(),
        b"data",
        &data.to_le_bytes(),
    ];
    let bytes = fields.iter().flat_map(|field| field.iter());
    out.iter_mut().zip(bytes).for_each(|(out, byte)| *out = *byte);
    out
}

/// Writes `FILE.t0`: when the first sample of `FILE` was played, in seconds of CLOCK_MONOTONIC.
pub fn write_start(path: &Path, start: Instant) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".t0");
    let micros = monotonic_micros(start);
    std::fs::write(name, format!("{}.{:06}\n", micros / 1_000_000, micros % 1_000_000))
}

/// CLOCK_MONOTONIC at an `Instant`, which hides it [µs].
fn monotonic_micros(at: Instant) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let now = Instant::now();
    // SAFETY: `time` is a valid timespec to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    let micros = time.tv_sec * 1_000_000 + time.tv_nsec / 1_000;
    let after = |d: std::time::Duration| d.as_micros() as i64;
    micros - after(now.saturating_duration_since(at)) + after(at.saturating_duration_since(now))
}

/// A WAV file as mono at 48 kHz, whatever it is.
pub struct WavSource {
    path: PathBuf,
    repeat: bool,
    reader: WavReader<BufReader<File>>,
    resampler: Resampler,
    /// Samples read in the running pass: a file without any must not be read for ever.
    read: u64,
}

impl WavSource {
    pub fn open(path: &Path, repeat: bool) -> Result<Self, DeviceError> {
        let reader = WavReader::open(path).map_err(|e| file_error(path, &e))?;
        let resampler = Resampler::new(reader.spec().sample_rate, FRAME_RATE);
        Ok(Self { path: path.into(), repeat, reader, resampler, read: 0 })
    }

    /// Fills `out`; less than that only at the end of a file that is played once.
    pub fn read(&mut self, out: &mut [f32]) -> Result<usize, DeviceError> {
        let mut done = self.resampler.pull(out);
        while done < out.len() {
            let wanted = self.resampler.needed(out.len() - done).clamp(1, 4096);
            let block = self.block(wanted).map_err(|e| file_error(&self.path, &e))?;
            self.read += block.len() as u64;
            if block.is_empty() {
                if !self.repeat || self.read == 0 {
                    break;
                }
                self.reader = WavReader::open(&self.path).map_err(|e| file_error(&self.path, &e))?;
                self.read = 0;
                continue;
            }
            self.resampler.push(&block);
            done += self.resampler.pull(&mut out[done..]);
        }
        Ok(done)
    }

    /// Up to `count` frames, channels averaged; none at the end.
    fn block(&mut self, count: usize) -> Result<Vec<f32>, hound::Error> {
        let spec = self.reader.spec();
        let channels = usize::from(spec.channels.max(1));
        let samples: Vec<f32> = match spec.sample_format {
            SampleFormat::Float => self.reader.samples::<f32>().take(count * channels).collect::<Result<_, _>>()?,
            SampleFormat::Int => {
                let scale = 1.0 / (1_i64 << (spec.bits_per_sample.clamp(1, 32) - 1)) as f32;
                let samples = self.reader.samples::<i32>().take(count * channels);
                samples.map(|s| Ok(s? as f32 * scale)).collect::<Result<_, hound::Error>>()?
            }
        };
        Ok(samples.chunks_exact(channels).map(|frame| frame.iter().sum::<f32>() / channels as f32).collect())
    }
}

fn file_error(path: &Path, error: &hound::Error) -> DeviceError {
    let reason = match error {
        hound::Error::IoError(e) => e.to_string(),
        hound::Error::FormatError(what) => format!("not a WAV file: {what}"),
        hound::Error::Unsupported => "a kind of WAV file that cannot be read: save it as PCM".into(),
        other => other.to_string(),
    };
    DeviceError::File { path: path.display().to_string(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// A path of this test's own, without anything there.
    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("offhook-wav-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        path
    }

    #[test]
    fn the_file_is_whole_after_each_update() {
        let path = scratch("whole.wav");
        let mut writer = WavWriter::create(&path).expect("created");
        assert_eq!(WavReader::open(&path).expect("a header from the start").len(), 0);
        writer.write([0.0, 0.5, -0.5, 1.0, -1.0, 7.0]).expect("written");
        writer.update_header().expect("updated");
        writer.write([0.25]).expect("written");
        let mut reader = WavReader::open(&path).expect("readable while it is written");
        let spec = reader.spec();
        assert_eq!((spec.channels, spec.sample_rate, spec.bits_per_sample), (1, 48_000, 16));
        let samples: Vec<i16> = reader.samples().collect::<Result<_, _>>().expect("whole");
        assert_eq!(samples, [0, 16_384, -16_384, 32_767, -32_768, 32_767]);
        writer.update_header().expect("updated");
        assert_eq!(WavReader::open(&path).expect("readable").len(), 7);
        assert_eq!(std::fs::metadata(&path).expect("there").len(), 44 + 14);
        std::fs::remove_file(path).expect("removed");
    }

    #[test]
    fn what_a_full_disk_refused_leaves_a_gap_and_shifts_nothing() {
        let path = scratch("gap.wav");
        let mut writer = WavWriter::create(&path).expect("created");
        let good = writer.file.try_clone().expect("cloned");
        writer.write([0.5]).expect("written");
        writer.file = File::open("/dev/full").expect("a full disk");
        assert!(writer.write([0.5]).is_err());
        assert!(writer.update_header().is_err());
        writer.file = good;
        writer.write([0.25]).expect("written");
        writer.update_header().expect("updated");
        let samples: Vec<i16> =
            WavReader::open(&path).expect("readable").samples().collect::<Result<_, _>>().expect("whole");
        assert_eq!(samples, [16_384, 0, 8_192]);
        std::fs::remove_file(path).expect("removed");
    }

    #[test]
    fn the_start_is_told_on_the_monotonic_clock() {
        let path = scratch("start.wav");
        let (before, now) = (monotonic_micros(Instant::now()), Instant::now());
        write_start(&path, now + Duration::from_secs(5)).expect("written");
        let name = format!("{}.t0", path.display());
        let text = std::fs::read_to_string(&name).expect("there");
        let (seconds, micros) = text.trim().split_once('.').expect("a fraction");
        assert_eq!(micros.len(), 6);
        let told = seconds.parse::<i64>().expect("number") * 1_000_000 + micros.parse::<i64>().expect("number");
        assert!((4_999_000..=5_100_000).contains(&(told - before)), "{text}");
        std::fs::remove_file(name).expect("removed");
    }

    fn file(path: &Path, rate: u32, channels: u16, samples: &[i16]) {
        let spec =
            hound::WavSpec { channels, sample_rate: rate, bits_per_sample: 16, sample_format: SampleFormat::Int };
        let mut writer = hound::WavWriter::create(path, spec).expect("created");
        samples.iter().for_each(|s| writer.write_sample(*s).expect("written"));
        writer.finalize().expect("whole");
    }

    #[test]
    fn what_is_no_wav_file_is_said_with_its_name() {
        let path = scratch("text.wav");
        std::fs::write(&path, "hello").expect("written");
        let error = WavSource::open(&path, false).err().expect("refused").to_string();
        assert!(error.contains("text.wav") && error.contains("not a WAV file"), "{error}");
        std::fs::remove_file(&path).expect("removed");
        let error = WavSource::open(&path, false).err().expect("refused").to_string();
        assert!(error.contains("No such file"), "{error}");
    }

    #[test]
    fn a_file_is_played_once_or_over_and_over() {
        let path = scratch("once.wav");
        file(&path, 8_000, 2, &[8_192; 1_600]);
        let mut out = [9.0; 6_000];
        let mut once = WavSource::open(&path, false).expect("opened");
        let read = once.read(&mut out).expect("read");
        assert!((4_700..=4_800).contains(&read), "100 ms are {read} samples");
        assert!((out[2_400] - 0.25).abs() < 1e-3, "{}", out[2_400]);
        assert_eq!(once.read(&mut out).expect("read"), 0);
        let mut repeated = WavSource::open(&path, true).expect("opened");
        assert_eq!(repeated.read(&mut out).expect("read"), 6_000);
        assert!((out[5_500] - 0.25).abs() < 1e-3);
        file(&path, 8_000, 1, &[]);
        let mut empty = WavSource::open(&path, true).expect("opened");
        assert_eq!(empty.read(&mut out).expect("read"), 0, "an empty file ends");
        std::fs::remove_file(path).expect("removed");
    }
}
