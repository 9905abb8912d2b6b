//! Our own state at a server that the test plays line by line: published from the calls and from what the user says.
use crate::hostile::{CHALLENGE, SECOND, SERVER};
use crate::peer::Letter;
use crate::world::{World, account, address, settings};
use offhook::ua::command::{Command, Wish};
use offhook::ua::event::Event;
use offhook::ua::snapshot::OwnState;

/// A registered phone that publishes, and its first PUBLISH.
fn publishing(seed: u64) -> (World, Letter) {
    let mut own = account("a", address(SERVER), true);
    own.availability.publish = true;
    let mut world = World::new(vec![settings(vec![own])], seed);
    world.run(SECOND);
    let register = world.latest(address(SERVER), "REGISTER");
    let contact = format!("Contact: {};expires=600\r\n", register.header("Contact"));
    world.answer(0, &register, "200 OK", &contact, "");
    world.run(SECOND / 10);
    let first = world.latest(address(SERVER), "PUBLISH");
    (world, first)
}

fn take(world: &mut World, publish: &Letter, tag: &str) {
    world.answer(0, publish, "200 OK", &format!("SIP-ETag: {tag}\r\nExpires: 600\r\n"), "");
    world.run(SECOND);
}

/// The next PUBLISH: its entity tag, and which of these words its body has.
fn next(world: &mut World, words: &[&str]) -> (Letter, String, Vec<String>) {
    world.run(SECOND);
    let publish = world.latest(address(SERVER), "PUBLISH");
    let has = words.iter().filter(|word| publish.text.contains(**word)).map(|word| (*word).to_owned()).collect();
    let tag = publish.header("SIP-If-Match");
    (publish, tag, has)
}

fn own_state(world: &World) -> OwnState {
    world.phones[0].agent.snapshot(world.now).presence.state
}

#[test]
fn a_call_and_the_users_words_are_published() {
    let words = ["<basic>open</basic>", "rpid:on-the-phone", "rpid:away", "<note>lunch &amp; sleep</note>"];
    let (mut world, first) = publishing(91);
    assert!(first.text.contains(words[0]) && !first.text.contains("rpid:o"), "{}", first.text);
    assert_eq!((first.header("Event").as_str(), first.header("To").as_str()), ("presence", "<sip:a@192.0.2.9>"));
    world.answer(0, &first, "401 Unauthorized", CHALLENGE, "");
    world.run(SECOND / 10);
    let again = world.latest(address(SERVER), "PUBLISH");
    assert!(again.header("Authorization").contains("uri=\"sip:a@192.0.2.9\""), "{}", again.text);
    take(&mut world, &again, "one");
    assert_eq!(own_state(&world), OwnState::Free);

    world.command(0, Command::Call { account: None, target: "600".to_owned() });
    let (publish, tag, has) = next(&mut world, &words);
    assert_eq!((tag.as_str(), has), ("one", vec![words[0].to_owned(), words[1].to_owned()]));
    assert_eq!(own_state(&world), OwnState::OnThePhone);
    take(&mut world, &publish, "two");

    world.command(0, Command::Presence { wish: Wish::Away, note: "lunch & sleep\u{7}".to_owned() });
    let (publish, tag, has) = next(&mut world, &words);
    assert_eq!((tag.as_str(), has.len()), ("two", 4), "on the phone and away: both are told\n{}", publish.text);
    take(&mut world, &publish, "three");
    let number = world.number(0);
    world.command(0, Command::HangUp(number));
    let invite = world.latest(address(SERVER), "INVITE");
    world.answer(0, &invite, "100 Trying", "", "");
    world.run(SECOND / 10);
    world.answer(0, &invite, "487 Request Terminated", "", "");
    let (publish, tag, has) = next(&mut world, &words);
    assert_eq!((tag.as_str(), has.len()), ("three", 3), "{}", publish.text);
    assert_eq!(own_state(&world), OwnState::Away);
    take(&mut world, &publish, "four");

    world.command(0, Command::Presence { wish: Wish::Auto, note: String::new() });
    world.command(0, Command::DoNotDisturb { account: None, on: true });
    let (publish, tag, has) = next(&mut world, &["<basic>closed</basic>", "rpid:busy", "<note>Do not disturb</note>"]);
    assert_eq!((tag.as_str(), has.len(), own_state(&world)), ("four", 3, OwnState::DoNotDisturb), "{}", publish.text);
    take(&mut world, &publish, "five");

    world.command(0, Command::Shutdown);
    world.run(SECOND / 10);
    let mail = world.mail_for(address(SERVER));
    let letter = |method: &str| mail.iter().rfind(|letter| letter.text.starts_with(method)).expect(method);
    let (last, register) = (letter("PUBLISH"), letter("REGISTER"));
    assert_eq!((last.header("SIP-If-Match").as_str(), last.header("Expires").as_str()), ("five", "0"));
    let finished = |world: &World| world.phones[0].events.contains(&Event::Finished);
    world.answer(0, register, "200 OK", "", "");
    world.run(SECOND / 10);
    assert!(!finished(&world), "the last word is waited for");
    world.answer(0, last, "200 OK", "", "");
    world.run(SECOND / 10);
    assert!(finished(&world));
}

#[test]
fn a_server_that_keeps_nobodys_state_is_left_alone() {
    let (mut world, first) = publishing(92);
    world.answer(0, &first, "489 Bad Event", "", "");
    world.run(SECOND);
    world.mail_for(address(SERVER));
    world.command(0, Command::Presence { wish: Wish::Busy, note: String::new() });
    world.run(300 * SECOND);
    let publishes = world.mail_for(address(SERVER)).into_iter().filter(|letter| letter.text.starts_with("PUBLISH"));
    assert_eq!(publishes.count(), 0);
    let view = world.phones[0].agent.snapshot(world.now).presence;
    assert_eq!((view.state, view.published[0].1.as_str()), (OwnState::Busy, "the server keeps nobody's state"));
}
