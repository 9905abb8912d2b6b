//! What media tells signalling: plain data.
use crate::base::id::StreamId;
use crate::base::untrusted::Untrusted;
use crate::media::dtls::association::Failure;
use crate::media::spec::Digit;
use crate::media::srtp::sdes::Suite;
use crate::media::stats::{DeviceReport, StreamReport};
use crate::nat::candidate::{Candidate, Doubt, PathState};
use std::net::SocketAddr;
use std::time::Duration;

/// Media to signalling.
#[derive(Clone, Debug, PartialEq)]
pub enum MediaEvent {
    Opened {
        stream: StreamId,
        rtp: SocketAddr,
        rtcp: SocketAddr,
        /// Where the stream may be reached, as far as that was asked for.
        candidates: Vec<Candidate>,
        /// No others will be found.
        complete: bool,
    },
    /// More was found out about where the stream may be reached.
    ///
    /// - `round`: of `Gather`.
    Candidates {
        stream: StreamId,
        round: u32,
        candidates: Vec<Candidate>,
        complete: bool,
    },
    /// The search for a way to the peer has come further (ICE).
    Path {
        stream: StreamId,
        state: PathState,
    },
    /// The way to the peer is not what it was, as far as is known.
    Doubt {
        stream: StreamId,
        doubt: Doubt,
    },
    /// Something does not work as configured, in words for the log: a server that does not help.
    Trouble {
        stream: StreamId,
        words: String,
    },
    OpenFailed {
        stream: StreamId,
        error: String,
    },
    /// The first valid packet of a generation arrived.
    Flowing {
        stream: StreamId,
    },
    /// The DTLS handshake of the stream is over: its sound is encrypted under this suite from now on.
    Secured {
        stream: StreamId,
        suite: Suite,
    },
    /// It came to nothing: the stream stays silent.
    Unsecured {
        stream: StreamId,
        cause: Failure,
    },
    /// A digit came: an RFC 4733 event ended, or tones were found in the sound.
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
    /// A stream is being recorded into this file.
    Recording {
        stream: StreamId,
        file: String,
    },
    /// A recording is over.
    ///
    /// - `missing`: what is silence in it because the disk was too slow.
    /// - `trouble`: why it ended, or never began, other than by being stopped.
    Recorded {
        stream: StreamId,
        file: String,
        missing: Duration,
        trouble: Option<String>,
    },
    /// Peak levels of the last 100 ms \[dBov\], for the meters.
    Levels {
        capture: f32,
        playback: f32,
    },
    /// The sound devices changed state.
    Device(DeviceReport),
}
