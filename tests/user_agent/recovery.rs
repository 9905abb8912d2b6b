//! Calls that outlive their network and their servers: addresses that change, sleep, servers that forget, takeovers.
use crate::hostile::{SECOND, SERVER, registered};
use crate::peer::{Letter, request, sdp};
use crate::world::{World, address};
use offhook::base::id::StreamId;
use offhook::base::untrusted::Untrusted;
use offhook::media::event::MediaEvent;
use offhook::media::spec::MediaCommand;
use offhook::ua::command::Command;
use offhook::ua::event::Event;
use offhook::ua::snapshot::{CallEnd, CallSummary, RegistrationState};
use std::time::Duration;

const TENTH: Duration = Duration::from_millis(100);

fn talking(seed: u64) -> World {
    let mut world = World::direct(2, seed);
    world.command(0, Command::Call { account: None, target: "phone2@192.0.2.2".to_owned() });
    world.run(SECOND);
    world.command(1, Command::Answer(world.number(1)));
    world.run(SECOND);
    assert!(world.is_established(0) && world.is_established(1), "{:#?}", world.ladder);
    world
}

/// A phone that talks over its server, which the test plays, and its INVITE.
fn served(seed: u64) -> (World, Letter) {
    let mut world = registered(seed);
    world.command(0, Command::Call { account: None, target: "600".to_owned() });
    world.run(TENTH);
    let invite = world.latest(address(SERVER), "INVITE");
    accept(&mut world, &invite);
    assert!(world.is_established(0));
    (world, invite)
}

fn accept(world: &mut World, invite: &Letter) {
    let headers = "Contact: <sip:192.0.2.9>\r\nContent-Type: application/sdp\r\n";
    world.answer(0, invite, "200 OK", headers, &sdp(address(SERVER), "sendrecv"));
    world.run(TENTH);
}

fn refuse_all(world: &mut World, start: &str, status: &str) -> usize {
    let letters = world.mail_for(address(SERVER));
    let meant: Vec<_> = letters.iter().filter(|letter| letter.text.starts_with(start)).collect();
    meant.iter().for_each(|letter| world.answer(0, letter, status, "", ""));
    meant.len()
}

fn summary(world: &World, phone: usize) -> CallSummary {
    let ended = world.phones[phone].events.iter().rev().find_map(|e| match e {
        Event::Ended { summary, .. } => Some((**summary).clone()),
        _ => None,
    });
    ended.unwrap_or_else(|| panic!("the call of phone {phone} has not ended: {:#?}", world.ladder))
}

impl World {
    fn change_network(&mut self, phone: usize) {
        let now = self.now;
        self.phones[phone].agent.handle_network_changed(now);
        self.drain();
    }

    /// Media of a phone hears something.
    fn sound(&mut self, phone: usize) {
        let (now, stream) = (self.now, StreamId(self.number(phone).0));
        self.phones[phone].agent.handle_media(now, MediaEvent::Flowing { stream });
        self.drain();
    }

    /// Any event of a stream makes the agent look at the clock.
    pub fn stir(&mut self, phone: usize) {
        let (now, stream) = (self.now, StreamId(self.number(phone).0));
        let event = MediaEvent::Goodbye { stream, reason: Untrusted::new("") };
        self.phones[phone].agent.handle_media(now, event);
        self.drain();
    }

    fn opened(&self, phone: usize) -> usize {
        self.phones[phone].media.iter().filter(|c| matches!(c, MediaCommand::Open { .. })).count()
    }

    fn has_logged(&self, text: &str) -> bool {
        self.log.iter().any(|line| line.contains(text))
    }
}

#[test]
fn the_peer_follows_to_a_new_address() {
    for phone in [0, 1] {
        let mut world = talking(1);
        world.phones[phone].address = address(70);
        world.change_network(phone);
        assert!(world.call(phone).recovery.contains("address changed"), "{}", world.call(phone).recovery);
        world.run(SECOND);
        assert_eq!(world.spec(1 - phone).remote_rtp.ip(), address(70).ip());
        assert!(world.spec(1 - phone).generation > 1 && world.spec(phone).generation > 1, "both latches are opened");
        assert!(world.call(phone).recovery.is_empty() && world.has_logged("the peer follows"));
        // What comes later goes to the new address.
        world.ladder.clear();
        world.command(1 - phone, Command::HangUp(world.number(1 - phone)));
        world.run(SECOND);
        assert!(world.ladder.iter().any(|line| line.contains("-> 192.0.2.70: BYE")), "{:#?}", world.ladder);
        assert_eq!((summary(&world, 0).end, summary(&world, 1).end), (CallEnd::Normal, CallEnd::Normal));
    }
}

#[test]
fn an_address_that_stays_disturbs_no_call_but_sleep_does() {
    let mut world = talking(2);
    world.ladder.clear();
    world.change_network(0);
    world.run(SECOND);
    assert!(world.ladder.is_empty(), "{:#?}", world.ladder);
    let now = world.now;
    world.phones[0].agent.handle_woke(now);
    world.drain();
    world.run(SECOND);
    assert!(world.ladder.iter().any(|line| line.contains(": INVITE")), "{:#?}", world.ladder);
    assert!(world.call(0).recovery.is_empty() && world.opened(0) == 1);
}

#[test]
fn a_registered_phone_registers_from_the_new_address_at_once_and_its_call_moves() {
    let (mut world, invite) = served(3);
    world.phones[0].address = address(70);
    world.change_network(0);
    world.run(TENTH);
    let mail = world.mail_for(address(SERVER));
    let find = |start: &str| mail.iter().find(|l| l.text.starts_with(start)).cloned();
    let (register, again) = (find("REGISTER").expect("at once"), find("INVITE").expect("in the dialog"));
    assert!(register.header("Contact").contains("192.0.2.70") && register.flow.local == address(70));
    assert_eq!(again.header("Call-ID"), invite.header("Call-ID"));
    assert!(
        again.header("Contact").contains("192.0.2.70") && again.text.contains("c=IN IP4 192.0.2.70"),
        "{}",
        again.text
    );
    accept(&mut world, &again);
    assert!(world.is_established(0) && world.call(0).recovery.is_empty());
}

#[test]
fn an_address_that_changes_while_it_rings_is_told_when_the_call_is_up() {
    // It rings here.
    let mut world = registered(31);
    let invite = request("INVITE", "sip:a@192.0.2.9", address(SERVER), "bob", &sdp(address(SERVER), "sendrecv"));
    world.give(0, address(SERVER), &invite);
    world.run(TENTH);
    world.phones[0].address = address(70);
    world.change_network(0);
    world.run(TENTH);
    world.command(0, Command::Answer(world.number(0)));
    world.run(TENTH);
    let answer = world.latest(address(SERVER), "SIP/2.0 200");
    assert!(
        answer.header("Contact").contains("192.0.2.70") && answer.text.contains("IP4 192.0.2.70"),
        "{}",
        answer.text
    );
    // It rings there.
    let mut world = registered(32);
    world.command(0, Command::Call { account: None, target: "600".to_owned() });
    world.run(TENTH);
    let invite = world.latest(address(SERVER), "INVITE");
    world.answer(0, &invite, "180 Ringing", "Contact: <sip:192.0.2.9>\r\n", "");
    world.phones[0].address = address(70);
    world.change_network(0);
    world.run(TENTH);
    accept(&mut world, &invite);
    world.run(SECOND);
    let again = world.latest(address(SERVER), "INVITE");
    assert!(again.header("Contact").contains("192.0.2.70") && again.text.contains("IP4 192.0.2.70"), "{}", again.text);
    accept(&mut world, &again);
    assert!(world.is_established(0) && world.call(0).recovery.is_empty());
}

#[test]
fn a_peer_that_cannot_be_reached_at_first_is_asked_again() {
    let (mut world, _) = served(4);
    world.phones[0].address = address(70);
    world.change_network(0);
    world.run(TENTH);
    let again = world.latest(address(SERVER), "INVITE");
    for _ in 0..3 {
        let now = world.now;
        world.phones[0].agent.handle_refused(now, again.flow, "no way to the network");
        world.drain();
        assert!(world.is_established(0) && !world.call(0).recovery.is_empty());
        world.run(3 * SECOND);
    }
    let again = world.latest(address(SERVER), "INVITE");
    accept(&mut world, &again);
    assert!(world.is_established(0) && world.call(0).recovery.is_empty());
}

#[test]
fn an_icmp_error_fails_a_request_and_no_call() {
    let (mut world, _) = served(5);
    world.command(0, Command::Hold(world.number(0)));
    world.run(TENTH);
    let hold = world.latest(address(SERVER), "INVITE");
    let now = world.now;
    world.phones[0].agent.handle_refused(now, hold.flow, "nothing listens at 192.0.2.9:5060");
    world.drain();
    assert!(world.is_established(0) && !world.call(0).held_by_us);
    world.command(0, Command::HangUp(world.number(0)));
    world.run(SECOND);
    // A call that never came to be is told why.
    world.command(0, Command::Call { account: None, target: "601".to_owned() });
    world.run(TENTH);
    let invite = world.latest(address(SERVER), "INVITE");
    let now = world.now;
    world.phones[0].agent.handle_refused(now, invite.flow, "nothing listens at 192.0.2.9:5060");
    world.drain();
    assert_eq!(
        (summary(&world, 0).end, summary(&world, 0).cause.as_str()),
        (CallEnd::Failed, "nothing listens at 192.0.2.9:5060")
    );
}

#[test]
fn a_call_whose_dialog_was_forgotten_is_set_up_again_while_sound_arrives() {
    for phone in [0, 1] {
        let mut world = talking(6);
        let numbers = (world.number(0), world.number(1));
        world.forgets = &["INVITE", "UPDATE", "OPTIONS"];
        world.sound(phone);
        world.command(phone, Command::Hold(world.number(phone)));
        world.run(Duration::from_millis(15));
        assert!(world.call(phone).recovery.contains("setting the call up again"), "{:#?}", world.ladder);
        world.run(SECOND);
        assert!(world.is_established(0) && world.is_established(1), "{:#?}", world.ladder);
        assert_eq!((world.number(0), world.number(1)), numbers, "the same calls");
        assert!(world.call(phone).recovery.is_empty() && world.has_logged("taken over by"), "{:#?}", world.log);
        assert!(world.ladder.iter().any(|line| line.contains(": BYE")), "the dialog before has its end");
        assert!(world.phones.iter().all(|p| p.streams.len() == 1), "sound goes on");
        assert_eq!((world.opened(0), world.opened(1)), (1, 1));
        assert_eq!(world.phones[1].events.iter().filter(|e| matches!(e, Event::Incoming { .. })).count(), 1);
        // The new dialog is as good as the old one.
        world.forgets = &[];
        world.command(phone, Command::Hold(world.number(phone)));
        world.run(SECOND);
        assert!(world.call(phone).held_by_us && world.call(1 - phone).held_by_peer);
        world.run(60 * SECOND);
        world.command(1 - phone, Command::HangUp(world.number(1 - phone)));
        world.run(SECOND);
        assert_eq!((summary(&world, 0).end, summary(&world, 1).end), (CallEnd::Normal, CallEnd::Normal));
        assert!(world.phones.iter().all(|p| p.streams.is_empty()));
        world.run(150 * SECOND);
        assert!(world.phones.iter().all(|p| p.agent.snapshot(world.now).calls.is_empty()), "nothing lingers");
    }
}

#[test]
fn signalling_and_sound_lost_are_the_end() {
    let mut world = talking(7);
    world.forgets = &["INVITE"];
    world.run(10 * SECOND);
    world.command(0, Command::Hold(world.number(0)));
    world.run(SECOND);
    let summary = summary(&world, 0);
    assert_eq!((summary.end, summary.status), (CallEnd::Failed, Some(481)));
    assert!(summary.cause.contains("the server lost the call, and no sound arrives"), "{}", summary.cause);
}

#[test]
fn a_call_that_cannot_be_set_up_again_goes_on_for_as_long_as_sound_arrives() {
    let (mut world, _) = served(8);
    world.sound(0);
    world.command(0, Command::Hold(world.number(0)));
    world.run(TENTH);
    let mut refused = 0;
    for _ in 0..4 {
        refused += refuse_all(&mut world, "INVITE", "481 No Such Call");
        world.run(TENTH);
    }
    assert_eq!(refused, 3, "the hold, the remote target, the address that was dialled");
    for _ in 0..20 {
        world.sound(0);
        world.run(SECOND);
        assert!(world.is_established(0) && world.call(0).recovery.contains("goes on while sound arrives"));
    }
    world.run(6 * SECOND);
    assert!(summary(&world, 0).cause.contains("the server lost the call"), "{}", summary(&world, 0).cause);
    assert!(world.phones[0].streams.is_empty());
}

#[test]
fn silence_is_asked_about_once_and_ends_only_a_call_that_is_not_there() {
    // What the OPTIONS gets; `None`: no answer at all.
    for (answer, ends) in [(None, false), (Some("405 Method Not Allowed"), false), (Some("481 No Such Call"), true)] {
        let (mut world, invite) = served(13);
        for _ in 0..4 {
            world.sound(0);
            world.run(SECOND);
        }
        let probes = |world: &mut World| -> Vec<Letter> {
            let mail = world.mail_for(address(SERVER)).into_iter();
            mail.filter(|l| l.text.starts_with("OPTIONS") && l.header("Call-ID") == invite.header("Call-ID")).collect()
        };
        assert!(probes(&mut world).is_empty());
        world.run(4 * SECOND);
        world.stir(0);
        world.run(TENTH);
        let asked = probes(&mut world);
        assert!(world.call(0).recovery.contains("no sound arrives"), "{}", world.call(0).recovery);
        if let Some(status) = answer {
            world.answer(0, &asked[0], status, "", "");
        }
        world.run(if ends { SECOND } else { 40 * SECOND });
        assert_eq!(world.is_established(0), !ends, "{answer:?}");
        if ends {
            assert!(summary(&world, 0).cause.contains("the server lost the call"), "{}", summary(&world, 0).cause);
            continue;
        }
        let note = world.call(0).recovery;
        assert!(!note.contains("no sound arrives"), "{answer:?}: {note}");
        let cseq = |l: &Letter| l.header("CSeq");
        world.stir(0);
        world.run(TENTH);
        assert!(probes(&mut world).iter().all(|again| cseq(again) == cseq(&asked[0])), "asked once");
    }
}

#[test]
fn hanging_up_while_the_call_is_set_up_again_leaves_nothing_behind() {
    let (mut world, _) = served(9);
    world.sound(0);
    world.command(0, Command::Hold(world.number(0)));
    world.run(TENTH);
    refuse_all(&mut world, "INVITE", "481 No Such Call");
    world.run(TENTH);
    let replacing = world.latest(address(SERVER), "INVITE");
    assert!(
        replacing.header("Replaces").contains(";to-tag=peer;from-tag=") && replacing.header("Require") == "replaces"
    );
    world.command(0, Command::HangUp(world.number(0)));
    assert_eq!(summary(&world, 0).end, CallEnd::Normal);
    // It was answered while we gave up: released at once.
    accept(&mut world, &replacing);
    let mail = world.mail_for(address(SERVER));
    let bye = mail.iter().find(|l| l.text.starts_with("BYE") && l.header("Call-ID") == replacing.header("Call-ID"));
    assert!(bye.is_some(), "{mail:#?}");
    world.run(150 * SECOND);
    assert!(world.phones[0].agent.snapshot(world.now).calls.is_empty() && world.phones[0].streams.is_empty());
}

#[test]
fn a_dead_server_ends_no_call_and_is_asked_when_it_is_back() {
    let (mut world, invite) = served(10);
    // From here on the session is to be refreshed by us.
    world.command(0, Command::Hold(world.number(0)));
    world.run(TENTH);
    let hold = world.latest(address(SERVER), "INVITE");
    let headers =
        "Contact: <sip:192.0.2.9>\r\nSession-Expires: 1000;refresher=uac\r\nContent-Type: application/sdp\r\n";
    world.answer(0, &hold, "200 OK", headers, &sdp(address(SERVER), "recvonly").replace("1 1 IN", "1 2 IN"));
    world.command(0, Command::Resume(world.number(0)));
    world.run(TENTH);
    let resume = world.latest(address(SERVER), "INVITE");
    assert!(resume.header("Session-Expires").ends_with("refresher=uac"), "{}", resume.text);
    world.answer(0, &resume, "200 OK", headers, &sdp(address(SERVER), "sendrecv").replace("1 1 IN", "1 3 IN"));
    // The refresh of the registration is not answered.
    for _ in 0..900 {
        world.sound(0);
        world.run(SECOND);
        if matches!(world.phones[0].agent.snapshot(world.now).accounts[0].state, RegistrationState::Failed { .. }) {
            break;
        }
    }
    assert!(
        world.is_established(0) && world.call(0).recovery.contains("the server does not answer"),
        "{:#?}",
        world.log
    );
    // Neither does the refresh of the session, nor its end, nor what is tried meanwhile.
    for _ in 0..1_000 {
        world.sound(0);
        world.run(SECOND);
    }
    assert!(world.has_logged("the call goes on without it"));
    assert!(world.is_established(0), "{:#?}", world.log);
    world.command(0, Command::Hold(world.number(0)));
    for _ in 0..40 {
        world.sound(0);
        world.run(SECOND);
    }
    assert!(world.is_established(0), "{:#?}", world.log);
    // The server is back.
    for _ in 0..4_000 {
        world.sound(0);
        world.run(SECOND);
        let mail = world.mail_for(address(SERVER));
        if let Some(register) = mail.iter().rev().find(|l| l.text.starts_with("REGISTER")) {
            let contact = format!("Contact: {};expires=600\r\n", register.header("Contact"));
            world.answer(0, register, "200 OK", &contact, "");
        }
        if matches!(world.phones[0].agent.snapshot(world.now).accounts[0].state, RegistrationState::Registered { .. }) {
            world.run(TENTH);
            break;
        }
    }
    assert!(world.call(0).recovery.contains("asking whether it knows the call"), "{}", world.call(0).recovery);
    let mail = world.mail_for(address(SERVER));
    let probe = mail.iter().find(|l| l.text.starts_with("OPTIONS") && l.header("Call-ID") == invite.header("Call-ID"));
    world.answer(0, probe.expect("asked in the dialog"), "200 OK", "", "");
    assert!(world.is_established(0) && world.call(0).recovery.is_empty());
}

#[test]
fn only_who_names_the_dialog_exactly_takes_it_over() {
    let (mut world, invite) = served(11);
    let (call_id, ours) = (invite.header("Call-ID"), invite.header("From"));
    let tag = ours.split(";tag=").nth(1).expect("our tag").to_owned();
    let number = world.number(0);
    let exact = format!("{call_id};to-tag={tag};from-tag=peer");
    // (Replaces, who sends it, status)
    let rows = [
        (format!("{call_id};to-tag={tag}"), SERVER, "400"),
        (format!("{exact}, {exact}"), SERVER, "400"),
        (format!("{exact}\r\nReplaces: {exact}"), SERVER, "400"),
        (format!("x{call_id};to-tag={tag};from-tag=peer"), SERVER, "481"),
        (format!("{call_id};to-tag={tag};from-tag=pee"), SERVER, "481"),
        (format!("{call_id};to-tag={tag};from-tag=0"), SERVER, "481"),
        (format!("{call_id};to-tag=x{tag};from-tag=peer"), SERVER, "481"),
        (format!("{call_id};to-tag=peer;from-tag={tag}"), SERVER, "481"),
        (format!("{exact};early-only"), SERVER, "486"),
        (exact.clone(), 66, "403"),
        (exact.clone(), SERVER, "200"),
        (exact, SERVER, "481"),
    ];
    for (at, (replaces, from, status)) in rows.into_iter().enumerate() {
        let from = address(from);
        let invite = request("INVITE", "sip:a@192.0.2.1", from, &format!("taker{at}"), &sdp(from, "sendrecv"));
        world.give(0, from, &invite.replace("Max-Forwards", &format!("Replaces: {replaces}\r\nMax-Forwards")));
        world.run(TENTH);
        let mail = world.mail_for(from);
        let answer = mail.iter().rfind(|l| l.text.starts_with("SIP/2.0") && !l.text.starts_with("SIP/2.0 1"));
        let answer = answer.unwrap_or_else(|| panic!("row {at}: {mail:#?}"));
        assert!(answer.first().starts_with(&format!("SIP/2.0 {status}")), "row {at}: {}", answer.text);
        assert!(world.is_established(0) && world.number(0) == number && world.opened(0) == 1, "row {at}");
        let said_bye = mail.iter().any(|l| l.text.starts_with("BYE") && l.header("Call-ID") == call_id);
        assert_eq!(said_bye, status == "200", "row {at}");
    }
    assert!(world.call(0).peer_address.starts_with("taker10@"), "{}", world.call(0).peer_address);
    assert!(world.phones[0].events.iter().all(|event| !matches!(event, Event::Incoming { .. })), "nothing rang");
}

#[test]
fn an_early_dialog_is_taken_over_only_by_its_callee() {
    let mut world = registered(12);
    world.command(0, Command::Call { account: None, target: "600".to_owned() });
    world.run(TENTH);
    let invite = world.latest(address(SERVER), "INVITE");
    world.answer(0, &invite, "180 Ringing", "Contact: <sip:192.0.2.9>\r\n", "");
    let tag = invite.header("From").split(";tag=").nth(1).expect("our tag").to_owned();
    for (at, (theirs, status)) in [("x", "481"), ("peer", "200")].into_iter().enumerate() {
        let replaces = format!("{};to-tag={tag};from-tag={theirs};early-only", invite.header("Call-ID"));
        let from = address(SERVER);
        let taker = request("INVITE", "sip:a@192.0.2.1", from, &format!("taker{at}"), &sdp(from, "sendrecv"));
        world.give(0, from, &taker.replace("Max-Forwards", &format!("Replaces: {replaces}\r\nMax-Forwards")));
        world.run(TENTH);
        let mail = world.mail_for(from);
        assert!(mail.iter().any(|l| l.first().starts_with(&format!("SIP/2.0 {status}"))), "{theirs}: {mail:#?}");
        assert_eq!(mail.iter().any(|l| l.text.starts_with("CANCEL")), status == "200", "{theirs}");
        assert_eq!(world.is_established(0), status == "200");
    }
    world.answer(0, &invite, "487 Request Terminated", "", "");
    world.run(SECOND);
    assert!(world.is_established(0) && world.phones[0].streams.len() == 1);
    // A call that rings here is not answered by its own caller.
    let ringing = request("INVITE", "sip:a@192.0.2.1", address(SERVER), "caller", &sdp(address(SERVER), "sendrecv"));
    world.give(0, address(SERVER), &ringing);
    world.run(TENTH);
    let answer = world.latest(address(SERVER), "SIP/2.0 180");
    let tag = answer.header("To").split(";tag=").nth(1).expect("our tag").to_owned();
    let taker = request("INVITE", "sip:a@192.0.2.1", address(SERVER), "taker", &sdp(address(SERVER), "sendrecv"));
    let replaces = format!("Replaces: caller;to-tag={tag};from-tag=caller\r\nMax-Forwards");
    world.give(0, address(SERVER), &taker.replace("Max-Forwards", &replaces));
    world.run(TENTH);
    assert!(world.latest(address(SERVER), "SIP/2.0 4").first().starts_with("SIP/2.0 481"));
}

/// A caller takes the place of a dialog, named by Call-ID, our tag and the peer's; what it is answered.
fn take_over(world: &mut World, name: &str, (call_id, ours, theirs): (&str, &str, &str)) -> Letter {
    let from = address(SERVER);
    let invite = request("INVITE", "sip:a@192.0.2.1", from, name, &sdp(from, "sendrecv"));
    let replaces = format!("Replaces: {call_id};to-tag={ours};from-tag={theirs}\r\nMax-Forwards");
    world.give(0, from, &invite.replace("Max-Forwards", &replaces));
    world.run(TENTH);
    let mail = world.mail_for(from);
    let answers =
        |l: &&Letter| l.header("Call-ID") == name && l.text.starts_with("SIP/2.0") && !l.first().contains(" 1");
    mail.iter().find(answers).unwrap_or_else(|| panic!("no answer: {mail:#?}")).clone()
}

fn tag_of(value: &str) -> String {
    value.split(";tag=").nth(1).expect("a tag").to_owned()
}

#[test]
fn a_call_is_taken_over_eight_times_as_long_as_no_goodbye_is_answered() {
    let (mut world, invite) = served(13);
    let mut dialog = (invite.header("Call-ID"), tag_of(&invite.header("From")), "peer".to_owned());
    for at in 0..9 {
        let name = format!("taker{at}");
        let answer = take_over(&mut world, &name, (&dialog.0, &dialog.1, &dialog.2));
        let status = if at < 8 { "SIP/2.0 200" } else { "SIP/2.0 486" };
        assert!(answer.first().starts_with(status), "{at}: {}", answer.text);
        dialog = (name.clone(), tag_of(&answer.header("To")), name);
    }
    assert!(world.is_established(0));
}

#[test]
fn a_transfer_that_was_asked_for_ends_with_its_dialog() {
    let (mut world, invite) = served(14);
    let call = world.number(0);
    let asks = |world: &mut World| {
        world.command(0, Command::Transfer { call, target: "601".to_owned() });
        world.run(TENTH);
        world.call(0).transfer.unwrap_or_default()
    };
    assert!(asks(&mut world).ends_with("asking"));
    take_over(&mut world, "taker", (&invite.header("Call-ID"), &tag_of(&invite.header("From")), "peer"));
    assert_eq!(world.call(0).transfer, None);
    // Whoever is talked to now may be asked.
    assert!(asks(&mut world).ends_with("asking"));
    assert_eq!(world.latest(address(SERVER), "REFER").header("Call-ID"), "taker");
}
