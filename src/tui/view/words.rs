//! States in words, each with its sign and role: said the same way all over the screen.
use crate::base::net::Transport;
use crate::tui::model::{Model, rings_here};
use crate::tui::theme::{Glyphs, Role};
use crate::tui::widget::clock::{self, Local};
use crate::ua::identity::Identity;
use crate::ua::snapshot::{AccountView, CallEnd, CallState, CallSummary, CallView, FlowView, Lamp, RegistrationState};
use std::time::{Duration, Instant};

/// What the first sound of a call may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Sign, words and role of an account. Words are of a fixed width while a retry is counted down.
pub fn account(glyphs: &Glyphs, account: &AccountView, now: Instant) -> (char, String, Role) {
    reachable(glyphs, &account.state, now)
}

/// The same of one way to its server.
pub fn reachable(glyphs: &Glyphs, state: &RegistrationState, now: Instant) -> (char, String, Role) {
    match state {
        RegistrationState::Registered { .. } => (glyphs.good, "reachable".into(), Role::Good),
        RegistrationState::Registering => (glyphs.fair, "registering".into(), Role::Fair),
        RegistrationState::Unregistering => (glyphs.fair, "leaving".into(), Role::Fair),
        RegistrationState::Off => (glyphs.unknown, "off".into(), Role::Unknown),
        RegistrationState::Failed { retry: None, .. } => (glyphs.poor, "not reachable".into(), Role::Poor),
        RegistrationState::Failed { retry: Some(at), .. } if *at <= now => {
            (glyphs.poor, "retries now".into(), Role::Poor)
        }
        RegistrationState::Failed { retry: Some(at), .. } => {
            (glyphs.poor, format!("retry in {:>5}", clock::rough(until(*at, now))), Role::Poor)
        }
    }
}

/// How messages travel: `⚿ tls, protected`. The lock is shown only where nobody on the way can read or change them.
pub fn way(glyphs: &Glyphs, transport: Transport) -> String {
    if transport.is_secure() {
        format!("{} {}, protected", glyphs.lock, transport.name())
    } else {
        format!("{}, not protected", transport.name())
    }
}

fn works(flow: &&FlowView) -> bool {
    matches!(flow.state, RegistrationState::Registered { .. })
}

/// The flow an account is reached by, else the one that is tried first.
pub fn best(account: &AccountView) -> Option<&FlowView> {
    account.flows.iter().find(works).or(account.flows.first())
}

/// The ways to an account's server: how the best one travels, and how many of them work. `None` before one is known.
pub fn ways(glyphs: &Glyphs, account: &AccountView) -> Option<String> {
    let best = best(account)?;
    let flows = match (account.flows.iter().filter(works).count(), account.flows.len()) {
        (_, 1) => "1 flow".to_owned(),
        (up, all) if up == all => format!("{all} flows"),
        (up, all) => format!("{up} of {all} flows"),
    };
    Some(format!("{}, {flows}", way_of(glyphs, best)))
}

/// How one flow travels: nothing is protected before it works.
pub fn way_of(glyphs: &Glyphs, flow: &FlowView) -> String {
    match flow.state {
        RegistrationState::Registered { .. } | RegistrationState::Unregistering => way(glyphs, flow.transport),
        RegistrationState::Off | RegistrationState::Registering | RegistrationState::Failed { .. } => {
            flow.transport.name().to_owned()
        }
    }
}

/// The transport a call's last message took.
pub fn signalling(call: &CallView) -> Option<Transport> {
    call.ladder.iter().rev().find_map(|entry| entry.flow).map(|flow| flow.transport)
}

/// What the server last said of an account or of one way to it, in a sentence.
pub fn registration(model: &Model, state: &RegistrationState) -> String {
    match state {
        RegistrationState::Registered { expires } => {
            let at = model.wall + expires.saturating_duration_since(model.now);
            let at = Local::new(at, (model.zone)(at)).minutes();
            format!("The server knows this phone until {at}; it is renewed before.")
        }
        RegistrationState::Failed { cause, status: Some(status), .. } => format!("{cause} ({status})"),
        RegistrationState::Failed { cause, .. } => cause.clone(),
        RegistrationState::Off => "Not registered: nobody can call this account here.".into(),
        RegistrationState::Registering => "Telling the server where this phone is.".into(),
        RegistrationState::Unregistering => "Telling the server that this phone leaves.".into(),
    }
}

/// That calls do not ring here, as short as can be: always on the screen while it is so.
pub fn away(accounts: &[AccountView]) -> Vec<String> {
    let of = |all: bool, account: &AccountView| if all { String::new() } else { format!(" {}", account.name) };
    let mut rules = Vec::new();
    let silent: Vec<&AccountView> = accounts.iter().filter(|a| a.do_not_disturb).collect();
    if let [first, ..] = silent.as_slice() {
        rules.push(format!("DND{}", of(silent.len() == accounts.len(), first)));
    }
    let forwarded: Vec<&AccountView> = accounts.iter().filter(|a| a.forwarding.is_on()).collect();
    if let [first, ..] = forwarded.as_slice() {
        let whose = of(forwarded.len() == accounts.len(), first);
        rules.push(match &first.forwarding.always {
            Some(to) => format!("fwd{whose} {to}"),
            None => format!("fwd{whose}"),
        });
    }
    rules
}

/// Time left, counted so that the last second shown is 1.
pub fn until(at: Instant, now: Instant) -> Duration {
    let left = at.saturating_duration_since(now);
    Duration::from_secs(left.as_secs() + u64::from(left.subsec_nanos() > 0))
}

/// How many talk with each other, the user among them; `None` where it is no conference.
pub fn conference(model: &Model, call: &CallView) -> Option<String> {
    let parties = model.live_calls().filter(|call| call.in_conference).count();
    call.in_conference.then(|| format!("conference of {}", parties + 1))
}

/// One or two words for the list of calls, or how long they talk.
pub fn call_state(model: &Model, call: &CallView) -> (String, Role) {
    let word = |word: &str, role| (word.to_owned(), role);
    match &call.state {
        CallState::Preparing => word("prepares", Role::Fair),
        CallState::Calling => word("calling", Role::Fair),
        CallState::Ringing { .. } if rings_here(call) && call.ignored => word("silenced", Role::Dim),
        CallState::Ringing { .. } if rings_here(call) => word("calls you", Role::Accent),
        CallState::Ringing { .. } => word("ringing", Role::Fair),
        CallState::Redirected { .. } => word("moved?", Role::Accent),
        CallState::Answering => word("answering", Role::Fair),
        CallState::Established if !call.recovery.is_empty() => word("recovers", Role::Fair),
        CallState::Established if call.transfer.is_some() => word("transfer", Role::Accent),
        CallState::Established if call.held_by_us => word("on hold", Role::Fair),
        CallState::Established if call.held_by_peer => word("holds us", Role::Fair),
        CallState::Established if call.in_conference => {
            (format!("& {}", clock::short(talked(model, call))), Role::Good)
        }
        CallState::Established => (clock::short(talked(model, call)), Role::Good),
        CallState::Ending => word("ending", Role::Dim),
        CallState::Ended(_) => word("ended", Role::Dim),
    }
}

/// Answered for a while, and nothing came: no call sounds like this.
pub fn is_silent(model: &Model, call: &CallView) -> bool {
    call.state == CallState::Established && !call.media_flowing && talked(model, call) >= PATIENCE
}

/// How long a call is talked on.
pub fn talked(model: &Model, call: &CallView) -> Duration {
    call.answered.map_or(Duration::ZERO, |at| model.now.saturating_duration_since(at))
}

/// Sign and role of an entry of the history, with a word where the sign alone would have to say something went wrong.
pub fn past(glyphs: &Glyphs, entry: &CallSummary) -> (char, &'static str, Role) {
    let way = if entry.outgoing { glyphs.outgoing } else { glyphs.incoming };
    match entry.end {
        CallEnd::Normal => (way, "", Role::Dim),
        CallEnd::AnsweredElsewhere => (way, "answered elsewhere", Role::Dim),
        CallEnd::Cancelled => (way, "given up", Role::Dim),
        CallEnd::Rejected => (glyphs.poor, "rejected", Role::Dim),
        CallEnd::Missed => (glyphs.poor, "missed", Role::Poor),
        CallEnd::Refused => (glyphs.poor, "refused", Role::Poor),
        CallEnd::Failed => (glyphs.poor, "failed", Role::Poor),
        CallEnd::NoMedia => (glyphs.poor, "no sound", Role::Poor),
    }
}

/// `Opus 48k`, `not encrypted`
pub fn medium(call_codec: &str, security: &str) -> String {
    let security = if security.is_empty() || security == "none" { "not encrypted" } else { security };
    if call_codec.is_empty() { String::new() } else { format!("{call_codec}, {security}") }
}

/// Sign and role of somebody who is watched.
pub fn lamp(glyphs: &Glyphs, lamp: Lamp) -> (char, Role) {
    match lamp {
        Lamp::Free => (glyphs.good, Role::Good),
        Lamp::Ringing => (glyphs.fair, Role::Fair),
        Lamp::Busy => (glyphs.poor, Role::Poor),
        Lamp::Unknown | Lamp::Away => (glyphs.unknown, Role::Unknown),
    }
}

/// The name the network told, where the contacts have another one: `"Bob"`.
pub fn also_told(identity: &Identity) -> Option<String> {
    let other = identity.contact.is_some() && !identity.told.is_empty() && identity.told != identity.name;
    other.then(|| format!("\"{}\"", identity.told))
}

/// Who the peer is by whose word.
pub fn trust(call: &CallView) -> String {
    call.identity.phrase()
}
