//! The proxy from the outside, in virtual time: messages in, messages out.
mod calling;
mod registering;

use super::*;
use crate::base::net::{Flow, Received, Transport};
use crate::base::rng::Rng;
use crate::base::secret::Secret;
use crate::sip::auth::{Client, Credentials, Password};
use crate::sip::message::{Host, Message, Request, Response, parse};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const PROXY: &str = "127.0.0.1:5060";
const ALICE: &str = "127.0.0.1:5071";
const BOB: &str = "127.0.0.1:5072";
const BOB2: &str = "127.0.0.1:5073";

/// One message the proxy sent.
#[derive(Debug)]
struct Sent {
    to: String,
    transport: Transport,
    message: Message,
}

impl Sent {
    fn request(&self) -> &Request {
        match &self.message {
            Message::Request(request) => request,
            Message::Response(r) => panic!("{} {}", r.status, r.reason),
        }
    }

    fn response(&self) -> &Response {
        match &self.message {
            Message::Response(response) => response,
            Message::Request(r) => panic!("{} {}", r.method, r.uri),
        }
    }

    /// `INVITE 127.0.0.1:5072` or `180 127.0.0.1:5071`
    fn line(&self) -> String {
        match &self.message {
            Message::Request(r) => format!("{} {}", r.method, self.to),
            Message::Response(r) => format!("{} {}", r.status, self.to),
        }
    }
}

struct World {
    proxy: Proxy,
    now: Instant,
    transport: Transport,
    branch: u32,
}

impl World {
    fn new(config: ProxyConfig) -> Self {
        Self { proxy: Proxy::new(config, Rng::from_u64(1)), now: Instant::now(), transport: Transport::Udp, branch: 0 }
    }

    fn open() -> Self {
        Self::new(ProxyConfig::loopback(Host::Name("d.test".into()), vec![PROXY.parse().unwrap()]))
    }

    fn with_users() -> Self {
        let password = |user: &str| (user.to_owned(), Password::Plain(Secret::new(format!("pw{user}"))));
        let users = BTreeMap::from(["alice", "bob", "carol"].map(password));
        let config = ProxyConfig::loopback(Host::Name("d.test".into()), vec![PROXY.parse().unwrap()]);
        Self::new(ProxyConfig { access: Access::Users(users), ..config })
    }

    fn drain(&mut self) -> Vec<Sent> {
        std::iter::from_fn(|| self.proxy.poll_transmit())
            .map(|t| Sent {
                to: t.flow.remote.to_string(),
                transport: t.flow.transport,
                message: parse(&t.bytes).unwrap_or_else(|e| panic!("{e}: {:?}", t.bytes)),
            })
            .collect()
    }

    fn receive(&mut self, from: &str, bytes: impl Into<Bytes>) -> Vec<Sent> {
        let flow = Flow::new(self.transport, PROXY.parse().unwrap(), from.parse().unwrap());
        self.proxy.handle_received(self.now, Received { flow, bytes: bytes.into() });
        self.drain()
    }

    /// Lets time pass, one deadline after the other.
    fn wait(&mut self, time: Duration) -> Vec<Sent> {
        let end = self.now + time;
        let mut sent = Vec::new();
        while let Some(at) = self.proxy.poll_timeout().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.proxy.handle_timeout(self.now);
            sent.extend(self.drain());
        }
        self.now = end;
        sent
    }

    /// A request of a phone; `lines` bring To tag, Route and what else there is.
    fn request(&mut self, from: &str, method: &str, uri: &str, dialog: &Dialog, lines: &str) -> Vec<Sent> {
        let bytes = self.text(from, method, uri, dialog, lines);
        self.receive(from, bytes)
    }

    fn text(&mut self, from: &str, method: &str, uri: &str, dialog: &Dialog, lines: &str) -> String {
        self.branch += 1;
        let via = format!("SIP/2.0/{} {from};branch=z9hG4bKt{};rport", self.transport.via_token(), self.branch);
        format!(
            "{method} {uri} SIP/2.0\r\nVia: {via}\r\nMax-Forwards: 70\r\nFrom: {}\r\nTo: {}\r\nCall-ID: {}\r\n\
             CSeq: {} {method}\r\n{lines}\r\n",
            dialog.from, dialog.to, dialog.call_id, dialog.cseq
        )
    }

    fn register(&mut self, user: &str, address: &str, lines: &str) -> Vec<Sent> {
        self.branch += 1;
        let dialog = Dialog {
            from: format!("<sip:{user}@d.test>;tag=r"),
            to: format!("<sip:{user}@d.test>"),
            call_id: format!("reg-{user}-{address}"),
            cseq: self.branch,
        };
        self.request(address, "REGISTER", "sip:d.test", &dialog, &format!("Contact: <sip:{user}@{address}>{lines}\r\n"))
    }

    /// A response of a phone to a request the proxy sent it.
    fn respond(&mut self, to: &Sent, status: u16, tag: &str, lines: &[(&str, &str)]) -> Vec<Sent> {
        let mut response = Response::to_request(to.request(), status, Some(tag));
        lines.iter().for_each(|(name, value)| response.headers.push(name, value));
        to.request().headers.all("Record-Route").for_each(|rr| response.headers.push("Record-Route", rr));
        self.receive(&to.to, response.to_bytes())
    }
}

/// From, To, Call-ID and CSeq of a request.
#[derive(Clone)]
struct Dialog {
    from: String,
    to: String,
    call_id: String,
    cseq: u32,
}

fn alice_calls(user: &str) -> Dialog {
    Dialog {
        from: "<sip:alice@d.test>;tag=a".into(),
        to: format!("<sip:{user}@d.test>"),
        call_id: format!("call-{user}"),
        cseq: 1,
    }
}

fn lines(sent: &[Sent]) -> Vec<String> {
    sent.iter().map(Sent::line).collect()
}

const INVITE: &str = "Contact: <sip:alice@127.0.0.1:5071>\r\n";
