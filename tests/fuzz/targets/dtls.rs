//! Any datagrams, alone and among those of a true handshake: neither end panics, answers without end, nor agrees on keys that
//! the other does not have (RFC 6347, RFC 5764).
#![no_main]
use libfuzzer_sys::fuzz_target;
use offhook::media::dtls::association::{Association, Event, Role};
use offhook::media::dtls::certificate::Certificate;
use offhook::media::srtp::sdes::Keys;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// More than any handshake takes, repeated flights among it.
const MOST_DATAGRAMS: usize = 2_000;

fn certificates() -> &'static [Certificate; 2] {
    static CERTIFICATES: OnceLock<[Certificate; 2]> = OnceLock::new();
    CERTIFICATES.get_or_init(|| [(); 2].map(|()| Certificate::generate().expect("random")))
}

fuzz_target!(|data: &[u8]| {
    let certificates = certificates();
    let mut now = Instant::now();
    let mut ends = [(Role::Client, 0), (Role::Server, 1)].map(|(role, n)| {
        let told = [certificates[1 - n].fingerprint().clone()];
        Association::new(now, role, &certificates[n], told.into())
    });
    let mut keys: [Option<Box<Keys>>; 2] = [None, None];
    let (mut data, mut sent) = (data.iter().copied(), 0);
    let mut next = || data.next();
    for _ in 0..64 {
        for n in [0, 1] {
            while let Some(mut datagram) = ends[n].poll_transmit() {
                sent += 1;
                assert!(sent < MOST_DATAGRAMS, "they answer each other without end");
                match next().map(|op| op % 8) {
                    Some(1) => continue,
                    Some(2) => ends[1 - n].handle_datagram(now, &datagram.clone()),
                    // A byte of it is another one.
                    Some(3) => {
                        let at = usize::from(next().unwrap_or(0)) << 8 | usize::from(next().unwrap_or(0));
                        let length = datagram.len();
                        datagram[at % length] ^= next().unwrap_or(1);
                    }
                    Some(4) => datagram.truncate(usize::from(next().unwrap_or(0))),
                    // A stranger's comes first.
                    Some(5) => {
                        let length = usize::from(next().unwrap_or(0));
                        let strange: Vec<u8> = (0..length).map_while(|_| next()).collect();
                        ends[1 - n].handle_datagram(now, &strange);
                    }
                    _ => {}
                }
                ends[1 - n].handle_datagram(now, &datagram);
            }
            while let Some(event) = ends[n].poll_event() {
                if let Event::Secured(agreed) = event {
                    assert!(keys[n].replace(agreed).is_none(), "secured twice");
                }
            }
        }
        now += Duration::from_millis(u64::from(next().unwrap_or(200)) * 10);
        ends.iter_mut().for_each(|end| end.handle_timeout(now));
    }
    if let [Some(client), Some(server)] = &keys {
        assert_eq!(client.suite, server.suite);
        assert!(client.send == server.receive && client.receive == server.send, "they agreed on different keys");
    }
});
