//! A domain with several servers, some of which fail; the test plays them line by line.
use crate::peer::{Letter, sdp};
use crate::world::{World, account, address, settings};
use offhook::base::id::AccountId;
use offhook::base::net::{Flow, Received, Transport};
use offhook::sip::message::Host;
use offhook::ua::command::Command;
use offhook::ua::event::Event;
use offhook::ua::snapshot::{CallEnd, CallState, CallSummary, RegistrationState};
use std::net::SocketAddr;
use std::time::Duration;

const MOMENT: Duration = Duration::from_millis(50);
const SECOND: Duration = Duration::from_secs(1);
const SILENCE: Duration = Duration::from_secs(3);

const SERVER: u8 = 9;
const FIRST: u8 = 11;
const SECOND_BEST: u8 = 12;

fn world(servers: &[u8]) -> World {
    let mut world = World::direct(1, 5);
    let servers = servers.iter().map(|n| (Transport::Udp, address(*n))).collect();
    world.names.insert("pbx.example".to_owned(), servers);
    world
}

fn call(world: &mut World) {
    world.command(0, Command::Call { account: None, target: "bob@pbx.example".to_owned() });
    world.run(MOMENT);
}

/// An answer of a server, in a dialog of its own; the phone has dealt with it then.
fn answer(world: &mut World, request: &Letter, status: &str, headers: &str) {
    let from = request.flow.remote;
    let SocketAddr::V4(v4) = from else { panic!("IPv4 here") };
    let number = v4.ip().octets()[3];
    let success = status.starts_with('2') && request.first().starts_with("INVITE");
    let body = if success { sdp(from, "sendrecv") } else { String::new() };
    let mut text = format!("SIP/2.0 {status}\r\n");
    for name in ["Via", "From", "Call-ID", "CSeq"] {
        request.all(name).for_each(|value| text += &format!("{name}: {value}\r\n"));
    }
    let tag = if request.header("To").contains("tag=") { String::new() } else { format!(";tag=server{number}") };
    text += &format!("To: {}{tag}\r\nContact: <sip:bob@{from}>\r\n{headers}", request.header("To"));
    if success {
        text += "Content-Type: application/sdp\r\n";
    }
    text += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
    let flow = Flow { local: world.phones[0].address, ..request.flow };
    let now = world.now;
    world.phones[0].agent.handle_received(now, Received { flow, bytes: text.into_bytes().into() });
    world.drain();
    world.run(MOMENT);
}

/// What a server was sent since the last look, as methods.
fn methods(world: &mut World, server: u8) -> Vec<String> {
    let mail = world.mail_for(address(server));
    mail.iter().map(|letter| letter.first().split(' ').next().unwrap_or_default().to_owned()).collect()
}

fn summary(world: &World) -> Option<CallSummary> {
    world.phones[0].events.iter().rev().find_map(|event| match event {
        Event::Ended { summary, .. } => Some((**summary).clone()),
        _ => None,
    })
}

fn connected(world: &World) -> usize {
    world.phones[0].events.iter().filter(|event| matches!(event, Event::Established(_))).count()
}

/// The call as it goes out first, then to the second server after silence.
fn after_silence(world: &mut World) -> (Letter, Letter) {
    call(world);
    let first = world.latest(address(FIRST), "INVITE");
    world.run(SILENCE);
    let second = world.latest(address(SECOND_BEST), "INVITE");
    world.mail_for(address(FIRST));
    (first, second)
}

#[test]
fn a_server_out_of_service_is_told_the_user_only_where_there_is_no_other() {
    let mut world = world(&[FIRST]);
    call(&mut world);
    let invite = world.latest(address(FIRST), "INVITE");
    answer(&mut world, &invite, "503 Service Unavailable", "");
    let ended = summary(&world).expect("it is over");
    assert_eq!((ended.end, ended.status), (CallEnd::Refused, Some(503)), "{}", ended.cause);
}

#[test]
fn the_last_cause_counts_where_all_fail() {
    let mut world = world(&[FIRST, SECOND_BEST, 13]);
    call(&mut world);
    let invite = world.latest(address(FIRST), "INVITE");
    answer(&mut world, &invite, "503 Service Unavailable", "");
    let invite = world.latest(address(SECOND_BEST), "INVITE");
    let now = world.now;
    world.phones[0].agent.handle_refused(now, invite.flow, "connection refused");
    world.drain();
    world.run(MOMENT);
    let invite = world.latest(address(13), "INVITE");
    answer(&mut world, &invite, "503 Still Unavailable", "");
    let ended = summary(&world).expect("it is over");
    assert_eq!((ended.end, ended.status), (CallEnd::Refused, Some(503)), "{}", ended.cause);
    assert_eq!(methods(&mut world, FIRST), ["ACK"]);
}

#[test]
fn the_answer_of_a_person_is_an_answer() {
    for status in ["486 Busy Here", "404 Not Found", "500 Broken", "603 Decline"] {
        let mut world = world(&[FIRST, SECOND_BEST]);
        call(&mut world);
        let invite = world.latest(address(FIRST), "INVITE");
        answer(&mut world, &invite, status, "");
        assert!(summary(&world).is_some(), "{status}");
        world.run(SILENCE);
        assert!(methods(&mut world, SECOND_BEST).is_empty(), "{status}");
    }
}

#[test]
fn whoever_hung_up_rings_nowhere_else() {
    for silent in [false, true] {
        let mut world = world(&[FIRST, SECOND_BEST]);
        call(&mut world);
        let invite = world.latest(address(FIRST), "INVITE");
        world.command(0, Command::HangUp(world.number(0)));
        if !silent {
            answer(&mut world, &invite, "503 Service Unavailable", "");
        }
        world.run(40 * SECOND);
        assert!(methods(&mut world, SECOND_BEST).is_empty(), "{:#?}", world.ladder);
        assert_eq!(summary(&world).map(|s| s.end), Some(CallEnd::Cancelled));
    }
}

#[test]
fn the_next_server_is_tried_at_once() {
    for refused in [false, true] {
        let mut world = world(&[FIRST, SECOND_BEST]);
        call(&mut world);
        let first = world.latest(address(FIRST), "INVITE");
        let before = world.now;
        if refused {
            world.phones[0].agent.handle_refused(before, first.flow, "connection refused");
            world.drain();
            world.run(MOMENT);
        } else {
            answer(&mut world, &first, "503 Service Unavailable", "");
            assert_eq!(methods(&mut world, FIRST), ["ACK"]);
        }
        let second = world.latest(address(SECOND_BEST), "INVITE");
        assert!(world.now - before < Duration::from_millis(100));
        for same in ["Call-ID", "From", "To", "CSeq"] {
            assert_eq!(second.header(same), first.header(same), "{same}");
        }
        assert_ne!(second.header("Via"), first.header("Via"), "another branch");
        answer(&mut world, &second, "200 OK", "");
        assert!(world.is_established(0));
        // All that follows goes to the one that answered.
        world.command(0, Command::HangUp(world.number(0)));
        world.run(MOMENT);
        assert_eq!(methods(&mut world, SECOND_BEST), ["ACK", "BYE"]);
        assert!(methods(&mut world, FIRST).is_empty());
    }
}

#[test]
fn a_silent_server_is_given_up_after_three_seconds_and_its_late_ringing_cancelled() {
    let mut world = world(&[FIRST, SECOND_BEST]);
    call(&mut world);
    let first = world.latest(address(FIRST), "INVITE");
    world.run(SILENCE - 2 * MOMENT);
    assert!(methods(&mut world, SECOND_BEST).is_empty());
    world.run(2 * MOMENT);
    let second = world.latest(address(SECOND_BEST), "INVITE");
    answer(&mut world, &second, "180 Ringing", "");
    world.mail_for(address(FIRST));
    answer(&mut world, &first, "180 Ringing", "");
    let cancel = world.latest(address(FIRST), "CANCEL");
    assert_eq!(cancel.header("Via"), first.header("Via"), "the same branch");
    answer(&mut world, &cancel, "200 OK", "");
    answer(&mut world, &first, "487 Request Terminated", "");
    assert_eq!(methods(&mut world, FIRST), ["ACK"]);
    assert!(matches!(world.call(0).state, CallState::Ringing { .. }));
    answer(&mut world, &second, "200 OK", "");
    assert!(world.is_established(0));
    assert_eq!(methods(&mut world, SECOND_BEST), ["ACK"]);
}

#[test]
fn who_answers_within_three_seconds_is_waited_for() {
    let mut world = world(&[FIRST, SECOND_BEST]);
    call(&mut world);
    let first = world.latest(address(FIRST), "INVITE");
    world.run(2 * SECOND);
    answer(&mut world, &first, "100 Trying", "");
    world.run(60 * SECOND);
    assert!(methods(&mut world, SECOND_BEST).is_empty());
}

#[test]
fn a_late_answer_ends_without_anybody_noticing() {
    // Whether the other server has answered or only rings by then.
    for answered in [true, false] {
        let mut world = world(&[FIRST, SECOND_BEST]);
        let (first, second) = after_silence(&mut world);
        answer(&mut world, &second, if answered { "200 OK" } else { "180 Ringing" }, "");
        answer(&mut world, &first, "200 OK", "");
        let mail = world.mail_for(address(FIRST));
        assert_eq!(mail.iter().map(|l| l.first().split(' ').next().unwrap()).collect::<Vec<_>>(), ["ACK", "BYE"]);
        assert!(mail.iter().all(|letter| letter.header("To").contains("tag=server11")), "{mail:#?}");
        // Its ACK was lost: once more, and no second BYE.
        answer(&mut world, &first, "200 OK", "");
        answer(&mut world, &mail[1], "200 OK", "");
        assert_eq!(methods(&mut world, FIRST), ["ACK"], "answered: {answered}");
        if !answered {
            assert!(matches!(world.call(0).state, CallState::Ringing { .. }));
            answer(&mut world, &second, "200 OK", "");
        }
        assert!(world.is_established(0), "{:#?}", world.ladder);
        assert_eq!(connected(&world), 1);
        assert_eq!(world.spec(0).remote_rtp.ip(), address(SECOND_BEST).ip());
        world.command(0, Command::HangUp(world.number(0)));
        world.run(MOMENT);
        assert_eq!(methods(&mut world, SECOND_BEST).last().map(String::as_str), Some("BYE"));
    }
}

#[test]
fn a_very_late_answer_ends_too() {
    let mut world = world(&[FIRST, SECOND_BEST]);
    let (first, second) = after_silence(&mut world);
    answer(&mut world, &second, "180 Ringing", "");
    // The transaction of the first is long over.
    world.run(60 * SECOND);
    world.mail_for(address(FIRST));
    answer(&mut world, &first, "200 OK", "");
    assert!(!world.is_established(0), "{:#?}", world.ladder);
    answer(&mut world, &second, "200 OK", "");
    assert_eq!(world.spec(0).remote_rtp.ip(), address(SECOND_BEST).ip());
}

#[test]
fn the_slow_server_is_taken_where_nobody_else_is_left() {
    for status in ["503 Service Unavailable", "482 Loop Detected"] {
        let mut world = world(&[FIRST, SECOND_BEST]);
        let (first, second) = after_silence(&mut world);
        answer(&mut world, &second, status, "");
        assert!(summary(&world).is_none(), "{status}: the first may still answer");
        answer(&mut world, &first, "180 Ringing", "");
        assert!(matches!(world.call(0).state, CallState::Ringing { .. }));
        answer(&mut world, &first, "200 OK", "");
        assert!(world.is_established(0), "{:#?}", world.ladder);
        assert_eq!(methods(&mut world, FIRST), ["ACK"]);
    }
}

#[test]
fn of_two_silent_servers_the_first_to_speak_is_taken() {
    let mut world = world(&[FIRST, SECOND_BEST]);
    let (first, second) = after_silence(&mut world);
    answer(&mut world, &first, "180 Ringing", "");
    answer(&mut world, &second, "180 Ringing", "");
    assert_eq!(methods(&mut world, SECOND_BEST).last().map(String::as_str), Some("CANCEL"));
    answer(&mut world, &first, "200 OK", "");
    assert!(world.is_established(0));
    assert_eq!(world.spec(0).remote_rtp.ip(), address(FIRST).ip());
}

#[test]
fn a_dead_domain_is_told_when_the_last_server_is_waited_for() {
    let mut world = world(&[FIRST, SECOND_BEST, 13]);
    call(&mut world);
    world.run(2 * SILENCE + 31 * SECOND);
    assert!(summary(&world).is_none());
    world.run(10 * SECOND);
    assert_eq!(summary(&world).map(|s| s.end), Some(CallEnd::Failed));
}

#[test]
fn a_server_that_failed_comes_last_for_a_while() {
    // Retry-After, and for how long the server is avoided.
    for (header, avoided) in [("", 60), ("Retry-After: 20 (soon)\r\n", 20)] {
        let mut world = world(&[FIRST, SECOND_BEST]);
        world.fresh = Duration::from_secs(3600);
        call(&mut world);
        let first = world.latest(address(FIRST), "INVITE");
        answer(&mut world, &first, "503 Service Unavailable", header);
        let failed = world.now;
        let next = |world: &mut World| {
            call(world);
            let mail: Vec<Letter> = [FIRST, SECOND_BEST].iter().flat_map(|n| world.mail_for(address(*n))).collect();
            let invites: Vec<&Letter> = mail.iter().filter(|l| l.first().starts_with("INVITE")).collect();
            let chosen = invites.last().map(|l| (*l).clone()).expect("a call went out");
            answer(world, &chosen, "486 Busy Here", "");
            chosen.flow.remote
        };
        let second = world.latest(address(SECOND_BEST), "INVITE");
        answer(&mut world, &second, "486 Busy Here", "");
        assert_eq!(next(&mut world), address(SECOND_BEST));
        world.run(failed + Duration::from_secs(avoided - 2) - world.now);
        assert_eq!(next(&mut world), address(SECOND_BEST), "{header:?}");
        world.run(2 * SECOND);
        assert_eq!(next(&mut world), address(FIRST), "{header:?}");
    }
}

#[test]
fn questions_go_on_to_the_next_server_too() {
    let mut world = world(&[FIRST, SECOND_BEST, 13]);
    world.command(0, Command::Query { account: None, target: "bob@pbx.example".to_owned() });
    world.run(MOMENT);
    let first = world.latest(address(FIRST), "OPTIONS");
    world.run(SILENCE);
    let second = world.latest(address(SECOND_BEST), "OPTIONS");
    assert_eq!(first.header("Call-ID"), second.header("Call-ID"));
    answer(&mut world, &second, "503 Service Unavailable", "");
    let third = world.latest(address(13), "OPTIONS");
    answer(&mut world, &third, "200 OK", "Allow: INVITE\r\n");
    // The first one's answer comes too late for anything.
    answer(&mut world, &first, "200 OK", "Allow: BYE\r\n");
    let told: Vec<&Event> = world.phones[0].events.iter().filter(|e| matches!(e, Event::Capabilities { .. })).collect();
    assert!(matches!(told[..], [Event::Capabilities { answer, .. }] if answer.contains("INVITE")), "{told:?}");
}

#[test]
fn within_a_dialog_the_way_is_kept_until_it_breaks() {
    let mut world = world(&[FIRST, SECOND_BEST]);
    call(&mut world);
    let first = world.latest(address(FIRST), "INVITE");
    answer(&mut world, &first, "503 Service Unavailable", "");
    let second = world.latest(address(SECOND_BEST), "INVITE");
    answer(&mut world, &second, "200 OK", "Record-Route: <sip:pbx.example;lr>\r\n");
    // The first is well again, and the answer of the name servers has grown old.
    world.run(Duration::from_secs(120));
    world.command(0, Command::Hold(world.number(0)));
    world.run(MOMENT);
    let hold = world.latest(address(SECOND_BEST), "INVITE");
    assert!(hold.header("Route").contains("pbx.example"), "{}", hold.text);
    answer(&mut world, &hold, "200 OK", "");
    assert!(world.call(0).held_by_us);
    world.mail_for(address(FIRST));
    world.command(0, Command::HangUp(world.number(0)));
    world.run(MOMENT);
    let bye = world.latest(address(SECOND_BEST), "BYE");
    // A server of that name knows the dialog as well as the other.
    let now = world.now;
    world.phones[0].agent.handle_refused(now, bye.flow, "connection refused");
    world.drain();
    world.run(MOMENT);
    assert_eq!(methods(&mut world, FIRST), ["BYE"]);
}

#[test]
fn a_registration_moves_on_and_calls_follow_it() {
    // What the first server does: refuses, says 503, says nothing; and how soon the second is asked.
    for (what, limit) in [("refused", MOMENT), ("503", MOMENT), ("silent", SILENCE + MOMENT)] {
        let mut account = account("a", address(SERVER), false);
        account.domain = Host::Name("pbx.example".to_owned());
        account.transport = None;
        let mut world = World::new(vec![settings(vec![account])], 7);
        let servers = [FIRST, SECOND_BEST].map(|n| (Transport::Udp, address(n)));
        world.names.insert("pbx.example".to_owned(), servers.to_vec());
        world.command(0, Command::Register(AccountId(0)));
        world.run(MOMENT);
        let register = world.latest(address(FIRST), "REGISTER");
        let before = world.now;
        match what {
            "refused" => {
                world.phones[0].agent.handle_refused(before, register.flow, "connection refused");
                world.drain();
            }
            "503" => answer(&mut world, &register, "503 Service Unavailable", "Retry-After: 5\r\n"),
            _ => {}
        }
        world.run(limit);
        let register = world.latest(address(SECOND_BEST), "REGISTER");
        let contact = register.header("Contact");
        answer(&mut world, &register, "200 OK", &format!("Contact: {contact};expires=600\r\n"));
        let state = &world.phones[0].agent.snapshot(world.now).accounts[0].state;
        assert!(matches!(state, RegistrationState::Registered { .. }), "{what}: {state:?}");
        // The first that said 503 is avoided no longer; the account stays where it is registered.
        world.run(10 * SECOND);
        world.mail.clear();
        world.command(0, Command::Call { account: None, target: "600@pbx.example".to_owned() });
        world.run(MOMENT);
        assert_eq!(methods(&mut world, SECOND_BEST), ["INVITE"], "{what}");
    }
}
