//! What the phone says it can do is what it does, and no more (RFC 3261 §11).
use crate::hostile::{SECOND, SERVER, registered};
use crate::peer::Letter;
use crate::world::{World, address};
use offhook::base::net::{Flow, Received, Transport};
use offhook::ua::command::Command;
use offhook::ua::event::Event;

fn ask(world: &mut World, method: &str, headers: &str) -> Letter {
    ask_over(world, Transport::Udp, method, headers)
}

fn ask_over(world: &mut World, transport: Transport, method: &str, headers: &str) -> Letter {
    world.mail_for(address(SERVER));
    let text = format!(
        "{method} sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK{method}{}\r\n\
         From: <sip:x@192.0.2.9>;tag=o\r\nTo: <sip:a@192.0.2.9>\r\nCall-ID: {method}{0}\r\nCSeq: 1 {method}\r\n\
         {headers}Content-Length: 0\r\n\r\n",
        headers.len()
    );
    let flow = Flow::new(transport, world.phones[0].address, address(SERVER));
    let now = world.now;
    world.phones[0].agent.handle_received(now, Received { flow, bytes: text.into() });
    world.drain();
    world.run(SECOND / 10);
    world.latest(address(SERVER), "SIP/2.0")
}

#[test]
fn each_method_that_is_listed_is_served_and_no_other() {
    let mut world = registered(51);
    let answer = ask(&mut world, "OPTIONS", "");
    assert_eq!(answer.first(), "SIP/2.0 200 OK");
    let allow = answer.header("Allow");
    let listed: Vec<&str> = allow.split(',').map(str::trim).collect();
    for name in ["Accept", "Accept-Encoding", "Accept-Language", "Supported", "Allow-Events"] {
        assert!(!answer.header(name).is_empty(), "{name}: {}", answer.text);
    }
    let known = ["INVITE", "BYE", "OPTIONS", "PRACK", "INFO", "UPDATE", "REFER", "NOTIFY", "SUBSCRIBE", "MESSAGE"];
    for method in known.into_iter().chain(["REGISTER", "PUBLISH", "NONSENSE"]) {
        let answer = ask(&mut world, method, "Subject: is it served\r\n");
        let status = answer.first().split(' ').nth(1).unwrap_or_default().to_owned();
        // Those of a call are served within one.
        let served = !matches!(status.as_str(), "405" | "501") || method == "REFER";
        assert_eq!(listed.contains(&method), served, "{method}: {status}");
        assert!(served || answer.header("Allow") == allow, "{}", answer.text);
    }
    assert!(listed.iter().all(|method| known.contains(method) || matches!(*method, "ACK" | "CANCEL")), "{allow}");
    for event in answer.header("Allow-Events").split(',').map(str::trim).filter(|event| *event != "refer") {
        let answer = ask(&mut world, "SUBSCRIBE", &format!("Event: {event}\r\nContact: <sip:192.0.2.9>\r\n"));
        assert!(answer.first().contains("403"), "{event} is known, and nobody is listed: {}", answer.first());
    }
}

#[test]
fn what_could_be_agreed_to_is_described_to_who_asks() {
    let mut world = registered(52);
    assert!(!ask(&mut world, "OPTIONS", "").text.contains("v=0"));
    let wanted = "Accept: text/plain, application/sdp\r\n";
    // Whoever forges a sender is not helped to send more than he has.
    assert!(!ask(&mut world, "OPTIONS", wanted).text.contains("v=0"));
    let answer = ask_over(&mut world, Transport::Tcp, "OPTIONS", &format!("Subject: again\r\n{wanted}"));
    assert_eq!(answer.header("Content-Type"), "application/sdp");
    assert!(answer.text.contains("\r\nm=audio 0 RTP/AVP ") && answer.text.contains("PCMU/8000"), "{}", answer.text);
}

#[test]
fn what_a_peer_can_do_is_told_in_words() {
    let mut world = World::direct(2, 53);
    world.command(0, Command::Query { account: None, target: "phone2@192.0.2.2".to_owned() });
    world.run(SECOND);
    let told = world.phones[0].events.iter().find_map(|event| match event {
        Event::Capabilities { answer, told, .. } => Some((answer.clone(), told.clone().expect("an answer"))),
        _ => None,
    });
    let (words, view) = told.expect("an answer");
    assert!(words.starts_with("200 OK: takes calls, can be transferred, takes texts"), "{words}");
    assert!(words.contains("can be watched (refer, dialog, presence)") && words.ends_with("; offhook test"), "{words}");
    assert!(view.methods.contains(&"MESSAGE".to_owned()) && view.bodies.contains(&"application/sdp".to_owned()));
}
