//! What a media line is called, and which lines share one transport: `a=mid` (RFC 5888), `a=group:BUNDLE` (RFC 9143).
use super::session::{Attribute, MediaLine, Session};

/// A longer name is not believed \[octets\]: the header extension that carries it has no room for more (RFC 8285 §4.3).
const MAX_MID: usize = 255;
/// Names in one group that are looked at; a description has fewer lines.
const MAX_NAMES: usize = 64;

/// What belongs to the transport rather than to the line, and so to all lines of a group (RFC 9143 §7.1.3).
const TRANSPORT: [&str; 11] = [
    "candidate",
    "end-of-candidates",
    "fingerprint",
    "ice-mismatch",
    "ice-pwd",
    "ice-ufrag",
    "rtcp",
    "rtcp-mux",
    "rtcp-mux-only",
    "setup",
    "tls-id",
];

/// The name of a line; `None` also for what is none.
pub(super) fn mid(line: &MediaLine) -> Option<&str> {
    let name = line.attribute("mid")?.value.as_deref()?;
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`{|}~".contains(&b);
    ((1..=MAX_MID).contains(&name.len()) && name.bytes().all(token)).then_some(name)
}

/// The lines of the BUNDLE group that has this one, in the group's order; names of no line are passed over.
fn group<'a>(session: &'a Session, line: &MediaLine) -> Option<Vec<&'a MediaLine>> {
    let name = mid(line)?;
    let groups = session.attributes.iter().filter(|a| a.name.eq_ignore_ascii_case("group"));
    let lists = groups.filter_map(|a| a.value.as_deref()?.trim().strip_prefix("BUNDLE "));
    let names =
        lists.map(|list| list.split_whitespace().take(MAX_NAMES).collect::<Vec<_>>()).find(|n| n.contains(&name))?;
    let named = |name: &&str| session.media.iter().find(|line| mid(line) == Some(name));
    Some(names.iter().filter_map(named).collect())
}

pub(super) fn is_bundled(session: &Session, line: &MediaLine) -> bool {
    group(session, line).is_some()
}

/// The attribute of a session in which this line alone is bundled: of an offer with others, those are refused.
pub(super) fn attribute(line: &MediaLine) -> Option<Attribute> {
    mid(line).map(|mid| Attribute::new("group", Some(&format!("BUNDLE {mid}"))))
}

/// Gives lines that have no transport of their own that of the first line of their group (RFC 9143 §7.2.3).
pub(super) fn spread(session: &mut Session) {
    let borrowed = |line: &MediaLine| line.port == 0 && line.attribute("bundle-only").is_some();
    let owed = |(at, line): (usize, &MediaLine)| {
        let lender = group(session, line).filter(|_| borrowed(line))?.into_iter().find(|first| first.port != 0)?;
        let lent = |a: &&Attribute| TRANSPORT.iter().any(|name| a.name.eq_ignore_ascii_case(name));
        let attributes: Vec<Attribute> = lender.attributes.iter().filter(lent).cloned().collect();
        Some((at, lender.port, lender.connection.clone(), attributes))
    };
    let found: Vec<_> = session.media.iter().enumerate().filter_map(owed).collect();
    for (at, port, connection, attributes) in found {
        if let Some(line) = session.media.get_mut(at) {
            line.port = port;
            line.connection = connection.or(line.connection.take());
            line.attributes.retain(|a| !TRANSPORT.iter().any(|name| a.name.eq_ignore_ascii_case(name)));
            line.attributes.extend(attributes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(lines: &str) -> Session {
        let head = "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n";
        Session::parse(format!("{head}{lines}").as_bytes()).expect("readable")
    }

    #[test]
    fn names_and_groups() {
        let long = "x".repeat(256);
        // What, the session's lines, the name of the line, bundled.
        let rows = [
            ("no name", "a=group:BUNDLE 0".to_owned(), String::new(), None, false),
            ("empty", String::new(), "a=mid:".to_owned(), None, false),
            ("two words", "a=group:BUNDLE a b".to_owned(), "a=mid:a b".to_owned(), None, false),
            ("too long", format!("a=group:BUNDLE {long}"), format!("a=mid:{long}"), None, false),
            ("another group", "a=group:LS 0".to_owned(), "a=mid:0".to_owned(), Some("0"), false),
            ("others", "a=group:BUNDLE 1 2".to_owned(), "a=mid:0".to_owned(), Some("0"), false),
            ("nobody", "a=group:BUNDLE".to_owned(), "a=mid:0".to_owned(), Some("0"), false),
            ("names of no line", "a=group:BUNDLE x y 0 z".to_owned(), "a=mid:0".to_owned(), Some("0"), true),
            ("second group", "a=group:BUNDLE x\r\na=group:BUNDLE 0".to_owned(), "a=mid:0".to_owned(), Some("0"), true),
        ];
        for (what, group, name, expected, bundled) in rows {
            let session = session(&format!("{group}\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n{name}\r\n"));
            let line = session.media.first().expect("one");
            assert_eq!((mid(line), is_bundled(&session, line)), (expected, bundled), "{what}");
        }
    }

    #[test]
    fn a_line_without_a_transport_has_that_of_its_group() {
        let rows = [
            ("alone", "a=group:BUNDLE a", 0),
            ("refused first", "a=group:BUNDLE r a", 0),
            ("no group", "a=x:1", 0),
            ("first", "a=group:BUNDLE v a", 4000),
            ("behind one that is refused", "a=group:BUNDLE r v a", 4000),
        ];
        for (what, group, port) in rows {
            let mut session = session(&format!(
                "{group}\r\nm=video 4000 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 192.0.2.7\r\na=mid:v\r\na=ice-ufrag:good\r\na=sendonly\r\n\
                 m=audio 0 UDP/TLS/RTP/SAVPF 0\r\na=mid:a\r\na=bundle-only\r\na=ice-ufrag:none\r\na=recvonly\r\n\
                 m=text 0 UDP/TLS/RTP/SAVPF 99\r\na=mid:r\r\n"
            ));
            spread(&mut session);
            let audio = &session.media[1];
            assert_eq!(audio.port, port, "{what}");
            let fragment = audio.attribute("ice-ufrag").and_then(|a| a.value.as_deref());
            assert_eq!(fragment, Some(if port == 0 { "none" } else { "good" }), "{what}");
            assert!(audio.attribute("recvonly").is_some() && audio.attribute("sendonly").is_none(), "{what}");
            assert_eq!(session.media[2].port, 0, "{what}");
        }
    }
}
