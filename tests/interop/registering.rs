//! Registration with Asterisk: digest algorithms, refusal, coming back.
use crate::harness::{Case, Need};
use crate::peers_asterisk;
use crate::phone::{Setup, exit};
use crate::process::wait_for;
use offhook::base::net::Transport;
use std::time::Duration;

pub const CASES: &[Case] = &[
    Case { name: "register::with_md5", needs: &[Need::Asterisk], run: |case| registers(case, "1001") },
    Case { name: "register::with_the_better_of_two", needs: &[Need::Asterisk], run: |case| registers(case, "1003") },
    Case { name: "register::with_sha_256_alone", needs: &[Need::Asterisk], run: |case| registers(case, "1004") },
    Case { name: "register::over_tcp", needs: &[Need::Asterisk], run: over_tcp },
    Case { name: "register::a_wrong_password_is_refused_once", needs: &[Need::Asterisk], run: wrong_password },
    Case { name: "register::another_account_without_a_restart", needs: &[Need::Asterisk], run: reloaded },
    Case { name: "register::nobody_there", needs: &[], run: nobody_there },
    Case { name: "register::back_after_a_restart", needs: &[Need::Asterisk], run: back_after_a_restart },
];

/// Registers, is reachable, and takes itself out again when it ends.
fn registers(case: &Case, user: &str) {
    let asterisk = peers_asterisk::shared();
    let setup = Setup::new(case, "phone", "register").account(user, &format!("pw{user}"), asterisk.address());
    let mut phone = setup.start();
    phone.expect_registered();
    asterisk.expect_registered(user, Duration::from_secs(5));
    assert_eq!(phone.interrupt(), exit::ENDED);
    assert!(!asterisk.is_registered(user), "it has not unregistered");
}

/// The configuration changes while the phone runs: the account that was left out signs off, the new one registers.
fn reloaded(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let account = |user: &str| asterisk.account(user, Transport::Udp);
    let setup = Setup::new(case, "phone", "register").config(&account("1001")).controlled();
    let config = case.folder().join("phone.toml");
    let mut phone = setup.start();
    phone.expect_registered();
    asterisk.expect_registered("1001", Duration::from_secs(5));
    std::fs::write(&config, "[[account]]\nuser = \"1002\"\n").expect("written");
    phone.command("reload");
    phone.expect("the mistake", Duration::from_secs(5), |line| {
        line["type"] == "refused" && line["text"].as_str().is_some_and(|text| text.contains("domain"))
    });
    std::fs::write(&config, account("1002")).expect("written");
    phone.command("reload");
    phone.expect("the new configuration", Duration::from_secs(5), |line| line["type"] == "reloaded");
    phone.expect("the other account", Duration::from_secs(5), |line| {
        line["account"] == "1002" && line["state"] == "registered"
    });
    assert!(asterisk.is_registered("1002"));
    wait_for("1001 to sign off", Duration::from_secs(5), || (!asterisk.is_registered("1001")).then_some(()));
    assert_eq!(phone.interrupt(), exit::ENDED);
    assert!(!asterisk.is_registered("1002"), "it has not unregistered");
}

fn over_tcp(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let mark = asterisk.mark();
    let setup = Setup::new(case, "phone", "register").account("1001", "pw1001", asterisk.address());
    let mut phone = setup.arguments(&["--transport", "tcp"]).start();
    phone.expect_registered();
    asterisk.expect_log(mark, &["Added contact", "AOR '1001'", "transport=TCP"], Duration::from_secs(5));
    assert_eq!(phone.interrupt(), exit::ENDED);
}

fn wrong_password(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let mark = asterisk.mark();
    let setup = Setup::new(case, "phone", "register").account("1001", "wrong", asterisk.address());
    let mut phone = setup.arguments(&["--once"]).start();
    assert_eq!(phone.wait(Duration::from_secs(15)), exit::REGISTRATION_REFUSED);
    let tries = asterisk.log()[mark..].matches("failed for").count();
    assert!(tries <= 2, "{tries} tries with a password that is known to be wrong");
}

fn nobody_there(case: &Case) {
    let nobody = std::net::SocketAddr::from(([127, 0, 0, 1], crate::tools::free_port()));
    let mut phone =
        Setup::new(case, "phone", "register").account("1001", "pw1001", nobody).arguments(&["--once"]).start();
    assert_eq!(phone.wait(Duration::from_secs(60)), exit::NETWORK);
}

fn back_after_a_restart(case: &Case) {
    let asterisk = peers_asterisk::shared();
    // 1002's bindings live 30 s, so that the phone notices soon.
    let setup = Setup::new(case, "phone", "answer").account("1002", "pw1002", asterisk.address()).silent();
    let mut phone = setup.arguments(&["--auto"]).record().start();
    phone.expect_registered();
    asterisk.restart(Duration::from_secs(1));
    assert!(!asterisk.is_registered("1002"), "the restart has taken the binding away");
    asterisk.expect_registered("1002", Duration::from_secs(45));
    asterisk.cli("channel originate PJSIP/1002 extension 601@phones");
    phone.expect_established();
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(phone.interrupt(), exit::ENDED);
    let heard = phone.heard();
    let end = heard.seconds();
    assert!(heard.part(end - 2.0, end - 0.5).tone_share(1004.0) > 0.9, "no milliwatt tone after the restart");
}
