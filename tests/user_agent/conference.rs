//! Several calls that hear each other.
use crate::SECOND;
use crate::world::World;
use offhook::base::id::{CallNumber, StreamId};
use offhook::media::spec::{Direction, MediaCommand};
use offhook::ua::command::Command;
use offhook::ua::event::Event;

/// A phone that talks to as many others: calls 1, 2, 3, ..., all but the last are held.
fn talking(others: u32, seed: u64) -> World {
    let mut world = World::direct(others as u8 + 1, seed);
    for n in 1..=others {
        let target = format!("phone{0}@192.0.2.{0}", n + 1);
        world.command(0, Command::Call { account: None, target });
        world.run(SECOND);
        world.command(n as usize, Command::Answer(CallNumber(1)));
        world.run(SECOND);
    }
    assert_eq!(on_hold(&world), (1..others).collect::<Vec<_>>(), "{:#?}", world.ladder);
    world
}

fn on_hold(world: &World) -> Vec<u32> {
    let calls = world.phones[0].agent.snapshot(world.now).calls;
    calls.iter().filter(|call| call.held_by_us).map(|call| call.number.0).collect()
}

fn inside(world: &World) -> Vec<u32> {
    let calls = world.phones[0].agent.snapshot(world.now).calls;
    calls.iter().filter(|call| call.in_conference).map(|call| call.number.0).collect()
}

/// Who is heard, as media was told last.
fn heard(world: &World) -> Vec<u32> {
    let focus = |command: &MediaCommand| match command {
        MediaCommand::Focus { streams } => Some(streams.iter().map(|stream| stream.0).collect()),
        _ => None,
    };
    world.phones[0].media.iter().rev().find_map(focus).unwrap_or_default()
}

fn join(world: &mut World, one: u32, other: u32) {
    world.command(0, Command::Join(CallNumber(one), CallNumber(other)));
    world.run(SECOND);
}

fn refusals(world: &World) -> usize {
    world.phones[0].events.iter().filter(|event| matches!(event, Event::Refused { .. })).count()
}

#[test]
fn calls_join_one_by_one_and_all_are_heard() {
    let mut world = talking(4, 71);
    join(&mut world, 4, 1);
    assert_eq!((inside(&world), on_hold(&world), heard(&world)), (vec![1, 4], vec![2, 3], vec![1, 4]));
    join(&mut world, 2, 1);
    join(&mut world, 4, 3);
    assert_eq!((inside(&world), on_hold(&world), heard(&world)), (vec![1, 2, 3, 4], vec![], vec![1, 2, 3, 4]));
    for phone in 1..=4 {
        assert!(!world.call(phone).held_by_peer);
    }
    let told = Event::Conference { calls: [1, 2, 3, 4].map(CallNumber).to_vec() };
    assert!(world.phones[0].events.contains(&told), "{:?}", world.phones[0].events);
    // One hangs up, one is hung up: the others stay, until a single one is left.
    world.command(2, Command::HangUp(CallNumber(1)));
    world.run(SECOND);
    assert_eq!((inside(&world), heard(&world)), (vec![1, 3, 4], vec![1, 3, 4]));
    world.command(0, Command::HangUp(CallNumber(4)));
    world.run(SECOND);
    assert_eq!((inside(&world), heard(&world), on_hold(&world)), (vec![1, 3], vec![1, 3], vec![]));
    world.command(3, Command::HangUp(CallNumber(1)));
    world.run(SECOND);
    assert_eq!((inside(&world), heard(&world), on_hold(&world)), (vec![], vec![1], vec![]));
    assert_eq!(world.phones[0].agent.snapshot(world.now).focus, Some(CallNumber(1)));
    assert!(world.phones[0].events.contains(&Event::Conference { calls: vec![] }));
}

#[test]
fn hold_and_resume_concern_all_of_it() {
    let mut world = talking(3, 72);
    join(&mut world, 3, 1);
    world.command(0, Command::Hold(CallNumber(1)));
    world.run(SECOND);
    assert_eq!((on_hold(&world), heard(&world), inside(&world)), (vec![1, 2, 3], vec![], vec![1, 3]));
    world.command(0, Command::Resume(CallNumber(3)));
    world.run(SECOND);
    assert_eq!((on_hold(&world), heard(&world)), (vec![2], vec![1, 3]));
    world.command(0, Command::Switch(CallNumber(2)));
    world.run(SECOND);
    assert_eq!((on_hold(&world), heard(&world), inside(&world)), (vec![1, 3], vec![2], vec![1, 3]));
    world.command(0, Command::Switch(CallNumber(1)));
    world.run(SECOND);
    assert_eq!((on_hold(&world), heard(&world)), (vec![2], vec![1, 3]));
    // One hangs up: it is over, and the other call goes on.
    world.command(1, Command::HangUp(CallNumber(1)));
    world.run(SECOND);
    assert_eq!((inside(&world), heard(&world)), (vec![], vec![3]));
}

#[test]
fn who_is_split_off_is_held_and_the_others_go_on() {
    let mut world = talking(3, 73);
    join(&mut world, 3, 1);
    join(&mut world, 3, 2);
    world.command(0, Command::Split(CallNumber(3)));
    world.run(SECOND);
    assert_eq!((inside(&world), on_hold(&world), heard(&world)), (vec![1, 2], vec![3], vec![1, 2]));
    assert_eq!(world.phones[0].agent.snapshot(world.now).focus, Some(CallNumber(1)), "it was the one in focus");
    world.command(0, Command::Split(CallNumber(1)));
    world.run(SECOND);
    assert_eq!((inside(&world), on_hold(&world), heard(&world)), (vec![], vec![1, 3], vec![2]));
}

#[test]
fn the_music_of_one_who_holds_us_is_not_for_the_others() {
    let mut world = talking(3, 74);
    join(&mut world, 3, 1);
    join(&mut world, 3, 2);
    world.command(2, Command::Hold(CallNumber(1)));
    world.run(SECOND);
    assert_eq!((inside(&world), heard(&world)), (vec![1, 2, 3], vec![1, 3]));
    world.command(2, Command::Resume(CallNumber(1)));
    world.run(SECOND);
    assert_eq!(heard(&world), [1, 2, 3]);
    let spec = world.phones[0].streams[&StreamId(2)].clone().expect("runs");
    assert_eq!(spec.direction, Direction::SendRecv);
}

#[test]
fn what_cannot_be_joined_is_refused_in_words() {
    let mut world = talking(4, 75);
    join(&mut world, 4, 1);
    for (one, other) in [(4, 4), (1, 4), (2, 3), (4, 9), (9, 1)] {
        let before = refusals(&world);
        join(&mut world, one, other);
        assert_eq!(refusals(&world), before + 1, "{one} {other}");
    }
    let before = refusals(&world);
    world.command(0, Command::Split(CallNumber(2)));
    assert_eq!((refusals(&world), inside(&world), on_hold(&world)), (before + 1, vec![1, 4], vec![2, 3]));
    // Somebody who is still called is not up.
    world.command(0, Command::Call { account: None, target: "ghost@192.0.2.99".to_owned() });
    world.run(SECOND);
    join(&mut world, 4, 5);
    assert_eq!(refusals(&world), before + 2);
}

#[test]
fn a_conference_takes_eight() {
    let mut world = talking(9, 76);
    for other in 2..=8 {
        join(&mut world, 1, other);
    }
    assert_eq!((inside(&world).len(), refusals(&world)), (8, 0));
    join(&mut world, 1, 9);
    assert_eq!((inside(&world).len(), refusals(&world)), (8, 1));
}
