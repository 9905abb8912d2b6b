//! What becomes of each message of RFC 4475 and RFC 5118, and why.
use crate::stage::Answer::{Rings, Silence, Status};
use crate::stage::Reading::{Dropped, Refused, Understood};
use crate::stage::Stream::{Closed, Pieces, Waits, Whole};
use crate::stage::{Answer, Reading, Stream, request, response};
use offhook::sip::message::{Method, Scheme};

/// One message: what the reader makes of it, what the phone answers to it as a datagram, and what it is on a stream.
pub struct Row {
    pub file: &'static str,
    pub section: &'static str,
    pub reading: Reading,
    pub answer: Answer,
    pub stream: Stream,
    pub why: &'static str,
}

fn row(
    file: &'static str,
    section: &'static str,
    (reading, answer, stream): (Reading, Answer, Stream),
    why: &'static str,
) -> Row {
    Row { file, section, reading, answer, stream, why }
}

/// The URI of the message's first Contact, and the header parameters beside it.
fn contact(message: &offhook::sip::message::Message) -> (String, String) {
    let contacts = message.headers().name_addrs("Contact").expect("readable Contacts");
    (contacts[0].uri.to_string(), contacts[0].params.to_string())
}

/// RFC 4475 §3.1.1 to §3.1.2.
pub fn syntax() -> Vec<Row> {
    const BAD: Answer = Status(400);
    vec![
        row(
            "wsinv",
            "3.1.1.1",
            (
                Understood(|m| {
                    let h = m.headers();
                    h.all("Via").count() == 3
                        && h.cseq().is_ok_and(|c| c.number == 9)
                        && h.from().is_ok_and(|f| f.display.as_deref() == Some("J Rosenberg \\\""))
                        && h.to().is_ok_and(|t| t.tag() == Some("1918181833n"))
                        && h.get("Max-Forwards") == Some("0068")
                        && request(m).body.len() == 150
                }),
                Status(481),
                Whole,
            ),
            "folds and blanks are no fault; To has a tag, so that the INVITE is in a dialog, and there is none (RFC 3261 §12.2.2)",
        ),
        row(
            "intmeth",
            "3.1.1.2",
            (
                Understood(|m| {
                    matches!(&request(m).method, Method::Other(name) if name.starts_with("!interesting"))
                        && request(m).uri.host.to_string() == "example.com"
                        && m.headers().from().is_ok_and(|f| f.tag() == Some("_token~1'+`*%!-."))
                }),
                Status(501),
                Whole,
            ),
            "a method nobody knows, of every character a token may have; NUL in the To is answered as a blank, for no line of ours holds one",
        ),
        row(
            "esc01",
            "3.1.1.3",
            (
                Understood(|m| {
                    request(m).uri.user.as_deref() == Some("sips%3Auser%40example.com")
                        && request(m).uri.host.to_string() == "example.net"
                        && m.headers().to().is_ok_and(|t| t.uri.plain_user().as_deref() == Some("user"))
                }),
                Rings,
                Whole,
            ),
            "escapes of plain characters mean the characters; those of reserved ones stay",
        ),
        row(
            "escnull",
            "3.1.1.4",
            (
                Understood(|m| {
                    let contacts = m.headers().name_addrs("Contact").unwrap();
                    contacts.len() == 2 && !contacts[0].uri.matches(&contacts[1].uri)
                }),
                Status(405),
                Whole,
            ),
            "%00 ends nothing: two contacts; a phone is no registrar",
        ),
        row(
            "esc02",
            "3.1.1.5",
            (
                Understood(|m| request(m).method != Method::Register && m.headers().all("Contact").count() == 2),
                Status(501),
                Whole,
            ),
            "% is no escape in methods and header names",
        ),
        row(
            "lwsdisp",
            "3.1.1.6",
            (
                Understood(|m| m.headers().from().is_ok_and(|f| f.display.as_deref() == Some("caller"))),
                Status(200),
                Whole,
            ),
            "no blank between display name and <",
        ),
        row(
            "longreq",
            "3.1.1.7",
            (
                Understood(|m| {
                    m.headers().all("Via").count() == 34
                        && m.headers().all("Via").last().is_some_and(|via| via.ends_with("longbranchvalue"))
                        && m.headers().from().is_ok_and(|f| f.tag().is_some_and(|tag| tag.len() == 155))
                }),
                Rings,
                Whole,
            ),
            "nothing is cut",
        ),
        row(
            "dblreq",
            "3.1.1.8",
            (
                Understood(|m| request(m).method == Method::Register && request(m).body.is_empty()),
                Status(405),
                Pieces(&[Status(405), Status(400), Silence]),
            ),
            "in a datagram what follows the first message is none; on a stream it is one, its `m =video` is no SDP, and it is \
             longer than its Content-Length",
        ),
        row(
            "semiuri",
            "3.1.1.9",
            (
                Understood(|m| {
                    request(m).uri.user.as_deref() == Some("user;par=u%40example.net")
                        && request(m).uri.params.is_empty()
                }),
                Status(200),
                Whole,
            ),
            "the semicolon belongs to the user part",
        ),
        row(
            "transports",
            "3.1.1.10",
            (Understood(|m| m.headers().all("Via").count() == 5), Status(200), Whole),
            "the Vias below the first are nobody's business but theirs",
        ),
        row(
            "mpart01",
            "3.1.1.11",
            (Understood(|m| request(m).body.len() == 553 && request(m).body.contains(&0)), Status(415), Whole),
            "binary bodies are kept as they are; of this type none is read",
        ),
        row(
            "unreason",
            "3.1.1.12",
            (Understood(|m| response(m).status == 200 && response(m).reason.contains("девяносто")), Silence, Whole),
            "UTF-8 in the reason; no request of ours is answered by it",
        ),
        row(
            "noreason",
            "3.1.1.13",
            (Understood(|m| response(m).status == 100 && response(m).reason.is_empty()), Silence, Whole),
            "the reason may be empty; no request of ours is answered by it",
        ),
        row("badinv01", "3.1.2.1", (Refused(400), BAD, Whole), "`;;,;,,` is no Via"),
        row(
            "clerr",
            "3.1.2.2",
            (Refused(400), BAD, Waits),
            "the body is shorter than it says; on a stream the rest may come",
        ),
        row("ncl", "3.1.2.3", (Refused(400), BAD, Closed(400)), "a negative Content-Length"),
        row("scalar02", "3.1.2.4", (Refused(400), BAD, Whole), "CSeq beyond 32 bits"),
        row("scalarlg", "3.1.2.5", (Dropped, Silence, Whole), "a response with such a CSeq is discarded"),
        row("quotbal", "3.1.2.6", (Refused(400), BAD, Whole), "the quote is never closed"),
        row("ltgtruri", "3.1.2.7", (Refused(400), BAD, Whole), "<> around the Request-URI"),
        row("lwsruri", "3.1.2.8", (Refused(400), BAD, Whole), "a blank within the Request-URI"),
        row("lwsstart", "3.1.2.9", (Refused(400), BAD, Whole), "two blanks in the start line"),
        row("trws", "3.1.2.10", (Refused(400), BAD, Whole), "blanks after the start line"),
        row("escruri", "3.1.2.11", (Refused(400), BAD, Whole), "headers in the Request-URI are never applied"),
        row(
            "baddate",
            "3.1.2.12",
            (Understood(|m| m.headers().get("Date").is_some_and(|d| d.ends_with("EST"))), Rings, Whole),
            "nobody reads the Date: the RFC allows to ignore it",
        ),
        row(
            "regbadct",
            "3.1.2.13",
            (Understood(|m| m.headers().name_addrs("Contact").is_err()), Status(405), Whole),
            "the Contact is bad (`?` outside of <>), but the method is looked at first (RFC 3261 §8.2.1)",
        ),
        row("badaspec", "3.1.2.14", (Refused(400), BAD, Whole), "blanks within <>"),
        row(
            "baddn",
            "3.1.2.15",
            (Refused(400), BAD, Waits),
            "a comma in an unquoted display name; and the empty line is missing, for which a stream waits",
        ),
        row("badvers", "3.1.2.16", (Refused(505), Status(505), Whole), "version 7.0"),
        row("mismatch01", "3.1.2.17", (Refused(400), BAD, Whole), "CSeq names another method"),
        row(
            "mismatch02",
            "3.1.2.18",
            (Refused(501), Status(501), Whole),
            "CSeq names another method, and the method is unknown: the RFC prefers to say the latter",
        ),
        row("bigcode", "3.1.2.19", (Dropped, Silence, Whole), "a status of ten digits"),
    ]
}

/// RFC 4475 §3.2 to §3.4.
pub fn semantics() -> Vec<Row> {
    vec![
        row(
            "badbranch",
            "3.2.1",
            (Understood(|m| m.headers().via().is_ok_and(|v| v.branch() == Some("z9hG4bK"))), Status(200), Whole),
            "the bare cookie names no transaction: the rules of RFC 2543 do",
        ),
        row("insuf", "3.3.1", (Refused(400), Status(400), Whole), "no Call-ID, From, To"),
        row(
            "unkscm",
            "3.3.2",
            (Understood(|m| matches!(&request(m).uri.scheme, Scheme::Other(_))), Status(416), Whole),
            "a scheme nobody knows",
        ),
        row(
            "novelsc",
            "3.3.3",
            (Understood(|m| request(m).uri.to_string() == "soap.beep://192.0.2.103:3002"), Status(416), Whole),
            "a scheme that is known, elsewhere",
        ),
        row(
            "unksm2",
            "3.3.4",
            (
                Understood(|m| {
                    m.headers().to().is_ok_and(|t| t.uri.to_string() == "isbn:2983792873")
                        && contact(m).0 == "name:John_Smith"
                }),
                Status(405),
                Whole,
            ),
            "unknown schemes in headers are no fault of syntax",
        ),
        row(
            "bext01",
            "3.3.5",
            (Understood(|m| m.headers().all("Require").count() == 2), Status(420), Whole),
            "extensions we have not",
        ),
        row(
            "invut",
            "3.3.6",
            (Understood(|m| request(m).body.len() == 40), Status(415), Whole),
            "a body type we do not read",
        ),
        row(
            "regaut01",
            "3.3.7",
            (Understood(|m| m.headers().get("Authorization").is_some()), Status(405), Whole),
            "an unknown scheme of credentials is no fault of syntax",
        ),
        row("multi01", "3.3.8", (Refused(400), Status(400), Whole), "headers twice that may stand once"),
        row("mcl01", "3.3.9", (Refused(400), Status(400), Closed(400)), "two lengths: where it ends cannot be told"),
        row(
            "bcast",
            "3.3.10",
            (Understood(|m| m.headers().all("Via").count() == 2), Silence, Whole),
            "a response to somebody else; nothing is sent to the broadcast address",
        ),
        row(
            "zeromf",
            "3.3.11",
            (Understood(|m| m.headers().get("Max-Forwards") == Some("0")), Status(200), Whole),
            "who need not forward does not look at Max-Forwards",
        ),
        row(
            "cparam01",
            "3.3.12",
            (
                Understood(|m| contact(m) == ("sip:+19725552222@gw1.example.net".into(), ";unknownparam".into())),
                Status(405),
                Whole,
            ),
            "without <> the parameter is the header's",
        ),
        row(
            "cparam02",
            "3.3.13",
            (
                Understood(|m| contact(m) == ("sip:+19725552222@gw1.example.net;unknownparam".into(), String::new())),
                Status(405),
                Whole,
            ),
            "within <> the parameter is the URI's",
        ),
        row(
            "regescrt",
            "3.3.14",
            (Understood(|m| contact(m).0.ends_with("?Route=%3Csip:sip.example.com%3E")), Status(405), Whole),
            "the URI keeps its headers",
        ),
        row(
            "sdp01",
            "3.3.15",
            (Understood(|m| m.headers().get("Accept") == Some("text/nobodyKnowsThis")), Status(406), Whole),
            "the answer would have to be of a type we do not write",
        ),
        row(
            "inv2543",
            "3.4.1",
            (
                Understood(|m| {
                    m.headers().via().is_ok_and(|v| v.branch().is_none())
                        && m.headers().from().is_ok_and(|f| f.tag().is_none())
                        && !request(m).body.is_empty()
                }),
                Rings,
                Pieces(&[Rings]),
            ),
            "a caller of RFC 2543: no branch, no From tag, no Contact; on a stream its body, without a length, is no body",
        ),
    ]
}

/// RFC 5118 §4.
pub fn ipv6() -> Vec<Row> {
    vec![
        row(
            "ipv6-good",
            "4.1",
            (Understood(|m| request(m).uri.host.to_string() == "[2001:db8::10]"), Status(405), Whole),
            "a phone is no registrar",
        ),
        row("ipv6-bad", "4.2", (Refused(400), Status(400), Whole), "an IPv6 address without brackets"),
        row(
            "port-ambiguous",
            "4.3",
            (
                Understood(|m| {
                    request(m).uri.host.to_string() == "[2001:db8::10:5070]" && request(m).uri.port.is_none()
                }),
                Status(405),
                Whole,
            ),
            "5070 is a part of the address",
        ),
        row(
            "port-unambiguous",
            "4.4",
            (
                Understood(|m| {
                    request(m).uri.host.to_string() == "[2001:db8::10]" && request(m).uri.port == Some(5070)
                }),
                Status(405),
                Whole,
            ),
            "5070 is the port",
        ),
        row(
            "via-received-param-with-delim",
            "4.5",
            (
                Understood(|m| m.headers().via().is_ok_and(|v| v.received() == "2001:db8::9:255".parse().ok())),
                Status(481),
                Whole,
            ),
            "brackets in `received` are tolerated; the BYE is of no dialog",
        ),
        row(
            "via-received-param-no-delim",
            "4.5",
            (
                Understood(|m| m.headers().via().is_ok_and(|v| v.received() == "2001:db8::9:255".parse().ok())),
                Status(200),
                Whole,
            ),
            "`received` as the grammar has it",
        ),
        row(
            "ipv6-in-sdp",
            "4.6",
            (Understood(|m| request(m).body.len() == 251), Status(488), Whole),
            "well formed; G.726 is no codec of this phone",
        ),
        row(
            "mult-ip-in-header",
            "4.7",
            (
                Understood(|m| {
                    m.headers().all("Via").count() == 3 && m.headers().via().is_ok_and(|v| v.port == Some(6050))
                }),
                Status(481),
                Whole,
            ),
            "addresses of both families; the BYE is of no dialog",
        ),
        row(
            "mult-ip-in-sdp",
            "4.8",
            (Understood(|m| request(m).body.len() == 189), Rings, Whole),
            "audio over IPv4 is taken, video over IPv6 is not",
        ),
        row(
            "ipv4-mapped-ipv6",
            "4.9",
            (
                Understood(|m| {
                    m.headers().via().is_ok_and(|v| v.host.to_string() == "[::ffff:192.0.2.10]")
                        && contact(m).0 == "sip:ted@[::ffff:192.0.2.2]"
                }),
                Status(488),
                Whole,
            ),
            "well formed; G.726 is no codec of this phone",
        ),
        row(
            "ipv6-bug-abnf-3-colons",
            "4.10",
            (Understood(|m| request(m).uri.host.to_string() == "[2001:db8::c000:201]"), Status(200), Whole),
            "three colons, which an old grammar allowed, are read as two",
        ),
        row(
            "ipv6-correct-abnf-2-colons",
            "4.10",
            (Understood(|m| request(m).uri.host.to_string() == "[2001:db8::c000:201]"), Status(200), Whole),
            "two colons",
        ),
    ]
}
