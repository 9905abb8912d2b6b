//! How a call is, in one sentence: the state until sound can flow, then the diagnosis.
use super::words;
use crate::qos::snapshot::Verdict;
use crate::tui::keymap::{Context, Intent};
use crate::tui::model::{Model, rings_here};
use crate::tui::theme::{Glyphs, Role};
use crate::tui::widget::grade::{self, Grade};
use crate::ua::snapshot::{CallState, CallView};

/// What is said of a call, with its sign.
pub struct Sentence {
    pub role: Role,
    pub sign: char,
    /// Whose fault it is, before the sentence.
    pub whose: &'static str,
    pub text: String,
}

impl Sentence {
    /// Whose fault it is, if it is anybody's, and the sentence.
    pub fn words(&self) -> String {
        if self.whose.is_empty() { self.text.clone() } else { format!("{}: {}", self.whose, self.text) }
    }

    fn new(role: Role, sign: char, text: impl Into<String>) -> Self {
        Self { role, sign, whose: "", text: text.into() }
    }
}

pub fn of(model: &Model, g: &Glyphs, call: &CallView) -> Sentence {
    let key = |intent| {
        model.keymap.shown(Context::Incoming, intent, model.is_typing()).map_or(String::new(), |k| k.to_string())
    };
    match &call.state {
        CallState::Preparing => Sentence::new(Role::Fair, g.fair, "Getting ready: account, address and ports."),
        CallState::Calling => Sentence::new(Role::Fair, g.fair, "Calling. Nothing came back yet."),
        CallState::Ringing { .. } if rings_here(call) => {
            let silenced = if call.ignored { "Still waits; you silenced it. Press " } else { "Calls you. Press " };
            Sentence::new(
                Role::Accent,
                g.fair,
                format!("{silenced}{} to answer, {} to decline.", key(Intent::Answer), key(Intent::Decline)),
            )
        }
        CallState::Ringing { early_media: true } => {
            Sentence::new(Role::Fair, g.fair, "It rings there. What you hear comes from their network.")
        }
        CallState::Ringing { early_media: false } => Sentence::new(Role::Fair, g.fair, "It rings there."),
        CallState::Redirected { target } => {
            Sentence::new(Role::Accent, g.fair, format!("Asks to be called at {target} instead. See above."))
        }
        CallState::Answering => Sentence::new(Role::Fair, g.fair, "Answered; the other side has yet to confirm."),
        CallState::Ending => Sentence::new(Role::Dim, g.unknown, "Hanging up."),
        CallState::Ended(summary) => {
            let good = summary.end == crate::ua::snapshot::CallEnd::Normal;
            let (role, sign) = if good { (Role::Dim, g.good) } else { (Role::Poor, g.poor) };
            let more = if summary.advice.is_empty() { "" } else { ". Press i for what to try." };
            Sentence::new(role, sign, format!("{}{more}", summary.cause))
        }
        CallState::Established => established(model, g, call),
    }
}

/// Words as a sentence.
fn capital(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

fn established(model: &Model, g: &Glyphs, call: &CallView) -> Sentence {
    if let Some(transfer) = &call.transfer {
        return Sentence::new(Role::Accent, g.fair, capital(transfer));
    }
    if call.digits_wait {
        let key = model.keymap.shown(Context::Main, Intent::Continue, false).map_or(String::new(), |k| k.to_string());
        let rest = call.digits_left.trim_start_matches([';', 'w', 'W']);
        return Sentence::new(Role::Accent, g.fair, format!("Press {key} to send {rest}"));
    }
    if !call.digits_left.is_empty() {
        return Sentence::new(Role::Fair, g.fair, format!("Sending tones; {} is left.", call.digits_left));
    }
    match (call.held_by_us, call.held_by_peer) {
        (true, true) => return Sentence::new(Role::Fair, g.fair, "Both sides hold this call."),
        (true, false) => return Sentence::new(Role::Fair, g.fair, "You hold this call: neither hears the other."),
        (false, true) => return Sentence::new(Role::Fair, g.fair, format!("{} holds this call.", call.peer_name)),
        (false, false) => {}
    }
    if !call.recovery.is_empty() {
        return Sentence::new(Role::Fair, g.fair, capital(&call.recovery));
    }
    let quality = &call.quality;
    let grade = Grade::from(quality.verdict);
    if quality.diagnosis.is_empty() && words::is_silent(model, call) {
        return Sentence::new(Role::Poor, g.poor, "No sound arrives from them.");
    }
    if quality.diagnosis.is_empty() {
        let waits =
            if call.media_flowing { "Listening: not enough was measured yet." } else { "No sound arrives yet." };
        return Sentence::new(Role::Unknown, g.unknown, waits);
    }
    let whose = match quality.verdict {
        Verdict::Fair | Verdict::Poor => grade::fault(quality.fault),
        Verdict::Good | Verdict::Unknown => "",
    };
    let muted = if model.snapshot.muted { " You are muted." } else { "" };
    Sentence { whose, ..Sentence::new(grade.role(), grade.sign(g), format!("{}{muted}", quality.diagnosis)) }
}
