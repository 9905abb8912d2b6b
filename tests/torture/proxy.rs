//! The same messages at the embedded registrar and proxy of example.com, where it judges otherwise than a phone.
use crate::load;
use crate::peer::Letter;
use crate::stage::Answer::{self, Silence, Status};
use crate::stage::status;
use offhook::base::net::{Flow, Received, Transport};
use offhook::base::rng::Rng;
use offhook::proxy::{Proxy, ProxyConfig};
use offhook::sip::message::Host;
use std::net::SocketAddr;
use std::time::Instant;

const PROXY: &str = "127.0.0.1:5060";
const SENDER: &str = "127.0.0.1:5066";

/// The proxy, and the statuses it answered with.
fn answers(file: &str) -> (Proxy, Vec<Letter>) {
    let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
    let config = ProxyConfig::loopback(Host::Name("example.com".into()), vec![address(PROXY)]);
    let mut proxy = Proxy::new(config, Rng::from_u64(1));
    let flow = Flow::new(Transport::Udp, address(PROXY), address(SENDER));
    proxy.handle_received(Instant::now(), Received { flow, bytes: load("rfc4475", file) });
    let mut answers = Vec::new();
    while let Some(transmit) = proxy.poll_transmit() {
        assert_eq!(transmit.flow.remote.ip(), flow.remote.ip(), "{file}: sent to somebody else");
        answers.push(Letter { flow: transmit.flow, text: String::from_utf8_lossy(&transmit.bytes).into_owned() });
    }
    (proxy, answers)
}

#[test]
fn what_a_proxy_judges_otherwise() {
    let rows: [(&str, Answer, &str); 25] = [
        ("wsinv", Status(403), "another domain's user, through another proxy: no relay"),
        ("intmeth", Status(404), "the method does not matter to a proxy; the user is unknown here"),
        ("esc02", Status(403), "RE%47IST%45R is no REGISTER, and the domain is another"),
        ("escnull", Status(200), "two contacts are bound"),
        ("lwsdisp", Status(404), "an unknown user"),
        ("longreq", Status(404), "an unknown user"),
        ("dblreq", Status(200), "the REGISTER counts, the rest of the datagram does not"),
        ("semiuri", Status(404), "an unknown user"),
        ("transports", Status(404), "an unknown user"),
        ("unreason", Silence, "nobody waits for the response"),
        ("badinv01", Status(400), "the Via is bad"),
        ("escruri", Status(400), "headers in the Request-URI are never applied"),
        ("regbadct", Status(400), "`?` outside of <>: nothing is bound"),
        ("badvers", Status(505), "version 7.0"),
        ("mismatch02", Status(501), "CSeq names another method"),
        ("bcast", Silence, "nothing is sent to the broadcast address"),
        ("unkscm", Status(416), "§3.3.2: never routed by the To"),
        ("novelsc", Status(416), "§3.3.3"),
        ("unksm2", Status(404), "§3.3.4: an address of another scheme is none of this domain's"),
        ("bext01", Status(420), "§3.3.5: the proxy is asked for extensions"),
        ("regaut01", Status(200), "§3.3.7: credentials of an unknown scheme are none, and none are asked for here"),
        ("multi01", Status(400), "§3.3.8"),
        ("regescrt", Status(403), "§3.3.14: well formed, but the contact is an address of this domain: a loop"),
        ("zeromf", Status(483), "§3.3.11: it may not go on"),
        ("insuf", Status(400), "§3.3.1"),
    ];
    for (file, expected, why) in rows {
        let (_, responses) = answers(file);
        // A request that was forwarded is no response: it panics here.
        let mut statuses: Vec<u16> = responses.iter().map(status).collect();
        statuses.dedup();
        let answer = match statuses[..] {
            [] => Silence,
            [status] | [100, status] => Status(status),
            _ => panic!("{file}: {statuses:?}"),
        };
        assert_eq!(answer, expected, "{file}: {why}");
    }
    let (_, refused) = answers("bext01");
    assert_eq!(refused[0].header("Unsupported"), "noProxiesSupportThis, norDoAnyProxiesSupportThis");
}

#[test]
fn contacts_are_bound_as_they_were_meant() {
    let rows: [(&str, &[&str]); 5] = [
        ("escnull", &["sip:%00@host5.example.com", "sip:%00%00@host5.example.com"]),
        ("regbadct", &[]),
        ("cparam01", &["sip:+19725552222@gw1.example.net"]),
        ("cparam02", &["sip:+19725552222@gw1.example.net;unknownparam"]),
        // Whatever the URI's headers are: it leads back here.
        ("regescrt", &[]),
    ];
    for (file, contacts) in rows {
        let (proxy, _) = answers(file);
        let bound = proxy.snapshot(Instant::now()).bindings;
        let bound: Vec<String> = bound.iter().map(|binding| binding.contact.sanitize(200)).collect();
        assert_eq!(bound, contacts, "{file}");
    }
}
