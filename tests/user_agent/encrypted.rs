//! Encrypted calls between user agents: who agrees with whom, and what the screen says of it.
use crate::world::{World, account, address, settings};
use crate::{SECOND, summary};
use offhook::base::net::Transport;
use offhook::media::dtls::certificate::Certificate;
use offhook::media::spec::{Keying, MediaCommand};
use offhook::media::srtp::sdes::Suite;
use offhook::ua::command::Command;
use offhook::ua::settings::Agreement;
use offhook::ua::settings::Policy::{self, Off, Preferred, Required};
use offhook::ua::snapshot::CallEnd;
use std::sync::Arc;

fn world(caller: Policy, called: Policy) -> World {
    let phones = [(1, caller), (2, called)].map(|(n, srtp)| {
        let mut account = account(&format!("phone{n}"), address(n), false);
        account.srtp = srtp;
        settings(vec![account])
    });
    let mut world = World::new(phones.into(), 7);
    world.command(0, Command::Call { account: None, target: "phone2@192.0.2.2".to_owned() });
    world.run(SECOND);
    world
}

fn talking(caller: Policy, called: Policy) -> World {
    let mut world = world(caller, called);
    world.command(1, Command::Answer(world.number(1)));
    world.run(SECOND);
    assert!(world.is_established(0) && world.is_established(1), "{caller:?} {called:?}: {:#?}", world.ladder);
    world
}

#[test]
fn every_pair_of_policies() {
    let rows = [
        (Off, Required, None),
        (Required, Off, None),
        (Off, Off, Some(false)),
        (Off, Preferred, Some(false)),
        (Preferred, Off, Some(false)),
        (Preferred, Preferred, Some(true)),
        (Preferred, Required, Some(true)),
        (Required, Preferred, Some(true)),
        (Required, Required, Some(true)),
    ];
    for (caller, called, secured) in rows {
        let Some(secured) = secured else {
            let world = world(caller, called);
            let ended = summary(&world, 0);
            assert_eq!((ended.end, ended.status), (CallEnd::Refused, Some(488)), "{caller:?} {called:?}");
            assert!(world.phones[1].media.is_empty(), "it never rang");
            let words = world.log.iter().any(|line| line.contains("encrypted media (SRTP)"));
            assert!(words, "{caller:?} {called:?}: {:#?}", world.log);
            continue;
        };
        let world = talking(caller, called);
        let (ours, theirs) = (world.spec(0).srtp, world.spec(1).srtp);
        assert_eq!((ours.is_some(), theirs.is_some()), (secured, secured), "{caller:?} {called:?}");
        if let (Some(Keying::Sdes(ours)), Some(Keying::Sdes(theirs))) = (ours, theirs) {
            assert_eq!((&ours.send, &ours.receive), (&theirs.receive, &theirs.send));
            assert_eq!(ours.suite, Suite::AeadAes256Gcm);
        }
        let words = if secured { "SDES-SRTP AES-256-GCM (keys sent in clear)" } else { "none" };
        assert_eq!((world.call(0).security.as_str(), world.call(1).security.as_str()), (words, words));
        if caller == Required || called == Required {
            let specs = world.phones.iter().flat_map(|phone| &phone.media);
            let clear = specs.filter(|c| matches!(c, MediaCommand::Configure { spec, .. } if spec.srtp.is_none()));
            assert_eq!(clear.count(), 0, "never clear, not for a moment");
        }
    }
}

#[test]
fn a_hold_keeps_the_keys() {
    let mut world = talking(Required, Required);
    let before = (world.spec(0).srtp, world.spec(1).srtp);
    for hold in [true, false] {
        for phone in [0, 1] {
            let number = world.number(phone);
            world.command(phone, if hold { Command::Hold(number) } else { Command::Resume(number) });
            world.run(2 * SECOND);
            assert_eq!((world.spec(0).srtp, world.spec(1).srtp), before, "phone {phone}, {hold}");
        }
    }
    assert!(world.spec(0).generation > 1);
}

#[test]
fn keys_reach_neither_ladder_nor_log() {
    let world = talking(Required, Required);
    for phone in [0, 1] {
        let text: String = world.call(phone).ladder.iter().map(|entry| entry.wire.text()).collect();
        assert!(text.contains("RTP/SAVP") && text.contains("inline:xxxxxxxx") && !text.contains("inline:x+"), "{text}");
    }
    assert!(!world.log.iter().any(|line| line.contains("inline:")));
}

/// The offer that says both is refused: once more, for DTLS alone; the refusal of that one counts.
#[test]
fn who_takes_dtls_alone_is_asked_for_it() {
    let codecs = "Warning: 305 peer \"Incompatible media format\"\r\n";
    // What is wished, whether there is a certificate, and what else is set; the first offer, and the second.
    let rows = [
        (Off, true, Agreement::Auto, "", "RTP/AVP", None),
        (Required, false, Agreement::Auto, "", "RTP/SAVP", None),
        (Required, true, Agreement::Sdes, "", "RTP/SAVP", None),
        (Required, true, Agreement::Dtls, "", "UDP/TLS/RTP/SAVP", None),
        (Required, true, Agreement::Auto, codecs, "RTP/SAVP", None),
        (Required, true, Agreement::Auto, "", "RTP/SAVP", Some("UDP/TLS/RTP/SAVP")),
        (Preferred, true, Agreement::Auto, "", "RTP/AVP", Some("UDP/TLS/RTP/SAVP")),
        (Preferred, true, Agreement::Dtls, "", "RTP/AVP", Some("UDP/TLS/RTP/SAVP")),
    ];
    for (policy, certificate, keying, warning, first, second) in rows {
        let what = format!("{policy:?} {certificate} {keying:?} {warning}");
        let mut account = account("phone1", address(1), false);
        (account.srtp, account.keying, account.transport) = (policy, keying, Some(Transport::Udp));
        let mut settings = settings(vec![account]);
        settings.certificate = certificate.then(|| Arc::new(Certificate::generate().expect("random")));
        let mut world = World::new(vec![settings], 7);
        world.command(0, Command::Call { account: None, target: "peer@192.0.2.9".to_owned() });
        world.run(SECOND);
        let invite = world.latest(address(9), "INVITE");
        assert!(invite.text.contains(&format!(" {first} ")), "{what}: {}", invite.text);
        world.answer(0, &invite, "488 Not Acceptable Here", warning, "");
        world.run(SECOND);
        let again = world.mail_for(address(9)).into_iter().find(|letter| letter.first().starts_with("INVITE"));
        let Some(second) = second else {
            assert!(again.is_none(), "{what}: {again:?}");
            assert_eq!(summary(&world, 0).status, Some(488), "{what}");
            continue;
        };
        let again = again.expect("another offer");
        assert!(again.text.contains(&format!(" {second} ")) && !again.text.contains("a=crypto"), "{}", again.text);
        assert_eq!(again.header("Call-ID"), invite.header("Call-ID"));
        world.answer(0, &again, "486 Busy Here", "", "");
        world.run(SECOND);
        assert_eq!(summary(&world, 0).status, Some(486), "{what}");
    }
}

/// The call is taken, the sound is not: once more, for DTLS alone.
#[test]
fn who_refuses_the_sound_is_asked_for_dtls_alone() {
    for refused_again in [false, true] {
        let mut account = account("phone1", address(1), false);
        (account.srtp, account.transport) = (Preferred, Some(Transport::Udp));
        let mut settings = settings(vec![account]);
        settings.certificate = Some(Arc::new(Certificate::generate().expect("random")));
        let mut world = World::new(vec![settings], 7);
        world.command(0, Command::Call { account: None, target: "peer@192.0.2.9".to_owned() });
        world.run(SECOND);
        let invite = world.latest(address(9), "INVITE");
        let headers = "Contact: <sip:peer@192.0.2.9>\r\nContent-Type: application/sdp\r\n";
        let declined = crate::peer::sdp(address(9), "sendrecv").replace("m=audio 4000", "m=audio 0");
        world.answer(0, &invite, "200 OK", headers, &declined);
        world.run(SECOND);
        let again = world.latest(address(9), "INVITE");
        assert!(again.text.contains(" UDP/TLS/RTP/SAVP ") && again.header("To").contains("tag="), "{}", again.text);
        assert!(again.text.matches("m=audio ").count() == 1 && !again.text.contains("a=crypto"), "{}", again.text);
        if refused_again {
            world.answer(0, &again, "488 Not Acceptable Here", "", "");
            world.run(SECOND);
            let ended = summary(&world, 0);
            assert!(ended.end == CallEnd::Failed && ended.cause.contains("refused the audio"), "{ended:?}");
            continue;
        }
        let print = "a=setup:passive\r\na=fingerprint:sha-256 ".to_owned() + &["AB"; 32].join(":") + "\r\n";
        let body = crate::peer::sdp(address(9), "sendrecv").replace("RTP/AVP", "UDP/TLS/RTP/SAVP") + &print;
        world.answer(0, &again, "200 OK", headers, &body);
        world.run(SECOND);
        assert!(world.is_established(0) && matches!(world.spec(0).srtp, Some(Keying::Dtls(_))), "{:#?}", world.log);
    }
}

/// The server itself takes the call, and changes what it was asked for.
#[test]
fn a_downgrade_ends_the_call() {
    for (body, words) in [
        (crate::peer::sdp(address(9), "sendrecv"), "no encrypted media"),
        (
            crate::peer::sdp(address(9), "sendrecv").replace("RTP/AVP", "RTP/SAVP")
                + "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz\r\n",
            "it changes the suite",
        ),
    ] {
        let mut account = account("phone1", address(1), false);
        account.srtp = Required;
        account.transport = Some(Transport::Udp);
        let mut world = World::new(vec![settings(vec![account])], 7);
        world.command(0, Command::Call { account: None, target: "peer@192.0.2.9".to_owned() });
        world.run(SECOND);
        let invite = world.latest(address(9), "INVITE");
        let headers = "Contact: <sip:peer@192.0.2.9>\r\nContent-Type: application/sdp\r\n";
        world.answer(0, &invite, "200 OK", headers, &body);
        world.run(SECOND);
        let ended = summary(&world, 0);
        assert!(ended.end == CallEnd::Failed && ended.cause.contains(words), "{ended:?}");
        assert!(!world.phones[0].media.iter().any(|c| matches!(c, MediaCommand::Configure { .. })), "nothing runs");
        assert!(world.mail_for(address(9)).iter().any(|letter| letter.first().starts_with("BYE")));
    }
}
