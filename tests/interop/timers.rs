//! Session timers at Asterisk (RFC 4028), in calls that last longer than half of the shortest interval.
use crate::harness::{Case, Need};
use crate::peers_asterisk;
use crate::phone::{Phone, Setup, exit};
use offhook::base::net::Transport;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

pub const CASES: &[Case] = &[Case { name: "timers::asterisk_refreshes", needs: &[Need::Asterisk], run: refreshes }];

/// In a call of Asterisk's it is Asterisk that refreshes the session. In one of ours it leaves that to us, after a time no
/// test waits for.
fn refreshes(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let phone = |name: &str, subcommand, arguments: &[&str]| {
        let ladder = case.folder().join(format!("{name}.txt"));
        let setup = Setup::new(case, name, subcommand).config(&asterisk.account("1008", Transport::Udp)).silent();
        let setup = setup.arguments(arguments).arguments(&["--ladder", &ladder.display().to_string()]);
        (setup.start(), ladder)
    };
    let messages = |(mut phone, ladder): (Phone, PathBuf), limit: u64| {
        assert_eq!(phone.wait(Duration::from_secs(limit)), exit::ENDED);
        let summary = phone.summary();
        assert_eq!((&summary["result"], &summary["cause"]), (&"normal".into(), &"you hung up".into()));
        fs::read_to_string(ladder).expect("the messages of the call")
    };
    let mut called = phone("called", "answer", &["--auto", "--once", "--duration", "48"]);
    called.0.expect_registered();
    asterisk.expect_registered("1008", Duration::from_secs(10));
    asterisk.cli("channel originate PJSIP/1008 extension 601@phones");
    let text = messages(phone("caller", "call", &["600", "--no-register", "--duration", "1"]), 20);
    assert!(text.contains("Session-Expires: 1800;refresher=uac"), "{text}");
    let text = messages(called, 70);
    assert!(text.contains("Session-Expires: 90;refresher=uac"), "{text}");
    assert!(text.contains("<--- A  UPDATE") && text.matches("refresher=uac").count() >= 3, "{text}");
}
