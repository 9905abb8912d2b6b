//! Who it is: whom the agent believes, what is withheld, and who is connected by now.
use crate::hostile::{SECOND, SERVER, registered, registered_as};
use crate::peer::{Letter, request, sdp};
use crate::world::{World, account, address, settings};
use offhook::ua::caller_id::{CallerId, PrivateBy};
use offhook::ua::command::Command;
use offhook::ua::contacts::{Change, Contact, Contacts, Number};
use offhook::ua::event::Event;
use offhook::ua::identity::{Identity, Source};
use offhook::ua::ladder::capture::{Format, export};
use offhook::ua::snapshot::{CallEnd, CallSummary};

const FROM: &str = "From: <sip:eve@192.0.2.9:5060>;tag=eve\r\n";

/// An INVITE with these headers beside the usual; those that name `From` replace it.
fn invite(from: std::net::SocketAddr, headers: &str) -> String {
    let plain = request("INVITE", "sip:a@192.0.2.1", from, "eve", &sdp(from, "sendrecv"));
    let own = format!("From: <sip:eve@{from}>;tag=eve\r\n");
    let own = if headers.contains("From:") { plain.replace(&own, "") } else { plain };
    own.replace("CSeq:", &format!("{headers}CSeq:"))
}

fn caller(headers: &str) -> (World, Identity) {
    let mut world = registered(71);
    world.give(0, address(SERVER), &invite(address(SERVER), headers));
    world.run(SECOND);
    let identity = world.call(0).identity;
    (world, identity)
}

/// Who does not want to be known is not named by any message of the call, in no file of them, unless secrets are asked for.
#[test]
fn a_withheld_caller_is_not_named_by_the_ladder() {
    let headers = "From: \"Eve\" <sip:2125551212@pbx.example>;tag=eve\r\nPrivacy: id;user\r\n\
                   P-Asserted-Identity: \"Eve Adams\" <sip:+12125551212@pbx.example>\r\n";
    let (mut world, identity) = caller(headers);
    assert_eq!(identity.source, Source::Withheld);
    world.command(0, Command::Answer(world.number(0)));
    world.run(SECOND);
    world.command(0, Command::HangUp(world.number(0)));
    // Its BYE waits for the ACK that does not come.
    world.run(40 * SECOND);
    let ladder = std::sync::Arc::clone(&world.phones[0].agent.snapshot(world.now).ladders[0]);
    assert!(ladder.rows.iter().any(|row| row.label == "BYE"), "{ladder:?}");
    for format in [Format::Text, Format::Pcap, Format::Pcapng] {
        let file = |secrets| {
            let content = export(format, &ladder.peer, &ladder.rows, secrets);
            String::from_utf8_lossy(&content).into_owned()
        };
        let (masked, whole) = (file(false), file(true));
        for name in ["2125551212", "Eve Adams", "\"Eve\"", "sip:eve@"] {
            assert!(!masked.contains(name), "{format:?}: {name} in {masked}");
        }
        assert!(masked.contains("P-Asserted-Identity: \"xxxxxxxxx\" <sip:xxxxxxxxxxxx@pbx.example>"), "{masked}");
        assert!(whole.contains("Eve Adams") && whole.contains("+12125551212"), "{whole}");
    }
}

fn summary(world: &World) -> CallSummary {
    let ended = world.phones[0].events.iter().rev().find_map(|event| match event {
        Event::Ended { summary, .. } => Some((**summary).clone()),
        _ => None,
    });
    ended.unwrap_or_else(|| panic!("no call has ended: {:#?}", world.ladder))
}

#[test]
fn the_own_server_is_believed_and_nobody_else() {
    let asserted = "P-Asserted-Identity: \"Alice Doe\" <sip:1002@pbx.example>\r\n";
    let (world, identity) = caller(asserted);
    assert_eq!((identity.name.as_str(), identity.address.as_str()), ("Alice Doe", "1002@pbx.example"));
    assert_eq!((identity.source, identity.phrase().as_str()), (Source::Asserted, "asserted by 192.0.2.9"));
    assert!(
        world.phones[0].events.iter().any(|e| matches!(e, Event::Identified { identity: i, .. } if **i == identity))
    );
    // Somebody else who may ring is not believed.
    let mut direct = settings(vec![account("a", address(SERVER), true)]);
    direct.accounts[0].direct_calls = true;
    let mut world = World::new(vec![direct], 72);
    world.run(SECOND);
    world.give(0, address(66), &invite(address(66), asserted));
    world.run(SECOND);
    let identity = world.call(0).identity;
    assert_eq!((identity.name.as_str(), identity.source), ("eve", Source::Claimed));
    assert_eq!(identity.phrase(), "only their own word");
}

#[test]
fn who_does_not_want_to_be_known_is_named_nowhere() {
    let secret = "From: \"Alice\" <sip:alice@example.com>;tag=eve\r\n\
                  P-Asserted-Identity: \"Alice\" <sip:alice@example.com>\r\nPrivacy: id\r\n";
    let (mut world, identity) = caller(secret);
    assert_eq!(
        (identity.name.as_str(), identity.address.as_str(), identity.source),
        ("withheld", "", Source::Withheld)
    );
    let call = world.call(0);
    world.command(0, Command::Answer(call.number));
    world.run(SECOND);
    world.command(0, Command::HangUp(call.number));
    world.run(SECOND);
    let told = format!("{:?} {:?} {:?} {:?}", world.log, world.phones[0].events, world.call(0), summary(&world));
    assert!(!told.to_lowercase().contains("alice"), "{told}");
}

#[test]
fn who_handed_a_call_on_is_told() {
    let diverted = "Diversion: \"Bob\" <sip:1003@pbx.example>;reason=no-answer\r\n";
    let (_, identity) = caller(diverted);
    assert_eq!(identity.forwarded_words(), "forwarded by Bob (no answer)");
}

#[test]
fn what_a_server_checked_is_told_and_what_only_is_signed_is_a_claim() {
    // {"attest":"A"}
    let signed = "Identity: e30.eyJhdHRlc3QiOiJBIn0.c2ln;info=<https://c.example/c.pem>;ppt=shaken\r\n";
    let (_, identity) = caller(&format!("{FROM}{signed}"));
    assert_eq!(identity.phrase(), "only their own word, attestation A claimed, not verified here");
    let (_, identity) = caller("From: <sip:+12;verstat=TN-Validation-Passed@h;user=phone>;tag=eve\r\n");
    assert_eq!(identity.phrase(), "number verified, says 192.0.2.9");
    let (_, identity) = caller("From: <sip:+12;verstat=TN-Validation-Failed@h;user=phone>;tag=eve\r\n");
    assert_eq!(identity.phrase(), "the check of the number FAILED, only their own word");
}

/// A call of ours, with what is said of the other side in the 200.
fn called(seed: u64, headers: &str) -> (World, Letter) {
    let mut world = registered(seed);
    world.command(0, Command::Call { account: None, target: "600".to_owned() });
    world.run(SECOND / 10);
    let invite = world.latest(address(SERVER), "INVITE");
    assert!(invite.header("Supported").contains("from-change"), "{}", invite.text);
    let headers = format!("{headers}Contact: <sip:192.0.2.9>\r\nContent-Type: application/sdp\r\n");
    world.answer(0, &invite, "200 OK", &headers, &sdp(address(SERVER), "sendrecv"));
    world.run(SECOND / 10);
    assert!(world.is_established(0));
    (world, invite)
}

/// A request of the other side within the call, with headers.
fn within(invite: &Letter, method: &str, number: u32, from: &str, headers: &str, body: &str) -> String {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "{method} sip:a@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK{method}{number}\r\n\
         Max-Forwards: 70\r\nFrom: {from};tag=peer\r\nTo: {}\r\nCall-ID: {}\r\nCSeq: {number} {method}\r\n\
         Contact: <sip:192.0.2.9>\r\n{headers}{kind}Content-Length: {}\r\n\r\n{body}",
        invite.header("From"),
        invite.header("Call-ID"),
        body.len()
    )
}

#[test]
fn the_one_who_answers_is_named() {
    let (world, _) = called(73, "P-Asserted-Identity: \"Alice\" <sip:1002@pbx.example>\r\n");
    let identity = world.call(0).identity;
    assert_eq!((identity.name.as_str(), identity.address.as_str()), ("Alice", "1002@pbx.example"));
    assert_eq!((identity.source, identity.dialled.as_str()), (Source::Asserted, "600@192.0.2.9"));
    // The same number as was called: the server only adds the name.
    let (world, _) = called(74, "Remote-Party-ID: \"Echo\" <sip:600@pbx.example>;party=called;screen=yes\r\n");
    let identity = world.call(0).identity;
    assert_eq!((identity.name.as_str(), identity.address.as_str()), ("Echo", "600@192.0.2.9"));
    assert_eq!((identity.source, identity.dialled.as_str()), (Source::Asserted, ""));
    // Who wants to stay unknown is still whom we called.
    let (world, _) = called(75, "P-Asserted-Identity: \"Alice\" <sip:1002@pbx.example>\r\nPrivacy: id\r\n");
    assert_eq!((world.call(0).peer_name.as_str(), world.call(0).identity.source), ("600", Source::Dialled));
}

#[test]
fn who_is_connected_changes_within_the_call() {
    let (mut world, invite) = called(76, "");
    let to = invite.header("To");
    let bob = "P-Asserted-Identity: \"Bob\" <sip:1003@pbx.example>\r\n";
    let offer = sdp(address(SERVER), "sendrecv");
    let carol = "P-Asserted-Identity: \"Carol\" <sip:1004@pbx.example>\r\n";
    let eve = "P-Asserted-Identity: \"Eve\" <sip:666@pbx.example>\r\n";
    let rows = [
        // RFC 4916: the other side's own word, as long as no server has said who it is.
        ("UPDATE", SERVER, "<sip:eve@h>", "", "", "eve", Source::Claimed),
        ("UPDATE", SERVER, &to, bob, "", "Bob", Source::Asserted),
        ("UPDATE", SERVER, &to, carol, &offer, "Carol", Source::Asserted),
        ("INVITE", SERVER, &to, bob, &offer, "Bob", Source::Asserted),
        ("UPDATE", 66, &to, eve, "", "Bob", Source::Asserted),
        ("UPDATE", SERVER, "<sip:eve@h>", "", "", "Bob", Source::Asserted),
        (
            "UPDATE",
            SERVER,
            "<sip:eve@h>",
            "Privacy: id\r\nP-Asserted-Identity: <sip:9@h>\r\n",
            "",
            "withheld",
            Source::Withheld,
        ),
    ];
    for (number, (method, from, name, headers, body, shown, source)) in (1..).zip(rows) {
        world.give(0, address(from), &within(&invite, method, number, name, headers, body));
        world.run(SECOND);
        let call = world.call(0);
        assert_eq!((call.peer_name.as_str(), call.identity.source), (shown, source), "{number} {headers}");
        if method == "INVITE" {
            world.give(0, address(SERVER), &within(&invite, "ACK", number, name, "", ""));
        }
    }
    assert_eq!(world.call(0).identity.dialled, "600@192.0.2.9");
    world.command(0, Command::HangUp(world.number(0)));
    world.run(SECOND);
    let bye = world.latest(address(SERVER), "BYE");
    // The dialog's remote URI has followed (RFC 4916).
    assert!(bye.header("To").starts_with("<sip:eve@h>"), "{}", bye.text);
    assert_eq!((summary(&world).end, summary(&world).peer_name.as_str()), (CallEnd::Normal, "withheld"));
}

fn knowing(contacts: Vec<Contact>, seed: u64) -> World {
    let mut known = settings(vec![account("a", address(SERVER), true)]);
    known.contacts = Contacts::new(contacts);
    registered_as(known, seed)
}

fn contact(name: &str, number: &str) -> Contact {
    let number = Number { address: number.to_owned(), label: String::new() };
    Contact { name: name.to_owned(), numbers: vec![number], ..Contact::default() }
}

#[test]
fn the_names_of_contacts_stand_beside_what_was_told() {
    let mut world = knowing(vec![contact("Mum", "+420555123456")], 77);
    let told = "From: \"Eve\" <sip:555123456@192.0.2.9>;tag=eve\r\n";
    world.give(0, address(SERVER), &invite(address(SERVER), told));
    world.run(SECOND);
    let identity = world.call(0).identity;
    assert_eq!((identity.name.as_str(), identity.told.as_str()), ("Mum", "Eve"));
    assert_eq!(identity.phrase(), "your contact, if the number they claim is theirs");
    // A call that is up learns the name when the contact does.
    let change = Change::Put(contact("Mother", "555123456"));
    world.command(0, Command::Contact(change.clone()));
    world.command(0, Command::Contact(Change::Remove("mum".to_owned())));
    assert_eq!(world.call(0).peer_name, "Mother");
    assert!(world.phones[0].events.contains(&Event::Contacts(Box::new(change))));
    world.command(0, Command::Contact(Change::Remove("mum".to_owned())));
    assert!(matches!(world.phones[0].events.last(), Some(Event::Refused { .. })));
}

#[test]
fn names_are_dialled() {
    let target = || "echo test".to_owned();
    for command in
        [Command::Call { account: None, target: target() }, Command::Intercom { account: None, target: target() }]
    {
        let mut world = knowing(vec![contact("Echo Test", "600")], 78);
        world.command(0, command);
        world.run(SECOND / 10);
        assert_eq!(world.latest(address(SERVER), "INVITE").first(), "INVITE sip:600@192.0.2.9 SIP/2.0");
        let identity = world.call(0).identity;
        assert_eq!((identity.name.as_str(), identity.phrase().as_str()), ("Echo Test", "your contact"));
    }
}

#[test]
fn contacts_are_watched_while_that_is_wanted() {
    let watched = Contact { watch: true, ..contact("Bob", "1003") };
    let mut world = knowing(vec![watched, contact("Carol", "1004")], 79);
    world.run(SECOND);
    let asked = world.latest(address(SERVER), "SUBSCRIBE");
    assert!(asked.first().starts_with("SUBSCRIBE sip:1003@192.0.2.9"), "{}", asked.text);
    let lamps = |world: &World| {
        let watched = world.phones[0].agent.snapshot(world.now).watched;
        watched.iter().map(|view| view.name().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(lamps(&world), ["Bob"]);
    world.command(0, Command::Contact(Change::Watch { name: "carol".to_owned(), on: true }));
    world.command(0, Command::Contact(Change::Watch { name: "Bob".to_owned(), on: false }));
    world.run(SECOND);
    assert_eq!(lamps(&world), ["Carol"]);
    let asked = world.latest(address(SERVER), "SUBSCRIBE");
    assert!(asked.first().starts_with("SUBSCRIBE sip:1004@192.0.2.9"), "{}", asked.text);
    let many = (0..200).map(|n| Contact { watch: true, ..contact(&format!("n{n}"), &format!("2{n:03}")) });
    many.for_each(|contact| world.command(0, Command::Contact(Change::Put(contact))));
    assert!(lamps(&world).len() <= 64);
}

fn presenting(caller_id: CallerId, seed: u64) -> World {
    let mut own = settings(vec![account("a", address(SERVER), true)]);
    own.accounts[0].caller_id = caller_id;
    own.accounts[0].display_name = "Alice".to_owned();
    own.description.name = "Alice Doe".to_owned();
    registered_as(own, seed)
}

#[test]
fn who_calls_is_said_as_the_user_wants() {
    const AOR: &str = "\"Alice\" <sip:a@192.0.2.9>";
    const NOBODY: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";
    let plain = CallerId::default;
    let named = || CallerId { identity: "Alice <sip:+49301@h>".to_owned(), ..plain() };
    let private = || CallerId { private: true, private_prefix: "*31*".to_owned(), ..plain() };
    let by_server = || CallerId { private_by: PrivateBy::Server, ..private() };
    let call = |target: &str| Command::Call { account: None, target: target.to_owned() };
    let call_as = |private| Command::CallAs { account: None, target: "600".to_owned(), private };
    let rows = [
        (plain(), call("600"), AOR, "", ""),
        (plain(), call_as(true), NOBODY, "id", AOR),
        (plain(), call_as(false), AOR, "", ""),
        (named(), call("600"), AOR, "", "\"Alice\" <sip:+49301@h>"),
        (named(), call_as(true), NOBODY, "id", "\"Alice\" <sip:+49301@h>"),
        (private(), call("600"), NOBODY, "id", AOR),
        (private(), call("*31*600"), AOR, "none", ""),
        (private(), call_as(false), AOR, "none", ""),
        (by_server(), call("600"), AOR, "id;user", AOR),
    ];
    for (row, (caller_id, command, from, privacy, preferred)) in rows.into_iter().enumerate() {
        let mut world = presenting(caller_id, 80);
        world.command(0, command);
        world.run(SECOND / 10);
        let invite = world.latest(address(SERVER), "INVITE");
        assert!(invite.header("From").starts_with(from), "{row}: {}", invite.text);
        assert_eq!(invite.header("Privacy"), privacy, "{row}");
        assert_eq!(invite.header("P-Preferred-Identity"), preferred, "{row}");
        assert_eq!(invite.first(), "INVITE sip:600@192.0.2.9 SIP/2.0", "{row}");
        // RTCP does not tell either.
        let headers = "Contact: <sip:192.0.2.9>\r\nContent-Type: application/sdp\r\n";
        world.answer(0, &invite, "200 OK", headers, &sdp(address(SERVER), "sendrecv"));
        let hidden = privacy.contains("id");
        assert_eq!(world.spec(0).description.name.is_empty(), hidden, "{row}");
    }
}

#[test]
fn only_the_own_server_learns_who_a_private_call_is_from() {
    for by in [PrivateBy::Phone, PrivateBy::Server] {
        let mut world = presenting(CallerId { private: true, private_by: by, ..CallerId::default() }, 81);
        world.command(0, Command::Call { account: None, target: format!("sip:m@{}", address(66)) });
        world.run(SECOND / 10);
        let invite = world.latest(address(66), "INVITE");
        assert!(!invite.text.contains("Alice") && !invite.text.contains("sip:a@"), "{by:?}: {}", invite.text);
    }
}

#[test]
fn calls_without_a_name_are_refused_where_that_is_wanted() {
    for (refuse, headers, rings) in [
        (false, "Privacy: id\r\n", true),
        (true, "", true),
        (true, "Privacy: id\r\n", false),
        (true, "From: <sip:anonymous@anonymous.invalid>;tag=eve\r\n", false),
    ] {
        let mut world = presenting(CallerId { refuse_anonymous: refuse, ..CallerId::default() }, 82);
        world.give(0, address(SERVER), &invite(address(SERVER), headers));
        world.run(SECOND / 10);
        let answers: Vec<String> = world.mail_for(address(SERVER)).iter().map(|l| l.first().to_owned()).collect();
        let refused = answers.iter().any(|first| first == "SIP/2.0 433 Anonymity Disallowed");
        assert_eq!(
            (refused, world.phones[0].agent.snapshot(world.now).calls.len() == 1),
            (!rings, rings),
            "{answers:?}"
        );
    }
}

#[test]
fn why_a_call_ended_is_told_in_words() {
    let (mut world, invite) = called(83, "");
    let why = "Reason: Q.850;cause=102, SIP;cause=408;text=\"RTP\u{1b}[2J timeout\"\r\n";
    world.give(0, address(SERVER), &within(&invite, "BYE", 1, &invite.header("To"), why, ""));
    world.run(SECOND);
    assert_eq!(summary(&world).cause, "the other side hung up (a timer expired; request timeout: RTP[2J timeout)");
}
