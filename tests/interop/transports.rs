//! Every transport at Asterisk.
use crate::common::sound::Sound;
use crate::harness::{Case, Need};
use crate::peers_asterisk;
use crate::phone::{Setup, exit};
use crate::tools::hears_some;
use offhook::base::net::Transport;
use std::thread;
use std::time::Duration;

const ASTERISK: &[Need] = &[Need::Asterisk];

pub const CASES: &[Case] = &[
    Case { name: "transports::asterisk_over_tcp", needs: ASTERISK, run: |case| asterisk(case, Transport::Tcp, "1001") },
    Case { name: "transports::asterisk_over_tls", needs: ASTERISK, run: |case| asterisk(case, Transport::Tls, "1002") },
    Case { name: "transports::asterisk_over_ws", needs: ASTERISK, run: |case| asterisk(case, Transport::Ws, "1003") },
    Case { name: "transports::asterisk_over_wss", needs: ASTERISK, run: |case| asterisk(case, Transport::Wss, "1005") },
];

/// Calls the echo, then is called on the connection it has opened.
fn asterisk(case: &Case, transport: Transport, user: &str) {
    let asterisk = peers_asterisk::shared();
    let account = asterisk.account(user, transport);
    let setup = Setup::new(case, "caller", "call").config(&account).record();
    let setup = setup.microphone(&Sound::tone(48_000, 10.0, 440.0, -10.0));
    let mut phone = setup.arguments(&["600", "--codecs", "pcmu", "--duration", "4"]).start();
    assert_eq!(phone.wait(Duration::from_secs(20)), exit::ENDED);
    hears_some(&phone.heard(), 440.0, "the caller");
    let mut phone =
        Setup::new(case, "called", "answer").config(&account).silent().arguments(&["--auto"]).record().start();
    phone.expect_registered();
    asterisk.expect_registered(user, Duration::from_secs(5));
    asterisk.cli(&format!("channel originate PJSIP/{user} extension 601@phones"));
    phone.expect_established();
    thread::sleep(Duration::from_secs(3));
    assert_eq!(phone.interrupt(), exit::ENDED);
    let heard = phone.heard();
    let end = heard.seconds();
    hears_some(&heard.part(end - 2.5, end), 1_004.0, "the called");
}
