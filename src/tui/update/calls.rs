//! Keys that change a call.
use crate::tui::action::Effect;
use crate::tui::keymap::Intent;
use crate::tui::keymap::key::is_tone;
use crate::tui::model::{Model, Popup, is_over};
use crate::ua::command::{Command, Rejection};
use crate::ua::snapshot::{CallState, CallView};
use crate::ua::words::GAIN_LIMIT;

/// The step of a gain key \[dB\].
const GAIN_STEP: f32 = 3.0;
/// Tones shown in the keypad window.
const TONES_SHOWN: usize = 64;

/// Answers somebody who rings, or the question a redirection raised.
pub fn reply(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let ringing = model.answerable().map(|call| call.number);
    let asked = model.question().map(|call| call.number);
    let command = match (intent, ringing, asked) {
        (Intent::Answer, Some(call), _) => Command::Answer(call),
        (Intent::RejectBusy, Some(call), _) => Command::Reject(call, Rejection::Busy),
        (Intent::Decline, Some(call), _) => Command::Reject(call, Rejection::Decline),
        (Intent::Ignore, Some(call), _) => Command::Ignore(call),
        (Intent::Yes, _, Some(call)) => Command::Follow(call, true),
        (Intent::No, _, Some(call)) => Command::Follow(call, false),
        _ => return Vec::new(),
    };
    vec![Effect::Send(command)]
}

/// Hang up, hold, mute, swap, into the conference and out of it, record.
pub fn change(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let live = model.selected_call().filter(|call| !is_over(call));
    let command = match intent {
        Intent::Mute => Some(Command::Mute(!model.snapshot.muted)),
        Intent::HangUp => live.map(|call| Command::HangUp(call.number)),
        Intent::Hold => live
            .filter(|call| call.state == CallState::Established)
            .map(|call| if call.held_by_us { Command::Resume(call.number) } else { Command::Hold(call.number) }),
        Intent::Swap => other_call(model).map(Command::Switch),
        Intent::Conference => live.filter(|call| call.state == CallState::Established).and_then(|call| {
            if call.in_conference { Some(Command::Split(call.number)) } else { conference_with(model, call) }
        }),
        Intent::Continue => live.filter(|call| call.digits_wait).map(|call| Command::Continue(call.number)),
        Intent::Record => live.filter(|call| call.state == CallState::Established).map(|call| match call.recording {
            Some(_) => Command::StopRecording(call.number),
            None => Command::Record(call.number, None),
        }),
        _ => None,
    };
    match command {
        Some(command) => vec![Effect::Send(command)],
        None => {
            let text = match intent {
                Intent::Swap => "There is no other call to swap to.",
                Intent::Continue => "No tones wait to be sent.",
                Intent::Record => "Only a call that is up can be recorded.",
                Intent::Conference => "There is no other call to join.",
                Intent::Hold => "Only a call that is talked on can be held.",
                _ => "There is no call.",
            };
            model.notify(text, true);
            Vec::new()
        }
    }
}

/// What has a word on the command line that needs no more.
pub fn word(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let word = match intent {
        Intent::DoNotDisturb => "dnd",
        Intent::Park => "park",
        Intent::PickUp => "pickup",
        _ => return Vec::new(),
    };
    super::command::run(model, word)
}

/// The established call that is not talked on; of several the next one, so that repeating it comes by all.
pub fn other_call(model: &Model) -> Option<crate::base::id::CallNumber> {
    let focus = model.snapshot.focus;
    let up = model.live_calls().filter(|call| call.state == CallState::Established).map(|call| call.number);
    up.filter(|number| Some(*number) != focus).min_by_key(|number| (Some(*number) < focus, *number))
}

/// The selected call joins the conference, or begins one with the call talked on.
fn conference_with(model: &Model, selected: &CallView) -> Option<Command> {
    let up = |call: &&CallView| call.state == CallState::Established && call.number != selected.number;
    let focus = |call: &&CallView| (call.in_conference, Some(call.number) == model.snapshot.focus);
    let other = model.live_calls().filter(up).max_by_key(focus)?;
    Some(Command::Join(selected.number, other.number))
}

pub fn gain(model: &mut Model, intent: Intent) -> Vec<Effect> {
    let (mut capture, mut playback) = (model.snapshot.capture_gain, model.snapshot.playback_gain);
    match intent {
        Intent::SoundUp => playback += GAIN_STEP,
        Intent::SoundDown => playback -= GAIN_STEP,
        Intent::MicUp => capture += GAIN_STEP,
        Intent::MicDown => capture -= GAIN_STEP,
        _ => {}
    }
    let limit = |gain: f32| gain.clamp(-GAIN_LIMIT, GAIN_LIMIT);
    let (capture, playback) = (limit(capture), limit(playback));
    model.notify(format!("sound {playback:+.0} dB, microphone {capture:+.0} dB"), false);
    vec![Effect::Send(Command::Gain { capture, playback })]
}

/// A digit outside of a line: a tone in a call that is talked on, else the start of a number.
pub fn digit(model: &mut Model, typed: Option<char>) -> Vec<Effect> {
    let Some(digit) = typed.map(|c| c.to_ascii_uppercase()) else { return Vec::new() };
    let talking = model.selected_call().filter(|call| call.state == CallState::Established).map(|call| call.number);
    match talking {
        Some(call) if is_tone(digit) => {
            if !matches!(model.popup, Some(Popup::Keypad { .. })) {
                model.popup = Some(Popup::Keypad { sent: String::new() });
            }
            if let Some(Popup::Keypad { sent }) = &mut model.popup {
                if sent.len() >= TONES_SHOWN {
                    sent.remove(0);
                }
                sent.push(digit);
            }
            vec![Effect::Send(Command::Digits(call, digit.to_string()))]
        }
        _ if model.popup.is_some() => Vec::new(),
        _ => {
            super::lines::open(model, Intent::Dial);
            super::lines::edit(model, Intent::Insert, typed)
        }
    }
}
