//! Mailboxes and the phones of others, at a server that the test plays line by line.
use crate::hostile::{CHALLENGE, SECOND, SERVER};
use crate::peer::Letter;
use crate::world::{World, account, address, settings};
use offhook::base::net::Transport;
use offhook::sip::message::Host;
use offhook::ua::command::Command;
use offhook::ua::dial_plan::Rule;
use offhook::ua::event::Event;
use offhook::ua::settings::AccountSettings;
use offhook::ua::snapshot::{Lamp, MailboxView, Snapshot};

/// A registered phone that watches 888 and its mailbox; its SUBSCRIBEs, that for the mailbox first.
fn watching(seed: u64) -> (World, Letter, Letter) {
    watching_with(seed, |_| {})
}

fn watching_with(seed: u64, change: impl Fn(&mut AccountSettings)) -> (World, Letter, Letter) {
    let mut own = account("a", address(SERVER), true);
    (own.watch, own.mailbox) = (vec!["888".to_owned()], true);
    change(&mut own);
    let mut world = World::new(vec![settings(vec![own])], seed);
    world.run(SECOND);
    let register = world.latest(address(SERVER), "REGISTER");
    let contact = format!("Contact: {};expires=600\r\n", register.header("Contact"));
    world.answer(0, &register, "200 OK", &contact, "");
    world.run(SECOND / 10);
    let asked: Vec<Letter> = subscribes(&mut world);
    let of = |package: &str| {
        let found = asked.iter().find(|letter| letter.header("Event") == package).cloned();
        found.unwrap_or_else(|| panic!("no SUBSCRIBE for {package}: {asked:#?}"))
    };
    let (mailbox, lamp) = (of("message-summary"), of("dialog"));
    assert_eq!(asked.len(), 2);
    (world, mailbox, lamp)
}

fn subscribes(world: &mut World) -> Vec<Letter> {
    let mail = world.mail_for(address(SERVER));
    mail.into_iter().filter(|letter| letter.text.starts_with("SUBSCRIBE")).collect()
}

fn accept(world: &mut World, asked: &Letter) {
    world.answer(0, asked, "200 OK", "Contact: <sip:192.0.2.9>\r\nExpires: 600\r\n", "");
    world.run(SECOND / 10);
}

/// The server's NOTIFY for a SUBSCRIBE; the status it is answered with.
fn notify(world: &mut World, asked: &Letter, cseq: u32, state: &str, body: &str) -> String {
    world.mail_for(address(SERVER));
    world.give(0, address(SERVER), &notify_text(asked, cseq, state, body));
    world.run(SECOND / 10);
    world.latest(address(SERVER), "SIP/2.0").first().to_owned()
}

fn notify_text(asked: &Letter, cseq: u32, state: &str, body: &str) -> String {
    format!(
        "NOTIFY sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKn{cseq}{}\r\n\
         From: {};tag=peer\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {cseq} NOTIFY\r\nContact: <sip:192.0.2.9>\r\n\
         Event: {}\r\nSubscription-State: {state}\r\nContent-Type: x/y\r\nContent-Length: {}\r\n\r\n{body}",
        asked.header("Call-ID"),
        asked.header("To"),
        asked.header("From"),
        asked.header("Call-ID"),
        asked.header("Event"),
        body.len()
    )
}

fn dialog_info(version: u32, state: &str) -> String {
    format!(
        "<dialog-info version=\"{version}\" state=\"full\"><dialog id=\"888\"><state>{state}</state></dialog></dialog-info>"
    )
}

fn snapshot(world: &World) -> Snapshot {
    world.phones[0].agent.snapshot(world.now)
}

fn lamp(world: &World) -> Lamp {
    snapshot(world).watched[0].lamp
}

#[test]
fn a_lamp_follows_the_phone_it_watches() {
    let (mut world, _, asked) = watching(71);
    assert_eq!((lamp(&world), snapshot(&world).watched[0].label.as_str()), (Lamp::Unknown, "888"));
    accept(&mut world, &asked);
    for (version, state, expected) in
        [(0, "terminated", Lamp::Free), (1, "early", Lamp::Ringing), (2, "confirmed", Lamp::Busy)]
    {
        let status = notify(&mut world, &asked, version + 1, "active;expires=600", &dialog_info(version, state));
        assert_eq!((status.as_str(), lamp(&world)), ("SIP/2.0 200 OK", expected), "{state}");
    }
    // Nothing is pretended when the server ends it, and it is asked for again.
    notify(&mut world, &asked, 9, "terminated;reason=timeout", "");
    assert_eq!(lamp(&world), Lamp::Unknown);
    world.run(5 * SECOND);
    let again = subscribes(&mut world).into_iter().find(|letter| letter.header("Event") == "dialog").expect("anew");
    assert_ne!(again.header("Call-ID"), asked.header("Call-ID"));
}

#[test]
fn a_server_without_dialogs_is_asked_for_presence() {
    let (mut world, _, asked) = watching(72);
    world.answer(0, &asked, "489 Bad Event", "", "");
    world.run(SECOND);
    let presence = subscribes(&mut world).pop().expect("a SUBSCRIBE");
    assert_eq!(
        (presence.header("Event").as_str(), presence.header("To").as_str()),
        ("presence", "<sip:888@192.0.2.9>")
    );
    accept(&mut world, &presence);
    let body = "<presence><tuple><status><basic>closed</basic></status><note>Lunch\u{202e}!</note></tuple></presence>";
    notify(&mut world, &presence, 1, "active", body);
    let seen = snapshot(&world).watched[0].clone();
    assert_eq!((seen.lamp, seen.note.as_str()), (Lamp::Away, "Lunch!"));
    // What servers say of a phone, who know no person.
    let rows = [
        ("Ringing", (Lamp::Ringing, "")),
        ("On the phone", (Lamp::Busy, "On the phone")),
        ("Ready", (Lamp::Free, "Ready")),
    ];
    for ((note, told), cseq) in rows.into_iter().zip(2..) {
        let body =
            format!("<presence><note>{note}</note><tuple><status><basic>open</basic></status></tuple></presence>");
        notify(&mut world, &presence, cseq, "active", &body);
        let seen = snapshot(&world).watched[0].clone();
        assert_eq!((seen.lamp, seen.note.as_str()), told);
    }
}

#[test]
fn a_mailbox_is_told_asked_or_not_and_only_by_its_server() {
    let (mut world, asked, _) = watching(73);
    world.answer(0, &asked, "401 Unauthorized", CHALLENGE, "");
    world.run(SECOND / 10);
    let again = subscribes(&mut world).pop().expect("with credentials");
    assert!(again.header("Authorization").contains("uri=\"sip:a@192.0.2.9\""), "{}", again.text);
    accept(&mut world, &again);
    let summary = "Messages-Waiting: yes\r\nVoice-Message: 2/8\r\n";
    notify(&mut world, &again, 1, "active", summary);
    let expected = MailboxView { waiting: true, new: Some(2), old: Some(8) };
    assert_eq!(snapshot(&world).accounts[0].mailbox, Some(expected));
    let news = |world: &World| world.phones[0].events.iter().filter(|e| matches!(e, Event::Mailbox { .. })).count();
    notify(&mut world, &again, 2, "active", summary);
    assert_eq!(news(&world), 1, "the same is no news");
    // Unasked, from the server and from a stranger.
    let contact = world.phones[0].agent.snapshot(world.now).accounts[0].clone();
    for (from, counted) in [(66, 1), (SERVER, 2)] {
        let text = format!(
            "NOTIFY sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.{from}:5060;branch=z9hG4bKu{from}\r\n\
             From: <sip:x@h>;tag=u\r\nTo: <sip:a@h>\r\nCall-ID: u{from}\r\nCSeq: 1 NOTIFY\r\nContact: <sip:x@h>\r\n\
             Event: message-summary\r\nSubscription-State: terminated\r\nContent-Length: 22\r\n\r\nMessages-Waiting: no\r\n"
        );
        world.give(0, address(from), &text);
        world.run(SECOND / 10);
        assert_eq!(news(&world), counted, "{contact:?}");
    }
}

/// What the user wrote is called, else what the server told, unless the dial plan forbids it.
#[test]
fn a_mailbox_is_called_where_it_is() {
    let rows = [
        ("", "", None),
        ("", "nonsense", None),
        ("", "sip:900@192.0.2.9", None),
        ("", "sip:*97@192.0.2.9", Some("sip:*97@192.0.2.9")),
        ("555", "sip:*97@192.0.2.9", Some("sip:555@192.0.2.9")),
    ];
    for (written, told, called) in rows {
        let (mut world, asked, _) = watching_with(75, |own| {
            own.availability.mailbox_number = written.to_owned();
            own.handling.dial_plan.rules = vec![Rule::blocking("900", "never").expect("a rule")];
        });
        accept(&mut world, &asked);
        notify(&mut world, &asked, 1, "active", &format!("Messages-Waiting: yes\r\nMessage-Account: {told}\r\n"));
        world.command(0, Command::Mailbox(None));
        world.run(SECOND / 10);
        let mail = world.mail_for(address(SERVER));
        let invite = mail.iter().find_map(|letter| letter.text.strip_prefix("INVITE ")?.split(' ').next());
        assert_eq!(invite, called, "{written:?} {told:?}");
    }
}

#[test]
fn the_dial_plan_is_asked_who_is_watched() {
    let (_, _, lamp) = watching_with(77, |own| {
        own.watch = vec!["0888".to_owned(), "900".to_owned()];
        let rules = [Rule::rewriting("0(X.)", "$1"), Rule::blocking("900", "never")];
        own.handling.dial_plan.rules = rules.map(|rule| rule.expect("a rule")).to_vec();
    });
    assert!(lamp.text.starts_with("SUBSCRIBE sip:888@192.0.2.9 "), "{}", lamp.text);
}

#[test]
fn subscriptions_end_with_the_phone() {
    let (mut world, mailbox, lamp) = watching(74);
    for asked in [&mailbox, &lamp] {
        accept(&mut world, asked);
        notify(&mut world, asked, 1, "active", "");
    }
    world.command(0, Command::Shutdown);
    world.run(SECOND / 10);
    let last = subscribes(&mut world);
    assert_eq!(last.len(), 2, "{:#?}", world.ladder);
    assert!(last.iter().all(|letter| letter.header("Expires") == "0"));
}

#[test]
fn a_server_whose_news_make_no_sense_is_not_hammered() {
    let (mut world, _, mut asked) = watching(75);
    let mut count = 0;
    let end = world.now + 60 * SECOND;
    while world.now < end {
        accept(&mut world, &asked);
        for cseq in 1..=2 {
            // Whole once, then a part that fits to nothing.
            let body = dialog_info(7, "early");
            let body = if cseq == 1 { body } else { body.replace("full", "partial") };
            world.give(0, address(SERVER), &notify_text(&asked, cseq, "active", &body));
        }
        for _ in 0..600 {
            if world.now >= end {
                break;
            }
            world.run(SECOND / 10);
            let mut again = subscribes(&mut world).into_iter().filter(|letter| letter.header("Expires") != "0");
            if let Some(again) = again.rfind(|letter| letter.header("Event") == "dialog") {
                (asked, count) = (again, count + 1);
                break;
            }
        }
    }
    assert!((2..=6).contains(&count), "{count} in a minute");
}

#[test]
fn what_is_watched_moves_to_the_next_server_with_its_account() {
    let mut own = account("a", address(SERVER), true);
    own.domain = Host::Name("pbx.example".to_owned());
    own.watch = vec!["888".to_owned()];
    let servers = [9, 11].map(|n| (Transport::Udp, address(n))).to_vec();
    let mut world = World::with_names(vec![settings(vec![own])], [("pbx.example".to_owned(), servers)].into(), 76);
    let register = |world: &mut World, server: u8| {
        let asked = (0..120).find_map(|_| {
            world.run(SECOND / 2);
            world.mail_for(address(server)).into_iter().rfind(|letter| letter.text.starts_with("REGISTER"))
        });
        let asked = asked.expect("a REGISTER");
        let contact = format!("Contact: {};expires=600\r\n", asked.header("Contact"));
        world.answer(0, &asked, "200 OK", &contact, "");
    };
    register(&mut world, 9);
    world.run(SECOND / 10);
    let asked = world.latest(address(9), "SUBSCRIBE");
    accept(&mut world, &asked);
    notify(&mut world, &asked, 1, "active;expires=600", &dialog_info(0, "confirmed"));
    assert_eq!(lamp(&world), Lamp::Busy);
    // The first server dies: nothing is answered there any more.
    register(&mut world, 11);
    world.run(SECOND / 10);
    let again = world.latest(address(11), "SUBSCRIBE");
    assert_ne!(again.header("Call-ID"), asked.header("Call-ID"));
    assert_eq!(lamp(&world), Lamp::Unknown);
}
