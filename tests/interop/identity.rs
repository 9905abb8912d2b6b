//! Who it is: asserted, withheld, forwarded and connected parties, and contacts.
use crate::harness::{Case, Need};
use crate::peers_asterisk::{self, Asterisk};
use crate::peers_sipp::Sipp;
use crate::phone::{self, Phone, Setup, exit};
use offhook::base::net::Transport;
use serde_json::Value;
use std::fs;
use std::process::Command;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(15);

pub const CASES: &[Case] = &[
    Case { name: "identity::who_calls", needs: &[Need::Asterisk], run: who_calls },
    Case { name: "identity::who_is_connected", needs: &[Need::Asterisk], run: who_is_connected },
    Case { name: "identity::who_sent_it_on", needs: &[Need::Asterisk], run: who_sent_it_on },
    Case { name: "identity::checked_and_signed", needs: &[Need::Asterisk, Need::Sipp], run: checked_and_signed },
    Case { name: "identity::contacts", needs: &[Need::Asterisk], run: contacts },
];

/// A phone that waits for calls and rings.
fn waiting(case: &Case, asterisk: &Asterisk, extra: &str) -> Phone {
    let account = phone::account("1001", "127.0.0.1", asterisk.address(), Transport::Udp, "".as_ref());
    let setup = Setup::new(case, "callee", "answer").config(&format!("{account}{extra}"));
    let mut callee = setup.silent().controlled().start();
    callee.expect_registered();
    asterisk.expect_registered("1001", SOON);
    callee
}

/// Who calls, and the line that said so.
fn incoming(callee: &mut Phone) -> Value {
    callee.expect("an incoming call", SOON, |line| line["type"] == "identity")["identity"].clone()
}

/// The server says who calls; who wants to stay unknown does, and is refused where that is wanted.
fn who_calls(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let mut callee = waiting(case, &asterisk, "");
    let caller = |name: &str, target: &str, private: &[&str]| {
        let account = phone::account("1002", "127.0.0.1", asterisk.address(), Transport::Udp, "".as_ref());
        let arguments = [&[target, "--no-register"], private].concat();
        Setup::new(case, name, "call").config(&account).silent().arguments(&arguments).start()
    };
    let mut first = caller("open", &asterisk.uri("1001"), &[]);
    let identity = incoming(&mut callee);
    assert_eq!((identity["source"].as_str(), identity["by"].as_str()), (Some("asserted"), Some("127.0.0.1")));
    assert!(identity["number"].as_str().is_some_and(|number| number.starts_with("1002")), "{identity}");
    callee.command("decline");
    assert_eq!(first.wait(SOON), exit::CALL_REFUSED);
    let before = phone::unix_now();
    let mut second = caller("private", "618", &["--private"]);
    let line = callee.expect_after(before, "a private call", SOON, |line| line["type"] == "identity");
    assert_eq!((line["identity"]["source"].as_str(), line["identity"]["number"].as_str()), (Some("withheld"), None));
    callee.command("decline");
    assert_eq!(second.wait(SOON), exit::CALL_REFUSED);
    let told: Vec<Value> =
        callee.lines().into_iter().filter(|l| l["time"].as_f64().is_some_and(|t| t > before)).collect();
    assert!(told.iter().all(|line| !line.to_string().contains("1002")), "{told:?}");
    callee.interrupt();
    let mut strict = waiting(case, &asterisk, "refuse_anonymous = true\n");
    let mut third = caller("refused", "618", &["--private"]);
    assert_eq!(third.wait(SOON), exit::CALL_REFUSED);
    assert!(strict.lines().iter().all(|line| line["type"] != "identity"), "it must not have rung");
    strict.interrupt();
}

/// The server names another party while the call is up.
fn who_is_connected(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let setup = Setup::new(case, "phone", "call").account("1001", "pw1001", asterisk.address());
    let mut phone = setup.silent().arguments(&["614", "--duration", "4"]).start();
    let renamed = |line: &Value| line["type"] == "identity" && line["identity"]["name"] == "Renamed Party";
    let identity = phone.expect("another name", SOON, renamed)["identity"].clone();
    assert_eq!(identity["source"], "asserted");
    assert!(identity["number"].as_str().is_some_and(|number| number.starts_with("5551212@")), "{identity}");
    assert!(identity["dialled"].as_str().is_some_and(|number| number.starts_with("614@")), "{identity}");
    assert_eq!(phone.wait(SOON), exit::ENDED);
    assert_eq!(phone.summary()["identity"]["name"], "Renamed Party");
}

/// Whom the call was for before, and the cause of the telephone network when a call is refused.
fn who_sent_it_on(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let mut callee = waiting(case, &asterisk, "");
    let caller = |name: &str, target: &str| {
        let setup = Setup::new(case, name, "call").account("1002", "pw1002", asterisk.address());
        setup.silent().arguments(&[target, "--no-register"]).start()
    };
    let mut sent_on = caller("sent-on", "616");
    let identity = incoming(&mut callee);
    let (by, why) = (&identity["forwarded"][0]["by"], &identity["forwarded"][0]["why"]);
    assert_eq!((by.as_str(), why.as_str()), (Some("Carol C."), Some("no answer")), "{identity}");
    assert_eq!(identity["forwarded_asserted"], true);
    callee.command("decline");
    sent_on.wait(SOON);
    callee.interrupt();
    let mut refused = caller("refused", "617");
    assert_eq!(refused.wait(SOON), exit::CALL_REFUSED);
    let cause = refused.summary()["cause"].as_str().unwrap_or_default().to_owned();
    assert!(cause.contains("destination out of order"), "{cause}");
}

/// What the server has checked is told apart from what is only signed; another party by the older header; reasons.
fn checked_and_signed(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let setup = Setup::new(case, "phone", "answer").account("1002", "pw1002", asterisk.address());
    let mut phone = setup.silent().arguments(&["--auto", "--once"]).start();
    phone.expect_registered();
    let mut sipp = Sipp::start(case, "identity.xml", phone.sip, &[("USER", "1002")]);
    let identity = incoming(&mut phone);
    assert_eq!((identity["source"].as_str(), identity["verification"].as_str()), (Some("verified"), Some("passed")));
    assert_eq!((&identity["attestation_claimed"], &identity["forwarded"][0]["why"]), (&"B".into(), &"busy".into()));
    assert!(identity["number"].as_str().is_some_and(|number| number.starts_with("+12155551212@")), "{identity}");
    let second = |line: &Value| line["type"] == "identity" && line["identity"]["name"] == "Second Party";
    assert_eq!(phone.expect("the second party", SOON, second)["identity"]["source"], "asserted");
    sipp.expect_success(Duration::from_secs(20));
    assert_eq!(phone.wait(SOON), exit::ENDED);
    let cause = phone.summary()["cause"].as_str().unwrap_or_default().to_owned();
    assert_eq!(cause, "the other side hung up (a timer expired; request timeout: gone for lunch)");
}

/// People of a vCard are called by their names, and lamps show those who are watched.
fn contacts(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let folder = case.folder();
    let account = phone::account("1001", "127.0.0.1", asterisk.address(), Transport::Udp, "".as_ref());
    let (config, cards) = (folder.join("phone.toml"), folder.join("cards.vcf"));
    let card =
        "BEGIN:VCARD\nVERSION:3.0\nFN:Echo Test\nTEL;TYPE=work:600\nEND:VCARD\nBEGIN:VCARD\nFN:Nobody\nEND:VCARD\n";
    fs::write(&cards, card).expect("writes");
    fs::write(&config, &account).expect("writes");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_offhook"));
        command.args(["--config", &config.display().to_string(), "contacts"]).args(arguments).env("HOME", &folder);
        String::from_utf8_lossy(&command.output().expect("runs").stdout).into_owned()
    };
    let told = run(&["import", &cards.display().to_string()]);
    assert!(told.starts_with("1 contacts taken over") && told.contains("; 1 without"), "{told}");
    let setup = Setup::new(case, "phone", "call").config(&account);
    let mut phone = setup.silent().controlled().arguments(&["echo test"]).start();
    phone.expect_established();
    phone.command("contact add Bob Two work=1002");
    phone.command("contact watch Bob Two");
    phone.expect("the lamp", SOON, |line| {
        line["type"] == "watched" && line["text"].as_str().is_some_and(|text| text.starts_with("Bob Two: "))
    });
    phone.command("hangup");
    assert_eq!(phone.wait(SOON), exit::ENDED);
    let summary = phone.summary();
    assert_eq!(
        (summary["identity"]["contact"].as_str(), summary["identity"]["name"].as_str()),
        (Some("Echo Test"), Some("Echo Test"))
    );
    assert_eq!(run(&["list"]), "Bob Two: work 1002\nEcho Test: work 600\n");
}
