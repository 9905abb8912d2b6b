//! Kamailio as registrar and proxy: every transport, calls that change it on the way, forks, its nonces and its bindings.
use crate::common::sound::Sound;
use crate::harness::{Case, Need};
use crate::peers_baresip::{Account, Baresip};
use crate::peers_kamailio::{Kamailio, Options};
use crate::peers_linphone::Linphone;
use crate::peers_sipp::Sipp;
use crate::phone::{Phone, Setup, exit};
use crate::process::wait_for;
use crate::tools::hears_some;
use offhook::base::net::Transport;
use serde_json::Value;
use std::thread::sleep;
use std::time::{Duration, Instant};

const KAMAILIO: &[Need] = &[Need::Kamailio];

pub const CASES: &[Case] = &[
    Case { name: "kamailio::over_udp", needs: KAMAILIO, run: |case| call(case, Transport::Udp, Transport::Udp) },
    Case { name: "kamailio::over_tcp", needs: KAMAILIO, run: |case| call(case, Transport::Tcp, Transport::Tcp) },
    Case { name: "kamailio::over_tls", needs: KAMAILIO, run: |case| call(case, Transport::Tls, Transport::Tls) },
    Case { name: "kamailio::over_ws", needs: KAMAILIO, run: |case| call(case, Transport::Ws, Transport::Ws) },
    Case { name: "kamailio::over_wss", needs: KAMAILIO, run: |case| call(case, Transport::Wss, Transport::Wss) },
    Case { name: "kamailio::from_udp_to_tls", needs: KAMAILIO, run: |case| call(case, Transport::Udp, Transport::Tls) },
    Case { name: "kamailio::from_tls_to_udp", needs: KAMAILIO, run: |case| call(case, Transport::Tls, Transport::Udp) },
    Case { name: "kamailio::from_udp_to_wss", needs: KAMAILIO, run: |case| call(case, Transport::Udp, Transport::Wss) },
    Case { name: "kamailio::from_ws_to_tcp", needs: KAMAILIO, run: |case| call(case, Transport::Ws, Transport::Tcp) },
    Case { name: "kamailio::from_udp_to_tcp", needs: KAMAILIO, run: |case| call(case, Transport::Udp, Transport::Tcp) },
    Case { name: "kamailio::from_tcp_to_udp", needs: KAMAILIO, run: |case| call(case, Transport::Tcp, Transport::Udp) },
    Case { name: "kamailio::baresip_calls_over_tcp", needs: &[Need::Kamailio, Need::Baresip], run: baresip_calls },
    Case { name: "kamailio::linphone_calls_and_is_called", needs: &[Need::Kamailio, Need::Linphone], run: linphone },
    Case { name: "kamailio::refused_as_dialled", needs: KAMAILIO, run: refused },
    Case { name: "kamailio::one_of_three_answers", needs: &[Need::Kamailio, Need::Baresip, Need::Sipp], run: forked },
    Case { name: "kamailio::one_is_heard_another_answers", needs: &[Need::Kamailio, Need::Sipp], run: early_media },
    Case { name: "kamailio::taken_from_the_others", needs: &[Need::Kamailio, Need::Baresip], run: taken },
    Case { name: "kamailio::a_nonce_expires_unsaid", needs: KAMAILIO, run: |case| refreshed(case, 2, "nc=00000001") },
    Case { name: "kamailio::a_nonce_is_counted", needs: KAMAILIO, run: |case| refreshed(case, 300, "nc=00000002") },
    Case { name: "kamailio::other_bindings_are_not_ours", needs: KAMAILIO, run: other_bindings },
    Case { name: "kamailio::two_accounts_one_of_them_dead", needs: KAMAILIO, run: two_accounts },
    Case { name: "kamailio::it_says_503_for_a_while", needs: KAMAILIO, run: said_503 },
];

fn tone(hz: f64) -> Sound {
    Sound::tone(48_000, 30.0, hz, -10.0)
}

/// A phone of `user` that answers every call with a tone for a voice, and is registered.
fn answering(case: &Case, name: &str, account: &str, hz: f64) -> Phone {
    let setup = Setup::new(case, name, "answer").config(account).microphone(&tone(hz)).record();
    let mut phone = setup.arguments(&["--auto", "--codecs", "pcmu"]).start();
    phone.expect_registered();
    phone
}

/// A call over `from` to a phone that was registered over `to`, put on hold and taken back by the caller, ended by the
/// caller; then another one, ended by the called. The requests to the called come on the connection it has opened.
fn call(case: &Case, from: Transport, to: Transport) {
    let kamailio = Kamailio::start(case);
    let mut bob = answering(case, "bob", &kamailio.account("bob", to), 700.0);
    let caller = kamailio.account("alice", from);
    let setup = Setup::new(case, "alice", "call").config(&caller).microphone(&tone(440.0)).record();
    let arguments = ["bob", "--codecs", "pcmu", "--hold-after", "1", "--hold-for", "2", "--duration", "6"];
    let mut alice = setup.arguments(&arguments).start();
    bob.expect("held by the caller", Duration::from_secs(15), |line| line["text"] == "on hold, by the other side");
    assert_eq!(alice.wait(Duration::from_secs(25)), exit::ENDED);
    assert_eq!(bob.expect_summary()["result"], "normal");
    // It writes itself twice into the route where the transport changes, and each phone must use both.
    let routes = kamailio.requests(&["got BYE"]);
    assert!(from == to || routes.iter().any(|line| line.contains("r2=on")), "{routes:?}");
    assert_eq!(bob.interrupt(), exit::ENDED);
    let (heard, played) = (alice.heard(), bob.heard());
    let end = heard.seconds();
    hears_some(&heard.part(end - 2.5, end), 700.0, "the caller after the hold");
    hears_some(&played.part(played.seconds() - 4.0, played.seconds() - 1.0), 440.0, "the called after the hold");
    ended_by_the_called(case, &kamailio, from, to);
}

fn ended_by_the_called(case: &Case, kamailio: &Kamailio, from: Transport, to: Transport) {
    let setup = Setup::new(case, "bob-again", "answer").config(&kamailio.account("bob", to)).silent();
    let mut bob = setup.arguments(&["--auto", "--duration", "2"]).start();
    bob.expect_registered();
    let setup = Setup::new(case, "alice-again", "call").config(&kamailio.account("alice", from)).silent();
    let mut alice = setup.arguments(&["bob"]).start();
    assert_eq!(alice.wait(Duration::from_secs(15)), exit::ENDED);
    assert_eq!(alice.summary()["result"], "normal");
    assert_eq!(bob.interrupt(), exit::ENDED);
}

fn baresip(kamailio: &Kamailio, user: &str, answers: bool) -> Account {
    let registrar = kamailio.address(Transport::Udp);
    Account { user: user.into(), password: format!("pw{user}"), registrar, codecs: "PCMU", answers }
}

fn baresip_calls(case: &Case) {
    let kamailio = Kamailio::start(case);
    let mut bob = answering(case, "bob", &kamailio.account("bob", Transport::Tcp), 700.0);
    let voice = Sound::tone(8_000, 20.0, 440.0, -10.0);
    let mut alice = Baresip::start(case, &baresip(&kamailio, "alice", false), &voice, Some(&kamailio.uri("bob")), 6);
    bob.expect_established();
    alice.process.wait(Duration::from_secs(15));
    bob.expect_summary();
    bob.interrupt();
    hears_some(&bob.heard().part(1.0, 6.0), 440.0, "the phone");
    hears_some(&alice.recording(), 700.0, "baresip");
}

fn linphone(case: &Case) {
    let kamailio = Kamailio::start(case);
    let mut carol = Linphone::start(case, "carol", kamailio.address(Transport::Udp), 440.0);
    let mut bob = answering(case, "bob", &kamailio.account("bob", Transport::Tls), 700.0);
    carol.call(&kamailio.uri("bob"));
    bob.expect_established();
    sleep(Duration::from_secs(3));
    carol.hang_up();
    assert_eq!(bob.expect_summary()["result"], "normal");
    bob.interrupt();
    hears_some(&bob.heard(), 440.0, "the called");
    let setup = Setup::new(case, "alice", "call").config(&kamailio.account("alice", Transport::Wss)).record();
    let setup = setup.microphone(&tone(1_000.0));
    let mut alice = setup.arguments(&["carol", "--codecs", "pcmu", "--duration", "4"]).start();
    assert_eq!(alice.wait(Duration::from_secs(20)), exit::ENDED);
    hears_some(&alice.heard(), 440.0, "the caller");
    let heard = carol.recording();
    hears_some(&heard, 700.0, "Linphone, which called");
    hears_some(&heard, 1_000.0, "Linphone, which was called");
}

fn refused(case: &Case) {
    let kamailio = Kamailio::start(case);
    for (dialled, status) in [("486", 486), ("603", 603), ("503", 503), ("nobody", 480)] {
        let setup = Setup::new(case, dialled, "call").config(&kamailio.account("alice", Transport::Udp)).silent();
        let mut phone = setup.arguments(&[dialled]).start();
        assert_eq!(phone.wait(Duration::from_secs(15)), exit::CALL_REFUSED, "{dialled}");
        assert_eq!(phone.summary()["status"], status, "{dialled}");
    }
}

/// Rings at the phone, at baresip and at SIPp, which answers: two 180 and one 200, of dialogs of their own.
fn forked(case: &Case) {
    let kamailio = Kamailio::start(case);
    let setup = Setup::new(case, "bob", "answer").config(&kamailio.account("bob", Transport::Tcp)).silent();
    let mut bob = setup.start();
    bob.expect_registered();
    let voice = Sound::tone(8_000, 20.0, 1_000.0, -10.0);
    let _baresip = Baresip::start(case, &baresip(&kamailio, "bob", false), &voice, None, 15);
    let (mut sipp, address) = Sipp::serve(case, "answers-late.xml", &[("USER", "bob")]);
    kamailio.bind("bob", &format!("sip:bob@{address}"), 300);
    kamailio.expect_bindings("bob", 3, Duration::from_secs(10));
    let setup = Setup::new(case, "alice", "call").config(&kamailio.account("alice", Transport::Udp));
    let setup = setup.microphone(&tone(440.0)).record();
    let mut alice = setup.arguments(&["bob", "--codecs", "pcmu", "--duration", "4"]).start();
    bob.expect("ringing", Duration::from_secs(10), |line| line["state"] == "ringing");
    assert_eq!(alice.wait(Duration::from_secs(20)), exit::ENDED);
    sipp.expect_success(Duration::from_secs(5));
    let result = bob.expect_summary()["result"].clone();
    assert!(result == "answered elsewhere" || result == "missed", "{result}");
    let heard = alice.heard();
    hears_some(&heard.part(heard.seconds() - 3.0, heard.seconds()), 440.0, "the caller, from SIPp's echo");
}

/// Of two that ring one is heard before anybody answers; the other answers, and is heard from then on alone.
fn early_media(case: &Case) {
    let kamailio = Kamailio::start(case);
    let setup = Setup::new(case, "bob", "answer").config(&kamailio.account("bob", Transport::Tcp)).controlled();
    let mut bob = setup.microphone(&tone(700.0)).start();
    bob.expect_registered();
    let (mut sipp, address) = Sipp::serve(case, "early-media.xml", &[("USER", "bob")]);
    kamailio.bind("bob", &format!("sip:bob@{address}"), 300);
    kamailio.expect_bindings("bob", 2, Duration::from_secs(10));
    let setup = Setup::new(case, "alice", "call").config(&kamailio.account("alice", Transport::Udp)).silent();
    let mut alice = setup.record().arguments(&["bob", "--codecs", "pcmu", "--duration", "3"]).start();
    bob.expect("ringing", Duration::from_secs(10), |line| line["state"] == "ringing");
    alice.expect("early media", Duration::from_secs(10), |line| {
        line["state"] == "ringing" && line["media_flowing"] == true
    });
    sleep(Duration::from_secs(1));
    bob.command("answer");
    assert_eq!(alice.wait(Duration::from_secs(20)), exit::ENDED);
    sipp.expect_success(Duration::from_secs(5));
    let (heard, up) = (alice.heard(), alice.established_at());
    hears_some(&heard.part(0.0, up), 440.0, "the caller, before the answer");
    let talk = heard.part(up + 1.0, up + 2.5);
    assert!(talk.tone_share(700.0) > 0.9, "the share of who answered is {}", talk.tone_share(700.0));
    bob.interrupt();
}

/// Rings at three; the phone takes the call from baresip and from the phone beside it.
fn taken(case: &Case) {
    let kamailio = Kamailio::start(case);
    let voice = Sound::tone(8_000, 20.0, 1_000.0, -10.0);
    let _baresip = Baresip::start(case, &baresip(&kamailio, "bob", false), &voice, None, 15);
    let setup = Setup::new(case, "slow", "answer").config(&kamailio.account("bob", Transport::Udp)).silent();
    let mut slow = setup.start();
    slow.expect_registered();
    let mut quick = answering(case, "quick", &kamailio.account("bob", Transport::Tcp), 700.0);
    kamailio.expect_bindings("bob", 3, Duration::from_secs(10));
    let setup = Setup::new(case, "alice", "call").config(&kamailio.account("alice", Transport::Tcp)).silent();
    let mut alice = setup.record().arguments(&["bob", "--codecs", "pcmu", "--duration", "4"]).start();
    assert_eq!(alice.wait(Duration::from_secs(20)), exit::ENDED);
    assert_eq!(quick.expect_summary()["result"], "normal");
    let result = slow.expect_summary()["result"].clone();
    assert!(result == "answered elsewhere" || result == "missed", "{result}");
    hears_some(&alice.heard(), 700.0, "the caller");
}

/// Registers for 10 s, and again before they are over. A nonce that has expired is refused without `stale`; one that has
/// not is used again, with the next count.
fn refreshed(case: &Case, nonce_seconds: u32, count: &str) {
    let kamailio = Kamailio::start_with(case, &Options { nonce_seconds, ..Options::default() });
    let text = kamailio.account("alice", Transport::Udp) + "expiry = 10\n";
    let mut phone = Setup::new(case, "phone", "register").config(&text).start();
    phone.expect_registered();
    let before = kamailio.requests(&["got REGISTER", "username="]).len();
    let refresh = wait_for("a refresh", Duration::from_secs(15), || {
        kamailio.requests(&["got REGISTER", "username="]).into_iter().nth(before)
    });
    if nonce_seconds > 10 {
        assert!(refresh.contains(count), "{refresh}");
    } else {
        let again = wait_for("another try", Duration::from_secs(2), || {
            kamailio.requests(&["got REGISTER", "username="]).into_iter().nth(before + 1)
        });
        assert!(again.contains(count), "{again}");
    }
    sleep(Duration::from_secs(1));
    assert_eq!(kamailio.bindings_of("alice"), 1);
    let failed = phone.lines().into_iter().find(|line| line["state"] == "failed");
    assert!(failed.is_none(), "{failed:?}");
    assert_eq!(phone.interrupt(), exit::ENDED);
    assert_eq!(kamailio.bindings_of("alice"), 0, "it has not unregistered");
}

/// The answer lists the bindings of other phones too, one of which ends soon.
fn other_bindings(case: &Case) {
    let kamailio = Kamailio::start(case);
    kamailio.bind("alice", "sip:alice@127.0.0.1:9", 15);
    kamailio.bind("alice", "sip:alice@127.0.0.2:9", 3_000);
    let text = kamailio.account("alice", Transport::Udp) + "expiry = 120\n";
    let mut phone = Setup::new(case, "phone", "register").config(&text).start();
    phone.expect_registered();
    let lines = phone.lines();
    let line = lines.iter().find(|line| line["state"] == "registered").expect("as just seen");
    let seconds = line["seconds"].as_f64().expect("a number");
    assert!((100.0..=120.0).contains(&seconds), "{line}");
    assert_eq!(phone.interrupt(), exit::ENDED);
    assert_eq!(kamailio.bindings_of("alice"), 2, "it has taken out what others have put in");
}

/// Two accounts at two servers: who calls one of them is told apart, and a dead server does not disturb the other account.
fn two_accounts(case: &Case) {
    let work = Kamailio::start_with(case, &Options { name: "work", ..Options::default() });
    let mut home = Kamailio::start_with(case, &Options { name: "home", ..Options::default() });
    let text = work.account("bob", Transport::Tcp) + &home.account("carol", Transport::Udp);
    let mut phone = Setup::new(case, "phone", "answer").config(&text).silent().arguments(&["--auto"]).start();
    for user in ["bob", "carol"] {
        phone.expect(user, Duration::from_secs(10), |line| line["account"] == user && line["state"] == "registered");
    }
    let mut call = |name: &str, server: &Kamailio, user: &str| {
        let setup = Setup::new(case, name, "call").config(&server.account("alice", Transport::Udp)).silent();
        let mut alice = setup.arguments(&[user, "--duration", "1"]).start();
        assert_eq!(alice.wait(Duration::from_secs(15)), exit::ENDED, "{name}");
        let fits = |line: &Value| line["type"] == "summary" && line["account"] == user;
        phone.expect("the summary", Duration::from_secs(5), fits);
    };
    call("first", &home, "carol");
    home.kill();
    call("second", &work, "bob");
    assert_eq!(phone.interrupt(), exit::ENDED);
    let of_bob: Vec<_> = phone.lines().into_iter().filter(|line| line["account"] == "bob").collect();
    assert!(of_bob.iter().all(|line| line["state"] != "failed"), "{of_bob:?}");
}

fn said_503(case: &Case) {
    let kamailio = Kamailio::start(case);
    kamailio.answer_with(503);
    let text = kamailio.account("alice", Transport::Udp);
    let mut phone = Setup::new(case, "phone", "register").config(&text).start();
    let line = phone.expect("the failure", Duration::from_secs(10), |line| line["state"] == "failed");
    assert_eq!(line["status"], 503, "{line}");
    assert!(line["seconds"].as_f64().is_some_and(|s| s > 0.0), "it does not say when it tries again: {line}");
    kamailio.answer_with(0);
    let start = Instant::now();
    phone.expect("the registration", Duration::from_secs(40), |line| line["state"] == "registered");
    assert!(start.elapsed() < Duration::from_secs(40));
    assert_eq!(phone.interrupt(), exit::ENDED);
}
