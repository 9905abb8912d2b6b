//! SIP messages from the outside: the traps of RFC 4475 and RFC 5118, and the laws that hold for any bytes.
use bytes::Bytes;
use offhook::sip::message::{Message, Method, ParseError, Request, Response, parse};
use proptest::prelude::*;

/// What a reader of the bytes has to find.
enum Verdict {
    Accepted(fn(&Message) -> bool),
    Refused(u16),
    Dropped,
}
use Verdict::{Accepted, Dropped, Refused};

fn request(message: &Message) -> &Request {
    match message {
        Message::Request(request) => request,
        Message::Response(_) => panic!("a response"),
    }
}

fn response(message: &Message) -> &Response {
    match message {
        Message::Response(response) => response,
        Message::Request(_) => panic!("a request"),
    }
}

/// A message with the headers that `lines` does not bring itself.
fn complete(start: &str, lines: &str, body: &str) -> Bytes {
    let method = if start.starts_with("SIP/") { "INVITE" } else { start.split(' ').next().unwrap_or_default() };
    let cseq = format!("CSeq: 7 {method}");
    let mut text = format!("{start}\r\n{lines}");
    for line in [
        "Via: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKx7",
        "To: <sip:bob@example.com>",
        "From: <sip:al@example.net>;tag=7",
        "Call-ID: seven@example.net",
        &cseq,
    ] {
        let name = line.split(':').next().unwrap_or_default();
        let short = name.get(..1).unwrap_or_default();
        let brought = lines.lines().filter_map(|l| l.split(':').next()).any(|n| {
            let n = n.trim_end();
            n.eq_ignore_ascii_case(name) || (n.eq_ignore_ascii_case(short) && name != "Call-ID" && name != "CSeq")
        });
        if !brought {
            text.push_str(line);
            text.push_str("\r\n");
        }
    }
    Bytes::from(format!("{text}\r\n{body}"))
}

/// A torture test of ours: section of the RFC, start line, the lines that matter, body, and what is to come of it.
type Row = (&'static str, &'static str, &'static str, &'static str, Verdict);

fn check(rows: Vec<Row>) {
    for (section, start, lines, body, verdict) in rows {
        let result = parse(&complete(start, lines, body));
        match (verdict, result) {
            (Accepted(holds), Ok(message)) => {
                assert!(holds(&message), "{section}: {message:?}");
                let again = parse(&message.to_bytes()).unwrap_or_else(|e| panic!("{section}: printed, then {e}"));
                assert_eq!(again.headers(), message.headers(), "{section}");
            }
            (Refused(status), Err(ParseError::Refused { answer })) => assert_eq!(answer.status, status, "{section}"),
            (Dropped, Err(ParseError::Garbage(_))) => {}
            (_, other) => panic!("{section}: {other:?}"),
        }
    }
}

#[test]
fn rfc_4475_valid_messages() {
    check(vec![
        (
            "3.1.1.1 blanks and folds wherever they may stand",
            "INVITE sip:vera@desk.example.com;other SIP/2.0",
            "TO :\r\n sip:vera@desk.example.com ;   tag    = 19n\r\nfrom   : \"J R \\\\\\\"\"    <sip:j@example.com>\r\n  ;\r\n  tag = 98\r\n\
             MaX-fOrWaRdS: 0068\r\ncseq: 0009\r\n  INVITE\r\nVia  : SIP  /   2.0\r\n /UDP\r\n    192.0.2.2;branch=390\r\ns :\r\n\
             Odd: ;;,,;;,;\r\nv:  SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9  ,\r\n SIP  /    2.0   / UDP  \
             192.0.2.111   ; branch=\r\n z9hG4bK3\r\nm:\"Q \\\"\\\"\" <sip:j@example.com> ; newparam =\r\n      newvalue ;\r\n  q = 0.33\r\n",
            "",
            Accepted(|m| {
                let h = m.headers();
                h.to().unwrap().tag() == Some("19n")
                    && h.from().unwrap().display.as_deref() == Some("J R \\\"")
                    && h.number("Max-Forwards") == Ok(Some(68))
                    && h.cseq().unwrap().number == 9
                    && h.all("Via").count() == 3
                    && h.get("Subject") == Some("")
                    && h.get("odd") == Some(";;,,;;,;")
                    && h.name_addrs("Contact").unwrap()[0].params.value("newparam") == Some("newvalue")
            }),
        ),
        (
            "3.1.1.2 every character a token may have",
            "!odd-Method0_*+`.%indeed'~ sip:1_u.R~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d(no)@example.com SIP/2.0",
            "To: \"BEL:\\\u{7} NUL:\\\0 DEL:\\\u{7f}\" <sip:u~(x)&y,/;;*@example.com>\r\nFrom: tok1~` tok2'+_ <sip:m@example.com>;fp''~+*_!.-%=\"р\";tag=_t~1'+`*%!-.\r\n\
             Call-ID: i.word%ZK-!.*_+'@word`~)(><:\\/\"][?}{\r\next-!.%*+_`'~:大\r\n",
            "",
            Accepted(|m| {
                let r = request(m);
                matches!(r.method, Method::Other(_))
                    && r.uri.password.as_deref() == Some("&it+has=1,weird!*pas$wo~d(no)")
                    && m.headers().from().unwrap().tag() == Some("_t~1'+`*%!-.")
            }),
        ),
        (
            "3.1.1.3 escapes compare equal",
            "INVITE sip:sips%3Auser%40example.com@example.net SIP/2.0",
            "To: sip:%75se%72@example.com\r\nContact:\r\n  <sip:cal%6Cer@h.example.net;%6C%72;n%61me=v%61lue%25%34%31>\r\n",
            "",
            Accepted(|m| {
                let user = "sip:user@example.com".to_owned();
                m.headers().to().unwrap().uri.matches(&offhook::sip::message::Uri::parse(&user).unwrap())
                    && request(m).uri.host.to_string() == "example.net"
            }),
        ),
        (
            "3.1.1.4 escaped zeros do not shorten",
            "REGISTER sip:example.com SIP/2.0",
            "Contact: <sip:%00@h.example.com>\r\nContact: <sip:%00%00@h.example.com>\r\n",
            "",
            Accepted(|m| {
                let contacts = m.headers().name_addrs("Contact").unwrap();
                !contacts[0].uri.matches(&contacts[1].uri)
            }),
        ),
        (
            "3.1.1.5 a percent sign outside of URIs is no escape",
            "RE%47IST%45R sip:example.com SIP/2.0",
            "To: \"%Z%45\" <sip:r@example.com>\r\nContact: <sip:a@h>\r\nC%6Fntact: <sip:b@h>\r\n",
            "",
            Accepted(|m| request(m).method != Method::Register && m.headers().all("Contact").count() == 1),
        ),
        (
            "3.1.1.6 no blank before the bracket",
            "OPTIONS sip:user@example.com SIP/2.0",
            "From: caller<sip:caller@example.com>;tag=323\r\n",
            "",
            Accepted(|m| m.headers().from().unwrap().display.as_deref() == Some("caller")),
        ),
        (
            "3.1.1.8 bytes after the message",
            "REGISTER sip:example.com SIP/2.0",
            "Content-Length: 0\r\n",
            "\r\nINVITE sip:joe@example.com SIP/2.0\r\n\r\n",
            Accepted(|m| request(m).body.is_empty()),
        ),
        (
            "3.1.1.9 a semicolon of the user part",
            "OPTIONS sip:user;par=u%40example.net@example.com SIP/2.0",
            "Accept: application/sdp, a/b,\r\n        multipart/mixed\r\n",
            "",
            Accepted(|m| {
                let r = request(m);
                r.uri.user.as_deref() == Some("user;par=u%40example.net")
                    && r.uri.params.is_empty()
                    && m.headers().all("Accept").count() == 3
            }),
        ),
        (
            "3.1.1.10 unknown transports",
            "OPTIONS sip:user@example.com SIP/2.0",
            "Via: SIP/2.0/UDP t1.example.com;branch=z9hG4bK1\r\nVia: SIP/2.0/UNKNOWN t4.example.com;branch=z9hG4bK4\r\n",
            "",
            Accepted(|m| m.headers().via().unwrap().transport == "UDP"),
        ),
        (
            "3.1.1.12 a reason in another script",
            "SIP/2.0 200 = 2**3 сто",
            "",
            "",
            Accepted(|m| response(m).reason == "= 2**3 сто"),
        ),
        ("3.1.1.13 no reason", "SIP/2.0 100 ", "", "", Accepted(|m| response(m).reason.is_empty())),
        (
            "3.3.2 an unknown scheme",
            "OPTIONS nobodyKnows:opaque SIP/2.0",
            "",
            "",
            Accepted(|m| !request(m).uri.is_sip()),
        ),
        (
            "3.3.4 unknown schemes in headers",
            "REGISTER sip:example.com SIP/2.0",
            "To: isbn:2983792873\r\nFrom: <http://www.example.com>;tag=3\r\nContact: <name:John_Smith>\r\n",
            "",
            Accepted(|m| m.headers().name_addrs("Contact").is_ok()),
        ),
        (
            "3.3.7 an unknown authorization scheme",
            "REGISTER sip:example.com SIP/2.0",
            "Authorization: NoOneKnowsThisScheme opaque-data=here\r\n",
            "",
            Accepted(|_| true),
        ),
        (
            "3.3.12 a parameter of the header",
            "REGISTER sip:example.com SIP/2.0",
            "Contact: sip:+19@gw.example.net;unknownparam\r\n",
            "",
            Accepted(|m| m.headers().name_addrs("Contact").unwrap()[0].params.has("unknownparam")),
        ),
        (
            "3.3.13 a parameter of the URI",
            "REGISTER sip:example.com SIP/2.0",
            "Contact: <sip:+19@gw.example.net;unknownparam>\r\n",
            "",
            Accepted(|m| m.headers().name_addrs("Contact").unwrap()[0].uri.params.has("unknownparam")),
        ),
        (
            "3.3.14 a header inside a URI",
            "REGISTER sip:example.com SIP/2.0",
            "M: <sip:u@example.com?Route=%3Csip:s.example.com%3E>\r\n",
            "",
            Accepted(|m| {
                m.headers().name_addrs("Contact").unwrap()[0].uri.headers.is_some()
                    && m.headers().get("Route").is_none()
            }),
        ),
        (
            "3.4.1 as RFC 2543 wrote it",
            "INVITE sip:UserB@example.com SIP/2.0",
            "Via: SIP/2.0/UDP gw.example.com\r\nFrom: <sip:+1303@ift.example.net;user=phone>\r\nTo: sip:+1650@ss1.example.net;user=phone\r\n",
            "v=0\r\n",
            Accepted(|m| request(m).body.len() == 5 && m.headers().via().unwrap().branch().is_none()),
        ),
    ]);
}

#[test]
fn rfc_4475_invalid_messages() {
    check(vec![
        (
            "3.1.2.1 empty list elements",
            "INVITE sip:u@example.com SIP/2.0",
            "Via: SIP/2.0/UDP 192.0.2.15;;,;,,\r\n",
            "",
            Refused(400),
        ),
        (
            "3.1.2.2 a length beyond the datagram",
            "INVITE sip:u@example.com SIP/2.0",
            "Content-Length: 9999\r\n",
            "v=0\r\n",
            Refused(400),
        ),
        (
            "3.1.2.3 a negative length",
            "INVITE sip:u@example.com SIP/2.0",
            "Content-Length: -999\r\n",
            "v=0\r\n",
            Refused(400),
        ),
        (
            "3.1.2.4 a CSeq beyond 32 bits",
            "REGISTER sip:example.com SIP/2.0",
            "CSeq: 36893488147419103232 REGISTER\r\n",
            "",
            Refused(400),
        ),
        (
            "3.1.2.5 the same in a response",
            "SIP/2.0 503 Service Unavailable",
            "CSeq: 9292394834772304023312 OPTIONS\r\n",
            "",
            Dropped,
        ),
        (
            "3.1.2.6 an open quote",
            "INVITE sip:u@example.com SIP/2.0",
            "To: \"Mr. J. User <sip:j@example.com>\r\n",
            "",
            Refused(400),
        ),
        ("3.1.2.7 brackets round the Request-URI", "INVITE <sip:u@example.com> SIP/2.0", "", "", Refused(400)),
        ("3.1.2.8 a blank in the Request-URI", "INVITE sip:u@example.com; lr SIP/2.0", "", "", Refused(400)),
        (
            "3.1.2.9 two blanks in the start line",
            "INVITE  sip:u@example.com  SIP/2.0",
            "CSeq: 7 INVITE\r\n",
            "",
            Refused(400),
        ),
        ("3.1.2.10 blanks after the version", "OPTIONS sip:u@example.com SIP/2.0  ", "", "", Refused(400)),
        (
            "3.1.2.11 headers in the Request-URI",
            "INVITE sip:u@example.com?Route=%3Csip:e.com%3E SIP/2.0",
            "",
            "",
            Refused(400),
        ),
        (
            "3.1.2.14 blanks inside the brackets",
            "OPTIONS sip:u@example.com SIP/2.0",
            "To: \"W, T\" < sip:t@example.org >\r\n",
            "",
            Refused(400),
        ),
        (
            "3.1.2.15 a comma without quotes",
            "OPTIONS sip:u@example.com SIP/2.0",
            "From: Bell, A <sip:a@example.com>;tag=43\r\n",
            "",
            Refused(400),
        ),
        (
            "3.1.2.16 another version",
            "OPTIONS sip:u@example.com SIP/7.0",
            "Via: SIP/7.0/UDP c.example.com;branch=z9hG4bK1\r\n",
            "",
            Refused(505),
        ),
        ("3.1.2.17 two methods", "OPTIONS sip:u@example.com SIP/2.0", "CSeq: 8 INVITE\r\n", "", Refused(400)),
        ("3.1.2.19 a status of 32 bits", "SIP/2.0 4294967301 better not break", "", "", Dropped),
        (
            "3.3.8 headers that may stand once only",
            "INVITE sip:u@company.com SIP/2.0",
            "To: sip:u@company.com\r\nTo: sip:o@example.net\r\n",
            "",
            Refused(400),
        ),
        (
            "3.3.9 two lengths",
            "OPTIONS sip:u@example.com SIP/2.0",
            "Content-Length: 13\r\nContent-Length: 5\r\n",
            "no way to know",
            Refused(400),
        ),
    ]);
    let rejected_by_its_reader = parse(&complete(
        "REGISTER sip:example.com SIP/2.0",
        "Contact: sip:user@example.com?Route=%3Csip:sip.example.com%3E\r\nExpires: 100000000000000000000000\r\n",
        "",
    ));
    let message = rejected_by_its_reader.expect("3.1.2.13 and 3.1.2.4");
    assert!(message.headers().name_addrs("Contact").is_err());
    assert!(message.headers().number("Expires").is_err());
    let insufficient =
        Bytes::from("INVITE sip:u@example.com SIP/2.0\r\nCSeq: 1 INVITE\r\nVia: SIP/2.0/UDP 192.0.2.95\r\n\r\n");
    assert!(matches!(parse(&insufficient), Err(ParseError::Refused { answer }) if answer.status == 400), "3.3.1");
}

#[test]
fn rfc_5118_addresses() {
    check(vec![
        (
            "4.1",
            "REGISTER sip:[2001:db8::10] SIP/2.0",
            "",
            "",
            Accepted(|m| request(m).uri.host.to_string() == "[2001:db8::10]"),
        ),
        ("4.2 no brackets", "REGISTER sip:2001:db8::10 SIP/2.0", "", "", Refused(400)),
        (
            "4.3 what looks like a port",
            "REGISTER sip:[2001:db8::10:5070] SIP/2.0",
            "",
            "",
            Accepted(|m| request(m).uri.port.is_none()),
        ),
        (
            "4.4 what is a port",
            "REGISTER sip:[2001:db8::10]:5070 SIP/2.0",
            "",
            "",
            Accepted(|m| request(m).uri.port == Some(5070)),
        ),
        (
            "4.5 received with brackets",
            "BYE sip:[2001:db8::10] SIP/2.0",
            "Via: SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255];branch=z9hG4bKa\r\n",
            "",
            Accepted(|m| m.headers().via().unwrap().received() == "2001:db8::9:255".parse().ok()),
        ),
        (
            "4.5 received without brackets",
            "OPTIONS sip:[2001:db8::10] SIP/2.0",
            "Via: SIP/2.0/UDP [2001:db8::9:1];received=2001:db8::9:255;branch=z9hG4bKa\r\n",
            "",
            Accepted(|m| m.headers().via().unwrap().received() == "2001:db8::9:255".parse().ok()),
        ),
        (
            "4.7 both families in one list",
            "BYE sip:user@host.example.net SIP/2.0",
            "Via: SIP/2.0/UDP [2001:db8::9:1]:6050;branch=z9hG4bKa, SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKb\r\n",
            "",
            Accepted(|m| m.headers().via().unwrap().port == Some(6050) && m.headers().all("Via").count() == 2),
        ),
        (
            "4.9 mapped addresses",
            "INVITE sip:user@example.com SIP/2.0",
            "Contact: <sip:ted@[::ffff:192.0.2.2]>\r\n",
            "",
            Accepted(|m| m.headers().name_addrs("Contact").is_ok()),
        ),
        (
            "4.10 three colons",
            "OPTIONS sip:u@[2001:db8:::192.0.2.1] SIP/2.0",
            "",
            "",
            Accepted(|m| request(m).uri.host.ip().is_some()),
        ),
        (
            "4.10 two colons",
            "OPTIONS sip:u@[2001:db8::192.0.2.1] SIP/2.0",
            "",
            "",
            Accepted(|m| request(m).uri.host.ip().is_some()),
        ),
    ]);
}

/// Header lines that a peer might send, well formed or not.
fn header_line() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("Via"),
        Just("v"),
        Just("Contact"),
        Just("m"),
        Just("Route"),
        Just("Supported"),
        Just("k"),
        Just("Allow"),
        Just("Accept"),
        Just("Subject"),
        Just("X-Unknown"),
        Just("Content-Length"),
        Just("l"),
        Just("Max-Forwards"),
        Just("WWW-Authenticate"),
        Just("To"),
    ];
    let value = prop_oneof![
        "[ -~]{0,40}",
        "(\"[a-z,\\\\<]{0,8}\" )?<sip:[a-z0-9.;]{1,12}@[a-z0-9.]{1,12}(;lr)?>(;[a-z]{1,4}(=[a-z0-9]{1,4})?){0,3}",
        "SIP ?/ ?2.0 ?/ ?(UDP|TCP) +[a-z.]{1,9}(:[0-9]{1,5})?( ;branch=z9hG4bK[a-z0-9]{1,9})?",
        "[a-z]{1,5}( ?, ?[a-z\"]{0,5}){0,6}",
        "[0-9]{1,12}",
        "\\PC{0,20}",
    ];
    let fold = prop_oneof![Just(""), Just("\r\n "), Just("\r\n\t  ")];
    (name, fold, value).prop_map(|(name, fold, value)| format!("{name}: {fold}{value}\r\n"))
}

fn message() -> impl Strategy<Value = Bytes> {
    let start = prop_oneof![
        Just("INVITE sip:bob@example.com;transport=tcp SIP/2.0".to_owned()),
        Just("OPTIONS tel:+1-201-555-0123;phone-context=x.y SIP/2.0".to_owned()),
        Just("FROBNICATE urn:service:sos SIP/2.0".to_owned()),
        "SIP/2\\.0 [1-6][0-9]{2}( [ -~]{0,20})?",
        "[A-Z]{1,6} sips?:[!-~]{1,20} SIP/2\\.0",
    ];
    (start, proptest::collection::vec(header_line(), 0..8), proptest::collection::vec(any::<u8>(), 0..40)).prop_map(
        |(start, lines, body)| {
            let mut bytes = complete(&start, &lines.concat(), "").to_vec();
            bytes.extend(body);
            bytes.into()
        },
    )
}

/// Uses every typed view: none of them may panic, whatever the headers hold.
fn look_at_all(message: &Message) {
    let h = message.headers();
    let names = ["Contact", "Route", "Record-Route", "To"];
    names.into_iter().for_each(|name| drop(h.name_addrs(name)));
    ["Expires", "Max-Forwards", "Subject"].into_iter().for_each(|name| drop(h.number(name)));
    h.has_token("Supported", "x");
    if let Ok(mut via) = h.via() {
        via.stamp(([192, 0, 2, 1], 9).into());
        via.response_address(5060);
    }
    if let Message::Request(request) = message {
        assert!(request.uri.matches(&request.uri), "{}", request.uri);
    }
}

/// What is printed is read again as the same message.
fn printing_is_faithful(message: &Message) -> Result<(), TestCaseError> {
    let printed = message.to_bytes();
    let again = parse(&printed).map_err(|e| TestCaseError::fail(format!("{e}: {printed:?}")))?;
    prop_assert_eq!(again.headers(), message.headers());
    prop_assert_eq!(&again.to_bytes(), &printed);
    match (message, &again) {
        (Message::Request(a), Message::Request(b)) => {
            prop_assert_eq!((&a.method, a.uri.to_string(), &a.body), (&b.method, b.uri.to_string(), &b.body));
        }
        (Message::Response(a), Message::Response(b)) => {
            prop_assert_eq!((a.status, &a.reason, &a.body), (b.status, &b.reason, &b.body));
        }
        _ => prop_assert!(false, "a request became a response"),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parse_print_parse_is_the_same(bytes in message()) {
        match parse(&bytes) {
            Ok(message) => printing_is_faithful(&message)?,
            Err(ParseError::Refused { answer }) => printing_is_faithful_if_readable(&answer)?,
            Err(_) => {}
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        drop(parse(&bytes.into()));
    }

    #[test]
    fn mutated_messages_never_panic(
        bytes in message(),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>(), 0_u8..3), 1..6),
    ) {
        let mut bytes = bytes.to_vec();
        for (at, byte, kind) in changes {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                _ => { bytes.remove(at); }
            }
        }
        if let Ok(message) = parse(&bytes.into()) {
            look_at_all(&message);
            printing_is_faithful(&message)?;
        }
    }

    #[test]
    fn a_value_never_ends_its_line(name in "[A-Za-z-]{1,8}", value in any::<String>(), reason in any::<String>()) {
        let Ok(Message::Request(request)) = parse(&complete("OPTIONS sip:u@h SIP/2.0", "", "")) else { panic!("a request") };
        let mut answer = Response::to_request(&request, 200, Some("t"));
        let lines = |r: &Response| r.to_bytes().iter().filter(|b| **b == b'\n').count();
        let before = lines(&answer);
        answer.headers.push(&name, &value);
        answer.reason = reason;
        let added = usize::from(!name.eq_ignore_ascii_case("Content-Length"));
        prop_assert_eq!(lines(&answer), before + added);
        prop_assert!(!answer.to_bytes().contains(&0));
    }
}

/// An answer to a bad request repeats what was sent, so that it need not be readable itself; it must be one message.
fn printing_is_faithful_if_readable(answer: &Response) -> Result<(), TestCaseError> {
    prop_assert!((400..=599).contains(&answer.status));
    prop_assert!(answer.headers.via().is_ok());
    let bytes = answer.to_bytes();
    prop_assert_eq!(offhook::sip::message::head_length(&bytes), Some(bytes.len()));
    Ok(())
}

/// A thousand times the work for a thousand times the bytes would show here as minutes.
#[test]
fn hostile_messages_are_read_in_linear_time() {
    let rows = [
        format!("Contact: {}\r\n", "<sip:a@b>,".repeat(6_000)),
        "X:\r\n ".repeat(9_000) + "\r\n",
        format!("To: {}\r\n", "\"\\".repeat(30_000)),
        format!("Via: SIP/2.0/UDP h{}\r\n", ";a".repeat(30_000)),
        "a:b\r\n".repeat(12_000),
        format!("Subject: {}\r\n", " \r\n".to_owned() + &" x\r\n".repeat(15_000)),
    ];
    for lines in rows {
        for _ in 0..20 {
            drop(parse(&complete("OPTIONS sip:u@h SIP/2.0", &lines, "")));
        }
    }
}
