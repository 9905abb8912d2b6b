//! Who is let in (requests from outside): the own server from whatever port, those who know the secret Contact, nobody else.
use crate::peer::{request, sdp};
use crate::stage::Answer::{self, Rings, Silence, Status};
use crate::stage::{SECOND, Stage};
use crate::world::{World, account, address, settings};
use bytes::Bytes;
use offhook::base::net::Transport;
use offhook::media::spec::{MediaCommand, Tone};
use offhook::ua::command::Command;
use offhook::ua::event::Event;
use std::net::SocketAddr;

const SERVER: u8 = 9;

/// A phone registered at a server, in a call with it; and the user part of its Contact, which only the server knows.
fn stage() -> (Stage, String) {
    let server = address(SERVER);
    let mut world = World::new(vec![settings(vec![account("a", server, true)])], 1);
    world.run(SECOND);
    let register = world.latest(server, "REGISTER");
    let contact = register.header("Contact");
    world.answer(0, &register, "200 OK", &format!("Contact: {contact};expires=600\r\n"), "");
    let user = contact.split(['<', ':', '@']).nth(2).expect("a user part").to_owned();
    let uri = format!("sip:{user}@192.0.2.1");
    let invite = request("INVITE", &uri, server, "first", &sdp(server, "sendrecv"));
    world.give(0, server, &invite);
    world.command(0, Command::Answer(world.number(0)));
    world.run(SECOND);
    let ok = world.latest(server, "SIP/2.0 200");
    assert_eq!(ok.all("Via").count(), 1);
    let ack =
        request("ACK", &uri, server, "first", "").replace(&format!("To: <{uri}>"), &format!("To: {}", ok.header("To")));
    world.give(0, server, &ack.replace("branch=z9hG4bKfirst", "branch=z9hG4bKack"));
    world.run(SECOND);
    world.log.clear();
    world.phones[0].media.clear();
    world.phones[0].events.clear();
    (Stage::of(world, server.ip()), user)
}

/// A request with one more header, or none.
fn ask(method: &str, uri: &str, from: SocketAddr, name: &str, header: &str) -> Bytes {
    let body = if method == "INVITE" { sdp(from, "sendrecv") } else { String::new() };
    let text = request(method, uri, from, name, &body);
    Bytes::from(text.replacen("Contact:", &format!("{header}Contact:"), 1))
}

/// The same within a dialog that the sender guesses.
fn ask_within(method: &str, uri: &str, from: SocketAddr, name: &str) -> Bytes {
    let text = String::from_utf8(ask(method, uri, from, name, "").to_vec()).expect("text");
    Bytes::from(text.replace("Call-ID: guess", "Call-ID: first").replacen(
        &format!("To: <{uri}>"),
        &format!("To: <{uri}>;tag=guessed"),
        1,
    ))
}

#[test]
fn a_stranger_gets_nothing_but_an_answer() {
    let (mut stage, _) = stage();
    let (stranger, uri) = (stage.sender, "sip:a@192.0.2.1");
    let replaces = "Replaces: first;to-tag=guessed;from-tag=first\r\n";
    let answer_at_once = "Call-Info: <sip:x>;answer-after=0\r\nAlert-Info: <http://192.0.2.66/ring.wav>\r\n";
    let rows: Vec<(&str, Bytes, Answer)> = vec![
        ("INVITE", ask("INVITE", uri, stranger, "1", ""), Status(403)),
        ("INVITE to be answered at once", ask("INVITE", uri, stranger, "2", answer_at_once), Status(403)),
        ("INVITE with a guessed Replaces", ask("INVITE", uri, stranger, "3", replaces), Status(403)),
        ("INVITE that demands an extension", ask("INVITE", uri, stranger, "4", "Require: replaces\r\n"), Status(403)),
        ("INVITE to a guessed Contact", ask("INVITE", "sip:0123456789ab@192.0.2.1", stranger, "5", ""), Status(403)),
        ("INVITE of another scheme", ask("INVITE", "tel:+1", stranger, "6", ""), Status(403)),
        ("OPTIONS", ask("OPTIONS", uri, stranger, "7", ""), Status(403)),
        ("REGISTER", ask("REGISTER", uri, stranger, "8", ""), Status(403)),
        ("SUBSCRIBE", ask("SUBSCRIBE", uri, stranger, "9", "Event: presence\r\n"), Status(403)),
        ("NOTIFY", ask("NOTIFY", uri, stranger, "10", "Event: message-summary\r\n"), Status(403)),
        ("NOTIFY to restart", ask("NOTIFY", uri, stranger, "11", "Event: check-sync\r\n"), Status(403)),
        ("REFER", ask("REFER", uri, stranger, "12", "Refer-To: <sip:expensive@192.0.2.66>\r\n"), Status(403)),
        ("MESSAGE", ask("MESSAGE", uri, stranger, "13", ""), Status(403)),
        ("PUBLISH", ask("PUBLISH", uri, stranger, "14", ""), Status(403)),
        ("INFO", ask("INFO", uri, stranger, "15", ""), Status(403)),
        ("UPDATE", ask("UPDATE", uri, stranger, "16", ""), Status(403)),
        ("PRACK", ask("PRACK", uri, stranger, "17", ""), Status(403)),
        ("a method of its own", ask("BREW", uri, stranger, "18", ""), Status(403)),
        ("BYE of no dialog", ask("BYE", uri, stranger, "19", ""), Status(403)),
        ("BYE guessed", ask_within("BYE", uri, stranger, "guess20"), Status(481)),
        ("INVITE guessed", ask_within("INVITE", uri, stranger, "guess21"), Status(481)),
        ("UPDATE guessed", ask_within("UPDATE", uri, stranger, "guess22"), Status(481)),
        ("REFER guessed", ask_within("REFER", uri, stranger, "guess23"), Status(481)),
        ("NOTIFY guessed", ask_within("NOTIFY", uri, stranger, "guess24"), Status(481)),
        ("ACK guessed", ask_within("ACK", uri, stranger, "guess25"), Silence),
        ("CANCEL guessed", ask("CANCEL", uri, stranger, "guess26", ""), Status(481)),
        ("CANCEL with the branch of the call", ask("CANCEL", uri, stranger, "first", ""), Status(481)),
        (
            "200 of nothing",
            Bytes::from(format!(
                "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP {stranger};branch=z9hG4bKfirst\r\nFrom: <{uri}>;tag=x\r\nTo: <{uri}>;tag=y\r\nCall-ID: first\r\nCSeq: 1 INVITE\r\n\r\n"
            )),
            Silence,
        ),
        ("a request without sense", Bytes::from("INVITE sip:a SIP/2.0\r\nVia: SIP/2.0/UDP h\r\n\r\n"), Status(400)),
    ];
    for transport in [Transport::Udp, Transport::Tcp] {
        for (what, bytes, answer) in &rows {
            assert_eq!(stage.answer(transport, bytes), *answer, "{what} over {transport:?}");
            stage.check();
        }
    }
    let world = &stage.world;
    assert_eq!(world.phones[0].agent.snapshot(world.now).calls.len(), 1);
    assert!(!world.phones[0].events.iter().any(|event| matches!(event, Event::Incoming { .. })));
    let rings = |m: &MediaCommand| {
        matches!(m, MediaCommand::Play(Some(Tone::Ring(offhook::media::spec::Ring::Usual) | Tone::CallWaiting)))
    };
    assert!(!world.phones[0].media.iter().any(rings));
    // One line in ten seconds, however much there is.
    let told = world.log.iter().filter(|line| line.contains("refused, it is not from a server")).count();
    assert!(told <= 7, "{:#?}", world.log);
}

#[test]
fn the_own_server_is_let_in_from_any_port() {
    let uri = "sip:a@192.0.2.1";
    let guessed = "Replaces: first;to-tag=guessed;from-tag=first\r\n";
    let rows = [
        ("INVITE", "", Rings),
        ("INVITE", guessed, Status(481)),
        ("INVITE", "Replaces: \r\n", Status(400)),
        ("INVITE", "Require: nobody-knows\r\n", Status(420)),
        ("OPTIONS", "", Status(200)),
        ("NOTIFY", "Event: message-summary\r\n", Status(200)),
        ("NOTIFY", "Event: refer\r\n", Status(481)),
        ("NOTIFY", "Event: check-sync\r\n", Status(481)),
        ("REFER", "Refer-To: <sip:expensive@192.0.2.66>\r\n", Status(405)),
        ("SUBSCRIBE", "Event: presence\r\n", Status(403)),
        ("SUBSCRIBE", "Event: anything\r\n", Status(489)),
        ("SUBSCRIBE", "", Status(489)),
        ("MESSAGE", "", Status(200)),
        ("REGISTER", "", Status(405)),
        ("BYE", "", Status(481)),
        ("CANCEL", "", Status(481)),
        ("BREW", "", Status(501)),
    ];
    for (method, header, answer) in rows {
        let (mut stage, _) = stage();
        stage.sender = SocketAddr::new(address(SERVER).ip(), 6070);
        let bytes = ask(method, uri, stage.sender, "x", header);
        assert_eq!(stage.answer(Transport::Udp, &bytes), answer, "{method} {header}");
        stage.check();
    }
}

#[test]
fn who_knows_the_secret_contact_learnt_it_from_the_server() {
    for (method, answer) in
        [("INVITE", Rings), ("OPTIONS", Status(200)), ("REFER", Status(405)), ("MESSAGE", Status(200))]
    {
        let (mut stage, user) = stage();
        let bytes = ask(method, &format!("sip:{user}@192.0.2.1"), stage.sender, "x", "");
        assert_eq!(stage.answer(Transport::Udp, &bytes), answer, "{method}");
        stage.check();
    }
}
