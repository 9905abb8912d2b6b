//! Rules about calls, codes of the server and many calls at once, at Asterisk.
use crate::common::sound::Sound;
use crate::harness::{Case, Need};
use crate::peers_asterisk::{self, Asterisk};
use crate::phone::{self, Phone, Setup, exit, unix_now};
use crate::process::wait_for;
use offhook::base::net::Transport;
use serde_json::Value;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

pub const CASES: &[Case] = &[
    Case { name: "handling::forwards_and_is_not_disturbed", needs: &[Need::Asterisk], run: forwards },
    Case { name: "handling::parks_and_takes_back", needs: &[Need::Asterisk], run: parks },
    Case { name: "handling::picks_up_what_rings_elsewhere", needs: &[Need::Asterisk], run: picks_up },
    Case { name: "handling::answers_for_a_queue", needs: &[Need::Asterisk], run: queue },
    Case { name: "handling::opens_the_microphone_for_those_listed", needs: &[Need::Asterisk], run: intercom },
    Case { name: "handling::hears_pages_of_those_listed", needs: &[Need::Asterisk], run: page },
    Case { name: "handling::eight_calls_at_once", needs: &[Need::Asterisk], run: eight },
];

const SOON: Duration = Duration::from_secs(15);

/// A phone of this user that obeys commands; `settings` are lines of its account.
fn waiting(case: &Case, asterisk: &Asterisk, user: &str, settings: &str) -> Setup {
    let account = phone::account(user, "127.0.0.1", asterisk.address(), Transport::Udp, Path::new(""));
    Setup::new(case, user, "answer").config(&format!("{account}{settings}")).controlled()
}

fn registered(mut phone: Phone, asterisk: &Asterisk, user: &str) -> Phone {
    phone.expect_registered();
    asterisk.expect_registered(user, SOON);
    phone
}

/// 1001 calls `target`; the exit code, and what it heard.
fn call(case: &Case, asterisk: &Asterisk, name: &str, target: &str) -> (i32, Phone) {
    let setup = Setup::new(case, name, "call").account("1001", "pw1001", asterisk.address());
    let mut phone = setup.silent().record().arguments(&[&asterisk.uri(target), "--duration", "4"]).start();
    (phone.wait(Duration::from_secs(30)), phone)
}

fn hears(phone: &Phone, hz: f64) -> f64 {
    let heard = phone.heard();
    heard.part(heard.seconds() - 2.5, heard.seconds() - 0.5).tone_share(hz)
}

/// 1002 sends its calls to the milliwatt: always, then when it does not answer; then it refuses all, after a restart too.
fn forwards(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let start = || registered(waiting(case, &asterisk, "1002", "").silent().start(), &asterisk, "1002");
    let mut callee = start();
    for (n, line) in ["forward always 601", "forward noanswer 601 2"].into_iter().enumerate() {
        callee.command("forward off");
        let since = unix_now();
        callee.command(line);
        callee.expect_after(since, "the switch", SOON, |line| line["type"] == "handling");
        let (code, caller) = call(case, &asterisk, &format!("forwarded-{n}"), "1002");
        assert_eq!(code, exit::ENDED, "{line}");
        let share = hears(&caller, 1004.0);
        assert!(share > 0.9, "{line}: the milliwatt's share is {share}");
    }
    assert!(callee.expect_summary()["cause"].as_str().is_some_and(|cause| cause == "forwarded to 601"));
    callee.command("forward off");
    let since = unix_now();
    callee.command("dnd on");
    callee.expect_after(since, "the switch", SOON, |line| line["text"] == "do not disturb");
    assert_eq!(call(case, &asterisk, "refused", "1002").0, exit::CALL_REFUSED);
    callee.interrupt();
    let mut callee = start();
    assert_eq!(call(case, &asterisk, "refused-again", "1002").0, exit::CALL_REFUSED);
    assert_eq!(callee.expect_summary()["result"], "missed");
    let since = unix_now();
    callee.command("dnd off");
    callee.expect_after(since, "the switch", SOON, |line| line["text"] == "all calls ring here");
    callee.interrupt();
}

/// 1001 parks 1002, is told the slot by its lamp, and takes the call back: 1002's tone is heard again.
fn parks(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let tone = Sound::tone(48_000, 60.0, 700.0, -10.0);
    let callee = waiting(case, &asterisk, "1002", "").microphone(&tone).arguments(&["--auto"]).start();
    let mut callee = registered(callee, &asterisk, "1002");
    let phone = waiting(case, &asterisk, "1001", "park = \"700\"\npark_slots = [\"701\"]\n").silent().record().start();
    let mut phone = registered(phone, &asterisk, "1001");
    phone.expect("the lamp", SOON, |line| line["text"] == "701: free");
    phone.command(&format!("call {}", asterisk.uri("1002")));
    phone.expect("the call", SOON, |line| line["type"] == "established");
    sleep(Duration::from_secs(1));
    let since = unix_now();
    phone.command("park");
    phone.expect_after(since, "the slot", SOON, |line| line["type"] == "parked" && line["text"] == "701");
    phone.expect_after(since, "the end of our part", SOON, |line| {
        line["type"] == "summary" && line["cause"].as_str().is_some_and(|cause| cause.starts_with("parked"))
    });
    let since = unix_now();
    phone.command("unpark 701");
    phone.expect_after(since, "the call back", SOON, |line| line["type"] == "established");
    sleep(Duration::from_secs(4));
    let share = hears(&phone, 700.0);
    assert!(share > 0.9, "the share of 1002's tone is {share}");
    phone.interrupt();
    callee.interrupt();
}

/// 1001 calls 1003, which rings; 1002 takes the call, by the number and then as one of its group.
fn picks_up(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let rings = waiting(case, &asterisk, "1003", "").silent().start();
    let mut rings = registered(rings, &asterisk, "1003");
    let taker = waiting(case, &asterisk, "1002", "").silent().record().start();
    let mut taker = registered(taker, &asterisk, "1002");
    for (name, line) in [("by-number", "pickup 1003"), ("in-group", "pickup")] {
        let since = unix_now();
        let setup = Setup::new(case, name, "call").account("1001", "pw1001", asterisk.address());
        let tone = Sound::tone(48_000, 30.0, 700.0, -10.0);
        let mut caller = setup.microphone(&tone).arguments(&[&*asterisk.uri("1003"), "--duration", "5"]).start();
        rings.expect_after(since, "the ringing", SOON, |line| line["type"] == "incoming");
        taker.command(line);
        taker.expect_after(since, "the call", SOON, |line| line["type"] == "established");
        assert_eq!(caller.wait(Duration::from_secs(25)), exit::ENDED, "{line}");
        let share = hears(&taker, 700.0);
        assert!(share > 0.9, "{line}: the share of the caller's tone is {share}");
        taker.expect_after(since, "the end", SOON, |line| line["type"] == "summary");
        rings.expect_after(since, "the end of the ringing", SOON, |line| line["type"] == "summary");
    }
    rings.interrupt();
    taker.interrupt();
}

/// 1002 is the agent of a queue: a caller's tone is heard, the agent learns who it is, and the caller who the agent is.
fn queue(case: &Case) {
    let asterisk = peers_asterisk::shared();
    asterisk.cli("devstate change Custom:agent NOT_INUSE");
    let agent = waiting(case, &asterisk, "1002", "").silent().record().arguments(&["--auto"]).start();
    let mut agent = registered(agent, &asterisk, "1002");
    let setup = Setup::new(case, "caller", "call").account("1001", "pw1001", asterisk.address());
    let tone = Sound::tone(48_000, 30.0, 700.0, -10.0);
    let mut caller = setup.microphone(&tone).arguments(&[&*asterisk.uri("609"), "--duration", "5"]).start();
    agent.expect_established();
    agent.expect("the caller", SOON, |line| line["type"] == "call" && line.to_string().contains("1001"));
    let connected = |line: &Value| line["type"] == "identity" && line["identity"]["name"] == "Bob";
    let identity = caller.expect("who has answered", SOON, connected)["identity"].clone();
    assert!(identity["number"].as_str().is_some_and(|number| number.starts_with("1002@")), "{identity}");
    assert_eq!(identity["source"], "asserted", "{identity}");
    assert_eq!(caller.wait(Duration::from_secs(25)), exit::ENDED);
    let share = hears(&agent, 700.0);
    assert!(share > 0.9, "the share of the caller's tone is {share}");
    assert_eq!(agent.expect_summary()["result"], "normal");
    agent.interrupt();
}

/// The server marks calls as intercom: 1002 answers those of 1001 by itself, and lets those of 1003 ring.
fn intercom(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let callee = waiting(case, &asterisk, "1002", "auto_answer_from = [\"1001\"]\n").silent().record().start();
    let mut callee = registered(callee, &asterisk, "1002");
    let call = |user: &str| {
        let setup = Setup::new(case, &format!("from-{user}"), "call");
        let setup = setup.account(user, &format!("pw{user}"), asterisk.address());
        let tone = Sound::tone(48_000, 30.0, 700.0, -10.0);
        setup.microphone(&tone).arguments(&[&*asterisk.uri("*801002"), "--duration", "5"]).controlled().start()
    };
    let mut stranger = call("1003");
    callee.expect("the ringing", SOON, |line| line["type"] == "incoming");
    sleep(Duration::from_secs(4));
    assert!(!callee.lines().iter().any(|line| line["type"] == "established"));
    stranger.interrupt();
    callee.expect_summary();
    let mut listed = call("1001");
    callee.expect("the call", SOON, |line| line["type"] == "established");
    assert_eq!(listed.wait(Duration::from_secs(25)), exit::ENDED);
    let share = hears(&callee, 700.0);
    assert!(share > 0.9, "the share of the caller's tone is {share}");
    callee.interrupt();
}

/// 1001 calls 1002 and 1003 at once for an announcement: the one that lists it hears it, the other rings.
fn page(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let listed = waiting(case, &asterisk, "1002", "auto_answer_from = [\"1001\"]\n").silent().record().start();
    let mut listed = registered(listed, &asterisk, "1002");
    let other = waiting(case, &asterisk, "1003", "auto_answer_from = [\"1004\"]\n").silent().start();
    let mut other = registered(other, &asterisk, "1003");
    let setup = Setup::new(case, "1001", "call").account("1001", "pw1001", asterisk.address());
    let tone = Sound::tone(48_000, 30.0, 700.0, -10.0);
    let mut caller = setup.microphone(&tone).arguments(&[&*asterisk.uri("619"), "--duration", "5"]).start();
    listed.expect_established();
    other.expect("the ringing", SOON, |line| line["type"] == "incoming");
    assert_eq!(caller.wait(Duration::from_secs(25)), exit::ENDED);
    let share = hears(&listed, 700.0);
    assert!(share > 0.9, "the share of the caller's tone is {share}");
    assert_eq!(listed.expect_summary()["result"], "normal");
    assert_eq!(other.expect_summary()["result"], "missed");
    assert!(!other.lines().iter().any(|line| line["type"] == "established"));
    listed.interrupt();
    other.interrupt();
}

/// Eight calls to the echo: all but one are held, every one is talked on in its turn, all are hung up.
fn eight(case: &Case) {
    const CALLS: usize = 8;
    let asterisk = peers_asterisk::shared();
    let phone = waiting(case, &asterisk, "1001", "").arguments(&["--microphone", "tone:700"]).record().start();
    let mut phone = registered(phone, &asterisk, "1001");
    let count = |phone: &Phone, kind: &str| phone.lines().iter().filter(|line| line["type"] == kind).count();
    for n in 1..=CALLS {
        phone.command("call 600");
        wait_for(&format!("call {n}"), SOON, || (count(&phone, "established") == n).then_some(()));
    }
    // Which calls there are, and whether each is held.
    let held = |phone: &mut Phone| {
        let since = unix_now();
        phone.expect_after(since, "a report", SOON, |line| line["type"] == "call");
        sleep(Duration::from_millis(1500));
        let lines = phone.lines();
        let fresh = lines.into_iter().filter(|line| line["type"] == "call" && line["time"].as_f64() > Some(since));
        let mut last = std::collections::BTreeMap::new();
        for line in fresh {
            last.insert(line["call"].as_u64(), line["held_by_us"].as_bool());
        }
        last
    };
    let mut talked = std::collections::BTreeSet::new();
    for _ in 0..CALLS {
        phone.command("switch");
        let all = held(&mut phone);
        let here: Vec<_> = all.iter().filter(|(_, held)| **held == Some(false)).collect();
        assert_eq!((all.len(), here.len()), (CALLS, 1), "{all:?}");
        talked.extend(here.into_iter().map(|(call, _)| *call));
    }
    assert_eq!(talked.len(), CALLS);
    let share = hears(&phone, 700.0);
    assert!(share > 0.9, "the share of the echo is {share}");
    for n in 1..=CALLS {
        phone.command("hangup");
        wait_for(&format!("the end of call {n}"), SOON, || (count(&phone, "summary") == n).then_some(()));
    }
    assert!(phone.lines().iter().filter(|line| line["type"] == "summary").all(|line| line["result"] == "normal"));
    phone.interrupt();
    wait_for("Asterisk to be rid of them", SOON, || {
        asterisk.cli("core show channels").contains("0 active calls").then_some(())
    });
}
