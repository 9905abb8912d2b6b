//! Why a call or a registration failed, in plain words: who refused, what it means, what to try.
use crate::sip::invite::Reason;

/// What a final status of an INVITE means to the person who called (RFC 3261 §21).
pub fn call_refused(status: u16, reason: &str) -> String {
    let words = match status {
        300..=399 => "the target has moved and nobody was called instead",
        400 => "the server could not read the call; please report this",
        401 | 407 => "the server did not accept user name or password; check the account",
        402 => "the server wants payment for this call",
        403 => "the server forbids this call; check the number and what the account may call",
        404 => "nobody has this number or name",
        405 | 501 => "the other side does not take calls",
        406 | 415 | 488 | 606 => "no common codec or protection; check the account's codecs",
        408 => "nobody answered in time; the phone called may be off the network",
        410 => "this number is no longer in use",
        413 | 513 => "the call request was too large for the server",
        414 => "the address is too long",
        416 => "the server does not know this kind of address",
        420 | 421 => "the server demands an extension this phone does not have",
        422 => "the server wants a longer session timer",
        480 => "the person called is not reachable now",
        481 => "the server does not know this call any more",
        482 | 483 => "the call went round in circles; a server is misconfigured",
        484 => "the number is incomplete",
        485 => "the name is ambiguous",
        486 | 600 => "busy",
        487 => "the call was given up before an answer",
        491 => "both sides changed the call at once",
        500 => "the server failed",
        502 | 504 => "the server got no answer from the next one",
        503 => "the server is overloaded or being restarted; try again shortly",
        505 => "the server does not speak this SIP version",
        580 => "the server could not reserve what the call needs",
        603 => "declined",
        604 => "this name or number does not exist anywhere",
        607 | 608 => "the call was rejected as unwanted",
        _ => "the call was refused",
    };
    with_reason(words, status, reason)
}

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

fn with_reason(words: &str, status: u16, reason: &str) -> String {
    if reason.is_empty() { format!("{words} ({status})") } else { format!("{words} ({status} {reason})") }
}

/// What a reason means when it brings no text of its own (RFC 3326): the meaning of its Q.850 cause.
pub fn reason(reason: &Reason) -> Option<&'static str> {
    match (reason.protocol.as_str(), reason.cause?) {
        ("Q.850", cause) => q850(cause),
        ("SIP", 200) => Some("answered elsewhere"),
        (_, _) => None,
    }
}

/// The causes of ITU-T Q.850 that telephones meet.
fn q850(cause: u16) -> Option<&'static str> {
    Some(match cause {
        1 => "number not assigned",
        2 | 3 => "no route to the destination",
        16 => "normal clearing",
        17 => "busy",
        18 => "no user responding",
        19 => "no answer",
        20 => "subscriber absent",
        21 => "call rejected",
        26 => "answered elsewhere",
        22 => "number changed",
        27 => "destination out of order",
        28 => "number incomplete",
        31 => "normal, unspecified",
        34 => "no line free",
        38 => "network out of order",
        41 => "temporary failure",
        42 => "congestion",
        58 | 65 | 88 => "incompatible media",
        102 => "a timer expired",
        127 => "interworking",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_without_text_have_a_meaning() {
        let rows = [
            ("Q.850", None, None),
            ("Q.850", Some(0), None),
            ("Q.850", Some(999), None),
            ("SIP", Some(486), None),
            ("X", Some(17), None),
            ("Q.850", Some(17), Some("busy")),
            ("SIP", Some(200), Some("answered elsewhere")),
        ];
        for (protocol, number, words) in rows {
            assert_eq!(reason(&Reason { protocol: protocol.to_owned(), cause: number, text: None }), words);
        }
    }

    #[test]
    fn the_status_stands_beside_the_words() {
        assert_eq!(call_refused(486, "Busy Here"), "busy (486 Busy Here)");
        assert_eq!(registration_refused(500, ""), "the server cannot do it now (500)");
    }
}
