//! Headless output: one JSON object a second and a final one, or lines for people.
use crate::base::id::CallNumber;
use crate::qos::snapshot::{CallQuality, DirectionQuality};
use crate::ua::identity::{Forwarded, Identity, Verification};
use crate::ua::snapshot::{
    CallEnd, CallState, CallSummary, CallView, CapabilitiesView, FlowView, RegistrationState, TextState, TextView,
};
use serde_json::{Value, json};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The state of a call, once a second.
pub fn progress(call: &CallView, now: Instant) -> Value {
    let duration = call.answered.map(|at| now.saturating_duration_since(at).as_secs_f64());
    let mut object = json!({
        "type": "call",
        "time": unix_time(),
        "call": call.number.0,
        "direction": if call.outgoing { "out" } else { "in" },
        "state": state(&call.state),
        "peer": call.peer_address,
        "identity": identity(&call.identity),
        "duration_s": duration.map(|s| rounded(s, 1)),
        "codec": text(&call.codec),
        "security": text(&call.security),
        "profile": text(&call.profile),
        "fingerprints": call.fingerprints.as_ref().map(|(ours, theirs)| json!({ "ours": ours, "theirs": theirs })),
        "media_path": text(&call.media_path),
        "media_pair": text(&call.media_pair),
        "signalling": call.ladder.iter().rev().find_map(|entry| entry.flow).map(|flow| flow.transport.name()),
        "recovery": text(&call.recovery),
        "held_by_us": call.held_by_us,
        "held_by_peer": call.held_by_peer,
        "conference": call.in_conference,
        "recording": call.recording.as_deref(),
        "digits_received": call.digits_received,
        "digits_left": text(&call.digits_left),
        "media_flowing": call.media_flowing,
        "first_media_ms": call.first_media.map(|time| rounded(time.as_secs_f64() * 1e3, 1)),
    });
    merge(&mut object, quality(&call.quality));
    object
}

/// Who the other party is, and how sure that is.
fn identity(identity: &Identity) -> Value {
    let step = |step: &Forwarded| json!({ "by": step.by, "why": text(&step.why) });
    json!({
        "name": text(&identity.name),
        "number": text(&identity.address),
        "source": identity.source.word(),
        "by": text(&identity.by),
        "told": text(&identity.told),
        "contact": identity.contact,
        "verification": identity.verification.map(Verification::word),
        "attestation_claimed": identity.attestation.as_deref().and_then(text),
        "dialled": text(&identity.dialled),
        "forwarded": identity.forwarded.iter().map(step).collect::<Vec<_>>(),
        "forwarded_asserted": !identity.forwarded.is_empty() && identity.from_server,
        "words": text(&identity.phrase()),
    })
}

/// The other party of a call has become known, or is another one.
pub fn identified(call: CallNumber, who: &Identity) -> Value {
    json!({ "type": "identity", "time": unix_time(), "call": call.0, "identity": identity(who) })
}

/// How a call was.
pub fn summary(summary: &CallSummary) -> Value {
    let mut object = json!({
        "type": "summary",
        "time": unix_time(),
        "account": summary.account_name,
        "direction": if summary.outgoing { "out" } else { "in" },
        "peer": summary.peer_address,
        "identity": identity(&summary.identity),
        "result": end(summary.end),
        "status": summary.status,
        "cause": summary.cause,
        "advice": text(&summary.advice),
        "refused_by": text(&summary.refused_by),
        "duration_s": summary.duration.map(|d| rounded(d.as_secs_f64(), 1)),
        "codec": text(&summary.codec),
        "unattended": summary.unattended,
    });
    merge(&mut object, quality(&summary.quality));
    object
}

/// A registration that changed state.
pub fn registration(account: &str, state: &RegistrationState, flows: &[FlowView], now: Instant) -> Value {
    let (word, cause, status, seconds) = match state {
        RegistrationState::Off => ("off", None, None, None),
        RegistrationState::Registering => ("registering", None, None, None),
        RegistrationState::Registered { expires } => {
            ("registered", None, None, Some(expires.saturating_duration_since(now)))
        }
        RegistrationState::Failed { cause, status, retry } => {
            ("failed", Some(cause.as_str()), *status, retry.map(|at| at.saturating_duration_since(now)))
        }
        RegistrationState::Unregistering => ("unregistering", None, None, None),
    };
    json!({
        "type": "registration",
        "time": unix_time(),
        "account": account,
        "state": word,
        "cause": cause,
        "status": status,
        "flows": flows.iter().map(flow).collect::<Vec<_>>(),
        "seconds": seconds.as_ref().map(Duration::as_secs_f64).map(|s| rounded(s, 1)),
    })
}

/// One way to the server.
fn flow(flow: &FlowView) -> Value {
    json!({
        "transport": flow.transport.name(),
        "server": flow.server.to_string(),
        "protected": flow.secure,
        "registered": matches!(flow.state, RegistrationState::Registered { .. }),
    })
}

/// The same for a person.
pub fn registration_line(account: &str, state: &RegistrationState, flows: &[FlowView], now: Instant) -> String {
    let words = match state {
        RegistrationState::Registered { .. } => {
            let works = |flow: &&FlowView| matches!(flow.state, RegistrationState::Registered { .. });
            let way = |flow: &FlowView| {
                let not = if flow.secure { "" } else { "not " };
                format!("{} {}, {not}protected", flow.transport.name(), flow.server)
            };
            let ways: Vec<String> = flows.iter().filter(works).map(way).collect();
            if ways.is_empty() { "registered".to_owned() } else { format!("registered ({})", ways.join("; ")) }
        }
        RegistrationState::Failed { cause, retry: Some(at), .. } => {
            format!("{cause}; next try in {:.0} s", at.saturating_duration_since(now).as_secs_f64().ceil())
        }
        RegistrationState::Failed { cause, retry: None, .. } => cause.clone(),
        RegistrationState::Off => "not registered".to_owned(),
        RegistrationState::Registering => "registering".to_owned(),
        RegistrationState::Unregistering => "unregistering".to_owned(),
    };
    format!("{account}: {words}")
}

/// A text, and what became of it.
pub fn message(text: &TextView) -> Value {
    let cause = match &text.state {
        TextState::Failed(cause) => Some(cause),
        TextState::Received | TextState::Sending | TextState::Delivered | TextState::Accepted => None,
    };
    json!({
        "type": "message",
        "time": unix_time(),
        "account": text.account_name,
        "direction": if text.outgoing { "out" } else { "in" },
        "peer": text.peer_address,
        "name": text.peer_name,
        "trust": self::text(&text.trust),
        "state": text.state.word(),
        "cause": cause,
        "text": text.text,
    })
}

/// The same for a person.
pub fn message_line(text: &TextView) -> String {
    match &text.state {
        TextState::Received => format!("{} writes: {}", text.peer_address, text.text),
        TextState::Failed(cause) => format!("text to {}: failed: {cause}", text.peer_address),
        state => format!("text to {}: {}", text.peer_address, state.word()),
    }
}

/// What somebody can do.
pub fn capabilities(words: &str, target: &str, told: Option<&CapabilitiesView>) -> Value {
    let mut object = fact("capabilities", words);
    let view = told.map(|view| {
        json!({
            "target": target,
            "status": view.status,
            "allow": view.methods,
            "supported": view.extensions,
            "accept": view.bodies,
            "allow_events": view.events,
            "software": text(&view.software),
        })
    });
    merge(&mut object, view.unwrap_or_else(|| json!({ "target": target })));
    object
}

/// Anything else worth a line.
pub fn fact(kind: &str, words: &str) -> Value {
    json!({ "type": kind, "time": unix_time(), "text": words })
}

/// The same figures for a person: one line.
pub fn line(call: &CallView, now: Instant) -> String {
    let seconds = call.answered.map_or(0, |at| now.saturating_duration_since(at).as_secs_f64().round() as u64);
    let (heard, told) = (&call.quality.inbound, &call.quality.outbound);
    let figure = |value: Option<f64>, digits: usize, unit: &str| {
        value.map_or_else(|| "–".to_owned(), |v| format!("{v:.digits$}{unit}"))
    };
    let side = |d: &DirectionQuality| {
        format!(
            "MOS {} loss {} jitter {}",
            figure(d.mos.map(|r| r.value), 2, ""),
            figure(d.loss.map(|r| r.value), 1, " %"),
            figure(d.jitter.map(|r| r.value), 0, " ms")
        )
    };
    format!(
        "{:02}:{:02} {}; we hear: {}; they hear: {}; RTT {}",
        seconds / 60,
        seconds % 60,
        format!("{} {}", state(&call.state), call.codec).trim_end(),
        side(heard),
        side(told),
        figure(call.quality.round_trip.map(|r| r.value), 0, " ms"),
    )
}

pub fn state(state: &CallState) -> &'static str {
    match state {
        CallState::Preparing => "preparing",
        CallState::Calling => "calling",
        CallState::Ringing { .. } => "ringing",
        CallState::Redirected { .. } => "redirected",
        CallState::Answering => "answering",
        CallState::Established => "established",
        CallState::Ending => "ending",
        CallState::Ended(_) => "ended",
    }
}

pub fn end(end: CallEnd) -> &'static str {
    match end {
        CallEnd::Normal => "normal",
        CallEnd::Missed => "missed",
        CallEnd::Rejected => "rejected",
        CallEnd::AnsweredElsewhere => "answered elsewhere",
        CallEnd::Cancelled => "cancelled",
        CallEnd::Refused => "refused",
        CallEnd::Failed => "failed",
        CallEnd::NoMedia => "no media",
    }
}

fn quality(quality: &CallQuality) -> Value {
    let sound = &quality.sound;
    let playout = match (quality.delay.buffer, quality.delay.device) {
        (None, None) => None,
        (buffer, device) => Some(buffer.unwrap_or(0.0) + device.unwrap_or(0.0)),
    };
    json!({
        "round_trip_ms": quality.round_trip.map(|r| rounded(r.value, 2)),
        "playout_delay_ms": number(playout, 1),
        "delay_ms": {
            "total": number(quality.delay.total, 1),
            "network": number(quality.delay.network, 2),
            "buffer": number(quality.delay.buffer, 1),
            "device": number(quality.delay.device, 1),
            "codec": number(quality.delay.codec, 1),
        },
        "concealed_ms": number(sound.concealed, 0),
        "recovered_ms": number(sound.recovered, 0),
        "played_ms": number(sound.played, 0),
        "late": sound.late,
        "duplicates": sound.duplicates,
        "reordered": sound.reordered,
        "foreign": sound.foreign,
        "feedback_ignored": sound.feedback,
        "told_level_dbov": sound.told_level.map(|(level, _)| level),
        "told_voice": sound.told_level.map(|(_, voice)| voice),
        "malformed": sound.malformed,
        "forged": sound.forged,
        "replayed": sound.replayed,
        "inbound": direction(&quality.inbound),
        "outbound": direction(&quality.outbound),
        "diagnosis": text(&quality.diagnosis),
    })
}

fn direction(direction: &DirectionQuality) -> Value {
    json!({
        "packets": direction.packets,
        // Where nothing was counted, zero would be a claim.
        "lost": direction.loss_total.map(|_| direction.lost),
        "loss_percent": number(direction.loss.map(|r| r.value), 2),
        "loss_total_percent": number(direction.loss_total, 3),
        "jitter_ms": number(direction.jitter.map(|r| r.value), 3),
        "mos": number(direction.mos.map(|r| r.value), 2),
        "rating": number(direction.rating, 1),
    })
}

fn merge(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}

fn text(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn number(value: Option<f64>, digits: i32) -> Option<f64> {
    value.map(|v| rounded(v, digits))
}

fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

fn unix_time() -> f64 {
    rounded(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(), 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::net::Transport;

    #[test]
    fn a_registration_says_its_ways_and_when_it_is_tried_again() {
        let now = Instant::now();
        let registered = RegistrationState::Registered { expires: now + Duration::from_secs(60) };
        let retry = Some(now + Duration::from_millis(3_200));
        let failed = RegistrationState::Failed { cause: "no answer".into(), status: None, retry };
        let flow = |transport: Transport, state: &RegistrationState| FlowView {
            transport,
            server: ([192, 0, 2, 1], transport.default_port()).into(),
            secure: transport.is_secure(),
            state: state.clone(),
            since: None,
            confirmed: None,
            keep_alive: Duration::from_secs(20),
            contact: String::new(),
            gruu: String::new(),
            service_route: String::new(),
        };
        let flows = [flow(Transport::Tls, &registered), flow(Transport::Udp, &failed)];
        let line = |state, flows| registration_line("work", state, flows, now);
        assert_eq!(line(&failed, &flows), "work: no answer; next try in 4 s");
        assert_eq!(line(&registered, &[]), "work: registered");
        assert_eq!(line(&registered, &flows), "work: registered (tls 192.0.2.1:5061, protected)");
        let value = registration("work", &registered, &flows, now);
        assert_eq!(value["flows"][0]["protected"], true);
        assert_eq!(value["flows"][1]["registered"], false);
    }

    #[test]
    fn what_was_not_measured_is_null_and_never_zero() {
        let value = quality(&CallQuality::default());
        for key in ["round_trip_ms", "playout_delay_ms", "concealed_ms", "diagnosis"] {
            assert!(value.get(key).is_some_and(Value::is_null), "{key}: {value}");
        }
        assert!(value["outbound"]["lost"].is_null(), "{value}");
        assert!(value["inbound"]["mos"].is_null() && value["delay_ms"]["total"].is_null());
    }
}
