//! Candidates that follow descriptions (RFC 8838, RFC 8840): servers that are slow or dead cost an answer nothing.
use crate::harness::{Case, Need};
use crate::peers_sipp::Sipp;
use crate::phone::{Phone, exit};
use crate::process::wait_for;
use crate::ways::{finish, pair, phone};
use offhook::nat::stun::{Builder, Class, Message, Method, attribute, is_stun};
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

pub const CASES: &[Case] = &[
    Case { name: "trickling::slow_server", needs: &[], run: slow },
    Case { name: "trickling::dead_server", needs: &[], run: dead },
    Case { name: "trickling::encrypted", needs: &[], run: encrypted },
    Case { name: "trickling::sipp", needs: &[Need::Sipp], run: sipp },
];

/// What an answer may take on a machine that does other things, too: less than any server is waited for.
const AT_ONCE: f64 = 0.4;

/// And the checks after it, where nothing lies between the two \[ms\].
const NEAR: u64 = 150;
/// A flight that is lost is repeated after 200 ms.
const HEARD: u64 = 200;

/// What the log of the caller says a thing took \[ms\].
fn soon(case: &Case, phone: &mut Phone, words: &str) -> u64 {
    phone.expect("the way", Duration::from_secs(15), |line| line["media_flowing"] == true);
    let log = case.folder().join("anna-home/xdg_state_home/offhook/offhook.log");
    let text = wait_for(words, Duration::from_secs(5), || {
        let text = fs::read_to_string(&log).ok()?;
        text.contains(words).then_some(text)
    });
    let after = text.split(words).nth(1).unwrap_or_default();
    after.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{after}"))
}

/// A STUN server that thinks for a while before it says that we are somewhere else; it answers the first socket only.
struct SlowStun {
    address: SocketAddr,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl SlowStun {
    fn start(thinks: Duration) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a limit");
        let (address, over) = (socket.local_addr().expect("bound"), Arc::new(AtomicBool::new(false)));
        let ended = Arc::clone(&over);
        let thread = thread::spawn(move || {
            let (mut buffer, mut first) = ([0; 1500], None);
            while !ended.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                let Ok(question) = Message::parse(&buffer[..length]) else { continue };
                if *first.get_or_insert(from) != from {
                    continue;
                }
                let elsewhere = SocketAddr::from(([127, 0, 0, 77], from.port()));
                let answer = Builder::new(Class::Success, Method::Binding, question.id)
                    .xor_address(attribute::XOR_MAPPED_ADDRESS, elsewhere)
                    .fingerprint()
                    .finish();
                thread::sleep(thinks);
                let _ = socket.send_to(&answer, from);
            }
        });
        Self { address, over, thread: Some(thread) }
    }
}

impl Drop for SlowStun {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Between two phones: who is called has a server that is slow, and answers as if it had none.
fn slow(case: &Case) {
    let server = SlowStun::start(Duration::from_millis(700));
    let called = format!("stun_server = \"{}\"\n", server.address);
    measured(case, &called);
}

fn dead(case: &Case) {
    // An address of the documentation: nobody is there.
    let called = "stun_server = \"127.0.0.9:9\"\nturn_server = \"turn:127.0.0.9:9\"\nturn_user = \"u\"\n";
    measured(case, called);
}

/// A handshake more: a check, a cookie and two flights.
fn encrypted(case: &Case) {
    let secure = "srtp = \"required\"\nkeying = \"dtls\"\n";
    measured(case, secure);
}

/// The best of three calls is in time: the machine may be busy with something else, but not each time.
fn measured(case: &Case, called: &str) {
    let mut all = String::new();
    let best = (0..3).any(|_| {
        let (in_time, text) = call(case, called);
        all += &text;
        in_time
    });
    fs::write(case.folder().join("measured.log"), &all).expect("writes");
    assert!(best, "{all}");
}

/// How long the answer took, and after it the way and the sound; whether that is in time, and the words for it.
fn call(case: &Case, called: &str) -> (bool, String) {
    let secure = called.lines().filter(|line| line.contains("srtp") || line.contains("keying"));
    let caller: String = secure.map(|line| format!("{line}\n")).collect();
    let (mut anna, mut bob) = pair(case, &format!("ice = \"offer\"\n{caller}"), called, 4);
    let limit = Duration::from_secs(15);
    let time = |line: &serde_json::Value| line["time"].as_f64().expect("a time");
    let rang = time(&bob.expect("the call", limit, |line| line["type"] == "incoming"));
    let up = time(&bob.expect("the answer", limit, |line| line["type"] == "established"));
    let (found, sound) = (soon(case, &mut anna, "found in "), soon(case, &mut anna, "first sound "));
    let answer = (up - rang) * 1e3;
    let text = format!("the answer after {answer:.0} ms, the way {found} ms after it, sound after {sound} ms\n");
    assert_eq!(finish(anna, bob, 4.0), ("host".to_owned(), "host".to_owned()));
    (up - rang < AT_ONCE && found < NEAR && sound < HEARD, text)
}

/// A peer of which nothing is known but that it can: the phone tells it what its slow server says, and checks what it tells.
fn sipp(case: &Case) {
    let server = SlowStun::start(Duration::from_millis(700));
    let checked = UdpSocket::bind("127.0.0.1:0").expect("a port");
    checked.set_read_timeout(Some(Duration::from_secs(5))).expect("a limit");
    let port = checked.local_addr().expect("bound").port().to_string();
    let more = format!("stun_server = \"{}\"\n", server.address);
    let mut bob = phone(case, "bob", "answer", 600.0, &more).arguments(&["--auto"]).start();
    thread::sleep(Duration::from_millis(700));
    let mut sipp = Sipp::start(case, "trickles.xml", bob.sip, &[("USER", "bob"), ("CHECKED", &port)]);
    sipp.expect_success(Duration::from_secs(20));
    let mut buffer = [0; 1500];
    let (length, _) = checked.recv_from(&mut buffer).expect("a check");
    assert!(is_stun(&buffer[..length]));
    assert_eq!(bob.interrupt(), exit::ENDED);
}
