//! Bytes made to harm: cut, joined, oversized, endless, nested. Memory and work are counted, not timed.
use crate::heap::cost;
use crate::peer::{request, sdp};
use crate::stage::Answer::{self, Silence, Status};
use crate::stage::{SECOND, Stage, byte_by_byte};
use crate::world::address;
use bytes::Bytes;
use offhook::base::net::Transport;
use offhook::sip::message::{MAX_MESSAGE, parse};
use offhook::sip::transport::framing::{Event, FramingError, StreamFramer};

/// What a connection reads at once.
const CHUNK: usize = 16 * 1024;
const MEGABYTES_10: usize = 10 * 1024 * 1024;

fn invite() -> String {
    let sender = address(66);
    request("INVITE", "sip:phone1@192.0.2.1", sender, "call", &sdp(sender, "sendrecv"))
}

/// An OPTIONS with these lines after the headers it must have, and this after its head.
fn options(lines: &str, body: &str) -> String {
    format!(
        "OPTIONS sip:phone1@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.66;branch=z9hG4bKo\r\nFrom: <sip:o@192.0.2.66>;tag=o\r\n\
         To: <sip:phone1@192.0.2.1>\r\nCall-ID: o\r\nCSeq: 1 OPTIONS\r\n{lines}\r\n{body}"
    )
}

/// The same with one of the headers it must have written otherwise.
fn options_with(old: &str, new: &str) -> String {
    let text = options("", "");
    assert!(text.contains(old), "{old}");
    text.replacen(old, new, 1)
}

#[test]
fn a_message_cut_anywhere_rings_nowhere() {
    let (invite, mut stage) = (invite(), Stage::new(1));
    let via_ends = invite.find("Max-Forwards").expect("a header after the Via");
    for cut in 0..invite.len() {
        let piece = Bytes::copy_from_slice(&invite.as_bytes()[..cut]);
        let expected = if cut < via_ends { Silence } else { Status(400) };
        assert_eq!(stage.answer(Transport::Udp, &piece), expected, "cut after {cut} bytes");
        let (events, waits) = byte_by_byte(&piece);
        assert_eq!((events.len(), waits), (0, cut > 0), "cut after {cut} bytes");
        stage.check();
    }
    assert_eq!(stage.answer(Transport::Udp, &Bytes::from(invite)), Answer::Rings);
    stage.check();
}

#[test]
fn of_two_messages_in_a_datagram_the_first_counts() {
    let mut stage = Stage::new(2);
    let joined = Bytes::from(options("Content-Length: 0\r\n", "") + &invite());
    assert_eq!(stage.answer(Transport::Udp, &joined), Status(200));
    let (events, waits) = byte_by_byte(&joined);
    assert!(matches!(events[..], [Event::Frame(_), Event::Frame(_)]) && !waits);
    stage.check();
}

#[test]
fn requests_of_the_same_bare_cookie_are_not_taken_for_each_other() {
    let mut stage = Stage::new(5);
    for call in ["one", "two"] {
        let text = options("", "").replace("z9hG4bKo", "z9hG4bK").replace("Call-ID: o", &format!("Call-ID: {call}"));
        let answers = stage.send(Transport::Udp, &Bytes::from(text));
        assert_eq!(answers.iter().map(|letter| letter.header("Call-ID")).collect::<Vec<_>>(), [call]);
    }
}

#[test]
fn each_excess_is_refused_or_dropped() {
    let many = |line: &str, count: usize| options(&line.repeat(count), "");
    let value = |name: &str, value: &str| options(&format!("{name}: {value}\r\n"), "");
    let length = |length: &str| value("Content-Length", length);
    let rows: Vec<(&str, String, Answer)> = vec![
        ("more than a message may have", options("", &"x".repeat(MAX_MESSAGE)), Status(513)),
        ("negative length", length("-1"), Status(400)),
        ("signed length", length("+0"), Status(400)),
        ("length in hex", length("0x0"), Status(400)),
        ("length with a fraction", length("0.0"), Status(400)),
        ("no length", length(""), Status(400)),
        ("two lengths in one", length("0, 0"), Status(400)),
        ("length of 32 bits", length("4294967295"), Status(400)),
        ("length of 33 bits", length("4294967296"), Status(400)),
        ("length of many bits", length(&"9".repeat(4000)), Status(400)),
        ("the same length a thousand times", many("Content-Length: 0\r\n", 1000), Status(200)),
        ("another length at the end", many("l: 0\r\n", 9).replace("\r\n\r\n", "\r\nl: 1\r\n\r\n"), Status(400)),
        ("1,000 headers", many("X: y\r\n", 1000), Status(513)),
        ("1,000 Vias", many("Via: SIP/2.0/UDP h\r\n", 1000), Status(513)),
        ("1,000 Vias in a line", value("Via", &"SIP/2.0/UDP h,".repeat(1000)), Status(513)),
        ("1,000 list entries", value("Supported", &"a,".repeat(1000)), Status(513)),
        ("1,000 empty list entries", value("Supported", &",".repeat(1000)), Status(200)),
        ("a long line", value("Subject", &"x".repeat(60_000)), Status(513)),
        ("a line folded 9,000 times", value("Subject", &"x\r\n ".repeat(9_000)), Status(513)),
        ("a long header name", value(&"X".repeat(60_000), "y"), Status(513)),
        ("a long method", options_with("OPTIONS", &"O".repeat(60_000)), Status(501)),
        ("a long Request-URI", options_with("phone1@", &"p".repeat(60_000)), Status(414)),
        ("a long branch", options_with("z9hG4bKo", &format!("z9hG4bK{}", "o".repeat(9_000))), Silence),
        ("NUL in the method", options_with("OPTIONS", "OPT\0ONS"), Silence),
        ("NUL in the Request-URI", options_with("phone1", "pho\0e1"), Status(400)),
        ("NUL in a header name", value("X\0", "y"), Status(400)),
        ("NUL in the only Via", options_with("66;", "66\0;"), Silence),
        ("NUL in the Call-ID", options_with("Call-ID: o", "Call-ID: \0o"), Status(400)),
        ("NUL in a header", value("Subject", "a\0b"), Status(200)),
        ("NULs for a body", options("", &"\0".repeat(1000)), Status(200)),
        ("nested comments", value("User-Agent", &format!("{}{}", "(".repeat(4000), ")".repeat(4000))), Status(200)),
        ("quotes in quotes", options_with("<sip:o", &format!("\"{}\" <sip:o", "\\\"".repeat(4000))), Status(200)),
        ("quotes never closed", options_with("<sip:o", &format!("{} <sip:o", "\"".repeat(4001))), Status(400)),
        ("brackets in brackets", options_with("<sip:o", &format!("{}sip:o", "<".repeat(4000))), Status(400)),
        ("1,000 header parameters", options_with(";tag=o", &format!("{};tag=o", ";a".repeat(1000))), Status(400)),
        ("1,000 Via parameters", options_with(";branch", &format!("{};branch", ";a".repeat(1000))), Silence),
        ("1,000 URI parameters", options_with("2.1 SIP", &format!("2.1{} SIP", ";a".repeat(1000))), Status(400)),
        ("4,000 empty parameters", options_with(";tag=o", &format!("{}tag=o", ";".repeat(4000))), Status(200)),
        ("nothing but line ends", "\r\n".repeat(30_000), Silence),
        ("nothing but colons", ":\r\n".repeat(20_000), Silence),
    ];
    let mut stage = Stage::new(3);
    for (n, (what, text, answer)) in rows.into_iter().enumerate() {
        // Each is a transaction of its own.
        let text = text.replace("z9hG4bKo", &format!("z9hG4bKo{n}")).replace("Call-ID: o", &format!("Call-ID: o{n}"));
        let bytes = Bytes::from(text);
        assert_eq!(stage.answer(Transport::Udp, &bytes), answer, "{what}");
        let peak = cost(|| drop(parse(&bytes))).peak;
        assert!(peak < 300_000, "{what}: {peak} bytes are held while it is read");
        stage.check();
    }
}

#[test]
fn what_a_datagram_held_is_forgotten() {
    let mut stage = Stage::new(4);
    let mut flood = |from: usize| {
        for n in from..from + 300 {
            let text = match n % 3 {
                0 => options("Content-Length: -1\r\n", ""),
                1 => options(&"X: y\r\n".repeat(200), ""),
                _ => options("", "").replace("sip:phone1@192", "nobody:phone1@192"),
            };
            let text =
                text.replace("z9hG4bKo", &format!("z9hG4bKo{n}")).replace("Call-ID: o", &format!("Call-ID: o{n}"));
            stage.send(Transport::Udp, &Bytes::from(text));
            stage.world.ladder.truncate(20);
        }
        // Longer than any transaction lives.
        stage.world.run(64 * SECOND);
    };
    flood(0);
    let kept = cost(|| flood(300)).kept;
    assert!(kept < 4096, "{kept} bytes are kept");
    stage.check();
}

/// Feeds ten megabytes of `unit` after `start`; the events and the most that was held.
fn flood(start: &str, unit: &[u8]) -> (Vec<Event>, usize, i64) {
    let (mut framer, mut events, mut held) = (StreamFramer::new(), Vec::new(), 0);
    let chunk: Vec<u8> = unit.iter().copied().cycle().take(CHUNK / unit.len() * unit.len()).collect();
    let peak = cost(|| {
        framer.handle_bytes(start.as_bytes());
        for _ in 0..MEGABYTES_10 / chunk.len() {
            framer.handle_bytes(&chunk);
            held = held.max(framer.held());
            while let Some(event) = framer.poll_event() {
                if events.last() != Some(&event) {
                    events.push(event);
                }
            }
        }
    });
    (events, held, peak.peak)
}

#[test]
fn ten_megabytes_on_a_stream_are_not_kept() {
    let start = "INVITE sip:phone1@192.0.2.1 SIP/2.0\r\n";
    let rows: [(&str, &[u8]); 8] = [
        (start, b"x"),
        (start, b"\0"),
        (start, b" "),
        (start, b"X: y\r\n"),
        (start, b" \r\n"),
        (start, b"\r"),
        (start, b":\n "),
        ("", b"x"),
    ];
    for (start, unit) in rows {
        let (events, held, peak) = flood(start, unit);
        assert!(matches!(events[..], [Event::Fatal { error: FramingError::EndlessHead, .. }]), "{unit:?}: {events:?}");
        assert!(held <= MAX_MESSAGE + CHUNK && peak < 4 * MAX_MESSAGE as i64, "{unit:?}: {held}, {peak}");
    }
    let (events, held, _) = flood("", b"\r\n\r\n");
    assert_eq!((&events[..], held), (&[Event::Ping][..], CHUNK), "keep-alives are taken as they come");
    let lengths = [MAX_MESSAGE.to_string(), "-1".into(), "99999999999999999999".into(), "0\r\nl: 1".into()];
    for length in lengths {
        let (events, held, _) = flood(&format!("{start}Content-Length: {length}\r\n\r\n"), b"x");
        assert!(
            matches!(events[..], [Event::Fatal { error: FramingError::ContentLength, .. }]),
            "{length}: {events:?}"
        );
        assert!(held <= MAX_MESSAGE + CHUNK, "{length}: {held}");
    }
}

#[test]
fn twice_the_message_is_twice_the_work() {
    type Make = fn(usize) -> String;
    let rows: [(&str, Make); 10] = [
        ("headers", |n| options(&"X: y\r\n".repeat(n), "")),
        ("Vias", |n| options(&"Via: SIP/2.0/UDP h;branch=z9hG4bK\r\n".repeat(n), "")),
        ("too many headers", |n| options(&"X: y\r\n".repeat(20 * n), "")),
        ("too many Vias", |n| options(&"Via: SIP/2.0/UDP h\r\n".repeat(20 * n), "")),
        ("folds", |n| options(&format!("Subject: {}\r\n", "x\r\n ".repeat(100 * n)), "")),
        ("list entries", |n| options(&format!("Supported: {}\r\n", "a,".repeat(30 * n)), "")),
        ("parameters", |n| options_with(";tag=o", &format!("{};tag=o", ";a=b".repeat(30 * n)))),
        ("quotes", |n| options_with("<sip:o", &format!("{} <sip:o", "\"\"".repeat(30 * n)))),
        ("brackets", |n| options_with("<sip:o", &format!("{}sip:o", "<".repeat(30 * n)))),
        ("body", |n| options("", &"x".repeat(500 * n))),
    ];
    for (what, make) in rows {
        let taken = |n: usize| {
            let bytes = Bytes::from(make(n));
            cost(|| drop(parse(&bytes))).taken
        };
        let (once, twice) = (taken(60), taken(120));
        // Growing buffers double: up to twice as much again for an unlucky length.
        assert!(twice < 4 * once, "{what}: {once} bytes for one, {twice} for two");
        assert!(twice < 3_000_000, "{what}: {twice}");
    }
}
