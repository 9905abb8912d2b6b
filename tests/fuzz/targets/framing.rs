//! Any stream: it holds the same messages however it is cut, and little is held at once (RFC 3261 §18.3).
#![no_main]
use libfuzzer_sys::fuzz_target;
use offhook::sip::message::MAX_MESSAGE;
use offhook::sip::transport::framing::{Event, StreamFramer};

/// The events of a stream that comes in pieces of these lengths, the last for all that follow.
fn events(stream: &[u8], mut lengths: impl Iterator<Item = usize>, pings: u8) -> (Vec<Event>, bool) {
    let (mut framer, mut all, mut rest) = (StreamFramer::new(), Vec::new(), stream);
    (0..pings).for_each(|_| framer.handle_ping_sent());
    while !rest.is_empty() {
        let length = lengths.next().unwrap_or(1).clamp(1, rest.len());
        let (piece, after) = rest.split_at(length);
        rest = after;
        framer.handle_bytes(piece);
        all.extend(std::iter::from_fn(|| framer.poll_event()));
        assert!(framer.held() < MAX_MESSAGE + length);
    }
    (all, framer.is_mid_message())
}

/// Two line ends are one ping or two lone ones, as they happen to come together; all else must be the same.
fn messages((events, waits): (Vec<Event>, bool)) -> (Vec<Event>, bool) {
    (events.into_iter().filter(|e| matches!(e, Event::Frame(_) | Event::Fatal { .. })).collect(), waits)
}

fuzz_target!(|data: &[u8]| {
    let [pings, pieces, stream @ ..] = data else { return };
    let pings = pings % 4;
    let whole = events(stream, std::iter::once(stream.len()), 0);
    let single = events(stream, std::iter::repeat(1), 0);
    assert_eq!(whole, single);
    // Pieces as the stream itself has it.
    let seed = u32::from(*pieces);
    let cuts = (1_u32..).map(|n| (seed.wrapping_mul(n).wrapping_mul(2_654_435_761) >> 27) as usize);
    assert_eq!(whole, events(stream, cuts.clone(), 0));
    assert_eq!(messages(whole), messages(events(stream, cuts, pings)));
    for event in single.0 {
        if let Event::Frame(frame) | Event::Fatal { head: frame, .. } = event {
            assert!(!frame.is_empty() && frame.len() <= MAX_MESSAGE);
            let _ = offhook::sip::message::parse(&frame);
        }
    }
});
