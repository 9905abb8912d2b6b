//! Any datagram as media: told apart and read as RTP or RTCP without a panic, and no item stands outside of it (RFC 3550).
#![no_main]
use libfuzzer_sys::fuzz_target;
use offhook::media::rtcp::compound::{Item, parse_reduced};
use offhook::media::rtp::demux::classify;
use offhook::media::rtp::extension::Elements;
use offhook::media::rtp::packet::Packet;

fuzz_target!(|data: &[u8]| {
    let _ = classify(data);
    if let Ok(packet) = Packet::parse(data) {
        assert!(packet.payload.len() < data.len());
        // Both forms, whatever the packet says of its own (RFC 8285).
        let octets = packet.extension.map_or(packet.payload, |(_, octets)| octets);
        for extension in [packet.extension, Some((0xbede, octets)), Some((0x1000, octets))] {
            assert!(Elements::new(extension).map(|(_, value)| value.len() + 1).sum::<usize>() <= data.len());
        }
    }
    let Ok(items) = parse_reduced(data) else { return };
    assert!(items.len() <= data.len());
    for item in items {
        if let Item::Description { value, .. } | Item::Goodbye { reason: value, .. } = item {
            assert!(value.len() <= 255);
        }
    }
});
