//! Rules about calls: forwarding, do-not-disturb, intercom, dial plan, codes.
use crate::SECOND;
use crate::peer::{Letter, request, sdp};
use crate::world::{World, account, address, settings};
use offhook::base::id::StreamId;
use offhook::media::event::MediaEvent;
use offhook::media::spec::{MediaCommand, Ring, Tone};
use offhook::ua::command::Command;
use offhook::ua::dial_plan::Rule;
use offhook::ua::event::Event;
use offhook::ua::handling::{Handling, When};
use offhook::ua::snapshot::{CallEnd, CallState, CallSummary};
use std::time::Duration;

/// Phones 1 to 3; the second trusts the address of the first as its server.
fn world(seed: u64, handling: Handling) -> World {
    let mut second = account("phone2", address(1), false);
    (second.direct_calls, second.handling) = (false, handling);
    let plain = |n: u8| settings(vec![account(&format!("phone{n}"), address(n), false)]);
    World::new(vec![plain(1), settings(vec![second]), plain(3)], seed)
}

fn call(world: &mut World, from: usize, to: u8) {
    world.command(from, Command::Call { account: None, target: format!("phone{to}@192.0.2.{to}") });
    world.run(SECOND);
}

fn forward(when: When, to: &str) -> Command {
    Command::Forward { account: None, when: Some(when), to: Some(to.to_owned()), after: None }
}

fn summaries(world: &World, phone: usize) -> Vec<CallSummary> {
    let ended = |event: &Event| match event {
        Event::Ended { summary, .. } => Some((**summary).clone()),
        _ => None,
    };
    world.phones[phone].events.iter().filter_map(ended).collect()
}

fn refusals(world: &World, phone: usize) -> Vec<String> {
    let refused = |event: &Event| match event {
        Event::Refused { reason } => Some(reason.clone()),
        _ => None,
    };
    world.phones[phone].events.iter().filter_map(refused).collect()
}

fn rang(world: &World, phone: usize) -> bool {
    world.phones[phone].events.iter().any(|event| matches!(event, Event::Incoming { .. }))
}

/// An INVITE from what phone 2 takes for its server.
fn invite(world: &mut World, name: &str, headers: &str) {
    let text = request("INVITE", "sip:phone2@192.0.2.2", address(1), name, &sdp(address(1), "sendrecv"));
    let text = text.replacen("Max-Forwards", &format!("{headers}Max-Forwards"), 1);
    world.give(1, address(1), &text);
}

#[test]
fn all_calls_are_forwarded_and_the_caller_is_asked() {
    let mut world = world(80, Handling::default());
    world.command(1, forward(When::Always, "phone3@192.0.2.3"));
    let view = world.phones[1].agent.snapshot(world.now).accounts[0].clone();
    assert_eq!(view.forwarding.always.as_deref(), Some("phone3@192.0.2.3"));
    call(&mut world, 0, 2);
    assert!(!rang(&world, 1), "{:#?}", world.ladder);
    let CallState::Redirected { target } = world.call(0).state else { panic!("{:?}", world.call(0).state) };
    assert_eq!(target, "sip:phone3@192.0.2.3");
    let ended = summaries(&world, 1);
    assert_eq!((ended[0].end, ended[0].status), (CallEnd::Rejected, Some(302)));
    assert_eq!(ended[0].cause, "forwarded to phone3@192.0.2.3");
    let number = world.number(0);
    world.command(0, Command::Follow(number, true));
    world.run(SECOND);
    world.command(2, Command::Answer(world.number(2)));
    world.run(SECOND);
    assert!(world.is_established(0) && world.is_established(2), "{:#?}", world.ladder);
    // And no more.
    world.command(1, Command::Forward { account: None, when: None, to: None, after: None });
    call(&mut world, 2, 2);
    assert!(!rang(&world, 1), "strangers never ring");
    invite(&mut world, "again", "");
    assert!(rang(&world, 1));
}

#[test]
fn who_forwards_says_so() {
    let mut phone = account("phone1", address(9), false);
    (phone.direct_calls, phone.handling.forwarding.always) = (false, Some("604".to_owned()));
    let mut world = World::new(vec![settings(vec![phone])], 94);
    let text = request("INVITE", "sip:phone1@192.0.2.1", address(9), "a", &sdp(address(9), "sendrecv"));
    let earlier = "Diversion: <sip:x@192.0.2.8>;reason=user-busy\r\n";
    world.give(0, address(9), &text.replacen("Max-Forwards", &format!("{earlier}Max-Forwards"), 1));
    world.run(SECOND);
    let moved = world.latest(address(9), "SIP/2.0 302");
    assert_eq!(moved.header("Contact"), "<sip:604@192.0.2.9>");
    let diverted: Vec<&str> = moved.all("Diversion").collect();
    assert_eq!(
        diverted,
        ["<sip:phone1@192.0.2.9>;reason=unconditional;counter=1", "<sip:x@192.0.2.8>;reason=user-busy"]
    );
}

#[test]
fn calls_do_not_go_in_circles() {
    let mut world = world(81, Handling::default());
    world.command(1, forward(When::Always, "phone3@192.0.2.3"));
    for (name, headers) in [
        ("back", "Diversion: <sip:phone2@192.0.2.1>;reason=unconditional\r\n"),
        ("history", "History-Info: <sip:phone2@192.0.2.1>;index=1, <sip:y@192.0.2.9>;index=1.1;mp=1\r\n"),
        ("often", "Diversion: <sip:x@192.0.2.9>;counter=5\r\n"),
    ] {
        let before = world.phones[1].events.len();
        invite(&mut world, name, headers);
        let incoming = world.phones[1].events[before..].iter().any(|e| matches!(e, Event::Incoming { .. }));
        assert!(incoming, "{name}: it rings here");
    }
    // To itself, or to what cannot be called, nothing is forwarded.
    for to in ["phone2", "two words"] {
        world.command(1, forward(When::Always, to));
    }
    let refused = refusals(&world, 1);
    assert!(refused.len() == 2 && refused[0].contains("circle"), "{refused:?}");
    let forwarding = world.phones[1].agent.snapshot(world.now).accounts[0].forwarding.clone();
    assert_eq!(forwarding.always.as_deref(), Some("phone3@192.0.2.3"));
}

#[test]
fn calls_are_forwarded_when_busy_and_when_nobody_answers() {
    let mut world = world(82, Handling::default());
    world.command(1, forward(When::Busy, "phone3@192.0.2.3"));
    let after = Some(Duration::from_secs(15));
    let to = Some("604".to_owned());
    world.command(1, Command::Forward { account: None, when: Some(When::NoAnswer), to, after });
    call(&mut world, 0, 2);
    assert!(rang(&world, 1) && summaries(&world, 1).is_empty());
    // The second comes while the first rings.
    invite(&mut world, "second", "");
    assert_eq!(summaries(&world, 1)[0].cause, "forwarded to phone3@192.0.2.3: you were busy");
    world.run(13 * SECOND);
    assert_eq!(summaries(&world, 1).len(), 1);
    world.run(2 * SECOND);
    assert_eq!(summaries(&world, 1)[1].cause, "forwarded to 604: you did not answer");
    assert!(matches!(&world.call(0).state, CallState::Redirected { target } if target == "sip:604@192.0.2.1"));
    world.run(10 * SECOND);
    // Who is answered in time is not sent on.
    invite(&mut world, "third", "");
    world.command(1, Command::Answer(world.number(1)));
    world.run(20 * SECOND);
    assert!(!summaries(&world, 1).iter().any(|s| s.peer_name == "third" && s.status == Some(302)));
}

#[test]
fn who_is_not_to_be_disturbed_hears_nothing_and_sees_who_called() {
    let handling = Handling { do_not_disturb: true, ..Handling::default() };
    let mut world = world(83, handling);
    call(&mut world, 0, 2);
    assert!(!rang(&world, 1) && !world.phones[1].media.iter().any(|m| matches!(m, MediaCommand::Play(Some(_)))));
    let ended = summaries(&world, 1);
    assert_eq!((ended[0].end, ended[0].status, ended[0].peer_name.as_str()), (CallEnd::Missed, Some(486), "phone1"));
    assert_eq!(summaries(&world, 0)[0].status, Some(486));
    world.command(1, Command::DoNotDisturb { account: None, on: false });
    call(&mut world, 0, 2);
    assert!(rang(&world, 1));
}

fn listed() -> Handling {
    Handling { auto_answer_from: vec!["phone1".to_owned(), "boss@192.0.2.7".to_owned()], ..Handling::default() }
}

#[test]
fn a_listed_caller_is_answered_after_a_beep() {
    let mut world = world(84, listed());
    world.command(0, Command::Intercom { account: None, target: "phone2@192.0.2.2".to_owned() });
    world.run(SECOND / 2);
    let beeped = |world: &World| world.phones[1].media.contains(&MediaCommand::Play(Some(Tone::Intercom)));
    let rings = |m: &MediaCommand| matches!(m, MediaCommand::Play(Some(Tone::Ring(_))));
    assert!(beeped(&world) && !world.phones[1].media.iter().any(rings));
    assert!(!world.is_established(1), "the beep comes first");
    world.run(SECOND);
    assert!(world.is_established(1) && world.is_established(0), "{:#?}", world.ladder);
    let marked = |world: &World, phone: usize| world.phones[phone].agent.snapshot(world.now).calls[0].unattended;
    assert!(marked(&world, 1) && !marked(&world, 0));
    // It was not the user who answered: nobody is called for its caller.
    world.command(0, Command::Transfer { call: world.number(0), target: "phone3@192.0.2.3".to_owned() });
    world.run(SECOND);
    assert!(!rang(&world, 2) && world.is_established(1), "{:#?}", world.ladder);
    world.command(0, Command::HangUp(world.number(0)));
    world.run(SECOND);
    assert!(summaries(&world, 1)[0].unattended && !summaries(&world, 0)[0].unattended);
}

#[test]
fn nobody_else_opens_the_microphone() {
    let asks = "Call-Info: <sip:x>;answer-after=0\r\n";
    // Not on the list; on it by a name of another domain; without asking.
    for (name, headers) in [
        ("eve", asks.to_owned()),
        ("phone1", String::new()),
        ("phone1", format!("{asks}P-Asserted-Identity: <sip:eve@192.0.2.1>\r\n")),
        ("phone1", format!("{asks}Remote-Party-ID: <sip:phone1@192.0.2.1>;screen=no\r\n")),
        ("eve", format!("{asks}P-Asserted-Identity: <sip:phone1@192.0.2.8>\r\n")),
        ("eve", format!("{asks}P-Asserted-Identity: <sip:boss@192.0.2.1>\r\n")),
    ] {
        let mut world = world(85, listed());
        invite(&mut world, name, &headers);
        world.run(5 * SECOND);
        assert!(rang(&world, 1) && !world.is_established(1), "{name} {headers}");
    }
    for headers in ["P-Asserted-Identity: <sip:phone1@192.0.2.1>\r\n", "P-Asserted-Identity: <sip:boss@192.0.2.7>\r\n"]
    {
        let mut world = world(85, listed());
        invite(&mut world, "eve", &format!("{asks}{headers}"));
        world.run(5 * SECOND);
        assert!(world.is_established(1), "{headers}");
    }
    // The same words from somewhere else, where calls from anywhere ring.
    let mut second = account("phone2", address(1), false);
    second.handling = listed();
    let mut world = World::new(vec![settings(vec![account("x", address(1), false)]), settings(vec![second])], 86);
    let text = request("INVITE", "sip:phone2@192.0.2.2", address(9), "phone1", &sdp(address(9), "sendrecv"));
    let forged = "From: <sip:phone1@192.0.2.1>;tag=phone1";
    let text = text.replace("From: <sip:phone1@192.0.2.9:5060>;tag=phone1", &format!("{asks}{forged}"));
    assert!(text.contains(forged));
    world.give(1, address(9), &text);
    world.run(5 * SECOND);
    assert!(rang(&world, 1) && !world.is_established(1));
}

#[test]
fn an_intercom_call_rings_while_another_is_up() {
    let mut world = world(87, listed());
    invite(&mut world, "phone3", "");
    world.command(1, Command::Answer(world.number(1)));
    world.run(SECOND);
    let first = world.number(1);
    world.command(0, Command::Intercom { account: None, target: "phone2@192.0.2.2".to_owned() });
    world.run(5 * SECOND);
    assert!(world.number(1) != first && !world.is_established(1));
    assert!(world.phones[1].media.contains(&MediaCommand::Play(Some(Tone::CallWaiting))));
    // And one that waits for its beep goes on ringing when the user calls somebody meanwhile.
    let mut world = self::world(88, listed());
    invite(&mut world, "phone1", "Answer-Mode: Auto\r\n");
    let waiting = world.number(1);
    world.command(1, Command::Call { account: None, target: "phone3@192.0.2.3".to_owned() });
    world.run(5 * SECOND);
    let calls = world.phones[1].agent.snapshot(world.now).calls;
    let still = calls.iter().find(|call| call.number == waiting).expect("it rings");
    assert!(matches!(still.state, CallState::Ringing { .. }), "{:?}", still.state);
}

#[test]
fn a_caller_chooses_among_the_rings_of_the_phone() {
    for (value, ring) in
        [("<http://192.0.2.9/ring.wav>", Ring::Usual), ("<http://x>;info=alert-external", Ring::External)]
    {
        let mut world = world(89, Handling::default());
        invite(&mut world, "a", &format!("Alert-Info: {value}\r\n"));
        assert!(world.phones[1].media.contains(&MediaCommand::Play(Some(Tone::Ring(ring)))), "{value}");
    }
}

#[test]
fn the_dial_plan_holds_for_every_way_to_call() {
    let mut handling = Handling::default();
    handling.dial_plan.rules = vec![
        Rule::rewriting("0(ZX.)", "+49$1").expect("a rule"),
        Rule::blocking("0900.", "premium numbers are not called").expect("a rule"),
    ];
    handling.dial_plan.emergency = vec!["110".to_owned()];
    let mut world = world(90, handling);
    let call = |target: &str| Command::Call { account: None, target: target.to_owned() };
    for (typed, address) in [
        ("030 123", "+4930123@192.0.2.1"),
        ("110", "110@192.0.2.1"),
        ("bob", "bob@192.0.2.1"),
        ("030123@192.0.2.3", "030123@192.0.2.3"),
    ] {
        world.command(1, call(typed));
        assert_eq!(world.call(1).peer_address, address);
        world.command(1, Command::HangUp(world.number(1)));
    }
    let blocked = |world: &World| refusals(world, 1).iter().filter(|why| why.contains("premium numbers")).count();
    world.command(1, call("0900 1"));
    world.command(1, call("09001@192.0.2.3"));
    world.command(1, forward(When::Busy, "0900-1"));
    assert_eq!(blocked(&world), 3);
    world.command(1, forward(When::Busy, "030123"));
    world.command(1, Command::Plan { account: None, target: "030123".to_owned() });
    let plan = |event: &Event| match event {
        Event::Plan { answer, .. } => Some(answer.clone()),
        _ => None,
    };
    let answers: Vec<String> = world.phones[1].events.iter().filter_map(plan).collect();
    assert_eq!(answers, ["sip:+4930123@192.0.2.1, by the rule 0(ZX.)"]);
    // Neither by a transfer that the peer asks for, nor by following where it sends us.
    world.run(60 * SECOND);
    invite(&mut world, "phone1", "");
    world.command(1, Command::Answer(world.number(1)));
    world.run(SECOND);
    world.command(1, Command::Transfer { call: world.number(1), target: "0900 1".to_owned() });
    assert_eq!(blocked(&world), 4);
}

#[test]
fn a_peer_cannot_have_blocked_numbers_called() {
    let mut handling = Handling::default();
    handling.dial_plan.rules = vec![Rule::blocking("0900.", "premium").expect("a rule")];
    let mut world = world(91, handling);
    call(&mut world, 0, 2);
    world.command(1, Command::Answer(world.number(1)));
    world.run(SECOND);
    world.command(0, Command::Transfer { call: world.number(0), target: "09001@192.0.2.3".to_owned() });
    world.run(2 * SECOND);
    assert!(refusals(&world, 0).iter().any(|why| why.contains("transfer")), "{:?}", world.phones[0].events);
    assert_eq!(world.phones[1].agent.snapshot(world.now).calls.len(), 1);
    // A redirection to such a number is not followed either.
    let mut caller = account("phone1", address(1), false);
    caller.handling.dial_plan.rules = vec![Rule::blocking("0900.", "premium").expect("a rule")];
    let mut world = World::new(vec![settings(vec![caller])], 92);
    world.command(0, Command::Call { account: None, target: "x@192.0.2.9".to_owned() });
    world.run(SECOND);
    let invite = world.latest(address(9), "INVITE");
    world.answer(0, &invite, "302 Moved", "Contact: <sip:09001@192.0.2.9>\r\n", "");
    world.command(0, Command::Follow(world.number(0), true));
    world.run(SECOND);
    assert!(world.mail_for(address(9)).iter().all(|letter| !letter.text.starts_with("INVITE")));
    assert!(refusals(&world, 0)[0].contains("premium"));
}

#[test]
fn where_a_redirection_leads_is_tried_one_after_the_other_with_consent() {
    let mut world = World::direct(1, 95);
    world.command(0, Command::Call { account: None, target: "x@192.0.2.9".to_owned() });
    world.run(SECOND);
    let invite = world.latest(address(9), "INVITE");
    let contacts =
        "Contact: <sip:c@192.0.2.9>;q=0.2, <tel:+1>;q=0.9, <sip:a@192.0.2.9>;q=0.8, <sip:b@192.0.2.9>;q=0.5\r\n";
    world.answer(0, &invite, "300 Multiple Choices", contacts, "");
    for (user, status) in [("a", "486 Busy Here"), ("b", "480 Away"), ("c", "200 OK")] {
        let asked = format!("sip:{user}@192.0.2.9");
        let CallState::Redirected { target } = world.call(0).state else { panic!("{:?}", world.call(0).state) };
        assert_eq!(target, asked);
        world.run(SECOND);
        world.command(0, Command::Follow(world.number(0), true));
        world.run(SECOND / 10);
        let invite = world.latest(address(9), &format!("INVITE {asked} "));
        let body = if user == "c" { sdp(address(9), "sendrecv") } else { String::new() };
        let headers = "Contact: <sip:c@192.0.2.9>\r\nContent-Type: application/sdp\r\n";
        world.answer(0, &invite, status, if user == "c" { headers } else { "" }, &body);
    }
    assert!(world.is_established(0), "{:#?}", world.ladder);
    // Nobody is called whom the user was not asked about: no is the end of it.
    let mut world = World::direct(1, 96);
    world.command(0, Command::Call { account: None, target: "x@192.0.2.9".to_owned() });
    world.run(SECOND);
    let invite = world.latest(address(9), "INVITE");
    world.answer(0, &invite, "302 Moved", contacts, "");
    world.command(0, Command::Follow(world.number(0), false));
    world.run(SECOND);
    assert!(world.mail_for(address(9)).iter().all(|letter| !letter.text.starts_with("INVITE")));
    assert_eq!(summaries(&world, 0)[0].end, CallEnd::Refused);
}

#[test]
fn ringing_and_parked_calls_are_taken_by_codes() {
    let handling = Handling { park: "700".to_owned(), park_slots: vec!["701".to_owned()], ..Handling::default() };
    let mut world = world(93, handling);
    for (command, dialled) in [
        (Command::PickUp { account: None, whom: Some("1002".to_owned()) }, "**1002@192.0.2.1"),
        (Command::PickUp { account: None, whom: None }, "*8@192.0.2.1"),
        (Command::Unpark { account: None, slot: "701".to_owned() }, "701@192.0.2.1"),
    ] {
        world.command(1, command);
        assert_eq!(world.call(1).peer_address, dialled);
        world.command(1, Command::HangUp(world.number(1)));
    }
    world.run(60 * SECOND);
    call(&mut world, 0, 2);
    world.command(1, Command::Answer(world.number(1)));
    world.run(SECOND);
    world.command(1, Command::Park { call: world.number(1), slot: None });
    world.run(SECOND);
    // The other side was asked to call where calls are parked; it says it got through.
    let asked = world.ladder.iter().any(|line| line.contains("REFER"));
    assert!(asked, "{:#?}", world.ladder);
    world.command(1, Command::Park { call: world.number(1), slot: Some("bad slot".to_owned()) });
    assert!(!refusals(&world, 1).is_empty());
}

/// A response of one of several phones that are called at once.
fn respond(world: &mut World, invite: &Letter, status: &str, tag: &str, port: Option<u16>) {
    let body = port.map(|port| sdp(address(9), "sendrecv").replace("4000", &port.to_string())).unwrap_or_default();
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    let copied = ["Via", "From", "Call-ID", "CSeq"].map(|name| format!("{name}: {}\r\n", invite.header(name)));
    let text = format!(
        "SIP/2.0 {status}\r\n{}To: {};tag={tag}\r\nContact: <sip:{tag}@192.0.2.9>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
        copied.concat(),
        invite.header("To"),
        body.len()
    );
    world.give(0, address(9), &text);
}

#[test]
fn ringback_is_made_here_until_somebody_is_heard_whoever_else_rings() {
    let called = |seed| {
        let mut world = World::direct(1, seed);
        world.command(0, Command::Call { account: None, target: "x@192.0.2.9".to_owned() });
        world.run(SECOND);
        let invite = world.latest(address(9), "INVITE");
        (world, invite)
    };
    let tone = |world: &World| {
        let played = world.phones[0].media.iter().rev().find_map(|m| match m {
            MediaCommand::Play(tone) => Some(*tone),
            _ => None,
        });
        played.flatten()
    };
    let heard = |world: &mut World| {
        let (now, stream) = (world.now, StreamId(world.number(0).0));
        world.phones[0].agent.handle_media(now, MediaEvent::Flowing { stream });
        world.drain();
    };
    // Only 180 rings (RFC 3960); what was promised and does not come is not waited for in silence.
    let (mut world, invite) = called(97);
    respond(&mut world, &invite, "183 Session Progress", "a", None);
    assert_eq!(tone(&world), None);
    respond(&mut world, &invite, "180 Ringing", "a", Some(4100));
    assert_eq!(tone(&world), Some(Tone::Ringback));
    heard(&mut world);
    assert_eq!(tone(&world), None);
    // One phone plays, then another rings: what is heard goes on, and the answer of either counts.
    for (answers, port) in [("a", 4100), ("b", 4200)] {
        let (mut world, invite) = called(98);
        respond(&mut world, &invite, "183 Session Progress", "a", Some(4100));
        heard(&mut world);
        respond(&mut world, &invite, "180 Ringing", "b", None);
        world.run(SECOND);
        assert_eq!(tone(&world), None);
        assert_eq!(world.call(0).state, CallState::Ringing { early_media: true });
        assert_eq!(world.spec(0).remote_rtp.port(), 4100);
        respond(&mut world, &invite, "200 OK", answers, Some(port));
        world.run(SECOND);
        assert!(world.is_established(0) && tone(&world).is_none());
        assert_eq!(world.spec(0).remote_rtp.port(), port, "{answers}");
    }
    // Two phones play: the last one that began is heard.
    let (mut world, invite) = called(99);
    respond(&mut world, &invite, "180 Ringing", "b", None);
    assert_eq!(tone(&world), Some(Tone::Ringback));
    respond(&mut world, &invite, "183 Session Progress", "a", Some(4100));
    respond(&mut world, &invite, "183 Session Progress", "b", Some(4200));
    heard(&mut world);
    assert_eq!((tone(&world), world.spec(0).remote_rtp.port()), (None, 4200));
}
