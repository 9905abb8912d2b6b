//! Any message: the torture tests of RFC 4475 and RFC 5118, hostile bytes, and requests of strangers, against the reader of
//! messages, the cutter of streams and a whole user agent in a call.
mod found;
mod heap;
mod hostile;
#[path = "../user_agent/peer.rs"]
mod peer;
mod proxy;
mod rules;
mod stage;
mod strangers;
mod table;
mod transports;
#[path = "../user_agent/world.rs"]
mod world;

use bytes::Bytes;
use offhook::base::net::Transport;
use offhook::sip::message::{ParseError, parse};
use offhook::sip::transport::framing::Event;
use stage::{Answer, Reading, Stage, Stream, byte_by_byte};
use std::path::Path;
use table::Row;

fn load(folder: &str, file: &str) -> Bytes {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(folder).join(format!("{file}.dat"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).into()
}

fn check(folder: &str, rows: &[Row]) {
    for row in rows {
        let (bytes, name) = (load(folder, row.file), format!("§{} {}: {}", row.section, row.file, row.why));
        check_reading(&name, row.reading, &bytes);
        let mut stage = Stage::new(1);
        assert_eq!(stage.answer(Transport::Udp, &bytes), row.answer, "{name}");
        stage.check();
        check_stream(&name, row, &bytes);
    }
}

fn check_reading(name: &str, reading: Reading, bytes: &Bytes) {
    match (reading, parse(bytes)) {
        (Reading::Understood(holds), Ok(message)) => {
            assert!(holds(&message), "{name}: {message:#?}");
            let again = parse(&message.to_bytes()).unwrap_or_else(|e| panic!("{name}: printed, then {e}"));
            assert_eq!(again.headers(), message.headers(), "{name}");
        }
        (Reading::Refused(status), Err(ParseError::Refused { answer })) => assert_eq!(answer.status, status, "{name}"),
        (Reading::Dropped, Err(ParseError::Garbage(_))) => {}
        (_, other) => panic!("{name}: {other:#?}"),
    }
}

fn check_stream(name: &str, row: &Row, bytes: &Bytes) {
    let (events, waits) = byte_by_byte(bytes);
    let answers = match row.stream {
        Stream::Whole => vec![row.answer],
        Stream::Pieces(answers) => answers.to_vec(),
        Stream::Waits => {
            assert!(events.is_empty() && waits, "{name}: {events:?}");
            return;
        }
        Stream::Closed(status) => {
            let [Event::Fatal { head, .. }] = &events[..] else { panic!("{name}: {events:?}") };
            return check_reading(name, Reading::Refused(status), head);
        }
    };
    let mut stage = Stage::new(2);
    let frames: Vec<&Bytes> = events
        .iter()
        .map(|event| match event {
            Event::Frame(bytes) => bytes,
            other => panic!("{name}: {other:?}"),
        })
        .collect();
    let heard: Vec<Answer> = frames.into_iter().map(|frame| stage.answer(Transport::Tcp, frame)).collect();
    assert_eq!(heard, answers, "{name}, on a stream");
    stage.check();
}

#[test]
fn rfc_4475() {
    let (syntax, semantics) = (table::syntax(), table::semantics());
    assert_eq!(syntax.len() + semantics.len(), 49);
    check("rfc4475", &syntax);
    check("rfc4475", &semantics);
}

/// Two messages fall to something else before they come to what their section is about.
#[test]
fn what_two_messages_are_really_about() {
    let text = String::from_utf8(load("rfc4475", "wsinv").to_vec()).expect("text");
    let tag = " ;   tag    = 1918181833n";
    assert!(text.contains(tag));
    let mut stage = Stage::new(3);
    assert_eq!(stage.answer(Transport::Udp, &Bytes::from(text.replacen(tag, "", 1))), Answer::Rings, "no dialog named");
    let whole = Bytes::from([&load("rfc4475", "baddn")[..], b"\r\n"].concat());
    check_reading("baddn with its empty line", Reading::Refused(400), &whole);
    let (events, waits) = byte_by_byte(&whole);
    assert_eq!((&events[..], waits), (&[Event::Frame(whole.clone())][..], false));
    let row = &table::syntax().into_iter().find(|row| row.file == "baddn").expect("a row");
    assert_eq!(stage.answer(Transport::Tcp, &whole), row.answer);
    stage.check();
}

#[test]
fn rfc_5118() {
    let rows = table::ipv6();
    assert_eq!(rows.len(), 12);
    check("rfc5118", &rows);
}
