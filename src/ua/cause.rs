//! Why a registration failed, and what the reasons of RFC 3326 mean, in plain words.
use crate::sip::invite::Reason;
use crate::sip::message::reason_phrase;

/// What a final status of a REGISTER means.
pub fn registration_refused(status: u16, reason: &str) -> String {
    let words = match status {
        300..=399 => "the server sends us in circles; check the registrar of the account",
        401 | 407 => "user name or password refused",
        403 => "the server forbids this account; check user name and password",
        404 => "the server does not know this account; check user name and domain",
        408 => "no answer from the server",
        420 => "the server does not bear what the account asks for",
        421 => "the server demands an extension this phone does not have, or the account switches off",
        439 => "the server demands flows that the first server on the way does not keep",
        423 => "the server wants a longer registration",
        503 => "the server is overloaded or being restarted",
        500..=599 => "the server cannot do it now",
        _ => "the server refused",
    };
    with_reason(words, status, reason)
}

pub fn with_reason(words: &str, status: u16, reason: &str) -> String {
    if reason.is_empty() { format!("{words} ({status})") } else { format!("{words} ({status} {reason})") }
}

/// Columns of a reason's own text.
const TEXT: usize = 60;

/// All reasons a peer or a server gave (RFC 3326), each once: what its cause means, and its own text where that says more.
pub fn reasons(reasons: &[Reason]) -> Option<String> {
    let mut words: Vec<String> = Vec::new();
    for given in reasons {
        let text =
            given.text.as_ref().map(|text| text.sanitize(TEXT).trim().to_owned()).filter(|text| !text.is_empty());
        let said = match (reason(given), text) {
            (Some(meaning), Some(text)) if !same(&meaning, &text) => format!("{meaning}: {text}"),
            (Some(meaning), _) => meaning,
            (None, Some(text)) => text,
            (None, None) => continue,
        };
        if words.iter().all(|known| !same(known, &said)) {
            words.push(said);
        }
    }
    (!words.is_empty()).then(|| words.join("; "))
}

fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

/// What the cause of a reason means.
pub fn reason(reason: &Reason) -> Option<String> {
    match (reason.protocol.as_str(), reason.cause?) {
        ("Q.850", cause) => q850(cause).map(str::to_owned),
        ("SIP", 200) => Some("answered elsewhere".to_owned()),
        ("SIP", status @ 300..=699) => Some(reason_phrase(status).to_lowercase()),
        (_, _) => None,
    }
}

/// The causes of ITU-T Q.850 (table 1).
fn q850(cause: u16) -> Option<&'static str> {
    Some(match cause {
        1 => "number not assigned",
        2 => "no route to that network",
        3 => "no route to the destination",
        4 => "special information tone",
        5 => "wrong trunk prefix",
        6 => "channel unacceptable",
        7 => "call awarded to an open channel",
        8 => "pre-empted by a call of higher priority",
        9 => "pre-empted, the line is reserved",
        14 => "the number was taken to another provider",
        16 => "normal clearing",
        17 => "busy",
        18 => "no user responding",
        19 => "no answer",
        20 => "subscriber absent",
        21 => "call rejected",
        22 => "number changed",
        23 => "sent on to another destination",
        24 => "rejected by a feature at the destination",
        25 => "a network sent the call in circles",
        26 => "answered elsewhere",
        27 => "destination out of order",
        28 => "number incomplete",
        29 => "the network refuses the feature",
        30 => "answer to a status enquiry",
        31 => "normal, unspecified",
        34 => "no line free",
        38 => "network out of order",
        39 | 40 => "permanent connection out of order",
        41 => "temporary failure",
        42 => "congestion",
        43 => "user data was lost",
        44 => "the line asked for is not free",
        46 => "pre-empted, priority call blocked",
        47 => "no resources",
        49 => "quality not available",
        50 => "feature not subscribed",
        53 => "outgoing calls barred in the group",
        55 => "incoming calls barred in the group",
        57 => "not authorized for this kind of call",
        58 => "this kind of call is not available now",
        62 => "inconsistent kind of call",
        63 => "service not available",
        65 => "incompatible media",
        66 => "channel type not there",
        69 => "feature not there",
        70 => "only restricted digital calls",
        79 => "service not there",
        81..=83 | 85 | 86 => "call reference or identity unknown",
        84 => "call identity in use",
        87 => "not a member of the group",
        88 => "incompatible destination",
        90 => "group unknown",
        91 => "wrong transit network",
        95..=101 | 103 | 110 | 111 => "the networks misunderstood each other",
        102 => "a timer expired",
        127 => "interworking",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::untrusted::Untrusted;

    #[test]
    fn causes_without_text_have_a_meaning() {
        let rows: [(&str, Option<u16>, Option<&str>); 8] = [
            ("Q.850", None, None),
            ("Q.850", Some(0), None),
            ("Q.850", Some(999), None),
            ("SIP", Some(99), None),
            ("SIP", Some(486), Some("busy here")),
            ("X", Some(17), None),
            ("Q.850", Some(17), Some("busy")),
            ("SIP", Some(200), Some("answered elsewhere")),
        ];
        for (protocol, number, words) in rows {
            let given = Reason { protocol: protocol.to_owned(), cause: number, text: None };
            assert_eq!(reason(&given).as_deref(), words);
        }
    }

    #[test]
    fn the_status_stands_beside_the_words() {
        assert_eq!(registration_refused(500, ""), "the server cannot do it now (500)");
    }

    #[test]
    fn several_reasons_are_told_each_once() {
        let given = |protocol: &str, cause, text: &str| Reason {
            protocol: protocol.to_owned(),
            cause,
            text: (!text.is_empty()).then(|| Untrusted::new(text)),
        };
        let rows = [
            (vec![], None),
            (vec![given("X", Some(1), "")], None),
            (vec![given("X", None, "\u{1b}[2Jout\u{202e} of here")], Some("[2Jout of here")),
            (vec![given("Q.850", Some(16), "Normal Clearing")], Some("normal clearing")),
            (vec![given("Q.850", Some(17), ""), given("SIP", None, "BUSY")], Some("busy")),
            (
                vec![given("Q.850", Some(19), "after 30 s"), given("SIP", Some(480), "")],
                Some("no answer: after 30 s; temporarily unavailable"),
            ),
        ];
        for (list, words) in rows {
            assert_eq!(reasons(&list).as_deref(), words, "{list:?}");
        }
    }
}
