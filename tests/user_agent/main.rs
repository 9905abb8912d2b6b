//! Whole calls between user agents, in virtual time.
mod capabilities;
mod conference;
mod digits;
mod early;
mod encrypted;
mod failover;
mod handling;
mod hostile;
mod ice;
mod identity;
mod media_host;
mod peer;
mod presence;
mod recording;
mod recovery;
mod registering;
mod reload;
mod secure;
mod served;
mod taking;
mod texting;
mod transfer;
mod watch;
mod world;

use offhook::base::net::{Flow, Received, Transport};
use offhook::media::spec::{Codec, Direction, MediaCommand, Ring, Tone};
use offhook::ua::command::{Command, Rejection};
use offhook::ua::event::Event;
use offhook::ua::snapshot::{CallEnd, CallState, CallSummary};
use std::time::Duration;
use world::World;

const SECOND: Duration = Duration::from_secs(1);

fn calling(seed: u64) -> World {
    let mut world = World::direct(2, seed);
    world.command(0, Command::Call { account: None, target: "phone2@192.0.2.2".to_owned() });
    world.run(SECOND);
    world
}

fn talking(seed: u64) -> World {
    let mut world = calling(seed);
    world.command(1, Command::Answer(world.number(1)));
    world.run(SECOND);
    assert!(world.is_established(0) && world.is_established(1), "{:#?}", world.ladder);
    world
}

fn summary(world: &World, phone: usize) -> CallSummary {
    let ended = world.phones[phone].events.iter().rev().find_map(|e| match e {
        Event::Ended { summary, .. } => Some((**summary).clone()),
        _ => None,
    });
    ended.unwrap_or_else(|| panic!("the call of phone {phone} has not ended: {:#?}", world.ladder))
}

#[test]
fn a_call_rings_is_answered_and_ends() {
    let mut world = calling(1);
    assert!(matches!(world.call(0).state, CallState::Ringing { .. }));
    assert_eq!(world.call(1).peer_name, "phone1");
    assert!(world.phones[1].media.contains(&MediaCommand::Play(Some(Tone::Ring(Ring::Usual)))));
    assert!(world.phones[0].media.contains(&MediaCommand::Play(Some(Tone::Ringback))));
    world.command(1, Command::Answer(world.number(1)));
    world.run(SECOND);
    assert!(world.is_established(0) && world.is_established(1), "{:#?}", world.ladder);
    let (ours, theirs) = (world.spec(0), world.spec(1));
    assert_eq!((ours.send.codec, theirs.send.codec), (Codec::Opus, Codec::Opus));
    assert_eq!(ours.remote_rtp.ip(), world.phones[1].address.ip());
    assert_eq!((ours.direction, theirs.direction), (Direction::SendRecv, Direction::SendRecv));
    world.command(0, Command::HangUp(world.number(0)));
    world.run(SECOND);
    assert_eq!((summary(&world, 0).end, summary(&world, 1).end), (CallEnd::Normal, CallEnd::Normal));
    assert!(world.phones.iter().all(|p| p.streams.is_empty()), "streams are closed");
    world.run(60 * SECOND);
    assert!(world.phones.iter().all(|p| p.agent.snapshot(world.now).calls.is_empty()), "the dead are buried");
}

#[test]
fn the_callee_refuses() {
    for (rejection, status) in [(Rejection::Busy, 486), (Rejection::Decline, 603)] {
        let mut world = calling(2);
        world.command(1, Command::Reject(world.number(1), rejection));
        world.run(SECOND);
        let ended = summary(&world, 0);
        assert_eq!((ended.end, ended.status), (CallEnd::Refused, Some(status)), "{}", ended.cause);
        assert_eq!(summary(&world, 1).end, CallEnd::Rejected);
    }
}

#[test]
fn the_caller_gives_up_before_the_answer() {
    let mut world = calling(3);
    world.command(0, Command::HangUp(world.number(0)));
    world.run(SECOND);
    assert_eq!((summary(&world, 0).end, summary(&world, 1).end), (CallEnd::Cancelled, CallEnd::Missed));
}

#[test]
fn nobody_is_there() {
    let mut world = World::direct(1, 4);
    world.command(0, Command::Call { account: None, target: "ghost@192.0.2.9".to_owned() });
    world.run(40 * SECOND);
    let ended = summary(&world, 0);
    assert_eq!((ended.end, ended.status), (CallEnd::Failed, Some(408)));
    world.command(0, Command::Call { account: None, target: "ghost@nowhere.example".to_owned() });
    world.run(SECOND);
    assert_eq!(summary(&world, 0).cause, "no such name");
}

#[test]
fn hold_and_resume_from_either_side() {
    let mut world = talking(5);
    world.command(0, Command::Hold(world.number(0)));
    world.run(SECOND);
    assert!(world.call(0).held_by_us && world.call(1).held_by_peer, "{:#?}", world.ladder);
    assert_eq!((world.spec(0).direction, world.spec(1).direction), (Direction::SendOnly, Direction::RecvOnly));
    world.command(1, Command::Hold(world.number(1)));
    world.run(SECOND);
    assert!(world.call(0).held_by_peer && world.call(1).held_by_us);
    assert_eq!((world.spec(0).direction, world.spec(1).direction), (Direction::Inactive, Direction::Inactive));
    world.command(0, Command::Resume(world.number(0)));
    world.command(1, Command::Resume(world.number(1)));
    world.run(10 * SECOND);
    assert_eq!((world.spec(0).direction, world.spec(1).direction), (Direction::SendRecv, Direction::SendRecv));
    assert!(!world.call(0).held_by_us && !world.call(0).held_by_peer && !world.call(1).held_by_us);
}

#[test]
fn both_sides_hold_at_the_same_instant() {
    let mut world = talking(6);
    world.command(0, Command::Hold(world.number(0)));
    world.command(1, Command::Hold(world.number(1)));
    world.run(15 * SECOND);
    assert!(world.ladder.iter().any(|line| line.contains("491")), "no glare: {:#?}", world.ladder);
    assert_eq!((world.spec(0).direction, world.spec(1).direction), (Direction::Inactive, Direction::Inactive));
}

#[test]
fn a_second_call_waits_is_taken_and_swapped() {
    let mut world = World::direct(3, 7);
    world.command(0, Command::Call { account: None, target: "phone2@192.0.2.2".to_owned() });
    world.run(SECOND);
    world.command(1, Command::Answer(world.number(1)));
    world.run(SECOND);
    world.command(2, Command::Call { account: None, target: "phone2@192.0.2.2".to_owned() });
    world.run(SECOND);
    assert!(world.phones[1].media.contains(&MediaCommand::Play(Some(Tone::CallWaiting))));
    let calls = world.phones[1].agent.snapshot(world.now).calls;
    let (first, second) = (calls[0].number, calls[1].number);
    world.command(1, Command::Answer(second));
    world.run(SECOND);
    let held = |world: &World| {
        let snapshot = world.phones[1].agent.snapshot(world.now);
        (snapshot.focus, snapshot.calls[0].held_by_us, snapshot.calls[1].held_by_us)
    };
    assert_eq!(held(&world), (Some(second), true, false));
    world.command(1, Command::Switch(first));
    world.run(SECOND);
    assert_eq!(held(&world), (Some(first), false, true));
    world.command(1, Command::HangUp(first));
    world.run(SECOND);
    assert_eq!(world.phones[1].agent.snapshot(world.now).focus, Some(second));
}

#[test]
fn half_of_all_datagrams_are_lost_and_both_ends_agree() {
    for seed in 0..20 {
        let mut world = World::direct(2, seed);
        world.loss = 0.4;
        world.command(0, Command::Call { account: None, target: "phone2@192.0.2.2".to_owned() });
        world.run(20 * SECOND);
        let Some(call) = world.phones[1].agent.snapshot(world.now).calls.last().map(|c| c.number) else { continue };
        world.command(1, Command::Answer(call));
        world.run(20 * SECOND);
        world.command(0, Command::HangUp(world.number(0)));
        world.run(120 * SECOND);
        for phone in 0..2 {
            assert!(world.phones[phone].streams.is_empty(), "seed {seed}: a stream is left over {:#?}", world.ladder);
            summary(&world, phone);
        }
    }
}

#[test]
fn digits_are_sent_one_after_the_other() {
    let mut world = talking(8);
    world.phones[0].media.clear();
    world.command(0, Command::Digits(world.number(0), "12,#".to_owned()));
    world.run(Duration::from_millis(500));
    let sent = |world: &World| {
        let digits = world.phones[0].media.iter().filter_map(|m| match m {
            MediaCommand::SendDigit { digit, .. } => Some(digit.to_char()),
            _ => None,
        });
        digits.collect::<String>()
    };
    assert_eq!(sent(&world), "12", "the comma waits");
    world.run(2 * SECOND);
    assert_eq!(sent(&world), "12#");
    world.command(0, Command::Digits(world.number(0), "1x".to_owned()));
    assert!(matches!(world.phones[0].events.last(), Some(Event::Refused { .. })));
}

#[test]
fn strangers_do_not_ring() {
    let server = world::address(9);
    let mut world = World::new(vec![world::settings(vec![world::account("a", server, true)])], 9);
    let flow = Flow::new(Transport::Udp, world::address(1), world::address(66));
    let invite = "INVITE sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.66;branch=z9hG4bKx\r\nMax-Forwards: 70\r\n\
                  From: <sip:scanner@192.0.2.66>;tag=1\r\nTo: <sip:a@192.0.2.1>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\
                  Contact: <sip:scanner@192.0.2.66>\r\nContent-Length: 0\r\n\r\n";
    let now = world.now;
    world.phones[0].agent.handle_received(now, Received { flow, bytes: invite.as_bytes().to_vec().into() });
    world.run(SECOND);
    assert!(world.phones[0].agent.snapshot(world.now).calls.is_empty());
    assert_eq!(world.phones[0].agent.snapshot(world.now).counters.strangers, 1);
    assert!(world.ladder.iter().any(|line| line.contains("SIP/2.0 403")), "{:?}", world.ladder);
}

#[test]
fn shutdown_ends_calls_and_tells() {
    let mut world = talking(10);
    world.command(0, Command::Shutdown);
    world.run(SECOND);
    assert!(world.phones[0].events.contains(&Event::Finished));
    assert_eq!(summary(&world, 1).end, CallEnd::Normal);
}
