use super::*;
use crate::media::dtls::fingerprint::Hash;

/// Two ends, and what lies between them.
struct Pair {
    now: Instant,
    ends: [Association; 2],
    events: [Vec<Event>; 2],
    /// Numbers of the datagrams, over both directions, that are lost.
    lost: Vec<usize>,
    sent: usize,
}

fn certificates() -> [Certificate; 2] {
    [Certificate::generate().expect("random"), Certificate::generate().expect("random")]
}

fn told(certificate: &Certificate) -> Arc<[Fingerprint]> {
    [certificate.fingerprint().clone()].into()
}

impl Pair {
    fn new(told: impl Fn(&[Certificate; 2]) -> [Arc<[Fingerprint]>; 2]) -> Self {
        let (now, certificates) = (Instant::now(), certificates());
        let [a, b] = told(&certificates);
        let ends = [
            Association::new(now, Role::Client, &certificates[0], a),
            Association::new(now, Role::Server, &certificates[1], b),
        ];
        Self { now, ends, events: [Vec::new(), Vec::new()], lost: Vec::new(), sent: 0 }
    }

    fn honest() -> Self {
        Self::new(|i| [told(&i[1]), told(&i[0])])
    }

    /// Delivers all at once, then lets time pass, until nothing happens any more.
    fn run(&mut self) {
        for _ in 0..200 {
            while self.deliver() {}
            let Some(next) = self.ends.iter().filter_map(Association::poll_timeout).min() else { return };
            self.now = next;
            let now = self.now;
            self.ends.iter_mut().for_each(|end| end.handle_timeout(now));
        }
    }

    fn deliver(&mut self) -> bool {
        let mut moved = false;
        for n in [0, 1] {
            while let Some(bytes) = self.ends[n].poll_transmit() {
                self.sent += 1;
                moved = true;
                if !self.lost.contains(&self.sent) {
                    self.ends[1 - n].handle_datagram(self.now, &bytes);
                }
            }
            while let Some(event) = self.ends[n].poll_event() {
                self.events[n].push(event);
            }
        }
        moved
    }

    fn keys(&self) -> [&Keys; 2] {
        [0, 1].map(|n| match self.events[n].as_slice() {
            [Event::Secured(keys)] => &**keys,
            other => panic!("end {n} without {:?}: {other:?}", self.lost),
        })
    }

    fn failures(&self) -> [Option<&Failure>; 2] {
        [0, 1].map(|n| match self.events[n].as_slice() {
            [] => None,
            [Event::Failed(failure)] => Some(failure),
            other => panic!("end {n}: {other:?}"),
        })
    }
}

/// While there is no way to the peer our hello waits, once; when it is on its way it is repeated as ever.
#[test]
fn what_waits_is_not_repeated() {
    let mut pair = Pair::honest();
    let client = &mut pair.ends[0];
    for waits in [10, 1, 1] {
        for _ in 0..waits {
            pair.now = client.poll_timeout().expect("it is not over");
            client.handle_timeout(pair.now);
        }
        assert_eq!(std::iter::from_fn(|| client.poll_transmit()).count(), 1, "after {waits}");
    }
}

#[test]
fn both_ends_get_the_same_keys() {
    let mut pair = Pair::honest();
    let begin = pair.now;
    pair.run();
    let [client, server] = pair.keys();
    assert_eq!(client.suite, Suite::AeadAes256Gcm);
    assert_eq!((&client.send, &client.receive), (&server.receive, &server.send));
    assert_ne!(client.send, client.receive);
    assert_eq!(pair.now, begin, "no timer was needed");
    assert_eq!(pair.sent, 6, "three journeys there and back");
    let mut another = Pair::honest();
    another.run();
    assert_ne!(another.keys()[0].send, client.send);
}

#[test]
fn any_one_datagram_may_be_lost_and_a_third_of_all() {
    let mut rows: Vec<Vec<usize>> = (1..=6).map(|n| vec![n]).collect();
    rows.extend([(1..40).step_by(3).collect(), vec![2, 3, 4, 5], (1..=7).collect()]);
    for lost in rows {
        let mut pair = Pair::honest();
        pair.lost = lost.clone();
        pair.run();
        let [client, server] = pair.keys();
        assert_eq!((&client.send, &client.receive), (&server.receive, &server.send), "{lost:?}");
    }
}

#[test]
fn a_certificate_that_was_not_told_of_is_the_end() {
    let other = Fingerprint::of(Hash::Sha256, b"somebody else");
    let weak = Fingerprint::of(Hash::Sha512, b"of another hash");
    type Told<'a> = Box<dyn Fn(&[Certificate; 2]) -> [Arc<[Fingerprint]>; 2] + 'a>;
    let rows: [(&str, Told<'_>, [bool; 2]); 4] = [
        ("the server's", Box::new(|i| [[other.clone()].into(), told(&i[0])]), [true, false]),
        ("the client's", Box::new(|i| [told(&i[1]), [other.clone()].into()]), [false, true]),
        ("none was told of", Box::new(|i| [told(&i[1]), [].into()]), [false, true]),
        (
            "the stronger hash counts",
            Box::new(|i| [[i[1].fingerprint().clone(), weak.clone()].into(), told(&i[0])]),
            [true, false],
        ),
    ];
    for (what, fingerprints, suspicious) in rows {
        let mut pair = Pair::new(fingerprints);
        pair.run();
        for (n, suspicious) in suspicious.into_iter().enumerate() {
            let failure = pair.failures()[n].unwrap_or_else(|| panic!("{what}: end {n} has not failed"));
            match suspicious {
                true => assert_eq!(*failure, Failure::Impostor, "{what}"),
                false => assert!(matches!(failure, Failure::Alert(_) | Failure::Timeout), "{what}: {failure:?}"),
            }
        }
    }
}

#[test]
fn nobody_there() {
    for role in [0, 1] {
        let mut pair = Pair::honest();
        pair.lost = (1..1000).collect();
        let begin = pair.now;
        pair.run();
        assert_eq!(pair.failures()[role], Some(&Failure::Timeout));
        assert!(pair.now - begin <= PATIENCE);
        assert!((7..=10).contains(&pair.sent), "{}", pair.sent);
    }
}

#[test]
fn what_is_secured_stays_so() {
    let mut pair = Pair::honest();
    pair.run();
    let alert = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 99, 0, 2, 2, 40];
    let closing = [21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 98, 0, 2, 1, 0];
    let sealed = [21, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40];
    for n in [0, 1] {
        for bytes in [alert.as_slice(), &closing, &sealed, &[22, 0xfe], &[20; 40], &[]] {
            pair.ends[n].handle_datagram(pair.now, bytes);
        }
        assert!(pair.ends[n].is_secured() && pair.ends[n].poll_event().is_none());
        assert_eq!(pair.ends[n].poll_timeout(), None);
    }
    // A hello within the association: neither the keys nor the peer hear of it.
    let mut again = Pair::honest();
    let hello = again.ends[0].poll_transmit().expect("hello");
    while pair.ends[1].poll_transmit().is_some() {}
    for _ in 0..1_000 {
        pair.ends[1].handle_datagram(pair.now, &hello);
    }
    assert!(pair.ends[1].is_secured() && pair.ends[1].poll_event().is_none());
    let answers = std::iter::from_fn(|| pair.ends[1].poll_transmit()).count();
    assert!(answers <= 8, "{answers} datagrams for a thousand hellos");
}

#[test]
fn a_flood_ends_the_handshake_and_costs_little() {
    let mut pair = Pair::honest();
    let hello = pair.ends[0].poll_transmit().expect("hello");
    let mut answers = 0;
    for _ in 0..10_000 {
        pair.ends[1].handle_datagram(pair.now, &hello);
        answers += std::iter::from_fn(|| pair.ends[1].poll_transmit()).count();
    }
    assert!(matches!(pair.ends[1].poll_event(), Some(Event::Failed(Failure::Flood))));
    assert!(answers <= 400, "{answers}");
    assert!(pair.ends[1].poll_event().is_none() && pair.ends[1].poll_timeout().is_none());
}

#[test]
fn an_alert_in_the_handshake_is_told_in_words() {
    let mut pair = Pair::honest();
    pair.ends[0].handle_datagram(pair.now, &[21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 2, 70]);
    let Some(Event::Failed(failure)) = pair.ends[0].poll_event() else { panic!("no failure") };
    assert_eq!(failure.to_string(), "the peer broke off the DTLS handshake: another version of DTLS is wanted");
}
