//! For how long a NAT remembers who says nothing (RFC 4787 §4.3), found out as RFC 5780 §4.6 has it.
//!
//! ```text
//!   kept socket    Binding request ------------------------> server: our port from outside
//!                  .. says nothing for a while ..
//!   asking socket  Binding request, RESPONSE-PORT: that port -> server
//!   kept socket    <- an answer arrives: it is remembered ---- server
//! ```
//! Each silence that is tried has a kept socket of its own: the whole takes as long as the longest of them.
use crate::base::rng::Rng;
use crate::nat::stun::{Builder, Class, Message, Method, TransactionId, attribute};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const RTO: Duration = Duration::from_millis(250);
const SENDS: u8 = 4;

/// Which of our sockets: the one that asks, or a kept one by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Socket {
    Asking,
    Kept(usize),
}

/// One datagram to be sent to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    pub socket: Socket,
    pub bytes: Vec<u8>,
}

/// What was found out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The longest silence after which it still knew us.
    pub remembers: Option<Duration>,
    /// The shortest after which it did not.
    pub forgets: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The port is asked for.
    Opening,
    /// Nothing is said.
    Silent { port: u16 },
    /// The server was asked to answer to that port.
    Asked,
    /// Whether it was remembered; `None` where the server does not help.
    Over(Option<bool>),
}

#[derive(Debug)]
struct Trial {
    silence: Duration,
    step: Step,
    id: TransactionId,
    bytes: Vec<u8>,
    sends: u8,
    due: Instant,
}

/// The machine.
#[derive(Debug)]
pub struct Lifetime {
    rng: Rng,
    server: SocketAddr,
    trials: Vec<Trial>,
    out: VecDeque<Transmit>,
}

impl Lifetime {
    /// Begins at once.
    ///
    /// - `silences`: those to be tried; the kept sockets are numbered as they are.
    pub fn new(now: Instant, server: SocketAddr, silences: &[Duration], rng: Rng) -> Self {
        let mut lifetime = Self { rng, server, trials: Vec::new(), out: VecDeque::new() };
        for silence in silences {
            let id = TransactionId::new(&mut lifetime.rng);
            let bytes = Builder::new(Class::Request, Method::Binding, id).finish();
            lifetime.out.push_back(Transmit { socket: Socket::Kept(lifetime.trials.len()), bytes: bytes.clone() });
            let trial = Trial { silence: *silence, step: Step::Opening, id, bytes, sends: 1, due: now + RTO };
            lifetime.trials.push(trial);
        }
        lifetime
    }

    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.out.pop_front()
    }

    /// Never, when all is found out.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.trials.iter().filter(|trial| !matches!(trial.step, Step::Over(_))).map(|trial| trial.due).min()
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        for (number, trial) in self.trials.iter_mut().enumerate().filter(|(_, trial)| trial.due <= now) {
            let socket = match trial.step {
                Step::Over(_) => continue,
                Step::Silent { port } => {
                    trial.id = TransactionId::new(&mut self.rng);
                    let [high, low] = port.to_be_bytes();
                    trial.bytes = Builder::new(Class::Request, Method::Binding, trial.id)
                        .attribute(attribute::RESPONSE_PORT, &[high, low])
                        .finish();
                    (trial.step, trial.sends) = (Step::Asked, 0);
                    Socket::Asking
                }
                Step::Opening | Step::Asked if trial.sends >= SENDS => {
                    trial.step = Step::Over((trial.step == Step::Asked).then_some(false));
                    continue;
                }
                Step::Opening => Socket::Kept(number),
                Step::Asked => Socket::Asking,
            };
            trial.due = now + RTO * (1 << trial.sends);
            trial.sends += 1;
            self.out.push_back(Transmit { socket, bytes: trial.bytes.clone() });
        }
    }

    pub fn handle_datagram(&mut self, now: Instant, socket: Socket, from: SocketAddr, bytes: &[u8]) {
        let Ok(message) = Message::parse(bytes) else { return };
        if from != self.server || message.method != Method::Binding {
            return;
        }
        let Some(number) = self.trials.iter().position(|trial| trial.id == message.id) else { return };
        let Some(trial) = self.trials.get_mut(number) else { return };
        let succeeds = message.class == Class::Success;
        match (trial.step, socket) {
            (Step::Opening, Socket::Kept(own)) if own == number => {
                match message.mapped_address().filter(|_| succeeds) {
                    Some(mapped) => {
                        (trial.step, trial.due) = (Step::Silent { port: mapped.port() }, now + trial.silence);
                    }
                    None => trial.step = Step::Over(None),
                }
            }
            (Step::Asked, Socket::Kept(own)) if own == number && succeeds => trial.step = Step::Over(Some(true)),
            // The server does not know what it was asked, or does not care.
            (Step::Asked, Socket::Asking) => trial.step = Step::Over(None),
            (Step::Opening | Step::Silent { .. } | Step::Asked | Step::Over(_), _) => {}
        }
    }

    /// What is known by now.
    pub fn report(&self) -> Report {
        let silences = |remembered| {
            let fits = move |trial: &&Trial| trial.step == Step::Over(Some(remembered));
            self.trials.iter().filter(fits).map(|trial| trial.silence)
        };
        Report { remembers: silences(true).max(), forgets: silences(false).min() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Plays it with a NAT that forgets after so long.
    ///
    /// - `helps`: the server knows RESPONSE-PORT.
    fn play(forgets: Duration, helps: bool, lossy: bool) -> (Report, Duration) {
        let server: SocketAddr = "198.51.100.1:3478".parse().expect("an address");
        let start = Instant::now();
        let mut now = start;
        let mut machine = Lifetime::new(now, server, &[SECOND * 15, SECOND * 30, SECOND * 60], Rng::from_u64(3));
        let mut heard = [start; 3];
        let mut lost: Vec<Vec<u8>> = Vec::new();
        for _ in 0..200 {
            while let Some(Transmit { socket, bytes }) = machine.poll_transmit() {
                if lossy && !lost.contains(&bytes) {
                    lost.push(bytes);
                    continue;
                }
                let request = Message::parse(&bytes).expect("readable");
                let port = request.attribute(attribute::RESPONSE_PORT).filter(|_| helps);
                let to = match (socket, port) {
                    (Socket::Kept(number), _) => {
                        heard[number] = now;
                        Some(socket)
                    }
                    (Socket::Asking, None) => Some(socket),
                    (Socket::Asking, Some(port)) => {
                        let number = usize::from(port[1]);
                        (now - heard[number] < forgets).then_some(Socket::Kept(number))
                    }
                };
                let number = if let Socket::Kept(number) = socket { number } else { 0 };
                let seen = SocketAddr::from(([203, 0, 113, 9], 0x4000 + number as u16));
                let answer = Builder::new(Class::Success, Method::Binding, request.id)
                    .xor_address(attribute::XOR_MAPPED_ADDRESS, seen)
                    .finish();
                if let Some(to) = to {
                    machine.handle_datagram(now, to, server, &answer);
                }
            }
            let Some(next) = machine.poll_timeout() else { return (machine.report(), now - start) };
            now = next;
            machine.handle_timeout(now);
        }
        panic!("it does not end");
    }

    #[test]
    fn how_long_it_remembers() {
        let rows = [(5, None, Some(15)), (20, Some(15), Some(30)), (40, Some(30), Some(60)), (600, Some(60), None)];
        for (seconds, remembers, forgets) in rows {
            for lossy in [false, true] {
                let (report, took) = play(SECOND * seconds, true, lossy);
                let (remembers, forgets) = (remembers.map(|s| SECOND * s), forgets.map(|s| SECOND * s));
                assert_eq!(report, Report { remembers, forgets }, "{seconds}");
                assert!(took < SECOND * 66, "{took:?}");
            }
        }
    }

    #[test]
    fn a_server_that_does_not_help_says_nothing() {
        assert_eq!(play(SECOND * 5, false, false).0, Report::default());
    }

    #[test]
    fn strangers_are_not_believed() {
        let (now, server): (_, SocketAddr) = (Instant::now(), "198.51.100.1:3478".parse().expect("an address"));
        let mut machine = Lifetime::new(now, server, &[SECOND], Rng::from_u64(3));
        let Some(first) = machine.poll_transmit() else { panic!("it begins at once") };
        let id = Message::parse(&first.bytes).expect("readable").id;
        let answer = Builder::new(Class::Success, Method::Binding, id)
            .xor_address(attribute::XOR_MAPPED_ADDRESS, server)
            .finish();
        let stranger = "198.51.100.7:3478".parse().expect("an address");
        machine.handle_datagram(now, Socket::Kept(0), stranger, &answer);
        machine.handle_datagram(now, Socket::Kept(7), server, &answer);
        machine.handle_datagram(now, Socket::Kept(0), server, b"\x01\x01");
        assert_eq!(machine.poll_timeout(), Some(now + RTO));
        machine.handle_datagram(now, Socket::Kept(0), server, &answer);
        assert_eq!(machine.poll_timeout(), Some(now + SECOND));
    }
}
