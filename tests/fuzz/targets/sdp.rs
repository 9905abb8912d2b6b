//! Any description: it is read, answered and written again by the laws of RFC 3264 and RFC 8866.
#![no_main]
use libfuzzer_sys::fuzz_target;
use offhook::base::rng::Rng;
use offhook::base::untrusted::Untrusted;
use offhook::media::spec::{Codec, Direction, OpusParameters, Profile};
use offhook::media::srtp::sdes::Policy;
use offhook::sdp::{LocalMedia, Negotiator, Session};
use std::time::Duration;

fn local(mux: bool) -> LocalMedia {
    LocalMedia {
        address: "192.0.2.10".parse().expect("an address"),
        rtp_port: 40_000,
        rtcp_port: 40_001,
        codecs: vec![Codec::Opus, Codec::Pcmu, Codec::Pcma],
        opus: OpusParameters { use_inband_fec: true, ..OpusParameters::default() },
        events: true,
        ptime: Duration::from_millis(20),
        direction: Direction::SendRecv,
        rtcp_mux: mux,
        profile: Profile::Both,
        ice: None,
        srtp: Policy::Off,
        sdes: true,
        certificate: None,
    }
}

/// Without the texts for people, which are written only as far as they may be shown.
fn bare(mut session: Session) -> Session {
    (session.name, session.information) = (Untrusted::new("-"), Untrusted::default());
    session.media.iter_mut().for_each(|line| line.information = Untrusted::default());
    session
}

fuzz_target!(|data: &[u8]| {
    if let Ok(session) = Session::parse(data) {
        let _ = session.to_string();
        let session = bare(session);
        let written = session.to_string();
        let again = Session::parse(written.as_bytes()).unwrap_or_else(|e| panic!("{e}: {written}"));
        assert_eq!(again, session);
        assert_eq!(again.to_string(), written);
    }
    let local = local(data.len() % 2 == 0);
    let mut ours = Negotiator::new(&mut Rng::from_u64(1));
    if let Ok((answer, negotiated)) = ours.answer(data, &local) {
        let offer = Session::parse(data).expect("it was answered");
        let answer = Session::parse(answer.as_bytes()).unwrap_or_else(|e| panic!("{e}: {answer}"));
        assert_eq!(offer.media.len(), answer.media.len());
        assert_eq!(answer.media.iter().filter(|line| line.port != 0).count(), usize::from(negotiated.is_some()));
        for (theirs, ours) in offer.media.iter().zip(&answer.media) {
            assert_eq!((&theirs.kind, &theirs.protocol), (&ours.kind, &ours.protocol));
            assert!(ours.formats.iter().all(|f| theirs.formats.contains(f)) || theirs.formats.is_empty());
            assert!(!ours.formats.is_empty());
        }
        // The same once more changes nothing, and an offer of ours keeps every line.
        assert!(ours.answer(data, &local).is_ok());
        let again = ours.offer(&local).expect("an offer");
        assert!(Session::parse(again.as_bytes()).expect("our offer").media.len() >= answer.media.len());
        let _ = ours.handle_answer(data);
    }
    // As the answer to an offer of ours.
    let mut ours = Negotiator::new(&mut Rng::from_u64(2));
    ours.offer(&local).expect("an offer");
    if let Ok(negotiated) = ours.handle_answer(data) {
        assert!(local.codecs.contains(&negotiated.send.codec));
        assert!(!negotiated.direction.sends() || !negotiated.remote_rtp.ip().is_unspecified());
        assert!(!negotiated.remote_rtp.ip().is_multicast());
    } else {
        assert!(ours.is_offer_pending());
        ours.withdraw();
    }
});
