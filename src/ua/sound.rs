//! What is heard here: which calls, which tone, and what the sound devices do.
use super::call::Call;
use super::snapshot::{CallEnd, DeviceView};
use super::{UserAgent, account};
use crate::base::id::CallNumber;
use crate::media::spec::{MediaCommand, Tone};
use crate::media::stats::DeviceReport;
use std::time::Instant;

impl UserAgent {
    /// Which calls are heard, and which tone sounds.
    pub(super) fn set_sound(&mut self, now: Instant) {
        let focus = self.focus.and_then(|n| self.calls.get(&n));
        let heard = self.audible();
        if heard != self.heard {
            let streams = heard.iter().filter_map(|n| self.calls.get(n)).map(Call::stream).collect();
            self.heard = heard;
            self.out.media.push_back(MediaCommand::Focus { streams });
        }
        let talking = self.calls.values().any(|c| c.is_established() && !c.is_held_by_us());
        let ringing = self.calls.values().find(|c| c.is_ringing_in() && !c.ignored);
        let tone = match (ringing.filter(|_| !self.settings.auto_answer), talking) {
            (Some(call), false) if call.alert.answer_at.is_some() => Some(Tone::Intercom),
            (Some(call), false) => Some(Tone::Ring(call.alert.ring)),
            (Some(_), true) => Some(Tone::CallWaiting),
            _ if focus.is_some_and(Call::wants_ringback) => Some(Tone::Ringback),
            _ if !talking && self.busy_until.is_some_and(|at| now < at) => Some(Tone::Busy),
            _ => None,
        };
        if tone != self.tone {
            self.tone = tone;
            self.out.media.push_back(MediaCommand::Play(tone));
        }
    }

    /// A call in which nothing is heard is asked for, and ended with that cause when it takes too long.
    pub(super) fn watch_silence(&mut self, now: Instant) {
        for call in self.calls.values_mut() {
            call.ask_in_silence(now, &mut self.out);
        }
        let limit = self.settings.no_media_timeout;
        if limit.is_zero() {
            return;
        }
        let silent = |c: &&Call| c.silent_since().is_some_and(|since| now.saturating_duration_since(since) >= limit);
        let dead: Vec<CallNumber> = self.calls.values().filter(silent).map(|c| c.number).collect();
        for number in dead {
            let cause = format!("no sound arrived for {} s; check NAT and firewall", limit.as_secs());
            self.with_call(number, |c, anchor, out| c.fail(now, anchor, CallEnd::NoMedia, cause, out));
        }
    }

    pub(super) fn device_view(&self) -> DeviceView {
        let trouble = [&self.devices.playback, &self.devices.capture].into_iter().find_map(|d| d.trouble.clone());
        DeviceView {
            capture: self.devices.capture.name.clone(),
            playback: self.devices.playback.name.clone(),
            notice: trouble.map(|t| account::shown(&t, 120)),
            capture_fails: self.devices.capture.trouble.is_some(),
            playback_fails: self.devices.playback.trouble.is_some(),
            ..DeviceView::default()
        }
    }

    pub(super) fn log_devices(&mut self, report: &DeviceReport) {
        for (old, new, what) in [
            (&self.devices.capture, &report.capture, "microphone"),
            (&self.devices.playback, &report.playback, "speaker"),
        ] {
            if old.name != new.name || old.running != new.running || old.trouble != new.trouble {
                let state = if new.running { "runs" } else { "stands still" };
                let trouble = new.trouble.as_ref().map(|t| format!(": {t}")).unwrap_or_default();
                self.out.log(account::shown(&format!("{what} {} {state}{trouble}", new.name), 160));
            }
        }
    }
}
