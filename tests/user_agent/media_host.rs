//! Offers whose `c=` line has a name in it.
use crate::peer::{request, sdp};
use crate::world::{World, address};
use offhook::base::net::{Flow, Received, Transport};
use offhook::ua::command::Command;
use std::net::SocketAddr;
use std::time::Duration;

const MOMENT: Duration = Duration::from_millis(50);
const CALLER: u8 = 9;
const MEDIA: u8 = 77;

fn offer(name: &str) -> String {
    let caller = address(CALLER);
    sdp(caller, "sendrecv").replace(&format!("c=IN IP4 {}", caller.ip()), &format!("c=IN IP4 {name}"))
}

fn invite(name: &str) -> String {
    request("INVITE", "sip:phone1@192.0.2.1", address(CALLER), "bob", &offer(name))
}

/// The statuses the caller got, first to last.
fn statuses(world: &mut World) -> Vec<String> {
    world.run(MOMENT);
    let mail = world.mail_for(address(CALLER));
    let mut statuses: Vec<String> =
        mail.iter().filter_map(|l| l.first().split(' ').nth(1).map(str::to_owned)).collect();
    statuses.dedup();
    statuses
}

/// The INVITE arrives, and its question is asked and not answered.
fn unanswered(world: &mut World) {
    let (now, local) = (world.now, world.phones[0].address);
    let flow = Flow::new(Transport::Udp, local, address(CALLER));
    let bytes = invite("media.example").into_bytes().into();
    let agent = &mut world.phones[0].agent;
    agent.handle_received(now, Received { flow, bytes });
    assert!(agent.poll_question().is_some());
    world.drain();
}

#[test]
fn a_name_nobody_knows_is_refused() {
    let six: SocketAddr = "[2001:db8::77]:5060".parse().expect("an address");
    for (name, known) in [("media.example", None), ("media.example", Some(six)), ("a..b", None)] {
        let mut world = World::direct(1, 1);
        if let Some(known) = known {
            world.names.insert(name.to_owned(), vec![(Transport::Udp, known)]);
        }
        world.give(0, address(CALLER), &invite(name));
        assert_eq!(
            statuses(&mut world).last().map(String::as_str),
            Some(if name == "a..b" { "400" } else { "488" }),
            "{name}"
        );
        assert!(world.phones[0].agent.snapshot(world.now).calls.is_empty());
    }
}

#[test]
fn a_slow_name_server_is_waited_for_two_seconds() {
    let mut world = World::direct(1, 2);
    unanswered(&mut world);
    world.run(Duration::from_millis(1900));
    assert!(!statuses(&mut world).contains(&"488".to_owned()));
    world.run(2 * MOMENT);
    assert_eq!(statuses(&mut world).last().map(String::as_str), Some("488"));
}

#[test]
fn whoever_gives_up_meanwhile_is_told_so() {
    let mut world = World::direct(1, 3);
    unanswered(&mut world);
    let cancel = request("CANCEL", "sip:phone1@192.0.2.1", address(CALLER), "bob", "");
    world.give(0, address(CALLER), &cancel);
    assert_eq!(statuses(&mut world), ["200", "487"]);
    world.run(Duration::from_secs(3));
    assert!(world.phones[0].agent.snapshot(world.now).calls.is_empty());
}

#[test]
fn sound_goes_to_the_address_behind_the_name() {
    let mut world = World::direct(1, 4);
    world.names.insert("media.example".to_owned(), vec![(Transport::Udp, address(MEDIA))]);
    world.give(0, address(CALLER), &invite("media.example"));
    assert_eq!(statuses(&mut world).last().map(String::as_str), Some("180"));
    world.command(0, Command::Answer(world.number(0)));
    assert_eq!(statuses(&mut world).last().map(String::as_str), Some("200"));
    let remote = world.spec(0).remote_rtp;
    assert_eq!((remote.ip(), remote.port()), (address(MEDIA).ip(), 4000));
}
