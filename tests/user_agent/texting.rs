//! Texts between phones, and at a server that the test plays line by line.
use crate::hostile::{CHALLENGE, SECOND, SERVER};
use crate::peer::Letter;
use crate::world::{World, account, address, settings};
use offhook::ua::command::Command;
use offhook::ua::event::Event;
use offhook::ua::snapshot::{TextState, TextView};

/// What became of each text, in order.
fn texts(world: &World, phone: usize) -> Vec<TextView> {
    let text = |event: &Event| match event {
        Event::Text(text) => Some((**text).clone()),
        _ => None,
    };
    world.phones[phone].events.iter().filter_map(text).collect()
}

fn states(world: &World, phone: usize) -> Vec<String> {
    let words = |text: TextView| match text.state {
        TextState::Failed(cause) => cause,
        state => state.word().to_owned(),
    };
    texts(world, phone).into_iter().map(words).collect()
}

fn write(world: &mut World, phone: usize, target: &str, text: &str) {
    world.command(phone, Command::Text { account: None, target: target.to_owned(), text: text.to_owned() });
}

#[test]
fn a_text_arrives_and_is_known_to_have() {
    let mut world = World::direct(2, 81);
    write(&mut world, 0, "phone2@192.0.2.2", "žluť\nand\u{1b}[31m more");
    world.run(SECOND);
    assert_eq!(states(&world, 0), ["sending", "delivered"]);
    let got = texts(&world, 1).pop().expect("it arrived");
    assert_eq!((got.text.as_str(), got.peer_address.as_str()), ("žluť\nand[31m more", "phone1@192.0.2.1"));
    let sent = texts(&world, 0);
    assert!(sent[0].key == sent[1].key && sent[0].outgoing && !got.outgoing);
    // Lost and doubled on the way, it is shown once.
    world.loss = 0.4;
    write(&mut world, 0, "phone2@192.0.2.2", "again");
    world.run(40 * SECOND);
    assert_eq!(texts(&world, 1).into_iter().filter(|text| text.text == "again").count(), 1);
}

#[test]
fn a_text_within_a_call_is_one_as_any_other() {
    let mut world = World::direct(2, 82);
    world.command(0, Command::Call { account: None, target: "phone2@192.0.2.2".to_owned() });
    world.run(SECOND);
    let number = world.number(1);
    world.command(1, Command::Answer(number));
    world.run(SECOND);
    let invite = world.ladder.iter().position(|line| line.contains("INVITE")).expect("a call");
    assert!(world.is_established(0), "{invite}");
    write(&mut world, 1, "phone1@192.0.2.1", "hello");
    world.run(SECOND);
    assert_eq!(states(&world, 0), ["received"]);
    assert_eq!(states(&world, 1), ["sending", "delivered"]);
    assert!(world.is_established(0) && world.is_established(1));
    let rows = |world: &World, phone: usize| {
        let snapshot = world.phones[phone].agent.snapshot(world.now);
        snapshot.calls[0].ladder.iter().filter(|row| row.label.starts_with("MESSAGE")).count()
    };
    assert_eq!((rows(&world, 0), rows(&world, 1)), (1, 1), "it went within the call");
    // Who is not in the call is written to outside of it.
    write(&mut world, 1, "phone3@192.0.2.9", "hello");
    world.run(SECOND);
    assert_eq!(rows(&world, 1), 1);
}

/// A registered phone.
fn registered(seed: u64) -> World {
    let mut world = World::new(vec![settings(vec![account("a", address(SERVER), true)])], seed);
    world.run(SECOND);
    let register = world.latest(address(SERVER), "REGISTER");
    let contact = format!("Contact: {};expires=600\r\n", register.header("Contact"));
    world.answer(0, &register, "200 OK", &contact, "");
    world.run(SECOND / 10);
    world
}

#[test]
fn what_became_of_it_is_said_in_words() {
    let rows = [
        ("200 OK", "delivered"),
        ("202 Accepted", "accepted"),
        ("404 Not Found", "nobody has this number or name (404 Not Found)"),
        ("405 Method Not Allowed", "the other side takes no texts (405 Method Not Allowed)"),
        ("415 Unsupported Media Type", "the other side does not read plain text (415 Unsupported Media Type)"),
    ];
    let mut world = registered(83);
    for (status, words) in rows {
        write(&mut world, 0, "bob", "hello");
        world.run(SECOND / 10);
        let asked = world.latest(address(SERVER), "MESSAGE");
        world.answer(0, &asked, "407 Proxy Authentication Required", &CHALLENGE.replace("WWW", "Proxy"), "");
        world.run(SECOND / 10);
        let asked = world.latest(address(SERVER), "MESSAGE");
        world.answer(0, &asked, status, "", "");
        world.run(SECOND / 10);
        assert_eq!(states(&world, 0).pop().as_deref(), Some(words));
    }
    write(&mut world, 0, "bob", "hello");
    world.run(40 * SECOND);
    assert_eq!(states(&world, 0).pop().as_deref(), Some("the server cannot be reached"));
}

#[test]
fn a_long_text_never_goes_in_a_datagram_and_a_longer_one_not_at_all() {
    let mut world = registered(84);
    world.mail.clear();
    write(&mut world, 0, "bob", &"x".repeat(1_200));
    world.run(SECOND / 10);
    let sent: Vec<_> = world.mail.iter().filter(|sent| sent.bytes.starts_with(b"MESSAGE")).collect();
    assert!(!sent.is_empty() && sent.iter().all(|sent| sent.flow.transport.is_reliable()), "{sent:?}");
    for (text, why) in [("x".repeat(9_000), "9000 bytes"), (" \u{7} ".to_owned(), "nothing to send")] {
        write(&mut world, 0, "bob", &text);
        let refused = |event: &Event| matches!(event, Event::Refused { reason } if reason.contains(why));
        assert!(world.phones[0].events.iter().any(refused), "{why}");
    }
}

/// A MESSAGE to the phone; the status it gets, and the headers of the answer.
fn give(world: &mut World, from: u8, number: u32, kind: &str, body: &str) -> Letter {
    world.mail_for(address(from));
    let text = format!(
        "MESSAGE sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.{from}:5060;branch=z9hG4bKm{number}\r\n\
         From: \"Bob\u{202e}\" <sip:bob@192.0.2.9>;tag=m\r\nTo: <sip:a@192.0.2.9>\r\nCall-ID: m{number}\r\n\
         CSeq: 1 MESSAGE\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    world.give(0, address(from), &text);
    world.run(SECOND / 10);
    world.latest(address(from), "SIP/2.0")
}

#[test]
fn texts_are_taken_from_the_server_alone_in_a_form_we_read_and_not_too_many() {
    let mut world = registered(85);
    let rows = [
        (66, "text/plain", "SIP/2.0 403 Forbidden", false),
        (SERVER, "text/html", "SIP/2.0 415 Unsupported Media Type", false),
        (SERVER, "application/im-iscomposing+xml", "SIP/2.0 200 OK", false),
        (SERVER, "text/plain", "SIP/2.0 200 OK", true),
    ];
    for (number, (from, kind, status, shown)) in (1..).zip(rows) {
        let before = texts(&world, 0).len();
        let answer = give(&mut world, from, number, kind, "hello\r\nyou");
        assert_eq!(answer.first(), status, "{kind} from {from}");
        assert_eq!(texts(&world, 0).len() - before, usize::from(shown), "{kind} from {from}");
        assert_eq!(answer.text.contains("Accept: text/plain, message/cpim"), status.contains("415"), "{}", answer.text);
    }
    let text = texts(&world, 0).pop().expect("one");
    assert_eq!((text.peer_name.as_str(), text.text.as_str()), ("Bob", "hello\nyou"));
    let statuses: Vec<String> =
        (100..160).map(|number| give(&mut world, SERVER, number, "text/plain", "x").first().to_owned()).collect();
    assert!(statuses.iter().any(|status| status == "SIP/2.0 503 Service Unavailable"), "{statuses:?}");
    world.run(15 * SECOND);
    assert_eq!(give(&mut world, SERVER, 200, "text/plain", "x").first(), "SIP/2.0 200 OK");
}
