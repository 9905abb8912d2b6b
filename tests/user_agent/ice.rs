//! ICE between user agents: who offers and answers it, and what becomes of a call whose way is lost or not found.
use crate::world::{World, account, address, settings};
use crate::{SECOND, summary};
use offhook::base::id::StreamId;
use offhook::media::event::MediaEvent;
use offhook::media::spec::{IceSpec, MediaCommand};
use offhook::nat::candidate::{IceUse, Kind, PathState, PathView};
use offhook::ua::command::Command;
use offhook::ua::snapshot::CallEnd;
use std::net::SocketAddr;
use std::time::Duration;

fn talking(caller: IceUse, called: IceUse) -> World {
    let phones = [(1, caller), (2, called)].map(|(n, ice)| {
        let mut account = account(&format!("phone{n}"), address(n), false);
        account.handling.reach.ice = ice;
        settings(vec![account])
    });
    let mut world = World::new(phones.into(), 7);
    world.command(0, Command::Call { account: None, target: "phone2@192.0.2.2".to_owned() });
    world.run(SECOND);
    world.command(1, Command::Answer(world.number(1)));
    world.run(SECOND);
    assert!(world.is_established(0) && world.is_established(1), "{caller:?} {called:?}: {:#?}", world.ladder);
    world
}

fn ice(world: &World, phone: usize) -> Option<IceSpec> {
    world.spec(phone).ice.map(|ice| *ice)
}

fn tell(world: &mut World, phone: usize, state: PathState) {
    let stream = StreamId(world.number(phone).0);
    let now = world.now;
    world.phones[phone].agent.handle_media(now, MediaEvent::Path { stream, state });
    world.step();
}

/// The pair of the descriptions' own addresses, or another of the peer.
fn pair(world: &World, phone: usize, remote: Option<&str>) -> PathView {
    let at = |phone: usize| -> SocketAddr { world.spec(1 - phone).remote_rtp };
    PathView {
        local: at(phone),
        local_kind: Kind::Host,
        remote: remote.map_or_else(|| at(1 - phone), |text| text.parse().expect("address")),
        remote_kind: if remote.is_some() { Kind::PeerReflexive } else { Kind::Host },
        round_trip: Some(Duration::from_millis(12)),
        server: None,
        nominated: true,
    }
}

/// Each exchange once, however often its request was sent.
fn invites(world: &World, phone: &str) -> usize {
    let line = format!("{phone} ->");
    world.ladder.iter().filter(|entry| entry.starts_with(&line) && entry.contains(": ACK ")).count()
}

#[test]
fn every_pair_of_settings() {
    use IceUse::{Answer, Off, Offer};
    for (caller, called, used) in [
        (Off, Offer, false),
        (Answer, Offer, false),
        (Answer, Answer, false),
        (Offer, Off, false),
        (Offer, Answer, true),
        (Offer, Offer, true),
    ] {
        let world = talking(caller, called);
        let (ours, theirs) = (ice(&world, 0), ice(&world, 1));
        assert_eq!((ours.is_some(), theirs.is_some()), (used, used), "{caller:?} {called:?}");
        if let Some((ours, theirs)) = ours.zip(theirs) {
            assert_eq!((&ours.local, &ours.remote), (&theirs.remote, &theirs.local));
            assert!(ours.controlling && !theirs.controlling);
            assert_eq!((ours.candidates.len(), theirs.candidates.len()), (2, 2));
            assert_eq!(ours.pace, Duration::from_millis(20));
            assert_ne!(ours.local, theirs.local);
        }
    }
}

#[test]
fn the_way_is_shown_and_told_to_the_other_side_when_it_is_another_than_described() {
    let mut world = talking(IceUse::Offer, IceUse::Answer);
    tell(&mut world, 0, PathState::Checking);
    assert_eq!(world.call(0).media_path, "finding a way to the other side");
    let view = pair(&world, 0, None);
    tell(&mut world, 0, PathState::Chosen(view));
    let call = world.call(0);
    assert_eq!(call.media_path, "host");
    assert!(call.media_pair.ends_with("(host), 12.0 ms"), "{}", call.media_pair);
    world.run(SECOND);
    assert_eq!(invites(&world, "192.0.2.1"), 1, "it is what was described");
    let view = pair(&world, 0, Some("198.51.100.7:61000"));
    for _ in 0..3 {
        tell(&mut world, 0, PathState::Chosen(view.clone()));
        world.run(SECOND);
    }
    assert_eq!(world.call(0).media_path, "reflexive");
    assert_eq!(invites(&world, "192.0.2.1"), 2, "once");
    let (ours, theirs) = (ice(&world, 0).expect("ICE"), ice(&world, 1).expect("ICE"));
    assert_eq!(ours.local, theirs.remote, "nothing starts again");
    // Who did not offer leaves it to who did.
    let view = pair(&world, 1, Some("198.51.100.7:61000"));
    tell(&mut world, 1, PathState::Chosen(PathView { server: Some("turn.example".into()), ..view }));
    world.run(SECOND);
    assert_eq!(invites(&world, "192.0.2.2"), 0);
    assert_eq!(world.call(1).media_path, "relayed via turn.example");
}

#[test]
fn a_lost_way_is_searched_anew_and_the_call_ends_when_there_is_none() {
    for found in [true, false] {
        let mut world = talking(IceUse::Offer, IceUse::Answer);
        let before = ice(&world, 0).expect("ICE");
        let view = pair(&world, 0, None);
        tell(&mut world, 0, PathState::Chosen(view.clone()));
        tell(&mut world, 0, PathState::Lost);
        assert!(world.call(0).recovery.contains("looking for another"), "{}", world.call(0).recovery);
        world.run(SECOND);
        let (ours, theirs) = (ice(&world, 0).expect("ICE"), ice(&world, 1).expect("ICE"));
        assert_eq!((&ours.local, &ours.remote), (&theirs.remote, &theirs.local));
        assert!(ours.local != before.local && ours.remote != before.remote, "both are new");
        if found {
            tell(&mut world, 0, PathState::Chosen(view));
        }
        world.run(SECOND * 20);
        assert_eq!(world.is_established(0), found);
        if !found {
            let ended = summary(&world, 0);
            assert_eq!(ended.end, CallEnd::Failed);
            assert!(ended.cause.contains("no other was found"), "{}", ended.cause);
        }
    }
}

#[test]
fn without_a_way_the_call_ends_and_says_why() {
    let mut world = talking(IceUse::Offer, IceUse::Answer);
    tell(&mut world, 0, PathState::Checking);
    tell(&mut world, 0, PathState::Failed);
    world.run(SECOND);
    let ended = summary(&world, 0);
    assert_eq!(ended.end, CallEnd::Failed);
    assert!(ended.cause.contains("no way for the sound"), "{}", ended.cause);
}

#[test]
fn hold_keeps_the_credentials_and_an_account_without_ice_asks_media_for_nothing() {
    let mut world = talking(IceUse::Offer, IceUse::Answer);
    let before = ice(&world, 0).expect("ICE");
    world.command(0, Command::Hold(world.number(0)));
    world.run(SECOND);
    assert_eq!(ice(&world, 0).map(|ice| (ice.local, ice.remote)), Some((before.local, before.remote)));
    let world = talking(IceUse::Answer, IceUse::Answer);
    let asked = |command: &MediaCommand| matches!(command, MediaCommand::Open { gather: Some(_), .. });
    assert!(!world.phones.iter().any(|phone| phone.media.iter().any(asked)));
}
