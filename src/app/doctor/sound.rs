//! Microphone and speaker: whether they are there, open, and hear something.
use super::finding::{Finding, Topic, cause_and_advice, sentence};
use crate::audio::choice::Direction;
use crate::audio::devices::DeviceInfo;
use crate::media::stats::DeviceState;

/// Levels that say that something is wrong \[dBov\].
const DEAD: f32 = -90.0;
const FAINT: f32 = -60.0;

/// What was measured.
#[derive(Clone, Debug)]
pub struct Sound {
    pub devices: Vec<DeviceInfo>,
    pub tried: Vec<Tried>,
    /// The system has sound cards, and this user may not use them.
    pub is_barred: bool,
}

/// A device that was opened, or not.
#[derive(Clone, Debug)]
pub struct Tried {
    pub direction: Direction,
    /// As configured.
    pub choice: String,
    /// That is a file, a tone, or nothing at all.
    pub is_virtual: bool,
    /// How it fared; a card that has not said anything in time does not run.
    pub state: DeviceState,
    /// The loudest moment of the microphone, where it was listened to \[dBov\].
    pub level: Option<f32>,
}

pub fn judge(sound: &Sound) -> Vec<Finding> {
    let mut out: Vec<Finding> = sound.tried.iter().map(|tried| judge_one(sound, tried)).collect();
    out.extend(sound.tried.iter().filter_map(judge_level));
    if sound.is_barred {
        out.push(
            Finding::problem(Topic::Sound, "There are sound cards that this user may not use.")
                .means("Calls have no sound.")
                .advice("Add the user to the group `audio` (and log in again), or start PulseAudio or PipeWire."),
        );
    }
    out
}

fn judge_one(sound: &Sound, tried: &Tried) -> Finding {
    let Tried { direction, choice, is_virtual, state, .. } = tried;
    let which = direction.word();
    let line = |device: &DeviceInfo| {
        let mark = if device.is_default { " (default)" } else { "" };
        let format =
            device.format.map_or_else(String::new, |(rate, channels)| format!(", {rate} Hz, {channels} channels"));
        format!("{}: {}{mark}{format}", device.system.name(), device.name)
    };
    let details: Vec<String> = sound.devices.iter().filter(|d| d.direction == *direction).map(line).collect();
    let means = match direction {
        Direction::Capture => "Others hear nothing of you.",
        Direction::Playback => "You hear nothing of the others.",
    };
    if let Some(trouble) = &state.trouble {
        let advice = match details.is_empty() {
            true => "Plug in a headset. Without PulseAudio or PipeWire: are the ALSA drivers loaded?",
            false => "`offhook devices` lists and tries what there is; choose one in [audio].",
        };
        let (cause, _) = cause_and_advice(trouble);
        return Finding::problem(Topic::Sound, sentence(&format!("the {which} does not work: {cause}")))
            .means(means)
            .advice(advice)
            .details(details);
    }
    if *is_virtual {
        return Finding::note(Topic::Sound, format!("The {which} is set to \"{choice}\", which is no device."))
            .means(means)
            .advice(format!("Take {which} out of [audio] for the usual device."))
            .details(details);
    }
    if !state.running || state.is_virtual {
        let found = if details.is_empty() {
            format!("There is no {which}.")
        } else {
            format!("The {which} {} does not begin.", state.name)
        };
        let advice = if details.is_empty() {
            "Plug in a headset, or start PulseAudio or PipeWire."
        } else {
            "Does another program have it? `offhook devices` lists and tries what there is."
        };
        return Finding::problem(Topic::Sound, found).means(means).advice(advice).details(details);
    }
    Finding::ok(Topic::Sound, format!("The {which} {} works ({} Hz).", state.name, state.sample_rate)).details(details)
}

fn judge_level(tried: &Tried) -> Option<Finding> {
    let level = tried.level?;
    Some(if level <= DEAD {
        Finding::problem(Topic::Sound, "The microphone delivers nothing but silence.")
            .means("Others hear nothing of you.")
            .advice("Is it muted, by its own switch or in the system's settings? Does the system ask for permission?")
    } else if level < FAINT {
        Finding::note(Topic::Sound, format!("The microphone is very quiet ({level:.0} dBov)."))
            .means("If you spoke while it was tried, others hardly understand you.")
            .advice("Raise its level in the system's settings, or microphone_gain in [audio].")
    } else {
        Finding::ok(Topic::Sound, format!("The microphone hears something ({level:.0} dBov)."))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::doctor::finding::Severity;
    use crate::audio::choice::SoundSystem;

    fn tried(change: impl Fn(&mut Tried)) -> Tried {
        let state =
            DeviceState { name: "Headset".into(), running: true, sample_rate: 48_000, ..DeviceState::default() };
        let mut tried =
            Tried { direction: Direction::Capture, choice: "default".into(), is_virtual: false, state, level: None };
        change(&mut tried);
        tried
    }

    #[test]
    fn devices_in_words() {
        let device = DeviceInfo {
            system: SoundSystem::Alsa,
            direction: Direction::Capture,
            id: "hw".into(),
            name: "Card".into(),
            is_default: true,
            format: Some((44_100, 2)),
        };
        type Row<'a> = (&'a dyn Fn(&mut Tried), usize, Severity, &'a str);
        let rows: [Row<'_>; 8] = [
            (&|_| (), 1, Severity::Ok, "The microphone Headset works (48000 Hz)"),
            (&|t| t.state.trouble = Some("it is busy".into()), 1, Severity::Problem, "does not work: it is busy."),
            (&|t| (t.is_virtual, t.choice) = (true, "silence".into()), 0, Severity::Note, "set to \"silence\""),
            (&|t| t.state.running = false, 0, Severity::Problem, "There is no microphone."),
            (&|t| t.state.running = false, 1, Severity::Problem, "does not begin"),
            (&|t| t.level = Some(-120.0), 1, Severity::Problem, "nothing but silence"),
            (&|t| t.level = Some(-70.0), 1, Severity::Note, "very quiet (-70 dBov)"),
            (&|t| t.level = Some(-20.0), 1, Severity::Ok, "hears something"),
        ];
        for (change, devices, severity, words) in rows {
            let devices = vec![device.clone(); devices];
            let findings = judge(&Sound { devices, tried: vec![tried(change)], is_barred: false });
            let last = findings.last().expect("a finding");
            assert!(last.severity == severity && last.found.contains(words), "{words}: {findings:?}");
        }
        let barred = judge(&Sound { devices: vec![], tried: vec![], is_barred: true });
        assert!(barred[0].advice.contains("`audio`"));
    }
}
