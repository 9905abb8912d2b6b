//! DTLS-SRTP: what descriptions agree on, and two engines that shake hands and talk, with all that strangers may do.
use crate::descriptions::{local, negotiator, profile};
use crate::engines::World;
use crate::{SECOND, rtcp, rtp};
use offhook::media::dtls::association::{Failure, Role};
use offhook::media::dtls::certificate::Certificate;
use offhook::media::dtls::fingerprint::{Fingerprint, Hash};
use offhook::media::event::MediaEvent;
use offhook::media::session::Component;
use offhook::media::spec::{Direction, DtlsSpec, Keying};
use offhook::media::srtp::sdes::Policy::{self, Off, Preferred, Required};
use offhook::media::srtp::sdes::Suite;
use offhook::sdp::{LocalMedia, Negotiator};
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// Of two phones and of a third.
static CERTIFICATES: LazyLock<[Arc<Certificate>; 3]> =
    LazyLock::new(|| std::array::from_fn(|_| Arc::new(Certificate::generate().expect("random"))));

// --- Descriptions

fn with(policy: Policy, sdes: bool, certificate: usize) -> LocalMedia {
    LocalMedia { sdes, certificate: Some(Arc::clone(&CERTIFICATES[certificate])), ..local(policy) }
}

fn dtls(keying: Option<Keying>) -> DtlsSpec {
    match keying {
        Some(Keying::Dtls(dtls)) => dtls,
        other => panic!("{other:?}"),
    }
}

fn lines<'a>(description: &'a str, name: &str) -> Vec<&'a str> {
    description.lines().filter_map(|line| line.strip_prefix(&format!("a={name}:"))).collect()
}

fn fingerprint(n: usize) -> String {
    format!("fingerprint:{}", CERTIFICATES[n].fingerprint())
}

/// A peer's description with these attributes below its audio.
fn audio(profile: &str, port: u16, attributes: &[&str]) -> String {
    let lines: String = attributes.iter().map(|line| format!("a={line}\r\n")).collect();
    format!(
        "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\nm=audio {port} {profile} 0\r\n{lines}"
    )
}

const CRYPTO: &str = "crypto:3 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz";

#[test]
fn offers_that_are_answered() {
    let print = fingerprint(1);
    let print = print.as_str();
    let weak = "fingerprint:sha-1 AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB:AB";
    // Policy, whether SDES may be, profile, attributes; the refusal, or what is answered: the role, or SDES, or nothing.
    type Row<'a> = (Policy, bool, &'a str, Vec<&'a str>, Result<&'a str, &'a str>);
    let rows: [Row<'_>; 25] = [
        (Off, true, "UDP/TLS/RTP/SAVP", vec![print, "setup:actpass"], Err("insists on encrypted media")),
        (Required, true, "UDP/TLS/RTP/SAVP", vec!["setup:actpass"], Err("it gives no fingerprint")),
        (Required, true, "UDP/TLS/RTP/SAVP", vec![weak, "setup:actpass"], Err("its hash `sha-1` is not supported")),
        (Required, true, "UDP/TLS/RTP/SAVP", vec!["fingerprint:sha-256 AB", "setup:actpass"], Err("hexadecimal")),
        (Required, true, "UDP/TLS/RTP/SAVP", vec![print, "setup:holdconn"], Err("does not want to connect")),
        (Preferred, true, "UDP/TLS/RTP/SAVP", vec![CRYPTO], Err("it gives no fingerprint")),
        (Required, false, "RTP/SAVP", vec![CRYPTO], Err("through the servers")),
        (Preferred, false, "RTP/SAVP", vec![CRYPTO], Err("through the servers")),
        (Required, false, "RTP/AVP", vec![CRYPTO], Err("no encrypted media")),
        (Required, true, "RTP/AVP", vec![], Err("no encrypted media")),
        (Required, false, "RTP/AVP", vec![weak, "setup:actpass"], Err("its hash")),
        (Off, true, "RTP/AVP", vec![print, "setup:actpass"], Ok("")),
        (Preferred, false, "RTP/AVP", vec![CRYPTO], Ok("")),
        (Preferred, true, "RTP/AVP", vec![weak, "setup:actpass"], Ok("")),
        (Preferred, true, "RTP/SAVP", vec![weak, "setup:actpass", CRYPTO], Ok("sdes")),
        (Preferred, true, "RTP/AVP", vec![CRYPTO], Ok("sdes")),
        (Preferred, true, "RTP/AVP", vec![CRYPTO, print, "setup:actpass"], Ok("active")),
        (Required, true, "RTP/SAVP", vec![CRYPTO, print, "setup:actpass"], Ok("active")),
        (Required, false, "RTP/SAVPF", vec![print, "setup:actpass"], Ok("active")),
        (Required, false, "UDP/TLS/RTP/SAVPF", vec![print, "setup:actpass", "tls-id:abc", weak], Ok("active")),
        (Required, true, "UDP/TLS/RTP/SAVP", vec![print, "setup:actpass", "connection:new"], Ok("active")),
        (Required, true, "UDP/TLS/RTP/SAVP", vec![print, "setup:passive"], Ok("active")),
        (Required, true, "UDP/TLS/RTP/SAVP", vec![print, "setup:active"], Ok("passive")),
        (Required, true, "UDP/TLS/RTP/SAVP", vec![print, "setup:nonsense"], Ok("passive")),
        (Preferred, false, "RTP/AVP", vec![print, "setup:active"], Ok("passive")),
    ];
    for (policy, sdes, offered, attributes, expected) in rows {
        let what = format!("{policy:?} {sdes} {offered} {attributes:?}");
        match (negotiator(1).answer(audio(offered, 4000, &attributes).as_bytes(), &with(policy, sdes, 0)), expected) {
            (Err(error), Err(words)) => {
                assert!(error.to_string().contains(words), "{what}: {error}");
                assert_eq!(error.status(), 488);
            }
            (Ok((answer, negotiated)), Ok(expected)) => {
                assert_eq!(profile(&answer), offered, "{what}: in kind");
                let (setup, crypto) = (lines(&answer, "setup"), lines(&answer, "crypto"));
                let is_dtls = matches!(expected, "active" | "passive");
                assert_eq!(setup, if is_dtls { vec![expected] } else { vec![] }, "{what}");
                assert_eq!(crypto.len(), usize::from(expected == "sdes"), "{what}");
                assert_eq!(lines(&answer, "fingerprint").len(), usize::from(is_dtls), "{what}");
                let named = attributes.iter().any(|a| a.starts_with("tls-id"));
                assert_eq!(lines(&answer, "tls-id").len(), usize::from(named), "{what}");
                match (negotiated.expect("a stream").srtp, expected) {
                    (None, "") | (Some(Keying::Sdes(_)), "sdes") => {}
                    (Some(Keying::Dtls(spec)), setup) => {
                        assert_eq!(spec.role, if setup == "active" { Role::Client } else { Role::Server }, "{what}");
                        assert_eq!(*spec.told, [CERTIFICATES[1].fingerprint().clone()], "{what}");
                    }
                    (got, _) => panic!("{what}: {got:?}"),
                }
            }
            (got, _) => panic!("{what}: {got:?}"),
        }
    }
}

#[test]
fn our_offers_and_what_may_answer_them() {
    let print = fingerprint(1);
    let print = print.as_str();
    // Policy, whether SDES may be, the profile of our offer, crypto lines in it.
    for (policy, sdes, offered, cryptos) in [
        (Preferred, true, "RTP/AVP", 2),
        (Preferred, false, "RTP/AVP", 0),
        (Required, true, "RTP/SAVP", 2),
        (Required, false, "UDP/TLS/RTP/SAVP", 0),
    ] {
        let local = with(policy, sdes, 0);
        let offer = negotiator(1).offer(&local).unwrap();
        let what = format!("{policy:?} {sdes}");
        assert_eq!((profile(&offer), lines(&offer, "crypto").len()), (offered, cryptos), "{what}");
        assert_eq!(lines(&offer, "setup"), ["actpass"]);
        assert_eq!(lines(&offer, "fingerprint"), [CERTIFICATES[0].fingerprint().to_string()]);
        assert!(lines(&offer, "tls-id").iter().all(|id| id.len() >= 20) && lines(&offer, "tls-id").len() == 1);
        let nothing = match policy {
            Required => Err("no encrypted media"),
            Preferred | Off => Ok(None),
        };
        let keys = if sdes { Ok(None) } else { Err("through the servers") };
        let second = CRYPTO.replace(":3", ":2");
        type Row<'a> = (&'a str, Vec<&'a str>, Result<Option<Role>, &'a str>);
        let crossed = if policy == Required { "RTP/AVP" } else { "UDP/TLS/RTP/SAVP" };
        let rows: [Row<'_>; 9] = [
            (offered, vec![], nothing),
            (crossed, vec![print, "setup:active"], Err("encrypted media")),
            (offered, vec![print, "setup:actpass"], Err("leaves open who begins")),
            (offered, vec![print, "setup:holdconn"], Err("does not want to connect")),
            (offered, vec!["fingerprint:sha-256 00", "setup:active"], Err("hexadecimal")),
            (offered, vec![&second], keys),
            (offered, vec![print, "setup:active"], Ok(Some(Role::Server))),
            (offered, vec![print, "setup:passive"], Ok(Some(Role::Client))),
            (offered, vec![print, "setup:active", &second], Ok(Some(Role::Server))),
        ];
        for (answered, attributes, expected) in rows {
            let what = format!("{what}: {answered} {attributes:?}");
            let mut side = negotiator(1);
            side.offer(&local).unwrap();
            match (side.handle_answer(audio(answered, 4000, &attributes).as_bytes()), expected) {
                (Ok(negotiated), Ok(None)) => assert!(!matches!(negotiated.srtp, Some(Keying::Dtls(_))), "{what}"),
                (Ok(negotiated), Ok(Some(role))) => assert_eq!(dtls(negotiated.srtp).role, role, "{what}"),
                (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{what}: {error}"),
                (got, _) => panic!("{what}: {got:?}"),
            }
        }
    }
}

/// RFC 8842: an association lives as long as nothing it is made of changes.
#[test]
fn the_life_of_associations() {
    let exchange = |from: &mut Negotiator, to: &mut Negotiator, direction: Direction, ends: [usize; 2]| {
        let offer = from.offer(&LocalMedia { direction, ..with(Required, false, ends[0]) }).unwrap();
        let (answer, there) = to.answer(offer.as_bytes(), &with(Required, false, ends[1])).unwrap();
        let here = from.handle_answer(answer.as_bytes()).unwrap();
        (dtls(here.srtp), dtls(there.unwrap().srtp), answer)
    };
    let (mut ours, mut theirs) = (negotiator(1), negotiator(2));
    let (first, mirrored, answer) = exchange(&mut ours, &mut theirs, Direction::SendRecv, [0, 1]);
    assert_eq!((first.role, mirrored.role), (Role::Server, Role::Client));
    let (held, ..) = exchange(&mut ours, &mut theirs, Direction::SendOnly, [0, 1]);
    assert_eq!(held, first, "a hold is no reason for another handshake");
    let (resumed, again, second) = exchange(&mut theirs, &mut ours, Direction::SendRecv, [1, 0]);
    assert_eq!((&resumed, &again), (&mirrored, &first), "nor is who offers: parts are kept");
    assert_eq!(lines(&second, "setup"), ["passive"]);
    assert_ne!(lines(&second, "tls-id"), lines(&answer, "tls-id"), "each side has a name of its own");
    // Another phone takes over the session.
    let (_, other, third) = exchange(&mut negotiator(3), &mut ours, Direction::SendRecv, [2, 0]);
    assert_eq!((other.association, other.told.to_vec()), (2, vec![CERTIFICATES[2].fingerprint().clone()]));
    assert_ne!(lines(&third, "tls-id"), lines(&second, "tls-id"));

    // A peer that does not name its associations.
    let (one, two) = (fingerprint(1), fingerprint(2));
    let offers: [(&str, u16, Vec<&str>, u32); 7] = [
        ("the first", 4000, vec![&one, "setup:actpass"], 1),
        ("the same again", 4000, vec![&one, "setup:actpass"], 1),
        ("another fingerprint", 4000, vec![&two, "setup:actpass"], 2),
        ("another line of it", 4000, vec![&two, &one, "setup:actpass"], 3),
        ("another address", 4002, vec![&two, &one, "setup:actpass"], 4),
        ("another part", 4002, vec![&two, &one, "setup:active"], 5),
        ("it begins to name them", 4002, vec![&two, &one, "setup:active", "tls-id:0123456789abcdefghijkl"], 6),
    ];
    let mut side = negotiator(4);
    for (what, port, attributes, association) in offers {
        let offer = audio("UDP/TLS/RTP/SAVP", port, &attributes);
        let (_, negotiated) = side.answer(offer.as_bytes(), &with(Required, true, 0)).unwrap();
        assert_eq!(dtls(negotiated.unwrap().srtp).association, association, "{what}");
    }
    // Where names are given, the address may change.
    let moved = audio("UDP/TLS/RTP/SAVP", 4010, &[&two, &one, "setup:active", "tls-id:0123456789abcdefghijkl"]);
    let (_, negotiated) = side.answer(moved.as_bytes(), &with(Required, true, 0)).unwrap();
    assert_eq!(dtls(negotiated.unwrap().srtp).association, 6);
    // Clear media in between ends it.
    side.answer(audio("RTP/AVP", 4010, &[]).as_bytes(), &with(Preferred, true, 0)).unwrap();
    let (_, negotiated) = side.answer(moved.as_bytes(), &with(Required, true, 0)).unwrap();
    assert_eq!(dtls(negotiated.unwrap().srtp).association, 7);
}

// --- Engines

fn spec(own: usize, role: Role, peer: usize) -> Option<Keying> {
    let told = [CERTIFICATES[peer].fingerprint().clone()].into();
    Some(Keying::Dtls(DtlsSpec { certificate: Arc::clone(&CERTIFICATES[own]), role, told, association: 1 }))
}

/// The first is the server, as who offers usually is.
fn world(rtcp_mux: bool) -> World {
    let mut world = World::with([spec(0, Role::Server, 1), spec(1, Role::Client, 0)]);
    for side in &mut world.sides {
        side.spec.rtcp_mux = rtcp_mux;
        if rtcp_mux {
            side.spec.remote_rtcp = side.spec.remote_rtp;
        }
    }
    world
}

fn configured(rtcp_mux: bool) -> World {
    let mut world = world(rtcp_mux);
    world.configure(0);
    world.configure(1);
    world
}

fn secured(world: &World, n: usize) -> Vec<Suite> {
    let suite = |event: &MediaEvent| if let MediaEvent::Secured { suite, .. } = event { Some(*suite) } else { None };
    world.sides[n].events.iter().filter_map(suite).collect()
}

fn unsecured(world: &World, n: usize) -> Vec<&Failure> {
    fn cause(event: &MediaEvent) -> Option<&Failure> {
        if let MediaEvent::Unsecured { cause, .. } = event { Some(cause) } else { None }
    }
    world.sides[n].events.iter().filter_map(cause).collect()
}

fn is_dtls(bytes: &[u8]) -> bool {
    matches!(bytes, [20..=63, ..])
}

#[test]
fn two_phones_shake_hands_and_talk() {
    for rtcp_mux in [false, true] {
        let mut world = configured(rtcp_mux);
        world.run(8 * SECOND);
        assert!(world.hears(0) && world.hears(1), "{rtcp_mux}");
        for n in 0..2 {
            assert_eq!(secured(&world, n), [Suite::AeadAes256Gcm]);
            let (receive, sent) = (&world.report(n).receive, &world.sides[n].sent);
            assert_eq!((receive.forged, receive.foreign, receive.malformed, receive.lost), (0, 0, 0, 0), "{receive:?}");
            assert!(world.report(n).remote.is_some(), "reports come through, too");
            let handshakes = sent.iter().filter(|d| is_dtls(&d.bytes));
            assert_eq!(handshakes.count(), if rtcp_mux { 3 } else { 6 }, "one for RTP, one for RTCP");
            assert!(sent.iter().all(|d| is_dtls(&d.bytes) || d.bytes.len() != 172), "no clear sound");
            let reports = sent.iter().filter(|d| matches!(d.bytes[..2], [_, 192..=223])).collect::<Vec<_>>();
            assert!(!reports.is_empty() && reports.iter().all(|d| d.bytes.len() > 60));
        }
    }
}

/// Losses take the time of their repetition, no more; sound that overtakes the last flight is not lost.
#[test]
fn handshakes_over_bad_networks() {
    let mut world = configured(true);
    world.network = |_, count, datagram| if count % 3 == 1 { vec![] } else { vec![datagram] };
    world.run(10 * SECOND);
    assert_eq!((secured(&world, 0).len(), secured(&world, 1).len()), (1, 1));
    assert!(world.report(0).receive.packets > 100 && world.report(1).receive.packets > 100);
}

/// The answer and our hello race each other: a hello that comes first is not lost.
#[test]
fn a_hello_before_the_answer() {
    let mut world = world(true);
    world.configure(1);
    world.run(SECOND / 10);
    assert!(secured(&world, 0).is_empty() && world.sides[0].sent.is_empty());
    world.configure(0);
    world.run(SECOND / 20);
    assert_eq!(
        (secured(&world, 0).len(), secured(&world, 1).len()),
        (1, 1),
        "without a repetition, which takes longer"
    );
}

#[test]
fn a_wrong_certificate_ends_it_before_anything_is_heard() {
    for (wrong, right) in [(0, 1), (1, 0)] {
        let mut world = world(true);
        let other = Fingerprint::of(Hash::Sha256, b"of somebody else");
        if let Some(Keying::Dtls(dtls)) = &mut world.sides[wrong].spec.srtp {
            dtls.told = [other].into();
        }
        world.configure(0);
        world.configure(1);
        world.run(31 * SECOND);
        assert_eq!(unsecured(&world, wrong), [&Failure::Impostor]);
        assert!(matches!(unsecured(&world, right)[..], [Failure::Alert(_) | Failure::Timeout]));
        for n in 0..2 {
            assert!(secured(&world, n).is_empty() && world.sides[n].heard.iter().all(|sample| *sample == 0.0));
            assert!(world.sides[n].sent.iter().all(|d| is_dtls(&d.bytes)), "nothing else was ever sent");
            assert_eq!(world.report(n).receive.packets, 0);
        }
    }
}

#[test]
fn strangers_and_forgers_change_nothing() {
    let alert = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 99, 0, 2, 2, 40];
    let stranger: SocketAddr = "203.0.113.9:5000".parse().unwrap();
    // While hands are shaken: the hello, alert and sound of a stranger.
    let mut world = configured(true);
    let mut elsewhere = configured(true);
    elsewhere.run(Duration::from_millis(10));
    let hello = elsewhere.sides[1].sent[0].bytes.clone();
    for _ in 0..1_000 {
        for bytes in [hello.as_slice(), &alert, &rtp(9, 1), &rtcp(9)] {
            world.give(0, Component::Rtp, stranger, bytes);
        }
    }
    world.run(4 * SECOND);
    assert!(world.hears(0) && world.hears(1));
    assert!(world.sides[0].sent.iter().all(|d| d.destination == world.sides[1].address), "no answer to a stranger");
    assert!(world.report(0).receive.foreign >= 2_000, "{:?}", world.report(0).receive);
    assert!(world.report(0).receive.forged >= 1_900, "{:?}", world.report(0).receive);

    // During the call: from the peer's own address, too.
    let peer = world.sides[1].address;
    let genuine =
        world.sides[1].sent.iter().rfind(|d| !is_dtls(&d.bytes) && d.bytes.len() > 160).unwrap().bytes.clone();
    let before = world.report(0).receive.clone();
    let mut forged = genuine.clone();
    forged[40] ^= 1;
    let sent = world.sides[0].sent.len();
    for source in [stranger, peer] {
        for bytes in [hello.as_slice(), &alert, &forged, &genuine, &rtp(9, 1), &rtcp(9)] {
            world.give(0, Component::Rtp, source, bytes);
        }
    }
    world.run(2 * SECOND);
    let after = &world.report(0).receive;
    assert!(world.hears(0) && world.hears(1) && unsecured(&world, 0).is_empty());
    // What repeats an index is not looked at any further, authentic or not.
    assert_eq!((after.forged - before.forged, after.replayed - before.replayed), (4, 4), "clear ones among them");
    assert_eq!((after.source, after.ssrc, after.foreign - before.foreign), (Some(peer), before.ssrc, 2));
    let handshakes = world.sides[0].sent[sent..].iter().filter(|d| is_dtls(&d.bytes));
    assert!(handshakes.count() <= 3, "nothing is negotiated anew: at most the last flight is repeated");
}

/// Some peers shake hands anew after each offer/answer, though nothing has changed: the old keys serve until the new ones
/// are there, and who cannot prove itself changes nothing.
#[test]
fn a_peer_that_begins_again_after_an_offer() {
    let mut world = configured(true);
    world.run(2 * SECOND);
    let (peer, sent) = (world.sides[1].address, world.sides[1].sent.len());
    let mut forged = configured(true);
    forged.run(Duration::from_millis(10));
    let hello = forged.sides[1].sent[0].bytes.clone();
    world.sides[0].spec.generation += 1;
    world.configure(0);
    // A hello that nothing follows, and in its time another client's.
    world.give(0, Component::Rtp, peer, &hello);
    world.run(SECOND);
    assert!(world.hears(0) && world.hears(1));
    world.run(31 * SECOND);
    assert!(world.hears(0) && world.hears(1) && unsecured(&world, 0).is_empty());
    assert!(world.sides[1].sent[sent..].iter().all(|d| !is_dtls(&d.bytes)));
    // The peer begins again: another association, the same certificates.
    if let Some(Keying::Dtls(dtls)) = &mut world.sides[1].spec.srtp {
        dtls.association += 1;
    }
    world.configure(1);
    world.run(2 * SECOND);
    assert!(world.hears(0) && world.hears(1));
    assert_eq!((secured(&world, 0).len(), secured(&world, 1).len()), (2, 2));
    // Without an offer there is no leave for a fifth.
    for _ in 0..4 {
        if let Some(Keying::Dtls(dtls)) = &mut world.sides[1].spec.srtp {
            dtls.association += 1;
        }
        world.configure(1);
        world.run(3 * SECOND);
    }
    assert_eq!(secured(&world, 0).len(), 4, "of four that were allowed one was wasted");
    assert!(unsecured(&world, 0).is_empty());
}

/// A flood from the peer's own address costs a bounded number of answers; the call that shakes hands fails in words.
#[test]
fn a_flood_of_hellos() {
    let mut world = world(true);
    world.network = |_, _, _| vec![];
    world.configure(0);
    let mut elsewhere = configured(true);
    elsewhere.run(Duration::from_millis(10));
    let hello = elsewhere.sides[1].sent[0].bytes.clone();
    let peer = world.sides[1].address;
    for _ in 0..100_000 {
        world.give(0, Component::Rtp, peer, &hello);
    }
    world.run(SECOND / 10);
    assert_eq!(unsecured(&world, 0), [&Failure::Flood]);
    assert!(world.sides[0].sent.len() <= 400, "{}", world.sides[0].sent.len());
}

#[test]
fn a_hold_keeps_the_association_and_another_one_is_made_on_demand() {
    let mut world = configured(false);
    world.run(2 * SECOND);
    for direction in [Direction::SendOnly, Direction::SendRecv] {
        for n in 0..2 {
            let mirrored = if n == 1 && direction == Direction::SendOnly { Direction::RecvOnly } else { direction };
            world.sides[n].spec.direction = mirrored;
            world.sides[n].spec.generation += 1;
            world.configure(n);
        }
        world.run(2 * SECOND);
    }
    assert!(world.hears(0) && world.hears(1));
    assert_eq!((secured(&world, 0).len(), secured(&world, 1).len()), (1, 1));
    let handshakes = |world: &World| world.sides[0].sent.iter().filter(|d| is_dtls(&d.bytes)).count();
    let before = handshakes(&world);
    for n in 0..2 {
        world.sides[n].spec.generation += 1;
        if let Some(Keying::Dtls(dtls)) = &mut world.sides[n].spec.srtp {
            dtls.association += 1;
        }
        world.configure(n);
    }
    world.run(2 * SECOND);
    assert!(world.hears(0) && world.hears(1));
    assert_eq!((secured(&world, 0).len(), secured(&world, 1).len()), (2, 2));
    assert_eq!(handshakes(&world), 2 * before);
    assert!(world.report(0).receive.forged + world.report(1).receive.forged < 5);
}
