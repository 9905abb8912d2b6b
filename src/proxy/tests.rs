//! The proxy from the outside, in virtual time: messages in, messages out.
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

#[test]
fn a_call_from_register_to_bye() {
    let mut w = World::open();
    let registered = w.register("bob", BOB, ";expires=60");
    assert_eq!(lines(&registered), [format!("200 {BOB}")]);
    assert_eq!(registered[0].response().headers.get("Contact"), Some("<sip:bob@127.0.0.1:5072>;expires=60"));

    let mut call = alice_calls("bob");
    let invite = w.request(ALICE, "INVITE", "sip:bob@d.test", &call, INVITE);
    assert_eq!(lines(&invite), [format!("INVITE {BOB}")]);
    let request = invite[0].request();
    assert_eq!(request.uri.to_string(), "sip:bob@127.0.0.1:5072");
    assert_eq!(request.headers.get("Max-Forwards"), Some("69"));
    assert_eq!(request.headers.all("Via").count(), 2);
    assert_eq!(request.headers.get("Record-Route"), Some("<sip:127.0.0.1:5060;lr>"));

    assert!(w.respond(&invite[0], 100, "b", &[]).is_empty(), "100 is for us alone");
    let ringing = w.respond(&invite[0], 180, "b", &[("Contact", "<sip:bob@127.0.0.1:5072>")]);
    assert_eq!(lines(&ringing), [format!("180 {ALICE}")]);
    let ok = w.respond(&invite[0], 200, "b", &[("Contact", "<sip:bob@127.0.0.1:5072>")]);
    assert_eq!(lines(&ok), [format!("200 {ALICE}")]);
    assert_eq!(ok[0].response().headers.all("Via").count(), 1);
    assert_eq!(ok[0].response().headers.get("Record-Route"), Some("<sip:127.0.0.1:5060;lr>"));
    assert_eq!(lines(&w.respond(&invite[0], 200, "b", &[])), [format!("200 {ALICE}")], "repetitions, too");

    call.to += ";tag=b";
    let route = "Route: <sip:127.0.0.1:5060;lr>\r\n";
    let ack = w.request(ALICE, "ACK", "sip:bob@127.0.0.1:5072", &call, route);
    assert_eq!(lines(&ack), [format!("ACK {BOB}")]);
    assert_eq!((ack[0].request().headers.get("Route"), ack[0].request().headers.all("Via").count()), (None, 2));

    let from_bob = Dialog { from: call.to.clone(), to: call.from.clone(), cseq: 1, ..call.clone() };
    let reinvite = w.request(BOB, "INVITE", "sip:alice@127.0.0.1:5071", &from_bob, route);
    assert_eq!(lines(&reinvite), [format!("INVITE {ALICE}")]);
    assert_eq!(lines(&w.respond(&reinvite[0], 200, "x", &[])), [format!("200 {BOB}")]);
    let ack = w.request(BOB, "ACK", "sip:alice@127.0.0.1:5071", &from_bob, route);
    assert_eq!(lines(&ack), [format!("ACK {ALICE}")]);

    let bye = w.request(ALICE, "BYE", "sip:bob@127.0.0.1:5072", &Dialog { cseq: 2, ..call.clone() }, route);
    assert_eq!(lines(&bye), [format!("BYE {BOB}")]);
    assert_eq!(lines(&w.respond(&bye[0], 200, "x", &[])), [format!("200 {ALICE}")]);
    assert_eq!(w.proxy.snapshot(w.now).dialogs, 1, "repetitions may still come");
    w.wait(Duration::from_secs(59));
    let view = w.proxy.snapshot(w.now);
    assert_eq!((view.dialogs, view.bindings.len()), (0, 1));
    w.wait(Duration::from_secs(120));
    let view = w.proxy.snapshot(w.now);
    assert_eq!((view.bindings.len(), view.forwarding, view.counters.forwarded), (0, 0, 3));
    assert_eq!(w.proxy.poll_timeout(), None, "nothing is left over");
    assert_eq!(
        lines(&w.request(ALICE, "BYE", "sip:bob@127.0.0.1:5072", &Dialog { cseq: 3, ..call }, route)),
        [format!("481 {ALICE}")]
    );
}

#[test]
fn a_request_to_the_address_of_record_inside_a_dialog_finds_its_end() {
    let mut w = World::open();
    w.register("bob", BOB, "");
    w.register("bob", BOB2, "");
    let mut call = alice_calls("bob");
    let invite = w.request(ALICE, "INVITE", "sip:bob@127.0.0.1:5060", &call, INVITE);
    w.respond(&invite[1], 200, "b2", &[]);
    call.to += ";tag=b2";
    let ack = w.request(ALICE, "ACK", "sip:bob@127.0.0.1:5060", &call, "");
    assert_eq!(lines(&ack), [format!("ACK {BOB2}")]);
    assert_eq!(ack[0].request().uri.to_string(), "sip:bob@127.0.0.1:5073");
}

#[test]
fn who_is_not_there_and_what_is_not_ours() {
    let mut w = World::open();
    w.register("bob", BOB, "");
    w.register("gone", BOB2, "");
    w.register("gone", BOB2, ";expires=0");
    let route = |uri: &str| format!("Route: <{uri};lr>\r\n");
    let rows = [
        ("INVITE", "sip:nobody@d.test", String::new(), 404),
        ("INVITE", "sip:gone@d.test", String::new(), 480),
        ("INVITE", "sip:bob@elsewhere.test", String::new(), 403),
        ("INVITE", "sip:bob@127.0.0.1:5072", String::new(), 403),
        ("INVITE", "sip:bob@d.test", route("sip:elsewhere.test"), 403),
        ("INVITE", "sip:bob@127.0.0.1:9", route("sip:127.0.0.1:5060"), 403),
        ("REGISTER", "sip:elsewhere.test", String::new(), 403),
        ("INVITE", "sip:d.test", String::new(), 405),
        ("INVITE", "tel:+12", String::new(), 416),
        ("OPTIONS", "sip:d.test", String::new(), 200),
        ("OPTIONS", "sip:d.test", "Require: x\r\n".to_owned(), 420),
        ("INVITE", "sip:bob@d.test", "Proxy-Require: x\r\n".to_owned(), 420),
        ("INVITE", "sip:bob@d.test", "Route: <sip:\r\n".to_owned(), 400),
    ];
    for (n, (method, uri, lines_, status)) in rows.into_iter().enumerate() {
        let dialog = Dialog { call_id: n.to_string(), ..alice_calls("bob") };
        let sent = w.request(ALICE, method, uri, &dialog, &lines_);
        assert_eq!(lines(&sent), [format!("{status} {ALICE}")], "{method} {uri} {lines_}");
        assert!(sent[0].response().headers.to().unwrap().tag().is_some());
    }
    let stranger = w.request("192.0.2.66:5060", "INVITE", "sip:bob@d.test", &alice_calls("bob"), "");
    assert_eq!(lines(&stranger), ["403 192.0.2.66:5060"]);
    let in_dialog = Dialog { to: "<sip:bob@d.test>;tag=x".into(), ..alice_calls("bob") };
    let guess = w.request(ALICE, "INVITE", "sip:bob@127.0.0.1:5072", &in_dialog, &route("sip:127.0.0.1:5060"));
    assert_eq!(lines(&guess), [format!("481 {ALICE}")]);
    let around = Dialog { cseq: 2, ..in_dialog };
    assert_eq!(lines(&w.request(ALICE, "MESSAGE", "sip:bob@127.0.0.1:5072", &around, "")), [format!("403 {ALICE}")]);
    assert!(w.request(ALICE, "ACK", "sip:bob@127.0.0.1:5072", &around, &route("sip:127.0.0.1:5060")).is_empty());
}

#[test]
fn hops_are_counted_and_loops_found() {
    let mut w = World::open();
    w.register("bob", BOB, "");
    let text = w.text(ALICE, "INVITE", "sip:bob@d.test", &alice_calls("bob"), INVITE);
    let zero = text.replace("Max-Forwards: 70", "Max-Forwards: 0");
    assert_eq!(lines(&w.receive(ALICE, zero)), [format!("483 {ALICE}")]);
    let call = Dialog { cseq: 2, ..alice_calls("bob") };
    let invite = w.request(ALICE, "INVITE", "sip:bob@d.test", &call, INVITE);
    // Bob's device sends it back under its old name.
    let mut looped = invite[0].request().clone();
    looped.uri = crate::sip::message::Uri::parse("sip:bob@d.test").unwrap();
    looped.headers.push_front("Via", format_args!("SIP/2.0/UDP {BOB};branch=z9hG4bKloop"));
    assert_eq!(lines(&w.receive(BOB, looped.to_bytes())), [format!("482 {BOB}")]);
}

#[test]
fn all_devices_ring_and_one_answers() {
    let mut w = World::open();
    w.register("bob", BOB, "");
    w.register("bob", BOB2, "");
    let invite = w.request(ALICE, "INVITE", "sip:bob@d.test", &alice_calls("bob"), INVITE);
    assert_eq!(lines(&invite), [format!("INVITE {BOB}"), format!("INVITE {BOB2}")]);
    assert_eq!(lines(&w.respond(&invite[0], 180, "b1", &[])), [format!("180 {ALICE}")]);
    assert_eq!(lines(&w.respond(&invite[1], 180, "b2", &[])), [format!("180 {ALICE}")]);
    let answered = w.respond(&invite[0], 200, "b1", &[]);
    assert_eq!(lines(&answered), [format!("200 {ALICE}"), format!("CANCEL {BOB2}")]);
    assert!(answered[1].request().headers.get("Reason").is_some_and(|r| r.contains("cause=200")));
    assert!(w.respond(&answered[1], 200, "b2", &[]).is_empty());
    let late = w.respond(&invite[1], 487, "b2", &[]);
    assert_eq!(lines(&late), [format!("ACK {BOB2}")], "the caller hears nothing of it");
    // Messages may cross: a second device that answered, too, is told to the caller.
    let mut w = World::open();
    w.register("bob", BOB, "");
    w.register("bob", BOB2, "");
    let invite = w.request(ALICE, "INVITE", "sip:bob@d.test", &alice_calls("bob"), INVITE);
    w.respond(&invite[0], 200, "b1", &[]);
    assert_eq!(lines(&w.respond(&invite[1], 200, "b2", &[])), [format!("200 {ALICE}")]);
}

#[test]
fn the_best_refusal_goes_back_when_all_have_refused() {
    let mut w = World::open();
    w.register("bob", BOB, "");
    w.register("bob", BOB2, "");
    let invite = w.request(ALICE, "INVITE", "sip:bob@d.test", &alice_calls("bob"), INVITE);
    assert_eq!(lines(&w.respond(&invite[0], 480, "b1", &[])), [format!("ACK {BOB}")]);
    assert_eq!(lines(&w.respond(&invite[1], 486, "b2", &[])), [format!("ACK {BOB2}"), format!("486 {ALICE}")]);
    assert!(
        w.request(
            ALICE,
            "ACK",
            "sip:bob@d.test",
            &Dialog { to: "<sip:bob@d.test>;tag=b2".into(), ..alice_calls("bob") },
            ""
        )
        .is_empty()
    );

    let call = Dialog { cseq: 2, ..alice_calls("bob") };
    let invite = w.request(ALICE, "INVITE", "sip:bob@d.test", &call, INVITE);
    w.respond(&invite[1], 180, "b2", &[]);
    let declined = w.respond(&invite[0], 603, "b1", &[]);
    assert_eq!(lines(&declined), [format!("ACK {BOB}"), format!("CANCEL {BOB2}")], "6xx ends it for all");
    assert_eq!(lines(&w.respond(&invite[1], 487, "b2", &[])), [format!("ACK {BOB2}"), format!("603 {ALICE}")]);
}

#[test]
fn preference_comes_first() {
    let mut w = World::open();
    w.register("bob", BOB, ";q=0.3");
    w.register("bob", BOB2, ";q=0.9");
    let invite = w.request(ALICE, "INVITE", "sip:bob@d.test", &alice_calls("bob"), INVITE);
    assert_eq!(lines(&invite), [format!("INVITE {BOB2}")]);
    let second = w.respond(&invite[0], 486, "b2", &[]);
    assert_eq!(lines(&second), [format!("ACK {BOB2}"), format!("INVITE {BOB}")]);
    assert_eq!(lines(&w.respond(&second[1], 404, "b1", &[])), [format!("ACK {BOB}"), format!("486 {ALICE}")]);
}

#[test]
fn a_cancelled_call_is_terminated_everywhere() {
    let mut w = World::open();
    w.register("bob", BOB, "");
    w.register("bob", BOB2, "");
    let text = w.text(ALICE, "INVITE", "sip:bob@d.test", &alice_calls("bob"), INVITE);
    let invite = w.receive(ALICE, text.clone());
    w.respond(&invite[0], 180, "b1", &[]);
    let cancel = text
        .replace("INVITE sip", "CANCEL sip")
        .replace("1 INVITE", "1 CANCEL")
        .replace(INVITE, "Reason: Q.850;cause=16\r\n");
    let sent = w.receive(ALICE, cancel);
    assert_eq!(lines(&sent), [format!("200 {ALICE}"), format!("CANCEL {BOB}")], "the other one has not been heard yet");
    assert_eq!(sent[1].request().headers.get("Reason"), Some("Q.850;cause=16"));
    assert_eq!(lines(&w.respond(&invite[1], 180, "b2", &[])), [format!("CANCEL {BOB2}"), format!("180 {ALICE}")]);
    w.respond(&invite[0], 487, "b1", &[]);
    assert_eq!(lines(&w.respond(&invite[1], 487, "b2", &[])), [format!("ACK {BOB2}"), format!("487 {ALICE}")]);
}

#[test]
fn nobody_answers() {
    let mut w = World::open();
    w.register("bob", BOB, "");
    let invite = w.request(ALICE, "INVITE", "sip:bob@d.test", &alice_calls("bob"), INVITE);
    assert_eq!(lines(&invite), [format!("INVITE {BOB}")]);
    let all = w.wait(Duration::from_secs(33));
    assert_eq!(all[0].line(), format!("100 {ALICE}"));
    assert!(lines(&all).contains(&format!("408 {ALICE}")));

    // It rings, but for ever: timer C cancels it, and whatever it says then counts as 408.
    let call = Dialog { cseq: 2, call_id: "c2".into(), ..alice_calls("bob") };
    let invite = w.request(ALICE, "INVITE", "sip:bob@d.test", &call, INVITE);
    w.respond(&invite[0], 180, "b", &[]);
    w.wait(Duration::from_secs(120));
    w.respond(&invite[0], 180, "b", &[]);
    assert!(w.wait(Duration::from_secs(180)).is_empty(), "it was heard in between");
    let cancelled = w.wait(Duration::from_secs(6));
    assert_eq!(cancelled[0].line(), format!("CANCEL {BOB}"));
    assert_eq!(lines(&w.respond(&invite[0], 487, "b", &[])), [format!("ACK {BOB}"), format!("408 {ALICE}")]);

    let message =
        w.request(ALICE, "MESSAGE", "sip:bob@d.test", &Dialog { call_id: "m".into(), ..alice_calls("bob") }, "");
    assert_eq!(lines(&message), [format!("MESSAGE {BOB}")]);
    let repeated = w.wait(Duration::from_secs(40));
    let told = |s: &&Sent| s.to == ALICE && s.message.headers().get("Call-ID") == Some("m");
    assert_eq!(repeated.iter().find(told).map(Sent::line), None, "silence is not told");
}

#[test]
fn a_stream_that_broke_is_opened_again_or_forgotten() {
    let mut w = World::open();
    w.transport = Transport::Tcp;
    let source = "127.0.0.1:40001";
    let register = |w: &mut World, contact: &str| {
        w.branch += 1;
        let dialog = Dialog {
            from: "<sip:bob@d.test>;tag=r".into(),
            to: "<sip:bob@d.test>".into(),
            call_id: contact.into(),
            cseq: w.branch,
        };
        w.request(source, "REGISTER", "sip:d.test", &dialog, &format!("Contact: <{contact}>\r\n"))
    };
    register(&mut w, "sip:bob@127.0.0.1:5072;transport=tcp");
    register(&mut w, "sip:bob@nat.invalid;transport=tcp");
    let tcp = |remote: &str| Flow::new(Transport::Tcp, PROXY.parse().unwrap(), remote.parse().unwrap());
    w.transport = Transport::Udp;
    let invite = w.request(ALICE, "INVITE", "sip:bob@d.test", &alice_calls("bob"), INVITE);
    assert_eq!(lines(&invite), [format!("INVITE {source}"), format!("INVITE {source}")]);
    assert_eq!(invite[0].transport, Transport::Tcp);
    let record_route: Vec<_> = invite[0].request().headers.all("Record-Route").collect();
    assert_eq!(record_route, ["<sip:127.0.0.1:5060;transport=tcp;lr>", "<sip:127.0.0.1:5060;lr>"]);

    w.proxy.handle_transport_error(w.now, &tcp(source));
    let again = w.drain();
    assert_eq!(lines(&again), [format!("INVITE {BOB}")]);
    assert_eq!(w.proxy.snapshot(w.now).bindings.len(), 1, "the one that cannot be reached otherwise is gone");
    w.proxy.handle_transport_error(w.now, &tcp(BOB));
    assert_eq!(lines(&w.drain()), [format!("500 {ALICE}")]);
}

#[test]
fn registrations_are_checked() {
    let mut w = World::open();
    let dialog = |cseq| Dialog {
        from: "<sip:bob@d.test>;tag=r".into(),
        to: "<sip:bob@d.test>".into(),
        call_id: "r".into(),
        cseq,
    };
    let contact = "Contact: <sip:bob@127.0.0.1:5072>;expires=60\r\n";
    assert_eq!(lines(&w.request(BOB, "REGISTER", "sip:d.test", &dialog(5), contact)), [format!("200 {BOB}")]);
    let rows = [
        (6, "Contact: <sip:bob@127.0.0.1:5072>;expires=29\r\n", 423),
        (6, "Contact: *\r\n", 400),
        (6, "Contact: *\r\nContact: <sip:bob@127.0.0.1>\r\nExpires: 0\r\n", 400),
        (6, "Contact: sip:bob@127.0.0.1?Route=x\r\n", 400),
        (6, "Contact: <tel:+12>\r\n", 400),
        (6, "Contact: <sip:bob@d.test>\r\n", 403),
        (6, "Contact: <sip:bob@127.0.0.1:5060>\r\n", 403),
        (6, "Require: gruu\r\nContact: <sip:bob@127.0.0.1:5072>\r\n", 420),
        (5, contact, 400),
    ];
    for (cseq, lines_, status) in rows {
        let sent = w.request(BOB, "REGISTER", "sip:d.test", &dialog(cseq), lines_);
        assert_eq!(lines(&sent), [format!("{status} {BOB}")], "{lines_}");
        assert_eq!(sent[0].response().headers.get("Min-Expires"), (status == 423).then_some("30"));
    }
    assert_eq!(w.proxy.snapshot(w.now).bindings.len(), 1, "none of these changed anything");
    let foreign = Dialog { to: "<sip:bob@elsewhere.test>".into(), ..dialog(6) };
    assert_eq!(lines(&w.request(BOB, "REGISTER", "sip:d.test", &foreign, contact)), [format!("404 {BOB}")]);

    let more = "Expires: 100000\r\nContact: \"B\" <sip:bob@127.0.0.1:5073>;q=0.5;+sip.instance=\"<urn:uuid:1>\"\r\nUser-Agent: x\r\nPath: <sip:p;lr>\r\n";
    let both = w.request(BOB2, "REGISTER", "sip:d.test", &dialog(7), more);
    assert_eq!(
        both[0].response().headers.all("Contact").collect::<Vec<_>>(),
        [
            "<sip:bob@127.0.0.1:5072>;expires=60",
            "<sip:bob@127.0.0.1:5073>;q=0.5;+sip.instance=\"<urn:uuid:1>\";expires=7200"
        ]
    );
    assert_eq!(both[0].response().headers.get("Path"), Some("<sip:p;lr>"));
    let query = w.request(BOB2, "REGISTER", "sip:d.test", &dialog(8), "");
    assert_eq!(query[0].response().headers.all("Contact").count(), 2);
    let invite = w.request(ALICE, "INVITE", "sip:bob@d.test", &alice_calls("bob"), INVITE);
    let second = w.respond(&invite[0], 486, "b", &[]);
    assert_eq!(second[1].line(), format!("INVITE {BOB2}"), "where the registration with the path came from");
    assert_eq!(second[1].request().headers.get("Route"), Some("<sip:p;lr>"));
    let gone = w.request(BOB2, "REGISTER", "sip:d.test", &dialog(9), "Contact: *\r\nExpires: 0\r\n");
    assert_eq!((gone[0].line(), gone[0].response().headers.get("Contact")), (format!("200 {BOB2}"), None));
}

#[test]
fn users_prove_who_they_are() {
    let mut w = World::with_users();
    let credentials = |user: &str, password: &str| {
        Client::new(
            Credentials {
                user: user.into(),
                password: Password::Plain(Secret::new(password)),
                realm: Some("d.test".into()),
            },
            Rng::from_u64(4),
        )
    };
    /// The request again, with the answer to its challenge.
    fn answer(w: &mut World, client: &mut Client, from: &str, text: &str, challenge: &Sent) -> Vec<Sent> {
        let Message::Request(mut request) = parse(&Bytes::from(text.to_owned())).unwrap() else { panic!("request") };
        for (name, value) in client.answer(&request, challenge.response()).unwrap() {
            request.headers.push(&name, value);
        }
        let again = request.headers.get("Via").unwrap().replace("z9hG4bKt", &format!("z9hG4bKu{}", w.branch));
        w.branch += 1;
        request.headers.set("Via", again);
        w.receive(from, request.to_bytes())
    }
    let register = |w: &mut World, user: &str| {
        let dialog = Dialog {
            from: format!("<sip:{user}@d.test>;tag=r"),
            to: format!("<sip:{user}@d.test>"),
            call_id: user.into(),
            cseq: 1,
        };
        w.text(BOB, "REGISTER", "sip:d.test", &dialog, "Contact: <sip:bob@127.0.0.1:5072>\r\n")
    };
    let text = register(&mut w, "bob");
    let challenge = w.receive(BOB, text.clone());
    assert_eq!(lines(&challenge), [format!("401 {BOB}")]);
    assert_eq!(challenge[0].response().headers.all("WWW-Authenticate").count(), 2, "SHA-256 and MD5");
    let wrong = answer(&mut w, &mut credentials("bob", "x"), BOB, &text, &challenge[0]);
    assert_eq!(lines(&wrong), [format!("401 {BOB}")]);
    let other = answer(&mut w, &mut credentials("alice", "pwalice"), BOB, &text, &challenge[0]);
    assert_eq!(lines(&other), [format!("403 {BOB}")], "nobody registers for another");
    let right = answer(&mut w, &mut credentials("bob", "pwbob"), BOB, &text, &wrong[0]);
    assert_eq!(lines(&right), [format!("200 {BOB}")]);

    let text = w.text(ALICE, "INVITE", "sip:bob@d.test", &alice_calls("bob"), INVITE);
    let challenge = w.receive(ALICE, text.clone());
    assert_eq!(lines(&challenge), [format!("407 {ALICE}")]);
    let invite = answer(&mut w, &mut credentials("alice", "pwalice"), ALICE, &text, &challenge[0]);
    assert_eq!(lines(&invite), [format!("INVITE {BOB}")]);
    assert_eq!(invite[0].request().headers.get("Proxy-Authorization"), None, "it stays here");
    let unknown = w.text(ALICE, "INVITE", "sip:carol@d.test", &alice_calls("carol"), INVITE);
    let challenge = w.receive(ALICE, unknown.clone());
    let known = answer(&mut w, &mut credentials("alice", "pwalice"), ALICE, &unknown, &challenge[0]);
    assert_eq!(lines(&known), [format!("480 {ALICE}")], "a user who never registered");

    let stranger = Dialog { from: "<sip:zed@elsewhere.test>;tag=z".into(), call_id: "z".into(), ..alice_calls("bob") };
    let to_us = w.request("192.0.2.66:5060", "INVITE", "sip:bob@d.test", &stranger, "");
    assert_eq!(lines(&to_us), [format!("INVITE {BOB}")]);
    let through_us =
        w.request("192.0.2.66:5060", "INVITE", "sip:bob@elsewhere.test", &Dialog { cseq: 2, ..stranger }, "");
    assert_eq!(lines(&through_us), ["403 192.0.2.66:5060"]);
}

#[test]
fn a_talkative_source_is_limited() {
    let config = ProxyConfig::loopback(Host::Name("d.test".into()), vec![PROXY.parse().unwrap()]);
    let mut w = World::new(ProxyConfig { rate: Rate { sustained: 1.0, burst: 3.0 }, ..config });
    let answered = (0..10).filter(|n| {
        let dialog = Dialog { cseq: *n, ..alice_calls("bob") };
        !w.request(ALICE, "OPTIONS", "sip:d.test", &dialog, "").is_empty()
    });
    assert_eq!(answered.count(), 3);
    assert_eq!(w.proxy.snapshot(w.now).counters.limited, 7);
}

#[test]
fn the_same_seed_sends_the_same_bytes() {
    let run = || {
        let mut w = World::open();
        w.register("bob", BOB, "");
        let invite = w.request(ALICE, "INVITE", "sip:bob@d.test", &alice_calls("bob"), INVITE);
        let mut all: Vec<Bytes> = w.respond(&invite[0], 180, "b", &[]).iter().map(|s| s.message.to_bytes()).collect();
        all.extend(invite.iter().map(|s| s.message.to_bytes()));
        all.extend(w.wait(Duration::from_secs(300)).iter().map(|s| s.message.to_bytes()));
        all
    };
    assert_eq!(run(), run());
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 300, failure_persistence: None, ..Default::default() })]

    /// Whatever is said, in whatever order: nothing panics, nothing waits for ever, and nobody hears from us who did not
    /// speak to us first.
    #[test]
    fn nobody_is_sent_to_who_never_spoke(
        steps in proptest::collection::vec((0_u8..10, 0_u8..3, 0_u16..5, 0_u8..4, proptest::prelude::any::<u16>()), 1..30),
    ) {
        let mut w = World::open();
        let places = [ALICE, BOB, "127.0.0.9:5074"];
        let uris = ["sip:bob@d.test", "sip:203.0.113.1", "sip:x@203.0.113.1;maddr=203.0.113.2", "sip:127.0.0.1:5060;lr"];
        let routes = ["", "Route: <sip:127.0.0.1:5060;lr>\r\n", "Route: <sip:203.0.113.1>\r\n", "Via: SIP/2.0/UDP 203.0.113.1\r\n"];
        let mut spoke = std::collections::BTreeSet::new();
        let mut pending: Vec<Sent> = Vec::new();
        for (what, place, status, route, number) in steps {
            let from = places[usize::from(place)];
            spoke.insert(from.split(':').next().unwrap().to_owned());
            let uri = uris[usize::from(number) % uris.len()];
            let tag = if number % 3 == 0 { "" } else { ";tag=b" };
            let dialog = Dialog {
                from: "<sip:alice@d.test>;tag=a".into(),
                to: format!("<sip:bob@d.test>{tag}"),
                call_id: format!("c{}", number % 2),
                cseq: 1 + u32::from(number % 5),
            };
            let lines = format!("{}Contact: <{uri}>;q=0.{}\r\n", routes[usize::from(route)], number % 9);
            let sent = match what {
                0 | 1 => w.register("bob", from, &format!(";q=0.{}", number % 3)),
                2 => {
                    let dialog = Dialog { to: "<sip:bob@d.test>".into(), call_id: number.to_string(), ..dialog };
                    w.request(from, "REGISTER", "sip:d.test", &dialog, &lines)
                }
                3 => w.request(from, "INVITE", uri, &dialog, &lines),
                4 => w.request(from, "ACK", uri, &dialog, &lines),
                5 => w.request(from, "BYE", uri, &dialog, &lines),
                6 => w.request(from, "CANCEL", uri, &dialog, &lines),
                7 => {
                    let mut text = w.text(from, "INVITE", uri, &dialog, &lines).into_bytes();
                    let at = usize::from(number) % text.len();
                    text[at] = text[at].wrapping_add(1 + place);
                    let flow =
                        Flow::new(w.transport, PROXY.parse().unwrap(), from.parse().unwrap());
                    w.proxy.handle_received(w.now, Received { flow, bytes: text.into() });
                    // The answer to what cannot be read need not be readable.
                    while let Some(transmit) = w.proxy.poll_transmit() {
                        proptest::prop_assert!(spoke.contains(&transmit.flow.remote.ip().to_string()));
                    }
                    Vec::new()
                }
                8 => match pending.iter().rposition(|s| matches!(&s.message, Message::Request(r) if r.method != crate::sip::message::Method::Ack)) {
                    Some(at) => {
                        let request = pending.remove(at);
                        let status = [180, 200, 302, 486, 603][usize::from(status)];
                        w.respond(&request, status, "b", &[("Contact", uri)])
                    }
                    None => Vec::new(),
                },
                _ => w.wait(Duration::from_secs(number.into())),
            };
            for s in &sent {
                let ip = s.to.split(':').next().unwrap_or_default();
                proptest::prop_assert!(spoke.contains(ip), "{} was sent {}", s.to, s.line());
            }
            pending.extend(sent);
        }
        w.wait(Duration::from_secs(3 * 3600));
        proptest::prop_assert_eq!(w.proxy.poll_timeout(), None);
        let view = w.proxy.snapshot(w.now);
        proptest::prop_assert_eq!((view.forwarding, view.bindings.len()), (0, 0));
    }
}
