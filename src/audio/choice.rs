//! What the user may name as microphone or speaker: a sound card or a virtual device.
use std::fmt;
use std::path::PathBuf;

/// Which way sound flows through a device, seen from us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// A microphone.
    Capture,
    /// A speaker.
    Playback,
}

impl Direction {
    /// The word of the command line.
    pub fn word(self) -> &'static str {
        match self {
            Self::Capture => "microphone",
            Self::Playback => "speaker",
        }
    }
}

/// A sound system that cpal speaks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoundSystem {
    /// PulseAudio, or PipeWire in its place.
    Pulse,
    Alsa,
}

impl SoundSystem {
    pub fn name(self) -> &'static str {
        match self {
            Self::Pulse => "pulse",
            Self::Alsa => "alsa",
        }
    }

    fn from_prefix(prefix: &str) -> Option<Self> {
        match prefix.to_ascii_lowercase().as_str() {
            "pulse" | "pulseaudio" | "pipewire" => Some(Self::Pulse),
            "alsa" => Some(Self::Alsa),
            _ => None,
        }
    }
}

/// A microphone or a speaker, as configured.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum DeviceChoice {
    /// What the sound system calls its default.
    #[default]
    Default,
    /// The card whose name or identifier contains `name`, letter case left aside.
    Named { system: Option<SoundSystem>, name: String },
    /// A WAV file: played once, or over and over, as microphone; written as speaker.
    Wav { path: PathBuf, repeat: bool },
    /// A sine as microphone \[Hz\].
    Tone(f32),
    /// A microphone that hears nothing.
    Silence,
    /// Nothing: a silent microphone, a speaker that throws everything away.
    Null,
}

/// Highest tone that 48 kHz carry well \[Hz\].
const HIGHEST_TONE: f32 = 20_000.0;

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ChoiceError {
    #[error("the device has no name: say `default`, a part of the device's name, `wav:FILE` or `null`")]
    Empty,
    #[error("`{0}` names no file: say `wav:FILE`")]
    NoFile(String),
    #[error("`{0}` is not a tone: say `tone:HZ` with 1 to 20000 Hz")]
    Tone(String),
    #[error("`{0}` is a microphone, not a speaker: say `default`, a device's name, `wav:FILE` or `null`")]
    NotASpeaker(String),
}

impl DeviceChoice {
    /// Reads what the user wrote after `--microphone`, `--speaker` or their keys in the configuration.
    pub fn parse(text: &str, direction: Direction) -> Result<Self, ChoiceError> {
        let text = text.trim();
        let (prefix, rest) = text.split_once(':').unwrap_or((text, ""));
        let has_rest = text.contains(':');
        let choice = match (prefix.to_ascii_lowercase().as_str(), has_rest) {
            ("", _) => return Err(ChoiceError::Empty),
            ("default", false) => Self::Default,
            ("silence", false) => Self::Silence,
            ("null", false) => Self::Null,
            ("wav" | "loop", true) if rest.is_empty() => return Err(ChoiceError::NoFile(text.into())),
            ("wav", true) => Self::Wav { path: rest.into(), repeat: false },
            ("loop", true) => Self::Wav { path: rest.into(), repeat: true },
            ("tone", true) => match rest.trim().trim_end_matches("Hz").trim().parse::<f32>() {
                Ok(hz) if (1.0..=HIGHEST_TONE).contains(&hz) => Self::Tone(hz),
                _ => return Err(ChoiceError::Tone(text.into())),
            },
            (_, true) => match SoundSystem::from_prefix(prefix) {
                Some(_) if rest.is_empty() => return Err(ChoiceError::Empty),
                Some(system) => Self::Named { system: Some(system), name: rest.into() },
                None => Self::Named { system: None, name: text.into() },
            },
            (_, false) => Self::Named { system: None, name: text.into() },
        };
        match (&choice, direction) {
            (Self::Tone(_) | Self::Silence | Self::Wav { repeat: true, .. }, Direction::Playback) => {
                Err(ChoiceError::NotASpeaker(text.into()))
            }
            _ => Ok(choice),
        }
    }

    /// No sound card is asked for.
    pub fn is_virtual(&self) -> bool {
        !matches!(self, Self::Default | Self::Named { .. })
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Named { system: None, name } => f.write_str(name),
            Self::Named { system: Some(system), name } => write!(f, "{}:{name}", system.name()),
            Self::Wav { path, repeat: false } => write!(f, "wav:{}", path.display()),
            Self::Wav { path, repeat: true } => write!(f, "loop:{}", path.display()),
            Self::Tone(hz) => write!(f, "tone:{hz}"),
            Self::Silence => f.write_str("silence"),
            Self::Null => f.write_str("null"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused_with_the_way_out() {
        use Direction::{Capture, Playback};
        let rows = [
            ("", Capture, ChoiceError::Empty),
            ("  ", Playback, ChoiceError::Empty),
            (":x", Capture, ChoiceError::Empty),
            ("alsa:", Capture, ChoiceError::Empty),
            ("wav:", Playback, ChoiceError::NoFile("wav:".into())),
            ("loop:", Capture, ChoiceError::NoFile("loop:".into())),
            ("tone:", Capture, ChoiceError::Tone("tone:".into())),
            ("tone:0", Capture, ChoiceError::Tone("tone:0".into())),
            ("tone:-440", Capture, ChoiceError::Tone("tone:-440".into())),
            ("tone:NaN", Capture, ChoiceError::Tone("tone:NaN".into())),
            ("tone:20001", Capture, ChoiceError::Tone("tone:20001".into())),
            ("tone:440", Playback, ChoiceError::NotASpeaker("tone:440".into())),
            ("silence", Playback, ChoiceError::NotASpeaker("silence".into())),
            ("loop:a.wav", Playback, ChoiceError::NotASpeaker("loop:a.wav".into())),
        ];
        for (text, direction, error) in rows {
            assert_eq!(DeviceChoice::parse(text, direction), Err(error), "{text:?}");
        }
    }

    #[test]
    fn every_kind_of_device_is_read_and_printed() {
        let named = |system, name: &str| DeviceChoice::Named { system, name: name.into() };
        let wav = |path: &str, repeat| DeviceChoice::Wav { path: path.into(), repeat };
        let rows = [
            ("default", DeviceChoice::Default, "default"),
            (" Default ", DeviceChoice::Default, "default"),
            ("USB Headset", named(None, "USB Headset"), "USB Headset"),
            ("hw:CARD=1,DEV=0", named(None, "hw:CARD=1,DEV=0"), "hw:CARD=1,DEV=0"),
            ("alsa:hw:CARD=1", named(Some(SoundSystem::Alsa), "hw:CARD=1"), "alsa:hw:CARD=1"),
            ("PulseAudio:null", named(Some(SoundSystem::Pulse), "null"), "pulse:null"),
            ("tone", named(None, "tone"), "tone"),
            ("wav:/a/b:c.wav", wav("/a/b:c.wav", false), "wav:/a/b:c.wav"),
            ("loop:x.wav", wav("x.wav", true), "loop:x.wav"),
            ("tone:440", DeviceChoice::Tone(440.0), "tone:440"),
            ("tone:1004.5 Hz", DeviceChoice::Tone(1004.5), "tone:1004.5"),
            ("silence", DeviceChoice::Silence, "silence"),
            ("NULL", DeviceChoice::Null, "null"),
        ];
        for (text, choice, printed) in rows {
            let parsed = DeviceChoice::parse(text, Direction::Capture).expect(text);
            assert_eq!(parsed, choice, "{text:?}");
            assert_eq!(parsed.to_string(), printed, "{text:?}");
        }
    }

    #[test]
    fn only_cards_are_real() {
        let rows = [("default", false), ("USB", false), ("wav:x", true), ("null", true)];
        for (text, is_virtual) in rows {
            assert_eq!(DeviceChoice::parse(text, Direction::Playback).map(|c| c.is_virtual()), Ok(is_virtual));
        }
    }
}
