//! Busy lamps at Asterisk: the phone watches an extension's hint.
use crate::harness::{Case, Need};
use crate::peers_asterisk;
use crate::phone::{self, Setup};
use crate::process::wait_for;
use offhook::base::net::Transport;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

pub const CASES: &[Case] = &[Case { name: "watching::a_lamp", needs: &[Need::Asterisk], run: lamp }];

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
