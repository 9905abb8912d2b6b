//! Reading messages: beside rsip alone, and how the time grows with the message.
//!
//! `cargo bench --bench message` prints, after criterion's figures, ratios that are measured in turns, so that whatever else
//! the machine does falls on both sides alike. It fails when ours is the slower one, or when the time grows faster than the message.
#![allow(clippy::print_stdout)]

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group};
use offhook::base::rng::Rng;
use offhook::media::spec::{Codec, Direction, OpusParameters, Profile};
use offhook::sdp::{LocalMedia, Negotiator};
use offhook::sip::message::{Message, Method, Via, parse};
use offhook::sip::transport::framing::StreamFramer;
use rsip::headers::ToTypedHeader as _;
use rsip::message::HeadersExt as _;
use std::hint::black_box;
use std::time::Duration;

#[path = "clock.rs"]
mod clock;

use clock::busy;

/// 750 bytes, as an INVITE through one proxy comes.
const INVITE: &str = "INVITE sip:kx3w8dq7@192.0.2.5:5060;transport=udp SIP/2.0\r\n\
    Via: SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bKPj2f5a1d4e7c1b\r\n\
    Via: SIP/2.0/UDP 192.0.2.77:5062;received=192.0.2.77;branch=z9hG4bK91f0d7c\r\n\
    Record-Route: <sip:192.0.2.1;lr>\r\n\
    Max-Forwards: 69\r\n\
    From: \"Alice Liddell\" <sip:600@example.com>;tag=4d0c4e56-0b6a\r\n\
    To: <sip:6001@example.com>\r\n\
    Contact: <sip:600@192.0.2.77:5062;transport=udp>\r\n\
    Call-ID: 0d3b8a36-1c5f-4d13-9f0c-0a1a2b3c4d5e\r\n\
    CSeq: 16184 INVITE\r\n\
    Allow: INVITE, ACK, BYE, CANCEL, OPTIONS\r\n\
    User-Agent: Asterisk PBX 22.1.0\r\n\
    Content-Type: application/sdp\r\n\
    Content-Length: 156\r\n\r\n\
    v=0\r\no=- 1563487125 1563487125 IN IP4 192.0.2.77\r\ns=-\r\nc=IN IP4 192.0.2.77\r\nt=0 0\r\n\
    m=audio 20132 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=ptime:20\r\n";

/// Lexes, parses, and reads every header that steers the protocol.
fn ours(bytes: &Bytes) -> usize {
    let Ok(Message::Request(request)) = parse(bytes) else { panic!("a request") };
    let headers = &request.headers;
    let vias = headers.all("Via").map(|value| Via::parse(value).expect("a Via"));
    let branches = vias.filter(|via| via.branch().is_some()).count();
    let from = headers.from().expect("From");
    let to = headers.to().expect("To");
    let cseq = headers.cseq().expect("CSeq");
    let routes = headers.name_addrs("Record-Route").expect("Record-Route");
    let contacts = headers.name_addrs("Contact").expect("Contact");
    let hops = headers.number("Max-Forwards").expect("Max-Forwards");
    let allow: Vec<Method> = headers.tokens("Allow").map(Method::from).collect();
    let call_id = headers.call_id().expect("Call-ID");
    black_box((&from, &to, &cseq, &routes, &contacts, hops, &allow, call_id, request.body.len()));
    branches + routes.len() + contacts.len() + allow.len()
}

/// The same with rsip alone.
fn rsips(bytes: &Bytes) -> usize {
    let Ok(rsip::SipMessage::Request(request)) = rsip::SipMessage::try_from(&bytes[..]) else { panic!("a request") };
    let vias = request.headers.iter().filter_map(|header| match header {
        rsip::Header::Via(via) => Some(via.typed().expect("a Via")),
        _ => None,
    });
    let branches = vias.filter(|via| via.branch().is_some()).count();
    let from = request.from_header().expect("From").typed().expect("From");
    let to = request.to_header().expect("To").typed().expect("To");
    let cseq = request.cseq_header().expect("CSeq").typed().expect("CSeq");
    let routes = request.record_route_header().expect("Record-Route").typed().expect("Record-Route");
    let contact = request.contact_header().expect("Contact").typed().expect("Contact");
    let hops = request.max_forwards_header().expect("Max-Forwards").num().expect("Max-Forwards");
    let allow = request.headers.iter().find_map(|header| match header {
        rsip::Header::Allow(allow) => Some(allow.typed().expect("Allow")),
        _ => None,
    });
    let allow = allow.expect("Allow");
    let call_id = request.call_id_header().expect("Call-ID");
    let counted = branches + routes.uris().len() + 1 + allow.0.len();
    black_box((&from, &to, &cseq, &routes, &contact, hops, &allow, call_id, request.body.len()));
    counted
}

fn beside_rsip(c: &mut Criterion) {
    let bytes = Bytes::from_static(INVITE.as_bytes());
    let mut group = c.benchmark_group("INVITE of 750 bytes with typed headers");
    group.throughput(Throughput::Elements(1));
    group.bench_function("offhook", |b| b.iter(|| ours(black_box(&bytes))));
    group.bench_function("rsip", |b| b.iter(|| rsips(black_box(&bytes))));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    targets = beside_rsip
}

/// The shortest of some turns, in time of this thread [s]: what else the machine does does not count.
fn best(turns: usize, mut work: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..turns {
        let start = busy();
        work();
        best = best.min(busy() - start);
    }
    best
}

fn ratio_to_rsip() {
    let bytes = Bytes::from_static(INVITE.as_bytes());
    assert_eq!((bytes.len(), ours(&bytes)), (750, rsips(&bytes)));
    let mut bests = (f64::INFINITY, f64::INFINITY);
    for _ in 0..200 {
        bests.0 = bests.0.min(best(1, || {
            (0..200).for_each(|_| {
                black_box(ours(&bytes));
            })
        }));
        bests.1 = bests.1.min(best(1, || {
            (0..200).for_each(|_| {
                black_box(rsips(&bytes));
            })
        }));
    }
    let ratio = bests.0 / bests.1;
    let rate = |seconds: f64| 200.0 / seconds;
    println!(
        "offhook {:.0} messages/s, rsip {:.0} messages/s: ours takes {ratio:.2} of its time",
        rate(bests.0),
        rate(bests.1)
    );
    assert!(ratio <= 1.0, "slower than rsip alone");
}

/// A request with these lines after the headers it must have.
fn options(lines: &str) -> Bytes {
    Bytes::from(format!(
        "OPTIONS sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>\r\n\
         Call-ID: c\r\nCSeq: 1 OPTIONS\r\n{lines}\r\n"
    ))
}

/// Feeds a stream in pieces of this length.
fn cut(bytes: &Bytes, length: usize) {
    let mut framer = StreamFramer::new();
    for piece in bytes.chunks(length) {
        framer.handle_bytes(piece);
        while let Some(event) = framer.poll_event() {
            black_box(event);
        }
    }
}

/// As many formats and attributes as go into so many bytes.
fn description(n: usize) -> Bytes {
    let formats: Vec<String> = (0..128).map(|format| format.to_string()).collect();
    let head = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n";
    let lines = "a=rtpmap:127 unknown-audio-codec/8000\r\n".repeat(n / 40);
    Bytes::from(format!("{head}m=audio 4000 RTP/AVP {}\r\na=rtpmap:0 PCMU/8000\r\n{lines}", formats.join(" ")))
}

fn answer(offer: &Bytes) {
    let local = LocalMedia {
        address: [192, 0, 2, 10].into(),
        rtp_port: 40_000,
        rtcp_port: 40_001,
        codecs: vec![Codec::Opus, Codec::Pcmu, Codec::Pcma],
        opus: OpusParameters::default(),
        events: true,
        ptime: Duration::from_millis(20),
        direction: Direction::SendRecv,
        rtcp_mux: false,
        profile: Profile::Auto,
        ice: None,
        srtp: offhook::media::srtp::sdes::Policy::Off,
        sdes: true,
        certificate: None,
    };
    let mut negotiator = Negotiator::new(&mut Rng::from_u64(1));
    black_box(negotiator.answer(offer, &local)).expect("an answer");
}

/// Ten times the bytes may take ten times the time, and what the caches make of it.
const MOST_GROWTH: f64 = 20.0;

fn growth() {
    type Make = fn(usize) -> Bytes;
    let rows: [(&str, Make); 12] = [
        ("headers", |n| options(&"X-Header: value\r\n".repeat(n / 17))),
        ("header lines without a colon", |n| options(&"X\r\n".repeat(n / 3))),
        ("Vias", |n| options(&"Via: SIP/2.0/UDP h;branch=z9hG4bK\r\n".repeat(n / 35))),
        ("Vias in a line", |n| options(&format!("Via: {}\r\n", ["SIP/2.0/UDP h"; 999][..n / 70 + 1].join(",")))),
        ("list entries", |n| options(&format!("Supported: {}\r\n", "a,".repeat(n / 2)))),
        ("folds", |n| options(&format!("Subject: {}\r\n", "x\r\n ".repeat(n / 4)))),
        ("blank folds", |n| options(&format!("Subject: {}\r\n", "\r\n ".repeat(n / 3)))),
        ("parameters", |n| options(&format!("Contact: <sip:a@b>{}\r\n", ";a=b".repeat(n / 4)))),
        ("open quotes", |n| options(&format!("Contact: {}\r\n", "\",".repeat(n / 2)))),
        ("open brackets", |n| options(&format!("Contact: {}\r\n", "<,".repeat(n / 2)))),
        ("backslashes", |n| options(&format!("Contact: \"{}\r\n", "\\,".repeat(n / 2)))),
        ("a body", |n| options(&format!("\r\n{}", "x".repeat(n)))),
    ];
    println!("\n{:<30} {:>10} {:>10} {:>10}   60,000 bytes over 6,000", "ns a byte", "1,000", "6,000", "60,000");
    let check = |what: &str, work: &dyn Fn(&Bytes), make: &dyn Fn(usize) -> Bytes| {
        let [small, middle, large] = [1_000, 6_000, 60_000].map(|n| {
            let bytes = make(n);
            (bytes.len() as f64, best(20, || (0..10).for_each(|_| work(&bytes))) * 1e8)
        });
        let growth = large.1 / middle.1 * (middle.0 / large.0) * 10.0;
        let a_byte = |(bytes, time): (f64, f64)| time / bytes;
        println!("{what:<30} {:>10.2} {:>10.2} {:>10.2}   {growth:.1}", a_byte(small), a_byte(middle), a_byte(large));
        assert!(growth < MOST_GROWTH, "{what}: the time grows faster than the message");
    };
    for (what, make) in rows {
        check(what, &|bytes| drop(black_box(parse(bytes))), &make);
    }
    check("a description", &|bytes| answer(bytes), &description);
    for (what, length) in [("a stream, byte by byte", 1), ("a stream in pieces of 1,400", 1_400)] {
        check(what, &|bytes| cut(bytes, length), &|n| options(&"X-Header: value\r\n".repeat(n / 17)));
    }
}

fn main() {
    benches();
    // Cargo passes this when it only wants to know whether benches run.
    if !std::env::args().any(|argument| argument == "--test") {
        ratio_to_rsip();
        growth();
    }
}
