//! The embedded registrar and proxy, with phones that know nothing of it.
use crate::common::sound::Sound;
use crate::harness::{Case, Need};
use crate::namespaces;
use crate::peers_baresip::{Account, Baresip};
use crate::peers_sipp::Sipp;
use crate::phone::{self, Phone, Setup, exit};
use crate::process::Process;
use crate::tools::{self, hears};
use offhook::base::net::Transport;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

pub const CASES: &[Case] = &[
    Case { name: "proxy::sipp_registers_and_calls", needs: &[Need::Sipp], run: sipp_registers_and_calls },
    Case { name: "proxy::a_wrong_password_is_refused", needs: &[Need::Sipp], run: wrong_password },
    Case { name: "proxy::baresip_calls_the_phone", needs: &[Need::Baresip], run: baresip_calls_the_phone },
    Case { name: "proxy::the_phone_calls_baresip", needs: &[Need::Baresip], run: the_phone_calls_baresip },
    Case { name: "proxy::from_tcp_to_udp", needs: &[], run: from_tcp_to_udp },
    Case { name: "proxy::every_transport", needs: &[], run: every_transport },
    Case { name: "proxy::nobody_of_that_name", needs: &[], run: nobody_of_that_name },
    Case { name: "proxy::all_phones_ring_and_one_answers", needs: &[], run: all_ring },
    Case { name: "proxy::a_cancelled_call_ends_everywhere", needs: &[], run: cancelled },
];

/// `offhook proxy` with the users alice, bob and carol, whose passwords are `pw` and the name.
pub struct Proxy {
    pub address: SocketAddr,
    process: Process,
}

impl Proxy {
    /// Asks with MD5 alone, as baresip 1 and SIPp 3.6 need it.
    fn start_for_old_phones(case: &Case) -> Self {
        Self::start_with(case, &["--digest", "md5"])
    }

    fn start(case: &Case) -> Self {
        Self::start_with(case, &[])
    }

    pub fn start_with(case: &Case, options: &[&str]) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], tools::free_port()));
        Self::run(case, Command::new(env!("CARGO_BIN_EXE_offhook")), address, &["alice", "bob", "carol"], options)
    }

    /// In a namespace, for users whose passwords are `pw` and the name.
    pub fn start_in(case: &Case, namespace: &str, address: SocketAddr, users: &[&str], options: &[&str]) -> Self {
        Self::run(case, namespaces::inside(namespace, env!("CARGO_BIN_EXE_offhook")), address, users, options)
    }

    fn run(case: &Case, mut command: Command, address: SocketAddr, names: &[&str], options: &[&str]) -> Self {
        let users = case.folder().join("users");
        let lines: String = names.iter().map(|name| format!("{name}:pw{name}\n")).collect();
        std::fs::write(&users, lines).expect("writes");
        command.args(["proxy", "--bind", &address.to_string(), "--users"]).arg(users).args(options);
        command.env("XDG_STATE_HOME", case.folder());
        let mut process = Process::start("the proxy", &mut command, &case.folder().join("proxy.log"));
        process.expect_log("serving", Duration::from_secs(5));
        Self { address, process }
    }

    /// Where it serves another transport, as it says itself.
    pub fn door(&self, transport: Transport) -> SocketAddr {
        let text = self.process.log_text();
        let found = text.split_once(&format!("{} port ", transport.via_token())).expect("it is served").1;
        let digits: String = found.chars().take_while(char::is_ascii_digit).collect();
        SocketAddr::new(self.address.ip(), digits.parse().expect("a port"))
    }

    pub fn uri(&self, user: &str) -> String {
        format!("sip:{user}@{}", self.address)
    }

    pub fn setup(&self, case: &Case, name: &str, user: &str, subcommand: &'static str) -> Setup {
        Setup::new(case, name, subcommand).account(user, &format!("pw{user}"), self.address)
    }

    /// A phone of `user` that answers every call, with a tone for a voice.
    fn answering(&self, case: &Case, name: &str, user: &str, hz: f64) -> Phone {
        let voice = Sound::tone(48_000, 20.0, hz, -10.0);
        let setup = self.setup(case, name, user, "answer").microphone(&voice).record();
        let mut phone = setup.arguments(&["--auto", "--codecs", "pcmu"]).start();
        phone.expect_registered();
        phone
    }

    fn baresip(&self, user: &str, answers: bool) -> Account {
        Account { user: user.into(), password: format!("pw{user}"), registrar: self.address, codecs: "PCMU", answers }
    }
}

fn sipp_registers_and_calls(case: &Case) {
    let proxy = Proxy::start_for_old_phones(case);
    let mut register = Sipp::start(case, "register.xml", proxy.address, &[("USER", "alice"), ("PASSWORD", "pwalice")]);
    register.expect_success(Duration::from_secs(10));
    let mut bob = proxy.answering(case, "bob", "bob", 700.0);
    let values = [("USER", "alice"), ("PASSWORD", "pwalice"), ("TARGET", "bob")];
    let mut call = Sipp::start(case, "call-through.xml", proxy.address, &values);
    bob.expect_established();
    call.expect_success(Duration::from_secs(20));
    assert_eq!(bob.expect_summary()["result"], "normal");
}

fn wrong_password(case: &Case) {
    let proxy = Proxy::start_for_old_phones(case);
    let values = [("USER", "alice"), ("PASSWORD", "wrong"), ("STATUS", "401")];
    let mut register = Sipp::start(case, "register-refused.xml", proxy.address, &values);
    register.expect_success(Duration::from_secs(10));
    let setup = Setup::new(case, "phone", "register").account("alice", "wrong", proxy.address);
    assert_eq!(setup.arguments(&["--once"]).start().wait(Duration::from_secs(10)), exit::REGISTRATION_REFUSED);
}

fn baresip_calls_the_phone(case: &Case) {
    let proxy = Proxy::start_for_old_phones(case);
    let mut bob = proxy.answering(case, "bob", "bob", 700.0);
    let voice = Sound::tone(8_000, 20.0, 440.0, -10.0);
    let mut alice = Baresip::start(case, &proxy.baresip("alice", false), &voice, Some(&proxy.uri("bob")), 6);
    bob.expect_established();
    alice.process.wait(Duration::from_secs(15));
    bob.expect_summary();
    bob.interrupt();
    hears(&bob.heard().part(1.0, 6.0), 440.0, "the phone");
    hears(&alice.recording(), 700.0, "baresip");
}

fn the_phone_calls_baresip(case: &Case) {
    let proxy = Proxy::start_for_old_phones(case);
    let voice = Sound::tone(8_000, 20.0, 440.0, -10.0);
    let mut bob = Baresip::start(case, &proxy.baresip("bob", true), &voice, None, 12);
    bob.process.expect_log("200 OK", Duration::from_secs(5));
    let voice = Sound::tone(48_000, 20.0, 700.0, -10.0);
    let setup = proxy.setup(case, "alice", "alice", "call").microphone(&voice).record();
    let mut alice = setup.arguments(&[&proxy.uri("bob"), "--codecs", "pcmu", "--duration", "5"]).start();
    assert_eq!(alice.wait(Duration::from_secs(20)), exit::ENDED);
    hears(&alice.heard(), 440.0, "the phone");
    hears(&bob.recording(), 700.0, "baresip");
}

fn from_tcp_to_udp(case: &Case) {
    let proxy = Proxy::start(case);
    let mut bob = proxy.answering(case, "bob", "bob", 700.0);
    let voice = Sound::tone(48_000, 20.0, 440.0, -10.0);
    let setup = proxy.setup(case, "alice", "alice", "call").microphone(&voice).record();
    let options = [&proxy.uri("bob"), "--transport", "tcp", "--codecs", "pcmu", "--duration", "4"];
    let mut alice = setup.arguments(&options).start();
    assert_eq!(alice.wait(Duration::from_secs(20)), exit::ENDED);
    assert_eq!(bob.expect_summary()["result"], "normal");
    bob.interrupt();
    hears(&alice.heard(), 700.0, "alice");
}

/// With the certificate the proxy makes for itself: phones over TLS and WebSockets call one over UDP, and are called by it.
fn every_transport(case: &Case) {
    let proxy = Proxy::start_with(case, &["--tls", "0", "--ws", "0", "--wss", "0"]);
    let authority = case.folder().join("offhook/proxy.pem");
    let mut bob = proxy.answering(case, "bob", "bob", 700.0);
    for transport in [Transport::Tls, Transport::Ws, Transport::Wss] {
        let name = transport.name();
        let account = phone::account("alice", "127.0.0.1", proxy.door(transport), transport, &authority);
        let setup = Setup::new(case, &format!("calls-{name}"), "call").config(&account).silent().record();
        let mut alice = setup.arguments(&["bob", "--codecs", "pcmu", "--duration", "3"]).start();
        assert_eq!(alice.wait(Duration::from_secs(20)), exit::ENDED, "{name}");
        hears(&alice.heard(), 700.0, name);
        let voice = Sound::tone(48_000, 20.0, 500.0, -10.0);
        let setup = Setup::new(case, &format!("called-{name}"), "answer").config(&account).microphone(&voice);
        let mut alice = setup.arguments(&["--auto", "--codecs", "pcmu"]).start();
        alice.expect_registered();
        let setup = proxy.setup(case, &format!("carol-{name}"), "carol", "call").silent().record();
        let mut carol = setup.arguments(&[&proxy.uri("alice"), "--codecs", "pcmu", "--duration", "3"]).start();
        assert_eq!(carol.wait(Duration::from_secs(20)), exit::ENDED, "{name}");
        hears(&carol.heard(), 500.0, name);
        assert_eq!(alice.interrupt(), exit::ENDED, "{name}");
    }
    bob.interrupt();
}

fn nobody_of_that_name(case: &Case) {
    let proxy = Proxy::start(case);
    for (user, status) in [("mallory", 404), ("carol", 480)] {
        let setup = proxy.setup(case, user, "alice", "call").silent();
        let mut phone = setup.arguments(&[&proxy.uri(user)]).start();
        assert_eq!(phone.wait(Duration::from_secs(15)), exit::CALL_REFUSED);
        assert_eq!(phone.summary()["status"], status, "{user}");
    }
}

/// Parallel forking: two bindings of bob; the one that answers takes the call from the other.
fn all_ring(case: &Case) {
    let proxy = Proxy::start(case);
    let mut slow = proxy.setup(case, "slow", "bob", "answer").silent().start();
    slow.expect_registered();
    let mut quick = proxy.answering(case, "quick", "bob", 700.0);
    let setup = proxy.setup(case, "alice", "alice", "call").silent();
    let mut alice = setup.arguments(&[&proxy.uri("bob"), "--duration", "3"]).start();
    assert_eq!(alice.wait(Duration::from_secs(15)), exit::ENDED);
    assert_eq!(quick.expect_summary()["result"], "normal");
    let result = slow.expect_summary()["result"].clone();
    assert!(result == "answered elsewhere" || result == "missed", "{result}");
}

fn cancelled(case: &Case) {
    let proxy = Proxy::start(case);
    let mut bob = proxy.setup(case, "bob", "bob", "answer").silent().start();
    bob.expect_registered();
    let mut alice = proxy.setup(case, "alice", "alice", "call").silent().arguments(&[&proxy.uri("bob")]).start();
    alice.expect("ringing", Duration::from_secs(10), |line| line["state"] == "ringing");
    alice.interrupt();
    assert_eq!(alice.summary()["result"], "cancelled");
    assert_eq!(bob.expect_summary()["result"], "missed");
}
