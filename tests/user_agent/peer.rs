//! A peer written by hand: a test reads what a phone sent to it, and answers or asks line by line.
//!
//! Other tests read this file and `world.rs` too: what only one of them needs stands beside that test.
use crate::world::World;
use offhook::base::net::{Flow, Received, Transmit, Transport};
use std::fmt::Write as _;
use std::net::SocketAddr;

/// A message a phone sent to a place where no phone lives.
#[derive(Clone, Debug)]
pub struct Letter {
    pub flow: Flow,
    pub text: String,
}

impl Letter {
    pub fn first(&self) -> &str {
        self.text.lines().next().unwrap_or_default()
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> String {
        self.all(name).next().unwrap_or_default().to_owned()
    }

    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let head = self.text.split("\r\n\r\n").next().unwrap_or_default();
        let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.filter(move |(n, _)| n.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

impl World {
    /// What came for an address since the last look, oldest first.
    pub fn mail_for(&mut self, address: SocketAddr) -> Vec<Letter> {
        let (for_it, rest) =
            std::mem::take(&mut self.mail).into_iter().partition(|t: &Transmit| t.flow.remote == address);
        self.mail = rest;
        let for_it: Vec<Transmit> = for_it;
        let letter = |t: Transmit| Letter { flow: t.flow, text: String::from_utf8_lossy(&t.bytes).into_owned() };
        for_it.into_iter().map(letter).collect()
    }

    /// The latest message for an address that begins with this.
    pub fn latest(&mut self, address: SocketAddr, start: &str) -> Letter {
        let mail = self.mail_for(address);
        let found = mail.iter().rev().find(|letter| letter.text.starts_with(start)).cloned();
        found.unwrap_or_else(|| panic!("no {start} for {address}: {mail:#?}"))
    }

    /// Gives a phone a message, as if it came from there over UDP.
    pub fn give(&mut self, phone: usize, from: SocketAddr, text: &str) {
        let (now, local) = (self.now, self.phones[phone].address);
        let flow = Flow::new(Transport::Udp, local, from);
        let bytes = text.as_bytes().to_vec().into();
        self.phones[phone].agent.handle_received(now, Received { flow, bytes });
        self.drain();
    }

    /// Answers a request of a phone. `headers` end with CRLF each.
    pub fn answer(&mut self, phone: usize, request: &Letter, status: &str, headers: &str, body: &str) {
        let mut text = format!("SIP/2.0 {status}\r\n");
        for name in ["Via", "From", "Call-ID", "CSeq"] {
            request.all(name).for_each(|value| {
                let _ = write!(text, "{name}: {value}\r\n");
            });
        }
        let to = request.header("To");
        let tag = if to.contains("tag=") || status.starts_with("100") { "" } else { ";tag=peer" };
        let _ = write!(text, "To: {to}{tag}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len());
        self.give(phone, request.flow.remote, &text);
    }
}

/// A description that takes PCMU and digits.
pub fn sdp(address: SocketAddr, direction: &str) -> String {
    let ip = address.ip();
    format!(
        "v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0 101\r\n\
         a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na={direction}\r\n"
    )
}

/// A request of a stranger or a server, outside of dialogs.
pub fn request(method: &str, uri: &str, from: SocketAddr, name: &str, body: &str) -> String {
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{name}\r\nMax-Forwards: 70\r\n\
         From: <sip:{name}@{from}>;tag={name}\r\nTo: <{uri}>\r\nCall-ID: {name}\r\nCSeq: 1 {method}\r\n\
         Contact: <sip:{name}@{from}>\r\n{kind}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
