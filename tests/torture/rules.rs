//! What no peer, the own server included, can make the phone do: answer by itself, fetch, hurry, speak in the clear.
use crate::peer::{request, sdp};
use crate::stage::Answer::{Rings, Status};
use crate::stage::{SECOND, Stage};
use crate::world::{World, account, address, settings};
use bytes::Bytes;
use offhook::base::net::Transport;
use offhook::ua::command::Command;
use offhook::ua::snapshot::CallState;
use std::time::Duration;

const SERVER: u8 = 9;

/// A request with these headers before its Contact.
fn ask(method: &str, name: &str, headers: &str) -> Bytes {
    let from = address(66);
    let body = if method == "INVITE" { sdp(from, "sendrecv") } else { String::new() };
    let text = request(method, "sip:phone1@192.0.2.1", from, name, &body);
    Bytes::from(text.replacen("Contact:", &format!("{headers}Contact:"), 1))
}

/// The stage fails when anything is sent to anybody but the sender.
#[test]
fn nothing_is_answered_by_itself_and_nothing_is_fetched() {
    let rows = [
        "Call-Info: <sip:192.0.2.99>;answer-after=0\r\n",
        "Alert-Info: <http://192.0.2.99/ring.wav>;info=alert-autoanswer\r\n",
        "Alert-Info: <sip:ring@192.0.2.99>\r\nCall-Info: <http://192.0.2.99/icon.png>;purpose=icon\r\n",
        "Answer-Mode: Auto\r\nPriv-Answer-Mode: Auto\r\n",
        "Error-Info: <sip:192.0.2.99>\r\nReply-To: <sip:192.0.2.99>\r\nReferred-By: <sip:192.0.2.99>\r\n",
    ];
    for headers in rows {
        let mut stage = Stage::new(1);
        assert_eq!(stage.answer(Transport::Udp, &ask("INVITE", "x", headers)), Rings, "{headers}");
        stage.world.run(5 * SECOND);
        let calls = stage.world.phones[0].agent.snapshot(stage.world.now).calls;
        assert!(matches!(calls[1].state, CallState::Ringing { .. }), "{headers}: {:?}", calls[1].state);
        stage.check();
    }
}

#[test]
fn there_are_only_so_many_calls() {
    let mut stage = Stage::new(2);
    for n in 1..20 {
        let answer = if n < 16 { Rings } else { Status(486) };
        // Nothing is sent twice on a connection: only the latest call is heard of.
        assert_eq!(stage.answer(Transport::Tcp, &ask("INVITE", &format!("call{n}"), "")), answer, "call {n}");
    }
    stage.check();
}

#[test]
fn a_session_timer_has_a_floor() {
    for (headers, answer) in [
        // Who does not say that it knows session timers would not know what to do about a 422.
        ("Session-Expires: 0\r\n", Rings),
        ("Supported: timer\r\nSession-Expires: 0\r\n", Status(422)),
        ("Supported: timer\r\nSession-Expires: 1\r\n", Status(422)),
        ("Supported: timer\r\nSession-Expires: 89;refresher=uas\r\n", Status(422)),
        ("Supported: timer\r\nSession-Expires: 4294967295;refresher=uac\r\n", Rings),
        ("Supported: timer\r\nSession-Expires: 1800\r\nMin-SE: 4294967295\r\n", Rings),
    ] {
        let mut stage = Stage::new(3);
        assert_eq!(stage.answer(Transport::Udp, &ask("INVITE", "x", headers)), answer, "{headers}");
        stage.check();
    }
}

/// A phone that wants to register, and what its server answers to each try; how many there are in ten minutes.
fn tries(status: &str, headers: &str) -> usize {
    let server = address(SERVER);
    let mut world = World::new(vec![settings(vec![account("a", server, true)])], 4);
    let mut tries = 0;
    for _ in 0..6_000 {
        world.run(Duration::from_millis(100));
        for letter in world.mail_for(server).into_iter().filter(|letter| letter.text.starts_with("REGISTER")) {
            tries += 1;
            let contact = letter.header("Contact");
            world.answer(0, &letter, status, &headers.replace("CONTACT", &contact), "");
        }
    }
    tries
}

#[test]
fn a_server_cannot_make_the_phone_hurry() {
    let rows = [
        ("200 OK", "Contact: CONTACT;expires=0\r\n"),
        ("200 OK", "Contact: CONTACT;expires=1\r\n"),
        ("200 OK", "Expires: 1\r\n"),
        ("200 OK", ""),
        ("423 Interval Too Brief", "Min-Expires: 0\r\n"),
        ("423 Interval Too Brief", "Min-Expires: 4294967295\r\n"),
        ("503 Service Unavailable", "Retry-After: 0\r\n"),
        ("500 Server Internal Error", ""),
        ("302 Moved Temporarily", "Contact: <sip:192.0.2.9>\r\n"),
        ("401 Unauthorized", "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", stale=true\r\n"),
        ("407 Proxy Authentication Required", "Proxy-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n"),
    ];
    for (status, headers) in rows {
        let tries = tries(status, headers);
        assert!((1..=200).contains(&tries), "{status} {headers}: {tries} in ten minutes");
    }
}

/// RFC 3261 §19.1: what was promised to be secure goes over TLS or not at all.
#[test]
fn what_is_secure_stays_secure() {
    let server = address(SERVER);
    let mut world = World::new(vec![settings(vec![account("a", server, false)])], 5);
    world.command(0, Command::Call { account: None, target: "sips:b@192.0.2.9".to_owned() });
    world.run(40 * SECOND);
    let sent = world.mail_for(server);
    assert!(sent.iter().all(|letter| letter.flow.transport.is_secure()), "{sent:#?}");

    let mut world = World::new(vec![settings(vec![account("a", server, false)])], 6);
    world.command(0, Command::Call { account: None, target: "sip:b@192.0.2.9".to_owned() });
    world.run(SECOND);
    let invite = world.latest(server, "INVITE");
    assert!(!invite.flow.transport.is_secure());
    let headers = "Contact: <sips:b@192.0.2.9>\r\nContent-Type: application/sdp\r\n";
    world.answer(0, &invite, "200 OK", headers, &sdp(server, "sendrecv"));
    world.run(SECOND);
    world.command(0, Command::HangUp(world.number(0)));
    world.run(40 * SECOND);
    let later = [server, std::net::SocketAddr::new(server.ip(), 5061)].map(|address| world.mail_for(address)).concat();
    let within = later.iter().filter(|letter| letter.text.starts_with("ACK") || letter.text.starts_with("BYE"));
    let within: Vec<_> = within.collect();
    assert!(!within.is_empty() && within.iter().all(|letter| letter.flow.transport.is_secure()), "{later:#?}");
}

#[test]
fn what_the_user_types_ends_no_line() {
    for target in [
        "b\r\nX-Evil: 1\r\n\r\n@192.0.2.9",
        "\"\r\nX-Evil: 1\" <sip:b@192.0.2.9>",
        "sip:b@192.0.2.9?X-Evil=1",
        "b\0@192.0.2.9",
    ] {
        let server = address(SERVER);
        let mut world = World::new(vec![settings(vec![account("a", server, false)])], 7);
        world.command(0, Command::Call { account: None, target: target.to_owned() });
        world.run(SECOND);
        for letter in world.mail_for(server) {
            assert!(letter.header("X-Evil").is_empty() && !letter.text.contains('\0'), "{target:?}: {}", letter.text);
        }
    }
}
