//! Calls and registrations at a server that the test plays line by line.
use crate::hostile::{CHALLENGE, SECOND, SERVER, registered};
use crate::peer::{Letter, request, sdp};
use crate::world::{World, account, address, settings};
use offhook::base::net::Transport;
use offhook::ua::command::Command;
use offhook::ua::event::Event;
use offhook::ua::snapshot::{CallEnd, CallSummary};
use std::net::SocketAddr;

impl World {
    /// The latest message to an address that begins with this, on its way or arrived.
    fn latest_sent(&mut self, address: SocketAddr, start: &str) -> Letter {
        self.run(self.delay);
        self.latest(address, start)
    }
}

fn call(world: &mut World, target: &str) -> Letter {
    world.command(0, Command::Call { account: None, target: target.to_owned() });
    world.run(SECOND / 10);
    world.latest(address(SERVER), "INVITE")
}

fn accept(world: &mut World, invite: &Letter) {
    let headers = "Contact: <sip:192.0.2.9>\r\nContent-Type: application/sdp\r\n";
    world.answer(0, invite, "200 OK", headers, &sdp(address(SERVER), "sendrecv"));
    world.run(SECOND / 10);
}

fn talking(seed: u64) -> World {
    let mut world = registered(seed);
    let invite = call(&mut world, "600");
    accept(&mut world, &invite);
    assert!(world.is_established(0));
    world
}

fn summary(world: &World) -> CallSummary {
    let ended = world.phones[0].events.iter().rev().find_map(|event| match event {
        Event::Ended { summary, .. } => Some((**summary).clone()),
        _ => None,
    });
    ended.unwrap_or_else(|| panic!("no call has ended: {:#?}", world.ladder))
}

/// The server's request within the call that `ours` belongs to.
fn within(ours: &Letter, method: &str, number: u32, body: &str) -> String {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "{method} sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK{method}{number}\r\n\
         Max-Forwards: 70\r\nFrom: {};tag=peer\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {number} {method}\r\n\
         Contact: <sip:192.0.2.9>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
        ours.header("To").split(";tag").next().unwrap_or_default(),
        ours.header("From"),
        ours.header("Call-ID"),
        body.len()
    )
}

#[test]
fn a_nonce_that_expired_fails_neither_hold_nor_goodbye() {
    let mut world = talking(1);
    let stale = CHALLENGE.replace("n1", "n2").replace("MD5", "MD5, stale=true");
    for (command, method) in [(Command::Hold(world.number(0)), "INVITE"), (Command::HangUp(world.number(0)), "BYE")] {
        world.run(60 * SECOND);
        world.command(0, command);
        world.run(SECOND / 10);
        let first = world.latest(address(SERVER), method);
        let challenge = stale.replace("n2", method);
        world.answer(0, &first, "401 Unauthorized", &challenge, "");
        world.run(SECOND / 10);
        let again = world.latest(address(SERVER), method);
        assert!(again.header("Authorization").contains(&format!("nonce=\"{method}\"")), "{}", again.text);
        assert_ne!(again.header("CSeq"), first.header("CSeq"));
        if method == "INVITE" {
            accept(&mut world, &again);
            assert!(world.call(0).held_by_us);
        } else {
            world.answer(0, &again, "200 OK", "", "");
        }
    }
    assert_eq!(summary(&world).end, CallEnd::Normal);
    world.run(60 * SECOND);
    assert!(world.phones[0].agent.snapshot(world.now).calls.is_empty());
}

#[test]
fn a_repeated_answer_is_acknowledged_each_time() {
    let mut world = registered(2);
    let invite = call(&mut world, "600");
    for _ in 0..3 {
        accept(&mut world, &invite);
        assert!(world.latest(address(SERVER), "ACK").header("CSeq").ends_with("ACK"));
    }
    assert_eq!(world.phones[0].events.iter().filter(|e| matches!(e, Event::Established(_))).count(), 1);
}

#[test]
fn a_peer_that_holds_us_in_silence_does_not_end_the_call() {
    let mut agent = settings(vec![account("phone1", address(1), false), account("x", address(SERVER), false)]);
    agent.no_media_timeout = 5 * SECOND;
    let mut world = World::new(vec![agent], 3);
    world.command(0, Command::Call { account: None, target: "b@192.0.2.9".to_owned() });
    world.run(SECOND / 10);
    let invite = world.latest(address(SERVER), "INVITE");
    accept(&mut world, &invite);
    world.give(
        0,
        address(SERVER),
        &within(&invite, "INVITE", 7, &sdp(address(SERVER), "sendonly").replace("1 1 IN", "1 2 IN")),
    );
    world.give(0, address(SERVER), &within(&invite, "ACK", 7, ""));
    assert!(world.call(0).held_by_peer, "{:#?}", world.ladder);
    world.run(60 * SECOND);
    world.stir(0);
    assert!(world.is_established(0), "{}", summary(&world).cause);
    world.give(
        0,
        address(SERVER),
        &within(&invite, "INVITE", 8, &sdp(address(SERVER), "sendrecv").replace("1 1 IN", "1 3 IN")),
    );
    world.give(0, address(SERVER), &within(&invite, "ACK", 8, ""));
    world.run(6 * SECOND);
    world.stir(0);
    assert_eq!(summary(&world).end, CallEnd::NoMedia);
}

#[test]
fn a_redirection_is_followed_or_told() {
    let headers = "Contact: <tel:+1>\r\nContact: <sip:700@192.0.2.9;method=BYE?Route=%3Csip:evil%3E>;q=0.5\r\n";
    for follow in [false, true] {
        let mut world = registered(4);
        let invite = call(&mut world, "600");
        world.answer(0, &invite, "302 Moved Temporarily", headers, "");
        world.run(SECOND);
        world.command(0, Command::Follow(world.number(0), follow));
        world.run(SECOND / 10);
        if follow {
            let invite = world.latest(address(SERVER), "INVITE");
            assert_eq!(invite.first(), "INVITE sip:700@192.0.2.9 SIP/2.0");
            accept(&mut world, &invite);
            assert!(world.is_established(0));
        } else {
            assert_eq!((summary(&world).end, summary(&world).status), (CallEnd::Refused, Some(302)));
        }
    }
    let mut world = registered(5);
    let invite = call(&mut world, "600");
    world.answer(0, &invite, "302 Moved Temporarily", "Contact: <tel:+1>\r\n", "");
    world.run(SECOND);
    assert_eq!(summary(&world).end, CallEnd::Refused);
}

#[test]
fn a_call_given_up_does_not_ring_by_another_way() {
    let mut world = registered(6);
    // Too large for a datagram, so that TCP is tried first.
    let long = "x".repeat(900);
    world.command(0, Command::Call { account: None, target: long });
    let sent = world.latest_sent(address(SERVER), "INVITE");
    assert_eq!(sent.flow.transport, Transport::Tcp);
    world.command(0, Command::HangUp(world.number(0)));
    let now = world.now;
    world.phones[0].agent.handle_refused(now, sent.flow, "connection refused");
    world.drain();
    world.run(40 * SECOND);
    assert!(
        world
            .mail_for(address(SERVER))
            .iter()
            .all(|letter| letter.flow.transport == Transport::Tcp || !letter.text.starts_with("INVITE"))
    );
    assert_eq!(summary(&world).end, CallEnd::Cancelled);
}

#[test]
fn what_is_answered_while_we_talk_elsewhere_waits_on_hold() {
    let mut world = talking(7);
    let first = world.number(0);
    world.command(0, Command::Call { account: None, target: "601".to_owned() });
    world.run(SECOND / 10);
    let second = world.number(0);
    let (holds, invites): (Vec<_>, Vec<_>) =
        world.mail_for(address(SERVER)).into_iter().partition(|letter| letter.text.contains("a=sendonly"));
    let (hold, invite) = (holds[0].clone(), invites.last().expect("the second call").clone());
    accept(&mut world, &hold);
    world.command(0, Command::Switch(first));
    world.run(SECOND / 10);
    let resume = world.latest(address(SERVER), "INVITE");
    accept(&mut world, &resume);
    accept(&mut world, &invite);
    let hold = world.latest(address(SERVER), "INVITE");
    assert!(hold.text.contains("a=sendonly") && hold.header("Call-ID") == invite.header("Call-ID"), "{}", hold.text);
    let snapshot = world.phones[0].agent.snapshot(world.now);
    assert_eq!(snapshot.focus, Some(first));
    assert!(snapshot.calls.iter().any(|c| c.number == second));
}

#[test]
fn who_leaves_while_it_rings_does_not_decline_for_the_other_phones() {
    let mut world = registered(8);
    let invite = request("INVITE", "sip:a@192.0.2.1", address(SERVER), "in", &sdp(address(SERVER), "sendrecv"));
    world.give(0, address(SERVER), &invite);
    world.run(SECOND);
    world.command(0, Command::Shutdown);
    world.run(SECOND / 10);
    assert!(world.latest(address(SERVER), "SIP/2.0 4").first().starts_with("SIP/2.0 480"));
    world.run(5 * SECOND);
    assert!(world.phones[0].events.contains(&Event::Finished));
    assert!(world.phones[0].streams.is_empty());
}

#[test]
fn without_ports_a_call_fails_here_and_may_ring_elsewhere() {
    let mut world = registered(11);
    world.phones[0].has_no_ports = true;
    let invite = request("INVITE", "sip:a@192.0.2.1", address(SERVER), "in", &sdp(address(SERVER), "sendrecv"));
    world.give(0, address(SERVER), &invite);
    world.run(SECOND);
    assert!(world.latest(address(SERVER), "SIP/2.0 4").first().starts_with("SIP/2.0 480"));
    assert_eq!(summary(&world).end, CallEnd::Failed);
    world.command(0, Command::Call { account: None, target: "600".to_owned() });
    world.run(SECOND);
    assert!(summary(&world).outgoing && summary(&world).cause.contains("none is free"));
    assert!(world.mail_for(address(SERVER)).iter().all(|letter| !letter.text.starts_with("INVITE")));
}

#[test]
fn shutdown_ends_at_every_stage() {
    let stages: [fn(&mut World); 5] = [
        |_| {},
        |world| world.command(0, Command::Call { account: None, target: "sip:x@nowhere.example".to_owned() }),
        |world| drop(call(world, "600")),
        |world| {
            let invite = call(world, "600");
            world.answer(0, &invite, "180 Ringing", "", "");
        },
        |world| world.command(0, Command::Unregister(world.phones[0].agent.snapshot(world.now).accounts[0].id)),
    ];
    for (number, stage) in stages.into_iter().enumerate() {
        let mut world = registered(20);
        stage(&mut world);
        world.command(0, Command::Shutdown);
        world.run(4 * SECOND);
        assert!(world.phones[0].events.contains(&Event::Finished), "stage {number}");
        assert!(world.phones[0].streams.is_empty(), "stage {number}");
    }
}
