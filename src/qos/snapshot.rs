//! The quality of a call as screen, JSON and export see it. `None` is "not measured".
use std::time::Duration;

/// Both directions of one call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallQuality {
    /// What we hear of them: measured here.
    pub inbound: DirectionQuality,
    /// What they hear of us: from their reports.
    pub outbound: DirectionQuality,
    pub round_trip: Option<Reading>,
    /// Mouth-to-ear delay from the peer to us, and the parts that were measured.
    pub delay: DelayParts,
    /// The round-trip time \[ms\] and the total delay \[ms\] as time lines like those of the directions.
    pub round_trip_line: Vec<Option<f32>>,
    pub delay_line: Vec<Option<f32>>,
    /// One sentence on how the call is, and whose fault it is if it is bad.
    pub diagnosis: String,
    /// The same judgement as plain words of a fixed set: how bad, and where the cause lies.
    pub verdict: Verdict,
    pub fault: Fault,
    pub sound: Sound,
}

/// What became of the sound that was to be played, since the call began; `None` before anything was.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sound {
    /// \[ms\]
    pub played: Option<f64>,
    /// Made up, because nothing came in time \[ms\].
    pub concealed: Option<f64>,
    /// Taken from the redundancy of a later packet \[ms\].
    pub recovered: Option<f64>,
    /// Packets that came too late to be played, twice, and out of order.
    pub late: u64,
    pub duplicates: u64,
    pub reordered: u64,
    /// Packets of nobody we listen to, and of no meaning.
    pub foreign: u64,
    /// Asked for by RTCP and not done.
    pub feedback: u64,
    /// How loud the other side says that it is \[dBov\], and whether somebody speaks there.
    pub told_level: Option<(f64, bool)>,
    pub malformed: u64,
    /// While SRTP runs: not authentic, and seen before.
    pub forged: u64,
    pub replayed: u64,
}

/// How the call is, in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// Not enough was measured yet.
    #[default]
    Unknown,
    Good,
    Fair,
    Poor,
}

/// Where the cause of a bad call lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    Nobody,
    /// Our sound device, our machine, or our own mute.
    Here,
    /// Somewhere between the two phones.
    Network,
    /// The peer's device or machine.
    There,
}

/// A value and how old the measurement is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    pub value: f64,
    pub age: Duration,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct DirectionQuality {
    /// MOS-CQ estimated by the E-model (G.107), `1.0..=4.5`.
    pub mos: Option<Reading>,
    /// The transmission rating R it was made from, `0..=100`.
    pub rating: Option<f64>,
    /// Loss over the last interval [%].
    pub loss: Option<Reading>,
    /// Loss since the start of the call [%].
    pub loss_total: Option<f64>,
    /// Interarrival jitter \[ms\].
    pub jitter: Option<Reading>,
    pub packets: u64,
    pub lost: i64,
    /// One column a second, the newest last; at most [`TIMELINE`] of them.
    pub mos_line: Vec<Option<f32>>,
    pub loss_line: Vec<Option<f32>>,
    pub jitter_line: Vec<Option<f32>>,
}

/// Seconds of history kept in the time lines.
pub const TIMELINE: usize = 120;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DelayParts {
    /// Sum of the parts that were measured \[ms\]; `None` when the network's part is unknown.
    pub total: Option<f64>,
    /// Half the round-trip time \[ms\].
    pub network: Option<f64>,
    /// The jitter buffer \[ms\].
    pub buffer: Option<f64>,
    /// Playback ring and device \[ms\].
    pub device: Option<f64>,
    /// Packetisation and codec look-ahead at the sender \[ms\].
    pub codec: Option<f64>,
}
