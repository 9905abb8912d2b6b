//! Any datagram as STUN: every attribute can be asked for, nothing unauthentic passes, and what we write is read (RFC 8489).
#![no_main]
use libfuzzer_sys::fuzz_target;
use offhook::nat::stun::{Builder, Class, Message, Method, TransactionId, is_stun};

const MESSAGE_INTEGRITY: u16 = 0x0008;
const MESSAGE_INTEGRITY_SHA256: u16 = 0x001c;

fuzz_target!(|data: &[u8]| {
    let _ = is_stun(data);
    if let Ok(message) = Message::parse(data) {
        for kind in 0..=u16::MAX {
            if message.has(kind) {
                let _ = (message.text(kind), message.u32(kind), message.u64(kind), message.xor_address(kind));
            }
        }
        let _ = (message.mapped_address(), message.error_code());
        // A key that nobody told the fuzzer.
        assert!(!message.is_authentic(b"VOkJxbRl1RmTxUk/WvJxBt-not-known"));
    }
    let [high, low, value @ ..] = data else { return };
    // Longer messages are not read.
    let value = &value[..value.len().min(4_000)];
    let kind = u16::from_be_bytes([*high, *low]) & 0x7fff;
    // An integrity of the fuzzer's own hides what follows it, as it should.
    if matches!(kind, MESSAGE_INTEGRITY | MESSAGE_INTEGRITY_SHA256) {
        return;
    }
    let written = Builder::new(Class::Request, Method::Binding, TransactionId([7; 12]))
        .attribute(kind, value)
        .integrity(b"key")
        .fingerprint()
        .finish();
    let read = Message::parse(&written).expect("what we write is read");
    assert!(read.attribute(kind).is_some_and(|read| value.starts_with(read)));
    assert!(read.is_authentic(b"key") && !read.is_authentic(b"kez"));
});
