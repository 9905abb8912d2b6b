//! Calls to `sips:` addresses: protected on every hop, or not made.
use crate::peer::{Letter, sdp};
use crate::world::{World, account, address, settings};
use offhook::base::net::{Flow, Received, Transport};
use offhook::ua::command::Command;
use offhook::ua::event::Event;
use std::net::SocketAddr;
use std::time::Duration;

const MOMENT: Duration = Duration::from_millis(50);
const SERVER: u8 = 9;

fn tls(n: u8) -> SocketAddr {
    SocketAddr::new(address(n).ip(), 5061)
}

/// A phone whose account takes this transport only, and maybe an outbound proxy.
fn world(transport: Option<Transport>, proxy: bool) -> World {
    let mut account = account("a", address(SERVER), false);
    account.transport = transport;
    account.outbound_proxy = proxy.then(|| (offhook::sip::message::Host::Ip(address(8).ip()), None));
    World::new(vec![settings(vec![account])], 3)
}

fn call(world: &mut World, target: &str) {
    world.command(0, Command::Call { account: None, target: target.to_owned() });
    world.run(MOMENT);
}

fn refusals(world: &World) -> Vec<&str> {
    world.phones[0]
        .events
        .iter()
        .filter_map(|e| if let Event::Refused { reason } = e { Some(&**reason) } else { None })
        .collect()
}

#[test]
fn an_account_without_protection_says_so() {
    for (transport, proxy) in
        [(Transport::Udp, false), (Transport::Tcp, false), (Transport::Ws, false), (Transport::Udp, true)]
    {
        let mut world = world(Some(transport), proxy);
        for command in [
            Command::Call { account: None, target: "sips:bob@192.0.2.9".to_owned() },
            Command::Query { account: None, target: "sips:bob@192.0.2.9".to_owned() },
        ] {
            world.command(0, command);
            world.run(MOMENT);
        }
        let words = refusals(&world);
        assert_eq!(words.len(), 2, "{words:?}");
        assert!(words.iter().all(|w| w.contains(transport.name()) && w.contains("transport = \"tls\"")), "{words:?}");
        assert!(world.ladder.is_empty(), "{:#?}", world.ladder);
    }
    // A parameter that names what is not protected.
    let mut world = world(None, false);
    call(&mut world, "sips:bob@192.0.2.9;transport=udp");
    assert_eq!((refusals(&world).len(), world.ladder.len()), (1, 0));
}

#[test]
fn all_of_a_protected_call_is_protected() {
    for (transport, proxy) in [(None, false), (Some(Transport::Tls), false), (None, true), (Some(Transport::Tls), true)]
    {
        let mut world = world(transport, proxy);
        let hop = tls(if proxy { 8 } else { SERVER });
        call(&mut world, "sips:bob@192.0.2.9");
        let invite: Letter = world.latest(hop, "INVITE sips:bob@192.0.2.9 ");
        assert_eq!(invite.flow.transport, Transport::Tls);
        assert!(invite.header("To").contains("<sips:bob@192.0.2.9>"), "{}", invite.text);
        assert!(invite.header("Contact").starts_with("<sips:"), "{}", invite.text);
        assert_eq!(invite.header("Route").starts_with("<sips:192.0.2.8"), proxy, "{}", invite.text);
        let mut text = String::from("SIP/2.0 200 OK\r\n");
        for name in ["Via", "From", "Call-ID", "CSeq"] {
            text += &format!("{name}: {}\r\n", invite.header(name));
        }
        let body = sdp(address(SERVER), "sendrecv");
        text += &format!(
            "To: {};tag=t\r\nContact: <sips:bob@192.0.2.9>\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
            invite.header("To"),
            body.len()
        );
        let (now, flow) = (world.now, Flow { local: world.phones[0].address, ..invite.flow });
        world.phones[0].agent.handle_received(now, Received { flow, bytes: text.into_bytes().into() });
        world.drain();
        assert!(world.is_established(0), "{:#?}", world.ladder);
        world.command(0, Command::HangUp(world.number(0)));
        world.run(MOMENT);
        let within = world.mail_for(tls(SERVER));
        assert_eq!(
            within.iter().filter(|l| l.text.starts_with("ACK sips:") || l.text.starts_with("BYE sips:")).count(),
            2
        );
        assert!(within.iter().all(|letter| letter.flow.transport == Transport::Tls));
        assert!(world.mail.is_empty(), "nothing went elsewhere: {:#?}", world.mail);
    }
}

#[test]
fn nobody_leads_a_protected_call_into_the_open() {
    let mut world = world(None, false);
    call(&mut world, "sips:bob@192.0.2.9");
    let invite = world.latest(tls(SERVER), "INVITE");
    let mut text = String::from("SIP/2.0 302 Moved\r\n");
    for name in ["Via", "From", "Call-ID", "CSeq"] {
        text += &format!("{name}: {}\r\n", invite.header(name));
    }
    text += &format!("To: {};tag=t\r\nContact: <sip:bob@192.0.2.10>\r\nContent-Length: 0\r\n\r\n", invite.header("To"));
    let (now, flow) = (world.now, Flow { local: world.phones[0].address, ..invite.flow });
    world.phones[0].agent.handle_received(now, Received { flow, bytes: text.into_bytes().into() });
    world.drain();
    let events = &world.phones[0].events;
    assert!(!events.iter().any(|event| matches!(event, Event::Redirected { .. })), "{events:?}");
    assert!(events.iter().any(|event| matches!(event, Event::Ended { .. })), "{events:?}");
}
