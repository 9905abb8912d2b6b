//! Phones in web pages: Chromium with JsSIP.
use crate::harness::{Case, Need};
use crate::peers_browser::{Account, Browser};
use crate::proxy::Proxy;
use offhook::base::net::Transport;
use serde_json::Value;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(15);

pub const CASES: &[Case] =
    &[Case { name: "browsers::call_each_other_through_our_proxy", needs: &[Need::Browser], run: call_each_other }];

/// A browser at the embedded proxy, over secure WebSockets.
fn at_our_proxy(case: &Case, proxy: &Proxy, name: &str, user: &str, hz: f64) -> Browser {
    let account = Account {
        socket: &format!("wss://{}/ws", proxy.door(Transport::Wss)),
        uri: &format!("sip:{user}@{}", proxy.address.ip()),
        password: &format!("pw{user}"),
        hz,
        answers: true,
    };
    Browser::start(case, name, &account)
}

fn call_each_other(case: &Case) {
    let proxy = Proxy::start_with(case, &["--wss", "0"]);
    let mut alice = at_our_proxy(case, &proxy, "alice", "alice", 440.0);
    let mut bob = at_our_proxy(case, &proxy, "bob", "bob", 700.0);
    alice.call(&format!("sip:bob@{}", proxy.address.ip()));
    for (browser, hz) in [(&mut alice, 700.0), (&mut bob, 440.0)] {
        browser.expect("established", "", SOON);
        browser.expect_tone(hz, SOON);
    }
    alice.ask("hangup", &Value::Null);
    bob.expect("ended", "remote", SOON);
}
