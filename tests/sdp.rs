//! Offer/answer with the descriptions real peers and the RFCs write; arbitrary bytes; print and parse.
use offhook::base::rng::Rng;
use offhook::media::spec::{Codec, Direction, OpusParameters};
use offhook::sdp::{LocalMedia, Negotiated, Negotiator, SdpError, Session};
use proptest::prelude::*;
use std::time::Duration;

fn local() -> LocalMedia {
    LocalMedia {
        address: "192.0.2.10".parse().unwrap(),
        rtp_port: 40_000,
        rtcp_port: 40_001,
        codecs: vec![Codec::Opus, Codec::Pcmu, Codec::Pcma],
        opus: OpusParameters { use_inband_fec: true, ..OpusParameters::default() },
        events: true,
        ptime: Duration::from_millis(20),
        direction: Direction::SendRecv,
        rtcp_mux: false,
    }
}

fn negotiator() -> Negotiator {
    Negotiator::new(&mut Rng::from_u64(1))
}

fn answer(offer: &str) -> Result<(String, Option<Negotiated>), SdpError> {
    negotiator().answer(offer.as_bytes(), &local())
}

/// A description with this audio section.
fn with(audio: &str) -> String {
    format!("v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n{audio}")
}

#[test]
fn what_cannot_be_used_is_refused_with_the_right_status() {
    let rows: &[(&str, String, u16, &str)] = &[
        ("empty", String::new(), 400, "v= line is missing"),
        ("not sdp", "<xml/>".into(), 400, "type=value"),
        ("version 1", with("m=audio 4000 RTP/AVP 0").replace("v=0", "v=1"), 400, "version 0"),
        ("no origin", "v=0\r\ns=-\r\nm=audio 4000 RTP/AVP 0\r\n".into(), 400, "o= line is missing"),
        ("short origin", "v=0\r\no=- 1 1\r\n".into(), 400, "six fields"),
        ("port", with("m=audio 70000 RTP/AVP 0\r\n"), 400, "65535"),
        ("port word", with("m=audio x RTP/AVP 0\r\n"), 400, "65535"),
        ("short m=", with("m=audio 4000\r\n"), 400, "protocol expected"),
        ("short c=", with("m=audio 4000 RTP/AVP 0\r\nc=IN IP4\r\n"), 400, "address expected"),
        ("no c=", with("m=audio 4000 RTP/AVP 0\r\n").replace("c=IN IP4 198.51.100.1\r\n", ""), 400, "c= line"),
        ("zero byte", with("m=audio 4000 RTP/AVP 0\r\na=x\0y\r\n"), 400, "zero byte"),
        ("too long", with(&"a=x\r\n".repeat(20_000)), 400, "longer"),
        ("many lines", with(&"a=x\r\n".repeat(3_000)), 400, "more than 2048 lines"),
        ("many media", with(&"m=audio 4000 RTP/AVP 0\r\n".repeat(33)), 400, "more than 32 media"),
        ("long line", with(&format!("a=x:{}\r\n", "y".repeat(5_000))), 400, "4096"),
        ("no media", with(""), 488, "no audio"),
        ("video only", with("m=video 4000 RTP/AVP 31\r\n"), 488, "no audio"),
        ("port 0", with("m=audio 0 RTP/AVP 0\r\n"), 488, "no audio"),
        ("no format", with("m=audio 4000 RTP/AVP\r\n"), 488, "no common codec"),
        ("no codec", with("m=audio 4000 RTP/AVP 18 3 101\r\n"), 488, "G729/8000, GSM/8000, payload type 101"),
        ("events only", with("m=audio 4000 RTP/AVP 101\r\na=rtpmap:101 telephone-event/8000\r\n"), 488, "no common"),
        ("other clock", with("m=audio 4000 RTP/AVP 96\r\na=rtpmap:96 PCMU/16000\r\n"), 488, "PCMU/16000"),
        ("stereo PCMU", with("m=audio 4000 RTP/AVP 96\r\na=rtpmap:96 PCMU/8000/2\r\n"), 488, "PCMU/8000/2"),
        ("redefined 0", with("m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 G726-32/8000\r\n"), 488, "G726-32/8000"),
        ("SAVP", with("m=audio 4000 RTP/SAVP 0\r\n"), 488, "`RTP/SAVP` is not supported"),
        ("DTLS", with("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=rtpmap:111 opus/48000/2\r\n"), 488, "UDP/TLS/RTP/SAVPF"),
        ("unknown", with("m=audio 4000 TCP/FOO\u{1b}[2J 0\r\n"), 488, "`TCP/FOO[2J` is not supported"),
        (
            "name",
            with("m=audio 4000 RTP/AVP 0\r\nc=IN IP4 media.example.com\r\n"),
            488,
            "`media.example.com` is a name",
        ),
        ("multicast", with("m=audio 4000 RTP/AVP 0\r\nc=IN IP4 233.252.0.1/127\r\n"), 488, "multicast"),
        ("IPv6", with("m=audio 4000 RTP/AVP 0\r\nc=IN IP6 2001:db8::1\r\n"), 488, "another IP version"),
    ];
    for (name, offer, status, says) in rows {
        let error = answer(offer).expect_err(name);
        assert_eq!(error.status(), *status, "{name}: {error}");
        assert!(error.to_string().contains(says), "{name}: {error}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        drop(Session::parse(&bytes));
    }
}
