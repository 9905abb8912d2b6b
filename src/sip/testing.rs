//! What tests of the SIP core share: messages in short, and a seeded link that loses, delays, reorders and doubles them.
use super::message::{Message, Method, Request, Response, parse};
use crate::base::net::{Flow, Received, Transmit, Transport};
use crate::base::rng::Rng;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub(crate) fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub(crate) fn address(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 5060))
}

/// A UDP flow from host `local` to host `remote` of 192.0.2.0/24.
pub(crate) fn udp(local: u8, remote: u8) -> Flow {
    Flow::new(Transport::Udp, address(local), address(remote))
}

pub(crate) fn tcp(local: u8, remote: u8) -> Flow {
    Flow { transport: Transport::Tcp, ..udp(local, remote) }
}

/// Lines become CRLF, a last empty line is added.
pub(crate) fn bytes(lines: &str) -> Bytes {
    format!("{}\r\n\r\n", lines.trim().lines().map(str::trim).collect::<Vec<_>>().join("\r\n")).into()
}

pub(crate) fn message(lines: &str) -> Message {
    parse(&bytes(lines)).expect("a well-formed message")
}

pub(crate) fn request(lines: &str) -> Request {
    match message(lines) {
        Message::Request(request) => request,
        Message::Response(_) => panic!("not a request: {lines}"),
    }
}

pub(crate) fn as_request(bytes: &Bytes) -> Option<Request> {
    match parse(bytes) {
        Ok(Message::Request(request)) => Some(request),
        _ => None,
    }
}

pub(crate) fn as_response(bytes: &Bytes) -> Option<Response> {
    match parse(bytes) {
        Ok(Message::Response(response)) => Some(response),
        _ => None,
    }
}

/// The start line in short: a method, or a status with the method it answers.
pub(crate) fn label(bytes: &Bytes) -> String {
    match parse(bytes) {
        Ok(Message::Request(request)) => request.method.to_string(),
        Ok(Message::Response(response)) => {
            let method = response.headers.cseq().map_or(Method::from("?"), |cseq| cseq.method);
            format!("{} {method}", response.status)
        }
        Err(error) => format!("{error}"),
    }
}

/// One end of a [`Pair`].
pub(crate) trait Node {
    fn receive(&mut self, now: Instant, received: Received);
    fn timeout(&mut self, now: Instant);
    fn poll_transmit(&mut self) -> Option<Transmit>;
    fn poll_timeout(&self) -> Option<Instant>;
}

/// What the link does to each message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// Probability of loss, `0.0..=1.0`.
    pub loss: f64,
    /// Probability that it arrives twice.
    pub doubled: f64,
    /// Each delay is drawn from `0..=delay` \[ms\], so that messages overtake each other.
    pub delay: u32,
}

impl Link {
    pub const PERFECT: Self = Self { loss: 0.0, doubled: 0.0, delay: 0 };
}

/// Two nodes, hosts 1 and 2, and the link between them, in virtual time.
pub(crate) struct Pair<N> {
    pub now: Instant,
    pub nodes: [N; 2],
    pub link: Link,
    /// Every message that was sent: by which node, and its label.
    pub ladder: Vec<(usize, String)>,
    rng: Rng,
    count: u64,
    in_flight: BTreeMap<(Instant, u64), (usize, Received)>,
}

impl<N: Node> Pair<N> {
    pub fn new(now: Instant, nodes: [N; 2], link: Link, seed: u64) -> Self {
        let rng = Rng::from_u64(seed);
        Self { now, nodes, link, ladder: Vec::new(), rng, count: 0, in_flight: BTreeMap::new() }
    }

    /// Runs for this long; what was done before it is sent first.
    pub fn run(&mut self, duration: Duration) {
        /// A machine that answers without end is a fault.
        const MOST_STEPS: u32 = 200_000;
        let end = self.now + duration;
        for _ in 0..MOST_STEPS {
            self.collect();
            let arrival = self.in_flight.first_key_value().map(|((at, _), _)| *at);
            let timer = self.nodes.iter().filter_map(N::poll_timeout).min();
            let Some(next) = arrival.into_iter().chain(timer).min().filter(|at| *at <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            while let Some(entry) = self.in_flight.first_entry().filter(|entry| entry.key().0 <= self.now) {
                let (to, received) = entry.remove();
                self.nodes[to].receive(self.now, received);
                self.collect();
            }
            for node in &mut self.nodes {
                if node.poll_timeout().is_some_and(|at| at <= self.now) {
                    node.timeout(self.now);
                }
            }
        }
        panic!("no end after {MOST_STEPS} steps");
    }

    /// The labels of what a node sent, and nothing older.
    pub fn take_ladder(&mut self) -> Vec<String> {
        self.ladder.drain(..).map(|(node, label)| format!("{} {label}", ["->", "<-"][node])).collect()
    }

    fn collect(&mut self) {
        for from in 0..2 {
            while let Some(Transmit { flow, bytes }) = self.nodes[from].poll_transmit() {
                self.ladder.push((from, label(&bytes)));
                let copies = if self.rng.unit() < self.link.doubled { 2 } else { 1 };
                for _ in 0..copies {
                    if flow.transport == Transport::Udp && self.rng.unit() < self.link.loss {
                        continue;
                    }
                    let delay = ms(u64::from(self.rng.range(0, self.link.delay)));
                    let flow = Flow { local: flow.remote, remote: flow.local, ..flow };
                    let to = usize::from(flow.local != address(1));
                    self.count += 1;
                    let received = Received { flow, bytes: bytes.clone() };
                    self.in_flight.insert((self.now + delay, self.count), (to, received));
                }
            }
        }
    }
}
