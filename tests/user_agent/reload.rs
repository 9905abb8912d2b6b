//! A configuration that is read anew while the phone runs.
use crate::hostile::{SECOND, SERVER};
use crate::peer::Letter;
use crate::world::{World, account, address, settings};
use offhook::sip::locate::AccessId;
use offhook::ua::command::Command;
use offhook::ua::settings::Settings;

/// The REGISTER of `user` is answered; returned as it was sent.
///
/// - `leaves`: it takes the binding back.
fn registers(world: &mut World, user: &str, leaves: bool) -> Letter {
    let mail = world.mail_for(address(SERVER));
    let own = |letter: &Letter| {
        letter.text.starts_with("REGISTER")
            && letter.header("To").contains(&format!(":{user}@"))
            && is_leaving(letter) == leaves
    };
    let register = mail.into_iter().rev().find(own).unwrap_or_else(|| panic!("no REGISTER of {user}"));
    let expires = if leaves { 0 } else { 600 };
    let contact = format!("Contact: {};expires={expires}\r\n", register.header("Contact"));
    world.answer(0, &register, "200 OK", &contact, "");
    world.run(SECOND / 10);
    register
}

fn is_leaving(register: &Letter) -> bool {
    register.text.contains("Expires: 0") || register.text.contains("expires=0")
}

fn reload(world: &mut World, settings: Settings, access: &[u16]) {
    let access: Vec<AccessId> = access.iter().map(|n| AccessId(*n)).collect();
    world.phones[0].agent.handle_settings(world.now, settings, &access);
    world.run(SECOND);
}

fn names(world: &World) -> Vec<String> {
    world.phones[0].agent.snapshot(world.now).accounts.iter().map(|a| a.name.clone()).collect()
}

#[test]
fn what_stays_as_it_was_is_left_alone_and_the_rest_changes_places() {
    let of = |user: &str| account(user, address(SERVER), true);
    let mut world = World::new(vec![settings(vec![of("a"), of("b")])], 1);
    world.run(SECOND);
    registers(&mut world, "a", false);
    // Both were sent at the same time.
    world.run(SECOND);
    registers(&mut world, "b", false);
    assert_eq!(names(&world), ["a", "b"]);

    let mut changed = of("b");
    changed.display_name = "Bee".to_owned();
    world.mail_for(address(SERVER));
    reload(&mut world, settings(vec![of("c"), of("a"), changed]), &[2, 0, 1]);
    assert_eq!(names(&world), ["c", "a", "b", "b"], "in the new order; the old b signs off");
    registers(&mut world, "b", true);
    world.run(SECOND);
    assert_eq!(names(&world), ["c", "a", "b"]);
    // Nobody asks anything of the account that was given up.
    world.mail_for(address(SERVER));
    world.command(0, Command::Call { account: None, target: "600".to_owned() });
    world.run(SECOND / 10);
    let invite = world.latest(address(SERVER), "INVITE");
    assert!(invite.header("From").contains(":a@"), "the first that is registered: {}", invite.text);
}

#[test]
fn a_call_outlives_its_account() {
    let mut world = World::direct(2, 2);
    world.command(0, Command::Call { account: None, target: format!("sip:b@{}", address(2)) });
    world.run(SECOND);
    let call = world.phones[1].agent.snapshot(world.now).calls[0].number;
    world.command(1, Command::Answer(call));
    world.run(SECOND);
    let number = world.phones[0].agent.snapshot(world.now).calls[0].number;
    let other = account("other", address(SERVER), false);
    reload(&mut world, settings(vec![other]), &[5]);
    let snapshot = world.phones[0].agent.snapshot(world.now);
    assert!(snapshot.calls[0].answered.is_some(), "{:?}", snapshot.calls[0].state);
    assert_eq!(snapshot.accounts.len(), 2, "the old one is shown as long as it has a call");
    world.command(0, Command::HangUp(number));
    world.run(SECOND);
    assert_eq!(names(&world), ["other"]);
    let peer = world.phones[1].agent.snapshot(world.now);
    assert!(matches!(peer.calls[0].state, offhook::ua::snapshot::CallState::Ended(_)), "it has heard the BYE");
}
