//! Any challenge and any credentials: no answer breaks its line, and nobody gets in without the password (RFC 7616).
#![no_main]
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use offhook::base::rng::Rng;
use offhook::base::secret::Secret;
use offhook::sip::auth::{AuthValue, Client, Credentials, Password, Server, ServerConfig, Verdict};
use offhook::sip::message::{Headers, Message, Method, Request, Response, Uri, parse};
use std::time::Instant;

fn request() -> Request {
    let mut headers = Headers::default();
    for (name, value) in [
        ("Via", "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx"),
        ("From", "<sip:a@example.com>;tag=1"),
        ("To", "<sip:a@example.com>"),
        ("Call-ID", "c"),
        ("CSeq", "1 REGISTER"),
    ] {
        headers.push(name, value);
    }
    Request {
        method: Method::Register,
        uri: Uri::parse("sip:example.com").expect("a URI"),
        headers,
        body: Bytes::new(),
    }
}

fuzz_target!(|text: &str| {
    let mut request = request();
    let mut response = Response::to_request(&request, 401, Some("t"));
    for (n, line) in text.split('\n').take(8).enumerate() {
        assert!(AuthValue::parse_all(line).len() <= 16);
        response.headers.push(if n % 2 == 0 { "WWW-Authenticate" } else { "Proxy-Authenticate" }, line);
    }
    let credentials =
        Credentials { user: "alice".to_owned(), password: Password::Plain(Secret::new("secret-word")), realm: None };
    let mut client = Client::new(credentials, Rng::from_u64(1));
    for _ in 0..4 {
        let Ok(answers) = client.answer(&request, &response) else { break };
        request.headers.remove("Authorization");
        request.headers.remove("Proxy-Authorization");
        for (name, value) in &answers {
            assert!(!value.contains("secret-word"));
            request.headers.push(name, value);
        }
        let Ok(Message::Request(read)) = parse(&request.to_bytes()) else { panic!("{request:?}") };
        // What was written is what the server reads: the realm and the nonce are the challenge's, to the byte.
        for (name, value) in &answers {
            let value = read.headers.all(name).find(|v| *v == value).expect("the credentials");
            let [written] = &AuthValue::parse_all(value)[..] else { panic!("{value:?}") };
            let challenges = response.headers.iter().filter(|(n, _)| n.ends_with("-Authenticate"));
            let mut challenges = challenges.flat_map(|(_, v)| AuthValue::parse_all(v));
            assert!(
                challenges.any(|c| c.get("realm") == written.get("realm") && c.get("nonce") == written.get("nonce")),
                "{value:?}"
            );
        }
    }
    let _ = client.anticipate(&request);

    let mut server = Server::new(ServerConfig::new("example.com"), Rng::from_u64(2));
    request.headers.remove("Authorization");
    text.split('\n').take(8).for_each(|line| request.headers.push("Authorization", line));
    let password = |_: &str| Some(Password::Plain(Secret::new("secret-word")));
    let verdict = server.verify(Instant::now(), &request, "Authorization", password);
    assert!(matches!(verdict, Verdict::Denied(_)));
});
