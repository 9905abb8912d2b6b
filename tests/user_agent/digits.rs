//! Digits: the ways they take, and those that follow a number.
use crate::SECOND;
use crate::world::{World, account, address, settings};
use offhook::base::id::CallNumber;
use offhook::media::spec::{Codec, Dtmf, MediaCommand};
use offhook::ua::command::Command;
use offhook::ua::event::Event;

const CALL: CallNumber = CallNumber(1);

/// Two phones that talk, the first of which sends digits so; the other takes events or does not.
fn talking(ours: Dtmf, theirs: Dtmf, codec: Codec, target: &str) -> World {
    let phones = [ours, theirs].into_iter().zip(1..).map(|(dtmf, n)| {
        let mut account = account(&format!("phone{n}"), address(n), false);
        (account.dtmf, account.codecs) = (dtmf, vec![codec]);
        settings(vec![account])
    });
    let mut world = World::new(phones.collect(), 91);
    world.command(0, Command::Call { account: None, target: target.to_owned() });
    world.run(SECOND);
    world.command(1, Command::Answer(CALL));
    world.run(SECOND);
    assert!(world.is_established(0), "{:#?}", world.ladder);
    world
}

/// What media was told to send.
fn sent(world: &World) -> String {
    let digit = |command: &MediaCommand| match command {
        MediaCommand::SendDigit { digit, .. } => Some(digit.to_char()),
        _ => None,
    };
    world.phones[0].media.iter().filter_map(digit).collect()
}

#[test]
fn digits_take_the_way_the_account_and_the_call_have() {
    let target = "phone2@192.0.2.2";
    // By media, by INFO, refused.
    let rows = [
        (Dtmf::Auto, Dtmf::Auto, Codec::Opus, ("12#", "", 0)),
        (Dtmf::Auto, Dtmf::None, Codec::Pcmu, ("12#", "", 0)),
        (Dtmf::Auto, Dtmf::None, Codec::Opus, ("", "12#", 0)),
        (Dtmf::Info, Dtmf::Auto, Codec::Pcmu, ("", "12#", 0)),
        (Dtmf::Inband, Dtmf::Auto, Codec::Opus, ("12#", "", 0)),
        (Dtmf::Rfc4733, Dtmf::None, Codec::Pcmu, ("", "", 1)),
        (Dtmf::None, Dtmf::Auto, Codec::Pcmu, ("", "", 1)),
    ];
    for (ours, theirs, codec, (by_media, by_info, refusals)) in rows {
        let mut world = talking(ours, theirs, codec, target);
        world.command(0, Command::Digits(CALL, "12#".to_owned()));
        world.run(3 * SECOND);
        let refused = world.phones[0].events.iter().filter(|event| matches!(event, Event::Refused { .. })).count();
        assert_eq!((sent(&world).as_str(), refused), (by_media, refusals), "{ours:?} {theirs:?} {codec:?}");
        assert_eq!(world.call(1).digits_received, by_info, "{ours:?} {theirs:?} {codec:?}: {:#?}", world.ladder);
    }
}

#[test]
fn digits_by_info_keep_their_order_on_a_lossy_network() {
    let mut world = talking(Dtmf::Info, Dtmf::Info, Codec::Pcmu, "phone2@192.0.2.2");
    world.loss = 0.3;
    world.command(0, Command::Digits(CALL, "1234567890*#".to_owned()));
    world.run(100 * SECOND);
    assert_eq!(world.call(1).digits_received, "1234567890*#", "{:#?}", world.ladder);
}

#[test]
fn digits_behind_a_number_follow_the_answer_pause_and_wait() {
    let mut world = talking(Dtmf::Auto, Dtmf::Auto, Codec::Pcmu, "phone2@192.0.2.2,,12;9#");
    assert_eq!((sent(&world).as_str(), world.call(0).digits_left.as_str()), ("", ",12;9#"), "it pauses");
    world.run(3 * SECOND);
    assert_eq!(sent(&world), "12");
    let waiting = Event::DigitsWait { call: CALL, digits: "9#".to_owned() };
    assert!(world.call(0).digits_wait && world.phones[0].events.contains(&waiting));
    world.run(60 * SECOND);
    world.command(0, Command::Digits(CALL, "5".to_owned()));
    world.run(SECOND);
    assert_eq!((sent(&world).as_str(), world.call(0).digits_wait), ("125", true), "others go before them");
    world.command(0, Command::Continue(CALL));
    world.run(2 * SECOND);
    assert_eq!((sent(&world).as_str(), world.call(0).digits_left.as_str()), ("1259#", ""));
    world.command(0, Command::Continue(CALL));
    assert!(matches!(world.phones[0].events.last(), Some(Event::Refused { .. })));
}
