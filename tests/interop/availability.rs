//! Availability at Kamailio as presence server and proxy, and at Asterisk: own state, lamps, texts, mailboxes.
use crate::harness::{Case, Need};
use crate::peers_asterisk;
use crate::peers_kamailio::{Kamailio, Options};
use crate::phone::{self, Phone, Setup, exit, unix_now};
use crate::process::wait_for;
use offhook::base::net::Transport;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(15);

pub const CASES: &[Case] = &[
    Case { name: "availability::published_and_seen", needs: &[Need::Kamailio], run: published },
    Case { name: "availability::the_server_forgets", needs: &[Need::Kamailio], run: forgotten },
    Case { name: "availability::taken_by_replaces", needs: &[Need::Kamailio], run: taken },
    Case { name: "availability::texts_at_kamailio", needs: &[Need::Kamailio], run: texts },
    Case { name: "availability::texts_at_asterisk", needs: &[Need::Asterisk], run: texts_at_asterisk },
    Case { name: "availability::what_asterisk_can_do", needs: &[Need::Asterisk], run: asked },
];

/// Waits for the lamp of `whom` to say this, after `since`.
fn sees(phone: &mut Phone, since: f64, whom: &str, state: &str) {
    let text = format!("{whom}: {state}");
    phone.expect_after(since, &text, SOON, |line| {
        line["type"] == "watched" && line["text"].as_str().is_some_and(|told| told.starts_with(&text))
    });
}

/// A phone that is told what to do.
fn controlled(case: &Case, name: &str, config: &str) -> Phone {
    let mut phone = Setup::new(case, name, "answer").config(config).silent().controlled().start();
    phone.expect_registered();
    phone
}

/// It notifies Contacts as they are written, and knows no way to the names it gives itself.
fn presence(case: &Case) -> Kamailio {
    Kamailio::start_with(case, &Options { presence: true, gruu: false, ..Options::default() })
}

/// Alice's state, as her phone knows it and as she says, is seen by bob through the server.
fn published(case: &Case) {
    let kamailio = presence(case);
    let mut alice =
        controlled(case, "alice", &format!("{}publish = true\n", kamailio.account("alice", Transport::Udp)));
    let watching = format!("{}watch = [\"alice\"]\n", kamailio.account("bob", Transport::Tcp));
    let mut bob = controlled(case, "bob", &watching);
    sees(&mut bob, 0.0, "alice", "free");
    let called = unix_now();
    let setup = Setup::new(case, "carol", "answer").config(&kamailio.account("carol", Transport::Udp)).silent();
    let mut carol = setup.arguments(&["--auto"]).start();
    carol.expect_registered();
    alice.command("call carol");
    sees(&mut bob, called, "alice", "busy On the phone");
    let hung_up = unix_now();
    alice.command("hangup");
    sees(&mut bob, hung_up, "alice", "free");
    let said = unix_now();
    alice.command("presence away lunch & <sleep>");
    sees(&mut bob, said, "alice", "away lunch & <sleep>");
    let quiet = unix_now();
    alice.command("presence free");
    alice.command("dnd on");
    sees(&mut bob, quiet, "alice", "busy Do not disturb");
    let left = unix_now();
    assert_eq!(alice.interrupt(), exit::ENDED);
    // Taken back: nobody pretends to know.
    bob.expect_after(left, "the end", SOON, |line| {
        line["type"] == "watched" && line["text"].as_str().is_some_and(|told| !told.contains("Do not disturb"))
    });
    // Told, changed four times, taken back.
    assert!(kamailio.requests(&["got PUBLISH"]).len() >= 6, "{:#?}", kamailio.requests(&["got PUBLISH"]));
    bob.interrupt();
    carol.interrupt();
}

/// The server is started anew and knows nothing: the state is told and asked for again without anybody's help.
fn forgotten(case: &Case) {
    let mut kamailio = presence(case);
    let short = |user: &str| kamailio.account(user, Transport::Udp) + "expiry = 10\n";
    let mut alice = controlled(case, "alice", &format!("{}publish = true\n", short("alice")));
    let mut bob = controlled(case, "bob", &format!("{}watch = [\"alice\"]\n", short("bob")));
    sees(&mut bob, 0.0, "alice", "free");
    kamailio.kill();
    kamailio.forget();
    std::thread::sleep(Duration::from_secs(14));
    kamailio.boot();
    alice.expect_after(unix_now(), "alice again", Duration::from_secs(60), |line| line["state"] == "registered");
    let said = unix_now();
    alice.command("presence busy moving");
    let text = "alice: busy moving";
    bob.expect_after(said, text, Duration::from_secs(90), |line| line["text"].as_str().is_some_and(|t| t == text));
    alice.interrupt();
    bob.interrupt();
}

/// Alice calls bob, carol watches bob's phone and takes the call from alice.
fn taken(case: &Case) {
    let kamailio = Kamailio::start(case);
    let mut bob =
        controlled(case, "bob", &format!("{}watchers = [\"carol\"]\n", kamailio.account("bob", Transport::Tcp)));
    let mut carol =
        controlled(case, "carol", &format!("{}watch = [\"bob\"]\n", kamailio.account("carol", Transport::Udp)));
    sees(&mut carol, 0.0, "bob", "free");
    let called = unix_now();
    let setup = Setup::new(case, "alice", "call").config(&kamailio.account("alice", Transport::Udp)).silent();
    let mut alice = setup.arguments(&["bob", "--duration", "4"]).start();
    sees(&mut carol, called, "bob", "ringing from alice");
    carol.command("pickup bob");
    carol.expect_established();
    let summary = bob.expect_summary();
    assert_ne!(summary["result"], "normal", "{summary}");
    assert_eq!(alice.wait(Duration::from_secs(20)), exit::ENDED);
    assert_eq!(alice.summary()["result"], "normal");
    assert_eq!(carol.expect_summary()["result"], "normal");
    bob.interrupt();
    carol.interrupt();
}

fn message(phone: &mut Phone, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    phone.expect(what, SOON, |line| line["type"] == "message" && fits(line))
}

/// Two phones write to each other by the server; one of the texts is too long for a datagram.
fn texts(case: &Case) {
    let kamailio = Kamailio::start(case);
    let mut bob = controlled(case, "bob", &kamailio.account("bob", Transport::Udp));
    let mut alice = controlled(case, "alice", &kamailio.account("alice", Transport::Udp));
    alice.command("message bob Hello žluť, are you there?");
    message(&mut alice, "the delivery", |line| line["state"] == "delivered");
    let heard = message(&mut bob, "the text", |line| line["direction"] == "in");
    assert_eq!(heard["text"], "Hello žluť, are you there?", "{heard}");
    assert!(heard["peer"].as_str().is_some_and(|peer| peer.starts_with("alice@")), "{heard}");
    let long = "word ".repeat(400);
    bob.command(&format!("message alice {long}"));
    message(&mut alice, "the long text", |line| line["direction"] == "in" && line["text"] == long.trim());
    assert!(!kamailio.requests(&["got MESSAGE", "over tcp"]).is_empty(), "it went in a datagram");
    alice.command("message nobody hello");
    let failed = message(&mut alice, "the refusal", |line| line["state"] == "failed");
    assert_eq!(failed["cause"], "the other side is not reachable now (480 Nobody there)", "{failed}");
    alice.interrupt();
    bob.interrupt();
    // The same as one command.
    let mut bob = controlled(case, "bob-again", &kamailio.account("bob", Transport::Tcp));
    let setup = Setup::new(case, "once", "message").config(&kamailio.account("alice", Transport::Tcp));
    let mut once = setup.arguments(&["bob", "see you"]).start();
    assert_eq!(once.wait(SOON), exit::ENDED);
    message(&mut bob, "the text", |line| line["text"] == "see you");
    let setup = Setup::new(case, "nobody", "message").config(&kamailio.account("alice", Transport::Tcp));
    let mut nobody = setup.arguments(&["nobody", "see you"]).start();
    assert_eq!(nobody.wait(SOON), exit::CALL_REFUSED);
    bob.interrupt();
}

fn asterisk_account(lines: &str) -> String {
    let asterisk = peers_asterisk::shared();
    phone::account("1001", "127.0.0.1", asterisk.address(), Transport::Udp, Path::new("")) + lines
}

/// What is written to Asterisk comes back from it.
fn texts_at_asterisk(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let mut phone = controlled(case, "phone", &asterisk_account(""));
    phone.command("message 6151 over and out");
    message(&mut phone, "accepted", |line| line["state"] == "accepted");
    let heard = message(&mut phone, "the echo", |line| line["direction"] == "in");
    assert_eq!(heard["text"], "over and out", "{heard}");
    // Outside of calls nothing is handed on to 1002; a text in the call finds whoever is at its other end.
    let account = phone::account("1002", "127.0.0.1", asterisk.address(), Transport::Udp, Path::new(""));
    let mut other = Setup::new(case, "other", "answer").config(&account).silent().arguments(&["--auto"]).start();
    other.expect_registered();
    asterisk.expect_registered("1002", SOON);
    phone.command("call 1002");
    phone.expect("the call", SOON, |line| line["type"] == "established");
    phone.command("message 1002 within the call");
    message(&mut phone, "the answer", |line| matches!(line["state"].as_str(), Some("accepted" | "delivered")));
    message(&mut other, "the text", |line| line["direction"] == "in" && line["text"] == "within the call");
    phone.command("hangup");
    phone.expect_summary();
    other.expect_summary();
    other.interrupt();
    phone.interrupt();
}

/// OPTIONS, in words and as a list.
fn asked(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let mut phone = controlled(case, "phone", &asterisk_account(""));
    phone.command(&format!("query {}", asterisk.address()));
    let told = phone.expect("the answer", SOON, |line| line["type"] == "capabilities");
    let allows = |method: &str| told["allow"].as_array().is_some_and(|list| list.iter().any(|m| m == method));
    assert!(allows("INVITE") && allows("REFER") && allows("MESSAGE"), "{told}");
    assert!(told["text"].as_str().is_some_and(|text| text.contains("200 OK: takes calls")), "{told}");
    // And the other way round: Asterisk asks whether we are there.
    wait_for("the answer to Asterisk's question", Duration::from_secs(20), || {
        asterisk
            .cli("pjsip show contacts")
            .lines()
            .any(|line| line.contains("1001") && line.contains("Avail"))
            .then_some(())
    });
    phone.interrupt();
}
