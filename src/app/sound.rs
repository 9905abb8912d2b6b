//! The media thread as the configuration wants it.
use crate::app::run::Failure;
use crate::audio::choice::{DeviceChoice, Direction};
use crate::base::rng::Rng;
use crate::cli::ExitCode;
use crate::config::{Config, FileChoice};
use crate::media::event::MediaEvent;
use crate::runtime::clock;
use crate::runtime::journal::Journal;
use crate::runtime::media_thread::{MediaHandle, MediaThread, MediaThreadConfig};
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
    spawn(MediaThreadConfig {
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
        journal: journal.clone(),
    })
}

/// Starts a media thread.
///
/// # Errors
/// A system that gives no thread.
pub fn spawn(config: MediaThreadConfig) -> Result<Sound, Failure> {
    let (handle, events) = MediaThread::spawn(config).map_err(|error| Failure::new(ExitCode::Failed, error))?;
    Ok(Sound { handle, events })
}
