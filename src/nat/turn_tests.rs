//! A client and a server that does as each row says, in virtual time.
use super::*;

const USER: &str = "anna";
const PASSWORD: &str = "secret";

fn at(text: &str) -> SocketAddr {
    text.parse().expect("address")
}

fn relayed() -> SocketAddr {
    at("203.0.113.1:50000")
}

/// What the server answers with.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Fair,
    /// This to what is authenticated.
    Status(u16),
    /// A new nonce each time.
    Stale,
    Silent,
    /// Allocations end after this many seconds.
    Short(u32),
    /// The first Allocate finds an old allocation.
    Occupied,
    /// Its answers are made with another password.
    Forged,
}

struct Bench {
    start: Instant,
    now: Instant,
    client: Client,
    mood: Mood,
    nonces: u32,
    nonce: String,
    requests: Vec<(Method, bool)>,
    relayed_to: Vec<(SocketAddr, Vec<u8>)>,
    channels: u32,
}

impl Bench {
    fn new(mood: Mood, password: &str, streamed: bool) -> Self {
        let start = Instant::now();
        let client = Client::new(start, USER, &Secret::new(password), streamed, false, Rng::from_u64(5));
        let (nonce, requests) = ("n0".to_owned(), Vec::new());
        Self { start, now: start, client, mood, nonces: 0, nonce, requests, relayed_to: Vec::new(), channels: 0 }
    }

    fn key(password: &str) -> Vec<u8> {
        Md5::digest(format!("{USER}:realm:{password}")).to_vec()
    }

    fn challenge(&mut self, request: &Message<'_>, code: u16) -> Vec<u8> {
        self.nonces += 1;
        self.nonce = format!("n{}", self.nonces);
        Builder::new(Class::Error, request.method, request.id)
            .error(code, "")
            .attribute(attribute::REALM, b"realm")
            .attribute(attribute::NONCE, self.nonce.as_bytes())
            .finish()
    }

    fn serve(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        if bytes.first().is_some_and(|first| *first >= 0x40) {
            self.channels += 1;
            return None;
        }
        let request = Message::parse(bytes).expect("STUN");
        if request.class == Class::Indication {
            let peer = request.xor_address(attribute::XOR_PEER_ADDRESS).expect("peer");
            self.relayed_to.push((peer, request.attribute(attribute::DATA).expect("data").to_vec()));
            return None;
        }
        self.requests.push((request.method, request.has_integrity()));
        let key = Self::key(PASSWORD);
        match self.mood {
            Mood::Silent => return None,
            _ if !request.has_integrity() => return Some(self.challenge(&request, 401)),
            _ if !request.is_authentic(&key) => return Some(self.challenge(&request, 401)),
            Mood::Stale => return Some(self.challenge(&request, 438)),
            _ if request.text(attribute::NONCE) != Some(&self.nonce) => return Some(self.challenge(&request, 438)),
            Mood::Status(code) => {
                let refusal = Builder::new(Class::Error, request.method, request.id).error(code, "");
                return Some(refusal.integrity(&key).finish());
            }
            Mood::Occupied if request.method == Method::Allocate => {
                let refusal = Builder::new(Class::Error, request.method, request.id).error(437, "");
                return Some(refusal.integrity(&key).finish());
            }
            Mood::Occupied => self.mood = Mood::Fair,
            Mood::Fair | Mood::Short(_) | Mood::Forged => {}
        }
        let lifetime = match self.mood {
            Mood::Short(seconds) => seconds,
            _ => 600,
        };
        let mut answer = Builder::new(Class::Success, request.method, request.id);
        if request.method == Method::Allocate {
            answer = answer
                .xor_address(attribute::XOR_RELAYED_ADDRESS, relayed())
                .xor_address(attribute::XOR_MAPPED_ADDRESS, at("198.51.100.9:4444"));
        }
        let key = if self.mood == Mood::Forged { Self::key("guessed") } else { key };
        Some(answer.attribute(attribute::LIFETIME, &lifetime.to_be_bytes()).integrity(&key).fingerprint().finish())
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            while let Some(bytes) = self.client.poll_transmit() {
                if let Some(answer) = self.serve(&bytes) {
                    self.client.handle_input(self.now, &answer);
                }
            }
            let Some(next) = self.client.poll_timeout().filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            self.client.handle_timeout(self.now);
        }
        self.now = end;
    }

    fn event(&mut self) -> Option<Event> {
        self.client.poll_event()
    }
}

#[test]
fn servers_that_do_not_help_and_how_often_they_are_asked() {
    // Mood, password, what is told, requests until then at most.
    let rows = [
        (Mood::Fair, "wrong", TurnError::Credentials, 2),
        (Mood::Status(403), PASSWORD, TurnError::Forbidden, 2),
        (Mood::Status(437), PASSWORD, TurnError::Mismatch, 4),
        (Mood::Status(440), PASSWORD, TurnError::Family, 2),
        (Mood::Status(441), PASSWORD, TurnError::Credentials, 2),
        (Mood::Status(442), PASSWORD, TurnError::Transport, 2),
        (Mood::Status(486), PASSWORD, TurnError::Quota, 2),
        (Mood::Status(508), PASSWORD, TurnError::Capacity, 2),
        (Mood::Status(300), PASSWORD, TurnError::Alternate, 2),
        (Mood::Status(500), PASSWORD, TurnError::Status(500), 2),
        (Mood::Stale, PASSWORD, TurnError::Stale, 5),
        (Mood::Silent, PASSWORD, TurnError::Silent, 7),
        // What is not proven to be the server's is as good as silence.
        (Mood::Forged, PASSWORD, TurnError::Silent, 8),
    ];
    for (mood, password, error, requests) in rows {
        for streamed in [false, true] {
            let mut bench = Bench::new(mood, password, streamed);
            bench.run(Duration::from_secs(120));
            assert_eq!(bench.event(), Some(Event::Failed(error.clone())), "{error}");
            assert_eq!(bench.event(), None, "{error}");
            assert!(bench.requests.len() <= requests, "{error}: {}", bench.requests.len());
            assert_eq!(bench.client.poll_timeout(), None, "{error}");
        }
    }
}

#[test]
fn an_allocation_is_kept_as_long_as_it_is_needed() {
    for streamed in [false, true] {
        let mut bench = Bench::new(Mood::Short(20), PASSWORD, streamed);
        bench.run(Duration::from_secs(1));
        let mapped = at("198.51.100.9:4444");
        assert_eq!(bench.event(), Some(Event::Allocated { relayed: relayed(), mapped }));
        let peer = at("192.0.2.7:700");
        bench.client.permit(bench.now, peer.ip());
        bench.client.bind(bench.now, peer);
        bench.run(Duration::from_secs(1_300));
        let count = |method| bench.requests.iter().filter(|(m, _)| *m == method).count();
        // Half the life of the allocation; 240 s of permissions, 540 s of channels.
        assert!((125..=135).contains(&count(Method::Refresh)), "{}", count(Method::Refresh));
        assert_eq!((count(Method::CreatePermission), count(Method::ChannelBind)), (6, 3));
        assert_eq!(bench.event(), None);
        // The server forgot the allocation.
        bench.mood = Mood::Status(437);
        bench.run(Duration::from_secs(30));
        assert_eq!(bench.event(), Some(Event::Failed(TurnError::Mismatch)));
    }
}

#[test]
fn a_nonce_that_expired_and_an_allocation_that_was_left_behind() {
    let mut bench = Bench::new(Mood::Fair, PASSWORD, false);
    bench.run(Duration::from_secs(1));
    bench.nonce = "changed".to_owned();
    bench.run(Duration::from_secs(600));
    assert_eq!(bench.client.relayed(), Some(relayed()));
    let mut bench = Bench::new(Mood::Occupied, PASSWORD, false);
    bench.run(Duration::from_secs(1));
    let methods: Vec<Method> = bench.requests.iter().map(|(method, _)| *method).collect();
    assert_eq!(methods, [Method::Allocate, Method::Allocate, Method::Refresh, Method::Allocate]);
    assert_eq!(bench.client.relayed(), Some(relayed()));
}

#[test]
fn what_is_sent_first_waits_for_the_permission_and_later_goes_by_the_channel() {
    let mut bench = Bench::new(Mood::Fair, PASSWORD, false);
    let peer = at("192.0.2.7:700");
    bench.client.send(bench.now, peer, b"too early");
    bench.run(Duration::from_secs(1));
    bench.client.send(bench.now, peer, b"one");
    bench.client.send(bench.now, at("[2001:db8::1]:9"), b"another family");
    bench.run(Duration::from_secs(1));
    assert_eq!(bench.relayed_to, [(peer, b"one".to_vec())]);
    bench.client.bind(bench.now, peer);
    bench.run(Duration::from_secs(1));
    bench.client.send(bench.now, peer, b"two");
    bench.run(Duration::from_secs(1));
    assert_eq!((bench.relayed_to.len(), bench.channels), (1, 1));
    // Who is not permitted yet does not fill our memory.
    for _ in 0..10 * MOST_HELD {
        bench.client.send(bench.now, at("192.0.2.8:800"), b"held");
    }
    assert_eq!(bench.client.held.len(), MOST_HELD);
}

#[test]
fn what_comes_from_peers() {
    for streamed in [false, true] {
        let mut bench = Bench::new(Mood::Fair, PASSWORD, streamed);
        let peer = at("192.0.2.7:700");
        bench.run(Duration::from_secs(1));
        bench.client.bind(bench.now, peer);
        bench.client.permit(bench.now, peer.ip());
        bench.run(Duration::from_secs(1));
        let indication = |from: SocketAddr| {
            Builder::new(Class::Indication, Method::Data, TransactionId([1; 12]))
                .xor_address(attribute::XOR_PEER_ADDRESS, from)
                .attribute(attribute::DATA, b"abc")
                .finish()
        };
        let mut all = indication(at("198.51.100.66:1"));
        all.extend(indication(at("192.0.2.7:701")));
        let parts: Vec<Vec<u8>> = if streamed {
            // Padded, and in pieces of any length.
            all.extend([0x40, 0, 0, 3, b'x', b'y', b'z', 0]);
            all.chunks(5).map(<[u8]>::to_vec).collect()
        } else {
            vec![
                indication(at("198.51.100.66:1")),
                indication(at("192.0.2.7:701")),
                vec![0x40, 0, 0, 3, b'x', b'y', b'z'],
                vec![0x40, 1, 0, 1, b'?'],
                vec![0x40, 0, 0, 200, b'?'],
                vec![0x40],
            ]
        };
        parts.iter().for_each(|part| bench.client.handle_input(bench.now, part));
        let heard: Vec<_> = std::iter::from_fn(|| bench.client.poll_data()).collect();
        assert_eq!(heard, [(at("192.0.2.7:701"), b"abc".to_vec()), (peer, b"xyz".to_vec())]);
        assert!(bench.now > bench.start);
    }
}

#[test]
fn a_stream_of_noise_ends_it() {
    for noise in [vec![0xff; 100], vec![0; MOST_BUFFERED + 1]] {
        let mut bench = Bench::new(Mood::Fair, PASSWORD, true);
        bench.run(Duration::from_secs(1));
        bench.event();
        bench.client.handle_input(bench.now, &noise);
        assert_eq!(bench.event(), Some(Event::Failed(TurnError::Garbled)));
    }
}
