//! Whom a call was meant for before it came here, and why it went on: Diversion (RFC 5806) and History-Info (RFC 7044, its
//! causes: RFC 4458 §2, and the Reason headers written into it).
use super::{MAX_VALUES, Privacy};
use crate::sip::invite::Reason;
use crate::sip::message::{Headers, NameAddr, Uri};

/// Headers written into one URI that are looked at.
const MAX_WRITTEN: usize = 8;

/// One who handed the call on.
#[derive(Clone, Debug)]
pub struct Forwarding {
    /// `None`: does not want to be named.
    pub by: Option<NameAddr>,
    /// Why, in plain words; empty when that is not told.
    pub why: &'static str,
}

impl Forwarding {
    /// All who handed the call on, the last of them first. Both headers tell the same: Diversion counts, since it names
    /// nobody but those.
    pub fn of(headers: &Headers) -> Vec<Self> {
        let diversions: Vec<Self> = headers.all("Diversion").take(MAX_VALUES).filter_map(of_diversion).collect();
        if diversions.is_empty() { of_history(headers) } else { diversions }
    }
}

fn of_diversion(value: &str) -> Option<Forwarding> {
    let by = NameAddr::parse(value).ok()?;
    let param = |name: &str| by.params.unquoted(name).unwrap_or_default().to_ascii_lowercase();
    let hidden = matches!(param("privacy").as_str(), "full" | "uri" | "name");
    let why = diversion_words(&param("reason"));
    Some(Forwarding { by: (!hidden).then_some(by), why })
}

/// RFC 5806 §4.
fn diversion_words(reason: &str) -> &'static str {
    match reason {
        "user-busy" => "busy",
        "no-answer" => "no answer",
        "unavailable" | "out-of-service" => "not reachable",
        "unconditional" => "always",
        "time-of-day" => "time of day",
        "do-not-disturb" => "does not want to be disturbed",
        "deflection" => "by hand",
        "follow-me" => "follow me",
        "away" => "away",
        _ => "",
    }
}

/// RFC 4458 §2 and the SIP statuses of Reason.
fn cause_words(cause: u16) -> &'static str {
    match cause {
        302 => "always",
        404 => "unknown there",
        408 => "no answer",
        480 | 487 => "by hand",
        486 | 600 => "busy",
        503 => "not reachable",
        603 => "declined",
        _ => "",
    }
}

/// One entry of the history: where the call was sent, and what is known of how it went on from there.
struct Entry {
    to: NameAddr,
    hidden: bool,
    /// Why it was sent here.
    cause: Option<u16>,
    /// What came back from here.
    outcome: Option<u16>,
    /// It was sent here in somebody else's place (`mp`), not to where that one is (`rc`, `np`).
    in_place_of: bool,
}

fn of_history(headers: &Headers) -> Vec<Forwarding> {
    let hidden = Privacy::of(headers).history;
    let values = headers.all("History-Info").take(MAX_VALUES).filter_map(|value| entry(value, hidden));
    let entries: Vec<Entry> = values.collect();
    let steps = entries.iter().zip(entries.iter().skip(1));
    let forwarded = steps.filter(|(_, to)| to.in_place_of || to.cause.is_some()).map(|(by, to)| {
        let told = to.cause.map(cause_words).filter(|words| !words.is_empty());
        let why = told.or_else(|| by.outcome.map(cause_words)).unwrap_or_default();
        Forwarding { by: (!by.hidden).then(|| by.to.clone()), why }
    });
    let mut forwarded: Vec<Forwarding> = forwarded.collect();
    forwarded.reverse();
    forwarded
}

fn entry(value: &str, hidden: bool) -> Option<Entry> {
    let mut to = NameAddr::parse(value).ok()?;
    let written = to.uri.headers.take().unwrap_or_default();
    let mut headers = Headers::default();
    for (name, value) in written.split('&').filter_map(|header| header.split_once('=')).take(MAX_WRITTEN) {
        if name.eq_ignore_ascii_case("Reason") || name.eq_ignore_ascii_case("Privacy") {
            headers.push(name, unescape(value));
        }
    }
    let outcome = Reason::of(&headers).iter().filter(|reason| reason.protocol == "SIP").find_map(|reason| reason.cause);
    let hidden = hidden || Privacy::of(&headers).history;
    let in_place_of = to.params.has("mp");
    Some(Entry { cause: cause(&to.uri), outcome, hidden, in_place_of, to })
}

fn cause(uri: &Uri) -> Option<u16> {
    uri.params.value("cause")?.parse().ok()
}

/// Every escape undone: what is read is a header, not a URI.
fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let digits = tail.get(..2).filter(|two| *first == b'%' && two.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &[(&str, &str)]) -> Vec<(String, &'static str)> {
        let mut headers = Headers::default();
        lines.iter().for_each(|(name, value)| headers.push(name, value));
        let name = |by: Option<NameAddr>| by.map_or("?".to_owned(), |by| by.uri.user.unwrap_or_default());
        Forwarding::of(&headers).into_iter().map(|f| (name(f.by), f.why)).collect()
    }

    fn named(rows: &[(&str, &'static str)]) -> Vec<(String, &'static str)> {
        rows.iter().map(|(name, why)| ((*name).to_owned(), *why)).collect()
    }

    #[test]
    fn diversions_are_told_the_last_one_first() {
        assert_eq!(told(&[("Diversion", "\"broken")]), named(&[]));
        let lines = [
            ("Diversion", "\"Bob\" <sip:bob@h>;reason=no-answer;counter=1"),
            ("Diversion", "<tel:+12>;reason=\"USER-BUSY\""),
            ("Diversion", "<sip:hidden@h>;privacy=full;reason=unconditional"),
            ("Diversion", "<sip:eve@h>;reason=whatever"),
        ];
        let expected = [("bob", "no answer"), ("+12", "busy"), ("?", "always"), ("eve", "")];
        assert_eq!(told(&lines), named(&expected));
        let many: Vec<_> = (0..100).map(|_| ("Diversion", "<sip:a@h>")).collect();
        assert_eq!(told(&many).len(), MAX_VALUES);
    }

    #[test]
    fn the_history_is_told_where_the_call_was_handed_on() {
        type Row = (&'static [&'static str], &'static [(&'static str, &'static str)]);
        let rows: [Row; 7] = [
            (&["<sip:bob@h>;index=1"], &[]),
            // Bob's own phone is no other party.
            (&["<sip:bob@h>;index=1", "<sip:bob@192.0.2.1>;index=1.1;rc=1"], &[]),
            (&["<sip:bob@h>;index=1", "<sip:carol@h>;index=1.1;mp=1"], &[("bob", "")]),
            (&["<sip:bob@h>;index=1", "<sip:carol@h;cause=408>;index=1.1"], &[("bob", "no answer")]),
            (
                &["<sip:bob@h?Reason=SIP%3Bcause%3D486%3Btext%3D%22Busy%22>;index=1", "<sip:carol@h>;index=1.1;mp=1"],
                &[("bob", "busy")],
            ),
            (&["<sip:bob@h?Privacy=history>;index=1", "<sip:carol@h;cause=302>;index=1.1"], &[("?", "always")]),
            (
                &[
                    "<sip:a@h>;index=1",
                    "<sip:b@h;cause=302>;index=1.1",
                    "<sip:c@h;cause=486>;index=1.2",
                    "<sip:c@x>;rc=1.2",
                ],
                &[("b", "busy"), ("a", "always")],
            ),
        ];
        for (values, expected) in rows {
            let lines: Vec<_> = values.iter().map(|value| ("History-Info", *value)).collect();
            assert_eq!(told(&lines), named(expected), "{values:?}");
        }
        let hidden = [("Privacy", "history"), ("History-Info", "<sip:a@h>"), ("History-Info", "<sip:b@h;cause=302>")];
        assert_eq!(told(&hidden), named(&[("?", "always")]));
    }

    #[test]
    fn escapes_are_undone_and_broken_ones_kept() {
        assert_eq!(unescape("SIP%3Bcause%3d4%2"), "SIP;cause=4%2");
        assert_eq!(unescape("%zz%+f%e9\u{e9}%"), "%zz%+f\u{fffd}\u{e9}%");
    }
}
