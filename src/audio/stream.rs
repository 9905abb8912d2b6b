//! Opens a sound card: the format nearest to ours, short buffers, the callbacks of `audio::ring`, nothing else.
use crate::audio::choice::SoundSystem;
use crate::audio::devices::{DeviceError, Way};
use crate::audio::ends::{CaptureEnd, PlaybackEnd};
use crate::audio::ring::{CaptureCallback, Heartbeat, PlaybackCallback, ring};
use cpal::traits::{DeviceTrait, StreamTrait};
use cpal::{BufferSize, ErrorKind, SampleFormat, StreamConfig, SupportedBufferSize, SupportedStreamConfigRange};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The rate of the media thread \[Hz\]: a device that runs at it needs no conversion.
const RATE: u32 = 48_000;
/// Periods to ask for, the wanted one first \[ms\].
const PERIODS: [u32; 3] = [10, 20, 40];
/// A server that hangs must not hang us.
const PATIENCE: Duration = Duration::from_secs(2);

/// A running device. It stops when dropped.
pub struct OpenStream<E> {
    pub(super) stream: cpal::Stream,
    pub end: E,
    pub heartbeat: Arc<Heartbeat>,
    /// \[Hz\]
    pub rate: u32,
    /// Frames of a callback.
    pub period: u32,
}

impl<E> OpenStream<E> {
    pub fn map<T>(self, wrap: impl FnOnce(E) -> T) -> OpenStream<T> {
        let Self { stream, end, heartbeat, rate, period } = self;
        OpenStream { stream, end: wrap(end), heartbeat, rate, period }
    }
}

/// A device and what it is called.
pub struct Card {
    pub device: cpal::Device,
    pub name: String,
    pub way: Way,
}

impl Card {
    pub fn open_playback(&self) -> Result<OpenStream<PlaybackEnd>, DeviceError> {
        let ranges = self.device.supported_output_configs().map_err(|e| self.refused(e))?;
        self.open(ranges.collect(), |config, format| {
            let (producer, consumer) = ring(config.sample_rate);
            let heartbeat = Arc::new(Heartbeat::new(Instant::now()));
            let callback = PlaybackCallback::new(consumer, heartbeat.clone(), config.channels);
            let stream = build_output(&self.device, config, format, callback, heartbeat.clone(), self.patience())?;
            let end = PlaybackEnd::new(producer, heartbeat.clone(), config.sample_rate);
            Ok((stream, end, heartbeat))
        })
    }

    pub fn open_capture(&self) -> Result<OpenStream<CaptureEnd>, DeviceError> {
        let ranges = self.device.supported_input_configs().map_err(|e| self.refused(e))?;
        self.open(ranges.collect(), |config, format| {
            let (producer, consumer) = ring(config.sample_rate);
            let heartbeat = Arc::new(Heartbeat::new(Instant::now()));
            let callback = CaptureCallback::new(producer, heartbeat.clone(), config.channels);
            let stream = build_input(&self.device, config, format, callback, heartbeat.clone(), self.patience())?;
            let end = CaptureEnd::new(consumer, heartbeat.clone(), config.sample_rate);
            Ok((stream, end, heartbeat))
        })
    }

    /// Tries the periods in turn and starts the first stream that could be built.
    fn open<E>(
        &self,
        ranges: Vec<SupportedStreamConfigRange>,
        build: impl Fn(StreamConfig, SampleFormat) -> Result<(cpal::Stream, E, Arc<Heartbeat>), cpal::Error>,
    ) -> Result<OpenStream<E>, DeviceError> {
        let best = choose(&ranges).ok_or_else(|| DeviceError::Format { device: self.name.clone() })?;
        // ALSA's plugin for PulseAudio makes two thirds of what it is asked for.
        let stretch = |frames: u32| if self.way == Way::Bridge { frames.saturating_mul(3) / 2 } else { frames };
        let mut sizes: Vec<_> = PERIODS.iter().map(|ms| BufferSize::Fixed(stretch(best.period(*ms)))).collect();
        sizes.dedup();
        // PulseAudio's own idea of a buffer is two seconds long.
        if self.way.system() != SoundSystem::Pulse {
            sizes.push(BufferSize::Default);
        }
        let mut error = None;
        for buffer_size in sizes {
            let config = StreamConfig { channels: best.channels, sample_rate: best.rate, buffer_size };
            match build(config, best.format) {
                Ok((stream, end, heartbeat)) => {
                    stream.play().map_err(|e| self.refused(e))?;
                    let period = stream.buffer_size().unwrap_or(best.period(PERIODS[0]));
                    return Ok(OpenStream { stream, end, heartbeat, rate: best.rate, period });
                }
                // Only the length of the buffer may be at fault in a way that another one cures.
                Err(e) if matches!(e.kind(), ErrorKind::UnsupportedConfig | ErrorKind::InvalidInput) => error = Some(e),
                Err(e) => return Err(self.refused(e)),
            }
        }
        Err(error.map_or(DeviceError::Format { device: self.name.clone() }, |e| self.refused(e)))
    }

    fn refused(&self, source: cpal::Error) -> DeviceError {
        DeviceError::Refused { device: self.name.clone(), source }
    }

    /// ALSA takes the time-out for the pace of its callbacks and would report a quiet device as an error.
    fn patience(&self) -> Option<Duration> {
        (self.way == Way::Direct(SoundSystem::Pulse)).then_some(PATIENCE)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Format {
    rate: u32,
    channels: u16,
    format: SampleFormat,
    /// Periods the device can do \[frames\].
    periods: (u32, u32),
}

impl Format {
    fn period(&self, milliseconds: u32) -> u32 {
        let (low, high) = self.periods;
        (self.rate * milliseconds / 1000).max(low.max(1)).min(high.max(1))
    }
}

/// The format that costs the least: our rate, few channels, wide samples.
fn choose(ranges: &[SupportedStreamConfigRange]) -> Option<Format> {
    let rate = |range: &SupportedStreamConfigRange| RATE.clamp(range.min_sample_rate(), range.max_sample_rate());
    let usable = ranges.iter().filter(|r| r.channels() > 0 && format_rank(r.sample_format()).is_some() && rate(r) > 0);
    let best = usable.min_by_key(|range| {
        let rate = rate(range);
        // A rate below ours loses sound; one above only costs.
        let rate_rank = if rate == RATE { (0, 0) } else { (1 + u32::from(rate < RATE), rate.abs_diff(RATE)) };
        (rate_rank, range.channels(), format_rank(range.sample_format()))
    })?;
    let periods = match *best.buffer_size() {
        SupportedBufferSize::Range { min, max } => (min, max.max(min)),
        SupportedBufferSize::Unknown => (1, u32::MAX),
    };
    Some(Format { rate: rate(best), channels: best.channels(), format: best.sample_format(), periods })
}

/// The sample formats the callbacks know, the best first.
fn format_rank(format: SampleFormat) -> Option<u8> {
    let known = [
        SampleFormat::F32,
        SampleFormat::I32,
        SampleFormat::I24,
        SampleFormat::I16,
        SampleFormat::U16,
        SampleFormat::U8,
    ];
    known.iter().position(|f| *f == format).map(|at| at as u8)
}

/// Calls `$build::<T>` with the Rust type of a sample format.
macro_rules! with_sample_type {
    ($format:expr, $build:ident) => {
        match $format {
            SampleFormat::F32 => $build!(f32),
            SampleFormat::I32 => $build!(i32),
            SampleFormat::I24 => $build!(cpal::I24),
            SampleFormat::I16 => $build!(i16),
            SampleFormat::U16 => $build!(u16),
            SampleFormat::U8 => $build!(u8),
            _ => Err(ErrorKind::UnsupportedConfig.into()),
        }
    };
}

fn build_output(
    device: &cpal::Device,
    config: StreamConfig,
    format: SampleFormat,
    mut callback: PlaybackCallback,
    heartbeat: Arc<Heartbeat>,
    timeout: Option<Duration>,
) -> Result<cpal::Stream, cpal::Error> {
    macro_rules! build {
        ($sample:ty) => {
            device.build_output_stream::<$sample, _, _>(
                config,
                move |out, info| {
                    let stamp = info.timestamp();
                    let latency = stamp.playback.duration_since(stamp.callback);
                    callback.fill(Instant::now(), latency, out);
                },
                move |error| count(&heartbeat, &error),
                timeout,
            )
        };
    }
    with_sample_type!(format, build)
}

fn build_input(
    device: &cpal::Device,
    config: StreamConfig,
    format: SampleFormat,
    mut callback: CaptureCallback,
    heartbeat: Arc<Heartbeat>,
    timeout: Option<Duration>,
) -> Result<cpal::Stream, cpal::Error> {
    macro_rules! build {
        ($sample:ty) => {
            device.build_input_stream::<$sample, _, _>(
                config,
                move |input, info| {
                    let stamp = info.timestamp();
                    let latency = stamp.callback.duration_since(stamp.capture);
                    callback.drain(Instant::now(), latency, input);
                },
                move |error| count(&heartbeat, &error),
                timeout,
            )
        };
    }
    with_sample_type!(format, build)
}

/// An error may come a million times a second from a dead device: it is counted, and the watchdog decides.
fn count(heartbeat: &Heartbeat, error: &cpal::Error) {
    match error.kind() {
        ErrorKind::Xrun => heartbeat.count_xrun(),
        ErrorKind::DeviceNotAvailable | ErrorKind::StreamInvalidated | ErrorKind::HostUnavailable => {
            heartbeat.count_error(true);
        }
        _ => heartbeat.count_error(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(channels: u16, rates: (u32, u32), format: SampleFormat) -> SupportedStreamConfigRange {
        let buffer = SupportedBufferSize::Range { min: 64, max: 4096 };
        SupportedStreamConfigRange::new(channels, rates.0, rates.1, buffer, format)
    }

    #[test]
    fn the_cheapest_format_is_chosen() {
        use SampleFormat::{DsdU8, F32, I16, I32, U16};
        let wide = (8_000, 48_000);
        let rows = [
            (vec![], None),
            (vec![range(2, (48_000, 48_000), DsdU8)], None),
            (vec![range(2, (0, 0), I16)], None),
            (vec![range(2, (44_100, 44_100), I16)], Some((44_100, 2, I16))),
            (vec![range(1, (8_000, 16_000), F32), range(2, (44_100, 96_000), I16)], Some((48_000, 2, I16))),
            (vec![range(1, (44_100, 44_100), F32), range(2, (96_000, 96_000), U16)], Some((96_000, 2, U16))),
            (vec![range(2, wide, F32), range(1, wide, I16), range(1, wide, I32)], Some((48_000, 1, I32))),
        ];
        for (ranges, best) in rows {
            assert_eq!(choose(&ranges).map(|f| (f.rate, f.channels, f.format)), best, "{ranges:?}");
        }
    }

    #[test]
    fn the_period_stays_within_what_the_device_can() {
        let format = |periods| Format { rate: 48_000, channels: 1, format: SampleFormat::F32, periods };
        let rows = [((1, u32::MAX), 480), ((1024, 4096), 1024), ((16, 256), 256), ((0, 0), 1)];
        for (periods, frames) in rows {
            assert_eq!(format(periods).period(10), frames, "{periods:?}");
        }
    }
}
