//! Offers, answers and endings that no server makes happen on purpose, played by SIPp (RFC 3261, 3262, 3311, 6228, 6337).
use crate::harness::{Case, Need};
use crate::peers_script::{Script, UPDATES, reliable, sdp};
use crate::peers_sipp::Sipp;
use crate::phone::{Phone, Setup, exit};
use crate::process::wait_for;
use serde_json::Value;
use std::net::SocketAddr;
use std::thread::sleep;
use std::time::Duration;

const NEEDS: &[Need] = &[Need::Sipp];
const SOON: Duration = Duration::from_secs(15);
/// What a caller says who insists on reliable provisional responses.
const INSISTS: &[&str] = &["Require: 100rel", UPDATES];

pub const CASES: &[Case] = &[
    Case { name: "signalling::early_offers_as_the_caller", needs: NEEDS, run: early_offers_as_the_caller },
    Case { name: "signalling::early_offers_as_the_callee", needs: NEEDS, run: early_offers_as_the_callee },
    Case { name: "signalling::asked_for_the_first_offer", needs: NEEDS, run: asked_for_the_first_offer },
    Case { name: "signalling::too_early_and_too_late", needs: NEEDS, run: too_early_and_too_late },
    Case { name: "signalling::forks", needs: NEEDS, run: forks },
    Case { name: "signalling::moved_while_forks_ring", needs: NEEDS, run: moved_while_forks_ring },
    Case { name: "signalling::given_up_too_late", needs: NEEDS, run: given_up_too_late },
    Case { name: "signalling::changes_and_glare", needs: NEEDS, run: changes_and_glare },
    Case { name: "signalling::lost_dialogs", needs: NEEDS, run: lost_dialogs },
];

/// A phone that obeys, and calls where SIPp waits.
fn call(case: &Case, server: SocketAddr) -> Phone {
    let setup = Setup::new(case, "phone", "call").account("1001", "secret", server).silent().controlled();
    setup.arguments(&[&format!("sip:sipp@{server}"), "--no-register", "--codecs", "pcmu"]).start()
}

/// A phone that obeys, and waits for SIPp.
fn wait(case: &Case) -> Phone {
    let registrar = SocketAddr::from(([127, 0, 0, 1], crate::tools::free_port()));
    let setup = Setup::new(case, "phone", "answer").account("1001", "secret", registrar).silent().controlled();
    let mut phone = setup.arguments(&["--no-register", "--codecs", "pcmu"]).start();
    expect(&mut phone, "ready");
    phone
}

fn expect(phone: &mut Phone, kind: &str) {
    phone.expect(kind, SOON, |line| line["type"] == kind);
}

fn expect_hold(phone: &mut Phone, words: &str) {
    phone.expect(words, SOON, |line| line["type"] == "hold" && line["text"] == words);
}

fn texts(phone: &Phone, kind: &str) -> Vec<String> {
    let of = |line: Value| (line["type"] == kind).then(|| line["text"].as_str().map(str::to_owned)).flatten();
    phone.lines().into_iter().filter_map(of).collect()
}

fn results(phone: &Phone) -> Vec<(String, u64)> {
    let of = |line: &Value| Some((line["result"].as_str()?.to_owned(), line["status"].as_u64()?));
    phone.lines().iter().filter(|line| line["type"] == "summary").filter_map(of).collect()
}

/// Before the answer: our offer in a PRACK, then by UPDATE, then theirs by UPDATE.
fn early_offers_as_the_caller(case: &Case) {
    let first = reliable(7);
    let script = Script::called()
        // Who does not take UPDATE can be asked in a PRACK alone.
        .respond("INVITE", "183 Session Progress", &[&first, "Allow: INVITE, PRACK"], Some(&sdp(1, "sendrecv")))
        .receive("PRACK", &[("RAck:", "7 [0-9]+ INVITE")])
        .respond("PRACK", "200 OK", &[], None)
        // The phone is told to hold meanwhile.
        .pause(2_500)
        .respond("INVITE", "180 Ringing", &[&reliable(8), UPDATES], None)
        .receive("PRACK", &[("RAck:", "8 [0-9]+ INVITE"), ("", "a=sendonly")])
        .respond("PRACK", "200 OK", &[], Some(&sdp(2, "recvonly")))
        .receive("UPDATE", &[("", "a=sendrecv")])
        .respond("UPDATE", "200 OK", &[], Some(&sdp(3, "sendrecv")))
        .request("UPDATE", &[UPDATES], Some(&sdp(4, "sendonly")))
        .expect(200, &[("", "a=recvonly")])
        .request("UPDATE", &[UPDATES], Some(&sdp(5, "sendrecv")))
        .expect(200, &[("", "a=sendrecv")])
        // What was agreed holds: the answer has no description.
        .respond("INVITE", "200 OK", &[], None)
        .receive("ACK", &[])
        .receive("BYE", &[])
        .respond("BYE", "200 OK", &[], None);
    let (mut sipp, server) = Sipp::wait_to_play(case, "script.xml", &script);
    let mut phone = call(case, server);
    expect(&mut phone, "ringing");
    phone.command("hold");
    expect_hold(&mut phone, "on hold, by us");
    phone.command("resume");
    expect(&mut phone, "established");
    phone.expect("sound", SOON, |line| line["state"] == "established" && line["media_flowing"] == true);
    phone.command("hangup");
    sipp.expect_success(SOON);
    assert_eq!(phone.wait(SOON), exit::ENDED);
    let told = ["on hold, by us", "not on hold", "on hold, by the other side", "not on hold"];
    assert_eq!(texts(&phone, "hold"), told);
}

/// A caller that insists on reliability is answered while it rings, and may offer by PRACK and UPDATE then; nothing is sent
/// before the user answers.
fn early_offers_as_the_callee(case: &Case) {
    let mut phone = wait(case);
    let script = Script::calls("1001", INSISTS, Some(&sdp(1, "sendrecv")))
        .expect_dialog(180, &[("Require:", "100rel"), ("RSeq:", "[0-9]+"), ("", "m=audio [1-9].*a=sendrecv")])
        .prack(Some(&sdp(2, "sendonly")))
        .expect(200, &[("", "a=recvonly")])
        .request("UPDATE", &[UPDATES], Some(&sdp(3, "sendrecv")))
        .expect(200, &[("", "a=sendrecv")])
        .expect(200, &[("CSeq:", "INVITE"), ("Content-Length:", "^ *0")])
        .ack(None)
        .speak()
        .receive("BYE", &[])
        .respond("BYE", "200 OK", &[], None);
    let mut sipp = Sipp::play(case, "script.xml", &script, phone.sip);
    expect(&mut phone, "incoming");
    sipp.expect_messages("CSeq: 3 UPDATE", 2);
    sleep(Duration::from_secs(1));
    assert!(phone.lines().iter().all(|line| line["media_flowing"] != true), "sound flows before the answer");
    phone.command("answer");
    expect(&mut phone, "established");
    phone.expect("sound", SOON, |line| line["media_flowing"] == true);
    phone.command("hangup");
    sipp.expect_success(SOON);
    phone.expect_summary();
    assert_eq!(phone.interrupt(), exit::ENDED);
    // Nobody is on hold before there is a call.
    assert_eq!(texts(&phone, "hold"), [""; 0]);
}

/// An INVITE without offer that wants reliability gets ours with the ringing; later the peer asks again by a re-INVITE, and
/// holds in its answer.
fn asked_for_the_first_offer(case: &Case) {
    let mut phone = wait(case);
    let script = Script::calls("1001", INSISTS, None)
        .expect_dialog(180, &[("RSeq:", "[0-9]+"), ("", "a=rtpmap:0 PCMU")])
        .prack(Some(&sdp(1, "sendrecv")))
        .expect(200, &[("CSeq:", "PRACK")])
        .expect(200, &[("CSeq:", "INVITE"), ("Content-Length:", "^ *0")])
        .ack(None)
        .request("INVITE", &[UPDATES], None)
        .expect(200, &[("", "a=sendrecv")])
        .ack(Some(&sdp(2, "sendonly")))
        .receive("BYE", &[])
        .respond("BYE", "200 OK", &[], None);
    let mut sipp = Sipp::play(case, "script.xml", &script, phone.sip);
    expect(&mut phone, "incoming");
    phone.command("answer");
    expect(&mut phone, "established");
    expect_hold(&mut phone, "on hold, by the other side");
    phone.command("hangup");
    sipp.expect_success(SOON);
    assert_eq!(phone.expect_summary()["result"], "normal");
    assert_eq!(phone.interrupt(), exit::ENDED);
}

/// An offer before ours was answered is too early (RFC 3311 §5.2), a CANCEL after the answer too late (RFC 3261 §9.2); in the
/// end both say BYE at once.
fn too_early_and_too_late(case: &Case) {
    let mut phone = wait(case);
    let script = Script::calls("1001", &[UPDATES], Some(&sdp(1, "sendrecv")))
        .expect_dialog(180, &[("Content-Length:", "^ *0")])
        .request("UPDATE", &[], Some(&sdp(2, "sendonly")))
        .expect(500, &[("Retry-After:", "^ *([0-9]|10)$")])
        .expect(200, &[("CSeq:", "INVITE"), ("", "a=sendrecv")])
        .cancel("1001")
        .expect(200, &[("CSeq:", "CANCEL")])
        .ack(None)
        .receive("BYE", &[])
        .request("BYE", &[], None)
        .expect(200, &[("CSeq:", "3 BYE")])
        .respond("BYE", "200 OK", &[], None);
    let mut sipp = Sipp::play(case, "script.xml", &script, phone.sip);
    sipp.expect_messages("SIP/2.0 500", 1);
    phone.command("answer");
    expect(&mut phone, "established");
    sipp.expect_messages("ACK sip:", 1);
    phone.command("hangup");
    sipp.expect_success(SOON);
    let summary = phone.expect_summary();
    assert_eq!((&summary["result"], &summary["cause"]), (&"normal".into(), &"you hung up".into()));
    assert_eq!(phone.interrupt(), exit::ENDED);
}

/// One fork rings, one is heard and ends (RFC 6228), the first answers, and a third that nobody knew of: it is acknowledged
/// and let go (RFC 3261 §13.2.2.4).
fn forks(case: &Case) {
    let script = Script::called()
        .respond("INVITE", "180 Ringing", &[], None)
        .fork("b")
        .respond("INVITE", "183 Session Progress", &[], Some(&sdp(1, "sendrecv")))
        .respond("INVITE", "199 Early Dialog Terminated", &[], None)
        .fork("a")
        .respond("INVITE", "200 OK", &[], Some(&sdp(1, "sendrecv")))
        .receive("ACK", &[("To:", "tag=a$")])
        .fork("c")
        .respond("INVITE", "200 OK", &[], Some(&sdp(1, "sendrecv")))
        .receive("ACK", &[("To:", "tag=c$")])
        .receive("BYE", &[("To:", "tag=c$")])
        .respond("BYE", "200 OK", &[], None)
        .fork("a")
        .request("BYE", &[], None)
        .expect(200, &[]);
    let (mut sipp, server) = Sipp::wait_to_play(case, "script.xml", &script);
    let mut phone = call(case, server);
    sipp.expect_success(SOON);
    phone.wait(SOON);
    assert_eq!(texts(&phone, "established").len(), 1);
    let summary = phone.summary();
    assert_eq!((&summary["result"], &summary["cause"]), (&"normal".into(), &"the other side hung up".into()));
}

/// Two forks ring, then a server says where else to call: the user is asked, and does.
fn moved_while_forks_ring(case: &Case) {
    let script = Script::called()
        .respond("INVITE", "183 Session Progress", &[], Some(&sdp(1, "sendrecv")))
        .fork("b")
        .respond("INVITE", "180 Ringing", &[], None)
        .fork("r")
        .respond("INVITE", "302 Moved Temporarily", &["Contact: <sip:elsewhere@[local_ip]:[local_port]>"], None)
        .receive("ACK", &[("To:", "tag=r$")])
        .invited(&[("", "INVITE sip:elsewhere@"), ("To:", "sip:sipp@[^;]*$")])
        .fork("e")
        .respond("INVITE", "180 Ringing", &[], None)
        .respond("INVITE", "200 OK", &[], Some(&sdp(1, "sendrecv")))
        .receive("ACK", &[("To:", "tag=e$")])
        .request("BYE", &[], None)
        .expect(200, &[]);
    let (mut sipp, server) = Sipp::wait_to_play(case, "script.xml", &script);
    let mut phone = call(case, server);
    phone.expect("the question", SOON, |line| {
        line["type"] == "redirected" && line["text"].as_str().is_some_and(|text| text.contains("sip:elsewhere@"))
    });
    phone.command("follow");
    sipp.expect_success(SOON);
    phone.wait(SOON);
    assert_eq!(phone.summary()["result"], "normal");
}

/// The callee answers while our CANCEL is under way: it gets ACK and BYE, and the call was never up for the user.
fn given_up_too_late(case: &Case) {
    let script = Script::called()
        .respond("INVITE", "180 Ringing", &[], None)
        .receive("CANCEL", &[])
        .respond("CANCEL", "200 OK", &[], None)
        .respond("INVITE", "200 OK", &[], Some(&sdp(1, "sendrecv")))
        .receive("ACK", &[("To:", "tag=a$")])
        .receive("BYE", &[("To:", "tag=a$")])
        .respond("BYE", "200 OK", &[], None);
    let (mut sipp, server) = Sipp::wait_to_play(case, "script.xml", &script);
    let mut phone = call(case, server);
    expect(&mut phone, "ringing");
    phone.command("hangup");
    sipp.expect_success(SOON);
    phone.wait(SOON);
    assert_eq!((phone.summary()["result"].as_str(), texts(&phone, "established").len()), (Some("cancelled"), 0));
}

/// The peer refreshes by UPDATE and by re-INVITE and asks for an offer; ours meets glare (491) and an exchange of the peer's
/// own (500), and goes through in the end; the next one crosses a BYE.
fn changes_and_glare(case: &Case) {
    let mut phone = wait(case);
    let timer = ["Supported: timer", "Session-Expires: 90;refresher=uac", UPDATES];
    let granted = [("Session-Expires:", "90;refresher=uac"), ("Require:", "timer")];
    let busy = "500 Server Internal Error";
    let script = Script::calls("1001", &timer, Some(&sdp(1, "sendrecv")))
        .expect_dialog(180, &[])
        .expect(200, &granted)
        .ack(None)
        .request("UPDATE", &timer, None)
        .expect(200, &granted)
        .request("INVITE", &timer, Some(&sdp(1, "sendrecv")))
        .expect(200, &granted)
        .ack(None)
        .request("INVITE", &timer, None)
        .expect(200, &[("", "a=sendrecv")])
        .ack(Some(&sdp(2, "sendonly")))
        .receive("INVITE", &[("", "a=(sendonly|inactive)")])
        .respond("INVITE", "491 Request Pending", &[], None)
        .receive("ACK", &[])
        .receive("INVITE", &[("", "a=(sendonly|inactive)")])
        .respond("INVITE", busy, &["Retry-After: 1"], None)
        .receive("ACK", &[])
        .receive("INVITE", &[("", "a=(sendonly|inactive)")])
        .respond("INVITE", "200 OK", &[UPDATES], Some(&sdp(3, "inactive")))
        .receive("ACK", &[])
        .receive("INVITE", &[])
        .request("BYE", &[], None)
        .expect(200, &[("CSeq:", "BYE")])
        .respond("INVITE", "487 Request Terminated", &[], None)
        .receive("ACK", &[]);
    let mut sipp = Sipp::play(case, "script.xml", &script, phone.sip);
    expect(&mut phone, "incoming");
    phone.command("answer");
    expect_hold(&mut phone, "on hold, by the other side");
    phone.command("hold");
    expect_hold(&mut phone, "on hold, by both sides");
    phone.command("resume");
    sipp.expect_success(SOON);
    let summary = phone.expect_summary();
    assert_eq!((&summary["result"], &summary["cause"]), (&"normal".into(), &"the other side hung up".into()));
    assert_eq!(phone.interrupt(), exit::ENDED);
    assert_eq!(texts(&phone, "refused"), [""; 0], "the user need not know of glare");
}

/// A peer that does not know the call any longer, or does not answer in it, while nothing is heard: the call is over.
fn lost_dialogs(case: &Case) {
    let mut phone = wait(case);
    for (status, words) in [(481, "481 Call/Transaction Does Not Exist"), (408, "408 Request Timeout")] {
        let script = Script::calls("1001", &[], Some(&sdp(1, "sendonly")))
            .expect_dialog(180, &[])
            .expect(200, &[("", "a=recvonly")])
            .ack(None)
            .receive("INVITE", &[])
            .respond("INVITE", words, &[], None)
            .receive("ACK", &[]);
        // Who did not answer may be there all the same.
        let script = match status {
            408 => script.receive("BYE", &[]).respond("BYE", "200 OK", &[], None),
            _ => script,
        };
        let before = results(&phone).len();
        let mut sipp = Sipp::play(case, &format!("script-{status}.xml"), &script, phone.sip);
        wait_for("the call", SOON, || texts(&phone, "incoming").get(before).cloned());
        phone.command("answer");
        wait_for("the hold", SOON, || texts(&phone, "hold").get(before).cloned());
        phone.command("hold");
        sipp.expect_success(SOON);
        wait_for("the end", SOON, || results(&phone).get(before).cloned());
        assert_eq!(results(&phone).last(), Some(&("failed".to_owned(), status)));
    }
    assert_eq!(phone.interrupt(), exit::ENDED);
}
