//! Any value of any header: the typed views read it without harm, and write what they read (RFC 3261 §20).
#![no_main]
use libfuzzer_sys::fuzz_target;
use offhook::sip::message::{Headers, NameAddr, Via};

const NAMES: [&str; 24] = [
    "Via",
    "From",
    "To",
    "Contact",
    "Route",
    "Record-Route",
    "Path",
    "Service-Route",
    "Refer-To",
    "P-Asserted-Identity",
    "Call-ID",
    "CSeq",
    "Max-Forwards",
    "Expires",
    "Min-Expires",
    "Retry-After",
    "Session-Expires",
    "RSeq",
    "Supported",
    "Allow",
    "Require",
    "Accept",
    "Content-Type",
    "X-Other",
];

fuzz_target!(|text: &str| {
    let mut headers = Headers::default();
    // A line each; its first character chooses the name.
    for line in text.split('\n').take(64) {
        let mut chars = line.chars();
        let Some(first) = chars.next() else { continue };
        let name = NAMES[first as usize % NAMES.len()];
        headers.push(name, chars.as_str());
        one_value(chars.as_str());
    }
    let _ = (headers.via(), headers.from(), headers.to(), headers.call_id(), headers.is_star_contact());
    if let Ok(cseq) = headers.cseq() {
        let mut again = Headers::default();
        again.push("CSeq", &cseq);
        assert_eq!(again.cseq(), Ok(cseq));
    }
    for name in NAMES {
        let _ = (headers.name_addrs(name), headers.number(name), headers.tokens(name).count());
        let before = headers.all(name).count();
        headers.push_front(name, "x");
        assert_eq!((headers.all(name).count(), headers.get(name)), (before + 1, Some("x")));
        headers.replace_first(name, "y");
        assert_eq!(headers.remove_first(name).as_deref(), Some("y"));
        headers.set(name, "z");
        assert_eq!(headers.all(name).collect::<Vec<_>>(), ["z"]);
        headers.remove(name);
        assert_eq!(headers.get(name), None);
    }
    assert_eq!(headers, Headers::default());
});

fn one_value(value: &str) {
    if let Ok(address) = NameAddr::parse(value) {
        let printed = address.to_string();
        let again = NameAddr::parse(&printed).unwrap_or_else(|e| panic!("{printed:?}: {e}"));
        assert_eq!((again.to_string(), &again.display), (printed, &address.display));
        let tagged = address.with_tag("t").to_string();
        assert_eq!(NameAddr::parse(&tagged).expect("a tagged name-addr").tag(), Some("t"), "{tagged:?}");
    }
    if let Ok(mut via) = Via::parse(value) {
        let printed = via.to_string();
        assert_eq!(Via::parse(&printed).unwrap_or_else(|e| panic!("{printed:?}: {e}")).to_string(), printed);
        let source = "192.0.2.1:9".parse().expect("an address");
        via.stamp(source);
        let printed = via.to_string();
        let again = Via::parse(&printed).unwrap_or_else(|e| panic!("{printed:?}: {e}"));
        assert_eq!(again.to_string(), printed);
        // Whatever the sender claimed, the answer goes to the address that the message came from.
        assert!(again.response_address(5060).is_none_or(|to| to.ip() == source.ip()), "{printed:?}");
    }
}
