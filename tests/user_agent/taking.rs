//! A phone watches another one that tells of its calls itself, and takes what rings there.
use crate::hostile::{SECOND, SERVER};
use crate::world::{World, account, address, settings};
use offhook::ua::command::{Command, Wish};
use offhook::ua::event::Event;
use offhook::ua::snapshot::{CallEnd, Lamp, WatchView};

/// Phones 1 and 2 call each other directly; phone 3 has a server and watches phone 2, which lists these.
fn watching(seed: u64, watchers: &[&str]) -> World {
    let mut watched = account("phone2", address(2), false);
    watched.availability.watchers = watchers.iter().map(|listed| (*listed).to_owned()).collect();
    let mut third = account("c", address(SERVER), true);
    third.watch = vec!["phone2@192.0.2.2".to_owned()];
    let phones = [vec![account("phone1", address(1), false)], vec![watched], vec![third]];
    let mut world = World::new(phones.map(settings).to_vec(), seed);
    world.run(SECOND);
    let register = world.latest(address(SERVER), "REGISTER");
    let contact = format!("Contact: {};expires=3600\r\n", register.header("Contact"));
    world.answer(2, &register, "200 OK", &contact, "");
    world.run(SECOND);
    world
}

fn lamp(world: &World) -> WatchView {
    world.phones[2].agent.snapshot(world.now).watched[0].clone()
}

fn ring(world: &mut World) {
    world.command(0, Command::Call { account: None, target: "phone2@192.0.2.2".to_owned() });
    world.run(2 * SECOND);
}

#[test]
fn only_those_who_are_listed_are_told() {
    let refused = "the server does not let us watch it";
    for (watchers, free) in [(&[][..], false), (&["bob", "c@elsewhere", "*"], false), (&["c@192.0.2.9"], true)] {
        let world = watching(61, watchers);
        let (expected, note) = if free { (Lamp::Free, "") } else { (Lamp::Unknown, refused) };
        assert_eq!((lamp(&world).lamp, lamp(&world).note.as_str()), (expected, note), "{watchers:?}");
    }
}

#[test]
fn a_call_that_rings_elsewhere_is_taken_from_its_caller() {
    let mut world = watching(62, &["c@192.0.2.9"]);
    ring(&mut world);
    assert_eq!((lamp(&world).lamp, lamp(&world).note.as_str()), (Lamp::Ringing, "from phone1 <phone1@192.0.2.1>"));
    world.command(2, Command::PickUp { account: None, whom: Some("phone2@192.0.2.2".to_owned()) });
    world.run(3 * SECOND);
    assert!(world.is_established(0) && world.is_established(2), "{:#?}", world.ladder);
    assert_eq!(world.call(2).peer_address, "phone1@192.0.2.1");
    let ended = world.phones[1].events.iter().find_map(|event| match event {
        Event::Ended { summary, .. } => Some(summary.end),
        _ => None,
    });
    assert!(matches!(ended, Some(CallEnd::Missed | CallEnd::AnsweredElsewhere)), "{ended:?}");
    assert_eq!(lamp(&world).lamp, Lamp::Free);
    let number = world.number(2);
    world.command(2, Command::HangUp(number));
    world.run(SECOND);
    assert!(!world.is_established(0));
}

#[test]
fn a_call_that_was_answered_meanwhile_is_not_taken() {
    let mut world = watching(63, &["c@192.0.2.9"]);
    ring(&mut world);
    // The news of the answer do not reach who watches.
    let number = world.number(1);
    world.command(1, Command::Answer(number));
    world.command(2, Command::PickUp { account: None, whom: Some("phone2@192.0.2.2".to_owned()) });
    world.run(3 * SECOND);
    assert!(world.is_established(0) && world.is_established(1) && !world.is_established(2), "{:#?}", world.ladder);
    assert_eq!((lamp(&world).lamp, lamp(&world).note.as_str()), (Lamp::Busy, "with phone1 <phone1@192.0.2.1>"));
}

#[test]
fn who_watches_presence_sees_what_the_user_says_and_hears_the_end() {
    let mut world = watching(64, &["c@192.0.2.9"]);
    let subscribe = "SUBSCRIBE sip:phone2@192.0.2.2 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKp\r\n\
        From: <sip:c@192.0.2.9>;tag=w\r\nTo: <sip:phone2@192.0.2.2>\r\nCall-ID: watch\r\nCSeq: 1 SUBSCRIBE\r\n\
        Contact: <sip:192.0.2.9>\r\nEvent: presence;id=7\r\nAccept: application/pidf+xml\r\nExpires: 90\r\n\
        Content-Length: 0\r\n\r\n";
    let give = |world: &mut World, text: &str| {
        world.give(1, address(SERVER), text);
        world.run(SECOND / 10);
    };
    for (from, to, status) in [
        ("Event: presence;id=7", "Event: nonsense", "489"),
        ("Accept: application/pidf+xml", "Accept: text/plain", "406"),
        ("Expires: 90", "Expires: 9", "423"),
        ("Contact: <sip:192.0.2.9>", "Subject: none", "400"),
        ("sip:c@", "sip:d@", "403"),
    ] {
        let other = subscribe.replace(from, to).replace("z9hG4bKp", &format!("z9hG4bKp{status}"));
        give(&mut world, &other.replace("Call-ID: watch", &format!("Call-ID: {status}")));
        assert!(world.latest(address(SERVER), "SIP/2.0").first().contains(status), "{to}");
    }
    give(&mut world, subscribe);
    let mail = world.mail_for(address(SERVER));
    let (ok, first) = (&mail[0], mail.last().expect("a NOTIFY"));
    assert_eq!((ok.first(), ok.header("Expires").as_str()), ("SIP/2.0 200 OK", "90"));
    assert!(first.text.starts_with("NOTIFY sip:192.0.2.9 ") && first.text.contains("<basic>open<"), "{}", first.text);
    assert_eq!(first.header("Event"), "presence;id=7");
    world.answer(1, first, "200 OK", "", "");
    world.run(5 * SECOND);
    world.command(1, Command::Presence { wish: Wish::Busy, note: "meeting".to_owned() });
    world.run(2 * SECOND);
    let second = world.latest(address(SERVER), "NOTIFY");
    assert!(second.text.contains("<rpid:busy/>") && second.text.contains("meeting"), "{}", second.text);
    world.answer(1, &second, "200 OK", "", "");
    world.run(90 * SECOND);
    let last = world.latest(address(SERVER), "NOTIFY");
    assert_eq!(last.header("Subscription-State"), "terminated;reason=timeout");
    world.answer(1, &last, "200 OK", "", "");
    world.run(SECOND);
    world.command(1, Command::Presence { wish: Wish::Away, note: String::new() });
    world.run(5 * SECOND);
    assert!(world.mail_for(address(SERVER)).iter().all(|letter| !letter.text.starts_with("NOTIFY")));
}
