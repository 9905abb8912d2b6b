//! A phone that is attacked while it talks: strangers connect, stall, flood and lie, and the call does not suffer.
use crate::common::sound::Sound;
use crate::harness::Case;
use crate::phone::{Phone, Setup, exit};
use crate::process::{Process, wait_for};
use crate::tools;
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

pub const CASES: &[Case] = &[Case { name: "hostile::a_call_does_not_suffer", needs: &[], run: a_call_does_not_suffer }];

const SECOND: Duration = Duration::from_secs(1);
/// As many as one address may open.
const CONNECTIONS: usize = 64;
/// How long a begun message may take, and what a busy machine adds.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(9), Duration::from_secs(15));
/// What the attack may cost at most [kB].
const MEMORY: u64 = 16 * 1024;

/// Connects from that host of 127.0.0.0/8: each is a source of its own.
fn connect(host: u8, phone: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, host], 0)).into()).expect("loopback");
    socket.connect(&phone.into()).expect("the phone listens");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE.1)).expect("a time-out");
    stream.set_nodelay(true).expect("a socket");
    stream
}

fn options(host: u8, n: usize, lines: &str) -> String {
    format!(
        "OPTIONS sip:bob@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.{host};branch=z9hG4bK{host}-{n}\r\n\
         From: <sip:x@127.0.0.{host}>;tag=x\r\nTo: <sip:bob@127.0.0.1>\r\nCall-ID: {host}-{n}\r\nCSeq: 1 OPTIONS\r\n{lines}\r\n"
    )
}

/// What the phone says until it closes; a connection that is reset is closed as well.
fn until_closed(mut stream: TcpStream) -> String {
    let (mut all, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => all.extend_from_slice(&chunk[..length]),
            Err(error) => {
                assert!(error.kind() != std::io::ErrorKind::WouldBlock, "the phone does not close");
                break;
            }
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// The next response with its head; the phone sends bodies to no stranger.
fn response(stream: &mut TcpStream) -> String {
    let (mut text, mut byte) = (String::new(), [0]);
    while !text.ends_with("\r\n\r\n") {
        stream.read_exact(&mut byte).expect("a response");
        text.push(byte[0].into());
    }
    text
}

/// Opens all connections one may, begins a message on each, and goes on with a byte a second; each is cut off in time.
fn stall(phone: SocketAddr) {
    let begun = Instant::now();
    let mut streams: Vec<TcpStream> = (0..CONNECTIONS).map(|_| connect(66, phone)).collect();
    streams.iter_mut().for_each(|stream| stream.write_all(b"INVITE ").expect("an open connection"));
    // One too many: it is closed at once, and another source is served.
    let mut refused = connect(66, phone);
    let _ = refused.write_all(options(66, 0, "").as_bytes());
    assert_eq!(until_closed(refused), "", "one connection too many is served");
    assert!(begun.elapsed() < PATIENCE.0, "the refusal took {:?}", begun.elapsed());
    let mut other = connect(67, phone);
    other.write_all(options(67, 0, "").as_bytes()).expect("an open connection");
    assert!(response(&mut other).starts_with("SIP/2.0 403 "));

    let closers: Vec<_> = streams
        .iter()
        .map(|stream| {
            let stream = stream.try_clone().expect("a second handle");
            thread::spawn(move || (until_closed(stream), begun.elapsed()))
        })
        .collect();
    while !closers.iter().all(thread::JoinHandle::is_finished) {
        assert!(begun.elapsed() < PATIENCE.1, "they stall for ever");
        streams.iter_mut().for_each(|stream| drop(stream.write_all(b"x")));
        thread::sleep(SECOND);
    }
    for closer in closers {
        let (said, after) = closer.join().expect("a thread");
        assert!(said.is_empty() && after > PATIENCE.0, "closed after {after:?}: {said}");
    }
}

/// Ten megabytes of nothing after a start line: the connection is closed long before they are through.
fn pour(host: u8, phone: SocketAddr, unit: &[u8]) {
    let mut stream = connect(host, phone);
    stream.write_all(b"INVITE sip:bob@127.0.0.1 SIP/2.0\r\n").expect("an open connection");
    let chunk: Vec<u8> = unit.iter().copied().cycle().take(64 * 1024).collect();
    let written = (0..160).take_while(|_| stream.write_all(&chunk).is_ok()).count();
    assert!(written < 160, "all of it was taken");
    until_closed(stream);
}

/// Messages that lie about their length or have too much of everything.
fn lie(phone: SocketAddr) {
    let rows = [
        ("Content-Length: -1\r\n".to_owned(), "SIP/2.0 400 ", true),
        ("Content-Length: 1\r\nContent-Length: 2\r\n".to_owned(), "SIP/2.0 400 ", true),
        ("Content-Length: 99999999999999999999\r\n".to_owned(), "SIP/2.0 400 ", true),
        ("Content-Length: 65536\r\n".to_owned(), "SIP/2.0 400 ", true),
        ("X: y\r\n".repeat(1000), "SIP/2.0 513 ", false),
        (format!("Subject: {}\r\n", "x".repeat(60_000)), "SIP/2.0 513 ", false),
    ];
    for (n, (lines, status, closes)) in rows.iter().enumerate() {
        let mut stream = connect(68, phone);
        stream.write_all(options(68, n, lines).as_bytes()).expect("an open connection");
        assert!(response(&mut stream).starts_with(status), "{lines:.40}");
        if *closes {
            until_closed(stream);
        }
    }
}

/// Two messages in one piece, then messages in two pieces, cut at every byte.
fn cut(phone: SocketAddr) {
    let mut stream = connect(69, phone);
    let joined = options(69, 10_000, "") + &options(69, 10_001, "");
    stream.write_all(joined.as_bytes()).expect("an open connection");
    for n in 10_000..=10_001 {
        assert!(response(&mut stream).contains(&format!("Call-ID: 69-{n}\r\n")));
    }
    for at in 1..options(69, 100, "").len() - 2 {
        let message = options(69, at, "");
        let (first, second) = message.as_bytes().split_at(at.min(message.len() - 1));
        stream.write_all(first).expect("an open connection");
        thread::sleep(Duration::from_millis(1));
        stream.write_all(second).expect("an open connection");
        assert!(response(&mut stream).contains(&format!("Call-ID: 69-{at}\r\n")), "cut after {at} bytes");
    }
}

/// Datagrams of all kinds, about four thousand a second.
fn flood(host: u8, phone: SocketAddr, seconds: u32) {
    let socket = UdpSocket::bind((format!("127.0.0.{host}"), 0)).expect("loopback");
    let end = Instant::now() + SECOND * seconds;
    for n in 0.. {
        let text = match n % 4 {
            0 => options(host, n, ""),
            1 => options(host, n, "").replace("OPTIONS", "INVITE"),
            2 => options(host, n, &"X: y\r\n".repeat(300)),
            _ => "\u{0}\r\n:;,\"<".repeat(100),
        };
        let _ = socket.send_to(text.as_bytes(), phone);
        if n % 40 == 0 {
            thread::sleep(Duration::from_millis(10));
        }
        if Instant::now() >= end {
            return;
        }
    }
}

/// A figure of `/proc/PID/status` [kB].
fn memory(phone: &Phone, figure: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", phone.process.id())).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(':')).expect("the figure");
    line.split_whitespace().next().and_then(|n| n.parse().ok()).expect("a number")
}

/// - `user`: whose password is `pw`.
fn setup(case: &Case, user: &str, subcommand: &'static str, proxy: SocketAddr) -> Setup {
    let voice = Sound::tone(8_000, 60.0, 700.0, -10.0);
    Setup::new(case, user, subcommand).account(user, "pw", proxy).microphone(&voice).arguments(&["--codecs", "pcmu"])
}

fn a_call_does_not_suffer(case: &Case) {
    let proxy = SocketAddr::from(([127, 0, 0, 1], tools::free_port()));
    let users = case.folder().join("users");
    std::fs::write(&users, "alice:pw\nbob:pw\n").expect("writes");
    let mut command = Command::new(env!("CARGO_BIN_EXE_offhook"));
    command.args(["proxy", "--bind", &proxy.to_string(), "--users"]).arg(users);
    let mut process = Process::start("the proxy", &mut command, &case.folder().join("proxy.log"));
    process.expect_log("serving", 5 * SECOND);

    let mut bob = setup(case, "bob", "answer", proxy).arguments(&["--auto"]).start();
    bob.expect_registered();
    let mut alice = setup(case, "alice", "call", proxy).arguments(&[&format!("sip:bob@{proxy}")]).start();
    alice.expect_established();
    bob.expect_established();
    let target = bob.sip;
    thread::sleep(2 * SECOND);
    let before = memory(&bob, "VmRSS");
    let attack = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| stall(target));
        scope.spawn(|| {
            for unit in [&b"x"[..], b"\0", b"X: y\r\n", b" \r\n"] {
                pour(70, target, unit);
            }
        });
        scope.spawn(|| lie(target));
        scope.spawn(|| cut(target));
        scope.spawn(|| flood(71, target, 8));
        // Whoever borrows the server's address is let in further.
        scope.spawn(|| flood(1, target, 4));
    });
    let attack = attack.elapsed().as_secs_f64();
    let grown = memory(&bob, "VmHWM").saturating_sub(before);
    std::fs::write(case.folder().join("memory.log"), format!("{before} kB before, {grown} kB more\n")).expect("writes");
    assert!(grown < MEMORY, "the attack cost {grown} kB");

    // Nobody has rung, and the call is up.
    let calls = bob.lines().iter().filter_map(|line| line["call"].as_u64()).max();
    assert_eq!(calls, Some(1), "somebody rang");
    wait_for("the call after the attack", 5 * SECOND, || {
        bob.lines().iter().rfind(|line| line["type"] == "call").filter(|line| line["state"] == "established").cloned()
    });
    assert_eq!(alice.interrupt(), exit::ENDED);
    let attacked = bob.expect_summary();
    for (who, summary) in [("alice", &alice.summary()), ("bob", &attacked)] {
        suffered_nothing(who, summary, attack);
    }
}

/// Every packet was sent in time and arrived.
fn suffered_nothing(who: &str, summary: &Value, attack: f64) {
    let figure =
        |path: &str| summary.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path}: {summary}"));
    assert_eq!(figure("/inbound/lost"), 0.0, "{who} misses packets: {summary}");
    let seconds = figure("/duration_s");
    assert!(seconds > attack && figure("/inbound/packets") > 50.0 * (seconds - 1.0), "{who}: {summary}");
    // A machine with other things to do is late now and then, attacked or not.
    assert!(figure("/concealed_ms") < 0.02 * figure("/played_ms"), "{who} hears gaps: {summary}");
}
