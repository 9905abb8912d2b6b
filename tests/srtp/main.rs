//! Protected media: the vectors of the RFCs, packets that are lost, late, repeated, forged or too short, and two engines
//! that talk encrypted, in virtual time.
mod browser;
mod descriptions;
mod dtls;
mod engines;
#[path = "../common/stream.rs"]
mod stream;

use engines::{STREAM, World};
use offhook::base::rng::Rng;
use offhook::base::time::WallAnchor;
use offhook::media::rtp::packet::{Header, Ssrc};
use offhook::media::session::{Component, Engine};
use offhook::media::spec::{Direction, Keying, MediaCommand};
use offhook::media::srtp::context::{Protection, Refused};
use offhook::media::srtp::sdes::{Keys, MasterKey, Suite};
use proptest::prelude::*;
use rtc_srtp::crypto::providers::RingCrypto;
use rtc_srtp::crypto::{AeadAlgorithm, BlockCipherAlgorithm, HmacAlgorithm, RTCCrypto, StreamCipherAlgorithm};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

/// Counts what the thread of a test asks for.
struct Counting;

thread_local! {
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: passes everything on to the system's allocator, and counts in a place that needs no memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.with(|asked| asked.set(asked.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

pub fn key(suite: Suite, seed: u64) -> MasterKey {
    MasterKey::random(suite, &mut Rng::from_u64(seed))
}

/// The two ends of a stream.
fn pair(suite: Suite) -> (Protection, Protection) {
    let (a, b) = (key(suite, 1), key(suite, 2));
    let ours = Keys { suite, send: a.clone(), receive: b.clone() };
    (Protection::new(&ours), Protection::new(&Keys { suite, send: b, receive: a }))
}

pub fn rtp(ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut out = Vec::new();
    let header = Header { marker: false, payload_type: 0, sequence, timestamp: 160, ssrc: Ssrc(ssrc) };
    header.write(&[sequence as u8; 160], &mut out).unwrap();
    out
}

/// A receiver report without blocks.
pub fn rtcp(ssrc: u32) -> Vec<u8> {
    [&[0x80, 201, 0, 1][..], &ssrc.to_be_bytes()].concat()
}

fn protected(side: &mut Protection, ssrc: u32, sequence: u16) -> Vec<u8> {
    let mut packet = rtp(ssrc, sequence);
    side.protect_rtp(&mut packet).unwrap();
    packet
}

fn opened(side: &mut Protection, packet: &[u8]) -> Result<Vec<u8>, Refused> {
    let mut clear = Vec::new();
    side.unprotect_rtp(packet, &mut clear).map(|()| clear)
}

fn opened_rtcp(side: &mut Protection, packet: &[u8]) -> Result<Vec<u8>, Refused> {
    let mut clear = Vec::new();
    side.unprotect_rtcp(packet, &mut clear).map(|()| clear)
}

// --- What the RFCs say a packet is, made again from the primitives of the library.

/// RFC 3711 §4.3.3: AES in counter mode over the label and the salt.
fn derived(master: &[u8], salt: &[u8], label: u8, length: usize) -> Vec<u8> {
    let algorithm = if master.len() == 16 { BlockCipherAlgorithm::Aes128 } else { BlockCipherAlgorithm::Aes256 };
    let mut out = Vec::new();
    for counter in 0_u16.. {
        if out.len() >= length {
            break;
        }
        let mut block = [0; 16];
        block[..salt.len()].copy_from_slice(salt);
        block[7] ^= label;
        block[14..].copy_from_slice(&counter.to_be_bytes());
        RingCrypto.block_encrypt(algorithm, master, &mut block).unwrap();
        out.extend_from_slice(&block);
    }
    out.truncate(length);
    out
}

fn keystream(key: &[u8], iv: &[u8], data: &mut [u8]) {
    let algorithm = if key.len() == 16 { StreamCipherAlgorithm::Aes128Ctr } else { StreamCipherAlgorithm::Aes256Ctr };
    RingCrypto.new_stream_cipher(algorithm, key).unwrap().apply_keystream(iv, data).unwrap();
}

fn sealed(key: &[u8], iv: &[u8], aad: &[u8], data: &mut [u8]) -> [u8; 16] {
    let algorithm = if key.len() == 16 { AeadAlgorithm::Aes128Gcm } else { AeadAlgorithm::Aes256Gcm };
    let mut tag = [0; 16];
    RingCrypto.new_aead(algorithm, key).unwrap().seal_in_place(iv, aad, data, &mut tag).unwrap();
    tag
}

/// `salt` shifted to the left by `shift` octets, with SSRC and index at their places (RFC 3711 §4.1.1, RFC 7714 §8.1).
fn initial(salt: &[u8], ssrc_at: usize, ssrc: &[u8], index: &[u8], length: usize) -> Vec<u8> {
    let mut iv = vec![0; length];
    iv[..salt.len()].copy_from_slice(salt);
    for (at, octet) in (ssrc_at..).zip(ssrc.iter().chain(index)) {
        iv[at] ^= octet;
    }
    iv
}

#[test]
fn keys_are_derived_as_in_rfc_3711_and_rfc_6188() {
    let (master, salt) = (hex("E1F97A0D3E018BE0D64FA32C06DE4139"), hex("0EC675AD498AFEEBB6960B3AABE6"));
    // RFC 3711 B.3
    assert_eq!(derived(&master, &salt, 0, 16), hex("C61E7A93744F39EE10734AFE3FF7A087"));
    assert_eq!(derived(&master, &salt, 2, 14), hex("30CBBC08863D8C85D49DB34A9AE1"));
    let authentication = hex(
        "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCEE049646C43D9327AD175578EF72270986371C10C9A369AC2F94A8C5F\
         BCDDDC256D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2",
    );
    assert_eq!(derived(&master, &salt, 1, 94), authentication);
    // RFC 6188 §7.2
    let master = hex("F0F04914B513F2763A1B1FA130F10E2998F6F6E43E4309D1E622A0E332B9F1B6");
    let salt = hex("3B04803DE51EE7C96423AB5B78D2");
    let cipher = hex("5BA1064E30EC51613CAD926C5A28EF731EC7FB397F70A960653CAF06554CD8C4");
    assert_eq!(derived(&master, &salt, 0, 32), cipher);
    assert_eq!(derived(&master, &salt, 2, 14), hex("FA31791685CA444A9E07C6C64E93"));
    assert_eq!(derived(&master, &salt, 1, 20), hex("FD9C32D39ED5FBB5A9DC96B30818454D1313DC05"));
}

#[test]
fn the_key_stream_of_rfc_3711_and_the_packets_of_rfc_7714() {
    // RFC 3711 B.2: the first two blocks, and those at 0xFEFF.
    let (key, salt) = (hex("2B7E151628AED2A6ABF7158809CF4F3C"), hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD"));
    let mut stream = vec![0; 0xff02 * 16];
    keystream(&key, &[&salt[..], &[0, 0]].concat(), &mut stream);
    assert_eq!(stream[..32], hex("E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB"));
    assert_eq!(
        stream[0xfeff * 16..],
        hex("EC8CDF7398607CB0F2D21675EA9EA1E4 362B7C3C6773516318A077D7FC5073AE 6A2CC3787889374FBEB4C81B17BA6C44")
    );
    // RFC 7714 §16.1.1 and §16.2.1
    let plain = "47616c6c696120657374206f6d6e697320646976697361 20696e207061727465732074726573";
    let header = hex("8040f17b 8041f8d3 5501a0b2");
    let rows = [
        (
            "000102030405060708090a0b0c0d0e0f",
            "f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce",
        ),
        (
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
            "32b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b7aa3db36dfffd6b0f9bb7878d7a76c13",
        ),
    ];
    for (key, expected) in rows {
        let salt = hex("517569642070726f2071756f");
        let iv = initial(&salt, 2, &header[8..], &[0, 0, 0, 0, header[2], header[3]], 12);
        assert_eq!(iv, hex("51753c6580c2726f20718414"));
        let mut data = hex(plain);
        let tag = sealed(&hex(key), &iv, &header, &mut data);
        assert_eq!([&data[..], &tag].concat(), hex(expected));
    }
}

#[test]
fn the_reports_of_rfc_7714() {
    // RFC 7714 §17.1 and §17.2.
    let header = hex("81c8000d 4d617273");
    let plain = "4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 deadbeef deadbeef deadbeef deadbeef deadbeef";
    let rows = [
        (
            "000102030405060708090a0b0c0d0e0f",
            "63e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9275bc84aa45896cf4d2fc5abf872\
             45d9eade",
        ),
        (
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
            "d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de0476f1b6fad1d1eb30c4446839f57ff6f6c\
             b26ac3be",
        ),
    ];
    for (key, expected) in rows {
        let (salt, index) = (hex("517569642070726f2071756f"), hex("800005d4"));
        let iv = initial(&salt, 2, &header[4..], &[0, 0, 0, 0, 0x05, 0xd4], 12);
        assert_eq!(iv, hex("517524055203726f207170bb"));
        let mut data = hex(plain);
        let tag = sealed(&hex(key), &iv, &[&header[..], &index].concat(), &mut data);
        assert_eq!([&data[..], &tag].concat(), hex(expected));
    }
}

/// The whole of a protected packet, for every suite, made from what the vectors above prove.
#[test]
fn packets_are_what_the_rfcs_say() {
    let (ssrc, sequence) = (0x5501_a0b2_u32, 0xf17b_u16);
    for suite in Suite::ALL {
        let keys = Keys { suite, send: key(suite, 1), receive: key(suite, 2) };
        let (master, salt) = keys.send.split(suite);
        let clear = rtp(ssrc, sequence);
        let (ssrc_octets, index) = (ssrc.to_be_bytes(), [0, 0, 0, 0, clear[2], clear[3]]);
        let gcm = salt.len() == 12;
        let key_of = |label| derived(master, salt, label, master.len());
        let salt_of = |label| derived(master, salt, label, salt.len());
        let mac = |label, parts: &[&[u8]]| {
            let mut tag = [0; 20];
            let key = derived(master, salt, label, 20);
            RingCrypto.new_hmac(HmacAlgorithm::Sha1, &key).unwrap().sign(parts, &mut tag).unwrap();
            tag
        };
        let mut expected = clear.clone();
        if gcm {
            let tag = sealed(
                &key_of(0),
                &initial(&salt_of(2), 2, &ssrc_octets, &index, 12),
                &clear[..12],
                &mut expected[12..],
            );
            expected.extend_from_slice(&tag);
        } else {
            keystream(&key_of(0), &initial(&salt_of(2), 4, &ssrc_octets, &index, 16), &mut expected[12..]);
            let tag = mac(1, &[&expected, &[0; 4]]);
            expected.extend_from_slice(&tag[..suite.rtp_tag_length()]);
        }
        let mut side = Protection::new(&keys);
        let mut packet = clear;
        side.protect_rtp(&mut packet).unwrap();
        assert_eq!(packet, expected, "{suite:?} RTP");

        let report = [rtcp(ssrc), rtcp(ssrc)].concat();
        let (index, flagged) = ([0, 0, 0, 0, 0, 1], [0x80, 0, 0, 1]);
        let mut expected = report.clone();
        if gcm {
            let aad = [&report[..8], &flagged].concat();
            let tag = sealed(&key_of(3), &initial(&salt_of(5), 2, &ssrc_octets, &index, 12), &aad, &mut expected[8..]);
            expected = [&expected[..], &tag, &flagged].concat();
        } else {
            keystream(&key_of(3), &initial(&salt_of(5), 4, &ssrc_octets, &index, 16), &mut expected[8..]);
            expected.extend_from_slice(&flagged);
            let tag = mac(4, &[&expected]);
            expected.extend_from_slice(&tag[..10]);
        }
        let mut packet = report.clone();
        side.protect_rtcp(&mut packet).unwrap();
        assert_eq!(packet, expected, "{suite:?} RTCP");

        // Authentic, but without the flag that says encrypted: not what was agreed on.
        let plain = [&report[..], &[0, 0, 0, 2]].concat();
        let unencrypted = if gcm {
            let tag =
                sealed(&key_of(3), &initial(&salt_of(5), 2, &ssrc_octets, &[0, 0, 0, 0, 0, 2], 12), &plain, &mut []);
            [&report[..], &tag, &[0, 0, 0, 2]].concat()
        } else {
            [&plain[..], &mac(4, &[&plain])[..10]].concat()
        };
        let mut reader = Protection::new(&Keys { suite, send: keys.receive.clone(), receive: keys.send.clone() });
        assert_eq!(opened_rtcp(&mut reader, &unencrypted), Err(Refused::Forged), "{suite:?}");
        assert_eq!(opened_rtcp(&mut reader, &packet), Ok(report), "{suite:?}");
    }
}

// --- Contexts

#[test]
fn what_is_not_authentic_is_refused_and_nothing_is_lost_by_it() {
    for suite in Suite::ALL {
        let (mut ours, mut theirs) = pair(suite);
        let genuine = protected(&mut ours, 7, 100);
        let mut report = rtcp(7);
        ours.protect_rtcp(&mut report).unwrap();
        let forged = |at: usize, of: &[u8]| {
            let mut packet = of.to_vec();
            packet[at] ^= 1;
            packet
        };
        for at in [1, 2, 3, 8, 11, 12, genuine.len() - 1] {
            assert_eq!(opened(&mut theirs, &forged(at, &genuine)), Err(Refused::Forged), "{suite:?} {at}");
        }
        for at in [4, 7, report.len() - 1, report.len() - suite.rtcp_index_from_end() + 3] {
            assert_eq!(opened_rtcp(&mut theirs, &forged(at, &report)), Err(Refused::Forged), "{suite:?} {at}");
        }
        // Authentic in no way: the flag says that it is clear.
        let clear_flag = report.len() - suite.rtcp_index_from_end();
        let mut unencrypted = report.clone();
        unencrypted[clear_flag] &= 0x7f;
        assert_eq!(opened_rtcp(&mut theirs, &unencrypted), Err(Refused::Forged));
        assert_eq!(opened(&mut theirs, &rtp(7, 100)), Err(Refused::Forged), "a clear packet");
        assert_eq!(opened_rtcp(&mut theirs, &rtcp(7)), Err(Refused::Forged), "a clear report");
        for length in 0..genuine.len().max(report.len()) {
            let cut = |of: &[u8]| of[..length.min(of.len() - 1)].to_vec();
            assert_eq!(opened(&mut theirs, &cut(&genuine)), Err(Refused::Forged), "{suite:?} {length}");
            assert_eq!(opened_rtcp(&mut theirs, &cut(&report)), Err(Refused::Forged), "{suite:?} {length}");
        }
        assert_eq!(opened(&mut theirs, &genuine), Ok(rtp(7, 100)));
        assert_eq!(opened(&mut theirs, &genuine), Err(Refused::Replayed));
        assert_eq!(opened_rtcp(&mut theirs, &report), Ok(rtcp(7)));
        assert_eq!(opened_rtcp(&mut theirs, &report), Err(Refused::Replayed));
        // Our own packets, sent back to us.
        assert_eq!(opened(&mut ours, &genuine), Err(Refused::Forged));
    }
}

/// A forged packet of a far index must not move a window that nothing authentic has opened.
#[test]
fn forged_packets_move_no_window() {
    let (mut ours, mut theirs) = pair(Suite::Aes128CmSha1Tag80);
    let genuine = protected(&mut ours, 7, 100);
    for sequence in [40_000_u16, 65_000, 101, 99] {
        let mut packet = genuine.clone();
        packet[2..4].copy_from_slice(&sequence.to_be_bytes());
        assert_eq!(opened(&mut theirs, &packet), Err(Refused::Forged));
    }
    assert_eq!(opened(&mut theirs, &genuine), Ok(rtp(7, 100)));
    let mut report = rtcp(7);
    ours.protect_rtcp(&mut report).unwrap();
    let mut far = report.clone();
    let at = far.len() - 14;
    far[at..at + 4].copy_from_slice(&0xc000_0000_u32.to_be_bytes());
    assert_eq!(opened_rtcp(&mut theirs, &far), Err(Refused::Forged));
    assert_eq!(opened_rtcp(&mut theirs, &report), Ok(rtcp(7)));
}

#[test]
fn the_sequence_wraps_with_losses_and_out_of_order() {
    for suite in Suite::ALL {
        let (mut ours, mut theirs) = pair(suite);
        let packets: Vec<Vec<u8>> =
            (0..1_000_u32).map(|n| protected(&mut ours, 7, 65_000_u16.wrapping_add(n as u16))).collect();
        let mut rng = Rng::from_u64(3);
        // Neighbours change places, and one of ten is lost.
        let mut order: Vec<usize> = (0..packets.len()).collect();
        for at in (0..order.len() - 6).step_by(3) {
            order.swap(at, at + rng.range(0, 5) as usize);
        }
        for at in order.iter().copied().filter(|_| rng.unit() > 0.1) {
            let expected = rtp(7, 65_000_u16.wrapping_add(at as u16));
            assert_eq!(opened(&mut theirs, &packets[at]), Ok(expected), "{suite:?} {at}");
            assert_eq!(opened(&mut theirs, &packets[at]), Err(Refused::Replayed));
        }
        // A packet of before the wrap does not come back as one of after it, nor an old one of a whole turn ago.
        for n in 1_000..66_000_u32 {
            let packet = protected(&mut ours, 7, 65_000_u16.wrapping_add(n as u16));
            assert!(n % 50 != 0 || opened(&mut theirs, &packet).is_ok(), "{suite:?} {n}");
        }
        assert_ne!(opened(&mut theirs, &packets[900]).map(|_| ()), Ok(()), "{suite:?}");
    }
}

/// Who missed the first wrap, because the packets before it were lost, hears what follows.
#[test]
fn a_late_start_is_heard() {
    for suite in Suite::ALL {
        let (mut ours, mut theirs) = pair(suite);
        protected(&mut ours, 7, 65_535);
        for n in 0..20_000 {
            let packet = protected(&mut ours, 7, n);
            assert!(n % 100 != 50 || opened(&mut theirs, &packet) == Ok(rtp(7, n)), "{suite:?} {n}");
        }
    }
}

#[test]
fn sources_come_and_go_and_are_bounded() {
    let (mut ours, mut theirs) = pair(Suite::AeadAes128Gcm);
    for ssrc in 0..1_000 {
        for n in 0..3 {
            let packet = protected(&mut ours, ssrc, n);
            assert_eq!(opened(&mut theirs, &packet), Ok(rtp(ssrc, n)));
        }
    }
    // Forged ones push none of them out.
    let last = protected(&mut ours, 999, 3);
    for ssrc in 5_000..5_100_u32 {
        let mut packet = last.clone();
        packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
        assert_eq!(opened(&mut theirs, &packet), Err(Refused::Forged));
    }
    assert_eq!(opened(&mut theirs, &last), Ok(rtp(999, 3)));
    assert_eq!(opened(&mut theirs, &last), Err(Refused::Replayed));
    assert!(format!("{theirs:?}").contains("16 sources"), "{theirs:?}");
}

#[test]
fn a_direction_whose_key_is_the_same_goes_on_and_one_whose_key_is_new_starts_anew() {
    let suite = Suite::Aes128CmSha1Tag80;
    let keys = |send: u64, receive: u64| Keys { suite, send: key(suite, send), receive: key(suite, receive) };
    let (mut ours, mut theirs) = pair(suite);
    let mut last = Vec::new();
    for n in 65_000..=65_535 {
        last = protected(&mut ours, 7, n);
        opened(&mut theirs, &last).unwrap();
    }
    ours.rekey(&keys(1, 2));
    theirs.rekey(&keys(2, 1));
    assert_eq!(opened(&mut theirs, &last), Err(Refused::Replayed), "what came before comes no second time");
    let after_wrap = protected(&mut ours, 7, 0);
    assert_eq!(opened(&mut theirs, &after_wrap), Ok(rtp(7, 0)), "the counter went on");
    assert_eq!(opened(&mut theirs, &after_wrap), Err(Refused::Replayed), "and so did the window");
    ours.rekey(&keys(3, 2));
    let anew = protected(&mut ours, 7, 1);
    assert_eq!(opened(&mut theirs, &anew), Err(Refused::Forged), "not known yet");
    theirs.rekey(&keys(2, 3));
    assert_eq!(opened(&mut theirs, &anew), Ok(rtp(7, 1)), "its counter is zero again");
    assert_eq!(opened(&mut theirs, &after_wrap), Err(Refused::Forged), "of the old key");
}

/// Header extensions and contributing sources stay clear, and are told apart from the payload.
#[test]
fn long_headers() {
    let extended = hex("9080 0001 000000a0 00000007 bede0001 10ff0000 0102030405060708");
    let contributed = hex("8280 0001 000000a0 00000007 00000001 00000002 0102030405060708");
    for (packet, header) in [(extended, 20), (contributed, 20)] {
        for suite in Suite::ALL {
            let (mut ours, mut theirs) = pair(suite);
            let mut sent = packet.clone();
            ours.protect_rtp(&mut sent).unwrap();
            assert_eq!(sent[..header], packet[..header], "{suite:?}");
            assert_ne!(sent[header..header + 8], packet[header..], "{suite:?}");
            assert_eq!(opened(&mut theirs, &sent), Ok(packet.clone()));
        }
    }
}

/// The library returns each packet in memory of its own: two small blocks at most, given back at once. Ours is used
/// again.
#[test]
fn what_a_packet_asks_of_the_allocator() {
    for suite in Suite::ALL {
        let (mut ours, mut theirs) = pair(suite);
        let (mut clear, mut most) = (Vec::new(), [0; 2]);
        for n in 0..1_000 {
            let mut packet = rtp(7, n);
            packet.reserve(64);
            let before = ASKED.get();
            ours.protect_rtp(&mut packet).unwrap();
            let between = ASKED.get();
            theirs.unprotect_rtp(&packet, &mut clear).unwrap();
            if n > 10 {
                most = [most[0].max(between - before), most[1].max(ASKED.get() - between)];
            }
        }
        assert!(most[0] <= 2 && most[1] <= 2, "{suite:?}: {most:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_datagram_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), first in 0x80_u8..0xc0, cut in 0_usize..190) {
        for suite in Suite::ALL {
            let (mut ours, mut theirs) = pair(suite);
            let packet = protected(&mut ours, 7, 1);
            prop_assert!(opened(&mut theirs, &packet).is_ok());
            let mut mixed = bytes.clone();
            if let Some(octet) = mixed.first_mut() {
                *octet = first;
            }
            let mut spliced = packet[..cut.min(packet.len())].to_vec();
            spliced.extend_from_slice(&bytes);
            for datagram in [&mixed, &spliced] {
                prop_assert!(opened(&mut theirs, datagram).is_err());
                prop_assert!(opened_rtcp(&mut theirs, datagram).is_err());
            }
        }
    }
}

// --- Engines

pub const SECOND: Duration = Duration::from_secs(1);

#[test]
fn two_phones_talk_encrypted_and_nothing_is_clear() {
    for suite in Suite::ALL {
        let mut world = World::new(suite);
        // Losses, repetitions and packets in disorder.
        world.network = |_, count, datagram| match count % 10 {
            3 => vec![],
            6 => vec![datagram.clone(), datagram],
            _ => vec![datagram],
        };
        world.run(8 * SECOND);
        assert!(world.hears(0) && world.hears(1), "{suite:?}");
        for n in 0..2 {
            let (report, sent) = (world.report(n), &world.sides[n].sent);
            assert_eq!((report.receive.forged, report.receive.foreign, report.receive.malformed), (0, 0, 0));
            assert!(report.receive.replayed > 20 && report.remote.is_some(), "{suite:?} {report:?}");
            let Some(Keying::Sdes(peer)) = &world.sides[1 - n].spec.srtp else { panic!("no keys") };
            let mut reader = Protection::new(peer);
            for datagram in sent {
                let ok = match datagram.component {
                    Component::Rtp => opened(&mut reader, &datagram.bytes).map(|clear| {
                        assert_eq!(clear.len(), 172);
                        assert_ne!(clear[12..], datagram.bytes[12..172], "the sound is hidden");
                    }),
                    Component::Rtcp => opened_rtcp(&mut reader, &datagram.bytes).map(|_| ()),
                };
                assert_eq!(ok, Ok(()), "{suite:?}");
            }
        }
    }
}

#[test]
fn forged_replayed_and_clear_packets_change_nothing_and_are_counted() {
    let mut world = World::new(Suite::AeadAes256Gcm);
    world.run(2 * SECOND);
    let peer = world.sides[1].address;
    let stranger: SocketAddr = "203.0.113.9:5000".parse().unwrap();
    let genuine = world.sides[1].sent.iter().rfind(|d| d.component == Component::Rtp).unwrap().bytes.clone();
    let before = world.report(0).clone();
    let mut forged = genuine.clone();
    forged[40] ^= 0x55;
    for source in [peer, stranger] {
        world.give(0, Component::Rtp, source, &forged);
        world.give(0, Component::Rtp, source, &rtp(9, 1));
        world.give(0, Component::Rtp, source, &rtcp(9));
        world.give(0, Component::Rtcp, SocketAddr::new(source.ip(), 4001), &rtcp(9));
        world.give(0, Component::Rtp, source, &genuine[..13]);
        world.give(0, Component::Rtp, source, &genuine);
    }
    world.run(2 * SECOND);
    let after = world.report(0);
    // What repeats an index is not looked at any further, authentic or not.
    assert_eq!(after.receive.forged - before.receive.forged, 8);
    assert_eq!(after.receive.replayed - before.receive.replayed, 4);
    assert_eq!((after.receive.source, after.send.destination), (Some(peer), Some(peer)), "the latch did not move");
    assert_eq!((after.receive.ssrc, after.receive.ssrc_changes), (before.receive.ssrc, 0));
    assert!(world.hears(0) && world.hears(1));
}

/// An authentic packet from another address moves the latch at once: the peer's address changed.
#[test]
fn the_latch_follows_what_is_authentic() {
    let mut world = World::new(Suite::Aes128CmSha1Tag80);
    world.run(2 * SECOND);
    world.network = |n, _, datagram| if n == 1 { vec![] } else { vec![datagram] };
    world.run(SECOND / 10);
    let moved: SocketAddr = "198.51.100.7:61000".parse().unwrap();
    let latest = world.sides[1].sent.iter().rfind(|d| d.component == Component::Rtp).unwrap().bytes.clone();
    world.give(0, Component::Rtp, moved, &latest);
    world.run(SECOND / 10);
    let last = world.sides[0].sent.iter().rfind(|d| d.component == Component::Rtp).unwrap();
    assert_eq!(last.destination, moved);
}

#[test]
fn a_hold_keeps_the_counters_and_new_keys_start_anew() {
    let suite = Suite::Aes128CmSha1Tag80;
    let mut world = World::new(suite);
    world.run(2 * SECOND);
    for direction in [Direction::SendOnly, Direction::SendRecv] {
        for n in 0..2 {
            let mirrored = if n == 1 && direction == Direction::SendOnly { Direction::RecvOnly } else { direction };
            world.sides[n].spec.direction = mirrored;
            world.sides[n].spec.generation += 1;
            world.configure(n);
        }
        world.run(2 * SECOND);
    }
    assert!(world.hears(0) && world.hears(1));
    assert_eq!((world.report(0).receive.forged, world.report(1).receive.forged), (0, 0));
    let new = |a, b| Some(Keying::Sdes(Keys { suite, send: key(suite, a), receive: key(suite, b) }));
    (world.sides[0].spec.srtp, world.sides[1].spec.srtp) = (new(11, 12), new(12, 11));
    for n in 0..2 {
        world.sides[n].spec.generation += 1;
        world.configure(n);
    }
    world.run(2 * SECOND);
    assert!(world.hears(0) && world.hears(1));
    // What was under way with the old key when the new one came.
    assert!(world.report(0).receive.forged + world.report(1).receive.forged < 5);
}

#[test]
fn another_source_under_the_same_key_is_heard() {
    let mut world = World::new(Suite::Aes128CmSha1Tag80);
    world.run(2 * SECOND);
    // The other side restarts with its key: another SSRC, another sequence.
    let (now, address) = (world.now, world.sides[1].address);
    let mut engine = Engine::new(WallAnchor::new(now, SystemTime::UNIX_EPOCH), Rng::from_u64(77));
    engine.handle_opened(now, STREAM, address, address);
    engine.handle_command(now, MediaCommand::Focus { streams: vec![STREAM] });
    world.sides[1].engine = engine;
    world.configure(1);
    world.run(2 * SECOND);
    assert!(world.hears(0) && world.hears(1));
    assert_eq!(world.report(0).receive.ssrc_changes, 1);
}
