//! Presence: whether somebody can be reached, in their own words (RFC 3856, RFC 3863).
use super::xml;
use crate::base::untrusted::Untrusted;

/// What a PIDF document says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presence {
    /// Some tuple is open.
    pub open: bool,
    /// The first note, of a tuple or of the whole.
    pub note: Option<Untrusted>,
}

impl Presence {
    pub const EVENT: &str = "presence";
    pub const TYPE: &str = "application/pidf+xml";

    /// Reads a document; `None` when it says nothing of the basic status.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let document = xml(body)?;
        let root = document.root_element();
        if root.tag_name().name() != "presence" {
            return None;
        }
        let named = |name: &'static str| {
            root.descendants().filter(move |node| node.is_element() && node.tag_name().name() == name)
        };
        let mut basic = named("basic").filter_map(|node| node.text()).map(str::trim).peekable();
        basic.peek()?;
        let open = basic.any(|status| status.eq_ignore_ascii_case("open"));
        let note = named("note").filter_map(|node| node.text()).map(str::trim).find(|note| !note.is_empty());
        Some(Self { open, note: note.map(Untrusted::new) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents() {
        let rows = [
            ("", None),
            ("<presence/>", None),
            ("<x><basic>open</basic></x>", None),
            ("<presence><tuple><status><basic>closed</basic></status></tuple></presence>", Some((false, None))),
            (
                "<presence xmlns='urn:ietf:params:xml:ns:pidf' xmlns:dm='x'><tuple><status><basic> open </basic></status></tuple>\
                 <dm:person/><note>On the phone</note></presence>",
                Some((true, Some("On the phone"))),
            ),
            (
                "<presence><tuple><status><basic>closed</basic></status><note>a</note></tuple>\
                 <tuple><status><basic>OPEN</basic></status></tuple></presence>",
                Some((true, Some("a"))),
            ),
        ];
        for (body, expected) in rows {
            let read = Presence::parse(body.as_bytes());
            assert_eq!(read, expected.map(|(open, note)| Presence { open, note: note.map(Untrusted::new) }), "{body}");
        }
    }
}
