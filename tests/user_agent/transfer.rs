//! Calls that are handed on.
use crate::SECOND;
use crate::world::{World, account, address, settings};
use offhook::base::id::CallNumber;
use offhook::ua::command::{Command, Rejection};
use offhook::ua::event::Event;
use offhook::ua::snapshot::{CallEnd, CallSummary};

/// Three phones; the first talks to the second.
fn talking(seed: u64) -> World {
    let mut world = World::direct(3, seed);
    world.command(0, Command::Call { account: None, target: "phone2@192.0.2.2".to_owned() });
    world.run(SECOND);
    world.command(1, Command::Answer(world.number(1)));
    world.run(SECOND);
    assert!(world.is_established(0) && world.is_established(1), "{:#?}", world.ladder);
    world
}

fn to_the_third(call: CallNumber) -> Command {
    Command::Transfer { call, target: "phone3@192.0.2.3".to_owned() }
}

fn summaries(world: &World, phone: usize) -> Vec<CallSummary> {
    let ended = |event: &Event| match event {
        Event::Ended { summary, .. } => Some((**summary).clone()),
        _ => None,
    };
    world.phones[phone].events.iter().filter_map(ended).collect()
}

#[test]
fn a_blind_transfer_connects_the_other_two() {
    // Either side may transfer.
    for (transferor, transferee) in [(0, 1), (1, 0)] {
        let mut world = talking(61);
        world.command(transferor, to_the_third(world.number(transferor)));
        world.run(SECOND);
        let words = world.call(transferor).transfer.unwrap_or_default();
        assert!(words.contains("it rings"), "{words}: {:#?}", world.ladder);
        world.command(2, Command::Answer(world.number(2)));
        world.run(2 * SECOND);
        assert!(world.is_established(transferee) && world.is_established(2), "{:#?}", world.ladder);
        assert_eq!(world.call(2).peer_name, format!("phone{}", transferee + 1));
        let ended = summaries(&world, transferor);
        assert_eq!(ended.len(), 1);
        assert_eq!((ended[0].end, ended[0].cause.as_str()), (CallEnd::Normal, "transferred to phone3@192.0.2.3"));
        assert_eq!(summaries(&world, transferee)[0].end, CallEnd::Normal);
        assert!(!world.call(2).held_by_peer && world.spec(2).remote_rtp.ip() == world.phones[transferee].address.ip());
    }
}

#[test]
fn a_transfer_nobody_takes_brings_the_call_back() {
    let mut world = talking(62);
    world.command(0, to_the_third(world.number(0)));
    world.run(SECOND);
    world.command(2, Command::Reject(world.number(2), Rejection::Busy));
    world.run(3 * SECOND);
    assert!(world.is_established(0), "{:#?}", world.ladder);
    assert_eq!(world.call(0).transfer, None);
    let refused = |event: &Event| matches!(event, Event::Refused { reason } if reason.contains("transfer to phone3"));
    assert!(world.phones[0].events.iter().any(refused), "{:?}", world.phones[0].events);
    let calls = world.phones[1].agent.snapshot(world.now).calls;
    let first = calls.iter().find(|call| !call.outgoing).expect("the first call");
    assert!(!first.held_by_us && !world.call(0).held_by_peer, "{:#?}", world.ladder);
    // And once more, now that the first is over.
    world.command(0, to_the_third(world.number(0)));
    world.run(SECOND);
    world.command(2, Command::Answer(world.number(2)));
    world.run(2 * SECOND);
    assert!(world.is_established(2), "{:#?}", world.ladder);
}

#[test]
fn what_cannot_be_transferred_is_said() {
    let mut world = World::direct(2, 63);
    world.command(0, to_the_third(CallNumber(7)));
    world.command(0, Command::Call { account: None, target: "phone2@192.0.2.2".to_owned() });
    world.run(SECOND);
    let number = world.number(0);
    world.command(0, to_the_third(number));
    world.command(0, Command::Connect(number, number));
    let refused = world.phones[0].events.iter().filter(|event| matches!(event, Event::Refused { .. })).count();
    assert_eq!(refused, 3, "{:?}", world.phones[0].events);
}

#[test]
fn an_attended_transfer_puts_one_in_the_place_of_the_other() {
    let mut world = talking(64);
    let first = world.number(0);
    world.command(0, Command::Call { account: None, target: "phone3@192.0.2.3".to_owned() });
    world.run(SECOND);
    world.command(2, Command::Answer(world.number(2)));
    world.run(2 * SECOND);
    let second = world.number(0);
    assert!(first != second && world.is_established(0) && world.is_established(2), "{:#?}", world.ladder);
    world.command(0, Command::Connect(first, second));
    world.run(3 * SECOND);
    let causes: Vec<_> = summaries(&world, 0).into_iter().map(|s| (s.end, s.cause)).collect();
    assert_eq!(causes.len(), 2, "{:#?}", world.ladder);
    assert!(causes.iter().all(|(end, _)| *end == CallEnd::Normal), "{causes:?}");
    assert!(causes.iter().any(|(_, cause)| cause.starts_with("transferred to")), "{causes:?}");
    // The third phone never rang a second time, and the two hear each other.
    assert!(world.is_established(1) && world.is_established(2));
    assert_eq!(world.spec(2).remote_rtp.ip(), world.phones[1].address.ip());
    assert_eq!(world.spec(1).remote_rtp.ip(), world.phones[2].address.ip());
    assert!(world.spec(1).direction.sends() && world.spec(1).direction.receives());
    let rang = world.phones[2].events.iter().filter(|event| matches!(event, Event::Incoming { .. })).count();
    assert_eq!(rang, 1);
}

#[test]
fn a_phone_that_answers_by_itself_calls_nobody_for_a_caller() {
    let phones = (1..=3).map(|n| {
        let mut settings = settings(vec![account(&format!("phone{n}"), address(n), false)]);
        settings.auto_answer = n == 2;
        settings
    });
    let mut world = World::new(phones.collect(), 65);
    world.command(0, Command::Call { account: None, target: "phone2@192.0.2.2".to_owned() });
    world.run(SECOND);
    assert!(world.is_established(1));
    world.command(0, to_the_third(world.number(0)));
    world.run(2 * SECOND);
    assert!(world.phones[2].events.is_empty(), "{:?}", world.phones[2].events);
    let refused = |event: &Event| matches!(event, Event::Refused { reason } if reason.contains("transfer to phone3"));
    assert!(world.phones[0].events.iter().any(refused), "{:?}", world.phones[0].events);
    assert!(world.is_established(0) && world.is_established(1));
}

#[test]
fn the_sixth_transfer_in_a_row_is_refused() {
    let mut world = World::direct(8, 66);
    world.command(0, Command::Call { account: None, target: "phone2@192.0.2.2".to_owned() });
    world.run(SECOND);
    world.command(1, Command::Answer(world.number(1)));
    world.run(SECOND);
    // The second phone is handed on from each to the next.
    let mut transferor = 0;
    for next in 2..8 {
        let target = format!("phone{0}@192.0.2.{0}", next + 1);
        world.command(transferor, Command::Transfer { call: world.number(transferor), target });
        world.run(SECOND);
        if next == 7 {
            break;
        }
        world.command(next, Command::Answer(world.number(next)));
        world.run(3 * SECOND);
        assert!(world.is_established(1) && world.is_established(next), "{next}: {:#?}", world.ladder);
        transferor = next;
    }
    assert!(world.phones[7].events.is_empty(), "{:?}", world.phones[7].events);
    let refused = |event: &Event| matches!(event, Event::Refused { reason } if reason.contains("transfer to phone8"));
    assert!(world.phones[6].events.iter().any(refused), "{:?}", world.phones[6].events);
    assert!(world.is_established(1) && world.is_established(6), "the call goes on");
}
