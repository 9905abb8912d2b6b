//! Where the messages are played: a phone in a call, somebody who sends it bytes, and what is to be seen of it.
use crate::peer::Letter;
use crate::world::{World, address};
use bytes::Bytes;
use offhook::base::id::StreamId;
use offhook::base::net::{Flow, Received, Transmit, Transport};
use offhook::media::event::MediaEvent;
use offhook::media::spec::StreamSpec;
use offhook::sip::message::{Message, Request, Response, parse};
use offhook::sip::transport::framing::{Event, StreamFramer};
use offhook::ua::command::Command;
use offhook::ua::snapshot::CallState;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

pub const SECOND: Duration = Duration::from_secs(1);

/// What the reader of one message makes of it.
#[derive(Clone, Copy, Debug)]
pub enum Reading {
    Understood(fn(&Message) -> bool),
    /// Refused with this status.
    Refused(u16),
    /// Nothing that could be answered.
    Dropped,
}

/// What a phone does with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Rings,
    Status(u16),
    Silence,
}

/// What it is on a stream that delivers it byte by byte.
#[derive(Clone, Copy, Debug)]
pub enum Stream {
    /// One message, answered as the datagram is.
    Whole,
    /// Messages with these answers.
    Pieces(&'static [Answer]),
    /// The start of a message that never ends: whoever owns the connection closes it in time.
    Waits,
    /// The connection is closed after this answer.
    Closed(u16),
}

pub fn request(message: &Message) -> &Request {
    match message {
        Message::Request(request) => request,
        Message::Response(_) => panic!("a response"),
    }
}

pub fn response(message: &Message) -> &Response {
    match message {
        Message::Response(response) => response,
        Message::Request(_) => panic!("a request"),
    }
}

/// A phone that talks with somebody while a third party sends what it likes.
pub struct Stage {
    pub world: World,
    pub sender: SocketAddr,
    /// Who is talked with.
    peer: IpAddr,
    /// Messages sent to the peer so far.
    said: usize,
    spec: StreamSpec,
}

impl Stage {
    /// Two phones that call each other directly: whoever sends is listened to.
    pub fn new(seed: u64) -> Self {
        let mut world = World::direct(2, seed);
        world.command(1, Command::Call { account: None, target: "phone1@192.0.2.1".to_owned() });
        world.run(SECOND);
        world.command(0, Command::Answer(world.number(0)));
        world.run(SECOND);
        Self::of(world, address(2).ip())
    }

    /// Phone 0 of this world talks with `peer`.
    pub fn of(world: World, peer: IpAddr) -> Self {
        let spec = world.spec(0);
        let mut stage = Self { world, sender: address(66), peer, said: 0, spec };
        assert!(stage.world.is_established(0));
        stage.said = stage.said_to_peer();
        stage.check();
        stage
    }

    /// Gives the phone a message; what it answers within a second, to the sender's address at whatever port.
    pub fn send(&mut self, transport: Transport, bytes: &Bytes) -> Vec<Letter> {
        self.world.mail.clear();
        let (now, local) = (self.world.now, self.world.phones[0].address);
        // The call that is under way is heard: nobody has to ask whether its other end is still there.
        let call = self.world.phones[0].agent.snapshot(now).calls[0].number;
        self.world.phones[0].agent.handle_media(now, MediaEvent::Flowing { stream: StreamId(call.0) });
        let flow = Flow::new(transport, local, self.sender);
        self.world.phones[0].agent.handle_received(now, Received { flow, bytes: bytes.clone() });
        self.world.drain();
        self.world.run(SECOND);
        let mail = std::mem::take(&mut self.world.mail);
        // Whether its own server lives is asked all the time.
        let is_sign_of_life = |t: &Transmit| {
            t.flow.remote.ip() == self.peer && (t.bytes.starts_with(b"OPTIONS") || t.bytes.starts_with(b"REGISTER"))
        };
        let mail = mail.into_iter().filter(|t| !t.bytes.iter().all(u8::is_ascii_whitespace) && !is_sign_of_life(t));
        let letters = mail.map(|t| {
            assert_eq!(t.flow.remote.ip(), self.sender.ip(), "an answer to somebody else");
            assert_eq!(t.flow.transport, transport);
            // What we can do is told in headers, and in a body only where nobody can have forged the sender.
            let (asked, told) = (bytes.len(), t.bytes.len());
            assert!(transport.is_reliable() || told < asked + 640, "{asked} bytes are answered by {told}");
            Letter { flow: t.flow, text: String::from_utf8_lossy(&t.bytes).into_owned() }
        });
        let letters: Vec<Letter> = letters.collect();
        if let Ok(message) = parse(bytes) {
            letters.iter().for_each(|letter| belongs(letter, &message));
        }
        letters
    }

    /// As [`Stage::send`], judged.
    pub fn answer(&mut self, transport: Transport, bytes: &Bytes) -> Answer {
        let before = self.ringing();
        let mut statuses: Vec<u16> = self.send(transport, bytes).iter().map(status).collect();
        // One answer, and the copies of it that the lack of an ACK calls for.
        statuses.dedup();
        match (self.ringing() - before, &statuses[..]) {
            (0, []) => Answer::Silence,
            (0, [status]) => Answer::Status(*status),
            (0, [100, status]) => Answer::Status(*status),
            (1, [100, 180]) | (1, [180]) => Answer::Rings,
            (calls, statuses) => panic!("{calls} calls, {statuses:?}"),
        }
    }

    fn ringing(&self) -> usize {
        let calls = self.world.phones[0].agent.snapshot(self.world.now).calls;
        calls.iter().filter(|call| matches!(call.state, CallState::Ringing { .. })).count()
    }

    /// The call in progress is as it was: nothing was said in it, its sound was not touched.
    pub fn check(&mut self) {
        let calls = self.world.phones[0].agent.snapshot(self.world.now).calls;
        assert_eq!(calls[0].state, CallState::Established);
        let stream = StreamId(calls[0].number.0);
        assert_eq!(self.world.phones[0].streams.get(&stream), Some(&Some(self.spec.clone())));
        assert!(self.peer == self.sender.ip() || self.said == self.said_to_peer(), "{:#?}", self.world.ladder);
    }

    fn said_to_peer(&self) -> usize {
        let start = format!("192.0.2.1 -> {}: ", self.peer);
        // What asks whether the server lives is said all the time.
        let told = self.world.ladder.iter().filter_map(|line| line.strip_prefix(&start));
        told.filter(|said| !said.is_empty() && !said.starts_with("OPTIONS") && !said.starts_with("REGISTER")).count()
    }
}

/// A response repeats what its sender finds its request by (RFC 3261 §8.2.6.2).
fn belongs(letter: &Letter, to: &Message) {
    let answer = parse(&Bytes::from(letter.text.clone())).expect("an answer that can be read");
    for name in ["From", "Call-ID", "CSeq"] {
        assert_eq!(answer.headers().get(name), to.headers().get(name), "{}", letter.text);
    }
    assert_eq!(answer.headers().all("Via").count(), to.headers().all("Via").count(), "{}", letter.text);
    assert!(status(letter) == 100 || answer.headers().to().is_ok_and(|to| to.tag().is_some()), "{}", letter.text);
}

pub fn status(letter: &Letter) -> u16 {
    let code = letter.first().strip_prefix("SIP/2.0 ").and_then(|rest| rest.get(..3));
    code.and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("no response: {}", letter.first()))
}

/// What a stream of these bytes holds when they come one by one, and whether a message is under way at the end.
pub fn byte_by_byte(bytes: &[u8]) -> (Vec<Event>, bool) {
    let (mut framer, mut events) = (StreamFramer::new(), Vec::new());
    for byte in bytes {
        framer.handle_bytes(std::slice::from_ref(byte));
        events.extend(std::iter::from_fn(|| framer.poll_event()));
    }
    (events, framer.is_mid_message())
}
