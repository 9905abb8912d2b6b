//! Any datagram: it is read without harm, and what can be read can be written and read again (RFC 3261 §7).
#![no_main]
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use offhook::sip::message::{Message, ParseError, Response, head_length, parse};

fuzz_target!(|data: &[u8]| {
    match parse(&Bytes::copy_from_slice(data)) {
        Ok(message) => {
            let printed = message.to_bytes();
            // Latin-1 grows when it is written as UTF-8, past the caps perhaps.
            if data.len() < 4_000 {
                let again = parse(&printed).unwrap_or_else(|e| panic!("printed, then {e}: {printed:?}"));
                assert_eq!(again.headers(), message.headers());
                assert_eq!(again.to_bytes(), printed);
                same_start(&message, &again);
            }
            if let Message::Request(request) = &message {
                is_one_message(&Response::to_request(request, 200, Some("tag")));
            }
        }
        Err(ParseError::Refused { answer }) => {
            assert!((400..=599).contains(&answer.status) && answer.headers.via().is_ok());
            is_one_message(&answer);
        }
        Err(_) => {}
    }
});

fn same_start(one: &Message, other: &Message) {
    match (one, other) {
        (Message::Request(a), Message::Request(b)) => {
            assert_eq!((&a.method, a.uri.to_string(), &a.body), (&b.method, b.uri.to_string(), &b.body));
            assert!(a.uri.matches(&b.uri));
        }
        (Message::Response(a), Message::Response(b)) => {
            assert_eq!((a.status, &a.reason, &a.body), (b.status, &b.reason, &b.body));
        }
        _ => panic!("a request is no response"),
    }
}

/// No value ends its line.
fn is_one_message(response: &Response) {
    let bytes = response.to_bytes();
    let lines = bytes.iter().filter(|b| **b == b'\n').count();
    assert_eq!(lines, response.headers.iter().count() + 3, "{bytes:?}");
    assert_eq!(head_length(&bytes), Some(bytes.len()), "{bytes:?}");
    assert!(!bytes.contains(&0));
}
