//! Offers and answers before a call is answered: as the callee of who insists on reliability, and over forks.
use crate::peer::{Letter, request, sdp};
use crate::world::{World, address};
use crate::{SECOND, summary};
use offhook::media::spec::{Direction, MediaCommand};
use offhook::ua::command::Command;
use offhook::ua::snapshot::{CallEnd, CallState};

/// An INVITE that insists on reliable provisional responses, and the ringing that answers it.
fn insist(world: &mut World, body: &str) -> Letter {
    let text = request("INVITE", "sip:phone1@192.0.2.1", address(9), "early", body);
    let text = text.replacen("Max-Forwards", "Require: 100rel\r\nAllow: INVITE, PRACK, UPDATE\r\nMax-Forwards", 1);
    world.give(0, address(9), &text);
    world.run(SECOND / 10);
    world.latest(address(9), "SIP/2.0 180")
}

/// A request in the dialog that this response made.
fn within(world: &mut World, ringing: &Letter, method: &str, cseq: u32, headers: &str, body: &str) {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    let (to, length) = (ringing.header("To"), body.len());
    let text = format!(
        "{method} sip:phone1@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP {peer};branch=z9hG4bK{method}{cseq}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:early@{peer}>;tag=early\r\nTo: {to}\r\nCall-ID: early\r\nCSeq: {cseq} {method}\r\n\
         Contact: <sip:early@{peer}>\r\n{headers}{kind}Content-Length: {length}\r\n\r\n{body}",
        peer = address(9)
    );
    world.give(0, address(9), &text);
    world.run(SECOND / 10);
}

fn prack(world: &mut World, ringing: &Letter, body: &str) {
    let rack = format!("RAck: {} 1 INVITE\r\n", ringing.header("RSeq"));
    within(world, ringing, "PRACK", 2, &rack, body);
}

fn configured(world: &World) -> usize {
    world.phones[0].media.iter().filter(|command| matches!(command, MediaCommand::Configure { .. })).count()
}

/// One response rings and answers; a PRACK and an UPDATE change what is agreed; media hears of the outcome with the answer.
#[test]
fn who_insists_on_reliability_is_answered_while_it_rings_and_nothing_is_heard() {
    let mut world = World::direct(1, 900);
    let ringing = insist(&mut world, &sdp(address(9), "sendrecv"));
    assert!(ringing.text.contains("Require: 100rel") && ringing.text.contains("a=sendrecv"), "{}", ringing.text);
    prack(&mut world, &ringing, &sdp(address(9), "sendonly"));
    let accepted = world.latest(address(9), "SIP/2.0 200");
    assert!(accepted.header("CSeq").contains("PRACK") && accepted.text.contains("a=recvonly"), "{}", accepted.text);
    within(&mut world, &ringing, "UPDATE", 3, "", &sdp(address(9), "inactive"));
    assert!(world.latest(address(9), "SIP/2.0 200").text.contains("a=inactive"));
    let call = world.call(0);
    assert!(matches!(call.state, CallState::Ringing { early_media: false }) && !call.held_by_peer, "{call:?}");
    assert_eq!(configured(&world), 0, "nothing runs before the answer");
    world.command(0, Command::Answer(world.number(0)));
    world.run(SECOND / 10);
    let answer = world.latest(address(9), "SIP/2.0 200");
    assert_eq!(answer.header("Content-Length"), "0", "what was agreed holds: {}", answer.text);
    assert_eq!((world.spec(0).direction, world.call(0).held_by_peer), (Direction::Inactive, true));
    within(&mut world, &ringing, "ACK", 1, "", "");
    within(&mut world, &ringing, "BYE", 4, "", "");
    assert_eq!(summary(&world, 0).end, CallEnd::Normal);
}

/// The answer waits for the PRACK; without an offer in the INVITE the first ringing brings ours.
#[test]
fn without_an_offer_the_ringing_brings_ours_and_the_answer_waits_for_theirs() {
    let mut world = World::direct(1, 901);
    let ringing = insist(&mut world, "");
    assert!(ringing.text.contains("m=audio"), "{}", ringing.text);
    world.command(0, Command::Answer(world.number(0)));
    world.run(SECOND / 10);
    let is_answered = |world: &mut World| world.mail_for(address(9)).iter().any(|l| l.text.starts_with("SIP/2.0 200"));
    assert!(!is_answered(&mut world), "before the PRACK");
    prack(&mut world, &ringing, &sdp(address(9), "sendrecv"));
    let mail = world.mail_for(address(9));
    let kinds: Vec<String> = mail.iter().map(|letter| letter.header("CSeq")).collect();
    assert_eq!(kinds, ["2 PRACK", "1 INVITE"], "{mail:#?}");
    assert_eq!((configured(&world), world.spec(0).direction), (1, Direction::SendRecv));
    within(&mut world, &ringing, "ACK", 1, "", "");
    assert!(world.is_established(0));
}

/// Nobody acknowledges: the call does not ring for ever, and nothing is left open.
#[test]
fn a_caller_that_insists_and_does_not_acknowledge_is_refused() {
    let mut world = World::direct(1, 902);
    insist(&mut world, &sdp(address(9), "sendrecv"));
    world.run(40 * SECOND);
    world.latest(address(9), "SIP/2.0 504");
    assert!(world.phones[0].streams.is_empty());
}

/// An offer before the first one is answered comes too early (RFC 3311 §5.2).
#[test]
fn an_offer_before_the_first_answer_is_to_be_repeated_later() {
    let mut world = World::direct(1, 903);
    let text = request("INVITE", "sip:phone1@192.0.2.1", address(9), "early", &sdp(address(9), "sendrecv"));
    world.give(0, address(9), &text);
    world.run(SECOND / 10);
    let ringing = world.latest(address(9), "SIP/2.0 180");
    assert_eq!(ringing.header("Content-Length"), "0", "who does not insist keeps its ringing tone");
    within(&mut world, &ringing, "UPDATE", 2, "", &sdp(address(9), "sendonly"));
    let refusal = world.latest(address(9), "SIP/2.0 500");
    assert!(refusal.header("Retry-After").parse::<u32>().is_ok_and(|seconds| seconds <= 10), "{}", refusal.text);
}

/// Early media of who sent us elsewhere ends; who is called next is heard at its own address, though its dialog has the same
/// number.
#[test]
fn after_a_redirection_the_sound_begins_anew() {
    let mut world = World::direct(1, 904);
    world.command(0, Command::Call { account: None, target: "bob@192.0.2.8".to_owned() });
    world.run(SECOND / 10);
    let invite = world.latest(address(8), "INVITE");
    let typed = "Contact: <sip:bob@192.0.2.8>\r\nContent-Type: application/sdp\r\n";
    world.answer(0, &invite, "183 Session Progress", typed, &sdp(address(8), "sendrecv"));
    assert_eq!(world.spec(0).remote_rtp.ip(), address(8).ip());
    world.answer(0, &invite, "302 Moved Temporarily", "Contact: <sip:carol@192.0.2.9>\r\n", "");
    assert_eq!(world.spec(0).direction, Direction::Inactive, "{:#?}", world.ladder);
    world.command(0, Command::Follow(world.number(0), true));
    world.run(SECOND / 10);
    let invite = world.latest(address(9), "INVITE");
    let typed = "Contact: <sip:carol@192.0.2.9>\r\nContent-Type: application/sdp\r\n";
    world.answer(0, &invite, "200 OK", typed, &sdp(address(9), "sendrecv"));
    let spec = world.spec(0);
    assert_eq!((spec.remote_rtp.ip(), spec.direction), (address(9).ip(), Direction::SendRecv));
}
