//! A stream as tests run it: both ways, one codec, without keys, ICE or events.
use offhook::media::spec::{Codec, Direction, OpusParameters, PayloadFormat, StreamSpec};
use std::net::SocketAddr;
use std::time::Duration;

pub fn format(codec: Codec) -> PayloadFormat {
    let payload_type = match codec {
        Codec::Pcmu => 0,
        Codec::Pcma => 8,
        Codec::Opus => 107,
    };
    PayloadFormat { payload_type, codec, opus: OpusParameters::default() }
}

/// - `rtp`, `rtcp`: where the peer is; the same where both are multiplexed.
pub fn spec(codec: Codec, rtp: SocketAddr, rtcp: SocketAddr) -> StreamSpec {
    StreamSpec {
        generation: 1,
        direction: Direction::SendRecv,
        remote_rtp: rtp,
        remote_rtcp: rtcp,
        rtcp_mux: rtp == rtcp,
        rtcp_reduced_size: false,
        extensions: Default::default(),
        srtp: None,
        ice: None,
        ice_may_follow: false,
        send: format(codec),
        receive: vec![format(codec)],
        send_events: None,
        receive_events: Vec::new(),
        ptime: Duration::from_millis(20),
        rtcp_bandwidth: 4_000,
        rtcp_reduced_minimum: false,
        description: Default::default(),
    }
}
