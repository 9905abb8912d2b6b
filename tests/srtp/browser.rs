//! Descriptions of browsers (RFC 8829, RFC 9143, RFC 8285): which are met, what is said of each line, and what hostile ones do.
use crate::descriptions::local;
use offhook::base::rng::Rng;
use offhook::media::dtls::certificate::Certificate;
use offhook::media::spec::{Codec, Direction, DtlsSpec, Keying, Profile};
use offhook::media::srtp::sdes::Policy;
use offhook::nat::candidate::{Candidate, Credentials, Kind, priority};
use offhook::sdp::{LocalIce, LocalMedia, Negotiated, Negotiator, SdpError};
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

static CERTIFICATES: LazyLock<[Arc<Certificate>; 2]> =
    LazyLock::new(|| std::array::from_fn(|_| Arc::new(Certificate::generate().expect("random"))));

const LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";

fn ours(profile: Profile) -> LocalMedia {
    let ice = LocalIce {
        credentials: Credentials::new(&mut Rng::from_u64(9)),
        candidates: Vec::new(),
        complete: true,
        remote: Vec::new(),
    };
    LocalMedia {
        codecs: vec![Codec::Opus, Codec::Pcmu],
        events: true,
        profile,
        ice: Some(ice),
        certificate: Some(Arc::clone(&CERTIFICATES[0])),
        ..local(Policy::Off)
    }
}

/// As Chromium writes it, with these lines of the session and of the audio, and these sections behind it.
///
/// - `address`: of `c=`, and the port; it changes while the call runs.
fn browser(session: &str, (port, address): (u16, &str), audio: &str, more: &str) -> String {
    let print = CERTIFICATES[1].fingerprint();
    format!(
        "v=0\r\no=- 4611 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n{session}a=msid-semantic: WMS\r\n\
         m=audio {port} UDP/TLS/RTP/SAVPF 111 63 9 0 110 126\r\nc=IN IP4 {address}\r\na=rtcp:9 IN IP4 0.0.0.0\r\n\
         a=candidate:1 1 udp 2122 0b3a.local {port} typ host generation 0\r\na=ice-ufrag:8hhY\r\n\
         a=ice-pwd:asd88fgpdd777uzjYhagZg\r\na=ice-options:trickle\r\na=end-of-candidates\r\na=fingerprint:{print}\r\n\
         a=setup:actpass\r\na=sendrecv\r\na=rtcp-mux\r\na=rtcp-rsize\r\na=rtpmap:111 opus/48000/2\r\n\
         a=rtcp-fb:111 transport-cc\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:63 red/48000/2\r\n\
         a=rtpmap:110 telephone-event/48000\r\na=rtpmap:126 telephone-event/8000\r\n{audio}{more}"
    )
}

fn usual() -> String {
    let audio = format!("a=mid:0\r\na=extmap:1 {LEVEL}\r\na=extmap:4 {MID}\r\n");
    let video = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=rtpmap:96 VP8/90000\r\n";
    browser("a=group:BUNDLE 0 1\r\n", (9, "0.0.0.0"), &audio, video)
}

fn answer(side: &mut Negotiator, offer: &str, local: &LocalMedia) -> Result<(String, Negotiated), SdpError> {
    side.answer(offer.as_bytes(), local).map(|(text, negotiated)| (text, negotiated.expect("a stream")))
}

fn fresh() -> Negotiator {
    Negotiator::new(&mut Rng::from_u64(1))
}

fn dtls(negotiated: &Negotiated) -> &DtlsSpec {
    match &negotiated.srtp {
        Some(Keying::Dtls(dtls)) => dtls,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_browser_is_met_as_it_asks() {
    let (text, agreed) = answer(&mut fresh(), &usual(), &ours(Profile::Auto)).expect("met");
    for line in [
        "a=group:BUNDLE 0\r\n",
        "UDP/TLS/RTP/SAVPF 111 0 110 126\r\n",
        "a=mid:0\r\n",
        "a=setup:active\r\n",
        "a=rtcp-mux\r\n",
        "a=rtcp-rsize\r\n",
        "a=msid:",
        &format!("a=extmap:1 {LEVEL}\r\n"),
        &format!("a=extmap:4 {MID}\r\n"),
        "m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\n",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!text.contains("rtcp-fb"), "we have no feedback: {text}");
    let both = (agreed.bundled, agreed.rtcp_mux, agreed.rtcp_reduced_size, agreed.profile.as_str());
    assert_eq!(both, (true, true, true, "UDP/TLS/RTP/SAVPF"));
    assert_eq!(agreed.extensions.audio_level.map(|e| (e.id, e.sends, e.receives)), Some((1, true, true)));
    assert_eq!(agreed.extensions.mid.map(|(e, name)| (e.id, name)), Some((4, "0".to_owned())));
    assert_eq!((agreed.send.codec, agreed.send_events.map(|e| e.clock_rate)), (Codec::Opus, Some(48_000)));
}

/// What is told of sources (RFC 5576) changes nothing: RTCP tells it, too. There is an end to it.
#[test]
fn sources_are_passed_over() {
    let (first, _) = answer(&mut fresh(), &usual(), &ours(Profile::Auto)).expect("met");
    for (count, met) in [(1, true), (1_000, true), (3_000, false)] {
        let sources: String = (0..count).map(|n| format!("a=ssrc:{n} cname:a\u{1b}b{n}\r\n")).collect();
        let offer = usual().replace("m=video", &format!("{sources}a=ssrc:x\r\na=ssrc-group:FID 1 2\r\nm=video"));
        match answer(&mut fresh(), &offer, &ours(Profile::Auto)) {
            Ok((text, _)) => assert!(met && text == first, "{count}: {text}"),
            Err(error) => assert!(!met && error.status() == 400, "{count}: {error}"),
        }
    }
}

#[test]
fn who_is_not_met() {
    let without = |line: &str| usual().replace(line, "");
    let usual = usual();
    let no_certificate = LocalMedia { certificate: None, ..ours(Profile::Auto) };
    for (what, offer, local) in [
        ("telephones only", usual.clone(), ours(Profile::Rtp)),
        ("nothing to show", usual.clone(), no_certificate),
        ("no ICE", without("a=ice-ufrag:8hhY\r\n"), ours(Profile::Auto)),
        ("two ports", without("a=rtcp-mux\r\n"), ours(Profile::Auto)),
        ("no feedback in the profile", usual.replace("SAVPF", "SAVP"), ours(Profile::Auto)),
    ] {
        let refused = answer(&mut fresh(), &offer, &local).expect_err(what);
        assert_eq!(refused.status(), 488, "{what}: {refused}");
    }
    // Encryption that is wanted anyway needs no browser.
    let local = LocalMedia { srtp: Policy::Required, ..ours(Profile::Rtp) };
    let (text, agreed) = answer(&mut fresh(), &usual, &local).expect("DTLS");
    assert!(!text.contains("extmap") && !agreed.rtcp_reduced_size, "{text}");
}

/// The address of `c=` is that of a candidate: it changes with the first hold, and the handshake is not made again.
#[test]
fn what_runs_goes_on_when_it_is_held() {
    let (mut side, local) = (fresh(), ours(Profile::Auto));
    let (first, agreed) = answer(&mut side, &usual(), &local).expect("met");
    let association = dtls(&agreed).clone();
    let moved = usual()
        .replace("m=audio 9", "m=audio 51562")
        .replace("IN IP4 0.0.0.0\r\na=rtcp", "IN IP4 198.51.100.7\r\na=rtcp");
    let (_, agreed) = answer(&mut side, &moved.replace("a=sendrecv", "a=sendonly"), &local).expect("held");
    assert_eq!((dtls(&agreed), agreed.direction), (&association, Direction::RecvOnly));
    // Our own offer says the same of the line as the answer did.
    let offer = side.offer(&LocalMedia { direction: Direction::SendOnly, ..local }).expect("an offer");
    let lasting = ["a=mid:", "a=extmap:", "a=rtcp-rsize", "a=msid:", "a=rtcp-mux", "a=group:", "a=fingerprint:"];
    let said = |text: &str| -> Vec<String> {
        let lasts = |line: &&str| lasting.iter().any(|name| line.starts_with(name));
        let mut lines: Vec<String> = text.lines().filter(lasts).map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(said(&offer), said(&first));
    assert!(offer.contains("UDP/TLS/RTP/SAVPF 111") && offer.contains("m=video 0"), "{offer}");
}

#[test]
fn what_we_offer() {
    // Profile, its policy, the protocol, whether it is made for browsers.
    for (profile, srtp, protocol, made) in [
        (Profile::Auto, Policy::Off, " RTP/AVP ", false),
        (Profile::Rtp, Policy::Off, " RTP/AVP ", false),
        (Profile::Both, Policy::Preferred, " RTP/AVP ", true),
        (Profile::Webrtc, Policy::Required, " UDP/TLS/RTP/SAVPF ", true),
    ] {
        let mut local = LocalMedia { srtp, sdes: false, rtcp_mux: made, rtcp_port: 40_007, ..ours(profile) };
        let address = SocketAddr::new(local.address, local.rtp_port);
        let of = |component| {
            let priority = priority(Kind::Host, 65_535, component);
            Candidate { foundation: "1".to_owned(), component, priority, address, kind: Kind::Host, related: None }
        };
        local.ice = local.ice.map(|ice| LocalIce { candidates: vec![of(1), of(2)], ..ice });
        let offer = fresh().offer(&local).expect("an offer");
        assert!(offer.contains(protocol), "{profile:?}: {offer}");
        assert!(offer.contains("a=mid:0\r\n"), "candidates that follow name it: {offer}");
        for line in ["a=group:BUNDLE 0\r\n", "a=extmap:1 ", "a=setup:actpass\r\n", "a=rtcp-mux\r\n"] {
            assert_eq!(offer.contains(line), made, "{profile:?} {line}: {offer}");
        }
        assert_eq!(offer.contains("a=rtcp-rsize"), profile == Profile::Webrtc, "{offer}");
        assert!(!made || offer.contains("telephone-event/48000"), "{offer}");
        let one_port = profile == Profile::Webrtc;
        assert_eq!(offer.contains("a=rtcp-mux-only\r\n"), one_port, "{offer}");
        assert_eq!(offer.contains(" 2 UDP "), !one_port, "a candidate for RTCP: {offer}");
        assert_eq!(offer.contains("a=rtcp:"), !one_port, "{offer}");
        // One of us takes what the other offers.
        let (_, agreed) = answer(&mut Negotiator::new(&mut Rng::from_u64(2)), &offer, &local).expect("taken");
        assert_eq!((agreed.bundled, agreed.srtp.is_some()), (made, made), "{profile:?}");
    }
}

/// RFC 8858 §4: who has one port offers no other, and an answer that wants two is none.
#[test]
fn one_port_and_no_other() {
    // Offers: what we answer, though we prefer two ports ourselves.
    let rows: [(&str, &[&str], bool); 4] = [
        ("two", &["a=rtcp:4001\r\n"], false),
        ("one or two", &["a=rtcp:4001\r\n", "a=rtcp-mux\r\n"], false),
        ("one", &["a=rtcp-mux\r\n", "a=rtcp-mux-only\r\n"], true),
        ("one, said once", &["a=rtcp-mux-only\r\n"], true),
    ];
    for (what, lines, muxed) in rows {
        let offer = format!(
            "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n{}",
            lines.concat()
        );
        let (text, agreed) = answer(&mut fresh(), &offer, &local(Policy::Off)).expect(what);
        assert_eq!((agreed.rtcp_mux, text.contains("a=rtcp-mux\r\n")), (muxed, muxed), "{what}: {text}");
        assert!(!text.contains("mux-only"), "{what}: {text}");
        assert_eq!(agreed.remote_rtcp == agreed.remote_rtp, muxed, "{what}");
    }
    // Answers to an offer of ours.
    let local = LocalMedia { srtp: Policy::Required, sdes: false, rtcp_mux: true, ..ours(Profile::Webrtc) };
    let mut peer = Negotiator::new(&mut Rng::from_u64(2));
    let mut side = fresh();
    let (good, _) = answer(&mut peer, &side.offer(&local).expect("an offer"), &ours(Profile::Auto)).expect("met");
    let refused = side.handle_answer(good.replace("a=rtcp-mux\r\n", "").as_bytes());
    assert!(matches!(refused, Err(SdpError::MuxRefused)), "{refused:?}");
    assert!(side.handle_answer(good.as_bytes()).expect("as it should be").rtcp_mux);
    let again = side.offer(&local).expect("another");
    assert!(again.contains("a=rtcp-mux-only\r\n"), "while the line lasts: {again}");
}

#[test]
fn hostile_names_groups_and_numbers() {
    let long = "m".repeat(300);
    let level = |id: &str| format!("a=extmap:{id} {LEVEL}\r\n");
    // What, lines of the session, of the audio; bundled, the number of the level.
    let rows: [(&str, String, String, bool, Option<u8>); 9] = [
        ("a name too long", format!("a=group:BUNDLE {long}\r\n"), format!("a=mid:{long}\r\n"), false, None),
        ("names of nobody", "a=group:BUNDLE x y z\r\n".into(), "a=mid:0\r\n".into(), false, None),
        (
            "thousands of names",
            format!("a=group:BUNDLE {}0\r\n", "x ".repeat(1_000)),
            "a=mid:0\r\n".into(),
            false,
            None,
        ),
        ("no name, but a group", "a=group:BUNDLE 0\r\n".into(), level("1"), false, Some(1)),
        ("zero", "a=group:BUNDLE 0\r\n".into(), format!("a=mid:0\r\n{}", level("0")), true, None),
        ("fifteen", String::new(), level("15"), false, None),
        ("sixteen", String::new(), level("16"), false, Some(16)),
        ("beyond an octet", String::new(), level("4096") + &level("65536"), false, None),
        ("twice", String::new(), level("3") + &format!("a=extmap:3 {MID}\r\n"), false, None),
    ];
    for (what, session, audio, bundled, id) in rows {
        let offer = browser(&session, (9, "0.0.0.0"), &audio, "");
        let (text, agreed) = answer(&mut fresh(), &offer, &ours(Profile::Auto)).expect(what);
        assert_eq!((agreed.bundled, agreed.extensions.audio_level.map(|e| e.id)), (bundled, id), "{what}: {text}");
        assert!(!text.contains(&long), "{what}: {text}");
    }
}

/// Once a pair of IPv6 addresses carries the sound, ours is told by default; the peer's default may stay of IPv4.
#[test]
fn the_pair_that_was_chosen_may_be_of_the_other_version() {
    let six = LocalMedia { address: "2001:db8::1".parse().expect("an address"), ..ours(Profile::Auto) };
    let offer = browser("", (5_000, "192.0.2.7"), "", "");
    let offer = offer.replace("0b3a.local", "192.0.2.7");
    let (text, negotiated) =
        answer(&mut fresh(), &offer, &six).expect("candidates are checked, whatever is told by default");
    assert!(text.contains("c=IN IP6 2001:db8::1"), "{text}");
    assert!(negotiated.ice.is_some());
    let plain = LocalMedia { ice: None, certificate: None, profile: Profile::Rtp, ..six };
    let offer = "v=0\r\no=- 1 1 IN IP4 192.0.2.7\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\nm=audio 5000 RTP/AVP 0\r\n";
    let refused = fresh().answer(offer.as_bytes(), &plain).map(|_| ());
    assert!(matches!(refused, Err(SdpError::AddressFamily { .. })), "{refused:?}");
}
