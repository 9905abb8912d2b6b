//! What media tells signalling: plain data.
use crate::base::id::StreamId;
use crate::base::untrusted::Untrusted;
use crate::media::spec::Digit;
use crate::media::stats::{DeviceReport, StreamReport};
use std::net::SocketAddr;
use std::time::Duration;

/// Media to signalling.
#[derive(Clone, Debug, PartialEq)]
pub enum MediaEvent {
    Opened {
        stream: StreamId,
        rtp: SocketAddr,
        rtcp: SocketAddr,
    },
    OpenFailed {
        stream: StreamId,
        error: String,
    },
    /// The first valid packet of a generation arrived.
    Flowing {
        stream: StreamId,
    },
    /// An RFC 4733 event ended.
    Digit {
        stream: StreamId,
        digit: Digit,
        duration: Duration,
    },
    /// The peer's RTCP BYE, with what it said.
    Goodbye {
        stream: StreamId,
        reason: Untrusted,
    },
    /// Once a second for every configured stream.
    Report {
        stream: StreamId,
        report: Box<StreamReport>,
    },
    /// Peak levels of the last 100 ms \[dBov\], for the meters.
    Levels {
        capture: f32,
        playback: f32,
    },
    /// The sound devices changed state.
    Device(DeviceReport),
}
