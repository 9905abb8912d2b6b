//! How the call is, in one plain sentence, and whose fault it is if it is bad.
//!
//! Each second's facts give one [`Finding`], the gravest first. A finding must hold for a while before it is said, and
//! thresholds to leave a finding lie apart from those to enter it, so that the sentence does not flicker.
use crate::qos::snapshot::{Fault, Verdict};
use std::time::{Duration, Instant};

/// What is known of the call in one second. `None` is "not measured".
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// Since media was first expected.
    pub running: Duration,
    /// What offer and answer agreed on.
    pub receives: bool,
    pub sends: bool,
    pub ever_received: bool,
    /// Since the last packet arrived.
    pub quiet: Duration,
    /// Over the last seconds [%].
    pub loss_in: Option<f64>,
    pub loss_out: Option<f64>,
    /// Arrived too late to be played, over the last seconds [%].
    pub late: Option<f64>,
    /// Our own system refused to send.
    pub refused: bool,
    /// Mouth to ear \[ms\].
    pub delay: Option<f64>,
    /// The lower of both directions.
    pub rating: Option<f64>,
    /// \[dBov\]
    pub their_level: Option<f32>,
    pub our_level: Option<f32>,
    pub muted: bool,
    /// They send RTCP at all, and report on what we send.
    pub rtcp_seen: bool,
    pub reports_seen: bool,
    /// Why a sound device of ours does not run.
    pub capture_trouble: Option<String>,
    pub playback_trouble: Option<String>,
}

/// What is to be said, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    OnHold,
    PlaybackDead,
    OneWayIn,
    NothingArrives,
    Stopped,
    CaptureDead,
    SendingRefused,
    NetworkBothWays,
    NetworkIn,
    TooLate,
    NetworkOut,
    NotHeard,
    Muted,
    TheyAreSilent,
    WeAreSilent,
    LongDelay,
    Waiting,
    Unreported,
    Poor,
    Fair,
    Good,
}

impl Finding {
    /// The sentence on the screen. `trouble` is the device's own word.
    fn sentence(self, trouble: &str) -> String {
        let text = match self {
            Self::OnHold => "On hold: no sound is expected in either direction.",
            Self::PlaybackDead => return format!("You hear nothing: our speaker does not run ({trouble})."),
            Self::OneWayIn => {
                "One-way: they receive our sound, but none of theirs arrives here; a firewall or NAT on our side is likely."
            }
            Self::NothingArrives => {
                "No sound has arrived from them: a firewall, NAT or a wrong media address is in the way."
            }
            Self::Stopped => "Their sound stopped arriving: the network or their phone has gone away.",
            Self::CaptureDead => return format!("They hear nothing: our microphone does not run ({trouble})."),
            Self::SendingRefused => "Our own system refuses to send our sound: the local network is down or blocked.",
            Self::NetworkBothWays => "The network loses sound in both directions: most likely our own connection.",
            Self::NetworkIn => {
                "The network loses some of their sound on its way to us; our way to them is fine or unknown."
            }
            Self::TooLate => {
                "Their sound arrives too unevenly to be played in time: the network towards us is congested."
            }
            Self::NetworkOut => "The network loses some of our sound on its way to them; we hear them well.",
            Self::NotHeard => "We hear them, but their reports say nothing of our sound: they may not hear us.",
            Self::Muted => "Our microphone is muted: they hear nothing.",
            Self::TheyAreSilent => "The network is fine, but their microphone is silent.",
            Self::WeAreSilent => "The network is fine, but our microphone is silent.",
            Self::LongDelay => "The delay is long enough to disturb: both will talk at the same time.",
            Self::Waiting => "Waiting for the first figures.",
            Self::Unreported => "We hear them well; they report nothing, so how they hear us is unknown.",
            Self::Poor => "Poor: much of what is said will be missed.",
            Self::Fair => "Fair: understandable, with audible faults.",
            Self::Good => "Good in both directions.",
        };
        text.to_owned()
    }

    /// For the summary of a whole call: `12 s …`.
    pub fn label(self) -> &'static str {
        match self {
            Self::OnHold => "on hold",
            Self::PlaybackDead => "without our speaker",
            Self::OneWayIn | Self::NothingArrives => "without any sound from them",
            Self::Stopped => "with their sound gone",
            Self::CaptureDead => "without our microphone",
            Self::SendingRefused => "refused by our own system",
            Self::NetworkBothWays => "with loss both ways",
            Self::NetworkIn => "with loss on the way to us",
            Self::TooLate => "with sound that came too late",
            Self::NetworkOut => "with loss on the way to them",
            Self::NotHeard => "without a word on our sound",
            Self::Muted => "muted",
            Self::TheyAreSilent => "with their microphone silent",
            Self::WeAreSilent => "with our microphone silent",
            Self::LongDelay => "with a long delay",
            Self::Waiting => "waiting",
            Self::Unreported => "good here, unreported there",
            Self::Poor => "poor",
            Self::Fair => "fair",
            Self::Good => "good",
        }
    }

    fn fault(self) -> Fault {
        match self {
            Self::OnHold | Self::Waiting | Self::Unreported | Self::Good => Fault::Nobody,
            Self::PlaybackDead | Self::CaptureDead | Self::SendingRefused | Self::Muted | Self::WeAreSilent => {
                Fault::Here
            }
            Self::OneWayIn
            | Self::NothingArrives
            | Self::Stopped
            | Self::NetworkBothWays
            | Self::NetworkIn
            | Self::TooLate
            | Self::NetworkOut
            | Self::NotHeard
            | Self::LongDelay
            | Self::Poor
            | Self::Fair => Fault::Network,
            Self::TheyAreSilent => Fault::There,
        }
    }

    /// - `poor`: whether the rating is that of a poor call.
    fn verdict(self, poor: bool) -> Verdict {
        match self {
            Self::OnHold | Self::Waiting => Verdict::Unknown,
            Self::PlaybackDead
            | Self::OneWayIn
            | Self::NothingArrives
            | Self::Stopped
            | Self::CaptureDead
            | Self::SendingRefused
            | Self::NotHeard
            | Self::Poor => Verdict::Poor,
            Self::NetworkBothWays | Self::NetworkIn | Self::TooLate | Self::NetworkOut | Self::LongDelay if poor => {
                Verdict::Poor
            }
            Self::NetworkBothWays
            | Self::NetworkIn
            | Self::TooLate
            | Self::NetworkOut
            | Self::LongDelay
            | Self::Muted
            | Self::TheyAreSilent
            | Self::WeAreSilent
            | Self::Fair => Verdict::Fair,
            Self::Unreported | Self::Good => Verdict::Good,
        }
    }

    /// How long it must hold before it is said.
    fn dwell(self) -> Duration {
        match self {
            // The user's own doing, or beyond doubt.
            Self::OnHold | Self::Muted | Self::PlaybackDead | Self::CaptureDead | Self::Waiting => Duration::ZERO,
            // They have held for [`PAUSE`] when they are found.
            Self::TheyAreSilent | Self::WeAreSilent => Duration::ZERO,
            Self::OneWayIn | Self::NothingArrives | Self::Stopped | Self::SendingRefused => Duration::from_secs(1),
            Self::NetworkBothWays | Self::NetworkIn | Self::TooLate | Self::NetworkOut => Duration::from_secs(2),
            Self::NotHeard | Self::LongDelay | Self::Unreported | Self::Poor | Self::Fair | Self::Good => {
                Duration::from_secs(3)
            }
        }
    }
}

/// A threshold with two edges: it is passed at `on` and left again only at `off`.
#[derive(Clone, Copy, Debug)]
struct Edge {
    on: f64,
    off: f64,
    active: bool,
}

impl Edge {
    const fn new(on: f64, off: f64) -> Self {
        Self { on, off, active: false }
    }

    /// Whether the value is beyond the threshold; what is not measured is not.
    fn update(&mut self, value: Option<f64>) -> bool {
        let rising = self.on >= self.off;
        let limit = if self.active { self.off } else { self.on };
        self.active = value.is_some_and(|v| if rising { v >= limit } else { v <= limit });
        self.active
    }
}

/// Sound has not come for this long before it is called missing.
const MISSING: Duration = Duration::from_secs(3);
/// RTCP reports are due every 5 s; after this long without one they are called absent.
const UNREPORTED: Duration = Duration::from_secs(12);

/// People pause while they listen: a silence shorter than this is none.
const PAUSE: Duration = Duration::from_secs(15);

/// Since when something holds without interruption.
#[derive(Clone, Copy, Debug, Default)]
struct Since(Option<Instant>);

impl Since {
    /// Whether it has held for so long; what is found meanwhile is said until then.
    fn update(&mut self, now: Instant, holds: bool, long: Duration) -> bool {
        self.0 = holds.then(|| self.0.unwrap_or(now));
        self.0.is_some_and(|since| now.saturating_duration_since(since) >= long)
    }
}

/// Holds what is said now.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    said: Finding,
    candidate: Option<(Finding, Instant)>,
    trouble: String,
    loss_in: Edge,
    loss_out: Edge,
    late: Edge,
    delay: Edge,
    poor: Edge,
    fair: Edge,
    they_silent: Edge,
    we_silent: Edge,
    they_paused: Since,
    we_paused: Since,
}

impl Default for Diagnosis {
    fn default() -> Self {
        Self {
            said: Finding::Waiting,
            candidate: None,
            trouble: String::new(),
            loss_in: Edge::new(2.0, 1.0),
            loss_out: Edge::new(2.0, 1.0),
            late: Edge::new(2.0, 1.0),
            // Idd is about 9 at 250 ms and 24 at 400 ms.
            delay: Edge::new(400.0, 350.0),
            // R 60 and 80 are the borders of "nearly all" and "some users dissatisfied" (G.107 Annex B).
            poor: Edge::new(60.0, 65.0),
            fair: Edge::new(78.0, 82.0),
            they_silent: Edge::new(-65.0, -60.0),
            we_silent: Edge::new(-75.0, -70.0),
            they_paused: Since::default(),
            we_paused: Since::default(),
        }
    }
}

impl Diagnosis {
    /// Takes in the facts of this second.
    pub fn update(&mut self, now: Instant, facts: &Facts) {
        let found = self.find(now, facts);
        if let Some(trouble) = facts.playback_trouble.as_ref().or(facts.capture_trouble.as_ref()) {
            self.trouble.clone_from(trouble);
        }
        if found == self.said {
            self.candidate = None;
            return;
        }
        let since = match self.candidate {
            Some((candidate, since)) if candidate == found => since,
            Some(_) | None => now,
        };
        self.candidate = Some((found, since));
        if now.saturating_duration_since(since) >= found.dwell() {
            self.said = found;
            self.candidate = None;
        }
    }

    pub fn finding(&self) -> Finding {
        self.said
    }

    pub fn sentence(&self) -> String {
        self.said.sentence(&self.trouble)
    }

    pub fn fault(&self) -> Fault {
        self.said.fault()
    }

    pub fn verdict(&self) -> Verdict {
        self.said.verdict(self.poor.active)
    }

    fn find(&mut self, now: Instant, f: &Facts) -> Finding {
        // Every edge is asked every time: none may rest on an old value.
        let loss_in = self.loss_in.update(f.loss_in);
        let loss_out = self.loss_out.update(f.loss_out);
        let late = self.late.update(f.late);
        let long = self.delay.update(f.delay);
        let poor = self.poor.update(f.rating);
        let fair = self.fair.update(f.rating);
        let they_silent = self.they_silent.update(f.their_level.map(f64::from));
        let they_silent = self.they_paused.update(now, f.receives && they_silent, PAUSE);
        let we_silent = self.we_silent.update(f.our_level.map(f64::from));
        let we_silent = self.we_paused.update(now, f.sends && we_silent, PAUSE);
        let missing = f.receives && f.quiet >= MISSING;
        let table = [
            (!f.receives && !f.sends, Finding::OnHold),
            (f.playback_trouble.is_some(), Finding::PlaybackDead),
            (missing && !f.ever_received && f.reports_seen, Finding::OneWayIn),
            (missing && !f.ever_received, Finding::NothingArrives),
            (missing, Finding::Stopped),
            (f.receives && !f.ever_received, Finding::Waiting),
            (f.sends && f.capture_trouble.is_some(), Finding::CaptureDead),
            (f.refused, Finding::SendingRefused),
            (loss_in && loss_out, Finding::NetworkBothWays),
            (loss_in, Finding::NetworkIn),
            (late, Finding::TooLate),
            (loss_out, Finding::NetworkOut),
            (f.sends && f.rtcp_seen && !f.reports_seen && f.running >= UNREPORTED, Finding::NotHeard),
            (f.sends && f.muted, Finding::Muted),
            (they_silent, Finding::TheyAreSilent),
            (we_silent, Finding::WeAreSilent),
            (long, Finding::LongDelay),
            (poor, Finding::Poor),
            (fair, Finding::Fair),
            (f.sends && !f.rtcp_seen && f.running >= UNREPORTED, Finding::Unreported),
        ];
        table.into_iter().find_map(|(holds, finding)| holds.then_some(finding)).unwrap_or(Finding::Good)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn healthy() -> Facts {
        Facts {
            running: Duration::from_secs(60),
            receives: true,
            sends: true,
            ever_received: true,
            loss_in: Some(0.0),
            loss_out: Some(0.0),
            late: Some(0.0),
            delay: Some(120.0),
            rating: Some(92.0),
            their_level: Some(-25.0),
            our_level: Some(-25.0),
            rtcp_seen: true,
            reports_seen: true,
            ..Facts::default()
        }
    }

    /// What is said when the same facts hold for `seconds`.
    fn after(seconds: u32, facts: &Facts) -> Finding {
        let (t0, mut diagnosis) = (Instant::now(), Diagnosis::default());
        (0..=seconds).for_each(|second| diagnosis.update(t0 + Duration::from_secs(1) * second, facts));
        diagnosis.finding()
    }

    #[test]
    fn each_fault_is_named() {
        let quiet = Duration::from_secs(5);
        let trouble = || Some("unplugged".to_owned());
        let rows: [(&str, Finding, Facts); 22] = [
            ("hold", Finding::OnHold, Facts { receives: false, sends: false, quiet, ..healthy() }),
            ("speaker", Finding::PlaybackDead, Facts { playback_trouble: trouble(), ..healthy() }),
            ("one-way", Finding::OneWayIn, Facts { ever_received: false, quiet, ..healthy() }),
            (
                "nothing",
                Finding::NothingArrives,
                Facts { ever_received: false, reports_seen: false, quiet, ..healthy() },
            ),
            ("early", Finding::Waiting, Facts { ever_received: false, ..healthy() }),
            ("gone", Finding::Stopped, Facts { quiet, ..healthy() }),
            ("send-only", Finding::Good, Facts { receives: false, quiet, ..healthy() }),
            ("microphone", Finding::CaptureDead, Facts { capture_trouble: trouble(), ..healthy() }),
            ("refused", Finding::SendingRefused, Facts { refused: true, ..healthy() }),
            ("both", Finding::NetworkBothWays, Facts { loss_in: Some(5.0), loss_out: Some(4.0), ..healthy() }),
            ("in", Finding::NetworkIn, Facts { loss_in: Some(5.0), ..healthy() }),
            ("in, they are mute", Finding::NetworkIn, Facts { loss_in: Some(5.0), loss_out: None, ..healthy() }),
            ("late", Finding::TooLate, Facts { late: Some(3.0), ..healthy() }),
            ("out", Finding::NetworkOut, Facts { loss_out: Some(3.0), ..healthy() }),
            ("unheard", Finding::NotHeard, Facts { reports_seen: false, ..healthy() }),
            ("muted", Finding::Muted, Facts { muted: true, our_level: Some(-120.0), ..healthy() }),
            ("they", Finding::TheyAreSilent, Facts { their_level: Some(-90.0), ..healthy() }),
            ("we", Finding::WeAreSilent, Facts { our_level: Some(-90.0), ..healthy() }),
            ("far", Finding::LongDelay, Facts { delay: Some(600.0), ..healthy() }),
            ("poor", Finding::Poor, Facts { rating: Some(50.0), ..healthy() }),
            (
                "unreported",
                Finding::Unreported,
                Facts { rtcp_seen: false, reports_seen: false, rating: None, ..healthy() },
            ),
            ("good", Finding::Good, healthy()),
        ];
        for (name, finding, facts) in rows {
            assert_eq!(after(20, &facts), finding, "{name}");
        }
        assert_eq!(after(20, &Facts { rating: Some(75.0), ..healthy() }), Finding::Fair);
    }

    #[test]
    fn a_short_event_is_not_said_and_a_fault_is_said_soon() {
        let lossy = Facts { loss_in: Some(8.0), ..healthy() };
        assert_eq!(after(1, &lossy), Finding::Waiting);
        assert_eq!(after(2, &lossy), Finding::NetworkIn);
        assert_eq!(after(0, &Facts { muted: true, ..healthy() }), Finding::Muted);
        assert_eq!(after(14, &Facts { their_level: Some(-90.0), ..healthy() }), Finding::Good);
    }

    #[test]
    fn a_value_that_wavers_at_the_threshold_does_not_make_the_sentence_flicker() {
        let (t0, mut diagnosis, mut changes) = (Instant::now(), Diagnosis::default(), 0);
        for second in 0..120_u32 {
            let loss = [2.1, 1.9, 1.2, 2.4][second as usize % 4];
            let before = diagnosis.finding();
            diagnosis.update(t0 + Duration::from_secs(1) * second, &Facts { loss_in: Some(loss), ..healthy() });
            changes += u32::from(diagnosis.finding() != before);
        }
        assert_eq!(changes, 1);
        assert_eq!(diagnosis.finding(), Finding::NetworkIn);
    }

    #[test]
    fn a_fault_that_ends_is_taken_back() {
        let (t0, mut diagnosis) = (Instant::now(), Diagnosis::default());
        for second in 0..20_u32 {
            let loss = if second < 10 { 9.0 } else { 0.0 };
            diagnosis.update(t0 + Duration::from_secs(1) * second, &Facts { loss_in: Some(loss), ..healthy() });
            if second == 9 {
                assert_eq!(diagnosis.finding(), Finding::NetworkIn);
            }
        }
        assert_eq!(diagnosis.finding(), Finding::Good);
    }

    #[test]
    fn loss_is_as_bad_as_it_sounds() {
        let rows = [
            (Facts { loss_in: Some(3.0), rating: Some(80.0), ..healthy() }, Verdict::Fair, Fault::Network),
            (Facts { loss_in: Some(20.0), rating: Some(45.0), ..healthy() }, Verdict::Poor, Fault::Network),
            (Facts { their_level: Some(-90.0), ..healthy() }, Verdict::Fair, Fault::There),
            (Facts { muted: true, ..healthy() }, Verdict::Fair, Fault::Here),
            (Facts { receives: false, sends: false, ..healthy() }, Verdict::Unknown, Fault::Nobody),
            (healthy(), Verdict::Good, Fault::Nobody),
        ];
        for (facts, verdict, fault) in rows {
            let (t0, mut diagnosis) = (Instant::now(), Diagnosis::default());
            (0..20).for_each(|second| diagnosis.update(t0 + Duration::from_secs(second), &facts));
            assert_eq!((diagnosis.verdict(), diagnosis.fault()), (verdict, fault), "{facts:?}");
        }
    }

    #[test]
    fn the_device_says_why() {
        let mut diagnosis = Diagnosis::default();
        diagnosis.update(Instant::now(), &Facts { capture_trouble: Some("unplugged".to_owned()), ..healthy() });
        assert_eq!(diagnosis.sentence(), "They hear nothing: our microphone does not run (unplugged).");
    }
}
