//! Every transport at Asterisk, and what goes wrong with certificates and WebSockets.
use crate::certificates::{Authority, Identity};
use crate::common::sip_text::SipText;
use crate::common::sound::Sound;
use crate::harness::{Case, Need};
use crate::peers_asterisk;
use crate::peers_kamailio::{Kamailio, Options};
use crate::phone::{self, Phone, Setup, exit};
use crate::tools::hears_some;
use offhook::base::net::Transport;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Duration;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Message, WebSocket, accept_hdr};

const ASTERISK: &[Need] = &[Need::Asterisk];

pub const CASES: &[Case] = &[
    Case { name: "transports::asterisk_over_tcp", needs: ASTERISK, run: |case| asterisk(case, Transport::Tcp, "1001") },
    Case { name: "transports::asterisk_over_tls", needs: ASTERISK, run: |case| asterisk(case, Transport::Tls, "1002") },
    Case { name: "transports::asterisk_over_ws", needs: ASTERISK, run: |case| asterisk(case, Transport::Ws, "1003") },
    Case { name: "transports::asterisk_over_wss", needs: ASTERISK, run: |case| asterisk(case, Transport::Wss, "1005") },
    Case { name: "transports::a_certificate_has_expired", needs: &[Need::Kamailio], run: expired },
    Case { name: "transports::a_certificate_names_another", needs: &[Need::Kamailio], run: named_otherwise },
    Case { name: "transports::nobody_trusted_has_signed", needs: &[Need::Kamailio], run: unknown_issuer },
    Case { name: "transports::the_server_asks_who_we_are", needs: &[Need::Kamailio], run: mutual },
    Case { name: "transports::no_websocket_at_that_path", needs: &[Need::Kamailio], run: wrong_path },
    Case { name: "transports::a_websocket_not_for_sip", needs: &[], run: not_for_sip },
    Case { name: "transports::a_websocket_is_closed", needs: &[], run: closed },
];

/// Calls the echo, then is called on the connection it has opened.
fn asterisk(case: &Case, transport: Transport, user: &str) {
    let asterisk = peers_asterisk::shared();
    let account = asterisk.account(user, transport);
    let setup = Setup::new(case, "caller", "call").config(&account).record();
    let setup = setup.microphone(&Sound::tone(48_000, 10.0, 440.0, -10.0));
    let mut phone = setup.arguments(&["600", "--codecs", "pcmu", "--duration", "4"]).start();
    assert_eq!(phone.wait(Duration::from_secs(20)), exit::ENDED);
    hears_some(&phone.heard(), 440.0, "the caller");
    let mut phone =
        Setup::new(case, "called", "answer").config(&account).silent().arguments(&["--auto"]).record().start();
    phone.expect_registered();
    asterisk.expect_registered(user, Duration::from_secs(5));
    asterisk.cli(&format!("channel originate PJSIP/{user} extension 601@phones"));
    phone.expect_established();
    thread::sleep(Duration::from_secs(3));
    assert_eq!(phone.interrupt(), exit::ENDED);
    let heard = phone.heard();
    let end = heard.seconds();
    hears_some(&heard.part(end - 2.5, end), 1_004.0, "the called");
    asterisk.expect_hung_up(user);
}

/// Tries to register once, in vain: what the user is told, with all of `words` in it.
fn refused(case: &Case, name: &str, account: &str, words: &[&str]) {
    let mut phone = Setup::new(case, name, "register").config(account).arguments(&["--once"]).start();
    assert_eq!(phone.wait(Duration::from_secs(20)), exit::NETWORK, "{name}");
    let line = phone.lines().into_iter().find(|line| line["state"] == "failed").expect("the failure");
    let cause = line["cause"].as_str().expect("a cause");
    assert!(words.iter().all(|word| cause.contains(word)), "{name}: {words:?} are not all in {cause:?}");
}

fn accepted(case: &Case, name: &str, account: &str) {
    let mut phone = Setup::new(case, name, "register").config(account).arguments(&["--once"]).start();
    assert_eq!(phone.wait(Duration::from_secs(20)), exit::ENDED, "{name}");
}

fn expired(case: &Case) {
    let identity = |authority: &Authority| authority.expired(&["localhost", "127.0.0.1"]);
    let kamailio = Kamailio::start_with(case, &Options { identity, ..Options::default() });
    for transport in [Transport::Tls, Transport::Wss] {
        let words = ["expired", "2020-01-01", "renew"];
        refused(case, transport.name(), &kamailio.account("alice", transport), &words);
    }
}

fn named_otherwise(case: &Case) {
    let identity = |authority: &Authority| authority.identity(&["pbx.example"]);
    let kamailio = Kamailio::start_with(case, &Options { identity, ..Options::default() });
    for transport in [Transport::Tls, Transport::Wss] {
        refused(case, transport.name(), &kamailio.account("alice", transport), &["names pbx.example, not "]);
    }
}

fn unknown_issuer(case: &Case) {
    let kamailio = Kamailio::start(case);
    let other = Authority::new(&case.folder(), "other");
    let address = kamailio.address(Transport::Tls);
    let account = phone::account("alice", "localhost", address, Transport::Tls, &other.file);
    refused(case, "stranger", &account, &["nobody trusted has signed", "set tls_ca"]);
    accepted(case, "friend", &kamailio.account("alice", Transport::Tls));
}

/// The server takes only phones with a certificate of its own authority.
fn mutual(case: &Case) {
    let kamailio = Kamailio::start_with(case, &Options { mutual: true, ..Options::default() });
    let account = kamailio.account("alice", Transport::Tls);
    let with = |Identity { certificate, key }| {
        account.clone() + &format!("tls_certificate = {certificate:?}\ntls_key = {key:?}\n")
    };
    refused(case, "without", &account, &["asks for a client certificate", "tls_certificate"]);
    let forged = Authority::new(&case.folder(), "other").identity(&["alice.example"]);
    refused(case, "forged", &with(forged), &["does not accept our client certificate"]);
    accepted(case, "with", &with(kamailio.authority.identity(&["alice.example"])));
}

fn wrong_path(case: &Case) {
    let kamailio = Kamailio::start(case);
    let account = kamailio.account("alice", Transport::Ws) + "websocket_path = \"/sip\"\n";
    refused(case, "wrong", &account, &["no WebSocket at /sip", "404", "websocket_path"]);
    accepted(case, "right", &kamailio.account("alice", Transport::Ws));
}

/// The next phone that comes to `listener`; the WebSocket says it is for SIP, or does not.
#[expect(clippy::result_large_err, reason = "the library wants this callback")]
fn websocket(listener: &TcpListener, sip: bool) -> WebSocket<TcpStream> {
    let (stream, _) = listener.accept().expect("a phone");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket");
    let answer = |request: &Request, mut response: Response| {
        assert_eq!(request.headers()["Sec-WebSocket-Protocol"], "sip");
        if sip {
            response.headers_mut().insert("Sec-WebSocket-Protocol", "sip".parse().expect("a value"));
        }
        Ok(response)
    };
    accept_hdr(stream, answer).expect("the handshake of RFC 6455")
}

fn serve() -> (TcpListener, String) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback");
    let address: SocketAddr = listener.local_addr().expect("bound");
    (listener, phone::account("alice", "localhost", address, Transport::Ws, Path::new("")))
}

fn not_for_sip(case: &Case) {
    let (listener, account) = serve();
    let server = thread::spawn(move || drop(websocket(&listener, false)));
    refused(case, "phone", &account, &["does not speak SIP in this WebSocket"]);
    server.join().expect("the server");
}

/// The phone answers pings, comes back after the server has closed the connection, and says why it went.
fn closed(case: &Case) {
    let (listener, account) = serve();
    let server = thread::spawn(move || {
        let mut first = websocket(&listener, true);
        registers(&mut first);
        first.send(Message::Ping("are you there".into())).expect("sends");
        while first.read().expect("a pong") != Message::Pong("are you there".into()) {}
        let frame = CloseFrame { code: CloseCode::Restart, reason: "update".into() };
        first.close(Some(frame)).expect("closes");
        while first.read().is_ok() {}
        registers(&mut websocket(&listener, true));
    });
    let mut phone: Phone = Setup::new(case, "phone", "register").config(&account).start();
    phone.expect_registered();
    let line = phone.expect("the failure", Duration::from_secs(5), |line| line["state"] == "failed");
    assert!(line["cause"].as_str().is_some_and(|cause| cause.contains("restarts")), "{line}");
    let since = line["time"].as_f64().expect("a time");
    phone.expect_after(since, "the second registration", Duration::from_secs(5), |line| line["state"] == "registered");
    server.join().expect("the server");
}

/// Answers whatever comes until a REGISTER has been answered.
fn registers(socket: &mut WebSocket<TcpStream>) {
    loop {
        let message = socket.read().expect("a message");
        let Some(request) = SipText::parse(&message.into_data()) else { continue };
        let mut lines = vec!["SIP/2.0 200 OK".to_owned()];
        let copied = ["Via:", "From:", "Call-ID:", "CSeq:", "Contact:"];
        lines.extend(request.lines.iter().filter(|line| copied.iter().any(|name| line.starts_with(name))).cloned());
        lines.push(format!("To: {};tag=server", request.header("To").expect("a To")));
        lines.push("Expires: 600".to_owned());
        let response = SipText { lines, body: String::new() }.to_bytes();
        socket.send(Message::text(String::from_utf8(response).expect("text"))).expect("sends");
        if request.lines[0].starts_with("REGISTER ") {
            return;
        }
    }
}
