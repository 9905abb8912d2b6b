//! Any datagram as media: told apart and read as RTP or RTCP without a panic, and no item stands outside of it (RFC 3550).
#![no_main]
use libfuzzer_sys::fuzz_target;
use offhook::media::rtcp::compound::{Item, parse};
use offhook::media::rtp::demux::classify;
use offhook::media::rtp::packet::Packet;

fuzz_target!(|data: &[u8]| {
    let _ = classify(data);
    if let Ok(packet) = Packet::parse(data) {
        assert!(packet.payload.len() < data.len());
    }
    let Ok(items) = parse(data) else { return };
    assert!(items.len() <= data.len());
    for item in items {
        if let Item::Description { value, .. } | Item::Goodbye { reason: value, .. } = item {
            assert!(value.len() <= 255);
        }
    }
});
