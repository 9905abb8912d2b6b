//! Descriptions with keys in them: offers, answers, and how long keys live (RFC 4568).
use offhook::base::rng::Rng;
use offhook::media::spec::{Codec, Direction, Keying, OpusParameters, Profile};
use offhook::media::srtp::sdes::{Keys, Policy};
use offhook::sdp::{LocalMedia, Negotiator};
use std::time::Duration;

pub fn local(srtp: Policy) -> LocalMedia {
    LocalMedia {
        address: "192.0.2.10".parse().unwrap(),
        rtp_port: 40_000,
        rtcp_port: 40_001,
        codecs: vec![Codec::Pcmu],
        opus: OpusParameters::default(),
        events: false,
        ptime: Duration::from_millis(20),
        direction: Direction::SendRecv,
        rtcp_mux: false,
        profile: Profile::Auto,
        ice: None,
        srtp,
        sdes: true,
        certificate: None,
    }
}

fn sdes(keying: Option<Keying>) -> Keys {
    match keying {
        Some(Keying::Sdes(keys)) => keys,
        other => panic!("{other:?}"),
    }
}

pub fn negotiator(seed: u64) -> Negotiator {
    Negotiator::new(&mut Rng::from_u64(seed))
}

/// A description of a peer with these lines below its audio.
fn audio(profile: &str, lines: &[String]) -> String {
    let lines: String = lines.iter().map(|line| format!("a=crypto:{line}\r\n")).collect();
    format!(
        "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\nm=audio 4000 {profile} 0\r\n{lines}"
    )
}

const AES_128: &str = "AES_CM_128_HMAC_SHA1_80";
const KEYS: [&str; 2] = ["WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz", "NzB4d1BINUAvLEw6UzF3WSJ+PSdFcGdUJShpX1Zj"];

fn crypto(tag: u32, suite: &str, key: usize) -> String {
    format!("{tag} {suite} inline:{}", KEYS[key])
}

fn crypto_lines(description: &str) -> Vec<&str> {
    description.lines().filter_map(|line| line.strip_prefix("a=crypto:")).collect()
}

pub fn profile(description: &str) -> &str {
    description.lines().find(|line| line.starts_with("m=audio")).and_then(|line| line.split(' ').nth(2)).unwrap()
}

#[test]
fn offers_that_are_answered() {
    use Policy::{Off, Preferred, Required};
    let good = || vec![crypto(3, AES_128, 0)];
    let broken = || vec![format!("1 {AES_128} inline:short"), format!("2 {AES_128} inline:{} KDR=1", KEYS[0])];
    let many = || [broken(), vec![crypto(9, "AES_CM_128_HMAC_SHA1_32", 1), crypto(10, AES_128, 0)]].concat();
    // Policy, profile, lines; the refusal, or the profile and beginning of the crypto line of the answer.
    type Row = (Policy, &'static str, Vec<String>, Result<(&'static str, &'static str), &'static str>);
    let rows: [Row; 17] = [
        (Off, "RTP/SAVP", good(), Err("insists on encrypted media")),
        (Required, "RTP/AVP", vec![], Err("no encrypted media")),
        (Required, "RTP/AVP", broken(), Err("no crypto line of the offer can be used: its key is not base64")),
        (Required, "RTP/SAVP", vec![], Err("can be used: there is none")),
        (Preferred, "RTP/SAVP", vec![], Err("can be used: there is none")),
        (Preferred, "RTP/SAVPF", broken(), Err("its key is not base64")),
        (Preferred, "RTP/SAVP", vec![format!("1 {AES_128} inline:{}|1:4", KEYS[0])], Err("master key identifier")),
        (Required, "UDP/TLS/RTP/SAVP", good(), Err("by DTLS only")),
        (Off, "RTP/AVP", good(), Ok(("RTP/AVP", ""))),
        (Preferred, "RTP/AVP", vec![], Ok(("RTP/AVP", ""))),
        (Preferred, "RTP/AVP", broken(), Ok(("RTP/AVP", ""))),
        (Preferred, "RTP/AVP", good(), Ok(("RTP/AVP", "3 AES_CM_128_HMAC_SHA1_80 inline:"))),
        (Preferred, "RTP/SAVP", good(), Ok(("RTP/SAVP", "3 AES_CM_128_HMAC_SHA1_80 inline:"))),
        (Required, "RTP/AVP", good(), Ok(("RTP/AVP", "3 AES_CM_128_HMAC_SHA1_80 inline:"))),
        (Required, "RTP/SAVP", good(), Ok(("RTP/SAVP", "3 AES_CM_128_HMAC_SHA1_80 inline:"))),
        (Required, "RTP/SAVPF", many(), Ok(("RTP/SAVPF", "9 AES_CM_128_HMAC_SHA1_32 inline:"))),
        (Preferred, "RTP/AVPF", many(), Ok(("RTP/AVPF", "9 AES_CM_128_HMAC_SHA1_32 inline:"))),
    ];
    for (policy, offered, lines, expected) in rows {
        let what = format!("{policy:?} {offered} {lines:?}");
        match (negotiator(1).answer(audio(offered, &lines).as_bytes(), &local(policy)), expected) {
            (Err(error), Err(words)) => {
                assert!(error.to_string().contains(words), "{what}: {error}");
                assert_eq!(error.status(), 488);
            }
            (Ok((answer, negotiated)), Ok((answered, line))) => {
                let (lines, keys) = (crypto_lines(&answer), negotiated.expect("a stream").srtp);
                assert_eq!((profile(&answer), lines.len()), (answered, usize::from(!line.is_empty())), "{what}");
                assert_eq!(keys.is_some(), !line.is_empty(), "{what}");
                assert!(
                    lines.iter().all(|l| l.starts_with(line)) && !KEYS.iter().any(|k| answer.contains(k)),
                    "{what}"
                );
            }
            (got, _) => panic!("{what}: {got:?}"),
        }
    }
}

#[test]
fn answers_to_our_offers() {
    use Policy::{Off, Preferred, Required};
    let suites = ["AEAD_AES_256_GCM", "AEAD_AES_128_GCM", AES_128];
    for policy in [Off, Preferred, Required] {
        let offer = negotiator(1).offer(&local(policy)).unwrap();
        let lines = crypto_lines(&offer);
        let offered: Vec<&str> = lines.iter().map(|line| line.split(' ').nth(1).unwrap()).collect();
        assert_eq!(profile(&offer), if policy == Required { "RTP/SAVP" } else { "RTP/AVP" });
        assert_eq!(offered, if policy == Off { vec![] } else { suites.to_vec() }, "{policy:?}");
        let (secure, ours) = (policy == Required, lines.last().map(|line| line.to_string()));
        let own = if secure { "RTP/SAVP" } else { "RTP/AVP" };
        let right = || vec![crypto(3, AES_128, 0)];
        let rows: [(&str, Vec<String>, Result<bool, &str>); 10] = [
            (own, vec![crypto(4, AES_128, 0)], Err("its tag was not offered")),
            (own, vec![crypto(3, "AES_CM_128_HMAC_SHA1_32", 0)], Err("it changes the suite")),
            (own, vec![crypto(2, AES_128, 0)], Err("it changes the suite")),
            (own, [right(), right()].concat(), Err("several crypto lines")),
            (own, ours.into_iter().collect(), Err("it repeats our key")),
            (own, vec![format!("3 {AES_128} inline:{} UNENCRYPTED_SRTP", KEYS[0])], Err("leave packets unencrypted")),
            (own, vec![format!("3 {AES_128} inline:AAAA")], Err("wrong length")),
            (if secure { "RTP/AVP" } else { "RTP/SAVP" }, right(), Err("encrypted media")),
            (own, vec![], if secure { Err("no encrypted media") } else { Ok(false) }),
            (own, right(), Ok(true)),
        ];
        for (profile, lines, expected) in rows {
            let mut side = negotiator(1);
            side.offer(&local(policy)).unwrap();
            let got = side.handle_answer(audio(profile, &lines).as_bytes());
            match (got, expected) {
                // Who has offered nothing reads no crypto lines.
                (Ok(negotiated), _) if policy == Off && profile == own => assert_eq!(negotiated.srtp, None),
                (Ok(negotiated), Ok(runs)) => assert_eq!(negotiated.srtp.is_some(), runs, "{policy:?} {lines:?}"),
                (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{policy:?} {lines:?}: {error}"),
                (got, _) => panic!("{policy:?} {profile} {lines:?}: {got:?}"),
            }
        }
    }
}

/// Keys are new for each call, the same while nothing changes, and new again with a peer whose key is new.
#[test]
fn the_life_of_keys() {
    let (mut ours, mut theirs) = (negotiator(1), negotiator(2));
    let exchange = |from: &mut Negotiator, to: &mut Negotiator, direction: Direction| {
        let hold = LocalMedia { direction, ..local(Policy::Required) };
        let offer = from.offer(&hold).unwrap();
        let (answer, there) = to.answer(offer.as_bytes(), &local(Policy::Required)).unwrap();
        let here = from.handle_answer(answer.as_bytes()).unwrap();
        (sdes(here.srtp), sdes(there.unwrap().srtp), offer)
    };
    let (first, mirrored, offer) = exchange(&mut ours, &mut theirs, Direction::SendRecv);
    assert_eq!((&first.send, &first.receive), (&mirrored.receive, &mirrored.send));
    assert_ne!(first.send, first.receive);
    assert_ne!(crypto_lines(&offer), crypto_lines(&negotiator(5).offer(&local(Policy::Required)).unwrap()));
    let (held, ..) = exchange(&mut ours, &mut theirs, Direction::SendOnly);
    assert_eq!(held, first, "a hold changes no key");
    let (resumed, ..) = exchange(&mut theirs, &mut ours, Direction::SendRecv);
    assert_eq!(Keys { send: resumed.receive, receive: resumed.send, ..resumed }, first, "whoever offers");
    // Another peer takes over the session.
    let (other, _, _) = exchange(&mut negotiator(3), &mut ours, Direction::SendRecv);
    assert_ne!(other.send, first.receive);
    assert_ne!(other.receive, first.send, "it knows nothing of our packets under the old key");
    // Without encryption for a while, keys do not come back.
    let mut best = negotiator(6);
    let prefers = local(Policy::Preferred);
    let before = best.answer(audio("RTP/AVP", &[crypto(1, AES_128, 0)]).as_bytes(), &prefers).unwrap().0;
    best.answer(audio("RTP/AVP", &[]).as_bytes(), &prefers).unwrap();
    let after = best.answer(audio("RTP/AVP", &[crypto(1, AES_128, 0)]).as_bytes(), &prefers).unwrap().0;
    assert_ne!(crypto_lines(&before), crypto_lines(&after));
}

/// In a call as at its beginning, whoever asks, and although the profile of what runs need not say that it is encrypted.
#[test]
fn a_running_call_is_not_led_into_the_open() {
    let required = local(Policy::Required);
    for running in ["RTP/AVP", "RTP/SAVP"] {
        let (mut side, first) = (negotiator(1), audio(running, &[crypto(1, AES_128, 0)]));
        let before = sdes(side.answer(first.as_bytes(), &required).unwrap().1.unwrap().srtp);
        let broken = vec![format!("1 {AES_128} inline:short")];
        for (profile, lines) in [("RTP/AVP", vec![]), ("RTP/AVP", broken.clone()), ("RTP/SAVP", vec![])] {
            let refused = side.answer(audio(profile, &lines).as_bytes(), &required).unwrap_err();
            assert_eq!(refused.status(), 488, "{running} {profile} {lines:?}: {refused}");
        }
        let crossed = if running == "RTP/AVP" { "RTP/SAVP" } else { "RTP/AVP" };
        for (answered, lines) in
            [(running, vec![]), (running, broken), (crossed, vec![]), (crossed, vec![crypto(1, AES_128, 0)])]
        {
            let offer = side.offer(&required).unwrap();
            assert_eq!((profile(&offer), crypto_lines(&offer).is_empty()), (running, false));
            assert!(side.handle_answer(audio(answered, &lines).as_bytes()).is_err(), "{running} {answered} {lines:?}");
            side.withdraw();
        }
        let after = sdes(side.answer(first.as_bytes(), &required).unwrap().1.unwrap().srtp);
        assert_eq!(before, after, "nothing has changed by it");
    }
}

#[test]
fn each_early_dialog_has_its_own_key() {
    let mut base = negotiator(1);
    base.offer(&local(Policy::Required)).unwrap();
    let [first, second] = [0, 1].map(|n| {
        let answer = audio("RTP/SAVP", &[crypto(3, AES_128, n)]);
        sdes(base.clone().handle_answer(answer.as_bytes()).unwrap().srtp)
    });
    assert_eq!(first.send, second.send, "one offer");
    assert_ne!(first.receive, second.receive);
}

#[test]
fn a_thousand_crypto_lines_are_no_burden() {
    let lines: Vec<String> = (1..=1_000).map(|tag| format!("{tag} NONE_SUCH inline:{}", KEYS[0])).collect();
    let mut offer = audio("RTP/SAVP", &lines);
    let refused = negotiator(1).answer(offer.as_bytes(), &local(Policy::Preferred)).unwrap_err();
    assert!(refused.status() == 488 || refused.status() == 400, "{refused}");
    offer.push_str(&format!("a=crypto:{}\r\n", crypto(2_000, AES_128, 0)));
    // Beyond what is looked at.
    assert!(negotiator(1).answer(offer.as_bytes(), &local(Policy::Preferred)).is_err());
    assert!(!format!("{:?}", offhook::sdp::Session::parse(offer.as_bytes())).contains(KEYS[0]), "printed");
}
