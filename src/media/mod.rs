//! Sound from packets and packets from sound: RTP, RTCP, codecs, the jitter buffer, and the session that joins them.
pub mod codec;
pub mod conference;
pub mod dsp;
pub mod dtmf;
pub mod error;
pub mod event;
pub mod frame;
pub mod jitter;
pub mod mix;
pub mod path;
pub mod rtcp;
pub mod rtp;
pub mod session;
pub mod spec;
pub mod srtp;
pub mod stats;
pub mod stream;
