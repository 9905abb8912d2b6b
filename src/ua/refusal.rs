//! Why a call failed, in plain words: who refused, what it means, what to try (RFC 3261 §21 and its successors).
use crate::base::untrusted::Untrusted;
use crate::sip::invite::Reason;
use crate::sip::message::Response;
use crate::ua::cause::{self, with_reason};

/// One status: what it means to the person who called, and what they can try; empty where nothing helps.
struct Row(u16, &'static str, &'static str);

/// The final statuses of an INVITE (RFC 3261 §21 and its successors), in order.
const STATUSES: &[Row] = &[
    Row(300, "there are several ways to reach the number", "call one of them directly"),
    Row(301, "the number has moved", "call the new address"),
    Row(302, "the call is forwarded elsewhere", "call the new address"),
    Row(305, "the call must go through another server", "set that server as outbound_proxy of the account"),
    Row(380, "the number offers another service instead", ""),
    Row(400, "the server could not read the call", "please report this with the messages of the call"),
    Row(401, "the server did not accept user name or password", "check auth_user and the password of the account"),
    Row(402, "the server wants payment for this call", "check the credit at the provider"),
    Row(403, "the server forbids this call", "check the number, and what the account is allowed to call"),
    Row(404, "nobody has this number or name", "check the number, the prefix and the domain"),
    Row(405, "the other side does not take calls", "check that this is a phone's address"),
    Row(
        406,
        "the other side cannot send what this phone understands",
        "try another codec or the setting of encryption",
    ),
    Row(407, "the server did not accept user name or password", "check auth_user and the password of the account"),
    Row(408, "nobody answered in time", "the phone called may be off the network: try again later"),
    Row(409, "the server sees a conflict", "try again"),
    Row(410, "this number is no longer in use", "ask for the new number"),
    Row(411, "the server wants a length of the message", "please report this with the messages of the call"),
    Row(412, "what the call refers to has changed meanwhile", "try again"),
    Row(413, "the call request was too large for the server", "offer fewer codecs, or use transport tcp"),
    Row(414, "the address is too long for the server", "call a shorter address"),
    Row(
        415,
        "the other side does not understand the description of the call",
        "try without encryption, with PCMU or PCMA",
    ),
    Row(416, "the server does not know this kind of address", "call it as sip:user@host"),
    Row(417, "the server does not know the wish for a priority", ""),
    Row(420, "the server does not bear an extension the call demands", "switch that feature off for this account"),
    Row(
        421,
        "the server demands an extension this phone does not have",
        "ask the operator of the server to make it optional",
    ),
    Row(
        422,
        "the server wants a longer session timer",
        "raise the session timer of the phone, or lower that of the server",
    ),
    Row(423, "the server wants a longer interval", "raise the interval of the account"),
    Row(424, "the server cannot use the location given", ""),
    Row(425, "the server wants another location", ""),
    Row(428, "the server wants a signed identity", "the provider has to sign calls (STIR): ask it"),
    Row(429, "the server wants to know who referred the call", "call the number directly"),
    Row(430, "the flow to the phone called is broken", "try again in a minute, when that phone has registered anew"),
    Row(433, "anonymous calls are not taken", "call without hiding the number"),
    Row(434, "the other side refuses the alert asked for", ""),
    Row(
        436,
        "the server cannot fetch the certificate of the signed identity",
        "the provider's signing is broken: report it there",
    ),
    Row(
        437,
        "the server does not trust the certificate of the signed identity",
        "the provider's signing is broken: report it there",
    ),
    Row(
        438,
        "the signature of the caller's number is not valid",
        "a server on the way changed the call: report it to the provider",
    ),
    Row(439, "the first server on the way does not keep flows", "switch outbound off for the account"),
    Row(440, "the call was forked too widely", "a server is misconfigured: report it"),
    Row(469, "the server wants no such package", ""),
    Row(470, "the other side wants consent first", "ask the person called to allow it"),
    Row(
        480,
        "the person called is not reachable now",
        "their phone is off, not registered, or set not to be disturbed: try again later",
    ),
    Row(481, "the server does not know this call any more", "call again"),
    Row(482, "the call went round in circles", "a forwarding or a server is misconfigured: report it"),
    Row(483, "the call passed too many servers", "a forwarding or a server is misconfigured: report it"),
    Row(484, "the number is incomplete", "dial the whole number"),
    Row(485, "the name is ambiguous", "be more precise: call one of the names offered"),
    Row(486, "busy", "try again later"),
    Row(487, "the call was given up before an answer", ""),
    Row(
        488,
        "the other side takes none of what was offered for sound",
        "compare the codecs and the encryption of both sides",
    ),
    Row(489, "the server does not know this kind of event", ""),
    Row(491, "both sides changed the call at once", "try again"),
    Row(493, "the other side cannot decrypt the call", ""),
    Row(494, "the server wants an agreed protection first", "use transport tls"),
    Row(500, "the server failed", "try again; if it stays so, report it to its operator"),
    Row(501, "the server cannot place calls", "check that this is the right server"),
    Row(
        502,
        "the server got no proper answer from the next one",
        "try again; if it stays so, report it to its operator",
    ),
    Row(503, "the server is overloaded, restarting, or has no line free", "try again shortly"),
    Row(504, "the server got no answer from the next one", "try again; if it stays so, report it to its operator"),
    Row(505, "the server does not speak this SIP version", "check that this is the right server"),
    Row(513, "the call request was too large for the server", "offer fewer codecs, or use transport tcp"),
    Row(555, "the server cannot notify the phone called", ""),
    Row(580, "the server could not reserve what the call needs", "try again later"),
    Row(600, "busy everywhere", "try again later"),
    Row(603, "declined", "the person called, or a rule of their server, does not want the call now"),
    Row(604, "this name or number does not exist anywhere", "check the number"),
    Row(
        606,
        "the other side takes none of what was offered for sound",
        "compare the codecs and the encryption of both sides",
    ),
    Row(607, "the person called does not want this call", "do not call again"),
    Row(608, "a filter on the way rejected the call", "ask the provider why calls of this number are filtered"),
];

/// Which status stands for those of its class that are not in the table (RFC 3261 §8.1.3.2).
const OTHERS: &[Row] = &[
    Row(300, "the target has moved and nobody was called instead", "call the new address"),
    Row(400, "the call was refused", "the messages of the call tell more"),
    Row(500, "the server failed", "try again; if it stays so, report it to its operator"),
    Row(600, "the call was refused everywhere", ""),
];

fn row(status: u16) -> &'static Row {
    const UNKNOWN: Row = Row(0, "the call was refused", "");
    let class = status / 100 * 100;
    let found = STATUSES.iter().find(|row| row.0 == status);
    found.or_else(|| OTHERS.iter().find(|row| row.0 == class)).unwrap_or(&UNKNOWN)
}

/// What a final status of an INVITE means to the person who called.
pub fn call_refused(status: u16, reason: &str) -> String {
    with_reason(row(status).1, status, reason)
}

/// A refused call explained.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explained {
    /// What happened, in one sentence with its status.
    pub cause: String,
    /// What to try; empty when nothing helps.
    pub advice: String,
    /// Who refused, as far as that can be told; empty: it cannot.
    pub refused_by: String,
}

/// What is known besides the response itself.
#[derive(Clone, Debug, Default)]
pub struct Circumstances {
    /// The tag of the phone that rang, when one did.
    pub rang: Option<String>,
    /// The codecs that were offered: `Opus PCMU`.
    pub offered: String,
}

/// Explains the final response to an INVITE.
pub fn refused(response: &Response, reasons: &[Reason], known: &Circumstances) -> Explained {
    let status = response.status;
    let headers = &response.headers;
    let Row(_, words, advice) = row(status);
    let value =
        |name: &str| headers.get(name).map(|value| Untrusted::new(value).sanitize(80)).filter(|v| !v.is_empty());
    let list = |name: &str| {
        let names: Vec<String> = headers.tokens(name).take(8).map(|token| Untrusted::new(token).sanitize(24)).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    let mut cause = with_reason(words, status, &Untrusted::new(response.reason.as_str()).sanitize(60));
    let mut add = |more: String| cause = format!("{cause}; {more}");
    match status {
        401 | 407 => {
            if let Some(realm) =
                headers.get(if status == 401 { "WWW-Authenticate" } else { "Proxy-Authenticate" }).and_then(realm)
            {
                add(format!("it asks for the password of the realm {realm}"));
            }
        }
        405 => list("Allow").into_iter().for_each(|allow| add(format!("it takes {allow}"))),
        420 => list("Unsupported").into_iter().for_each(|names| add(format!("not borne: {names}"))),
        421 => list("Require").into_iter().for_each(|names| add(format!("demanded: {names}"))),
        422 => value("Min-SE").into_iter().for_each(|least| add(format!("at least {least} s"))),
        415 => list("Accept").into_iter().for_each(|names| add(format!("it takes {names}"))),
        494 => value("Security-Server").into_iter().for_each(|names| add(format!("it offers {names}"))),
        488 | 606 | 406 if !known.offered.is_empty() => add(format!("we offered {}", known.offered)),
        _ => {}
    }
    if let Some(warning) = headers.all("Warning").find_map(warning) {
        add(format!("it says: {warning}"));
    }
    // The status itself has been told.
    let same = |r: &Reason| r.protocol == "SIP" && r.cause == Some(status) && r.text.is_none();
    let others: Vec<Reason> = reasons.iter().filter(|r| !same(r)).cloned().collect();
    if let Some(why) = cause::reasons(&others) {
        add(why);
    }
    let mut advice = (*advice).to_owned();
    if let (503 | 480 | 486 | 500 | 600 | 603, Some(seconds)) =
        (status, value("Retry-After").as_deref().and_then(seconds))
    {
        advice = format!("try again in {seconds} s");
    } else if let Some(better) = reasons.iter().filter(|r| r.protocol == "Q.850").find_map(|r| q850_advice(r.cause?)) {
        better.clone_into(&mut advice);
    }
    Explained { cause, advice, refused_by: refuser(response, reasons, known) }
}

/// Who it was. Servers that stand between two calls answer for the phone behind them: that is said, not guessed away.
fn refuser(response: &Response, reasons: &[Reason], known: &Circumstances) -> String {
    let headers = &response.headers;
    let name = |header: &str| {
        let named = headers.get(header).map(|value| Untrusted::new(value).sanitize(50));
        named.filter(|value| !value.trim().is_empty())
    };
    let tag = headers.to().ok().and_then(|to| to.tag().map(str::to_owned));
    let rang = tag.is_some() && tag == known.rang;
    let telephone_network = reasons.iter().any(|reason| reason.protocol == "Q.850");
    let (server, phone) = (name("Server"), name("User-Agent"));
    // Nobody but servers looks up numbers, asks for passwords or counts hops.
    let is_servers = matches!(response.status, 401 | 402 | 404 | 407 | 410 | 416 | 482..=485 | 502..=504 | 604 | 608);
    match (server, phone) {
        (Some(server), _) if telephone_network => format!("{server}, for the telephone network behind it"),
        (Some(server), _) if is_servers && !rang => format!("the server {server}"),
        (Some(server), _) if rang => format!("{server}, which had rung: the phone called or the server before it"),
        (Some(server), _) => format!("{server}: the server, or the phone behind it"),
        (None, Some(phone)) if rang => format!("the phone that rang ({phone})"),
        (None, Some(phone)) if !is_servers => format!("the phone called ({phone})"),
        (None, Some(phone)) => phone,
        (None, None) if telephone_network => "the telephone network".to_owned(),
        (None, None) if rang => "the phone that rang".to_owned(),
        (None, None) if is_servers => "a server".to_owned(),
        (None, None) => String::new(),
    }
}

fn realm(challenge: &str) -> Option<String> {
    let at = challenge.to_ascii_lowercase().find("realm=\"")?;
    let realm = challenge.get(at + 7..)?.split('"').next()?;
    Some(Untrusted::new(realm).sanitize(40))
}

/// The text of a Warning (RFC 3261 §20.43).
fn warning(value: &str) -> Option<String> {
    let text = value.split('"').nth(1)?.trim();
    (!text.is_empty()).then(|| Untrusted::new(text).sanitize(60))
}

fn seconds(retry_after: &str) -> Option<u32> {
    let digits: String = retry_after.trim().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().filter(|seconds| *seconds > 0)
}

/// What to try when a call fails before anybody refused it, from what the network said.
pub fn failure_advice(words: &str) -> &'static str {
    let words = words.to_ascii_lowercase();
    let rows: &[(&[&str], &str)] = &[
        (
            &["certificate", "tls", "handshake"],
            "check the name of the server and its certificate; tls_ca trusts an authority of your own",
        ),
        (
            &["no such name", "does not exist", "no address", "dns", "name server", "resolve"],
            "check the domain of the account and the name servers of this machine",
        ),
        (
            &["no way for the sound"],
            "the two networks let no sound through: a relay (turn_server) helps; `offhook doctor` tells more",
        ),
        (
            &["refused", "unreachable", "no route", "no way"],
            "nothing listens there: check host, port and transport of the account, and the firewall",
        ),
        (&["media port", "ports"], "other programs hold the ports: widen rtp_ports"),
        (
            &["no answer", "timed out", "timeout", "time"],
            "check that the server is up, and that firewalls let SIP through",
        ),
    ];
    let fits = |(marks, _): &&(&[&str], &'static str)| marks.iter().any(|mark| words.contains(mark));
    rows.iter().find(fits).map_or("", |(_, advice)| advice)
}

/// What to try when no sound came.
///
/// - `remote`: where the other side wants its sound.
pub fn silence_advice(remote: Option<std::net::IpAddr>) -> String {
    match remote {
        Some(ip) if is_private(ip) => format!(
            "the other side named the address {ip}, which is reached in its own network only: its server should relay the sound (rtp_symmetric, direct_media=no, rtpengine), or it needs STUN"
        ),
        _ => "a firewall or NAT stops the sound: let UDP of the media ports through, or switch direct media off at the server".to_owned(),
    }
}

fn is_private(ip: std::net::IpAddr) -> bool {
    match ip {
        std::net::IpAddr::V4(ip) => {
            let shared = matches!(ip.octets(), [100, 64..=127, ..]);
            ip.is_private() || ip.is_link_local() || shared
        }
        std::net::IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// What to try where the cause of the telephone network (ITU-T Q.850) tells more than the status.
fn q850_advice(cause: u16) -> Option<&'static str> {
    Some(match cause {
        1..=3 | 5 => "check the number and its prefix",
        20 => "their phone is off or out of reach: try again later",
        22 => "ask for the new number",
        27 => "the line of the other side is disturbed: try again later",
        28 => "dial the whole number",
        34 | 38 | 41 | 42 | 44 | 47 => "the telephone network is at its limit: try again in some minutes",
        50 | 53 | 55 | 57 => "ask the provider what the line may do",
        58 | 65 | 79 | 88 => "try with PCMU or PCMA and without encryption",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::message::{Message, parse};

    fn response(start: &str, headers: &str) -> Response {
        let text = format!(
            "SIP/2.0 {start}\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa\r\nFrom: <sip:a@h>;tag=1\r\nTo: <sip:b@h>;tag=2\r\n\
             Call-ID: c\r\nCSeq: 1 INVITE\r\n{headers}Content-Length: 0\r\n\r\n"
        );
        match parse(&text.into()) {
            Ok(Message::Response(response)) => response,
            other => panic!("{other:?}"),
        }
    }

    fn explained(start: &str, headers: &str, known: &Circumstances) -> Explained {
        let response = response(start, headers);
        let reasons = Reason::of(&response.headers);
        refused(&response, &reasons, known)
    }

    #[test]
    fn the_status_stands_beside_the_words() {
        assert_eq!(call_refused(486, ""), "busy (486)");
        assert_eq!(call_refused(486, "Busy Here"), "busy (486 Busy Here)");
    }

    #[test]
    fn every_status_has_words_and_unknown_ones_those_of_their_class() {
        let mut before = 0;
        for Row(status, words, _) in STATUSES {
            assert!(*status > before && !words.is_empty(), "{status}");
            before = *status;
        }
        for (status, words) in [
            (0, "the call was refused"),
            (399, "the target has moved and nobody was called instead"),
            (499, "the call was refused"),
            (599, "the server failed"),
            (699, "the call was refused everywhere"),
        ] {
            assert_eq!(row(status).1, words, "{status}");
        }
    }

    #[test]
    fn the_response_tells_more_than_its_status() {
        let offered = Circumstances { offered: "Opus".to_owned(), ..Circumstances::default() };
        let rows = [
            (
                "488 Not Acceptable Here",
                "Warning: 305 pbx \"Incompatible media format\"\r\n",
                "we offered Opus; it says: Incompatible media format",
            ),
            ("420 Bad Extension", "Unsupported: 100rel, timer\r\n", "not borne: 100rel, timer"),
            ("421 Extension Required", "Require: sec-agree\r\n", "demanded: sec-agree"),
            ("422 Session Interval Too Small", "Min-SE: 1800\r\n", "at least 1800 s"),
            ("405 Method Not Allowed", "Allow: OPTIONS\r\n", "it takes OPTIONS"),
            (
                "407 Proxy Authentication Required",
                "Proxy-Authenticate: Digest realm=\"pbx\", nonce=\"n\"\r\n",
                "the realm pbx",
            ),
            ("480 Temporarily Unavailable", "Reason: Q.850;cause=20\r\n", "subscriber absent"),
            ("503 Service Unavailable", "Reason: Q.850;cause=34;text=\"All circuits busy\"\r\n", "All circuits busy"),
        ];
        for (start, headers, words) in rows {
            let explained = explained(start, headers, &offered);
            assert!(explained.cause.ends_with(words), "{start}: {}", explained.cause);
            assert!(!explained.advice.is_empty(), "{start}");
        }
    }

    #[test]
    fn what_to_try_follows_the_better_word() {
        let rows = [
            ("503 Service Unavailable", "", "try again shortly"),
            ("503 Service Unavailable", "Retry-After: 0\r\n", "try again shortly"),
            ("503 Service Unavailable", "Retry-After: 120 (maintenance)\r\n", "try again in 120 s"),
            ("503 Service Unavailable", "Reason: Q.850;cause=1\r\n", "check the number and its prefix"),
            ("487 Request Terminated", "", ""),
        ];
        for (start, headers, advice) in rows {
            assert_eq!(explained(start, headers, &Circumstances::default()).advice, advice, "{start} {headers}");
        }
    }

    #[test]
    fn who_refused_is_said_as_far_as_it_is_known() {
        let rang = Circumstances { rang: Some("2".to_owned()), ..Circumstances::default() };
        let other = Circumstances { rang: Some("3".to_owned()), ..Circumstances::default() };
        let nothing = Circumstances::default();
        let rows = [
            ("486 Busy Here", "", &nothing, ""),
            ("486 Busy Here", "", &other, ""),
            ("404 Not Found", "", &nothing, "a server"),
            ("486 Busy Here", "", &rang, "the phone that rang"),
            ("486 Busy Here", "User-Agent: Yealink\r\n", &nothing, "the phone called (Yealink)"),
            ("603 Decline", "User-Agent: Yealink\r\n", &rang, "the phone that rang (Yealink)"),
            ("404 Not Found", "Server: Asterisk\r\n", &nothing, "the server Asterisk"),
            ("486 Busy Here", "Server: Asterisk\r\n", &nothing, "Asterisk: the server, or the phone behind it"),
            (
                "486 Busy Here",
                "Server: Asterisk\r\n",
                &rang,
                "Asterisk, which had rung: the phone called or the server before it",
            ),
            (
                "404 Not Found",
                "Server: Asterisk\r\nReason: Q.850;cause=1\r\n",
                &nothing,
                "Asterisk, for the telephone network behind it",
            ),
        ];
        for (start, headers, known, who) in rows {
            assert_eq!(explained(start, headers, known).refused_by, who, "{start} {headers}");
        }
    }

    #[test]
    fn failures_of_this_side_have_advice_too() {
        let rows = [
            ("", ""),
            ("something else", ""),
            (
                "pbx.example: the certificate is not for this name",
                "check the name of the server and its certificate; tls_ca trusts an authority of your own",
            ),
            ("no such name: pbx.exmaple", "check the domain of the account and the name servers of this machine"),
            (
                "connection refused",
                "nothing listens there: check host, port and transport of the account, and the firewall",
            ),
            (
                "no way for the sound was found (ICE)",
                "the two networks let no sound through: a relay (turn_server) helps; `offhook doctor` tells more",
            ),
            ("no answer from the network", "check that the server is up, and that firewalls let SIP through"),
        ];
        for (words, advice) in rows {
            assert_eq!(failure_advice(words), advice, "{words}");
        }
        let private = |ip: &str| silence_advice(ip.parse().ok()).contains("its own network");
        assert!(private("192.168.1.4") && private("100.64.3.3") && private("fd00::1"));
        assert!(!private("192.0.2.4") && !private("100.63.0.1") && !private("2001:db8::1") && !private("?"));
    }
}
