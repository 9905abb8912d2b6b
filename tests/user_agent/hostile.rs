//! What must not work: strangers, forged challenges, floods, text made to harm.
use crate::peer::{request, sdp};
use crate::world::{World, account, address, settings};
use offhook::ua::command::Command;
use offhook::ua::event::Event;
use offhook::ua::settings::Settings;
use std::collections::BTreeMap;
use std::time::Duration;

pub const SECOND: Duration = Duration::from_secs(1);
pub const CHALLENGE: &str = "WWW-Authenticate: Digest realm=\"pbx\", nonce=\"n1\", algorithm=MD5, qop=\"auth\"\r\n";
pub const SERVER: u8 = 9;

/// A phone registered at a server that the test plays; the server challenged it once.
pub fn registered(seed: u64) -> World {
    registered_as(settings(vec![account("a", address(SERVER), true)]), seed)
}

/// The same with settings of its own.
pub fn registered_as(settings: Settings, seed: u64) -> World {
    let mut world = World::new(vec![settings], seed);
    world.run(SECOND);
    let register = world.latest(address(SERVER), "REGISTER");
    world.answer(0, &register, "401 Unauthorized", CHALLENGE, "");
    world.run(SECOND);
    let register = world.latest(address(SERVER), "REGISTER");
    assert!(register.header("Authorization").contains("nonce=\"n1\""), "{}", register.text);
    let contact = format!("Contact: {};expires=600\r\n", register.header("Contact"));
    world.answer(0, &register, "200 OK", &contact, "");
    world
}

#[test]
fn only_the_own_server_is_told_who_we_are() {
    let (mut world, mallory) = (registered(1), address(66));
    world.command(0, Command::Call { account: None, target: "sip:600@192.0.2.9".to_owned() });
    world.run(SECOND);
    let invite = world.latest(address(SERVER), "INVITE");
    world.answer(0, &invite, "401 Unauthorized", CHALLENGE, "");
    world.run(SECOND);
    let invite = world.latest(address(SERVER), "INVITE");
    assert!(invite.header("Authorization").contains("Digest"), "the own server gets an answer");
    world.command(0, Command::HangUp(world.number(0)));
    // The nonce is known now: a call to somebody else must not use it, nor answer there.
    world.command(0, Command::Call { account: None, target: format!("sip:m@{mallory}") });
    world.run(SECOND);
    let invite = world.latest(mallory, "INVITE");
    assert!(!invite.text.contains("uthorization"), "{}", invite.text);
    world.answer(0, &invite, "401 Unauthorized", CHALLENGE, "");
    world.run(SECOND);
    assert!(world.mail_for(mallory).iter().all(|letter| !letter.text.contains("uthorization")));
    assert!(
        world.phones[0].events.iter().any(|e| matches!(e, Event::Ended { summary, .. } if summary.status == Some(401)))
    );
}

#[test]
fn the_ack_to_a_foreign_contact_carries_no_credentials() {
    let (mut world, mallory) = (registered(2), address(66));
    world.command(0, Command::Call { account: None, target: "sip:600@192.0.2.9".to_owned() });
    world.run(SECOND);
    let invite = world.latest(address(SERVER), "INVITE");
    world.answer(0, &invite, "401 Unauthorized", CHALLENGE, "");
    world.run(SECOND);
    let invite = world.latest(address(SERVER), "INVITE");
    let headers = format!("Contact: <sip:m@{mallory}>\r\nContent-Type: application/sdp\r\n");
    world.answer(0, &invite, "200 OK", &headers, &sdp(mallory, "sendrecv"));
    world.run(SECOND);
    assert!(world.is_established(0));
    let ack = world.latest(mallory, "ACK");
    assert!(!ack.text.contains("uthorization"), "{}", ack.text);
}

#[test]
fn a_stranger_gets_one_short_answer_for_each_request() {
    let (mut world, stranger) = (registered(3), address(66));
    for method in ["INVITE", "OPTIONS", "BYE", "NOTIFY", "MESSAGE", "REFER"] {
        let text = request(method, "sip:a@192.0.2.1", stranger, method, "");
        world.give(0, stranger, &text);
        world.run(60 * SECOND);
        let answers = world.mail_for(stranger);
        assert_eq!(answers.len(), 1, "{method}: {answers:#?}");
        assert!(answers[0].first().contains("403") && answers[0].text.len() < text.len() + 100, "{}", answers[0].text);
        // The same again: the same answer, To tag and all.
        world.give(0, stranger, &text);
        world.run(SECOND);
        assert_eq!(world.mail_for(stranger)[0].text, answers[0].text);
    }
    assert!(world.phones[0].agent.snapshot(world.now).calls.is_empty());
}

#[test]
fn a_scanner_does_not_fill_the_log() {
    let (mut world, stranger) = (registered(4), address(66));
    world.log.clear();
    for n in 0..1000 {
        world.give(0, stranger, &request("INVITE", "sip:100@192.0.2.1", stranger, &format!("x{n}"), ""));
    }
    assert!(world.log.len() < 3, "{:#?}", world.log);
    assert_eq!(world.phones[0].agent.snapshot(world.now).counters.strangers, 1000);
}

#[test]
fn many_calls_that_come_and_go_are_not_all_remembered() {
    let mut world = World::direct(1, 5);
    let stranger = address(66);
    for n in 0..200 {
        let invite = request("INVITE", "sip:phone1@192.0.2.1", stranger, &format!("c{n}"), &sdp(stranger, "sendrecv"));
        world.give(0, stranger, &invite);
        let cancel = request("CANCEL", "sip:phone1@192.0.2.1", stranger, &format!("c{n}"), "");
        world.give(0, stranger, &cancel);
    }
    let calls = world.phones[0].agent.snapshot(world.now).calls.len();
    assert!(calls <= 32, "{calls} calls are kept");
    assert!(world.phones[0].streams.is_empty());
    let ended = world.phones[0].events.iter().filter(|e| matches!(e, Event::Ended { .. })).count();
    assert_eq!(ended, 200, "each is told of");
}

#[test]
fn a_large_message_does_not_grow_the_ladder_for_ever() {
    let mut world = World::direct(1, 6);
    let stranger = address(66);
    let invite = request("INVITE", "sip:phone1@192.0.2.1", stranger, "big", &sdp(stranger, "sendrecv"));
    let big = "X-Filler: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n".repeat(100);
    world.give(0, stranger, &invite.replace("Contact:", &format!("{big}Contact:")));
    let call = world.call(0);
    assert!(call.ladder.iter().all(|entry| entry.wire.kept() <= 16 * 1024), "{:?}", call.ladder[0]);
}

#[test]
fn what_peers_write_reaches_no_log_unwashed() {
    let (mut world, mallory) = (registered(7), "\u{1b}[2J\u{202e}evil");
    world.log.clear();
    world.command(0, Command::Call { account: None, target: "600".to_owned() });
    world.run(SECOND);
    let invite = world.latest(address(SERVER), "INVITE");
    let headers = format!(
        "Contact: <sip:m@192.0.2.9;transport=\"{mallory}\">\r\nContent-Type: application/sdp\r\nServer: {mallory}\r\n"
    );
    world.answer(
        0,
        &invite,
        "200 OK",
        &headers,
        &sdp(address(SERVER), "sendrecv").replace("s=-", &format!("s={mallory}")),
    );
    world.answer(0, &invite, &format!("404 {mallory}"), "", "");
    world.give(0, address(66), &request("INVITE", "sip:a@192.0.2.1", address(66), "x", "").replace("INVITE", mallory));
    world.run(40 * SECOND);
    let seen = format!("{:?}{:?}", world.log, world.phones[0].agent.snapshot(world.now));
    assert!(!world.log.is_empty() && !seen.contains("\\u{1b}") && !seen.contains("\\u{202e}"), "{seen}");
}

/// Answers what the phone sends in the given time by one status line with headers; how many requests of each method came.
fn answer_all(world: &mut World, status: &str, headers: &str, time: Duration) -> BTreeMap<String, usize> {
    let (until, mut counts) = (world.now + time, BTreeMap::new());
    while world.now < until {
        world.run(Duration::from_millis(20));
        for letter in world.mail_for(address(SERVER)) {
            let method = letter.first().split(' ').next().unwrap_or_default().to_owned();
            if !method.starts_with("SIP/") && method != "ACK" {
                world.answer(0, &letter, status, headers, "");
            }
            *counts.entry(method).or_default() += 1;
        }
    }
    counts
}

#[test]
fn a_server_that_refuses_everything_starts_no_storm() {
    let rows = [
        ("503 Service Unavailable", "Retry-After: 0\r\n"),
        ("500 Server Internal Error", "Retry-After: 0\r\n"),
        ("491 Request Pending", ""),
        ("481 Call/Transaction Does Not Exist", ""),
        ("408 Request Timeout", ""),
        ("401 Unauthorized", CHALLENGE),
        ("422 Session Interval Too Small", "Min-SE: 1800\r\n"),
        ("423 Interval Too Brief", "Min-Expires: 1\r\n"),
        ("302 Moved Temporarily", "Contact: <sip:192.0.2.9>\r\n"),
        ("200 OK", "Expires: 0\r\n"),
        ("200 OK", "Contact: <sip:a@192.0.2.1>;expires=1\r\nExpires: 1\r\nSession-Expires: 1;refresher=uac\r\n"),
    ];
    for (status, headers) in rows {
        let mut own = account("a", address(SERVER), true);
        (own.watch, own.mailbox) = (vec!["888".to_owned()], true);
        let mut world = World::new(vec![settings(vec![own])], 9);
        world.run(SECOND);
        let register = world.latest(address(SERVER), "REGISTER");
        let contact = format!("Contact: {};expires=60\r\n", register.header("Contact"));
        world.answer(0, &register, "200 OK", &contact, "");
        world.command(0, Command::Call { account: None, target: "600".to_owned() });
        world.run(SECOND / 10);
        let invite = world.latest(address(SERVER), "INVITE");
        let body = "Contact: <sip:192.0.2.9>\r\nContent-Type: application/sdp\r\n";
        world.answer(0, &invite, "200 OK", body, &sdp(address(SERVER), "sendrecv"));
        world.run(SECOND / 10);
        let first = world.number(0);
        for _ in 0..3 {
            let counts = answer_all(&mut world, status, headers, 60 * SECOND);
            let all: usize = counts.values().sum();
            assert!(all <= 60, "{status}: {counts:?}");
            // The user changes something each minute.
            let now = world.now;
            world.phones[0].agent.handle_network_changed(now);
            world.phones[0].agent.handle_woke(now);
            world.drain();
            world.command(0, Command::Hold(first));
            world.command(0, Command::Transfer { call: first, target: "601".to_owned() });
            world.command(0, Command::Call { account: None, target: "602".to_owned() });
        }
        // And it always comes to an end.
        world.command(0, Command::Shutdown);
        let counts = answer_all(&mut world, status, headers, 5 * SECOND);
        let finished = world.phones[0].events.iter().filter(|event| matches!(event, Event::Finished)).count();
        assert_eq!(finished, 1, "{status}: {counts:?}");
    }
}

#[test]
fn a_server_with_ever_new_challenges_is_not_asked_for_ever() {
    let mut world = registered(33);
    world.command(0, Command::Query { account: None, target: "600".to_owned() });
    let mut asked = 0;
    for n in 0..20 {
        world.run(SECOND / 10);
        let letters = world.mail_for(address(SERVER));
        let Some(options) = letters.into_iter().find(|letter| letter.text.starts_with("OPTIONS")) else { break };
        asked += 1;
        let challenge = CHALLENGE.replace("pbx", &format!("pbx{n}")).replace("n1", &format!("new{n}"));
        world.answer(0, &options, "401 Unauthorized", &challenge, "");
    }
    assert_eq!(asked, 5);
    let answered = world.phones[0].events.iter().filter(|event| matches!(event, Event::Capabilities { .. })).count();
    assert_eq!(answered, 1);
}
