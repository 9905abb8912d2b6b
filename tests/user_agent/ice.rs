//! ICE between user agents: who offers and answers it, and what becomes of a call whose way is lost or not found.
use crate::peer::request;
use crate::world::{World, account, address, settings};
use crate::{SECOND, summary};
use offhook::base::id::StreamId;
use offhook::media::event::MediaEvent;
use offhook::media::spec::{IceSpec, MediaCommand};
use offhook::nat::candidate::{Candidate, Doubt, Gather, IceUse, Kind, PathState, PathView, Server};
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

fn doubt(world: &mut World, phone: usize, doubt: Doubt) {
    let (now, stream) = (world.now, StreamId(world.number(phone).0));
    world.phones[phone].agent.handle_media(now, MediaEvent::Doubt { stream, doubt });
    world.drain();
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
fn who_is_seen_elsewhere_restarts_at_once_and_the_other_side_waits_for_it() {
    for mover in [0, 1] {
        let mut world = talking(IceUse::Offer, IceUse::Answer);
        for phone in [0, 1] {
            let view = pair(&world, phone, None);
            tell(&mut world, phone, PathState::Chosen(view));
        }
        let before = ice(&world, mover).expect("ICE");
        let of = |phone: usize| format!("192.0.2.{}", phone + 1);
        let told = [0, 1].map(|phone| invites(&world, &of(phone)));
        doubt(&mut world, 1 - mover, Doubt::Silent { unmoved: true });
        doubt(&mut world, mover, Doubt::Moved);
        world.run(SECOND / 2);
        let (ours, theirs) = (ice(&world, mover).expect("ICE"), ice(&world, 1 - mover).expect("ICE"));
        assert_eq!((&ours.local, &ours.remote), (&theirs.remote, &theirs.local));
        assert!(ours.local != before.local && ours.remote != before.remote, "both are new");
        world.run(SECOND * 15);
        assert_eq!(invites(&world, &of(mover)), told[mover] + 1);
        assert_eq!(invites(&world, &of(1 - mover)), told[1 - mover], "the doubt is settled");
        assert!(world.call(mover).recovery.is_empty(), "{}", world.call(mover).recovery);
    }
}

#[test]
fn who_has_not_moved_acts_when_nobody_does_and_not_when_the_doubt_is_dispelled() {
    for (dispelled, acts) in [(false, 1), (true, 0)] {
        let mut world = talking(IceUse::Offer, IceUse::Answer);
        doubt(&mut world, 1, Doubt::Silent { unmoved: true });
        world.run(SECOND * 3);
        assert_eq!(invites(&world, "192.0.2.2"), 0);
        if dispelled {
            doubt(&mut world, 1, Doubt::Dispelled);
        }
        world.run(SECOND * 4);
        assert_eq!(invites(&world, "192.0.2.2"), acts);
    }
}

/// A peer that is found and lost again and again.
#[test]
fn endless_doubts_cause_few_offers() {
    let mut world = talking(IceUse::Offer, IceUse::Answer);
    let before = invites(&world, "192.0.2.1");
    for n in 0..55 {
        doubt(&mut world, 0, if n % 2 == 0 { Doubt::Moved } else { Doubt::Silent { unmoved: false } });
        world.run(SECOND);
    }
    let offers = invites(&world, "192.0.2.1") - before;
    assert!((2..=5).contains(&offers), "{offers}");
}

/// Without ICE the addresses of the description are those the STUN server told.
#[test]
fn without_ice_who_is_seen_elsewhere_asks_anew_and_tells_the_peer() {
    for stun in [true, false] {
        let phones = [1, 2].map(|n| {
            let mut account = account(&format!("phone{n}"), address(n), false);
            account.handling.reach.ice = IceUse::Off;
            let server = Server { host: "192.0.2.9".to_owned(), port: 3478, by_records: false };
            account.handling.reach.stun = stun.then_some(server);
            settings(vec![account])
        });
        let mut world = World::new(phones.into(), 7);
        world.command(0, Command::Call { account: None, target: "phone2@192.0.2.2".to_owned() });
        world.run(SECOND);
        world.command(1, Command::Answer(world.number(1)));
        world.run(SECOND);
        let opened = |world: &World| {
            let opens = |command: &&MediaCommand| matches!(command, MediaCommand::Open { .. });
            world.phones[0].media.iter().filter(opens).count()
        };
        assert_eq!(opened(&world), 1);
        doubt(&mut world, 0, Doubt::Moved);
        world.run(SECOND);
        assert_eq!((opened(&world), invites(&world, "192.0.2.1")), (if stun { 2 } else { 1 }, 2));
        assert!(world.is_established(0) && world.call(0).recovery.is_empty());
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

/// What media was asked to find out last.
fn gather(world: &World, phone: usize) -> Gather {
    let asked = world.phones[phone].media.iter().rev().find_map(|command| match command {
        MediaCommand::Open { gather, .. } => gather.as_deref().cloned(),
        _ => None,
    });
    asked.expect("it was asked")
}

/// Media has found so many reflexive addresses more.
fn find(world: &mut World, phone: usize, count: u16, complete: bool) {
    let found = |n: u16| Candidate {
        foundation: "s".to_owned(),
        component: 1,
        priority: 1_694_498_815,
        address: ([198, 51, 100, 1 + phone as u8], 61_000 + n).into(),
        kind: Kind::ServerReflexive,
        related: None,
    };
    let (stream, round) = (StreamId(world.number(phone).0), gather(world, phone).round);
    let candidates = (0..count).map(found).collect();
    let now = world.now;
    world.phones[phone].agent.handle_media(now, MediaEvent::Candidates { stream, round, candidates, complete });
    world.step();
}

/// The ports of the candidates media was told of beside the description.
fn told_later(world: &World, phone: usize) -> Vec<Vec<u16>> {
    let ports = |list: &Vec<Candidate>| list.iter().map(|candidate| candidate.address.port() - 61_000).collect();
    let of = |command: &MediaCommand| match command {
        MediaCommand::Candidates { candidates, .. } => Some(ports(candidates)),
        _ => None,
    };
    world.phones[phone].media.iter().filter_map(of).collect()
}

fn infos(world: &World, phone: &str) -> usize {
    let line = format!("{phone} ->");
    world.ladder.iter().filter(|entry| entry.starts_with(&line) && entry.contains(": INFO ")).count()
}

fn ringing_phones(ice: [IceUse; 2]) -> World {
    let mut number = 0;
    let phones = ice.map(|ice| {
        number += 1;
        let mut account = account(&format!("phone{number}"), address(number), false);
        account.handling.reach.ice = ice;
        settings(vec![account])
    });
    let mut world = World::new(phones.into(), 7);
    world.phones.iter_mut().for_each(|phone| phone.finds_more = true);
    world.command(0, Command::Call { account: None, target: "phone2@192.0.2.2".to_owned() });
    world.run(SECOND);
    world
}

#[test]
fn candidates_follow_descriptions() {
    let mut world = ringing_phones([IceUse::Offer, IceUse::Answer]);
    // Who offers knows nothing of the other side; who answers knows that nothing need be waited for.
    assert!(!gather(&world, 0).trickle);
    find(&mut world, 0, 1, false);
    world.run(SECOND);
    assert_eq!(infos(&world, "192.0.2.1"), 0, "there is no answer yet");
    world.command(1, Command::Answer(world.number(1)));
    world.run(SECOND);
    assert!(gather(&world, 1).trickle);
    assert!(world.is_established(0) && world.is_established(1), "{:#?}", world.ladder);
    assert_eq!(infos(&world, "192.0.2.1"), 1);
    assert_eq!(told_later(&world, 1), [vec![0]]);
    find(&mut world, 1, 1, false);
    world.run(SECOND);
    find(&mut world, 1, 2, true);
    find(&mut world, 1, 3, true);
    world.run(SECOND);
    assert_eq!(told_later(&world, 0), [vec![0], vec![0, 1]], "all of them each time; none after the last");
    assert_eq!(infos(&world, "192.0.2.2"), 2);
    // A change of the call says it all again, and the next search is another.
    let before = gather(&world, 0).round;
    let view = pair(&world, 0, None);
    tell(&mut world, 0, PathState::Chosen(view));
    tell(&mut world, 0, PathState::Lost);
    world.run(SECOND);
    assert!(gather(&world, 0).round > before && gather(&world, 0).trickle, "by now both know each other");
    assert_eq!(infos(&world, "192.0.2.1"), 1);
    find(&mut world, 0, 1, true);
    world.run(SECOND);
    assert_eq!(infos(&world, "192.0.2.1"), 2);
}

#[test]
fn a_search_that_is_over_tells_nothing() {
    let mut world = ringing_phones([IceUse::Offer, IceUse::Answer]);
    world.command(1, Command::Answer(world.number(1)));
    world.run(SECOND);
    let (stream, now) = (StreamId(world.number(1).0), world.now);
    let round = gather(&world, 1).round + 1;
    let late = MediaEvent::Candidates { stream, round, candidates: Vec::new(), complete: true };
    world.phones[1].agent.handle_media(now, late);
    world.run(SECOND);
    assert_eq!(infos(&world, "192.0.2.2"), 0);
}

/// What a caller says decides whether an answer waits for servers.
#[test]
fn who_can_take_candidates_later() {
    let ice = "a=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\n";
    let own = "a=candidate:1 1 UDP 2130706431 192.0.2.66 4000 typ host\r\n";
    let option = "a=ice-options:ice2 trickle\r\n";
    let package = "Recv-Info: trickle-ice\r\n";
    for (setting, lines, headers, trickles) in [
        (IceUse::Answer, format!("{ice}{own}"), "", false),
        // As browsers describe themselves whose SIP takes no candidates.
        (IceUse::Answer, format!("{ice}{option}{own}"), "", false),
        (IceUse::Answer, format!("{ice}{own}"), package, false),
        (IceUse::Answer, format!("{ice}{option}{own}"), package, true),
    ] {
        let mut account = account("phone1", address(1), false);
        account.handling.reach.ice = setting;
        let mut world = World::new(vec![settings(vec![account])], 7);
        let body = format!("{}{lines}", crate::peer::sdp(address(66), "sendrecv"));
        let invite = request("INVITE", "sip:phone1@192.0.2.1", address(66), "peer", &body);
        let invite = invite.replacen("Contact:", &format!("{headers}Contact:"), 1);
        world.give(0, address(66), &invite);
        world.run(SECOND);
        let Some(number) = world.phones[0].agent.snapshot(world.now).calls.first().map(|call| call.number) else {
            panic!("{:#?}", world.ladder);
        };
        world.command(0, Command::Answer(number));
        world.run(SECOND / 10);
        assert_eq!(gather(&world, 0).trickle, trickles, "{lines} {headers}");
        let answer = world.latest(address(66), "SIP/2.0 200");
        assert_eq!(answer.header("Recv-Info"), "trickle-ice");
        assert!(answer.text.contains("a=ice-options:ice2 trickle\r\n"));
        assert!(answer.text.contains("a=end-of-candidates\r\n"), "{}", answer.text);
    }
}

/// Candidates that come before the ACK, of an unknown description, of another package, and without ICE.
#[test]
fn candidates_of_a_peer_are_kept_until_they_are_of_use() {
    let mut account = account("phone1", address(1), false);
    account.handling.reach.ice = IceUse::Answer;
    let mut world = World::new(vec![settings(vec![account])], 7);
    let ice = "a=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\n";
    let lines = "a=ice-options:trickle\r\na=candidate:1 1 UDP 2130706431 192.0.2.66 4000 typ host\r\n";
    let body = format!("{}{ice}{lines}", crate::peer::sdp(address(66), "sendrecv"));
    let invite = request("INVITE", "sip:phone1@192.0.2.1", address(66), "peer", &body);
    world.give(0, address(66), &invite.replacen("Contact:", "Recv-Info: trickle-ice\r\nContact:", 1));
    world.run(SECOND);
    let to = world.latest(address(66), "SIP/2.0 180").header("To");
    let fragment = |port: u16, password: &str| {
        format!(
            "a=ice-ufrag:8hhY\r\na=ice-pwd:{password}\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n\
             a=candidate:1 1 UDP 2130706431 192.0.2.66 {port} typ host\r\n"
        )
    };
    let inform_at = |world: &mut World, to: &str, number: u32, headers: &str, body: &str| {
        let text = request("INFO", "sip:phone1@192.0.2.1", address(66), "peer", "");
        let text = text.replacen("To: <sip:phone1@192.0.2.1>", &format!("To: {to}"), 1);
        let text = text.replacen("CSeq: 1", &format!("CSeq: {number}"), 1);
        let text = text.replacen("z9hG4bKpeer", &format!("z9hG4bKinfo{number}"), 1);
        let text = text.replacen("Content-Length: 0", &format!("{headers}Content-Length: {}", body.len()), 1);
        world.give(0, address(66), &format!("{text}{body}"));
        world.run(SECOND / 10);
        world.latest(address(66), "SIP/2.0").first().to_owned()
    };
    let inform =
        |world: &mut World, number: u32, headers: &str, body: &str| inform_at(world, &to, number, headers, body);
    let package = "Info-Package: trickle-ice\r\nContent-Type: application/trickle-ice-sdpfrag\r\n";
    let good = "asd88fgpdd777uzjYhagZg";
    assert!(inform(&mut world, 2, package, &fragment(61_001, good)).contains("200"), "while it rings");
    let number = world.number(0);
    world.command(0, Command::Answer(number));
    world.run(SECOND / 10);
    let spec = world.spec(0).ice.expect("ICE");
    assert_eq!(spec.candidates.iter().map(|c| c.address.port()).collect::<Vec<_>>(), [4_000, 61_001]);
    assert!(inform(&mut world, 3, package, &fragment(61_002, good)).contains("200"));
    assert!(inform(&mut world, 4, package, &fragment(61_003, "anotherpasswordaltogether")).contains("200"));
    assert!(inform(&mut world, 5, package, "m=audio").contains("200"));
    assert!(inform(&mut world, 6, "Info-Package: other\r\n", "x").contains("469"));
    for stranger in ["<sip:phone1@192.0.2.1>;tag=guessed", "<sip:phone1@192.0.2.1>"] {
        let status = inform_at(&mut world, stranger, 7, package, &fragment(61_004, good));
        assert!(status.contains("481") || status.contains("405"), "{status}: outside of the call");
    }
    assert_eq!(told_later(&world, 0), [vec![2]], "of the description that counts only");
}

/// Phones ring and answer early, some with ICE and some without, in whatever order: the search goes on, and who answers counts.
#[test]
fn forks_with_and_without_ice() {
    // Who describes itself early, and whether ICE runs then; who answers, and whether it does then.
    let rows: [(&[Early], Early); 6] = [
        (&[("ice", true), ("plain", true)], ("ice", true)),
        (&[("ice", true), ("plain", true)], ("plain", false)),
        (&[("plain", false), ("ice", true)], ("ice", true)),
        (&[("plain", false), ("ice", true), ("plain", true)], ("plain", false)),
        (&[("plain", false)], ("ice", true)),
        (&[("plain", false)], ("plain", false)),
    ];
    for (early, answer) in rows {
        forked(early, answer);
    }
}

/// Which of the two phones, and whether ICE runs afterwards.
type Early = (&'static str, bool);

fn forked(early: &[Early], (answers, ice): Early) {
    let mut account = account("phone1", address(1), false);
    account.handling.reach.ice = IceUse::Offer;
    let mut world = World::new(vec![settings(vec![account])], 7);
    let peer = address(66);
    world.command(0, Command::Call { account: None, target: "bob@192.0.2.66".to_owned() });
    world.run(SECOND);
    let invite = world.latest(peer, "INVITE");
    let plain = crate::peer::sdp(peer, "sendrecv");
    let own = "a=candidate:1 1 UDP 2130706431 192.0.2.66 4000 typ host\r\n";
    let with_ice = format!("{plain}a=ice-ufrag:8hhY\r\na=ice-pwd:asd88fgpdd777uzjYhagZg\r\n{own}");
    let mismatch = format!("{plain}a=ice-mismatch\r\n");
    let answer = |world: &mut World, tag: &str, status: &str, body: &str| {
        let mut text = format!("SIP/2.0 {status}\r\n");
        for name in ["Via", "From", "Call-ID", "CSeq"] {
            invite.all(name).for_each(|value| text += &format!("{name}: {value}\r\n"));
        }
        text += &format!(
            "To: {};tag={tag}\r\nContact: <sip:{tag}@{peer}>\r\nContent-Type: application/sdp\r\n\
             Content-Length: {}\r\n\r\n{body}",
            invite.header("To"),
            body.len()
        );
        world.give(0, peer, &text);
        world.run(SECOND / 10);
        world.spec(0).ice.is_some()
    };
    let body = |who: &str| if who == "ice" { &with_ice } else { &mismatch };
    for (who, runs) in early {
        assert_eq!(answer(&mut world, who, "183 Session Progress", body(who)), *runs, "{who} of {early:?}");
        assert_eq!(world.spec(0).ice_may_follow, !runs, "{who} of {early:?}");
    }
    assert_eq!(answer(&mut world, answers, "200 OK", body(answers)), ice, "{early:?}, {answers}");
    assert!(!world.spec(0).ice_may_follow, "who answers is the last one");
    assert!(world.is_established(0), "{:#?}", world.ladder);
}
