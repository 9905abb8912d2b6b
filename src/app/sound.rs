//! The media thread as the configuration wants it.
use crate::app::run::{Failure, complain};
use crate::audio::choice::{DeviceChoice, Direction};
use crate::audio::devices::DeviceError;
use crate::audio::wav::WavSource;
use crate::base::rng::Rng;
use crate::cli::ExitCode;
use crate::config::{Config, FileChoice};
use crate::media::event::MediaEvent;
use crate::media::music::{self, Music};
use crate::runtime::clock;
use crate::runtime::journal::Journal;
use crate::runtime::media_thread::{MediaHandle, MediaSender, MediaThread, MediaThreadConfig};
use std::path::PathBuf;
use tokio::sync::mpsc;

/// The running thread and what it tells.
pub struct Sound {
    pub handle: MediaHandle,
    pub events: mpsc::Receiver<MediaEvent>,
}

/// Starts the media thread with the configured devices and ports.
///
/// # Errors
/// A device that cannot be meant, or a system that gives no thread.
pub fn start(config: &Config, rng: Rng, journal: &Journal) -> Result<Sound, Failure> {
    let device = |key: &str, text: &str, direction| {
        DeviceChoice::parse(text, direction)
            .map_err(|error| Failure::new(ExitCode::Configuration, format!("{key}: {error}")))
    };
    let ports = config.network.rtp_ports;
    let sound = spawn(MediaThreadConfig {
        rtp_ports: ports.low..=ports.high,
        dscp: config.network.rtp_dscp,
        microphone: device("microphone", &config.audio.microphone, Direction::Capture)?,
        speaker: device("speaker", &config.audio.speaker, Direction::Playback)?,
        anchor: clock::anchor(),
        rng,
        impairment: None,
        echo: false,
        realtime: true,
        recordings: match &config.files.recordings {
            FileChoice::Path(folder) => Some(folder.clone()),
            FileChoice::Auto | FileChoice::None => None,
        },
        name_server: config.network.name_server,
        journal: journal.clone(),
    })?;
    if let Some(file) = &config.calls.hold_music {
        play_on_hold(file.clone(), sound.handle.sender(), journal.clone());
    }
    Ok(sound)
}

/// Reads the music on a thread of its own. A file that cannot be read is said once, and held calls hear silence.
fn play_on_hold(file: PathBuf, media: MediaSender, journal: Journal) {
    let trouble = |error: DeviceError| format!("hold_music: {error}; calls on hold hear silence");
    let mut source = match WavSource::open(&file, false) {
        Ok(source) => source,
        Err(error) => {
            let words = trouble(error);
            journal.line(&words);
            return complain(&words);
        }
    };
    let read = move || {
        let (mut samples, mut block) = (Vec::new(), [0.0; 4_800]);
        while samples.len() < music::LONGEST {
            match source.read(&mut block) {
                Ok(0) => break,
                Ok(count) => samples.extend(block.iter().take(count).map(|s| (s * 32_768.0).round() as i16)),
                Err(error) => {
                    journal.line(trouble(error));
                    break;
                }
            }
        }
        media.set_music(Music::new(samples));
    };
    // Without a thread there is no music, as without a file.
    let _ = std::thread::Builder::new().name("hold music".into()).spawn(read);
}

/// Starts a media thread.
///
/// # Errors
/// A system that gives no thread.
pub fn spawn(config: MediaThreadConfig) -> Result<Sound, Failure> {
    let (handle, events) = MediaThread::spawn(config).map_err(|error| Failure::new(ExitCode::Failed, error))?;
    Ok(Sound { handle, events })
}
