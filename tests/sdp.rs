//! Offer/answer with the descriptions real peers and the RFCs write; arbitrary bytes; print and parse.
use offhook::base::rng::Rng;
use offhook::media::spec::{Codec, Direction, OpusParameters, Profile};
use offhook::media::srtp::sdes::Policy;
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
        profile: Profile::Auto,
        ice: None,
        srtp: Policy::Off,
        sdes: true,
        certificate: None,
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
        ("c= of a ttl", with("m=audio 4000 RTP/AVP 0\r\nc=IN IP4 /127\r\n"), 400, "address expected"),
        ("no c=", with("m=audio 4000 RTP/AVP 0\r\n").replace("c=IN IP4 198.51.100.1\r\n", ""), 400, "c= line"),
        ("zero byte", with("m=audio 4000 RTP/AVP 0\r\na=x\0y\r\n"), 400, "zero byte"),
        ("too long", with(&"a=x\r\n".repeat(20_000)), 400, "longer"),
        ("many lines", with(&"a=x\r\n".repeat(3_000)), 400, "more than 2048 lines"),
        ("many media", with(&"m=audio 4000 RTP/AVP 0\r\n".repeat(33)), 400, "more than 32 media"),
        ("long line", with(&format!("a=x:{}\r\n", "y".repeat(5_000))), 400, "4096"),
        ("video only", with("m=video 4000 RTP/AVP 31\r\n"), 488, "no audio"),
        ("port 0", with("m=audio 0 RTP/AVP 0\r\n"), 488, "no audio"),
        ("no format", with("m=audio 4000 RTP/AVP\r\n"), 488, "no common codec"),
        ("no codec", with("m=audio 4000 RTP/AVP 18 3 101\r\n"), 488, "G729/8000, GSM/8000, payload type 101"),
        ("sloppy numbers", with("m=audio 4000 RTP/AVP 00 +8 256\r\n"), 488, "no common codec"),
        ("events only", with("m=audio 4000 RTP/AVP 101\r\na=rtpmap:101 telephone-event/8000\r\n"), 488, "no common"),
        ("other clock", with("m=audio 4000 RTP/AVP 96\r\na=rtpmap:96 PCMU/16000\r\n"), 488, "PCMU/16000"),
        ("stereo PCMU", with("m=audio 4000 RTP/AVP 96\r\na=rtpmap:96 PCMU/8000/2\r\n"), 488, "PCMU/8000/2"),
        ("redefined 0", with("m=audio 4000 RTP/AVP 0\r\na=rtpmap:0 G726-32/8000\r\n"), 488, "G726-32/8000"),
        ("SAVP", with("m=audio 4000 RTP/SAVP 0\r\n"), 488, "insists on encrypted media"),
        (
            "DTLS",
            with("m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=rtpmap:111 opus/48000/2\r\n"),
            488,
            "insists on encrypted media",
        ),
        ("unknown", with("m=audio 4000 TCP/FOO\u{1b}[2J 0\r\n"), 488, "`TCP/FOO[2J` is not supported"),
        (
            "name",
            with("m=audio 4000 RTP/AVP 0\r\nc=IN IP4 media.example.com\r\n"),
            488,
            "`media.example.com` is a name",
        ),
        ("bad address", with("m=audio 4000 RTP/AVP 0\r\nc=IN IP4 192.0.2.256\r\n"), 400, "`192.0.2.256` is neither"),
        ("bad name", with("m=audio 4000 RTP/AVP 0\r\nc=IN IP4 a\u{1b}b\r\n"), 400, "`ab` is neither"),
        ("multicast", with("m=audio 4000 RTP/AVP 0\r\nc=IN IP4 233.252.0.1/127\r\n"), 488, "multicast"),
        ("IPv6", with("m=audio 4000 RTP/AVP 0\r\nc=IN IP6 2001:db8::1\r\n"), 488, "another IP version"),
    ];
    for (name, offer, status, says) in rows {
        let error = answer(offer).expect_err(name);
        assert_eq!(error.status(), *status, "{name}: {error}");
        assert!(error.to_string().contains(says), "{name}: {error}");
    }
}

/// What was agreed, in one line.
fn summary(n: &Negotiated) -> String {
    let format = |f: &offhook::media::spec::PayloadFormat| format!("{}={}", f.payload_type, f.codec.name());
    let event = |e: &offhook::media::spec::TelephoneEvent| format!("{}@{}", e.payload_type, e.clock_rate);
    let list = |items: Vec<String>| items.join(" ");
    format!(
        "{:?}{} to {} rtcp {}{} send {} {} ms events {} | receive {} events {}",
        n.direction,
        if n.held_by_peer { " held" } else { "" },
        n.remote_rtp,
        n.remote_rtcp,
        if n.rtcp_mux { " mux" } else { "" },
        format(&n.send),
        n.ptime.as_millis(),
        list(n.send_events.iter().map(event).collect()),
        list(n.receive.iter().map(format).collect()),
        list(n.receive_events.iter().map(event).collect()),
    )
}

/// The media lines of a description with their directions.
fn lines(text: &str) -> String {
    let directions = ["a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"];
    let wanted = text.lines().filter(|l| l.starts_with("m=") || directions.contains(l));
    wanted.map(|l| l.trim_start_matches("m=").trim_start_matches("a=")).collect::<Vec<_>>().join(" ")
}

const ASTERISK: &str = "v=0\r\no=- 1563487125 1563487125 IN IP4 127.0.0.1\r\ns=Asterisk\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
    m=audio 20132 RTP/AVP 107 0 8 102 101\r\na=rtpmap:107 opus/48000/2\r\na=rtpmap:0 PCMU/8000\r\n\
    a=rtpmap:8 PCMA/8000\r\na=rtpmap:102 telephone-event/48000\r\na=fmtp:102 0-16\r\n\
    a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=maxptime:60\r\na=sendrecv\r\n";
const FREESWITCH: &str = "v=0\r\no=FreeSWITCH 1732277081 1732277082 IN IP4 10.0.0.9\r\ns=FreeSWITCH\r\n\
    c=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 27142 RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\n\
    a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\n";
const BARESIP: &str = "v=0\r\no=- 3941221846 1204913061 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
    a=tool:baresip 1.0.0\r\nm=audio 15672 RTP/AVP 96 0 8 101\r\nb=AS:125\r\na=rtpmap:96 opus/48000/2\r\n\
    a=fmtp:96 stereo=1;sprop-stereo=1;maxaveragebitrate=28000;useinbandfec=1\r\na=rtpmap:0 PCMU/8000\r\n\
    a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=rtcp:15673\r\na=sendrecv\r\n\
    a=label:1\r\na=rtcp-rsize\r\na=ptime:20\r\nm=video 0 RTP/AVP 97\r\n";
/// As Chromium offers, but without the encryption that is not negotiated here.
const CHROMIUM_CLEAR: &str = "v=0\r\no=- 4611733054762223410 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
    a=extmap-allow-mixed\r\na=msid-semantic: WMS stream\r\nm=audio 54609 RTP/AVPF 111 63 9 0 8 13 110 126\r\n\
    c=IN IP4 192.0.2.7\r\na=rtcp:9 IN IP4 0.0.0.0\r\na=candidate:1467250027 1 udp 2122260223 192.0.2.7 46243 typ host\r\n\
    a=ice-ufrag:ETEn\r\na=mid:0\r\na=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level\r\na=sendrecv\r\na=rtcp-mux\r\n\
    a=rtcp-rsize\r\na=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 transport-cc\r\na=fmtp:111 minptime=10;useinbandfec=1\r\n\
    a=rtpmap:63 red/48000/2\r\na=fmtp:63 111/111\r\na=rtpmap:9 G722/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
    a=rtpmap:13 CN/8000\r\na=rtpmap:110 telephone-event/48000\r\na=rtpmap:126 telephone-event/8000\r\na=ssrc:1 cname:x\r\n";

#[test]
fn offers_of_real_peers_are_answered() {
    let hold = |offer: &str| offer.replace("a=sendrecv", "a=sendonly");
    let (mixed, upset) = (
        "\nv=0\r\no=alice smith 1 1 IN IP4 198.51.100.1\nt=\rm=audio  4000/2  RTP/AVP  0 \r\nz=0\r\na=ptime:x\r\na=rtpmap:0 \
         PCMU/8000/1 \r\nc=IN IP4 198.51.100.1/127\r\nq=unknown\r\n\r\na=\r\nb=AS\r\nk=prompt\0\0",
        "v=0\r\na=recvonly\r\nc=IN IP4 198.51.100.1\r\no=- 1 1 IN IP4 host.example.com\r\nm=audio 4000 RTP/AVP 0",
    );
    let rows: &[(&str, String, &str, &str)] = &[
        (
            "Asterisk offers events twice",
            ASTERISK.into(),
            "audio 40000 RTP/AVP 107 0 8 102 101 sendrecv",
            "SendRecv to 127.0.0.1:20132 rtcp 127.0.0.1:20133 send 107=opus 20 ms events 102@48000 | receive 107=opus \
             0=PCMU 8=PCMA events 102@48000 101@8000",
        ),
        (
            "Asterisk without Opus: only the events of the codec's clock",
            ASTERISK.replace("107 0 8", "0").replace("20132", "20140/1"),
            "audio 40000 RTP/AVP 0 101 sendrecv",
            "SendRecv to 127.0.0.1:20140 rtcp 127.0.0.1:20141 send 0=PCMU 20 ms events 101@8000 | receive 0=PCMU events \
             101@8000",
        ),
        (
            "Asterisk holds",
            hold(ASTERISK),
            "audio 40000 RTP/AVP 107 0 8 102 101 recvonly",
            "RecvOnly held to 127.0.0.1:20132 rtcp 127.0.0.1:20133 send 107=opus 20 ms events 102@48000 | receive \
             107=opus 0=PCMU 8=PCMA events 102@48000 101@8000",
        ),
        (
            "FreeSWITCH keeps one codec, states no direction, and its own host in o=",
            FREESWITCH.into(),
            "audio 40000 RTP/AVP 0 101 sendrecv",
            "SendRecv to 127.0.0.1:27142 rtcp 127.0.0.1:27143 send 0=PCMU 20 ms events 101@8000 | receive 0=PCMU events \
             101@8000",
        ),
        (
            "baresip: video without a port, events of one clock only",
            BARESIP.into(),
            "audio 40000 RTP/AVP 96 0 8 101 sendrecv video 0 RTP/AVP 97",
            "SendRecv to 127.0.0.1:15672 rtcp 127.0.0.1:15673 send 96=opus 20 ms events 101@8000 | receive 96=opus \
             0=PCMU 8=PCMA events 101@8000",
        ),
        (
            "Chromium's formats, AVPF, its dummy RTCP address",
            CHROMIUM_CLEAR.into(),
            "audio 40000 RTP/AVPF 111 0 8 110 126 sendrecv",
            "SendRecv to 192.0.2.7:54609 rtcp 192.0.2.7:9 send 111=opus 20 ms events 110@48000 | receive 111=opus \
             0=PCMU 8=PCMA events 110@48000 126@8000",
        ),
        (
            "mixed line ends, missing s=, bad t=, doubled blanks, attributes that make no sense",
            mixed.into(),
            "audio 40000 RTP/AVP 0 sendrecv",
            "SendRecv to 198.51.100.1:4000 rtcp 198.51.100.1:4001 send 0=PCMU 20 ms events  | receive 0=PCMU events ",
        ),
        (
            "lines out of order; direction of the session",
            upset.into(),
            "audio 40000 RTP/AVP 0 sendonly",
            "SendOnly to 198.51.100.1:4000 rtcp 198.51.100.1:4001 send 0=PCMU 20 ms events  | receive 0=PCMU events ",
        ),
        (
            "the old hold: no address",
            with("m=audio 4000 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\n"),
            "audio 40000 RTP/AVP 0 recvonly",
            "RecvOnly held to 0.0.0.0:4000 rtcp 0.0.0.0:4001 send 0=PCMU 20 ms events  | receive 0=PCMU events ",
        ),
        (
            "the old hold of IPv6",
            with("m=audio 4000 RTP/AVP 0\r\nc=IN IP6 hold.invalid\r\na=sendonly\r\n"),
            "audio 40000 RTP/AVP 0 recvonly",
            "RecvOnly held to 0.0.0.0:4000 rtcp 0.0.0.0:4001 send 0=PCMU 20 ms events  | receive 0=PCMU events ",
        ),
        (
            "inactive",
            with(
                "m=audio 4000 RTP/AVP 8\r\na=inactive\r\na=ptime:40\r\na=maxptime:30\r\na=rtcp:53020 IN IP4 198.51.100.2\r\n",
            ),
            "audio 40000 RTP/AVP 8 inactive",
            "Inactive held to 198.51.100.1:4000 rtcp 198.51.100.2:53020 send 8=PCMA 30 ms events  | receive 8=PCMA events ",
        ),
        (
            "encrypted and plain audio: the first that can be used, every line in its place",
            with(
                "m=audio 4000 RTP/SAVP 0\r\nm=audio 4002 RTP/AVP 18\r\nm=video 4004 RTP/AVP 31\r\nm=audio 4006 RTP/AVP 0\r\n\
                 m=audio 4008 RTP/AVP 0\r\nm=image 4010 udptl t38\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n",
            ),
            "audio 0 RTP/SAVP 0 audio 0 RTP/AVP 18 video 0 RTP/AVP 31 audio 40000 RTP/AVP 0 sendrecv audio 0 RTP/AVP 0 \
             image 0 udptl t38 application 0 UDP/DTLS/SCTP webrtc-datachannel",
            "SendRecv to 198.51.100.1:4006 rtcp 198.51.100.1:4007 send 0=PCMU 20 ms events  | receive 0=PCMU events ",
        ),
    ];
    for (name, offer, answered, agreed) in rows {
        let (text, negotiated) = answer(offer).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(lines(&text), *answered, "{name}");
        assert_eq!(summary(&negotiated.expect(name)), *agreed, "{name}");
    }
}

#[test]
fn an_answer_in_full() {
    let (text, negotiated) = answer(BARESIP).unwrap();
    let id = Session::parse(text.as_bytes()).unwrap().origin.session_id;
    let expected = format!(
        "v=0\r\no=- {id} 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 40000 RTP/AVP 96 0 8 101\r\n\
         a=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
         a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\nm=video 0 RTP/AVP 97\r\n"
    );
    assert_eq!(text, expected);
    let negotiated = negotiated.unwrap();
    let asked = OpusParameters {
        max_average_bitrate: Some(28_000),
        stereo: true,
        use_inband_fec: true,
        ..OpusParameters::default()
    };
    assert_eq!(negotiated.send.opus, asked, "what the peer asks of our encoder");
    assert_eq!(negotiated.receive[0].opus, local().opus, "what we ask of the peer's");
    assert_eq!(negotiated.rtcp_bandwidth, 6_250, "5 % of b=AS:125");
    assert_eq!(negotiated.generation, 1);
}

#[test]
fn rtcp_has_a_port_of_its_own_unless_both_want_one_port() {
    let ours = LocalMedia { rtcp_mux: true, rtcp_port: 40_007, ..local() };
    let (text, negotiated) = negotiator().answer(CHROMIUM_CLEAR.as_bytes(), &ours).unwrap();
    assert!(text.contains("a=rtcp-mux\r\n"), "{text}");
    let negotiated = negotiated.unwrap();
    assert!(negotiated.rtcp_mux);
    assert_eq!(negotiated.remote_rtcp, negotiated.remote_rtp);

    let (text, negotiated) = negotiator().answer(ASTERISK.as_bytes(), &ours).unwrap();
    assert!(text.contains("a=rtcp:40007\r\n") && !text.contains("a=rtcp-mux"), "{text}");
    assert!(!negotiated.unwrap().rtcp_mux);

    let bandwidth =
        |lines: &str| answer(&with(&format!("m=audio 4000 RTP/AVP 0\r\n{lines}"))).unwrap().1.unwrap().rtcp_bandwidth;
    assert_eq!(bandwidth(""), 4_000);
    assert_eq!(bandwidth("b=RS:800\r\nb=RR:2400\r\nb=AS:64\r\n"), 3_200);
    assert_eq!(bandwidth("b=RS:0\r\nb=RR:0\r\n"), 0);
    assert_eq!(bandwidth("b=AS:18446744073709551615\r\n"), u32::MAX);
}

#[test]
fn what_the_peer_says_of_the_session_is_kept() {
    let named = |s: &str, i: &str| {
        let offer = with("m=audio 4000 RTP/AVP 0\r\ni=the line\r\n").replace("s=-\r\n", &format!("s={s}\r\n{i}"));
        let negotiated = answer(&offer).unwrap().1.unwrap();
        (negotiated.session_name.sanitize(40), negotiated.session_information.sanitize(40))
    };
    assert_eq!(named(" ", ""), (String::new(), "the line".to_owned()));
    assert_eq!(named("-", "i=a talk\u{1b}[2J\r\n"), (String::new(), "a talk[2J".to_owned()));
    assert_eq!(named("-x", ""), ("-x".to_owned(), "the line".to_owned()));
}

#[test]
fn our_offer_in_full_and_its_answers() {
    let mut ours = negotiator();
    let offer = ours.offer(&local()).unwrap();
    let id = Session::parse(offer.as_bytes()).unwrap().origin.session_id;
    let expected = format!(
        "v=0\r\no=- {id} 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 40000 RTP/AVP 111 0 8 110 101\r\n\
         a=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
         a=rtpmap:110 telephone-event/48000\r\na=fmtp:110 0-16\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\n\
         a=ptime:20\r\na=sendrecv\r\n"
    );
    assert_eq!(offer, expected);

    let rows: &[(&str, String, Result<&str, &str>)] = &[
        ("malformed", "v=0".into(), Err("o= line is missing")),
        ("no line", with(""), Err("no line for the audio")),
        ("another medium", with("m=video 4000 RTP/AVP 31\r\n"), Err("no line for the audio")),
        ("refused", with("m=audio 0 RTP/AVP 0\r\n"), Err("refused the audio")),
        ("encrypted", with("m=audio 4000 RTP/SAVP 0\r\n"), Err("insists on encrypted media")),
        ("foreign codec", with("m=audio 4000 RTP/AVP 18\r\n"), Err("no common codec: the peer has G729/8000")),
        ("IPv6", with("m=audio 4000 RTP/AVP 0\r\nc=IN IP6 ::1\r\n"), Err("another IP version")),
        (
            "Asterisk keeps our session id and several codecs",
            format!(
                "v=0\r\no=- {id} 3 IN IP4 127.0.0.1\r\ns=Asterisk\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                 m=audio 20132 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n\
                 a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=maxptime:140\r\na=sendrecv\r\n"
            ),
            Ok(
                "SendRecv to 127.0.0.1:20132 rtcp 127.0.0.1:20133 send 0=PCMU 20 ms events 101@8000 | receive 111=opus \
                0=PCMU 8=PCMA events 110@48000 101@8000",
            ),
        ),
        (
            "FreeSWITCH",
            FREESWITCH.into(),
            Ok(
                "SendRecv to 127.0.0.1:27142 rtcp 127.0.0.1:27143 send 0=PCMU 20 ms events 101@8000 | receive 111=opus \
                0=PCMU 8=PCMA events 110@48000 101@8000",
            ),
        ),
        (
            "another payload type for the same codec: theirs to send, ours to receive",
            with(
                "m=audio 4000 RTP/AVP 96 97\r\na=rtpmap:96 OPUS/48000/2\r\na=rtpmap:97 telephone-event/48000\r\na=ptime:30\r\n",
            ),
            Ok("SendRecv to 198.51.100.1:4000 rtcp 198.51.100.1:4001 send 96=opus 20 ms events 97@48000 | receive \
                111=opus 0=PCMU 8=PCMA events 110@48000 101@8000"),
        ),
        (
            "a line too many, and no events",
            with("m=audio 4000 RTP/AVP 8\r\na=recvonly\r\na=ptime:500\r\nm=video 0 RTP/AVP 31\r\n"),
            Ok("SendOnly to 198.51.100.1:4000 rtcp 198.51.100.1:4001 send 8=PCMA 60 ms events  | receive 111=opus \
                0=PCMU 8=PCMA events 110@48000 101@8000"),
        ),
    ];
    for (name, answer, agreed) in rows {
        let got = ours.clone().handle_answer(answer.as_bytes());
        match (got, agreed) {
            (Ok(negotiated), Ok(agreed)) => assert_eq!(summary(&negotiated), *agreed, "{name}"),
            (Err(error), Err(says)) => assert!(error.to_string().contains(says), "{name}: {error}"),
            (got, _) => panic!("{name}: {got:?}"),
        }
    }
}

#[test]
fn an_answer_may_come_again_and_the_last_one_counts() {
    let mut ours = negotiator();
    assert_eq!(ours.handle_answer(FREESWITCH.as_bytes()), Err(SdpError::NoOffer));
    ours.offer(&local()).unwrap();
    assert_eq!(ours.offer(&local()), Err(SdpError::OfferPending));
    assert_eq!(ours.answer(FREESWITCH.as_bytes(), &local()).map(drop), Err(SdpError::OfferPending));
    assert_eq!(SdpError::OfferPending.status(), 491);
    // Each fork of the INVITE has a copy.
    let mut fork = ours.clone();
    let early = ours.handle_answer(FREESWITCH.as_bytes()).unwrap();
    assert_eq!((early.generation, ours.is_offer_pending()), (1, false));
    assert_eq!(ours.handle_answer(FREESWITCH.as_bytes()).unwrap(), early, "183, then 200 with the same");
    let moved = ours.handle_answer(FREESWITCH.replace("27142", "27200").as_bytes()).unwrap();
    assert_eq!((moved.generation, moved.remote_rtp.port()), (2, 27_200));
    assert_eq!(fork.handle_answer(ASTERISK.as_bytes()).unwrap().remote_rtp.port(), 20_132);
    // An answer to nothing, once the peer made an offer of its own.
    ours.answer(FREESWITCH.as_bytes(), &local()).unwrap();
    assert_eq!(ours.handle_answer(FREESWITCH.as_bytes()), Err(SdpError::NoOffer));
}

/// The version of a description, and whether the session id is the first one's.
fn version(text: &str) -> String {
    Session::parse(text.as_bytes()).unwrap().origin.version
}

#[test]
fn the_version_rises_only_with_a_change_and_the_session_id_stays() {
    let mut ours = negotiator();
    let first = ours.offer(&local()).unwrap();
    ours.handle_answer(FREESWITCH.as_bytes()).unwrap();
    let same = ours.offer(&local()).unwrap();
    assert_eq!(first, same, "a session refresh says the same");
    ours.handle_answer(FREESWITCH.as_bytes()).unwrap();
    let hold = LocalMedia { direction: offhook::sdp::direction::held(Direction::SendRecv), ..local() };
    let held = ours.offer(&hold).unwrap();
    assert_eq!((version(&held).as_str(), lines(&held).as_str()), ("2", "audio 40000 RTP/AVP 111 0 8 110 101 sendonly"));
    let agreed = ours.handle_answer(FREESWITCH.replace("a=ptime", "a=recvonly\r\na=ptime").as_bytes()).unwrap();
    assert_eq!((agreed.direction, agreed.generation), (Direction::SendOnly, 3));
    // The resume is refused: what was agreed holds, but the version is spent.
    assert_eq!(version(&ours.offer(&local()).unwrap()), "3");
    ours.withdraw();
    assert!(!ours.is_offer_pending());
    assert_eq!(version(&ours.offer(&hold).unwrap()), "4");
    let ids: Vec<String> =
        [&first, &held].map(|text| Session::parse(text.as_bytes()).unwrap().origin.session_id).to_vec();
    assert_eq!(ids[0], ids[1]);
}

#[test]
fn who_holds_whom() {
    use Direction::{Inactive, RecvOnly, SendOnly, SendRecv};
    // What we want, what the peer offers, what comes of it for us.
    let rows = [
        (SendRecv, "sendrecv", SendRecv, false),
        (SendRecv, "sendonly", RecvOnly, true),
        (SendRecv, "recvonly", SendOnly, false),
        (SendRecv, "inactive", Inactive, true),
        (SendOnly, "sendrecv", SendOnly, false),
        (SendOnly, "sendonly", Inactive, true),
        (SendOnly, "recvonly", SendOnly, false),
        (Inactive, "sendrecv", Inactive, false),
    ];
    for (want, offered, agreed, held) in rows {
        let ours = LocalMedia { direction: want, ..local() };
        let offer = with(&format!("m=audio 4000 RTP/AVP 0\r\na={offered}\r\n"));
        let negotiated = negotiator().answer(offer.as_bytes(), &ours).unwrap().1.unwrap();
        assert_eq!((negotiated.direction, negotiated.held_by_peer), (agreed, held), "{want:?} {offered}");
    }
    assert_eq!(
        [SendRecv, SendOnly, RecvOnly, Inactive].map(offhook::sdp::direction::held),
        [SendOnly, SendOnly, Inactive, Inactive]
    );
}

#[test]
fn later_offers_keep_lines_and_payload_types() {
    let mut ours = negotiator();
    // The peer uses 101 for Opus and 111 for its events, and its audio is the second line.
    let offer = with(
        "m=video 4000 RTP/AVP 31\r\nm=audio 4002 RTP/AVPF 101 111\r\na=rtpmap:101 opus/48000/2\r\n\
         a=rtpmap:111 telephone-event/48000\r\n",
    );
    let (text, _) = ours.answer(offer.as_bytes(), &local()).unwrap();
    assert_eq!(lines(&text), "video 0 RTP/AVP 31 audio 40000 RTP/AVPF 101 111 sendrecv");
    let again = ours.offer(&local()).unwrap();
    assert_eq!(lines(&again), "video 0 RTP/AVP 31 audio 40000 RTP/AVPF 101 0 8 111 96 sendrecv");
    assert!(again.contains("a=rtpmap:96 telephone-event/8000"), "{again}");
    // The direct-media re-INVITE: other address, fewer codecs; then the audio is taken away and brought back.
    ours.withdraw();
    let moved = with("m=video 0 RTP/AVP 31\r\nm=audio 5000 RTP/AVPF 0\r\nc=IN IP4 203.0.113.5\r\n");
    let (text, negotiated) = ours.answer(moved.as_bytes(), &local()).unwrap();
    assert_eq!(lines(&text), "video 0 RTP/AVP 31 audio 40000 RTP/AVPF 0 sendrecv");
    let negotiated = negotiated.unwrap();
    assert_eq!((negotiated.remote_rtp.to_string().as_str(), negotiated.generation), ("203.0.113.5:5000", 2));
    let gone = with("m=video 0 RTP/AVP 31\r\nm=audio 0 RTP/AVPF 0\r\n");
    let (text, negotiated) = ours.answer(gone.as_bytes(), &local()).unwrap();
    assert_eq!((lines(&text).as_str(), negotiated), ("video 0 RTP/AVP 31 audio 0 RTP/AVPF 0", None));
    let back = ours.offer(&local()).unwrap();
    assert_eq!(lines(&back), "video 0 RTP/AVP 31 audio 40000 RTP/AVPF 101 0 8 111 96 sendrecv");
    // A refused offer of the peer changes nothing.
    ours.withdraw();
    assert_eq!(ours.answer(with("m=audio 4000 RTP/AVP 18\r\n").as_bytes(), &local()).unwrap_err().status(), 488);
    let (_, negotiated) = ours.answer(moved.as_bytes(), &local()).unwrap();
    assert_eq!(negotiated.unwrap().generation, 4);
}

#[test]
fn the_audio_stays_on_its_line_when_another_becomes_usable() {
    let mut ours = negotiator();
    let answered = |ours: &mut Negotiator, first: u8| {
        let offer = with(&format!("m=audio 4000 RTP/AVP {first}\r\nm=audio 4002 RTP/AVP 0\r\n"));
        lines(&ours.answer(offer.as_bytes(), &local()).unwrap().0)
    };
    assert_eq!(answered(&mut ours, 18), "audio 0 RTP/AVP 18 audio 40000 RTP/AVP 0 sendrecv");
    assert_eq!(answered(&mut ours, 8), "audio 0 RTP/AVP 8 audio 40000 RTP/AVP 0 sendrecv");
}

#[test]
fn a_name_as_media_address_is_used_once_it_is_resolved() {
    let offer = with("m=audio 4000 RTP/AVP 0\r\nc=IN IP4 media.example.com\r\n");
    let mut ours = negotiator();
    let name = match ours.answer(offer.as_bytes(), &local()) {
        Err(SdpError::HostName(name)) => name,
        other => panic!("{other:?}"),
    };
    ours.host_resolved(&name, "198.51.100.77".parse().unwrap());
    let (_, negotiated) = ours.answer(offer.as_bytes(), &local()).unwrap();
    assert_eq!(negotiated.unwrap().remote_rtp.to_string(), "198.51.100.77:4000");
}

#[test]
fn ipv6_all_the_way() {
    let ours = LocalMedia { address: "2001:db8::10".parse().unwrap(), ..local() };
    let offer =
        "v=0\r\no=- 1 1 IN IP6 2001:db8::1\r\ns=-\r\nc=IN IP6 2001:db8::1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n";
    let (text, negotiated) = negotiator().answer(offer.as_bytes(), &ours).unwrap();
    assert!(text.contains("c=IN IP6 2001:db8::10\r\n"), "{text}");
    assert_eq!(negotiated.unwrap().remote_rtp.to_string(), "[2001:db8::1]:4000");
    let error = negotiator().answer(ASTERISK.as_bytes(), &ours).unwrap_err();
    assert_eq!((error.status(), error.warning()), (488, 301));
}

/// One step of an example: what the peer says, or what we are to say.
enum Step {
    /// The peer's offer, our lines.
    Offer(&'static str, &'static str),
    /// The lines of our offer, the peer's answer.
    Answer(&'static str, &'static str),
}
use Step::{Answer, Offer};

/// RFC 3264 §10 and the examples of RFC 4317 that concern audio, with us in the place of the answerer, or of the offerer
/// where the example fits what we offer. The names in their `c=` lines are left as addresses.
#[test]
fn the_examples_of_the_rfcs() {
    let rows: &[(&str, &[Step])] = &[
        (
            "RFC 3264 §10.1: audio and two videos, then a video moves and audio is added",
            &[
                Offer(
                    "m=audio 49170 RTP/AVP 0\na=rtpmap:0 PCMU/8000\nm=video 51372 RTP/AVP 31\na=rtpmap:31 H261/90000\n\
                     m=video 53000 RTP/AVP 32\na=rtpmap:32 MPV/90000",
                    "audio 40000 RTP/AVP 0 sendrecv video 0 RTP/AVP 31 video 0 RTP/AVP 32",
                ),
                Offer(
                    "m=audio 49170 RTP/AVP 0\na=rtpmap:0 PCMU/8000\nm=video 0 RTP/AVP 31\nm=video 65422 RTP/AVP 32\n\
                     m=audio 51434 RTP/AVP 110\na=rtpmap:110 telephone-events/8000\na=recvonly",
                    "audio 40000 RTP/AVP 0 sendrecv video 0 RTP/AVP 31 video 0 RTP/AVP 32 audio 0 RTP/AVP 110",
                ),
            ],
        ),
        (
            "RFC 3264 §10.2: one of N codecs, first inactive",
            &[
                Offer(
                    "m=audio 62986 RTP/AVP 0 4 18\na=rtpmap:0 PCMU/8000\na=rtpmap:4 G723/8000\na=rtpmap:18 G729/8000\na=inactive",
                    "audio 40000 RTP/AVP 0 inactive",
                ),
                Offer("m=audio 62986 RTP/AVP 0\na=rtpmap:0 PCMU/8000\na=sendrecv", "audio 40000 RTP/AVP 0 sendrecv"),
            ],
        ),
        (
            "RFC 4317 §2.1: audio and video, one codec left",
            &[Offer(
                "m=audio 49170 RTP/AVP 0 8 97\na=rtpmap:0 PCMU/8000\na=rtpmap:8 PCMA/8000\na=rtpmap:97 iLBC/8000\n\
                 m=video 51372 RTP/AVP 31 32\na=rtpmap:31 H261/90000\na=rtpmap:32 MPV/90000",
                "audio 40000 RTP/AVP 0 8 sendrecv video 0 RTP/AVP 31 32",
            )],
        ),
        (
            "RFC 4317 §2.2: two codecs answered, then one is fixed by a second offer",
            &[
                Answer(
                    "audio 40000 RTP/AVP 111 0 8 110 101 sendrecv",
                    "m=audio 49172 RTP/AVP 0 8\na=rtpmap:0 PCMU/8000\na=rtpmap:8 PCMA/8000",
                ),
                Offer("m=audio 49172 RTP/AVP 8\na=rtpmap:8 PCMA/8000", "audio 40000 RTP/AVP 8 sendrecv"),
            ],
        ),
        (
            "RFC 4317 §2.3: inactive with three codecs, then one of them",
            &[
                Offer(
                    "m=audio 49170 RTP/AVP 0 8 97\na=rtpmap:97 iLBC/8000\na=inactive\nm=video 51372 RTP/AVP 31 32\na=inactive",
                    "audio 40000 RTP/AVP 0 8 inactive video 0 RTP/AVP 31 32",
                ),
                Offer(
                    "m=audio 49170 RTP/AVP 0\nm=video 0 RTP/AVP 31",
                    "audio 40000 RTP/AVP 0 sendrecv video 0 RTP/AVP 31",
                ),
            ],
        ),
        (
            "RFC 4317 §2.4: two audio streams, the second for telephone events alone",
            &[Offer(
                "m=audio 49170 RTP/AVP 0 97\na=rtpmap:0 PCMU/8000\na=rtpmap:97 iLBC/8000\nm=audio 49172 RTP/AVP 98\n\
                 a=rtpmap:98 telephone-event/8000\na=sendonly",
                "audio 40000 RTP/AVP 0 sendrecv audio 0 RTP/AVP 98",
            )],
        ),
        (
            "RFC 4317 §2.5: the first codec is not ours",
            &[Offer(
                "m=audio 49170 RTP/AVP 99 0\na=rtpmap:99 iLBC/8000\nm=video 51372 RTP/AVP 31",
                "audio 40000 RTP/AVP 0 sendrecv video 0 RTP/AVP 31",
            )],
        ),
        (
            "RFC 4317 §2.6: the answerer supports one codec of three",
            &[Answer("audio 40000 RTP/AVP 111 0 8 110 101 sendrecv", "m=audio 49172 RTP/AVP 8\na=rtpmap:8 PCMA/8000")],
        ),
        (
            "RFC 4317 §2.7, §2.8: two audio codecs on two lines; only one line is wanted",
            &[Offer(
                "m=audio 49170 RTP/AVP 97\na=rtpmap:97 iLBC/8000\nm=audio 49172 RTP/AVP 0\nm=video 51372 RTP/AVP 31",
                "audio 0 RTP/AVP 97 audio 40000 RTP/AVP 0 sendrecv video 0 RTP/AVP 31",
            )],
        ),
        (
            "RFC 4317 §3.1, §3.2: hold, then resume, with two streams",
            &[
                Offer("m=audio 49170 RTP/AVP 0 97\na=rtpmap:97 iLBC/8000", "audio 40000 RTP/AVP 0 sendrecv"),
                Offer(
                    "m=audio 49170 RTP/AVP 0 97\na=rtpmap:97 iLBC/8000\na=sendonly",
                    "audio 40000 RTP/AVP 0 recvonly",
                ),
                Offer("m=audio 49170 RTP/AVP 0 97\na=rtpmap:97 iLBC/8000", "audio 40000 RTP/AVP 0 sendrecv"),
            ],
        ),
        (
            "RFC 4317 §4.1: a second audio line is added",
            &[
                Offer("m=audio 49170 RTP/AVP 0", "audio 40000 RTP/AVP 0 sendrecv"),
                Offer(
                    "m=audio 49170 RTP/AVP 0\nm=audio 49172 RTP/AVP 98\na=rtpmap:98 telephone-event/8000\na=sendonly",
                    "audio 40000 RTP/AVP 0 sendrecv audio 0 RTP/AVP 98",
                ),
            ],
        ),
        (
            "RFC 4317 §4.3: a video is taken away",
            &[
                Offer(
                    "m=audio 49170 RTP/AVP 0\nm=video 51372 RTP/AVP 31",
                    "audio 40000 RTP/AVP 0 sendrecv video 0 RTP/AVP 31",
                ),
                Offer(
                    "m=audio 49170 RTP/AVP 0\nm=video 0 RTP/AVP 31",
                    "audio 40000 RTP/AVP 0 sendrecv video 0 RTP/AVP 31",
                ),
            ],
        ),
        (
            "RFC 4317 §5.1: a call without media, then audio is added (third party call control)",
            &[Offer("", ""), Offer("m=audio 49170 RTP/AVP 0", "audio 40000 RTP/AVP 0 sendrecv")],
        ),
    ];
    for (name, steps) in rows {
        let mut ours = negotiator();
        for step in *steps {
            match step {
                Offer(offer, expected) => {
                    let (text, negotiated) = ours.answer(with(&format!("{offer}\n")).as_bytes(), &local()).expect(name);
                    assert_eq!(lines(&text), *expected, "{name}");
                    assert_eq!(negotiated.is_none(), expected.is_empty(), "{name}");
                }
                Answer(expected, answer) => {
                    let text = ours.offer(&local()).expect(name);
                    assert_eq!(lines(&text), *expected, "{name}");
                    ours.handle_answer(with(&format!("{answer}\n")).as_bytes()).expect(name);
                }
            }
        }
    }
}

#[test]
fn the_timing_of_an_answer_is_the_offers() {
    let offer = with("m=audio 4000 RTP/AVP 0\r\n").replace("t=0 0", "t=2873397496 2873404696");
    let (text, _) = answer(&offer).unwrap();
    assert!(text.contains("\r\nt=2873397496 2873404696\r\n"), "{text}");
}

/// Words of descriptions, put together at random: far more of them reach the later stages than arbitrary bytes do.
fn fragments() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        Just("v=0".to_owned()),
        Just("o=- 1 1 IN IP4 198.51.100.1".to_owned()),
        Just("s=talk".to_owned()),
        Just("c=IN IP4 198.51.100.1".to_owned()),
        Just("c=IN IP4 0.0.0.0".to_owned()),
        Just("a=rtpmap:96 opus/48000/2".to_owned()),
        Just("a=fmtp:96 maxplaybackrate=99999999999;stereo=1;=;;".to_owned()),
        "m=(audio|video) [0-9]{1,5} RTP/(AVP|AVPF|SAVP)( [0-9]{1,3}){0,5}",
        "m=audio [0-9]{1,4} RTP/AVP (0|8|96)( (0|8|96|101)){0,3}",
        "a=(rtpmap|fmtp|rtcp|ptime|maxptime):[0-9]{1,6}( [ -~]{0,12})?",
        "a=(sendrecv|sendonly|recvonly|inactive|rtcp-mux)",
        "b=(AS|RS|RR):[0-9]{1,22}",
        "[a-z]=[ -~]{0,30}",
    ];
    (proptest::collection::vec(line, 0..20), prop_oneof![Just("\r\n"), Just("\n"), Just("\r")])
        .prop_map(|(lines, end)| format!("v=0{end}o=- 1 1 IN IP4 198.51.100.1{end}{}{end}", lines.join(end)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        drop(negotiator().answer(&bytes, &local()));
    }

    #[test]
    fn what_is_read_is_written_and_read_the_same(text in fragments()) {
        if let Ok(session) = Session::parse(text.as_bytes()) {
            let written = session.to_string();
            let again = Session::parse(written.as_bytes()).expect("what we write can be read");
            prop_assert_eq!(&again, &session);
            prop_assert_eq!(again.to_string(), written);
        }
    }

    #[test]
    fn an_answer_has_the_lines_of_its_offer_and_keeps_what_was_asked(text in fragments()) {
        let mut ours = negotiator();
        if let Ok((answer, negotiated)) = ours.answer(text.as_bytes(), &local()) {
            let (offer, answer) = (Session::parse(text.as_bytes()).unwrap(), Session::parse(answer.as_bytes()).unwrap());
            prop_assert_eq!(offer.media.len(), answer.media.len());
            let accepted = answer.media.iter().filter(|line| line.port != 0).count();
            prop_assert_eq!(accepted, usize::from(negotiated.is_some()));
            for (theirs, ours) in offer.media.iter().zip(&answer.media) {
                prop_assert_eq!((&theirs.kind, &theirs.protocol), (&ours.kind, &ours.protocol));
                prop_assert!(ours.formats.iter().all(|f| theirs.formats.contains(f)) || theirs.formats.is_empty());
                prop_assert!(!ours.formats.is_empty());
            }
            let again = ours.offer(&local()).unwrap();
            prop_assert!(Session::parse(again.as_bytes()).unwrap().media.len() >= answer.media.len());
        }
    }
}
