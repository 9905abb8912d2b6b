//! What encryption costs: a packet of sound beside the library's own time for it, and a whole DTLS handshake.
//!
//! `cargo bench --bench srtp` prints both and fails when a packet takes more than half as long again, or a handshake of one
//! side more than a tick of the media thread bears.
#![allow(clippy::print_stdout)]

use offhook::base::rng::Rng;
use offhook::media::dtls::association::{Association, Event, Role};
use offhook::media::dtls::certificate::Certificate;
use offhook::media::srtp::context::Protection;
use offhook::media::srtp::sdes::{Keys, MasterKey, Suite};
use rtc_srtp::context::Context;
use rtc_srtp::crypto::providers::RingCrypto;
use rtc_srtp::option::srtp_replay_protection;
use rtc_srtp::protection_profile::ProtectionProfile;
use std::hint::black_box;
use std::time::Instant;

#[path = "clock.rs"]
mod clock;

use clock::busy;

/// Beside the library's own.
const MOST: f64 = 1.5;
/// All the arithmetic of one side [s].
const MOST_HANDSHAKE: f64 = 0.002;
const PACKETS: u16 = 200;

/// Twenty milliseconds of PCMU.
fn packet(sequence: u16) -> Vec<u8> {
    let [high, low] = sequence.to_be_bytes();
    [[0x80, 0, high, low, 0, 0, 0, 160, 1, 2, 3, 4].as_slice(), &[0x55; 160]].concat()
}

fn context(keys: &MasterKey, suite: Suite, profile: ProtectionProfile) -> Context {
    let (key, salt) = keys.split(suite);
    Context::new(key, salt, profile, Some(srtp_replay_protection(256)), None, &RingCrypto).expect("a context")
}

/// Protecting and reading [s a packet]: ours, and the library's.
fn cost(suite: Suite, profile: ProtectionProfile) -> [f64; 2] {
    let key = MasterKey::random(suite, &mut Rng::from_u64(1));
    let keys = Keys { suite, send: key.clone(), receive: key.clone() };
    let clear: Vec<Vec<u8>> = (1..=PACKETS).map(packet).collect();
    let mut best = [f64::INFINITY; 2];
    for _ in 0..200 {
        // Both begin anew, with their first packet behind them: a key schedule is not what a packet costs.
        let (mut ours, mut reader) = (Protection::new(&keys), Protection::new(&keys));
        let (mut theirs, mut opener) = (context(&key, suite, profile), context(&key, suite, profile));
        let (mut bytes, mut opened) = (packet(0), Vec::new());
        ours.protect_rtp(&mut bytes).expect("protected");
        reader.unprotect_rtp(&bytes, &mut opened).expect("authentic");
        let first = theirs.encrypt_rtp(&packet(0)).expect("protected");
        black_box(opener.decrypt_rtp(&first).expect("authentic"));

        let start = busy();
        for clear in &clear {
            bytes.clear();
            bytes.extend_from_slice(clear);
            ours.protect_rtp(&mut bytes).expect("protected");
            reader.unprotect_rtp(black_box(&bytes), &mut opened).expect("authentic");
            black_box(&opened);
        }
        best[0] = best[0].min((busy() - start) / f64::from(PACKETS));

        let start = busy();
        for clear in &clear {
            let sealed = theirs.encrypt_rtp(clear).expect("protected");
            black_box(opener.decrypt_rtp(black_box(&sealed)).expect("authentic"));
        }
        best[1] = best[1].min((busy() - start) / f64::from(PACKETS));
    }
    best
}

/// One handshake [s]: the client's part and the server's.
fn handshake(certificates: &[Certificate; 2]) -> [f64; 2] {
    let now = Instant::now();
    let mut spent = [0.0; 2];
    let mut timed = |n: usize, work: &mut dyn FnMut()| {
        let start = busy();
        work();
        spent[n] += busy() - start;
    };
    let mut ends = [Role::Client, Role::Server].map(|_| None);
    for (n, role) in [Role::Client, Role::Server].into_iter().enumerate() {
        let told = [certificates[1 - n].fingerprint().clone()];
        timed(n, &mut || ends[n] = Some(Association::new(now, role, &certificates[n], told.clone().into())));
    }
    let mut ends = ends.map(|end| end.expect("made"));
    let mut secured = 0;
    while secured < 2 {
        for n in [0, 1] {
            while let Some(datagram) = ends[n].poll_transmit() {
                let other = &mut ends[1 - n];
                timed(1 - n, &mut || other.handle_datagram(now, &datagram));
            }
        }
        for end in &mut ends {
            match end.poll_event() {
                Some(Event::Secured(_)) => secured += 1,
                Some(Event::Failed(failure)) => panic!("{failure}"),
                None => {}
            }
        }
    }
    spent
}

fn main() {
    // Cargo passes this when it only wants to know whether benches run.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let rows = [
        (Suite::Aes128CmSha1Tag80, ProtectionProfile::Aes128CmHmacSha1_80),
        (Suite::Aes256CmSha1Tag80, ProtectionProfile::Aes256CmHmacSha1_80),
        (Suite::AeadAes128Gcm, ProtectionProfile::AeadAes128Gcm),
        (Suite::AeadAes256Gcm, ProtectionProfile::AeadAes256Gcm),
    ];
    for (suite, profile) in rows {
        let [ours, library] = cost(suite, profile);
        let ratio = ours / library;
        let (ours, library) = (ours * 1e9, library * 1e9);
        println!(
            "{}: {ours:.0} ns to protect and read a packet, the library alone {library:.0}: {ratio:.2} times",
            suite.name()
        );
        assert!(ratio < MOST, "{} costs too much", suite.name());
    }
    let certificates = [(); 2].map(|()| Certificate::generate().expect("random"));
    let mut best = [f64::INFINITY; 2];
    for _ in 0..100 {
        for (best, spent) in best.iter_mut().zip(handshake(&certificates)) {
            *best = best.min(spent);
        }
    }
    println!("a DTLS handshake: {:.0} us for the client, {:.0} us for the server", best[0] * 1e6, best[1] * 1e6);
    assert!(best.iter().all(|spent| *spent < MOST_HANDSHAKE), "a handshake delays sound");
}
