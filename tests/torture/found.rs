//! What the fuzzers of `tests/fuzz` have found: the bytes, and what must come of them.
use bytes::Bytes;
use offhook::base::rng::Rng;
use offhook::base::secret::Secret;
use offhook::sdp::Session;
use offhook::sip::auth::{AuthValue, Client, Credentials, Password};
use offhook::sip::message::{Headers, Method, Request, Response, Uri};

#[test]
fn a_uri_with_a_parameter_twice_equals_itself() {
    let text = "sip:kcPDYQJX9@192.0.2.4:5060;transport=udp9gr=urn:uuid:f81d4fa4e-7dec-11d0-0.2.4:5060;transport=udp9gr=urn:uuid:f81d4fa4e";
    let (a, b) = (Uri::parse(text).expect("a URI"), Uri::parse(text).expect("a URI"));
    assert!(a.matches(&b) && b.matches(&a));
}

#[test]
fn a_challenge_with_unbalanced_quotes_gets_no_answer() {
    for challenge in [
        "Digest realm=\"example.com\", nonce=\"Z0C4xGdAt5gHR3n",
        "Digest realm=\"example.com\", nonce=\"Z0C4\"xGdA\"t5gHR3n\"",
        "Digest realm=\"example.com\", nonce=Z0C4xGdAt5gHR3n\\",
    ] {
        let mut headers = Headers::default();
        headers.push("CSeq", "1 REGISTER");
        let uri = Uri::parse("sip:example.com").expect("a URI");
        let request = Request { method: Method::Register, uri, headers, body: Bytes::new() };
        let mut response = Response::to_request(&request, 401, Some("t"));
        response.headers.push("WWW-Authenticate", challenge);
        let password = Password::Plain(Secret::new("secret"));
        let credentials = Credentials { user: "alice".to_owned(), password, realm: None };
        let mut client = Client::new(credentials, Rng::from_u64(1));
        assert!(client.answer(&request, &response).is_err(), "{challenge}");
    }
}

#[test]
fn schemes_without_parameters_are_challenges_too_and_are_counted() {
    let value = "Digest realm=\"a\", nonce=\"b\" , Negotiate, ".repeat(8) + &"a,".repeat(4_000);
    assert_eq!(AuthValue::parse_all(&value).len(), 16);
}

#[test]
fn a_connection_line_without_an_address_is_none() {
    let text = "v=0\r\no=- 1 1 IN IP4 198.51.050.1\r\ns=-\r\nc=IN IP4 /98.51.100.1\r\nt=0 0\r\nm=audio 8 RTP/AVP 0\r\n";
    assert_eq!(Session::parse(text.as_bytes()).map_err(|error| error.status()), Err(400));
}

#[test]
fn blanks_around_the_name_of_an_attribute_are_none_of_it() {
    let head = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 8 RTP/AVP 0\r\n";
    for (line, names) in [("a=rt :\r\n", &["rt"][..]), ("a= sendonly \r\n", &["sendonly"]), ("a= :x\r\na= \r\n", &[])] {
        let session = Session::parse(format!("{head}{line}").as_bytes()).expect("a description");
        assert_eq!(session.media[0].attributes.iter().map(|a| a.name.as_str()).collect::<Vec<_>>(), names, "{line:?}");
        assert_eq!(Session::parse(session.to_string().as_bytes()).ok(), Some(session), "{line:?}");
    }
}
