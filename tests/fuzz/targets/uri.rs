//! Any URI: what can be read is written so that it is read the same, and equals itself (RFC 3261 §19.1).
#![no_main]
use libfuzzer_sys::fuzz_target;
use offhook::sip::message::{Host, NameAddr, Uri};

fuzz_target!(|text: &str| {
    if let Some(host) = Host::parse(text) {
        assert_eq!(Host::parse(&host.to_string()), Some(host));
    }
    // Two URIs, one a line, are equal in both directions or in none.
    let mut uris = text.split('\n').take(2).map(Uri::parse);
    let (first, second) = (uris.next(), uris.next());
    if let Some(Ok(uri)) = &first {
        let printed = uri.to_string();
        let again = Uri::parse(&printed).unwrap_or_else(|e| panic!("{printed:?}: {e}"));
        assert_eq!(again.to_string(), printed);
        assert!(uri.matches(&again) && again.matches(uri), "{printed:?}");
        assert!(!printed.contains(['\r', '\n', '\0', ' ', '<', '>', '"']));
        let bracketed = NameAddr::new(again).with_tag("x");
        let again = NameAddr::parse(&bracketed.to_string()).expect("a name-addr");
        assert_eq!((again.uri.to_string(), again.tag()), (printed, Some("x")));
    }
    if let (Some(Ok(a)), Some(Ok(b))) = (&first, &second) {
        assert_eq!(a.matches(b), b.matches(a), "{a} {b}");
    }
});
