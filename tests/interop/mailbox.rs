//! A mailbox of Asterisk: the lamp of those who ask and of those who are told unasked follows what is in it.
use crate::common::sound::Sound;
use crate::harness::{Case, Need};
use crate::peers_asterisk::{self, Asterisk};
use crate::phone::{Phone, Setup, exit, unix_now};
use offhook::base::net::Transport;
use std::time::Duration;

pub const CASES: &[Case] =
    &[Case { name: "mailbox::a_message_comes_and_goes", needs: &[Need::Asterisk], run: comes_and_goes }];

const SOON: Duration = Duration::from_secs(15);

fn start(case: &Case, asterisk: &Asterisk, user: &str, settings: &str) -> Phone {
    let config = format!("{}{settings}", asterisk.account(user, Transport::Udp));
    let mut phone = Setup::new(case, user, "answer").config(&config).silent().record().controlled().start();
    phone.expect_registered();
    phone
}

fn told(phone: &mut Phone, since: f64, words: &str) {
    phone.expect_after(since, words, SOON, |line| line["type"] == "mailbox" && line["text"] == words);
}

/// Somebody speaks to the mailbox; its owner calls it, hears what was said, deletes it and hangs up.
fn comes_and_goes(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let mut owner = start(case, &asterisk, "1024", "mailbox = true\nmailbox_number = \"6042\"\n");
    let mut other = start(case, &asterisk, "1025", "");
    told(&mut owner, 0.0, "mailbox: empty");
    told(&mut other, 0.0, "mailbox: empty");
    let since = unix_now();
    let setup = Setup::new(case, "caller", "call").account("1001", "pw1001", asterisk.address());
    let tone = Sound::tone(48_000, 30.0, 700.0, -10.0);
    let mut caller = setup.microphone(&tone).arguments(&[&*asterisk.uri("6041"), "--duration", "3"]).start();
    assert_eq!(caller.wait(SOON), exit::ENDED);
    told(&mut owner, since, "mailbox: 1 new");
    told(&mut other, since, "mailbox: 1 new");
    let since = unix_now();
    owner.command("mailbox");
    owner.expect_after(since, "the call", SOON, |line| line["type"] == "established");
    owner.command("digits ,1,,,7,,#");
    owner.expect_after(since, "the end of the call", SOON, |line| line["type"] == "summary");
    told(&mut owner, since, "mailbox: empty");
    told(&mut other, since, "mailbox: empty");
    owner.interrupt();
    other.interrupt();
    crate::tools::hears_some(&owner.heard(), 700.0, "the owner of the mailbox");
}
