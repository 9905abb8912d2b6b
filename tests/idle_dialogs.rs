//! What a call costs that is up and says nothing: its session and its share of the transaction layer, on either side.
#[path = "torture/heap.rs"]
mod heap;

use heap::cost;
use offhook::base::net::{Flow, Received, Transport};
use offhook::base::rng::Rng;
use offhook::sip::invite::{Body, Config, Event, Invitation, Output, Phase, RequestId, Session};
use offhook::sip::key::{DialogKey, SessionKey};
use offhook::sip::message::{Message, NameAddr, Request, Uri, parse};
use offhook::sip::transaction::{self, ClientKey, Layer};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const DIALOGS: usize = 1_000;
/// The most that one may hold \[bytes\].
const MOST: i64 = 10_000;

const OFFER: &str = "v=0\r\no=- 1563487125 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
    m=audio 40000 RTP/AVP 111 0 8 110 101\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 useinbandfec=1\r\n\
    a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:110 telephone-event/48000\r\na=fmtp:110 0-16\r\n\
    a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-16\r\na=ptime:20\r\na=sendrecv\r\n";

/// A user agent with many calls, without accounts and media.
struct Agent {
    layer: Layer,
    sessions: BTreeMap<SessionKey, Session>,
    requests: BTreeMap<ClientKey, (SessionKey, RequestId)>,
    flow: Flow,
    rng: Rng,
}

fn name_addr(text: &str) -> NameAddr {
    NameAddr::parse(text).expect("a name-addr")
}

fn config() -> Config {
    Config { user_agent: "offhook/0.1.0".to_owned(), ..Config::default() }
}

impl Agent {
    fn new(local: u8, remote: u8) -> Self {
        let address = |n| SocketAddr::from(([192, 0, 2, n], 5060));
        let layer = Layer::new(transaction::Config::default(), Rng::from_u64(local.into()));
        let flow = Flow::new(Transport::Udp, address(local), address(remote));
        Self { layer, sessions: BTreeMap::new(), requests: BTreeMap::new(), flow, rng: Rng::from_u64(9) }
    }

    fn invite(&mut self, now: Instant, n: usize) {
        let invitation = Invitation {
            request_uri: Uri::parse(&format!("sip:6{n:03}@example.com")).expect("a URI"),
            from: name_addr("\"Alice Liddell\" <sip:600@example.com>"),
            to: name_addr(&format!("<sip:6{n:03}@example.com>")),
            contact: name_addr("<sip:kx3w8dq7@192.0.2.1:5060>"),
            route: Vec::new(),
            headers: Vec::new(),
            body: Some(Body::sdp(OFFER)),
        };
        let session = Session::invite(now, config(), invitation, self.rng.fork());
        let key = session.key().clone();
        self.sessions.insert(key.clone(), session);
        self.settle(now);
    }

    fn settle(&mut self, now: Instant) {
        loop {
            let mut quiet = true;
            while let Some(event) = self.layer.poll_event() {
                quiet = false;
                self.event(now, event);
            }
            let mut said = Vec::new();
            for (key, session) in &mut self.sessions {
                // Offer and answer are made; the rest is nobody's business here.
                while let Some(event) = session.poll_event() {
                    assert!(!matches!(event, Event::Ended { .. }), "{event:?}");
                }
                said.extend(std::iter::from_fn(|| session.poll_output()).map(|output| (key.clone(), output)));
            }
            quiet &= said.is_empty();
            for (session, output) in said {
                match output {
                    Output::Request { id, request, .. } => {
                        let key = self.layer.send_request(now, request, self.flow);
                        self.requests.insert(key, (session, id));
                    }
                    Output::Ack { request, .. } => self.layer.send_stateless(request, self.flow),
                    Output::Response { key, response } => self.layer.respond(now, &key, response),
                    Output::Cancel { .. } => panic!("nobody gives up"),
                }
            }
            if quiet {
                return;
            }
        }
    }

    fn event(&mut self, now: Instant, event: transaction::Event) {
        use transaction::Event as E;
        match event {
            E::Request { key, request, .. } => {
                let contact = name_addr("<sip:q8f2hs0v@192.0.2.2:5060>");
                let session = Session::incoming(now, config(), contact, key, &request, self.rng.fork());
                let mut session = session.unwrap_or_else(|refused| panic!("{refused:?}"));
                session.provisional(now, 180, None);
                session.accept(now, Some(Body::sdp(OFFER)));
                self.sessions.insert(session.key().clone(), session);
            }
            E::Ack { request, .. } => {
                let key = DialogKey::of_request(&request.headers).expect("a dialog").expect("a dialog").session();
                self.sessions.get_mut(&key).expect("its session").handle_ack(now, request);
            }
            E::Response { key, response, .. } => {
                let (session, id) = self.requests.get(&key).expect("a request").clone();
                self.sessions.get_mut(&session).expect("its session").handle_response(now, id, response);
            }
            E::StrayResponse { .. } => {}
            other => panic!("{other:?}"),
        }
    }

    fn timeout(&mut self, now: Instant) {
        self.layer.handle_timeout(now);
        for session in self.sessions.values_mut().filter(|s| s.poll_timeout().is_some_and(|at| at <= now)) {
            session.handle_timeout(now);
        }
        self.settle(now);
    }
}

/// As two proxies on the way would.
fn record_route(message: Message) -> Message {
    match message {
        Message::Request(mut request) if is_first(&request) => {
            for proxy in ["<sip:p1.example.com;lr>", "<sip:p2.example.com:5062;lr;ftag=4d0c4e56>"] {
                request.headers.push_front("Record-Route", proxy);
            }
            Message::Request(request)
        }
        other => other,
    }
}

fn is_first(request: &Request) -> bool {
    request.headers.to().is_ok_and(|to| to.tag().is_none())
}

/// Carries what each has to say until both are silent.
fn exchange(now: Instant, agents: &mut [Agent; 2]) {
    loop {
        let mut quiet = true;
        for from in 0..2 {
            while let Some(transmit) = agents[from].layer.poll_transmit() {
                quiet = false;
                let flow = Flow { local: transmit.flow.remote, remote: transmit.flow.local, ..transmit.flow };
                let bytes = record_route(parse(&transmit.bytes).expect("a message")).to_bytes();
                agents[1 - from].layer.handle_received(now, Received { flow, bytes });
                agents[1 - from].settle(now);
            }
        }
        if quiet {
            return;
        }
    }
}

#[expect(clippy::print_stdout, reason = "the figure is worth as much as the verdict")]
#[test]
fn an_idle_dialog_is_small() {
    let mut now = Instant::now();
    let mut agents = [Agent::new(1, 2), Agent::new(2, 1)];
    for n in 0..DIALOGS {
        agents[0].invite(now, n);
        exchange(now, &mut agents);
    }
    // Every transaction and every wait for a late copy is over.
    for _ in 0..200 {
        now += Duration::from_secs(1);
        agents.iter_mut().for_each(|agent| agent.timeout(now));
        exchange(now, &mut agents);
    }
    let [caller, callee] = agents;
    for (side, mut agent) in [("caller", caller), ("callee", callee)] {
        assert!(agent.layer.is_idle(), "{side}");
        assert_eq!(agent.sessions.values().filter(|s| s.phase() == Phase::Established).count(), DIALOGS, "{side}");
        // The test's own book.
        agent.requests.clear();
        let each = -cost(|| drop(agent)).kept / DIALOGS as i64;
        println!("{side}: {each} bytes for an idle dialog");
        assert!((1_000..MOST).contains(&each), "{side}: {each} bytes");
    }
}
