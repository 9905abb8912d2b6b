//! What media measured on one stream: raw facts with their units, no judgement (that is `qos`).
//!
//! A value that was not measured is `None`, never zero.
use crate::base::untrusted::Untrusted;
use crate::media::spec::Codec;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The state of one stream at `at`. Counters are cumulative since the stream was opened.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamReport {
    pub at: Instant,
    pub receive: ReceiveStats,
    pub send: SendStats,
    /// The peer's last report on what we send.
    pub remote: Option<RemoteReport>,
    /// Round-trip time of the last report block that echoed our SR (RFC 3550 §6.4.1).
    pub round_trip: Option<Duration>,
    pub participant: Participant,
}

/// What arrives ("we hear them").
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReceiveStats {
    pub ssrc: Option<u32>,
    pub codec: Option<Codec>,
    /// Sound in one of their packets.
    pub packet_time: Option<Duration>,
    pub source: Option<SocketAddr>,
    pub packets: u64,
    pub bytes: u64,
    /// Packets expected from the extended sequence numbers (RFC 3550 A.3).
    pub expected: u64,
    /// Cumulative lost as reported in RTCP: may be negative through duplicates.
    pub lost: i64,
    pub duplicates: u64,
    pub reordered: u64,
    /// Arrived after their time of playing.
    pub late: u64,
    /// Interarrival jitter (RFC 3550 A.8).
    pub jitter: Option<Duration>,
    /// Time from arrival to leaving the jitter buffer, as it is now.
    pub buffer_delay: Option<Duration>,
    /// The buffer's target.
    pub buffer_target: Option<Duration>,
    /// What sound waits in the playback ring and in the device.
    pub device_delay: Option<Duration>,
    /// Sound played in all, and the part of it that was made up.
    pub played: Duration,
    pub concealed: Duration,
    /// Sound recovered from in-band FEC.
    pub recovered: Duration,
    /// Sound removed and added by time-stretching.
    pub accelerated: Duration,
    pub expanded: Duration,
    /// Lengths of the runs of consecutive losses since the last report \[packets\].
    pub loss_runs: Vec<u32>,
    /// Level of the last second \[dBov\]; `None` while nothing was played.
    pub level: Option<f32>,
    /// How loud the sender says that the last packet was \[dBov\], and whether somebody spoke in it (RFC 6464).
    pub told_level: Option<(f32, bool)>,
    /// RTCP packets that asked for what we do not do (RFC 4585): ignored.
    pub feedback: u64,
    /// Dropped: not RTP/RTCP, or from nobody we listen to.
    pub malformed: u64,
    pub foreign: u64,
    /// Dropped because SRTP runs and they are not authentic (clear ones among them), or were seen before.
    pub forged: u64,
    pub replayed: u64,
    /// How often the source's SSRC changed.
    pub ssrc_changes: u32,
}

/// What we send ("they hear us").
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SendStats {
    pub ssrc: u32,
    pub codec: Option<Codec>,
    /// Sound in one of our packets.
    pub packet_time: Option<Duration>,
    pub destination: Option<SocketAddr>,
    pub packets: u64,
    pub bytes: u64,
    /// Level of the last second \[dBov\].
    pub level: Option<f32>,
    /// Datagrams the socket refused.
    pub refused: u64,
    pub muted: bool,
}

/// A report block about our stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RemoteReport {
    pub at: Instant,
    /// Fraction lost since its previous report, `0.0..=1.0`.
    pub fraction_lost: f64,
    pub cumulative_lost: i32,
    pub jitter: Duration,
    /// How many reports arrived so far: tells a new one from an old one.
    pub count: u32,
}

/// What the peer says of itself in SDES.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Participant {
    pub cname: Untrusted,
    pub name: Untrusted,
    pub email: Untrusted,
    pub phone: Untrusted,
    pub location: Untrusted,
    pub tool: Untrusted,
    pub note: Untrusted,
}

/// The sound devices as the supervisor sees them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceReport {
    pub capture: DeviceState,
    pub playback: DeviceState,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct DeviceState {
    /// As the host names it, or `wav:…`, `tone:…`, `silence`, `null`.
    pub name: String,
    pub running: bool,
    /// A virtual device stands in where no card answers.
    pub is_virtual: bool,
    /// Sample rate \[Hz\] and period \[frames\] the device runs at.
    pub sample_rate: u32,
    pub period: u32,
    /// Times the ring ran empty or full.
    pub xruns: u64,
    /// Measured against the monotonic clock \[ppm\].
    pub drift: Option<f64>,
    /// In plain words, when it does not run.
    pub trouble: Option<String>,
}
