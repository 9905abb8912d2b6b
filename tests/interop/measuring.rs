//! The instruments themselves: what is measured with them later must be true.
use crate::common::relay::{Relay, Way};
use crate::common::sip_text::SipText;
use crate::common::sound::Sound;
use crate::harness::Case;
use offhook::base::netem::Impairment;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

pub const CASES: &[Case] = &[
    Case { name: "measuring::tones_and_chirps", needs: &[], run: tones_and_chirps },
    Case { name: "measuring::sip_text_keeps_all_but_the_media_address", needs: &[], run: sip_text },
    Case { name: "measuring::the_relay_does_what_it_says", needs: &[], run: relay },
];

fn tones_and_chirps(case: &Case) {
    let tone = Sound::tone(8000, 2.0, 440.0, -10.0);
    assert!((tone.tone_level(440.0) + 10.0).abs() < 0.1 && (tone.level() + 10.0).abs() < 0.1);
    assert!(tone.tone_share(440.0) > 0.99 && tone.tone_share(1000.0) < 0.01);
    assert!(Sound::silence(8000, 1.0).level() < -100.0);
    let chirp = Sound::chirp(8000, 0.2, (300.0, 3000.0));
    let path = case.folder().join("chirp.wav");
    Sound::silence(8000, 0.7).then(&chirp).then(&Sound::silence(8000, 0.5)).write(&path);
    let (at, fit) = Sound::read(&path).find(&chirp).expect("longer than the chirp");
    assert!((at - 0.7).abs() < 0.0005 && fit > 0.99, "{at} {fit}");
    let (_, fit) = tone.find(&chirp).expect("longer than the chirp");
    assert!(fit < 0.5, "a tone is no chirp: {fit}");
}

fn sip_text(_: &Case) {
    let text = "INVITE sip:a@b SIP/2.0\r\nCall-ID: x\r\nContent-Length: 3\r\n\r\nv=0\r\nc=IN IP4 192.0.2.1\r\n\
                m=audio 4000 RTP/AVP 0 8\r\na=rtcp:4001\r\na=sendrecv\r\n";
    let mut message = SipText::parse(text.as_bytes()).expect("a message");
    assert_eq!(message.audio(), Some(("192.0.2.1".to_owned(), 4000)));
    message.set_audio("127.0.0.1", 6000);
    let again = SipText::parse(&message.to_bytes()).expect("a message");
    assert_eq!(again.body, "v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio 6000 RTP/AVP 0 8\r\na=sendrecv\r\n");
    assert_eq!(again.header("content-length"), Some(again.body.len().to_string().as_str()));
    assert_eq!(SipText::parse(b"\r\n\r\n\0"), Some(SipText { lines: vec![String::new()], body: "\0".to_owned() }));
    assert_eq!(SipText::parse(b"\r\n"), None);
}

fn relay(_: &Case) {
    let bind = || UdpSocket::bind("127.0.0.1:0").expect("loopback");
    let (phone, server, phone_media, server_media) = (bind(), bind(), bind(), bind());
    for socket in [&phone, &server, &phone_media, &server_media] {
        socket.set_read_timeout(Some(Duration::from_secs(2))).expect("time-out");
    }
    let relay = Relay::start(server.local_addr().expect("bound"), 8000);
    let port = |socket: &UdpSocket| socket.local_addr().expect("bound").port();
    let sdp = |socket| format!("v=0\r\nc=IN IP4 127.0.0.1\r\nm=audio {} RTP/AVP 0\r\n", port(socket));
    let mut buffer = [0; 2000];
    let mut through = |from: &UdpSocket, to, over: &UdpSocket, text: String| {
        from.send_to(text.as_bytes(), to).expect("sent");
        let (length, source) = over.recv_from(&mut buffer).expect("arrives");
        (SipText::parse(&buffer[..length]).expect("a message"), source)
    };
    let offer = format!("INVITE sip:a@b SIP/2.0\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\r\n{}", sdp(&phone_media));
    let (invite, back) = through(&phone, relay.address(), &server, offer);
    let address = server.local_addr().expect("bound");
    let answer = format!(
        "SIP/2.0 200 OK\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\nContact: <sip:{address}>\r\n\r\n{}",
        sdp(&server_media)
    );
    let (ok, _) = through(&server, back, &phone, answer);
    assert_eq!(ok.header("Contact"), Some(format!("<sip:{}>", relay.address()).as_str()));
    let ports = relay.media()[0];
    assert_eq!((invite.audio().map(|a| a.1), ok.audio().map(|a| a.1)), (Some(ports.far), Some(ports.near)));

    relay.impair(
        Way::ToServer,
        Impairment { loss: 0.3, delay: Duration::from_millis(40), seed: 5, ..Impairment::default() },
    );
    let start = Instant::now();
    for sequence in 0..100_u16 {
        let mut packet = [0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 0xff];
        packet[2..4].copy_from_slice(&sequence.to_be_bytes());
        phone_media.send_to(&packet, ("127.0.0.1", ports.near)).expect("sent");
    }
    server_media.set_read_timeout(Some(Duration::from_millis(300))).expect("time-out");
    let mut arrived = 0;
    while server_media.recv_from(&mut buffer).is_ok() {
        arrived += 1;
        assert!(arrived > 1 || start.elapsed() >= Duration::from_millis(40));
    }
    let truth = relay.truth(Way::ToServer);
    assert_eq!((truth.packets, truth.packets - truth.lost), (100, arrived));
    assert!((20..40).contains(&truth.lost), "{truth:?}");
    assert_eq!(relay.truth(Way::ToPhone).packets, 0);
}
