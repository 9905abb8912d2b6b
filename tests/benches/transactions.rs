//! The transaction layer with many transactions: the time one message takes hardly depends on how many others are under way.
//!
//! `cargo bench --bench transactions` prints the ratios and fails when one is large.
#![allow(clippy::print_stdout)]

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, criterion_group};
use offhook::base::net::{Flow, Received, Transport};
use offhook::base::rng::Rng;
use offhook::sip::message::{Headers, Message, Method, Request, Response, Uri, parse};
use offhook::sip::transaction::{Config, Event, Layer};
use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

#[path = "clock.rs"]
mod clock;

use clock::busy;

const FEW: usize = 100;
const MANY: usize = 10_000;
/// A search among a hundred times as many takes about twice the steps, and misses the caches more often.
const MOST_GROWTH: f64 = 4.0;

fn flow(host: usize) -> Flow {
    let local = SocketAddr::from(([192, 0, 2, 1], 5060));
    let remote = SocketAddr::from(([10, 0, (host / 250) as u8, (host % 250) as u8], 5060));
    Flow::new(Transport::Udp, local, remote)
}

fn invite(n: usize) -> Request {
    let mut headers = Headers::default();
    headers.push("Max-Forwards", 70);
    headers.push("From", format_args!("<sip:a@example.com>;tag=f{n}"));
    headers.push("To", format_args!("<sip:b{n}@example.com>"));
    headers.push("Call-ID", format_args!("call-{n}@192.0.2.1"));
    headers.push("CSeq", "1 INVITE");
    headers.push("Contact", "<sip:a@192.0.2.1>");
    Request {
        method: Method::Invite,
        uri: Uri::parse("sip:b@example.com").expect("a URI"),
        headers,
        body: Bytes::new(),
    }
}

/// A layer in which this many calls ring in, and this many ring out; a copy of one that came in, and a response to one that went out.
struct Crowd {
    layer: Layer,
    now: Instant,
    again: Message,
    response: Message,
    count: usize,
}

impl Crowd {
    fn new(count: usize) -> Self {
        let now = Instant::now();
        let mut layer = Layer::new(Config::default(), Rng::from_u64(1));
        let (mut again, mut response) = (None, None);
        for n in 0..count {
            layer.send_request(now, invite(n), flow(n));
            let sent = layer.poll_transmit().expect("an INVITE");
            let Ok(Message::Request(sent)) = parse(&sent.bytes) else { panic!("an INVITE") };
            let mut ringing = Response::to_request(&sent, 180, Some("t"));
            ringing.headers.push("Contact", "<sip:b@10.0.0.1>");
            layer.handle_message(now, Message::Response(ringing.clone()), flow(n));

            let mut request = invite(n);
            request.headers.push_front("Via", format_args!("SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK{n}"));
            layer.handle_message(now, Message::Request(request.clone()), flow(n));
            while let Some(event) = layer.poll_event() {
                if let Event::Request { key, request, .. } = event {
                    layer.respond(now, &key, Response::to_request(&request, 180, Some("t")));
                }
            }
            while layer.poll_transmit().is_some() {}
            if n == count / 2 {
                (again, response) = (Some(Message::Request(request)), Some(Message::Response(ringing)));
            }
        }
        let (again, response) = (again.expect("one of them"), response.expect("one of them"));
        Self { layer, now, again, response, count }
    }

    /// The request is absorbed and the response to it goes out again.
    fn retransmission(&mut self) {
        self.layer.handle_message(self.now, self.again.clone(), flow(self.count / 2));
        assert!(self.layer.poll_transmit().is_some() && self.layer.poll_event().is_none());
    }

    /// The response finds its request and is told.
    fn answered(&mut self) {
        self.layer.handle_message(self.now, self.response.clone(), flow(self.count / 2));
        assert!(matches!(self.layer.poll_event(), Some(Event::Response { .. })));
    }

    /// From the bytes on, with the timers' table asked, as the loop does.
    fn received(&mut self) {
        let bytes = self.again.to_bytes();
        self.layer.handle_received(self.now, Received { flow: flow(self.count / 2), bytes });
        black_box(self.layer.poll_timeout());
        assert!(self.layer.poll_transmit().is_some());
    }
}

fn crowds(c: &mut Criterion) {
    let mut group = c.benchmark_group("a message among live transactions");
    for count in [FEW, MANY] {
        let mut crowd = Crowd::new(count);
        group.bench_function(BenchmarkId::new("retransmission", count), |b| b.iter(|| crowd.retransmission()));
        group.bench_function(BenchmarkId::new("response", count), |b| b.iter(|| crowd.answered()));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(2));
    targets = crowds
}

fn ratios() {
    let (mut few, mut many) = (Crowd::new(FEW), Crowd::new(MANY));
    type Step = fn(&mut Crowd);
    let rows: [(&str, Step); 3] = [
        ("a retransmission", Crowd::retransmission),
        ("a response", Crowd::answered),
        ("a retransmission, from the bytes on", Crowd::received),
    ];
    for (what, step) in rows {
        let mut best = [f64::INFINITY; 2];
        for _ in 0..300 {
            for (crowd, best) in [&mut few, &mut many].into_iter().zip(&mut best) {
                let start = busy();
                (0..100).for_each(|_| step(crowd));
                *best = best.min((busy() - start) / 100.0);
            }
        }
        let [few, many] = best.map(|seconds| seconds * 1e9);
        let ratio = many / few;
        println!("{what}: {few:.0} ns among {FEW} live transactions, {many:.0} ns among {MANY}: {ratio:.2} times");
        assert!(ratio < MOST_GROWTH, "{what} depends on how many others there are");
    }
}

fn main() {
    benches();
    // Cargo passes this when it only wants to know whether benches run.
    if !std::env::args().any(|argument| argument == "--test") {
        ratios();
    }
}
