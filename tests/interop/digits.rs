//! Digits of a call in the ways that endpoints of Asterisk want them, behind a number that pauses and waits, and back.
use crate::harness::{Case, Need};
use crate::peers_asterisk;
use crate::phone::{Setup, exit};
use offhook::base::net::Transport;
use std::time::Duration;

pub const CASES: &[Case] =
    &[Case { name: "digits::read_and_sent_in_every_way", needs: &[Need::Asterisk], run: every_way }];

const SOON: Duration = Duration::from_secs(15);

/// An endpoint with its way, what the account is told, and what is dialled: Asterisk answers, reads four digits and sends
/// four.
const WAYS: [(&str, &str, &str); 5] = [
    ("1001", "auto", "6112,4;7*1"),
    ("1021", "info", "6112,,47*1"),
    ("1022", "auto", "6112,4,7;*1"),
    ("1022", "inband", "6112,47*1"),
    ("1023", "info", "6112;47*1"),
];

/// All at once, since each mostly waits.
fn every_way(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let mark = asterisk.mark();
    let mut phones = WAYS.map(|(user, dtmf, dialled)| {
        let config = format!("{}dtmf = \"{dtmf}\"\n", asterisk.account(user, Transport::Udp));
        let setup = Setup::new(case, &format!("{user}-{dtmf}"), "call").config(&config).silent().controlled();
        setup.arguments(&[dialled, "--no-register"]).start()
    });
    for (phone, (user, dtmf, dialled)) in phones.iter_mut().zip(WAYS) {
        if let Some((_, rest)) = dialled.split_once(';') {
            let waits = phone.expect("the digits to wait", SOON, |line| line["type"] == "digits_wait");
            assert_eq!(waits["text"], rest, "{user} {dtmf}");
            phone.command("continue");
        }
    }
    for (phone, (user, dtmf, _)) in phones.iter_mut().zip(WAYS) {
        asterisk.expect_log(mark, &["DIGITS=47*1", &format!("OF {user}")], SOON);
        assert_eq!(phone.wait(SOON), exit::ENDED, "{user} {dtmf}");
        let lines = phone.lines();
        let told = lines.iter().filter(|line| line["type"] == "digit").filter_map(|line| line["text"].as_str());
        assert_eq!(told.collect::<String>(), "159#", "{user} {dtmf}");
        assert!(lines.iter().any(|line| line["digits_received"] == "159#"), "{user} {dtmf}");
    }
}
