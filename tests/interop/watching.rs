//! Busy lamps at Asterisk: the phone watches an extension's hint.
use crate::harness::{Case, Need};
use crate::peers_asterisk::{self, Asterisk};
use crate::phone::{self, Setup, unix_now};
use crate::process::wait_for;
use offhook::base::net::Transport;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub const CASES: &[Case] = &[
    Case { name: "watching::a_lamp", needs: &[Need::Asterisk], run: lamp },
    Case { name: "watching::a_phone_by_its_dialogs_and_by_presence", needs: &[Need::Asterisk], run: phone_watched },
];

const SOON: Duration = Duration::from_secs(10);
/// What writes the documents of Asterisk's dialog package.
const DIALOGS: &str = "res_pjsip_dialog_info_body_generator.so";

/// Gives Asterisk back what was taken from it.
struct Restored(Arc<Asterisk>);

impl Drop for Restored {
    fn drop(&mut self) {
        self.0.cli(&format!("module load {DIALOGS}"));
    }
}

/// 1002 is called, talks and hangs up: who is told of dialogs sees that, and so does who is told of presence alone, since
/// the server knows no dialogs any more.
fn phone_watched(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let start = |user: &str, subcommand, settings: &str| {
        let account = phone::account(user, "127.0.0.1", asterisk.address(), Transport::Udp, Path::new(""));
        let setup = Setup::new(case, user, subcommand).config(&format!("{account}{settings}")).silent();
        let mut phone = setup.controlled().start();
        phone.expect_registered();
        phone
    };
    let mut watched = start("1002", "answer", "");
    asterisk.expect_registered("1002", SOON);
    let mut by_dialogs = start("1001", "answer", "watch = [\"1002\"]\n");
    by_dialogs.expect("the lamp", SOON, |line| line["text"] == "1002: free");
    let restored = Restored(Arc::clone(&asterisk));
    asterisk.cli(&format!("module unload {DIALOGS}"));
    let mut by_presence = start("1003", "answer", "watch = [\"1002\"]\n");
    by_presence.expect("the lamp", SOON, |line| line["text"] == "1002: free Ready");
    // What runs already goes on.
    drop(restored);
    let mut both = |since: f64, dialogs: &str, presence: &str| {
        for (phone, told) in [(&mut by_dialogs, dialogs), (&mut by_presence, presence)] {
            phone.expect_after(since, told, SOON, |line| {
                line["type"] == "watched" && line["text"].as_str().is_some_and(|text| text.starts_with(told))
            });
        }
    };
    let since = unix_now();
    asterisk.cli("channel originate PJSIP/1002 extension 601@phones");
    both(since, "1002: ringing", "1002: ringing");
    let since = unix_now();
    watched.command("answer");
    both(since, "1002: busy", "1002: busy On the phone");
    let since = unix_now();
    watched.command("hangup");
    both(since, "1002: free", "1002: free Ready");
    let since = unix_now();
    watched.interrupt();
    // Dialogs tell of calls only: nobody there has none.
    by_presence.expect_after(since, "the end", SOON, |line| line["text"] == "1002: away Unavailable");
    by_dialogs.interrupt();
    by_presence.interrupt();
}

fn lamp(case: &Case) {
    let asterisk = peers_asterisk::shared();
    let set = |state: &str| {
        asterisk.cli(&format!("devstate change Custom:lamp {state}"));
    };
    let account = phone::account("1001", "127.0.0.1", asterisk.address(), Transport::Udp, Path::new(""));
    let setup = Setup::new(case, "phone", "register").config(&format!("{account}watch = [\"888\", \"no-such\"]\n"));
    let mut phone = setup.start();
    phone.expect_registered();
    let mut told = vec!["888: unknown".to_owned()];
    for (state, word) in [("NOT_INUSE", "free"), ("RINGING", "ringing"), ("INUSE", "busy"), ("NOT_INUSE", "free")] {
        set(state);
        told.push(format!("888: {word}"));
        wait_for(&format!("{told:?}"), Duration::from_secs(10), || {
            let of_888 = |line: &Value| {
                let text = line["text"].as_str().filter(|text| line["type"] == "watched" && text.starts_with("888"));
                text.map(str::to_owned)
            };
            let heard: Vec<String> = phone.lines().iter().filter_map(of_888).collect();
            (heard == told).then_some(())
        });
    }
    // What the server knows nobody of is said once and not asked for again.
    phone.expect("the refusal", Duration::from_secs(10), |line| {
        line["type"] == "watched" && line["text"].as_str().is_some_and(|text| text.starts_with("no-such: unknown the"))
    });
    phone.interrupt();
}
